#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

enum {
	LINE_MAX_LEN = 2048,
};

enum column {
	COL_NAME,
	COL_STATE,
	COL_ADDRESS,
	COL_PREFIXES,
	COL_IN,
	COL_OUT,
	COLUMNS,
};

/* ---- the table --------------------------------------------------------------------------- */

/* The SA that carries traffic: the first that is established, and answers if one does. */
static const json_t *main_sa(const json_t *peer)
{
	json_t *sas = json_object_get(peer, "ike_sas"), *sa;
	const json_t *found = NULL;
	size_t i;

	json_array_foreach(sas, i, sa)
	{
		if (strcmp(cli_str(sa, "state"), "established") != 0)
			continue;
		if (!cli_bool(sa, "suspect"))
			return sa;
		found = found ? found : sa;
	}
	return found ? found : json_array_get(sas, 0);
}

static json_int_t sum(const json_t *peer, const char *key)
{
	json_t *sas = json_object_get(peer, "ike_sas"), *sa, *child;
	json_int_t n = 0;
	size_t i, k;

	json_array_foreach(sas, i, sa)
	{
		json_array_foreach(json_object_get(sa, "child_sas"), k, child)
		{
			n += cli_int(child, key);
		}
	}
	return n;
}

/* What members come by: it has no tunnel of its own, so it is neither up nor down. */
static bool is_hub(const json_t *peer)
{
	return strcmp(cli_str(peer, "kind"), "network") == 0 &&
	       strcmp(cli_str(peer, "role"), "hub") == 0;
}

static const char *state_of(const json_t *peer)
{
	const char *state = cli_str(peer, "state");

	if (is_hub(peer))
		return "hub";
	if (strcmp(state, "up") != 0)
		return state;
	if (cli_bool(main_sa(peer), "suspect"))
		return "suspect";
	/* Of several hubs that a site is attached to, another one has the traffic. */
	return json_is_false(json_object_get(peer, "leads")) ? "standby" : state;
}

static void peer_row(const json_t *peer, struct cli_row *ret)
{
	const json_t *sa = main_sa(peer);
	const json_t *child = json_array_get(json_object_get(sa, "child_sas"), 0);
	struct text t[COLUMNS];

	for (size_t i = 0; i < COLUMNS; i++)
		t[i] = TEXT_OF(ret->cell[i]);
	cli_add(&t[COL_NAME], cli_str(peer, "name"));
	cli_add(&t[COL_STATE], state_of(peer));
	cli_add(&t[COL_ADDRESS], sa ? cli_str(sa, "remote") : "");
	cli_add_list(&t[COL_PREFIXES], is_hub(peer) ? json_object_get(peer, "domain")
						    : json_object_get(child, "remote_ts"));
	if (!child)
		return;
	cli_add_bytes(&t[COL_IN], sum(peer, "bytes_in"));
	cli_add_bytes(&t[COL_OUT], sum(peer, "bytes_out"));
}

/* ---- one peer in full -------------------------------------------------------------------- */

/* What will become of it; nothing for one without limits. */
static void add_life(struct text *t, const json_t *sa)
{
	static const struct {
		const char *key, *what;
	} rows[] = { { "rekey_in_s", "rekeyed" },
		     { "reauth_in_s", "authenticated anew" },
		     { "end_in_s", "ends" } };
	const char *sep = "\n      ";

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!json_object_get(sa, rows[i].key))
			continue;
		text_fmt(t, "%s%s in ", sep, rows[i].what);
		cli_add_duration(t, cli_int(sa, rows[i].key));
		sep = ", ";
	}
}

static void print_child(const json_t *child)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	text_add(&t, "    child ");
	cli_add(&t, cli_str(child, "spi_in"));
	text_add(&t, " in, ");
	cli_add(&t, cli_str(child, "spi_out"));
	text_add(&t, " out  ");
	cli_add(&t, cli_str(child, "proposal"));
	text_add(&t, "  ");
	cli_add_duration(&t, cli_int(child, "age_s"));
	text_add(&t, "\n      ");
	cli_add_list(&t, json_object_get(child, "local_ts"));
	text_add(&t, " <-> ");
	cli_add_list(&t, json_object_get(child, "remote_ts"));
	text_add(&t, "\n      in ");
	cli_add_bytes(&t, cli_int(child, "bytes_in"));
	text_fmt(&t, " (%lld packets), out ", (long long)cli_int(child, "packets_in"));
	cli_add_bytes(&t, cli_int(child, "bytes_out"));
	text_fmt(&t, " (%lld packets)", (long long)cli_int(child, "packets_out"));
	add_life(&t, child);
	printf("%s\n", buf);
}

static const char *nat_text(const json_t *sa)
{
	bool here = cli_bool(sa, "nat_local"), there = cli_bool(sa, "nat_remote");

	if (here && there)
		return ", both behind a NAT";
	return here ? ", we are behind a NAT" : there ? ", it is behind a NAT" : "";
}

static const char *moving_text(const json_t *sa)
{
	if (cli_bool(sa, "checking"))
		return ", it has to show yet that it is there";
	return cli_bool(sa, "mobike") ? ", may move" : "";
}

static void print_sa(const json_t *sa)
{
	json_t *children = json_object_get(sa, "child_sas");
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	text_add(&t, "  IKE ");
	cli_add(&t, cli_str(sa, "spi_i"));
	text_add(&t, cli_bool(sa, "initiator") ? " (ours) " : " ");
	cli_add(&t, cli_str(sa, "spi_r"));
	text_add(&t, cli_bool(sa, "initiator") ? "  " : " (ours)  ");
	cli_add(&t, cli_str(sa, "state"));
	text_add(&t, cli_bool(sa, "suspect") ? ", does not answer  " : "  ");
	cli_add_duration(&t, cli_int(sa, "age_s"));
	text_add(&t, "\n    ");
	cli_add(&t, cli_str(sa, "local"));
	text_add(&t, " -> ");
	cli_add(&t, cli_str(sa, "remote"));
	text_add(&t, nat_text(sa));
	text_add(&t, moving_text(sa));
	if (cli_int(sa, "path_mtu"))
		text_fmt(&t, ", path MTU %lld%s", (long long)cli_int(sa, "path_mtu"),
			 cli_bool(sa, "path_mtu_probed")    ? ""
			 : cli_bool(sa, "path_mtu_assumed") ? " (assumed)"
							    : " (as ICMP says)");
	text_add(&t, "\n    ");
	cli_add(&t, cli_str(sa, "proposal"));
	text_add(&t, ", we by ");
	cli_add(&t, cli_str(sa, "auth_local"));
	text_add(&t, ", it by ");
	cli_add(&t, cli_str(sa, "auth_remote"));
	if (cli_bool(sa, "ppk"))
		text_add(&t, ", with a post-quantum key");
	add_life(&t, sa);
	printf("%s\n", buf);
	for (size_t i = 0; i < json_array_size(children); i++)
		print_child(json_array_get(children, i));
}

static void print_line(const char *name, const char *value)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	if (!*value)
		return;
	cli_add(&t, value);
	printf("  %s: %s\n", name, buf);
}

static void print_list(const char *name, const json_t *list)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	cli_add_list(&t, list);
	if (t.n)
		printf("  %s: %s\n", name, buf);
}

static void print_sas(const json_t *peer)
{
	json_t *sas = json_object_get(peer, "ike_sas"), *sa;
	size_t i;

	json_array_foreach(sas, i, sa)
	{
		print_sa(sa);
	}
}

/* A hub's is about somebody who called and is no member. */
static const char *error_name(const json_t *peer)
{
	return is_hub(peer) ? "last refused" : "last error";
}

static void print_redirect(const json_t *r)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	if (!r)
		return;
	text_add(&t, "by ");
	cli_add(&t, cli_str(r, "by"));
	text_add(&t, *cli_str(r, "gateway") ? " to " : ", which came to nothing");
	cli_add(&t, cli_str(r, "gateway"));
	if (json_object_get(r, "held_s")) {
		text_add(&t, "; nowhere else for ");
		cli_add_duration(&t, cli_int(r, "held_s"));
	}
	printf("  sent on: %s\n", buf);
}

static void print_pool(const json_t *pool)
{
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	cli_add_pool(&t, pool);
	if (t.n)
		printf("  pool: %s\n", buf);
}

static void print_details(const json_t *peer)
{
	print_line("kind", cli_str(peer, "kind"));
	if (!is_hub(peer))
		print_line("role", cli_str(peer, "role"));
	print_line("topology", cli_str(peer, "topology"));
	print_line("of", cli_str(peer, "section"));
	print_line("we are", cli_str(peer, "local_id"));
	if (!is_hub(peer)) {
		print_line("it is", cli_str(peer, "remote_id"));
		print_line("start", cli_str(peer, "start"));
	}
	print_list("protect", json_object_get(peer, "protect"));
	print_list("domain", json_object_get(peer, "domain"));
	print_list("authorised", json_object_get(peer, "authorised"));
	print_line("authority", cli_str(peer, "authority"));
	print_list("inner", json_object_get(peer, "inner"));
	print_pool(json_object_get(peer, "pool"));
	print_line(error_name(peer), cli_str(peer, "last_error"));
	print_redirect(json_object_get(peer, "redirect"));
	print_sas(peer);
}

/* ---- all --------------------------------------------------------------------------------- */

/* The network before its members. */
static int by_name(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

	if (is_hub(*x) != is_hub(*y))
		return is_hub(*x) ? -1 : 1;
	return strcmp(cli_str(*x, "name"), cli_str(*y, "name"));
}

/* Borrowed references, in the order of names. */
static json_t **sorted(json_t *peers)
{
	size_t n = json_array_size(peers);
	json_t **list = calloc(n ? n : 1, sizeof(json_t *));

	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = json_array_get(peers, i);
	qsort(list, n, sizeof(json_t *), by_name);
	return list;
}

static void print_error(const json_t *peer)
{
	if (strcmp(cli_str(peer, "state"), "up") != 0)
		print_line(error_name(peer), cli_str(peer, "last_error"));
}

void cli_print_peers(json_t *result)
{
	static const struct cli_row head = { { "PEER", "STATE", "ADDRESS", "PREFIXES", "IN",
					       "OUT" } };
	json_t *peers = json_object_get(result, "peers");
	size_t n = json_array_size(peers);
	struct cli_table table = { .columns = COLUMNS };
	json_t **list = sorted(peers);
	struct cli_row row;

	if (!list)
		return;
	cli_table_fit(&table, &head);
	for (size_t i = 0; i < n; i++) {
		peer_row(list[i], &row);
		cli_table_fit(&table, &row);
	}
	cli_table_print(&table, &head);
	for (size_t i = 0; i < n; i++) {
		peer_row(list[i], &row);
		cli_table_print(&table, &row);
		print_error(list[i]);
	}
	free(list);
}

void cli_print_peers_fully(json_t *result)
{
	json_t *peers = json_object_get(result, "peers");
	json_t **list = sorted(peers);

	for (size_t i = 0; list && i < json_array_size(peers); i++) {
		char buf[LINE_MAX_LEN];
		struct text t = TEXT_OF(buf);

		cli_add(&t, cli_str(list[i], "name"));
		text_add(&t, "  ");
		cli_add(&t, state_of(list[i]));
		printf("%s\n", buf);
		print_details(list[i]);
	}
	free(list);
}
