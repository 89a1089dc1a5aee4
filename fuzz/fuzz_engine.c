/*
 * fuzz_engine.c - two engines, and every input a sequence of things that can happen to them.
 *
 * The first bytes choose the configurations, the others are opcodes with their operands: deliver,
 * lose, duplicate, reorder and damage datagrams; change what is inside the encryption, under the
 * right keys; inject foreign ones; let time pass; hold back, answer and refuse jobs, operations,
 * look-ups and stores; make allocations fail; commands, traffic, restarts (with leases of a life
 * before), other configurations, other pools; words of upper modules, with and without a key.
 *
 * Whatever happened: no bug event and no contract broken (the harness ends the process), the totals
 * agree with what is there, both ends find together again once they are left alone, an engine that
 * is shut down becomes idle, and nothing leaks.
 */
#include <stdint.h>
#include <stdlib.h>

#include "harness/decode.h"
#include "harness/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	STEPS_MAX = 300,
	QUEUE_MAX = 48,
};

struct run {
	struct pair p;
	bool insider; /* there is what only a new SA puts right */
	bool inner; /* b gives inner addresses, a asks for them */
};

static void set_insider(struct pair *p)
{
	CONTAINER_OF(p, struct run, p)->insider = true;
}

static void set_inner(struct pair *p)
{
	CONTAINER_OF(p, struct run, p)->inner = true;
}

/* ---- operands ------------------------------------------------------------------------------- */

/* Past the end everything is zero. */
static size_t pick(struct cur *c, size_t below)
{
	return below ? cur_u8(c) % below : 0;
}

static struct node *pick_node(struct pair *p, struct cur *c)
{
	return cur_u8(c) & 1 ? p->b : p->a;
}

static struct packet *pick_packet(struct pair *p, struct cur *c)
{
	return world_packet(p->w, pick(c, world_packets(p->w)));
}

static struct bytes pick_bytes(struct cur *c, size_t max)
{
	size_t n = pick(c, max);

	return cur_take(c, n < cur_left(c) ? n : cur_left(c));
}

/* ---- datagrams ------------------------------------------------------------------------------ */

static void op_deliver_first(struct pair *p, struct cur *c)
{
	(void)c;
	if (world_packet(p->w, 0))
		world_deliver(p->w, world_packet(p->w, 0));
}

static void op_deliver(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);

	if (q)
		world_deliver(p->w, q);
}

static void op_drop(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);

	if (q)
		world_drop(p->w, q);
}

static void op_copy(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);

	if (q)
		world_copy(p->w, q);
}

/* A byte changed, in a copy that comes before the true one. */
static void op_damage(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c), *bad;
	size_t at = cur_u16(c);
	uint8_t x = cur_u8(c);

	if (!q)
		return;
	bad = packet_keep(q);
	if (bad->n)
		bad->data[at % bad->n] ^= x;
	world_hand_over(p->w, bad);
	packet_free(bad);
}

static void op_truncate(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c), *bad;
	size_t n = cur_u16(c);

	if (!q)
		return;
	bad = packet_keep(q);
	bad->n = n % (bad->n + 1);
	world_hand_over(p->w, bad);
	packet_free(bad);
}

static void op_readdress(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);
	uint8_t x = cur_u8(c);

	if (!q)
		return;
	if (x & 1)
		q->src.port ^= x;
	else
		q->src.ip.b[3] ^= x;
}

/* What a broken or hostile peer with good keys would send. */
static void edit(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	struct cur *c = ctx;
	struct bytes more;

	switch (cur_u8(c) % 5) {
	case 0:
		if (*n)
			chain[cur_u16(c) % *n] = cur_u8(c);
		break;
	case 1:
		if (*n)
			chain[cur_u16(c) % *n] ^= (uint8_t)(1u << cur_u8(c) % 8);
		break;
	case 2: *n = *n ? cur_u16(c) % *n : 0; break;
	case 3: *first = cur_u8(c); break;
	default:
		more = pick_bytes(c, 64);
		if (more.n && more.n <= cap - *n) {
			memcpy(chain + *n, more.p, more.n);
			*n += more.n;
		}
		break;
	}
}

static bool can_open(struct pair *p, const struct packet *q)
{
	struct opened o;
	bool open = !q->esp && packet_open(p->w, q, &o);

	if (q->esp)
		return false;
	open = open && o.open;
	opened_done(&o);
	return open;
}

static void op_edit(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c), *changed;

	if (!q || q->esp || packet_ike(q).n < WIRE_IKE_HDR_LEN)
		return;
	set_insider(p);
	if (can_open(p, q))
		changed = packet_reseal(p->w, q, edit, c);
	else
		changed = packet_rewrite(p->w, q, edit, c);
	world_deliver(p->w, changed);
}

/* Another message of the same SA: any exchange, id, payloads. */
static void op_forge(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);
	struct wire_hdr h;
	enum wire_fault fault;
	uint8_t flags = cur_u8(c), exchange = (uint8_t)(34 + cur_u8(c) % 8), first = cur_u8(c);
	uint32_t msgid = (uint32_t)pick(c, 8);
	struct bytes chain = pick_bytes(c, 96);

	if (!q || q->esp || wire_ike_parse_hdr(packet_ike(q), &h, &fault) != ST_OK)
		return;
	set_insider(p);
	world_deliver(p->w, packet_like(p->w, q, exchange, flags & 1, msgid, first, chain));
}

static void op_inject(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	uint16_t port = cur_u8(c) & 1 ? 4500 : 500;
	struct bytes b = pick_bytes(c, 255);

	node_input(n, test_endpoint("198.51.100.7", 500), port, b);
}

/* ---- time, work, memory ---------------------------------------------------------------------- */

static void op_timer(struct pair *p, struct cur *c)
{
	(void)c;
	(void)world_timer(p->w);
}

static void op_advance(struct pair *p, struct cur *c)
{
	world_advance(p->w, dur_ms(cur_u16(c)));
}

static void op_hold(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	n->hold = cur_u8(c) & (HOLD_JOBS | HOLD_DP | HOLD_RESOLVE);
	n->late_results = cur_u8(c) & 1;
}

static struct pending *pick_pending(struct node *n, struct cur *c)
{
	enum pending_kind kind = (enum pending_kind)pick(c, PENDING_NAME + 1);

	return node_pending(n, kind, pick(c, node_held(n, kind)));
}

static void op_answer(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	struct pending *q = pick_pending(n, c);

	if (q)
		node_answer(n, q);
}

static void op_refuse(struct pair *p, struct cur *c)
{
	static const enum status how[] = { ST_IO, ST_NOMEM, ST_REFUSE, ST_INVAL };
	struct node *n = pick_node(p, c);
	struct pending *q = pick_pending(n, c);
	enum status st = how[pick(c, ARRAY_LEN(how))];

	/* An installation that was carried out cannot be refused any more. */
	if (q && q->kind != PENDING_DONE)
		node_refuse(n, q, st);
}

static void op_starve(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	n->mem.fail_at = n->mem.calls + (long)pick(c, 64);
	n->mem.fail_on = cur_u8(c) & 1;
}

static void op_feed(struct pair *p, struct cur *c)
{
	pick_node(p, c)->mem.fail_at = -1;
}

static void op_fail_dp(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	n->fail_op = n->n_ops + (long)pick(c, 4);
}

/* ---- people and hosts ------------------------------------------------------------------------ */

static void op_command(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	(void)!node_command(n, cur_u8(c) & 1 ? IKE_CMD_DOWN : IKE_CMD_UP, PAIR_PEER);
}

static void op_rekey(struct pair *p, struct cur *c)
{
	static const enum ike_cmd_kind kinds[] = { IKE_CMD_REKEY_CHILD, IKE_CMD_REKEY_SA,
						   IKE_CMD_NEW_CHILD };
	struct node *n = pick_node(p, c);

	size_t kind = pick(c, ARRAY_LEN(kinds));

	(void)!node_command(n, kinds[kind], PAIR_PEER);
	/* A further child stays until its SA goes: then one is left again. */
	if (kinds[kind] == IKE_CMD_NEW_CHILD)
		set_insider(p);
}

static void op_traffic(struct pair *p, struct cur *c)
{
	bool from_b = cur_u8(c) & 1;

	dp_fake_interval(p->a->dp);
	dp_fake_interval(p->b->dp);
	if (from_b)
		node_packet(p->b, "10.2.0.1", "10.1.0.1");
	else
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
}

static void op_restart(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	n->mem.fail_at = -1;
	node_restart(n);
}

/* A rule of the hub's for its only member; both have the address that is asked for in the end. */
static void set_rule(struct test_conf *conf, bool narrow)
{
	struct ike_member_rule r = { test_conf_ident(conf, "a.example"),
				     test_conf_ts(conf, narrow ? "10.1.0.0/24" : "10.1.0.0/16") };

	conf->peer[0].rules = (const void *)test_conf_dup(conf, bytes_of(&r, sizeof(r))).p;
	conf->peer[0].n_rules = 1;
}

/* Gone or there; and if there, changed in ways that both ends can live with. */
static void op_reconfigure(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	struct test_conf *conf = test_conf_copy(n->conf);
	uint8_t bits = cur_u8(c);

	conf->conf.n_peers = bits & 1;
	conf->peer[0].own_digest[0] ^= bits & 2;
	conf->peer[0].peer_digest[0] ^= bits & 4;
	if (bits & 8)
		conf->peer[0].dpd_delay = dur_s(5 + bits % 10);
	if (bits & 16 && n == p->a)
		test_conf_addresses(conf, &conf->peer[0],
				    bits & 32 ? "192.0.2.2 192.0.2.66" : "192.0.2.66 192.0.2.2");
	if (bits & 64 && conf->peer[0].role == IKE_ROLE_MEMBERS)
		set_rule(conf, bits & 128);
	node_reconfigure(n, conf);
}

static dp_child_id pick_child(const struct node *n, struct cur *c)
{
	return n->n_children ? n->child[pick(c, n->n_children)].child.id : cur_u8(c);
}

static void op_expire(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	struct dp_report r = { .kind = DP_REPORT_EXPIRE };

	r.u.expire.id = pick_child(n, c);
	r.u.expire.hard = cur_u8(c) & 1;
	node_report(n, &r);
}

static void op_nat(struct pair *p, struct cur *c)
{
	(void)c;
	if (p->w->nat.first_port < 60000)
		world_nat_forget(p->w);
}

static struct endpoint pick_endpoint(struct cur *c)
{
	static const char *const ip[] = { "192.0.2.1", "192.0.2.2", "203.0.113.1", "2001:db8::1" };
	static const uint16_t port[] = { 4500, 500, 40000, 0 };

	return test_endpoint(ip[pick(c, ARRAY_LEN(ip))], port[pick(c, ARRAY_LEN(port))]);
}

/* Where a datagram from there reaches the node; family 0: nowhere. */
static struct endpoint reached_at(const struct node *n, const struct endpoint *remote)
{
	for (size_t i = 0; i < n->n_addresses; i++)
		if (n->address[i].family == remote->ip.family)
			return (struct endpoint){ n->address[i], n->conf->conf.nat_port };
	return (struct endpoint){ 0 };
}

/* What a data plane may say at any time, whatever it says it about. */
static void op_report(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	struct dp_report r = { .kind = (enum dp_report_kind)pick(c, DP_REPORT_CARRIES + 1) };

	switch (r.kind) {
	case DP_REPORT_DONE:
		r.u.done.op = cur_u8(c);
		r.u.done.status = cur_u8(c) & 1 ? ST_IO : ST_OK;
		r.u.done.counters.packets_in = cur_u8(c);
		/* An answer ahead of its time is the host's mistake: only to what nobody asked. */
		if (n->n_ops && r.u.done.op <= (uint64_t)n->n_ops)
			return;
		break;
	case DP_REPORT_ACQUIRE: r.u.acquire.peer = cur_u8(c) & 1 ? PAIR_PEER : cur_u8(c); break;
	case DP_REPORT_EXPIRE:
		r.u.expire.id = pick_child(n, c);
		r.u.expire.hard = cur_u8(c) & 1;
		break;
	case DP_REPORT_UNKNOWN_SPI:
		r.u.unknown_spi.spi = cur_u16(c);
		r.u.unknown_spi.remote = pick_endpoint(c);
		r.u.unknown_spi.local = reached_at(n, &r.u.unknown_spi.remote);
		if (!r.u.unknown_spi.local.ip.family)
			return;
		break;
	case DP_REPORT_NEW_ADDRESS:
		r.u.new_address.id = pick_child(n, c);
		r.u.new_address.local = pick_endpoint(c);
		r.u.new_address.remote = pick_endpoint(c);
		set_insider(p);
		break;
	case DP_REPORT_PMTU:
		r.u.pmtu.remote = pick_endpoint(c);
		r.u.pmtu.mtu = cur_u16(c);
		r.u.pmtu.ours = r.u.pmtu.mtu & 1;
		break;
	case DP_REPORT_PROBE:
		r.u.probe.id = pick_child(n, c);
		r.u.probe.most = cur_u16(c);
		r.u.probe.now = cur_u16(c);
		r.u.probe.stalled = r.u.probe.now & 1;
		break;
	case DP_REPORT_SILENT:
	case DP_REPORT_CEASED: r.u.silent.id = pick_child(n, c); break;
	case DP_REPORT_CARRIES: r.u.carries.id = pick_child(n, c); break;
	case DP_REPORT_FLOW:
	case DP_REPORT_NOT_DIRECT: break; /* the mesh's, see fuzz_mesh.c */
	case DP_REPORT_UNREACHABLE: r.u.unreachable.remote = pick_endpoint(c); break;
	}
	node_report(n, &r);
}

static void op_fail_job(struct pair *p, struct cur *c)
{
	static const enum status how[] = { ST_IO, ST_NOMEM, ST_REFUSE };
	struct node *n = pick_node(p, c);

	n->fail_job = n->n_jobs + (long)pick(c, 4);
	n->fail_status = how[pick(c, ARRAY_LEN(how))];
}

static void op_shut_down(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);

	(void)!node_command(n, IKE_CMD_SHUTDOWN, 0);
	world_live(p->w, dur_ms(cur_u16(c)));
	n->mem.fail_at = -1;
	node_restart(n);
}

/* Into another network, into a NAT, into none. */
static void op_network(struct pair *p, struct cur *c)
{
	static const char *const a[][2] = {
		{ "192.0.2.1", "2001:db8::1" }, { "198.51.100.7", NULL }, { "10.99.0.5", NULL },
		{ "2001:db8:7::7", NULL },      { NULL, NULL },           { "192.0.2.1", NULL },
	};
	static const char *const b[][2] = {
		{ "192.0.2.2", "2001:db8::2" },
		{ "192.0.2.2", "203.0.113.2" },
		{ "203.0.113.2", NULL },
		{ "2001:db8::2", NULL },
	};
	uint8_t x = cur_u8(c);

	if (x & 1)
		node_moves(p->b, b[x / 2 % ARRAY_LEN(b)][0], b[x / 2 % ARRAY_LEN(b)][1]);
	else
		node_moves(p->a, a[x / 2 % ARRAY_LEN(a)][0], a[x / 2 % ARRAY_LEN(a)][1]);
	if (x & 128 && !p->w->nat.inside.family)
		world_nat(p->w, "10.99.0.5", "203.0.113.1", 40000);
}

/* What a peer may say of addresses, in a message of its own, from wherever it likes. */
static void op_mobike(struct pair *p, struct cur *c)
{
	static const uint16_t types[] = {
		WIRE_N_UPDATE_SA_ADDRESSES,     WIRE_N_COOKIE2,
		WIRE_N_ADDITIONAL_IP4_ADDRESS,  WIRE_N_ADDITIONAL_IP6_ADDRESS,
		WIRE_N_NO_ADDITIONAL_ADDRESSES, WIRE_N_NO_NATS_ALLOWED,
		WIRE_N_UNACCEPTABLE_ADDRESSES,  WIRE_N_UNEXPECTED_NAT_DETECTED,
		WIRE_N_NAT_DETECTION_SOURCE_IP, WIRE_N_NAT_DETECTION_DESTINATION_IP,
	};
	struct packet *q = pick_packet(p, c), *made;
	uint8_t buf[4 * 80], flags = cur_u8(c), from = cur_u8(c);
	uint32_t msgid = (uint32_t)pick(c, 8);
	struct wr w = wr_of(buf, sizeof(buf));
	struct wire_hdr h;
	enum wire_fault fault;

	if (!q || q->esp || wire_ike_parse_hdr(packet_ike(q), &h, &fault) != ST_OK)
		return;
	for (size_t left = 1 + pick(c, 4); left; left--) {
		uint16_t type = types[pick(c, ARRAY_LEN(types))];
		struct bytes data = pick_bytes(c, 72);

		wr_u8(&w, left > 1 ? WIRE_P_NOTIFY : WIRE_P_NONE);
		wr_u8(&w, 0);
		wr_u16(&w, (uint16_t)(8 + data.n));
		wr_u16(&w, 0);
		wr_u16(&w, type);
		wr_put(&w, data);
	}
	set_insider(p);
	made = packet_like(p->w, q, WIRE_INFORMATIONAL, flags & 1, h.msgid + msgid, WIRE_P_NOTIFY,
			   wr_bytes_of(&w));
	if (from & 1)
		made->src.ip.b[3] ^= from;
	world_deliver(p->w, made);
}

/* Where callers may be sent: to each other, to where they are, to nobody. */
static const char *pick_gateway(struct cur *c)
{
	static const char *const gateways[] = { "192.0.2.99",    "192.0.2.2",   "192.0.2.1",
						"203.0.113.2",   "b.example",   "nobody.example",
						"2001:db8::2",   "2001:db8::1", "127.0.0.1",
						"b.example.net." };

	return gateways[pick(c, ARRAY_LEN(gateways))];
}

static void op_redirect(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	uint8_t bits = cur_u8(c);
	struct ike_cmd cmd = { .kind = bits & 1 ? IKE_CMD_REDIRECT : IKE_CMD_REDIRECT_OFF,
			       .peer = bits & 2 ? PAIR_PEER : 0,
			       .gateway = bits & 1 ? pick_gateway(c) : NULL };

	(void)!node_cmd(n, &cmd);
}

/* The nonce of the IKE_SA_INIT request, as somebody on the path knows it. */
static void put_nonce(struct pair *p, const struct packet *q, struct wr *w)
{
	struct opened o;

	if (!packet_open(p->w, q, &o))
		return;
	if (!o.msg.encrypted)
		wr_put(w, o.msg.clear.nonce);
	opened_done(&o);
}

/* A redirect, or where somebody claims to come from (RFC 5685), in any exchange. */
static void op_sent_on(struct pair *p, struct cur *c)
{
	static const uint16_t types[] = { WIRE_N_REDIRECT, WIRE_N_REDIRECTED_FROM,
					  WIRE_N_REDIRECT_SUPPORTED };
	struct packet *q = pick_packet(p, c);
	uint8_t buf[512], flags = cur_u8(c), type = cur_u8(c);
	const char *gateway = pick_gateway(c);
	struct wr w = wr_of(buf, sizeof(buf));
	enum wire_fault fault;
	struct wire_hdr h;
	struct ip ip;

	if (!q || q->esp || wire_ike_parse_hdr(packet_ike(q), &h, &fault) != ST_OK)
		return;
	wr_u32(&w, 0);
	wr_u16(&w, 0);
	wr_u16(&w, types[type % ARRAY_LEN(types)]);
	if (flags & 2)
		wr_put(&w, pick_bytes(c, 72));
	else if (ip_parse(gateway, &ip) == ST_OK)
		wire_gateway_put(
			&w, &(struct wire_gateway){ ip.family == 4 ? WIRE_GW_IPV4 : WIRE_GW_IPV6,
						    ip_raw(&ip) });
	else
		wire_gateway_put(&w, &(struct wire_gateway){ WIRE_GW_FQDN, bytes_str(gateway) });
	if (flags & 4)
		put_nonce(p, q, &w);
	store_be16(buf + 2, (uint16_t)wr_len(&w));
	set_insider(p);
	world_deliver(p->w,
		      packet_like(p->w, q, flags & 8 ? h.exchange : WIRE_INFORMATIONAL, flags & 1,
				  h.msgid + (uint32_t)pick(c, 4), WIRE_P_NOTIFY, wr_bytes_of(&w)));
}

/* What is larger is lost, and nobody says so. */
static void op_path_mtu(struct pair *p, struct cur *c)
{
	const char *to = cur_u8(c) & 1 ? "192.0.2.2" : "192.0.2.1";

	world_path_mtu(p->w, to, (uint16_t)(600 + cur_u8(c) * 8));
}

/* ---- inner addresses ------------------------------------------------------------------------- */

#define POOL "10.77.0.0/28"

static bool gives_addresses(const struct pair *p)
{
	return CONTAINER_OF(p, const struct run, p)->inner;
}

/* The store of who gives them: late, in vain, on a disk that is full for a while. */
static void op_store(struct pair *p, struct cur *c)
{
	struct pending *q = node_pending(p->b, PENDING_STORE, 0);

	switch (pick(c, 6)) {
	case 0: p->b->hold |= HOLD_STORE; break;
	case 1: p->b->hold &= ~(unsigned)HOLD_STORE; break;
	case 2:
		if (q)
			node_answer(p->b, q);
		break;
	case 3:
		if (q)
			node_refuse(p->b, q, ST_IO);
		break;
	case 4: p->b->fail_store = p->b->n_stores + (long)pick(c, 3); break;
	default: p->b->read_only = cur_u8(c) & 1; break;
	}
}

static void set_pool(struct node *n, const char *words)
{
	struct test_conf *conf = test_conf_copy(n->conf);

	test_conf_pool(conf, &conf->peer[0], words);
	node_reconfigure(n, conf);
}

/* Another pool, or none. */
static void op_pool(struct pair *p, struct cur *c)
{
	static const char *const words[] = { POOL, "10.78.0.0/28 10.77.0.1/32", "10.77.0.0/30",
					     "10.77.0.7/32", "" };

	if (gives_addresses(p))
		set_pool(p->b, words[pick(c, ARRAY_LEN(words))]);
}

static bool is_stored(const struct node *n, const struct ip *ip)
{
	for (size_t i = 0; i < n->n_leases; i++)
		if (ip_eq(&n->leases[i].v4, ip))
			return true;
	return false;
}

/* After the next start there is a lease of a life before: of somebody else, or of a itself. */
static void op_past(struct pair *p, struct cur *c)
{
	static const char *const ids[] = { "gone.example", "a.example", "other.example" };
	const char *id = ids[pick(c, ARRAY_LEN(ids))];
	struct node_lease *l = &p->b->leases[p->b->n_leases], row = { .type = WIRE_ID_FQDN };

	row.v4 = test_ip("10.77.0.0");
	row.v4.b[3] = cur_u8(c) & 3;
	row.ended.s = cur_u16(c);
	if (!gives_addresses(p) || is_stored(p->b, &row.v4) || node_lease(p->b, id))
		return;
	memcpy(row.peer, p->b->conf->peer[0].name, strlen(p->b->conf->peer[0].name) + 1);
	row.n_id = strlen(id);
	memcpy(row.id, id, row.n_id);
	*l = row;
	p->b->n_leases++;
	p->b->mem.fail_at = -1;
	node_restart(p->b);
}

/* ---- words of upper modules ------------------------------------------------------------------ */

static const uint16_t word_types[] = {
	WIRE_N_SHORTCUT_SUGGEST,    WIRE_N_SHORTCUT_REPORT, WIRE_N_SHORTCUT_WITHDRAW,
	WIRE_N_SHORTCUT_CANDIDATES, WIRE_N_SHORTCUT_HUBS,   WIRE_N_SHORTCUT_DIRECTORY,
	WIRE_N_SHORTCUT_RELAY,      WIRE_N_SHORTCUT_ACCEPT, WIRE_N_SHORTCUT_REFUSED,
	WIRE_N_SHORTCUT_PROOF,      WIRE_N_CAPABILITIES,    WIRE_N_TEMPORARY_FAILURE,
	WIRE_N_INVALID_SYNTAX,      WIRE_N_SHORTCUT_ASK,
};

static uint16_t pick_word(struct cur *c)
{
	return word_types[pick(c, ARRAY_LEN(word_types))];
}

static void say(struct node *n, struct cur *c, size_t max)
{
	static const uint8_t word[48 << 10];
	uint16_t type = pick_word(c);
	uint64_t id;

	/* As many as the harness keeps count of. */
	if (n->n_open < NODE_WORDS / 2)
		(void)!node_ask(n, PAIR_PEER, type, bytes_of(word, cur_u16(c) % max), &id);
}

/* One is said, or several, or a large one; answers come late, and are anything. */
static void op_word(struct pair *p, struct cur *c)
{
	struct node *n = pick_node(p, c);
	struct pending *q = node_pending(n, PENDING_WORD, 0);

	switch (pick(c, 6)) {
	case 0: say(n, c, 200); break;
	case 1: say(n, c, 48 << 10); break;
	case 2:
		for (size_t i = pick(c, 8); i > 0; i--)
			say(n, c, 64);
		break;
	case 3: n->hold ^= HOLD_WORDS; break;
	case 4:
		if (q)
			node_answer(n, q);
		break;
	default:
		if (q) {
			uint16_t type = pick_word(c);

			/* A peer whose host says that gives its own SA up. */
			set_insider(p);
			node_say(n, q, type, pick_bytes(c, 64));
		}
		break;
	}
}

/* Without a key: in the clear. */
static struct packet *say_clear(struct pair *p, const struct packet *like,
				const struct wire_hdr *hdr, uint16_t type, struct bytes data)
{
	uint8_t buf[4 + 256] = { 0 };
	size_t marker = like->n - packet_ike(like).n;
	struct wire_out o;
	struct bytes msg;

	wire_ike_begin(&o, buf + marker, 256, hdr);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, data);
	if (wire_ike_end(&o, &msg))
		harness_fail("a short message is too long");
	return world_inject(p->w, like->src, like->dst, bytes_of(buf, marker + msg.n));
}

/* A word that nobody said, encrypted or not, with any number of notifies: a question or an answer,
 * in any state. */
static void op_false_word(struct pair *p, struct cur *c)
{
	struct packet *q = pick_packet(p, c);
	uint8_t buf[4 * 80], flags = cur_u8(c);
	uint32_t msgid = (uint32_t)pick(c, 4);
	struct wr w = wr_of(buf, sizeof(buf));
	uint16_t type = pick_word(c);
	enum wire_fault fault;
	struct wire_hdr h;

	if (!q || q->esp || wire_ike_parse_hdr(packet_ike(q), &h, &fault) != ST_OK)
		return;
	h.exchange = WIRE_SHORTCUT;
	h.msgid += msgid;
	if (flags & 2) {
		world_deliver(p->w, say_clear(p, q, &h, type, pick_bytes(c, 72)));
		return;
	}
	for (size_t left = pick(c, 4); left; left--) {
		struct bytes data = pick_bytes(c, 72);

		wr_u8(&w, left > 1 ? WIRE_P_NOTIFY : WIRE_P_NONE);
		wr_u8(&w, 0);
		wr_u16(&w, (uint16_t)(8 + data.n));
		wr_u16(&w, flags & 4 ? cur_u8(c) : 0);
		wr_u16(&w, type);
		wr_put(&w, data);
		type = pick_word(c);
	}
	set_insider(p);
	world_deliver(p->w, packet_like(p->w, q, WIRE_SHORTCUT, flags & 1, h.msgid,
					wr_len(&w) ? WIRE_P_NOTIFY : WIRE_P_NONE, wr_bytes_of(&w)));
}

typedef void op_fn(struct pair *p, struct cur *c);

/* The frequent ones stand several times. New ones go to the end: inputs name them by number. */
static op_fn *const ops[] = {
	op_deliver_first, op_deliver_first, op_deliver_first, op_deliver, op_drop,      op_copy,
	op_damage,        op_truncate,      op_edit,          op_edit,    op_forge,     op_forge,
	op_inject,        op_timer,         op_advance,       op_hold,    op_answer,    op_answer,
	op_refuse,        op_starve,        op_feed,          op_fail_dp, op_command,   op_traffic,
	op_restart,       op_reconfigure,   op_expire,        op_nat,     op_readdress, op_timer,
	op_report,        op_fail_job,      op_shut_down,     op_rekey,   op_rekey,     op_network,
	op_network,       op_mobike,        op_redirect,      op_sent_on, op_sent_on,   op_path_mtu,
	op_store,         op_store,         op_pool,          op_past,    op_word,      op_word,
	op_false_word,
};

/* ---- a run ----------------------------------------------------------------------------------- */

/* a asks for addresses beside its prefix. */
static void give_addresses(struct pair *p, bool v6)
{
	set_inner(p);
	p->pa->ask_v4 = true;
	p->pa->ask_v6 = v6;
	test_conf_pool(p->cb, p->pb, v6 ? POOL " fd00:77::/124" : POOL);
	test_conf_dns(p->cb, p->pb, "10.2.0.53", "corp.example");
}

static void configure(struct pair *p, struct cur *c)
{
	unsigned bits = cur_u16(c);

	pair_init(p, 1 + bits % 7);
	p->pa->start = bits & 1 ? IKE_START_UP : IKE_START_TRAFFIC;
	p->pb->start = bits & 2 ? IKE_START_UP : IKE_START_LISTEN;
	p->pa->dpd_delay = p->pb->dpd_delay = dur_s(10);
	p->pa->keepalive = dur_s(20);
	if (bits & 4) {
		pair_certs(p);
		p->pa->capabilities = IKE_CAN_PARTNER;
		p->pb->capabilities = IKE_CAN_HUB;
		p->pa->fragmentation = p->pb->fragmentation = bits & 8;
	}
	if (bits & 8)
		p->cb->conf.half_open_cookie = 0;
	if (bits & 16)
		p->ca->conf.force_encap = true;
	if (bits & 32)
		world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	if (bits & 64) {
		p->pa->ike =
			test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
		p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-ecp256");
	}
	if (bits & 128)
		pair_ipv6(p);
	if (bits & 256)
		p->pa->remote_id = test_conf_ident(p->ca, "*.example");
	if (bits & 1024)
		p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	if (bits & 512)
		pair_network(p);
	p->pa->mobike = p->pb->mobike = bits & 2048;
	p->pa->nats_allowed = p->pb->nats_allowed = !(bits & 4096 && !(bits & 32));
	p->pa->return_routability = p->pb->return_routability =
		(enum ike_routability)(bits >> 13 & 3) % (IKE_ROUTABILITY_AFTER + 1);
	p->pa->follow = p->pb->follow = bits & 32768;
	/* There are three ways of checking where a peer is. */
	if ((bits >> 13 & 3) == 3)
		give_addresses(p, bits & 1);
	pair_start(p);
}

/* The totals, the snapshots and the data plane tell the same story. */
static void check_totals(const struct node *n)
{
	struct ike_totals t = ike_totals(n->ike);
	struct node_sa sa[64];
	size_t count = node_sas(n, sa, ARRAY_LEN(sa)), children = 0;

	for (size_t i = 0; i < count && i < ARRAY_LEN(sa); i++)
		children += sa[i].info.n_children;
	if (count != t.sas || children != t.children || t.half_open > t.sas)
		harness_fail("%s: %zu SAs, %zu children, but totals say %zu, %zu", n->name, count,
			     children, t.sas, t.children);
	if (ike_idle(n->ike) != (t.sas == 0))
		harness_fail("%s: idle, but not empty", n->name);
}

/* What the engine forgot the data plane must have forgotten too. */
static void check_data_plane(const struct node *n)
{
	if (ike_totals(n->ike).children < n->n_children)
		harness_fail("%s: the data plane has %zu children, the engine %zu", n->name,
			     n->n_children, ike_totals(n->ike).children);
}

static void heal(struct node *n)
{
	const struct ike_cmd stay = { .kind = IKE_CMD_REDIRECT_OFF };

	n->mem.fail_at = -1;
	n->fail_job = n->fail_store = -1;
	n->read_only = false;
	node_release(n);
	(void)!node_cmd(n, &stay);
	/* Without memory a reload did not happen. */
	if (!n->conf->conf.n_peers || n->mem.refused) {
		struct test_conf *conf = test_conf_copy(n->conf);

		conf->conf.n_peers = 1;
		node_reconfigure(n, conf);
	}
}

/* What an insider changed, a child's SPI or selectors say, shows to nobody: such SAs are replaced.
 */
static void start_over(struct pair *p)
{
	if (node_command(p->a, IKE_CMD_DOWN, PAIR_PEER) != ST_OK ||
	    node_command(p->b, IKE_CMD_DOWN, PAIR_PEER) != ST_OK)
		harness_fail("no farewell");
	world_live(p->w, dur_s(300));
}

static void must_recover(struct pair *p, bool insider)
{
	heal(p->a);
	heal(p->b);
	if (gives_addresses(p))
		set_pool(p->b, POOL);
	world_path_mtu(p->w, "192.0.2.1", 0);
	world_path_mtu(p->w, "192.0.2.2", 0);
	if (p->a->roams)
		node_moves(p->a, "192.0.2.1", "2001:db8::1");
	if (p->b->roams)
		node_moves(p->b, "192.0.2.2", "2001:db8::2");
	if (insider)
		start_over(p);
	if (node_command(p->a, IKE_CMD_UP, PAIR_PEER) != ST_OK)
		harness_fail("a does not connect");
	/* A child that went alone comes back with the next packet, if nobody wanted it up. */
	for (int i = 0; i < 90; i++) {
		dp_fake_interval(p->a->dp);
		node_packet(p->a, "10.1.0.1", "10.2.0.1");
		world_live(p->w, dur_s(10));
	}
	check_data_plane(p->a);
	check_data_plane(p->b);
	if (!pair_is_up(p))
		harness_fail("a and b do not find together again");
}

static void must_end(struct node *n)
{
	if (node_command(n, IKE_CMD_SHUTDOWN, 0) != ST_OK)
		harness_fail("%s: no shutdown", n->name);
	world_live(n->w, dur_s(120));
	if (!node_is_down(n))
		harness_fail("%s: not idle after a shutdown", n->name);
	if (n->n_open)
		harness_fail("%s: nothing came of %zu words", n->name, n->n_open);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cur c = cur_of(bytes_of(data, size));
	struct run run = { 0 };
	struct pair *p = &run.p;

	configure(p, &c);
	for (int i = 0; i < STEPS_MAX && cur_left(&c); i++) {
		ops[pick(&c, ARRAY_LEN(ops))](p, &c);
		check_totals(p->a);
		check_totals(p->b);
		while (world_packets(p->w) > QUEUE_MAX)
			world_drop(p->w, world_packet(p->w, 0));
	}
	must_recover(p, run.insider);
	must_end(p->a);
	must_end(p->b);
	pair_done(p);
	return 0;
}
