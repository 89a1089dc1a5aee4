/*
 * textbuf.h - a growing text, for transcripts that have no natural bound.
 */
#pragma once

#include "base/base.h"

struct text_buf {
	char *p; /* always terminated */
	size_t n, cap;
};

void text_buf_init(struct text_buf *t);
void text_buf_done(struct text_buf *t);
void text_buf_add(struct text_buf *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_buf_fmt(struct text_buf *t, const char *fmt, ...);
/* Bytes as lines of 32 in hexadecimal, each beginning with `indent`. */
void text_buf_hex(struct text_buf *t, const char *indent, struct bytes b);
