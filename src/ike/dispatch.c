/*
 * dispatch.c - from a datagram for an existing SA to the handler of its row.
 *
 * The order of checks is the order of cost, and of trust: SPIs and message id first (nothing is
 * allocated), then the clear chain, then the table (would any row take this at all?), then the
 * integrity check, then the decrypted chain, then the row.  Only what passed the integrity check
 * may move the window or get an answer.
 */
#include "ike/internal.h"

static void drop(struct ike *ike, const struct ike_sa *sa, const struct wire_hdr *h,
		 enum ike_counter why)
{
	count(ike, why);
	trace_emit(ike, T_DROP, sa->id, why, h->exchange, h->msgid,
		   !!(h->flags & WIRE_FLAG_RESPONSE));
}

/*
 * What an SA does with each kind of message while jobs are outstanding.  New requests are not
 * queued: where nobody may ask yet the peer retransmits them, and by then the job is done.
 */
enum pending { PENDING_PROCESS, PENDING_DROP };

static const enum pending while_own[2 /* established */][WIN_STRAY + 1] = {
	[0] = { [WIN_NEW_REQUEST] = PENDING_DROP, /* our start, or the peer being checked */
		[WIN_RESPONSE] = PENDING_DROP }, /* the same response once more */
	[1] = { [WIN_RESPONSE] = PENDING_DROP }, /* the same response once more */
};

static const enum pending while_answering[WIN_STRAY + 1] = {
	[WIN_NEW_REQUEST] = PENDING_DROP, /* cannot be: the window is one */
	[WIN_REPEATED] = PENDING_DROP, /* it is being answered */
};

static enum pending pending(const struct ike_sa *sa, enum window_class class)
{
	bool established = sa->state >= SA_UP;

	if (sa->attempt && !sa->attempt->aside && while_own[established][class] == PENDING_DROP)
		return PENDING_DROP;
	return sa->answering ? while_answering[class] : PENDING_PROCESS;
}

/* True when the message goes on to be parsed. */
static bool admit(struct ike *ike, struct ike_sa *sa, const struct wire_hdr *h,
		  enum window_class class)
{
	static const enum ike_counter dropped[WIN_STRAY + 1] = {
		[WIN_OLD] = C_OLD_REQUEST,
		[WIN_FUTURE] = C_FUTURE_REQUEST,
		[WIN_FORGED] = C_FORGED_REPEAT,
		[WIN_STRAY] = C_STRAY_RESPONSE,
	};
	bool known = class == WIN_NEW_REQUEST || class == WIN_REPEATED || class == WIN_RESPONSE;

	if (!known) {
		drop(ike, sa, h, dropped[class]);
		return false;
	}
	if (pending(sa, class) == PENDING_DROP) {
		drop(ike, sa, h, class == WIN_REPEATED ? C_REPEATED_REQUEST : C_BUSY);
		return false;
	}
	return true;
}

/* RFC 7383 section 2.5.1: a response goes in fragments no larger than those of its request. */
static struct path asked_from(const struct ike *ike, const struct ike_datagram *d,
			      const struct whole *whole)
{
	struct path path = path_of(ike, &d->local, &d->remote);

	if (whole->largest)
		path.limit = (uint16_t)(whole->largest + path_overhead(&path));
	if (path.limit && path.limit < IKE_PACKET_SMALL)
		path.limit = IKE_PACKET_SMALL;
	return path;
}

/* The peer did not get our answer: the very same bytes once more, to where it asks from (section
 * 2.11), which may be another mapping of its NAT by now. */
static void answer_again(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			 const struct wire_hdr *h)
{
	struct path back = path_of(ike, &d->local, &d->remote);

	drop(ike, sa, h, C_REPEATED_REQUEST);
	repeat_response(ike, sa, &back, d->data);
}

/* The peer knows nothing of our trouble with its answer, so it is told that the SA ends. */
static void bad_response(struct ike *ike, struct ike_sa *sa, const char *text)
{
	request_done(ike, sa);
	/* It was the answer: a DELETE must not wait for another one. */
	sa_end_attempts(ike, sa);
	create_end(ike, sa);
	if (sa->state == SA_I_AUTH) {
		sa_reject(ike, sa, IKE_R_MALFORMED, text);
		return;
	}
	peer_error(ike, sa->peer, text);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_MALFORMED },
		   "%s", text);
	if (sa->state == SA_UP)
		sa_delete(ike, sa, text);
	else
		sa_remove(ike, sa, text);
}

/* An authentic message that makes no sense ends the SA (section 2.21.3). */
static void bad_syntax(struct ike *ike, struct ike_sa *sa, const struct wire_hdr *h,
		       const char *what)
{
	char text[200];
	struct text t = TEXT_OF(text);
	const char *name = wire_exchange_name(h->exchange);

	text_fmt(&t, "the peer's %s %s is malformed: %s", name ? name : "message",
		 h->flags & WIRE_FLAG_RESPONSE ? "response" : "request", what);
	if (h->flags & WIRE_FLAG_RESPONSE) {
		bad_response(ike, sa, text);
		return;
	}
	answer_notify(ike, sa, h->exchange, WIRE_N_INVALID_SYNTAX, bytes_of(NULL, 0));
	sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_MALFORMED, text);
}

/* A request with an unknown critical payload is answered so and has no effect (section 2.5); a
 * response with one ends the exchange as if it made no sense. */
static void unknown_critical(struct ike *ike, struct ike_sa *sa, const struct wire_hdr *h,
			     uint8_t type)
{
	count(ike, C_CRITICAL);
	if (h->flags & WIRE_FLAG_RESPONSE) {
		bad_syntax(ike, sa, h, "unknown critical payload");
		return;
	}
	answer_notify(ike, sa, h->exchange, WIRE_N_UNSUPPORTED_CRITICAL_PAYLOAD,
		      bytes_of(&type, 1));
	if (sa->state != SA_UP && sa->state != SA_DELETING)
		sa_fail(ike, sa, IKE_EV_REFUSED, IKE_R_MALFORMED,
			"unknown critical payload in the peer's request");
}

/* The message is authentic (or needs not be) and parsed: find the row. */
static void to_handler(struct ike *ike, struct ike_sa *sa, const struct wire_hdr *h, struct rx *rx)
{
	const struct wire_payloads *p = rx->msg->encrypted ? rx->inner : &rx->msg->clear;
	const struct exchange_row *row;
	bool missing = false;
	enum status st;

	row = words_allowed(sa, h) ? table_find(sa->state, h, rx->msg->encrypted, p, &missing)
				   : NULL;
	if (!row) {
		drop(ike, sa, h, missing ? C_PAYLOADS : C_UNEXPECTED);
		if (rx->msg->encrypted)
			bad_syntax(ike, sa, h,
				   missing ? "a required payload is missing"
					   : "there is no such exchange in an established SA");
		return;
	}
	st = row->handler(ike, sa, rx);
	if (st == ST_NOMEM)
		count(ike, C_NO_MEMORY);
	else if (st == ST_BUG)
		count(ike, C_BUG);
	if (st == ST_REFUSE && rx->msg->encrypted) {
		/* Which ones it needs depends on what it is about. */
		drop(ike, sa, h, C_PAYLOADS);
		bad_syntax(ike, sa, h, rx->why ? rx->why : "a required payload is missing");
	}
}

static void opened(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		   const struct wire_hdr *h, struct rx *rx, enum window_class class)
{
	uint8_t unknown = rx->inner->unknown_critical;

	/* One beside SK is as authentic as those inside, and counts as much. */
	if (!unknown)
		unknown = rx->msg->clear.unknown_critical;
	if (unknown) {
		unknown_critical(ike, sa, h, unknown);
		return;
	}
	if (class == WIN_RESPONSE)
		liveness_measure(ike, sa);
	sa_heard(ike, sa);
	if (sa->state == SA_UP)
		children_answered(ike, sa);
	if (sa->state == SA_UP && h->exchange == WIRE_INFORMATIONAL)
		qcd_take(ike, sa, rx->inner);
	if (class == WIN_RESPONSE)
		mobike_answered(ike, sa, d);
	if (class == WIN_NEW_REQUEST) {
		children_proven(ike, sa);
		/* RFC 4555 section 3.8: with MOBIKE an IKE message moves nothing unless it says so.
		 */
		if (sa->state == SA_UP && !sa->mobike)
			sa_moved(ike, sa, &d->local, &d->remote);
	}
	to_handler(ike, sa, h, rx);
}

/* An authenticated peer hears what is wrong with its request, whatever it is (section 2.21.3). */
static bool owes_answer(const struct ike_sa *sa, const struct wire_hdr *h,
			const struct wire_ike_msg *msg)
{
	return sa->state == SA_UP && msg->encrypted && !(h->flags & WIRE_FLAG_RESPONSE);
}

static void process(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		    const struct wire_hdr *h, enum window_class class, uint64_t hash,
		    struct arena *ar)
{
	struct wire_ike_msg msg;
	struct wire_payloads inner = { 0 };
	struct rx rx = { d, ar, &msg, &inner, NULL };
	struct whole whole = { .hash = hash };
	enum wire_fault fault = WIRE_OK;
	const uint64_t *failed = &ike->counters[C_INTEGRITY];
	uint64_t failed_before = *failed;
	enum ike_counter dropped;
	char what[120];
	struct text why = TEXT_OF(what);
	enum status st = wire_ike_parse(ar, d->data, &msg, &fault);

	if (st) {
		ike->faults[fault]++;
		return;
	}
	if (!(words_allowed(sa, h) && table_expects(sa->state, h, msg.encrypted)) &&
	    !owes_answer(sa, h, &msg)) {
		drop(ike, sa, h,
		     msg.encrypted || h->exchange == WIRE_IKE_SA_INIT ? C_UNEXPECTED
								      : C_UNPROTECTED);
		return;
	}
	if (!msg.encrypted) {
		if (msg.clear.unknown_critical)
			drop(ike, sa, h, C_CRITICAL);
		else
			to_handler(ike, sa, h, &rx);
		return;
	}
	if (!admit_auth(ike, sa, &msg, &dropped)) {
		drop(ike, sa, h, dropped);
		return;
	}
	st = msg.sk.fragments ? reassemble(ike, sa, &rx, hash, &whole, &fault, &why)
			      : msg_open(ike, sa, ar, &msg, &inner, &fault);
	if (*failed != failed_before)
		admit_junk(ike, sa);
	/* Authentic: whatever the answer will be, it is the answer to these bytes. */
	if ((st == ST_OK || st == ST_REFUSE) && class == WIN_NEW_REQUEST) {
		sa->win.request_hash = whole.hash;
		ike->asked_from = asked_from(ike, d, &whole);
		admit_proven(ike, sa);
	}
	if (st == ST_REFUSE) {
		ike->faults[fault]++;
		bad_syntax(ike, sa, h, why.n ? what : wire_fault_name(fault));
	} else if (st == ST_OK) {
		opened(ike, sa, d, h, &rx, class);
	} else if (st != ST_DROP) {
		count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_BUG);
	}
}

void sa_input(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
	      const struct wire_hdr *h)
{
	uint64_t hash = map_hash(&ike->sa_by_spi, d->data);
	enum window_class class = window_classify(&sa->win, h, hash);
	struct arena ar;

	trace_emit(ike, T_RX, sa->id, h->exchange, h->msgid, d->data.n,
		   !!(h->flags & WIRE_FLAG_RESPONSE));
	if (hint_notice(ike, sa, d, h) ||
	    (class == WIN_FORGED && fragment_repeated(ike, sa, d, hash)))
		return;
	if (life_over(ike, sa) || !admit(ike, sa, h, class))
		return;
	if (class == WIN_REPEATED) {
		answer_again(ike, sa, d, h);
		return;
	}
	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	process(ike, sa, d, h, class, hash, &ar);
	arena_done(&ar);
}
