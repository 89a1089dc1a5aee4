/*
 * Words, read (docs/protocol/shortcut.md section 4).
 *
 *	+---------------------------------------------------------------+
 *	|                       Id (16 octets)                          ~
 *	+-+-----------------------------+-------------------------------+
 *	|C|       Attribute Type        |            Length             |
 *	+-+-----------------------------+-------------------------------+
 *	~                             Value                             ~
 *	+---------------------------------------------------------------+
 *	~                        more attributes                        ~
 *
 * Two tables are the rules: which attributes there are, and what a word of each kind may hold.
 */
#include "wire/mesh/values.h"

struct word {
	struct arena *ar;
	struct wire_mesh out;
	struct wire_mesh_hub *hubs; /* what the views in `out` show, still writable */
	struct wire_mesh_member *members;
};

typedef enum wire_mesh_fault read_value(struct word *w, struct bytes value);

static uint64_t number(struct bytes value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < value.n; i++)
		v = v << 8 | value.p[i];
	return v;
}

static enum wire_mesh_fault in_range(uint64_t v, uint64_t min, uint64_t max)
{
	return v >= min && v <= max ? WIRE_MF_OK : WIRE_MF_RANGE;
}

static enum wire_mesh_fault read_secret(struct word *w, struct bytes value)
{
	w->out.secret = value.p;
	return WIRE_MF_OK;
}

static enum wire_mesh_fault read_partner(struct word *w, struct bytes value)
{
	return mesh_read_ident(value, &w->out.partner);
}

static enum wire_mesh_fault read_own(struct word *w, struct bytes value)
{
	return mesh_read_ident(value, &w->out.own);
}

static enum wire_mesh_fault read_ts_remote(struct word *w, struct bytes value)
{
	struct mesh_ts side = { w->out.ts_remote, &w->out.n_ts_remote };

	return mesh_read_ts(w->ar, value, side);
}

static enum wire_mesh_fault read_ts_local(struct word *w, struct bytes value)
{
	struct mesh_ts side = { w->out.ts_local, &w->out.n_ts_local };

	return mesh_read_ts(w->ar, value, side);
}

/* Those that are too many have to be candidates all the same. */
static enum wire_mesh_fault read_candidate(struct word *w, struct bytes value)
{
	struct wire_mesh_candidate v;
	enum wire_mesh_fault f = mesh_read_candidate(value, &v);

	if (f == WIRE_MF_OK && w->out.n_candidates < WIRE_MESH_CANDIDATES)
		w->out.candidates[w->out.n_candidates++] = v;
	return f;
}

static enum wire_mesh_fault read_context(struct word *w, struct bytes value)
{
	w->out.context = value;
	return wire_text_ok(value) ? WIRE_MF_OK : WIRE_MF_TEXT;
}

static enum wire_mesh_fault read_lifetime(struct word *w, struct bytes value)
{
	w->out.lifetime_s = (uint32_t)number(value);
	return in_range(w->out.lifetime_s, WIRE_MESH_LIFETIME_MIN, WIRE_MESH_LIFETIME_MAX);
}

static enum wire_mesh_fault read_idle(struct word *w, struct bytes value)
{
	w->out.idle_s = (uint32_t)number(value);
	return in_range(w->out.idle_s, WIRE_MESH_IDLE_MIN, WIRE_MESH_IDLE_MAX);
}

static enum wire_mesh_fault read_flags(struct word *w, struct bytes value)
{
	w->out.flags = (uint32_t)number(value);
	return WIRE_MF_OK;
}

static enum wire_mesh_fault read_sequence(struct word *w, struct bytes value)
{
	w->out.sequence = number(value);
	return WIRE_MF_OK;
}

static enum wire_mesh_fault read_outcome(struct word *w, struct bytes value)
{
	w->out.outcome = value.p[0];
	return in_range(w->out.outcome, WIRE_MO_UP, WIRE_MOS - 1);
}

/* It is for the operator: one that is not known yet is one, too. */
static enum wire_mesh_fault read_reason(struct word *w, struct bytes value)
{
	w->out.reason = (uint16_t)number(value);
	return in_range(w->out.reason, 1, UINT16_MAX);
}

static enum wire_mesh_fault read_text(struct word *w, struct bytes value)
{
	w->out.text = value;
	return WIRE_MF_OK;
}

static enum wire_mesh_fault read_path(struct word *w, struct bytes value)
{
	return mesh_read_path(value, &w->out.path);
}

static enum wire_mesh_fault read_hub(struct word *w, struct bytes value)
{
	return mesh_read_hub(value, &w->hubs[w->out.n_hubs++]);
}

static enum wire_mesh_fault read_member(struct word *w, struct bytes value)
{
	return mesh_read_member(w->ar, value, &w->members[w->out.n_members++]);
}

static enum wire_mesh_fault read_boot(struct word *w, struct bytes value)
{
	w->out.boot = number(value);
	return WIRE_MF_OK;
}

/* Section 4.2. */
static const struct {
	read_value *read;
	uint16_t min, max; /* of the value's length */
	bool many;
} attributes[WIRE_MAS] = {
	[WIRE_MA_SECRET] = { read_secret, WIRE_MESH_SECRET, WIRE_MESH_SECRET, false },
	[WIRE_MA_PARTNER_ID] = { read_partner, 2, 1 + WIRE_MESH_IDENT_MAX, false },
	[WIRE_MA_OWN_ID] = { read_own, 2, 1 + WIRE_MESH_IDENT_MAX, false },
	[WIRE_MA_TS_REMOTE] = { read_ts_remote, 17, UINT16_MAX, true },
	[WIRE_MA_TS_LOCAL] = { read_ts_local, 17, UINT16_MAX, true },
	[WIRE_MA_CANDIDATE] = { read_candidate, 12, 24, true },
	[WIRE_MA_CONTEXT] = { read_context, 1, WIRE_MESH_CONTEXT_MAX, false },
	[WIRE_MA_LIFETIME] = { read_lifetime, 4, 4, false },
	[WIRE_MA_IDLE] = { read_idle, 4, 4, false },
	[WIRE_MA_FLAGS] = { read_flags, 4, 4, false },
	[WIRE_MA_SEQUENCE] = { read_sequence, 8, 8, false },
	[WIRE_MA_OUTCOME] = { read_outcome, 1, 1, false },
	[WIRE_MA_REASON] = { read_reason, 2, 2, false },
	[WIRE_MA_TEXT] = { read_text, 0, WIRE_MESH_TEXT_MAX, false },
	[WIRE_MA_PATH] = { read_path, 16, 40, false },
	[WIRE_MA_HUB] = { read_hub, 1, UINT16_MAX, true },
	[WIRE_MA_MEMBER] = { read_member, 1, UINT16_MAX, true },
	[WIRE_MA_BOOT] = { read_boot, 8, 8, false },
};

#define A(name) WIRE_MESH_BIT(name)

enum which_id { ID_ANY, ID_SOME, ID_ZERO };

/* What hub and partner have to know; a hub says the same to another one for its member. */
#define SUGGESTION                                                                                 \
	(A(SECRET) | A(PARTNER_ID) | A(OWN_ID) | A(TS_REMOTE) | A(TS_LOCAL) | A(CONTEXT) |         \
	 A(LIFETIME))
#define SUGGESTION_MAY (A(CANDIDATE) | A(IDLE) | A(FLAGS) | A(BOOT))

/* Section 4.1. */
static const struct kind_rule {
	uint16_t kind;
	enum which_id id;
	uint32_t needs;
	uint32_t may; /* beside what it needs */
	uint32_t about_none; /* what it needs when its id is zero */
} kinds[] = {
	{ WIRE_N_SHORTCUT_SUGGEST, ID_SOME, SUGGESTION, SUGGESTION_MAY, 0 },
	{ WIRE_N_SHORTCUT_RELAY, ID_SOME, SUGGESTION, SUGGESTION_MAY, 0 },
	{ WIRE_N_SHORTCUT_ASK, ID_ZERO, A(CONTEXT) | A(TS_REMOTE), 0, 0 },
	{ WIRE_N_SHORTCUT_ACCEPT, ID_ANY, 0, A(CANDIDATE), 0 },
	{ WIRE_N_SHORTCUT_REFUSED, ID_ANY, A(REASON), A(TEXT), 0 },
	{ WIRE_N_SHORTCUT_REPORT, ID_SOME, A(PARTNER_ID) | A(CONTEXT) | A(OUTCOME),
	  A(OWN_ID) | A(REASON) | A(TEXT) | A(PATH), 0 },
	{ WIRE_N_SHORTCUT_WITHDRAW, ID_ANY, A(REASON),
	  A(TEXT) | A(PARTNER_ID) | A(CONTEXT) | A(OWN_ID), A(PARTNER_ID) | A(CONTEXT) },
	{ WIRE_N_SHORTCUT_CANDIDATES, ID_ANY, A(SEQUENCE), A(CANDIDATE) | A(CONTEXT) | A(BOOT),
	  A(BOOT) },
	{ WIRE_N_SHORTCUT_HUBS, ID_ZERO, A(SEQUENCE) | A(CONTEXT), A(HUB), 0 },
	{ WIRE_N_SHORTCUT_DIRECTORY, ID_ZERO, A(SEQUENCE) | A(CONTEXT), A(MEMBER) | A(FLAGS), 0 },
};

static const struct kind_rule *rule_of(uint16_t kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

struct tlv {
	uint16_t type;
	bool critical;
	struct bytes value;
};

static struct tlv next_attribute(struct cur *c)
{
	uint16_t type = cur_u16(c);
	size_t n = cur_u16(c);

	return (struct tlv){ (uint16_t)(type & ~WIRE_MA_CRITICAL), type & WIRE_MA_CRITICAL,
			     cur_take(c, n) };
}

/* Arrays of their final size. */
static enum wire_mesh_fault make_room(struct word *w, struct cur c)
{
	size_t hubs = 0, members = 0;

	while (cur_left(&c)) {
		uint16_t type = next_attribute(&c).type;

		hubs += type == WIRE_MA_HUB;
		members += type == WIRE_MA_MEMBER;
	}
	if (c.err)
		return WIRE_MF_LENGTH;
	if (hubs > WIRE_MESH_HUBS || members > WIRE_MESH_MEMBERS)
		return WIRE_MF_LIMIT;
	if (hubs)
		w->out.hubs = w->hubs = arena_new(w->ar, hubs * sizeof(*w->hubs));
	if (members)
		w->out.members = w->members = arena_new(w->ar, members * sizeof(*w->members));
	return (hubs && !w->hubs) || (members && !w->members) ? WIRE_MF_NOMEM : WIRE_MF_OK;
}

static enum wire_mesh_fault take_attribute(struct word *w, const struct kind_rule *rule,
					   const struct tlv *a)
{
	uint32_t bit;

	if (a->type >= WIRE_MAS || !attributes[a->type].read)
		return a->critical ? WIRE_MF_CRITICAL : WIRE_MF_OK;
	bit = 1u << a->type;
	if (!((rule->needs | rule->may) & bit))
		return WIRE_MF_MISPLACED;
	if (w->out.present & bit && !attributes[a->type].many)
		return WIRE_MF_REPEATED;
	if (a->value.n < attributes[a->type].min || a->value.n > attributes[a->type].max)
		return WIRE_MF_LENGTH;
	w->out.present |= bit;
	return attributes[a->type].read(w, a->value);
}

static enum wire_mesh_fault complete(const struct word *w, const struct kind_rule *rule)
{
	static const uint8_t zero[WIRE_MESH_ID];
	bool none = memcmp(w->out.id, zero, WIRE_MESH_ID) == 0;
	uint32_t needs = rule->needs | (none ? rule->about_none : 0);

	if (rule->id == (none ? ID_SOME : ID_ZERO))
		return WIRE_MF_RANGE;
	return needs & ~w->out.present ? WIRE_MF_MISSING : WIRE_MF_OK;
}

static enum wire_mesh_fault read_word(struct word *w, const struct kind_rule *rule,
				      struct bytes data)
{
	struct cur c = cur_of(data);
	struct bytes id = cur_take(&c, WIRE_MESH_ID);
	enum wire_mesh_fault f;

	if (c.err)
		return WIRE_MF_SHORT;
	memcpy(w->out.id, id.p, WIRE_MESH_ID);
	f = make_room(w, c);
	while (f == WIRE_MF_OK && cur_left(&c)) {
		struct tlv a = next_attribute(&c);

		f = take_attribute(w, rule, &a);
	}
	return f == WIRE_MF_OK ? complete(w, rule) : f;
}

enum status wire_mesh_parse(struct arena *ar, uint16_t kind, struct bytes data,
			    struct wire_mesh *ret, enum wire_mesh_fault *fault)
{
	const struct kind_rule *rule = rule_of(kind);
	struct word w = { .ar = ar };
	enum wire_mesh_fault f;

	if (!rule)
		f = WIRE_MF_RANGE;
	else if (data.n > WIRE_MESH_MAX)
		f = WIRE_MF_LIMIT;
	else
		f = read_word(&w, rule, data);
	if (f == WIRE_MF_OK) {
		*ret = w.out;
		return ST_OK;
	}
	*fault = f;
	return f == WIRE_MF_NOMEM ? ST_NOMEM : ST_DROP;
}
