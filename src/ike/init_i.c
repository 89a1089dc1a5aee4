/*
 * init_i.c - IKE_SA_INIT, initiator (RFC 7296 sections 1.2, 2.6).
 *
 *	HDR(A,0), [N(COOKIE), [PS,]] SAi1, KEi, Ni, V  -->
 *					      <--  HDR(A,0), N(COOKIE)            try again with it
 *					      <--  HDR(A,0), N(COOKIE), N(PUZZLE) solve it (RFC
 *8019)
 *					      <--  HDR(A,0), N(INVALID_KE_PAYLOAD) try that group
 *					      <--  HDR(A,B), SAr1, KEr, Nr, [CERTREQ,] [N(PUZZLE),]
 *[V]
 *
 * Nothing that arrives here is authenticated.  A cookie or another group is followed, a bounded
 * number of times and only to groups that we offered; the whole of what was said is covered by AUTH
 * later.  An error notify is only a hint: it is reported, and retransmission goes on, since anybody
 * who saw the request could have sent it.
 */
#include "ike/partner.h"

struct init_i {
	struct policy_suite suite;
	struct bytes nonce_r;
	struct path path;
	uint16_t peer_hashes;
	struct puzzle_demand puzzle; /* for IKE_AUTH; without bits: none */
	bool peer_ppk;
	bool peer_childless;
	bool peer_warren;
	bool has_natd;
	uint8_t natd[NATD_LEN];
};

/* ---- the request -------------------------------------------------------------------------- */

enum status init_i_send(struct ike *ike, struct ike_sa *sa)
{
	const struct ike_peer_conf *conf = sa->peer->conf;
	struct handshake *hs = sa->hs;
	struct wire_out o;
	struct bytes owned, copy;
	enum status st;

	msg_begin(ike, sa, WIRE_IKE_SA_INIT, false, 0, &o);
	if (hs->cookie.n)
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE, hs->cookie);
	if (hs->solution.n)
		wire_put_solution(&o, bytes_of(hs->solution.keys, hs->solution.n));
	wire_put_sa(&o, &conf->ike);
	wire_put_ke(&o, hs->group, hs->ke_pub);
	wire_put_nonce(&o, hs->nonce_i);
	if (natd_wanted(ike, conf))
		natd_put(ike, sa, &sa->path, &o);
	if (conf->auth == IKE_AUTH_CERT)
		sighash_put(&o);
	if (conf->fragmentation)
		fragmentation_put(&o);
	if (ppk_known(conf))
		ppk_put_support(&o);
	partner_put_proof(ike, sa, &o);
	redirect_put_support(ike, sa, &o);
	vendor_put(&o);
	st = msg_end(ike, sa, &o, &owned);
	if (st)
		return st;
	st = mem_dup(ike->mem, owned, &copy);
	if (st) {
		mem_free(ike->mem, (void *)(uintptr_t)owned.p);
		return st;
	}
	mem_free(ike->mem, (void *)(uintptr_t)hs->msg_i.p);
	hs->msg_i = copy;
	sa->win.next_send = 0; /* section 2.2: also the repeated request has message id 0 */
	sa_set_state(ike, sa, SA_I_INIT);
	send_request(ike, sa, WIRE_IKE_SA_INIT, owned);
	return ST_OK;
}

static void generated(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct bytes pub;
	enum status st = r->status;

	if (st) {
		count(ike, C_JOB_FAILED);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, r->reason);
		return;
	}
	st = mem_dup(ike->mem, bytes_of(r->ke.pub, r->ke.pub_len), &pub);
	if (!st) {
		mem_free(ike->mem, (void *)(uintptr_t)sa->hs->ke_pub.p);
		sa->hs->ke_pub = pub;
		sa->hs->ke_priv = r->ke.priv;
		attempt_end(ike, at);
		st = init_i_send(ike, sa);
	}
	if (st) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	}
}

/* A key pair for hs->group, then the request. */
static enum status generate(struct ike *ike, struct ike_sa *sa)
{
	struct crypto_job *job;
	struct attempt *at;
	enum status st = attempt_new(ike, sa, NULL, 1, &at);

	if (!st)
		st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_GENERATE, &job);
	if (st)
		return st;
	job->in.ke_generate.group = sa->hs->group;
	sa->hs->tried_groups |= 1u << (sa->hs->group & 31);
	return attempt_job(ike, at, job, generated);
}

void init_i_begin(struct ike *ike, struct peer *peer, const struct path *path)
{
	uint8_t nonce[IKE_NONCE_LEN];
	char ep[ENDPOINT_TEXT_MAX];
	struct ike_sa *sa;
	enum status st = sa_new(ike, true, peer, path, &sa);

	if (st) {
		count(ike, C_NO_MEMORY);
		peer_attempt_failed(ike, peer, "out of memory");
		return;
	}
	event_emit(ike, IKE_EV_CONNECTING, (struct event_about){ .sa = sa }, "connecting to %s",
		   endpoint_text(&path->remote, ep));
	ike->crypto.ops->random(ike->crypto.ctx, nonce, sizeof(nonce));
	sa->hs->group = policy_first_ke(&peer->conf->ike);
	st = mem_dup(ike->mem, BYTES_OF(nonce), &sa->hs->nonce_i);
	if (!st)
		st = generate(ike, sa);
	if (st) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	}
}

void init_i_start(struct ike *ike, struct peer *peer, const struct ike_address *addr)
{
	struct path path = {
		.local = { addr->local, ike->conf->port },
		.remote = { addr->remote, peer_port(peer) },
	};

	/* Any port but 500 is a NAT-traversal port (RFC 7296 section 2.23). */
	if (path.remote.port != 500) {
		path.floated = path.encap = path.always = true;
		path.local.port = ike->conf->nat_port;
	}
	init_i_begin(ike, peer, &path);
}

/* ---- the answers -------------------------------------------------------------------------- */

/* Nothing here is authenticated: it is reported, once for each attempt, and trying goes on. */
static void hint(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *text)
{
	if (sa->hs->hint)
		return;
	sa->hs->hint = reason;
	if (!peer_has_child(sa->peer))
		peer_error(ike, sa->peer, text);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = reason },
		   "%s; it is not authenticated, so we go on trying", text);
}

static bool one_more_round(struct ike *ike, struct ike_sa *sa)
{
	if (++sa->hs->rounds <= IKE_MAX_INIT_ROUNDS)
		return true;
	count(ike, C_HINT);
	return false;
}

/* ---- puzzles (RFC 8019 section 7) --------------------------------------------------------- */

static void refuse_puzzle(struct ike *ike, struct ike_sa *sa, const struct puzzle_demand *p)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	count(ike, C_PUZZLE_REFUSED);
	text_fmt(&t,
		 "the peer is under load and wants a puzzle solved that we do not: %u bits with "
		 "PRF %u; puzzle_solve allows %u bits, and the PRF has to be one that we offer",
		 p->bits, p->prf, ike->conf->puzzle_solve);
	hint(ike, sa, IKE_R_OVERLOAD, buf);
}

static void keep_solution(struct handshake *hs, struct bytes keys)
{
	hs->solution.n = keys.n == sizeof(hs->solution.keys) ? (uint8_t)keys.n : 0;
	if (hs->solution.n)
		memcpy(hs->solution.keys, keys.p, keys.n);
}

/* Without a solution the cookie alone goes back: the responder may be lenient. */
static void cookie_solved(struct ike *ike, struct attempt *at, struct bytes keys)
{
	struct ike_sa *sa = at->sa;

	keep_solution(sa->hs, keys);
	attempt_end(ike, at);
	if (init_i_send(ike, sa)) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	}
}

/* The request stays in flight meanwhile: retransmitted it may be served, and who forged the puzzle
 * has not stopped us from hearing the true answer. */
static enum status solve_cookie(struct ike *ike, struct ike_sa *sa, const struct puzzle_demand *p)
{
	struct attempt *at;
	enum status st = attempt_new(ike, sa, NULL, 1, &at);

	if (st)
		return st;
	at->aside = true;
	st = puzzle_solve(ike, at, p, sa->hs->cookie, cookie_solved);
	if (st)
		attempt_end(ike, at);
	return st;
}

static void auth_solved(struct ike *ike, struct attempt *at, struct bytes keys)
{
	keep_solution(at->sa->hs, keys);
	if (keys.n)
		auth_i_begin(ike, at);
	else
		sa_fail(ike, at->sa, IKE_EV_REFUSED, IKE_R_INTERNAL,
			"the puzzle of the answer to IKE_SA_INIT could not be solved");
}

/* Section 7.2.3: the puzzle of IKE_AUTH is about Nr | SPIr. */
static void solve_auth(struct ike *ike, struct attempt *at, const struct puzzle_demand *p)
{
	uint8_t data[WIRE_MAX_NONCE + 8];
	struct wr w = wr_of(data, sizeof(data));

	wr_put(&w, at->sa->hs->nonce_r);
	wr_u64(&w, at->sa->spi_r);
	if (puzzle_solve(ike, at, p, wr_bytes_of(&w), auth_solved)) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, at->sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	}
}

enum status init_i_cookie(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_notify(&rx->msg->clear, WIRE_N_COOKIE);
	struct puzzle_demand puzzle;
	struct bytes copy;
	enum status st;

	if (sa->attempt) { /* of the retransmitted request: we are busy with the first puzzle */
		count(ike, C_BUSY);
		return ST_DROP;
	}
	if (n->data.n == 0 || n->data.n > IKE_MAX_COOKIE || !one_more_round(ike, sa))
		return ST_DROP;
	st = mem_dup(ike->mem, n->data, &copy);
	if (st)
		return st;
	mem_free(ike->mem, (void *)(uintptr_t)sa->hs->cookie.p);
	sa->hs->cookie = copy;
	sa->hs->solution.n = 0;
	if (puzzle_read(&rx->msg->clear, &puzzle)) {
		if (puzzle_willing(ike, sa, &puzzle))
			return solve_cookie(ike, sa, &puzzle);
		refuse_puzzle(ike, sa, &puzzle);
	}
	return init_i_send(ike, sa);
}

enum status init_i_invalid_ke(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_notify(&rx->msg->clear, WIRE_N_INVALID_KE_PAYLOAD);
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);
	uint16_t group;

	if (n->data.n != 2)
		return ST_DROP;
	group = load_be16(n->data.p);
	/* Only to a group that we offer, and to each once: no loop, no downgrade beyond our own
	 * configuration. */
	if (group > 31 || !policy_offers_ke(&sa->peer->conf->ike, group) ||
	    sa->hs->tried_groups & 1u << group || !one_more_round(ike, sa)) {
		count(ike, C_HINT);
		text_fmt(&t,
			 "the answer to IKE_SA_INIT asks for key exchange method %u; we offered ",
			 group);
		policy_sa_text(&t, &sa->peer->conf->ike);
		text_fmt(&t, " and came with %u", sa->hs->group);
		hint(ike, sa, IKE_R_KEY_EXCHANGE, buf);
		return ST_DROP;
	}
	attempt_end(ike, sa->attempt);
	request_done(ike, sa);
	sa->hs->group = group;
	secret_done(&sa->hs->ke_priv);
	sa_set_state(ike, sa, SA_I_START);
	if (generate(ike, sa))
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	return ST_OK;
}

enum status init_i_error(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = wire_find_error(&rx->msg->clear);
	const char *name = wire_notify_name(n->type);
	char buf[IKE_EVENT_TEXT_MAX], number[16];
	struct text t = TEXT_OF(buf), num = TEXT_OF(number);

	count(ike, C_HINT);
	count(ike, C_PEER_REFUSED);
	text_fmt(&num, "error %u", n->type);
	text_fmt(&t, "the answer to IKE_SA_INIT was %s", name ? name : number);
	if (n->type == WIRE_N_NO_PROPOSAL_CHOSEN) {
		text_add(&t, "; we offered ");
		policy_sa_text(&t, &sa->peer->conf->ike);
		text_add(&t, "; compare with the peer's proposals");
	}
	hint(ike, sa, IKE_R_PEER_SAID, buf);
	return ST_OK;
}

/* The answer's key exchange value is none.  The true answer may be behind it, so the request is
 * made once more: the responder knows it and repeats what it said. */
static void no_secret(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (r->status != ST_REFUSE || !one_more_round(ike, sa)) {
		count(ike, C_JOB_FAILED);
		sa_fail(ike, sa, IKE_EV_REFUSED,
			r->status == ST_REFUSE ? IKE_R_KEY_EXCHANGE : IKE_R_INTERNAL, r->reason);
		return;
	}
	count(ike, C_HINT);
	text_fmt(&t, "the answer to IKE_SA_INIT has no good key exchange value: %s", r->reason);
	hint(ike, sa, IKE_R_KEY_EXCHANGE, buf);
	attempt_end(ike, at);
	if (init_i_send(ike, sa)) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
	}
}

/* Keys are there: IKE_SA_INIT is over, IKE_AUTH begins in the same attempt. */
static void derived(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct handshake *hs = sa->hs;
	struct init_i *l = at->locals;
	struct nonces nonces = { hs->nonce_i, l->nonce_r };
	struct bytes nonce_r, msg_r;
	enum status st;

	if (r->status) {
		no_secret(ike, at, r);
		return;
	}
	st = mem_dup(ike->mem, l->nonce_r, &nonce_r);
	if (st)
		goto fail;
	st = mem_dup(ike->mem, at->msg.raw, &msg_r);
	if (st) {
		mem_free(ike->mem, (void *)(uintptr_t)nonce_r.p);
		goto fail;
	}
	st = keys_derive(ike->mem, &ike->crypto, &l->suite, &nonces,
			 bytes_of(r->ke.shared, r->ke.shared_len), sa->spi_i, at->msg.hdr.spi_r,
			 true, &sa->keys, &hs->keys);
	if (st) {
		mem_free(ike->mem, (void *)(uintptr_t)nonce_r.p);
		mem_free(ike->mem, (void *)(uintptr_t)msg_r.p);
		goto fail;
	}

	/* commit */
	hs->nonce_r = nonce_r;
	hs->msg_r = msg_r;
	hs->peer_hashes = l->peer_hashes;
	hs->peer_ppk = l->peer_ppk;
	hs->childless = l->peer_childless;
	hs->has_natd = l->has_natd;
	memcpy(hs->natd, l->natd, sizeof(hs->natd));
	secret_done(&hs->ke_priv);
	sa->spi_r = at->msg.hdr.spi_r;
	sa->suite = l->suite;
	sa->path = l->path;
	sa->warren = l->peer_warren;
	hs->solution.n = 0;
	if (ike->conf->keys)
		keys_emit(ike, sa);
	if (l->puzzle.bits)
		solve_auth(ike, at, &l->puzzle);
	else
		auth_i_begin(ike, at);
	return;
fail:
	count(ike, C_NO_MEMORY);
	sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
}

/* Whether the answer is one to our offer; `why` says what is wrong. */
static bool acceptable(const struct ike_sa *sa, const struct wire_ike_msg *msg, struct init_i *l,
		       struct text *why)
{
	const struct wire_payloads *p = &msg->clear;
	struct bytes spi;

	if (policy_accept(&sa->peer->conf->ike, &p->sa, false, why, &l->suite, &spi))
		return false;
	if (spi.n) { /* section 3.3.1: the header has it */
		text_add(why, "the proposal has an SPI");
		return false;
	}
	if (l->suite.ke != sa->hs->group || p->ke.group != sa->hs->group) {
		text_fmt(why, "key exchange method %u answers our %u", p->ke.group, sa->hs->group);
		return false;
	}
	if (p->ke.data.n != crypto_ke_public_len(p->ke.group)) {
		text_fmt(why, "%zu bytes are no value of key exchange method %u", p->ke.data.n,
			 p->ke.group);
		return false;
	}
	return true;
}

/* NAT traversal moves to the other port with the next message (section 2.23). */
static enum status path_after(struct ike *ike, const struct ike_sa *sa, const struct rx *rx,
			      struct path *ret_path)
{
	struct path path = sa->path;
	enum status st = ST_OK;

	path.local.ip = rx->d->local.ip;
	path.fragments = sa->peer->conf->fragmentation && fragmentation_agreed(&rx->msg->clear);
	if (natd_wanted(ike, sa->peer->conf))
		st = natd_check(ike, &rx->msg->clear, rx->msg->hdr.spi_i, rx->msg->hdr.spi_r,
				&path.local, &path.remote, &path);
	if (st)
		return st;
	/* RFC 4555 section 3.3: who may move goes there in any case. */
	if (!path.floated && path.natt &&
	    (path.nat_local || path.nat_remote || path.forced || ike->conf->force_encap ||
	     sa->peer->conf->mobike)) {
		path.floated = true;
		path.local.port = ike->conf->nat_port;
		path.remote.port = 4500;
	}
	path.encap = path_encap(ike, &path);
	*ret_path = path;
	return ST_OK;
}

static enum status derive(struct ike *ike, struct ike_sa *sa, struct rx *rx, const struct init_i *l)
{
	struct crypto_job *job;
	struct attempt *at;
	struct init_i *locals;
	enum status st = attempt_new(ike, sa, NULL, sizeof(*l), &at);

	if (st)
		return st;
	/* The message outlives the caller's arena: keep its bytes and what is needed of it. */
	locals = at->locals;
	*locals = *l;
	at->msg.hdr = rx->msg->hdr;
	st = arena_dup(&at->mem, rx->msg->raw, &at->msg.raw);
	if (!st)
		st = arena_dup(&at->mem, rx->msg->clear.nonce, &locals->nonce_r);
	if (!st)
		st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_DERIVE, &job);
	if (st)
		return st;
	job->in.ke_derive.group = sa->hs->group;
	job->in.ke_derive.priv = sa->hs->ke_priv;
	st = crypto_job_dup(job, sa->hs->ke_pub, &job->in.ke_derive.pub);
	if (!st)
		st = crypto_job_dup(job, rx->msg->clear.ke.data, &job->in.ke_derive.peer);
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, derived);
}

enum status init_i_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	struct init_i l = { .peer_hashes = sighash_read(&rx->msg->clear) };
	char buf[IKE_EVENT_TEXT_MAX];
	struct text why = TEXT_OF(buf);
	enum status st;

	if (rx->msg->hdr.spi_r == 0) {
		count(ike, C_BAD_INIT);
		return ST_DROP;
	}
	text_add(&why, "the answer to IKE_SA_INIT does not fit our offer: ");
	if (!acceptable(sa, rx->msg, &l, &why)) {
		/* Somebody else may still give the true answer. */
		count(ike, C_NO_PROPOSAL);
		hint(ike, sa, IKE_R_PROPOSAL, buf);
		return ST_DROP;
	}
	/* Section 7.2.1.1: never without a difficulty.  Nor can we go on without a solution. */
	if (puzzle_read(&rx->msg->clear, &l.puzzle) &&
	    (!l.puzzle.bits || !puzzle_willing(ike, sa, &l.puzzle))) {
		refuse_puzzle(ike, sa, &l.puzzle);
		return ST_DROP;
	}
	st = path_after(ike, sa, rx, &l.path);
	if (st)
		return st;
	attempt_end(ike, sa->attempt);
	l.has_natd = natd_seen(&rx->msg->clear, l.natd);
	l.peer_ppk = ppk_supported(&rx->msg->clear);
	l.peer_warren = vendor_ours(&rx->msg->clear);
	l.peer_childless =
		wire_find_notify(&rx->msg->clear, WIRE_N_CHILDLESS_IKEV2_SUPPORTED) != NULL;
	st = derive(ike, sa, rx, &l);
	if (st) {
		count(ike, C_NO_MEMORY);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_INTERNAL, "out of memory");
		return ST_OK;
	}
	request_done(ike, sa);
	return ST_OK;
}
