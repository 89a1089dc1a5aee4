/* Suggestions that a site does not take: docs/protocol/shortcut.md section 5.2 (R11, S1). */
#include "exchange/shortcut.h"

struct change {
	const char *name;
	void (*change)(struct play *p, struct wire_mesh *m);
	enum wire_mesh_reason reason;
	const char *text; /* what the hub reads */
};

static void other_context(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->context = bytes_str("other");
}

static void other_own(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->own = play_ident("somebody.example");
}

static void with_itself(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->partner = play_ident(ONE);
}

static void with_a_hub(struct play *p, struct wire_mesh *m)
{
	(void)p;
	m->partner = play_ident("hub.example");
}

static void remote_is(struct play *p, struct wire_mesh *m, uint8_t authority, const char *ts)
{
	m->ts_remote[0] = (struct wire_mesh_ts){ authority, play_ts(p, ts) };
}

#define REMOTE(name, ts)                                                                           \
	static void name(struct play *p, struct wire_mesh *m)                                      \
	{                                                                                          \
		remote_is(p, m, IKE_AUTHORITY_CERT, ts);                                           \
	}
REMOTE(outside, "192.168.0.0/16")
REMOTE(outside_partly, "8.0.0.0/5")
REMOTE(multicast, "224.0.0.0/4")
REMOTE(loopback, "127.0.0.0/8")
REMOTE(link_local, "169.254.7.0/24")
REMOTE(unspecified, "0.0.0.0")
REMOTE(all, "0.0.0.0/0")
REMOTE(multicast_6, "ff02::/16")
REMOTE(link_local_6, "fe80::/64")
REMOTE(loopback_6, "::1")
REMOTE(ours, "10.1.2.0/24")
REMOTE(ours_and_more, "10.0.0.0/14")

static void local_is(struct play *p, struct wire_mesh *m, const char *ts)
{
	m->ts_local[0] = (struct wire_mesh_ts){ IKE_AUTHORITY_CERT, play_ts(p, ts) };
}

static void nothing_ours(struct play *p, struct wire_mesh *m)
{
	local_is(p, m, "10.9.0.0/16");
}

static void pool(struct play *p, struct wire_mesh *m)
{
	m->ts_remote[1] = (struct wire_mesh_ts){ IKE_AUTHORITY_POOL, play_ts(p, "10.130.0.0/16") };
	m->n_ts_remote = 2;
}

static void by_rule(struct play *p, struct wire_mesh *m)
{
	remote_is(p, m, IKE_AUTHORITY_RULE, "10.2.0.0/16");
}

static const struct change changes[] = {
	{ "context", other_context, WIRE_MR_CONTEXT, "\"other\"" },
	{ "own identity", other_own, WIRE_MR_IDENTITY,
	  "for \"somebody.example\", and this is \"site-1.example\"" },
	{ "itself", with_itself, WIRE_MR_IDENTITY, "ourselves" },
	{ "hub", with_a_hub, WIRE_MR_IDENTITY, "which is a hub" },
	{ "outside", outside, WIRE_MR_SELECTORS, "192.168.0.0/16 of the partner is not inside 10" },
	{ "partly outside", outside_partly, WIRE_MR_SELECTORS, "not inside 10.0.0.0/8" },
	{ "multicast", multicast, WIRE_MR_SELECTORS, "224.0.0.0/4 is nothing" },
	{ "loopback", loopback, WIRE_MR_SELECTORS, "127.0.0.0/8 is nothing" },
	{ "link-local", link_local, WIRE_MR_SELECTORS, "169.254.7.0/24 is nothing" },
	{ "unspecified", unspecified, WIRE_MR_SELECTORS, "is nothing" },
	{ "everything", all, WIRE_MR_SELECTORS, "is nothing" },
	{ "multicast, IPv6", multicast_6, WIRE_MR_SELECTORS, "is nothing" },
	{ "link-local, IPv6", link_local_6, WIRE_MR_SELECTORS, "is nothing" },
	{ "loopback, IPv6", loopback_6, WIRE_MR_SELECTORS, "is nothing" },
	{ "ours", ours, WIRE_MR_SELECTORS,
	  "10.1.2.0/24 of the partner overlaps what is protected "
	  "here: 10.1.0.0/16" },
	{ "ours and more", ours_and_more, WIRE_MR_SELECTORS, "overlaps" },
	{ "nothing of ours", nothing_ours, WIRE_MR_SELECTORS,
	  "10.9.0.0/16, and what is protected here, 10.1.0.0/16" },
	{ "pool of somebody", pool, WIRE_MR_AUTHORITY,
	  "10.130.0.0/16 is of a pool that the hub's certificate does not have" },
	{ "rule", by_rule, WIRE_MR_AUTHORITY, "10.2.0.0/16 is the partner's by a rule" },
};

/* A hub of half of the network. */
static void play_narrow_hub(struct play *p, uint64_t seed)
{
	play_init(p, seed);
	test_conf_cert_blocks(p->s.ch, p->s.ph, STAR_HUB_KEY, STAR_CA, STAR_CA, "10.0.0.0/9");
	p->s.ph->domain = p->s.ph->ts_local = test_conf_ts(p->s.ch, "10.0.0.0/9");
}

static void each_check_has_its_reason_and_both_values(void **state)
{
	struct node_shortcut s;
	struct wire_mesh m;
	char counter[64];
	struct play p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		play_narrow_hub(&p, 10 + i);
		play_start(&p);
		m = play_suggestion(&p, 1, 1, 2);
		changes[i].change(&p, &m);
		play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
		world_run(p.w);
		play_refused(&p, changes[i].reason, changes[i].text);
		snprintf(counter, sizeof(counter), "mesh.refused.%s",
			 wire_mesh_reason_name(changes[i].reason));
		assert_int_equal(node_counter(p.one, counter), 1);
		assert_int_equal(node_counter(p.one, "mesh.taken"), 0);
		assert_int_equal(node_counter(p.one, "mesh.tx.probes"), 0);
		if (bytes_eq(m.partner.data, bytes_str(TWO)) &&
		    changes[i].reason != WIRE_MR_CONTEXT) {
			s = play_look(p.one, TWO);
			assert_string_equal(s.info.state, "failed");
			assert_int_equal(s.info.reason, changes[i].reason);
		}
		assert_int_equal(ike_totals(p.one->ike).peers, 1);
		play_done(&p);
	}
}

/* S1: what one partner has no other one gets; a longer prefix inside it is no conflict. */
static void what_another_one_has(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 9);
	play_suggest(&p, 7, 1, 2);
	world_run(p.w);
	m = play_suggestion(&p, 8, 1, 3);
	m.ts_remote[0] = play_prefix(&p, 2);
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_run(p.w);
	play_refused(&p, WIRE_MR_CONFLICT,
		     "10.2.0.0/16 of the partner is what another one has here, \"site-2.example\"");
	assert_int_equal(node_counter(p.one, "mesh.refused.conflict"), 1);
	m = play_suggestion(&p, 9, 1, 3);
	remote_is(&p, &m, IKE_AUTHORITY_CERT, "10.2.3.0/24");
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_run(p.w);
	assert_int_equal(node_counter(p.one, "mesh.taken"), 2);
	/* Nothing else than the same one again is in its own way. */
	play_suggest(&p, 6, 1, 2);
	world_run(p.w);
	assert_int_equal(node_counter(p.one, "mesh.taken"), 3);
	play_done(&p);
}

static void who_announced_no_hub_is_none(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 2);
	p.s.ph->capabilities = IKE_CAN_PARTNER;
	play_start(&p);
	play_suggest(&p, 1, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_NOT_A_HUB, "has not announced");
	assert_int_equal(node_counter(p.one, "mesh.rx.not_a_hub"), 1);
	play_done(&p);
}

/* What a rule of the hub or its pool gives is good enough where hubs are trusted. */
static void trusted_hub(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		play_narrow_hub(&p, 3);
		p.site[1].net->trust_hub = true;
		play_start(&p);
		m = play_suggestion(&p, 1, 1, 2);
		(i ? by_rule : pool)(&p, &m);
		play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
		world_run(p.w);
		play_accepted(&p);
		play_done(&p);
	}
}

/* A pool inside the certificate of the hub that says so is its to give. */
static void pool_of_the_hub(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 4);
	m = play_suggestion(&p, 1, 1, 2);
	pool(&p, &m);
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_run(p.w);
	play_accepted(&p);
	assert_string_equal(play_look(p.one, TWO).ts_remote, "10.2.0.0/16, 10.130.0.0/16");
	play_done(&p);
}

/* What its certificate does not have the partner does not get, whatever the hub says. */
static void certificate_has_the_last_word(void **state)
{
	struct wire_mesh m;
	struct play p;

	(void)state;
	play_up(&p, 5);
	m = play_suggestion(&p, 1, 1, 2);
	remote_is(&p, &m, IKE_AUTHORITY_CERT, "10.77.0.0/16");
	play_say(&p, 1, WIRE_N_SHORTCUT_SUGGEST, &m);
	m = play_suggestion(&p, 1, 2, 1);
	play_say(&p, 2, WIRE_N_SHORTCUT_SUGGEST, &m);
	world_live(p.w, dur_s(12));
	assert_string_equal(play_state(p.one), "failed");
	assert_string_equal(play_state(p.two), "failed");
	assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_FAILED);
	play_nothing_left(&p);
	assert_true(star_ping(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

static void local_policy(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 6);
	p.site[1].net->takes = false;
	p.site[2].net->max = 0;
	play_start(&p);
	play_suggest(&p, 1, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_POLICY, "turned off");
	play_suggest(&p, 1, 2, 1);
	world_run(p.w);
	play_refused(&p, WIRE_MR_LIMIT, "0 shortcuts are up or under way here, and 0");
	play_done(&p);
}

static void limit_counts_those_under_way(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 7);
	p.site[1].net->max = 1;
	play_start(&p);
	play_suggest(&p, 5, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	play_suggest(&p, 6, 1, 3);
	world_run(p.w);
	play_refused(&p, WIRE_MR_LIMIT, "1 shortcuts are up or under way here, and 1 are allowed");
	/* One that takes its place is no more than there was. */
	play_suggest(&p, 4, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	play_done(&p);
}

static void suggestions_in_a_second(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 8);
	for (unsigned i = 0; i <= MESH_SUGGESTIONS_PER_S; i++) {
		play_suggest(&p, (uint8_t)(i + 1), 1, 1);
		world_run(p.w);
		if (i < MESH_SUGGESTIONS_PER_S)
			play_refused(&p, WIRE_MR_IDENTITY, "ourselves");
	}
	play_refused(&p, WIRE_MR_LIMIT, "more than 100 suggestions in a second");
	assert_int_equal(node_counter(p.one, "mesh.rx.flood"), 1);
	assert_int_equal(node_events(p.one, IKE_EV_SHORTCUT_FAILED), MESH_REFUSALS_TOLD);
	world_live(p.w, dur_s(1));
	play_suggest(&p, 200, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	play_done(&p);
}

/* ---- twice ----------------------------------------------------------------------------------- */

static void same_id_twice(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 20);
	play_suggest(&p, 9, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	play_suggest(&p, 9, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_DUPLICATE, "taken already");
	world_live(p.w, dur_s(11));
	assert_string_equal(play_state(p.one), "failed");
	/* Over, and still valid; then void. */
	play_suggest(&p, 9, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_OLDER, "is over");
	world_live(p.w, dur_s(60));
	play_suggest(&p, 9, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	play_done(&p);
}

static void lower_id_wins(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 21);
	play_suggest(&p, 5, 1, 2);
	world_run(p.w);
	play_suggest(&p, 6, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_OLDER, "whose id is lower");
	play_suggest(&p, 4, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	assert_int_equal(play_look(p.one, TWO).info.id[0], 4);
	assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_REPLACED);
	assert_int_equal(play_report(&p, 1).id[0], 5);
	assert_int_equal(ike_totals(p.one->ike).peers, 2);
	play_done(&p);
}

/* Two hubs at once, in every order at both: one tunnel, the same. */
static void two_suggestions_one_tunnel(void **state)
{
	struct play p;

	(void)state;
	for (unsigned order = 0; order < 4; order++) {
		play_up(&p, 22 + order);
		play_suggest(&p, order & 1 ? 5 : 6, 1, 2);
		play_suggest(&p, order & 2 ? 5 : 6, 2, 1);
		play_suggest(&p, order & 1 ? 6 : 5, 1, 2);
		play_suggest(&p, order & 2 ? 6 : 5, 2, 1);
		world_live(p.w, dur_ms(500));
		assert_true(play_is_up(&p));
		assert_memory_equal(play_look(p.one, TWO).info.id, play_look(p.two, ONE).info.id,
				    WIRE_MESH_ID);
		assert_int_equal(ike_totals(p.one->ike).sas, 2);
		assert_int_equal(ike_totals(p.two->ike).sas, 2);
		assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
		play_done(&p);
	}
}

static void up_is_up(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 27);
	play_both_up(&p, 9);
	play_suggest(&p, 1, 1, 2);
	world_run(p.w);
	play_refused(&p, WIRE_MR_DUPLICATE, "there is a tunnel already");
	assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

static void say_booted(struct play *p, uint8_t id, unsigned to, unsigned with, uint64_t boot)
{
	struct wire_mesh m = play_suggestion(p, id, to, with);

	m.boot = boot;
	m.present |= 1u << WIRE_MA_BOOT;
	play_say(p, to, WIRE_N_SHORTCUT_SUGGEST, &m);
}

/* The partner has started again: what there was with it is nothing any more. */
static void another_boot(void **state)
{
	struct play p;

	(void)state;
	play_up(&p, 28);
	say_booted(&p, 9, 1, 2, 1111);
	say_booted(&p, 9, 2, 1, 2222);
	world_live(p.w, dur_ms(300));
	assert_true(play_is_up(&p));
	say_booted(&p, 10, 1, 2, 1111);
	world_run(p.w);
	play_refused(&p, WIRE_MR_DUPLICATE, "tunnel");
	node_restart(p.two);
	world_run(p.w);
	say_booted(&p, 11, 1, 2, 3333);
	say_booted(&p, 11, 2, 1, 2222);
	world_live(p.w, dur_ms(500));
	assert_true(play_is_up(&p));
	assert_int_equal(play_look(p.one, TWO).info.id[0], 11);
	world_live(p.w, dur_s(25));
	assert_int_equal(ike_totals(p.one->ike).sas, 2);
	assert_true(star_ping_direct(&p.s, p.one, 1, p.two, 2));
	play_done(&p);
}

/* One whose partner does not answer is worth less than a new suggestion. */
static void suspect_is_replaced(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 29);
	p.site[1].p->dpd_delay = dur_s(2);
	p.site[1].p->silence = true;
	play_start(&p);
	p.one->looks = true;
	play_both_up(&p, 9);
	p.two->unplugged = true;
	for (int i = 0; i < 20 && !node_event(p.one, IKE_EV_SUSPECT); i++) {
		node_packet(p.one, "10.1.0.1", "10.2.0.1");
		world_live(p.w, dur_ms(100));
	}
	assert_non_null(node_event(p.one, IKE_EV_SUSPECT));
	assert_string_equal(play_state(p.one), "up");
	play_suggest(&p, 10, 1, 2);
	world_run(p.w);
	play_accepted(&p);
	assert_int_equal(play_look(p.one, TWO).info.id[0], 10);
	assert_int_equal(play_report(&p, 1).outcome, WIRE_MO_LOST);
	play_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_check_has_its_reason_and_both_values),
		cmocka_unit_test(what_another_one_has),
		cmocka_unit_test(who_announced_no_hub_is_none),
		cmocka_unit_test(trusted_hub),
		cmocka_unit_test(pool_of_the_hub),
		cmocka_unit_test(certificate_has_the_last_word),
		cmocka_unit_test(local_policy),
		cmocka_unit_test(limit_counts_those_under_way),
		cmocka_unit_test(suggestions_in_a_second),
		cmocka_unit_test(same_id_twice),
		cmocka_unit_test(lower_id_wins),
		cmocka_unit_test(two_suggestions_one_tunnel),
		cmocka_unit_test(up_is_up),
		cmocka_unit_test(another_boot),
		cmocka_unit_test(suspect_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
