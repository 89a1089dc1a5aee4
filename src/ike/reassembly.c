/*
 * reassembly.c - messages that come in fragments (RFC 7383 sections 2.6 and 5).
 *
 * Of the request that is next, and of the response to ours, one set of fragments each: the newest,
 * which is the one with the highest total.  A fragment is kept when it is authentic, never before,
 * so that nobody else can disturb a set; but a caller who has proved nothing has keys too, and what
 * it sends is authentic.  So everything is bounded: fragments, bytes of a message, time, and the
 * bytes of all, in two budgets, one of them for such callers.
 *
 * An SK message of the same id may arrive meanwhile: it goes its way, and takes the set with it
 * once it is answered.  Payloads in front of SKF belong to the first fragment and are covered by
 * its checksum; like those in front of SK they mean nothing to any exchange we know, unless
 * critical.
 */
#include "ike/internal.h"

struct reassembly {
	struct list node; /* of its budget */
	struct timer timer;
	struct ike_sa *sa;
	struct budget *budget;
	uint64_t hash; /* of the datagram with fragment 1 */
	uint64_t have; /* bit per fragment, from 0 */
	size_t content; /* bytes of all pieces */
	size_t cost; /* what counts for the budget */
	uint32_t msgid;
	bool response;
	uint8_t first; /* type of the first payload */
	uint8_t unknown_critical;
	uint16_t largest;
	uint16_t total;
	struct bytes piece[]; /* owned; `total` of them */
};

_Static_assert(IKE_MAX_FRAGMENTS <= 64, "`have` has a bit for each");

static bool has(const struct reassembly *r, uint16_t number)
{
	return r->have >> (number - 1) & 1;
}

static bool complete(const struct reassembly *r)
{
	return r->have == (r->total == 64 ? UINT64_MAX : (1ULL << r->total) - 1);
}

static void reassembly_free(struct ike *ike, struct reassembly *r)
{
	for (size_t i = 0; i < r->total; i++)
		mem_free(ike->mem, (void *)(uintptr_t)r->piece[i].p);
	heap_disarm(&ike->timers, &r->timer);
	list_del(&r->node);
	r->budget->bytes -= r->cost;
	r->sa->reassembly[r->response] = NULL;
	mem_free(ike->mem, r);
}

void reassembly_drop(struct ike *ike, struct ike_sa *sa, bool response)
{
	if (sa->reassembly[response])
		reassembly_free(ike, sa->reassembly[response]);
}

void reassembly_timer(struct ike *ike, struct timer *t)
{
	count(ike, C_FRAGMENT_TIMEOUT);
	reassembly_free(ike, CONTAINER_OF(t, struct reassembly, timer));
}

/* ---- budgets ------------------------------------------------------------------------------ */

static size_t budget_max(const struct ike *ike, const struct budget *b)
{
	return b == &ike->reassembling[1] ? IKE_REASSEMBLY_HALF_OPEN_BYTES : IKE_REASSEMBLY_BYTES;
}

/* Makes room for `n` more bytes of `r`: what has waited longest goes first. */
static void charge(struct ike *ike, struct reassembly *r, size_t n)
{
	struct budget *b = r->budget;

	list_for_each_safe(node, &b->list) {
		struct reassembly *oldest = CONTAINER_OF(node, struct reassembly, node);

		if (b->bytes + n <= budget_max(ike, b))
			break;
		if (oldest == r)
			continue;
		count(ike, C_FRAGMENT_EVICTED);
		reassembly_free(ike, oldest);
	}
	b->bytes += n;
	r->cost += n;
}

static dur_t patience(const struct ike *ike, const struct ike_sa *sa)
{
	return sa_half_open(sa) ? dur_s(IKE_REASSEMBLY_HALF_OPEN_S) : retransmit_total(ike->conf);
}

static struct reassembly *reassembly_new(struct ike *ike, struct ike_sa *sa,
					 const struct wire_ike_msg *msg)
{
	size_t n = sizeof(struct reassembly) + msg->sk.fragments * sizeof(struct bytes);
	struct reassembly *r = mem_new(ike->mem, n);

	if (!r)
		return NULL;
	r->sa = sa;
	r->budget = &ike->reassembling[sa_half_open(sa)];
	r->msgid = msg->hdr.msgid;
	r->response = msg->hdr.flags & WIRE_FLAG_RESPONSE;
	r->total = msg->sk.fragments;
	r->timer.kind = TIMER_REASSEMBLY;
	heap_arm(&ike->timers, &r->timer, mono_add(ike->now.mono, patience(ike, sa)));
	list_add_tail(&r->budget->list, &r->node);
	sa->reassembly[r->response] = r;
	charge(ike, r, n);
	return r;
}

/* ---- one fragment ------------------------------------------------------------------------- */

/* Section 2.6, what is checked before anything is decrypted: is it one that is missing? */
static bool wanted(struct ike *ike, const struct reassembly *r, const struct wire_sk *sk)
{
	if (r && sk->fragments < r->total) {
		count(ike, C_FRAGMENT_TOTAL);
		return false;
	}
	if (r && sk->fragments == r->total && has(r, sk->fragment)) {
		count(ike, C_FRAGMENT_REPEATED);
		return false;
	}
	return true;
}

/* Section 5: an attack, or a sender that is broken; the SA ends. */
static enum status too_much(struct ike *ike, struct ike_sa *sa, const struct wire_ike_msg *msg,
			    size_t content, size_t max, enum wire_fault *fault, struct text *why)
{
	count(ike, C_FRAGMENT_LIMIT);
	reassembly_drop(ike, sa, msg->hdr.flags & WIRE_FLAG_RESPONSE);
	text_fmt(why, "%u fragments, with %zu bytes so far; we take %u, and %zu bytes",
		 msg->sk.fragments, content, (unsigned)IKE_MAX_FRAGMENTS, max);
	*fault = WIRE_F_LIMIT;
	return ST_REFUSE;
}

/* The set that an authentic fragment belongs to: that under way, or a new one. */
static struct reassembly *set_for(struct ike *ike, struct ike_sa *sa,
				  const struct wire_ike_msg *msg)
{
	struct reassembly *r = sa->reassembly[!!(msg->hdr.flags & WIRE_FLAG_RESPONSE)];

	if (r && msg->sk.fragments > r->total) {
		count(ike, C_FRAGMENT_RESTARTED);
		reassembly_free(ike, r);
		r = NULL;
	}
	return r ? r : reassembly_new(ike, sa, msg);
}

static enum status keep(struct ike *ike, struct reassembly *r, const struct rx *rx,
			struct bytes piece, uint64_t hash)
{
	const struct wire_sk *sk = &rx->msg->sk;
	size_t n = rx->d->data.n;

	if (mem_dup(ike->mem, piece, &r->piece[sk->fragment - 1]))
		return ST_NOMEM;
	r->have |= 1ULL << (sk->fragment - 1);
	r->content += piece.n;
	r->largest = n > r->largest ? (uint16_t)n : r->largest;
	if (sk->fragment == 1) {
		r->first = sk->inner_next;
		r->unknown_critical = rx->msg->clear.unknown_critical;
		r->hash = hash;
	}
	count(ike, C_FRAGMENTS);
	charge(ike, r, piece.n);
	return ST_OK;
}

/* All are there: the message as it was before it was cut. */
static enum status merge(struct ike *ike, struct reassembly *r, struct rx *rx,
			 struct whole *ret_whole, enum wire_fault *fault)
{
	uint8_t *chain = arena_new(rx->ar, r->content);
	size_t used = 0;
	enum status st;

	if (!chain)
		return ST_NOMEM;
	for (size_t i = 0; i < r->total; i++) {
		if (r->piece[i].n)
			memcpy(chain + used, r->piece[i].p, r->piece[i].n);
		used += r->piece[i].n;
	}
	count(ike, C_REASSEMBLED);
	*ret_whole = (struct whole){ .hash = r->hash, .largest = r->largest };
	st = wire_ike_parse_inner(rx->ar, r->first, bytes_of(chain, used), rx->inner, fault);
	if (st)
		return st == ST_DROP ? ST_REFUSE : st;
	if (!rx->inner->unknown_critical)
		rx->inner->unknown_critical = r->unknown_critical;
	return ST_OK;
}

static enum status authentic(struct ike *ike, struct ike_sa *sa, struct rx *rx, struct bytes piece,
			     uint64_t hash, struct whole *ret_whole, enum wire_fault *fault,
			     struct text *why)
{
	const size_t max = sa_half_open(sa) ? IKE_MAX_REASSEMBLED_HALF_OPEN : IKE_MAX_REASSEMBLED;
	struct reassembly *r;
	enum status st;

	if (rx->msg->sk.fragments > IKE_MAX_FRAGMENTS)
		return too_much(ike, sa, rx->msg, piece.n, max, fault, why);
	r = set_for(ike, sa, rx->msg);
	if (!r)
		return ST_NOMEM;
	if (r->content + piece.n > max)
		return too_much(ike, sa, rx->msg, r->content + piece.n, max, fault, why);
	st = keep(ike, r, rx, piece, hash);
	if (st)
		return st;
	if (!complete(r))
		return ST_DROP;
	/* Whatever comes of it, it is over: should it fail for want of memory, all come again. */
	st = merge(ike, r, rx, ret_whole, fault);
	reassembly_free(ike, r);
	return st;
}

enum status reassemble(struct ike *ike, struct ike_sa *sa, struct rx *rx, uint64_t hash,
		       struct whole *ret_whole, enum wire_fault *fault, struct text *why)
{
	const struct wire_ike_msg *msg = rx->msg;
	bool response = msg->hdr.flags & WIRE_FLAG_RESPONSE;
	struct crypto_key key;
	struct bytes piece;
	enum status st;

	if (!sa->path.fragments) {
		count(ike, C_FRAGMENT_UNEXPECTED);
		return ST_DROP;
	}
	/* The window takes no fragment of another message any more. */
	if (sa->reassembly[response] && sa->reassembly[response]->msgid != msg->hdr.msgid)
		reassembly_drop(ike, sa, response);
	if (!wanted(ike, sa->reassembly[response], &msg->sk))
		return ST_DROP;
	key = keys_in(&sa->keys);
	st = msg_decrypt(ike, &key, rx->ar, msg, &piece, fault);
	wipe(&key, sizeof(key));
	if (st == ST_DROP)
		count(ike, C_INTEGRITY);
	return st ? st : authentic(ike, sa, rx, piece, hash, ret_whole, fault, why);
}

/* ---- retransmissions ---------------------------------------------------------------------- */

static bool is_authentic(struct ike *ike, struct ike_sa *sa, struct arena *ar,
			 const struct wire_ike_msg *msg)
{
	struct crypto_key key = keys_in(&sa->keys);
	enum wire_fault fault;
	struct bytes piece;
	enum status st = msg_decrypt(ike, &key, ar, msg, &piece, &fault);

	wipe(&key, sizeof(key));
	if (st == ST_DROP)
		count(ike, C_INTEGRITY);
	return st == ST_OK;
}

/* Section 2.6.1.  What went out as one SK message, or in few fragments, comes in others when the
 * peer probes (section 2.5.2), so these bytes are new and have to prove themselves; afterwards they
 * are known by their hash like any repetition. */
bool fragment_repeated(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		       uint64_t hash)
{
	struct path back = path_of(ike, &d->local, &d->remote);
	enum wire_fault fault;
	struct wire_ike_msg msg;
	struct arena ar;
	bool is_fragment;

	if (!sa->path.fragments)
		return false;
	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	is_fragment = wire_ike_parse(&ar, d->data, &msg, &fault) == ST_OK && msg.sk.fragments;
	/* What a half-open SA answered was IKE_SA_INIT. */
	if (is_fragment && (msg.sk.fragment != 1 || sa->win.in_progress || sa_half_open(sa))) {
		count(ike, C_FRAGMENT_REPEATED);
	} else if (is_fragment && is_authentic(ike, sa, &ar, &msg)) {
		count(ike, C_REPEATED_REQUEST);
		sa->win.request_hash = hash;
		repeat_response(ike, sa, &back, d->data);
	}
	arena_done(&ar);
	return is_fragment;
}
