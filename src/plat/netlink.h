/*
 * netlink.h - links, addresses, routes and rules of one network namespace (rtnetlink(7)).
 *
 * One handle per namespace, used by one thread; every call waits for the kernel's answer, which
 * takes microseconds.  Additions never replace what is there (NLM_F_EXCL) and deletions name every
 * attribute, so that nothing of somebody else's is touched; what is ours can be recognised by its
 * `protocol` number.
 *
 * On failure `why` says what was tried and what the kernel had to say; plat_nl_errno() lets a
 * caller tell "it is there already" (EEXIST) from the rest.
 */
#pragma once

#include "base/base.h"

struct plat_nl;

MUST enum status plat_nl_new(int ns, struct text *why, struct plat_nl **ret_nl);
void plat_nl_free(struct plat_nl *nl);

/* The errno value of the last call. */
int plat_nl_errno(const struct plat_nl *nl);

/* ---- links and addresses ----------------------------------------------------------------- */

struct plat_link {
	int ifindex;
	char name[16];
	uint32_t mtu;
	bool up;
	bool running; /* up, with a carrier, and allowed to talk (RFC 2863) */
	bool loopback;
};

MUST enum status plat_link_get(struct plat_nl *nl, int ifindex, struct text *why,
			       struct plat_link *ret_link);
MUST enum status plat_link_set_mtu(struct plat_nl *nl, int ifindex, uint32_t mtu, struct text *why);
MUST enum status plat_link_up(struct plat_nl *nl, int ifindex, struct text *why);
/* No link-local IPv6 address of the kernel's making: nothing on a TUN would answer it. Must come
 * before the device is up. */
MUST enum status plat_link_no_link_local(struct plat_nl *nl, int ifindex, struct text *why);

struct plat_addr {
	int ifindex;
	struct ip ip;
	uint8_t len;
	uint8_t scope; /* RT_SCOPE_… */
	bool tentative; /* nothing may be sent from it, yet or ever: somebody else may have it */
	bool deprecated; /* about to go: for nothing new, while there is another (RFC 4862) */
	uint8_t protocol; /* whose doing it is; 0: nobody said, or the kernel is older than 5.18 */
};

/* The address of one host, on a device where nobody else can have it: usable at once. */
MUST enum status plat_addr_add(struct plat_nl *nl, int ifindex, const struct ip *ip,
			       uint8_t protocol, struct text *why);
MUST enum status plat_addr_del(struct plat_nl *nl, int ifindex, const struct ip *ip,
			       struct text *why);

/* Returning false stops a dump.  A visitor must not use the handle.  NULL: the list changed while
 * it was read; forget what was shown, it begins anew. */
typedef bool plat_addr_fn(void *ctx, const struct plat_addr *a);
MUST enum status plat_addr_each(struct plat_nl *nl, plat_addr_fn *fn, void *ctx, struct text *why);

/* ---- routes ------------------------------------------------------------------------------ */

enum plat_route_kind {
	PLAT_ROUTE_DEVICE,
	PLAT_ROUTE_UNREACHABLE,
	PLAT_ROUTE_THROW, /* go on with the next rule */
};

struct plat_route {
	enum plat_route_kind kind;
	struct prefix dst;
	uint32_t table;
	uint32_t metric; /* not 0: IPv6 takes that for 1024 */
	uint8_t protocol;
	int ifindex; /* DEVICE */
	struct ip src; /* DEVICE: preferred source address; family 0: none */
};

MUST enum status plat_route_add(struct plat_nl *nl, const struct plat_route *r, struct text *why);
MUST enum status plat_route_del(struct plat_nl *nl, const struct plat_route *r, struct text *why);

/* Routes of one table with this protocol, of the kinds above; others are not shown.  NULL as above.
 */
typedef bool plat_route_fn(void *ctx, const struct plat_route *r);
MUST enum status plat_route_each(struct plat_nl *nl, uint8_t family, uint32_t table,
				 uint8_t protocol, plat_route_fn *fn, void *ctx, struct text *why);

void plat_route_text(struct text *t, const struct plat_route *r);

/* What the kernel would do with a packet to `dst` that carries `mark`. */
struct plat_path {
	struct ip src; /* family 0: the host has no address for it */
	int ifindex;
	bool local; /* `dst` is the host's own */
	bool direct; /* without a gateway */
	uint32_t mtu; /* of the route if it has one, else of the device */
};

MUST enum status plat_route_get(struct plat_nl *nl, const struct ip *dst, uint32_t mark,
				struct text *why, struct plat_path *ret_path);
/* The same with a packet from `src`, which must be an address of the host, and out of `ifindex`,
 * unless that is 0.  Where no route of that device leads to an IPv4 address, the kernel takes it
 * for one on the link. */
MUST enum status plat_route_get_from(struct plat_nl *nl, const struct ip *dst, const struct ip *src,
				     int ifindex, uint32_t mark, struct text *why,
				     struct plat_path *ret_path);

/* ---- rules ------------------------------------------------------------------------------- */

/* What happens to a packet that a rule fits. */
enum plat_rule_action {
	PLAT_RULE_TABLE, /* looked up in `table`; goes on with the next rule if that throws it */
	PLAT_RULE_GOTO, /* goes on at the rule of priority `target`; inert while there is none */
	PLAT_RULE_NOP, /* goes on with the next */
};

/* A packet fits when all that is set does. */
struct plat_rule {
	uint8_t family;
	enum plat_rule_action action;
	uint32_t priority;
	uint32_t table; /* TABLE */
	uint32_t target; /* GOTO: a higher priority */
	uint32_t not_mark; /* with `mask`: packets that do not carry this mark */
	uint32_t mask; /* 0: whatever the mark */
	bool own; /* packets that this host sends, not those it forwards */
	struct prefix from; /* source; family 0: any, also one that is not chosen yet */
	uint8_t ip_proto; /* 0: any */
	uint16_t sport, dport; /* 0: any */
	uint8_t protocol;
};

MUST enum status plat_rule_add(struct plat_nl *nl, const struct plat_rule *r, struct text *why);
/* Removes one rule that has all this. */
MUST enum status plat_rule_del(struct plat_nl *nl, const struct plat_rule *r, struct text *why);

/* Rules with this protocol, in their order; one that has more to it than plat_rule can say has
 * `table` 0.  NULL as above. */
typedef bool plat_rule_fn(void *ctx, const struct plat_rule *r);
MUST enum status plat_rule_each(struct plat_nl *nl, uint8_t family, uint8_t protocol,
				plat_rule_fn *fn, void *ctx, struct text *why);
bool plat_rule_eq(const struct plat_rule *a, const struct plat_rule *b);

/* ---- watching ---------------------------------------------------------------------------- */

/*
 * Tells that something changed, not what: whoever cares looks.  Of one's own changes it tells as
 * well.
 */
enum plat_watch_what {
	PLAT_WATCH_LINKS = 1,
	PLAT_WATCH_ADDRS = 2,
	PLAT_WATCH_RULES = 4,
	PLAT_WATCH_ROUTES = 8, /* of tables above 255 */
	PLAT_WATCH_LINK = 16, /* the one of plat_watch_link(); cannot be asked for alone */
	PLAT_WATCH_MAIN = 32, /* routes of the table main */
	/* Routes of the table local.  A new address is heard of before it has its own; only then
	 * what is sent to it arrives. */
	PLAT_WATCH_LOCAL = 64,
};

struct plat_watch;

/* `what` is a set of the above. */
MUST enum status plat_watch_new(int ns, unsigned what, struct text *why,
				struct plat_watch **ret_watch);
void plat_watch_free(struct plat_watch *w);
/* With LINKS: news of this one are told apart. */
void plat_watch_link(struct plat_watch *w, int ifindex);
/* Of ROUTES, those of this table (above 255) alone: others may change a thousand times a second. */
void plat_watch_table(struct plat_watch *w, uint32_t table);
/* Readable when there is news. */
int plat_watch_fd(const struct plat_watch *w);
/* Takes all news; the set of what changed.  Everything that is watched when some were lost. */
unsigned plat_watch_read(struct plat_watch *w);
