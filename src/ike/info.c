/*
 * info.c - INFORMATIONAL exchanges (RFC 7296 section 1.4): probes and deletes, both ways.
 */
#include "ike/inner.h"

/* ---- ours --------------------------------------------------------------------------------- */

void info_send(struct ike *ike, struct ike_sa *sa, struct wire_out *o)
{
	struct bytes owned;

	if (msg_end(ike, sa, o, &owned))
		count(ike, C_NO_MEMORY);
	else
		send_request(ike, sa, WIRE_INFORMATIONAL, owned);
}

void info_probe(struct ike *ike, struct ike_sa *sa)
{
	/* A request in flight tells as well. */
	if (sa->win.request.n || sa->state != SA_UP)
		return;
	sa->probe = true;
	agenda_soon(ike, sa);
}

bool info_ask(struct ike *ike, struct ike_sa *sa)
{
	struct wire_out o;
	bool natd;

	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	natd = mobike_put_probe(ike, sa, &o);
	info_send(ike, sa, &o);
	sa->probe = !sa->win.request.n;
	if (natd && !sa->probe)
		mobike_sent(sa, MOVING_PROBE);
	if (!sa->probe)
		liveness_asked(ike, sa);
	return !sa->probe;
}

bool info_redirect(struct ike *ike, struct ike_sa *sa, struct bytes data)
{
	struct wire_out o;

	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_REDIRECT, data);
	info_send(ike, sa, &o);
	return sa->win.request.n;
}

bool info_lifetime(struct ike *ike, struct ike_sa *sa)
{
	struct wire_out o;

	if (sa->win.request.n || sa->attempt || sa->create || sa->state != SA_UP)
		return false;
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	life_put(ike, sa, &o);
	info_send(ike, sa, &o);
	return sa->win.request.n;
}

void info_delete(struct ike *ike, struct ike_sa *sa, uint16_t notify)
{
	struct wire_out o;

	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	if (notify)
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), notify, bytes_of(NULL, 0));
	wire_put_delete(&o, WIRE_PROTO_IKE, 0, bytes_of(NULL, 0));
	sa->win.deleting = true;
	info_send(ike, sa, &o);
	/* Without memory for it, again a little later (retransmit_timer). */
	if (!sa->win.request.n)
		heap_arm(&ike->timers, &sa->retransmit,
			 mono_add(ike->now.mono, ike->conf->retransmit_timeout));
}

/* One Delete names all of them (section 1.4.1). */
bool info_delete_children(struct ike *ike, struct ike_sa *sa)
{
	uint8_t spis[4 * WIRE_MAX_DELETE_SPIS];
	struct wr w = wr_of(spis, sizeof(spis));
	struct child *named[WIRE_MAX_DELETE_SPIS];
	size_t n_named = 0;
	struct wire_out o;

	list_for_each(n, &sa->leaving) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state != CHILD_DOOMED || child_unproven(ike, c) ||
		    n_named == ARRAY_LEN(named))
			continue;
		wr_u32(&w, c->spi_in);
		named[n_named++] = c;
	}
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	wire_put_delete(&o, WIRE_PROTO_ESP, 4, wr_bytes_of(&w));
	info_send(ike, sa, &o);
	if (!sa->win.request.n)
		return false;
	for (size_t i = 0; i < n_named; i++)
		named[i]->state = CHILD_DELETING;
	return true;
}

const struct wire_notify *info_fatal(const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_AUTHENTICATION_FAILED);

	return n ? n : wire_find_notify(in, WIRE_N_INVALID_SYNTAX);
}

void info_fatal_event(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n)
{
	char buf[IKE_EVENT_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	if (n->type == WIRE_N_AUTHENTICATION_FAILED)
		text_add(&t, "the peer does not accept our authentication; its log says why");
	else
		text_fmt(&t, "the peer gave the IKE SA up with %s", wire_notify_name(n->type));
	count(ike, C_PEER_REFUSED);
	peer_error(ike, sa->peer, buf);
	event_emit(ike, IKE_EV_REFUSED, (struct event_about){ .sa = sa, .reason = IKE_R_PEER_SAID },
		   "%s", buf);
}

static struct child *child_deleting(const struct ike_sa *sa)
{
	list_for_each(n, &sa->leaving) {
		struct child *c = CONTAINER_OF(n, struct child, node);

		if (c->state == CHILD_DELETING)
			return c;
	}
	return NULL;
}

/* The children that our request named are no more, whatever the answer names.  One that lingers
 * now may take others off the list. */
static void children_deleted(struct ike *ike, struct ike_sa *sa)
{
	struct child *c;

	while ((c = child_deleting(sa)))
		child_over(ike, c);
}

enum status info_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *n = info_fatal(rx->inner);
	bool probe = sa->win.probe, whole = !sa->win.cut;

	request_done(ike, sa);
	if (probe && sa->state == SA_UP)
		mtu_search_answered(ike, sa, whole);
	if (sa->state == SA_UP && n) {
		info_fatal_event(ike, sa, n);
		sa_remove(ike, sa, "given up by the peer");
		return ST_OK;
	}
	if (sa->state == SA_DELETING && sa->win.deleting) {
		sa_deleted(ike, sa, "deleted");
		return ST_OK;
	}
	children_deleted(ike, sa);
	(void)mobike_answer(ike, sa, rx->inner);
	return ST_OK;
}

/* ---- theirs ------------------------------------------------------------------------------- */

/* Children that went over to another IKE SA while the peer's message was under way are meant as
 * well. */
static struct child *child_meant(struct ike_sa *sa, uint32_t spi)
{
	struct child *c = child_by_spi_out(sa, spi);

	if (!c && sa->successor)
		c = child_by_spi_out(sa->successor, spi);
	if (!c && sa->state == SA_RIVAL && sa->predecessor)
		c = child_by_spi_out(sa->predecessor, spi);
	return c;
}

/* Ends the children named and collects the SPIs of our directions for the answer (1.4.1). */
static void delete_children(struct ike *ike, struct ike_sa *sa, const struct wire_delete *d,
			    struct wr *ret_spis)
{
	if (d->proto != WIRE_PROTO_ESP || d->spi_len != 4)
		return;
	for (struct cur c = cur_of(d->spis); cur_left(&c) >= 4;) {
		struct child *child = child_meant(sa, cur_u32(&c));

		if (child)
			child_deleted(ike, child, ret_spis);
	}
}

static bool deletes_ike(const struct wire_payloads *in)
{
	for (size_t i = 0; i < in->n_deletes; i++)
		if (in->deletes[i].proto == WIRE_PROTO_IKE)
			return true;
	return false;
}

static const char deleted_by_peer[] = "deleted by the peer";

/* The peer deletes the IKE SA. */
static void deleted(struct ike *ike, struct ike_sa *sa, bool refused)
{
	/* It finished a rekey of its own and did not hear of ours (section 2.8.2). */
	if (sa->state == SA_UP && !refused && sa->successor)
		rekey_adopt_rival(ike, sa);
	if (sa->state == SA_REPLACED || sa->state == SA_RIVAL) {
		sa_close(ike, sa);
		return;
	}
	if (sa->state == SA_UP && !refused)
		children_hand_over(ike, sa, deleted_by_peer);
	if (refused)
		sa_remove(ike, sa, "refused by the peer");
	else
		sa_deleted(ike, sa, deleted_by_peer);
}

enum status info_request(struct ike *ike, struct ike_sa *sa, struct rx *rx)
{
	const struct wire_notify *refused = info_fatal(rx->inner);
	uint8_t spis[4 * WIRE_MAX_DELETE_SPIS * WIRE_MAX_DELETES];
	struct wr w = wr_of(spis, sizeof(spis));
	struct wire_out o;
	struct bytes owned;
	struct move move;
	enum status st = move_judge(ike, sa, rx, &move);

	if (st)
		return st;
	/* First the children: the answer names them, and who has it hears nothing more on them.
	 * When it cannot be built, the peer asks again and gets an empty one, which says the same.
	 */
	for (size_t i = 0; i < rx->inner->n_deletes; i++)
		delete_children(ike, sa, &rx->inner->deletes[i], &w);
	if (deletes_ike(rx->inner) && !refused && sa->state == SA_UP && !sa->successor)
		children_hand_over(ike, sa, deleted_by_peer);
	if (wr_len(&w))
		peer_child_gone(ike, sa->peer);
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, true, sa->win.next_recv, &o);
	if (wr_len(&w))
		wire_put_delete(&o, WIRE_PROTO_ESP, 4, wr_bytes_of(&w));
	move_put_answer(ike, sa, rx, &move, &o);
	inner_r_info(ike, sa, rx->inner, &o);
	st = msg_end(ike, sa, &o, &owned);
	if (st)
		return st;
	send_response(ike, sa, WIRE_INFORMATIONAL, owned);
	move_commit(ike, sa, rx, &move);
	move_translated(ike, sa, rx);
	life_asked(ike, sa, life_read(ike, rx->inner));
	hint_child(ike, sa, rx->inner);
	redirect_in_session(ike, sa, rx->inner);
	/* While we are leaving ourselves the peer's reasons are no news. */
	if (refused && sa->state == SA_UP)
		info_fatal_event(ike, sa, refused);
	if (refused || deletes_ike(rx->inner))
		deleted(ike, sa, refused);
	return ST_OK;
}
