/*
 * PEM (RFC 7468 section 3, its strict form), so that the same bytes have one spelling: lines of 64
 * characters, no text around, no headers, unused bits zero.  A line may end in CR LF, because mail
 * and Windows make it so; nothing else may differ.
 */
#include <stdio.h>

#include "pki/internal.h"

enum { LINE = 64, MARK_MAX = 80 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- writing ------------------------------------------------------------------------------- */

static void put_group(struct wr *w, struct bytes in)
{
	uint32_t v = (uint32_t)in.p[0] << 16 | (in.n > 1 ? (uint32_t)in.p[1] << 8 : 0) |
		     (in.n > 2 ? in.p[2] : 0);

	wr_u8(w, (uint8_t)digits[v >> 18]);
	wr_u8(w, (uint8_t)digits[v >> 12 & 63]);
	wr_u8(w, in.n > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
	wr_u8(w, in.n > 2 ? (uint8_t)digits[v & 63] : '=');
}

static void put_mark(struct wr *w, const char *what, const char *label)
{
	char mark[MARK_MAX];
	int n = snprintf(mark, sizeof(mark), "-----%s %s-----\n", what, label);

	wr_put(w, bytes_of(mark, (size_t)n));
}

void armour_put(struct wr *w, const char *label, struct bytes data)
{
	put_mark(w, "BEGIN", label);
	for (size_t i = 0; i < data.n; i += 3) {
		put_group(w, bytes_of(data.p + i, data.n - i < 3 ? data.n - i : 3));
		if (i + 3 >= data.n || (i + 3) % (LINE / 4 * 3) == 0)
			wr_u8(w, '\n');
	}
	put_mark(w, "END", label);
}

/* ---- reading ------------------------------------------------------------------------------- */

enum status armour_line(struct armour *a, struct bytes *ret_line)
{
	size_t left = cur_left(&a->in);
	const uint8_t *end = left ? memchr(a->in.p, '\n', left) : NULL;
	struct bytes line;

	if (!end)
		return ST_INVAL;
	line = cur_take(&a->in, (size_t)(end - a->in.p) + 1);
	line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	a->line++;
	*ret_line = line;
	return ST_OK;
}

static bool is_mark(struct bytes line, const char *what, const char *label)
{
	char mark[MARK_MAX];
	int n = snprintf(mark, sizeof(mark), "-----%s %s-----", what, label);

	return bytes_eq(line, bytes_of(mark, (size_t)n));
}

static int value_of(uint8_t c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Four characters into one to three bytes; 0 when they are no base64, or not in its one spelling.
 */
static size_t take_group(const uint8_t *c, uint8_t out[3])
{
	size_t pad = c[3] != '=' ? 0 : c[2] != '=' ? 1 : 2;
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - pad ? value_of(c[i]) : 0;

		if (digit < 0)
			return 0;
		v = v << 6 | (uint32_t)digit;
	}
	if (v & ((1u << 8 * pad) - 1))
		return 0;
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return 3 - pad;
}

/* `*ret_full` says whether another line may follow. */
static bool take_line(struct bytes line, struct wr *w, bool *ret_full)
{
	size_t n = 3;

	if (line.n == 0 || line.n > LINE || line.n % 4 != 0)
		return false;
	for (size_t i = 0; i < line.n; i += 4) {
		uint8_t out[3];

		if (n != 3)
			return false; /* padding inside */
		n = take_group(line.p + i, out);
		if (n == 0)
			return false;
		wr_put(w, bytes_of(out, n));
	}
	*ret_full = line.n == LINE && n == 3;
	return true;
}

static enum status ends_early(const struct armour *a, const char *what, struct text *why)
{
	return pki_refuse(why, "line %u: the text ends inside %s", a->line, what);
}

static enum status take_body(struct armour *a, const char *label, const char *what, struct wr *w,
			     struct text *why)
{
	bool full = true;
	struct bytes line;

	while (armour_line(a, &line) == ST_OK) {
		if (is_mark(line, "END", label) && wr_len(w) > 0)
			return ST_OK;
		if (!full || !take_line(line, w, &full))
			return pki_refuse(why, "line %u: not the base64 of %s", a->line - 1, what);
	}
	return ends_early(a, what, why);
}

static enum status take_begin(struct armour *a, const char *label, const char *what,
			      struct text *why)
{
	struct bytes line;

	if (cur_left(&a->in) == 0)
		return pki_refuse(why, "the text ends where %s should begin", what);
	if (armour_line(a, &line) != ST_OK)
		return ends_early(a, what, why);
	if (is_mark(line, "BEGIN", label))
		return ST_OK;
	text_fmt(why, "line %u: %s should begin here, found \"", a->line - 1, what);
	text_quote(why, bytes_of(line.p, line.n < 40 ? line.n : 40));
	text_add(why, "\"");
	return ST_INVAL;
}

enum status armour_take(struct armour *a, const char *label, const char *what, struct text *why,
			struct pki_blob *ret_data)
{
	size_t room = cur_left(&a->in) / 4 * 3; /* no more can come out */
	struct pki_blob data = { mem_new(&mem_libc, room), room };
	struct wr w = wr_of(data.p, room);
	enum status st;

	if (!data.p)
		return ST_NOMEM;
	st = take_begin(a, label, what, why);
	if (st == ST_OK)
		st = take_body(a, label, what, &w, why);
	if (st != ST_OK) {
		pki_blob_done(&data);
		return st;
	}
	data.n = wr_len(&w);
	*ret_data = data;
	return ST_OK;
}
