/* CREATE_CHILD_SA: what is asked for and granted, refused and why; RFC 7296 sections 1.3, 2.8,
 * 2.9.2, 2.17, 2.18, 2.25. */
#include "exchange/exchange.h"

#include "ike/limits.h"

static int setup_up(void **state)
{
	static struct pair p;

	pair_init(&p, 900);
	p.pa->dpd_delay = p.pb->dpd_delay = dur_s(30);
	pair_up(&p);
	*state = &p;
	return 0;
}

static int setup_down(void **state)
{
	static struct pair p;

	pair_init(&p, 901);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	pair_done(*state);
	return 0;
}

static void command(struct node *n, enum ike_cmd_kind kind)
{
	assert_int_equal(node_command(n, kind, PAIR_PEER), ST_OK);
}

static bool traffic(struct pair *p)
{
	return world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1") &&
	       world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1");
}

/* What was replaced receives for a moment, and is gone then. */
static void nothing_lingers(struct pair *p)
{
	world_live(p->w, dur_s(IKE_CHILD_LINGER_S + 1));
	assert_int_equal(p->a->n_quiet, 0);
	assert_int_equal(p->b->n_quiet, 0);
	assert_true(pair_is_up(p));
}

/* ---- rekeying a child ------------------------------------------------------------------------ */

/*	HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr}  -->
 *			<--  HDR, SK {SA, Nr, TSi, TSr}
 *	HDR, SK {D(old)}  -->
 *			<--  HDR, SK {D(old)}				*/
static void child_is_replaced(void **state)
{
	struct pair *p = *state;

	for (int i = 0; i < 2; i++) {
		struct node *n = i ? p->b : p->a, *m = i ? p->a : p->b;
		uint32_t in = node_child(n)->spi_in, out = node_child(n)->spi_out;

		command(n, IKE_CMD_REKEY_CHILD);
		assert_int_equal(world_packets(p->w), 1);
		world_run(p->w);
		assert_true(pair_is_up(p));
		assert_int_not_equal(node_child(n)->spi_in, in);
		assert_int_not_equal(node_child(n)->spi_out, out);
		assert_int_equal(node_child(n)->spi_in, node_child(m)->spi_out);
		assert_int_equal(node_events(n, IKE_EV_CHILD_REKEYED), i + 1);
		assert_int_equal(node_events(m, IKE_EV_CHILD_REKEYED), i + 1);
		assert_int_equal(node_events(n, IKE_EV_CHILD_UP), 1);
		assert_int_equal(node_events(n, IKE_EV_CHILD_DOWN), 0);
		assert_int_equal(n->n_quiet, 1);
		nothing_lingers(p);
	}
}

/* ---- rekeying the IKE SA --------------------------------------------------------------------- */

static void ike_sa_is_replaced(void **state)
{
	struct pair *p = *state;

	for (int i = 0; i < 2; i++) {
		struct node *n = i ? p->b : p->a;
		struct node_sa old = node_sa(n);
		uint32_t spi = node_child(n)->spi_in;

		command(n, IKE_CMD_REKEY_SA);
		world_run(p->w);
		assert_true(pair_is_up(p));
		assert_int_equal(node_child(n)->spi_in, spi);
		assert_true(node_sa(n).info.spi_i != old.info.spi_i);
		assert_true(node_sa(n).info.initiator);
		assert_string_equal(node_sa(n).remote_id, old.remote_id);
		assert_int_equal(node_events(p->a, IKE_EV_SA_REKEYED), i + 1);
		assert_int_equal(node_events(p->b, IKE_EV_SA_REKEYED), i + 1);
		assert_int_equal(node_events(p->a, IKE_EV_SA_DOWN), 0);
		assert_int_equal(node_events(p->b, IKE_EV_SA_DOWN), 0);
		world_live(p->w, dur_s(60));
		assert_int_equal(ike_totals(p->a->ike).sas, 1);
		assert_int_equal(ike_totals(p->b->ike).sas, 1);
		assert_true(pair_is_up(p));
	}
	command(p->a, IKE_CMD_REKEY_CHILD);
	world_run(p->w);
	assert_true(pair_is_up(p));
	settle(p);
	assert_true(pair_is_down(p));
}

/* ---- more children --------------------------------------------------------------------------- */

static void further_children(void **state)
{
	struct pair *p = *state;

	command(p->a, IKE_CMD_NEW_CHILD);
	world_run(p->w);
	command(p->b, IKE_CMD_NEW_CHILD);
	world_run(p->w);
	assert_int_equal(p->a->n_children, 3);
	assert_int_equal(p->b->n_children, 3);
	assert_int_equal(node_sa(p->a).info.n_children, 3);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_UP), 3);
	assert_int_equal(node_events(p->b, IKE_EV_CHILD_UP), 3);
	assert_true(traffic(p));
	command(p->b, IKE_CMD_REKEY_CHILD);
	world_run(p->w);
	/* One that a asked for waits until a shows that it has it. */
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 2);
	world_live(p->w, dur_s(180));
	assert_int_equal(p->a->n_children, 3);
	assert_int_equal(p->b->n_children, 3);
	assert_int_equal(node_events(p->a, IKE_EV_CHILD_REKEYED), 3);
	assert_true(traffic(p));
	settle(p);
	assert_true(pair_is_down(p));
}

/* ---- perfect forward secrecy --------------------------------------------------------------- */

static void every_pfs_group(void **state)
{
	static const char *const groups[] = { "x25519", "ecp256", "ecp384" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct pair p;
		char esp[64];

		snprintf(esp, sizeof(esp), "aes128gcm16-%s", groups[i]);
		pair_init(&p, 910 + i);
		p.pa->esp = test_conf_sa(p.ca, WIRE_PROTO_ESP, esp);
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, esp);
		pair_up(&p);
		command(p.a, IKE_CMD_REKEY_CHILD);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		says(p.b, IKE_EV_CHILD_REKEYED, groups[i]);
		command(p.b, IKE_CMD_REKEY_CHILD);
		world_run(p.w);
		assert_true(pair_is_up(&p));
		assert_int_equal(node_events(p.a, IKE_EV_CHILD_REKEYED), 2);
		pair_done(&p);
	}
}

/*	..., KEi (group 19), ...  -->
 *			<--  HDR, SK {N(INVALID_KE_PAYLOAD, 31)}
 *	..., KEi (group 31), ...  -->				*/
static void other_group(void **state)
{
	struct pair *p = *state;

	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-ecp256-x25519");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	pair_up(p);
	command(p->a, IKE_CMD_REKEY_CHILD);
	world_run(p->w);
	assert_true(pair_is_up(p));
	says(p->a, IKE_EV_CHILD_REKEYED, "x25519");
	assert_int_equal(node_counter(p->a, "ike.other_group"), 1);
	assert_int_equal(node_counter(p->b, "ike.refused.key_exchange"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(child_is_replaced, setup_up, teardown),
		cmocka_unit_test_setup_teardown(ike_sa_is_replaced, setup_up, teardown),
		cmocka_unit_test_setup_teardown(further_children, setup_up, teardown),
		cmocka_unit_test(every_pfs_group),
		cmocka_unit_test_setup_teardown(other_group, setup_down, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
