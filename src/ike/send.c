/*
 * send.c - building, protecting and sending messages; retransmission of requests.
 */
#include "ike/partner.h"

static struct wire_hdr header(const struct ike_sa *sa, uint8_t exchange, bool response,
			      uint32_t msgid)
{
	return (struct wire_hdr){
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.version = WIRE_IKE_VERSION,
		.exchange = exchange,
		.flags = (uint8_t)((sa->initiator ? WIRE_FLAG_INITIATOR : 0) |
				   (response ? WIRE_FLAG_RESPONSE : 0)),
		.msgid = msgid,
	};
}

void msg_begin(struct ike *ike, const struct ike_sa *sa, uint8_t exchange, bool response,
	       uint32_t msgid, struct wire_out *o)
{
	struct wire_hdr h = header(sa, exchange, response, msgid);

	wire_ike_begin(o, ike->buf, IKE_MAX_MESSAGE, &h);
}

void msg_begin_sk(struct ike *ike, const struct ike_sa *sa, uint8_t exchange, bool response,
		  uint32_t msgid, struct wire_out *o)
{
	struct crypto_cipher_info ci;

	msg_begin(ike, sa, exchange, response, msgid, o);
	puzzle_put(sa, exchange, response, o);
	if (crypto_cipher_info(sa->keys.cipher, &ci) == ST_OK)
		wire_ike_sk_begin(o, ci.iv_len);
	else
		o->w.err = true;
}

/* An AEAD's explicit IV only has to be unique (RFC 5282 section 3.1): a counter is. CBC wants an
 * unpredictable one. */
void msg_iv(struct ike *ike, struct ike_sa *sa, size_t iv_len, uint8_t *iv)
{
	if (sa->keys.cipher.integ == CRYPTO_INTEG_NONE && iv_len == 8)
		store_be64(iv, sa->keys.out_iv++);
	else
		ike->crypto.ops->random(ike->crypto.ctx, iv, iv_len);
}

static enum status seal(struct ike *ike, struct ike_sa *sa, struct wire_out *o,
			struct bytes *ret_msg)
{
	struct crypto_cipher_info ci;
	struct wire_sk_spans s;
	struct crypto_key key;
	struct bytes msg;
	enum status st = crypto_cipher_info(sa->keys.cipher, &ci);

	if (!st)
		st = wire_ike_sk_end(o, ci.block, ci.icv_len, &s, &msg);
	if (st)
		return st;
	msg_iv(ike, sa, ci.iv_len, s.iv);
	key = keys_out(&sa->keys);
	st = ike->crypto.ops->seal(ike->crypto.ctx, &key, s.iv, s.aad, s.plain, s.plain_len, s.icv);
	wipe(&key, sizeof(key));
	if (!st)
		*ret_msg = msg;
	return st;
}

/* The longest message that its path takes in one packet: a response goes back where its request
 * came from, and as small as what we learnt by our own requests. */
static size_t longest(struct ike *ike, const struct ike_sa *sa, bool response)
{
	struct path path = response ? ike->asked_from : sa->path;

	if (sa->path.limit && (!path.limit || sa->path.limit < path.limit))
		path.limit = sa->path.limit;
	return path_limit(ike, &path) - path_overhead(&path);
}

/* RFC 7383 section 2.4: only what would be too large goes in fragments. */
static enum status seal_pieces(struct ike *ike, struct ike_sa *sa, const struct wire_out *o,
			       struct bytes *ret_owned)
{
	bool response = o->w.start[19] & WIRE_FLAG_RESPONSE;
	struct unsealed m = { .hdr = header(sa, o->w.start[18], response,
					    load_be32(o->w.start + 20)) };
	struct crypto_cipher_info ci;
	size_t max, n;
	enum status st = wire_ike_inner(o, &m.first, &m.chain);

	if (!st)
		st = crypto_cipher_info(sa->keys.cipher, &ci);
	if (st)
		return st;
	max = longest(ike, sa, response);
	n = (m.chain.n + ci.block) / ci.block * ci.block; /* with padding and its length */
	n += WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + ci.iv_len + ci.icv_len;
	if (n <= max || fragment_never(sa, m.hdr.exchange, n))
		return ST_DROP;
	return fragment_seal(ike, sa, &m, max, 1, ret_owned);
}

enum status msg_end(struct ike *ike, struct ike_sa *sa, struct wire_out *o, struct bytes *ret_owned)
{
	struct bytes msg;
	enum status st =
		o->sk_at && sa->path.fragments ? seal_pieces(ike, sa, o, ret_owned) : ST_DROP;

	if (st != ST_DROP)
		return st;
	st = o->sk_at ? seal(ike, sa, o, &msg) : wire_ike_end(o, &msg);
	return st ? st : mem_dup(ike->mem, msg, ret_owned);
}

/* What can go smaller is not to be fragmented by IP: who finds it too large shall say so. */
static bool dont_fragment(const struct path *path, struct bytes msg)
{
	return msg.n > WIRE_IKE_HDR_LEN && msg.p[16] == WIRE_P_SKF &&
	       msg.n + path_overhead(path) > IKE_PACKET_SMALL;
}

static void send_one(struct outbox *ob, const struct path *path, struct bytes data, bool probe)
{
	struct out_item *it = outbox_add(ob, IKE_OUT_SEND);

	if (!it)
		return;
	it->out.u.send.local = path->local;
	it->out.u.send.remote = path->remote;
	it->out.u.send.marker = path->floated;
	it->out.u.send.df = probe || dont_fragment(path, data);
	it->out.u.send.probe = probe;
	if (arena_dup(&it->mem, data, &it->out.u.send.data)) {
		list_del(&it->node);
		arena_done(&it->mem);
		mem_free(ob->mem, it);
		ob->failed = true;
	}
}

void send_bytes(struct outbox *ob, const struct path *path, struct bytes data)
{
	while (data.n && !ob->failed)
		send_one(ob, path, msgs_next(&data), false);
}

/* A datagram that could not be queued is a datagram lost: retransmission repairs it. */
static void send_now(struct ike *ike, const struct path *path, struct bytes data)
{
	struct outbox ob;

	outbox_init(&ob, ike->mem);
	send_bytes(&ob, path, data);
	if (ob.failed)
		count(ike, C_NO_MEMORY);
	outbox_commit(ike, &ob);
}

/* first * 1.8^tries, in integers. */
dur_t wait_grown(dur_t first, unsigned tries)
{
	int64_t ns = first.ns;

	for (unsigned i = 0; i < tries; i++)
		ns = ns / 5 * 9;
	return (dur_t){ ns };
}

static dur_t retransmit_after(const struct ike_conf *conf, unsigned tries)
{
	return wait_grown(conf->retransmit_timeout, tries);
}

dur_t retransmit_total(const struct ike_conf *conf)
{
	dur_t sum = { 0 };

	for (unsigned i = 0; i < conf->retransmit_tries; i++)
		sum.ns += retransmit_after(conf, i).ns;
	return sum;
}

static bool calls(const struct ike_sa *sa)
{
	return sa->state == SA_I_INIT || sa->state == SA_I_AUTH;
}

/* Nobody has answered there as yet, and others are to be called: so that one dead address, or hub,
 * does not hide a living one.  Nothing can come of what is left then, so there are never two. */
static bool hurried(const struct ike_sa *sa)
{
	return sa->state == SA_I_INIT && !sa->hs->rounds && !partner_of(sa->peer) &&
	       peer_has_others(sa->peer);
}

/* The wait after that try.  Who is called because an SA does not answer may be back any moment, and
 * where others wait for their turn it is soon, the first time round; a partner was there a moment
 * ago, and how far away it is was measured. */
static dur_t wait_after(const struct ike *ike, const struct ike_sa *sa, unsigned tries)
{
	dur_t d = retransmit_after(ike->conf, tries);
	bool first = hurried(sa) && !sa->peer->section->failures;
	bool soon = calls(sa) && (sa->peer->section->beside || first);

	if (calls(sa) && partner_of(sa->peer))
		return wait_grown(partner_wait(sa->peer), tries);
	return soon ? (dur_t){ d.ns / IKE_SOON } : d;
}

dur_t request_first_wait(const struct ike *ike, const struct ike_sa *sa)
{
	return wait_after(ike, sa, 0);
}

/* The timer of a request that goes out for the first time, or for the first time as it is now. */
static void first_try(struct ike *ike, struct ike_sa *sa)
{
	sa->win.tries = 0;
	sa->win.quick = 0;
	heap_arm(&ike->timers, &sa->retransmit, mono_add(ike->now.mono, wait_after(ike, sa, 0)));
}

/* Whether news of its path concern the request in flight. */
static void note_large(struct ike *ike, struct ike_sa *sa)
{
	list_del(&sa->large);
	if (sa->path.fragments &&
	    msgs_largest(sa->win.request) + path_overhead(&sa->path) > IKE_PACKET_MIN)
		list_add_tail(&ike->large, &sa->large);
}

static uint8_t max_tries(const struct ike *ike, const struct ike_sa *sa)
{
	unsigned max = moving_tries(sa) ? moving_tries(sa) : ike->conf->retransmit_tries;

	if (sa->state == SA_DELETING)
		return IKE_DELETE_TRIES;
	if (calls(sa) && partner_of(sa->peer))
		return (uint8_t)partner_tries(sa->peer);
	if (hurried(sa) && max > IKE_HURRIED_TRIES)
		max = IKE_HURRIED_TRIES;
	if (sa->state == SA_I_INIT && sa->name_index == IKE_NAME_GATEWAY &&
	    max > IKE_REDIRECT_TRIES)
		max = IKE_REDIRECT_TRIES;
	return (uint8_t)max;
}

/* Where no address of the peer is reached nothing is sent. */
static void send_in_flight(struct ike *ike, const struct ike_sa *sa)
{
	if (!moving_away(sa))
		send_now(ike, &sa->path, sa->win.request);
}

static void keep_request(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned)
{
	mem_free(ike->mem, (void *)(uintptr_t)sa->win.request.p);
	sa->win.request = owned;
	sa->win.request_exchange = exchange;
	sa->win.max_tries = max_tries(ike, sa);
	mobike_sent(sa, MOVING_NOTHING);
	sa->win.next_send++;
	sa->win.probe = sa->win.cut = false;
	first_try(ike, sa);
	note_large(ike, sa);
	sa->last_out = ike->now.mono;
	trace_emit(ike, T_TX, sa->id, exchange, sa->win.next_send - 1, owned.n, 0);
}

void send_request(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned)
{
	keep_request(ike, sa, exchange, owned);
	send_in_flight(ike, sa);
}

void send_response(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned)
{
	mem_free(ike->mem, (void *)(uintptr_t)sa->win.response.p);
	sa->win.response = owned;
	sa->win.repeats = 0;
	sa->win.in_progress = false;
	reassembly_drop(ike, sa, false);
	sa->win.next_recv++;
	if (sa->state == SA_UP && !sa->sent_away)
		heap_arm(&ike->timers, &sa->reap,
			 mono_add(ike->now.mono, dur_s(IKE_RESPONSE_KEEP_S)));
	trace_emit(ike, T_TX, sa->id, exchange, sa->win.next_recv - 1, owned.n, 1);
	send_now(ike, &ike->asked_from, owned);
}

void answer_notify(struct ike *ike, struct ike_sa *sa, uint8_t exchange, uint16_t type,
		   struct bytes data)
{
	struct wire_out o;
	struct bytes owned;

	msg_begin_sk(ike, sa, exchange, true, sa->win.next_recv, &o);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, data);
	if (msg_end(ike, sa, &o, &owned))
		count(ike, C_NO_MEMORY);
	else
		send_response(ike, sa, exchange, owned);
}

void request_done(struct ike *ike, struct ike_sa *sa)
{
	mem_free(ike->mem, (void *)(uintptr_t)sa->win.request.p);
	sa->win.request = bytes_of(NULL, 0);
	list_del(&sa->large);
	sa->win.probe = sa->win.cut = false;
	reassembly_drop(ike, sa, true);
	heap_disarm(&ike->timers, &sa->retransmit);
	agenda_soon(ike, sa);
}

void hurry_request(struct ike *ike, struct ike_sa *sa)
{
	sa->win.max_tries = IKE_DELETE_TRIES;
	first_try(ike, sa);
}

/* ---- smaller packets ---------------------------------------------------------------------- */

/* Sizes of IP packets to be tried one after the other, largest first (RFC 7383 section 2.5.2: few,
 * and far apart). */
static const uint16_t probes[] = { IKE_PACKET_USUAL, IKE_PACKET_SMALL };

/* The next size at which `*msgs` fits its path in more fragments than before, and the message cut
 * to it; 0: there is none. */
static uint16_t next_probe(struct ike *ike, struct ike_sa *sa, const struct path *path,
			   struct bytes *msgs)
{
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		if (fragment_again(ike, sa, probes[i] - path_overhead(path), msgs) == ST_OK)
			return probes[i];
	return 0;
}

/* What went unanswered may be too large for the path: RFC 7383 section 2.5.2, from large to small,
 * each size with tries, and timers, of its own. */
static bool probe_smaller(struct ike *ike, struct ike_sa *sa)
{
	uint16_t limit;

	if (sa->win.tries + 1 < IKE_PROBE_TRIES)
		return false;
	limit = next_probe(ike, sa, &sa->path, &sa->win.request);
	if (limit)
		sa->path.limit = limit;
	return limit;
}

/* ---- probes of a path MTU ----------------------------------------------------------------- */

/* How many zeros the notify has. */
static enum status fill(const struct ike_sa *sa, uint16_t size, size_t *ret_n)
{
	const size_t notify = WIRE_PAYLOAD_HDR_LEN + 4;
	struct crypto_cipher_info ci;
	size_t around, n;

	if (crypto_cipher_info(sa->keys.cipher, &ci))
		return ST_BUG;
	around = path_overhead(&sa->path) + WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + ci.iv_len +
		 ci.icv_len;
	n = size > around ? (size - around) / ci.block * ci.block : 0;
	if (n < notify + 1)
		return ST_INVAL;
	*ret_n = n - notify - 1; /* a byte for the pad length */
	return ST_OK;
}

static void put_zeros(struct wire_out *o, uint16_t type, size_t n)
{
	static const uint8_t zeros[IKE_SEARCH_MAX];

	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, bytes_of(zeros, n));
}

/* Longer than an ordinary round trip: full queues are what it measures as well. */
static dur_t probe_wait(const struct ike_sa *sa)
{
	dur_t wait = { IKE_SEARCH_RTTS / 2 * liveness_wait(sa).ns };

	if (wait.ns < dur_ms(IKE_SEARCH_WAIT_MIN_MS).ns)
		wait = dur_ms(IKE_SEARCH_WAIT_MIN_MS);
	return wait.ns < dur_ms(IKE_SEARCH_WAIT_MAX_MS).ns ? wait : dur_ms(IKE_SEARCH_WAIT_MAX_MS);
}

enum status send_probe(struct ike *ike, struct ike_sa *sa, uint16_t type, uint16_t size,
		       uint16_t *ret_size)
{
	struct bytes msg, owned;
	struct outbox ob;
	struct wire_out o;
	size_t n;
	enum status st = fill(sa, size < IKE_SEARCH_MAX ? size : IKE_SEARCH_MAX, &n);

	if (st)
		return st;
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	put_zeros(&o, type, n);
	st = seal(ike, sa, &o, &msg);
	if (!st)
		st = mem_dup(ike->mem, msg, &owned);
	if (st)
		return st;
	keep_request(ike, sa, WIRE_INFORMATIONAL, owned);
	sa->win.probe = true;
	heap_arm(&ike->timers, &sa->retransmit, mono_add(ike->now.mono, probe_wait(sa)));
	*ret_size = (uint16_t)(owned.n + path_overhead(&sa->path));
	outbox_init(&ob, ike->mem);
	send_one(&ob, &sa->path, owned, true);
	if (ob.failed)
		count(ike, C_NO_MEMORY);
	outbox_commit(ike, &ob);
	return ST_OK;
}

/* It did not get through, or its answer did not.  From now on it is a request like any other, and
 * goes in pieces that every path carries, so that the window does not wait for the rest of the
 * search.  Who has the whole of it takes them for a repetition (RFC 7383 section 2.6.1). */
static void cut_probe(struct ike *ike, struct ike_sa *sa)
{
	size_t max = IKE_PACKET_SMALL - path_overhead(&sa->path);
	enum status st = fragment_again(ike, sa, max, &sa->win.request);

	if (st && st != ST_DROP) {
		count(ike, C_NO_MEMORY);
		heap_arm(&ike->timers, &sa->retransmit,
			 mono_add(ike->now.mono, ike->conf->retransmit_timeout));
		return;
	}
	sa->win.cut = true;
	first_try(ike, sa);
	count(ike, C_TX_RETRANSMITS);
	trace_emit(ike, T_RETRANSMIT, sa->id, sa->win.request_exchange, sa->win.next_send - 1, 0,
		   0);
	send_now(ike, &sa->path, sa->win.request);
}

void shrink_request(struct ike *ike, struct ike_sa *sa)
{
	size_t max = path_limit(ike, &sa->path) - path_overhead(&sa->path);

	if (sa->win.probe && !sa->win.cut) {
		cut_probe(ike, sa);
		return;
	}
	if (fragment_again(ike, sa, max, &sa->win.request))
		return;
	first_try(ike, sa);
	count(ike, C_TX_RETRANSMITS);
	trace_emit(ike, T_RETRANSMIT, sa->id, sa->win.request_exchange, sa->win.next_send - 1, 0,
		   0);
	send_now(ike, &sa->path, sa->win.request);
}

/* The size of the IP packet with the first of several fragments, which is one of the largest; 0:
 * it is none. */
static size_t fragment_size(const struct path *path, struct bytes d)
{
	const size_t total_at = WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + 2;

	if (d.n < total_at + 2 || d.p[16] != WIRE_P_SKF || load_be16(d.p + total_at) < 2)
		return 0;
	return d.n + path_overhead(path);
}

/* The initiator does the probing, but a large response to a small request is ours to cut: the same
 * guess after as many repetitions (section 2.4). */
static void shrink_response(struct ike *ike, struct ike_sa *sa, const struct path *back,
			    struct bytes request)
{
	size_t overhead = path_overhead(back), asked = fragment_size(back, request);

	if (asked && asked < IKE_PACKET_SMALL)
		asked = IKE_PACKET_SMALL;
	sa->win.repeats++;
	if ((asked && !fragment_again(ike, sa, asked - overhead, &sa->win.response)) ||
	    (sa->win.repeats >= IKE_PROBE_TRIES && next_probe(ike, sa, back, &sa->win.response)))
		sa->win.repeats = 0;
}

bool may_repeat(struct ike *ike, struct ike_sa *sa)
{
	struct window *w = &sa->win;
	uint8_t second = (uint8_t)(ike->now.mono.ns / dur_s(1).ns);

	if (w->second != second)
		w->said = 0;
	w->second = second;
	if (w->said >= IKE_REPEATS_PER_S) {
		count(ike, C_REPEAT_LIMITED);
		return false;
	}
	w->said++;
	return true;
}

void repeat_response(struct ike *ike, struct ike_sa *sa, const struct path *back,
		     struct bytes request)
{
	if (!may_repeat(ike, sa))
		return;
	shrink_response(ike, sa, back, request);
	send_now(ike, back, sa->win.response);
}

/* ---- the timer of a request --------------------------------------------------------------- */

static void gave_up(struct ike *ike, struct ike_sa *sa)
{
	char text[IKE_EVENT_TEXT_MAX], ep[ENDPOINT_TEXT_MAX];
	struct text t = TEXT_OF(text);
	/* What last_error says then is what init_i.c made of the answer. */
	bool hint = sa->state == SA_I_INIT && sa->hs->hint && peer_last_error(sa->peer)[0];

	if (moving_back(ike, sa) || rekey_unanswered(ike, sa))
		return;
	endpoint_text(&sa->path.remote, ep);
	if (sa->state == SA_DELETING) {
		sa_remove(ike, sa, "deleted; the peer did not confirm");
		return;
	}
	text_fmt(&t, "no %sanswer from %s to %s after %u tries", hint ? "good " : "", ep,
		 wire_exchange_name(sa->win.request_exchange), sa->win.tries + 1u);
	if (sa->path.limit)
		text_fmt(&t, ", the last in packets of at most %u bytes", sa->path.limit);
	if (hint)
		text_fmt(&t, "; %s", peer_last_error(sa->peer));
	count(ike, sa->state == SA_UP ? C_DEAD : C_UNREACHABLE);
	sa_fail(ike, sa, sa->state == SA_UP ? IKE_EV_DEAD : IKE_EV_UNREACHABLE,
		hint ? sa->hs->hint : IKE_R_NO_ANSWER, text);
}

static void again(struct ike *ike, struct ike_sa *sa)
{
	sa->last_out = ike->now.mono;
	count(ike, C_TX_RETRANSMITS);
	trace_emit(ike, T_RETRANSMIT, sa->id, sa->win.request_exchange, sa->win.next_send - 1,
		   sa->win.tries, 0);
	send_in_flight(ike, sa);
	if (sa->suspect)
		mobike_try_others(ike, sa);
}

/* The last wait is the longest, and the network may have healed in it: nothing that is up is given
 * up before one more try, which is waited for about a round trip. */
static bool tried_once_more(struct ike *ike, struct ike_sa *sa)
{
	if (sa->state != SA_UP || sa->win.tries >= sa->win.max_tries)
		return false;
	sa->win.tries++;
	heap_arm(&ike->timers, &sa->retransmit, mono_add(ike->now.mono, liveness_wait(sa)));
	again(ike, sa);
	return true;
}

void request_moves(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->win.request.n)
		return;
	/* The headers may be longer there. */
	if (fragment_again(ike, sa, path_limit(ike, &sa->path) - path_overhead(&sa->path),
			   &sa->win.request) == ST_NOMEM)
		count(ike, C_NO_MEMORY);
	sa->win.cut = sa->win.probe; /* it says nothing about either path */
	note_large(ike, sa);
	sa->win.max_tries = max_tries(ike, sa);
	first_try(ike, sa);
	again(ike, sa);
}

void send_request_along(struct ike *ike, const struct ike_sa *sa, const struct path *path)
{
	send_now(ike, path, sa->win.request);
}

/* The wait after so many tries on top of the schedule. */
static dur_t quick_wait(const struct ike *ike, const struct ike_sa *sa, unsigned n)
{
	if (n <= IKE_QUICK_TRIES)
		return liveness_wait(sa);
	return (dur_t){ retransmit_after(ike->conf, n - IKE_QUICK_TRIES - 1).ns / IKE_SOON };
}

/* The schedule begins, again, when these tries are over. */
static void again_soon(struct ike *ike, struct ike_sa *sa)
{
	unsigned n = sa->win.quick++;

	if (n < IKE_QUICK_TRIES + IKE_QUICK_MORE)
		heap_arm(&ike->timers, &sa->retransmit,
			 mono_add(ike->now.mono, quick_wait(ike, sa, n + 1)));
	else
		first_try(ike, sa);
	again(ike, sa);
	if (n == IKE_QUICK_TRIES)
		sa_suspect(ike, sa);
}

void request_now(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->win.request.n)
		return;
	first_try(ike, sa);
	again(ike, sa);
}

void request_tells(struct ike *ike, struct ike_sa *sa)
{
	if (sa->win.quick)
		return;
	/* No answer to that would be no news. */
	if (sa->win.probe && !sa->win.cut)
		cut_probe(ike, sa);
	sa->win.quick = 1;
	heap_arm(&ike->timers, &sa->retransmit, mono_add(ike->now.mono, liveness_wait(sa)));
}

void retransmit_timer(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->win.request.n) {
		/* The pause before the next try of something, or a DELETE that there was no memory
		 * for. */
		if (sa->state != SA_DELETING)
			agenda_soon(ike, sa);
		else if (sa->win.tries++ < IKE_DELETE_TRIES)
			info_delete(ike, sa, 0);
		else
			sa_remove(ike, sa, "deleted; no memory for telling the peer");
		return;
	}
	if (moving_away(sa) && sa->state == SA_UP) {
		first_try(ike, sa); /* no try counts */
		return;
	}
	if (sa->win.probe && !sa->win.cut) {
		cut_probe(ike, sa);
		return;
	}
	if (sa->win.quick) {
		again_soon(ike, sa);
		return;
	}
	if (hurried(sa))
		sa->win.max_tries = max_tries(ike, sa); /* others may be known since */
	if (probe_smaller(ike, sa)) {
		sa->win.tries = 0;
	} else if (sa->win.tries + 1 >= sa->win.max_tries) {
		if (!tried_once_more(ike, sa))
			gave_up(ike, sa);
		return;
	} else {
		sa->win.tries++;
	}
	event_emit(ike, IKE_EV_RETRANSMIT, (struct event_about){ .sa = sa },
		   sa->win.tries ? "no answer to %s yet, try %u of %u"
				 : "no answer to %s yet, in smaller fragments now, try %u of %u",
		   wire_exchange_name(sa->win.request_exchange), sa->win.tries + 1u,
		   (unsigned)sa->win.max_tries);
	heap_arm(&ike->timers, &sa->retransmit,
		 mono_add(ike->now.mono, wait_after(ike, sa, sa->win.tries)));
	again(ike, sa);
	if (sa->win.tries == IKE_SUSPECT_TRIES)
		liveness_unanswered(ike, sa);
}

enum status msg_decrypt(struct ike *ike, const struct crypto_key *key, struct arena *ar,
			const struct wire_ike_msg *msg, struct bytes *ret_chain,
			enum wire_fault *fault)
{
	struct bytes body = msg->sk.body;
	struct crypto_cipher_info ci;
	uint8_t *copy;
	size_t n;
	enum status st = crypto_cipher_info(key->cipher, &ci);

	if (st)
		return ST_BUG;
	if (body.n < ci.iv_len + ci.icv_len + 1 || (body.n - ci.iv_len - ci.icv_len) % ci.block)
		return ST_DROP;
	n = body.n - ci.iv_len - ci.icv_len;
	copy = arena_new(ar, n);
	if (!copy)
		return ST_NOMEM;
	memcpy(copy, body.p + ci.iv_len, n);
	if (ike->crypto.ops->open(ike->crypto.ctx, key, body.p, msg->sk.aad, copy, n,
				  body.p + ci.iv_len + n))
		return ST_DROP;
	/* Authentic from here on: what is wrong now is the peer's doing. */
	if (wire_ike_unpad(bytes_of(copy, n), ret_chain)) {
		*fault = WIRE_F_SK;
		return ST_REFUSE;
	}
	return ST_OK;
}

enum status msg_open(struct ike *ike, const struct ike_sa *sa, struct arena *ar,
		     const struct wire_ike_msg *msg, struct wire_payloads *ret_inner,
		     enum wire_fault *fault)
{
	struct crypto_key key = keys_in(&sa->keys);
	struct bytes chain;
	enum status st = msg_decrypt(ike, &key, ar, msg, &chain, fault);

	wipe(&key, sizeof(key));
	if (st == ST_DROP)
		count(ike, C_INTEGRITY);
	if (st)
		return st;
	st = wire_ike_parse_inner(ar, msg->sk.inner_next, chain, ret_inner, fault);
	return st == ST_DROP ? ST_REFUSE : st;
}
