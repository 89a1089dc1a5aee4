#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

#include "ike/ike.h"
#include "ike/limits.h"

/* ---- units --------------------------------------------------------------------------------- */

enum unit {
	U_TIME,
	U_SHARE, /* parts of a million */
	U_RATE, /* bytes in a second */
	U_NUMBER,
};

struct unit_word {
	enum unit unit;
	const char *word;
	int64_t factor;
};

/* Of one unit, largest first: as they are written. */
static const struct unit_word unit_words[] = {
	{ U_TIME, "d", 86400000000000 }, { U_TIME, "h", 3600000000000 },
	{ U_TIME, "m", 60000000000 },    { U_TIME, "s", 1000000000 },
	{ U_TIME, "ms", 1000000 },       { U_TIME, "us", 1000 },
	{ U_SHARE, "%", 10000 },         { U_SHARE, "ppm", 1 },
	{ U_RATE, "Gbit", 125000000 },   { U_RATE, "Mbit", 125000 },
	{ U_RATE, "kbit", 125 },         { U_NUMBER, "", 1 },
};

/* A number with at most three decimals, times 1000. */
static bool thousandths(const char **at, const char *end, int64_t *ret)
{
	const char *p = *at;
	int64_t v = 0;
	int decimals = -1;

	for (; p < end && ((*p >= '0' && *p <= '9') || (*p == '.' && decimals < 0)); p++) {
		if (*p == '.') {
			decimals = 0;
			continue;
		}
		if (v > INT64_MAX / 100000 || decimals == 3)
			return false;
		v = v * 10 + (*p - '0');
		decimals += decimals >= 0;
	}
	if (p == *at)
		return false;
	for (int i = decimals < 0 ? 0 : decimals; i < 3; i++)
		v *= 10;
	*at = p;
	*ret = v;
	return true;
}

static bool value(const char *word, size_t n, enum unit unit, int64_t *ret)
{
	const char *at = word;
	int64_t v;

	if (!thousandths(&at, word + n, &v))
		return false;
	if (v == 0 && at == word + n) {
		*ret = 0;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(unit_words); i++) {
		const struct unit_word *u = &unit_words[i];

		if (u->unit != unit || strlen(u->word) != (size_t)(word + n - at) ||
		    memcmp(u->word, at, strlen(u->word)) != 0)
			continue;
		if (u->factor < 1000 ? v % 1000 != 0 && v * u->factor % 1000 != 0
				     : v > INT64_MAX / u->factor)
			return false;
		*ret = u->factor < 1000 ? v * u->factor / 1000 : v * (u->factor / 1000);
		return true;
	}
	return false;
}

static bool range_of(const char *word, enum unit unit, struct range *ret)
{
	const char *dots = strstr(word, "..");
	struct range r;

	if (!value(word, dots ? (size_t)(dots - word) : strlen(word), unit, &r.lo))
		return false;
	r.hi = r.lo;
	if (dots && !value(dots + 2, strlen(dots + 2), unit, &r.hi))
		return false;
	*ret = r;
	return r.lo <= r.hi;
}

static void value_text(struct text *t, enum unit unit, int64_t v)
{
	if (v == 0) {
		text_add(t, "0");
		return;
	}
	/* The largest unit in which it has no decimals, else the last one. */
	for (size_t i = 0; i < ARRAY_LEN(unit_words); i++) {
		const struct unit_word *u = &unit_words[i];

		if (u->unit != unit)
			continue;
		if (v % u->factor == 0) {
			text_fmt(t, "%lld%s", (long long)(v / u->factor), u->word);
			return;
		}
	}
	text_fmt(t, "%lld", (long long)v);
}

static void range_text(struct text *t, enum unit unit, const struct range *r)
{
	value_text(t, unit, r->lo);
	if (r->hi == r->lo)
		return;
	text_add(t, "..");
	value_text(t, unit, r->hi);
}

/* ---- what a line may say ------------------------------------------------------------------- */

enum shape {
	S_RANGE,
	S_DUR, /* an int64_t */
	S_UNSIGNED,
	S_WORD, /* an unsigned: which of `words` */
};

static const char *const yes_no[] = { "no", "yes", NULL };
static const char *const routability[] = { "no", "before", "after", NULL };
static const char *const swift[] = { "no", "silence", "tokens", NULL };
static const char *const no_yes[] = { "yes", "no", NULL };
static const char *const partners[] = { "next", "hub", NULL };
static const char *const hubs_call[] = { "earlier", "all", NULL };
static const char *const topologies[] = { "none", "star", "dynamic", "mesh", NULL };

static const struct setting {
	const char *word;
	enum shape shape;
	enum unit unit;
	size_t offset;
	int64_t max;
	const char *const *words;
} settings[] = {
#define AT(member) offsetof(struct scenario, member)
	{ "hubs", S_UNSIGNED, U_NUMBER, AT(hubs), SCENARIO_HUBS, NULL },
	{ "sites", S_UNSIGNED, U_NUMBER, AT(sites), SCENARIO_SITES, NULL },
	{ "lasts", S_DUR, U_TIME, AT(lasts), 0, NULL },
	{ "arrival", S_RANGE, U_TIME, AT(arrival), 0, NULL },
	{ "delay", S_RANGE, U_TIME, AT(delay), 0, NULL },
	{ "jitter", S_RANGE, U_TIME, AT(jitter), 0, NULL },
	{ "hub-delay", S_RANGE, U_TIME, AT(hub_delay), 0, NULL },
	{ "loss", S_RANGE, U_SHARE, AT(loss), 1000000, NULL },
	{ "duplicates", S_RANGE, U_SHARE, AT(duplicates), 1000000, NULL },
	{ "reordering", S_RANGE, U_SHARE, AT(reordering), 1000000, NULL },
	{ "bandwidth", S_RANGE, U_RATE, AT(bandwidth), 0, NULL },
	{ "nat", S_DUR, U_SHARE, AT(nat), 1000000, NULL },
	{ "nat-shared", S_DUR, U_SHARE, AT(nat_shared), 1000000, NULL },
	{ "nat-timeout", S_RANGE, U_TIME, AT(nat_timeout), 0, NULL },
	{ "queue", S_DUR, U_TIME, AT(queue), 0, NULL },
	{ "endpoints", S_DUR, U_SHARE, AT(endpoints), 1000000, NULL },
	{ "disk", S_RANGE, U_TIME, AT(disk), 0, NULL },
	{ "jobs", S_RANGE, U_TIME, AT(jobs), 0, NULL },
	{ "dpd", S_DUR, U_TIME, AT(dpd), 0, NULL },
	{ "keepalive", S_DUR, U_TIME, AT(keepalive), 0, NULL },
	{ "retransmit", S_DUR, U_TIME, AT(retransmit), 0, NULL },
	{ "tries", S_UNSIGNED, U_NUMBER, AT(tries), 20, NULL },
	{ "rekey", S_DUR, U_TIME, AT(rekey), 0, NULL },
	{ "ike-rekey", S_DUR, U_TIME, AT(ike_rekey), 0, NULL },
	{ "reauth", S_DUR, U_TIME, AT(reauth), 0, NULL },
	{ "certificates", S_DUR, U_TIME, AT(certificates), 0, NULL },
	{ "mobike", S_WORD, U_NUMBER, AT(mobike), 0, yes_no },
	{ "routability", S_WORD, U_NUMBER, AT(routability), 0, routability },
	{ "silence", S_WORD, U_NUMBER, AT(silent), 0, no_yes },
	{ "swift", S_WORD, U_NUMBER, AT(swift), 0, swift },
	{ "lossless", S_WORD, U_NUMBER, AT(lossless), 0, yes_no },
	{ "partner", S_WORD, U_NUMBER, AT(to_hub), 0, partners },
	{ "trips", S_UNSIGNED, U_NUMBER, AT(trips), 100, NULL },
	{ "traffic", S_RANGE, U_TIME, AT(traffic), 0, NULL },
	{ "talk", S_RANGE, U_TIME, AT(talk), 0, NULL },
	{ "topology", S_WORD, U_NUMBER, AT(topology), 0, topologies },
	{ "named", S_RANGE, U_NUMBER, AT(named), SCENARIO_HUBS, NULL },
	{ "hubs-call", S_WORD, U_NUMBER, AT(hubs_call), 0, hubs_call },
	{ "hub-arrival", S_RANGE, U_TIME, AT(hub_arrival), 0, NULL },
	{ "apart", S_DUR, U_SHARE, AT(apart), 1000000, NULL },
	{ "words-lost", S_DUR, U_SHARE, AT(words_lost), 1000000, NULL },
	{ "words-twice", S_DUR, U_SHARE, AT(words_twice), 1000000, NULL },
	{ "words-late", S_RANGE, U_TIME, AT(words_late), 0, NULL },
	{ "idle", S_DUR, U_TIME, AT(idle), 0, NULL },
	{ "after", S_DUR, U_TIME, AT(after), 0, NULL },
	{ "retry", S_DUR, U_TIME, AT(retry), 0, NULL },
	{ "retry-max", S_DUR, U_TIME, AT(retry_max), 0, NULL },
	{ "prompt", S_WORD, U_NUMBER, AT(prompt), 0, yes_no },
	{ "bound", S_DUR, U_TIME, AT(bound), 0, NULL },
#undef AT
};

static const struct act_word {
	const char *word;
	bool span; /* `for` */
	bool by;
	enum unit unit; /* of `by` */
} act_words[ACTS] = {
	[ACT_CUT] = { "cut", true, false, U_TIME },
	[ACT_DEAFEN] = { "deafen", true, false, U_TIME },
	[ACT_MUTE] = { "mute", true, false, U_TIME },
	[ACT_LOSE] = { "lose", true, true, U_SHARE },
	[ACT_CRASH] = { "crash", true, false, U_TIME },
	[ACT_RESTART] = { "restart", true, false, U_TIME },
	[ACT_SLOW] = { "slow", true, true, U_TIME },
	[ACT_MOVE] = { "move", true, false, U_TIME },
	[ACT_FORGET] = { "forget", false, false, U_TIME },
	[ACT_AHEAD] = { "ahead", true, true, U_TIME },
	[ACT_BEHIND] = { "behind", true, true, U_TIME },
	[ACT_SLOW_DISK] = { "slow-disk", true, true, U_TIME },
	[ACT_FULL_DISK] = { "full-disk", true, false, U_TIME },
	[ACT_FENCE] = { "fence", true, false, U_TIME },
	[ACT_STAR] = { "star", true, false, U_TIME },
	[ACT_WITHDRAW] = { "withdraw", false, false, U_TIME },
	[ACT_SEVER] = { "sever", true, true, U_NUMBER },
	[ACT_STEER] = { "steer", true, false, U_TIME },
	[ACT_HOP] = { "hop", false, false, U_TIME },
	[ACT_CALM] = { "calm", false, false, U_TIME },
};

static const char *const whom_words[WHOMS] = {
	[WHOM_SITE] = "site", [WHOM_SITES] = "sites", [WHOM_HUB] = "hub",
	[WHOM_HUBS] = "hubs", [WHOM_ANY] = "any",     [WHOM_ALL] = "all",
};

void scenario_init(struct scenario *sc)
{
	/* conf/schema.c has the same defaults. */
	*sc = (struct scenario){
		.name = "unnamed",
		.hubs = 1,
		.delay = { 5000000, 40000000 },
		.hub_delay = { 1000000, 1000000 },
		.bandwidth = { 1250000, 125000000 },
		.queue = dur_ms(200),
		.nat_timeout = { 30000000000, 300000000000 },
		.dpd = dur_s(30),
		.keepalive = dur_s(20),
		.retransmit = dur_s(2),
		.tries = 6,
		.rekey = dur_s(3600),
		.ike_rekey = dur_s(4 * 3600),
		.mobike = 1,
		.routability = IKE_ROUTABILITY_BEFORE,
		.traffic = { 10000000000, 30000000000 },
		.idle = dur_s(60),
		.retry = dur_s(10),
		.retry_max = dur_s(600),
	};
}

/* ---- reading ------------------------------------------------------------------------------- */

enum { WORDS_MAX = 12, WORD_MAX = 48 };

struct line {
	char word[WORDS_MAX][WORD_MAX];
	unsigned n, at;
};

static bool split(const char *p, const char *end, struct line *ret)
{
	*ret = (struct line){ 0 };
	while (p < end && *p != '#') {
		size_t n = 0;

		if (*p == ' ' || *p == '\t' || *p == '\r') {
			p++;
			continue;
		}
		while (p + n < end && !strchr(" \t\r#", p[n]))
			n++;
		if (ret->n == WORDS_MAX || n >= WORD_MAX)
			return false;
		memcpy(ret->word[ret->n++], p, n);
		p += n;
	}
	return true;
}

static const char *next(struct line *l)
{
	return l->at < l->n ? l->word[l->at++] : "";
}

static bool read_word(struct line *l, const struct setting *s, unsigned *ret)
{
	const char *word = next(l);

	for (unsigned i = 0; s->words[i]; i++)
		if (strcmp(s->words[i], word) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static bool read_setting(struct line *l, const struct setting *s, struct scenario *sc)
{
	uint8_t *to = (uint8_t *)sc + s->offset;
	struct range r;

	if (s->shape == S_WORD)
		return read_word(l, s, (unsigned *)(void *)to);
	if (!range_of(next(l), s->unit, &r) || (s->max && r.hi > s->max))
		return false;
	if (s->shape != S_RANGE && r.lo != r.hi)
		return false;
	if (s->shape == S_RANGE)
		*(struct range *)(void *)to = r;
	else if (s->shape == S_DUR)
		((dur_t *)(void *)to)->ns = r.lo;
	else
		*(unsigned *)(void *)to = (unsigned)r.lo;
	return true;
}

static bool read_act(struct line *l, struct fault *f)
{
	const char *word = next(l);

	for (f->act = 0; f->act < ACTS; f->act++)
		if (strcmp(act_words[f->act].word, word) == 0)
			break;
	if (f->act == ACTS || f->act == ACT_CALM)
		return f->act == ACT_CALM;
	word = next(l);
	for (f->whom = 0; f->whom < WHOMS; f->whom++)
		if (strcmp(whom_words[f->whom], word) == 0)
			return true;
	return false;
}

static bool read_fault(struct line *l, bool once, struct scenario *sc)
{
	struct fault f = { .once = once };
	struct range period;
	bool span = false, by = false;

	if (!range_of(next(l), U_TIME, &period) || period.lo != period.hi || !read_act(l, &f))
		return false;
	f.period.ns = period.lo;
	if (!once && period.lo <= 0)
		return false;
	while (l->at < l->n) {
		const char *word = next(l);

		if (strcmp(word, "for") == 0 && !span)
			span = range_of(next(l), U_TIME, &f.span);
		else if (strcmp(word, "by") == 0 && !by)
			by = range_of(next(l), act_words[f.act].unit, &f.by);
		else
			return false;
	}
	if (span != act_words[f.act].span || by != act_words[f.act].by ||
	    sc->n_faults == SCENARIO_FAULTS)
		return false;
	sc->fault[sc->n_faults++] = f;
	return true;
}

static bool read_line(struct line *l, struct scenario *sc)
{
	const char *word = next(l);

	if (strcmp(word, "every") == 0 || strcmp(word, "at") == 0)
		return read_fault(l, word[0] == 'a', sc);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (strcmp(settings[i].word, word) == 0)
			return read_setting(l, &settings[i], sc);
	return false;
}

/* Without a mesh, hubs do not know each other. */
static bool several_hubs_ok(const struct scenario *sc)
{
	if (sc->apart && sc->sites > SCENARIO_APART)
		return false;
	return sc->hubs == 1 ||
	       (!sc->endpoints && !sc->prompt && (sc->to_hub || sc->topology != TOPOLOGY_NONE));
}

enum status scenario_parse(const char *text, struct text *why, struct scenario *sc)
{
	unsigned number = 1;

	for (const char *p = text; *p; number++) {
		const char *end = strchr(p, '\n') ? strchr(p, '\n') : p + strlen(p);
		struct line l;

		if (!split(p, end, &l) || (l.n && (!read_line(&l, sc) || l.at != l.n))) {
			text_fmt(why, "line %u: not understood: %.*s", number, (int)(end - p), p);
			return ST_INVAL;
		}
		p = *end ? end + 1 : end;
	}
	if (sc->sites && sc->hubs && sc->lasts.ns > 0 && several_hubs_ok(sc) &&
	    (!sc->talk.hi || (sc->sites > 1 && !sc->to_hub)))
		return ST_OK;
	text_add(why, "it needs `sites` and `lasts`, with several `hubs` also `partner hub` or a "
		      "`topology`, and no `endpoints`, nor `prompt`; `talk` needs several sites "
		      "that ask each other; `apart` no more than 16 sites");
	return ST_INVAL;
}

/* ---- writing ------------------------------------------------------------------------------- */

void scenario_fault_text(const struct fault *f, struct text *t)
{
	const struct act_word *a = &act_words[f->act];

	text_add(t, f->once ? "at " : "every ");
	value_text(t, U_TIME, f->period.ns);
	text_fmt(t, " %s", a->word);
	if (f->act != ACT_CALM)
		text_fmt(t, " %s", whom_words[f->whom]);
	if (a->by) {
		text_add(t, " by ");
		range_text(t, a->unit, &f->by);
	}
	if (a->span) {
		text_add(t, " for ");
		range_text(t, U_TIME, &f->span);
	}
	text_add(t, "\n");
}

static struct range setting_of(const struct scenario *sc, const struct setting *s)
{
	const uint8_t *from = (const uint8_t *)sc + s->offset;
	int64_t v;

	if (s->shape == S_RANGE)
		return *(const struct range *)(const void *)from;
	v = s->shape == S_DUR ? ((const dur_t *)(const void *)from)->ns
			      : *(const unsigned *)(const void *)from;
	return (struct range){ v, v };
}

void scenario_text(const struct scenario *sc, struct text *t)
{
	struct scenario usual;

	scenario_init(&usual);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];
		struct range r = setting_of(sc, s), u = setting_of(&usual, s);

		if (r.lo == u.lo && r.hi == u.hi)
			continue;
		text_fmt(t, "%s ", s->word);
		if (s->shape == S_WORD)
			text_add(t, s->words[r.lo]);
		else
			range_text(t, s->unit, &r);
		text_add(t, "\n");
	}
	for (unsigned i = 0; i < sc->n_faults; i++)
		scenario_fault_text(&sc->fault[i], t);
}

/* ---- the bound ----------------------------------------------------------------------------- */

/*
 * The worst that the timers of the engine add up to, one after the other: a request goes out that
 * is still under way when the network heals, the peer counts as dead after all its retransmissions,
 * and the pause before the next attempt is the longest there is.  Then the other end has to come to
 * the same conclusion.  Losses while all is well cost a retransmission or two on top.
 */
static int64_t round_trip(const struct scenario *sc)
{
	return 4 * (sc->delay.hi + sc->jitter.hi);
}

/* A packet is not answered, so the peer is asked; then there are an IKE SA and its child, and the
 * next packet is answered. */
static int64_t anew(const struct scenario *sc)
{
	return 2 * sc->traffic.hi + dur_ms(DP_SILENCE_MS).ns + 6 * round_trip(sc) + 8 * sc->jobs.hi;
}

/* Until no answer is suspicious (limits.h); a token is more than that. */
static int64_t suspicion(const struct scenario *sc)
{
	int64_t wait = dur_ms(IKE_QUICK_WAIT_MS).ns;

	if (sc->swift == SWIFT_TOKENS)
		return 0;
	if (wait < 2 * round_trip(sc))
		wait = 2 * round_trip(sc);
	return IKE_QUICK_TRIES * wait;
}

dur_t scenario_bound(const struct scenario *sc)
{
	int64_t wait = sc->retransmit.ns, sum = 0;

	if (sc->bound.ns)
		return sc->bound;
	if (sc->swift)
		return (dur_t){ anew(sc) + suspicion(sc) };
	for (unsigned i = 0; i <= sc->tries; i++) {
		sum += wait;
		wait = wait / 10 * 18;
	}
	/* One hub after the other. */
	if (sc->hubs > 1 && sc->topology != TOPOLOGY_NONE)
		sum *= sc->hubs;
	return (dur_t){ sc->dpd.ns + sum + (int64_t)IKE_RETRY_LAST_S * 1250000000 +
			3 * (sc->traffic.hi + sc->jobs.hi + sc->retransmit.ns * 3) };
}
