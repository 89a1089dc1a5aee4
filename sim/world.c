/* A run from the beginning to the end. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

enum { IDLE_S = 600 }; /* so long a hub is measured when nobody talks */

void *sim_alloc(size_t n)
{
	void *p = mem_libc.alloc(NULL, n);

	if (!p) {
		fputs("sim: out of memory\n", stderr);
		abort();
	}
	return p;
}

/* ---- chance -------------------------------------------------------------------------------- */

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t dice_roll(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct dice dice_of(uint64_t seed, uint64_t what, uint64_t which)
{
	uint8_t in[16];
	const uint64_t key[2] = { seed, 0x64696365 };

	store_be64(in, what);
	store_be64(in + 8, which);
	return (struct dice){ siphash(key, BYTES_OF(in)) };
}

uint64_t dice_below(struct dice *d, uint64_t n)
{
	return n ? dice_roll(d) % n : 0;
}

int64_t dice_in(struct dice *d, const struct range *r)
{
	return r->lo + (int64_t)dice_below(d, (uint64_t)(r->hi - r->lo) + 1);
}

bool dice_ppm(struct dice *d, int64_t ppm)
{
	return ppm > 0 && dice_below(d, 1000000) < (uint64_t)ppm;
}

/* ---- who is where -------------------------------------------------------------------------- */

static bool is_there(const struct map_node *n, const void *key)
{
	return ip_eq(&CONTAINER_OF(n, const struct place, node)->ip, key);
}

static uint64_t address_hash(const struct sim *s, const struct ip *ip)
{
	return map_hash(&s->addresses, ip_raw(ip));
}

const struct place *sim_place(const struct sim *s, const struct ip *ip)
{
	struct map_node *n = map_find(&s->addresses, address_hash(s, ip), is_there, ip);

	return n ? CONTAINER_OF(n, const struct place, node) : NULL;
}

void sim_settle(struct sim *s, struct place *p, const struct ip *ip)
{
	p->ip = *ip;
	map_insert(&s->addresses, &p->node, address_hash(s, ip));
}

void sim_unsettle(struct sim *s, struct place *p)
{
	if (p->ip.family)
		map_remove(&s->addresses, &p->node);
	p->ip.family = 0;
}

const struct machine *sim_who(const struct sim *s, const struct ip *ip)
{
	const struct place *p = sim_place(s, ip);

	return p ? p->machine : NULL;
}

struct machine *sim_by_name(const struct sim *s, struct bytes name)
{
	unsigned number = 0;
	size_t i = 0;

	while (i < name.n && name.p[i] != '-')
		i++;
	for (i++; i < name.n && name.p[i] >= '0' && name.p[i] <= '9'; i++)
		number = number * 10 + (unsigned)(name.p[i] - '0');
	if (number && name.n > 4 && memcmp(name.p, "hub-", 4) == 0 && number <= s->sc->hubs)
		return &s->machine[number - 1];
	if (number && name.n > 5 && memcmp(name.p, "site-", 5) == 0 && number <= s->sc->sites)
		return &s->machine[s->sc->hubs + number - 1];
	return NULL;
}

/* ---- the loop ------------------------------------------------------------------------------ */

#define OWNER(t, type, member) CONTAINER_OF(t, struct type, member)

static void serve(struct sim *s, struct timer *t)
{
	switch ((enum timer_kind)t->kind) {
	case T_ENGINE: machine_deadline(OWNER(t, machine, deadline)); break;
	case T_PLANE: plane_interval(OWNER(t, machine, interval)); break;
	case T_SILENCE: plane_silence(OWNER(t, machine, silence)); break;
	case T_APP: app_ask(OWNER(t, machine, ask)); break;
	case T_ANSWER: machine_answer(OWNER(t, pending, timer)); break;
	case T_DATAGRAM: net_arrive(OWNER(t, datagram, timer)); break;
	case T_FAULT: fault_begin(OWNER(t, planned, timer)); break;
	case T_TROUBLE: fault_end(OWNER(t, trouble, timer)); break;
	case T_RETURN: fault_back(OWNER(t, machine, back)); break;
	case T_RENEWAL: machine_renew(OWNER(t, machine, renewal)); break;
	case T_CHECK: check_timer(s); break;
	}
}

static void set_time(struct sim *s, mono_t t)
{
	s->now.mono = t;
	s->now.wall.s = SIM_WALL + (t.ns - SIM_BEGIN.ns) / 1000000000;
}

/* One event; false: none is left before that time. */
static bool step(struct sim *s, mono_t until)
{
	mono_t t = heap_next_due(&s->timers);

	if (mono_before(until, t))
		return false;
	if (mono_before(s->now.mono, t))
		set_time(s, t);
	serve(s, heap_pop_due(&s->timers, s->now.mono));
	s->counts.events++;
	return true;
}

static void run_until_calm(struct sim *s)
{
	check_calm(s);
	while (s->phase == PHASE_CALM)
		if (!step(s, MONO_NEVER))
			check_failed(s, NULL, NULL, "nobody waits for anything any more");
}

static void run_until(struct sim *s, mono_t until)
{
	while (step(s, until))
		continue;
	set_time(s, until);
}

/* ---- beginning and end --------------------------------------------------------------------- */

static struct sim *sim_new(const struct scenario *sc, uint64_t seed)
{
	static const uint64_t key[2] = { 3, 4 };
	struct sim *s = sim_alloc(sizeof(*s));

	s->sc = sc;
	s->seed = seed;
	s->n = sc->hubs + sc->sites;
	s->machine = sim_alloc(s->n * sizeof(*s->machine));
	s->packet = sim_alloc(sizeof(*s->packet));
	s->now = (struct now){ .mono = SIM_BEGIN, .wall = { SIM_WALL }, .wall_ok = true };
	s->bound = scenario_bound(sc);
	s->check.kind = T_CHECK;
	list_init(&s->datagrams);
	list_init(&s->troubles);
	list_init(&s->nats);
	map_init(&s->addresses, &mem_libc, key);
	return s;
}

static void sim_free(struct sim *s)
{
	net_free(s);
	for (unsigned i = 0; i < s->n; i++)
		machine_done(&s->machine[i]);
	nat_free_all(s);
	mem_libc.free(NULL, s->twins);
	map_done(&s->addresses);
	mem_libc.free(NULL, s->packet);
	mem_libc.free(NULL, s->machine);
	mem_libc.free(NULL, s);
}

static void leave(struct machine *m)
{
	if (!m->ike)
		return;
	m->leaving = 1;
	machine_command(m, IKE_CMD_SHUTDOWN);
}

/* Sites first: hubs that know each other tell what becomes of them. */
static void farewell(struct sim *s)
{
	s->phase = PHASE_LEAVING;
	for (unsigned i = s->sc->hubs; i < s->n; i++) {
		heap_disarm(&s->timers, &s->machine[i].ask);
		leave(&s->machine[i]);
	}
	run_until(s, mono_add(s->now.mono, s->bound));
	if (sim_hubs_know(s)) {
		for (unsigned i = 0; i < s->sc->hubs; i++)
			leave(&s->machine[i]);
		run_until(s, mono_add(s->now.mono, s->bound));
	}
	check_left(s);
}

/* Nothing is left of what was there because of traffic. */
static void be_silent(struct sim *s)
{
	talk_silence(s);
	check_timer(s);
	run_until_calm(s);
}

static void begin(struct machine *m)
{
	dur_t wait = { m->hub ? 0 : dice_in(&m->dice, &m->s->sc->arrival) };

	if (m->hub && m > m->s->machine && m->s->sc->hub_arrival.hi)
		return; /* fault_plan() */
	if (wait.ns)
		heap_arm(&m->s->timers, &m->back, mono_add(m->s->now.mono, wait));
	else
		machine_start(m);
}

/* What the first hub does until then. */
static void measure(struct sim *s, struct measured *into, mono_t until)
{
	struct machine *hub = s->machine;
	mono_t since = s->now.mono;

	hub->load = (struct load){ 0 };
	s->measures = into;
	run_until(s, until);
	s->measures = NULL;
	if (into)
		*into = (struct measured){ hub->load, mono_since(s->now.mono, since),
					   hub->mem.live_bytes };
}

/* What is linked around a mesh has nothing else to find its world by. */
static struct sim *running;

bool sim_is_broken(enum sabotage what)
{
	return is_time_for(running, what);
}

void sim_broken(const char *what)
{
	check_failed(running, NULL, NULL, "%s", what);
}

struct sim_counts sim_run(const struct sim_run *run, uint64_t *ret_hash)
{
	struct sim *s = sim_new(run->sc, run->seed);
	struct sim_counts counts;

	running = s;
	s->replay = run->replay;
	s->verbose = run->verbose;
	s->sabotage = run->sabotage;
	for (unsigned i = 0; i < s->n; i++)
		machine_init(&s->machine[i], s, i);
	for (unsigned i = 0; i < s->n; i++)
		begin(&s->machine[i]);
	for (unsigned i = s->sc->hubs; i < s->n; i++)
		talk_begin(&s->machine[i]);
	if (s->sc->topology != TOPOLOGY_NONE)
		be_silent(s);
	if (run->idle)
		measure(s, run->idle, mono_add(s->now.mono, dur_s(IDLE_S)));
	talk_resume(s);
	check_timer(s);
	run_until_calm(s);
	fault_plan(s);
	measure(s, run->active, mono_add(SIM_BEGIN, s->sc->lasts));
	run_until_calm(s);
	if (s->sc->topology != TOPOLOGY_NONE) {
		check_frugal(s);
		be_silent(s);
	}
	farewell(s);
	counts = s->counts;
	*ret_hash = s->hash;
	sim_free(s);
	return counts;
}
