/*
 * down.c - `warren down --open`: the only way to lift the block (guard.h).
 *
 * Works with a daemon, which is told to end first, and without one, whatever became of it.  The
 * block is taken away by this command itself, so it takes root.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "guard/guard.h"
#include "plat/process.h"

#define STATE_DEFAULT "/var/lib/warren"

enum { WHY_MAX = 512 };

/* ---- the daemon -------------------------------------------------------------------------- */

/* Where it keeps its plan; to be freed.  NULL: it does not say. */
static char *state_of(struct ctl_client *c)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	json_t *status;
	const char *s;
	char *copy;

	if (ctl_client_call(c, "status", NULL, &why, &status) != ST_OK)
		return NULL;
	s = json_string_value(json_object_get(json_object_get(status, "block"), "state"));
	copy = s ? strdup(s) : NULL;
	json_decref(status);
	return copy;
}

static enum status end_daemon(struct ctl_client *c, struct text *why)
{
	json_t *result;
	enum status st = ctl_client_call(c, "down", NULL, why, &result);

	if (st != ST_OK)
		return st;
	json_decref(result);
	return ctl_client_wait_end(c, why);
}

/* `*ret_ended`: there was one.  Nobody at the socket is no failure; should a daemon live all the
 * same, guard_open() finds it. */
static enum status down_first(const struct cli *cli, struct text *why, char **ret_state,
			      bool *ret_ended)
{
	char buf[WHY_MAX];
	struct text nobody = TEXT_OF(buf);
	struct ctl_client *c;
	enum status st;

	if (ctl_client_new(cli->socket, &nobody, &c) != ST_OK)
		return ST_OK;
	*ret_state = state_of(c);
	nobody = TEXT_OF(buf);
	st = end_daemon(c, &nobody);
	ctl_client_free(c);
	*ret_ended = st == ST_OK;
	/* How it ended is told on the way to an end, too. */
	if (st != ST_OK)
		text_add(why, buf);
	return st;
}

/* ---- the block --------------------------------------------------------------------------- */

enum status cli_lift_block(const char *state, struct text *why)
{
	char buf[WHY_MAX];
	struct text left = TEXT_OF(buf);
	struct guard *g;
	enum status st = guard_new(PLAT_NS_HERE, why, &g);

	if (st != ST_OK)
		return st;
	st = guard_open(g, why);
	guard_free(g);
	if (st == ST_REFUSE)
		text_fmt(why, "; its control socket is needed: --socket PATH");
	if (st != ST_OK)
		return st;
	text_add(&left, "the block is lifted, but a boot may put it up again: ");
	st = guard_plan_forget(state, &left);
	if (st != ST_OK)
		text_add(why, buf);
	return st;
}

static void say(const struct cli *cli, bool ended)
{
	json_t *o;

	if (!cli->json) {
		printf("%sthe block is lifted: packets of the domain can leave in clear\n",
		       ended ? "warrend has ended, " : "");
		return;
	}
	o = json_pack("{s:b, s:b}", "ended", ended, "open", true);
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

enum cli_exit cli_down_open(const struct cli *cli)
{
	char buf[WHY_MAX], *told = NULL;
	struct text why = TEXT_OF(buf);
	bool ended = false;
	enum status st;

	if (cli->arg)
		return cli_complain(cli, CLI_USAGE, "--open is for everything, not for one peer");
	st = down_first(cli, &why, &told, &ended);
	if (st == ST_OK)
		st = cli_lift_block(cli->state ? cli->state : told ? told : STATE_DEFAULT, &why);
	free(told);
	if (st != ST_OK)
		return cli_complain(cli, CLI_FAILED, why.n ? buf : "out of memory");
	say(cli, ended);
	return CLI_OK;
}
