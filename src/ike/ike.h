/*
 * ike.h - the IKEv2 engine (RFC 7296): one object, any number of SAs, no I/O.
 *
 * The contract.  Everything goes in through the functions below, each with the time; everything
 * that has to happen comes out of ike_next().  The host drives one entry, then drains outputs
 * until IKE_OUT_NONE, then waits for a datagram, a result, or ike_deadline().  Nothing calls back,
 * reads a clock or blocks.  Same configuration, same random bytes, same inputs in the same order:
 * same outputs, byte for byte.
 *
 *	ike_input()     a datagram                  SEND      a datagram to send
 *	ike_dp()        a data-plane report         DP        an operation for the data plane
 *	ike_job_done()  a result of slow crypto     JOB       slow crypto; the host owns the job
 *	ike_resolved()  addresses of a name         CANCEL    a job nobody waits for any more
 *	ike_stored()    it will survive a crash     RESOLVE   a name to look up
 *	ike_network()   our addresses and routes    STORE     what has to survive a crash
 *	ike_timer()     time passed                 INNER     inner addresses, for us to use
 *	ike_command()   what the operator wants     EVENT     for operators and upper modules
 *	ike_reconfigure()                           TRACE, KEYS
 *	ike_lease_load()                            ASKED, ANSWERED  words of upper modules
 *	ike_ask(), ike_answer(), ike_hubs()
 *	ike_partner_add(), _measured(), _connect(), _drop()
 *
 * Ids (SAs, children, jobs, operations, look-ups, stores) are never reused; a result for an unknown
 *id is dropped and counted.  Outputs are emitted in an order that matters: the host must carry them
 *out in that order.
 *
 * Inside, an SA is split by concern: window.c (message ids, retransmission), keys.c, path.c
 * (addresses, NAT), child.c, one file per exchange; exchanges are rows of a const table (table.c).
 * A handler works on locals and commits once; one that needs jobs is a chain of steps around an
 * `attempt` (attempt.c).  What an SA still has to do is state, from which the next request is
 * chosen when the window is free (agenda.c).  Peers, i.e. configured counterparts with their wish
 * to be connected, live in peer.c; those that are one identity behind a pattern or in a network,
 * and what they may source, in member.c and claims.c; what a message may be about is found in
 * lookup.c, without walking them; reload.c compares configurations.
 *
 * Inner addresses (the configuration payload, RFC 7296 section 2.19): inner_r.c gives them out of
 * pools, as leases by identity, which are stored before anybody uses them; inner_i.c asks for them.
 *
 * Known gap: no EAP.
 */
#pragma once

#include "base/base.h"
#include "crypto/crypto.h"
#include "dp/dp.h"
#include "policy/policy.h"

typedef uint64_t ike_sa_id;
typedef dp_peer_id ike_peer_id;

/* Peers of the configuration have ids below; those that the engine makes, one for each identity
 * behind a pattern or in a network, have ids from here on. */
#define IKE_PEER_DYNAMIC ((ike_peer_id)1 << 32)

/* ---- configuration ----------------------------------------------------------------------- */

enum ike_start {
	IKE_START_TRAFFIC, /* when a packet wants to go there */
	IKE_START_UP, /* now, and again whenever it is down */
	IKE_START_LISTEN, /* never by us */
};

enum ike_auth_kind {
	IKE_AUTH_PSK,
	IKE_AUTH_CERT,
};

/*
 * What a counterpart is to us, and so what it may source (the PAD of RFC 4301 section 4.4.3, as
 * values).  Authority comes from its certificate's address blocks or from our configuration, never
 * from its word.
 */
enum ike_role {
	/* A `peer`: the selectors are what the configuration says.  When remote_id is a pattern it
	 * stands for everybody who matches: each identity is a peer of its own. */
	IKE_ROLE_FIXED,
	/* A hub of a network in which we are a site.  We only ever initiate, to its addresses, and
	 * are silent to IKE_SA_INIT.  It must be a hub: its identity is one of `hub_ids`, or the
	 * blocks of its certificate have all of `domain`.  What it answers as TSr must lie in its
	 * blocks (if it has such), and in `domain` (if that is not empty). */
	IKE_ROLE_HUB,
	/* We are a hub: everybody whom `trust` vouches for.  TSi is narrowed to what that identity
	 * is authorised for (the first of `rules` that matches, else its blocks), inside `domain`;
	 * TSr to `domain`.  Each identity is a peer of its own while it has an SA. */
	IKE_ROLE_MEMBERS,
	/* Another member of our network, to whom a hub suggested a direct tunnel: made by
	 * ike_partner_add(), never in a configuration. */
	IKE_ROLE_PARTNER,
};

/* What upper modules of both ends can do (docs/protocol/shortcut.md section 3); bits. */
enum ike_capability {
	IKE_CAN_PARTNER = 1 << 0, /* takes suggestions */
	IKE_CAN_HUB = 1 << 1, /* makes them */
	IKE_CAN_RELAY = 1 << 2, /* passes them on for another hub */
	IKE_AT_SEVERAL = 1 << 3, /* is up at several hubs at once, and means to */
	IKE_CAN_ASK = 1 << 4, /* can be asked for one */
};

/* On whose word somebody may source a prefix. */
enum ike_authority {
	IKE_AUTHORITY_CERT, /* address blocks of its own certificate */
	IKE_AUTHORITY_POOL, /* a lease of the hub's */
	IKE_AUTHORITY_RULE, /* a rule in the hub's file */
	IKE_AUTHORITIES,
};

/* What the hub's own file grants an identity, whatever its certificate says. */
struct ike_member_rule {
	struct policy_ident id; /* pattern */
	struct wire_ts_list prefixes; /* all protocols */
};

/*
 * How long SAs live; 0: no such limit.  Soft limits are drawn anew below the value given for each
 * SA (life.c); at a hard one it is not used a moment longer.  Limits by bytes and packets are of
 * one direction; they are never above what the cipher bears, whatever is given here.
 */
struct ike_life {
	dur_t ike_soft, ike_hard; /* age of an IKE SA's keys */
	dur_t child_soft, child_hard;
	uint64_t soft_bytes, hard_bytes;
	uint64_t soft_packets, hard_packets;
	dur_t reauth; /* age of the proof of identity, of either end (RFC 4478) */
	bool outlive_certs; /* an SA may outlive the certificates that it was made with */
};

/* RFC 6023 */
enum ike_childless {
	IKE_CHILDLESS_ALLOW, /* as responder; as initiator there is a child in IKE_AUTH */
	IKE_CHILDLESS_FORCE, /* no IKE_AUTH with a child, in neither role */
	IKE_CHILDLESS_NEVER,
};

/* What an address is worth that the other end moved to, until it has shown that it is there
 * (RFC 4555 section 3.7). */
enum ike_routability {
	IKE_ROUTABILITY_NO, /* as much as any other */
	IKE_ROUTABILITY_BEFORE, /* nothing goes there but the question */
	IKE_ROUTABILITY_AFTER, /* traffic goes there at once, and back if nobody answers */
};

/* A counterpart.  All pointers belong to the configuration. */
struct ike_peer_conf {
	ike_peer_id id; /* not 0; the same peer keeps its id across reconfigurations */
	const char *name;
	/* HUB: sections with the same are hubs of one network, to all of which we are attached at
	 * once; the lower rank is preferred, and there is one of rank 0.  NULL: it is the only one.
	 */
	const char *network;
	unsigned rank;
	const char *const
		*addresses; /* names or address texts, in order of preference; may be none */
	size_t n_addresses;
	uint16_t port; /* theirs, 500 */
	struct policy_ident local_id;
	struct policy_ident remote_id; /* pattern */
	enum ike_auth_kind auth; /* both directions */
	crypto_ref psk;
	crypto_ref key;
	struct bytes certs[CRYPTO_CERTS_MAX]; /* ours, end entity first */
	size_t n_certs;
	crypto_ref trust;
	struct bytes trust_hashes; /* CERTREQ data */
	struct wire_sa ike; /* proposals, most preferred first */
	struct wire_sa esp;
	struct wire_ts_list ts_local;
	struct wire_ts_list ts_remote;
	enum ike_start start;
	dur_t dpd_delay; /* 0: no dead-peer detection */
	dur_t keepalive; /* NAT keepalive interval, 0: none */
	bool silence; /* traffic without an answer makes us ask whether it is still there */
	bool qcd; /* quick crash detection (RFC 6290), in both roles */
	struct ike_life life;
	enum ike_childless childless;
	/* RFC 8784.  0: no PPK; the id is what follows its type. */
	crypto_ref ppk;
	struct bytes ppk_id;
	bool ppk_required; /* no SA without it */
	wall_t not_after; /* of our certificates; 0: without, or not known */
	/* RFC 5685.  As initiator: go where the gateway sends us.  As responder: where callers are
	 * sent in turn, when there are so many IKE SAs (0: always), and how long they have for it.
	 */
	bool follow;
	const char *const *redirect_to; /* names or address texts; may be none */
	size_t n_redirect_to;
	size_t redirect_above;
	dur_t redirect_wait;
	/* Bits that are announced to who is a warren, in IKE_AUTH; 0: none, and whoever asks us
	 * anything in the exchange that they are about is refused. */
	uint8_t capabilities;
	/* Reports of the data plane say which members talk to each other through us, and what
	 * comes from where it would go back to is dropped. */
	bool flows;
	/* The other end must not relay: nothing goes to it, or is taken from it, but what is
	 * `relayed`'s, its own (struct dp_child). */
	bool direct;
	struct wire_ts_list relayed; /* all protocols; may be empty */
	dur_t idle; /* without traffic that counts its SA ends; 0: never */
	bool mtu_probes; /* path MTUs are searched for by probes (RFC 8899) */
	bool fragmentation; /* large messages go in fragments if the peer takes them (RFC 7383) */
	bool mobike; /* either end may change its addresses (RFC 4555) */
	bool nats_allowed; /* else whoever changes addresses on the way is an attacker */
	enum ike_routability return_routability;
	enum ike_role role;
	const struct policy_ident *hub_ids; /* HUB */
	size_t n_hub_ids;
	struct wire_ts_list
		domain; /* HUB, MEMBERS; all protocols.  MEMBERS: the same as ts_local */
	const struct ike_member_rule *rules; /* MEMBERS; the first that matches counts */
	size_t n_rules;
	/* As a responder: what it may be given.  Nothing without a pool.  No two sections' pools
	 * have an address in common. */
	const struct ip_range *pool;
	size_t n_pool;
	const struct ip *pool_but; /* somebody has these already: we, name servers */
	size_t n_pool_but;
	dur_t lease_keep; /* after its last SA an identity's addresses stay its own */
	uint32_t leases_max; /* identities that have some at a time; 0: any number */
	const struct ip *dns;
	size_t n_dns;
	const char *const *dns_domains; /* that these resolve (RFC 8598); needs `dns` */
	size_t n_dns_domains;
	/* As an initiator: the families of inner addresses that we ask for, and cannot do without
	 * any of; only we call.  The selectors that we ask for are then all addresses of these
	 * families and `ts_local`, which may be empty. */
	bool ask_v4, ask_v6;
	struct ip ask[2]; /* those that we would like to have, of IPv4 and of IPv6; family 0: any */
	/* Certificates that must not be accepted, and SAs that go on a reload: sorted by memcmp().
	 */
	const uint8_t (*revoked)[CRYPTO_REVOCATION_ID];
	size_t n_revoked;
	/* Equal as long as what we prove ourselves with (key, certificates), and what we judge the
	 * peer by (pre-shared key, anchors), are the same: references differ after each reload. */
	uint8_t own_digest[32];
	uint8_t peer_digest[32];
};

/* An immutable snapshot.  The engine holds references; the last ike_conf_unref() calls `free`. */
struct ike_conf {
	unsigned refs;
	void (*free)(struct ike_conf *conf);
	const struct ike_peer_conf *peers;
	size_t n_peers;
	uint16_t port; /* ours, 500 */
	uint16_t nat_port; /* ours, 4500 */
	dur_t retransmit_timeout; /* first; then times 1.8 each */
	unsigned retransmit_tries;
	unsigned half_open_cookie; /* half-open SAs from which on a cookie is demanded; 0: always */
	unsigned half_open_puzzle; /* from which on a puzzle is */
	unsigned half_open_max; /* there are never more */
	unsigned half_open_prefix; /* of one address (IPv6: /64) until it has to return a cookie;
				    * 0: no matter */
	unsigned init_rate_cookie; /* IKE_SA_INIT in a second from which on a cookie is demanded */
	uint8_t puzzle_max; /* zero bits of the hardest puzzle we ask for; 0: we ask for none */
	uint8_t puzzle_solve; /* of the hardest we solve; 0: we solve none */
	bool force_encap; /* the data plane has no DP_CAP_RAW_ESP: make peers use UDP encapsulation
			   */
	bool keys; /* emit KEYS outputs */
	bool trace; /* emit TRACE outputs */
};

/* Whether such a peer may call us just so: neither a hub of ours, nor a partner, who has to show
 * that he is one, nor one that we ask for inner addresses. */
bool ike_may_call(const struct ike_peer_conf *p);

struct ike_conf *ike_conf_ref(struct ike_conf *conf);
void ike_conf_unref(struct ike_conf *conf);

/* ---- inputs ------------------------------------------------------------------------------ */

struct ike;

/* `hash_key` seeds hash tables.  `conf` is referenced.  The provider must outlive the engine. */
MUST enum status ike_new(const struct alloc *mem, const struct crypto *crypto,
			 const uint64_t hash_key[2], struct ike_conf *conf, struct now now,
			 struct ike **ret_ike);

/* Frees everything without a word to any peer; see IKE_CMD_DOWN for the polite way. */
void ike_free(struct ike *ike);

struct ike_datagram {
	struct endpoint local; /* where it arrived: address and port */
	struct endpoint remote;
	struct bytes data; /* without the non-ESP marker; read only while the call runs */
};

void ike_input(struct ike *ike, struct now now, const struct ike_datagram *d);
void ike_dp(struct ike *ike, struct now now, const struct dp_report *r);
void ike_timer(struct ike *ike, struct now now);
void ike_job_done(struct ike *ike, struct now now, uint64_t job, const struct crypto_result *r);

/* One address of a peer with the source address the host would use towards it. */
struct ike_address {
	struct ip remote;
	struct ip local;
};

/* n == 0: the name does not resolve, or no route leads there. */
void ike_resolved(struct ike *ike, struct now now, uint64_t resolve,
		  const struct ike_address *addrs, size_t n);

/* The inner addresses of one identity, as the store keeps them. */
struct ike_lease {
	const char *peer; /* name of its section */
	struct policy_ident identity;
	struct ip v4, v6; /* family 0: none */
	wall_t since; /* when it was given the first of them */
	wall_t ended; /* when its last SA was gone; 0: it has some, or is about to */
};

enum ike_store_kind {
	/* Takes the place of what the store has for that section and identity, and of whoever else
	 * has one of the addresses there: they are lost to him, which the engine has seen to. */
	IKE_STORE_LEASE_PUT,
	/* Of that section and identity, there or not. */
	IKE_STORE_LEASE_DROP,
	/* All leases of that section, as they are by then, by ike_lease_load() before the result:
	 * a reload has changed its pool, and addresses of the new one may be somebody's since
	 * long.  Until then it gives away nothing. */
	IKE_STORE_LEASES_READ,
};

struct ike_store_op {
	enum ike_store_kind kind;
	struct ike_lease lease; /* DROP: `peer` and `identity` only; READ: `peer` only */
};

/* The operation is done, and will survive a crash; or it is not: ST_IO. In the order in which they
 * came out of the engine. */
void ike_stored(struct ike *ike, struct now now, uint64_t id, enum status st);

/* What the store has, before the first input; or later, if it could not be read until then, and
 * before the first ike_stored() that says ST_OK; or when it was asked for (LEASES_READ).  Those who
 * ended first come first.  What an identity has already stays.  ST_INVAL: there is no such section,
 * or the addresses are not of its pool, or somebody has them: kept out, counted, with an event. */
MUST enum status ike_lease_load(struct ike *ike, const struct ike_lease *l);
/*
 * The host's own addresses are these from now on (in order of preference: the first few are told
 * to peers; more than IKE_MAX_OWN are ignored), and routes may have changed.  To be called at the
 * beginning, and whenever one of both may be so: that nothing has changed costs little.
 *
 * What follows: for each IKE SA whose IKE_AUTH we initiated, RESOLVE asks how its peer is reached
 * now (the name is the peer's address as text); when the answer is another source address, or the
 * peer only has another address that is reached, an SA with MOBIKE moves there, any other one is
 * replaced.  Peers of the other SAs hear what our addresses are.
 */
void ike_network(struct ike *ike, struct now now, const struct ip *own, size_t n);

/* Peers whose section says what it said before are not touched.  Others are renewed, or go, as
 * reload.c has it.  ST_NOMEM: the old configuration goes on, all of it, and needs what it names.
 * References of the old configuration (keys, anchors) are still named by jobs under way. */
MUST enum status ike_reconfigure(struct ike *ike, struct now now, struct ike_conf *conf);

enum ike_cmd_kind {
	IKE_CMD_UP, /* connect a peer now */
	IKE_CMD_DOWN, /* delete a peer's SAs; it stays down until UP, traffic or its own wish */
	IKE_CMD_SHUTDOWN, /* delete all SAs, start nothing more; ike_idle() tells when done */
	IKE_CMD_REKEY_SA, /* replace IKE SA `sa` by one with other keys; 0: every one of `peer` */
	IKE_CMD_REKEY_CHILD, /* the same with `child`; 0: every child of `peer` */
	IKE_CMD_DOWN_SA, /* delete IKE SA `sa` */
	IKE_CMD_DOWN_CHILD, /* delete `child` */
	IKE_CMD_NEW_CHILD, /* of `peer`: one more child, with the section's selectors */
	/* RFC 5685 section 5: who called us, of `peer` (0: all), goes to `gateway`, one after the
	 * other; newcomers as well, until REDIRECT_OFF.  Of one that is a single identity only what
	 * is up now. */
	IKE_CMD_REDIRECT,
	IKE_CMD_REDIRECT_OFF, /* of `peer`; 0: all there is */
};

struct ike_cmd {
	enum ike_cmd_kind kind;
	ike_peer_id peer; /* UP, DOWN, NEW_CHILD; REKEY_SA and REKEY_CHILD without `sa`, `child` */
	ike_sa_id sa; /* REKEY_SA, DOWN_SA */
	dp_child_id child; /* REKEY_CHILD, DOWN_CHILD */
	const char *gateway; /* REDIRECT: address or host name */
};

/* ST_INVAL: no such peer, SA or child, or none that could do it: no address to connect to, no IKE
 * SA that is up; no such gateway.  REDIRECT: ST_REFUSE, that peer cannot be sent on, or there is
 * nothing to end; ST_AGAIN, too many orders. */
MUST enum status ike_command(struct ike *ike, struct now now, const struct ike_cmd *cmd);

/* ---- words of upper modules (docs/protocol/shortcut.md section 4) ------------------------ */

/* One notify in an exchange of its own, and one as the answer to it. */
struct ike_word {
	uint16_t notify;
	struct bytes data; /* copied; at most IKE_MAX_WORD */
};

/* Says it to a peer on its newest SA that is up, after what is to be said already.  It is answered
 * by one ANSWERED with that id, sooner or later.  ST_INVAL: no such peer, it is not up, one of both
 * ends has announced no capabilities, or that is no word to begin with.  ST_AGAIN: IKE_MAX_ASKS
 * wait already.  ST_NOMEM: nothing was said. */
MUST enum status ike_ask(struct ike *ike, struct now now, ike_peer_id peer,
			 const struct ike_word *word, uint64_t *ret_id);
/* The answer to ASKED.  Until then the peer's window stands still, and nothing is rekeyed, so it is
 * given in the very entry, or soon: after IKE_ANSWER_S seconds the peer is told TEMPORARY_FAILURE.
 * Nobody gets it after that, or when the SA has ended; when there is no memory for it, the peer's
 * repetition is ASKED anew, under another id. */
void ike_answer(struct ike *ike, struct now now, uint64_t id, const struct ike_word *word);

struct ike_hub_place {
	const char *name; /* or the text of an address */
	uint16_t port;
};

/* Where hubs of that section (role HUB) are, as they say themselves (section 9.1): copied, at most
 * IKE_MAX_HUBS, in place of those before.  They are tried behind the
 * configured ones, and have to prove as much as these.  ST_INVAL: there is no such section.
 * ST_NOMEM: everything is as it was. */
MUST enum status ike_hubs(struct ike *ike, struct now now, ike_peer_id section,
			  const struct ike_hub_place *at, size_t n);

/* ---- what peers are given (dp.h) ----------------------------------------------------------- */

/* The operations PEER_PREFIX and PEER_GIVEN_ONLY, about a peer or one that is no more: for the
 * mesh, which knows who is at which hub.  The data plane keeps it over all SAs of the peer.
 * ST_NOMEM: nothing happened. */
MUST enum status ike_peer_prefix(struct ike *ike, ike_peer_id peer, const struct prefix *prefix,
				 enum dp_given given);
MUST enum status ike_peer_given_only(struct ike *ike, ike_peer_id peer, bool on);

/* ---- partners (docs/protocol/shortcut.md section 8) -------------------------------------- */

enum { IKE_PARTNER_ID = 16, IKE_PARTNER_KEY = 32 };

/* Everything is copied. */
struct ike_partner {
	uint8_t id[IKE_PARTNER_ID]; /* of the suggestion; also the PPK_ID */
	ike_peer_id network; /* a section of ours with a hub: credentials, anchors, proposals,
			      * lifetimes and intervals are those */
	struct policy_ident local_id, remote_id; /* exactly these */
	struct wire_ts_list ts_local, ts_remote;
	/* What of ts_remote it may source whatever its certificate says; all else lies in the
	 * address blocks of that, or is refused. */
	struct wire_ts_list ts_given;
	uint8_t proof_key[IKE_PARTNER_KEY];
	uint8_t ppk[IKE_PARTNER_KEY];
	dur_t idle; /* 0: never */
};

/* A peer of that role; from now on IKE_SA_INIT with its SHORTCUT_PROOF is answered.  It carries
 * nothing before something authentic has come in on its child, and nothing while it is suspect: the
 * hub's path does.  ST_INVAL: no such network, or it is no site's, or there is one with that id.
 * ST_AGAIN: IKE_MAX_PARTNERS. */
MUST enum status ike_partner_add(struct ike *ike, struct now now, const struct ike_partner *p,
				 ike_peer_id *ret_peer);
/* How long an answer takes along the path to it, as far as is known: how long we wait for the first
 * ones before we ask again.  An unknown partner is ignored. */
void ike_partner_measured(struct ike *ike, struct now now, ike_peer_id peer, dur_t rtt);
/* Calls it, once, from and to these addresses and ports, ours being the one for NAT traversal: ESP
 * goes in UDP there.  ST_INVAL: no such partner, or it has an SA, is being called, or is over; or
 * these are no such addresses and ports. */
MUST enum status ike_partner_connect(struct ike *ike, struct now now, ike_peer_id peer,
				     const struct endpoint *local, const struct endpoint *remote);
/* Deletes its SAs, and forgets it; an unknown one is ignored.  No PARTNER_OVER comes of it. */
void ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why);

/* True when no SA is left (after SHUTDOWN). */
bool ike_idle(const struct ike *ike);

/* ---- outputs ----------------------------------------------------------------------------- */

enum ike_event_kind {
	IKE_EV_CONNECTING,
	IKE_EV_SA_UP,
	IKE_EV_SA_DOWN,
	IKE_EV_CHILD_UP,
	IKE_EV_CHILD_DOWN,
	IKE_EV_SA_REKEYED, /* another IKE SA took the place of one, with its children: both SPIs */
	IKE_EV_CHILD_REKEYED, /* another child took the place of one: both SPIs */
	IKE_EV_MOVED, /* an SA has other addresses: the old and the new ones, and by whom */
	IKE_EV_CONFLICT, /* two peers are authorised for one prefix: who has it, who does not get it
			  */
	IKE_EV_REFUSED, /* a negotiation failed: `text` has both sides' values and what to change */
	IKE_EV_RETRANSMIT, /* no answer yet; asking again */
	IKE_EV_UNREACHABLE, /* no answer after all retransmissions */
	IKE_EV_SUSPECT, /* an established peer does not answer any more; nothing is given up yet */
	IKE_EV_ALIVE, /* and does again */
	IKE_EV_HINT, /* something that nothing vouches for says that an SA is gone */
	IKE_EV_DEAD, /* an established peer stopped answering */
	IKE_EV_DATAPLANE, /* the data plane refused an operation */
	IKE_EV_LOAD, /* newcomers are asked for more, or for less, than before */
	IKE_EV_REDIRECTED, /* a gateway sent us, or we sent a client, to another one */
	IKE_EV_MTU, /* what gets through to a peer in one piece, as probes found */
	IKE_EV_CARRIES, /* packets get through on the first child of a partner: it has the traffic
			 * from now on */
	IKE_EV_PARTNER_OVER, /* a partner has no SA, and is not being called: `reason` and `text`
			      * say why; it is still there, and is to be dropped */
	/* Of the mesh, which makes them (mesh.h). */
	IKE_EV_SUGGESTED, /* a hub: to whom, and why; a site: by whom */
	IKE_EV_SHORTCUT, /* a direct tunnel carries: both ends, and at their hub */
	IKE_EV_SHORTCUT_FAILED, /* or was refused: why, and until when it is not tried again */
	IKE_EV_SHORTCUT_ENDED, /* idle, lost, withdrawn */
	IKE_EV_NOT_DIRECT, /* what a hub must not relay was refused: from or to whom, and what
			      follows */
	IKE_EV_HUBS, /* the hubs of a network are others */
	IKE_EV_ATTACHED, /* of several hubs that a site is attached to, this one has its traffic */
	IKE_EV_LEASE, /* inner addresses were given to somebody, or to us, or taken back */
	IKE_EV_BUG, /* a broken invariant; the SA was given up */
	IKE_EVENTS,
};

/* What of a negotiation failed, for programs; of events about nothing that failed, NONE. */
enum ike_reason {
	IKE_R_NONE,
	IKE_R_NO_ANSWER,
	IKE_R_PROPOSAL, /* no algorithms in common for the IKE SA */
	IKE_R_KEY_EXCHANGE, /* its method, or the peer's value */
	IKE_R_IDENTITY, /* nobody we expect there, or its certificate is somebody else's */
	IKE_R_CERTIFICATE, /* cannot be read, or leads to no anchor of ours */
	IKE_R_REVOKED,
	IKE_R_KEY, /* AUTH: another pre-shared key, another private key, or another kind of proof */
	IKE_R_CLOCK, /* dates of certificates or CRLs against our clock */
	IKE_R_AUTHORISATION, /* it may not have the prefixes that it wants */
	IKE_R_CONFLICT, /* another one has them up */
	IKE_R_SELECTORS,
	IKE_R_ESP_PROPOSAL,
	IKE_R_OVERLOAD, /* too many callers at once */
	IKE_R_ADDRESS, /* no inner address to be had, or none that may be used */
	IKE_R_REDIRECT, /* to another gateway, where we may not or will not go */
	IKE_R_STORE, /* what has to survive a crash cannot be stored */
	IKE_R_PATH, /* the other end's, or ours, after a change (MOBIKE) */
	IKE_R_IDLE, /* nothing went over it that counts */
	IKE_R_POLICY, /* a topology, or a setting, does not want it */
	IKE_R_PEER_SAID, /* an error notify: the other end knows what it was */
	IKE_R_MALFORMED, /* a message of the other end that makes no sense */
	IKE_R_INTERNAL, /* memory, our own keys, the data plane, a bug */
	IKE_REASONS,
};

/* Names such as "no_answer", "esp_proposal"; "" for NONE. */
const char *ike_reason_name(enum ike_reason reason);

#define IKE_EVENT_TEXT_MAX 768
#define IKE_IDENTITY_TEXT 128

struct ike_event {
	enum ike_event_kind kind;
	enum ike_reason reason;
	ike_peer_id peer; /* 0: nobody we know */
	const char *peer_name; /* "" then */
	ike_sa_id sa;
	dp_child_id child;
	uint64_t spi_i, spi_r; /* of the IKE SA */
	uint32_t spi_in, spi_out; /* of the child */
	struct endpoint local, remote;
	char identity[IKE_IDENTITY_TEXT]; /* what the other end calls itself, "" when it has not
					   * said; proven only where the event says so */
	char text[IKE_EVENT_TEXT_MAX];
};

/* Names such as "ike_up", "child_down", "refused". */
const char *ike_event_name(enum ike_event_kind kind);

/* Trace points: declared once in event.c with their field names; rendered by sinks (obs). */
struct ike_trace {
	unsigned point; /* index into ike_trace_points */
	ike_sa_id sa;
	uint64_t args[4];
};

struct ike_trace_point {
	const char *name;
	const char *fields[4]; /* NULL after the last; a leading '#' asks for hexadecimal */
};

extern const struct ike_trace_point ike_trace_points[];
extern const size_t ike_n_trace_points;

enum ike_out_kind {
	IKE_OUT_NONE,
	IKE_OUT_SEND,
	IKE_OUT_DP,
	IKE_OUT_JOB,
	IKE_OUT_CANCEL,
	IKE_OUT_RESOLVE,
	IKE_OUT_STORE,
	IKE_OUT_INNER,
	IKE_OUT_EVENT,
	IKE_OUT_TRACE,
	IKE_OUT_KEYS,
	IKE_OUT_ASKED, /* a peer says something to an upper module: ike_answer() */
	IKE_OUT_ANSWERED, /* what became of ike_ask() */
};

struct ike_inner_address {
	struct ip ip;
	uint8_t len; /* of its prefix */
};

/* What we have of a gateway (RFC 7296 section 2.19).  The newest of a peer is what holds, all of
 * it. */
struct ike_inner {
	ike_peer_id peer;
	const char *peer_name;
	bool up; /* false: nothing of that peer holds any more; all that follows is empty */
	const struct ike_inner_address *addresses;
	size_t n_addresses;
	const struct ip *dns;
	size_t n_dns;
	/* Names in and below these are theirs to resolve and nobody else's (RFC 8598), in lower
	 * case, without a dot at the end.  None: they may resolve everything. */
	const char *const *domains;
	size_t n_domains;
	const struct prefix *subnets; /* behind the gateway (RFC 7296 section 3.15.2) */
	size_t n_subnets;
};

/* Views and pointers are valid until the next ike_next() or input. */
struct ike_out {
	enum ike_out_kind kind;
	union {
		struct {
			struct endpoint local; /* never unspecified */
			struct endpoint remote;
			bool marker; /* UDP encapsulation port: put four zero bytes in front */
			bool keepalive; /* one byte 0xff instead of `data`, no marker */
			bool df; /* IP is not to fragment it: what is too large will go
				  * smaller */
			bool probe; /* the same, and it is rather lost: does its size get through?
				     */
			struct bytes data;
		} send;
		const struct dp_op *dp;
		struct {
			uint64_t id;
			struct crypto_job *job; /* the host owns it now: crypto_job_free() */
		} job;
		uint64_t cancel; /* job id; its result may still be handed in and is ignored */
		struct {
			uint64_t id;
			const char *name; /* host name or address text */
		} resolve;
		struct {
			uint64_t id;
			struct ike_store_op op;
		} store;
		const struct ike_inner *inner;
		const struct ike_event *event;
		struct ike_trace trace;
		struct {
			uint64_t spi_i, spi_r;
			struct crypto_cipher cipher;
			struct bytes sk_ei, sk_er, sk_ai, sk_ar; /* encryption keys with salt */
		} keys; /* of an IKE SA; those of children are in their DP operation */
		struct {
			uint64_t id;
			ike_peer_id peer;
			ike_sa_id sa;
			struct ike_word word;
		} asked;
		struct {
			uint64_t id;
			ike_peer_id peer;
			enum status status; /* ST_IO: no answer, the SA ended; `word` is empty */
			struct ike_word word;
		} answered;
	} u;
};

/* The next output, in order; IKE_OUT_NONE when there is nothing left to do. */
void ike_next(struct ike *ike, struct ike_out *ret_out);

/* When ike_timer() wants to be called; MONO_NEVER when there is nothing to wait for. */
mono_t ike_deadline(const struct ike *ike);

/* ---- snapshots --------------------------------------------------------------------------- */

struct ike_child_info {
	dp_child_id id;
	uint32_t spi_in, spi_out;
	struct policy_suite suite;
	struct wire_ts_list ts_local, ts_remote;
	dur_t age;
	/* Until its keys are replaced, and until it ends otherwise; negative: there is no such
	 * limit, or it is over. */
	dur_t rekey_in, end_in;
	bool installed;
};

struct ike_sa_info {
	ike_sa_id id;
	ike_peer_id peer; /* 0 while a responder does not know yet */
	uint64_t spi_i, spi_r;
	bool initiator; /* we are the original initiator */
	bool established;
	const char *state;
	dur_t age; /* since established, or since the first message */
	struct endpoint local, remote;
	struct policy_suite suite;
	struct policy_ident remote_id; /* as authenticated */
	bool nat_local, nat_remote;
	bool suspect; /* the peer does not answer; nothing is given up yet */
	bool asks; /* a request of ours has no answer yet */
	bool ppk; /* a post-quantum pre-shared key is in its keys */
	/* IP packets to the peer that get through in one piece: as probes found, as is assumed
	 * where nobody could be probed, or as ICMP says; 0: nothing is known. */
	uint16_t path_mtu;
	bool path_mtu_probed;
	bool path_mtu_assumed;
	bool mobike; /* both ends agreed to move (RFC 4555) */
	bool warren; /* the other end is a warren, too */
	uint8_t capabilities; /* that it announced */
	bool decides; /* we are the one who decides about its addresses: we called */
	bool checking; /* the peer has not shown yet that it is at its new address */
	/* Until its keys are replaced, until we authenticate anew, and until it ends otherwise;
	 * negative: there is no such limit, or it is over. */
	dur_t rekey_in, reauth_in, end_in;
	const char *auth_local; /* "psk", "ecdsa-p256-sha256", "" before */
	const char *auth_remote;
	size_t n_children;
};

struct ike_peer_info {
	ike_peer_id
		id; /* from IKE_PEER_DYNAMIC on: one identity behind a pattern or in a network */
	const char *name; /* its section's, or the identity */
	const struct ike_peer_conf *conf; /* of a dynamic peer: of the section it came by */
	struct policy_ident remote_id; /* as proven by a dynamic peer; type 0: conf->remote_id */
	const char *state; /* "up", "connecting", "down", "waiting" */
	const char *last_error; /* "" when the last attempt went well */
	dur_t retry_in; /* when the next attempt is due; negative: none is planned */
	/* RFC 5685: where we were sent last, by whom, and how often in the last minutes; NULL:
	 * never.
	 * "": the configured addresses are what holds again. */
	const char *gateway;
	struct ip sent_by;
	size_t sent_on;
	dur_t held_in; /* for so long we go nowhere else; negative: we would */
	bool leads; /* of several hubs of its network this one has our traffic (conf->network) */
	struct ip inner[2]; /* addresses that are leased to it, or that it gave us */
	size_t n_inner;
};

/* Read-only visits, for status; the visitor must not change the engine, other visits are fine.
 * Returning false stops. */
typedef bool ike_peer_fn(void *ctx, const struct ike_peer_info *info);
typedef bool ike_sa_fn(void *ctx, const struct ike_sa_info *info);
typedef bool ike_child_fn(void *ctx, const struct ike_child_info *info);
/* In the order of their ids, those above `after`.  To go on behind a peer that is still there costs
 * no walk through those before it. */
void ike_each_peer(const struct ike *ike, struct now now, ike_peer_id after, ike_peer_fn *fn,
		   void *ctx);
/* One of them; false: there is none. */
bool ike_peer(const struct ike *ike, struct now now, ike_peer_id peer, struct ike_peer_info *ret);
void ike_each_sa(const struct ike *ike, struct now now, ike_sa_fn *fn, void *ctx);
/* Of one peer; of none when there is no such peer. */
void ike_each_sa_of(const struct ike *ike, struct now now, ike_peer_id peer, ike_sa_fn *fn,
		    void *ctx);
void ike_each_child(const struct ike *ike, struct now now, const struct ike_sa_info *sa,
		    ike_child_fn *fn, void *ctx);

/* Inner addresses that were given, up or not, in the order of their numbers, those above `after`.
 * Numbers are not used again until the end of the process.  Returning false stops. */
typedef bool ike_lease_fn(void *ctx, uint64_t number, const struct ike_lease *l);
void ike_each_lease(const struct ike *ike, uint64_t after, ike_lease_fn *fn, void *ctx);

/* What a member of our network may source, and who says so (`by`), by its newest certificate and
 * our rules of now; in memory of `ar`.  ST_REFUSE: nothing, and why.  ST_INVAL: it is no member. */
MUST enum status ike_peer_authority(const struct ike *ike, ike_peer_id peer, struct arena *ar,
				    struct text *by, struct wire_ts_list *ret_allowed);

/* What a member has up, by whose word: the remote selectors of its children, all of them. ST_INVAL:
 * it is no member, or has none. */
MUST enum status ike_peer_served(const struct ike *ike, ike_peer_id peer, struct arena *ar,
				 struct wire_ts_list ret[static IKE_AUTHORITIES]);
/* Whether the address blocks of its newest certificate have all of that. */
bool ike_peer_covers(const struct ike *ike, ike_peer_id peer, const struct wire_ts_list *ts);

/* An order to send callers on (IKE_CMD_REDIRECT). */
struct ike_redirect_info {
	ike_peer_id peer; /* 0: all */
	const char *name; /* of it, "" */
	const char *gateway;
};

typedef bool ike_redirect_fn(void *ctx, const struct ike_redirect_info *info);
void ike_each_redirect(const struct ike *ike, ike_redirect_fn *fn, void *ctx);

/* What newcomers are asked for (RFC 8019), see load.c. */
enum ike_load {
	IKE_LOAD_CALM,
	IKE_LOAD_COOKIES,
	IKE_LOAD_PUZZLES,
	IKE_LOAD_FULL,
	IKE_LOADS,
};

/* "calm", "cookies", "puzzles", "full" */
const char *ike_load_name(enum ike_load level);

struct ike_load_info {
	enum ike_load level;
	size_t half_open, half_open_max;
	size_t known, solved; /* of them, from known addresses; with a puzzle solved */
	size_t prefixes; /* that they come from */
	struct prefix worst; /* with most of them; family 0: none */
	size_t worst_half_open;
	size_t bytes; /* of requests that are kept */
	size_t key_exchanges, verifications; /* under way */
	unsigned puzzle_bits; /* asked for at present; 0: none */
};

struct ike_load_info ike_load(const struct ike *ike);

/* The pool of a section. */
struct ike_pool_info {
	struct ike_pool_family {
		size_t size; /* addresses that may be given out, */
		size_t left; /* and are nobody's */
	} v4, v6;
	size_t leases; /* identities that have some of the others, */
	size_t in_use; /* and an SA */
};

/* False: that peer is no section with a pool. */
bool ike_pool(const struct ike *ike, ike_peer_id peer, struct ike_pool_info *ret);

struct ike_totals {
	size_t sas, half_open, children;
	size_t peers; /* that ike_each_peer() visits from 0 on */
};

struct ike_totals ike_totals(const struct ike *ike);

/* Counters by index, names such as "ike.rx.chain"; false after the last. */
bool ike_counter(const struct ike *ike, size_t index, const char **ret_name, uint64_t *ret_value);
