#include "signer/internal.h"

#include "wire/ike/wire_ike.h"

enum { MESSAGE_MIN = 28 }; /* the header alone */

static bool prf_len_ok(size_t n, uint16_t prf)
{
	static const uint16_t known[] = { CRYPTO_PRF_HMAC_SHA2_256, CRYPTO_PRF_HMAC_SHA2_384,
					  CRYPTO_PRF_HMAC_SHA2_512 };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t mac = crypto_prf_len(known[i]);

		if ((prf == 0 || prf == known[i]) && n >= mac + SIGNER_NONCE_MIN &&
		    n <= mac + SIGNER_NONCE_MAX)
			return true;
	}
	return false;
}

bool signer_keys_ok(struct bytes keys, uint16_t prf)
{
	size_t n = crypto_prf_len(prf);

	return n > 0 && keys.n == 3 * n;
}

/* The message's own length says where the nonce begins; the parser then holds it against what is
 * left of the octets.  Nothing but a first IKE_SA_INIT has message id 0 and that exchange type. */
bool signer_octets_ok(struct bytes octets, uint16_t prf)
{
	struct cur c = cur_of(octets), head = c;
	enum wire_fault fault;
	struct wire_hdr h;
	size_t n;

	(void)cur_take(&head, MESSAGE_MIN - 4);
	n = cur_u32(&head);
	if (head.err || n < MESSAGE_MIN || n > SIGNER_MESSAGE_MAX)
		return false;
	if (wire_ike_parse_hdr(cur_take(&c, n), &h, &fault) != ST_OK || c.err)
		return false;
	return h.exchange == WIRE_IKE_SA_INIT && h.msgid == 0 && h.spi_i != 0 &&
	       prf_len_ok(cur_left(&c), prf);
}

/* Debt instead of tokens: nothing to refill, and an idle bucket is full by the passing of time. */
bool signer_rate_take(struct signer_rate *r, mono_t now)
{
	const int64_t one = dur_s(1).ns / SIGNER_PER_S;
	int64_t passed = mono_since(now, r->at).ns;

	if (passed > 0)
		r->debt_ns = passed > r->debt_ns ? 0 : r->debt_ns - passed;
	r->at = now;
	if (r->debt_ns > one * (SIGNER_BURST - 1))
		return false;
	r->debt_ns += one;
	return true;
}
