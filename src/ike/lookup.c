/*
 * lookup.c - from what a message says to the peers it may be about, in steps that do not depend on
 * how many peers there are.
 *
 *	IKE_SA_INIT	has an address and proposals.  A map leads from the address to the sections
 *			that have it.  Everybody else has one of a few sets of proposals, and each
 *			set is asked once.
 *	IKE_AUTH	has an identity.  A map leads from it to the sections that name it, and to
 *			instances; sections with patterns are few and stand in a list.
 */
#include "ike/inner.h"

/* ---- by identity -------------------------------------------------------------------------- */

bool peer_is_pattern(const struct ike_peer_conf *c)
{
	switch (c->role) {
	case IKE_ROLE_HUB: return false; /* one counterpart, whichever of the hubs it is */
	case IKE_ROLE_MEMBERS: return true;
	case IKE_ROLE_PARTNER: return false;
	case IKE_ROLE_FIXED: break;
	}
	return policy_ident_is_pattern(&c->remote_id);
}

bool ike_may_call(const struct ike_peer_conf *p)
{
	return p->role != IKE_ROLE_HUB && p->role != IKE_ROLE_PARTNER && !inner_i_asks(p);
}

struct ident_key {
	const struct peer *under;
	const struct policy_ident *id;
};

static bool same_ident(const struct map_node *n, const void *key)
{
	const struct peer *p = CONTAINER_OF(n, const struct peer, by_ident);
	const struct ident_key *k = key;

	return p->under == k->under && policy_ident_eq(&p->ident, k->id);
}

void peer_index(struct ike *ike, struct peer *p)
{
	if (p->in_ident_map || !p->ident.type)
		return;
	map_insert(&ike->peer_by_ident, &p->by_ident,
		   policy_ident_hash(ike->peer_by_ident.key, &p->ident));
	p->in_ident_map = true;
}

void peer_unindex(struct ike *ike, struct peer *p)
{
	if (p->in_ident_map)
		map_remove(&ike->peer_by_ident, &p->by_ident);
	p->in_ident_map = false;
}

struct peer *peer_by_ident(struct ike *ike, const struct peer *under, const struct policy_ident *id,
			   struct peer *after)
{
	struct ident_key key = { under, id };
	struct map_node *n;

	if (!after) {
		n = map_find(&ike->peer_by_ident, policy_ident_hash(ike->peer_by_ident.key, id),
			     same_ident, &key);
		return n ? CONTAINER_OF(n, struct peer, by_ident) : NULL;
	}
	for (n = after->by_ident.next; n; n = n->next)
		if (n->hash == after->by_ident.hash && same_ident(n, &key))
			return CONTAINER_OF(n, struct peer, by_ident);
	return NULL;
}

/* ---- by address --------------------------------------------------------------------------- */

static uint64_t addr_hash(const struct ike *ike, const struct ip *ip)
{
	return map_hash(&ike->peer_by_addr, bytes_of(ip->b, sizeof(ip->b)));
}

static bool same_addr(const struct map_node *n, const void *key)
{
	return ip_eq(&CONTAINER_OF(n, const struct known_address, by_addr)->a.remote, key);
}

void peer_index_address(struct ike *ike, struct known_address *a)
{
	map_insert(&ike->peer_by_addr, &a->by_addr, addr_hash(ike, &a->a.remote));
}

size_t peers_at(const struct ike *ike, const struct ip *ip, struct peer **ret, size_t max)
{
	uint64_t hash = addr_hash(ike, ip);
	size_t found = 0;

	for (struct map_node *n = map_find(&ike->peer_by_addr, hash, same_addr, ip);
	     n && found < max; n = n->next)
		if (n->hash == hash && same_addr(n, ip))
			ret[found++] = CONTAINER_OF(n, struct known_address, by_addr)->peer;
	return found;
}

/* ---- proposals ---------------------------------------------------------------------------- */

static bool same_transforms(const struct wire_proposal *a, const struct wire_proposal *b)
{
	if (a->n_transforms != b->n_transforms || a->proto != b->proto)
		return false;
	for (size_t i = 0; i < a->n_transforms; i++)
		if (a->transforms[i].type != b->transforms[i].type ||
		    a->transforms[i].id != b->transforms[i].id ||
		    a->transforms[i].key_bits != b->transforms[i].key_bits)
			return false;
	return true;
}

bool proposals_eq(const struct wire_sa *a, const struct wire_sa *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_transforms(&a->proposals[i], &b->proposals[i]))
			return false;
	return true;
}

static uint64_t proposals_hash(const struct map *m, const struct wire_sa *sa)
{
	uint64_t h = sa->n;

	for (size_t i = 0; i < sa->n; i++)
		for (size_t k = 0; k < sa->proposals[i].n_transforms; k++) {
			const struct wire_transform *t = &sa->proposals[i].transforms[k];
			const uint16_t v[] = { (uint16_t)i, t->type, t->id, t->key_bits };

			h = h * 31 + map_hash(m, BYTES_OF(v));
		}
	return h;
}

static bool same_offer(const struct map_node *n, const void *key)
{
	return proposals_eq(CONTAINER_OF(n, const struct offer, node)->ike, key);
}

static struct offer *offer_of(struct offers *o, struct map *seen, const struct ike_peer_conf *c)
{
	uint64_t hash = proposals_hash(seen, &c->ike);
	struct map_node *n = map_find(seen, hash, same_offer, &c->ike);
	struct offer *f = n ? CONTAINER_OF(n, struct offer, node) : &o->v[o->n++];

	if (!n) {
		f->ike = &c->ike;
		f->name = c->name;
		map_insert(seen, &f->node, hash);
	}
	f->n_peers++;
	f->anywhere = f->anywhere || c->n_addresses == 0;
	return f;
}

enum status offers_collect(struct ike *ike, const struct ike_conf *conf, struct offers *ret_offers)
{
	struct offers o = { 0 };
	struct map seen;

	o.v = mem_new(ike->mem, (conf->n_peers + 1) * sizeof(*o.v));
	o.of = mem_new(ike->mem, (conf->n_peers + 1) * sizeof(*o.of));
	if (!o.v || !o.of) {
		offers_done(ike, &o);
		return ST_NOMEM;
	}
	map_init(&seen, ike->mem, ike->peer_by_id.key);
	for (size_t i = 0; i < conf->n_peers; i++)
		if (ike_may_call(&conf->peers[i]))
			o.of[i] = offer_of(&o, &seen, &conf->peers[i]);
	map_done(&seen);
	*ret_offers = o;
	return ST_OK;
}

void offers_done(struct ike *ike, struct offers *o)
{
	mem_free(ike->mem, o->v);
	mem_free(ike->mem, (void *)(uintptr_t)o->of);
	*o = (struct offers){ 0 };
}
