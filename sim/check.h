/*
 * check.h - what must hold in every run.
 *
 * Always:
 *	1  an ESP packet that a machine accepts was sealed by the machine that its engine takes the
 *	   other end for, and its contents are what an application behind that end may send;
 *	2  nothing is accepted twice: neither a packet of the wire nor one of an application;
 *	3  nothing of an application can be read on the wire;
 *	4  the two ends of a child have each other's keys and selectors;
 *	5  an engine never reports a bug, and keeps the contract of ike.h;
 *	6  nobody has an inner address that another one has, and an endpoint keeps its own;
 *	7  a question between two sites is answered again, at the latest, scenario_bound() after
 *	   they and their hub run and have working lines; where the scenario says `swift`, that is a
 *	   second or two;
 *	8  where it says `lossless` or `prompt`, no packet is lost;
 *	9  without a mesh, or where the topology is a star, no site says anything to another one;
 *	   what comes straight from a site is from its own applications (1);
 *	10 where it says `prompt`, a direct path carries soon after the first packet: one round
 *	   trip through the hub, three direct ones, and 50 ms (time_for() in talk.c);
 *	15 two sites have one tunnel: two at once for no longer than TWINS_S while nothing is wrong
 *	   with either (direct.c); and none that a rule forbids.
 *
 * In each calm, when scenario_bound() and what SAs need to go quietly has passed:
 *	11 each site has one IKE SA with one hub, which has that one with it, and no other; one
 *	   child in it, installed at both ends; nothing is half-open;
 *	12 sites that talk to each other (in a mesh: all) have one IKE SA with each other and one
 *	   child in it, the same at both ends, and their hub forwards nothing of what they say,
 *	   unless their NATs are such that they cannot meet; sites that do not talk have none;
 *	13 machines hold as much memory as in the first calm, give or take tables that grew; with
 *	   a mesh nobody talks in the first calm and in the last one, where a hub remembers no
 *	   two sites, and this is measured closely;
 *	16 hubs that know each other have one SA, or one that each has called; their directories say
 *	   of each site where it is; each site has heard of all hubs (hubs.c).
 *
 * In the end of worlds without losses:
 *	14 so many words, probes and messages for each suggestion and no more (direct.c);
 *
 * and in the end all say farewell, no SA is left anywhere, and all memory is given back.
 */
#pragma once

#include "sim.h"

/* An IKE SA of a machine, with its children. */
enum { CHILDREN_MAX = 8 };

struct child_view {
	uint32_t in, out;
	bool installed;
};

struct sa_view {
	ike_sa_id id;
	struct machine *with;
	uint64_t spi_i, spi_r;
	bool initiator, established;
	struct endpoint local, remote;
	size_t n_children;
	struct child_view child[CHILDREN_MAX];
};

struct view {
	struct machine *m;
	enum {
		VIEW_ALL,
		VIEW_HUBS, /* those with hubs, or with nobody yet */
		VIEW_SITES, /* of a site: its tunnels with others */
	} which;
	struct sa_view *sa;
	size_t n, max;
};

/* calm.c; free `sa` with mem_libc. */
struct view view_of(struct machine *m, unsigned which);
/* What the SA is at both ends: NULL, or what is not so. */
const char *view_differ(const struct machine *m, const struct sa_view *a,
			const struct machine *other, const struct sa_view *b);

/* direct.c: NULL, or what is not as it should be when all is calm, and with whom. */
const char *direct_disagreement(struct machine *m, const struct machine **ret_with);
/* Of a hub: something of two sites that say nothing to each other is kept. */
bool direct_remembered(const struct machine *hub);
/* Each pair of sites, at any time: no two tunnels for long, none that a rule forbids. */
void check_tunnels(struct sim *s);
/* hubs.c: NULL, or what is not as it should be when all is calm, and with whom. */
const char *hubs_disagreement(const struct machine *hub, const struct view *hubs,
			      const struct machine **ret_with);
const char *hubs_unknown(const struct machine *site, const struct machine **ret_with);
/* In a scenario without losses. */
void check_frugal(const struct sim *s);

/* Prints what, when, what happened last at these machines (NULL: none), how to see it again; ends
 * the process. */
__attribute__((noreturn, format(printf, 4, 5))) void check_failed(const struct sim *s,
								  const struct machine *a,
								  const struct machine *b,
								  const char *fmt, ...);

/* The way between a machine and the internet works, or does not, or is another one. */
void check_line(struct machine *m);
/* It works still, or again, but is another one now. */
void check_way(struct machine *m);

void check_child_added(struct machine *m, const struct dp_child *c);
void check_child_gone(struct machine *m, dp_child_id id);
/* `m` accepted that on a child: rules 1 and 2. */
void check_accepted(struct machine *m, dp_child_id id, struct payload *p, struct bytes inner);
void check_event(struct machine *m, const struct ike_event *e);
void check_answered(struct machine *m);
void check_black_hole(struct machine *m);

void check_timer(struct sim *s);
/* All trouble ends and none begins until everything has settled. */
void check_calm(struct sim *s);
/* Nothing is left anywhere. */
void check_left(struct sim *s);
