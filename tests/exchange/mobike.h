/*
 * mobike.h - two ends that move, one trip of a datagram at a time.
 *
 *	a, who called			b, who was called
 *	192.0.2.1, 2001:db8::1		192.0.2.2, 2001:db8::2
 *
 * A trip takes 20 ms of virtual time.  "Flows" means that a packet which enters the tunnel at that
 * moment comes out at the other end.
 */
#pragma once

#include "exchange/exchange.h"

#define HOME "192.0.2.1"
#define HOME6 "2001:db8::1"
#define AWAY "198.51.100.7"
#define AWAY6 "2001:db8:7::7"

enum { TRIP_MS = 20 };

static inline bool flows_out(struct pair *p)
{
	return world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1");
}

static inline bool flows_back(struct pair *p)
{
	return world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1");
}

static inline bool flows(struct pair *p)
{
	return flows_out(p) && flows_back(p);
}

/* All that is under way arrives; what that leads to is under way then. */
static inline void trip(struct world *w)
{
	size_t n = world_packets(w);

	world_advance(w, dur_ms(TRIP_MS));
	while (n--)
		world_deliver(w, world_packet(w, 0));
}

static inline void mobike(struct pair *p, enum ike_routability rr)
{
	p->pa->mobike = p->pb->mobike = true;
	p->pa->return_routability = p->pb->return_routability = rr;
	p->ca->conf.force_encap = p->cb->conf.force_encap = true;
}

static inline void up(struct pair *p)
{
	pair_start(p);
	node_moves(p->a, HOME, HOME6);
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	connect(p->a);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Both ends agree about where each of them is, and the data planes with them. */
static inline void is_between(struct pair *p, const char *a, const char *b)
{
	struct ip ia = test_ip(a), ib = test_ip(b);
	struct node_sa sa = node_sa(p->a), sb = node_sa(p->b);

	assert_true(ip_eq(&sa.info.local.ip, &ia));
	assert_true(ip_eq(&sa.info.remote.ip, &ib));
	assert_true(ip_eq(&sb.info.remote.ip, &ia));
	assert_true(ip_eq(&sb.info.local.ip, &ib));
	assert_false(sa.info.checking || sb.info.checking);
	for (size_t i = 0; i < p->a->n_children; i++)
		assert_true(endpoint_eq(&p->a->child[i].child.local, &sa.info.local) &&
			    endpoint_eq(&p->a->child[i].child.remote, &sa.info.remote));
	for (size_t i = 0; i < p->b->n_children; i++)
		assert_true(endpoint_eq(&p->b->child[i].child.local, &sb.info.local) &&
			    endpoint_eq(&p->b->child[i].child.remote, &sb.info.remote));
}
