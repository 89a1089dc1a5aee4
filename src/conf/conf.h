/*
 * conf.h - text to an immutable configuration.
 *
 * A file is read in one go, without recursion, and everything that is wrong with it is reported
 * together: bad bytes, syntax, unknown, repeated and missing keys, wrong types, values outside
 * their range, identities, selectors and proposals that do not parse, and what only shows when
 * values are held against each other.  Every value keeps the line and column where it was written,
 * so that later checks (a certificate that does not load, an address that no socket can reach) can
 * point at it too: see conf_error_add().
 *
 * The keys are rows of a table (conf_keys), which the reader, its messages, the manual page and
 * `reload` are made from: section, name, type, range, default, and what changing it costs.
 *
 * conf_parse() is pure.  conf_load() reads the file, and the files with pre-shared keys that it
 * names.  conf_creds.h loads keys and certificates.
 *
 * Lifecycle: a `struct conf` is a refcounted snapshot, never changed after conf_parse() or
 * conf_load() returned it, and may be read from any thread; ref and unref belong to one thread.
 * Everything it points to lives in its arena, which is wiped when the last reference goes: it may
 * hold pre-shared keys.
 *
 * Inheritance is resolved here: what a peer or network did not say and the top level did is in the
 * peer or network, with the position at the top level.
 */
#pragma once

#include "base/base.h"
#include "policy/policy.h"

enum {
	CONF_FILE_MAX = 4 << 20,
	CONF_ERRORS_MAX = 100,
	CONF_LIST_MAX = 64, /* elements of a list; also what one TS payload may hold */
	CONF_PSK_MAX = 1024,
	CONF_PPK_MIN = 32, /* RFC 8784 section 6: 256 bits */
	CONF_PPK_ID_MAX = 64,
	CONF_TS_PREFIXES_MAX = 64, /* of one selector that is an address range: each is a route */
	/* What a word between hubs and members has room for (wire_mesh.h). */
	CONF_HUBS_MAX = 16, /* of a network */
	CONF_ANNOUNCE_MAX = 8,
	CONF_CANDIDATES_MAX = 8,
};

/* Where a value begins, from 1; a column is a character (UTF-8).  Line 0: not written, the default.
 */
struct conf_pos {
	uint32_t line;
	uint32_t col;
};

struct conf_text {
	const char *s; /* NULL when absent */
	struct conf_pos at;
};

struct conf_num {
	uint32_t v;
	struct conf_pos at;
};

struct conf_dur {
	dur_t v;
	struct conf_pos at;
};

struct conf_count {
	uint64_t v;
	struct conf_pos at;
};

struct conf_list {
	const struct conf_text *v;
	size_t n;
	struct conf_pos at;
};

/* `text` is as written. */
struct conf_ident {
	struct policy_ident id;
	struct conf_text text;
};

/* `list.v[i]` is the text of `id[i]`. */
struct conf_idents {
	const struct policy_ident *id; /* patterns; list.n of them */
	struct conf_list list;
};

struct conf_secret {
	struct bytes b; /* decoded (0x, 0s); empty when absent */
	struct conf_pos at;
};

/* `list.v[i]` is the text of `ts.ts[i]`. */
struct conf_ts {
	struct wire_ts_list ts;
	struct conf_list list;
};

struct conf_proposals {
	struct wire_sa sa; /* numbered from 1 */
	struct conf_list list;
};

enum conf_start {
	CONF_START_TRAFFIC,
	CONF_START_UP,
	CONF_START_LISTEN,
};

enum conf_log {
	CONF_LOG_ERROR,
	CONF_LOG_WARNING,
	CONF_LOG_INFO,
	CONF_LOG_DEBUG,
};

/* A choice among words; `v` is the enum above that the key belongs to. */
struct conf_word {
	int v;
	struct conf_pos at;
};

/*
 * How long SAs live.  What is 0 was not given, but for the durations that have a default: there 0
 * means never.  What follows from one another when only one is given is translate.c's.
 */
struct conf_life {
	struct conf_dur ike_rekey;
	struct conf_dur ike_lifetime;
	struct conf_dur reauth;
	struct conf_dur rekey;
	struct conf_dur lifetime;
	struct conf_count rekey_bytes;
	struct conf_count lifetime_bytes;
	struct conf_count rekey_packets;
	struct conf_count lifetime_packets;
	struct conf_word expired; /* enum conf_expired */
};

/* What a certificate that ends does to SAs that were made with it. */
enum conf_expired {
	CONF_EXPIRED_END,
	CONF_EXPIRED_KEEP,
};

/* RFC 6023: an IKE SA without a child from its beginning. */
enum conf_childless {
	CONF_CHILDLESS_ALLOW,
	CONF_CHILDLESS_FORCE,
	CONF_CHILDLESS_NEVER,
};

enum conf_yes {
	CONF_NO,
	CONF_YES,
};

enum conf_routability {
	CONF_ROUTABILITY_BEFORE,
	CONF_ROUTABILITY_AFTER,
	CONF_ROUTABILITY_NO,
};

/* What becomes of a tunnel on its way: to another gateway (RFC 5685), in packets of another size.
 */
struct conf_steer {
	struct conf_word redirect; /* enum conf_redirect: when we called */
	struct conf_list redirect_to; /* who calls us; names or addresses */
	struct conf_num redirect_above;
	struct conf_dur redirect_wait;
	struct conf_word mtu_probes; /* enum conf_yes */
};

/* To how many of its hubs a site is connected at a time. */
enum conf_attach {
	CONF_ATTACH_ONE,
	CONF_ATTACH_ALL,
};

enum conf_redirect {
	CONF_REDIRECT_NO,
	CONF_REDIRECT_FOLLOW,
};

/* Inner addresses that are given out.  `ts` of the pool: all protocols. */
struct conf_inner {
	struct conf_ts pool;
	struct conf_dur lease_keep;
	struct conf_num leases_max; /* 0: any number */
	struct conf_list dns; /* IP addresses */
	struct conf_list dns_domains; /* who asks: the only ones that it takes */
};

/* Inner addresses that we ask for. */
struct conf_virtual {
	bool ask;
	struct ip want[2]; /* of IPv4, of IPv6; family 0: any, or none if the other is there */
	struct conf_list list; /* as written */
};

enum conf_auth {
	CONF_AUTH_PSK,
	CONF_AUTH_CERT,
};

struct conf_peer {
	struct conf_peer *next; /* in the order of the file */
	const char *name;
	struct conf_pos at; /* of the name */
	struct conf_list address; /* names or addresses; n 0: any, we never start */
	struct conf_num port;
	struct conf_ident local_id;
	struct conf_ident remote_id; /* a pattern */
	enum conf_auth auth;
	struct conf_secret psk; /* AUTH_PSK: also what psk_file held, after conf_load() */
	struct conf_text psk_file;
	struct conf_text certificate; /* AUTH_CERT: all three set */
	struct conf_text key;
	struct conf_list trust;
	struct conf_text crl; /* of the authorities in `trust`, and taken from where that is */
	struct conf_ts local_ts; /* n 0: inner addresses only, which we ask for */
	struct conf_ts remote_ts; /* n 0: inner addresses only, which we give */
	struct conf_inner inner;
	struct conf_virtual virtual_ip;
	struct conf_proposals proposals;
	struct conf_proposals esp_proposals;
	struct conf_word start; /* enum conf_start; without an address it is LISTEN */
	struct conf_dur dpd_delay;
	struct conf_dur keepalive;
	struct conf_word silence; /* enum conf_yes */
	struct conf_word qcd; /* enum conf_yes */
	struct conf_word fragmentation; /* enum conf_yes */
	struct conf_word mobike; /* enum conf_yes */
	struct conf_word return_routability; /* enum conf_routability */
	struct conf_word nat; /* enum conf_yes */
	struct conf_steer steer;
	struct conf_life life;
	struct conf_word childless; /* enum conf_childless */
	struct conf_text ppk_id; /* RFC 8784; with it either ppk or ppk_file */
	struct conf_secret ppk; /* also what ppk_file held, after conf_load() */
	struct conf_text ppk_file;
	struct conf_word ppk_required; /* enum conf_yes */
};

enum conf_role {
	CONF_ROLE_SITE,
	CONF_ROLE_HUB,
	CONF_ROLE_ENDPOINT, /* nothing behind it: its hub gives it an inner address */
};

/* "site", "hub", "endpoint" */
const char *conf_role_name(int role);

enum conf_direct {
	CONF_DIRECT_PREFERRED,
	CONF_DIRECT_REQUIRED, /* a hub relays nothing to us, or for us */
};

enum conf_topology {
	CONF_TOPOLOGY_STAR,
	CONF_TOPOLOGY_DYNAMIC,
	CONF_TOPOLOGY_MESH,
};

/* "star", "dynamic", "mesh" */
const char *conf_topology_name(int topology);

/* `member "PATTERN" { prefixes = { ... } }` in a hub's network: what that identity may have,
 * whatever its certificate says. */
struct conf_member {
	struct conf_member *next; /* in the order of the file: the first that matches counts */
	struct conf_pos at;
	struct conf_ident id; /* a pattern */
	struct conf_ts prefixes;
};

/* `peers "NAME" { ... }` in a hub's network: members whose identity matches one of the patterns, or
 * who have an address in one of the prefixes. */
struct conf_group {
	struct conf_group *next; /* in the order of the file */
	const char *name;
	struct conf_pos at;
	size_t index; /* of its network's, from 0 */
	struct conf_idents identities;
	struct conf_ts networks;
};

/* `rule "NAME" { ... }` in a hub's network: the topology between two groups. */
struct conf_rule {
	struct conf_rule *next; /* in the order of the file: the first that matches a pair counts */
	const char *name;
	struct conf_pos at;
	struct conf_list between; /* one or two names of groups; one: both members are in it */
	const struct conf_group *group[2]; /* whom they name; NULL: everybody, "*" */
	struct conf_word topology; /* enum conf_topology */
};

/* Which members get direct tunnels, and when: a hub's. */
struct conf_suggest {
	struct conf_word topology; /* enum conf_topology; where no rule says otherwise */
	struct conf_group *groups;
	struct conf_rule *rules;
	struct conf_dur after;
	struct conf_dur idle;
	struct conf_dur retry;
	struct conf_dur retry_max; /* not below `retry` */
	struct conf_list announce; /* where others reach this hub: names or addresses */
};

/* What a site or endpoint makes of it. */
struct conf_shortcuts {
	struct conf_word take; /* enum conf_yes */
	struct conf_num max;
	struct conf_word trust_hub; /* enum conf_yes */
	struct conf_word direct; /* enum conf_direct */
	struct conf_ts relayed; /* REQUIRED: what hubs may relay; all protocols */
	struct conf_list candidates; /* IP addresses at which others reach us */
};

/*
 * `network "name" { ... }`: a network of sites around hubs (one network in a file so far).
 *
 * What is absent here comes from the bundle (conf_creds.h has the outcome): certificate, trust
 * anchor, hubs, domain, and as `protect` the site's own address blocks.
 */
struct conf_network {
	struct conf_network *next;
	const char *name;
	struct conf_pos at;
	struct conf_word role; /* enum conf_role; as written, see conf_network_creds */
	struct conf_text identity; /* bundle; the key beside it, see conf_creds.h */
	struct conf_text
		certificate; /* instead of a bundle: all three, from the top level or here */
	struct conf_text key;
	struct conf_list trust;
	struct conf_ident local_id; /* default: the bundle's, or the certificate's only name */
	struct conf_text crl;
	struct conf_word attach; /* enum conf_attach: SITE */
	/* Names or addresses.  SITE, ENDPOINT: in order of preference, one suffices.  HUB: the
	 * other ones, all of them. */
	struct conf_list hubs;
	struct conf_num port; /* the hubs' */
	struct conf_ts protect; /* what is behind us: prefixes, all protocols */
	struct conf_ts domain; /* HUB: required.  SITE: instead of the bundle's */
	struct conf_member *members; /* HUB */
	struct conf_suggest suggest; /* HUB */
	struct conf_shortcuts shortcuts; /* SITE, ENDPOINT */
	struct conf_inner inner; /* HUB; its domains also ENDPOINT */
	struct conf_proposals proposals;
	struct conf_proposals esp_proposals;
	struct conf_dur dpd_delay;
	struct conf_dur keepalive;
	struct conf_word silence; /* enum conf_yes */
	struct conf_word qcd; /* enum conf_yes */
	struct conf_word fragmentation; /* enum conf_yes */
	struct conf_word mobike; /* enum conf_yes */
	struct conf_word return_routability; /* enum conf_routability */
	struct conf_word nat; /* enum conf_yes */
	struct conf_steer steer;
	struct conf_life life;
	struct conf_word childless; /* enum conf_childless */
};

struct conf {
	unsigned refs;
	const struct alloc *mem;
	struct arena ar;
	const char *file;
	/* Defaults of the peers, already in them; here for who lists the file's references. */
	struct conf_ident local_id;
	struct conf_text certificate;
	struct conf_text key;
	struct conf_list trust;
	struct conf_text identity; /* bundle */
	struct conf_text crl;
	struct conf_text state; /* directory for what has to survive a restart */
	struct conf_text user; /* whom the daemon becomes */
	struct conf_text control;
	struct conf_text interface;
	struct conf_num mtu; /* 0: derived from the underlay */
	struct conf_list listen; /* texts of `listen_ip` */
	const struct ip *listen_ip; /* listen.n of them */
	struct conf_num port;
	struct conf_num nat_port;
	struct conf_word log; /* enum conf_log */
	struct conf_text keylog;
	struct conf_dur retransmit_timeout;
	struct conf_num retransmit_tries;
	struct conf_num half_open_cookie;
	struct conf_num half_open_puzzle;
	struct conf_num half_open_max;
	struct conf_num half_open_prefix;
	struct conf_num init_rate_cookie;
	struct conf_num puzzle_max;
	struct conf_num puzzle_solve;
	struct conf_peer *peers;
	size_t n_peers;
	struct conf_network *networks;
	size_t n_networks;
};

/* ---- errors ------------------------------------------------------------------------------ */

struct conf_error {
	struct conf_error *next;
	struct conf_pos at;
	const char *text;
};

/* What is wrong with one file, in the order of positions.  At most CONF_ERRORS_MAX are kept, the
 * rest is only counted in `total`.  Texts never contain the value of a secret. */
struct conf_errors {
	struct arena ar;
	struct conf_error *head;
	const char *file;
	size_t kept;
	size_t total;
};

void conf_errors_init(struct conf_errors *errs, const struct alloc *mem);
void conf_errors_done(struct conf_errors *errs);

/* For the checks of others as well; `total` grows even when memory is short.  No newline in it. */
__attribute__((format(printf, 3, 4))) void conf_error_add(struct conf_errors *errs,
							  struct conf_pos at, const char *fmt, ...);

/* "file:line:col: text"; position 0 gives "file: text". */
void conf_error_text(const struct conf_errors *errs, const struct conf_error *e, struct text *t);

/* ---- reading ----------------------------------------------------------------------------- */

/* `file` is the name for messages.  ST_INVAL: `errs` says why; ST_NOMEM: out of memory (what was
 * found until then is in `errs`).  Nothing in the result points into `text`. */
MUST enum status conf_parse(const struct alloc *mem, const char *file, struct bytes text,
			    struct conf_errors *errs, struct conf **ret_conf);

/*
 * Where the bytes of the configuration and of the files that it names come from.  The process that
 * handles packets cannot read them (signer.h): it gets their public parts over a socket.
 */
struct conf_source {
	/* All of a file of at most `max` bytes, in memory of `mem`, to be freed with
	 * mem_free_secret(p, n).  ST_IO: `why` has the operating system's reason, without the name;
	 * ST_INVAL: it is longer, and `why` says so. */
	enum status (*read)(void *ctx, const char *path, size_t max, const struct alloc *mem,
			    struct text *why, uint8_t **ret_p, size_t *ret_n);
	void *ctx;
};

/* The file system. */
extern const struct conf_source conf_source_files;

/* Reads the file (not pure).  ST_IO when it cannot be read, with an error at position 0. */
MUST enum status conf_load(const struct alloc *mem, const struct conf_source *source,
			   const char *path, struct conf_errors *errs, struct conf **ret_conf);

/*
 * Overwrites the values of all secrets in place with others of the same form and length, so that
 * the text still parses and every position stays: for whom secrets are none of his business.
 * Works on any text, however broken: what may be a secret goes, so nothing stays that is not in the
 * place of a value of a key that is known and no secret.  Comments go as a whole.
 */
void conf_redact(uint8_t *text, size_t n);

/*
 * The same, but what is put in place of a secret depends on it by a PRF (SipHash-2-4): equal
 * secrets give equal fillings under one key and others differ, so that who sees only redacted texts
 * still notices a change (conf_diff(), conf_peer_creds.peer_digest), and learns no more than that.
 * The key is random, secret, and kept by the redactor for as long as texts are to be compared.
 */
void conf_redact_keyed(const uint64_t key[2], uint8_t *text, size_t n);

/* The contents of a psk_file or ppk_file.  `key` may be NULL: as conf_redact(). */
void conf_redact_psk_file(const uint64_t key[2], uint8_t *text, size_t n);

struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c); /* takes NULL */

/* NULL when there is none of that name. */
const struct conf_peer *conf_find_peer(const struct conf *c, const char *name);

/* ---- the schema -------------------------------------------------------------------------- */

enum conf_scope {
	CONF_TOP,
	CONF_PEER,
	CONF_NETWORK,
	CONF_MEMBER,
	CONF_GROUP,
	CONF_RULE,
	CONF_SCOPES,
};

/* What happens to running SAs when the value changes. */
enum conf_change {
	CONF_HOT, /* nothing: used from now on */
	CONF_REKEY, /* child SAs are negotiated again */
	CONF_REAUTH, /* the IKE SA is negotiated again */
	CONF_RESTART, /* the daemon has to be started again */
};

enum conf_type {
	CONF_T_PATH,
	CONF_T_NAME, /* of a network device */
	CONF_T_USER, /* of the operating system */
	CONF_T_TEXT, /* of printable characters */
	CONF_T_NUM,
	CONF_T_COUNT, /* a large number, with K, M, G, T for powers of 1024 if you like */
	CONF_T_DUR,
	CONF_T_WORD,
	CONF_T_ADDRS, /* list of IP addresses */
	CONF_T_HOSTS, /* list of host names or IP addresses */
	CONF_T_PATHS, /* list of paths */
	CONF_T_IDENT,
	CONF_T_PATTERN, /* an identity, or a pattern of them */
	CONF_T_PATTERNS, /* list of these */
	CONF_T_GROUPS, /* one or two names of groups, or "*" */
	CONF_T_SECRET,
	CONF_T_TS,
	CONF_T_PREFIXES, /* as CONF_T_TS, but each is one prefix with all protocols */
	CONF_T_RANGES, /* the same, and address ranges */
	CONF_T_DOMAINS, /* list of DNS names */
	CONF_T_VIRTUAL, /* `ask`, `no`, or addresses */
	CONF_T_IKE,
	CONF_T_ESP,
	CONF_TYPES,
};

struct conf_key {
	enum conf_scope scope;
	const char *name;
	enum conf_type type;
	size_t offset; /* in struct conf, conf_peer, conf_network, conf_member, conf_group,
			* conf_rule */
	const char *def; /* as it would be written; NULL: none */
	int64_t min, max; /* numbers; durations in milliseconds */
	bool zero; /* 0 is allowed whatever `min` says: it turns the thing off */
	bool required;
	enum conf_change change;
	const char *const *words; /* T_WORD: NULL-terminated, in the order of the enum */
	const char *doc;
};

extern const struct conf_key conf_keys[];
extern const size_t conf_n_keys;

const char *conf_change_name(enum conf_change c);

/* ---- differences ------------------------------------------------------------------------- */

/*
 * One thing that a reload changes.  Everything in it lives in the arena.
 *
 * This is about what the files of the configuration say.  That a certificate, key, anchor, bundle
 * or CRL has other contents under the same name is noticed by whoever loaded both: the digests of
 * conf_peer_creds and conf_network_creds then differ.  A psk_file counts as part of the text.
 */
struct conf_diff_line {
	struct conf_diff_line *next;
	enum conf_change change; /* the highest of its keys'; CONF_HOT for what is only added */
	const char *section; /* "", "peer \"b\"", "network \"corp\"", and of its members, groups
			      * and rules "network \"corp\" member \"*.b\"" */
	const char *text; /* "dpd_delay: 30s -> 10s", "added", "removed", "psk: changed" */
};

/* In the order of the new file, removals last; NULL when nothing changed.  Never shows a secret.
 * Removed sections, and members, groups and rules that come, go or move, have the highest change of
 * their keys. */
MUST enum status conf_diff(struct arena *ar, const struct conf *old, const struct conf *new,
			   struct conf_diff_line **ret_lines);
