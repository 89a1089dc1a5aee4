/*
 * Sections that stand for many.  A hub whose one peer is a pattern, *.example, and several clients
 * that fit: each is a counterpart of its own.  SAs of one client settle among themselves; those of
 * others hear nothing of it (P4: the cost of a set-up must not grow with the number of clients).
 */
#include "exchange/exchange.h"

enum { HUB_PEER = 1 };

struct hub {
	struct world *w;
	struct node *hub;
};

static struct node *client(struct hub *h, const char *name, const char *const *addresses,
			   const char *ident, const char *prefix)
{
	struct test_conf *c = test_conf_new();
	struct ike_peer_conf *p =
		test_conf_peer(c, HUB_PEER, "hub", "192.0.2.1", ident, "hub.example", 1);

	p->ts_local = test_conf_ts(c, prefix);
	p->ts_remote = test_conf_ts(c, "10.0.0.0/8");
	return world_node(h->w, name, addresses, c);
}

static void hub_init(struct hub *h, uint64_t seed)
{
	static const char *const addresses[] = { "192.0.2.1", NULL };
	struct test_conf *c = test_conf_new();
	struct ike_peer_conf *p =
		test_conf_peer(c, HUB_PEER, "clients", NULL, "hub.example", "*.example", 1);

	p->ts_local = p->ts_remote = test_conf_ts(c, "10.0.0.0/8");
	h->w = world_new(seed);
	h->hub = world_node(h->w, "hub", addresses, c);
}

/* The hub's peer of that name, or 0. */
struct find {
	const char *name;
	ike_peer_id id;
};

static bool match(void *ctx, const struct ike_peer_info *info)
{
	struct find *f = ctx;

	if (strcmp(info->name, f->name) == 0)
		f->id = info->id;
	return !f->id;
}

static ike_peer_id named(const struct node *n, const char *name)
{
	struct find f = { name, 0 };

	ike_each_peer(n->ike, n->w->now, 0, match, &f);
	return f.id;
}

static void connect_all(struct hub *h, struct node *n)
{
	assert_int_equal(node_command(n, IKE_CMD_UP, HUB_PEER), ST_OK);
	world_run(h->w);
}

static size_t established(const struct node *n)
{
	struct node_sa sa[8];
	size_t count = node_sas(n, sa, ARRAY_LEN(sa)), up = 0;

	for (size_t i = 0; i < count; i++)
		up += sa[i].info.established;
	return up;
}

static const char *const address_a[] = { "192.0.2.2", NULL };
static const char *const address_b[] = { "192.0.2.3", NULL };
static const char *const address_c[] = { "192.0.2.4", NULL };

/* IKE_SA_INIT and IKE_AUTH each, and not a word more. */
static void clients_do_not_disturb_each_other(void **state)
{
	struct hub h;

	(void)state;
	hub_init(&h, 700);
	connect_all(&h, client(&h, "a", address_a, "a.example", "10.2.0.0/16"));
	connect_all(&h, client(&h, "b", address_b, "b.example", "10.3.0.0/16"));
	connect_all(&h, client(&h, "c", address_c, "c.example", "10.4.0.0/16"));
	assert_int_equal(established(h.hub), 3);
	assert_int_equal(h.hub->n_children, 3);
	assert_int_equal(h.hub->sent, 3 * 2);
	world_free(h.w);
}

/* A client that lost its memory comes back and says that it starts afresh (INITIAL_CONTACT, RFC
 * 7296 section 2.4): its old SA goes at once, other clients' stay. */
static void a_client_that_restarted_replaces_its_own(void **state)
{
	struct node *a, *b;
	unsigned sent_by_b;
	struct hub h;

	(void)state;
	hub_init(&h, 710);
	a = client(&h, "a", address_a, "a.example", "10.2.0.0/16");
	b = client(&h, "b", address_b, "b.example", "10.3.0.0/16");
	connect_all(&h, a);
	connect_all(&h, b);
	sent_by_b = b->sent;
	node_restart(a);
	connect_all(&h, a);
	assert_int_equal(established(h.hub), 2);
	assert_int_equal(h.hub->n_children, 2);
	world_live(h.w, dur_s(120));
	assert_int_equal(established(h.hub), 2);
	assert_int_equal(h.hub->n_children, 2);
	assert_int_equal(b->sent, sent_by_b);
	assert_int_equal(established(a), 1);
	assert_int_equal(established(b), 1);
	world_free(h.w);
}

/* Names are the same without regard to case. */
static void a_client_is_known_in_capitals(void **state)
{
	struct node *a;
	struct hub h;

	(void)state;
	hub_init(&h, 720);
	a = client(&h, "a", address_a, "a.example", "10.2.0.0/16");
	connect_all(&h, a);
	node_kill(a);
	connect_all(&h, client(&h, "A", address_b, "A.Example", "10.2.0.0/16"));
	world_live(h.w, dur_s(120));
	assert_int_equal(established(h.hub), 1);
	assert_int_equal(h.hub->n_children, 1);
	world_free(h.w);
}

/* Each is a peer of its own, by the name it proved, with its own number in the data plane. */
static void each_identity_is_a_peer(void **state)
{
	ike_peer_id a, b;
	struct hub h;

	(void)state;
	hub_init(&h, 730);
	connect_all(&h, client(&h, "a", address_a, "a.example", "10.2.0.0/16"));
	connect_all(&h, client(&h, "b", address_b, "b.example", "10.3.0.0/16"));
	a = named(h.hub, "a.example");
	b = named(h.hub, "b.example");
	assert_true(a >= IKE_PEER_DYNAMIC && b >= IKE_PEER_DYNAMIC && a != b);
	assert_string_equal(node_peer(h.hub, a).state, "up");
	assert_ptr_equal(node_peer(h.hub, a).conf, node_peer(h.hub, HUB_PEER).conf);
	assert_string_equal(node_peer(h.hub, HUB_PEER).state, "waiting");
	assert_int_equal(h.hub->child[0].child.peer, a);
	assert_int_equal(h.hub->child[1].child.peer, b);
	assert_int_equal(node_event(h.hub, IKE_EV_CHILD_UP)->peer, b);
	assert_int_equal(node_command(h.hub, IKE_CMD_DOWN, a), ST_OK);
	world_run(h.w);
	assert_int_equal(established(h.hub), 1);
	assert_int_equal(named(h.hub, "a.example"), 0);
	assert_int_equal(node_command(h.hub, IKE_CMD_DOWN, a), ST_INVAL);
	world_free(h.w);
}

/* One identity under two sections, told apart by the name they ask for, is two peers. */
static void one_identity_under_two_sections(void **state)
{
	static const char *const addresses[] = { "192.0.2.1", NULL };
	struct test_conf *c = test_conf_new(), *cc[2];
	static const char *const name[] = { "hub.example", "other.example" };
	struct hub h;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_conf *p =
			test_conf_peer(c, 1 + i, name[i], NULL, name[i], "*.example", 1 + i);

		p->ts_local = p->ts_remote = test_conf_ts(c, "10.0.0.0/8");
	}
	h.w = world_new(740);
	h.hub = world_node(h.w, "hub", addresses, c);
	for (unsigned i = 0; i < 2; i++) {
		struct ike_peer_conf *p;

		cc[i] = test_conf_new();
		p = test_conf_peer(cc[i], HUB_PEER, "hub", "192.0.2.1", "a.example", name[i],
				   1 + i);
		p->ts_local = test_conf_ts(cc[i], i ? "10.3.0.0/16" : "10.2.0.0/16");
		p->ts_remote = test_conf_ts(cc[i], "10.0.0.0/8");
		connect_all(&h, world_node(h.w, i ? "b" : "a", i ? address_b : address_a, cc[i]));
	}
	/* INITIAL_CONTACT under the one says nothing about the other. */
	assert_int_equal(established(h.hub), 2);
	assert_int_not_equal(h.hub->child[0].child.peer, h.hub->child[1].child.peer);
	world_free(h.w);
}

/* ---- a pattern with an address: whoever answers there ---------------------------------------- */

/* It is the section itself that is connected, as what it asks for is one counterpart. */
static void who_answers_is_the_section(void **state)
{
	struct pair *p = *state;

	p->pa->remote_id = test_conf_ident(p->ca, "*.example");
	p->pa->start = IKE_START_UP;
	pair_start(p);
	world_run(p->w);
	assert_true(pair_is_up(p));
	assert_int_equal(node_child(p->a)->peer, PAIR_PEER);
	assert_string_equal(node_peer(p->a, PAIR_PEER).state, "up");
	assert_int_equal(node_peer(p->a, PAIR_PEER).remote_id.type, WIRE_ID_FQDN);
	/* Calling by itself, it is the same one. */
	assert_int_equal(node_command(p->b, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	connect_down(p->a);
	world_run(p->w);
	assert_int_equal(node_peer(p->a, PAIR_PEER).remote_id.type, 0);
	assert_int_equal(node_command(p->b, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_run(p->w);
	assert_true(named(p->a, "b.example") >= IKE_PEER_DYNAMIC);
	connect(p->a);
	deliver(p->w, p->a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p->w, p->b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	deliver(p->w, p->a, WIRE_IKE_AUTH, REQUEST, 1);
	while (node_events(p->a, IKE_EV_SA_UP) < 3)
		deliver_any(p->w);
	assert_int_equal(named(p->a, "b.example"), 0);
	world_live(p->w, dur_s(50));
	assert_true(pair_is_up(p));
	assert_int_equal(node_peer(p->a, PAIR_PEER).remote_id.type, WIRE_ID_FQDN);
	assert_int_equal(named(p->a, "b.example"), 0);
}

/* Both call at once: what the peer made is its own at first, and one with the section's when that
 * is up; every order of the messages ends in one SA. */
static void both_call_at_once(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 64; order++) {
		struct pair p;

		pair_init(&p, 760 + order);
		p.pa->remote_id = test_conf_ident(p.ca, "*.example");
		p.pa->start = p.pb->start = IKE_START_UP;
		pair_start(&p);
		for (unsigned i = 0; world_packet(p.w, 0); i++) {
			size_t n = world_packets(p.w);

			world_deliver(p.w, world_packet(p.w, (order >> (i % 6) & 1) % n));
		}
		world_live(p.w, dur_s(300));
		assert_true(pair_is_up(&p));
		assert_int_equal(node_events(p.a, IKE_EV_BUG), 0);
		pair_done(&p);
	}
}

/* Somebody else who fits the pattern and calls is somebody else. */
static void another_who_fits_is_another(void **state)
{
	struct test_conf *c = test_conf_new();
	struct pair *p = *state;
	struct ike_peer_conf *pc;
	struct node *third;

	p->pa->remote_id = test_conf_ident(p->ca, "*.example");
	p->pa->ts_remote = test_conf_ts(p->ca, "10.0.0.0/8");
	pair_up(p);
	pc = test_conf_peer(c, 1, "a", "192.0.2.1", "c.example", "a.example", 1);
	pc->ts_local = test_conf_ts(c, "10.3.0.0/16");
	pc->ts_remote = test_conf_ts(c, "10.1.0.0/16");
	third = world_node(p->w, "c", address_b, c);
	assert_int_equal(node_command(third, IKE_CMD_UP, 1), ST_OK);
	world_run(p->w);
	assert_int_equal(established(p->a), 2);
	assert_true(named(p->a, "c.example") >= IKE_PEER_DYNAMIC);
	connect_down(p->a);
	world_run(p->w);
	/* Down means all of the section's. */
	assert_int_equal(established(p->a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_do_not_disturb_each_other),
		cmocka_unit_test(a_client_that_restarted_replaces_its_own),
		cmocka_unit_test(a_client_is_known_in_capitals),
		cmocka_unit_test(each_identity_is_a_peer),
		cmocka_unit_test(one_identity_under_two_sections),
		pair_test(who_answers_is_the_section),
		cmocka_unit_test(both_call_at_once),
		pair_test(another_who_fits_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
