/* The same engines with libcrypto in place of the fake provider: every algorithm, and ECDSA
 * certificates by RFC 7427, right and wrong. */
#include "exchange/exchange.h"

#include <stdlib.h>
#include <unistd.h>

#include "crypto/openssl/crypto_openssl.h"
#include "unit/test_crypto_pki.h"

/* One store for both ends: references are the same numbers there. */
struct real {
	struct crypto_openssl *ops;
	struct crypto_store *store;
	struct node_provider provider;
};

static void run_job(void *ctx, const struct crypto_job *job, struct crypto_result *ret)
{
	crypto_openssl_run(ctx, job, ret);
}

static int setup_real(void **state)
{
	static struct real r;

	if (crypto_openssl_new(&r.ops) != ST_OK || crypto_store_new(&r.store) != ST_OK)
		return -1;
	r.provider = (struct node_provider){ crypto_openssl_ops(r.ops), run_job, r.store };
	*state = &r;
	return 0;
}

static int teardown_real(void **state)
{
	struct real *r = *state;

	crypto_store_free(r->store);
	crypto_openssl_free(r->ops);
	return 0;
}

static void start(struct pair *p, const struct real *r)
{
	static const char *const at_a[] = { "192.0.2.1", NULL }, *const at_b[] = { "192.0.2.2",
										   NULL };

	p->a = world_node_bare(p->w, "a", at_a, p->ca);
	p->b = world_node_bare(p->w, "b", at_b, p->cb);
	p->a->provider = p->b->provider = &r->provider;
	assert_int_equal(node_start(p->a), ST_OK);
	assert_int_equal(node_start(p->b), ST_OK);
	connect(p->a);
	world_run(p->w);
}

/* ---- pre-shared keys, every algorithm ------------------------------------------------------- */

static crypto_ref add_psk(const struct real *r, const char *psk)
{
	static unsigned count;
	crypto_ref ref = 0;
	char name[16];

	snprintf(name, sizeof(name), "%u", count++);
	assert_int_equal(crypto_store_add_psk(r->store, name, bytes_str(psk), &ref), ST_OK);
	return ref;
}

static void every_suite(void **state)
{
	static const char *const encr[] = { "aes128gcm16", "aes256gcm16" };
	static const char *const prf[] = { "prfsha256", "prfsha384" };
	static const char *const ke[] = { "x25519", "ecp256", "ecp384" };
	const struct real *r = *state;

	for (unsigned i = 0; i < 12; i++) {
		char ike[80], esp[40];
		struct pair p;

		snprintf(ike, sizeof(ike), "%s-%s-%s", encr[i & 1], prf[i >> 1 & 1], ke[i >> 2]);
		snprintf(esp, sizeof(esp), "%s-%s", encr[i >> 1 & 1], i % 3 ? "esn" : "noesn");
		pair_init(&p, 700 + i);
		p.pa->psk = p.pb->psk = add_psk(r, "the same at both ends");
		p.pa->ike = test_conf_sa(p.ca, WIRE_PROTO_IKE, ike);
		p.pb->ike = test_conf_sa(p.cb, WIRE_PROTO_IKE, ike);
		p.pa->esp = test_conf_sa(p.ca, WIRE_PROTO_ESP, esp);
		p.pb->esp = test_conf_sa(p.cb, WIRE_PROTO_ESP, esp);
		start(&p, r);
		if (!pair_is_up(&p))
			print_error("%s, %s\n", ike, esp);
		assert_true(pair_is_up(&p));
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
}

static void wrong_key(void **state)
{
	const struct real *r = *state;
	struct pair p;

	pair_init(&p, 720);
	p.pa->psk = add_psk(r, "one");
	p.pb->psk = add_psk(r, "other");
	start(&p, r);
	says(p.b, IKE_EV_REFUSED, "pre-shared key");
	says(p.a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	settle(&p);
	assert_true(pair_is_down(&p));
	pair_done(&p);
}

/* ---- certificates --------------------------------------------------------------------------- */

/* The beginning of the world, seen from PKI_NOW. */
#define BEGIN (WORLD_WALL - PKI_NOW)

struct ca {
	EVP_PKEY *key;
	X509 *cert;
	crypto_ref trust;
};

static struct ca make_ca(const struct real *r, const char *name)
{
	struct ca ca = { .key = pki_ec("P-384") };
	struct crypto_file file;
	char buf[200];
	struct text why = TEXT_OF(buf);

	ca.cert = pki_cert(&(struct pki_spec){ .name = name,
					       .basic = "critical,CA:TRUE",
					       .usage = "critical,keyCertSign",
					       .from = BEGIN - PKI_DAY,
					       .key = ca.key });
	file = (struct crypto_file){ "ca", pki_pem_certs(&ca.cert, 1) };
	assert_int_equal(crypto_store_add_trust(r->store, &file, 1, NULL, &why, &ca.trust), ST_OK);
	return ca;
}

static void free_ca(struct ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

/* Puts a fresh key and a certificate for `san` into the peer's configuration. */
static void certify(const struct real *r, struct test_conf *c, struct ike_peer_conf *peer,
		    const struct ca *ca, const struct ca *trust, const char *curve, const char *san,
		    int64_t until)
{
	EVP_PKEY *key = pki_ec(curve);
	X509 *cert = pki_cert(&(struct pki_spec){ .name = san,
						  .san = san,
						  .from = BEGIN - PKI_DAY,
						  .until = until,
						  .key = key,
						  .issuer = ca->cert,
						  .issuer_key = ca->key });
	struct bytes der = pki_der(cert);
	const struct crypto_file file = { "key", pki_pem_key(key, NULL) };
	char buf[200];
	struct text why = TEXT_OF(buf);

	assert_int_equal(crypto_store_add_key(r->store, &file, &why, &peer->key), ST_OK);
	peer->auth = IKE_AUTH_CERT;
	peer->certs[0] = test_conf_dup(c, der);
	peer->n_certs = 1;
	peer->trust = trust->trust;
	assert_int_equal(crypto_store_trust_hashes(r->store, peer->trust, &peer->trust_hashes),
			 ST_OK);
	pki_free(der);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void ecdsa(void **state)
{
	static const char *const curve[] = { "P-256", "P-384" };
	const struct real *r = *state;
	struct ca ca = make_ca(r, "ca");

	for (unsigned i = 0; i < 4; i++) {
		const char *ca_curve = curve[i & 1], *cb_curve = curve[i >> 1];
		struct pair p;

		pair_init(&p, 730 + i);
		certify(r, p.ca, p.pa, &ca, &ca, ca_curve, "DNS:a.example", 0);
		certify(r, p.cb, p.pb, &ca, &ca, cb_curve, "DNS:b.example", 0);
		start(&p, r);
		assert_true(pair_is_up(&p));
		assert_string_equal(node_sa(p.a).info.auth_remote,
				    i >> 1 ? "ecdsa-p384-sha384" : "ecdsa-p256-sha256");
		assert_string_equal(node_sa(p.b).info.auth_remote, node_sa(p.a).info.auth_local);
		pair_done(&p);
	}
	free_ca(&ca);
}

static void ecdsa_refused(void **state)
{
	const struct real *r = *state;
	struct ca ca = make_ca(r, "ca"), foreign = make_ca(r, "foreign");
	static const struct {
		bool foreign;
		const char *san;
		int64_t until;
		const char *says;
	} row[] = {
		{ true, "DNS:a.example", 0, "foreign" },
		{ false, "DNS:mallory.example", 0, "mallory.example" },
		{ false, "DNS:a.example", BEGIN - 60, "expired" },
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pair p;

		pair_init(&p, 740 + i);
		certify(r, p.ca, p.pa, row[i].foreign ? &foreign : &ca, &ca, "P-256", row[i].san,
			row[i].until);
		certify(r, p.cb, p.pb, &ca, &ca, "P-256", "DNS:b.example", 0);
		start(&p, r);
		says(p.b, IKE_EV_REFUSED, row[i].says);
		says(p.a, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
		assert_int_equal(node_counter(p.b, "ike.refused.certificate"), 1);
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
	free_ca(&ca);
	free_ca(&foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite),
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(ecdsa),
		cmocka_unit_test(ecdsa_refused),
	};

	return cmocka_run_group_tests(tests, setup_real, teardown_real);
}
