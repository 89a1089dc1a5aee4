/*
 * trace.h - a transcript of a world: what the golden traces compare.
 *
 * Every datagram with its bytes and its meaning, every data-plane operation and every event, in
 * the order in which they happened, with virtual time.
 */
#pragma once

#include "harness/harness.h"
#include "harness/textbuf.h"

/* Starts or ends (NULL) a transcript. `t` must outlive it. */
void world_trace(struct world *w, struct text_buf *t);
/* A remark of the test. */
void world_note(struct world *w, const char *text);
