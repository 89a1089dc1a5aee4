#include "resolved/internal.h"

/* ---- reading ------------------------------------------------------------------------------- */

static void take_device(struct cur *c, struct resolved_request *r)
{
	uint32_t ifindex = cur_u32(c);

	r->ifindex = (int)ifindex;
	if (ifindex == 0 || ifindex > INT32_MAX)
		c->err = true;
}

static void take_ip(struct cur *c, struct ip *ret)
{
	uint8_t family = cur_u8(c);

	*ret = ip_from_raw(cur_take(c, family == 4 ? 4 : 16));
	if (ret->family != family)
		c->err = true;
}

/* Labels of letters, digits, '-' and '_', with a dot in between. */
static bool is_name(struct bytes b)
{
	size_t label = 0;

	for (size_t i = 0; i < b.n; i++) {
		uint8_t ch = b.p[i];
		bool ok = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' ||
			  ch == '_';

		if (ch == '.' ? label == 0 : !ok || label == 63)
			return false;
		label = ch == '.' ? 0 : label + 1;
	}
	return label > 0;
}

static void take_name(struct cur *c, char ret[static RESOLVED_NAME_MAX + 1])
{
	struct bytes b = cur_take(c, cur_u8(c));

	if (c->err || b.n > RESOLVED_NAME_MAX || !is_name(b)) {
		c->err = true;
		return;
	}
	memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
}

static void take_wish(struct cur *c, struct resolved_request *r)
{
	r->n_dns = cur_u8(c);
	if (r->n_dns > RESOLVED_DNS_MAX)
		c->err = true;
	for (size_t i = 0; !c->err && i < r->n_dns; i++)
		take_ip(c, &r->dns[i]);
	r->n_domains = cur_u8(c);
	if (r->n_domains > RESOLVED_DOMAINS_MAX)
		c->err = true;
	for (size_t i = 0; !c->err && i < r->n_domains; i++)
		take_name(c, r->domains[i]);
}

enum status resolved_parse_request(struct bytes b, struct resolved_request *ret)
{
	struct cur c = cur_of(b);

	*ret = (struct resolved_request){ .type = (enum resolved_type)cur_u8(&c) };
	switch (ret->type) {
	case RESOLVED_DEVICE: take_device(&c, ret); break;
	case RESOLVED_WISH: take_wish(&c, ret); break;
	default: return ST_DROP;
	}
	return c.err || cur_left(&c) ? ST_DROP : ST_OK;
}

enum status resolved_parse_reply(struct bytes b, struct resolved_reply *ret)
{
	struct cur c = cur_of(b);
	uint8_t state = cur_u8(&c);
	struct bytes text = cur_rest(&c);

	if (c.err || state > RESOLVED_REFUSED || text.n >= sizeof(ret->text) ||
	    (text.n && memchr(text.p, 0, text.n)))
		return ST_DROP;
	*ret = (struct resolved_reply){ .state = (enum resolved_state)state };
	if (text.n)
		memcpy(ret->text, text.p, text.n);
	return ST_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void put_wish(struct wr *w, const struct resolved_request *r)
{
	wr_u8(w, (uint8_t)r->n_dns);
	for (size_t i = 0; i < r->n_dns; i++) {
		wr_u8(w, r->dns[i].family);
		wr_put(w, ip_raw(&r->dns[i]));
	}
	wr_u8(w, (uint8_t)r->n_domains);
	for (size_t i = 0; i < r->n_domains; i++) {
		wr_u8(w, (uint8_t)strlen(r->domains[i]));
		wr_put(w, bytes_str(r->domains[i]));
	}
}

size_t resolved_make_request(const struct resolved_request *r,
			     uint8_t buf[static RESOLVED_MESSAGE_MAX])
{
	struct wr w = wr_of(buf, RESOLVED_MESSAGE_MAX);

	wr_u8(&w, (uint8_t)r->type);
	if (r->type == RESOLVED_DEVICE) {
		wr_u32(&w, (uint32_t)r->ifindex);
	} else {
		put_wish(&w, r);
	}
	return wr_bytes_of(&w).n;
}

size_t resolved_make_reply(const struct resolved_reply *r, uint8_t buf[static RESOLVED_MESSAGE_MAX])
{
	struct wr w = wr_of(buf, RESOLVED_MESSAGE_MAX);

	wr_u8(&w, (uint8_t)r->state);
	wr_put(&w, bytes_str(r->text));
	return wr_bytes_of(&w).n;
}
