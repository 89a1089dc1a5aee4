/*
 * partner.h - two sites of a hub that are each other's partners (include after exchange.h).
 *
 *	10.1.0.0/16 -- b, site-1.example ==\\=== hub
 *	               192.0.2.11 ||       //
 *	               192.0.2.12 ||      //
 *	10.2.0.0/16 -- c, site-2.example ==
 *
 * The hub's word is the test's: both get the same id and keys.  b calls.
 */
#pragma once

#include "harness/star.h"

struct duo {
	struct star s;
	struct world *w;
	struct node *hub, *b, *c;
	struct ike_partner say_b, say_c; /* what the hub tells each about the other */
	ike_peer_id at_b, at_c; /* the partner there; 0: not added */
};

static inline struct ike_partner duo_word(struct node *n, unsigned own, unsigned other)
{
	struct ike_partner p = { .network = STAR_PEER };
	char text[32];

	snprintf(text, sizeof(text), "site-%u.example", own);
	p.local_id = test_conf_ident(n->conf, text);
	snprintf(text, sizeof(text), "site-%u.example", other);
	p.remote_id = test_conf_ident(n->conf, text);
	snprintf(text, sizeof(text), "10.%u.0.0/16", own);
	p.ts_local = test_conf_ts(n->conf, text);
	snprintf(text, sizeof(text), "10.%u.0.0/16", other);
	p.ts_remote = test_conf_ts(n->conf, text);
	memset(p.id, 0x5a, sizeof(p.id));
	memset(p.proof_key, 0x17, sizeof(p.proof_key));
	memset(p.ppk, 0x33, sizeof(p.ppk));
	return p;
}

/* What differs from the ordinary; NULL: nothing. */
typedef void duo_hub_fn(struct star *s);
typedef void duo_site_fn(struct star_site *site);

static inline struct node *duo_site(struct star *s, unsigned number, duo_site_fn *change)
{
	struct star_site site = star_site(s, number, NULL, NULL);
	struct node *n;

	if (change)
		change(&site);
	n = star_start(s, &site);
	world_run(s->w);
	return n;
}

static inline void duo_begin_as(struct duo *d, uint64_t seed, duo_hub_fn *hub, duo_site_fn *site)
{
	*d = (struct duo){ 0 };
	star_init(&d->s, seed);
	if (hub)
		hub(&d->s);
	star_hub(&d->s);
	d->w = d->s.w;
	d->hub = d->s.hub;
	d->b = duo_site(&d->s, 1, site);
	d->c = duo_site(&d->s, 2, site);
	d->say_b = duo_word(d->b, 1, 2);
	d->say_c = duo_word(d->c, 2, 1);
}

/* With the hub and both sites up, and nobody added. */
static inline void duo_begin(struct duo *d, uint64_t seed)
{
	duo_begin_as(d, seed, NULL, NULL);
	assert_true(star_is_up(&d->s, d->b, 1) && star_is_up(&d->s, d->c, 2));
}

static inline void duo_add_b(struct duo *d)
{
	assert_int_equal(node_partner_add(d->b, &d->say_b, &d->at_b), ST_OK);
	assert_true(d->at_b >= IKE_PEER_DYNAMIC);
}

static inline void duo_add_c(struct duo *d)
{
	assert_int_equal(node_partner_add(d->c, &d->say_c, &d->at_c), ST_OK);
}

static inline void duo_add(struct duo *d)
{
	duo_add_b(d);
	duo_add_c(d);
}

static inline struct endpoint duo_at(const struct node *n)
{
	return (struct endpoint){ n->address[0], 4500 };
}

static inline void duo_call(struct duo *d)
{
	struct endpoint from = duo_at(d->b), to = duo_at(d->c);

	assert_int_equal(node_partner_connect(d->b, d->at_b, &from, &to), ST_OK);
}

static inline const char *duo_state(const struct node *n, ike_peer_id id)
{
	return node_peer(n, id).state;
}

struct duo_sas {
	size_t n;
	struct ike_sa_info last;
};

static inline bool duo_visit(void *ctx, const struct ike_sa_info *info)
{
	struct duo_sas *v = ctx;

	v->n++;
	v->last = *info;
	return true;
}

static inline struct duo_sas duo_sas(const struct node *n, ike_peer_id id)
{
	struct duo_sas v = { 0 };

	ike_each_sa_of(n->ike, n->w->now, id, duo_visit, &v);
	return v;
}

/* The installed child of the partner; NULL: none. */
static inline const struct dp_child *duo_child(const struct node *n, ike_peer_id id)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.peer == id)
			return &n->child[i].child;
	return NULL;
}

static inline bool duo_carries(const struct duo *d)
{
	return node_events(d->b, IKE_EV_CARRIES) == 1 && node_events(d->c, IKE_EV_CARRIES) == 1;
}

/* Added, called, up and carrying. */
static inline void duo_up(struct duo *d, uint64_t seed)
{
	duo_begin(d, seed);
	duo_add(d);
	duo_call(d);
	world_run(d->w);
	assert_true(duo_carries(d));
}

static inline void duo_done(struct duo *d)
{
	star_done(&d->s);
}

/* From 10.1.0.1 to 10.2.0.1, and back: directly, by the hub. */
static inline bool duo_direct(struct duo *d)
{
	return world_ping(d->w, d->b, "10.1.0.1", d->c, "10.2.0.1") &&
	       world_ping(d->w, d->c, "10.2.0.1", d->b, "10.1.0.1");
}

static inline bool duo_by_hub(struct duo *d)
{
	return star_ping(&d->s, d->b, 1, d->c, 2) && star_ping(&d->s, d->c, 2, d->b, 1);
}

/* What is lost between b and c; bits. */
enum { LOSE_ESP = 1, LOSE_IKE = 2, LOSE_ALL = 3 };

static inline bool duo_lost(const struct duo *d, const struct packet *p, unsigned lost)
{
	const struct ip *b = &d->b->address[0], *c = &d->c->address[0];
	bool between = (ip_eq(&p->src.ip, b) && ip_eq(&p->dst.ip, c)) ||
		       (ip_eq(&p->src.ip, c) && ip_eq(&p->dst.ip, b));

	return between && lost & (p->esp ? LOSE_ESP : LOSE_IKE);
}

/* Time passes; what is under way arrives within 5 ms, but for what is lost. */
static inline void duo_live(struct duo *d, int64_t ms, unsigned lost)
{
	for (int64_t t = 0; t < ms; t += 5) {
		for (struct packet *p; (p = world_packet(d->w, 0)) != NULL;)
			if (duo_lost(d, p, lost))
				world_drop(d->w, p);
			else
				world_deliver(d->w, p);
		world_advance(d->w, dur_ms(5));
	}
}

/* One PARTNER_OVER, with that reason. */
#define duo_over(node, why)                                                                        \
	do {                                                                                       \
		assert_int_equal(node_events(node, IKE_EV_PARTNER_OVER), 1);                       \
		because(node, IKE_EV_PARTNER_OVER, why);                                           \
	} while (0)

/* Nothing of it is left but what the hub knows. */
static inline void duo_is_over(struct duo *d)
{
	assert_null(d->at_b ? duo_child(d->b, d->at_b) : NULL);
	assert_null(d->at_c ? duo_child(d->c, d->at_c) : NULL);
	assert_true(duo_by_hub(d));
}

static inline void duo_drop(struct duo *d)
{
	if (d->at_b)
		node_partner_drop(d->b, d->at_b, "dropped by the test");
	if (d->at_c)
		node_partner_drop(d->c, d->at_c, "dropped by the test");
	d->at_b = d->at_c = 0;
}
