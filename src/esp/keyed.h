/* keyed.h - what both directions of an SA have: SPI, key, salt, kind of number, shape. */
#pragma once

#include "esp/esp.h"

struct esp_keyed {
	struct bulk_key *key;
	uint32_t spi;
	bool esn;
	bool aead;
	struct esp_shape shape;
	uint8_t salt[ESP_SALT_LEN]; /* AEAD */
};

MUST enum status esp_keyed_init(struct esp_keyed *k, const struct alloc *mem, uint32_t spi,
				const struct esp_keys *keys, bool esn);
void esp_keyed_done(struct esp_keyed *k);

/* What the packet numbered `seq` is computed with beside its own bytes; an AEAD's IV is at `iv`. */
void esp_keyed_op(const struct esp_keyed *k, uint64_t seq, const uint8_t *iv, struct bulk_op *op);
