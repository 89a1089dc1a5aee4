/*
 * child.h - between the two files of child SAs; what others may call is in internal.h.
 *
 *	child.c		its life: made, in use, replaced, leaving
 *	child_dp.c	its twin in the data plane: what that is told, and what it answers
 */
#pragma once

#include "ike/internal.h"

/* ---- child_dp.c --------------------------------------------------------------------------- */

/* The operation that makes it, in `ob`. */
MUST enum status child_dp_add(struct ike *ike, const struct child *c, const struct child_params *p,
			      struct outbox *ob, uint64_t *ret_op);
/* The answer that counts from now on. */
void child_dp_expect(struct ike *ike, struct child *c, uint64_t op, enum dp_op_kind kind);
/* Out of the data plane; what there is no memory for is tried again (child_pay_owed). */
void child_dp_gone(struct ike *ike, struct child *c);
/* Never sends again. Without the operation it has to go at once. */
void child_dp_quiet(struct ike *ike, struct child *c);

/* ---- child.c ------------------------------------------------------------------------------ */

/* The answer to ADD. */
void child_added(struct ike *ike, struct child *c, enum status st);
/* The data plane cannot carry what was negotiated: the peer is told, and who wants it asks again.
 */
void child_refused(struct ike *ike, struct child *c, const char *what, enum status st);
