/* Outbound: numbers, framing. */
#include <stdatomic.h>

#include "esp/keyed.h"

struct esp_out {
	struct esp_keyed k;
	uint64_t last; /* no number above it may be used */
	const struct alloc *mem;
	_Atomic uint64_t seq; /* highest number handed out */
};

enum status esp_out_new(const struct alloc *mem, uint32_t spi, const struct esp_keys *keys,
			bool esn, struct esp_out **ret_out)
{
	struct esp_out *o = mem_new(mem, sizeof(*o));
	enum status st;

	if (!o)
		return ST_NOMEM;
	st = esp_keyed_init(&o->k, mem, spi, keys, esn);
	if (st) {
		mem_free(mem, o);
		return st;
	}
	o->mem = mem;
	o->last = esn ? UINT64_MAX : UINT32_MAX;
	*ret_out = o;
	return ST_OK;
}

void esp_out_free(struct esp_out *o)
{
	if (!o)
		return;
	esp_keyed_done(&o->k);
	mem_free(o->mem, o);
}

uint32_t esp_out_spi(const struct esp_out *o)
{
	return o->k.spi;
}

const struct esp_shape *esp_out_shape(const struct esp_out *o)
{
	return &o->k.shape;
}

/* A compare-and-swap rather than an addition, because an addition that went past the end would
 * have to be taken back while others add. */
size_t esp_out_reserve(struct esp_out *o, size_t n, uint64_t *ret_first)
{
	uint64_t seq = atomic_load_explicit(&o->seq, memory_order_relaxed);
	uint64_t take;

	do {
		take = o->last - seq < n ? o->last - seq : n;
	} while (take && !atomic_compare_exchange_weak_explicit(&o->seq, &seq, seq + take,
								memory_order_relaxed,
								memory_order_relaxed));
	if (take)
		*ret_first = seq + 1;
	return (size_t)take;
}

uint64_t esp_out_seq(const struct esp_out *o)
{
	return atomic_load_explicit(&o->seq, memory_order_relaxed);
}

void esp_out_advance(struct esp_out *o, uint64_t to)
{
	uint64_t seq = atomic_load_explicit(&o->seq, memory_order_relaxed);

	if (to > o->last)
		to = o->last;
	while (seq < to && !atomic_compare_exchange_weak_explicit(
				   &o->seq, &seq, to, memory_order_relaxed, memory_order_relaxed))
		;
}

/* Section 2.4: padding bytes are 1, 2, 3, ... and the ICV begins on a multiple of 4. */
static uint8_t *put_trailer(uint8_t *at, size_t n, uint8_t align, uint8_t next_header)
{
	uint8_t pad = (uint8_t)(-(n + 2) & (align - 1u));

	for (uint8_t i = 1; i <= pad; i++)
		*at++ = i;
	*at++ = pad;
	*at++ = next_header;
	return at;
}

void esp_seal_prepare(const struct esp_out *o, uint64_t seq, uint8_t next_header, uint8_t *inner,
		      size_t n, struct bulk_op *op)
{
	uint8_t *packet = inner - o->k.shape.head;

	store_be32(packet, o->k.spi);
	store_be32(packet + 4, (uint32_t)seq);
	if (o->k.aead)
		store_be64(packet + ESP_HDR_LEN, seq);
	op->icv = put_trailer(inner + n, n, o->k.shape.align, next_header);
	op->data = inner;
	op->n = (uint32_t)(op->icv - inner);
	esp_keyed_op(&o->k, seq, packet + ESP_HDR_LEN, op);
}
