/*
 * diff.c - what two configurations differ in: the rows of the schema, applied to the top level and
 * to the sections that have the same name in both.
 */
#include "conf/internal.h"

enum {
	LINE_MAX_LEN = 1024,
	SECTION_MAX_LEN = 512,
};

struct differ {
	struct arena *ar;
	const struct conf *old, *new;
	struct conf_diff_line *head;
	struct conf_diff_line **tail;
	enum status st; /* sticky */
};

/* ---- lines ------------------------------------------------------------------------------- */

static const char *copy(struct differ *d, const char *s)
{
	struct bytes b;

	if (d->st == ST_OK)
		d->st = arena_dup(d->ar, bytes_of(s, strlen(s) + 1), &b);
	return d->st == ST_OK ? (const char *)b.p : "";
}

static void add(struct differ *d, enum conf_change change, const char *section, const char *text)
{
	struct conf_diff_line *l = arena_new(d->ar, sizeof(*l));

	if (!l) {
		d->st = ST_NOMEM;
		return;
	}
	*l = (struct conf_diff_line){ .change = change,
				      .section = copy(d, section),
				      .text = copy(d, text) };
	*d->tail = l;
	d->tail = &l->next;
}

static enum conf_change highest(enum conf_scope scope)
{
	enum conf_change max = CONF_HOT;

	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == scope && conf_keys[i].change > max)
			max = conf_keys[i].change;
	return max;
}

static void title(struct text *t, const char *word, const char *name)
{
	text_fmt(t, "%s%s \"", t->n ? " " : "", word);
	text_quote(t, bytes_str(name));
	text_add(t, "\"");
}

/* ---- values ------------------------------------------------------------------------------ */

/* What a member of a type has to show and to compare: one of these. */
struct shown {
	const struct conf_text *text;
	const struct conf_list *list;
	const struct conf_secret *secret;
	int64_t number; /* else */
};

static struct shown shown_of(const struct conf_key *k, const void *base)
{
	const void *at = (const uint8_t *)base + k->offset;

	switch (k->type) {
	case CONF_T_PATH:
	case CONF_T_NAME:
	case CONF_T_USER:
	case CONF_T_TEXT: return (struct shown){ .text = at };
	case CONF_T_IDENT:
	case CONF_T_PATTERN:
		return (struct shown){ .text = &((const struct conf_ident *)at)->text };
	case CONF_T_ADDRS:
	case CONF_T_HOSTS:
	case CONF_T_DOMAINS:
	case CONF_T_GROUPS:
	case CONF_T_PATHS: return (struct shown){ .list = at };
	case CONF_T_PATTERNS:
		return (struct shown){ .list = &((const struct conf_idents *)at)->list };
	case CONF_T_VIRTUAL:
		return (struct shown){ .list = &((const struct conf_virtual *)at)->list };
	case CONF_T_TS:
	case CONF_T_RANGES:
	case CONF_T_PREFIXES: return (struct shown){ .list = &((const struct conf_ts *)at)->list };
	case CONF_T_IKE:
	case CONF_T_ESP:
		return (struct shown){ .list = &((const struct conf_proposals *)at)->list };
	case CONF_T_SECRET: return (struct shown){ .secret = at };
	case CONF_T_COUNT:
		return (struct shown){ .number = (int64_t)((const struct conf_count *)at)->v };
	case CONF_T_NUM: return (struct shown){ .number = ((const struct conf_num *)at)->v };
	case CONF_T_WORD: return (struct shown){ .number = ((const struct conf_word *)at)->v };
	case CONF_T_DUR:
		return (struct shown){ .number = dur_to_ms(((const struct conf_dur *)at)->v) };
	case CONF_TYPES: break;
	}
	return (struct shown){ 0 };
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_text(a->v[i].s, b->v[i].s))
			return false;
	return true;
}

static bool same(const struct shown *a, const struct shown *b)
{
	if (a->text)
		return same_text(a->text->s, b->text->s);
	if (a->list)
		return same_list(a->list, b->list);
	if (a->secret)
		return ct_equal(a->secret->b, b->secret->b);
	return a->number == b->number;
}

static void quoted(struct text *t, const char *s)
{
	text_add(t, "\"");
	text_quote(t, bytes_str(s));
	text_add(t, "\"");
}

static void show_list(struct text *t, const struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		text_add(t, i ? ", " : "{ ");
		quoted(t, l->v[i].s);
	}
	text_add(t, l->n ? " }" : "not given");
}

/* A number that is not there and has no default is 0, which it cannot be. */
static void show_number(struct text *t, const struct conf_key *k, int64_t v)
{
	if (k->type == CONF_T_WORD)
		text_add(t, v >= 0 ? k->words[v] : "unknown");
	else if (v == 0 && !k->def)
		text_add(t, "not given");
	else if (k->type == CONF_T_DUR)
		schema_duration(t, v);
	else if (k->type == CONF_T_COUNT)
		schema_count(t, (uint64_t)v);
	else
		text_fmt(t, "%lld", (long long)v);
}

static void show(struct text *t, const struct conf_key *k, const struct shown *s)
{
	if (s->text && s->text->s)
		quoted(t, s->text->s);
	else if (s->text)
		text_add(t, "not given");
	else if (s->list)
		show_list(t, s->list);
	else
		show_number(t, k, s->number);
}

/* Of two lists what only one of them has: the rest of a long one says nothing. */
static void show_missing(struct text *t, const char *sign, const struct conf_list *in,
			 const struct conf_list *from)
{
	for (size_t i = 0; i < in->n; i++) {
		bool found = false;

		for (size_t j = 0; j < from->n && !found; j++)
			found = same_text(in->v[i].s, from->v[j].s);
		if (found)
			continue;
		text_add(t, sign);
		quoted(t, in->v[i].s);
	}
}

static void show_long_lists(struct text *t, const struct conf_list *a, const struct conf_list *b)
{
	size_t before = t->n;

	show_missing(t, " +", b, a);
	show_missing(t, " -", a, b);
	if (t->n == before)
		text_add(t, " another order");
}

static void describe(struct text *t, const struct conf_key *k, const struct shown *a,
		     const struct shown *b)
{
	enum { LONG = 4 };

	text_fmt(t, "%s:", k->name);
	if (a->secret) {
		text_add(t, " changed");
	} else if (a->list && a->list->n && b->list->n && a->list->n + b->list->n > LONG) {
		show_long_lists(t, a->list, b->list);
	} else {
		text_add(t, " ");
		show(t, k, a);
		text_add(t, " -> ");
		show(t, k, b);
	}
}

/* ---- keys of one scope ------------------------------------------------------------------- */

/* What comes from the top level is a line there, however many inherit it. */
static bool inherited(const struct conf_key *k, const void *base, const struct conf *c)
{
	size_t row;
	const struct conf_key *top =
		k->scope == CONF_TOP ? NULL : schema_find(CONF_TOP, bytes_str(k->name), &row);
	struct conf_pos here, there;

	if (!top || top->type != k->type)
		return false;
	here = value_pos(k, base);
	there = value_pos(top, c);
	return given(here) && here.line == there.line && here.col == there.col;
}

static void diff_keys(struct differ *d, enum conf_scope scope, const char *section, const void *old,
		      const void *new)
{
	for (size_t i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];
		char buf[LINE_MAX_LEN];
		struct text t = TEXT_OF(buf);
		struct shown a, b;

		if (k->scope != scope)
			continue;
		a = shown_of(k, old);
		b = shown_of(k, new);
		if (same(&a, &b) || (inherited(k, old, d->old) && inherited(k, new, d->new)))
			continue;
		describe(&t, k, &a, &b);
		add(d, k->change, section, buf);
	}
}

/* ---- sections by name -------------------------------------------------------------------- */

struct named {
	struct map_node node;
	const char *name;
	const void *base;
	size_t index;
};

static bool same_name(const struct map_node *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const struct named, node)->name, key) == 0;
}

static const struct named *find(const struct map *m, const char *name)
{
	struct map_node *n = map_find(m, map_hash(m, bytes_str(name)), same_name, name);

	return n ? CONTAINER_OF(n, const struct named, node) : NULL;
}

static void enter(struct differ *d, struct map *m, const char *name, const void *base)
{
	struct named *n = arena_new(d->ar, sizeof(*n));

	if (!n) {
		d->st = ST_NOMEM;
		return;
	}
	*n = (struct named){ .name = name, .base = base, .index = m->count };
	map_insert(m, &n->node, map_hash(m, bytes_str(name)));
}

static void names_init(struct differ *d, struct map *m)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */

	map_init(m, d->ar->mem, key);
}

/* ---- sections inside a network ----------------------------------------------------------- */

/* A kind of them: lists whose order means something, since the first that matches counts, or not.
 */
struct inner {
	const char *word;
	enum conf_scope scope;
	const char *moved; /* said when they are in another order; NULL: that is no change */
	size_t head; /* of the list, in struct conf_network */
	size_t next, title; /* a pointer to the next one, and to its title */
};

static const struct inner inners[] = {
	{ "member", CONF_MEMBER, "members: another order", offsetof(struct conf_network, members),
	  offsetof(struct conf_member, next), offsetof(struct conf_member, id.text.s) },
	{ "peers", CONF_GROUP, NULL, offsetof(struct conf_network, suggest.groups),
	  offsetof(struct conf_group, next), offsetof(struct conf_group, name) },
	{ "rule", CONF_RULE, "rules: another order", offsetof(struct conf_network, suggest.rules),
	  offsetof(struct conf_rule, next), offsetof(struct conf_rule, name) },
};

static const void *pointer_at(const void *base, size_t offset)
{
	const void *p;

	memcpy(&p, (const uint8_t *)base + offset, sizeof(p));
	return p;
}

static const char *inner_name(const struct inner *k, const void *base)
{
	return pointer_at(base, k->title);
}

static void inner_names(struct differ *d, const struct inner *k, const struct conf_network *n,
			struct map *m)
{
	names_init(d, m);
	for (const void *i = pointer_at(n, k->head); i; i = pointer_at(i, k->next))
		enter(d, m, inner_name(k, i), i);
}

static void inner_title(struct text *t, const struct inner *k, const struct conf_network *n,
			const void *base)
{
	title(t, "network", n->name);
	title(t, k->word, inner_name(k, base));
}

static void diff_inner(struct differ *d, const struct inner *k, const char *section,
		       const struct conf_network *old, const struct conf_network *new)
{
	bool moved = false;
	size_t last = 0;
	struct map before;

	inner_names(d, k, old, &before);
	for (const void *i = pointer_at(new, k->head); i; i = pointer_at(i, k->next)) {
		const struct named *was = find(&before, inner_name(k, i));
		char buf[SECTION_MAX_LEN];
		struct text t = TEXT_OF(buf);

		inner_title(&t, k, new, i);
		if (!was) {
			add(d, highest(k->scope), buf, "added");
			continue;
		}
		moved = moved || was->index < last;
		last = was->index;
		diff_keys(d, k->scope, buf, was->base, i);
	}
	map_done(&before);
	if (moved && k->moved)
		add(d, highest(k->scope), section, k->moved);
}

static void removed_inner(struct differ *d, const struct inner *k, const struct conf_network *old,
			  const struct conf_network *new)
{
	struct map after;

	inner_names(d, k, new, &after);
	for (const void *i = pointer_at(old, k->head); i; i = pointer_at(i, k->next)) {
		char buf[SECTION_MAX_LEN];
		struct text t = TEXT_OF(buf);

		if (find(&after, inner_name(k, i)))
			continue;
		inner_title(&t, k, old, i);
		add(d, highest(k->scope), buf, "removed");
	}
	map_done(&after);
}

/* ---- peers and networks ------------------------------------------------------------------ */

/* One namespace: a name is a peer's or a network's. */
struct sections {
	struct map peers;
	struct map networks;
};

static void sections_of(struct differ *d, const struct conf *c, struct sections *s)
{
	names_init(d, &s->peers);
	names_init(d, &s->networks);
	for (const struct conf_peer *p = c->peers; p; p = p->next)
		enter(d, &s->peers, p->name, p);
	for (const struct conf_network *n = c->networks; n; n = n->next)
		enter(d, &s->networks, n->name, n);
}

static void sections_done(struct sections *s)
{
	map_done(&s->peers);
	map_done(&s->networks);
}

static void diff_peer(struct differ *d, const struct sections *before, const struct conf_peer *p)
{
	const struct named *was = find(&before->peers, p->name);
	char buf[SECTION_MAX_LEN];
	struct text t = TEXT_OF(buf);

	title(&t, "peer", p->name);
	if (was)
		diff_keys(d, CONF_PEER, buf, was->base, p);
	else
		add(d, CONF_HOT, buf, "added");
}

static void diff_network(struct differ *d, const struct sections *before,
			 const struct conf_network *n)
{
	const struct named *was = find(&before->networks, n->name);
	char buf[SECTION_MAX_LEN];
	struct text t = TEXT_OF(buf);

	title(&t, "network", n->name);
	if (was) {
		diff_keys(d, CONF_NETWORK, buf, was->base, n);
		for (size_t i = 0; i < ARRAY_LEN(inners); i++)
			diff_inner(d, &inners[i], buf, was->base, n);
	} else {
		add(d, CONF_HOT, buf, "added");
	}
}

static bool before(struct conf_pos a, struct conf_pos b)
{
	return a.line < b.line || (a.line == b.line && a.col < b.col);
}

/* In the order of the new file. */
static void diff_sections(struct differ *d)
{
	const struct conf_network *n = d->new->networks;
	const struct conf_peer *p = d->new->peers;
	struct sections old;

	sections_of(d, d->old, &old);
	while (p || n) {
		if (p && (!n || before(p->at, n->at))) {
			diff_peer(d, &old, p);
			p = p->next;
		} else {
			diff_network(d, &old, n);
			n = n->next;
		}
	}
	sections_done(&old);
}

static void removed(struct differ *d, enum conf_scope scope, const char *word, const char *name)
{
	char buf[SECTION_MAX_LEN];
	struct text t = TEXT_OF(buf);

	title(&t, word, name);
	add(d, highest(scope), buf, "removed");
}

static void removed_sections(struct differ *d)
{
	struct sections new;

	sections_of(d, d->new, &new);
	for (const struct conf_network *n = d->old->networks; n; n = n->next) {
		const struct named *is = find(&new.networks, n->name);

		for (size_t i = 0; is && i < ARRAY_LEN(inners); i++)
			removed_inner(d, &inners[i], n, is->base);
		if (!is)
			removed(d, CONF_NETWORK, "network", n->name);
	}
	for (const struct conf_peer *p = d->old->peers; p; p = p->next)
		if (!find(&new.peers, p->name))
			removed(d, CONF_PEER, "peer", p->name);
	sections_done(&new);
}

enum status conf_diff(struct arena *ar, const struct conf *old, const struct conf *new,
		      struct conf_diff_line **ret_lines)
{
	struct differ d = { .ar = ar, .old = old, .new = new };

	d.tail = &d.head;
	diff_keys(&d, CONF_TOP, "", old, new);
	diff_sections(&d);
	removed_sections(&d);
	if (d.st == ST_OK)
		*ret_lines = d.head;
	return d.st;
}
