/*
 * load.c - how much is demanded of everybody.
 *
 *	calm     nothing                        half-open SAs of one address count all the same
 *	cookies  return a cookie
 *	puzzles  solve a puzzle, or be lucky    who knows no puzzles draws lots, cookie in hand
 *	full     the same, and there is room    only in place of somebody who has shown less
 *
 * The level follows from half-open SAs, key exchanges outstanding, requests and failures in the
 * last second.  It rises at once and falls one by one, each time after IKE_LOAD_CALM_S seconds
 * below half of what raised it.
 */
#include "ike/internal.h"

const char *ike_load_name(enum ike_load level)
{
	static const char *const names[IKE_LOADS] = { "calm", "cookies", "puzzles", "full" };

	return level < IKE_LOADS ? names[level] : "unknown";
}

/* ---- pressure ----------------------------------------------------------------------------- */

void load_init(struct ike *ike)
{
	ike->admit.timer.kind = TIMER_LOAD;
	ike->admit.second = ike->now.mono;
}

/* Of the second under way and the one before it. */
static struct admit_rate busier(const struct admit *a)
{
	return (struct admit_rate){
		.requests = a->rate.requests > a->before.requests ? a->rate.requests
								  : a->before.requests,
		.failures = a->rate.failures > a->before.failures ? a->rate.failures
								  : a->before.failures,
	};
}

static void roll_rates(struct ike *ike)
{
	struct admit *a = &ike->admit;
	int64_t age = mono_since(ike->now.mono, a->second).ns;

	if (age < dur_s(1).ns)
		return;
	a->before = age < dur_s(2).ns ? a->rate : (struct admit_rate){ 0 };
	a->rate = (struct admit_rate){ 0 };
	a->second = age < dur_s(2).ns ? mono_add(a->second, dur_s(1)) : ike->now.mono;
}

void load_request(struct ike *ike)
{
	roll_rates(ike);
	ike->admit.rate.requests++;
	load_weigh(ike);
}

void load_failed(struct ike *ike)
{
	roll_rates(ike);
	ike->admit.rate.failures++;
}

unsigned load_failures(const struct ike *ike)
{
	return busier(&ike->admit).failures;
}

size_t load_auth_jobs(const struct ike *ike)
{
	return ike->n_jobs[CRYPTO_JOB_VERIFY] + ike->n_jobs[CRYPTO_JOB_SIGN] +
	       ike->n_jobs[CRYPTO_JOB_PSK_AUTH] + ike->n_jobs[CRYPTO_JOB_PPK];
}

static bool full(const struct ike *ike, unsigned by)
{
	size_t room = ike->conf->half_open_max - slots_for_known(ike);

	return slots_of_strangers(ike) * by >= room ||
	       ike->admit.bytes * by >= IKE_HALF_OPEN_BYTES ||
	       ike->n_jobs[CRYPTO_JOB_KE_RESPOND] * by >= IKE_WORK_FULL;
}

/* What the present pressure, `by` times as great, asks for. */
static enum ike_load pressure(const struct ike *ike, unsigned by)
{
	const struct ike_conf *c = ike->conf;
	const struct admit *a = &ike->admit;
	size_t half_open = ike->n_half_open * by;
	size_t work = ike->n_jobs[CRYPTO_JOB_KE_RESPOND] * by;
	size_t failures = (size_t)busier(a).failures * by,
	       requests = (size_t)busier(a).requests * by;

	if (full(ike, by))
		return IKE_LOAD_FULL;
	if (c->puzzle_max && (half_open >= c->half_open_puzzle || work >= IKE_WORK_PUZZLE ||
			      failures >= IKE_FAILURES_PUZZLE))
		return IKE_LOAD_PUZZLES;
	if (half_open >= c->half_open_cookie || work >= IKE_WORK_COOKIE ||
	    failures >= IKE_FAILURES_COOKIE || requests >= c->init_rate_cookie)
		return IKE_LOAD_COOKIES;
	return IKE_LOAD_CALM;
}

/* ---- the level ---------------------------------------------------------------------------- */

static const char *advice(enum ike_load level)
{
	static const char *const text[IKE_LOADS] = {
		[IKE_LOAD_CALM] = "nothing is demanded any more",
		[IKE_LOAD_COOKIES] =
			("newcomers have to return a cookie; peers that are up notice nothing. If "
			 "these are peers of yours after an outage there is nothing to do, else "
			 "see where they come from"),
		[IKE_LOAD_PUZZLES] =
			("newcomers have to solve a puzzle, few that cannot get in by lot, known "
			 "addresses need a cookie only. Have the worst prefix filtered before it "
			 "gets here; if all of them are peers of yours, raise half_open_puzzle"),
		[IKE_LOAD_FULL] =
			("newcomers only get in who have shown more than somebody who waits. Have "
			 "the worst prefix filtered before it gets here, or raise half_open_max if "
			 "memory allows"),
	};

	return text[level];
}

static void report(struct ike *ike, enum ike_load from)
{
	const struct crowd *c = crowd_largest(ike);
	char buf[IKE_EVENT_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	text_fmt(&t,
		 "load was %s and is %s now: %zu half-open IKE SAs (at most %u), %zu key exchanges "
		 "under way, %u requests and %u failures in a second",
		 ike_load_name(from), ike_load_name(ike->admit.level), ike->n_half_open,
		 ike->conf->half_open_max, (size_t)ike->n_jobs[CRYPTO_JOB_KE_RESPOND],
		 busier(&ike->admit).requests, busier(&ike->admit).failures);
	if (c)
		text_fmt(&t, ", most from %s (%zu)", prefix_text(&c->prefix, prefix), c->n);
	text_fmt(&t, "; %s", advice(ike->admit.level));
	event_emit(ike, IKE_EV_LOAD, (struct event_about){ 0 }, "%s", buf);
}

static void change(struct ike *ike, enum ike_load to)
{
	enum ike_load from = ike->admit.level;

	count(ike, to > from ? C_LOAD_RAISED : C_LOAD_LOWERED);
	ike->admit.level = to;
	ike->admit.calm = 0;
	report(ike, from);
}

/* Where nothing can push it below: cookies are always demanded with half_open_cookie = 0. */
static enum ike_load base_level(const struct ike *ike)
{
	return ike->conf->half_open_cookie ? IKE_LOAD_CALM : IKE_LOAD_COOKIES;
}

void load_weigh(struct ike *ike)
{
	enum ike_load want;

	roll_rates(ike);
	want = pressure(ike, 1);
	if (ike->admit.level < base_level(ike))
		ike->admit.level = base_level(ike);
	if (want > ike->admit.level)
		change(ike, want);
	if (ike->admit.level > base_level(ike) && !ike->admit.timer.armed)
		heap_arm(&ike->timers, &ike->admit.timer, mono_add(ike->now.mono, dur_s(1)));
}

void load_timer(struct ike *ike)
{
	struct admit *a = &ike->admit;

	roll_rates(ike);
	if (a->level > base_level(ike)) {
		a->calm = pressure(ike, 2) < a->level ? a->calm + 1 : 0;
		if (a->calm >= IKE_LOAD_CALM_S)
			change(ike, a->level - 1);
	}
	load_weigh(ike);
}

/* From the lowest difficulty that is worth asking for to the configured one, as slots fill up. */
uint8_t load_puzzle_bits(const struct ike *ike, bool crowded)
{
	unsigned most = ike->conf->puzzle_max, least = IKE_PUZZLE_MIN_BITS;
	size_t from = ike->conf->half_open_puzzle,
	       to = ike->conf->half_open_max - slots_for_known(ike);
	size_t n = slots_of_strangers(ike), step = 0;

	if (most > IKE_PUZZLE_RANGE + IKE_PUZZLE_MIN_BITS)
		least = most - IKE_PUZZLE_RANGE;
	if (most < least)
		return (uint8_t)least;
	if (n > from && to > from)
		step = (n - from) * (most - least) / (to - from);
	if (crowded)
		step++;
	return (uint8_t)(least + step < most ? least + step : most);
}

struct ike_load_info ike_load(const struct ike *ike)
{
	const struct crowd *c = crowd_largest(ike);
	struct ike_load_info info = {
		.level = ike->admit.level > base_level(ike) ? ike->admit.level : base_level(ike),
		.half_open = ike->n_half_open,
		.half_open_max = ike->conf->half_open_max,
		.known = ike->admit.n_proof[PROOF_KNOWN],
		.solved = ike->admit.n_proof[PROOF_SOLVED],
		.prefixes = ike->admit.crowds.count,
		.bytes = ike->admit.bytes,
		.key_exchanges = ike->n_jobs[CRYPTO_JOB_KE_RESPOND],
		.verifications = load_auth_jobs(ike),
		.puzzle_bits =
			ike->admit.level >= IKE_LOAD_PUZZLES ? load_puzzle_bits(ike, false) : 0,
	};

	if (c) {
		info.worst = c->prefix;
		info.worst_half_open = c->n;
	}
	return info;
}
