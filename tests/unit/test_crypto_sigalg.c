/* AlgorithmIdentifiers of RFC 7427 AUTH: RFC 7427 appendix A, RFC 8420 appendix A (S2). */
#include "unit/test_util.h"

#include "crypto/sigalg.h"

static size_t unhex(const char *s, uint8_t *buf)
{
	size_t n = 0;

	for (; s[0]; s += 2) {
		char pair[3] = { s[0], s[1], 0 };

		buf[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}

#define SHA256 "300d06096086480165030402010500"
#define SHA384 "300d06096086480165030402020500"
#define SHA512 "300d06096086480165030402030500"
#define SHA256_BARE "300b0609608648016503040201"
#define PSS "06092a864886f70d01010a"
#define MGF1 "06092a864886f70d010108"

static const struct {
	const char *what, *der;
	struct crypto_sigalg alg; /* scheme 0: refused */
	const char *why;
} rows[] = {
	{ "A.3.2", "300a06082a8648ce3d040302", { CRYPTO_ECDSA, CRYPTO_SHA2_256 }, "" },
	{ "A.3.3", "300a06082a8648ce3d040303", { CRYPTO_ECDSA, CRYPTO_SHA2_384 }, "" },
	{ "A.3.4", "300a06082a8648ce3d040304", { CRYPTO_ECDSA, CRYPTO_SHA2_512 }, "" },
	{ "A.1.2", "300d06092a864886f70d01010b0500", { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_256 }, "" },
	{ "A.1.3", "300d06092a864886f70d01010c0500", { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_384 }, "" },
	{ "A.1.4", "300d06092a864886f70d01010d0500", { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_512 }, "" },
	{ "RFC 4055 section 5, absent",
	  "300b06092a864886f70d01010b",
	  { CRYPTO_RSA_PKCS1, CRYPTO_SHA2_256 },
	  "" },
	{ "A.4.3",
	  "3046" PSS "3039a00f" SHA256 "a11c301a" MGF1 SHA256 "a203020120a303020101",
	  { CRYPTO_RSA_PSS, CRYPTO_SHA2_256 },
	  "" },
	{ "A.4.3 in DER",
	  "3041" PSS "3034a00f" SHA256 "a11c301a" MGF1 SHA256 "a203020120",
	  { CRYPTO_RSA_PSS, CRYPTO_SHA2_256 },
	  "" },
	{ "SHA-384",
	  "3041" PSS "3034a00f" SHA384 "a11c301a" MGF1 SHA384 "a203020130",
	  { CRYPTO_RSA_PSS, CRYPTO_SHA2_384 },
	  "" },
	{ "SHA-512",
	  "3041" PSS "3034a00f" SHA512 "a11c301a" MGF1 SHA512 "a203020140",
	  { CRYPTO_RSA_PSS, CRYPTO_SHA2_512 },
	  "" },
	{ "no NULL behind the hashes",
	  "303d" PSS "3030a00d" SHA256_BARE "a11a3018" MGF1 SHA256_BARE "a203020120",
	  { CRYPTO_RSA_PSS, CRYPTO_SHA2_256 },
	  "" },
	{ "RFC 8420 A.1", "300506032b6570", { CRYPTO_ED25519, CRYPTO_IDENTITY }, "" },
	{ "RFC 8420 A.2", "300506032b6571", { CRYPTO_ED448, CRYPTO_IDENTITY }, "" },

	{ "A.1.1, SHA-1", "300d06092a864886f70d0101050500", { 0 }, "" },
	{ "A.2.1, DSA", "300906072a8648ce380403", { 0 }, "" },
	{ "A.2.2, DSA with SHA-256", "300b0609608648016503040302", { 0 }, "" },
	{ "A.3.1, ECDSA with SHA-1", "300906072a8648ce3d0401", { 0 }, "" },
	{ "A.4.1, empty", "300d" PSS "3000", { 0 }, "RSASSA-PSS without parameters means SHA-1" },
	{ "A.4.2, default",
	  "303e" PSS "3031a00b300906052b0e03021a0500a1183016" MGF1
	  "300906052b0e03021a0500a203020114a303020101",
	  { 0 },
	  "one hash of SHA-2" },
	{ "nothing", "", { 0 }, "" },
	{ "no SEQUENCE", "310a06082a8648ce3d040302", { 0 }, "" },
	{ "no OID", "300a04082a8648ce3d040302", { 0 }, "" },
	{ "something behind", "300a06082a8648ce3d04030200", { 0 }, "" },
	{ "long form of a length", "30810a06082a8648ce3d040302", { 0 }, "" },
	{ "ECDSA with NULL", "300c06082a8648ce3d0403020500", { 0 }, "" },
	{ "Ed25519 with NULL", "300706032b65700500", { 0 }, "" },
	{ "RSA with something", "300e06092a864886f70d01010b020100", { 0 }, "" },
	{ "RSA with a NULL of one byte", "300e06092a864886f70d01010b050100", { 0 }, "" },
	{ "RSA with two", "300f06092a864886f70d01010b05000500", { 0 }, "" },
	{ "PSS without anything", "300b" PSS, { 0 }, "not those of RFC 7427" },
	{ "PSS with NULL", "300d" PSS "0500", { 0 }, "not those of RFC 7427" },
	{ "hash alone", "3020" PSS "3013a00f" SHA256 "0500", { 0 }, "not those of RFC 7427" },
	{ "other mask hash",
	  "3041" PSS "3034a00f" SHA256 "a11c301a" MGF1 SHA512 "a203020120",
	  { 0 },
	  "one hash of SHA-2 for message and mask" },
	{ "no mask generation that we know",
	  "3041" PSS "3034a00f" SHA256 "a11c301a06092a864886f70d010109" SHA256 "a203020120",
	  { 0 },
	  "one hash of SHA-2 for message and mask" },
	{ "salt too short",
	  "3041" PSS "3034a00f" SHA256 "a11c301a" MGF1 SHA256 "a203020114",
	  { 0 },
	  "a salt of 20 bytes, its hash 32" },
	{ "salt too long",
	  "3041" PSS "3034a00f" SHA256 "a11c301a" MGF1 SHA256 "a203020140",
	  { 0 },
	  "a salt of 64 bytes, its hash 32" },
	{ "salt negative",
	  "3041" PSS "3034a00f" SHA256 "a11c301a" MGF1 SHA256 "a2030201e0",
	  { 0 },
	  "a salt of 0 bytes" },
	{ "no salt said, which is 20",
	  "303c" PSS "302fa00f" SHA256 "a11c301a" MGF1 SHA256,
	  { 0 },
	  "not those of RFC 7427" },
	{ "trailer 2",
	  "3046" PSS "3039a00f" SHA256 "a11c301a" MGF1 SHA256 "a203020120a303020102",
	  { 0 },
	  "not those of RFC 7427" },
	{ "something behind the trailer",
	  "3048" PSS "303ba00f" SHA256 "a11c301a" MGF1 SHA256 "a203020120a3030201010500",
	  { 0 },
	  "not those of RFC 7427" },
};

static void read_and_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_sigalg alg = { 0, 0 };
		char buf[200] = "";
		struct text why = TEXT_OF(buf);
		uint8_t der[128];
		size_t n = unhex(rows[i].der, der);
		enum status st = crypto_sigalg_read(bytes_of(der, n), &why, &alg);

		if ((st == ST_OK) != (rows[i].alg.scheme != 0) ||
		    alg.scheme != rows[i].alg.scheme || alg.hash != rows[i].alg.hash ||
		    !strstr(buf, rows[i].why) || (rows[i].why[0] == '\0') != (buf[0] == '\0'))
			fail_msg("%s: %s \"%s\", scheme %d, hash %u", rows[i].what, status_name(st),
				 buf, (int)alg.scheme, alg.hash);
		/* Cut anywhere it is none, whatever it was. */
		for (size_t cut = 0; st == ST_OK && cut < n; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);

			memcpy(exact, der, cut);
			why = TEXT_OF(buf);
			assert_int_equal(crypto_sigalg_read(bytes_of(exact, cut), &why, &alg),
					 ST_REFUSE);
			free(exact);
		}
	}
}

static void written_is_read(void **state)
{
	size_t there = 0;

	(void)state;
	for (int scheme = 0; scheme <= CRYPTO_ED448 + 1; scheme++)
		for (uint16_t hash = 0; hash <= CRYPTO_IDENTITY + 1; hash++) {
			struct crypto_sigalg alg = { (enum crypto_scheme)scheme, hash }, back;
			struct bytes der = crypto_sigalg_der(alg);
			char buf[100];
			struct text why = TEXT_OF(buf);

			if (der.n == 0)
				continue;
			there++;
			assert_int_equal(crypto_sigalg_read(der, &why, &back), ST_OK);
			assert_true(back.scheme == alg.scheme && back.hash == alg.hash);
		}
	assert_int_equal(there, 3 * 3 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_and_refused),
		cmocka_unit_test(written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
