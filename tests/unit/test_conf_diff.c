/* What a reload changes, line by line. */
#include "unit/conf_util.h"

struct line {
	enum conf_change change;
	const char *section, *text;
};

static void show_lines(const struct conf_diff_line *l)
{
	for (; l; l = l->next)
		print_error("%s | %s | %s\n", conf_change_name(l->change), l->section, l->text);
}

static void check(const char *old, const char *new, const struct line *want)
{
	struct conf *a = parse_good(old), *b = parse_good(new);
	struct conf_diff_line *first = NULL, *l;
	struct arena ar;

	arena_init(&ar, &mem_libc, 8 << 20);
	assert_int_equal(conf_diff(&ar, a, b, &first), ST_OK);
	for (l = first; l && want->text; l = l->next, want++)
		if (l->change != want->change || strcmp(l->section, want->section) != 0 ||
		    strcmp(l->text, want->text) != 0)
			break;
	if (l || want->text) {
		show_lines(first);
		fail_msg("expected %s", want->text ? want->text : "nothing more");
	}
	arena_done(&ar);
	conf_unref(a);
	conf_unref(b);
}

/* ---- keys ---- */

static void nothing(void **state)
{
	static const char *const text[] = { PEER, WITH("start = listen"),
					    "identity = \"/b\" ; network \"n\" { }" };
	static const struct line none = { .text = NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		check(text[i], text[i], &none);
	/* Layout, comments, and what is said to be what it is anyway. */
	check(PEER, "\n# x\n port = 500 ; log = info\n" PEER, &none);
	check(WITH(""), WITH("dpd_delay = 30000ms ; start = listen"), &none);
}

#define TOP(more) "local_id = \"a\" ; " more "\n" PEER
#define IN_PEER(more) WITH("address = \"h\" ; " more)

/* Every type, given and not given, in its own section. */
static void keys(void **state)
{
	static const struct {
		const char *old, *new;
		struct line want[4];
	} row[] = {
		{ TOP("mtu = 1400"),
		  TOP("mtu = 1300"),
		  { { CONF_RESTART, "", "mtu: 1400 -> 1300" } } },
		{ TOP(""), TOP("mtu = 1300"), { { CONF_RESTART, "", "mtu: not given -> 1300" } } },
		{ TOP("half_open_cookie = 0"),
		  TOP("half_open_cookie = 1"),
		  { { CONF_HOT, "", "half_open_cookie: 0 -> 1" } } },
		{ TOP("log = debug"), TOP(""), { { CONF_HOT, "", "log: debug -> info" } } },
		{ TOP(""),
		  TOP("control = \"/a\\\"\\n\""),
		  { { CONF_RESTART, "",
		      "control: \"/run/warren/warren.sock\" -> \"/a\\\"\\x0a\"" } } },
		{ TOP("keylog = \"/k\""),
		  TOP(""),
		  { { CONF_RESTART, "", "keylog: \"/k\" -> not given" } } },
		{ TOP(""),
		  TOP("interface = \"w1\" ; user = \"root\""),
		  { { CONF_RESTART, "", "user: \"warren\" -> \"root\"" },
		    { CONF_RESTART, "", "interface: \"warren0\" -> \"w1\"" } } },
		{ TOP(""),
		  TOP("listen = \"::\""),
		  { { CONF_RESTART, "", "listen: { \"0.0.0.0\", \"::\" } -> { \"::\" }" } } },
		{ IN_PEER(""),
		  IN_PEER("dpd_delay = 90s"),
		  { { CONF_HOT, "peer \"b\"", "dpd_delay: 30s -> 90s" } } },
		{ IN_PEER("dpd_delay = 2h"),
		  IN_PEER("dpd_delay = 0s"),
		  { { CONF_HOT, "peer \"b\"", "dpd_delay: 2h -> 0s" } } },
		{ IN_PEER("dpd_delay = 1500ms"),
		  IN_PEER("dpd_delay = 3m"),
		  { { CONF_HOT, "peer \"b\"", "dpd_delay: 1500ms -> 3m" } } },
		{ IN_PEER("rekey = 2h"),
		  IN_PEER("lifetime = 2h"),
		  { { CONF_HOT, "peer \"b\"", "rekey: 2h -> 1h" },
		    { CONF_HOT, "peer \"b\"", "lifetime: not given -> 2h" } } },
		{ IN_PEER(""),
		  IN_PEER("rekey_bytes = 2048M ; lifetime_packets = 5000"),
		  { { CONF_REKEY, "peer \"b\"", "rekey_bytes: not given -> 2G" },
		    { CONF_REKEY, "peer \"b\"", "lifetime_packets: not given -> 5000" } } },
		{ IN_PEER("ppk_id = \"x\" ; ppk = \"0123456789abcdef0123456789abcdef\""),
		  IN_PEER("ppk_id = \"y\" ; ppk = \"0123456789abcdef0123456789abcdeX\""),
		  { { CONF_REAUTH, "peer \"b\"", "ppk_id: \"x\" -> \"y\"" },
		    { CONF_REAUTH, "peer \"b\"", "ppk: changed" } } },
		{ IN_PEER(""),
		  IN_PEER("fragmentation = no"),
		  { { CONF_REAUTH, "peer \"b\"", "fragmentation: yes -> no" } } },
		{ IN_PEER("mobike = yes ; return_routability = before ; nat = no"),
		  IN_PEER("mobike = no ; return_routability = after"),
		  { { CONF_REAUTH, "peer \"b\"", "mobike: yes -> no" },
		    { CONF_HOT, "peer \"b\"", "return_routability: before -> after" },
		    { CONF_REAUTH, "peer \"b\"", "nat: no -> yes" } } },
		{ IN_PEER("childless = never ; expired = keep"),
		  IN_PEER(""),
		  { { CONF_HOT, "peer \"b\"", "expired: keep -> end" },
		    { CONF_HOT, "peer \"b\"", "childless: never -> allow" } } },
		{ IN_PEER("start = up"),
		  IN_PEER(""),
		  { { CONF_HOT, "peer \"b\"", "start: up -> traffic" } } },
		{ IN_PEER("start = up"),
		  WITH(""),
		  { { CONF_HOT, "peer \"b\"", "address: { \"h\" } -> not given" },
		    { CONF_HOT, "peer \"b\"", "start: up -> listen" } } },
		{ WITH("proposals = \"aes128gcm16-prfsha256-x25519\""),
		  WITH("proposals = \"aes256gcm16-prfsha256-x25519\""),
		  { { CONF_REAUTH, "peer \"b\"",
		      "proposals: { \"aes128gcm16-prfsha256-x25519\" } -> { "
		      "\"aes256gcm16-prfsha256-x25519\" }" } } },
		{ WITH(""),
		  BARE("psk = \"k\" ; local_ts = \"10.1.0.0/16\" ; remote_ts = "
		       "\"10.2.0.0/15\""),
		  { { CONF_REKEY, "peer \"b\"",
		      "remote_ts: { \"10.2.0.0/16\" } -> { \"10.2.0.0/15\" }" } } },
		{ "identity = \"/b\"\nnetwork \"n\" { }",
		  "identity = \"/c\"\nnetwork \"n\" { protect = \"10.1.0.0/16\" ; hubs = \"h\" }",
		  { { CONF_REAUTH, "", "identity: \"/b\" -> \"/c\"" },
		    { CONF_HOT, "network \"n\"", "hubs: not given -> { \"h\" }" },
		    { CONF_REKEY, "network \"n\"",
		      "protect: not given -> { \"10.1.0.0/16\" }" } } },
		{ WITH("redirect = no ; redirect_to = \"c\" ; redirect_above = 7"),
		  WITH("redirect = follow ; redirect_to = \"d\" ; redirect_wait = 2m"),
		  { { CONF_HOT, "peer \"b\"", "redirect: no -> follow" },
		    { CONF_HOT, "peer \"b\"", "redirect_to: { \"c\" } -> { \"d\" }" },
		    { CONF_HOT, "peer \"b\"", "redirect_above: 7 -> 0" },
		    { CONF_HOT, "peer \"b\"", "redirect_wait: 1m -> 2m" } } },
		{ WITH(""),
		  WITH("mtu_probes = no"),
		  { { CONF_HOT, "peer \"b\"", "mtu_probes: yes -> no" } } },
		/* Of long lists only what differs. */
		{ WITH("address = { \"a\", \"b\", \"c\" }"),
		  WITH("address = { \"d\", \"b\", \"a\", \"e\" }"),
		  { { CONF_HOT, "peer \"b\"", "address: +\"d\" +\"e\" -\"c\"" } } },
		{ WITH("address = { \"a\", \"b\", \"c\" }"),
		  WITH("address = { \"c\", \"b\", \"a\" }"),
		  { { CONF_HOT, "peer \"b\"", "address: another order" } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		check(row[i].old, row[i].new, row[i].want);
}

/* S4: that a secret changed, and no more. */
static void secrets(void **state)
{
	static const struct line want[] = { { CONF_REAUTH, "peer \"b\"", "psk: changed" },
					    { .text = NULL } };
	static const struct line none = { .text = NULL };

	(void)state;
	check(BARE("psk = \"one\" ; " TS), BARE("psk = \"two\" ; " TS), want);
	check(BARE("psk = \"one\" ; " TS), BARE("psk = \"onee\" ; " TS), want);
	check(BARE("psk = \"ABC\" ; " TS), BARE("psk = \"0x414243\" ; " TS), &none);
}

/* One line at the top level, however many inherit; who stops inheriting has his own. */
static void inherited(void **state)
{
#define CERTS(t, more)                                                                             \
	"local_id = \"a\" ; certificate = \"/c\" ; key = \"/k\" ; trust = \"" t "\"\n"             \
	"peer \"b\" { remote_id = \"b\" ; " TS " }\n"                                              \
	"peer \"c\" { remote_id = \"c\" ; " TS more " }\n"
	static const struct line top[] = { { CONF_REAUTH, "", "trust: { \"/t\" } -> { \"/u\" }" },
					   { .text = NULL } };
	static const struct line both[] = { { CONF_REAUTH, "", "trust: { \"/t\" } -> { \"/u\" }" },
					    { CONF_REAUTH, "peer \"c\"",
					      "trust: { \"/t\" } -> { \"/v\" }" },
					    { .text = NULL } };
	static const struct line none = { .text = NULL };

	(void)state;
	check(CERTS("/t", ""), CERTS("/u", ""), top);
	check(CERTS("/t", ""), CERTS("/u", " ; trust = \"/v\""), both);
	/* Said again in its own place is the same. */
	check(CERTS("/t", ""), CERTS("/t", " ; trust = \"/t\""), &none);
#undef CERTS
}

/* ---- sections ---- */

#define P(name) "peer \"" name "\" { remote_id = \"" name "\" ; psk = \"k\" ; " TS " }\n"

/* In the order of the new file, removals last. */
static void sections(void **state)
{
	static const struct line all[] = {
		{ CONF_HOT, "peer \"new\"", "added" },
		{ CONF_HOT, "network \"n\"", "added" },
		{ CONF_REAUTH, "peer \"c\"", "remote_id: \"c\" -> \"x\"" },
		{ CONF_REAUTH, "peer \"a\"", "removed" },
		{ CONF_REAUTH, "peer \"b\"", "removed" },
		{ .text = NULL },
	};

	(void)state;
	check("local_id = \"me\"\n" P("a") P("b") P("c"),
	      "local_id = \"me\"\n" P("new") "network \"n\" { identity = \"/b\" }\n"
					     "peer \"c\" { remote_id = \"x\" ; psk = \"k\" ; " TS
					     " }\n",
	      all);
}

/* A peer's name that a network takes is another thing. */
static void other_kind(void **state)
{
	static const struct line want[] = { { CONF_HOT, "network \"a\"", "added" },
					    { CONF_REAUTH, "peer \"a\"", "removed" },
					    { .text = NULL } };

	(void)state;
	check("local_id = \"me\"\n" P("a") P("b"),
	      "local_id = \"me\"\n" P("b") "network \"a\" { identity = \"/b\" }", want);
}

#define HUB(more)                                                                                  \
	"identity = \"/b\"\nnetwork \"n\" { role = hub ; domain = \"10.0.0.0/8\"\n" more "}\n"
#define M(pattern, prefix) "member \"" pattern "\" { prefixes = \"" prefix "\" }\n"

static void members(void **state)
{
	static const struct line want[] = {
		{ CONF_REKEY, "network \"n\" member \"*.new\"", "added" },
		{ CONF_REKEY, "network \"n\" member \"b\"",
		  "prefixes: { \"10.2.0.0/16\" } -> { \"10.9.0.0/16\" }" },
		{ CONF_REKEY, "network \"n\" member \"a\"", "removed" },
		{ .text = NULL },
	};
	static const struct line order[] = {
		{ CONF_REKEY, "network \"n\"", "members: another order" }, { .text = NULL }
	};
	static const struct line gone[] = { { CONF_HOT, "network \"m\"", "added" },
					    { CONF_REAUTH, "network \"n\"", "removed" },
					    { .text = NULL } };

	(void)state;
	check(HUB(M("a", "10.1.0.0/16") M("b", "10.2.0.0/16") M("%any", "10.3.0.0/16")),
	      HUB(M("*.new", "10.4.0.0/16") M("b", "10.9.0.0/16") M("%any", "10.3.0.0/16")), want);
	/* The first that matches counts. */
	check(HUB(M("*.a", "10.1.0.0/16") M("x.a", "10.2.0.0/16")),
	      HUB(M("x.a", "10.2.0.0/16") M("*.a", "10.1.0.0/16")), order);
	/* With a network go its members, in one line. */
	check(HUB(M("a", "10.1.0.0/16")), "identity = \"/b\" ; network \"m\" { }", gone);
}

#define GROUP(name, prefix) "peers \"" name "\" { networks = \"" prefix "\" }\n"
#define RULE(name, between, topology)                                                              \
	"rule \"" name "\" { between = \"" between "\" ; topology = " topology " }\n"

/* T1, T2: nothing of it costs a tunnel that goes by the hub. */
static void topologies(void **state)
{
	static const struct line want[] = {
		{ CONF_HOT, "network \"n\"", "topology: dynamic -> mesh" },
		{ CONF_HOT, "network \"n\"", "shortcut_idle: 1m -> 10s" },
		{ CONF_HOT, "network \"n\" peers \"b\"",
		  "identities: not given -> { \"*.b\", \"c\" }" },
		{ CONF_HOT, "network \"n\" peers \"b\"",
		  "networks: { \"10.2.0.0/16\" } -> not given" },
		{ CONF_HOT, "network \"n\" peers \"c\"", "added" },
		{ CONF_HOT, "network \"n\" rule \"1\"", "topology: star -> dynamic" },
		{ CONF_HOT, "network \"n\" rule \"3\"", "added" },
		{ CONF_HOT, "network \"n\" peers \"a\"", "removed" },
		{ CONF_HOT, "network \"n\" rule \"2\"", "removed" },
		{ .text = NULL },
	};
	static const struct line order[] = { { CONF_HOT, "network \"n\"", "rules: another order" },
					     { .text = NULL } };

	(void)state;
	check(HUB(GROUP("a", "10.1.0.0/16") GROUP("b", "10.2.0.0/16") RULE("1", "b", "star")
			  RULE("2", "a", "star")),
	      HUB("topology = mesh ; shortcut_idle = 10s\n"
		  "peers \"b\" { identities = { \"*.b\", \"c\" } }\n" GROUP("c", "10.3.0.0/16")
			  RULE("1", "b", "dynamic") RULE("3", "c", "mesh")),
	      want);
	/* The first rule counts; of groups the order says nothing. */
	check(HUB(GROUP("a", "10.1.0.0/16") GROUP("b", "10.2.0.0/16") RULE("1", "b", "star")
			  RULE("2", "a", "mesh")),
	      HUB(GROUP("b", "10.2.0.0/16") GROUP("a", "10.1.0.0/16") RULE("2", "a", "mesh")
			  RULE("1", "b", "star")),
	      order);
}

/* Ten thousand sections are matched by name without a walk for each. */
static void many(void **state)
{
	static const struct line want[] = {
		{ CONF_REAUTH, "peer \"p9999\"", "remote_id: \"r9999\" -> \"x\"" }, { .text = NULL }
	};
	static char text[2][1 << 21];

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct text t = { text[side], 0, sizeof(text[0]) };

		text_add(&t, "local_id = \"me\"\n");
		for (int i = 0; i < 10000; i++) {
			char id[16];

			snprintf(id, sizeof(id), side && i == 9999 ? "x" : "r%d", i);
			text_fmt(&t, "peer \"p%d\" { remote_id = \"%s\" ; psk = \"k\" ; " TS " }\n",
				 i, id);
		}
		assert_true(t.n + 4 < sizeof(text[0]));
	}
	check(text[0], text[1], want);
}

/* Every allocation refused in turn. */
static void out_of_memory(void **state)
{
	struct conf *a = parse_good(HUB(M("a", "10.1.0.0/16") GROUP("a", "10.1.0.0/16") RULE(
		"1", "a", "star")) "peer \"x\" { local_id = \"m\" ; "
				   "remote_id = \"x\" ; psk = \"k\" ; " TS " }\n");
	struct conf *b = parse_good(HUB(M("b", "10.1.0.0/16")));
	enum status st = ST_NOMEM;
	long left = 0;

	(void)state;
	for (; st == ST_NOMEM; left++) {
		struct counting n;
		const struct alloc mem = counting_mem(&n, left);
		struct conf_diff_line *l = NULL;
		struct arena ar;

		arena_init(&ar, &mem, 1 << 20);
		st = conf_diff(&ar, a, b, &l);
		assert_int_equal(st == ST_OK, l != NULL);
		arena_done(&ar);
		assert_int_equal(n.live, 0);
		assert_true(left < 100);
	}
	assert_int_equal(st, ST_OK);
	conf_unref(a);
	conf_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),  cmocka_unit_test(keys),
		cmocka_unit_test(secrets),  cmocka_unit_test(inherited),
		cmocka_unit_test(sections), cmocka_unit_test(other_kind),
		cmocka_unit_test(members),  cmocka_unit_test(topologies),
		cmocka_unit_test(many),     cmocka_unit_test(out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
