/*
 * internal.h - between the files of the harness.
 */
#pragma once

#include "harness/harness.h"

/* outputs.c: everything the engine puts out is carried out, and what is ready is answered. */
void node_drain(struct node *n);
void node_pendings_free(struct node *n);
void node_report_later(struct node *n, const struct dp_report *r);

/* engine.c: a node's engine, through its mesh if it has one */
MUST enum status engine_new(struct node *n);
void engine_free(struct node *n);
void engine_input(struct node *n, const struct ike_datagram *d);
void engine_dp(struct node *n, const struct dp_report *r);
void engine_timer(struct node *n);
void engine_network(struct node *n);
MUST enum status engine_reconfigure(struct node *n, struct test_conf *conf);
void engine_next(struct node *n, struct ike_out *ret_out);
mono_t engine_deadline(const struct node *n);

/* net.c */
void world_send_esp(struct world *w, const struct endpoint *local, const struct endpoint *remote,
		    struct bytes data);
void world_send(struct world *w, struct node *n, const struct ike_out *o);

/* look.c */
bool node_owns(const struct node *n, const struct ip *ip);

/* traffic.c: the data plane */
void dp_start(struct node *n);
void dp_submit(struct node *n, const struct dp_op *op, struct pending *p);
/* When it looks for silence the next time, if it does by itself; and that it does now. */
mono_t dp_deadline(const struct node *n);
void dp_look(struct node *n);
/* Packets it sends go into the queue, reports into the engine. */
void dp_pump(struct node *n);
void dp_input(struct node *n, const struct endpoint *local, const struct endpoint *remote,
	      struct bytes packet);

/* record.c */
void record_output(struct node *n, const struct ike_out *o);
void record_dp(struct node *n, const struct dp_op *op);
void record_event(struct node *n, const struct ike_event *ev);
void record_ask(struct node *n, uint64_t id);
void record_asked(struct node *n, const struct ike_out *o);
void record_answered(struct node *n, const struct ike_out *o);
void record_keys(struct node *n, const struct ike_out *o);

/* keep.c: the store, and what a gateway gives */
void lease_copy(struct node *n, const struct ike_store_op *op, struct node_lease *ret);
void store_carry_out(struct node *n, const struct pending *p);
void store_load(struct node *n);
void record_inner(struct node *n, const struct ike_inner *in);

/* transcript of one output, when the world keeps one (trace.c) */
void trace_output(struct node *n, const struct ike_out *o);
void trace_packet(struct world *w, const struct packet *p);
