/*
 * Sets of addresses, and the extension that carries them (RFC 3779 section 2).
 */
#include "pki/internal.h"

/* ---- sets ---------------------------------------------------------------------------------- */

static bool is_last(const struct ip *a)
{
	struct ip next = ip_next(a);

	return ip_is_any(&next);
}

/* `b` begins inside `a` or right behind it; a->first is not above b->first. */
static bool touches(const struct ip_range *a, const struct ip_range *b)
{
	struct ip next = ip_next(&a->last);

	if (a->last.family != b->first.family)
		return false;
	return is_last(&a->last) || ip_cmp(&b->first, &next) <= 0;
}

static void insert_sorted(struct pki_blocks *b, const struct ip_range *r)
{
	size_t i = b->n++;

	for (; i > 0 && ip_cmp(&b->range[i - 1].first, &r->first) > 0; i--)
		b->range[i] = b->range[i - 1];
	b->range[i] = *r;
}

static void merge(struct pki_blocks *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct ip_range *last = n ? &b->range[n - 1] : NULL;

		if (!last || !touches(last, &b->range[i]))
			b->range[n++] = b->range[i];
		else if (ip_cmp(&b->range[i].last, &last->last) > 0)
			last->last = b->range[i].last;
	}
	b->n = n;
}

enum status pki_blocks_of_prefixes(const struct prefix *p, size_t n, struct pki_blocks *ret)
{
	struct pki_blocks b = { 0 };

	if (n > PKI_BLOCKS_MAX)
		return ST_INVAL;
	for (size_t i = 0; i < n; i++) {
		struct ip_range r = { prefix_first(&p[i]), prefix_last(&p[i]) };

		if (r.first.family == 0)
			return ST_INVAL;
		insert_sorted(&b, &r);
	}
	merge(&b);
	*ret = b;
	return ST_OK;
}

/* The largest prefix that begins at `a` and does not go beyond `last`. */
static struct prefix widest(const struct ip *a, const struct ip *last)
{
	struct prefix p = prefix_of(a, ip_bits(a));

	while (p.len > 0) {
		struct prefix wider = prefix_of(a, p.len - 1u);
		struct ip end = prefix_last(&wider);

		if (!ip_eq(&wider.ip, a) || ip_cmp(&end, last) > 0)
			break;
		p = wider;
	}
	return p;
}

size_t pki_blocks_prefixes(const struct pki_blocks *b, struct prefix *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct ip at = b->range[i].first, end;

		do {
			if (n == max)
				return 0;
			ret[n] = widest(&at, &b->range[i].last);
			end = prefix_last(&ret[n++]);
			at = ip_next(&end);
		} while (!ip_eq(&end, &b->range[i].last));
	}
	return n;
}

static bool range_in(const struct pki_blocks *outer, const struct ip_range *r)
{
	for (size_t i = 0; i < outer->n; i++)
		if (outer->range[i].first.family == r->first.family &&
		    ip_cmp(&outer->range[i].first, &r->first) <= 0 &&
		    ip_cmp(&outer->range[i].last, &r->last) >= 0)
			return true;
	return false;
}

/* Ranges that touch are one, so a range lies in one range or in none. */
bool pki_blocks_have(const struct pki_blocks *outer, const struct pki_blocks *inner)
{
	for (size_t i = 0; i < inner->n; i++)
		if (!range_in(outer, &inner->range[i]))
			return false;
	return true;
}

bool pki_blocks_overlap(const struct pki_blocks *a, const struct pki_blocks *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (a->range[i].first.family == b->range[j].first.family &&
			    ip_cmp(&a->range[i].first, &b->range[j].last) <= 0 &&
			    ip_cmp(&b->range[j].first, &a->range[i].last) <= 0)
				return true;
	return false;
}

static void range_text(struct text *t, const struct ip_range *r)
{
	struct prefix p = widest(&r->first, &r->last);
	struct ip end = prefix_last(&p);
	char first[IP_TEXT_MAX], last[IP_TEXT_MAX], whole[PREFIX_TEXT_MAX];

	if (ip_eq(&end, &r->last))
		text_add(t, prefix_text(&p, whole));
	else
		text_fmt(t, "%s-%s", ip_text(&r->first, first), ip_text(&r->last, last));
}

void pki_blocks_text(struct text *t, const struct pki_blocks *b)
{
	if (b->n == 0)
		text_add(t, "none");
	for (size_t i = 0; i < b->n; i++) {
		text_add(t, i ? ", " : "");
		range_text(t, &b->range[i]);
	}
}

#define NOT_CANONICAL "address blocks are not in the canonical order of RFC 3779"

/* ---- from an extension --------------------------------------------------------------------- */

static enum status take_range(IPAddressOrRange *aor, unsigned afi, struct text *why,
			      struct pki_blocks *b)
{
	uint8_t first[16], last[16];
	int n = X509v3_addr_get_range(aor, afi, first, last, sizeof(first));

	if (n != (afi == IANA_AFI_IPV4 ? 4 : 16))
		return pki_refuse(why, "an address block cannot be read");
	if (b->n == PKI_BLOCKS_MAX)
		return pki_refuse(why, "more than %d address blocks", PKI_BLOCKS_MAX);
	b->range[b->n++] = (struct ip_range){ ip_from_raw(bytes_of(first, (size_t)n)),
					      ip_from_raw(bytes_of(last, (size_t)n)) };
	return ST_OK;
}

static enum status check_family(const IPAddressFamily *f, struct text *why)
{
	unsigned afi = X509v3_addr_get_afi(f);

	if (afi != IANA_AFI_IPV4 && afi != IANA_AFI_IPV6)
		return pki_refuse(why, "address blocks of the unknown family %u", afi);
	/* RFC 3779 section 2.2.3.3: a third octet limits them to unicast, multicast, ... */
	if (ASN1_STRING_length(f->addressFamily) != 2)
		return pki_refuse(why, "address blocks that are limited to a SAFI");
	return ST_OK;
}

static enum status take_ranges(const IPAddressFamily *f, struct text *why, struct pki_blocks *b)
{
	const IPAddressOrRanges *list = f->ipAddressChoice->u.addressesOrRanges;
	unsigned afi = X509v3_addr_get_afi(f);
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < sk_IPAddressOrRange_num(list); i++)
		st = take_range(sk_IPAddressOrRange_value(list, i), afi, why, b);
	return st;
}

static enum status take_family(const IPAddressFamily *f, struct text *why, struct pki_blocks *b)
{
	enum status st = check_family(f, why);

	if (st != ST_OK)
		return st;
	if (f->ipAddressChoice->type != IPAddressChoice_addressesOrRanges)
		return pki_refuse(why, "address blocks are inherited from the issuer; they must be "
				       "spelled out");
	return take_ranges(f, why, b);
}

/* A family without a block stands for nothing; libcrypto's test lets two of one family pass that
 * differ in the SAFI, which take_family() refuses. */
enum status blocks_of_ext(IPAddrBlocks *ext, struct text *why, struct pki_blocks *ret)
{
	struct pki_blocks b = { 0 };
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < sk_IPAddressFamily_num(ext); i++)
		st = take_family(sk_IPAddressFamily_value(ext, i), why, &b);
	if (st == ST_OK && ext && !X509v3_addr_is_canonical(ext))
		st = pki_refuse(why, NOT_CANONICAL);
	if (st == ST_OK)
		*ret = b;
	return st;
}

/* NULL in `*ret_ext` when there is none. */
static enum status ext_of(const X509 *cert, struct text *why, IPAddrBlocks **ret_ext)
{
	int found;

	*ret_ext = X509_get_ext_d2i(cert, NID_sbgp_ipAddrBlock, &found, NULL);
	/* -1: absent */
	if (!*ret_ext && found != -1)
		return pki_refuse(why, found == -2 ? "address blocks twice"
						   : "address blocks cannot be read");
	return ST_OK;
}

static void ext_free(IPAddrBlocks *ext)
{
	sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
}

enum status blocks_of_x509(X509 *cert, struct text *why, struct pki_blocks *ret)
{
	IPAddrBlocks *ext;
	enum status st = ext_of(cert, why, &ext);

	if (st == ST_OK)
		st = blocks_of_ext(ext, why, ret);
	ext_free(ext);
	return st;
}

enum status pki_blocks_of_cert(struct bytes der, struct text *why, struct pki_blocks *ret)
{
	X509 *cert;
	enum status st = x509_of_der(der, "the certificate", why, &cert);

	if (st != ST_OK)
		return st;
	st = blocks_of_x509(cert, why, ret);
	X509_free(cert);
	return st;
}

/* ---- along a path -------------------------------------------------------------------------- */

/* What a family of one certificate says. */
enum said { SAID_NOTHING, SAID_INHERIT, SAID_RANGES };

static const IPAddressFamily *family_of(const IPAddrBlocks *ext, unsigned afi)
{
	for (int i = 0; i < sk_IPAddressFamily_num(ext); i++)
		if (X509v3_addr_get_afi(sk_IPAddressFamily_value(ext, i)) == afi)
			return sk_IPAddressFamily_value(ext, i);
	return NULL;
}

/* One family of one certificate, appended to `b`. */
static enum status take_one(const X509 *cert, unsigned afi, struct text *why, struct pki_blocks *b,
			    enum said *ret_said)
{
	const IPAddressFamily *f;
	IPAddrBlocks *ext;
	enum status st = ext_of(cert, why, &ext);

	if (st != ST_OK)
		return st;
	f = family_of(ext, afi);
	*ret_said = SAID_NOTHING;
	if (f) {
		bool inherit = f->ipAddressChoice->type == IPAddressChoice_inherit;

		*ret_said = inherit ? SAID_INHERIT : SAID_RANGES;
		st = check_family(f, why);
		if (st == ST_OK && !inherit)
			st = take_ranges(f, why, b);
	}
	ext_free(ext);
	return st;
}

static enum status take_inherited(STACK_OF(X509) * path, int at, unsigned afi, struct text *why,
				  struct pki_blocks *b)
{
	enum said said = SAID_INHERIT;
	enum status st = ST_OK;

	for (int i = at; st == ST_OK && said == SAID_INHERIT; i++) {
		/* Inherited from one that has none itself: libcrypto lets that pass. */
		if (i == sk_X509_num(path))
			return pki_refuse(why, "address blocks are inherited, and no issuer spells "
					       "them out");
		st = take_one(sk_X509_value(path, i), afi, why, b, &said);
		if (st == ST_OK && said == SAID_NOTHING && i > at)
			return pki_refuse(why, "address blocks are inherited from an issuer that "
					       "has none");
	}
	return st;
}

/* What take_inherited() does not look at. */
static enum status check_whole(IPAddrBlocks *ext, struct text *why)
{
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < sk_IPAddressFamily_num(ext); i++)
		st = check_family(sk_IPAddressFamily_value(ext, i), why);
	if (st == ST_OK && !X509v3_addr_is_canonical(ext))
		st = pki_refuse(why, NOT_CANONICAL);
	return st;
}

enum status pki_blocks_of_path(STACK_OF(X509) * path, int at, struct text *why, bool *ret_has,
			       struct pki_blocks *ret)
{
	struct pki_blocks b = { 0 };
	IPAddrBlocks *ext;
	enum status st = ext_of(sk_X509_value(path, at), why, &ext);
	bool has = ext != NULL;

	if (st == ST_OK && has)
		st = check_whole(ext, why);
	ext_free(ext);
	if (st == ST_OK)
		st = take_inherited(path, at, IANA_AFI_IPV4, why, &b);
	if (st == ST_OK)
		st = take_inherited(path, at, IANA_AFI_IPV6, why, &b);
	if (st != ST_OK)
		return st;
	*ret_has = has;
	*ret = b;
	return ST_OK;
}

/* ---- to an extension ----------------------------------------------------------------------- */

enum status blocks_to_ext(const struct pki_blocks *b, struct text *why, IPAddrBlocks **ret_ext)
{
	IPAddrBlocks *ext = sk_IPAddressFamily_new_null();
	bool good = ext != NULL;

	for (size_t i = 0; good && i < b->n; i++) {
		struct ip_range r = b->range[i];

		good = X509v3_addr_add_range(ext,
					     r.first.family == 4 ? IANA_AFI_IPV4 : IANA_AFI_IPV6,
					     NULL, r.first.b, r.last.b);
	}
	if (!good || !X509v3_addr_canonize(ext)) {
		sk_IPAddressFamily_pop_free(ext, IPAddressFamily_free);
		return pki_libcrypto("address blocks", why);
	}
	*ret_ext = ext;
	return ST_OK;
}
