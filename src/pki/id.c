/*
 * Identities and names of hosts.
 */
#include <stdio.h>

#include "pki/internal.h"

/* RFC 7296 section 3.5. */
enum { ID_IPV4 = 1, ID_FQDN = 2, ID_RFC822 = 3, ID_IPV6 = 5 };

enum { LABEL_MAX = 63 };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool alnum(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Letters, digits, hyphens inside, and the underscore that turns up in the field. */
static bool label_ok(const char *s, size_t n)
{
	if (n == 0 || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!alnum(s[i]) && s[i] != '-' && s[i] != '_')
			return false;
	return true;
}

static bool digits_only(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

/* The last label is no number: "10.1.0.300" is a mistake, not a name. */
static bool dns_ok(const char *s, size_t max)
{
	if (strnlen(s, max + 1) > max)
		return false;
	for (;;) {
		size_t n = strcspn(s, ".");

		if (!label_ok(s, n))
			return false;
		if (s[n] == '\0')
			return !digits_only(s, n);
		s += n + 1;
	}
}

static void copy_lower(char *to, const char *s)
{
	do
		*to++ = lower(*s);
	while (*s++);
}

enum status host_parse(const char *s, char ret[static PKI_HOST_MAX + 1])
{
	struct ip ip;

	if (ip_parse(s, &ip) == ST_OK && !ip_is_any(&ip)) {
		ip_text(&ip, ret);
		return ST_OK;
	}
	if (!dns_ok(s, PKI_HOST_MAX))
		return ST_INVAL;
	copy_lower(ret, s);
	return ST_OK;
}

bool network_name_ok(const char *s)
{
	size_t n = strnlen(s, PKI_NAME_MAX + 1);

	if (n == 0 || n > PKI_NAME_MAX || !alnum(s[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!alnum(s[i]) && !strchr("._-", s[i]))
			return false;
	return true;
}

/* ---- from text ----------------------------------------------------------------------------- */

/* RFC 5321's dot-string; no quoted ones, so nothing that printing would have to escape, and no
 * slash: an identity is the name of a file, too. */
static bool local_part_ok(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!alnum(s[i]) && !strchr("!#$%&'*+-=?^_`{|}~.", s[i]))
			return false;
	return n > 0;
}

static bool mail_parse(const char *s, const char *at, struct pki_id *id)
{
	size_t n = (size_t)(at - s);

	if (strnlen(s, PKI_ID_MAX + 1) > PKI_ID_MAX || !local_part_ok(s, n) ||
	    !dns_ok(at + 1, PKI_ID_MAX))
		return false;
	id->type = ID_RFC822;
	memcpy(id->text, s, n);
	copy_lower(id->text + n, at);
	return true;
}

static bool id_read(const char *s, struct pki_id *id)
{
	const char *at = strchr(s, '@');
	struct ip ip;

	*id = (struct pki_id){ 0 };
	if (ip_parse(s, &ip) == ST_OK) {
		id->type = ip.family == 4 ? ID_IPV4 : ID_IPV6;
		ip_text(&ip, id->text);
		return !ip_is_any(&ip);
	}
	if (at)
		return mail_parse(s, at, id);
	if (!dns_ok(s, PKI_ID_MAX))
		return false;
	id->type = ID_FQDN;
	copy_lower(id->text, s);
	return true;
}

enum status pki_id_parse(const char *s, struct text *why, struct pki_id *ret_id)
{
	struct pki_id id;

	if (!id_read(s, &id)) {
		text_add(why, "not an identity: \"");
		text_quote(why, bytes_str(s));
		text_fmt(why,
			 "\"; accepted: a name such as site-b.example, user@site-b.example, or an "
			 "address, at most %d characters",
			 PKI_ID_MAX);
		return ST_INVAL;
	}
	*ret_id = id;
	return ST_OK;
}

/* Only the local part of a mail address has kept its case, and it counts there. */
bool pki_id_eq(const struct pki_id *a, const struct pki_id *b)
{
	return a->type == b->type && strcmp(a->text, b->text) == 0;
}

const char *pki_id_type_name(const struct pki_id *id)
{
	switch (id->type) {
	case ID_IPV4: return "IPV4";
	case ID_FQDN: return "FQDN";
	case ID_RFC822: return "RFC822";
	case ID_IPV6: return "IPV6";
	default: return "?";
	}
}

static bool hubs_have(const struct pki_hubs *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->name[i], name) == 0)
			return true;
	return false;
}

enum status pki_hubs_add(struct pki_hubs *h, const char *name, struct text *why)
{
	char host[PKI_HOST_MAX + 1];

	if (host_parse(name, host) != ST_OK) {
		text_add(why, "not the name or address of a hub: \"");
		text_quote(why, bytes_str(name));
		text_add(why, "\"; accepted: hub1.example.net, 192.0.2.1, 2001:db8::1");
		return ST_INVAL;
	}
	if (hubs_have(h, host))
		return ST_OK;
	if (h->n == PKI_HUBS_MAX)
		return pki_refuse(why, "more than %d hubs", PKI_HUBS_MAX);
	memcpy(h->name[h->n++], host, strlen(host) + 1);
	return ST_OK;
}

/* ---- as bytes ------------------------------------------------------------------------------ */

struct bytes id_data(const struct pki_id *id, uint8_t buf[static PKI_ID_MAX])
{
	struct ip ip;
	struct bytes from = bytes_str(id->text);

	if ((id->type == ID_IPV4 || id->type == ID_IPV6) && ip_parse(id->text, &ip) == ST_OK)
		from = ip_raw(&ip);
	memcpy(buf, from.p, from.n);
	return bytes_of(buf, from.n);
}

/* A string of others as C has them; a NUL inside is refused, it would end it early. */
static bool to_string(struct bytes b, char *ret, size_t cap)
{
	if (b.n == 0 || b.n >= cap || memchr(b.p, '\0', b.n))
		return false;
	memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
	return true;
}

static bool data_text(uint8_t type, struct bytes data, char text[static PKI_ID_MAX + 1])
{
	struct ip ip;

	if (type == ID_FQDN || type == ID_RFC822)
		return to_string(data, text, PKI_ID_MAX + 1);
	if (!(type == ID_IPV4 && data.n == 4) && !(type == ID_IPV6 && data.n == 16))
		return false;
	ip = ip_from_raw(data);
	ip_text(&ip, text);
	return true;
}

enum status id_from_data(uint8_t type, struct bytes data, struct text *why, struct pki_id *ret_id)
{
	char text[PKI_ID_MAX + 1];
	struct pki_id id;

	if (!data_text(type, data, text) || !id_read(text, &id) || id.type != type) {
		text_fmt(why, "identity of type %u, ", type);
		text_hex(why, data);
		text_add(why, ", is neither a name, a mail address nor an IP address");
		return ST_INVAL;
	}
	*ret_id = id;
	return ST_OK;
}

/* ---- subjectAltName ------------------------------------------------------------------------ */

static int name_kind(const struct pki_id *id)
{
	return id->type == ID_FQDN ? GEN_DNS : id->type == ID_RFC822 ? GEN_EMAIL : GEN_IPADD;
}

enum status id_to_names(const struct pki_id *id, struct text *why, GENERAL_NAMES **ret_names)
{
	bool ip = name_kind(id) == GEN_IPADD;
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_reserve(NULL, 1);
	GENERAL_NAME *gn = GENERAL_NAME_new();
	ASN1_STRING *s = ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	uint8_t buf[PKI_ID_MAX];
	struct bytes data = id_data(id, buf);

	if (!names || !gn || !s || !ASN1_STRING_set(s, data.p, (int)data.n)) {
		sk_GENERAL_NAME_free(names);
		GENERAL_NAME_free(gn);
		ASN1_STRING_free(s);
		return pki_libcrypto("subjectAltName", why);
	}
	GENERAL_NAME_set0_value(gn, name_kind(id), s);
	sk_GENERAL_NAME_push(names, gn);
	*ret_names = names;
	return ST_OK;
}

/* 0 for kinds that are no identity of ours. */
static uint8_t type_of_name(const GENERAL_NAME *gn, struct bytes *ret_data)
{
	int kind;
	const ASN1_STRING *s = GENERAL_NAME_get0_value(gn, &kind);

	if (kind != GEN_DNS && kind != GEN_EMAIL && kind != GEN_IPADD)
		return 0;
	*ret_data = bytes_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	if (kind == GEN_IPADD)
		return ret_data->n == 4 ? ID_IPV4 : ID_IPV6;
	return kind == GEN_DNS ? ID_FQDN : ID_RFC822;
}

enum status id_from_names(const GENERAL_NAMES *names, struct text *why, struct pki_id *ret_id)
{
	struct bytes data, found = { 0 };
	uint8_t type = 0;
	int n = names ? sk_GENERAL_NAME_num(names) : 0;

	for (int i = 0; i < n; i++) {
		uint8_t t = type_of_name(sk_GENERAL_NAME_value(names, i), &data);

		if (t && type)
			return pki_refuse(why, "more than one identity in subjectAltName");
		if (t) {
			type = t;
			found = data;
		}
	}
	if (!type)
		return pki_refuse(why, "no identity: a DNS name, mail or IP address in "
				       "subjectAltName is needed");
	return id_from_data(type, found, why, ret_id);
}
