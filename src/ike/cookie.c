/*
 * cookie.c - answering IKE_SA_INIT without memory (RFC 7296 section 2.6).
 *
 *	Cookie = version | SipHash(k1, m) | SipHash(k2, m),  m = SPIi | IPi | family | port | Ni
 *
 * The version is four bytes; its lowest bit names one of two secrets k1 | k2, so that a cookie
 * stays good across one change of secret.  In m only the nonce, at the end, has a length of its
 * own.  SipHash is a MAC made for short messages; a hash or PRF of libcrypto allocates on every
 * call.  Everything here works on the datagram and on fixed buffers: a flood of IKE_SA_INIT costs
 * two short hashes and one datagram each, no allocation, no state (P6).
 */
#include "ike/internal.h"

enum {
	COOKIE_VERSION_LEN = 4,
	COOKIE_LEN = COOKIE_VERSION_LEN + 2 * 8,
};

/* What a request says that a cookie is about. */
struct init_request {
	struct bytes cookie; /* empty: none */
	struct bytes nonce;
};

/* What scan() lets through is at least as long as the answer: nobody can use us to send a victim
 * more than was sent to us. */
_Static_assert(WIRE_PAYLOAD_HDR_LEN + 4 + COOKIE_LEN <= 3 * WIRE_PAYLOAD_HDR_LEN + WIRE_MIN_NONCE,
	       "a cookie longer than the shortest request");

/* A bounded walk over the clear chain; the full parser runs only after admission. */
static bool scan(const struct ike_datagram *d, const struct wire_hdr *h, struct init_request *ret)
{
	const uint64_t required =
		WIRE_BIT(WIRE_P_SA) | WIRE_BIT(WIRE_P_KE) | WIRE_BIT(WIRE_P_NONCE);
	struct cur c = cur_of(d->data);
	uint8_t type = h->next;
	uint64_t present = 0;

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
		if (type < 64)
			present |= WIRE_BIT(type);
		if (type == WIRE_P_NONCE)
			ret->nonce = body;
		/* Protocol and SPI size zero, then the type (section 3.10). */
		if (type == WIRE_P_NOTIFY && body.n > 4 && body.p[1] == 0 &&
		    load_be16(body.p + 2) == WIRE_N_COOKIE)
			ret->cookie = bytes_of(body.p + 4, body.n - 4);
		type = next;
	}
	return !c.err && (present & required) == required && ret->nonce.n >= WIRE_MIN_NONCE &&
	       ret->nonce.n <= WIRE_MAX_NONCE;
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

static uint64_t mac(const uint8_t key[16], struct bytes m)
{
	const uint64_t k[2] = { load_be64(key), load_be64(key + 8) };

	return siphash(k, m);
}

static void make(const struct ike *ike, uint32_t version, const struct ike_datagram *d,
		 const struct wire_hdr *h, struct bytes nonce, uint8_t ret[COOKIE_LEN])
{
	const uint8_t *secret = ike->cookies.secret[version & 1];
	uint8_t buf[8 + sizeof(d->remote.ip.b) + 1 + 2 + WIRE_MAX_NONCE];
	struct wr m = wr_of(buf, sizeof(buf));

	wr_u64(&m, h->spi_i);
	wr_put(&m, BYTES_OF(d->remote.ip.b));
	wr_u8(&m, d->remote.ip.family);
	wr_u16(&m, d->remote.port);
	wr_put(&m, nonce); /* scan() saw that it fits */
	store_be32(ret, version);
	store_be64(ret + COOKIE_VERSION_LEN, mac(secret, wr_bytes_of(&m)));
	store_be64(ret + COOKIE_VERSION_LEN + 8, mac(secret + 16, wr_bytes_of(&m)));
}

static bool good(const struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		 const struct init_request *r)
{
	uint8_t want[COOKIE_LEN];
	uint32_t version;

	if (r->cookie.n != COOKIE_LEN)
		return false;
	version = load_be32(r->cookie.p);
	if (version != ike->cookies.version && version + 1 != ike->cookies.version)
		return false;
	make(ike, version, d, h, r->nonce, want);
	return ct_equal(r->cookie, BYTES_OF(want));
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

	if (ike->stateless.full)
		return;
	make(ike, ike->cookies.version, d, h, nonce, cookie);
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &answer);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE, BYTES_OF(cookie));
	if (wire_ike_end(&o, &msg))
		return;
	stateless_send(ike, d, msg);
	count(ike, C_COOKIE_SENT);
}

/* The caller is where it says: whoever looks for the reason finds one, as often as we can afford.
 */
static void overloaded(struct ike *ike, const struct ike_datagram *d)
{
	count(ike, C_HALF_OPEN_FULL);
	if (!stray_allowed(ike))
		return;
	event_emit(ike, NULL, IKE_EV_REFUSED,
		   (struct event_about){
			   .local = &d->local, .remote = &d->remote, .reason = IKE_R_OVERLOAD },
		   "IKE_SA_INIT dropped: %zu other callers have not said who they are yet",
		   ike->n_half_open);
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
		overloaded(ike, d);
		return false;
	}
	if (r.cookie.n)
		count(ike, C_COOKIE_BAD);
	demand(ike, d, h, r.nonce);
	return false;
}
