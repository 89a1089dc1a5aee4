/*
 * redact.c - the text of a configuration without its secrets.
 *
 * Nothing is decoded: tokens are found as the lexer finds them and overwritten where they stand,
 * character by character, so that lines, columns and lengths stay.  What stays of the text is what
 * has a place in it: punctuation, words that are keys or sections, titles of sections, and values
 * of keys that are known and hold no secret.  Everything else is a secret, or a mistake that may be
 * one (a key misspelt, a quote forgotten): it goes.
 */
#include "conf/internal.h"

/* ---- what is put in place ---------------------------------------------------------------- */

/* A stream of numbers that depends on a secret by the key, or zeros without one. */
struct filler {
	bool keyed;
	uint64_t seed[2];
	uint64_t count;
	uint64_t block;
	unsigned left; /* numbers in `block` */
};

static struct filler filler_of(const uint64_t *key, struct bytes secret)
{
	struct filler f = { .keyed = key != NULL };

	if (!key)
		return f;
	f.seed[0] = siphash(key, secret);
	f.seed[1] = siphash((const uint64_t[2]){ ~key[0], key[1] }, secret);
	return f;
}

/* Below 64. */
static unsigned filler_next(struct filler *f)
{
	unsigned v;

	if (!f->keyed)
		return 0;
	if (f->left == 0) {
		f->count++;
		f->block = siphash(f->seed, bytes_of(&f->count, sizeof(f->count)));
		f->left = 10;
	}
	v = f->block & 63;
	f->block >>= 6;
	f->left--;
	return v;
}

/* As value_psk() reads it. */
enum form {
	FORM_TEXT,
	FORM_HEX,
	FORM_BASE64,
};

static enum form form_of(struct bytes s)
{
	if (s.n < 2 || s.p[0] != '0')
		return FORM_TEXT;
	return s.p[1] == 'x' ? FORM_HEX : s.p[1] == 's' ? FORM_BASE64 : FORM_TEXT;
}

/* No '0' in a text: it must not become one of the other forms. */
static uint8_t letter(struct filler *f, enum form form)
{
	static const char text[] = "xabcdefghijklmnopqrstuvwyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789-_.";
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";
	unsigned v = filler_next(f);

	switch (form) {
	case FORM_HEX: return (uint8_t) "0123456789abcdef"[v & 15];
	case FORM_BASE64: return (uint8_t)base64[v];
	case FORM_TEXT: break;
	}
	return (uint8_t)text[v];
}

/* A character of as many bytes; all of these are well-formed. */
static void put_wide(struct filler *f, uint8_t *p, size_t n)
{
	static const uint8_t head[] = { [2] = 0xc3, [3] = 0xe1, [4] = 0xf1 };

	p[0] = head[n];
	for (size_t i = 1; i < n; i++)
		p[i] = (uint8_t)(0x80 | filler_next(f));
}

/* Over one character, an escape counting as one; its length. */
static size_t put_char(struct filler *f, enum form form, bool escapes, uint8_t *p, size_t left)
{
	size_t n = lex_utf8(bytes_of(p, left));

	if (escapes && left > 1 && p[0] == '\\' && p[1] && strchr(LEX_ESCAPES, p[1])) {
		p[1] = (uint8_t) "\\\"nt"[filler_next(f) & 3];
		return 2;
	}
	if (n > 1) {
		put_wide(f, p, n);
		return n;
	}
	*p = letter(f, form);
	return 1;
}

/* Behind the head of a form nothing but the padding stays; where there is some, bits of the last
 * digit are left over, and have to be zero. */
static void fill_secret(const uint64_t *key, bool escapes, uint8_t *p, size_t n)
{
	struct filler f = filler_of(key, bytes_of(p, n));
	enum form form = form_of(bytes_of(p, n));
	size_t i = form == FORM_TEXT ? 0 : 2, end = n;

	while (form == FORM_BASE64 && end > i && p[end - 1] == '=')
		end--;
	while (i < end)
		i += put_char(&f, form, escapes, p + i, end - i);
	if (form == FORM_BASE64 && end < n && end > 2)
		p[end - 1] = 'A';
}

static void fill(uint8_t c, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = c;
}

/* ---- tokens ------------------------------------------------------------------------------ */

struct scanner {
	uint8_t *p;
	size_t n;
	size_t at;
};

/* `p` is what may go: of a string that what is between the quotes. */
struct span {
	enum token_kind kind;
	uint8_t *p;
	size_t n;
};

static bool at_newline(const struct scanner *s, size_t at)
{
	return s->p[at] == '\n' || (s->p[at] == '\r' && at + 1 < s->n && s->p[at + 1] == '\n');
}

/* Over blanks, comments, and bytes that are no part of anything; the last two are overwritten. */
static void skip_blank(struct scanner *s)
{
	bool comment = false;

	for (; s->at < s->n && !at_newline(s, s->at); s->at++) {
		uint8_t *c = &s->p[s->at];

		if (comment)
			*c = 'x';
		else if (*c == '#')
			comment = true;
		else if (*c > 0x20 && *c < 0x7f)
			return;
		else if (*c != '\t')
			*c = ' ';
	}
}

static void scan_word(struct scanner *s, struct span *ret)
{
	ret->p = s->p + s->at;
	while (s->at < s->n && lex_is_word(s->p[s->at]))
		s->at++;
	ret->n = (size_t)(s->p + s->at - ret->p);
}

static void scan_string(struct scanner *s, struct span *ret)
{
	s->at++;
	ret->p = s->p + s->at;
	while (s->at < s->n && s->p[s->at] != '"' && !at_newline(s, s->at)) {
		uint8_t next = s->at + 1 < s->n ? s->p[s->at + 1] : 0;

		s->at += s->p[s->at] == '\\' && next && strchr(LEX_ESCAPES, next) ? 2 : 1;
	}
	ret->n = (size_t)(s->p + s->at - ret->p);
	if (s->at < s->n && s->p[s->at] == '"')
		s->at++;
}

static enum token_kind punctuation(uint8_t c)
{
	switch (c) {
	case '=': return TOK_EQUAL;
	case '{': return TOK_OPEN;
	case '}': return TOK_CLOSE;
	case ',': return TOK_COMMA;
	case ';': return TOK_SEMICOLON;
	default: return TOK_NEWLINE;
	}
}

static void scan(struct scanner *s, struct span *ret)
{
	skip_blank(s);
	*ret = (struct span){ .kind = TOK_END };
	if (s->at >= s->n)
		return;
	if (s->p[s->at] == '"') {
		ret->kind = TOK_STRING;
		scan_string(s, ret);
	} else if (lex_is_word(s->p[s->at])) {
		ret->kind = TOK_WORD;
		scan_word(s, ret);
	} else {
		ret->kind = punctuation(s->p[s->at]);
		s->at += s->p[s->at] == '\r' ? 2 : 1;
	}
}

/* ---- what stays -------------------------------------------------------------------------- */

/* Where in the grammar of read.c. */
enum place {
	AT_ITEM,
	AT_KEY, /* behind it */
	AT_SECTION, /* behind its word */
	AT_TITLE, /* behind it */
	AT_VALUE,
	AT_LIST,
	AT_END, /* behind a value that stays: another entry may follow in the same line */
	AT_REST, /* behind a secret, or what makes no sense, up to the end of the entry */
};

struct redactor {
	const uint64_t *key;
	enum place place;
	bool keep; /* the value */
	bool comma; /* in a list: what comes next is an element */
};

/* Whether any scope has a key of that name, and none a secret. */
static bool public_key(struct bytes name)
{
	bool known = false;

	for (int scope = 0; scope < CONF_SCOPES; scope++) {
		size_t row;
		const struct conf_key *k = schema_find((enum conf_scope)scope, name, &row);

		if (k && k->type == CONF_T_SECRET)
			return false;
		known = known || k;
	}
	return known;
}

static bool any_key(struct bytes name)
{
	size_t row;

	for (int scope = 0; scope < CONF_SCOPES; scope++)
		if (schema_find((enum conf_scope)scope, name, &row))
			return true;
	return false;
}

/* True when the token may stay.  At a word or string. */
static bool step_text(struct redactor *r, const struct span *t)
{
	struct bytes s = bytes_of(t->p, t->n);
	bool word = t->kind == TOK_WORD && (any_key(s) || schema_is_section(s));

	switch (r->place) {
	case AT_ITEM:
	case AT_END:
		if (t->kind == TOK_STRING || (r->place == AT_END && !word))
			break;
		r->place = schema_is_section(s) ? AT_SECTION : AT_KEY;
		r->keep = public_key(s);
		return word;
	case AT_SECTION:
		r->place = t->kind == TOK_STRING ? AT_TITLE : AT_REST;
		return t->kind == TOK_STRING;
	case AT_VALUE: r->place = r->keep ? AT_END : AT_REST; return r->keep;
	case AT_LIST:
		r->keep = r->keep && r->comma;
		r->comma = false;
		return r->keep;
	case AT_KEY:
	case AT_TITLE:
	case AT_REST: break;
	}
	r->place = AT_REST;
	return false;
}

static void step_list(struct redactor *r, enum token_kind kind)
{
	if (kind == TOK_COMMA)
		r->comma = true;
	else if (kind != TOK_NEWLINE)
		r->place = kind == TOK_CLOSE && r->keep ? AT_END : AT_REST;
}

static void step_mark(struct redactor *r, enum token_kind kind)
{
	bool head = r->place == AT_KEY || r->place == AT_SECTION;

	if (r->place == AT_LIST) {
		step_list(r, kind);
	} else if (kind == TOK_EQUAL && head) {
		r->keep = r->keep && r->place == AT_KEY;
		r->place = AT_VALUE;
	} else if (kind == TOK_OPEN && r->place == AT_VALUE) {
		r->place = AT_LIST;
		r->comma = true;
	} else if (kind == TOK_OPEN && (r->place == AT_REST || r->place == AT_END)) {
		r->place = AT_REST;
	} else if (kind == TOK_EQUAL || kind == TOK_COMMA) {
		r->place = AT_REST;
	} else if (kind != TOK_NEWLINE || r->place != AT_TITLE) {
		r->place = AT_ITEM;
	}
}

static void redact(const uint64_t *key, uint8_t *text, size_t n)
{
	struct scanner s = { text, n, lex_has_mark(bytes_of(text, n)) ? LEX_MARK : 0 };
	struct redactor r = { .key = key, .place = AT_ITEM };
	struct span t;

	for (scan(&s, &t); t.kind != TOK_END; scan(&s, &t)) {
		if (t.kind != TOK_WORD && t.kind != TOK_STRING)
			step_mark(&r, t.kind);
		else if (step_text(&r, &t))
			continue;
		else if (t.kind == TOK_STRING)
			fill_secret(key, true, t.p, t.n);
		else
			fill('x', t.p, t.n);
	}
}

void conf_redact(uint8_t *text, size_t n)
{
	redact(NULL, text, n);
}

void conf_redact_keyed(const uint64_t key[2], uint8_t *text, size_t n)
{
	redact(key, text, n);
}

void conf_redact_psk_file(const uint64_t key[2], uint8_t *text, size_t n)
{
	struct bytes secret = value_psk_of_file(bytes_of(text, n));

	fill_secret(key, false, text, secret.n);
}
