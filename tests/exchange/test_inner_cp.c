/*
 * Configuration payloads byte by byte, from who wants something else than an address, or gives
 * something else than one: both roles.  R06, S1, S2.
 */
#include "exchange/exchange.h"
#include "exchange/inner.h"

/* ---- a gateway that gives what it should not ----------------------------------------------- */

struct given {
	const char *cp;
	const char *ts_i, *ts_r;
	/* NULL: refused. */
	const char *got;
	const char *says;
	uint8_t type; /* of the CP; 0: CFG_REPLY */
	uint8_t only; /* family that is asked for; 0: both */
	const char *domains; /* that we want name servers for; NULL: any */
	unsigned ignored; /* values that are left out */
	enum ike_reason reason;
};

#define V4 "0001 0004 0a010203 "
#define V6 "0008 0011 fd010000000000000000000000000003 80 "
#define TO "10.2.0.0/16 fd00:2::/32"

static void answer(struct script *s, const struct given *g)
{
	script_begin(s, WIRE_IKE_AUTH, true);
	script_put_id(s);
	script_put_auth(s);
	wire_put_cp(&s->out, g->type ? g->type : WIRE_CFG_REPLY, cp_hex(g->cp));
	script_put_sa(s, s->esp, s->spi_esp);
	script_put_ts(s, g->ts_i, g->ts_r);
	script_send(s);
	world_run(s->w);
}

/* a asks for both families; nothing of what it refuses stays behind. */
static void play(const struct given *g, unsigned seed)
{
	struct script s;
	struct pair p;
	char buf[512];
	struct text t = TEXT_OF(buf);

	pair_init(&p, seed);
	p.pa->ts_local = test_conf_ts(p.ca, "");
	p.pa->ts_remote = test_conf_ts(p.ca, strstr(g->ts_r, "/0") ? "0.0.0.0/0 ::/0" : TO);
	p.pa->ask_v4 = g->only != 6;
	p.pa->ask_v6 = g->only != 4;
	if (g->domains)
		test_conf_dns(p.ca, p.pa, "", g->domains);
	script_asked_for_auth(&p, &s);
	answer(&s, g);
	if (g->got) {
		got_text(&p.a->got, true, &t);
		assert_true(p.a->got.up);
		assert_string_equal(buf, g->got);
		assert_int_equal(p.a->n_children, 1);
		assert_int_equal(node_counter(p.a, "ike.cp.ignored"), g->ignored);
		connect_down(p.a);
	} else {
		if (p.a->n_got || p.a->n_children)
			print_error("taken: %s\n", g->cp);
		assert_int_equal(p.a->n_got + p.a->n_children, 0);
		because(p.a, IKE_EV_REFUSED, g->reason);
		says(p.a, IKE_EV_REFUSED, g->says);
		if (g->reason == IKE_R_ADDRESS)
			assert_int_equal(node_counter(p.a, "ike.refused.inner_address"), 1);
	}
	settle(&p);
	assert_true(node_is_down(p.a));
	script_done(&s);
	pair_done(&p);
}

static void play_all(const struct given *rows, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		play(&rows[i], seed + (unsigned)i);
}

/* Addresses that nobody can have, or that would take the tunnel's own way away. */
static void bad_addresses(void **state)
{
	static const char *const cp[] = {
		"0001 0004 00000000",
		"0001 0004 00010203",
		"0001 0004 7f000001",
		"0001 0004 a9fe0101",
		"0001 0004 e0000001",
		"0001 0004 f0000001",
		"0001 0004 ffffffff",
		"0001 0004 c0000201", /* our own outside, */
		"0001 0004 c0000202", /* and the gateway's */
		"0008 0011 00000000000000000000000000000000 80",
		"0008 0011 00000000000000000000000000000001 80",
		"0008 0011 0000000000000000000000000a010203 80",
		"0008 0011 00000000000000000000ffff0a010203 80",
		"0008 0011 fe800000000000000000000000000001 80",
		"0008 0011 ff020000000000000000000000000001 80",
		"0008 0010 ff020000000000000000000000000001",
		/* One good one does not make up for it. */
		V4 "0008 0011 ff020000000000000000000000000001 80",
		V6 "0001 0004 e0000001",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cp); i++) {
		const struct given g = { .cp = cp[i],
					 .ts_i = "0.0.0.0/0 ::/0",
					 .ts_r = TO,
					 .reason = IKE_R_ADDRESS,
					 .says = "gives us the inner address " };

		play(&g, 300 + (unsigned)i);
	}
}

static void no_address(void **state)
{
	static const struct given rows[] = {
		{ "", "10.1.2.3/32", TO, .says = "no inner address", .reason = IKE_R_ADDRESS },
		{ "0001 0000 0008 0000", "10.1.2.3/32", TO, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		{ "0003 0004 0a020035", "10.1.2.3/32", TO, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		{ "5ba0 0004 0a010203", "10.1.2.3/32", TO, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		/* Nothing but a reply is one. */
		{ V4, "10.1.2.3/32", TO, .type = 1, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		{ V4, "10.1.2.3/32", TO, .type = 3, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		{ V4, "10.1.2.3/32", TO, .type = 4, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
		{ V4, "10.1.2.3/32", TO, .type = 200, .says = "no inner address",
		  .reason = IKE_R_ADDRESS },
	};

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 330);
}

/* Selectors are the addresses, or fewer (section 2.9). */
static void selectors(void **state)
{
	static const struct given rows[] = {
		{ V4 V6, "10.1.2.3/32 fd01::3/128", TO, .got = "10.1.2.3/32 fd01::3/128" },
		{ V4, "10.1.2.3/32", "10.2.3.0/24", .got = "10.1.2.3/32" },
		{ V4 V6, "10.1.2.3/32", TO, .got = "10.1.2.3/32 fd01::3/128" },
		{ V4, "10.1.2.3/32[tcp/80]", TO, .got = "10.1.2.3/32" },
		{ V4, "10.1.2.4/32", TO, .says = "answered with selectors",
		  .reason = IKE_R_SELECTORS },
		{ V4, "0.0.0.0/0", TO, .says = "answered with selectors",
		  .reason = IKE_R_SELECTORS },
		{ V4, "10.1.2.2/31", TO, .says = "answered with selectors",
		  .reason = IKE_R_SELECTORS },
		{ V4, "10.1.2.3/32 10.1.2.5/32", TO, .says = "answered with selectors",
		  .reason = IKE_R_SELECTORS },
		{ V4, "10.1.2.3/32", "10.0.0.0/8", .says = "answered with selectors",
		  .reason = IKE_R_SELECTORS },
		/* A second one that nobody asked for (section 3.15.1). */
		{ V4 "0001 0004 0a010204", "10.1.2.3/32", TO, .got = "10.1.2.3/32", .ignored = 1 },
		{ V4 "0001 0004 0a010204", "10.1.2.3/32 10.1.2.4/32", TO,
		  .says = "answered with selectors", .reason = IKE_R_SELECTORS },
		{ V4 V4 V4 V4 V4 V4, "10.1.2.3/32", TO, .got = "10.1.2.3/32", .ignored = 5 },
	};

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 340);
}

/* Of the family that was not asked for there is none, whatever else there is. */
static void of_another_family(void **state)
{
	static const struct given rows[] = {
		{ V6, "fd01::3/128", TO, .only = 4, .says = "of a family that we did not ask for",
		  .reason = IKE_R_ADDRESS },
		{ V4 V6, "10.1.2.3/32", TO, .only = 4,
		  .says = "fd01::3, of a family that we did not ask for", .reason = IKE_R_ADDRESS },
		{ V6 V4, "fd01::3/128", TO, .only = 6,
		  .says = "10.1.2.3, of a family that we did not ask for",
		  .reason = IKE_R_ADDRESS },
		{ V6, "fd01::3/128", TO, .only = 6, .got = "fd01::3/128" },
	};

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 350);
}

/* Where our configuration has a list of names, it is those and what is below (RFC 8598 section 5);
 * without one of them the servers would be asked for everything.  Where everything goes through the
 * tunnel they are anyway. */
static void names_wanted(void **state)
{
#define SERVER "0003 0004 0a020035 "
	static const struct given rows[] = {
		{ V4 SERVER "0019 0003 612e62", "10.1.2.3/32", TO, .domains = "a.b",
		  .got = "10.1.2.3/32 dns 10.2.0.53 domains a.b" },
		{ V4 SERVER "0019 0003 782e62", "10.1.2.3/32", TO, .domains = "b",
		  .got = "10.1.2.3/32 dns 10.2.0.53 domains x.b" },
		{ V4 SERVER "0019 0003 782e63 0019 0002 7862 0019 0001 62", "10.1.2.3/32", TO,
		  .domains = "b", .got = "10.1.2.3/32 dns 10.2.0.53 domains b", .ignored = 2 },
		{ V4 SERVER "0019 0003 782e63", "10.1.2.3/32", TO, .domains = "a.b c.x",
		  .got = "10.1.2.3/32", .ignored = 2 },
		{ V4 SERVER, "10.1.2.3/32", TO, .domains = "a.b", .got = "10.1.2.3/32",
		  .ignored = 1 },
		{ V4 SERVER "0019 0003 612e62", "10.1.2.3/32", "0.0.0.0/0", .domains = "a.b",
		  .got = "10.1.2.3/32 dns 10.2.0.53", .ignored = 1 },
		{ V6 "000a 0010 fd020000000000000000000000000035 0019 0003 612e62", "fd01::3/128",
		  "::/0", .domains = "a.b", .got = "fd01::3/128 dns fd02::35", .ignored = 1 },
	};
#undef SERVER

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 370);
}

/* Prefixes would be routes, servers outside leak, names take others away. */
static void all_the_rest(void **state)
{
	static const struct given rows[] = {
		{ "0001 0004 0a010203 0002 0004 00000000", "10.1.2.3/32", TO,
		  .got = "10.1.2.3/32" },
		{ "0008 0011 fd010000000000000000000000000003 00", "fd01::3/128", TO,
		  .got = "fd01::3/128" },
		{ "0008 0011 fd010000000000000000000000000003 ff", "fd01::3/128", TO,
		  .says = "no inner address", .reason = IKE_R_ADDRESS },
		/* A server in the tunnel, one outside, one that is none, all zeros. */
		{ V4 "0003 0004 0a020035 0003 0004 08080808 0003 0004 e0000001 0003 0004 00000000",
		  "10.1.2.3/32", TO, .got = "10.1.2.3/32 dns 10.2.0.53", .ignored = 3 },
		{ V4 "0003 0004 0a020035 0019 0003 612e62 0019 0003 612e00 0019 0001 2e "
		     "0019 0003 412e42",
		  "10.1.2.3/32", TO, .got = "10.1.2.3/32 dns 10.2.0.53 domains a.b", .ignored = 3 },
		/* Names without a server (RFC 8598 section 3.2), or with one outside. */
		{ V4 "0019 0003 612e62", "10.1.2.3/32", TO, .got = "10.1.2.3/32", .ignored = 1 },
		{ V4 "0003 0004 08080808 0019 0003 612e62", "10.1.2.3/32", TO, .got = "10.1.2.3/32",
		  .ignored = 2 },
		/* Everything goes there: no names (section 2). */
		{ V4 "0003 0004 08080808 0019 0003 636f6d", "10.1.2.3/32", "0.0.0.0/0",
		  .got = "10.1.2.3/32 dns 8.8.8.8", .ignored = 1 },
		/* Trust anchors, with and without their domain (section 6). */
		{ V4 "001a 0006 aa17 08 02 3132 0003 0004 0a020035 0019 0003 612e62 "
		     "001a 0006 aa17 08 02 3132",
		  "10.1.2.3/32", TO, .got = "10.1.2.3/32 dns 10.2.0.53 domains a.b", .ignored = 2 },
		/* Subnets that it has, that it has not, and the whole world. */
		{ V4 "000d 0008 0a020300 ffffff00 000d 0008 0a000000 ff000000 "
		     "000d 0008 00000000 00000000 000d 0008 0a020000 ff00ff00",
		  "10.1.2.3/32", TO, .got = "10.1.2.3/32 subnets 10.2.3.0/24", .ignored = 3 },
	};

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 360);
}

/* A list that is none ends the SA (section 2.21.3). */
static void malformed_reply(void **state)
{
	static const struct given rows[] = {
		{ "0001 0003 0a0102", "10.1.2.3/32", TO, .says = "malformed: cp",
		  .reason = IKE_R_MALFORMED },
		{ "0001 0005 0a01020300", "10.1.2.3/32", TO, .says = "malformed: cp",
		  .reason = IKE_R_MALFORMED },
		{ V4 "0003 0010 0a020035", "10.1.2.3/32", TO, .says = "malformed: cp",
		  .reason = IKE_R_MALFORMED },
		{ V4 "00", "10.1.2.3/32", TO, .says = "malformed: cp", .reason = IKE_R_MALFORMED },
		{ V4 "000f 0010 fd010000000000000000000000000003", "10.1.2.3/32", TO,
		  .says = "malformed: cp", .reason = IKE_R_MALFORMED },
	};

	(void)state;
	play_all(rows, ARRAY_LEN(rows), 380);
}

/* As many as a message holds: the first few count. */
static void thousands(void **state)
{
	enum { TIMES = 1500 };
	static uint8_t buf[TIMES * 9];
	struct wr w = wr_of(buf, sizeof(buf));
	struct pair *p = *state;
	struct script s;

	wr_put(&w, cp_hex(V4));
	while (!w.err && wr_len(&w) + 8 <= sizeof(buf))
		wr_put(&w, cp_hex("0003 0004 0a020035"));
	p->pa->ts_local = test_conf_ts(p->ca, "");
	p->pa->ask_v4 = true;
	script_asked_for_auth(p, &s);
	script_begin(&s, WIRE_IKE_AUTH, true);
	script_put_id(&s);
	script_put_auth(&s);
	wire_put_cp(&s.out, WIRE_CFG_REPLY, wr_bytes_of(&w));
	script_put_sa(&s, s.esp, s.spi_esp);
	script_put_ts(&s, "10.1.2.3/32", "10.2.0.0/16");
	script_send(&s);
	world_run(p->w);
	assert_true(p->a->got.up);
	assert_int_equal(p->a->got.n_dns, WIRE_CFG_DNS);
	assert_true(node_counter(p->a, "ike.cp.ignored") > 1000);
	script_done(&s);
}

/* A hub gives what is not its own, or not the network's. */
static void not_the_hubs(void **state)
{
	static const struct {
		const char *hub_blocks, *domain, *says;
	} rows[] = {
		{ "10.1.0.0/16", "10.0.0.0/8 fd00::/8",
		  "not inside its certificate's address blocks" },
		{ NULL, "10.1.0.0/16 fd00::/8", "not inside the domain" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct star_site site;
		struct node *one;
		struct star s;

		star_init(&s, 400 + i);
		star_pool(&s, "10.99.0.0/24");
		if (rows[i].hub_blocks)
			test_conf_cert_blocks(s.ch, s.ph, STAR_HUB_KEY, STAR_CA, STAR_CA,
					      rows[i].hub_blocks);
		star_hub(&s);
		site = star_endpoint(&s, 1);
		site.p->domain = test_conf_ts(site.c, rows[i].domain);
		one = star_start(&s, &site);
		world_run(s.w);
		because(one, IKE_EV_REFUSED, IKE_R_ADDRESS);
		says(one, IKE_EV_REFUSED, "10.99.0.1, which is not its to give");
		says(one, IKE_EV_REFUSED, rows[i].says);
		assert_int_equal(one->n_got + one->n_children, 0);
		assert_int_equal(s.hub->n_children, 0);
		star_done(&s);
	}
}

/* In an SA that is up nobody pushes anything (sections 1.4, 3.15.1). */
static void pushed(void **state)
{
	struct pair *p = *state;
	struct node_got before;
	struct script s;

	p->pa->ts_local = test_conf_ts(p->ca, "");
	p->pa->ask_v4 = true;
	script_asked_for_auth(p, &s);
	answer(&s, &(struct given){ .cp = V4, .ts_i = "10.1.2.3/32", .ts_r = "10.2.0.0/16" });
	assert_int_equal(p->a->n_got, 1);
	before = p->a->got;
	for (uint8_t type = 0; type < 6; type++) {
		inform(&s, type, "0001 0004 0a010209 0003 0004 0a020035 0019 0003 612e62");
		assert_int_equal(s.in.n_notifies, 0);
	}
	script_begin(&s, WIRE_CREATE_CHILD_SA, false);
	wire_put_cp(&s.out, WIRE_CFG_REPLY, cp_hex("0001 0004 0a010209"));
	script_put_sa(&s, s.esp, s.spi_esp + 1);
	wire_put_nonce(&s.out, bytes_str("0123456789abcdef0123456789abcdef"));
	script_put_ts(&s, "10.2.0.0/16", "10.1.2.9/32");
	script_send(&s);
	assert_true(script_exchange(&s) && s.opened);
	assert_non_null(script_notify(&s, WIRE_N_TS_UNACCEPTABLE));
	assert_int_equal(p->a->n_got, 1);
	assert_memory_equal(&p->a->got, &before, sizeof(before));
	assert_int_equal(p->a->n_children, 1);
	script_done(&s);
}

/* ---- somebody who asks for what he should not ---------------------------------------------- */

struct asked {
	const char *cp;
	uint8_t type; /* 0: CFG_REQUEST */
	uint16_t notify; /* of the answer; 0: an address, 10.99.0.2 */
	const char *counter;
};

static void ask(struct script *s, const struct asked *a, bool twice)
{
	script_sa_init(s);
	assert_true(script_exchange(s));
	script_begin(s, WIRE_IKE_AUTH, false);
	script_put_id(s);
	script_put_auth(s);
	for (int i = 0; i <= twice; i++)
		wire_put_cp(&s->out, a->type ? a->type : WIRE_CFG_REQUEST, cp_hex(a->cp));
	script_put_sa(s, s->esp, s->spi_esp);
	script_put_ts(s, "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");
	script_send(s);
	assert_true(script_exchange(s) && s->opened);
}

/* b gives addresses; a has one and keeps it whatever others do. */
static void start_gateway(struct pair *p, unsigned seed)
{
	pair_init(p, seed);
	p->pa->ask_v4 = true;
	p->pa->ts_local = test_conf_ts(p->ca, "");
	test_conf_addresses(p->cb, p->pb, "");
	p->pb->remote_id = test_conf_ident(p->cb, "*.example");
	p->pb->ts_remote = test_conf_ts(p->cb, "");
	test_conf_pool(p->cb, p->pb, "10.99.0.0/28");
	pair_start(p);
	connect(p->a);
	world_run(p->w);
	has_addresses(p->a, "10.99.0.1/32");
}

static void a_is_well(struct pair *p)
{
	has_addresses(p->a, "10.99.0.1/32");
	assert_int_equal(p->a->n_got, 1);
	assert_true(world_ping(p->w, p->a, "10.99.0.1", p->b, "10.2.0.1"));
	assert_true(world_ping(p->w, p->b, "10.2.0.1", p->a, "10.99.0.1"));
}

static void requests(void **state)
{
	static const struct asked rows[] = {
		{ .cp = "0001 0000" },
		/* Somebody else's, nobody's, reserved ones, none. */
		{ .cp = "0001 0004 0a630001" },
		{ .cp = "0001 0004 0a630000" },
		{ .cp = "0001 0004 0a63000f" },
		{ .cp = "0001 0004 e0000001" },
		{ .cp = "0001 0004 ffffffff" },
		{ .cp = "0001 0004 c0000201" },
		{ .cp = "0008 0011 fd010000000000000000000000000003 80 0001 0000" },
		{ .cp = "0001 0000 0001 0004 0a630001 0001 0004 0a630003 0001 0000 0001 0000 0001 "
			"0000" },
		{ .cp = "0001 0000 0003 0004 0a020035 0019 0003 612e00 000d 0008 0a020000 "
			"ff00ff00" },
		{ .cp = "0008 0000",
		  .notify = WIRE_N_INTERNAL_ADDRESS_FAILURE,
		  .counter = "ike.refused.pool_exhausted" },
		/* Asks for nothing that there is: as if it had not asked. */
		{ .cp = "0003 0000",
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.refused.cp_required" },
		{ .cp = "",
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.refused.cp_required" },
		/* A reply where a request belongs, and so on. */
		{ .cp = "0001 0004 0a630005",
		  .type = 2,
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.cp.ignored" },
		{ .cp = "0001 0004 0a630005",
		  .type = 3,
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.cp.ignored" },
		{ .cp = "0001 0004 0a630005",
		  .type = 4,
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.cp.ignored" },
		{ .cp = "0001 0004 0a630005",
		  .type = 255,
		  .notify = WIRE_N_FAILED_CP_REQUIRED,
		  .counter = "ike.cp.ignored" },
		/* Malformed. */
		{ .cp = "0001 0001 00", .notify = WIRE_N_INVALID_SYNTAX, .counter = "ike.rx.cp" },
		{ .cp = "0001 0004 0a6300",
		  .notify = WIRE_N_INVALID_SYNTAX,
		  .counter = "ike.rx.cp" },
		{ .cp = "0001", .notify = WIRE_N_INVALID_SYNTAX, .counter = "ike.rx.cp" },
		{ .cp = "000e 0001 00 0001 0000",
		  .notify = WIRE_N_INVALID_SYNTAX,
		  .counter = "ike.rx.cp" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct script s;
		struct pair p;

		start_gateway(&p, 420 + (unsigned)i);
		script_init(&s, p.w, "192.0.2.9", p.b, true);
		s.id = "mallory.example";
		ask(&s, &rows[i], false);
		if (rows[i].notify) {
			assert_non_null(script_notify(&s, rows[i].notify));
			assert_int_equal(p.b->n_children, 1);
			assert_null(node_lease(p.b, "mallory.example"));
		} else {
			check_reply(&s, "0001 0004 0a630002", "000d 0008 0a020000 ffff0000");
			assert_int_equal(p.b->n_children, 2);
		}
		if (rows[i].counter)
			assert_true(node_counter(p.b, rows[i].counter) > 0);
		a_is_well(&p);
		script_done(&s);
		pair_done(&p);
	}
}

/* One message has one (section 2.19, and the payload table). */
static void second_cp(void **state)
{
	const struct asked a = { .cp = "0001 0000" };
	struct script s;
	struct pair p;

	(void)state;
	start_gateway(&p, 450);
	script_init(&s, p.w, "192.0.2.9", p.b, true);
	s.id = "mallory.example";
	ask(&s, &a, true);
	assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
	assert_int_equal(node_counter(p.b, "ike.rx.repeated"), 1);
	assert_null(node_lease(p.b, "mallory.example"));
	a_is_well(&p);
	script_done(&s);
	pair_done(&p);
}

/* As many identities as somebody can get certified: the pool is empty then, and no more. */
static void many_identities(void **state)
{
	enum { MANY = 30 };
	const struct asked a = { .cp = "0001 0000" };
	unsigned given = 0, refused = 0;
	struct pair p;

	(void)state;
	start_gateway(&p, 460);
	for (unsigned i = 0; i < MANY; i++) {
		char from[32], name[32];
		struct script s;

		snprintf(from, sizeof(from), "198.51.100.%u", i + 1);
		snprintf(name, sizeof(name), "m%u.example", i);
		script_init(&s, p.w, from, p.b, true);
		s.id = name;
		ask(&s, &a, false);
		if (script_notify(&s, WIRE_N_INTERNAL_ADDRESS_FAILURE))
			refused++;
		else
			given++;
		script_done(&s);
	}
	assert_int_equal(given, 13);
	assert_int_equal(refused, MANY - 13);
	assert_int_equal(p.b->n_stores, 14);
	assert_int_equal(p.b->n_leases, 14);
	assert_int_equal(node_counter(p.b, "ike.refused.pool_exhausted"), refused);
	because(p.b, IKE_EV_REFUSED, IKE_R_ADDRESS);
	a_is_well(&p);
	pair_done(&p);
}

/* A certificate or key for one name is no way to another's address. */
static void anothers_name(void **state)
{
	const struct asked a = { .cp = "0001 0004 0a630001" };
	struct script s;
	struct pair p;

	(void)state;
	start_gateway(&p, 470);
	script_init(&s, p.w, "192.0.2.9", p.b, true);
	s.id = "a.example";
	s.psk = 77;
	ask(&s, &a, false);
	assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
	assert_int_equal(p.b->n_stores, 1);
	a_is_well(&p);
	script_done(&s);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_addresses),     cmocka_unit_test(no_address),
		cmocka_unit_test(selectors),         cmocka_unit_test(all_the_rest),
		cmocka_unit_test(malformed_reply),   pair_test(thousands),
		cmocka_unit_test(not_the_hubs),      pair_test(pushed),
		cmocka_unit_test(of_another_family), cmocka_unit_test(names_wanted),
		cmocka_unit_test(requests),          cmocka_unit_test(second_cp),
		cmocka_unit_test(many_identities),   cmocka_unit_test(anothers_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
