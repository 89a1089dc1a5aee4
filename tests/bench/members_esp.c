/*
 * members_esp.c - the child SAs of a crowd, and the host behind each.
 *
 * The least that proves that an SA carries packets both ways: a tunnel holds what dp.h gives it and
 * seals and opens one packet at a time (esp.h); the host behind it answers echo requests (RFC 792)
 * and sends them.  A pong is counted when it comes to the member that asked.
 *
 * Which one sends: a shortcut whose selectors have the packet, else the hub's, whose selectors are
 * always wider; of equals the one that began last.
 */
#include <stdlib.h>

#include "bench/members.h"
#include "dp/common.h"
#include "esp/esp.h"
#include "plat/clock.h"

enum {
	ECHO_REPLY = 0,
	ECHO_REQUEST = 8,
	ICMP_LEN = 8,
	ECHO_MAX = 2048,
	PING_LEN = WIRE_IP4_HDR_LEN + ICMP_LEN + 56,
	TTL = 64,
};

struct tunnel {
	struct map_node by_id;
	struct map_node by_spi;
	struct list node; /* member->tunnels */
	dp_child_id id;
	dp_peer_id peer;
	struct member *member;
	bool sends;
	bool proves; /* and has not yet */
	bool counts;
	mono_t heard, sent, used;
	struct endpoint local, remote;
	struct esp_in *in;
	struct esp_out *out;
	struct esp_ts *ts;
};

/* Each member's engine numbers its children itself, and draws its SPIs. */
struct tunnel_key {
	const struct member *member;
	uint64_t number;
};

/* ---- tunnels ------------------------------------------------------------------------------- */

void tunnels_init(struct crowd *c)
{
	static const uint64_t key[2]; /* ids and SPIs are our own */

	map_init(&c->tunnel_by_id, &mem_libc, key);
	map_init(&c->tunnel_by_spi, &mem_libc, key);
	for (size_t i = 0; i < c->opt.members; i++)
		list_init(&c->members[i].tunnels);
}

static bool has_id(const struct map_node *n, const void *key)
{
	const struct tunnel *t = CONTAINER_OF(n, const struct tunnel, by_id);
	const struct tunnel_key *k = key;

	return t->member == k->member && t->id == k->number;
}

static bool has_spi(const struct map_node *n, const void *key)
{
	const struct tunnel *t = CONTAINER_OF(n, const struct tunnel, by_spi);
	const struct tunnel_key *k = key;

	return t->member == k->member && esp_in_spi(t->in) == k->number;
}

static uint64_t hash_key(const struct map *map, const struct tunnel_key *k)
{
	return map_hash(map, bytes_of(k, sizeof(*k)));
}

static struct tunnel *find(struct crowd *c, const struct member *m, dp_child_id id)
{
	struct tunnel_key k = { m, id };
	struct map_node *n = map_find(&c->tunnel_by_id, hash_key(&c->tunnel_by_id, &k), has_id, &k);

	return n ? CONTAINER_OF(n, struct tunnel, by_id) : NULL;
}

static void remove_tunnel(struct crowd *c, struct tunnel *t)
{
	list_del(&t->node);
	map_remove(&c->tunnel_by_id, &t->by_id);
	map_remove(&c->tunnel_by_spi, &t->by_spi);
	esp_in_free(t->in);
	esp_out_free(t->out);
	esp_ts_free(t->ts);
	free(t);
}

void tunnels_done(struct crowd *c)
{
	struct map_node *n;

	while ((n = map_any(&c->tunnel_by_id)))
		remove_tunnel(c, CONTAINER_OF(n, struct tunnel, by_id));
	map_done(&c->tunnel_by_id);
	map_done(&c->tunnel_by_spi);
	bulk_forget();
}

static struct tunnel *add_tunnel(struct crowd *c, struct member *m, const struct dp_child *d)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	struct tunnel_key id = { m, d->id }, spi = { m, d->spi_in };

	CROWD_NEED(t);
	*t = (struct tunnel){ .id = d->id,
			      .peer = d->peer,
			      .member = m,
			      .proves = d->proves,
			      .counts = d->counts,
			      .used = plat_mono(),
			      .local = d->local,
			      .remote = d->remote };
	CROWD_NEED(esp_in_new(&mem_libc, d->spi_in, &d->in, d->esn, d->window, &t->in) == ST_OK);
	CROWD_NEED(esp_out_new(&mem_libc, d->spi_out, &d->out, d->esn, &t->out) == ST_OK);
	CROWD_NEED(esp_ts_new(&mem_libc, &d->ts_local, &d->ts_remote, &t->ts) == ST_OK);
	map_insert(&c->tunnel_by_id, &t->by_id, hash_key(&c->tunnel_by_id, &id));
	map_insert(&c->tunnel_by_spi, &t->by_spi, hash_key(&c->tunnel_by_spi, &spi));
	list_add_tail(&m->tunnels, &t->node);
	return t;
}

static void add_op(struct crowd *c, struct member *m, const struct dp_child *d)
{
	struct tunnel *t = find(c, m, d->id);

	if (!t)
		t = add_tunnel(c, m, d);
	if (!d->outbound || t->sends)
		return;
	t->sends = true;
	list_del(&t->node);
	list_add_tail(&m->tunnels, &t->node);
}

/* When its peer was last heard and sent to, on any; the rest nobody here asks for. */
static void query(const struct tunnel *t, struct dp_counters *ret)
{
	mono_t now = plat_mono(), heard = { 0 }, sent = { 0 };

	list_for_each(it, &t->member->tunnels) {
		const struct tunnel *o = CONTAINER_OF(it, const struct tunnel, node);

		if (o->peer == t->peer && mono_before(heard, o->heard))
			heard = o->heard;
		if (o->peer == t->peer && mono_before(sent, o->sent))
			sent = o->sent;
	}
	*ret = (struct dp_counters){ .since_in = mono_since(now, heard),
				     .since_out = mono_since(now, sent),
				     .since_used = mono_since(now, t->used) };
}

static void send_dummy(struct crowd *c, struct tunnel *t);

enum status tunnel_op(struct crowd *c, struct member *m, const struct dp_op *op,
		      struct dp_counters *ret)
{
	dp_child_id id = op->kind == DP_CHILD_ADDRESS ? op->u.address.id : op->u.id;
	struct tunnel *t;

	if (op->kind == DP_CHILD_ADD) {
		add_op(c, m, &op->u.child);
		return ST_OK;
	}
	if (op->kind == DP_TRAP_ADD || op->kind == DP_TRAP_DEL || op->kind == DP_PATH_MTU ||
	    op->kind == DP_PEER_PREFIX || op->kind == DP_PEER_GIVEN_ONLY)
		return ST_OK; /* nobody here sends without being up, or anything large */
	t = find(c, m, id);
	if (!t)
		return ST_INVAL;
	switch (op->kind) {
	case DP_CHILD_DEL: remove_tunnel(c, t); break;
	case DP_CHILD_ADDRESS:
		t->local = op->u.address.local;
		t->remote = op->u.address.remote;
		break;
	case DP_CHILD_QUERY: query(t, ret); break;
	case DP_CHILD_DUMMY: send_dummy(c, t); break;
	case DP_CHILD_QUIET:
	case DP_CHILD_PAUSE: t->sends = false; break;
	default: break;
	}
	return ST_OK;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* `inner` has room around it, as esp_seal_prepare() wants it. */
static void seal_and_send(struct crowd *c, struct tunnel *t, uint8_t next, uint8_t *inner, size_t n)
{
	const struct esp_shape *shape = esp_out_shape(t->out);
	struct bulk_op op;
	uint64_t seq;

	CROWD_NEED(esp_out_reserve(t->out, 1, &seq) == 1);
	esp_seal_prepare(t->out, seq, next, inner, n, &op);
	bulk_seal(&op, 1);
	CROWD_NEED(op.ok);
	crowd_send_esp(c, &t->local, &t->remote, bytes_of(inner - shape->head, esp_size(shape, n)));
	t->sent = plat_mono();
}

static void send_inner(struct crowd *c, struct tunnel *t, uint8_t *inner, size_t n)
{
	seal_and_send(c, t, ESP_NH_IPV4, inner, n);
	t->used = t->sent;
}

static void send_dummy(struct crowd *c, struct tunnel *t)
{
	uint8_t packet[ESP_HEAD_MAX + ESP_TAIL_MAX] = { 0 };

	seal_and_send(c, t, ESP_NH_NONE, packet + ESP_HEAD_MAX, 0);
}

/* NULL: nothing sends that. */
static struct tunnel *route(const struct member *m, struct bytes inner)
{
	struct tunnel *found = NULL;
	enum wire_ip_fault fault;
	struct wire_ip ip;

	CROWD_NEED(wire_ip_parse(inner, &ip, &fault) == ST_OK);
	for (struct list *it = m->tunnels.prev; it != &m->tunnels; it = it->prev) {
		struct tunnel *t = CONTAINER_OF(it, struct tunnel, node);

		if (!t->sends || !esp_ts_match_out(t->ts, &ip))
			continue;
		if (t->peer >= IKE_PEER_DYNAMIC)
			return t;
		if (!found)
			found = t;
	}
	return found;
}

static void put_checksum(uint8_t *at, size_t field, size_t n)
{
	store_be16(at + field, 0);
	store_be16(at + field, wire_checksum(bytes_of(at, n)));
}

/* Type, checksums and TTL of a packet whose addresses and data stand. */
static void finish_echo(uint8_t *ip, size_t n, uint8_t type)
{
	ip[8] = TTL;
	put_checksum(ip, 10, WIRE_IP4_HDR_LEN);
	ip[WIRE_IP4_HDR_LEN] = type;
	put_checksum(ip + WIRE_IP4_HDR_LEN, 2, n - WIRE_IP4_HDR_LEN);
}

void crowd_ping(struct crowd *c, size_t from, const struct ip *to)
{
	struct member *m = &c->members[from];
	uint8_t packet[ESP_HEAD_MAX + PING_LEN + ESP_TAIL_MAX] = { 0 };
	uint8_t *ip = packet + ESP_HEAD_MAX, *icmp = ip + WIRE_IP4_HDR_LEN;
	struct tunnel *t;

	ip[0] = 0x45;
	store_be16(ip + 2, PING_LEN);
	ip[9] = WIRE_IP_ICMP;
	memcpy(ip + 12, m->inner.b, 4);
	memcpy(ip + 16, to->b, 4);
	store_be16(icmp + 4, (uint16_t)c->ping_round);
	store_be16(icmp + 6, (uint16_t)from);
	finish_echo(ip, PING_LEN, ECHO_REQUEST);
	t = route(m, bytes_of(ip, PING_LEN));
	if (!t)
		crowd_fail("%s has no tunnel to ping through", m->name);
	send_inner(c, t, ip, PING_LEN);
}

static void pong(struct crowd *c, const struct tunnel *t, const uint8_t *icmp)
{
	size_t i = load_be16(icmp + 6);

	if (load_be16(icmp + 4) != (uint16_t)c->ping_round || i >= c->opt.members ||
	    &c->members[i] != t->member || c->ponged[i].ns)
		return;
	c->ponged[i] = plat_mono();
	c->pongs++;
}

static void reply(struct crowd *c, const struct member *m, struct bytes inner)
{
	uint8_t packet[ESP_HEAD_MAX + ECHO_MAX + ESP_TAIL_MAX];
	uint8_t *ip = packet + ESP_HEAD_MAX;
	struct tunnel *t;

	if (inner.n > ECHO_MAX)
		return;
	memcpy(ip, inner.p, inner.n);
	memcpy(ip + 12, inner.p + 16, 4);
	memcpy(ip + 16, inner.p + 12, 4);
	finish_echo(ip, inner.n, ECHO_REPLY);
	t = route(m, bytes_of(ip, inner.n));
	if (t)
		send_inner(c, t, ip, inner.n);
}

static void accept_packet(struct crowd *c, struct tunnel *t, const struct wire_ip *ip,
			  struct bytes inner)
{
	if (ip->version != 4 || ip->proto != WIRE_IP_ICMP || ip->upper_at != WIRE_IP4_HDR_LEN ||
	    wire_ip_is_fragment(ip) || inner.n < WIRE_IP4_HDR_LEN + ICMP_LEN ||
	    !ip_eq(&ip->dst, &t->member->inner))
		return;
	if (inner.p[ip->upper_at] == ECHO_REQUEST)
		reply(c, t->member, inner);
	else if (inner.p[ip->upper_at] == ECHO_REPLY)
		pong(c, t, inner.p + ip->upper_at);
}

static struct tunnel *tunnel_of(struct crowd *c, const struct member *m, struct bytes packet)
{
	struct tunnel_key k = { m, packet.n >= 4 ? load_be32(packet.p) : 0 };
	struct map_node *n =
		map_find(&c->tunnel_by_spi, hash_key(&c->tunnel_by_spi, &k), has_spi, &k);

	return n ? CONTAINER_OF(n, struct tunnel, by_spi) : NULL;
}

/* Something authentic came in on it. */
static bool heard(struct tunnel *t, struct dp_report *ret_report)
{
	bool first = t->proves;

	t->heard = plat_mono();
	t->proves = false;
	*ret_report = (struct dp_report){ .kind = DP_REPORT_CARRIES, .u.carries.id = t->id };
	return first;
}

bool tunnel_input(struct crowd *c, struct member *m, struct bytes packet,
		  struct dp_report *ret_report)
{
	struct tunnel *t = tunnel_of(c, m, packet);
	static uint8_t copy[65536];
	enum esp_fault fault = ESP_F_SHORT;
	struct esp_in_pkt pkt;
	struct bulk_op op;
	struct wire_ip ip;
	struct bytes inner;
	bool says = false;

	memcpy(copy, packet.p, packet.n);
	if (t)
		fault = esp_in_prepare(t->in, copy, packet.n, &pkt, &op);
	if (fault == ESP_OK) {
		bulk_open(&op, 1);
		fault = esp_in_finish(t->in, &pkt, op.ok, &ip, &inner);
	}
	if (fault == ESP_OK || fault == ESP_F_DUMMY)
		says = heard(t, ret_report);
	if (fault == ESP_OK)
		fault = esp_in_check(t->ts, &ip);
	if (fault == ESP_OK) {
		t->used = t->counts && dp_counts_packet(&ip) ? t->heard : t->used;
		accept_packet(c, t, &ip, inner);
	} else if (fault != ESP_F_DUMMY) {
		c->tally.esp_refused++;
	}
	return says;
}
