/*
 * conf_util.h - what the tests of the configuration reader share.
 */
#pragma once

#include "unit/test_util.h"

#include <stdio.h>

#include "conf/conf.h"

/* A peer without anything wrong, for tests about something else. */
#define PEER                                                                                       \
	"peer \"b\" { remote_id = \"b.example\"; local_id = \"a.example\"; psk = \"k\"; "          \
	"local_ts = \"10.1.0.0/16\"; remote_ts = \"10.2.0.0/16\" }\n"

static inline enum status parse(const char *text, struct conf_errors *errs, struct conf **ret_conf)
{
	conf_errors_init(errs, &mem_libc);
	return conf_parse(&mem_libc, "x.conf", bytes_str(text), errs, ret_conf);
}

static inline void show(const struct conf_errors *errs)
{
	for (const struct conf_error *e = errs->head; e; e = e->next) {
		char buf[2048];
		struct text t = TEXT_OF(buf);

		conf_error_text(errs, e, &t);
		print_error("%s\n", buf);
	}
}

/* A peer of which everything but `more` is right, on its first line. */
#define WITH(more)                                                                                 \
	"local_id = \"a.example\"\n"                                                               \
	"peer \"b\" { remote_id = \"b.example\" ; psk = \"k\"\n" more "\n"                         \
	"local_ts = \"10.1.0.0/16\" ; remote_ts = \"10.2.0.0/16\" }\n"

/* ... but authentication and selectors. */
#define BARE(more)                                                                                 \
	"local_id = \"a.example\"\n"                                                               \
	"peer \"b\" { remote_id = \"b.example\"\n" more " }\n"

#define TS "local_ts = \"10.1.0.0/16\" ; remote_ts = \"10.2.0.0/16\""

static inline struct conf *parse_good(const char *text)
{
	struct conf_errors errs;
	struct conf *c = NULL;

	if (parse(text, &errs, &c) != ST_OK) {
		show(&errs);
		fail();
	}
	assert_int_equal(errs.total, 0);
	conf_errors_done(&errs);
	return c;
}

/* An error: where, and what it says. */
struct error_at {
	unsigned line, col;
	const char *part;
};

/* A text and all the errors in it, in order. */
struct row {
	const char *text;
	struct error_at want[8];
};

static inline void check_row(const struct row *row)
{
	struct conf_errors errs;
	struct conf *c = NULL;
	enum status st = parse(row->text, &errs, &c);
	const struct conf_error *e = errs.head;
	size_t i = 0;

	for (; e && row->want[i].part; e = e->next, i++)
		if (e->at.line != row->want[i].line || e->at.col != row->want[i].col ||
		    !strstr(e->text, row->want[i].part))
			break;
	if (e || row->want[i].part || st != ST_INVAL || c) {
		print_error("--- %s\nerror %zu differs from %u:%u %s; found (%s):\n", row->text, i,
			    row->want[i].line, row->want[i].col,
			    row->want[i].part ? row->want[i].part : "(none)", status_name(st));
		show(&errs);
		fail();
	}
	conf_errors_done(&errs);
}

static inline void check_rows(const struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_row(&row[i]);
}
