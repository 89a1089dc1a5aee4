/*
 * ESP's ciphers by libcrypto's EVP.  A context holds key and running state together, so each thread
 * has one for each direction and algorithm, and rekeys it only when the key is another than last
 * time: a batch is mostly packets of one SA.  Keys are told apart by a serial number, because the
 * address of a freed key may come back.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/bulk/impl.h"

enum algorithm { GCM_128, GCM_192, GCM_256, CHACHA, CBC_128, CBC_192, CBC_256, IV_MAKER, CIPHERS };
enum { MAC_256, MAC_384, MAC_512, MACS };
enum { AEAD_ICV = 16 };

static const char *const cipher_names[CIPHERS] = {
	"AES-128-GCM", "AES-192-GCM", "AES-256-GCM", "ChaCha20-Poly1305",
	"AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "AES-128-ECB",
};
static const char *const digest_names[MACS] = { "SHA2-256", "SHA2-384", "SHA2-512" };

struct ossl_key {
	struct bulk_key base;
	uint64_t serial;
	uint8_t algorithm;
	uint8_t n;
	uint8_t key[32];
};

struct cbc_key {
	struct ossl_key k;
	uint8_t mac;
	uint8_t icv_len;
	uint8_t iv_key[BULK_IV_KEY_LEN];
	struct secret integ;
};

/* Something with a key in it; 0: nobody's. */
struct slot {
	EVP_CIPHER_CTX *ctx;
	uint64_t serial;
};

struct mac_slot {
	EVP_MAC_CTX *ctx;
	uint64_t serial;
};

struct thread_ctx {
	struct slot slot[2][CIPHERS]; /* [seal] */
	struct mac_slot mac[MACS];
	uint64_t freed; /* bulk_freed when last looked at */
};

static EVP_CIPHER *cipher[CIPHERS];
static EVP_MAC *hmac;
static bool ready;
static pthread_key_t thread_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct thread_ctx *mine;

static void drop_slots(struct thread_ctx *t)
{
	/* Freeing a context wipes it. */
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < CIPHERS; j++)
			EVP_CIPHER_CTX_free(t->slot[i][j].ctx);
	for (int i = 0; i < MACS; i++)
		EVP_MAC_CTX_free(t->mac[i].ctx);
	memset(t, 0, sizeof(*t));
}

static void thread_end(void *p)
{
	drop_slots(p);
	free(p);
}

static void forget(void)
{
	uint64_t freed = atomic_load_explicit(&bulk_freed, memory_order_relaxed);

	if (!mine || mine->freed == freed)
		return;
	drop_slots(mine);
	mine->freed = freed;
}

static void set_up(void)
{
	ready = pthread_key_create(&thread_key, thread_end) == 0;
	for (size_t i = 0; i < CIPHERS; i++)
		cipher[i] = EVP_CIPHER_fetch(NULL, cipher_names[i], NULL);
	hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
}

static bool usable(void)
{
	return true;
}

static const char *name(void)
{
	return "openssl";
}

/* ---- keys ---------------------------------------------------------------------------------- */

static uint8_t algorithm_of(struct crypto_cipher c)
{
	if (c.encr == CRYPTO_CHACHA20_POLY1305)
		return CHACHA;
	return (uint8_t)((c.encr == CRYPTO_AES_CBC ? CBC_128 : GCM_128) + (c.key_bits - 128) / 64);
}

static bool is_cbc(const struct ossl_key *k)
{
	return k->algorithm >= CBC_128;
}

static size_t key_size(const struct ossl_key *k)
{
	return is_cbc(k) ? sizeof(struct cbc_key) : sizeof(struct ossl_key);
}

static struct cbc_key *cbc_of(const struct ossl_key *k)
{
	return CONTAINER_OF((struct ossl_key *)(uintptr_t)k, struct cbc_key, k);
}

static void fill_cbc(struct cbc_key *c, const struct bulk_keys *keys)
{
	c->mac = (uint8_t)(MAC_256 + keys->cipher.integ - CRYPTO_HMAC_SHA2_256_128);
	c->icv_len = keys->icv_len;
	memcpy(c->iv_key, keys->iv_key, sizeof(c->iv_key));
	(void)secret_set(&c->integ, keys->integ);
}

static enum status key_new(const struct alloc *mem, const struct bulk_keys *keys,
			   struct bulk_key **ret_key)
{
	struct ossl_key what = { .algorithm = algorithm_of(keys->cipher) }, *k;

	pthread_once(&once, set_up);
	if (!ready || !hmac || !cipher[what.algorithm] || !cipher[IV_MAKER])
		return ST_NOMEM;
	k = mem_new(mem, key_size(&what));
	if (!k)
		return ST_NOMEM;
	k->base = (struct bulk_key){ &bulk_impl_openssl, mem };
	k->serial = bulk_serial();
	k->algorithm = what.algorithm;
	k->n = (uint8_t)keys->encr.n;
	memcpy(k->key, keys->encr.p, keys->encr.n);
	if (is_cbc(k))
		fill_cbc(cbc_of(k), keys);
	*ret_key = &k->base;
	return ST_OK;
}

static void key_free(struct bulk_key *base)
{
	struct ossl_key *k = CONTAINER_OF(base, struct ossl_key, base);

	mem_free_secret(base->mem, k, key_size(k));
}

/* ---- contexts with keys in them ------------------------------------------------------------ */

static struct thread_ctx *thread_ctx(void)
{
	if (mine)
		return mine;
	mine = calloc(1, sizeof(*mine));
	if (mine && pthread_setspecific(thread_key, mine)) {
		free(mine);
		mine = NULL;
	}
	return mine;
}

/* A context for `algorithm` that holds `key`, which belongs to `serial`; NULL: no memory. */
static EVP_CIPHER_CTX *keyed(uint64_t serial, unsigned algorithm, const uint8_t *key, bool seal)
{
	struct thread_ctx *t = thread_ctx();
	struct slot *s;

	if (!t)
		return NULL;
	s = &t->slot[seal][algorithm];
	if (s->serial == serial)
		return s->ctx;
	if (!s->ctx)
		s->ctx = EVP_CIPHER_CTX_new();
	s->serial = 0;
	if (!s->ctx || !EVP_CipherInit_ex2(s->ctx, cipher[algorithm], key, NULL, seal, NULL) ||
	    !EVP_CIPHER_CTX_set_padding(s->ctx, 0))
		return NULL;
	s->serial = serial;
	return s->ctx;
}

static EVP_MAC_CTX *keyed_mac(const struct cbc_key *k)
{
	struct thread_ctx *t = thread_ctx();
	OSSL_PARAM params[2] = { OSSL_PARAM_END, OSSL_PARAM_END };
	struct mac_slot *s;

	if (!t)
		return NULL;
	s = &t->mac[k->mac];
	if (s->serial == k->k.serial)
		return EVP_MAC_init(s->ctx, NULL, 0, NULL) ? s->ctx : NULL;
	if (!s->ctx)
		s->ctx = EVP_MAC_CTX_new(hmac);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						     (char *)(uintptr_t)digest_names[k->mac], 0);
	s->serial = 0;
	if (!s->ctx || !EVP_MAC_init(s->ctx, k->integ.b, k->integ.n, params))
		return NULL;
	s->serial = k->k.serial;
	return s->ctx;
}

/* ---- AEAD ---------------------------------------------------------------------------------- */

/* The steps both directions share: nonce, associated data, text. */
static EVP_CIPHER_CTX *run(const struct ossl_key *k, struct bulk_op *op, bool seal)
{
	EVP_CIPHER_CTX *ctx = keyed(k->serial, k->algorithm, k->key, seal);
	int n;

	if (!ctx || op->n > INT32_MAX)
		return NULL;
	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, op->nonce, seal, NULL) ||
	    !EVP_CipherUpdate(ctx, NULL, &n, op->aad, op->aad_len) ||
	    !EVP_CipherUpdate(ctx, op->data, &n, op->data, (int)op->n))
		return NULL;
	return ctx;
}

static bool aead_seal(const struct ossl_key *k, struct bulk_op *op)
{
	EVP_CIPHER_CTX *ctx = run(k, op, true);
	uint8_t none[16];
	int n;

	return ctx && EVP_CipherFinal_ex(ctx, none, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_ICV, op->icv);
}

static bool aead_open(const struct ossl_key *k, struct bulk_op *op)
{
	EVP_CIPHER_CTX *ctx = run(k, op, false);
	uint8_t none[16];
	int n;

	/* Final compares in constant time. */
	return ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_ICV, op->icv) &&
	       EVP_CipherFinal_ex(ctx, none, &n);
}

/* ---- CBC and HMAC -------------------------------------------------------------------------- */

static bool make_iv(const struct cbc_key *k, const struct bulk_op *op)
{
	EVP_CIPHER_CTX *ctx = keyed(k->k.serial, IV_MAKER, k->iv_key, true);
	uint8_t block[BULK_CBC_IV];
	int n;

	bulk_iv_block(op, block);
	return ctx && EVP_CipherUpdate(ctx, op->data - BULK_CBC_IV, &n, block, sizeof(block));
}

static bool cbc(const struct cbc_key *k, struct bulk_op *op, bool seal)
{
	EVP_CIPHER_CTX *ctx = keyed(k->k.serial, k->k.algorithm, k->k.key, seal);
	int n;

	return ctx && EVP_CipherInit_ex2(ctx, NULL, NULL, op->data - BULK_CBC_IV, seal, NULL) &&
	       EVP_CipherUpdate(ctx, op->data, &n, op->data, (int)op->n);
}

static bool make_icv(const struct cbc_key *k, const struct bulk_op *op, uint8_t *ret_mac)
{
	EVP_MAC_CTX *ctx = keyed_mac(k);
	size_t n;

	return ctx && EVP_MAC_update(ctx, op->data - BULK_CBC_HEAD, op->n + BULK_CBC_HEAD) &&
	       EVP_MAC_update(ctx, op->aad, op->aad_len) &&
	       EVP_MAC_final(ctx, ret_mac, &n, CRYPTO_HASH_MAX);
}

static bool cbc_seal(const struct cbc_key *k, struct bulk_op *op)
{
	uint8_t mac[CRYPTO_HASH_MAX];

	if (op->n % 16 || op->n > INT32_MAX || !make_iv(k, op) || !cbc(k, op, true) ||
	    !make_icv(k, op, mac))
		return false;
	memcpy(op->icv, mac, k->icv_len);
	return true;
}

static bool cbc_open(const struct cbc_key *k, struct bulk_op *op)
{
	uint8_t mac[CRYPTO_HASH_MAX];

	return op->n % 16 == 0 && op->n <= INT32_MAX && make_icv(k, op, mac) &&
	       ct_equal(bytes_of(mac, k->icv_len), bytes_of(op->icv, k->icv_len)) &&
	       cbc(k, op, false);
}

static void seal(struct bulk_op *op)
{
	const struct ossl_key *k = (const struct ossl_key *)(const void *)op->key;

	op->ok = is_cbc(k) ? cbc_seal(cbc_of(k), op) : aead_seal(k, op);
}

static void open(struct bulk_op *op)
{
	const struct ossl_key *k = (const struct ossl_key *)(const void *)op->key;

	op->ok = is_cbc(k) ? cbc_open(cbc_of(k), op) : aead_open(k, op);
}

const struct bulk_impl bulk_impl_openssl = {
	.name = name,
	.usable = usable,
	.key_new = key_new,
	.key_free = key_free,
	.seal = seal,
	.open = open,
	.forget = forget,
};
