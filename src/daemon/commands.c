/* commands.c - what the control socket can ask of the daemon. */
#include "daemon/inner.h"
#include "daemon/leases.h"
#include "daemon/reload.h"
#include "daemon/shortcuts.h"
#include "daemon/status.h"
#include "daemon/why.h"

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

/* ---- arguments --------------------------------------------------------------------------- */

/* An argument that may be absent; false and an error when it is of another type. */
static bool text_arg(json_t *request, const char *key, struct text *error, const char **ret)
{
	json_t *v = json_object_get(request, key);

	*ret = json_string_value(v);
	if (!v || *ret)
		return true;
	text_fmt(error, "\"%s\" has to be a string", key);
	return false;
}

static bool number_arg(json_t *request, const char *key, json_int_t min, json_int_t max,
		       struct text *error, uint64_t *number)
{
	json_t *v = json_object_get(request, key);
	json_int_t n = json_integer_value(v);

	if (!v)
		return true;
	if (!json_is_integer(v) || n < min || n > max) {
		text_fmt(error, "\"%s\" has to be a number from %lld to %lld", key, (long long)min,
			 (long long)max);
		return false;
	}
	*number = (uint64_t)n;
	return true;
}

static json_t *cmd_peers(struct host *h, json_t *request, struct text *error)
{
	struct status_page page = { 0 };
	uint64_t limit = STATUS_PAGE;

	if (!text_arg(request, "peer", error, &page.match) ||
	    !number_arg(request, "after", 0, INT64_MAX, error, &page.after) ||
	    !number_arg(request, "limit", 1, STATUS_PAGE_MAX, error, &limit))
		return NULL;
	page.limit = (size_t)limit;
	return or_no_memory(status_peers_json(h, &page), error);
}

static json_t *cmd_leases(struct host *h, json_t *request, struct text *error)
{
	struct leases_page page = { 0 };
	uint64_t limit = STATUS_PAGE;

	if (!number_arg(request, "after", 0, INT64_MAX, error, &page.after) ||
	    !number_arg(request, "limit", 1, STATUS_PAGE_MAX, error, &limit))
		return NULL;
	page.limit = (size_t)limit;
	return or_no_memory(leases_json(h, &page), error);
}

static bool bool_arg(json_t *request, const char *key, struct text *error, bool *ret)
{
	json_t *v = json_object_get(request, key);

	*ret = json_is_true(v);
	if (!v || json_is_boolean(v))
		return true;
	text_fmt(error, "\"%s\" has to be true or false", key);
	return false;
}

static json_t *cmd_shortcuts(struct host *h, json_t *request, struct text *error)
{
	struct shortcuts_page page = { 0 };
	uint64_t limit = STATUS_PAGE;

	if (!bool_arg(request, "members", error, &page.members) ||
	    !text_arg(request, "peer", error, &page.match) ||
	    !number_arg(request, "after", 0, INT64_MAX, error, &page.after) ||
	    !number_arg(request, "limit", 1, STATUS_PAGE_MAX, error, &limit))
		return NULL;
	page.limit = (size_t)limit;
	return or_no_memory(shortcuts_json(h, &page), error);
}

static json_t *cmd_reload(struct host *h, json_t *request, struct text *error)
{
	bool dry_run;

	if (!bool_arg(request, "dry_run", error, &dry_run))
		return NULL;
	return reload_run(h, dry_run, error);
}

static json_t *cmd_why(struct host *h, json_t *request, struct text *error)
{
	const char *subject;

	if (!text_arg(request, "peer", error, &subject))
		return NULL;
	return why_json(h, subject, error);
}

/* ---- commands about one peer ------------------------------------------------------------- */

struct search {
	const char *name;
	ike_peer_id found;
};

static bool on_peer(void *ctx, const struct ike_peer_info *p)
{
	struct search *s = ctx;

	if (strcmp(p->name, s->name) == 0)
		s->found = p->id;
	return s->found == 0;
}

/* Of several hubs the first has the network's name, and is meant alone as "network/hub". */
static ike_peer_id first_hub(const struct host *h, const char *name)
{
	for (size_t i = 0; i < h->ike_conf->n_peers; i++) {
		const struct ike_peer_conf *c = &h->ike_conf->peers[i];
		size_t n = c->network ? strlen(c->network) : 0;

		if (c->network && !c->rank && c->n_addresses && strncmp(name, c->network, n) == 0 &&
		    name[n] == '/' && strcmp(name + n + 1, c->addresses[0]) == 0)
			return c->id;
	}
	return 0;
}

/* The engine's number of the peer that "peer" names; 0 and an error when there is none. */
static ike_peer_id named_peer(const struct host *h, json_t *request, struct text *error)
{
	struct search s = { .name = json_string_value(json_object_get(request, "peer")) };
	uint64_t number;

	if (!s.name) {
		text_add(error, "\"peer\" has to be the name of a peer");
		return 0;
	}
	ike_each_peer(h->ike, plat_now(), 0, on_peer, &s);
	if (!s.found)
		s.found = first_hub(h, s.name);
	if (s.found || shortcuts_find(h, s.name, &number, &s.found))
		return s.found;
	text_add(error, "no peer \"");
	text_quote(error, bytes_str(s.name));
	text_add(error, "\"");
	return 0;
}

/* A network is all of its hubs; done with one of them it is done. */
static enum status command_engine(struct host *h, const struct ike_cmd *about, const char *name)
{
	enum status st = ike_command(h->ike, plat_now(), about);

	for (size_t i = 0; i < h->ike_conf->n_peers; i++) {
		const struct ike_peer_conf *c = &h->ike_conf->peers[i];
		struct ike_cmd cmd = *about;

		cmd.peer = c->id;
		if (c->network && strcmp(c->network, name) == 0 && c->id != about->peer &&
		    ike_command(h->ike, plat_now(), &cmd) == ST_OK)
			st = ST_OK;
	}
	return st;
}

/* `why_not`: what it means that the engine has nobody to do it with. */
static json_t *command_peer(struct host *h, enum ike_cmd_kind kind, json_t *request,
			    const char *why_not, struct text *error)
{
	struct ike_cmd cmd = { .kind = kind, .peer = named_peer(h, request, error) };

	if (cmd.peer == 0)
		return NULL;
	if (h->stopping) {
		text_add(error, "the daemon is ending");
		return NULL;
	}
	if (command_engine(h, &cmd, json_string_value(json_object_get(request, "peer"))) != ST_OK) {
		text_add(error, why_not);
		return NULL;
	}
	wiring_drain(h);
	return or_no_memory(json_object(), error);
}

static json_t *cmd_up(struct host *h, json_t *request, struct text *error)
{
	return command_peer(h, IKE_CMD_UP, request, "the peer has no address to connect to", error);
}

static json_t *cmd_rekey(struct host *h, json_t *request, struct text *error)
{
	bool ike;

	if (!bool_arg(request, "ike", error, &ike))
		return NULL;
	return command_peer(h, ike ? IKE_CMD_REKEY_SA : IKE_CMD_REKEY_CHILD, request,
			    "the peer has nothing that is up", error);
}

/* A direct tunnel ends so that its hub knows, and does not suggest it again at once. */
static json_t *withdraw(struct host *h, uint64_t number, struct text *error)
{
	if (h->stopping || mesh_withdraw(h->mesh, plat_now(), number) != ST_OK) {
		text_add(error, h->stopping ? "the daemon is ending" : "there is no such tunnel");
		return NULL;
	}
	wiring_drain(h);
	return or_no_memory(json_object(), error);
}

static json_t *cmd_down(struct host *h, json_t *request, struct text *error)
{
	const char *peer = json_string_value(json_object_get(request, "peer"));
	uint64_t number;
	ike_peer_id partner;

	if (peer && shortcuts_find(h, peer, &number, &partner))
		return withdraw(h, number, error);
	if (peer)
		inner_down(h, peer);
	if (json_object_get(request, "peer"))
		return command_peer(h, IKE_CMD_DOWN, request, "there is no such peer", error);
	host_shutdown(h, "command down");
	return or_no_memory(json_object(), error);
}

/* ---- redirect ---------------------------------------------------------------------------- */

/* Whom it is about: one, or with "all", and with "off" alone, everybody. */
static bool redirect_args(struct host *h, json_t *request, struct text *error, struct ike_cmd *cmd)
{
	bool all, off, named = json_object_get(request, "peer");

	if (!bool_arg(request, "all", error, &all) || !bool_arg(request, "off", error, &off) ||
	    !text_arg(request, "gateway", error, &cmd->gateway))
		return false;
	cmd->kind = off ? IKE_CMD_REDIRECT_OFF : IKE_CMD_REDIRECT;
	if (off == (cmd->gateway != NULL) || (named && all) || (!named && !all && !off)) {
		text_add(error, "it takes a \"gateway\" and a \"peer\" or \"all\", or \"off\"");
		return false;
	}
	if (named)
		cmd->peer = named_peer(h, request, error);
	return !named || cmd->peer;
}

static void explain_gateway(const struct ike_cmd *cmd, struct text *error)
{
	if (!cmd->gateway) {
		text_add(error, "that is who we call, and is never sent on");
		return;
	}
	text_add(error, "\"");
	text_quote(error, bytes_str(cmd->gateway));
	text_add(error, "\": nobody can be sent there (a gateway is the IP address of a host, or a "
			"host name), or it is who we call");
}

static void explain_redirect(enum status st, const struct ike_cmd *cmd, struct text *error)
{
	if (st == ST_REFUSE && cmd->kind == IKE_CMD_REDIRECT)
		text_add(error, "it is not connected, or did not say that it can be sent on "
				"(RFC 5685), or we called it");
	else if (st == ST_REFUSE)
		text_add(error, "nobody is being sent on");
	else if (st == ST_AGAIN)
		text_add(error, "too many orders: end some with \"off\"");
	else if (st == ST_INVAL)
		explain_gateway(cmd, error);
	else
		text_add(error, "out of memory");
}

static json_t *cmd_redirect(struct host *h, json_t *request, struct text *error)
{
	struct ike_cmd cmd = { 0 };
	enum status st;

	if (!redirect_args(h, request, error, &cmd))
		return NULL;
	if (h->stopping) {
		text_add(error, "the daemon is ending");
		return NULL;
	}
	st = ike_command(h->ike, plat_now(), &cmd);
	wiring_drain(h);
	if (st == ST_OK)
		return or_no_memory(json_object(), error);
	explain_redirect(st, &cmd, error);
	return NULL;
}

static const struct command commands[] = {
	{ "down", cmd_down },
	{ "leases", cmd_leases },
	{ "peers", cmd_peers },
	{ "redirect", cmd_redirect },
	{ "rekey", cmd_rekey },
	{ "reload", cmd_reload },
	{ "shortcuts", cmd_shortcuts },
	{ "status", cmd_status },
	{ "up", cmd_up },
	{ "why", cmd_why },
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
