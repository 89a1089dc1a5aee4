/* What the daemon remembers of what went wrong: by whom, how often, and within which bounds (S2).
 */
#include "unit/test_util.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/journal.h"

struct world {
	struct journal *j;
	obs_time now;
};

static int world_new(void **state)
{
	static const uint64_t key[2] = { 1, 2 };
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	w->now.ms = 1000;
	return journal_new(&mem_libc, key, &w->j);
}

static int world_free(void **state)
{
	struct world *w = *state;

	journal_free(w->j);
	free(w);
	return 0;
}

/* An event, a second later than the one before. */
static void happen(struct world *w, enum ike_event_kind kind, const char *peer,
		   const char *identity, const char *remote, const char *text)
{
	struct ike_event ev = { .kind = kind, .peer = peer[0] ? 1 : 0, .peer_name = peer };

	snprintf(ev.identity, sizeof(ev.identity), "%s", identity);
	snprintf(ev.text, sizeof(ev.text), "%s", text);
	if (remote[0])
		assert_int_equal(ip_parse(remote, &ev.remote.ip), ST_OK);
	w->now.ms += 1000;
	journal_event(w->j, w->now, &ev);
}

static const struct journal_subject *found(struct world *w, enum journal_kind kind,
					   const char *name)
{
	const struct journal_subject *s = journal_find(w->j, kind, name);

	if (!s)
		fail_msg("nothing is known of %s", name);
	return s;
}

/* One event stands at its peer, its identity and its address. */
static void by_subject(void **state)
{
	struct world *w = *state;
	static const struct {
		enum journal_kind kind;
		const char *name;
	} row[] = {
		{ JOURNAL_PEER, "b" },
		{ JOURNAL_IDENTITY, "site-b.example" },
		{ JOURNAL_IDENTITY, "SITE-B.Example" },
		{ JOURNAL_ADDRESS, "192.0.2.2" },
	};

	happen(w, IKE_EV_REFUSED, "b", "site-b.example", "192.0.2.2", "no");
	assert_int_equal(journal_count(w->j), 3);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct journal_subject *s = found(w, row[i].kind, row[i].name);

		assert_int_equal(s->n_notes, 1);
		assert_string_equal(s->note[0].what->text, "no");
		assert_string_equal(s->note[0].what->peer, "b");
		assert_string_equal(s->note[0].what->identity, "site-b.example");
	}
	assert_null(journal_find(w->j, JOURNAL_PEER, "site-b.example"));
	assert_null(journal_find(w->j, JOURNAL_IDENTITY, "b"));
}

/* A direct tunnel that failed is a matter of the partner, not of the network that it is in, nor of
 * the partner's address. */
static void direct_tunnels(void **state)
{
	struct world *w = *state;

	happen(w, IKE_EV_SHORTCUT_FAILED, "corp", "site-c.example", "192.0.2.13", "no path");
	happen(w, IKE_EV_SHORTCUT_ENDED, "corp", "site-c.example", "192.0.2.13", "idle");
	assert_int_equal(found(w, JOURNAL_IDENTITY, "site-c.example")->n_notes, 2);
	assert_int_equal(journal_count(w->j), 1);
}

/* The same again only counts; something else comes first; the oldest goes. */
static void notes(void **state)
{
	struct world *w = *state;
	const struct journal_subject *s;

	happen(w, IKE_EV_REFUSED, "b", "", "", "one");
	happen(w, IKE_EV_REFUSED, "b", "", "", "one");
	happen(w, IKE_EV_UNREACHABLE, "b", "", "", "two");
	happen(w, IKE_EV_REFUSED, "b", "", "", "one");
	s = found(w, JOURNAL_PEER, "b");
	assert_int_equal(s->n_notes, 2);
	assert_string_equal(s->note[0].what->text, "one");
	assert_int_equal(s->note[0].count, 3);
	assert_int_equal(s->note[0].first.ms, 2000);
	assert_int_equal(s->note[0].last.ms, 5000);
	assert_string_equal(s->note[1].what->text, "two");
	happen(w, IKE_EV_DEAD, "b", "", "", "three");
	happen(w, IKE_EV_SA_DOWN, "b", "", "", "four");
	s = found(w, JOURNAL_PEER, "b");
	assert_int_equal(s->n_notes, JOURNAL_NOTES);
	assert_string_equal(s->note[0].what->text, "four");
	assert_string_equal(s->note[2].what->text, "one");
}

static void progress(void **state)
{
	struct world *w = *state;
	const struct journal_subject *s;

	happen(w, IKE_EV_CONNECTING, "b", "", "192.0.2.2", "");
	happen(w, IKE_EV_RETRANSMIT, "b", "", "192.0.2.2", "try 2");
	happen(w, IKE_EV_RETRANSMIT, "b", "", "192.0.2.2", "try 3");
	s = found(w, JOURNAL_PEER, "b");
	assert_int_equal(s->began.ms, 2000);
	assert_int_equal(s->repeats, 2);
	assert_int_equal(s->n_notes, 0);
	assert_int_equal(s->up.ms, 0);
	/* Nobody remembers where all went well. */
	assert_null(journal_find(w->j, JOURNAL_ADDRESS, "192.0.2.2"));
	happen(w, IKE_EV_SA_UP, "b", "b.example", "192.0.2.2", "");
	happen(w, IKE_EV_CHILD_UP, "b", "b.example", "192.0.2.2", "");
	s = found(w, JOURNAL_PEER, "b");
	assert_int_equal(s->up.ms, 6000);
	assert_int_equal(s->repeats, 0);
	assert_int_equal(journal_count(w->j), 1);
}

/* Members are identities: their events do not make peers. */
static void members(void **state)
{
	struct world *w = *state;
	struct ike_event ev = { .kind = IKE_EV_SA_DOWN,
				.peer = IKE_PEER_DYNAMIC + 7,
				.peer_name = "site-1.example",
				.identity = "site-1.example",
				.text = "gone" };

	journal_event(w->j, w->now, &ev);
	assert_int_equal(journal_count(w->j), 1);
	assert_int_equal(found(w, JOURNAL_IDENTITY, "site-1.example")->note[0].count, 1);
}

/* Junk from any number of addresses with any number of names: bounded, and displaces neither peers
 * nor members that were connected. */
static void junk(void **state)
{
	struct world *w = *state;
	char addr[IP_TEXT_MAX], name[64];

	happen(w, IKE_EV_REFUSED, "b", "", "", "configured");
	happen(w, IKE_EV_REFUSED, "", "member.example", "198.51.100.7", "was refused once");
	happen(w, IKE_EV_SA_UP, "", "member.example", "198.51.100.7", "");
	happen(w, IKE_EV_REFUSED, "", "never.example", "198.51.100.8", "was never up");
	for (unsigned i = 0; i < 20 * JOURNAL_SUBJECTS_MAX; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255, i & 255);
		snprintf(name, sizeof(name), "junk-%u.example", i);
		happen(w, IKE_EV_REFUSED, "", name, addr, name);
		assert_true(journal_count(w->j) <= 2 * JOURNAL_SUBJECTS_MAX + 3);
	}
	found(w, JOURNAL_PEER, "b");
	assert_int_equal(found(w, JOURNAL_IDENTITY, "member.example")->n_notes, 1);
	found(w, JOURNAL_ADDRESS, "198.51.100.7");
	assert_null(journal_find(w->j, JOURNAL_IDENTITY, "never.example"));
	found(w, JOURNAL_IDENTITY, name); /* the newest */
}

/* What is noted again stays, whatever came in between. */
static void least_recent_goes(void **state)
{
	struct world *w = *state;
	char name[64];

	for (unsigned i = 0; i < 3 * JOURNAL_SUBJECTS_MAX; i++) {
		snprintf(name, sizeof(name), "junk-%u.example", i);
		happen(w, IKE_EV_REFUSED, "", name, "", "x");
		happen(w, IKE_EV_REFUSED, "", "busy.example", "", "y");
	}
	assert_int_equal(found(w, JOURNAL_IDENTITY, "busy.example")->note[0].count,
			 3 * JOURNAL_SUBJECTS_MAX);
	assert_int_equal(journal_count(w->j), JOURNAL_SUBJECTS_MAX);
}

static void lookups(void **state)
{
	struct world *w = *state;
	struct ike_address addr[JOURNAL_ADDRS_MAX + 2] = { 0 };
	const struct journal_subject *s;

	journal_lookup(w->j, w->now, "hub.example", NULL, 0, "no such name");
	s = found(w, JOURNAL_HOST, "hub.example");
	assert_string_equal(s->lookup_why, "no such name");
	assert_int_equal(s->n_addrs, 0);
	for (size_t i = 0; i < ARRAY_LEN(addr); i++)
		addr[i].remote = (struct ip){ .family = 4, .b = { 10, 0, 0, (uint8_t)i } };
	journal_lookup(w->j, w->now, "hub.example", addr, ARRAY_LEN(addr), NULL);
	s = found(w, JOURNAL_HOST, "hub.example");
	assert_null(s->lookup_why);
	assert_int_equal(s->n_addrs, JOURNAL_ADDRS_MAX);
	assert_true(ip_eq(&s->addr[3], &addr[3].remote));
}

static void unsent(void **state)
{
	struct world *w = *state;
	const struct ip to = { .family = 4, .b = { 192, 0, 2, 1 } };

	journal_unsent(w->j, w->now, &to, "Operation not permitted");
	journal_unsent(w->j, w->now, &to, "Operation not permitted");
	assert_int_equal(found(w, JOURNAL_ADDRESS, "192.0.2.1")->unsent, 2);
	journal_unsent(w->j, w->now, &to, "Network is unreachable");
	assert_string_equal(found(w, JOURNAL_ADDRESS, "192.0.2.1")->unsent_why,
			    "Network is unreachable");
}

static void icmp(void **state)
{
	struct world *w = *state;
	const struct ip to = { .family = 4, .b = { 192, 0, 2, 1 } };
	const struct ip router = { .family = 4, .b = { 192, 0, 2, 254 } };
	const struct journal_subject *s;

	journal_icmp(w->j, w->now, &to, &to, "port unreachable");
	journal_icmp(w->j, w->now, &to, &router, "host unreachable");
	s = found(w, JOURNAL_ADDRESS, "192.0.2.1");
	assert_int_equal(s->icmp, 2);
	assert_true(ip_eq(&s->icmp_from, &router));
	assert_string_equal(s->icmp_text, "host unreachable");
}

/* A name that is empty or endless is no subject. */
static void odd_names(void **state)
{
	struct world *w = *state;
	char name[2 * JOURNAL_NAME_MAX];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	happen(w, IKE_EV_REFUSED, name, "", "", "x");
	happen(w, IKE_EV_REFUSED, "", "", "", "x");
	assert_int_equal(journal_count(w->j), 0);
	assert_null(journal_find(w->j, JOURNAL_PEER, name));
}

/* ---- memory that runs out ---- */

struct rationed {
	size_t left; /* allocations that succeed */
	size_t live;
};

static void *ration(void *ctx, size_t n)
{
	struct rationed *r = ctx;

	if (r->left == 0)
		return NULL;
	r->left--;
	r->live++;
	return calloc(1, n);
}

static void unration(void *ctx, void *p)
{
	struct rationed *r = ctx;

	r->live -= p != NULL;
	free(p);
}

/* Whichever allocation fails: nothing is lost, nothing breaks. */
static void no_memory(void **state)
{
	static const uint64_t key[2] = { 3, 4 };

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		struct rationed r = { .left = n };
		const struct alloc mem = { ration, unration, &r };
		struct world w = { .now = { 0 } };

		if (journal_new(&mem, key, &w.j) == ST_OK) {
			for (size_t i = 0; i < 5; i++) {
				char text[8];

				snprintf(text, sizeof(text), "%zu", i);
				happen(&w, IKE_EV_REFUSED, "b", "b.example", "192.0.2.2", text);
				journal_lookup(w.j, w.now, "b", NULL, 0, text);
				journal_unsent(w.j, w.now, &(struct ip){ .family = 4, .b = { 9 } },
					       text);
			}
			journal_free(w.j);
		}
		assert_int_equal(r.live, 0);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_new, world_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_subject),
		TEST(direct_tunnels),
		TEST(notes),
		TEST(progress),
		TEST(members),
		TEST(junk),
		TEST(least_recent_goes),
		TEST(lookups),
		TEST(unsent),
		TEST(icmp),
		TEST(odd_names),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
