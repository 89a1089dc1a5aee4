/* Partners: the tunnel between two sites that their hub suggested, from the first message to the
 * last (R05, V6, docs/protocol/shortcut.md sections 8 and 11). */
#include "exchange/exchange.h"

#include "exchange/partner.h"

/* ---- up ----------------------------------------------------------------------------------- */

/* It comes up, and packets go by the hub until ESP is known to get through, and then directly. */
static void comes_up(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 1);
	assert_true(duo_by_hub(&d));
	duo_add(&d);
	assert_string_equal(duo_state(d.b, d.at_b), "waiting");
	assert_string_equal(node_peer(d.b, d.at_b).name, "site-2.example");
	duo_call(&d);
	assert_string_equal(duo_state(d.b, d.at_b), "connecting");
	/* b: IKE_SA_INIT 0 {SA, KE, Ni, ..., N(USE_PPK), N(SHORTCUT_PROOF)}  -> */
	next_is(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(d.w, WIRE_N_SHORTCUT_PROOF);
	next_notifies(d.w, WIRE_N_USE_PPK);
	assert_int_equal(world_packet(d.w, 0)->dst.port, 4500);
	deliver_any(d.w);
	assert_string_equal(duo_state(d.c, d.at_c), "connecting");
	/* <- c: IKE_SA_INIT 0 {SA, KE, Nr, CERTREQ, ..., N(USE_PPK)} */
	next_notifies(d.w, WIRE_N_USE_PPK);
	deliver(d.w, d.c, WIRE_IKE_SA_INIT, RESPONSE, 0);
	/* b: IKE_AUTH 1 {..., N(PPK_IDENTITY)} without NO_PPK_AUTH and INITIAL_CONTACT  -> */
	next_notifies(d.w, WIRE_N_PPK_IDENTITY);
	assert_false(packet_notifies(d.w, world_packet(d.w, 0), WIRE_N_NO_PPK_AUTH));
	assert_false(packet_notifies(d.w, world_packet(d.w, 0), WIRE_N_INITIAL_CONTACT));
	deliver(d.w, d.b, WIRE_IKE_AUTH, REQUEST, 1);
	/* c has the child, receives on it, and sends by the hub. */
	assert_non_null(duo_child(d.c, d.at_c));
	assert_string_equal(duo_state(d.c, d.at_c), "connecting");
	assert_true(star_ping(&d.s, d.c, 2, d.b, 1));
	assert_true(duo_sas(d.c, d.at_c).last.ppk);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_string_equal(duo_state(d.b, d.at_b), "up");
	assert_string_equal(duo_state(d.c, d.at_c), "up");
	assert_true(duo_direct(&d));
	assert_true(duo_child(d.b, d.at_b)->encap && duo_child(d.c, d.at_c)->encap);
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	world_live(d.w, dur_s(60));
	assert_true(duo_direct(&d));
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	duo_done(&d);
}

/* Each end sends seven dummies in a second, whatever is heard. */
static void dummies(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 2);
	world_live(d.w, dur_ms(100));
	assert_int_equal(dp_fake_ops_of(d.b->dp, DP_CHILD_DUMMY), 3);
	world_live(d.w, dur_s(10));
	assert_int_equal(dp_fake_ops_of(d.b->dp, DP_CHILD_DUMMY), 7);
	assert_int_equal(dp_fake_ops_of(d.c->dp, DP_CHILD_DUMMY), 7);
	duo_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up),
		cmocka_unit_test(dummies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
