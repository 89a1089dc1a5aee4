/*
 * Golden traces: whole scenarios at a fixed seed, every datagram as bytes and as text, every
 * data-plane operation and event, compared with what is checked in beside this file.
 *
 * A difference is a change of what we put on the wire: to be reviewed like code.  To accept it:
 *
 *	WARREN_GOLDEN=update meson test -C build golden && git diff tests/golden
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "harness/pair.h"
#include "harness/trace.h"

typedef void scenario_fn(struct pair *p);

static void begin(struct pair *p)
{
	pair_start(p);
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
}

static void to_the_end(struct pair *p)
{
	world_run(p->w);
	world_note(p->w, "the initiator leaves");
	assert_int_equal(node_command(p->a, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
	world_run(p->w);
}

/* ---- scenarios ----------------------------------------------------------------------------- */

static void psk(struct pair *p)
{
	begin(p);
	to_the_end(p);
}

static void certificates_ipv6(struct pair *p)
{
	pair_certs(p);
	pair_ipv6(p);
	begin(p);
	to_the_end(p);
}

/* The path carries 400 bytes one way and 300 the other, as both were told: IKE_AUTH and its
 * response go in fragments (RFC 7383). */
static void fragments(struct pair *p)
{
	pair_certs(p);
	pair_start(p);
	node_report(p->a, &(struct dp_report){
				  .kind = DP_REPORT_PMTU,
				  .u.pmtu = { test_endpoint("192.0.2.2", 500), 400, false } });
	node_report(p->b, &(struct dp_report){
				  .kind = DP_REPORT_PMTU,
				  .u.pmtu = { test_endpoint("192.0.2.1", 500), 300, false } });
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	to_the_end(p);
}

/* The responder wants a cookie and another group; its suite is the second one offered. */
static void cookie_and_group(struct pair *p)
{
	p->pa->ike =
		test_conf_sa(p->ca, WIRE_PROTO_IKE,
			     "aes256gcm16-prfsha384-x25519-ecp384 aes128gcm16-prfsha256-ecp256");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes256gcm16-prfsha384-ecp384");
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes256gcm16-esn-noesn aes128gcm16");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-noesn aes256gcm16-noesn");
	p->cb->conf.half_open_cookie = 0;
	begin(p);
	to_the_end(p);
}

/* Behind a translator: port 4500, keepalives, a probe. */
static void nat(struct pair *p)
{
	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->keepalive = dur_s(20);
	p->pa->dpd_delay = dur_s(30);
	begin(p);
	world_live(p->w, dur_s(45));
	to_the_end(p);
}

static void wrong_key(struct pair *p)
{
	p->pb->psk = 2;
	begin(p);
	world_run(p->w);
}

static void bad_certificate(struct pair *p)
{
	pair_certs(p);
	test_conf_cert_for(p->cb, p->pb, 12, 100, 100, "b.example", (wall_t){ WORLD_WALL - 200 },
			   (wall_t){ WORLD_WALL - 100 });
	begin(p);
	world_run(p->w);
}

static void no_proposal(struct pair *p)
{
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes256gcm16-prfsha384-ecp384");
	begin(p);
	world_run(p->w);
}

static void narrowed(struct pair *p)
{
	p->pa->ts_local = test_conf_ts(p->ca, "10.0.0.0/8 2001:db8:1::/48");
	p->pa->ts_remote = test_conf_ts(p->ca, "0.0.0.0/0 ::/0");
	p->pb->ts_local = test_conf_ts(p->cb, "10.2.0.0/16[tcp/443] 2001:db8:2::/48");
	p->pb->ts_remote = test_conf_ts(p->cb, "10.1.0.0/16 2001:db8:1::/64");
	begin(p);
	to_the_end(p);
}

static void selectors_refused(struct pair *p)
{
	p->pa->ts_local = test_conf_ts(p->ca, "10.9.0.0/16");
	begin(p);
	world_run(p->w);
}

/* Lost datagrams, retransmissions, a dead peer. */
static void lost(struct pair *p)
{
	p->pa->dpd_delay = dur_s(10);
	begin(p);
	world_drop(p->w, world_packet(p->w, 0));
	world_live(p->w, dur_s(20));
	world_note(p->w, "b is cut off");
	p->b->unplugged = true;
	while (!node_event(p->a, IKE_EV_DEAD))
		assert_true(world_timer(p->w));
}

/* Both connect at once. */
static void both_at_once(struct pair *p)
{
	begin(p);
	assert_int_equal(node_command(p->b, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_run(p->w);
}

/* A site and its hub: everything is asked for, narrowed to the certificate's blocks and the domain;
 * the site is silent to a stranger. */
static void network(struct pair *p)
{
	pair_network(p);
	p->pa->ts_local = test_conf_ts(p->ca, "10.0.0.0/8");
	begin(p);
	world_run(p->w);
	world_note(p->w, "a stranger calls the site");
	node_input(p->a, test_endpoint("198.51.100.7", 500), 500,
		   BYTES_OF(((const uint8_t[28]){ 1, 2, 3, 4, 5, 6, 7, 8, [17] = 0x20, 34,
						  8, [27] = 28 })));
	to_the_end(p);
}

/* It has a certificate of the authority, but nothing to announce; and the hub is none. */
static void network_refused(struct pair *p)
{
	pair_network(p);
	test_conf_cert_blocks(p->ca, p->pa, 11, 100, 100, NULL);
	begin(p);
	to_the_end(p);
	world_note(p->w, "another name at the hub's address");
	p->pb->local_id = test_conf_ident(p->cb, "c.example");
	test_conf_cert_blocks(p->cb, p->pb, 13, 100, 100, "10.3.0.0/16");
	node_reconfigure(p->b, test_conf_copy(p->cb));
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_run(p->w);
}

static void rekey(struct node *n, enum ike_cmd_kind kind)
{
	assert_int_equal(node_command(n, kind, PAIR_PEER), ST_OK);
}

/* A child with a key exchange of its own, of another group than the first asked for. */
static void child_rekey(struct pair *p)
{
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-ecp256-x25519");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	begin(p);
	world_run(p->w);
	world_note(p->w, "a rekeys the child");
	rekey(p->a, IKE_CMD_REKEY_CHILD);
	world_live(p->w, dur_s(10));
	world_note(p->w, "b asks for another");
	rekey(p->b, IKE_CMD_NEW_CHILD);
	to_the_end(p);
}

/* By who called, and by the other end. */
static void ike_rekey(struct pair *p)
{
	begin(p);
	world_run(p->w);
	world_note(p->w, "a rekeys the IKE SA");
	rekey(p->a, IKE_CMD_REKEY_SA);
	world_run(p->w);
	world_note(p->w, "b rekeys the IKE SA");
	rekey(p->b, IKE_CMD_REKEY_SA);
	world_live(p->w, dur_s(20));
	to_the_end(p);
}

/* MOBIKE (RFC 4555): the initiator goes from IPv4 to IPv4, and shows that it is there; then to
 * IPv6, where the responder said that it is as well. */
static void move(struct pair *p)
{
	p->pa->mobike = p->pb->mobike = true;
	pair_start(p);
	node_moves(p->a, "192.0.2.1", NULL);
	node_moves(p->b, "192.0.2.2", "2001:db8::2");
	assert_int_equal(node_command(p->a, IKE_CMD_UP, PAIR_PEER), ST_OK);
	world_run(p->w);
	world_note(p->w, "another network");
	node_moves(p->a, "198.51.100.7", NULL);
	world_run(p->w);
	world_note(p->w, "one with IPv6 only");
	node_moves(p->a, "2001:db8:7::7", NULL);
	to_the_end(p);
}

static void collide(struct pair *p, enum ike_cmd_kind kind)
{
	begin(p);
	world_run(p->w);
	world_note(p->w, "both rekey at once");
	rekey(p->a, kind);
	rekey(p->b, kind);
	world_live(p->w, dur_s(20));
	to_the_end(p);
}

/* RFC 7296 section 2.8.1 */
static void child_rekey_collision(struct pair *p)
{
	collide(p, IKE_CMD_REKEY_CHILD);
}

/* RFC 7296 section 2.8.2 */
static void ike_rekey_collision(struct pair *p)
{
	collide(p, IKE_CMD_REKEY_SA);
}

static const struct {
	const char *name;
	scenario_fn *run;
} scenario[] = {
	{ "psk", psk },
	{ "certificates_ipv6", certificates_ipv6 },
	{ "cookie_and_group", cookie_and_group },
	{ "nat", nat },
	{ "wrong_key", wrong_key },
	{ "bad_certificate", bad_certificate },
	{ "no_proposal", no_proposal },
	{ "narrowed", narrowed },
	{ "selectors_refused", selectors_refused },
	{ "lost", lost },
	{ "both_at_once", both_at_once },
	{ "network", network },
	{ "network_refused", network_refused },
	{ "fragments", fragments },
	{ "child_rekey", child_rekey },
	{ "ike_rekey", ike_rekey },
	{ "child_rekey_collision", child_rekey_collision },
	{ "ike_rekey_collision", ike_rekey_collision },
	{ "move", move },
};

/* ---- comparing ----------------------------------------------------------------------------- */

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;
	long n;

	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	text = calloc(1, (size_t)n + 1);
	if (text && fread(text, 1, (size_t)n, f) != (size_t)n)
		text[0] = '\0';
	fclose(f);
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Says where they part; a whole trace in an assertion helps nobody. */
static void compare(const char *path, const char *want, const char *have)
{
	unsigned line = 1;
	size_t i = 0, start = 0;

	for (; want[i] && want[i] == have[i]; i++)
		if (want[i] == '\n') {
			line++;
			start = i + 1;
		}
	if (want[i] == have[i])
		return;
	fail_msg("%s:%u differs\n  golden: %.*s\n  now:    %.*s", path, line,
		 (int)strcspn(want + start, "\n"), want + start, (int)strcspn(have + start, "\n"),
		 have + start);
}

static void golden(void **state)
{
	const char *dir = getenv("WARREN_GOLDEN_DIR"), *update = getenv("WARREN_GOLDEN");

	(void)state;
	assert_non_null(dir);
	for (size_t i = 0; i < ARRAY_LEN(scenario); i++) {
		struct text_buf trace;
		struct pair p;
		char path[1024];
		char *want;

		text_buf_init(&trace);
		pair_init(&p, 1000 + i);
		world_trace(p.w, &trace);
		text_buf_fmt(&trace, "== %s\n", scenario[i].name);
		scenario[i].run(&p);
		snprintf(path, sizeof(path), "%s/%s.txt", dir, scenario[i].name);
		if (update && strcmp(update, "update") == 0)
			write_file(path, trace.p);
		want = read_file(path);
		if (!want)
			fail_msg("there is no %s", path);
		compare(path, want, trace.p);
		free(want);
		pair_done(&p);
		text_buf_done(&trace);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(golden) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
