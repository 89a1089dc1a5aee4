/*
 * creds_internal.h - what conf_creds.c and conf_network.c share: loading one thing after another
 * into a key store, each file read once and everything that is wrong reported where it was named.
 */
#pragma once

#include "conf/conf_creds.h"
#include "conf/internal.h"

enum {
	CREDS_WHY_MAX = 1024,
};

enum loaded_kind {
	LOADED_FILE, /* bytes, while loading */
	LOADED_KEY,
	LOADED_CHAIN,
	LOADED_TRUST,
	LOADED_MATCH, /* a key and a chain were held against each other */
};

/* A file, or a list of files, that was loaded or failed to. */
struct loaded {
	struct map_node node;
	enum loaded_kind kind;
	struct bytes name; /* paths, each with its terminator */
	struct conf_pos at;
	const char *why; /* NULL: it loaded */
	struct loaded *next; /* FILE and KEY: in the lists of struct conf_creds */
	struct bytes data; /* FILE: to be freed */
	crypto_ref ref; /* KEY, TRUST */
	struct crypto_chain chain;
	struct bytes hashes; /* TRUST: CERTREQ data */
	const uint8_t (*revoked)[CRYPTO_REVOCATION_ID];
	size_t n_revoked;
	uint8_t digest[32]; /* CHAIN, TRUST */
};

struct conf_creds {
	const struct alloc *mem;
	struct arena ar;
	struct map loaded;
	struct loaded *keys;
	struct conf_peer_creds *peers;
	struct conf_network_creds *networks;
	/* Only while loading. */
	const struct conf_source *source;
	struct crypto_store *store;
	struct crypto_openssl *provider; /* for hashes */
	struct conf_errors *errs;
	struct loaded *files;
};

/* The bytes of a file, read once; they live until everything is loaded.  ST_INVAL: `why` says what
 * is wrong, with the name. */
MUST enum status creds_file(struct conf_creds *c, const char *path, struct text *why,
			    struct bytes *ret_data);

/* ST_OK also when there was an error, which is reported at `path->at`: then `(*ret)->why` is set.
 * ST_NOMEM. */
MUST enum status creds_key(struct conf_creds *c, const struct conf_text *path, struct loaded **ret);
/* Whether a key that loaded belongs to `chain`, which is called `name`; errors are reported at
 * `at`. */
MUST enum status creds_match(struct conf_creds *c, const struct loaded *key,
			     const struct crypto_chain *chain, const char *name,
			     struct conf_pos at);

/* What a peer or network proves itself with and judges by.  Members that are absent because they
 * were wrong are left out: that was reported. */
struct creds_paths {
	const struct conf_text *certificate;
	const struct conf_text *key;
	const struct conf_list *trust;
	const struct conf_text *crl;
};

MUST enum status creds_certs(struct conf_creds *c, const struct creds_paths *p,
			     struct conf_peer_creds *ret);

/* SHA-256 of the parts, with their lengths, after a word that says what they are. */
MUST enum status creds_digest(struct conf_creds *c, const char *what, const struct bytes *parts,
			      size_t n, uint8_t ret_digest[static 32]);

/* conf_network.c */
MUST enum status creds_network(struct conf_creds *c, const struct conf_network *n,
			       struct conf_network_creds *ret);
/* The top level's bundle when no network uses it. */
MUST enum status creds_unused_bundle(struct conf_creds *c, const struct conf_text *path);
