#include "harness/conf.h"

#include "crypto/fake/crypto_fake.h"
#include "harness/harness.h"

enum {
	CONF_ARENA = 16 << 20,
	DAY = 86400,
	LIST_MAX = 16,
};

static void conf_free(struct ike_conf *conf)
{
	struct test_conf *c = CONTAINER_OF(conf, struct test_conf, conf);

	if (c->parent)
		ike_conf_unref(&c->parent->conf);
	arena_done(&c->mem);
	mem_libc.free(NULL, c);
}

struct test_conf *test_conf_new(void)
{
	struct test_conf *c = mem_libc.alloc(NULL, sizeof(*c));

	if (!c)
		harness_fail("out of memory");
	arena_init(&c->mem, &mem_libc, CONF_ARENA);
	c->conf = (struct ike_conf){
		.refs = 1,
		.free = conf_free,
		.peers = c->peer,
		.port = 500,
		.nat_port = 4500,
		.retransmit_timeout = dur_s(2),
		.retransmit_tries = 4,
		.half_open_cookie = 16,
		.half_open_puzzle = 32,
		.half_open_max = 64,
		.half_open_prefix = 8,
		.init_rate_cookie = 1000,
		.puzzle_max = 10,
		.puzzle_solve = 12,
		.keys = true,
	};
	c->mesh = (struct mesh_conf){ .ike = &c->conf, .networks = c->network };
	return c;
}

struct test_conf *test_conf_copy(struct test_conf *c)
{
	struct test_conf *copy = test_conf_new();

	memcpy(copy->peer, c->peer, sizeof(c->peer));
	copy->conf = c->conf;
	copy->conf.refs = 1;
	copy->conf.peers = copy->peer;
	memcpy(copy->network, c->network, sizeof(c->network));
	copy->mesh.n_networks = c->mesh.n_networks;
	copy->meshed = c->meshed;
	ike_conf_ref(&c->conf);
	copy->parent = c;
	return copy;
}

static void *take(struct test_conf *c, size_t n)
{
	void *p = arena_new(&c->mem, n ? n : 1);

	if (!p)
		harness_fail("test configuration: arena full");
	return p;
}

struct bytes test_conf_dup(struct test_conf *c, struct bytes b)
{
	uint8_t *p = take(c, b.n);

	if (b.n)
		memcpy(p, b.p, b.n);
	return bytes_of(p, b.n);
}

static const char *dup_str(struct test_conf *c, struct bytes s)
{
	char *p = take(c, s.n + 1);

	memcpy(p, s.p, s.n);
	return p;
}

/* The next blank-separated word of *at, or NULL. */
static const char *next_word(struct test_conf *c, const char **at)
{
	size_t n;
	const char *s = *at + strspn(*at, " ");

	n = strcspn(s, " ");
	*at = s + n;
	return n ? dup_str(c, bytes_of(s, n)) : NULL;
}

struct policy_ident test_conf_ident(struct test_conf *c, const char *word)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct policy_ident id;

	if (policy_ident_parse(&c->mem, word, true, &why, &id) != ST_OK)
		harness_fail("identity %s: %s", word, buf);
	return id;
}

struct wire_ts_list test_conf_ts(struct test_conf *c, const char *words)
{
	struct wire_ts *ts = take(c, WIRE_MAX_TS * sizeof(*ts));
	size_t n = 0;

	for (const char *w; (w = next_word(c, &words));) {
		char buf[256];
		struct text why = TEXT_OF(buf);

		if (n == WIRE_MAX_TS || policy_ts_parse(w, &why, &ts[n++]) != ST_OK)
			harness_fail("selector %s: %s", w, buf);
	}
	return (struct wire_ts_list){ .ts = ts, .n = n };
}

struct wire_sa test_conf_sa(struct test_conf *c, uint8_t proto, const char *words)
{
	struct wire_proposal *p = take(c, WIRE_MAX_PROPOSALS * sizeof(*p));
	size_t n = 0;

	for (const char *w; (w = next_word(c, &words)); n++) {
		char buf[256];
		struct text why = TEXT_OF(buf);

		if (n == WIRE_MAX_PROPOSALS ||
		    policy_proposal_parse(&c->mem, proto, w, &why, &p[n]) != ST_OK)
			harness_fail("proposal %s: %s", w, buf);
		p[n].number = (uint8_t)(n + 1);
	}
	return (struct wire_sa){ p, n };
}

void test_conf_addresses(struct test_conf *c, struct ike_peer_conf *p, const char *words)
{
	const char **list = take(c, 16 * sizeof(*list));
	size_t n = 0;

	for (const char *w; (w = next_word(c, &words)) && n < 16;)
		list[n++] = w;
	p->addresses = list;
	p->n_addresses = n;
}

void test_conf_pool(struct test_conf *c, struct ike_peer_conf *p, const char *words)
{
	struct wire_ts_list ts = test_conf_ts(c, words);
	struct ip_range *r = take(c, ts.n * sizeof(*r));

	for (size_t i = 0; i < ts.n; i++)
		r[i] = (struct ip_range){ ts.ts[i].start, ts.ts[i].end };
	p->pool = r;
	p->n_pool = ts.n;
	p->lease_keep = dur_s(DAY);
}

void test_conf_dns(struct test_conf *c, struct ike_peer_conf *p, const char *servers,
		   const char *domains)
{
	struct ip *dns = take(c, 8 * sizeof(*dns));
	const char **names = take(c, 8 * sizeof(*names));
	size_t n = 0, m = 0;

	for (const char *w; n < 8 && (w = next_word(c, &servers));)
		dns[n++] = test_ip(w);
	for (const char *w; m < 8 && (w = next_word(c, &domains));)
		names[m++] = w;
	p->dns = dns;
	p->n_dns = n;
	p->dns_domains = names;
	p->n_dns_domains = m;
}

struct ike_peer_conf *test_conf_peer(struct test_conf *c, ike_peer_id id, const char *name,
				     const char *address, const char *local_id,
				     const char *remote_id, crypto_ref psk)
{
	struct ike_peer_conf *p;

	if (c->conf.n_peers == TEST_CONF_PEERS)
		harness_fail("too many peers in a test configuration");
	p = &c->peer[c->conf.n_peers++];
	*p = (struct ike_peer_conf){
		.id = id,
		.name = name,
		.port = 500,
		.local_id = test_conf_ident(c, local_id),
		.remote_id = test_conf_ident(c, remote_id),
		.auth = IKE_AUTH_PSK,
		.psk = psk,
		.ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519"),
		.esp = test_conf_sa(c, WIRE_PROTO_ESP, "aes128gcm16-esn"),
		.start = IKE_START_LISTEN,
		.fragmentation = true,
		.silence = true,
		.nats_allowed = true,
		.return_routability = IKE_ROUTABILITY_BEFORE,
		.mtu_probes = true,
		.redirect_wait = dur_s(60),
	};
	if (address)
		test_conf_addresses(c, p, address);
	return p;
}

static void set_cert(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key, crypto_ref trust,
		     struct bytes cert)
{
	uint8_t hash[20] = { 0 };

	store_be32(hash, trust);
	p->auth = IKE_AUTH_CERT;
	p->psk = 0;
	p->key = key;
	p->certs[0] = test_conf_dup(c, cert);
	p->n_certs = 1;
	p->trust = trust;
	p->trust_hashes = test_conf_dup(c, bytes_of(hash, sizeof(hash)));
}

void test_conf_cert_for(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			uint32_t issuer, crypto_ref trust, const char *subject, wall_t from,
			wall_t until)
{
	struct policy_ident id = test_conf_ident(c, subject);
	uint8_t buf[512];
	struct bytes cert;

	if (crypto_fake_cert(key, issuer, id.type, id.data, from, until, buf, sizeof(buf), &cert) !=
	    ST_OK)
		harness_fail("certificate for %s does not fit", subject);
	set_cert(c, p, key, trust, cert);
}

void test_conf_cert(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key, uint32_t issuer,
		    crypto_ref trust)
{
	test_conf_cert_blocks(c, p, key, issuer, trust, NULL);
}

void test_conf_cert_dates(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			  uint32_t issuer, crypto_ref trust, const char *blocks, wall_t from,
			  wall_t until)
{
	struct wire_ts_list ts = test_conf_ts(c, blocks ? blocks : "");
	struct ip_range r[CRYPTO_BLOCKS_MAX];
	const struct policy_ident *id = &p->local_id;
	uint8_t buf[8192];
	struct bytes cert;

	for (size_t i = 0; i < ts.n; i++)
		r[i] = (struct ip_range){ ts.ts[i].start, ts.ts[i].end };
	if (crypto_fake_cert_blocks(key, issuer, id->type, id->data, from, until, blocks ? r : NULL,
				    ts.n, buf, sizeof(buf), &cert) != ST_OK)
		harness_fail("certificate for %s does not fit", p->name);
	set_cert(c, p, key, trust, cert);
}

void test_conf_cert_blocks(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key,
			   uint32_t issuer, crypto_ref trust, const char *blocks)
{
	test_conf_cert_dates(c, p, key, issuer, trust, blocks, (wall_t){ WORLD_WALL - DAY },
			     (wall_t){ WORLD_WALL + 365 * DAY });
}

void test_conf_revoke(struct test_conf *c, struct ike_peer_conf *p, crypto_ref key, uint32_t issuer)
{
	uint8_t(*list)[CRYPTO_REVOCATION_ID] = take(c, 2 * sizeof(*list));

	if (p->n_revoked == 2)
		harness_fail("%s: too many revoked certificates", p->name);
	crypto_fake_revocation_id(key, issuer, list[0]);
	if (p->n_revoked) {
		bool before = memcmp(list[0], p->revoked[0], sizeof(list[0])) < 0;

		if (!before)
			memcpy(list[1], list[0], sizeof(list[0]));
		memcpy(list[before], p->revoked[0], sizeof(list[0]));
	}
	p->revoked = (const void *)list;
	p->n_revoked++;
}

/* ---- meshes -------------------------------------------------------------------------------- */

void test_conf_meshed(struct test_conf *c)
{
	c->meshed = true;
}

struct mesh_network *test_conf_network(struct test_conf *c, struct ike_peer_conf *p)
{
	struct mesh_network *net;
	bool hub = p->role == IKE_ROLE_MEMBERS;

	if (c->mesh.n_networks == TEST_CONF_NETWORKS)
		harness_fail("too many networks in a test configuration");
	if (!hub && p->role != IKE_ROLE_HUB)
		harness_fail("%s is no section of a network", p->name);
	net = &c->network[c->mesh.n_networks++];
	*net = (struct mesh_network){ .name = p->name,
				      .peer = p->id,
				      .topology = MESH_DYNAMIC,
				      .port = c->conf.port,
				      .idle = dur_s(60),
				      .retry = dur_s(10),
				      .retry_max = dur_s(600),
				      .takes = !hub,
				      .max = 64 };
	p->capabilities = hub ? IKE_CAN_HUB | IKE_CAN_ASK : IKE_CAN_PARTNER;
	p->flows = hub;
	c->meshed = true;
	return net;
}

void test_conf_rule(struct test_conf *c, struct mesh_network *net, const char *name,
		    const struct mesh_group *a, const struct mesh_group *b, enum mesh_topology t)
{
	struct mesh_rule *rules = take(c, (net->n_rules + 1) * sizeof(*rules));

	if (net->n_rules)
		memcpy(rules, net->rules, net->n_rules * sizeof(*rules));
	rules[net->n_rules++] = (struct mesh_rule){ name, a, b, t };
	net->rules = rules;
}

const struct mesh_group *test_conf_group(struct test_conf *c, const char *name,
					 const char *identities, const char *prefixes)
{
	struct mesh_group *g = take(c, sizeof(*g));
	struct policy_ident *ids = take(c, LIST_MAX * sizeof(*ids));
	struct prefix *nets = take(c, LIST_MAX * sizeof(*nets));

	*g = (struct mesh_group){ .name = name, .identities = ids, .networks = nets };
	for (const char *w; g->n_identities < LIST_MAX && (w = next_word(c, &identities));)
		ids[g->n_identities++] = test_conf_ident(c, w);
	for (const char *w; g->n_networks < LIST_MAX && (w = next_word(c, &prefixes));)
		if (prefix_parse(w, &nets[g->n_networks++]) != ST_OK)
			harness_fail("not a prefix: %s", w);
	return g;
}

void test_conf_candidates(struct test_conf *c, struct mesh_network *net, const char *addresses)
{
	struct ip *list = take(c, LIST_MAX * sizeof(*list));
	size_t n = 0;

	for (const char *w; n < LIST_MAX && (w = next_word(c, &addresses));)
		list[n++] = test_ip(w);
	net->candidates = list;
	net->n_candidates = n;
}

struct ip test_ip(const char *text)
{
	struct ip ip;

	if (ip_parse(text, &ip) != ST_OK)
		harness_fail("not an address: %s", text);
	return ip;
}

struct endpoint test_endpoint(const char *ip, uint16_t port)
{
	return (struct endpoint){ test_ip(ip), port };
}
