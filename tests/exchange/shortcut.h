/*
 * shortcut.h - what the tests of a site's shortcuts share: sites with a mesh, and a hub without
 * one, whose words are the test's.
 */
#pragma once

#include "exchange/exchange.h"
#include "harness/star.h"
#include "mesh/limits.h"
#include "wire/mesh/wire_mesh.h"

#define ONE "site-1.example"
#define TWO "site-2.example"

enum { PLAY_SITES = 3, PLAY_ASKED = 32 };

/* Site 1 has the smaller identity, so it calls. */
struct play {
	struct star s;
	struct world *w;
	struct node *hub, *one, *two;
	struct star_site site[PLAY_SITES]; /* before play_start() */
	struct arena mem;
};

static inline void play_init(struct play *p, uint64_t seed)
{
	*p = (struct play){ 0 };
	star_init(&p->s, seed);
	p->w = p->s.w;
	arena_init(&p->mem, &mem_libc, 1 << 24);
	p->s.ph->capabilities = IKE_CAN_HUB;
	for (unsigned i = 1; i < PLAY_SITES; i++) {
		p->site[i] = star_site(&p->s, i, NULL, NULL);
		p->site[i].net = test_conf_network(p->site[i].c, p->site[i].p);
	}
}

static inline void play_start(struct play *p)
{
	star_hub(&p->s);
	p->hub = p->s.hub;
	p->one = star_start(&p->s, &p->site[1]);
	p->two = star_start(&p->s, &p->site[2]);
	world_run(p->w);
	assert_true(star_is_up(&p->s, p->one, 1) && star_is_up(&p->s, p->two, 2));
}

static inline void play_up(struct play *p, uint64_t seed)
{
	play_init(p, seed);
	play_start(p);
}

static inline void play_done(struct play *p)
{
	arena_done(&p->mem);
	star_done(&p->s);
}

/* ---- words of the hub ------------------------------------------------------------------------ */

static inline const char *play_name(unsigned number)
{
	static const char *const names[] = { "", ONE, TWO, "site-3.example" };

	return names[number];
}

static inline struct wire_mesh_ident play_ident(const char *name)
{
	return (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str(name) };
}

static inline struct wire_ts_list play_ts(struct play *p, const char *text)
{
	struct wire_ts *ts = arena_new(&p->mem, sizeof(*ts));
	char buf[64];
	struct text why = TEXT_OF(buf);

	assert_int_equal(policy_ts_parse(text, &why, ts), ST_OK);
	return (struct wire_ts_list){ ts, 1, 0 };
}

/* That site's prefix, on the word of its certificate. */
static inline struct wire_mesh_ts play_prefix(struct play *p, unsigned number)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "10.%u.0.0/16", number);
	return (struct wire_mesh_ts){ IKE_AUTHORITY_CERT, play_ts(p, buf) };
}

/* One that nobody has, and the next one another. */
static inline struct wire_mesh_ts play_other_prefix(struct play *p, unsigned i)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "10.%u.%u.0/24", 2 + i / 256, i % 256);
	return (struct wire_mesh_ts){ IKE_AUTHORITY_CERT, play_ts(p, buf) };
}

static inline struct wire_mesh_candidate play_at(uint8_t kind, const char *ip, uint16_t port)
{
	return (struct wire_mesh_candidate){ .kind = kind,
					     .priority = (uint32_t)(4 - kind) << 24,
					     .at = test_endpoint(ip, port) };
}

/* What is right for site `to` about site `with`, for the test to change. */
static inline struct wire_mesh play_suggestion(struct play *p, uint8_t id, unsigned to,
					       unsigned with)
{
	static uint8_t secret[WIRE_MESH_SECRET];
	struct wire_mesh m = { .secret = secret,
			       .partner = play_ident(play_name(with)),
			       .own = play_ident(play_name(to)),
			       .ts_remote = { play_prefix(p, with) },
			       .n_ts_remote = 1,
			       .ts_local = { play_prefix(p, to) },
			       .n_ts_local = 1,
			       .n_candidates = 1,
			       .context = bytes_str("corp"),
			       .lifetime_s = 60,
			       .idle_s = 30 };
	char at[32];

	memset(m.id, id, sizeof(m.id));
	memset(secret, id ^ 0x5a, sizeof(secret));
	snprintf(at, sizeof(at), "192.0.2.%u", 10 + with);
	m.candidates[0] = play_at(WIRE_MC_HOST, at, 4500);
	m.present = 1u << WIRE_MA_SECRET | 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_OWN_ID |
		    1u << WIRE_MA_TS_REMOTE | 1u << WIRE_MA_TS_LOCAL | 1u << WIRE_MA_CANDIDATE |
		    1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_LIFETIME | 1u << WIRE_MA_IDLE;
	return m;
}

/* The hub says it; nothing moves yet. */
static inline void play_say(struct play *p, unsigned to, uint16_t kind, const struct wire_mesh *m)
{
	static uint8_t buf[WIRE_MESH_MAX];
	struct wr w = wr_of(buf, sizeof(buf));
	uint64_t id;

	wire_mesh_put(&w, m);
	assert_int_equal(
		node_ask(p->hub, star_member(&p->s, play_name(to)), kind, wr_bytes_of(&w), &id),
		ST_OK);
}

static inline void play_suggest(struct play *p, uint8_t id, unsigned to, unsigned with)
{
	struct wire_mesh m = play_suggestion(p, id, to, with);

	play_say(p, to, WIRE_N_SHORTCUT_SUGGEST, &m);
}

/* To both. */
static inline void play_suggest_both(struct play *p, uint8_t id)
{
	play_suggest(p, id, 1, 2);
	play_suggest(p, id, 2, 1);
}

/* ---- words of sites -------------------------------------------------------------------------- */

static inline struct wire_mesh play_read(struct play *p, const struct node_word *w)
{
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct wire_mesh m = { 0 };

	assert_non_null(w);
	assert_true(w->n <= NODE_WORD_DATA);
	assert_int_equal(wire_mesh_parse(&p->mem, w->notify, bytes_of(w->data, w->n), &m, &fault),
			 ST_OK);
	return m;
}

/* What the hub heard last: one of a kind, of a site; NULL: nothing. */
static inline const struct node_word *play_heard(const struct play *p, unsigned from, uint16_t kind)
{
	ike_peer_id peer = star_member(&p->s, play_name(from));

	for (size_t i = p->hub->n_asked; i-- > 0 && p->hub->n_asked - i < NODE_WORDS;) {
		const struct node_word *w = &p->hub->asked[i % NODE_WORDS];

		if (w->peer == peer && w->notify == kind)
			return w;
	}
	return NULL;
}

static inline struct wire_mesh play_report(struct play *p, unsigned from)
{
	return play_read(p, play_heard(p, from, WIRE_N_SHORTCUT_REPORT));
}

/* The last answer that the hub got is a refusal for that reason, and says so. */
static inline void play_refused(struct play *p, enum wire_mesh_reason reason, const char *text)
{
	const struct node_word *w = node_answered(p->hub);
	struct wire_mesh m = play_read(p, w);
	char buf[WIRE_MESH_TEXT_MAX + 1] = "";

	memcpy(buf, m.text.p, m.text.n);
	assert_int_equal(w->notify, WIRE_N_SHORTCUT_REFUSED);
	assert_string_equal(wire_mesh_reason_name(m.reason), wire_mesh_reason_name(reason));
	if (!strstr(buf, text))
		fail_msg("\"%s\" is not in \"%s\"", text, buf);
}

static inline void play_accepted(struct play *p)
{
	const struct node_word *w = node_answered(p->hub);

	assert_non_null(w);
	if (w->notify == WIRE_N_SHORTCUT_REFUSED)
		play_refused(p, 0, "");
	assert_int_equal(w->notify, WIRE_N_SHORTCUT_ACCEPT);
}

/* ---- states ---------------------------------------------------------------------------------- */

static inline struct node_shortcut play_look(const struct node *n, const char *partner)
{
	struct node_shortcut s;

	assert_true(node_shortcut(n, partner, &s));
	return s;
}

static inline const char *play_state(const struct node *n)
{
	return node_shortcut_state(n, strcmp(n->name, "site1") == 0 ? TWO : ONE);
}

static inline bool play_is_up(const struct play *p)
{
	return strcmp(play_state(p->one), "up") == 0 && strcmp(play_state(p->two), "up") == 0;
}

static inline void play_both_up(struct play *p, uint8_t id)
{
	play_suggest_both(p, id);
	world_live(p->w, dur_ms(300));
	assert_string_equal(play_state(p->one), "up");
	assert_string_equal(play_state(p->two), "up");
}

/* Ended at both, and nothing of it is left in the engines, once nothing can be under way. */
static inline void play_nothing_left(struct play *p)
{
	assert_int_equal(ike_totals(p->one->ike).peers, 1);
	assert_int_equal(ike_totals(p->two->ike).peers, 1);
	assert_int_equal(ike_totals(p->one->ike).children, 1);
	assert_int_equal(ike_totals(p->two->ike).children, 1);
	world_live(p->w, dur_s(6));
	assert_int_equal(ike_totals(p->one->ike).sas, 1);
	assert_int_equal(ike_totals(p->two->ike).sas, 1);
}

/* Both ways, by the hub. */
static inline void play_reaches(struct play *p)
{
	assert_true(star_ping(&p->s, p->one, 1, p->two, 2));
	assert_true(star_ping(&p->s, p->two, 2, p->one, 1));
}

static inline bool is_probe(const struct packet *p)
{
	return !p->esp && wire_probe_is(packet_ike(p));
}
