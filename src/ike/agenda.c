/*
 * agenda.c - what an SA still has to do, as wishes.
 */
#include "ike/internal.h"

void child_want_rekey(struct ike *ike, struct child *c)
{
	(void)ike;
	c->rekey.on = true;
}

void child_want_delete(struct ike *ike, struct child *c, const char *why)
{
	struct ike_sa *sa = c->sa;
	uint32_t spi = c->spi_in;

	child_remove(ike, c, why);
	info_delete_child(ike, sa, spi, why);
}

void sa_want_rekey(struct ike *ike, struct ike_sa *sa)
{
	(void)ike;
	sa->rekey.on = true;
}

void sa_want_child(struct ike *ike, struct ike_sa *sa)
{
	(void)ike;
	sa->more.on = true;
}
