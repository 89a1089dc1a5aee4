/*
 * directory.c - the members of a hub: who they are, what they serve, where they can be reached, and
 * since when.
 */
#include "mesh/hub.h"

enum status hub_new(struct network *net, struct hub **ret_hub)
{
	struct hub *h = mem_new(net->m->mem, sizeof(*h));

	if (!h)
		return ST_NOMEM;
	h->net = net;
	*ret_hub = h;
	return ST_OK;
}

void hub_free(struct network *net)
{
	mem_free(net->m->mem, net->hub);
	net->hub = NULL;
}

void hub_reconfigured(struct network *net)
{
	(void)net;
}

void hub_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info)
{
	(void)net;
	(void)e;
	(void)info;
}

void hub_word(struct network *net, struct word *w, const struct ike_peer_info *info)
{
	(void)net;
	(void)w;
	(void)info;
}

void hub_flow(struct network *net, const struct dp_report *r)
{
	(void)net;
	(void)r;
}

void hub_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	(void)t;
}

void hub_pair_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	(void)t;
}

void mesh_each_pair(const struct mesh *m, struct now now, mesh_pair_fn *fn, void *ctx)
{
	(void)m;
	(void)now;
	(void)fn;
	(void)ctx;
}

void mesh_each_member(const struct mesh *m, mesh_member_fn *fn, void *ctx)
{
	(void)m;
	(void)fn;
	(void)ctx;
}
