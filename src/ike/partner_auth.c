/*
 * partner_auth.c - who a partner is: the proof in IKE_SA_INIT, the key in common, and what it may
 * source (docs/protocol/shortcut.md section 8).
 *
 *	HDR(A,0), SAi1, KEi, Ni, V, N(SHORTCUT_PROOF: id | HMAC-SHA-256(proof key, Ni | SPIi))  -->
 *
 * A site is silent to everybody, so the proof comes before anything else: before a cookie, a job, a
 * byte of memory.  What it protects is our silence and our work; who it is shows in IKE_AUTH as for
 * anybody, by certificate, with the PPK that only the hub has told both ends.
 *
 * Whoever overhears the request can send it again, from wherever he is.  Such a replay is good for
 * one half-open SA beside the true one, which he cannot authenticate, and for nothing when an SA is
 * up: the key of the proof is gone by then.
 */
#include "ike/partner.h"

enum {
	MAC_LEN = IKE_PARTNER_KEY, /* the output of HMAC-SHA-256 */
	PROOF_LEN = IKE_PARTNER_ID + MAC_LEN,
};

/* ---- the proof ---------------------------------------------------------------------------- */

static enum status proof_mac(struct ike *ike, const struct partner *pt, struct bytes nonce,
			     uint64_t spi_i, uint8_t ret[MAC_LEN])
{
	uint8_t spi[8];
	struct bytes parts[2] = { nonce, BYTES_OF(spi) };

	store_be64(spi, spi_i);
	return ike->crypto.ops->prf(ike->crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256,
				    BYTES_OF(pt->proof_key), parts, 2, ret);
}

void partner_put_proof(struct ike *ike, const struct ike_sa *sa, struct wire_out *o)
{
	const struct partner *pt = partner_of(sa->peer);
	uint8_t data[PROOF_LEN];

	if (!pt)
		return;
	memcpy(data, pt->id, IKE_PARTNER_ID);
	if (!pt->keys || proof_mac(ike, pt, sa->hs->nonce_i, sa->spi_i, data + IKE_PARTNER_ID))
		o->w.err = true;
	else
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_SHORTCUT_PROOF,
				BYTES_OF(data));
}

static bool same_key(const struct map_node *n, const void *key)
{
	return memcmp(CONTAINER_OF(n, const struct partner, by_key)->id, key, IKE_PARTNER_ID) == 0;
}

struct partner *partner_by_key(const struct ike *ike, const uint8_t id[IKE_PARTNER_ID])
{
	struct map_node *n = map_find(&ike->partner_by_key,
				      map_hash(&ike->partner_by_key, bytes_of(id, IKE_PARTNER_ID)),
				      same_key, id);

	return n ? CONTAINER_OF(n, struct partner, by_key) : NULL;
}

/* Anybody can make us say this. */
static bool forged(struct ike *ike, const struct ike_datagram *d, enum ike_counter why)
{
	char ep[ENDPOINT_TEXT_MAX];

	count(ike, why);
	if (stray_allowed(ike))
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .local = &d->local,
						 .remote = &d->remote,
						 .reason = IKE_R_IDENTITY },
			   "IKE_SA_INIT from %s dropped: %s", endpoint_text(&d->remote, ep),
			   why == C_PROOF_WRONG
				   ? "its SHORTCUT_PROOF is not that of a partner that may call us"
				   : "its SHORTCUT_PROOF was used already");
	return false;
}

/* Our own request, sent back to us. */
static bool is_ours(const struct ike *ike, const struct partner *pt, uint64_t spi_i)
{
	const struct ike_sa *sa = sa_by_spi(ike, spi_i);

	return sa && sa->initiator && sa->peer == pt->peer;
}

bool partner_proof(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct proven *ret)
{
	struct init_request r;
	struct partner *pt;
	uint8_t mac[MAC_LEN];

	*ret = (struct proven){ 0 };
	if (!ike->n_partners || !cookie_scan(d, h, &r) || !r.proof.n)
		return true;
	pt = r.proof.n == PROOF_LEN ? partner_by_key(ike, r.proof.p) : NULL;
	if (!pt)
		return forged(ike, d, C_PROOF_WRONG);
	if (!pt->keys || pt->over || is_ours(ike, pt, h->spi_i))
		return forged(ike, d, C_PROOF_REPLAYED);
	if (proof_mac(ike, pt, r.nonce, h->spi_i, mac) ||
	    !ct_equal(BYTES_OF(mac), bytes_of(r.proof.p + IKE_PARTNER_ID, MAC_LEN)))
		return forged(ike, d, C_PROOF_WRONG);
	ret->partner = pt->peer;
	memcpy(ret->mac, mac, sizeof(ret->mac));
	return true;
}

/* The same request is one SA where it came from and, for it may be a replay that was faster than
 * the true one, another one elsewhere.  A new one, which only the partner can make, takes the place
 * of the oldest. */
bool partner_room(struct ike *ike, const struct proven *p)
{
	struct partner *pt = partner_of(p->partner);
	size_t n_all = 0, n_same = 0;

	list_for_each(n, &pt->half_open) {
		const struct handshake *hs = CONTAINER_OF(n, const struct handshake, of_partner);

		n_all++;
		n_same += memcmp(hs->proof, p->mac, sizeof(p->mac)) == 0;
	}
	if (n_same >= IKE_PARTNER_OPEN) {
		count(ike, C_PROOF_REPLAYED);
		return false;
	}
	if (n_all >= IKE_PARTNER_OPEN)
		sa_remove(ike, CONTAINER_OF(pt->half_open.next, struct handshake, of_partner)->sa,
			  "the partner called anew");
	return true;
}

void partner_enter(struct ike_sa *sa, const struct proven *p)
{
	struct handshake *hs = sa->hs;
	struct partner *pt = partner_of(p->partner);

	hs->partner = p->partner;
	memcpy(hs->proof, p->mac, sizeof(hs->proof));
	list_add_tail(&pt->half_open, &hs->of_partner);
	pt->begun = true;
}

enum status partner_mix(struct ike *ike, const struct peer *p, struct ike_sa *sa)
{
	const struct partner *pt = partner_of(p);
	struct handshake *hs = sa->hs;
	struct crypto_ppk_keys in = { .pi = hs->keys.pi, .pr = hs->keys.pr };
	enum status st = ST_REFUSE;

	if (pt->keys)
		st = secret_set(&in.d, keys_d(&sa->keys)) ? ST_OK : ST_BUG;
	if (!st)
		st = crypto_ppk_mix(&ike->crypto, sa->suite.prf, secret_bytes(&pt->ppk), &in,
				    &hs->ppk);
	wipe(&in, sizeof(in));
	return st;
}

/* ---- what it may source ------------------------------------------------------------------- */

static void add_blocks(struct text *t, const struct cred *cred)
{
	text_add(t, ", its certificate's address blocks are ");
	if (cred && cred->has_blocks && cred->n_blocks)
		policy_blocks_text(t, cred->blocks, cred->n_blocks);
	else
		text_add(t, "none");
}

static void explain(struct text *why, const struct partner *pt, const struct cred *cred)
{
	text_add(why, "; the hub suggested ");
	policy_ts_list_text(why, &pt->conf.ts_remote);
	if (pt->given.n) {
		text_add(why, ", of which we take on its word ");
		policy_ts_list_text(why, &pt->given);
	}
	add_blocks(why, cred);
}

/* Who may speak for a whole network is a hub of it, whatever it calls itself here: it is to forward
 * between partners, never to be one. */
static bool is_hub(const struct partner *pt, const struct cred *cred, struct text *why)
{
	if (!cred || !cred->has_blocks ||
	    !policy_blocks_cover(cred->blocks, cred->n_blocks, &pt->network->domain))
		return false;
	text_add(why, "the certificate of the partner is a hub's: it has address blocks for all of "
		      "the domain ");
	policy_ts_list_text(why, &pt->network->domain);
	return true;
}

enum status partner_authorise(struct arena *ar, const struct peer *p, const struct cred *cred,
			      struct text *why, struct wire_ts_list *ret_allowed)
{
	const struct partner *pt = partner_of(p);
	size_t n_blocks = cred && cred->has_blocks ? cred->n_blocks : 0;
	struct wire_ts *ts = arena_new(ar, (pt->given.n + n_blocks + 1) * sizeof(*ts));
	struct wire_ts_list all = { ts, pt->given.n + n_blocks, 0 };
	enum status st;

	if (!ts)
		return ST_NOMEM;
	if (is_hub(pt, cred, why))
		return ST_REFUSE;
	if (pt->given.n)
		memcpy(ts, pt->given.ts, pt->given.n * sizeof(*ts));
	for (size_t i = 0; i < n_blocks; i++)
		ts[pt->given.n + i] = policy_range_ts(&cred->blocks[i]);
	st = policy_ts_narrow(ar, &pt->conf.ts_remote, &all, why, ret_allowed);
	if (st == ST_REFUSE)
		explain(why, pt, cred);
	return st;
}

static bool may_source(const struct partner *pt, const struct cred *cred, const struct wire_ts *ts)
{
	const struct wire_ts_list one = { ts, 1, 0 };

	if (!policy_ts_subset(&one, &pt->conf.ts_remote))
		return false;
	return policy_ts_subset(&one, &pt->given) ||
	       (cred && cred->has_blocks &&
		policy_blocks_cover(cred->blocks, cred->n_blocks, &one));
}

bool partner_may_source(const struct peer *p, const struct cred *cred,
			const struct wire_ts_list *ts, struct text *why)
{
	const struct partner *pt = partner_of(p);

	if (is_hub(pt, cred, why))
		return false;
	for (size_t i = 0; i < ts->n; i++) {
		if (may_source(pt, cred, &ts->ts[i]))
			continue;
		text_add(why, "the partner may not have ");
		policy_ts_text(why, &ts->ts[i]);
		explain(why, pt, cred);
		return false;
	}
	return true;
}
