/*
 * shortcuts.c - direct tunnels of a site, pairs and members of a hub, for people.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum {
	LINE_MAX_LEN = 2048,
};

enum column {
	COL_PARTNER,
	COL_STATE,
	COL_SINCE,
	COL_PATH,
	COL_RTT,
	COL_IN,
	COL_OUT,
	COLUMNS,
};

/* ---- tables of any rows ------------------------------------------------------------------ */

typedef void row_fn(const json_t *o, struct cli_row *ret);
typedef void below_fn(const json_t *o);

static void print_table(const struct cli_row *head, size_t columns, json_t *list, row_fn *row,
			below_fn *below)
{
	struct cli_table table = { .columns = columns };
	struct cli_row r;
	json_t *o;
	size_t i;

	cli_table_fit(&table, head);
	json_array_foreach(list, i, o)
	{
		row(o, &r);
		cli_table_fit(&table, &r);
	}
	cli_table_print(&table, head);
	json_array_foreach(list, i, o)
	{
		row(o, &r);
		cli_table_print(&table, &r);
		below(o);
	}
}

/* "no_path (what was said about it)"; nothing without a reason. */
static void add_reason(struct text *t, const json_t *o)
{
	cli_add(t, cli_str(o, "reason"));
	if (!*cli_str(o, "text"))
		return;
	text_add(t, t->n ? ": " : "");
	cli_add(t, cli_str(o, "text"));
}

static void print_reason(const json_t *o)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	if (*cli_str(o, "by")) {
		cli_add(&t, cli_str(o, "by"));
		text_add(&t, " says: ");
	}
	if (*cli_str(o, "reason") || *cli_str(o, "text")) {
		struct text rest = { buf + t.n, 0, sizeof(buf) - t.n };

		add_reason(&rest, o);
		printf("  %s\n", buf);
	}
	if (json_object_get(o, "retry_in_s")) {
		t = TEXT_OF(buf);
		cli_add_duration(&t, cli_int(o, "retry_in_s"));
		printf("  not suggested again for %s\n", buf);
	}
}

/* ---- a site's ---------------------------------------------------------------------------- */

static void shortcut_row(const json_t *o, struct cli_row *ret)
{
	struct text t[COLUMNS];

	for (size_t i = 0; i < COLUMNS; i++)
		t[i] = TEXT_OF(ret->cell[i]);
	cli_add(&t[COL_PARTNER], cli_str(o, "partner"));
	cli_add(&t[COL_STATE], cli_str(o, "state"));
	cli_add_duration(&t[COL_SINCE], cli_int(o, "age_s"));
	if (!*cli_str(o, "remote"))
		return;
	cli_add(&t[COL_PATH], cli_str(o, "local"));
	text_add(&t[COL_PATH], " -> ");
	cli_add(&t[COL_PATH], cli_str(o, "remote"));
	cli_add_rtt(&t[COL_RTT], cli_int(o, "rtt_us"));
	if (!cli_bool(o, "up"))
		return;
	cli_add_bytes(&t[COL_IN], cli_int(o, "bytes_in"));
	cli_add_bytes(&t[COL_OUT], cli_int(o, "bytes_out"));
}

static void print_try(const json_t *try)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	cli_add(&t, cli_str(try, "kind"));
	text_add(&t, "  ");
	cli_add(&t, *cli_str(try, "local") ? cli_str(try, "local") : "no address of ours");
	text_add(&t, " -> ");
	cli_add(&t, cli_str(try, "remote"));
	text_add(&t, "  ");
	cli_add(&t, cli_str(try, "result"));
	if (json_object_get(try, "rtt_us")) {
		text_add(&t, ", ");
		cli_add_rtt(&t, cli_int(try, "rtt_us"));
	}
	if (*cli_str(try, "why")) {
		text_add(&t, ": ");
		cli_add(&t, cli_str(try, "why"));
	}
	printf("    %s\n", buf);
}

static void print_ts(const char *name, const json_t *list)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	cli_add_list(&t, list);
	printf("  %s: %s\n", name, t.n ? buf : "nothing");
}

static void print_details(const json_t *o)
{
	json_t *tries = json_object_get(o, "tries"), *v;
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);
	size_t i;

	cli_add(&t, *cli_str(o, "hub") ? cli_str(o, "hub") : "a hub that is not connected");
	printf("  number %lld, suggested by %s%s; %s begins\n", (long long)cli_int(o, "number"),
	       buf, cli_bool(o, "post_quantum") ? ", on a path with a post-quantum key" : "",
	       cli_bool(o, "initiator") ? "this end" : "the other end");
	print_ts("ours", json_object_get(o, "local_ts"));
	print_ts("theirs", json_object_get(o, "remote_ts"));
	if (json_array_size(tries) > 0)
		printf("  tried\n");
	json_array_foreach(tries, i, v)
	{
		print_try(v);
	}
}

static void below_shortcut(const json_t *o)
{
	print_reason(o);
}

static void below_shortcut_fully(const json_t *o)
{
	print_reason(o);
	print_details(o);
}

/* ---- what a hub must not relay ----------------------------------------------------------- */

static void wanted_row(const json_t *o, struct cli_row *ret)
{
	struct text t[4];

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = TEXT_OF(ret->cell[i]);
	text_add(&t[0], strcmp(cli_str(o, "direction"), "in") == 0 ? "from " : "to ");
	cli_add(&t[0], cli_str(o, "address"));
	cli_add(&t[1], cli_str(o, "state"));
	cli_add_duration(&t[2], cli_int(o, "age_s"));
	cli_add(&t[3], cli_str(o, "hub"));
}

static void below_wanted(const json_t *o)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	add_reason(&t, o);
	if (t.n)
		printf("  %s\n", buf);
	if (!json_object_get(o, "retry_in_s"))
		return;
	t = TEXT_OF(buf);
	cli_add_duration(&t, cli_int(o, "retry_in_s"));
	printf("  not asked for again for %s\n", buf);
}

/* ---- a hub's ----------------------------------------------------------------------------- */

static void pair_row(const json_t *o, struct cli_row *ret)
{
	struct text t[5];

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = TEXT_OF(ret->cell[i]);
	cli_add(&t[0], cli_str(o, "a"));
	cli_add(&t[1], cli_str(o, "b"));
	cli_add(&t[2], cli_str(o, "state"));
	cli_add_duration(&t[3], cli_int(o, "age_s"));
	cli_add(&t[4], cli_str(o, "topology"));
	if (*cli_str(o, "rule")) {
		text_add(&t[4], ", rule ");
		cli_add(&t[4], cli_str(o, "rule"));
	}
}

static void below_pair(const json_t *o)
{
	if (cli_bool(o, "relayed"))
		printf("  one of them is at another hub\n");
	print_reason(o);
}

static void below_pair_fully(const json_t *o)
{
	below_pair(o);
	printf("  suggested %lld times, traffic by this hub: %s\n",
	       (long long)cli_int(o, "suggestions"), cli_bool(o, "traffic") ? "yes" : "no");
}

void cli_print_shortcuts(json_t *result, bool fully)
{
	static const struct cli_row head = { { "PARTNER", "STATE", "SINCE", "PATH", "RTT", "IN",
					       "OUT" } };
	static const struct cli_row pairs_head = { { "MEMBER", "MEMBER", "STATE", "SINCE",
						     "TOPOLOGY" } };
	json_t *shortcuts = json_object_get(result, "shortcuts");
	static const struct cli_row wanted_head = { { "NOT RELAYED", "STATE", "SINCE", "HUB" } };
	json_t *pairs = json_object_get(result, "pairs");
	json_t *wanted = json_object_get(result, "wanted");

	if (json_array_size(wanted) > 0)
		print_table(&wanted_head, 4, wanted, wanted_row, below_wanted);
	if (json_array_size(shortcuts) > 0)
		print_table(&head, COLUMNS, shortcuts, shortcut_row,
			    fully ? below_shortcut_fully : below_shortcut);
	if (json_array_size(pairs) > 0)
		print_table(&pairs_head, 5, pairs, pair_row, fully ? below_pair_fully : below_pair);
	if (json_array_size(shortcuts) + json_array_size(pairs) + json_array_size(wanted) == 0)
		printf("no direct tunnels, and none was suggested\n");
}

/* ---- its directory ----------------------------------------------------------------------- */

static void add_prefixes(struct text *t, const json_t *prefixes)
{
	const char *authority;
	json_t *list;

	json_object_foreach((json_t *)(uintptr_t)prefixes, authority, list)
	{
		text_add(t, t->n ? ", " : "");
		cli_add_list(t, list);
	}
}

static void member_row(const json_t *o, struct cli_row *ret)
{
	json_t *candidates = json_object_get(o, "candidates"), *c;
	struct text t[4];
	size_t i;

	for (i = 0; i < ARRAY_LEN(t); i++)
		t[i] = TEXT_OF(ret->cell[i]);
	cli_add(&t[0], cli_str(o, "identity"));
	text_add(&t[1], cli_bool(o, "partner") ? "yes" : "no");
	add_prefixes(&t[2], json_object_get(o, "prefixes"));
	json_array_foreach(candidates, i, c)
	{
		text_add(&t[3], i ? ", " : "");
		cli_add(&t[3], cli_str(c, "at"));
		text_add(&t[3], cli_bool(c, "nat") ? " (NAT)" : "");
	}
}

static void below_member(const json_t *o)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	cli_add(&t, cli_str(o, "at"));
	if (t.n)
		printf("  at %s\n", buf);
}

void cli_print_directory(json_t *result)
{
	static const struct cli_row head = { { "MEMBER", "TAKES PART", "PREFIXES", "CANDIDATES" } };

	print_table(&head, 4, json_object_get(result, "members"), member_row, below_member);
}
