/*
 * remote.c - the commands that ask the daemon.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

enum cli_exit cli_complain(const struct cli *cli, enum cli_exit code, const char *why)
{
	char buf[CTL_ERROR_MAX * 4];
	struct text t = TEXT_OF(buf);
	json_t *o;

	if (code == CLI_UNREACHABLE)
		text_fmt(&t, "daemon at %s: ", cli->socket);
	cli_add(&t, why);
	if (code == CLI_UNREACHABLE && access(cli->socket, F_OK) == 0 &&
	    access(cli->socket, W_OK) < 0 && errno == EACCES)
		text_add(&t, ": it takes root, or the group of the socket");
	o = cli->json ? json_pack("{s:s}", "error", buf) : NULL;
	fprintf(stderr, "warren: %s\n", buf);
	if (o)
		cli_print_json(o, false);
	json_decref(o);
	return code;
}

static enum cli_exit dial(const struct cli *cli, struct ctl_client **ret_client)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);

	if (ctl_client_new(cli->socket, &why, ret_client) == ST_OK)
		return CLI_OK;
	return cli_complain(cli, CLI_UNREACHABLE, why.n ? buf : "out of memory");
}

/* `args` is taken. */
static enum cli_exit call(const struct cli *cli, struct ctl_client *c, const char *cmd,
			  json_t *args, json_t **ret_result)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = ctl_client_call(c, cmd, args, &why, ret_result);

	json_decref(args);
	if (st == ST_OK)
		return CLI_OK;
	return cli_complain(cli, st == ST_REFUSE ? CLI_FAILED : CLI_UNREACHABLE,
			    why.n ? buf : "out of memory");
}

/* One command on a connection of its own. */
static enum cli_exit ask(const struct cli *cli, const char *cmd, json_t *args, json_t **ret_result)
{
	struct ctl_client *c;
	enum cli_exit code = dial(cli, &c);

	if (code != CLI_OK) {
		json_decref(args);
		return code;
	}
	code = call(cli, c, cmd, args, ret_result);
	ctl_client_free(c);
	return code;
}

static enum cli_exit show(const struct cli *cli, const char *cmd, void (*print)(json_t *))
{
	json_t *result;
	enum cli_exit code = ask(cli, cmd, NULL, &result);

	if (code != CLI_OK)
		return code;
	if (cli->json)
		cli_print_json(result, false);
	else
		print(result);
	json_decref(result);
	return CLI_OK;
}

enum cli_exit cli_status(const struct cli *cli)
{
	return show(cli, "status", cli_print_status);
}

/* ---- peers, leases, shortcuts ---- */

/* Takes the lists of `page` over, and what else it says; false at the end, or when the daemon goes
 * in circles. */
static bool append_page(json_t *all, json_t *page, json_int_t *after)
{
	json_int_t next = cli_int(page, "next");
	const char *key;
	json_t *v;

	json_object_del(page, "next");
	json_object_foreach(page, key, v)
	{
		json_t *list = json_object_get(all, key);

		if (!json_is_array(v) || !list)
			json_object_set(all, key, v);
		else if (json_array_extend(list, v))
			return false;
	}
	if (next <= *after)
		return false;
	*after = next;
	return true;
}

/* `args` (which is taken) goes with the question for each page. */
static enum cli_exit all_pages(const struct cli *cli, struct ctl_client *c, const char *cmd,
			       json_t *args, json_t *all)
{
	enum cli_exit code = CLI_OK;
	json_int_t after = 0;
	bool more = true;

	if (args && cli->arg)
		json_object_set_new(args, "peer", json_string(cli->arg));
	while (more && code == CLI_OK) {
		json_t *page;

		json_object_set_new(args, "after", json_integer(after));
		code = call(cli, c, cmd, json_incref(args), &page);
		if (code != CLI_OK)
			break;
		more = append_page(all, page, &after);
		json_decref(page);
	}
	json_decref(args);
	return code;
}

/* All pages of what `cmd` has, given to `print` unless it is to be JSON. */
static enum cli_exit show_pages(const struct cli *cli, const char *cmd, json_t *args,
				enum cli_exit (*print)(const struct cli *cli, json_t *all))
{
	json_t *all = json_object();
	struct ctl_client *c;
	enum cli_exit code = dial(cli, &c);

	if (code == CLI_OK) {
		code = all_pages(cli, c, cmd, args, all);
		ctl_client_free(c);
	} else {
		json_decref(args);
	}
	if (code == CLI_OK)
		code = print(cli, all);
	json_decref(all);
	return code;
}

static enum cli_exit print_peers(const struct cli *cli, json_t *all)
{
	size_t n = json_array_size(json_object_get(all, "peers"));

	if (cli->arg && n == 0)
		return cli_complain(cli, CLI_FAILED, "no such peer; \"warren why\" may know more");
	if (cli->json)
		cli_print_json(all, false);
	else if (cli->arg)
		cli_print_peers_fully(all);
	else
		cli_print_peers(all);
	return CLI_OK;
}

enum cli_exit cli_peers(const struct cli *cli)
{
	return show_pages(cli, "peers", json_object(), print_peers);
}

static enum cli_exit print_leases(const struct cli *cli, json_t *all)
{
	if (cli->json)
		cli_print_json(all, false);
	else
		cli_print_leases(all);
	return CLI_OK;
}

enum cli_exit cli_leases(const struct cli *cli)
{
	return show_pages(cli, "leases", json_object(), print_leases);
}

static enum cli_exit print_shortcuts(const struct cli *cli, json_t *all)
{
	if (cli->json)
		cli_print_json(all, false);
	else if (cli->members)
		cli_print_directory(all);
	else
		cli_print_shortcuts(all, cli->verbose || cli->arg);
	return CLI_OK;
}

enum cli_exit cli_shortcuts(const struct cli *cli)
{
	return show_pages(cli, "shortcuts", json_pack("{s:b}", "members", cli->members),
			  print_shortcuts);
}

/* ---- why ---- */

/* Without a daemon there is no tunnel, and what keeps it from running is the answer. */
static enum cli_exit why_no_daemon(const struct cli *cli, const char *reason)
{
	json_t *doctor, *o;

	fprintf(stderr, "warren: daemon at %s: %s: no daemon, no tunnel\n", cli->socket, reason);
	doctor = cli_doctor_instead(cli);
	o = cli->json ? json_pack("{s:s, s:o*}", "error", reason, "doctor", doctor) : NULL;
	if (o)
		cli_print_json(o, false);
	json_decref(o);
	return CLI_UNREACHABLE;
}

/* No tunnel is no failure of the question. */
enum cli_exit cli_why(const struct cli *cli)
{
	json_t *args = cli->arg ? json_pack("{s:s}", "peer", cli->arg) : NULL, *result;
	char buf[CTL_ERROR_MAX];
	struct text reason = TEXT_OF(buf);
	struct ctl_client *c;
	enum cli_exit code;

	if (ctl_client_new(cli->socket, &reason, &c) != ST_OK) {
		json_decref(args);
		return why_no_daemon(cli, buf);
	}
	code = call(cli, c, "why", args, &result);
	ctl_client_free(c);
	if (code != CLI_OK)
		return code;
	if (cli->json)
		cli_print_json(result, false);
	else
		cli_print_why(result);
	json_decref(result);
	return CLI_OK;
}

/* ---- reload ---- */

static void print_change(const json_t *change)
{
	char buf[2048];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "  %-8s ", cli_str(change, "change"));
	if (*cli_str(change, "section")) {
		cli_add(&t, cli_str(change, "section"));
		text_add(&t, ": ");
	}
	cli_add(&t, cli_str(change, "text"));
	printf("%s\n", buf);
}

static void print_reload(const struct cli *cli, json_t *result)
{
	json_t *changes = json_object_get(result, "changes");
	size_t n = json_array_size(changes), i;
	json_t *change;
	bool restart = false;

	if (n == 0) {
		printf("nothing has changed\n");
		return;
	}
	json_array_foreach(changes, i, change)
	{
		print_change(change);
		restart |= strcmp(cli_str(change, "change"), "restart") == 0;
	}
	if (cli->dry_run)
		printf("nothing was applied: this is what \"warren reload\" would do\n");
	else if (cli_bool(result, "applied"))
		printf("applied\n");
	if (restart)
		printf("what says \"restart\" needs a new start of the daemon\n");
}

/* The errors of the file, each with its place in it. */
static enum cli_exit print_errors(const struct cli *cli, json_t *result)
{
	json_t *errors = json_object_get(result, "errors"), *e;
	size_t i;

	if (cli->json)
		cli_print_json(result, false);
	json_array_foreach(errors, i, e)
	{
		char buf[8192];
		struct text t = TEXT_OF(buf);
		const char *s = json_string_value(e);

		cli_add(&t, s ? s : "?");
		fprintf(stderr, "%s\n", buf);
	}
	fprintf(stderr, "warren: the configuration stays as it was\n");
	return CLI_FAILED;
}

enum cli_exit cli_reload(const struct cli *cli)
{
	json_t *result;
	enum cli_exit code =
		ask(cli, "reload", json_pack("{s:b}", "dry_run", cli->dry_run), &result);

	if (code != CLI_OK)
		return code;
	if (json_array_size(json_object_get(result, "errors")) > 0)
		code = print_errors(cli, result);
	else if (cli->json)
		cli_print_json(result, false);
	else
		print_reload(cli, result);
	json_decref(result);
	return code;
}

/* ---- watch ---- */

static void print_event(json_t *event)
{
	char buf[4096];
	struct text t = TEXT_OF(buf);
	const char *peer = cli_str(event, "peer");

	cli_add(&t, cli_str(event, "time"));
	text_add(&t, "  ");
	if (*peer) {
		cli_add(&t, peer);
		text_add(&t, ": ");
	}
	cli_add(&t, cli_str(event, "event"));
	text_add(&t, "  ");
	cli_add(&t, cli_str(event, "text"));
	printf("%s\n", buf);
	fflush(stdout);
}

static enum cli_exit watch_events(const struct cli *cli, struct ctl_client *c)
{
	char buf[CTL_ERROR_MAX];
	json_t *event;

	for (;;) {
		struct text why = TEXT_OF(buf);

		if (ctl_client_event(c, &why, &event) != ST_OK)
			return cli_complain(cli, CLI_UNREACHABLE, buf);
		if (cli->json)
			cli_print_json(event, true);
		else
			print_event(event);
		json_decref(event);
		if (ferror(stdout))
			return CLI_FAILED;
	}
}

enum cli_exit cli_watch(const struct cli *cli)
{
	struct ctl_client *c;
	json_t *result;
	enum cli_exit code = dial(cli, &c);

	if (code != CLI_OK)
		return code;
	code = call(cli, c, "watch", NULL, &result);
	if (code == CLI_OK) {
		json_decref(result);
		code = watch_events(cli, c);
	}
	ctl_client_free(c);
	return code;
}

/* ---- up, rekey, down ---- */

static enum cli_exit about_peer(const struct cli *cli, const char *cmd, json_t *request,
				const char *done)
{
	char buf[CTL_ERROR_MAX];
	struct text t = TEXT_OF(buf);
	json_t *result;
	enum cli_exit code = ask(cli, cmd, request, &result);

	if (code != CLI_OK)
		return code;
	cli_add(&t, cli->arg);
	if (cli->json)
		cli_print_json(result, false);
	else
		printf("%s: %s\n", buf, done);
	json_decref(result);
	return CLI_OK;
}

static enum cli_exit peer_command(const struct cli *cli, const char *cmd, const char *done)
{
	return about_peer(cli, cmd, json_pack("{s:s}", "peer", cli->arg), done);
}

enum cli_exit cli_up(const struct cli *cli)
{
	return peer_command(cli, "up", "asked to connect");
}

enum cli_exit cli_rekey(const struct cli *cli)
{
	json_t *request = json_pack("{s:s, s:b}", "peer", cli->arg, "ike", cli->ike);

	return about_peer(cli, "rekey", request,
			  cli->ike ? "its IKE SAs are rekeyed" : "its tunnels are rekeyed");
}

/* ---- redirect ---- */

static enum cli_exit redirect_done(const struct cli *cli, json_t *request, const char *whom,
				   const char *done, const char *gateway)
{
	char buf[CTL_ERROR_MAX];
	struct text t = TEXT_OF(buf);
	json_t *result;
	enum cli_exit code = ask(cli, "redirect", request, &result);

	if (code != CLI_OK)
		return code;
	cli_add(&t, whom);
	text_fmt(&t, ": %s", done);
	cli_add(&t, gateway);
	if (cli->json)
		cli_print_json(result, false);
	else
		printf("%s\n", buf);
	json_decref(result);
	return CLI_OK;
}

static enum cli_exit redirect_off(const struct cli *cli)
{
	json_t *request = json_pack("{s:b}", "off", 1);

	if (request && cli->arg)
		json_object_set_new(request, "peer", json_string(cli->arg));
	return redirect_done(cli, request, cli->arg ? cli->arg : "all", "not sent on any more", "");
}

enum cli_exit cli_redirect(const struct cli *cli)
{
	static const char usage[] = "accepted: redirect PEER GATEWAY, redirect --all GATEWAY, "
				    "redirect --off [PEER]";
	size_t words = (cli->arg != NULL) + (cli->arg2 != NULL);

	if (cli->off ? cli->all || words > 1 : words != (cli->all ? 1 : 2))
		return cli_complain(cli, CLI_USAGE, usage);
	if (cli->off)
		return redirect_off(cli);
	if (cli->all)
		return redirect_done(cli, json_pack("{s:b, s:s}", "all", 1, "gateway", cli->arg),
				     "all who called us", "sent on to ", cli->arg);
	return redirect_done(cli, json_pack("{s:s, s:s}", "peer", cli->arg, "gateway", cli->arg2),
			     cli->arg, "sent on to ", cli->arg2);
}

/* All SAs are deleted and the daemon ends; returns when it has. */
static enum cli_exit down_all(const struct cli *cli, struct ctl_client *c)
{
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	json_t *result;
	enum cli_exit code = call(cli, c, "down", NULL, &result);

	if (code != CLI_OK)
		return code;
	if (ctl_client_wait_end(c, &why) != ST_OK)
		code = cli_complain(cli, CLI_FAILED, buf);
	else if (cli->json)
		cli_print_json(result, false);
	else
		printf("warrend has ended\n");
	json_decref(result);
	return code;
}

enum cli_exit cli_down(const struct cli *cli)
{
	struct ctl_client *c;
	enum cli_exit code;

	if (cli->open)
		return cli_down_open(cli);
	if (cli->arg)
		return peer_command(cli, "down", "down");
	code = dial(cli, &c);
	if (code != CLI_OK)
		return code;
	code = down_all(cli, c);
	ctl_client_free(c);
	return code;
}
