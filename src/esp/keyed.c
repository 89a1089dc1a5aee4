/* Keys of one direction, and what RFC 4106 makes of them for one packet. */
#include "esp/keyed.h"

enum status esp_keyed_init(struct esp_keyed *k, const struct alloc *mem, uint32_t spi,
			   const struct esp_keys *keys, bool esn)
{
	struct bytes key = secret_bytes(&keys->encr);
	enum status st;

	if (key.n <= ESP_SALT_LEN || spi < 256) /* RFC 4303 section 2.1: reserved below */
		return ST_INVAL;
	key.n -= ESP_SALT_LEN;
	st = bulk_key_new(mem, keys->cipher, key, &k->key);
	if (st)
		return st;
	k->spi = spi;
	k->esn = esn;
	memcpy(k->salt, key.p + key.n, ESP_SALT_LEN);
	return ST_OK;
}

void esp_keyed_done(struct esp_keyed *k)
{
	bulk_key_free(k->key);
	wipe(k, sizeof(*k));
}

/*
 * RFC 4106 section 4, nonce: salt, IV.  Section 5, associated data: SPI and the sequence number,
 * 32 or 64 bits of it.
 */
void esp_keyed_op(const struct esp_keyed *k, uint64_t seq, const uint8_t *iv, struct bulk_op *op)
{
	op->key = k->key;
	op->ok = false;
	memcpy(op->nonce, k->salt, ESP_SALT_LEN);
	memcpy(op->nonce + ESP_SALT_LEN, iv, ESP_IV_LEN);
	store_be32(op->aad, k->spi);
	if (k->esn) {
		store_be64(op->aad + 4, seq);
		op->aad_len = 12;
	} else {
		store_be32(op->aad + 4, (uint32_t)seq);
		op->aad_len = 8;
	}
}
