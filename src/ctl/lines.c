#include "ctl/ctl.h"

#include <stdlib.h>

void ctl_lines_init(struct ctl_lines *l, size_t max)
{
	*l = (struct ctl_lines){ .max = max };
}

void ctl_lines_done(struct ctl_lines *l)
{
	free(l->buf);
	*l = (struct ctl_lines){ .max = l->max };
}

static enum status make_room(struct ctl_lines *l, size_t n)
{
	size_t cap = l->cap ? l->cap : 1024;
	char *p;

	if (l->taken) {
		memmove(l->buf, l->buf + l->taken, l->n - l->taken);
		l->n -= l->taken;
		l->taken = 0;
	}
	while (cap - l->n < n) {
		if (cap > SIZE_MAX / 2)
			return ST_NOMEM;
		cap *= 2;
	}
	if (cap == l->cap)
		return ST_OK;
	p = realloc(l->buf, cap);
	if (!p)
		return ST_NOMEM;
	l->buf = p;
	l->cap = cap;
	return ST_OK;
}

/* Counts the lines that `in` completes; each byte is looked at once, however it arrives. */
static enum status measure(struct ctl_lines *l, struct bytes in)
{
	while (in.n > 0) {
		const uint8_t *nl = memchr(in.p, '\n', in.n);
		size_t n = nl ? (size_t)(nl - in.p) : in.n;

		if (n > l->max - l->partial)
			return ST_DROP;
		l->partial += n;
		if (!nl)
			break;
		l->partial = 0;
		l->whole++;
		in = bytes_of(nl + 1, in.n - n - 1);
	}
	return ST_OK;
}

enum status ctl_lines_feed(struct ctl_lines *l, struct bytes in)
{
	enum status st;

	if (in.n == 0)
		return ST_OK;
	st = measure(l, in);
	if (st == ST_OK)
		st = make_room(l, in.n);
	if (st != ST_OK)
		return st;
	memcpy(l->buf + l->n, in.p, in.n);
	l->n += in.n;
	return ST_OK;
}

bool ctl_lines_next(struct ctl_lines *l, struct bytes *ret_line)
{
	const char *start, *nl;

	if (l->whole == 0)
		return false;
	start = l->buf + l->taken;
	nl = memchr(start, '\n', l->n - l->taken);
	if (!nl)
		return false;
	*ret_line = bytes_of(start, (size_t)(nl - start));
	l->taken += ret_line->n + 1;
	l->whole--;
	return true;
}
