/*
 * text.h - a bounded string under construction, for what an operator reads.
 *
 * Appending past the end cuts the text and ends it in "..."; it is always terminated.  Bytes that
 * came from a peer go through text_quote(), which escapes everything unprintable
 * (\xNN), the backslash and the double quote, and adds no quotes of its own.
 */
#pragma once

#include "base/bytes.h"

struct text {
	char *p;
	size_t n;
	size_t cap;
};

/* Begins an empty text in an array of char, which need not be initialised. */
#define TEXT_OF(array) ((array)[0] = '\0', (struct text){ (array), 0, sizeof(array) })

void text_add(struct text *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_fmt(struct text *t, const char *fmt, ...);
void text_hex(struct text *t, struct bytes b);
void text_quote(struct text *t, struct bytes b);
