/* Who is called: the engine, or the mesh around it. */
#include "harness/internal.h"

enum status engine_new(struct node *n)
{
	uint64_t key[2] = { n->seed, ~n->seed };
	enum status st =
		ike_new(&n->mem.alloc, &n->crypto, key, &n->conf->conf, n->w->now, &n->ike);

	if (st || !n->conf->meshed)
		return st;
	st = mesh_new(&n->mem.alloc, &n->crypto, key, n->ike, &n->conf->mesh, n->w->now, &n->mesh);
	if (st)
		engine_free(n);
	return st;
}

void engine_free(struct node *n)
{
	mesh_free(n->mesh);
	n->mesh = NULL;
	ike_free(n->ike);
	n->ike = NULL;
}

void engine_input(struct node *n, const struct ike_datagram *d)
{
	if (n->mesh)
		mesh_input(n->mesh, n->w->now, d);
	else
		ike_input(n->ike, n->w->now, d);
}

void engine_dp(struct node *n, const struct dp_report *r)
{
	if (n->mesh)
		mesh_dp(n->mesh, n->w->now, r);
	else
		ike_dp(n->ike, n->w->now, r);
}

void engine_timer(struct node *n)
{
	if (n->mesh)
		mesh_timer(n->mesh, n->w->now);
	else
		ike_timer(n->ike, n->w->now);
}

void engine_network(struct node *n)
{
	if (n->mesh)
		mesh_network(n->mesh, n->w->now, n->address, n->n_addresses);
	else
		ike_network(n->ike, n->w->now, n->address, n->n_addresses);
}

enum status engine_reconfigure(struct node *n, struct test_conf *conf)
{
	if (conf->meshed != (n->mesh != NULL))
		harness_fail("%s: a mesh is there from the beginning, or never", n->name);
	return n->mesh ? mesh_reconfigure(n->mesh, n->w->now, &conf->mesh)
		       : ike_reconfigure(n->ike, n->w->now, &conf->conf);
}

void engine_next(struct node *n, struct ike_out *ret_out)
{
	if (n->mesh)
		mesh_next(n->mesh, n->w->now, ret_out);
	else
		ike_next(n->ike, ret_out);
}

mono_t engine_deadline(const struct node *n)
{
	return n->mesh ? mesh_deadline(n->mesh) : ike_deadline(n->ike);
}
