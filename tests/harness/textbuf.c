#include "harness/textbuf.h"

#include <stdarg.h>
#include <stdio.h>

#include "harness/harness.h"

void text_buf_init(struct text_buf *t)
{
	*t = (struct text_buf){ .cap = 4096 };
	t->p = mem_libc.alloc(NULL, t->cap);
	if (!t->p)
		harness_fail("out of memory");
}

void text_buf_done(struct text_buf *t)
{
	mem_libc.free(NULL, t->p);
	*t = (struct text_buf){ 0 };
}

static void grow(struct text_buf *t, size_t need)
{
	size_t cap = t->cap;
	char *p;

	while (cap - t->n <= need)
		cap *= 2;
	if (cap == t->cap)
		return;
	p = mem_libc.alloc(NULL, cap);
	if (!p)
		harness_fail("out of memory");
	memcpy(p, t->p, t->n + 1);
	mem_libc.free(NULL, t->p);
	t->p = p;
	t->cap = cap;
}

void text_buf_add(struct text_buf *t, const char *s)
{
	size_t n = strlen(s);

	grow(t, n);
	memcpy(t->p + t->n, s, n + 1);
	t->n += n;
}

void text_buf_fmt(struct text_buf *t, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_buf_add(t, line);
}

void text_buf_hex(struct text_buf *t, const char *indent, struct bytes b)
{
	for (size_t i = 0; i < b.n; i += 32) {
		text_buf_add(t, indent);
		for (size_t j = i; j < b.n && j < i + 32; j++)
			text_buf_fmt(t, "%02x", b.p[j]);
		text_buf_add(t, "\n");
	}
}
