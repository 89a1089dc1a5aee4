/*
 * info.c - INFORMATIONAL exchanges (RFC 7296 section 1.4): probes and deletes, both ways; and the
 * answer to CREATE_CHILD_SA as long as there is no such exchange here.
 */
#include "ike/internal.h"

/* ---- ours --------------------------------------------------------------------------------- */

static void send_info(struct ike *ike, struct ike_sa *sa, struct wire_out *o)
{
	struct bytes owned;

	if (msg_end(ike, sa, o, &owned))
		count(ike, C_NO_MEMORY);
	else
		send_request(ike, sa, WIRE_INFORMATIONAL, owned);
}

void info_probe(struct ike *ike, struct ike_sa *sa)
{
	struct wire_out o;

	if (sa->win.request.n || sa->state != SA_UP)
		return;
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	send_info(ike, sa, &o);
	/* Without memory for the probe the alive timer has to come again. */
	if (!sa->win.request.n && sa->peer->conf->dpd_delay.ns > 0)
		heap_arm(&ike->timers, &sa->alive,
			 mono_add(ike->now.mono, sa->peer->conf->dpd_delay));
}

void info_delete(struct ike *ike, struct ike_sa *sa, uint16_t notify)
{
	struct wire_out o;

	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	if (notify)
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), notify, bytes_of(NULL, 0));
	wire_put_delete(&o, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
	sa->win.deleting = true;
	send_info(ike, sa, &o);
	/* Without memory for it, again a little later (retransmit_timer). */
	if (!sa->win.request.n)
		heap_arm(&ike->timers, &sa->retransmit,
			 mono_add(ike->now.mono, ike->conf->retransmit_timeout));
}

void info_delete_child(struct ike *ike, struct ike_sa *sa, uint32_t spi_in, const char *why)
{
	struct wire_out o;
	uint8_t raw[4];

	/* One child per IKE SA so far: if the window is taken, the whole SA goes. */
	if (sa->win.request.n || sa->state != SA_UP) {
		sa_delete(ike, sa, why);
		return;
	}
	store_be32(raw, spi_in);
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	wire_put_delete(&o, WIRE_PROTO_ESP, 4, BYTES_OF(raw));
	send_info(ike, sa, &o);
	/* Without memory for it: the farewell of the whole SA is said until it is heard. */
	if (!sa->win.request.n)
		sa_delete(ike, sa, why);
}

/* What the peer holds against the SA as a whole, without a Delete payload
 * (sections 2.21.2, 2.21.3); NULL: nothing. */
static const struct wire_notify *fatal(const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_AUTHENTICATION_FAILED);

	return n ? n : wire_find_notify(in, WIRE_N_INVALID_SYNTAX);
}

static void fatal_event(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (n->type == WIRE_N_AUTHENTICATION_FAILED)
		text_add(&t, "the peer does not accept our authentication; its log says why");
	else
		text_fmt(&t, "the peer gave the IKE SA up with %s", wire_notify_name(n->type));
	count(ike, C_PEER_REFUSED);
	peer_error(ike, sa->peer, buf);
	event_emit(ike, NULL, IKE_EV_REFUSED,
		   (struct event_about){ .sa = sa, .reason = IKE_R_PEER_SAID }, "%s", buf);
}

enum status info_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	bool probe_before_delete = sa->state == SA_DELETING && !sa->win.deleting;
	const struct wire_notify *n = fatal(rx->inner);

	request_done(ike, sa);
	if (sa->state == SA_UP && n) {
		fatal_event(ike, sa, n);
		sa_remove(ike, sa, "given up by the peer");
	} else if (probe_before_delete) {
		info_delete(ike, sa, 0);
	} else if (sa->state == SA_DELETING) {
		sa_remove(ike, sa, "deleted");
	} else if (sa->peer->conf->dpd_delay.ns > 0) {
		heap_arm(&ike->timers, &sa->alive,
			 mono_add(ike->now.mono, sa->peer->conf->dpd_delay));
	}
	return ST_OK;
}

/* ---- theirs ------------------------------------------------------------------------------- */

/* Removes the children named and collects the SPIs of our directions for the answer (1.4.1). */
static void delete_children(struct ike *ike, struct ike_sa *sa, const struct wire_delete *d,
			    struct wr *ret_spis)
{
	if (d->proto != WIRE_PROTO_ESP || d->spi_len != 4)
		return;
	for (struct cur c = cur_of(d->spis); cur_left(&c) >= 4;) {
		struct child *child = child_by_spi_out(sa, cur_u32(&c));

		if (!child)
			continue;
		wr_u32(ret_spis, child->spi_in);
		child_remove(ike, child, "deleted by the peer");
	}
}

static bool deletes_ike(const struct wire_payloads *in)
{
	for (size_t i = 0; i < in->n_deletes; i++)
		if (in->deletes[i].proto == WIRE_PROTO_IKE)
			return true;
	return false;
}

enum status info_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *refused = fatal(rx->inner);
	uint8_t spis[4 * WIRE_MAX_DELETE_SPIS];
	struct wr w = wr_of(spis, sizeof(spis));
	struct wire_out o;
	struct bytes owned;
	enum status st;

	/* First the children: the answer names them.  When it cannot be built, the peer asks again
	 * and gets an empty one, which says the same. */
	for (size_t i = 0; i < rx->inner->n_deletes && sa->state == SA_UP; i++)
		delete_children(ike, sa, &rx->inner->deletes[i], &w);
	if (wr_len(&w))
		peer_child_gone(ike, sa->peer);
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, true, sa->win.next_recv, &o);
	if (wr_len(&w))
		wire_put_delete(&o, WIRE_PROTO_ESP, 4, wr_bytes_of(&w));
	st = msg_end(ike, sa, &o, &owned);
	if (st)
		return st;
	send_response(ike, sa, WIRE_INFORMATIONAL, owned);
	/* While we are leaving ourselves the peer's reasons are no news. */
	if (refused && sa->state == SA_UP)
		fatal_event(ike, sa, refused);
	if (refused || deletes_ike(rx->inner))
		sa_remove(ike, sa, refused ? "refused by the peer" : "deleted by the peer");
	return ST_OK;
}

enum status child_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	(void)rx;
	count(ike, C_NO_CHILD_SA);
	answer_notify(ike, sa, WIRE_CREATE_CHILD_SA, WIRE_N_NO_ADDITIONAL_SAS, bytes_of(NULL, 0));
	return ST_OK;
}
