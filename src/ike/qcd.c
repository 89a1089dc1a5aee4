/*
 * qcd.c - who lost an IKE SA says so, and proves it (RFC 6290).
 *
 * As *token maker* we give the peer a token with IKE_AUTH, and another one when the SPIs change.
 * Tokens are computed of the SPIs by whoever has this gateway's secret (a job), so that nothing has
 * to be kept for them.  A protected request for an SA that we do not know, most likely since we
 * crashed, is answered with INVALID_IKE_SPI and the token of its SPIs.
 *
 * A token must never be told to anybody for an SA that lives (section 9.2): both SPIs of the
 * request must be unknown to us, whoever it says made the SA, when it comes and again when the
 * token is there.  The secret is never shared, so another gateway's request for its SAs gives
 * tokens that fit nowhere.  How many are given is bounded, more generously for a while after our
 * start, and for each source apart: a flood gets INVALID_IKE_SPI, which its victims do not need a
 * token to act on.
 *
 * As *token taker*, for SAs that we called, we keep the peer's token, and end the SA in silence
 * when it comes in the clear, from wherever; the peer is called anew.  A hub keeps none: its
 * members come to it.
 *
 * All else that comes in the clear is a hint (hint.c).
 */
#include "ike/internal.h"

/* What the peer would show if it lost the SA. */
struct qcd_token {
	uint8_t n;
	uint8_t b[];
};

enum { TOKEN_MIN = 16, TOKEN_MAX = 128 }; /* section 5 */

/* Whom a token that is being computed is for. */
enum purpose {
	FOR_HANDSHAKE,
	FOR_PEER, /* of an SA that is up */
	FOR_STRANGER, /* who asks for an SA that we do not know */
};

struct qcd_job {
	struct map_node by_job;
	uint64_t job;
	enum purpose purpose;
	bool initiator; /* we are the SA's */
	struct wire_hdr hdr; /* SPIs; of a stranger: its request's */
	struct endpoint local, remote; /* of a stranger */
};

/* ---- jobs --------------------------------------------------------------------------------- */

static bool same_job(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct qcd_job, by_job)->job == *(const uint64_t *)key;
}

static uint64_t job_hash(const struct ike *ike, uint64_t job)
{
	return map_hash(&ike->qcd.jobs, bytes_of(&job, sizeof(job)));
}

static void forget(struct ike *ike, struct qcd_job *q)
{
	map_remove(&ike->qcd.jobs, &q->by_job);
	ike->n_jobs[CRYPTO_JOB_QCD]--;
	ike->qcd.n_strangers -= q->purpose == FOR_STRANGER;
	mem_free(ike->mem, q);
}

static enum status emit(struct ike *ike, struct qcd_job *q)
{
	struct crypto_job *job;
	struct outbox ob;
	struct out_item *it;

	if (crypto_job_new(ike->mem, CRYPTO_JOB_QCD, &job))
		return ST_NOMEM;
	job->in.qcd = (struct crypto_qcd_in){ q->hdr.spi_i, q->hdr.spi_r };
	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_JOB);
	if (!it) {
		crypto_job_free(job);
		return ST_NOMEM;
	}
	q->job = it->out.u.job.id = ++ike->last_job;
	it->out.u.job.job = job;
	trace_emit(ike, T_JOB, 0, q->job, CRYPTO_JOB_QCD, 0, 0);
	outbox_commit(ike, &ob);
	return ST_OK;
}

/* False: there is no memory for it. */
static bool ask(struct ike *ike, const struct qcd_job *what)
{
	struct qcd_job *q = mem_new(ike->mem, sizeof(*q));

	if (q)
		*q = *what;
	if (!q || emit(ike, q)) {
		mem_free(ike->mem, q);
		count(ike, C_NO_MEMORY);
		return false;
	}
	map_insert(&ike->qcd.jobs, &q->by_job, job_hash(ike, q->job));
	ike->n_jobs[CRYPTO_JOB_QCD]++;
	ike->qcd.n_strangers += q->purpose == FOR_STRANGER;
	return true;
}

void qcd_init(struct ike *ike, const uint64_t key[2])
{
	map_init(&ike->qcd.jobs, ike->mem, key);
	ike->qcd.began = ike->now.mono;
}

void qcd_done(struct ike *ike)
{
	struct map_node *n;

	while ((n = map_any(&ike->qcd.jobs)))
		forget(ike, CONTAINER_OF(n, struct qcd_job, by_job));
	map_done(&ike->qcd.jobs);
}

/* ---- token maker -------------------------------------------------------------------------- */

/* Whoever is silent could not show it. */
static bool makes(const struct ike *ike, const struct ike_peer_conf *conf)
{
	return conf->qcd && !ike->silent;
}

static bool ask_for(struct ike *ike, const struct ike_sa *sa, enum purpose purpose)
{
	return ask(ike, &(struct qcd_job){ .purpose = purpose,
					   .initiator = sa->initiator,
					   .hdr = { .spi_i = sa->spi_i, .spi_r = sa->spi_r } });
}

/* The token is there before the AUTH payload that is asked for next, or goes without. */
void qcd_prepare(struct ike *ike, const struct ike_sa *sa, const struct ike_peer_conf *conf)
{
	if (makes(ike, conf))
		(void)ask_for(ike, sa, FOR_HANDSHAKE);
}

static void put(struct wire_out *o, const uint8_t token[CRYPTO_QCD_LEN])
{
	wire_put_notify(o, WIRE_PROTO_IKE, bytes_of(NULL, 0), WIRE_N_QUICK_CRASH_DETECTION,
			bytes_of(token, CRYPTO_QCD_LEN));
}

void qcd_put(const struct ike_sa *sa, struct wire_out *o)
{
	if (sa->hs->has_qcd)
		put(o, sa->hs->qcd);
}

/* Section 4.3: the SPIs are others now. */
void qcd_renew(struct ike *ike, struct ike_sa *sa)
{
	sa->token_due = makes(ike, sa->peer->conf);
	agenda_soon(ike, sa);
}

bool qcd_announce(struct ike *ike, struct ike_sa *sa)
{
	sa->token_due = !ask_for(ike, sa, FOR_PEER);
	return !sa->token_due;
}

static void send_token(struct ike *ike, struct ike_sa *sa, const uint8_t token[CRYPTO_QCD_LEN])
{
	struct wire_out o;

	if (sa->state != SA_UP)
		return;
	/* It is computed again when the window is free. */
	if (sa->win.request.n || sa->attempt || sa->create) {
		sa->token_due = true;
		return;
	}
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	put(&o, token);
	info_send(ike, sa, &o);
}

/* ---- who asks for what we do not know ------------------------------------------------------ */

/* What only an SA's other end, or who repeats what that sent, can make: an encrypted request of a
 * kind that comes once an SA is up.  The shortest has an IV of 8 bytes, a byte of padding and an
 * ICV of 12, so an answer is not much longer. */
static bool looks_protected(const struct ike_datagram *d, const struct wire_hdr *h)
{
	bool kind = h->exchange == WIRE_INFORMATIONAL || h->exchange == WIRE_CREATE_CHILD_SA;

	return kind && (h->next == WIRE_P_SK || h->next == WIRE_P_SKF) && h->spi_i && h->spi_r &&
	       h->length == d->data.n &&
	       d->data.n >= WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + 8 + 1 + 12;
}

/* Of neither end: flags in the clear say whose SPI is which. */
static bool unknown(const struct ike *ike, const struct wire_hdr *h)
{
	return !sa_by_spi(ike, h->spi_i) && !sa_by_spi(ike, h->spi_r);
}

static unsigned rate(const struct ike *ike)
{
	bool fresh = mono_since(ike->now.mono, ike->qcd.began).ns < dur_s(IKE_QCD_FRESH_S).ns;

	return fresh ? IKE_QCD_FRESH_PER_S : IKE_QCD_PER_S;
}

/* Sources share what there is: of as many as there are counters none can take it all. */
static bool source_allowed(struct ike *ike, const struct ip *ip)
{
	size_t n = ip->family == 4 ? 4 : 8; /* an IPv6 host has a /64 */
	uint64_t hash = map_hash(&ike->qcd.jobs, bytes_of(ip->b, n));
	uint8_t *count = &ike->qcd.by_source[hash % ARRAY_LEN(ike->qcd.by_source)];

	if (mono_since(ike->now.mono, ike->qcd.second).ns >= dur_s(1).ns) {
		memset(ike->qcd.by_source, 0, sizeof(ike->qcd.by_source));
		ike->qcd.second = ike->now.mono;
	}
	if (*count >= IKE_QCD_SOURCE_PER_S)
		return false;
	(*count)++;
	return true;
}

bool qcd_stranger(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h)
{
	if (!ike->any_qcd || ike->silent || (h->flags & WIRE_FLAG_RESPONSE) ||
	    !looks_protected(d, h) || !unknown(ike, h))
		return false;
	if (ike->qcd.n_strangers >= IKE_QCD_PENDING || !source_allowed(ike, &d->remote.ip) ||
	    !per_second_take(ike, &ike->qcd.answers, rate(ike))) {
		count(ike, C_QCD_LIMITED);
		return false;
	}
	return ask(ike, &(struct qcd_job){ .purpose = FOR_STRANGER,
					   .hdr = *h,
					   .local = d->local,
					   .remote = d->remote });
}

/* HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN) (section 4.5) */
static void answer_stranger(struct ike *ike, const struct qcd_job *q,
			    const uint8_t token[CRYPTO_QCD_LEN])
{
	struct path path = path_of(ike, &q->local, &q->remote);
	struct wire_hdr h = stray_header(&q->hdr);
	uint8_t buf[128];
	struct wire_out o;
	struct bytes msg;
	struct outbox ob;

	if (!unknown(ike, &q->hdr))
		return;
	wire_ike_begin(&o, buf, sizeof(buf), &h);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_INVALID_IKE_SPI,
			bytes_of(NULL, 0));
	put(&o, token);
	if (wire_ike_end(&o, &msg))
		return;
	outbox_init(&ob, ike->mem);
	send_bytes(&ob, &path, msg);
	if (ob.failed)
		count(ike, C_NO_MEMORY);
	else
		count(ike, C_QCD_SENT);
	outbox_commit(ike, &ob);
}

static void made(struct ike *ike, const struct qcd_job *q, const uint8_t token[CRYPTO_QCD_LEN])
{
	struct ike_sa *sa = sa_by_spi(ike, q->initiator ? q->hdr.spi_i : q->hdr.spi_r);

	if (q->purpose == FOR_STRANGER) {
		answer_stranger(ike, q, token);
	} else if (!sa) {
		return; /* it is gone meanwhile */
	} else if (q->purpose == FOR_PEER) {
		send_token(ike, sa, token);
	} else if (sa->hs) {
		memcpy(sa->hs->qcd, token, sizeof(sa->hs->qcd));
		sa->hs->has_qcd = true;
	}
}

bool qcd_result(struct ike *ike, uint64_t job, const struct crypto_result *r)
{
	struct map_node *n = map_find(&ike->qcd.jobs, job_hash(ike, job), same_job, &job);
	struct qcd_job q;

	if (!n)
		return false;
	q = *CONTAINER_OF(n, struct qcd_job, by_job);
	forget(ike, CONTAINER_OF(n, struct qcd_job, by_job));
	trace_emit(ike, T_JOB_DONE, 0, job, r->kind, r->status, 0);
	/* All goes without it as well. */
	if (r->status || r->kind != CRYPTO_JOB_QCD)
		count(ike, C_JOB_FAILED);
	else
		made(ike, &q, r->qcd);
	return true;
}

/* ---- token taker -------------------------------------------------------------------------- */

void qcd_token_free(struct ike *ike, struct ike_sa *sa)
{
	if (sa->token)
		mem_free_secret(ike->mem, sa->token, sizeof(*sa->token) + sa->token->n);
	sa->token = NULL;
}

/* Section 4.4: the last one counts. */
void qcd_take(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_QUICK_CRASH_DETECTION);
	struct qcd_token *t;

	if (!n || !sa->called || !sa->peer->conf->qcd)
		return;
	if (n->data.n < TOKEN_MIN || n->data.n > TOKEN_MAX) {
		count(ike, C_QCD_MALFORMED);
		return;
	}
	t = mem_new(ike->mem, sizeof(*t) + n->data.n);
	if (!t) {
		count(ike, C_NO_MEMORY);
		return;
	}
	t->n = (uint8_t)n->data.n;
	memcpy(t->b, n->data.p, n->data.n);
	qcd_token_free(ike, sa);
	sa->token = t;
}

/* Any of them will do (section 4.5); all are looked at. */
static bool has_token(const struct ike_sa *sa, const struct wire_payloads *p, bool *ret_any)
{
	bool right = false;

	*ret_any = false;
	for (size_t i = 0; i < p->n_notifies; i++) {
		if (p->notifies[i].type != WIRE_N_QUICK_CRASH_DETECTION)
			continue;
		*ret_any = true;
		if (sa->token)
			right |=
				ct_equal(p->notifies[i].data, bytes_of(sa->token->b, sa->token->n));
	}
	return right;
}

/* The peer has nothing of it any more: not a word to it (section 4.5).  Others that it had with us
 * are asked about. */
static void lost(struct ike *ike, struct ike_sa *sa)
{
	struct peer *p = sa->peer;
	struct ip at = sa->path.remote.ip;
	bool stays = p->section && !p->removed;

	count(ike, C_QCD_ACCEPTED);
	sa_remove(ike, sa, "the peer lost it, and proved that by its QCD token");
	if (!stays)
		return;
	list_for_each(n, &p->sas)
		info_probe(ike, CONTAINER_OF(n, struct ike_sa, peer_node));
	peer_lost(ike, p, &at);
}

static void wrong(struct ike *ike, const struct ike_sa *sa, const struct ike_datagram *d)
{
	char ep[ENDPOINT_TEXT_MAX];

	count(ike, C_QCD_WRONG);
	if (sa->token && per_second_take(ike, &ike->qcd.events, IKE_QCD_EVENTS_PER_S))
		event_emit(ike, IKE_EV_HINT, (struct event_about){ .sa = sa },
			   "a QCD token that is not this SA's came from %s: the peer has another "
			   "secret than before, or somebody guesses",
			   endpoint_text(&d->remote, ep));
}

enum qcd_verdict qcd_judge(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			   const struct wire_payloads *p)
{
	bool any;

	if (has_token(sa, p, &any)) {
		lost(ike, sa);
		return QCD_LOST;
	}
	if (!any)
		return QCD_NONE;
	wrong(ike, sa, d);
	return QCD_WRONG;
}
