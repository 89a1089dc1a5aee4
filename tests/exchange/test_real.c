/* The same engines with libcrypto in place of the fake provider: every algorithm, and certificates
 * with every kind of key by RFC 7427, right and wrong. */
#include "exchange/exchange.h"

#include <stdlib.h>
#include <unistd.h>

#include "crypto/sigalg.h"
#include "exchange/real.h"

static void prepare(struct pair *p, const struct node_provider *a, const struct node_provider *b)
{
	static const char *const at_a[] = { "192.0.2.1", NULL }, *const at_b[] = { "192.0.2.2",
										   NULL };

	p->a = world_node_bare(p->w, "a", at_a, p->ca);
	p->b = world_node_bare(p->w, "b", at_b, p->cb);
	p->a->provider = a;
	p->b->provider = b;
	assert_int_equal(node_start(p->a), ST_OK);
	assert_int_equal(node_start(p->b), ST_OK);
}

static void start_with(struct pair *p, const struct node_provider *a, const struct node_provider *b)
{
	prepare(p, a, b);
	connect(p->a);
	world_run(p->w);
}

static void start(struct pair *p, const struct real *r)
{
	start_with(p, &r->provider, &r->provider);
}

/* docs/protocol/vendor-id.md: where the octets of our Vendor ID come from. */
static void vendor_id(void **state)
{
	struct bytes text = bytes_str("warren: auto-discovery VPN over IKEv2 and ESP");
	const struct real *r = *state;
	uint8_t hash[32];

	assert_int_equal(r->provider.crypto.ops->hash(r->provider.crypto.ctx, CRYPTO_SHA2_256,
						      &text, 1, hash),
			 ST_OK);
	assert_memory_equal(hash, test_vendor().p, test_vendor().n - 1);
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

/* An authority below that one; nobody trusts it by itself. */
static struct ca make_intermediate(const struct ca *above, const char *name)
{
	struct ca ca = { .key = pki_ec("P-256") };

	ca.cert = pki_cert(&(struct pki_spec){ .name = name,
					       .serial = "77",
					       .basic = "critical,CA:TRUE",
					       .from = BEGIN - PKI_DAY,
					       .key = ca.key,
					       .issuer = above->cert,
					       .issuer_key = above->key });
	return ca;
}

/* Behind the end entity's. */
static void add_cert(struct test_conf *c, struct ike_peer_conf *peer, const struct ca *ca)
{
	struct bytes der = pki_der(ca->cert);

	peer->certs[peer->n_certs++] = test_conf_dup(c, der);
	pki_free(der);
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

/* ---- every kind of key ---------------------------------------------------------------------- */

enum kind { P256, P521, RSA_2048, ED25519, ED448, KINDS };

static EVP_PKEY *keys[2][KINDS]; /* of either end */

static int setup_keys(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		keys[i][P256] = pki_ec("P-256");
		keys[i][P521] = pki_ec("P-521");
		keys[i][RSA_2048] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
		keys[i][ED25519] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		keys[i][ED448] = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	}
	return setup_real(state);
}

static int teardown_keys(void **state)
{
	for (size_t i = 0; i < 2 * KINDS; i++)
		EVP_PKEY_free(keys[i / KINDS][i % KINDS]);
	return teardown_real(state);
}

/* A pair whose ends have these kinds of keys, certified by `ca`, which `root` is above, or which is
 * `root` itself. */
static void init_kinds(struct pair *p, const struct real *r, const struct ca *root,
		       const struct ca *ca, enum kind a, enum kind b)
{
	pair_init(p, 750);
	certify_key(r, p->ca, p->pa, ca, root, keys[0][a], "DNS:a.example", NULL, 0);
	certify_key(r, p->cb, p->pb, ca, root, keys[1][b], "DNS:b.example", NULL, 0);
	if (ca == root)
		return;
	add_cert(p->ca, p->pa, ca);
	add_cert(p->cb, p->pb, ca);
	/* Nobody needs it, some send it. */
	add_cert(p->ca, p->pa, root);
	add_cert(p->cb, p->pb, root);
}

/* Every pair of kinds, with an authority between them and the anchor, in fragments. */
static void every_kind_of_key(void **state)
{
	static const char *const how[KINDS] = { "ecdsa-p256-sha256", "ecdsa-p521-sha512",
						"rsa-2048-pss-sha256", "ed25519", "ed448" };
	const struct real *r = *state;
	struct ca root = make_ca(r, "root"), ca = make_intermediate(&root, "between");

	for (unsigned i = 0; i < KINDS * KINDS; i++) {
		enum kind a = i % KINDS, b = i / KINDS;
		struct pair p;

		init_kinds(&p, r, &root, &ca, a, b);
		start(&p, r);
		assert_true(pair_is_up(&p));
		assert_string_equal(node_sa(p.a).info.auth_local, how[a]);
		assert_string_equal(node_sa(p.a).info.auth_remote, how[b]);
		assert_string_equal(node_sa(p.b).info.auth_local, how[b]);
		assert_string_equal(node_sa(p.b).info.auth_remote, how[a]);
		assert_int_equal(node_counter(p.b, "ike.rx.fragment_messages"), 1);
		assert_int_equal(node_counter(p.a, "ike.rx.fragment_messages"), 1);
		pair_done(&p);
	}
	free_ca(&ca);
	free_ca(&root);
}

/* Without the authority between there is no path, whatever the key. */
static void chain_with_a_gap(void **state)
{
	const struct real *r = *state;
	struct ca root = make_ca(r, "root"), ca = make_intermediate(&root, "between");

	for (enum kind k = 0; k < KINDS; k++) {
		struct pair p;

		init_kinds(&p, r, &root, &ca, k, P256);
		p.pa->n_certs = 1;
		start(&p, r);
		says(p.b, IKE_EV_REFUSED,
		     "issuer \"O=warren, CN=between\" of certificate \"O=warren, "
		     "CN=DNS:a.example\" is neither a trust anchor nor among the certificates "
		     "sent");
		assert_int_equal(node_counter(p.b, "ike.refused.certificate"), 1);
		settle(&p);
		assert_true(pair_is_down(&p));
		pair_done(&p);
	}
	free_ca(&ca);
	free_ca(&root);
}

/* A provider that signs as some peers do, RSASSA-PKCS1-v1_5, and is else the real one. */
struct old_signer {
	struct crypto_store *store;
	EVP_PKEY *key;
	const char *digest;
	uint16_t hash;
};

static void sign_pkcs1(void *ctx, const struct crypto_job *job, struct crypto_result *ret)
{
	const struct old_signer *old = ctx;
	struct bytes alg = crypto_sigalg_der((struct crypto_sigalg){ CRYPTO_RSA_PKCS1, old->hash });
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = sizeof(ret->auth.data) - 1 - alg.n;

	crypto_openssl_run(old->store, job, ret);
	if (job->kind == CRYPTO_JOB_SIGN) {
		ret->auth.data[0] = (uint8_t)alg.n;
		memcpy(ret->auth.data + 1, alg.p, alg.n);
		assert_int_equal(
			EVP_DigestSignInit_ex(md, NULL, old->digest, NULL, NULL, old->key, NULL),
			1);
		assert_int_equal(EVP_DigestSign(md, ret->auth.data + 1 + alg.n, &n,
						job->in.sign.octets.p, job->in.sign.octets.n),
				 1);
		ret->auth.len = (uint16_t)(1 + alg.n + n);
	}
	EVP_MD_CTX_free(md);
}

static void peer_signs_with_pkcs1(void **state)
{
	static const struct {
		const char *digest;
		uint16_t hash;
		const char *how; /* NULL: refused */
	} rows[] = {
		{ "SHA256", CRYPTO_SHA2_256, "rsa-2048-sha256" },
		{ "SHA384", CRYPTO_SHA2_384, "rsa-2048-sha384" },
		{ "SHA512", CRYPTO_SHA2_512, "rsa-2048-sha512" },
		/* The algorithm that it names is not the one it used. */
		{ "SHA512", CRYPTO_SHA2_256, NULL },
	};
	const struct real *r = *state;
	struct ca ca = make_ca(r, "ca");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct old_signer old = { r->store, keys[0][RSA_2048], rows[i].digest,
					  rows[i].hash };
		struct node_provider provider = { r->provider.crypto, sign_pkcs1, &old };
		struct pair p;

		init_kinds(&p, r, &ca, &ca, RSA_2048, ED25519);
		start_with(&p, &provider, &r->provider);
		if (rows[i].how) {
			assert_true(pair_is_up(&p));
			assert_string_equal(node_sa(p.b).info.auth_remote, rows[i].how);
		} else {
			says(p.b, IKE_EV_REFUSED, "AUTH does not verify with the key of");
			settle(&p);
			assert_true(pair_is_down(&p));
		}
		pair_done(&p);
	}
	free_ca(&ca);
}

/* ---- what the peer announces ---------------------------------------------------------------- */

/* In place of the peer's list of hashes (RFC 7427 section 4); none: the notify is not there. */
static void announce(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	static const uint8_t head[] = { 0, 0, 0x40, 0x2f }; /* no protocol, no SPI, type 16431 */
	const struct bytes *hashes = ctx;
	size_t at = 0, len;
	uint8_t type = *first, body[4 + 8], *link = first;

	while (type != WIRE_P_NOTIFY || memcmp(chain + at + 4, head, sizeof(head)) != 0) {
		link = chain + at;
		type = *link;
		at += load_be16(chain + at + 2);
		assert_true(at < *n);
	}
	*link = chain[at];
	len = load_be16(chain + at + 2);
	*n -= len;
	memmove(chain + at, chain + at + len, *n - at);
	if (hashes->n == 0)
		return;
	memcpy(body, head, sizeof(head));
	memcpy(body + sizeof(head), hashes->p, hashes->n);
	chain_append(first, chain, n, cap, WIRE_P_NOTIFY, false,
		     bytes_of(body, sizeof(head) + hashes->n));
}

/*
 *	a                                             b
 *	IKE_SA_INIT 0                              ->
 *	                          other hashes     <- IKE_SA_INIT 0
 *	IKE_AUTH 1, signed with one of these       ->
 *
 * What a signs does not have that answer in it (RFC 7296 section 2.15), so b takes it; a does not
 * take b's, which has.
 */
static void announced_hashes(void **state)
{
	static const uint8_t sha256[] = { 0, 2 }, sha512[] = { 0, 4 }, identity[] = { 0, 5 };
	static const uint8_t all_but_identity[] = { 0, 2, 0, 3, 0, 4 }, sha1[] = { 0, 1 };
	static const struct {
		enum kind kind;
		struct bytes hashes;
		const char *how; /* as b sees it; NULL: a cannot sign, */
		const char *why;
	} rows[] = {
		{ P256, { sha256, 2 }, "ecdsa-p256-sha256", NULL },
		{ P256, { sha512, 2 }, "ecdsa-p256-sha512", NULL },
		{ RSA_2048, { sha256, 2 }, "rsa-2048-pss-sha256", NULL },
		{ RSA_2048, { sha512, 2 }, "rsa-2048-pss-sha512", NULL },
		{ RSA_2048, { all_but_identity, 6 }, "rsa-2048-pss-sha256", NULL },
		{ ED25519, { identity, 2 }, "ed25519", NULL },
		{ P256, { NULL, 0 }, "ecdsa-p256-sha256", NULL },
		{ P521, { NULL, 0 }, "ecdsa-p521-sha512", NULL },
		{ P521,
		  { sha256, 2 },
		  NULL,
		  "our key is EC P-521, which signs with SHA2-512 or stronger, the peer announced "
		  "SHA2-256" },
		{ ED25519,
		  { all_but_identity, 6 },
		  NULL,
		  "our key is Ed25519, which signs with identity, the peer announced SHA2-256, "
		  "SHA2-384, SHA2-512" },
		{ ED448, { sha256, 2 }, NULL, "the peer announced SHA2-256" },
		{ RSA_2048,
		  { identity, 2 },
		  NULL,
		  "our key is RSA of 2048 bits, which signs with SHA2-256 or stronger, the peer "
		  "announced identity" },
		/* SHA-1 alone is as nothing: a peer without RFC 7427. */
		{ RSA_2048, { sha1, 2 }, NULL, "does not announce digital signatures (RFC 7427)" },
		{ RSA_2048, { NULL, 0 }, NULL, "does not announce digital signatures (RFC 7427)" },
		{ ED25519, { NULL, 0 }, NULL, "which needs digital signatures (RFC 7427)" },
	};
	const struct real *r = *state;
	struct ca ca = make_ca(r, "ca");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes hashes = rows[i].hashes;
		struct packet *answer;
		struct pair p;

		init_kinds(&p, r, &ca, &ca, rows[i].kind, P256);
		prepare(&p, &r->provider, &r->provider);
		connect(p.a);
		deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
		next_is(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
		answer = world_packet(p.w, 0);
		packet_rewrite(p.w, answer, announce, &hashes);
		world_drop(p.w, answer);
		world_deliver(p.w, world_packet(p.w, 0));
		while (world_packet_to(p.w, p.b))
			world_deliver(p.w, world_packet_to(p.w, p.b));
		if (rows[i].how) {
			assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 1);
			assert_string_equal(node_sa(p.b).info.auth_remote, rows[i].how);
			world_run(p.w);
			says(p.a, IKE_EV_REFUSED, "AUTH does not verify with the key of");
		} else {
			says(p.a, IKE_EV_REFUSED, rows[i].why);
			assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
		}
		assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
		pair_done(&p);
	}
	free_ca(&ca);
}

/* ---- revoked authorities -------------------------------------------------------------------- */

static crypto_ref trust_with_crl(const struct real *r, const struct ca *root, const char *serial)
{
	X509_CRL *crl = pki_crl("root", root->key, serial);
	const struct crypto_file file = { "ca", pki_pem_certs(&root->cert, 1) };
	const struct crypto_file list = { "crl", pki_pem_crl(crl) };
	crypto_ref ref = 0;
	char buf[200];
	struct text why = TEXT_OF(buf);

	assert_int_equal(crypto_store_add_trust(r->store, &file, 1, &list, &why, &ref), ST_OK);
	X509_CRL_free(crl);
	return ref;
}

/* A new list has the authority between anchor and peer: whoever is below it goes, and does not come
 * back. */
static void authority_revoked_on_reload(void **state)
{
	const struct real *r = *state;
	struct ca root = make_ca(r, "root"), ca = make_intermediate(&root, "between");
	struct ike_peer_conf *peer;
	struct test_conf *c;
	struct pair p;

	init_kinds(&p, r, &root, &ca, ED25519, RSA_2048);
	start(&p, r);
	assert_true(pair_is_up(&p));
	c = test_conf_copy(p.cb);
	peer = &c->peer[0];
	peer->trust = trust_with_crl(r, &root, "77");
	assert_int_equal(
		crypto_store_revoked(r->store, peer->trust, &peer->revoked, &peer->n_revoked),
		ST_OK);
	assert_int_equal(peer->n_revoked, 1);
	node_reconfigure(p.b, c);
	says(p.b, IKE_EV_REFUSED, "a.example: its certificate's authority is revoked");
	because(p.b, IKE_EV_REFUSED, IKE_R_REVOKED);
	world_run(p.w);
	assert_true(node_is_down(p.b));
	connect(p.a);
	world_run(p.w);
	says(p.b, IKE_EV_REFUSED, "certificate \"O=warren, CN=between\" was revoked on");
	settle(&p);
	assert_true(pair_is_down(&p));
	pair_done(&p);
	free_ca(&ca);
	free_ca(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vendor_id),        cmocka_unit_test(every_suite),
		cmocka_unit_test(wrong_key),        cmocka_unit_test(ecdsa),
		cmocka_unit_test(ecdsa_refused),    cmocka_unit_test(every_kind_of_key),
		cmocka_unit_test(chain_with_a_gap), cmocka_unit_test(peer_signs_with_pkcs1),
		cmocka_unit_test(announced_hashes), cmocka_unit_test(authority_revoked_on_reload),
	};

	return cmocka_run_group_tests(tests, setup_keys, teardown_keys);
}
