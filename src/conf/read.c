/*
 * read.c - the grammar:
 *
 *	file    = { entry | section | newline }
 *	section = word string "{" { entry | section | newline } "}"
 *	entry   = word "=" value ( newline | ";" )
 *	value   = word | string | "{" [ element { "," element } [ "," ] ] "}"
 *
 * Before "}", and unless the value is a secret also before a word that is a key there or begins a
 * section, nothing need end an entry.  Newlines inside a list do not count.
 *
 * There is no recursion: sections nest as the table `sections` says, which is one deep, and what is
 * skipped after an error is skipped by counting braces.  A `peer` inside a peer is taken for a
 * forgotten "}", which is what it is in the field: one error instead of as many as there are lines
 * below.
 */
#include "conf/internal.h"

enum {
	NAME_MAX_LEN = 63,
	WORD_SHOWN_MAX = 40,
};

enum { DEPTH_MAX = 3 }; /* top level, section, section inside it */

/* What is being read, from the top level down. */
struct place {
	struct scope_state scope[DEPTH_MAX];
	unsigned depth; /* of the one that entries go to */
	unsigned closed; /* sections closed for want of a "}" */
};

static struct scope_state *here(struct place *pl)
{
	return &pl->scope[pl->depth];
}

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

/* ---- which sections there are ---- */

struct section {
	const char *word;
	const char *one; /* of them, for messages */
	enum conf_scope scope;
	enum conf_scope parent;
	const char *title; /* what its string is, for messages */
	/* Makes the object, puts it where it belongs, and its base, name and position into `ret`.
	 * `title` may be bad.  False: out of memory. */
	bool (*begin)(struct reader *r, const struct place *pl, const struct token *title,
		      struct scope_state *ret);
};

static bool begin_peer(struct reader *r, const struct place *pl, const struct token *title,
		       struct scope_state *ret);
static bool begin_network(struct reader *r, const struct place *pl, const struct token *title,
			  struct scope_state *ret);
static bool begin_member(struct reader *r, const struct place *pl, const struct token *title,
			 struct scope_state *ret);
static bool begin_group(struct reader *r, const struct place *pl, const struct token *title,
			struct scope_state *ret);
static bool begin_rule(struct reader *r, const struct place *pl, const struct token *title,
		       struct scope_state *ret);

static const struct section sections[] = {
	{ "peer", "a peer", CONF_PEER, CONF_TOP, "name", begin_peer },
	{ "network", "a network", CONF_NETWORK, CONF_TOP, "name", begin_network },
	{ "member", "a member", CONF_MEMBER, CONF_NETWORK, "pattern", begin_member },
	{ "peers", "a peers section", CONF_GROUP, CONF_NETWORK, "name", begin_group },
	{ "rule", "a rule", CONF_RULE, CONF_NETWORK, "name", begin_rule },
};

static const struct section *section_find(struct bytes word)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (bytes_eq(word, bytes_str(sections[i].word)))
			return &sections[i];
	return NULL;
}

bool schema_is_section(struct bytes word)
{
	return section_find(word) != NULL;
}

/* Those that may stand in a scope, behind `head`; nothing if there are none. */
static void section_names(enum conf_scope scope, const char *head, struct text *t)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (sections[i].parent != scope)
			continue;
		text_fmt(t, "%s%s \"%s\" { ... }", head, sections[i].word, sections[i].title);
		head = ", ";
	}
}

/* ---- entries ---- */

static const struct conf_key *known_key(struct reader *r, const struct place *pl,
					const struct token *name, size_t *ret_row)
{
	enum conf_scope scope = pl->scope[pl->depth].scope;
	const struct conf_key *k = schema_find(scope, name->s, ret_row);
	char buf[WORD_SHOWN_MAX], known[1200];
	struct text t = TEXT_OF(known);

	if (k)
		return k;
	schema_names(scope, &t);
	section_names(scope, ", and sections ", &t);
	conf_error_add(r->errs, name->at, "unknown key \"%s\", known here: %s", shown(name, buf),
		       known);
	return NULL;
}

static void assign(struct reader *r, struct place *pl, const struct conf_key *k, size_t row,
		   const struct token *name, const struct value *v)
{
	struct conf_pos *seen = &here(pl)->seen[row];

	if (seen->line) {
		conf_error_add(r->errs, name->at,
			       "%s is given a second time, the first is in line %u", k->name,
			       seen->line);
		return;
	}
	*seen = name->at;
	if (value_set(&r->conf->ar, r->errs, k, v, here(pl)->base))
		r->nomem = true;
}

/* Entries may share a line, "role = hub  topology = star": a word that is a key here, or begins a
 * section, begins the next one. */
static bool begins_entry(const struct reader *r, struct place *pl)
{
	size_t row;

	return r->tok.kind == TOK_WORD &&
	       (schema_find(here(pl)->scope, r->tok.s, &row) || schema_is_section(r->tok.s));
}

/* What follows a whole value may be half of a secret that lacks its quotes. */
static void read_entry_end(struct reader *r, struct place *pl, const struct conf_key *k)
{
	char buf[WORD_SHOWN_MAX], what[WORD_SHOWN_MAX + 4];
	struct text t = TEXT_OF(what);

	if (ends_entry(r->tok.kind))
		return;
	if (k && k->type != CONF_T_SECRET && begins_entry(r, pl))
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
	else if (k && !here(pl)->seen[row].line)
		here(pl)->seen[row] = name->at;
	if (whole)
		read_entry_end(r, pl, k);
	else
		skip_entry(r);
}

/* ---- names ---- */

struct name_node {
	struct map_node node;
	const char *name;
	const char *word; /* "peer" */
	struct conf_pos at;
};

static bool same_name(const struct map_node *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const struct name_node, node)->name, key) == 0;
}

/* Names go into log lines and terminals. */
static bool good_name(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= NAME_MAX_LEN;
}

static bool check_form(struct reader *r, const char *what, const struct token *title)
{
	if (title->bad)
		return false;
	if (good_name(title->s))
		return true;
	conf_error_add(r->errs, title->at,
		       "a %s's name has 1 to %d bytes and no control characters", what,
		       NAME_MAX_LEN);
	return false;
}

/* `warren up NAME` and the log know peers and networks by one kind of name. */
static void check_name(struct reader *r, const char *word, const struct token *title)
{
	const char *name = (const char *)title->s.p;
	const struct name_node *first;
	struct map_node *n;

	if (!check_form(r, word, title))
		return;
	n = map_find(&r->names, map_hash(&r->names, title->s), same_name, name);
	if (!n)
		return;
	first = CONTAINER_OF(n, struct name_node, node);
	if (strcmp(first->word, word) == 0)
		conf_error_add(r->errs, title->at,
			       "%s \"%s\" is defined a second time, the first is in line %u", word,
			       name, first->at.line);
	else
		conf_error_add(r->errs, title->at,
			       "%s \"%s\" has the name of the %s in line %u, accepted: another "
			       "name",
			       word, name, first->word, first->at.line);
}

/* The title as a name that counts from now on; NULL: out of memory. */
static const char *take_name(struct reader *r, const char *word, const struct token *title)
{
	struct name_node *n = arena_new(&r->conf->ar, sizeof(*n));

	if (!n)
		return NULL;
	check_name(r, word, title);
	n->name = title->bad ? "" : (const char *)title->s.p;
	n->word = word;
	n->at = title->at;
	map_insert(&r->names, &n->node, map_hash(&r->names, bytes_str(n->name)));
	return n->name;
}

/* ---- sections ---- */

static bool begin_peer(struct reader *r, const struct place *pl, const struct token *title,
		       struct scope_state *ret)
{
	struct conf_peer *p = arena_new(&r->conf->ar, sizeof(*p));
	const char *name = p ? take_name(r, "peer", title) : NULL;

	(void)pl;
	if (!name)
		return false;
	*p = *r->peer_defaults;
	p->name = name;
	p->at = title->at;
	*r->peers_tail = p;
	r->peers_tail = &p->next;
	r->conf->n_peers++;
	ret->base = p;
	ret->name = name;
	return true;
}

static bool begin_network(struct reader *r, const struct place *pl, const struct token *title,
			  struct scope_state *ret)
{
	struct conf_network *n = arena_new(&r->conf->ar, sizeof(*n));
	const char *name = n ? take_name(r, "network", title) : NULL;

	(void)pl;
	if (!name)
		return false;
	*n = *r->network_defaults;
	n->name = name;
	n->at = title->at;
	*r->networks_tail = n;
	r->networks_tail = &n->next;
	r->members_tail = &n->members;
	r->groups_tail = &n->suggest.groups;
	r->rules_tail = &n->suggest.rules;
	r->conf->n_networks++;
	ret->base = n;
	ret->name = name;
	return true;
}

/* The title is what its holder has to match. */
static bool begin_member(struct reader *r, const struct place *pl, const struct token *title,
			 struct scope_state *ret)
{
	struct conf_member *m = arena_new(&r->conf->ar, sizeof(*m));
	const char *pattern = title->bad ? "" : (const char *)title->s.p;
	char buf[256];
	struct text why = TEXT_OF(buf);
	enum status st = ST_OK;

	(void)pl;
	if (!m)
		return false;
	m->at = title->at;
	m->id.text = (struct conf_text){ pattern, title->at };
	if (!title->bad)
		st = policy_ident_parse(&r->conf->ar, pattern, true, &why, &m->id.id);
	if (st == ST_NOMEM)
		return false;
	if (st != ST_OK)
		conf_error_add(r->errs, title->at, "member: %s", buf);
	*r->members_tail = m;
	r->members_tail = &m->next;
	ret->base = m;
	ret->name = pattern;
	return true;
}

/* Of those that only have to be told apart inside their network; the check of the network does. */
static const char *inner_name(struct reader *r, const char *what, const struct token *title,
			      struct scope_state *ret)
{
	ret->name = check_form(r, what, title) ? (const char *)title->s.p : "";
	return ret->name;
}

static bool begin_group(struct reader *r, const struct place *pl, const struct token *title,
			struct scope_state *ret)
{
	struct conf_group *g = arena_new(&r->conf->ar, sizeof(*g));

	(void)pl;
	if (!g)
		return false;
	g->name = inner_name(r, "group", title, ret);
	g->at = title->at;
	*r->groups_tail = g;
	r->groups_tail = &g->next;
	ret->base = g;
	return true;
}

static bool begin_rule(struct reader *r, const struct place *pl, const struct token *title,
		       struct scope_state *ret)
{
	struct conf_rule *l = arena_new(&r->conf->ar, sizeof(*l));

	(void)pl;
	if (!l)
		return false;
	l->name = inner_name(r, "rule", title, ret);
	l->at = title->at;
	*r->rules_tail = l;
	r->rules_tail = &l->next;
	ret->base = l;
	return true;
}

static void begin_section(struct reader *r, struct place *pl, const struct section *sec,
			  const struct token *title)
{
	struct scope_state s = { .scope = sec->scope, .word = sec->word, .at = title->at };

	if (!sec->begin(r, pl, title, &s)) {
		r->nomem = true;
		return;
	}
	pl->scope[++pl->depth] = s;
}

/* Required keys. */
static void end_section(struct reader *r, struct place *pl)
{
	const struct scope_state *s = here(pl);
	size_t row = 0;

	for (size_t i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];

		if (k->scope != s->scope)
			continue;
		if (k->required && !s->seen[row].line)
			conf_error_add(r->errs, s->at, "%s \"%s\" lacks %s, %s", s->word, s->name,
				       k->name, k->doc);
		row++;
	}
	pl->depth--;
}

/* What cannot be read is skipped with everything inside. */
static void skip_section(struct reader *r, const struct token *kind)
{
	if (r->tok.kind == TOK_STRING)
		next(r);
	if (r->tok.kind != TOK_OPEN) {
		skip_entry(r);
		return;
	}
	next(r);
	skip_block(r, kind);
}

static void read_unknown_section(struct reader *r, const struct place *pl, const struct token *kind)
{
	enum conf_scope scope = pl->scope[pl->depth].scope;
	char buf[WORD_SHOWN_MAX], known[128];
	struct text t = TEXT_OF(known);
	size_t row;

	section_names(scope == CONF_NETWORK ? scope : CONF_TOP, ", known: ", &t);
	if (schema_find(scope, kind->s, &row))
		conf_error_add(r->errs, kind->at, "%s is a key, expected \"=\" after it",
			       shown(kind, buf));
	else
		conf_error_add(r->errs, kind->at, "unknown section \"%s\"%s", shown(kind, buf),
			       known);
	skip_section(r, kind);
}

/* Title and "{".  False after a syntax error. */
static bool read_head(struct reader *r, const struct section *sec, const struct token *kind,
		      struct token *ret_title)
{
	*ret_title = (struct token){ .kind = TOK_STRING, .at = r->tok.at, .bad = true };
	if (r->tok.kind == TOK_STRING) {
		*ret_title = r->tok;
		next(r);
	} else {
		conf_error_add(r->errs, kind->at, "%s lacks its %s, expected %s \"%s\" { ... }",
			       sec->one, sec->title, sec->word, sec->title);
	}
	skip_newlines(r);
	if (r->tok.kind != TOK_OPEN) {
		conf_error_add(r->errs, r->tok.at, "%s where the \"{\" of %s was expected",
			       token_name(r->tok.kind), sec->one);
		skip_entry(r);
		return false;
	}
	next(r);
	return true;
}

/* Up to where the section may stand: on the way are sections whose "}" is missing. */
static void close_for(struct reader *r, struct place *pl, const struct section *sec,
		      const struct token *kind)
{
	const struct scope_state *s = here(pl);

	if (s->scope == sec->parent)
		return;
	conf_error_add(r->errs, kind->at,
		       "%s inside %s \"%s\" of line %u: a \"}\" is missing before it", sec->one,
		       s->word, s->name, s->at.line);
	while (pl->depth > 0 && here(pl)->scope != sec->parent) {
		pl->closed++;
		end_section(r, pl);
	}
}

static bool inside(const struct place *pl, enum conf_scope scope)
{
	for (unsigned i = 0; i <= pl->depth; i++)
		if (pl->scope[i].scope == scope)
			return true;
	return false;
}

/* Behind its word. */
static void read_section(struct reader *r, struct place *pl, const struct section *sec,
			 const struct token *kind)
{
	struct token title;

	if (!inside(pl, sec->parent)) {
		conf_error_add(r->errs, kind->at,
			       "%s outside a network, accepted: network \"name\" { %s \"%s\" { "
			       "... } }",
			       sec->one, sec->word, sec->title);
		skip_section(r, kind);
		return;
	}
	if (!read_head(r, sec, kind, &title))
		return;
	close_for(r, pl, sec, kind);
	begin_section(r, pl, sec, &title);
}

static void read_close(struct reader *r, struct place *pl)
{
	if (pl->depth > 0)
		end_section(r, pl);
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
	const struct section *sec = section_find(word.s);

	next(r);
	if (r->tok.kind == TOK_EQUAL)
		read_entry(r, pl, &word);
	else if (sec)
		read_section(r, pl, sec, &word);
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
	struct place pl = { .scope = { { .scope = CONF_TOP, .base = r->conf } } };

	next(r);
	while (r->tok.kind != TOK_END && !r->nomem)
		read_any(r, &pl);
	if (!r->nomem && pl.depth > 0)
		conf_error_add(r->errs, r->tok.at,
			       "the file ends inside %s \"%s\" of line %u, whose \"}\" is missing",
			       here(&pl)->word, here(&pl)->name, here(&pl)->at.line);
	while (!r->nomem && pl.depth > 0)
		end_section(r, &pl);
	return r->nomem ? ST_NOMEM : ST_OK;
}
