/* The data plane of a node, and packets of its protected side. */
#include "harness/internal.h"

void dp_start(struct node *n)
{
	if (n->dp)
		n->dp->ops->free(n->dp);
	n->dp = NULL;
	if (dp_fake_new(&mem_libc, &n->dp) != ST_OK)
		harness_fail("%s: no data plane", n->name);
}

static void tell_time(struct node *n)
{
	dp_fake_time(n->dp, n->w->now.mono);
}

static bool in_udp(const struct node *n, dp_child_id id)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.id == id)
			return n->child[i].child.encap;
	harness_fail("%s: a packet of child %llu, which is not there", n->name,
		     (unsigned long long)id);
}

static void send_esp(struct node *n, struct dp_fake_packet *out)
{
	if (n->roams && !node_owns(n, &out->local.ip))
		return;
	if (!in_udp(n, out->child))
		out->local.port = out->remote.port = 0;
	world_send_esp(n->w, &out->local, &out->remote, bytes_of(out->data, out->n));
}

static void send_all(struct node *n)
{
	while (dp_fake_next_out(n->dp, n->w->esp))
		send_esp(n, n->w->esp);
}

void dp_submit(struct node *n, const struct dp_op *op, struct pending *p)
{
	struct dp_op copy = *op;
	struct dp_report r;
	enum status st;

	/* The fake plane knows UDP only; without it the harness carries its packets (send_esp). */
	if (op->kind == DP_CHILD_ADD)
		copy.u.child.encap = true;
	tell_time(n);
	if (op->kind == DP_CHILD_ADDRESS)
		copy.u.address.encap = true;
	st = n->dp->ops->submit(n->dp, &copy);
	if (st != ST_OK)
		harness_fail("%s: the data plane refuses operation %llu: %s", n->name,
			     (unsigned long long)op->op, status_name(st));
	/* Packets that waited for this child, which may be gone by the end of these outputs. */
	send_all(n);
	while (n->dp->ops->report(n->dp, &r)) {
		if (r.kind != DP_REPORT_DONE) {
			node_report_later(n, &r);
			continue;
		}
		if (r.u.done.op != op->op)
			harness_fail("%s: an answer to another operation", n->name);
		p->counters = r.u.done.counters;
		if (!p->fail)
			p->status = r.u.done.status;
	}
}

mono_t dp_deadline(const struct node *n)
{
	return n->looks ? dp_fake_deadline(n->dp) : MONO_NEVER;
}

void dp_look(struct node *n)
{
	if (!n->looks)
		return;
	tell_time(n);
	dp_fake_look(n->dp);
	dp_pump(n);
}

void dp_pump(struct node *n)
{
	struct dp_report r;

	send_all(n);
	if (n->dp->ops->report(n->dp, &r))
		node_report(n, &r);
}

static void count_inner(struct node *n)
{
	struct dp_fake_packet *in = n->w->esp;

	while (dp_fake_next_in(n->dp, in)) {
		n->inner_seen++;
		n->inner_len = in->n < sizeof(n->inner) ? in->n : sizeof(n->inner);
		memcpy(n->inner, in->data, n->inner_len);
	}
}

void dp_input(struct node *n, const struct endpoint *local, const struct endpoint *remote,
	      struct bytes packet)
{
	struct endpoint l = *local, r = *remote;

	/* Without UDP there are no ports; the data plane knows the child by its addresses and SPI.
	 */
	if (local->port == 0)
		l.port = r.port = n->conf->conf.port;
	n->esp_seen++;
	tell_time(n);
	(void)dp_fake_in(n->dp, &l, &r, packet);
	count_inner(n);
	dp_pump(n);
}

/* ---- packets ------------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += load_be16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An ICMP echo request with some data. */
static size_t echo4(const struct ip *src, const struct ip *dst, uint8_t *b)
{
	size_t n = 20 + 8 + 16;

	b[0] = 0x45;
	store_be16(b + 2, (uint16_t)n);
	b[8] = 64;
	b[9] = 1;
	memcpy(b + 12, src->b, 4);
	memcpy(b + 16, dst->b, 4);
	store_be16(b + 10, checksum(b, 20));
	b[20] = 8;
	memset(b + 28, 0x5a, 16);
	store_be16(b + 22, checksum(b + 20, n - 20));
	return n;
}

static size_t echo6(const struct ip *src, const struct ip *dst, uint8_t *b)
{
	b[0] = 0x60;
	store_be16(b + 4, 8 + 16);
	b[6] = 58;
	b[7] = 64;
	memcpy(b + 8, src->b, 16);
	memcpy(b + 24, dst->b, 16);
	b[40] = 128;
	memset(b + 48, 0xa5, 16);
	return 40 + 8 + 16;
}

static size_t echo(const char *src, const char *dst, uint8_t *b)
{
	struct ip s = test_ip(src), d = test_ip(dst);

	memset(b, 0, NODE_INNER_MAX);
	return s.family == 4 ? echo4(&s, &d, b) : echo6(&s, &d, b);
}

void node_packet(struct node *n, const char *src, const char *dst)
{
	uint8_t b[NODE_INNER_MAX];

	tell_time(n);
	dp_fake_out(n->dp, bytes_of(b, echo(src, dst, b)));
	dp_pump(n);
}

/* The first bytes of an echo request, however long it says that it is, will do for a data plane. */
void node_packet_of(struct node *n, const char *src, const char *dst, size_t size)
{
	static uint8_t b[DP_FAKE_PACKET_MAX];

	memset(b, 0, sizeof(b));
	(void)echo(src, dst, b);
	if (b[0] >> 4 == 4) {
		store_be16(b + 2, (uint16_t)size);
		store_be16(b + 6, 0x4000);
		store_be16(b + 10, 0);
		store_be16(b + 10, checksum(b, 20));
	} else {
		store_be16(b + 4, (uint16_t)(size - 40));
	}
	dp_fake_out(n->dp, bytes_of(b, size));
	count_inner(n); /* an answer that it is too big */
	dp_pump(n);
}

/* The newest ESP datagram in the queue. */
static struct packet *last_esp(struct world *w)
{
	struct packet *found = NULL, *p;

	for (size_t i = 0; (p = world_packet(w, i)) != NULL; i++)
		if (p->esp)
			found = p;
	return found;
}

/* The ESP packet that `from` made of the last packet given to it reaches `to`, and those very bytes
 * come out. */
static bool arrives(struct world *w, unsigned queued, struct node *to, struct bytes packet)
{
	unsigned before = to->inner_seen;
	struct packet *p = last_esp(w);

	if (!p || p->id <= queued)
		return false;
	world_deliver(w, p);
	return to->inner_seen == before + 1 && bytes_eq(bytes_of(to->inner, to->inner_len), packet);
}

bool world_ping(struct world *w, struct node *from, const char *src, struct node *to,
		const char *dst)
{
	uint8_t b[NODE_INNER_MAX];
	size_t n = echo(src, dst, b);
	unsigned queued = w->next_packet;

	node_packet(from, src, dst);
	return arrives(w, queued, to, bytes_of(b, n));
}

bool world_ping_via(struct world *w, struct node *from, const char *src, struct node *via,
		    struct node *to, const char *dst)
{
	uint8_t b[NODE_INNER_MAX];
	size_t n = echo(src, dst, b);
	unsigned queued;

	if (!world_ping(w, from, src, via, dst))
		return false;
	queued = w->next_packet;
	tell_time(via);
	dp_fake_out(via->dp, bytes_of(b, n));
	dp_pump(via);
	return arrives(w, queued, to, bytes_of(b, n));
}
