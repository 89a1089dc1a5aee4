/* The fake: queues, and packets both ways. */
#include "dp/fake/internal.h"

#include "wire/esp/wire_esp.h"

/* ---- queues -------------------------------------------------------------------------------- */

struct item *fake_item_new(struct fake *f, struct bytes data)
{
	struct item *it = mem_new(f->mem, sizeof(*it) + data.n);

	if (!it) {
		f->counter[C_NO_MEMORY]++;
		return NULL;
	}
	list_init(&it->node);
	it->n = data.n;
	if (data.n)
		memcpy(it->data, data.p, data.n);
	return it;
}

struct item *fake_pop(struct list *l)
{
	struct item *it;

	if (list_empty(l))
		return NULL;
	it = CONTAINER_OF(l->next, struct item, node);
	list_del(&it->node);
	return it;
}

void fake_empty(struct fake *f, struct list *l)
{
	struct item *it;

	while ((it = fake_pop(l)))
		mem_free(f->mem, it);
}

bool fake_push_report(struct fake *f, const struct dp_report *r)
{
	struct item *it = fake_item_new(f, (struct bytes){ NULL, 0 });

	if (!it)
		return false;
	it->report = *r;
	list_add_tail(&f->reports, &it->node);
	return true;
}

/* ---- packets from the protected side ------------------------------------------------------- */

static void check_limits(struct fake *f, struct fake_child *c, uint64_t packets, uint64_t bytes)
{
	struct dp_limit l = dp_limit_of(&c->c);
	struct dp_report r = { .kind = DP_REPORT_EXPIRE, .u.expire = { .id = c->c.id } };

	if (!c->soft_reported && dp_limit_soft(&l, packets, bytes))
		c->soft_reported = fake_push_report(f, &r);
	r.u.expire.hard = true;
	if (!c->hard_reported && dp_limit_hard(&l, packets, bytes))
		c->hard_reported = fake_push_report(f, &r);
}

static bool seal(struct fake *f, struct fake_child *c, struct bytes inner, uint8_t next_header)
{
	const struct esp_shape *shape = esp_out_shape(c->out);
	struct item *it;
	struct bulk_op op;
	uint64_t seq;

	if (!esp_out_reserve(c->out, 1, &seq)) {
		f->counter[DP_C_TX_NO_SA]++;
		return false;
	}
	it = mem_new(f->mem, sizeof(*it) + ESP_HEAD_MAX + inner.n + ESP_TAIL_MAX);
	if (!it) {
		f->counter[C_NO_MEMORY]++;
		return false;
	}
	list_init(&it->node);
	it->local = c->c.local;
	it->remote = c->c.remote;
	it->child = c->c.id;
	it->n = esp_size(shape, inner.n);
	if (inner.n)
		memcpy(it->data + shape->head, inner.p, inner.n);
	esp_seal_prepare(c->out, seq, next_header, it->data + shape->head, inner.n, &op);
	bulk_seal(&op, 1);
	if (!op.ok) {
		mem_free(f->mem, it);
		f->counter[C_NO_MEMORY]++;
		return false;
	}
	list_add_tail(&f->to_network, &it->node);
	return true;
}

/* RFC 4303 section 2.6: next header 59, and nothing that needs to make sense. */
void fake_send_dummy(struct fake *f, struct fake_child *c)
{
	if (!c->hard_reported)
		(void)seal(f, c, (struct bytes){ NULL, 0 }, ESP_NH_NONE);
}

static void used(const struct fake *f, struct fake_child *c, const struct wire_ip *ip)
{
	if (c->c.counts && dp_counts_packet(ip))
		c->used = f->now;
}

static void leave(struct fake *f, struct fake_child *c, struct bytes inner,
		  const struct wire_ip *ip)
{
	if (c->c.flows)
		fake_flow(f, c, ip);
	used(f, c, ip);
	if (!seal(f, c, inner, ip->version == 4 ? ESP_NH_IPV4 : ESP_NH_IPV6))
		return;
	fake_peer_sent(f, c);
	c->counters.packets_out++;
	c->counters.bytes_out += inner.n;
	check_limits(f, c, c->counters.packets_out, c->counters.bytes_out);
}

static bool may_relay(const struct fake_child *c, const struct wire_ip *ip)
{
	return !c->relayed || esp_ts_match_out(c->relayed, ip);
}

/* What of the list it takes; how many are left. */
static size_t send_waiting(struct fake *f, struct fake_child *c, struct list *waiting)
{
	struct list keep;
	struct item *it;
	size_t n = 0;

	list_init(&keep);
	while ((it = fake_pop(waiting))) {
		struct wire_ip ip;
		enum wire_ip_fault why;
		struct bytes inner = bytes_of(it->data, it->n);

		if (wire_ip_parse(inner, &ip, &why) || !esp_ts_match_out(c->ts, &ip) ||
		    !may_relay(c, &ip)) {
			list_add_tail(&keep, &it->node);
			continue;
		}
		leave(f, c, inner, &ip);
		mem_free(f->mem, it);
	}
	for (; (it = fake_pop(&keep)); n++)
		list_add_tail(waiting, &it->node);
	return n;
}

/* Packets that waited for a child of this peer, or for one that takes them directly. */
void fake_send_held(struct fake *f, struct fake_child *c)
{
	struct fake_trap *t = fake_trap_by_peer(f, c->c.peer);

	if (t)
		t->n_held = send_waiting(f, c, &t->held);
	list_for_each(n, &f->peers) {
		struct fake_peer *p = CONTAINER_OF(n, struct fake_peer, node);

		p->n_refused = send_waiting(f, c, &p->refused);
	}
}

/* ---- packets without an SA ----------------------------------------------------------------- */

static void hold(struct fake *f, struct fake_trap *t, struct bytes inner, const struct wire_ip *ip)
{
	const struct dp_report r = { .kind = DP_REPORT_ACQUIRE,
				     .u.acquire = { .peer = t->peer,
						    .src = ip->src,
						    .dst = ip->dst,
						    .proto = ip->proto,
						    .sport = ip->sport,
						    .dport = ip->dport } };
	struct item *it = t->n_held < DP_HELD_PACKETS ? fake_item_new(f, inner) : NULL;

	if (it) {
		list_add_tail(&t->held, &it->node);
		t->n_held++;
	} else {
		f->counter[DP_C_TX_NO_SA]++;
	}
	if (!t->acquired)
		t->acquired = fake_push_report(f, &r);
}

/* ---- what must not be relayed -------------------------------------------------------------- */

static void answer_prohibited(struct fake *f, struct bytes inner, const struct wire_ip *ip)
{
	uint8_t buf[WIRE_ICMP_MAX];
	struct bytes icmp;
	struct item *it;

	if (wire_icmp_error(WIRE_ICMP_PROHIBITED, 0, inner, ip, &ip->dst, buf, sizeof(buf), &icmp))
		return;
	it = fake_item_new(f, icmp);
	if (it)
		list_add_tail(&f->to_host, &it->node);
}

static struct wire_ip parsed(const struct item *it)
{
	enum wire_ip_fault why;
	struct wire_ip ip = { 0 };

	(void)!wire_ip_parse(bytes_of(it->data, it->n), &ip, &why);
	return ip;
}

/* Those who waited in vain hear of it. */
static void drop_stale(struct fake *f, struct fake_peer *p)
{
	while (!list_empty(&p->refused)) {
		struct item *it = CONTAINER_OF(p->refused.next, struct item, node);
		struct wire_ip ip = parsed(it);

		if (mono_since(f->now, it->since).ns <= dur_s(DP_HELD_DIRECT_S).ns)
			return;
		list_del(&it->node);
		p->n_refused--;
		f->counter[DP_C_TX_NO_SA]++;
		answer_prohibited(f, bytes_of(it->data, it->n), &ip);
		mem_free(f->mem, it);
	}
}

static unsigned held_for(const struct fake_peer *p, const struct ip *dst)
{
	unsigned n = 0;

	list_for_each(i, &p->refused) {
		struct wire_ip ip = parsed(CONTAINER_OF(i, const struct item, node));

		n += ip_eq(&ip.dst, dst);
	}
	return n;
}

static void refuse(struct fake *f, const struct fake_child *c, struct bytes inner,
		   const struct wire_ip *ip)
{
	struct fake_peer *p = c->peer;
	struct item *it = NULL;

	drop_stale(f, p);
	if (p->n_refused < DP_HELD_PACKETS && held_for(p, &ip->dst) < DP_HELD_DIRECT)
		it = fake_item_new(f, inner);
	f->counter[DP_C_TX_NOT_DIRECT]++;
	if (it) {
		it->since = f->now;
		list_add_tail(&p->refused, &it->node);
		p->n_refused++;
	} else {
		f->counter[DP_C_TX_NO_SA]++;
		answer_prohibited(f, inner, ip);
	}
	fake_refused(f, c, ip, false);
}

/* ---- path MTU ------------------------------------------------------------------------------ */

enum {
	IP4_UDP = WIRE_IP4_HDR_LEN + 8,
	IP6_UDP = WIRE_IP6_HDR_LEN + 8,
};

static size_t outer_headers(const struct fake_child *c)
{
	return c->c.remote.ip.family == 4 ? IP4_UDP : IP6_UDP;
}

static void ask_for_probes(struct fake *f, const struct fake_child *c)
{
	const struct dp_report r = {
		.kind = DP_REPORT_PROBE,
		.u.probe = { .id = c->c.id, .most = DP_FAKE_MTU, .now = DP_FAKE_MTU },
	};

	if (!f->probe_reported)
		f->probe_reported = fake_push_report(f, &r);
}

static void answer_too_big(struct fake *f, const struct fake_child *c, struct bytes inner,
			   const struct wire_ip *ip, size_t room)
{
	size_t max = esp_inner_max(esp_out_shape(c->out), room);
	uint8_t buf[WIRE_ICMP_MAX];
	struct bytes icmp;
	struct item *it;

	f->counter[C_TX_TOO_BIG]++;
	if (wire_icmp_error(WIRE_ICMP_TOO_BIG, (uint32_t)max, inner, ip, &ip->dst, buf, sizeof(buf),
			    &icmp))
		return;
	it = fake_item_new(f, icmp);
	if (it)
		list_add_tail(&f->to_host, &it->node);
}

/* False: too large for its path, and answered.  What its sender lets us cut goes whole: nothing
 * here is a link that would mind. */
static bool fits(struct fake *f, const struct fake_child *c, struct bytes inner,
		 const struct wire_ip *ip)
{
	const struct fake_path *p = fake_path_to(f, &c->c.remote.ip);
	size_t size = outer_headers(c) + esp_size(esp_out_shape(c->out), inner.n);

	if (size > DP_PMTU_BASE && (!p || !p->mtu))
		ask_for_probes(f, c);
	if (!p || !p->mtu || size <= p->mtu || !ip->dont_fragment)
		return true;
	answer_too_big(f, c, inner, ip, p->mtu - outer_headers(c));
	return false;
}

void dp_fake_out(struct dp *dp, struct bytes inner)
{
	struct fake *f = fake_of(dp);
	struct fake_child *c;
	struct fake_trap *t;
	struct wire_ip ip;
	enum wire_ip_fault why;

	if (wire_ip_parse(inner, &ip, &why)) {
		f->counter[DP_C_TX_DISCARD]++;
		return;
	}
	inner.n = ip.len;
	c = fake_sender(f, &ip, &t);
	if (c && !may_relay(c, &ip)) {
		refuse(f, c, inner, &ip);
	} else if (c && c->c.flows && fake_is_reflected(f, c, &ip)) {
		f->counter[DP_C_TX_REFLECTED]++;
	} else if (c) {
		if (fits(f, c, inner, &ip))
			leave(f, c, inner, &ip);
	} else if (t) {
		hold(f, t, inner, &ip);
	} else {
		f->counter[DP_C_TX_DISCARD]++;
	}
}

/* ---- packets from the network -------------------------------------------------------------- */

static void unknown_spi(struct fake *f, uint32_t spi, const struct endpoint *local,
			const struct endpoint *remote)
{
	const struct dp_report r = {
		.kind = DP_REPORT_UNKNOWN_SPI,
		.u.unknown_spi = { spi, *local, *remote },
	};

	f->counter[DP_C_RX_UNKNOWN_SPI]++;
	if (!f->unknown_reported)
		f->unknown_reported = fake_push_report(f, &r);
}

/* Only the newest packet says where the peer is now: older ones may have been under way. */
static void check_address(struct fake *f, struct fake_child *c, const struct esp_in_pkt *pkt,
			  const struct endpoint *local, const struct endpoint *remote)
{
	const struct dp_report r = {
		.kind = DP_REPORT_NEW_ADDRESS,
		.u.new_address = { c->c.id, *local, *remote },
	};

	if (pkt->seq != esp_in_seq(c->in) || endpoint_eq(remote, &c->c.remote) ||
	    endpoint_eq(remote, &c->reported))
		return;
	if (fake_push_report(f, &r))
		c->reported = *remote;
}

static void deliver(struct fake *f, struct fake_child *c, struct bytes inner,
		    const struct wire_ip *ip)
{
	struct item *it = fake_item_new(f, inner);

	if (c->c.flows)
		fake_came_in(f, c, ip);
	used(f, c, ip);

	if (!it)
		return;
	it->child = c->c.id;
	list_add_tail(&f->to_host, &it->node);
	c->counters.packets_in++;
	c->counters.bytes_in += inner.n;
	check_limits(f, c, c->counters.packets_in, c->counters.bytes_in);
}

static void check_proof(struct fake *f, struct fake_child *c)
{
	const struct dp_report r = { .kind = DP_REPORT_CARRIES, .u.carries = { c->c.id } };

	if (c->c.proves && fake_push_report(f, &r))
		c->c.proves = false;
}

static bool along_path(const struct fake_child *c, const struct item *it)
{
	return endpoint_eq(&it->remote, &c->c.remote) && ip_eq(&it->local.ip, &c->c.local.ip);
}

/* Whether the peer may source it, and may hand it on to us. */
static enum esp_fault may_carry(struct fake *f, const struct fake_child *c,
				const struct wire_ip *ip)
{
	enum esp_fault e = esp_in_check(c->ts, ip);

	if (e || !c->relayed || esp_in_check(c->relayed, ip) == ESP_OK)
		return e;
	fake_refused(f, c, ip, true);
	return ESP_F_NOT_DIRECT;
}

static enum esp_fault open_packet(struct fake *f, struct fake_child *c, struct item *it)
{
	struct esp_in_pkt pkt;
	struct bulk_op op;
	struct wire_ip ip;
	struct bytes inner;
	enum esp_fault e = esp_in_prepare(c->in, it->data, it->n, &pkt, &op);

	if (e)
		return e;
	bulk_open(&op, 1);
	e = esp_in_finish(c->in, &pkt, op.ok, &ip, &inner);
	if (e != ESP_F_AUTH && e != ESP_F_REPLAY && e != ESP_F_OLD) {
		check_proof(f, c);
		if (!c->c.told || along_path(c, it))
			fake_peer_heard(f, c, e != ESP_F_DUMMY);
	}
	if (e != ESP_F_AUTH && e != ESP_F_REPLAY)
		check_address(f, c, &pkt, &it->local, &it->remote);
	if (e == ESP_OK)
		e = may_carry(f, c, &ip);
	if (e == ESP_OK)
		deliver(f, c, inner, &ip);
	return e;
}

enum esp_fault dp_fake_in(struct dp *dp, const struct endpoint *local,
			  const struct endpoint *remote, struct bytes packet)
{
	struct fake *f = fake_of(dp);
	struct fake_child *c;
	struct wire_esp hdr;
	enum wire_esp_fault why;
	enum esp_fault e;
	struct item *it;

	if (wire_esp_parse(packet, &hdr, &why)) {
		f->counter[DP_C_ESP_RX + ESP_F_SHORT]++;
		return ESP_F_SHORT;
	}
	c = fake_child_by_spi(f, hdr.spi);
	if (!c) {
		unknown_spi(f, hdr.spi, local, remote);
		return ESP_F_AUTH;
	}
	if (c->hard_reported) {
		f->counter[DP_C_RX_EXPIRED]++;
		return ESP_F_AUTH;
	}
	it = fake_item_new(f, packet);
	if (!it)
		return ESP_F_AUTH;
	it->local = *local;
	it->remote = *remote;
	e = open_packet(f, c, it);
	mem_free(f->mem, it);
	f->counter[DP_C_ESP_RX + e]++;
	if (e && e != ESP_F_DUMMY)
		c->counters.dropped_in++;
	return e;
}

/* ---- the test's side ------------------------------------------------------------------------ */

static bool take(struct fake *f, struct list *l, struct dp_fake_packet *ret)
{
	struct item *it = fake_pop(l);

	if (!it)
		return false;
	ret->local = it->local;
	ret->remote = it->remote;
	ret->child = it->child;
	ret->n = it->n < sizeof(ret->data) ? it->n : sizeof(ret->data);
	memcpy(ret->data, it->data, ret->n);
	mem_free(f->mem, it);
	return true;
}

bool dp_fake_next_out(struct dp *dp, struct dp_fake_packet *ret)
{
	struct fake *f = fake_of(dp);

	return take(f, &f->to_network, ret);
}

bool dp_fake_next_in(struct dp *dp, struct dp_fake_packet *ret)
{
	struct fake *f = fake_of(dp);

	return take(f, &f->to_host, ret);
}

bool dp_fake_carry(struct dp *from, struct dp *to, struct bytes inner)
{
	struct fake *a = fake_of(from);
	struct fake *b = fake_of(to);
	struct item *it;
	bool same;

	dp_fake_out(from, inner);
	while ((it = fake_pop(&a->to_network))) {
		dp_fake_in(to, &it->remote, &it->local, bytes_of(it->data, it->n));
		mem_free(a->mem, it);
	}
	it = fake_pop(&b->to_host);
	same = it && bytes_eq(bytes_of(it->data, it->n), inner) && list_empty(&b->to_host);
	mem_free(b->mem, it);
	return same;
}
