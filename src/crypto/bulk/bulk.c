/* Choice of the implementation, and dispatch. */
#include "crypto/bulk/bulk.h"

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

/* RFC 4106 section 8: 128, 192 and 256 bit keys exist; RFC 8221 asks for two of them. */
bool bulk_has(struct crypto_cipher c)
{
	return c.encr == CRYPTO_AES_GCM_16 && c.integ == CRYPTO_INTEG_NONE &&
	       (c.key_bits == 128 || c.key_bits == 256);
}

enum status bulk_key_new_with(const struct bulk_impl *impl, const struct alloc *mem,
			      struct crypto_cipher cipher, struct bytes key,
			      struct bulk_key **ret_key)
{
	if (!bulk_has(cipher) || key.n != cipher.key_bits / 8u)
		return ST_INVAL;
	return impl->key_new(mem, key, ret_key);
}

enum status bulk_key_new(const struct alloc *mem, struct crypto_cipher cipher, struct bytes key,
			 struct bulk_key **ret_key)
{
	return bulk_key_new_with(best(), mem, cipher, key, ret_key);
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

void bulk_seal(struct bulk_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].key->impl->seal(&ops[i]);
}

void bulk_open(struct bulk_op *ops, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ops[i].key->impl->open(&ops[i]);
}

const char *bulk_implementation(void)
{
	return best()->name();
}
