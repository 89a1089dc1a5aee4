/*
 * why_shortcut.c - why two members of a network have no direct tunnel: what a site knows of a
 * partner, and a hub of each pair of a member.
 */
#include "daemon/why_checks.h"

#include "daemon/status.h"
#include "daemon/translate.h"

/* How far a tunnel came, or an attempt at one. */
enum reach {
	REACH_NOTHING, /* never suggested */
	REACH_SUGGESTED,
	REACH_PATH, /* taken; no path yet, or none found */
	REACH_IKE, /* a path; IKE is under way, or did not end well */
	REACH_PACKETS, /* packets had to come through, and have not */
	REACH_UP,
	REACH_ENDED, /* it was up */
};

/* The newest of a partner. */
struct sought {
	struct why_checks *k;
	uint64_t number; /* 0: none found yet */
};

static const char *reason_name(enum wire_mesh_reason r)
{
	const char *name = r ? wire_mesh_reason_name(r) : NULL;

	return name ? name : "";
}

static void add_what(struct text *t, enum wire_mesh_reason reason, const char *text)
{
	text_add(t, reason_name(reason));
	if (text && *text)
		text_fmt(t, "%s%s", t->n ? ": " : "", text);
}

/* What the other end, or the hub, ended was as far as it had come here. */
static enum reach failed_at(const struct mesh_shortcut_info *i)
{
	switch (i->reason) {
	case WIRE_MR_NO_PATH: return REACH_PATH;
	case WIRE_MR_NO_ANSWER:
	case WIRE_MR_AUTHENTICATION:
	case WIRE_MR_CERTIFICATE:
	case WIRE_MR_PROPOSAL:
	case WIRE_MR_TS: return REACH_IKE;
	case WIRE_MR_LOST: return REACH_PACKETS;
	default: break;
	}
	if (i->remote.ip.family)
		return REACH_IKE;
	return i->n_tries ? REACH_PATH : REACH_SUGGESTED;
}

static enum reach reach_of(const struct mesh_shortcut_info *i)
{
	if (i->up)
		return REACH_UP;
	if (strcmp(i->state, "ended") == 0)
		return REACH_ENDED;
	if (strcmp(i->state, "failed") == 0)
		return failed_at(i);
	return i->remote.ip.family ? REACH_IKE : REACH_PATH;
}

static bool is_over(const struct mesh_shortcut_info *i)
{
	return strcmp(i->state, "failed") == 0;
}

/* What a step is worth: behind it, or at it and failed, or not yet. */
static enum why_result result_of(const struct mesh_shortcut_info *i, enum reach step)
{
	enum reach reach = reach_of(i);

	if (reach > step)
		return WHY_OK;
	return reach == step && is_over(i) ? WHY_FAILED : WHY_UNKNOWN;
}

/* ---- a site ------------------------------------------------------------------------------ */

static void row_suggested(struct why_checks *k, const struct mesh_shortcut_info *i)
{
	enum why_result r = result_of(i, REACH_SUGGESTED);
	struct why_row row;

	why_begin(&row, "suggested", r);
	if (r == WHY_FAILED)
		add_what(&row.t, i->reason, i->text);
	else
		text_fmt(&row.t, "by a hub of network %s", i->network->name);
	policy_ts_list_text(&row.o, &i->ts_local);
	text_add(&row.o, " here, there ");
	policy_ts_list_text(&row.o, &i->ts_remote);
	if (i->reason == WIRE_MR_AUTHORITY && !i->network->trust_hub)
		text_add(&row.c, "what rests on a rule of the hub alone is not taken without "
				 "trust_hub = yes");
	else if (i->reason == WIRE_MR_LIMIT)
		text_add(&row.c, "shortcuts_max, or fewer partners");
	why_end(k, &row);
}

static void row_try(struct why_checks *k, const struct mesh_try *t)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];
	struct why_row row;

	why_begin(&row, "path",
		  t->result == MESH_TRY_ANSWERED  ? WHY_OK
		  : t->result == MESH_TRY_WAITING ? WHY_UNKNOWN
						  : WHY_FAILED);
	text_fmt(&row.t, "%s -> %s: %s",
		 t->local.ip.family ? endpoint_text(&t->local, local) : "no address of ours",
		 endpoint_text(&t->remote, remote), mesh_try_name(t->result));
	if (t->result == MESH_TRY_ANSWERED)
		text_fmt(&row.t, " after %lld us", (long long)(t->rtt.ns / 1000));
	if (t->why)
		text_fmt(&row.t, ": %s", t->why);
	if (t->result == MESH_TRY_SILENT)
		text_add(&row.c, "UDP port 4500 has to get through both ways: firewalls at both "
				 "ends, NATs in between");
	why_end(k, &row);
}

static void rows_path(struct why_checks *k, const struct mesh_shortcut_info *i)
{
	struct why_row row;

	for (size_t n = 0; n < i->n_tries; n++)
		row_try(k, &i->tries[n]);
	why_begin(&row, "path", result_of(i, REACH_PATH));
	if (row.result == WHY_FAILED)
		add_what(&row.t, i->reason, i->text);
	else if (i->n_tries == 0 && reach_of(i) == REACH_PATH)
		text_add(&row.t, "no candidate of the other end is known");
	if (row.t.n)
		why_end(k, &row);
}

/* What the engine said of that partner last has both ends' values. */
static void row_ike(struct why_checks *k, const struct mesh_shortcut_info *i)
{
	const struct journal_note *n = why_failure(k->w);
	struct why_row row;

	if (reach_of(i) < REACH_IKE)
		return;
	why_begin(&row, "auth", result_of(i, REACH_IKE));
	if (row.result == WHY_FAILED) {
		add_what(&row.t, i->reason, i->text);
		if (n && (!i->text || !strstr(n->what->text, i->text)))
			text_fmt(&row.t, "; %s", n->what->text);
		text_add(&row.c, "the other end knows, too: \"warren why\" there");
	} else if (row.result == WHY_OK) {
		text_add(&row.t, i->initiator ? "we called" : "it called");
	}
	why_end(k, &row);
}

static void row_packets(struct why_checks *k, const struct mesh_shortcut_info *i)
{
	enum reach reach = reach_of(i);
	struct why_row row;

	if (reach < REACH_PACKETS)
		return;
	why_begin(&row, "packets", reach == REACH_UP ? WHY_OK : WHY_UNKNOWN);
	if (reach == REACH_PACKETS)
		row.result = WHY_FAILED;
	if (reach == REACH_UP)
		text_add(&row.t, "go directly");
	else
		add_what(&row.t, i->reason, i->text);
	why_end(k, &row);
}

static void row_again(struct why_checks *k, const struct mesh_shortcut_info *i)
{
	struct why_row row;

	if (i->up || (!is_over(i) && reach_of(i) != REACH_ENDED))
		return;
	why_begin(&row, "again", WHY_UNKNOWN);
	if (i->retry_in.ns >= 0)
		text_fmt(&row.t, "not before %lld s from now",
			 (long long)(i->retry_in.ns / 1000000000));
	else
		text_add(&row.t, "when the hub suggests it again: \"warren shortcuts\" there says "
				 "until when it does not");
	why_end(k, &row);
}

static bool is_about(const struct why *w, const struct mesh_shortcut_info *i)
{
	char name[IKE_IDENTITY_TEXT];
	struct text t = TEXT_OF(name);

	policy_ident_text(&t, &i->partner);
	return strcmp(name, w->name) == 0;
}

static bool newest(void *ctx, const struct mesh_shortcut_info *i)
{
	struct sought *s = ctx;

	if (is_about(s->k->w, i) && i->number > s->number)
		s->number = i->number;
	return true;
}

static bool rows(void *ctx, const struct mesh_shortcut_info *i)
{
	struct sought *s = ctx;

	if (i->number != s->number)
		return true;
	row_suggested(s->k, i);
	rows_path(s->k, i);
	row_ike(s->k, i);
	row_packets(s->k, i);
	row_again(s->k, i);
	return false;
}

static void row_takes(struct why_checks *k)
{
	const struct mesh_conf *conf = translate_mesh_of(k->w->h->ike_conf);

	for (size_t i = 0; i < conf->n_networks; i++) {
		const struct mesh_network *n = &conf->networks[i];
		struct why_row row;

		if (n->takes || !why_is_site(k->w->h, n->peer))
			continue;
		why_begin(&row, "takes part", WHY_FAILED);
		text_fmt(&row.o, "shortcuts = no in network %s", n->name);
		text_add(&row.c, "shortcuts = yes");
		why_end(k, &row);
	}
}

void why_partner(struct why_checks *k)
{
	struct sought s = { .k = k };
	struct why_row row;

	row_takes(k);
	mesh_each_shortcut(k->w->h->mesh, k->w->now, newest, &s);
	if (s.number) {
		mesh_each_shortcut(k->w->h->mesh, k->w->now, rows, &s);
		return;
	}
	why_begin(&row, "suggested", WHY_UNKNOWN);
	text_add(&row.t,
		 "no hub has suggested a direct tunnel with it: packets to it go by the hub, or "
		 "nowhere with direct = required");
	text_add(&row.c, "\"warren why\" with its name at the hub says which topology holds and "
			 "whether it takes part");
	why_end(k, &row);
}

/* ---- what a hub must not relay ------------------------------------------------------------ */

static bool on_wanted(void *ctx, const struct mesh_wanted_info *i)
{
	struct why_checks *k = ctx;
	char far[IP_TEXT_MAX];
	struct why_row row;

	if (i->network->peer != k->w->id)
		return true;
	why_begin(&row, "direct", i->reason || i->in ? WHY_FAILED : WHY_UNKNOWN);
	text_fmt(&row.t, "%s %s: %s", i->in ? "from" : "to", ip_text(&i->far, far), i->state);
	if (i->reason) {
		text_add(&row.t, ", ");
		add_what(&row.t, i->reason, i->text);
	}
	if (i->retry_in.ns > 0)
		text_fmt(&row.t, ", not asked for again for %lld s",
			 (long long)(i->retry_in.ns / 1000000000));
	text_fmt(&row.o, "direct = required in network %s", i->network->name);
	if (i->reason || i->in)
		text_add(&row.c, "relayed, if a hub may read that; or a topology of the hub that "
				 "lets both have a tunnel");
	why_end(k, &row);
	return true;
}

void why_wanted(struct why_checks *k)
{
	mesh_each_wanted(k->w->h->mesh, k->w->now, on_wanted, k);
}

/* ---- a hub ------------------------------------------------------------------------------- */

enum { PAIRS_MAX = 16 }; /* of one report */

struct about {
	struct why_checks *k;
	size_t n, more;
	bool found;
};

static bool is_named(const struct why *w, const struct policy_ident *id)
{
	return status_matches(w->name, id);
}

static void add_pair(struct why_row *row, const struct mesh_pair_info *i, const struct why *w)
{
	const struct policy_ident *other = is_named(w, &i->a) ? &i->b : &i->a;

	text_add(&row->t, "with ");
	policy_ident_text(&row->t, other);
	text_fmt(&row->t, ": %s", i->state);
	if (i->reason) {
		text_add(&row->t, ", ");
		if (i->by.type) {
			policy_ident_text(&row->t, &i->by);
			text_add(&row->t, " says ");
		}
		text_add(&row->t, reason_name(i->reason));
		if (i->text && *i->text)
			text_fmt(&row->t, " (%s)", i->text);
	}
	if (i->retry_in.ns >= 0)
		text_fmt(&row->t, ", not suggested again for %lld s",
			 (long long)(i->retry_in.ns / 1000000000));
	text_fmt(&row->o, "topology %s%s%s", mesh_topology_name(i->topology),
		 i->rule ? " by rule " : "", i->rule ? i->rule : "");
}

static enum why_result pair_result(const struct mesh_pair_info *i)
{
	if (strcmp(i->state, "up") == 0)
		return WHY_OK;
	return i->reason || i->topology == MESH_STAR ? WHY_FAILED : WHY_UNKNOWN;
}

static bool on_pair(void *ctx, const struct mesh_pair_info *i)
{
	struct about *a = ctx;
	struct why_row row;

	if (!is_named(a->k->w, &i->a) && !is_named(a->k->w, &i->b))
		return true;
	if (a->n == PAIRS_MAX) {
		a->more++;
		return true;
	}
	a->n++;
	why_begin(&row, "shortcut", pair_result(i));
	add_pair(&row, i, a->k->w);
	why_end(a->k, &row);
	return true;
}

static void add_candidates(struct text *t, const struct mesh_member_info *i)
{
	for (size_t n = 0; n < i->n_candidates; n++) {
		char at[ENDPOINT_TEXT_MAX];

		text_fmt(t, "%s%s", n ? ", " : "", endpoint_text(&i->candidates[n].at, at));
	}
}

static bool on_member(void *ctx, const struct mesh_member_info *i)
{
	struct about *a = ctx;
	bool part = i->capabilities & IKE_CAN_PARTNER;
	struct why_row row;

	if (!is_named(a->k->w, &i->identity))
		return true;
	a->found = true;
	why_begin(&row, "takes part", part ? WHY_OK : WHY_FAILED);
	if (part) {
		text_add(&row.t, "in direct tunnels; others may reach it at ");
		add_candidates(&row.t, i);
	} else {
		text_add(&row.t, "it is no partner: it did not announce that it takes suggestions");
		text_add(&row.c, "there: shortcuts = yes; foreign implementations are reached by "
				 "the hub");
	}
	text_fmt(&row.o, "topology %s where no rule says otherwise",
		 mesh_topology_name(i->network->topology));
	why_end(a->k, &row);
	return false;
}

void why_pairs(struct why_checks *k)
{
	struct about a = { .k = k };
	struct why_row row;

	mesh_each_member(k->w->h->mesh, on_member, &a);
	if (!a.found)
		return;
	mesh_each_pair(k->w->h->mesh, k->w->now, on_pair, &a);
	if (!a.more)
		return;
	why_begin(&row, "shortcut", WHY_UNKNOWN);
	text_fmt(&row.t, "and with %zu more: \"warren shortcuts\"", a.more);
	why_end(k, &row);
}

/* ---- who is meant ------------------------------------------------------------------------ */

struct meant {
	const char *name;
	struct ip ip; /* family 0: `name` is no address */
	char *identity;
	size_t cap;
	uint64_t number;
};

static bool has_address(const struct wire_ts_list *l, const struct ip *ip)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->ts[i].start.family == ip->family && ip_cmp(&l->ts[i].start, ip) <= 0 &&
		    ip_cmp(ip, &l->ts[i].end) <= 0)
			return true;
	return false;
}

static bool on_meant(void *ctx, const struct mesh_shortcut_info *i)
{
	struct meant *m = ctx;
	char name[IKE_IDENTITY_TEXT];
	struct text t = TEXT_OF(name), copy = { m->identity, 0, m->cap };

	policy_ident_text(&t, &i->partner);
	if (i->number < m->number ||
	    (strcmp(name, m->name) != 0 && !(m->ip.family && has_address(&i->ts_remote, &m->ip))))
		return true;
	m->number = i->number;
	text_add(&copy, name);
	return true;
}

bool why_find_partner(const struct host *h, const char *name, char *ret_identity, size_t cap)
{
	struct meant m = { .name = name, .identity = ret_identity, .cap = cap };

	if (ip_parse(name, &m.ip) != ST_OK)
		m.ip.family = 0;
	mesh_each_shortcut(h->mesh, plat_now(), on_meant, &m);
	return m.number != 0;
}

bool why_is_site(const struct host *h, ike_peer_id network)
{
	for (size_t i = 0; i < h->ike_conf->n_peers; i++)
		if (h->ike_conf->peers[i].id == network)
			return h->ike_conf->peers[i].role == IKE_ROLE_HUB;
	return false;
}
