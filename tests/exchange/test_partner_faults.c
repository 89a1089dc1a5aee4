/* Partners when things go wrong on our own side, or end in the middle of something: a drop at every
 * step, an allocation, a job, an operation of the data plane that fails.  Nothing leaks (the
 * harness looks), nothing is stuck, and the hub has the traffic (R09, R16). */
#include "exchange/exchange.h"

#include "exchange/partner.h"

/* ---- at every step ------------------------------------------------------------------------- */

enum act { DROP_B, DROP_C, DROP_BOTH, DOWN_B, DOWN_C, SHUTDOWN_B, SHUTDOWN_C, RELOAD, ACTS };

/* One thing happens: a datagram arrives, or something that was held back is answered. */
static bool step(struct duo *d)
{
	struct node *const of[] = { d->b, d->c };

	if (world_packet(d->w, 0)) {
		deliver_any(d->w);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(of); i++)
		for (int kind = PENDING_JOB; kind <= PENDING_REPORT; kind++)
			if (node_pending(of[i], (enum pending_kind)kind, 0)) {
				node_answer(of[i], node_pending(of[i], (enum pending_kind)kind, 0));
				return true;
			}
	return false;
}

static void act(struct duo *d, enum act what)
{
	static const struct ike_cmd shutdown = { .kind = IKE_CMD_SHUTDOWN };
	struct test_conf *conf;

	if (what == DROP_B || what == DROP_BOTH)
		node_partner_drop(d->b, d->at_b, "dropped");
	if (what == DROP_C || what == DROP_BOTH)
		node_partner_drop(d->c, d->at_c, "dropped");
	if (what == DOWN_B)
		assert_int_equal(node_command(d->b, IKE_CMD_DOWN, d->at_b), ST_OK);
	if (what == DOWN_C)
		assert_int_equal(node_command(d->c, IKE_CMD_DOWN, d->at_c), ST_OK);
	if (what == SHUTDOWN_B || what == SHUTDOWN_C)
		assert_int_equal(node_cmd(what == SHUTDOWN_B ? d->b : d->c, &shutdown), ST_OK);
	if (what == RELOAD) {
		conf = test_conf_copy(d->c->conf);
		conf->peer[0].own_digest[0] ^= 1;
		node_reconfigure(d->c, conf);
	}
}

/* Whose partner it was may hear that it is over, once; who dropped it does not. */
static void assert_gone(struct duo *d, enum act what)
{
	size_t at_b = node_events(d->b, IKE_EV_PARTNER_OVER);
	size_t at_c = node_events(d->c, IKE_EV_PARTNER_OVER);

	assert_int_equal(duo_sas(d->b, d->at_b).n + duo_sas(d->c, d->at_c).n, 0);
	assert_null(duo_child(d->b, d->at_b));
	assert_null(duo_child(d->c, d->at_c));
	assert_int_equal(at_b, what != DROP_B && what != DROP_BOTH);
	if (what == DROP_C || what == DROP_BOTH)
		assert_int_equal(at_c, 0);
	else
		assert_true(at_c <= 1);
	if (what == DOWN_C || what == RELOAD)
		because(d->c, IKE_EV_PARTNER_OVER, IKE_R_POLICY);
}

/* After so many steps; false: there are not as many. */
static bool ends_after(int steps, enum act what, unsigned hold)
{
	struct duo d;
	bool all = true;

	duo_begin(&d, 1000 + (uint64_t)steps);
	duo_add(&d);
	d.b->hold = d.c->hold = hold;
	duo_call(&d);
	for (int i = 0; i < steps && all; i++)
		all = step(&d);
	if (all) {
		act(&d, what);
		node_release(d.b);
		node_release(d.c);
		duo_live(&d, 200, 0);
		world_live(d.w, dur_s(60));
		assert_gone(&d, what);
		if (what < SHUTDOWN_B)
			assert_true(duo_by_hub(&d));
		else if (what < RELOAD)
			assert_true(ike_idle(what == SHUTDOWN_B ? d.b->ike : d.c->ike));
	}
	duo_done(&d);
	return all;
}

static void every_step(void **state)
{
	(void)state;
	for (unsigned what = 0; what < ACTS; what++) {
		int steps = 0;

		while (ends_after(steps, (enum act)what, HOLD_JOBS | HOLD_DP))
			steps++;
		assert_true(steps > 10);
		for (steps = 0; ends_after(steps, (enum act)what, 0);)
			steps++;
	}
}

/* ---- failures ------------------------------------------------------------------------------ */

enum fault { ALLOC, ALLOC_ON, JOB, OP, FAULTS };

static struct node *victim(struct duo *d, int of_b)
{
	return of_b ? d->b : d->c;
}

static long fault_at(const struct node *n, enum fault what)
{
	return what == JOB ? n->n_jobs : what == OP ? n->n_ops : n->mem.calls;
}

static void set_fault(struct node *n, enum fault what, long nth)
{
	long at = nth < 0 ? -1 : fault_at(n, what) + nth;

	n->mem.fail_at = what < JOB ? at : -1;
	n->mem.fail_on = what == ALLOC_ON;
	n->fail_job = what == JOB ? at : -1;
	n->fail_op = what == OP ? at : -1;
}

/* Added, called, up, used, rekeyed, idle. */
static void live(struct duo *d)
{
	bool added;

	d->say_b.idle = d->say_c.idle = dur_s(30);
	added = node_partner_add(d->b, &d->say_b, &d->at_b) == ST_OK;
	added = node_partner_add(d->c, &d->say_c, &d->at_c) == ST_OK && added;
	if (added) {
		struct endpoint from = duo_at(d->b), to = duo_at(d->c);

		(void)!node_partner_connect(d->b, d->at_b, &from, &to);
	}
	duo_live(d, 1000, 0);
	if (duo_carries(d)) {
		(void)duo_direct(d);
		(void)!node_command(d->c, IKE_CMD_REKEY_CHILD, d->at_c);
	}
	world_live(d->w, dur_s(70));
}

/* True when it was reached. */
static bool survives(enum fault what, int of_b, long nth)
{
	struct duo d;
	bool hit;

	duo_begin(&d, 5);
	set_fault(victim(&d, of_b), what, nth);
	live(&d);
	hit = what == JOB  ? victim(&d, of_b)->n_jobs > victim(&d, of_b)->fail_job
	      : what == OP ? victim(&d, of_b)->n_ops > victim(&d, of_b)->fail_op
			   : victim(&d, of_b)->mem.refused > 0;
	set_fault(victim(&d, of_b), what, -1);
	victim(&d, of_b)->mem.fail_on = false;
	world_live(d.w, dur_s(120));
	/* Whatever it was: each end has heard that it is over, if it had begun; and only once. */
	assert_int_equal(duo_sas(d.b, d.at_b).n + duo_sas(d.c, d.at_c).n, 0);
	assert_true(node_events(d.b, IKE_EV_PARTNER_OVER) <= 1);
	assert_true(node_events(d.c, IKE_EV_PARTNER_OVER) <= 1);
	if (node_events(d.b, IKE_EV_CARRIES))
		assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 1);
	duo_drop(&d);
	world_live(d.w, dur_s(60));
	assert_true(duo_by_hub(&d));
	/* All works that worked before. */
	d.say_b.id[0] ^= 1;
	d.say_c.id[0] ^= 1;
	duo_add(&d);
	duo_call(&d);
	duo_live(&d, 1000, 0);
	assert_true(duo_direct(&d));
	duo_done(&d);
	return hit;
}

static void every_failure(void **state)
{
	(void)state;
	for (unsigned what = 0; what < FAULTS; what++)
		for (int of_b = 0; of_b < 2; of_b++) {
			long n = 0, by = what == ALLOC_ON ? 7 : 1;

			while (survives((enum fault)what, of_b, n))
				n += by;
			assert_true(n > (what < JOB ? 100 : 2));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step),
		cmocka_unit_test(every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
