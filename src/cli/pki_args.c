/*
 * The options of `warren pki`: one row each, in any order, as "--name VALUE" or "--name=VALUE".
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/pki_cli.h"

/* ---- values -------------------------------------------------------------------------------- */

static bool refuse(struct text *why, const char *what, const char *value, const char *accepted)
{
	text_fmt(why, "%s \"", what);
	text_quote(why, bytes_str(value));
	text_fmt(why, "\"; accepted: %s", accepted);
	return false;
}

static bool set_name(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->name = v;
	return true;
}

static bool set_dir(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->dir = v;
	return true;
}

static bool set_out(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->out = v;
	return true;
}

static bool set_key(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->key = v;
	return true;
}

static bool set_cert(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->cert = v;
	return true;
}

static bool set_key_type(struct pki_args *a, char *v, struct text *why)
{
	(void)why;
	a->key_type = v;
	return true;
}

static bool set_id(struct pki_args *a, char *v, struct text *why)
{
	a->has_id = true;
	return pki_id_parse(v, why, &a->id) == ST_OK;
}

static bool set_days(struct pki_args *a, char *v, struct text *why)
{
	char *end;
	unsigned long n = strtoul(v, &end, 10);

	if (*v < '1' || *v > '9' || *end != '\0' || n > PKI_DAYS_MAX)
		return refuse(why, "not a number of days:", v, "1 to 36500");
	a->days = (unsigned)n;
	return true;
}

static bool add_prefix(struct pki_args *a, const char *word, struct text *why)
{
	if (a->n_prefixes == PKI_BLOCKS_MAX) {
		text_fmt(why, "more than %d prefixes", PKI_BLOCKS_MAX);
		return false;
	}
	if (prefix_parse(word, &a->prefix[a->n_prefixes]) != ST_OK)
		return refuse(why, "not a prefix:", word,
			      "10.2.0.0/16, fd00:2::/32, with all bits behind the length zero");
	a->n_prefixes++;
	return true;
}

static bool add_hub(struct pki_args *a, const char *word, struct text *why)
{
	return pki_hubs_add(&a->hubs, word, why) == ST_OK;
}

/* Commas and blanks separate; a blank word is a slip of the hand. */
static bool each_word(struct pki_args *a, char *list,
		      bool (*add)(struct pki_args *, const char *, struct text *), struct text *why)
{
	char *word;

	while ((word = strsep(&list, ",")) != NULL) {
		while (*word == ' ')
			word++;
		if (!add(a, word, why))
			return false;
	}
	return true;
}

static bool set_prefix(struct pki_args *a, char *v, struct text *why)
{
	return each_word(a, v, add_prefix, why);
}

static bool set_hubs(struct pki_args *a, char *v, struct text *why)
{
	a->has_hubs = true;
	return each_word(a, v, add_hub, why);
}

/* ---- options ------------------------------------------------------------------------------- */

static const struct option {
	const char *name;
	bool (*set)(struct pki_args *a, char *value, struct text *why);
	size_t flag; /* offset of the bool of an option without a value */
} options[] = {
	{ "--name", set_name, 0 },
	{ "--domain", set_prefix, 0 },
	{ "--prefix", set_prefix, 0 },
	{ "--id", set_id, 0 },
	{ "--hubs", set_hubs, 0 },
	{ "--days", set_days, 0 },
	{ "--dir", set_dir, 0 },
	{ "--out", set_out, 0 },
	{ "--key", set_key, 0 },
	{ "--cert", set_cert, 0 },
	{ "--key-type", set_key_type, 0 },
	{ "--hub", NULL, offsetof(struct pki_args, hub) },
	{ "--endpoint", NULL, offsetof(struct pki_args, endpoint) },
	{ "--as-requested", NULL, offsetof(struct pki_args, as_requested) },
	{ "--force", NULL, offsetof(struct pki_args, force) },
	{ "--renew", NULL, offsetof(struct pki_args, renew) },
};

static bool in_list(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static const struct option *find_option(const struct pki_command *c, const char *word, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, word, n) == 0 &&
		    in_list(c->options, options[i].name))
			return &options[i];
	return NULL;
}

/* One command line being read. */
struct line {
	const struct pki_command *c;
	int argc;
	char **argv;
	int at;
	struct pki_args *args;
	struct text *why;
	const char *seen[ARRAY_LEN(options)];
	size_t n_seen;
};

static bool unknown_option(struct line *l, const char *word)
{
	text_add(l->why, "unknown option \"");
	text_quote(l->why, bytes_str(word));
	text_fmt(l->why, "\"; usage: warren pki %s %s", l->c->name, l->c->usage);
	return false;
}

/* A list may be given in several pieces, everything else once. */
static bool note_seen(struct line *l, const struct option *o)
{
	bool list = o->set == set_prefix || o->set == set_hubs;

	for (size_t i = 0; i < l->n_seen; i++)
		if (strcmp(l->seen[i], o->name) == 0) {
			if (!list)
				text_fmt(l->why, "%s is given twice", o->name);
			return list;
		}
	l->seen[l->n_seen++] = o->name;
	return true;
}

static bool set_flag(struct line *l, const struct option *o, const char *value)
{
	if (value) {
		text_fmt(l->why, "%s takes no value", o->name);
		return false;
	}
	*(bool *)((char *)l->args + o->flag) = true;
	return true;
}

static bool read_option(struct line *l)
{
	char *word = l->argv[l->at];
	char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value++ - word) : strlen(word);
	const struct option *o = find_option(l->c, word, n);

	if (!o)
		return unknown_option(l, word);
	if (!note_seen(l, o))
		return false;
	if (!o->set)
		return set_flag(l, o, value);
	if (!value && l->at + 1 < l->argc && strncmp(l->argv[l->at + 1], "--", 2) != 0)
		value = l->argv[++l->at];
	if (!value || *value == '\0') {
		text_fmt(l->why, "%s lacks its value", o->name);
		return false;
	}
	if (!o->set(l->args, value, l->why)) {
		char said[512];
		struct text copy = TEXT_OF(said);

		/* Which option it is about comes first. */
		text_add(&copy, l->why->p);
		l->why->n = 0;
		text_fmt(l->why, "%s: %s", o->name, said);
		return false;
	}
	return true;
}

static bool read_word(struct line *l, const char *word)
{
	if (!l->c->word || l->args->word) {
		text_add(l->why, "too many words: \"");
		text_quote(l->why, bytes_str(word));
		text_fmt(l->why, "\"; usage: warren pki %s %s", l->c->name, l->c->usage);
		return false;
	}
	l->args->word = word;
	return true;
}

static bool read_all(struct line *l)
{
	bool plain = false;

	for (; l->at < l->argc; l->at++) {
		const char *word = l->argv[l->at];

		if (!plain && strcmp(word, "--json") == 0)
			continue; /* cli_pki() has seen it */
		if (!plain && strcmp(word, "--") == 0)
			plain = true;
		else if (!plain && word[0] == '-' && word[1] != '\0') {
			if (!read_option(l))
				return false;
		} else if (!read_word(l, word))
			return false;
	}
	return true;
}

static bool check_required(struct line *l)
{
	for (const char *const *r = l->c->required; *r; r++) {
		bool seen = false;

		for (size_t i = 0; i < l->n_seen; i++)
			seen = seen || strcmp(l->seen[i], *r) == 0;
		if (!seen) {
			text_fmt(l->why, "%s is missing; usage: warren pki %s %s", *r, l->c->name,
				 l->c->usage);
			return false;
		}
	}
	if (l->c->word && !l->args->word) {
		text_fmt(l->why, "%s is missing; usage: warren pki %s %s", l->c->word, l->c->name,
			 l->c->usage);
		return false;
	}
	return true;
}

bool pki_args_read(const struct pki_command *c, int argc, char **argv, struct pki_args *ret_args,
		   struct text *why)
{
	struct line l = { .c = c, .argc = argc, .argv = argv, .args = ret_args, .why = why };

	*ret_args = (struct pki_args){ .dir = PKI_DEFAULT_DIR };
	if (!read_all(&l) || !check_required(&l))
		return false;
	if (ret_args->hub && ret_args->endpoint) {
		text_add(why, "--hub and --endpoint: it is one or the other");
		return false;
	}
	/* As many as fit were taken, so this cannot be too many. */
	return pki_blocks_of_prefixes(ret_args->prefix, ret_args->n_prefixes, &ret_args->blocks) ==
	       ST_OK;
}
