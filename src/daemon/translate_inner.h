/*
 * translate_inner.h - the part of translate.c that is about inner addresses.
 */
#pragma once

#include "conf/conf.h"
#include "ike/ike.h"

/* What is given out: pool, name servers, names. */
MUST enum status translate_inner(struct arena *ar, const struct conf_inner *from,
				 struct ike_peer_conf *to);
/* What is asked for.  `ask`: of the families that can pass; addresses: of theirs. */
void translate_virtual(const struct conf_peer *from, struct ike_peer_conf *to);
/* Name servers have their addresses already, and so has this host. */
MUST enum status translate_reserve(struct arena *ar, const struct ip *own, size_t n,
				   struct ike_peer_conf *p);
