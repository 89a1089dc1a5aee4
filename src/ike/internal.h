/*
 * internal.h - the engine's own structures.  Only src/ike/ includes it.
 *
 * Reading order: engine.c (entries), dispatch.c (which row takes a message), table.c (the rows),
 * init_i.c, init_r.c, admit.c (who gets that far), crowd.c, load.c, auth_i.c, auth_r.c, agree.c
 * (terms of a child), info.c (the exchanges), agenda.c (what an SA does next), child.c, peer.c (who
 * we want to be connected to), liveness.c (is it still there), member.c (who is connected to us,
 * and what it may source), lookup.c, reload.c, words.c (what upper modules say).
 */
#pragma once

#include "ike/counters.h"
#include "ike/ike.h"
#include "ike/limits.h"

#include <stdio.h>

struct ike_sa;
struct ask;
struct attempt;
struct child;
struct create;
struct inner;
struct leases;
struct moving;
struct partner;
struct peer;
struct qcd_token;
struct reassembly;
struct rx;

/* `kind` of the timers. */
enum timer_kind {
	TIMER_RETRANSMIT,
	TIMER_ALIVE,
	TIMER_REAP,
	TIMER_RETRY,
	TIMER_LIFE,
	TIMER_CHILD,
	TIMER_REASSEMBLY,
	TIMER_LOAD,
	TIMER_NETWORK,
	TIMER_ASKED,
	TIMER_PARTNER,
	TIMER_ATTACH,
};

/* How often something happened in the second under way. */
struct per_second {
	mono_t since;
	unsigned n;
};

/* ---- outputs (out.c) --------------------------------------------------------------------- */

/*
 * Outputs under construction.  Errors are sticky: when an item cannot be made, `failed` is set and
 * whoever wants to commit sees it once, before changing anything.  Items go to the engine's own
 * outbox with outbox_commit(), or away with outbox_drop().
 */
struct outbox {
	const struct alloc *mem;
	struct list items;
	bool failed;
};

struct out_item {
	struct list node;
	struct arena mem;
	struct ike_out out;
};

void outbox_init(struct outbox *ob, const struct alloc *mem);
void outbox_drop(struct outbox *ob);
/* Moves everything behind what the engine has; empty afterwards. */
void outbox_commit(struct ike *ike, struct outbox *ob);
/* A new item of that kind, with an arena of its own; NULL when failed. */
struct out_item *outbox_add(struct outbox *ob, enum ike_out_kind kind);

/* ---- message-id window (window.c) -------------------------------------------------------- */

/*
 * Window size is one in both directions (RFC 7296 section 2.3).  Invariants:
 *	next_send	id of our next new request; a request in flight has next_send - 1
 *	next_recv	id the peer's next new request must have
 *	response	our answer to next_recv - 1, while it can still be asked for
 */
struct window {
	uint32_t next_send;
	uint32_t next_recv;
	struct bytes request; /* in flight, owned; empty: none */
	struct bytes response; /* owned */
	uint64_t request_hash; /* of the request that `response` answers, or that is in progress */
	uint8_t request_exchange;
	uint8_t tries;
	uint8_t max_tries;
	uint8_t repeats; /* times that `response` was asked for again */
	uint8_t said; /* again, in the second of which these are the last bits */
	uint8_t second;
	/* Times that the request in flight went out on top of its schedule, because it is to tell
	 * soon whether the peer is still there (liveness.c); 0: it is not. */
	uint8_t quick;
	bool in_progress : 1; /* request next_recv is being worked on (a job is outstanding) */
	bool deleting : 1; /* the request in flight is our DELETE of the IKE SA */
	bool probe : 1; /* it is there to see whether its size gets through (mtu_search.c) */
	bool cut : 1; /* such a request, which goes in fragments by now: it did not */
};

enum window_class {
	WIN_NEW_REQUEST,
	WIN_REPEATED, /* same id and content as the request answered last, or in progress */
	WIN_OLD,
	WIN_FUTURE,
	WIN_FORGED, /* same id as the last request, other content */
	WIN_RESPONSE, /* to our request in flight */
	WIN_STRAY, /* a response to nothing in flight */
};

enum window_class window_classify(const struct window *w, const struct wire_hdr *h, uint64_t hash);
void window_done(struct window *w, const struct alloc *mem);

/* ---- keys (keys.c) ----------------------------------------------------------------------- */

/* Keys of an IKE SA for as long as it lives (section 2.14), in the space they take: a hub has
 * thousands. */
struct sa_keys {
	struct crypto_cipher cipher;
	bool initiator; /* we are the original initiator: we send with SK_ei/SK_ai */
	uint8_t d_len;
	uint16_t n;
	uint8_t *mat; /* owned: SK_d | SK_ai | SK_ar | SK_ei | SK_er */
	uint64_t out_iv; /* next explicit IV; never repeats under one key */
};

struct handshake_keys {
	struct secret pi;
	struct secret pr;
};

struct nonces {
	struct bytes i;
	struct bytes r;
};

MUST enum status keys_derive(const struct alloc *mem, const struct crypto *c,
			     const struct policy_suite *suite, const struct nonces *nonces,
			     struct bytes shared, uint64_t spi_i, uint64_t spi_r, bool initiator,
			     struct sa_keys *ret_keys, struct handshake_keys *ret_hs);

/* What the keys of an IKE SA are made of that takes the place of another (section 2.18). */
struct rekey_seed {
	struct bytes sk_d; /* of the old one */
	uint16_t prf; /* of the old one */
	struct bytes shared;
	struct nonces nonces;
	uint64_t spi_i, spi_r; /* of the new one */
	bool initiator; /* of the exchange, and so of the new one */
};

MUST enum status keys_rekey(const struct alloc *mem, const struct crypto *c,
			    const struct policy_suite *suite, const struct rekey_seed *seed,
			    struct sa_keys *ret_keys);
void keys_done(struct sa_keys *k, const struct alloc *mem);
struct bytes keys_d(const struct sa_keys *k);
/* SK_d with a PPK takes the place of the one without (RFC 8784 section 3). */
void keys_use_d(struct sa_keys *k, const struct secret *d);
/* What we send with, or what the peer does; wipe() it. */
struct crypto_key keys_out(const struct sa_keys *k);
struct crypto_key keys_in(const struct sa_keys *k);
/* The KEYS output of an SA, for a key log. */
void keys_emit(struct ike *ike, const struct ike_sa *sa);
/* Child keys, section 2.17: KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr); `shared` is empty without PFS;
 * `initiator` of the exchange that creates the child. */
MUST enum status keys_child(const struct crypto *c, uint16_t prf, struct bytes sk_d,
			    struct bytes shared, const struct nonces *nonces,
			    const struct policy_suite *suite, bool initiator,
			    struct esp_keys *ret_in, struct esp_keys *ret_out);
/* InitiatorSignedOctets or ResponderSignedOctets (section 2.15) into arena memory. */
MUST enum status keys_signed_octets(const struct crypto *c, uint16_t prf, struct arena *ar,
				    struct bytes real_message, struct bytes peer_nonce,
				    const struct secret *sk_p, struct bytes id_body,
				    struct bytes *ret_octets);

/* SHA-1 of SPIs, an address and a port (RFC 7296 section 2.23). */
enum { NATD_LEN = 20 };

/* ---- path (path.c) ----------------------------------------------------------------------- */

struct path {
	struct endpoint local;
	struct endpoint remote;
	bool floated : 1; /* on the NAT-traversal port: marker in front of IKE */
	bool encap : 1; /* and ESP in UDP */
	bool always : 1; /* on that port from the first message on, so whatever NATs there are */
	bool natt : 1; /* the other end does NAT traversal */
	bool nat_local : 1; /* a NAT changes our address */
	bool nat_remote : 1; /* a NAT (or a foreign peer that pretends one) changes theirs */
	bool forced : 1; /* no NAT, but the peer asks for encapsulation as natd_put() does */
	bool fragments : 1; /* both ends take fragments (RFC 7383) */
	/* Largest IP packet for fragments, as far as our tries in vain, or the sizes that the peer
	 * chose, tell; 0: nothing is known.  See path_limit(). */
	uint16_t limit;
};

/* ---- what an SA still has to do (agenda.c) ------------------------------------------------ */

/* Something that is wanted of an exchange of ours, until one brought it. */
struct wish {
	mono_t after; /* not before: the last try failed */
	mono_t refused_since; /* TEMPORARY_FAILURE, again and again; 0: not now */
	uint8_t failures;
	bool on;
};

/* Wishes are idempotent; each is carried out as soon as the window is free, and again, after a
 * pause, until it was granted or makes no sense any more. */

/* Another child shall take its place. */
void child_want_rekey(struct ike *ike, struct child *c);
/* It carries nothing from now on; the peer hears of it. */
void child_want_delete(struct ike *ike, struct child *c, const char *why);
/* Another IKE SA shall take its place, with its children. */
void sa_want_rekey(struct ike *ike, struct ike_sa *sa);
/* One more child, with the selectors of its section. */
void sa_want_child(struct ike *ike, struct ike_sa *sa);

/* The SA may have something to do now: looked at when the entry under way is over. */
void agenda_soon(struct ike *ike, struct ike_sa *sa);
void agenda_run(struct ike *ike);
bool wish_due(const struct ike *ike, const struct wish *w);
/* The next try comes after a pause that grows. */
void wish_failed(struct ike *ike, struct wish *w);
void wish_granted(struct wish *w);

/* ---- path MTU (pmtu.c) ------------------------------------------------------------------- */

/* A remote address of whose path MTU we know something. */
struct path_mtu {
	struct map_node by_addr;
	struct list node; /* oldest first */
	struct ip ip;
	uint16_t mtu;
	uint16_t
		told; /* what ICMP, or our own stack, said last; 0: nothing since the last search */
	uint16_t most; /* what the data plane would send at most, when we searched */
	bool searched; /* `mtu` is what came of that, */
	bool assumed; /* or what nearly every path carries, where nobody could be asked */
	mono_t until;
	mono_t doubted; /* for want of an answer to anything, last time */
};

struct path_mtus {
	struct map map;
	struct list list;
	size_t n;
};

void path_mtus_init(struct ike *ike, const uint64_t key[2]);
void path_mtus_done(struct ike *ike);
/* The path to `remote` carries IP packets of `mtu` bytes: requests under way that are larger go
 * again, smaller.  `ours`: our own stack says so, and is right. */
void path_mtu_learn(struct ike *ike, const struct ip *remote, uint16_t mtu, bool ours);
/* A search came to that: counts until the next one, or until ICMP says something smaller. NULL: no
 * memory for keeping it. */
struct path_mtu *path_mtu_searched(struct ike *ike, const struct ip *remote, uint16_t mtu);
/* NULL: nothing is known. */
struct path_mtu *path_mtu_of(const struct ike *ike, const struct ip *remote);
/* What was known was known of another way, or is to be known no more. */
void path_mtu_forget(struct ike *ike, const struct ip *remote);
/* The largest IP packet a fragment may be in on that path. */
size_t path_limit(struct ike *ike, const struct path *path);
/* What IP and UDP put around an IKE message there. */
size_t path_overhead(const struct path *path);

/* ---- the search for a path MTU (mtu_search.c) -------------------------------------------- */

struct mtu_search {
	struct list node; /* of ike->searches */
	struct ike_sa *sa;
	struct ip remote;
	uint16_t most; /* nobody wants to send more */
	uint16_t good; /* gets through, as far as we know */
	uint16_t bad; /* does not; or nobody cares */
	uint16_t size; /* of the probe in flight, or of the next one */
	uint8_t tries; /* of that size, in vain */
	bool stalled; /* there is reason to believe that it does not */
	bool named; /* ICMP says that it does, and nothing larger */
	bool proven; /* a probe of ours of size `good` was answered */
	bool told; /* the data plane goes by what is known so far */
};

/* DP_REPORT_PROBE */
void mtu_search_wanted(struct ike *ike, const struct dp_report *r);
/* Traffic has no answer: is it its size? */
void mtu_search_doubt(struct ike *ike, struct ike_sa *sa);
/* The window is free: the next probe.  False: no memory. */
bool mtu_search_go_on(struct ike *ike, struct ike_sa *sa);
/* A probe was answered: `whole`, or when it was in pieces. */
void mtu_search_answered(struct ike *ike, struct ike_sa *sa, bool whole);
/* It goes on with another SA, which took the place of `from`. */
void mtu_search_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to);
/* It has another path. */
void mtu_search_moved(struct ike *ike, struct ike_sa *sa);
/* Nothing comes of it: the SA is no more what it was. */
void mtu_search_end(struct ike *ike, struct ike_sa *sa);

/* ---- children (child.c, child_dp.c) ------------------------------------------------------- */

enum child_state {
	CHILD_UP,
	CHILD_REPLACED, /* another one takes its place: goes with its Delete */
	/* Out of its SA's children, among those that are leaving: */
	CHILD_DOOMED, /* the peer has to be told */
	CHILD_DELETING, /* our Delete is in flight */
	CHILD_LINGERING, /* gone for IKE; receives what was under way when it was replaced */
};

struct child {
	struct list node; /* of its SA */
	struct map_node by_id;
	struct map_node by_spi;
	struct map_node by_op; /* outstanding ADD, QUIET, QUERY or ADDRESS */
	dp_child_id id;
	uint64_t op; /* 0: none outstanding */
	struct ike_sa *sa;
	uint32_t spi_in;
	uint32_t spi_out;
	struct policy_suite suite;
	uint16_t draw; /* see life.c */
	struct wire_ts_list ts_local; /* owned */
	struct wire_ts_list ts_remote;
	mono_t created;
	mono_t unproven; /* until then the peer, who asked for it, may still wait for our answer */
	struct wish rekey;
	dp_child_id successor; /* REPLACED: the child that takes its place */
	struct timer timer; /* UP: its lifetime; else how long it may stay */
	enum dp_op_kind op_kind : 8; /* of `op` */
	enum child_state state : 8;
	bool maker : 1; /* we began the exchange that made it */
	bool installed : 1;
	bool in_dp : 1; /* the data plane has it, or will have */
	bool sends : 1; /* the data plane is to send on it, */
	bool told : 1; /* and was told so */
	bool strayed : 1; /* the data plane does not know yet where its SA has moved to */
	bool waits : 1; /* of IKE_AUTH: until the peer has our answer, or its other SA ends */
	bool ours : 1; /* REPLACED: we asked for the successor, so we delete it */
	bool lingers : 1; /* leaving because it was replaced */
	bool announced : 1; /* the operator heard of it */
	bool claims : 1; /* its remote prefixes are in the table of claims */
	bool counts : 1; /* the data plane knows when it was used last, */
	bool unsaid : 1; /* was asked because it is being replaced, and has not answered */
};

/* What was negotiated; views may be temporary, child_new() copies. */
struct child_params {
	ike_peer_id peer;
	struct policy_suite suite;
	uint32_t spi_in;
	uint32_t spi_out;
	bool defers; /* only receives, until child_send() */
	bool waits; /* only receives, until the peer has our answer, or its other SA ends */
	/* By child_make(): only receives for now (partner_holds()), and as in struct dp_child. */
	bool held, proves, flows, counts, direct;
	struct wire_ts_list relayed; /* the configuration's */
	bool represents; /* a hub, which has its prefixes on behalf of members: no claims */
	struct wire_ts_list ts_local;
	struct wire_ts_list ts_remote;
	struct esp_keys in;
	struct esp_keys out;
	const struct ike_life *life;
	bool maker;
};

/* Where the keys of a child come from. */
struct child_seed {
	struct bytes shared; /* of its own key exchange; empty: none (no PFS) */
	struct nonces nonces; /* of the exchange that creates it */
	bool initiator; /* of that exchange */
};

/* A fresh inbound SPI, not in use. */
uint32_t child_pick_spi(struct ike *ike);
/* Makes the child with its keys, its claims and its DP operation (in `ob`) out of what was agreed;
 * nothing is linked before child_link().  `peer`: whose it will be. */
MUST enum status child_make(struct ike *ike, struct ike_sa *sa, struct peer *peer,
			    struct child_params *p, const struct child_seed *seed,
			    struct outbox *ob, struct child **ret_child);
/* The same with keys that are in `p` already, and no claims. */
MUST enum status child_new(struct ike *ike, struct ike_sa *sa, const struct child_params *p,
			   struct outbox *ob, struct child **ret_child);
void child_free(struct ike *ike, struct child *c); /* never linked */
void child_link(struct ike *ike, struct child *c);
/* Unlinks, frees, tells the data plane and the operator (`why` NULL: nobody). */
void child_remove(struct ike *ike, struct child *c, const char *why);
/* The same, while its SA goes on: other children may have to send in its place. */
void child_lost(struct ike *ike, struct child *c, const char *why);
/* The peer does not know yet that it goes; it carries nothing from now on, or, when it was replaced
 * (`why` NULL), receives what is still under way. */
void child_doom(struct ike *ike, struct child *c, const char *why);
/* The peer knows: gone, or lingering. */
void child_over(struct ike *ike, struct child *c);
/* Their IKE SA ends, and their traffic goes another way: none of them sends any more, and they
 * hear what the peer has under way, for a while. */
void children_farewell(struct ike *ike, struct ike_sa *sa, const char *why);
/* `by` takes its place, as soon as it may. */
void child_replace(struct ike *ike, struct child *c, const struct child *by, bool ours);
/* That the data plane is to send on it, or to pause.  False: no memory for telling. */
bool child_tell_sends(struct ike *ike, struct child *c);
/* The same of all of an SA, now or as soon as there is memory. */
void children_tell(struct ike *ike, struct ike_sa *sa);
/* One dummy packet on it, if there is memory for saying so. */
void child_dummy(struct ike *ike, const struct child *c);
/* The peer has our IKE_AUTH answer: those that waited to know that send from now on. */
void children_answered(struct ike *ike, struct ike_sa *sa);
/* Before an SA ends that another one has the traffic of, if there is one: what is under way on its
 * children still comes in, as on those that were rekeyed. */
void children_hand_over(struct ike *ike, struct ike_sa *sa, const char *why);
/* An SA has lost all of them. */
void children_gone(struct ike *ike, struct ike_sa *sa);
/* Its successor sends from now on. */
void child_switch(struct ike *ike, struct child *c);
/* We made it for the peer, which may not have our answer yet: what we asked about it now could be
 * about a child that it does not know.  Whatever it asks next proves that it does. */
void child_await_proof(struct ike *ike, struct child *c);
bool child_unproven(const struct ike *ike, const struct child *c);
void children_proven(struct ike *ike, struct ike_sa *sa);
/* Whether packets of these selectors have a child to be sent on. */
bool children_carry(const struct ike_sa *sa, const struct wire_ts_list *ts_local,
		    const struct wire_ts_list *ts_remote);
/* The peer's Delete; its SPI goes into the answer (section 1.4.1). */
void child_deleted(struct ike *ike, struct child *c, struct wr *ret_spis);
/* A child that the peer has and we have not: it is told to delete it.  ST_NOMEM: it is not. */
MUST enum status child_disown(struct ike *ike, struct ike_sa *sa, uint32_t spi_in);
void child_timer(struct ike *ike, struct timer *t);
/* It belongs to another SA from now on. */
void child_inherit(struct child *c, struct ike_sa *to);
struct child *child_by_id(struct ike *ike, dp_child_id id);
/* Leaving ones too; NULL: not of this SA. */
struct child *child_by_spi_out(struct ike_sa *sa, uint32_t spi);
void child_report(struct ike *ike, const struct dp_report *r);
void child_query(struct ike *ike, struct child *c);
/* Its SA has moved: the data plane hears of it, as soon as there is memory for that. */
void child_move(struct ike *ike, struct child *c);
/* False: there is none. */
bool child_tell_path(struct ike *ike, struct child *c);
/* Deletions that could not be emitted for want of memory are owed; tries again. */
void child_pay_owed(struct ike *ike);

/* ---- puzzles (puzzle.c) ------------------------------------------------------------------- */

/* What N(PUZZLE) says (RFC 8019 section 8.1). */
struct puzzle_demand {
	uint16_t prf;
	uint8_t bits; /* 0: as hard as the initiator likes */
};

/* Keys as they go into the PS payload. */
struct puzzle_solution {
	uint8_t keys[CRYPTO_PUZZLE_KEYS * CRYPTO_PUZZLE_KEY_LEN];
	uint8_t n; /* bytes; 0: none */
};

/* The PRF for a puzzle: the one that we like best of those in an SA payload's body; 0: none. */
uint16_t puzzle_prf(const struct ike *ike, struct bytes sa);
/* Whether these are four different keys, at a cost of four PRFs; and how many zero bits they all
 * have. */
bool puzzle_check(const struct ike *ike, uint16_t prf, struct bytes data, struct bytes keys,
		  unsigned *ret_bits);
/* False: there is no puzzle. */
bool puzzle_read(const struct wire_payloads *p, struct puzzle_demand *ret);
/* Whether we know its PRF, and are configured to solve it. */
bool puzzle_willing(const struct ike *ike, const struct ike_sa *sa, const struct puzzle_demand *p);
/* The solution of IKE_AUTH's puzzle, which goes in front of SK, or of the first SKF (RFC 8019
 * section 7.2.2), of such a message; the bytes it takes. */
void puzzle_put(const struct ike_sa *sa, uint8_t exchange, bool response, struct wire_out *o);
size_t puzzle_beside(const struct ike_sa *sa, uint8_t exchange, bool response);
/* `keys` is empty when there is no solution. */
typedef void puzzle_done_fn(struct ike *ike, struct attempt *at, struct bytes keys);
/* Emits jobs, one after the other, until `done`.  Takes the place of the attempt's locals. */
MUST enum status puzzle_solve(struct ike *ike, struct attempt *at, const struct puzzle_demand *p,
			      struct bytes data, puzzle_done_fn *done);

/* ---- SAs (sa.c) -------------------------------------------------------------------------- */

enum sa_state {
	SA_I_START, /* initiator: key pair being made */
	SA_I_INIT, /* IKE_SA_INIT request sent */
	SA_I_AUTH, /* IKE_AUTH request sent */
	SA_R_START, /* responder: IKE_SA_INIT being answered */
	SA_R_INIT, /* IKE_SA_INIT answered: half-open */
	SA_UP, /* established */
	SA_DELETING, /* our DELETE is in flight, or next */
	SA_RIVAL, /* made by the peer's rekey while ours is under way: which one lives is open */
	SA_REPLACED, /* another took its place: waits for the peer's DELETE */
	SA_CLOSED, /* the peer's DELETE came: lingers to repeat its last answer */
	SA_FAILED, /* lingers to repeat its last answer */
	SA_STATES,
};

const char *sa_state_name(enum sa_state s);

/* What is needed until both ends are authenticated, and no longer. */
struct handshake {
	struct ike_sa *sa;
	struct map_node by_init; /* responder: finds repeated IKE_SA_INIT requests */
	bool in_init_map;
	uint64_t init_hash;
	struct bytes msg_i; /* RealMessage1 and 2 of section 2.15, owned */
	struct bytes msg_r;
	struct bytes nonce_i; /* owned */
	struct bytes nonce_r;
	uint16_t group;
	struct secret ke_priv;
	struct bytes ke_pub; /* owned */
	struct bytes cookie; /* owned: the peer's, to be echoed */
	struct puzzle_solution solution; /* of the puzzle that came with it, then of IKE_AUTH's */
	/* Initiator: our address as the responder saw it (NAT_DETECTION_DESTINATION_IP). */
	uint8_t natd[NATD_LEN];
	bool has_natd;
	bool has_qcd;
	uint8_t qcd[CRYPTO_QCD_LEN]; /* our token for this SA */
	struct handshake_keys keys;
	struct crypto_ppk_keys ppk; /* the same, and SK_d, with the PPK; empty: none is used */
	struct bytes plain_auth; /* owned; initiator: AUTH without the PPK, of the same method */
	bool peer_ppk; /* both ends said USE_PPK */
	bool childless; /* the responder takes an IKE_AUTH without a child (RFC 6023) */
	bool redirects; /* responder: the other end can be sent on, */
	struct ip sent_from; /* and was, by that gateway; family 0: it was not */
	uint16_t peer_hashes; /* SIGNATURE_HASH_ALGORITHMS, bit per crypto_hash */
	uint32_t tried_groups; /* bit per group number, for INVALID_KE_PAYLOAD */
	uint8_t rounds;
	/* Responder: whose proof the request had; NULL: nobody's. */
	struct peer *partner;
	struct list of_partner; /* of partner.half_open */
	uint8_t proof[IKE_PARTNER_KEY];
	uint32_t child_spi; /* initiator: SPI offered in IKE_AUTH */
	enum ike_reason hint; /* an answer that nothing vouches for was no good; last_error says how
			       */
	char claimed[IKE_IDENTITY_TEXT]; /* what the peer calls itself, once it said so */
};

/* What we keep of a peer's certificate for as long as its SA lives: reloads ask again whether it,
 * or an authority above it, is revoked, and what it may source.  The blocks are followed by the ids
 * of revocation. */
struct cred {
	wall_t not_after;
	bool has_blocks;
	uint8_t n_revocation_ids;
	uint16_t n_blocks;
	struct ip_range blocks[];
};

/* How long it may live: see life.c. */
struct life {
	struct timer timer;
	mono_t proven; /* IKE_AUTH, also of an SA whose place this one took */
	/* The peer wants us to prove it again until then, or, where it called, we want it of the
	 * peer; MONO_NEVER: nobody does. */
	mono_t asked;
	mono_t certs_due; /* as of when the wall clock was last trusted */
	wall_t certs; /* the first of its certificates ends; 0: it has none */
	uint16_t draw;
	bool replaced; /* another one that we made has its traffic: goes when that is in use */
	bool tell; /* the peer has to hear of another time (AUTH_LIFETIME) */
};

struct ike_sa {
	ike_sa_id id;
	struct list node; /* of the engine */
	struct list peer_node;
	struct map_node by_spi; /* our SPI */
	uint64_t spi_i;
	uint64_t spi_r;
	bool initiator : 1; /* original initiator, of IKE_SA_INIT or of the rekey that made it */
	bool called : 1; /* we called: initiator of IKE_AUTH, through all rekeys */
	bool was_up : 1;
	bool stale : 1; /* not as configured any more: goes when renewing it fails */
	bool ppk : 1; /* its keys, and those of what comes of it, have a PPK in them */
	bool counting : 1; /* the data plane was asked when it last heard and sent */
	bool probe : 1; /* shall be asked whether it is still there */
	bool only_one : 1; /* the peer makes no further children (NO_ADDITIONAL_SAS) */
	enum sa_state state : 8;
	uint16_t name_index; /* initiator: which of the peer's names led to it */
	uint32_t generation; /* goes up with every commit */
	uint32_t n_children; /* those in use, without the leaving ones */
	uint16_t rtt; /* smoothed round-trip time, in eighths of a millisecond; 0: not known */
	bool mobike : 1; /* both ends can move (RFC 4555) */
	bool announce : 1; /* the peer has to hear of our addresses */
	bool unrouted : 1; /* our routes may have changed since anybody looked at it, */
	bool untold : 1; /* or our addresses since the peer was told */
	bool suspect : 1; /* the peer does not answer; see liveness.c */
	bool hurry : 1; /* the next probe is to tell soon */
	bool searching : 1; /* for the path MTU: there is a struct mtu_search */
	bool token_due : 1; /* the peer has to get our QCD token */
	bool redirects : 1; /* who called said that it can be sent on (RFC 5685) */
	bool steer : 1; /* it shall hear that it is (steer.c) */
	bool sent_away : 1; /* it has; goes when `reap` is over, if not before */
	bool warren : 1; /* the other end said that it is one: our own extensions may be used */
	bool speaks : 1; /* both ends announced capabilities; before IKE_AUTH is over: we do */
	bool down_said : 1; /* the operator heard that it is gone */
	bool used_asked : 1; /* when each of its children was used last; see idle.c */
	bool unsaid : 1; /* a child that is being replaced has not answered that */
	uint8_t capabilities; /* that the other end announced */
	uint8_t steer_to; /* which one of redirect_to, from 1; 0: what the order says */
	struct policy_suite suite;
	struct peer *peer; /* NULL: not known yet */
	struct path path;
	uint32_t used; /* when it was used last, as far as is known (idle.c) */
	struct window win;
	struct list large; /* of ike->large: the request in flight could go in smaller packets */
	struct reassembly *reassembly[2]; /* of the peer's request, of its response; NULL: none */
	struct sa_keys keys;
	struct handshake *hs;
	struct slot *slot; /* half-open: its place among those who wait */
	struct attempt *attempt; /* our start, or a response to us being worked on */
	struct attempt *answering; /* the peer's request being worked on */
	struct create *create; /* our CREATE_CHILD_SA exchange under way */
	struct ask *asks; /* words to be said (words.c), oldest first: perhaps in flight */
	struct ike_sa *successor; /* takes its place, or (RIVAL) may */
	struct ike_sa *predecessor;
	struct moving *moving; /* NULL: nothing of it was needed yet */
	struct list children;
	struct list leaving;
	struct list todo; /* of ike->todo */
	struct timer retransmit; /* without a request in flight: the next try of something */
	struct timer alive; /* dead-peer detection, keepalives */
	struct timer reap; /* half-open expiry, lingering, forgetting a response */
	mono_t created;
	mono_t established;
	ike_sa_id up_after; /* the newest SA there was when this one, or the first in its line, came
			     * up */
	mono_t last_in; /* authenticated sign of life */
	mono_t last_out; /* something that keeps a NAT's mapping, as far as is known */
	struct life life;
	struct wish rekey; /* of the IKE SA itself */
	struct wish more; /* one more child */
	struct policy_ident remote_id; /* owned, as authenticated */
	struct cred *cred; /* owned; NULL: no certificate */
	struct qcd_token *token; /* owned; the peer's, of an SA that we called; NULL: none */
	const char *auth_local; /* of auth_name(): how each end proved who it is; "" before */
	const char *auth_remote;
};

static inline bool sa_half_open(const struct ike_sa *sa)
{
	return sa->state == SA_R_START || sa->state == SA_R_INIT || sa->state == SA_FAILED;
}

static inline uint64_t sa_our_spi(const struct ike_sa *sa)
{
	return sa->initiator ? sa->spi_i : sa->spi_r;
}

MUST enum status sa_new(struct ike *ike, bool initiator, struct peer *peer, const struct path *path,
			struct ike_sa **ret_sa);
/* An IKE SA that takes the place of `old`, or may: nothing of it is inherited yet.  Takes over the
 * keys. */
MUST enum status sa_new_from(struct ike *ike, struct ike_sa *old, bool initiator, uint64_t spi_i,
			     uint64_t spi_r, struct sa_keys *keys, struct ike_sa **ret_sa);
uint64_t sa_pick_spi(struct ike *ike);
struct ike_sa *sa_by_spi(const struct ike *ike, uint64_t our_spi);
struct ike_sa *sa_by_id(const struct ike *ike, ike_sa_id id);
void sa_set_state(struct ike *ike, struct ike_sa *sa, enum sa_state s);
void sa_set_peer(struct ike_sa *sa, struct peer *peer);
/* Ends the SA here and now: attempt cancelled, children removed, everything wiped and freed. */
void sa_remove(struct ike *ike, struct ike_sa *sa, const char *why);
/* Sends DELETE when established, else removes. */
void sa_delete(struct ike *ike, struct ike_sa *sa, const char *why);
/* The commit that makes an SA established: handshake freed, timers started. */
void sa_established(struct ike *ike, struct ike_sa *sa);
/* The peer has other intervals: they hold from now on. */
void sa_reconfigured(struct ike *ike, struct ike_sa *sa);
/* Both attempts, if there are. */
void sa_end_attempts(struct ike *ike, struct ike_sa *sa);
/* `to` takes the place of `from`: children, identity, path, wishes. `from` is of no use then. */
void sa_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to);
/* A DELETE has been said and answered, ours or the peer's: the end of it, but for what a partner's
 * children still hear. */
void sa_deleted(struct ike *ike, struct ike_sa *sa, const char *why);
/* The DELETE of an SA that was replaced is answered. */
void sa_close(struct ike *ike, struct ike_sa *sa);
/* Of several SAs with one peer, decides which go; called once the new one has its child. */
void sa_settle(struct ike *ike, struct ike_sa *sa);
/* A child was made in an exchange of its own.  If it is the only one, the SA is of use only now. */
void sa_first_child(struct ike *ike, struct ike_sa *sa);
/* The peer says that it has no other SA with us (INITIAL_CONTACT, section 2.4): others go. */
void sa_only(struct ike *ike, struct ike_sa *sa);
/* Initiator: the responder is not whom we want. Tells it (section 2.21.2) and gives the SA up. */
void sa_reject(struct ike *ike, struct ike_sa *sa, enum ike_reason reason, const char *text);
/* Gives up an SA whose negotiation failed: event with `text`, peer told to try elsewhere or later,
 * SA removed (or lingering when it has an answer to repeat). */
void sa_fail(struct ike *ike, struct ike_sa *sa, enum ike_event_kind kind, enum ike_reason reason,
	     const char *text);
/* Responder: the other end is not who it says. `claimed`: the peer that would be, or NULL. */
void sa_refuse(struct ike *ike, struct ike_sa *sa, struct peer *claimed, enum ike_reason reason,
	       const char *text);
void sa_timer(struct ike *ike, struct timer *t);
void handshake_free(struct ike *ike, struct ike_sa *sa);
/* An authentic packet of the peer came from elsewhere (move_r.c). */
void sa_moved(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
	      const struct endpoint *remote);

/* ---- is it still there? (liveness.c) ------------------------------------------------------- */

/* The SA is up, or has other intervals or another path: its timers run accordingly. */
void liveness_begin(struct ike *ike, struct ike_sa *sa);
void liveness_end(struct ike *ike, struct ike_sa *sa);
void liveness_timer(struct ike *ike, struct ike_sa *sa);
/* What the data plane says about a child of it; NULL: nothing. */
void liveness_counted(struct ike *ike, struct ike_sa *sa, const struct dp_counters *c);
/* Something that nothing vouches for says that it is gone. */
void liveness_hint(struct ike *ike, struct ike_sa *sa);
/* DP_REPORT_SILENT, and CEASED */
void liveness_silent(struct ike *ike, const struct dp_report *r);
/* A probe went out: whether it is to tell soon. */
void liveness_asked(struct ike *ike, struct ike_sa *sa);
/* An authentic answer to the request in flight: how long it took. */
void liveness_measure(struct ike *ike, struct ike_sa *sa);
/* How soon a request that is to tell goes out again. */
dur_t liveness_wait(const struct ike_sa *sa);
/* The request in flight has gone out so often that it is time to be suspicious, although nobody is
 * known to wait for the peer. */
void liveness_unanswered(struct ike *ike, struct ike_sa *sa);

/* The peer does not answer although it should: nothing is given up, the request in flight runs
 * through its schedule (section 2.4), but other ways are tried meanwhile. */
void sa_suspect(struct ike *ike, struct ike_sa *sa);
/* An authentic message of the peer came. */
void sa_heard(struct ike *ike, struct ike_sa *sa);

/* ---- is it used? (idle.c) ------------------------------------------------------------------ */

/* The SA is up. */
void idle_begin(struct ike *ike, struct ike_sa *sa);
/* When it may have been idle for too long; MONO_NEVER: that is no matter. */
mono_t idle_due(const struct ike_sa *sa);
/* That is now: its children are asked. */
void idle_ask(struct ike *ike, struct ike_sa *sa);
/* Another child takes its place, or is to. */
void idle_replaced(struct ike *ike, struct child *c);
/* What the data plane says about a child. */
void idle_counted(struct ike *ike, struct child *c, const struct dp_counters *counters);

/* ---- quick crash detection (qcd.c, RFC 6290) ------------------------------------------------- */

void qcd_init(struct ike *ike, const uint64_t key[2]);
void qcd_done(struct ike *ike);
/* Asks for our token for an SA whose IKE_AUTH is next; it goes in where AUTH does. */
void qcd_prepare(struct ike *ike, const struct ike_sa *sa, const struct ike_peer_conf *conf);
void qcd_put(const struct ike_sa *sa, struct wire_out *o);
/* The SA took the place of another one: the peer needs another token.  And: now. */
void qcd_renew(struct ike *ike, struct ike_sa *sa);
bool qcd_announce(struct ike *ike, struct ike_sa *sa);
/* A request for an SA that we do not know.  False: it gets no token. */
bool qcd_stranger(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h);
/* False: no such job. */
bool qcd_result(struct ike *ike, uint64_t job, const struct crypto_result *r);
/* The peer's token in a protected message is kept. */
void qcd_take(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in);
void qcd_token_free(struct ike *ike, struct ike_sa *sa);

enum qcd_verdict {
	QCD_NONE, /* no token */
	QCD_WRONG,
	QCD_LOST, /* the right one: the SA is gone */
};

/* Of a message in the clear. */
enum qcd_verdict qcd_judge(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
			   const struct wire_payloads *p);

/* ---- hints (hint.c) ------------------------------------------------------------------------ */

/* A message in the clear for an SA that is up.  False: it is no word about its end. */
bool hint_notice(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		 const struct wire_hdr *h);
/* The same for none. */
bool hint_invalid_spi(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h);
/* In the SA the peer says that it does not know a child. */
void hint_child(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in);
/* DP_REPORT_UNKNOWN_SPI, DP_REPORT_UNREACHABLE */
void hint_unknown_esp(struct ike *ike, const struct dp_report *r);
void hint_unreachable(struct ike *ike, const struct ip *ip);

/* ---- lifetimes (life.c) -------------------------------------------------------------------- */

uint16_t life_draw(struct ike *ike);
/* Both are for a child that is linked. */
mono_t life_child_soft(const struct child *c);
mono_t life_child_hard(const struct child *c);
/* By bytes and packets, for the data plane. */
void life_child_limits(const struct ike_life *l, const struct child *c, struct dp_child *ret);
void life_child_begin(struct ike *ike, struct child *c);
void life_child_timer(struct ike *ike, struct child *c);
/* The data plane reports a soft or a hard limit. */
void life_child_report(struct ike *ike, struct child *c, bool hard);

/* The SA was authenticated. */
void life_begin(struct ike *ike, struct ike_sa *sa);
/* `to` takes the place of `from`: it has new keys, and is as proven as that one. */
void life_inherit(struct ike *ike, const struct ike_sa *from, struct ike_sa *to);
void life_reconfigured(struct ike *ike, struct ike_sa *sa);
void life_arm(struct ike *ike, struct ike_sa *sa);
/* Goes as soon as the other end has changed over to the one that we made in its place. */
void life_replaced(struct ike *ike, struct ike_sa *sa);
void life_timer(struct ike *ike, struct ike_sa *sa);
/* True when the SA is past its hard limit, and is not up any more. */
bool life_over(struct ike *ike, struct ike_sa *sa);
/* The wall clock may have been set. */
void life_clock(struct ike *ike);
/* For status: MONO_NEVER when there is no such limit. */
mono_t life_soft(const struct ike_sa *sa);
mono_t life_renewal(const struct ike_sa *sa);
mono_t life_hard(const struct ike_sa *sa);
/* AUTH_LIFETIME, when there is one to tell; and the peer's. */
void life_put(const struct ike *ike, const struct ike_sa *sa, struct wire_out *o);
/* The same in IKE_AUTH, of an SA that is not up yet. */
void life_put_first(const struct ike *ike, const struct ike_peer_conf *conf,
		    const struct cred *cred, struct wire_out *o);
/* MONO_NEVER: there is none. */
mono_t life_read(const struct ike *ike, const struct wire_payloads *p);
void life_asked(struct ike *ike, struct ike_sa *sa, mono_t by);
/* The peer, who called, shall prove again who it is, within that time. */
void life_demand(struct ike *ike, struct ike_sa *sa, dur_t within);

/* ---- sending (send.c) -------------------------------------------------------------------- */

/* The caller fills payloads between the two; the message is built in the engine's buffer. */
void msg_begin(struct ike *ike, const struct ike_sa *sa, uint8_t exchange, bool response,
	       uint32_t msgid, struct wire_out *o);
/* Seals (when the message was opened with msg_begin_sk) and copies it to memory the caller owns. */
void msg_begin_sk(struct ike *ike, const struct ike_sa *sa, uint8_t exchange, bool response,
		  uint32_t msgid, struct wire_out *o);
MUST enum status msg_end(struct ike *ike, struct ike_sa *sa, struct wire_out *o,
			 struct bytes *ret_owned);

/* Emits the message, or the fragments that lie back to back in `data`, along the path. */
void send_bytes(struct outbox *ob, const struct path *path, struct bytes data);
/* Commit of a new request: takes over `owned`, arms retransmission, sends. */
void send_request(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned);
/* Commit of an answer to the request with id next_recv: takes over `owned`, moves the window. */
void send_response(struct ike *ike, struct ike_sa *sa, uint8_t exchange, struct bytes owned);
/* Answers the request with id next_recv with one notify inside SK. */
void answer_notify(struct ike *ike, struct ike_sa *sa, uint8_t exchange, uint16_t type,
		   struct bytes data);
/* The peer asks for the response once more, from `back`: the same again, or the same message in
 * smaller packets when it asks in smaller ones, or again and again. */
void repeat_response(struct ike *ike, struct ike_sa *sa, const struct path *back,
		     struct bytes request);
/* Whether the answer may be said again now; counted. */
bool may_repeat(struct ike *ike, struct ike_sa *sa);
/* The SA is elsewhere: the request in flight goes there at once, with as many tries as a new one.
 */
void request_moves(struct ike *ike, struct ike_sa *sa);
/* The same along another path as well. */
void send_request_along(struct ike *ike, const struct ike_sa *sa, const struct path *path);
/* The request in flight is larger than its path can carry: goes again, smaller. */
void shrink_request(struct ike *ike, struct ike_sa *sa);
/* A request that is there for its size, IP headers and all: `type` with as many zeros as it takes,
 * not above `size`. `ret_size`: what it came to.  ST_NOMEM: nothing was sent. */
MUST enum status send_probe(struct ike *ike, struct ike_sa *sa, uint16_t type, uint16_t size,
			    uint16_t *ret_size);
/* The request in flight is to tell soon whether the peer is still there. */
void request_tells(struct ike *ike, struct ike_sa *sa);
/* How long its timer runs for its first try. */
dur_t request_first_wait(const struct ike *ike, const struct ike_sa *sa);
/* The wait after the first one and so many more: exponential (section 2.1). */
dur_t wait_grown(dur_t first, unsigned tries);
/* Once more at once; its schedule begins again. */
void request_now(struct ike *ike, struct ike_sa *sa);
/* What the request in flight was for is over: as few tries for it as for a DELETE. */
void hurry_request(struct ike *ike, struct ike_sa *sa);
/* The request in flight was answered. */
void request_done(struct ike *ike, struct ike_sa *sa);
void retransmit_timer(struct ike *ike, struct ike_sa *sa);

/* How long a request is tried in all (section 2.4). */
dur_t retransmit_total(const struct ike_conf *conf);

/* Decrypts SK or SKF into the arena; the payload chain, or the piece of one, without padding.
 * ST_DROP: it is not authentic.  ST_REFUSE: it is, and malformed. */
MUST enum status msg_decrypt(struct ike *ike, const struct crypto_key *key, struct arena *ar,
			     const struct wire_ike_msg *msg, struct bytes *ret_chain,
			     enum wire_fault *fault);
/* Opens an SK payload; on success the inner chain is parsed into the arena. */
MUST enum status msg_open(struct ike *ike, const struct ike_sa *sa, struct arena *ar,
			  const struct wire_ike_msg *msg, struct wire_payloads *ret_inner,
			  enum wire_fault *fault);

/* The explicit IV of the next message that we seal. */
void msg_iv(struct ike *ike, struct ike_sa *sa, size_t iv_len, uint8_t *iv);

/* ---- fragments (fragment.c, reassembly.c) ------------------------------------------------ */

/* Messages back to back: takes the first off. */
struct bytes msgs_next(struct bytes *rest);
/* The largest of them. */
size_t msgs_largest(struct bytes msgs);

/* A message before it is sealed. */
struct unsealed {
	struct wire_hdr hdr;
	uint8_t first; /* type of the first payload of `chain` */
	struct bytes chain;
};

/* Seals it in fragments of which none is longer than `max`, if IKE_MAX_FRAGMENTS are enough, back
 * to back in memory that the caller owns.  ST_DROP: that takes no more than `more_than` of them. */
MUST enum status fragment_seal(struct ike *ike, struct ike_sa *sa, const struct unsealed *m,
			       size_t max, size_t more_than, struct bytes *ret_owned);
/* Cuts what we sealed before smaller: from `*owned`, which it replaces.  ST_DROP: it is small
 * enough, or cannot be cut into more than it is. */
/* strongSwan 5.9.8 drops an INFORMATIONAL request in fragments ("received unencrypted
 * informational"), again and again, until we believe it to be gone.  So with who is no warren one
 * of `n` bytes goes whole if it passes nearly everywhere, which all of ours do but probes. */
bool fragment_never(const struct ike_sa *sa, uint8_t exchange, size_t n);
MUST enum status fragment_again(struct ike *ike, struct ike_sa *sa, size_t max,
				struct bytes *owned);

/* A message that came in fragments. */
struct whole {
	uint64_t hash; /* of the datagram with its first fragment */
	uint16_t largest; /* longest of the datagrams */
};

/* Takes a fragment in.  ST_OK: it was the last one missing; rx->inner and `ret_whole` are filled,
 * as by msg_open().  ST_DROP: others are missing, or it was dropped and counted.  ST_REFUSE:
 * authentic, but malformed or beyond our limits; `fault`, and perhaps `why`, tell. */
MUST enum status reassemble(struct ike *ike, struct ike_sa *sa, struct rx *rx, uint64_t hash,
			    struct whole *ret_whole, enum wire_fault *fault, struct text *why);
/* Whether the datagram is a fragment of the request that was answered, or is being answered; then
 * it is dealt with: only an authentic first one asks for the response (RFC 7383 section 2.6.1). */
bool fragment_repeated(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
		       uint64_t hash);
/* The message that fragments are collected of is here, or is wanted no more. */
void reassembly_drop(struct ike *ike, struct ike_sa *sa, bool response);
void reassembly_timer(struct ike *ike, struct timer *t);

/* ---- attempts (attempt.c) ---------------------------------------------------------------- */

/*
 * A handler that needs slow crypto is a chain of steps around an attempt: the parsed message,
 * locals and the job in flight live in its arena; the SA changes only in the last step, which
 * rechecks the generation.  An SA has at most two: one for the peer's request, one for what it
 * does itself, so that neither end has to wait for the other's.  The SA's end cancels them, and so
 * does whoever changes its state under them.
 */
typedef void attempt_step(struct ike *ike, struct attempt *at, const struct crypto_result *r);
typedef void inner_step(struct ike *ike, struct attempt *at, enum status st);

struct attempt {
	struct arena mem;
	struct ike_sa *sa;
	uint32_t generation;
	struct map_node by_job;
	uint64_t job; /* 0: none in flight */
	enum crypto_job_kind job_kind;
	attempt_step *step;
	struct list waiting; /* for what is being stored: then `stored` goes on */
	inner_step *stored;
	bool for_request; /* handles a request of the peer; else a response, or our own start */
	bool aside; /* the SA does not wait for it: a better answer may come meanwhile */
	bool asked; /* it waits for ike_answer() */
	struct path asked_from; /* `for_request`: ike->asked_from while it is worked on */
	struct wire_ike_msg msg;
	struct wire_payloads inner;
	void *locals;
};

/* Takes over the arena with the parsed message (NULL: there is none); `sa` has no attempt of that
 * kind.  One for the peer's request with id next_recv, and one for a start of ours or a response.
 */
MUST enum status attempt_for_request(struct ike *ike, struct ike_sa *sa, struct arena *ar,
				     size_t locals, struct attempt **ret_at);
MUST enum status attempt_new(struct ike *ike, struct ike_sa *sa, struct arena *ar, size_t locals,
			     struct attempt **ret_at);
/* Emits the job; `step` continues.  Takes the job in every case. ST_NOMEM: nothing was emitted. */
MUST enum status attempt_job(struct ike *ike, struct attempt *at, struct crypto_job *job,
			     attempt_step *step);
void attempt_end(struct ike *ike, struct attempt *at);
void attempt_result(struct ike *ike, uint64_t job, const struct crypto_result *r);
/* What it waited for is over: true when it may go on, now.  Else, or when the result is not one
 * that `fits`, its SA is given up. */
bool attempt_resume(struct ike *ike, struct attempt *at, bool fits);

/* ---- exchange table (table.c) ------------------------------------------------------------ */

/* A message on its way to a handler: everything parsed, the row's payload sets checked. */
struct rx {
	const struct ike_datagram *d;
	struct arena
		*ar; /* handlers that start an attempt hand it over: arena is then re-initialised */
	struct wire_ike_msg *msg;
	struct wire_payloads *inner; /* empty for clear messages */
	const char *why; /* of ST_REFUSE; NULL: a required payload is missing */
};

typedef enum status exchange_fn(struct ike *ike, struct ike_sa *sa, struct rx *rx);

struct exchange_row {
	const char *story;
	uint32_t states; /* bit per sa_state */
	uint8_t exchange;
	bool response; /* handles a response (we are the exchange's initiator) */
	bool encrypted;
	uint16_t notify; /* this notify must be in the clear part; 0: no condition */
	bool any_error; /* some error notify must be in the clear part */
	uint64_t required; /* payload bits, of the inner part when encrypted, else of the clear one
			    */
	uint64_t optional; /* others are ignored: RFC 7296 section 2.5 wants us lenient */
	exchange_fn *handler;
};

extern const struct exchange_row ike_exchanges[];
extern const size_t ike_n_exchanges;

/* The first row for that state and message whose conditions hold; `*ret_missing` is set when a row
 * would fit but for a required payload. */
const struct exchange_row *table_find(enum sa_state state, const struct wire_hdr *h, bool encrypted,
				      const struct wire_payloads *p, bool *ret_missing);
/* True when some row could take a message of that kind at all (before anything is decrypted). */
bool table_expects(enum sa_state state, const struct wire_hdr *h, bool encrypted);
/* Checks a table like that: rows reachable, no row shadowed, handlers present. */
MUST enum status table_validate(const struct exchange_row *rows, size_t n);

exchange_fn redirect_i_init, init_i_cookie, init_i_invalid_ke, init_i_error, init_i_answer;
exchange_fn auth_i_answer, auth_i_refused, auth_r_request, auth_r_childless, auth_r_eap;
exchange_fn info_request, info_answer;
exchange_fn create_request, create_answer, create_refused;
exchange_fn word_request, word_answer;

/* IKE_SA_INIT requests arrive without an SA. */
void init_r_request(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h);
/* An answer to a request that gets no SA: HDR(A,0), N(type). */
void init_r_refuse(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   uint16_t type, struct bytes data);
void init_i_start(struct ike *ike, struct peer *peer, const struct ike_address *addr);
/* The same along that very path. */
void init_i_begin(struct ike *ike, struct peer *peer, const struct path *path);
/* Builds and sends the (next) IKE_SA_INIT request from what the handshake holds. */
MUST enum status init_i_send(struct ike *ike, struct ike_sa *sa);

/* Starts the IKE_AUTH request once keys are there; continues the attempt. */
void auth_i_begin(struct ike *ike, struct attempt *at);

/* Whether the negotiated IKE suite is one that this peer's proposals allow. */
bool suite_allowed(const struct ike_peer_conf *conf, const struct policy_suite *suite);

/* ---- terms of a child (agree.c) ----------------------------------------------------------- */

/* Our proposals with our SPI in each; with `ke`, their key exchange methods too (section 1.2: a
 * child of IKE_AUTH has none of its own).  `first`: what is in use now, to be kept if it is still
 * among them; NULL: nothing. */
MUST enum status agree_offer(struct arena *ar, const struct wire_sa *conf, struct bytes spi,
			     bool ke, const struct policy_suite *first, struct wire_sa *ret_offer);

/* What a responder makes of a request. */
struct agreement {
	struct child_params c; /* but for our SPI and the keys; selectors in the arena */
	uint8_t number; /* of their proposal */
	uint16_t notify; /* refused: the answer */
	enum ike_reason reason; /* refused: what is not acceptable */
	char why[IKE_EVENT_TEXT_MAX];
	char conflict[IKE_EVENT_TEXT_MAX]; /* prefixes that another identity has up */
};

/* The other end, as far as its authority goes. */
struct claimant {
	struct peer *peer;
	struct policy_ident id;
	const struct cred *cred;
	uint8_t capabilities; /* that it announces, or has */
};

/* Responder: what of the request is granted. ST_REFUSE: nothing; `notify`, `reason`, `why` say it.
 */
MUST enum status agree_grant(struct ike *ike, struct arena *ar, const struct claimant *who,
			     const struct wire_payloads *in, bool ke, struct agreement *ret);
/* Its answer: the chosen proposal with our SPI, and the selectors. */
MUST enum status agree_put_choice(struct wire_out *o, struct arena *ar,
				  const struct child_params *c, uint8_t number);
void agree_put_ts(struct wire_out *o, const struct child_params *c);

/* What an initiator asked for. */
struct asked {
	const struct wire_sa *offer;
	bool ke;
	uint32_t spi;
	const struct wire_ts_list *ts_local, *ts_remote;
};

/* Initiator: whether the answer lies in what we asked for (section 2.9), and the peer may have it:
 * what does not. */
MUST enum ike_reason agree_accept(const struct claimant *who, const struct asked *asked,
				  const struct wire_payloads *in, struct child_params *ret,
				  struct text *why);
/* Initiator: the peer made no child; what that was about, as far as its error tells, and why, with
 * what we asked for. */
enum ike_reason agree_refused_for(const struct wire_payloads *in);
void agree_refused(const struct ike_peer_conf *conf, const struct asked *asked,
		   const struct wire_payloads *in, struct text *why);

/* Shared by both sides of IKE_AUTH (auth.c). */
/* `sk_p`: of who authenticates, SK_pi or SK_pr, with or without a PPK. */
MUST enum status auth_job_own(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
			      const struct secret *sk_p, bool as_initiator, attempt_step *step);
MUST enum status auth_job_peer(struct ike *ike, struct attempt *at,
			       const struct ike_peer_conf *conf, const struct secret *sk_p,
			       bool peer_is_initiator, attempt_step *step);
/* Judges the result of auth_job_peer(): IKE_R_NONE, or what was wrong, with words for it. */
MUST enum ike_reason auth_verified(const struct attempt *at, const struct ike_peer_conf *conf,
				   const struct crypto_result *r, char ret_how[24],
				   struct text *why);
/* Of a job that failed, our own or one about what the peer sent. */
enum ike_reason reason_of(const struct crypto_result *r);
void auth_put(struct wire_out *o, const struct crypto_result *own);
/* The same words, for as long as the engine lives: SAs share them.  "" without memory. */
const char *auth_name(struct ike *ike, const char *how);
void auth_names_free(struct ike *ike);

/* ---- post-quantum pre-shared keys (ppk.c) -------------------------------------------------- */

void ppk_put_support(struct wire_out *o);
bool ppk_supported(const struct wire_payloads *p);
/* Whether there is one for that peer. */
bool ppk_known(const struct ike_peer_conf *conf);
MUST enum status ppk_put_identity(struct wire_out *o, struct arena *ar, struct bytes id);

enum ppk_choice {
	PPK_UNUSED,
	PPK_USED,
	PPK_REFUSED,
};

/* Responder: what is done about an IKE_AUTH request, when `both` said USE_PPK or not.  Without a
 * PPK `in->auth` becomes what is to be judged.  REFUSED: `why`. */
MUST enum ppk_choice ppk_choose(const struct ike_peer_conf *conf, bool both,
				struct wire_payloads *in, struct text *why);
/* SK_d, SK_pi and SK_pr of the handshake go through the PPK. */
MUST enum status ppk_job(struct ike *ike, struct attempt *at, const struct ike_peer_conf *conf,
			 attempt_step *step);
/* What may be wrong with an AUTH that a PPK is part of. */
void ppk_explain(const struct ike_peer_conf *conf, struct text *t);

/* Where the host's NAT-traversal port is meant. */
struct path path_of(const struct ike *ike, const struct endpoint *local,
		    const struct endpoint *remote);
/* Whether ESP has to go in UDP there, as far as we know. */
bool path_encap(const struct ike *ike, const struct path *path);

/* Whether that peer shall know that we do NAT traversal. */
bool natd_wanted(const struct ike *ike, const struct ike_peer_conf *conf);
/* NAT detection (path.c): of a message that goes along that path. */
void natd_put(struct ike *ike, const struct ike_sa *sa, const struct path *path,
	      struct wire_out *o);
/* On failure the path is as it was, and nobody knows whether there is a NAT. */
MUST enum status natd_check(struct ike *ike, const struct wire_payloads *p, uint64_t spi_i,
			    uint64_t spi_r, const struct endpoint *local,
			    const struct endpoint *remote, struct path *path);
bool natd_present(const struct wire_payloads *p);
/* Our address as the peer sees it, hashed. */
bool natd_seen(const struct wire_payloads *p, uint8_t ret[static NATD_LEN]);
void path_after_init(const struct ike *ike, struct path *path, const struct ike_datagram *d);

/* RFC 7427: reads and writes SIGNATURE_HASH_ALGORITHMS. */
uint16_t sighash_read(const struct wire_payloads *p);
void sighash_put(struct wire_out *o);

/* RFC 7383 section 2.3: the peer takes fragments; we do. */
bool fragmentation_agreed(const struct wire_payloads *p);
void fragmentation_put(struct wire_out *o);

/* The other end is a warren too (vendor.c); we are. */
bool vendor_ours(const struct wire_payloads *p);
void vendor_put(struct wire_out *o);

/* INFORMATIONAL (info.c). */
void info_probe(struct ike *ike, struct ike_sa *sa);
/* Another AUTH_LIFETIME.  False: not now, the window is taken. */
bool info_lifetime(struct ike *ike, struct ike_sa *sa);
/* DELETE of the IKE SA, which is in SA_DELETING; `notify` 0: none. */
void info_delete(struct ike *ike, struct ike_sa *sa, uint16_t notify);
/* DELETE of the children that are doomed; the empty request.  False: no memory. */
bool info_delete_children(struct ike *ike, struct ike_sa *sa);
/* Seals and sends a request; without memory there is none in flight. */
void info_send(struct ike *ike, struct ike_sa *sa, struct wire_out *o);
bool info_ask(struct ike *ike, struct ike_sa *sa);
/* REDIRECT with that data; the same. */
bool info_redirect(struct ike *ike, struct ike_sa *sa, struct bytes data);
/* What the peer holds against the SA as a whole, without a Delete payload (sections 2.21.2 and
 * 2.21.3); NULL: nothing. */
const struct wire_notify *info_fatal(const struct wire_payloads *in);
void info_fatal_event(struct ike *ike, struct ike_sa *sa, const struct wire_notify *n);

/* ---- words of upper modules (words.c; docs/protocol/shortcut.md sections 3 and 4) ----------- */

/* IKE_AUTH: what ours can do, if it shall be known; and what the peer says of its own. */
void capabilities_put(struct ike_sa *sa, const struct ike_peer_conf *conf, struct wire_out *o);
void capabilities_take(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *p);
/* Those that the other end announces in its IKE_AUTH; 0: none. */
uint8_t capabilities_of(const struct ike_sa *sa, const struct wire_payloads *p);
/* Without them on both sides there is no such exchange. */
bool words_allowed(const struct ike_sa *sa, const struct wire_hdr *h);
/* ike_ask() and ike_answer() */
MUST enum status words_ask(struct ike *ike, ike_peer_id peer, const struct ike_word *word,
			   uint64_t *ret_id);
void words_answer(struct ike *ike, uint64_t id, const struct ike_word *word);
/* It took too long; the attempt, which may be one of these, ends. */
void words_timer(struct ike *ike, struct timer *t);
void words_unasked(struct ike *ike, const struct attempt *at);
/* The window is free: says the next.  False: no memory. */
bool words_wait(const struct ike_sa *sa);
bool words_next(struct ike *ike, struct ike_sa *sa);
/* What was not sent is said on the SA that takes the place of `from`. */
void words_inherit(struct ike_sa *from, struct ike_sa *to);
/* Nothing that waits, or is in flight, will be answered. */
void words_end(struct ike *ike, struct ike_sa *sa);

/* ---- CREATE_CHILD_SA (create.c, create_i.c, create_r.c, rekey.c) ---------------------------- */

enum create_kind {
	CREATE_CHILD,
	CREATE_REKEY_CHILD,
	CREATE_REKEY_SA,
};

/* Our exchange, from the wish to the answer. */
struct create {
	enum create_kind kind;
	bool sent; /* else its key pair is being made */
	dp_child_id old; /* REKEY_CHILD: whose place the child takes; it may go meanwhile */
	struct policy_suite in_use; /* by what is rekeyed; proto 0: none is */
	uint32_t spi; /* of the child, or */
	uint64_t ike_spi; /* of the IKE SA: our end */
	uint16_t group; /* 0: no key exchange */
	uint32_t tried_groups;
	uint8_t nonce[IKE_NONCE_LEN];
	struct secret priv;
	struct bytes pub; /* owned */
	/* The peer does the same to the same SA at the same time (sections 2.8.1, 2.8.2). */
	struct {
		bool noted;
		dp_child_id child; /* what it made; an IKE SA is sa->successor */
		uint16_t n_nonce;
		uint8_t nonce[WIRE_MAX_NONCE]; /* the lower one of its exchange */
	} rival;
};

/* True when it is under way, or failed and will be tried again later. */
void create_start(struct ike *ike, struct ike_sa *sa, enum create_kind kind, struct child *old);
/* It is over, or not wanted any more. */
void create_end(struct ike *ike, struct ike_sa *sa);
/* What the peer asks for goes first, as long as ours was not sent. */
void create_yield(struct ike *ike, struct ike_sa *sa);
/* Whether the peer may have heard of it. */
static inline bool creating(const struct ike_sa *sa, enum create_kind kind)
{
	return sa->create && sa->create->sent && sa->create->kind == kind;
}

/* The job of one side of a key exchange. */
MUST enum status create_job_respond(struct ike *ike, struct attempt *at, uint16_t group,
				    struct bytes peer, attempt_step *step);
/* What ours asks for. */
MUST enum status create_offer(struct arena *ar, const struct ike_sa *sa, struct wire_sa *ret_offer);
/* Takes over the message; the shared secret is in the result. */
MUST enum status create_job_derive(struct ike *ike, struct ike_sa *sa, struct rx *rx,
				   attempt_step *step);
/* The counter of an answer that we cannot use. */
enum ike_counter create_counter(enum ike_reason reason);
/* Whether the answer has the other half of our key exchange. */
bool create_ke_answered(const struct create *cr, const struct policy_suite *suite,
			const struct wire_payloads *in, struct text *why);
/* Whether the request has a value for that group; else it was answered. */
bool create_ke_asked(struct ike *ike, struct ike_sa *sa, uint16_t group,
		     const struct wire_payloads *in);
/* Answers the request under way with an error: refused, with an event; or not now. */
void create_refuse(struct ike *ike, struct ike_sa *sa, uint16_t notify, enum ike_reason reason,
		   const char *why);
void create_not_now(struct ike *ike, struct ike_sa *sa);
/* Notes a collision: the peer's exchange had these nonces. */
void create_note_rival(struct create *cr, const struct nonces *nonces, dp_child_id child);
/* Whether what our exchange made is the one to go: it has the lowest nonce of the four. */
bool create_loses(const struct create *cr, struct bytes nonce_r);

/* Rekeying the IKE SA (rekey.c): our answer to the peer, and what its answer to us comes to. */
exchange_fn rekey_request;
enum status rekey_answer(struct ike *ike, struct ike_sa *sa, struct rx *rx);
/* The peer's own rekey goes on in place of ours. */
void rekey_adopt_rival(struct ike *ike, struct ike_sa *sa);
/* The request in flight stays unanswered: true when the SA is not the one that counts. */
bool rekey_unanswered(struct ike *ike, struct ike_sa *sa);

/* ---- cookies (cookie.c) ------------------------------------------------------------------ */

struct cookies {
	uint8_t secret[2][32]; /* current, previous */
	mono_t born[2]; /* when each was made */
	uint32_t version;
	bool have;
};

/* What a request for IKE_SA_INIT holds of interest here: bodies of its payloads. */
struct init_request {
	struct bytes sa;
	struct bytes ke;
	struct bytes nonce;
	struct bytes cookie; /* empty: none */
	struct bytes solution;
	struct bytes proof; /* SHORTCUT_PROOF; empty: none */
};

/* What a cookie tells when it comes back. */
struct cookie_info {
	uint8_t bits; /* of the puzzle that it came with; 0 with a PRF: as hard as one likes */
	uint8_t round; /* puzzles before that one */
	uint16_t prf; /* 0: no puzzle */
	uint32_t age; /* seconds since it was given */
	uint64_t tag; /* tells it from others */
};

/* A bounded walk over the clear chain; the full parser runs only after admission.  False: it is no
 * request for IKE_SA_INIT. */
bool cookie_scan(const struct ike_datagram *d, const struct wire_hdr *h, struct init_request *ret);
/* Whether the request has a cookie of ours, and for itself. */
bool cookie_good(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		 const struct init_request *r, struct cookie_info *ret);
/* Answers with a cookie, and with that puzzle when it has a PRF. */
void cookie_demand(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   struct bytes nonce, const struct cookie_info *puzzle);

/* ---- admission (admit.c) ----------------------------------------------------------------- */

/* What a newcomer has shown, in the order of what it is worth. */
enum proof {
	PROOF_NONE,
	PROOF_COOKIE, /* it is where it says */
	PROOF_SOLVED, /* and worked for it, or could open our answer */
	PROOF_KNOWN, /* it is where a peer is */
	PROOFS,
};

enum { CROWD_SIZES = 32 };

/* The half-open SAs of one prefix. */
struct crowd {
	struct map_node by_prefix;
	struct prefix prefix;
	size_t n;
	size_t suspect; /* of them, with messages that failed the integrity check */
	size_t n_proof[PROOFS];
	struct list slots[PROOFS]; /* oldest first; of a /48: empty */
	struct list by_size[PROOFS]; /* of ike->admit.by_size[proof][size] */
};

struct slot {
	struct list node; /* of its crowd's slots[proof] */
	struct crowd *crowd;
	struct crowd *wide; /* the /48 around it; NULL: IPv4 */
	struct ike_sa *sa;
	enum proof proof;
	uint16_t prf; /* of its puzzle */
	uint8_t auth_bits; /* of the puzzle that IKE_AUTH has to solve yet; 0: none */
	unsigned junk; /* messages that failed the integrity check */
	size_t bytes; /* of the request, kept for AUTH */
};

struct admit_rate {
	unsigned requests; /* IKE_SA_INIT, repeated ones left out */
	unsigned failures; /* of integrity checks and of negotiations */
};

struct known_slot;

/* Cookies whose solution was taken: a set per generation, each a Bloom filter. Nothing pushes
 * another out, so there are no two that can be used in turn; that a new one is taken for a used one
 * is possible, and costs its owner one more puzzle. */
struct spent {
	uint64_t bits[2][IKE_PUZZLE_SPENT_BITS / 64];
	bool now; /* the set that is added to; the other one is of the generation before */
	mono_t since;
};

struct admit {
	enum ike_load level;
	unsigned calm; /* seconds so far */
	struct timer timer;
	mono_t second; /* when the counts began */
	struct admit_rate rate;
	struct admit_rate before; /* of the second before */
	struct map crowds;
	struct list by_size[PROOFS][CROWD_SIZES]; /* crowds, by how many show so much */
	size_t n_proof[PROOFS];
	size_t bytes;
	struct spent spent;
	struct known_slot *known; /* owned; NULL: nobody was seen yet */
};

/* What admit_request() found out about a newcomer. */
struct admission {
	enum proof proof;
	uint16_t prf; /* of the puzzle it solved */
	uint64_t tag;
};

/*
 * Decides on an IKE_SA_INIT request before any memory is spent on it.  `known`: it shows by itself
 * that it is of somebody we know, wherever he is.  True: go on.  False: it was
 * answered with a cookie or a puzzle, or refused; counted.
 */
bool admit_request(struct ike *ike, const struct ike_datagram *d, const struct wire_hdr *h,
		   bool known, struct admission *ret);
/* Whether there is room for an SA that keeps so many bytes; somebody may have made way for it. */
bool admit_room(struct ike *ike, const struct ike_datagram *d, const struct admission *a,
		size_t bytes);
MUST enum status admit_enter(struct ike *ike, struct ike_sa *sa, const struct admission *a,
			     size_t bytes);
/* The SA has another state. */
void admit_state(struct ike *ike, struct ike_sa *sa);
/* How long a half-open SA may stay (RFC 8019 section 4.1). */
dur_t admit_patience(const struct ike *ike, const struct ike_sa *sa);
/* Whether the answer to IKE_SA_INIT comes with a puzzle for IKE_AUTH (7.2). */
bool admit_auth_puzzle(struct ike *ike, struct ike_sa *sa, struct puzzle_demand *ret);
/* Whether a message for an SA may cost an integrity check and what follows; if not, why. */
bool admit_auth(struct ike *ike, struct ike_sa *sa, const struct wire_ike_msg *msg,
		enum ike_counter *ret_why);
/* That check failed; it did not. */
void admit_junk(struct ike *ike, struct ike_sa *sa);
void admit_proven(struct ike *ike, struct ike_sa *sa);
/* Somebody is up at that address, or was until now. */
void admit_seen(struct ike *ike, const struct ip *ip);
/* A section has that address, or somebody was seen there. */
bool admit_knows(const struct ike *ike, const struct ip *ip);
void admit_init(struct ike *ike, const uint64_t key[2]);
void admit_done(struct ike *ike);

/* ---- half-open SAs by prefix (crowd.c) --------------------------------------------------- */

/* Those of its address or /64, and of the /48 around it (IPv4: none); NULL: nobody. */
const struct crowd *crowd_of(const struct ike *ike, const struct ip *ip);
const struct crowd *crowd_wide_of(const struct ike *ike, const struct ip *ip);
/* How many, suspicious ones twice; of NULL none. */
size_t crowd_size(const struct crowd *c);
/* NULL: there is none. */
const struct crowd *crowd_largest(const struct ike *ike);
void crowds_init(struct ike *ike, const uint64_t key[2]);
void crowds_done(struct ike *ike);

/* Slots that only known peers get, and those that others have. */
size_t slots_for_known(const struct ike *ike);
size_t slots_of_strangers(const struct ike *ike);
/* Whether there is a slot, and room for so many bytes; somebody may have made way. */
bool slot_room(struct ike *ike, const struct admission *a, size_t bytes, const struct ip *from);
MUST enum status slot_enter(struct ike *ike, struct ike_sa *sa, const struct admission *a,
			    size_t bytes);
void slot_leave(struct ike *ike, struct ike_sa *sa);
/* It has shown that, or is worth no more than that. */
void slot_show(struct ike *ike, struct slot *s, enum proof p);

/* ---- load (load.c) ----------------------------------------------------------------------- */

/* An IKE_SA_INIT request; a negotiation or an integrity check that failed. */
void load_request(struct ike *ike);
void load_failed(struct ike *ike);
/* In a second. */
unsigned load_failures(const struct ike *ike);
/* Jobs for IKE_AUTH under way. */
size_t load_auth_jobs(const struct ike *ike);
/* How hard a puzzle is now. */
uint8_t load_puzzle_bits(const struct ike *ike, bool crowded);
/* Raises the level if it has to. */
void load_weigh(struct ike *ike);
void load_timer(struct ike *ike);
void load_init(struct ike *ike);

/* ---- peers (peer.c) ---------------------------------------------------------------------- */

/*
 * A counterpart: one that a section of the configuration is about, or one identity among those that
 * a section with a pattern, or a network, stands for (an instance).  SAs belong to it, and settle
 * among each other.  A hub has thousands of instances, so what only a section needs is apart.
 *
 * A section with a pattern and addresses is, while an SA lives that we made, whoever answered
 * there; others who match are instances.
 */
struct peer {
	struct list node; /* of the engine's sections, or of its section's instances */
	struct list in_order; /* of ike->in_order */
	struct map_node by_id;
	struct map_node by_ident; /* under (`under`, `ident`) */
	ike_peer_id id;
	const char *name;
	const struct ike_peer_conf *conf;
	struct section *section; /* NULL: an instance */
	/* The section with the pattern that `ident` was proven under: another of an instance, its
	 * own of a section that connected.  NULL: `ident` is what the configuration says. */
	struct peer *under;
	struct policy_ident ident; /* type 0: nobody in particular */
	struct list sas;
	char *last_error; /* owned; NULL: none */
	bool removed; /* no longer configured: goes with its last SA */
	bool numbered; /* in the map by id and in the list in order of ids */
	bool in_ident_map;
};

/* An address of a peer, found from both sides. */
struct known_address {
	struct map_node by_addr;
	struct peer *peer;
	struct ike_address a;
};

/* Names of hubs that hubs told us of, tried behind those of the configuration. */
struct learnt {
	char *name[IKE_MAX_HUBS]; /* owned */
	uint16_t port[IKE_MAX_HUBS];
	size_t n;
};

/* What a section has that is more than a counterpart: the wish to be connected, and instances. */
/* One of several hubs of a network (attach.c). */
struct attach {
	struct timer settled; /* it stands for long enough */
	mono_t since; /* it stands */
	bool stands; /* it is up and answers */
	bool leads; /* it has our traffic */
	bool yields; /* another one leads */
};

struct section {
	struct peer *peer;
	struct ike_conf *owner; /* keeps `conf` alive */
	const struct ike_peer_conf *next; /* while configurations change: its new one, or none */
	unsigned changes; /* while configurations change (reload.c) */
	size_t same_names; /* as many of its names are what they were */
	struct list pattern_node; /* of ike->patterns */
	struct list instances;
	const struct offer *offer; /* its IKE proposals among all that there are */
	struct map_node by_resolve;
	struct ike_sa *connecting; /* our attempt: at most one at a time */
	struct timer retry;
	bool wanted; /* keep trying until connected */
	bool trapped; /* the data plane watches for traffic */
	uint64_t trap_op; /* what asked it to */
	bool renew; /* connect although an SA is up, to replace it */
	/* Connect although an SA is up, which does not answer: dropped when it does.  Its name and
	 * address come last. */
	bool beside;
	size_t first_name; /* names are tried from this one on */
	struct ip avoid; /* family 0: none */
	mono_t calm_until; /* nothing is made beside an SA again so soon */
	mono_t lost_until; /* nor in place of one that the peer lost */
	bool lookup_only; /* the look-up in flight is only to know the peer's addresses */
	unsigned failures;
	uint64_t resolve; /* look-up in flight, 0: none */
	struct learnt *learnt; /* owned; NULL: nothing */
	bool named_only; /* what was learnt is not tried now: another hub of the network is up */
	struct attach attach;
	size_t next_name; /* of those of the configuration, then of `learnt` */
	struct known_address *addrs; /* owned */
	size_t n_addrs;
	size_t next_addr;
	struct steered *steered; /* owned; NULL: nobody ever sent us on (redirect.c) */
	bool to_gateway; /* that one is looked up next, before any name */
	bool at_gateway; /* what is looked up, or called */
	struct leases *leases; /* owned; NULL: it never had a pool (inner.h) */
	struct inner *inner; /* owned: what the peer gave us; NULL: nothing yet */
	bool inner_owed; /* that it is gone was not told */
	struct partner *partner; /* owned (partner.h); NULL: it is none */
};

void peers_free(struct ike *ike);
/* A section's peer, linked to nothing; NULL: out of memory. */
struct peer *peer_new(struct ike *ike, struct ike_conf *conf, const struct ike_peer_conf *c);
void peer_free(struct ike *ike, struct peer *p);
struct peer *peer_by_id(const struct ike *ike, ike_peer_id id);
/* From now on it is found by its id; no longer. */
void peer_number(struct ike *ike, struct peer *p);
void peer_unnumber(struct ike *ike, struct peer *p);
void peer_connect(struct ike *ike, struct peer *p);
/* Connects although an SA is up, to replace it. */
void peer_renew(struct ike *ike, struct peer *p);
/* Begins to work on what the section wants: connects, sets its trap, looks up its addresses. */
void peer_start(struct ike *ike, struct peer *p);
/* The selectors that the data plane watches for it have changed, or nobody wants them any more. */
void peer_untrap(struct ike *ike, struct peer *p);
/* The data plane refused an operation that was no child's. */
void peer_trap_failed(struct ike *ike, uint64_t op);
/* Its names have changed: what is known of its addresses is forgotten. */
void peer_forget_addresses(struct ike *ike, struct peer *p);
void peer_resolved(struct ike *ike, uint64_t resolve, const struct ike_address *addrs, size_t n);
/* Connects beside an SA that does not answer, elsewhere if there is an elsewhere; `others`: other
 * ways are tried with that SA. */
void peer_beside(struct ike *ike, const struct ike_sa *sa, bool others);
/* A gateway sent us on: what is under way ends, and the one that it named is called first. */
void peer_steer(struct ike *ike, struct peer *p);
/* It answers: what was begun for its sake ends. */
void peer_answers(struct ike *ike, const struct ike_sa *sa);
/* It lost an SA, and is there: called anew at once. */
void peer_lost(struct ike *ike, struct peer *p, const struct ip *at);
/* How many names there are to be tried, */
size_t peer_names(const struct peer *p);
/* and which of them is. */
size_t peer_name_index(const struct peer *p);
/* Several hubs at once (attach.c).  Something has happened to an SA of that peer, of whomever:
 * looked at when the entry is over. */
void attach_soon(struct ike *ike, const struct peer *p);
void attach_run(struct ike *ike);
void attach_timer(struct ike *ike);
void attach_reconfigured(struct ike *ike);
/* Whether nothing is to be sent on children of that SA of `p`, since another hub has the traffic.
 */
bool attach_holds(const struct peer *p, const struct ike_sa *sa);
/* Whether another section of its network has a child. */
bool attach_others_stand(const struct ike *ike, const struct peer *p);
/* ike_hubs() (learnt.c) */
MUST enum status peer_learns(struct ike *ike, struct peer *p, const struct ike_hub_place *at,
			     size_t n);
/* Where the attempt under way leads, and whether others are left beside that. */
uint16_t peer_port(const struct peer *p);
bool peer_has_others(const struct peer *p);
void peer_forgets(struct ike *ike, struct section *s);
/* Whether the attempt is not the last that can be made before a pause. */
bool peer_has_more(const struct peer *p);
/* An attempt of ours failed before it was up: next address, next name, or later. */
void peer_attempt_failed(struct ike *ike, struct peer *p, const char *why);
void peer_sa_up(struct ike *ike, const struct ike_sa *sa);
/* An SA of it was unlinked; `was_up`: one that had been established. May free the peer. */
void peer_sa_gone(struct ike *ike, struct peer *p, bool was_up);
/* What the peer does not give in an exchange of ours. */
void peer_child_refused(struct ike *ike, struct peer *p);
void peer_child_installed(struct peer *p);
/* The data plane refused it; its SA is still there. */
void peer_child_failed(struct ike *ike, struct peer *p);
/* A wanted peer without a child is tried again, a little later. */
void peer_child_gone(struct ike *ike, struct peer *p);
void peer_timer(struct ike *ike, struct timer *t);
void peer_acquire(struct ike *ike, const struct dp_report *r);
void peer_down(struct ike *ike, struct peer *p, const char *why);
bool peer_has_child(const struct peer *p);
/* 0.75 to 1.25 times that. */
dur_t jitter(struct ike *ike, dur_t d);
bool peer_connecting(const struct peer *p);
void peer_error(struct ike *ike, struct peer *p, const char *text);
const char *peer_last_error(const struct peer *p); /* "" when there is none */

/* ---- to another gateway: we (redirect.c) ------------------------------------------------- */

/* In IKE_SA_INIT: that we can be sent on, and by whom we were. */
void redirect_put_support(const struct ike *ike, struct ike_sa *sa, struct wire_out *o);
/* The REDIRECT of an IKE_AUTH response that makes no child; NULL: there is none. */
const struct wire_notify *redirect_in_auth(const struct wire_payloads *in);
/* The responder is who it should be, and says that.  Ends the attempt. */
void redirect_i_auth(struct ike *ike, struct attempt *at, const struct wire_notify *n);
/* What a request of the peer says of it, answered already. */
void redirect_in_session(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in);
/* Where the section is to call first; NULL: its own names. */
const char *redirect_gateway(const struct peer *p);
/* An attempt there failed for good.  True: there is an SA that is good enough. */
bool redirect_failed(struct ike *ike, struct peer *p);
/* A new SA has its child. */
void redirect_served(struct peer *p, const struct ike_sa *sa);
/* Back to the configured names. */
void redirect_forget(struct peer *p);
void redirect_free(struct ike *ike, struct section *s);
void redirect_info(const struct peer *p, struct now now, struct ike_peer_info *ret);

/* ---- and those who call us (steer.c) ------------------------------------------------------ */

/* What IKE_SA_INIT says of it. */
void steer_read(struct handshake *hs, const struct wire_payloads *p);
/* True: the newcomer was sent on, and is forgotten. */
bool steer_init(struct ike *ike, const struct ike_datagram *d, const struct wire_ike_msg *msg,
		enum proof proof);
/* The attempt's peer has proved who it is: where it is sent; "": nowhere. */
void steer_auth(struct ike *ike, const struct attempt *at, struct peer *section,
		char ret_gateway[IKE_GATEWAY_TEXT]);
void steer_put(const char *gateway, struct wire_out *o);
void steer_told(struct ike *ike, struct ike_sa *sa, const char *gateway);
/* The SA is up: it may have to hear that it is sent on, see steer_auth(). */
void steer_soon(struct ike *ike, struct ike_sa *sa);
/* In a session: whether it is to be told, and does so.  False: no memory. */
bool steer_wants(const struct ike_sa *sa);
bool steer_next(struct ike *ike, struct ike_sa *sa);
MUST enum status steer_command(struct ike *ike, const struct ike_cmd *cmd);
void steers_free(struct ike *ike);
/* A section that stands for all who may call, as far as this goes; NULL: there is none. */
const struct ike_peer_conf *steer_common(const struct ike_conf *conf);

/* ---- who is meant (lookup.c) ------------------------------------------------------------- */

/* Whether the section stands for many: those who match have instances. */
bool peer_is_pattern(const struct ike_peer_conf *c);

/* Enters `p` into the map by identity under its present `under` and `ident`; leaves it again. */
void peer_index(struct ike *ike, struct peer *p);
void peer_unindex(struct ike *ike, struct peer *p);
/* The first that is known under that identity behind `after` (NULL: of all): one of `under`, or for
 * NULL sections that name it exactly, of which there may be several. */
struct peer *peer_by_ident(struct ike *ike, const struct peer *under, const struct policy_ident *id,
			   struct peer *after);

/* IKE proposals that sections share: a request is held against each once. */
struct offer {
	struct map_node node; /* while they are collected */
	const struct wire_sa *ike;
	const char *name; /* of the first section that has it */
	size_t n_peers;
	bool anywhere; /* a section without addresses has it */
};

/* Collected from a configuration, in its order; `of[i]` is the offer of its i-th peer, NULL for one
 * that never makes us a responder. */
struct offers {
	struct offer *v;
	size_t n;
	const struct offer **of;
};

bool proposals_eq(const struct wire_sa *a, const struct wire_sa *b);
MUST enum status offers_collect(struct ike *ike, const struct ike_conf *conf,
				struct offers *ret_offers);
void offers_done(struct ike *ike, struct offers *o);

/* Sections that have that address, in no order; returns how many were put into `ret`. */
size_t peers_at(const struct ike *ike, const struct ip *ip, struct peer **ret, size_t max);
void peer_index_address(struct ike *ike, struct known_address *a);

/* ---- identities behind patterns (member.c) ----------------------------------------------- */

/* The instance for that identity, there or new and linked to nothing yet. */
MUST enum status instance_get(struct ike *ike, struct peer *under, const struct policy_ident *id,
			      struct peer **ret_peer);
/* Takes NULL, and what is linked, which it leaves alone: for giving up before a commit. */
void instance_drop(struct ike *ike, struct peer *p);
void instance_link(struct ike *ike, struct peer *p);
/* The last SA is gone. */
void instance_free(struct ike *ike, struct peer *p);
/* A section with a pattern knows now who answered it; `id` is copied.  An instance of that identity
 * becomes one with it. */
MUST enum status peer_bind(struct ike *ike, struct peer *p, const struct policy_ident *id);
void peer_unbind(struct ike *ike, struct peer *p);

struct bytes cred_put(struct arena *ar, const struct crypto_cert_facts *f);
const struct cred *cred_of(struct bytes b); /* NULL for none */
/* What of these, in the order of crypto_cert_facts, our list has: "certificate", or what is above
 * it; NULL: nothing. */
const char *what_is_revoked(const struct ike_peer_conf *conf,
			    const uint8_t (*ids)[CRYPTO_REVOCATION_ID], size_t n);
const char *cred_revoked(const struct ike_peer_conf *conf, const struct cred *cred);

/* The rule of ours that is about it; NULL: there is none. */
const struct ike_member_rule *member_rule(const struct ike_peer_conf *conf,
					  const struct policy_ident *id);
/* What that identity, of peer `p`, may source: see policy_authorise(). */
MUST enum status member_authorise(struct arena *ar, const struct peer *p,
				  const struct policy_ident *id, const struct cred *cred,
				  struct text *by, struct wire_ts_list *ret_allowed);
/* The same of a `peer`: its selectors, and what we leased to it. */
MUST enum status fixed_authorise(struct arena *ar, const struct peer *p,
				 const struct policy_ident *id, struct wire_ts_list *ret_allowed);

/*
 * Takes out of `*ts` whatever prefix another identity has up: who has it keeps it until its SA
 * ends. A prefix inside another one is no conflict if it was granted so, since the longest decides
 * where a packet goes; `granted` is all that the claimant may have.  `conflict` gets both names and
 * the prefixes, and stays empty when there is none. ST_REFUSE: nothing is left, or it cannot be had
 * in so many prefixes; `why` says so.
 */
MUST enum status claims_resolve(struct ike *ike, struct arena *ar, const struct peer *p,
				const struct policy_ident *id, const struct wire_ts_list *granted,
				struct wire_ts_list *ts, struct text *conflict, struct text *why);
/* Whether somebody else has a prefix up that has an address of the section's pool, so that
 * claims_resolve() would not let that identity have it: which. */
bool claims_have(struct ike *ike, const struct peer *section, const struct policy_ident *id,
		 const struct ip *ip, struct prefix *ret_prefix);
MUST enum status claims_take(struct ike *ike, struct peer *p, struct child *c);
void claims_drop(struct ike *ike, struct peer *p, struct child *c);

/* The hub of our network: is it one? `why` says what it is instead. */
bool hub_accepted(const struct ike_peer_conf *conf, const struct policy_ident *id,
		  const struct cred *cred, struct text *why);
/* What it answered as TSr, or what an SA has: is it the hub's and the network's? */
bool hub_may_source(const struct ike_peer_conf *conf, const struct cred *cred,
		    const struct wire_ts_list *ts, struct text *why);
/* The same of an inner address that it gives us. */
bool hub_may_give(const struct ike_peer_conf *conf, const struct cred *cred,
		  const struct wire_ts_list *ts, struct text *why);

/* ---- configurations (reload.c) ----------------------------------------------------------- */

MUST enum status peers_configure(struct ike *ike, struct ike_conf *conf);

/* ---- moving (mobike.c, move_r.c, network.c; RFC 4555) -------------------------------------- */

/* What the request in flight is, if it is about moving. */
enum moving_request {
	MOVING_NOTHING,
	MOVING_UPDATE, /* UPDATE_SA_ADDRESSES */
	MOVING_ADDRESSES, /* what addresses we have */
	MOVING_CHECK, /* COOKIE2: are you there? */
	MOVING_PROBE, /* with NAT detection, whose answer is compared */
};

/*
 * An SA on the move; most never have one.  The path of the SA is where its IKE messages go.
 * Packets of its children go there too, but for the time in which the peer has to show first that
 * it is there (`checking` and `held`): then they go where it was known to be, `settled`.
 */
struct moving {
	struct ike_sa *sa;
	struct map_node by_lookup;
	uint64_t lookup; /* in flight; 0: none */
	struct ip peer[IKE_MAX_PEER_ADDRESSES]; /* what it said that its addresses are, the one
						 * that it used first */
	struct path settled;
	struct wish update; /* we decide: UPDATE_SA_ADDRESSES has to go out (pending_update) */
	struct endpoint left; /* where the peer was until it said that it had moved, */
	mono_t left_until; /* and until when what comes from there was under way */
	mono_t counted; /* when `moves` was last right */
	uint8_t cookie[IKE_COOKIE2_LEN]; /* in the request in flight, if `asked` */
	uint8_t natd[NATD_LEN]; /* our address as the peer saw it last */
	uint8_t n_peer;
	uint8_t candidate; /* of the peer's addresses: the one that `lookup` is about */
	uint8_t moves; /* that the peer may make now */
	uint16_t next_pair; /* of addresses, to be tried */
	enum moving_request request : 8;
	bool asked : 1; /* the request in flight has COOKIE2 */
	bool several : 1; /* it went to several addresses: its answer does not tell which is one */
	bool tried : 1; /* of which any that answers will do */
	bool checking : 1;
	bool held : 1;
	bool check : 1; /* a request with COOKIE2 has to go out */
	bool has_natd : 1;
	bool away : 1; /* no address of the peer is reached from here: nothing is sent */
	bool updated : 1; /* by the peer, under this IKE SA */
	bool limited : 1; /* the peer moved too often, and was told */
};

/* NULL: no memory. */
struct moving *moving_get(struct ike *ike, struct ike_sa *sa);
void moving_free(struct ike *ike, struct ike_sa *sa);
/* `to` takes the place of `from`; both paths are the same by now. */
void moving_inherit(struct ike *ike, struct ike_sa *from, struct ike_sa *to);

/* Where packets of its children go. */
const struct path *moving_traffic(const struct ike_sa *sa);
/* The SA is there from now on, and its children too, unless policy wants the peer to show first
 * that it is. */
void moving_to(struct ike *ike, struct ike_sa *sa, const struct path *to, const char *why);
/* The peer showed that it is where the SA is. */
void moving_proven(struct ike *ike, struct ike_sa *sa);
/* The request in flight goes unanswered at an address where the peer is not known to be: back to
 * where it was.  False: that is not so. */
bool moving_back(struct ike *ike, struct ike_sa *sa);
/* Tries that a request has there; 0: as many as any other. */
unsigned moving_tries(const struct ike_sa *sa);
/* Nothing can be sent. */
bool moving_away(const struct ike_sa *sa);

/* IKE_AUTH: that we can move, and our addresses.  What the peer says of it. */
void mobike_put_first(const struct ike *ike, const struct ike_peer_conf *conf,
		      const struct path *path, struct wire_out *o);
bool mobike_supported(const struct wire_payloads *p);
/* What follows from it, but for the word itself (ike_sa.mobike), which the first child knows. */
void mobike_agree(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *p);
/* Whether NO_NATS_ALLOWED of a message that came that way, if it has one, says the same. */
bool mobike_nat_free(const struct wire_payloads *p, const struct path *path);
/* Whether a NAT is on that path and must not, by our configuration or by what an IKE_AUTH request
 * says (NULL: there is none). */
bool mobike_translated(const struct ike_peer_conf *conf, const struct path *path,
		       const struct path *came, const struct wire_payloads *p, struct text *why);

/* We decide, and that is where the SA goes. */
void mobike_go(struct ike *ike, struct ike_sa *sa, const struct endpoint *local,
	       const struct endpoint *remote, const char *why);
/* The peer has not deleted the IKE SA that its rekey replaced: it may not know the new one yet, and
 * have nothing but the old one to learn from where we are. */
void mobike_old_too(struct ike *ike, const struct ike_sa *sa);
/* Whether a request about moving has to go out now, ahead of what else there is; `unproven`: the
 * peer may not know this IKE SA yet. */
bool mobike_wants(const struct ike *ike, const struct ike_sa *sa, bool unproven);
/* Sends it.  False: no memory. */
bool mobike_next(struct ike *ike, struct ike_sa *sa);
/* Nothing that was not sent yet may be in its way. */
bool mobike_urgent(const struct ike *ike, const struct ike_sa *sa);
/* What a probe has in it: true when its answer is MOVING_PROBE's. */
bool mobike_put_probe(struct ike *ike, struct ike_sa *sa, struct wire_out *o);
/* A request went out; what it is. */
void mobike_sent(struct ike_sa *sa, enum moving_request what);
/* The request in flight was answered, to this datagram's addresses. */
void mobike_answered(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d);
/* What the answer says, when it is one of INFORMATIONAL.  False: the SA is given up. */
bool mobike_answer(struct ike *ike, struct ike_sa *sa, const struct wire_payloads *in);
/* The peer does not answer: the request in flight goes to other pairs of addresses as well, with
 * each try to others.  False: there are none. */
bool mobike_try_others(struct ike *ike, struct ike_sa *sa);
/* What else the peer may be at, in the order in which to try it: what is inside the tunnel comes
 * last.  NULL: there are no more. */
const struct ip *mobike_peer(const struct ike_sa *sa, size_t i);
/* The peer's port at one of its addresses. */
struct endpoint mobike_peer_at(const struct ike_sa *sa, const struct ip *ip);

/* What the peer's request means for our addresses of it (move_r.c). */
struct move {
	struct ike_sa *sa; /* whose they are: another one while an IKE SA is rekeyed; NULL: none */
	bool update;
	bool addresses;
	uint16_t refuse; /* the answer; 0: none */
	const char *why;
	enum ike_counter counter;
};

/* ST_NOMEM: no answer for now.  Nothing is changed yet. */
MUST enum status move_judge(struct ike *ike, struct ike_sa *sa, const struct rx *rx,
			    struct move *ret);
void move_put_answer(struct ike *ike, const struct ike_sa *sa, const struct rx *rx,
		     const struct move *m, struct wire_out *o);
void move_commit(struct ike *ike, struct ike_sa *sa, const struct rx *rx, const struct move *m);
/* What it says of a NAT in front of a partner that we called. */
void move_translated(struct ike *ike, struct ike_sa *sa, const struct rx *rx);

/* Our host's addresses are these from now on (network.c). */
void network_changed(struct ike *ike, const struct ip *own, size_t n);
void network_timer(struct ike *ike);
/* Looks up how the peer is reached, beginning with its address number `candidate`. */
void network_look_up(struct ike *ike, struct ike_sa *sa, size_t candidate);
/* False: the look-up was not about an SA. */
bool network_resolved(struct ike *ike, uint64_t lookup, const struct ike_address *addrs, size_t n);
bool network_has(const struct ike *ike, const struct ip *ip);

/* ---- the engine (engine.c) --------------------------------------------------------------- */

struct ike {
	const struct alloc *mem;
	struct crypto crypto;
	struct ike_conf *conf;
	struct now now; /* of the entry under way */
	/* Where the request came from that is being worked on: the answer goes there
	 * (section 2.11). */
	struct path asked_from;
	struct list auth_names;
	bool clock_seen; /* the wall clock was trusted once, */
	int64_t clock_offset; /* and was so many seconds ahead of the other */
	struct heap timers;
	struct list sas;
	struct list peers; /* sections */
	struct list in_order; /* all that have a number, smallest first */
	struct list partners; /* none of these (partner.h) */
	struct list partners_todo; /* those whose SAs have changed */
	struct map partner_by_key;
	size_t n_partners; /* that may call, or be called */
	struct list patterns; /* those of them that stand for many, in the configuration's order */
	struct map peer_by_id;
	struct map peer_by_ident;
	struct map peer_by_addr;
	struct map peer_by_resolve;
	struct offers offers;
	size_t n_callable; /* sections that may make us a responder */
	bool any_ppk; /* a section that may be called has a PPK */
	bool childless; /* and one takes IKE SAs without a child (RFC 6023) */
	bool silent; /* a site: nobody may call us, so nobody hears from us */
	struct policy_table *claims; /* prefix -> peer that has it up */
	struct ip own[IKE_MAX_OWN]; /* our host's addresses, as far as we were told */
	size_t n_own;
	struct timer network; /* SAs that have to hear of them */
	struct map moving_by_lookup;
	struct map sa_by_spi;
	struct map half_open; /* by IKE_SA_INIT request */
	struct map jobs;
	size_t n_jobs[CRYPTO_JOBS]; /* outstanding, by kind */
	struct map child_by_id;
	struct map child_by_spi;
	struct map child_by_op;
	struct list todo; /* SAs that may have something to do */
	struct list large; /* SAs with a request in flight that could go in smaller packets */
	struct path_mtus path_mtus;
	struct list searches;
	size_t n_searches;
	struct list steers; /* orders to send callers on */
	size_t n_steers;
	size_t steer_turn;
	const struct ike_peer_conf *steer_common;
	struct budget {
		struct list list; /* of reassemblies, oldest first */
		size_t bytes;
	} reassembling[2]; /* [1]: of callers who have proved nothing */
	bool fragments; /* some peer that may call us takes fragments */
	struct list owed; /* children whose deletion the data plane has not been told */
	struct list pools; /* of all sections that have, or had, one */
	struct map stores; /* operations of the store that somebody waits for */
	struct list asked; /* attempts that wait for ike_answer() */
	bool store_fails; /* the newest result of the store */
	bool inner_owed; /* some section's is */
	bool attach_todo; /* which of several hubs leads has to be looked at */
	size_t n_sas, n_half_open, n_children;
	uint64_t last_sa, last_child, last_job, last_op, last_resolve, last_store, last_instance,
		last_word;
	uint32_t last_pool;
	struct outbox out;
	struct out_item *current; /* handed out last */
	struct {
		bool full;
		struct ike_out out;
		uint8_t buf[640]; /* REDIRECT has a host name and a nonce in it */
	} stateless; /* one answer that needs no memory */
	struct cookies cookies;
	struct admit admit;
	struct {
		bool wanted; /* some peer authenticates with a certificate */
		size_t n;
		uint8_t hashes[IKE_MAX_ANCHORS * IKE_ANCHOR_LEN];
	} certreq; /* what a responder asks for while it does not know whom */
	struct per_second strays; /* answers and events about what nobody vouches for */
	struct per_second hurries; /* probes that are to tell soon */
	bool any_qcd; /* a section that may be called gets tokens */
	struct {
		struct map jobs;
		size_t n_strangers; /* of them */
		mono_t began;
		struct per_second answers, events;
		mono_t second; /* of `by_source` */
		uint8_t by_source[256];
	} qcd;
	struct {
		struct per_second notices, invalid_spi; /* read */
		struct per_second taken;
		struct per_second unknown_esp;
	} hints;
	bool shutdown;
	uint8_t *buf; /* IKE_MAX_MESSAGE bytes, for building */
	uint64_t faults[WIRE_FAULTS];
	uint64_t counters[IKE_COUNTERS];
};

static inline void count(struct ike *ike, enum ike_counter c)
{
	ike->counters[c]++;
}

/* Whether one more of at most `max` in a second may happen now. */
bool per_second_take(const struct ike *ike, struct per_second *s, unsigned max);

/* A message for an existing SA (dispatch.c). */
void sa_input(struct ike *ike, struct ike_sa *sa, const struct ike_datagram *d,
	      const struct wire_hdr *h);

/* Whether one more unauthenticated answer may go out now. */
bool stray_allowed(struct ike *ike);
/* The header of an answer to a request that no SA takes. */
struct wire_hdr stray_header(const struct wire_hdr *h);
/* Sends `msg`, which lies in ike->stateless.buf, back where `d` came from. */
void stateless_send(struct ike *ike, const struct ike_datagram *d, struct bytes msg);

/* ---- events and traces (event.c) --------------------------------------------------------- */

struct event_about {
	const struct ike_sa *sa;
	const struct child *child;
	const struct peer *peer; /* when there is no sa */
	const struct endpoint *local, *remote;
	enum ike_reason reason;
};

/* What a peer calls itself, for events about its handshake. */
void event_claimed(struct ike_sa *sa, const struct wire_id *id);

/* False: there was no memory for it. */
__attribute__((format(printf, 4, 5))) bool event_emit(struct ike *ike, enum ike_event_kind kind,
						      struct event_about about, const char *fmt,
						      ...);

enum trace_id {
	T_STATE,
	T_RX,
	T_TX,
	T_RETRANSMIT,
	T_JOB,
	T_JOB_DONE,
	T_DROP,
	T_POINTS,
};

void trace_emit(struct ike *ike, enum trace_id point, ike_sa_id sa, uint64_t a, uint64_t b,
		uint64_t c, uint64_t d);
