/* Keys of one direction, and what the RFCs make of them for one packet. */
#include "esp/keyed.h"

struct esp_shape esp_shape_of(struct crypto_cipher cipher)
{
	struct crypto_cipher_info info;

	if (crypto_cipher_info(cipher, &info) != ST_OK)
		return (struct esp_shape){ 0 };
	return (struct esp_shape){ (uint8_t)(ESP_HDR_LEN + info.iv_len),
				   (uint8_t)(info.block < 4 ? 4 : info.block),
				   (uint8_t)info.icv_len };
}

enum status esp_keyed_init(struct esp_keyed *k, const struct alloc *mem, uint32_t spi,
			   const struct esp_keys *keys, bool esn)
{
	bool aead = keys->cipher.integ == CRYPTO_INTEG_NONE;
	size_t salt = aead ? ESP_SALT_LEN : 0;
	struct bytes key = secret_bytes(&keys->encr);
	enum status st;

	if (key.n <= salt || spi < 256) /* RFC 4303 section 2.1: reserved below */
		return ST_INVAL;
	key.n -= salt;
	st = bulk_key_new(mem, keys->cipher, key, secret_bytes(&keys->integ), &k->key);
	if (st)
		return st;
	k->spi = spi;
	k->esn = esn;
	k->aead = aead;
	k->shape = esp_shape_of(keys->cipher);
	memcpy(k->salt, key.p + key.n, salt);
	return ST_OK;
}

void esp_keyed_done(struct esp_keyed *k)
{
	bulk_key_free(k->key);
	wipe(k, sizeof(*k));
}

/* RFC 4106 section 4, nonce: salt, IV.  Section 5, associated data: SPI and the sequence number,
 * 32 or 64 bits of it.  RFC 7634 section 2.1 says the same of ChaCha20-Poly1305. */
static void aead_op(const struct esp_keyed *k, uint64_t seq, const uint8_t *iv, struct bulk_op *op)
{
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

/* RFC 4303 section 2.2.1: the high half of the number is covered by the ICV behind the packet. */
static void cbc_op(const struct esp_keyed *k, uint64_t seq, struct bulk_op *op)
{
	store_be32(op->nonce, 0);
	store_be64(op->nonce + 4, seq);
	store_be32(op->aad, (uint32_t)(seq >> 32));
	op->aad_len = k->esn ? 4 : 0;
}

void esp_keyed_op(const struct esp_keyed *k, uint64_t seq, const uint8_t *iv, struct bulk_op *op)
{
	op->key = k->key;
	op->ok = false;
	if (k->aead)
		aead_op(k, seq, iv, op);
	else
		cbc_op(k, seq, op);
}
