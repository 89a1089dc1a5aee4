/*
 * bench_engine - what the IKE engine costs, without sockets and daemon.
 *
 *	bench_engine p4 [SET-UPS]	responder's CPU for each full set-up (P4)
 *	bench_engine parts [SET-UPS]	where its time goes, data plane in user space included
 *	bench_engine p5 [SAS]		resident memory for each established IKE SA (P5)
 *	bench_engine p6 [DATAGRAMS]	CPU and allocations for each cookie under flood (P6)
 *
 * ECDSA P-256 certificates below one root, X25519, AES-128-GCM, PRF-HMAC-SHA-256, libcrypto.  The
 * last line on stdout is one JSON object; what explains the figure goes to stderr.
 *
 * P4 counts the CPU of the responder's entries, from the datagram to the last output of what
 * follows from it, jobs and events included, with the thread's clock; setup_ref.c is what it is
 * compared with.  P5 keeps the initiators in a child process, so that only the responder's memory
 * is measured: that of its engine and of the data plane in user space, which holds the child pair.
 * It looks inside the engine (ike/internal.h), which nobody else may: to say which structure the
 * bytes are in, and to prove that a handshake is gone.
 */
#include "bench/bench_host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dp/user/dp_user.h"
#include "ike/internal.h"

#define RESPONDER "hub.example"
#define INITIATORS "*.site.example"
#define INITIATOR "a.site.example"

static unsigned long number(const char *arg, unsigned long otherwise)
{
	unsigned long n = arg ? strtoul(arg, NULL, 10) : otherwise;

	return n ? n : otherwise;
}

/* ---- the data plane under a responder ------------------------------------------------------ */

/* A socket pair stands in for TUN, and nothing is ever sent. */
struct plane {
	struct bench_mem mem;
	int tun; /* the host's side of it */
};

static struct dp *plane_new(struct plane *plane)
{
	struct dp_user_params p = {
		.mem = &plane->mem.alloc, .queues = 1, .n_sockets = 1, .mtu = 1400
	};
	struct sockaddr_in a = { .sin_family = AF_INET };
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct dp *dp;
	int tun[2];

	bench_mem_init(&plane->mem);
	BENCH_NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, tun) == 0);
	plane->tun = tun[0];
	p.tun[0] = tun[1];
	p.sockets[0].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	p.sockets[0].local = (struct endpoint){ bench_responder, 4500 };
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	BENCH_NEED(bind(p.sockets[0].fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	if (dp_user_new(&p, &why, &dp))
		bench_fail("%s", buf);
	return dp;
}

static void plane_free(struct plane *plane, struct host *h)
{
	h->dp->ops->free(h->dp);
	h->dp = NULL;
	if (plane->mem.blocks)
		bench_fail("the data plane leaks %zu blocks", (size_t)plane->mem.blocks);
	close(plane->tun);
}

/* ---- P4 ------------------------------------------------------------------------------------ */

enum { IN_FLIGHT = 8 };

/* Both ends in this thread; what they send waits here. */
struct pair {
	struct bench_pki *pki;
	struct host *initiator, *responder;
	struct bench_datagram queue[IN_FLIGHT];
	size_t first, n;
	double responder_us;
	bool timed; /* with parts (profile.h), and a data plane */
	bool on_clock;
	struct plane plane;
	size_t datagrams, bytes; /* since the pair was made, both directions */
};

static void pair_send(void *ctx, const struct bench_datagram *d)
{
	struct pair *p = ctx;

	if (p->n == IN_FLIGHT)
		bench_fail("more than %d datagrams in flight", IN_FLIGHT);
	p->queue[(p->first + p->n++) % IN_FLIGHT] = *d;
	p->datagrams++;
	p->bytes += d->n;
}

static void pair_run(struct pair *p)
{
	while (p->n) {
		struct bench_datagram d = p->queue[p->first];
		double before;

		p->first = (p->first + 1) % IN_FLIGHT;
		p->n--;
		if (ip_eq(&d.to.ip, &bench_initiator)) {
			host_input(p->initiator, &d);
			continue;
		}
		before = bench_cpu_us();
		if (p->timed && p->on_clock)
			profile_start();
		host_input(p->responder, &d);
		profile_stop();
		p->responder_us += bench_cpu_us() - before;
	}
}

static struct host *new_host(struct pair *p, const char *local, const char *remote,
			     const char *address)
{
	struct host *h = host_new(p->pki, local, remote, address);

	h->send = pair_send;
	h->send_ctx = p;
	return h;
}

static struct pair *pair_new(bool timed)
{
	struct pair *p = calloc(1, sizeof(*p));

	BENCH_NEED(p);
	p->pki = bench_pki_new();
	p->timed = timed;
	p->responder = new_host(p, RESPONDER, INITIATORS, NULL);
	if (timed) {
		p->responder->crypto = profile_crypto(p->responder->crypto);
		p->responder->dp = plane_new(&p->plane);
	}
	host_start(p->responder);
	p->initiator = new_host(p, INITIATOR, RESPONDER, "192.0.2.1");
	host_start(p->initiator);
	return p;
}

static void pair_free(struct pair *p)
{
	host_free(p->initiator);
	if (p->timed)
		plane_free(&p->plane, p->responder);
	host_free(p->responder);
	bench_pki_free(p->pki);
	free(p);
}

/* Only the set-up is on the clock, not the farewell. */
static double one_set_up(struct pair *p)
{
	size_t up = p->responder->up;
	double cost;

	p->responder_us = 0;
	p->on_clock = true;
	host_command(p->initiator, IKE_CMD_UP);
	pair_run(p);
	p->on_clock = false;
	cost = p->responder_us;
	if (p->responder->up != up + 1)
		bench_fail("no child came up");
	host_command(p->initiator, IKE_CMD_DOWN);
	pair_run(p);
	if (!ike_idle(p->responder->ike) || !ike_idle(p->initiator->ike))
		bench_fail("an SA stayed behind");
	return cost;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_allocations(struct pair *p, unsigned n)
{
	uint64_t blocks = p->responder->mem.calls, libcrypto = bench_libcrypto_allocations();

	for (unsigned i = 0; i < n; i++)
		one_set_up(p);
	fprintf(stderr, "%10.1f     allocations of the responder's engine, with the farewell\n",
		(double)(p->responder->mem.calls - blocks) / n);
	fprintf(stderr, "%10.1f     allocations of libcrypto, both ends, with the farewell\n",
		(double)(bench_libcrypto_allocations() - libcrypto) / n);
}

enum { BATCHES = 20, WARM_UP = 100 };

static void p4(unsigned long n)
{
	struct pair *p = pair_new(false);
	unsigned long each = n / BATCHES ? n / BATCHES : 1;
	double batch[BATCHES] = { 0 };

	for (int i = 0; i < WARM_UP; i++)
		one_set_up(p);
	for (int b = 0; b < BATCHES; b++) {
		for (unsigned long i = 0; i < each; i++)
			batch[b] += one_set_up(p);
		batch[b] /= (double)each;
	}
	qsort(batch, BATCHES, sizeof(batch[0]), by_value);
	print_allocations(p, WARM_UP);
	pair_free(p);
	printf("{\"set_ups\":%lu,\"cpu_us\":%.3f,\"least\":%.3f,\"most\":%.3f}\n", each * BATCHES,
	       (batch[BATCHES / 2 - 1] + batch[BATCHES / 2]) / 2, batch[0], batch[BATCHES - 1]);
}

/* ---- parts of P4 ---------------------------------------------------------------------------- */

struct parts {
	double us[PARTS], all, reads;
};

static struct parts one_batch(struct pair *p, unsigned long n)
{
	struct parts parts = { .all = 0 };

	profile_clear();
	for (unsigned long i = 0; i < n; i++)
		one_set_up(p);
	for (enum part k = 0; k < PARTS; k++) {
		parts.us[k] = profile_us(k) / (double)n;
		parts.all += parts.us[k];
	}
	parts.reads = (double)profile_reads() / (double)n;
	return parts;
}

/* Batches are shorter than what the scheduler gives at once. */
enum { PART_BATCHES = 200 };

/* Of the quietest batch: the parts are of the same set-ups, and no time of anybody else's is among
 * them. */
static void measure_parts(unsigned long n)
{
	struct pair *p = pair_new(true);
	unsigned long each = n / PART_BATCHES ? n / PART_BATCHES : 1;
	struct parts best = { .all = 0 };

	(void)one_batch(p, WARM_UP);
	for (int b = 0; b < PART_BATCHES; b++) {
		struct parts parts = one_batch(p, each);

		if (b == 0 || parts.all < best.all)
			best = parts;
	}
	pair_free(p);
	printf("{\"set_ups\":%lu,\"us\":%.3f,\"clock_reads\":%.0f,\"parts\":{", each, best.all,
	       best.reads);
	for (enum part k = 0; k < PARTS; k++)
		printf("%s\"%s\":%.3f", k ? "," : "", profile_names[k], best.us[k]);
	printf("}}\n");
}

/* ---- P5: the initiators, in a process of their own ----------------------------------------- */

static void link_send(void *ctx, const struct bench_datagram *d)
{
	ssize_t n = (ssize_t)(offsetof(struct bench_datagram, data) + d->n);

	BENCH_NEED(send(*(int *)ctx, d, (size_t)n, 0) == n);
}

/* False at the end. */
static bool link_receive(int fd, struct bench_datagram *ret)
{
	ssize_t n = recv(fd, ret, sizeof(*ret), 0);

	BENCH_NEED(n >= 0);
	return n > 0;
}

/* Each has an address, a name and a prefix of its own. */
static void become(struct host *h, struct bench_pki *pki, unsigned long i)
{
	char word[64];

	snprintf(word, sizeof(word), "site%05lu.site.example", i);
	host_rename(h, pki, word);
	snprintf(word, sizeof(word), "10.%lu.%lu.0/24", i >> 8 & 0x7f, i & 0xff);
	host_selectors(h, word, "10.255.0.0/16");
	store_be32(bench_initiator.b, 0xc6120001u + (uint32_t)i);
}

static void initiators(struct bench_pki *pki, int fd, unsigned long n)
{
	struct host *h = host_new(pki, INITIATOR, RESPONDER, "192.0.2.1");
	struct bench_datagram d;

	h->send = link_send;
	h->send_ctx = &fd;
	for (unsigned long i = 0; i < n; i++) {
		size_t up = h->up;

		become(h, pki, i);
		host_start(h);
		host_command(h, IKE_CMD_UP);
		while (h->up == up && link_receive(fd, &d))
			host_input(h, &d);
		/* Gone without a word: the responder's SA stays. */
		host_stop(h);
	}
	host_free(h);
}

/* ---- P5: the responder --------------------------------------------------------------------- */

static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	BENCH_NEED(f && fscanf(f, "%*u %lu", &pages) == 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Bytes by what they hold, malloc's share included. */
struct shares {
	size_t n, sas, handshakes, attempts, windows, identities, children, selectors, maps;
};

static size_t map_cost(const struct map *m)
{
	return bench_mem_cost(m->buckets);
}

static void add_child(struct shares *s, const struct child *c)
{
	s->children += bench_mem_cost(c);
	s->selectors += bench_mem_cost(c->ts_local.ts) + bench_mem_cost(c->ts_remote.ts);
}

static struct shares measure_shares(const struct ike *ike)
{
	struct shares s = { .maps = map_cost(&ike->sa_by_spi) + map_cost(&ike->half_open) +
				    map_cost(&ike->jobs) + map_cost(&ike->child_by_id) +
				    map_cost(&ike->child_by_spi) + map_cost(&ike->child_by_op) };

	list_for_each(n, &ike->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, node);

		s.n++;
		s.sas += bench_mem_cost(sa);
		s.handshakes += bench_mem_cost(sa->hs);
		s.attempts += bench_mem_cost(sa->attempt) + bench_mem_cost(sa->answering);
		s.windows += bench_mem_cost(sa->win.request.p) + bench_mem_cost(sa->win.response.p);
		s.identities += bench_mem_cost(sa->remote_id.data.p);
		list_for_each(c, &sa->children)
			add_child(&s, CONTAINER_OF(c, const struct child, node));
	}
	return s;
}

struct hub {
	struct host *host;
	struct plane plane;
	size_t base_rss, base_engine, base_dp; /* before the first SA */
	double first_us, last_us; /* CPU of the first and the last tenth of all set-ups */
	int fd;
};

enum { ROWS = 12 };

/* Bytes for all SAs together; they sum up to what is resident. */
struct bytes_table {
	struct {
		const char *what;
		double bytes;
	} row[ROWS];
	size_t n;
	double resident;
};

static void add_row(struct bytes_table *t, const char *what, double bytes)
{
	BENCH_NEED(t->n < ROWS);
	t->row[t->n].what = what;
	t->row[t->n++].bytes = bytes;
}

static struct bytes_table measure_bytes(const struct hub *hub)
{
	struct shares s = measure_shares(hub->host->ike);
	size_t engine = hub->host->mem.bytes - hub->base_engine;
	size_t dp = hub->plane.mem.bytes - hub->base_dp;
	size_t named = s.sas + s.handshakes + s.attempts + s.windows + s.identities + s.children +
		       s.selectors + s.maps;
	struct bytes_table t = { .resident = (double)resident() - (double)hub->base_rss };

	if (s.handshakes || s.attempts)
		bench_fail("an established SA keeps its handshake");
	add_row(&t, "struct ike_sa", (double)s.sas);
	add_row(&t, "handshake and attempt", (double)(s.handshakes + s.attempts));
	add_row(&t, "messages kept by the window", (double)s.windows);
	add_row(&t, "identity of the peer", (double)s.identities);
	add_row(&t, "struct child", (double)s.children);
	add_row(&t, "its selectors", (double)s.selectors);
	add_row(&t, "hash tables", (double)s.maps);
	add_row(&t, "peer, keys, credentials", (double)(engine - named));
	add_row(&t, "data plane, both directions", (double)dp);
	add_row(&t, "freed but not returned, everything else", t.resident - (double)(engine + dp));
	return t;
}

static void hub_start(struct hub *hub, struct bench_pki *pki)
{
	struct host *h = host_new(pki, RESPONDER, INITIATORS, NULL);

	h->send = link_send;
	h->send_ctx = &hub->fd;
	h->dp = plane_new(&hub->plane);
	host_start(h);
	hub->host = h;
}

static void hub_stop(struct hub *hub)
{
	plane_free(&hub->plane, hub->host);
	host_free(hub->host);
}

/* The first SA brings in code and tables that are there once; what it costs itself is one in
 * `n`, and is counted as if it had cost nothing. */
static void hub_serve(struct hub *hub, unsigned long n)
{
	unsigned long tenth = n >= 10 ? n / 10 : 1;
	struct bench_datagram d;

	hub->base_engine = hub->host->mem.bytes;
	hub->base_dp = hub->plane.mem.bytes;
	while (link_receive(hub->fd, &d)) {
		double before = bench_cpu_us(), used;

		host_input(hub->host, &d);
		used = bench_cpu_us() - before;
		if (hub->host->up <= tenth)
			hub->first_us += used;
		else if (hub->host->up > n - tenth)
			hub->last_us += used;
		if (!hub->base_rss && hub->host->up == 1)
			hub->base_rss = resident();
	}
	fprintf(stderr, "CPU of a set-up: %.0f us in the first tenth, %.0f us in the last\n",
		hub->first_us / (double)tenth, hub->last_us / (double)tenth);
}

static void print_bytes(const struct bytes_table *t, size_t n)
{
	printf("{");
	for (size_t i = 0; i < t->n; i++)
		printf("%s\"%s\":%.1f", i ? "," : "", t->row[i].what, t->row[i].bytes / (double)n);
	printf("}");
}

static pid_t fork_initiators(struct bench_pki *pki, const int fd[2], unsigned long n)
{
	pid_t pid = fork();

	BENCH_NEED(pid >= 0);
	if (pid > 0) {
		close(fd[1]);
		return pid;
	}
	close(fd[0]);
	initiators(pki, fd[1], n);
	_exit(0); /* the files of the PKI are the parent's */
}

static void p5(unsigned long n)
{
	struct bench_pki *pki = bench_pki_new();
	struct ike_totals totals;
	struct bytes_table fresh, steady;
	struct hub hub = { 0 };
	int fd[2], status;
	pid_t pid;

	BENCH_NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0);
	pid = fork_initiators(pki, fd, n);
	hub.fd = fd[0];
	hub_start(&hub, pki);
	hub_serve(&hub, n);
	BENCH_NEED(waitpid(pid, &status, 0) == pid && status == 0);
	totals = ike_totals(hub.host->ike);
	if (totals.sas != n || totals.children != n || totals.half_open)
		bench_fail("%zu SAs, %zu children, %zu half-open", totals.sas, totals.children,
			   totals.half_open);
	fresh = measure_bytes(&hub);
	host_advance(hub.host, dur_s(IKE_RESPONSE_KEEP_S + 1));
	steady = measure_bytes(&hub);
	hub_stop(&hub);
	bench_pki_free(pki);
	printf("{\"sas\":%lu,\"bytes_per_sa\":%.0f,\"fresh\":", n, steady.resident / (double)n);
	print_bytes(&fresh, n);
	printf(",\"steady\":");
	print_bytes(&steady, n);
	printf("}\n");
}

/* ---- P6 ------------------------------------------------------------------------------------ */

/* A sender of IKE_SA_INIT requests that all look new. */
struct flood {
	struct bench_datagram request; /* of an honest initiator */
	size_t nonce_at;
	uint64_t sent;
	size_t answers, answer_bytes;
};

static void flood_send(void *ctx, const struct bench_datagram *d)
{
	struct flood *f = ctx;

	f->answers++;
	f->answer_bytes += d->n;
}

static void keep_request(void *ctx, const struct bench_datagram *d)
{
	((struct flood *)ctx)->request = *d;
}

/* Where the Nonce payload's data is: the payloads of our own request are well-formed. */
static size_t find_nonce(const struct bench_datagram *d)
{
	uint8_t type = d->data[16];

	for (size_t at = WIRE_IKE_HDR_LEN; at + WIRE_PAYLOAD_HDR_LEN <= d->n;) {
		if (type == WIRE_P_NONCE)
			return at + WIRE_PAYLOAD_HDR_LEN;
		type = d->data[at];
		at += load_be16(d->data + at + 2);
	}
	bench_fail("the request has no nonce");
}

static struct flood *flood_new(struct bench_pki *pki)
{
	struct flood *f = calloc(1, sizeof(*f));
	struct host *h = host_new(pki, INITIATOR, RESPONDER, "192.0.2.1");

	BENCH_NEED(f);
	h->send = keep_request;
	h->send_ctx = f;
	host_start(h);
	host_command(h, IKE_CMD_UP);
	host_free(h);
	f->nonce_at = find_nonce(&f->request);
	return f;
}

/* The next one: another SPI, nonce, address and port. */
static const struct bench_datagram *flood_next(struct flood *f)
{
	struct bench_datagram *d = &f->request;

	f->sent++;
	store_be64(d->data, f->sent * 0x9e3779b97f4a7c15);
	store_be64(d->data + f->nonce_at, f->sent);
	store_be32(d->from.ip.b, 0xc6120000u + (uint32_t)(f->sent & 0x1ffff));
	d->from.port = (uint16_t)(1024 + f->sent % 60000);
	return d;
}

struct p6_counts {
	uint64_t engine, libcrypto;
	size_t blocks;
	struct ike_totals totals;
};

static struct p6_counts take_counts(const struct host *h)
{
	return (struct p6_counts){ h->mem.calls, bench_libcrypto_allocations(), h->mem.blocks,
				   ike_totals(h->ike) };
}

static void p6(unsigned long n)
{
	struct bench_pki *pki = bench_pki_new();
	struct flood *f = flood_new(pki);
	struct host *h = host_new(pki, RESPONDER, INITIATORS, NULL);
	struct p6_counts before, after;
	uint64_t allocations;
	double cpu;

	h->send = flood_send;
	h->send_ctx = f;
	host_start(h);
	/* Up to the threshold everybody is answered; the first cookie needs secrets. */
	for (unsigned i = 0; i <= h->conf.half_open_cookie; i++)
		host_input(h, flood_next(f));
	f->answers = f->answer_bytes = 0;
	before = take_counts(h);
	cpu = bench_cpu_us();
	for (unsigned long i = 0; i < n; i++)
		host_input(h, flood_next(f));
	cpu = bench_cpu_us() - cpu;
	after = take_counts(h);
	if (f->answers != n)
		bench_fail("%zu answers to %lu datagrams", f->answers, n);
	/* Nobody may be used to multiply what was sent. */
	if (f->answer_bytes > n * f->request.n)
		bench_fail("answers longer than requests");
	if (memcmp(&before.totals, &after.totals, sizeof(before.totals)) != 0 ||
	    before.blocks != after.blocks)
		bench_fail("the flood left state behind");
	allocations = after.engine - before.engine + after.libcrypto - before.libcrypto;
	printf("{\"datagrams\":%lu,\"request\":%u,\"answer\":%zu,\"cpu_us\":%.3f,"
	       "\"allocations\":%llu,\"allocations_libcrypto\":%llu}\n",
	       n, f->request.n, f->answer_bytes / n, cpu / (double)n,
	       (unsigned long long)allocations,
	       (unsigned long long)(after.libcrypto - before.libcrypto));
	host_free(h);
	free(f);
	bench_pki_free(pki);
	if (allocations)
		bench_fail("answering with a cookie must not allocate");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;

	bench_count_libcrypto();
	if (strcmp(what, "p4") == 0)
		p4(number(arg, 2000));
	else if (strcmp(what, "parts") == 0)
		measure_parts(number(arg, 4000));
	else if (strcmp(what, "p5") == 0)
		p5(number(arg, 10000));
	else if (strcmp(what, "p6") == 0)
		p6(number(arg, 200000));
	else
		bench_fail("usage: bench_engine p4|parts|p5|p6 [NUMBER]");
	return 0;
}
