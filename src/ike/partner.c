/*
 * partner.c - partners: made, called, up, carrying, over (docs/protocol/shortcut.md section 11).
 *
 * What has happened to a partner's SAs is looked at when the entry is over, as with agenda.c: by
 * then either another one has taken over, or the partner is over, for the reason that was said
 * first.
 *
 * When its child is in the data plane both ends send dummies (RFC 4303 section 2.6), a few in a
 * second whatever is heard: the first may be there before the other end can read them.  The first
 * authentic packet that comes in shows that ESP gets through, at least to us; then we send, which
 * shows the other end the same.  When none has come for IKE_PARTNER_CARRIES_MS, nobody's traffic
 * is risked.
 */
#include "ike/partner.h"

/* When dummies go out, in milliseconds. */
static const uint16_t dummies[] = { 0, 15, 45, 105, 225, 465, 945 };

/* ---- making ------------------------------------------------------------------------------- */

static bool is_exact(const struct policy_ident *id)
{
	return id->type && id->data.n && !policy_ident_is_pattern(id);
}

/* The section that it is like; NULL: there is none such. */
static struct peer *network_of(const struct ike *ike, const struct ike_partner *from)
{
	struct peer *net = peer_by_id(ike, from->network);

	if (!net || !net->section || net->removed || net->conf->role != IKE_ROLE_HUB ||
	    net->conf->auth != IKE_AUTH_CERT)
		return NULL;
	return net;
}

static bool makes_sense(const struct ike_partner *from)
{
	return is_exact(&from->local_id) && is_exact(&from->remote_id) &&
	       !policy_ident_eq(&from->local_id, &from->remote_id) && from->ts_local.n &&
	       from->ts_remote.n;
}

static enum status copy_ts(struct arena *ar, const struct wire_ts_list *from,
			   struct wire_ts_list *ret)
{
	struct bytes copy = bytes_of(NULL, 0);
	enum status st = ST_OK;

	if (from->n)
		st = arena_dup(ar, bytes_of(from->ts, from->n * sizeof(*from->ts)), &copy);
	*ret = (struct wire_ts_list){ (const void *)copy.p, from->n, 0 };
	return st;
}

static enum status copy_ident(struct arena *ar, const struct policy_ident *from,
			      struct policy_ident *ret)
{
	ret->type = from->type;
	return arena_dup(ar, from->data, &ret->data);
}

/* Its own part of what it is configured as. */
static enum status copy(struct partner *pt, const struct ike_partner *from)
{
	struct ike_peer_conf *c = &pt->conf;
	char name[IKE_IDENTITY_TEXT];
	struct text t = TEXT_OF(name);
	struct bytes b;
	enum status st = copy_ident(&pt->mem, &from->local_id, &c->local_id);

	policy_ident_text(&t, &from->remote_id);
	if (!st)
		st = copy_ident(&pt->mem, &from->remote_id, &c->remote_id);
	if (!st)
		st = arena_dup(&pt->mem, bytes_of(name, t.n + 1), &b);
	if (st)
		return st;
	c->name = (const char *)b.p;
	c->idle = from->idle;
	c->ppk_id = BYTES_OF(pt->id);
	memcpy(pt->id, from->id, sizeof(pt->id));
	memcpy(pt->proof_key, from->proof_key, sizeof(pt->proof_key));
	(void)secret_set(&pt->ppk, BYTES_OF(from->ppk));
	pt->keys = true;
	st = copy_ts(&pt->mem, &from->ts_local, &c->ts_local);
	if (!st)
		st = copy_ts(&pt->mem, &from->ts_remote, &c->ts_remote);
	return st ? st : copy_ts(&pt->mem, &from->ts_given, &pt->given);
}

/* What it shares with its network. */
static void share(struct partner *pt, const struct ike_peer_conf *network)
{
	const struct ike_peer_conf own = pt->conf;
	struct ike_peer_conf *c = &pt->conf;

	*c = *network;
	pt->network = network;
	c->id = pt->peer->id;
	c->name = own.name;
	c->local_id = own.local_id;
	c->remote_id = own.remote_id;
	c->ts_local = own.ts_local;
	c->ts_remote = own.ts_remote;
	c->idle = own.idle;
	c->role = IKE_ROLE_PARTNER;
	c->start = IKE_START_LISTEN;
	c->network = NULL;
	c->addresses = NULL;
	c->n_addresses = 0;
	c->childless = IKE_CHILDLESS_NEVER;
	c->ppk = 0;
	c->ppk_id = own.ppk_id;
	c->ppk_required = true;
	c->follow = c->flows = c->direct = c->ask_v4 = c->ask_v6 = false;
	c->relayed = (struct wire_ts_list){ 0 };
	c->n_redirect_to = 0;
	c->redirect_to = NULL;
	c->capabilities = 0;
	c->hub_ids = NULL;
	c->n_hub_ids = 0;
	c->domain = (struct wire_ts_list){ 0 };
	c->rules = NULL;
	c->n_rules = 0;
	c->pool = NULL;
	c->n_pool = 0;
}

static uint64_t key_hash(const struct ike *ike, const struct partner *pt)
{
	return map_hash(&ike->partner_by_key, BYTES_OF(pt->id));
}

static struct peer *make(struct ike *ike, const struct peer *net, const struct ike_partner *from)
{
	struct partner *pt = mem_new(ike->mem, sizeof(*pt));
	struct peer *p = pt ? peer_new(ike, net->section->owner, &pt->conf) : NULL;

	if (!p) {
		mem_free(ike->mem, pt);
		return NULL;
	}
	p->section->partner = pt;
	pt->peer = p;
	list_init(&pt->todo);
	list_init(&pt->half_open);
	pt->timer.kind = TIMER_PARTNER;
	arena_init(&pt->mem, ike->mem, IKE_MESSAGE_ARENA);
	if (copy(pt, from)) {
		peer_free(ike, p);
		return NULL;
	}
	p->id = IKE_PEER_DYNAMIC + ike->last_instance++;
	p->name = pt->conf.name;
	share(pt, net->conf);
	return p;
}

enum status partner_add(struct ike *ike, const struct ike_partner *from, ike_peer_id *ret_peer)
{
	struct peer *net = network_of(ike, from), *p;

	if (!net || ike->shutdown || !makes_sense(from) || partner_by_key(ike, from->id))
		return ST_INVAL;
	if (ike->n_partners >= IKE_MAX_PARTNERS)
		return ST_AGAIN;
	p = make(ike, net, from);
	if (!p) {
		count(ike, C_NO_MEMORY);
		return ST_NOMEM;
	}
	list_add_tail(&ike->partners, &p->node);
	peer_number(ike, p);
	map_insert(&ike->partner_by_key, &partner_of(p)->by_key, key_hash(ike, partner_of(p)));
	ike->n_partners++;
	*ret_peer = p->id;
	return ST_OK;
}

/* ---- unmaking ----------------------------------------------------------------------------- */

static void forget_keys(struct partner *pt)
{
	wipe(pt->proof_key, sizeof(pt->proof_key));
	secret_done(&pt->ppk);
	pt->keys = false;
}

/* Found by nothing any more; it may live on with an SA that says goodbye. */
static void unlink_partner(struct ike *ike, struct partner *pt)
{
	if (!pt->peer->numbered)
		return;
	map_remove(&ike->partner_by_key, &pt->by_key);
	peer_unnumber(ike, pt->peer);
	ike->n_partners--;
}

void partner_free(struct ike *ike, struct section *s)
{
	struct partner *pt = s->partner;

	if (!pt)
		return;
	unlink_partner(ike, pt);
	heap_disarm(&ike->timers, &pt->timer);
	list_del(&pt->todo);
	arena_done(&pt->mem);
	s->partner = NULL;
	mem_free_secret(ike->mem, pt, sizeof(*pt));
}

void partners_free(struct ike *ike)
{
	list_for_each_safe(n, &ike->partners)
		peer_free(ike, CONTAINER_OF(n, struct peer, node));
}

static void end_half_open(struct ike *ike, struct partner *pt, const char *why)
{
	list_for_each_safe(n, &pt->half_open)
		sa_remove(ike, CONTAINER_OF(n, struct handshake, of_partner)->sa, why);
}

void partner_drop(struct ike *ike, struct peer *p, const char *why)
{
	struct partner *pt = partner_of(p);

	if (!pt || p->removed)
		return;
	p->removed = true;
	forget_keys(pt);
	unlink_partner(ike, pt);
	heap_disarm(&ike->timers, &pt->timer);
	list_del(&pt->todo);
	end_half_open(ike, pt, why);
	if (list_empty(&p->sas))
		peer_free(ike, p);
	else
		peer_down(ike, p, why);
}

/* ---- calling ------------------------------------------------------------------------------ */

static bool is_alive(const struct ike_sa *sa)
{
	return sa->state <= SA_I_AUTH || sa->state == SA_UP;
}

/* Another one than `but` that is up, or may come up. */
static bool has_other(const struct partner *pt, const struct ike_sa *but)
{
	list_for_each(n, &pt->peer->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa != but && is_alive(sa))
			return true;
	}
	list_for_each(n, &pt->half_open)
		if (CONTAINER_OF(n, const struct handshake, of_partner)->sa != but)
			return true;
	return false;
}

bool partner_half_open(const struct peer *p)
{
	const struct partner *pt = partner_of(p);

	return pt && !list_empty(&pt->half_open);
}

/* Along exactly the path that was probed, on which ESP goes in UDP (RFC 7296 section 2.23: any
 * port but 500 is a NAT-traversal port). */
enum status partner_connect(struct ike *ike, struct peer *p, const struct endpoint *local,
			    const struct endpoint *remote)
{
	struct partner *pt = partner_of(p);
	struct path path = {
		.local = *local, .remote = *remote, .floated = true, .encap = true, .always = true
	};

	if (!pt || p->removed || pt->over || has_other(pt, NULL) || ike->shutdown ||
	    local->port != ike->conf->nat_port || !remote->port ||
	    local->ip.family != remote->ip.family || !local->ip.family)
		return ST_INVAL;
	pt->begun = true;
	init_i_begin(ike, p, &path);
	partner_soon(ike, p);
	return ST_OK;
}

void partner_measured(struct peer *p, dur_t rtt)
{
	struct partner *pt = partner_of(p);

	if (pt)
		pt->rtt = rtt;
}

dur_t partner_rtt(const struct peer *p)
{
	const struct partner *pt = partner_of(p);

	return pt ? pt->rtt : (dur_t){ 0 };
}

/* What answers us has keys and signatures to compute, too. */
dur_t partner_wait(const struct peer *p)
{
	dur_t rtt = partner_rtt(p), most = dur_ms(IKE_PARTNER_WAIT_MAX_MS),
	      wait = { 2 * rtt.ns + dur_ms(IKE_PARTNER_WORK_MS).ns };

	if (rtt.ns <= 0)
		return dur_ms(IKE_PARTNER_WAIT_MS);
	return rtt.ns > most.ns || wait.ns > most.ns ? most : wait;
}

unsigned partner_tries(const struct peer *p)
{
	int64_t left = dur_ms(IKE_PARTNER_CALL_MS).ns;
	unsigned n = 0;

	while ((left -= wait_grown(partner_wait(p), n).ns) >= 0)
		n++;
	return n < IKE_PARTNER_TRIES_MIN ? IKE_PARTNER_TRIES_MIN : n;
}

/* ---- over --------------------------------------------------------------------------------- */

void partner_soon(struct ike *ike, const struct peer *p)
{
	struct partner *pt = partner_of(p);

	if (pt && !p->removed && list_empty(&pt->todo))
		list_add_tail(&ike->partners_todo, &pt->todo);
}

static void note(struct partner *pt, enum ike_reason reason, const char *why)
{
	if (pt->why[0])
		return;
	pt->reason = reason;
	snprintf(pt->why, sizeof(pt->why), "%s", why);
}

void partner_ending(struct ike *ike, const struct ike_sa *sa, enum ike_reason reason,
		    const char *why)
{
	const struct peer *p = sa->peer ? sa->peer : sa->hs ? sa->hs->partner : NULL;
	struct partner *pt = partner_of(p);

	if (!pt || has_other(pt, sa))
		return;
	note(pt, reason, why);
	partner_soon(ike, p);
}

void partner_failed(struct ike *ike, struct peer *p, const char *why)
{
	struct partner *pt = partner_of(p);

	if (!pt)
		return;
	if (!has_other(pt, NULL))
		note(pt, IKE_R_INTERNAL, why);
	partner_soon(ike, p);
}

void partner_useless(struct ike *ike, const struct ike_sa *sa, enum ike_reason reason,
		     const char *why)
{
	if (partner_of(sa->peer))
		partner_ending(ike, sa, reason, why);
}

static struct ike_sa *sa_up(const struct partner *pt)
{
	list_for_each(n, &pt->peer->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

		if (sa->state == SA_UP)
			return sa;
	}
	return NULL;
}

static void say_over(struct ike *ike, struct partner *pt)
{
	struct event_about about = { .peer = pt->peer, .reason = pt->reason };

	heap_disarm(&ike->timers, &pt->timer);
	peer_error(ike, pt->peer, pt->why);
	/* Who waits for it waits for nothing else: said again when there is memory. */
	pt->over = event_emit(ike, IKE_EV_PARTNER_OVER, about, "%s", pt->why);
	if (!pt->over) {
		heap_arm(&ike->timers, &pt->timer, mono_add(ike->now.mono, dur_s(1)));
		return;
	}
	count(ike, C_PARTNER_OVER);
	forget_keys(pt);
}

static void look(struct ike *ike, struct partner *pt)
{
	struct ike_sa *up = sa_up(pt);

	if (pt->over)
		return;
	/* An SA that carries nothing is not what was suggested. */
	if (up && !up->n_children)
		sa_delete(ike, up, "it has no child SA any more");
	else if (up && !pt->peer->section->connecting && list_empty(&pt->half_open))
		forget_keys(pt);
	if (pt->begun && !has_other(pt, NULL))
		say_over(ike, pt);
}

void partners_run(struct ike *ike)
{
	while (!list_empty(&ike->partners_todo)) {
		struct partner *pt = CONTAINER_OF(ike->partners_todo.next, struct partner, todo);

		list_del(&pt->todo);
		look(ike, pt);
	}
}

void partner_down(struct ike *ike, struct peer *p, const char *why)
{
	struct partner *pt = partner_of(p);

	if (!pt || p->removed)
		return;
	pt->begun = true;
	note(pt, IKE_R_POLICY, why);
	partner_soon(ike, p);
	end_half_open(ike, pt, why);
}

/* ---- up, carrying ------------------------------------------------------------------------- */

/* The first child that the data plane has. */
static struct child *first_child(const struct partner *pt)
{
	const struct ike_sa *sa = sa_up(pt);

	if (!sa)
		return NULL;
	list_for_each(n, &sa->children) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->installed)
			return c;
	}
	return NULL;
}

static mono_t carries_by(const struct partner *pt)
{
	return pt->carries ? MONO_NEVER : mono_add(pt->up, dur_ms(IKE_PARTNER_CARRIES_MS));
}

static mono_t next_dummy(const struct partner *pt)
{
	if (!pt->installed.ns || pt->dummies >= ARRAY_LEN(dummies))
		return MONO_NEVER;
	return mono_add(pt->installed, dur_ms(dummies[pt->dummies]));
}

static void arm(struct ike *ike, struct partner *pt)
{
	mono_t due = mono_min(carries_by(pt), next_dummy(pt));

	if (mono_before(due, MONO_NEVER))
		heap_arm(&ike->timers, &pt->timer, due);
	else
		heap_disarm(&ike->timers, &pt->timer);
}

/* One of several replays, or the first of two attempts, is of no use any more. */
void partner_up(struct ike *ike, struct ike_sa *sa)
{
	struct partner *pt = partner_of(sa->peer);

	if (!pt)
		return;
	end_half_open(ike, pt, "the partner is up");
	pt->why[0] = '\0';
	if (!pt->up.ns)
		pt->up = ike->now.mono;
	arm(ike, pt);
	partner_soon(ike, sa->peer);
}

static void send_dummies(struct ike *ike, struct partner *pt)
{
	struct child *c = first_child(pt);

	/* One that is late is not made up for. */
	while (!mono_before(ike->now.mono, next_dummy(pt)))
		pt->dummies++;
	if (c)
		child_dummy(ike, c);
}

void partner_installed(struct ike *ike, const struct child *c)
{
	struct partner *pt = partner_of(c->sa->peer);

	if (!pt || pt->installed.ns)
		return;
	pt->installed = ike->now.mono;
	send_dummies(ike, pt);
	arm(ike, pt);
}

static void carries_nothing(struct ike *ike, struct partner *pt)
{
	struct ike_sa *sa = sa_up(pt);
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX], buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (!sa)
		return;
	text_fmt(&t,
		 "IKE gets through between %s and %s, and no ESP packet came in %d ms: something "
		 "on the way drops them",
		 endpoint_text(&sa->path.local, local), endpoint_text(&sa->path.remote, remote),
		 IKE_PARTNER_CARRIES_MS);
	count(ike, C_PARTNER_PATH);
	partner_ending(ike, sa, IKE_R_PATH, buf);
	sa_delete(ike, sa, buf);
}

void partner_due(struct ike *ike, struct timer *t)
{
	struct partner *pt = CONTAINER_OF(t, struct partner, timer);

	partner_soon(ike, pt->peer);
	if (!sa_up(pt))
		return;
	if (!mono_before(ike->now.mono, carries_by(pt))) {
		carries_nothing(ike, pt);
		return;
	}
	if (!mono_before(ike->now.mono, next_dummy(pt)))
		send_dummies(ike, pt);
	arm(ike, pt);
}

bool partner_holds(const struct peer *p, const struct ike_sa *sa)
{
	const struct partner *pt = partner_of(p);

	return pt && (!pt->carries || sa->suspect);
}

void partner_carries(struct ike *ike, const struct child *c)
{
	struct ike_sa *sa = c->sa;
	struct partner *pt = partner_of(sa->peer);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (!pt || pt->carries || sa->state != SA_UP)
		return;
	pt->carries = true;
	arm(ike, pt);
	children_tell(ike, sa);
	count(ike, C_PARTNER_CARRIES);
	text_add(&t, "packets get through: ");
	policy_ts_list_text(&t, &c->ts_local);
	text_add(&t, " === ");
	policy_ts_list_text(&t, &c->ts_remote);
	text_add(&t, " goes directly");
	event_emit(ike, IKE_EV_CARRIES, (struct event_about){ .sa = sa, .child = c }, "%s", buf);
}

/* ---- another configuration ---------------------------------------------------------------- */

void partner_adopt(struct partner *pt, struct ike_conf *owner, const struct ike_peer_conf *network)
{
	struct section *s = pt->peer->section;
	struct ike_conf *old = s->owner;

	s->owner = ike_conf_ref(owner);
	share(pt, network);
	ike_conf_unref(old);
}

void partner_disowned(struct ike *ike, struct peer *p, const char *why)
{
	partner_down(ike, p, why);
	peer_down(ike, p, why);
}
