#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

enum {
	LINE_MAX_LEN = 2048,
};

enum column {
	COL_NAME,
	COL_STATE,
	COL_START,
	COL_REMOTE,
	COLUMNS,
};

static void peer_row(const json_t *peer, struct cli_row *ret)
{
	static const char *const key[COLUMNS] = {
		[COL_NAME] = "name",
		[COL_STATE] = "state",
		[COL_START] = "start",
		[COL_REMOTE] = "remote_id",
	};

	for (size_t i = 0; i < COLUMNS; i++) {
		struct text t = TEXT_OF(ret->cell[i]);

		cli_add(&t, cli_str(peer, key[i]));
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
	printf("%s\n", buf);
}

static const char *nat_text(const json_t *sa)
{
	bool here = cli_bool(sa, "nat_local"), there = cli_bool(sa, "nat_remote");

	if (here && there)
		return ", both behind a NAT";
	return here ? ", we are behind a NAT" : there ? ", it is behind a NAT" : "";
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
	text_add(&t, "  ");
	cli_add_duration(&t, cli_int(sa, "age_s"));
	text_add(&t, "\n    ");
	cli_add(&t, cli_str(sa, "local"));
	text_add(&t, " -> ");
	cli_add(&t, cli_str(sa, "remote"));
	text_add(&t, nat_text(sa));
	text_add(&t, "\n    ");
	cli_add(&t, cli_str(sa, "proposal"));
	text_add(&t, ", we by ");
	cli_add(&t, cli_str(sa, "auth_local"));
	text_add(&t, ", it by ");
	cli_add(&t, cli_str(sa, "auth_remote"));
	printf("%s\n", buf);
	for (size_t i = 0; i < json_array_size(children); i++)
		print_child(json_array_get(children, i));
}

static void print_details(const json_t *peer)
{
	json_t *sas = json_object_get(peer, "ike_sas");
	const char *error = cli_str(peer, "last_error");
	char buf[LINE_MAX_LEN];
	struct text t = TEXT_OF(buf);

	if (*error) {
		cli_add(&t, error);
		printf("  last error: %s\n", buf);
	}
	for (size_t i = 0; i < json_array_size(sas); i++)
		print_sa(json_array_get(sas, i));
}

static int by_name(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

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

void cli_print_peers(json_t *result)
{
	static const struct cli_row head = { { "PEER", "STATE", "START", "IDENTITY" } };
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
		print_details(list[i]);
	}
	free(list);
}
