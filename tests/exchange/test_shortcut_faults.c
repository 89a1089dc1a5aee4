/* A site without memory has no shortcut, and everything else (R11). */
#include "exchange/shortcut.h"

static bool is_settled(const struct node *n)
{
	const char *s = play_state(n);

	return !*s || !strcmp(s, "up") || !strcmp(s, "failed") || !strcmp(s, "ended");
}

static void life(struct play *p)
{
	struct wire_mesh m;

	play_suggest_both(p, 7);
	world_live(p->w, dur_ms(20));
	m = play_suggestion(p, 7, 1, 2);
	m.candidates[m.n_candidates++] = play_at(WIRE_MC_SEEN, "198.51.100.9", 4500);
	m.sequence = 1;
	m.present = 1u << WIRE_MA_CANDIDATE | 1u << WIRE_MA_SEQUENCE;
	play_say(p, 1, WIRE_N_SHORTCUT_CANDIDATES, &m);
	world_live(p->w, dur_s(1));
	m.reason = WIRE_MR_POLICY;
	m.present = 1u << WIRE_MA_REASON;
	play_say(p, 1, WIRE_N_SHORTCUT_WITHDRAW, &m);
	play_suggest(p, 9, 1, 2);
	world_live(p->w, dur_s(1));
	play_suggest(p, 8, 1, 2);
	play_suggest(p, 8, 2, 1);
	play_suggest(p, 8, 1, 1);
	world_live(p->w, dur_s(1));
}

/* Whatever came of it: both come to an end, and a suggestion later there is a tunnel. */
static void afterwards(struct play *p)
{
	world_live(p->w, dur_s(15));
	assert_true(is_settled(p->one) && is_settled(p->two));
	world_live(p->w, dur_s(60));
	play_nothing_left(p);
	assert_true(star_ping(&p->s, p->one, 1, p->two, 2));
	play_suggest_both(p, 20);
	world_live(p->w, dur_s(1));
	assert_true(play_is_up(p));
	assert_true(star_ping_direct(&p->s, p->one, 1, p->two, 2));
}

static void each_allocation_refused(bool at_two)
{
	bool more = true;

	for (long n = 0; more; n++) {
		struct play p;
		struct node *victim;

		play_up(&p, 1);
		victim = at_two ? p.two : p.one;
		victim->mem.fail_at = victim->mem.calls + n;
		life(&p);
		more = victim->mem.refused > 0;
		victim->mem.fail_at = -1;
		afterwards(&p);
		play_done(&p);
		assert_in_range(n, 0, 5000);
	}
}

static void at_who_calls(void **state)
{
	(void)state;
	each_allocation_refused(false);
}

static void at_who_is_called(void **state)
{
	(void)state;
	each_allocation_refused(true);
}

/* And none at all for a while. */
static void nothing_for_a_while(void **state)
{
	struct play p;

	(void)state;
	for (long n = 0; n < 400; n += 7) {
		play_up(&p, 2);
		p.one->mem.fail_at = p.one->mem.calls + n;
		p.one->mem.fail_on = true;
		life(&p);
		p.one->mem.fail_at = -1;
		p.one->mem.fail_on = false;
		world_live(p.w, dur_s(60));
		afterwards(&p);
		play_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_who_calls),
		cmocka_unit_test(at_who_is_called),
		cmocka_unit_test(nothing_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
