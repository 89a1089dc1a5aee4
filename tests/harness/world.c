#include "harness/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/fake/crypto_fake.h"

/* A deadline that does not move when it is served would spin the host for ever. */
#define SAME_DEADLINE_MAX 64

void harness_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("harness: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static void *must_alloc(size_t n)
{
	void *p = mem_libc.alloc(NULL, n);

	if (!p)
		harness_fail("out of memory");
	return p;
}

struct world *world_new(uint64_t seed)
{
	struct world *w = must_alloc(sizeof(*w));

	w->seed = seed;
	w->now = (struct now){ .mono = { 1000000000000 }, .wall = { WORLD_WALL }, .wall_ok = true };
	w->keys = must_alloc(WORLD_KEYS * sizeof(*w->keys));
	w->esp = must_alloc(sizeof(*w->esp));
	list_init(&w->packets);
	return w;
}

static void node_free(struct node *n)
{
	node_kill(n);
	if (n->dp)
		n->dp->ops->free(n->dp);
	ike_conf_unref(&n->conf->conf);
	crypto_fake_free(n->fake);
	node_forget_events(n);
	mem_libc.free(NULL, n);
}

void world_free(struct world *w)
{
	for (size_t i = 0; i < w->n_nodes; i++)
		node_free(w->node[i]);
	world_drop_all(w);
	mem_libc.free(NULL, w->esp);
	mem_free_secret(&mem_libc, w->keys, WORLD_KEYS * sizeof(*w->keys));
	mem_libc.free(NULL, w);
}

static void set_addresses(struct node *n, const char *const *addresses)
{
	for (n->n_addresses = 0; addresses[n->n_addresses]; n->n_addresses++) {
		if (n->n_addresses == NODE_ADDRESSES)
			harness_fail("%s: too many addresses", n->name);
		n->address[n->n_addresses] = test_ip(addresses[n->n_addresses]);
	}
}

static void tell_network(struct node *n)
{
	if (n->ike && n->roams)
		engine_network(n);
}

void node_network(struct node *n, const char *const *addresses)
{
	set_addresses(n, addresses);
	n->roams = true;
	tell_network(n);
	if (n->ike)
		node_drain(n);
}

void node_moves(struct node *n, const char *address, const char *second)
{
	const char *const addresses[] = { address, second, NULL };

	node_network(n, addresses);
}

struct node *world_node_bare(struct world *w, const char *name, const char *const *addresses,
			     struct test_conf *conf)
{
	struct node *n = must_alloc(sizeof(*n));

	if (w->n_nodes == WORLD_NODES)
		harness_fail("too many nodes");
	n->w = w;
	n->name = name;
	n->conf = conf;
	n->seed = w->seed * 1000 + w->n_nodes;
	n->qcd_secret = n->seed;
	n->fail_job = n->fail_op = n->fail_store = -1;
	n->fail_status = ST_IO;
	test_mem_init(&n->mem);
	list_init(&n->held);
	list_init(&n->ready);
	set_addresses(n, addresses);
	w->node[w->n_nodes++] = n;
	return n;
}

enum status node_start(struct node *n)
{
	enum status st;

	crypto_fake_free(n->fake);
	n->fake = NULL;
	if (crypto_fake_new(&mem_libc, n->seed, &n->fake) != ST_OK)
		harness_fail("%s: no provider", n->name);
	crypto_fake_qcd(n->fake, n->qcd_secret);
	n->crypto = n->provider ? n->provider->crypto : crypto_fake_ops(n->fake);
	dp_start(n);
	st = engine_new(n);
	if (st == ST_OK) {
		store_load(n);
		node_drain(n);
	}
	return st;
}

struct node *world_node(struct world *w, const char *name, const char *const *addresses,
			struct test_conf *conf)
{
	struct node *n = world_node_bare(w, name, addresses, conf);

	if (node_start(n) != ST_OK)
		harness_fail("%s: engine does not start", name);
	return n;
}

void node_kill(struct node *n)
{
	engine_free(n);
	node_pendings_free(n);
	if (n->mem.live)
		harness_fail("%s: leak of %zu blocks, %zu bytes; the oldest is allocation %ld",
			     n->name, n->mem.live, n->mem.live_bytes, test_mem_oldest(&n->mem));
	n->n_children = n->n_quiet = 0;
	n->n_traps = 0;
	n->last_child = 0;
	n->n_open = 0;
}

void node_restart(struct node *n)
{
	node_kill(n);
	n->seed += 100;
	if (node_start(n) != ST_OK)
		harness_fail("%s: engine does not start again", n->name);
}

void world_name(struct world *w, const char *name, const char *address)
{
	if (w->n_names == WORLD_NAMES)
		harness_fail("too many host names");
	w->names[w->n_names].name = name;
	w->names[w->n_names++].ip = test_ip(address);
}

/* ---- time ---------------------------------------------------------------------------------- */

static mono_t next_deadline(const struct world *w)
{
	mono_t t = MONO_NEVER;

	for (size_t i = 0; i < w->n_nodes; i++)
		if (w->node[i]->ike)
			t = mono_min(mono_min(t, engine_deadline(w->node[i])),
				     dp_deadline(w->node[i]));
	return t;
}

static void set_time(struct world *w, mono_t t)
{
	int64_t begin = 1000000000000;

	if (mono_before(w->now.mono, t))
		w->now.mono = t;
	w->now.wall.s = WORLD_WALL + w->wall_set + (w->now.mono.ns - begin) / 1000000000;
}

static void serve(struct node *n)
{
	dp_look(n);
	for (int i = 0; !mono_before(n->w->now.mono, engine_deadline(n)); i++) {
		if (i == SAME_DEADLINE_MAX)
			harness_fail("%s: the deadline stays in the past", n->name);
		engine_timer(n);
		node_drain(n);
	}
}

bool world_timer(struct world *w)
{
	mono_t t = next_deadline(w);

	if (t.ns == MONO_NEVER.ns)
		return false;
	set_time(w, t);
	for (size_t i = 0; i < w->n_nodes; i++)
		if (w->node[i]->ike)
			serve(w->node[i]);
	return true;
}

void world_advance(struct world *w, dur_t d)
{
	mono_t until = mono_add(w->now.mono, d);

	while (!mono_before(until, next_deadline(w)))
		world_timer(w);
	set_time(w, until);
}

void world_live(struct world *w, dur_t d)
{
	mono_t until = mono_add(w->now.mono, d);

	for (world_run(w); !mono_before(until, next_deadline(w)); world_run(w))
		world_timer(w);
	set_time(w, until);
}

int64_t node_deadline_ms(const struct node *n)
{
	mono_t t = engine_deadline(n);

	return t.ns == MONO_NEVER.ns ? -1 : dur_to_ms(mono_since(t, n->w->now.mono));
}
