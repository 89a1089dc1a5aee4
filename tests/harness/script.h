/*
 * script.h - a peer that says whatever the test wants, inside valid encryption.
 *
 * It has an address of its own, derives keys and AUTH by RFC 7296 sections 2.13 to 2.17 on its own
 * (a second implementation on purpose: it does not share code with the engine above crypto.h), and
 * has no opinion: it never answers, retransmits or refuses by itself.
 *
 *	struct script s;
 *	script_init(&s, w, "192.0.2.9", node, true);
 *	script_sa_init(&s);               IKE_SA_INIT request into the queue
 *	world_deliver(w, world_packet(w, 0));
 *	script_take(&s);                  its answer, opened; keys are there now
 *	script_begin(&s, WIRE_IKE_AUTH, false);
 *	wire_put_id(&s.out, …); script_put_auth(&s); …
 *	script_send(&s);
 *
 * As responder: script_take() the request, script_answer_init(), and so on.
 */
#pragma once

#include "harness/harness.h"
#include "wire/ike/wire_ike.h"

enum {
	SCRIPT_MESSAGE = 16384,
};

struct script {
	struct world *w;
	struct node *node; /* the other end */
	struct endpoint self;
	struct endpoint other;
	struct crypto_fake *fake;
	struct crypto crypto;
	struct arena mem; /* of everything that lives as long as the script */

	bool initiator;
	uint64_t spi_i, spi_r;
	struct policy_suite suite; /* set before keys are derived */
	uint8_t nonce_i[WIRE_MAX_NONCE], nonce_r[WIRE_MAX_NONCE];
	size_t n_nonce_i, n_nonce_r;
	uint8_t pub[CRYPTO_KE_PUBLIC_MAX];
	size_t n_pub;
	struct secret priv;
	bool keyed;
	struct crypto_key send, recv;
	struct secret sk_d, sk_pi, sk_pr;
	uint64_t iv;
	struct bytes init_i, init_r; /* the messages that AUTH signs */
	uint32_t next_send; /* message id of its next request */

	/* What it is and wants; set by script_init(), to be changed at will. */
	const char *ike; /* proposal keywords */
	const char *esp;
	const char *id;
	const char *ts_i, *ts_r; /* as initiator */
	crypto_ref psk;
	uint32_t spi_esp;
	bool nat_detection;
	bool use_ppk; /* says USE_PPK in IKE_SA_INIT (RFC 8784); off */
	bool mobike; /* says MOBIKE_SUPPORTED in IKE_AUTH; off */
	bool fragmentation; /* says in IKE_SA_INIT that it takes fragments; off */
	bool redirects; /* says REDIRECT_SUPPORTED there; off */
	struct bytes proof; /* SHORTCUT_PROOF that it says there; p NULL: none */
	struct bytes vendor; /* a Vendor ID that it says there; p NULL: none */
	struct bytes redirected_from; /* says that, with this data; p NULL: does not */
	struct bytes cookie;
	struct bytes solution; /* of the puzzle that came with it, or with IKE_SA_INIT's answer */

	/* The last message taken. */
	struct arena rx;
	struct packet *packet;
	struct wire_ike_msg msg;
	struct wire_payloads in; /* clear or inner */
	bool opened; /* authentic */

	/* The message being written. */
	uint8_t buf[SCRIPT_MESSAGE];
	struct wire_out out;
	bool sealed;
};

void script_init(struct script *s, struct world *w, const char *self, struct node *node,
		 bool initiator);
void script_done(struct script *s);

/* ---- receiving ----------------------------------------------------------------------------- */

/* Takes the oldest datagram to the script's address out of the queue, parses and opens it. False:
 * there is none.  After an IKE_SA_INIT response to its own request the keys are derived. */
bool script_take(struct script *s);
/* Notify of that type in the last message, or NULL. */
const struct wire_notify *script_notify(const struct script *s, uint16_t type);

/* Whether the AUTH in the last message is what the script computes for that pre-shared key. */
bool script_check_auth(struct script *s);
/* Whether the node's only child has the keys that follow from this IKE SA (section 2.17). */
bool script_check_child(struct script *s);

/* ---- IKE_SA_INIT --------------------------------------------------------------------------- */

/* The request as an ordinary initiator would send it. */
void script_sa_init(struct script *s);
/* The answer to the request taken last; derives the keys. */
void script_answer_init(struct script *s);
/* Nonce, key pair and SPI are made; before, for scripts that want to change them. */
void script_prepare(struct script *s);

/* ---- writing ------------------------------------------------------------------------------- */

/* Begins a message: encrypted once there are keys, except IKE_SA_INIT. A request takes the next
 * id, a response that of the last message taken. */
void script_begin(struct script *s, uint8_t exchange, bool response);
void script_begin_id(struct script *s, uint8_t exchange, bool response, uint32_t msgid);
void script_begin_clear(struct script *s, uint8_t exchange, bool response, uint32_t msgid);
/* A message of one fragment, instead of any payloads; needs keys. */
void script_begin_fragment(struct script *s, uint8_t exchange, bool response, uint32_t msgid,
			   const struct wire_fragment *f);
/* Payloads of IKE_AUTH. */
void script_put_id(struct script *s);
void script_put_auth(struct script *s);
/* The same data as NO_PPK_AUTH. */
void script_put_plain_auth(struct script *s);
void script_put_sa(struct script *s, const char *esp, uint32_t spi);
void script_put_ts(struct script *s, const char *ts_i, const char *ts_r);
/* All of an ordinary IKE_AUTH request, or of the answer to one. */
void script_put_auth_request(struct script *s);
/* Seals and puts it into the queue. */
struct packet *script_send(struct script *s);
/* The ordinary answer to the IKE_AUTH request taken last, into the queue. */
void script_answer_auth(struct script *s);

/* ---- whole conversations, for tests of what comes after ------------------------------------- */

/* As initiator: up to an established SA with a child; ends the process if the node refuses. */
void script_connect(struct script *s);
/* Delivers what is under way to the node and takes its answer: false when there is none. */
bool script_exchange(struct script *s);
