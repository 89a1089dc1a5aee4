/* Any bytes as a configuration: it is good or it has errors, never both, and these lie inside the
 * file, in order, as clean text.  Without its secrets it is the same but for the secrets. */
#include <stdlib.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_errors(const struct conf_errors *errs, size_t size)
{
	struct conf_pos last = { 0, 0 };

	for (const struct conf_error *e = errs->head; e; e = e->next) {
		require(e->at.line <= size + 1 && e->at.col <= size + 1);
		require(e->at.line > last.line ||
			(e->at.line == last.line && e->at.col >= last.col));
		last = e->at;
		for (const char *p = e->text; *p; p++)
			require(*p != '\n');
	}
	require(errs->kept <= CONF_ERRORS_MAX && errs->kept <= errs->total);
}

static void check_peer(const struct conf_peer *p)
{
	require(p->name && p->local_id.text.s && p->remote_id.text.s);
	require(p->local_ts.ts.n > 0 && p->local_ts.ts.n == p->local_ts.list.n);
	require(p->remote_ts.ts.n > 0 && p->remote_ts.ts.n == p->remote_ts.list.n);
	require(p->proposals.sa.n > 0 && p->esp_proposals.sa.n > 0);
	require(p->start.v >= 0 && (p->address.n > 0 || p->start.v == CONF_START_LISTEN));
	if (p->auth == CONF_AUTH_CERT)
		require(p->certificate.s && p->key.s && p->trust.n > 0);
	else
		require(p->psk.b.n > 0 || p->psk_file.s);
	if (p->ppk_id.s)
		require(p->ppk.b.n >= CONF_PPK_MIN || p->ppk_file.s);
	else
		require(p->ppk.b.n == 0 && p->ppk_required.v == CONF_NO);
}

static bool is_group(const struct conf_suggest *s, const struct conf_text *name,
		     const struct conf_group *group)
{
	const struct conf_group *g = s->groups;

	while (g && g != group)
		g = g->next;
	return strcmp(name->s, group ? group->name : "*") == 0 && g == group;
}

static void check_topology(const struct conf_suggest *s)
{
	require(s->topology.v >= 0 && s->retry.v.ns <= s->retry_max.v.ns && s->idle.v.ns > 0);
	for (const struct conf_group *g = s->groups; g; g = g->next)
		require(*g->name && g->identities.list.n + g->networks.ts.n > 0 &&
			!g->identities.id == !g->identities.list.n);
	for (const struct conf_rule *r = s->rules; r; r = r->next) {
		require(*r->name && r->topology.v >= 0);
		require(r->between.n == 1 || r->between.n == 2);
		for (size_t i = 0; i < 2; i++)
			require(is_group(s, &r->between.v[i < r->between.n ? i : 0], r->group[i]));
	}
}

static void check_network(const struct conf_network *n)
{
	bool hub = n->role.v == CONF_ROLE_HUB;

	require(n->name && (hub || n->role.v == CONF_ROLE_SITE));
	require(n->proposals.sa.n > 0 && n->esp_proposals.sa.n > 0);
	require(n->identity.s || (n->certificate.s && n->key.s && n->trust.n > 0));
	require(hub ? n->domain.ts.n > 0 : !n->members && !n->suggest.groups && !n->suggest.rules);
	require(hub || n->identity.s || n->hubs.n > 0);
	for (const struct conf_member *m = n->members; m; m = m->next)
		require(m->id.text.s && m->prefixes.ts.n > 0 &&
			m->prefixes.ts.n == m->prefixes.list.n);
	check_topology(&n->suggest);
}

static void check_conf(const struct conf *c)
{
	require(c->n_networks <= 1 && c->n_peers + c->n_networks > 0);
	for (const struct conf_peer *p = c->peers; p; p = p->next)
		check_peer(p);
	if (c->networks)
		check_network(c->networks);
}

static struct conf *parse(struct bytes text, struct conf_errors *errs)
{
	struct conf *c = NULL;
	enum status st;

	conf_errors_init(errs, &mem_libc);
	st = conf_parse(&mem_libc, "fuzz", text, errs, &c);
	require(st == ST_OK || st == ST_INVAL || st == ST_NOMEM);
	require((st == ST_OK) == (c != NULL));
	require((st == ST_INVAL) == (errs->total > 0) || st == ST_NOMEM);
	return c;
}

/* Pre-shared keys differ, and nothing else: not even a column. */
static void compare(const struct conf *a, const struct conf *b, bool same)
{
	const struct conf_peer *q = b->peers;
	struct conf_diff_line *l = NULL;
	struct arena ar;

	arena_init(&ar, &mem_libc, (size_t)1 << 28);
	require(conf_diff(&ar, a, b, &l) == ST_OK);
	require(!same || !l);
	for (; l; l = l->next)
		require(strcmp(l->text, "psk: changed") == 0 ||
			strcmp(l->text, "ppk: changed") == 0);
	arena_done(&ar);
	for (const struct conf_peer *p = a->peers; p; p = p->next, q = q->next) {
		require(p->at.line == q->at.line && p->at.col == q->at.col);
		require(p->psk.at.line == q->psk.at.line && p->psk.at.col == q->psk.at.col);
		require(p->psk.b.n == q->psk.b.n && p->ppk.b.n == q->ppk.b.n);
		require(p->remote_ts.list.at.line == q->remote_ts.list.at.line);
		require(p->remote_ts.list.at.col == q->remote_ts.list.at.col);
	}
}

/* `key` NULL: without. */
static void redact(const uint64_t *key, uint8_t *text, size_t n)
{
	if (key)
		conf_redact_keyed(key, text, n);
	else
		conf_redact(text, n);
}

static void check_redacted(const uint64_t *key, const struct conf *c, const uint8_t *data,
			   size_t size)
{
	uint8_t *copy = malloc(size + 1), *again = malloc(size + 1);
	struct conf_errors errs;
	struct conf *r;

	require(copy && again);
	memcpy(copy, data, size);
	redact(key, copy, size);
	for (size_t i = 0; i < size; i++)
		require((copy[i] == '\n') == (data[i] == '\n'));
	r = parse(bytes_of(copy, size), &errs);
	require(!c || r);
	if (c)
		compare(c, r, false);
	memcpy(again, copy, size);
	redact(NULL, again, size);
	redact(NULL, copy, size);
	require(memcmp(again, copy, size) == 0);
	conf_unref(r);
	conf_errors_done(&errs);
	free(copy);
	free(again);
}

static void check_psk_file(const uint64_t *key, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	require(copy);
	memcpy(copy, data, size);
	conf_redact_psk_file(key, copy, size);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t key[2] = { 3, 4 };
	struct conf_errors errs;
	struct conf *c = parse(bytes_of(data, size), &errs);

	check_errors(&errs, size);
	if (c) {
		check_conf(c);
		compare(c, c, true);
	}
	check_redacted(NULL, c, data, size);
	check_redacted(key, c, data, size);
	check_psk_file(key, data, size);
	conf_unref(c);
	conf_errors_done(&errs);
	return 0;
}
