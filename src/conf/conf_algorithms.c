/* Policy knows more algorithms by name than this build can compute; a proposal that nobody could
 * carry out must not wait for a peer to choose it. */
#include "conf/conf_creds.h"
#include "crypto/bulk/bulk.h"

/* A cipher for ESP that needs an integrity algorithm is there with any of them or with none. */
static bool esp_has(const struct wire_transform *t)
{
	struct crypto_cipher cipher = { t->id, t->key_bits, CRYPTO_INTEG_NONE };

	if (t->id == CRYPTO_AES_CBC)
		cipher.integ = CRYPTO_HMAC_SHA2_256_128;
	return bulk_has(cipher);
}

/* ESP is computed by bulk/, everything else by the provider.  A key exchange in an ESP proposal is
 * one of the IKE SA's. */
static bool available(const struct crypto *c, uint8_t proto, const struct wire_transform *t)
{
	if (t->type == WIRE_T_ESN)
		return true;
	if (proto == WIRE_PROTO_ESP && t->type == WIRE_T_ENCR)
		return esp_has(t);
	if (t->type == WIRE_T_KE && t->id == 0)
		return true;
	return c->ops->has(c->ctx, t->type, t->id, t->key_bits);
}

static void check(const struct crypto *c, const struct conf_proposals *p, const char *what,
		  struct conf_errors *errs)
{
	/* Defaults have no position and are checked by a test. */
	for (size_t i = 0; i < p->list.n && i < p->sa.n; i++) {
		const struct wire_proposal *w = &p->sa.proposals[i];

		for (size_t k = 0; k < w->n_transforms; k++) {
			struct wire_proposal one = {
				w->number, w->proto, { NULL, 0 }, &w->transforms[k], 1
			};
			struct wire_sa sa = { &one, 1 };
			char buf[64];
			struct text name = TEXT_OF(buf);

			if (available(c, w->proto, &w->transforms[k]))
				continue;
			policy_sa_text(&name, &sa);
			conf_error_add(
				errs, p->list.v[i].at,
				"%s: \"%s\" is not available in this version, accepted: %s", what,
				buf,
				w->proto == WIRE_PROTO_ESP
					? "AEADs and aes with sha256, sha384, sha512; esn, noesn"
					: "AEADs and aes with sha256, sha384, sha512; x25519, "
					  "ecp256, ecp384");
		}
	}
}

enum status conf_check_algorithms(const struct conf *conf, struct conf_errors *errs)
{
	struct crypto_openssl *provider;
	struct crypto c;
	enum status st = crypto_openssl_new(&provider);

	if (st != ST_OK)
		return st;
	c = crypto_openssl_ops(provider);
	for (const struct conf_peer *p = conf->peers; p; p = p->next) {
		check(&c, &p->proposals, "proposals", errs);
		check(&c, &p->esp_proposals, "esp_proposals", errs);
	}
	for (const struct conf_network *n = conf->networks; n; n = n->next) {
		check(&c, &n->proposals, "proposals", errs);
		check(&c, &n->esp_proposals, "esp_proposals", errs);
	}
	crypto_openssl_free(provider);
	return ST_OK;
}
