/* The parts of the userspace data plane that can be had one by one: offloads, rings, reclamation.
 */
#include "unit/test_util.h"

#include <pthread.h>
#include <sched.h>

#include "dp/user/offload.h"
#include "dp/user/qsbr.h"
#include "dp/user/ring.h"

static void fill(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)rnd(256);
}

/* ---- checksums ----------------------------------------------------------------------------- */

static void checksums_agree_with_the_simple_ones(void **state)
{
	static uint8_t b[3000];

	(void)state;
	rnd_state = 3;
	for (int round = 0; round < 3000; round++) {
		size_t n = rnd(round < 200 ? 70 : sizeof(b) - 8);
		size_t at = rnd(8);
		uint16_t sum;
		uint8_t two[2];

		if (round % 7 == 0)
			memset(b, 0xff, sizeof(b)); /* carries everywhere */
		else
			fill(b, sizeof(b));
		sum = (uint16_t)~csum_fold(csum_add(0, bytes_of(b + at, n)));
		memcpy(two, &sum, 2);
		sum = load_be16(two);
		/* the two zeros of one's complement are the same number */
		if (sum == 0xffff)
			sum = 0;
		assert_int_equal(sum, wire_checksum(bytes_of(b + at, n)) % 0xffff);
	}
}

/* ---- packets ------------------------------------------------------------------------------- */

struct made {
	uint8_t b[65536];
	size_t n;
	struct wire_ip ip;
	struct vnet v;
};

static void parse(struct made *m)
{
	enum wire_ip_fault why;

	assert_int_equal(wire_ip_parse(bytes_of(m->b, m->n), &m->ip, &why), ST_OK);
}

/* A large TCP or UDP packet as the stack hands it over: pseudo-header sum in the checksum. */
static void make_large(struct made *m, int version, uint8_t proto, size_t payload, size_t gso,
		       size_t tcp_options)
{
	size_t l3 = version == 4 ? 20 : 40;
	size_t l4 = proto == WIRE_IP_TCP ? 20 + tcp_options : 8;
	uint8_t *t = m->b + l3;
	size_t csum = proto == WIRE_IP_TCP ? 16 : 6;
	uint16_t sum;

	m->n = l3 + l4 + payload;
	fill(m->b, m->n);
	if (version == 4) {
		memset(m->b, 0, 12);
		m->b[0] = 0x45;
		m->b[1] = 0x2a;
		store_be16(m->b + 2, (uint16_t)m->n);
		store_be16(m->b + 4, 0xfffe); /* identification wraps */
		m->b[8] = 64;
		m->b[9] = proto;
		store_be16(m->b + 10, wire_checksum(bytes_of(m->b, 20)));
	} else {
		store_be32(m->b, 0x62a12345);
		store_be16(m->b + 4, (uint16_t)(m->n - 40));
		m->b[6] = proto;
		m->b[7] = 64;
	}
	if (proto == WIRE_IP_TCP) {
		store_be32(t + 4, 0xffffff00); /* sequence numbers wrap */
		t[12] = (uint8_t)(l4 / 4 << 4);
		t[13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR ACK PSH FIN */
	} else {
		store_be16(t + 4, (uint16_t)(m->n - l3));
	}
	parse(m);
	sum = csum_fold(csum_pseudo(&m->ip, proto, m->n - l3));
	memcpy(t + csum, &sum, 2);
	m->v = (struct vnet){
		.flags = VNET_NEEDS_CSUM,
		.gso_type = proto == WIRE_IP_UDP ? VNET_GSO_UDP_L4
			    : version == 4       ? VNET_GSO_TCPV4
						 : VNET_GSO_TCPV6,
		.hdr_len = (uint16_t)(l3 + l4),
		.gso_size = (uint16_t)gso,
		.csum_start = (uint16_t)l3,
		.csum_offset = (uint16_t)csum,
	};
}

/* Independently of offload.c: is this a packet that a receiver takes? */
static void check_packet(const uint8_t *p, size_t n, struct wire_ip *ip)
{
	enum wire_ip_fault why;

	assert_int_equal(wire_ip_parse(bytes_of(p, n), ip, &why), ST_OK);
	assert_int_equal(ip->len, n);
	if (ip->version == 4)
		assert_int_equal(wire_checksum(bytes_of(p, ip->upper_at)), 0);
	if (!wire_ip_is_fragment(ip))
		assert_int_equal(wire_checksum_upper(&ip->src, &ip->dst, ip->proto,
						     bytes_of(p + ip->upper_at, n - ip->upper_at)),
				 0);
}

static void pieces_are_right(const struct made *m, size_t max)
{
	static uint8_t out[65536], payload[65536];
	size_t l4 = m->ip.upper_at;
	size_t got = 0;
	struct gso g;

	assert_int_equal(gso_plan(&m->v, bytes_of(m->b, m->n), &m->ip, max, &g), ST_OK);
	for (size_t i = 0; i < g.pieces; i++) {
		size_t n = gso_piece(&g, i, out);
		bool last = i + 1 == g.pieces;
		struct wire_ip ip;

		check_packet(out, n, &ip);
		assert_true(csum_ok(bytes_of(out, n), &ip));
		assert_int_equal(ip.ds, m->ip.ds);
		assert_true(n <= g.hdr_len + m->v.gso_size && (last || n == g.hdr_len + g.size));
		if (ip.proto == WIRE_IP_TCP) {
			assert_true(n <= max);
			assert_true(load_be32(out + l4 + 4) == (uint32_t)(0xffffff00 + got));
			assert_int_equal(out[l4 + 13], 0x10 | (last ? 0x09 : 0) | (i ? 0 : 0x80));
		}
		if (ip.version == 4)
			assert_int_equal(load_be16(out + 4), (uint16_t)(0xfffe + i));
		memcpy(payload + got, out + g.hdr_len, n - g.hdr_len);
		got += n - g.hdr_len;
	}
	assert_int_equal(got, m->n - g.hdr_len);
	assert_memory_equal(payload, m->b + g.hdr_len, got);
}

static void segmentation(void **state)
{
	static struct made m;
	static const size_t payloads[] = { 1, 100, 1000, 1001, 2000, 2999, 60000 };

	(void)state;
	rnd_state = 5;
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		for (int version = 4; version <= 6; version += 2) {
			make_large(&m, version, WIRE_IP_TCP, payloads[i], 1000, 12);
			pieces_are_right(&m, 65535);
			pieces_are_right(&m, 600); /* the path is narrower */
			pieces_are_right(&m, m.ip.upper_at + 32 + 1);
			make_large(&m, version, WIRE_IP_UDP, payloads[i], 1000, 0);
			pieces_are_right(&m, 65535);
			pieces_are_right(&m, 600); /* datagrams keep their size */
		}
	}
}

static void senseless_offloads_are_refused(void **state)
{
	static struct made m, good;
	struct gso g;

	(void)state;
	make_large(&good, 4, WIRE_IP_TCP, 3000, 1000, 0);
	for (int i = 0; i < 8; i++) {
		size_t max = 1400;

		m = good;
		switch (i) {
		case 0: m.v.gso_type = VNET_GSO_TCPV6; break;
		case 1: m.v.gso_type = VNET_GSO_UDP_L4; break;
		case 2: m.v.gso_type = 3; break; /* UFO, never asked for */
		case 3: m.v.gso_size = 0; break;
		case 4: max = 40; break; /* no room for data */
		case 5: m.b[20 + 12] = 0x40; break; /* TCP header shorter than it can be */
		case 6: m.ip.more_fragments = true; break;
		case 7:
			m.ip.len = 30; /* header cut */
			m.b[20 + 12] = 0x50;
			break;
		}
		assert_int_equal(gso_plan(&m.v, bytes_of(m.b, m.n), &m.ip, max, &g), ST_DROP);
	}
	assert_int_equal(gso_plan(&good.v, bytes_of(good.b, good.n), &good.ip, 1400, &g), ST_OK);
}

static void checksum_completion(void **state)
{
	static struct made m;
	struct vnet v;

	(void)state;
	for (int version = 4; version <= 6; version += 2)
		for (size_t n = 0; n < 40; n++) {
			struct wire_ip ip;

			make_large(&m, version, n % 2 ? WIRE_IP_TCP : WIRE_IP_UDP, n, 0, 0);
			assert_int_equal(vnet_complete(&m.v, m.b, m.n), ST_OK);
			check_packet(m.b, m.n, &ip);
			m.b[m.n - 1] ^= 4;
			assert_false(csum_ok(bytes_of(m.b, m.n), &ip));
		}
	v = m.v;
	v.csum_start = (uint16_t)(m.n + 1);
	assert_int_equal(vnet_complete(&v, m.b, m.n), ST_DROP);
	v.csum_start = (uint16_t)(m.n - 1);
	v.csum_offset = 0;
	assert_int_equal(vnet_complete(&v, m.b, m.n), ST_DROP);
	v.csum_offset = 65535;
	assert_int_equal(vnet_complete(&v, m.b, m.n), ST_DROP);
	v.flags = 0;
	assert_int_equal(vnet_complete(&v, m.b, m.n), ST_OK);
}

/* ---- fragmentation ------------------------------------------------------------------------- */

static void make_ip4(struct made *m, size_t n, size_t options, uint16_t frag)
{
	static const uint8_t opts[12] = { 0x44, 4, 0, 0, /* not copied */
					  1, /* no operation */
					  0x88, 4, 7, 7, /* copied */
					  0,    0, 0 };
	uint8_t *udp;

	m->n = n;
	fill(m->b, n);
	memset(m->b, 0, 12);
	m->b[0] = (uint8_t)(0x40 | (20 + options) / 4);
	store_be16(m->b + 2, (uint16_t)n);
	store_be16(m->b + 4, 4711);
	store_be16(m->b + 6, frag);
	m->b[8] = 9;
	m->b[9] = WIRE_IP_UDP;
	memcpy(m->b + 20, opts, options);
	store_be16(m->b + 10, wire_checksum(bytes_of(m->b, 20 + options)));
	parse(m);
	udp = m->b + m->ip.upper_at;
	store_be16(udp + 6, 0);
	store_be16(udp + 6, wire_checksum_upper(&m->ip.src, &m->ip.dst, WIRE_IP_UDP,
						bytes_of(udp, n - m->ip.upper_at)));
}

static void fragments_are_right(struct made *m, size_t max)
{
	static uint8_t out[65536], data[65536];
	size_t got = 0;
	struct frag f;

	assert_int_equal(frag_plan(bytes_of(m->b, m->n), &m->ip, max, &f), ST_OK);
	for (size_t i = 0; i < f.pieces; i++) {
		size_t n = frag_piece(&f, i, out);
		bool last = i + 1 == f.pieces;
		struct wire_ip ip;

		assert_true(n <= max);
		check_packet(out, n, &ip);
		assert_int_equal(ip.frag_off, m->ip.frag_off + got);
		assert_int_equal(ip.more_fragments, !last || m->ip.more_fragments);
		assert_int_equal(load_be16(out + 4), 4711);
		if (m->ip.upper_at == 32 && i) {
			assert_int_equal(ip.upper_at, 24);
			assert_memory_equal(out + 20, "\x88\x04\x07\x07", 4);
		}
		memcpy(data + got, out + ip.upper_at, n - ip.upper_at);
		got += n - ip.upper_at;
	}
	assert_int_equal(got, m->n - m->ip.upper_at);
	assert_memory_equal(data, m->b + m->ip.upper_at, got);
}

static void fragmentation(void **state)
{
	static struct made m;
	struct frag f;

	(void)state;
	rnd_state = 6;
	for (size_t options = 0; options <= 12; options += 12) {
		for (size_t n = 41; n < 5000; n += 1 + rnd(200)) {
			make_ip4(&m, n, options, 0);
			fragments_are_right(&m, 576);
			fragments_are_right(&m, 40 + rnd(3000));
			make_ip4(&m, n, options, 0x2000 | 100); /* a fragment again */
			fragments_are_right(&m, 576);
		}
	}
	make_ip4(&m, 1000, 0, 0x4000);
	assert_int_equal(frag_plan(bytes_of(m.b, m.n), &m.ip, 576, &f), ST_DROP);
	make_ip4(&m, 1000, 12, 0);
	assert_int_equal(frag_plan(bytes_of(m.b, m.n), &m.ip, 39, &f), ST_DROP);
}

/* ---- rings --------------------------------------------------------------------------------- */

enum {
	RECORDS = 20000,
};

static size_t record_size(uint32_t i)
{
	return 4 + i * 2654435761u % 150;
}

static void *produce(void *arg)
{
	struct ring *r = arg;

	for (uint32_t i = 0; i < RECORDS;) {
		uint8_t *p = ring_put(r, record_size(i));

		if (!p) {
			sched_yield();
			continue;
		}
		memset(p, (int)i, record_size(i));
		memcpy(p, &i, sizeof(i));
		ring_commit(r);
		i++;
	}
	return NULL;
}

/* With a second thread, so that the thread sanitizer has something to see. */
static void ring_keeps_order(void **state)
{
	struct ring r;
	pthread_t t;
	uint32_t i = 0;

	(void)state;
	assert_int_equal(ring_init(&r, &mem_libc, 1024), ST_OK);
	assert_int_equal(pthread_create(&t, NULL, produce, &r), 0);
	while (i < RECORDS) {
		unsigned some = 0;
		uint8_t *p;
		size_t n;

		while (some++ < 5 && (p = ring_next(&r, &n))) {
			uint32_t seen;

			memcpy(&seen, p, sizeof(seen));
			assert_true(seen == i);
			assert_int_equal(n, record_size(i));
			assert_int_equal(p[n - 1], n > 4 ? (uint8_t)i : p[n - 1]);
			i++;
		}
		ring_release(&r);
		if (ring_empty(&r))
			sched_yield();
	}
	pthread_join(t, NULL);
	assert_true(ring_empty(&r));
	ring_done(&r, &mem_libc);
}

static void ring_limits(void **state)
{
	struct ring r;
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	size_t n;

	(void)state;
	assert_int_equal(ring_init(&r, &mem, 64), ST_NOMEM);
	assert_int_equal(ring_init(&r, &mem_libc, 64), ST_OK);
	assert_null(ring_put(&r, 64));
	assert_null(ring_put(&r, 57)); /* with the word before it, one too many */
	assert_non_null(ring_put(&r, 56));
	ring_commit(&r);
	assert_null(ring_put(&r, 0));
	assert_non_null(ring_next(&r, &n));
	assert_int_equal(n, 56);
	assert_null(ring_put(&r, 0)); /* read, not released */
	ring_release(&r);
	assert_non_null(ring_put(&r, 30));
	ring_commit(&r);
	assert_null(ring_put(&r, 30)); /* neither at the end nor at the start */
	assert_non_null(ring_put(&r, 10));
	ring_commit(&r);
	assert_non_null(ring_next(&r, &n));
	assert_non_null(ring_next(&r, &n));
	assert_int_equal(n, 10);
	assert_null(ring_next(&r, &n));
	ring_done(&r, &mem_libc);
}

/* ---- reclamation --------------------------------------------------------------------------- */

enum {
	READERS = 3,
	SWAPS = 3000,
	ALIVE = 0x600d,
};

struct object {
	uint32_t state;
	uint32_t serial;
};

struct world {
	struct qsbr q;
	_Atomic(struct object *) shared;
	_Atomic bool stop;
	_Atomic unsigned ready;
	unsigned freed;
};

struct reader {
	struct world *w;
	size_t i;
	uint64_t looks;
};

static void kill_object(void *ctx, void *object)
{
	struct world *w = ctx;
	struct object *o = object;

	o->state = 0;
	w->freed++;
	free(o);
}

/* Several looks per batch at one pointer; between batches quiescent, sometimes offline. */
static void *reads(void *arg)
{
	struct reader *r = arg;
	struct world *w = r->w;
	uint32_t last = 0;

	qsbr_online(&w->q, r->i);
	atomic_fetch_add(&w->ready, 1);
	while (!atomic_load(&w->stop)) {
		struct object *o = atomic_load_explicit(&w->shared, memory_order_acquire);

		for (int i = 0; i < 20; i++)
			if (o->state != ALIVE)
				abort();
		if (o->serial < last)
			abort();
		last = o->serial;
		if (++r->looks % 5 == 0) {
			qsbr_offline(&w->q, r->i);
			sched_yield();
			qsbr_online(&w->q, r->i);
		} else {
			qsbr_quiescent(&w->q, r->i);
		}
	}
	qsbr_offline(&w->q, r->i);
	return NULL;
}

static struct object *object_new(uint32_t serial)
{
	struct object *o = malloc(sizeof(*o));

	assert_non_null(o);
	*o = (struct object){ ALIVE, serial };
	return o;
}

static void reclaim_under_readers(struct alloc *mem)
{
	static struct world w;
	struct reader r[READERS];
	pthread_t t[READERS];

	memset(&w, 0, sizeof(w));
	qsbr_init(&w.q, mem, READERS);
	atomic_init(&w.shared, object_new(0));
	for (size_t i = 0; i < READERS; i++) {
		r[i] = (struct reader){ &w, i, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, reads, &r[i]), 0);
	}
	while (atomic_load(&w.ready) < READERS)
		sched_yield();
	for (uint32_t i = 1; i <= SWAPS; i++) {
		struct object *old =
			atomic_exchange_explicit(&w.shared, object_new(i), memory_order_acq_rel);

		qsbr_retire(&w.q, kill_object, &w, old);
		if (i % 3 == 0)
			qsbr_poll(&w.q);
	}
	atomic_store(&w.stop, true);
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(t[i], NULL);
		assert_true(r[i].looks > 0);
	}
	qsbr_poll(&w.q); /* everybody is offline */
	assert_int_equal(w.freed, SWAPS);
	free(atomic_load(&w.shared));
	qsbr_done(&w.q);
}

static void reclamation_waits_for_readers(void **state)
{
	struct counting c;
	struct alloc mem = counting_mem(&c, -1);

	(void)state;
	reclaim_under_readers(&mem);
	assert_int_equal(c.live, 0);
}

/* Without memory for notes it waits, and is as safe. */
static void reclamation_without_memory(void **state)
{
	struct counting c;
	struct alloc mem = counting_mem(&c, 100);

	(void)state;
	reclaim_under_readers(&mem);
	assert_int_equal(c.live, 0);
}

/* By hand, in every order that matters. */
static void grace_periods(void **state)
{
	struct world w = { 0 };

	(void)state;
	qsbr_init(&w.q, &mem_libc, 2);
	qsbr_online(&w.q, 0);
	qsbr_retire(&w.q, kill_object, &w, object_new(1));
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 0); /* thread 0 may hold it */
	qsbr_online(&w.q, 1); /* came later: cannot */
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 0);
	qsbr_quiescent(&w.q, 0);
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 1);
	qsbr_retire(&w.q, kill_object, &w, object_new(2));
	qsbr_offline(&w.q, 0);
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 1); /* thread 1 */
	qsbr_retire(&w.q, kill_object, &w, object_new(3));
	qsbr_offline(&w.q, 1);
	qsbr_online(&w.q, 0);
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 3);
	qsbr_retire(&w.q, kill_object, &w, object_new(4));
	qsbr_done(&w.q);
	assert_int_equal(w.freed, 4);
}

/* Whoever goes offline says so when somebody waits for it: not before, and not once more. */
static void reclamation_is_asked_for(void **state)
{
	struct world w = { 0 };

	(void)state;
	qsbr_init(&w.q, &mem_libc, 2);
	qsbr_online(&w.q, 0);
	qsbr_online(&w.q, 1);
	qsbr_poll(&w.q);
	assert_false(qsbr_offline(&w.q, 0)); /* nothing to free */
	qsbr_online(&w.q, 0);
	qsbr_retire(&w.q, kill_object, &w, object_new(1));
	qsbr_poll(&w.q);
	assert_true(qsbr_offline(&w.q, 0));
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 0);
	assert_true(qsbr_offline(&w.q, 1));
	qsbr_poll(&w.q);
	assert_int_equal(w.freed, 1);
	qsbr_online(&w.q, 0);
	assert_false(qsbr_offline(&w.q, 0));
	qsbr_done(&w.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_agree_with_the_simple_ones),
		cmocka_unit_test(segmentation),
		cmocka_unit_test(senseless_offloads_are_refused),
		cmocka_unit_test(checksum_completion),
		cmocka_unit_test(fragmentation),
		cmocka_unit_test(ring_keeps_order),
		cmocka_unit_test(ring_limits),
		cmocka_unit_test(grace_periods),
		cmocka_unit_test(reclamation_is_asked_for),
		cmocka_unit_test(reclamation_waits_for_readers),
		cmocka_unit_test(reclamation_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
