/*
 * hubs.h - what the tests of redirects (RFC 5685) share.
 *
 *	site-1.example ====== hub.example	192.0.2.1, 2001:db8::1
 *	192.0.2.11	   \\
 *	2001:db8::11	    == hub2.example	192.0.2.2, 2001:db8::2
 *
 * Sites know hub.example alone; hub2.example is a hub because of the blocks in its certificate.
 */
#pragma once

#include "exchange/exchange.h"
#include "harness/star.h"
#include "ike/limits.h"

#define HUB "192.0.2.1"
#define HUB2 "192.0.2.2"

struct hubs {
	struct star s; /* with the first one */
	struct test_conf *c2;
	struct ike_peer_conf *p2;
	struct node *hub2;
};

static inline int setup_hubs(void **state)
{
	static struct hubs h;
	struct star *s = &h.s;

	h = (struct hubs){ 0 };
	star_init(s, 1);
	h.c2 = test_conf_new();
	h.p2 = test_conf_peer(h.c2, STAR_PEER, "corp", NULL, "hub2.example", "%any", 0);
	test_conf_cert_blocks(h.c2, h.p2, STAR_HUB_KEY + 7, STAR_CA, STAR_CA, "10.0.0.0/8");
	h.p2->role = IKE_ROLE_MEMBERS;
	h.p2->domain = h.p2->ts_local = test_conf_ts(h.c2, "10.0.0.0/8");
	h.p2->ts_remote = test_conf_ts(h.c2, "0.0.0.0/0 ::/0");
	world_name(s->w, "hub.example.net", HUB);
	world_name(s->w, "hub2.example.net", HUB2);
	*state = &h;
	return 0;
}

static inline int teardown_hubs(void **state)
{
	struct hubs *h = *state;

	if (!h->hub2)
		ike_conf_unref(&h->c2->conf);
	star_done(&h->s);
	return 0;
}

#define hubs_test(fn) cmocka_unit_test_setup_teardown(fn, setup_hubs, teardown_hubs)

static inline void send_to(struct test_conf *c, struct ike_peer_conf *p, const char *gateway)
{
	const char *v[] = {
		(const char *)test_conf_dup(c, bytes_of(gateway, strlen(gateway) + 1)).p
	};

	p->redirect_to = (const void *)test_conf_dup(c, BYTES_OF(v)).p;
	p->n_redirect_to = 1;
}

static inline void start_hubs(struct hubs *h)
{
	static const char *const one[] = { HUB, "2001:db8::1", NULL };
	static const char *const two[] = { HUB2, "2001:db8::2", NULL };

	h->s.hub = world_node(h->s.w, "hub", one, h->s.ch);
	h->hub2 = world_node(h->s.w, "hub2", two, h->c2);
}

static inline struct star_site a_site(struct hubs *h, unsigned number)
{
	struct star_site site = star_site(&h->s, number, NULL, NULL);

	site.p->follow = true;
	return site;
}

static inline struct node *start_site(struct hubs *h, const struct star_site *site)
{
	static const char *const names[] = { "site0", "site1", "site2", "site3",
					     "site4", "site5", "site6" };
	char four[32], six[32];
	const char *const at[] = { four, six, NULL };

	snprintf(four, sizeof(four), "192.0.2.%u", 10 + site->number);
	snprintf(six, sizeof(six), "2001:db8::%u", 10 + site->number);
	return world_node(h->s.w, names[site->number], at, site->c);
}

static inline struct node *join(struct hubs *h, unsigned number)
{
	struct star_site site = a_site(h, number);
	struct node *n = start_site(h, &site);

	world_run(h->s.w);
	return n;
}

/* By that hub and no other, with traffic both ways. */
static inline bool served_by(struct hubs *h, struct node *site, unsigned number, struct node *hub)
{
	struct node_sa sa[4];
	char from[32];
	size_t n = node_sas(site, sa, ARRAY_LEN(sa));

	snprintf(from, sizeof(from), "10.%u.0.1", number);
	return n == 1 && sa[0].info.established && sa[0].info.n_children == 1 &&
	       ip_eq(&sa[0].info.remote.ip,
		     &hub->address[sa[0].info.remote.ip.family == 4 ? 0 : 1]) &&
	       world_ping(h->s.w, site, from, hub, "10.250.0.1") &&
	       world_ping(h->s.w, hub, "10.250.0.1", site, from);
}

static inline enum status order(struct node *hub, ike_peer_id peer, const char *gateway)
{
	struct ike_cmd cmd = { .kind = IKE_CMD_REDIRECT, .peer = peer, .gateway = gateway };

	return node_cmd(hub, &cmd);
}
