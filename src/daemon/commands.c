/* commands.c - what the control socket can ask of the daemon. */
#include "daemon/status.h"

/* Every command answers with an object or with a reason. */
struct command {
	const char *name;
	json_t *(*run)(struct host *h, json_t *request, struct text *error);
};

static json_t *or_no_memory(json_t *result, struct text *error)
{
	if (!result)
		text_add(error, "out of memory");
	return result;
}

static json_t *cmd_status(struct host *h, json_t *request, struct text *error)
{
	(void)request;
	return or_no_memory(status_json(h), error);
}

static json_t *cmd_peers(struct host *h, json_t *request, struct text *error)
{
	(void)request;
	return or_no_memory(status_peers_json(h), error);
}

/* The engine's number of the peer that "peer" names; 0 and an error when there is none. */
static ike_peer_id named_peer(const struct host *h, json_t *request, struct text *error)
{
	const char *name = json_string_value(json_object_get(request, "peer"));

	if (!name) {
		text_add(error, "\"peer\" has to be the name of a peer");
		return 0;
	}
	for (size_t i = 0; i < h->ike_conf->n_peers; i++)
		if (strcmp(h->ike_conf->peers[i].name, name) == 0)
			return h->ike_conf->peers[i].id;
	text_add(error, "no peer \"");
	text_quote(error, bytes_str(name));
	text_add(error, "\"");
	return 0;
}

static json_t *command_peer(struct host *h, enum ike_cmd_kind kind, json_t *request,
			    struct text *error)
{
	struct ike_cmd cmd = { .kind = kind, .peer = named_peer(h, request, error) };

	if (cmd.peer == 0)
		return NULL;
	if (h->stopping) {
		text_add(error, "the daemon is ending");
		return NULL;
	}
	if (ike_command(h->ike, plat_now(), &cmd) != ST_OK) {
		text_add(error, "the peer has no address to connect to");
		return NULL;
	}
	wiring_drain(h);
	return or_no_memory(json_object(), error);
}

static json_t *cmd_up(struct host *h, json_t *request, struct text *error)
{
	return command_peer(h, IKE_CMD_UP, request, error);
}

static json_t *cmd_down(struct host *h, json_t *request, struct text *error)
{
	if (json_object_get(request, "peer"))
		return command_peer(h, IKE_CMD_DOWN, request, error);
	host_shutdown(h, "command down");
	return or_no_memory(json_object(), error);
}

static const struct command commands[] = {
	{ "down", cmd_down },
	{ "peers", cmd_peers },
	{ "status", cmd_status },
	{ "up", cmd_up },
};

json_t *commands_handle(void *host, const char *cmd, json_t *request, struct text *error)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, cmd) == 0)
			return commands[i].run(host, request, error);
	text_add(error, "unknown command \"");
	text_quote(error, bytes_str(cmd));
	text_add(error, "\", known here:");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		text_fmt(error, " %s", commands[i].name);
	text_add(error, " watch");
	return NULL;
}
