/*
 * A hub and its sites: who may join, what a member may source, and on whose word (R01, R05, S1,
 * T1).
 */
#include "exchange/exchange.h"
#include "harness/star.h"
#include "ike/limits.h"

static int setup_star(void **state)
{
	static struct star s;

	star_init(&s, 1);
	*state = &s;
	return 0;
}

static int teardown_star(void **state)
{
	star_done(*state);
	return 0;
}

#define star_test(fn) cmocka_unit_test_setup_teardown(fn, setup_star, teardown_star)

/* The selectors of a node's only child, remote end. */
static void child_has(const struct node *n, const char *remote)
{
	const struct dp_child *c = node_child(n);
	char buf[512];
	struct text t = TEXT_OF(buf);

	policy_ts_list_text(&t, &c->ts_remote);
	assert_string_equal(buf, remote);
}

/* The same of the hub's child for that member. */
static const struct dp_child *member_child(const struct star *s, const char *name)
{
	ike_peer_id id = star_member(s, name);

	for (size_t i = 0; i < s->hub->n_children; i++)
		if (s->hub->child[i].child.peer == id)
			return &s->hub->child[i].child;
	return NULL;
}

static void member_has(const struct star *s, const char *name, const char *remote)
{
	const struct dp_child *c = member_child(s, name);
	char buf[512];
	struct text t = TEXT_OF(buf);

	assert_non_null(c);
	policy_ts_list_text(&t, &c->ts_remote);
	assert_string_equal(buf, remote);
}

static void add_rules(struct star *s, const char *const rule[][2], size_t n)
{
	struct ike_member_rule r[4];

	for (size_t i = 0; i < n; i++)
		r[i] = (struct ike_member_rule){ test_conf_ident(s->ch, rule[i][0]),
						 test_conf_ts(s->ch, rule[i][1]) };
	s->ph->rules = (const void *)test_conf_dup(s->ch, bytes_of(r, n * sizeof(r[0]))).p;
	s->ph->n_rules = n;
}

/* ---- joining -------------------------------------------------------------------------------- */

/* R01: three sites reach each other by the hub; a fourth joins; each is a peer of its own. */
static void sites_meet_at_the_hub(void **state)
{
	struct star *s = *state;
	struct node *site[5];
	char buf[256];

	star_hub(s);
	for (unsigned i = 1; i <= 3; i++)
		site[i] = star_join(s, i);
	for (unsigned a = 1; a <= 3; a++)
		for (unsigned b = 1; b <= 3; b++)
			assert_true(a == b || star_ping(s, site[a], a, site[b], b));
	site[4] = star_join(s, 4);
	assert_true(star_ping(s, site[4], 4, site[1], 1));
	assert_true(star_ping(s, site[2], 2, site[4], 4));
	/* Two exchanges each, and not a word more. */
	assert_int_equal(s->hub->sent, 4 * 2);
	child_has(site[1], "10.0.0.0/8");
	member_has(s, "site-3.example", "10.3.0.0/16");
	assert_true(star_member(s, "site-1.example") >= IKE_PEER_DYNAMIC);
	assert_int_not_equal(star_member(s, "site-1.example"), star_member(s, "site-2.example"));
	assert_string_equal(
		node_authority(s->hub, star_member(s, "site-2.example"), buf, sizeof(buf)),
		"10.2.0.0/16 by certificate blocks 10.2.0.0/16");
	assert_string_equal(node_event(s->hub, IKE_EV_CHILD_UP)->peer_name, "site-4.example");
	assert_string_equal(node_event(s->hub, IKE_EV_CHILD_UP)->identity, "site-4.example");
	/* Packets from an address that is not its own come from nobody. */
	assert_false(world_ping(s->w, site[1], "10.1.0.1", s->hub, "172.16.0.1"));
}

/* A member taken down by command; the others notice nothing. */
static void one_member_is_taken_down(void **state)
{
	struct star *s = *state;
	struct node *one, *two;
	unsigned sent;

	star_hub(s);
	one = star_join(s, 1);
	two = star_join(s, 2);
	sent = two->sent;
	assert_int_equal(node_command(s->hub, IKE_CMD_UP, star_member(s, "site-1.example")),
			 ST_INVAL);
	assert_int_equal(node_command(s->hub, IKE_CMD_DOWN, star_member(s, "site-1.example")),
			 ST_OK);
	world_run(s->w);
	assert_int_equal(star_member(s, "site-1.example"), 0);
	assert_int_equal(one->n_children, 0);
	/* It is wanted there, so it comes back. */
	world_live(s->w, dur_s(30));
	assert_true(star_is_up(s, one, 1));
	assert_true(star_ping(s, one, 1, two, 2));
	assert_int_equal(two->sent, sent);
	/* All members are the section's. */
	assert_int_equal(node_command(s->hub, IKE_CMD_DOWN, STAR_PEER), ST_OK);
	world_run(s->w);
	assert_int_equal(s->hub->n_children, 0);
}

/* An instance lives as long as its SA, and its number is never given out again. */
static void instances_go_with_their_last_sa(void **state)
{
	struct star *s = *state;
	ike_peer_id last = 0;
	struct node *one;
	size_t blocks = 0;

	star_hub(s);
	one = star_join(s, 1);
	for (int i = 0; i < 5; i++) {
		ike_peer_id id = star_member(s, "site-1.example");

		assert_true(id > last);
		last = id;
		assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
		world_live(s->w, dur_s(30));
		assert_int_equal(star_member(s, "site-1.example"), 0);
		if (i)
			assert_int_equal(s->hub->mem.live, blocks);
		blocks = s->hub->mem.live;
		assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
		world_run(s->w);
		assert_true(star_is_up(s, one, 1));
	}
}

/* INITIAL_CONTACT (RFC 7296 section 2.4) of one member is about that member. */
static void a_member_that_restarted_replaces_itself(void **state)
{
	struct star *s = *state;
	struct node *one, *two;
	unsigned sent;

	star_hub(s);
	one = star_join(s, 1);
	two = star_join(s, 2);
	sent = two->sent;
	node_restart(one);
	world_run(s->w);
	assert_true(star_is_up(s, one, 1));
	assert_int_equal(ike_totals(s->hub->ike).sas, 2);
	assert_int_equal(s->hub->n_children, 2);
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 0);
	world_live(s->w, dur_s(100));
	assert_int_equal(two->sent, sent);
	assert_true(star_ping(s, one, 1, two, 2));
}

/* The same identity twice at the same moment, every order of their messages: one SA is left, and no
 * prefix is lost on the way. */
static void one_identity_connects_twice_at_once(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 32; order++) {
		struct star s;
		struct star_site a, b;
		struct node *one, *twin;

		star_init(&s, 100 + order);
		star_hub(&s);
		a = star_site(&s, 1, NULL, NULL);
		b = star_site(&s, 2, "10.1.0.0/16", "10.1.0.0/16");
		b.p->local_id = a.p->local_id;
		test_conf_cert_blocks(b.c, b.p, STAR_HUB_KEY + 1, STAR_CA, STAR_CA, "10.1.0.0/16");
		one = star_start(&s, &a);
		twin = star_start(&s, &b);
		for (unsigned i = 0; world_packet(s.w, 0); i++) {
			size_t n = world_packets(s.w);

			world_deliver(s.w, world_packet(s.w, (order >> (i % 5) & 1) % n));
		}
		assert_int_equal(node_events(s.hub, IKE_EV_CONFLICT), 0);
		assert_int_equal(node_command(twin, IKE_CMD_DOWN, STAR_PEER), ST_OK);
		node_kill(twin);
		world_live(s.w, dur_s(300));
		assert_true(star_is_up(&s, one, 1));
		assert_int_equal(ike_totals(s.hub->ike).sas, 1);
		assert_int_equal(s.hub->n_children, 1);
		member_has(&s, "site-1.example", "10.1.0.0/16");
		star_done(&s);
	}
}

/* ---- authority (S1) ------------------------------------------------------------------------- */

/* S1: what a site announces beyond its own is cut away. */
static void claims_are_narrowed(void **state)
{
	struct star *s = *state;
	struct star_site mallory;
	struct node *victim, *n;

	star_hub(s);
	victim = star_join(s, 1);
	mallory = star_site(s, 2, NULL, "10.0.0.0/8");
	n = star_start(s, &mallory);
	world_run(s->w);
	assert_true(star_is_up(s, n, 2));
	member_has(s, "site-2.example", "10.2.0.0/16");
	assert_true(star_ping(s, n, 2, victim, 1));
}

/* S1: a site that announces only what is not its own: no child, the reason at both ends, and it
 * asks again, less and less often. */
static void what_is_not_its_own(void **state)
{
	struct star *s = *state;
	struct star_site mallory;
	struct node *victim, *n;

	star_hub(s);
	victim = star_join(s, 1);
	mallory = star_site(s, 2, NULL, "10.1.0.0/16");
	n = star_start(s, &mallory);
	world_run(s->w);
	assert_int_equal(n->n_children, 0);
	says(s->hub, IKE_EV_REFUSED, "they offer 10.1.0.0/16; we allow 10.2.0.0/16");
	says(s->hub, IKE_EV_REFUSED, "certificate blocks 10.2.0.0/16");
	because(s->hub, IKE_EV_REFUSED, IKE_R_AUTHORISATION);
	assert_string_equal(node_event(s->hub, IKE_EV_REFUSED)->peer_name, "site-2.example");
	assert_non_null(strstr(node_peer(s->hub, star_member(s, "site-2.example")).last_error,
			       "10.2.0.0/16"));
	assert_non_null(strstr(node_peer(n, STAR_PEER).last_error, "TS_UNACCEPTABLE"));
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 0);
	world_live(s->w, dur_s(600));
	/* In the IKE SA that it has. */
	assert_in_range(node_events(n, IKE_EV_REFUSED), 5, 20);
	assert_int_equal(node_events(n, IKE_EV_CONNECTING), 1);
	assert_int_equal(ike_totals(s->hub->ike).sas, 2);
	assert_true(star_is_up(s, victim, 1));
	assert_true(world_ping(s->w, victim, "10.1.0.1", s->hub, "10.9.0.1"));
}

/* Neither blocks nor a rule: it is who it says, and may source nothing. */
static void no_blocks_and_no_rule(void **state)
{
	struct star *s = *state;
	struct star_site plain;
	struct node *n;

	star_hub(s);
	plain = star_site(s, 2, "-", NULL);
	n = star_start(s, &plain);
	world_run(s->w);
	assert_int_equal(n->n_children + s->hub->n_children, 0);
	says(s->hub, IKE_EV_REFUSED, "no address blocks and no member rule names it");
	because(s->hub, IKE_EV_REFUSED, IKE_R_AUTHORISATION);
	assert_non_null(strstr(node_peer(n, STAR_PEER).last_error, "TS_UNACCEPTABLE"));
}

/* A rule counts instead of the blocks, the first one that matches; others have their blocks. */
static void rule_beats_blocks(void **state)
{
	static const char *const rules[][2] = { { "site-1.example", "10.66.0.0/16" },
						{ "*.example", "10.2.7.0/24" },
						{ "site-2.example", "10.2.0.0/16" } };
	struct star *s = *state;
	struct star_site one, two;
	char buf[256];

	add_rules(s, rules, ARRAY_LEN(rules));
	star_hub(s);
	one = star_site(s, 1, "-", "10.66.0.0/16 10.1.0.0/16");
	two = star_site(s, 2, NULL, NULL);
	star_start(s, &one);
	star_start(s, &two);
	world_run(s->w);
	member_has(s, "site-1.example", "10.66.0.0/16");
	member_has(s, "site-2.example", "10.2.7.0/24");
	assert_string_equal(
		node_authority(s->hub, star_member(s, "site-2.example"), buf, sizeof(buf)),
		"10.2.7.0/24 by member rule \"*.example\" 10.2.7.0/24");
}

/* Nobody speaks for addresses outside the domain, whatever his certificate says. */
static void the_domain_is_the_limit(void **state)
{
	struct star *s = *state;
	struct star_site wide;
	struct node *n;

	star_hub(s);
	wide = star_site(s, 2, "10.2.0.0/16 192.168.0.0/16", "192.168.1.0/24 10.2.1.0/24");
	n = star_start(s, &wide);
	world_run(s->w);
	assert_int_equal(n->n_children, 1);
	member_has(s, "site-2.example", "10.2.1.0/24");
}

/* Each prefix is a route: a range that takes too many is refused in words. */
static void a_range_of_too_many_prefixes(void **state)
{
	struct star *s = *state;
	struct star_site odd;
	struct node *n;

	star_done(s);
	star_init(s, 2);
	s->ph->domain = s->ph->ts_local = test_conf_ts(s->ch, "fd00::/16");
	star_hub(s);
	odd = star_site(s, 2, "fd00::/16", "fd00::1-fd00:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
	odd.p->domain = test_conf_ts(odd.c, "fd00::/16");
	n = star_start(s, &odd);
	world_run(s->w);
	assert_int_equal(n->n_children, 0);
	says(s->hub, IKE_EV_REFUSED, "takes more than 64 prefixes");
	because(s->hub, IKE_EV_REFUSED, IKE_R_SELECTORS);
}

/* ---- two who may have the same -------------------------------------------------------------- */

static struct star_site claimant(struct star *s, unsigned number, const char *prefix)
{
	return star_site(s, number, prefix, prefix);
}

/* Who has a prefix up keeps it, whoever that is; when it leaves, the other gets it. */
static void first_holds(void **state)
{
	(void)state;
	for (unsigned second = 1; second <= 2; second++) {
		unsigned first = 3 - second;
		struct star s;
		struct star_site a, b;
		struct node *holder, *other;
		char name[2][32];

		star_init(&s, 200 + second);
		star_hub(&s);
		a = claimant(&s, first, "10.5.0.0/16");
		b = claimant(&s, second, "10.5.0.0/16");
		snprintf(name[0], sizeof(name[0]), "site-%u.example", first);
		snprintf(name[1], sizeof(name[1]), "site-%u.example", second);
		holder = star_start(&s, &a);
		world_run(s.w);
		other = star_start(&s, &b);
		world_run(s.w);
		assert_true(star_is_up(&s, holder, first));
		assert_int_equal(other->n_children, 0);
		assert_int_equal(node_events(s.hub, IKE_EV_CONFLICT), 1);
		says(s.hub, IKE_EV_CONFLICT, "10.5.0.0/16");
		says(s.hub, IKE_EV_CONFLICT, name[0]);
		says(s.hub, IKE_EV_CONFLICT, name[1]);
		says(s.hub, IKE_EV_CONFLICT, "keeps it until its SA ends");
		because(s.hub, IKE_EV_CONFLICT, IKE_R_CONFLICT);
		assert_string_equal(node_event(s.hub, IKE_EV_CONFLICT)->peer_name, name[1]);
		assert_non_null(
			strstr(node_peer(s.hub, star_member(&s, name[1])).last_error, name[0]));
		world_live(s.w, dur_s(100));
		assert_true(star_is_up(&s, holder, first));
		/* Renewing does not lose it. */
		node_restart(holder);
		world_live(s.w, dur_s(100));
		assert_true(star_is_up(&s, holder, first));
		assert_int_equal(other->n_children, 0);
		assert_int_equal(node_command(holder, IKE_CMD_DOWN, STAR_PEER), ST_OK);
		world_live(s.w, dur_s(100));
		assert_true(star_is_up(&s, other, second));
		member_has(&s, name[1], "10.5.0.0/16");
		star_done(&s);
	}
}

/* A holder that is gone without a word is asked, and its prefix is free the sooner. */
static void a_dead_holder_lets_go(void **state)
{
	struct star *s = *state;
	struct star_site a, b;
	struct node *holder, *other;

	star_hub(s); /* without dead-peer detection of its own */
	a = claimant(s, 1, "10.5.0.0/16");
	b = claimant(s, 2, "10.5.0.0/16");
	holder = star_start(s, &a);
	world_run(s->w);
	node_kill(holder);
	other = star_start(s, &b);
	world_run(s->w);
	assert_int_equal(other->n_children, 0);
	world_live(s->w, dur_s(120));
	assert_true(star_is_up(s, other, 2));
}

/* The rest of what it may have, it gets: of one selector as well. */
static void the_rest_is_granted(void **state)
{
	struct star *s = *state;
	struct star_site a, b;

	star_hub(s);
	a = claimant(s, 1, "10.5.0.0/16");
	b = star_site(s, 2, "10.4.0.0/15 10.7.0.0/16", "10.4.0.0/16 10.5.0.0/16 10.7.0.0/16");
	star_start(s, &a);
	world_run(s->w);
	star_start(s, &b);
	world_run(s->w);
	member_has(s, "site-2.example", "10.4.0.0/16, 10.7.0.0/16");
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 1);
	/* As a range: 10.5.0.0/16 and 10.6.0.0/16. */
	b = star_site(s, 3, "10.5.0.0-10.6.255.255", "10.5.0.0-10.6.255.255");
	star_start(s, &b);
	world_run(s->w);
	member_has(s, "site-3.example", "10.6.0.0/16");
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 2);
}

/* S1: who was granted no less than the holder does not get its traffic by asking for the halves. */
static void no_conflict_is_avoided_by_cutting(void **state)
{
	struct star *s = *state;
	struct star_site a, b;

	star_hub(s);
	a = claimant(s, 1, "10.5.0.0/16");
	b = star_site(s, 2, "10.5.0.0/16 10.7.0.0/16", "10.5.0.0/17 10.5.128.0/17 10.7.0.0/24");
	star_start(s, &a);
	star_start(s, &b);
	world_run(s->w);
	member_has(s, "site-1.example", "10.5.0.0/16");
	member_has(s, "site-2.example", "10.7.0.0/24");
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 1);
	says(s->hub, IKE_EV_CONFLICT, "10.5.128.0/17 is up for site-1.example");
}

/* A longer prefix inside a shorter one, granted so, is no conflict: the longest decides where a
 * packet goes. */
static void nested_prefixes(void **state)
{
	struct star *s = *state;
	struct star_site wide, narrow;
	struct node *w, *n, *asker;

	star_hub(s);
	wide = claimant(s, 1, "10.5.0.0/16");
	narrow = claimant(s, 2, "10.5.200.0/24");
	w = star_start(s, &wide);
	n = star_start(s, &narrow);
	world_run(s->w);
	asker = star_join(s, 3);
	assert_int_equal(node_events(s->hub, IKE_EV_CONFLICT), 0);
	assert_true(world_ping_via(s->w, asker, "10.3.0.1", s->hub, n, "10.5.200.1"));
	assert_true(world_ping_via(s->w, asker, "10.3.0.1", s->hub, w, "10.5.201.1"));
}

/* ---- the hub, as a site sees it (R05) ------------------------------------------------------- */

/* Somebody else's engine at the hub's address, with a certificate of the same authority. */
static struct node *impostor(struct star *s, const char *identity, const char *blocks,
			     const char *answers)
{
	s->ph->local_id = test_conf_ident(s->ch, identity);
	test_conf_cert_blocks(s->ch, s->ph, 77, STAR_CA, STAR_CA, blocks);
	s->ph->ts_local = s->ph->domain = test_conf_ts(s->ch, answers);
	star_hub(s);
	return s->hub;
}

/* R05: a member is no hub, even with a certificate that we trust. */
static void a_member_poses_as_the_hub(void **state)
{
	struct star *s = *state;
	struct star_site site = star_site(s, 1, NULL, NULL);
	struct node *n;

	impostor(s, "site-9.example", "10.9.0.0/16", "10.0.0.0/8");
	n = star_start(s, &site);
	world_run(s->w);
	assert_int_equal(n->n_children + s->hub->n_children, 0);
	assert_int_equal(node_events(n, IKE_EV_SA_UP), 0);
	says(n, IKE_EV_REFUSED, "site-9.example is no hub of \"corp\"");
	says(n, IKE_EV_REFUSED, "hub.example");
	says(n, IKE_EV_REFUSED, "10.9.0.0/16");
	because(n, IKE_EV_REFUSED, IKE_R_IDENTITY);
	says(s->hub, IKE_EV_REFUSED, "does not accept our authentication");
	assert_string_equal(node_event(n, IKE_EV_REFUSED)->identity, "site-9.example");
	assert_int_equal(ike_totals(s->hub->ike).sas, 0);
}

/* Its name is another than the one we know, and its blocks say that it is the network's. */
static void a_hub_by_its_blocks(void **state)
{
	struct star *s = *state;
	struct star_site site = star_site(s, 1, NULL, NULL);
	struct node *n;

	impostor(s, "hub-7.example", "10.0.0.0/8", "10.0.0.0/8");
	n = star_start(s, &site);
	world_run(s->w);
	assert_int_equal(n->n_children, 1);
	child_has(n, "10.0.0.0/8");
}

/* What a hub answers lies in its blocks, and in the domain. */
static void a_hub_that_answers_too_much(void **state)
{
	static const struct {
		const char *blocks, *answers, *domain, *words;
	} row[] = {
		{ "10.0.0.0/9", "10.0.0.0/8", "10.0.0.0/8", "address blocks 10.0.0.0/9" },
		{ NULL, "0.0.0.0/0", "10.0.0.0/8", "domain 10.0.0.0/8" },
		{ "10.0.0.0/9", "10.0.0.0/8", "", "address blocks 10.0.0.0/9" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct star s;
		struct star_site site;
		struct node *n;

		star_init(&s, 300 + i);
		site = star_site(&s, 1, NULL, NULL);
		site.p->domain = test_conf_ts(site.c, row[i].domain);
		impostor(&s, "hub.example", row[i].blocks, row[i].answers);
		n = star_start(&s, &site);
		world_run(s.w);
		assert_int_equal(n->n_children + s.hub->n_children, 0);
		says(n, IKE_EV_REFUSED, row[i].words);
		says(n, IKE_EV_REFUSED, row[i].answers);
		because(n, IKE_EV_REFUSED, IKE_R_AUTHORISATION);
		star_done(&s);
	}
}

/* The hub may have another name than the one we know, so we do not ask for any. */
static void the_hub_is_not_asked_for_by_name(void **state)
{
	struct star *s = *state;
	struct star_site site = star_site(s, 1, NULL, NULL);
	struct node *n;
	struct opened o;

	star_hub(s);
	site.p->remote_id = test_conf_ident(site.c, "hub.example");
	n = star_start(s, &site);
	deliver(s->w, n, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(s->w, s->hub, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(s->w, n, WIRE_IKE_AUTH, REQUEST, 1);
	assert_true(packet_open(s->w, world_packet(s->w, 0), &o));
	assert_false(o.inner.present & WIRE_BIT(WIRE_P_IDR));
	opened_done(&o);
}

/* ---- silence (T1) --------------------------------------------------------------------------- */

/* T1: a site answers no IKE_SA_INIT: no error, no cookie, no key exchange group, no version. */
static void a_site_is_silent(void **state)
{
	struct star *s = *state;
	struct star_site quiet;
	struct node *n;
	unsigned sent;
	struct script c;

	star_hub(s);
	quiet = star_site(s, 1, NULL, NULL);
	quiet.c->conf.half_open_cookie = 0;
	n = star_start(s, &quiet);
	world_run(s->w);
	sent = n->sent;
	for (int i = 0; i < 4; i++) {
		script_init(&c, s->w, "192.0.2.99", n, true);
		c.ike = i == 1 ? "aes256gcm16-prfsha384-ecp384" : c.ike;
		script_sa_init(&c);
		if (i == 2) /* another major version */
			world_packet(s->w, 0)->data[17] = 0x30;
		if (i == 3) /* an SPI that nobody has */
			memset(world_packet(s->w, 0)->data + 8, 7, 8);
		assert_false(script_exchange(&c));
		script_done(&c);
	}
	assert_int_equal(n->sent, sent);
	assert_int_equal(node_counter(n, "ike.rx.silent"), 2);
	says(n, IKE_EV_REFUSED, "192.0.2.99");
	says(n, IKE_EV_REFUSED, "a site answers nobody");
	assert_int_equal(n->n_jobs, 4);
	/* Said only so often. */
	for (int i = 0; i < 100; i++) {
		script_init(&c, s->w, "192.0.2.99", n, true);
		script_sa_init(&c);
		assert_false(script_exchange(&c));
		script_done(&c);
	}
	assert_int_equal(node_counter(n, "ike.rx.silent"), 102);
	assert_in_range(node_events(n, IKE_EV_REFUSED), 2, IKE_STRAY_ANSWERS_PER_S);
	assert_true(star_is_up(s, n, 1));
}

/* T1: also the hub gets no answer when it calls. */
static void a_site_is_silent_to_its_hub(void **state)
{
	struct star *s = *state;
	struct star_site quiet = star_site(s, 1, NULL, NULL);
	struct node *n;
	struct script c;

	star_hub(s);
	n = star_start(s, &quiet);
	world_run(s->w);
	script_init(&c, s->w, "192.0.2.98", n, true);
	c.self.ip = test_ip("192.0.2.1");
	script_sa_init(&c);
	assert_false(script_exchange(&c));
	script_done(&c);
	assert_int_equal(node_counter(n, "ike.rx.silent"), 1);
}

/* A site with a `peer` as well answers for that peer, and says nothing of the network's anchors. */
static void a_site_with_a_peer_answers_for_it(void **state)
{
	struct star *s = *state;
	struct star_site mixed = star_site(s, 1, NULL, NULL);
	struct node *n;
	struct script c;

	star_hub(s);
	test_conf_peer(mixed.c, 2, "old", NULL, "site-1.example", "old.example", 5);
	n = star_start(s, &mixed);
	world_run(s->w);
	script_init(&c, s->w, "192.0.2.99", n, true);
	script_sa_init(&c);
	assert_true(script_exchange(&c));
	assert_true(c.in.present & WIRE_BIT(WIRE_P_KE));
	assert_false(c.in.present & WIRE_BIT(WIRE_P_CERTREQ));
	script_done(&c);
	/* But not as a hub: the identity of the hub, calling, is nobody. */
	script_init(&c, s->w, "192.0.2.97", n, true);
	c.id = "hub.example";
	script_sa_init(&c);
	assert_true(script_exchange(&c));
	script_begin(&c, WIRE_IKE_AUTH, false);
	script_put_auth_request(&c);
	script_send(&c);
	assert_true(script_exchange(&c));
	assert_non_null(script_notify(&c, WIRE_N_AUTHENTICATION_FAILED));
	script_done(&c);
}

/* ---- revoked -------------------------------------------------------------------------------- */

/* A certificate on the list is refused, with its number. */
static void revoked_before_it_joins(void **state)
{
	struct star *s = *state;
	struct star_site site = star_site(s, 2, NULL, NULL);
	struct node *n;

	test_conf_revoke(s->ch, s->ph, STAR_HUB_KEY + 2, STAR_CA);
	test_conf_revoke(s->ch, s->ph, STAR_HUB_KEY + 5, STAR_CA);
	star_hub(s);
	n = star_start(s, &site);
	world_run(s->w);
	assert_int_equal(n->n_children, 0);
	says(s->hub, IKE_EV_REFUSED,
	     "site-2.example: its certificate is revoked; the certificate has serial number "
	     "0000000c");
	says(n, IKE_EV_REFUSED, "AUTHENTICATION_FAILED");
	star_join(s, 3);
}

static void a_revoked_hub(void **state)
{
	struct star *s = *state;
	struct star_site site = star_site(s, 2, NULL, NULL);
	struct node *n;

	test_conf_revoke(site.c, site.p, STAR_HUB_KEY, STAR_CA);
	star_hub(s);
	n = star_start(s, &site);
	world_run(s->w);
	assert_int_equal(n->n_children, 0);
	says(n, IKE_EV_REFUSED, "is revoked");
	because(n, IKE_EV_REFUSED, IKE_R_REVOKED);
}

/* ---- our own trouble ------------------------------------------------------------------------ */

/* The n-th allocation or job of the hub fails while a member joins and another one leaves: no leak
 * (the harness looks), no prefix held by nobody, and in the end everybody is there. */
static void faults_while_members_join(void **state)
{
	long allocs = 1, jobs = 1;

	(void)state;
	for (int job = 0; job < 2; job++)
		for (long nth = -1; nth < (job ? jobs : allocs); nth++) {
			struct star s;
			struct node *one, *two;
			struct star_site a, b;

			star_init(&s, 400);
			star_hub(&s);
			a = star_site(&s, 1, "10.4.0.0/15", "10.4.0.0/16 10.5.0.0/16");
			b = star_site(&s, 2, "10.5.0.0-10.6.255.255", "10.5.0.0-10.6.255.255");
			one = star_start(&s, &a);
			world_run(s.w);
			if (job)
				s.hub->fail_job = nth < 0 ? -1 : s.hub->n_jobs + nth;
			else
				s.hub->mem.fail_at = nth < 0 ? -1 : s.hub->mem.calls + nth;
			two = star_start(&s, &b);
			if (nth < 0) {
				allocs = s.hub->mem.calls;
				jobs = s.hub->n_jobs;
			}
			world_live(s.w, dur_s(20));
			assert_int_equal(node_command(one, IKE_CMD_DOWN, STAR_PEER), ST_OK);
			world_live(s.w, dur_s(20));
			if (nth < 0) {
				allocs = s.hub->mem.calls - allocs;
				jobs = s.hub->n_jobs - jobs;
				assert_true(allocs > 40 && jobs >= 3);
			}
			s.hub->mem.fail_at = -1;
			s.hub->fail_job = -1;
			node_restart(two);
			world_live(s.w, dur_s(200));
			member_has(&s, "site-2.example", "10.5.0.0-10.6.255.255");
			assert_int_equal(node_command(two, IKE_CMD_DOWN, STAR_PEER), ST_OK);
			world_live(s.w, dur_s(30));
			assert_int_equal(node_command(one, IKE_CMD_UP, STAR_PEER), ST_OK);
			world_live(s.w, dur_s(30));
			member_has(&s, "site-1.example", "10.4.0.0/16, 10.5.0.0/16");
			assert_int_equal(ike_totals(s.hub->ike).sas, 1);
			star_done(&s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		star_test(sites_meet_at_the_hub),
		star_test(one_member_is_taken_down),
		star_test(instances_go_with_their_last_sa),
		star_test(a_member_that_restarted_replaces_itself),
		cmocka_unit_test(one_identity_connects_twice_at_once),
		star_test(claims_are_narrowed),
		star_test(what_is_not_its_own),
		star_test(no_blocks_and_no_rule),
		star_test(rule_beats_blocks),
		star_test(the_domain_is_the_limit),
		star_test(a_range_of_too_many_prefixes),
		cmocka_unit_test(first_holds),
		star_test(a_dead_holder_lets_go),
		star_test(the_rest_is_granted),
		star_test(no_conflict_is_avoided_by_cutting),
		star_test(nested_prefixes),
		star_test(a_member_poses_as_the_hub),
		star_test(a_hub_by_its_blocks),
		cmocka_unit_test(a_hub_that_answers_too_much),
		star_test(the_hub_is_not_asked_for_by_name),
		star_test(a_site_is_silent),
		star_test(a_site_is_silent_to_its_hub),
		star_test(a_site_with_a_peer_answers_for_it),
		star_test(revoked_before_it_joins),
		star_test(a_revoked_hub),
		cmocka_unit_test(faults_while_members_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
