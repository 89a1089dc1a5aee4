/* What a site takes of what hubs say of hubs, and what it makes of it (R01,
 * R16). */
#include "exchange/cities.h"
#include "wire/mesh/wire_mesh.h"

/* Hub 1 has no mesh: its words are the test's. */
struct known {
	struct cities t;
	struct arena ar;
	struct node *site;
	ike_peer_id peer; /* the site, at the hub */
	uint64_t sequence;
};

static bool is_site(void *ctx, const struct ike_peer_info *info)
{
	struct known *k = ctx;

	if (strcmp(info->name, town_name(1)) == 0)
		k->peer = info->id;
	return true;
}

static int setup(void **state)
{
	static struct known k;

	k = (struct known){ .sequence = 1 };
	arena_init(&k.ar, &mem_libc, 1 << 24);
	cities_init(&k.t, 91);
	city_new(&k.t, 1);
	k.t.hub[1].c->meshed = false;
	city_start(&k.t, 1);
	k.site = town_joins(&k.t, 1, 1);
	ike_each_peer(k.t.hub[1].node->ike, k.t.w->now, 0, is_site, &k);
	assert_true(k.peer != 0);
	*state = &k;
	return 0;
}

static int teardown(void **state)
{
	struct known *k = *state;

	cities_done(&k->t);
	arena_done(&k->ar);
	return 0;
}

#define KNOWN_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static struct wire_mesh_hub at(const char *name, uint8_t last)
{
	return (struct wire_mesh_hub){ .id = { WIRE_ID_FQDN, bytes_str(name) },
				       .at = { { 500, { 4, { 192, 0, 2, last } }, { NULL, 0 } } },
				       .n_at = 1 };
}

/* What the site answers. */
static struct wire_mesh hub_says(struct known *k, uint64_t sequence, const char *context,
				 const struct wire_mesh_hub *hubs, size_t n)
{
	static uint8_t buf[WIRE_MESH_MAX];
	const struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) |
						   WIRE_MESH_BIT(CONTEXT) |
						   (n ? WIRE_MESH_BIT(HUB) : 0),
					.context = bytes_str(context),
					.sequence = sequence,
					.hubs = hubs,
					.n_hubs = n };
	struct node *hub = k->t.hub[1].node;
	enum wire_mesh_fault fault = WIRE_MF_OK;
	struct wr wr = wr_of(buf, sizeof(buf));
	const struct node_word *w;
	struct wire_mesh answer;
	uint64_t id;

	wire_mesh_put(&wr, &word);
	assert_int_equal(node_ask(hub, k->peer, WIRE_N_SHORTCUT_HUBS, wr_bytes_of(&wr), &id),
			 ST_OK);
	world_live(k->t.w, dur_s(3)); /* also when a datagram of it is lost */
	w = node_answered(hub);
	assert_non_null(w);
	assert_int_equal(
		wire_mesh_parse(&k->ar, w->notify, bytes_of(w->data, w->n), &answer, &fault),
		ST_OK);
	return answer;
}

static void takes(struct known *k, const struct wire_mesh_hub *hubs, size_t n)
{
	assert_int_equal(hub_says(k, k->sequence++, "corp", hubs, n).reason, 0);
}

static size_t events(const struct known *k)
{
	return node_events(k->site, IKE_EV_HUBS);
}

static const char *said(const struct known *k)
{
	return node_event(k->site, IKE_EV_HUBS)->text;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* R16: each list takes the place of the one before, and one that says the same is no news. */
static void test_the_newest_counts(void **state)
{
	struct known *k = *state;
	struct wire_mesh_hub v[] = { at("hub-1.example", 1), at("hub-2.example", 2),
				     at("hub-3.example", 3) };

	takes(k, v, 3);
	assert_string_equal(known_hubs(k->site),
			    "hub-1.example*@192.0.2.1:500 hub-2.example@192.0.2.2:500 "
			    "hub-3.example@192.0.2.3:500");
	takes(k, v, 3);
	assert_int_equal(events(k), 1);
	takes(k, v, 2);
	takes(k, v + 1, 2);
	assert_int_equal(events(k), 3);
	assert_string_equal(known_hubs(k->site),
			    "hub-2.example@192.0.2.2:500 hub-3.example@192.0.2.3:500");
	/* The same hubs, elsewhere: by another port, by name, by an address more. */
	v[1].at[0].port = 4711;
	takes(k, v + 1, 2);
	v[1].at[0] = (struct wire_mesh_where){ 4711, { 0 }, bytes_str("two.example.net") };
	takes(k, v + 1, 2);
	v[1].at[0].name = bytes_str("also.example.net");
	takes(k, v + 1, 2);
	v[1].at[1] = v[2].at[0];
	v[1].n_at = 2;
	takes(k, v + 1, 2);
	assert_int_equal(events(k), 7);
	assert_string_equal(said(k), "hub-1.example says that hubs are hub-2.example at "
				     "also.example.net, 192.0.2.3; hub-3.example at "
				     "192.0.2.3");
	/* Another of the same length, or of another kind of identity. */
	v[1].id = (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str("hub-9.example") };
	takes(k, v + 1, 2);
	v[1].id.type = WIRE_ID_RFC822;
	v[1].id.data = bytes_str("hub@9.example");
	takes(k, v + 1, 2);
	assert_int_equal(events(k), 9);
	takes(k, NULL, 0);
	assert_string_equal(known_hubs(k->site), "");
	assert_string_equal(said(k), "hub-1.example knows of no hubs");
	takes(k, NULL, 0);
	assert_int_equal(events(k), 10);
}

/* S1: words of another network, and old ones, change nothing. */
static void test_what_is_refused(void **state)
{
	struct known *k = *state;
	const struct wire_mesh_hub v[] = { at("hub-1.example", 1), at("hub-2.example", 2) };
	struct wire_mesh answer;

	answer = hub_says(k, 5, "other", v, 2);
	assert_int_equal(answer.reason, WIRE_MR_CONTEXT);
	assert_true(bytes_eq(answer.text, bytes_str("corp")));
	assert_int_equal(hub_says(k, 5, "corp", v, 2).reason, 0);
	assert_int_equal(hub_says(k, 5, "corp", v, 1).reason, WIRE_MR_OLDER);
	assert_int_equal(hub_says(k, 4, "corp", v, 1).reason, WIRE_MR_OLDER);
	assert_int_equal(node_counter(k->site, "mesh.rx.old"), 2);
	assert_int_equal(node_counter(k->site, "mesh.refused.context"), 1);
	assert_int_equal(events(k), 1);
	assert_int_equal(hub_says(k, 6, "corp", v, 1).reason, 0);
	assert_int_equal(events(k), 2);
}

/* R05: as many hubs and addresses as a word holds are known; the engine is given so many of them,
 * and the site goes on. */
static void test_many_addresses(void **state)
{
	struct known *k = *state;
	static char name[WIRE_MESH_HUBS][24];
	static struct wire_mesh_hub v[WIRE_MESH_HUBS];
	char src[] = "10.1.0.1";

	for (unsigned i = 0; i < WIRE_MESH_HUBS; i++) {
		snprintf(name[i], sizeof(name[i]), "many-%u.example", i);
		v[i] = at(name[i], (uint8_t)(100 + i));
		for (unsigned a = 1; a < WIRE_MESH_HUB_ADDRESSES; a++) {
			v[i].at[a] = v[i].at[0];
			v[i].at[a].port = (uint16_t)(1000 + a);
		}
		v[i].n_at = WIRE_MESH_HUB_ADDRESSES;
	}
	takes(k, v, WIRE_MESH_HUBS);
	assert_non_null(strstr(known_hubs(k->site), "many-0.example@192.0.2.100:500"));
	takes(k, v, 1);
	assert_true(world_ping(k->t.w, k->site, src, k->t.hub[1].node, "10.2.0.1"));
}

/* R16: what was known before a restart gives way to what a hub says. */
static void test_known_before(void **state)
{
	struct known *k = *state;
	const struct wire_mesh_hub before[] = { at("hub-7.example", 7), at("hub-8.example", 8) };
	const struct wire_mesh_hub v[] = { at("hub-8.example", 9) };

	assert_int_equal(mesh_hubs_load(k->site->mesh, k->t.w->now, "corp", before, 2), ST_OK);
	assert_string_equal(known_hubs(k->site),
			    "hub-7.example@192.0.2.7:500 hub-8.example@192.0.2.8:500");
	takes(k, v, 1);
	assert_string_equal(known_hubs(k->site), "hub-8.example@192.0.2.9:500");
	assert_int_equal(mesh_hubs_load(k->site->mesh, k->t.w->now, "corp", before, 2), ST_INVAL);
}

/* R11: each allocation fails once. The word is taken, or refused and taken the next time; the SA
 * and what is known are as they were. */
static void test_without_memory(void **state)
{
	struct known *k = *state;
	const struct wire_mesh_hub one[] = { at("hub-1.example", 1) };
	const struct wire_mesh_hub two[] = { at("hub-1.example", 1), at("hub-2.example", 2) };
	struct test_mem *mem = &k->site->mem;
	unsigned refused = 0;

	for (long n = 0;; n++) {
		uint16_t reason;

		assert_in_range(n, 0, 500);
		takes(k, one, 1);
		mem->refused = 0;
		mem->fail_at = mem->calls + n;
		reason = hub_says(k, k->sequence++, "corp", two, 2).reason;
		mem->fail_at = -1;
		refused += reason == WIRE_MR_INTERNAL;
		/* Where there was none for the answer alone, the word comes once more. */
		assert_true(!reason || reason == WIRE_MR_INTERNAL || reason == WIRE_MR_OLDER);
		if (reason == WIRE_MR_INTERNAL) {
			assert_string_equal(known_hubs(k->site), "hub-1.example*@192.0.2.1:500");
			takes(k, two, 2);
		}
		assert_string_equal(known_hubs(k->site), "hub-1.example*@192.0.2.1:500 "
							 "hub-2.example@192.0.2.2:500");
		if (!mem->refused)
			break;
	}
	assert_true(refused >= 3);
	assert_int_equal(node_counter(k->site, "mesh.refused.internal"), refused);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		KNOWN_TEST(test_the_newest_counts), KNOWN_TEST(test_what_is_refused),
		KNOWN_TEST(test_many_addresses),    KNOWN_TEST(test_known_before),
		KNOWN_TEST(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
