/*
 * mesh_town_hubs.h - other hubs of a town (mesh_town.h), whose words are the test's.
 *
 * The town's own is "hub.example".  Another one is a citizen from TOWN_HUB on, "hub-a.example",
 * "hub-b.example" and so on, with address blocks for the domain.
 */
#pragma once

#include "mesh_town.h"

#include <stdio.h>

enum { TOWN_HUB = 1000 };

#define HUBS WIRE_N_SHORTCUT_HUBS
#define DIRECTORY WIRE_N_SHORTCUT_DIRECTORY
#define RELAY WIRE_N_SHORTCUT_RELAY
#define REPORT WIRE_N_SHORTCUT_REPORT

static inline struct wire_mesh_ident ident_of_citizen(struct town *t, unsigned n)
{
	const struct policy_ident *id = &citizen(t, n)->ident;

	return (struct wire_mesh_ident){ id->type, id->data };
}

static inline struct wire_ts_list town_domain(const struct town *t)
{
	return t->section.domain;
}

/* Number k of them, not up yet. */
static inline struct citizen *town_hub(struct town *t, unsigned k)
{
	struct citizen *c = citizen(t, TOWN_HUB + k);

	snprintf(c->name, sizeof(c->name), "hub-%c.example", 'a' + (int)k);
	c->ident.data = bytes_str(c->name);
	c->capabilities = IKE_CAN_HUB | IKE_CAN_RELAY;
	c->blocks = town_domain(t);
	c->served[IKE_AUTHORITY_CERT] = town_domain(t);
	return c;
}

/* The town is a hub that says where it is. */
static inline void town_is_hub(struct town *t)
{
	static const char *const at[] = { "192.0.2.1" };

	t->section.local_id = (struct policy_ident){ WIRE_ID_FQDN, bytes_str("hub.example") };
	t->network.announce = at;
	t->network.n_announce = 1;
	t->network.port = 500;
}

/* To the newest word of that kind. */
static inline void town_hub_accepts(struct town *t, unsigned n, uint16_t kind)
{
	struct heard *h = town_heard(t, n, kind);
	struct wire_mesh msg = { 0 };

	assert_non_null(h);
	assert_int_not_equal(h->id, 0);
	memcpy(msg.id, h->msg.id, sizeof(msg.id));
	town_answers(t, h, ST_OK, WIRE_N_SHORTCUT_ACCEPT, &msg);
}

static inline void town_hub_refuses(struct town *t, unsigned n, uint16_t kind,
				    enum wire_mesh_reason reason)
{
	struct heard *h = town_heard(t, n, kind);
	struct wire_mesh msg = { .present = WIRE_MESH_BIT(REASON), .reason = (uint16_t)reason };

	assert_non_null(h);
	assert_int_not_equal(h->id, 0);
	memcpy(msg.id, h->msg.id, sizeof(msg.id));
	town_answers(t, h, ST_OK, WIRE_N_SHORTCUT_REFUSED, &msg);
}

/* Where it is. */
static inline struct wire_mesh_hub town_hub_at(struct town *t, unsigned n, uint8_t last)
{
	return (struct wire_mesh_hub){ .id = ident_of_citizen(t, n),
				       .at = { { 500, { 4, { 192, 0, 2, last } }, { NULL, 0 } } },
				       .n_at = 1 };
}

static inline void town_says_hubs(struct town *t, unsigned n, uint64_t sequence,
				  const struct wire_mesh_hub *hubs, size_t n_hubs)
{
	const struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) |
						   WIRE_MESH_BIT(CONTEXT) |
						   (n_hubs ? WIRE_MESH_BIT(HUB) : 0),
					.context = bytes_str("corp"),
					.sequence = sequence,
					.hubs = hubs,
					.n_hubs = n_hubs };

	town_says(t, n, HUBS, &word);
}

/* Citizen n is there, up since `epoch`. */
static inline struct wire_mesh_member town_member(struct town *t, unsigned n, uint64_t epoch)
{
	struct citizen *c = citizen(t, n);

	return (struct wire_mesh_member){ .op = WIRE_MESH_MEMBER_UP,
					  .epoch = epoch,
					  .boot = c->boot,
					  .capabilities = IKE_CAN_PARTNER,
					  .id = ident_of_citizen(t, n),
					  .ts = { { IKE_AUTHORITY_CERT, { c->ts, 1, 0 } } },
					  .n_ts = 1 };
}

static inline struct wire_mesh_member town_gone(struct town *t, unsigned n)
{
	return (struct wire_mesh_member){ .op = WIRE_MESH_MEMBER_GONE,
					  .epoch = 1,
					  .id = ident_of_citizen(t, n) };
}

#define TOWN_ANEW ((struct wire_mesh_member){ .op = WIRE_MESH_MEMBERS_ANEW })

static inline void town_says_members(struct town *t, unsigned hub, uint64_t sequence,
				     const struct wire_mesh_member *v, size_t n)
{
	const struct wire_mesh word = { .present = WIRE_MESH_BIT(SEQUENCE) |
						   WIRE_MESH_BIT(CONTEXT) | WIRE_MESH_BIT(MEMBER),
					.context = bytes_str("corp"),
					.sequence = sequence,
					.members = v,
					.n_members = n };

	town_says(t, hub, DIRECTORY, &word);
}

/* ---- looking ------------------------------------------------------------------------------- */

struct town_text {
	char buf[1024];
	struct text t;
};

static inline bool town_add_member(void *ctx, const struct mesh_member_info *info)
{
	struct town_text *l = ctx;

	text_fmt(&l->t, "%s", l->t.n ? " " : "");
	policy_ident_text(&l->t, &info->identity);
	if (info->at.type) {
		text_fmt(&l->t, info->peer ? "!" : "@");
		policy_ident_text(&l->t, &info->at);
	}
	return true;
}

/* "site-1.example site-9.example@hub-a.example" */
static inline const char *town_directory(const struct town *t)
{
	static struct town_text l;

	l.t = TEXT_OF(l.buf);
	mesh_each_member(t->mesh, town_add_member, &l);
	return l.buf;
}

static inline bool town_add_hub(void *ctx, const struct mesh_network *network,
				const struct wire_mesh_hub *hub, bool connected)
{
	struct town_text *l = ctx;

	(void)network;
	text_fmt(&l->t, "%s%.*s%s", l->t.n ? " " : "", (int)hub->id.data.n,
		 (const char *)hub->id.data.p, connected ? "*" : "");
	return true;
}

/* Those that say where they are; a star where it is connected. */
static inline const char *town_hubs(const struct town *t)
{
	static struct town_text l;

	l.t = TEXT_OF(l.buf);
	mesh_each_hub(t->mesh, town_add_hub, &l);
	return l.buf;
}
