/*
 * warren-sim - runs scenarios (docs/simulator.md).
 *
 *	warren-sim [-v] [--seed N] SCENARIO
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

enum { TEXT_MAX = 65536 };

static void usage(void)
{
	fputs("usage: warren-sim [-v] [--seed N] SCENARIO\n", stderr);
	exit(2);
}

static void read_scenario(const char *path, struct scenario *sc)
{
	static char text[TEXT_MAX];
	char buf[256];
	struct text why = TEXT_OF(buf);
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	const char *slash = strrchr(path, '/');

	if (!f || n == sizeof(text) - 1) {
		fprintf(stderr, "warren-sim: cannot read %s\n", path);
		exit(2);
	}
	fclose(f);
	text[n] = '\0';
	scenario_init(sc);
	snprintf(sc->name, sizeof(sc->name), "%s", slash ? slash + 1 : path);
	if (scenario_parse(text, &why, sc) != ST_OK) {
		fprintf(stderr, "%s: %s\n", path, buf);
		exit(2);
	}
}

static void report(const struct scenario *sc, const struct sim_counts *c, uint64_t seed,
		   uint64_t hash, double seconds)
{
	printf("%s seed %llu hash %016llx: %u sites, %lld s in %.1f s; %llu events, %llu datagrams "
	       "(%llu ESP, %llu lost), %llu faults, %llu SAs, %llu calms, answers %llu of %llu\n",
	       sc->name, (unsigned long long)seed, (unsigned long long)hash, sc->sites,
	       (long long)(sc->lasts.ns / 1000000000), seconds, (unsigned long long)c->events,
	       (unsigned long long)c->datagrams, (unsigned long long)c->esp,
	       (unsigned long long)c->lost, (unsigned long long)c->faults,
	       (unsigned long long)c->sas, (unsigned long long)c->checks,
	       (unsigned long long)c->answered, (unsigned long long)c->asked);
}

int main(int argc, char **argv)
{
	static struct scenario sc;
	struct sim_counts counts;
	uint64_t seed = 1, hash;
	bool verbose = false;
	char replay[512];
	clock_t began;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "-v") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else
			usage();
	}
	if (i + 1 != argc)
		usage();
	read_scenario(argv[i], &sc);
	snprintf(replay, sizeof(replay), "%s --seed %llu %s", argv[0], (unsigned long long)seed,
		 argv[i]);
	began = clock();
	counts = sim_run(&sc, seed, replay, verbose, &hash);
	report(&sc, &counts, seed, hash, (double)(clock() - began) / CLOCKS_PER_SEC);
	return 0;
}
