/*
 * A hub whose one peer is a pattern, *.example, and several clients that fit: each is a counterpart
 * of its own.  SAs of one client settle among themselves; those of others hear nothing of it (P4:
 * the cost of a set-up must not grow with the number of clients).
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

/* A client that lost its memory comes back and says that it starts afresh (INITIAL_CONTACT, RFC 7296
 * section 2.4): its old SA goes at once, other clients' stay. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_do_not_disturb_each_other),
		cmocka_unit_test(a_client_that_restarted_replaces_its_own),
		cmocka_unit_test(a_client_is_known_in_capitals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
