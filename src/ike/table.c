/*
 * table.c - the exchanges as data, to be held against RFC 7296 sections 1.2 to 1.4.
 *
 * A row is found before any handler runs, so handlers carry no presence checks.  Rows of one state
 * and message kind are tried in order; the first whose conditions hold takes the message.
 */
#include "ike/internal.h"

#define S(state) (1u << (state))
#define P(type) WIRE_BIT(WIRE_P_##type)
/* Established, and not closed by both ends. */
#define LIVING (S(SA_UP) | S(SA_DELETING) | S(SA_RIVAL) | S(SA_REPLACED))

const struct exchange_row ike_exchanges[] = {
	/* Section 1.2.  HDR, SAi1, KEi, Ni  -->  the request has no SA yet: init_r_request(). */
	{ .story = "responder demands a cookie (2.6)",
	  .states = S(SA_I_INIT),
	  .exchange = WIRE_IKE_SA_INIT,
	  .response = true,
	  .notify = WIRE_N_COOKIE,
	  .required = P(NOTIFY),
	  .handler = init_i_cookie },
	{ .story = "responder sends us on to another gateway (RFC 5685)",
	  .states = S(SA_I_INIT),
	  .exchange = WIRE_IKE_SA_INIT,
	  .response = true,
	  .notify = WIRE_N_REDIRECT,
	  .required = P(NOTIFY),
	  .handler = redirect_i_init },
	{ .story = "responder wants another key exchange method (1.2)",
	  .states = S(SA_I_INIT),
	  .exchange = WIRE_IKE_SA_INIT,
	  .response = true,
	  .notify = WIRE_N_INVALID_KE_PAYLOAD,
	  .required = P(NOTIFY),
	  .handler = init_i_invalid_ke },
	{ .story = "responder refuses, unauthenticated (2.21.1)",
	  .states = S(SA_I_INIT),
	  .exchange = WIRE_IKE_SA_INIT,
	  .response = true,
	  .any_error = true,
	  .required = P(NOTIFY),
	  .handler = init_i_error },
	{ .story = "HDR, SAr1, KEr, Nr, [CERTREQ] (1.2)",
	  .states = S(SA_I_INIT),
	  .exchange = WIRE_IKE_SA_INIT,
	  .response = true,
	  .required = P(SA) | P(KE) | P(NONCE),
	  .optional = P(CERTREQ) | P(NOTIFY) | P(VENDOR),
	  .handler = init_i_answer },

	{ .story = "HDR, SK {IDi, [CERT,] [CERTREQ,] [IDr,] AUTH, SAi2, TSi, TSr} (1.2)",
	  .states = S(SA_R_INIT),
	  .exchange = WIRE_IKE_AUTH,
	  .encrypted = true,
	  .required = P(IDI) | P(AUTH) | P(SA) | P(TSI) | P(TSR),
	  .optional = P(CERT) | P(CERTREQ) | P(IDR) | P(NOTIFY) | P(VENDOR) | P(CP),
	  .handler = auth_r_request },
	{ .story = "HDR, SK {IDi, [CERTREQ,] [IDr,] SAi2, TSi, TSr}: it wants EAP (2.16)",
	  .states = S(SA_R_INIT),
	  .exchange = WIRE_IKE_AUTH,
	  .encrypted = true,
	  .required = P(IDI) | P(SA) | P(TSI) | P(TSR),
	  .optional = P(CERT) | P(CERTREQ) | P(IDR) | P(NOTIFY) | P(VENDOR) | P(CP),
	  .handler = auth_r_eap },
	{ .story = "HDR, SK {IDi, [CERT,] [CERTREQ,] [IDr,] AUTH}: no child (RFC 6023)",
	  .states = S(SA_R_INIT),
	  .exchange = WIRE_IKE_AUTH,
	  .encrypted = true,
	  .required = P(IDI) | P(AUTH),
	  .optional = P(CERT) | P(CERTREQ) | P(IDR) | P(SA) | P(TSI) | P(TSR) | P(NOTIFY) |
		      P(VENDOR) | P(CP),
	  .handler = auth_r_childless },
	{ .story = "HDR, SK {IDr, [CERT,] AUTH, [SAr2, TSi, TSr,] [N]} (1.2)",
	  .states = S(SA_I_AUTH),
	  .exchange = WIRE_IKE_AUTH,
	  .response = true,
	  .encrypted = true,
	  .required = P(IDR) | P(AUTH),
	  .optional = P(CERT) | P(SA) | P(TSI) | P(TSR) | P(NOTIFY) | P(VENDOR) | P(CP),
	  .handler = auth_i_answer },
	{ .story = "HDR, SK {N} instead: the responder refuses (2.21.2)",
	  .states = S(SA_I_AUTH),
	  .exchange = WIRE_IKE_AUTH,
	  .response = true,
	  .encrypted = true,
	  .any_error = true,
	  .required = P(NOTIFY),
	  .optional = P(VENDOR),
	  .handler = auth_i_refused },

	{ .story = "HDR, SK {[N,] [D,] [CP,] ...} (1.4)",
	  .states = LIVING,
	  .exchange = WIRE_INFORMATIONAL,
	  .encrypted = true,
	  .optional = P(NOTIFY) | P(DELETE) | P(CP) | P(VENDOR),
	  .handler = info_request },
	{ .story = "answer to our probe or delete (1.4)",
	  .states = LIVING,
	  .exchange = WIRE_INFORMATIONAL,
	  .response = true,
	  .encrypted = true,
	  .optional = P(NOTIFY) | P(DELETE) | P(CP) | P(VENDOR),
	  .handler = info_answer },

	{ .story = "HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] [TSi, TSr]} (1.3.1, 1.3.2, 1.3.3)",
	  .states = LIVING,
	  .exchange = WIRE_CREATE_CHILD_SA,
	  .encrypted = true,
	  .required = P(SA) | P(NONCE),
	  .optional = P(KE) | P(TSI) | P(TSR) | P(NOTIFY) | P(VENDOR),
	  .handler = create_request },
	/* Whatever is beside an error (section 3.10.1). */
	{ .story = "HDR, SK {N} instead: the peer refuses (1.3, 2.25)",
	  .states = S(SA_UP) | S(SA_DELETING),
	  .exchange = WIRE_CREATE_CHILD_SA,
	  .response = true,
	  .encrypted = true,
	  .any_error = true,
	  .required = P(NOTIFY),
	  .optional = P(VENDOR),
	  .handler = create_refused },
	{ .story = "HDR, SK {SA, Nr, [KEr,] [TSi, TSr]} (1.3.1, 1.3.2, 1.3.3)",
	  .states = S(SA_UP) | S(SA_DELETING),
	  .exchange = WIRE_CREATE_CHILD_SA,
	  .response = true,
	  .encrypted = true,
	  .required = P(SA) | P(NONCE),
	  .optional = P(KE) | P(TSI) | P(TSR) | P(NOTIFY) | P(VENDOR),
	  .handler = create_answer },

	/* docs/protocol/shortcut.md section 4; see words_allowed(). */
	{ .story = "HDR, SK {N}: a word for an upper module",
	  .states = LIVING,
	  .exchange = WIRE_SHORTCUT,
	  .encrypted = true,
	  .optional = P(NOTIFY) | P(VENDOR),
	  .handler = word_request },
	{ .story = "HDR, SK {N}: what it says to ours",
	  .states = LIVING,
	  .exchange = WIRE_SHORTCUT,
	  .response = true,
	  .encrypted = true,
	  .optional = P(NOTIFY) | P(VENDOR),
	  .handler = word_answer },
};
const size_t ike_n_exchanges = ARRAY_LEN(ike_exchanges);

static bool row_kind(const struct exchange_row *r, enum sa_state state, const struct wire_hdr *h,
		     bool encrypted)
{
	return r->states & S(state) && r->exchange == h->exchange && r->encrypted == encrypted &&
	       r->response == !!(h->flags & WIRE_FLAG_RESPONSE);
}

static bool row_conditions(const struct exchange_row *r, const struct wire_payloads *p)
{
	if (r->notify && !wire_find_notify(p, r->notify))
		return false;
	return !r->any_error || wire_find_error(p);
}

const struct exchange_row *table_find(enum sa_state state, const struct wire_hdr *h, bool encrypted,
				      const struct wire_payloads *p, bool *ret_missing)
{
	*ret_missing = false;
	for (size_t i = 0; i < ike_n_exchanges; i++) {
		const struct exchange_row *r = &ike_exchanges[i];

		if (!row_kind(r, state, h, encrypted) || !row_conditions(r, p))
			continue;
		if ((p->present & r->required) == r->required)
			return r;
		*ret_missing = true;
	}
	return NULL;
}

bool table_expects(enum sa_state state, const struct wire_hdr *h, bool encrypted)
{
	for (size_t i = 0; i < ike_n_exchanges; i++)
		if (row_kind(&ike_exchanges[i], state, h, encrypted))
			return true;
	return false;
}

/* `b` can never be chosen when an earlier row `a` takes everything that `b` would. */
static bool shadows(const struct exchange_row *a, const struct exchange_row *b)
{
	if (a->exchange != b->exchange || a->response != b->response ||
	    a->encrypted != b->encrypted)
		return false;
	if ((a->states & b->states) != b->states)
		return false;
	if ((a->required & b->required) != a->required)
		return false;
	return (!a->notify || a->notify == b->notify) && (!a->any_error || b->any_error);
}

static bool sound(const struct exchange_row *r)
{
	return r->handler && r->story && r->states && r->states < S(SA_STATES) &&
	       !(r->required & r->optional) &&
	       (!(r->notify || r->any_error) || r->required & P(NOTIFY));
}

enum status table_validate(const struct exchange_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!sound(&rows[i]))
			return ST_BUG;
		for (size_t j = 0; j < i; j++)
			if (shadows(&rows[j], &rows[i]))
				return ST_BUG;
	}
	return ST_OK;
}
