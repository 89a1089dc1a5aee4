/*
 * cursor.h - the one way wire bytes are read and written.
 *
 * Both cursors are bounded and their error is sticky: after a read past the end (or a write that
 * does not fit) every later read returns zero or an empty view, every later write does nothing,
 * and the caller tests `err` once, at the end.  Room is tested as `n <= end - p`, which cannot
 * overflow.  `cur_sub` gives a child limited to a payload, so that no inner length can reach past
 * its container.  An error in a child does not touch its parent.
 */
#pragma once

#include "base/bytes.h"

struct cur {
	const uint8_t *p;
	const uint8_t *end;
	bool err;
};

static inline struct cur cur_of(struct bytes b)
{
	return (struct cur){ b.p, b.p ? b.p + b.n : b.p, false };
}

static inline size_t cur_left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

static inline bool cur_room(struct cur *c, size_t n)
{
	if (!c->err && n <= cur_left(c))
		return true;
	c->err = true;
	c->p = c->end;
	return false;
}

static inline struct bytes cur_take(struct cur *c, size_t n)
{
	const uint8_t *p = c->p;

	if (!cur_room(c, n))
		return (struct bytes){ NULL, 0 };
	if (n)
		c->p += n;
	return (struct bytes){ p, n };
}

static inline struct bytes cur_rest(struct cur *c)
{
	return cur_take(c, cur_left(c));
}

static inline struct cur cur_sub(struct cur *c, size_t n)
{
	struct cur child = cur_of(cur_take(c, n));

	child.err = c->err;
	return child;
}

static inline uint8_t cur_u8(struct cur *c)
{
	struct bytes b = cur_take(c, 1);

	return b.p ? b.p[0] : 0;
}

static inline uint16_t cur_u16(struct cur *c)
{
	struct bytes b = cur_take(c, 2);

	return b.p ? load_be16(b.p) : 0;
}

static inline uint32_t cur_u32(struct cur *c)
{
	struct bytes b = cur_take(c, 4);

	return b.p ? load_be32(b.p) : 0;
}

static inline uint64_t cur_u64(struct cur *c)
{
	struct bytes b = cur_take(c, 8);

	return b.p ? load_be64(b.p) : 0;
}

/* A writer into caller-owned memory. */
struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool err;
};

static inline struct wr wr_of(void *buf, size_t n)
{
	return (struct wr){ buf, buf, n ? (uint8_t *)buf + n : buf, false };
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/* The bytes written so far; empty after an error. */
static inline struct bytes wr_bytes_of(const struct wr *w)
{
	return w->err ? (struct bytes){ NULL, 0 } : (struct bytes){ w->start, wr_len(w) };
}

/* Room for `n` bytes to be filled by the caller, or NULL. */
static inline uint8_t *wr_room(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->err || n > (size_t)(w->end - w->p)) {
		w->err = true;
		return NULL;
	}
	if (n)
		w->p += n;
	return p;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *p = wr_room(w, 1);

	if (p)
		*p = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p = wr_room(w, 2);

	if (p)
		store_be16(p, v);
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p = wr_room(w, 4);

	if (p)
		store_be32(p, v);
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	uint8_t *p = wr_room(w, 8);

	if (p)
		store_be64(p, v);
}

static inline void wr_put(struct wr *w, struct bytes b)
{
	uint8_t *p = wr_room(w, b.n);

	if (p && b.n)
		memcpy(p, b.p, b.n);
}

/* Overwrites two bytes already written, at offset `at` (lengths known only afterwards). Anywhere
 * else is an error. */
static inline void wr_patch16(struct wr *w, size_t at, uint16_t v)
{
	if (w->err || wr_len(w) < 2 || at > wr_len(w) - 2)
		w->err = true;
	else
		store_be16(w->start + at, v);
}

/* Fills a 16-bit length that was left open at `at`.  One that does not fit is an error. */
static inline void wr_patch_len16(struct wr *w, size_t at, size_t len)
{
	if (len > UINT16_MAX)
		w->err = true;
	else
		wr_patch16(w, at, (uint16_t)len);
}

/* A length or count in one byte.  One that does not fit is an error. */
static inline void wr_len8(struct wr *w, size_t n)
{
	if (n > UINT8_MAX)
		w->err = true;
	else
		wr_u8(w, (uint8_t)n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p && n)
		memset(p, 0, n);
}
