#include <stdio.h>

#include "cli/cli.h"

static enum cli_exit cmd_version(const struct cli *cli);
static enum cli_exit cmd_help(const struct cli *cli);

enum arg {
	ARG_NONE,
	ARG_OPTIONAL,
	ARG_REQUIRED,
	ARG_UP_TO_TWO, /* how many depends on its options, which the command checks */
	ARG_REST, /* everything after its name is the command's own business */
};

enum { OPTIONS_MAX = 10 };

static const struct command {
	const char *name;
	const char *arg_name;
	enum arg arg;
	enum cli_exit (*run)(const struct cli *cli);
	const char *help;
	const char *options[OPTIONS_MAX]; /* that only it takes */
} commands[] = {
	{ "status",
	  NULL,
	  ARG_NONE,
	  cli_status,
	  "the daemon, its networks, SAs and counters",
	  { 0 } },
	{ "peers",
	  "NAME",
	  ARG_OPTIONAL,
	  cli_peers,
	  "a table of peers and members; of one (\"*\" stands for anything) everything",
	  { 0 } },
	{ "leases",
	  NULL,
	  ARG_NONE,
	  cli_leases,
	  "inner addresses that were given: to whom, since when",
	  { 0 } },
	{ "shortcuts",
	  "NAME",
	  ARG_OPTIONAL,
	  cli_shortcuts,
	  "direct tunnels between members of a hub: with whom, how, and why not",
	  { "-v", "--members" } },
	{ "why",
	  "PEER",
	  ARG_OPTIONAL,
	  cli_why,
	  "why there is no tunnel: to a peer, member or address, or all that are not up",
	  { 0 } },
	{ "watch", NULL, ARG_NONE, cli_watch, "events as they happen, until interrupted", { 0 } },
	{ "doctor",
	  "FILE",
	  ARG_OPTIONAL,
	  cli_doctor,
	  "what on this host gets in the way, and the command that mends it",
	  { 0 } },
	{ "check",
	  "FILE",
	  ARG_REQUIRED,
	  cli_check,
	  "everything that is wrong with a configuration",
	  { 0 } },
	{ "join",
	  "BUNDLE",
	  ARG_REQUIRED,
	  cli_join,
	  "install a bundle, write the configuration, start",
	  { "--key", "--protect", "--hub", "--domain", "--topology", "--dir", "--log", "--force",
	    "--no-start" } },
	{ "reload",
	  NULL,
	  ARG_NONE,
	  cli_reload,
	  "read the configuration again, apply what changed",
	  { "--dry-run" } },
	{ "pki",
	  "...",
	  ARG_REST,
	  cli_pki,
	  "certificates: authority, requests, bundles; see \"warren pki help\"",
	  { 0 } },
	{ "up", "PEER", ARG_REQUIRED, cli_up, "connect a peer now", { 0 } },
	{ "rekey",
	  "PEER",
	  ARG_REQUIRED,
	  cli_rekey,
	  "other keys for a peer's tunnels; --ike: for its IKE SAs",
	  { "--ike" } },
	{ "redirect",
	  "PEER GATEWAY",
	  ARG_UP_TO_TWO,
	  cli_redirect,
	  "send a peer that called us, or --all, on to another gateway; --off: no more",
	  { "--all", "--off" } },
	{ "down",
	  "PEER",
	  ARG_OPTIONAL,
	  cli_down,
	  "delete a peer's SAs; without PEER all, and end the daemon; --open: lift the block, too",
	  { "--open", "--state" } },
	{ "version", NULL, ARG_NONE, cmd_version, "the version of this command", { 0 } },
	{ "help", NULL, ARG_NONE, cmd_help, "this text", { 0 } },
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
		if (c->options[0])
			printf("%18s", "");
		for (size_t k = 0; k < OPTIONS_MAX && c->options[k]; k++)
			printf("%s%s", k ? " " : "", c->options[k]);
		if (c->options[0])
			printf("\n");
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

/* ---- options ----------------------------------------------------------------------------- */

enum kind {
	FLAG, /* bool */
	VALUE, /* const char * */
	LIST, /* struct cli_list: may be given several times */
};

static const struct option {
	const char *name;
	enum kind kind;
	size_t offset; /* in struct cli */
	bool common; /* every command takes it */
} options[] = {
	{ "--json", FLAG, offsetof(struct cli, json), true },
	{ "--socket", VALUE, offsetof(struct cli, socket), true },
	{ "--dry-run", FLAG, offsetof(struct cli, dry_run), false },
	{ "--force", FLAG, offsetof(struct cli, force), false },
	{ "--open", FLAG, offsetof(struct cli, open), false },
	{ "--ike", FLAG, offsetof(struct cli, ike), false },
	{ "--all", FLAG, offsetof(struct cli, all), false },
	{ "-v", FLAG, offsetof(struct cli, verbose), false },
	{ "--members", FLAG, offsetof(struct cli, members), false },
	{ "--off", FLAG, offsetof(struct cli, off), false },
	{ "--state", VALUE, offsetof(struct cli, state), false },
	{ "--no-start", FLAG, offsetof(struct cli, no_start), false },
	{ "--key", VALUE, offsetof(struct cli, key), false },
	{ "--dir", VALUE, offsetof(struct cli, dir), false },
	{ "--log", VALUE, offsetof(struct cli, log), false },
	{ "--topology", VALUE, offsetof(struct cli, topology), false },
	{ "--protect", LIST, offsetof(struct cli, protect), false },
	{ "--hub", LIST, offsetof(struct cli, hubs), false },
	{ "--domain", LIST, offsetof(struct cli, domain), false },
};

struct line {
	struct cli cli;
	const char *words[4]; /* command and arguments; one more is too many */
	size_t n_words;
	bool given[ARRAY_LEN(options)];
	char wrong[128]; /* what is wrong with it */
};

static void wrong(struct line *l, const char *fmt, const char *what)
{
	struct text t = { l->wrong, 0, sizeof(l->wrong) };

	if (l->wrong[0])
		return;
	for (; *fmt; fmt++)
		if (*fmt == '%')
			text_quote(&t, bytes_str(what));
		else
			text_fmt(&t, "%c", *fmt);
}

static void take_value(struct line *l, const struct option *o, const char *value)
{
	void *field = (char *)&l->cli + o->offset;
	struct cli_list *list = field;

	if (o->kind == VALUE)
		*(const char **)field = value;
	else if (list->n < CLI_LIST_MAX)
		list->v[list->n++] = value;
	else
		wrong(l, "too many %", o->name);
}

/* "--name", "--name VALUE" or "--name=VALUE"; false when `argv[*i]` is another option. */
static bool take(struct line *l, const struct option *o, int argc, char **argv, int *i)
{
	size_t n = strlen(o->name);
	const char *word = argv[*i];

	if (strncmp(word, o->name, n) != 0 || (word[n] != '\0' && word[n] != '='))
		return false;
	if (o->kind == FLAG && word[n] == '=')
		wrong(l, "% takes no value", o->name);
	else if (o->kind == FLAG)
		*(bool *)((char *)&l->cli + o->offset) = true;
	else if (word[n] == '=')
		take_value(l, o, word + n + 1);
	else if (*i + 1 < argc)
		take_value(l, o, argv[++*i]);
	else
		wrong(l, "% lacks its value", o->name);
	return true;
}

static void read_option(struct line *l, int argc, char **argv, int *i)
{
	for (size_t k = 0; k < ARRAY_LEN(options); k++)
		if (take(l, &options[k], argc, argv, i)) {
			l->given[k] = true;
			return;
		}
	wrong(l, "unknown option %", argv[*i]);
}

/* ---- the command line -------------------------------------------------------------------- */

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
	bool may_be_option = true;

	for (int i = 1; i < argc; i++) {
		if (l->n_words == 1 && takes_rest(l->words[0])) {
			l->cli.argc = argc - i;
			l->cli.argv = argv + i;
			return;
		}
		if (!may_be_option || argv[i][0] != '-')
			read_word(l, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			may_be_option = false;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			l->words[0] = "help", l->n_words = 1;
		else if (strcmp(argv[i], "--version") == 0)
			l->words[0] = "version", l->n_words = 1;
		else
			read_option(l, argc, argv, &i);
	}
	if (l->n_words == 0)
		wrong(l, "no command", "");
}

static bool has_option(const struct command *c, const char *name)
{
	for (size_t i = 0; i < OPTIONS_MAX && c->options[i]; i++)
		if (strcmp(c->options[i], name) == 0)
			return true;
	return false;
}

static void check_options(struct line *l, const struct command *c)
{
	for (size_t k = 0; k < ARRAY_LEN(options); k++)
		if (l->given[k] && !options[k].common && !has_option(c, options[k].name))
			wrong(l, "this command has no option %", options[k].name);
}

static size_t words_of(enum arg arg)
{
	return arg == ARG_NONE ? 1 : arg == ARG_UP_TO_TWO ? 3 : 2;
}

static const struct command *find_command(struct line *l)
{
	for (size_t i = 0; !l->wrong[0] && i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->name, l->words[0]) != 0)
			continue;
		check_options(l, c);
		if (c->arg == ARG_REQUIRED && l->n_words < 2)
			wrong(l, "the command lacks its argument", "");
		else if (l->n_words > words_of(c->arg))
			wrong(l, "too many words", "");
		return l->wrong[0] ? NULL : c;
	}
	wrong(l, "unknown command %", l->n_words ? l->words[0] : "");
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
	l.cli.arg2 = l.words[2];
	code = c->run(&l.cli);
	/* A full disk must not look like success. */
	if (fflush(stdout) && code == CLI_OK)
		code = CLI_FAILED;
	return code;
}
