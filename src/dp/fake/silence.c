/* Traffic that nobody answers, and such that ends, by the clock of the test: dp.h's words, and
 * nothing clever. */
#include "dp/fake/internal.h"

static bool has_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct fake_peer, by_id)->id == *(const dp_peer_id *)key;
}

static uint64_t id_hash(const struct fake *f, dp_peer_id id)
{
	return map_hash(&f->peer_by_id, bytes_of(&id, sizeof(id)));
}

struct fake_peer *fake_peer_find(const struct fake *f, dp_peer_id id)
{
	struct map_node *n = map_find(&f->peer_by_id, id_hash(f, id), has_id, &id);

	return n ? CONTAINER_OF(n, struct fake_peer, by_id) : NULL;
}

struct fake_peer *fake_peer_ref(struct fake *f, dp_peer_id id)
{
	struct fake_peer *p = fake_peer_find(f, id);

	if (!p) {
		p = mem_new(f->mem, sizeof(*p));
		if (!p)
			return NULL;
		p->id = id;
		list_init(&p->refused);
		p->sent = p->heard = f->now;
		p->answers_until = f->now;
		list_init(&p->senders);
		list_init(&p->given);
		list_add_tail(&f->peers, &p->node);
		map_insert(&f->peer_by_id, &p->by_id, id_hash(f, id));
	}
	p->refs++;
	return p;
}

void fake_peer_unref(struct fake *f, struct fake_peer *p)
{
	if (!p || --p->refs)
		return;
	map_remove(&f->peer_by_id, &p->by_id);
	list_del(&p->node);
	fake_empty(f, &p->refused);
	mem_free(f->mem, p);
}

void fake_peer_sent(struct fake *f, const struct fake_child *c)
{
	struct fake_peer *p = c->peer;

	p->sent = f->now;
	p->child = c->c.id;
	if (p->asked || mono_before(f->now, p->answers_until) || mono_before(f->now, p->not_before))
		return;
	p->asked = true;
	p->since = f->now;
}

void fake_peer_heard(struct fake *f, const struct fake_child *c, bool traffic)
{
	struct fake_peer *p = c->peer;

	p->heard = p->not_before = f->now;
	p->answers_until = mono_add(f->now, dur_ms(DP_ANSWER_MS));
	p->asked = false;
	p->reports = 0;
	p->heard_on = c->c.id;
	if (!traffic || !p->ceases || p->flows || mono_before(f->now, p->flows_not_before))
		return;
	p->flows = true;
	p->flows_since = f->now;
}

static mono_t silent_due(const struct fake_peer *p)
{
	return p->asked ? mono_add(p->since, dur_ms(DP_SILENCE_MS)) : MONO_NEVER;
}

static mono_t ceased_due(const struct fake_peer *p)
{
	return p->flows ? mono_add(p->heard, dur_ms(DP_CEASED_MS)) : MONO_NEVER;
}

static dur_t pause_after(int64_t s, unsigned reports)
{
	for (unsigned i = 1; i < reports && s < DP_SILENCE_MAX_S; i++)
		s *= 2;
	return dur_s(s < DP_SILENCE_MAX_S ? s : DP_SILENCE_MAX_S);
}

static void look_for_end(struct fake *f, struct fake_peer *p)
{
	const struct dp_report r = { .kind = DP_REPORT_CEASED, .u.silent = { p->heard_on } };

	if (mono_before(f->now, ceased_due(p)) || !fake_push_report(f, &r))
		return;
	p->flows = false;
	if (p->ends &&
	    mono_since(p->heard, p->flows_since).ns >= pause_after(DP_CEASED_MIN_S, p->ends).ns)
		p->ends = 0;
	p->flows_not_before = mono_add(f->now, pause_after(DP_CEASED_MIN_S, ++p->ends));
}

static void look_for_silence(struct fake *f, struct fake_peer *p)
{
	const struct dp_report r = { .kind = DP_REPORT_SILENT, .u.silent = { p->child } };

	if (mono_before(f->now, silent_due(p)) || !fake_push_report(f, &r))
		return;
	p->asked = false;
	p->not_before = mono_add(f->now, pause_after(1, ++p->reports));
}

void dp_fake_time(struct dp *dp, mono_t now)
{
	fake_of(dp)->now = now;
}

void dp_fake_look(struct dp *dp)
{
	struct fake *f = fake_of(dp);

	list_for_each(n, &f->peers) {
		struct fake_peer *p = CONTAINER_OF(n, struct fake_peer, node);

		look_for_silence(f, p);
		look_for_end(f, p);
	}
}

mono_t dp_fake_deadline(const struct dp *dp)
{
	mono_t next = MONO_NEVER;

	list_for_each(n, &fake_of(dp)->peers) {
		const struct fake_peer *p = CONTAINER_OF(n, const struct fake_peer, node);

		next = mono_min(next, mono_min(silent_due(p), ceased_due(p)));
	}
	return next;
}
