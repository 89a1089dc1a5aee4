/*
 * hint.c - what nothing vouches for says that an SA is gone (RFC 7296 sections 1.5 and 2.21.4).
 *
 *	INVALID_IKE_SPI in the clear, as if in answer to our request in flight
 *	INVALID_SPI in the clear, about a child that we send on
 *	ICMP: nobody is there
 *
 * Anybody may have sent it, so it is a reason to ask the peer, sparingly, and for nothing else: no
 * answer, no change of any SA.  Only a token (qcd.c) ends one.
 *
 * The other way round: ESP that we have no SA for is answered by INVALID_SPI, in the peer's IKE SA
 * if there is one, and to addresses where a peer may be only: nobody else hears from us.
 */
#include "ike/internal.h"

static void hint(struct ike *ike, struct ike_sa *sa)
{
	count(ike, C_HINT);
	if (sa->state != SA_UP ||
	    mono_since(ike->now.mono, sa->last_in).ns < dur_s(IKE_HINT_AFTER_S).ns)
		return;
	if (per_second_take(ike, &ike->hints.taken, IKE_HINTS_PER_S))
		liveness_hint(ike, sa);
	else
		count(ike, C_HINT_LIMITED);
}

/* Section 2.21.4: an answer to the request in flight, or a forged one. */
static void said(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		 const struct wire_hdr *h, const struct wire_payloads *p)
{
	enum qcd_verdict v = qcd_judge(ike, sa, d, p);

	if (v == QCD_LOST)
		return;
	if (wire_find_notify(p, WIRE_N_INVALID_IKE_SPI) && sa->win.request.n &&
	    h->msgid + 1 == sa->win.next_send)
		hint(ike, sa);
	else if (v == QCD_NONE)
		count(ike, C_UNPROTECTED);
}

typedef void notices_fn(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			const struct wire_hdr *h, const struct wire_payloads *p);

static bool in_the_clear(const struct wire_hdr *h)
{
	return h->next == WIRE_P_NOTIFY && h->exchange != WIRE_IKE_SA_INIT &&
	       h->exchange != WIRE_IKE_AUTH;
}

/* A few notifies, no more: `read` gets them.  False: there is an Encrypted payload behind them, so
 * it is none of what this is about. */
static bool parse(struct ike *ike, const struct ike_datagram *d, struct ike_sa *sa,
		  const struct wire_hdr *h, notices_fn *read)
{
	enum wire_fault fault = WIRE_OK;
	struct wire_ike_msg msg;
	struct arena ar;
	bool ours = true;

	arena_init(&ar, ike->mem, IKE_MESSAGE_ARENA);
	if (wire_ike_parse(&ar, d->data, &msg, &fault))
		ike->faults[fault]++;
	else if (msg.encrypted)
		ours = false;
	else
		read(ike, sa, d, h, &msg.clear);
	arena_done(&ar);
	return ours;
}

bool hint_notice(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		 const struct wire_hdr *h)
{
	bool up = sa->state >= SA_UP && sa->state < SA_CLOSED;

	if (!up || !(h->flags & WIRE_FLAG_RESPONSE) || !in_the_clear(h))
		return false;
	if (!per_second_take(ike, &ike->hints.notices, IKE_NOTICES_PER_S)) {
		count(ike, C_HINT_LIMITED);
		return true;
	}
	return parse(ike, d, sa, h, said);
}

/* ---- ESP (section 1.5) ---------------------------------------------------------------------- */

/* The children that are sent to there. */
static void hint_about(struct ike *ike, struct peer *p, const struct ip *from, uint32_t spi)
{
	list_for_each_safe(n, &p->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);
		const struct child *c = child_by_spi_out(sa, spi);

		if (c && c->state == CHILD_UP && ip_eq(&sa->path.remote.ip, from)) {
			hint(ike, sa);
			return;
		}
	}
}

static void invalid_spi(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			const struct wire_hdr *h, const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_INVALID_SPI);
	struct peer *at[IKE_MAX_AT_ADDRESS];
	size_t k;

	(void)sa;
	(void)h;
	if (!n || n->data.n != 4) {
		count(ike, C_UNPROTECTED);
		return;
	}
	k = peers_at(ike, &d->remote.ip, at, ARRAY_LEN(at));
	for (size_t i = 0; i < k && i < ARRAY_LEN(at); i++)
		hint_about(ike, at[i], &d->remote.ip, load_be32(n->data.p));
}

/* Never answered: that could go on for ever. */
bool hint_invalid_spi(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h)
{
	if (h->flags & WIRE_FLAG_RESPONSE || h->exchange != WIRE_INFORMATIONAL || !in_the_clear(h))
		return false;
	if (!per_second_take(ike, &ike->hints.invalid_spi, IKE_NOTICES_PER_S)) {
		count(ike, C_HINT_LIMITED);
		return true;
	}
	return parse(ike, d, NULL, h, invalid_spi);
}

/* The peer has no such child, and says so in the SA: a rekey finds out whether that is so, and
 * makes another if it is (section 2.25: CHILD_SA_NOT_FOUND). */
void hint_child(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in)
{
	const struct wire_notify *n = wire_find_notify(in, WIRE_N_INVALID_SPI);
	struct child *c = n && n->data.n == 4 ? child_by_spi_out(sa, load_be32(n->data.p)) : NULL;

	if (!n)
		return;
	count(ike, C_INVALID_SPI);
	/* What came since, or was under way when it was made, says nothing. */
	if (c && c->state == CHILD_UP && c->installed &&
	    mono_since(ike->now.mono, c->created).ns >= dur_s(IKE_INVALID_SPI_AFTER_S).ns)
		child_want_rekey(ike, c);
}

static struct ike_sa *sa_to(const struct ike *ike, const struct ip *ip)
{
	list_for_each(n, &ike->sas) {
		struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, node);

		if (sa->state == SA_UP && ip_eq(&sa->path.remote.ip, ip))
			return sa;
	}
	return NULL;
}

static void tell_inside(struct ike *ike, struct ike_sa *sa, struct bytes spi)
{
	struct wire_out o;

	if (sa->win.request.n || sa->attempt || sa->create)
		return; /* the data plane tells again */
	msg_begin_sk(ike, sa, WIRE_INFORMATIONAL, false, sa->win.next_send, &o);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_INVALID_SPI, spi);
	info_send(ike, sa, &o);
	count(ike, C_INVALID_SPI_SENT);
}

/* No IKE SPI would mean anything to who gets it; section 1.5 allows zeros, which in front of a
 * datagram mean something else on port 4500, and random ones. */
static void tell_outside(struct ike *ike, const struct ike_datagram *d, struct bytes spi)
{
	const struct wire_hdr h = { .spi_i = sa_pick_spi(ike),
				    .version = WIRE_IKE_VERSION,
				    .exchange = WIRE_INFORMATIONAL,
				    .flags = WIRE_FLAG_INITIATOR };
	struct wire_out o;
	struct bytes msg;

	if (ike->silent || ike->stateless.full || !admit_knows(ike, &d->remote.ip) ||
	    !stray_allowed(ike))
		return;
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &h);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_INVALID_SPI, spi);
	if (wire_ike_end(&o, &msg))
		return;
	stateless_send(ike, d, msg);
	count(ike, C_INVALID_SPI_SENT);
}

void hint_unknown_esp(struct ike *ike, const struct dp_report *r)
{
	struct ike_datagram d = { .local = r->u.unknown_spi.local,
				  .remote = r->u.unknown_spi.remote };
	struct ike_sa *sa;
	uint8_t spi[4];

	if (ike->shutdown || !per_second_take(ike, &ike->hints.unknown_esp, IKE_UNKNOWN_ESP_PER_S))
		return;
	store_be32(spi, r->u.unknown_spi.spi);
	sa = sa_to(ike, &d.remote.ip);
	/* Without UDP there are no ports to go back to. */
	if (!d.remote.port) {
		d.local.port = ike->conf->port;
		d.remote.port = 500;
	}
	if (sa)
		tell_inside(ike, sa, BYTES_OF(spi));
	else
		tell_outside(ike, &d, BYTES_OF(spi));
}

/* ---- the network says that nobody is there -------------------------------------------------- */

void hint_unreachable(struct ike *ike, const struct ip *ip)
{
	struct peer *at[IKE_MAX_AT_ADDRESS];
	size_t k = peers_at(ike, ip, at, ARRAY_LEN(at));

	for (size_t i = 0; i < k && i < ARRAY_LEN(at); i++)
		list_for_each_safe(n, &at[i]->sas) {
			struct ike_sa *sa = CONTAINER_OF(n, struct ike_sa, peer_node);

			if (ip_eq(&sa->path.remote.ip, ip))
				hint(ike, sa);
		}
}
