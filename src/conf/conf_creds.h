/*
 * conf_creds.h - the long-term secrets and certificates that a configuration names, loaded.
 *
 * One set per configuration: conf_creds_load() puts every private key, pre-shared key, certificate
 * chain and set of trust anchors into a key store, each file once however many peers share it, and
 * checks that key and certificate belong together.  Everything that does not load becomes an error
 * at the position where it was named.  `warren check` does just that and throws the result away;
 * the daemon keeps the references for the engine.
 */
#pragma once

#include "conf/conf.h"
#include "crypto/openssl/crypto_openssl.h"

struct conf_creds;

/* Every algorithm that a proposal names must be one that the providers have; others become errors
 * at the proposal that names them. */
MUST enum status conf_check_algorithms(const struct conf *conf, struct conf_errors *errs);

/* What a peer needs; references and views live as long as the store. */
struct conf_peer_creds {
	crypto_ref psk; /* CONF_AUTH_PSK */
	crypto_ref key; /* CONF_AUTH_CERT, as all below */
	struct crypto_chain chain; /* ours */
	crypto_ref trust;
	struct bytes trust_hashes; /* CERTREQ data */
	const uint8_t (*revoked)[CRYPTO_REVOCATION_ID]; /* of the CRL, if there is one */
	size_t n_revoked;
	uint8_t own_digest[32]; /* see ike_peer_conf; of the pre-shared key as the store has it */
	uint8_t peer_digest[32];
};

/* Checks the algorithms too.  ST_INVAL: `errs` says what does not load.  `conf` comes from conf_load(), so that psk_file is
 * read. */
MUST enum status conf_creds_load(const struct alloc *mem, const struct conf *conf,
				 struct crypto_store *store, struct conf_errors *errs,
				 struct conf_creds **ret_creds);
void conf_creds_free(struct conf_creds *c); /* takes NULL; the store keeps what was loaded */

/*
 * What a network needs, after the bundle (or certificate, key and trust) was read and held against
 * the section.  Views live as long as conf and creds.
 *
 * The private key of a bundle "x.warren" is "x.key" beside it, if the section names no key.
 * Checked: bundle as docs/protocol/bundle.md section 4, except the dates, which the daemon judges
 * by its clock (`not_after`); its network's name is the section's; a hub's bundle for role = hub;
 * key and certificate belong together; `protect` lies in the certificate's blocks (if it has any);
 * `domain` of a site lies in the anchor's blocks (if it has any).
 */
struct conf_network_creds {
	crypto_ref key;
	struct crypto_chain chain;
	crypto_ref trust; /* with the CRL */
	struct bytes trust_hashes;
	struct policy_ident local_id;
	bool bundle; /* there is one */
	wall_t not_before, not_after; /* of our certificate, or of both in a bundle */
	struct wire_ts_list protect; /* effective: the section's, or our certificate's blocks */
	struct wire_ts_list domain; /* effective: the section's, or the anchor's; n 0: not known */
	const char *const *hubs; /* effective: the section's, or the bundle's */
	size_t n_hubs;
	const struct policy_ident *hub_ids; /* those of `hubs` as identities */
	const uint8_t (*revoked)[CRYPTO_REVOCATION_ID];
	size_t n_revoked;
	uint8_t own_digest[32]; /* SHA-256 over the certificates: see ike_peer_conf */
	uint8_t peer_digest[32]; /* over the anchors */
};

/* In the order of conf->networks. */
const struct conf_network_creds *conf_creds_network(const struct conf_creds *c, size_t index);

/* All of it: reads the file and the pre-shared keys and loads everything, and goes on after errors,
 * so that `errs` has those of the text and those of the files it names.  ST_INVAL, or ST_IO when
 * there is no such file. */
MUST enum status conf_open(const struct alloc *mem, const struct conf_source *source,
			   const char *path, struct crypto_store *store,
			   struct conf_errors *errs, struct conf **ret_conf,
			   struct conf_creds **ret_creds);

/* In the order of conf->peers: `index` below conf->n_peers. */
const struct conf_peer_creds *conf_creds_peer(const struct conf_creds *c, size_t index);
