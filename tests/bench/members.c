/*
 * members - thousands of sites against one hub (see members.h).
 *
 *	members --hub ADDRESS --ca DIR [--hub-id ID] [--members N] [--dpd MS] [--retransmit MS]
 *		[--tries N] [--shortcuts]
 *
 * The caller makes 198.18.0.0/15 local to this network namespace and reachable from the hub.
 * Commands come from standard input, one line each, and are answered by one line of JSON when they
 * are done; the crowd lives on in between.  SECONDS is a limit, after which the answer says how far
 * it got.
 *
 *	join WINDOW [COUNT] SECONDS	connect all that are not, at most WINDOW at a time; of the
 *first COUNT members only leave WINDOW SECONDS	every member says goodbye to the hub stop WINDOW
 *SECONDS	every member says goodbye to everybody, for good direct COUNT SECONDS	until that
 *many ends of shortcuts are up, no more and no less await COUNT SECONDS	until that many are
 *up gone SECONDS		until none is up window N		from now on ping FROM
 *ADDRESS SECONDS	from the host of a member sweep WINDOW [STEP] SECONDS	every host pings
 *that of the next member, or of the one so many further on, through the hub or directly run SECONDS
 *nothing but to be there quit
 *
 * "ok" is whether it was reached.  "at_s" has the moments, counted from the command, by which 50,
 * 90, 99 and 100 per cent of those who came up during it were up; "took_ms" how long each had been
 * under way then, from the answer to its look-up, or the round trips of pings; "direct" how many
 * ends of shortcuts are up, and "direct_ms" how long each that came up meanwhile took from the
 * hub's suggestion to its end until packets got through.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/members.h"
#include "plat/clock.h"

void crowd_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("members: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static double seconds_since(mono_t from)
{
	return (double)mono_since(plat_mono(), from).ns / 1e9;
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* One command at work. */
struct phase {
	struct crowd *crowd;
	mono_t begun;
	mono_t limit;
	double cpu;
};

/* What a command may wait for. */
typedef bool done_fn(struct crowd *c, size_t arg);

static struct phase begin(struct crowd *c, double seconds)
{
	mono_t now = plat_mono();

	c->tally = (struct crowd_tally){ 0 };
	c->n_took = 0;
	return (struct phase){ c, now, mono_add(now, dur_ms((int64_t)(seconds * 1000))),
			       own_cpu() };
}

static bool in_time(const struct phase *p)
{
	return mono_before(plat_mono(), p->limit);
}

static int left_ms(const struct phase *p)
{
	int64_t ms = dur_to_ms(mono_since(p->limit, plat_mono()));

	return ms < 0 ? 0 : (int)ms + 1;
}

static bool run_until(struct phase *p, done_fn *done, size_t arg)
{
	while (!done(p->crowd, arg)) {
		if (!in_time(p))
			return false;
		crowd_turn(p->crowd, left_ms(p), -1);
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts `v`. */
static void print_shares(const char *name, double *v, size_t n)
{
	static const int share[] = { 50, 90, 99, 100 };

	if (n)
		qsort(v, n, sizeof(*v), by_value);
	printf(",\"%s\":{", name);
	for (size_t i = 0; n && i < ARRAY_LEN(share); i++)
		printf("%s\"%d\":%.3f", i ? "," : "", share[i],
		       v[(n * (size_t)share[i] + 99) / 100 - 1]);
	printf("}");
}

static void print_arrivals(const struct phase *p)
{
	struct crowd *c = p->crowd;
	double *at = calloc(2 * c->opt.members, sizeof(*at)), *took = at + c->opt.members;
	size_t n = 0;

	CROWD_NEED(at);
	for (size_t i = 0; i < c->opt.members; i++) {
		const struct member *m = &c->members[i];

		if (m->state != MEMBER_UP || mono_before(m->up, p->begun))
			continue;
		at[n] = (double)mono_since(m->up, p->begun).ns / 1e9;
		took[n++] = (double)mono_since(m->up, m->called).ns / 1e6;
	}
	print_shares("at_s", at, n);
	print_shares("took_ms", took, n);
	free(at);
}

static void print_tally(const struct crowd *c)
{
	const struct crowd_tally *t = &c->tally;

	printf(",\"sent\":%lu,\"received\":%lu,\"foreign\":%lu,\"probes\":%lu,\"tx_full\":%lu,"
	       "\"esp_sent\":%lu,\"by_hub\":%lu,\"esp_received\":%lu,\"esp_refused\":%lu,"
	       "\"events\":{",
	       t->sent, t->received, t->foreign, t->probes, t->tx_full, t->esp_sent, t->by_hub,
	       t->esp_received, t->esp_refused);
	for (int i = 0, n = 0; i < IKE_EVENTS; i++)
		if (t->events[i])
			printf("%s\"%s\":%lu", n++ ? "," : "",
			       ike_event_name((enum ike_event_kind)i), t->events[i]);
	printf("}");
}

static void answer_begin(const struct phase *p, const char *cmd, bool ok)
{
	printf("{\"cmd\":\"%s\",\"ok\":%s,\"seconds\":%.3f,\"up\":%zu,\"sas\":%zu,\"cpu_s\":%.3f",
	       cmd, ok ? "true" : "false", seconds_since(p->begun), p->crowd->n_up, p->crowd->n_sas,
	       own_cpu() - p->cpu);
	printf(",\"direct\":%zu", p->crowd->n_direct);
	print_shares("direct_ms", p->crowd->took, p->crowd->n_took);
	print_tally(p->crowd);
}

static void answer_end(void)
{
	printf("}\n");
	fflush(stdout);
}

/* ---- commands ------------------------------------------------------------------------------ */

static bool are_up(struct crowd *c, size_t n)
{
	return c->n_up >= n;
}

static bool none_up(struct crowd *c, size_t arg)
{
	(void)arg;
	return c->n_up == 0;
}

static bool are_direct(struct crowd *c, size_t n)
{
	return c->n_direct == n;
}

static bool never(struct crowd *c, size_t arg)
{
	(void)c;
	(void)arg;
	return false;
}

static void finish_await(struct phase *p, const char *cmd, size_t n)
{
	bool ok = run_until(p, are_up, n);

	answer_begin(p, cmd, ok);
	print_arrivals(p);
	answer_end();
}

static void do_join(struct crowd *c, size_t window, double seconds, size_t count)
{
	struct phase p = begin(c, seconds);

	CROWD_NEED(count <= c->opt.members);
	crowd_window(c, window, count);
	for (size_t i = 0; i < count; i++)
		if (c->members[i].state == MEMBER_DOWN)
			crowd_command(c, IKE_CMD_UP, i);
	finish_await(&p, "join", count);
}

static bool no_sa(struct crowd *c, size_t arg)
{
	(void)arg;
	return c->n_sas == 0;
}

/* Everybody goes, so many at a time: `window` more SAs than those of whoever stays. */
static void do_end(struct crowd *c, const char *cmd, enum ike_cmd_kind kind, size_t window,
		   double seconds)
{
	struct phase p = begin(c, seconds);
	size_t next = 0, staying = c->n_sas;
	bool ok;

	while (next < c->opt.members && in_time(&p)) {
		for (; next < c->opt.members && c->n_sas < staying + window; next++) {
			staying -= c->members[next].sas < staying ? c->members[next].sas : staying;
			crowd_command(c, kind, next);
		}
		crowd_turn(c, left_ms(&p), -1);
	}
	ok = run_until(&p, no_sa, 0) && next == c->opt.members;
	answer_begin(&p, cmd, ok);
	answer_end();
}

static void start_round(struct crowd *c)
{
	memset(c->ponged, 0, c->opt.members * sizeof(*c->ponged));
	c->ping_round++;
	c->pongs = 0;
}

static bool have_pongs(struct crowd *c, size_t n)
{
	return c->pongs >= n;
}

static void do_ping(struct crowd *c, size_t from, const char *to, double seconds)
{
	struct phase p = begin(c, seconds);
	struct ip ip;
	bool ok;

	CROWD_NEED(from < c->opt.members && ip_parse(to, &ip) == ST_OK);
	start_round(c);
	crowd_ping(c, from, &ip);
	ok = run_until(&p, have_pongs, 1);
	answer_begin(&p, "ping", ok);
	answer_end();
}

static void do_sweep(struct crowd *c, size_t window, double seconds, size_t step)
{
	struct phase p = begin(c, seconds);
	size_t n = c->opt.members, next = 0, k = 0;
	mono_t *asked = calloc(n, sizeof(*asked));
	double *took = calloc(n, sizeof(*took));
	bool ok;

	CROWD_NEED(asked && took);
	start_round(c);
	while (next < n && in_time(&p)) {
		for (; next < n && next < c->pongs + window; next++) {
			asked[next] = plat_mono();
			crowd_ping(c, next, &c->members[(next + step) % n].inner);
		}
		crowd_turn(c, left_ms(&p), -1);
	}
	ok = run_until(&p, have_pongs, n);
	for (size_t i = 0; i < n; i++)
		if (c->ponged[i].ns)
			took[k++] = (double)mono_since(c->ponged[i], asked[i]).ns / 1e6;
	answer_begin(&p, "sweep", ok);
	printf(",\"pongs\":%zu", c->pongs);
	print_shares("took_ms", took, k);
	answer_end();
	free(asked);
	free(took);
}

static void do_direct(struct crowd *c, size_t n, double seconds)
{
	struct phase p = begin(c, seconds);
	bool ok = run_until(&p, are_direct, n);

	answer_begin(&p, "direct", ok);
	answer_end();
}

static void do_simple(struct crowd *c, const char *cmd, done_fn *done, double seconds)
{
	struct phase p = begin(c, seconds);
	bool ok = run_until(&p, done, 0) || done == never;

	answer_begin(&p, cmd, ok);
	answer_end();
}

/* False: no more commands. */
static bool command(struct crowd *c, const char *line)
{
	char address[64];
	double seconds;
	size_t n, count, step;

	if (sscanf(line, "join %zu %zu %lf", &n, &count, &seconds) == 3) {
		do_join(c, n, seconds, count);
	} else if (sscanf(line, "join %zu %lf", &n, &seconds) == 2) {
		do_join(c, n, seconds, c->opt.members);
	} else if (sscanf(line, "leave %zu %lf", &n, &seconds) == 2) {
		do_end(c, "leave", IKE_CMD_DOWN, n, seconds);
	} else if (sscanf(line, "stop %zu %lf", &n, &seconds) == 2) {
		do_end(c, "stop", IKE_CMD_SHUTDOWN, n, seconds);
	} else if (sscanf(line, "direct %zu %lf", &n, &seconds) == 2) {
		do_direct(c, n, seconds);
	} else if (sscanf(line, "await %zu %lf", &n, &seconds) == 2) {
		struct phase p = begin(c, seconds);

		finish_await(&p, "await", n);
	} else if (sscanf(line, "gone %lf", &seconds) == 1) {
		do_simple(c, "gone", none_up, seconds);
	} else if (sscanf(line, "run %lf", &seconds) == 1) {
		do_simple(c, "run", never, seconds);
	} else if (sscanf(line, "window %zu", &n) == 1) {
		crowd_window(c, n, c->opt.members);
		do_simple(c, "window", never, 0);
	} else if (sscanf(line, "ping %zu %63s %lf", &n, address, &seconds) == 3) {
		do_ping(c, n, address, seconds);
	} else if (sscanf(line, "sweep %zu %zu %lf", &n, &step, &seconds) == 3) {
		do_sweep(c, n, seconds, step);
	} else if (sscanf(line, "sweep %zu %lf", &n, &seconds) == 2) {
		do_sweep(c, n, seconds, 1);
	} else if (!strcmp(line, "quit\n")) {
		return false;
	} else {
		crowd_fail("no such command: %s", line);
	}
	return true;
}

/* The other end waits for each answer, so that a read gives one whole line. */
static bool next_command(struct crowd *c)
{
	char line[256];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = 0;
	return command(c, line);
}

/* ---- options ------------------------------------------------------------------------------- */

static struct crowd_options parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hub", required_argument, NULL, 'h' },
		{ "ca", required_argument, NULL, 'c' },
		{ "hub-id", required_argument, NULL, 'i' },
		{ "members", required_argument, NULL, 'n' },
		{ "dpd", required_argument, NULL, 'd' },
		{ "retransmit", required_argument, NULL, 'r' },
		{ "tries", required_argument, NULL, 't' },
		{ "shortcuts", no_argument, NULL, 's' },
		{ 0 },
	};
	/* The defaults of warren.conf. */
	struct crowd_options opt = { .members = 10000,
				     .hub_id = "hub.example",
				     .dpd_delay = dur_s(30),
				     .retransmit_timeout = dur_s(2),
				     .retransmit_tries = 5 };
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'h': CROWD_NEED(ip_parse(optarg, &opt.hub) == ST_OK); break;
		case 'c': opt.ca = optarg; break;
		case 'i': opt.hub_id = optarg; break;
		case 'n': opt.members = strtoul(optarg, NULL, 10); break;
		case 'd': opt.dpd_delay = dur_ms(strtol(optarg, NULL, 10)); break;
		case 'r': opt.retransmit_timeout = dur_ms(strtol(optarg, NULL, 10)); break;
		case 't': opt.retransmit_tries = (unsigned)strtoul(optarg, NULL, 10); break;
		case 's': opt.shortcuts = true; break;
		default: exit(2);
		}
	}
	if (!opt.ca || !opt.hub.family || opt.members < 2 || opt.members > MEMBERS_MAX)
		crowd_fail("usage: members --hub ADDRESS --ca DIR [--members 2..%d] ...",
			   MEMBERS_MAX);
	return opt;
}

int main(int argc, char **argv)
{
	static struct crowd c;
	struct phase p;

	c.opt = parse(argc, argv);
	p = begin(&c, 0);
	c.ponged = calloc(c.opt.members, sizeof(*c.ponged));
	CROWD_NEED(c.ponged);
	crowd_make_sites(&c);
	crowd_open(&c);
	answer_begin(&p, "ready", true);
	answer_end();
	while (!crowd_turn(&c, -1, STDIN_FILENO) || next_command(&c))
		;
	crowd_close(&c);
	crowd_free_sites(&c);
	free(c.ponged);
	return 0;
}
