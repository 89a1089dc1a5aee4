/*
 * ike_values.h - what the fuzz targets of the IKE codec check about parsed values: every view lies
 * in the bytes it came from, and two values are the same message.
 */
#pragma once

#include <stdlib.h>

#include "wire/ike/wire_ike.h"

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

static inline void check_view(struct bytes all, struct bytes v)
{
	CHECK(v.n == 0 || (v.p >= all.p && v.n <= (size_t)(all.p + all.n - v.p)));
}

static inline void check_sa(struct bytes all, const struct wire_sa *sa)
{
	size_t transforms = 0;

	CHECK(sa->n <= WIRE_MAX_PROPOSALS);
	for (size_t i = 0; i < sa->n; i++) {
		check_view(all, sa->proposals[i].spi);
		CHECK(sa->proposals[i].n_transforms > 0);
		transforms += sa->proposals[i].n_transforms;
	}
	CHECK(transforms <= WIRE_MAX_TRANSFORMS);
}

static inline void check_ts_list(const struct wire_ts_list *l)
{
	CHECK(l->n + l->unknown <= WIRE_MAX_TS);
	for (size_t i = 0; i < l->n; i++) {
		CHECK(l->ts[i].start.family == l->ts[i].end.family);
		CHECK(ip_cmp(&l->ts[i].start, &l->ts[i].end) <= 0);
	}
}

static inline void check_lists(struct bytes all, const struct wire_payloads *p)
{
	CHECK(p->n_certs <= WIRE_MAX_CERTS && p->n_certreqs <= WIRE_MAX_CERTREQS);
	CHECK(p->n_notifies <= WIRE_MAX_NOTIFIES && p->n_deletes <= WIRE_MAX_DELETES);
	CHECK(p->n_vendors <= WIRE_MAX_VENDORS);
	for (size_t i = 0; i < p->n_certs; i++)
		check_view(all, p->certs[i].data);
	for (size_t i = 0; i < p->n_certreqs; i++)
		check_view(all, p->certreqs[i].data);
	for (size_t i = 0; i < p->n_notifies; i++) {
		check_view(all, p->notifies[i].spi);
		check_view(all, p->notifies[i].data);
	}
	for (size_t i = 0; i < p->n_deletes; i++)
		check_view(all, p->deletes[i].spis);
	for (size_t i = 0; i < p->n_vendors; i++)
		check_view(all, p->vendors[i]);
}

static inline bool has(const struct wire_payloads *p, enum wire_payload type)
{
	return p->present & WIRE_BIT(type);
}

static inline void check_payloads(struct bytes all, const struct wire_payloads *p)
{
	check_sa(all, &p->sa);
	check_ts_list(&p->ts_i);
	check_ts_list(&p->ts_r);
	check_lists(all, p);
	check_view(all, p->ke.data);
	check_view(all, p->nonce);
	check_view(all, p->id_i.body);
	check_view(all, p->id_r.body);
	check_view(all, p->auth.data);
	check_view(all, p->cp.attributes);
	check_view(all, p->eap);
	check_view(all, p->solution);
	CHECK(has(p, WIRE_P_SA) == (p->sa.n > 0));
	CHECK(has(p, WIRE_P_KE) == (p->ke.data.n > 0));
	CHECK(has(p, WIRE_P_NONCE) == (p->nonce.n > 0));
	CHECK(has(p, WIRE_P_AUTH) == (p->auth.data.n > 0));
	CHECK(has(p, WIRE_P_EAP) == (p->eap.n > 0));
	CHECK(has(p, WIRE_P_PS) == (p->solution.n > 0) && p->solution.n % 4 == 0);
	CHECK(has(p, WIRE_P_NOTIFY) == (p->n_notifies > 0));
}
