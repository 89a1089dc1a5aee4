/* Looking at the mesh of a node: what tests assert on. */
#include "harness/internal.h"

static const struct mesh *mesh_of(const struct node *n)
{
	if (!n->mesh)
		harness_fail("%s has no mesh", n->name);
	return n->mesh;
}

static const char *put_ident(char buf[static NODE_TEXT], const struct policy_ident *id)
{
	struct text t = { buf, 0, NODE_TEXT };

	buf[0] = '\0';
	if (id->type)
		policy_ident_text(&t, id);
	return buf;
}

static const char *put_text(char buf[static NODE_TEXT], const char *text)
{
	struct text t = { buf, 0, NODE_TEXT };

	buf[0] = '\0';
	text_add(&t, text ? text : "");
	return buf;
}

static void put_ts(char buf[static NODE_TEXT], const struct wire_ts_list *l)
{
	struct text t = { buf, 0, NODE_TEXT };

	buf[0] = '\0';
	policy_ts_list_text(&t, l);
}

/* ---- sites --------------------------------------------------------------------------------- */

struct find_shortcut {
	const char *partner;
	struct node_shortcut *ret;
	bool found;
};

static void keep_shortcut(struct node_shortcut *to, const struct mesh_shortcut_info *info)
{
	if (info->n_tries > NODE_TRIES)
		harness_fail("%zu tries at a path", info->n_tries);
	to->info = *info;
	to->info.text = put_text(to->text, info->text);
	put_ts(to->ts_local, &info->ts_local);
	put_ts(to->ts_remote, &info->ts_remote);
	to->info.ts_local = to->info.ts_remote = (struct wire_ts_list){ 0 };
	to->info.partner = (struct policy_ident){ 0 };
	if (info->n_tries)
		memcpy(to->tries, info->tries, info->n_tries * sizeof(*info->tries));
	to->info.tries = to->tries;
}

/* The newest, of several. */
static bool match_shortcut(void *ctx, const struct mesh_shortcut_info *info)
{
	struct find_shortcut *f = ctx;
	char partner[NODE_TEXT];

	if (strcmp(put_ident(partner, &info->partner), f->partner) != 0 ||
	    (f->found && info->number < f->ret->info.number))
		return true;
	keep_shortcut(f->ret, info);
	memcpy(f->ret->partner, partner, sizeof(partner));
	f->found = true;
	return true;
}

bool node_shortcut(const struct node *n, const char *partner, struct node_shortcut *ret)
{
	struct find_shortcut f = { partner, ret, false };

	mesh_each_shortcut(mesh_of(n), n->w->now, match_shortcut, &f);
	return f.found;
}

const char *node_shortcut_state(const struct node *n, const char *partner)
{
	struct node_shortcut s;

	return node_shortcut(n, partner, &s) ? s.info.state : "";
}

enum status node_withdraw(struct node *n, const char *partner)
{
	struct node_shortcut s;
	enum status st;

	if (!node_shortcut(n, partner, &s))
		harness_fail("%s knows of no tunnel with %s", n->name, partner);
	st = mesh_withdraw(n->mesh, n->w->now, s.info.number);
	node_drain(n);
	return st;
}

/* ---- hubs ---------------------------------------------------------------------------------- */

struct find_pair {
	const char *one, *other;
	struct node_pair *ret;
	bool found;
};

static bool match_pair(void *ctx, const struct mesh_pair_info *info)
{
	struct find_pair *f = ctx;
	struct node_pair p = { .info = *info };

	put_ident(p.a, &info->a);
	put_ident(p.b, &info->b);
	if ((strcmp(p.a, f->one) || strcmp(p.b, f->other)) &&
	    (strcmp(p.a, f->other) || strcmp(p.b, f->one)))
		return true;
	put_ident(p.by, &info->by);
	put_text(p.text, info->text);
	*f->ret = p;
	f->ret->info.text = f->ret->text;
	f->ret->info.a = f->ret->info.b = f->ret->info.by = (struct policy_ident){ 0 };
	f->found = true;
	return false;
}

bool node_pair(const struct node *n, const char *a, const char *b, struct node_pair *ret)
{
	struct find_pair f = { a, b, ret, false };

	mesh_each_pair(mesh_of(n), n->w->now, match_pair, &f);
	return f.found;
}

const char *node_pair_state(const struct node *n, const char *a, const char *b)
{
	struct node_pair p;

	return node_pair(n, a, b, &p) ? p.info.state : "";
}

static bool count_member(void *ctx, const struct mesh_member_info *info)
{
	(void)info;
	++*(size_t *)ctx;
	return true;
}

size_t node_members(const struct node *n)
{
	size_t count = 0;

	mesh_each_member(mesh_of(n), count_member, &count);
	return count;
}
