#include <stdio.h>

#include "cli/cli.h"

enum column {
	COL_NETWORK,
	COL_IDENTITY,
	COL_V4,
	COL_V6,
	COL_STATE,
	COL_SINCE,
	COLUMNS,
};

static void lease_row(const json_t *lease, struct cli_row *ret)
{
	static const char *const keys[COLUMNS] = { "network", "identity", "v4",
						   "v6",      "state",    "since" };

	for (size_t i = 0; i < COLUMNS; i++) {
		struct text t = TEXT_OF(ret->cell[i]);

		cli_add(&t, cli_str(lease, keys[i]));
		if (i == COL_STATE && *cli_str(lease, "ended")) {
			text_add(&t, " ");
			cli_add(&t, cli_str(lease, "ended"));
		}
	}
}

void cli_print_leases(json_t *result)
{
	static const struct cli_row head = { { "NETWORK", "IDENTITY", "IPV4", "IPV6", "STATE",
					       "SINCE" } };
	struct cli_table table = { .columns = COLUMNS };
	json_t *list = json_object_get(result, "leases"), *lease;
	struct cli_row row;
	size_t i;

	if (*cli_str(result, "trouble")) {
		char buf[1024];
		struct text t = TEXT_OF(buf);

		cli_add(&t, cli_str(result, "trouble"));
		printf("nobody can be given another: %s\n", buf);
	}
	cli_table_fit(&table, &head);
	json_array_foreach(list, i, lease)
	{
		lease_row(lease, &row);
		cli_table_fit(&table, &row);
	}
	cli_table_print(&table, &head);
	json_array_foreach(list, i, lease)
	{
		lease_row(lease, &row);
		cli_table_print(&table, &row);
	}
}
