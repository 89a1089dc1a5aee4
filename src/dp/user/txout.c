/* To the network: a batch of framed packets is numbered, sealed, and cut into messages. */
#include "dp/user/internal.h"

uint8_t *tx_room(struct queue *q, const struct child *c, size_t n)
{
	struct tx *tx = &q->tx;

	if (tx->n == TX_PACKETS || tx->used + ESP_HEAD_MAX + n + ESP_TAIL_MAX > TX_BYTES)
		tx_flush(q);
	return tx->buf + tx->used + esp_out_shape(c->out)->head;
}

static void push(struct queue *q, const struct tx_packet *p)
{
	struct tx *tx = &q->tx;

	tx->packet[tx->n] = *p;
	tx->packet[tx->n++].at = (uint32_t)tx->used;
	tx->used += p->size;
}

/* DSCP and ECN of the inner packet stand in the outer one as well (RFC 2983 section 3.1, uniform;
 * RFC 6040 section 4.1, normal mode). */
void tx_commit(struct queue *q, struct child *c, const struct path *p, const struct wire_ip *ip,
	       size_t n, bool fragment)
{
	const struct esp_shape *shape = esp_out_shape(c->out);
	const struct tx_packet packet = {
		.child = c,
		.path = p,
		.n = (uint32_t)n,
		.size = (uint32_t)esp_size(shape, n),
		.head = shape->head,
		.ds = ip->ds,
		.next_header = ip->version == 4 ? ESP_NH_IPV4 : ESP_NH_IPV6,
		.fragment = fragment,
	};

	push(q, &packet);
}

/* Nothing in it needs to make sense, so there is nothing in it. */
void tx_dummy(struct queue *q, struct child *c)
{
	const struct esp_shape *shape = esp_out_shape(c->out);
	const struct tx_packet packet = {
		.child = c,
		.path = atomic_load_explicit(&c->path, memory_order_acquire),
		.size = (uint32_t)esp_size(shape, 0),
		.head = shape->head,
		.next_header = ESP_NH_NONE,
	};

	(void)tx_room(q, c, 0);
	push(q, &packet);
}

/* ---- numbers and keys ---------------------------------------------------------------------- */

/* No number is left: nothing can be sent on this SA any more. */
static void exhausted(struct queue *q, struct child *c)
{
	const struct dp_report r = {
		.kind = DP_REPORT_EXPIRE,
		.u.expire = { .id = c->id, .hard = true },
	};

	atomic_store_explicit(&c->dead, true, memory_order_relaxed);
	if (!atomic_load_explicit(&c->hard_reported, memory_order_relaxed) && queue_report(q, &r))
		atomic_store_explicit(&c->hard_reported, true, memory_order_relaxed);
}

static void count_out(struct queue *q, struct child *c, size_t first, size_t n)
{
	uint64_t bytes = 0;
	uint64_t packets = 0;

	for (size_t i = first; i < first + n; i++) {
		bytes += q->tx.packet[i].n;
		packets += q->tx.packet[i].next_header != ESP_NH_NONE;
	}
	if (!packets)
		return; /* dummies are no traffic */
	peer_sent(q, c);
	packets = add_relaxed(&c->packets_out, packets);
	child_check_limits(q, c, packets, add_relaxed(&c->bytes_out, bytes));
}

/* Packets first..end of one child: numbers for all of them at once.  Those that got none are cut
 * off the batch; returns the number of operations added from `ops` on. */
static size_t frame(struct queue *q, size_t first, size_t end, struct bulk_op *ops)
{
	struct tx *tx = &q->tx;
	struct child *c = tx->packet[first].child;
	uint64_t seq = 0;
	size_t n = esp_out_reserve(c->out, end - first, &seq);

	for (size_t i = 0; i < n; i++) {
		struct tx_packet *p = &tx->packet[first + i];

		esp_seal_prepare(c->out, seq + i, p->next_header, tx->buf + p->at + p->head, p->n,
				 &ops[i]);
		p->sealed = true;
	}
	if (n < end - first) {
		count(q, DP_C_TX_NO_SA, end - first - n);
		exhausted(q, c);
	}
	if (n)
		count_out(q, c, first, n);
	return n;
}

static void seal(struct queue *q)
{
	struct tx *tx = &q->tx;
	size_t ops = 0;
	size_t end;

	for (size_t i = 0; i < tx->n; i = end) {
		for (end = i + 1; end < tx->n && tx->packet[end].child == tx->packet[i].child;)
			end++;
		ops += frame(q, i, end, tx->op + ops);
	}
	bulk_seal(tx->op, ops);
	/* In the same order as the packets that are marked. */
	for (size_t i = 0, op = 0; i < tx->n; i++)
		if (tx->packet[i].sealed && !tx->op[op++].ok) {
			tx->packet[i].sealed = false;
			count(q, C_TX_ERROR, 1);
		}
}

/* ---- messages ------------------------------------------------------------------------------ */

static bool same_way(const struct tx_message *m, const struct tx_packet *p)
{
	const struct endpoint *a = &m->path->remote;
	const struct endpoint *b = &p->path->remote;

	return m->ds == p->ds && !m->fragment && !p->fragment &&
	       (m->path == p->path ||
		(endpoint_eq(a, b) && endpoint_eq(&m->path->local, &p->path->local)));
}

/* UDP_SEGMENT: every piece but the last has the same size, and no more than so many of them. */
static bool joins(const struct queue *q, const struct tx_message *m, const struct tx_packet *p)
{
	return same_way(m, p) && p->at == m->at + m->n && m->n % m->size == 0 &&
	       p->size <= m->size && m->packets < TX_SEGMENTS && m->n + p->size <= TX_MESSAGE_MAX &&
	       !atomic_load_explicit(&q->u->no_gso[m->socket], memory_order_relaxed);
}

static size_t cut_messages(struct queue *q)
{
	struct tx *tx = &q->tx;
	struct tx_message *m = NULL;
	size_t n = 0;

	for (size_t i = 0; i < tx->n; i++) {
		const struct tx_packet *p = &tx->packet[i];

		if (!p->sealed)
			continue;
		if (m && joins(q, m, p)) {
			m->n += p->size;
			m->packets++;
			continue;
		}
		m = &tx->message[n++];
		*m = (struct tx_message){ .path = p->path,
					  .at = p->at,
					  .n = p->size,
					  .size = p->size,
					  .packets = 1,
					  .socket = p->path->socket[q->i],
					  .ds = p->ds,
					  .fragment = p->fragment };
	}
	return n;
}

void tx_flush(struct queue *q)
{
	struct tx *tx = &q->tx;

	if (!tx->n)
		return;
	seal(q);
	count(q, C_TX_PACKETS, tx->n);
	udp_send(q, tx->message, cut_messages(q));
	tx->n = 0;
	tx->used = 0;
}
