/*
 * internal.h - what the files of conf share.
 *
 *	lex.c     bytes -> tokens with positions, on the base cursor
 *	read.c    tokens -> entries and sections, recovery after errors
 *	value.c   an entry's value -> the typed member of struct conf, by the key's row
 *	value_secret.c  the same for pre-shared keys
 *	schema.c  the rows
 *	check.c   defaults, inheritance, and what only shows between values
 *	check_network.c  the same for networks
 *	check_topology.c  the same for what hubs suggest, and sites take
 *	check_inner.c  the same for inner addresses
 *	redact.c  the text without its secrets
 *	diff.c    what two configurations differ in
 *
 * Not pure: conf_file.c reads files, conf_creds.c and conf_network.c load what they hold into a key
 * store.
 */
#pragma once

#include "conf/conf.h"

enum token_kind {
	TOK_END, /* of the file */
	TOK_NEWLINE,
	TOK_SEMICOLON,
	TOK_WORD,
	TOK_STRING,
	TOK_EQUAL,
	TOK_OPEN,
	TOK_CLOSE,
	TOK_COMMA,
};

struct token {
	enum token_kind kind;
	struct conf_pos at;
	/* A word as it stands in the file; a string decoded, in the arena and terminated. */
	struct bytes s;
	bool bad; /* a string that was reported already */
};

struct lexer {
	struct cur c;
	struct conf_pos at;
	struct arena *ar;
	struct conf_errors *errs;
	bool nomem;
};

/* Skips a byte order mark. */
void lex_init(struct lexer *lx, struct bytes text, struct arena *ar, struct conf_errors *errs);
/* After the end: TOK_END for ever. */
void lex_next(struct lexer *lx, struct token *ret_token);
/* "a word", "the end of the line": for messages that must not show a value. */
const char *token_name(enum token_kind kind);

/* What redact.c has to see as the lexer does: a byte order mark in front, the length of the
 * well-formed UTF-8 sequence that comes next (Unicode table 3-7; 0: none), bytes of words, and what
 * may follow a backslash in a string. */
enum { LEX_MARK = 3 };
#define LEX_ESCAPES "\"\\nt"
bool lex_has_mark(struct bytes text);
size_t lex_utf8(struct bytes at);
bool lex_is_word(int b);

/* What a T_WORD member holds whose word is unknown. */
#define CONF_NO_WORD (-1)

/* What stands right of the "=". */
struct value {
	struct conf_pos at;
	bool list;
	bool cut; /* had more elements than fit */
	size_t n;
	struct token elem[CONF_LIST_MAX];
};

struct reader {
	struct lexer lx;
	struct token tok; /* not consumed yet */
	struct conf *conf;
	struct conf_errors *errs;
	struct map names; /* of peers and networks */
	struct conf_peer **peers_tail;
	struct conf_network **networks_tail;
	/* Of the network being read. */
	struct conf_member **members_tail;
	struct conf_group **groups_tail;
	struct conf_rule **rules_tail;
	const struct conf_peer *peer_defaults; /* a peer of defaults only */
	const struct conf_network *network_defaults;
	struct value value;
	bool nomem;
};

/* Keys of one scope. */
#define CONF_SCOPE_KEYS_MAX 64

struct scope_state {
	enum conf_scope scope;
	void *base; /* the object that the scope's offsets are in */
	const char *word; /* of a section: "peer" ... */
	const char *name; /* ... and its title, "" if that was bad */
	struct conf_pos at; /* of the title */
	struct conf_pos seen[CONF_SCOPE_KEYS_MAX]; /* by row: where the key was first given */
};

MUST enum status errors_name(struct conf_errors *errs, const char *file);

/* Row number among those of its scope. */
const struct conf_key *schema_find(enum conf_scope scope, struct bytes name, size_t *ret_row);
void schema_names(enum conf_scope scope, struct text *t);
/* Whether a word names a section in any scope. */
bool schema_is_section(struct bytes word);
/* In the largest unit that is exact. */
void schema_duration(struct text *t, int64_t ms);
/* "1000", "64M" */
void schema_count(struct text *t, uint64_t v);
/* "a number from 1 to 65535" */
void schema_wants(const struct conf_key *k, struct text *t);

/* ST_OK also when the value was wrong and reported; `at` of the member is set in any case.
 * ST_NOMEM. */
MUST enum status value_set(struct arena *ar, struct conf_errors *errs, const struct conf_key *k,
			   const struct value *v, void *base);
/* Where the member of a key was written. */
struct conf_pos value_pos(const struct conf_key *k, const void *base);
/* All defaults of a scope; positions 0. */
MUST enum status value_defaults(struct arena *ar, struct conf_errors *errs, enum conf_scope scope,
				struct value *scratch, void *base);
/* Text, 0x or 0s; no error text ever contains it.  ST_INVAL with `*ret_why` constant. */
MUST enum status value_psk(struct arena *ar, struct bytes s, struct bytes *ret_psk,
			   const char **ret_why);
/* What of a psk_file or ppk_file is the key. */
struct bytes value_psk_of_file(struct bytes text);
/* Proposals that stand for "not written". */
MUST enum status value_default_proposals(struct arena *ar, uint8_t proto,
					 struct conf_proposals *ret);

MUST enum status reader_run(struct reader *r);
MUST enum status check_conf(struct conf *c, struct conf_errors *errs);
MUST enum status check_networks(struct conf *c, struct conf_errors *errs);
/* Addresses, of a hub or peer, that no socket can reach.  `what` is their key; `instead` what to
 * write in place of one that is nobody's. */
/* Other gateways. */
void check_steer(const struct conf_steer *s, struct conf_errors *errs);
void check_hosts(const struct conf *c, const struct conf_list *hosts, const char *what,
		 const char *instead, struct conf_errors *errs);
/* A key that the network's role has no use for. */
void check_attach_endpoint(const struct conf_network *n, struct conf_errors *errs);
void check_not_for(const struct conf_network *n, const char *key, struct conf_pos at,
		   const char *role, struct conf_errors *errs);
/* Direct tunnels. */
MUST enum status check_topology(struct conf *c, struct conf_network *n, struct conf_errors *errs);
/* Inner addresses; at last, all pools together. */
void check_inner_network(const struct conf_network *n, struct conf_errors *errs);
void check_inner_peer(const struct conf_peer *p, struct conf_errors *errs);
MUST enum status check_pools(struct conf *c, struct conf_errors *errs);
/* Hard limits lie above soft ones. */
void check_life(const struct conf_life *l, struct conf_errors *errs);
/* One that is there and too short; `at` is where it or its file was named. */
void check_ppk_length(struct conf_secret *ppk, struct conf_pos at, struct conf_errors *errs);
/* Equal identities hash alike. */
uint64_t check_ident_hash(const struct map *m, const struct policy_ident *id);
static inline bool given(struct conf_pos at)
{
	return at.line != 0;
}

/* Whether all addresses of `inner` are in `outer`, perhaps in several of its selectors; protocols
 * are not looked at. */
bool ts_covers(const struct wire_ts_list *outer, const struct wire_ts *inner);

/* As conf_parse() and conf_load(), but a file with errors gives a configuration too, for further
 * checks only: what was wrong is absent in it. */
MUST enum status conf_read(const struct alloc *mem, const char *file, struct bytes text,
			   struct conf_errors *errs, struct conf **ret_conf);
MUST enum status conf_read_file(const struct alloc *mem, const struct conf_source *source,
				const char *path, struct conf_errors *errs, struct conf **ret_conf);
/* Takes `c`: what those gave, unless there were errors. */
MUST enum status conf_faultless(struct conf *c, const struct conf_errors *errs,
				struct conf **ret_conf);
