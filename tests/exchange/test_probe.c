/* The search for the path MTU where nobody says what is too large (RFC 8899): what comes of it,
 * that it never endangers an SA, and that nobody searches for nothing (S2, P10). */
#include "exchange/exchange.h"

enum {
	MOST = 1500,
	BASE = DP_PMTU_BASE,
	STEP = 16, /* how near a result comes */
};

/* ---- helpers ------------------------------------------------------------------------------- */

static struct dp_report wanted(const struct node *n)
{
	struct dp_report r = { .kind = DP_REPORT_PROBE };

	r.u.probe.id = node_child(n)->id;
	r.u.probe.most = r.u.probe.now = MOST;
	return r;
}

static void want(struct node *n)
{
	struct dp_report r = wanted(n);

	node_report(n, &r);
}

/* Segments of the size that is sent now do not get through any more. */
static void stall(struct node *n, uint16_t now)
{
	struct dp_report r = wanted(n);

	r.u.probe.now = now;
	r.u.probe.stalled = true;
	node_report(n, &r);
}

static void told_by_icmp(struct node *n, const char *remote, uint16_t mtu, bool ours)
{
	node_report(n, &(struct dp_report){ .kind = DP_REPORT_PMTU,
					    .u.pmtu = { .remote = test_endpoint(remote, 4500),
							.mtu = mtu,
							.ours = ours } });
}

/* What the data plane was told last; 0: nothing, or that nothing is known. */
static uint16_t found(const struct node *n, const char *remote)
{
	struct ip ip = test_ip(remote);

	return dp_fake_path_mtu(n->dp, &ip);
}

static void found_about(const struct node *n, const char *remote, uint16_t mtu)
{
	assert_in_range(found(n, remote), mtu - STEP, mtu);
}

/* The probe that is under way. */
static struct packet *probe_of(struct world *w, const struct node *n)
{
	struct packet *p = world_packet(w, 0);

	assert_non_null(p);
	assert_true(ip_eq(&p->src.ip, &n->address[p->src.ip.family == 4 ? 0 : 1]));
	assert_int_equal(packet_exchange(p), WIRE_INFORMATIONAL);
	assert_true(packet_notifies(w, p, WIRE_N_PATH_PROBE));
	assert_true(p->df);
	return p;
}

static size_t ops(const struct node *n)
{
	return dp_fake_ops_of(n->dp, DP_PATH_MTU);
}

static void alive(struct pair *p)
{
	assert_true(pair_is_up(p));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 0);
	assert_int_equal(node_events(p->a, IKE_EV_SUSPECT), 0);
	assert_int_equal(node_sa(p->a).info.n_children, 1);
}

/* ---- paths that are as good as they look ---------------------------------------------------- */

/*
 *	a				b
 *	INFORMATIONAL {N(PATH_PROBE)} 	->	1500 bytes, and that was all
 *			<-  INFORMATIONAL {}
 */
static void one_exchange_when_all_is_well(void **state)
{
	struct pair *p = *state;
	struct packet *probe;

	pair_up(p);
	want(p->a);
	probe = probe_of(p->w, p->a);
	assert_int_equal(packet_ip_size(probe), MOST);
	assert_int_equal(world_packets(p->w), 1);
	assert_int_equal(ops(p->a), 0);
	world_deliver(p->w, probe);
	assert_int_equal(packet_ike(world_packet(p->w, 0)).n, 28 + 4 + 8 + 1 + 16);
	deliver(p->w, p->b, WIRE_INFORMATIONAL, RESPONSE, 2);
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	assert_int_equal(world_packets(p->w), 0);
	assert_int_equal(ops(p->a), 1);
	assert_int_equal(node_events(p->a, IKE_EV_MTU), 0);
	assert_int_equal(node_counter(p->a, "ike.mtu.probes"), 1);
	/* Nothing was measured of the way back. */
	assert_int_equal(found(p->b, "192.0.2.1"), 0);
	alive(p);
}

/* A packet of the protected side is what leads to it. */
static void large_packets_lead_to_it(void **state)
{
	struct pair *p = *state;
	unsigned before, told;

	p->ca->conf.force_encap = true;
	pair_up(p);
	before = p->b->inner_seen;
	world_path_mtu(p->w, "192.0.2.2", 1400);
	node_packet_of(p->a, "10.1.0.1", "10.2.0.1", 600);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 0);
	node_packet_of(p->a, "10.1.0.1", "10.2.0.1", 1400);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 1);
	world_live(p->w, dur_s(20));
	found_about(p->a, "192.0.2.2", 1400);
	assert_int_equal(p->b->inner_seen, before + 1);
	assert_int_equal(p->w->swallowed, 1 + node_counter(p->a, "ike.mtu.probes_lost"));
	/* Its sender is told, so that the next one fits. */
	told = p->a->inner_seen;
	node_packet_of(p->a, "10.1.0.1", "10.2.0.1", 1400);
	assert_int_equal(p->a->inner_seen, told + 1);
	assert_int_equal(p->a->inner[9], 1); /* ICMP */
	node_packet_of(p->a, "10.1.0.1", "10.2.0.1", 1300);
	world_run(p->w);
	assert_int_equal(p->b->inner_seen, before + 2);
	alive(p);
}

/* P10: who sends nothing large sends no probes, and waits for nothing. */
static void idle_sas_send_nothing(void **state)
{
	struct pair *p = *state;
	unsigned sent;

	pair_up(p);
	want(p->a);
	world_run(p->w);
	sent = p->a->sent + p->b->sent;
	world_live(p->w, dur_s(24 * 3600));
	assert_int_equal(p->a->sent + p->b->sent, sent);
	assert_int_equal(node_deadline_ms(p->a), -1);
}

/* ---- paths that are not --------------------------------------------------------------------- */

static void narrow_to(uint16_t mtu, bool ipv6)
{
	const char *to = ipv6 ? "2001:db8::2" : "192.0.2.2";
	struct pair p;

	pair_init(&p, mtu);
	if (ipv6)
		pair_ipv6(&p);
	pair_up(&p);
	world_path_mtu(p.w, to, mtu);
	want(p.a);
	world_live(p.w, dur_s(30));
	found_about(p.a, to, mtu);
	/* What is not worth mentioning is not mentioned. */
	if (mtu <= MOST - STEP)
		says(p.a, IKE_EV_MTU, to);
	assert_int_equal(node_events(p.a, IKE_EV_MTU), mtu <= MOST - STEP);
	assert_int_equal(node_events(p.a, IKE_EV_RETRANSMIT), 0);
	/* Two tries for each size that does not fit, and halving: no more than that. */
	assert_in_range(node_counter(p.a, "ike.mtu.probes"), 3, 16);
	alive(&p);
	pair_done(&p);
}

static void sizes_of_the_field(void **state)
{
	static const uint16_t four[] = { 1499, 1492, 1460, 1420, 1400, 1300, 1281,
					 1280, 1279, 1200, 1000, 600,  577 };
	static const uint16_t six[] = { 1492, 1420, 1300, 1281 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(four); i++)
		narrow_to(four[i], false);
	for (size_t i = 0; i < ARRAY_LEN(six); i++)
		narrow_to(six[i], true);
}

/* No IPv6 link is narrower than that: it is not asked about. */
static void the_least_of_ipv6(void **state)
{
	struct pair *p = *state;

	pair_ipv6(p);
	pair_up(p);
	world_path_mtu(p->w, "2001:db8::2", 1280);
	want(p->a);
	world_live(p->w, dur_s(30));
	assert_int_equal(found(p->a, "2001:db8::2"), 1280);
	alive(p);
}

/* As soon as the largest size is known not to fit, something goes that should, while the search
 * goes on. */
static void what_should_fit_goes_meanwhile(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(packet_ip_size(probe_of(p->w, p->a)), MOST);
		assert_int_equal(ops(p->a), 0);
		world_run(p->w);
		assert_true(world_timer(p->w)); /* lost: goes again, in pieces */
		while (packet_msgid(world_packet(p->w, 0)) == 2 + i) {
			assert_true(packet_ip_size(world_packet(p->w, 0)) <= 576);
			world_deliver(p->w, world_packet(p->w, 0));
		}
	}
	assert_int_equal(found(p->a, "192.0.2.2"), BASE);
	assert_int_equal(packet_ip_size(probe_of(p->w, p->a)), BASE);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1400);
	alive(p);
}

/* One datagram that is lost by chance makes nothing smaller. */
static void chance(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	want(p->a);
	world_drop(p->w, probe_of(p->w, p->a));
	world_live(p->w, dur_s(5));
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	assert_int_equal(node_counter(p->a, "ike.mtu.probes"), 2);
	/* The same for the answer: what the pieces are answered with proves nothing. */
	want(p->a);
	world_deliver(p->w, probe_of(p->w, p->a));
	lose(p->w, p->b, WIRE_INFORMATIONAL, RESPONSE, 4);
	world_live(p->w, dur_s(5));
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	assert_int_equal(node_counter(p->a, "ike.mtu.probes"), 4);
	alive(p);
}

/* The result is found again when it changes, upwards as well. */
static void another_result(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	world_live(p->w, dur_s(30));
	world_path_mtu(p->w, "192.0.2.2", 1450);
	want(p->a);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1450);
	world_path_mtu(p->w, "192.0.2.2", 0);
	want(p->a);
	world_live(p->w, dur_s(30));
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	assert_int_equal(node_events(p->a, IKE_EV_MTU), 3);
	alive(p);
}

/* The other end does the same for its own way. */
static void both_ends(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	world_path_mtu(p->w, "192.0.2.1", 1300);
	want(p->a);
	want(p->b);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1400);
	found_about(p->b, "192.0.2.1", 1300);
	alive(p);
}

/* A cipher with blocks comes as near as its blocks are large. */
static void block_cipher(void **state)
{
	struct pair *p = *state;

	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes256-sha512-modp2048");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes256-sha512-modp2048");
	pair_up(p);
	want(p->a);
	assert_in_range(packet_ip_size(probe_of(p->w, p->a)), MOST - 15, MOST);
	world_run(p->w);
	found_about(p->a, "192.0.2.2", MOST);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	world_live(p->w, dur_s(30));
	assert_in_range(found(p->a, "192.0.2.2"), 1400 - 2 * STEP, 1400);
	alive(p);
}

/* Of what is under way. */
static size_t largest(struct world *w)
{
	size_t most = 0;

	for (size_t i = 0; world_packet(w, i); i++)
		if (packet_ip_size(world_packet(w, i)) > most)
			most = packet_ip_size(world_packet(w, i));
	return most;
}

/* Our own messages go as what was found allows, smaller and larger than usual. */
static void own_messages_follow(void **state)
{
	static const uint16_t mtu[] = { 1000, MOST };
	struct pair *p = *state;

	fat_pair(p, 4);
	pair_up(p);
	for (size_t i = 0; i < ARRAY_LEN(mtu); i++) {
		world_path_mtu(p->w, "192.0.2.2", mtu[i]);
		want(p->a);
		world_live(p->w, dur_s(30));
		found_about(p->a, "192.0.2.2", mtu[i]);
		connect_down(p->a);
		world_run(p->w);
		p->w->swallowed = 0;
		connect(p->a);
		world_deliver(p->w, world_packet(p->w, 0));
		world_deliver(p->w, world_packet(p->w, 0));
		assert_in_range(largest(p->w), mtu[i] - 2 * STEP, mtu[i]);
		world_run(p->w);
		assert_int_equal(p->w->swallowed, 0);
		alive(p);
	}
}

/* ---- what ICMP says ------------------------------------------------------------------------- */

/* It may be forged: a probe is not given up for it, and its answer is what counts. */
static void forged_icmp(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	want(p->a);
	for (int i = 0; i < 10; i++)
		told_by_icmp(p->a, "192.0.2.2", (uint16_t)(576 + i), false);
	assert_int_equal(world_packets(p->w), 1);
	world_run(p->w);
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	assert_int_equal(node_counter(p->a, "ike.mtu.probes_lost"), 0);
	/* Before it, the same. */
	told_by_icmp(p->a, "192.0.2.2", 600, false);
	want(p->a);
	world_run(p->w);
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	alive(p);
}

/* It is right: what it named is tried first, and is enough. */
static void true_icmp(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1403);
	told_by_icmp(p->a, "192.0.2.2", 1403, false);
	want(p->a);
	world_live(p->w, dur_s(30));
	assert_int_equal(found(p->a, "192.0.2.2"), 1403);
	assert_int_equal(node_counter(p->a, "ike.mtu.probes"), 3);
	alive(p);
}

/* Less than any path carries, while the path is narrow indeed: no end of the search. */
static void forged_icmp_on_a_narrow_path(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	told_by_icmp(p->a, "192.0.2.2", 580, false);
	want(p->a);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1400);
	alive(p);
}

/* Our own stack is right: the probe never left. */
static void our_own_stack(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	world_drop(p->w, probe_of(p->w, p->a));
	told_by_icmp(p->a, "192.0.2.2", 1400, true);
	assert_true(world_packets(p->w) > 1);
	assert_true(packet_ip_size(world_packet(p->w, 0)) <= 576);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1400);
	alive(p);
}

/* ---- it stops getting through --------------------------------------------------------------- */

static void search_at(struct pair *p, uint16_t mtu)
{
	world_path_mtu(p->w, "192.0.2.2", mtu);
	want(p->a);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", mtu);
}

/* A false alarm costs one exchange. */
static void stalled_for_another_reason(void **state)
{
	struct pair *p = *state;
	uint64_t before;

	pair_up(p);
	search_at(p, 1450);
	before = node_counter(p->a, "ike.mtu.probes");
	stall(p->a, found(p->a, "192.0.2.2"));
	assert_int_equal(packet_ip_size(probe_of(p->w, p->a)), found(p->a, "192.0.2.2"));
	world_live(p->w, dur_s(30));
	assert_int_equal(node_counter(p->a, "ike.mtu.probes"), before + 1);
	found_about(p->a, "192.0.2.2", 1450);
	assert_int_equal(node_events(p->a, IKE_EV_MTU), 1);
}

/* A true one is believed at the first probe that is lost. */
static void stalled_because_of_the_size(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	search_at(p, 1450);
	world_path_mtu(p->w, "192.0.2.2", 1350);
	stall(p->a, found(p->a, "192.0.2.2"));
	world_run(p->w);
	assert_true(world_timer(p->w));
	world_run(p->w);
	assert_int_equal(found(p->a, "192.0.2.2"), BASE);
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1350);
	alive(p);
}

/* Traffic without any answer is a reason to look as well, when the peer is there: once a minute. */
static void silence(void **state)
{
	struct dp_report r = { .kind = DP_REPORT_SILENT };
	struct pair *p = *state;

	pair_up(p);
	r.u.silent.id = node_child(p->a)->id;
	/* Nothing was found out: nothing to doubt. */
	node_report(p->a, &r);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 0);
	search_at(p, 1450);
	world_path_mtu(p->w, "192.0.2.2", 1350);
	for (int i = 0; i < 3; i++) {
		node_report(p->a, &r);
		world_live(p->w, dur_s(15));
	}
	found_about(p->a, "192.0.2.2", 1350);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 2);
	world_live(p->w, dur_s(20));
	node_report(p->a, &r);
	world_live(p->w, dur_s(15));
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 3);
	alive(p);
}

/* ---- peers that take no fragments ----------------------------------------------------------- */

/* A request that is lost could not be mended, so none is sent; but what stalls gets smaller. */
static void without_fragments(void **state)
{
	struct pair *p = *state;

	p->pb->fragmentation = false;
	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	assert_int_equal(world_packets(p->w), 0);
	assert_int_equal(ops(p->a), 0);
	stall(p->a, MOST);
	assert_int_equal(world_packets(p->w), 0);
	assert_int_equal(found(p->a, "192.0.2.2"), BASE);
	says(p->a, IKE_EV_MTU, "takes no probes");
	assert_true(node_sa(p->a).info.path_mtu_assumed);
	assert_int_equal(node_counter(p->a, "ike.mtu.fallback"), 1);
	/* Ten minutes later it may be another path. */
	want(p->a);
	assert_int_equal(found(p->a, "192.0.2.2"), 0);
	assert_int_equal(ops(p->a), 2);
	want(p->a);
	assert_int_equal(ops(p->a), 2);
	alive(p);
}

/* Ten minutes later the data plane asks again, when what was assumed is known no more. */
static void the_assumption_ends(void **state)
{
	struct pair *p = *state;
	struct dp_report r;

	p->pb->fragmentation = false;
	pair_up(p);
	stall(p->a, MOST);
	assert_int_equal(found(p->a, "192.0.2.2"), BASE);
	world_live(p->w, dur_s(601));
	r = wanted(p->a);
	r.u.probe.now = BASE;
	node_report(p->a, &r);
	assert_int_equal(found(p->a, "192.0.2.2"), 0);
	alive(p);
}

/* ---- peers that are no warren --------------------------------------------------------------- */

static void foreign(struct pair *p, struct script *s, const char *ip)
{
	script_init(s, p->w, ip, p->b, true);
	s->fragmentation = true;
	script_connect(s);
}

static struct dp_report wanted_of(dp_child_id child, bool stalled)
{
	struct dp_report r = { .kind = DP_REPORT_PROBE };

	r.u.probe.id = child;
	r.u.probe.most = r.u.probe.now = MOST;
	r.u.probe.stalled = stalled;
	return r;
}

/* They might not read it when it comes in pieces, and take us for dead or we them: so nothing is
 * tried, but packets get smaller when they seem not to get through. */
static void a_foreign_peer(void **state)
{
	struct dp_report silent = { .kind = DP_REPORT_SILENT };
	struct pair *p = *state;
	struct dp_report r;
	struct script s;

	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	foreign(p, &s, "192.0.2.1");
	assert_false(node_sa(p->b).info.warren);
	r = wanted_of(p->b->last_child, false);
	node_report(p->b, &r);
	assert_int_equal(world_packets(p->w), 0);
	assert_int_equal(ops(p->b), 0);
	r = wanted_of(p->b->last_child, true);
	node_report(p->b, &r);
	assert_int_equal(world_packets(p->w), 0);
	assert_int_equal(found(p->b, "192.0.2.1"), BASE);
	assert_int_equal(node_counter(p->b, "ike.mtu.fallback"), 1);
	/* Silence is a reason to ask whether it is there, and for nothing else. */
	silent.u.silent.id = p->b->last_child;
	node_report(p->b, &silent);
	assert_int_equal(world_packets(p->w), 1);
	assert_true(packet_ip_size(world_packet(p->w, 0)) < 200);
	assert_int_equal(node_counter(p->b, "ike.mtu.searches"), 0);
	assert_int_equal(node_counter(p->b, "ike.mtu.probes"), 0);
	script_done(&s);
}

static void not_configured(void **state)
{
	struct test_conf *c;
	struct pair *p = *state;

	pair_up(p);
	search_at(p, 1400);
	c = test_conf_copy(p->ca);
	c->peer[0].mtu_probes = false;
	node_reconfigure(p->a, c);
	world_run(p->w);
	want(p->a);
	stall(p->a, MOST);
	assert_int_equal(world_packets(p->w), 0);
	/* What was found holds no more. */
	assert_int_equal(found(p->a, "192.0.2.2"), 0);
	alive(p);
}

/* ---- among other exchanges ------------------------------------------------------------------ */

/* It waits for its turn, and others for it. */
static void other_exchanges(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	want(p->a);
	assert_int_equal(packet_exchange(world_packet(p->w, 0)), WIRE_CREATE_CHILD_SA);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 1);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	assert_int_equal(node_command(p->b, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(40));
	found_about(p->a, "192.0.2.2", 1400);
	assert_true(node_counter(p->a, "ike.child.rekeyed") >= 2);
	alive(p);
}

/* Whose turn comes in the middle, with another IKE SA in its place: the search goes over to that.
 */
static void ike_rekey_in_the_middle(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	world_run(p->w);
	assert_int_equal(node_command(p->b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	world_live(p->w, dur_s(40));
	assert_int_equal(node_counter(p->a, "ike.sa.rekeyed"), 1);
	found_about(p->a, "192.0.2.2", 1400);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 1);
	alive(p);
}

/* A probe that is lost is no sign that the peer is. */
static void silence_meanwhile(void **state)
{
	struct dp_report r = { .kind = DP_REPORT_SILENT };
	struct pair *p = *state;

	pair_up(p);
	world_path_mtu(p->w, "192.0.2.2", 1400);
	want(p->a);
	world_run(p->w);
	assert_int_equal(p->w->swallowed, 1);
	r.u.silent.id = node_child(p->a)->id;
	node_report(p->a, &r);
	assert_true(world_packets(p->w) > 1); /* in pieces, at once */
	world_live(p->w, dur_s(30));
	found_about(p->a, "192.0.2.2", 1400);
	alive(p);
}

static void peer_dies_meanwhile(void **state)
{
	struct pair *p = *state;

	pair_up(p);
	want(p->a);
	node_kill(p->b);
	world_live(p->w, dur_s(300));
	assert_int_equal(node_events(p->a, IKE_EV_DEAD), 1);
	assert_true(node_is_down(p->a));
	/* Half a result is none. */
	assert_int_equal(found(p->a, "192.0.2.2"), 0);
}

static void deleted_meanwhile(void **state)
{
	struct pair *p = *state;

	for (int lost = 0; lost < 2; lost++) {
		connect(p->a);
		world_run(p->w);
		if (lost)
			world_path_mtu(p->w, "192.0.2.2", 1400);
		want(p->a);
		connect_down(p->a);
		world_live(p->w, dur_s(30));
		assert_true(pair_is_down(p));
	}
}

static int setup_started(void **state)
{
	setup_pair(state);
	pair_start(*state);
	return 0;
}

/* Another mapping of the peer's NAT is another way. */
static void the_peer_moves_meanwhile(void **state)
{
	struct pair *p = *state;

	world_nat(p->w, "192.0.2.1", "203.0.113.1", 40000);
	test_conf_addresses(p->cb, p->pb, "");
	p->pa->dpd_delay = dur_s(2);
	pair_up(p);
	world_path_mtu(p->w, "203.0.113.1", 1400);
	want(p->b);
	world_run(p->w);
	world_nat_forget(p->w);
	world_live(p->w, dur_s(10));
	assert_int_equal(node_counter(p->b, "ike.mtu.searches"), 1);
	want(p->b);
	world_live(p->w, dur_s(30));
	found_about(p->b, "203.0.113.1", 1400);
	alive(p);
}

/* Nonsense of a data plane. */
static void strange_reports(void **state)
{
	static const uint16_t most[] = { 0, 1, BASE, 9217, 65535 };
	struct pair *p = *state;
	struct dp_report r;

	pair_up(p);
	r = wanted(p->a);
	r.u.probe.id += 77;
	node_report(p->a, &r);
	for (size_t i = 0; i < ARRAY_LEN(most); i++) {
		r = wanted(p->a);
		r.u.probe.most = most[i];
		node_report(p->a, &r);
	}
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 0);
	r = wanted(p->a);
	r.u.probe.now = 3; /* never sent */
	r.u.probe.stalled = true;
	node_report(p->a, &r);
	want(p->a);
	assert_int_equal(node_counter(p->a, "ike.mtu.searches"), 1);
	world_run(p->w);
	assert_int_equal(found(p->a, "192.0.2.2"), MOST);
	alive(p);
}

/* S2: so many at once, and no more; who finds no place asks again. */
static void many_at_once(void **state)
{
	enum { SEARCHES = 64 };
	static struct script s[SEARCHES + 1];
	struct pair *p = *state;
	struct dp_report r;

	test_conf_addresses(p->cb, p->pb, "");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	pair_start_b(p);
	for (size_t i = 0; i <= SEARCHES; i++) {
		char ip[16], id[32];

		snprintf(ip, sizeof(ip), "198.51.100.%zu", i + 1);
		snprintf(id, sizeof(id), "s%zu.example", i);
		script_init(&s[i], p->w, ip, p->b, true);
		s[i].id = id;
		s[i].fragmentation = true;
		s[i].vendor = test_vendor();
		script_connect(&s[i]);
		s[i].id = "";
		r = (struct dp_report){ .kind = DP_REPORT_PROBE };
		r.u.probe.id = p->b->last_child;
		r.u.probe.most = r.u.probe.now = MOST;
		node_report(p->b, &r);
	}
	assert_int_equal(node_counter(p->b, "ike.mtu.searches"), SEARCHES);
	assert_int_equal(node_counter(p->b, "ike.mtu.no_place"), 1);
	/* One is answered: there is a place again. */
	assert_true(script_take(&s[0]));
	script_begin(&s[0], WIRE_INFORMATIONAL, true);
	script_send(&s[0]);
	world_deliver(p->w, world_packet(p->w, world_packets(p->w) - 1));
	assert_int_equal(found(p->b, "198.51.100.1"), MOST);
	node_report(p->b, &r);
	assert_int_equal(node_counter(p->b, "ike.mtu.searches"), SEARCHES + 1);
	world_drop_all(p->w);
	for (size_t i = 0; i <= SEARCHES; i++)
		script_done(&s[i]);
}

/* Memory that is refused at any moment delays the result, and harms nothing else. */
static void nth_allocation_fails(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		struct pair p;
		bool over;

		pair_init(&p, 3);
		pair_up(&p);
		world_path_mtu(p.w, "192.0.2.2", 1400);
		p.a->mem.fail_at = p.a->mem.calls + n;
		want(p.a);
		world_live(p.w, dur_s(60));
		over = p.a->mem.fail_at >= p.a->mem.calls;
		p.a->mem.fail_at = -1;
		want(p.a);
		world_live(p.w, dur_s(60));
		found_about(p.a, "192.0.2.2", 1400);
		alive(&p);
		pair_done(&p);
		if (over)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pair_test(one_exchange_when_all_is_well),
		pair_test(large_packets_lead_to_it),
		pair_test(idle_sas_send_nothing),
		cmocka_unit_test(sizes_of_the_field),
		pair_test(the_least_of_ipv6),
		pair_test(what_should_fit_goes_meanwhile),
		pair_test(chance),
		pair_test(another_result),
		pair_test(both_ends),
		pair_test(block_cipher),
		pair_test(own_messages_follow),
		pair_test(forged_icmp),
		pair_test(true_icmp),
		pair_test(forged_icmp_on_a_narrow_path),
		pair_test(our_own_stack),
		pair_test(stalled_for_another_reason),
		pair_test(stalled_because_of_the_size),
		pair_test(silence),
		pair_test(without_fragments),
		pair_test(the_assumption_ends),
		pair_test(a_foreign_peer),
		pair_test(not_configured),
		pair_test(other_exchanges),
		pair_test(ike_rekey_in_the_middle),
		pair_test(silence_meanwhile),
		pair_test(peer_dies_meanwhile),
		cmocka_unit_test_setup_teardown(deleted_meanwhile, setup_started, teardown_pair),
		pair_test(the_peer_moves_meanwhile),
		pair_test(strange_reports),
		pair_test(many_at_once),
		cmocka_unit_test(nth_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
