/*
 * cookie.c - answering IKE_SA_INIT without memory (RFC 7296 section 2.6, RFC 8019 section 7.1.1).
 *
 *	Cookie = version | info | SipHash(k1, m) | SipHash(k2, m)
 *	info   = zero bits | round | PRF | time
 *	m      = version | info | SPIi | IPi | family | port | Ni
 *
 * The version is four bytes; its lowest bit names one of two secrets k1 | k2, so that a cookie
 * stays good across one change of secret.  The info says which puzzle came with it (PRF 0: none),
 * the how many-th in a row, and when, in seconds since the secret was made: what RFC 8019 section
 * 7.1.1.3 wants to be learnt from a cookie alone.  In m only the nonce, at the end, has a length of
 * its own.  SipHash is a MAC made for short messages; a hash or PRF of libcrypto allocates on every
 * call.  Everything here works on the datagram and on fixed buffers: a flood of IKE_SA_INIT costs
 * two short hashes and one datagram each, no allocation, no state (P6).
 */
#include "ike/internal.h"

enum {
	COOKIE_VERSION_LEN = 4,
	COOKIE_INFO_LEN = 8,
	COOKIE_LEN = COOKIE_VERSION_LEN + COOKIE_INFO_LEN + 2 * 8,
	PUZZLE_LEN = 3,
	NOTIFY_HDR_LEN = WIRE_PAYLOAD_HDR_LEN + 4,
	/* What a payload holds at least, by the parser's rules. */
	MIN_SA = 16,
	MIN_KE = 5,
};

_Static_assert((int)COOKIE_LEN <= (int)IKE_MAX_COOKIE, "RFC 7296 section 2.6");
/* What cookie_scan() lets through is at least as long as the answer: nobody can use us to send a
 * victim more than was sent to us. */
_Static_assert(2 * NOTIFY_HDR_LEN + COOKIE_LEN + PUZZLE_LEN <=
		       3 * WIRE_PAYLOAD_HDR_LEN + MIN_SA + MIN_KE + WIRE_MIN_NONCE,
	       "an answer longer than the shortest request");

static bool scanned_ok(const struct init_request *r)
{
	return r->sa.n >= MIN_SA && r->ke.n >= MIN_KE && r->nonce.n >= WIRE_MIN_NONCE &&
	       r->nonce.n <= WIRE_MAX_NONCE;
}

static void scan_payload(struct init_request *r, uint8_t type, struct bytes body)
{
	switch (type) {
	case WIRE_P_SA: r->sa = body; break;
	case WIRE_P_KE: r->ke = body; break;
	case WIRE_P_NONCE: r->nonce = body; break;
	case WIRE_P_PS: r->solution = body; break;
	case WIRE_P_NOTIFY:
		/* Protocol and SPI size zero, then the type (section 3.10). */
		if (body.n > 4 && body.p[1] == 0 && load_be16(body.p + 2) == WIRE_N_COOKIE)
			r->cookie = bytes_of(body.p + 4, body.n - 4);
		if (body.n > 4 && body.p[1] == 0 && load_be16(body.p + 2) == WIRE_N_SHORTCUT_PROOF)
			r->proof = bytes_of(body.p + 4, body.n - 4);
		break;
	default: break;
	}
}

bool cookie_scan(const struct ike_datagram *d, const struct wire_hdr *h, struct init_request *ret)
{
	struct cur c = cur_of(d->data);
	uint8_t type = h->next;

	*ret = (struct init_request){ 0 };
	cur_take(&c, WIRE_IKE_HDR_LEN);
	for (int i = 0; type != WIRE_P_NONE && i < WIRE_MAX_PAYLOADS && !c.err; i++) {
		uint8_t next = cur_u8(&c);
		uint16_t len;

		cur_u8(&c);
		len = cur_u16(&c);
		if (c.err || len < WIRE_PAYLOAD_HDR_LEN)
			return false;
		scan_payload(ret, type, cur_take(&c, len - WIRE_PAYLOAD_HDR_LEN));
		type = next;
	}
	return !c.err && scanned_ok(ret);
}

static void roll(struct ike *ike)
{
	struct cookies *k = &ike->cookies;
	int64_t age = mono_since(ike->now.mono, k->born[k->version & 1]).ns;

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
	k->born[k->version & 1] = ike->now.mono;
}

static uint64_t mac(const uint8_t key[16], struct bytes m)
{
	const uint64_t k[2] = { load_be64(key), load_be64(key + 8) };

	return siphash(k, m);
}

static uint32_t seconds_of(const struct ike *ike, uint32_t version)
{
	dur_t age = mono_since(ike->now.mono, ike->cookies.born[version & 1]);

	return (uint32_t)(age.ns / dur_s(1).ns);
}

static void make(const struct ike *ike, uint32_t version, uint32_t time,
		 const struct cookie_info *info, const struct ike_datagram *d,
		 const struct wire_hdr *h, struct bytes nonce, uint8_t ret[COOKIE_LEN])
{
	enum { HEAD = COOKIE_VERSION_LEN + COOKIE_INFO_LEN };
	const uint8_t *secret = ike->cookies.secret[version & 1];
	uint8_t buf[HEAD + 8 + sizeof(d->remote.ip.b) + 1 + 2 + WIRE_MAX_NONCE];
	struct wr m = wr_of(buf, sizeof(buf));

	wr_u32(&m, version);
	wr_u8(&m, info->bits);
	wr_u8(&m, info->round);
	wr_u16(&m, info->prf);
	wr_u32(&m, time);
	wr_u64(&m, h->spi_i);
	wr_put(&m, BYTES_OF(d->remote.ip.b));
	wr_u8(&m, d->remote.ip.family);
	wr_u16(&m, d->remote.port);
	wr_put(&m, nonce); /* cookie_scan() saw that it fits */
	memcpy(ret, buf, HEAD);
	store_be64(ret + HEAD, mac(secret, wr_bytes_of(&m)));
	store_be64(ret + HEAD + 8, mac(secret + 16, wr_bytes_of(&m)));
}

bool cookie_good(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		 const struct init_request *r, struct cookie_info *ret)
{
	const uint8_t *p = r->cookie.p;
	struct cookie_info info;
	uint8_t want[COOKIE_LEN];
	uint32_t version, time;

	roll(ike);
	if (r->cookie.n != COOKIE_LEN)
		return false;
	version = load_be32(p);
	if (version != ike->cookies.version && version + 1 != ike->cookies.version)
		return false;
	info = (struct cookie_info){ .bits = p[4],
				     .round = p[5],
				     .prf = load_be16(p + 6),
				     .tag = load_be64(p + COOKIE_LEN - 8) };
	time = load_be32(p + 8);
	make(ike, version, time, &info, d, h, r->nonce, want);
	if (!ct_equal(r->cookie, BYTES_OF(want)))
		return false;
	info.age = seconds_of(ike, version) - time;
	*ret = info;
	return true;
}

/* HDR(A,0), N(COOKIE) [, N(PUZZLE)], in the one buffer kept for it. */
void cookie_demand(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct bytes nonce, const struct cookie_info *puzzle)
{
	struct wire_hdr answer = { .spi_i = h->spi_i,
				   .version = WIRE_IKE_VERSION,
				   .exchange = WIRE_IKE_SA_INIT,
				   .flags = WIRE_FLAG_RESPONSE };
	uint32_t version;
	uint8_t cookie[COOKIE_LEN], data[PUZZLE_LEN];
	struct wire_out o;
	struct bytes msg;

	if (ike->stateless.full)
		return;
	roll(ike);
	version = ike->cookies.version;
	make(ike, version, seconds_of(ike, version), puzzle, d, h, nonce, cookie);
	wire_ike_begin(&o, ike->stateless.buf, sizeof(ike->stateless.buf), &answer);
	wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_COOKIE, BYTES_OF(cookie));
	if (puzzle->prf) {
		store_be16(data, puzzle->prf);
		data[2] = puzzle->bits;
		wire_put_notify(&o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_PUZZLE,
				BYTES_OF(data));
	}
	if (wire_ike_end(&o, &msg))
		return;
	stateless_send(ike, d, msg);
	count(ike, puzzle->prf ? C_PUZZLE_SENT : C_COOKIE_SENT);
}
