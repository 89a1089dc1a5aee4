#include "harness/internal.h"

#include <stdio.h>

#define RUN_MAX 10000

static const uint8_t non_esp_marker[4];

static struct packet *packet_new(struct endpoint src, struct endpoint dst, bool marker,
				 struct bytes data)
{
	struct packet *p = mem_libc.alloc(NULL, sizeof(*p));
	size_t head = marker ? sizeof(non_esp_marker) : 0;

	if (!p)
		harness_fail("out of memory");
	list_init(&p->link);
	p->src = src;
	p->dst = dst;
	p->n = head + data.n;
	p->data = mem_libc.alloc(NULL, p->n + 1);
	if (!p->data)
		harness_fail("out of memory");
	if (data.n)
		memcpy(p->data + head, data.p, data.n);
	return p;
}

void packet_free(struct packet *p)
{
	if (!p)
		return;
	list_del(&p->link);
	mem_libc.free(NULL, p->data);
	mem_libc.free(NULL, p);
}

static struct packet *enqueue(struct world *w, struct packet *p)
{
	p->id = ++w->next_packet;
	list_add_tail(&w->packets, &p->link);
	return p;
}

/* ---- the address translator ---------------------------------------------------------------- */

void world_nat(struct world *w, const char *inside, const char *outside, uint16_t first_port)
{
	w->nat = (struct nat){
		.inside = test_ip(inside),
		.outside = test_ip(outside),
		.first_port = first_port,
	};
}

void world_nat_forget(struct world *w)
{
	w->nat.first_port = (uint16_t)(w->nat.first_port + NAT_MAPPINGS);
	w->nat.n = 0;
}

static void nat_out(struct nat *nat, struct endpoint *src)
{
	size_t k = 0;

	if (!nat->inside.family || !ip_eq(&src->ip, &nat->inside))
		return;
	while (k < nat->n && !endpoint_eq(&nat->in[k], src))
		k++;
	if (k == NAT_MAPPINGS)
		harness_fail("address translator: no mapping free");
	if (k == nat->n)
		nat->in[nat->n++] = *src;
	*src = (struct endpoint){ nat->outside, (uint16_t)(nat->first_port + k) };
}

/* False: nothing inside asked for that. */
static bool nat_in(const struct nat *nat, struct endpoint *dst)
{
	unsigned k = (unsigned)dst->port - nat->first_port;

	if (!nat->inside.family || !ip_eq(&dst->ip, &nat->outside))
		return !nat->inside.family || !ip_eq(&dst->ip, &nat->inside);
	if (k >= nat->n)
		return false;
	*dst = nat->in[k];
	return true;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* What ike.h promises about SEND. */
static void check_send(const struct node *n, const struct ike_out *o)
{
	const struct test_conf *c = n->conf;
	uint16_t port = o->u.send.local.port;

	if (!node_owns(n, &o->u.send.local.ip))
		harness_fail("%s: sends from an address that is not its own", n->name);
	if (port != c->conf.port && port != c->conf.nat_port)
		harness_fail("%s: sends from port %u", n->name, port);
	if (o->u.send.local.ip.family != o->u.send.remote.ip.family || !o->u.send.remote.port)
		harness_fail("%s: sends to nowhere", n->name);
	if (o->u.send.keepalive ? o->u.send.data.n != 0 : o->u.send.data.n == 0)
		harness_fail("%s: datagram without sense", n->name);
	if (o->u.send.probe && !o->u.send.df)
		harness_fail("%s: a probe that may be fragmented", n->name);
	if (!o->u.send.keepalive && o->u.send.marker != (port == c->conf.nat_port))
		harness_fail("%s: non-ESP marker on the wrong port", n->name);
}

void world_send(struct world *w, struct node *n, const struct ike_out *o)
{
	static const uint8_t keepalive = 0xff;
	struct endpoint src = o->u.send.local;
	struct packet *p;

	if (n->roams && !node_owns(n, &src.ip)) {
		n->unsent++;
		return;
	}
	check_send(n, o);
	if (n->unplugged)
		return;
	nat_out(&w->nat, &src);
	if (o->u.send.keepalive)
		p = packet_new(src, o->u.send.remote, false, bytes_of(&keepalive, 1));
	else
		p = packet_new(src, o->u.send.remote, o->u.send.marker, o->u.send.data);
	p->df = o->u.send.df;
	enqueue(w, p);
	n->sent++;
	trace_packet(w, p);
}

void world_send_esp(struct world *w, const struct endpoint *local, const struct endpoint *remote,
		    struct bytes data)
{
	struct endpoint src = *local;
	struct packet *p;

	nat_out(&w->nat, &src);
	p = packet_new(src, *remote, false, data);
	p->esp = p->df = true;
	enqueue(w, p);
}

struct packet *world_inject(struct world *w, struct endpoint src, struct endpoint dst,
			    struct bytes data)
{
	return enqueue(w, packet_new(src, dst, false, data));
}

struct packet *packet_keep(const struct packet *p)
{
	struct packet *copy = packet_new(p->src, p->dst, false, bytes_of(p->data, p->n));

	copy->id = p->id;
	copy->esp = p->esp;
	copy->df = p->df;
	return copy;
}

struct packet *world_copy(struct world *w, const struct packet *p)
{
	return enqueue(w, packet_keep(p));
}

/* ---- the queue ----------------------------------------------------------------------------- */

size_t world_packets(const struct world *w)
{
	size_t n = 0;

	list_for_each(it, &w->packets)
		n++;
	return n;
}

struct packet *world_packet(struct world *w, size_t i)
{
	list_for_each(it, &w->packets)
		if (i-- == 0)
			return CONTAINER_OF(it, struct packet, link);
	return NULL;
}

static struct node *owner(struct world *w, struct endpoint *dst)
{
	if (!nat_in(&w->nat, dst))
		return NULL;
	for (size_t i = 0; i < w->n_nodes; i++)
		if (!w->node[i]->unplugged && node_owns(w->node[i], &dst->ip))
			return w->node[i];
	return NULL;
}

struct packet *world_packet_to(struct world *w, const struct node *n)
{
	list_for_each(it, &w->packets) {
		struct packet *p = CONTAINER_OF(it, struct packet, link);
		struct endpoint dst = p->dst;

		if (owner(w, &dst) == n)
			return p;
	}
	return NULL;
}

static bool has_marker(struct bytes data)
{
	return data.n >= sizeof(non_esp_marker) &&
	       memcmp(data.p, non_esp_marker, sizeof(non_esp_marker)) == 0;
}

enum to {
	TO_NOBODY,
	TO_ENGINE,
	TO_DATA_PLANE,
};

/* The host's demultiplexing of RFC 3948. */
static enum to demultiplex(struct node *n, uint16_t port, struct bytes *data)
{
	if (port == n->conf->conf.port)
		return TO_ENGINE;
	if (port != n->conf->conf.nat_port)
		return port == 0 ? TO_DATA_PLANE : TO_NOBODY;
	if (data->n == 1 && data->p[0] == 0xff) {
		n->keepalives++;
		return TO_NOBODY;
	}
	if (!has_marker(*data))
		return TO_DATA_PLANE;
	*data = bytes_of(data->p + sizeof(non_esp_marker), data->n - sizeof(non_esp_marker));
	return TO_ENGINE;
}

/* The bytes go to the engine in a block of exactly their size, so that the address sanitizer sees a
 * read past the end. */
static void to_engine(struct node *n, struct endpoint local, struct endpoint remote,
		      struct bytes data)
{
	struct bytes copy;
	struct ike_datagram d;

	if (mem_dup(&mem_libc, data, &copy) != ST_OK)
		harness_fail("out of memory");
	d = (struct ike_datagram){ .local = local, .remote = remote, .data = copy };
	d.data.n = data.n;
	engine_input(n, &d);
	mem_libc.free(NULL, (void *)(uintptr_t)copy.p);
	node_drain(n);
}

static void input(struct node *n, struct endpoint local, struct endpoint remote, struct bytes data)
{
	enum to to = n->ike ? demultiplex(n, local.port, &data) : TO_NOBODY;

	if (to == TO_ENGINE)
		to_engine(n, local, remote, data);
	else if (to == TO_DATA_PLANE)
		dp_input(n, &local, &remote, data);
}

/* ---- ways that are narrow ------------------------------------------------------------------ */

void world_path_mtu(struct world *w, const char *to, uint16_t mtu)
{
	struct ip ip = test_ip(to);
	size_t i = 0;

	while (i < w->n_ways && !ip_eq(&w->way[i].to, &ip))
		i++;
	if (i == WORLD_WAYS)
		harness_fail("too many narrow ways");
	w->way[i].to = ip;
	w->way[i].mtu = mtu;
	if (i == w->n_ways)
		w->n_ways++;
}

size_t packet_ip_size(const struct packet *p)
{
	return p->n + (p->dst.ip.family == 4 ? 20 : 40) + (p->dst.port ? 8 : 0);
}

static bool swallows(const struct world *w, const struct packet *p)
{
	for (size_t i = 0; i < w->n_ways; i++)
		if (ip_eq(&w->way[i].to, &p->dst.ip))
			return w->way[i].mtu && p->df && packet_ip_size(p) > w->way[i].mtu;
	return false;
}

void world_hand_over(struct world *w, const struct packet *p)
{
	struct endpoint dst = p->dst;
	struct node *n = owner(w, &dst);

	if (swallows(w, p))
		w->swallowed++;
	else if (n)
		input(n, dst, p->src, bytes_of(p->data, p->n));
}

void world_deliver(struct world *w, struct packet *p)
{
	if (!p)
		harness_fail("there is nothing to deliver");
	list_del(&p->link);
	world_hand_over(w, p);
	packet_free(p);
}

void world_drop(struct world *w, struct packet *p)
{
	(void)w;
	if (!p)
		harness_fail("there is nothing to drop");
	packet_free(p);
}

void world_drop_all(struct world *w)
{
	while (world_packet(w, 0))
		packet_free(world_packet(w, 0));
}

void world_run(struct world *w)
{
	for (int i = 0; world_packet(w, 0); i++) {
		if (i == RUN_MAX)
			harness_fail("the nodes talk without end");
		world_deliver(w, world_packet(w, 0));
	}
}

void node_input(struct node *n, struct endpoint src, uint16_t port, struct bytes data)
{
	input(n, (struct endpoint){ n->address[0], port }, src, data);
}

/* ---- looking into a datagram --------------------------------------------------------------- */

struct bytes packet_ike(const struct packet *p)
{
	struct bytes b = bytes_of(p->data, p->n);

	return has_marker(b) ? bytes_of(b.p + 4, b.n - 4) : b;
}

static uint8_t header_byte(const struct packet *p, size_t at)
{
	struct bytes b = packet_ike(p);

	return b.n >= WIRE_IKE_HDR_LEN ? b.p[at] : 0;
}

uint8_t packet_exchange(const struct packet *p)
{
	return header_byte(p, 18);
}

bool packet_is_response(const struct packet *p)
{
	return header_byte(p, 19) & WIRE_FLAG_RESPONSE;
}

uint32_t packet_msgid(const struct packet *p)
{
	struct bytes b = packet_ike(p);

	return b.n >= WIRE_IKE_HDR_LEN ? load_be32(b.p + 20) : UINT32_MAX;
}
