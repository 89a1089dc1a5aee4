/*
 * members_esp.c - the child SAs of a crowd, and the host behind each.
 *
 * The least that proves that an SA carries packets both ways: a tunnel holds what dp.h gives it and
 * seals and opens one packet at a time (esp.h); the host behind it answers echo requests (RFC 792)
 * and sends them.  A pong is counted when it comes to the member that asked.
 */
#include <stdlib.h>

#include "bench/members.h"
#include "esp/esp.h"
#include "plat/clock.h"

enum {
	ECHO_REPLY = 0,
	ECHO_REQUEST = 8,
	ICMP_LEN = 8,
	PACKET_MAX = 2048,
	PING_LEN = WIRE_IP4_HDR_LEN + ICMP_LEN + 56,
	TTL = 64,
};

struct tunnel {
	struct map_node by_id;
	struct map_node by_spi;
	dp_child_id id;
	struct member *member;
	struct endpoint local, remote;
	struct esp_in *in;
	struct esp_out *out;
	struct esp_ts *ts;
};

/* ---- tunnels ------------------------------------------------------------------------------- */

void tunnels_init(struct crowd *c)
{
	static const uint64_t key[2]; /* ids and SPIs are our own */

	map_init(&c->tunnel_by_id, &mem_libc, key);
	map_init(&c->tunnel_by_spi, &mem_libc, key);
}

static bool has_id(const struct map_node *n, const void *id)
{
	return CONTAINER_OF(n, const struct tunnel, by_id)->id == *(const dp_child_id *)id;
}

static bool has_spi(const struct map_node *n, const void *spi)
{
	return esp_in_spi(CONTAINER_OF(n, const struct tunnel, by_spi)->in) ==
	       *(const uint32_t *)spi;
}

static uint64_t hash_id(const struct crowd *c, dp_child_id id)
{
	return map_hash(&c->tunnel_by_id, bytes_of(&id, sizeof(id)));
}

static uint64_t hash_spi(const struct crowd *c, uint32_t spi)
{
	return map_hash(&c->tunnel_by_spi, bytes_of(&spi, sizeof(spi)));
}

static struct tunnel *find(struct crowd *c, dp_child_id id)
{
	struct map_node *n = map_find(&c->tunnel_by_id, hash_id(c, id), has_id, &id);

	return n ? CONTAINER_OF(n, struct tunnel, by_id) : NULL;
}

static void remove_tunnel(struct crowd *c, struct tunnel *t)
{
	if (t->member->tunnel == t)
		t->member->tunnel = NULL;
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

static void add_tunnel(struct crowd *c, const struct dp_child *d)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	CROWD_NEED(t && d->peer >= 1 && d->peer <= c->opt.members);
	t->id = d->id;
	t->member = &c->members[d->peer - 1];
	t->local = d->local;
	t->remote = d->remote;
	CROWD_NEED(esp_in_new(&mem_libc, d->spi_in, &d->in, d->esn, d->window, &t->in) == ST_OK);
	CROWD_NEED(esp_out_new(&mem_libc, d->spi_out, &d->out, d->esn, &t->out) == ST_OK);
	CROWD_NEED(esp_ts_new(&mem_libc, &d->ts_local, &d->ts_remote, &t->ts) == ST_OK);
	map_insert(&c->tunnel_by_id, &t->by_id, hash_id(c, d->id));
	map_insert(&c->tunnel_by_spi, &t->by_spi, hash_spi(c, d->spi_in));
}

static void add_op(struct crowd *c, const struct dp_child *d)
{
	if (!find(c, d->id))
		add_tunnel(c, d);
	if (d->outbound) {
		struct tunnel *t = find(c, d->id);

		t->member->tunnel = t;
	}
}

/* When its member was last heard and sent to; the rest nobody here asks for. */
static void query(const struct tunnel *t, struct dp_counters *ret)
{
	mono_t now = plat_mono();

	*ret = (struct dp_counters){ .since_in = mono_since(now, t->member->heard),
				     .since_out = mono_since(now, t->member->sent) };
}

enum status tunnel_op(struct crowd *c, const struct dp_op *op, struct dp_counters *ret)
{
	struct tunnel *t;

	switch (op->kind) {
	case DP_CHILD_ADD: add_op(c, &op->u.child); return ST_OK;
	case DP_CHILD_DEL:
		t = find(c, op->u.id);
		if (t)
			remove_tunnel(c, t);
		return t ? ST_OK : ST_INVAL;
	case DP_CHILD_ADDRESS:
		t = find(c, op->u.address.id);
		if (!t)
			return ST_INVAL;
		t->local = op->u.address.local;
		t->remote = op->u.address.remote;
		return ST_OK;
	case DP_CHILD_QUERY:
		t = find(c, op->u.id);
		if (t)
			query(t, ret);
		return t ? ST_OK : ST_INVAL;
	default: return ST_OK; /* traps: nobody here sends without being up */
	}
}

/* ---- packets ------------------------------------------------------------------------------- */

/* `inner` has room around it, as esp_seal_prepare() wants it. */
static void send_inner(struct crowd *c, struct tunnel *t, uint8_t *inner, size_t n)
{
	const struct esp_shape *shape = esp_out_shape(t->out);
	struct bulk_op op;
	uint64_t seq;

	CROWD_NEED(esp_out_reserve(t->out, 1, &seq) == 1);
	esp_seal_prepare(t->out, seq, ESP_NH_IPV4, inner, n, &op);
	bulk_seal(&op, 1);
	CROWD_NEED(op.ok);
	crowd_send_esp(c, &t->local, &t->remote, bytes_of(inner - shape->head, esp_size(shape, n)));
	t->member->sent = plat_mono();
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

	if (!m->tunnel)
		crowd_fail("%s has no tunnel to ping through", m->name);
	ip[0] = 0x45;
	store_be16(ip + 2, PING_LEN);
	ip[9] = WIRE_IP_ICMP;
	memcpy(ip + 12, m->inner.b, 4);
	memcpy(ip + 16, to->b, 4);
	store_be16(icmp + 4, (uint16_t)c->ping_round);
	store_be16(icmp + 6, (uint16_t)from);
	finish_echo(ip, PING_LEN, ECHO_REQUEST);
	send_inner(c, m->tunnel, ip, PING_LEN);
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

static void reply(struct crowd *c, struct tunnel *t, struct bytes inner)
{
	uint8_t packet[ESP_HEAD_MAX + PACKET_MAX + ESP_TAIL_MAX];
	uint8_t *ip = packet + ESP_HEAD_MAX;

	if (!t->member->tunnel || inner.n > PACKET_MAX)
		return;
	memcpy(ip, inner.p, inner.n);
	memcpy(ip + 12, inner.p + 16, 4);
	memcpy(ip + 16, inner.p + 12, 4);
	finish_echo(ip, inner.n, ECHO_REPLY);
	send_inner(c, t->member->tunnel, ip, inner.n);
}

static void accept_packet(struct crowd *c, struct tunnel *t, const struct wire_ip *ip,
			  struct bytes inner)
{
	if (ip->version != 4 || ip->proto != WIRE_IP_ICMP || ip->upper_at != WIRE_IP4_HDR_LEN ||
	    wire_ip_is_fragment(ip) || inner.n < WIRE_IP4_HDR_LEN + ICMP_LEN ||
	    !ip_eq(&ip->dst, &t->member->inner))
		return;
	if (inner.p[ip->upper_at] == ECHO_REQUEST)
		reply(c, t, inner);
	else if (inner.p[ip->upper_at] == ECHO_REPLY)
		pong(c, t, inner.p + ip->upper_at);
}

static struct tunnel *tunnel_of(struct crowd *c, struct bytes packet)
{
	uint32_t spi = packet.n >= 4 ? load_be32(packet.p) : 0;
	struct map_node *n = map_find(&c->tunnel_by_spi, hash_spi(c, spi), has_spi, &spi);

	return n ? CONTAINER_OF(n, struct tunnel, by_spi) : NULL;
}

void tunnel_input(struct crowd *c, struct bytes packet)
{
	struct tunnel *t = tunnel_of(c, packet);
	static uint8_t copy[65536];
	enum esp_fault fault = ESP_F_SHORT;
	struct esp_in_pkt pkt;
	struct bulk_op op;
	struct wire_ip ip;
	struct bytes inner;

	memcpy(copy, packet.p, packet.n);
	if (t)
		fault = esp_in_prepare(t->in, copy, packet.n, &pkt, &op);
	if (fault == ESP_OK) {
		bulk_open(&op, 1);
		fault = esp_in_finish(t->in, &pkt, op.ok, &ip, &inner);
	}
	if (fault == ESP_OK) {
		t->member->heard = plat_mono();
		fault = esp_in_check(t->ts, &ip);
	}
	if (fault == ESP_OK)
		accept_packet(c, t, &ip, inner);
	else
		c->tally.esp_refused++;
}
