/* Partners: the tunnel between two sites that their hub suggested, from the first message to the
 * last (T3, U2, R09, docs/protocol/shortcut.md sections 8 and 11). */
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

/* ---- what does not get through ------------------------------------------------------------- */

/* IKE gets through and ESP does not: 3 s later it is over at both ends, and all the time the hub
 * had the traffic. */
static void esp_is_dropped(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 10);
	duo_add(&d);
	duo_call(&d);
	duo_live(&d, 2900, LOSE_ESP);
	assert_int_equal(duo_sas(d.b, d.at_b).n, 1);
	assert_string_equal(duo_state(d.b, d.at_b), "connecting");
	assert_true(duo_by_hub(&d));
	assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 0);
	duo_live(&d, 200, LOSE_ESP);
	duo_over(d.b, IKE_R_PATH);
	says(d.b, IKE_EV_PARTNER_OVER, "no ESP packet");
	assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 1);
	assert_int_equal(node_counter(d.b, "ike.partner.path"), 1);
	duo_is_over(&d);
	duo_done(&d);
}

/* One way only: who hears nothing ends it. */
static void esp_one_way(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 11);
	duo_add(&d);
	duo_call(&d);
	for (int t = 0; t < 3500; t += 5) {
		for (struct packet *p; (p = world_packet(d.w, 0)) != NULL;)
			if (p->esp && ip_eq(&p->dst.ip, &d.b->address[0]) &&
			    duo_lost(&d, p, LOSE_ESP))
				world_drop(d.w, p);
			else
				world_deliver(d.w, p);
		world_advance(d.w, dur_ms(5));
	}
	assert_int_equal(node_events(d.c, IKE_EV_CARRIES), 1);
	assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 0);
	duo_over(d.b, IKE_R_PATH);
	duo_over(d.c, IKE_R_PEER_SAID);
	duo_is_over(&d);
	duo_done(&d);
}

/* Nobody answers: over in about 4 s, once. */
static void no_answer(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 12);
	duo_add(&d);
	duo_call(&d);
	duo_live(&d, 3800, LOSE_ALL);
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	duo_live(&d, 500, LOSE_ALL);
	duo_over(d.b, IKE_R_NO_ANSWER);
	/* c was never called: it waits, until somebody has it no more. */
	duo_live(&d, 60000, LOSE_ALL);
	assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 0);
	duo_over(d.b, IKE_R_NO_ANSWER);
	assert_string_equal(duo_state(d.b, d.at_b), "waiting");
	duo_is_over(&d);
	duo_done(&d);
}

/* Who answered IKE_SA_INIT and never hears again gives up, too. */
static void no_more_of_the_caller(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 13);
	duo_add(&d);
	duo_call(&d);
	deliver(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
	duo_live(&d, 15000, LOSE_ALL);
	duo_over(d.c, IKE_R_NO_ANSWER);
	duo_over(d.b, IKE_R_NO_ANSWER);
	duo_is_over(&d);
	duo_done(&d);
}

/* Any message of the handshake is lost, once: it comes up, soon. */
static void loss(void **state)
{
	(void)state;
	for (int nth = 0; nth < 4; nth++) {
		struct duo d;
		int seen = 0;

		duo_begin(&d, 20 + (uint64_t)nth);
		duo_add(&d);
		duo_call(&d);
		for (int t = 0; t < 1500; t += 5) {
			for (struct packet *p; (p = world_packet(d.w, 0)) != NULL;)
				if (!p->esp && duo_lost(&d, p, LOSE_IKE) && seen++ == nth)
					world_drop(d.w, p);
				else
					world_deliver(d.w, p);
			world_advance(d.w, dur_ms(5));
		}
		assert_true(duo_carries(&d));
		assert_true(duo_direct(&d));
		duo_done(&d);
	}
}

/* ---- suspect ------------------------------------------------------------------------------ */

/* The direct way fails: in less than a second all goes by the hub, and directly again when the
 * other end answers. */
static void suspect_and_back(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 30);
	d.b->looks = d.c->looks = true;
	for (int t = 0; t < 1000; t += 50) {
		node_packet(d.b, "10.1.0.1", "10.2.0.1");
		duo_live(&d, 50, LOSE_ALL);
	}
	assert_int_equal(node_events(d.b, IKE_EV_SUSPECT), 1);
	assert_int_equal(dp_fake_ops_of(d.b->dp, DP_CHILD_PAUSE), 1);
	assert_false(duo_child(d.b, d.at_b)->outbound);
	assert_true(star_ping(&d.s, d.b, 1, d.c, 2));
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	duo_live(&d, 3000, 0);
	assert_int_equal(node_events(d.b, IKE_EV_ALIVE), 1);
	assert_true(duo_child(d.b, d.at_b)->outbound);
	assert_true(duo_direct(&d));
	assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 1);
	duo_done(&d);
}

/* It does not come back. */
static void dead(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 31);
	d.b->looks = true;
	for (int t = 0; t < 1000; t += 50) {
		node_packet(d.b, "10.1.0.1", "10.2.0.1");
		duo_live(&d, 50, LOSE_ALL);
	}
	assert_int_equal(node_events(d.b, IKE_EV_SUSPECT), 1);
	duo_live(&d, 300000, LOSE_ALL);
	duo_over(d.b, IKE_R_NO_ANSWER);
	assert_true(star_ping(&d.s, d.b, 1, d.c, 2));
	duo_done(&d);
}

/* A restart: the other end is suspect at once, its partner is dropped, and another one made. */
static void restart(void **state)
{
	(void)state;
	for (int of_b = 0; of_b < 2; of_b++) {
		struct duo d;
		struct node *lost, *left;

		duo_up(&d, 32 + (uint64_t)of_b);
		lost = of_b ? d.b : d.c;
		left = of_b ? d.c : d.b;
		left->looks = true;
		node_restart(lost);
		world_run(d.w);
		for (int t = 0; t < 1500; t += 50) {
			node_packet(left, of_b ? "10.2.0.1" : "10.1.0.1",
				    of_b ? "10.1.0.1" : "10.2.0.1");
			duo_live(&d, 50, 0);
		}
		assert_int_equal(node_events(left, IKE_EV_SUSPECT), 1);
		assert_true(duo_by_hub(&d));
		node_partner_drop(left, of_b ? d.at_c : d.at_b, "it has restarted");
		*(of_b ? &d.at_c : &d.at_b) = 0;
		duo_live(&d, 30000, 0);
		memset(d.say_b.id, 0x77, sizeof(d.say_b.id));
		memset(d.say_c.id, 0x77, sizeof(d.say_c.id));
		duo_add(&d);
		duo_call(&d);
		duo_live(&d, 1000, 0);
		assert_true(duo_direct(&d));
		duo_done(&d);
	}
}

/* ---- idle --------------------------------------------------------------------------------- */

/* As long as there is traffic that counts it stays, then it goes; at one end's wish, or at both's
 * at once.  New keys are no traffic. */
static void idle(void **state)
{
	(void)state;
	for (unsigned who = 1; who < 4; who++) {
		struct duo d;

		duo_begin(&d, 40 + who);
		d.say_b.idle = who & 1 ? dur_s(60) : dur_s(0);
		d.say_c.idle = who & 2 ? dur_s(60) : dur_s(0);
		duo_add(&d);
		duo_call(&d);
		world_live(d.w, dur_s(1));
		assert_true(duo_carries(&d));
		assert_int_equal(duo_child(d.b, d.at_b)->counts, who & 1);
		for (int i = 0; i < 5; i++) {
			world_live(d.w, dur_s(40));
			assert_true(duo_direct(&d));
			assert_int_equal(node_command(d.b, IKE_CMD_REKEY_CHILD, d.at_b), ST_OK);
		}
		world_live(d.w, dur_s(30));
		assert_true(duo_direct(&d));
		assert_int_equal(node_command(d.b, IKE_CMD_REKEY_SA, d.at_b), ST_OK);
		world_live(d.w, dur_s(50));
		assert_int_equal(duo_sas(d.b, d.at_b).n, 1);
		world_live(d.w, dur_s(30));
		duo_over(d.b, who & 1 ? IKE_R_IDLE : IKE_R_PEER_SAID);
		duo_over(d.c, who & 2 ? IKE_R_IDLE : IKE_R_PEER_SAID);
		says(who & 1 ? d.b : d.c, IKE_EV_PARTNER_OVER, "idle");
		duo_is_over(&d);
		world_live(d.w, dur_s(100));
		assert_int_equal(duo_sas(d.b, d.at_b).n + duo_sas(d.c, d.at_c).n, 0);
		duo_done(&d);
	}
}

/* ---- rekeying, moving --------------------------------------------------------------------- */

static void rekeys(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 50);
	for (int i = 0; i < 4; i++) {
		struct node *n = i & 1 ? d.b : d.c;
		ike_peer_id at = i & 1 ? d.at_b : d.at_c;

		assert_int_equal(
			node_command(n, i & 2 ? IKE_CMD_REKEY_SA : IKE_CMD_REKEY_CHILD, at), ST_OK);
		for (int k = 0; k < 20; k++) {
			assert_true(duo_direct(&d));
			duo_live(&d, 20, 0);
		}
		world_live(d.w, dur_s(100));
		assert_true(duo_direct(&d));
	}
	assert_int_equal(node_counter(d.b, "ike.sa.rekeyed"), 2);
	assert_int_equal(node_counter(d.b, "ike.child.rekeyed"), 2);
	assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 1);
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	assert_true(duo_sas(d.b, d.at_b).last.ppk);
	duo_done(&d);
}

/* New keys while nothing is sent: nor on the new ones. */
static void rekey_while_suspect(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 51);
	d.b->looks = true;
	for (int t = 0; t < 800; t += 50) {
		node_packet(d.b, "10.1.0.1", "10.2.0.1");
		duo_live(&d, 50, LOSE_ALL);
	}
	assert_int_equal(node_events(d.b, IKE_EV_SUSPECT), 1);
	/* c's request gets through and its answer does not: b makes a child, and is not suspicious
	 * any more, since it hears. */
	assert_int_equal(node_command(d.c, IKE_CMD_REKEY_CHILD, d.at_c), ST_OK);
	duo_live(&d, 5000, 0);
	assert_int_equal(node_events(d.b, IKE_EV_ALIVE), 1);
	assert_true(duo_direct(&d));
	world_live(d.w, dur_s(60));
	assert_true(duo_direct(&d));
	duo_done(&d);
}

static struct node *roaming(struct star *s, unsigned number)
{
	struct star_site site = star_site(s, number, NULL, NULL);
	struct node *n;
	char at[32];

	snprintf(at, sizeof(at), "192.0.2.%u", 10 + number);
	site.p->mobike = true;
	n = star_start(s, &site);
	node_moves(n, at, NULL);
	world_run(s->w);
	assert_true(star_is_up(s, n, number));
	return n;
}

static void roam_begin(struct duo *d, uint64_t seed)
{
	*d = (struct duo){ 0 };
	star_init(&d->s, seed);
	d->s.ph->mobike = true;
	star_hub(&d->s);
	d->w = d->s.w;
	d->hub = d->s.hub;
	d->b = roaming(&d->s, 1);
	d->c = roaming(&d->s, 2);
	d->say_b = duo_word(d->b, 1, 2);
	d->say_c = duo_word(d->c, 2, 1);
	duo_add(d);
	duo_call(d);
	world_run(d->w);
	assert_true(duo_carries(d));
}

/* Who called moves, and the tunnel with it; who was called moves, and the tunnel follows, or ends
 * and leaves nothing behind. */
static void moves(void **state)
{
	(void)state;
	for (int of_b = 0; of_b < 2; of_b++) {
		struct duo d;

		roam_begin(&d, 52 + (uint64_t)of_b);
		node_moves(of_b ? d.b : d.c, "198.51.100.7", NULL);
		world_live(d.w, dur_s(30));
		assert_true(duo_by_hub(&d) || duo_direct(&d));
		if (of_b)
			assert_true(duo_direct(&d));
		world_live(d.w, dur_s(400));
		assert_true(node_events(d.b, IKE_EV_PARTNER_OVER) <= 1);
		assert_true(node_events(d.c, IKE_EV_PARTNER_OVER) <= 1);
		assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER),
				 duo_sas(d.b, d.at_b).n == 0);
		assert_true(duo_by_hub(&d) || duo_direct(&d));
		duo_done(&d);
	}
}

/* ---- ending ------------------------------------------------------------------------------- */

static void taken_down(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 60);
	assert_int_equal(node_command(d.b, IKE_CMD_DOWN, d.at_b), ST_OK);
	duo_over(d.b, IKE_R_POLICY);
	says(d.b, IKE_EV_PARTNER_OVER, "taken down by the operator");
	assert_string_equal(node_peer(d.b, d.at_b).last_error, "taken down by the operator");
	world_run(d.w);
	duo_over(d.c, IKE_R_PEER_SAID);
	duo_is_over(&d);
	/* It is one IKE SA for each suggestion. */
	assert_int_equal(node_command(d.b, IKE_CMD_UP, d.at_b), ST_INVAL);
	assert_int_equal(
		node_partner_connect(d.b, d.at_b, &(struct endpoint){ 0 }, &(struct endpoint){ 0 }),
		ST_INVAL);
	duo_done(&d);
	/* One that waits. */
	duo_begin(&d, 61);
	duo_add(&d);
	assert_int_equal(node_command(d.c, IKE_CMD_DOWN, d.at_c), ST_OK);
	duo_over(d.c, IKE_R_POLICY);
	duo_call(&d);
	duo_live(&d, 6000, 0);
	duo_over(d.b, IKE_R_NO_ANSWER);
	duo_over(d.c, IKE_R_POLICY);
	duo_done(&d);
}

/* Its only child goes: it is over. */
static void child_taken_down(void **state)
{
	struct duo d;
	struct ike_cmd cmd = { .kind = IKE_CMD_DOWN_CHILD };

	(void)state;
	duo_up(&d, 62);
	cmd.child = duo_child(d.b, d.at_b)->id;
	assert_int_equal(node_cmd(d.b, &cmd), ST_OK);
	duo_over(d.b, IKE_R_POLICY);
	world_run(d.w);
	assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 1);
	duo_is_over(&d);
	duo_done(&d);
}

static void shutdown(void **state)
{
	struct duo d;
	struct ike_cmd cmd = { .kind = IKE_CMD_SHUTDOWN };

	(void)state;
	duo_up(&d, 63);
	assert_int_equal(node_cmd(d.b, &cmd), ST_OK);
	assert_false(ike_idle(d.b->ike));
	world_run(d.w);
	assert_true(ike_idle(d.b->ike));
	duo_over(d.c, IKE_R_PEER_SAID);
	assert_int_equal(node_partner_add(d.b, &d.say_b, &d.at_b), ST_INVAL);
	duo_done(&d);
}

/* T4: what the other end has under way when one of them drops it still arrives; what comes after
 * that goes by the hub. */
static void dropped_under_way(void **state)
{
	struct duo d;
	unsigned before;

	(void)state;
	duo_up(&d, 65);
	before = d.b->inner_seen;
	node_packet(d.c, "10.2.0.1", "10.1.0.1");
	node_partner_drop(d.b, d.at_b, "withdrawn");
	assert_int_equal(d.b->inner_seen, before);
	world_run(d.w);
	assert_int_equal(d.b->inner_seen, before + 1);
	duo_drop(&d);
	assert_true(duo_by_hub(&d));
	duo_done(&d);
}

/* IKE overtakes ESP. */
static void ike_first(struct world *w)
{
	for (size_t i = 0; i < world_packets(w);) {
		struct packet *p = world_packet(w, i);

		if (p->esp) {
			i++;
		} else {
			world_deliver(w, p);
			i = 0;
		}
	}
	world_run(w);
}

static void take_down_child(struct node *n, ike_peer_id at)
{
	struct ike_cmd cmd = { .kind = IKE_CMD_DOWN_CHILD, .child = duo_child(n, at)->id };

	assert_int_equal(node_cmd(n, &cmd), ST_OK);
}

/* T4: whichever end drops it: what both have under way is heard, also when it comes after all that
 * IKE has to say; nothing is sent on it from then on, and a few seconds later nothing is left.
 * Who has its child taken down by the operator hears nothing more itself. */
static void overtaken(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool child = i & 1, by_c = i & 2, b_hears = !child || by_c,
		     c_hears = !child || !by_c;
		struct duo d;
		unsigned at_b, at_c;

		duo_up(&d, 170 + i);
		at_b = d.b->inner_seen;
		at_c = d.c->inner_seen;
		node_packet(d.b, "10.1.0.1", "10.2.0.1");
		node_packet(d.c, "10.2.0.1", "10.1.0.1");
		if (child)
			take_down_child(by_c ? d.c : d.b, by_c ? d.at_c : d.at_b);
		else
			node_partner_drop(by_c ? d.c : d.b, by_c ? d.at_c : d.at_b, "withdrawn");
		ike_first(d.w);
		assert_int_equal(d.b->inner_seen, at_b + b_hears);
		assert_int_equal(d.c->inner_seen, at_c + c_hears);
		duo_is_over(&d);
		assert_int_equal(node_events(d.b, IKE_EV_SA_DOWN), 1);
		assert_int_equal(node_events(d.c, IKE_EV_SA_DOWN), 1);
		duo_drop(&d);
		assert_int_equal(d.b->n_quiet, b_hears);
		assert_int_equal(d.c->n_quiet, c_hears);
		world_live(d.w, dur_s(6));
		assert_int_equal(d.b->n_quiet + d.c->n_quiet, 0);
		assert_int_equal(ike_totals(d.b->ike).sas, 1);
		assert_int_equal(ike_totals(d.c->ike).sas, 1);
		assert_int_equal(node_events(d.b, IKE_EV_SA_DOWN), 1);
		duo_done(&d);
	}
}

/* Who goes altogether does not wait for it. */
static void overtaken_and_gone(void **state)
{
	struct duo d;
	struct ike_cmd cmd = { .kind = IKE_CMD_SHUTDOWN };

	(void)state;
	duo_up(&d, 175);
	node_partner_drop(d.c, d.at_c, "withdrawn");
	world_run(d.w);
	assert_int_equal(node_cmd(d.b, &cmd), ST_OK);
	world_run(d.w);
	assert_true(ike_idle(d.b->ike));
	duo_done(&d);
}

static void dropped(void **state)
{
	struct duo d;

	(void)state;
	duo_up(&d, 64);
	node_partner_drop(d.b, d.at_b, "withdrawn");
	assert_null(duo_child(d.b, d.at_b));
	/* The same once more, though the old one still says goodbye. */
	assert_int_equal(node_partner_add(d.b, &d.say_b, &d.at_b), ST_OK);
	world_run(d.w);
	duo_over(d.c, IKE_R_PEER_SAID);
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
	says(d.b, IKE_EV_SA_DOWN, "deleted");
	duo_drop(&d);
	node_partner_drop(d.b, 4711, "unknown");
	node_partner_drop(d.b, STAR_PEER, "no partner");
	assert_true(duo_by_hub(&d));
	duo_done(&d);
}

/* ---- adding ------------------------------------------------------------------------------- */

static void bad_words(void **state)
{
	struct duo d;
	struct ike_partner p;
	struct endpoint from, to;
	ike_peer_id id;

	(void)state;
	duo_begin(&d, 70);
	p = d.say_b;
	p.network = 4711;
	assert_int_equal(node_partner_add(d.b, &p, &id), ST_INVAL);
	p = d.say_b;
	p.remote_id = test_conf_ident(d.b->conf, "*.example");
	assert_int_equal(node_partner_add(d.b, &p, &id), ST_INVAL);
	p.remote_id = (struct policy_ident){ 0 };
	assert_int_equal(node_partner_add(d.b, &p, &id), ST_INVAL);
	p = d.say_b;
	p.remote_id = p.local_id;
	assert_int_equal(node_partner_add(d.b, &p, &id), ST_INVAL);
	p = d.say_b;
	p.ts_remote.n = 0;
	assert_int_equal(node_partner_add(d.b, &p, &id), ST_INVAL);
	/* A hub's members are no hub. */
	assert_int_equal(node_partner_add(d.hub, &d.say_b, &id), ST_INVAL);
	duo_add(&d);
	assert_int_equal(node_partner_add(d.b, &d.say_b, &id), ST_INVAL);
	/* From a port that is not for NAT traversal; to nowhere; in another family. */
	from = duo_at(d.b);
	to = duo_at(d.c);
	from.port = 500;
	assert_int_equal(node_partner_connect(d.b, d.at_b, &from, &to), ST_INVAL);
	from.port = 4500;
	to.port = 0;
	assert_int_equal(node_partner_connect(d.b, d.at_b, &from, &to), ST_INVAL);
	to = (struct endpoint){ test_ip("2001:db8::1"), 4500 };
	assert_int_equal(node_partner_connect(d.b, d.at_b, &from, &to), ST_INVAL);
	assert_int_equal(node_partner_connect(d.b, STAR_PEER, &from, &from), ST_INVAL);
	duo_call(&d);
	to = duo_at(d.c);
	assert_int_equal(node_partner_connect(d.b, d.at_b, &from, &to), ST_INVAL);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_int_equal(node_partner_connect(d.b, d.at_b, &from, &to), ST_INVAL);
	duo_done(&d);
}

/* A thousand come and go, and one too many. */
static void many(void **state)
{
	enum { ALL = 1024 };
	static ike_peer_id id[ALL];
	struct duo d;
	size_t live, bytes;

	(void)state;
	duo_begin(&d, 71);
	for (int round = 0; round < 2; round++) {
		live = d.b->mem.live;
		bytes = d.b->mem.live_bytes;
		for (unsigned i = 0; i < ALL; i++) {
			store_be32(d.say_b.id, i);
			assert_int_equal(node_partner_add(d.b, &d.say_b, &id[i]), ST_OK);
		}
		store_be32(d.say_b.id, ALL);
		assert_int_equal(node_partner_add(d.b, &d.say_b, &d.at_b), ST_AGAIN);
		for (unsigned i = 0; i < ALL; i++)
			node_partner_drop(d.b, id[i], "enough");
		if (round) {
			assert_int_equal(d.b->mem.live, live);
			assert_int_equal(d.b->mem.live_bytes, bytes);
		}
	}
	memcpy(d.say_b.id, d.say_c.id, sizeof(d.say_b.id));
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	duo_done(&d);
}

/* ---- another configuration ---------------------------------------------------------------- */

enum edit { NOTHING, DPD, HUB_NAME, REVOKED, OWN_CERT, ANCHORS, PROPOSALS, DOMAIN, REMOVED, EDITS };

static struct test_conf *edited(struct node *n, enum edit e)
{
	struct test_conf *c = test_conf_copy(n->conf);
	struct ike_peer_conf *p = &c->peer[0];

	switch (e) {
	case DPD: p->dpd_delay = dur_s(7); break;
	case HUB_NAME: test_conf_addresses(c, p, "192.0.2.1 192.0.2.99"); break;
	case REVOKED: test_conf_revoke(c, p, STAR_HUB_KEY + 2, STAR_CA); break;
	case OWN_CERT: p->own_digest[0] ^= 1; break;
	case ANCHORS: p->peer_digest[0] ^= 1; break;
	case PROPOSALS: p->esp = test_conf_sa(c, WIRE_PROTO_ESP, "aes256gcm16-esn"); break;
	case DOMAIN: p->domain = test_conf_ts(c, "10.1.0.0/16 10.9.0.0/16"); break;
	case REMOVED: c->conf.n_peers = 0; break;
	default: break;
	}
	return c;
}

static void reloads(void **state)
{
	static const struct {
		enum ike_reason why; /* NONE: it stays */
	} rows[EDITS] = {
		[REVOKED] = { IKE_R_REVOKED }, [OWN_CERT] = { IKE_R_POLICY },
		[ANCHORS] = { IKE_R_POLICY },  [PROPOSALS] = { IKE_R_POLICY },
		[DOMAIN] = { IKE_R_POLICY },   [REMOVED] = { IKE_R_POLICY },
	};

	(void)state;
	for (unsigned e = 0; e < EDITS; e++) {
		struct duo d;

		duo_up(&d, 80 + e);
		node_reconfigure(d.b, edited(d.b, (enum edit)e));
		world_live(d.w, dur_s(1));
		if (rows[e].why) {
			duo_over(d.b, rows[e].why);
			duo_over(d.c, IKE_R_PEER_SAID);
		} else {
			assert_true(duo_direct(&d));
			assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 0);
			assert_int_equal(node_peer(d.b, d.at_b).conf->dpd_delay.ns,
					 e == DPD ? dur_s(7).ns : 0);
			/* The configuration that it was made of is gone. */
			assert_int_equal(node_command(d.b, IKE_CMD_REKEY_CHILD, d.at_b), ST_OK);
			world_live(d.w, dur_s(60));
			assert_true(duo_direct(&d));
		}
		duo_drop(&d);
		world_live(d.w, dur_s(60));
		duo_done(&d);
	}
}

/* In the middle of the handshake, and before it. */
static void reload_meanwhile(void **state)
{
	(void)state;
	for (int at = 0; at < 6; at++)
		for (int other = 0; other < 2; other++) {
			struct duo d;

			duo_begin(&d, 100 + (uint64_t)at);
			duo_add(&d);
			if (at)
				duo_call(&d);
			for (int i = 1; i < at; i++)
				deliver_any(d.w);
			node_reconfigure(d.b, edited(d.b, other ? PROPOSALS : NOTHING));
			node_reconfigure(d.c, edited(d.c, other ? PROPOSALS : NOTHING));
			if (!at && !other)
				duo_call(&d);
			world_live(d.w, dur_s(60));
			if (other) {
				duo_over(d.b, IKE_R_POLICY);
				duo_over(d.c, IKE_R_POLICY);
			} else {
				assert_true(duo_direct(&d));
			}
			duo_done(&d);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up),
		cmocka_unit_test(dummies),
		cmocka_unit_test(esp_is_dropped),
		cmocka_unit_test(esp_one_way),
		cmocka_unit_test(no_answer),
		cmocka_unit_test(no_more_of_the_caller),
		cmocka_unit_test(loss),
		cmocka_unit_test(suspect_and_back),
		cmocka_unit_test(dead),
		cmocka_unit_test(restart),
		cmocka_unit_test(idle),
		cmocka_unit_test(rekeys),
		cmocka_unit_test(rekey_while_suspect),
		cmocka_unit_test(moves),
		cmocka_unit_test(taken_down),
		cmocka_unit_test(child_taken_down),
		cmocka_unit_test(shutdown),
		cmocka_unit_test(dropped),
		cmocka_unit_test(dropped_under_way),
		cmocka_unit_test(overtaken),
		cmocka_unit_test(overtaken_and_gone),
		cmocka_unit_test(bad_words),
		cmocka_unit_test(many),
		cmocka_unit_test(reloads),
		cmocka_unit_test(reload_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
