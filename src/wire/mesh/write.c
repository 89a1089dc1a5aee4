/* Words, written: the mirror of parse.c and values.c, which have the figures. */
#include "wire/mesh/values.h"

static void put_ip(struct wr *w, const struct ip *ip)
{
	if (ip_len(ip) == 0)
		w->err = true;
	wr_put(w, ip_raw(ip));
}

/* With the length of the data in front, which its place among others needs. */
static void put_ident(struct wr *w, const struct wire_mesh_ident *id)
{
	wr_u8(w, id->type);
	wr_len8(w, id->data.n);
	wr_put(w, id->data);
}

void mesh_write_ident(struct wr *w, const struct wire_mesh_ident *id)
{
	wr_u8(w, id->type);
	wr_put(w, id->data);
}

void mesh_write_ts(struct wr *w, const struct wire_mesh_ts *ts)
{
	wr_u8(w, ts->authority);
	for (size_t i = 0; i < ts->ts.n; i++)
		wire_put_selector(w, &ts->ts.ts[i]);
}

void mesh_write_candidate(struct wr *w, const struct wire_mesh_candidate *c)
{
	wr_u8(w, c->kind);
	wr_u8(w, c->flags);
	wr_u16(w, c->at.port);
	wr_u32(w, c->priority);
	put_ip(w, &c->at.ip);
}

void mesh_write_path(struct wr *w, const struct wire_mesh_path *p)
{
	if (p->local.ip.family != p->remote.ip.family)
		w->err = true;
	wr_u32(w, p->rtt_us);
	wr_u16(w, p->local.port);
	wr_u16(w, p->remote.port);
	put_ip(w, &p->local.ip);
	put_ip(w, &p->remote.ip);
}

static void put_where(struct wr *w, const struct wire_mesh_where *at)
{
	struct wire_gateway gw = { WIRE_GW_FQDN, at->name };

	if (at->ip.family)
		gw = (struct wire_gateway){ at->ip.family == 4 ? WIRE_GW_IPV4 : WIRE_GW_IPV6,
					    ip_raw(&at->ip) };
	wr_u16(w, at->port);
	wire_gateway_put(w, &gw);
}

void mesh_write_hub(struct wr *w, const struct wire_mesh_hub *h)
{
	put_ident(w, &h->id);
	wr_len8(w, h->n_at);
	for (size_t i = 0; i < h->n_at; i++)
		put_where(w, &h->at[i]);
}

static void put_member_ts(struct wr *w, const struct wire_mesh_ts *ts)
{
	size_t at = wr_len(w);

	wr_u16(w, 0);
	mesh_write_ts(w, ts);
	wr_patch_len16(w, at, wr_len(w) - at - 2);
}

void mesh_write_member(struct wr *w, const struct wire_mesh_member *m)
{
	wr_u8(w, m->op);
	if (m->op == WIRE_MESH_MEMBERS_ANEW)
		return;
	wr_u64(w, m->epoch);
	wr_u64(w, m->boot);
	wr_u32(w, m->capabilities);
	put_ident(w, &m->id);
	wr_len8(w, m->n_ts);
	for (size_t i = 0; i < m->n_ts; i++)
		put_member_ts(w, &m->ts[i]);
	wr_len8(w, m->n_candidates);
	for (size_t i = 0; i < m->n_candidates; i++) {
		wr_len8(w, 8 + ip_len(&m->candidates[i].at.ip));
		mesh_write_candidate(w, &m->candidates[i]);
	}
}

/* ---- attributes --------------------------------------------------------------------------- */

/* Returns where its value begins, for put_close(). */
static size_t put_open(struct wr *w, enum wire_mesh_attr type)
{
	wr_u16(w, (uint16_t)type);
	wr_u16(w, 0);
	return wr_len(w);
}

static void put_close(struct wr *w, size_t at)
{
	wr_patch_len16(w, at - 2, wr_len(w) - at);
}

static void put_bytes(struct wr *w, enum wire_mesh_attr type, struct bytes value)
{
	size_t at = put_open(w, type);

	wr_put(w, value);
	put_close(w, at);
}

static void put_number(struct wr *w, enum wire_mesh_attr type, uint64_t v, size_t len)
{
	uint8_t b[8];

	store_be64(b, v);
	put_bytes(w, type, bytes_of(b + sizeof(b) - len, len));
}

static void put_identity(struct wr *w, enum wire_mesh_attr type, const struct wire_mesh_ident *id)
{
	size_t at = put_open(w, type);

	mesh_write_ident(w, id);
	put_close(w, at);
}

static void put_ts(struct wr *w, enum wire_mesh_attr type, const struct wire_mesh_ts *ts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = put_open(w, type);

		mesh_write_ts(w, &ts[i]);
		put_close(w, at);
	}
}

static void put_candidates(struct wr *w, const struct wire_mesh *m)
{
	for (size_t i = 0; i < m->n_candidates; i++) {
		size_t at = put_open(w, WIRE_MA_CANDIDATE);

		mesh_write_candidate(w, &m->candidates[i]);
		put_close(w, at);
	}
}

static void put_path(struct wr *w, const struct wire_mesh *m)
{
	size_t at = put_open(w, WIRE_MA_PATH);

	mesh_write_path(w, &m->path);
	put_close(w, at);
}

static void put_hubs(struct wr *w, const struct wire_mesh *m)
{
	for (size_t i = 0; i < m->n_hubs; i++) {
		size_t at = put_open(w, WIRE_MA_HUB);

		mesh_write_hub(w, &m->hubs[i]);
		put_close(w, at);
	}
}

static void put_members(struct wr *w, const struct wire_mesh *m)
{
	for (size_t i = 0; i < m->n_members; i++) {
		size_t at = put_open(w, WIRE_MA_MEMBER);

		mesh_write_member(w, &m->members[i]);
		put_close(w, at);
	}
}

static void put_attribute(struct wr *w, enum wire_mesh_attr type, const struct wire_mesh *m)
{
	switch (type) {
	case WIRE_MA_SECRET: put_bytes(w, type, bytes_of(m->secret, WIRE_MESH_SECRET)); return;
	case WIRE_MA_PARTNER_ID: put_identity(w, type, &m->partner); return;
	case WIRE_MA_OWN_ID: put_identity(w, type, &m->own); return;
	case WIRE_MA_TS_REMOTE: put_ts(w, type, m->ts_remote, m->n_ts_remote); return;
	case WIRE_MA_TS_LOCAL: put_ts(w, type, m->ts_local, m->n_ts_local); return;
	case WIRE_MA_CANDIDATE: put_candidates(w, m); return;
	case WIRE_MA_CONTEXT: put_bytes(w, type, m->context); return;
	case WIRE_MA_LIFETIME: put_number(w, type, m->lifetime_s, 4); return;
	case WIRE_MA_IDLE: put_number(w, type, m->idle_s, 4); return;
	case WIRE_MA_FLAGS: put_number(w, type, m->flags, 4); return;
	case WIRE_MA_SEQUENCE: put_number(w, type, m->sequence, 8); return;
	case WIRE_MA_OUTCOME: put_number(w, type, m->outcome, 1); return;
	case WIRE_MA_REASON: put_number(w, type, m->reason, 2); return;
	case WIRE_MA_TEXT: put_bytes(w, type, m->text); return;
	case WIRE_MA_PATH: put_path(w, m); return;
	case WIRE_MA_HUB: put_hubs(w, m); return;
	case WIRE_MA_MEMBER: put_members(w, m); return;
	case WIRE_MA_BOOT: put_number(w, type, m->boot, 8); return;
	case WIRE_MAS:
	case WIRE_MA_CRITICAL: return;
	}
}

void wire_mesh_put(struct wr *w, const struct wire_mesh *m)
{
	wr_put(w, BYTES_OF(m->id));
	for (unsigned type = WIRE_MA_SECRET; type < WIRE_MAS; type++)
		if (m->present >> type & 1)
			put_attribute(w, (enum wire_mesh_attr)type, m);
}
