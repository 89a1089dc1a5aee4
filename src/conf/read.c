/*
 * read.c - the grammar:
 *
 *	file    = { entry | section | newline }
 *	section = word string "{" { entry | newline } "}"
 *	entry   = word "=" value ( newline | ";" )		before "}" nothing is needed
 *	value   = word | string | "{" [ element { "," element } [ "," ] ] "}"
 *
 * Newlines inside a list do not count.  There is no recursion: sections do not nest, and what is
 * skipped after an error is skipped by counting braces.  A `peer` inside a peer is taken for a
 * forgotten "}", which is what it is in the field: one error instead of as many as there are lines
 * below.
 */
#include "conf/internal.h"

enum {
	NAME_MAX_LEN = 63,
	WORD_SHOWN_MAX = 40,
};

/* What is being read: the top level, and a peer inside it. */
struct place {
	struct scope_state top;
	struct scope_state peer;
	struct scope_state *in; /* one of them */
	unsigned closed; /* peers closed for want of a "}" */
};

static void next(struct reader *r)
{
	lex_next(&r->lx, &r->tok);
	if (r->lx.nomem)
		r->nomem = true;
}

/* A word of the file for a message: never one that may be a secret. */
static const char *shown(const struct token *tok, char buf[static WORD_SHOWN_MAX])
{
	struct text t = { buf, 0, WORD_SHOWN_MAX };

	buf[0] = '\0';
	text_quote(&t, tok->s);
	return buf;
}

static bool ends_entry(enum token_kind k)
{
	return k == TOK_NEWLINE || k == TOK_SEMICOLON || k == TOK_CLOSE || k == TOK_END;
}

/* To the end of an entry, over whatever braces it opens. */
static void skip_entry(struct reader *r)
{
	unsigned depth = 0;

	while (r->tok.kind != TOK_END && !r->nomem) {
		if (depth == 0 && ends_entry(r->tok.kind))
			return;
		if (r->tok.kind == TOK_OPEN)
			depth++;
		if (r->tok.kind == TOK_CLOSE)
			depth--;
		next(r);
	}
}

/* From behind a "{" to behind its "}". */
static void skip_block(struct reader *r, const struct token *opened)
{
	for (unsigned depth = 1; depth > 0 && !r->nomem; next(r)) {
		if (r->tok.kind == TOK_END) {
			conf_error_add(
				r->errs, r->tok.at,
				"the file ends inside the section of line %u, whose \"}\" is "
				"missing",
				opened->at.line);
			return;
		}
		if (r->tok.kind == TOK_OPEN)
			depth++;
		if (r->tok.kind == TOK_CLOSE)
			depth--;
	}
}

/* ---- values ---- */

static void add_element(struct reader *r, struct value *v)
{
	if (v->n < CONF_LIST_MAX) {
		v->elem[v->n++] = r->tok;
	} else if (!v->cut) {
		conf_error_add(r->errs, r->tok.at, "a list has at most %d elements", CONF_LIST_MAX);
		v->cut = true;
	}
	next(r);
}

static void skip_newlines(struct reader *r)
{
	while (r->tok.kind == TOK_NEWLINE)
		next(r);
}

static bool is_element(const struct token *tok)
{
	return tok->kind == TOK_WORD || tok->kind == TOK_STRING;
}

/* At what is no part of a list. */
static bool bad_list(struct reader *r, const struct value *v, const char *wanted)
{
	if (r->tok.kind == TOK_END)
		conf_error_add(r->errs, r->tok.at,
			       "the file ends inside the list of line %u, whose \"}\" is missing",
			       v->at.line);
	else
		conf_error_add(r->errs, r->tok.at, "%s in the list of line %u, expected %s",
			       token_name(r->tok.kind), v->at.line, wanted);
	return false;
}

/* From behind the "{"; false after a syntax error, which is where the token is. */
static bool read_list(struct reader *r, struct value *v)
{
	v->list = true;
	for (;;) {
		skip_newlines(r);
		if (r->tok.kind == TOK_CLOSE)
			break;
		if (!is_element(&r->tok))
			return bad_list(r, v, "an element or \"}\"");
		add_element(r, v);
		skip_newlines(r);
		if (r->tok.kind == TOK_COMMA)
			next(r);
		else if (r->tok.kind != TOK_CLOSE)
			return bad_list(r, v, "\",\" or \"}\"");
	}
	next(r);
	return true;
}

static bool read_value(struct reader *r, const struct token *name, struct value *v)
{
	char buf[WORD_SHOWN_MAX];

	v->at = r->tok.at;
	v->list = v->cut = false;
	v->n = 0;
	if (r->tok.kind == TOK_OPEN) {
		next(r);
		return read_list(r, v);
	}
	if (is_element(&r->tok)) {
		add_element(r, v);
		return true;
	}
	conf_error_add(r->errs, r->tok.at, "%s where the value of %s was expected",
		       token_name(r->tok.kind), shown(name, buf));
	return false;
}

/* ---- entries ---- */

static const struct conf_key *known_key(struct reader *r, const struct place *pl,
					const struct token *name, size_t *ret_row)
{
	const struct conf_key *k = schema_find(pl->in->scope, name->s, ret_row);
	char buf[WORD_SHOWN_MAX], known[640];
	struct text t = TEXT_OF(known);

	if (k)
		return k;
	schema_names(pl->in->scope, &t);
	conf_error_add(r->errs, name->at, "unknown key \"%s\", known here: %s%s", shown(name, buf),
		       known,
		       pl->in->scope == CONF_TOP ? ", and sections peer \"name\" { ... }" : "");
	return NULL;
}

static void assign(struct reader *r, struct place *pl, const struct conf_key *k, size_t row,
		   const struct token *name, const struct value *v)
{
	struct conf_pos *seen = &pl->in->seen[row];

	if (seen->line) {
		conf_error_add(r->errs, name->at,
			       "%s is given a second time, the first is in line %u", k->name,
			       seen->line);
		return;
	}
	*seen = name->at;
	if (value_set(&r->conf->ar, r->errs, k, v, pl->in->base))
		r->nomem = true;
}

/* What follows a whole value may be half of a secret that lacks its quotes. */
static void read_entry_end(struct reader *r, const struct conf_key *k)
{
	char buf[WORD_SHOWN_MAX], what[WORD_SHOWN_MAX + 4];
	struct text t = TEXT_OF(what);

	if (ends_entry(r->tok.kind))
		return;
	if (k && k->type != CONF_T_SECRET && r->tok.kind == TOK_WORD)
		text_fmt(&t, "\"%s\"", shown(&r->tok, buf));
	else
		text_add(&t, token_name(r->tok.kind));
	conf_error_add(r->errs, r->tok.at,
		       "%s after the value%s%s, expected the end of the line or \";\"", what,
		       k ? " of " : "", k ? k->name : "");
	skip_entry(r);
}

/* At the "=". */
static void read_entry(struct reader *r, struct place *pl, const struct token *name)
{
	const struct conf_key *k;
	size_t row = 0;
	bool whole;

	next(r);
	k = known_key(r, pl, name, &row);
	whole = read_value(r, name, &r->value);
	if (k && whole)
		assign(r, pl, k, row, name, &r->value);
	else if (k && !pl->in->seen[row].line)
		pl->in->seen[row] = name->at;
	if (whole)
		read_entry_end(r, k);
	else
		skip_entry(r);
}

/* ---- sections ---- */

struct peer_node {
	struct map_node node;
	const struct conf_peer *peer;
};

static bool same_name(const struct map_node *node, const void *key)
{
	const struct peer_node *n = CONTAINER_OF(node, const struct peer_node, node);

	return strcmp(n->peer->name, key) == 0;
}

/* Names go into log lines and terminals. */
static bool good_name(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= NAME_MAX_LEN;
}

static void check_name(struct reader *r, const struct token *title)
{
	const char *name = (const char *)title->s.p;
	struct map_node *n;

	if (title->bad)
		return;
	if (!good_name(title->s)) {
		conf_error_add(r->errs, title->at,
			       "a peer's name has 1 to %d bytes and no control characters",
			       NAME_MAX_LEN);
		return;
	}
	n = map_find(&r->peers, map_hash(&r->peers, title->s), same_name, name);
	if (n)
		conf_error_add(r->errs, title->at,
			       "peer \"%s\" is defined a second time, the first "
			       "is in line %u",
			       name, CONTAINER_OF(n, struct peer_node, node)->peer->at.line);
}

static void begin_peer(struct reader *r, struct place *pl, const struct token *title)
{
	struct conf_peer *p = arena_new(&r->conf->ar, sizeof(*p));
	struct peer_node *n = arena_new(&r->conf->ar, sizeof(*n));

	if (!p || !n) {
		r->nomem = true;
		return;
	}
	check_name(r, title);
	*p = *r->template;
	p->name = title->bad ? "" : (const char *)title->s.p;
	p->at = title->at;
	*r->tail = p;
	r->tail = &p->next;
	r->conf->n_peers++;
	n->peer = p;
	map_insert(&r->peers, &n->node, map_hash(&r->peers, bytes_str(p->name)));
	pl->peer = (struct scope_state){ .scope = CONF_PEER, .base = p };
	pl->in = &pl->peer;
}

/* Required keys. */
static void end_peer(struct reader *r, struct place *pl)
{
	const struct conf_peer *p = pl->peer.base;
	size_t row = 0;

	for (size_t i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];

		if (k->scope != CONF_PEER)
			continue;
		if (k->required && !pl->peer.seen[row].line)
			conf_error_add(r->errs, p->at, "peer \"%s\" lacks %s, %s", p->name, k->name,
				       k->doc);
		row++;
	}
	pl->in = &pl->top;
}

static void read_unknown_section(struct reader *r, const struct place *pl, const struct token *kind)
{
	char buf[WORD_SHOWN_MAX];
	size_t row;

	if (schema_find(pl->in->scope, kind->s, &row))
		conf_error_add(r->errs, kind->at, "%s is a key, expected \"=\" after it",
			       shown(kind, buf));
	else
		conf_error_add(r->errs, kind->at,
			       "unknown section \"%s\", known: peer \"name\" { ... }",
			       shown(kind, buf));
	if (r->tok.kind == TOK_STRING)
		next(r);
	if (r->tok.kind != TOK_OPEN) {
		skip_entry(r);
		return;
	}
	next(r);
	skip_block(r, kind);
}

/* Behind the word `peer`. */
static void read_peer(struct reader *r, struct place *pl, const struct token *kind)
{
	struct token title = { .kind = TOK_STRING, .at = r->tok.at, .bad = true };

	if (r->tok.kind == TOK_STRING) {
		title = r->tok;
		next(r);
	} else {
		conf_error_add(r->errs, kind->at,
			       "a peer lacks its name, expected peer \"name\" { ... }");
	}
	skip_newlines(r);
	if (r->tok.kind != TOK_OPEN) {
		conf_error_add(r->errs, r->tok.at, "%s where the \"{\" of a peer was expected",
			       token_name(r->tok.kind));
		skip_entry(r);
		return;
	}
	next(r);
	if (pl->in == &pl->peer) {
		conf_error_add(r->errs, kind->at,
			       "a peer inside peer \"%s\" of line %u: a \"}\" is missing before it",
			       ((struct conf_peer *)pl->peer.base)->name,
			       ((struct conf_peer *)pl->peer.base)->at.line);
		pl->closed++;
		end_peer(r, pl);
	}
	begin_peer(r, pl, &title);
}

static void read_close(struct reader *r, struct place *pl)
{
	if (pl->in == &pl->peer)
		end_peer(r, pl);
	else if (pl->closed)
		pl->closed--;
	else
		conf_error_add(r->errs, r->tok.at, "a \"}\" that closes nothing");
	next(r);
}

/* At a word: an entry or a section. */
static void read_item(struct reader *r, struct place *pl)
{
	struct token word = r->tok;

	next(r);
	if (r->tok.kind == TOK_EQUAL)
		read_entry(r, pl, &word);
	else if (bytes_eq(word.s, bytes_str("peer")))
		read_peer(r, pl, &word);
	else if (r->tok.kind == TOK_STRING || r->tok.kind == TOK_OPEN)
		read_unknown_section(r, pl, &word);
	else {
		/* It may be a secret on a line of its own: not shown. */
		conf_error_add(r->errs, word.at, "expected \"=\" after the key, or a section");
		skip_entry(r);
	}
}

static void read_any(struct reader *r, struct place *pl)
{
	switch (r->tok.kind) {
	case TOK_NEWLINE:
	case TOK_SEMICOLON: next(r); break;
	case TOK_CLOSE: read_close(r, pl); break;
	case TOK_WORD: read_item(r, pl); break;
	default:
		conf_error_add(r->errs, r->tok.at, "%s where a key or a section was expected",
			       token_name(r->tok.kind));
		next(r);
		skip_entry(r);
	}
}

enum status reader_run(struct reader *r)
{
	struct place pl = { .top = { .scope = CONF_TOP, .base = r->conf } };

	pl.in = &pl.top;
	next(r);
	while (r->tok.kind != TOK_END && !r->nomem)
		read_any(r, &pl);
	if (!r->nomem && pl.in == &pl.peer) {
		const struct conf_peer *p = pl.peer.base;

		conf_error_add(
			r->errs, r->tok.at,
			"the file ends inside peer \"%s\" of line %u, whose \"}\" is missing",
			p->name, p->at.line);
		end_peer(r, &pl);
	}
	return r->nomem ? ST_NOMEM : ST_OK;
}
