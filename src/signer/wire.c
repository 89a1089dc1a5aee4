#include "signer/internal.h"

#include <stdlib.h>

enum { HEAD = SIGNER_FRAME_LEN + 1 + 8 };

enum status signer_frame(struct bytes stream, size_t max, struct bytes *ret_frame, size_t *ret_used)
{
	struct cur c = cur_of(stream);
	uint32_t n = cur_u32(&c);

	if (c.err)
		return ST_AGAIN;
	if (n > max)
		return ST_DROP;
	if (n > cur_left(&c))
		return ST_AGAIN;
	*ret_frame = cur_take(&c, n);
	*ret_used = SIGNER_FRAME_LEN + (size_t)n;
	return ST_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Text that becomes a C string on the other side. */
static struct bytes take_text(struct cur *c, size_t n, size_t max)
{
	struct bytes b = cur_take(c, n);

	if (n > max || (b.n && memchr(b.p, 0, b.n)))
		c->err = true;
	return b;
}

static void take_name_and_octets(struct cur *c, struct signer_request *r)
{
	r->name = take_text(c, cur_u16(c), SIGNER_NAME_MAX);
	r->octets = cur_rest(c);
	if (r->name.n == 0 || r->octets.n > SIGNER_OCTETS_MAX)
		c->err = true;
}

enum status signer_parse_request(struct bytes frame, struct signer_request *ret)
{
	struct cur c = cur_of(frame);
	struct signer_request r = { .type = (enum signer_request_type)cur_u8(&c),
				    .id = cur_u64(&c) };

	switch (r.type) {
	case SIGNER_LOAD:
		r.path = take_text(&c, cur_left(&c), SIGNER_PATH_MAX);
		c.err = c.err || r.path.n == 0;
		break;
	case SIGNER_COMMIT:
	case SIGNER_SOCKET: break;
	case SIGNER_SIGN:
		r.method = cur_u8(&c);
		r.hashes = cur_u16(&c);
		take_name_and_octets(&c, &r);
		break;
	case SIGNER_PSK:
	case SIGNER_PPK:
		r.prf = cur_u16(&c);
		take_name_and_octets(&c, &r);
		break;
	case SIGNER_QCD:
		r.spi_i = cur_u64(&c);
		r.spi_r = cur_u64(&c);
		break;
	case SIGNER_STATE: break;
	default: return ST_DROP;
	}
	if (c.err || cur_left(&c))
		return ST_DROP;
	*ret = r;
	return ST_OK;
}

static enum status take_status(struct cur *c)
{
	uint8_t v = cur_u8(c);

	if (v > ST_BUG)
		c->err = true;
	return (enum status)v;
}

static void take_result(struct cur *c, struct signer_reply *r)
{
	uint8_t refusal = cur_u8(c);

	r->refusal = (enum signer_refusal)refusal;
	r->method = cur_u8(c);
	r->how = take_text(c, cur_u8(c), sizeof(((struct crypto_result *)0)->auth.how) - 1);
	r->data = cur_take(c, cur_u16(c));
	/* A result says either yes, with data, or no, without. */
	if (refusal > SIGNER_FAILED || r->data.n > CRYPTO_SIGNATURE_MAX ||
	    (r->status == ST_OK) != (refusal == SIGNER_GRANTED) ||
	    (r->status == ST_OK) != (r->data.n > 0))
		c->err = true;
}

static void take_file(struct cur *c, struct signer_reply *r)
{
	r->path = take_text(c, cur_u16(c), SIGNER_PATH_MAX);
	r->data = cur_rest(c);
	if (r->path.n == 0 || r->data.n > SIGNER_FILE_MAX)
		c->err = true;
}

static bool take_reply(struct cur *c, struct signer_reply *r)
{
	switch (r->type) {
	case SIGNER_FILE: take_file(c, r); return true;
	case SIGNER_ERROR: r->at = (struct conf_pos){ cur_u32(c), cur_u32(c) }; break;
	case SIGNER_LOADED:
		r->status = take_status(c);
		r->total = cur_u32(c);
		break;
	case SIGNER_READY:
	case SIGNER_STATED:
	case SIGNER_COMMITTED: r->status = take_status(c); break;
	case SIGNER_RESULT:
		r->status = take_status(c);
		take_result(c, r);
		break;
	default: return false;
	}
	r->text = take_text(c, cur_left(c), SIGNER_TEXT_MAX);
	return true;
}

enum status signer_parse_reply(struct bytes frame, struct signer_reply *ret)
{
	struct cur c = cur_of(frame);
	struct signer_reply r = { .type = (enum signer_reply_type)cur_u8(&c), .id = cur_u64(&c) };

	if (!take_reply(&c, &r) || c.err || cur_left(&c))
		return ST_DROP;
	*ret = r;
	return ST_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum status begin(size_t body, size_t max, uint8_t type, uint64_t id, struct wr *ret_w)
{
	size_t n = HEAD + body;
	uint8_t *p;

	if (n - SIGNER_FRAME_LEN > max)
		return ST_BUG;
	p = malloc(n);
	if (!p)
		return ST_NOMEM;
	*ret_w = wr_of(p, n);
	wr_u32(ret_w, (uint32_t)(n - SIGNER_FRAME_LEN));
	wr_u8(ret_w, type);
	wr_u64(ret_w, id);
	return ST_OK;
}

/* The size that begin() was told is the size that came out. */
static enum status end(struct wr *w, struct bytes *ret_frame)
{
	if (w->err || w->p != w->end) {
		free(w->start);
		return ST_BUG;
	}
	*ret_frame = wr_bytes_of(w);
	return ST_OK;
}

static size_t request_size(const struct signer_request *r)
{
	switch (r->type) {
	case SIGNER_LOAD: return r->path.n;
	case SIGNER_SIGN: return 5 + r->name.n + r->octets.n;
	case SIGNER_PSK:
	case SIGNER_PPK: return 4 + r->name.n + r->octets.n;
	case SIGNER_QCD: return 16;
	case SIGNER_COMMIT:
	case SIGNER_STATE:
	case SIGNER_SOCKET: break;
	}
	return 0;
}

enum status signer_make_request(const struct signer_request *r, struct bytes *ret_frame)
{
	struct wr w;
	enum status st;

	if (r->path.n > SIGNER_PATH_MAX || r->name.n > SIGNER_NAME_MAX ||
	    r->octets.n > SIGNER_OCTETS_MAX)
		return ST_BUG;
	st = begin(request_size(r), SIGNER_REQUEST_MAX, (uint8_t)r->type, r->id, &w);
	if (st != ST_OK)
		return st;
	if (r->type == SIGNER_LOAD)
		wr_put(&w, r->path);
	if (r->type == SIGNER_SIGN) {
		wr_u8(&w, r->method);
		wr_u16(&w, r->hashes);
	} else if (r->type == SIGNER_PSK || r->type == SIGNER_PPK) {
		wr_u16(&w, r->prf);
	} else if (r->type == SIGNER_QCD) {
		wr_u64(&w, r->spi_i);
		wr_u64(&w, r->spi_r);
	}
	if (r->name.n) {
		wr_u16(&w, (uint16_t)r->name.n);
		wr_put(&w, r->name);
		wr_put(&w, r->octets);
	}
	return end(&w, ret_frame);
}

static size_t reply_size(const struct signer_reply *r)
{
	switch (r->type) {
	case SIGNER_FILE: return 2 + r->path.n + r->data.n;
	case SIGNER_ERROR: return 8 + r->text.n;
	case SIGNER_LOADED: return 5 + r->text.n;
	case SIGNER_RESULT: return 6 + r->how.n + r->data.n + r->text.n;
	case SIGNER_READY:
	case SIGNER_STATED:
	case SIGNER_COMMITTED: break;
	}
	return 1 + r->text.n;
}

static void put_result(struct wr *w, const struct signer_reply *r)
{
	wr_u8(w, (uint8_t)r->refusal);
	wr_u8(w, r->method);
	wr_u8(w, (uint8_t)r->how.n);
	wr_put(w, r->how);
	wr_u16(w, (uint16_t)r->data.n);
	wr_put(w, r->data);
}

enum status signer_make_reply(const struct signer_reply *r, struct bytes *ret_frame)
{
	struct wr w;
	enum status st;

	if (r->path.n > SIGNER_PATH_MAX || r->text.n > SIGNER_TEXT_MAX || r->how.n > UINT8_MAX ||
	    r->data.n > (r->type == SIGNER_FILE ? SIGNER_FILE_MAX : CRYPTO_SIGNATURE_MAX))
		return ST_BUG;
	st = begin(reply_size(r), SIGNER_REPLY_MAX, (uint8_t)r->type, r->id, &w);
	if (st != ST_OK)
		return st;
	if (r->type == SIGNER_FILE) {
		wr_u16(&w, (uint16_t)r->path.n);
		wr_put(&w, r->path);
		wr_put(&w, r->data);
		return end(&w, ret_frame);
	}
	if (r->type == SIGNER_ERROR) {
		wr_u32(&w, r->at.line);
		wr_u32(&w, r->at.col);
	} else {
		wr_u8(&w, (uint8_t)r->status);
	}
	if (r->type == SIGNER_LOADED)
		wr_u32(&w, r->total);
	if (r->type == SIGNER_RESULT)
		put_result(&w, r);
	wr_put(&w, r->text);
	return end(&w, ret_frame);
}
