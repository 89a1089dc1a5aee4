/*
 * conf.h - configurations for tests: words in, `struct ike_conf` out, every field open.
 *
 * test_conf_new() gives an empty configuration with short, round timers; test_conf_peer() appends a
 * counterpart whose fields the test may then change before the engine sees it.  Everything lives in
 * the configuration's arena and goes with the last reference, wherever that is dropped.
 *
 * Pre-shared keys and private keys are numbers, as crypto_fake.h has them.
 */
#pragma once

#include "ike/ike.h"
#include "mesh/mesh.h"

enum {
	TEST_CONF_PEERS = 4,
	TEST_CONF_NETWORKS = 2,
};

struct test_conf {
	struct ike_conf conf; /* first: the engine's view */
	struct ike_peer_conf peer[TEST_CONF_PEERS];
	bool meshed; /* the node has a mesh, with or without networks */
	struct mesh_conf mesh;
	struct mesh_network network[TEST_CONF_NETWORKS];
	struct arena mem;
	struct test_conf *parent; /* of a copy: owns the memory that the copy points into */
};

struct test_conf *test_conf_new(void);

/* A copy with one reference of its own, to be changed and reconfigured to. */
struct test_conf *test_conf_copy(struct test_conf *c);

/* A pre-shared-key counterpart: default proposals, start on LISTEN, dead-peer detection and
 * keepalives off. `address` NULL: it may come from anywhere. */
struct ike_peer_conf *test_conf_peer(struct test_conf *c, ike_peer_id id, const char *name,
				     const char *address, const char *local_id,
				     const char *remote_id, crypto_ref psk);

/* Turns it into a certificate peer: our key `key`, certified by `issuer` for our local identity
 * from a day before to a year after the beginning of the world; theirs must come from `trust`. */
void test_conf_cert(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key, uint32_t issuer,
		    crypto_ref trust);
/* The same with every fact chosen. */
void test_conf_cert_for(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			uint32_t issuer, crypto_ref trust, const char *subject, wall_t from,
			wall_t until);

/* With address blocks, "10.2.0.0/16 2001:db8::/32", ascending; NULL: a certificate without. */
void test_conf_cert_blocks(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			   uint32_t issuer, crypto_ref trust, const char *blocks);

/* The same with dates. */
void test_conf_cert_dates(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			  uint32_t issuer, crypto_ref trust, const char *blocks, wall_t from,
			  wall_t until);

/* The certificate of that key and issuer is revoked; no more than two for a peer. */
void test_conf_revoke(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
		      uint32_t issuer);

/* Several words are separated by blanks: "10.1.0.0/16 10.2.0.0/16". */
struct wire_ts_list test_conf_ts(struct test_conf *c, const char *words);
struct wire_sa test_conf_sa(struct test_conf *c, uint8_t proto, const char *words);
struct policy_ident test_conf_ident(struct test_conf *c, const char *word);
void test_conf_addresses(struct test_conf *c, struct ike_peer_conf *p, const char *words);
struct bytes test_conf_dup(struct test_conf *c, struct bytes b);

/* It gives out these addresses, "10.99.0.0/24 fd00:99::/64", which are kept for a day. */
void test_conf_pool(struct test_conf *c, struct ike_peer_conf *p, const char *words);
/* And these name servers, which resolve these names. */
void test_conf_dns(struct test_conf *c, struct ike_peer_conf *p, const char *servers,
		   const char *domains);

/* The node has a mesh.  Without this, or a network, it has none for all its life. */
void test_conf_meshed(struct test_conf *c);
/*
 * The mesh network of that section, which has its role by now: of MEMBERS a hub's, with capability
 * HUB and reports of flows; of HUB a site's, with capability PARTNER.  Topology dynamic, which
 * suggests at the first packet; idle after 60 s; a pair that failed waits for 10 s, at most 10
 * minutes; a site takes 64 suggestions.
 */
struct mesh_network *test_conf_network(struct test_conf *c, struct ike_peer_conf *p);
/* One more rule of it: for a pair of which one is in `a`, the other in `b`, and NULL is everybody.
 */
void test_conf_rule(struct test_conf *c, struct mesh_network *net, const char *name,
		    const struct mesh_group *a, const struct mesh_group *b, enum mesh_topology t);
/* Whose identity matches one of these patterns, or who has an address in one of these prefixes. */
const struct mesh_group *test_conf_group(struct test_conf *c, const char *name,
					 const char *identities, const char *prefixes);
/* More candidates, as configured. */
void test_conf_candidates(struct test_conf *c, struct mesh_network *net, const char *addresses);

struct ip test_ip(const char *text);
struct endpoint test_endpoint(const char *ip, uint16_t port);
