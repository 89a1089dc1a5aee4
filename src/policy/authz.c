/*
 * Authority: what an identity may source, and on whose word (RFC 4301 section 4.4.3, the PAD as
 * values).
 *
 * There are two sources, and a peer's word is neither.  A rule of our own file says what the
 * operator here grants; where one names the identity it is all that counts.  Else the address
 * blocks of its certificate count, for which its authority answered (RFC 3779).  Either is cut to
 * the domain of the network: nobody speaks for addresses that are none of its business.  An inner
 * address that we leased to it is its own as well (RFC 7296 section 2.19).
 */
#include "policy/policy.h"

struct wire_ts policy_range_ts(const struct ip_range *r)
{
	return (struct wire_ts){ .port_end = 65535, .start = r->first, .end = r->last };
}

struct wire_ts policy_host_ts(const struct ip *ip)
{
	return policy_range_ts(&(struct ip_range){ *ip, *ip });
}

static bool blocks_have(const struct ip_range *blocks, size_t n, const struct wire_ts *ts)
{
	for (size_t i = 0; i < n; i++) {
		struct wire_ts block = policy_range_ts(&blocks[i]);

		if (policy_ts_has(&block, ts))
			return true;
	}
	return false;
}

bool policy_blocks_cover(const struct ip_range *blocks, size_t n, const struct wire_ts_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!blocks_have(blocks, n, &l->ts[i]))
			return false;
	return l->n > 0;
}

/* As prefixes where they are some, as people write them. */
void policy_blocks_text(struct text *t, const struct ip_range *blocks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct wire_ts ts = policy_range_ts(&blocks[i]);

		text_add(t, i ? ", " : "");
		policy_ts_text(t, &ts);
	}
}

/* Without what we leased. */
static size_t n_said(const struct policy_authority *a)
{
	if (a->rule)
		return a->granted->n;
	return a->has_blocks ? a->n_blocks : 0;
}

static size_t n_granted(const struct policy_authority *a)
{
	return n_said(a) + a->n_leased;
}

/* The i-th selector of whoever has the say. */
static struct wire_ts granted(const struct policy_authority *a, size_t i)
{
	if (i >= n_said(a))
		return policy_host_ts(&a->leased[i - n_said(a)]);
	return a->rule ? a->granted->ts[i] : policy_range_ts(&a->blocks[i]);
}

/* Visits all that both the authority and the domain have; `ret` NULL only counts. */
static size_t common(const struct policy_authority *a, const struct wire_ts_list *domain,
		     struct wire_ts *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < n_granted(a); i++) {
		struct wire_ts ts = granted(a, i), both;

		for (size_t k = 0; k < domain->n; k++) {
			if (!policy_ts_intersect(&ts, &domain->ts[k], &both))
				continue;
			if (ret)
				ret[n] = both;
			n++;
		}
	}
	return n;
}

static bool inside_any(const struct wire_ts *ts, const struct wire_ts *in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (policy_ts_has(&ts[i], in))
			return true;
	return false;
}

/* Rules and domains may say a thing twice, 10.0.0.0/8 and 10.1.0.0/16: the wider one is enough. */
static size_t without_inner(struct wire_ts *ts, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool inner = inside_any(ts, &ts[i], kept);

		/* Of equal ones the first stays. */
		for (size_t k = i + 1; k < n && !inner; k++)
			inner = policy_ts_has(&ts[k], &ts[i]) && !policy_ts_has(&ts[i], &ts[k]);
		if (!inner)
			ts[kept++] = ts[i];
	}
	return kept;
}

static void say_leases(struct text *t, const struct policy_authority *a)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < a->n_leased; i++)
		text_fmt(t, "%s%s",
			 i                      ? ", "
			 : a->rule || n_said(a) ? " and our lease "
						: "our lease ",
			 ip_text(&a->leased[i], buf));
}

static void say_authority(struct text *t, const struct policy_authority *a)
{
	if (a->rule) {
		text_add(t, "member rule \"");
		policy_ident_text(t, a->rule);
		text_add(t, "\" ");
		if (a->granted->n)
			policy_ts_list_text(t, a->granted);
		else
			text_add(t, "without prefixes");
	} else if (n_said(a)) {
		text_add(t, "certificate blocks ");
		policy_blocks_text(t, a->blocks, a->n_blocks);
	}
	say_leases(t, a);
}

static void say_nothing(struct text *t, const struct policy_authority *a,
			const struct wire_ts_list *domain)
{
	if (n_granted(a) == 0 && !a->rule) {
		text_add(t, "its certificate has no address blocks and no member rule names it");
		return;
	}
	say_authority(t, a);
	text_add(t, ", nothing of the domain ");
	policy_ts_list_text(t, domain);
}

enum status policy_authorise(struct arena *ar, const struct policy_authority *a,
			     const struct wire_ts_list *domain, struct text *by,
			     struct wire_ts_list *ret_allowed)
{
	size_t n = common(a, domain, NULL);
	struct wire_ts *ts;

	if (n == 0) {
		say_nothing(by, a, domain);
		return ST_REFUSE;
	}
	ts = arena_new(ar, n * sizeof(*ts));
	if (!ts)
		return ST_NOMEM;
	(void)common(a, domain, ts);
	say_authority(by, a);
	*ret_allowed = (struct wire_ts_list){ ts, without_inner(ts, n), 0 };
	return ST_OK;
}
