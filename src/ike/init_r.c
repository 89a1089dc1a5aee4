/*
 * init_r.c - IKE_SA_INIT, responder (RFC 7296 section 1.2).
 *
 *	HDR, SAi1, KEi, Ni, [V]  -->
 *			    <--  HDR, SAr1, KEr, Nr, [CERTREQ,] [V]
 *
 * A request costs memory only after admit_request(), and after partner_proof(): only a partner of
 * ours can tell a site from nobody.  The key pair and the shared secret are one job, so the keys
 * are there before the answer leaves and IKE_AUTH can never be ahead of them.
 */
#include "ike/partner.h"

struct init_r {
	struct policy_suite suite;
	uint8_t number;
	uint64_t hash;
	struct admission admission;
	struct proven by; /* a partner, with which alone it goes on; or nobody in particular */
};

static const struct ike_peer_conf *partner_conf(const struct init_r *l)
{
	return l->by.partner ? l->by.partner->conf : NULL;
}

static bool same_init(const struct map_node *n, const void *key)
{
	const struct handshake *hs = CONTAINER_OF(n, const struct handshake, by_init);

	return bytes_eq(hs->msg_i, *(const struct bytes *)key);
}

/* Requests are equal only when they come from the same endpoint. */
static uint64_t init_hash(struct ike *ike, const struct ike_datagram *d)
{
	uint8_t ep[19];
	uint64_t h = map_hash(&ike->half_open, d->data);

	memcpy(ep, d->remote.ip.b, 16);
	ep[16] = d->remote.ip.family;
	store_be16(ep + 17, d->remote.port);
	return h ^ map_hash(&ike->half_open, BYTES_OF(ep));
}

/* A retransmitted IKE_SA_INIT: the answer again, or nothing while it is being made. */
static bool repeated(struct ike *ike, const struct ike_datagram *d, uint64_t hash)
{
	struct map_node *n = map_find(&ike->half_open, hash, same_init, &d->data);
	struct handshake *hs;

	if (!n)
		return false;
	hs = CONTAINER_OF(n, struct handshake, by_init);
	count(ike, C_REPEATED_REQUEST);
	if (hs->sa->state == SA_R_INIT && hs->msg_r.n && may_repeat(ike, hs->sa)) {
		struct outbox ob;

		outbox_init(&ob, ike->mem);
		send_bytes(&ob, &hs->sa->path, hs->msg_r);
		outbox_commit(ike, &ob);
	}
	return true;
}

void init_r_refuse(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   uint16_t type, struct bytes data)
{
	struct wire_hdr answer = { .spi_i = h->spi_i,
				   .version = WIRE_IKE_VERSION,
				   .exchange = WIRE_IKE_SA_INIT,
				   .flags = WIRE_FLAG_RESPONSE };
	struct wire_out o;
	struct bytes msg;

	if (ike->stateless.full)
		return;
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &answer);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, data);
	if (wire_ike_end(&o, &msg) == ST_OK)
		stateless_send(ike, d, msg);
}

static bool takes(struct ike *ike, const struct wire_sa *ours, const struct wire_sa *theirs,
		  struct init_r *ret)
{
	/* A text about each that does not fit would cost more than a stranger's datagram is worth.
	 */
	struct text unsaid = { 0 };
	struct bytes spi;

	count(ike, C_COMPARED);
	return policy_select(ours, theirs, false, &unsaid, &ret->suite, &ret->number, &spi) ==
		       ST_OK &&
	       spi.n == 0;
}

/* The offers of sections that have the address, in the order of the configuration, each once. */
static size_t offers_at(const struct ike *ike, const struct ip *from,
			const struct offer *ret[IKE_MAX_AT_ADDRESS])
{
	struct peer *p[IKE_MAX_AT_ADDRESS];
	size_t n = peers_at(ike, from, p, ARRAY_LEN(p)), kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct offer *o = p[i]->section->offer;
		size_t at = kept;

		while (at > 0 && o && ret[at - 1] > o)
			at--;
		if (!o || (at > 0 && ret[at - 1] == o))
			continue;
		memmove(&ret[at + 1], &ret[at], (kept - at) * sizeof(ret[0]));
		ret[at] = o;
		kept++;
	}
	return kept;
}

/* Who it is shows only in IKE_AUTH; until then any section's proposals will do: those of sections
 * with that address first, then of those without any, then of everybody, who may have moved. */
static bool choose(struct ike *ike, const struct ike_datagram *d, const struct wire_sa *theirs,
		   struct init_r *ret)
{
	const struct offer *near[IKE_MAX_AT_ADDRESS];
	size_t n;

	if (ret->by.partner)
		return takes(ike, &partner_conf(ret)->ike, theirs, ret);
	n = offers_at(ike, &d->remote.ip, near);
	for (size_t i = 0; i < n; i++)
		if (takes(ike, near[i]->ike, theirs, ret))
			return true;
	for (int anywhere = 1; anywhere >= 0; anywhere--)
		for (size_t i = 0; i < ike->offers.n; i++)
			if (ike->offers.v[i].anywhere == anywhere &&
			    takes(ike, ike->offers.v[i].ike, theirs, ret))
				return true;
	return false;
}

static void explain_offer(const struct offer *o, struct text *t)
{
	text_fmt(t, "; \"%s\"", o->name);
	if (o->n_peers > 1)
		text_fmt(t, " and %zu more", o->n_peers - 1);
	text_add(t, o->n_peers > 1 ? " accept " : " accepts ");
	policy_sa_text(t, o->ike);
}

/* What would have been taken: by those at that address, else by those without any, else by all. */
static void wanted_instead(struct ike *ike, const struct ip *from, struct text *t)
{
	const struct offer *o[IKE_MAX_AT_ADDRESS];
	size_t n = offers_at(ike, from, o), said = 0, left = 0;

	for (size_t i = 0; i < n && said < IKE_MAX_EXPLAINED; i++, said++)
		explain_offer(o[i], t);
	for (int anywhere = 1; anywhere >= 0 && !said; anywhere--)
		for (size_t i = 0; i < ike->offers.n; i++) {
			if (ike->offers.v[i].anywhere != anywhere)
				continue;
			if (said < IKE_MAX_EXPLAINED)
				explain_offer(&ike->offers.v[i], t);
			left += said++ >= IKE_MAX_EXPLAINED;
		}
	if (left)
		text_fmt(t, "; and %zu other proposals", left);
	if (!said)
		text_add(t, "; no peer is configured");
}

/* Anybody can make us say this, so it is said, to the log as well, only so often. */
static void no_proposal(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
			const struct wire_sa *theirs, const struct peer *partner)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	count(ike, ike->n_callable || partner ? C_NO_PROPOSAL : C_NO_PEER);
	if (!stray_allowed(ike))
		return;
	text_add(&t, "it offers ");
	policy_sa_text(&t, theirs);
	if (theirs->n && theirs->proposals[0].spi.n)
		text_add(&t, ", with an SPI, where there is none yet");
	if (partner)
		explain_offer(&(struct offer){ .ike = &partner->conf->ike, .name = partner->name },
			      &t);
	else
		wanted_instead(ike, &d->remote.ip, &t);
	event_emit(ike, IKE_EV_REFUSED,
		   (struct event_about){ .peer = partner,
					 .local = &d->local,
					 .remote = &d->remote,
					 .reason = IKE_R_PROPOSAL },
		   "IKE_SA_INIT refused: %s", buf);
	init_r_refuse(ike, d, h, WIRE_N_NO_PROPOSAL_CHOSEN, bytes_of(NULL, 0));
}

/* A site answers nobody, with nothing: neither another site that would go around the hub, nor who
 * looks for gateways learns that there is one (T1). */
static void stay_silent(struct ike *ike, const struct ike_datagram *d)
{
	char ep[ENDPOINT_TEXT_MAX];

	count(ike, C_SILENT);
	if (stray_allowed(ike))
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .local = &d->local,
						 .remote = &d->remote,
						 .reason = IKE_R_IDENTITY },
			   "IKE_SA_INIT from %s dropped: a site answers nobody; networks are stars "
			   "here, traffic goes by the hub",
			   endpoint_text(&d->remote, ep));
}

/* For IKE_AUTH (RFC 8019 section 7.2.1). */
static void put_puzzle(struct ike *ike, struct ike_sa *sa, struct wire_out *o)
{
	struct puzzle_demand p;
	uint8_t data[3];

	if (!admit_auth_puzzle(ike, sa, &p))
		return;
	store_be16(data, p.prf);
	data[2] = p.bits;
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_PUZZLE, BYTES_OF(data));
}

/* Who it is shows only in IKE_AUTH, too late for asking for its certificate. */
static void put_certreq(const struct ike *ike, const struct init_r *l, struct wire_out *o)
{
	const struct ike_peer_conf *partner = partner_conf(l);

	if (!partner && !ike->certreq.wanted)
		return;
	wire_put_certreq(o, WIRE_CERT_X509,
			 partner ? partner->trust_hashes
				 : bytes_of(ike->certreq.hashes, IKE_ANCHOR_LEN * ike->certreq.n));
	sighash_put(o);
}

/* The answer, for which everything is known now. */
static enum status build(struct ike *ike, struct ike_sa *sa, const struct attempt *at,
			 const struct crypto_result *r, struct bytes *ret_owned)
{
	const struct init_r *l = at->locals;
	struct wire_proposal proposal;
	struct wire_sa choice = { &proposal, 1 };
	struct arena ar;
	struct wire_out o;
	enum status st;

	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	st = policy_suite_proposal(&ar, &l->suite, l->number, bytes_of(NULL, 0), &proposal);
	if (!st) {
		msg_begin(ike, sa, WIRE_IKE_SA_INIT, true, 0, &o);
		wire_put_sa(&o, &choice);
		wire_put_ke(&o, l->suite.ke, bytes_of(r->ke.pub, r->ke.pub_len));
		wire_put_nonce(&o, sa->hs->nonce_r);
		natd_put(ike, sa, &sa->path, &o);
		put_puzzle(ike, sa, &o);
		put_certreq(ike, l, &o);
		if (sa->path.fragments)
			fragmentation_put(&o);
		if (sa->hs->peer_ppk)
			ppk_put_support(&o);
		if (sa->hs->childless)
			wire_put_notify(&o, WIRE_PROTO_IKE, bytes_of(NULL, 0),
					WIRE_N_CHILDLESS_IKEV2_SUPPORTED, bytes_of(NULL, 0));
		/* To who is none it would be no use, and tell who looks around what we are. */
		if (sa->warren)
			vendor_put(&o);
		st = msg_end(ike, sa, &o, ret_owned);
	}
	arena_done(&ar);
	return st;
}

/* Either the peer's key exchange value is none, or we could not do our part. */
static void no_secret(struct ike *ike, struct ike_sa *sa, const struct crypto_result *r)
{
	if (r->status == ST_REFUSE) {
		count(ike, C_INVALID_KE);
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_KEY_EXCHANGE, r->reason);
		return;
	}
	count(ike, C_JOB_FAILED);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_INTERNAL },
		   "%s", r->reason);
	sa_remove(ike, sa, r->reason);
}

static void finish(struct ike *ike, struct attempt *at, const struct crypto_result *r)
{
	struct ike_sa *sa = at->sa;
	struct init_r *l = at->locals;
	struct nonces nonces = { sa->hs->nonce_i, sa->hs->nonce_r };
	struct handshake_keys hs_keys = { 0 };
	struct sa_keys keys = { 0 };
	struct bytes owned, copy;

	if (r->status) {
		no_secret(ike, sa, r);
		return;
	}
	if (keys_derive(ike->mem, &ike->crypto, &l->suite, &nonces,
			bytes_of(r->ke.shared, r->ke.shared_len), sa->spi_i, sa->spi_r, false,
			&keys, &hs_keys))
		goto fail;
	if (build(ike, sa, at, r, &owned))
		goto fail;
	if (mem_dup(ike->mem, owned, &copy)) {
		mem_free(ike->mem, (void *)(uintptr_t)owned.p);
		goto fail;
	}

	/* commit */
	sa->suite = l->suite;
	sa->keys = keys;
	sa->hs->keys = hs_keys;
	sa->hs->msg_r = copy;
	sa->win.request_hash = map_hash(&ike->sa_by_spi, sa->hs->msg_i);
	attempt_end(ike, at);
	sa_set_state(ike, sa, SA_R_INIT);
	send_response(ike, sa, WIRE_IKE_SA_INIT, owned);
	if (ike->conf->keys)
		keys_emit(ike, sa);
	wipe(&hs_keys, sizeof(hs_keys));
	return;
fail:
	keys_done(&keys, ike->mem);
	wipe(&hs_keys, sizeof(hs_keys));
	count(ike, C_NO_MEMORY);
	sa_remove(ike, sa, "out of memory");
}

/* Copies what the request says into the handshake. */
static enum status remember(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			    const struct wire_ike_msg *msg, const struct init_r *l)
{
	struct handshake *hs = sa->hs;
	uint8_t nonce[IKE_NONCE_LEN];
	enum status st;

	ike->crypto.ops->random(ike->crypto.ctx, nonce, sizeof(nonce));
	st = mem_dup(ike->mem, d->data, &hs->msg_i);
	if (!st)
		st = mem_dup(ike->mem, msg->clear.nonce, &hs->nonce_i);
	if (!st)
		st = mem_dup(ike->mem, BYTES_OF(nonce), &hs->nonce_r);
	hs->peer_hashes = sighash_read(&msg->clear);
	hs->childless = ike->childless && !l->by.partner;
	sa->warren = vendor_ours(&msg->clear);
	if (!l->by.partner)
		steer_read(hs, &msg->clear);
	hs->peer_ppk = (ike->any_ppk || l->by.partner) && ppk_supported(&msg->clear);
	return st;
}

static enum status begin(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			 const struct wire_ike_msg *msg, const struct init_r *l)
{
	struct crypto_job *job;
	struct attempt *at;
	enum status st = remember(ike, sa, d, msg, l);

	if (!st)
		st = attempt_for_request(ike, sa, NULL, sizeof(*l), &at);
	if (st)
		return st;
	memcpy(at->locals, l, sizeof(*l));
	st = crypto_job_new(ike->mem, CRYPTO_JOB_KE_RESPOND, &job);
	if (st)
		return st;
	job->in.ke_respond.group = l->suite.ke;
	st = crypto_job_dup(job, msg->clear.ke.data, &job->in.ke_respond.peer);
	if (st) {
		crypto_job_free(job);
		return st;
	}
	return attempt_job(ike, at, job, finish);
}

static void accept(struct ike *ike, const struct ike_datagram *d, const struct wire_ike_msg *msg,
		   const struct init_r *l)
{
	const struct ike_peer_conf *partner = partner_conf(l);
	struct path path = path_of(ike, &d->local, &d->remote);
	struct ike_sa *sa;
	dur_t patience;
	enum status st;

	ike->asked_from = path;
	path.always = path.floated;
	path.fragments = (partner ? partner->fragmentation : ike->fragments) &&
			 fragmentation_agreed(&msg->clear);
	if (natd_check(ike, &msg->clear, msg->hdr.spi_i, 0, &d->local, &d->remote, &path)) {
		count(ike, C_NO_MEMORY);
		return;
	}
	if ((partner && !partner_room(ike, &l->by)) ||
	    !admit_room(ike, d, &l->admission, d->data.n))
		return;
	st = sa_new(ike, false, NULL, &path, &sa);
	if (st) {
		count(ike, C_NO_MEMORY);
		return;
	}
	sa->spi_i = msg->hdr.spi_i;
	if (partner)
		partner_enter(sa, &l->by);
	st = admit_enter(ike, sa, &l->admission, d->data.n);
	if (!st)
		st = begin(ike, sa, d, msg, l);
	if (st) {
		count(ike, C_NO_MEMORY);
		sa_remove(ike, sa, "out of memory");
		return;
	}
	sa->hs->init_hash = l->hash;
	sa->hs->in_init_map = true;
	map_insert(&ike->half_open, &sa->hs->by_init, l->hash);
	patience = partner ? dur_s(IKE_PARTNER_OPEN_S) : admit_patience(ike, sa);
	heap_arm(&ike->timers, &sa->reap, mono_add(ike->now.mono, patience));
	load_weigh(ike);
}

static void parsed(struct ike *ike, const struct ike_datagram *d, const struct wire_ike_msg *msg,
		   struct init_r *l)
{
	const struct wire_payloads *p = &msg->clear;
	const uint64_t required =
		WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_KE) | WIRE_BIT(WIRE_P_NONCE);
	uint8_t group[2];

	if (msg->encrypted || (p->present & required) != required) {
		count(ike, C_PAYLOADS);
		return;
	}
	if (p->unknown_critical) {
		count(ike, C_CRITICAL);
		if (stray_allowed(ike))
			init_r_refuse(ike, d, &msg->hdr, WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD,
				      bytes_of(&p->unknown_critical, 1));
		return;
	}
	if (!choose(ike, d, &p->sa, l)) {
		no_proposal(ike, d, &msg->hdr, &p->sa, l->by.partner);
		return;
	}
	if (!l->by.partner && steer_init(ike, d, msg, l->admission.proof))
		return;
	if (p->ke.group != l->suite.ke) {
		/* Section 1.2: tell which one we would take; no state is kept. */
		count(ike, C_INVALID_KE);
		store_be16(group, l->suite.ke);
		init_r_refuse(ike, d, &msg->hdr, WIRE_N_INVALID_KE_PAYLOAD, BYTES_OF(group));
		return;
	}
	if (p->ke.data.n != crypto_ke_public_len(p->ke.group)) {
		ike->faults[WIRE_F_KE]++;
		return;
	}
	accept(ike, d, msg, l);
}

void init_r_request(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h)
{
	enum wire_fault fault = WIRE_OK;
	struct wire_ike_msg msg;
	struct arena ar;
	struct init_r l = { 0 };

	if (ike->shutdown) {
		count(ike, C_SHUTTING_DOWN);
		return;
	}
	if (!partner_proof(ike, d, h, &l.by))
		return;
	if (ike->silent && !l.by.partner) {
		stay_silent(ike, d);
		return;
	}
	if (d->data.n > IKE_MAX_INIT) {
		count(ike, C_BAD_INIT);
		return;
	}
	l.hash = init_hash(ike, d);
	if (repeated(ike, d, l.hash) ||
	    !admit_request(ike, d, h, l.by.partner != NULL, &l.admission))
		return;
	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	if (wire_ike_parse(&ar, d->data, &msg, &fault))
		ike->faults[fault]++;
	else
		parsed(ike, d, &msg, &l);
	arena_done(&ar);
}
