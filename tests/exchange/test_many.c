/*
 * Ten thousand sections: what a datagram costs does not depend on how many there are.  The engine
 * counts the sections and sets of proposals that it held a request against (ike.peers_compared).
 */
#include "exchange/exchange.h"

enum { MANY = 10000 };

struct many {
	struct world *w;
	struct test_conf *c;
	struct ike_peer_conf *peer;
	struct node *b;
};

/* Section i: its own name, its own address in 10.128.0.0/9 or none, the same proposals; b's. */
static void many_init(struct many *m, bool addresses)
{
	static const char *const at[] = { "192.0.2.2", NULL };

	*m = (struct many){ .w = world_new(900), .c = test_conf_new() };
	m->peer = calloc(MANY, sizeof(*m->peer));
	test_conf_peer(m->c, 1, "first", NULL, "b.example", "p0.example", 1);
	m->c->peer[0].ts_local = m->c->peer[0].ts_remote = test_conf_ts(m->c, "10.0.0.0/8");
	for (unsigned i = 0; i < MANY; i++) {
		char word[64];

		m->peer[i] = m->c->peer[0];
		m->peer[i].id = i + 1;
		snprintf(word, sizeof(word), "p%u.example", i);
		m->peer[i].remote_id = test_conf_ident(m->c, word);
		snprintf(word, sizeof(word), "10.128.%u.%u", i >> 8, i & 255);
		if (addresses)
			test_conf_addresses(m->c, &m->peer[i], word);
	}
	m->c->conf.peers = m->peer;
	m->c->conf.n_peers = MANY;
	m->b = world_node(m->w, "b", at, m->c);
}

static void many_done(struct many *m)
{
	world_free(m->w);
	free(m->peer);
}

static uint64_t compared(const struct many *m)
{
	return node_counter(m->b, "ike.peers_compared");
}

/* P4: a handshake of any of them. */
static void a_handshake(void **state)
{
	static const unsigned who[] = { 0, 1, 4711, MANY - 1 };

	(void)state;
	for (int addresses = 0; addresses < 2; addresses++) {
		struct many m;

		many_init(&m, addresses);
		for (size_t i = 0; i < ARRAY_LEN(who); i++) {
			uint64_t before = compared(&m);
			char id[32], from[32];
			struct script s;

			snprintf(id, sizeof(id), "p%u.example", who[i]);
			snprintf(from, sizeof(from), "10.128.%u.%u", who[i] >> 8, who[i] & 255);
			script_init(&s, m.w, from, m.b, true);
			s.id = id;
			script_connect(&s);
			/* One set of proposals; the section, and again after each of two jobs. */
			assert_int_equal(compared(&m) - before, 1 + 3);
			assert_int_equal(m.b->child[m.b->n_children - 1].child.peer, who[i] + 1);
			script_done(&s);
		}
		many_done(&m);
	}
}

/* Nor does what is refused, or the text about it. */
static void refusals(void **state)
{
	struct many m;
	uint64_t before;
	struct script s;

	(void)state;
	many_init(&m, true);
	before = compared(&m);
	script_init(&s, m.w, "198.51.100.1", m.b, true);
	s.ike = "aes256gcm16-prfsha384-ecp384";
	script_sa_init(&s);
	assert_true(script_exchange(&s));
	assert_non_null(script_notify(&s, WIRE_N_NO_PROPOSAL_CHOSEN));
	script_done(&s);
	assert_int_equal(compared(&m) - before, 1);
	says(m.b, IKE_EV_REFUSED, "\"first\" and 9999 more accept aes128gcm16-prfsha256-x25519");

	before = compared(&m);
	script_init(&s, m.w, "198.51.100.2", m.b, true);
	s.id = "nobody.example";
	script_sa_init(&s);
	assert_true(script_exchange(&s));
	script_begin(&s, WIRE_IKE_AUTH, false);
	script_put_auth_request(&s);
	script_send(&s);
	assert_true(script_exchange(&s));
	assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
	assert_int_equal(compared(&m) - before, 1);
	says(m.b, IKE_EV_REFUSED, "it calls itself nobody.example");
	says(m.b, IKE_EV_REFUSED, "wants p3.example");
	says(m.b, IKE_EV_REFUSED, "; and 9996 more");
	assert_string_equal(node_event(m.b, IKE_EV_REFUSED)->identity, "nobody.example");
	script_done(&s);
	many_done(&m);
}

/* Sections with several proposals of their own: the address picks the right ones, for anybody else
 * each set is asked once. */
static void different_proposals(void **state)
{
	static const char *const words[] = { "aes256gcm16-prfsha384-ecp384",
					     "aes128gcm16-prfsha256-ecp256",
					     "aes256gcm16-prfsha256-x25519" };
	static const char *const at[] = { "192.0.2.2", NULL };
	struct wire_sa sa[6]; /* what is written twice is the same */
	struct many m;
	struct script s;

	(void)state;
	many_init(&m, true);
	ike_conf_ref(&m.c->conf);
	node_kill(m.b);
	for (unsigned i = 0; i < ARRAY_LEN(sa); i++)
		sa[i] = test_conf_sa(m.c, WIRE_PROTO_IKE, words[i % 3]);
	for (unsigned i = 0; i < MANY; i++)
		m.peer[i].ike = sa[i % ARRAY_LEN(sa)];
	world_free(m.w);
	m.w = world_new(901);
	m.b = world_node(m.w, "b", at, m.c);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t before = compared(&m);
		bool known = i < 3;
		char from[32];

		/* i % 3 says what it offers; a known address what its section wants. */
		snprintf(from, sizeof(from), known ? "10.128.1.%u" : "198.51.100.%u", i + 2);
		script_init(&s, m.w, from, m.b, true);
		s.ike = words[i % 3];
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		assert_true(s.in.present & WIRE_BIT(WIRE_P_KE));
		assert_int_equal(compared(&m) - before, known ? 1 : 1 + i % 3);
		script_done(&s);
	}
	many_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake),
		cmocka_unit_test(refusals),
		cmocka_unit_test(different_proposals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
