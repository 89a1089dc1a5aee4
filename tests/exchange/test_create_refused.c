/* CREATE_CHILD_SA with a peer that asks for what cannot be, or answers what does not fit: which
 * error it gets, that the IKE SA lives on (RFC 7296 sections 1.3, 1.3.1), and what becomes of the
 * child (sections 2.7, 2.9.2, 2.25; S2). */
#include "exchange/exchange.h"
#include "ike/limits.h"
#include "policy/policy.h"

#define X25519 31
#define ECP256 19

/* What a CREATE_CHILD_SA message of the peer's consists of. */
struct terms {
	uint8_t proto;
	const char *words;
	size_t spi_len;
	uint64_t spi;
	uint16_t group; /* 0: no KE payload */
	size_t ke_len;
	const char *ts_i, *ts_r; /* NULL: none */
};

#define PFS "aes128gcm16-x25519"
#define IKE_PFS "aes128gcm16-prfsha256-x25519"
#define SITE_A "10.1.0.0/16"
#define SITE_B "10.2.0.0/16"

/* A child's algorithms, SPI, key exchange and selectors; an IKE SA's. */
#define esp(words, spi, group, n, ts_i, ts_r)                                                      \
	{                                                                                          \
		WIRE_PROTO_ESP, words, 4, spi, group, n, ts_i, ts_r                                \
	}
#define ike(words, spi, group, n)                                                                  \
	{                                                                                          \
		WIRE_PROTO_IKE, words, 8, spi, group, n, NULL, NULL                                \
	}
#define GOOD esp(PFS, 0x5000, X25519, 32, SITE_A, SITE_B)
#define GOOD_IKE ike(IKE_PFS, 0x6000, X25519, 32)

static void put_terms(struct script *s, const struct terms *t)
{
	static const uint8_t nonce[32] = { 7 };
	uint8_t ke[256], spi[8];
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct wire_proposal p;
	struct wire_sa sa = { &p, 1 };

	assert_int_equal(policy_proposal_parse(&s->mem, t->proto, t->words, &why, &p), ST_OK);
	store_be64(spi, t->spi << (64 - 8 * t->spi_len));
	p.spi = bytes_of(spi, t->spi_len);
	wire_put_sa(&s->out, &sa);
	wire_put_nonce(&s->out, BYTES_OF(nonce));
	memset(ke, 0, sizeof(ke));
	memcpy(ke, s->pub, s->n_pub);
	if (t->group)
		wire_put_ke(&s->out, t->group, bytes_of(ke, t->ke_len));
	if (t->ts_i)
		script_put_ts(s, t->ts_i, t->ts_r);
}

/* Notifies of the message taken last. */
static bool has_no_error(const struct script *s)
{
	return wire_find_error(&s->in) == NULL;
}

/* ---- the peer asks ------------------------------------------------------------------------- */

struct request {
	struct terms terms;
	uint16_t error; /* 0: granted */
	uint16_t data; /* of it */
	const char *counter;
	uint32_t rekeys; /* SPI of a child to be replaced */
};

static const struct request requests[] = {
	{ .terms = esp(PFS, 0x5000, X25519, 32, SITE_A, SITE_B) },
	/* algorithms */
	{ .terms = esp("aes256gcm16-x25519", 0x5000, X25519, 32, SITE_A, SITE_B),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.proposal" },
	/* 1 to 255 are reserved (RFC 4303 section 2.1) */
	{ .terms = esp(PFS, 255, X25519, 32, SITE_A, SITE_B),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.proposal" },
	/* section 1.3: the method that we would take */
	{ .terms = esp(PFS, 0x5000, 0, 32, SITE_A, SITE_B),
	  .error = WIRE_N_INVALID_KE_PAYLOAD,
	  .data = X25519,
	  .counter = "ike.refused.key_exchange" },
	{ .terms = esp(PFS, 0x5000, ECP256, 64, SITE_A, SITE_B),
	  .error = WIRE_N_INVALID_KE_PAYLOAD,
	  .data = X25519,
	  .counter = "ike.refused.key_exchange" },
	{ .terms = esp(PFS, 0x5000, X25519, 31, SITE_A, SITE_B),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.key_exchange" },
	{ .terms = esp(PFS, 0x5000, X25519, 32, "10.9.0.0/16", SITE_B),
	  .error = WIRE_N_TS_UNACCEPTABLE,
	  .counter = "ike.refused.selectors" },
	{ .terms = esp(PFS, 0x5000, X25519, 32, SITE_A, "10.9.0.0/16"),
	  .error = WIRE_N_TS_UNACCEPTABLE,
	  .counter = "ike.refused.selectors" },
	/* section 2.25 */
	{ .terms = esp(PFS, 0x5000, X25519, 32, SITE_A, SITE_B),
	  .error = WIRE_N_CHILD_SA_NOT_FOUND,
	  .counter = "ike.refused.child_not_found",
	  .rekeys = 0x77777777 },
	/* the IKE SA */
	{ .terms = ike("aes256gcm16-prfsha512-x25519", 0x6000, X25519, 32),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.proposal" },
	{ .terms = ike(IKE_PFS, 0, X25519, 32),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.proposal" },
	{ .terms = ike(IKE_PFS, 0x6000, 0, 32),
	  .error = WIRE_N_INVALID_KE_PAYLOAD,
	  .data = X25519,
	  .counter = "ike.refused.key_exchange" },
	{ .terms = ike(IKE_PFS, 0x6000, X25519, 33),
	  .error = WIRE_N_NO_PROPOSAL_CHOSEN,
	  .counter = "ike.refused.key_exchange" },
};

static void with_pfs(struct pair *p)
{
	p->pa->esp = test_conf_sa(p->ca, WIRE_PROTO_ESP, "aes128gcm16-x25519-ecp256");
	p->pb->esp = test_conf_sa(p->cb, WIRE_PROTO_ESP, "aes128gcm16-x25519");
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519-ecp256");
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
}

/* The script calls b, which is up then. */
static void connected(struct pair *p, struct script *s)
{
	with_pfs(p);
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	s->esp = "aes128gcm16";
	script_connect(s);
	assert_int_equal(p->b->n_children, 1);
}

static void ask(struct script *s, const struct terms *t, uint32_t rekeys)
{
	uint8_t spi[4];

	script_begin(s, WIRE_CREATE_CHILD_SA, false);
	store_be32(spi, rekeys);
	if (rekeys)
		wire_put_notify(&s->out, WIRE_PROTO_ESP, BYTES_OF(spi), WIRE_N_REKEY_SA,
				bytes_of(NULL, 0));
	put_terms(s, t);
	script_send(s);
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_CREATE_CHILD_SA);
}

/* A refusal changes nothing: another request, which is good, is granted. */
static void peer_asks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		static const struct terms good = esp(PFS, 0x5001, X25519, 32, SITE_A, SITE_B);
		const struct request *r = &requests[i];
		const struct wire_notify *n;
		struct script s;
		struct pair p;

		pair_init(&p, 970 + i);
		connected(&p, &s);
		ask(&s, &r->terms, r->rekeys);
		n = wire_find_error(&s.in);
		assert_int_equal(n ? n->type : 0, r->error);
		assert_int_equal(p.b->n_children, r->error ? 1 : 2);
		if (r->data)
			assert_int_equal(load_be16(n->data.p), r->data);
		if (r->counter)
			assert_int_equal(node_counter(p.b, r->counter), 1);
		/* section 2.25: the SPI in the notify is that of the request */
		if (r->rekeys)
			assert_int_equal(load_be32(n->spi.p), r->rekeys);
		assert_true(node_sa(p.b).info.established);
		ask(&s, &good, 0);
		assert_true(has_no_error(&s));
		assert_int_equal(p.b->n_children, r->error ? 2 : 3);
		script_done(&s);
		pair_done(&p);
	}
}

/* Section 1.3: who has as many as it is willing to says NO_ADDITIONAL_SAS; to replace one is no
 * additional one. */
static void as_many_as_there_may_be(void **state)
{
	struct pair *p = *state;
	struct terms t = esp(PFS, 0x5000, X25519, 32, SITE_A, SITE_B);
	struct script s;

	connected(p, &s);
	for (unsigned i = 1; i < IKE_MAX_CHILDREN; i++, t.spi++) {
		ask(&s, &t, 0);
		assert_true(has_no_error(&s));
	}
	assert_int_equal(p->b->n_children, IKE_MAX_CHILDREN);
	ask(&s, &t, 0);
	assert_non_null(script_notify(&s, WIRE_N_NO_ADDITIONAL_SAS));
	assert_int_equal(node_counter(p->b, "ike.refused.no_additional_sas"), 1);
	says(p->b, IKE_EV_REFUSED, "as many children");
	ask(&s, &t, s.spi_esp);
	assert_true(has_no_error(&s));
	script_done(&s);
}

/* A child without selectors is none: malformed, as RFC 7296 section 1.3.1 has them mandatory. */
static void without_selectors(void **state)
{
	static const struct terms none = esp(PFS, 0x5000, X25519, 32, NULL, SITE_B);
	struct pair *p = *state;
	struct script s;

	connected(p, &s);
	ask(&s, &none, 0);
	assert_non_null(script_notify(&s, WIRE_N_INVALID_SYNTAX));
	assert_int_equal(node_counter(p->b, "ike.rx.payloads"), 1);
	script_done(&s);
	world_live(p->w, dur_s(200));
}

/* Section 2.25.2: who is about to end the SA begins nothing else in it. */
static void not_now(void **state)
{
	static const struct terms all[] = { GOOD, GOOD_IKE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct script s;
		struct pair p;

		pair_init(&p, 990 + i);
		connected(&p, &s);
		connect_down(p.b);
		world_drop_all(p.w);
		ask(&s, &all[i], 0);
		assert_non_null(script_notify(&s, WIRE_N_TEMPORARY_FAILURE));
		assert_int_equal(p.b->n_children, 0);
		script_done(&s);
		world_live(p.w, dur_s(300));
		assert_true(node_is_down(p.b));
		pair_done(&p);
	}
}

/* ---- the peer answers ---------------------------------------------------------------------- */

/* a calls the script, which gives it a child. */
static void called(struct pair *p, struct script *s)
{
	with_pfs(p);
	script_asked_for_auth(p, s);
	s->esp = "aes128gcm16";
	script_answer_auth(s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
	assert_int_equal(p->a->n_children, 1);
	world_drop_all(p->w);
}

static void wants(struct pair *p, struct script *s, enum ike_cmd_kind kind)
{
	assert_int_equal(node_command(p->a, kind, PAIR_PEER), ST_OK);
	assert_true(script_take(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_CREATE_CHILD_SA);
}

/* Both, up to the payloads of the answer. Returns the SPI of the child that there is. */
static uint32_t called_and_asked(struct pair *p, struct script *s, uint64_t seed,
				 enum ike_cmd_kind kind)
{
	uint32_t spi;

	pair_init(p, seed);
	called(p, s);
	spi = node_child(p->a)->spi_in;
	wants(p, s, kind);
	script_begin(s, WIRE_CREATE_CHILD_SA, true);
	return spi;
}

/* An error about a child has its SPI (section 3.10). */
static void put_error(struct script *s, uint16_t type, struct bytes data)
{
	uint8_t spi[4] = { 0, 0, 0x70, 0 };
	bool about_child = type == WIRE_N_CHILD_SA_NOT_FOUND;

	wire_put_notify(&s->out, about_child ? WIRE_PROTO_ESP : WIRE_PROTO_NONE,
			bytes_of(spi, about_child ? 4 : 0), type, data);
}

static void answer(struct pair *p, struct script *s)
{
	script_send(s);
	world_deliver(p->w, world_packet_to(p->w, p->a));
}

struct refusal {
	enum ike_cmd_kind kind;
	uint16_t notify;
	size_t n_data;
	uint16_t data;
	const char *says; /* NULL: it is asked again, at once or later, without a word */
	const char *counter;
};

static const struct refusal refusals[] = {
	{ IKE_CMD_REKEY_CHILD, WIRE_N_NO_ADDITIONAL_SAS, 0, 0, "NO_ADDITIONAL_SAS",
	  "ike.refused.by_peer" },
	{ IKE_CMD_NEW_CHILD, WIRE_N_NO_ADDITIONAL_SAS, 0, 0, "NO_ADDITIONAL_SAS",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_SA, WIRE_N_NO_ADDITIONAL_SAS, 0, 0, "we asked for to rekey the IKE SA",
	  "ike.refused.by_peer" },
	{ IKE_CMD_NEW_CHILD, WIRE_N_TS_UNACCEPTABLE, 0, 0, "we asked for another child",
	  "ike.refused.by_peer" },
	{ IKE_CMD_NEW_CHILD, WIRE_N_CHILD_SA_NOT_FOUND, 0, 0, "CHILD_SA_NOT_FOUND",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_SA, WIRE_N_CHILD_SA_NOT_FOUND, 0, 0, "CHILD_SA_NOT_FOUND",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_SA, 9999, 0, 0, "error 9999", "ike.refused.by_peer" },
	/* section 1.3: only a method that was offered, each once */
	{ IKE_CMD_REKEY_CHILD, WIRE_N_INVALID_KE_PAYLOAD, 2, 0, "INVALID_KE_PAYLOAD",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_CHILD, WIRE_N_INVALID_KE_PAYLOAD, 2, 99, "INVALID_KE_PAYLOAD",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_CHILD, WIRE_N_INVALID_KE_PAYLOAD, 2, 14, "INVALID_KE_PAYLOAD",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_SA, WIRE_N_INVALID_KE_PAYLOAD, 2, X25519, "INVALID_KE_PAYLOAD",
	  "ike.refused.by_peer" },
	{ IKE_CMD_REKEY_CHILD, WIRE_N_INVALID_KE_PAYLOAD, 2, ECP256, NULL, "ike.other_group" },
	{ IKE_CMD_REKEY_SA, WIRE_N_INVALID_KE_PAYLOAD, 2, ECP256, NULL, "ike.other_group" },
	{ IKE_CMD_REKEY_CHILD, WIRE_N_TEMPORARY_FAILURE, 0, 0, NULL,
	  "ike.refused.by_peer_temporary" },
	{ IKE_CMD_REKEY_SA, WIRE_N_TEMPORARY_FAILURE, 0, 0, NULL, "ike.refused.by_peer_temporary" },
};

/* Section 1.3: none of them ends the IKE SA, or the child in use. */
static void peer_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct script s;
		struct pair p;
		uint8_t data[2];
		uint32_t spi;

		spi = called_and_asked(&p, &s, 1000 + i, r->kind);
		store_be16(data, r->data);
		put_error(&s, r->notify, bytes_of(data, r->n_data));
		answer(&p, &s);
		assert_int_equal(node_events(p.a, IKE_EV_REFUSED), r->says != NULL);
		if (r->says)
			says(p.a, IKE_EV_REFUSED, r->says);
		assert_int_equal(node_counter(p.a, r->counter), 1);
		assert_true(node_sa(p.a).info.established);
		assert_int_equal(node_child(p.a)->spi_in, spi);
		script_done(&s);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

/* Section 2.25: the child is gone there, so nothing is sent about it; another one from scratch. */
static void child_not_found(void **state)
{
	struct pair *p = *state;
	struct script s;

	called(p, &s);
	wants(p, &s, IKE_CMD_REKEY_CHILD);
	script_begin(&s, WIRE_CREATE_CHILD_SA, true);
	put_error(&s, WIRE_N_CHILD_SA_NOT_FOUND, bytes_of(NULL, 0));
	answer(p, &s);
	assert_int_equal(p->a->n_children, 0);
	says(p->a, IKE_EV_CHILD_DOWN, "does not know it any more");
	assert_int_equal(node_counter(p->a, "ike.refused.by_peer_child_not_found"), 1);
	assert_true(script_take(&s) && s.opened);
	assert_int_equal(packet_exchange(s.packet), WIRE_CREATE_CHILD_SA);
	assert_null(script_notify(&s, WIRE_N_REKEY_SA));
	assert_true(s.in.present & WIRE_BIT(WIRE_P_TSI));
	script_done(&s);
}

/* Section 2.25: TEMPORARY_FAILURE is not for ever. Whoever is to be up is called anew. */
static void temporary_for_ever(void **state)
{
	(void)state;
	for (int up = 0; up < 2; up++) {
		struct script s;
		struct pair p;
		unsigned asked = 0;

		pair_init(&p, 1040 + (unsigned)up);
		if (up)
			p.pa->start = IKE_START_UP;
		called(&p, &s);
		assert_int_equal(node_command(p.a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		while (!node_event(p.a, IKE_EV_REFUSED)) {
			if (!script_take(&s)) {
				assert_true(world_timer(p.w));
				continue;
			}
			assert_int_equal(packet_exchange(s.packet), WIRE_CREATE_CHILD_SA);
			assert_in_range(++asked, 1, 100);
			script_begin(&s, WIRE_CREATE_CHILD_SA, true);
			put_error(&s, WIRE_N_TEMPORARY_FAILURE, bytes_of(NULL, 0));
			answer(&p, &s);
		}
		assert_true(asked > 2);
		says(p.a, IKE_EV_REFUSED, "nothing but TEMPORARY_FAILURE");
		assert_int_equal(p.a->n_children, 0);
		assert_int_equal(node_events(p.a, IKE_EV_CONNECTING), 1 + up);
		script_done(&s);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

struct misfit {
	enum ike_cmd_kind kind;
	struct terms terms;
	enum ike_reason reason;
	const char *says;
};

static const struct misfit misfits[] = {
	{ IKE_CMD_NEW_CHILD, esp("aes256gcm16-x25519", 0x5000, X25519, 32, SITE_A, SITE_B),
	  IKE_R_ESP_PROPOSAL, "offered" },
	{ IKE_CMD_NEW_CHILD, esp(PFS, 1, X25519, 32, SITE_A, SITE_B), IKE_R_ESP_PROPOSAL,
	  "its SPI is not one" },
	/* section 2.9: a subset of what was asked for, and not nothing */
	{ IKE_CMD_NEW_CHILD, esp(PFS, 0x5000, X25519, 32, "10.0.0.0/8", SITE_B), IKE_R_SELECTORS,
	  "not within ours" },
	{ IKE_CMD_REKEY_CHILD, esp(PFS, 0x5000, X25519, 32, SITE_A, "10.0.0.0/8"), IKE_R_SELECTORS,
	  "not within ours" },
	{ IKE_CMD_NEW_CHILD, esp(PFS, 0x5000, X25519, 32, NULL, SITE_B), IKE_R_SELECTORS,
	  "not within ours" },
	/* section 1.3.1: KEr is of the group of KEi, and is there when SAr2 says so */
	{ IKE_CMD_NEW_CHILD, esp(PFS, 0x5000, 0, 32, SITE_A, SITE_B), IKE_R_KEY_EXCHANGE,
	  "key exchange method" },
	{ IKE_CMD_NEW_CHILD, esp("aes128gcm16-ecp256", 0x5000, X25519, 32, SITE_A, SITE_B),
	  IKE_R_KEY_EXCHANGE, "method 19" },
	{ IKE_CMD_REKEY_CHILD, esp(PFS, 0x5000, ECP256, 64, SITE_A, SITE_B), IKE_R_KEY_EXCHANGE,
	  "64 bytes of 19 to our 31" },
	{ IKE_CMD_REKEY_CHILD, esp(PFS, 0x5000, X25519, 31, SITE_A, SITE_B), IKE_R_KEY_EXCHANGE,
	  "31 bytes" },
	{ IKE_CMD_REKEY_SA, ike("aes256gcm16-prfsha256-x25519", 0x6000, X25519, 32), IKE_R_PROPOSAL,
	  "does not fit" },
	{ IKE_CMD_REKEY_SA, ike(IKE_PFS, 0, X25519, 32), IKE_R_PROPOSAL, "its SPI is not one" },
	{ IKE_CMD_REKEY_SA, ike(IKE_PFS, 0x6000, 0, 32), IKE_R_KEY_EXCHANGE,
	  "key exchange method" },
	{ IKE_CMD_REKEY_SA, ike(IKE_PFS, 0x6000, X25519, 30), IKE_R_KEY_EXCHANGE, "30 bytes" },
};

/* What we cannot use the peer is told to delete: the child it made, or an IKE SA to which it may
 * have moved everything, and then the old one goes. */
static void answer_does_not_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(misfits); i++) {
		const struct misfit *m = &misfits[i];
		bool whole = m->kind == IKE_CMD_REKEY_SA;
		struct script s;
		struct pair p;
		uint32_t spi;

		spi = called_and_asked(&p, &s, 1060 + i, m->kind);
		put_terms(&s, &m->terms);
		answer(&p, &s);
		because(p.a, IKE_EV_REFUSED, m->reason);
		says(p.a, IKE_EV_REFUSED, m->says);
		assert_true(script_take(&s) && s.opened);
		assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
		assert_int_equal(s.in.n_deletes, 1);
		assert_int_equal(s.in.deletes[0].proto, whole ? WIRE_PROTO_IKE : WIRE_PROTO_ESP);
		if (!whole)
			assert_int_equal(node_child(p.a)->spi_in, spi);
		assert_int_equal(p.a->n_children, !whole);
		script_done(&s);
		world_drop_all(p.w);
		pair_done(&p);
	}
}

/* ---- single SAs and children ----------------------------------------------------------------- */

static bool note_id(void *ctx, const struct ike_child_info *c)
{
	*(dp_child_id *)ctx = c->id;
	return false;
}

/* By number, as `warren rekey` and `warren down` name them: that one, and none that is not. */
static void by_number(void **state)
{
	struct pair *p = *state;
	struct ike_cmd cmd = { .kind = IKE_CMD_REKEY_CHILD };
	struct node_sa sa;

	pair_up(p);
	sa = node_sa(p->a);
	ike_each_child(p->a->ike, p->w->now, &sa.info, note_id, &cmd.child);
	assert_int_equal(node_cmd(p->a, &cmd), ST_OK);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.child.rekeyed"), 1);
	/* It is another one now. */
	assert_int_equal(node_cmd(p->a, &cmd), ST_INVAL);
	cmd = (struct ike_cmd){ .kind = IKE_CMD_REKEY_SA, .sa = sa.info.id };
	assert_int_equal(node_cmd(p->a, &cmd), ST_OK);
	world_run(p->w);
	assert_int_equal(node_counter(p->a, "ike.sa.rekeyed"), 1);
	assert_int_equal(node_cmd(p->a, &cmd), ST_INVAL);
	cmd.sa = 999999;
	assert_int_equal(node_cmd(p->a, &cmd), ST_INVAL);
	cmd = (struct ike_cmd){ .kind = IKE_CMD_DOWN_SA, .sa = node_sa(p->a).info.id };
	assert_int_equal(node_cmd(p->a, &cmd), ST_OK);
	world_live(p->w, dur_s(300));
	assert_true(pair_is_down(p));
	/* No IKE SA that a child could be made in. */
	assert_int_equal(node_command(p->a, IKE_CMD_NEW_CHILD, PAIR_PEER), ST_INVAL);
	assert_int_equal(node_command(p->a, IKE_CMD_NEW_CHILD, 77), ST_INVAL);
	assert_int_equal(node_command(p->a, IKE_CMD_DOWN, 77), ST_INVAL);
	assert_int_equal(node_command(p->a, IKE_CMD_UP, 77), ST_INVAL);
	assert_int_equal(node_command(p->a, (enum ike_cmd_kind)99, PAIR_PEER), ST_INVAL);
}

/* What the data plane says of a child that is going already changes nothing about why. */
static void limit_of_one_that_goes(void **state)
{
	struct dp_report r = { .kind = DP_REPORT_EXPIRE };
	struct ike_cmd cmd = { .kind = IKE_CMD_DOWN_CHILD };
	struct pair *p = *state;
	struct node_sa sa;

	pair_up(p);
	sa = node_sa(p->a);
	ike_each_child(p->a->ike, p->w->now, &sa.info, note_id, &cmd.child);
	assert_int_equal(node_cmd(p->a, &cmd), ST_OK);
	r.u.expire.id = cmd.child;
	for (int hard = 0; hard < 2; hard++) {
		r.u.expire.hard = hard;
		node_report(p->a, &r);
	}
	assert_int_equal(node_counter(p->a, "ike.child.expired"), 0);
	world_run(p->w);
	says(p->a, IKE_EV_CHILD_DOWN, "operator");
	assert_int_equal(p->a->n_children + p->b->n_children, 0);
	cmd.child = 999999;
	assert_int_equal(node_cmd(p->a, &cmd), ST_INVAL);
}

/* A hub cannot ask for a child of its members' wishes. */
static void no_child_from_a_hub(void **state)
{
	struct pair *p = *state;

	pair_network(p);
	pair_up(p);
	assert_int_equal(node_command(p->b, IKE_CMD_NEW_CHILD, PAIR_PEER), ST_INVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_asks),
		pair_test(as_many_as_there_may_be),
		pair_test(without_selectors),
		cmocka_unit_test(not_now),
		cmocka_unit_test(peer_refuses),
		pair_test(child_not_found),
		cmocka_unit_test(temporary_for_ever),
		cmocka_unit_test(answer_does_not_fit),
		pair_test(by_number),
		pair_test(limit_of_one_that_goes),
		pair_test(no_child_from_a_hub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
