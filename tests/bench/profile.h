/*
 * profile.h - where the time of a responder goes, part by part.
 *
 * At each moment exactly one part is on the clock, so parts sum up to the whole.  A part begins
 * where the engine, the provider or the data plane is entered: the linker leads calls of a few
 * functions (the codec's, libcrypto's for certificates) here first (-Wl,--wrap, meson.build), the
 * operations of a provider are called through a table of ours, and the bench says the rest.
 *
 * The clock is read some hundred times for a set-up, which costs a few microseconds: the table is
 * for shares, P4 for the figure.
 */
#pragma once

#include "crypto/crypto.h"

enum part {
	PART_ELSE, /* the engine itself, its events, the bench's host */
	PART_PARSE,
	PART_BUILD,
	PART_SEAL, /* and open */
	PART_KEYS, /* prf, hash, random bytes */
	PART_KE,
	PART_SIGN,
	PART_VERIFY, /* of AUTH, and whose certificate it is */
	PART_PATH, /* certificates read and checked up to the anchor */
	PART_DP,
	PARTS,
};

/* Names such as "key exchange". */
extern const char *const profile_names[PARTS];

/* Nothing counts before; what is on the clock then is PART_ELSE. */
void profile_start(void);
void profile_stop(void);
void profile_clear(void);
/* Puts a part on the clock; returns the one before, for when this is over. */
enum part profile_enter(enum part p);
/* Microseconds since profile_clear(), and how often the clock was read for it. */
double profile_us(enum part p);
uint64_t profile_reads(void);

/* A provider that does what `c` does, on the clock of its parts. */
struct crypto profile_crypto(struct crypto c);
enum part profile_of_job(enum crypto_job_kind kind);
