/*
 * Downgrade: nothing that somebody on the way changes in IKE_SA_INIT leads to an SA, whichever
 * message it is in and however weak or strong the result would be, because AUTH covers both (RFC
 * 7296 section 2.15; S2).
 *
 *	a                          attacker                          b
 *	IKE_SA_INIT 0 {SA, KE, Ni, N..} -> edited ->
 *	                                                <- IKE_SA_INIT 0 {SA, KE, Nr, N..}
 *	                     or edited here
 *	IKE_AUTH 1 ...
 */
#include "exchange/exchange.h"

enum { LIFE_S = 60, SA_HEAD = 4, PROPOSAL_HEAD = 8 };

struct attack {
	packet_edit_fn *edit;
	void *ctx;
	bool response; /* which of the two messages is edited */
	bool certs; /* how the two authenticate */
	unsigned edited; /* messages so far */
};

/* Every message of its kind, repeated ones too, until both have given up. */
static void play(struct pair *p, struct attack *a)
{
	const mono_t end = { p->w->now.mono.ns + dur_s(LIFE_S).ns };
	struct packet *next, *other;

	do {
		while ((next = world_packet(p->w, 0))) {
			if (packet_exchange(next) != WIRE_IKE_SA_INIT ||
			    packet_is_response(next) != a->response) {
				world_deliver(p->w, next);
				continue;
			}
			other = packet_rewrite(p->w, next, a->edit, a->ctx);
			world_drop(p->w, next);
			world_deliver(p->w, other);
			a->edited++;
		}
	} while (p->w->now.mono.ns < end.ns && world_timer(p->w));
}

static void prepare(struct pair *p, bool certs)
{
	static const char ike[] = "aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-x25519-"
				  "modp2048 aes256-aes128-sha512-sha256-ecp384-modp2048";

	pair_init(p, 91);
	if (certs)
		pair_certs(p);
	p->pa->ike = test_conf_sa(p->ca, WIRE_PROTO_IKE, ike);
	p->pb->ike = test_conf_sa(p->cb, WIRE_PROTO_IKE, ike);
	pair_start(p);
}

/* An initiator never believes in the peer, a responder only until it hears that. */
static void comes_to_nothing(struct attack *a)
{
	struct pair p;

	prepare(&p, a->certs);
	connect(p.a);
	play(&p, a);
	assert_true(a->edited > 0);
	assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
	assert_int_equal(node_events(p.a, IKE_EV_CHILD_UP), 0);
	if (!a->response)
		assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
	pair_done(&p);
}

static void both_ways(packet_edit_fn *edit, void *ctx)
{
	for (int i = 0; i < 4; i++) {
		struct attack a = { edit, ctx, i & 1, i & 2, 0 };

		comes_to_nothing(&a);
	}
}

/* ---- proposals ----------------------------------------------------------------------------- */

struct cut {
	size_t proposal, transform; /* transform SIZE_MAX: the whole proposal */
	bool there; /* whether there was such a thing */
};

static void shrink(uint8_t *chain, size_t *n, size_t at, size_t less)
{
	memmove(chain + at, chain + at + less, *n - at - less);
	*n -= less;
}

static void less16(uint8_t *p, size_t less)
{
	store_be16(p, (uint16_t)(load_be16(p) - less));
}

/* Offset of the i-th substructure from `at` on; 0: there is none. */
static size_t substructure(const uint8_t *chain, size_t at, size_t i)
{
	for (; i; i--) {
		if (chain[at] == 0)
			return 0;
		at += load_be16(chain + at + 2);
	}
	return at;
}

/* Takes out what stands at `at`; the one before it, at `before` unless 0, may be the last now. */
static void take_out(uint8_t *chain, size_t *n, size_t at, size_t before)
{
	if (chain[at] == 0 && before)
		chain[before] = 0;
	shrink(chain, n, at, load_be16(chain + at + 2));
}

static void cut_sa(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	struct cut *c = ctx;
	size_t sa = chain_find(*first, chain, *n, WIRE_P_SA), less;
	size_t p = substructure(chain, sa + SA_HEAD, c->proposal), t, list;

	(void)cap;
	c->there = false;
	if (!p)
		return;
	list = p + PROPOSAL_HEAD + chain[p + 6];
	t = c->transform == SIZE_MAX ? p : substructure(chain, list, c->transform);
	if (!t)
		return;
	c->there = true;
	less = load_be16(chain + t + 2);
	if (t == p) {
		take_out(chain, n, p,
			 c->proposal ? substructure(chain, sa + SA_HEAD, c->proposal - 1) : 0);
	} else {
		take_out(chain, n, t,
			 c->transform ? substructure(chain, list, c->transform - 1) : 0);
		less16(chain + p + 2, less);
		chain[p + 7]--;
	}
	less16(chain + sa + 2, less);
}

/* The request without each single transform, and without each proposal: also without those that
 * nobody would have chosen. */
static void proposals_taken_out(void **state)
{
	unsigned cuts = 0;

	(void)state;
	for (size_t p = 0;; p++) {
		struct cut c = { p, SIZE_MAX, false };
		struct attack a = { cut_sa, &c, false, p & 1, 0 };
		struct pair probe;

		/* Ends where there is no such proposal: then nothing is changed. */
		prepare(&probe, false);
		connect(probe.a);
		world_drop(probe.w, packet_rewrite(probe.w, world_packet(probe.w, 0), cut_sa, &c));
		pair_done(&probe);
		if (!c.there)
			break;
		comes_to_nothing(&a);
		for (c.transform = 0;; c.transform++) {
			prepare(&probe, false);
			connect(probe.a);
			world_drop(probe.w,
				   packet_rewrite(probe.w, world_packet(probe.w, 0), cut_sa, &c));
			pair_done(&probe);
			if (!c.there)
				break;
			a.edited = 0;
			comes_to_nothing(&a);
			cuts++;
		}
	}
	assert_int_equal(cuts, 7 + 8);
}

/* ---- single fields ------------------------------------------------------------------------- */

/* Another transform in place of each that was offered or chosen. */
struct put16 {
	uint8_t payload;
	size_t at; /* from its header */
	uint16_t value;
};

static void put_field(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	const struct put16 *f = ctx;
	size_t at = chain_find(*first, chain, *n, f->payload);

	(void)cap;
	store_be16(chain + at + f->at, f->value);
}

static void groups_changed(void **state)
{
	static const uint16_t groups[] = { CRYPTO_MODP_2048, CRYPTO_X25519, CRYPTO_ECP_521, 2, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		struct put16 f = { WIRE_P_KE, 4, groups[i] };

		both_ways(put_field, &f);
	}
}

/* ---- notifies ------------------------------------------------------------------------------ */

struct notify {
	uint16_t type;
	bool there;
};

/* Without the first notify of that type. */
static void without_notify(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	struct notify *x = ctx;
	uint8_t type = *first;
	size_t at = 0, before = SIZE_MAX;

	(void)cap;
	while (at < *n) {
		size_t len = load_be16(chain + at + 2);

		if (type == WIRE_P_NOTIFY && load_be16(chain + at + 6) == x->type) {
			*(before == SIZE_MAX ? first : &chain[before]) = chain[at];
			shrink(chain, n, at, len);
			x->there = true;
			return;
		}
		before = at;
		type = chain[at];
		at += len;
	}
}

/* RFC 7427 section 7: without the list of hashes a peer would fall back to older methods. */
static void notifies_taken_out(void **state)
{
	static const uint16_t types[] = {
		WIRE_N_SIGNATURE_HASH_ALGORITHMS,
		WIRE_N_NAT_DETECTION_SOURCE_IP,
		WIRE_N_NAT_DETECTION_DESTINATION_IP,
		WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		for (int response = 0; response < 2; response++) {
			struct notify x = { types[i], false };
			struct attack a = { without_notify, &x, response, true, 0 };

			comes_to_nothing(&a);
			assert_true(x.there);
		}
}

/* Nobody can make a peer of either end that is no warren. */
static void without_vendor(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	(void)ctx;
	(void)cap;
	assert_int_not_equal(chain_find(*first, chain, *n, WIRE_P_VENDOR), SIZE_MAX);
	chain_remove(first, chain, n, WIRE_P_VENDOR);
}

static void vendor_taken_out(void **state)
{
	(void)state;
	both_ways(without_vendor, NULL);
}

/* The last hash of the list turned into another: SHA-1, or one that nobody knows. */
static void fewer_hashes(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	uint8_t type = *first;

	(void)cap;
	for (size_t at = 0; at < *n; at += load_be16(chain + at + 2)) {
		if (type == WIRE_P_NOTIFY &&
		    load_be16(chain + at + 6) == WIRE_N_SIGNATURE_HASH_ALGORITHMS)
			store_be16(chain + at + load_be16(chain + at + 2) - 2,
				   *(const uint16_t *)ctx);
		type = chain[at];
	}
}

static void hashes_changed(void **state)
{
	uint16_t values[] = { CRYPTO_SHA1, 999 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		for (int response = 0; response < 2; response++) {
			struct attack a = { fewer_hashes, &values[i], response, true, 0 };

			comes_to_nothing(&a);
		}
}

/* ---- any bit ------------------------------------------------------------------------------- */

struct flip {
	size_t byte;
	uint8_t bit;
	bool there;
};

static void flip(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	struct flip *f = ctx;

	(void)first;
	(void)cap;
	f->there = f->byte < *n;
	if (f->there)
		chain[f->byte] ^= f->bit;
}

/* One bit of each byte of each message. */
static void every_byte_counts(void **state)
{
	(void)state;
	for (int response = 0; response < 2; response++) {
		struct flip f = { .there = true };

		for (f.byte = 0;; f.byte++) {
			struct attack a = { flip, &f, response, false, 0 };
			struct pair p;

			f.bit = (uint8_t)(1 << f.byte % 8);
			prepare(&p, false);
			connect(p.a);
			play(&p, &a);
			if (f.there) {
				assert_int_equal(node_events(p.a, IKE_EV_SA_UP), 0);
				if (!response)
					assert_int_equal(node_events(p.b, IKE_EV_SA_UP), 0);
			}
			pair_done(&p);
			if (!f.there)
				break;
		}
		assert_true(f.byte > 200);
	}
}

/* ---- messages of the attacker's own -------------------------------------------------------- */

/* INVALID_KE_PAYLOAD is not authenticated (section 2.21.1), so anybody can make the initiator begin
 * with another group of its own list.  The responder insists on its own choice: an SA comes up with
 * that or not at all. */
static void invalid_ke_forged(void **state)
{
	static const uint8_t wants_modp[] = { 0, CRYPTO_MODP_2048 };
	uint8_t chain[10] = { 0, 0, 0, 10, 0, 0, 0, WIRE_N_INVALID_KE_PAYLOAD };
	struct packet *request, *forged;
	struct pair p;

	(void)state;
	memcpy(chain + 8, wants_modp, 2);
	prepare(&p, false);
	connect(p.a);
	request = packet_keep(world_packet(p.w, 0));
	world_drop_all(p.w);
	forged = packet_like(p.w, request, WIRE_IKE_SA_INIT, true, 0, WIRE_P_NOTIFY,
			     BYTES_OF(chain));
	forged->src = request->dst;
	forged->dst = request->src;
	forged->data[19] = WIRE_FLAG_RESPONSE;
	world_deliver(p.w, forged);
	/* It did what it was told: the same again with the group that the attacker likes. */
	next_is(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
	world_live(p.w, dur_s(LIFE_S));
	packet_free(request);
	assert_true(pair_is_up(&p));
	says(p.a, IKE_EV_SA_UP, "aes256gcm16-prfsha384-ecp384");
	says(p.b, IKE_EV_SA_UP, "aes256gcm16-prfsha384-ecp384");
	pair_done(&p);
}

/* Without anybody on the way it does come up, with the best of both. */
static void left_alone(void **state)
{
	struct pair p;

	(void)state;
	for (int certs = 0; certs < 2; certs++) {
		prepare(&p, certs);
		connect(p.a);
		world_live(p.w, dur_s(5));
		assert_true(pair_is_up(&p));
		says(p.a, IKE_EV_SA_UP, "aes256gcm16-prfsha384-ecp384");
		pair_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(left_alone),       cmocka_unit_test(proposals_taken_out),
		cmocka_unit_test(groups_changed),   cmocka_unit_test(notifies_taken_out),
		cmocka_unit_test(hashes_changed),   cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(vendor_taken_out), cmocka_unit_test(invalid_ke_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
