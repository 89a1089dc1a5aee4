/* Lines: what one machine sends reaches another, later, twice, or not at all. */
#include "check.h"

enum {
	LATE_MAX_MS = 80, /* what is reordered is so much later, at most */
	HUB_RATE = 1250000000,
	HEADERS = 28, /* IP and UDP */
};

void line_init(struct line *l, const struct sim *s, unsigned index)
{
	const struct scenario *sc = s->sc;

	l->dice = dice_of(s->seed, 1, index);
	if (index < sc->hubs) {
		l->delay.ns = sc->hub_delay.lo == sc->hub_delay.hi
				      ? sc->hub_delay.lo
				      : dice_in(&l->dice, &sc->hub_delay);
		l->rate = HUB_RATE;
		return;
	}
	l->delay.ns = dice_in(&l->dice, &sc->delay);
	l->jitter.ns = dice_in(&l->dice, &sc->jitter);
	l->loss = dice_in(&l->dice, &sc->loss);
	l->duplicates = dice_in(&l->dice, &sc->duplicates);
	l->reordering = dice_in(&l->dice, &sc->reordering);
	l->rate = dice_in(&l->dice, &sc->bandwidth);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static struct payload *payload_new(struct machine *from, bool marker, bool esp, struct bytes data)
{
	size_t head = marker ? 4 : 0;
	struct payload *p = sim_alloc(sizeof(*p) + head + data.n);

	p->refs = 1;
	p->from = from;
	p->sent = from->s->now.mono;
	p->esp = esp;
	p->probe = !esp && data.n > 18 && data.p[18] == SIM_PROBE;
	p->meshed = p->probe || (!esp && data.n > 18 && data.p[18] == WIRE_SHORTCUT);
	p->n = head + data.n;
	if (data.n)
		memcpy(p->data + head, data.p, data.n);
	return p;
}

static void payload_unref(struct payload *p)
{
	if (--p->refs == 0)
		mem_libc.free(NULL, p);
}

static void datagram_free(struct datagram *d)
{
	list_del(&d->link);
	payload_unref(d->payload);
	mem_libc.free(NULL, d);
}

static void post(struct sim *s, const struct endpoint *src, const struct endpoint *dst,
		 struct payload *p, mono_t at)
{
	struct datagram *d = sim_alloc(sizeof(*d));

	d->timer.kind = T_DATAGRAM;
	d->src = *src;
	d->dst = *dst;
	d->payload = p;
	p->refs++;
	list_add_tail(&s->datagrams, &d->link);
	heap_arm(&s->timers, &d->timer, at);
}

/* ---- a line -------------------------------------------------------------------------------- */

/* When it is through a queue that is empty at `*free`; false: it does not fit. */
static bool pass_queue(const struct sim *s, mono_t *free, int64_t rate, size_t n, mono_t *at)
{
	mono_t begin = mono_before(*at, *free) ? *free : *at;

	if (mono_since(begin, *at).ns > s->sc->queue.ns)
		return false;
	*free = *at = mono_add(begin, (dur_t){ (int64_t)(n + HEADERS) * 1000000000 / rate });
	return true;
}

/* One way along a line, up or down. */
static bool pass(const struct sim *s, struct line *l, bool up, size_t n, mono_t *at)
{
	const struct range jitter = { 0, l->jitter.ns };
	const struct range late = { 0, (int64_t)LATE_MAX_MS * 1000000 };

	if (up ? l->mute : l->deaf)
		return false;
	if (!pass_queue(s, up ? &l->up_free : &l->down_free, l->rate, n, at))
		return false;
	if (dice_ppm(&l->dice, l->loss) || dice_ppm(&l->dice, l->more_loss))
		return false;
	*at = mono_add(*at, l->delay);
	*at = mono_add(*at, (dur_t){ dice_in(&l->dice, &jitter) });
	if (dice_ppm(&l->dice, l->reordering))
		*at = mono_add(*at, (dur_t){ dice_in(&l->dice, &late) });
	return true;
}

/* Whose line leads there: a site's, or the box's in front of it, or a neighbour's behind one. */
static struct machine *owner(const struct sim *s, const struct datagram *d, struct endpoint *dst)
{
	const struct place *p = sim_place(s, &dst->ip);
	const struct nat *near = d->payload->from->nat;

	if (!p)
		return near ? nat_neighbour(near, &dst->ip) : NULL;
	return p->machine ? p->machine : nat_in(p->nat, &d->src, dst);
}

bool net_is_hub(const struct ip *ip)
{
	static const uint8_t net[3] = { 192, 0, 2 };

	return ip->family == 4 && memcmp(ip->b, net, sizeof(net)) == 0;
}

/* A fence is between a site and other sites, or between a hub and other hubs. */
static bool is_fenced(const struct machine *from, const struct endpoint *dst)
{
	return from->line.fenced && from->hub == net_is_hub(&dst->ip);
}

static bool is_severed(const struct machine *a, const struct machine *b)
{
	const struct machine *hub = a->hub ? a : b, *site = a->hub ? b : a;

	for (unsigned i = 0; a->hub != b->hub && i < SEVERED; i++)
		if (hub->line.severed[i] && site->number % (i + 1) == 0)
			return true;
	return false;
}

static bool is_apart(const struct machine *from, const struct machine *to)
{
	return (to->line.fenced && from->hub == to->hub) || is_severed(from, to);
}

/* Up the line of who sends. */
static void carry(struct sim *s, const struct endpoint *src, const struct endpoint *dst,
		  struct payload *p)
{
	struct line *l = &p->from->line;
	bool disturbed = p->meshed && s->phase == PHASE_FAULTS;
	mono_t at = s->now.mono;

	if (is_fenced(p->from, dst) || !pass(s, l, true, p->n, &at) ||
	    (disturbed && dice_ppm(&l->dice, s->sc->words_lost))) {
		s->counts.lost++;
		return;
	}
	if (disturbed && !p->probe && s->sc->words_late.hi)
		at = mono_add(at, (dur_t){ dice_in(&l->dice, &s->sc->words_late) });
	post(s, src, dst, p, at);
}

void net_send(struct machine *from, const struct endpoint *src, const struct endpoint *dst,
	      bool marker, bool esp, struct bytes data)
{
	struct sim *s = from->s;
	struct payload *p = payload_new(from, marker, esp, data);
	bool leaves = from->nat && !nat_neighbour(from->nat, &dst->ip);
	struct endpoint outside = leaves ? nat_out(from->nat, src, dst) : *src;

	s->counts.datagrams++;
	s->counts.bytes += p->n + HEADERS;
	s->counts.esp += esp;
	from->load.datagrams_out++;
	from->load.bytes_out += p->n;
	if (app_readable(bytes_of(p->data, p->n)))
		check_failed(s, from, NULL, "something of an application leaves in clear");
	carry(s, &outside, dst, p);
	if (dice_ppm(&from->line.dice, from->line.duplicates))
		carry(s, &outside, dst, p);
	if (p->meshed && s->phase == PHASE_FAULTS && dice_ppm(&from->line.dice, s->sc->words_twice))
		carry(s, &outside, dst, p);
	payload_unref(p);
}

/* The host's demultiplexing (RFC 3948 section 2.2); one byte alone is a keepalive. */
static void deliver(struct machine *to, const struct endpoint *dst, const struct endpoint *src,
		    struct payload *p)
{
	struct bytes data = bytes_of(p->data, p->n);

	to->load.datagrams_in++;
	to->load.bytes_in += p->n;
	if (dst->port == to->conf->conf.port)
		machine_input(to, dst, src, data);
	else if (dst->port != to->conf->conf.nat_port)
		return;
	else if (p->esp)
		plane_input(to, dst, src, p);
	else if (p->n > 4)
		machine_input(to, dst, src, bytes_of(data.p + 4, data.n - 4));
}

/* Down the line of who receives; queues are passed in the order of arrival. */
static bool goes_down(struct sim *s, struct datagram *d)
{
	struct endpoint dst = d->dst;
	struct machine *to = owner(s, d, &dst);
	mono_t at = s->now.mono;

	if (!to || d->payload->from->line.mute || is_apart(d->payload->from, to) ||
	    !pass(s, &to->line, false, d->payload->n, &at))
		return false;
	d->down = true;
	heap_arm(&s->timers, &d->timer, at);
	return true;
}

void net_arrive(struct datagram *d)
{
	struct payload *p = d->payload;
	struct sim *s = p->from->s;
	struct endpoint dst = d->dst;
	struct machine *to;

	if (!d->down && goes_down(s, d))
		return;
	to = d->down ? owner(s, d, &dst) : NULL;
	if (to && to->ike && !to->line.deaf)
		deliver(to, &dst, &d->src, p);
	else
		s->counts.lost++;
	datagram_free(d);
}

void net_free(struct sim *s)
{
	list_for_each_safe(it, &s->datagrams) {
		struct datagram *d = CONTAINER_OF(it, struct datagram, link);

		heap_disarm(&s->timers, &d->timer);
		datagram_free(d);
	}
}
