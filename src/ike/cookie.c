/*
 * cookie.c - answering IKE_SA_INIT without memory (RFC 7296 section 2.6).
 *
 *	Cookie = version | first 28 bytes of prf(secret, Ni | IPi | port | SPIi)
 *
 * The version is four bytes; its lowest bit names one of two secrets, so that a cookie stays good
 * across one change of secret.  Everything here works on the datagram and on fixed buffers: a flood
 * of IKE_SA_INIT costs one PRF and one datagram each, no allocation, no state.
 */
#include "ike/internal.h"

enum {
	COOKIE_VERSION_LEN = 4,
	COOKIE_MAC_LEN = 28,
	COOKIE_LEN = COOKIE_VERSION_LEN + COOKIE_MAC_LEN,
};

/* What a request says that a cookie is about. */
struct init_request {
	struct bytes cookie; /* empty: none */
	struct bytes nonce;
};

/* A bounded walk over the clear chain; the full parser runs only after admission. */
static bool scan(const struct ike_datagram *d, const struct wire_hdr *h, struct init_request *ret)
{
	struct cur c = cur_of(d->data);
	uint8_t type = h->next;

	*ret = (struct init_request){ 0 };
	cur_take(&c, WIRE_IKE_HDR_LEN);
	for (int i = 0; type != WIRE_P_NONE && i < WIRE_MAX_PAYLOADS && !c.err; i++) {
		uint8_t next = cur_u8(&c);
		struct bytes body;
		uint16_t len;

		cur_u8(&c);
		len = cur_u16(&c);
		if (c.err || len < WIRE_PAYLOAD_HDR_LEN)
			return false;
		body = cur_take(&c, len - WIRE_PAYLOAD_HDR_LEN);
		if (type == WIRE_P_NONCE)
			ret->nonce = body;
		/* Protocol and SPI size zero, then the type (section 3.10). */
		if (type == WIRE_P_NOTIFY && body.n > 4 && body.p[1] == 0 &&
		    load_be16(body.p + 2) == WIRE_N_COOKIE)
			ret->cookie = bytes_of(body.p + 4, body.n - 4);
		type = next;
	}
	return !c.err && ret->nonce.n >= WIRE_MIN_NONCE && ret->nonce.n <= WIRE_MAX_NONCE;
}

static void roll(struct ike *ike)
{
	struct cookies *k = &ike->cookies;
	int64_t age = mono_since(ike->now.mono, k->rolled).ns;

	if (k->have && age < dur_s(IKE_COOKIE_SECRET_S).ns)
		return;
	if (!k->have)
		ike->crypto.ops->random(ike->crypto.ctx, k->secret, sizeof(k->secret));
	else
		k->version++;
	ike->crypto.ops->random(ike->crypto.ctx, k->secret[k->version & 1], sizeof(k->secret[0]));
	/* After a long pause the other secret is too old as well. */
	if (k->have && age >= 2 * dur_s(IKE_COOKIE_SECRET_S).ns)
		ike->crypto.ops->random(ike->crypto.ctx, k->secret[(k->version + 1) & 1],
					sizeof(k->secret[0]));
	k->have = true;
	k->rolled = ike->now.mono;
}

static bool make(struct ike *ike, uint32_t version, const struct ike_datagram *d,
		 const struct wire_hdr *h, struct bytes nonce, uint8_t ret[COOKIE_LEN])
{
	uint8_t tail[10], mac[CRYPTO_PRF_MAX];
	struct bytes parts[3] = { nonce, ip_raw(&d->remote.ip), BYTES_OF(tail) };
	struct bytes key = BYTES_OF(ike->cookies.secret[version & 1]);

	store_be16(tail, d->remote.port);
	store_be64(tail + 2, h->spi_i);
	if (ike->crypto.ops->prf(ike->crypto.ctx, CRYPTO_PRF_HMAC_SHA2_256, key, parts, 3, mac))
		return false;
	store_be32(ret, version);
	memcpy(ret + COOKIE_VERSION_LEN, mac, COOKIE_MAC_LEN);
	return true;
}

static bool good(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		 const struct init_request *r)
{
	uint8_t want[COOKIE_LEN];
	uint32_t version;

	if (r->cookie.n != COOKIE_LEN)
		return false;
	version = load_be32(r->cookie.p);
	if (version != ike->cookies.version && version + 1 != ike->cookies.version)
		return false;
	return make(ike, version, d, h, r->nonce, want) && ct_equal(r->cookie, BYTES_OF(want));
}

/* HDR(A,0), N(COOKIE), in the one buffer kept for it. */
static void demand(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct bytes nonce)
{
	struct wire_hdr answer = { .spi_i = h->spi_i,
				   .version = WIRE_IKE_VERSION,
				   .exchange = WIRE_IKE_SA_INIT,
				   .flags = WIRE_FLAG_RESPONSE };
	uint8_t cookie[COOKIE_LEN];
	struct wire_out o;
	struct bytes msg;

	if (ike->stateless.full || !make(ike, ike->cookies.version, d, h, nonce, cookie))
		return;
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &answer);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE, BYTES_OF(cookie));
	if (wire_ike_end(&o, &msg))
		return;
	stateless_send(ike, d, msg);
	count(ike, C_COOKIE_SENT);
}

bool cookie_admit(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h)
{
	struct init_request r;

	if (ike->n_half_open < ike->conf->half_open_cookie)
		return true;
	if (!scan(d, h, &r)) {
		count(ike, C_BAD_INIT);
		return false;
	}
	roll(ike);
	if (good(ike, d, h, &r)) {
		if (ike->n_half_open < ike->conf->half_open_max)
			return true;
		count(ike, C_HALF_OPEN_FULL);
		return false;
	}
	if (r.cookie.n)
		count(ike, C_COOKIE_BAD);
	demand(ike, d, h, r.nonce);
	return false;
}
