/*
 * value.c - the right side of an entry becomes the typed member of the configuration that the
 * key's row names.  A wrong value is reported and leaves the member as it was, but with its
 * position, so that nobody complains about a missing key as well.
 */
#include "conf/internal.h"

struct setter {
	struct arena *ar;
	struct conf_errors *errs;
	const struct conf_key *k;
};

enum {
	SHOWN_MAX = 80, /* bytes of a wrong value in a message */
	WHY_MAX = 640,
	NAME_MAX_LEN = 15, /* IFNAMSIZ less its terminator */
	USER_MAX_LEN = 31, /* UT_NAMESIZE less a terminator */
	PATH_MAX_LEN = 4095,
};

/* ---- messages ---- */

static void refuse(struct setter *st, struct conf_pos at, const char *what)
{
	char wants[WHY_MAX];
	struct text t = TEXT_OF(wants);

	schema_wants(st->k, &t);
	conf_error_add(st->errs, at, "%s %s, accepted: %s", st->k->name, what, wants);
}

/* With the value, unless that is a secret. */
static void refuse_value(struct setter *st, const struct token *tok, const char *what)
{
	char shown[SHOWN_MAX + 32];
	struct text t = TEXT_OF(shown);
	struct bytes s = tok->s;

	if (st->k->type == CONF_T_SECRET) {
		refuse(st, tok->at, what);
		return;
	}
	if (s.n > SHOWN_MAX / 4)
		s.n = SHOWN_MAX / 4;
	text_add(&t, "\"");
	text_quote(&t, s);
	text_fmt(&t, "%s\" %s", s.n < tok->s.n ? "..." : "", what);
	refuse(st, tok->at, shown);
}

/* ---- scalars ---- */

static const char *str(const struct token *tok)
{
	return (const char *)tok->s.p;
}

static bool is_path(const struct setter *st, const struct token *tok)
{
	size_t max = st->k->max ? (size_t)st->k->max : PATH_MAX_LEN;

	return tok->s.n > 0 && tok->s.p[0] == '/' && tok->s.n <= max;
}

static enum status set_path(struct setter *st, const struct value *v, void *dst)
{
	struct conf_text *d = dst;

	if (is_path(st, &v->elem[0]))
		d->s = str(&v->elem[0]);
	else if (v->elem[0].s.n > 1 && v->elem[0].s.p[0] == '/')
		refuse_value(st, &v->elem[0], "is too long");
	else
		refuse_value(st, &v->elem[0], "is no absolute path");
	return ST_OK;
}

/* What the kernel takes: dev_valid_name(). */
static enum status set_name(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_text *d = dst;
	bool ok = tok->s.n > 0 && tok->s.n <= NAME_MAX_LEN && strcmp(str(tok), ".") != 0 &&
		  strcmp(str(tok), "..") != 0;

	for (size_t i = 0; ok && i < tok->s.n; i++)
		ok = tok->s.p[i] > 0x20 && tok->s.p[i] < 0x7f && !strchr("/:%", tok->s.p[i]);
	if (ok)
		d->s = str(tok);
	else
		refuse_value(st, tok, "is no name of a device");
	return ST_OK;
}

/* What useradd(8) takes. */
static enum status set_user(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_text *d = dst;
	bool ok = tok->s.n > 0 && tok->s.n <= USER_MAX_LEN;

	for (size_t i = 0; ok && i < tok->s.n; i++) {
		uint8_t c = tok->s.p[i];

		ok = (c >= 'a' && c <= 'z') || c == '_' ||
		     (i > 0 && ((c >= '0' && c <= '9') || c == '-'));
	}
	if (ok)
		d->s = str(tok);
	else
		refuse_value(st, tok, "is no name of a user");
	return ST_OK;
}

static enum status set_text(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_text *d = dst;
	bool ok = tok->s.n > 0 && tok->s.n <= (size_t)st->k->max;

	for (size_t i = 0; ok && i < tok->s.n; i++)
		ok = tok->s.p[i] >= 0x20 && tok->s.p[i] < 0x7f;
	if (ok)
		d->s = str(tok);
	else
		refuse_value(st, tok, "is too long, empty or not printable");
	return ST_OK;
}

/* Leading digits; the rest of the word is left in `*ret_unit`. */
static bool digits(struct bytes s, int64_t *ret_n, struct bytes *ret_unit)
{
	int64_t n = 0;
	size_t i = 0;

	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, s.p[i] - '0', &n))
			return false;
	*ret_n = n;
	*ret_unit = bytes_of(s.p + i, s.n - i);
	return i > 0;
}

static bool in_range(const struct conf_key *k, int64_t n)
{
	return (n >= k->min && n <= k->max) || (k->zero && n == 0);
}

static enum status set_num(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_num *d = dst;
	struct bytes unit;
	int64_t n;

	if (!digits(tok->s, &n, &unit) || unit.n > 0)
		refuse_value(st, tok, "is no number");
	else if (!in_range(st->k, n))
		refuse_value(st, tok, "is out of range");
	else
		d->v = (uint32_t)n;
	return ST_OK;
}

static unsigned unit_shift(struct bytes unit)
{
	static const char names[] = "KMGT";
	const char *p = unit.n == 1 ? memchr(names, unit.p[0], sizeof(names) - 1) : NULL;

	return p ? 10 * (unsigned)(p - names + 1) : 0;
}

static enum status set_count(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_count *d = dst;
	struct bytes unit;
	int64_t n;

	if (!digits(tok->s, &n, &unit) || (unit.n > 0 && unit_shift(unit) == 0))
		refuse_value(st, tok, "is no number");
	else if (__builtin_mul_overflow(n, (int64_t)1 << unit_shift(unit), &n) ||
		 !in_range(st->k, n))
		refuse_value(st, tok, "is out of range");
	else
		d->v = (uint64_t)n;
	return ST_OK;
}

static int64_t unit_ms(struct bytes unit)
{
	static const struct {
		const char *name;
		int64_t ms;
	} row[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (bytes_eq(unit, bytes_str(row[i].name)))
			return row[i].ms;
	return 0;
}

static enum status set_dur(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_dur *d = dst;
	struct bytes unit;
	int64_t n;

	if (!digits(tok->s, &n, &unit))
		refuse_value(st, tok, "is no duration");
	else if (unit_ms(unit) == 0)
		refuse_value(st, tok, unit.n ? "has an unknown unit" : "lacks a unit");
	else if (__builtin_mul_overflow(n, unit_ms(unit), &n) || !in_range(st->k, n))
		refuse_value(st, tok, "is out of range");
	else
		d->v = dur_ms(n);
	return ST_OK;
}

static enum status set_word(struct setter *st, const struct value *v, void *dst)
{
	struct conf_word *d = dst;

	for (int i = 0; st->k->words[i]; i++) {
		if (!bytes_eq(v->elem[0].s, bytes_str(st->k->words[i])))
			continue;
		d->v = i;
		return ST_OK;
	}
	refuse_value(st, &v->elem[0], "is unknown");
	return ST_OK;
}

/* Arena exhaustion apart, a parser of module policy says ST_INVAL and why. */
static enum status complain(struct setter *st, const struct token *tok, enum status got,
			    const char *why)
{
	if (got == ST_NOMEM)
		return ST_NOMEM;
	conf_error_add(st->errs, tok->at, "%s: %s", st->k->name, why);
	return ST_OK;
}

static enum status set_ident(struct setter *st, const struct value *v, void *dst)
{
	const struct token *tok = &v->elem[0];
	struct conf_ident *d = dst;
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status got =
		policy_ident_parse(st->ar, str(tok), st->k->type == CONF_T_PATTERN, &why, &d->id);

	if (got != ST_OK)
		return complain(st, tok, got, buf);
	d->text = (struct conf_text){ str(tok), tok->at };
	return ST_OK;
}

/* ---- secrets ---- */

static enum status set_secret(struct setter *st, const struct value *v, void *dst)
{
	struct conf_secret *d = dst;
	const char *why = "";
	enum status got = value_psk(st->ar, v->elem[0].s, &d->b, &why);

	if (got == ST_INVAL)
		refuse_value(st, &v->elem[0], why);
	return got == ST_NOMEM ? ST_NOMEM : ST_OK;
}

/* ---- lists ---- */

/* The texts of a list. */
static enum status set_texts(struct setter *st, const struct value *v, struct conf_list *d)
{
	struct conf_text *t = arena_new(st->ar, v->n * sizeof(*t));

	if (!t)
		return ST_NOMEM;
	for (size_t i = 0; i < v->n; i++)
		t[i] = (struct conf_text){ str(&v->elem[i]), v->elem[i].at };
	d->v = t;
	d->n = v->n;
	return ST_OK;
}

/* Reports an element that is equal to an earlier one. */
static bool repeated(struct setter *st, const struct value *v, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (!bytes_eq(v->elem[j].s, v->elem[i].s))
			continue;
		refuse_value(st, &v->elem[i], "stands twice in the list");
		return true;
	}
	return false;
}

static bool is_ip(const struct token *tok)
{
	struct ip ip;

	return ip_parse(str(tok), &ip) == ST_OK;
}

static bool good_element(struct setter *st, const struct token *tok)
{
	switch (st->k->type) {
	case CONF_T_ADDRS: return is_ip(tok);
	case CONF_T_HOSTS: return is_ip(tok) || host_name_ok(tok->s);
	case CONF_T_DOMAINS: return host_name_ok(tok->s);
	default: return is_path(st, tok);
	}
}

static enum status set_list(struct setter *st, const struct value *v, void *dst)
{
	bool ok = true;

	for (size_t i = 0; i < v->n; i++) {
		if (!good_element(st, &v->elem[i])) {
			refuse_value(st, &v->elem[i], "is none");
			ok = false;
		} else if (repeated(st, v, i)) {
			ok = false;
		}
	}
	return ok ? set_texts(st, v, dst) : ST_OK;
}

static bool all_protocols(const struct wire_ts *ts)
{
	return ts->proto == 0 && ts->port_start == 0 && ts->port_end == UINT16_MAX;
}

static enum status set_ts(struct setter *st, const struct value *v, void *dst)
{
	struct wire_ts *ts = arena_new(st->ar, v->n * sizeof(*ts));
	struct conf_ts *d = dst;
	bool ok = true;

	if (!ts)
		return ST_NOMEM;
	for (size_t i = 0; i < v->n; i++) {
		char buf[WHY_MAX];
		struct text why = TEXT_OF(buf);
		enum status got = policy_ts_parse(str(&v->elem[i]), &why, &ts[i]);

		if (got != ST_OK && complain(st, &v->elem[i], got, buf))
			return ST_NOMEM;
		if (got == ST_OK && st->k->type == CONF_T_RANGES && !all_protocols(&ts[i])) {
			refuse_value(st, &v->elem[i], "has a protocol");
			ok = false;
		}
		ok = !repeated(st, v, i) && ok && got == ST_OK;
	}
	if (!ok)
		return ST_OK;
	d->ts = (struct wire_ts_list){ .ts = ts, .n = v->n };
	return set_texts(st, v, &d->list);
}

/* A word, or an address of each family. */
static enum status set_virtual(struct setter *st, const struct value *v, void *dst)
{
	struct conf_virtual *d = dst;
	bool ask = v->n == 1 && bytes_eq(v->elem[0].s, bytes_str("ask"));
	bool no = v->n == 1 && bytes_eq(v->elem[0].s, bytes_str("no"));

	*d = (struct conf_virtual){ .ask = ask, .list.at = v->at };
	for (size_t i = 0; !ask && !no && i < v->n; i++) {
		struct ip ip = { 0 }, *want;

		if (v->elem[i].kind != TOK_STRING || ip_parse(str(&v->elem[i]), &ip) != ST_OK) {
			refuse_value(st, &v->elem[i], "is none");
			return ST_OK;
		}
		want = &d->want[ip.family == 6];
		if (want->family) {
			refuse_value(st, &v->elem[i], "is a second address of its family");
			return ST_OK;
		}
		*want = ip;
		d->ask = true;
	}
	return set_texts(st, v, &d->list);
}

/* Networks are made of prefixes: who may have one is decided prefix by prefix, whatever the
 * protocol. */
static enum status set_prefixes(struct setter *st, const struct value *v, void *dst)
{
	struct wire_ts *ts = arena_new(st->ar, v->n * sizeof(*ts));
	struct conf_ts *d = dst;
	bool ok = true;

	if (!ts)
		return ST_NOMEM;
	for (size_t i = 0; i < v->n; i++) {
		struct prefix p = { 0 };
		bool good = prefix_parse(str(&v->elem[i]), &p) == ST_OK;

		if (!good)
			refuse_value(st, &v->elem[i], "is no prefix");
		ts[i] = (struct wire_ts){ .port_end = 65535,
					  .start = prefix_first(&p),
					  .end = prefix_last(&p) };
		ok = !(good && repeated(st, v, i)) && ok && good;
	}
	if (!ok)
		return ST_OK;
	d->ts = (struct wire_ts_list){ .ts = ts, .n = v->n };
	return set_texts(st, v, &d->list);
}

static enum status set_proposals(struct setter *st, const struct value *v, void *dst)
{
	uint8_t proto = st->k->type == CONF_T_IKE ? WIRE_PROTO_IKE : WIRE_PROTO_ESP;
	struct wire_proposal *p = arena_new(st->ar, v->n * sizeof(*p));
	struct conf_proposals *d = dst;
	bool ok = true;

	if (!p)
		return ST_NOMEM;
	if (v->n > WIRE_MAX_PROPOSALS) {
		refuse(st, v->at, "has more proposals than a message may");
		return ST_OK;
	}
	for (size_t i = 0; i < v->n; i++) {
		char buf[WHY_MAX];
		struct text why = TEXT_OF(buf);
		enum status got =
			policy_proposal_parse(st->ar, proto, str(&v->elem[i]), &why, &p[i]);

		if (got != ST_OK && complain(st, &v->elem[i], got, buf))
			return ST_NOMEM;
		p[i].number = (uint8_t)(i + 1);
		ok = !repeated(st, v, i) && ok && got == ST_OK;
	}
	if (!ok)
		return ST_OK;
	d->sa = (struct wire_sa){ p, v->n };
	return set_texts(st, v, &d->list);
}

static enum status set_patterns(struct setter *st, const struct value *v, void *dst)
{
	struct policy_ident *id = arena_new(st->ar, v->n * sizeof(*id));
	struct conf_idents *d = dst;
	bool ok = true;

	if (!id)
		return ST_NOMEM;
	for (size_t i = 0; i < v->n; i++) {
		char buf[WHY_MAX];
		struct text why = TEXT_OF(buf);
		enum status got = policy_ident_parse(st->ar, str(&v->elem[i]), true, &why, &id[i]);

		if (got != ST_OK && complain(st, &v->elem[i], got, buf))
			return ST_NOMEM;
		ok = !repeated(st, v, i) && ok && got == ST_OK;
	}
	if (!ok)
		return ST_OK;
	d->id = id;
	return set_texts(st, v, &d->list);
}

/* Whose they are is known when the whole file is. */
static enum status set_groups(struct setter *st, const struct value *v, void *dst)
{
	if (v->n > 2) {
		refuse_value(st, &v->elem[2], "is one too many");
		return ST_OK;
	}
	return v->n == 2 && repeated(st, v, 1) ? ST_OK : set_texts(st, v, dst);
}

/* ---- by type ---- */

struct type_row {
	enum token_kind kind; /* of a value, or of the elements of a list */
	bool list;
	size_t at; /* of the member's position */
	enum status (*set)(struct setter *st, const struct value *v, void *dst);
	bool either; /* words and strings */
};

static const struct type_row type_rows[CONF_TYPES] = {
	[CONF_T_PATH] = { TOK_STRING, false, offsetof(struct conf_text, at), set_path, false },
	[CONF_T_NAME] = { TOK_STRING, false, offsetof(struct conf_text, at), set_name, false },
	[CONF_T_USER] = { TOK_STRING, false, offsetof(struct conf_text, at), set_user, false },
	[CONF_T_TEXT] = { TOK_STRING, false, offsetof(struct conf_text, at), set_text, false },
	[CONF_T_COUNT] = { TOK_WORD, false, offsetof(struct conf_count, at), set_count, false },
	[CONF_T_NUM] = { TOK_WORD, false, offsetof(struct conf_num, at), set_num, false },
	[CONF_T_DUR] = { TOK_WORD, false, offsetof(struct conf_dur, at), set_dur, false },
	[CONF_T_WORD] = { TOK_WORD, false, offsetof(struct conf_word, at), set_word, false },
	[CONF_T_ADDRS] = { TOK_STRING, true, offsetof(struct conf_list, at), set_list, false },
	[CONF_T_HOSTS] = { TOK_STRING, true, offsetof(struct conf_list, at), set_list, false },
	[CONF_T_PATHS] = { TOK_STRING, true, offsetof(struct conf_list, at), set_list, false },
	[CONF_T_IDENT] = { TOK_STRING, false, offsetof(struct conf_ident, text.at), set_ident,
			   false },
	[CONF_T_PATTERN] = { TOK_STRING, false, offsetof(struct conf_ident, text.at), set_ident,
			     false },
	[CONF_T_PATTERNS] = { TOK_STRING, true, offsetof(struct conf_idents, list.at), set_patterns,
			      false },
	[CONF_T_GROUPS] = { TOK_STRING, true, offsetof(struct conf_list, at), set_groups, false },
	[CONF_T_SECRET] = { TOK_STRING, false, offsetof(struct conf_secret, at), set_secret,
			    false },
	[CONF_T_TS] = { TOK_STRING, true, offsetof(struct conf_ts, list.at), set_ts, false },
	[CONF_T_PREFIXES] = { TOK_STRING, true, offsetof(struct conf_ts, list.at), set_prefixes,
			      false },
	[CONF_T_RANGES] = { TOK_STRING, true, offsetof(struct conf_ts, list.at), set_ts, false },
	[CONF_T_DOMAINS] = { TOK_STRING, true, offsetof(struct conf_list, at), set_list, false },
	[CONF_T_VIRTUAL] = { TOK_STRING, true, offsetof(struct conf_virtual, list.at), set_virtual,
			     true },
	[CONF_T_IKE] = { TOK_STRING, true, offsetof(struct conf_proposals, list.at), set_proposals,
			 false },
	[CONF_T_ESP] = { TOK_STRING, true, offsetof(struct conf_proposals, list.at), set_proposals,
			 false },
};

/* Shape and token kinds; every element that is wrong is reported. */
static bool right_shape(struct setter *st, const struct type_row *row, const struct value *v)
{
	bool ok = true;

	if (v->list && !row->list)
		refuse(st, v->at, "takes one value, not a list");
	else if (v->n == 0)
		refuse(st, v->at, "is an empty list");
	if ((v->list && !row->list) || v->n == 0)
		return false;
	for (size_t i = 0; i < v->n; i++) {
		if (v->elem[i].kind != row->kind && !row->either)
			refuse(st, v->elem[i].at,
			       row->kind == TOK_STRING ? "wants a string in double quotes"
						       : "wants a word without quotes");
		ok = ok && (row->either || v->elem[i].kind == row->kind) && !v->elem[i].bad;
	}
	return ok;
}

enum status value_set(struct arena *ar, struct conf_errors *errs, const struct conf_key *k,
		      const struct value *v, void *base)
{
	struct setter st = { ar, errs, k };
	const struct type_row *row = &type_rows[k->type];
	uint8_t *dst = (uint8_t *)base + k->offset;

	memcpy(dst + row->at, &v->at, sizeof(v->at));
	if (k->type == CONF_T_WORD)
		((struct conf_word *)(void *)dst)->v = CONF_NO_WORD;
	return right_shape(&st, row, v) ? row->set(&st, v, dst) : ST_OK;
}

struct conf_pos value_pos(const struct conf_key *k, const void *base)
{
	struct conf_pos at;

	memcpy(&at, (const uint8_t *)base + k->offset + type_rows[k->type].at, sizeof(at));
	return at;
}

/* Reads the text of a default: a word, a string, or a list of strings. */
static void default_value(struct lexer *lx, struct value *ret)
{
	struct token tok;

	*ret = (struct value){ 0 };
	for (lex_next(lx, &tok); tok.kind != TOK_END; lex_next(lx, &tok)) {
		if (tok.kind == TOK_OPEN)
			ret->list = true;
		if (tok.kind != TOK_WORD && tok.kind != TOK_STRING)
			continue;
		tok.at = ret->at;
		ret->elem[ret->n++] = tok;
	}
}

enum status value_defaults(struct arena *ar, struct conf_errors *errs, enum conf_scope scope,
			   struct value *scratch, void *base)
{
	for (size_t i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];
		enum status st;
		struct lexer lx;

		if (k->scope != scope || !k->def)
			continue;
		lex_init(&lx, bytes_str(k->def), ar, errs);
		default_value(&lx, scratch);
		st = lx.nomem ? ST_NOMEM : value_set(ar, errs, k, scratch, base);
		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status value_default_proposals(struct arena *ar, uint8_t proto, struct conf_proposals *ret)
{
	const char *const *names = policy_default_proposals(proto);
	struct wire_proposal *p;
	struct conf_text *texts;
	size_t n = 0;

	while (names[n])
		n++;
	p = arena_new(ar, n * sizeof(*p));
	texts = arena_new(ar, n * sizeof(*texts));
	if (!p || !texts)
		return ST_NOMEM;
	for (size_t i = 0; i < n; i++) {
		char buf[WHY_MAX];
		struct text why = TEXT_OF(buf);
		enum status st = policy_proposal_parse(ar, proto, names[i], &why, &p[i]);

		if (st != ST_OK)
			return st == ST_NOMEM ? ST_NOMEM : ST_BUG;
		p[i].number = (uint8_t)(i + 1);
		texts[i].s = names[i];
	}
	ret->sa = (struct wire_sa){ p, n };
	ret->list = (struct conf_list){ .v = texts, .n = n };
	return ST_OK;
}
