/*
 * status.c - read-only views for status, and counters.
 */
#include "ike/inner.h"
#include "ike/partner.h"

static const char *section_state(const struct peer *p)
{
	const struct section *s = p->section;

	if ((peer_connecting(p) && !s->lookup_only) || partner_half_open(p))
		return "connecting";
	if (s->retry.armed && s->wanted)
		return "waiting";
	if (p->conf->start == IKE_START_LISTEN || s->trapped)
		return "waiting";
	return "down";
}

static const char *peer_state(const struct peer *p)
{
	const struct partner *s = partner_of(p);

	if (peer_has_child(p))
		return !s || s->carries ? "up" : "connecting";
	/* Whose child was refused will try again, or will not; it is not for us to know. */
	return p->section ? section_state(p) : "waiting";
}

/* The certificate of the newest SA counts. */
static const struct cred *newest_cred(const struct peer *p)
{
	const struct cred *c = NULL;

	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		c = sa->cred ? sa->cred : c;
	}
	return c;
}

static struct ike_peer_info peer_info(const struct peer *p, struct now now)
{
	const struct section *s = p->section;
	bool waits = s && s->retry.armed && (s->wanted || s->renew || s->beside);
	struct ike_peer_info info = {
		.id = p->id,
		.name = p->name,
		.conf = p->conf,
		.remote_id = p->under ? p->ident : (struct policy_ident){ 0 },
		.state = peer_state(p),
		.last_error = peer_last_error(p),
		.leads = s && s->attach.leads,
		.retry_in = waits ? mono_since(s->retry.due, now.mono) : (dur_t){ -1 },
	};

	redirect_info(p, now, &info);
	info.n_inner = inner_i_addresses(p, info.inner);
	/* Leases are of whoever is up: others are a matter of the pool. */
	if (!info.n_inner && !list_empty(&p->sas))
		info.n_inner =
			lease_addresses(p, p->under ? &p->ident : &p->conf->remote_id, info.inner);
	return info;
}

bool ike_pool(const struct ike *ike, ike_peer_id peer, struct ike_pool_info *ret)
{
	const struct peer *p = peer_by_id(ike, peer);

	return p && p->section && leases_info(p->section, ret);
}

static const struct list *first_above(const struct ike *ike, ike_peer_id after)
{
	const struct peer *p = after ? peer_by_id(ike, after) : NULL;
	const struct list *at = p ? p->in_order.next : ike->in_order.next;

	while (at != &ike->in_order && CONTAINER_OF(at, const struct peer, in_order)->id <= after)
		at = at->next;
	return at;
}

void ike_each_peer(const struct ike *ike, struct now now, ike_peer_id after, ike_peer_fn *fn,
		   void *ctx)
{
	for (const struct list *at = first_above(ike, after); at != &ike->in_order; at = at->next) {
		const struct peer *p = CONTAINER_OF(at, const struct peer, in_order);
		struct ike_peer_info info = peer_info(p, now);

		if (!fn(ctx, &info))
			return;
	}
}

bool ike_peer(const struct ike *ike, struct now now, ike_peer_id peer, struct ike_peer_info *ret)
{
	const struct peer *p = peer_by_id(ike, peer);

	if (p)
		*ret = peer_info(p, now);
	return p != NULL;
}

enum status ike_peer_authority(const struct ike *ike, ike_peer_id peer, struct arena *ar,
			       struct text *by, struct wire_ts_list *ret_allowed)
{
	const struct peer *p = peer_by_id(ike, peer);

	if (!p || p->section || p->conf->role != IKE_ROLE_MEMBERS)
		return ST_INVAL;
	return member_authorise(ar, p, &p->ident, newest_cred(p), by, ret_allowed);
}

/* ---- what a member has up ----------------------------------------------------------------- */

/* Room for all remote selectors of its children. */
static size_t count_remote(const struct peer *p)
{
	size_t count = 0;

	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		list_for_each(k, &sa->children)
			count += CONTAINER_OF(k, const struct child, node)->ts_remote.n;
	}
	return count;
}

struct served {
	struct wire_ts host[INNER_FAMILIES]; /* leased to it */
	size_t n_host;
	bool rule; /* one of ours names it */
	struct wire_ts *ts[IKE_AUTHORITIES];
	size_t n[IKE_AUTHORITIES];
};

static enum ike_authority on_whose_word(const struct served *s, const struct wire_ts *ts)
{
	for (size_t i = 0; i < s->n_host; i++)
		if (policy_ts_has(&s->host[i], ts))
			return IKE_AUTHORITY_POOL;
	return s->rule ? IKE_AUTHORITY_RULE : IKE_AUTHORITY_CERT;
}

/* A child and the one that takes its place have the same. */
static void serve(struct served *s, const struct wire_ts *ts)
{
	enum ike_authority a = on_whose_word(s, ts);

	for (size_t i = 0; i < s->n[a]; i++)
		if (policy_ts_has(&s->ts[a][i], ts))
			return;
	s->ts[a][s->n[a]++] = *ts;
}

static void serve_all(struct served *s, const struct peer *p)
{
	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		list_for_each(k, &sa->children) {
			const struct child *c = CONTAINER_OF(k, const struct child, node);

			for (size_t i = 0; i < c->ts_remote.n; i++)
				serve(s, &c->ts_remote.ts[i]);
		}
	}
}

enum status ike_peer_served(const struct ike *ike, ike_peer_id peer, struct arena *ar,
			    struct wire_ts_list ret[static IKE_AUTHORITIES])
{
	const struct peer *p = peer_by_id(ike, peer);
	struct ip leased[INNER_FAMILIES];
	struct served s = { 0 };
	size_t room;

	if (!p || p->section || p->conf->role != IKE_ROLE_MEMBERS || !(room = count_remote(p)))
		return ST_INVAL;
	for (unsigned a = 0; a < IKE_AUTHORITIES; a++) {
		s.ts[a] = arena_new(ar, room * sizeof(*s.ts[a]));
		if (!s.ts[a])
			return ST_NOMEM;
	}
	s.n_host = lease_addresses(p, &p->ident, leased);
	for (size_t i = 0; i < s.n_host; i++)
		s.host[i] = policy_host_ts(&leased[i]);
	s.rule = member_rule(p->conf, &p->ident);
	serve_all(&s, p);
	for (unsigned a = 0; a < IKE_AUTHORITIES; a++)
		ret[a] = (struct wire_ts_list){ s.ts[a], s.n[a], 0 };
	return ST_OK;
}

bool ike_peer_covers(const struct ike *ike, ike_peer_id peer, const struct wire_ts_list *ts)
{
	const struct peer *p = peer_by_id(ike, peer);
	const struct cred *c = p ? newest_cred(p) : NULL;

	return c && c->has_blocks && policy_blocks_cover(c->blocks, c->n_blocks, ts);
}

/* ---- SAs ---------------------------------------------------------------------------------- */

static dur_t until(struct now now, mono_t at)
{
	return at.ns == MONO_NEVER.ns || mono_before(at, now.mono) ? (dur_t){ -1 }
								   : mono_since(at, now.mono);
}

static struct ike_sa_info sa_info(const struct ike *ike, const struct ike_sa *sa, struct now now)
{
	const struct path_mtu *mtu = path_mtu_of(ike, &sa->path.remote.ip);
	bool up = sa->state == SA_UP;

	return (struct ike_sa_info){
		.id = sa->id,
		.peer = sa->peer ? sa->peer->id : 0,
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.initiator = sa->initiator,
		.established = up,
		.state = sa_state_name(sa->state),
		.age = mono_since(now.mono, up ? sa->established : sa->created),
		.local = sa->path.local,
		.remote = sa->path.remote,
		.suite = sa->suite,
		.remote_id = sa->remote_id,
		.nat_local = sa->path.nat_local,
		.nat_remote = sa->path.nat_remote,
		.suspect = up && sa->suspect,
		.asks = sa->win.request.n > 0,
		.ppk = sa->ppk,
		.mobike = sa->mobike,
		.warren = sa->warren,
		.capabilities = sa->capabilities,
		.decides = sa->called,
		.checking = sa->moving && sa->moving->checking,
		.path_mtu = mtu ? mtu->mtu : 0,
		.path_mtu_probed = mtu && mtu->searched && !mtu->assumed,
		.path_mtu_assumed = mtu && mtu->assumed,
		.rekey_in = until(now, up ? life_soft(sa) : MONO_NEVER),
		.reauth_in = until(now, up ? life_renewal(sa) : MONO_NEVER),
		.end_in = until(now, up ? life_hard(sa) : MONO_NEVER),
		.auth_local = sa->auth_local,
		.auth_remote = sa->auth_remote,
		.n_children = sa->n_children,
	};
}

void ike_each_sa(const struct ike *ike, struct now now, ike_sa_fn *fn, void *ctx)
{
	list_for_each(n, &ike->sas) {
		struct ike_sa_info info =
			sa_info(ike, CONTAINER_OF(n, const struct ike_sa, node), now);

		if (!fn(ctx, &info))
			return;
	}
}

void ike_each_sa_of(const struct ike *ike, struct now now, ike_peer_id peer, ike_sa_fn *fn,
		    void *ctx)
{
	const struct peer *p = peer_by_id(ike, peer);

	if (!p)
		return;
	list_for_each(n, &p->sas) {
		struct ike_sa_info info =
			sa_info(ike, CONTAINER_OF(n, const struct ike_sa, peer_node), now);

		if (!fn(ctx, &info))
			return;
	}
}

void ike_each_child(const struct ike *ike, struct now now, const struct ike_sa_info *of,
		    ike_child_fn *fn, void *ctx)
{
	const struct ike_sa *sa = sa_by_spi(ike, of->initiator ? of->spi_i : of->spi_r);

	if (!sa)
		return;
	list_for_each(n, &sa->children) {
		const struct child *c = CONTAINER_OF(n, const struct child, node);
		struct ike_child_info info = {
			.id = c->id,
			.spi_in = c->spi_in,
			.spi_out = c->spi_out,
			.suite = c->suite,
			.ts_local = c->ts_local,
			.ts_remote = c->ts_remote,
			.age = mono_since(now.mono, c->created),
			.rekey_in = until(now, life_child_soft(c)),
			.end_in = until(now, life_child_hard(c)),
			.installed = c->installed,
		};

		if (!fn(ctx, &info))
			return;
	}
}

struct ike_totals ike_totals(const struct ike *ike)
{
	return (struct ike_totals){ ike->n_sas, ike->n_half_open, ike->n_children,
				    ike->peer_by_id.count };
}

bool ike_counter(const struct ike *ike, size_t index, const char **ret_name, uint64_t *ret_value)
{
	static const char *const names[IKE_COUNTERS] = {
#define X(id, name) [id] = (name),
		IKE_COUNTER_TABLE(X)
#undef X
	};
	static const char *const faults[WIRE_FAULTS] = {
		[WIRE_F_SHORT] = "ike.rx.short",
		[WIRE_F_LENGTH] = "ike.rx.length",
		[WIRE_F_VERSION] = "ike.rx.version",
		[WIRE_F_CHAIN] = "ike.rx.chain",
		[WIRE_F_SK_LAST] = "ike.rx.sk_last",
		[WIRE_F_REPEATED] = "ike.rx.repeated",
		[WIRE_F_LIMIT] = "ike.rx.limit",
		[WIRE_F_SA] = "ike.rx.sa",
		[WIRE_F_KE] = "ike.rx.ke",
		[WIRE_F_ID] = "ike.rx.id",
		[WIRE_F_CERT] = "ike.rx.cert",
		[WIRE_F_CERTREQ] = "ike.rx.certreq",
		[WIRE_F_AUTH] = "ike.rx.auth",
		[WIRE_F_NONCE] = "ike.rx.nonce",
		[WIRE_F_NOTIFY] = "ike.rx.notify",
		[WIRE_F_DELETE] = "ike.rx.delete",
		[WIRE_F_TS] = "ike.rx.ts",
		[WIRE_F_CP] = "ike.rx.cp",
		[WIRE_F_EAP] = "ike.rx.eap",
		[WIRE_F_SK] = "ike.rx.sk",
		[WIRE_F_NOMEM] = "ike.rx.nomem",
		[WIRE_F_PS] = "ike.rx.puzzle",
		[WIRE_F_FRAGMENT] = "ike.rx.fragment_number",
	};

	if (index < IKE_COUNTERS) {
		*ret_name = names[index];
		*ret_value = ike->counters[index];
		return true;
	}
	index -= IKE_COUNTERS - 1; /* WIRE_OK, number 0, is no fault */
	if (index >= WIRE_FAULTS)
		return false;
	*ret_name = faults[index];
	*ret_value = ike->faults[index];
	return true;
}
