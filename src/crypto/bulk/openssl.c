/*
 * AES-GCM by libcrypto's EVP.  A context holds key and running state together, so each thread has
 * one for each direction and size, and rekeys it only when the key is another than last time: a
 * batch is mostly packets of one SA.  Keys are told apart by a serial number, because the address
 * of a freed key may come back.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "crypto/bulk/impl.h"

struct ossl_key {
	struct bulk_key base;
	uint64_t serial;
	struct secret key;
};

/* One direction and key size of one thread. */
struct slot {
	EVP_CIPHER_CTX *ctx;
	uint64_t serial; /* of the key it holds; 0 none */
};

struct thread_ctx {
	struct slot slot[2][2]; /* [seal][256 bit] */
	uint64_t freed; /* bulk_freed when last looked at */
};

static EVP_CIPHER *cipher[2];
static pthread_key_t thread_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct thread_ctx *mine;

static void drop_slots(struct thread_ctx *t)
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++) {
			EVP_CIPHER_CTX_free(t->slot[i][j].ctx); /* wipes */
			t->slot[i][j] = (struct slot){ 0 };
		}
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
	cipher[0] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	cipher[1] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (pthread_key_create(&thread_key, thread_end)) {
		EVP_CIPHER_free(cipher[0]);
		EVP_CIPHER_free(cipher[1]);
		cipher[0] = cipher[1] = NULL;
	}
}

static bool usable(void)
{
	return true;
}

static const char *name(void)
{
	return "openssl";
}

static enum status key_new(const struct alloc *mem, struct bytes key, struct bulk_key **ret_key)
{
	struct ossl_key *k;

	pthread_once(&once, set_up);
	if (!cipher[key.n == 32])
		return ST_INVAL;
	k = mem_new(mem, sizeof(*k));
	if (!k)
		return ST_NOMEM;
	k->base = (struct bulk_key){ &bulk_impl_openssl, mem };
	k->serial = bulk_serial();
	secret_set(&k->key, key);
	*ret_key = &k->base;
	return ST_OK;
}

static void key_free(struct bulk_key *base)
{
	struct ossl_key *k = CONTAINER_OF(base, struct ossl_key, base);

	mem_free_secret(base->mem, k, sizeof(*k));
}

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

/* A context that holds the key, or NULL. */
static EVP_CIPHER_CTX *keyed(const struct ossl_key *k, bool seal)
{
	struct thread_ctx *t = thread_ctx();
	bool big = k->key.n == 32;
	struct slot *s;

	if (!t)
		return NULL;
	s = &t->slot[seal][big];
	if (s->serial == k->serial)
		return s->ctx;
	if (!s->ctx)
		s->ctx = EVP_CIPHER_CTX_new();
	s->serial = 0;
	if (!s->ctx || !EVP_CipherInit_ex2(s->ctx, cipher[big], k->key.b, NULL, seal, NULL))
		return NULL;
	s->serial = k->serial;
	return s->ctx;
}

/* The steps both directions share: nonce, associated data, text. */
static EVP_CIPHER_CTX *run(struct bulk_op *op, bool seal)
{
	const struct ossl_key *k = (const struct ossl_key *)(const void *)op->key;
	EVP_CIPHER_CTX *ctx = keyed(k, seal);
	int n;

	if (!ctx || op->n > INT32_MAX)
		return NULL;
	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, op->nonce, seal, NULL) ||
	    !EVP_CipherUpdate(ctx, NULL, &n, op->aad, op->aad_len) ||
	    !EVP_CipherUpdate(ctx, op->data, &n, op->data, (int)op->n))
		return NULL;
	return ctx;
}

static void seal(struct bulk_op *op)
{
	EVP_CIPHER_CTX *ctx = run(op, true);
	uint8_t none[16];
	int n;

	op->ok = ctx && EVP_CipherFinal_ex(ctx, none, &n) &&
		 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, BULK_ICV_LEN, op->icv);
}

static void open(struct bulk_op *op)
{
	EVP_CIPHER_CTX *ctx = run(op, false);
	uint8_t none[16];
	int n;

	/* Final compares in constant time. */
	op->ok = ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, BULK_ICV_LEN, op->icv) &&
		 EVP_CipherFinal_ex(ctx, none, &n);
}

const struct bulk_impl bulk_impl_openssl = { name, usable, key_new, key_free, seal, open, forget };
