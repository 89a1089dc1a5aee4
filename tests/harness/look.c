/* Looking at a node: what tests assert on. */
#include "harness/internal.h"

#include <stdio.h>

bool node_owns(const struct node *n, const struct ip *ip)
{
	for (size_t i = 0; i < n->n_addresses; i++)
		if (ip_eq(&n->address[i], ip))
			return true;
	return false;
}

/* ---- events -------------------------------------------------------------------------------- */

const struct ike_event *node_event(const struct node *n, enum ike_event_kind kind)
{
	for (size_t i = n->n_events; i-- > 0;)
		if (n->events[i].kind == kind)
			return &n->events[i];
	return NULL;
}

size_t node_events(const struct node *n, enum ike_event_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < n->n_events; i++)
		count += n->events[i].kind == kind;
	return count;
}

/* ---- the data plane ------------------------------------------------------------------------ */

const struct dp_child *node_child(const struct node *n)
{
	if (n->n_children != 1)
		harness_fail("%s: %zu children are installed, not one", n->name, n->n_children);
	return &n->child[0].child;
}

const struct node_trap *node_trap(const struct node *n, dp_peer_id peer)
{
	for (size_t i = 0; i < n->n_traps; i++)
		if (n->trap[i].peer == peer)
			return &n->trap[i];
	return NULL;
}

/* ---- counters ------------------------------------------------------------------------------ */

/* Of the engine, then of the mesh. */
static bool counter_of(const struct node *n, bool mesh, size_t i, const char **ret_name,
		       uint64_t *ret)
{
	return mesh ? mesh_counter(n->mesh, i, ret_name, ret)
		    : ike_counter(n->ike, i, ret_name, ret);
}

uint64_t node_counter(const struct node *n, const char *name)
{
	const char *have;
	uint64_t v;

	for (int mesh = 0; mesh <= (n->mesh != NULL); mesh++)
		for (size_t i = 0; counter_of(n, mesh, i, &have, &v); i++)
			if (strcmp(have, name) == 0)
				return v;
	harness_fail("there is no counter %s", name);
}

uint64_t node_counters(const struct node *n, const char *prefix)
{
	uint64_t sum = 0;
	const char *name;
	uint64_t v;

	for (int mesh = 0; mesh <= (n->mesh != NULL); mesh++)
		for (size_t i = 0; counter_of(n, mesh, i, &name, &v); i++)
			if (strncmp(name, prefix, strlen(prefix)) == 0)
				sum += v;
	return sum;
}

/* ---- SAs and peers ------------------------------------------------------------------------- */

struct sa_list {
	struct node_sa *sa;
	size_t n, max;
};

static bool add_sa(void *ctx, const struct ike_sa_info *info)
{
	struct sa_list *l = ctx;

	if (l->n < l->max) {
		struct node_sa *sa = &l->sa[l->n];
		struct text t = TEXT_OF(sa->remote_id);

		sa->info = *info;
		if (info->remote_id.type)
			policy_ident_text(&t, &info->remote_id);
		sa->info.remote_id = (struct policy_ident){ 0 };
	}
	l->n++;
	return true;
}

size_t node_sas(const struct node *n, struct node_sa *ret, size_t max)
{
	struct sa_list l = { .sa = ret, .max = max };

	ike_each_sa(n->ike, n->w->now, add_sa, &l);
	for (size_t i = 1; i < (l.n < max ? l.n : max); i++)
		for (size_t j = i; j > 0 && ret[j - 1].info.id > ret[j].info.id; j--) {
			struct node_sa swap = ret[j];

			ret[j] = ret[j - 1];
			ret[j - 1] = swap;
		}
	return l.n;
}

struct node_sa node_sa(const struct node *n)
{
	struct node_sa sa[8];
	size_t count = node_sas(n, sa, ARRAY_LEN(sa)), found = 0;

	for (size_t i = 0; i < count && i < ARRAY_LEN(sa); i++)
		if (sa[i].info.established)
			sa[found++] = sa[i];
	if (found != 1)
		harness_fail("%s: %zu established SAs, not one", n->name, found);
	return sa[0];
}

struct find_peer {
	ike_peer_id id;
	bool found;
	struct ike_peer_info info;
};

static bool match_peer(void *ctx, const struct ike_peer_info *info)
{
	struct find_peer *f = ctx;

	if (info->id != f->id)
		return true;
	f->found = true;
	f->info = *info;
	return false;
}

struct ike_peer_info node_peer(const struct node *n, ike_peer_id id)
{
	struct find_peer f = { .id = id };

	ike_each_peer(n->ike, n->w->now, id - 1, match_peer, &f);
	if (!f.found)
		harness_fail("%s: no peer %llu", n->name, (unsigned long long)id);
	return f.info;
}

const char *node_authority(const struct node *n, ike_peer_id id, char *buf, size_t cap)
{
	struct wire_ts_list allowed = { 0 };
	char why[IKE_EVENT_TEXT_MAX];
	struct text t = { buf, 0, cap }, by = TEXT_OF(why);
	struct arena ar;

	buf[0] = why[0] = 0;
	arena_init(&ar, &mem_libc, 2048);
	if (ike_peer_authority(n->ike, id, &ar, &by, &allowed) != ST_INVAL) {
		policy_ts_list_text(&t, &allowed);
		text_fmt(&t, " by %s", why);
	}
	arena_done(&ar);
	return buf;
}

/* ---- the picture --------------------------------------------------------------------------- */

static bool draw_peer(void *ctx, const struct ike_peer_info *i)
{
	text_fmt(ctx, "peer %s %s error \"%s\" retry %lld\n", i->name, i->state, i->last_error,
		 (long long)i->retry_in.ns);
	return true;
}

static bool draw_child(void *ctx, const struct ike_child_info *c)
{
	text_fmt(ctx, "  child %llu in %08x out %08x installed %d\n", (unsigned long long)c->id,
		 c->spi_in, c->spi_out, c->installed);
	return true;
}

static void draw_sa(struct node *n, struct text *t, const struct node_sa *sa)
{
	const struct ike_sa_info *i = &sa->info;
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	text_fmt(t, "sa %llu peer %llu %016llx %016llx %s%s %s %s id %s nat %d%d age %lld\n",
		 (unsigned long long)i->id, (unsigned long long)i->peer,
		 (unsigned long long)i->spi_i, (unsigned long long)i->spi_r, i->state,
		 i->initiator ? " initiator" : "", endpoint_text(&i->local, local),
		 endpoint_text(&i->remote, remote), sa->remote_id, i->nat_local, i->nat_remote,
		 (long long)i->age.ns);
	ike_each_child(n->ike, n->w->now, i, draw_child, t);
}

const char *node_picture(struct node *n, char *buf, size_t cap)
{
	struct text t = { .p = buf, .cap = cap };
	struct ike_totals tot = ike_totals(n->ike);
	struct node_sa sa[16];
	size_t count = node_sas(n, sa, ARRAY_LEN(sa));

	buf[0] = '\0';
	text_fmt(&t, "sas %zu half-open %zu children %zu, memory %zu blocks\n", tot.sas,
		 tot.half_open, tot.children, n->mem.live);
	ike_each_peer(n->ike, n->w->now, 0, draw_peer, &t);
	for (size_t i = 0; i < count && i < ARRAY_LEN(sa); i++)
		draw_sa(n, &t, &sa[i]);
	for (size_t i = 0; i < n->n_children; i++)
		text_fmt(&t, "installed %llu\n", (unsigned long long)n->child[i].child.id);
	text_fmt(&t,
		 "traps %zu, events %zu, operations %ld, jobs %ld, held %zu, sent %u, deadline "
		 "%lld\n",
		 n->n_traps, n->n_events, n->n_ops, n->n_jobs,
		 node_held(n, PENDING_JOB) + node_held(n, PENDING_DONE), n->sent,
		 (long long)engine_deadline(n).ns);
	return buf;
}
