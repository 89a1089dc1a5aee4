/*
 * An address changes while something else is under way (RFC 4555 section 3.5; R06): every
 * interleaving of moves with child rekey, IKE rekey, child delete and a probe at either end, with
 * datagrams that overtake each other, and with the loss of each of them.
 *
 *	a, who called: 192.0.2.1, then 198.51.100.7, then 203.0.113.9
 *	b: 192.0.2.2 and 203.0.113.2, then the latter only
 *
 * After every step in which a has moved, and b has not, a packet from a gets through at once: what
 * is sent from a new address needs nobody's consent.  Once there is nothing to choose any more both
 * directions flow again within what the retransmissions of what was lost take, and both ends have
 * the same SAs between the same addresses.
 *
 * WARREN_INTERLEAVINGS=N asks for all of them, and for N seeds.
 */
#include "exchange/choices.h"
#include "exchange/exchange.h"
#include "harness/trace.h"

#include <limits.h>

enum op {
	NOTHING,
	REKEY_CHILD,
	REKEY_IKE,
	DOWN_CHILD,
	PROBE,
	MOVE,
	MOVE_ON,
};

static const char *const op_names[] = {
	[NOTHING] = "nothing",     [REKEY_CHILD] = "rekey child",
	[REKEY_IKE] = "rekey IKE", [DOWN_CHILD] = "down child",
	[PROBE] = "probe",         [MOVE] = "move",
	[MOVE_ON] = "move on",
};

enum { OPS_MAX = 3, SAS_MAX = 8, ACTIONS_MAX = 64 };

struct plan {
	enum op op[2][OPS_MAX];
	enum ike_routability rr;
	unsigned losses;
	bool any_order;
	bool jobs;
	/* Retransmissions may have to follow each other: of what was lost, and of what it was in
	 * the way of. */
	int64_t bound_ms;
};

struct run {
	const struct plan *plan;
	struct choices *c;
	struct pair p;
	unsigned issued[2];
	unsigned losses, timers;
	unsigned step;
	uint64_t seed;
	uint64_t walk; /* as the choices began, 0: none */
	struct text_buf *trace;
};

static void one_run(struct run *r);

static bool plan_has(const struct plan *plan, enum op op)
{
	for (unsigned i = 0; i < 2 * OPS_MAX; i++)
		if (plan->op[i / OPS_MAX][i % OPS_MAX] == op)
			return true;
	return false;
}

/* ---- a run that fails ---------------------------------------------------------------------- */

static void print_run(const struct run *r)
{
	print_error("seed %u, policy %u, %u losses, %s order; ", (unsigned)r->seed, r->plan->rr,
		    r->plan->losses, r->plan->any_order ? "any" : "same");
	for (unsigned side = 0; side < 2; side++) {
		print_error("%s: ", side ? "b" : "a");
		for (unsigned i = 0; i < OPS_MAX && r->plan->op[side][i]; i++)
			print_error("%s; ", op_names[r->plan->op[side][i]]);
	}
	if (r->walk) {
		print_error("walk %llu, step %u\n", (unsigned long long)r->walk, r->step);
		return;
	}
	print_error("choices");
	for (unsigned i = 0; i < r->c->n; i++)
		print_error(" %u/%u", r->c->pick[i], r->c->of[i]);
	print_error(", step %u\n", r->step);
}

/* The same once more, for the transcript. */
static void again(const struct run *r)
{
	struct text_buf trace;
	struct run same = {
		.plan = r->plan, .c = r->c, .seed = r->seed, .walk = r->walk, .trace = &trace
	};

	text_buf_init(&trace);
	r->c->at = 0;
	r->c->walk = r->walk;
	one_run(&same);
}

static void not_so(const struct run *r, const char *what)
{
	if (!r->trace) {
		print_run(r);
		again(r);
	} else {
		fputs(r->trace->p, stderr);
	}
	print_error("not so: %s\n", what);
	fail();
}

#define require(r, condition, what)                                                                \
	do {                                                                                       \
		if (!(condition))                                                                  \
			not_so(r, what);                                                           \
	} while (0)

/* ---- steps --------------------------------------------------------------------------------- */

static struct node *side(const struct run *r, unsigned i)
{
	return i ? r->p.b : r->p.a;
}

static bool flows(struct run *r, unsigned from)
{
	static const char *const host[] = { "10.1.0.5", "10.2.0.6" };

	return world_ping(r->p.w, side(r, from), host[from], side(r, !from), host[!from]);
}

static bool first_child(void *ctx, const struct ike_child_info *info)
{
	*(dp_child_id *)ctx = info->id;
	return false;
}

static dp_child_id some_child(const struct node *n)
{
	struct node_sa sas[SAS_MAX];
	size_t n_sas = node_sas(n, sas, SAS_MAX);
	dp_child_id id = 0;

	for (size_t i = 0; i < n_sas && !id; i++)
		if (sas[i].info.established)
			ike_each_child(n->ike, n->w->now, &sas[i].info, first_child, &id);
	return id;
}

static void probe(struct node *n)
{
	struct dp_report r = { .kind = DP_REPORT_SILENT };

	r.u.silent.id = some_child(n);
	if (r.u.silent.id)
		node_report(n, &r);
}

static void command(struct node *n, enum ike_cmd_kind kind)
{
	struct ike_cmd cmd = { .kind = kind, .peer = PAIR_PEER };
	enum status st;

	if (kind == IKE_CMD_DOWN_CHILD) {
		cmd.child = some_child(n);
		if (!cmd.child)
			return;
	}
	st = node_cmd(n, &cmd);
	assert_true(st == ST_OK || st == ST_INVAL);
}

static void issue(struct run *r, unsigned i)
{
	struct node *n = side(r, i);

	switch (r->plan->op[i][r->issued[i]++]) {
	case REKEY_CHILD: command(n, IKE_CMD_REKEY_CHILD); break;
	case REKEY_IKE: command(n, IKE_CMD_REKEY_SA); break;
	case DOWN_CHILD: command(n, IKE_CMD_DOWN_CHILD); break;
	case PROBE: probe(n); break;
	case MOVE: node_moves(n, i ? "203.0.113.2" : "198.51.100.7", NULL); break;
	case MOVE_ON: node_moves(n, "203.0.113.9", NULL); break;
	case NOTHING: break;
	}
}

struct action {
	enum { ISSUE, DELIVER, LOSE, JOB, TIME } act;
	unsigned side;
	struct packet *packet;
	struct node *node;
	struct pending *job;
};

static bool overtakes(struct world *w, size_t at)
{
	struct packet *p = world_packet(w, at);

	for (size_t i = 0; i < at; i++)
		if (world_packet(w, i)->dst.port == p->dst.port &&
		    ip_eq(&world_packet(w, i)->src.ip, &p->src.ip))
			return true;
	return false;
}

static void add(struct action *v, size_t *n, struct action a)
{
	assert_true(*n < ACTIONS_MAX);
	v[(*n)++] = a;
}

static size_t possible(struct run *r, struct action *v)
{
	struct world *w = r->p.w;
	size_t n = 0, n_packets = world_packets(w);

	for (unsigned i = 0; i < 2; i++)
		if (r->issued[i] < OPS_MAX && r->plan->op[i][r->issued[i]])
			add(v, &n, (struct action){ .act = ISSUE, .side = i });
	for (size_t i = 0; i < n_packets; i++) {
		struct packet *p = world_packet(w, i);

		if (!r->plan->any_order && overtakes(w, i))
			continue;
		add(v, &n, (struct action){ .act = DELIVER, .packet = p });
		if (r->losses)
			add(v, &n, (struct action){ .act = LOSE, .packet = p });
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pending *job = node_pending(side(r, i), PENDING_JOB, 0);

		if (job)
			add(v, &n, (struct action){ .act = JOB, .node = side(r, i), .job = job });
	}
	if (n && r->timers && r->losses < r->plan->losses)
		add(v, &n, (struct action){ .act = TIME });
	return n;
}

static void act(struct run *r, const struct action *a)
{
	static const char *const names[] = { "issue", "deliver", "lose", "job", "time" };

	if (r->trace)
		text_buf_fmt(r->trace, "-- %u: %s %u\n", r->step, names[a->act],
			     a->packet ? a->packet->id : a->side);
	switch (a->act) {
	case ISSUE: issue(r, a->side); break;
	case DELIVER: world_deliver(r->p.w, a->packet); break;
	case LOSE:
		r->losses--;
		world_drop(r->p.w, a->packet);
		break;
	case JOB: node_answer(a->node, a->job); break;
	case TIME:
		r->timers--;
		world_timer(r->p.w);
		break;
	}
}

static bool has_issued(const struct run *r, unsigned i, enum op op)
{
	for (unsigned k = 0; k < r->issued[i]; k++)
		if (r->plan->op[i][k] == op)
			return true;
	return false;
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void check_step(struct run *r)
{
	if (!plan_has(r->plan, DOWN_CHILD) && !has_issued(r, 1, MOVE))
		require(r, flows(r, 0), "a packet from a to b gets through");
}

struct picture {
	struct node_sa sa[SAS_MAX];
	size_t n_sas;
	uint32_t child[SAS_MAX][2];
	size_t n_children;
};

static bool note_child(void *ctx, const struct ike_child_info *info)
{
	struct picture *p = ctx;

	assert_true(p->n_children < SAS_MAX);
	p->child[p->n_children][0] = info->spi_in;
	p->child[p->n_children++][1] = info->spi_out;
	return true;
}

static void look(const struct node *n, struct picture *ret)
{
	*ret = (struct picture){ 0 };
	ret->n_sas = node_sas(n, ret->sa, SAS_MAX);
	assert_true(ret->n_sas < SAS_MAX);
	for (size_t i = 0; i < ret->n_sas; i++)
		ike_each_child(n->ike, n->w->now, &ret->sa[i].info, note_child, ret);
}

static bool has_child(const struct picture *p, uint32_t in, uint32_t out)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->child[i][0] == in && p->child[i][1] == out)
			return true;
	return false;
}

static void check_place(struct run *r, const struct node *n, const struct ike_sa_info *sa)
{
	require(r, !sa->checking, "nobody has to show where he is any more");
	for (size_t i = 0; i < n->n_children; i++)
		require(r,
			endpoint_eq(&n->child[i].child.local, &sa->local) &&
				endpoint_eq(&n->child[i].child.remote, &sa->remote),
			"packets go where the IKE SA is");
}

static void check_end(struct run *r)
{
	const struct ip at = test_ip(plan_has(r->plan, MOVE_ON) ? "203.0.113.9"
				     : has_issued(r, 0, MOVE)   ? "198.51.100.7"
								: "192.0.2.1");
	const struct ike_sa_info *sa, *sb;
	struct picture a, b;

	look(r->p.a, &a);
	look(r->p.b, &b);
	require(r, a.n_sas == 1 && b.n_sas == 1, "both ends have one IKE SA");
	sa = &a.sa[0].info;
	sb = &b.sa[0].info;
	require(r, sa->spi_i == sb->spi_i && sa->spi_r == sb->spi_r, "it is the same");
	require(r, sa->mobike && sb->mobike && sa->decides && !sb->decides, "a decides");
	require(r, endpoint_eq(&sa->local, &sb->remote) && endpoint_eq(&sa->remote, &sb->local),
		"both ends know where it is");
	require(r, ip_eq(&sa->local.ip, &at), "a is where it went last");
	check_place(r, r->p.a, sa);
	check_place(r, r->p.b, sb);
	require(r, a.n_children == b.n_children, "both ends have as many children");
	require(r, a.n_children == !plan_has(r->plan, DOWN_CHILD), "as many as there should be");
	for (size_t i = 0; i < a.n_children; i++)
		require(r, has_child(&b, a.child[i][1], a.child[i][0]), "the same ones");
	require(r, world_packets(r->p.w) == 0, "nobody goes on talking");
	require(r, node_events(r->p.a, IKE_EV_DEAD) + node_events(r->p.b, IKE_EV_DEAD) == 0,
		"nobody was given up");
}

static void settle_down(struct run *r)
{
	mono_t over = r->p.w->now.mono;

	while (!flows(r, 0) || !flows(r, 1)) {
		int64_t ms = dur_to_ms(mono_since(r->p.w->now.mono, over));

		require(r, ms < r->plan->bound_ms, "it flows again in time");
		world_live(r->p.w, dur_ms(100));
	}
}

static void begin(struct run *r)
{
	struct pair *p = &r->p;

	pair_init(p, r->seed);
	p->pa->mobike = p->pb->mobike = true;
	p->pa->return_routability = p->pb->return_routability = r->plan->rr;
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
	pair_start(p);
	node_moves(p->a, "192.0.2.1", NULL);
	node_moves(p->b, "192.0.2.2", "203.0.113.2");
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
	if (r->trace)
		world_trace(p->w, r->trace);
	if (r->plan->jobs)
		p->a->hold = p->b->hold = HOLD_JOBS;
}

static void one_run(struct run *r)
{
	struct action v[ACTIONS_MAX];
	size_t n;

	r->losses = r->timers = r->plan->losses;
	begin(r);
	while ((n = possible(r, v))) {
		act(r, &v[choose(r->c, (unsigned)n)]);
		r->step++;
		check_step(r);
	}
	node_release(r->p.a);
	node_release(r->p.b);
	if (!plan_has(r->plan, DOWN_CHILD))
		settle_down(r);
	world_live(r->p.w, dur_s(600));
	check_end(r);
	if (!plan_has(r->plan, DOWN_CHILD)) {
		require(r, flows(r, 0), "packets get through from a to b");
		require(r, flows(r, 1), "packets get through from b to a");
	}
	pair_done(&r->p);
}

/* ---- plans --------------------------------------------------------------------------------- */

/* Of those that have more ways to go on than that: the first ones, and random walks. */
enum { FIRST = 150, WALKS = 150 };

static unsigned thorough(void)
{
	const char *word = getenv("WARREN_INTERLEAVINGS");

	return word ? (unsigned)strtoul(word, NULL, 10) : 0;
}

static unsigned enumerate(const struct plan *plan, uint64_t seed, unsigned most)
{
	struct choices c = { 0 };
	unsigned runs = 0;

	do {
		struct run r = { .plan = plan, .c = &c, .seed = seed };

		one_run(&r);
		runs++;
	} while (next_run(&c) && runs < most);
	return runs;
}

static void walk(const struct plan *plan, uint64_t seed, unsigned n)
{
	for (uint64_t i = 1; i <= n; i++) {
		struct choices c = { .walk = i * 0x9e3779b97f4a7c15u };
		struct run r = { .plan = plan, .c = &c, .seed = seed, .walk = c.walk };

		one_run(&r);
	}
}

static unsigned all(const struct plan *plan)
{
	unsigned runs = 0, n;

	if (!thorough()) {
		n = enumerate(plan, 700, FIRST);
		if (n == FIRST)
			walk(plan, 700, WALKS);
		return n;
	}
	for (unsigned seed = 0; seed < thorough(); seed++)
		runs += enumerate(plan, 700 + seed, UINT_MAX);
	return runs;
}

/* That, with each of the others at either end. */
static void with_each(struct plan plan)
{
	unsigned runs = 0;

	for (enum op op = NOTHING; op <= PROBE; op++)
		for (unsigned at = 0; at < (op ? 2 : 1); at++) {
			struct plan one = plan;
			unsigned i = 0;

			while (one.op[at][i])
				i++;
			/* Behind it, and before it. */
			one.op[at][i] = op;
			runs += all(&one);
			if (!i || !op)
				continue;
			memmove(&one.op[at][1], &plan.op[at][0], i * sizeof(op));
			one.op[at][0] = op;
			runs += all(&one);
		}
	print_message("# %u runs\n", runs);
	assert_true(runs > 50);
}

#define A_MOVES .op = { { MOVE } }
#define A_MOVES_TWICE .op = { { MOVE, MOVE_ON } }
#define B_MOVES .op = { [1] = { MOVE } }

static void in_every_order(void **state)
{
	(void)state;
	with_each((struct plan){ A_MOVES, .rr = IKE_ROUTABILITY_BEFORE, .any_order = true,
				 .bound_ms = 8000 });
	with_each((struct plan){ A_MOVES, .rr = IKE_ROUTABILITY_NO, .any_order = true,
				 .bound_ms = 8000 });
}

static void with_a_loss(void **state)
{
	(void)state;
	with_each((struct plan){ A_MOVES, .rr = IKE_ROUTABILITY_BEFORE, .losses = 1,
				 .bound_ms = 12000 });
	with_each((struct plan){ A_MOVES, .rr = IKE_ROUTABILITY_AFTER, .losses = 1,
				 .bound_ms = 12000 });
}

static void twice(void **state)
{
	(void)state;
	with_each((struct plan){ A_MOVES_TWICE, .rr = IKE_ROUTABILITY_BEFORE, .any_order = true,
				 .bound_ms = 12000 });
	with_each((struct plan){ A_MOVES_TWICE, .rr = IKE_ROUTABILITY_BEFORE, .losses = 1,
				 .bound_ms = 20000 });
}

static void by_the_other_end(void **state)
{
	(void)state;
	with_each((struct plan){ B_MOVES, .rr = IKE_ROUTABILITY_BEFORE, .any_order = true,
				 .bound_ms = 12000 });
	with_each((struct plan){ B_MOVES, .rr = IKE_ROUTABILITY_BEFORE, .losses = 1,
				 .bound_ms = 20000 });
}

static void with_slow_jobs(void **state)
{
	(void)state;
	with_each((struct plan){ A_MOVES, .rr = IKE_ROUTABILITY_BEFORE, .jobs = true,
				 .bound_ms = 8000 });
}

static struct plan random_plan(struct choices *dice)
{
	struct plan plan = { .any_order = true, .bound_ms = 60000 };
	unsigned moves = 1 + choose(dice, 2);

	for (unsigned k = 0; k < OPS_MAX; k++) {
		plan.op[0][k] = REKEY_CHILD + choose(dice, 2);
		plan.op[1][k] = REKEY_CHILD + choose(dice, 2);
	}
	/* One end only: MOBIKE has no rendezvous (section 1.2). */
	if (!choose(dice, 3))
		plan.op[1][choose(dice, OPS_MAX)] = MOVE;
	else if (moves == 1)
		plan.op[0][OPS_MAX - 1] = MOVE;
	else
		plan.op[0][OPS_MAX - 2] = MOVE, plan.op[0][OPS_MAX - 1] = MOVE_ON;
	plan.rr = choose(dice, IKE_ROUTABILITY_AFTER + 1);
	plan.losses = choose(dice, 3);
	plan.jobs = choose(dice, 2);
	return plan;
}

/* Whatever both ends do, and wherever one of them goes, on a bad network.  That it flows again may
 * take as long as b believes its address to be a's: until its question there has gone unanswered.
 */
static void random_walks(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= 800 * (thorough() ? thorough() : 1); i++) {
		struct choices dice = { .walk = i * 0x9e3779b97f4a7c15u };
		struct plan plan = random_plan(&dice);
		struct choices c = { .walk = dice.walk };
		struct run r = { .plan = &plan, .c = &c, .seed = 700 + i % 4, .walk = dice.walk };

		one_run(&r);
	}
}

/* With an argument: only tests of such a name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_every_order), cmocka_unit_test(with_a_loss),
		cmocka_unit_test(twice),          cmocka_unit_test(by_the_other_end),
		cmocka_unit_test(with_slow_jobs), cmocka_unit_test(random_walks),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
