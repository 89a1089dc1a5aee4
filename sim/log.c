#include <stdio.h>

#include "sim.h"

static void print_line(const struct machine *m, const struct log_line *l)
{
	fprintf(stderr, "%14.6f %s: %s %s", (double)(l->at.ns - SIM_BEGIN.ns) / 1e9, m->name,
		l->what, l->with ? l->with->name : "");
	if (l->a || l->b)
		fprintf(stderr, " %llx %llu", (unsigned long long)l->a, (unsigned long long)l->b);
	fprintf(stderr, " %s\n", l->text);
}

static struct log_line *line_new(struct machine *m)
{
	struct log_line *l = &m->log[m->logged++ % LOG_LINES];

	l->at = m->s->now.mono;
	l->text[0] = '\0';
	return l;
}

void log_add(struct machine *m, const char *what, const struct machine *with, uint64_t a,
	     uint64_t b)
{
	struct log_line *l = line_new(m);

	l->what = what;
	l->with = with;
	l->a = a;
	l->b = b;
	if (m->s->verbose)
		print_line(m, l);
}

void log_event(struct machine *m, const struct ike_event *e)
{
	struct log_line *l = line_new(m);
	struct text t = TEXT_OF(l->text);

	l->what = ike_event_name(e->kind);
	l->with = NULL;
	l->a = e->sa;
	l->b = e->child;
	text_add(&t, e->text);
	if (m->s->verbose)
		print_line(m, l);
}

void log_text(struct machine *m, const char *what, const char *text)
{
	struct log_line *l = line_new(m);
	struct text t = TEXT_OF(l->text);

	l->what = what;
	l->with = NULL;
	l->a = l->b = 0;
	text_add(&t, text);
	if (m->s->verbose)
		print_line(m, l);
}

void log_print(const struct machine *m)
{
	unsigned first = m->logged > LOG_LINES ? m->logged - LOG_LINES : 0;

	fprintf(stderr, "\nlast at %s:\n", m->name);
	for (unsigned i = first; i < m->logged; i++)
		print_line(m, &m->log[i % LOG_LINES]);
}
