/*
 * bench_host.h - the smallest host an IKE engine can have, for benches: no sockets, no threads, a
 * clock that stands still.
 *
 * A `host` is one engine with the libcrypto provider and certificates made at start.  Jobs are run
 * inline by the real provider, look-ups are answered at once.  Operations go to a data plane when
 * the bench gives it one, else they are said to be done.  What the engine sends goes to a function
 * of the bench.
 *
 * All memory of an engine comes from a counting allocator, and bench_count_libcrypto() puts
 * libcrypto on another, so that "no allocation" can be said of both.  Any failure ends the process:
 * a bench has nothing to say after it.
 */
#pragma once

#include "bench/profile.h"
#include "crypto/openssl/crypto_openssl.h"
#include "ike/ike.h"

/* ---- memory -------------------------------------------------------------------------------- */

struct bench_mem {
	struct alloc alloc; /* hand this out; it points back here */
	_Atomic uint64_t calls;
	_Atomic size_t blocks; /* alive */
	_Atomic size_t bytes; /* alive, as malloc rounds them up, its own word included */
};

void bench_mem_init(struct bench_mem *m);
/* What a block costs: its size as malloc rounds it up, and the word in front; 0 for NULL. */
size_t bench_mem_cost(const void *p);

/* Before anything else that uses libcrypto. */
void bench_count_libcrypto(void);
uint64_t bench_libcrypto_allocations(void);

/* ---- certificates -------------------------------------------------------------------------- */

/* A root, and leaves that share one key: made in memory; what the key store only loads from files
 * is in a temporary directory, until bench_pki_free(). */
struct bench_pki;

struct bench_pki *bench_pki_new(void);
void bench_pki_free(struct bench_pki *pki);
/* The DER of a fresh leaf for a DNS name; the caller frees it with bench_leaf_free(). */
struct bytes bench_leaf(struct bench_pki *pki, const char *name);
void bench_leaf_free(struct bytes der);

/* ---- hosts --------------------------------------------------------------------------------- */

struct bench_datagram {
	struct endpoint from, to;
	uint16_t n;
	uint8_t data[2048];
};

typedef void bench_send_fn(void *ctx, const struct bench_datagram *d);

struct host {
	struct bench_mem mem;
	struct crypto_openssl *provider;
	struct crypto crypto;
	struct crypto_store *store;
	struct ike_peer_conf peer;
	struct ike_conf conf;
	struct arena text; /* what the configuration points to */
	struct now now;
	struct ike *ike;
	struct dp *dp; /* may be NULL; the bench's */
	bench_send_fn *send;
	void *send_ctx;
	size_t up; /* children the engine has reported as up */
	uint64_t events[IKE_EVENTS];
};

/*
 * `local` and `remote` name the two ends; `remote` may be a pattern.  `address` is where the
 * counterpart is, NULL for a responder.  The engine is made by host_start(), so that the caller
 * may change the configuration before.
 */
struct host *host_new(struct bench_pki *pki, const char *local, const char *remote,
		      const char *address);
void host_start(struct host *h);
/* Frees the engine without a word to its peers, and complains about leaks. */
void host_stop(struct host *h);
void host_free(struct host *h);
/* Gives it another name, with a leaf of its own; between stop and start. */
void host_rename(struct host *h, struct bench_pki *pki, const char *local);
/* What it protects, and what it wants to reach. */
void host_selectors(struct host *h, const char *local, const char *remote);

/* Entries of the engine, each carried through until nothing is left to do. */
void host_input(struct host *h, const struct bench_datagram *d);
void host_command(struct host *h, enum ike_cmd_kind kind);
/* Moves the clock and serves what is due. */
void host_advance(struct host *h, dur_t d);

/* Our address in what host_new() resolves to; the initiator's may be changed any time. */
extern struct ip bench_initiator, bench_responder;

/* ---- measuring ----------------------------------------------------------------------------- */

/* CPU time of this thread, microseconds. */
double bench_cpu_us(void);

__attribute__((noreturn, format(printf, 1, 2))) void bench_fail(const char *fmt, ...);
#define BENCH_NEED(what) ((what) ? (void)0 : bench_fail("%s failed", #what))
