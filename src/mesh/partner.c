/*
 * partner.c - suggestions that a site takes.
 */
#include "mesh/site.h"

enum status site_new(struct network *net, struct site **ret_site)
{
	struct site *s = mem_new(net->m->mem, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->net = net;
	*ret_site = s;
	return ST_OK;
}

void site_free(struct network *net)
{
	mem_free(net->m->mem, net->site);
	net->site = NULL;
}

void site_reconfigured(struct network *net)
{
	(void)net;
}

void site_event(struct network *net, const struct ike_event *e, const struct ike_peer_info *info)
{
	(void)net;
	(void)e;
	(void)info;
}

void site_word(struct network *net, struct word *w, const struct ike_peer_info *info)
{
	(void)net;
	(void)info;
	word_refuse(w, WIRE_MR_POLICY, "");
}

void site_moved(struct network *net)
{
	(void)net;
}

void site_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	(void)t;
}

void partner_timer(struct mesh *m, struct timer *t)
{
	(void)m;
	(void)t;
}

enum status mesh_withdraw(struct mesh *m, struct now now, uint64_t shortcut)
{
	(void)m;
	(void)now;
	(void)shortcut;
	return ST_INVAL;
}

void mesh_each_shortcut(const struct mesh *m, struct now now, mesh_shortcut_fn *fn, void *ctx)
{
	(void)m;
	(void)now;
	(void)fn;
	(void)ctx;
}
