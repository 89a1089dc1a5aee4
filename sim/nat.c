/*
 * Boxes that translate addresses (RFC 4787), for UDP: of every kind of mapping and of filtering,
 * that keep ports or do not.  A mapping lives as long as something goes out through it
 * (section 4.3).
 */
#include "check.h"

enum {
	PORTS_FIRST = 1024,
	REMOTES = 8, /* that a mapping remembers to have sent to */
};

/* What of the other end a mapping, or a filter, depends on. */
enum dependence {
	DEPENDS_NOT,
	DEPENDS_ADDRESS,
	DEPENDS_PORT, /* and address */
	DEPENDENCES,
};

struct mapping {
	struct list link;
	struct endpoint inside;
	struct endpoint remote; /* as far as it depends on it */
	uint16_t port;
	mono_t last; /* when something went out */
	struct {
		struct endpoint at;
		mono_t last;
	} sent[REMOTES];
};

struct nat {
	struct place place; /* outside */
	struct ip outside;
	struct sim *s;
	enum dependence mapping, filtering;
	bool keeps_ports;
	dur_t timeout;
	uint16_t next_port;
	unsigned users; /* machines that are inside now */
	struct machine *inside[NAT_SHARE];
	struct list mappings;
	struct list link; /* of all */
};

/* ---- a box --------------------------------------------------------------------------------- */

struct nat *nat_new(struct sim *s, const struct ip *outside, struct dice *d)
{
	struct nat *n = sim_alloc(sizeof(*n));

	n->s = s;
	n->mapping = (enum dependence)dice_below(d, DEPENDENCES);
	n->filtering = (enum dependence)dice_below(d, DEPENDENCES);
	n->keeps_ports = dice_below(d, 2);
	n->timeout.ns = dice_in(d, &s->sc->nat_timeout);
	n->next_port = (uint16_t)(PORTS_FIRST + dice_below(d, 50000));
	n->outside = *outside;
	n->place.nat = n;
	list_init(&n->mappings);
	list_add_tail(&s->nats, &n->link);
	sim_settle(s, &n->place, outside);
	return n;
}

void nat_forget(struct nat *n)
{
	list_for_each_safe(it, &n->mappings) {
		struct mapping *m = CONTAINER_OF(it, struct mapping, link);

		list_del(&m->link);
		mem_libc.free(NULL, m);
	}
	n->next_port = (uint16_t)(n->next_port + 1000);
	for (unsigned i = 0; i < NAT_SHARE; i++)
		if (n->inside[i])
			check_way(n->inside[i]);
}

static void nat_free(struct nat *n)
{
	nat_forget(n);
	sim_unsettle(n->s, &n->place);
	list_del(&n->link);
	mem_libc.free(NULL, n);
}

void nat_free_all(struct sim *s)
{
	while (!list_empty(&s->nats))
		nat_free(CONTAINER_OF(s->nats.next, struct nat, link));
}

bool nat_has_room(const struct nat *n)
{
	return n->users < NAT_SHARE;
}

struct ip nat_enter(struct nat *n, struct machine *m)
{
	unsigned i = 0;

	while (n->inside[i])
		i++;
	n->inside[i] = m;
	n->users++;
	return (struct ip){ 4, { 192, 168, 1, (uint8_t)(2 + i) } };
}

void nat_leave(struct nat *n, struct machine *m)
{
	for (unsigned i = 0; i < NAT_SHARE; i++)
		if (n->inside[i] == m)
			n->inside[i] = NULL;
	if (--n->users == 0)
		nat_free(n);
}

/* ---- mappings ------------------------------------------------------------------------------ */

static struct endpoint as_far_as(enum dependence d, const struct endpoint *remote)
{
	struct endpoint e = { 0 };

	if (d != DEPENDS_NOT)
		e.ip = remote->ip;
	if (d == DEPENDS_PORT)
		e.port = remote->port;
	return e;
}

static bool alive(const struct nat *n, mono_t last)
{
	return mono_since(n->s->now.mono, last).ns < n->timeout.ns;
}

static struct mapping *by_port(const struct nat *n, uint16_t port)
{
	list_for_each(it, &n->mappings) {
		struct mapping *m = CONTAINER_OF(it, struct mapping, link);

		if (m->port == port && alive(n, m->last))
			return m;
	}
	return NULL;
}

static struct mapping *of_flow(const struct nat *n, const struct endpoint *inside,
			       const struct endpoint *remote)
{
	struct endpoint key = as_far_as(n->mapping, remote);

	list_for_each(it, &n->mappings) {
		struct mapping *m = CONTAINER_OF(it, struct mapping, link);

		if (alive(n, m->last) && endpoint_eq(&m->inside, inside) &&
		    endpoint_eq(&m->remote, &key))
			return m;
	}
	return NULL;
}

static uint16_t free_port(struct nat *n, uint16_t wanted)
{
	if (n->keeps_ports && !by_port(n, wanted))
		return wanted;
	do {
		n->next_port =
			n->next_port == UINT16_MAX ? PORTS_FIRST : (uint16_t)(n->next_port + 1);
	} while (by_port(n, n->next_port));
	return n->next_port;
}

static void forget_dead(struct nat *n)
{
	list_for_each_safe(it, &n->mappings) {
		struct mapping *m = CONTAINER_OF(it, struct mapping, link);

		if (alive(n, m->last))
			continue;
		list_del(&m->link);
		mem_libc.free(NULL, m);
	}
}

static struct mapping *mapping_new(struct nat *n, const struct endpoint *inside,
				   const struct endpoint *remote)
{
	struct mapping *m = sim_alloc(sizeof(*m));

	forget_dead(n);
	m->inside = *inside;
	m->remote = as_far_as(n->mapping, remote);
	m->port = free_port(n, inside->port);
	list_add_tail(&n->mappings, &m->link);
	return m;
}

/* The oldest makes way. */
static void note_sent(struct nat *n, struct mapping *m, const struct endpoint *remote)
{
	unsigned at = 0;

	for (unsigned i = 0; i < REMOTES; i++) {
		if (endpoint_eq(&m->sent[i].at, remote)) {
			at = i;
			break;
		}
		if (mono_before(m->sent[i].last, m->sent[at].last))
			at = i;
	}
	m->sent[at].at = *remote;
	m->sent[at].last = m->last = n->s->now.mono;
}

struct endpoint nat_out(struct nat *n, const struct endpoint *inside, const struct endpoint *remote)
{
	struct mapping *m = of_flow(n, inside, remote);

	if (!m)
		m = mapping_new(n, inside, remote);
	note_sent(n, m, remote);
	return (struct endpoint){ n->outside, m->port };
}

static bool may_enter(const struct nat *n, const struct mapping *m, const struct endpoint *remote)
{
	struct endpoint key = as_far_as(n->filtering, remote);

	for (unsigned i = 0; i < REMOTES; i++) {
		struct endpoint have = as_far_as(n->filtering, &m->sent[i].at);

		if (m->sent[i].at.port && alive(n, m->sent[i].last) && endpoint_eq(&have, &key))
			return true;
	}
	return false;
}

struct machine *nat_neighbour(const struct nat *n, const struct ip *ip)
{
	for (unsigned i = 0; i < NAT_SHARE; i++)
		if (n->inside[i] && ip_eq(&n->inside[i]->address, ip))
			return n->inside[i];
	return NULL;
}

/* What a hub sees of either end holds for all others, or what the other end is called from gets
 * in. */
bool nat_may_meet(const struct nat *a, const struct nat *b)
{
	if (!a || !b || a == b)
		return true;
	return a->mapping == DEPENDS_NOT && b->mapping == DEPENDS_NOT;
}

struct machine *nat_in(struct nat *n, const struct endpoint *remote, struct endpoint *dst)
{
	struct mapping *m = by_port(n, dst->port);

	if (!m || !may_enter(n, m, remote))
		return NULL;
	*dst = m->inside;
	return nat_neighbour(n, &dst->ip);
}

bool nat_seen_as(const struct nat *n, const struct endpoint *inside, const struct endpoint *remote,
		 struct endpoint *ret)
{
	const struct mapping *m = of_flow(n, inside, remote);

	if (m)
		*ret = (struct endpoint){ n->outside, m->port };
	return m != NULL;
}
