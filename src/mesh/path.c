/*
 * path.c - candidates and probes.
 */
#include "mesh/site.h"

void probe_input(struct mesh *m, const struct ike_datagram *d)
{
	(void)m;
	(void)d;
}

void probe_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	(void)t;
}
