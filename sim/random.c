/* Small worlds, drawn from a seed: a few sites, an hour or so, and some kinds of trouble. */
#include "sim.h"

#define S(n) ((int64_t)(n)*1000000000)
#define MS(n) ((int64_t)(n)*1000000)

/* A value between nothing and `most`; nothing at all half of the time. */
static int64_t some(struct dice *d, int64_t most)
{
	const struct range r = { 0, most };

	return dice_below(d, 2) ? dice_in(d, &r) : 0;
}

/* What a fault may be like at its worst. */
static const struct kind {
	enum act act;
	enum whom whom;
	int64_t often; /* its period at the least */
	int64_t longest;
	struct range by;
} kinds[] = {
	{ ACT_CUT, WHOM_SITE, S(60), S(300), { 0, 0 } },
	{ ACT_CUT, WHOM_SITES, S(600), S(600), { 0, 0 } },
	{ ACT_CUT, WHOM_HUB, S(600), S(300), { 0, 0 } },
	{ ACT_DEAFEN, WHOM_ANY, S(60), S(200), { 0, 0 } },
	{ ACT_MUTE, WHOM_ANY, S(60), S(200), { 0, 0 } },
	{ ACT_LOSE, WHOM_SITE, S(60), S(600), { 50000, 500000 } },
	{ ACT_LOSE, WHOM_HUB, S(300), S(300), { 10000, 300000 } },
	{ ACT_CRASH, WHOM_SITE, S(60), S(120), { 0, 0 } },
	{ ACT_CRASH, WHOM_HUB, S(300), S(120), { 0, 0 } },
	{ ACT_CRASH, WHOM_ALL, S(1200), S(60), { 0, 0 } },
	{ ACT_RESTART, WHOM_SITE, S(60), S(60), { 0, 0 } },
	{ ACT_RESTART, WHOM_HUB, S(300), S(60), { 0, 0 } },
	{ ACT_SLOW, WHOM_ANY, S(120), S(600), { 50000000, 8000000000 } },
	{ ACT_MOVE, WHOM_SITE, S(30), S(60), { 0, 0 } },
	{ ACT_AHEAD, WHOM_ANY, S(120), S(200), { 1000000000, 8640000000000000 } },
	{ ACT_BEHIND, WHOM_ANY, S(120), S(200), { 1000000000, 8640000000000000 } },
	{ ACT_SLOW_DISK, WHOM_HUB, S(120), S(300), { 10000000, 60000000000 } },
	{ ACT_FULL_DISK, WHOM_HUB, S(120), S(300), { 0, 0 } },
	{ ACT_FORGET, WHOM_SITE, S(20), 0, { 0, 0 } },
	{ ACT_MOVE, WHOM_SITES, S(300), S(30), { 0, 0 } },
};

/* Where sites may have tunnels. */
static const struct kind mesh_kinds[] = {
	{ ACT_FENCE, WHOM_SITE, S(30), S(200), { 0, 0 } },
	{ ACT_FENCE, WHOM_SITES, S(300), S(200), { 0, 0 } },
	{ ACT_WITHDRAW, WHOM_SITE, S(30), 0, { 0, 0 } },
	{ ACT_STAR, WHOM_HUB, S(300), S(300), { 0, 0 } },
};

static void draw_fault(struct dice *d, const struct kind *of, size_t n, struct scenario *sc)
{
	const struct kind *k = &of[dice_below(d, n)];
	struct fault *f = &sc->fault[sc->n_faults++];
	const struct range often = { k->often, 10 * k->often };

	*f = (struct fault){ .act = k->act, .whom = k->whom, .by = k->by };
	/* In whole milliseconds, as it is written. */
	f->period.ns = dice_in(d, &often) / MS(1) * MS(1);
	f->span.hi = (some(d, k->longest) + MS(1)) / MS(1) * MS(1);
}

static int64_t whole_ms(int64_t ns)
{
	return ns / MS(1) * MS(1);
}

void random_scenario(uint64_t seed, struct scenario *sc)
{
	struct dice d = dice_of(seed, 100, 0);
	unsigned n_faults = 1 + (unsigned)dice_below(&d, 6);
	const struct range rekey = { S(20), S(1200) };

	scenario_init(sc);
	memcpy(sc->name, "random", sizeof("random"));
	sc->sites = 1 + (unsigned)dice_below(&d, 8);
	sc->lasts.ns = S(600 + (int64_t)dice_below(&d, 5400));
	sc->delay = (struct range){ MS(1), MS(1 + (int64_t)dice_below(&d, 300)) };
	sc->jitter.hi = whole_ms(some(&d, MS(50)));
	sc->loss.hi = some(&d, 30000);
	sc->duplicates.hi = some(&d, 20000);
	sc->reordering.hi = some(&d, 50000);
	sc->jobs.hi = whole_ms(some(&d, MS(300)));
	sc->traffic = (struct range){ S(1), S(1 + (int64_t)dice_below(&d, 40)) };
	if (dice_below(&d, 2)) {
		sc->nat = 1000000 - some(&d, 900000);
		sc->nat_shared = some(&d, 1000000);
		sc->nat_timeout.hi = S(30 + (int64_t)dice_below(&d, 300));
	}
	if (!dice_below(&d, 4))
		sc->certificates.ns = S(1200 + (int64_t)dice_below(&d, 7200));
	sc->endpoints = some(&d, 1000000);
	sc->disk.hi = whole_ms(some(&d, MS(500)));
	sc->mobike = dice_below(&d, 4) != 0;
	if (dice_below(&d, 2)) {
		sc->rekey.ns = whole_ms(dice_in(&d, &rekey));
		sc->ike_rekey.ns = whole_ms(dice_in(&d, &rekey));
	}
	if (!dice_below(&d, 4))
		sc->reauth.ns = whole_ms(dice_in(&d, &rekey));
	while (n_faults--)
		draw_fault(&d, kinds, ARRAY_LEN(kinds), sc);
}

/* Where there are several hubs that know each other. */
static const struct kind hubs_kinds[] = {
	{ ACT_FENCE, WHOM_HUB, S(60), S(200), { 0, 0 } },
	{ ACT_FENCE, WHOM_HUBS, S(300), S(200), { 0, 0 } },
	{ ACT_SEVER, WHOM_HUB, S(60), S(200), { 1, SEVERED } },
	{ ACT_CRASH, WHOM_HUB, S(60), S(120), { 0, 0 } },
	{ ACT_RESTART, WHOM_HUB, S(60), S(60), { 0, 0 } },
	{ ACT_CUT, WHOM_HUB, S(60), S(200), { 0, 0 } },
	{ ACT_CRASH, WHOM_HUBS, S(600), S(30), { 0, 0 } },
	{ ACT_STEER, WHOM_HUB, S(60), S(60), { 0, 0 } },
	{ ACT_HOP, WHOM_SITE, S(10), 0, { 0, 0 } },
	{ ACT_STAR, WHOM_HUBS, S(300), S(120), { 0, 0 } },
};

void random_mesh(uint64_t seed, struct scenario *sc)
{
	struct dice d = dice_of(seed, 101, 0);
	unsigned n_faults = (unsigned)dice_below(&d, 4);

	random_scenario(seed, sc);
	memcpy(sc->name, "random-mesh", sizeof("random-mesh"));
	sc->sites = 2 + (unsigned)dice_below(&d, 8);
	sc->topology = dice_below(&d, 4) ? TOPOLOGY_DYNAMIC : TOPOLOGY_MESH;
	sc->talk.lo = S(10 + (int64_t)dice_below(&d, 60));
	sc->talk.hi = sc->talk.lo + S((int64_t)dice_below(&d, 600));
	if (!dice_below(&d, 4)) {
		/* Traffic that lasts is so in every second. */
		sc->after.ns = S(1 + (int64_t)dice_below(&d, 4));
		sc->traffic = (struct range){ MS(200), MS(800) };
	}
	sc->idle.ns = 2 * sc->traffic.hi + S(10 + (int64_t)dice_below(&d, 60));
	sc->retry_max.ns = S(10 + (int64_t)dice_below(&d, 300));
	while (n_faults--)
		draw_fault(&d, mesh_kinds, ARRAY_LEN(mesh_kinds), sc);
}

/* What is said of suggestions is lost, late, or said twice, and nothing else goes wrong. */
static void disturb_words(struct dice *d, struct scenario *sc)
{
	sc->words_lost = some(d, 100000);
	sc->words_twice = some(d, 200000);
	sc->words_late.hi = whole_ms(some(d, MS(1000)));
}

/* No packet may be lost there. */
static void make_gentle(struct dice *d, struct scenario *sc)
{
	static const struct kind gentle[] = {
		{ ACT_WITHDRAW, WHOM_SITE, S(10), 0, { 0, 0 } },
		{ ACT_STAR, WHOM_HUB, S(60), S(60), { 0, 0 } },
		{ ACT_STAR, WHOM_HUBS, S(60), S(60), { 0, 0 } },
	};
	unsigned n = 1 + (unsigned)dice_below(d, 4);

	sc->lossless = true;
	sc->n_faults = 0;
	sc->loss.hi = sc->nat = sc->nat_shared = 0;
	sc->certificates.ns = sc->reauth.ns = 0;
	sc->jitter.hi = sc->reordering.hi = 0;
	sc->hub_arrival.hi = 0;
	sc->hub_delay.hi = sc->hub_delay.lo + MS(dice_below(d, 5));
	sc->delay.hi = sc->delay.lo + MS(dice_below(d, 60));
	sc->jobs.hi = whole_ms(some(d, MS(20)));
	sc->traffic = (struct range){ MS(400), MS(900) };
	while (n--)
		draw_fault(d, gentle, ARRAY_LEN(gentle), sc);
}

void random_hubs(uint64_t seed, struct scenario *sc)
{
	struct dice d = dice_of(seed, 102, 0);
	unsigned n_faults = (unsigned)dice_below(&d, 6);

	random_mesh(seed, sc);
	memcpy(sc->name, "random-hubs", sizeof("random-hubs"));
	sc->endpoints = 0;
	sc->hubs = 2;
	sc->sites = 2 + (unsigned)dice_below(&d, 9);
	sc->hub_delay = (struct range){ MS(1), MS(1 + (int64_t)dice_below(&d, 100)) };
	sc->hubs_call = (unsigned)dice_below(&d, 2);
	if (dice_below(&d, 2))
		sc->named = (struct range){ 1, 1 + (int64_t)dice_below(&d, sc->hubs) };
	if (!dice_below(&d, 4))
		sc->hub_arrival.hi = S(60 + (int64_t)dice_below(&d, 240));
	if (!dice_below(&d, 4))
		sc->apart = some(&d, 1000000);
	disturb_words(&d, sc);
	/* Who authenticates anew is told everything anew, word by word. */
	if (sc->reauth.ns)
		sc->reauth.ns += S(600);
	/* Who has a new certificate has new tunnels, with all others in a mesh: oftener than a calm is
	 * long somebody is always without one, and nobody is ever seen to have them all. */
	if (sc->certificates.ns)
		sc->certificates.ns += S(3600);
	if (!dice_below(&d, 3)) {
		make_gentle(&d, sc);
		return;
	}
	while (n_faults--)
		draw_fault(&d, hubs_kinds, ARRAY_LEN(hubs_kinds), sc);
}
