/* Sent on to another gateway (RFC 5685), in all three places, from both ends (R07, F10). */
#include "exchange/hubs.h"

/* The oldest datagram, as it is to be looked at. */
static struct bytes notify_data(struct world *w, uint16_t type, uint8_t buf[512])
{
	struct packet *p = world_packet(w, 0);
	const struct wire_notify *n;
	struct opened o;
	size_t len;

	assert_true(packet_open(w, p, &o));
	n = wire_find_notify(opened_payloads(&o), type);
	assert_non_null(n);
	assert_int_equal(n->proto, WIRE_PROTO_NONE);
	assert_int_equal(n->spi.n, 0);
	len = n->data.n;
	assert_true(len <= 512);
	memcpy(buf, n->data.p, len);
	opened_done(&o);
	return bytes_of(buf, len);
}

static bool next_has(struct world *w, uint16_t type)
{
	return packet_notifies(w, world_packet(w, 0), type);
}

/* ---- the three places ----------------------------------------------------------------------- */

/*
 *	site-1				hub		hub2
 *	IKE_SA_INIT {REDIRECT_SUPPORTED} ->
 *		<- {COOKIE}
 *	IKE_SA_INIT {COOKIE, ..}	->
 *		<- {REDIRECT, hub2, Ni}
 *	IKE_SA_INIT {REDIRECTED_FROM, hub}		->
 */
static void in_the_first_exchange(void **state)
{
	static const uint8_t gateway[] = { WIRE_GW_IPV4, 4, 192, 0, 2, 2 };
	static const uint8_t from[] = { WIRE_GW_IPV4, 4, 192, 0, 2, 1 };
	struct hubs *h = *state;
	struct world *w = h->s.w;
	struct bytes data, nonce;
	uint8_t buf[512], ni[512];
	struct star_site site;
	struct opened o;
	struct node *n;

	h->s.ch->conf.half_open_cookie = 0;
	send_to(h->s.ch, h->s.ph, HUB2);
	start_hubs(h);
	site = a_site(h, 1);
	n = start_site(h, &site);
	assert_true(next_has(w, WIRE_N_REDIRECT_SUPPORTED));
	assert_false(next_has(w, WIRE_N_REDIRECTED_FROM));
	assert_int_equal(notify_data(w, WIRE_N_REDIRECT_SUPPORTED, buf).n, 0);
	deliver(w, n, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, h->s.hub, WIRE_IKE_SA_INIT, RESPONSE, 0);
	assert_true(packet_open(w, world_packet(w, 0), &o));
	memcpy(ni, o.msg.clear.nonce.p, o.msg.clear.nonce.n);
	nonce = bytes_of(ni, o.msg.clear.nonce.n);
	opened_done(&o);
	deliver(w, n, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_is(w, h->s.hub, WIRE_IKE_SA_INIT, RESPONSE, 0);
	data = notify_data(w, WIRE_N_REDIRECT, buf);
	assert_int_equal(data.n, sizeof(gateway) + nonce.n);
	assert_memory_equal(data.p, gateway, sizeof(gateway));
	assert_memory_equal(data.p + sizeof(gateway), nonce.p, nonce.n);
	assert_memory_equal(packet_ike(world_packet(w, 0)).p + 8, "\0\0\0\0\0\0\0", 8);
	/* The hub did nothing for it, and has nothing of it. */
	assert_int_equal(h->s.hub->n_jobs, 0);
	assert_true(node_is_down(h->s.hub));
	deliver_any(w);
	next_is(w, n, WIRE_IKE_SA_INIT, REQUEST, 0);
	data = notify_data(w, WIRE_N_REDIRECTED_FROM, buf);
	assert_int_equal(data.n, sizeof(from));
	assert_memory_equal(data.p, from, sizeof(from));
	world_run(w);
	assert_true(served_by(h, n, 1, h->hub2));
	assert_int_equal(node_events(n, IKE_EV_REFUSED), 0);
	assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 1);
	says(n, IKE_EV_REDIRECTED, "from 192.0.2.1 to 192.0.2.2, in IKE_SA_INIT");
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.sent"), 1);
	assert_int_equal(node_counter(n, "ike.redirect.followed"), 1);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, HUB2);
}

/*
 *	IKE_AUTH {IDi, CERT, AUTH, SA, TSi, TSr}	->
 *		<- {IDr, CERT, AUTH, REDIRECT, hub2}
 *	INFORMATIONAL {DELETE}		->
 */
static void when_it_is_known_who_it_is(void **state)
{
	static const uint8_t gateway[] = { WIRE_GW_IPV4, 4, 192, 0, 2, 2 };
	struct hubs *h = *state;
	struct world *w = h->s.w;
	struct star_site site;
	struct bytes data;
	uint8_t buf[512];
	struct opened o;
	struct node *n;

	send_to(h->s.ch, h->s.ph, HUB2);
	start_hubs(h);
	site = a_site(h, 1);
	n = start_site(h, &site);
	deliver(w, n, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(w, h->s.hub, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(w, n, WIRE_IKE_AUTH, REQUEST, 1);
	next_is(w, h->s.hub, WIRE_IKE_AUTH, RESPONSE, 1);
	data = notify_data(w, WIRE_N_REDIRECT, buf);
	assert_int_equal(data.n, sizeof(gateway)); /* and no nonce */
	assert_memory_equal(data.p, gateway, sizeof(gateway));
	assert_true(packet_open(w, world_packet(w, 0), &o));
	assert_true(o.inner.present & WIRE_BIT(WIRE_P_AUTH));
	assert_false(o.inner.present & WIRE_BIT(WIRE_P_SA));
	opened_done(&o);
	assert_int_equal(h->s.hub->n_children, 0);
	assert_int_equal(node_events(h->s.hub, IKE_EV_REFUSED), 0);
	says(h->s.hub, IKE_EV_REDIRECTED, "sent on to 192.0.2.2");
	deliver_any(w);
	world_run(w);
	assert_true(served_by(h, n, 1, h->hub2));
	assert_true(node_is_down(h->s.hub));
	says(n, IKE_EV_REDIRECTED, "in IKE_AUTH");
	assert_string_equal(node_peer(n, STAR_PEER).last_error, "");
}

/*
 *	site-1				hub		hub2
 *		<- INFORMATIONAL {REDIRECT, hub2}
 *	INFORMATIONAL {}		->
 *	IKE_SA_INIT, IKE_AUTH				->
 *	INFORMATIONAL {DELETE}		->		a moment later
 */
static void in_a_session(void **state)
{
	struct hubs *h = *state;
	struct world *w = h->s.w;
	struct node *n, *hub;
	uint8_t buf[512];
	bool moved = false;

	start_hubs(h);
	hub = h->s.hub;
	n = join(h, 1);
	assert_true(served_by(h, n, 1, hub));
	assert_int_equal(order(hub, star_member(&h->s, "site-1.example"), "hub2.example.net"),
			 ST_OK);
	next_is(w, hub, WIRE_INFORMATIONAL, REQUEST, 0);
	assert_int_equal(notify_data(w, WIRE_N_REDIRECT, buf).n, 2 + strlen("hub2.example.net"));
	deliver(w, hub, WIRE_INFORMATIONAL, REQUEST, 0);
	deliver(w, n, WIRE_INFORMATIONAL, RESPONSE, 0);
	/* Make before break: after each message there is a way for packets, both ways. */
	while (world_packet(w, 0)) {
		bool there = world_ping(w, n, "10.1.0.1", h->hub2, "10.250.0.1");

		assert_true(there || world_ping(w, n, "10.1.0.1", hub, "10.250.0.1"));
		assert_true(there || !moved);
		moved |= there;
		deliver_any(w);
	}
	assert_true(moved);
	assert_int_equal(node_counter(hub, "ike.redirect.not_left"), 0);
	assert_int_equal(hub->n_children, 1);
	world_live(w, dur_s(IKE_HANDOVER_S + 1));
	assert_true(served_by(h, n, 1, h->hub2));
	assert_true(node_is_down(hub));
	says(n, IKE_EV_REDIRECTED, "in the session");
	says(hub, IKE_EV_SA_DOWN, "deleted by the peer");
}

/* ---- gateways as they are named ------------------------------------------------------------- */

static void all_kinds_of_names(void **state)
{
	static const char *const gateway[] = { HUB2, "2001:db8::2", "hub2.example.net",
					       "hub2.example.net." };
	struct hubs *h = *state;
	struct node *n;

	world_name(h->s.w, "hub2.example.net.", HUB2);
	start_hubs(h);
	for (unsigned i = 0; i < ARRAY_LEN(gateway); i++) {
		assert_int_equal(order(h->s.hub, 0, gateway[i]), ST_OK);
		n = join(h, i + 1);
		assert_true(served_by(h, n, i + 1, h->hub2));
	}
}

/* ---- who is not sent on --------------------------------------------------------------------- */

static void who_cannot_be(void **state)
{
	struct hubs *h = *state;
	struct star_site site = a_site(h, 1);
	struct node *n;

	send_to(h->s.ch, h->s.ph, HUB2);
	start_hubs(h);
	site.p->follow = false;
	n = start_site(h, &site);
	assert_false(next_has(h->s.w, WIRE_N_REDIRECT_SUPPORTED));
	world_run(h->s.w);
	assert_true(served_by(h, n, 1, h->s.hub));
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.unsupported"), 1);
	assert_int_equal(order(h->s.hub, star_member(&h->s, "site-1.example"), HUB2), ST_REFUSE);
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	assert_null(world_packet(h->s.w, 0));
}

/* The same by name, which nobody can tell from a third gateway: five times, then the client has
 * enough, and says no more that it can be sent on (section 7). */
static void circles(void **state)
{
	struct hubs *h = *state;
	struct node *n;
	mono_t begun;

	send_to(h->s.ch, h->s.ph, "hub2.example.net");
	send_to(h->c2, h->p2, "hub.example.net");
	start_hubs(h);
	begun = h->s.w->now.mono;
	n = join(h, 1);
	assert_true(served_by(h, n, 1, h->s.hub));
	assert_int_equal(mono_since(h->s.w->now.mono, begun).ns, 0);
	assert_int_equal(node_events(n, IKE_EV_REDIRECTED), IKE_MAX_REDIRECTS);
	because(n, IKE_EV_REFUSED, IKE_R_REDIRECT);
	says(n, IKE_EV_REFUSED, "more than 5 times in 300 s");
	assert_int_equal(node_counter(n, "ike.redirect.loop"), 1);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, "");
	assert_in_range(node_peer(n, STAR_PEER).held_in.ns, 1, dur_s(IKE_REDIRECT_HOLD_S).ns);
	/* Not even in the session that it has. */
	assert_int_equal(order(h->s.hub, star_member(&h->s, "site-1.example"), HUB2), ST_REFUSE);
	world_live(h->s.w, dur_s(IKE_REDIRECT_HOLD_S + 1));
	assert_int_equal(node_peer(n, STAR_PEER).held_in.ns, -1);
	assert_true(served_by(h, n, 1, h->s.hub));
	/* From then on it would be again. */
	assert_int_equal(node_command(n, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(h->s.w);
	assert_int_equal(node_command(n, IKE_CMD_UP, STAR_PEER), ST_OK);
	assert_true(next_has(h->s.w, WIRE_N_REDIRECT_SUPPORTED));
	world_run(h->s.w);
	assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 2 * IKE_MAX_REDIRECTS);
	assert_true(served_by(h, n, 1, h->s.hub));
}

/* ---- where it leads ------------------------------------------------------------------------- */

/* To nobody: a few tries, and back. */
static void to_nobody(void **state)
{
	static const char *const gateway[] = { "192.0.2.99", "nobody.example.net" };
	struct hubs *h = *state;

	for (unsigned i = 0; i < ARRAY_LEN(gateway); i++) {
		struct node *n;

		if (!i) {
			send_to(h->s.ch, h->s.ph, gateway[0]);
			start_hubs(h);
		} else {
			assert_int_equal(order(h->s.hub, 0, gateway[i]), ST_OK);
			world_run(h->s.w);
		}
		n = join(h, i + 1);
		world_live(h->s.w, dur_s(15));
		assert_true(served_by(h, n, i + 1, h->s.hub));
		says(n, IKE_EV_REFUSED, gateway[i]);
		says(n, IKE_EV_REFUSED, "back to the configured addresses");
		assert_int_equal(node_counter(n, "ike.redirect.failed"), 1);
	}
}

/* To one that has no business there: whoever answers has to be a hub of the network (section 3). */
static void to_an_impostor(void **state)
{
	struct hubs *h = *state;
	struct node *n;

	test_conf_cert_blocks(h->c2, h->p2, STAR_HUB_KEY + 7, STAR_CA, STAR_CA, "10.7.0.0/16");
	send_to(h->s.ch, h->s.ph, HUB2);
	start_hubs(h);
	n = join(h, 1);
	world_live(h->s.w, dur_s(5));
	assert_true(served_by(h, n, 1, h->s.hub));
	assert_int_equal(h->hub2->n_children, 0);
	assert_int_equal(node_counter(n, "ike.redirect.failed"), 1);
	/* In a session: nothing is lost. */
	assert_int_equal(node_counter(n, "ike.redirect.followed"), 1);
}

/* In a session, to nobody: what there is stays, until the hub has enough of it; and then the site
 * comes back, and is served. */
static void away_to_nobody(void **state)
{
	struct hubs *h = *state;
	struct node *n;

	h->s.ph->redirect_wait = dur_s(30);
	start_hubs(h);
	n = join(h, 1);
	assert_int_equal(order(h->s.hub, STAR_PEER, "192.0.2.99"), ST_OK);
	for (int s = 0; s < 29; s++) {
		world_live(h->s.w, dur_s(1));
		assert_true(world_ping(h->s.w, n, "10.1.0.1", h->s.hub, "10.250.0.1"));
	}
	says(n, IKE_EV_REFUSED, "the tunnel that there is stays");
	assert_int_equal(node_events(n, IKE_EV_SA_UP), 1);
	world_live(h->s.w, dur_s(2));
	assert_int_equal(node_counter(h->s.hub, "ike.redirect.not_left"), 1);
	world_live(h->s.w, dur_s(5));
	assert_true(served_by(h, n, 1, h->s.hub));
	assert_int_equal(node_counter(n, "ike.redirect.followed"), 1);
}

/* It is called first for as long as it serves; when it is gone the configured ones are. */
static void kept_for_as_long_as_it_serves(void **state)
{
	struct hubs *h = *state;
	struct star_site site = a_site(h, 1);
	struct node *n;
	unsigned asked;

	site.p->life.reauth = dur_s(100);
	site.p->dpd_delay = dur_s(10);
	send_to(h->s.ch, h->s.ph, HUB2);
	start_hubs(h);
	n = start_site(h, &site);
	world_run(h->s.w);
	asked = h->s.hub->sent;
	world_live(h->s.w, dur_s(500));
	assert_true(node_events(n, IKE_EV_SA_UP) > 3);
	assert_true(served_by(h, n, 1, h->hub2));
	assert_int_equal(h->s.hub->sent, asked);
	assert_int_equal(node_events(n, IKE_EV_REDIRECTED), 1);
	/* The first hub sends it there again, since it knows no better; that leads nowhere. */
	node_kill(h->hub2);
	world_live(h->s.w, dur_s(300));
	assert_true(served_by(h, n, 1, h->s.hub));
	assert_string_equal(node_peer(n, STAR_PEER).gateway, "");
}

/* What an operator takes down, and a section with other names, begin with the names. */
static void names_again(void **state)
{
	struct hubs *h = *state;
	struct test_conf *c;
	struct node *n;

	start_hubs(h);
	assert_int_equal(order(h->s.hub, 0, HUB2), ST_OK);
	n = join(h, 1);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, HUB2);
	assert_int_equal(node_command(n, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, "");
	world_run(h->s.w);
	assert_int_equal(node_command(n, IKE_CMD_UP, STAR_PEER), ST_OK);
	world_run(h->s.w);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, HUB2);
	c = test_conf_copy(n->conf);
	test_conf_addresses(c, &c->peer[0], "hub.example.net");
	node_reconfigure(n, c);
	assert_string_equal(node_peer(n, STAR_PEER).gateway, "");
}

/* The attempt that renews an SA may be sent on as well: the SA stays meanwhile. */
static void while_an_sa_is_renewed(void **state)
{
	struct hubs *h = *state;
	struct star_site site = a_site(h, 1);
	struct test_conf *c;
	struct node *n;

	site.p->life.reauth = dur_s(100);
	start_hubs(h);
	n = start_site(h, &site);
	world_run(h->s.w);
	assert_true(served_by(h, n, 1, h->s.hub));
	c = test_conf_copy(h->s.hub->conf);
	send_to(c, &c->peer[0], HUB2);
	node_reconfigure(h->s.hub, c);
	assert_null(world_packet(h->s.w, 0)); /* who is here stays */
	for (int s = 0; s < 100; s++) {
		world_live(h->s.w, dur_s(1));
		assert_true(world_ping(h->s.w, n, "10.1.0.1", h->s.hub, "10.250.0.1") ||
			    world_ping(h->s.w, n, "10.1.0.1", h->hub2, "10.250.0.1"));
	}
	assert_true(served_by(h, n, 1, h->hub2));
}

/* ---- a peer of the configuration ------------------------------------------------------------ */

static void peers_only_if_told_to(void **state)
{
	(void)state;
	for (int follow = 0; follow < 2; follow++) {
		static const char *const at[] = { "192.0.2.3", NULL };
		struct test_conf *c = test_conf_new();
		struct ike_peer_conf *pc;
		struct node *other;
		struct pair p;

		pair_init(&p, 5);
		p.pa->follow = follow;
		send_to(p.cb, p.pb, "192.0.2.3");
		/* Another gateway of that name. */
		pc = test_conf_peer(c, PAIR_PEER, "a", NULL, "b.example", "a.example", 1);
		pc->ts_local = test_conf_ts(c, "10.2.0.0/16");
		pc->ts_remote = test_conf_ts(c, "10.1.0.0/16");
		pair_start(&p);
		other = world_node(p.w, "c", at, c);
		connect(p.a);
		world_run(p.w);
		assert_int_equal(node_sa(p.a).info.remote.ip.b[3], follow ? 3 : 2);
		assert_int_equal(other->n_children, follow);
		assert_int_equal(p.b->n_children, !follow);
		pair_done(&p);
	}
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Whatever is refused at either end: in the end the site is served, by one of them. */
static void nth_allocation_fails(void **state)
{
	void *fresh;

	(void)state;
	for (int at_hub = 0; at_hub < 2; at_hub++)
		for (long n = 0;; n++) {
			struct hubs *h;
			struct node *site, *weak;
			bool over;

			setup_hubs(&fresh);
			h = fresh;
			start_hubs(h);
			site = join(h, 1);
			weak = at_hub ? h->s.hub : site;
			weak->mem.fail_at = weak->mem.calls + n;
			(void)!order(h->s.hub, 0, "hub2.example.net");
			world_live(h->s.w, dur_s(100));
			over = weak->mem.fail_at >= weak->mem.calls;
			weak->mem.fail_at = -1;
			world_live(h->s.w, dur_s(100));
			assert_true(served_by(h, site, 1, h->hub2) ||
				    served_by(h, site, 1, h->s.hub));
			teardown_hubs(&fresh);
			if (over)
				break;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		hubs_test(in_the_first_exchange),
		hubs_test(when_it_is_known_who_it_is),
		hubs_test(in_a_session),
		hubs_test(all_kinds_of_names),
		hubs_test(who_cannot_be),
		hubs_test(circles),
		hubs_test(to_nobody),
		hubs_test(to_an_impostor),
		hubs_test(away_to_nobody),
		hubs_test(kept_for_as_long_as_it_serves),
		hubs_test(names_again),
		hubs_test(while_an_sa_is_renewed),
		cmocka_unit_test(peers_only_if_told_to),
		cmocka_unit_test(nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
