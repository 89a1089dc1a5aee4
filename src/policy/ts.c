/*
 * Traffic selectors as sets: containment, intersection, narrowing (RFC 7296 sections 2.9, 3.13.1).
 *
 * A selector is a product of an address range, a protocol (or any) and a port range.  Ports may
 * also be OPAQUE (65535 to 0), "there are none to see": RFC 4301 section 4.4.1.1 makes ANY (0 to
 * 65535) include it, and nothing else does.
 */
#include "policy/policy.h"

static bool ports_any(const struct wire_ts *ts)
{
	return ts->port_start == 0 && ts->port_end == 65535;
}

static bool ports_opaque(const struct wire_ts *ts)
{
	return ts->port_start == 65535 && ts->port_end == 0;
}

/* A selector that no packet can match: an upside-down range that is not OPAQUE. */
static bool is_empty(const struct wire_ts *ts)
{
	return ts->start.family == 0 || ts->start.family != ts->end.family ||
	       ip_cmp(&ts->start, &ts->end) > 0 ||
	       (ts->port_start > ts->port_end && !ports_opaque(ts));
}

static bool ports_intersect(const struct wire_ts *a, const struct wire_ts *b, struct wire_ts *ret)
{
	if (ports_any(a) || ports_any(b)) {
		const struct wire_ts *narrow = ports_any(a) ? b : a;

		ret->port_start = narrow->port_start;
		ret->port_end = narrow->port_end;
		return true;
	}
	if (ports_opaque(a) || ports_opaque(b)) {
		ret->port_start = 65535;
		ret->port_end = 0;
		return ports_opaque(a) && ports_opaque(b);
	}
	ret->port_start = a->port_start > b->port_start ? a->port_start : b->port_start;
	ret->port_end = a->port_end < b->port_end ? a->port_end : b->port_end;
	return ret->port_start <= ret->port_end;
}

bool policy_ts_intersect(const struct wire_ts *a, const struct wire_ts *b, struct wire_ts *ret)
{
	struct wire_ts r = { 0 };

	if (is_empty(a) || is_empty(b) || a->start.family != b->start.family)
		return false;
	if (a->proto != 0 && b->proto != 0 && a->proto != b->proto)
		return false;
	r.proto = a->proto ? a->proto : b->proto;
	r.start = ip_cmp(&a->start, &b->start) > 0 ? a->start : b->start;
	r.end = ip_cmp(&a->end, &b->end) < 0 ? a->end : b->end;
	if (ip_cmp(&r.start, &r.end) > 0 || !ports_intersect(a, b, &r))
		return false;
	*ret = r;
	return true;
}

static bool ports_has(const struct wire_ts *outer, const struct wire_ts *inner)
{
	if (ports_any(outer) || ports_opaque(outer) || ports_opaque(inner))
		return ports_any(outer) || (ports_opaque(outer) && ports_opaque(inner));
	return outer->port_start <= inner->port_start && inner->port_end <= outer->port_end;
}

bool policy_ts_has_family(const struct wire_ts_list *l, uint8_t family)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == family)
			return true;
	return false;
}

bool policy_ts_has(const struct wire_ts *outer, const struct wire_ts *inner)
{
	return (outer->proto == 0 || outer->proto == inner->proto) && ports_has(outer, inner) &&
	       outer->start.family == inner->start.family && !is_empty(outer) && !is_empty(inner) &&
	       ip_cmp(&outer->start, &inner->start) <= 0 && ip_cmp(&inner->end, &outer->end) <= 0;
}

/* Adds `ts` unless it lies inside a kept one; kept ones that lie inside it go.  When the list is
 * full `ts` is left out: narrower than allowed is still narrow. */
static size_t keep(struct wire_ts *kept, size_t n, const struct wire_ts *ts)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (policy_ts_has(&kept[i], ts))
			return n;
	for (size_t i = 0; i < n; i++)
		if (!policy_ts_has(ts, &kept[i]))
			kept[left++] = kept[i];
	if (left < WIRE_MAX_TS)
		kept[left++] = *ts;
	return left;
}

static size_t narrow(const struct wire_ts_list *offered, const struct wire_ts_list *allowed,
		     struct wire_ts *ret)
{
	struct wire_ts common;
	size_t n = 0;

	for (size_t i = 0; i < offered->n; i++)
		for (size_t k = 0; k < allowed->n; k++)
			if (policy_ts_intersect(&offered->ts[i], &allowed->ts[k], &common))
				n = keep(ret, n, &common);
	return n;
}

/* Each intersection is compared with at most WIRE_MAX_TS others: the longest lists a peer can send
 * cost some milliseconds, once it is authenticated, and not the square of their product. */
enum status policy_ts_narrow(struct arena *ar, const struct wire_ts_list *offered,
			     const struct wire_ts_list *allowed, struct text *why,
			     struct wire_ts_list *ret_narrowed)
{
	struct wire_ts kept[WIRE_MAX_TS];
	size_t n = narrow(offered, allowed, kept);
	struct bytes copy;
	enum status st;

	if (n == 0) {
		text_add(why, "they offer ");
		policy_ts_list_text(why, offered);
		text_add(why, "; we allow ");
		policy_ts_list_text(why, allowed);
		return ST_REFUSE;
	}
	st = arena_dup(ar, bytes_of(kept, n * sizeof(kept[0])), &copy);
	if (st != ST_OK)
		return st;
	*ret_narrowed = (struct wire_ts_list){ (const void *)copy.p, n, 0 };
	return ST_OK;
}

bool policy_ts_subset(const struct wire_ts_list *inner, const struct wire_ts_list *outer)
{
	for (size_t i = 0; i < inner->n; i++) {
		bool inside = false;

		for (size_t k = 0; k < outer->n && !inside; k++)
			inside = policy_ts_has(&outer->ts[k], &inner->ts[i]);
		if (!inside)
			return false;
	}
	return inner->n > 0;
}

/* The shortest prefix that begins at `at` and does not pass `end`. */
static struct prefix widest(const struct ip *at, const struct ip *end)
{
	struct prefix best = prefix_of(at, ip_bits(at));

	for (unsigned len = ip_bits(at); len-- > 0;) {
		struct prefix p = prefix_of(at, len);
		struct ip last = prefix_last(&p);

		if (!ip_eq(&p.ip, at) || ip_cmp(&last, end) > 0)
			break;
		best = p;
	}
	return best;
}

size_t policy_ts_prefixes(const struct wire_ts *ts, struct prefix *ret, size_t max)
{
	struct ip at = ts->start;
	size_t n = 0;

	if (is_empty(ts))
		return 0;
	while (n < max) {
		struct ip last;

		ret[n] = widest(&at, &ts->end);
		last = prefix_last(&ret[n++]);
		if (ip_eq(&last, &ts->end))
			return n;
		at = ip_next(&last);
	}
	return 0;
}

bool policy_ts_match(const struct wire_ts_list *l, const struct ip *addr, uint8_t proto,
		     uint16_t port)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct wire_ts *ts = &l->ts[i];

		if (ts->start.family == addr->family && addr->family != 0 &&
		    (ts->proto == 0 || ts->proto == proto) && ts->port_start <= port &&
		    port <= ts->port_end && ip_cmp(&ts->start, addr) <= 0 &&
		    ip_cmp(addr, &ts->end) <= 0)
			return true;
	}
	return false;
}
