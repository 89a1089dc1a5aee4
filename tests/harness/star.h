/*
 * star.h - a network: a hub and sites around it.
 *
 *	10.1.0.0/16 -- site-1.example ==\\
 *	               192.0.2.11        hub.example, 192.0.2.1        domain 10.0.0.0/8
 *	10.2.0.0/16 -- site-2.example ==//
 *	               192.0.2.12
 *
 * All have certificates of authority 100: the hub's (key 10) with blocks for the domain, site n's
 * (key 10 + n) with blocks for 10.n.0.0/16.  Everybody calls the network "corp", peer 1.
 */
#pragma once

#include "harness/harness.h"

enum {
	STAR_PEER = 1,
	STAR_CA = 100,
	STAR_HUB_KEY = 10,
	STAR_SITES = 6,
};

struct star {
	struct world *w;
	struct test_conf *ch;
	struct ike_peer_conf *ph; /* the hub's members; changed before star_hub() */
	struct node *hub;
	const char *domain;
	struct mesh_network *net; /* of the hub, before star_hub(); NULL: nobody has a mesh */
	const struct node_provider *provider; /* of all; NULL: the fake one */
};

/* A site before it starts, for the test to change. */
struct star_site {
	unsigned number;
	struct test_conf *c;
	struct ike_peer_conf *p;
	struct mesh_network *net; /* NULL: it has no mesh */
};

void star_init(struct star *s, uint64_t seed);
/* Prepares and starts it. */
void star_hub(struct star *s);
void star_done(struct star *s);

/* blocks, protect: NULL for the usual ones; blocks "-": a certificate without. */
struct star_site star_site(struct star *s, unsigned number, const char *blocks,
			   const char *protect);
struct node *star_start(struct star *s, const struct star_site *site);
/* One that has nothing behind it and asks for inner addresses of both families; for a hub that has
 * star_pool(). */
struct star_site star_endpoint(struct star *s, unsigned number);
/* An ordinary one of these, connected. */
struct node *star_roam(struct star *s, unsigned number);
/* Before star_hub(): the domain is 10.0.0.0/8 and fd00::/8, and inner addresses are of `words`;
 * NULL: of 10.99.0.0/24 and fd00:99::/64. */
void star_pool(struct star *s, const char *words);
/* An ordinary one, connected. */
struct node *star_join(struct star *s, unsigned number);

/* The hub's peer of that name, or 0. */
ike_peer_id star_member(const struct star *s, const char *name);
/* Before star_hub(): the hub and all that come have a mesh, as test_conf_network() has it. */
void star_mesh(struct star *s, enum mesh_topology topology);
/* A site, by its number, is connected: an SA with a child at both ends. */
bool star_is_up(const struct star *s, const struct node *site, unsigned number);
/* From 10.a.0.1 to 10.b.0.1, by the hub. */
bool star_ping(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b);
/* The same, and not by the hub: what the first sends is for the second, and comes out there. */
bool star_ping_direct(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b);
/* Both sites have their tunnel with each other up, and their hub says so as well. */
bool star_is_direct(const struct star *s, const struct node *one, unsigned a,
		    const struct node *other, unsigned b);
/* Two that talk to each other: a packet by the hub, and what follows from it. */
void star_talk(struct star *s, struct node *from, unsigned a, struct node *to, unsigned b);
