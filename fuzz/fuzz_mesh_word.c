/*
 * Words of the mesh: the first byte says of which kind.  What was read is written and read again:
 * the same values must come back, in the same bytes however often.
 */
#include "ike_values.h"

#include "wire/mesh/wire_mesh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t kind_of(uint8_t choice)
{
	static const uint16_t kinds[] = {
		WIRE_N_SHORTCUT_SUGGEST,    WIRE_N_SHORTCUT_REPORT, WIRE_N_SHORTCUT_WITHDRAW,
		WIRE_N_SHORTCUT_CANDIDATES, WIRE_N_SHORTCUT_HUBS,   WIRE_N_SHORTCUT_DIRECTORY,
		WIRE_N_SHORTCUT_RELAY,      WIRE_N_SHORTCUT_ACCEPT, WIRE_N_SHORTCUT_REFUSED,
		WIRE_N_CAPABILITIES,        WIRE_N_SHORTCUT_ASK,
	};

	return kinds[choice % ARRAY_LEN(kinds)];
}

static void check_ident(struct bytes all, const struct wire_mesh_ident *id)
{
	check_view(all, id->data);
	CHECK(id->type != 0 && id->data.n > 0 && id->data.n <= WIRE_MESH_IDENT_MAX);
	CHECK(wire_id_ok(id->type, id->data));
}

static void check_side(const struct wire_mesh_ts *ts, size_t n)
{
	size_t selectors = 0;

	CHECK(n <= 3);
	for (size_t i = 0; i < n; i++) {
		CHECK(ts[i].authority < 3 && ts[i].ts.n > 0 && ts[i].ts.unknown == 0);
		check_ts_list(&ts[i].ts);
		selectors += ts[i].ts.n;
		for (size_t k = 0; k < i; k++)
			CHECK(ts[k].authority != ts[i].authority);
	}
	CHECK(selectors <= WIRE_MESH_TS);
}

static void check_candidates(const struct wire_mesh_candidate *c, size_t n)
{
	CHECK(n <= WIRE_MESH_CANDIDATES);
	for (size_t i = 0; i < n; i++) {
		CHECK(c[i].kind >= WIRE_MC_HOST && c[i].kind <= WIRE_MC_CONFIGURED);
		CHECK(ip_len(&c[i].at.ip) > 0);
	}
}

static void check_hub(struct bytes all, const struct wire_mesh_hub *h)
{
	check_ident(all, &h->id);
	CHECK(h->n_at > 0 && h->n_at <= WIRE_MESH_HUB_ADDRESSES);
	for (size_t i = 0; i < h->n_at; i++) {
		CHECK(h->at[i].port != 0);
		check_view(all, h->at[i].name);
		CHECK((ip_len(&h->at[i].ip) > 0) != host_name_ok(h->at[i].name));
	}
}

static void check_member(struct bytes all, const struct wire_mesh_member *m)
{
	CHECK(m->op >= WIRE_MESH_MEMBER_UP && m->op <= WIRE_MESH_MEMBERS_ANEW);
	CHECK(m->op == WIRE_MESH_MEMBER_UP || m->n_ts + m->n_candidates == 0);
	if (m->op != WIRE_MESH_MEMBERS_ANEW)
		check_ident(all, &m->id);
	check_side(m->ts, m->n_ts);
	check_candidates(m->candidates, m->n_candidates);
}

static void check_numbers(const struct wire_mesh *m)
{
	CHECK(!WIRE_MESH_HAS(m, LIFETIME) ||
	      (m->lifetime_s >= WIRE_MESH_LIFETIME_MIN && m->lifetime_s <= WIRE_MESH_LIFETIME_MAX));
	CHECK(!WIRE_MESH_HAS(m, IDLE) ||
	      (m->idle_s >= WIRE_MESH_IDLE_MIN && m->idle_s <= WIRE_MESH_IDLE_MAX));
	CHECK(!WIRE_MESH_HAS(m, OUTCOME) || wire_mesh_outcome_name(m->outcome));
	CHECK(!WIRE_MESH_HAS(m, REASON) || m->reason != 0);
	CHECK(!WIRE_MESH_HAS(m, PATH) || m->path.local.ip.family == m->path.remote.ip.family);
}

static void check_word(struct bytes all, const struct wire_mesh *m)
{
	CHECK(m->present < 1u << WIRE_MAS && !(m->present & 1));
	CHECK(WIRE_MESH_HAS(m, CANDIDATE) == (m->n_candidates > 0));
	CHECK(WIRE_MESH_HAS(m, TS_REMOTE) == (m->n_ts_remote > 0));
	CHECK(WIRE_MESH_HAS(m, TS_LOCAL) == (m->n_ts_local > 0));
	CHECK(WIRE_MESH_HAS(m, HUB) == (m->n_hubs > 0) && m->n_hubs <= WIRE_MESH_HUBS);
	CHECK(WIRE_MESH_HAS(m, MEMBER) == (m->n_members > 0));
	CHECK(m->n_members <= WIRE_MESH_MEMBERS);
	if (WIRE_MESH_HAS(m, SECRET))
		check_view(all, bytes_of(m->secret, WIRE_MESH_SECRET));
	if (WIRE_MESH_HAS(m, PARTNER_ID))
		check_ident(all, &m->partner);
	if (WIRE_MESH_HAS(m, OWN_ID))
		check_ident(all, &m->own);
	check_side(m->ts_remote, m->n_ts_remote);
	check_side(m->ts_local, m->n_ts_local);
	check_candidates(m->candidates, m->n_candidates);
	check_view(all, m->context);
	CHECK(m->context.n <= WIRE_MESH_CONTEXT_MAX && wire_text_ok(m->context));
	check_view(all, m->text);
	CHECK(m->text.n <= WIRE_MESH_TEXT_MAX);
	for (size_t i = 0; i < m->n_hubs; i++)
		check_hub(all, &m->hubs[i]);
	for (size_t i = 0; i < m->n_members; i++)
		check_member(all, &m->members[i]);
	check_numbers(m);
}

static void round_trip(uint16_t kind, const struct wire_mesh *a)
{
	static uint8_t buf[WIRE_MESH_MAX], again[WIRE_MESH_MAX];
	struct wr w = wr_of(buf, sizeof(buf)), v = wr_of(again, sizeof(again));
	enum wire_mesh_fault fault;
	struct wire_mesh b;
	struct arena ar;

	wire_mesh_put(&w, a);
	CHECK(!w.err);
	arena_init(&ar, &mem_libc, 1 << 20);
	CHECK(wire_mesh_parse(&ar, kind, wr_bytes_of(&w), &b, &fault) == ST_OK);
	check_word(wr_bytes_of(&w), &b);
	CHECK(a->present == b.present && memcmp(a->id, b.id, sizeof(b.id)) == 0);
	wire_mesh_put(&v, &b);
	CHECK(bytes_eq(wr_bytes_of(&w), wr_bytes_of(&v)));
	arena_done(&ar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct bytes word;
	struct wire_mesh m;
	struct arena ar;
	uint16_t kind;

	if (size == 0)
		return 0;
	kind = kind_of(data[0]);
	word = bytes_of(data + 1, size - 1);
	arena_init(&ar, &mem_libc, 1 << 20);
	if (wire_mesh_parse(&ar, kind, word, &m, &fault) == ST_OK) {
		CHECK(fault == WIRE_MF_OK && kind != WIRE_N_CAPABILITIES);
		check_word(word, &m);
		round_trip(kind, &m);
	} else {
		CHECK(fault != WIRE_MF_OK && fault != WIRE_MF_NOMEM);
	}
	arena_done(&ar);
	return 0;
}
