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

/* What a peer needs; references and views live as long as the store. */
struct conf_peer_creds {
	crypto_ref psk; /* CONF_AUTH_PSK */
	crypto_ref ppk; /* 0: none */
	crypto_ref key; /* CONF_AUTH_CERT, as all below */
	struct crypto_chain chain; /* ours */
	crypto_ref trust;
	struct bytes trust_hashes; /* CERTREQ data */
	const uint8_t (*revoked)[CRYPTO_REVOCATION_ID]; /* of the CRL, if there is one */
	size_t n_revoked;
	/* See ike_peer_conf.  Of a pre-shared key both are the digest of the key in `conf`, which
	 * is another where that was redacted (conf_redact_keyed()), but changes when it does. */
	uint8_t own_digest[32];
	uint8_t peer_digest[32];
};

/* Checks the algorithms too.  ST_INVAL: `errs` says what does not load.  `conf` comes from
 * conf_load(), so that psk_file is read.  No file may be larger than CONF_FILE_MAX. */
MUST enum status conf_creds_load(const struct alloc *mem, const struct conf *conf,
				 const struct conf_source *source, struct crypto_store *store,
				 struct conf_errors *errs, struct conf_creds **ret_creds);
void conf_creds_free(struct conf_creds *c); /* takes NULL; the store keeps what was loaded */

/*
 * What a network needs, after the bundle (or certificate, key and trust) was read and held against
 * the section.  Views live as long as conf and creds.
 *
 * The private key of a bundle "x.warren" is "x.key" beside it, if the section names no key.
 * Checked: bundle as docs/protocol/bundle.md section 4, except the dates, which the daemon judges
 * by its clock (`not_after`); its network's name is the section's; a hub's bundle for role = hub;
 * key and certificate belong together; `protect` lies in the certificate's blocks (if it has any);
 * an endpoint's bundle or certificate without blocks makes an endpoint of who says neither role nor
 * protect; `domain` lies in the anchor's blocks (if it has any), a hub's also in those of its
 * certificate: sites refuse what a hub offers beyond that.
 */
struct conf_network_creds {
	enum conf_role role; /* effective */
	struct conf_peer_creds auth; /* by certificate; `trust` with the CRL */
	struct policy_ident local_id;
	bool bundle; /* there is one */
	wall_t not_before, not_after; /* of our certificate, or of both in a bundle */
	/* Effective: the section's, or our certificate's blocks, as prefixes unless that would be
	 * more than 64.  A HUB's is only what its section says: its blocks are the whole domain. An
	 * ENDPOINT has none. */
	struct wire_ts_list protect;
	struct wire_ts_list domain; /* effective: the section's, or the anchor's; n 0: not known */
	/* Effective.  SITE, ENDPOINT: the section's, or the bundle's.  HUB: the section's, without
	 * our own name. */
	const char *const *hubs;
	size_t n_hubs;
	const struct policy_ident *hub_ids; /* those of `hubs` as identities */
};

/* In the order of conf->networks. */
const struct conf_network_creds *conf_creds_network(const struct conf_creds *c, size_t index);

/* Where all of it is; lives as long as its references (crypto_store_ref()). */
struct crypto_store *conf_creds_store(const struct conf_creds *c);

/* All of it: reads the file and the pre-shared keys and loads everything, and goes on after errors,
 * so that `errs` has those of the text and those of the files it names.  ST_INVAL, or ST_IO when
 * there is no such file. */
MUST enum status conf_open(const struct alloc *mem, const struct conf_source *source,
			   const char *path, struct crypto_store *store, struct conf_errors *errs,
			   struct conf **ret_conf, struct conf_creds **ret_creds);

/* In the order of conf->peers: `index` below conf->n_peers. */
const struct conf_peer_creds *conf_creds_peer(const struct conf_creds *c, size_t index);

/* Every file with a private key that was loaded, and its reference; false after the last.  (With
 * the files that psk_file of a peer names these are all files that are secret as a whole.) */
bool conf_creds_key(const struct conf_creds *c, size_t index, const char **ret_path,
		    crypto_ref *ret_key);
