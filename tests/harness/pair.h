/*
 * pair.h - the two gateways most tests are about.
 *
 *	10.1.0.0/16 -- a.example ==================== b.example -- 10.2.0.0/16
 *	               192.0.2.1, 2001:db8::1         192.0.2.2, 2001:db8::2
 *
 * pair_init() prepares both configurations (pre-shared key 1, each knows the other's IPv4
 * address, both LISTEN) for the test to change; pair_start() makes the engines.  Each calls the
 * other peer 1.
 */
#pragma once

#include "harness/harness.h"

#define PAIR_PEER 1

struct pair {
	struct world *w;
	struct test_conf *ca, *cb;
	struct ike_peer_conf *pa; /* b as a sees it */
	struct ike_peer_conf *pb; /* a as b sees it */
	struct node *a, *b;
};

void pair_init(struct pair *p, uint64_t seed);
/* Certificates in place of the key: CA 100 for both, keys 11 and 12. */
void pair_certs(struct pair *p);
/* a is a site, with blocks for its prefix, and b its hub; domain 10.0.0.0/8. */
void pair_network(struct pair *p);
void pair_ipv6(struct pair *p);
void pair_start(struct pair *p);
/* Only one of them; a script may take the other's place and address. */
void pair_start_a(struct pair *p);
void pair_start_b(struct pair *p);
/* pair_start() and a connects to b. */
void pair_up(struct pair *p);
void pair_done(struct pair *p);

/* One established SA with one child at both ends, the same one, and packets get through both ways.
 */
bool pair_is_up(struct pair *p);
/* Nothing is left: no SA, half-open or not, no child in engine or data plane. */
bool node_is_down(const struct node *n);
bool pair_is_down(struct pair *p);
