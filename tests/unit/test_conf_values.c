/* The configuration reader: values, layouts, hostile files, the schema and its manual. */
#include "conf/internal.h"
#include "unit/conf_util.h"

/* ---- values ---- */

static void top_level_values(void **state)
{
	struct conf *c = parse_good(
		"\xef\xbb\xbf# everything\r\n"
		"local_id = \"a.example\"; certificate = \"/c\"; key = \"/k\"; trust = {\"/t\", "
		"\"/u\",}\r\n"
		"control = \"/run/w.sock\"\n"
		"interface=\"w0\";mtu=1400;listen={\"192.0.2.1\"\n,\n# x\n\"::1\"}\n"
		"port = 501 ; nat_port = 4501 ; log = debug ; keylog = \"/keys\"\n"
		"retransmit_timeout = 500ms ; retransmit_tries = 3 ; half_open_cookie = 0\n"
		"half_open_puzzle = 3 ; half_open_max = 9 ; half_open_prefix = 0\n"
		"init_rate_cookie = 7 ; puzzle_max = 0 ; puzzle_solve = 26\n" PEER);

	(void)state;
	assert_string_equal(c->file, "x.conf");
	assert_string_equal(c->local_id.text.s, "a.example");
	assert_int_equal(c->local_id.id.type, WIRE_ID_FQDN);
	assert_string_equal(c->certificate.s, "/c");
	assert_string_equal(c->key.s, "/k");
	assert_int_equal(c->trust.n, 2);
	assert_string_equal(c->trust.v[1].s, "/u");
	assert_int_equal(c->trust.v[1].at.line, 2);
	assert_int_equal(c->trust.v[1].at.col, 72);
	assert_string_equal(c->control.s, "/run/w.sock");
	assert_int_equal(c->control.at.line, 3);
	assert_string_equal(c->interface.s, "w0");
	assert_int_equal(c->mtu.v, 1400);
	assert_int_equal(c->listen.n, 2);
	assert_int_equal(c->listen_ip[1].family, 6);
	assert_int_equal(c->listen.v[1].at.line, 7);
	assert_int_equal(c->port.v, 501);
	assert_int_equal(c->nat_port.v, 4501);
	assert_int_equal(c->log.v, CONF_LOG_DEBUG);
	assert_string_equal(c->keylog.s, "/keys");
	assert_true(c->retransmit_timeout.v.ns == 500000000);
	assert_int_equal(c->retransmit_tries.v, 3);
	assert_int_equal(c->half_open_cookie.v, 0);
	assert_int_equal(c->half_open_puzzle.v, 3);
	assert_int_equal(c->half_open_max.v, 9);
	assert_int_equal(c->half_open_prefix.v, 0);
	assert_int_equal(c->init_rate_cookie.v, 7);
	assert_int_equal(c->puzzle_max.v, 0);
	assert_int_equal(c->puzzle_solve.v, 26);
	conf_unref(c);
}

static void peer_values(void **state)
{
	struct conf *c = parse_good(
		"peer \"\xc3\xa4\\\"\\\\\" {\n"
		"address = { \"192.0.2.2\", \"gw.example.net\", \"2001:db8::2\" } ; port = 1500\n"
		"local_id = \"CN=a, O=x\" ; remote_id = \"*.example\" ; psk = \"0xC0ffee\"\n"
		"local_ts = { \"10.1.0.0/16\", \"10.9.0.1[tcp/80]\" } ; remote_ts = \"0.0.0.0/0\"\n"
		"proposals = { \"aes256gcm16-prfsha384-ecp384\", \"aes128gcm16-prfsha256-x25519\" "
		"}\n"
		"esp_proposals = \"aes128gcm16-esn\"\n"
		"start = up ; dpd_delay = 0s ; keepalive = 1m ; fragmentation = no }\n");
	const struct conf_peer *p = c->peers;

	(void)state;
	assert_int_equal(c->n_peers, 1);
	assert_string_equal(p->name, "\xc3\xa4\"\\");
	assert_ptr_equal(conf_find_peer(c, p->name), p);
	assert_null(conf_find_peer(c, "b"));
	assert_int_equal(p->address.n, 3);
	assert_string_equal(p->address.v[1].s, "gw.example.net");
	assert_int_equal(p->port.v, 1500);
	assert_int_equal(p->local_id.id.type, WIRE_ID_DN);
	assert_string_equal(p->remote_id.text.s, "*.example");
	assert_int_equal(p->auth, CONF_AUTH_PSK);
	assert_true(bytes_eq(p->psk.b, bytes_of("\xc0\xff\xee", 3)));
	assert_int_equal(p->local_ts.ts.n, 2);
	assert_int_equal(p->local_ts.ts.ts[1].proto, 6);
	assert_int_equal(p->local_ts.ts.ts[1].port_start, 80);
	assert_string_equal(p->local_ts.list.v[1].s, "10.9.0.1[tcp/80]");
	assert_int_equal(p->proposals.sa.n, 2);
	assert_int_equal(p->proposals.sa.proposals[1].number, 2);
	assert_int_equal(p->proposals.sa.proposals[0].proto, WIRE_PROTO_IKE);
	assert_int_equal(policy_first_ke(&p->proposals.sa), CRYPTO_ECP_384);
	assert_int_equal(p->esp_proposals.sa.proposals[0].proto, WIRE_PROTO_ESP);
	assert_int_equal(p->start.v, CONF_START_UP);
	assert_true(p->dpd_delay.v.ns == 0);
	assert_true(p->keepalive.v.ns == 60000000000);
	assert_int_equal(p->fragmentation.v, CONF_NO);
	conf_unref(c);
}

/* P5, S4: how long SAs live, without a child, with a post-quantum key. */
static void peer_lives(void **state)
{
	struct conf *c = parse_good(WITH(
		"ike_rekey = 2h ; ike_lifetime = 150m ; reauth = 24h ; rekey = 0s ; lifetime = "
		"20m\n"
		"rekey_bytes = 3G ; lifetime_bytes = 4T ; rekey_packets = 1000 ; lifetime_packets "
		"= "
		"5M\n"
		"expired = keep ; childless = force ; ppk_id = \"a-b 1\" ; ppk_required = yes\n"
		"ppk = \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""));
	const struct conf_peer *p = c->peers;

	(void)state;
	assert_true(p->life.ike_rekey.v.ns == dur_s(7200).ns);
	assert_true(p->life.ike_lifetime.v.ns == dur_s(9000).ns);
	assert_true(p->life.reauth.v.ns == dur_s(86400).ns);
	assert_true(p->life.rekey.v.ns == 0);
	assert_true(p->life.lifetime.v.ns == dur_s(1200).ns);
	assert_true(p->life.rekey_bytes.v == 3ULL << 30);
	assert_true(p->life.lifetime_bytes.v == 4ULL << 40);
	assert_true(p->life.rekey_packets.v == 1000);
	assert_true(p->life.lifetime_packets.v == 5ULL << 20);
	assert_int_equal(p->life.expired.v, CONF_EXPIRED_KEEP);
	assert_int_equal(p->childless.v, CONF_CHILDLESS_FORCE);
	assert_string_equal(p->ppk_id.s, "a-b 1");
	assert_int_equal(p->ppk_required.v, CONF_YES);
	assert_int_equal(p->ppk.b.n, 32);
	assert_int_equal(p->ppk.b.p[31], 0x1f);
	conf_unref(c);
}

/* What is not written, and what a peer takes from the top level. */
static void defaults_and_inheritance(void **state)
{
	struct conf *c = parse_good(
		"peer \"own\" { remote_id = \"o\" ; local_id = \"me\" ; " TS "\n"
		"certificate = \"/c2\" ; key = \"/k2\" ; trust = \"/t2\" }\n"
		"peer \"top\" { remote_id = \"t\" ; address = \"x\" ; " TS " }\n"
		"peer \"psk\" { remote_id = \"p\" ; psk = \"0sAQID\" ; " TS " }\n"
		"certificate = \"/c1\" ; key = \"/k1\" ; trust = \"/t1\" ; local_id = \"us\"\n");
	const struct conf_peer *own = conf_find_peer(c, "own"), *top = conf_find_peer(c, "top");
	const struct conf_peer *psk = conf_find_peer(c, "psk");

	(void)state;
	assert_string_equal(c->control.s, "/run/warren/warren.sock");
	assert_int_equal(c->control.at.line, 0);
	assert_string_equal(c->interface.s, "warren0");
	assert_int_equal(c->mtu.v, 0);
	assert_int_equal(c->listen.n, 2);
	assert_int_equal(c->listen_ip[0].family, 4);
	assert_int_equal(c->listen_ip[1].family, 6);
	assert_int_equal(c->port.v, 500);
	assert_int_equal(c->nat_port.v, 4500);
	assert_int_equal(c->log.v, CONF_LOG_INFO);
	assert_null(c->keylog.s);
	assert_true(c->retransmit_timeout.v.ns == 2000000000);
	assert_int_equal(c->retransmit_tries.v, 6);
	assert_int_equal(c->half_open_cookie.v, 32);
	assert_int_equal(c->half_open_puzzle.v, 1024);
	assert_int_equal(c->half_open_max.v, 4096);
	assert_int_equal(c->half_open_prefix.v, 8);
	assert_int_equal(c->init_rate_cookie.v, 1000);
	assert_int_equal(c->puzzle_max.v, 18);
	assert_int_equal(c->puzzle_solve.v, 20);

	assert_string_equal(own->local_id.text.s, "me");
	assert_string_equal(own->certificate.s, "/c2");
	assert_string_equal(own->trust.v[0].s, "/t2");
	assert_int_equal(own->auth, CONF_AUTH_CERT);
	assert_int_equal(own->start.v, CONF_START_LISTEN);
	assert_int_equal(own->port.v, 500);
	assert_true(own->dpd_delay.v.ns == 30000000000);
	assert_true(own->keepalive.v.ns == 20000000000);
	assert_int_equal(own->fragmentation.v, CONF_YES);
	assert_true(own->life.ike_rekey.v.ns == dur_s(4 * 3600).ns);
	assert_true(own->life.rekey.v.ns == dur_s(3600).ns);
	assert_true(own->life.ike_lifetime.v.ns == 0 && own->life.lifetime.v.ns == 0);
	assert_true(own->life.reauth.v.ns == 0);
	assert_true(own->life.rekey_bytes.v == 0 && own->life.rekey_packets.v == 0);
	assert_int_equal(own->life.expired.v, CONF_EXPIRED_END);
	assert_int_equal(own->childless.v, CONF_CHILDLESS_ALLOW);
	assert_int_equal(own->ppk_required.v, CONF_NO);

	assert_string_equal(top->local_id.text.s, "us");
	assert_string_equal(top->certificate.s, "/c1");
	assert_int_equal(top->certificate.at.line, 5);
	assert_string_equal(top->key.s, "/k1");
	assert_string_equal(top->trust.v[0].s, "/t1");
	assert_int_equal(top->start.v, CONF_START_TRAFFIC);
	assert_true(top->proposals.sa.n > 0 && top->esp_proposals.sa.n > 0);
	assert_int_equal(top->proposals.list.n, top->proposals.sa.n);
	assert_int_equal(top->proposals.list.at.line, 0);

	assert_int_equal(psk->auth, CONF_AUTH_PSK);
	assert_null(psk->certificate.s);
	assert_int_equal(psk->trust.n, 0);
	assert_true(bytes_eq(psk->psk.b, bytes_of("\x01\x02\x03", 3)));
	conf_unref(c);
}

static void references(void **state)
{
	struct conf *c = parse_good(PEER);

	(void)state;
	assert_ptr_equal(conf_ref(c), c);
	conf_unref(c);
	assert_string_equal(c->peers->name, "b");
	conf_unref(c);
	conf_unref(NULL);
}

/* ---- differential: a configuration written in a random layout reads as what was written ---- */

struct model {
	unsigned mtu, tries, port;
	int64_t timeout_ms;
	int log;
	unsigned n_listen, n_peers;
	struct {
		char psk[24];
		size_t n_psk;
		unsigned n_ts, port;
		int64_t dpd_ms;
	} peer[8];
};

static void blank(struct text *t)
{
	static const char *const gap[] = { " ", "\t", "  ", " \t " };

	text_add(t, gap[rnd(ARRAY_LEN(gap))]);
}

static void line_end(struct text *t)
{
	static const char *const end[] = { "\n",  ";", " ; ", "\r\n", " # comment { \" } \\\n",
					   "\n\n" };

	text_add(t, end[rnd(ARRAY_LEN(end))]);
}

static void entry(struct text *t, const char *key, const char *value)
{
	blank(t);
	text_add(t, key);
	if (rnd(2))
		blank(t);
	text_add(t, "=");
	if (rnd(2))
		blank(t);
	text_add(t, value);
	line_end(t);
}

static void entry_num(struct text *t, const char *key, unsigned v)
{
	char buf[32];
	struct text n = TEXT_OF(buf);

	text_fmt(&n, "%s%u", rnd(2) ? "" : "00", v);
	entry(t, key, buf);
}

/* In the largest unit that is exact, or a smaller one. */
static void entry_dur(struct text *t, const char *key, int64_t ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} unit[] = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };
	size_t i = rnd(ARRAY_LEN(unit));
	char buf[32];
	struct text n = TEXT_OF(buf);

	while (ms % unit[i].ms)
		i++;
	text_fmt(&n, "%lld%s", (long long)(ms / unit[i].ms), unit[i].name);
	entry(t, key, buf);
}

/* Elements made from numbers 0 .. n-1. */
static void entry_list(struct text *t, const char *key, unsigned n, const char *fmt_head)
{
	char buf[4096];
	struct text l = TEXT_OF(buf);

	text_add(&l, "{");
	for (unsigned i = 0; i < n; i++) {
		text_add(&l, rnd(2) ? "" : "\n");
		text_fmt(&l, "\"%s.%u\"", fmt_head, i + 1);
		text_add(&l, rnd(4) ? "" : " # ,\n");
		text_add(&l, i + 1 < n || rnd(2) ? "," : "");
	}
	text_add(&l, "}");
	entry(t, key, buf);
}

/* As a string with every escape there is, or as hexadecimal. */
static void entry_psk(struct text *t, const char *psk, size_t n)
{
	char buf[256];
	struct text s = TEXT_OF(buf);
	bool hex = rnd(2);

	text_add(&s, hex ? "\"0x" : "\"");
	for (size_t i = 0; i < n; i++) {
		if (hex)
			text_fmt(&s, rnd(2) ? "%02x" : "%02X", (uint8_t)psk[i]);
		else if (psk[i] == '\n')
			text_add(&s, "\\n");
		else if (psk[i] == '\t' && rnd(2))
			text_add(&s, "\\t");
		else if (psk[i] == '"' || psk[i] == '\\')
			text_fmt(&s, "\\%c", psk[i]);
		else
			text_fmt(&s, "%c", psk[i]);
	}
	text_add(&s, "\"");
	entry(t, "psk", buf);
}

static void write_peer(struct text *t, struct model *m, unsigned i)
{
	static const char alphabet[] = "abc\"\\\n\t {}=,;#/%$";
	char name[64];
	struct text n = TEXT_OF(name);

	m->peer[i].n_psk = 1 + rnd(sizeof(m->peer[i].psk) - 2);
	for (size_t j = 0; j < m->peer[i].n_psk; j++)
		m->peer[i].psk[j] = alphabet[rnd(sizeof(alphabet) - 1)];
	m->peer[i].n_ts = 1 + (unsigned)rnd(CONF_LIST_MAX);
	m->peer[i].port = 1 + (unsigned)rnd(65535);
	m->peer[i].dpd_ms = rnd(3) ? 1000 + (int64_t)rnd(86399001) : 0;
	text_fmt(&n, "\"p%u\"", i);
	text_add(t, "peer ");
	text_add(t, name);
	text_add(t, rnd(2) ? " {" : "\n\n{\n");
	entry(t, "remote_id", name);
	entry(t, "local_id", "\"me\"");
	entry_psk(t, m->peer[i].psk, m->peer[i].n_psk);
	entry_list(t, "local_ts", m->peer[i].n_ts, "10.1.0");
	entry(t, "remote_ts", "\"10.0.0.0/8\"");
	entry_num(t, "port", m->peer[i].port);
	entry_dur(t, "dpd_delay", m->peer[i].dpd_ms);
	text_add(t, "}");
	line_end(t);
}

static void write_model(struct text *t, struct model *m)
{
	static const char *const log[] = { "error", "warning", "info", "debug" };

	*m = (struct model){ .mtu = 576 + (unsigned)rnd(64960),
			     .tries = 1 + (unsigned)rnd(20),
			     .port = 5000 + (unsigned)rnd(60000),
			     .timeout_ms = 100 + (int64_t)rnd(59901),
			     .log = (int)rnd(4),
			     .n_listen = 1 + (unsigned)rnd(CONF_LIST_MAX),
			     .n_peers = 1 + (unsigned)rnd(8) };
	entry_num(t, "mtu", m->mtu);
	entry_list(t, "listen", m->n_listen, "192.0.2");
	for (unsigned i = 0; i < m->n_peers; i++)
		write_peer(t, m, i);
	entry(t, "log", log[m->log]);
	entry_dur(t, "retransmit_timeout", m->timeout_ms);
	entry_num(t, "retransmit_tries", m->tries);
	entry_num(t, "port", m->port);
}

static void compare_model(const struct conf *c, const struct model *m)
{
	const struct conf_peer *p = c->peers;

	assert_int_equal(c->mtu.v, m->mtu);
	assert_int_equal(c->retransmit_tries.v, m->tries);
	assert_int_equal(c->port.v, m->port);
	assert_int_equal(c->log.v, m->log);
	assert_true(c->retransmit_timeout.v.ns == m->timeout_ms * 1000000);
	assert_int_equal(c->listen.n, m->n_listen);
	assert_int_equal(c->n_peers, m->n_peers);
	for (unsigned i = 0; i < m->n_peers; i++, p = p->next) {
		assert_true(bytes_eq(p->psk.b, bytes_of(m->peer[i].psk, m->peer[i].n_psk)));
		assert_int_equal(p->local_ts.ts.n, m->peer[i].n_ts);
		assert_int_equal(p->port.v, m->peer[i].port);
		assert_true(p->dpd_delay.v.ns == m->peer[i].dpd_ms * 1000000);
	}
	assert_null(p);
}

static void random_layouts(void **state)
{
	static char text[1 << 16];

	(void)state;
	rnd_state = 7;
	for (int i = 0; i < 300; i++) {
		struct text t = TEXT_OF(text);
		struct model m;
		struct conf *c;

		write_model(&t, &m);
		assert_true(t.n + 4 < sizeof(text));
		c = parse_good(text);
		compare_model(c, &m);
		conf_unref(c);
	}
}

/* ---- hostile ---- */

static const char seed_text[] =
	"local_id = \"a.example\" # x\n"
	"listen = { \"0.0.0.0\", \"::\", }\n"
	"peer \"b\" {\n\taddress = \"192.0.2.2\" ; start = up\n\tremote_id = \"b.example\"\n"
	"\tpsk = \"0x0123\"\n\tlocal_ts = { \"10.1.0.0/16\" }\n\tremote_ts = "
	"\"10.2.0.0/16[tcp/80]\"\n"
	"\tproposals = { \"aes128gcm16-prfsha256-x25519\" }\n\tdpd_delay = 30s\n}\n"
	"network \"n\" {\n\trole = hub ; identity = \"/n.warren\"\n\tdomain = "
	"{ \"10.0.0.0/8\" }\n\tmember \"*.m\" { prefixes = { \"10.9.0.0/16\" } }\n}\n";

static void parse_any(struct bytes text)
{
	struct counting n;
	const struct alloc mem = counting_mem(&n, -1);
	struct conf_errors errs;
	struct conf *c = NULL;
	enum status st;

	conf_errors_init(&errs, &mem);
	st = conf_parse(&mem, "x", text, &errs, &c);
	assert_true(st == ST_OK || st == ST_INVAL);
	assert_int_equal(st == ST_OK, errs.total == 0);
	assert_int_equal(st == ST_OK, c != NULL);
	conf_unref(c);
	conf_errors_done(&errs);
	assert_int_equal(n.live, 0);
}

/* A file cut anywhere, or with any byte replaced, is read to its end; S2's habit for the operator's
 * own input. */
static void cut_and_bent(void **state)
{
	static const uint8_t other[] = { 0,   '"',  '\\', '{',  '}',  '=',
					 ',', '\n', '#',  0x80, 0xf0, 'x' };
	size_t n = sizeof(seed_text) - 1;
	uint8_t *copy;

	(void)state;
	for (size_t i = 0; i <= n; i++) {
		copy = malloc(i ? i : 1);
		assert_non_null(copy);
		memcpy(copy, seed_text, i);
		parse_any(bytes_of(copy, i));
		free(copy);
	}
	copy = malloc(n);
	assert_non_null(copy);
	for (size_t i = 0; i < n * ARRAY_LEN(other); i++) {
		memcpy(copy, seed_text, n);
		copy[i / ARRAY_LEN(other)] = other[i % ARRAY_LEN(other)];
		parse_any(bytes_of(copy, n));
	}
	free(copy);
}

/* Deep nesting costs no stack, and what never closes is one error (the other: no such key). */
static void deep_braces(void **state)
{
	static uint8_t text[1 << 20];
	struct conf_errors errs;
	struct conf *c = NULL;

	(void)state;
	memset(text, '{', sizeof(text));
	memcpy(text, "x = ", 4);
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(conf_parse(&mem_libc, "x", BYTES_OF(text), &errs, &c), ST_INVAL);
	assert_int_equal(errs.total, 2);
	conf_errors_done(&errs);
}

/* Every allocation refused in turn: ST_NOMEM, nothing left behind, in the end it works. */
static void out_of_memory(void **state)
{
	enum status st = ST_NOMEM;
	long left = 0;

	(void)state;
	for (; st == ST_NOMEM; left++) {
		struct counting n;
		const struct alloc mem = counting_mem(&n, left);
		struct conf_errors errs;
		struct conf *c = NULL;

		conf_errors_init(&errs, &mem);
		st = conf_parse(&mem, "x", bytes_str(seed_text), &errs, &c);
		assert_int_equal(st == ST_OK, c != NULL);
		conf_unref(c);
		conf_errors_done(&errs);
		assert_int_equal(n.live, 0);
		assert_true(left < 100);
	}
	assert_int_equal(st, ST_OK);
	assert_true(left > 4);
}

/* ---- the schema ---- */

static char *read_text(const char *path)
{
	static char buf[1 << 17];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		fail_msg("%s cannot be opened", path);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	return buf;
}

static const char *type_name(enum conf_type t)
{
	static const char *const type[CONF_TYPES] = {
		[CONF_T_PATH] = "path",         [CONF_T_NAME] = "name",
		[CONF_T_NUM] = "number",        [CONF_T_DUR] = "duration",
		[CONF_T_WORD] = "word",         [CONF_T_ADDRS] = "addresses",
		[CONF_T_HOSTS] = "hosts",       [CONF_T_PATHS] = "paths",
		[CONF_T_IDENT] = "identity",    [CONF_T_PATTERN] = "pattern",
		[CONF_T_SECRET] = "secret",     [CONF_T_TS] = "selectors",
		[CONF_T_IKE] = "proposals",     [CONF_T_ESP] = "proposals",
		[CONF_T_USER] = "name",         [CONF_T_PREFIXES] = "prefixes",
		[CONF_T_TEXT] = "text",         [CONF_T_COUNT] = "count",
		[CONF_T_RANGES] = "ranges",     [CONF_T_DOMAINS] = "names",
		[CONF_T_VIRTUAL] = "addresses", [CONF_T_PATTERNS] = "patterns",
		[CONF_T_GROUPS] = "groups",
	};

	assert_non_null(type[t]);
	return type[t];
}

/* `head` and the text up to the next heading. */
static struct bytes chapter(const char *manual, const char *head)
{
	const char *from = strstr(manual, head), *to;

	if (!from)
		fail_msg("the manual has no %s", head);
	to = strstr(from + strlen(head), "\n# ");
	assert_non_null(to);
	return bytes_of(from, (size_t)(to - from));
}

static void assert_has(struct bytes in, const char *want)
{
	if (!memmem(in.p, in.n, want, strlen(want)))
		fail_msg("the manual lacks %s in:\n%.40s", want, (const char *)in.p);
}

/* warren.conf(5) has every key in its chapter with its default and what a change of it costs. */
static void manual_has_every_key(void **state)
{
	static const char *const head[CONF_SCOPES] = {
		[CONF_TOP] = "\n# TOP LEVEL\n",    [CONF_PEER] = "\n# PEERS\n",
		[CONF_NETWORK] = "\n# NETWORKS\n", [CONF_MEMBER] = "\n# MEMBERS\n",
		[CONF_GROUP] = "\n# TOPOLOGIES\n", [CONF_RULE] = "\n# TOPOLOGIES\n",
	};
	const char *manual = read_text(SOURCE_ROOT "/docs/man/warren.conf.5.scd");

	(void)state;
	for (size_t i = 0; i < conf_n_keys; i++) {
		const struct conf_key *k = &conf_keys[i];
		char want[256];
		struct text t = TEXT_OF(want);

		text_fmt(&t, "\n*%s* _%s_ (", k->name, type_name(k->type));
		if (k->required)
			text_add(&t, "required");
		else
			text_fmt(&t, "default %s", k->def ? k->def : "none");
		text_fmt(&t, "; %s)\n", conf_change_name(k->change));
		assert_has(chapter(manual, head[k->scope]), want);
	}
}

static const struct conf_key *key_of(enum conf_scope scope, const char *name)
{
	for (size_t i = 0; i < conf_n_keys; i++)
		if (conf_keys[i].scope == scope && strcmp(conf_keys[i].name, name) == 0)
			return &conf_keys[i];
	return NULL;
}

/* The table of its chapter CHANGES has a row for every name, with the cost in each section. */
static void manual_has_every_cost(void **state)
{
	const char *manual = read_text(SOURCE_ROOT "/docs/man/warren.conf.5.scd");
	struct bytes table = chapter(manual, "\n# CHANGES\n");

	(void)state;
	for (size_t i = 0; i < conf_n_keys; i++) {
		char want[256];
		struct text t = TEXT_OF(want);

		text_add(&t, "\n|  ");
		for (const char *c = conf_keys[i].name; *c; c++)
			text_fmt(&t, *c == '_' ? "\\%c" : "%c", *c);
		for (int scope = 0; scope < CONF_SCOPES; scope++) {
			const struct conf_key *k =
				key_of((enum conf_scope)scope, conf_keys[i].name);

			text_fmt(&t, "\n:  %s", k ? conf_change_name(k->change) : "-");
		}
		text_add(&t, "\n");
		assert_has(table, want);
	}
}

/* The reader's table of keys already seen has room for every scope. */
static void scopes_fit(void **state)
{
	size_t n[CONF_SCOPES] = { 0 };

	(void)state;
	for (size_t i = 0; i < conf_n_keys; i++)
		assert_true(++n[conf_keys[i].scope] <= CONF_SCOPE_KEYS_MAX);
	for (int scope = 0; scope < CONF_SCOPES; scope++)
		assert_true(n[scope] > 0);
}

/* The files of examples/ are good, but for the paths they name. */
static void examples_are_good(void **state)
{
	static const char *const file[] = { "site-a.conf", "site-b.conf", "partner-strongswan.conf",
					    "hub.conf", "site.conf" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(file); i++) {
		char path[512];
		struct text t = TEXT_OF(path);

		text_fmt(&t, SOURCE_ROOT "/examples/%s", file[i]);
		conf_unref(parse_good(read_text(path)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(top_level_values),
		cmocka_unit_test(peer_values),
		cmocka_unit_test(peer_lives),
		cmocka_unit_test(defaults_and_inheritance),
		cmocka_unit_test(references),
		cmocka_unit_test(random_layouts),
		cmocka_unit_test(cut_and_bent),
		cmocka_unit_test(deep_braces),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(manual_has_every_key),
		cmocka_unit_test(manual_has_every_cost),
		cmocka_unit_test(scopes_fit),
		cmocka_unit_test(examples_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
