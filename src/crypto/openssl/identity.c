#include <openssl/x509v3.h>

#include "crypto/openssl/internal.h"

/* RFC 7296 section 3.5. */
enum {
	ID_IPV4_ADDR = 1,
	ID_FQDN = 2,
	ID_RFC822_ADDR = 3,
	ID_IPV6_ADDR = 5,
	ID_DER_ASN1_DN = 9,
	ID_DER_ASN1_GN = 10,
	ID_KEY_ID = 11,
};

/* How many names of a certificate a reason lists. */
enum { NAMES_SHOWN = 6 };

/* ---- as text ------------------------------------------------------------------------------ */

static void explain_ip(struct bytes raw, struct text *t)
{
	struct ip ip = ip_from_raw(raw);
	char buf[IP_TEXT_MAX];

	if (ip.family)
		text_add(t, ip_text(&ip, buf));
	else
		text_hex(t, raw);
}

static void explain_dn(struct bytes der, struct text *t)
{
	const uint8_t *p = der.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)der.n);

	if (name)
		explain_name(name, t);
	else
		text_hex(t, der);
	X509_NAME_free(name);
}

static void explain_id(uint8_t type, struct bytes id, struct text *t)
{
	switch (type) {
	case ID_FQDN: text_add(t, "FQDN "); break;
	case ID_RFC822_ADDR: text_add(t, "RFC822 "); break;
	case ID_IPV4_ADDR:
	case ID_IPV6_ADDR: text_add(t, "IP "); break;
	case ID_DER_ASN1_DN: text_add(t, "DN "); break;
	case ID_KEY_ID: text_add(t, "KEY_ID "); break;
	default: text_fmt(t, "identity of type %u, ", type); break;
	}
	if (type == ID_FQDN || type == ID_RFC822_ADDR)
		text_quote(t, id);
	else if (type == ID_IPV4_ADDR || type == ID_IPV6_ADDR)
		explain_ip(id, t);
	else if (type == ID_DER_ASN1_DN)
		explain_dn(id, t);
	else
		text_hex(t, id);
}

static void explain_alt_name(const GENERAL_NAME *gn, struct text *t)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(gn, &type);

	switch (type) {
	case GEN_DNS:
		text_add(t, "DNS:");
		explain_string(s, t);
		break;
	case GEN_EMAIL:
		text_add(t, "email:");
		explain_string(s, t);
		break;
	case GEN_IPADD:
		text_add(t, "IP:");
		explain_ip(bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), t);
		break;
	default: text_add(t, "a name of another kind"); break;
	}
}

/* "certificate is for <subject>, DNS:a, DNS:b, peer claims FQDN c" */
static enum status mismatch(X509 *cert, const GENERAL_NAMES *names, uint8_t type, struct bytes id,
			    struct text *why)
{
	int n = names ? sk_GENERAL_NAME_num(names) : 0;

	text_add(why, "certificate is for ");
	/* Without alternative names, or when the subject is what was claimed. */
	if (n == 0 || type == ID_DER_ASN1_DN) {
		text_add(why, "\"");
		explain_name(X509_get_subject_name(cert), why);
		text_add(why, n == 0 ? "\" and has no alternative name" : "\"");
	}
	for (int i = 0; type != ID_DER_ASN1_DN && i < n && i < NAMES_SHOWN; i++) {
		text_add(why, i ? ", " : "");
		explain_alt_name(sk_GENERAL_NAME_value(names, i), why);
	}
	if (type != ID_DER_ASN1_DN && n > NAMES_SHOWN)
		text_fmt(why, " and %d more", n - NAMES_SHOWN);
	text_add(why, ", peer claims ");
	explain_id(type, id, why);
	return ST_REFUSE;
}

/* ---- comparison --------------------------------------------------------------------------- */

/* RFC 4945 sections 3.1.2 and 3.1.3: case-insensitive, whole, no wildcard.  A NUL inside is a byte
 * like others and cannot end the comparison early. */
static bool eq_nocase(struct bytes a, struct bytes b)
{
	if (a.n != b.n || a.n == 0)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		uint8_t x = a.p[i], y = b.p[i];

		x |= x >= 'A' && x <= 'Z' ? 0x20 : 0;
		y |= y >= 'A' && y <= 'Z' ? 0x20 : 0;
		if (x != y)
			return false;
	}
	return true;
}

static bool alt_name_is(const GENERAL_NAME *gn, uint8_t id_type, struct bytes id)
{
	int type;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(gn, &type);
	struct bytes value;

	if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_IPADD)
		return false;
	value = bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	switch (id_type) {
	case ID_FQDN: return type == GEN_DNS && eq_nocase(value, id);
	case ID_RFC822_ADDR: return type == GEN_EMAIL && eq_nocase(value, id);
	case ID_IPV4_ADDR: return type == GEN_IPADD && id.n == 4 && bytes_eq(value, id);
	case ID_IPV6_ADDR: return type == GEN_IPADD && id.n == 16 && bytes_eq(value, id);
	default: return false;
	}
}

static bool any_alt_name_is(const GENERAL_NAMES *names, uint8_t id_type, struct bytes id)
{
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		if (alt_name_is(sk_GENERAL_NAME_value(names, i), id_type, id))
			return true;
	}
	return false;
}

/* RFC 4945 section 3.1.5: the subject as a whole.  An empty one names nobody. */
static bool subject_is(X509 *cert, struct bytes id)
{
	const uint8_t *p = id.p;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)id.n);
	bool same = name && p == id.p + id.n && X509_NAME_entry_count(name) > 0 &&
		    X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0;

	X509_NAME_free(name);
	return same;
}

enum status identity_check(X509 *cert, uint8_t id_type, struct bytes id, struct text *why)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool same = id_type == ID_DER_ASN1_DN ? subject_is(cert, id)
					      : any_alt_name_is(names, id_type, id);
	enum status st = same ? ST_OK : mismatch(cert, names, id_type, id, why);

	GENERAL_NAMES_free(names);
	return st;
}
