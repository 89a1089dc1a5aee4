#include "mesh_town.h"

#include <stdio.h>
#include <string.h>

/* ---- the engine ---------------------------------------------------------------------------- */

struct out {
	struct list node;
	struct ike_out out;
	struct ike_event event;
	uint8_t *data;
};

static struct out *put(struct ike *ike, enum ike_out_kind kind)
{
	struct out *o = calloc(1, sizeof(*o));

	o->out.kind = kind;
	list_add_tail(&ike->outs, &o->node);
	return o;
}

static struct bytes kept(struct out *o, struct bytes b)
{
	o->data = malloc(b.n ? b.n : 1);
	if (b.n)
		memcpy(o->data, b.p, b.n);
	return bytes_of(o->data, b.n);
}

static struct citizen *by_peer(struct ike *ike, ike_peer_id peer)
{
	uint64_t n = peer - IKE_PEER_DYNAMIC;

	return peer >= IKE_PEER_DYNAMIC && n && n <= TOWN_MEMBERS ? &ike->town->member[n] : NULL;
}

void ike_next(struct ike *ike, struct ike_out *ret_out)
{
	struct out *o = ike->current;

	if (o) {
		free(o->data);
		free(o);
	}
	ike->current = NULL;
	*ret_out = (struct ike_out){ .kind = IKE_OUT_NONE };
	if (list_empty(&ike->outs))
		return;
	o = CONTAINER_OF(ike->outs.next, struct out, node);
	list_del(&o->node);
	ike->current = o;
	*ret_out = o->out;
}

bool ike_peer(const struct ike *ike, struct now now, ike_peer_id peer, struct ike_peer_info *ret)
{
	struct citizen *c = by_peer((struct ike *)(uintptr_t)ike, peer);

	(void)now;
	if (!c || !c->up)
		return false;
	*ret = (struct ike_peer_info){ .id = peer,
				       .name = c->name,
				       .conf = ike->town->conf[ike->town->n_conf & 1].ike->peers,
				       .remote_id = c->ident,
				       .state = "up",
				       .last_error = "" };
	return true;
}

void ike_each_sa_of(const struct ike *ike, struct now now, ike_peer_id peer, ike_sa_fn *fn,
		    void *ctx)
{
	struct citizen *c = by_peer((struct ike *)(uintptr_t)ike, peer);
	struct ike_sa_info info = { 0 };

	(void)now;
	if (!c || !c->up)
		return;
	info = (struct ike_sa_info){ .id = c->sa,
				     .peer = peer,
				     .established = true,
				     .local = c->local,
				     .remote = c->remote,
				     .remote_id = c->ident,
				     .nat_remote = c->nat,
				     .ppk = c->ppk,
				     .warren = c->capabilities != 0,
				     .capabilities = c->capabilities };
	fn(ctx, &info);
}

enum status ike_peer_served(const struct ike *ike, ike_peer_id peer, struct arena *ar,
			    struct wire_ts_list ret[static IKE_AUTHORITIES])
{
	struct citizen *c = by_peer((struct ike *)(uintptr_t)ike, peer);

	if (!c || !c->up)
		return ST_INVAL;
	for (size_t i = 0; i < IKE_AUTHORITIES; i++) {
		size_t n = c->served[i].n * sizeof(struct wire_ts);
		struct wire_ts *ts = n ? arena_new(ar, n) : NULL;

		if (n && !ts)
			return ST_NOMEM;
		if (n)
			memcpy(ts, c->served[i].ts, n);
		ret[i] = (struct wire_ts_list){ ts, c->served[i].n, 0 };
	}
	return ST_OK;
}

static void hear(struct town *t, struct citizen *c, uint64_t id, const struct ike_word *word)
{
	struct heard *h;
	enum wire_mesh_fault fault = WIRE_MF_OK;

	if (c->n_heard == c->room && c->room < TOWN_KEPT) {
		c->room = c->room ? 2 * c->room : 4;
		c->heard = realloc(c->heard, c->room * sizeof(*c->heard));
		assert_non_null(c->heard);
	}
	if (c->n_heard == TOWN_KEPT) {
		memmove(c->heard, c->heard + 1, (TOWN_KEPT - 1) * sizeof(*c->heard));
		c->n_heard--;
	}
	h = &c->heard[c->n_heard++];
	*h = (struct heard){ .id = id, .at = ++t->words, .kind = word->notify };
	assert_int_equal(arena_dup(&t->ar, word->data, &h->data), ST_OK);
	if (wire_mesh_parse(&t->ar, word->notify, h->data, &h->msg, &fault))
		fail_msg("a member was told nonsense: kind %u, %s", word->notify,
			 wire_mesh_fault_name(fault));
}

enum status ike_ask(struct ike *ike, struct now now, ike_peer_id peer, const struct ike_word *word,
		    uint64_t *ret_id)
{
	struct citizen *c = by_peer(ike, peer);

	(void)now;
	if (!c || !c->up || !c->capabilities)
		return ST_INVAL;
	if (c->deaf)
		return c->deaf;
	*ret_id = ++ike->last_ask;
	hear(ike->town, c, *ret_id, word);
	return ST_OK;
}

void ike_answer(struct ike *ike, struct now now, uint64_t id, const struct ike_word *word)
{
	struct town *t = ike->town;
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct wire_mesh msg;

	(void)now;
	assert_in_range(id, 1, ike->last_asked);
	t->answered = id;
	t->answer = word->notify;
	t->reason = 0;
	t->text[0] = '\0';
	if (wire_mesh_parse(&t->ar, word->notify, word->data, &msg, &fault))
		fail_msg("an answer is nonsense: %s", wire_mesh_fault_name(fault));
	if (word->notify == WIRE_N_SHORTCUT_REFUSED) {
		t->reason = msg.reason;
		snprintf(t->text, sizeof(t->text), "%.*s", (int)msg.text.n,
			 msg.text.n ? (const char *)msg.text.p : "");
	}
}

struct ike_conf *ike_conf_ref(struct ike_conf *conf)
{
	conf->refs++;
	return conf;
}

void ike_conf_unref(struct ike_conf *conf)
{
	assert_true(conf->refs > 0);
	conf->refs--;
}

enum status ike_reconfigure(struct ike *ike, struct now now, struct ike_conf *conf)
{
	(void)now;
	(void)conf;
	if (!ike->refused_reconfigure)
		return ST_OK;
	ike->refused_reconfigure--;
	return ST_NOMEM;
}

mono_t ike_deadline(const struct ike *ike)
{
	(void)ike;
	return MONO_NEVER;
}

void ike_timer(struct ike *ike, struct now now)
{
	(void)ike;
	(void)now;
}

/* Nothing of a hub's mesh comes here: these are a site's, or the host's. */
#define NEVER(proto, ...)                                                                          \
	proto                                                                                      \
	{                                                                                          \
		(void)ike;                                                                         \
		(void)now;                                                                         \
		__VA_ARGS__                                                                        \
	}

NEVER(void ike_input(struct ike *ike, struct now now, const struct ike_datagram *d), (void)d;
      fail_msg("a datagram");)
NEVER(void ike_dp(struct ike *ike, struct now now, const struct dp_report *r), (void)r;
      fail_msg("a report of the data plane");)
NEVER(void ike_network(struct ike *ike, struct now now, const struct ip *own, size_t n), (void)own;
      (void)n; fail_msg("addresses");)
NEVER(enum status ike_hubs(struct ike *ike, struct now now, ike_peer_id section,
			   const struct ike_hub_place *at, size_t n),
      (void)section;
      (void)at; (void)n; fail_msg("hubs"); return ST_INVAL;)
NEVER(enum status ike_partner_add(struct ike *ike, struct now now, const struct ike_partner *p,
				  ike_peer_id *ret),
      (void)p;
      *ret = 0; fail_msg("a partner"); return ST_INVAL;)
NEVER(void ike_partner_measured(struct ike *ike, struct now now, ike_peer_id peer, dur_t rtt),
      (void)peer;
      (void)rtt; fail_msg("a partner");)
NEVER(enum status ike_partner_connect(struct ike *ike, struct now now, ike_peer_id peer,
				      const struct endpoint *local, const struct endpoint *remote),
      (void)peer;
      (void)local; (void)remote; fail_msg("a partner"); return ST_INVAL;)
NEVER(void ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why),
      (void)peer;
      (void)why; fail_msg("a partner");)

bool ike_peer_covers(const struct ike *ike, ike_peer_id peer, const struct wire_ts_list *ts)
{
	struct citizen *c = by_peer((struct ike *)(uintptr_t)ike, peer);

	return c && c->up && c->blocks.n && policy_ts_subset(ts, &c->blocks);
}

enum status ike_peer_prefix(struct ike *ike, ike_peer_id peer, const struct prefix *prefix,
			    enum dp_given given)
{
	(void)ike;
	(void)peer;
	(void)prefix;
	(void)given;
	return ST_OK;
}

enum status ike_peer_given_only(struct ike *ike, ike_peer_id peer, bool on)
{
	(void)ike;
	(void)peer;
	(void)on;
	return ST_OK;
}

const char *ike_reason_name(enum ike_reason reason)
{
	(void)reason;
	return "";
}

/* ---- life ---------------------------------------------------------------------------------- */

static const uint64_t key[2] = { 1, 2 };

static void add_conf(struct town *t)
{
	unsigned k = ++t->n_conf & 1;

	t->ike_conf[k] = (struct ike_conf){
		.refs = 1, .peers = &t->section, .n_peers = 1, .port = 500, .nat_port = 4500
	};
	t->conf[k] = (struct mesh_conf){ &t->ike_conf[k], &t->network, 1 };
}

void town_init(struct town *t)
{
	static struct wire_ts domain;
	struct text why;
	char buf[64];

	*t = (struct town){ .now = { { 1000000000000 }, { 1700000000 }, true } };
	why = TEXT_OF(buf);
	assert_int_equal(policy_ts_parse("10.0.0.0/8", &why, &domain), ST_OK);
	test_mem_init(&t->mem);
	arena_init(&t->ar, &mem_libc, (size_t)1 << 30);
	assert_int_equal(crypto_fake_new(&mem_libc, 7, &t->fake), ST_OK);
	t->crypto = crypto_fake_ops(t->fake);
	list_init(&t->engine.outs);
	t->engine.town = t;
	t->member = calloc(TOWN_MEMBERS + 1, sizeof(*t->member));
	t->section = (struct ike_peer_conf){ .id = TOWN_PEER,
					     .name = "corp",
					     .role = IKE_ROLE_MEMBERS,
					     .domain = { &domain, 1, 0 } };
	t->network = (struct mesh_network){ .name = "corp",
					    .peer = TOWN_PEER,
					    .topology = MESH_DYNAMIC,
					    .idle = dur_s(60),
					    .retry = dur_s(10),
					    .retry_max = dur_s(600) };
}

enum status town_try_open(struct town *t)
{
	add_conf(t);
	return mesh_new(&t->mem.alloc, &t->crypto, key, &t->engine, &t->conf[t->n_conf & 1], t->now,
			&t->mesh);
}

void town_open(struct town *t)
{
	assert_int_equal(town_try_open(t), ST_OK);
}

enum status town_reload(struct town *t)
{
	enum status st;

	add_conf(t);
	st = mesh_reconfigure(t->mesh, t->now, &t->conf[t->n_conf & 1]);
	if (st)
		t->n_conf--;
	town_drain(t);
	return st;
}

void town_close(struct town *t)
{
	struct ike_out o;

	mesh_free(t->mesh);
	do
		ike_next(&t->engine, &o);
	while (o.kind != IKE_OUT_NONE);
	assert_int_equal(t->mem.live, 0);
	crypto_fake_free(t->fake);
	arena_done(&t->ar);
	for (unsigned i = 1; i <= TOWN_MEMBERS; i++)
		free(t->member[i].heard);
	free(t->member);
}

/* ---- members ------------------------------------------------------------------------------- */

static struct wire_ts selector(const char *prefix)
{
	char buf[128];
	struct text why = TEXT_OF(buf);
	struct wire_ts ts;

	assert_int_equal(policy_ts_parse(prefix, &why, &ts), ST_OK);
	return ts;
}

struct citizen *citizen(struct town *t, unsigned n)
{
	struct citizen *c = &t->member[n];
	char prefix[32];

	if (c->peer)
		return c;
	snprintf(c->name, sizeof(c->name), "site-%u.example", n);
	snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", n / 256, n % 256);
	c->peer = IKE_PEER_DYNAMIC + n;
	c->ident = (struct policy_ident){ WIRE_ID_FQDN, bytes_str(c->name) };
	c->capabilities = IKE_CAN_PARTNER;
	c->ts[0] = selector(prefix);
	c->served[IKE_AUTHORITY_CERT] = (struct wire_ts_list){ c->ts, 1, 0 };
	c->local = (struct endpoint){ { 4, { 192, 0, 2, 1 } }, 500 };
	c->remote = (struct endpoint){ { 4, { 198, 51, (uint8_t)(n / 256), (uint8_t)(n % 256) } },
				       500 };
	c->boot = 1000 + n;
	return c;
}

void town_serves(struct town *t, unsigned n, enum ike_authority by, const char *prefix)
{
	struct citizen *c = citizen(t, n);

	for (size_t i = 0; i < IKE_AUTHORITIES; i++)
		c->served[i] = (struct wire_ts_list){ 0 };
	c->ts[0] = selector(prefix);
	c->served[by] = (struct wire_ts_list){ c->ts, 1, 0 };
}

void town_event(struct town *t, unsigned n, enum ike_event_kind kind)
{
	struct out *o = put(&t->engine, IKE_OUT_EVENT);

	o->event = (struct ike_event){ .kind = kind,
				       .peer = citizen(t, n)->peer,
				       .sa = citizen(t, n)->sa,
				       .peer_name = "corp" };
	o->out.u.event = &o->event;
	town_drain(t);
}

void town_comes(struct town *t, unsigned n)
{
	citizen(t, n)->up = true;
	t->member[n].sa++;
	town_event(t, n, IKE_EV_SA_UP);
	town_event(t, n, IKE_EV_CHILD_UP);
}

void town_places(struct town *t, unsigned n, const char *address, uint16_t port)
{
	struct citizen *c = citizen(t, n);
	struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) | WIRE_MESH_BIT(BOOT) |
					     WIRE_MESH_BIT(CANDIDATE),
				  .boot = c->boot,
				  .sequence = ++c->sequence,
				  .n_candidates = 1 };

	word.candidates[0] = (struct wire_mesh_candidate){ .kind = WIRE_MC_HOST,
							   .priority = 2u << 24,
							   .at.port = port };
	assert_int_equal(ip_parse(address, &word.candidates[0].at.ip), ST_OK);
	town_says(t, n, WIRE_N_SHORTCUT_CANDIDATES, &word);
}

void town_join(struct town *t, unsigned n)
{
	char address[32];

	town_comes(t, n);
	snprintf(address, sizeof(address), "192.168.%u.%u", n / 250, 1 + n % 250);
	town_places(t, n, address, 4500);
}

void town_leaves(struct town *t, unsigned n)
{
	citizen(t, n)->up = false;
	town_dies(t, n);
	town_event(t, n, IKE_EV_CHILD_DOWN);
	town_event(t, n, IKE_EV_SA_DOWN);
}

/* ---- time and traffic ---------------------------------------------------------------------- */

void town_drain(struct town *t)
{
	struct ike_out o;

	for (;;) {
		mesh_next(t->mesh, t->now, &o);
		if (o.kind == IKE_OUT_NONE)
			return;
		if (o.kind != IKE_OUT_EVENT || t->silent_events)
			continue;
		t->events[t->n_events++ % TOWN_EVENTS] = *o.u.event;
	}
}

void town_pass(struct town *t, int64_t ms)
{
	mono_t end = mono_add(t->now.mono, dur_ms(ms));
	mono_t due;

	while (due = mesh_deadline(t->mesh), !mono_before(end, due)) {
		if (mono_before(t->now.mono, due))
			t->now.mono = due;
		mesh_timer(t->mesh, t->now);
		town_drain(t);
	}
	t->now.mono = end;
}

void town_flow(struct town *t, unsigned from, unsigned to)
{
	struct dp_report r = { .kind = DP_REPORT_FLOW,
			       .u.flow = { .from = citizen(t, from)->peer,
					   .to = citizen(t, to)->peer } };

	r.u.flow.src = t->member[from].ts[0].start;
	r.u.flow.dst = t->member[to].ts[0].start;
	r.u.flow.src.b[3] = r.u.flow.dst.b[3] = 1;
	mesh_dp(t->mesh, t->now, &r);
	town_drain(t);
}

void town_talk(struct town *t, unsigned from, unsigned to, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		town_flow(t, from, to);
		town_pass(t, 1000);
	}
}

/* ---- words --------------------------------------------------------------------------------- */

struct heard *town_heard(struct town *t, unsigned n, uint16_t kind)
{
	struct citizen *c = citizen(t, n);

	for (size_t i = c->n_heard; i > 0; i--)
		if (c->heard[i - 1].kind == kind)
			return &c->heard[i - 1];
	return NULL;
}

size_t town_count(const struct town *t, unsigned n, uint16_t kind)
{
	const struct citizen *c = &t->member[n];
	size_t k = 0;

	for (size_t i = 0; i < c->n_heard; i++)
		k += c->heard[i].kind == kind;
	return k;
}

void town_answers(struct town *t, struct heard *h, enum status st, uint16_t kind,
		  const struct wire_mesh *msg)
{
	struct out *o = put(&t->engine, IKE_OUT_ANSWERED);
	uint8_t buf[1024];
	struct wr w = wr_of(buf, sizeof(buf));

	o->out.u.answered.id = h->id;
	o->out.u.answered.status = st;
	if (msg) {
		wire_mesh_put(&w, msg);
		o->out.u.answered.word.notify = kind;
		o->out.u.answered.word.data = kept(o, wr_bytes_of(&w));
	}
	h->id = 0;
	town_drain(t);
}

static struct heard *asked(struct town *t, unsigned n)
{
	struct heard *h = town_heard(t, n, WIRE_N_SHORTCUT_SUGGEST);

	assert_non_null(h);
	assert_int_not_equal(h->id, 0);
	return h;
}

void town_accepts_from(struct town *t, unsigned n, const char *address)
{
	struct heard *h = asked(t, n);
	struct wire_mesh msg = { 0 };

	memcpy(msg.id, h->msg.id, sizeof(msg.id));
	if (address) {
		msg.present = WIRE_MESH_BIT(CANDIDATE);
		msg.n_candidates = 1;
		msg.candidates[0] = (struct wire_mesh_candidate){ .kind = WIRE_MC_HOST,
								  .priority = 2u << 24,
								  .at.port = 4500 };
		assert_int_equal(ip_parse(address, &msg.candidates[0].at.ip), ST_OK);
	}
	town_answers(t, h, ST_OK, WIRE_N_SHORTCUT_ACCEPT, &msg);
}

void town_accepts(struct town *t, unsigned n)
{
	town_accepts_from(t, n, NULL);
}

void town_refuses(struct town *t, unsigned n, enum wire_mesh_reason reason, const char *text)
{
	struct heard *h = asked(t, n);
	struct wire_mesh msg = { .present = WIRE_MESH_BIT(REASON) | WIRE_MESH_BIT(TEXT),
				 .reason = (uint16_t)reason,
				 .text = bytes_str(text) };

	memcpy(msg.id, h->msg.id, sizeof(msg.id));
	town_answers(t, h, ST_OK, WIRE_N_SHORTCUT_REFUSED, &msg);
}

void town_dies(struct town *t, unsigned n)
{
	struct citizen *c = citizen(t, n);

	for (size_t i = 0; i < c->n_heard; i++)
		if (c->heard[i].id)
			town_answers(t, &c->heard[i], ST_IO, 0, NULL);
}

void town_asks(struct town *t, unsigned n, uint16_t kind, const struct wire_mesh *word)
{
	struct out *o = put(&t->engine, IKE_OUT_ASKED);
	uint8_t buf[4096];
	struct wr w = wr_of(buf, sizeof(buf));

	wire_mesh_put(&w, word);
	o->out.u.asked.id = ++t->engine.last_asked;
	o->out.u.asked.peer = citizen(t, n)->peer;
	o->out.u.asked.sa = t->member[n].sa;
	o->out.u.asked.word.notify = kind;
	o->out.u.asked.word.data = kept(o, wr_bytes_of(&w));
	t->answer = 0;
	town_drain(t);
}

void town_says(struct town *t, unsigned n, uint16_t kind, const struct wire_mesh *word)
{
	town_asks(t, n, kind, word);
	assert_int_not_equal(t->answer, 0);
}

static struct heard *about(struct town *t, unsigned n, unsigned partner)
{
	struct citizen *c = citizen(t, n);

	for (size_t i = c->n_heard; i > 0; i--) {
		struct heard *h = &c->heard[i - 1];

		if (h->kind == WIRE_N_SHORTCUT_SUGGEST &&
		    bytes_eq(h->msg.partner.data, citizen(t, partner)->ident.data))
			return h;
	}
	return NULL;
}

static void report(struct town *t, unsigned n, const struct heard *h, uint8_t outcome,
		   uint16_t reason)
{
	struct wire_mesh word = {
		.present = WIRE_MESH_BIT(PARTNER_ID) | WIRE_MESH_BIT(CONTEXT) |
			   WIRE_MESH_BIT(OUTCOME) | (reason ? WIRE_MESH_BIT(REASON) : 0),
		.partner = h->msg.partner,
		.context = bytes_str("corp"),
		.outcome = outcome,
		.reason = reason,
	};

	memcpy(word.id, h->msg.id, sizeof(word.id));
	town_says(t, n, WIRE_N_SHORTCUT_REPORT, &word);
}

void town_reports(struct town *t, unsigned n, unsigned partner, enum wire_mesh_outcome outcome,
		  enum wire_mesh_reason reason)
{
	struct heard *h = about(t, n, partner);

	assert_non_null(h);
	report(t, n, h, (uint8_t)outcome, (uint16_t)reason);
	assert_int_equal(t->answer, WIRE_N_SHORTCUT_ACCEPT);
}

void town_has(struct town *t, unsigned n, unsigned partner)
{
	struct policy_ident *with = &citizen(t, partner)->ident;
	struct heard h = { .msg.partner = { with->type, with->data } };

	store_be32(h.msg.id, n < partner ? n : partner);
	store_be32(h.msg.id + 4, n < partner ? partner : n);
	report(t, n, &h, WIRE_MO_UP, 0);
}

static size_t obeys(struct town *t, unsigned n)
{
	struct citizen *c = citizen(t, n);
	size_t k = 0;

	for (size_t i = 0; i < c->n_heard; i++) {
		struct heard h = c->heard[i];
		struct wire_mesh msg = { 0 };

		if (!h.id)
			continue;
		memcpy(msg.id, h.msg.id, sizeof(msg.id));
		town_answers(t, &c->heard[i], ST_OK, WIRE_N_SHORTCUT_ACCEPT, &msg);
		if (h.kind == SUGGEST)
			report(t, n, &h, WIRE_MO_UP, 0);
		k += h.kind == SUGGEST;
	}
	return k;
}

size_t town_obeys(struct town *t)
{
	size_t k = 0;

	for (unsigned n = 1; n <= TOWN_MEMBERS; n++)
		if (t->member[n].up)
			k += obeys(t, n);
	return k;
}

void town_up(struct town *t, unsigned a, unsigned b)
{
	town_flow(t, a, b);
	town_accepts(t, a);
	town_accepts(t, b);
	town_reports(t, a, b, WIRE_MO_UP, 0);
	town_reports(t, b, a, WIRE_MO_UP, 0);
}

size_t town_suggestions(const struct town *t, unsigned n)
{
	return town_count(t, n, SUGGEST);
}

const struct wire_mesh *town_withdrawn(struct town *t, unsigned n)
{
	struct heard *h = town_heard(t, n, WITHDRAW);

	assert_non_null(h);
	return &h->msg;
}

/* ---- looking ------------------------------------------------------------------------------- */

struct wanted {
	const struct policy_ident *a, *b;
	struct mesh_pair_info *ret;
	bool found;
};

static bool look(void *ctx, const struct mesh_pair_info *info)
{
	struct wanted *w = ctx;

	if (!(policy_ident_eq(&info->a, w->a) && policy_ident_eq(&info->b, w->b)) &&
	    !(policy_ident_eq(&info->a, w->b) && policy_ident_eq(&info->b, w->a)))
		return true;
	*w->ret = *info;
	w->found = true;
	return false;
}

const char *town_state(struct town *t, unsigned a, unsigned b, struct mesh_pair_info *ret)
{
	struct mesh_pair_info info = { 0 };
	struct wanted w = { &citizen(t, a)->ident, &citizen(t, b)->ident, ret ? ret : &info,
			    false };

	mesh_each_pair(t->mesh, t->now, look, &w);
	return w.found ? w.ret->state : "none";
}

struct pairs_count {
	const char *state;
	size_t n;
};

static bool count_one(void *ctx, const struct mesh_pair_info *info)
{
	struct pairs_count *k = ctx;

	k->n += strcmp(info->state, k->state) == 0;
	return true;
}

static void count_said(void *ctx, const char *state, size_t n)
{
	struct pairs_count *k = ctx;

	k->n += strcmp(state, k->state) == 0 ? n : 0;
}

size_t town_pairs(struct town *t, const char *state)
{
	struct pairs_count said = { state, 0 }, is = { state, 0 };

	mesh_count_pairs(t->mesh, count_said, &said);
	mesh_each_pair(t->mesh, t->now, count_one, &is);
	assert_int_equal(said.n, is.n);
	return is.n;
}

size_t town_events(const struct town *t, enum ike_event_kind kind)
{
	size_t k = 0;

	for (size_t i = 0; i < t->n_events && i < TOWN_EVENTS; i++)
		k += t->events[i].kind == kind;
	return k;
}

const char *town_said(const struct town *t, enum ike_event_kind kind)
{
	for (size_t i = 0; i < t->n_events && i < TOWN_EVENTS; i++) {
		const struct ike_event *e = &t->events[(t->n_events - 1 - i) % TOWN_EVENTS];

		if (e->kind == kind)
			return e->text;
	}
	return "";
}

uint64_t town_counter(const struct town *t, const char *name)
{
	const char *n;
	uint64_t v;

	for (size_t i = 0; mesh_counter(t->mesh, i, &n, &v); i++)
		if (strcmp(n, name) == 0)
			return v;
	fail_msg("there is no counter %s", name);
	return 0;
}

/* ---- for cmocka ---------------------------------------------------------------------------- */

int town_setup(void **state)
{
	static struct town t;

	town_init(&t);
	*state = &t;
	return 0;
}

int town_teardown(void **state)
{
	town_close(*state);
	return 0;
}

struct town *town_two(void **state)
{
	struct town *t = *state;

	town_open(t);
	town_join(t, 1);
	town_join(t, 2);
	return t;
}
