/* What must hold: children and packets, at any time.  calm.c has what must hold in the end. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void check_failed(const struct sim *s, const struct machine *a, const struct machine *b,
		  const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "\nsim: at %.6f s: %s%s%s: ", (double)(s->now.mono.ns - SIM_BEGIN.ns) / 1e9,
		a ? a->name : "the world", b ? " and " : "", b ? b->name : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (a)
		log_print(a);
	if (b && b != a)
		log_print(b);
	fprintf(stderr, "\nagain: %s\n", s->replay);
	exit(1);
}

void check_event(struct machine *m, const struct ike_event *e)
{
	log_event(m, e);
	if (e->kind == IKE_EV_BUG)
		check_failed(m->s, m, NULL, "the engine reports a bug: %s", e->text);
	m->s->counts.sas += e->kind == IKE_EV_SA_UP;
	m->s->counts.suggested += m->hub && e->kind == IKE_EV_SUGGESTED;
	m->s->counts.direct += e->kind == IKE_EV_CARRIES;
}

/* ---- children ------------------------------------------------------------------------------ */

/* Numbers of our own and SPIs drawn by engines: nobody makes them collide. */
static uint64_t spread(uint64_t id)
{
	return id * 0x9e3779b97f4a7c15u ^ id >> 7;
}

static bool has_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child_note, by_id)->id == *(const dp_child_id *)key;
}

static bool has_spi(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct child_note, by_spi)->spi_in == *(const uint32_t *)key;
}

static struct child_note *note_by_id(const struct machine *m, dp_child_id id)
{
	struct map_node *n = map_find(&m->children, spread(id), has_id, &id);

	return n ? CONTAINER_OF(n, struct child_note, by_id) : NULL;
}

static struct child_note *note_by_spi(const struct machine *m, uint32_t spi)
{
	struct map_node *n = map_find(&m->spis, spread(spi), has_spi, &spi);

	return n ? CONTAINER_OF(n, struct child_note, by_spi) : NULL;
}

static uint64_t key_digest(const struct esp_keys *k)
{
	uint64_t h = k->cipher.encr;

	digest_bytes(&h, secret_bytes(&k->encr));
	digest_bytes(&h, secret_bytes(&k->integ));
	return h;
}

static uint64_t ts_digest(const struct wire_ts_list *l)
{
	uint64_t h = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct wire_ts *ts = &l->ts[i];
		const uint16_t ports[3] = { ts->proto, ts->port_start, ts->port_end };

		digest_bytes(&h, BYTES_OF(ports));
		digest_bytes(&h, ip_raw(&ts->start));
		digest_bytes(&h, ip_raw(&ts->end));
	}
	return h;
}

struct find_owner {
	const struct machine *m;
	dp_child_id id;
	bool found;
	struct machine *owner;
};

static bool match_child(void *ctx, const struct ike_child_info *info)
{
	struct find_owner *f = ctx;

	f->found |= info->id == f->id;
	return !f->found;
}

static bool match_sa(void *ctx, const struct ike_sa_info *info)
{
	struct find_owner *f = ctx;

	ike_each_child(f->m->ike, f->m->s->now, info, match_child, f);
	if (f->found)
		f->owner = sim_by_name(f->m->s, info->remote_id.data);
	return !f->found;
}

/* Whom the engine takes the other end of this child for. */
static struct machine *owner(const struct machine *m, const struct child_note *n)
{
	struct find_owner f = { .m = m, .id = n->id };

	ike_each_sa_of(m->ike, m->s->now, n->peer, match_sa, &f);
	return f.owner;
}

static void check_pair(struct machine *m, const struct child_note *a)
{
	struct machine *other = a->with;
	const struct child_note *b = other ? note_by_spi(other, a->spi_out) : NULL;

	if (!b || b->spi_out != a->spi_in)
		return; /* not there yet, or not any more */
	if (b->with && b->with != m)
		check_failed(m->s, m, other, "who takes the other end of child %08x for %s",
			     a->spi_in, b->with->name);
	if (a->key_in != b->key_out || a->key_out != b->key_in)
		check_failed(m->s, m, other, "other keys for child %08x", a->spi_in);
	if (a->ts_local != b->ts_remote || a->ts_remote != b->ts_local)
		check_failed(m->s, m, other, "other selectors for child %08x", a->spi_in);
}

void check_child_added(struct machine *m, const struct dp_child *c)
{
	struct child_note *n = note_by_id(m, c->id);

	if (n)
		return; /* it begins to send */
	if (note_by_spi(m, c->spi_in))
		check_failed(m->s, m, NULL, "inbound SPI %08x twice", c->spi_in);
	n = sim_alloc(sizeof(*n));
	n->id = c->id;
	n->peer = c->peer;
	n->spi_in = c->spi_in;
	n->spi_out = c->spi_out;
	n->key_in = key_digest(&c->in);
	n->key_out = key_digest(&c->out) + is_time_for(m->s, SABOTAGE_KEYS);
	n->ts_local = ts_digest(&c->ts_local);
	n->ts_remote = ts_digest(&c->ts_remote);
	map_insert(&m->children, &n->by_id, spread(n->id));
	map_insert(&m->spis, &n->by_spi, spread(n->spi_in));
	n->with = owner(m, n);
	if (n->with && sim_forbidden(m, n->with))
		check_failed(m->s, m, n->with, "they have a tunnel, which a rule forbids");
	m->newest = c->id;
	log_add(m, "installs child with", n->with, n->spi_in, n->id);
	check_pair(m, n);
}

void check_child_gone(struct machine *m, dp_child_id id)
{
	struct child_note *n = note_by_id(m, id);

	if (!n)
		return;
	log_add(m, "removes child with", n->with, n->spi_in, n->id);
	map_remove(&m->children, &n->by_id);
	map_remove(&m->spis, &n->by_spi);
	mem_libc.free(NULL, n);
}

/* ---- packets ------------------------------------------------------------------------------- */

/* What an application of `from` sends comes from a site itself, or from a hub. */
static bool may_forward(const struct machine *sender, const struct machine *from)
{
	return sender == from || sender->hub;
}

void check_accepted(struct machine *m, dp_child_id id, struct payload *p, struct bytes inner)
{
	struct child_note *n = note_by_id(m, id);
	struct machine *from, *to;

	if (!n)
		check_failed(m->s, m, p->from, "a packet came out of a child that is not there");
	if (!n->with)
		n->with = owner(m, n);
	if (is_time_for(m->s, SABOTAGE_FORGE))
		n->with = m;
	if (n->with != p->from)
		check_failed(m->s, m, p->from, "a packet of child %08x is taken for one of %s",
			     n->spi_in, n->with ? n->with->name : "nobody");
	if (p->taken)
		check_failed(m->s, m, p->from, "one ESP packet was accepted twice");
	p->taken = true;
	from = app_sender(m, inner, &to);
	if (from && !may_forward(p->from, from))
		check_failed(m->s, m, p->from, "a packet of %s", from->name);
}

/* ---- black holes --------------------------------------------------------------------------- */

/* From other hubs, or from some sites. */
static bool is_cut_off(const struct machine *hub)
{
	bool is = hub->line.fenced;

	for (unsigned i = 0; i < SEVERED; i++)
		is |= hub->line.severed[i] > 0;
	return is;
}

static bool is_good(const struct machine *m)
{
	return m->ike && !m->leaving && !m->line.deaf && !m->line.mute && !m->line.more_loss &&
	       !m->slow && !m->moving && !m->clock_off && !m->full && !m->slow_disk &&
	       !m->steering && !(m->hub && is_cut_off(m));
}

void check_line(struct machine *m)
{
	bool good = is_good(m);

	if (good == (m->good.ns != MONO_NEVER.ns))
		return;
	m->good = good ? m->s->now.mono : MONO_NEVER;
	if (m->hub)
		m->s->hubs_changed = m->s->now.mono;
}

void check_way(struct machine *m)
{
	m->good = MONO_NEVER;
	check_line(m);
}

static mono_t later(mono_t a, mono_t b)
{
	return mono_before(a, b) ? b : a;
}

static bool is_gone(const struct machine *m)
{
	return !m->ike || (m->line.deaf && m->line.mute);
}

/* Any will do.  Where sites of one hub talk to those of another, each that is there has to be well:
 * what is half there is not left. */
static bool hubs_work(const struct sim *s)
{
	bool any = false;

	for (unsigned i = 0; i < s->sc->hubs; i++) {
		const struct machine *m = &s->machine[i];

		if (m->good.ns != MONO_NEVER.ns)
			any = true;
		else if (sim_hubs_know(s) && !is_gone(m))
			return false;
	}
	return any;
}

/* Since when it and its partner should be able to talk; MONO_NEVER: they should not.  Several hubs
 * without a mesh do not forward to each other: there only a hub can be talked to. */
static mono_t should_work(const struct machine *m)
{
	const struct sim *s = m->s;

	if (!hubs_work(s))
		return MONO_NEVER;
	return later(later(m->good, s->hubs_changed),
		     m->app.partner->hub ? m->good : m->app.partner->good);
}

void check_answered(struct machine *m)
{
	m->app.answered = m->s->now.mono;
}

void check_black_hole(struct machine *m)
{
	mono_t since = should_work(m);

	if (!m->s->sc->traffic.hi || m->s->phase == PHASE_LEAVING || m->s->silent ||
	    since.ns == MONO_NEVER.ns)
		return;
	since = later(later(since, m->app.since), m->app.answered);
	if (mono_since(m->s->now.mono, since).ns > m->s->bound.ns)
		check_failed(m->s, m, m->app.partner,
			     "no answer for %lld s although nothing is wrong",
			     (long long)(mono_since(m->s->now.mono, since).ns / 1000000000));
}
