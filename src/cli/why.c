/*
 * why.c - what the daemon said about a tunnel that is not there, on one screen.
 */
#include <stdio.h>

#include "cli/cli.h"

enum {
	BLOCK_MAX = 4096,
	WIDTH = 100,
	INDENT = 25, /* of everything behind the result of a check */
	NOTE_INDENT = 6,
};

/* ---- text of any length in lines --------------------------------------------------------- */

/* As many bytes of `s` as fit `width` characters, up to the last blank among them if there is more
 * to come. */
static size_t piece(const char *s, size_t width)
{
	size_t n = 0, chars = 0, blank = 0;

	while (s[n] && chars < width) {
		if (s[n] == ' ')
			blank = n;
		n++;
		while (((unsigned char)s[n] & 0xc0) == 0x80)
			n++;
		chars++;
	}
	return s[n] && s[n] != ' ' && blank ? blank : n;
}

/* `label` begins the first line; `begun`: the cursor stands at the indent already. */
static void print_block(const char *label, const char *s, int indent, bool begun)
{
	char buf[BLOCK_MAX];
	struct text t = TEXT_OF(buf);
	const char *p = buf;

	cli_add(&t, label);
	cli_add(&t, s);
	while (*p) {
		size_t n = piece(p, (size_t)(WIDTH - indent));

		printf("%*s%.*s\n", begun ? 0 : indent, "", (int)n, p);
		begun = false;
		p += n;
		while (*p == ' ')
			p++;
	}
	if (begun)
		printf("\n");
}

/* ---- checks ------------------------------------------------------------------------------ */

static void print_head(const json_t *check)
{
	static const char *const names[][2] = {
		{ "init", "IKE_SA_INIT" },
		{ "auth", "IKE_AUTH" },
	};
	const char *name = cli_str(check, "check");
	char left[64], right[64];
	struct text l = TEXT_OF(left), r = TEXT_OF(right);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i][0]) == 0)
			name = names[i][1];
	cli_add(&l, name);
	cli_add(&r, cli_str(check, "result"));
	printf("  %-14s %-7s ", left, right);
}

/* What is well says so in a line; our own values and what to change are for what is not. */
static void print_check(const json_t *check)
{
	const char *text = cli_str(check, "text"), *ours = cli_str(check, "ours");
	bool ok = strcmp(cli_str(check, "result"), "ok") == 0;

	print_head(check);
	if (ok) {
		print_block("", *text ? text : ours, INDENT, true);
		return;
	}
	if (*text)
		print_block("", text, INDENT, true);
	if (*ours)
		print_block("here: ", ours, INDENT, !*text);
	else if (!*text)
		printf("\n");
	if (*cli_str(check, "change"))
		print_block("to change: ", cli_str(check, "change"), INDENT, false);
}

static void print_note(const json_t *note)
{
	char buf[BLOCK_MAX];
	struct text t = TEXT_OF(buf);

	text_add(&t, "  ");
	cli_add(&t, cli_str(note, "last"));
	text_add(&t, "  ");
	cli_add(&t, cli_str(note, "event"));
	if (cli_int(note, "count") > 1)
		text_fmt(&t, ", %lld times since ", (long long)cli_int(note, "count"));
	if (cli_int(note, "count") > 1)
		cli_add(&t, cli_str(note, "first"));
	if (*cli_str(note, "remote")) {
		text_add(&t, ", ");
		cli_add(&t, cli_str(note, "remote"));
	}
	printf("%s\n", buf);
	if (*cli_str(note, "identity"))
		print_block("it calls itself ", cli_str(note, "identity"), NOTE_INDENT, false);
	print_block("", cli_str(note, "text"), NOTE_INDENT, false);
}

static void print_title(const json_t *subject)
{
	char buf[BLOCK_MAX];
	struct text t = TEXT_OF(buf);

	cli_add(&t, cli_str(subject, "subject"));
	text_add(&t, ": ");
	cli_add(&t, cli_str(subject, "state"));
	if (json_object_get(subject, "retry_in_s"))
		text_fmt(&t, ", next attempt in %lld s", (long long)cli_int(subject, "retry_in_s"));
	if (*cli_str(subject, "last_up")) {
		text_add(&t, ", last up ");
		cli_add(&t, cli_str(subject, "last_up"));
	}
	printf("%s\n", buf);
}

static void print_subject(const json_t *subject)
{
	json_t *checks = json_object_get(subject, "checks");
	json_t *notes = json_object_get(subject, "notes"), *v;
	size_t i;

	print_title(subject);
	json_array_foreach(checks, i, v)
	{
		print_check(v);
	}
	if (json_array_size(notes) > 0)
		printf("  what happened, newest first\n");
	json_array_foreach(notes, i, v)
	{
		print_note(v);
	}
}

/* A hub's members call it: whom it does not let in is in no list of peers. */
static void print_refused(const json_t *list)
{
	char buf[BLOCK_MAX];
	struct text t = TEXT_OF(buf);
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		t = TEXT_OF(buf);
		cli_add(&t, cli_str(v, "network"));
		text_add(&t, ": last refused: ");
		cli_add(&t, cli_str(v, "text"));
		print_block("", buf, 0, false);
	}
}

void cli_print_why(json_t *result)
{
	json_t *subjects = json_object_get(result, "subjects"), *v;
	json_int_t more = cli_int(result, "more");
	size_t i;

	if (json_array_size(subjects) == 0)
		printf("every peer is up\n");
	print_refused(json_object_get(result, "refused"));
	json_array_foreach(subjects, i, v)
	{
		if (i > 0)
			printf("\n");
		print_subject(v);
	}
	if (more > 0)
		printf("\n%lld more peers are not up: \"warren peers\"\n", (long long)more);
}
