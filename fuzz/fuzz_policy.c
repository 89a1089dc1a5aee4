/*
 * Text that an operator writes and names that a peer sends.  The first byte picks the reader; what
 * it accepts must print as something that it accepts again and takes for the same.
 */
#include <stdlib.h>

#include "policy/policy.h"

#define MUST_HOLD(x)                                                                               \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char printed[16384]; /* longer than anything the readers accept */
static char said[256];

static void proposal(struct arena *ar, uint8_t proto, const char *s)
{
	struct wire_proposal a, b;
	struct text t = TEXT_OF(printed);
	struct text why = TEXT_OF(said);
	struct policy_suite suite;
	struct bytes spi;
	uint8_t number;

	if (policy_proposal_parse(ar, proto, s, &why, &a) != ST_OK)
		return;
	policy_sa_text(&t, &(struct wire_sa){ &a, 1 });
	MUST_HOLD(policy_proposal_parse(ar, proto, printed, &why, &b) == ST_OK);
	MUST_HOLD(policy_select(&(struct wire_sa){ &a, 1 }, &(struct wire_sa){ &b, 1 }, false, &why,
				&suite, &number, &spi) == ST_OK);
	MUST_HOLD(policy_suite_proposal(ar, &suite, number, spi, &b) == ST_OK);
	MUST_HOLD(policy_accept(&(struct wire_sa){ &a, 1 }, &(struct wire_sa){ &b, 1 }, false, &why,
				&suite, &spi) == ST_OK);
}

static void selector(struct arena *ar, const char *s)
{
	struct wire_ts a, b;
	struct wire_ts_list one = { &a, 1, 0 };
	struct wire_ts_list narrowed;
	struct prefix p[254];
	struct text t = TEXT_OF(printed);
	struct text why = TEXT_OF(said);

	if (policy_ts_parse(s, &why, &a) != ST_OK)
		return;
	policy_ts_text(&t, &a);
	MUST_HOLD(policy_ts_parse(printed, &why, &b) == ST_OK);
	MUST_HOLD(policy_ts_has(&a, &b) && policy_ts_has(&b, &a));
	MUST_HOLD(policy_ts_narrow(ar, &one, &one, &why, &narrowed) == ST_OK && narrowed.n == 1);
	MUST_HOLD(policy_ts_prefixes(&a, p, ARRAY_LEN(p)) > 0);
}

static void identity(struct arena *ar, const char *s, bool wild)
{
	struct policy_ident a, b;
	struct text t = TEXT_OF(printed);
	struct text why = TEXT_OF(said);

	if (policy_ident_parse(ar, s, wild, &why, &a) != ST_OK)
		return;
	policy_ident_text(&t, &a);
	MUST_HOLD(policy_ident_parse(ar, printed, wild, &why, &b) == ST_OK);
	MUST_HOLD(policy_ident_eq(&a, &b));
	MUST_HOLD(wild || !policy_ident_is_pattern(&a));
	MUST_HOLD(wild || policy_ident_match(&a, &b));
}

/* An identity as a peer sends it: type, then data cut in two at the length in the next byte. */
static void peers(struct arena *ar, struct bytes in)
{
	struct cur c = cur_of(in);
	uint8_t type = cur_u8(&c);
	size_t n = cur_u8(&c);
	struct bytes first = cur_take(&c, n <= cur_left(&c) ? n : cur_left(&c));
	struct policy_ident a = { type, first };
	struct policy_ident b = { type, cur_rest(&c) };
	static const uint64_t key[2] = { 5, 6 };
	struct policy_ident pattern;
	struct text t = TEXT_OF(printed);
	struct text why = TEXT_OF(said);

	policy_ident_text(&t, &a);
	for (size_t i = 0; i < t.n; i++)
		MUST_HOLD(printed[i] >= 0x20 && printed[i] < 0x7f);
	MUST_HOLD(policy_ident_eq(&a, &a));
	MUST_HOLD(policy_ident_eq(&a, &b) == policy_ident_eq(&b, &a));
	MUST_HOLD(!policy_ident_eq(&a, &b) ||
		  policy_ident_hash(key, &a) == policy_ident_hash(key, &b));
	MUST_HOLD(policy_ident_parse(ar, "*.example.net", true, &why, &pattern) == ST_OK);
	if (policy_ident_match(&pattern, &a))
		MUST_HOLD(a.type == WIRE_ID_FQDN && !memchr(a.data.p, 0, a.data.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char s[4096];
	struct arena ar;

	if (n == 0 || n > sizeof(s))
		return 0;
	arena_init(&ar, &mem_libc, 1 << 20);
	memcpy(s, data + 1, n - 1);
	s[n - 1] = '\0';
	switch (data[0]) {
	case 'i': proposal(&ar, WIRE_PROTO_IKE, s); break;
	case 'e': proposal(&ar, WIRE_PROTO_ESP, s); break;
	case 't': selector(&ar, s); break;
	case 'n': identity(&ar, s, false); break;
	case 'w': identity(&ar, s, true); break;
	case 'p': peers(&ar, bytes_of(data + 1, n - 1)); break;
	}
	arena_done(&ar);
	return 0;
}
