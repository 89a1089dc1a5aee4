/*
 * AES-GCM by intel-ipsec-mb's direct calls: one call per packet over an expanded key.  Its job and
 * burst interfaces exist to fill lanes of ciphers that cannot be parallel within one packet; GCM
 * fills them by itself, and measures no faster through them.
 */
#include <pthread.h>

#include <intel-ipsec-mb.h>

#include "crypto/bulk/impl.h"

/* What the library's code needs.  Its header says so only under a macro that Debian's compilers do
 * not define, so the type itself cannot be asked. */
#define KEY_ALIGN 64

struct mb_key {
	struct bulk_key base;
	aes_gcm_enc_dec_t enc;
	aes_gcm_enc_dec_t dec;
	struct gcm_key_data *data; /* inside `room`, aligned */
	uint8_t room[sizeof(struct gcm_key_data) + KEY_ALIGN];
};

/* The library's table of functions for this CPU; nothing in it changes after set-up. */
static IMB_MGR *mgr;
static IMB_ARCH arch;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void)
{
	mgr = alloc_mb_mgr(0);
	if (!mgr)
		return;
	init_mb_mgr_auto(mgr, &arch);
	/* Without AES instructions its C code leaks the key through the cache. */
	if (imb_get_errno(mgr) != 0 || arch < IMB_ARCH_SSE) {
		free_mb_mgr(mgr);
		mgr = NULL;
	}
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

static enum status key_new(const struct alloc *mem, struct bytes key, struct bulk_key **ret_key)
{
	struct mb_key *k = mem_new(mem, sizeof(*k));
	uintptr_t at;

	if (!k)
		return ST_NOMEM;
	at = (uintptr_t)k->room;
	at += -at & (KEY_ALIGN - 1);
	k->data = (struct gcm_key_data *)at;
	k->base = (struct bulk_key){ &bulk_impl_ipsec_mb, mem };
	if (key.n == 16) {
		IMB_AES128_GCM_PRE(mgr, key.p, k->data);
		k->enc = mgr->gcm128_enc;
		k->dec = mgr->gcm128_dec;
	} else {
		IMB_AES256_GCM_PRE(mgr, key.p, k->data);
		k->enc = mgr->gcm256_enc;
		k->dec = mgr->gcm256_dec;
	}
	*ret_key = &k->base;
	return ST_OK;
}

static void key_free(struct bulk_key *base)
{
	struct mb_key *k = CONTAINER_OF(base, struct mb_key, base);

	mem_free_secret(base->mem, k, sizeof(*k));
}

static const struct mb_key *key_of(const struct bulk_op *op)
{
	return (const struct mb_key *)(const void *)op->key; /* `base` is its first member */
}

static void seal(struct bulk_op *op)
{
	const struct mb_key *k = key_of(op);
	struct gcm_context_data ctx;

	k->enc(k->data, &ctx, op->data, op->data, op->n, op->nonce, op->aad, op->aad_len, op->icv,
	       BULK_ICV_LEN);
	op->ok = true;
}

static void open(struct bulk_op *op)
{
	const struct mb_key *k = key_of(op);
	struct gcm_context_data ctx;
	uint8_t icv[BULK_ICV_LEN];

	k->dec(k->data, &ctx, op->data, op->data, op->n, op->nonce, op->aad, op->aad_len, icv,
	       sizeof(icv));
	op->ok = ct_equal(BYTES_OF(icv), bytes_of(op->icv, BULK_ICV_LEN));
}

const struct bulk_impl bulk_impl_ipsec_mb = { name, usable, key_new, key_free, seal, open };
