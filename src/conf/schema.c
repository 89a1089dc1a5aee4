/*
 * schema.c - every key there is.  The reader, its messages, the manual page and `reload` follow
 * these rows.
 */
#include "conf/internal.h"

static const char *const log_words[] = { "error", "warning", "info", "debug", NULL };
static const char *const start_words[] = { "traffic", "up", "listen", NULL };
static const char *const role_words[] = { "site", "hub", "endpoint", NULL };
static const char *const topology_words[] = { "star", "dynamic", "mesh", NULL };
static const char *const expired_words[] = { "end", "keep", NULL };
static const char *const childless_words[] = { "allow", "force", "never", NULL };
static const char *const routability_words[] = { "before", "after", "no", NULL };
static const char *const attach_words[] = { "one", "all", NULL };
static const char *const redirect_words[] = { "no", "follow", NULL };
static const char *const yes_words[] = { "no", "yes", NULL };
static const char *const direct_words[] = { "preferred", "required", NULL };

#define TOP(member) CONF_TOP, #member
#define PEER(member) CONF_PEER, #member
#define NET(member) CONF_NETWORK, #member
#define MEMBER(member) CONF_MEMBER, #member
#define GROUP(member) CONF_GROUP, #member
#define RULE(member) CONF_RULE, #member
#define AT(member) .offset = offsetof(struct conf, member)
#define PEER_AT(member) .offset = offsetof(struct conf_peer, member)
#define NET_AT(member) .offset = offsetof(struct conf_network, member)
#define MEMBER_AT(member) .offset = offsetof(struct conf_member, member)
#define GROUP_AT(member) .offset = offsetof(struct conf_group, member)
#define RULE_AT(member) .offset = offsetof(struct conf_rule, member)

/* The longest of all durations that something lives: 30 days.  The shortest: more than a few
 * exchanges on a bad path take, so that SAs are used longer than they are negotiated. */
#define LIFE_MAX (720 * 3600000LL)
#define LIFE_MIN 10000
#define COUNT_MAX (1LL << 62)
#define LIFE_AT(what, member) .offset = offsetof(struct what, life.member)

/* clang-format off: rows, one a line */
/* The same in both kinds of section. */
#define MOVING(scope, what)                                                                        \
	{ scope, "mobike", CONF_T_WORD, .offset = offsetof(struct what, mobike), .def = "yes",     \
	  .change = CONF_REAUTH, .words = yes_words,                                               \
	  .doc = "whether tunnels may change their addresses (MOBIKE)" },                          \
	{ scope, "return_routability", CONF_T_WORD,                                                \
	  .offset = offsetof(struct what, return_routability), .def = "before",                    \
	  .change = CONF_HOT, .words = routability_words,                                          \
	  .doc = "when the other end has to show that it is where it moved to" },                  \
	{ scope, "nat", CONF_T_WORD, .offset = offsetof(struct what, nat), .def = "yes",           \
	  .change = CONF_REAUTH, .words = yes_words,                                               \
	  .doc = "whether there may be address translation on the way" }
#define LIVENESS(scope, what)                                                                      \
	{ scope, "silence", CONF_T_WORD, .offset = offsetof(struct what, silence), .def = "yes",   \
	  .change = CONF_HOT, .words = yes_words,                                                  \
	  .doc = "whether traffic that nobody answers makes us ask at once" },                     \
	{ scope, "qcd", CONF_T_WORD, .offset = offsetof(struct what, qcd), .def = "yes",           \
	  .change = CONF_HOT, .words = yes_words,                                                  \
	  .doc = "whether who lost a tunnel proves it by a token (quick crash detection)" }
#define STEER(scope, what, follow)                                                                 \
	{ scope, "redirect", CONF_T_WORD, .offset = offsetof(struct what, steer.redirect),         \
	  .def = follow, .change = CONF_HOT, .words = redirect_words,                              \
	  .doc = "whether the other end may send us on to another gateway" },                      \
	{ scope, "redirect_to", CONF_T_HOSTS, .offset = offsetof(struct what, steer.redirect_to),  \
	  .change = CONF_HOT, .doc = "other gateways that who calls us is sent on to" },           \
	{ scope, "redirect_above", CONF_T_NUM,                                                     \
	  .offset = offsetof(struct what, steer.redirect_above), .def = "0", .min = 0,             \
	  .max = 1000000, .change = CONF_HOT,                                                      \
	  .doc = "IKE SAs from which on newcomers are sent on; 0: always" },                       \
	{ scope, "redirect_wait", CONF_T_DUR, .offset = offsetof(struct what, steer.redirect_wait), \
	  .def = "1m", .min = 1000, .max = 3600000, .change = CONF_HOT,                            \
	  .doc = "time that somebody who is sent on has for leaving" },                            \
	{ scope, "mtu_probes", CONF_T_WORD, .offset = offsetof(struct what, steer.mtu_probes),     \
	  .def = "yes", .change = CONF_HOT, .words = yes_words,                                    \
	  .doc = "whether it is tried out how large packets may be" }
#define INNER(scope, what)                                                                         \
	{ scope, "pool", CONF_T_RANGES, .offset = offsetof(struct what, inner.pool),               \
	  .change = CONF_REAUTH, .doc = "inner addresses that we give to who asks for one" },      \
	{ scope, "lease_keep", CONF_T_DUR, .offset = offsetof(struct what, inner.lease_keep),      \
	  .def = "720h", .min = 60000, .max = 8760 * 3600000LL, .change = CONF_HOT,                \
	  .doc = "how long who left keeps the address that it had" },                              \
	{ scope, "leases_max", CONF_T_NUM, .offset = offsetof(struct what, inner.leases_max),      \
	  .def = "0", .min = 0, .max = 2097152, .change = CONF_HOT,                                \
	  .doc = "identities that have an address of the pool at a time; 0: any number" },         \
	{ scope, "dns", CONF_T_ADDRS, .offset = offsetof(struct what, inner.dns),                  \
	  .change = CONF_HOT, .doc = "name servers for who gets an inner address" },               \
	{ scope, "dns_domains", CONF_T_DOMAINS,                                                    \
	  .offset = offsetof(struct what, inner.dns_domains), .change = CONF_HOT,                  \
	  .doc = "names that only these servers resolve; who asks: the ones it takes" }
#define LIFE(scope, what)                                                                          \
	{ scope, "ike_rekey", CONF_T_DUR, LIFE_AT(what, ike_rekey), .def = "4h", .min = LIFE_MIN,  \
	  .max = LIFE_MAX, .zero = true, .change = CONF_HOT,                                       \
	  .doc = "age at which the keys of the IKE SA are replaced" },                             \
	{ scope, "ike_lifetime", CONF_T_DUR, LIFE_AT(what, ike_lifetime), .min = LIFE_MIN,         \
	  .max = LIFE_MAX, .change = CONF_HOT,                                                     \
	  .doc = "age at which an IKE SA that could not be rekeyed ends" },                        \
	{ scope, "reauth", CONF_T_DUR, LIFE_AT(what, reauth), .def = "0s",                         \
	  .min = LIFE_MIN, .max = LIFE_MAX, .zero = true, .change = CONF_HOT,                      \
	  .doc = "how long both ends are believed to be who they proved to be" },                  \
	{ scope, "rekey", CONF_T_DUR, LIFE_AT(what, rekey), .def = "1h", .min = LIFE_MIN,          \
	  .max = LIFE_MAX, .zero = true, .change = CONF_HOT,                                       \
	  .doc = "age at which the keys of ESP are replaced" },                                    \
	{ scope, "lifetime", CONF_T_DUR, LIFE_AT(what, lifetime), .min = LIFE_MIN,                 \
	  .max = LIFE_MAX, .change = CONF_HOT,                                                     \
	  .doc = "age at which an ESP SA that could not be rekeyed ends" },                        \
	{ scope, "rekey_bytes", CONF_T_COUNT, LIFE_AT(what, rekey_bytes), .min = 1 << 20,          \
	  .max = COUNT_MAX, .change = CONF_REKEY,                                                  \
	  .doc = "bytes in one direction after which the keys of ESP are replaced" },              \
	{ scope, "lifetime_bytes", CONF_T_COUNT, LIFE_AT(what, lifetime_bytes),                    \
	  .min = 1 << 20, .max = COUNT_MAX, .change = CONF_REKEY,                                  \
	  .doc = "bytes in one direction after which an ESP SA ends" },                            \
	{ scope, "rekey_packets", CONF_T_COUNT, LIFE_AT(what, rekey_packets), .min = 1000,         \
	  .max = COUNT_MAX, .change = CONF_REKEY,                                                  \
	  .doc = "packets in one direction after which the keys of ESP are replaced" },            \
	{ scope, "lifetime_packets", CONF_T_COUNT, LIFE_AT(what, lifetime_packets),                \
	  .min = 1000, .max = COUNT_MAX, .change = CONF_REKEY,                                     \
	  .doc = "packets in one direction after which an ESP SA ends" },                          \
	{ scope, "expired", CONF_T_WORD, LIFE_AT(what, expired), .def = "end",                     \
	  .change = CONF_HOT, .words = expired_words,                                              \
	  .doc = "what becomes of SAs when a certificate they were made with ends" }
/* clang-format on */

const struct conf_key conf_keys[] = {
	{ TOP(local_id), CONF_T_IDENT, AT(local_id), .change = CONF_REAUTH,
	  .doc = "our IKE identity towards all peers" },
	{ TOP(certificate), CONF_T_PATH, AT(certificate), .change = CONF_REAUTH,
	  .doc = "our certificate, then its intermediates, PEM" },
	{ TOP(key), CONF_T_PATH, AT(key), .change = CONF_REAUTH,
	  .doc = "the private key of the certificate, PEM" },
	{ TOP(trust), CONF_T_PATHS, AT(trust), .change = CONF_REAUTH,
	  .doc = "certificates of the authorities that peers are trusted by, PEM" },
	{ TOP(identity), CONF_T_PATH, AT(identity), .change = CONF_REAUTH,
	  .doc = "our bundle in a network, instead of certificate, key and trust" },
	{ TOP(crl), CONF_T_PATH, AT(crl), .change = CONF_HOT,
	  .doc = "what the authorities of trust or identity have revoked, PEM or DER" },
	{ TOP(state), CONF_T_PATH, AT(state), .def = "\"/var/lib/warren\"", .change = CONF_RESTART,
	  .doc = "directory for what has to survive a restart" },
	{ TOP(user), CONF_T_USER, AT(user), .def = "\"warren\"", .change = CONF_RESTART,
	  .doc = "whom the daemon becomes once it has its sockets" },
	{ TOP(control), CONF_T_PATH, AT(control), .def = "\"/run/warren/warren.sock\"", .max = 107,
	  .change = CONF_RESTART, .doc = "control socket" },
	{ TOP(interface), CONF_T_NAME, AT(interface), .def = "\"warren0\"", .change = CONF_RESTART,
	  .doc = "name of the TUN device" },
	{ TOP(mtu), CONF_T_NUM, AT(mtu), .min = 576, .max = 65535, .change = CONF_RESTART,
	  .doc = "upper bound of the MTU inside; not given: derived from the underlay" },
	{ TOP(listen), CONF_T_ADDRS, AT(listen), .def = "{ \"0.0.0.0\", \"::\" }",
	  .change = CONF_RESTART, .doc = "local addresses to use" },
	{ TOP(port), CONF_T_NUM, AT(port), .def = "500", .min = 1, .max = 65535,
	  .change = CONF_RESTART, .doc = "our UDP port of IKE" },
	{ TOP(nat_port), CONF_T_NUM, AT(nat_port), .def = "4500", .min = 1, .max = 65535,
	  .change = CONF_RESTART, .doc = "our UDP port of IKE and ESP behind NATs" },
	{ TOP(log), CONF_T_WORD, AT(log), .def = "info", .change = CONF_HOT, .words = log_words,
	  .doc = "the least important lines that are logged" },
	{ TOP(keylog), CONF_T_PATH, AT(keylog), .change = CONF_RESTART,
	  .doc = "directory for Wireshark's key tables: who reads them reads the traffic" },
	{ TOP(retransmit_timeout), CONF_T_DUR, AT(retransmit_timeout), .def = "2s", .min = 100,
	  .max = 60000, .change = CONF_HOT,
	  .doc = "wait for an answer before the first retransmission; times 1.8 each" },
	{ TOP(retransmit_tries), CONF_T_NUM, AT(retransmit_tries), .def = "6", .min = 1, .max = 20,
	  .change = CONF_HOT, .doc = "retransmissions until the peer counts as dead" },
	{ TOP(half_open_cookie), CONF_T_NUM, AT(half_open_cookie), .def = "32", .min = 0,
	  .max = 1000000, .change = CONF_HOT,
	  .doc = "unfinished IKE SAs from which on a cookie is demanded; 0: always" },
	{ TOP(half_open_puzzle), CONF_T_NUM, AT(half_open_puzzle), .def = "1024", .min = 1,
	  .max = 1000000, .change = CONF_HOT,
	  .doc = "unfinished IKE SAs from which on a puzzle has to be solved" },
	{ TOP(half_open_max), CONF_T_NUM, AT(half_open_max), .def = "4096", .min = 4,
	  .max = 1000000, .change = CONF_HOT, .doc = "unfinished IKE SAs there are at most" },
	{ TOP(half_open_prefix), CONF_T_NUM, AT(half_open_prefix), .def = "8", .min = 0,
	  .max = 1000000, .change = CONF_HOT,
	  .doc = "unfinished IKE SAs of one address until it has to return a cookie; 0: no "
		 "matter" },
	{ TOP(init_rate_cookie), CONF_T_NUM, AT(init_rate_cookie), .def = "1000", .min = 1,
	  .max = 1000000, .change = CONF_HOT,
	  .doc = "IKE_SA_INIT requests in a second from which on a cookie is demanded" },
	{ TOP(puzzle_max), CONF_T_NUM, AT(puzzle_max), .def = "18", .min = 0, .max = 26,
	  .change = CONF_HOT,
	  .doc = "zero bits of the hardest puzzle we ask for; 0: we ask for none" },
	{ TOP(puzzle_solve), CONF_T_NUM, AT(puzzle_solve), .def = "20", .min = 0, .max = 26,
	  .change = CONF_HOT, .doc = "zero bits of the hardest puzzle we solve; 0: we solve none" },

	{ PEER(address), CONF_T_HOSTS, PEER_AT(address), .change = CONF_HOT,
	  .doc = "where the peer is, in order of preference; not given: anywhere, we wait" },
	{ PEER(port), CONF_T_NUM, PEER_AT(port), .def = "500", .min = 1, .max = 65535,
	  .change = CONF_HOT, .doc = "the peer's UDP port of IKE" },
	{ PEER(local_id), CONF_T_IDENT, PEER_AT(local_id), .change = CONF_REAUTH,
	  .doc = "our IKE identity towards this peer" },
	{ PEER(remote_id), CONF_T_PATTERN, PEER_AT(remote_id), .required = true,
	  .change = CONF_REAUTH, .doc = "the peer's IKE identity, which it has to prove" },
	{ PEER(psk), CONF_T_SECRET, PEER_AT(psk), .change = CONF_REAUTH, .doc = "pre-shared key" },
	{ PEER(psk_file), CONF_T_PATH, PEER_AT(psk_file), .change = CONF_REAUTH,
	  .doc = "file with the pre-shared key, in the forms of psk" },
	{ PEER(certificate), CONF_T_PATH, PEER_AT(certificate), .change = CONF_REAUTH,
	  .doc = "as at the top level, for this peer" },
	{ PEER(key), CONF_T_PATH, PEER_AT(key), .change = CONF_REAUTH,
	  .doc = "as at the top level, for this peer" },
	{ PEER(trust), CONF_T_PATHS, PEER_AT(trust), .change = CONF_REAUTH,
	  .doc = "as at the top level, for this peer" },
	{ PEER(crl), CONF_T_PATH, PEER_AT(crl), .change = CONF_HOT,
	  .doc = "as at the top level, for this peer" },
	{ PEER(local_ts), CONF_T_TS, PEER_AT(local_ts), .change = CONF_REKEY,
	  .doc = "traffic selectors of our side: what the peer may send to" },
	{ PEER(remote_ts), CONF_T_TS, PEER_AT(remote_ts), .change = CONF_REKEY,
	  .doc = "traffic selectors of its side: what goes through the tunnel" },
	{ PEER(proposals), CONF_T_IKE, PEER_AT(proposals), .change = CONF_REAUTH,
	  .doc = "algorithms of the IKE SA, most preferred first" },
	{ PEER(esp_proposals), CONF_T_ESP, PEER_AT(esp_proposals), .change = CONF_REKEY,
	  .doc = "algorithms of ESP, most preferred first" },
	{ PEER(start), CONF_T_WORD, PEER_AT(start), .def = "traffic", .change = CONF_HOT,
	  .words = start_words,
	  .doc = "connect at once, when there is traffic, or only wait; without address: listen" },
	{ PEER(dpd_delay), CONF_T_DUR, PEER_AT(dpd_delay), .def = "30s", .min = 1000,
	  .max = 86400000, .zero = true, .change = CONF_HOT,
	  .doc = "silence after which the peer is asked whether it lives" },
	{ PEER(keepalive), CONF_T_DUR, PEER_AT(keepalive), .def = "20s", .min = 1000,
	  .max = 3600000, .zero = true, .change = CONF_HOT,
	  .doc = "interval of NAT keepalives when we are behind a NAT" },
	LIVENESS(CONF_PEER, conf_peer),
	{ PEER(fragmentation), CONF_T_WORD, PEER_AT(fragmentation), .def = "yes",
	  .change = CONF_REAUTH, .words = yes_words,
	  .doc = "whether large IKE messages go in fragments" },
	MOVING(CONF_PEER, conf_peer),
	INNER(CONF_PEER, conf_peer),
	{ PEER(virtual_ip), CONF_T_VIRTUAL, PEER_AT(virtual_ip), .def = "no",
	  .change = CONF_REAUTH, .doc = "inner addresses that we ask the peer for" },
	STEER(CONF_PEER, conf_peer, "no"),
	LIFE(CONF_PEER, conf_peer),
	{ PEER(childless), CONF_T_WORD, PEER_AT(childless), .def = "allow", .change = CONF_HOT,
	  .words = childless_words, .doc = "whether the IKE SA may begin without an ESP SA" },
	{ PEER(ppk_id), CONF_T_TEXT, PEER_AT(ppk_id), .max = CONF_PPK_ID_MAX, .change = CONF_REAUTH,
	  .doc = "name of the post-quantum pre-shared key" },
	{ PEER(ppk), CONF_T_SECRET, PEER_AT(ppk), .change = CONF_REAUTH,
	  .doc = "post-quantum pre-shared key, in the forms of psk, of 32 bytes or more" },
	{ PEER(ppk_file), CONF_T_PATH, PEER_AT(ppk_file), .change = CONF_REAUTH,
	  .doc = "file with the post-quantum pre-shared key, in the forms of psk" },
	{ PEER(ppk_required), CONF_T_WORD, PEER_AT(ppk_required), .def = "no",
	  .change = CONF_REAUTH, .words = yes_words,
	  .doc = "whether there is no tunnel without the post-quantum pre-shared key" },

	{ NET(role), CONF_T_WORD, NET_AT(role), .def = "site", .change = CONF_REAUTH,
	  .words = role_words,
	  .doc = "what we are in the network; not given: by our certificate, site or endpoint" },
	{ NET(identity), CONF_T_PATH, NET_AT(identity), .change = CONF_REAUTH,
	  .doc = "our bundle, x.warren; the private key is x.key beside it" },
	{ NET(certificate), CONF_T_PATH, NET_AT(certificate), .change = CONF_REAUTH,
	  .doc = "instead of a bundle: as at the top level" },
	{ NET(key), CONF_T_PATH, NET_AT(key), .change = CONF_REAUTH,
	  .doc = "private key of the certificate, or of the bundle when it is not beside it" },
	{ NET(trust), CONF_T_PATHS, NET_AT(trust), .change = CONF_REAUTH,
	  .doc = "instead of a bundle: as at the top level" },
	{ NET(local_id), CONF_T_IDENT, NET_AT(local_id), .change = CONF_REAUTH,
	  .doc = "our IKE identity; not given: the only name in our certificate" },
	{ NET(crl), CONF_T_PATH, NET_AT(crl), .change = CONF_HOT,
	  .doc = "as at the top level, for this network" },
	{ NET(hubs), CONF_T_HOSTS, NET_AT(hubs), .change = CONF_HOT,
	  .doc = "a site's hubs in order of preference, or a hub's other hubs" },
	{ NET(attach), CONF_T_WORD, NET_AT(attach), .def = "one", .change = CONF_HOT,
	  .words = attach_words,
	  .doc = "to how many of its hubs a site is connected at a time" },
	{ NET(port), CONF_T_NUM, NET_AT(port), .def = "500", .min = 1, .max = 65535,
	  .change = CONF_HOT, .doc = "the hubs' UDP port of IKE" },
	{ NET(protect), CONF_T_PREFIXES, NET_AT(protect), .change = CONF_REKEY,
	  .doc = "what is behind us; not given: a site's address blocks" },
	{ NET(domain), CONF_T_PREFIXES, NET_AT(domain), .change = CONF_REKEY,
	  .doc = "all addresses of the network; a site has them from its bundle" },
	{ NET(topology), CONF_T_WORD, NET_AT(suggest.topology), .def = "dynamic",
	  .change = CONF_HOT, .words = topology_words,
	  .doc = "which direct tunnels a hub lets its members have" },
	{ NET(shortcut_after), CONF_T_DUR, NET_AT(suggest.after), .def = "0s", .min = 0,
	  .max = 3600000, .change = CONF_HOT,
	  .doc = "how long two members have to talk until they get a direct tunnel" },
	{ NET(shortcut_idle), CONF_T_DUR, NET_AT(suggest.idle), .def = "60s", .min = 10000,
	  .max = 86400000, .change = CONF_HOT,
	  .doc = "how long a direct tunnel stays that nobody uses" },
	{ NET(shortcut_retry), CONF_T_DUR, NET_AT(suggest.retry), .def = "10s", .min = 1000,
	  .max = 86400000, .change = CONF_HOT,
	  .doc = "wait after a direct tunnel that failed; twice as long each time" },
	{ NET(shortcut_retry_max), CONF_T_DUR, NET_AT(suggest.retry_max), .def = "10m",
	  .min = 1000, .max = 86400000, .change = CONF_HOT,
	  .doc = "the longest wait after direct tunnels that failed" },
	{ NET(announce), CONF_T_HOSTS, NET_AT(suggest.announce), .change = CONF_HOT,
	  .doc = "where members and other hubs reach this hub: they are told" },
	{ NET(shortcuts), CONF_T_WORD, NET_AT(shortcuts.take), .def = "yes",
	  .change = CONF_REAUTH, .words = yes_words,
	  .doc = "whether we make the direct tunnels that a hub suggests" },
	{ NET(shortcuts_max), CONF_T_NUM, NET_AT(shortcuts.max), .def = "256", .min = 1,
	  .max = 65535, .change = CONF_HOT, .doc = "direct tunnels that we have at a time" },
	{ NET(trust_hub), CONF_T_WORD, NET_AT(shortcuts.trust_hub), .def = "no",
	  .change = CONF_HOT, .words = yes_words,
	  .doc = "whether a rule in the hub's file is enough for prefixes of a partner" },
	{ NET(direct), CONF_T_WORD, NET_AT(shortcuts.direct), .def = "preferred",
	  .change = CONF_REAUTH, .words = direct_words,
	  .doc = "whether a hub may relay between us and other members" },
	{ NET(relayed), CONF_T_PREFIXES, NET_AT(shortcuts.relayed), .change = CONF_REAUTH,
	  .doc = "with direct = required: what goes by a hub all the same" },
	{ NET(candidates), CONF_T_ADDRS, NET_AT(shortcuts.candidates), .change = CONF_HOT,
	  .doc = "addresses at which other members reach us, besides those of this host" },
	{ NET(proposals), CONF_T_IKE, NET_AT(proposals), .change = CONF_REAUTH,
	  .doc = "algorithms of the IKE SA, most preferred first" },
	{ NET(esp_proposals), CONF_T_ESP, NET_AT(esp_proposals), .change = CONF_REKEY,
	  .doc = "algorithms of ESP, most preferred first" },
	{ NET(dpd_delay), CONF_T_DUR, NET_AT(dpd_delay), .def = "30s", .min = 1000, .max = 86400000,
	  .zero = true, .change = CONF_HOT,
	  .doc = "silence after which the other end is asked whether it lives" },
	{ NET(keepalive), CONF_T_DUR, NET_AT(keepalive), .def = "20s", .min = 1000, .max = 3600000,
	  .zero = true, .change = CONF_HOT,
	  .doc = "interval of NAT keepalives when we are behind a NAT" },
	LIVENESS(CONF_NETWORK, conf_network),
	{ NET(fragmentation), CONF_T_WORD, NET_AT(fragmentation), .def = "yes",
	  .change = CONF_REAUTH, .words = yes_words,
	  .doc = "whether large IKE messages go in fragments" },
	MOVING(CONF_NETWORK, conf_network),
	INNER(CONF_NETWORK, conf_network),
	STEER(CONF_NETWORK, conf_network, "follow"),
	LIFE(CONF_NETWORK, conf_network),
	{ NET(childless), CONF_T_WORD, NET_AT(childless), .def = "allow", .change = CONF_HOT,
	  .words = childless_words, .doc = "whether the IKE SA may begin without an ESP SA" },

	{ MEMBER(prefixes), CONF_T_PREFIXES, MEMBER_AT(prefixes), .required = true,
	  .change = CONF_REKEY,
	  .doc = "what that identity may have, whatever its certificate says" },

	{ GROUP(identities), CONF_T_PATTERNS, GROUP_AT(identities), .change = CONF_HOT,
	  .doc = "who is in the group" },
	{ GROUP(networks), CONF_T_PREFIXES, GROUP_AT(networks), .change = CONF_HOT,
	  .doc = "who has an address in one of these is in the group, too" },

	{ RULE(between), CONF_T_GROUPS, RULE_AT(between), .required = true, .change = CONF_HOT,
	  .doc = "the groups that it is about" },
	{ RULE(topology), CONF_T_WORD, RULE_AT(topology), .required = true, .change = CONF_HOT,
	  .words = topology_words, .doc = "which direct tunnels their members may have" },
};

const size_t conf_n_keys = ARRAY_LEN(conf_keys);

const char *conf_role_name(int role)
{
	return role_words[role];
}

const char *conf_topology_name(int topology)
{
	return topology_words[topology];
}

const char *conf_change_name(enum conf_change c)
{
	static const char *const name[] = {
		[CONF_HOT] = "hot",
		[CONF_REKEY] = "rekey",
		[CONF_REAUTH] = "reauth",
		[CONF_RESTART] = "restart",
	};

	return name[c];
}

const struct conf_key *schema_find(enum conf_scope scope, struct bytes name, size_t *ret_row)
{
	size_t row = 0;

	for (size_t i = 0; i < conf_n_keys; i++) {
		if (conf_keys[i].scope != scope)
			continue;
		if (bytes_eq(bytes_str(conf_keys[i].name), name)) {
			*ret_row = row;
			return &conf_keys[i];
		}
		row++;
	}
	return NULL;
}

void schema_names(enum conf_scope scope, struct text *t)
{
	const char *sep = "";

	for (size_t i = 0; i < conf_n_keys; i++) {
		if (conf_keys[i].scope != scope)
			continue;
		text_fmt(t, "%s%s", sep, conf_keys[i].name);
		sep = ", ";
	}
}

void schema_duration(struct text *t, int64_t ms)
{
	if (ms && ms % 3600000 == 0)
		text_fmt(t, "%lldh", (long long)ms / 3600000);
	else if (ms && ms % 60000 == 0)
		text_fmt(t, "%lldm", (long long)ms / 60000);
	else if (ms % 1000 == 0)
		text_fmt(t, "%llds", (long long)ms / 1000);
	else
		text_fmt(t, "%lldms", (long long)ms);
}

void schema_count(struct text *t, uint64_t v)
{
	static const char unit[] = "\0KMGT";
	unsigned i = 0;

	while (v && v % 1024 == 0 && i < 4) {
		v /= 1024;
		i++;
	}
	text_fmt(t, i ? "%llu%c" : "%llu", (unsigned long long)v, unit[i]);
}

static void wants_range(const struct conf_key *k, struct text *t)
{
	if (k->type == CONF_T_NUM) {
		text_fmt(t, "a number from %lld to %lld", (long long)k->min, (long long)k->max);
		return;
	}
	text_add(t, "a duration from ");
	schema_duration(t, k->min);
	text_add(t, " to ");
	schema_duration(t, k->max);
	text_add(t, " (units ms, s, m, h)");
	if (k->zero)
		text_add(t, ", or 0s for never");
}

static void wants_count(const struct conf_key *k, struct text *t)
{
	text_add(t, "a number from ");
	schema_count(t, (uint64_t)k->min);
	text_add(t, " to ");
	schema_count(t, (uint64_t)k->max);
	text_add(t, " (K, M, G, T for powers of 1024)");
}

static void wants_words(const struct conf_key *k, struct text *t)
{
	for (size_t i = 0; k->words[i]; i++)
		text_fmt(t, "%s%s", i == 0 ? "" : k->words[i + 1] ? ", " : " or ", k->words[i]);
}

void schema_wants(const struct conf_key *k, struct text *t)
{
	static const char *const wants[CONF_TYPES] = {
		[CONF_T_PATH] = "an absolute path in double quotes",
		[CONF_T_NAME] = "a device name of 1 to 15 characters in double quotes",
		[CONF_T_USER] = "a user's name of 1 to 31 characters in double quotes",
		[CONF_T_TEXT] = "1 to 64 printable characters in double quotes",
		[CONF_T_ADDRS] = "one or more IP addresses, { \"...\", \"...\" }",
		[CONF_T_HOSTS] = "one or more IP addresses or host names, { \"...\", \"...\" }",
		[CONF_T_PATHS] = "one or more absolute paths, { \"...\", \"...\" }",
		[CONF_T_IDENT] = "an identity in double quotes",
		[CONF_T_PATTERN] =
			"an identity or a pattern such as \"*.example\" in double quotes",
		[CONF_T_PATTERNS] = "one or more identities or patterns such as { \"*.example\" }",
		[CONF_T_GROUPS] = "the names of one or two groups, or \"*\" for everybody, { \"...\", "
				  "\"...\" }",
		[CONF_T_SECRET] = "\"text\", \"0x...\" hexadecimal or \"0s...\" base64",
		[CONF_T_TS] =
			"one or more selectors such as { \"10.1.0.0/16\", \"10.2.0.1[tcp/80]\" }",
		[CONF_T_PREFIXES] = "one or more prefixes (host bits zero) such as { "
				    "\"10.1.0.0/16\", \"fd00:1::/48\" }",
		[CONF_T_RANGES] = "one or more prefixes or ranges such as { \"10.9.0.0/16\", "
				  "\"10.8.0.10-10.8.0.99\" }",
		[CONF_T_DOMAINS] = "one or more DNS names such as { \"corp.example\" }",
		[CONF_T_VIRTUAL] = "ask, no, or an IPv4 address, an IPv6 address or both, { "
				   "\"...\", \"...\" }",
		[CONF_T_IKE] = "one or more proposals such as { \"aes128gcm16-prfsha256-x25519\" }",
		[CONF_T_ESP] = "one or more proposals such as { \"aes128gcm16-esn\" }",
	};

	if (k->type == CONF_T_NUM || k->type == CONF_T_DUR)
		wants_range(k, t);
	else if (k->type == CONF_T_COUNT)
		wants_count(k, t);
	else if (k->type == CONF_T_WORD)
		wants_words(k, t);
	else
		text_add(t, wants[k->type]);
}
