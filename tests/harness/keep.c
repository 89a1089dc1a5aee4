/* What a node keeps: leases over a restart, and its inner configuration. */
#include "harness/internal.h"

static void copy_text(struct node *n, const char *from, char *to, size_t cap)
{
	size_t len = strlen(from);

	if (len >= cap)
		harness_fail("%s: a name of %zu bytes", n->name, len);
	memcpy(to, from, len + 1);
}

void lease_copy(struct node *n, const struct ike_store_op *op, struct node_lease *ret)
{
	const struct ike_lease *l = &op->lease;
	struct bytes id = l->identity.data;

	*ret = (struct node_lease){
		.type = l->identity.type, .n_id = id.n, .v4 = l->v4, .v6 = l->v6, .ended = l->ended
	};
	copy_text(n, l->peer, ret->peer, sizeof(ret->peer));
	if ((id.n == 0) != (op->kind == IKE_STORE_LEASES_READ) || id.n > sizeof(ret->id))
		harness_fail("%s: a lease for an identity of %zu bytes", n->name, id.n);
	if (id.n)
		memcpy(ret->id, id.p, id.n);
}

static bool same_owner(const struct node_lease *a, const struct node_lease *b)
{
	return strcmp(a->peer, b->peer) == 0 && a->type == b->type &&
	       bytes_eq(bytes_of(a->id, a->n_id), bytes_of(b->id, b->n_id));
}

static bool share(const struct ip *a, const struct ip *b)
{
	return a->family && ip_eq(a, b);
}

static void forget(struct node *n, size_t i)
{
	n->leases[i] = n->leases[--n->n_leases];
}

/* Nobody's address goes to another while he has it. */
static void put(struct node *n, const struct node_lease *l)
{
	if (!l->v4.family && !l->v6.family)
		harness_fail("%s: a lease without an address", n->name);
	for (size_t i = n->n_leases; i-- > 0;) {
		const struct node_lease *other = &n->leases[i];
		bool taken = share(&other->v4, &l->v4) || share(&other->v6, &l->v6);

		if (taken && !same_owner(other, l) && !other->ended.s)
			harness_fail("%s: an address is given twice", n->name);
		if (taken || same_owner(other, l))
			forget(n, i);
	}
	if (n->n_leases == NODE_LEASES)
		harness_fail("%s: too many leases", n->name);
	n->leases[n->n_leases++] = *l;
}

static void drop(struct node *n, const struct node_lease *l)
{
	for (size_t i = n->n_leases; i-- > 0;)
		if (same_owner(&n->leases[i], l))
			forget(n, i);
}

/* `of`: NULL for all sections. */
static void load(struct node *n, const char *of)
{
	n->n_unfit = 0;
	for (size_t i = 0; i < n->n_leases; i++) {
		const struct node_lease *l = &n->leases[i];
		const struct ike_lease lease = { .peer = l->peer,
						 .identity = { l->type, bytes_of(l->id, l->n_id) },
						 .v4 = l->v4,
						 .v6 = l->v6,
						 .ended = l->ended };

		if (!of || strcmp(l->peer, of) == 0)
			n->n_unfit += ike_lease_load(n->ike, &lease) != ST_OK;
	}
}

void store_load(struct node *n)
{
	load(n, NULL);
}

void store_carry_out(struct node *n, const struct pending *p)
{
	switch (p->store) {
	case IKE_STORE_LEASE_PUT: put(n, &p->lease); break;
	case IKE_STORE_LEASE_DROP: drop(n, &p->lease); break;
	case IKE_STORE_LEASES_READ: load(n, p->lease.peer); break;
	}
}

const struct node_lease *node_lease(const struct node *n, const char *identity)
{
	for (size_t i = 0; i < n->n_leases; i++)
		if (bytes_eq(bytes_of(n->leases[i].id, n->leases[i].n_id), bytes_str(identity)))
			return &n->leases[i];
	return NULL;
}

void record_inner(struct node *n, const struct ike_inner *in)
{
	struct node_got *g = &n->got;
	bool empty = in->n_addresses + in->n_dns + in->n_domains + in->n_subnets == 0;

	if (in->up != (in->n_addresses > 0) || (!in->up && !empty) || (in->n_domains && !in->n_dns))
		harness_fail("%s: half an inner configuration", n->name);
	if (in->n_addresses > NODE_GOT || in->n_dns > NODE_GOT || in->n_domains > NODE_GOT ||
	    in->n_subnets > NODE_GOT)
		harness_fail("%s: too much of an inner configuration", n->name);
	*g = (struct node_got){ .peer = in->peer,
				.up = in->up,
				.n_addresses = in->n_addresses,
				.n_dns = in->n_dns,
				.n_domains = in->n_domains,
				.n_subnets = in->n_subnets };
	for (size_t i = 0; i < in->n_addresses; i++)
		g->addresses[i] = in->addresses[i];
	for (size_t i = 0; i < in->n_dns; i++)
		g->dns[i] = in->dns[i];
	for (size_t i = 0; i < in->n_domains; i++)
		copy_text(n, in->domains[i], g->domains[i], sizeof(g->domains[i]));
	for (size_t i = 0; i < in->n_subnets; i++)
		g->subnets[i] = in->subnets[i];
	n->n_got++;
}
