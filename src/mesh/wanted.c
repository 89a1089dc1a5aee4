/*
 * wanted.c - what must go directly or not at all (`direct` of the section), and has no tunnel: the
 * hub, which sees nothing of it, is asked for a suggestion (docs/protocol/shortcut.md section 5.3).
 *
 * The data plane says what it refused (NOT_DIRECT), again and again as long as there is traffic:
 * there is no timer here, and what nobody sends any more is asked for no more.  An address of the
 * other end is asked for at once, and once more every MESH_ASK_MS until there is a suggestion, so
 * that the hub sees traffic that lasts as if it came there; after a refusal, after pauses that
 * double.  All together are asked for at a bounded rate; of more than MESH_WANTED the one that was
 * seen longest ago is forgotten.
 *
 * What comes in by a hub is refused as well.  The hub has seen it, and whose it is: nobody need be
 * asked, so that is an event and nothing else.
 */
#include "mesh/site.h"

#include <stdarg.h>
#include <stdio.h>

static mono_t now_of(const struct site *s)
{
	return s->net->m->now.mono;
}

/* ---- for people ---------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say_wanted(const struct wanted *w,
							     const char *fmt, ...)
{
	struct site *s = w->site;
	char buf[2 * MESH_WHY], far[IP_TEXT_MAX];
	va_list ap;

	if (!pace(&s->wanted_told, now_of(s), dur_ms(1000), MESH_WANTED_TOLD))
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	mesh_event(s->net->m, IKE_EV_NOT_DIRECT,
		   (struct mesh_about){ .peer = w->hub,
					.peer_name = s->net->section->name,
					.reason = IKE_R_POLICY },
		   "%s %s must not be relayed: %s", w->in ? "from" : "to", ip_text(&w->far, far),
		   buf);
}

/* ---- the table ----------------------------------------------------------------------------- */

static struct wanted *wanted_find(const struct site *s, const struct ip *far, bool in)
{
	list_for_each(n, &s->wanted) {
		struct wanted *w = CONTAINER_OF(n, struct wanted, node);

		if (w->in == in && ip_eq(&w->far, far))
			return w;
	}
	return NULL;
}

static struct wanted *by_number(const struct site *s, uint64_t number)
{
	list_for_each(n, &s->wanted) {
		struct wanted *w = CONTAINER_OF(n, struct wanted, node);

		if (w->number == number)
			return w;
	}
	return NULL;
}

static void wanted_free(struct wanted *w)
{
	list_del(&w->node);
	w->site->n_wanted--;
	mem_free(w->site->net->m->mem, w);
}

void site_wanted_free(struct site *s)
{
	list_for_each_safe(n, &s->wanted)
		wanted_free(CONTAINER_OF(n, struct wanted, node));
}

static struct wanted *wanted_new(struct site *s, const struct ip *far, bool in)
{
	struct wanted *w = mem_new(s->net->m->mem, sizeof(*w));

	if (!w) {
		count(s->net->m, M_NO_MEMORY);
		return NULL;
	}
	if (s->n_wanted == MESH_WANTED)
		wanted_free(CONTAINER_OF(s->wanted.next, struct wanted, node));
	w->site = s;
	w->number = ++s->last_wanted;
	w->far = *far;
	w->in = in;
	w->since = w->next = now_of(s);
	list_add_tail(&s->wanted, &w->node);
	s->n_wanted++;
	return w;
}

/* What nobody has sent for so long is another matter when it comes again.  Those seen longest ago
 * come first. */
static void forget_old(struct site *s)
{
	list_for_each_safe(n, &s->wanted) {
		struct wanted *w = CONTAINER_OF(n, struct wanted, node);

		if (mono_since(now_of(s), w->seen).ns < dur_s(MESH_WANTED_S).ns)
			return;
		wanted_free(w);
	}
}

static struct wanted *wanted_get(struct site *s, const struct ip *far, bool in, bool *ret_new)
{
	struct wanted *w;

	forget_old(s);
	w = wanted_find(s, far, in);
	*ret_new = !w;
	if (!w)
		w = wanted_new(s, far, in);
	if (!w)
		return NULL;
	w->seen = now_of(s);
	list_del(&w->node);
	list_add_tail(&s->wanted, &w->node);
	return w;
}

/* ---- what the hub says --------------------------------------------------------------------- */

static void wait_ms(struct wanted *w, int64_t ms)
{
	w->next = mono_add(now_of(w->site), dur_ms(ms));
}

/* By the hub, or because it cannot be asked: not for a while, twice as long each time. */
static void refused(struct wanted *w, uint16_t reason, struct bytes text)
{
	const char *name = wire_mesh_reason_name(reason);
	bool same = w->reason == reason;
	struct text t = TEXT_OF(w->text);

	w->reason = reason;
	text_quote(&t, text);
	w->backoff_ms = w->backoff_ms ? 2 * w->backoff_ms : MESH_ASK_REFUSED_MS;
	if (w->backoff_ms > MESH_ASK_REFUSED_MAX_MS)
		w->backoff_ms = MESH_ASK_REFUSED_MAX_MS;
	wait_ms(w, w->backoff_ms);
	count(w->site->net->m, M_ASK_REFUSED);
	if (!same)
		say_wanted(w, "no direct tunnel: %s (%s)", name ? name : "refused", w->text);
}

static void answered(struct mesh *m, const struct ask *a, uint16_t notify,
		     const struct wire_mesh *answer)
{
	struct wanted *w = by_number(a->net->site, a->about[0]);

	(void)m;
	if (!w)
		return;
	w->asked = false;
	if (answer && notify == WIRE_N_SHORTCUT_REFUSED) {
		refused(w, answer->reason, answer->text);
		return;
	}
	if (answer) {
		w->reason = 0;
		w->backoff_ms = 0;
	}
	wait_ms(w, MESH_ASK_MS);
}

/* ---- asking -------------------------------------------------------------------------------- */

struct newest {
	ike_sa_id id;
	bool asks;
};

static bool look_at_sa(void *ctx, const struct ike_sa_info *info)
{
	struct newest *n = ctx;

	if (info->established && info->id >= n->id)
		*n = (struct newest){ info->id, info->capabilities & IKE_CAN_ASK };
	return true;
}

static bool can_be_asked(const struct site *s, ike_peer_id hub)
{
	struct newest n = { 0 };

	ike_each_sa_of(s->net->m->ike, s->net->m->now, hub, look_at_sa, &n);
	return n.asks;
}

static enum status say_ask(struct wanted *w)
{
	struct network *net = w->site->net;
	const struct wire_ts ts = { .port_end = 65535, .start = w->far, .end = w->far };
	const struct wire_mesh word = {
		.present = WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(TS_REMOTE),
		.context = bytes_str(net->conf->name),
		.ts_remote = { { IKE_AUTHORITY_CERT, { &ts, 1, 0 } } },
		.n_ts_remote = 1,
	};

	return say(net, w->hub, WIRE_N_SHORTCUT_ASK, &word, answered, w->number, 0);
}

/* A suggestion was taken that leads there: it is up, or on its way.  In the place of one that is
 * suspect another is taken. */
static bool under_way(const struct site *s, const struct ip *far)
{
	list_for_each(n, &s->live) {
		const struct shortcut *c = CONTAINER_OF(n, const struct shortcut, node);

		if (!c->suspect && policy_ts_match(&c->ts_remote, far, 0, 0))
			return true;
	}
	return false;
}

static void ask(struct wanted *w)
{
	struct site *s = w->site;
	struct mesh *m = s->net->m;

	if (w->asked || mono_before(now_of(s), w->next) || under_way(s, &w->far))
		return;
	if (!s->net->conf->takes) {
		refused(w, WIRE_MR_POLICY, bytes_str("shortcuts = no, here"));
	} else if (!can_be_asked(s, w->hub)) {
		refused(w, WIRE_MR_NOT_A_HUB, bytes_str("this hub cannot be asked for one"));
	} else if (!pace(&s->asks, now_of(s), dur_ms(1000 / MESH_ASKS_PER_S), MESH_ASKS)) {
		count(m, M_ASKS_LIMITED);
	} else if (say_ask(w) == ST_OK) {
		count(m, M_ASKED_FOR);
		w->asked = true;
	} else {
		wait_ms(w, MESH_ASK_MS);
	}
}

void site_not_direct(struct network *net, const struct dp_report *r)
{
	struct site *s = net->site;
	bool in = r->u.not_direct.in, fresh;
	struct wanted *w =
		wanted_get(s, in ? &r->u.not_direct.src : &r->u.not_direct.dst, in, &fresh);
	char near[IP_TEXT_MAX];

	if (!w)
		return;
	w->hub = r->u.not_direct.peer;
	if (in && fresh)
		say_wanted(w, "dropped, it was for %s", ip_text(&r->u.not_direct.dst, near));
	if (in)
		return;
	if (fresh)
		say_wanted(w, "%s asks for a direct tunnel", ip_text(&r->u.not_direct.src, near));
	ask(w);
}

void site_ask_anew(struct site *s)
{
	list_for_each(n, &s->wanted) {
		struct wanted *w = CONTAINER_OF(n, struct wanted, node);

		w->next = now_of(s);
		w->backoff_ms = 0;
	}
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static const char *state_of(const struct wanted *w)
{
	if (w->in)
		return "refused";
	if (under_way(w->site, &w->far))
		return "suggested";
	if (w->reason)
		return "no tunnel";
	return w->asked ? "asking" : "asked";
}

static bool show(const struct wanted *w, struct now now, mesh_wanted_fn *fn, void *ctx)
{
	const struct mesh_wanted_info info = {
		.network = w->site->net->conf,
		.hub = w->hub,
		.far = w->far,
		.in = w->in,
		.state = state_of(w),
		.age = mono_since(now.mono, w->since),
		.seen = mono_since(now.mono, w->seen),
		.reason = w->reason,
		.text = w->text,
		.retry_in = w->reason ? mono_since(w->next, now.mono) : (dur_t){ -1 },
	};

	return fn(ctx, &info);
}

void mesh_each_wanted(const struct mesh *m, struct now now, mesh_wanted_fn *fn, void *ctx)
{
	list_for_each(n, &m->networks) {
		const struct site *s = CONTAINER_OF(n, const struct network, node)->site;

		if (!s)
			continue;
		list_for_each(k, &s->wanted) {
			const struct wanted *w = CONTAINER_OF(k, const struct wanted, node);

			if (mono_since(now.mono, w->seen).ns < dur_s(MESH_WANTED_S).ns &&
			    !show(w, now, fn, ctx))
				return;
		}
	}
}
