#include <stdio.h>

#include "cli/cli.h"

static enum cli_exit cmd_version(const struct cli *cli);
static enum cli_exit cmd_help(const struct cli *cli);

enum arg {
	ARG_NONE,
	ARG_OPTIONAL,
	ARG_REQUIRED,
	ARG_REST, /* everything after its name is the command's own business */
};

static const struct command {
	const char *name;
	const char *arg_name;
	enum arg arg;
	enum cli_exit (*run)(const struct cli *cli);
	const char *help;
} commands[] = {
	{ "status", NULL, ARG_NONE, cli_status, "the daemon, its SAs, its counters" },
	{ "peers", NULL, ARG_NONE, cli_peers, "every peer: state, last error, SAs, traffic" },
	{ "watch", NULL, ARG_NONE, cli_watch, "events as they happen, until interrupted" },
	{ "check", "FILE", ARG_REQUIRED, cli_check,
	  "everything that is wrong with a configuration" },
	{ "pki", "...", ARG_REST, cli_pki,
	  "certificates: authority, requests, bundles; see \"warren pki help\"" },
	{ "up", "PEER", ARG_REQUIRED, cli_up, "connect a peer now" },
	{ "down", "PEER", ARG_OPTIONAL, cli_down,
	  "delete a peer's SAs; without PEER all, and end the daemon" },
	{ "version", NULL, ARG_NONE, cmd_version, "the version of this command" },
	{ "help", NULL, ARG_NONE, cmd_help, "this text" },
};

static enum cli_exit cmd_help(const struct cli *cli)
{
	(void)cli;
	printf("usage: warren [--socket PATH] [--json] COMMAND\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];
		char buf[32];
		struct text t = TEXT_OF(buf);

		text_add(&t, c->name);
		if (c->arg_name)
			text_fmt(&t, c->arg == ARG_OPTIONAL ? " [%s]" : " %s", c->arg_name);
		printf("  %-14s  %s\n", buf, c->help);
	}
	printf("\n  --socket PATH   control socket of the daemon (%s)\n"
	       "  --json          for programs\n\nSee warren(1).\n",
	       CTL_DEFAULT_PATH);
	return CLI_OK;
}

static enum cli_exit cmd_version(const struct cli *cli)
{
	if (cli->json)
		printf("{\"version\": \"%s\"}\n", WARREN_VERSION);
	else
		printf("warren %s\n", WARREN_VERSION);
	return CLI_OK;
}

/* ---- the command line ---- */

struct line {
	struct cli cli;
	const char *words[3]; /* command and argument; one more is too many */
	size_t n_words;
	const char *wrong; /* what is wrong with it */
};

/* The value of "--name VALUE" or "--name=VALUE"; false when `argv[*i]` is another option. */
static bool option_value(const char *name, int argc, char **argv, int *i, struct line *l,
			 const char **ret)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '\0' && argv[*i][n] != '='))
		return false;
	if (argv[*i][n] == '=')
		*ret = argv[*i] + n + 1;
	else if (*i + 1 < argc)
		*ret = argv[++*i];
	else
		l->wrong = "--socket lacks its PATH";
	return true;
}

static void read_word(struct line *l, const char *word)
{
	if (l->n_words < ARRAY_LEN(l->words))
		l->words[l->n_words++] = word;
}

static bool takes_rest(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].arg == ARG_REST;
	return false;
}

static void read_line(int argc, char **argv, struct line *l)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		if (l->n_words == 1 && takes_rest(l->words[0])) {
			l->cli.argc = argc - i;
			l->cli.argv = argv + i;
			return;
		}
		if (!options || argv[i][0] != '-')
			read_word(l, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			options = false;
		else if (strcmp(argv[i], "--json") == 0)
			l->cli.json = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			l->words[0] = "help", l->n_words = 1;
		else if (strcmp(argv[i], "--version") == 0)
			l->words[0] = "version", l->n_words = 1;
		else if (!option_value("--socket", argc, argv, &i, l, &l->cli.socket))
			l->wrong = "unknown option";
	}
	if (!l->wrong && l->n_words == 0)
		l->wrong = "no command";
}

static const struct command *find_command(struct line *l)
{
	for (size_t i = 0; !l->wrong && i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, l->words[0]) != 0)
			continue;
		if (c->arg == ARG_REQUIRED && l->n_words < 2)
			l->wrong = "the command lacks its argument";
		else if (l->n_words > (c->arg == ARG_NONE ? 1u : 2u))
			l->wrong = "too many words";
		else
			return c;
	}
	if (!l->wrong)
		l->wrong = "unknown command";
	return NULL;
}

int main(int argc, char **argv)
{
	struct line l = { .cli = { .socket = CTL_DEFAULT_PATH } };
	const struct command *c;
	enum cli_exit code;

	read_line(argc, argv, &l);
	c = find_command(&l);
	if (!c) {
		fprintf(stderr, "warren: %s, see \"warren help\"\n", l.wrong);
		return CLI_USAGE;
	}
	l.cli.arg = l.words[1];
	code = c->run(&l.cli);
	/* A full disk must not look like success. */
	if (fflush(stdout) && code == CLI_OK)
		code = CLI_FAILED;
	return code;
}
