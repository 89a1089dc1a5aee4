/*
 * internal.h - between the files of the harness.
 */
#pragma once

#include "harness/harness.h"

/* outputs.c: everything the engine puts out is carried out, and what is ready is answered. */
void node_drain(struct node *n);
void node_pendings_free(struct node *n);

/* net.c */
void world_send(struct world *w, struct node *n, const struct ike_out *o);

/* look.c */
bool node_owns(const struct node *n, const struct ip *ip);

/* record.c */
void record_output(struct node *n, const struct ike_out *o);
void record_dp(struct node *n, const struct dp_op *op);
void record_event(struct node *n, const struct ike_event *ev);
void record_keys(struct node *n, const struct ike_out *o);

/* transcript of one output, when the world keeps one (trace.c) */
void trace_output(struct node *n, const struct ike_out *o);
void trace_packet(struct world *w, const struct packet *p);
