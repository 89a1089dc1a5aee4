/*
 * fuzz_insider.c - a member of the network that turns hostile: changes before the encryption.
 *
 *	10.1.0.0/16 -- honest ==\\
 *	                          hub -- domain 10.0.0.0/8
 *	10.2.0.0/16 -- evil ====//
 *
 * Everything is a true engine with true keys; but what evil and the hub say to each other passes
 * through here, as does what evil and honest say to each other while they are partners.  The first
 * byte chooses how evil is known to the hub, and whether
 * it gets inner addresses there; then each datagram of theirs
 * takes an operation from the input: it arrives, is lost, is kept and said again later, or is
 * opened with the keys of its SA, changed as a chain of payloads (taken out, repeated, exchanged,
 * moved in from another message, retyped, cut, bits and lengths changed) and sealed again.  So the
 * parsers behind the integrity check and all handlers see what nobody without keys can say.
 *
 * Whatever evil, or the hub towards evil, said: no bug event and no broken contract (the harness
 * ends the process), the totals agree, the tunnel of honest carries packets both ways all the time,
 * evil finds in again once it behaves, and nothing leaks.
 */
#include <stdint.h>

#include "harness/decode.h"
#include "harness/star.h"
#include "wire/ike/cp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STEPS_MAX = 200,
	QUEUE_MAX = 24,
	ITEMS_MAX = 32,
	CHAIN_MAX = 8192,
	KEPT_MAX = 12,
	EDITS_MAX = 4,
	PING_EVERY = 16,
	HONEST = 1,
	EVIL = 2,
	EVIL_SECTION = 2, /* the hub's peer, where evil is no member */
	EVIL_PSK = 7,
};

/* A payload chain taken apart. */
struct item {
	uint8_t type;
	uint8_t flags;
	struct bytes body;
};

struct chain {
	struct item it[ITEMS_MAX];
	size_t n;
	uint8_t buf[CHAIN_MAX]; /* bodies */
};

/* What was said before: payloads to be said again elsewhere, datagrams to be replayed. */
struct kept {
	struct packet *packet;
	struct chain *chain; /* NULL: it could not be opened */
};

struct run {
	struct star s;
	struct node *honest, *evil;
	bool member; /* evil is known as a member of the network */
	struct kept kept[KEPT_MAX];
	size_t n_kept;
	ike_peer_id at_honest, at_evil; /* the partner there; 0: none */
	uint32_t n_partners; /* so far */
	struct cur *c;
};

/* ---- operands ------------------------------------------------------------------------------- */

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

/* ---- chains --------------------------------------------------------------------------------- */

/* As far as it holds together. */
static void chain_read(struct chain *ch, uint8_t first, const uint8_t *p, size_t n)
{
	size_t at = 0;

	*ch = (struct chain){ 0 };
	if (n > sizeof(ch->buf))
		n = sizeof(ch->buf);
	if (n)
		memcpy(ch->buf, p, n);
	while (first != WIRE_P_NONE && ch->n < ITEMS_MAX && n - at >= WIRE_PAYLOAD_HDR_LEN) {
		size_t len = load_be16(p + at + 2);

		if (len < WIRE_PAYLOAD_HDR_LEN || len > n - at)
			break;
		ch->it[ch->n++] = (struct item){ first, p[at + 1],
						 bytes_of(ch->buf + at + WIRE_PAYLOAD_HDR_LEN,
							  len - WIRE_PAYLOAD_HDR_LEN) };
		first = p[at];
		at += len;
	}
}

/* Payloads that do not fit are left out. */
static size_t chain_write(const struct chain *ch, uint8_t *ret_first, uint8_t *p, size_t cap)
{
	uint8_t *next = ret_first;
	size_t n = 0;

	*ret_first = WIRE_P_NONE;
	for (size_t i = 0; i < ch->n; i++) {
		const struct item *it = &ch->it[i];

		if (cap - n < WIRE_PAYLOAD_HDR_LEN + it->body.n)
			break;
		*next = it->type;
		next = p + n;
		p[n] = WIRE_P_NONE;
		p[n + 1] = it->flags;
		store_be16(p + n + 2, (uint16_t)(WIRE_PAYLOAD_HDR_LEN + it->body.n));
		if (it->body.n)
			memcpy(p + n + WIRE_PAYLOAD_HDR_LEN, it->body.p, it->body.n);
		n += WIRE_PAYLOAD_HDR_LEN + it->body.n;
	}
	return n;
}

static void item_remove(struct chain *ch, size_t i)
{
	if (!ch->n)
		return;
	ch->n--;
	memmove(&ch->it[i], &ch->it[i + 1], (ch->n - i) * sizeof(ch->it[0]));
}

static void item_insert(struct chain *ch, size_t at, struct item it)
{
	if (ch->n == ITEMS_MAX)
		return;
	memmove(&ch->it[at + 1], &ch->it[at], (ch->n - at) * sizeof(ch->it[0]));
	ch->it[at] = it;
	ch->n++;
}

static void item_swap(struct chain *ch, size_t i, size_t j)
{
	struct item it = ch->it[i];

	ch->it[i] = ch->it[j];
	ch->it[j] = it;
}

static const struct item *pick_kept(struct run *r)
{
	const struct chain *from = r->kept[pick(r->c, r->n_kept)].chain;

	return r->n_kept && from && from->n ? &from->it[pick(r->c, from->n)] : NULL;
}

/* ---- edits ---------------------------------------------------------------------------------- */

/* A byte inside one payload; bodies are views, so one that was repeated changes twice. */
static void edit_byte(struct run *r, struct chain *ch)
{
	struct bytes body = ch->it[pick(r->c, ch->n)].body;
	size_t at = body.n > 256 ? cur_u16(r->c) % body.n : pick(r->c, body.n);
	uint8_t x = cur_u8(r->c);

	if (!body.n || body.p < ch->buf || body.p >= ch->buf + sizeof(ch->buf))
		return;
	ch->buf[body.p - ch->buf + at] = x & 1 ? x : ch->buf[body.p - ch->buf + at] ^ x;
}

static void edit_remove(struct run *r, struct chain *ch)
{
	item_remove(ch, pick(r->c, ch->n));
}

static void edit_repeat(struct run *r, struct chain *ch)
{
	if (ch->n)
		item_insert(ch, pick(r->c, ch->n + 1), ch->it[pick(r->c, ch->n)]);
}

static void edit_swap(struct run *r, struct chain *ch)
{
	size_t i = pick(r->c, ch->n), j = pick(r->c, ch->n);

	if (ch->n)
		item_swap(ch, i, j);
}

static void edit_splice(struct run *r, struct chain *ch)
{
	const struct item *it = pick_kept(r);

	if (it)
		item_insert(ch, pick(r->c, ch->n + 1), *it);
}

/* The same payload, as another message had it. */
static void edit_exchange(struct run *r, struct chain *ch)
{
	const struct item *it = pick_kept(r);

	for (size_t i = 0; it && i < ch->n; i++)
		if (ch->it[i].type == it->type)
			ch->it[i].body = it->body;
}

static void edit_retype(struct run *r, struct chain *ch)
{
	struct item *it = &ch->it[pick(r->c, ch->n)];
	uint8_t type = cur_u8(r->c);

	it->type = type & 0x80 ? type : (uint8_t)(WIRE_P_SA + type % 22);
}

static void edit_critical(struct run *r, struct chain *ch)
{
	ch->it[pick(r->c, ch->n)].flags ^= 0x80;
}

static void edit_cut(struct run *r, struct chain *ch)
{
	struct bytes *body = &ch->it[pick(r->c, ch->n)].body;

	body->n = body->n > 256 ? cur_u16(r->c) % body->n : pick(r->c, body->n + 1);
}

/* Any payload with any content. */
static void edit_add(struct run *r, struct chain *ch)
{
	struct item it = { .type = (uint8_t)(WIRE_P_SA + pick(r->c, 22)), .flags = 0 };

	it.body = pick_bytes(r->c, 64);
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

static void edit_notify(struct run *r, struct chain *ch)
{
	struct item it = { .type = WIRE_P_NOTIFY };

	/* Protocol, SPI length, type, SPI and data: the input has them all. */
	it.body = cur_take(r->c, cur_left(r->c) < 8 ? cur_left(r->c) : 4 + pick(r->c, 5));
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

/* About addresses (RFC 4555), of any length. */
static void edit_mobike(struct run *r, struct chain *ch)
{
	struct item it = { .type = WIRE_P_NOTIFY };
	uint8_t *body = ch->buf + CHAIN_MAX - 80;
	size_t type = pick(r->c, 9);
	struct bytes data = pick_bytes(r->c, 72);

	store_be16(body, 0);
	store_be16(body + 2, (uint16_t)(type < 7 ? WIRE_N_MOBIKE_SUPPORTED + type
						 : WIRE_N_UNACCEPTABLE_ADDRESSES + type - 7));
	if (data.n)
		memcpy(body + 4, data.p, data.n);
	it.body = bytes_of(body, 4 + data.n);
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

/* About gateways (RFC 5685): an identity, or anything, with or without something behind it. */
static void edit_redirect(struct run *r, struct chain *ch)
{
	static const uint16_t types[] = { WIRE_N_REDIRECT, WIRE_N_REDIRECTED_FROM,
					  WIRE_N_REDIRECT_SUPPORTED };
	struct item it = { .type = WIRE_P_NOTIFY };
	uint8_t *body = ch->buf + CHAIN_MAX - 80, shape = cur_u8(r->c);
	struct bytes data = pick_bytes(r->c, 72);

	store_be16(body, 0);
	store_be16(body + 2, types[shape % ARRAY_LEN(types)]);
	if (data.n)
		memcpy(body + 4, data.p, data.n);
	if (shape & 64 && data.n > 2) {
		body[4] = (uint8_t)(WIRE_GW_IPV4 + data.p[0] % 3);
		body[5] = body[4] == WIRE_GW_IPV4 ? 4 : (uint8_t)(data.n - 2);
	}
	it.body = bytes_of(body, 4 + data.n);
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

/* About inner addresses (RFC 7296 section 3.15, RFC 8598): any attributes of any length. */
static void edit_cp(struct run *r, struct chain *ch)
{
	static const uint16_t types[] = {
		WIRE_CFG_IP4_ADDRESS, WIRE_CFG_IP4_DNS,    WIRE_CFG_IP6_ADDRESS, WIRE_CFG_IP6_DNS,
		WIRE_CFG_IP4_SUBNET,  WIRE_CFG_IP6_SUBNET, WIRE_CFG_DNS_DOMAIN,  WIRE_CFG_DNSSEC_TA,
	};
	struct item it = { .type = WIRE_P_CP };
	uint8_t *body = ch->buf + CHAIN_MAX - 160;
	struct wr w = wr_of(body, 160);

	wr_u32(&w, (uint32_t)(1 + pick(r->c, 5)) << 24);
	for (size_t left = pick(r->c, 6); left; left--) {
		uint16_t type = types[pick(r->c, ARRAY_LEN(types))];
		struct bytes value = pick_bytes(r->c, 20);

		wr_u16(&w, type);
		wr_u16(&w, (uint16_t)value.n);
		wr_put(&w, value);
	}
	it.body = wr_bytes_of(&w);
	/* In place of what there is, if there is one. */
	for (size_t i = 0; i < ch->n; i++)
		if (ch->it[i].type == WIRE_P_CP) {
			ch->it[i] = it;
			return;
		}
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

/* About upper modules (docs/protocol/shortcut.md): capabilities and words of any length. */
static void edit_word(struct run *r, struct chain *ch)
{
	struct item it = { .type = WIRE_P_NOTIFY };
	uint8_t *body = ch->buf + CHAIN_MAX - 80, shape = cur_u8(r->c);
	struct bytes data = pick_bytes(r->c, 72);
	unsigned type = shape % 11;

	store_be16(body, shape & 128 ? WIRE_PROTO_ESP << 8 : 0);
	store_be16(body + 2,
		   (uint16_t)(type < 10 ? WIRE_N_CAPABILITIES + type : WIRE_N_SHORTCUT_REFUSED));
	if (data.n)
		memcpy(body + 4, data.p, data.n);
	it.body = bytes_of(body, 4 + data.n);
	item_insert(ch, pick(r->c, ch->n + 1), it);
}

typedef void edit_fn(struct run *r, struct chain *ch);

/* New ones go to the end: inputs name them by number. */
static edit_fn *const edits[] = {
	edit_byte,     edit_byte,   edit_byte,     edit_remove, edit_repeat, edit_swap,
	edit_splice,   edit_retype, edit_critical, edit_cut,    edit_add,    edit_notify,
	edit_exchange, edit_mobike, edit_redirect, edit_cp,     edit_word,
};

/* Last, and not in every message: what no chain of payloads looks like. */
static void break_chain(struct cur *c, uint8_t *first, uint8_t *p, size_t *n)
{
	switch (pick(c, 12)) {
	case 1:
		if (*n)
			p[cur_u16(c) % *n] ^= (uint8_t)(1u << pick(c, 8));
		break;
	case 2: *n = *n ? cur_u16(c) % *n : 0; break;
	case 3: *first = cur_u8(c); break;
	default: break;
	}
}

static void edit_message(void *ctx, uint8_t *first, uint8_t *p, size_t *n, size_t cap)
{
	struct run *r = ctx;
	struct chain ch;

	chain_read(&ch, *first, p, *n);
	for (size_t i = 1 + pick(r->c, EDITS_MAX); i > 0; i--)
		edits[pick(r->c, ARRAY_LEN(edits))](r, &ch);
	*n = chain_write(&ch, first, p, cap);
	break_chain(r->c, first, p, n);
}

/* ---- operations on a datagram ---------------------------------------------------------------- */

static bool can_open(struct run *r, const struct packet *q, struct opened *o)
{
	bool parsed = !q->esp && packet_open(r->s.w, q, o);

	if (parsed && o->open)
		return true;
	if (!q->esp)
		opened_done(o);
	return false;
}

/* The oldest makes room. */
static struct kept *keep_slot(struct run *r)
{
	struct kept *k = &r->kept[r->n_kept];

	if (r->n_kept < KEPT_MAX) {
		r->n_kept++;
		return k;
	}
	packet_free(r->kept[0].packet);
	mem_libc.free(NULL, r->kept[0].chain);
	memmove(r->kept, r->kept + 1, (KEPT_MAX - 1) * sizeof(r->kept[0]));
	return &r->kept[KEPT_MAX - 1];
}

static void keep(struct run *r, const struct packet *q)
{
	struct kept *k;
	struct opened o;

	if (q->esp)
		return;
	k = keep_slot(r);
	*k = (struct kept){ .packet = packet_keep(q) };
	if (!can_open(r, q, &o))
		return;
	k->chain = mem_libc.alloc(NULL, sizeof(*k->chain));
	if (!k->chain)
		harness_fail("out of memory");
	chain_read(k->chain, o.first, o.plain.p, o.plain.n);
	opened_done(&o);
}

static void op_pass(struct run *r, struct packet *q)
{
	world_deliver(r->s.w, q);
}

static void op_lose(struct run *r, struct packet *q)
{
	world_drop(r->s.w, q);
}

static void op_edit(struct run *r, struct packet *q)
{
	struct opened o;

	if (q->esp || packet_ike(q).n < WIRE_IKE_HDR_LEN) {
		world_deliver(r->s.w, q);
		return;
	}
	if (can_open(r, q, &o)) {
		opened_done(&o);
		world_deliver(r->s.w, packet_reseal(r->s.w, q, edit_message, r));
	} else {
		world_deliver(r->s.w, packet_rewrite(r->s.w, q, edit_message, r));
	}
	/* The true one comes as well, or never. */
	if (cur_u8(r->c) & 1)
		world_drop(r->s.w, q);
}

/* A message of its own instead: any exchange and id, payloads that were said before. */
static void op_forge(struct run *r, struct packet *q)
{
	static const uint8_t exchanges[] = { WIRE_CREATE_CHILD_SA, WIRE_INFORMATIONAL,
					     WIRE_IKE_AUTH,        WIRE_CREATE_CHILD_SA,
					     WIRE_IKE_SA_INIT,     WIRE_IKE_INTERMEDIATE };
	uint8_t exchange = exchanges[pick(r->c, ARRAY_LEN(exchanges))], flags = cur_u8(r->c);
	uint8_t buf[2048], first = WIRE_P_NONE;
	struct chain ch = { .n = 0 };
	struct packet *like = r->n_kept ? r->kept[pick(r->c, r->n_kept)].packet : q;
	uint32_t msgid = (uint32_t)pick(r->c, 6);
	struct wire_hdr h;
	enum wire_fault fault;
	size_t n;

	for (size_t i = pick(r->c, 8); i > 0; i--)
		edit_splice(r, &ch);
	edits[pick(r->c, ARRAY_LEN(edits))](r, &ch);
	n = chain_write(&ch, &first, buf, sizeof(buf));
	/* Relative to the message it is like, so that it can be the one expected next. */
	if (wire_ike_parse_hdr(packet_ike(like), &h, &fault) == ST_OK)
		world_deliver(r->s.w, packet_like(r->s.w, like, exchange, flags & 1,
						  h.msgid + msgid, first, bytes_of(buf, n)));
}

static void op_replay(struct run *r, struct packet *q)
{
	(void)q;
	if (r->n_kept)
		world_hand_over(r->s.w, r->kept[pick(r->c, r->n_kept)].packet);
}

/* A question or an answer that nobody gave, or several, in front of what is under way. */
static void op_false_word(struct run *r, struct packet *q)
{
	uint8_t buf[512], first = WIRE_P_NONE, flags = cur_u8(r->c);
	uint32_t msgid = (uint32_t)pick(r->c, 4);
	struct chain ch = { .n = 0 };
	enum wire_fault fault;
	struct wire_hdr h;
	size_t n;

	for (size_t i = pick(r->c, 3); i > 0; i--)
		edit_splice(r, &ch);
	edit_word(r, &ch);
	n = chain_write(&ch, &first, buf, sizeof(buf));
	if (!q->esp && wire_ike_parse_hdr(packet_ike(q), &h, &fault) == ST_OK)
		world_deliver(r->s.w, packet_like(r->s.w, q, WIRE_SHORTCUT, flags & 1,
						  h.msgid + msgid, first, bytes_of(buf, n)));
}

typedef void packet_fn(struct run *r, struct packet *q);

static packet_fn *const packet_ops[] = { op_pass, op_pass,   op_edit,      op_edit,
					 op_edit, op_edit,   op_forge,     op_forge,
					 op_lose, op_replay, op_false_word };

/* ---- honest --------------------------------------------------------------------------------- */

/* Where evil is, or may have been. */
static const char *const evil_at[] = { "192.0.2.12", "198.51.100.7", "203.0.113.9", NULL };

static bool is_evils(const struct ip *ip)
{
	for (size_t i = 0; evil_at[i]; i++) {
		struct ip at = test_ip(evil_at[i]);

		if (ip_eq(ip, &at))
			return true;
	}
	return false;
}

static bool is_honest(const struct run *r, const struct packet *q)
{
	const struct ip *honest = &r->honest->address[0];

	return (ip_eq(&q->src.ip, honest) && !is_evils(&q->dst.ip)) ||
	       (ip_eq(&q->dst.ip, honest) && !is_evils(&q->src.ip));
}

/* What honest and the hub say to each other nobody touches. */
static void serve_honest(struct run *r)
{
	struct packet *q;
	size_t i = 0;

	while ((q = world_packet(r->s.w, i))) {
		if (!is_honest(r, q)) {
			i++;
			continue;
		}
		world_deliver(r->s.w, q);
		i = 0;
	}
}

/* Milliseconds until somebody's deadline; -1: never. */
static int64_t next_deadline(const struct run *r)
{
	int64_t least = -1;

	for (size_t i = 0; i < r->s.w->n_nodes; i++) {
		int64_t ms = node_deadline_ms(r->s.w->node[i]);

		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	return least;
}

/* ---- operations of the two ------------------------------------------------------------------- */

static ike_peer_id evil_id(const struct run *r)
{
	return r->member ? star_member(&r->s, "site-2.example") : EVIL_SECTION;
}

/* Evil's datagrams wait, those of honest do not. */
static void op_time(struct run *r)
{
	mono_t until = mono_add(r->s.w->now.mono, dur_ms(cur_u16(r->c)));
	int64_t ms;

	for (serve_honest(r); (ms = next_deadline(r)) >= 0; serve_honest(r)) {
		if (!mono_before(mono_add(r->s.w->now.mono, dur_ms(ms)), until))
			break;
		(void)world_timer(r->s.w);
	}
}

static void op_timer(struct run *r)
{
	(void)world_timer(r->s.w);
}

static void op_command(struct run *r)
{
	static const enum ike_cmd_kind kinds[] = { IKE_CMD_UP, IKE_CMD_DOWN, IKE_CMD_REKEY_CHILD,
						   IKE_CMD_REKEY_SA, IKE_CMD_NEW_CHILD };
	uint8_t x = cur_u8(r->c);
	enum ike_cmd_kind kind = kinds[(x >> 2) % ARRAY_LEN(kinds)];

	if (x & 2)
		(void)!node_command(r->evil, kind, STAR_PEER);
	else if (evil_id(r))
		(void)!node_command(r->s.hub, kind, evil_id(r));
}

static void op_traffic(struct run *r)
{
	dp_fake_interval(r->evil->dp);
	dp_fake_interval(r->s.hub->dp);
	if (cur_u8(r->c) & 1)
		node_packet(r->evil, "10.2.0.1", "10.9.0.1");
	else
		node_packet(r->s.hub, "10.9.0.1", "10.2.0.1");
}

static void op_renew(struct run *r)
{
	struct test_conf *c = test_conf_copy(r->evil->conf);

	c->peer[0].own_digest[0] ^= 1;
	node_reconfigure(r->evil, c);
}

static void op_network(struct run *r)
{
	uint8_t x = cur_u8(r->c);

	if (x & 1)
		node_moves(r->s.hub, "192.0.2.1", x & 2 ? "203.0.113.1" : NULL);
	else
		node_moves(r->evil, evil_at[x / 2 % ARRAY_LEN(evil_at)], NULL);
}

/* To nobody, to where it is, to the other member, or no more. */
static void op_redirect(struct run *r)
{
	static const char *const gateways[] = { "192.0.2.99", "192.0.2.1", "192.0.2.11", NULL };
	uint8_t x = cur_u8(r->c);
	const char *gateway = gateways[x / 2 % ARRAY_LEN(gateways)];
	struct ike_cmd cmd = { .kind = gateway ? IKE_CMD_REDIRECT : IKE_CMD_REDIRECT_OFF,
			       .peer = x & 1 ? STAR_PEER : evil_id(r),
			       .gateway = gateway };

	(void)!node_cmd(x & 1 ? r->evil : r->s.hub, &cmd);
}

/* What either says to the other; who is honest says something, too. */
static void op_word(struct run *r)
{
	static const uint8_t word[4096];
	uint8_t x = cur_u8(r->c);
	struct node *n = x & 1 ? r->evil : r->s.hub;
	ike_peer_id to = x & 1 ? STAR_PEER : evil_id(r);
	uint64_t id;

	/* Who has to answer honest does so at once. */
	if (x & 2 && n == r->evil)
		n->hold ^= HOLD_WORDS;
	if (x & 4 && n->n_open < NODE_WORDS / 2)
		(void)!node_ask(n, to, WIRE_N_SHORTCUT_SUGGEST + x % 7,
				bytes_of(word, cur_u16(r->c) % sizeof(word)), &id);
	if (x & 8)
		(void)!node_ask(r->honest, STAR_PEER, WIRE_N_SHORTCUT_REPORT, bytes_of(word, 40),
				&id);
	if (x & 16 && node_pending(n, PENDING_WORD, 0))
		node_answer(n, node_pending(n, PENDING_WORD, 0));
}

static struct ike_partner suggestion(const struct run *r, struct node *n, const char *own,
				     const char *other)
{
	struct ike_partner p = { .network = STAR_PEER, .idle = dur_s(60) };
	bool honest = n == r->honest;

	p.local_id = test_conf_ident(n->conf, own);
	p.remote_id = test_conf_ident(n->conf, other);
	p.ts_local = test_conf_ts(n->conf, honest ? "10.1.0.0/16" : "10.2.0.0/16");
	p.ts_remote = test_conf_ts(n->conf, honest ? "10.2.0.0/16" : "10.1.0.0/16");
	store_be32(p.id, r->n_partners);
	memset(p.proof_key, 0x17, sizeof(p.proof_key));
	memset(p.ppk, 0x33, sizeof(p.ppk));
	return p;
}

static void drop_partners(struct run *r)
{
	node_partner_drop(r->honest, r->at_honest, "dropped");
	node_partner_drop(r->evil, r->at_evil, "dropped");
	r->at_honest = r->at_evil = 0;
}

/* Another suggestion takes the place of the one before. */
static void make_partners(struct run *r, bool evil_calls)
{
	struct ike_partner h = suggestion(r, r->honest, "site-1.example", "site-2.example");
	struct ike_partner e = suggestion(r, r->evil, "site-2.example", "site-1.example");
	struct endpoint at_h = { r->honest->address[0], 4500 },
			at_e = { r->evil->address[0], 4500 };

	drop_partners(r);
	r->n_partners++;
	if (node_partner_add(r->honest, &h, &r->at_honest) != ST_OK ||
	    node_partner_add(r->evil, &e, &r->at_evil) != ST_OK)
		harness_fail("a partner cannot be added");
	if (evil_calls)
		(void)!node_partner_connect(r->evil, r->at_evil, &at_e, &at_h);
	else
		(void)!node_partner_connect(r->honest, r->at_honest, &at_h, &at_e);
}

static void op_partner(struct run *r)
{
	static const enum ike_cmd_kind kinds[] = { IKE_CMD_REKEY_CHILD, IKE_CMD_REKEY_SA,
						   IKE_CMD_DOWN, IKE_CMD_NEW_CHILD };
	uint8_t x = cur_u8(r->c);
	bool evil = x & 4;

	if (!r->member)
		return;
	if (!(x & 3) || !r->at_evil)
		make_partners(r, evil);
	else if ((x & 3) == 1)
		(void)!node_command(evil ? r->evil : r->honest, kinds[(x >> 3) % ARRAY_LEN(kinds)],
				    evil ? r->at_evil : r->at_honest);
	else if ((x & 3) == 2)
		node_packet(evil ? r->evil : r->honest, evil ? "10.2.0.1" : "10.1.0.1",
			    evil ? "10.1.0.1" : "10.2.0.1");
	else if (x & 8)
		drop_partners(r);
}

typedef void idle_fn(struct run *r);

static idle_fn *const idle_ops[] = { op_timer, op_time,    op_command,  op_traffic, op_timer,
				     op_renew, op_network, op_redirect, op_word,    op_partner };

/* ---- a run ----------------------------------------------------------------------------------- */

enum kind { NETWORK, KEY, CERTIFICATE, PATTERN, KINDS };

/* Evil as a section of its own at the hub, beside the network. */
static void configure_section(struct run *r, struct star_site *evil, enum kind kind)
{
	struct ike_peer_conf *p = test_conf_peer(
		r->s.ch, EVIL_SECTION, "evil", kind == PATTERN ? NULL : "192.0.2.12", "hub.example",
		kind == PATTERN ? "*.example" : "site-2.example", EVIL_PSK);

	p->ts_local = test_conf_ts(r->s.ch, "10.0.0.0/8");
	p->ts_remote = test_conf_ts(r->s.ch, "10.2.0.0/16");
	p->dpd_delay = dur_s(10);
	*evil->p = (struct ike_peer_conf){ 0 };
	evil->c->conf.n_peers = 0;
	evil->p = test_conf_peer(evil->c, STAR_PEER, "hub", "192.0.2.1", "site-2.example",
				 "hub.example", EVIL_PSK);
	evil->p->start = IKE_START_UP;
	evil->p->ts_local = test_conf_ts(evil->c, "10.2.0.0/16");
	evil->p->ts_remote = test_conf_ts(evil->c, "10.0.0.0/8");
	if (kind == CERTIFICATE) {
		test_conf_cert(r->s.ch, p, 20, 200, 200);
		test_conf_cert(evil->c, evil->p, 21, 200, 200);
	}
}

/* For inner addresses beside its prefix, of the network's pool or its own section's. */
static void ask(struct run *r, struct star_site *evil)
{
	evil->p->ask_v4 = true;
	evil->p->ask_v6 = r->member;
	if (!r->member)
		test_conf_pool(r->s.ch, &r->s.ch->peer[1], "10.98.0.0/28");
}

static void begin(struct run *r, unsigned bits)
{
	enum kind kind = (enum kind)(bits % KINDS);
	struct star_site honest, evil;

	star_init(&r->s, 1);
	if (bits & 8)
		star_pool(&r->s, "10.99.0.0/28 fd00:99::/124");
	honest = star_site(&r->s, HONEST, NULL, NULL);
	evil = star_site(&r->s, EVIL, NULL, NULL);
	r->member = kind == NETWORK;
	if (!r->member)
		configure_section(r, &evil, kind);
	if (bits & 8)
		ask(r, &evil);
	r->s.ph->dpd_delay = evil.p->dpd_delay = dur_s(10);
	if (bits & 16)
		evil.c->conf.force_encap = true;
	if (bits & 32)
		r->s.ch->conf.half_open_cookie = 0;
	for (size_t i = 0; i < r->s.ch->conf.n_peers; i++)
		r->s.ch->peer[i].mobike = bits & 64;
	evil.p->mobike = bits & 64;
	if (bits & 4) {
		evil.p->capabilities = honest.p->capabilities = IKE_CAN_PARTNER;
		for (size_t i = 0; i < r->s.ch->conf.n_peers; i++)
			r->s.ch->peer[i].capabilities = IKE_CAN_HUB;
	}
	evil.p->follow = bits & 4;
	if (bits & 128)
		r->s.ch->peer[0].return_routability = IKE_ROUTABILITY_AFTER;
	star_hub(&r->s);
	r->honest = star_start(&r->s, &honest);
	world_run(r->s.w);
	r->evil = star_start(&r->s, &evil);
}

static void step(struct run *r)
{
	struct packet *q;
	unsigned id;
	size_t op;

	serve_honest(r);
	q = world_packet(r->s.w, 0);
	if (!q) {
		idle_ops[pick(r->c, ARRAY_LEN(idle_ops))](r);
		return;
	}
	id = q->id;
	op = pick(r->c, ARRAY_LEN(packet_ops));
	keep(r, q);
	packet_ops[op](r, q);
	/* Edited or answered by something else, it may still be there: then its turn is over. */
	q = world_packet(r->s.w, 0);
	if (q && q->id == id)
		world_deliver(r->s.w, q);
}

static void check_totals(const struct node *n)
{
	struct ike_totals t = ike_totals(n->ike);

	if (t.half_open > t.sas || ike_idle(n->ike) != (t.sas == 0))
		harness_fail("%s: the totals do not agree", n->name);
	if (t.children < n->n_children)
		harness_fail("%s: the data plane has %zu children, the engine %zu", n->name,
			     n->n_children, t.children);
}

/* Honest has nothing of evil's but what the hub and evil's certificate say. */
static void check_partner(struct run *r)
{
	struct wire_ts all =
		policy_range_ts(&(struct ip_range){ { 4, { 10, 2 } }, { 4, { 10, 2, 255, 255 } } });
	const struct wire_ts_list may = { &all, 1, 0 };

	for (size_t i = 0; i < r->honest->n_children; i++) {
		const struct dp_child *c = &r->honest->child[i].child;

		if (c->peer != STAR_PEER && !policy_ts_subset(&c->ts_remote, &may))
			harness_fail("evil has more than it may");
	}
}

static void honest_talks(struct run *r)
{
	check_partner(r);
	if (!world_ping(r->s.w, r->honest, "10.1.0.1", r->s.hub, "10.9.0.1") ||
	    !world_ping(r->s.w, r->s.hub, "10.9.0.1", r->honest, "10.1.0.1"))
		harness_fail("honest is cut off");
}

/* What was changed in a child's selectors or SPI shows to nobody: such SAs are replaced. */
static void must_recover(struct run *r)
{
	drop_partners(r);
	if (r->evil->roams)
		node_moves(r->evil, "192.0.2.12", NULL);
	if (node_command(r->evil, IKE_CMD_DOWN, STAR_PEER) != ST_OK)
		harness_fail("no farewell");
	if (evil_id(r))
		(void)!node_command(r->s.hub, IKE_CMD_DOWN, evil_id(r));
	world_live(r->s.w, dur_s(300));
	if (node_command(r->evil, IKE_CMD_UP, STAR_PEER) != ST_OK)
		harness_fail("evil does not connect");
	world_live(r->s.w, dur_s(120));
	if (!world_ping(r->s.w, r->evil, "10.2.0.1", r->s.hub, "10.9.0.1") ||
	    !world_ping(r->s.w, r->s.hub, "10.9.0.1", r->evil, "10.2.0.1"))
		harness_fail("evil behaves and does not get in");
	honest_talks(r);
}

static void end(struct run *r)
{
	for (size_t i = 0; i < r->s.w->n_nodes; i++)
		if (node_command(r->s.w->node[i], IKE_CMD_SHUTDOWN, 0) != ST_OK)
			harness_fail("no shutdown");
	world_live(r->s.w, dur_s(120));
	for (size_t i = 0; i < r->s.w->n_nodes; i++) {
		const struct node *n = r->s.w->node[i];

		if (!ike_idle(n->ike) || n->n_children)
			harness_fail("%s: not idle after a shutdown", n->name);
		if (n->n_open)
			harness_fail("%s: nothing came of %zu words", n->name, n->n_open);
	}
	for (size_t i = 0; i < r->n_kept; i++) {
		packet_free(r->kept[i].packet);
		mem_libc.free(NULL, r->kept[i].chain);
	}
	star_done(&r->s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(bytes_of(data, size));
	struct run r = { .c = &c };

	begin(&r, cur_u8(&c));
	for (int i = 0; i < STEPS_MAX && cur_left(&c); i++) {
		step(&r);
		check_totals(r.s.hub);
		check_totals(r.evil);
		if (i % PING_EVERY == 0)
			honest_talks(&r);
		while (world_packets(r.s.w) > QUEUE_MAX)
			world_drop(r.s.w, world_packet(r.s.w, 0));
	}
	must_recover(&r);
	end(&r);
	return 0;
}
