/*
 * Who would have what is not his by way of a shortcut: holders of other members' suggestions, hubs
 * that lie (R05, S1, S2).  Whatever they do, packets go by the hub.
 *
 *	10.1.0.0/16 -- one ==\\
 *	10.2.0.0/16 -- two === hub           mallory, 192.0.2.13: in possession of whatever it takes
 */
#include "exchange/shortcut.h"

#define MALLORY "192.0.2.13"

/* ---- what mallory knows ---------------------------------------------------------------------- */

/* Of play_suggestion(). */
static void secret_of(uint8_t id, uint8_t ret[static WIRE_MESH_SECRET])
{
	memset(ret, id ^ 0x5a, WIRE_MESH_SECRET);
}

/* docs/protocol/shortcut.md section 8. */
static void derive(const struct node *n, uint8_t id, const char *what, uint8_t ret[static 32])
{
	uint8_t secret[WIRE_MESH_SECRET], ids[WIRE_MESH_ID];
	struct bytes parts[] = { bytes_str("warren shortcut "), bytes_str(what), BYTES_OF(ids) };

	secret_of(id, secret);
	memset(ids, id, sizeof(ids));
	assert_int_equal(n->crypto.ops->prf(n->crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256,
					    BYTES_OF(secret), parts, ARRAY_LEN(parts), ret),
			 ST_OK);
}

struct claim {
	const char *certified; /* the name in its certificate, */
	crypto_ref key;
	const char *blocks; /* and the address blocks there; "-": none */
	const char *name; /* as it calls itself */
	const char *prefix;
};

/* Nobody's member: it has a certificate of the same authority. */
static struct node *mallory(struct play *p, const struct claim *c)
{
	struct star_site site = star_site(&p->s, 3, "-", c->prefix);

	site.p->start = IKE_START_LISTEN;
	site.p->local_id = test_conf_ident(site.c, c->certified);
	test_conf_cert_blocks(site.c, site.p, c->key, STAR_CA, STAR_CA,
			      c->blocks[0] == '-' ? NULL : c->blocks);
	return star_start(&p->s, &site);
}

/* It calls one or two, in possession of all that was suggested. */
static void mallory_calls(struct play *p, struct node *m, const struct claim *c, uint8_t id,
			  unsigned callee)
{
	struct endpoint from = test_endpoint(MALLORY, 4500);
	struct endpoint to = test_endpoint(callee == 1 ? "192.0.2.11" : "192.0.2.12", 4500);
	char theirs[32];
	struct ike_partner w = { .network = STAR_PEER };
	ike_peer_id at;

	(void)p;
	snprintf(theirs, sizeof(theirs), "10.%u.0.0/16", callee);
	w.local_id = test_conf_ident(m->conf, c->name);
	w.remote_id = test_conf_ident(m->conf, play_name(callee));
	w.ts_local = test_conf_ts(m->conf, c->prefix);
	w.ts_remote = test_conf_ts(m->conf, theirs);
	memset(w.id, id, sizeof(w.id));
	derive(m, id, "proof", w.proof_key);
	derive(m, id, "ppk", w.ppk);
	assert_int_equal(node_partner_add(m, &w, &at), ST_OK);
	assert_int_equal(node_partner_connect(m, at, &from, &to), ST_OK);
}

/* The child that is not the hub's. */
static const struct dp_child *direct_child(const struct node *n)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.peer != STAR_PEER)
			return &n->child[i].child;
	fail_msg("%s has no tunnel of its own", n->name);
	return NULL;
}

/* ---- a suggestion in the wrong hands --------------------------------------------------------- */

/* Id and secret do not make anybody the partner, nor do they with a member's certificate, nor with
 * the hub's: it takes the partner's own key (R05). */
static void stolen_suggestion(void **state)
{
	static const struct claim rows[] = {
		{ "site-3.example", STAR_HUB_KEY + 3, "10.3.0.0/16", ONE, "10.1.0.0/16" },
		{ "site-3.example", STAR_HUB_KEY + 3, "10.3.0.0/16", "site-3.example",
		  "10.3.0.0/16" },
		{ "site-3.example", STAR_HUB_KEY + 3, "10.3.0.0/16", "site-3.example",
		  "10.1.0.0/16" },
		{ "hub.example", STAR_HUB_KEY, "10.0.0.0/8", ONE, "10.1.0.0/16" },
		{ "hub.example", STAR_HUB_KEY, "10.0.0.0/8", "hub.example", "10.1.0.0/16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct node_shortcut s;
		struct node *m;
		struct play p;

		play_up(&p, 10 + i);
		m = mallory(&p, &rows[i]);
		play_suggest(&p, 7, 2, 1);
		world_run(p.w);
		mallory_calls(&p, m, &rows[i], 7, 2);
		world_live(p.w, dur_s(12));
		s = play_look(p.two, ONE);
		assert_string_equal(s.info.state, "failed");
		assert_int_equal(s.info.reason, WIRE_MR_AUTHENTICATION);
		if (!strstr(s.text, rows[i].name))
			fail_msg("\"%s\" is not in \"%s\"", rows[i].name, s.text);
		assert_int_equal(play_report(&p, 2).reason, WIRE_MR_AUTHENTICATION);
		assert_int_equal(m->n_children, 0);
		play_nothing_left(&p);
		play_reaches(&p);
		/* The two have theirs all the same, the next time. */
		play_both_up(&p, 8);
		play_done(&p);
	}
}

/* ---- hubs that invent partners --------------------------------------------------------------- */

/* Mallory is the hub's, or the hub itself with another certificate: it is the partner that the hub
 * has invented, and is to get two's packets.  Its own prefix it may have (S1). */
static void invented_partner(void **state)
{
	static const struct {
		struct claim is;
		enum wire_mesh_reason reason; /* 0: nothing is wrong with it */
		const char *text;
	} rows[] = {
		/* A hub under another name, by a certificate for all of the domain. */
		{ { "gw.example", STAR_HUB_KEY + 5, "10.0.0.0/8", "gw.example", "10.2.0.0/16" },
		  WIRE_MR_AUTHORITY,
		  "is a hub's: it has address blocks for all of the domain 10.0.0.0/8" },
		{ { "gw.example", STAR_HUB_KEY + 5, "0.0.0.0/0", "gw.example", "10.2.0.0/16" },
		  WIRE_MR_AUTHORITY,
		  "is a hub's: it has address blocks for all of the domain 10.0.0.0/8" },
		{ { "x.example", STAR_HUB_KEY + 5, "10.3.0.0/16", "x.example", "10.2.0.0/16" },
		  WIRE_MR_AUTHORITY,
		  "10.2.0.0/16" },
		{ { "x.example", STAR_HUB_KEY + 5, "-", "x.example", "10.2.0.0/16" },
		  WIRE_MR_AUTHORITY,
		  "address blocks are none" },
		{ { "site-3.example", STAR_HUB_KEY + 3, "10.3.0.0/16", TWO, "10.2.0.0/16" },
		  WIRE_MR_AUTHENTICATION,
		  TWO },
		{ { "x.example", STAR_HUB_KEY + 5, "10.3.0.0/16", "x.example", "10.3.0.0/16" },
		  0,
		  "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct claim *c = &rows[i].is;
		struct node_shortcut s;
		struct wire_mesh word;
		struct node *m;
		struct play p;

		play_up(&p, 20 + i);
		m = mallory(&p, c);
		word = play_suggestion(&p, 7, 1, 2);
		word.partner = play_ident(c->name);
		word.candidates[0] = play_at(WIRE_MC_HOST, MALLORY, 4500);
		word.ts_remote[0].ts = play_ts(&p, c->prefix);
		play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &word);
		world_run(p.w);
		play_accepted(&p);
		mallory_calls(&p, m, c, 7, 1);
		world_live(p.w, dur_s(12));
		s = play_look(p.one, c->name);
		assert_string_equal(s.info.state, rows[i].reason ? "failed" : "up");
		assert_int_equal(s.info.reason, rows[i].reason);
		if (!strstr(s.text, rows[i].text))
			fail_msg("\"%s\" is not in \"%s\"", rows[i].text, s.text);
		if (rows[i].reason) {
			assert_int_equal(m->n_children, 0);
			play_nothing_left(&p);
		}
		play_reaches(&p);
		play_done(&p);
	}
}

/* Members cannot be given away: what is a third one's, and is not in the certificate of who is said
 * to have it, goes nowhere (S1). */
static void prefix_of_a_third(void **state)
{
	static const char *const prefixes[] = { "10.3.0.0/16", "10.0.0.0/16", "10.128.0.0/9" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct wire_mesh m;
		struct play p;

		play_up(&p, 30 + i);
		m = play_suggestion(&p, 7, 1, 2);
		m.ts_remote[0].ts = play_ts(&p, prefixes[i]);
		play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
		m = play_suggestion(&p, 7, 2, 1);
		m.ts_local[0].ts = play_ts(&p, "10.2.0.0/16");
		play_say(&p, 2, WIRE_N_SHORTCUT_SUGGEST, &m);
		world_live(p.w, dur_s(12));
		assert_string_equal(play_state(p.one), "failed");
		assert_string_equal(play_state(p.two), "failed");
		play_nothing_left(&p);
		play_reaches(&p);
		play_done(&p);
	}
}

/* ---- hubs in the middle ---------------------------------------------------------------------- */

/* Each has been told another secret: they do not even hear each other. */
static void different_secrets(void **state)
{
	static uint8_t other[WIRE_MESH_SECRET] = { 1, 2, 3 };
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 40);
	play_suggest(&p, 7, 1, 2);
	m = play_suggestion(&p, 7, 2, 1);
	m.secret = other;
	play_say(&p, 2, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_live(p.w, dur_s(12));
	assert_int_equal(play_look(p.one, TWO).info.reason, WIRE_MR_NO_PATH);
	assert_int_equal(play_look(p.two, ONE).info.reason, WIRE_MR_NO_PATH);
	assert_true(node_counter(p.one, "mesh.rx.probe_forged") > 0);
	assert_true(node_counter(p.two, "mesh.rx.probe_forged") > 0);
	play_nothing_left(&p);
	play_reaches(&p);
	play_done(&p);
}

static void suggest_by_mallory(struct play *p, uint8_t id)
{
	for (unsigned i = 1; i <= 2; i++) {
		struct wire_mesh m = play_suggestion(p, id, i, 3 - i);

		m.candidates[0] = play_at(WIRE_MC_HOST, MALLORY, 4500);
		play_say(p, i, WIRE_N_SHORTCUT_SUGGEST, &m);
	}
}

/* What each sends to mallory arrives at the other one as mallory's; `bit`: one of it is another. */
static unsigned relay(struct play *p, int ms, bool bit)
{
	struct ip at = test_ip(MALLORY);
	unsigned relayed = 0;

	for (int t = 0; t < ms; t++) {
		for (struct packet *q; (q = world_packet(p->w, 0));) {
			bool of_one = ip_eq(&q->src.ip, &p->one->address[0]);

			if (ip_eq(&q->dst.ip, &at)) {
				q->src.ip = at;
				q->dst.ip = of_one ? p->two->address[0] : p->one->address[0];
				if (bit && q->esp)
					q->data[q->n - 1] ^= 1;
				relayed++;
			}
			world_deliver(p->w, q);
		}
		world_advance(p->w, dur_ms(1));
	}
	return relayed;
}

/* Candidates are mallory's, who passes everything on.  It is in the middle as any router is: what
 * it carries is between one and two, and it reads and changes none of it (R05). */
static void passed_on_by_mallory(void **state)
{
	struct bytes key;
	struct play p;

	(void)state;
	play_up(&p, 41);
	suggest_by_mallory(&p, 7);
	assert_true(relay(&p, 1000, false) > 0);
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.remote.ip.b[3], 13);
	key = secret_bytes(&direct_child(p.one)->out.encr);
	assert_true(bytes_eq(key, secret_bytes(&direct_child(p.two)->in.encr)));
	assert_false(test_mem_has(&p.hub->mem, key.p, key.n));
	play_done(&p);
	/* ESP that is not theirs is nothing: no packet is risked. */
	play_up(&p, 42);
	suggest_by_mallory(&p, 7);
	(void)relay(&p, 12000, true);
	assert_int_equal(play_look(p.one, TWO).info.reason, WIRE_MR_NO_PATH);
	play_nothing_left(&p);
	play_reaches(&p);
	play_done(&p);
}

/* The same secret makes other keys each time: who knows it has nothing to read with (R05). */
static void keys_are_not_the_secrets(void **state)
{
	struct secret keys[2] = { 0 };
	struct play p;

	(void)state;
	play_up(&p, 43);
	for (unsigned k = 0; k < 2; k++) {
		uint8_t secret[WIRE_MESH_SECRET], key[3][32];
		struct wire_mesh m = { .reason = WIRE_MR_POLICY };

		play_both_up(&p, 7);
		keys[k] = direct_child(p.one)->out.encr;
		/* Nothing of the suggestion is left anywhere. */
		secret_of(7, secret);
		derive(p.one, 7, "probe", key[0]);
		derive(p.one, 7, "proof", key[1]);
		derive(p.one, 7, "ppk", key[2]);
		for (unsigned i = 0; i < 3; i++) {
			const struct node *n = i == 0 ? p.one : i == 1 ? p.two : p.hub;

			assert_false(test_mem_has(&n->mem, secret, sizeof(secret)));
			for (unsigned j = 0; j < ARRAY_LEN(key); j++)
				assert_false(test_mem_has(&n->mem, key[j], 32));
		}
		memset(m.id, 7, sizeof(m.id));
		m.present = 1u << WIRE_MA_REASON;
		play_say(&p, 1, WIRE_N_SHORTCUT_WITHDRAW, &m);
		play_say(&p, 2, WIRE_N_SHORTCUT_WITHDRAW, &m);
		world_live(p.w, dur_s(70)); /* the id is void, and may be taken anew */
	}
	assert_true(secret_bytes(&keys[0]).n > 0);
	assert_false(bytes_eq(secret_bytes(&keys[0]), secret_bytes(&keys[1])));
	play_done(&p);
}

/* ---- words that are none --------------------------------------------------------------------- */

struct bent {
	const char *name;
	enum wire_mesh_reason reason; /* 0: taken all the same */
	void (*bend)(struct play *p, struct wire_mesh *m);
	const char *more; /* attributes behind the others, in hexadecimal */
};

static void at_once_void(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->lifetime_s = 0;
}

static void for_ever(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->lifetime_s = UINT32_MAX;
}

static void at_once_idle(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->idle_s = 1;
}

static void backwards(struct play *p, struct wire_mesh *m)
{
	struct wire_ts *ts = arena_new(&p->mem, sizeof(*ts));

	*ts = m->ts_remote[0].ts.ts[0];
	ts->start = m->ts_remote[0].ts.ts[0].end;
	ts->end = m->ts_remote[0].ts.ts[0].start;
	m->ts_remote[0].ts.ts = ts;
}

static void of_nobody(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->partner = (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str("") };
}

static void by_whom(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->ts_remote[0].authority = 3;
}

static void nothing_for_us(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->present &= ~WIRE_MESH_BIT(TS_LOCAL);
	m->n_ts_local = 0;
}

static void without_id(struct play *p, struct wire_mesh *m)
{
	(void)p;
	memset(m->id, 0, sizeof(m->id));
}

static void as_it_is(struct play *p, struct wire_mesh *m)
{
	(void)p;
	(void)m;
}

static const struct bent bents[] = {
	{ "void at once", WIRE_MR_MALFORMED, at_once_void, "" },
	{ "valid for ever", WIRE_MR_MALFORMED, for_ever, "" },
	{ "idle at once", WIRE_MR_MALFORMED, at_once_idle, "" },
	{ "selectors backwards", WIRE_MR_MALFORMED, backwards, "" },
	{ "no identity", WIRE_MR_MALFORMED, of_nobody, "" },
	{ "unknown authority", WIRE_MR_MALFORMED, by_whom, "" },
	{ "no selectors", WIRE_MR_MALFORMED, nothing_for_us, "" },
	{ "no id", WIRE_MR_MALFORMED, without_id, "" },
	{ "of the future, and critical", WIRE_MR_UNKNOWN_ATTRIBUTE, as_it_is, "80c8000101" },
	{ "of the future", 0, as_it_is, "00c8000101" },
	{ "context twice", WIRE_MR_MALFORMED, as_it_is, "00070004636f7270" },
	{ "candidate of no kind", WIRE_MR_MALFORMED, as_it_is, "0006000c04001194000000010a000001" },
	{ "a member of a directory", WIRE_MR_MALFORMED, as_it_is, "0011000103" },
	{ "cut off", WIRE_MR_MALFORMED, as_it_is, "000700" },
};

static size_t unhex(const char *hex, uint8_t *to)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		to[i] = (uint8_t)byte;
	}
	return n;
}

/* Refused as a whole, for a reason that the hub reads; nothing else happens (S2). */
static void bent_words(void **state)
{
	static uint8_t buf[WIRE_MESH_MAX];
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bents); i++) {
		struct wr w = wr_of(buf, sizeof(buf) - 64);
		struct wire_mesh m;
		uint64_t id;
		size_t n;

		play_up(&p, 50 + i);
		m = play_suggestion(&p, 7, 1, 2);
		bents[i].bend(&p, &m);
		wire_mesh_put(&w, &m);
		n = wr_bytes_of(&w).n;
		assert_true(n > 0);
		n += unhex(bents[i].more, buf + n);
		assert_int_equal(node_ask(p.hub, star_member(&p.s, ONE), WIRE_N_SHORTCUT_SUGGEST,
					  bytes_of(buf, n), &id),
				 ST_OK);
		world_run(p.w);
		if (bents[i].reason) {
			play_refused(&p, bents[i].reason, "");
			assert_int_equal(node_counter(p.one, "mesh.taken"), 0);
			assert_int_equal(node_counters(p.one, "mesh.refused."), 1);
			assert_int_equal(ike_totals(p.one->ike).peers, 1);
		} else {
			play_accepted(&p);
		}
		play_reaches(&p);
		play_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stolen_suggestion),    cmocka_unit_test(invented_partner),
		cmocka_unit_test(prefix_of_a_third),    cmocka_unit_test(different_secrets),
		cmocka_unit_test(passed_on_by_mallory), cmocka_unit_test(keys_are_not_the_secrets),
		cmocka_unit_test(bent_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
