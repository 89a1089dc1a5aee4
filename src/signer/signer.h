/*
 * signer.h - the process that has the long-term secrets, and the way to ask it (S4).
 *
 * warrend forks it before anything was read.  It reads the configuration and all files named there,
 * keeps private keys and pre-shared keys, and answers one end of a socket pair with AUTH payloads
 * and with keys of SAs that a PPK was mixed into: nothing else can be had from it, and of those
 * only so many a second.  The process that handles
 * packets never sees a secret: it gets the text of the configuration redacted (conf_redact()),
 * certificates and the public halves of keys, as a `conf_source`, and parses them itself.
 *
 *	main process (packets, engine)            signer (root, no network, seccomp)
 *	signer_load()        -- LOAD, path -->    conf_open() with the real files
 *	                     <-- errors, or a snapshot of all files without secrets
 *	conf_open(snapshot) into a public store
 *	signer_commit()      -- COMMIT -->        the new secrets replace the old ones
 *	signer_job()         -- SIGN, name, octets -->
 *	                     <-- result
 *	                     -- PPK, name, keys of an SA -->
 *	                     <-- the same, mixed with a post-quantum pre-shared key (RFC 8784)
 *	                     -- QCD, SPIs -->
 *	                     <-- the token of an IKE SA (RFC 6290)
 *
 * Octets to be signed must be those of RFC 7296 section 2.15: an IKE_SA_INIT message, a nonce, a
 * PRF output.  So even who has taken over the main process cannot have anything signed that is not
 * an IKE_AUTH of its own making, and not one more once it is out.  Nor can it read what root can:
 * the signer loads the file it was told first, again and again, and no other.
 *
 * When one of the two ends the other does so as well: a daemon that cannot authenticate is of no
 * use, a signer without daemon is a risk.
 */
#pragma once

#include "conf/conf_creds.h"
#include "crypto/crypto.h"

struct signer;

/* Forks; the first thing main() does.  The child never returns from here. */
MUST enum status signer_fork(struct text *why, struct signer **ret_signer);
/* The signer ends.  Takes NULL. */
void signer_free(struct signer *s);

/* Readable when signer_pump() has something to do; the host watches it. */
int signer_fd(const struct signer *s);
int signer_pid(const struct signer *s);

/* What the signer read: valid until freed. */
struct signer_snapshot;
/* The files of the snapshot; its own path reads the redacted configuration. */
struct conf_source signer_source(struct signer_snapshot *snap);
void signer_snapshot_free(struct signer_snapshot *snap); /* takes NULL */

/* Waits for the answer (start-up, reload).  ST_INVAL: `errs` has what `warren check` would say. The
 * secrets loaded stay aside until signer_commit(), and go with the next load otherwise. */
MUST enum status signer_load(struct signer *s, const char *path, struct conf_errors *errs,
			     struct text *why, struct signer_snapshot **ret_snap);
MUST enum status signer_commit(struct signer *s, struct text *why);

/* The file with the secret for QCD tokens (RFC 6290), open for reading and writing, which stays the
 * caller's; filled if it is empty.  Once, behind the first commit; without it there are no tokens.
 * ST_INVAL: there is something else in it. */
MUST enum status signer_state(struct signer *s, int fd, struct text *why);

/* `r` is wiped after the call. */
typedef void signer_done_fn(void *ctx, uint64_t id, const struct crypto_result *r);
void signer_on_done(struct signer *s, signer_done_fn *done, void *ctx);

/* SIGN, PSK_AUTH, PPK and QCD jobs; `store` is the public one that the job's references belong to.
 * Takes the job; the result comes through `done`, later, also when the signer refuses. */
void signer_job(struct signer *s, uint64_t id, const struct crypto_store *store,
		struct crypto_job *job);
/* Its result will not be delivered. */
void signer_cancel(struct signer *s, uint64_t id);

/* What it answered so far, for people. */
struct signer_counts {
	uint64_t done;
	uint64_t unknown; /* refused: a key that is in no configuration any more */
	uint64_t shape; /* refused: octets that are no AUTH's */
	uint64_t rate; /* refused: too many in a short time */
	uint64_t
		failed; /* the peer takes no signature that the key can make; libcrypto's trouble */
};

struct signer_counts signer_counts(const struct signer *s);
/* What its sandbox lacks on this machine, "" if nothing.  After the first load. */
const char *signer_warning(const struct signer *s);

/* The control socket of the configuration is there: the signer removes it when this process has
 * ended, which may not be able to do so itself any more. */
void signer_note_socket(struct signer *s);

/* Reads and writes what can be, delivers results; ST_IO: the signer is gone. */
MUST enum status signer_pump(struct signer *s, struct text *why);
