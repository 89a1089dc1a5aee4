#include "conf/internal.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	ERROR_TEXT_MAX = 1024,
};

void conf_errors_init(struct conf_errors *errs, const struct alloc *mem)
{
	*errs = (struct conf_errors){ .file = "" };
	arena_init(&errs->ar, mem, CONF_ERRORS_MAX * (ERROR_TEXT_MAX + 64) + 4096);
}

void conf_errors_done(struct conf_errors *errs)
{
	arena_done(&errs->ar);
	*errs = (struct conf_errors){ .file = "" };
}

/* A copy, since errors are printed when the configuration is gone. */
enum status errors_name(struct conf_errors *errs, const char *file)
{
	struct bytes copy;
	enum status st = arena_dup(&errs->ar, bytes_of(file, strlen(file) + 1), &copy);

	if (st == ST_OK)
		errs->file = (const char *)copy.p;
	return st;
}

static bool pos_after(struct conf_pos a, struct conf_pos b)
{
	return a.line > b.line || (a.line == b.line && a.col > b.col);
}

/* Behind all errors at the same position: equal ones stay in the order of their finding. */
static void insert(struct conf_errors *errs, struct conf_error *e)
{
	struct conf_error **p = &errs->head;

	while (*p && !pos_after((*p)->at, e->at))
		p = &(*p)->next;
	e->next = *p;
	*p = e;
	errs->kept++;
}

void conf_error_add(struct conf_errors *errs, struct conf_pos at, const char *fmt, ...)
{
	char buf[ERROR_TEXT_MAX];
	struct conf_error *e;
	struct bytes copy;
	va_list ap;
	int n;

	errs->total++;
	if (errs->kept == CONF_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0)
		buf[0] = '\0';
	e = arena_new(&errs->ar, sizeof(*e));
	if (!e || arena_dup(&errs->ar, bytes_of(buf, strlen(buf) + 1), &copy))
		return;
	*e = (struct conf_error){ .at = at, .text = (const char *)copy.p };
	insert(errs, e);
}

void conf_error_text(const struct conf_errors *errs, const struct conf_error *e, struct text *t)
{
	text_add(t, errs->file);
	if (e->at.line)
		text_fmt(t, ":%u:%u", e->at.line, e->at.col);
	text_fmt(t, ": %s", e->text);
}
