#include "policy/dn.h"

#define DN_MAX 1024 /* bytes of DER, far above any name seen in the field */
#define DN_MAX_VALUE 255 /* bytes of one value */

enum der_tag {
	DER_OID = 0x06,
	DER_UTF8 = 0x0c,
	DER_PRINTABLE = 0x13,
	DER_T61 = 0x14,
	DER_IA5 = 0x16,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};

struct attribute {
	const char *word;
	uint8_t oid[10];
	uint8_t oid_len;
	uint8_t tag; /* what we write */
};

/* RFC 4519 and RFC 2985 (E); the first word of an OID is the one we print. */
static const struct attribute attributes[] = {
	{ "CN", { 0x55, 4, 3 }, 3, DER_UTF8 },
	{ "C", { 0x55, 4, 6 }, 3, DER_PRINTABLE },
	{ "ST", { 0x55, 4, 8 }, 3, DER_UTF8 },
	{ "L", { 0x55, 4, 7 }, 3, DER_UTF8 },
	{ "O", { 0x55, 4, 10 }, 3, DER_UTF8 },
	{ "OU", { 0x55, 4, 11 }, 3, DER_UTF8 },
	{ "serialNumber", { 0x55, 4, 5 }, 3, DER_PRINTABLE },
	{ "DC", { 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25 }, 10, DER_IA5 },
	{ "E", { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1 }, 9, DER_IA5 },
	{ "emailAddress", { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1 }, 9, DER_IA5 },
};

#define DN_ACCEPTED "accepted: CN C ST L O OU DC E serialNumber, as in \"CN=gw, O=Example\""

/* ---- reading DER ---- */

/* One element; definite lengths of at most two bytes and in the shortest form, as DER wants. */
static uint8_t der_take(struct cur *c, struct bytes *ret_body)
{
	uint8_t tag = cur_u8(c);
	size_t n = cur_u8(c);

	if (n == 0x81) {
		n = cur_u8(c);
		c->err = c->err || n < 0x80;
	} else if (n == 0x82) {
		n = cur_u16(c);
		c->err = c->err || n < 0x100;
	} else if (n >= 0x80) {
		c->err = true;
	}
	*ret_body = cur_take(c, n);
	return tag;
}

static bool der_expect(struct cur *c, uint8_t tag, struct bytes *ret_body)
{
	return der_take(c, ret_body) == tag && !c->err;
}

struct atv {
	struct bytes oid;
	uint8_t tag;
	struct bytes value;
	bool starts_rdn;
};

/* Walks the attributes of a name, RDN by RDN. */
struct dn_walk {
	struct cur name;
	struct cur set;
	bool bad;
};

static struct dn_walk dn_walk(struct bytes der)
{
	struct cur outer = cur_of(der);
	struct dn_walk w = { .bad = false };
	struct bytes body = { NULL, 0 };

	w.bad = !der_expect(&outer, DER_SEQUENCE, &body) || cur_left(&outer) != 0;
	w.name = cur_of(body);
	w.set = cur_of(bytes_of(NULL, 0));
	return w;
}

/* False at the end, and when the rest is no name (then `bad`). */
static bool dn_next(struct dn_walk *w, struct atv *ret)
{
	struct bytes body;
	struct cur atv;

	if (w->bad)
		return false;
	ret->starts_rdn = cur_left(&w->set) == 0;
	if (ret->starts_rdn) {
		if (cur_left(&w->name) == 0)
			return false;
		w->bad = !der_expect(&w->name, DER_SET, &body);
		if (w->bad)
			return false;
		w->set = cur_of(body);
	}
	w->bad = !der_expect(&w->set, DER_SEQUENCE, &body);
	if (w->bad)
		return false;
	atv = cur_of(body);
	w->bad = !der_expect(&atv, DER_OID, &ret->oid);
	if (w->bad)
		return false;
	ret->tag = der_take(&atv, &ret->value);
	w->bad = atv.err || cur_left(&atv) != 0 || ret->oid.n == 0;
	return !w->bad;
}

/* ---- comparison ---- */

static bool is_string(uint8_t tag)
{
	return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_IA5 || tag == DER_T61;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* The next character of a string with blanks trimmed and runs of them made one; 0 at the end is
 * told from a NUL inside by `*at`. */
static bool fold_next(struct bytes b, size_t *at, uint8_t *ret)
{
	size_t begin = *at;
	size_t i = begin;

	while (i < b.n && b.p[i] == ' ')
		i++;
	if (i == b.n) {
		*at = i;
		return false;
	}
	if (i > begin && begin > 0) {
		*at = i;
		*ret = ' ';
		return true;
	}
	*at = i + 1;
	*ret = lower(b.p[i]);
	return true;
}

static bool fold_eq(struct bytes a, struct bytes b)
{
	size_t i = 0;
	size_t k = 0;
	uint8_t x = 0;
	uint8_t y = 0;

	for (;;) {
		bool more = fold_next(a, &i, &x);

		if (more != fold_next(b, &k, &y))
			return false;
		if (!more)
			return true;
		if (x != y)
			return false;
	}
}

static bool atv_eq(const struct atv *a, const struct atv *b)
{
	if (a->starts_rdn != b->starts_rdn || !bytes_eq(a->oid, b->oid))
		return false;
	if (is_string(a->tag) && is_string(b->tag))
		return fold_eq(a->value, b->value);
	return a->tag == b->tag && bytes_eq(a->value, b->value);
}

bool policy_dn_eq(struct bytes a, struct bytes b)
{
	struct dn_walk wa = dn_walk(a);
	struct dn_walk wb = dn_walk(b);
	struct atv x, y;

	for (;;) {
		bool more = dn_next(&wa, &x);

		if (more != dn_next(&wb, &y) || wa.bad || wb.bad)
			return false;
		if (!more)
			return true;
		if (!atv_eq(&x, &y))
			return false;
	}
}

/* A hash over bytes as they come, in blocks. */
struct fold {
	const uint64_t *key;
	uint64_t h;
	uint8_t buf[64];
	size_t n;
};

static void fold_flush(struct fold *f)
{
	f->h = f->h * 31 + siphash(f->key, bytes_of(f->buf, f->n));
	f->n = 0;
}

static void fold_add(struct fold *f, uint8_t c)
{
	if (f->n == sizeof(f->buf))
		fold_flush(f);
	f->buf[f->n++] = c;
}

/* As atv_eq() compares: all string types are one. */
static void fold_atv(struct fold *f, const struct atv *a)
{
	size_t at = 0;
	uint8_t c;

	fold_add(f, a->starts_rdn);
	for (size_t i = 0; i < a->oid.n; i++)
		fold_add(f, a->oid.p[i]);
	fold_add(f, is_string(a->tag) ? DER_UTF8 : a->tag);
	if (!is_string(a->tag)) {
		for (size_t i = 0; i < a->value.n; i++)
			fold_add(f, a->value.p[i]);
		return;
	}
	while (fold_next(a->value, &at, &c))
		fold_add(f, c);
}

uint64_t policy_dn_hash(const uint64_t key[2], struct bytes der)
{
	struct dn_walk w = dn_walk(der);
	struct fold f = { .key = key };
	struct atv a;

	while (dn_next(&w, &a))
		fold_atv(&f, &a);
	fold_flush(&f);
	return w.bad ? siphash(key, der) : f.h;
}

/* ---- DER to text ---- */

static const char *attribute_word(struct bytes oid)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (bytes_eq(bytes_of(attributes[i].oid, attributes[i].oid_len), oid))
			return attributes[i].word;
	return NULL;
}

/* A comma inside a value would read as the next attribute, a blank at its ends would be trimmed. */
static void value_text(struct text *t, struct bytes value)
{
	for (size_t i = 0; i < value.n; i++) {
		bool edge = i == 0 || i + 1 == value.n;

		if (value.p[i] == ',' || value.p[i] == '+' || (edge && value.p[i] == ' '))
			text_add(t, "\\");
		text_quote(t, bytes_of(value.p + i, 1));
	}
}

static void atv_text(struct text *t, const struct atv *a)
{
	const char *word = attribute_word(a->oid);

	if (word) {
		text_add(t, word);
	} else {
		text_add(t, "oid:");
		text_hex(t, a->oid);
	}
	text_add(t, "=");
	if (is_string(a->tag)) {
		value_text(t, a->value);
	} else {
		text_fmt(t, "#%02x:", a->tag);
		text_hex(t, a->value);
	}
}

bool policy_dn_text(struct text *t, struct bytes der)
{
	struct dn_walk w = dn_walk(der);
	const char *sep = "";
	struct atv a;

	while (dn_next(&w, &a))
		;
	if (w.bad)
		return false;
	w = dn_walk(der);
	while (dn_next(&w, &a)) {
		if (*sep)
			text_add(t, a.starts_rdn ? ", " : "+");
		atv_text(t, &a);
		sep = ", ";
	}
	return true;
}

/* ---- text to DER ---- */

static char to_lower(char c)
{
	return (char)lower((uint8_t)c);
}

static bool word_is(const char *word, struct bytes b)
{
	if (strlen(word) != b.n)
		return false;
	for (size_t i = 0; i < b.n; i++)
		if (to_lower(word[i]) != to_lower((char)b.p[i]))
			return false;
	return true;
}

static const struct attribute *attribute_named(struct bytes word)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (word_is(attributes[i].word, word))
			return &attributes[i];
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a value with escapes resolved; moves `*s` on. */
static bool value_char(const char **s, uint8_t *ret)
{
	const char *p = *s;

	if (*p != '\\') {
		*ret = (uint8_t)*p;
		*s = p + 1;
		return true;
	}
	if (p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
		*ret = (uint8_t)(hex_digit(p[2]) << 4 | hex_digit(p[3]));
		*s = p + 4;
		return true;
	}
	if (p[1] == '\0')
		return false;
	*ret = (uint8_t)p[1];
	*s = p + 2;
	return true;
}

/* Up to a comma or the end; blanks at the end go unless escaped. */
static enum status take_value(const char **s, struct text *why, uint8_t *buf, size_t *ret_n)
{
	size_t n = 0;
	size_t solid = 0;

	while (**s == ' ')
		(*s)++;
	while (**s && **s != ',') {
		bool blank = **s == ' ';

		if (n == DN_MAX_VALUE) {
			text_fmt(why, "a value of more than %d bytes", DN_MAX_VALUE);
			return ST_INVAL;
		}
		if (!value_char(s, &buf[n])) {
			text_add(why, "a backslash at the end");
			return ST_INVAL;
		}
		n++;
		if (!blank)
			solid = n;
	}
	*ret_n = solid;
	return ST_OK;
}

static bool is_printable_char(uint8_t c)
{
	static const char others[] = " '()+,-./:=?";

	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
	       (c != 0 && memchr(others, c, sizeof(others) - 1));
}

/* Whether the attribute's string type can hold the value. */
static enum status check_value(const struct attribute *a, struct bytes v, struct text *why)
{
	bool country = strcmp(a->word, "C") == 0; /* two letters of ISO 3166 */
	bool ok = country ? v.n == 2 : v.n > 0;

	for (size_t i = 0; i < v.n; i++) {
		if (a->tag == DER_PRINTABLE)
			ok = ok && is_printable_char(v.p[i]);
		else if (a->tag == DER_IA5)
			ok = ok && v.p[i] < 0x80;
	}
	if (ok)
		return ST_OK;
	text_fmt(why, "not a value for %s: \"", a->word);
	text_quote(why, v);
	text_add(why, "\"");
	return ST_INVAL;
}

/* The length of a header and body of `n` < 65536 bytes. */
static size_t der_len(size_t n)
{
	return n + (n < 0x80 ? 2 : n < 0x100 ? 3 : 4);
}

static void der_head(struct wr *w, uint8_t tag, size_t n)
{
	wr_u8(w, tag);
	if (n >= 0x100) {
		wr_u8(w, 0x82);
		wr_u16(w, (uint16_t)n);
		return;
	}
	if (n >= 0x80)
		wr_u8(w, 0x81);
	wr_u8(w, (uint8_t)n);
}

static void put_rdn(struct wr *w, const struct attribute *a, struct bytes value)
{
	size_t atv = der_len(a->oid_len) + der_len(value.n);

	der_head(w, DER_SET, der_len(atv));
	der_head(w, DER_SEQUENCE, atv);
	der_head(w, DER_OID, a->oid_len);
	wr_put(w, bytes_of(a->oid, a->oid_len));
	der_head(w, a->tag, value.n);
	wr_put(w, value);
}

static enum status take_rdn(const char **s, struct text *why, struct wr *w)
{
	uint8_t value[DN_MAX_VALUE];
	const struct attribute *a;
	struct bytes word;
	enum status st;
	size_t n = 0;

	while (**s == ' ')
		(*s)++;
	word = bytes_of(*s, strcspn(*s, "=,"));
	*s += word.n;
	while (word.n && word.p[word.n - 1] == ' ')
		word.n--;
	a = attribute_named(word);
	if (!a || **s != '=') {
		text_add(why, "not an attribute of a distinguished name: \"");
		text_quote(why, word);
		text_add(why, "\"; " DN_ACCEPTED);
		return ST_INVAL;
	}
	(*s)++;
	st = take_value(s, why, value, &n);
	if (st == ST_OK)
		st = check_value(a, bytes_of(value, n), why);
	if (st == ST_OK)
		put_rdn(w, a, bytes_of(value, n));
	return st;
}

static enum status wrap_name(struct arena *ar, struct bytes rdns, struct bytes *ret_der)
{
	size_t n = der_len(rdns.n);
	uint8_t *p = arena_new(ar, n);
	struct wr w;

	if (!p)
		return ST_NOMEM;
	w = wr_of(p, n);
	der_head(&w, DER_SEQUENCE, rdns.n);
	wr_put(&w, rdns);
	*ret_der = wr_bytes_of(&w);
	return ST_OK;
}

enum status policy_dn_parse(struct arena *ar, const char *s, struct text *why,
			    struct bytes *ret_der)
{
	uint8_t buf[DN_MAX];
	struct wr w = wr_of(buf, sizeof(buf));

	for (;;) {
		enum status st = take_rdn(&s, why, &w);

		if (st != ST_OK)
			return st;
		if (*s == '\0')
			break;
		s++; /* the comma */
	}
	if (w.err) {
		text_fmt(why, "a distinguished name of more than %d bytes", DN_MAX);
		return ST_INVAL;
	}
	return wrap_name(ar, wr_bytes_of(&w), ret_der);
}
