/*
 * send.c - building, protecting and sending messages; retransmission of requests.
 */
#include "ike/internal.h"

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
	if (crypto_cipher_info(sa->keys.cipher, &ci) == ST_OK)
		wire_ike_sk_begin(o, ci.iv_len);
	else
		o->w.err = true;
}

/* An AEAD's explicit IV only has to be unique (RFC 5282 section 3.1): a counter is. CBC wants an
 * unpredictable one. */
static void fill_iv(struct ike *ike, struct ike_sa *sa, size_t iv_len, uint8_t *iv)
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
	fill_iv(ike, sa, ci.iv_len, s.iv);
	key = keys_out(&sa->keys);
	st = ike->crypto.ops->seal(ike->crypto.ctx, &key, s.iv, s.aad, s.plain, s.plain_len, s.icv);
	wipe(&key, sizeof(key));
	if (!st)
		*ret_msg = msg;
	return st;
}

enum status msg_end(struct ike *ike, struct ike_sa *sa, struct wire_out *o, struct bytes *ret_owned)
{
	struct bytes msg;
	enum status st = o->sk_at ? seal(ike, sa, o, &msg) : wire_ike_end(o, &msg);

	return st ? st : mem_dup(ike->mem, msg, ret_owned);
}

void send_bytes(struct outbox *ob, const struct path *path, struct bytes data)
{
	struct out_item *it = outbox_add(ob, IKE_OUT_SEND);

	if (!it)
		return;
	it->out.u.send.local = path->local;
	it->out.u.send.remote = path->remote;
	it->out.u.send.marker = path->encap;
	if (arena_dup(&it->mem, data, &it->out.u.send.data)) {
		list_del(&it->node);
		arena_done(&it->mem);
		mem_free(ob->mem, it);
		ob->failed = true;
	}
}

/* A datagram that could not be queued is a datagram lost: retransmission repairs it. */
static void send_now(struct ike *ike, const struct path *path, struct bytes data)
{
	struct outbox ob;

	outbox_init(&ob, ike->mem);
	send_bytes(&ob, path, data);
	if (ob.failed)
		count(ike, C_NO_MEMORY);
	else
		count(ike, C_TX_DATAGRAMS);
	outbox_commit(ike, &ob);
}

/* first * 1.8^tries, in integers. */
static dur_t retransmit_after(const struct ike_conf *conf, unsigned tries)
{
	int64_t ns = conf->retransmit_timeout.ns;

	for (unsigned i = 0; i < tries; i++)
		ns = ns / 5 * 9;
	return (dur_t){ ns };
}

void send_request(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned)
{
	mem_free(ike->mem, (void *)(uintptr_t)sa->win.request.p);
	sa->win.request = owned;
	sa->win.request_exchange = exchange;
	sa->win.tries = 0;
	sa->win.max_tries = (uint8_t)(sa->state == SA_DELETING ? IKE_DELETE_TRIES
							       : ike->conf->retransmit_tries);
	sa->win.next_send++;
	heap_arm(&ike->timers, &sa->retransmit,
		 mono_add(ike->now.mono, retransmit_after(ike->conf, 0)));
	trace_emit(ike, T_TX, sa->id, exchange, sa->win.next_send - 1, owned.n, 0);
	send_now(ike, &sa->path, owned);
}

void send_response(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned)
{
	mem_free(ike->mem, (void *)(uintptr_t)sa->win.response.p);
	sa->win.response = owned;
	sa->win.in_progress = false;
	sa->win.next_recv++;
	if (sa->state == SA_UP)
		heap_arm(&ike->timers, &sa->reap,
			 mono_add(ike->now.mono, dur_s(IKE_RESPONSE_KEEP_S)));
	trace_emit(ike, T_TX, sa->id, exchange, sa->win.next_recv - 1, owned.n, 1);
	send_now(ike, &sa->asked_from, owned);
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
	heap_disarm(&ike->timers, &sa->retransmit);
}

void hurry_request(struct ike *ike, struct ike_sa *sa)
{
	sa->win.tries = 0;
	sa->win.max_tries = IKE_DELETE_TRIES;
	heap_arm(&ike->timers, &sa->retransmit,
		 mono_add(ike->now.mono, retransmit_after(ike->conf, 0)));
}

static void gave_up(struct ike *ike, struct ike_sa *sa)
{
	char text[IKE_EVENT_TEXT_MAX], ep[ENDPOINT_TEXT_MAX];
	struct text t = TEXT_OF(text);
	/* What last_error says then is what init_i.c made of the answer. */
	bool hint = sa->state == SA_I_INIT && sa->hs->hint && peer_last_error(sa->peer)[0];

	endpoint_text(&sa->path.remote, ep);
	if (sa->state == SA_DELETING) {
		sa_remove(ike, sa, "deleted; the peer did not confirm");
		return;
	}
	text_fmt(&t, "no %sanswer from %s to %s after %u tries", hint ? "good " : "", ep,
		 wire_exchange_name(sa->win.request_exchange), sa->win.tries + 1u);
	if (hint)
		text_fmt(&t, "; %s", peer_last_error(sa->peer));
	count(ike, sa->state == SA_UP ? C_DEAD : C_UNREACHABLE);
	sa_fail(ike, sa, sa->state == SA_UP ? IKE_EV_DEAD : IKE_EV_UNREACHABLE,
		hint ? sa->hs->hint : IKE_R_NO_ANSWER, text);
}

void retransmit_timer(struct ike *ike, struct ike_sa *sa)
{
	if (!sa->win.request.n) {
		/* A DELETE that there was no memory for. */
		if (sa->win.tries++ < IKE_DELETE_TRIES)
			info_delete(ike, sa, 0);
		else
			sa_remove(ike, sa, "deleted; no memory for telling the peer");
		return;
	}
	if (sa->win.tries + 1 >= sa->win.max_tries) {
		gave_up(ike, sa);
		return;
	}
	sa->win.tries++;
	count(ike, C_TX_RETRANSMITS);
	trace_emit(ike, T_RETRANSMIT, sa->id, sa->win.request_exchange, sa->win.next_send - 1,
		   sa->win.tries, 0);
	event_emit(ike, NULL, IKE_EV_RETRANSMIT, (struct event_about){ .sa = sa },
		   "no answer to %s yet, try %u of %u",
		   wire_exchange_name(sa->win.request_exchange), sa->win.tries + 1u,
		   (unsigned)sa->win.max_tries);
	heap_arm(&ike->timers, &sa->retransmit,
		 mono_add(ike->now.mono, retransmit_after(ike->conf, sa->win.tries)));
	send_now(ike, &sa->path, sa->win.request);
}

enum status msg_open(struct ike *ike, const struct ike_sa *sa, struct arena *ar,
		     const struct wire_ike_msg *msg, struct wire_payloads *ret_inner,
		     enum wire_fault *fault)
{
	struct crypto_key key;
	struct bytes body = msg->sk.body, plain, payloads;
	struct crypto_cipher_info ci;
	uint8_t *copy;
	size_t n;
	enum status st = crypto_cipher_info(sa->keys.cipher, &ci);

	if (st)
		return ST_BUG;
	if (body.n < ci.iv_len + ci.icv_len + 1 || (body.n - ci.iv_len - ci.icv_len) % ci.block) {
		count(ike, C_INTEGRITY);
		return ST_DROP;
	}
	n = body.n - ci.iv_len - ci.icv_len;
	copy = arena_new(ar, n);
	if (!copy)
		return ST_NOMEM;
	memcpy(copy, body.p + ci.iv_len, n);
	key = keys_in(&sa->keys);
	st = ike->crypto.ops->open(ike->crypto.ctx, &key, body.p, msg->sk.aad, copy, n,
				   body.p + ci.iv_len + n);
	wipe(&key, sizeof(key));
	if (st) {
		count(ike, C_INTEGRITY);
		return ST_DROP;
	}
	/* Authentic from here on: what is wrong now is the peer's doing. */
	plain = bytes_of(copy, n);
	st = wire_ike_unpad(plain, &payloads);
	if (st) {
		*fault = WIRE_F_SK;
		return ST_REFUSE;
	}
	st = wire_ike_parse_inner(ar, msg->sk.inner_next, payloads, ret_inner, fault);
	return st == ST_DROP ? ST_REFUSE : st;
}
