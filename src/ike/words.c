/*
 * words.c - what upper modules of both ends say to each other (docs/protocol/shortcut.md sections 3
 * and 4): that they are there, and words.
 *
 *	HDR, SK {IDi, ..., N(CAPABILITIES)}  -->
 *					     <--  HDR, SK {IDr, ..., N(CAPABILITIES)}
 *	...
 *	HDR(SHORTCUT), SK {N}  -->
 *			       <--  HDR(SHORTCUT), SK {N}
 *
 * Only between two warrens that both announced something, so nobody else ever sees any of it.  What
 * a word says is for the upper modules: here it is a number and bytes.
 *
 * A word of ours waits in the queue of its SA until the window is free (agenda.c), and is told of
 * once, whatever becomes of it: there is memory for that from the beginning.  One that was not sent
 * goes over to the SA that takes this one's place.  A word of the peer's is an attempt that waits
 * for ike_answer(); as long as it does the peer's window stands still, and repetitions are dropped.
 */
#include "ike/internal.h"

enum {
	VERSION = 1,
	CAPABILITIES_LEN = 5, /* version (1) | flags (4) */
	KNOWN = IKE_CAN_PARTNER | IKE_CAN_HUB | IKE_CAN_RELAY | IKE_AT_SEVERAL | IKE_CAN_ASK,
};

/* ---- capabilities ------------------------------------------------------------------------- */

void capabilities_put(struct ike_sa *sa, const struct ike_peer_conf *conf, struct wire_out *o)
{
	uint8_t data[CAPABILITIES_LEN] = { VERSION };

	sa->speaks = sa->warren && conf->capabilities;
	if (!sa->speaks)
		return;
	store_be32(data + 1, conf->capabilities);
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_CAPABILITIES, BYTES_OF(data));
}

/* A version to come says more by flags. */
static bool well_formed(const struct wire_notify *n)
{
	return n && n->data.n == CAPABILITIES_LEN && n->data.p[0] >= VERSION;
}

uint8_t capabilities_of(const struct ike_sa *sa, const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_CAPABILITIES);

	return sa->warren && well_formed(n) ? (uint8_t)(load_be32(n->data.p + 1) & KNOWN) : 0;
}

void capabilities_take(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_CAPABILITIES);
	bool fits = well_formed(n);

	if (n && sa->warren && !fits)
		count(ike, C_CAPABILITIES_MALFORMED);
	if (!fits || !sa->warren) {
		sa->speaks = false;
		return;
	}
	sa->capabilities = capabilities_of(sa, p);
}

bool words_allowed(const struct ike_sa *sa, const struct wire_hdr *h)
{
	return h->exchange != WIRE_SHORTCUT || sa->speaks;
}

/* The only notify of a message, if there is no more to it than what a word has. */
static const struct wire_notify *only_word(const struct wire_payloads *p)
{
	const struct wire_notify *n = p->n_notifies == 1 ? p->notifies : NULL;

	return n && n->proto == WIRE_PROTO_NONE && n->spi.n == 0 && n->data.n <= IKE_MAX_WORD
		       ? n
		       : NULL;
}

static void put_word(struct wire_out *o, uint16_t notify, struct bytes data)
{
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), notify, data);
}

/* What may be said unasked. */
static bool is_question(uint16_t notify)
{
	return (notify >= WIRE_N_SHORTCUT_SUGGEST && notify <= WIRE_N_SHORTCUT_RELAY) ||
	       notify == WIRE_N_SHORTCUT_ASK;
}

static bool is_answer(uint16_t notify)
{
	return notify == WIRE_N_SHORTCUT_ACCEPT || notify == WIRE_N_SHORTCUT_REFUSED;
}

/* ---- ours --------------------------------------------------------------------------------- */

struct ask {
	struct ask *next;
	struct outbox told; /* the ANSWERED that comes of it */
	struct out_item *item; /* the same */
	bool sent; /* in flight; the first of its SA only */
	uint16_t notify;
	size_t n;
	uint8_t data[];
};

static void ask_free(struct ike *ike, struct ask *a)
{
	outbox_drop(&a->told);
	mem_free_secret(ike->mem, a, sizeof(*a) + a->n);
}

static struct ask *ask_new(struct ike *ike, const struct ike_word *word)
{
	struct ask *a = mem_new(ike->mem, sizeof(*a) + word->data.n);

	if (!a)
		return NULL;
	a->notify = word->notify;
	a->n = word->data.n;
	if (a->n)
		memcpy(a->data, word->data.p, a->n);
	outbox_init(&a->told, ike->mem);
	a->item = outbox_add(&a->told, IKE_OUT_ANSWERED);
	if (a->item)
		return a;
	ask_free(ike, a);
	return NULL;
}

/* The last word on the SA's first. */
static void told(struct ike *ike, struct ike_sa *sa, enum status status,
		 const struct ike_word *word)
{
	struct ask *a = sa->asks;

	sa->asks = a->next;
	a->item->out.u.answered.status = status;
	if (word)
		a->item->out.u.answered.word = *word;
	outbox_commit(ike, &a->told);
	ask_free(ike, a);
}

void words_end(struct ike *ike, struct ike_sa *sa)
{
	while (sa->asks)
		told(ike, sa, ST_IO, NULL);
}

void words_inherit(struct ike_sa *from, struct ike_sa *to)
{
	struct ask **unsent = from->asks && from->asks->sent ? &from->asks->next : &from->asks;

	to->asks = *unsent;
	*unsent = NULL;
}

bool words_wait(const struct ike_sa *sa)
{
	return sa->asks;
}

bool words_next(struct ike *ike, struct ike_sa *sa)
{
	struct ask *a = sa->asks;
	struct wire_out o;
	struct bytes owned;

	msg_begin_sk(ike, sa, WIRE_SHORTCUT, false, sa->win.next_send, &o);
	put_word(&o, a->notify, bytes_of(a->data, a->n));
	if (msg_end(ike, sa, &o, &owned)) {
		count(ike, C_NO_MEMORY);
		return false;
	}
	send_request(ike, sa, WIRE_SHORTCUT, owned);
	a->sent = true;
	return true;
}

static const struct ike_sa *newest_up(const struct peer *p)
{
	const struct ike_sa *newest = NULL;

	list_for_each(n, &p->sas) {
		const struct ike_sa *sa = CONTAINER_OF(n, const struct ike_sa, peer_node);

		if (sa->state == SA_UP)
			newest = sa;
	}
	return newest;
}

enum status words_ask(struct ike *ike, ike_peer_id peer, const struct ike_word *word,
		      uint64_t *ret_id)
{
	const struct peer *p = peer_by_id(ike, peer);
	struct ike_sa *sa = p ? (struct ike_sa *)(uintptr_t)newest_up(p) : NULL;
	struct ask **last, *a;
	size_t n = 0;

	if (!sa || !sa->speaks || !is_question(word->notify) || word->data.n > IKE_MAX_WORD)
		return ST_INVAL;
	for (last = &sa->asks; *last; last = &(*last)->next)
		n++;
	if (n >= IKE_MAX_ASKS)
		return ST_AGAIN;
	a = ask_new(ike, word);
	if (!a)
		return ST_NOMEM;
	a->item->out.u.answered.id = *ret_id = ++ike->last_word;
	a->item->out.u.answered.peer = peer;
	*last = a;
	agenda_soon(ike, sa);
	return ST_OK;
}

/* The other end did something else than to answer. */
static void no_answer(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_error(in);
	const char *name, *asked = wire_notify_name(sa->asks->notify);

	if (n && is_answer(n->type))
		n = NULL;
	name = n ? wire_notify_name(n->type) : NULL;
	count(ike, n ? C_WORD_REFUSED : C_WORD_ANSWER_MALFORMED);
	if (n)
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = IKE_R_PEER_SAID },
			   "the peer answered %s with the error %s (%u)", asked,
			   name ? name : "unknown", n->type);
	else
		event_emit(ike, IKE_EV_REFUSED,
			   (struct event_about){ .sa = sa, .reason = IKE_R_MALFORMED },
			   "the peer's answer to %s makes no sense: it has %zu notifies, not one "
			   "SHORTCUT_ACCEPT or SHORTCUT_REFUSED",
			   asked, in->n_notifies);
	told(ike, sa, ST_IO, NULL);
}

enum status word_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *fatal = info_fatal(rx->inner), *n = only_word(rx->inner);
	bool waited_for = sa->asks && sa->asks->sent;
	struct ike_word word = { 0 };

	if (n && is_answer(n->type))
		word.notify = n->type;
	if (waited_for && word.notify && arena_dup(&sa->asks->item->mem, n->data, &word.data))
		return ST_NOMEM; /* it is asked for again */
	request_done(ike, sa);
	if (sa->state == SA_UP && fatal) {
		info_fatal_event(ike, sa, fatal);
		sa_remove(ike, sa, "given up by the peer");
	} else if (waited_for && word.notify) {
		told(ike, sa, ST_OK, &word);
	} else if (waited_for) {
		no_answer(ike, sa, rx->inner);
	}
	return ST_OK;
}

/* ---- theirs ------------------------------------------------------------------------------- */

/* Locals of the attempt. */
struct asked_by_peer {
	struct attempt *at;
	uint64_t id;
	uint16_t notify;
	struct timer timer; /* as long as an upper module may take */
};

static enum status hand_on(struct ike *ike, struct attempt *at, const struct wire_notify *n)
{
	struct asked_by_peer *l = at->locals;
	const struct ike_sa *sa = at->sa;
	struct outbox ob;
	struct out_item *it;

	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_ASKED);
	if (!it || arena_dup(&it->mem, n->data, &it->out.u.asked.word.data)) {
		outbox_drop(&ob);
		return ST_NOMEM;
	}
	it->out.u.asked.word.notify = n->type;
	it->out.u.asked.id = ++ike->last_word;
	it->out.u.asked.peer = sa->peer->id;
	it->out.u.asked.sa = sa->id;
	*l = (struct asked_by_peer){ at, it->out.u.asked.id, n->type, { .kind = TIMER_ASKED } };
	heap_arm(&ike->timers, &l->timer, mono_add(ike->now.mono, dur_s(IKE_ANSWER_S)));
	at->asked = true;
	list_add_tail(&ike->asked, &at->waiting);
	outbox_commit(ike, &ob);
	return ST_OK;
}

enum status word_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = only_word(rx->inner);
	struct attempt *at;
	enum status st;

	if (!n || !is_question(n->type)) {
		count(ike, C_WORD_MALFORMED);
		rx->why = "it has to have exactly one notify, of a kind that is known";
		return ST_REFUSE;
	}
	/* One that is replaced, or may be: the peer says it on the other one, or again. */
	if (sa->state != SA_UP) {
		count(ike, C_BUSY);
		return ST_OK;
	}
	st = attempt_for_request(ike, sa, NULL, sizeof(struct asked_by_peer), &at);
	if (st)
		return st;
	st = hand_on(ike, at, n);
	if (st)
		attempt_end(ike, at);
	return st;
}

void words_unasked(struct ike *ike, const struct attempt *at)
{
	if (at->asked)
		heap_disarm(&ike->timers, &((struct asked_by_peer *)at->locals)->timer);
}

/* Who asked would take us for dead in the end, whoever it is that the upper module waits for. */
void words_timer(struct ike *ike, struct timer *t)
{
	const struct asked_by_peer *l = CONTAINER_OF(t, const struct asked_by_peer, timer);
	struct attempt *at = l->at;
	struct ike_sa *sa = at->sa;

	if (!attempt_resume(ike, at, true))
		return;
	count(ike, C_WORD_UNANSWERED);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_INTERNAL },
		   "nobody here answered the peer's %s for %d s: it is told TEMPORARY_FAILURE",
		   wire_notify_name(l->notify), (int)IKE_ANSWER_S);
	attempt_end(ike, at);
	answer_notify(ike, sa, WIRE_SHORTCUT, WIRE_N_TEMPORARY_FAILURE, bytes_of(NULL, 0));
}

/* Those that were asked first are answered first, mostly. */
static struct attempt *asked(struct ike *ike, uint64_t id)
{
	list_for_each(n, &ike->asked) {
		struct attempt *at = CONTAINER_OF(n, struct attempt, waiting);

		if (((const struct asked_by_peer *)at->locals)->id == id)
			return at;
	}
	return NULL;
}

void words_answer(struct ike *ike, uint64_t id, const struct ike_word *word)
{
	struct attempt *at = asked(ike, id);
	struct ike_sa *sa = at ? at->sa : NULL;
	struct wire_out o;
	struct bytes owned;
	enum status st;

	if (!at) {
		count(ike, C_UNKNOWN_RESULT);
		return;
	}
	if (!attempt_resume(ike, at, true))
		return;
	attempt_end(ike, at);
	msg_begin_sk(ike, sa, WIRE_SHORTCUT, true, sa->win.next_recv, &o);
	put_word(&o, word->notify, word->data);
	st = msg_end(ike, sa, &o, &owned);
	if (st)
		count(ike, st == ST_NOMEM ? C_NO_MEMORY : C_BUG); /* the peer asks again */
	else
		send_response(ike, sa, WIRE_SHORTCUT, owned);
}
