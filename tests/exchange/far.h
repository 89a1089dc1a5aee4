/*
 * far.h - a network on which everything takes as long (include after exchange.h).
 */
#pragma once

#include "harness/harness.h"

enum { FAR_PACKETS = 1024 };

struct far {
	int64_t half; /* of the round trip, in milliseconds */
	int64_t now;
	unsigned seen; /* id of the last datagram that was sent, */
	int64_t due[FAR_PACKETS]; /* and when it arrives */
	struct node *hub; /* hands on what sites 1 and 2 have for each other; NULL: none does */
	struct ip one, other;
	unsigned n_ike; /* datagrams between these two that are no ESP */
};

static inline void far_sent(struct far *f, const struct packet *p)
{
	bool there = ip_eq(&p->src.ip, &f->one) && ip_eq(&p->dst.ip, &f->other);
	bool back = ip_eq(&p->src.ip, &f->other) && ip_eq(&p->dst.ip, &f->one);

	f->seen = p->id;
	f->due[p->id % FAR_PACKETS] = f->now + f->half;
	f->n_ike += !p->esp && (there || back);
}

static inline void far_deliver(struct world *w, struct far *f, struct packet *p)
{
	unsigned before = f->hub ? f->hub->inner_seen : 0;
	bool of_one;

	world_deliver(w, p);
	if (!f->hub || f->hub->inner_seen == before)
		return;
	of_one = f->hub->inner[13] == 1;
	node_packet(f->hub, of_one ? "10.1.0.1" : "10.2.0.1", of_one ? "10.2.0.1" : "10.1.0.1");
}

/* Time passes; what is under way longer than that is kept under way. */
static inline void far_live(struct world *w, struct far *f, int64_t ms)
{
	for (int64_t end = f->now + ms; f->now < end; f->now++) {
		for (size_t i = 0; i < world_packets(w); i++)
			if (world_packet(w, i)->id > f->seen)
				far_sent(f, world_packet(w, i));
		for (struct packet *p; (p = world_packet(w, 0)) && p->id <= f->seen &&
				       f->due[p->id % FAR_PACKETS] <= f->now;)
			far_deliver(w, f, p);
		world_advance(w, dur_ms(1));
	}
}
