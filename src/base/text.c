#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * Fills the tail with dots, three of them, more where a cut UTF-8 sequence would be left.  A text
 * that was cut is full, so that every later append cuts again and changes nothing.
 */
static void cut(struct text *t)
{
	size_t end = t->cap - 1;
	size_t at = end < 3 ? 0 : end - 3;

	while (at > 0 && ((uint8_t)t->p[at] & 0xc0) == 0x80)
		at--;
	memset(t->p + at, '.', end - at);
	t->p[end] = '\0';
	t->n = end;
}

static void add_bytes(struct text *t, const char *s, size_t n)
{
	size_t room;

	if (t->cap == 0)
		return;
	room = t->cap - 1 - t->n;
	memcpy(t->p + t->n, s, n < room ? n : room);
	if (n > room) {
		cut(t);
		return;
	}
	t->n += n;
	t->p[t->n] = '\0';
}

void text_add(struct text *t, const char *s)
{
	add_bytes(t, s, strlen(s));
}

void text_fmt(struct text *t, const char *fmt, ...)
{
	size_t room = t->cap - t->n;
	va_list ap;
	int n;

	if (t->cap == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		t->p[t->n] = '\0';
	else if ((size_t)n >= room)
		cut(t);
	else
		t->n += (size_t)n;
}

static const char hex_digits[] = "0123456789abcdef";

void text_hex(struct text *t, struct bytes b)
{
	for (size_t i = 0; i < b.n; i++) {
		char pair[2] = { hex_digits[b.p[i] >> 4], hex_digits[b.p[i] & 15] };

		add_bytes(t, pair, 2);
	}
}

void text_quote(struct text *t, struct bytes b)
{
	for (size_t i = 0; i < b.n; i++) {
		uint8_t c = b.p[i];
		char esc[4] = { '\\', 'x', hex_digits[c >> 4], hex_digits[c & 15] };

		if (c == '\\' || c == '"')
			add_bytes(t, (char[]){ '\\', (char)c }, 2);
		else if (c >= 0x20 && c < 0x7f)
			add_bytes(t, (char *)&c, 1);
		else
			add_bytes(t, esc, 4);
	}
}
