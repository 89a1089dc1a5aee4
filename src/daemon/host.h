/*
 * host.h - the daemon as a whole: everything that serves one engine, and the order in which it
 * comes and goes.
 *
 * host_check() has the signer read and check all there is to check, and starts nothing;
 * host_start() takes the network: block (guarding.h), sockets, device, control socket, routes into
 * the device; then it gives up root (confine.h), and goes on with data plane, engine, threads.
 * host_free() goes the same way back, but for the block, which stays.  In between wiring.c carries
 * inputs to the engine, through the mesh around it, and their outputs out, all in the loop's
 * thread; cryptography runs in the pool, packets in the data plane's threads.
 */
#pragma once

#include <uv.h>

#include "conf/conf.h"
#include "crypto/openssl/crypto_openssl.h"
#include "ctl/ctl.h"
#include "daemon/dataplane.h"
#include "daemon/guarding.h"
#include "daemon/jobs.h"
#include "daemon/journal.h"
#include "daemon/lookup.h"
#include "daemon/roam.h"
#include "daemon/trim.h"
#include "daemon/underlay.h"
#include "daemon/uplinks.h"
#include "ike/ike.h"
#include "mesh/mesh.h"
#include "obs/obs.h"
#include "plat/plat.h"
#include "plat/sandbox.h"
#include "resolved/resolved.h"
#include "signer/signer.h"

/* Counters of the daemon itself. */
enum host_counter {
	HOST_TX_FAILED, /* the kernel refused a datagram */
	HOST_TX_FULL, /* a send buffer was full */
	HOST_TX_TOO_BIG, /* a probe of the path MTU that is larger than the device's */
	HOST_LOOKUP_FAILED,
	HOST_KEYLOG_FAILED,
	HOST_NET_LOOKS, /* at what follows from addresses, links and routes */
	HOST_NET_PUT_OFF, /* there was more news than looks */
	HOST_CLOCK_SET, /* the wall clock jumped, or the machine slept */
	HOST_INNER_FAILED, /* what a gateway gave could not be put to use */
	HOST_COUNTERS,
};

enum { HOST_SIGNALS = 4 };

struct host {
	uv_loop_t loop;
	struct obs_log log;
	mono_t started;
	uint64_t counters[HOST_COUNTERS];
	struct signer *signer; /* main()'s first act; freed by host_free() */
	struct resolved *resolved; /* its second; NULL: it failed, or that process is gone */

	/* What host_check() made. */
	struct conf *conf;
	struct conf *conf_started; /* the first: what only a restart changes */
	struct crypto_store *store; /* without secrets: those are the signer's */
	struct conf_creds *creds;
	struct ike_conf *ike_conf;
	struct plat_user user; /* whom we become */

	/* What host_start() made, in this order. */
	struct plat_nl *nl;
	struct guarding *guarding;
	struct underlay *underlay;
	struct uplinks *uplinks;
	struct plat_tun tun;
	uint16_t mtu;
	struct ctl_server *ctl;
	struct dataplane *dp;
	struct obs_keylog *keylog;
	struct jobs *jobs;
	struct lookups *lookups;
	struct journal *journal;
	struct crypto_openssl *crypto;
	struct ike *ike;
	struct mesh *mesh; /* around it: always there, whatever networks there are */
	struct inner *inner; /* what gateways gave us */
	struct leases *leases; /* NULL: nobody is given addresses */
	struct plat_timer *deadline;
	struct roam *roam;
	struct trim trim;
	struct plat_timer *trim_timer;
	struct plat_poll *signer_poll;
	struct plat_poll *resolved_poll;
	struct plat_signal *signals[HOST_SIGNALS];

	bool draining; /* wiring_drain() is at work further up the stack */
	bool stopping; /* the farewell to the peers was begun */
	bool failed; /* we end because something broke: the exit code says so */
};

/* `h` is zeroed. */
MUST enum status host_init(struct host *h);

/* ST_INVAL, ST_IO: `errs` names everything that is wrong with the file and what it names; `why`
 * says what is wrong with the signer. */
MUST enum status host_check(struct host *h, const char *file, struct conf_errors *errs,
			    struct text *why);

/* On failure everything that was begun is undone by host_free(); the reasons are in `errs` where
 * they have a place in the file, else in `why`. */
MUST enum status host_start(struct host *h, struct conf_errors *errs, struct text *why);

/* Pools of that configuration, which nobody uses yet, do not give out the host's own addresses. */
MUST enum status host_reserve(struct host *h, struct ike_conf *conf, struct text *why);

/* Deletes the SAs, then ends the loop; asked again, ends it at once. */
void host_shutdown(struct host *h, const char *reason);

void host_free(struct host *h);

void host_log(struct host *h, enum obs_level level, const char *peer, const char *message);
obs_time host_time(void);

/* wiring.c: connects what host_start() made, and carries out what the engine wants until it wants
 * nothing more.  Called after every input. */
MUST enum status wiring_start(struct host *h, struct text *why);
void wiring_drain(struct host *h);

/* wiring.c: the callbacks for jobs and lookups, which need them at birth. */
void wiring_job_done(void *host, uint64_t id, const struct crypto_result *r);
void wiring_resolved(void *host, uint64_t id, const char *name, const struct ike_address *addrs,
		     size_t n, const char *why);

/* commands.c: the handler of the control socket. */
json_t *commands_handle(void *host, const char *cmd, json_t *request, struct text *error);
