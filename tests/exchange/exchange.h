/*
 * exchange.h - what the exchange tests share.  Include it first: it brings cmocka.
 *
 * A test draws each message before it moves it:
 *
 *	a                                    b
 *	IKE_SA_INIT 0 {SA, KE, Ni, N, N}  ->
 *
 * and next_is() checks that this is really what lies there.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "harness/decode.h"
#include "harness/pair.h"
#include "harness/script.h"

#define REQUEST false
#define RESPONSE true

/* The oldest datagram is such a message from `from`. */
#define next_is(w, from, exchange, response, msgid)                                                \
	check_next(w, from, exchange, response, msgid, __FILE__, __LINE__)

static inline void check_next(struct world *w, const struct node *from, uint8_t exchange,
			      bool response, uint32_t msgid, const char *file, int line)
{
	struct packet *p = world_packet(w, 0);

	_assert_true(p != NULL, "a datagram is under way", file, line);
	_assert_int_equal(packet_exchange(p), exchange, file, line);
	_assert_int_equal(packet_is_response(p), response, file, line);
	_assert_int_equal(packet_msgid(p), msgid, file, line);
	_assert_true(ip_eq(&p->src.ip, &from->address[p->src.ip.family == 4 ? 0 : 1]),
		     "it comes from that node", file, line);
}

/* next_is(), then it arrives. */
#define deliver(w, from, exchange, response, msgid)                                                \
	do {                                                                                       \
		next_is(w, from, exchange, response, msgid);                                       \
		world_deliver(w, world_packet(w, 0));                                              \
	} while (0)

/* next_is(), then it is lost. */
#define lose(w, from, exchange, response, msgid)                                                   \
	do {                                                                                       \
		next_is(w, from, exchange, response, msgid);                                       \
		world_drop(w, world_packet(w, 0));                                                 \
	} while (0)

/* The oldest datagram holds a notify of that type, inside SK if it has one. */
#define next_notifies(w, type) assert_true(packet_notifies(w, world_packet(w, 0), type))

static inline bool packet_notifies(struct world *w, const struct packet *p, uint16_t type)
{
	struct opened o;
	bool found = packet_open(w, p, &o) && wire_find_notify(opened_payloads(&o), type);

	opened_done(&o);
	return found;
}

/* The newest event of that kind has that reason. */
#define because(node, kind, why) check_because(node, kind, why, __FILE__, __LINE__)

static inline void check_because(const struct node *n, enum ike_event_kind kind,
				 enum ike_reason reason, const char *file, int line)
{
	const struct ike_event *ev = node_event(n, kind);

	_assert_true(ev != NULL, "there is such an event", file, line);
	if (ev->reason != reason)
		print_error("%s: \"%s\" because of \"%s\", not of \"%s\"\n", n->name, ev->text,
			    ike_reason_name(ev->reason), ike_reason_name(reason));
	_assert_true(ev->reason == reason, "that is the reason", file, line);
}

/* The newest event of that kind says so. */
#define says(node, kind, words) check_says(node, kind, words, __FILE__, __LINE__)

static inline void check_says(const struct node *n, enum ike_event_kind kind, const char *words,
			      const char *file, int line)
{
	const struct ike_event *ev = node_event(n, kind);

	_assert_true(ev != NULL, "there is such an event", file, line);
	if (!strstr(ev->text, words))
		print_error("%s: \"%s\" does not say \"%s\"\n", n->name, ev->text, words);
	_assert_true(strstr(ev->text, words) != NULL, "the event says so", file, line);
}

static inline void connect(struct node *n)
{
	assert_int_equal(node_command(n, IKE_CMD_UP, PAIR_PEER), ST_OK);
}

static inline void connect_down(struct node *n)
{
	assert_int_equal(node_command(n, IKE_CMD_DOWN, PAIR_PEER), ST_OK);
}

/* a calls the script, which has b's address and identity: its IKE_SA_INIT request. */
static inline void script_called(struct pair *p, struct script *s)
{
	pair_start_a(p);
	script_init(s, p->w, "192.0.2.2", p->a, false);
	s->id = "b.example";
	connect(p->a);
	assert_true(script_take(s));
}

/* ... and answers that: a's IKE_AUTH request. */
static inline void script_asked_for_auth(struct pair *p, struct script *s)
{
	script_called(p, s);
	script_answer_init(s);
	assert_true(script_exchange(s) && s->opened);
	assert_int_equal(packet_exchange(s->packet), WIRE_IKE_AUTH);
}

/* Time passes without a wish of a's to try again: whatever is left now would stay for ever. */
static inline void settle(struct pair *p)
{
	if (p->a)
		connect_down(p->a);
	world_live(p->w, dur_s(300));
}

static inline void deliver_any(struct world *w)
{
	world_deliver(w, world_packet(w, 0));
}

/* What says that the other end is a warren: the value of docs/protocol/vendor-id.md. */
static inline struct bytes test_vendor(void)
{
	static const uint8_t id[] = { 0xf7, 0xfb, 0xe0, 0xb0, 0xc7, 0xc2, 0x87, 0xc7,
				      0x8e, 0x79, 0xc3, 0xbc, 0x0d, 0xd7, 0x22, 0x01 };

	return BYTES_OF(id);
}

enum { FAT_CERT = 1900 }; /* bytes, as with an RSA-4096 key and signature */

/* `n` certificates in all; the engine carries those behind the first without reading them. */
static inline void fat_certs(struct test_conf *c, struct ike_peer_conf *p, size_t n)
{
	uint8_t buf[FAT_CERT];

	for (size_t i = p->n_certs; i < n; i++) {
		for (size_t k = 0; k < sizeof(buf); k++)
			buf[k] = (uint8_t)(k * 7 + i);
		p->certs[i] = test_conf_dup(c, BYTES_OF(buf));
	}
	p->n_certs = n;
}

/* Both ends have so many certificates. */
static inline void fat_pair(struct pair *p, size_t n)
{
	pair_certs(p);
	fat_certs(p->ca, p->pa, n);
	fat_certs(p->cb, p->pb, n);
}

/* A state that cmocka hands to setup and teardown. */
static inline int setup_pair(void **state)
{
	static struct pair p;

	pair_init(&p, 1);
	*state = &p;
	return 0;
}

static inline int teardown_pair(void **state)
{
	pair_done(*state);
	return 0;
}

#define pair_test(fn) cmocka_unit_test_setup_teardown(fn, setup_pair, teardown_pair)
