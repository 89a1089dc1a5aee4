/*
 * remote.c - the commands that ask the daemon.
 */
#include <stdio.h>

#include "cli/cli.h"

/* Says why, on stderr and, with --json, as a document. */
static enum cli_exit complain(const struct cli *cli, enum cli_exit code, const char *why)
{
	char buf[CTL_ERROR_MAX * 4];
	struct text t = TEXT_OF(buf);
	json_t *o = cli->json ? json_pack("{s:s}", "error", why) : NULL;

	cli_add(&t, why);
	if (code == CLI_UNREACHABLE)
		fprintf(stderr, "warren: daemon at %s: %s\n", cli->socket, buf);
	else
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
	return complain(cli, CLI_UNREACHABLE, why.n ? buf : "out of memory");
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
	return complain(cli, st == ST_REFUSE ? CLI_FAILED : CLI_UNREACHABLE,
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

enum cli_exit cli_peers(const struct cli *cli)
{
	return show(cli, "peers", cli_print_peers);
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
			return complain(cli, CLI_UNREACHABLE, buf);
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

/* ---- up, down ---- */

static enum cli_exit peer_command(const struct cli *cli, const char *cmd, const char *done)
{
	char buf[CTL_ERROR_MAX];
	struct text t = TEXT_OF(buf);
	json_t *result;
	enum cli_exit code = ask(cli, cmd, json_pack("{s:s}", "peer", cli->arg), &result);

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

enum cli_exit cli_up(const struct cli *cli)
{
	return peer_command(cli, "up", "connecting");
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
		code = complain(cli, CLI_FAILED, buf);
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

	if (cli->arg)
		return peer_command(cli, "down", "down");
	code = dial(cli, &c);
	if (code != CLI_OK)
		return code;
	code = down_all(cli, c);
	ctl_client_free(c);
	return code;
}
