/*
 * members_sites.c - what each member is: key, certificate, configuration.
 *
 * Certificates are made by the code of `warren pki` (pki/internal.h), below the authority in a
 * directory that it made, so that a hub takes these sites for what they claim to be.  They are not
 * entered in the authority's index, which is replaced as a whole for each certificate: thousands
 * in a row would take longer than everything that is measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/members.h"
#include "pki/internal.h"

enum { VALID_DAYS = 7 };

struct authority {
	X509 *cert;
	struct pki_key *key;
	struct pki_blob pem;
	char organisation[PKI_ID_MAX + 1];
};

/* ---- the authority ------------------------------------------------------------------------- */

static struct pki_blob read_file(const char *dir, const char *name)
{
	char path[4096], buf[256];
	struct text why = TEXT_OF(buf);
	struct pki_blob b;

	CROWD_NEED(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
	if (pki_file_read(path, PKI_FILE_MAX, &why, &b))
		crowd_fail("%s: %s", path, buf);
	return b;
}

static void open_authority(const char *dir, struct authority *ret)
{
	struct pki_blob key = read_file(dir, "ca.key");
	char buf[256];
	struct text why = TEXT_OF(buf);

	ret->pem = read_file(dir, "ca.pem");
	if (x509_of_pem(pki_blob_bytes(&ret->pem), &why, &ret->cert) ||
	    pki_key_read(pki_blob_bytes(&key), &why, &ret->key))
		crowd_fail("%s: %s", dir, buf);
	CROWD_NEED(x509_name_part(X509_get_subject_name(ret->cert), NID_organizationName,
				  ret->organisation, sizeof(ret->organisation)));
	pki_blob_done(&key);
}

static void close_authority(struct authority *a)
{
	pki_blob_done(&a->pem);
	pki_key_free(a->key);
	X509_free(a->cert);
}

/* ---- a site -------------------------------------------------------------------------------- */

static struct prefix block_of(size_t i)
{
	struct ip ip = { .family = 4 };

	store_be32(ip.b, 0x0a000000u + (uint32_t)i * (1u << (32 - MEMBER_PREFIX_LEN)));
	return prefix_of(&ip, MEMBER_PREFIX_LEN);
}

static void name_member(struct member *m, size_t i)
{
	struct prefix block = block_of(i);

	snprintf(m->name, sizeof(m->name), "s%05zu.load.example", i);
	m->address = m->name;
	m->outer.family = 4;
	store_be32(m->outer.b, 0xc6120001u + (uint32_t)i);
	m->inner = ip_next(&block.ip);
}

static X509 *make_cert(const struct authority *ca, const struct pki_id *id, size_t i,
		       struct pki_key *key)
{
	struct prefix prefix = block_of(i);
	uint8_t serial[CERT_SERIAL];
	struct pki_blocks blocks;
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct cert_plan plan = { .organisation = ca->organisation,
				  .common_name = id->text,
				  .id = id,
				  .blocks = &blocks,
				  .serial = BYTES_OF(serial),
				  .not_before = { time(NULL) - CERT_SKEW },
				  .not_after = { time(NULL) + VALID_DAYS * CERT_DAY },
				  .key = key->pkey,
				  .issuer = ca->cert,
				  .issuer_key = ca->key->pkey };
	X509 *cert;

	CROWD_NEED(pki_blocks_of_prefixes(&prefix, 1, &blocks) == ST_OK);
	if (cert_serial(serial, &why) || cert_make(&plan, &why, &cert))
		crowd_fail("%s", buf);
	return cert;
}

static void put_key(struct crowd *c, const struct pki_key *key, const char *name,
		    struct ike_peer_conf *p)
{
	struct pki_blob pem;
	char buf[256];
	struct text why = TEXT_OF(buf);

	CROWD_NEED(pki_key_pem(key, &pem) == ST_OK);
	if (crypto_store_add_key(c->store, &(struct crypto_file){ name, pki_blob_bytes(&pem) },
				 &why, &p->key))
		crowd_fail("%s", buf);
	pki_blob_done(&pem);
}

static void put_credentials(struct crowd *c, const struct authority *ca, size_t i,
			    struct ike_peer_conf *p)
{
	struct pki_key *key;
	struct pki_blob der;
	struct pki_id id;
	char buf[256];
	struct text why = TEXT_OF(buf);
	X509 *cert;

	if (pki_id_parse(c->members[i].name, &why, &id) || pki_key_new(NULL, &why, &key))
		crowd_fail("%s", buf);
	cert = make_cert(ca, &id, i, key);
	if (x509_to_der(cert, &why, &der))
		crowd_fail("%s", buf);
	put_key(c, key, c->members[i].name, p);
	CROWD_NEED(arena_dup(&c->text, pki_blob_bytes(&der), &p->certs[0]) == ST_OK);
	p->n_certs = 1;
	pki_blob_done(&der);
	X509_free(cert);
	pki_key_free(key);
}

/* ---- configuration ------------------------------------------------------------------------- */

static struct policy_ident identity(struct crowd *c, const char *name)
{
	struct policy_ident id;
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (policy_ident_parse(&c->text, name, false, &why, &id))
		crowd_fail("%s: %s", name, buf);
	return id;
}

static struct wire_ts_list selectors(struct crowd *c, const char *const *words, size_t n)
{
	struct wire_ts *ts = arena_new(&c->text, n * sizeof(*ts));
	char buf[256];
	struct text why = TEXT_OF(buf);

	CROWD_NEED(ts);
	for (size_t i = 0; i < n; i++)
		if (policy_ts_parse(words[i], &why, &ts[i]))
			crowd_fail("%s: %s", words[i], buf);
	return (struct wire_ts_list){ .ts = ts, .n = n };
}

static struct wire_sa proposal(struct crowd *c, uint8_t proto, const char *words)
{
	struct wire_proposal *p = arena_new(&c->text, sizeof(*p));
	char buf[256];
	struct text why = TEXT_OF(buf);

	CROWD_NEED(p);
	if (policy_proposal_parse(&c->text, proto, words, &why, p))
		crowd_fail("%s: %s", words, buf);
	return (struct wire_sa){ p, 1 };
}

/* What all members have in common: that of a site's five-line file, and its defaults. */
static void common_conf(struct crowd *c, const struct authority *ca, struct ike_peer_conf *p)
{
	static const char *const everything[] = { "0.0.0.0/0", "::/0" };
	static const char *const domain[] = { "10.0.0.0/8" };
	struct crypto_file file = { "ca.pem", pki_blob_bytes(&ca->pem) };
	struct policy_ident *hub = arena_new(&c->text, sizeof(*hub));
	char buf[256];
	struct text why = TEXT_OF(buf);

	CROWD_NEED(hub);
	*hub = identity(c, c->opt.hub_id);
	if (crypto_store_add_trust(c->store, &file, 1, NULL, &why, &p->trust) ||
	    crypto_store_trust_hashes(c->store, p->trust, &p->trust_hashes))
		crowd_fail("%s", buf);

	p->domain = selectors(c, domain, 1);
	p->role = IKE_ROLE_HUB;
	p->hub_ids = hub;
	p->n_hub_ids = 1;
	p->remote_id = *hub;
	p->port = 500;
	p->n_addresses = 1;
	p->auth = IKE_AUTH_CERT;
	p->start = IKE_START_UP;
	/* What setup_ref.c computes. */
	p->ike = proposal(c, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
	p->esp = proposal(c, WIRE_PROTO_ESP, "aes128gcm16-esn");
	p->ts_remote = selectors(c, everything, 2);
	p->dpd_delay = c->opt.dpd_delay;
	p->keepalive = dur_s(20);
	p->capabilities = c->opt.shortcuts ? IKE_CAN_PARTNER : 0;
	p->mobike = p->nats_allowed = true;
	p->return_routability = IKE_ROUTABILITY_BEFORE;
}

static void conf_is_ours(struct ike_conf *conf)
{
	(void)conf; /* it goes with the crowd */
}

/* The file's top level, and its network. */
static void conf_engine(const struct crowd *c, struct member *m, const struct ike_peer_conf *p)
{
	m->conf = (struct ike_conf){
		.refs = 1,
		.free = conf_is_ours,
		.peers = p,
		.n_peers = 1,
		.port = 500,
		.nat_port = 4500,
		.retransmit_timeout = c->opt.retransmit_timeout,
		.retransmit_tries = c->opt.retransmit_tries,
		.half_open_cookie = 64,
		.half_open_puzzle = 500,
		.half_open_max = 1000,
		.init_rate_cookie = 1000000,
		.force_encap = true,
	};
	m->network = (struct mesh_network){
		.name = "load", .peer = p->id, .takes = c->opt.shortcuts, .max = MEMBERS_MAX
	};
	m->mesh_conf = (struct mesh_conf){ &m->conf, &m->network, 1 };
}

static void conf_member(struct crowd *c, const struct authority *ca, size_t i,
			struct ike_peer_conf *p)
{
	struct prefix block = block_of(i);
	char buf[PREFIX_TEXT_MAX];
	const char *word = prefix_text(&block, buf);

	name_member(&c->members[i], i);
	p->id = i + 1;
	p->name = c->members[i].name;
	p->addresses = &c->members[i].address;
	p->local_id = identity(c, c->members[i].name);
	p->ts_local = selectors(c, &word, 1);
	put_credentials(c, ca, i, p);
}

void crowd_make_sites(struct crowd *c)
{
	struct ike_peer_conf common = { 0 };
	struct authority ca;

	c->members = calloc(c->opt.members, sizeof(*c->members));
	c->peers = calloc(c->opt.members, sizeof(*c->peers));
	CROWD_NEED(c->peers && c->members && crypto_store_new(&c->store) == ST_OK);
	arena_init(&c->text, &mem_libc, 8192 * (c->opt.members + 16));
	open_authority(c->opt.ca, &ca);
	common_conf(c, &ca, &common);
	for (size_t i = 0; i < c->opt.members; i++) {
		c->peers[i] = common;
		conf_member(c, &ca, i, &c->peers[i]);
		conf_engine(c, &c->members[i], &c->peers[i]);
	}
	close_authority(&ca);
}

void crowd_free_sites(struct crowd *c)
{
	free(c->peers);
	free(c->members);
	arena_done(&c->text);
	crypto_store_free(c->store);
}
