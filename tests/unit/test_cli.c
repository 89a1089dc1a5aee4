/* What the warren command prints for people. */
#include "unit/test_util.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

static void durations(void **state)
{
	static const struct {
		json_int_t s;
		const char *text;
	} row[] = {
		{ 0, "0s" },       { 59, "59s" },        { 60, "1m 0s" },    { 3599, "59m 59s" },
		{ 3600, "1h 0m" }, { 86399, "23h 59m" }, { 86400, "1d 0h" }, { 90000, "1d 1h" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[32];
		struct text t = TEXT_OF(buf);

		cli_add_duration(&t, row[i].s);
		assert_string_equal(buf, row[i].text);
	}
}

static void sizes(void **state)
{
	static const struct {
		json_int_t n;
		const char *text;
	} row[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1048575, "1.0 MiB" }, /* not 1024.0 KiB */
		{ 12897485, "12.3 MiB" },
		{ INT64_MAX, "8.0 EiB" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[32];
		struct text t = TEXT_OF(buf);

		cli_add_bytes(&t, row[i].n);
		assert_string_equal(buf, row[i].text);
	}
}

/* What `print` writes to stdout for that JSON. */
static const char *printed(void (*print)(json_t *), const char *json)
{
	static char buf[8192];
	json_t *o = json_loads(json, 0, NULL);
	FILE *f = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t n;

	assert_true(o && f && saved >= 0);
	fflush(stdout);
	assert_true(dup2(fileno(f), STDOUT_FILENO) >= 0);
	print(o);
	fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	json_decref(o);
	rewind(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	return buf;
}

static const char peers_json[] =
	"{\"peers\":[{\"name\":\"zu\",\"kind\":\"peer\",\"state\":\"down\",\"start\":\"listen\","
	"\"local_id\":\"a\",\"remote_id\":\"*.example\",\"last_error\":\"refused:\\u001b[2J\","
	"\"ike_sas\":[]},"
	"{\"name\":\"b\\u00e4r\",\"kind\":\"member\",\"section\":\"corp\",\"state\":\"up\","
	"\"start\":\"up\",\"local_id\":\"a\",\"remote_id\":\"b\",\"last_error\":\"\","
	"\"authorised\":[\"10.2.0.0/16\"],\"authority\":\"certificate blocks\","
	"\"ike_sas\":[{\"spi_i\":\"0000000000000001\",\"spi_r\":\"0000000000000002\","
	"\"initiator\":true,\"state\":\"established\",\"age_s\":61,\"local\":\"192.0.2.1:4500\","
	"\"remote\":\"[2001:db8::1]:4500\",\"nat_local\":true,\"nat_remote\":false,"
	"\"proposal\":\"aes128gcm16-prfsha256-x25519\",\"auth_local\":\"psk\","
	"\"auth_remote\":\"psk\",\"child_sas\":[{\"spi_in\":\"c0ffee01\",\"spi_out\":\"c0ffee02\","
	"\"proposal\":\"aes128gcm16-esn\",\"local_ts\":[\"10.1.0.0/16\",\"10.9.0.0/16\"],"
	"\"remote_ts\":[\"10.2.0.0/16\"],\"bytes_in\":2048,\"bytes_out\":1,"
	"\"packets_in\":2,\"packets_out\":1,\"age_s\":5}]}]}]}";

static void peers(void **state)
{
	(void)state;
	assert_string_equal(printed(cli_print_peers, peers_json),
			    "PEER  STATE  ADDRESS             PREFIXES     IN       OUT\n"
			    "b\xc3\xa4r   up     [2001:db8::1]:4500  10.2.0.0/16  2.0 KiB  1 B\n"
			    "zu    down                                             \n"
			    "  last error: refused:\\x1b[2J\n");
}

static void peers_fully(void **state)
{
	(void)state;
	assert_string_equal(printed(cli_print_peers_fully, peers_json),
			    "b\xc3\xa4r  up\n"
			    "  kind: member\n"
			    "  of: corp\n"
			    "  we are: a\n"
			    "  it is: b\n"
			    "  start: up\n"
			    "  authorised: 10.2.0.0/16\n"
			    "  authority: certificate blocks\n"
			    "  IKE 0000000000000001 (ours) 0000000000000002  established  1m 1s\n"
			    "    192.0.2.1:4500 -> [2001:db8::1]:4500, we are behind a NAT\n"
			    "    aes128gcm16-prfsha256-x25519, we by psk, it by psk\n"
			    "    child c0ffee01 in, c0ffee02 out  aes128gcm16-esn  5s\n"
			    "      10.1.0.0/16, 10.9.0.0/16 <-> 10.2.0.0/16\n"
			    "      in 2.0 KiB (2 packets), out 1 B (1 packets)\n"
			    "zu  down\n"
			    "  kind: peer\n"
			    "  we are: a\n"
			    "  it is: *.example\n"
			    "  start: listen\n"
			    "  last error: refused:\\x1b[2J\n");
}

static void why(void **state)
{
	(void)state;
	assert_string_equal(
		printed(cli_print_why,
			"{\"subjects\":[{\"subject\":\"corp\",\"state\":\"waiting\",\"retry_in_s\":"
			"4,"
			"\"checks\":[{\"check\":\"lookup\",\"result\":\"ok\",\"text\":\"192.0.2."
			"1\","
			"\"change\":\"is not shown\"},"
			"{\"check\":\"init\",\"result\":\"failed\",\"text\":\"no "
			"answer\\u001b[2J\","
			"\"ours\":\"aes128gcm16\",\"change\":\"a firewall\"}],"
			"\"notes\":[{\"event\":\"unreachable\",\"last\":\"2026-01-01T00:00:09."
			"000Z\","
			"\"first\":\"2026-01-01T00:00:00.000Z\",\"count\":3,"
			"\"remote\":\"192.0.2.1:500\",\"text\":\"no answer\"}]}],\"more\":2}"),
		"corp: waiting, next attempt in 4 s\n"
		"  lookup         ok      192.0.2.1\n"
		"  IKE_SA_INIT    failed  no answer\\x1b[2J\n"
		"                         here: aes128gcm16\n"
		"                         to change: a firewall\n"
		"  what happened, newest first\n"
		"  2026-01-01T00:00:09.000Z  unreachable, 3 times since 2026-01-01T00:00:00.000Z, "
		"192.0.2.1:500\n"
		"      no answer\n"
		"\n"
		"2 more peers are not up: \"warren peers\"\n");
	assert_string_equal(printed(cli_print_why, "{\"subjects\":[]}"), "every peer is up\n");
	assert_string_equal(
		printed(cli_print_why,
			"{\"subjects\":[],\"refused\":[{\"network\":\"corp\",\"text\":\"no\"}]}"),
		"every peer is up\n"
		"corp: last refused: no\n");
}

/* A hub's own network is no tunnel: neither up nor waiting, and its error is another's. */
static void peers_of_a_hub(void **state)
{
	static const char json[] =
		"{\"peers\":[{\"name\":\"a\",\"kind\":\"member\",\"state\":\"down\"},"
		"{\"name\":\"corp\",\"kind\":\"network\",\"role\":\"hub\",\"state\":\"waiting\","
		"\"remote_id\":\"%any\",\"start\":\"listen\",\"local_id\":\"h\","
		"\"domain\":[\"10.0.0.0/8\"],\"last_error\":\"thief\"}]}";

	(void)state;
	assert_string_equal(printed(cli_print_peers, json),
			    "PEER  STATE  ADDRESS  PREFIXES    IN  OUT\n"
			    "corp  hub             10.0.0.0/8      \n"
			    "  last refused: thief\n"
			    "a     down                            \n");
	assert_string_equal(printed(cli_print_peers_fully, json), "corp  hub\n"
								  "  kind: network\n"
								  "  we are: h\n"
								  "  domain: 10.0.0.0/8\n"
								  "  last refused: thief\n"
								  "a  down\n"
								  "  kind: member\n");
}

static void status(void **state)
{
	(void)state;
	assert_string_equal(
		printed(cli_print_status,
			"{\"version\":\"1.2\",\"pid\":42,\"uptime_s\":3600,\"ike_sas\":3,\"half_"
			"open\":1,"
			"\"child_sas\":2,\"load\":{\"level\":\"puzzles\",\"half_open\":40,"
			"\"half_open_max\":64,\"prefixes\":3,\"worst_prefix\":\"192.0.2.1/32\","
			"\"worst_half_open\":38,\"puzzle_bits\":14},\"counters\":{\"z.last\":5,"
			"\"ike.zero\":0,\"a.first\":10},"
			"\"dataplane\":{\"kind\":\"user\",\"interface\":\"w0\",\"mtu\":1400,"
			"\"counters\":{\"m.middle\":7}}}"),
		"warrend 1.2, process 42, running for 1h 0m\n"
		"IKE SAs     3, of them 1 half-open\n"
		"child SAs   2\n"
		"data plane  user, interface w0, MTU 1400\n"
		"load        puzzles, 40 of 64 half-open from 3 prefixes, most from 192.0.2.1/32 "
		"(38), puzzles of 14 bits\n"
		"counters that are not zero:\n"
		"  a.first   10\n"
		"  m.middle  7\n"
		"  z.last    5\n");
}

/* Networks and the signer stand between the SAs and the counters. */
static void status_of_networks(void **state)
{
	(void)state;
	assert_string_equal(
		printed(cli_print_status,
			"{\"version\":\"1.2\",\"pid\":42,\"uptime_s\":1,"
			"\"networks\":[{\"name\":\"corp\",\"role\":\"hub\",\"local_id\":\"h\","
			"\"topology\":\"star\",\"domain\":[\"10.0.0.0/8\"]},"
			"{\"name\":\"a\",\"role\":\"site\",\"local_id\":\"s\","
			"\"hubs\":[\"h1\",\"h2\"]},"
			"{\"name\":\"b\",\"role\":\"site\",\"local_id\":\"s\","
			"\"protect\":[\"10.1.0.0/16\"],\"hubs\":[\"h1\"],"
			"\"hub\":{\"identity\":\"h1\",\"address\":\"192.0.2.1:4500\"}}],"
			"\"signer\":{\"pid\":43,\"done\":7,\"refused_rate\":1,\"refused_shape\":1,"
			"\"warning\":\"no seccomp\"}}"),
		"warrend 1.2, process 42, running for 1s\n"
		"IKE SAs     0, of them 0 half-open\n"
		"child SAs   0\n"
		"data plane  , interface , MTU 0\n"
		"network     corp, we are its hub h, topology star\n"
		"            domain 10.0.0.0/8\n"
		"network     a, we are its site s\n"
		"            not connected; hubs h1, h2\n"
		"network     b, we are its site s\n"
		"            protect 10.1.0.0/16\n"
		"            by hub h1 at 192.0.2.1:4500\n"
		"signer      process 43, 7 done, 2 refused; no seccomp\n"
		"counters that are not zero:\n");
}

/* Who gives inner addresses: how much is left; who has some; a store that is well, or fails. */
static void status_of_addresses(void **state)
{
	static const char head[] = "warrend 1, process 4, running for 1s\n"
				   "IKE SAs     0, of them 0 half-open\n"
				   "child SAs   0\n"
				   "data plane  , interface , MTU 0\n";
	static const struct {
		const char *json, *want;
	} rows[] = {
		{ "\"networks\":[{\"name\":\"corp\",\"role\":\"hub\",\"local_id\":\"h\",\"pool\":"
		  "{\"ranges\":[\"10.99.0.0/30\",\"fd00::/126\"],\"v4\":{\"size\":2,\"free\":0},"
		  "\"v6\":{\"size\":3,\"free\":1},\"leases\":2,\"connected\":1}}],"
		  "\"store\":{\"file\":\"/x/store.db\",\"well\":true,\"trouble\":\"\"}",
		  "network     corp, we are its hub h\n"
		  "            pool 10.99.0.0/30, fd00::/126: IPv4 2 of 2 taken, none free; "
		  "IPv6 2 of 3 taken; 2 leases, 1 absent\n"
		  "store       /x/store.db\n" },
		{ "\"networks\":[{\"name\":\"corp\",\"role\":\"hub\",\"local_id\":\"h\",\"pool\":"
		  "{\"ranges\":[\"fd00::/126\"],\"v4\":{\"size\":0,\"free\":0},"
		  "\"v6\":{\"size\":3,\"free\":2},\"leases\":1,\"connected\":1}}],"
		  "\"store\":{\"file\":\"/x/store.db\",\"well\":false,\"trouble\":\"disk\\n "
		  "full\"}",
		  "network     corp, we are its hub h\n"
		  "            pool fd00::/126: IPv6 1 of 3 taken; 1 lease, 0 absent\n"
		  "store       FAILS: disk\\x0a full; nobody gets an inner address that is new, "
		  "who "
		  "has "
		  "one keeps it\n" },
		{ "\"inner\":[{\"peer\":\"corp\",\"up\":true,\"addresses\":[\"10.99.0.1\",\"fd00::"
		  "1\"],"
		  "\"dns\":[\"10.1.0.2\"],\"dns_domains\":[\"corp.example\"]},"
		  "{\"peer\":\"b\",\"up\":false,\"addresses\":[\"10.9.0.1\"],\"dns\":[],"
		  "\"dns_domains\":[]}],\"names\":{\"state\":\"absent\",\"text\":\"nobody there\"}",
		  "inner       10.99.0.1, fd00::1 from corp\n"
		  "            name servers 10.1.0.2 for corp.example\n"
		  "inner       10.9.0.1 from b, which is not connected\n"
		  "names       absent: nobody there\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char json[2048], want[2048];

		snprintf(json, sizeof(json), "{\"version\":\"1\",\"pid\":4,\"uptime_s\":1,%s}",
			 rows[i].json);
		snprintf(want, sizeof(want), "%s%scounters that are not zero:\n", head,
			 rows[i].want);
		assert_string_equal(printed(cli_print_status, json), want);
	}
}

static void peers_with_addresses(void **state)
{
	static const char json[] =
		"{\"peers\":[{\"name\":\"a\",\"kind\":\"peer\",\"state\":\"up\",\"inner\":"
		"[\"10.99.0.1\"],\"pool\":{\"ranges\":[\"10.99.0.1/32\"],\"v4\":{\"size\":1,"
		"\"free\":0},\"v6\":{\"size\":0,\"free\":0},\"leases\":1,\"connected\":1}}]}";

	(void)state;
	assert_string_equal(printed(cli_print_peers_fully, json),
			    "a  up\n"
			    "  kind: peer\n"
			    "  inner: 10.99.0.1\n"
			    "  pool: 10.99.0.1/32: IPv4 1 of 1 taken, none free; 1 lease, 0 "
			    "absent\n");
}

static const char shortcuts_json[] =
	"{\"shortcuts\":[{\"network\":\"corp\",\"number\":3,\"partner\":\"c\",\"state\":\"up\","
	"\"up\":true,\"initiator\":true,\"age_s\":61,\"hub\":\"hub\",\"local\":\"192.0.2.1:4500\","
	"\"remote\":\"192.0.2.3:4500\",\"rtt_us\":412,\"bytes_in\":84,\"bytes_out\":2048,"
	"\"local_ts\":[\"10.1.0.0/16\"],\"remote_ts\":[\"10.3.0.0/16\"],"
	"\"tries\":[{\"kind\":\"host\",\"local\":\"192.0.2.1:4500\",\"remote\":\"192.0.2.3:4500\","
	"\"result\":\"answered\",\"rtt_us\":412},{\"kind\":\"seen\",\"remote\":\"[::1]:4500\","
	"\"result\":\"refused\",\"why\":\"no address of a partner\"}]},"
	"{\"partner\":\"d\",\"state\":\"failed\",\"age_s\":5,\"reason\":\"no_path\","
	"\"text\":\"\\u001b[2J\",\"retry_in_s\":70,\"remote_ts\":[],\"tries\":[]}],\"pairs\":[]}";

static const char pairs_json[] =
	"{\"shortcuts\":[],\"pairs\":[{\"a\":\"b\",\"b\":\"c\",\"state\":\"failed\",\"age_s\":1,"
	"\"topology\":\"dynamic\",\"rule\":\"east\",\"reason\":\"authority\",\"text\":\"no\","
	"\"by\":\"c\",\"retry_in_s\":20,\"suggestions\":2,\"traffic\":true,\"relayed\":true}]}";

static void in_short(json_t *o)
{
	cli_print_shortcuts(o, false);
}

static void in_full(json_t *o)
{
	cli_print_shortcuts(o, true);
}

static void shortcuts(void **state)
{
	(void)state;
	assert_string_equal(
		printed(in_short, shortcuts_json),
		"PARTNER  STATE   SINCE  PATH                              RTT      IN    OUT\n"
		"c        up      1m 1s  192.0.2.1:4500 -> 192.0.2.3:4500  0.41 ms  84 B  2.0 KiB\n"
		"d        failed  5s                                                      \n"
		"  no_path: \\x1b[2J\n"
		"  not suggested again for 1m 10s\n");
	assert_string_equal(
		printed(in_full, shortcuts_json),
		"PARTNER  STATE   SINCE  PATH                              RTT      IN    OUT\n"
		"c        up      1m 1s  192.0.2.1:4500 -> 192.0.2.3:4500  0.41 ms  84 B  2.0 KiB\n"
		"  number 3, suggested by hub; this end begins\n"
		"  ours: 10.1.0.0/16\n"
		"  theirs: 10.3.0.0/16\n"
		"  tried\n"
		"    host  192.0.2.1:4500 -> 192.0.2.3:4500  answered, 0.41 ms\n"
		"    seen  no address of ours -> [::1]:4500  refused: no address of a partner\n"
		"d        failed  5s                                                      \n"
		"  no_path: \\x1b[2J\n"
		"  not suggested again for 1m 10s\n"
		"  number 0, suggested by a hub that is not connected; the other end begins\n"
		"  ours: nothing\n"
		"  theirs: nothing\n");
	assert_string_equal(printed(in_full, pairs_json),
			    "MEMBER  MEMBER  STATE   SINCE  TOPOLOGY\n"
			    "b       c       failed  1s     dynamic, rule east\n"
			    "  one of them is at another hub\n"
			    "  c says: authority: no\n"
			    "  not suggested again for 20s\n"
			    "  suggested 2 times, traffic by this hub: yes\n");
	assert_string_equal(printed(in_short, "{}"), "no direct tunnels, and none was suggested\n");
}

static void directory(void **state)
{
	(void)state;
	assert_string_equal(printed(cli_print_directory,
				    "{\"members\":[{\"identity\":\"b\",\"partner\":true,"
				    "\"prefixes\":{\"certificate\":[\"10.2.0.0/"
				    "16\"],\"pool\":[\"10.9.0.1/32\"]},"
				    "\"candidates\":[{\"kind\":\"seen\",\"at\":\"192.0.2.2:4500\","
				    "\"nat\":true},"
				    "{\"kind\":\"host\",\"at\":\"10.0.0.1:4500\"}]},"
				    "{\"identity\":\"c\",\"at\":\"hub-2\"}]}"),
			    "MEMBER  TAKES PART  PREFIXES                  CANDIDATES\n"
			    "b       yes         10.2.0.0/16, 10.9.0.1/32  192.0.2.2:4500 (NAT), "
			    "10.0.0.1:4500\n"
			    "c       no                                    \n"
			    "  at hub-2\n");
}

/* An answer that lacks what it should have, or has it in another type, is printed all the same. */
static void odd_answers(void **state)
{
	static const char *const json[] = {
		"{}",
		"{\"peers\":7}",
		"{\"peers\":[7,null,{}]}",
		"{\"peers\":[{\"name\":{},\"ike_sas\":[1,{\"child_sas\":[[],{}]}]}]}",
		"{\"peers\":[{\"ike_sas\":[{\"child_sas\":[{\"local_ts\":[1]}]}]}]}",
		"{\"counters\":[],\"dataplane\":1}",
		"{\"peers\":[{\"pool\":[],\"inner\":7}],\"inner\":[7],\"names\":[]}",
		"{\"networks\":[{\"pool\":{\"v4\":1}}],\"store\":[]}",
		"{\"shortcuts\":[7,{\"tries\":[[],{}]}],\"pairs\":[[],{\"by\":1}]}",
		"{\"members\":[{}]}",
		"{\"subjects\":[1,[],{\"checks\":7,\"notes\":[{}]},{\"checks\":[[],{}]}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		assert_non_null(strstr(printed(cli_print_peers, json[i]), "PEER"));
		assert_non_null(strstr(printed(cli_print_status, json[i]), "warrend"));
		(void)printed(cli_print_peers_fully, json[i]);
		(void)printed(cli_print_why, json[i]);
		(void)printed(in_full, json[i]);
		(void)printed(cli_print_directory, json[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(peers),
		cmocka_unit_test(peers_fully),
		cmocka_unit_test(peers_of_a_hub),
		cmocka_unit_test(why),
		cmocka_unit_test(status),
		cmocka_unit_test(status_of_networks),
		cmocka_unit_test(status_of_addresses),
		cmocka_unit_test(peers_with_addresses),
		cmocka_unit_test(shortcuts),
		cmocka_unit_test(directory),
		cmocka_unit_test(odd_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
