/* A peer that is who it says, and means no good: what it may make of CREATE_CHILD_SA (RFC 7296
 * sections 1.3, 2.8, 2.25; S2).  It does things in an order that nobody needs, never ends what it
 * should end, and answers what was asked before the world changed. */
#include "exchange/exchange.h"

#include "ike/limits.h"

static void setup_script(struct pair *p, struct script *s, uint64_t seed)
{
	pair_init(p, seed);
	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.9", p->b, true);
}

static void done(struct pair *p, struct script *s)
{
	script_done(s);
	pair_done(p);
}

/* ---- what a script says --------------------------------------------------------------------- */

static void put_ike_sa(struct script *s, uint64_t spi)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct wire_proposal proposal;
	struct wire_sa sa = { &proposal, 1 };
	uint8_t raw[8];

	assert_int_equal(policy_proposal_parse(&s->mem, WIRE_PROTO_IKE, s->ike, &why, &proposal),
			 ST_OK);
	store_be64(raw, spi);
	proposal.spi = BYTES_OF(raw);
	wire_put_sa(&s->out, &sa);
}

static void put_nonce(struct script *s, uint8_t octet)
{
	uint8_t nonce[32];

	memset(nonce, octet, sizeof(nonce));
	wire_put_nonce(&s->out, BYTES_OF(nonce));
}

/* HDR, SK {SA, Ni, KEi} */
static void ask_ike_rekey(struct script *s, uint64_t spi)
{
	script_begin(s, WIRE_CREATE_CHILD_SA, false);
	put_ike_sa(s, spi);
	put_nonce(s, 1);
	wire_put_ke(&s->out, s->suite.ke, bytes_of(s->pub, s->n_pub));
	script_send(s);
}

/* HDR, SK {N(REKEY_SA), SA, Ni, TSi, TSr} */
static void ask_child_rekey(struct script *s, uint8_t proto, uint32_t old, uint32_t spi)
{
	uint8_t raw[4];

	store_be32(raw, old);
	script_begin(s, WIRE_CREATE_CHILD_SA, false);
	wire_put_notify(&s->out, proto, BYTES_OF(raw), WIRE_N_REKEY_SA, bytes_of(NULL, 0));
	script_put_sa(s, s->esp, spi);
	put_nonce(s, (uint8_t)spi);
	script_put_ts(s, s->ts_i, s->ts_r);
	script_send(s);
	assert_true(script_exchange(s));
	assert_true(s->opened);
}

static void delete_child(struct script *s, uint32_t spi)
{
	uint8_t raw[4];

	store_be32(raw, spi);
	script_begin(s, WIRE_INFORMATIONAL, false);
	wire_put_delete(&s->out, WIRE_PROTO_ESP, 4, BYTES_OF(raw));
	script_send(s);
	assert_true(script_exchange(s));
}

static void delete_ike(struct script *s)
{
	script_begin(s, WIRE_INFORMATIONAL, false);
	wire_put_delete(&s->out, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
	script_send(s);
	assert_true(script_exchange(s));
}

static struct packet *packet_from(struct world *w, const struct node *n)
{
	struct packet *p;

	for (size_t i = 0; (p = world_packet(w, i)) != NULL; i++)
		if (ip_eq(&p->src.ip, &n->address[0]))
			return p;
	return NULL;
}

static ike_sa_id sa_with(const struct node *n, uint64_t spi_i)
{
	struct node_sa sas[8];
	size_t n_sas = node_sas(n, sas, ARRAY_LEN(sas));

	for (size_t i = 0; i < n_sas && i < ARRAY_LEN(sas); i++)
		if (sas[i].info.spi_i == spi_i)
			return sas[i].info.id;
	return 0;
}

/* ---- IKE SAs that nobody deletes ----------------------------------------------------------- */

static void rekey_without_delete(struct pair *p)
{
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	while (world_packets(p->w)) {
		struct packet *next = world_packet(p->w, 0);

		if (packet_exchange(next) == WIRE_CREATE_CHILD_SA)
			world_deliver(p->w, next);
		else
			world_drop(p->w, next);
	}
}

/* The peer has two lines of IKE SAs, and as many spent ones of the second as we keep, when it
 * deletes the first, which both ends were rekeying: the oldest of all is the one at hand. */
static void the_one_at_hand_is_the_oldest(void **state)
{
	struct ike_cmd rekey = { .kind = IKE_CMD_REKEY_SA };
	struct packet *auth;
	struct script s;
	struct pair p;

	(void)state;
	pair_init(&p, 1000);
	test_conf_addresses(p.cb, p.pb, "");
	pair_start(&p);
	connect(p.a);
	deliver(p.w, p.a, WIRE_IKE_SA_INIT, REQUEST, 0);
	deliver(p.w, p.b, WIRE_IKE_SA_INIT, RESPONSE, 0);
	next_is(p.w, p.a, WIRE_IKE_AUTH, REQUEST, 1);
	auth = packet_keep(world_packet(p.w, 0));
	world_drop_all(p.w);
	script_init(&s, p.w, "192.0.2.9", p.b, true);
	script_connect(&s);
	world_hand_over(p.w, auth);
	packet_free(auth);
	/* Asked whether it is still there. */
	assert_true(script_take(&s));
	script_begin(&s, WIRE_INFORMATIONAL, true);
	script_send(&s);
	world_run(p.w);
	for (unsigned i = 0; i < IKE_MAX_SAS_PER_PEER; i++)
		rekey_without_delete(&p);
	rekey.sa = sa_with(p.b, s.spi_i);
	assert_int_equal(node_cmd(p.b, &rekey), ST_OK);
	assert_true(script_take(&s));
	assert_int_equal(packet_exchange(s.packet), WIRE_CREATE_CHILD_SA);
	ask_ike_rekey(&s, 77);
	assert_true(script_exchange(&s));
	assert_true(s.in.sa.n);
	delete_ike(&s);
	assert_true(packet_is_response(s.packet));
	assert_int_not_equal(sa_with(p.b, 77), 0);
	done(&p, &s);
}

/* Both rekey; theirs is answered, ours refused for a reason of its own: theirs it is, whether they
 * ever delete the old one or not. */
static void refused_but_rekeyed(void **state)
{
	static const uint8_t group[] = { 0, 19 };
	const struct {
		uint16_t type;
		struct bytes data;
	} why[] = { { .type = WIRE_N_NO_PROPOSAL_CHOSEN },
		    { WIRE_N_INVALID_KE_PAYLOAD, BYTES_OF(group) },
		    { .type = WIRE_N_TEMPORARY_FAILURE } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(why); i++) {
		struct script s;
		struct pair p;
		uint32_t msgid;

		setup_script(&p, &s, 1010);
		script_connect(&s);
		assert_int_equal(node_command(p.b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
		assert_true(script_take(&s));
		msgid = s.msg.hdr.msgid;
		ask_ike_rekey(&s, 77);
		assert_true(script_exchange(&s));
		script_begin_id(&s, WIRE_CREATE_CHILD_SA, true, msgid);
		wire_put_notify(&s.out, WIRE_PROTO_NONE, bytes_of(NULL, 0), why[i].type,
				why[i].data);
		script_send(&s);
		world_run(p.w);
		assert_int_equal(node_events(p.b, IKE_EV_SA_REKEYED), 1);
		done(&p, &s);
	}
}

/* Algorithms that are not configured any more do not come in by a rekey of before. */
static void rival_of_another_time(void **state)
{
	struct test_conf *c;
	struct script s;
	struct pair p;

	(void)state;
	pair_init(&p, 1015);
	test_conf_addresses(p.cb, p.pb, "");
	p.pb->ike = test_conf_sa(p.cb, WIRE_PROTO_IKE,
				 "aes128gcm16-prfsha256-x25519 aes256gcm16-prfsha384-x25519");
	pair_start_b(&p);
	script_init(&s, p.w, "192.0.2.9", p.b, true);
	script_connect(&s);
	assert_int_equal(node_command(p.b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	assert_true(script_take(&s));
	s.ike = "aes256gcm16-prfsha384-x25519";
	ask_ike_rekey(&s, 77);
	assert_true(script_exchange(&s));
	assert_true(s.in.sa.n);
	c = test_conf_copy(p.cb);
	c->peer[0].ike = test_conf_sa(c, WIRE_PROTO_IKE, "aes128gcm16-prfsha256-x25519");
	node_reconfigure(p.b, c);
	because(p.b, IKE_EV_REFUSED, IKE_R_PROPOSAL);
	assert_int_equal(p.b->n_children, 0);
	done(&p, &s);
}

/* The children of a replaced IKE SA are meant by a Delete that was under way on it. */
static void deleted_on_the_old_one(void **state)
{
	struct script s;
	struct pair p;

	(void)state;
	setup_script(&p, &s, 1017);
	script_connect(&s);
	assert_int_equal(node_command(p.b, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	assert_true(script_take(&s));
	script_begin(&s, WIRE_CREATE_CHILD_SA, true);
	put_ike_sa(&s, 77);
	put_nonce(&s, 1);
	wire_put_ke(&s.out, s.suite.ke, bytes_of(s.pub, s.n_pub));
	script_send(&s);
	assert_true(script_exchange(&s));
	assert_int_equal(packet_exchange(s.packet), WIRE_INFORMATIONAL);
	assert_int_equal(node_events(p.b, IKE_EV_SA_REKEYED), 1);
	delete_child(&s, s.spi_esp);
	assert_int_equal(p.b->n_children, 0);
	done(&p, &s);
}

/* The wish to delete, a repeated answer, another configuration, and a job that comes back: whatever
 * the answer is worth by then, the SA ends. */
static void useless_to_who_leaves(void **state)
{
	struct test_conf *c;
	struct pair p;

	(void)state;
	pair_init(&p, 1020);
	pair_up(&p);
	assert_int_equal(node_command(p.a, IKE_CMD_REKEY_SA, PAIR_PEER), ST_OK);
	deliver(p.w, p.a, WIRE_CREATE_CHILD_SA, REQUEST, 2);
	p.a->hold = HOLD_JOBS;
	deliver(p.w, p.b, WIRE_CREATE_CHILD_SA, RESPONSE, 2);
	connect_down(p.a);
	while (!world_packets(p.w))
		assert_true(world_timer(p.w));
	deliver(p.w, p.a, WIRE_CREATE_CHILD_SA, REQUEST, 2);
	deliver(p.w, p.b, WIRE_CREATE_CHILD_SA, RESPONSE, 2);
	assert_int_equal(node_held(p.a, PENDING_JOB), 1);
	c = test_conf_copy(p.ca);
	c->peer[0].ike = test_conf_sa(c, WIRE_PROTO_IKE, "chacha20poly1305-prfsha512-ecp521");
	node_reconfigure(p.a, c);
	p.b->unplugged = true; /* it would end the SA in its own time */
	node_release(p.a);
	world_live(p.w, dur_s(600));
	assert_true(node_is_down(p.a));
	pair_done(&p);
}

/* ---- children ------------------------------------------------------------------------------ */

/* Our Delete is under way while the peer replaces one child after the other: what lingers longest
 * makes way for what lingers now. */
static void lingering_makes_way(void **state)
{
	struct packet *answer;
	struct pair p;

	(void)state;
	pair_init(&p, 1030);
	pair_up(&p);
	assert_int_equal(node_command(p.a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	deliver(p.w, p.a, WIRE_CREATE_CHILD_SA, REQUEST, 2);
	deliver(p.w, p.b, WIRE_CREATE_CHILD_SA, RESPONSE, 2);
	deliver(p.w, p.a, WIRE_INFORMATIONAL, REQUEST, 3);
	next_is(p.w, p.b, WIRE_INFORMATIONAL, RESPONSE, 3);
	answer = packet_keep(world_packet(p.w, 0));
	world_drop_all(p.w);
	for (unsigned i = 0; i < IKE_MAX_LINGERING; i++) {
		assert_int_equal(node_command(p.b, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
		world_run(p.w);
	}
	assert_int_equal(p.a->n_quiet, IKE_MAX_LINGERING + 1);
	world_hand_over(p.w, answer);
	packet_free(answer);
	assert_int_equal(p.a->n_quiet, IKE_MAX_LINGERING);
	assert_true(pair_is_up(&p));
	pair_done(&p);
}

/* Each takes the place of the one before, and none is ever deleted. */
static void never_deleted(void **state)
{
	struct script s;
	struct pair p;

	(void)state;
	setup_script(&p, &s, 1040);
	script_connect(&s);
	for (uint32_t i = 0; i < 10 * IKE_MAX_CHILDREN; i++) {
		uint32_t old = i ? 1000 + i - 1 : s.spi_esp;

		ask_child_rekey(&s, WIRE_PROTO_ESP, old, 1000 + i);
		if (!s.in.sa.n)
			break;
		assert_in_range(ike_totals(p.b->ike).children, 1, 2 * IKE_MAX_CHILDREN);
	}
	assert_non_null(script_notify(&s, WIRE_N_NO_ADDITIONAL_SAS));
	/* They should have been deleted: they are. */
	world_advance(p.w, dur_s(IKE_REPLACED_S + 1));
	assert_int_equal(ike_totals(p.b->ike).children, 1);
	done(&p, &s);
}

/* One whose place was taken twice: whichever is deleted first, the operator hears of one tunnel
 * that is up until the last of them is gone. */
static void replaced_twice(void **state)
{
	static const uint32_t order[][2] = { { 0, 1 }, { 1, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct script s;
		struct pair p;
		uint32_t spi[3];

		setup_script(&p, &s, 1050);
		script_connect(&s);
		spi[0] = s.spi_esp;
		spi[1] = 2001;
		spi[2] = 2002;
		ask_child_rekey(&s, WIRE_PROTO_ESP, spi[0], spi[1]);
		ask_child_rekey(&s, WIRE_PROTO_ESP, spi[1], spi[2]);
		delete_child(&s, spi[order[i][0]]);
		assert_int_equal(node_events(p.b, IKE_EV_CHILD_DOWN), 0);
		delete_child(&s, spi[order[i][1]]);
		assert_int_equal(node_events(p.b, IKE_EV_CHILD_DOWN), 0);
		assert_int_equal(ike_totals(p.b->ike).children, 1);
		assert_int_equal(node_child(p.b)->spi_out, spi[2]);
		delete_child(&s, spi[2]);
		assert_int_equal(node_events(p.b, IKE_EV_CHILD_UP), 1);
		assert_int_equal(node_events(p.b, IKE_EV_CHILD_DOWN), 1);
		done(&p, &s);
	}
}

/* What should have taken its place went, and its own time was over meanwhile. */
static void too_old_to_stay(void **state)
{
	struct ike_cmd down = { .kind = IKE_CMD_DOWN_CHILD };
	struct test_conf *c;
	struct script s;
	struct pair p;

	(void)state;
	setup_script(&p, &s, 1060);
	script_connect(&s);
	world_advance(p.w, dur_s(100));
	ask_child_rekey(&s, WIRE_PROTO_ESP, s.spi_esp, 2001);
	c = test_conf_copy(p.cb);
	c->peer[0].life.child_soft = dur_s(40);
	c->peer[0].life.child_hard = dur_s(50);
	node_reconfigure(p.b, c);
	down.child = p.b->last_child;
	assert_int_equal(node_cmd(p.b, &down), ST_OK);
	world_advance(p.w, dur_s(1));
	assert_int_equal(p.b->n_children, 0);
	assert_int_equal(ike_totals(p.b->ike).children, 0);
	done(&p, &s);
}

/* A child of a protocol that we do not have is none of ours (section 2.25). */
static void rekeys_what_is_not_there(void **state)
{
	struct script s;
	struct pair p;

	(void)state;
	setup_script(&p, &s, 1070);
	script_connect(&s);
	ask_child_rekey(&s, WIRE_PROTO_AH, s.spi_esp, 2001);
	assert_non_null(script_notify(&s, WIRE_N_CHILD_SA_NOT_FOUND));
	assert_int_equal(script_notify(&s, WIRE_N_CHILD_SA_NOT_FOUND)->proto, WIRE_PROTO_AH);
	assert_int_equal(ike_totals(p.b->ike).children, 1);
	done(&p, &s);
}

/* ---- a member of a network ----------------------------------------------------------------- */

static void all_of_ipv4(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap)
{
	size_t at = chain_find(*first, chain, *n, WIRE_P_TSR);

	(void)ctx;
	(void)cap;
	assert_int_not_equal(at, SIZE_MAX);
	memset(chain + at + 16, 0, 4);
	memset(chain + at + 20, 0xff, 4);
}

/* The hub rekeys a child that its member deletes meanwhile: the answer cannot have more than the
 * child had, or a prefix that somebody else may have taken by now. */
static void more_than_it_had(void **state)
{
	uint8_t body[12] = { 0, 0, 0, 12, WIRE_PROTO_ESP, 4, 0, 1 };
	struct packet *request, *answer;
	struct pair p;

	(void)state;
	pair_init(&p, 1080);
	pair_network(&p);
	pair_up(&p);
	store_be32(body + 8, node_child(p.b)->spi_out);
	assert_int_equal(node_command(p.b, IKE_CMD_REKEY_CHILD, p.b->child[0].child.peer), ST_OK);
	deliver(p.w, p.b, WIRE_CREATE_CHILD_SA, REQUEST, 0);
	next_is(p.w, p.a, WIRE_CREATE_CHILD_SA, RESPONSE, 0);
	answer = world_packet(p.w, 0);
	request = packet_like(p.w, answer, WIRE_INFORMATIONAL, false, 2, WIRE_P_DELETE,
			      BYTES_OF(body));
	world_deliver(p.w, request);
	assert_int_equal(p.b->n_children, 0);
	answer = packet_reseal(p.w, packet_from(p.w, p.a), all_of_ipv4, NULL);
	world_deliver(p.w, answer);
	assert_int_equal(p.b->n_children, 0);
	assert_int_equal(ike_totals(p.b->ike).children, 0);
	pair_done(&p);
}

/* ---- not now ------------------------------------------------------------------------------- */

/* b deletes the child that a wants to rekey, and makes another. */
static void not_now(struct pair *p)
{
	struct ike_cmd down = { .kind = IKE_CMD_DOWN_CHILD, .child = node_child(p->b)->id };
	struct packet *delete;

	assert_int_equal(node_cmd(p->b, &down), ST_OK);
	delete = packet_keep(world_packet(p->w, 0));
	world_drop_all(p->w);
	assert_int_equal(node_command(p->a, IKE_CMD_REKEY_CHILD, PAIR_PEER), ST_OK);
	deliver_any(p->w);
	next_notifies(p->w, WIRE_N_TEMPORARY_FAILURE);
	deliver_any(p->w);
	world_hand_over(p->w, delete);
	packet_free(delete);
	world_run(p->w);
	assert_int_equal(node_command(p->b, IKE_CMD_NEW_CHILD, PAIR_PEER), ST_OK);
	world_run(p->w);
	assert_true(pair_is_up(p));
}

/* Two ends that get into each other's way once in a while know the same SA all the same. */
static void once_in_a_while(void **state)
{
	struct node_sa before;
	struct pair p;

	(void)state;
	pair_init(&p, 1090);
	pair_up(&p);
	before = node_sa(p.a);
	not_now(&p);
	world_live(p.w, dur_s(2 * IKE_TEMPORARY_S));
	not_now(&p);
	world_live(p.w, dur_s(60));
	assert_true(pair_is_up(&p));
	assert_true(node_sa(p.a).info.spi_i == before.info.spi_i);
	pair_done(&p);
}

/* With an argument: only tests of such a name. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_one_at_hand_is_the_oldest),
		cmocka_unit_test(refused_but_rekeyed),
		cmocka_unit_test(rival_of_another_time),
		cmocka_unit_test(deleted_on_the_old_one),
		cmocka_unit_test(useless_to_who_leaves),
		cmocka_unit_test(lingering_makes_way),
		cmocka_unit_test(never_deleted),
		cmocka_unit_test(replaced_twice),
		cmocka_unit_test(too_old_to_stay),
		cmocka_unit_test(rekeys_what_is_not_there),
		cmocka_unit_test(more_than_it_had),
		cmocka_unit_test(once_in_a_while),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
