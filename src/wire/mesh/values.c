/* The values of attributes, read: docs/protocol/shortcut.md section 4.2 has the rules. */
#include "wire/mesh/values.h"

enum { AUTHORITIES = 3 };

static enum wire_mesh_fault ident_of(uint8_t type, struct bytes data, struct wire_mesh_ident *ret)
{
	if (type == 0 || data.n == 0 || data.n > WIRE_MESH_IDENT_MAX || !wire_id_ok(type, data))
		return WIRE_MF_IDENT;
	*ret = (struct wire_mesh_ident){ type, data };
	return WIRE_MF_OK;
}

/*
 *	+---------------+-----------------------------------------------+
 *	|    ID Type    |              Identification Data              ~
 *	+---------------+-----------------------------------------------+
 */
enum wire_mesh_fault mesh_read_ident(struct bytes value, struct wire_mesh_ident *ret)
{
	struct cur c = cur_of(value);
	uint8_t type = cur_u8(&c);

	return ident_of(type, cur_rest(&c), ret);
}

/* How many there are, if they are what they seem. */
static size_t count_selectors(struct bytes selectors)
{
	struct cur c = cur_of(selectors);
	size_t n = 0;

	for (; cur_left(&c); n++) {
		size_t len;

		cur_take(&c, 2);
		len = cur_u16(&c);
		cur_take(&c, len < 4 ? 0 : len - 4);
	}
	return n;
}

static enum wire_mesh_fault read_selectors(struct arena *ar, struct bytes selectors, size_t room,
					   struct wire_ts_list *ret)
{
	size_t n = count_selectors(selectors);
	struct wire_ts_list list = { 0 };
	struct cur c = cur_of(selectors);
	struct wire_ts *ts;

	if (n == 0)
		return WIRE_MF_TS;
	if (n > room)
		return WIRE_MF_LIMIT;
	ts = arena_new(ar, n * sizeof(*ts));
	if (!ts)
		return WIRE_MF_NOMEM;
	while (cur_left(&c))
		if (!wire_take_selector(&c, &list, &ts[list.n]) || list.unknown)
			return WIRE_MF_TS;
	*ret = (struct wire_ts_list){ .ts = ts, .n = list.n };
	return WIRE_MF_OK;
}

/*
 *	+---------------+-----------------------------------------------+
 *	|   Authority   |                                               |
 *	+---------------+                                               ~
 *	~              Traffic Selectors (RFC 7296 3.13.1)              ~
 *	+---------------------------------------------------------------+
 *
 * One of a type that is not known might be what narrows all others: nothing is left out.
 */
enum wire_mesh_fault mesh_read_ts(struct arena *ar, struct bytes value, struct mesh_ts side)
{
	struct cur c = cur_of(value);
	uint8_t authority = cur_u8(&c);
	struct wire_ts_list list;
	enum wire_mesh_fault f;
	size_t all = 0;

	if (authority >= AUTHORITIES)
		return WIRE_MF_RANGE;
	for (size_t i = 0; i < *side.n; i++) {
		if (side.list[i].authority == authority)
			return WIRE_MF_REPEATED;
		all += side.list[i].ts.n;
	}
	f = read_selectors(ar, cur_rest(&c), WIRE_MESH_TS - all, &list);
	if (f == WIRE_MF_OK)
		side.list[(*side.n)++] = (struct wire_mesh_ts){ authority, list };
	return f;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	|     Kind      |     Flags     |             Port              |
 *	+---------------+---------------+-------------------------------+
 *	|                           Priority                            |
 *	+---------------------------------------------------------------+
 *	~                     Address (4 or 16 octets)                  ~
 *	+---------------------------------------------------------------+
 */
enum wire_mesh_fault mesh_read_candidate(struct bytes value, struct wire_mesh_candidate *ret)
{
	struct wire_mesh_candidate v = { 0 };
	struct cur c = cur_of(value);

	v.kind = cur_u8(&c);
	v.flags = cur_u8(&c);
	v.at.port = cur_u16(&c);
	v.priority = cur_u32(&c);
	v.at.ip = ip_from_raw(cur_rest(&c));
	if (c.err || v.at.ip.family == 0 || v.kind < WIRE_MC_HOST || v.kind > WIRE_MC_CONFIGURED)
		return WIRE_MF_CANDIDATE;
	*ret = v;
	return WIRE_MF_OK;
}

/*
 *	+---------------------------------------------------------------+
 *	|                  Round Trip in Microseconds                   |
 *	+-------------------------------+-------------------------------+
 *	|          Local Port           |          Remote Port          |
 *	+-------------------------------+-------------------------------+
 *	~                         Local Address                         ~
 *	+---------------------------------------------------------------+
 *	~                 Remote Address (of the same family)           ~
 *	+---------------------------------------------------------------+
 */
enum wire_mesh_fault mesh_read_path(struct bytes value, struct wire_mesh_path *ret)
{
	struct wire_mesh_path v = { 0 };
	struct cur c = cur_of(value);
	size_t half;

	v.rtt_us = cur_u32(&c);
	v.local.port = cur_u16(&c);
	v.remote.port = cur_u16(&c);
	half = cur_left(&c) / 2;
	v.local.ip = ip_from_raw(cur_take(&c, half));
	v.remote.ip = ip_from_raw(cur_rest(&c));
	if (v.local.ip.family == 0 || v.remote.ip.family == 0)
		return WIRE_MF_LENGTH;
	*ret = v;
	return WIRE_MF_OK;
}

static bool where_of(const struct wire_gateway *gw, uint16_t port, struct wire_mesh_where *ret)
{
	bool name = gw->type == WIRE_GW_FQDN;

	*ret = (struct wire_mesh_where){ .port = port };
	if (name)
		ret->name = gw->id;
	else
		ret->ip = ip_from_raw(gw->id);
	return port != 0;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	|    ID Type    |   ID Length   |      Identification Data      ~
 *	+---------------+---------------+-------------------------------+
 *	|   Addresses   |  then for each of them:
 *	+---------------+
 *
 *	+-------------------------------+---------------+---------------+
 *	|             Port              | GW Ident Type |  GW Ident Len |
 *	+-------------------------------+---------------+---------------+
 *	~           Gateway Identity (RFC 5685 section 9.2)             ~
 *	+---------------------------------------------------------------+
 */
enum wire_mesh_fault mesh_read_hub(struct bytes value, struct wire_mesh_hub *ret)
{
	struct cur c = cur_of(value);
	uint8_t type = cur_u8(&c);
	struct bytes data = cur_take(&c, cur_u8(&c));
	size_t n = cur_u8(&c);
	enum wire_mesh_fault f;

	if (c.err || n == 0)
		return WIRE_MF_HUB;
	if (n > WIRE_MESH_HUB_ADDRESSES)
		return WIRE_MF_LIMIT;
	f = ident_of(type, data, &ret->id);
	for (ret->n_at = 0; f == WIRE_MF_OK && ret->n_at < n; ret->n_at++) {
		uint16_t port = cur_u16(&c);
		struct wire_gateway gw;
		struct bytes rest;

		if (c.err || wire_gateway_parse(cur_rest(&c), &gw, &rest) != ST_OK ||
		    !where_of(&gw, port, &ret->at[ret->n_at]))
			return WIRE_MF_HUB;
		c = cur_of(rest);
	}
	return f == WIRE_MF_OK && cur_left(&c) ? WIRE_MF_HUB : f;
}

/* Any number of authorities with their selectors: a second of one is refused. */
static enum wire_mesh_fault member_ts(struct arena *ar, struct cur *c, size_t n,
				      struct wire_mesh_member *ret)
{
	enum wire_mesh_fault f = WIRE_MF_OK;

	for (; n && f == WIRE_MF_OK; n--) {
		size_t len = cur_u16(c);
		struct bytes value = cur_take(c, len);

		f = c->err ? WIRE_MF_MEMBER
			   : mesh_read_ts(ar, value, (struct mesh_ts){ ret->ts, &ret->n_ts });
	}
	return f;
}

static enum wire_mesh_fault member_candidates(struct cur *c, size_t n, struct wire_mesh_member *ret)
{
	enum wire_mesh_fault f = n > WIRE_MESH_CANDIDATES ? WIRE_MF_LIMIT : WIRE_MF_OK;

	for (; f == WIRE_MF_OK && ret->n_candidates < n; ret->n_candidates++) {
		struct bytes value = cur_take(c, cur_u8(c));

		f = c->err ? WIRE_MF_MEMBER
			   : mesh_read_candidate(value, &ret->candidates[ret->n_candidates]);
	}
	return f;
}

/* Behind the operation, which needs nothing else when all is to be forgotten. */
static enum wire_mesh_fault member_body(struct arena *ar, struct cur *c,
					struct wire_mesh_member *ret)
{
	enum wire_mesh_fault f;
	uint8_t type;
	struct bytes data;

	ret->epoch = cur_u64(c);
	ret->boot = cur_u64(c);
	ret->capabilities = cur_u32(c);
	type = cur_u8(c);
	data = cur_take(c, cur_u8(c));
	if (c->err)
		return WIRE_MF_MEMBER;
	f = ident_of(type, data, &ret->id);
	if (f == WIRE_MF_OK)
		f = member_ts(ar, c, cur_u8(c), ret);
	if (f == WIRE_MF_OK)
		f = member_candidates(c, cur_u8(c), ret);
	return f;
}

static bool member_op_ok(const struct wire_mesh_member *m)
{
	switch (m->op) {
	case WIRE_MESH_MEMBER_UP:
	case WIRE_MESH_MEMBERS_ANEW: return true;
	case WIRE_MESH_MEMBER_GONE: return m->n_ts == 0 && m->n_candidates == 0;
	default: return false;
	}
}

/*
 *	+---------------+
 *	|   Operation   |  and, unless that is 3:
 *	+---------------+-----------------------------------------------+
 *	|                             Epoch                             |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	|                             Boot                              |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	|                         Capabilities                          |
 *	+---------------+---------------+-------------------------------+
 *	|    ID Type    |   ID Length   |      Identification Data      ~
 *	+---------------+---------------+-------------------------------+
 *	|  Authorities  |  for each: Length (2), the value of TS_REMOTE
 *	+---------------+
 *	|  Candidates   |  for each: Length (1), the value of CANDIDATE
 *	+---------------+
 */
enum wire_mesh_fault mesh_read_member(struct arena *ar, struct bytes value,
				      struct wire_mesh_member *ret)
{
	struct cur c = cur_of(value);
	enum wire_mesh_fault f = WIRE_MF_OK;

	*ret = (struct wire_mesh_member){ .op = cur_u8(&c) };
	if (ret->op != WIRE_MESH_MEMBERS_ANEW)
		f = member_body(ar, &c, ret);
	if (f == WIRE_MF_OK && (c.err || cur_left(&c) || !member_op_ok(ret)))
		f = WIRE_MF_MEMBER;
	return f;
}
