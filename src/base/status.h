/*
 * status.h - what a fallible function tells its caller.
 *
 * A code names the reaction, not the cause: the caller does not branch on why something failed
 * but on what has to be done about it.  The cause travels separately, as a counter, a trace point
 * or a `struct text` for the operator.
 */
#pragma once

enum status {
	ST_OK = 0,
	ST_DROP,   /* the input is not acceptable: drop it, count it, change nothing */
	ST_REFUSE, /* the exchange fails with an answer to the peer; the SA goes on */
	ST_KILL,   /* this SA cannot go on */
	ST_NOMEM,  /* out of memory, or a limit of limits.h was reached */
	ST_AGAIN,  /* nothing there now; ask again after the next event */
	ST_INVAL,  /* the caller's (operator's) input is wrong; text says where */
	ST_IO,     /* the operating system refused; text says what */
	ST_BUG,    /* a broken invariant of ours: log, count, fail this SA only */
};

#define MUST __attribute__((warn_unused_result))

/* A constant name, e.g. "drop"; never NULL. */
const char *status_name(enum status st);
