/*
 * AES-CBC with an HMAC by intel-ipsec-mb: neither is parallel within a packet, so each packet is a
 * job, and the library works on as many as it has lanes.  Jobs belong to a manager, which belongs
 * to a thread; they come back in the order in which they were submitted, the last when the batch
 * ends.
 *
 * The library computes both parts of a job, so a packet that does not verify has been decrypted
 * once it is known; what came of it is wiped and nobody has looked at it.
 *
 * A key object has everything expanded: jobs in flight need it in one place, and it is a quarter of
 * what GCM's is.
 */
#include <stdlib.h>

#include "crypto/bulk/ipsec_mb.h"

enum {
	ROUND_KEYS = 15 * 16,
	HASH_STATE = 64,
	HASH_BLOCK_MAX = 128,
	MGR_ALIGN = 64,
	IPAD = 0x36,
	OPAD = 0x5c,
};

/* `base` shares its place with the implementation's dispatch: see mb_cbc. */
struct cbc_key {
	struct bulk_key base;
	IMB_HASH_ALG hash;
	uint8_t key_len;
	uint8_t icv_len;
	_Alignas(16) uint8_t enc[ROUND_KEYS];
	_Alignas(16) uint8_t dec[ROUND_KEYS];
	_Alignas(16) uint8_t iv[ROUND_KEYS]; /* of AES-128: the IV maker's */
	uint8_t inner[HASH_STATE];
	uint8_t outer[HASH_STATE];
};

/* ICVs of jobs in flight. */
struct icv {
	uint8_t computed[BULK_ICV_MAX];
	uint8_t received[BULK_ICV_MAX];
};

struct worker {
	IMB_MGR *mgr;
	uint64_t freed; /* bulk_freed when last looked at */
	unsigned pending;
	unsigned next; /* of `icv`; there are never more jobs in flight than these */
	struct icv icv[IMB_MAX_JOBS];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool ready;
static _Thread_local struct worker *mine;

static const struct bulk_impl mb_cbc;

/* ---- what a thread works with -------------------------------------------------------------- */

/* Lanes keep states of keys. */
static void drop_mgr(struct worker *w)
{
	if (!w->mgr)
		return;
	wipe(w->mgr, imb_get_mb_mgr_size());
	free(w->mgr);
	w->mgr = NULL;
}

static void thread_end(void *p)
{
	struct worker *w = p;

	drop_mgr(w);
	wipe(w, sizeof(*w));
	free(w);
}

static void set_up(void)
{
	ready = pthread_key_create(&thread_key, thread_end) == 0;
}

static IMB_MGR *mgr_new(void)
{
	size_t n = (imb_get_mb_mgr_size() + MGR_ALIGN - 1) / MGR_ALIGN * MGR_ALIGN;
	void *p = aligned_alloc(MGR_ALIGN, n);
	IMB_MGR *mgr = p ? imb_set_pointers_mb_mgr(p, 0, 1) : NULL;

	if (mgr)
		init_mb_mgr_auto(mgr, NULL);
	if (mgr && imb_get_errno(mgr) == 0)
		return mgr;
	free(p);
	return NULL;
}

static struct worker *worker(void)
{
	struct worker *w = mine;

	if (!w) {
		pthread_once(&once, set_up);
		w = ready ? calloc(1, sizeof(*w)) : NULL;
		if (w && pthread_setspecific(thread_key, w)) {
			free(w);
			w = NULL;
		}
		mine = w;
	}
	if (w && !w->mgr)
		w->mgr = mgr_new();
	return w && w->mgr ? w : NULL;
}

void mb_cbc_forget(void)
{
	uint64_t freed = atomic_load_explicit(&bulk_freed, memory_order_relaxed);

	if (!mine || mine->freed == freed)
		return;
	drop_mgr(mine);
	wipe(mine->icv, sizeof(mine->icv));
	mine->freed = freed;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void expand(IMB_MGR *mgr, const struct bulk_keys *keys, struct cbc_key *k)
{
	uint8_t unused[ROUND_KEYS + 16];

	if (keys->encr.n == 16)
		IMB_AES_KEYEXP_128(mgr, keys->encr.p, k->enc, k->dec);
	else if (keys->encr.n == 24)
		IMB_AES_KEYEXP_192(mgr, keys->encr.p, k->enc, k->dec);
	else
		IMB_AES_KEYEXP_256(mgr, keys->encr.p, k->enc, k->dec);
	IMB_AES_KEYEXP_128(mgr, keys->iv_key, k->iv, unused + (-(uintptr_t)unused & 15));
	wipe(unused, sizeof(unused));
}

/* The state of the hash behind one block: the key, padded and combined with `with` (RFC 2104). */
static void hash_key(IMB_MGR *mgr, const struct bulk_keys *keys, uint8_t with,
		     uint8_t ret[static HASH_STATE])
{
	uint8_t block[HASH_BLOCK_MAX];

	memset(block, with, sizeof(block));
	for (size_t i = 0; i < keys->integ.n; i++)
		block[i] ^= keys->integ.p[i];
	if (keys->cipher.integ == CRYPTO_HMAC_SHA2_256_128)
		IMB_SHA256_ONE_BLOCK(mgr, block, ret);
	else if (keys->cipher.integ == CRYPTO_HMAC_SHA2_384_192)
		IMB_SHA384_ONE_BLOCK(mgr, block, ret);
	else
		IMB_SHA512_ONE_BLOCK(mgr, block, ret);
	wipe(block, sizeof(block));
}

static IMB_HASH_ALG hash_of(uint16_t integ)
{
	switch (integ) {
	case CRYPTO_HMAC_SHA2_256_128: return IMB_AUTH_HMAC_SHA_256;
	case CRYPTO_HMAC_SHA2_384_192: return IMB_AUTH_HMAC_SHA_384;
	default: return IMB_AUTH_HMAC_SHA_512;
	}
}

enum status mb_cbc_key_new(IMB_MGR *mgr, const struct alloc *mem, const struct bulk_keys *keys,
			   struct bulk_key **ret_key)
{
	struct cbc_key *k = mem_new(mem, sizeof(*k));

	if (!k)
		return ST_NOMEM;
	k->base = (struct bulk_key){ &mb_cbc, mem };
	k->hash = hash_of(keys->cipher.integ);
	k->key_len = (uint8_t)keys->encr.n;
	k->icv_len = keys->icv_len;
	expand(mgr, keys, k);
	hash_key(mgr, keys, IPAD, k->inner);
	hash_key(mgr, keys, OPAD, k->outer);
	*ret_key = &k->base;
	return ST_OK;
}

static void key_free(struct bulk_key *base)
{
	struct cbc_key *k = CONTAINER_OF(base, struct cbc_key, base);

	mem_free_secret(base->mem, k, sizeof(*k));
}

/* ---- packets ------------------------------------------------------------------------------- */

static void done(struct worker *w, const IMB_JOB *job)
{
	struct bulk_op *op = job->user_data;
	struct icv *icv = job->user_data2;

	w->pending--;
	op->ok = job->status == IMB_STATUS_COMPLETED;
	if (job->cipher_direction == IMB_DIR_ENCRYPT)
		return;
	op->ok = op->ok && ct_equal(bytes_of(icv->computed, job->auth_tag_output_len_in_bytes),
				    bytes_of(icv->received, job->auth_tag_output_len_in_bytes));
	if (!op->ok)
		wipe(op->data, op->n);
}

static void fill(IMB_JOB *job, const struct cbc_key *k, struct bulk_op *op)
{
	job->cipher_mode = IMB_CIPHER_CBC;
	job->hash_alg = k->hash;
	job->enc_keys = k->enc;
	job->dec_keys = k->dec;
	job->key_len_in_bytes = k->key_len;
	job->src = op->data - BULK_CBC_HEAD;
	job->dst = op->data;
	job->cipher_start_src_offset_in_bytes = BULK_CBC_HEAD;
	job->msg_len_to_cipher_in_bytes = op->n;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = BULK_CBC_HEAD + op->n + op->aad_len;
	job->iv = op->data - BULK_CBC_IV;
	job->iv_len_in_bytes = BULK_CBC_IV;
	job->auth_tag_output_len_in_bytes = k->icv_len;
	job->u.HMAC._hashed_auth_key_xor_ipad = k->inner;
	job->u.HMAC._hashed_auth_key_xor_opad = k->outer;
	job->user_data = op;
}

/* Where the ICV belongs stands, until it is known, what it covers beyond the packet. */
static void put_aad(const struct bulk_op *op)
{
	memcpy(op->icv, op->aad, op->aad_len);
}

static void submit(struct worker *w, IMB_JOB *job)
{
	w->pending++;
	for (job = IMB_SUBMIT_JOB(w->mgr); job; job = IMB_GET_COMPLETED_JOB(w->mgr))
		done(w, job);
}

/* False when there is nothing to work with, or it is no job. */
static bool begin(const struct cbc_key *k, struct bulk_op *op, struct worker **ret_worker,
		  IMB_JOB **ret_job)
{
	struct worker *w = op->n > 0 && op->n % 16 == 0 ? worker() : NULL;

	op->ok = false;
	if (!w)
		return false;
	*ret_worker = w;
	*ret_job = IMB_GET_NEXT_JOB(w->mgr);
	fill(*ret_job, k, op);
	return true;
}

static void seal(struct bulk_op *op)
{
	static const uint8_t zero[BULK_CBC_IV];
	const struct cbc_key *k =
		(const struct cbc_key *)(const void *)op->key; /* `base` is first */
	uint8_t block[BULK_CBC_IV];
	struct worker *w;
	IMB_JOB *job;

	if (!begin(k, op, &w, &job))
		return;
	bulk_iv_block(op, block);
	/* One block of CFB is the encrypted IV, combined with the text. */
	IMB_AES128_CFB_ONE(w->mgr, op->data - BULK_CBC_IV, zero, block, k->iv, BULK_CBC_IV);
	put_aad(op);
	job->cipher_direction = IMB_DIR_ENCRYPT;
	job->chain_order = IMB_ORDER_CIPHER_HASH;
	job->auth_tag_output = op->icv;
	submit(w, job);
}

static void open(struct bulk_op *op)
{
	const struct cbc_key *k = (const struct cbc_key *)(const void *)op->key;
	struct worker *w;
	struct icv *icv;
	IMB_JOB *job;

	if (!begin(k, op, &w, &job)) {
		wipe(op->data, op->n);
		return;
	}
	icv = &w->icv[w->next++ % IMB_MAX_JOBS];
	memcpy(icv->received, op->icv, k->icv_len);
	put_aad(op);
	job->cipher_direction = IMB_DIR_DECRYPT;
	job->chain_order = IMB_ORDER_HASH_CIPHER;
	job->auth_tag_output = icv->computed;
	job->user_data2 = icv;
	submit(w, job);
}

void mb_cbc_finish(void)
{
	struct worker *w = mine;
	IMB_JOB *job;

	while (w && w->pending && (job = IMB_FLUSH_JOB(w->mgr)))
		done(w, job);
}

/* Reached by keys only: it is one half of bulk_impl_ipsec_mb. */
static const struct bulk_impl mb_cbc = { .key_free = key_free, .seal = seal, .open = open };
