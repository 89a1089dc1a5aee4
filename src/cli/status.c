#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

/* Names in order, those that are zero left out: what is interesting is what happened. */
static void print_counters(json_t *a, json_t *b)
{
	struct cli_table table = { .columns = 2 };
	json_t *all = json_object();
	const char *name;
	json_t *value;
	char *sorted;
	struct cli_row row;

	if (!all || json_object_update(all, a) || json_object_update(all, b)) {
		json_decref(all);
		return;
	}
	/* jansson sorts when it writes: reading that back gives the order of names. */
	sorted = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(all);
	all = sorted ? json_loads(sorted, 0, NULL) : NULL;
	free(sorted);
	for (int pass = 0; pass < 2; pass++) {
		json_object_foreach(all, name, value)
		{
			struct text cell[] = { TEXT_OF(row.cell[0]), TEXT_OF(row.cell[1]) };

			if (json_integer_value(value) == 0)
				continue;
			text_add(&cell[0], "  ");
			cli_add(&cell[0], name);
			text_fmt(&cell[1], "%lld", (long long)json_integer_value(value));
			if (pass == 0)
				cli_table_fit(&table, &row);
			else
				cli_table_print(&table, &row);
		}
	}
	json_decref(all);
}

enum { LINE_LEN = 2048 };

static void add_list(struct text *t, const char *what, const json_t *list)
{
	if (json_array_size(list) == 0)
		return;
	text_add(t, what);
	cli_add_list(t, list);
}

static bool add_family(struct text *t, const char *sep, const char *name, const json_t *f)
{
	json_int_t size = cli_int(f, "size"), left = cli_int(f, "free");

	if (size == 0)
		return false;
	text_fmt(t, "%s%s %lld of %lld taken%s", sep, name, (long long)(size - left),
		 (long long)size, left ? "" : ", none free");
	return true;
}

void cli_add_pool(struct text *t, const json_t *pool)
{
	json_int_t leases = cli_int(pool, "leases"), there = cli_int(pool, "connected");
	bool any;

	if (!pool)
		return;
	cli_add_list(t, json_object_get(pool, "ranges"));
	any = add_family(t, ": ", "IPv4", json_object_get(pool, "v4"));
	add_family(t, any ? "; " : ": ", "IPv6", json_object_get(pool, "v6"));
	text_fmt(t, "; %lld %s, %lld absent", (long long)leases, leases == 1 ? "lease" : "leases",
		 (long long)(leases - there));
}

static void print_network(const json_t *n)
{
	const json_t *hub = json_object_get(n, "hub");
	char buf[LINE_LEN];
	struct text t = TEXT_OF(buf);

	text_add(&t, "network     ");
	cli_add(&t, cli_str(n, "name"));
	text_add(&t, ", we are its ");
	cli_add(&t, cli_str(n, "role"));
	text_add(&t, " ");
	cli_add(&t, cli_str(n, "local_id"));
	if (*cli_str(n, "topology")) {
		text_add(&t, ", topology ");
		cli_add(&t, cli_str(n, "topology"));
	}
	add_list(&t, "\n            domain ", json_object_get(n, "domain"));
	add_list(&t, "\n            protect ", json_object_get(n, "protect"));
	if (json_object_get(n, "pool")) {
		text_add(&t, "\n            pool ");
		cli_add_pool(&t, json_object_get(n, "pool"));
	}
	if (hub) {
		text_add(&t, "\n            by hub ");
		cli_add(&t, cli_str(hub, "identity"));
		text_add(&t, " at ");
		cli_add(&t, cli_str(hub, "address"));
	} else {
		add_list(&t, "\n            not connected; hubs ", json_object_get(n, "hubs"));
	}
	printf("%s\n", buf);
}

static void print_networks(const json_t *status)
{
	json_t *n;
	size_t i;

	json_array_foreach(json_object_get(status, "networks"), i, n)
	{
		print_network(n);
	}
}

static void print_redirects(const json_t *status)
{
	json_t *r;
	size_t i;

	json_array_foreach(json_object_get(status, "redirects"), i, r)
	{
		char buf[LINE_LEN];
		struct text t = TEXT_OF(buf);

		text_add(&t, "sending on  ");
		cli_add(&t, *cli_str(r, "peer") ? cli_str(r, "peer") : "all");
		text_add(&t, " to ");
		cli_add(&t, cli_str(r, "gateway"));
		printf("%s\n", buf);
	}
}

/* What gateways gave us. */
static void print_inner(const json_t *status)
{
	json_t *g;
	size_t i;

	json_array_foreach(json_object_get(status, "inner"), i, g)
	{
		char buf[LINE_LEN];
		struct text t = TEXT_OF(buf);

		text_add(&t, "inner       ");
		cli_add_list(&t, json_object_get(g, "addresses"));
		text_add(&t, " from ");
		cli_add(&t, cli_str(g, "peer"));
		if (!cli_bool(g, "up"))
			text_add(&t, ", which is not connected");
		add_list(&t, "\n            name servers ", json_object_get(g, "dns"));
		add_list(&t, " for ", json_object_get(g, "dns_domains"));
		printf("%s\n", buf);
	}
}

/* What becomes of name servers; nothing where there are none. */
static void print_names(const json_t *status)
{
	const json_t *names = json_object_get(status, "names");
	char buf[LINE_LEN];
	struct text t = TEXT_OF(buf);

	if (!*cli_str(names, "text"))
		return;
	text_add(&t, "names       ");
	cli_add(&t, cli_str(names, "state"));
	text_add(&t, ": ");
	cli_add(&t, cli_str(names, "text"));
	printf("%s\n", buf);
}

static void print_store(const json_t *status)
{
	const json_t *s = json_object_get(status, "store");
	char buf[LINE_LEN];
	struct text t = TEXT_OF(buf);

	if (!s)
		return;
	text_add(&t, "store       ");
	if (cli_bool(s, "well")) {
		cli_add(&t, cli_str(s, "file"));
	} else {
		text_add(&t, "FAILS: ");
		cli_add(&t, cli_str(s, "trouble"));
		text_add(&t, "; nobody gets an inner address that is new, who has one keeps it");
	}
	printf("%s\n", buf);
}

static void print_signer(const json_t *status)
{
	const json_t *s = json_object_get(status, "signer");
	json_int_t refused = cli_int(s, "refused_key") + cli_int(s, "refused_shape") +
			     cli_int(s, "refused_rate");
	char buf[LINE_LEN];
	struct text t = TEXT_OF(buf);

	if (!s)
		return;
	text_fmt(&t, "signer      process %lld, %lld done, %lld refused",
		 (long long)cli_int(s, "pid"), (long long)cli_int(s, "done"), (long long)refused);
	if (*cli_str(s, "warning")) {
		text_add(&t, "; ");
		cli_add(&t, cli_str(s, "warning"));
	}
	printf("%s\n", buf);
}

static void print_load(json_t *status)
{
	json_t *l = json_object_get(status, "load");
	char buf[512];
	struct text t = TEXT_OF(buf);

	if (!l)
		return;
	text_add(&t, "load        ");
	cli_add(&t, cli_str(l, "level"));
	text_fmt(&t, ", %lld of %lld half-open from %lld prefixes",
		 (long long)cli_int(l, "half_open"), (long long)cli_int(l, "half_open_max"),
		 (long long)cli_int(l, "prefixes"));
	if (*cli_str(l, "worst_prefix")) {
		text_add(&t, ", most from ");
		cli_add(&t, cli_str(l, "worst_prefix"));
		text_fmt(&t, " (%lld)", (long long)cli_int(l, "worst_half_open"));
	}
	if (cli_int(l, "puzzle_bits"))
		text_fmt(&t, ", puzzles of %lld bits", (long long)cli_int(l, "puzzle_bits"));
	printf("%s\n", buf);
}

void cli_print_status(json_t *status)
{
	json_t *dp = json_object_get(status, "dataplane");
	char buf[512];
	struct text t = TEXT_OF(buf);

	text_add(&t, "warrend ");
	cli_add(&t, cli_str(status, "version"));
	text_fmt(&t, ", process %lld, running for ", (long long)cli_int(status, "pid"));
	cli_add_duration(&t, cli_int(status, "uptime_s"));
	text_fmt(&t, "\nIKE SAs     %lld, of them %lld half-open\nchild SAs   %lld\ndata plane  ",
		 (long long)cli_int(status, "ike_sas"), (long long)cli_int(status, "half_open"),
		 (long long)cli_int(status, "child_sas"));
	cli_add(&t, cli_str(dp, "kind"));
	text_add(&t, ", interface ");
	cli_add(&t, cli_str(dp, "interface"));
	text_fmt(&t, ", MTU %lld\n", (long long)cli_int(dp, "mtu"));
	printf("%s", buf);
	print_load(status);
	print_networks(status);
	print_inner(status);
	print_names(status);
	print_redirects(status);
	print_store(status);
	print_signer(status);
	printf("counters that are not zero:\n");
	print_counters(json_object_get(status, "counters"), json_object_get(dp, "counters"));
}
