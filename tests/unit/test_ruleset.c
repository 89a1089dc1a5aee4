/* Rulesets of nftables held against packets, and anything else that may be in their place. */
#include "unit/test_util.h"

#include <stdio.h>

#include "cli/ruleset.h"

#define CHAIN(family, name, hook, policy)                                                          \
	"{\"chain\":{\"family\":\"" family "\",\"table\":\"filter\",\"name\":\"" name              \
	"\",\"hook\":\"" hook "\",\"policy\":\"" policy "\"}}"
#define PLAIN(name) "{\"chain\":{\"family\":\"ip\",\"table\":\"filter\",\"name\":\"" name "\"}}"
#define RULE(family, chain, expr)                                                                  \
	"{\"rule\":{\"family\":\"" family "\",\"table\":\"filter\",\"chain\":\"" chain             \
	"\",\"expr\":[" expr "]}}"
#define FORWARD(policy) CHAIN("ip", "FORWARD", "forward", policy)
#define F(expr) "," RULE("ip", "FORWARD", expr)
#define MATCH(op, left, right)                                                                     \
	"{\"match\":{\"op\":\"" op "\",\"left\":" left ",\"right\":" right "}}"
#define META(key) "{\"meta\":{\"key\":\"" key "\"}}"
#define PAYLOAD(proto, field) "{\"payload\":{\"protocol\":\"" proto "\",\"field\":\"" field "\"}}"
#define CT "{\"ct\":{\"key\":\"state\"}}"
#define ACCEPT ",{\"accept\":null}"
#define DROP ",{\"drop\":null}"

/* A packet out of the tunnel, to UDP 4500 as it happens. */
static const struct ruleset_packet packet = {
	.hook = "forward",
	.iif = "warren0",
	.oif = "lan",
	.src = { .family = 4, .b = { 10, 2, 0, 1 } },
	.dst = { .family = 4, .b = { 10, 1, 0, 1 } },
	.family = 4,
	.dport = 4500,
	.state = "new",
	.mark = 5,
};

static enum ruleset_fate fate_of(const char *items, const struct ruleset_packet *p,
				 struct ruleset_where *where, json_t **ret)
{
	char buf[16384];

	snprintf(buf, sizeof(buf), "{\"nftables\":[%s]}", items);
	*ret = json_loads(buf, 0, NULL);
	if (!*ret)
		fail_msg("no JSON: %s", buf);
	return ruleset_fate(*ret, "warren", p, where);
}

static void packets(void **state)
{
	static const struct {
		const char *items;
		enum ruleset_fate fate;
	} row[] = {
		{ "", RULESET_PASSES },
		{ FORWARD("accept"), RULESET_PASSES },
		{ FORWARD("drop"), RULESET_DROPPED },
		{ CHAIN("ip6", "FORWARD", "forward", "drop"), RULESET_PASSES },
		{ CHAIN("inet", "FORWARD", "forward", "drop"), RULESET_DROPPED },
		{ CHAIN("ip", "INPUT", "input", "drop"), RULESET_PASSES },
		/* a rule that lets it pass */
		{ FORWARD("drop") F(MATCH("==", META("iifname"), "\"warren0\"") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") F(MATCH("==", META("iifname"), "\"warren*\"") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") F(MATCH("==", META("oifname"), "\"warren0\"") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop") F(MATCH("!=", META("oifname"), "\"docker0\"") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") F("{\"counter\":{\"packets\":0}}" ACCEPT), RULESET_PASSES },
		{ FORWARD("drop")
			  F(MATCH("==", PAYLOAD("ip", "saddr"),
				  "{\"prefix\":{\"addr\":\"10.2.0.0\",\"len\":16}}") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") F(
			  MATCH("==", PAYLOAD("ip", "daddr"),
				"{\"set\":[\"10.9.0.1\",{\"range\":[\"10.1.0.0\",\"10.1.0.9\"]}]}")
				  ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") F(MATCH("==", PAYLOAD("ip6", "saddr"), "\"::1\"") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop")
			  F(MATCH("==", PAYLOAD("udp", "dport"), "{\"set\":[500,4500]}") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop")
			  F(MATCH("==", PAYLOAD("th", "dport"), "{\"range\":[400,499]}") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop") F(MATCH("==", PAYLOAD("tcp", "dport"), "4500") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop") F(MATCH("==", META("l4proto"), "17") ACCEPT), RULESET_PASSES },
		{ FORWARD("drop") F(MATCH("==", META("l4proto"), "\"tcp\"") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop") F(MATCH("==", META("mark"), "5") ACCEPT), RULESET_PASSES },
		{ FORWARD("drop") F(MATCH("in", CT, "[\"established\",\"related\"]") ACCEPT),
		  RULESET_DROPPED },
		{ FORWARD("drop") F(MATCH("in", CT, "[\"established\",\"new\"]") ACCEPT),
		  RULESET_PASSES },
		/* rules that drop */
		{ FORWARD("accept") F(MATCH("==", META("iifname"), "\"warren0\"") DROP),
		  RULESET_DROPPED },
		{ FORWARD("accept") F(MATCH("==", META("iifname"), "\"eth0\"") DROP),
		  RULESET_PASSES },
		{ FORWARD("accept") F("{\"reject\":{\"type\":\"icmp\"}}"), RULESET_DROPPED },
		/* what is not understood: might accept, is not said to drop */
		{ FORWARD("drop") F("{\"limit\":{\"rate\":1}}" ACCEPT), RULESET_MAYBE },
		{ FORWARD("drop") F(MATCH("==", PAYLOAD("ip", "saddr"), "\"@friends\"") ACCEPT),
		  RULESET_MAYBE },
		{ FORWARD("drop") F(MATCH("==", "{\"fib\":{}}", "\"local\"") ACCEPT),
		  RULESET_MAYBE },
		{ FORWARD("drop") F(MATCH("==", "{\"fib\":{}}", "\"local\"") DROP),
		  RULESET_DROPPED },
		{ FORWARD("accept") F("{\"xt\":{\"type\":\"match\"}}" DROP), RULESET_PASSES },
		{ FORWARD("drop") F("{\"xt\":null}" ACCEPT), RULESET_MAYBE },
		{ FORWARD("drop") F(MATCH("<", PAYLOAD("udp", "dport"), "1") ACCEPT),
		  RULESET_MAYBE },
		/* other chains */
		{ FORWARD("drop") "," PLAIN("USER") F("{\"jump\":{\"target\":\"USER\"}}") "," RULE(
			  "ip", "USER", MATCH("==", META("iifname"), "\"warren0\"") ACCEPT),
		  RULESET_PASSES },
		{ FORWARD("drop") "," PLAIN("USER") F("{\"jump\":{\"target\":\"USER\"}}") "," RULE(
			  "ip", "USER", "{\"return\":null}") F("{\"accept\":null}"),
		  RULESET_PASSES },
		{ FORWARD("drop") "," PLAIN("USER") F("{\"goto\":{\"target\":\"USER\"}}")
			  F("{\"accept\":null}"),
		  RULESET_DROPPED },
		{ FORWARD("drop") F("{\"limit\":{}},{\"jump\":{\"target\":\"USER\"}}") "," RULE(
			  "ip", "USER", "{\"accept\":null}"),
		  RULESET_MAYBE },
		{ FORWARD("drop") F("{\"vmap\":{\"key\":" META(
			  "iifname") ",\"data\":{\"set\":[[\"lo\",{\"drop\":null}],"
				     "[\"warren0\",{\"accept\":null}]]}}}"),
		  RULESET_PASSES },
		{ FORWARD("drop") F("{\"vmap\":{\"key\":" META("iifname") ",\"data\":\"@map\"}}"),
		  RULESET_MAYBE },
		/* one chain that accepts does not save it from another */
		{ FORWARD("accept") "," CHAIN("inet", "strict", "forward", "drop"),
		  RULESET_DROPPED },
		/* ours is not judged */
		{ "{\"chain\":{\"family\":\"inet\",\"table\":\"warren\",\"name\":\"f\",\"hook\":"
		  "\"forward\",\"policy\":\"drop\"}}",
		  RULESET_PASSES },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct ruleset_where where;
		json_t *o;
		enum ruleset_fate fate = fate_of(row[i].items, &packet, &where, &o);

		json_decref(o);
		if (fate != row[i].fate)
			fail_msg("row %zu: %d, not %d: %s", i, fate, row[i].fate, row[i].items);
	}
}

static void where(void **state)
{
	struct ruleset_where w;
	json_t *o;

	(void)state;
	assert_int_equal(fate_of(FORWARD("drop") "," PLAIN("DOCKER-USER"), &packet, &w, &o),
			 RULESET_DROPPED);
	assert_string_equal(w.table, "filter");
	assert_string_equal(w.chain, "FORWARD");
	assert_string_equal(w.family, "ip");
	assert_true(w.policy);
	assert_true(ruleset_has_chain(o, "ip", "filter", "DOCKER-USER"));
	assert_false(ruleset_has_chain(o, "ip", "nat", "DOCKER-USER"));
	json_decref(o);
	assert_int_equal(fate_of(FORWARD("accept") F("{\"drop\":null}"), &packet, &w, &o),
			 RULESET_DROPPED);
	assert_false(w.policy);
	json_decref(o);
}

/* Unknown devices and addresses match nothing for sure. */
static void unknown(void **state)
{
	static const struct ruleset_packet p = { .hook = "input", .family = 4, .state = "new" };
	struct ruleset_where w;
	json_t *o;

	(void)state;
	assert_int_equal(fate_of(CHAIN("ip", "I", "input", "drop") "," RULE(
					 "ip", "I", MATCH("==", META("iifname"), "\"lo\"") ACCEPT),
				 &p, &w, &o),
			 RULESET_MAYBE);
	json_decref(o);
}

/* Chains that call each other without end, and shapes that nft never prints. */
static void hostile(void **state)
{
	static const char *const items[] = {
		FORWARD("drop") F("{\"jump\":{\"target\":\"FORWARD\"}}")
			F("{\"jump\":{\"target\":\"FORWARD\"}}")
				F("{\"jump\":{\"target\":\"FORWARD\"}}"),
		"null,7,[],\"x\",{\"chain\":null},{\"chain\":[]},{\"rule\":3}",
		FORWARD("drop") F("null,7,[],{}"),
		FORWARD("drop") F("{\"match\":null}" ACCEPT),
		FORWARD("drop")
			F("{\"match\":{\"op\":7,\"left\":[],\"right\":{\"set\":7}}}" ACCEPT),
		FORWARD("drop") F(MATCH("==", PAYLOAD("ip", "saddr"),
					"{\"prefix\":{\"addr\":\"x\",\"len\":-1}}") ACCEPT),
		FORWARD("drop") F(MATCH("==", PAYLOAD("udp", "dport"), "{\"range\":[1]}") ACCEPT),
		FORWARD("drop") F("{\"vmap\":{\"key\":7,\"data\":{\"set\":[1,[],[[],[]]]}}}"),
		FORWARD("drop") F("{\"jump\":{\"target\":\"nowhere\"}}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		struct ruleset_where w;
		json_t *o;

		(void)fate_of(items[i], &packet, &w, &o);
		json_decref(o);
	}
	assert_int_equal(ruleset_fate(NULL, "", &packet, NULL), RULESET_PASSES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets),
		cmocka_unit_test(where),
		cmocka_unit_test(unknown),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
