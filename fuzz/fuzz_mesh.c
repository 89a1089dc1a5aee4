/*
 * fuzz_mesh.c - words and probes from who may say such things and says whatever it likes
 * (docs/protocol/shortcut.md sections 4 to 7).
 *
 *	10.1.0.0/16 -- one ==\\
 *	                       hub -- domain 10.0.0.0/8
 *	10.2.0.0/16 -- two ==//
 *
 * The first byte chooses who is hostile: the hub, towards two sites with meshes; or site two,
 * towards a hub and a site with meshes, as a member, or as another hub, whose directory and relayed
 * suggestions the hub takes.  The hostile one is a true engine without a mesh, whose
 * words are the input's: arbitrary bytes, words that are right but for some values, probes under
 * the right key; its answers as well.  In between datagrams are delivered, lost and copied, time
 * passes, hosts talk, a site moves, an operator withdraws.
 *
 * Whatever it says: no bug event and no broken contract (the harness ends the process), packets of
 * the honest ones get through by the hub or directly, what was begun ends, and nothing leaks.
 */
#include <stdint.h>

#include "harness/star.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STEPS_MAX = 120,
	QUEUE_MAX = 48,
	IDS = 4,
	RAW_MAX = 200,
};

struct run {
	struct star s;
	struct node *one, *two;
	bool hub_speaks; /* the hub is hostile; else two is */
	bool direct; /* nothing goes by the hub, whatever anybody says */
	struct cur *c;
	struct wire_ts ts[4];
	struct wire_mesh_hub hubs[2];
	struct wire_mesh_member members[2];
};

/* Past the end everything is zero. */
static size_t pick(struct cur *c, size_t below)
{
	return below ? cur_u8(c) % below : 0;
}

static struct bytes pick_bytes(struct cur *c, size_t max)
{
	size_t n = pick(c, max + 1);

	return cur_take(c, n < cur_left(c) ? n : cur_left(c));
}

/* Small ones, and now and then any. */
static uint64_t pick_number(struct cur *c)
{
	uint8_t v = cur_u8(c);

	return v < 250 ? v : cur_u64(c);
}

/* ---- who says it to whom --------------------------------------------------------------------- */

static struct node *speaker(const struct run *r)
{
	return r->hub_speaks ? r->s.hub : r->two;
}

static ike_peer_id listener(struct run *r)
{
	if (!r->hub_speaks)
		return STAR_PEER;
	return star_member(&r->s, pick(r->c, 2) ? "site-1.example" : "site-2.example");
}

static void say(struct run *r, uint16_t kind, struct bytes data)
{
	struct node *n = speaker(r);
	uint64_t id;

	if (n->n_open < NODE_WORDS / 2)
		(void)!node_ask(n, listener(r), kind, data, &id);
}

/* ---- words ----------------------------------------------------------------------------------- */

static const uint16_t kinds[] = {
	WIRE_N_SHORTCUT_SUGGEST,    WIRE_N_SHORTCUT_REPORT, WIRE_N_SHORTCUT_WITHDRAW,
	WIRE_N_SHORTCUT_CANDIDATES, WIRE_N_SHORTCUT_HUBS,   WIRE_N_SHORTCUT_DIRECTORY,
	WIRE_N_SHORTCUT_RELAY,      WIRE_N_SHORTCUT_ASK,
};

static const uint8_t *secret_of(uint8_t id)
{
	static uint8_t secret[IDS][WIRE_MESH_SECRET];

	memset(secret[id % IDS], id, WIRE_MESH_SECRET);
	return secret[id % IDS];
}

static struct wire_mesh_ident pick_ident(struct run *r)
{
	static const char *const names[] = { "site-1.example", "site-2.example", "site-3.example",
					     "hub.example" };
	size_t i = pick(r->c, ARRAY_LEN(names) + 1);

	if (i < ARRAY_LEN(names))
		return (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str(names[i]) };
	return (struct wire_mesh_ident){ cur_u8(r->c), pick_bytes(r->c, 20) };
}

static struct wire_mesh_ts pick_ts(struct run *r, size_t slot)
{
	static const char *const texts[] = { "10.1.0.0/16",        "10.2.0.0/16", "10.3.0.0/16",
					     "10.0.0.0/8",         "0.0.0.0/0",   "224.0.0.0/4",
					     "10.1.2.3",           "::/0",        "fe80::/10",
					     "10.2.0.0/16[tcp/80]" };
	struct wire_mesh_ts ts = { (uint8_t)pick(r->c, 4), { &r->ts[slot], 1, 0 } };
	char buf[64];
	struct text why = TEXT_OF(buf);

	if (policy_ts_parse(texts[pick(r->c, ARRAY_LEN(texts))], &why, &r->ts[slot]) != ST_OK)
		harness_fail("no selector");
	return ts;
}

static struct endpoint pick_endpoint(struct run *r)
{
	static const char *const at[] = { "192.0.2.11",  "192.0.2.12",  "192.0.2.1", "203.0.113.9",
					  "10.2.0.1",    "224.0.0.1",   "127.0.0.1", "169.254.1.1",
					  "2001:db8::1", "198.51.100.3" };

	return test_endpoint(at[pick(r->c, ARRAY_LEN(at))],
			     pick(r->c, 4) ? 4500 : (uint16_t)pick(r->c, 9));
}

static size_t pick_candidates(struct run *r, struct wire_mesh_candidate *ret)
{
	size_t n = pick(r->c, WIRE_MESH_CANDIDATES + 1);

	for (size_t i = 0; i < n; i++)
		ret[i] = (struct wire_mesh_candidate){ .kind = (uint8_t)(1 + pick(r->c, 3)),
						       .flags = cur_u8(r->c),
						       .priority = cur_u8(r->c),
						       .at = pick_endpoint(r) };
	return n;
}

static void pick_lists(struct run *r, struct wire_mesh *m)
{
	m->n_hubs = pick(r->c, 3);
	m->n_members = pick(r->c, 3);
	m->hubs = r->hubs;
	m->members = r->members;
	for (size_t i = 0; i < m->n_hubs; i++) {
		r->hubs[i] = (struct wire_mesh_hub){ .id = pick_ident(r), .n_at = 1 };
		r->hubs[i].at[0].port = 500;
		r->hubs[i].at[0].ip = pick_endpoint(r).ip;
	}
	for (size_t i = 0; i < m->n_members; i++) {
		struct wire_mesh_member *k = &r->members[i];

		*k = (struct wire_mesh_member){ .op = (uint8_t)(1 + pick(r->c, 3)),
						.epoch = pick_number(r->c),
						.boot = pick_number(r->c),
						.capabilities = cur_u8(r->c),
						.id = pick_ident(r) };
		if (k->op == WIRE_MESH_MEMBER_UP) {
			k->ts[0] = pick_ts(r, 3);
			k->n_ts = 1;
			k->n_candidates = pick_candidates(r, k->candidates);
		}
	}
}

/* What is right for a listener about the other one; what a word of that kind may not have the
 * codec drops, so some of everything is chosen. */
static struct wire_mesh right(struct run *r, uint16_t kind)
{
	static const uint32_t present[] = {
		[0] = 1u << WIRE_MA_SECRET | 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_OWN_ID |
		      1u << WIRE_MA_TS_REMOTE | 1u << WIRE_MA_TS_LOCAL | 1u << WIRE_MA_CANDIDATE |
		      1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_LIFETIME | 1u << WIRE_MA_IDLE,
		[1] = 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_OUTCOME |
		      1u << WIRE_MA_PATH,
		[2] = 1u << WIRE_MA_REASON | 1u << WIRE_MA_PARTNER_ID | 1u << WIRE_MA_CONTEXT,
		[3] = 1u << WIRE_MA_SEQUENCE | 1u << WIRE_MA_BOOT | 1u << WIRE_MA_CANDIDATE,
		[4] = 1u << WIRE_MA_SEQUENCE | 1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_HUB,
		[5] = 1u << WIRE_MA_SEQUENCE | 1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_MEMBER,
		[7] = 1u << WIRE_MA_CONTEXT | 1u << WIRE_MA_TS_REMOTE,
	};
	uint8_t id = (uint8_t)(kind == WIRE_N_SHORTCUT_SUGGEST ? 1 + pick(r->c, IDS)
							       : pick(r->c, IDS + 1));
	bool to_two = pick(r->c, 2);
	struct wire_mesh m = { .secret = secret_of(id), .context = bytes_str("corp") };
	size_t row = 0;

	while (row + 1 < ARRAY_LEN(present) && kinds[row] != kind)
		row++;
	m.present = present[kind == WIRE_N_SHORTCUT_RELAY ? 0 : row];
	memset(m.id, id, sizeof(m.id));
	m.partner = (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str(to_two ? "site-1.example"
									     : "site-2.example") };
	m.own = (struct wire_mesh_ident){ WIRE_ID_FQDN,
					  bytes_str(to_two ? "site-2.example" : "site-1.example") };
	for (size_t i = 0; i < 2; i++) {
		char buf[64];
		struct text why = TEXT_OF(buf);

		(void)!policy_ts_parse(to_two == (i == 0) ? "10.1.0.0/16" : "10.2.0.0/16", &why,
				       &r->ts[i]);
	}
	m.ts_remote[0] = (struct wire_mesh_ts){ IKE_AUTHORITY_CERT, { &r->ts[0], 1, 0 } };
	m.ts_local[0] = (struct wire_mesh_ts){ IKE_AUTHORITY_CERT, { &r->ts[1], 1, 0 } };
	m.n_ts_remote = m.n_ts_local = 1;
	m.candidates[0] = (struct wire_mesh_candidate){
		.kind = WIRE_MC_HOST,
		.at = test_endpoint(to_two ? "192.0.2.11" : "192.0.2.12", 4500),
	};
	m.n_candidates = 1;
	m.lifetime_s = 60;
	m.idle_s = 20;
	m.outcome = (uint8_t)(1 + pick(r->c, WIRE_MOS - 1));
	m.reason = (uint16_t)(1 + pick(r->c, WIRE_MRS));
	m.sequence = pick_number(r->c);
	m.boot = 1;
	m.path = (struct wire_mesh_path){ test_endpoint("192.0.2.12", 4500),
					  test_endpoint("192.0.2.11", 4500), 1000 };
	pick_lists(r, &m);
	return m;
}

static void change(struct run *r, struct wire_mesh *m)
{
	switch (pick(r->c, 10)) {
	case 0: m->present ^= 1u << (1 + pick(r->c, WIRE_MAS - 1)); break;
	case 1: m->partner = pick_ident(r); break;
	case 2: m->own = pick_ident(r); break;
	case 3: m->ts_remote[0] = pick_ts(r, 0); break;
	case 4: m->ts_local[0] = pick_ts(r, 1); break;
	case 5:
		m->ts_remote[1] = pick_ts(r, 2);
		m->n_ts_remote = 2;
		break;
	case 6: m->n_candidates = pick_candidates(r, m->candidates); break;
	case 7:
		m->boot = pick_number(r->c);
		m->present |= 1u << WIRE_MA_BOOT;
		break;
	case 8: m->flags = (uint32_t)pick_number(r->c); break;
	default: m->text = pick_bytes(r->c, WIRE_MESH_TEXT_MAX); m->present |= 1u << WIRE_MA_TEXT;
	}
}

static struct bytes put(const struct wire_mesh *m)
{
	static uint8_t buf[WIRE_MESH_MAX];
	struct wr w = wr_of(buf, sizeof(buf));

	wire_mesh_put(&w, m);
	return wr_bytes_of(&w);
}

static void say_right(struct run *r)
{
	uint16_t kind = kinds[pick(r->c, ARRAY_LEN(kinds))];
	struct wire_mesh m = right(r, kind);

	say(r, kind, put(&m));
}

static void say_changed(struct run *r)
{
	uint16_t kind = kinds[pick(r->c, ARRAY_LEN(kinds))];
	struct wire_mesh m = right(r, kind);
	size_t n = 1 + pick(r->c, 3);

	for (size_t i = 0; i < n; i++)
		change(r, &m);
	say(r, kind, put(&m));
}

static void say_broken(struct run *r)
{
	uint16_t kind = kinds[pick(r->c, ARRAY_LEN(kinds))];
	struct wire_mesh m = right(r, kind);
	struct bytes b = put(&m);
	static uint8_t buf[WIRE_MESH_MAX];

	memcpy(buf, b.p, b.n);
	for (size_t i = 0, n = 1 + pick(r->c, 4); i < n && b.n; i++)
		buf[(size_t)cur_u16(r->c) % b.n] = cur_u8(r->c);
	if (pick(r->c, 4) == 0)
		b.n = (size_t)cur_u16(r->c) % (b.n + 1);
	say(r, kind, bytes_of(buf, b.n));
}

static void say_anything(struct run *r)
{
	uint16_t kind = kinds[pick(r->c, ARRAY_LEN(kinds))];

	say(r, kind, pick_bytes(r->c, RAW_MAX));
}

/* To both, so that there is a tunnel. */
static void say_to_both(struct run *r)
{
	struct cur *c = r->c;
	uint8_t which = cur_u8(c);

	for (uint8_t to = 0; r->hub_speaks && to < 2; to++) {
		const uint8_t picks[] = { which, to };
		struct cur fixed = cur_of(BYTES_OF(picks));
		struct wire_mesh m;
		uint64_t id;

		r->c = &fixed;
		m = right(r, WIRE_N_SHORTCUT_SUGGEST);
		r->c = c;
		(void)!node_ask(r->s.hub,
				star_member(&r->s, to ? "site-2.example" : "site-1.example"),
				WIRE_N_SHORTCUT_SUGGEST, put(&m), &id);
	}
}

/* What the hostile one is asked waits for an answer of the input's choice. */
static void answer(struct run *r)
{
	struct node *n = speaker(r);
	struct pending *p = node_pending(n, PENDING_WORD, 0);
	struct wire_mesh m;

	n->hold |= HOLD_WORDS;
	if (!p)
		return;
	switch (pick(r->c, 4)) {
	case 0: node_answer(n, p); break;
	case 1: node_say(n, p, WIRE_N_SHORTCUT_REFUSED, pick_bytes(r->c, RAW_MAX)); break;
	case 2: node_say(n, p, WIRE_N_SHORTCUT_ACCEPT, pick_bytes(r->c, RAW_MAX)); break;
	default:
		m = (struct wire_mesh){ .reason = (uint16_t)(1 + pick(r->c, WIRE_MRS)),
					.present = 1u << WIRE_MA_REASON };
		memcpy(m.id, p->head, p->n_head < sizeof(m.id) ? p->n_head : sizeof(m.id));
		node_say(n, p, WIRE_N_SHORTCUT_REFUSED, put(&m));
	}
}

/* ---- probes ---------------------------------------------------------------------------------- */

static void sign(struct run *r, uint8_t id, uint8_t data[static WIRE_PROBE_LEN])
{
	const struct crypto *crypto = &r->one->crypto;
	uint8_t whole[WIRE_MESH_ID], key[32], mac[32];
	struct bytes parts[] = { bytes_str("warren shortcut probe"), BYTES_OF(whole) };
	struct bytes covered = bytes_of(data, WIRE_PROBE_LEN - WIRE_PROBE_MAC);

	memset(whole, id, sizeof(whole));
	(void)crypto->ops->prf(crypto->ctx, CRYPTO_PRF_HMAC_SHA2_256,
			       bytes_of(secret_of(id), WIRE_MESH_SECRET), parts, ARRAY_LEN(parts),
			       key);
	(void)crypto->ops->prf(crypto->ctx, CRYPTO_PRF_HMAC_SHA2_256, BYTES_OF(key), &covered, 1,
			       mac);
	memcpy(data + covered.n, mac, WIRE_PROBE_MAC);
}

static void probe(struct run *r)
{
	uint8_t id = (uint8_t)(1 + pick(r->c, IDS));
	uint8_t data[4 + WIRE_PROBE_LEN] = { 0 };
	struct wire_probe p = { .flags = cur_u8(r->c) & 3, .txn = (uint32_t)pick_number(r->c) };
	struct endpoint from;

	memset(p.id, id, sizeof(p.id));
	if (p.flags & WIRE_PROBE_ANSWER)
		p.seen = pick_endpoint(r);
	wire_probe_put(data + 4, &p);
	if (pick(r->c, 8) == 0)
		data[4 + pick(r->c, WIRE_PROBE_LEN)] ^= cur_u8(r->c);
	sign(r, id, data + 4);
	from = pick_endpoint(r);
	from.port = from.port ? from.port : 1;
	node_input(pick(r->c, 2) ? r->one : r->s.hub, from, 4500, BYTES_OF(data));
}

/* ---- what happens meanwhile ------------------------------------------------------------------ */

static void deliver(struct run *r)
{
	for (size_t i = 0, n = 1 + pick(r->c, 8); i < n && world_packet(r->s.w, 0); i++)
		world_deliver(r->s.w, world_packet(r->s.w, pick(r->c, world_packets(r->s.w))));
}

static void lose(struct run *r)
{
	if (world_packet(r->s.w, 0))
		world_drop(r->s.w, world_packet(r->s.w, pick(r->c, world_packets(r->s.w))));
}

static void repeat(struct run *r)
{
	if (world_packet(r->s.w, 0))
		world_copy(r->s.w, world_packet(r->s.w, pick(r->c, world_packets(r->s.w))));
}

static void wait(struct run *r)
{
	world_live(r->s.w, dur_ms((int64_t)(1 + pick(r->c, 255)) * 10));
}

static void talk(struct run *r)
{
	node_packet(r->one, "10.1.0.1", "10.2.0.1");
	deliver(r);
	(void)star_ping(&r->s, r->one, 1, r->two, 2);
}

static void withdraw(struct run *r)
{
	struct node_shortcut s;

	if (node_shortcut(r->one, "site-2.example", &s))
		(void)!node_withdraw(r->one, "site-2.example");
}

static void move(struct run *r)
{
	node_moves(r->one, pick(r->c, 2) ? "192.0.2.11" : "192.0.2.111",
		   pick(r->c, 2) ? "192.0.2.112" : NULL);
}

static void step(struct run *r)
{
	static void (*const ops[])(struct run * r) = {
		say_right, say_changed, say_broken, say_anything, say_to_both, answer,
		probe,     deliver,     lose,       repeat,       wait,        talk,
		withdraw,  move,        deliver,    wait,
	};

	ops[pick(r->c, ARRAY_LEN(ops))](r);
	while (world_packets(r->s.w) > QUEUE_MAX)
		world_drop(r->s.w, world_packet(r->s.w, 0));
}

/* ---- a run ----------------------------------------------------------------------------------- */

static struct node *site(struct run *r, unsigned number, bool meshed, uint8_t bits)
{
	bool rival = number == 2 && bits & 1 && bits & 16;
	struct star_site site;

	r->s.net = NULL;
	site = star_site(&r->s, number, rival ? "10.0.0.0/8" : NULL, NULL);
	site.p->capabilities = rival ? IKE_CAN_HUB | IKE_CAN_RELAY : IKE_CAN_PARTNER;
	site.p->mobike = bits & 4;
	site.p->direct = bits & 32;
	if (meshed) {
		site.net = test_conf_network(site.c, site.p);
		site.net->trust_hub = bits & 8;
	}
	return star_start(&r->s, &site);
}

static void begin(struct run *r, uint8_t bits)
{
	r->hub_speaks = !(bits & 1);
	r->direct = bits & 32;
	star_init(&r->s, 1);
	r->s.ph->mobike = bits & 4;
	if (r->hub_speaks)
		r->s.ph->capabilities = IKE_CAN_HUB;
	else
		star_mesh(&r->s, bits & 2 ? MESH_FULL : MESH_DYNAMIC);
	star_hub(&r->s);
	r->one = site(r, 1, true, bits);
	r->two = site(r, 2, r->hub_speaks, bits);
	world_run(r->s.w);
	if (!star_is_up(&r->s, r->one, 1) || !star_is_up(&r->s, r->two, 2))
		harness_fail("the sites do not join");
}

static void must_be_well(struct run *r)
{
	const char *state;

	node_release(speaker(r));
	world_live(r->s.w, dur_s(240));
	state = node_shortcut_state(r->one, "site-2.example");
	if (*state && strcmp(state, "up") && strcmp(state, "ended") && strcmp(state, "failed"))
		harness_fail("for minutes the shortcut is %s", state);
	if (r->direct && star_ping(&r->s, r->one, 1, r->two, 2))
		harness_fail("site 1 has the hub relay");
	if (!r->direct && !star_ping(&r->s, r->one, 1, r->two, 2) &&
	    !star_ping_direct(&r->s, r->one, 1, r->two, 2))
		harness_fail("site 1 is cut off from site 2");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(bytes_of(data, size));
	struct run r = { .c = &c };

	begin(&r, cur_u8(&c));
	for (int i = 0; i < STEPS_MAX && cur_left(&c); i++)
		step(&r);
	must_be_well(&r);
	star_done(&r.s);
	return 0;
}
