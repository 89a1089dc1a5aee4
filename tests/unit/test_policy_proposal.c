/* Proposals: keywords, selection and acceptance by RFC 7296 sections 2.7, 3.3.1, 3.3.3, 3.3.6. */
#include "unit/policy_util.h"

#define IKE WIRE_PROTO_IKE
#define ESP WIRE_PROTO_ESP

/* "a, b": proposals numbered from 1, in the arena. */
static struct wire_sa sa(uint8_t proto, const char *s)
{
	struct wire_proposal *p = arena_new(&arena, 8 * sizeof(*p));
	char one[256];
	char buf[512];
	size_t n = 0;

	while (*s) {
		struct text why = TEXT_OF(buf);
		size_t len = strcspn(s, ",");

		memcpy(one, s, len);
		one[len] = '\0';
		if (policy_proposal_parse(&arena, proto, one, &why, &p[n]) != ST_OK)
			fail_msg("%s: %s", one, buf);
		p[n].number = (uint8_t)(n + 1);
		p[n].spi = bytes_of(&"spi0spi1spi2spi3"[4 * n], 4);
		n++;
		s += len;
		s += strspn(s, ", ");
	}
	return (struct wire_sa){ p, n };
}

/* What a peer might send that keywords cannot say: transforms terminated by type 0. */
static struct wire_sa raw_sa(uint8_t proto, const struct wire_transform *x)
{
	struct wire_proposal *p = arena_new(&arena, sizeof(*p));
	size_t n = 0;

	while (x[n].type)
		n++;
	*p = (struct wire_proposal){ 1, proto, { NULL, 0 }, x, n };
	return (struct wire_sa){ p, 1 };
}

static void reads_and_prints(void **state)
{
	static const struct {
		uint8_t proto;
		const char *in;
		const char *out;
	} row[] = {
		{ IKE, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-x25519" },
		{ IKE, "x25519-prfsha256-aes128gcm16", "aes128gcm16-prfsha256-x25519" },
		{ IKE, "aes256gcm128-prfsha384-curve25519-ecp384",
		  "aes256gcm16-prfsha384-x25519-ecp384" },
		{ IKE, "aes128gcm16-sha256-x25519", "aes128gcm16-prfsha256-x25519" },
		{ IKE, "aes128-sha256-sha512-ecp256",
		  "aes128-prfsha256-prfsha512-sha256-sha512-ecp256" },
		{ IKE, "aes256-sha2_384-prfsha256-modp2048", "aes256-prfsha256-sha384-modp2048" },
		{ IKE, "chacha20poly1305-prfsha256-ecp521", "chacha20poly1305-prfsha256-ecp521" },
		{ ESP, "aes128gcm16", "aes128gcm16" },
		{ ESP, "aes128gcm16-noesn", "aes128gcm16" },
		{ ESP, "aes128gcm16-esn", "aes128gcm16-esn" },
		{ ESP, "aes128gcm16-noesn-esn", "aes128gcm16-noesn-esn" },
		{ ESP, "aes128gcm16-sha256", "aes128gcm16" },
		{ ESP, "aes128-sha256-x25519-modpnone", "aes128-sha256-x25519-modpnone" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa s = sa(row[i].proto, row[i].in);
		char buf[256];
		struct text t = TEXT_OF(buf);

		policy_sa_text(&t, &s);
		assert_string_equal(buf, row[i].out);
		/* What was printed reads as the same again. */
		s = sa(row[i].proto, buf);
		t = TEXT_OF(buf);
		policy_sa_text(&t, &s);
		assert_string_equal(buf, row[i].out);
	}
}

static void refuses_what_is_none(void **state)
{
	static const struct {
		uint8_t proto;
		const char *in;
		const char *why;
	} row[] = {
		{ IKE, "", "unknown algorithm \"\"" },
		{ IKE, "aes128gcm16-prfsha256-x25519-", "unknown algorithm \"\"" },
		{ IKE, "aes999-sha256-x25519",
		  "unknown algorithm \"aes999\" in a proposal for IKE; "
		  "accepted: aes128gcm16 " },
		{ IKE, "3des-sha256-x25519", "unsupported algorithm \"3des\"" },
		{ IKE, "aes128gcm16-prfsha256-x25519-esn", "unsupported algorithm \"esn\"" },
		{ IKE, "aes128gcm16-prfsha256-modpnone", "unsupported algorithm \"modpnone\"" },
		{ IKE, "aes128gcm16-x25519", "pseudo-random" },
		{ IKE, "aes128gcm16-prfsha256", "key exchange" },
		{ IKE, "prfsha256-x25519", "cipher" },
		{ IKE, "aes128-prfsha256-x25519", "integrity" },
		{ IKE, "aes128gcm16-aes128-sha256-x25519", "separate proposals" },
		{ IKE, "aes128gcm16-aes128gcm128-prfsha256-x25519",
		  "repeated algorithm aes128gcm16" },
		{ ESP, "aes128gcm16-prfsha256", "unsupported algorithm \"prfsha256\"" },
		{ ESP, "aes128", "integrity" },
		{ ESP, "sha256", "cipher" },
		{ ESP, "AES128GCM16", "unknown algorithm \"AES128GCM16\"" },
		{ ESP, "aes128gcm16,aes256gcm16", "unknown algorithm" },
		{ ESP, "x\n", "\\x0a" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_proposal p = { .number = 77 };
		char buf[1024];
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_proposal_parse(&arena, row[i].proto, row[i].in, &why, &p),
				 ST_INVAL);
		assert_non_null(strstr(buf, row[i].why));
		assert_int_equal(p.number, 77);
	}
}

static void defaults_parse(void **state)
{
	static const uint8_t proto[] = { IKE, ESP };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(proto); i++) {
		const char *const *d = policy_default_proposals(proto[i]);

		assert_non_null(d[0]);
		for (; *d; d++)
			assert_true(sa(proto[i], *d).n > 0);
	}
}

static const char *suite_text(const struct policy_suite *s)
{
	static char buf[256];
	struct text t = TEXT_OF(buf);

	policy_suite_text(&t, s);
	return buf;
}

static void selects(void **state)
{
	static const struct {
		uint8_t proto;
		bool skip_ke;
		const char *ours;
		const char *theirs;
		const char *suite; /* NULL: refused */
		uint8_t number;
	} row[] = {
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-x25519",
		  "aes128gcm16-prfsha256-x25519", 1 },
		/* Ours comes first, in proposals and within one. */
		{ IKE, false, "aes128gcm16-aes256gcm16-prfsha256-x25519-ecp256",
		  "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp256-x25519",
		  "aes128gcm16-prfsha256-x25519", 1 },
		{ IKE, false, "aes256gcm16-prfsha384-ecp384, aes128gcm16-prfsha256-x25519",
		  "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha384-ecp384",
		  "aes256gcm16-prfsha384-ecp384", 2 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519",
		  "aes128-sha256-x25519, aes128gcm16-prfsha256-x25519",
		  "aes128gcm16-prfsha256-x25519", 2 },
		{ IKE, false, "aes128-sha256-sha384-prfsha256-x25519",
		  "aes128-sha384-prfsha256-x25519", "aes128-sha384-prfsha256-x25519", 1 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519", NULL,
		  0 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha384-x25519", NULL,
		  0 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-ecp256", NULL,
		  0 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "aes128-sha256-x25519", NULL, 0 },
		{ IKE, false, "aes128gcm16-prfsha256-x25519", "", NULL, 0 },
		/* All from one proposal, never one transform here and one there. */
		{ IKE, false, "aes128gcm16-prfsha256-x25519",
		  "aes128gcm16-prfsha256-ecp256, aes256gcm16-prfsha256-x25519", NULL, 0 },
		{ ESP, true, "aes128gcm16-esn-noesn", "aes128gcm16-noesn", "aes128gcm16", 1 },
		{ ESP, true, "aes128gcm16-esn-noesn", "aes128gcm16-noesn-esn", "aes128gcm16-esn",
		  1 },
		{ ESP, true, "aes128gcm16-esn", "aes128gcm16", NULL, 0 },
		/* Section 1.2: no key exchange in IKE_AUTH, whatever the lists say. */
		{ ESP, true, "aes128gcm16-x25519", "aes128gcm16-ecp256", "aes128gcm16", 1 },
		{ ESP, true, "aes128gcm16-x25519", "aes128gcm16", "aes128gcm16", 1 },
		{ ESP, false, "aes128gcm16-x25519", "aes128gcm16", NULL, 0 },
		{ ESP, false, "aes128gcm16", "aes128gcm16-x25519", NULL, 0 },
		{ ESP, false, "aes128gcm16-x25519-modpnone", "aes128gcm16", "aes128gcm16", 1 },
		{ ESP, false, "aes128gcm16", "aes128gcm16-x25519-modpnone", "aes128gcm16", 1 },
		{ ESP, false, "aes128gcm16-x25519", "aes128gcm16-ecp256-x25519",
		  "aes128gcm16-x25519", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa ours = sa(row[i].proto, row[i].ours);
		struct wire_sa theirs = sa(row[i].proto, row[i].theirs);
		struct policy_suite suite;
		struct bytes spi = { NULL, 0 };
		uint8_t number = 0;
		char buf[512];
		struct text why = TEXT_OF(buf);
		enum status st =
			policy_select(&ours, &theirs, row[i].skip_ke, &why, &suite, &number, &spi);

		assert_int_equal(st, row[i].suite ? ST_OK : ST_REFUSE);
		assert_int_equal(number, row[i].number);
		if (!row[i].suite) {
			assert_null(spi.p);
			continue;
		}
		assert_string_equal(suite_text(&suite), row[i].suite);
		assert_int_equal(suite.proto, row[i].proto);
		assert_true(bytes_eq(spi, theirs.proposals[number - 1].spi));
	}
}

static void refusal_names_both_sides(void **state)
{
	struct wire_sa ours = sa(IKE, "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha384-ecp384");
	struct wire_sa theirs = sa(IKE, "aes128-sha256-modp2048");
	struct policy_suite suite;
	struct bytes spi;
	uint8_t number;
	char buf[512];
	struct text why = TEXT_OF(buf);

	(void)state;
	assert_int_equal(policy_select(&ours, &theirs, false, &why, &suite, &number, &spi),
			 ST_REFUSE);
	assert_string_equal(buf, "they offer aes128-prfsha256-sha256-modp2048; we accept "
				 "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha384-ecp384");
	why = TEXT_OF(buf);
	assert_int_equal(policy_accept(&ours, &theirs, false, &why, &suite, &spi), ST_REFUSE);
	assert_int_equal(strncmp(buf, "they chose aes128-prf", 21), 0);
	assert_non_null(strstr(buf, "; we offered aes128gcm16-prf"));
}

#define GCM                                                                                        \
	{                                                                                          \
		WIRE_T_ENCR, 20, 128, false                                                        \
	}
#define PRF                                                                                        \
	{                                                                                          \
		WIRE_T_PRF, 5, 0, false                                                            \
	}
#define X25519                                                                                     \
	{                                                                                          \
		WIRE_T_KE, 31, 0, false                                                            \
	}
#define ESN0                                                                                       \
	{                                                                                          \
		WIRE_T_ESN, 0, 0, false                                                            \
	}
#define END                                                                                        \
	{                                                                                          \
		0, 0, 0, false                                                                     \
	}

/* What keywords cannot say, sent by somebody else's implementation. */
static void selects_from_foreign_lists(void **state)
{
	static const struct wire_transform plain[] = { GCM, PRF, X25519, END };
	static const struct wire_transform integ_none[] = {
		GCM, PRF, { 3, 0, 0, false }, X25519, END
	};
	static const struct wire_transform integ_and_aead[] = {
		GCM, PRF, { 3, 12, 0, false }, X25519, END
	};
	static const struct wire_transform no_prf[] = { GCM, X25519, END };
	static const struct wire_transform no_ke[] = { GCM, PRF, END };
	static const struct wire_transform ke_none[] = { GCM, PRF, { 4, 0, 0, false }, END };
	static const struct wire_transform unknown_type[] = {
		GCM, PRF, X25519, { 6, 36, 0, false }, END
	};
	static const struct wire_transform type_zero[] = {
		{ 200, 1, 0, false }, GCM, PRF, X25519, END
	};
	static const struct wire_transform esn_in_ike[] = { GCM, PRF, X25519, ESN0, END };
	static const struct wire_transform odd_attribute[] = {
		{ 1, 20, 128, true }, PRF, X25519, END
	};
	static const struct wire_transform odd_then_good[] = {
		{ 1, 20, 128, true }, GCM, PRF, X25519, END
	};
	static const struct wire_transform no_key_len[] = { { 1, 20, 0, false }, PRF, X25519, END };
	static const struct wire_transform unknown_ids[] = { { 1, 99, 128, false }, GCM,    PRF,
							     { 2, 99, 0, false },   X25519, END };
	static const struct wire_transform prf_with_key[] = {
		GCM, { 2, 5, 128, false }, X25519, END
	};
	static const struct {
		const struct wire_transform *x;
		bool ok;
	} row[] = {
		{ plain, true },          { integ_none, true },    { integ_and_aead, false },
		{ no_prf, false },        { no_ke, false },        { ke_none, false },
		{ unknown_type, false },  { type_zero, false },    { esn_in_ike, false },
		{ odd_attribute, false }, { odd_then_good, true }, { no_key_len, false },
		{ unknown_ids, true },    { prf_with_key, false },
	};
	struct wire_sa ours = sa(IKE, "aes128gcm16-prfsha256-x25519");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa theirs = raw_sa(IKE, row[i].x);
		struct policy_suite suite;
		struct bytes spi;
		uint8_t number;
		char buf[512];
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_select(&ours, &theirs, false, &why, &suite, &number, &spi),
				 row[i].ok ? ST_OK : ST_REFUSE);
	}
}

/* ESN is mandatory in ESP (section 3.3.3), other protocols are not ours. */
static void selects_from_foreign_esp(void **state)
{
	static const struct wire_transform esp[] = { GCM, ESN0, END };
	static const struct wire_transform no_esn[] = { GCM, END };
	static const struct wire_transform prf_in_esp[] = { GCM, PRF, ESN0, END };
	static const struct {
		uint8_t proto;
		const struct wire_transform *x;
		bool ok;
	} row[] = {
		{ ESP, esp, true },         { ESP, no_esn, false },
		{ ESP, prf_in_esp, false }, { WIRE_PROTO_AH, esp, false },
		{ IKE, esp, false },
	};
	struct wire_sa ours = sa(ESP, "aes128gcm16-esn-noesn");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa theirs = raw_sa(row[i].proto, row[i].x);
		struct policy_suite suite;
		struct bytes spi;
		uint8_t number;
		char buf[512];
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_select(&ours, &theirs, true, &why, &suite, &number, &spi),
				 row[i].ok ? ST_OK : ST_REFUSE);
	}
}

/* The answer to an offer is a subset of the proposal with its number, one transform per type. */
static void accepts(void **state)
{
	static const struct {
		const char *ours;
		const char *answer;
		uint8_t number;
		bool ok;
	} row[] = {
		{ "aes128gcm16-aes256gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519", 1,
		  true },
		{ "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha384-ecp384",
		  "aes256gcm16-prfsha384-ecp384", 2, true },
		{ "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha384-ecp384",
		  "aes256gcm16-prfsha384-ecp384", 1, false },
		{ "aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-x25519", 0, false },
		{ "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha256-x25519", 1, false },
		{ "aes128gcm16-prfsha256-x25519-ecp256", "aes128gcm16-prfsha256-x25519-ecp256", 1,
		  false },
		{ "aes128gcm16-aes256gcm16-prfsha256-x25519",
		  "aes128gcm16-aes256gcm16-prfsha256-x25519", 1, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa ours = sa(IKE, row[i].ours);
		struct wire_sa answer = sa(IKE, row[i].answer);
		struct wire_proposal one = answer.proposals[0];
		struct policy_suite suite;
		struct bytes spi;
		char buf[512];
		struct text why = TEXT_OF(buf);

		one.number = row[i].number;
		answer.proposals = &one;
		assert_int_equal(policy_accept(&ours, &answer, false, &why, &suite, &spi),
				 row[i].ok ? ST_OK : ST_REFUSE);
		if (row[i].ok)
			assert_string_equal(suite_text(&suite), row[i].answer);
	}
}

static void accepts_one_proposal_only(void **state)
{
	struct wire_sa ours = sa(IKE, "aes128gcm16-prfsha256-x25519, aes256gcm16-prfsha256-x25519");
	struct wire_sa none = { 0 };
	struct policy_suite suite;
	struct bytes spi;
	char buf[512];
	struct text why = TEXT_OF(buf);

	(void)state;
	assert_int_equal(policy_accept(&ours, &ours, false, &why, &suite, &spi), ST_REFUSE);
	assert_int_equal(policy_accept(&ours, &none, false, &why, &suite, &spi), ST_REFUSE);
	assert_non_null(strstr(buf, "they chose nothing"));
}

/* What the responder answers, the initiator accepts; over every pair of keywords that fit. */
static void answer_is_accepted(void **state)
{
	static const char *const offer[] = {
		"aes128gcm16-aes256gcm16-prfsha256-prfsha384-x25519-ecp256",
		"aes256gcm16-prfsha384-ecp384, aes128-aes256-sha256-sha384-x25519",
		"chacha20poly1305-prfsha256-x25519, aes128gcm16-prfsha256-ecp256",
	};
	int agreed = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offer); i++) {
		for (size_t k = 0; k < ARRAY_LEN(offer); k++) {
			struct wire_sa a = sa(IKE, offer[i]);
			struct wire_sa b = sa(IKE, offer[k]);
			struct policy_suite sb, sa_;
			struct wire_proposal answer;
			struct bytes spi;
			uint8_t number;
			char buf[512];
			struct text why = TEXT_OF(buf);

			if (policy_select(&b, &a, false, &why, &sb, &number, &spi) != ST_OK)
				continue;
			assert_int_equal(policy_suite_proposal(&arena, &sb, number,
							       bytes_of("abcd", 4), &answer),
					 ST_OK);
			assert_int_equal(policy_accept(&a, &(struct wire_sa){ &answer, 1 }, false,
						       &why, &sa_, &spi),
					 ST_OK);
			assert_true(sa_.encr == sb.encr && sa_.key_bits == sb.key_bits &&
				    sa_.prf == sb.prf && sa_.integ == sb.integ && sa_.ke == sb.ke);
			assert_true(bytes_eq(spi, bytes_of("abcd", 4)));
			agreed++;
		}
	}
	assert_true(agreed >= 5);
}

static void suite_becomes_a_proposal(void **state)
{
	struct wire_sa ours = sa(ESP, "aes256-sha256-x25519-esn");
	struct policy_suite s;
	struct wire_proposal p;
	struct crypto_cipher c;
	struct bytes spi;
	uint8_t number;
	char buf[128];
	struct text t = TEXT_OF(buf);

	(void)state;
	assert_int_equal(policy_select(&ours, &ours, false, &t, &s, &number, &spi), ST_OK);
	assert_int_equal(policy_suite_proposal(&arena, &s, 7, bytes_of("wxyz", 4), &p), ST_OK);
	policy_sa_text(&t, &(struct wire_sa){ &p, 1 });
	assert_string_equal(buf, "aes256-sha256-x25519-esn");
	assert_int_equal(p.number, 7);
	assert_int_equal(p.proto, ESP);
	assert_true(bytes_eq(p.spi, bytes_of("wxyz", 4)));
	c = policy_suite_cipher(&s);
	assert_true(c.encr == CRYPTO_AES_CBC && c.key_bits == 256 &&
		    c.integ == CRYPTO_HMAC_SHA2_256_128);
}

static void key_exchange_groups(void **state)
{
	struct wire_sa two = sa(IKE, "aes128gcm16-prfsha256-ecp256, aes128gcm16-prfsha256-x25519");
	struct wire_sa optional = sa(ESP, "aes128gcm16-modpnone-x25519");
	struct wire_sa none = sa(ESP, "aes128gcm16");

	(void)state;
	assert_int_equal(policy_first_ke(&two), CRYPTO_ECP_256);
	assert_int_equal(policy_first_ke(&optional), CRYPTO_X25519);
	assert_int_equal(policy_first_ke(&none), 0);
	assert_true(policy_offers_ke(&two, CRYPTO_X25519));
	assert_false(policy_offers_ke(&two, CRYPTO_ECP_384));
	assert_false(policy_offers_ke(&none, CRYPTO_X25519));
	assert_false(policy_offers_ke(&none, 0));
}

/* A key exchange of the child's own (RFC 7296 sections 1.3.1 and 3.3.3): as asked for by either
 * end, and left out where there is none (skip_ke). */
static void selects_pfs(void **state)
{
	static const struct {
		const char *ours, *theirs;
		const char *suite; /* NULL: refused */
		uint8_t number;
		const char *skipped; /* the same without a key exchange */
		uint8_t skipped_number;
	} row[] = {
		/* Several: the first of ours that they have. */
		{ "aes128gcm16-x25519-ecp256", "aes128gcm16-ecp256-x25519", "aes128gcm16-x25519", 1,
		  "aes128gcm16", 1 },
		{ "aes128gcm16-ecp384-ecp256-x25519", "aes128gcm16-x25519-ecp256",
		  "aes128gcm16-ecp256", 1, "aes128gcm16", 1 },
		{ "aes128gcm16-ecp384-ecp521", "aes128gcm16-x25519-ecp256", NULL, 0, "aes128gcm16",
		  1 },
		/* Optional: preferred or not, by where it stands among ours. */
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-modpnone-x25519",
		  "aes128gcm16-x25519", 1, "aes128gcm16", 1 },
		{ "aes128gcm16-modpnone-x25519", "aes128gcm16-x25519-modpnone", "aes128gcm16", 1,
		  "aes128gcm16", 1 },
		{ "aes128gcm16-modpnone-x25519", "aes128gcm16-x25519", "aes128gcm16-x25519", 1,
		  "aes128gcm16", 1 },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-ecp256-modpnone", "aes128gcm16", 1,
		  "aes128gcm16", 1 },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-ecp256", NULL, 0, "aes128gcm16", 1 },
		/* NONE by name and NONE by absence are the same. */
		{ "aes128gcm16-modpnone", "aes128gcm16", "aes128gcm16", 1, "aes128gcm16", 1 },
		{ "aes128gcm16", "aes128gcm16-modpnone", "aes128gcm16", 1, "aes128gcm16", 1 },
		{ "aes128gcm16-modpnone", "aes128gcm16-x25519", NULL, 0, "aes128gcm16", 1 },
		{ "aes128gcm16-x25519", "aes128gcm16-modpnone", NULL, 0, "aes128gcm16", 1 },
		/* In one of two proposals. */
		{ "aes128gcm16-x25519, aes256gcm16", "aes256gcm16", "aes256gcm16", 1, "aes256gcm16",
		  1 },
		{ "aes128gcm16-x25519, aes256gcm16", "aes256gcm16, aes128gcm16-x25519",
		  "aes128gcm16-x25519", 2, "aes128gcm16", 2 },
		{ "aes128gcm16-x25519, aes256gcm16", "aes128gcm16, aes256gcm16", "aes256gcm16", 2,
		  "aes128gcm16", 1 },
		{ "aes128gcm16-x25519, aes256gcm16", "aes128gcm16", NULL, 0, "aes128gcm16", 1 },
		{ "aes128gcm16, aes256gcm16-x25519", "aes128gcm16-x25519, aes256gcm16-x25519",
		  "aes256gcm16-x25519", 2, "aes128gcm16", 1 },
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16, aes128gcm16-x25519",
		  "aes128gcm16-x25519", 2, "aes128gcm16", 1 },
		{ "aes128gcm16, aes128gcm16-x25519", "aes128gcm16-x25519, aes128gcm16",
		  "aes128gcm16", 2, "aes128gcm16", 1 },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(row); i++) {
		bool skip = i % 2;
		const char *suite = skip ? row[i / 2].skipped : row[i / 2].suite;
		struct wire_sa ours = sa(ESP, row[i / 2].ours), theirs = sa(ESP, row[i / 2].theirs);
		struct policy_suite s;
		struct bytes spi;
		uint8_t number = 0;
		char buf[512];
		struct text why = TEXT_OF(buf);
		enum status st = policy_select(&ours, &theirs, skip, &why, &s, &number, &spi);

		if ((st == ST_OK) != (suite != NULL))
			fail_msg("row %zu, skip %d: %s", i / 2, skip, status_name(st));
		if (!suite)
			continue;
		assert_string_equal(suite_text(&s), suite);
		assert_int_equal(number, skip ? row[i / 2].skipped_number : row[i / 2].number);
		assert_int_equal(s.ke != 0, strstr(suite, "-x25519") || strstr(suite, "-ecp"));
	}
}

static void accepts_pfs(void **state)
{
	static const struct {
		const char *ours, *answer;
		uint8_t number;
		bool ok, skipped;
	} row[] = {
		{ "aes128gcm16-x25519-ecp256", "aes128gcm16-ecp256", 1, true, true },
		{ "aes128gcm16-x25519-ecp256", "aes128gcm16-ecp384", 1, false, true },
		{ "aes128gcm16-x25519-ecp256", "aes128gcm16-x25519-ecp256", 1, false, false },
		/* What we insist on is not left out, and what we did not offer not put in. */
		{ "aes128gcm16-x25519", "aes128gcm16", 1, false, true },
		{ "aes128gcm16-x25519", "aes128gcm16-modpnone", 1, false, true },
		{ "aes128gcm16", "aes128gcm16-x25519", 1, false, true },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16", 1, true, true },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-modpnone", 1, true, true },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-x25519", 1, true, true },
		{ "aes128gcm16-x25519-modpnone", "aes128gcm16-x25519-modpnone", 1, false, false },
		/* In one of two proposals: as that says which has the number of the answer. */
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16-x25519", 1, true, true },
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16", 1, false, true },
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16", 2, true, true },
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16-x25519", 2, false, true },
		{ "aes128gcm16-x25519, aes128gcm16", "aes128gcm16-x25519", 3, false, false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(row); i++) {
		bool skip = i % 2, ok = skip ? row[i / 2].skipped : row[i / 2].ok;
		struct wire_sa ours = sa(ESP, row[i / 2].ours), answer = sa(ESP, row[i / 2].answer);
		struct wire_proposal one = answer.proposals[0];
		struct policy_suite s;
		struct bytes spi;
		char buf[512];
		struct text why = TEXT_OF(buf);
		enum status st;

		one.number = row[i / 2].number;
		answer.proposals = &one;
		st = policy_accept(&ours, &answer, skip, &why, &s, &spi);
		if (st != (ok ? ST_OK : ST_REFUSE))
			fail_msg("row %zu, skip %d: %s", i / 2, skip, status_name(st));
		if (ok)
			assert_int_equal(s.ke, skip ? 0 : policy_first_ke(&answer));
	}
}

static void groups_of_children(void **state)
{
	static const struct {
		const char *esp;
		uint16_t first;
		bool x25519, ecp256;
	} row[] = {
		{ "aes128gcm16", 0, false, false },
		{ "aes128gcm16-modpnone", 0, false, false },
		{ "aes128gcm16-x25519", CRYPTO_X25519, true, false },
		{ "aes128gcm16-modpnone-x25519", CRYPTO_X25519, true, false },
		{ "aes128gcm16-ecp256-x25519-modpnone", CRYPTO_ECP_256, true, true },
		/* In one of two. */
		{ "aes128gcm16, aes256gcm16-x25519", CRYPTO_X25519, true, false },
		{ "aes128gcm16-ecp256, aes256gcm16", CRYPTO_ECP_256, false, true },
		{ "aes128gcm16-modpnone, aes256gcm16-ecp256", CRYPTO_ECP_256, false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wire_sa s = sa(ESP, row[i].esp);

		assert_int_equal(policy_first_ke(&s), row[i].first);
		assert_int_equal(policy_offers_ke(&s, CRYPTO_X25519), row[i].x25519);
		assert_int_equal(policy_offers_ke(&s, CRYPTO_ECP_256), row[i].ecp256);
		/* NONE is no group that anybody could ask for (INVALID_KE_PAYLOAD). */
		assert_false(policy_offers_ke(&s, 0));
	}
}

/* A peer's list is readable, whatever is in it. */
static void prints_what_peers_send(void **state)
{
	static const struct wire_transform x[] = {
		{ 1, 3, 0, false },  { 1, 20, 64, false },  { 1, 12, 128, true },
		{ 2, 77, 0, false }, { 3, 0, 0, false },    { 3, 99, 0, false },
		{ 4, 2, 0, false },  { 4, 0, 0, false },    { 5, 7, 0, false },
		{ 6, 36, 0, false }, { 0xff, 1, 9, false }, { 0 },
	};
	struct wire_sa s = raw_sa(WIRE_PROTO_AH, x);
	char buf[256];
	struct text t = TEXT_OF(buf);

	(void)state;
	policy_sa_text(&t, &s);
	assert_string_equal(buf,
			    "protocol2:3des-encr20/64-aes128?-prf77-integ99-modp1024-modpnone-esn7-"
			    "type6:36-type255:1/9");
}

static void out_of_memory(void **state)
{
	struct policy_suite s = { .proto = ESP };
	struct wire_proposal p = { .number = 77 };
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	struct arena none;
	char buf[64];
	struct text why = TEXT_OF(buf);

	(void)state;
	arena_init(&none, &mem, 1 << 16);
	assert_int_equal(policy_proposal_parse(&none, ESP, "aes128gcm16", &why, &p), ST_NOMEM);
	assert_int_equal(policy_suite_proposal(&none, &s, 1, bytes_of(NULL, 0), &p), ST_NOMEM);
	assert_int_equal(p.number, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(defaults_parse),
		cmocka_unit_test(selects),
		cmocka_unit_test(refusal_names_both_sides),
		cmocka_unit_test(selects_from_foreign_lists),
		cmocka_unit_test(selects_from_foreign_esp),
		cmocka_unit_test(accepts),
		cmocka_unit_test(accepts_one_proposal_only),
		cmocka_unit_test(answer_is_accepted),
		cmocka_unit_test(suite_becomes_a_proposal),
		cmocka_unit_test(key_exchange_groups),
		cmocka_unit_test(selects_pfs),
		cmocka_unit_test(accepts_pfs),
		cmocka_unit_test(groups_of_children),
		cmocka_unit_test(prints_what_peers_send),
		cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, arena_up, arena_down);
}
