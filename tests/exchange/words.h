/*
 * words.h - what the tests of words (docs/protocol/shortcut.md sections 3 and 4) share.
 */
#pragma once

#include "exchange/exchange.h"
#include "ike/limits.h"

/* Both announce something. */
static inline void both_announce(struct pair *p)
{
	p->pa->capabilities = IKE_CAN_PARTNER;
	p->pb->capabilities = IKE_CAN_PARTNER | IKE_CAN_HUB;
}

static inline void speaking_pair_up(struct pair *p)
{
	both_announce(p);
	pair_up(p);
	assert_true(pair_is_up(p));
}

static inline const uint8_t *word_bytes(void)
{
	static uint8_t b[IKE_MAX_WORD + 1];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 13 + i / 251);
	return b;
}

/* A word of so many bytes to the other end of a pair. */
static inline uint64_t ask_for(struct node *n, size_t size)
{
	uint64_t id = 0;

	assert_int_equal(
		node_ask(n, PAIR_PEER, WIRE_N_SHORTCUT_SUGGEST, bytes_of(word_bytes(), size), &id),
		ST_OK);
	return id;
}

static inline uint64_t ask(struct node *n)
{
	return ask_for(n, 40);
}

static inline enum status try_to_ask(struct node *n)
{
	uint64_t id;

	return node_ask(n, PAIR_PEER, WIRE_N_SHORTCUT_REPORT, bytes_of(word_bytes(), 16), &id);
}

/* The newest that came to `n` is such a word, whole. */
#define came(n, size) check_came(n, size, __FILE__, __LINE__)

static inline void check_came(const struct node *n, size_t size, const char *file, int line)
{
	const struct node_word *w = node_asked(n);

	_assert_true(w != NULL, "a word came", file, line);
	_assert_int_equal(w->notify, WIRE_N_SHORTCUT_SUGGEST, file, line);
	_assert_int_equal(w->n, size, file, line);
	_assert_true(w->digest == word_digest(bytes_of(word_bytes(), size)), "it is the same", file,
		     line);
}

/* The newest that was told is what came of that word. */
#define became(n, ask_id, st) check_became(n, ask_id, st, __FILE__, __LINE__)

static inline void check_became(const struct node *n, uint64_t id, enum status st, const char *file,
				int line)
{
	const struct node_word *w = node_answered(n);

	_assert_true(w != NULL, "something came of it", file, line);
	_assert_true(w->id == id, "of that one", file, line);
	_assert_int_equal(w->status, st, file, line);
	if (st == ST_OK)
		_assert_int_equal(w->notify, WIRE_N_SHORTCUT_ACCEPT, file, line);
}

/* A script that is a warren, and says what it can do, calls b. */
static inline void script_speaks(struct pair *p, struct script *s, struct bytes capabilities)
{
	both_announce(p);
	test_conf_addresses(p->cb, p->pb, "");
	pair_start_b(p);
	script_init(s, p->w, "192.0.2.1", p->b, true);
	s->vendor = test_vendor();
	script_sa_init(s);
	assert_true(script_exchange(s) && s->keyed);
	script_begin(s, WIRE_IKE_AUTH, REQUEST);
	script_put_auth_request(s);
	if (capabilities.n)
		wire_put_notify(&s->out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES,
				capabilities);
	script_send(s);
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(ike_totals(p->b->ike).sas, 1);
}

static inline void script_speaks_well(struct pair *p, struct script *s)
{
	static const uint8_t data[] = { 1, 0, 0, 0, IKE_CAN_PARTNER };

	script_speaks(p, s, BYTES_OF(data));
	assert_int_equal(node_sa(p->b).info.capabilities, IKE_CAN_PARTNER);
}
