/* Identities and distinguished names: text, DER, wildcards, what a peer may send. */
#include "unit/policy_util.h"

static struct policy_ident ident(const char *s, bool wild)
{
	struct policy_ident id = { .type = 99 };
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (policy_ident_parse(&arena, s, wild, &why, &id) != ST_OK)
		fail_msg("%s: %s", s, buf);
	return id;
}

static void reads_and_prints(void **state)
{
	static const struct {
		const char *in;
		uint8_t type;
		const char *data; /* NULL: not looked at */
		size_t len;
		const char *text;
	} row[] = {
		{ "gw.example", WIRE_ID_FQDN, "gw.example", 10, "gw.example" },
		{ "@gw.example", WIRE_ID_FQDN, "gw.example", 10, "gw.example" },
		{ "moon", WIRE_ID_FQDN, "moon", 4, "moon" },
		{ "@10.0.0.1", WIRE_ID_FQDN, "10.0.0.1", 8, "@10.0.0.1" },
		{ "10.0.0.1", WIRE_ID_IPV4, "\x0a\0\0\1", 4, "10.0.0.1" },
		{ "2001:db8::1", WIRE_ID_IPV6, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16,
		  "2001:db8::1" },
		{ "joe@example.net", WIRE_ID_RFC822, "joe@example.net", 15, "joe@example.net" },
		{ "@#c0ffee", WIRE_ID_KEY, "\xc0\xff\xee", 3, "@#c0ffee" },
		{ "@#C0:ff:EE", WIRE_ID_KEY, "\xc0\xff\xee", 3, "@#c0ffee" },
		{ "CN=gw", WIRE_ID_DN, NULL, 0, "CN=gw" },
		{ "cn = gw ,o=Ex\\, Inc", WIRE_ID_DN, NULL, 0, "CN=gw, O=Ex\\, Inc" },
		{ "DC=net, DC=example, OU=a=b, L=x, ST=y, serialNumber=12, E=a@b", WIRE_ID_DN, NULL,
		  0, "DC=net, DC=example, OU=a=b, L=x, ST=y, serialNumber=12, E=a@b" },
		{ "CN=\\ a \\ , O=\\\"b\\\\", WIRE_ID_DN, NULL, 0, "CN=\\ a \\ , O=\\\"b\\\\" },
		{ "O=M\xc3\xbcller", WIRE_ID_DN, NULL, 0, "O=M\\xc3\\xbcller" },
		{ "O=M\\xc3\\xbcller", WIRE_ID_DN, NULL, 0, "O=M\\xc3\\xbcller" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident id = ident(row[i].in, false);
		struct policy_ident again;
		char buf[256];
		struct text t = TEXT_OF(buf);

		assert_int_equal(id.type, row[i].type);
		if (row[i].data)
			assert_true(bytes_eq(id.data, bytes_of(row[i].data, row[i].len)));
		policy_ident_text(&t, &id);
		assert_string_equal(buf, row[i].text);
		again = ident(buf, false);
		assert_true(policy_ident_eq(&id, &again));
	}
}

static void refuses_what_is_none(void **state)
{
	static const struct {
		const char *in;
		bool wild;
		const char *why;
	} row[] = {
		{ "", false, "not a name" },
		{ "@", false, "not a name" },
		{ "@@joe@example", false, "not a name" },
		{ "gw example", false, "\"gw example\"" },
		{ "gw\n", false, "\\x0a" },
		{ "*.example.net", false, "not a name" },
		{ "*@example.net", false, "not a mail" },
		{ "%any", false, "\"%any\"" },
		{ "a*.example", true, "not a name" },
		{ "*", true, "not a name" },
		{ "*.", true, "not a name" },
		{ "*.*.example", true, "not a name" },
		{ "j*@example.net", true, "not a mail" },
		{ "@example@net", false, "not a name" },
		{ "joe@", false, "not a mail" },
		{ "\"joe\"@example", false, "not a mail" },
		{ "j\\oe@example", false, "not a mail" },
		{ "joe@a@b", false, "not a mail" },
		{ "@#", false, "key id" },
		{ "@#abc", false, "key id" },
		{ "@#xy", false, "key id" },
		{ "@#ab:", false, "key id" },
		{ "@#:ab", false, "key id" },
		{ "CN=", false, "not a value for CN" },
		{ "CN=a,", false, "not an attribute" },
		{ "=a", false, "not an attribute" },
		{ "FOO=a", false, "\"FOO\"; accepted: CN C ST" },
		{ "CN=a, b", false, "\"b\"" },
		{ "CN=a\\", false, "backslash" },
		{ "C=CHE", false, "not a value for C" },
		{ "serialNumber=a_b", false, "not a value for serialNumber" },
		{ "DC=\xc3\xbc", false, "not a value for DC" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident id = { .type = 99 };
		char buf[512];
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_ident_parse(&arena, row[i].in, row[i].wild, &why, &id),
				 ST_INVAL);
		assert_non_null(strstr(buf, row[i].why));
		assert_int_equal(id.type, 99);
	}
}

static void refuses_what_is_too_long(void **state)
{
	char long_name[2000];
	char buf[512];
	struct text why = TEXT_OF(buf);
	struct policy_ident id;

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	long_name[256] = '\0';
	assert_int_equal(policy_ident_parse(&arena, long_name, false, &why, &id), ST_INVAL);
	memcpy(long_name, "CN=", 3);
	assert_int_equal(policy_ident_parse(&arena, long_name, false, &why, &id), ST_OK);
	/* Value, OID, and four headers that grow with what they hold. */
	assert_int_equal(id.data.n, 253 + 5 + 3 + 4 + 4 + 4);
	memset(long_name, 'a', sizeof(long_name));
	memcpy(long_name, "CN=", 3);
	long_name[3 + 256] = '\0';
	assert_int_equal(policy_ident_parse(&arena, long_name, false, &why, &id), ST_INVAL);
	for (size_t i = 0; i < 400; i++)
		memcpy(long_name + 5 * i, "O=ab,", 5);
	long_name[1999] = '\0';
	why = TEXT_OF(buf);
	assert_int_equal(policy_ident_parse(&arena, long_name, false, &why, &id), ST_INVAL);
	assert_non_null(strstr(buf, "more than 1024 bytes"));
}

static void out_of_memory(void **state)
{
	static const char *const in[] = { "gw", "joe@x", "@#ab", "1.2.3.4", "CN=a" };
	struct counting c;
	struct alloc mem = counting_mem(&c, 0);
	char buf[64];
	struct arena none;

	(void)state;
	arena_init(&none, &mem, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		struct policy_ident id = { .type = 99 };
		struct text why = TEXT_OF(buf);

		assert_int_equal(policy_ident_parse(&none, in[i], false, &why, &id), ST_NOMEM);
		assert_int_equal(id.type, 99);
	}
}

/* What openssl req -subj "/C=CH/O=Example AG/CN=gw-b.example" puts into a request. */
static const uint8_t openssl_name[] = {
	0x30, 0x39, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 0x43, 0x48,
	0x31, 0x13, 0x30, 0x11, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x0a, 'E',  'x',  'a',  'm',
	'p',  'l',  'e',  ' ',  'A',  'G',  0x31, 0x15, 0x30, 0x13, 0x06, 0x03, 0x55, 0x04, 0x03,
	0x0c, 0x0c, 'g',  'w',  '-',  'b',  '.',  'e',  'x',  'a',  'm',  'p',  'l',  'e',
};

static void dn_is_what_openssl_writes(void **state)
{
	struct policy_ident id = ident("C=CH, O=Example AG, CN=gw-b.example", false);

	(void)state;
	assert_true(bytes_eq(id.data, BYTES_OF(openssl_name)));
}

static struct policy_ident dn_copy(uint8_t *buf)
{
	memcpy(buf, openssl_name, sizeof(openssl_name));
	return (struct policy_ident){ WIRE_ID_DN, bytes_of(buf, sizeof(openssl_name)) };
}

/* RFC 5280 section 7.1: string type, case and blanks do not matter; all else does. */
static void dn_compares_as_x509_does(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		bool equal;
	} row[] = {
		{ 24, 0x13, true }, /* O in a PrintableString */
		{ 26, 'e', true },   { 26, 'f', false },
		{ 44, 0x03, true },  { 44, 0x0b, false }, /* another attribute */
		{ 33, '_', false },  { 24, 0x02, false }, /* no string */
		{ 46, 0x0b, false }, /* length: broken */
	};
	const struct policy_ident id = { WIRE_ID_DN, BYTES_OF(openssl_name) };
	uint8_t buf[sizeof(openssl_name)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident other = dn_copy(buf);

		buf[row[i].at] = row[i].value;
		assert_int_equal(policy_ident_eq(&id, &other), row[i].equal);
		assert_int_equal(policy_ident_match(&other, &id), row[i].equal);
	}
}

static void dn_folds_blanks(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		bool equal;
	} row[] = {
		{ "CN=a b", "CN=A   B", true },  { "CN=a b", "CN=\\ a b\\ ", true },
		{ "CN=a b", "CN=ab", false },    { "CN=a", "CN=a\\ b", false },
		{ "CN=\\ ", "CN=\\ \\ ", true }, { "CN=a, O=b", "O=b, CN=a", false },
		{ "CN=a, O=b", "CN=a", false },  { "CN=a", "CN=a, O=b", false },
		{ "CN=a", "CN=a\\x00", false },  { "E=a@b", "emailAddress=A@B", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident a = ident(row[i].a, false);
		struct policy_ident b = ident(row[i].b, false);

		assert_int_equal(policy_ident_eq(&a, &b), row[i].equal);
		assert_int_equal(policy_ident_eq(&b, &a), row[i].equal);
	}
}

/* S2: every truncation and every changed byte of a name is read without harm, and what is no name
 * equals nothing and prints as bytes. */
static void dn_from_a_hostile_peer(void **state)
{
	const struct policy_ident id = { WIRE_ID_DN, BYTES_OF(openssl_name) };
	uint8_t buf[sizeof(openssl_name)];
	char out[2048];

	(void)state;
	for (size_t n = 0; n < sizeof(openssl_name); n++) {
		uint8_t *exact = malloc(n ? n : 1);
		struct policy_ident cut = { WIRE_ID_DN, bytes_of(exact, n) };
		struct text t = TEXT_OF(out);

		memcpy(exact, openssl_name, n);
		assert_false(policy_ident_eq(&id, &cut));
		policy_ident_text(&t, &cut);
		assert_int_equal(strncmp(out, "type 9:", 7), 0);
		free(exact);
	}
	for (size_t at = 0; at < sizeof(buf); at++) {
		for (unsigned v = 0; v < 256; v++) {
			struct policy_ident other = dn_copy(buf);
			struct text t = TEXT_OF(out);

			buf[at] = (uint8_t)v;
			assert_int_equal(policy_ident_eq(&id, &other),
					 policy_ident_eq(&other, &id));
			policy_ident_text(&t, &other);
			assert_true(t.n > 0);
		}
	}
}

static void dn_lengths_are_der(void **state)
{
	static const struct {
		const char *der;
		size_t n;
		bool name;
	} row[] = {
		{ "\x30\x00", 2, true },
		{ "\x30\x81\x00", 3, false }, /* not the shortest form */
		{ "\x30\x82\x00\x00", 4, false },
		{ "\x30\x80\x00\x00", 4, false }, /* indefinite */
		{ "\x30\x83\x00\x00\x00", 5, false },
		{ "\x30\x00\x00", 3, false }, /* trailing */
		{ "\x30\x02\x31\x00", 4, false }, /* empty RDN */
		{ "\x30\x09\x31\x07\x30\x05\x06\x01\x2a\x05\x00", 11, true },
		{ "\x30\x08\x31\x06\x30\x04\x06\x00\x05\x00", 10, false }, /* empty OID */
		{ "\x30\x0a\x31\x08\x30\x06\x06\x01\x2a\x05\x00\x00", 12, false },
		{ "", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident id = { WIRE_ID_DN, bytes_of(row[i].der, row[i].n) };
		char buf[128];
		struct text t = TEXT_OF(buf);

		policy_ident_text(&t, &id);
		assert_int_equal(strncmp(buf, "type 9:", 7) != 0, row[i].name);
	}
}

static void dn_with_several_attributes_in_one_rdn(void **state)
{
	static const uint8_t der[] = { 0x30, 0x16, 0x31, 0x14, 0x30, 0x08, 0x06, 0x03,
				       0x55, 0x04, 0x03, 0x0c, 0x01, 'a',  0x30, 0x08,
				       0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c, 0x01, 'b' };
	struct policy_ident one_rdn = { WIRE_ID_DN, BYTES_OF(der) };
	struct policy_ident two = ident("CN=a, O=b", false);
	char buf[64];
	struct text t = TEXT_OF(buf);

	(void)state;
	policy_ident_text(&t, &one_rdn);
	assert_string_equal(buf, "CN=a+O=b");
	assert_false(policy_ident_eq(&one_rdn, &two));
}

/* What is printed of a peer's identity never takes the form of another kind. */
static void prints_what_peers_send(void **state)
{
	static const struct {
		uint8_t type;
		const char *data;
		size_t n;
		const char *text;
	} row[] = {
		{ WIRE_ID_FQDN, "10.0.0.1", 8, "@10.0.0.1" },
		{ WIRE_ID_FQDN, "joe@x", 5, "@joe@x" },
		{ WIRE_ID_FQDN, "CN=a", 4, "@CN=a" },
		{ WIRE_ID_FQDN, "", 0, "@" },
		{ WIRE_ID_FQDN, "a\0b\x1b[1m", 7, "a\\x00b\\x1b[1m" },
		{ WIRE_ID_RFC822, "moon", 4, "@@moon" },
		{ WIRE_ID_IPV4, "123", 3, "type 1:313233" },
		{ WIRE_ID_IPV4, "1234567890123456", 16, "type 1:31323334353637383930313233343536" },
		{ WIRE_ID_IPV6, "1234", 4, "type 5:31323334" },
		{ WIRE_ID_DN, "CN=a", 4, "type 9:434e3d61" },
		{ WIRE_ID_GN, "x", 1, "type 10:78" },
		{ WIRE_ID_NULL, "", 0, "%null" },
		{ 200, "x", 1, "type 200:78" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident id = { row[i].type, bytes_of(row[i].data, row[i].n) };
		char buf[128];
		struct text t = TEXT_OF(buf);

		policy_ident_text(&t, &id);
		assert_string_equal(buf, row[i].text);
	}
}

static void matches(void **state)
{
	static const struct {
		const char *pattern;
		const char *id;
		bool match;
	} row[] = {
		{ "gw.example", "GW.Example", true },
		{ "gw.example", "gw.example.", false },
		{ "gw.example", "gw.exampl", false },
		{ "*.example.net", "a.example.net", true },
		{ "*.Example.net", "a.b.exaMple.net", true },
		{ "*.example.net", "example.net", false },
		{ "*.example.net", "aexample.net", false },
		{ "*.example.net", "a.example.net.evil", false },
		{ "*.example.net", "x@a.example.net", false },
		{ "*@example.net", "joe@EXAMPLE.net", true },
		{ "*@example.net", "joe@sub.example.net", false },
		{ "*@example.net", "example.net", false },
		{ "joe@example.net", "joe@Example.NET", true },
		{ "joe@example.net", "Joe@example.net", false },
		{ "10.0.0.1", "10.0.0.1", true },
		{ "10.0.0.1", "@10.0.0.1", false },
		{ "@#0a000001", "10.0.0.1", false },
		{ "CN=a", "CN=A", true },
		{ "%any", "CN=A", true },
		{ "%any", "10.0.0.1", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident pattern = ident(row[i].pattern, true);
		struct policy_ident id = ident(row[i].id, false);

		assert_int_equal(policy_ident_match(&pattern, &id), row[i].match);
	}
}

/* What an asterisk stands for cannot hide anything (S2). */
static void wildcards_hide_nothing(void **state)
{
	static const struct {
		uint8_t type;
		const char *data;
		size_t n;
	} row[] = {
		{ WIRE_ID_FQDN, "evil\0.example.net", 17 },
		{ WIRE_ID_FQDN, ".example.net", 12 },
		{ WIRE_ID_FQDN, "a b.example.net", 15 },
		{ WIRE_ID_FQDN, "*.example.net", 13 },
		{ WIRE_ID_FQDN, "a@b.example.net", 15 },
		{ WIRE_ID_FQDN, "", 0 },
		{ WIRE_ID_RFC822, "@example.net", 12 },
		{ WIRE_ID_RFC822, "a\0@example.net", 14 },
		{ WIRE_ID_RFC822, "*@example.net", 13 },
		{ WIRE_ID_RFC822, "a@b@example.net", 15 },
		{ WIRE_ID_RFC822, "", 0 },
		{ WIRE_ID_KEY, "a.example.net", 13 },
		{ WIRE_ID_NULL, "", 0 },
	};
	const struct policy_ident pattern[] = { ident("*.example.net", true),
						ident("*@example.net", true) };
	const struct policy_ident any = ident("%any", true);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct policy_ident id = { row[i].type, bytes_of(row[i].data, row[i].n) };

		for (size_t k = 0; k < ARRAY_LEN(pattern); k++)
			assert_false(policy_ident_match(&pattern[k], &id));
		assert_int_equal(policy_ident_match(&any, &id), id.type != WIRE_ID_NULL);
	}
}

/* Whatever is equal has the same hash; what is not, nearly never. */
static void hashes_agree_with_comparison(void **state)
{
	static const char *const id[] = {
		"a.example",      "A.Example", "b.example",  "user@a.example",   "user@A.example",
		"User@a.example", "192.0.2.1", "@192.0.2.1", "2001:db8::1",      "@#0102",
		"@#0103",         "CN=a b",    "CN=A   B",   "CN=\\ a b\\ ",     "CN=ab",
		"CN=a, O=b",      "O=b, CN=a", "E=a@b",      "emailAddress=A@B", "C=CH",
		"%any",           "*.example", "*.EXAMPLE",  "*@example",
	};
	static const uint64_t key[2] = { 1, 2 };
	size_t equal = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(id); i++)
		for (size_t k = 0; k < ARRAY_LEN(id); k++) {
			struct policy_ident a = ident(id[i], true), b = ident(id[k], true);
			bool same = policy_ident_hash(key, &a) == policy_ident_hash(key, &b);
			/* Mail addresses hash without case, all of them. */
			bool mail = a.type == WIRE_ID_RFC822 && b.type == WIRE_ID_RFC822;

			if (policy_ident_eq(&a, &b))
				assert_true(same);
			else
				assert_true(!same || mail);
			equal += policy_ident_eq(&a, &b) && i != k;
		}
	assert_true(equal > 8);
}

/* S2: the same for names that a hostile peer made up. */
static void hashes_of_hostile_names(void **state)
{
	static const uint64_t key[2] = { 3, 4 };
	const struct policy_ident id = { WIRE_ID_DN, BYTES_OF(openssl_name) };
	uint8_t buf[sizeof(openssl_name)];

	(void)state;
	for (size_t at = 0; at < sizeof(buf); at++)
		for (unsigned v = 0; v < 256; v++) {
			struct policy_ident other = dn_copy(buf);

			buf[at] = (uint8_t)v;
			if (policy_ident_eq(&id, &other))
				assert_true(policy_ident_hash(key, &id) ==
					    policy_ident_hash(key, &other));
			assert_true(policy_ident_hash(key, &other) ==
				    policy_ident_hash(key, &other));
		}
}

static void patterns_are_told_from_names(void **state)
{
	static const char *const pattern[] = { "%any", "*.example", "*@example" };
	static const char *const name[] = { "a.example", "a@example", "192.0.2.1", "CN=*.a",
					    "@#2a2e" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pattern); i++) {
		struct policy_ident id = ident(pattern[i], true);

		assert_true(policy_ident_is_pattern(&id));
	}
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		struct policy_ident id = ident(name[i], false);

		assert_false(policy_ident_is_pattern(&id));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(refuses_what_is_too_long),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(dn_is_what_openssl_writes),
		cmocka_unit_test(dn_compares_as_x509_does),
		cmocka_unit_test(dn_folds_blanks),
		cmocka_unit_test(dn_from_a_hostile_peer),
		cmocka_unit_test(dn_lengths_are_der),
		cmocka_unit_test(dn_with_several_attributes_in_one_rdn),
		cmocka_unit_test(prints_what_peers_send),
		cmocka_unit_test(matches),
		cmocka_unit_test(wildcards_hide_nothing),
		cmocka_unit_test(hashes_agree_with_comparison),
		cmocka_unit_test(hashes_of_hostile_names),
		cmocka_unit_test(patterns_are_told_from_names),
	};

	return cmocka_run_group_tests(tests, arena_up, arena_down);
}
