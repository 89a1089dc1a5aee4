#include "daemon/journal.h"

#include <stdio.h>
#include <strings.h>

/* Subjects that displace each other. */
enum {
	LRU_STRANGER,
	LRU_KNOWN,
	LRUS,
};

struct lru {
	struct list head; /* least recently noted first */
	size_t n;
};

struct journal {
	const struct alloc *mem;
	struct map subjects;
	struct lru lru[JOURNAL_KINDS][LRUS];
};

/* ---- names of subjects ------------------------------------------------------------------- */

struct key {
	enum journal_kind kind;
	const char *name;
};

static bool same(const struct map_node *node, const void *key)
{
	const struct journal_subject *s = CONTAINER_OF(node, const struct journal_subject, node);
	const struct key *k = key;

	return s->kind == k->kind && strcasecmp(s->name, k->name) == 0;
}

static uint64_t hash_of(const struct journal *j, const struct key *k)
{
	uint8_t buf[1 + JOURNAL_NAME_MAX];
	size_t n = 0;

	buf[n++] = (uint8_t)k->kind;
	for (const char *p = k->name; *p && n < sizeof(buf); p++)
		buf[n++] = (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
	return map_hash(&j->subjects, bytes_of(buf, n));
}

static struct journal_subject *find(const struct journal *j, const struct key *k)
{
	struct map_node *n = map_find(&j->subjects, hash_of(j, k), same, k);

	return n ? CONTAINER_OF(n, struct journal_subject, node) : NULL;
}

const struct journal_subject *journal_find(const struct journal *j, enum journal_kind kind,
					   const char *name)
{
	return find(j, &(struct key){ kind, name });
}

size_t journal_count(const struct journal *j)
{
	return j->subjects.count;
}

/* ---- texts ------------------------------------------------------------------------------- */

static void text_unref(struct journal *j, const struct journal_text *text)
{
	struct journal_text *t = (struct journal_text *)(uintptr_t)text;

	if (t && --t->refs == 0)
		mem_free(j->mem, t);
}

static char *put_string(char **at, const char *s, size_t n)
{
	char *to = *at;

	memcpy(to, s, n + 1);
	*at += n + 1;
	return to;
}

static struct journal_text *text_new(struct journal *j, const struct ike_event *ev)
{
	const char *peer = ev->peer_name ? ev->peer_name : "";
	size_t np = strlen(peer), ni = strnlen(ev->identity, sizeof(ev->identity) - 1);
	size_t nt = strnlen(ev->text, sizeof(ev->text) - 1);
	struct journal_text *t = mem_new(j->mem, sizeof(*t) + np + ni + nt + 3);
	char *at = (char *)(t + 1);

	if (!t)
		return NULL;
	t->refs = 1;
	t->kind = ev->kind;
	t->reason = ev->reason;
	t->keyed = ev->spi_i && ev->spi_r;
	t->local = ev->local;
	t->remote = ev->remote;
	t->peer = put_string(&at, peer, np);
	t->identity = put_string(&at, ev->identity, ni);
	t->text = put_string(&at, ev->text, nt);
	return t;
}

/* ---- subjects ---------------------------------------------------------------------------- */

static struct lru *lru_of(struct journal *j, const struct journal_subject *s)
{
	return &j->lru[s->kind][s->known ? LRU_KNOWN : LRU_STRANGER];
}

static void lru_add(struct journal *j, struct journal_subject *s)
{
	struct lru *l = lru_of(j, s);

	list_add_tail(&l->head, &s->lru);
	l->n++;
}

static void lru_del(struct journal *j, struct journal_subject *s)
{
	list_del(&s->lru);
	lru_of(j, s)->n--;
}

static void subject_free(struct journal *j, struct journal_subject *s)
{
	for (size_t i = 0; i < s->n_notes; i++)
		text_unref(j, s->note[i].what);
	mem_free(j->mem, s->unsent_why);
	mem_free(j->mem, s->lookup_why);
	mem_free(j->mem, s);
}

static void forget(struct journal *j, struct journal_subject *s)
{
	lru_del(j, s);
	map_remove(&j->subjects, &s->node);
	subject_free(j, s);
}

static size_t room_for(enum journal_kind kind)
{
	return kind == JOURNAL_PEER || kind == JOURNAL_HOST ? JOURNAL_PEERS_MAX
							    : JOURNAL_SUBJECTS_MAX;
}

static void trim(struct journal *j, struct lru *l, size_t max)
{
	while (l->n > max)
		forget(j, CONTAINER_OF(l->head.next, struct journal_subject, lru));
}

/* The one noted last comes last. */
static void touch(struct journal *j, struct journal_subject *s)
{
	lru_del(j, s);
	lru_add(j, s);
}

static struct journal_subject *subject_new(struct journal *j, const struct key *k)
{
	size_t n = strlen(k->name);
	struct journal_subject *s;

	if (n == 0 || n > JOURNAL_NAME_MAX)
		return NULL;
	s = mem_new(j->mem, sizeof(*s) + n + 1);
	if (!s)
		return NULL;
	s->kind = k->kind;
	s->name = memcpy(s + 1, k->name, n + 1);
	lru_add(j, s);
	map_insert(&j->subjects, &s->node, hash_of(j, k));
	trim(j, lru_of(j, s), room_for(s->kind));
	return s;
}

/* `make`: also when it is new. */
static struct journal_subject *subject(struct journal *j, enum journal_kind kind, const char *name,
				       bool make)
{
	const struct key k = { kind, name };
	struct journal_subject *s = find(j, &k);

	if (s)
		touch(j, s);
	else if (make)
		s = subject_new(j, &k);
	return s;
}

/* It was connected: strangers displace it no more. */
static void promote(struct journal *j, struct journal_subject *s)
{
	if (s->known)
		return;
	lru_del(j, s);
	s->known = true;
	lru_add(j, s);
	trim(j, lru_of(j, s), room_for(s->kind));
}

/* ---- notes ------------------------------------------------------------------------------- */

static bool says(const struct journal_note *n, const struct journal_text *t)
{
	return n->what->kind == t->kind && n->what->reason == t->reason &&
	       n->what->keyed == t->keyed && strcmp(n->what->text, t->text) == 0;
}

/* Where that text stands already, else the last place, whose text goes. */
static size_t place_for(struct journal *j, struct journal_subject *s, struct journal_text *t)
{
	for (size_t i = 0; i < s->n_notes; i++)
		if (says(&s->note[i], t))
			return i;
	if (s->n_notes < JOURNAL_NOTES)
		s->n_notes++;
	else
		text_unref(j, s->note[s->n_notes - 1].what);
	s->note[s->n_notes - 1] = (struct journal_note){ 0 };
	return s->n_notes - 1;
}

static void note(struct journal *j, struct journal_subject *s, obs_time at, struct journal_text *t)
{
	size_t i = place_for(j, s, t);
	struct journal_note n = s->note[i];

	/* The newer text has the newer ports and claims. */
	t->refs++;
	text_unref(j, n.what);
	n.what = t;
	if (n.count++ == 0)
		n.first = at;
	n.last = at;
	memmove(&s->note[1], &s->note[0], i * sizeof(n));
	s->note[0] = n;
}

/* ---- events ------------------------------------------------------------------------------ */

static bool is_noted(enum ike_event_kind kind)
{
	switch (kind) {
	case IKE_EV_SA_DOWN:
	case IKE_EV_CONFLICT:
	case IKE_EV_REFUSED:
	case IKE_EV_UNREACHABLE:
	case IKE_EV_SUSPECT:
	case IKE_EV_DEAD:
	case IKE_EV_DATAPLANE:
	case IKE_EV_SHORTCUT_FAILED:
	case IKE_EV_SHORTCUT_ENDED:
	case IKE_EV_BUG: return true;
	default: return false;
	}
}

/* About two members and their tunnel: the network that it is in, and the host's own address, have
 * nothing to do with it. */
static bool is_of_mesh(enum ike_event_kind kind)
{
	return kind == IKE_EV_SHORTCUT_FAILED || kind == IKE_EV_SHORTCUT_ENDED;
}

/* How far it came, for events that say no more than that. */
static void progress(struct journal *j, struct journal_subject *s, obs_time at,
		     enum ike_event_kind kind)
{
	if (kind == IKE_EV_RETRANSMIT) {
		s->repeats++;
		return;
	}
	if (kind == IKE_EV_CONNECTING)
		s->began = at;
	else if (kind == IKE_EV_CHILD_UP)
		s->up = at;
	if (kind == IKE_EV_CHILD_UP || kind == IKE_EV_SA_UP)
		promote(j, s);
	if (kind == IKE_EV_CHILD_UP || kind == IKE_EV_SA_UP || kind == IKE_EV_CONNECTING ||
	    kind == IKE_EV_CHILD_REKEYED || kind == IKE_EV_SA_REKEYED)
		s->repeats = 0;
}

static void note_at(struct journal *j, enum journal_kind kind, const char *name, obs_time at,
		    const struct ike_event *ev, struct journal_text *t)
{
	bool make = t || (kind == JOURNAL_PEER && ev->kind == IKE_EV_CONNECTING);
	struct journal_subject *s = subject(j, kind, name, make);

	if (!s)
		return;
	progress(j, s, at, ev->kind);
	if (t)
		note(j, s, at, t);
}

void journal_event(struct journal *j, obs_time at, const struct ike_event *ev)
{
	bool dynamic = ev->peer >= IKE_PEER_DYNAMIC;
	const char *peer = ev->peer_name ? ev->peer_name : "";
	struct journal_text *t = NULL;
	char addr[IP_TEXT_MAX];

	if (is_noted(ev->kind)) {
		t = text_new(j, ev);
		if (!t)
			return;
	}
	if (peer[0] && !is_of_mesh(ev->kind))
		note_at(j, dynamic ? JOURNAL_IDENTITY : JOURNAL_PEER, peer, at, ev, t);
	if (ev->identity[0] && !(dynamic && strcasecmp(peer, ev->identity) == 0))
		note_at(j, JOURNAL_IDENTITY, ev->identity, at, ev, t);
	if (ev->remote.ip.family && !is_of_mesh(ev->kind))
		note_at(j, JOURNAL_ADDRESS, ip_text(&ev->remote.ip, addr), at, ev, t);
	text_unref(j, t);
}

/* ---- what is no event of the engine ------------------------------------------------------ */

/* The old value stays when memory is short and `s` is not NULL. */
static void replace_string(struct journal *j, char **where, const char *s)
{
	struct bytes copy = { 0 };

	if (s && mem_dup(j->mem, bytes_of(s, strlen(s) + 1), &copy) != ST_OK)
		return;
	mem_free(j->mem, *where);
	*where = (char *)(uintptr_t)copy.p;
}

void journal_lookup(struct journal *j, obs_time at, const char *host,
		    const struct ike_address *addrs, size_t n, const char *why)
{
	struct journal_subject *s = subject(j, JOURNAL_HOST, host, true);

	if (!s)
		return;
	s->looked_up = at;
	s->n_addrs = n < JOURNAL_ADDRS_MAX ? n : JOURNAL_ADDRS_MAX;
	for (size_t i = 0; i < s->n_addrs; i++)
		s->addr[i] = addrs[i].remote;
	replace_string(j, &s->lookup_why, n ? NULL : why ? why : "");
}

void journal_unsent(struct journal *j, obs_time at, const struct ip *remote, const char *why)
{
	char addr[IP_TEXT_MAX];
	struct journal_subject *s = subject(j, JOURNAL_ADDRESS, ip_text(remote, addr), true);

	if (!s)
		return;
	s->unsent_at = at;
	s->unsent++;
	if (!s->unsent_why || strcmp(s->unsent_why, why) != 0)
		replace_string(j, &s->unsent_why, why);
}

void journal_icmp(struct journal *j, obs_time at, const struct ip *remote, const struct ip *from,
		  const char *text)
{
	char addr[IP_TEXT_MAX];
	struct journal_subject *s = subject(j, JOURNAL_ADDRESS, ip_text(remote, addr), true);

	if (!s)
		return;
	s->icmp_at = at;
	s->icmp++;
	s->icmp_from = *from;
	s->icmp_text = text;
}

/* ---- life -------------------------------------------------------------------------------- */

enum status journal_new(const struct alloc *mem, const uint64_t key[2],
			struct journal **ret_journal)
{
	struct journal *j = mem_new(mem, sizeof(*j));

	if (!j)
		return ST_NOMEM;
	j->mem = mem;
	map_init(&j->subjects, mem, key);
	for (size_t kind = 0; kind < JOURNAL_KINDS; kind++)
		for (size_t i = 0; i < LRUS; i++)
			list_init(&j->lru[kind][i].head);
	*ret_journal = j;
	return ST_OK;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (size_t kind = 0; kind < JOURNAL_KINDS; kind++)
		for (size_t i = 0; i < LRUS; i++)
			trim(j, &j->lru[kind][i], 0);
	map_done(&j->subjects);
	mem_free(j->mem, j);
}
