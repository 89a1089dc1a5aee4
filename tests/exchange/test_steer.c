/*
 * Who calls us is sent on to another gateway (RFC 5685): by order, or as the configuration says;
 * whom, when, how many, and who is not (R07, F10).
 */
#include "exchange/hubs.h"

/* ---- orders --------------------------------------------------------------------------------- */

enum { SITES = 6 };

/* One after the other, in time; and who comes meanwhile is sent on as well. */
static void all_of_them(void **state)
{
	struct ike_cmd off = { .kind = IKE_CMD_REDIRECT_OFF };
	struct hubs *h = *state;
	struct world *w = h->s.w;
	struct node *n[SITES];
	unsigned told = 1;

	start_hubs(h);
	for (unsigned i = 0; i < SITES - 1; i++)
		n[i] = join(h, i + 1);
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	assert_int_equal(world_packets(w), 1);
	for (unsigned i = 1; i < SITES - 1; i++) {
		world_advance(w, dur_ms(1000 / IKE_REDIRECTS_PER_S - 1));
		assert_int_equal(world_packets(w), told);
		world_advance(w, dur_ms(1));
		assert_int_equal(world_packets(w), ++told);
	}
	world_run(w);
	n[SITES - 1] = join(h, SITES);
	world_live(w, dur_s(IKE_HANDOVER_S + 1));
	for (unsigned i = 0; i < SITES; i++)
		assert_true(served_by(h, n[i], i + 1, h->hub2));
	assert_true(node_is_down(h->s.hub));
	assert_int_equal(node_cmd(h->s.hub, &off), ST_OK);
	assert_int_equal(order(h->hub2, 0, HUB), ST_OK);
	world_live(w, dur_s(IKE_HANDOVER_S + 1));
	for (unsigned i = 0; i < SITES; i++)
		assert_true(served_by(h, n[i], i + 1, h->s.hub));
}

/* Those whose turn had not come yet stay. */
static void off_in_time(void **state)
{
	struct ike_cmd off = { .kind = IKE_CMD_REDIRECT_OFF };
	struct hubs *h = *state;
	struct node *n[SITES];
	unsigned moved = 0;

	start_hubs(h);
	for (unsigned i = 0; i < SITES; i++)
		n[i] = join(h, i + 1);
	assert_int_equal(order(h->s.hub, STAR_PEER, HUB2), ST_OK);
	world_advance(h->s.w, dur_ms(2 * 1000 / IKE_REDIRECTS_PER_S));
	assert_int_equal(node_cmd(h->s.hub, &off), ST_OK);
	world_live(h->s.w, dur_s(60));
	for (unsigned i = 0; i < SITES; i++)
		moved += served_by(h, n[i], i + 1, h->hub2);
	assert_int_equal(moved, 3);
	for (unsigned i = 0; i < SITES; i++)
		assert_true(served_by(h, n[i], i + 1, i < 3 ? h->hub2 : h->s.hub));
}

struct seen {
	size_t n;
	char text[256];
};

static bool on_order(void *ctx, const struct ike_redirect_info *info)
{
	struct seen *s = ctx;

	s->n++;
	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s>%s ", info->name,
		 info->gateway);
	return true;
}

static void orders_are_shown(void **state)
{
	struct hubs *h = *state;
	struct seen s = { 0 };

	start_hubs(h);
	(void)join(h, 1);
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	assert_int_equal(order(h->s.hub, STAR_PEER, "192.0.2.98"), ST_OK);
	assert_int_equal(order(h->s.hub, STAR_PEER, "192.0.2.99"), ST_OK);
	ike_each_redirect(h->s.hub->ike, on_order, &s);
	assert_string_equal(s.text, "corp>192.0.2.99 >192.0.2.2 ");
	/* One for all takes the place of everything. */
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	memset(&s, 0, sizeof(s));
	ike_each_redirect(h->s.hub->ike, on_order, &s);
	assert_string_equal(s.text, ">192.0.2.2 ");
}

/* Who stays all the same goes when the time is over, whatever was rekeyed meanwhile. */
static void the_bound_passes(void **state)
{
	struct hubs *h = *state;
	struct node *n;

	h->s.ph->redirect_wait = dur_s(30);
	start_hubs(h);
	n = join(h, 1);
	n->conf->peer[0].follow = false; /* it changes its mind */
	assert_int_equal(order(h->s.hub, STAR_PEER, HUB2), ST_OK);
	world_run(h->s.w);
	because(n, IKE_EV_REFUSED, IKE_R_REDIRECT);
	assert_int_equal(node_counter(n, "ike.redirect.unwanted"), 1);
	assert_true(served_by(h, n, 1, h->s.hub));
	world_live(h->s.w, dur_s(20));
	assert_int_equal(node_command(n, IKE_CMD_REKEY_SA, STAR_PEER), ST_OK);
	world_live(h->s.w, dur_s(9));
	assert_int_equal(node_counter(n, "ike.sa.rekeyed"), 1);
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.not_left"), 0);
	world_live(h->s.w, dur_s(2));
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.not_left"), 1);
}

/* While something else is under way: it waits for its turn; and what was rekeyed is told, too. */
static void among_other_exchanges(void **state)
{
	struct hubs *h = *state;
	struct node *n;

	start_hubs(h);
	n = join(h, 1);
	assert_int_equal(
		node_command(h->s.hub, IKE_CMD_REKEY_CHILD, star_member(&h->s, "site-1.example")),
		ST_OK);
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	assert_int_equal(world_packets(h->s.w), 1);
	assert_int_equal(node_command(n, IKE_CMD_REKEY_SA, STAR_PEER), ST_OK);
	world_live(h->s.w, dur_s(60));
	assert_true(served_by(h, n, 1, h->hub2));
	assert_true(node_is_down(h->s.hub));
}

/* Nothing that would be of use. */
static void wrong_orders(void **state)
{
	static const char *const gateway[] = {
		"",        "0.0.0.0",   "::",    "127.0.0.1", "224.0.0.1",
		"no name", "-.example", "1.2.3", "a..b",      "\x01",
	};
	char too_long[IKE_GATEWAY_TEXT + 10];
	struct hubs *h = *state;
	struct ike_cmd off = { .kind = IKE_CMD_REDIRECT_OFF };

	start_hubs(h);
	(void)join(h, 1);
	for (unsigned i = 0; i < ARRAY_LEN(gateway); i++)
		assert_int_equal(order(h->s.hub, 0, gateway[i]), ST_INVAL);
	memset(too_long, 'a', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(order(h->s.hub, 0, too_long), ST_INVAL);
	assert_int_equal(order(h->s.hub, 0, NULL), ST_INVAL);
	assert_int_equal(order(h->s.hub, 77, HUB2), ST_INVAL);
	assert_int_equal(node_cmd(h->s.hub, &off), ST_REFUSE);
	assert_null(world_packet(h->s.w, 0));
}

/* ---- newcomers ------------------------------------------------------------------------------ */

/* From so many SAs on; who is here may make another SA in the place of the one that he has. */
static void newcomers_above_a_threshold(void **state)
{
	struct hubs *h = *state;
	struct node *n[3];

	send_to(h->s.ch, h->s.ph, HUB2);
	h->s.ph->redirect_above = 2;
	start_hubs(h);
	for (unsigned i = 0; i < 3; i++) {
		struct star_site site = a_site(h, i + 1);

		site.p->life.reauth = dur_s(100);
		n[i] = start_site(h, &site);
		world_run(h->s.w);
	}
	assert_true(served_by(h, n[0], 1, h->s.hub));
	assert_true(served_by(h, n[1], 2, h->s.hub));
	assert_true(served_by(h, n[2], 3, h->hub2));
	world_live(h->s.w, dur_s(1000));
	assert_true(node_events(n[0], IKE_EV_SA_UP) > 5);
	assert_true(served_by(h, n[0], 1, h->s.hub));
	assert_true(served_by(h, n[1], 2, h->s.hub));
	assert_true(served_by(h, n[2], 3, h->hub2));
	assert_int_equal(node_events(n[0], IKE_EV_REDIRECTED), 0);
}

/* Two that point at each other, by address: nobody is bounced. */
static void ping_pong(void **state)
{
	struct hubs *h = *state;
	struct node *n;

	for (int cookies = 0; cookies < 2; cookies++) {
		if (cookies)
			h->s.ch->conf.half_open_cookie = h->c2->conf.half_open_cookie = 0;
		if (!h->s.hub) {
			send_to(h->s.ch, h->s.ph, HUB2);
			send_to(h->c2, h->p2, HUB);
			start_hubs(h);
		}
		n = join(h, (unsigned)cookies + 1);
		assert_true(served_by(h, n, (unsigned)cookies + 1, h->hub2));
		assert_int_equal(node_counter(h->hub2, "ike.redirect.ping_pong"), cookies + 1);
		assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 1);
	}
}

/* Sections that say different things: what holds is known when the caller has said who it is, not
 * before. */
static void lists_of_two_sections(void **state)
{
	static const struct {
		const char *one, *two; /* NULL: none */
		unsigned above;
		bool early; /* the same for everybody */
	} rows[] = {
		{ HUB2, HUB2, 0, true },
		{ HUB2, NULL, 0, false },
		{ HUB2, "hub2.example.net", 0, false },
		{ HUB2, HUB2, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ike_peer_conf *other;
		void *v = NULL;
		struct hubs *h;
		struct node *n;

		(void)setup_hubs(&v);
		h = v;
		h->s.ch->conf.half_open_cookie = 0;
		other = test_conf_peer(h->s.ch, 2, "other", NULL, "hub.example", "x.example", 3);
		other->ts_local = test_conf_ts(h->s.ch, "10.0.0.0/8");
		other->ts_remote = test_conf_ts(h->s.ch, "10.77.0.0/16");
		send_to(h->s.ch, h->s.ph, rows[i].one);
		if (rows[i].two)
			send_to(h->s.ch, other, rows[i].two);
		other->redirect_above = rows[i].above;
		start_hubs(h);
		n = join(h, 1);
		assert_true(served_by(h, n, 1, h->hub2));
		/* Without IKE_AUTH there is nothing that we authenticated. */
		assert_int_equal(node_counter(h->s.hub, "ike.sa.established"), !rows[i].early);
		assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 1);
		(void)teardown_hubs(&v);
	}
}

/* Orders about some, of which the newest holds; and one about all, which those do not hide from
 * who is nobody yet. */
static void orders_about_some(void **state)
{
	struct ike_cmd off = { .kind = IKE_CMD_REDIRECT_OFF, .peer = STAR_PEER };
	struct hubs *h = *state;
	struct node *n;

	h->s.ch->conf.half_open_cookie = 0;
	start_hubs(h);
	(void)join(h, 1);
	assert_int_equal(order(h->s.hub, star_member(&h->s, "site-1.example"), HUB2), ST_OK);
	world_live(h->s.w, dur_s(30));
	/* A single member is no newcomer: others are served. */
	n = join(h, 2);
	assert_true(served_by(h, n, 2, h->s.hub));
	assert_int_equal(order(h->s.hub, 0, "hub2.example.net"), ST_OK);
	assert_int_equal(order(h->s.hub, STAR_PEER, HUB2), ST_OK);
	world_live(h->s.w, dur_s(30));
	assert_true(served_by(h, n, 2, h->hub2));
	n = join(h, 3);
	assert_true(served_by(h, n, 3, h->hub2));
	assert_int_equal(node_cmd(h->s.hub, &off), ST_OK);
	n = join(h, 4);
	assert_true(served_by(h, n, 4, h->hub2));
}

/* One that is told to send callers to another address of its own: it knows whom it sent. */
static void to_another_address_of_ours(void **state)
{
	const struct ip other = test_ip("192.0.2.77");
	struct hubs *h = *state;
	struct ip remote;
	struct node *n;

	h->s.ch->conf.half_open_cookie = 0;
	send_to(h->s.ch, h->s.ph, "192.0.2.77");
	start_hubs(h);
	node_moves(h->s.hub, HUB, "192.0.2.77");
	n = join(h, 1);
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.ping_pong"), 1);
	assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 1);
	remote = node_sa(n).info.remote.ip;
	assert_true(ip_eq(&remote, &other));
	assert_true(world_ping(h->s.w, n, "10.1.0.1", h->s.hub, "10.9.0.1"));
	assert_true(world_ping(h->s.w, h->s.hub, "10.9.0.1", n, "10.1.0.1"));
}

/* strongSwan says so, and does not survive the other way: it is served, and sent on right after.
 *
 *	script				b
 *	IKE_AUTH {.., EAP_ONLY_AUTHENTICATION}	->
 *		<- {IDr, AUTH, SA, TSi, TSr}
 *		<- INFORMATIONAL {REDIRECT}
 */
static void rather_in_the_session(void **state)
{
	struct pair *p = *state;
	struct script s;

	send_to(p->cb, p->pb, HUB2);
	pair_start_b(p);
	script_init(&s, p->w, "192.0.2.1", p->b, true);
	s.redirects = true;
	script_sa_init(&s);
	assert_true(script_exchange(&s) && s.keyed);
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_auth_request(&s);
	wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_EAP_ONLY_AUTHENTICATION,
			bytes_of(NULL, 0));
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_true(s.in.sa.n == 1 && !script_notify(&s, WIRE_N_REDIRECT));
	assert_int_equal(p->b->n_children, 1);
	assert_true(script_take(&s) && s.opened);
	assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
	assert_non_null(script_notify(&s, WIRE_N_REDIRECT));
	assert_int_equal(node_counter(p->b, "ike.redirect.sent"), 1);
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		hubs_test(all_of_them),
		hubs_test(off_in_time),
		hubs_test(orders_are_shown),
		hubs_test(the_bound_passes),
		hubs_test(among_other_exchanges),
		hubs_test(wrong_orders),
		hubs_test(newcomers_above_a_threshold),
		hubs_test(ping_pong),
		cmocka_unit_test(lists_of_two_sections),
		hubs_test(orders_about_some),
		hubs_test(to_another_address_of_ours),
		pair_test(rather_in_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
