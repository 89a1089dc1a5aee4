/* What the harness keeps of an engine's outputs: a hash over all of them, and the last word on
 * events, children, traps and keys. */
#include "harness/internal.h"

#include "harness/digest.h"

void record_output(struct node *n, const struct ike_out *o)
{
	digest_output(&n->w->hash, n->name, o);
}

/* ---- the data plane ------------------------------------------------------------------------ */

static struct wire_ts_list keep_ts(const struct node *n, const struct wire_ts_list *l,
				   struct wire_ts *buf, size_t cap)
{
	if (l->n == 0 || l->n > cap)
		harness_fail("%s: %zu selectors for the data plane", n->name, l->n);
	memcpy(buf, l->ts, l->n * sizeof(*buf));
	return (struct wire_ts_list){ .ts = buf, .n = l->n };
}

static struct node_child *find_child(struct node *n, dp_child_id id)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.id == id)
			return &n->child[i];
	return NULL;
}

/* What dp.h asks of an operation that installs a child. */
static void check_child(struct node *n, const struct dp_child *c)
{
	struct crypto_cipher_info info;

	if (!c->id || !c->spi_in || !c->spi_out || !c->peer)
		harness_fail("%s: child without numbers", n->name);
	if (c->spi_in < 256)
		harness_fail("%s: reserved SPI %u (RFC 4303 section 2.1)", n->name, c->spi_in);
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.spi_in == c->spi_in && n->child[i].child.id != c->id)
			harness_fail("%s: inbound SPI %08x twice", n->name, c->spi_in);
	if (crypto_cipher_info(c->in.cipher, &info) != ST_OK || c->in.encr.n != info.key_len ||
	    c->out.encr.n != info.key_len)
		harness_fail("%s: keys of the wrong length", n->name);
	if ((!n->roams && !node_owns(n, &c->local.ip)) || !c->remote.ip.family || !c->remote.port)
		harness_fail("%s: child without endpoints", n->name);
}

static void child_add(struct node *n, const struct dp_child *c)
{
	struct node_child *k = find_child(n, c->id);

	if (!k)
		check_child(n, c);
	if (!k) {
		if (c->id <= n->last_child)
			harness_fail("%s: child number used again", n->name);
		if (n->n_children == NODE_CHILDREN)
			harness_fail("%s: too many children", n->name);
		k = &n->child[n->n_children++];
		n->last_child = c->id;
	} else if (c->outbound) {
		k->child.outbound = true; /* the rest is ignored */
		return;
	}
	k->child = *c;
	k->child.ts_local = keep_ts(n, &c->ts_local, k->ts[0], ARRAY_LEN(k->ts[0]));
	k->child.ts_remote = keep_ts(n, &c->ts_remote, k->ts[1], ARRAY_LEN(k->ts[1]));
}

static void fix_child(struct node_child *k)
{
	k->child.ts_local.ts = k->ts[0];
	k->child.ts_remote.ts = k->ts[1];
}

/* It is none that carries traffic any more. */
static void child_quiet(struct node *n, dp_child_id id)
{
	struct node_child *k = find_child(n, id);

	if (!k && n->fail_op < 0)
		harness_fail("%s: child %llu sends no more but is not there", n->name,
			     (unsigned long long)id);
	if (!k)
		return;
	if (n->n_quiet == NODE_CHILDREN)
		harness_fail("%s: too many children that only receive", n->name);
	n->quiet[n->n_quiet++] = id;
	*k = n->child[--n->n_children];
	fix_child(k);
}

static void child_pause(struct node *n, dp_child_id id)
{
	struct node_child *k = find_child(n, id);

	if (!k && n->fail_op < 0)
		harness_fail("%s: child %llu pauses but is not there", n->name,
			     (unsigned long long)id);
	if (k)
		k->child.outbound = false;
}

static bool quiet_del(struct node *n, dp_child_id id)
{
	for (size_t i = 0; i < n->n_quiet; i++)
		if (n->quiet[i] == id) {
			n->quiet[i] = n->quiet[--n->n_quiet];
			return true;
		}
	return false;
}

static void child_del(struct node *n, dp_child_id id)
{
	struct node_child *k = find_child(n, id);

	if (quiet_del(n, id))
		return;

	/* A child whose installation was made to fail may still be taken away. */
	if (!k && n->fail_op < 0)
		harness_fail("%s: child %llu deleted but not there", n->name,
			     (unsigned long long)id);
	if (!k)
		return;
	*k = n->child[--n->n_children];
	fix_child(k);
}

static void child_address(struct node *n, const struct dp_op *op)
{
	struct node_child *k = find_child(n, op->u.address.id);

	if (!k && n->fail_op < 0)
		harness_fail("%s: address of a child that is not there", n->name);
	if (!k)
		return;
	k->child.local = op->u.address.local;
	k->child.remote = op->u.address.remote;
	k->child.encap = op->u.address.encap;
}

static void trap_del(struct node *n, dp_peer_id peer)
{
	for (size_t i = 0; i < n->n_traps; i++)
		if (n->trap[i].peer == peer) {
			n->trap[i] = n->trap[--n->n_traps];
			n->trap[i].ts_local.ts = n->trap[i].ts[0];
			n->trap[i].ts_remote.ts = n->trap[i].ts[1];
			return;
		}
	if (n->fail_op < 0)
		harness_fail("%s: trap deleted but not there", n->name);
}

static void trap_add(struct node *n, const struct dp_op *op)
{
	struct node_trap *t;

	if (node_trap(n, op->u.trap.peer))
		trap_del(n, op->u.trap.peer);
	if (n->n_traps == NODE_TRAPS)
		harness_fail("%s: too many traps", n->name);
	t = &n->trap[n->n_traps++];
	t->peer = op->u.trap.peer;
	t->ts_local = keep_ts(n, &op->u.trap.ts_local, t->ts[0], ARRAY_LEN(t->ts[0]));
	t->ts_remote = keep_ts(n, &op->u.trap.ts_remote, t->ts[1], ARRAY_LEN(t->ts[1]));
}

void record_dp(struct node *n, const struct dp_op *op)
{
	switch (op->kind) {
	case DP_CHILD_ADD: child_add(n, &op->u.child); break;
	case DP_CHILD_QUIET: child_quiet(n, op->u.id); break;
	case DP_CHILD_DEL: child_del(n, op->u.id); break;
	case DP_CHILD_ADDRESS: child_address(n, op); break;
	case DP_CHILD_PAUSE: child_pause(n, op->u.id); break;
	case DP_CHILD_QUERY:
	case DP_CHILD_DUMMY: break;
	case DP_TRAP_ADD: trap_add(n, op); break;
	case DP_TRAP_DEL: trap_del(n, op->u.peer); break;
	case DP_PATH_MTU:
	case DP_PEER_PREFIX:
	case DP_PEER_GIVEN_ONLY: break;
	}
}

/* ---- events and keys ----------------------------------------------------------------------- */

static void grow_events(struct node *n)
{
	size_t cap = n->cap_events ? 2 * n->cap_events : 16;
	struct ike_event *more = mem_libc.alloc(NULL, cap * sizeof(*more));

	if (!more)
		harness_fail("out of memory");
	if (n->n_events)
		memcpy(more, n->events, n->n_events * sizeof(*more));
	mem_libc.free(NULL, n->events);
	n->events = more;
	n->cap_events = cap;
}

/* Its owner may go before the test looks. */
static const char *keep_name(const char *name)
{
	struct bytes copy;

	if (mem_dup(&mem_libc, bytes_of(name, strlen(name) + 1), &copy) != ST_OK)
		harness_fail("out of memory");
	return (const char *)copy.p;
}

/* Those say what it was that failed, the others that nothing did. */
static bool is_failure(enum ike_event_kind kind)
{
	switch (kind) {
	case IKE_EV_CONFLICT:
	case IKE_EV_REFUSED:
	case IKE_EV_UNREACHABLE:
	case IKE_EV_SUSPECT:
	case IKE_EV_DEAD:
	case IKE_EV_DATAPLANE:
	case IKE_EV_SHORTCUT_FAILED:
	case IKE_EV_NOT_DIRECT:
	case IKE_EV_BUG: return true;
	default: return false;
	}
}

/* What has ended may have lived its time. */
static bool may_be_failure(enum ike_event_kind kind)
{
	return kind == IKE_EV_SHORTCUT_ENDED || kind == IKE_EV_PARTNER_OVER;
}

void record_event(struct node *n, const struct ike_event *ev)
{
	if (ev->kind >= IKE_EVENTS || !memchr(ev->text, 0, sizeof(ev->text)) || !ev->peer_name)
		harness_fail("%s: malformed event", n->name);
	if ((!may_be_failure(ev->kind) && is_failure(ev->kind) != (ev->reason != IKE_R_NONE)) ||
	    ev->reason >= IKE_REASONS)
		harness_fail("%s: %s with reason \"%s\": %s", n->name, ike_event_name(ev->kind),
			     ike_reason_name(ev->reason), ev->text);
	if (ev->kind == IKE_EV_BUG && !n->bugs_allowed)
		harness_fail("%s: the engine reports a bug: %s", n->name, ev->text);
	if (n->n_events == n->cap_events)
		grow_events(n);
	n->events[n->n_events] = *ev;
	n->events[n->n_events++].peer_name = keep_name(ev->peer_name);
}

void node_forget_events(struct node *n)
{
	for (size_t i = 0; i < n->n_events; i++)
		mem_libc.free(NULL, (void *)(uintptr_t)n->events[i].peer_name);
	mem_libc.free(NULL, n->events);
	n->events = NULL;
	n->n_events = n->cap_events = 0;
}

static struct crypto_key key_of(struct crypto_cipher cipher, struct bytes encr, struct bytes integ)
{
	struct crypto_key k = { .cipher = cipher };

	if (!secret_set(&k.encr, encr) || !secret_set(&k.integ, integ))
		harness_fail("a key is too long");
	return k;
}

void record_keys(struct node *n, const struct ike_out *o)
{
	struct world *w = n->w;

	/* A long test remembers the newest. */
	w->keys[w->n_keys++ % WORLD_KEYS] = (struct world_keys){
		.node = n,
		.spi_i = o->u.keys.spi_i,
		.spi_r = o->u.keys.spi_r,
		.ei = key_of(o->u.keys.cipher, o->u.keys.sk_ei, o->u.keys.sk_ai),
		.er = key_of(o->u.keys.cipher, o->u.keys.sk_er, o->u.keys.sk_ar),
	};
}
