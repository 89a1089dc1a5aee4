/*
 * lease.h - between the files that keep leases.
 *
 *	lease.c		whose each address is; SAs that come and go
 *	lease_give.c	which addresses an identity gets
 *	lease_store.c	what is under way to the store, and what it answers
 *	lease_pool.c	the pools of sections: reloads, and what the store had
 */
#pragma once

#include "ike/inner.h"
#include "policy/pool.h"

struct lease {
	struct map_node by_ident;
	struct list order; /* of its section's `all` */
	struct list node; /* of its section's `used` or `idle` */
	struct store *storing; /* NULL: the store has it */
	wall_t ended; /* idle: since when; 0: not known, the clock is not trusted yet */
	uint8_t v6[16];
	uint8_t v4[4];
	bool has[INNER_FAMILIES];
	bool stray[INNER_FAMILIES]; /* of no pool of its section any more; used ones only */
	bool used;
	bool stored_used; /* so does the store have it */
	uint8_t id_type;
	uint16_t n_id;
	uint32_t number;
	uint32_t since; /* seconds of 1970 as below */
	uint8_t id[];
};

struct leases {
	struct list node; /* of ike->pools */
	struct section *section;
	struct policy_pool *pool; /* NULL: it has none any more */
	struct policy_pool *next; /* while configurations change */
	struct policy_pool_at from[INNER_FAMILIES]; /* behind what others have up in front */
	bool changes;
	struct map by_ident;
	uint32_t number;
	uint32_t last; /* number of a lease */
	struct list all; /* by number */
	struct list used;
	struct list idle; /* those that ended first in front */
	struct list read; /* as they came from the store, until it has said all of them */
	bool unread; /* the store may have leases of this pool that we do not know */
	struct store *reading; /* is under way */
	size_t n_used;
};

/* An operation under way that somebody waits for. */
struct store {
	struct map_node by_id;
	uint64_t id;
	struct leases *in; /* NULL: the section is gone, and its leases with it */
	struct lease *lease; /* NULL: all of them are read */
	struct ip before[INNER_FAMILIES]; /* its addresses until then, */
	bool stray[INNER_FAMILIES]; /* and of no pool */
	bool fresh; /* there was no lease before */
	struct list waiters; /* attempts */
};

extern const uint8_t lease_family[INNER_FAMILIES];

/* ---- lease.c ------------------------------------------------------------------------------ */

/* Family 0: it has none. */
struct ip lease_address(const struct lease *l, unsigned family);
void lease_set_address(struct lease *l, unsigned family, const struct ip *ip);
bool lease_has_any(const struct lease *l);
struct policy_ident lease_ident(const struct lease *l);
void lease_say_addresses(struct text *t, const struct ip ip[INNER_FAMILIES]);
struct lease *lease_find(const struct leases *in, const struct policy_ident *id);

/* 0 while the clock is not trusted. */
wall_t lease_now(const struct ike *ike);
/* Idle, without an address.  NULL: no memory. */
struct lease *lease_new(struct ike *ike, struct leases *in, const struct policy_ident *id);
void lease_make_idle(struct ike *ike, struct leases *in, struct lease *l);
/* An address may be given to others. */
void lease_release(struct ike *ike, struct leases *in, const struct ip *ip, bool stray);
/* What is nobody's to give is nobody's to keep, once its SAs are gone. */
void lease_shed_strays(struct ike *ike, struct leases *in, struct lease *l);
/* Its addresses stay what they are in the pool. */
void lease_unlink(struct ike *ike, struct leases *in, struct lease *l);
void lease_drop(struct ike *ike, struct leases *in, struct lease *l);

/* ---- lease_store.c ------------------------------------------------------------------------ */

/* Nobody waits for it. */
void lease_store_aside(struct ike *ike, const struct leases *in, struct lease *l,
		       enum ike_store_kind kind);
/* The lease changes at once, but nobody uses it before the store has it. */
MUST enum status lease_change(struct ike *ike, struct leases *in, struct lease *l, bool fresh,
			      const struct ip picked[INNER_FAMILIES], struct store **ret_store);
/* Asks the store for the leases of a pool. */
MUST enum status leases_read(struct ike *ike, struct leases *in);
void lease_wait(struct store *s, struct attempt *at, inner_step *step);

/* ---- lease_pool.c ------------------------------------------------------------------------- */

/* A stray address may be of the pool of another section by now: nobody gets it there. */
void lease_mark_stray(struct ike *ike, const struct ip *ip, bool taken);
/* Of a section that is gone, to one of its name that has come since. */
void leases_hand_over(struct ike *ike, struct leases *in, struct lease *l);
/* The store has said all that it has, or will not. */
void leases_end_reading(struct leases *in);
/* What was picked, but for what it has. */
void leases_put_back(struct leases *in, const struct lease *l,
		     const struct ip picked[INNER_FAMILIES]);
