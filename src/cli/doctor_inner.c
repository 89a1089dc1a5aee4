/*
 * doctor_inner.c - inner addresses: what the running daemon says of its store, when it gives some,
 * and of the name servers that it was given.
 */
#include "cli/doctor.h"

static void add_servers(struct text *t, const json_t *status)
{
	json_t *inner;
	size_t i;

	json_array_foreach(json_object_get(status, "inner"), i, inner)
	{
		if (json_array_size(json_object_get(inner, "dns")) == 0)
			continue;
		cli_add_list(t, json_object_get(inner, "dns"));
		if (json_array_size(json_object_get(inner, "dns_domains"))) {
			text_add(t, " for ");
			cli_add_list(t, json_object_get(inner, "dns_domains"));
		}
		return;
	}
}

void doctor_names(struct doctor *d)
{
	const json_t *names = json_object_get(d->status, "names");
	const char *state = cli_str(names, "state");
	struct finding f;

	if (strcmp(state, "set") == 0)
		doctor_ok(d, "names", "systemd-resolved asks the network's name servers");
	if (strcmp(state, "absent") != 0 && strcmp(state, "refused") != 0)
		return;
	doctor_begin(&f, "names", DOCTOR_WARNING);
	text_add(&f.t, "systemd-resolved does not ask the network's name servers, ");
	add_servers(&f.t, d->status);
	text_add(&f.t, ": ");
	cli_add(&f.t, cli_str(names, "text"));
	text_add(&f.w, "names of the network are not found, or somebody else is asked for them");
	if (strcmp(state, "absent") == 0)
		text_add(&f.m, "apt install systemd-resolved, or the servers where this host's "
			       "resolver is told about such");
	else
		text_add(&f.m, "leave the device to warrend: a [Match] on its name with "
			       "Unmanaged=yes (systemd.network(5)), or its like elsewhere");
	doctor_end(d, &f);
}

void doctor_store(struct doctor *d)
{
	const json_t *store = json_object_get(d->status, "store");
	struct finding f;

	if (!store)
		return;
	if (cli_bool(store, "well")) {
		doctor_ok(d, "store", "%s is written", cli_str(store, "file"));
		return;
	}
	doctor_begin(&f, "store", DOCTOR_PROBLEM);
	cli_add(&f.t, cli_str(store, "trouble"));
	text_add(&f.w,
		 "nobody who has no inner address yet is given one, because it might be given "
		 "to somebody else after a crash");
	text_add(&f.m, "space on that disk, or another file of that name: one that was saved, or "
		       "none for a store without leases; the daemon notices by itself");
	doctor_end(d, &f);
}
