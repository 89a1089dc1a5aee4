/*
 * What happens when both ends do something at once (RFC 7296 sections 2.8 and 2.25): every
 * interleaving of child rekey, IKE rekey, child delete, IKE delete and new child from both ends, to
 * the depth those sections are about, with datagrams that overtake each other, get lost, come
 * twice, and with jobs that take their time.
 *
 * After every step of every run:
 *
 *	a packet gets through at once both ways, unless somebody deletes on purpose;
 *	one that was sent two steps ago still does, since a replaced SA is heard for a while.
 *
 * On a bad network that is a sample; WARREN_INTERLEAVINGS=N asks for all of them, and for N times
 * as many seeds and walks.
 *
 * In the end both ends have the same SAs, as many as the operations say, one IKE SA if any, and
 * nothing waits for anything.
 */
#include "exchange/choices.h"
#include "exchange/exchange.h"
#include "harness/trace.h"

enum {
	OPS_MAX = 3, /* of one end */
	LATE_MAX = 4, /* packets that have been on their way for some steps */
	STEPS_LATE = 2,
	SAS_MAX = 8,
};

/* ---- plans -------------------------------------------------------------------------------- */

enum op {
	NOTHING,
	REKEY_CHILD,
	REKEY_IKE,
	DOWN_CHILD,
	DOWN_IKE,
	NEW_CHILD,
};

static const char *const op_names[] = {
	[NOTHING] = "nothing",       [REKEY_CHILD] = "rekey child", [REKEY_IKE] = "rekey IKE",
	[DOWN_CHILD] = "down child", [DOWN_IKE] = "down IKE",       [NEW_CHILD] = "new child",
};

struct plan {
	enum op op[2][OPS_MAX]; /* of a, of b; NOTHING after the last */
	unsigned losses; /* datagrams that may get lost, each choice */
	unsigned copies; /* that may come twice */
	bool any_order; /* datagrams overtake each other */
	bool jobs; /* slow crypto comes back whenever it likes */
	bool pfs; /* children have a key exchange of their own */
};

struct late {
	struct packet *p;
	struct node *to;
	unsigned due; /* step */
	mono_t sent;
};

struct run {
	const struct plan *plan;
	struct choices *c;
	struct pair p;
	unsigned issued[2];
	unsigned losses, copies, timers; /* left */
	unsigned step;
	struct late late[LATE_MAX];
	size_t n_late;
	uint64_t seed;
	uint64_t walk; /* as the choices began, 0: none */
	struct text_buf *trace; /* a run that failed is run again, with a transcript */
};

static void one_run(struct run *r);

static size_t count_of(const struct plan *plan, unsigned side, enum op op)
{
	size_t n = 0;

	for (unsigned i = 0; i < OPS_MAX; i++)
		n += plan->op[side][i] == op;
	return n;
}

static bool plan_has(const struct plan *plan, enum op op)
{
	return count_of(plan, 0, op) || count_of(plan, 1, op);
}

static void print_run(const struct run *r)
{
	print_error("seed %u; ", (unsigned)r->seed);
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

/* The same run once more, for the transcript. */
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
		/* longer than cmocka prints */
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

/* ---- what must hold after every step ------------------------------------------------------ */

static struct node *side(const struct run *r, unsigned i)
{
	return i ? r->p.b : r->p.a;
}

static bool ping(struct run *r, unsigned from)
{
	static const char *const host[] = { "10.1.0.5", "10.2.0.6" };

	return world_ping(r->p.w, side(r, from), host[from], side(r, !from), host[!from]);
}

/* An ESP packet leaves and is kept for later. */
static void send_late(struct run *r, unsigned from)
{
	static const char *const host[] = { "10.1.0.5", "10.2.0.6" };
	size_t before = world_packets(r->p.w);
	struct packet *p;

	node_packet(side(r, from), host[from], host[!from]);
	require(r, world_packets(r->p.w) == before + 1, "a packet leaves");
	p = world_packet(r->p.w, before);
	r->late[r->n_late++] = (struct late){ .p = packet_keep(p),
					      .to = side(r, !from),
					      .due = r->step + STEPS_LATE,
					      .sent = r->p.w->now.mono };
	world_drop(r->p.w, p);
}

/* Those whose time has come; one that was longer under way than a network holds packets is not
 * waited for. */
static void receive_late(struct run *r, unsigned until)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_late; i++) {
		struct late *l = &r->late[i];
		unsigned seen = l->to->inner_seen;

		if (l->due > until) {
			r->late[kept++] = *l;
			continue;
		}
		world_hand_over(r->p.w, l->p);
		if (mono_since(r->p.w->now.mono, l->sent).ns < dur_s(2).ns)
			require(r, l->to->inner_seen == seen + 1,
				"a packet that was under way for two steps arrives");
		packet_free(l->p);
	}
	r->n_late = kept;
}

static bool deletes(const struct plan *plan)
{
	return plan_has(plan, DOWN_CHILD) || plan_has(plan, DOWN_IKE);
}

static void check_traffic(struct run *r)
{
	if (deletes(r->plan))
		return;
	require(r, ping(r, 0), "a packet from a to b gets through");
	require(r, ping(r, 1), "a packet from b to a gets through");
	receive_late(r, r->step);
	if (r->n_late + 2 <= LATE_MAX) {
		send_late(r, 0);
		send_late(r, 1);
	}
}

/* ---- steps -------------------------------------------------------------------------------- */

static bool first_child(void *ctx, const struct ike_child_info *info)
{
	*(dp_child_id *)ctx = info->id;
	return false;
}

/* A child that is up: the oldest. */
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

static void command(struct node *n, struct ike_cmd cmd)
{
	enum status st = node_cmd(n, &cmd);

	/* What it is about may be gone by now. */
	assert_true(st == ST_OK || st == ST_INVAL);
}

static void issue(struct run *r, unsigned i)
{
	struct node *n = side(r, i);
	struct ike_cmd cmd = { .peer = PAIR_PEER };

	switch (r->plan->op[i][r->issued[i]++]) {
	case REKEY_CHILD: cmd.kind = IKE_CMD_REKEY_CHILD; break;
	case REKEY_IKE: cmd.kind = IKE_CMD_REKEY_SA; break;
	case DOWN_IKE: cmd.kind = IKE_CMD_DOWN; break;
	case NEW_CHILD: cmd.kind = IKE_CMD_NEW_CHILD; break;
	case DOWN_CHILD:
		cmd.kind = IKE_CMD_DOWN_CHILD;
		cmd.child = some_child(n);
		if (!cmd.child)
			return;
		break;
	default: return;
	}
	command(n, cmd);
}

enum act {
	ISSUE,
	DELIVER,
	LOSE,
	COPY,
	JOB,
	TIME,
};

struct action {
	enum act act;
	unsigned side; /* ISSUE */
	struct packet *packet;
	struct node *node; /* JOB */
	struct pending *job;
};

enum { ACTIONS_MAX = 64 };

static void add(struct action *v, size_t *n, struct action a)
{
	assert_true(*n < ACTIONS_MAX);
	v[(*n)++] = a;
}

/* Whether an older datagram of the same direction is under way. */
static bool overtakes(struct world *w, size_t at)
{
	struct packet *p = world_packet(w, at);

	for (size_t i = 0; i < at; i++)
		if (ip_eq(&world_packet(w, i)->src.ip, &p->src.ip))
			return true;
	return false;
}

static size_t possible(struct run *r, struct action *v)
{
	struct world *w = r->p.w;
	size_t n = 0, n_packets = world_packets(w);

	for (size_t i = 0; i < n_packets; i++) {
		struct packet *p = world_packet(w, i);

		if (!r->plan->any_order && overtakes(w, i))
			continue;
		add(v, &n, (struct action){ .act = DELIVER, .packet = p });
		if (r->losses)
			add(v, &n, (struct action){ .act = LOSE, .packet = p });
		if (r->copies)
			add(v, &n, (struct action){ .act = COPY, .packet = p });
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pending *job = node_pending(side(r, i), PENDING_JOB, 0);

		if (job)
			add(v, &n, (struct action){ .act = JOB, .node = side(r, i), .job = job });
	}
	for (unsigned i = 0; i < 2; i++)
		if (r->issued[i] < OPS_MAX && r->plan->op[i][r->issued[i]])
			add(v, &n, (struct action){ .act = ISSUE, .side = i });
	/* What was lost is said again while other things go on. */
	if (n && r->timers && r->losses < r->plan->losses)
		add(v, &n, (struct action){ .act = TIME });
	return n;
}

static void act(struct run *r, const struct action *a)
{
	static const char *const names[] = { "issue", "deliver", "lose", "copy", "job", "time" };

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
	case COPY:
		r->copies--;
		world_copy(r->p.w, a->packet);
		world_deliver(r->p.w, a->packet);
		break;
	case JOB: node_answer(a->node, a->job); break;
	case TIME:
		r->timers--;
		world_timer(r->p.w);
		break;
	}
}

/* ---- what must hold in the end ------------------------------------------------------------ */

struct picture {
	uint64_t sa[SAS_MAX][2];
	size_t n_sas;
	uint32_t child[SAS_MAX][2]; /* in, out */
	size_t n_children;
};

static bool note_child(void *ctx, const struct ike_child_info *info)
{
	struct picture *p = ctx;

	assert_true(p->n_children < SAS_MAX);
	p->child[p->n_children][0] = info->spi_in;
	p->child[p->n_children++][1] = info->spi_out;
	assert_true(info->installed);
	return true;
}

static void look(const struct run *r, const struct node *n, struct picture *ret)
{
	struct node_sa sas[SAS_MAX];
	size_t n_sas = node_sas(n, sas, SAS_MAX);

	*ret = (struct picture){ 0 };
	assert_true(n_sas < SAS_MAX);
	for (size_t i = 0; i < n_sas; i++) {
		require(r, sas[i].info.established, "every SA that is left is established");
		ret->sa[ret->n_sas][0] = sas[i].info.spi_i;
		ret->sa[ret->n_sas++][1] = sas[i].info.spi_r;
		ike_each_child(n->ike, n->w->now, &sas[i].info, note_child, ret);
	}
}

static bool has_child(const struct picture *p, uint32_t in, uint32_t out)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->child[i][0] == in && p->child[i][1] == out)
			return true;
	return false;
}

static void check_data_plane(const struct run *r, const struct node *n, const struct picture *p)
{
	require(r, n->n_children == p->n_children, "the data plane has what the engine has");
	for (size_t i = 0; i < n->n_children; i++)
		require(r, has_child(p, n->child[i].child.spi_in, n->child[i].child.spi_out),
			"the data plane has the same children");
	require(r, ike_totals(n->ike).half_open == 0, "nothing is half-open");
	require(r, ike_totals(n->ike).children == p->n_children, "no child is left over");
}

static void check_end(struct run *r)
{
	const struct plan *plan = r->plan;
	size_t of_a = count_of(plan, 0, NEW_CHILD), of_b = count_of(plan, 1, NEW_CHILD);
	size_t most = 1 + of_a + of_b;
	/* To want one more twice before it is there is to want it once. */
	size_t least = deletes(plan) ? 0 : 1u + (of_a > 0) + (of_b > 0);
	struct picture a, b;

	look(r, r->p.a, &a);
	look(r, r->p.b, &b);
	require(r, a.n_sas == (plan_has(plan, DOWN_IKE) ? 0 : 1), "there is one IKE SA");
	require(r, b.n_sas == a.n_sas, "both ends have as many");
	require(r, a.n_sas == 0 || memcmp(a.sa[0], b.sa[0], sizeof(a.sa[0])) == 0,
		"both ends have the same IKE SA");
	require(r, a.n_children >= least && a.n_children <= most, "there are as many children");
	require(r, b.n_children == a.n_children, "both ends have as many children");
	for (size_t i = 0; i < a.n_children; i++)
		require(r, has_child(&b, a.child[i][1], a.child[i][0]),
			"both ends have the same children");
	check_data_plane(r, r->p.a, &a);
	check_data_plane(r, r->p.b, &b);
	require(r, world_packets(r->p.w) == 0, "nobody goes on talking");
	if (a.n_children) {
		require(r, ping(r, 0), "packets get through from a to b");
		require(r, ping(r, 1), "packets get through from b to a");
	}
}

static void one_run(struct run *r)
{
	struct action v[ACTIONS_MAX];
	size_t n;

	r->losses = r->timers = r->plan->losses;
	r->copies = r->plan->copies;
	pair_init(&r->p, r->seed);
	/* With several losses one end may give up telling the other, who then has to ask. */
	if (r->plan->losses > 1)
		r->p.pa->dpd_delay = r->p.pb->dpd_delay = dur_s(30);
	if (r->plan->pfs) {
		r->p.pa->esp = test_conf_sa(r->p.ca, WIRE_PROTO_ESP, "aes128gcm16-x25519");
		r->p.pb->esp = test_conf_sa(r->p.cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	}
	pair_up(&r->p);
	world_run(r->p.w);
	if (r->trace)
		world_trace(r->p.w, r->trace);
	assert_true(pair_is_up(&r->p));
	if (r->plan->jobs)
		r->p.a->hold = r->p.b->hold = HOLD_JOBS;
	while ((n = possible(r, v))) {
		act(r, &v[choose(r->c, (unsigned)n)]);
		r->step++;
		check_traffic(r);
	}
	receive_late(r, r->step + STEPS_LATE);
	node_release(r->p.a);
	node_release(r->p.b);
	/* Pauses after TEMPORARY_FAILURE, Deletes that did not come, replaced SAs that are heard
	 * for a while: all of that is over by then. */
	world_live(r->p.w, dur_s(600));
	check_end(r);
	for (size_t i = 0; i < r->n_late; i++)
		packet_free(r->late[i].p);
	pair_done(&r->p);
}

/* Every `step`-th way to go on. */
static unsigned enumerate(const struct plan *plan, uint64_t seed, unsigned step)
{
	struct choices c = { 0 };
	unsigned runs = 0;
	bool more = true;

	while (more) {
		struct run r = { .plan = plan, .c = &c, .seed = seed };

		one_run(&r);
		runs++;
		for (unsigned i = 0; i < step && more; i++)
			more = next_run(&c);
	}
	return runs;
}

/* ---- the plans ---------------------------------------------------------------------------- */

/* Which nonce is the lowest follows from the seed: each of the four is, for some. */
enum {
	SEEDS = 4,
	WALKS = 800,
	STEP = 2,
};

/* Ten times in ./check soak; 0: no more than there is time for. */
static unsigned thorough(void)
{
	const char *word = getenv("WARREN_INTERLEAVINGS");

	return word ? (unsigned)strtoul(word, NULL, 10) : 0;
}

static unsigned times(void)
{
	return thorough() ? thorough() : 1;
}

/* What has many runs takes one seed and a sample, unless there is time. */
static unsigned all_seeds(const struct plan *plan)
{
	bool many = plan->losses || plan->copies || plan->jobs;
	unsigned runs = 0, seeds = many ? 1 : SEEDS, step = many && !thorough() ? STEP : 1;

	for (uint64_t seed = 0; seed < seeds * times(); seed++)
		runs += enumerate(plan, 500 + seed, step);
	return runs;
}

/* Each operation of a against each of b. */
static unsigned every_pair(struct plan plan)
{
	unsigned runs = 0;

	for (enum op a = REKEY_CHILD; a <= NEW_CHILD; a++)
		for (enum op b = NOTHING; b <= NEW_CHILD; b++) {
			plan.op[0][0] = a;
			plan.op[1][0] = b;
			runs += all_seeds(&plan);
		}
	return runs;
}

static void pairs_in_every_order(void **state)
{
	unsigned runs = every_pair((struct plan){ .any_order = true });

	(void)state;
	print_message("# %u runs\n", runs);
	assert_true(runs > 1000);
}

static void pairs_with_a_loss(void **state)
{
	unsigned runs = every_pair((struct plan){ .losses = 1 });

	(void)state;
	print_message("# %u runs\n", runs);
	assert_true(runs > 1000);
}

static void pairs_with_a_copy(void **state)
{
	unsigned runs = every_pair((struct plan){ .copies = 1 });

	(void)state;
	print_message("# %u runs\n", runs);
	assert_true(runs > 1000);
}

static void pairs_with_slow_jobs(void **state)
{
	unsigned runs = every_pair((struct plan){ .jobs = true }) +
			every_pair((struct plan){ .jobs = true, .pfs = true });

	(void)state;
	print_message("# %u runs\n", runs);
	assert_true(runs > 1000);
}

/* Whatever both ends do in a row, on a bad network: no more than a sample of all that there is. */
static void random_walks(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= WALKS * times(); i++) {
		struct choices dice = { .walk = i * 0x9e3779b97f4a7c15u };
		struct choices c = { 0 };
		struct plan plan = { .any_order = true };
		struct run r = { .plan = &plan, .c = &c, .seed = 500 + i % SEEDS };

		for (unsigned side = 0; side < 2; side++)
			for (unsigned k = 0; k < OPS_MAX; k++)
				plan.op[side][k] = REKEY_CHILD + choose(&dice, NEW_CHILD);
		plan.losses = choose(&dice, 3);
		plan.copies = choose(&dice, 3);
		plan.jobs = choose(&dice, 2);
		plan.pfs = choose(&dice, 2);
		r.walk = c.walk = dice.walk;
		one_run(&r);
	}
}

/* With an argument: only tests of such a name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_in_every_order), cmocka_unit_test(pairs_with_a_loss),
		cmocka_unit_test(pairs_with_a_copy),    cmocka_unit_test(pairs_with_slow_jobs),
		cmocka_unit_test(random_walks),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
