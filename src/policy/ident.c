/*
 * Identities: from what an operator writes, for people, and compared (RFC 7296 section 3.5).
 *
 * A pattern is an identity whose data may begin with "*.", (FQDN) or "*@" (mail address), or of
 * type 0, which stands for any.  Patterns come from the configuration only; in a peer's identity
 * an asterisk is an asterisk.
 */
#include "policy/policy.h"

#include "policy/dn.h"

#define IDENT_MAX 255

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool eq_nocase(struct bytes a, struct bytes b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

static struct bytes skip(struct bytes b, size_t n)
{
	return bytes_of(b.p + n, b.n - n);
}

static bool begins(struct bytes b, const char *head)
{
	size_t n = strlen(head);

	return b.n >= n && memcmp(b.p, head, n) == 0;
}

/* ---- from text ---- */

#define IDENT_ACCEPTED                                                                             \
	"accepted: an address, a name such as gw.example, user@host, @#hex, or \"CN=gw, "          \
	"O=Example\""

static enum status refuse(struct text *why, const char *what, struct bytes word)
{
	text_fmt(why, "%s \"", what);
	text_quote(why, word);
	text_add(why, "\"; " IDENT_ACCEPTED);
	return ST_INVAL;
}

static enum status make(struct arena *ar, uint8_t type, struct bytes data,
			struct policy_ident *ret_ident)
{
	struct bytes copy;
	enum status st = arena_dup(ar, data, &copy);

	if (st == ST_OK)
		*ret_ident = (struct policy_ident){ type, copy };
	return st;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pairs of digits, with colons between bytes if you like, as strongSwan has it. */
static enum status parse_key_id(struct arena *ar, struct bytes hex, struct text *why,
				struct policy_ident *ret_ident)
{
	uint8_t buf[IDENT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < hex.n; i += 2) {
		if (n > 0 && hex.p[i] == ':')
			i++;
		if (i + 2 > hex.n || n == sizeof(buf) || hex_digit(hex.p[i]) < 0 ||
		    hex_digit(hex.p[i + 1]) < 0)
			return refuse(why, "not a key id in hexadecimal digits:", hex);
		buf[n++] = (uint8_t)(hex_digit(hex.p[i]) << 4 | hex_digit(hex.p[i + 1]));
	}
	if (n == 0)
		return refuse(why, "an empty key id", hex);
	return make(ar, WIRE_ID_KEY, bytes_of(buf, n), ret_ident);
}

/* Letters, digits and what turns up in names in the field; nothing that means something here. */
static bool is_name(struct bytes b)
{
	if (b.n == 0 || b.n > IDENT_MAX)
		return false;
	for (size_t i = 0; i < b.n; i++) {
		uint8_t c = lower(b.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-' &&
		    c != '_')
			return false;
	}
	return true;
}

static enum status parse_fqdn(struct arena *ar, struct bytes s, bool allow_wildcard,
			      struct text *why, struct policy_ident *ret_ident)
{
	struct bytes name = allow_wildcard && begins(s, "*.") ? skip(s, 2) : s;

	if (!is_name(name))
		return refuse(why, "not a name:", s);
	return make(ar, WIRE_ID_FQDN, s, ret_ident);
}

/* No quoted strings (RFC 5321 section 4.1.2), so nothing that printing would have to escape. */
static bool is_local_part(struct bytes b)
{
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] <= 0x20 || b.p[i] >= 0x7f || memchr("@*\"\\", b.p[i], 4))
			return false;
	return b.n > 0;
}

static enum status parse_mail(struct arena *ar, struct bytes s, size_t at, bool allow_wildcard,
			      struct text *why, struct policy_ident *ret_ident)
{
	struct bytes local = bytes_of(s.p, at);
	bool wild = allow_wildcard && at == 1 && s.p[0] == '*';

	if (s.n > IDENT_MAX || !(wild || is_local_part(local)) || !is_name(skip(s, at + 1)))
		return refuse(why, "not a mail address:", s);
	return make(ar, WIRE_ID_RFC822, s, ret_ident);
}

enum status policy_ident_parse(struct arena *ar, const char *s, bool allow_wildcard,
			       struct text *why, struct policy_ident *ret_ident)
{
	struct bytes b = bytes_str(s);
	const char *at = strchr(s, '@');
	struct ip ip;

	if (allow_wildcard && bytes_eq(b, bytes_str("%any"))) {
		*ret_ident = (struct policy_ident){ 0 };
		return ST_OK;
	}
	if (begins(b, "@#"))
		return parse_key_id(ar, skip(b, 2), why, ret_ident);
	if (begins(b, "@"))
		return parse_fqdn(ar, skip(b, 1), allow_wildcard, why, ret_ident);
	if (strchr(s, '=')) {
		enum status st = policy_dn_parse(ar, s, why, &b);

		if (st == ST_OK)
			*ret_ident = (struct policy_ident){ WIRE_ID_DN, b };
		return st;
	}
	if (at)
		return parse_mail(ar, b, (size_t)(at - s), allow_wildcard, why, ret_ident);
	if (ip_parse(s, &ip) == ST_OK)
		return make(ar, ip.family == 4 ? WIRE_ID_IPV4 : WIRE_ID_IPV6, ip_raw(&ip),
			    ret_ident);
	return parse_fqdn(ar, b, allow_wildcard, why, ret_ident);
}

/* ---- to text ---- */

static void raw_text(struct text *t, const struct policy_ident *id)
{
	text_fmt(t, "type %u:", id->type);
	text_hex(t, id->data);
}

/* What would read as an address, a mail address or a DN gets the @ that says it is a name. */
static void fqdn_text(struct text *t, struct bytes name)
{
	bool letters = false;
	bool marks = false;

	for (size_t i = 0; i < name.n; i++) {
		letters = letters || (lower(name.p[i]) >= 'a' && lower(name.p[i]) <= 'z');
		marks = marks || name.p[i] == '@' || name.p[i] == '=' || name.p[i] == ':';
	}
	if (!letters || marks)
		text_add(t, "@");
	text_quote(t, name);
}

static void mail_text(struct text *t, struct bytes mail)
{
	if (mail.n == 0 || !memchr(mail.p, '@', mail.n))
		text_add(t, "@@"); /* as strongSwan writes it */
	text_quote(t, mail);
}

static bool address_text(struct text *t, const struct policy_ident *id)
{
	struct ip ip = ip_from_raw(id->data);
	char buf[IP_TEXT_MAX];

	if (ip.family != (id->type == WIRE_ID_IPV4 ? 4 : 6))
		return false;
	text_add(t, ip_text(&ip, buf));
	return true;
}

void policy_ident_text(struct text *t, const struct policy_ident *id)
{
	bool done = false;

	switch (id->type) {
	case 0: text_add(t, "%any"); return;
	case WIRE_ID_NULL: text_add(t, "%null"); return;
	case WIRE_ID_FQDN: fqdn_text(t, id->data); return;
	case WIRE_ID_RFC822: mail_text(t, id->data); return;
	case WIRE_ID_KEY:
		text_add(t, "@#");
		text_hex(t, id->data);
		return;
	case WIRE_ID_IPV4:
	case WIRE_ID_IPV6: done = address_text(t, id); break;
	case WIRE_ID_DN: done = policy_dn_text(t, id->data); break;
	}
	if (!done)
		raw_text(t, id);
}

/* ---- comparison ---- */

static bool split_mail(struct bytes b, struct bytes *ret_local, struct bytes *ret_domain)
{
	const uint8_t *at = b.n ? memchr(b.p, '@', b.n) : NULL;

	if (!at)
		return false;
	*ret_local = bytes_of(b.p, (size_t)(at - b.p));
	*ret_domain = skip(b, ret_local->n + 1);
	return true;
}

/* The local part is the mail host's business and compares exactly (RFC 5321 section 2.4). */
static bool mail_eq(struct bytes a, struct bytes b)
{
	struct bytes la, da, lb, db;

	if (!split_mail(a, &la, &da) || !split_mail(b, &lb, &db))
		return bytes_eq(a, b);
	return bytes_eq(la, lb) && eq_nocase(da, db);
}

bool policy_ident_eq(const struct policy_ident *a, const struct policy_ident *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case WIRE_ID_FQDN: return eq_nocase(a->data, b->data);
	case WIRE_ID_RFC822: return mail_eq(a->data, b->data);
	case WIRE_ID_DN: return bytes_eq(a->data, b->data) || policy_dn_eq(a->data, b->data);
	default: return bytes_eq(a->data, b->data);
	}
}

/* `name` ends in what follows the asterisk, and what the asterisk stands for is itself a name: no
 * NUL, blank or second @ can hide there. */
static bool fqdn_under(struct bytes pattern, struct bytes name)
{
	struct bytes suffix = skip(pattern, 1);

	return name.n > suffix.n && eq_nocase(skip(name, name.n - suffix.n), suffix) &&
	       is_name(bytes_of(name.p, name.n - suffix.n));
}

static bool mail_under(struct bytes pattern, struct bytes mail)
{
	struct bytes local, domain;

	return split_mail(mail, &local, &domain) && is_local_part(local) &&
	       eq_nocase(domain, skip(pattern, 2));
}

bool policy_ident_match(const struct policy_ident *pattern, const struct policy_ident *id)
{
	/* "Any" means whoever proves an identity; the null identity proves none (RFC 7619). */
	if (pattern->type == 0)
		return id->type != WIRE_ID_NULL;
	if (pattern->type == WIRE_ID_FQDN && begins(pattern->data, "*."))
		return id->type == WIRE_ID_FQDN && fqdn_under(pattern->data, id->data);
	if (pattern->type == WIRE_ID_RFC822 && begins(pattern->data, "*@"))
		return id->type == WIRE_ID_RFC822 && mail_under(pattern->data, id->data);
	return policy_ident_eq(pattern, id);
}

/* ---- hashing ---- */

/* All of it without case: mail addresses that differ only by that share a hash, no more. */
static uint64_t hash_nocase(const uint64_t key[2], struct bytes b)
{
	uint8_t folded[64];
	uint64_t h = 0;

	for (size_t done = 0; done < b.n;) {
		size_t n = b.n - done < sizeof(folded) ? b.n - done : sizeof(folded);

		for (size_t i = 0; i < n; i++)
			folded[i] = lower(b.p[done + i]);
		h = h * 31 + siphash(key, bytes_of(folded, n));
		done += n;
	}
	return h;
}

uint64_t policy_ident_hash(const uint64_t key[2], const struct policy_ident *id)
{
	switch (id->type) {
	case WIRE_ID_FQDN:
	case WIRE_ID_RFC822: return hash_nocase(key, id->data) + id->type;
	case WIRE_ID_DN: return policy_dn_hash(key, id->data) + id->type;
	default: return siphash(key, id->data) + id->type;
	}
}

bool policy_ident_is_pattern(const struct policy_ident *id)
{
	return id->type == 0 || (id->type == WIRE_ID_FQDN && begins(id->data, "*.")) ||
	       (id->type == WIRE_ID_RFC822 && begins(id->data, "*@"));
}
