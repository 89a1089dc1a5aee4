/*
 * test_daemon.c - what the daemon derives from its configuration: what to guard (S3), MTU, the
 * engine's snapshot.
 */
#include "test_util.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/guarding.h"
#include "daemon/hostnet.h"
#include "daemon/jobs.h"
#include "daemon/lookup.h"
#include "daemon/roam.h"
#include "daemon/translate.h"
#include "plat/plat.h"

/* Peers of a file in which only selectors matter. */
static struct conf *parse(struct conf_errors *errs, const char *peers)
{
	static char buf[65536];
	struct conf *c;

	conf_errors_init(errs, &mem_libc);
	snprintf(buf, sizeof(buf), "local_id = \"a.example\"\n%s", peers);
	if (conf_parse(&mem_libc, "t.conf", bytes_str(buf), errs, &c) == ST_OK)
		return c;
	for (const struct conf_error *e = errs->head; e; e = e->next)
		print_error("%u:%u: %s\n", e->at.line, e->at.col, e->text);
	fail();
	return NULL;
}

#define PEER(name, local, remote)                                                                  \
	"peer \"" name                                                                             \
	"\" { address = \"192.0.2.2\"\n psk = \"secret secret\"\n remote_id = \"" name             \
	".example\"\n local_ts = { " local " }\n remote_ts = { " remote " } }\n"

static struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

/* ---- what to guard ----------------------------------------------------------------------- */

/* "prefix[ src], ..." of the domain, " - " and the sites', for comparing by eye. */
static void plan_text(const struct guard_plan *p, const struct ip *src, struct text *t)
{
	char pre[PREFIX_TEXT_MAX], buf[IP_TEXT_MAX];

	for (size_t i = 0; i < p->domain.n; i++) {
		text_fmt(t, "%s%s", i ? ", " : "", prefix_text(&p->domain.v[i], pre));
		if (src[i].family)
			text_fmt(t, " src %s", ip_text(&src[i], buf));
	}
	text_add(t, " -");
	for (size_t i = 0; i < p->local.n; i++)
		text_fmt(t, " %s", prefix_text(&p->local.v[i], pre));
}

/* What a bundle or a hub would say. */
static enum status some_network(void *ctx, const struct conf *conf, size_t index,
				struct guarding_facts *ret)
{
	const char *const *domains = ctx;
	struct prefix p;

	(void)conf;
	assert_int_equal(prefix_parse(domains[2 * index], &p), ST_OK);
	assert_int_equal(guard_prefixes_add(&ret->domain, &p), ST_OK);
	assert_int_equal(prefix_parse(domains[2 * index + 1], &p), ST_OK);
	return guard_prefixes_add(&ret->local, &p);
}

static void check_plan(const struct conf *conf, const char *want)
{
	static const char *const nets[] = { "10.64.0.0/10", "10.66.0.0/16" };
	const struct guarding_source source = { some_network, NULL, (void *)(uintptr_t)nets };
	const struct ip own[] = { ip("192.0.2.1"), ip("10.1.0.1"), ip("10.66.0.1"),
				  ip("fd00:1::1") };
	struct guard_plan p;
	char buf[2048];
	struct text t = TEXT_OF(buf);
	struct ip src[32];

	assert_int_equal(guarding_plan(conf, &source, &p), ST_OK);
	assert_true(p.domain.n <= ARRAY_LEN(src));
	assert_string_equal(p.device, "warren0");
	assert_int_equal(p.ports[0], 500);
	assert_int_equal(p.ports[1], 4500);
	assert_int_equal(guarding_sources(conf, &source, &p, own, ARRAY_LEN(own), src), ST_OK);
	plan_text(&p, src, &t);
	assert_string_equal(buf, want);
	guard_plan_done(&p);
}

static enum status some_gift(void *ctx, const char *section, struct guard_prefixes *ret)
{
	struct prefix p;

	(void)ctx;
	if (strcmp(section, "b") != 0)
		return ST_OK;
	assert_int_equal(prefix_parse("10.2.99.5", &p), ST_OK);
	return guard_prefixes_add(ret, &p);
}

/* What a gateway gave is what packets to what is behind it are sent from, also where an address of
 * our own would do. */
static void test_guarding_given(void **state)
{
	const struct guarding_source source = { NULL, some_gift, NULL };
	const struct ip own[] = { ip("10.1.0.1"), ip("10.2.99.5") };
	struct conf_errors errs;
	struct conf *conf = parse(&errs, PEER("b", "\"10.1.0.0/16\"", "\"10.2.0.0/16\"")
						 PEER("c", "\"10.1.0.0/16\"", "\"10.3.0.0/16\""));
	struct guard_plan p;
	struct ip src[2];
	char buf[256];
	struct text t = TEXT_OF(buf);

	(void)state;
	assert_int_equal(guarding_plan(conf, &source, &p), ST_OK);
	assert_int_equal(p.given.n, 1);
	assert_int_equal(guarding_sources(conf, &source, &p, own, ARRAY_LEN(own), src), ST_OK);
	plan_text(&p, src, &t);
	assert_string_equal(buf, "10.2.0.0/16 src 10.2.99.5, 10.3.0.0/16 src 10.1.0.1 - "
				 "10.1.0.0/16");
	guard_plan_done(&p);
	conf_unref(conf);
	conf_errors_done(&errs);
}

static void test_guarding_plan(void **state)
{
	static const struct {
		const char *peers, *want;
	} rows[] = {
		{ PEER("b", "\"10.1.0.0/16\", \"fd00:1::/64\"", "\"10.2.0.0/16\", \"fd00:2::/64\""),
		  "10.2.0.0/16 src 10.1.0.1, fd00:2::/64 src fd00:1::1 - 10.1.0.0/16 fd00:1::/64" },
		{ PEER("b", "\"10.1.0.0/16\"", "\"10.0.0.0/8\""),
		  "10.0.0.0/8 src 10.1.0.1 - 10.1.0.0/16" },
		{ PEER("b", "\"10.1.0.0/16\"", "\"0.0.0.0/0\""),
		  "0.0.0.0/0 src 10.1.0.1 - 10.1.0.0/16" },
		/* Ranges become prefixes; ports do not matter to routing. */
		{ PEER("b", "\"10.1.0.0/16\"", "\"10.2.0.1-10.2.0.4\", \"10.3.0.0/16[tcp/80]\""),
		  "10.2.0.1/32 src 10.1.0.1, 10.2.0.2/31 src 10.1.0.1, 10.2.0.4/32 src 10.1.0.1, "
		  "10.3.0.0/16 src 10.1.0.1 - 10.1.0.0/16" },
		/* One prefix of two peers: the first one's source stands, also if it has none. */
		{ PEER("b", "\"10.1.0.0/16\"", "\"10.2.0.0/16\"")
			  PEER("c", "\"10.9.0.0/16\"", "\"10.2.0.0/16\", \"10.3.0.0/16\""),
		  "10.2.0.0/16 src 10.1.0.1, 10.3.0.0/16 - 10.1.0.0/16 10.9.0.0/16" },
		{ PEER("c", "\"10.9.0.0/16\"", "\"10.2.0.0/16\"")
			  PEER("b", "\"10.1.0.0/16\"", "\"10.2.0.0/16\""),
		  "10.2.0.0/16 - 10.1.0.0/16 10.9.0.0/16" },
		/* The first address of the host that lies in what is local, whatever it is for. */
		{ PEER("b", "\"0.0.0.0/0\"", "\"10.2.0.0/16\""),
		  "10.2.0.0/16 src 192.0.2.1 - 0.0.0.0/0" },
		/* A network beside a peer. */
		{ PEER("b", "\"10.1.0.0/16\"",
		       "\"10.2.0.0/16\"") "network \"corp\" { identity = \"/x.warren\"\n hubs = { "
					  "\"hub.example\" } }\n",
		  "10.2.0.0/16 src 10.1.0.1, 10.64.0.0/10 src 10.66.0.1 - 10.1.0.0/16 "
		  "10.66.0.0/16" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct conf_errors errs;
		struct conf *conf = parse(&errs, rows[i].peers);

		check_plan(conf, rows[i].want);
		conf_unref(conf);
		conf_errors_done(&errs);
	}
}

/* ---- MTU --------------------------------------------------------------------------------- */

/* Against the sum of the parts, padded as RFC 4303 section 2.4 says: the result fits, one more
 * does not. */
static void test_inner_mtu(void **state)
{
	static const struct {
		uint32_t outer;
		uint8_t family;
		uint16_t inner;
	} rows[] = { { 1500, 4, 1438 }, { 1500, 6, 1418 }, { 1280, 4, 1218 },   { 1280, 6, 1198 },
		     { 9000, 4, 8938 }, { 40, 4, 0 },      { 100000, 4, 65470 } };

	const struct esp_shape gcm = { 16, 4, 16 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(hostnet_inner_mtu(rows[i].outer, rows[i].family, &gcm),
				 rows[i].inner);
	for (uint32_t outer = 576; outer < 2000; outer++)
		for (uint8_t family = 4; family <= 6; family += 2) {
			uint32_t head = (family == 6 ? 40 : 20) + 8 + 8 + 8, in[2];

			in[0] = hostnet_inner_mtu(outer, family, &gcm);
			in[1] = in[0] + 1;
			for (int k = 0; k < 2; k++) /* inner, pad length and next header, ICV */
				in[k] = head + ((in[k] + 2 + 3) / 4) * 4 + 16;
			assert_true(in[0] <= outer);
			assert_true(in[1] > outer);
		}
}

/* ---- the engine's snapshot --------------------------------------------------------------- */

static void test_translate(void **state)
{
	struct conf_errors errs;
	struct crypto_store *store;
	struct conf_creds *creds;
	struct ike_conf *ike;
	struct conf *c =
		parse(&errs, "port = 1500\n nat_port = 14500\n half_open_cookie = 7\n"
			     "half_open_puzzle = 8\n half_open_max = 9\n half_open_prefix = 3\n"
			     "init_rate_cookie = 4\n puzzle_max = 11\n puzzle_solve = 12\n"
			     "peer \"b\" { address = { \"192.0.2.2\", \"gw.example\" }\n"
			     "psk = \"secret secret\"\n remote_id = \"b.example\"\n"
			     "local_ts = { \"10.1.0.0/16\" }\n"
			     "remote_ts = { \"10.2.0.0/16\" }\n start = up\n"
			     "dpd_delay = 11s\n keepalive = 12s\n port = 501\n"
			     "rekey = 30m\n ike_lifetime = 100m\n rekey_bytes = 10M\n"
			     "lifetime_packets = 10000\n expired = keep\n childless = never\n "
			     "fragmentation = no\n"
			     "ppk_id = \"q\"\n ppk = \"0123456789abcdef0123456789abcdef\"\n"
			     "ppk_required = yes }\n"
			     "peer \"c\" { psk = \"another secret\"\n remote_id = \"c.example\"\n"
			     "local_ts = { \"10.1.0.0/16\" }\n"
			     "remote_ts = { \"10.3.0.0/16\" } }\n");

	(void)state;
	assert_int_equal(crypto_store_new(&store), ST_OK);
	assert_int_equal(conf_creds_load(&mem_libc, c, &conf_source_files, store, &errs, &creds),
			 ST_OK);
	assert_int_equal(translate(c, creds, NULL, &ike), ST_OK);
	conf_creds_free(creds);
	conf_unref(c); /* the snapshot keeps it */
	assert_int_equal(ike->port, 1500);
	assert_int_equal(ike->nat_port, 14500);
	assert_int_equal(ike->half_open_cookie, 7);
	assert_int_equal(ike->half_open_puzzle, 8);
	assert_int_equal(ike->half_open_max, 9);
	assert_int_equal(ike->half_open_prefix, 3);
	assert_int_equal(ike->init_rate_cookie, 4);
	assert_int_equal(ike->puzzle_max, 11);
	assert_int_equal(ike->puzzle_solve, 12);
	assert_false(ike->keys);
	assert_int_equal(ike->n_peers, 2);
	assert_int_equal(ike->peers[0].id, 1);
	assert_int_equal(ike->peers[0].n_addresses, 2);
	assert_string_equal(ike->peers[0].addresses[1], "gw.example");
	assert_int_equal(ike->peers[0].port, 501);
	assert_int_equal(ike->peers[0].start, IKE_START_UP);
	assert_int_equal(ike->peers[0].dpd_delay.ns, dur_s(11).ns);
	assert_int_equal(ike->peers[0].keepalive.ns, dur_s(12).ns);
	assert_int_equal(ike->peers[0].life.child_soft.ns, dur_s(1800).ns);
	assert_int_equal(ike->peers[0].life.child_hard.ns, dur_s(1980).ns);
	assert_int_equal(ike->peers[0].life.ike_soft.ns, dur_s(5400).ns);
	assert_int_equal(ike->peers[0].life.ike_hard.ns, dur_s(6000).ns);
	assert_int_equal(ike->peers[0].life.soft_bytes, 10 << 20);
	assert_int_equal(ike->peers[0].life.hard_bytes, 11 << 20);
	assert_int_equal(ike->peers[0].life.soft_packets, 9000);
	assert_int_equal(ike->peers[0].life.hard_packets, 10000);
	assert_true(ike->peers[0].life.outlive_certs);
	assert_int_equal(ike->peers[0].childless, IKE_CHILDLESS_NEVER);
	assert_false(ike->peers[0].fragmentation);
	assert_int_not_equal(ike->peers[0].ppk, 0);
	assert_int_not_equal(ike->peers[0].ppk, ike->peers[0].psk);
	assert_true(ike->peers[0].ppk_required);
	assert_true(bytes_eq(ike->peers[0].ppk_id, bytes_str("q")));
	assert_int_equal(ike->peers[1].ppk, 0);
	assert_int_equal(ike->peers[1].life.ike_soft.ns, dur_s(14400).ns);
	assert_int_equal(ike->peers[1].life.ike_hard.ns, dur_s(15840).ns);
	assert_int_equal(ike->peers[1].life.child_hard.ns, dur_s(3960).ns);
	assert_int_equal(ike->peers[1].life.hard_bytes, 0);
	assert_int_equal(ike->peers[1].childless, IKE_CHILDLESS_ALLOW);
	assert_true(ike->peers[1].fragmentation);
	assert_int_equal(ike->peers[0].auth, IKE_AUTH_PSK);
	assert_int_not_equal(ike->peers[0].psk, 0);
	assert_int_not_equal(ike->peers[1].psk, ike->peers[0].psk);
	assert_string_equal(ike->peers[1].name, "c");
	assert_int_equal(ike->peers[1].n_addresses, 0);
	assert_int_equal(ike->peers[1].start, IKE_START_LISTEN); /* nowhere to go */
	assert_true(ike->peers[1].ike.n > 0);
	assert_true(ike->peers[1].esp.n > 0);
	ike_conf_unref(ike);
	crypto_store_free(store);
	conf_errors_done(&errs);
}

/* ---- in a namespace of our own ----------------------------------------------------------- */

struct net {
	int ns;
	struct plat_nl *nl;
	struct plat_tun tun;
	struct conf *conf;
	struct conf_errors errs;
	char buf[512];
	struct text why;
};

static int open_ns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void open_device(struct net *n)
{
	const struct plat_tun_conf c = { .ns = n->ns, .name = "warren0", .queues = 1 };

	assert_int_equal(plat_tun_open(&c, &n->why, &n->tun), ST_OK);
	(void)!plat_link_no_link_local(n->nl, n->tun.ifindex, &n->why);
	assert_int_equal(plat_link_up(n->nl, n->tun.ifindex, &n->why), ST_OK);
}

static int net_setup(void **state)
{
	struct net *n = calloc(1, sizeof(*n));
	int here = open_ns();

	assert_non_null(n);
	*n = (struct net){ .ns = -1 };
	n->why = TEXT_OF(n->buf);
	*state = n;
	if (unshare(CLONE_NEWNET) == 0) {
		n->ns = open_ns();
		assert_int_equal(setns(here, CLONE_NEWNET), 0);
		assert_int_equal(plat_nl_new(n->ns, &n->why, &n->nl), ST_OK);
		assert_int_equal(plat_link_up(n->nl, 1, &n->why), ST_OK);
		n->conf = parse(&n->errs, PEER("b", "\"10.1.0.0/16\", \"fd00:1::/64\"",
					       "\"10.0.0.0/8\", \"fd00:2::/64\""));
		open_device(n);
	}
	close(here);
	return 0;
}

static int net_teardown(void **state)
{
	struct net *n = *state;

	if (n->ns >= 0) {
		plat_tun_close(&n->tun);
		plat_nl_free(n->nl);
		conf_unref(n->conf);
		conf_errors_done(&n->errs);
		close(n->ns);
	}
	free(n);
	return 0;
}

static struct net *need_net(void **state)
{
	struct net *n = *state;

	skip_unless(n->ns >= 0, "a network namespace");
	return n;
}

static void set_link(struct net *n, const char *name, const char *addr, uint32_t mtu)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct ip a = ip(addr);
	struct plat_ns in_ns;
	int fd;

	assert_int_equal(plat_ns_enter(n->ns, &n->why, &in_ns), ST_OK);
	assert_int_equal(plat_link_set_mtu(n->nl, (int)if_nametoindex(name), mtu, &n->why), ST_OK);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	plat_ns_leave(&in_ns);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	memcpy(&sin.sin_addr, a.b, 4);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	close(fd);
}

/* The way to the peers, or any device where that is not known; capped, with IPv6's floor. */
static void test_mtu(void **state)
{
	static const struct {
		const char *peer;
		uint16_t want;
	} rows[] = {
		{ "address = \"10.55.0.2\"\n local_ts = { \"10.1.0.0/16\" }\n"
		  "remote_ts = { \"10.2.0.0/16\" }",
		  1338 },
		{ "local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.2.0.0/16\" }", 1338 },
		{ "address = \"gw.example\"\n local_ts = { \"10.1.0.0/16\" }\n"
		  "remote_ts = { \"10.2.0.0/16\" }",
		  1338 },
		{ "address = \"127.0.0.1\"\n local_ts = { \"10.1.0.0/16\" }\n"
		  "remote_ts = { \"10.2.0.0/16\" }",
		  65470 },
		{ "}\nmtu = 1000\npeer \"c\" { psk = \"secret secret\"\n remote_id = "
		  "\"c.example\"\n"
		  "local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.2.0.0/16\" }",
		  1000 },
	};
	struct net *n = need_net(state);

	set_link(n, "warren0", "10.55.0.1", 1400);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool second = rows[i].peer[0] == '}';
		char buf[512];

		conf_unref(n->conf);
		conf_errors_done(&n->errs);
		snprintf(buf, sizeof(buf),
			 "peer \"b\" { psk = \"secret secret\"\n remote_id = \"b.example\"\n%s%s "
			 "}\n",
			 second ? "local_ts = { \"10.1.0.0/16\" }\n remote_ts = { \"10.3.0.0/16\" "
				  "}\n"
				: "",
			 rows[i].peer);
		n->conf = parse(&n->errs, buf);
		assert_int_equal(hostnet_mtu(n->nl, n->conf, NULL, 0, 0), rows[i].want);
	}
}

/* As many peers as there may be are asked one by one; where there are more, any device may be the
 * way, and so may it be for a name. */
static void test_mtu_of_many(void **state)
{
	static char text[65536];
	struct net *n = need_net(state);

	set_link(n, "warren0", "10.55.0.1", 1400);
	for (unsigned peers = HOSTNET_PEERS_MAX; peers <= HOSTNET_PEERS_MAX + 1; peers++) {
		struct text t = TEXT_OF(text);

		for (unsigned i = 0; i < peers; i++)
			text_fmt(
				&t,
				"peer \"p%u\" { address = \"127.0.0.1\" ; psk = \"secret secret\"\n"
				"remote_id = \"p%u.example\" ; local_ts = \"10.1.0.0/16\"\n"
				"remote_ts = \"10.2.%u.0/24\" }\n",
				i, i, i);
		conf_unref(n->conf);
		conf_errors_done(&n->errs);
		n->conf = parse(&n->errs, text);
		/* The way to the peers is loopback; the only other device is narrow. */
		assert_int_equal(hostnet_mtu(n->nl, n->conf, NULL, 0, 0),
				 peers > HOSTNET_PEERS_MAX ? 1338 : 65470);
	}
	/* ... but for the tunnel itself, which is no way out of itself. */
	assert_int_equal(hostnet_mtu(n->nl, n->conf, NULL, n->tun.ifindex, 0), 65470);
}

/* ---- how often the network is looked at ---------------------------------------------------- */

/* As many at once as there are, then as many in a second; a pause fills it up again. */
static void test_roam_pace(void **state)
{
	struct roam_pace p = { 0 };
	mono_t now = { dur_s(1000).ns }, when = { 0 };
	unsigned looks = 0;

	(void)state;
	for (unsigned i = 0; i < ROAM_LOOKS_AT_ONCE; i++)
		assert_true(roam_pace_take(&p, now, &when));
	assert_false(roam_pace_take(&p, now, &when));
	assert_int_equal(mono_since(when, now).ns, dur_s(1).ns / ROAM_LOOKS_PER_S);
	now = when;
	assert_true(roam_pace_take(&p, now, &when));
	assert_false(roam_pace_take(&p, now, &when));
	/* A storm of a minute: a million news. */
	for (unsigned i = 0; i < 1000000; i++) {
		now = mono_add(now, (dur_t){ 60000 });
		looks += roam_pace_take(&p, now, &when);
	}
	assert_int_equal(looks, 60 * ROAM_LOOKS_PER_S);
	now = mono_add(now, dur_s(ROAM_LOOKS_AT_ONCE / ROAM_LOOKS_PER_S));
	for (unsigned i = 0; i < ROAM_LOOKS_AT_ONCE; i++)
		assert_true(roam_pace_take(&p, now, &when));
	assert_false(roam_pace_take(&p, now, &when));
}

/* ---- jobs -------------------------------------------------------------------------------- */

struct results {
	unsigned n;
	uint64_t ids;
	enum status status;
	size_t pub_len;
};

static void on_job(void *ctx, uint64_t id, const struct crypto_result *r)
{
	struct results *s = ctx;

	s->n++;
	s->ids |= 1ull << id;
	s->status = r->status;
	s->pub_len = r->ke.pub_len;
}

static struct crypto_job *key_pair_job(void)
{
	struct crypto_job *job;

	assert_int_equal(crypto_job_new(&mem_libc, CRYPTO_JOB_KE_GENERATE, &job), ST_OK);
	job->in.ke_generate.group = CRYPTO_X25519;
	return job;
}

/* Results come once each, cancelled ones never, and nothing outlives jobs_free(). */
static void test_jobs(void **state)
{
	struct results s = { 0 };
	struct crypto_store *store;
	struct jobs *jobs;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(crypto_store_new(&store), ST_OK);
	assert_int_equal(jobs_new(&loop, store, NULL, on_job, &s, &jobs), ST_OK);
	for (uint64_t id = 1; id <= 20; id++)
		jobs_start(jobs, id, key_pair_job());
	assert_int_equal(jobs_running(jobs), 20);
	jobs_cancel(jobs, 3);
	jobs_cancel(jobs, 17);
	jobs_cancel(jobs, 99); /* nobody's */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(s.n, 18);
	assert_int_equal(s.ids, 0x1ffffe & ~(1ull << 3) & ~(1ull << 17));
	assert_int_equal(s.status, ST_OK);
	assert_int_equal(s.pub_len, 32);
	assert_int_equal(jobs_running(jobs), 0);
	jobs_start(jobs, 21, key_pair_job());
	jobs_free(jobs);
	assert_int_equal(plat_loop_close(&loop), ST_OK);
	assert_int_equal(s.n, 18);
	crypto_store_free(store);
}

/* ---- underlay and lookups ---------------------------------------------------------------- */

static struct conf *parse_listen(struct net *n, const char *listen)
{
	char buf[256];

	conf_unref(n->conf);
	conf_errors_done(&n->errs);
	snprintf(buf, sizeof(buf), "%s%s", listen, PEER("b", "\"10.1.0.0/16\"", "\"10.2.0.0/16\""));
	return parse(&n->errs, buf);
}

struct inbox {
	uv_loop_t *loop;
	unsigned n;
	char last[64];
	struct endpoint local, remote;
};

static void on_datagram(void *ctx, const struct ike_datagram *d)
{
	struct inbox *in = ctx;

	in->n++;
	in->local = d->local;
	in->remote = d->remote;
	snprintf(in->last, sizeof(in->last), "%.*s", (int)d->data.n, (const char *)d->data.p);
	uv_stop(in->loop);
}

/* What each kind of SEND looks like on the wire, from which port. */
static void check_send(struct underlay *u, struct inbox *in, uv_loop_t *loop, const char *addr)
{
	struct underlay_send m = { .local = { ip(addr), 500 },
				   .remote = { ip(addr), 500 },
				   .data = bytes_str("hello") };
	char buf[256];
	struct text why = TEXT_OF(buf);

	in->n = 0;
	assert_int_equal(underlay_send(u, &m, &why), ST_OK);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_string_equal(in->last, "hello");
	assert_true(endpoint_eq(&in->local, &m.remote));
	assert_true(endpoint_eq(&in->remote, &m.local));
	m.local.port = 4500;
	m.marker = true;
	assert_int_equal(underlay_send(u, &m, &why), ST_OK);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_string_equal(in->last, ""); /* four zero bytes first */
	assert_int_equal(in->remote.port, 4500);
	m.marker = false;
	m.keepalive = true;
	assert_int_equal(underlay_send(u, &m, &why), ST_OK);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_string_equal(in->last, "\xff");
	assert_int_equal(in->n, 3);
}

static void test_underlay(void **state)
{
	struct net *n = need_net(state);
	struct underlay_send bad = { .local = { ip("127.0.0.1"), 501 },
				     .remote = { ip("127.0.0.1"), 501 } };
	struct endpoint local;
	struct underlay *u;
	struct plat_ns in_ns;
	struct inbox in = { 0 };
	uv_loop_t loop;
	int fd;

	uv_loop_init(&loop);
	in.loop = &loop;
	n->conf = parse_listen(n, "");
	assert_int_equal(plat_ns_enter(n->ns, &n->why, &in_ns), ST_OK);
	assert_int_equal(underlay_open(n->conf, &n->errs, &u), ST_OK);
	assert_int_equal(underlay_start(u, &loop, on_datagram, &in), ST_OK);
	check_send(u, &in, &loop, "127.0.0.1");
	check_send(u, &in, &loop, "::1");
	assert_int_equal(underlay_send(u, &bad, &n->why), ST_IO);
	assert_non_null(strstr(n->buf, "127.0.0.1:501"));
	assert_true(underlay_nat_socket(u, 1, &fd, &local));
	assert_int_equal(local.port, 4500);
	assert_false(underlay_nat_socket(u, 2, &fd, &local));
	underlay_stop(u);
	assert_int_equal(plat_loop_close(&loop), ST_OK);
	underlay_free(u);
	plat_ns_leave(&in_ns);
}

/* An address that is not ours is an error at its place in the list; all of them are named. */
static void test_underlay_errors(void **state)
{
	struct net *n = need_net(state);
	struct underlay *u;
	struct plat_ns in_ns;
	enum status st;

	n->conf = parse_listen(n, "listen = { \"127.0.0.1\", \"192.0.2.9\", \"2001:db8::9\" }\n");
	assert_int_equal(plat_ns_enter(n->ns, &n->why, &in_ns), ST_OK);
	st = underlay_open(n->conf, &n->errs, &u);
	plat_ns_leave(&in_ns);
	assert_int_equal(st, ST_IO);
	assert_int_equal(n->errs.total, 2);
	assert_int_equal(n->errs.head->at.line, 2);
	assert_int_equal(n->errs.head->at.col, 25);
	assert_non_null(strstr(n->errs.head->text, "192.0.2.9:500"));
	assert_non_null(strstr(n->errs.head->next->text, "[2001:db8::9]:500"));
}

struct looked_up {
	uv_loop_t *loop;
	unsigned n;
	uint64_t ids;
	size_t found;
	struct ike_address addr;
	char why[512];
};

static void on_lookup(void *ctx, uint64_t id, const char *name, const struct ike_address *addrs,
		      size_t n, const char *why)
{
	struct looked_up *l = ctx;

	assert_non_null(name);
	l->n++;
	l->ids |= 1ull << id;
	l->found = n;
	if (n)
		l->addr = addrs[0];
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static void look_up(struct net *n, const char *listen, const char *name, struct looked_up *ret)
{
	struct lookups *l;
	struct underlay *u;
	struct plat_ns in_ns;
	uv_loop_t loop;
	struct ip address;
	bool is_address = ip_parse(name, &address) == ST_OK; /* is answered at once */

	*ret = (struct looked_up){ 0 };
	uv_loop_init(&loop);
	n->conf = parse_listen(n, listen);
	assert_int_equal(plat_ns_enter(n->ns, &n->why, &in_ns), ST_OK);
	assert_int_equal(underlay_open(n->conf, &n->errs, &u), ST_OK);
	assert_int_equal(lookups_new(&loop, n->nl, u, on_lookup, ret, &l), ST_OK);
	for (uint64_t id = 1; id <= 5; id++)
		lookups_start(l, id, name);
	assert_int_equal(ret->n, is_address ? 5 : 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(ret->n, 5);
	assert_int_equal(ret->ids, 0x3e);
	if (!is_address)
		lookups_start(l, 6, name); /* nobody waits for it */
	lookups_free(l);
	assert_int_equal(plat_loop_close(&loop), ST_OK);
	assert_int_equal(ret->n, 5);
	underlay_free(u);
	plat_ns_leave(&in_ns);
}

static void test_lookup(void **state)
{
	static const struct {
		const char *listen, *name, *local; /* NULL: none */
		const char *why;
	} rows[] = {
		{ "", "127.0.0.5", "127.0.0.1", "" },
		{ "", "::1", "::1", "" },
		{ "listen = { \"127.0.0.9\" }\n", "127.0.0.5", "127.0.0.9", "" },
		{ "listen = { \"127.0.0.9\" }\n", "::1", NULL, "::1: no listening socket" },
		{ "", "192.0.2.2", NULL, "no route to 192.0.2.2: Network is unreachable" },
		{ "", "no..name", NULL, "" },
	};
	struct net *n = need_net(state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct looked_up l;

		look_up(n, rows[i].listen, rows[i].name, &l);
		assert_int_equal(l.found, rows[i].local != NULL);
		assert_non_null(strstr(l.why, rows[i].why));
		if (rows[i].local) {
			struct ip local = ip(rows[i].local), remote = ip(rows[i].name);

			assert_true(ip_eq(&l.addr.local, &local));
			assert_true(ip_eq(&l.addr.remote, &remote));
		} else {
			assert_true(l.why[0]);
		}
	}
}

#define IN_NS(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guarding_plan),
		cmocka_unit_test(test_guarding_given),
		cmocka_unit_test(test_inner_mtu),
		cmocka_unit_test(test_translate),
		cmocka_unit_test(test_roam_pace),
		cmocka_unit_test(test_jobs),
		IN_NS(test_mtu),
		IN_NS(test_mtu_of_many),
		IN_NS(test_underlay),
		IN_NS(test_underlay_errors),
		IN_NS(test_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
