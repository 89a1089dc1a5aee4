/*
 * The attributes of a Configuration payload.  The payload's own parser must take the same lists as
 * this one; what was read is written and read again: the same values must come back.
 */
#include "ike_values.h"

#include "wire/ike/cp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool payload_takes(struct bytes attributes)
{
	static uint8_t buf[1 << 17];
	const struct wire_hdr h = { .version = WIRE_IKE_VERSION, .exchange = WIRE_IKE_AUTH };
	enum wire_fault fault = WIRE_OK;
	struct wire_payloads inner;
	struct wire_out o;
	struct bytes chain;
	struct arena ar;
	uint8_t first;
	bool ok;

	wire_ike_begin(&o, buf, sizeof(buf), &h);
	wire_ike_sk_begin(&o, 8);
	wire_put_cp(&o, WIRE_CFG_REQUEST, attributes);
	CHECK(wire_ike_inner(&o, &first, &chain) == ST_OK);
	arena_init(&ar, &mem_libc, 1 << 20);
	ok = wire_ike_parse_inner(&ar, first, chain, &inner, &fault) == ST_OK;
	CHECK(ok || fault == WIRE_F_CP);
	arena_done(&ar);
	return ok;
}

static void check_values(struct bytes all, const struct wire_cfg *c)
{
	CHECK(c->n_addresses <= WIRE_CFG_ADDRESSES && c->n_dns <= WIRE_CFG_DNS);
	CHECK(c->n_domains <= WIRE_CFG_DOMAINS && c->n_subnets <= WIRE_CFG_SUBNETS);
	CHECK((c->empty & ~c->present) == 0 && c->netmask <= 32);
	for (size_t i = 0; i < c->n_addresses; i++)
		CHECK(c->addresses[i].len <= ip_bits(&c->addresses[i].ip));
	for (size_t i = 0; i < c->n_domains; i++) {
		check_view(all, c->domains[i]);
		CHECK(wire_cfg_name_ok(c->domains[i]));
	}
	for (size_t i = 0; i < c->n_subnets; i++) {
		struct ip first = prefix_first(&c->subnets[i]);

		CHECK(ip_eq(&first, &c->subnets[i].ip));
	}
}

static void put(struct wr *w, const struct wire_cfg *c)
{
	for (size_t i = 0; i < c->n_addresses; i++)
		wire_cfg_put_address(w, &c->addresses[i].ip);
	for (size_t i = 0; i < c->n_dns; i++)
		wire_cfg_put_dns(w, &c->dns[i]);
	for (size_t i = 0; i < c->n_domains; i++)
		wire_cfg_put(w, WIRE_CFG_DNS_DOMAIN, c->domains[i]);
	for (size_t i = 0; i < c->n_subnets; i++)
		wire_cfg_put_subnet(w, &c->subnets[i]);
}

static void round_trip(const struct wire_cfg *a)
{
	static uint8_t buf[1 << 14];
	struct wr w = wr_of(buf, sizeof(buf));
	struct wire_cfg b;

	put(&w, a);
	CHECK(!w.err && wire_cfg_parse(wr_bytes_of(&w), &b) == ST_OK);
	CHECK(b.n_addresses == a->n_addresses && b.n_dns == a->n_dns);
	CHECK(b.n_domains == a->n_domains && b.n_subnets == a->n_subnets);
	CHECK(b.left_out == 0 && b.empty == 0);
	for (size_t i = 0; i < a->n_addresses; i++)
		CHECK(ip_eq(&a->addresses[i].ip, &b.addresses[i].ip));
	for (size_t i = 0; i < a->n_dns; i++)
		CHECK(ip_eq(&a->dns[i], &b.dns[i]));
	for (size_t i = 0; i < a->n_domains; i++)
		CHECK(bytes_eq(a->domains[i], b.domains[i]));
	for (size_t i = 0; i < a->n_subnets; i++)
		CHECK(prefix_eq(&a->subnets[i], &b.subnets[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes all = bytes_of(data, size);
	struct wire_cfg c;
	bool ok;

	if (size > 60000)
		return 0;
	ok = wire_cfg_parse(all, &c) == ST_OK;
	CHECK(ok == payload_takes(all));
	if (ok) {
		check_values(all, &c);
		round_trip(&c);
	}
	return 0;
}
