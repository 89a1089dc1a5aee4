/* Who is called: the engine, or the mesh around it. */
#include "check.h"

enum status core_new(struct machine *m, const uint64_t key[2], struct now now)
{
	enum status st = ike_new(&m->mem.alloc, &m->crypto, key, &m->conf->conf, now, &m->ike);

	if (st || !m->conf->meshed)
		return st;
	return mesh_new(&m->mem.alloc, &m->crypto, key, m->ike, &m->conf->mesh, now, &m->mesh);
}

void core_free(struct machine *m)
{
	mesh_free(m->mesh);
	m->mesh = NULL;
	ike_free(m->ike);
	m->ike = NULL;
}

void core_input(struct machine *m, struct now now, const struct ike_datagram *d)
{
	if (m->mesh)
		mesh_input(m->mesh, now, d);
	else
		ike_input(m->ike, now, d);
}

void core_dp(struct machine *m, struct now now, const struct dp_report *r)
{
	if (m->mesh)
		mesh_dp(m->mesh, now, r);
	else
		ike_dp(m->ike, now, r);
}

void core_timer(struct machine *m, struct now now)
{
	if (m->mesh)
		mesh_timer(m->mesh, now);
	else
		ike_timer(m->ike, now);
}

void core_network(struct machine *m, struct now now)
{
	size_t n = m->address.family != 0;

	if (m->mesh)
		mesh_network(m->mesh, now, &m->address, n);
	else
		ike_network(m->ike, now, &m->address, n);
}

enum status core_reconfigure(struct machine *m, struct now now)
{
	return m->mesh ? mesh_reconfigure(m->mesh, now, &m->conf->mesh)
		       : ike_reconfigure(m->ike, now, &m->conf->conf);
}

void core_next(struct machine *m, struct now now, struct ike_out *ret_out)
{
	if (m->mesh)
		mesh_next(m->mesh, now, ret_out);
	else
		ike_next(m->ike, ret_out);
}

mono_t core_deadline(const struct machine *m)
{
	return m->mesh ? mesh_deadline(m->mesh) : ike_deadline(m->ike);
}
