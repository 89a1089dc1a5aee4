/*
 * The parts of module pki: address blocks, identities, keys, requests, the index.
 */
#include "unit/test_pki_util.h"

#include <openssl/pem.h>

/* ---- address blocks ------------------------------------------------------------------------ */

static void sets(void **state)
{
	static const struct {
		const char *in, *text, *prefixes;
	} row[] = {
		{ "", "none", "" },
		{ "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.1.0.0/16,10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.1.0.0/16,10.0.0.0/16", "10.0.0.0/15", "10.0.0.0/15" },
		{ "10.2.0.0/16,10.1.0.0/16", "10.1.0.0-10.2.255.255", "10.1.0.0/16,10.2.0.0/16" },
		{ "fd00::/8,10.0.0.0/8", "10.0.0.0/8, fd00::/8", "10.0.0.0/8,fd00::/8" },
		{ "0.0.0.0/0,10.0.0.0/8", "0.0.0.0/0", "0.0.0.0/0" },
		{ "255.255.255.255,255.255.255.254", "255.255.255.254/31", "255.255.255.254/31" },
		{ "255.255.255.255,::/128", "255.255.255.255/32, ::/128",
		  "255.255.255.255/32,::/128" },
		{ "::/1,8000::/1", "::/0", "::/0" },
		{ "10.0.0.1,10.0.0.2,10.0.0.3", "10.0.0.1-10.0.0.3", "10.0.0.1/32,10.0.0.2/31" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pki_blocks b = blocks(row[i].in);
		struct prefix p[PKI_BLOCKS_MAX];
		size_t n = pki_blocks_prefixes(&b, p, ARRAY_LEN(p));
		char buf[512], one[PREFIX_TEXT_MAX];
		struct text t = TEXT_OF(buf);

		assert_string_equal(blocks_str(&b), row[i].text);
		for (size_t j = 0; j < n; j++)
			text_fmt(&t, "%s%s", j ? "," : "", prefix_text(&p[j], one));
		assert_string_equal(buf, row[i].prefixes);
		/* There is room for exactly these. */
		if (n)
			assert_int_equal(pki_blocks_prefixes(&b, p, n - 1), 0);
	}
}

/* A reference: 64 addresses as bits. */
static uint64_t bits_of(const struct prefix *p, size_t n)
{
	uint64_t bits = 0;

	for (unsigned a = 0; a < 64; a++)
		for (size_t i = 0; i < n; i++)
			if (prefix_has(&p[i], &(struct ip){ 4, { 10, 0, 0, (uint8_t)a } }))
				bits |= UINT64_C(1) << a;
	return bits;
}

static struct pki_blocks random_set(uint64_t *ret_bits)
{
	struct prefix p[6];
	size_t n = rnd(ARRAY_LEN(p) + 1);
	struct pki_blocks b;

	for (size_t i = 0; i < n; i++)
		p[i] = prefix_of(&(struct ip){ 4, { 10, 0, 0, (uint8_t)rnd(64) } },
				 26 + (unsigned)rnd(7));
	*ret_bits = bits_of(p, n);
	assert_int_equal(pki_blocks_of_prefixes(p, n, &b), ST_OK);
	return b;
}

static void sets_against_bits(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		uint64_t x, y;
		struct pki_blocks a = random_set(&x), b = random_set(&y), again;
		struct prefix p[PKI_BLOCKS_MAX];
		size_t n = pki_blocks_prefixes(&a, p, ARRAY_LEN(p));

		assert_true(bits_of(p, n) == x);
		assert_true(pki_blocks_have(&a, &b) == ((y & ~x) == 0));
		assert_true(pki_blocks_overlap(&a, &b) == ((x & y) != 0));
		/* Canonical: the same set is the same array. */
		assert_int_equal(pki_blocks_of_prefixes(p, n, &again), ST_OK);
		assert_int_equal(again.n, a.n);
		assert_memory_equal(again.range, a.range, a.n * sizeof(a.range[0]));
	}
}

static X509 *cert_with(IPAddrBlocks *ext)
{
	X509 *cert = X509_new();
	struct pki_key *key = new_key();

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_TIME_set(X509_getm_notBefore(cert), T0);
	ASN1_TIME_set(X509_getm_notAfter(cert), T0 + DAY);
	X509_set_pubkey(cert, key->pkey);
	if (ext)
		assert_int_equal(X509_add1_ext_i2d(cert, NID_sbgp_ipAddrBlock, ext, 1, 0), 1);
	assert_true(X509_sign(cert, key->pkey, EVP_sha256()) > 0);
	pki_key_free(key);
	return cert;
}

static enum status read_blocks(X509 *cert, struct pki_blocks *ret)
{
	struct pki_blob der;
	enum status st;

	assert_int_equal(x509_to_der(cert, why(), &der), ST_OK);
	st = pki_blocks_of_cert(bytes_from(&der), why(), ret);
	pki_blob_done(&der);
	X509_free(cert);
	return st;
}

/* DESIGN 1.9: blocks of a certificate come back as they went in. */
static void blocks_in_certificates(void **state)
{
	static const char *const row[] = {
		"10.0.0.0/8",
		"0.0.0.0/0",
		"::/0",
		"0.0.0.0/0,::/0",
		"10.1.0.0/16,10.2.0.0/16",
		"10.0.0.1,10.0.0.2,10.0.0.3,fd00:1::/32,fd00:2::/32",
		"255.255.255.255",
		"0.0.0.0/32",
		"128.0.0.0/1",
	};
	struct pki_blocks b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pki_blocks in = blocks(row[i]);
		IPAddrBlocks *ext;

		assert_int_equal(blocks_to_ext(&in, why(), &ext), ST_OK);
		assert_int_equal(read_blocks(cert_with(ext), &b), ST_OK);
		assert_int_equal(b.n, in.n);
		assert_memory_equal(b.range, in.range, in.n * sizeof(in.range[0]));
		sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
	}
	assert_int_equal(read_blocks(cert_with(NULL), &b), ST_OK);
	assert_int_equal(b.n, 0);
}

static IPAddrBlocks *ext_of(const char *list)
{
	IPAddrBlocks *ext = sk_IPAddressFamily_new_null();
	char copy[256], *at = copy, *word;

	snprintf(copy, sizeof(copy), "%s", list);
	while ((word = strsep(&at, ",")) != NULL) {
		struct prefix p;

		assert_int_equal(prefix_parse(word, &p), ST_OK);
		assert_int_equal(
			X509v3_addr_add_prefix(ext, p.ip.family == 4 ? 1 : 2, NULL, p.ip.b, p.len),
			1);
	}
	return ext;
}

static void assert_blocks_refused(IPAddrBlocks *ext, const char *part)
{
	struct pki_blocks b = { .n = 99 };

	assert_int_equal(read_blocks(cert_with(ext), &b), ST_INVAL);
	assert_reason(part);
	assert_int_equal(b.n, 99); /* untouched */
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
}

static void bad_blocks(void **state)
{
	IPAddrBlocks *ext;
	unsigned multicast = 2;
	uint8_t ten[4] = { 10 };

	(void)state;
	ext = sk_IPAddressFamily_new_null();
	X509v3_addr_add_inherit(ext, IANA_AFI_IPV4, NULL);
	assert_blocks_refused(ext, "inherited");

	ext = sk_IPAddressFamily_new_null();
	X509v3_addr_add_prefix(ext, IANA_AFI_IPV4, &multicast, ten, 8);
	assert_blocks_refused(ext, "SAFI");

	ext = sk_IPAddressFamily_new_null();
	X509v3_addr_add_inherit(ext, 3, NULL);
	assert_blocks_refused(ext, "family 3");

	assert_blocks_refused(ext_of("10.2.0.0/16,10.1.0.0/16"), "canonical"); /* order */
	assert_blocks_refused(ext_of("10.0.0.0/8,10.1.0.0/16"), "canonical"); /* overlap */
	assert_blocks_refused(ext_of("10.0.0.0/16,10.1.0.0/16"), "canonical"); /* adjacent */
	assert_blocks_refused(ext_of("fd00::/8,10.0.0.0/8"), "canonical"); /* families */
}

/* One more than we keep is refused, not cut. */
static void too_many_blocks(void **state)
{
	(void)state;
	for (unsigned n = PKI_BLOCKS_MAX; n <= PKI_BLOCKS_MAX + 1; n++) {
		IPAddrBlocks *ext = sk_IPAddressFamily_new_null();
		struct pki_blocks b;
		enum status st;

		for (unsigned i = 0; i < n; i++) {
			uint8_t a[4] = { 10, 0, (uint8_t)i, 0 };

			X509v3_addr_add_prefix(ext, IANA_AFI_IPV4, NULL, a, 25);
		}
		st = read_blocks(cert_with(ext), &b);
		assert_int_equal(st, n <= PKI_BLOCKS_MAX ? ST_OK : ST_INVAL);
		if (st == ST_OK)
			assert_int_equal(b.n, n);
		sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
	}
}

static void not_a_certificate(void **state)
{
	struct pki_blocks in = blocks("10.0.0.0/8"), b;
	IPAddrBlocks *ext;
	struct pki_blob der;
	X509 *cert;
	uint8_t *longer;

	(void)state;
	assert_int_equal(blocks_to_ext(&in, why(), &ext), ST_OK);
	cert = cert_with(ext);
	assert_int_equal(x509_to_der(cert, why(), &der), ST_OK);
	for (size_t n = 0; n < der.n; n++)
		assert_int_equal(pki_blocks_of_cert(bytes_of(der.p, n), why(), &b), ST_INVAL);
	longer = malloc(der.n + 1);
	memcpy(longer, der.p, der.n);
	longer[der.n] = 0;
	assert_int_equal(pki_blocks_of_cert(bytes_of(longer, der.n + 1), why(), &b), ST_INVAL);
	assert_reason("followed by 1 other");
	free(longer);
	pki_blob_done(&der);
	X509_free(cert);
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
}

/* ---- identities ---------------------------------------------------------------------------- */

#define SIXTEEN "abcdefghijklmnop"

static void identities(void **state)
{
	static const struct {
		const char *in;
		uint8_t type; /* 0: refused */
		const char *text;
	} row[] = {
		{ "site-b.example", 2, "site-b.example" },
		{ "Site-B.EXAMPLE", 2, "site-b.example" },
		{ "gw", 2, "gw" },
		{ "a_b.example", 2, "a_b.example" },
		{ "Road.Warrior@Site-B.example", 3, "Road.Warrior@site-b.example" },
		{ "192.0.2.7", 1, "192.0.2.7" },
		{ "2001:DB8:0::7", 5, "2001:db8::7" },
		{ "", 0, NULL },
		{ ".", 0, NULL },
		{ "a..b", 0, NULL },
		{ "a.", 0, NULL },
		{ ".a", 0, NULL },
		{ "-a.example", 0, NULL },
		{ "a-.example", 0, NULL },
		{ "*.example", 0, NULL },
		{ "a b", 0, NULL },
		{ "a,DNS:b", 0, NULL },
		{ "a/b", 0, NULL },
		{ "a\nb", 0, NULL },
		{ "b\xc3\xa4r.example", 0, NULL },
		{ "10.1.0.300", 0, NULL }, /* a mistyped address is no name */
		{ "10.1", 0, NULL },
		{ "0.0.0.0", 0, NULL },
		{ "::", 0, NULL },
		{ "@example", 0, NULL },
		{ "a@", 0, NULL },
		{ "a@b@c", 0, NULL },
		{ "a\"b@c", 0, NULL },
		{ "../../a@c", 0, NULL }, /* it is the name of a file, too */
		{ SIXTEEN "." SIXTEEN "." SIXTEEN "."
			  "abcdefghijklm",
		  2,
		  SIXTEEN "." SIXTEEN "." SIXTEEN "."
			  "abcdefghijklm" }, /* 64 */
		{ SIXTEEN "." SIXTEEN "." SIXTEEN "."
			  "abcdefghijklmn",
		  0, NULL },
		{ SIXTEEN SIXTEEN SIXTEEN SIXTEEN, 0, NULL }, /* a label of 64 */
		{ "x@" SIXTEEN "." SIXTEEN "." SIXTEEN "."
		  "abcdefghijk",
		  3,
		  "x@" SIXTEEN "." SIXTEEN "." SIXTEEN "."
		  "abcdefghijk" }, /* 64 */
		{ "xx@" SIXTEEN "." SIXTEEN "." SIXTEEN "."
		  "abcdefghijk",
		  0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pki_id id, again;
		uint8_t buf[PKI_ID_MAX];
		enum status st = pki_id_parse(row[i].in, why(), &id);

		if (!row[i].type) {
			assert_int_equal(st, ST_INVAL);
			assert_reason("accepted: ");
			continue;
		}
		assert_int_equal(st, ST_OK);
		assert_int_equal(id.type, row[i].type);
		assert_string_equal(id.text, row[i].text);
		assert_int_equal(id_from_data(id.type, id_data(&id, buf), why(), &again), ST_OK);
		assert_true(pki_id_eq(&id, &again));
	}
}

static void add_name(GENERAL_NAMES *names, int kind, const char *value, int n)
{
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_STRING *s = kind == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	assert_int_equal(ASN1_STRING_set(s, value, n), 1);
	GENERAL_NAME_set0_value(gn, kind, s);
	sk_GENERAL_NAME_push(names, gn);
}

/* What a certificate says is taken as it stands, whole, once. */
static void names_of_certificates(void **state)
{
	static const struct {
		int kind[2];
		const char *value[2];
		int n[2];
		const char *id; /* NULL: refused */
	} row[] = {
		{ { GEN_DNS }, { "a.example" }, { 9 }, "a.example" },
		{ { GEN_EMAIL }, { "u@a.example" }, { 11 }, "u@a.example" },
		{ { GEN_IPADD }, { "\xc0\x00\x02\x01" }, { 4 }, "192.0.2.1" },
		{ { GEN_URI, GEN_DNS }, { "http://x", "a.example" }, { 8, 9 }, "a.example" },
		{ { GEN_URI }, { "http://x" }, { 8 }, NULL },
		{ { GEN_DNS }, { "a.example\0.evil" }, { 15 }, NULL },
		{ { GEN_DNS }, { "a.example\0" }, { 10 }, NULL },
		{ { GEN_DNS }, { "" }, { 0 }, NULL },
		{ { GEN_DNS }, { "192.0.2.1" }, { 9 }, NULL }, /* an address in a name's clothes */
		{ { GEN_DNS }, { "u@a.example" }, { 11 }, NULL },
		{ { GEN_IPADD }, { "\xc0\x00\x02" }, { 3 }, NULL },
		{ { GEN_IPADD }, { "\xc0\x00\x02\x01\xff\xff\xff\xff" }, { 8 }, NULL },
		{ { GEN_DNS, GEN_DNS }, { "a.example", "b.example" }, { 9, 9 }, NULL },
		{ { GEN_DNS, GEN_EMAIL }, { "a.example", "u@b" }, { 9, 3 }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
		struct pki_id id;
		enum status st;

		for (size_t j = 0; j < 2; j++)
			if (row[i].value[j])
				add_name(names, row[i].kind[j], row[i].value[j], row[i].n[j]);
		st = id_from_names(names, why(), &id);
		assert_int_equal(st, row[i].id ? ST_OK : ST_INVAL);
		if (row[i].id)
			assert_string_equal(id.text, row[i].id);
		GENERAL_NAMES_free(names);
	}
}

static void hubs(void **state)
{
	struct pki_hubs h = { 0 };
	char name[32];

	(void)state;
	assert_int_equal(pki_hubs_add(&h, "Hub1.example.net", why()), ST_OK);
	assert_int_equal(pki_hubs_add(&h, "hub1.example.net", why()), ST_OK);
	assert_int_equal(h.n, 1);
	assert_string_equal(h.name[0], "hub1.example.net");
	assert_int_equal(pki_hubs_add(&h, "2001:DB8::1", why()), ST_OK);
	assert_string_equal(h.name[1], "2001:db8::1");
	assert_int_equal(pki_hubs_add(&h, "u@hub", why()), ST_INVAL);
	assert_int_equal(pki_hubs_add(&h, "0.0.0.0", why()), ST_INVAL);
	assert_int_equal(pki_hubs_add(&h, "hub:4500", why()), ST_INVAL);
	assert_reason("hub:4500");
	for (int i = 2; i < PKI_HUBS_MAX; i++) {
		snprintf(name, sizeof(name), "h%d", i);
		assert_int_equal(pki_hubs_add(&h, name, why()), ST_OK);
	}
	assert_int_equal(pki_hubs_add(&h, "h999", why()), ST_INVAL);
	assert_int_equal(h.n, PKI_HUBS_MAX);
}

/* ---- keys and requests --------------------------------------------------------------------- */

static void keys(void **state)
{
	struct pki_key *key, *again;
	struct pki_blob pem;

	static const struct {
		const char *type, *text;
	} row[] = {
		{ NULL, "EC P-256" },
		{ "ecdsa-p256", "EC P-256" },
		{ "ecdsa-p384", "EC P-384" },
		{ "ecdsa-p521", "EC P-521" },
		{ "rsa-2048", "RSA of 2048 bits" },
		{ "rsa-3072", "RSA of 3072 bits" },
		{ "ed25519", "Ed25519" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[40];
		struct text t = TEXT_OF(buf);

		assert_int_equal(pki_key_new(row[i].type, why(), &key), ST_OK);
		key_text(key->pkey, &t);
		assert_string_equal(buf, row[i].text);
		assert_int_equal(pki_key_pem(key, &pem), ST_OK);
		assert_non_null(memmem(pem.p, pem.n, "BEGIN PRIVATE KEY", 17));
		assert_int_equal(pki_key_read(bytes_from(&pem), why(), &again), ST_OK);
		assert_int_equal(EVP_PKEY_eq(key->pkey, again->pkey), 1);
		pki_key_free(again);
		pki_blob_done(&pem);
		pki_key_free(key);
	}
	assert_int_equal(pki_key_new("rsa", why(), &key), ST_INVAL);
	assert_reason("unknown type of key \"rsa\"; accepted: ecdsa-p256, ecdsa-p384, ecdsa-p521, "
		      "rsa-2048, rsa-3072, rsa-4096, ed25519");
	assert_int_equal(pki_key_read(bytes_str("no key"), why(), &key), ST_INVAL);
	pki_key_free(NULL);
}

/* PEM of a foreign key; passphrase may be NULL. */
static struct pki_blob foreign_key(EVP_PKEY *pkey, const char *passphrase)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct bytes copy;
	char *p;
	long n;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(
				 bio, pkey, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
				 passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
			 1);
	n = BIO_get_mem_data(bio, &p);
	assert_int_equal(mem_dup(&mem_libc, bytes_of(p, (size_t)n), &copy), ST_OK);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return (struct pki_blob){ (uint8_t *)(uintptr_t)copy.p, copy.n };
}

static void foreign_keys(void **state)
{
	const struct {
		EVP_PKEY *pkey;
		const char *passphrase, *reason;
	} row[] = {
		{ EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), NULL, "RSA of 1024 bits" },
		{ EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL, "ED448" },
		{ EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"), NULL, "EC of 256 bits" },
		{ EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), "secret", "encrypted" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct pki_blob pem = foreign_key(row[i].pkey, row[i].passphrase);
		struct pki_key *key;

		assert_int_equal(pki_key_read(bytes_from(&pem), why(), &key), ST_INVAL);
		assert_reason(row[i].reason);
		pki_blob_done(&pem);
	}
}

static void requests(void **state)
{
	static const char *const ids[] = { "a.example", "u@a.example", "192.0.2.1", "2001:db8::1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct pki_key *key = new_key();
		struct pki_blob pem = request(key, ids[i], i % 2 ? "10.2.0.0/16,fd00:2::/32" : "");
		struct pki_request_info info;
		uint8_t hash[PKI_HASH];

		assert_int_equal(pki_request_read(bytes_from(&pem), why(), &info), ST_OK);
		assert_true(info.has_id);
		assert_string_equal(info.id.text, ids[i]);
		assert_string_equal(info.key, "EC P-256");
		assert_string_equal(blocks_str(&info.blocks),
				    i % 2 ? "10.2.0.0/16, fd00:2::/32" : "none");
		assert_int_equal(key_hash(key->pkey, why(), hash), ST_OK);
		assert_memory_equal(hash, info.key_hash, PKI_HASH);
		pki_blob_done(&pem);
		pki_key_free(key);
	}
}

static struct pki_blob pem_request(const uint8_t *der, size_t n)
{
	size_t room = 2 * n + 200;
	struct pki_blob pem = { malloc(room), room };
	struct wr w = wr_of(pem.p, room);

	armour_put(&w, "CERTIFICATE REQUEST", bytes_of(der, n));
	assert_false(w.err);
	pem.n = wr_len(&w);
	return pem;
}

/* S1: whatever bit of a request is changed on its way, nothing is signed. */
static void request_with_bad_signature(void **state)
{
	struct pki_key *key = new_key();
	struct pki_blob pem = request(key, "a.example", "10.2.0.0/16"), der;
	struct armour a = { cur_of(bytes_from(&pem)), 1 };
	struct pki_request_info info;

	(void)state;
	assert_int_equal(armour_take(&a, "CERTIFICATE REQUEST", "it", why(), &der), ST_OK);
	for (size_t i = 0; i < der.n; i++) {
		struct pki_blob bad;

		der.p[i] ^= (uint8_t)(1 << i % 8);
		bad = pem_request(der.p, der.n);
		assert_int_equal(pki_request_read(bytes_from(&bad), why(), &info), ST_INVAL);
		der.p[i] ^= (uint8_t)(1 << i % 8);
		pki_blob_done(&bad);
	}
	der.p[der.n - 1] ^= 1;
	pki_blob_done(&pem);
	pem = pem_request(der.p, der.n);
	assert_int_equal(pki_request_read(bytes_from(&pem), why(), &info), ST_INVAL);
	assert_reason("signature does not verify");
	pki_blob_done(&pem);
	pki_blob_done(&der);
	pki_key_free(key);
}

/* ---- the index ----------------------------------------------------------------------------- */

#define HASH64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ROW "41\tsite\ta.example\t1\t2\t-\t" HASH64 "\t10.1.0.0/16,fd00::/8\n"
#define HEAD "warren-index 1\ncrl 0\n"

static enum status parse_index(const char *s, struct index *x)
{
	return index_parse(bytes_str(s), why(), x);
}

static void index_as_text(void **state)
{
	static const char text[] =
		HEAD ROW "42ff\thub\t192.0.2.1\t0\t9223372036854775807\t7\t" HASH64 "\t0.0.0.0/0\n"
			 "43\tendpoint\tlaptop\t1\t2\t-\t" HASH64 "\t\n";
	struct pki_blob again;
	struct index x;

	(void)state;
	assert_int_equal(parse_index(text, &x), ST_OK);
	assert_int_equal(x.n, 3);
	assert_int_equal(x.row[0].n_prefixes, 2);
	assert_int_equal(x.row[1].role, PKI_HUB);
	assert_int_equal(x.row[2].role, PKI_ENDPOINT);
	assert_int_equal(x.row[2].n_prefixes, 0);
	assert_true(x.row[1].revoked.s == 7);
	assert_int_equal(index_print(&x, &again), ST_OK);
	assert_int_equal(again.n, strlen(text));
	assert_memory_equal(again.p, text, again.n);
	pki_blob_done(&again);
	index_done(&x);
	/* Cut anywhere but at the end of a line: refused, never read in part. */
	for (size_t n = 0; n < strlen(text); n++) {
		enum status st = index_parse(bytes_of(text, n), why(), &x);
		bool whole = n >= strlen(HEAD) && text[n - 1] == '\n';

		assert_int_equal(st, whole ? ST_OK : ST_INVAL);
		if (whole)
			index_done(&x);
	}
}

static void bad_index(void **state)
{
	static const struct {
		const char *text, *reason;
	} row[] = {
		{ "", "first line" },
		{ "warren-index 2\ncrl 0\n", "first line" },
		{ "warren-index 1\n", "line 2" },
		{ "warren-index 1\ncrl -1\n", "line 2" },
		{ "warren-index 1\ncrl 9223372036854775808\n", "line 2" },
		{ HEAD "\n", "line 3" },
		{ HEAD ROW "41\n", "line 4: the number of fields" },
		{ HEAD ROW ROW "x" ROW, "line 5: the serial number" },
		{ HEAD "4G\tsite\ta\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "serial number" },
		{ HEAD "\tsite\ta\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "serial number" },
		{ HEAD "41\tking\ta\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "role" },
		{ HEAD "41\tsite\tA\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "identity" },
		{ HEAD "41\tsite\ta\t01\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "first date" },
		{ HEAD "41\tsite\ta\t1\t9223372036854775808\t-\t" HASH64 "\t10.0.0.0/8\n",
		  "last date" },
		{ HEAD "41\tsite\ta\t1\t2\t0\t" HASH64 "\t10.0.0.0/8\n", "revocation" },
		{ HEAD "41\tsite\ta\t1\t2\t-\t00\t10.0.0.0/8\n", "hash" },
		{ HEAD "41\tsite\ta\t1\t2\t-\t" HASH64 "\t10.0.0.1/8\n", "prefixes" },
		{ HEAD "41\tsite\ta\t1\t2\t-\t" HASH64 "\t10.0.0.1\n", "prefixes" },
		{ HEAD "41\tsite\ta\t1\t2\t-\t" HASH64 "\t\n", "prefixes" },
		{ HEAD "41\tendpoint\ta\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\n", "prefixes" },
		{ HEAD "41\tsite\ta\t1\t2\t-\t" HASH64 "\t10.0.0.0/8\tmore\n", "fields" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct index x;

		assert_int_equal(parse_index(row[i].text, &x), ST_INVAL);
		assert_reason(row[i].reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets),
		cmocka_unit_test(sets_against_bits),
		cmocka_unit_test(blocks_in_certificates),
		cmocka_unit_test(bad_blocks),
		cmocka_unit_test(too_many_blocks),
		cmocka_unit_test(not_a_certificate),
		cmocka_unit_test(identities),
		cmocka_unit_test(names_of_certificates),
		cmocka_unit_test(hubs),
		cmocka_unit_test(keys),
		cmocka_unit_test(foreign_keys),
		cmocka_unit_test(requests),
		cmocka_unit_test(request_with_bad_signature),
		cmocka_unit_test(index_as_text),
		cmocka_unit_test(bad_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
