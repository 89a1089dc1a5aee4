/*
 * ESP's ciphers by intel-ipsec-mb.
 *
 * AES-GCM and ChaCha20-Poly1305: its direct calls, one per packet.  Its job and burst interfaces
 * exist to fill lanes of ciphers that cannot be parallel within one packet; these fill them by
 * themselves, and measure no faster through them.  An expanded GCM key has a KiB (powers of the
 * hash key), which would be most of what an SA weighs.  So a key object has the key only, and each
 * thread keeps as many expanded as have lately been used: making one takes 0.13 us, which is a
 * fiftieth of what the rest of a packet costs.
 *
 * AES-CBC with an HMAC is one that cannot be: packets are jobs (ipsec_mb_cbc.c).
 */
#include "crypto/bulk/ipsec_mb.h"

#include <stdlib.h>

enum {
	KEY_ALIGN = 64, /* the library's header says so only to compilers that are not Debian's */
	SLOTS = 128,
	AEAD_ICV = 16,
};

enum mb_kind { MB_GCM_128, MB_GCM_192, MB_GCM_256, MB_CHACHA };

/* The functions of a key size, as this CPU has them. */
struct gcm {
	aes_gcm_pre_t pre;
	aes_gcm_enc_dec_t enc;
	aes_gcm_enc_dec_t dec;
};

struct mb_key {
	struct bulk_key base;
	uint64_t serial; /* not 0 */
	enum mb_kind kind;
	uint8_t key[32];
};

struct expanded {
	_Alignas(KEY_ALIGN) struct gcm_key_data data;
	uint64_t serial; /* whose; 0: nobody's */
};

/* A thread's: a key has one place where it can be. */
struct cache {
	struct expanded slot[SLOTS];
	uint64_t freed; /* bulk_freed when last looked at */
};

/* The library's table of functions for this CPU; nothing in it changes after set-up. */
static IMB_MGR *mgr;
static IMB_ARCH arch;
static struct gcm gcm[MB_CHACHA];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static _Thread_local struct cache *mine;

static void thread_end(void *p)
{
	wipe(p, sizeof(struct cache));
	free(p);
}

static void set_up(void)
{
	mgr = alloc_mb_mgr(0);
	if (!mgr)
		return;
	init_mb_mgr_auto(mgr, &arch);
	/* Without AES instructions its C code leaks the key through the cache. */
	if (imb_get_errno(mgr) != 0 || arch < IMB_ARCH_SSE ||
	    pthread_key_create(&thread_key, thread_end)) {
		free_mb_mgr(mgr);
		mgr = NULL;
		return;
	}
	gcm[MB_GCM_128] = (struct gcm){ mgr->gcm128_pre, mgr->gcm128_enc, mgr->gcm128_dec };
	gcm[MB_GCM_192] = (struct gcm){ mgr->gcm192_pre, mgr->gcm192_enc, mgr->gcm192_dec };
	gcm[MB_GCM_256] = (struct gcm){ mgr->gcm256_pre, mgr->gcm256_enc, mgr->gcm256_dec };
}

static bool usable(void)
{
	pthread_once(&once, set_up);
	return mgr != NULL;
}

static const char *name(void)
{
	static const char *const names[IMB_ARCH_NUM] = {
		[IMB_ARCH_SSE] = "ipsec-mb sse",
		[IMB_ARCH_AVX] = "ipsec-mb avx",
		[IMB_ARCH_AVX2] = "ipsec-mb avx2",
		[IMB_ARCH_AVX512] = "ipsec-mb avx512",
	};

	return usable() && names[arch] ? names[arch] : "ipsec-mb";
}

static enum status key_new(const struct alloc *mem, const struct bulk_keys *keys,
			   struct bulk_key **ret_key)
{
	struct mb_key *k;

	if (keys->cipher.encr == CRYPTO_AES_CBC)
		return mb_cbc_key_new(mgr, mem, keys, ret_key);
	k = mem_new(mem, sizeof(*k));
	if (!k)
		return ST_NOMEM;
	k->base = (struct bulk_key){ &bulk_impl_ipsec_mb, mem };
	k->serial = bulk_serial();
	k->kind = keys->cipher.encr == CRYPTO_CHACHA20_POLY1305 ? MB_CHACHA
		  : keys->encr.n == 16                          ? MB_GCM_128
		  : keys->encr.n == 24                          ? MB_GCM_192
								: MB_GCM_256;
	memcpy(k->key, keys->encr.p, keys->encr.n);
	*ret_key = &k->base;
	return ST_OK;
}

static const struct mb_key *key_of(const struct bulk_key *base)
{
	return (const struct mb_key *)(const void *)base; /* `base` is first */
}

static void key_free(struct bulk_key *base)
{
	struct mb_key *k = CONTAINER_OF(base, struct mb_key, base);

	mem_free_secret(base->mem, k, sizeof(*k));
}

/* ---- expanded keys ------------------------------------------------------------------------- */

static struct cache *cache(void)
{
	struct cache *c = mine;

	if (c)
		return c;
	c = aligned_alloc(KEY_ALIGN, sizeof(*c));
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	if (pthread_setspecific(thread_key, c)) {
		free(c);
		return NULL;
	}
	mine = c;
	return c;
}

static void forget(void)
{
	uint64_t freed = atomic_load_explicit(&bulk_freed, memory_order_relaxed);

	mb_cbc_forget();
	if (!mine || mine->freed == freed)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		if (mine->slot[i].serial)
			wipe(&mine->slot[i], sizeof(mine->slot[i]));
	mine->freed = freed;
}

/* The key expanded, in the cache or, where there is no memory for that, in `*own`. */
static const struct gcm_key_data *expanded(const struct mb_key *k, struct expanded *own)
{
	struct cache *c = cache();
	struct expanded *e = c ? &c->slot[k->serial % SLOTS] : own;

	if (c && e->serial == k->serial)
		return &e->data;
	gcm[k->kind].pre(k->key, &e->data);
	e->serial = k->serial;
	return &e->data;
}

/* ---- packets ------------------------------------------------------------------------------- */

static void run_gcm(const struct mb_key *k, struct bulk_op *op, bool seal, uint8_t *icv)
{
	aes_gcm_enc_dec_t fn = seal ? gcm[k->kind].enc : gcm[k->kind].dec;
	struct gcm_context_data ctx;
	struct expanded own;

	fn(expanded(k, &own), &ctx, op->data, op->data, op->n, op->nonce, op->aad, op->aad_len, icv,
	   AEAD_ICV);
	if (!mine)
		wipe(&own, sizeof(own));
}

static void run_chacha(const struct mb_key *k, struct bulk_op *op, bool seal, uint8_t *icv)
{
	struct chacha20_poly1305_context_data ctx;

	IMB_CHACHA20_POLY1305_INIT(mgr, k->key, &ctx, op->nonce, op->aad, op->aad_len);
	if (seal)
		IMB_CHACHA20_POLY1305_ENC_UPDATE(mgr, k->key, &ctx, op->data, op->data, op->n);
	else
		IMB_CHACHA20_POLY1305_DEC_UPDATE(mgr, k->key, &ctx, op->data, op->data, op->n);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(mgr, &ctx, icv, AEAD_ICV);
	wipe(&ctx, sizeof(ctx)); /* the one-time key */
}

static void run(struct bulk_op *op, bool seal, uint8_t *icv)
{
	const struct mb_key *k = key_of(op->key);

	if (k->kind == MB_CHACHA)
		run_chacha(k, op, seal, icv);
	else
		run_gcm(k, op, seal, icv);
}

static void seal(struct bulk_op *op)
{
	run(op, true, op->icv);
	op->ok = true;
}

static void open(struct bulk_op *op)
{
	uint8_t icv[AEAD_ICV];

	run(op, false, icv);
	op->ok = ct_equal(BYTES_OF(icv), bytes_of(op->icv, AEAD_ICV));
}

const struct bulk_impl bulk_impl_ipsec_mb = {
	.name = name,
	.usable = usable,
	.key_new = key_new,
	.key_free = key_free,
	.seal = seal,
	.open = open,
	.finish = mb_cbc_finish,
	.forget = forget,
};
