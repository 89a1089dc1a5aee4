/*
 * warren-sim - runs scenarios; docs/simulator.md.
 *
 *	warren-sim [-v] [--seed N] [--twice] SCENARIO
 *	warren-sim --seeds A..B SCENARIO	one after the other, each in a process of its own
 *	warren-sim --hub SCENARIO		and what its first hub has to do in a second
 *	warren-sim --sites N,N,N SCENARIO	with so many sites: is what one of them costs the
 *same? warren-sim --list FILE			lines of a seed and a scenario warren-sim --print
 *--seed N random	what is drawn
 *	warren-sim --sabotage SCENARIO		breaks each invariant once: is it found?
 *
 * SCENARIO is a file, the name of one of sim/scenarios, or `random`, `random-mesh` or
 *`random-hubs`: a small world drawn from the seed.  With several runs the output is TAP; of a
 *random world that fails, what still fails with less in it is printed as a scenario.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

enum {
	TEXT_MAX = 65536,
	/* From here on the kernel gives zeroed pages, of which an idle engine uses few: half of the
	 * memory of thousands. */
	PAGES_FROM = 16384,
};

struct options {
	const char *program;
	bool verbose, twice, print, hub;
	const char *sites;
	uint64_t first, last; /* seeds */
	bool many, sabotaged;
	enum sabotage sabotage;
	const char *list;
	const char *scenario;
};

static void usage(void)
{
	fputs("usage: warren-sim [-v] [--print] [--twice] [--hub] [--seed N] SCENARIO\n"
	      "       warren-sim --seeds A..B SCENARIO\n"
	      "       warren-sim --sites N,N... SCENARIO\n"
	      "       warren-sim --list FILE\n"
	      "       warren-sim --sabotage SCENARIO\n",
	      stderr);
	exit(2);
}

static uint64_t number(const char *word, const char **end)
{
	char *stop;
	uint64_t v = strtoull(word, &stop, 10);

	if (stop == word || *word == '-')
		usage();
	*end = stop;
	return v;
}

/* ---- scenarios ----------------------------------------------------------------------------- */

static void read_text(const char *path, char text[TEXT_MAX])
{
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, TEXT_MAX - 1, f) : 0;

	if (!f || n == TEXT_MAX - 1) {
		fprintf(stderr, "warren-sim: cannot read %s: %s\n", path, strerror(errno));
		exit(2);
	}
	fclose(f);
	text[n] = '\0';
}

static void load(const char *name, uint64_t seed, struct scenario *sc)
{
	static char text[TEXT_MAX];
	const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
	bool file = dot && strcmp(dot, ".sim") == 0;
	char path[4096], buf[256];
	struct text why = TEXT_OF(buf);

	if (strcmp(name, "random") == 0) {
		random_scenario(seed, sc);
		return;
	}
	if (strcmp(name, "random-mesh") == 0) {
		random_mesh(seed, sc);
		return;
	}
	if (strcmp(name, "random-hubs") == 0) {
		random_hubs(seed, sc);
		return;
	}
	snprintf(path, sizeof(path), file ? "%s" : SIM_SCENARIOS "/%s.sim", name);
	read_text(path, text);
	scenario_init(sc);
	snprintf(sc->name, sizeof(sc->name), "%.60s", slash ? slash + 1 : name);
	if (scenario_parse(text, &why, sc) != ST_OK) {
		fprintf(stderr, "%s: %s\n", path, buf);
		exit(2);
	}
}

static void print(FILE *to, const struct scenario *sc)
{
	static char buf[TEXT_MAX];
	struct text t = TEXT_OF(buf);

	scenario_text(sc, &t);
	fputs(buf, to);
}

/* ---- one run ------------------------------------------------------------------------------- */

static void report(const struct scenario *sc, const struct sim_counts *c, uint64_t seed,
		   uint64_t hash, double seconds)
{
	printf("%s seed %llu hash %016llx: %u sites, %lld s in %.1f s; %llu events, %llu datagrams "
	       "(%llu ESP, %llu lost), %llu faults, %llu SAs, %llu calms, %llu moves timed, "
	       "answers %llu of %llu\n",
	       sc->name, (unsigned long long)seed, (unsigned long long)hash, sc->sites,
	       (long long)(sc->lasts.ns / 1000000000), seconds, (unsigned long long)c->events,
	       (unsigned long long)c->datagrams, (unsigned long long)c->esp,
	       (unsigned long long)c->lost, (unsigned long long)c->faults,
	       (unsigned long long)c->sas, (unsigned long long)c->checks,
	       (unsigned long long)c->moves, (unsigned long long)c->answered,
	       (unsigned long long)c->asked);
	if (sc->topology != TOPOLOGY_NONE)
		printf("# %llu suggestions, %llu ends of tunnels; %llu words, %llu probes, %llu "
		       "IKE "
		       "messages between sites; %llu paths timed, the worst took %lld.%lld %% of "
		       "what "
		       "it may\n",
		       (unsigned long long)c->suggested, (unsigned long long)c->direct,
		       (unsigned long long)c->words, (unsigned long long)c->probes,
		       (unsigned long long)c->calls, (unsigned long long)c->prompt,
		       (long long)c->prompt_worst / 10, (long long)c->prompt_worst % 10);
}

/* One JSON object, for tests/bench. */
static void report_load(const struct scenario *sc, const struct load *l, double seconds)
{
	printf("{\"sites\": %u, \"seconds\": %.0f, \"messages_in\": %.1f, \"messages_out\": %.1f, "
	       "\"bytes_in\": %.0f, \"bytes_out\": %.0f, \"timers\": %.1f, \"jobs\": %.2f, "
	       "\"operations\": %.1f, \"cpu\": %.5f}\n",
	       sc->sites, seconds, (double)l->datagrams_in / seconds,
	       (double)l->datagrams_out / seconds, (double)l->bytes_in / seconds,
	       (double)l->bytes_out / seconds, (double)l->timers / seconds,
	       (double)l->jobs / seconds, (double)l->operations / seconds,
	       (double)l->cpu_ns / 1e9 / seconds);
}

static uint64_t run(const struct options *o, const struct scenario *sc, const char *name,
		    uint64_t seed)
{
	struct sim_counts counts;
	clock_t began = clock();
	struct measured active = { 0 };
	uint64_t hash;
	char replay[4096];

	snprintf(replay, sizeof(replay), "%s --seed %llu %s", o->program, (unsigned long long)seed,
		 name);
	counts = sim_run(&(struct sim_run){ sc, seed, replay, o->verbose, o->sabotage,
					    o->hub ? &active : NULL, NULL },
			 &hash);
	report(sc, &counts, seed, hash, (double)(clock() - began) / CLOCKS_PER_SEC);
	if (o->hub)
		report_load(sc, &active.load, (double)active.span.ns / 1e9);
	return hash;
}

static void single(const struct options *o)
{
	struct scenario sc;
	uint64_t hash;

	load(o->scenario, o->first, &sc);
	if (o->print) {
		print(stdout, &sc);
		return;
	}
	hash = run(o, &sc, o->scenario, o->first);
	if (o->twice && run(o, &sc, o->scenario, o->first) != hash) {
		fputs("warren-sim: two runs are not the same\n", stderr);
		exit(1);
	}
}

/* ---- many ---------------------------------------------------------------------------------- */

/* In a process of its own; false: it failed. */
static bool apart(const struct options *o, const struct scenario *sc, const char *name,
		  uint64_t seed, bool quiet)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int null = quiet ? open("/dev/null", O_WRONLY) : -1;

		if (null >= 0) {
			dup2(null, 1);
			dup2(null, 2);
		}
		fputs("# ", stdout);
		run(o, sc, name, seed);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("warren-sim");
		exit(2);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What is left fails as well. */
static void shrink(const struct options *o, struct scenario *sc, const char *name, uint64_t seed)
{
	for (unsigned i = 0; i < sc->n_faults;) {
		struct scenario less = *sc;

		less.n_faults--;
		memmove(&less.fault[i], &less.fault[i + 1],
			(less.n_faults - i) * sizeof(less.fault[0]));
		if (apart(o, &less, name, seed, true))
			i++;
		else
			*sc = less;
	}
	for (unsigned sites = 1; sites < sc->sites; sites++) {
		struct scenario less = *sc;

		less.sites = sites;
		if (apart(o, &less, name, seed, true))
			continue;
		*sc = less;
		break;
	}
	fprintf(stderr, "\nthis fails as well, with seed %llu:\n", (unsigned long long)seed);
	print(stderr, sc);
}

static bool one_of(const struct options *o, const char *name, uint64_t seed, unsigned number)
{
	struct scenario sc;
	bool good;

	load(name, seed, &sc);
	good = apart(o, &sc, name, seed, false);
	/* Who failed has begun a line. */
	printf("%sok %u - %s seed %llu\n", good ? "" : "\nnot ", number, name,
	       (unsigned long long)seed);
	if (!good && strncmp(name, "random", 6) == 0)
		shrink(o, &sc, name, seed);
	return good;
}

static bool seeds(const struct options *o)
{
	unsigned number = 0;
	bool good = true;

	for (uint64_t seed = o->first; seed <= o->last; seed++)
		good &= one_of(o, o->scenario, seed, ++number);
	printf("1..%u\n", number);
	return good;
}

static bool listed(const struct options *o)
{
	static char text[TEXT_MAX];
	unsigned number = 0;
	bool good = true;
	char *save = NULL;

	read_text(o->list, text);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long seed;
		char name[256];

		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%llu %255s", &seed, name) == 2)
			good &= one_of(o, name, seed, ++number);
	}
	printf("1..%u\n", number);
	return good;
}

/* Each invariant is broken once, and has to be found broken. */
static bool sabotaged(const struct options *o)
{
	static const struct {
		const char *name;
		const char *scenario; /* that looks at it; NULL: any */
	} rows[SABOTAGES] = {
		{ "nothing", NULL },       { "forge", NULL },
		{ "replay", NULL },        { "clear", NULL },
		{ "keys", NULL },          { "hole", NULL },
		{ "gone", NULL },          { "leak", NULL },
		{ "silence", "hub-dies" }, { "tokens", "hub-revives" },
		{ "deaf", "lossless" },    { "star", "star" },
		{ "eager", "shortcuts" },  { "idle", "shortcuts" },
		{ "detour", "shortcuts" }, { "chatty", "shortcuts" },
		{ "late", "prompt" },      { "rule", "hubs" },
		{ "relay", "hubs" },       { "directory", "hubs" },
		{ "twins", "hubs-mesh" },
	};
	bool good = true;

	for (unsigned i = SABOTAGE_NONE; i < SABOTAGES; i++) {
		struct options with = *o;
		struct scenario sc;
		bool found;

		load(rows[i].scenario ? rows[i].scenario : o->scenario, o->first, &sc);
		with.sabotage = i;
		found = !apart(&with, &sc, o->scenario, o->first, true);
		good &= found == (i != SABOTAGE_NONE);
		printf("%sok %u - %s\n", found == (i != SABOTAGE_NONE) ? "" : "not ", i + 1,
		       rows[i].name);
	}
	printf("1..%u\n", SABOTAGES);
	return good;
}

/* ---- growth -------------------------------------------------------------------------------- */

/* What a hub has to do for one site; in a second, but for `kib`, and in the case of tunnels for one
 * suggestion. */
struct share {
	double messages, bytes, cpu_us, kib;
	double words, probes, calls, tunnels;
};

static struct share share_of(const struct scenario *sc, const struct measured *m,
			     const struct sim_counts *c)
{
	double s = (double)m->span.ns / 1e9 * sc->sites,
	       n = c->suggested ? (double)c->suggested : 1;
	const struct load *l = &m->load;

	return (struct share){
		.messages = (double)(l->datagrams_in + l->datagrams_out) / s,
		.bytes = (double)(l->bytes_in + l->bytes_out) / s,
		.cpu_us = (double)l->cpu_ns / 1e3 / s,
		.kib = (double)m->bytes / 1024 / sc->sites,
		.words = (double)c->words / n,
		.probes = (double)c->probes / n,
		.calls = (double)c->calls / n,
		.tunnels = (double)c->direct / 2 / n,
	};
}

/* Give or take a fifth. */
static bool is_like(double a, double b)
{
	return a <= b * 1.2 + 0.01 && b <= a * 1.2 + 0.01;
}

static bool is_linear(const struct share *a, const struct share *b)
{
	return is_like(a->messages, b->messages) && is_like(a->bytes, b->bytes) &&
	       is_like(a->words, b->words) && is_like(a->probes, b->probes) &&
	       is_like(a->calls, b->calls);
}

static void print_share(unsigned sites, const char *what, const struct share *s)
{
	printf("# %6u  %-6s  %9.3f  %9.1f  %8.2f  %8.2f", sites, what, s->messages, s->bytes,
	       s->cpu_us, s->kib);
	if (s->words > 0)
		printf("  %7.1f  %7.1f  %7.1f  %7.2f", s->words, s->probes, s->calls, s->tunnels);
	printf("\n");
	fflush(stdout);
}

/* With so many sites; `first` is filled by the first run. */
static bool is_grown(const struct options *o, unsigned sites, struct share first[2])
{
	struct measured active, idle;
	struct sim_counts counts;
	struct share share[2];
	struct scenario sc;
	uint64_t hash;

	load(o->scenario, o->first, &sc);
	sc.sites = sites;
	counts = sim_run(&(struct sim_run){ .sc = &sc,
					    .seed = o->first,
					    .replay = o->scenario,
					    .active = &active,
					    .idle = &idle },
			 &hash);
	share[0] = share_of(&sc, &idle, &(struct sim_counts){ 0 });
	share[1] = share_of(&sc, &active, &counts);
	print_share(sites, "idle", &share[0]);
	print_share(sites, "active", &share[1]);
	if (first[1].messages <= 0)
		memcpy(first, share, sizeof(share));
	return is_linear(&share[0], &first[0]) && is_linear(&share[1], &first[1]);
}

static bool grown(const struct options *o)
{
	struct share first[2] = { 0 };
	const char *at = o->sites;
	unsigned n = 0;
	bool good = true;

	printf("#  sites          a site: in a second, at its hub                one suggestion\n"
	       "#                  messages      bytes    cpu us       KiB    words   probes"
	       "     IKE  tunnels\n");
	while (*at) {
		unsigned sites = (unsigned)number(at, &at);
		bool grew = is_grown(o, sites, first);

		printf("%sok %u - %u sites\n", grew ? "" : "not ", ++n, sites);
		good &= grew;
		at += *at == ',';
	}
	printf("1..%u\n", n);
	return good;
}

/* ---- the command line ---------------------------------------------------------------------- */

static void read_seeds(struct options *o, const char *word)
{
	const char *end;

	o->many = true;
	o->first = number(word, &end);
	if (strncmp(end, "..", 2) != 0)
		usage();
	o->last = number(end + 2, &end);
	if (*end)
		usage();
}

static void read_options(struct options *o, int argc, char **argv)
{
	const char *end;

	*o = (struct options){ .program = argv[0], .first = 1 };
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (strcmp(word, "-v") == 0)
			o->verbose = true;
		else if (strcmp(word, "--hub") == 0)
			o->hub = true;
		else if (strcmp(word, "--twice") == 0)
			o->twice = true;
		else if (strcmp(word, "--print") == 0)
			o->print = true;
		else if (strcmp(word, "--sabotage") == 0)
			o->sabotaged = true;
		else if (strcmp(word, "--seed") == 0 && i + 1 < argc)
			o->first = number(argv[++i], &end);
		else if (strcmp(word, "--seeds") == 0 && i + 1 < argc)
			read_seeds(o, argv[++i]);
		else if (strcmp(word, "--sites") == 0 && i + 1 < argc)
			o->sites = argv[++i];
		else if (strcmp(word, "--list") == 0 && i + 1 < argc)
			o->list = argv[++i];
		else if (word[0] != '-' && !o->scenario)
			o->scenario = word;
		else
			usage();
	}
	if (!o->list == !o->scenario)
		usage();
}

int main(int argc, char **argv)
{
	struct options o;

	mallopt(M_MMAP_THRESHOLD, PAGES_FROM);
	mallopt(M_TOP_PAD, 0);
	read_options(&o, argc, argv);
	if (o.list)
		return !listed(&o);
	if (o.sabotaged)
		return !sabotaged(&o);
	if (o.sites)
		return !grown(&o);
	if (o.many)
		return !seeds(&o);
	single(&o);
	return 0;
}
