/*
 * `direct = required` (struct ike_peer_conf.direct) with engines: sites that let no hub relay,
 *whose first packet is the reason for a tunnel that the hub has to be asked for.
 *
 *	10.1.0.0/16 -- site-1 ====== hub ====== site-2 -- 10.2.0.0/16
 *	                  \\=====================//
 */
#include "exchange/exchange.h"
#include "harness/star.h"
#include "mesh/limits.h"

#define ONE "site-1.example"
#define TWO "site-2.example"

struct town {
	struct star s;
	struct world *w;
	struct node *site[STAR_SITES + 1];
};

static int setup(void **state)
{
	static struct town t;

	t = (struct town){ 0 };
	star_init(&t.s, 1);
	t.w = t.s.w;
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct town *t = *state;

	star_done(&t->s);
	return 0;
}

/* The hub, and n sites that require it. */
static struct town *open_with(void **state, enum mesh_topology topology, unsigned n)
{
	struct town *t = *state;

	star_mesh(&t->s, topology);
	star_hub(&t->s);
	for (unsigned i = 1; i <= n; i++) {
		struct star_site site = star_site(&t->s, i, NULL, NULL);

		site.p->direct = true;
		t->site[i] = star_start(&t->s, &site);
		world_run(t->w);
		assert_true(star_is_up(&t->s, t->site[i], i));
	}
	return t;
}

/* From site to site, as far as it comes. */
static bool sends(struct town *t, unsigned a, unsigned b)
{
	char src[16], dst[16];

	snprintf(src, sizeof(src), "10.%u.0.1", a);
	snprintf(dst, sizeof(dst), "10.%u.0.1", b);
	return world_ping(t->w, t->site[a], src, t->site[b], dst);
}

/* Of a data plane. */
static uint64_t counted(const struct node *n, const char *name)
{
	const char *found;
	uint64_t value;

	for (size_t i = 0; n->dp->ops->counter(n->dp, i, &found, &value); i++)
		if (strcmp(found, name) == 0)
			return value;
	fail_msg("no counter %s", name);
	return 0;
}

/* What the hub decrypted. */
static uint64_t relayed(const struct town *t)
{
	return counted(t->s.hub, "esp.rx.ok");
}

static void reload(struct town *t, enum mesh_topology topology)
{
	struct test_conf *c = test_conf_copy(t->s.hub->conf);

	c->network[0].topology = topology;
	node_reconfigure(t->s.hub, c);
}

/* S2, R01: asked for with the first packet; nothing goes by the hub before, with or after it. */
static void test_never_relayed(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 2);

	assert_false(sends(t, 1, 2));
	world_live(t->w, dur_ms(300));
	assert_int_equal(node_counter(t->site[1], "mesh.tx.asks"), 1);
	assert_int_equal(node_counter(t->s.hub, "mesh.rx.asks"), 1);
	says(t->s.hub, IKE_EV_SUGGESTED,
	     "site-1.example and site-2.example: one of both asks for a way to 10.2.0.1");
	assert_string_equal(node_shortcut_state(t->site[1], TWO), "up");
	assert_string_equal(node_shortcut_state(t->site[2], ONE), "up");
	assert_true(sends(t, 1, 2) && sends(t, 2, 1));
	/* The partner is gone: suspected, it is refused what it had. */
	t->site[1]->looks = true;
	node_kill(t->site[2]);
	for (unsigned i = 0; i < 40; i++) {
		(void)sends(t, 1, 2);
		world_live(t->w, dur_s(1));
	}
	assert_true(counted(t->site[1], "tx.not_direct") > 10);
	assert_int_equal(relayed(t), 0);
}

/* T1: refused, said, and asked for again after pauses that double; a reload lets them. */
static void test_refused_by_topology(void **state)
{
	struct town *t = open_with(state, MESH_STAR, 2);

	for (unsigned i = 0; i < 120; i++) {
		(void)sends(t, 1, 2);
		world_live(t->w, dur_s(1));
	}
	says(t->site[1], IKE_EV_NOT_DIRECT,
	     "to 10.2.0.1 must not be relayed: no direct tunnel: policy (the topology is a star "
	     "for both)");
	/* At 0, 2, 6, 14, 30, 62 s, and not at 122. */
	assert_in_range(node_counter(t->s.hub, "mesh.rx.asks"), 5, 7);
	assert_int_equal(node_events(t->site[1], IKE_EV_NOT_DIRECT), 2);
	assert_int_equal(node_counter(t->s.hub, "mesh.suggested"), 0);
	reload(t, MESH_DYNAMIC);
	for (unsigned i = 0; i < 61 && strcmp(node_shortcut_state(t->site[1], TWO), "up") != 0;
	     i++) {
		(void)sends(t, 1, 2);
		world_live(t->w, dur_s(1));
	}
	assert_true(sends(t, 1, 2));
	assert_int_equal(relayed(t), 0);
}

/* Nobody has it: that is said, too, and a member that comes up with it is found. */
static void test_nobody_there(void **state)
{
	struct town *t = open_with(state, MESH_DYNAMIC, 1);
	struct star_site site;

	t->site[2] = t->site[1];
	(void)sends(t, 1, 2);
	world_live(t->w, dur_ms(300));
	says(t->site[1], IKE_EV_NOT_DIRECT, "unknown (nobody is up that has that address)");
	site = star_site(&t->s, 2, NULL, NULL);
	site.p->direct = true;
	t->site[2] = star_start(&t->s, &site);
	world_run(t->w);
	for (unsigned i = 0; i < 5; i++) {
		(void)sends(t, 1, 2);
		world_live(t->w, dur_s(1));
	}
	assert_true(sends(t, 1, 2));
	assert_int_equal(relayed(t), 0);
}

/* A hub that does not know how to be asked is not asked: it would take the word for an error. */
static void test_older_hub(void **state)
{
	struct town *t = *state;
	struct star_site site;

	star_mesh(&t->s, MESH_DYNAMIC);
	t->s.ph->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	star_hub(&t->s);
	site = star_site(&t->s, 1, NULL, NULL);
	site.p->direct = true;
	t->site[1] = star_start(&t->s, &site);
	t->site[2] = star_join(&t->s, 2);
	world_run(t->w);
	(void)sends(t, 1, 2);
	world_live(t->w, dur_ms(300));
	assert_int_equal(node_counter(t->site[1], "mesh.tx.asks"), 0);
	says(t->site[1], IKE_EV_NOT_DIRECT, "this hub cannot be asked for one");
	assert_true(star_is_up(&t->s, t->site[1], 1));
	/* What the other one sends by it is a reason, and is dropped at its end. */
	assert_false(star_ping(&t->s, t->site[2], 2, t->site[1], 1));
	assert_int_equal(counted(t->site[1], "esp.rx.not_direct"), 1);
	world_live(t->w, dur_ms(300));
	assert_true(sends(t, 1, 2) && sends(t, 2, 1));
}

/* Many addresses: all together at a bounded rate, and the hub hears the site all the same. */
static void test_many_addresses(void **state)
{
	enum { ADDRESSES = 250 };
	struct town *t = open_with(state, MESH_STAR, 2);
	uint64_t asked;

	for (unsigned i = 0; i < ADDRESSES; i++) {
		char dst[16];

		snprintf(dst, sizeof(dst), "10.2.1.%u", i);
		(void)world_ping(t->w, t->site[1], "10.1.0.1", t->site[2], dst);
	}
	world_live(t->w, dur_s(1));
	asked = node_counter(t->site[1], "mesh.tx.asks");
	assert_in_range(asked, MESH_ASKS / 2, MESH_ASKS + MESH_ASKS_PER_S);
	assert_true(node_counter(t->site[1], "mesh.tx.asks_limited") > 0);
	assert_true(node_events(t->site[1], IKE_EV_NOT_DIRECT) <= MESH_WANTED_TOLD + 2);
	assert_int_equal(node_counter(t->s.hub, "mesh.rx.flood"), 0);
}

/* A reload that turns it on replaces the hub's tunnel: by the new one nothing is relayed. */
static void test_reload(void **state)
{
	struct town *t = *state;
	struct test_conf *c;

	star_mesh(&t->s, MESH_STAR);
	star_hub(&t->s);
	t->site[1] = star_join(&t->s, 1);
	t->site[2] = star_join(&t->s, 2);
	assert_true(star_ping(&t->s, t->site[1], 1, t->site[2], 2));
	c = test_conf_copy(t->site[1]->conf);
	c->peer[0].direct = true;
	node_reconfigure(t->site[1], c);
	world_live(t->w, dur_s(10));
	assert_false(star_ping(&t->s, t->site[1], 1, t->site[2], 2));
	assert_false(star_ping(&t->s, t->site[2], 2, t->site[1], 1));
	assert_true(counted(t->site[1], "tx.not_direct") == 1);
	assert_true(counted(t->site[1], "esp.rx.not_direct") == 1);
	c = test_conf_copy(t->site[1]->conf);
	c->peer[0].direct = false;
	node_reconfigure(t->site[1], c);
	world_live(t->w, dur_s(10));
	assert_true(star_ping(&t->s, t->site[2], 2, t->site[1], 1));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_never_relayed), T(test_refused_by_topology), T(test_nobody_there),
		T(test_older_hub),     T(test_many_addresses),      T(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
