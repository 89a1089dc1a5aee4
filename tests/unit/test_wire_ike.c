/*
 * The IKE codec: messages computed by hand from the figures of RFC 7296 section 3, in both
 * directions, and the framing of SK and SKF.  What must be refused is in test_wire_ike_bad.c.
 */
#include "wire_ike_util.h"

#define TS4 "07 00 0010 0000 ffff 0a010000 0a01ffff"
#define KEY20 "0000000000000000000000000000000000000000"

static const struct wire_transform init_transforms[] = {
	{ WIRE_T_ENCR, 20, 256, false }, { WIRE_T_PRF, 5, 0, false },
	{ WIRE_T_KE, 31, 0, false },     { WIRE_T_KE, 19, 0, false },
	{ WIRE_T_ENCR, 20, 128, false }, { WIRE_T_PRF, 6, 0, false },
	{ WIRE_T_KE, 20, 0, false },
};

static const struct wire_proposal init_proposals[] = {
	{ 1, WIRE_PROTO_IKE, { NULL, 0 }, init_transforms, 4 },
	{ 2, WIRE_PROTO_IKE, { NULL, 0 }, init_transforms + 4, 3 },
};

static void assert_transform(const struct wire_transform *a, const struct wire_transform *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->key_bits, b->key_bits);
	assert_int_equal(a->unknown_attribute, b->unknown_attribute);
}

static void assert_sa(const struct wire_sa *a, const struct wire_sa *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < b->n; i++) {
		const struct wire_proposal *p = &a->proposals[i];
		const struct wire_proposal *q = &b->proposals[i];

		assert_int_equal(p->number, q->number);
		assert_int_equal(p->proto, q->proto);
		assert_bytes(p->spi, q->spi);
		assert_int_equal(p->n_transforms, q->n_transforms);
		for (size_t j = 0; j < q->n_transforms; j++)
			assert_transform(&p->transforms[j], &q->transforms[j]);
	}
}

static void assert_notify(const struct wire_notify *n, uint8_t proto, const char *spi,
			  uint16_t type, const char *data)
{
	assert_non_null(n);
	assert_int_equal(n->proto, proto);
	assert_int_equal(n->type, type);
	assert_hex(n->spi, spi);
	assert_hex(n->data, data);
}

static void assert_init_header(const struct wire_hdr *h)
{
	assert_true(h->spi_i == 0x0102030405060708);
	assert_true(h->spi_r == 0);
	assert_int_equal(h->next, WIRE_P_SA);
	assert_int_equal(h->version, WIRE_IKE_VERSION);
	assert_int_equal(h->exchange, WIRE_IKE_SA_INIT);
	assert_int_equal(h->flags, WIRE_FLAG_INITIATOR);
	assert_int_equal(h->msgid, 0);
	assert_int_equal(h->length, 250);
}

static void decodes_header(void **state)
{
	struct wire_ike_msg m;
	struct wire_hdr h;
	enum wire_fault fault = WIRE_OK;
	struct bytes b = hex(init_request);

	(void)state;
	assert_int_equal(wire_ike_parse_hdr(b, &h, &fault), ST_OK);
	assert_init_header(&h);
	parse_ok(b, &m);
	assert_init_header(&m.hdr);
	assert_bytes(m.raw, b);
}

static void decodes_init_request(void **state)
{
	const struct wire_sa want = { init_proposals, 2 };
	struct wire_ike_msg m;
	const struct wire_payloads *p = &m.clear;

	(void)state;
	parse_ok(hex(init_request), &m);
	assert_false(m.encrypted);
	assert_true(p->present ==
		    (WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_KE) | WIRE_BIT(WIRE_P_NONCE) |
		     WIRE_BIT(WIRE_P_NOTIFY) | WIRE_BIT(WIRE_P_VENDOR)));
	assert_int_equal(p->unknown_critical, 0);
	assert_sa(&p->sa, &want);
	assert_int_equal(p->ke.group, 31);
	assert_hex(p->ke.data, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	assert_hex(p->nonce, "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
	assert_int_equal(p->n_notifies, 3);
	assert_notify(&p->notifies[0], 0, "", WIRE_N_NAT_DETECTION_SOURCE_IP,
		      "1111111111111111111111111111111111111111");
	assert_notify(&p->notifies[1], 0, "", WIRE_N_NAT_DETECTION_DESTINATION_IP,
		      "2222222222222222222222222222222222222222");
	assert_notify(wire_find_notify(p, WIRE_N_SIGNATURE_HASH_ALGORITHMS), 0, "", 16431,
		      "000200030004");
	assert_null(wire_find_notify(p, WIRE_N_COOKIE));
	assert_null(wire_find_error(p));
	assert_int_equal(p->n_vendors, 1);
	assert_hex(p->vendors[0], "deadbeef");
}

static void write_init_request(struct wire_out *o, void *buf, size_t cap)
{
	const struct wire_hdr h = { .spi_i = 0x0102030405060708,
				    .next = 99, /* the writer's business, as is the length */
				    .version = WIRE_IKE_VERSION,
				    .exchange = WIRE_IKE_SA_INIT,
				    .flags = WIRE_FLAG_INITIATOR,
				    .length = 99 };
	const struct wire_sa sa = { init_proposals, 2 };
	const struct bytes none = { NULL, 0 };

	wire_ike_begin(o, buf, cap, &h);
	wire_put_sa(o, &sa);
	wire_put_ke(o, 31, hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
	wire_put_nonce(o, hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"));
	wire_put_notify(o, 0, none, WIRE_N_NAT_DETECTION_SOURCE_IP,
			hex("1111111111111111111111111111111111111111"));
	wire_put_notify(o, 0, none, WIRE_N_NAT_DETECTION_DESTINATION_IP,
			hex("2222222222222222222222222222222222222222"));
	wire_put_notify(o, 0, none, WIRE_N_SIGNATURE_HASH_ALGORITHMS, hex("000200030004"));
	wire_put_vendor(o, hex("deadbeef"));
	for (int i = 0; i < 6; i++)
		drop_last_held();
}

static void encodes_init_request(void **state)
{
	struct bytes want = hex(init_request);
	struct wire_out o;
	uint8_t buf[512];
	struct bytes got;

	(void)state;
	write_init_request(&o, buf, sizeof(buf));
	assert_int_equal(wire_ike_end(&o, &got), ST_OK);
	assert_bytes(got, want);
}

/* Whatever does not fit is found at the end, and nothing is written past the buffer. */
static void writer_stays_in_its_buffer(void **state)
{
	struct wire_out o;
	struct bytes got = { NULL, 0 };

	(void)state;
	for (size_t cap = 0; cap < 250; cap++) {
		uint8_t *buf = hold(cap);

		write_init_request(&o, buf, cap);
		assert_int_equal(wire_ike_end(&o, &got), ST_NOMEM);
		assert_null(got.p);
		drop_last_held();
	}
}

static void a_message_may_be_empty(void **state)
{
	struct bytes b = hex("0102030405060708 1112131415161718 00 20 25 20 00000007 0000001c");
	struct wire_ike_msg m;

	(void)state;
	parse_ok(b, &m);
	assert_true(m.clear.present == 0);
	assert_false(m.encrypted);
	assert_int_equal(m.hdr.flags, WIRE_FLAG_RESPONSE);
	assert_int_equal(m.hdr.msgid, 7);
}

static void decodes_identities_and_auth(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_IDI, hex(auth_request), &p);
	assert_int_equal(p.id_i.type, WIRE_ID_FQDN);
	assert_bytes(p.id_i.data, bytes_str("a.example"));
	assert_hex(p.id_i.body, "02000000 612e6578616d706c65");
	assert_int_equal(p.id_r.type, WIRE_ID_IPV4);
	assert_hex(p.id_r.data, "c0000201");
	assert_hex(p.id_r.body, "01000000 c0000201");
	assert_int_equal(p.auth.method, WIRE_AUTH_SIGNATURE);
	assert_hex(p.auth.data, "aabbccdd");
	assert_int_equal(p.n_certs, 1);
	assert_int_equal(p.certs[0].encoding, WIRE_CERT_X509);
	assert_hex(p.certs[0].data, "3003020105");
	assert_int_equal(p.n_certreqs, 1);
	assert_int_equal(p.certreqs[0].encoding, WIRE_CERT_X509);
	assert_hex(p.certreqs[0].data, "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3");
}

static void assert_ts(const struct wire_ts *ts, uint8_t proto, unsigned from, unsigned to,
		      const char *start, const char *end)
{
	struct ip a;
	struct ip b;

	assert_int_equal(ip_parse(start, &a), ST_OK);
	assert_int_equal(ip_parse(end, &b), ST_OK);
	assert_int_equal(ts->proto, proto);
	assert_int_equal(ts->port_start, from);
	assert_int_equal(ts->port_end, to);
	assert_true(ip_eq(&ts->start, &a));
	assert_true(ip_eq(&ts->end, &b));
}

static void decodes_child_sa(void **state)
{
	static const struct wire_transform ts[] = { { WIRE_T_ENCR, 20, 128, false },
						    { WIRE_T_ESN, 0, 0, false } };
	static const uint8_t spi[] = { 0xc1, 0xc2, 0xc3, 0xc4 };
	const struct wire_proposal want[] = { { 1, WIRE_PROTO_ESP, BYTES_OF(spi), ts, 2 } };
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_IDI, hex(auth_request), &p);
	assert_sa(&p.sa, &(const struct wire_sa){ want, 1 });
	assert_int_equal(p.ts_i.n, 2);
	assert_int_equal(p.ts_i.unknown, 0);
	assert_ts(&p.ts_i.ts[0], 0, 0, 65535, "10.1.0.0", "10.1.255.255");
	assert_ts(&p.ts_i.ts[1], 6, 443, 443, "2001:db8::", "2001:db8::ffff");
	assert_int_equal(p.ts_r.n, 1);
	assert_int_equal(p.ts_r.unknown, 1);
	assert_ts(&p.ts_r.ts[0], 17, 65535, 0, "10.0.0.0", "10.255.255.255");
}

static void decodes_the_other_payloads(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_IDI, hex(auth_request), &p);
	assert_int_equal(p.cp.type, 1);
	assert_hex(p.cp.attributes, "0001 0000 0003 0004 0a000001");
	assert_int_equal(p.n_notifies, 2);
	assert_notify(&p.notifies[0], 0, "", WIRE_N_INITIAL_CONTACT, "");
	assert_notify(&p.notifies[1], WIRE_PROTO_ESP, "b1b2b3b4", WIRE_N_REKEY_SA, "");
	assert_int_equal(p.n_deletes, 1);
	assert_int_equal(p.deletes[0].proto, WIRE_PROTO_ESP);
	assert_int_equal(p.deletes[0].spi_len, 4);
	assert_hex(p.deletes[0].spis, "d1d2d3d4 e1e2e3e4");
	assert_hex(p.eap, "01 07 0006 01 41");
	assert_int_equal(p.n_vendors, 1);
	assert_int_equal(p.vendors[0].n, 0);
	assert_int_equal(p.unknown_critical, 129);
}

/* RFC 8019 section 8: N(PUZZLE) for PRF_HMAC_SHA2_256 and 18 bits; PS with the keys of the
 * example of section 4.4. */
static void puzzle_payloads(void **state)
{
	static const char want[] = HDR_TO "29 20 22 20 00000000 0000003b"
					  "36 00 000b 00 00 4032 0005 12"
					  "2b 00 0010 061840 073324 0c8a2a 0d94c8"
					  "00 00 0004";
	const struct wire_hdr h = { .spi_i = 0x0102030405060708,
				    .spi_r = 0x1112131415161718,
				    .version = WIRE_IKE_VERSION,
				    .exchange = WIRE_IKE_SA_INIT,
				    .flags = WIRE_FLAG_RESPONSE };
	static uint8_t buf[256];
	enum wire_fault fault = WIRE_OK;
	struct wire_ike_msg m;
	struct wire_out o;
	struct bytes msg;
	struct arena mem;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &h);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_PUZZLE, hex("0005 12"));
	wire_put_solution(&o, hex("061840 073324 0c8a2a 0d94c8"));
	wire_put_vendor(&o, bytes_of(NULL, 0));
	assert_int_equal(wire_ike_end(&o, &msg), ST_OK);
	assert_hex(msg, want);
	arena_init(&mem, &mem_libc, 1 << 16);
	assert_int_equal(wire_ike_parse(&mem, msg, &m, &fault), ST_OK);
	assert_hex(m.clear.solution, "061840 073324 0c8a2a 0d94c8");
	assert_notify(wire_find_notify(&m.clear, WIRE_N_PUZZLE), 0, "", WIRE_N_PUZZLE, "0005 12");
	assert_string_equal(wire_notify_name(WIRE_N_PUZZLE), "PUZZLE");
	assert_string_equal(wire_payload_name(WIRE_P_PS), "PS");
	arena_done(&mem);
}

static void finds_the_first_error(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_NOTIFY,
		 hex("29 00 0008 00 00 4000  29 00 0008 00 00 0026  00 00 0008 00 00 000e"), &p);
	assert_int_equal(wire_find_error(&p)->type, WIRE_N_TS_UNACCEPTABLE);
	assert_ptr_equal(wire_find_notify(&p, WIRE_N_NO_PROPOSAL_CHOSEN), &p.notifies[2]);
}

static void unknown_attributes_are_kept_as_such(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_SA,
		 hex("00 00 0038 00 00 0034 01 01 00 04"
		     "03 00 000c 01 00 0014 800e 0080" /* fine */
		     "03 00 000c 01 00 0014 8063 0001" /* a short attribute of another type */
		     "03 00 000c 01 00 0014 800e 0000" /* a key of no bits */
		     "00 00 0008 06 00 0025"), /* a type of transform unknown to us */
		 &p);
	assert_int_equal(p.sa.proposals[0].n_transforms, 4);
	assert_false(p.sa.proposals[0].transforms[0].unknown_attribute);
	assert_true(p.sa.proposals[0].transforms[1].unknown_attribute);
	assert_true(p.sa.proposals[0].transforms[2].unknown_attribute);
	assert_false(p.sa.proposals[0].transforms[3].unknown_attribute);
	assert_int_equal(p.sa.proposals[0].transforms[3].type, 6);
}

/* Section 3.2: the critical bit of a payload we know means nothing, nor do the reserved ones. */
static void critical_bit_of_known_payloads_is_ignored(void **state)
{
	struct wire_payloads p;

	(void)state;
	inner_ok(WIRE_P_NOTIFY, hex("00 ff 0008 00 00 4000"), &p);
	assert_int_equal(p.unknown_critical, 0);
	assert_int_equal(p.n_notifies, 1);
	inner_ok(200, hex("c9 80 0004 ca 80 0004 00 00 0004"), &p);
	assert_int_equal(p.unknown_critical, 200);
	assert_true(p.present == 0);
}

static const struct wire_hdr auth_hdr = { .spi_i = 0x0102030405060708,
					  .spi_r = 0x1112131415161718,
					  .version = WIRE_IKE_VERSION,
					  .exchange = WIRE_IKE_AUTH,
					  .flags = WIRE_FLAG_INITIATOR,
					  .msgid = 1 };

/* Header 28, SK 4, IV 8, N 8, pad length 1, ICV 16: 65 bytes. */
static void encodes_and_locates_sk(void **state)
{
	uint8_t buf[128];
	struct wire_out o;
	struct wire_sk_spans s;
	struct wire_ike_msg m;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_ike_sk_begin(&o, 8);
	wire_put_notify(&o, 0, (struct bytes){ NULL, 0 }, WIRE_N_INITIAL_CONTACT,
			(struct bytes){ NULL, 0 });
	assert_int_equal(wire_ike_sk_end(&o, 1, 16, &s, &msg), ST_OK);
	assert_hex(msg, "0102030405060708 1112131415161718 2e 20 23 08 00000001 00000041"
			"29 00 0025 0000000000000000"
			"00 00 0008 00 00 4000 00"
			"00000000000000000000000000000000");
	assert_bytes(s.aad, bytes_of(buf, 32));
	assert_ptr_equal(s.iv, buf + 32);
	assert_ptr_equal(s.plain, buf + 40);
	assert_int_equal(s.plain_len, 9);
	assert_ptr_equal(s.icv, buf + 49);
	parse_ok(msg, &m);
	assert_true(m.encrypted);
	assert_true(m.clear.present == WIRE_BIT(WIRE_P_SK));
	assert_int_equal(m.sk.inner_next, WIRE_P_NOTIFY);
	assert_bytes(m.sk.aad, s.aad);
	assert_bytes(m.sk.body, bytes_of(buf + 32, 33));
	assert_int_equal(m.sk.fragments, 0);
}

/* Header 28, SKF 8, IV 8, a piece, pad length 1, ICV 16 (RFC 7383 section 2.5): the chain N 8 of
 * the test above in pieces of 5 bytes.  Only the first fragment says what the chain begins with. */
static void S2_encodes_fragments(void **state)
{
	static const char *const want[] = {
		"0102030405060708 1112131415161718 35 20 23 08 00000001 00000042"
		"29 00 0026 0001 0002 0000000000000000 00 00 0008 00 00"
		"00000000000000000000000000000000",
		"0102030405060708 1112131415161718 35 20 23 08 00000001 00000040"
		"00 00 0024 0002 0002 0000000000000000 00 4000 00"
		"00000000000000000000000000000000",
	};
	uint8_t buf[128], cut[128];
	struct wire_fragment f = { .total = 2 };
	struct wire_sk_spans s;
	struct wire_ike_msg m;
	struct wire_out o, q;
	struct bytes chain, msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	assert_int_equal(wire_ike_inner(&o, &f.first, &chain), ST_BUG);
	wire_ike_sk_begin(&o, 8);
	wire_put_notify(&o, 0, (struct bytes){ NULL, 0 }, WIRE_N_INITIAL_CONTACT,
			(struct bytes){ NULL, 0 });
	assert_int_equal(wire_ike_inner(&o, &f.first, &chain), ST_OK);
	assert_int_equal(f.first, WIRE_P_NOTIFY);
	assert_hex(chain, "00 00 0008 00 00 4000");
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		f.number = (uint16_t)(i + 1);
		f.piece = i ? bytes_of(chain.p + 5, 3) : bytes_of(chain.p, 5);
		wire_ike_begin(&q, cut, sizeof(cut), &auth_hdr);
		wire_put_fragment(&q, 8, &f);
		assert_int_equal(wire_ike_sk_end(&q, 1, 16, &s, &msg), ST_OK);
		assert_hex(msg, want[i]);
		assert_bytes(s.aad, bytes_of(cut, 36));
		assert_ptr_equal(s.iv, cut + 36);
		assert_ptr_equal(s.plain, cut + 44);
		assert_int_equal(s.plain_len, f.piece.n + 1);
		parse_ok(msg, &m);
		assert_int_equal(m.sk.fragment, f.number);
		assert_int_equal(m.sk.fragments, 2);
		assert_int_equal(m.sk.inner_next, i ? WIRE_P_NONE : WIRE_P_NOTIFY);
	}
	wire_ike_begin(&q, cut, 45, &auth_hdr);
	wire_put_fragment(&q, 8, &f);
	assert_int_equal(wire_ike_inner(&q, &f.first, &chain), ST_NOMEM);
	assert_int_equal(wire_ike_sk_end(&q, 1, 16, &s, &msg), ST_NOMEM);
}

/* Payloads that nothing protects are in the first fragment (section 2.5.3), which may hold nothing
 * else. */
static void clear_payloads_before_skf(void **state)
{
	const struct wire_fragment f = { .number = 1, .total = 3, .first = WIRE_P_IDI };
	uint8_t buf[128];
	struct wire_out o;
	struct wire_sk_spans s;
	struct wire_ike_msg m;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_vendor(&o, hex("deadbeef"));
	wire_put_fragment(&o, 8, &f);
	assert_int_equal(wire_ike_sk_end(&o, 1, 16, &s, &msg), ST_OK);
	parse_ok(msg, &m);
	assert_int_equal(m.clear.n_vendors, 1);
	assert_int_equal(m.sk.inner_next, WIRE_P_IDI);
	assert_int_equal(m.sk.fragments, 3);
	assert_int_equal(m.sk.aad.n, 28 + 8 + 8);
	assert_int_equal(m.sk.body.n, 8 + 1 + 16);
}

/* Payloads may stand before SK; they are parsed and authenticated with it. */
static void clear_payloads_before_sk(void **state)
{
	uint8_t buf[128];
	struct wire_out o;
	struct wire_sk_spans s;
	struct wire_ike_msg m;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_vendor(&o, hex("deadbeef"));
	wire_ike_sk_begin(&o, 8);
	assert_int_equal(wire_ike_sk_end(&o, 1, 16, &s, &msg), ST_OK);
	parse_ok(msg, &m);
	assert_int_equal(m.clear.n_vendors, 1);
	assert_int_equal(m.sk.inner_next, WIRE_P_NONE);
	assert_int_equal(m.sk.aad.n, 28 + 8 + 4);
	assert_int_equal(m.sk.body.n, 8 + 1 + 16);
}

/* For every length and block the plaintext is a multiple of the block, with least padding, and
 * comes back; every buffer that is too small is noticed. */
static void pads_to_the_block(void **state)
{
	static const size_t blocks[] = { 1, 4, 8, 16 };
	static const uint8_t vid[40] = { 1, 2, 3 };
	uint8_t buf[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		for (size_t n = 0; n <= sizeof(vid); n++) {
			struct wire_out o;
			struct wire_sk_spans s;
			struct bytes msg;
			struct bytes plain;

			wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
			wire_ike_sk_begin(&o, 16);
			wire_put_vendor(&o, bytes_of(vid, n));
			assert_int_equal(wire_ike_sk_end(&o, blocks[i], 12, &s, &msg), ST_OK);
			assert_int_equal(s.plain_len % blocks[i], 0);
			assert_true(s.plain_len - (4 + n + 1) < blocks[i]);
			assert_int_equal(wire_ike_unpad(bytes_of(s.plain, s.plain_len), &plain),
					 ST_OK);
			assert_bytes(plain, bytes_of(s.plain, 4 + n));
			for (size_t cap = 0; cap < msg.n; cap += 7) {
				wire_ike_begin(&o, buf, cap, &auth_hdr);
				wire_ike_sk_begin(&o, 16);
				wire_put_vendor(&o, bytes_of(vid, n));
				assert_int_equal(wire_ike_sk_end(&o, blocks[i], 12, &s, &plain),
						 ST_NOMEM);
			}
		}
}

static void writer_knows_whether_sk_is_open(void **state)
{
	uint8_t buf[128];
	struct wire_out o;
	struct wire_sk_spans s;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	assert_int_equal(wire_ike_sk_end(&o, 1, 16, &s, &msg), ST_BUG);
	wire_ike_sk_begin(&o, 8);
	assert_int_equal(wire_ike_end(&o, &msg), ST_BUG);
	assert_int_equal(wire_ike_sk_end(&o, 1, 16, &s, &msg), ST_OK);
}

/* What does not fit a length or count field is an error, not a shorter field. */
static void writer_refuses_what_no_field_holds(void **state)
{
	static uint8_t buf[200000];
	static uint8_t big[65536];
	static struct wire_transform ts[256];
	const struct wire_proposal p = { 1, WIRE_PROTO_IKE, { NULL, 0 }, ts, 256 };
	const struct wire_ts mixed = { .start = { .family = 4 }, .end = { .family = 6 } };
	struct wire_out o;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_vendor(&o, bytes_of(big, 65531));
	assert_int_equal(wire_ike_end(&o, &msg), ST_OK);
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_vendor(&o, bytes_of(big, 65532));
	assert_int_equal(wire_ike_end(&o, &msg), ST_NOMEM);
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_sa(&o, &(const struct wire_sa){ &p, 1 });
	assert_int_equal(wire_ike_end(&o, &msg), ST_NOMEM);
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_notify(&o, 3, bytes_of(big, 256), 1, (struct bytes){ NULL, 0 });
	assert_int_equal(wire_ike_end(&o, &msg), ST_NOMEM);
	wire_ike_begin(&o, buf, sizeof(buf), &auth_hdr);
	wire_put_ts(&o, WIRE_P_TSI, &mixed, 1);
	assert_int_equal(wire_ike_end(&o, &msg), ST_NOMEM);
}

static void locates_skf(void **state)
{
	struct bytes b = hex(HDR_TO "35 20 23 08 00000001 00000027 29 00 000b 0002 0103 aabbcc");
	struct wire_ike_msg m;

	(void)state;
	parse_ok(b, &m);
	assert_true(m.encrypted);
	assert_int_equal(m.sk.inner_next, WIRE_P_NOTIFY);
	assert_int_equal(m.sk.fragment, 2);
	assert_int_equal(m.sk.fragments, 0x103);
	assert_bytes(m.sk.aad, bytes_of(b.p, 36));
	assert_hex(m.sk.body, "aabbcc");
}

static void begin_clear(struct wire_out *o, uint8_t *buf, size_t cap)
{
	wire_ike_begin(o, buf, cap, &auth_hdr);
}

/* Ends the message and compares type and bytes of its only payload. */
static void assert_payload(struct wire_out *o, uint8_t type, const char *want)
{
	struct bytes msg;

	assert_int_equal(wire_ike_end(o, &msg), ST_OK);
	assert_int_equal(msg.p[16], type);
	assert_int_equal(load_be32(msg.p + 24), msg.n);
	assert_hex(bytes_of(msg.p + 28, msg.n - 28), want);
}

static void encodes_each_payload(void **state)
{
	uint8_t buf[256];
	uint8_t body[12];
	struct wire_out o;

	(void)state;
	begin_clear(&o, buf, sizeof(buf));
	wire_put_id(&o, WIRE_P_IDR, WIRE_ID_FQDN, bytes_str("a.example"));
	assert_payload(&o, WIRE_P_IDR, "00 00 0011 02 000000 612e6578616d706c65");
	wire_id_body(WIRE_ID_IPV4, hex("c0000201"), body);
	assert_hex(bytes_of(body, 8), "01000000 c0000201");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_cert(&o, WIRE_CERT_X509, hex("3003020105"));
	assert_payload(&o, WIRE_P_CERT, "00 00 000a 04 3003020105");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_certreq(&o, WIRE_CERT_X509, hex(KEY20));
	assert_payload(&o, WIRE_P_CERTREQ, "00 00 0019 04" KEY20);
	begin_clear(&o, buf, sizeof(buf));
	wire_put_auth(&o, WIRE_AUTH_PSK, hex("aabbccdd"));
	assert_payload(&o, WIRE_P_AUTH, "00 00 000c 02 000000 aabbccdd");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_notify(&o, WIRE_PROTO_ESP, hex("b1b2b3b4"), WIRE_N_REKEY_SA, hex(""));
	assert_payload(&o, WIRE_P_NOTIFY, "00 00 000c 03 04 4009 b1b2b3b4");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_delete(&o, WIRE_PROTO_ESP, 4, hex("d1d2d3d4 e1e2e3e4"));
	assert_payload(&o, WIRE_P_DELETE, "00 00 0010 03 04 0002 d1d2d3d4 e1e2e3e4");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_delete(&o, WIRE_PROTO_IKE, 0, hex(""));
	assert_payload(&o, WIRE_P_DELETE, "00 00 0008 01 00 0000");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_cp(&o, 2, hex("0001 0004 0a000001"));
	assert_payload(&o, WIRE_P_CP, "00 00 0010 02 000000 0001 0004 0a000001");
	begin_clear(&o, buf, sizeof(buf));
	wire_put_raw(&o, 200, hex("0102"));
	assert_payload(&o, 200, "00 00 0006 0102");
}

static void encodes_selectors(void **state)
{
	struct wire_ts ts[2] = { { .port_end = 65535 },
				 { .proto = 6, .port_start = 443, .port_end = 443 } };
	uint8_t buf[256];
	struct wire_out o;

	(void)state;
	ts[0].start = ip_from_raw(hex("0a010000"));
	ts[0].end = ip_from_raw(hex("0a01ffff"));
	ts[1].start = ip_from_raw(hex("20010db8000000000000000000000000"));
	ts[1].end = ip_from_raw(hex("20010db800000000000000000000ffff"));
	begin_clear(&o, buf, sizeof(buf));
	wire_put_ts(&o, WIRE_P_TSR, ts, 2);
	assert_payload(&o, WIRE_P_TSR,
		       "00 00 0040 02 000000" TS4 "08 06 0028 01bb 01bb"
		       "20010db8000000000000000000000000 20010db800000000000000000000ffff");
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(wire_exchange_name(WIRE_IKE_AUTH), "IKE_AUTH");
	assert_string_equal(wire_exchange_name(WIRE_IKE_SA_INIT), "IKE_SA_INIT");
	assert_null(wire_exchange_name(33));
	assert_string_equal(wire_payload_name(WIRE_P_TSI), "TSi");
	assert_string_equal(wire_payload_name(WIRE_P_SKF), "SKF");
	assert_null(wire_payload_name(0));
	assert_string_equal(wire_notify_name(WIRE_N_NO_PROPOSAL_CHOSEN), "NO_PROPOSAL_CHOSEN");
	assert_string_equal(wire_notify_name(16384), "INITIAL_CONTACT");
	assert_null(wire_notify_name(65535));
	for (unsigned f = 0; f < WIRE_FAULTS; f++) {
		assert_non_null(wire_fault_name((enum wire_fault)f));
		for (unsigned g = 0; g < f; g++)
			assert_string_not_equal(wire_fault_name((enum wire_fault)f),
						wire_fault_name((enum wire_fault)g));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(decodes_header),
		TEST(decodes_init_request),
		TEST(encodes_init_request),
		TEST(writer_stays_in_its_buffer),
		TEST(a_message_may_be_empty),
		TEST(decodes_identities_and_auth),
		TEST(decodes_child_sa),
		TEST(decodes_the_other_payloads),
		TEST(puzzle_payloads),
		TEST(finds_the_first_error),
		TEST(unknown_attributes_are_kept_as_such),
		TEST(critical_bit_of_known_payloads_is_ignored),
		TEST(encodes_and_locates_sk),
		TEST(clear_payloads_before_sk),
		TEST(pads_to_the_block),
		TEST(writer_knows_whether_sk_is_open),
		TEST(writer_refuses_what_no_field_holds),
		TEST(locates_skf),
		TEST(S2_encodes_fragments),
		TEST(clear_payloads_before_skf),
		TEST(encodes_each_payload),
		TEST(encodes_selectors),
		TEST(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
