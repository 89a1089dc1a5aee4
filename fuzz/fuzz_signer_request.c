/*
 * Any bytes as what a daemon that somebody took over sends to the signer: a stream of requests.
 * Whatever parses is written back to the same bytes; octets that are let through are an IKE_SA_INIT
 * message, a nonce and a MAC, and nothing shorter is let through by cutting them.
 */
#include <stdlib.h>

#include "signer/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_octets(struct bytes o, uint16_t prf)
{
	size_t n;

	if (!signer_octets_ok(o, prf))
		return;
	n = load_be32(o.p + 24);
	require(n >= 28 && n < o.n && o.n - n >= 16 + 32 && o.n - n <= 256 + 64);
	require(o.p[17] >> 4 == 2 && o.p[18] == 34 && load_be32(o.p + 20) == 0);
	require(!signer_octets_ok(bytes_of(o.p, n), prf));
	require(signer_octets_ok(o, 0));
}

static void check_request(struct bytes frame)
{
	struct signer_request r;
	struct bytes again;

	if (signer_parse_request(frame, &r) != ST_OK)
		return;
	require(!memchr(r.path.n ? r.path.p : frame.p, 0, r.path.n));
	require(signer_make_request(&r, &again) == ST_OK);
	require(bytes_eq(bytes_of(again.p + 4, again.n - 4), frame));
	free((void *)(uintptr_t)again.p);
	check_octets(r.octets, r.prf);
	if (signer_keys_ok(r.octets, r.prf))
		require(r.octets.n == 3 * crypto_prf_len(r.prf));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes stream = { data, size }, frame;
	size_t used;

	check_octets(stream, 0);
	while (signer_frame(stream, SIGNER_REQUEST_MAX, &frame, &used) == ST_OK) {
		require(used == frame.n + 4 && used <= stream.n);
		check_request(frame);
		stream = bytes_of(stream.p + used, stream.n - used);
	}
	return 0;
}
