/*
 * known.c - hubs as values, and what a site knows of the hubs of its network
 * (docs/protocol/shortcut.md section 9.1).
 *
 * Each hub says what hubs there are; the newest list of each is kept.  What they name, all
 * together, goes to the engine, which tries it behind what the configuration names.  Nothing is
 * believed because it was named: whoever is called there proves in IKE_AUTH that he is a hub.
 *
 * What was known before a restart (mesh_hubs_load()) counts until the first list comes.
 */
#include "mesh/site.h"

/* ---- a hub as a value ------------------------------------------------------------------------ */

static size_t size_of(const struct wire_mesh_hub *hub)
{
	size_t n = hub->id.data.n;

	for (size_t i = 0; i < hub->n_at; i++)
		n += hub->at[i].name.n;
	return n;
}

static struct bytes take(uint8_t **at, struct bytes from)
{
	uint8_t *to = *at;

	if (from.n)
		memcpy(to, from.p, from.n);
	*at += from.n;
	return bytes_of(to, from.n);
}

struct known_hub *known_hub_new(struct mesh *m, const struct wire_mesh_hub *hub)
{
	struct known_hub *k = mem_new(m->mem, sizeof(*k) + size_of(hub));
	uint8_t *at;

	if (!k)
		return NULL;
	list_init(&k->node);
	k->hub = *hub;
	at = k->data;
	k->hub.id.data = take(&at, hub->id.data);
	for (size_t i = 0; i < hub->n_at; i++)
		k->hub.at[i].name = take(&at, hub->at[i].name);
	return k;
}

void known_hub_free(struct mesh *m, struct known_hub *k)
{
	if (!k)
		return;
	list_del(&k->node);
	mem_free(m->mem, k);
}

void known_hubs_free(struct mesh *m, struct list *l)
{
	list_for_each_safe(n, l)
		known_hub_free(m, CONTAINER_OF(n, struct known_hub, node));
}

static bool same_where(const struct wire_mesh_where *a, const struct wire_mesh_where *b)
{
	return a->port == b->port && ip_eq(&a->ip, &b->ip) && bytes_eq(a->name, b->name);
}

bool hub_eq(const struct wire_mesh_hub *a, const struct wire_mesh_hub *b)
{
	bool same =
		a->id.type == b->id.type && bytes_eq(a->id.data, b->id.data) && a->n_at == b->n_at;

	for (size_t i = 0; same && i < a->n_at; i++)
		same = same_where(&a->at[i], &b->at[i]);
	return same;
}

/* "hub2.example at 192.0.2.2, hub2.example.com" */
void hub_text(struct text *t, const struct wire_mesh_hub *hub)
{
	struct policy_ident id = ident_of(&hub->id);
	char ip[IP_TEXT_MAX];

	policy_ident_text(t, &id);
	for (size_t i = 0; i < hub->n_at; i++) {
		text_add(t, i ? ", " : " at ");
		if (hub->at[i].ip.family)
			text_add(t, ip_text(&hub->at[i].ip, ip));
		else
			text_quote(t, hub->at[i].name);
	}
}

/* ---- who says it --------------------------------------------------------------------------- */

struct sender {
	const struct word *w;
	struct policy_ident ident;
};

static bool look_at_sa(void *ctx, const struct ike_sa_info *info)
{
	struct sender *s = ctx;

	if (info->id == s->w->sa)
		s->ident = info->remote_id;
	return info->id != s->w->sa;
}

struct policy_ident word_sender(const struct word *w)
{
	struct sender s = { .w = w };

	ike_each_sa_of(w->m->ike, w->m->now, w->peer, look_at_sa, &s);
	return s.ident;
}

/* ---- lists --------------------------------------------------------------------------------- */

static void told_free(struct mesh *m, struct told *t)
{
	if (!t)
		return;
	known_hubs_free(m, &t->hubs);
	list_del(&t->node);
	ident_done(m, &t->sender);
	mem_free(m->mem, t);
}

void site_hubs_free(struct site *s)
{
	list_for_each_safe(n, &s->told_by)
		told_free(s->net->m, CONTAINER_OF(n, struct told, node));
}

/* On no list yet; `sender` NULL: what was known before we started. */
static struct told *told_new(struct mesh *m, const struct policy_ident *sender,
			     const struct wire_mesh_hub *hubs, size_t n)
{
	struct told *t = mem_new(m->mem, sizeof(*t));

	if (!t)
		return NULL;
	list_init(&t->node);
	list_init(&t->hubs);
	if (sender && ident_dup(m, sender, &t->sender)) {
		told_free(m, t);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct known_hub *k = known_hub_new(m, &hubs[i]);

		if (!k) {
			told_free(m, t);
			return NULL;
		}
		list_add_tail(&t->hubs, &k->node);
	}
	return t;
}

static struct told *told_of(const struct site *s, const struct policy_ident *sender)
{
	list_for_each(n, &s->told_by) {
		struct told *t = CONTAINER_OF(n, struct told, node);

		if (policy_ident_eq(&t->sender, sender))
			return t;
	}
	return NULL;
}

/* Another list says more of it. */
static bool is_repeated(const struct site *s, const struct told *of, const struct known_hub *k)
{
	list_for_each(n, &s->told_by) {
		const struct told *t = CONTAINER_OF(n, const struct told, node);

		if (t == of)
			return false;
		list_for_each(i, &t->hubs) {
			const struct known_hub *other =
				CONTAINER_OF(i, const struct known_hub, node);

			if (other->hub.id.type == k->hub.id.type &&
			    bytes_eq(other->hub.id.data, k->hub.id.data))
				return true;
		}
	}
	return false;
}

typedef bool known_fn(void *ctx, const struct known_hub *k);

/* Of each hub what the newest list says. */
static bool each_known(const struct site *s, known_fn *fn, void *ctx)
{
	list_for_each(n, &s->told_by) {
		const struct told *t = CONTAINER_OF(n, const struct told, node);

		list_for_each(i, &t->hubs) {
			const struct known_hub *k = CONTAINER_OF(i, const struct known_hub, node);

			if (!is_repeated(s, t, k) && !fn(ctx, k))
				return false;
		}
	}
	return true;
}

/* ---- to the engine ------------------------------------------------------------------------- */

struct names {
	struct arena ar;
	struct ike_hub_place v[MESH_LEARNT];
	size_t n;
	bool short_of_memory;
};

static bool add_name(struct names *l, const struct wire_mesh_where *at)
{
	char ip[IP_TEXT_MAX];
	struct bytes text = at->name;
	char *to;

	if (l->n == ARRAY_LEN(l->v))
		return true;
	if (at->ip.family)
		text = bytes_str(ip_text(&at->ip, ip));
	to = arena_new(&l->ar, text.n + 1);
	if (!to)
		return false;
	memcpy(to, text.p, text.n);
	l->v[l->n++] = (struct ike_hub_place){ to, at->port };
	return true;
}

static bool add_names(void *ctx, const struct known_hub *k)
{
	struct names *l = ctx;

	for (size_t i = 0; i < k->hub.n_at && !l->short_of_memory; i++)
		l->short_of_memory = !add_name(l, &k->hub.at[i]);
	return !l->short_of_memory;
}

/* When there is no memory, the next list brings it. */
void site_teach(struct site *s)
{
	struct mesh *m = s->net->m;
	struct names l = { .n = 0 };
	enum status st = ST_NOMEM;

	arena_init(&l.ar, m->mem, MESH_ARENA);
	if (each_known(s, add_names, &l))
		st = ike_hubs(m->ike, m->now, s->net->conf->peer, l.v, l.n);
	if (st == ST_NOMEM)
		count(m, M_NO_MEMORY);
	arena_done(&l.ar);
}

/* ---- words --------------------------------------------------------------------------------- */

static bool same_list(const struct told *t, const struct wire_mesh *msg)
{
	size_t i = 0;

	list_for_each(n, &t->hubs) {
		const struct known_hub *k = CONTAINER_OF(n, const struct known_hub, node);

		if (i == msg->n_hubs || !hub_eq(&k->hub, &msg->hubs[i++]))
			return false;
	}
	return i == msg->n_hubs;
}

static void say_hubs(struct site *s, const struct told *t)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text text = TEXT_OF(buf);

	policy_ident_text(&text, &t->sender);
	text_add(&text, list_empty(&t->hubs) ? " knows of no hubs" : " says that hubs are ");
	list_for_each(n, &t->hubs) {
		if (n != t->hubs.next)
			text_add(&text, "; ");
		hub_text(&text, &CONTAINER_OF(n, const struct known_hub, node)->hub);
	}
	mesh_event(s->net->m, IKE_EV_HUBS,
		   (struct mesh_about){ .peer = s->net->conf->peer,
					.peer_name = s->net->conf->name,
					.identity = &t->sender },
		   "%s", buf);
}

static size_t n_told(const struct site *s)
{
	size_t n = 0;

	list_for_each(it, &s->told_by)
		n++;
	return n;
}

/* The oldest makes way: of so many hubs some are no more. */
static void put_first(struct site *s, struct told *t)
{
	list_add_tail(s->told_by.next, &t->node);
	while (n_told(s) > MESH_HUBS)
		told_free(s->net->m, CONTAINER_OF(s->told_by.prev, struct told, node));
}

static void take_list(struct site *s, struct word *w, const struct policy_ident *sender)
{
	static const struct policy_ident before = { 0 };
	struct mesh *m = s->net->m;
	struct told *old = told_of(s, sender), *t;

	if (old && same_list(old, &w->msg)) {
		old->sequence = w->msg.sequence;
		word_accept(w, NULL);
		return;
	}
	t = told_new(m, sender, w->msg.hubs, w->msg.n_hubs);
	if (!t) {
		count(m, M_NO_MEMORY);
		word_refuse(w, WIRE_MR_INTERNAL, "out of memory");
		return;
	}
	t->sequence = w->msg.sequence;
	told_free(m, old);
	told_free(m, told_of(s, &before));
	put_first(s, t);
	word_accept(w, NULL);
	site_teach(s);
	say_hubs(s, t);
}

void site_hubs_word(struct network *net, struct word *w)
{
	struct policy_ident sender = word_sender(w);
	struct told *old = told_of(net->site, &sender);

	if (!bytes_eq(w->msg.context, bytes_str(net->conf->name))) {
		word_refuse(w, WIRE_MR_CONTEXT, net->conf->name);
	} else if (!sender.type) {
		word_refuse(w, WIRE_MR_IDENTITY, "its SA is gone");
	} else if (old && w->msg.sequence <= old->sequence) {
		count(net->m, M_OLD);
		word_refuse(w, WIRE_MR_OLDER, "its number is not above the last");
	} else {
		take_list(net->site, w, &sender);
	}
}

/* Who has started again may count from the beginning. */
void site_hubs_anew(struct site *s)
{
	list_for_each(n, &s->told_by)
		CONTAINER_OF(n, struct told, node)->sequence = 0;
}

enum status mesh_hubs_load(struct mesh *m, struct now now, const char *network,
			   const struct wire_mesh_hub *hubs, size_t n)
{
	m->now = now;
	list_for_each(it, &m->networks) {
		struct network *net = CONTAINER_OF(it, struct network, node);
		struct told *t;

		if (!net->site || strcmp(net->conf->name, network) != 0)
			continue;
		if (!list_empty(&net->site->told_by))
			return ST_INVAL;
		t = told_new(m, NULL, hubs, n < MESH_HUBS_LOAD ? n : MESH_HUBS_LOAD);
		if (!t)
			return ST_NOMEM;
		put_first(net->site, t);
		site_teach(net->site);
		return ST_OK;
	}
	return ST_INVAL;
}

/* ---- for status, and for the host to keep -------------------------------------------------- */

struct showing {
	const struct network *net;
	struct now now;
	mesh_hub_fn *fn;
	void *ctx;
	const struct wire_mesh_hub *hub;
	bool connected;
};

static bool is_connected(void *ctx, const struct ike_sa_info *info)
{
	struct showing *s = ctx;
	struct policy_ident id = ident_of(&s->hub->id);

	s->connected = info->established && policy_ident_eq(&info->remote_id, &id);
	return !s->connected;
}

static bool show_known(void *ctx, const struct known_hub *k)
{
	struct showing *s = ctx;

	s->hub = &k->hub;
	s->connected = false;
	for (size_t i = 0; i < n_attached(s->net) && !s->connected; i++)
		ike_each_sa_of(s->net->m->ike, s->now, hub_at(s->net, i), is_connected, s);
	return s->fn(s->ctx, s->net->conf, &k->hub, s->connected);
}

bool site_each_hub(const struct site *s, mesh_hub_fn *fn, void *ctx)
{
	struct showing show = { .net = s->net, .now = s->net->m->now, .fn = fn, .ctx = ctx };

	return each_known(s, show_known, &show);
}

void mesh_each_hub(const struct mesh *m, mesh_hub_fn *fn, void *ctx)
{
	list_for_each(n, &m->networks) {
		const struct network *net = CONTAINER_OF(n, const struct network, node);

		if (net->site ? !site_each_hub(net->site, fn, ctx)
			      : !hub_each_hub(net->hub, fn, ctx))
			return;
	}
}
