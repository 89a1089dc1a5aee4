/*
 * member.c - identities behind a pattern or in a network: each is a peer of its own while it has an
 * SA (an instance), with what it may source and the prefixes that it has up.
 *
 * An instance costs little, since a hub has thousands: one block of memory with its name and
 * identity behind it.  It is made when IKE_AUTH commits and goes with its last SA.
 */
#include "ike/inner.h"

/* ---- instances ---------------------------------------------------------------------------- */

static struct peer *instance_new(struct ike *ike, struct peer *under, const struct policy_ident *id)
{
	char text[IKE_IDENTITY_TEXT];
	struct text t = TEXT_OF(text);
	struct peer *p;
	uint8_t *behind;

	policy_ident_text(&t, id);
	p = mem_new(ike->mem, sizeof(*p) + t.n + 1 + id->data.n);
	if (!p)
		return NULL;
	behind = (uint8_t *)(p + 1);
	memcpy(behind, text, t.n + 1);
	p->name = (const char *)behind;
	behind += t.n + 1;
	if (id->data.n)
		memcpy(behind, id->data.p, id->data.n);
	p->ident = (struct policy_ident){ id->type, bytes_of(behind, id->data.n) };
	list_init(&p->node);
	list_init(&p->in_order);
	list_init(&p->sas);
	p->id = IKE_PEER_DYNAMIC + ike->last_instance++;
	p->conf = under->conf;
	p->under = under;
	return p;
}

enum status instance_get(struct ike *ike, struct peer *under, const struct policy_ident *id,
			 struct peer **ret_peer)
{
	struct peer *p = peer_by_ident(ike, under, id, NULL);

	if (!p)
		p = instance_new(ike, under, id);
	if (!p)
		return ST_NOMEM;
	*ret_peer = p;
	return ST_OK;
}

void instance_drop(struct ike *ike, struct peer *p)
{
	if (p && !p->section && !p->numbered)
		mem_free(ike->mem, p);
}

void instance_link(struct ike *ike, struct peer *p)
{
	if (p->numbered)
		return;
	list_add_tail(&p->under->section->instances, &p->node);
	peer_number(ike, p);
	peer_index(ike, p);
}

void instance_free(struct ike *ike, struct peer *p)
{
	list_del(&p->node);
	peer_unindex(ike, p);
	peer_unnumber(ike, p);
	mem_free(ike->mem, p->last_error);
	mem_free(ike->mem, p);
}

/* ---- sections that found who answers them -------------------------------------------------- */

/* The peer was known as somebody who called us; now it is who answers us. */
static void take_over(struct ike *ike, struct peer *p, struct peer *instance)
{
	list_for_each_safe(n, &instance->sas)
		sa_set_peer(CONTAINER_OF(n, struct ike_sa, peer_node), p);
	instance_free(ike, instance);
}

enum status peer_bind(struct ike *ike, struct peer *p, const struct policy_ident *id)
{
	struct peer *known;
	struct bytes copy;

	if (!peer_is_pattern(p->conf) || (p->under && policy_ident_eq(&p->ident, id)))
		return ST_OK;
	if (mem_dup(ike->mem, id->data, &copy))
		return ST_NOMEM;
	peer_unbind(ike, p);
	known = peer_by_ident(ike, p, id, NULL);
	if (known)
		take_over(ike, p, known);
	p->ident = (struct policy_ident){ id->type, copy };
	p->under = p;
	peer_index(ike, p);
	return ST_OK;
}

void peer_unbind(struct ike *ike, struct peer *p)
{
	if (!p->under)
		return;
	peer_unindex(ike, p);
	mem_free(ike->mem, (void *)(uintptr_t)p->ident.data.p);
	p->ident = (struct policy_ident){ 0 };
	p->under = NULL;
}

/* ---- what a certificate said --------------------------------------------------------------- */

struct bytes cred_put(struct arena *ar, const struct crypto_cert_facts *f)
{
	size_t n = f->n_blocks < CRYPTO_BLOCKS_MAX ? f->n_blocks : CRYPTO_BLOCKS_MAX;
	size_t ids = f->n_revocation_ids * sizeof(f->revocation_ids[0]);
	size_t size = sizeof(struct cred) + n * sizeof(f->blocks[0]) + ids;
	struct cred *c = arena_new(ar, size);

	if (!c)
		return bytes_of(NULL, 0);
	c->not_after = f->not_after;
	c->has_blocks = f->has_blocks;
	c->n_blocks = (uint16_t)n;
	memcpy(c->blocks, f->blocks, n * sizeof(f->blocks[0]));
	c->n_revocation_ids = f->n_revocation_ids;
	memcpy(&c->blocks[n], f->revocation_ids, ids);
	return bytes_of(c, size);
}

const struct cred *cred_of(struct bytes b)
{
	return b.n ? (const void *)b.p : NULL;
}

static bool is_revoked(const struct ike_peer_conf *conf, const uint8_t id[CRYPTO_REVOCATION_ID])
{
	size_t low = 0, high = conf->n_revoked;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int diff = memcmp(id, conf->revoked[mid], CRYPTO_REVOCATION_ID);

		if (diff == 0)
			return true;
		if (diff < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

const char *what_is_revoked(const struct ike_peer_conf *conf,
			    const uint8_t (*ids)[CRYPTO_REVOCATION_ID], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_revoked(conf, ids[i]))
			return i == 0 ? "certificate" : "certificate's authority";
	return NULL;
}

const char *cred_revoked(const struct ike_peer_conf *conf, const struct cred *cred)
{
	return cred ? what_is_revoked(conf, (const void *)&cred->blocks[cred->n_blocks],
				      cred->n_revocation_ids)
		    : NULL;
}

const struct ike_member_rule *member_rule(const struct ike_peer_conf *conf,
					  const struct policy_ident *id)
{
	for (size_t i = 0; i < conf->n_rules; i++)
		if (policy_ident_match(&conf->rules[i].id, id))
			return &conf->rules[i];
	return NULL;
}

enum status member_authorise(struct arena *ar, const struct peer *p, const struct policy_ident *id,
			     const struct cred *cred, struct text *by,
			     struct wire_ts_list *ret_allowed)
{
	const struct ike_peer_conf *conf = p->conf;
	struct ip leased[INNER_FAMILIES];
	const struct ike_member_rule *rule = member_rule(conf, id);
	struct policy_authority a = { .leased = leased,
				      .n_leased = lease_addresses(p, id, leased) };

	if (cred) {
		a.has_blocks = cred->has_blocks;
		a.blocks = cred->blocks;
		a.n_blocks = cred->n_blocks;
	}
	if (rule) {
		a.rule = &rule->id;
		a.granted = &rule->prefixes;
	}
	return policy_authorise(ar, &a, &conf->domain, by, ret_allowed);
}

enum status fixed_authorise(struct arena *ar, const struct peer *p, const struct policy_ident *id,
			    struct wire_ts_list *ret_allowed)
{
	const struct wire_ts_list *said = &p->conf->ts_remote;
	struct ip leased[INNER_FAMILIES];
	size_t n = lease_addresses(p, id, leased);
	struct wire_ts *ts;

	*ret_allowed = *said;
	if (n == 0)
		return ST_OK;
	ts = arena_new(ar, (said->n + n) * sizeof(*ts));
	if (!ts)
		return ST_NOMEM;
	if (said->n)
		memcpy(ts, said->ts, said->n * sizeof(*ts));
	for (size_t i = 0; i < n; i++)
		ts[said->n + i] = policy_host_ts(&leased[i]);
	*ret_allowed = (struct wire_ts_list){ ts, said->n + n, 0 };
	return ST_OK;
}

/* ---- hubs, as a site sees them ------------------------------------------------------------- */

bool hub_accepted(const struct ike_peer_conf *conf, const struct policy_ident *id,
		  const struct cred *cred, struct text *why)
{
	for (size_t i = 0; i < conf->n_hub_ids; i++)
		if (policy_ident_match(&conf->hub_ids[i], id))
			return true;
	if (cred && cred->has_blocks &&
	    policy_blocks_cover(cred->blocks, cred->n_blocks, &conf->domain))
		return true;
	policy_ident_text(why, id);
	text_fmt(why, " is no hub of \"%s\": those are ", conf->name);
	for (size_t i = 0; i < conf->n_hub_ids; i++) {
		text_add(why, i ? ", " : "");
		policy_ident_text(why, &conf->hub_ids[i]);
	}
	text_add(why, conf->n_hub_ids ? ", and who has" : "who has");
	text_add(why, " address blocks for all of the domain ");
	policy_ts_list_text(why, &conf->domain);
	text_add(why, "; its certificate has ");
	if (cred && cred->has_blocks)
		policy_blocks_text(why, cred->blocks, cred->n_blocks);
	else
		text_add(why, "none");
	return false;
}

/* `did`: what it did with the selectors. */
static bool is_hubs(const struct ike_peer_conf *conf, const struct cred *cred,
		    const struct wire_ts_list *ts, const char *did, struct text *why)
{
	bool inside = !conf->domain.n || policy_ts_subset(ts, &conf->domain);

	if (inside &&
	    !(cred && cred->has_blocks && !policy_blocks_cover(cred->blocks, cred->n_blocks, ts)))
		return true;
	text_fmt(why, "the hub %s ", did);
	policy_ts_list_text(why, ts);
	if (inside) {
		text_add(why, ", which is not inside its certificate's address blocks ");
		policy_blocks_text(why, cred->blocks, cred->n_blocks);
	} else {
		text_add(why, ", which is not inside the domain ");
		policy_ts_list_text(why, &conf->domain);
	}
	return false;
}

bool hub_may_source(const struct ike_peer_conf *conf, const struct cred *cred,
		    const struct wire_ts_list *ts, struct text *why)
{
	return is_hubs(conf, cred, ts, "answered", why);
}

bool hub_may_give(const struct ike_peer_conf *conf, const struct cred *cred,
		  const struct wire_ts_list *ts, struct text *why)
{
	return is_hubs(conf, cred, ts, "gave", why);
}
