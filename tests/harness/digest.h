/*
 * digest.h - a running hash over everything that engines put out: equal runs end with the same one.
 */
#pragma once

#include "ike/ike.h"

/* Adds one output of the node of that name. */
void digest_output(uint64_t *hash, const char *who, const struct ike_out *o);
/* Adds anything else. */
void digest_bytes(uint64_t *hash, struct bytes b);
