/*
 * Inbound ESP.  The first byte chooses: 0, the rest is a packet off the wire; else the rest is a
 * plaintext with its trailer that a peer who has the keys sealed, so that what lies behind the ICV
 * is reached as well.
 */
#include <stdlib.h>

#include "esp/esp.h"

#define SPI 0x1000

enum { HEAD = ESP_HDR_LEN + ESP_IV_LEN, ICV = 16 }; /* of AES-GCM */

static struct esp_in *in;
static struct esp_ts *ts;
static struct bulk_key *key;
static uint64_t seq;

static void set_up(void)
{
	struct esp_keys k = { .cipher = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE } };
	const struct wire_ts any = { 0, 0, 65535, { .family = 4 }, { 4, { 255, 255, 255, 255 } } };
	const struct wire_ts_list list = { &any, 1, 0 };

	k.encr.n = 20;
	if (esp_in_new(&mem_libc, SPI, &k, true, 64, &in) ||
	    bulk_key_new(&mem_libc, k.cipher, bytes_of(k.encr.b, 16), bytes_of(NULL, 0), &key) ||
	    esp_ts_new(&mem_libc, &list, &list, &ts))
		abort();
}

/* As the peer does it: the next number, the IV any eight bytes. */
static void seal(uint8_t *packet, size_t n)
{
	struct bulk_op op = { .key = key, .data = packet + HEAD, .aad_len = 12 };

	store_be32(packet, SPI);
	store_be32(packet + 4, (uint32_t)++seq);
	store_be64(packet + 8, seq);
	store_be32(op.aad, SPI);
	store_be64(op.aad + 4, seq);
	store_be64(op.nonce + 4, seq);
	op.n = (uint32_t)n;
	op.icv = op.data + n;
	bulk_seal(&op, 1);
}

static void receive(uint8_t *packet, size_t n)
{
	struct esp_in_pkt pkt;
	struct bulk_op op;
	struct wire_ip ip;
	struct bytes inner;

	if (esp_in_prepare(in, packet, n, &pkt, &op))
		return;
	bulk_open(&op, 1);
	if (esp_in_finish(in, &pkt, op.ok, &ip, &inner))
		return;
	if (inner.n > op.n || inner.p != op.data)
		abort();
	(void)esp_in_check(ts, &ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *packet;
	size_t n;

	if (!in)
		set_up();
	if (size < 1)
		return 0;
	n = size - 1;
	packet = malloc(HEAD + n + ICV);
	if (!packet)
		return 0;
	if (data[0] == 0) {
		if (n)
			memcpy(packet, data + 1, n);
	} else {
		if (n)
			memcpy(packet + HEAD, data + 1, n);
		seal(packet, n);
		n += HEAD + ICV;
	}
	receive(packet, n);
	free(packet);
	return 0;
}
