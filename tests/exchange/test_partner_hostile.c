/* Partners and those who would be some: silence without proof, replays, other identities, other
 * keys, other prefixes (T1, R05, S2, docs/protocol/shortcut.md section 8). */
#include "exchange/exchange.h"

#include "exchange/partner.h"

/* ---- proofs ------------------------------------------------------------------------------- */

/* b's IKE_SA_INIT request, which does not arrive. */
static struct packet *first_request(struct duo *d)
{
	struct packet *p;

	duo_call(d);
	next_is(d->w, d->b, WIRE_IKE_SA_INIT, REQUEST, 0);
	p = packet_keep(world_packet(d->w, 0));
	world_drop(d->w, world_packet(d->w, 0));
	return p;
}

/* Where these bytes are in the datagram. */
static uint8_t *find(struct packet *p, const void *what, size_t n)
{
	uint8_t *at = memmem(p->data, p->n, what, n);

	assert_non_null(at);
	return at;
}

/* The data of SHORTCUT_PROOF. */
static uint8_t *proof_of(struct packet *p)
{
	static const uint8_t type[] = { 0, 0, WIRE_N_SHORTCUT_PROOF >> 8,
					WIRE_N_SHORTCUT_PROOF & 0xff };

	return find(p, type, sizeof(type)) + sizeof(type);
}

static uint8_t *nonce_of(struct duo *d, struct packet *p)
{
	struct opened o;
	uint8_t *at;

	assert_true(packet_open(d->w, p, &o));
	at = find(p, opened_payloads(&o)->nonce.p, opened_payloads(&o)->nonce.n);
	opened_done(&o);
	return at;
}

/* c does not say a word, keeps nothing, and computes nothing. */
static void assert_silence(struct duo *d, const struct packet *p, const char *counter)
{
	uint64_t before = node_counter(d->c, counter);
	size_t live = d->c->mem.live;
	long jobs = d->c->n_jobs;

	world_hand_over(d->w, p);
	assert_null(world_packet(d->w, 0));
	assert_int_equal(node_counter(d->c, counter), before + 1);
	assert_int_equal(d->c->n_jobs, jobs);
	assert_int_equal(duo_sas(d->c, d->at_c).n, 0);
	assert_int_equal(ike_totals(d->c->ike).half_open, 0);
	node_forget_events(d->c);
	assert_int_equal(d->c->mem.live, live);
}

enum change { MAC, ID, NONCE, SPI, SHORT, CHANGES };

static void forge(struct duo *d, struct packet *p, enum change change)
{
	switch (change) {
	case MAC: proof_of(p)[16 + 31] ^= 1; break;
	case ID: proof_of(p)[0] ^= 1; break;
	case NONCE: nonce_of(d, p)[3] ^= 1; break;
	case SPI: p->data[4 + 2] ^= 1; break;
	/* The id says that it is another notify of ours, of no use here. */
	case SHORT: store_be16(proof_of(p) - 2, WIRE_N_SHORTCUT_PROOF - 1); break;
	default: break;
	}
}

static void open_hub(struct star *s)
{
	s->ph->ike = test_conf_sa(s->ch, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
}

static void demands_cookies(struct star_site *site)
{
	site->c->conf.half_open_cookie = 0;
}

/* Also where everybody is asked for a cookie: no cookie is given without proof. */
static void silent_without_proof(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * CHANGES; i++) {
		enum change change = (enum change)(i % CHANGES);
		struct packet *p;
		struct duo d;

		duo_begin_as(&d, 10 + i, NULL, i < CHANGES ? NULL : demands_cookies);
		duo_add(&d);
		p = first_request(&d);
		forge(&d, p, change);
		assert_silence(&d, p, change == SHORT ? "ike.rx.silent" : "ike.rx.proof_wrong");
		packet_free(p);
		/* The true one is retransmitted. */
		duo_live(&d, 2000, 0);
		assert_true(duo_carries(&d));
		duo_done(&d);
	}
}

/* Nobody is waited for, or not any more. */
static void nobody_waits(void **state)
{
	struct packet *p;
	struct duo d;

	(void)state;
	duo_begin(&d, 30);
	duo_add_b(&d);
	p = first_request(&d);
	assert_silence(&d, p, "ike.rx.silent");
	duo_add_c(&d);
	node_partner_drop(d.c, d.at_c, "withdrawn");
	assert_silence(&d, p, "ike.rx.silent");
	d.say_c.id[0] ^= 1;
	duo_add_c(&d);
	assert_silence(&d, p, "ike.rx.proof_wrong");
	packet_free(p);
	duo_done(&d);
}

static void may_be_called(struct star_site *site)
{
	struct ike_peer_conf *p = test_conf_peer(site->c, 2, "anybody", NULL, "me", "%any", 7);

	p->ike = site->p->ike;
}

/* Where others may call, who comes with a proof is a partner or nobody. */
static void not_silent(void **state)
{
	struct packet *p, *q;
	struct duo d;

	(void)state;
	duo_begin_as(&d, 31, NULL, may_be_called);
	duo_add(&d);
	p = first_request(&d);
	q = packet_keep(p);
	forge(&d, p, MAC);
	assert_silence(&d, p, "ike.rx.proof_wrong");
	/* Without, it is any caller. */
	forge(&d, q, SHORT);
	world_hand_over(d.w, q);
	assert_non_null(world_packet(d.w, 0));
	world_drop_all(d.w);
	packet_free(p);
	packet_free(q);
	duo_live(&d, 2000, 0);
	assert_true(duo_carries(&d));
	assert_true(duo_direct(&d));
	duo_done(&d);
}

/* ---- rounds ------------------------------------------------------------------------------- */

static void with_cookie(void **state)
{
	struct duo d;

	(void)state;
	duo_begin_as(&d, 40, NULL, demands_cookies);
	duo_add(&d);
	duo_call(&d);
	deliver(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(d.w, WIRE_N_COOKIE);
	deliver(d.w, d.c, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_notifies(d.w, WIRE_N_COOKIE);
	next_notifies(d.w, WIRE_N_SHORTCUT_PROOF);
	world_run(d.w);
	assert_true(duo_carries(&d));
	duo_done(&d);
}

static void other_groups(struct star_site *site)
{
	site->p->ike = test_conf_sa(site->c, WIRE_PROTO_IKE,
				    site->number == 1 ? "aes128gcm16-prfsha256-x25519-ecp256"
						      : "aes128gcm16-prfsha256-ecp256");
}

static void other_group(void **state)
{
	struct duo d;

	(void)state;
	duo_begin_as(&d, 41, open_hub, other_groups);
	duo_add(&d);
	duo_call(&d);
	deliver(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
	next_notifies(d.w, WIRE_N_INVALID_KE_PAYLOAD);
	assert_int_equal(ike_totals(d.c->ike).half_open, 0);
	deliver(d.w, d.c, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_notifies(d.w, WIRE_N_SHORTCUT_PROOF);
	world_run(d.w);
	assert_true(duo_carries(&d));
	duo_done(&d);
}

static void no_group(struct star_site *site)
{
	site->p->ike = test_conf_sa(site->c, WIRE_PROTO_IKE,
				    site->number == 1 ? "aes128gcm16-prfsha256-x25519"
						      : "aes128gcm16-prfsha256-ecp256");
}

/* Nothing in common: said by both ends. */
static void no_proposal(void **state)
{
	struct duo d;

	(void)state;
	duo_begin_as(&d, 42, open_hub, no_group);
	duo_add(&d);
	duo_call(&d);
	duo_live(&d, 6000, 0);
	says(d.c, IKE_EV_REFUSED, "x25519");
	says(d.c, IKE_EV_REFUSED, "ecp256");
	assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 1);
	says(d.b, IKE_EV_PARTNER_OVER, "NO_PROPOSAL_CHOSEN");
	duo_is_over(&d);
	duo_done(&d);
}

/* ---- replays ------------------------------------------------------------------------------ */

static struct packet *from(const struct packet *p, const char *address)
{
	struct packet *q = packet_keep(p);

	q->src.ip = test_ip(address);
	return q;
}

/* Sent again, from anywhere: at most one more half-open SA, and the true one comes up.  Then it is
 * good for nothing, and so it is when all has ended. */
static void replays(void **state)
{
	static const char *const at[] = { "203.0.113.1", "203.0.113.2", "203.0.113.3" };
	struct packet *p, *q[ARRAY_LEN(at)];
	struct duo d;

	(void)state;
	duo_begin(&d, 50);
	duo_add(&d);
	duo_call(&d);
	p = packet_keep(world_packet(d.w, 0));
	deliver(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		q[i] = from(p, at[i]);
		world_hand_over(d.w, q[i]);
		world_hand_over(d.w, q[i]);
	}
	assert_int_equal(ike_totals(d.c->ike).half_open, 2);
	/* The last two addresses, twice each. */
	assert_int_equal(node_counter(d.c, "ike.rx.proof_replayed"), 4);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_int_equal(ike_totals(d.c->ike).half_open, 0);
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		world_hand_over(d.w, q[i]);
	world_hand_over(d.w, p);
	assert_null(world_packet(d.w, 0));
	assert_int_equal(node_counter(d.c, "ike.rx.proof_replayed"), 8);
	assert_int_equal(ike_totals(d.c->ike).half_open, 0);
	assert_true(duo_direct(&d));
	assert_int_equal(node_command(d.b, IKE_CMD_DOWN, d.at_b), ST_OK);
	world_run(d.w);
	world_hand_over(d.w, p);
	assert_null(world_packet(d.w, 0));
	assert_int_equal(node_counter(d.c, "ike.rx.proof_replayed"), 9);
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		packet_free(q[i]);
	packet_free(p);
	duo_done(&d);
}

/* Replays were faster than the true request: it comes up all the same. */
static void overtaken(void **state)
{
	struct packet *p, *q;
	struct duo d;

	(void)state;
	duo_begin(&d, 51);
	duo_add(&d);
	duo_call(&d);
	p = packet_keep(world_packet(d.w, 0));
	q = from(p, "203.0.113.1");
	world_hand_over(d.w, q);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(duo_direct(&d));
	packet_free(p);
	packet_free(q);
	duo_done(&d);
}

/* Our own request comes back to us. */
static void reflected(void **state)
{
	struct packet *p;
	struct duo d;

	(void)state;
	duo_begin(&d, 52);
	duo_add(&d);
	duo_call(&d);
	p = packet_keep(world_packet(d.w, 0));
	p->src = duo_at(d.c);
	p->dst = duo_at(d.b);
	world_hand_over(d.w, p);
	assert_int_equal(node_counter(d.b, "ike.rx.proof_replayed"), 1);
	assert_int_equal(ike_totals(d.b->ike).half_open, 0);
	world_run(d.w);
	assert_true(duo_carries(&d));
	packet_free(p);
	duo_done(&d);
}

/* ---- who it is ---------------------------------------------------------------------------- */

/* What the two, and their hub, say. */
static void refused_at_once(struct duo *d, struct node *by, enum ike_reason why)
{
	struct node *other = by == d->b ? d->c : d->b;

	duo_live(d, 20000, 0);
	duo_over(by, why);
	assert_int_equal(node_events(other, IKE_EV_PARTNER_OVER), 1);
	assert_int_equal(node_events(d->b, IKE_EV_CARRIES) + node_events(d->c, IKE_EV_CARRIES), 0);
	duo_is_over(d);
	duo_drop(d);
	world_live(d->w, dur_s(60));
	assert_int_equal(node_sa(d->b).info.n_children, 1);
	assert_int_equal(node_sa(d->c).info.n_children, 1);
	duo_done(d);
}

static void refused_by(struct duo *d, struct node *by, enum ike_reason why)
{
	duo_call(d);
	refused_at_once(d, by, why);
}

/* R05: c expects somebody else than who calls, and b than who answers. */
static void other_identity(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 60);
	d.say_c.remote_id = test_conf_ident(d.c->conf, "site-3.example");
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_IDENTITY);
	duo_begin(&d, 61);
	d.say_b.remote_id = test_conf_ident(d.b->conf, "site-3.example");
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_IDENTITY); /* who is asked for another one */
	duo_begin(&d, 62);
	d.say_b.remote_id = d.say_c.local_id = test_conf_ident(d.b->conf, "site-3.example");
	duo_add(&d);
	/* c's certificate does not say so. */
	refused_by(&d, d.b, IKE_R_IDENTITY);
}

/* R05: names itself as it should, with a certificate of another member's or of the hub's. */
static void other_certificate(void **state)
{
	static const struct {
		crypto_ref key;
		const char *name;
	} rows[] = { { STAR_HUB_KEY + 3, "site-3.example" }, { STAR_HUB_KEY, "hub.example" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int at_b = 0; at_b < 2; at_b++) {
			struct test_conf *conf;
			struct node *thief;
			struct duo d;

			duo_begin(&d, 64 + i);
			thief = at_b ? d.b : d.c;
			conf = test_conf_copy(thief->conf);
			test_conf_cert_for(conf, &conf->peer[0], rows[i].key, STAR_CA, STAR_CA,
					   rows[i].name, (wall_t){ 0 },
					   (wall_t){ WORLD_WALL + 1000000 });
			node_reconfigure(thief, conf);
			duo_add(&d);
			duo_call(&d);
			duo_live(&d, 20000, 0);
			duo_over(at_b ? d.c : d.b, IKE_R_IDENTITY);
			assert_int_equal(node_events(thief, IKE_EV_PARTNER_OVER), 1);
			assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 0);
			duo_done(&d);
		}
	}
}

static void revoked(void **state)
{
	struct test_conf *conf;
	struct duo d;

	(void)state;
	duo_begin(&d, 68);
	conf = test_conf_copy(d.c->conf);
	test_conf_revoke(conf, &conf->peer[0], STAR_HUB_KEY + 1, STAR_CA);
	node_reconfigure(d.c, conf);
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_REVOKED);
}

/* ---- the key in common -------------------------------------------------------------------- */

static void other_ppk(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 70);
	d.say_b.ppk[7] ^= 1;
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_KEY);
}

/* Somebody on the way takes the offer of a PPK out: nothing comes of it. */
static void ppk_stripped(void **state)
{
	static const uint8_t use[] = { 0, 0, WIRE_N_USE_PPK >> 8, WIRE_N_USE_PPK & 0xff };
	struct duo d;

	(void)state;
	for (int answer = 0; answer < 2; answer++) {
		duo_begin(&d, 71);
		duo_add(&d);
		duo_call(&d);
		if (answer)
			deliver(d.w, d.b, WIRE_IKE_SA_INIT, REQUEST, 0);
		store_be16(find(world_packet(d.w, 0), use, sizeof(use)) + 2, 60000);
		refused_at_once(&d, d.b, IKE_R_KEY);
	}
}

/* The proof of a script in b's place. */
static void prove(struct script *s, const struct ike_partner *p, uint8_t data[48])
{
	uint8_t spi[8];
	struct bytes parts[2] = { bytes_of(s->nonce_i, s->n_nonce_i), BYTES_OF(spi) };

	store_be64(spi, s->spi_i);
	memcpy(data, p->id, 16);
	assert_int_equal(s->crypto.ops->prf(s->crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256,
					    BYTES_OF(p->proof_key), parts, 2, data + 16),
			 ST_OK);
	s->proof = bytes_of(data, 48);
}

/* One who knows the key of the proof, says that it is the partner, and proves it by a pre-shared
 * key. */
static void pre_shared_key(void **state)
{
	(void)state;
	for (int says_ppk = 0; says_ppk < 2; says_ppk++) {
		uint8_t data[48];
		struct script s;
		struct duo d;

		duo_begin(&d, 72 + (uint64_t)says_ppk);
		duo_add_c(&d);
		script_init(&s, d.w, "192.0.2.77", d.c, true);
		s.id = "site-1.example";
		s.use_ppk = says_ppk;
		script_prepare(&s);
		prove(&s, &d.say_c, data);
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		script_begin(&s, WIRE_IKE_AUTH, false);
		script_put_auth_request(&s);
		script_send(&s);
		assert_true(script_exchange(&s) && s.opened);
		assert_non_null(script_notify(&s, WIRE_N_AUTHENTICATION_FAILED));
		assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 1);
		assert_int_equal(d.c->n_children, 1);
		script_done(&s);
		world_live(d.w, dur_s(60));
		duo_done(&d);
	}
}

/* It calls again and again: no more than two half-open SAs. */
static void calls_again(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 75);
	duo_add_c(&d);
	for (unsigned i = 0; i < 20; i++) {
		uint8_t data[48];
		struct script s;
		char at[32];

		snprintf(at, sizeof(at), "192.0.2.%u", 77 + i);
		script_init(&s, d.w, at, d.c, true);
		s.use_ppk = true;
		script_prepare(&s);
		s.spi_i += i;
		s.nonce_i[0] = (uint8_t)i;
		prove(&s, &d.say_c, data);
		script_sa_init(&s);
		assert_true(script_exchange(&s));
		assert_int_equal(ike_totals(d.c->ike).half_open, i ? 2 : 1);
		script_done(&s);
	}
	assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), 0);
	duo_add_b(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_int_equal(ike_totals(d.c->ike).half_open, 0);
	duo_done(&d);
}

/* ---- prefixes ----------------------------------------------------------------------------- */

/* S1: b's certificate is for 10.1.0.0/16: more is refused, but for what c takes on the hub's word.
 */
static void prefixes_of_who_called(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 80);
	d.say_c.ts_remote = d.say_b.ts_local = test_conf_ts(d.c->conf, "10.3.0.0/16");
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_AUTHORISATION);

	duo_begin(&d, 81);
	d.say_c.ts_remote = d.say_c.ts_given = d.say_b.ts_local =
		test_conf_ts(d.c->conf, "10.3.0.0/16");
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(world_ping(d.w, d.b, "10.3.0.1", d.c, "10.2.0.1"));
	duo_done(&d);

	/* Part of it: what is left. */
	duo_begin(&d, 82);
	d.say_c.ts_remote = d.say_b.ts_local =
		test_conf_ts(d.c->conf, "10.1.0.0/16 10.3.0.0/16 10.4.0.0/16");
	d.say_c.ts_given = test_conf_ts(d.c->conf, "10.4.0.0/24");
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_int_equal(duo_child(d.c, d.at_c)->ts_remote.n, 2);
	assert_int_equal(duo_child(d.b, d.at_b)->ts_local.n, 2);
	assert_true(world_ping(d.w, d.b, "10.4.0.9", d.c, "10.2.0.1"));
	assert_false(world_ping(d.w, d.b, "10.3.0.1", d.c, "10.2.0.1"));
	duo_done(&d);

	/* What the hub did not suggest is not to be had, though the certificate has it. */
	duo_begin(&d, 83);
	d.say_c.ts_remote = test_conf_ts(d.c->conf, "10.1.7.0/24");
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(world_ping(d.w, d.b, "10.1.7.1", d.c, "10.2.0.1"));
	assert_false(world_ping(d.w, d.b, "10.1.8.1", d.c, "10.2.0.1"));
	duo_done(&d);
}

/* S1: c's certificate is for 10.2.0.0/16: b takes nothing else, and c hears that it has no child.
 */
static void prefixes_of_who_answers(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 85);
	d.say_b.ts_remote = d.say_c.ts_local = test_conf_ts(d.b->conf, "10.2.0.0/16 10.3.0.0/16");
	duo_add(&d);
	refused_by(&d, d.b, IKE_R_AUTHORISATION);

	duo_begin(&d, 86);
	d.say_b.ts_remote = d.say_c.ts_local = test_conf_ts(d.b->conf, "10.2.0.0/16 10.3.0.0/16");
	d.say_b.ts_given = test_conf_ts(d.b->conf, "10.3.0.0/16");
	duo_add(&d);
	duo_call(&d);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(world_ping(d.w, d.c, "10.3.0.1", d.b, "10.1.0.1"));
	duo_done(&d);
}

/* Nothing in common at all. */
static void no_selectors(void **state)
{
	struct duo d;

	(void)state;
	duo_begin(&d, 87);
	d.say_b.ts_remote = test_conf_ts(d.b->conf, "10.9.0.0/16");
	duo_add(&d);
	refused_by(&d, d.c, IKE_R_SELECTORS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_without_proof),
		cmocka_unit_test(nobody_waits),
		cmocka_unit_test(not_silent),
		cmocka_unit_test(with_cookie),
		cmocka_unit_test(other_group),
		cmocka_unit_test(no_proposal),
		cmocka_unit_test(replays),
		cmocka_unit_test(overtaken),
		cmocka_unit_test(reflected),
		cmocka_unit_test(other_identity),
		cmocka_unit_test(other_certificate),
		cmocka_unit_test(revoked),
		cmocka_unit_test(other_ppk),
		cmocka_unit_test(ppk_stripped),
		cmocka_unit_test(pre_shared_key),
		cmocka_unit_test(calls_again),
		cmocka_unit_test(prefixes_of_who_called),
		cmocka_unit_test(prefixes_of_who_answers),
		cmocka_unit_test(no_selectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
