/*
 * setup_ref - what the cryptography of a responder's full IKEv2 set-up costs, and nothing else.
 *
 *	setup_ref [ITERATIONS [blocks]]
 *
 * P4 compares our responder with this: the best simple program we can write that does, for each
 * set-up, exactly what RFC 7296 makes a responder compute with X25519, PRF-HMAC-SHA-256,
 * AES-128-GCM, ECDSA P-256 certificates and the digital signature method of RFC 7427:
 *
 *	IKE_SA_INIT	key pair, shared secret, nonce; SKEYSEED; prf+ for SK_d, SK_ei, SK_er,
 *			SK_pi, SK_pr (2.14)
 *	IKE_AUTH	open the request; parse the initiator's certificate and check it under the
 *			root; prf over its ID and check its signature (2.15); prf over our ID
 *			and sign; prf+ for the child's two keys (2.17); seal the response
 *
 * Algorithms are fetched once, contexts are kept, the trust anchor stays in its store.  What comes
 * from the initiator (key exchange value, certificate, signature) is made once, before the clock
 * starts; its signature covers a fixed message, which costs the same to check.
 *
 * With `blocks` both certificates have address blocks (RFC 3779), as in a network, which
 * X509_verify_cert() then checks.
 *
 * Prints one JSON line: {"iterations", "cpu_us", "parts"} with the CPU time of one set-up in
 * microseconds, and what of it each part took (wall clock, of the quietest of some batches).
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	HASH_LEN = 32,
	NONCE_LEN = 32,
	GCM_KEY_LEN = 16,
	GCM_SALT_LEN = 4,
	GCM_IV_LEN = 8,
	GCM_ICV_LEN = 16,
	KEYS_LEN = HASH_LEN + 2 * (GCM_KEY_LEN + GCM_SALT_LEN) + 2 * HASH_LEN,
	CHILD_KEYS_LEN = 2 * (GCM_KEY_LEN + GCM_SALT_LEN),
	INIT_LEN = 300, /* IKE_SA_INIT message, as signed */
	ID_LEN = 4 + 14, /* ID payload without its generic header */
	AUTH_LEN = 700, /* plaintext of an IKE_AUTH message with one certificate */
	MAX_DER = 2048,
};

/* Offsets into the prf+ output, in the order of section 2.14. */
enum {
	SK_D = 0,
	SK_EI = HASH_LEN,
	SK_ER = SK_EI + GCM_KEY_LEN + GCM_SALT_LEN,
	SK_PI = SK_ER + GCM_KEY_LEN + GCM_SALT_LEN,
	SK_PR = SK_PI + HASH_LEN,
};

/* Everything that lives as long as a responder does. */
struct responder {
	EVP_PKEY_CTX *keygen;
	EVP_MAC_CTX *hmac;
	EVP_CIPHER_CTX *gcm;
	EVP_CIPHER *aes;
	EVP_MD *sha256;
	EVP_MD_CTX *md;
	EVP_PKEY *key;
	X509_STORE *store;
	X509_STORE_CTX *store_ctx;
};

/* What the initiator sent. */
struct initiator {
	uint8_t ke[32];
	uint8_t nonce[NONCE_LEN];
	uint8_t cert[MAX_DER];
	size_t cert_len;
	uint8_t signature[128];
	size_t signature_len;
	uint8_t signed_octets[INIT_LEN + NONCE_LEN + HASH_LEN];
	uint8_t request[AUTH_LEN];
};

/* ---- what each part takes; names as in profile.c ------------------------------------------- */

enum part { ELSE, SEAL, KEYS, KE, SIGN, VERIFY, PATH, PARTS };

static const char *const part_names[PARTS] = {
	[ELSE] = "everything else", [SEAL] = "seal and open", [KEYS] = "prf, keys, random",
	[KE] = "key exchange",      [SIGN] = "sign",          [VERIFY] = "verify",
	[PATH] = "certificate path"
};

static double part_us[PARTS], part_since;
static enum part part_now;

static void part(enum part p)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	double us = (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
	part_us[part_now] += us - part_since;
	part_since = us;
	part_now = p;
}

#define NEED(what) need(!!(what), #what)

static void need(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "setup_ref: %s failed\n", what);
		exit(1);
	}
}

/* ---- certificates, once ------------------------------------------------------------------- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	NEED(ext && X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
}

static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		       const char *blocks)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	NEED(X509_set_version(cert, X509_VERSION_3));
	NEED(ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer ? 2 : 1));
	NEED(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
	NEED(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
	NEED(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
					0));
	NEED(X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject));
	NEED(X509_set_pubkey(cert, key));
	add_extension(cert, issuer ? issuer : cert, NID_basic_constraints,
		      issuer ? "CA:FALSE" : "critical,CA:TRUE");
	add_extension(cert, issuer ? issuer : cert, NID_key_usage,
		      issuer ? "digitalSignature" : "critical,keyCertSign");
	add_extension(cert, issuer ? issuer : cert, NID_subject_key_identifier, "hash");
	if (issuer) {
		add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
		add_extension(cert, issuer, NID_subject_alt_name, "DNS:site-a.example");
	}
	if (blocks)
		add_extension(cert, issuer ? issuer : cert, NID_sbgp_ipAddrBlock, blocks);
	NEED(X509_sign(cert, issuer_key, EVP_sha256()));
	return cert;
}

static void sign(EVP_MD_CTX *md, EVP_PKEY *key, const uint8_t *data, size_t n, uint8_t *ret_sig,
		 size_t *ret_len)
{
	NEED(EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL));
	NEED(EVP_DigestSign(md, ret_sig, ret_len, data, n));
}

static void init_responder(struct responder *r, X509 *root)
{
	r->keygen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	NEED(r->keygen && EVP_PKEY_keygen_init(r->keygen));
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	r->hmac = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
								 (char[]){ "SHA256" }, 0),
				OSSL_PARAM_construct_end() };
	NEED(r->hmac && EVP_MAC_CTX_set_params(r->hmac, params));
	r->aes = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	r->gcm = EVP_CIPHER_CTX_new();
	r->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	r->md = EVP_MD_CTX_new();
	r->key = EVP_EC_gen("P-256");
	r->store = X509_STORE_new();
	r->store_ctx = X509_STORE_CTX_new();
	NEED(r->aes && r->gcm && r->sha256 && r->md && r->key && r->store && r->store_ctx);
	NEED(X509_STORE_add_cert(r->store, root));
}

static void init_initiator(struct initiator *i, EVP_PKEY *leaf_key, X509 *leaf, EVP_MD_CTX *md)
{
	EVP_PKEY *ke = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	size_t len = sizeof(i->ke);
	uint8_t *der = i->cert;

	NEED(ke && EVP_PKEY_get_raw_public_key(ke, i->ke, &len));
	EVP_PKEY_free(ke);
	NEED(RAND_bytes(i->nonce, NONCE_LEN));
	NEED(RAND_bytes(i->signed_octets, sizeof(i->signed_octets)));
	NEED(RAND_bytes(i->request, sizeof(i->request)));
	NEED(i2d_X509(leaf, NULL) <= MAX_DER);
	i->cert_len = (size_t)i2d_X509(leaf, &der);
	i->signature_len = sizeof(i->signature);
	sign(md, leaf_key, i->signed_octets, sizeof(i->signed_octets), i->signature,
	     &i->signature_len);
}

/* ---- the parts of a set-up ---------------------------------------------------------------- */

static void prf(EVP_MAC_CTX *hmac, const uint8_t *key, size_t key_len, const uint8_t *data,
		size_t n, uint8_t ret[static HASH_LEN])
{
	size_t len;

	NEED(EVP_MAC_init(hmac, key, key_len, NULL));
	NEED(EVP_MAC_update(hmac, data, n));
	NEED(EVP_MAC_final(hmac, ret, &len, HASH_LEN));
}

/* prf+ (section 2.13): T1 = prf(K, S | 1), Tn = prf(K, Tn-1 | S | n).  The key is set once. */
static void prf_plus(EVP_MAC_CTX *hmac, const uint8_t key[static HASH_LEN], const uint8_t *seed,
		     size_t seed_len, uint8_t *ret, size_t n)
{
	uint8_t block[HASH_LEN];
	size_t len;

	for (uint8_t count = 1; n > 0; count++) {
		NEED(EVP_MAC_init(hmac, count == 1 ? key : NULL, count == 1 ? HASH_LEN : 0, NULL));
		if (count > 1)
			NEED(EVP_MAC_update(hmac, block, HASH_LEN));
		NEED(EVP_MAC_update(hmac, seed, seed_len));
		NEED(EVP_MAC_update(hmac, &count, 1));
		NEED(EVP_MAC_final(hmac, block, &len, HASH_LEN));
		size_t take = n < HASH_LEN ? n : HASH_LEN;
		memcpy(ret, block, take);
		ret += take;
		n -= take;
	}
}

static void shared_secret(struct responder *r, const uint8_t theirs[32], uint8_t ret_ours[32],
			  uint8_t ret_secret[32])
{
	EVP_PKEY *own = NULL;
	size_t len = 32;

	NEED(EVP_PKEY_keygen(r->keygen, &own));
	NEED(EVP_PKEY_get_raw_public_key(own, ret_ours, &len));
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, theirs, 32);
	EVP_PKEY_CTX *derive = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	NEED(peer && derive && EVP_PKEY_derive_init(derive));
	NEED(EVP_PKEY_derive_set_peer_ex(derive, peer, 0));
	NEED(EVP_PKEY_derive(derive, ret_secret, &len));
	EVP_PKEY_CTX_free(derive);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
}

static void gcm(struct responder *r, const uint8_t *key, const uint8_t iv[static GCM_IV_LEN],
		int seal, const uint8_t *in, size_t n, uint8_t *ret_out, uint8_t icv[GCM_ICV_LEN])
{
	uint8_t nonce[GCM_SALT_LEN + GCM_IV_LEN];
	static const uint8_t aad[28 + 4];
	int len;

	memcpy(nonce, key + GCM_KEY_LEN, GCM_SALT_LEN);
	memcpy(nonce + GCM_SALT_LEN, iv, GCM_IV_LEN);
	NEED(EVP_CipherInit_ex2(r->gcm, r->aes, key, nonce, seal, NULL));
	NEED(EVP_CipherUpdate(r->gcm, NULL, &len, aad, sizeof(aad)));
	NEED(EVP_CipherUpdate(r->gcm, ret_out, &len, in, (int)n));
	if (!seal)
		NEED(EVP_CIPHER_CTX_ctrl(r->gcm, EVP_CTRL_AEAD_SET_TAG, GCM_ICV_LEN, icv));
	NEED(EVP_CipherFinal_ex(r->gcm, ret_out + n, &len));
	if (seal)
		NEED(EVP_CIPHER_CTX_ctrl(r->gcm, EVP_CTRL_AEAD_GET_TAG, GCM_ICV_LEN, icv));
}

static void check_certificate(struct responder *r, const struct initiator *i)
{
	const uint8_t *der = i->cert;

	part(PATH);
	X509 *cert = d2i_X509(NULL, &der, (long)i->cert_len);

	NEED(cert && X509_STORE_CTX_init(r->store_ctx, r->store, cert, NULL));
	NEED(X509_verify_cert(r->store_ctx) == 1);
	X509_STORE_CTX_cleanup(r->store_ctx);
	part(VERIFY);
	NEED(X509_check_host(cert, "site-a.example", 0, 0, NULL) == 1);
	NEED(EVP_DigestVerifyInit_ex(r->md, NULL, "SHA256", NULL, NULL, X509_get0_pubkey(cert),
				     NULL));
	NEED(EVP_DigestVerify(r->md, i->signature, i->signature_len, i->signed_octets,
			      sizeof(i->signed_octets)) == 1);
	X509_free(cert);
}

static void derive_keys(struct responder *r, const struct initiator *i, uint8_t *ret_nonces,
			uint8_t ret_keys[static KEYS_LEN])
{
	uint8_t ours[32], secret[32], skeyseed[HASH_LEN];
	uint8_t seed[2 * NONCE_LEN + 16] = { 0 }; /* Ni | Nr | SPIi | SPIr */

	part(KE);
	shared_secret(r, i->ke, ours, secret);
	part(KEYS);
	memcpy(seed, i->nonce, NONCE_LEN);
	NEED(RAND_bytes(seed + NONCE_LEN, NONCE_LEN));
	prf(r->hmac, seed, 2 * NONCE_LEN, secret, sizeof(secret), skeyseed);
	prf_plus(r->hmac, skeyseed, seed, sizeof(seed), ret_keys, KEYS_LEN);
	memcpy(ret_nonces, seed, 2 * NONCE_LEN);
}

/* The part of a set-up that belongs to the initiator: its request, sealed under the keys that came
 * out.  Not on the clock. */
static void seal_request(struct responder *r, const struct initiator *i, const uint8_t *keys,
			 uint8_t *ret_sealed, uint8_t ret_icv[GCM_ICV_LEN])
{
	static const uint8_t iv[GCM_IV_LEN] = { 1 };

	gcm(r, keys + SK_EI, iv, 1, i->request, AUTH_LEN, ret_sealed, ret_icv);
}

static void finish(struct responder *r, const struct initiator *i, const uint8_t *nonces,
		   const uint8_t *keys, const uint8_t *request, uint8_t *request_icv)
{
	static const uint8_t iv[GCM_IV_LEN] = { 1 };
	uint8_t plain[AUTH_LEN], response[AUTH_LEN], icv[GCM_ICV_LEN], child[CHILD_KEYS_LEN];
	uint8_t octets[INIT_LEN + NONCE_LEN + HASH_LEN] = { 0 }, signature[128], id[ID_LEN] = { 2 };
	size_t signature_len = sizeof(signature);

	part(SEAL);
	gcm(r, keys + SK_EI, iv, 0, request, AUTH_LEN, plain, request_icv);
	part(KEYS);
	prf(r->hmac, keys + SK_PI, HASH_LEN, id, sizeof(id), octets + INIT_LEN + NONCE_LEN);
	check_certificate(r, i);
	part(KEYS);
	prf(r->hmac, keys + SK_PR, HASH_LEN, id, sizeof(id), octets + INIT_LEN + NONCE_LEN);
	part(SIGN);
	sign(r->md, r->key, octets, sizeof(octets), signature, &signature_len);
	part(KEYS);
	prf_plus(r->hmac, keys + SK_D, nonces, 2 * NONCE_LEN, child, sizeof(child));
	part(SEAL);
	gcm(r, keys + SK_ER, iv, 1, plain, AUTH_LEN, response, icv);
}

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double set_up_cost(struct responder *r, const struct initiator *i)
{
	uint8_t nonces[2 * NONCE_LEN], keys[KEYS_LEN], request[AUTH_LEN], icv[GCM_ICV_LEN];
	double start = cpu_us();

	derive_keys(r, i, nonces, keys);
	part(ELSE);
	double used = cpu_us() - start;
	seal_request(r, i, keys, request, icv);
	start = cpu_us();
	finish(r, i, nonces, keys, request, icv);
	part(ELSE);
	return used + cpu_us() - start;
}

/* Shorter than what the scheduler gives at once. */
enum { BATCHES = 100 };

/* Sets `part_us` to those of one set-up in the quietest batch; what is in between two parts, and
 * in what the initiator does, is nobody's. */
static double measure(struct responder *r, const struct initiator *i, unsigned long n)
{
	unsigned long each = n / BATCHES ? n / BATCHES : 1;
	double total = 0, best[PARTS], least = 0;

	for (int b = 0; b < BATCHES; b++) {
		double sum = 0;

		memset(part_us, 0, sizeof(part_us));
		for (unsigned long k = 0; k < each; k++)
			total += set_up_cost(r, i);
		part_us[ELSE] = 0;
		for (int p = 0; p < PARTS; p++)
			sum += part_us[p] /= (double)each;
		if (b == 0 || sum < least) {
			least = sum;
			memcpy(best, part_us, sizeof(best));
		}
	}
	memcpy(part_us, best, sizeof(best));
	return total / (double)(each * BATCHES);
}

int main(int argc, char **argv)
{
	unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
	bool blocks = argc > 2 && !strcmp(argv[2], "blocks");
	static struct initiator initiator;
	struct responder responder;
	EVP_PKEY *root_key = EVP_EC_gen("P-256"), *leaf_key = EVP_EC_gen("P-256");

	NEED(root_key && leaf_key && iterations > 0);
	X509 *root = make_cert("root", root_key, NULL, root_key, blocks ? "IPv4:10.0.0.0/8" : NULL);
	X509 *leaf = make_cert("site-a.example", leaf_key, root, root_key,
			       blocks ? "IPv4:10.0.0.16/28" : NULL);
	init_responder(&responder, root);
	init_initiator(&initiator, leaf_key, leaf, responder.md);

	for (int i = 0; i < 50; i++)
		set_up_cost(&responder, &initiator);
	double cost = measure(&responder, &initiator, iterations);
	printf("{\"iterations\":%lu,\"cpu_us\":%.3f,\"parts\":{", iterations, cost);
	for (int p = ELSE + 1; p < PARTS; p++)
		printf("%s\"%s\":%.3f", p > ELSE + 1 ? "," : "", part_names[p], part_us[p]);
	printf("}}\n");
	return 0;
}
