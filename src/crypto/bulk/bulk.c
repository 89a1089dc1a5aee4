/* Choice of the implementation, and dispatch. */
#include "crypto/bulk/bulk.h"

#include <openssl/evp.h>

#include "crypto/bulk/impl.h"

const struct bulk_impl *const bulk_impls[] = {
#ifdef HAVE_IPSEC_MB
	&bulk_impl_ipsec_mb,
#endif
	&bulk_impl_openssl,
	NULL,
};

_Atomic uint64_t bulk_freed;

uint64_t bulk_serial(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static const struct bulk_impl *best(void)
{
	size_t i = 0;

	while (!bulk_impls[i]->usable())
		i++; /* the last one, libcrypto, always is */
	return bulk_impls[i];
}

bool bulk_has(struct crypto_cipher c)
{
	struct crypto_cipher_info info;

	return crypto_cipher_info(c, &info) == ST_OK;
}

static char *digest_of(uint16_t integ)
{
	static char sha256[] = "SHA2-256", sha384[] = "SHA2-384", sha512[] = "SHA2-512";

	return integ == CRYPTO_HMAC_SHA2_256_128   ? sha256
	       : integ == CRYPTO_HMAC_SHA2_384_192 ? sha384
						   : sha512;
}

/* A packet begins with its SPI, which is never 0 (RFC 4303 section 2.1): no ICV is ever computed
 * over anything that begins like this. */
static enum status make_iv_key(struct bulk_keys *k)
{
	static const uint8_t label[] = "\0\0\0\0ESP CBC IV";
	uint8_t mac[CRYPTO_HASH_MAX];
	size_t n = 0;
	bool ok = EVP_Q_mac(NULL, "HMAC", NULL, digest_of(k->cipher.integ), NULL, k->integ.p,
			    k->integ.n, label, sizeof(label) - 1, mac, sizeof(mac), &n) != NULL;

	if (ok)
		memcpy(k->iv_key, mac, sizeof(k->iv_key));
	wipe(mac, sizeof(mac));
	return ok ? ST_OK : ST_NOMEM;
}

enum status bulk_key_new_with(const struct bulk_impl *impl, const struct alloc *mem,
			      struct crypto_cipher cipher, struct bytes key, struct bytes integ,
			      struct bulk_key **ret_key)
{
	struct bulk_keys k = { .cipher = cipher, .encr = key, .integ = integ };
	struct crypto_cipher_info info;
	enum status st = crypto_cipher_info(cipher, &info);

	if (st != ST_OK || key.n != info.key_len - info.salt_len || integ.n != info.integ_key_len)
		return ST_INVAL;
	k.icv_len = (uint8_t)info.icv_len;
	if (cipher.encr == CRYPTO_AES_CBC)
		st = make_iv_key(&k);
	if (st == ST_OK)
		st = impl->key_new(mem, &k, ret_key);
	wipe(&k, sizeof(k));
	return st;
}

enum status bulk_key_new(const struct alloc *mem, struct crypto_cipher cipher, struct bytes key,
			 struct bytes integ, struct bulk_key **ret_key)
{
	return bulk_key_new_with(best(), mem, cipher, key, integ, ret_key);
}

void bulk_key_free(struct bulk_key *k)
{
	if (!k)
		return;
	k->impl->key_free(k);
	atomic_fetch_add_explicit(&bulk_freed, 1, memory_order_relaxed);
}

void bulk_forget(void)
{
	for (size_t i = 0; bulk_impls[i]; i++)
		bulk_impls[i]->forget();
}

static void finish(void)
{
	for (size_t i = 0; bulk_impls[i]; i++)
		if (bulk_impls[i]->finish)
			bulk_impls[i]->finish();
}

void bulk_seal(struct bulk_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].key->impl->seal(&ops[i]);
	finish();
}

void bulk_open(struct bulk_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].key->impl->open(&ops[i]);
	finish();
}

const char *bulk_implementation(void)
{
	return best()->name();
}
