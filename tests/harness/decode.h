/*
 * decode.h - datagrams of the harness as values and as text.
 *
 * The keys come from the KEYS outputs of the nodes in a world, so a test can open what two engines
 * say to each other, change it and seal it again under the same keys: what an authenticated but
 * broken peer would send.
 */
#pragma once

#include "harness/harness.h"
#include "harness/textbuf.h"
#include "wire/ike/wire_ike.h"

struct opened {
	struct arena mem;
	struct wire_ike_msg msg; /* views into the packet */
	bool sealed; /* has SK */
	bool open; /* and it could be decrypted */
	uint8_t first; /* type of the first payload inside */
	struct bytes plain; /* the payload chain inside, or a fragment's piece, without padding */
	struct wire_payloads inner; /* of a fragment of several: nothing */
	const struct world_keys *keys;
};

/* False when the datagram is no IKE message; `sealed && !open` when no key fits.  The packet must
 * outlive the value. opened_done() in every case. */
bool packet_open(struct world *w, const struct packet *p, struct opened *ret);
void opened_done(struct opened *o);

/* The payloads to look at: inside SK when there is one. */
const struct wire_payloads *opened_payloads(const struct opened *o);

/* Changes a payload chain: `*first` is the type of its first payload, `chain` has `*n` of `cap`
 * bytes. */
typedef void packet_edit_fn(void *ctx, uint8_t *first, uint8_t *chain, size_t *n, size_t cap);

/* A new datagram in the queue, right behind `p` (at the end when `p` is a kept one), with the chain
 * inside SK edited and sealed again under another IV.  `p` must be one that packet_open() opens. */
struct packet *packet_reseal(struct world *w, const struct packet *p, packet_edit_fn *edit,
			     void *ctx);

/* A message that the sender of `like` could have sent in the same IKE SA: another exchange, another
 * id, these payloads, sealed when there are keys. */
struct packet *packet_like(struct world *w, const struct packet *like, uint8_t exchange,
			   bool response, uint32_t msgid, uint8_t first, struct bytes chain);

/* The same as packet_reseal() for a clear message. */
struct packet *packet_rewrite(struct world *w, const struct packet *p, packet_edit_fn *edit,
			      void *ctx);

/* Offset of the first payload of that type in a chain, SIZE_MAX when there is none. */
size_t chain_find(uint8_t first, const uint8_t *chain, size_t n, uint8_t type);
/* Takes a payload out. */
void chain_remove(uint8_t *first, uint8_t *chain, size_t *n, uint8_t type);
/* Appends a payload. */
void chain_append(uint8_t *first, uint8_t *chain, size_t *n, size_t cap, uint8_t type,
		  bool critical, struct bytes body);

/* One datagram as readable lines, ended by a newline. */
void decode_packet(struct world *w, const struct packet *p, struct text_buf *t);
