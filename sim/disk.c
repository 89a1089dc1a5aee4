/*
 * A hub's disk: rows of leases, which survive crashes as soon as they are there.  It may be slow,
 * and full.  What was under way when the machine crashed is there or not.  A site's has the hubs
 * that it was told of.
 */
#include "check.h"

struct row {
	struct list link;
	const struct machine *owner;
	struct ip v4;
	wall_t ended;
};

void disk_write(struct machine *m, const struct ike_store_op *op, struct pending *p)
{
	p->store = op->kind;
	if (op->kind == IKE_STORE_LEASES_READ)
		return;
	p->owner = sim_by_name(m->s, op->lease.identity.data);
	p->name = op->lease.v4;
	p->ended = op->lease.ended;
	if (!p->owner)
		check_failed(m->s, m, NULL, "a lease for nobody");
}

static struct row *row_of(struct machine *m, const struct machine *owner)
{
	list_for_each(it, &m->rows) {
		struct row *r = CONTAINER_OF(it, struct row, link);

		if (r->owner == owner)
			return r;
	}
	return NULL;
}

static void forget(struct row *r)
{
	if (!r)
		return;
	list_del(&r->link);
	mem_libc.free(NULL, r);
}

/* Nobody's address goes to another while he has it. */
static void put(struct machine *m, const struct pending *p)
{
	struct row *row;

	forget(row_of(m, p->owner));
	list_for_each_safe(it, &m->rows) {
		struct row *r = CONTAINER_OF(it, struct row, link);

		if (!ip_eq(&r->v4, &p->name))
			continue;
		if (!r->ended.s)
			check_failed(m->s, m, r->owner, "its inner address is given to %s",
				     p->owner->name);
		forget(r);
	}
	row = sim_alloc(sizeof(*row));
	row->owner = p->owner;
	row->v4 = p->name;
	row->ended = p->ended;
	list_add_tail(&m->rows, &row->link);
}

void disk_load(struct machine *m)
{
	list_for_each(it, &m->rows) {
		const struct row *r = CONTAINER_OF(it, const struct row, link);
		const struct ike_lease l = {
			.peer = "corp",
			.identity = { WIRE_ID_FQDN, bytes_str(r->owner->name) },
			.v4 = r->v4,
			.ended = r->ended,
		};

		if (ike_lease_load(m->ike, &l) != ST_OK)
			check_failed(m->s, m, r->owner, "refuses a lease that it gave");
	}
}

void disk_done(struct machine *m, const struct pending *p)
{
	switch (p->store) {
	case IKE_STORE_LEASE_PUT: put(m, p); break;
	case IKE_STORE_LEASE_DROP: forget(row_of(m, p->owner)); break;
	case IKE_STORE_LEASES_READ: disk_load(m); break;
	}
}

/* ---- hubs ---------------------------------------------------------------------------------- */

/* A hub is where it says: nobody is told anything else. */
static bool keep(void *ctx, const struct mesh_network *network, const struct wire_mesh_hub *hub,
		 bool connected)
{
	struct machine *m = ctx;
	struct machine *is = sim_by_name(m->s, hub->id.data);

	(void)network;
	(void)connected;
	if (!is || !is->hub || hub->n_at != 1 || !ip_eq(&hub->at[0].ip, &is->address))
		check_failed(m->s, m, is, "it is told of a hub that is not there");
	m->knows |= 1u << (is->number - HUB_NUMBERS);
	return true;
}

void disk_keep_hubs(struct machine *m)
{
	m->knows = 0;
	mesh_each_hub(m->mesh, keep, m);
}

void disk_load_hubs(struct machine *m)
{
	struct wire_mesh_hub hubs[SCENARIO_HUBS] = { 0 };
	size_t n = 0;

	for (unsigned i = 0; i < m->s->sc->hubs; i++) {
		const struct machine *hub = &m->s->machine[i];

		if (!(m->knows >> i & 1))
			continue;
		hubs[n].id = (struct wire_mesh_ident){ WIRE_ID_FQDN, bytes_str(hub->name) };
		hubs[n].at[0] =
			(struct wire_mesh_where){ m->conf->conf.port, hub->address, { NULL, 0 } };
		hubs[n++].n_at = 1;
	}
	if (n && mesh_hubs_load(m->mesh, m->s->now, "corp", hubs, n) != ST_OK)
		check_failed(m->s, m, NULL, "refuses the hubs that it was told of");
}

void disk_free(struct machine *m)
{
	list_for_each_safe(it, &m->rows)
		forget(CONTAINER_OF(it, struct row, link));
}

/* What an endpoint has it keeps, and nobody else has. */
void disk_got(struct machine *m, const struct ike_inner *in)
{
	if (!in->up)
		return;
	if (in->n_addresses != 1)
		check_failed(m->s, m, NULL, "%zu inner addresses", in->n_addresses);
	if (m->inside.family && !ip_eq(&m->inside, &in->addresses[0].ip))
		check_failed(m->s, m, &m->s->machine[0],
			     "it has another inner address than before");
	m->inside = in->addresses[0].ip;
	for (unsigned i = 0; i < m->s->n; i++)
		if (&m->s->machine[i] != m && ip_eq(&m->s->machine[i].inside, &m->inside))
			check_failed(m->s, m, &m->s->machine[i], "they have one inner address");
}
