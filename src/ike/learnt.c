/*
 * learnt.c - names of hubs that hubs told us of (docs/protocol/shortcut.md section 9.1): a section
 * tries them behind those of its configuration (peer.c).
 */
#include "ike/internal.h"

static bool is_named(const struct peer *p, const struct learnt *l, const struct ike_hub_place *at)
{
	for (size_t i = 0; i < p->conf->n_addresses; i++)
		if (at->port == p->conf->port && strcmp(p->conf->addresses[i], at->name) == 0)
			return true;
	for (size_t i = 0; i < l->n; i++)
		if (at->port == l->port[i] && strcmp(l->name[i], at->name) == 0)
			return true;
	return false;
}

static void learnt_free(struct ike *ike, struct learnt *l)
{
	for (size_t i = 0; l && i < l->n; i++)
		mem_free(ike->mem, l->name[i]);
	mem_free(ike->mem, l);
}

static enum status learnt_add(struct ike *ike, struct learnt *l, const struct ike_hub_place *at)
{
	struct bytes copy;

	if (mem_dup(ike->mem, bytes_of(at->name, strlen(at->name) + 1), &copy))
		return ST_NOMEM;
	l->port[l->n] = at->port;
	l->name[l->n++] = (char *)(uintptr_t)copy.p;
	return ST_OK;
}

enum status peer_learns(struct ike *ike, struct peer *p, const struct ike_hub_place *at, size_t n)
{
	struct learnt *l = mem_new(ike->mem, sizeof(*l));
	enum status st = l ? ST_OK : ST_NOMEM;

	for (size_t i = 0; i < n && !st && l->n < IKE_MAX_HUBS; i++)
		if (!is_named(p, l, &at[i]))
			st = learnt_add(ike, l, &at[i]);
	if (st) {
		learnt_free(ike, l);
		return st;
	}
	learnt_free(ike, p->section->learnt);
	p->section->learnt = l;
	return ST_OK;
}

void peer_forgets(struct ike *ike, struct section *s)
{
	learnt_free(ike, s->learnt);
	s->learnt = NULL;
}
