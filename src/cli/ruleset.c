#include "cli/ruleset.h"

enum {
	DEPTH_MAX = 16, /* as many jumps in each other as the kernel allows */
	STEPS_MAX = 1000000, /* expressions and rules looked at: then nothing is certain */
};

enum tri {
	NO,
	YES,
	MAYBE,
};

enum verdict {
	CONTINUE,
	ACCEPT,
	DROP,
	RETURN,
};

struct walk {
	const json_t *items; /* of the ruleset */
	const struct ruleset_packet *p;
	const char *family, *table;
	unsigned depth;
	unsigned steps;
	bool maybe_accepted;
};

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool is(const json_t *o, const char *key, const char *value)
{
	return strcmp(str(o, key), value) == 0;
}

static bool step(struct walk *w)
{
	if (w->steps >= STEPS_MAX) {
		w->maybe_accepted = true;
		return false;
	}
	w->steps++;
	return true;
}

/* ---- the left side: a property of the packet --------------------------------------------- */

enum kind {
	UNKNOWN,
	ABSENT, /* the packet has no such thing: no match */
	TEXT,
	NUMBER,
	ADDRESS,
};

struct value {
	enum kind kind;
	const char *text;
	json_int_t number;
	struct ip ip;
};

static struct value text_value(const char *s)
{
	return (struct value){ .kind = s ? TEXT : UNKNOWN, .text = s };
}

static struct value number_value(json_int_t n)
{
	return (struct value){ .kind = NUMBER, .number = n };
}

/* "udp" and 17 are the same. */
static struct value protocol_value(const struct ruleset_packet *p)
{
	struct value v = text_value(p->dport ? "udp" : NULL);

	v.number = 17;
	return v;
}

static struct value meta_value(const struct ruleset_packet *p, const char *key)
{
	if (strcmp(key, "iifname") == 0 || strcmp(key, "iif") == 0)
		return text_value(p->iif);
	if (strcmp(key, "oifname") == 0 || strcmp(key, "oif") == 0)
		return text_value(p->oif);
	if (strcmp(key, "nfproto") == 0)
		return text_value(p->family == 4 ? "ipv4" : "ipv6");
	if (strcmp(key, "protocol") == 0)
		return text_value(p->family == 4 ? "ip" : "ip6");
	if (strcmp(key, "l4proto") == 0)
		return protocol_value(p);
	if (strcmp(key, "mark") == 0)
		return number_value(p->mark);
	return (struct value){ .kind = UNKNOWN };
}

static struct value address_value(const struct ip *ip)
{
	return (struct value){ .kind = ip->family ? ADDRESS : UNKNOWN, .ip = *ip };
}

static struct value ip_value(const struct ruleset_packet *p, uint8_t family, const char *field)
{
	if (p->family != family)
		return (struct value){ .kind = ABSENT };
	if (strcmp(field, "saddr") == 0)
		return address_value(&p->src);
	if (strcmp(field, "daddr") == 0)
		return address_value(&p->dst);
	if (strcmp(field, "protocol") == 0 || strcmp(field, "nexthdr") == 0)
		return protocol_value(p);
	return (struct value){ .kind = UNKNOWN };
}

static struct value payload_value(const struct ruleset_packet *p, const json_t *o)
{
	const char *field = str(o, "field");

	if (is(o, "protocol", "ip"))
		return ip_value(p, 4, field);
	if (is(o, "protocol", "ip6"))
		return ip_value(p, 6, field);
	if (p->dport == 0)
		return (struct value){ .kind = UNKNOWN };
	if (is(o, "protocol", "udp") || is(o, "protocol", "th"))
		return strcmp(field, "dport") == 0 ? number_value(p->dport)
						   : (struct value){ .kind = UNKNOWN };
	return (struct value){ .kind = ABSENT };
}

static struct value value_of(const struct ruleset_packet *p, const json_t *left)
{
	const json_t *o;

	if ((o = json_object_get(left, "meta")))
		return meta_value(p, str(o, "key"));
	if ((o = json_object_get(left, "payload")))
		return payload_value(p, o);
	if ((o = json_object_get(left, "ct")) && is(o, "key", "state"))
		return text_value(p->state);
	return (struct value){ .kind = UNKNOWN };
}

/* ---- the right side ---------------------------------------------------------------------- */

static enum tri tri(bool yes)
{
	return yes ? YES : NO;
}

/* The name of a device may end in '*'. */
static bool text_matches(const char *pattern, const char *s)
{
	size_t n = strlen(pattern);

	if (n && pattern[n - 1] == '*')
		return strncmp(pattern, s, n - 1) == 0;
	return strcmp(pattern, s) == 0;
}

static enum tri equals_string(const struct value *v, const char *s)
{
	struct ip ip;

	if (s[0] == '@')
		return MAYBE; /* a named set */
	if (v->kind == TEXT)
		return tri(text_matches(s, v->text));
	if (v->kind == ADDRESS && ip_parse(s, &ip) == ST_OK)
		return tri(ip_eq(&ip, &v->ip));
	return MAYBE;
}

static enum tri equals_number(const struct value *v, json_int_t n)
{
	/* A protocol may be written as its number. */
	if (v->kind == NUMBER || (v->kind == TEXT && v->number))
		return tri(v->number == n);
	return MAYBE;
}

static enum tri in_prefix(const struct value *v, const json_t *o)
{
	json_int_t len = json_integer_value(json_object_get(o, "len"));
	struct prefix p;
	struct ip ip;

	if (v->kind != ADDRESS || ip_parse(str(o, "addr"), &ip) != ST_OK || len < 0 || len > 128)
		return MAYBE;
	p = prefix_of(&ip, (unsigned)len);
	return tri(p.ip.family == v->ip.family && prefix_has(&p, &v->ip));
}

static enum tri in_range(const struct value *v, const json_t *ends)
{
	const json_t *a = json_array_get(ends, 0), *b = json_array_get(ends, 1);
	struct ip first, last;

	if (v->kind == NUMBER && json_is_integer(a) && json_is_integer(b))
		return tri(json_integer_value(a) <= v->number &&
			   v->number <= json_integer_value(b));
	if (v->kind == ADDRESS && json_is_string(a) && json_is_string(b) &&
	    ip_parse(json_string_value(a), &first) == ST_OK &&
	    ip_parse(json_string_value(b), &last) == ST_OK)
		return tri(first.family == v->ip.family && ip_cmp(&first, &v->ip) <= 0 &&
			   ip_cmp(&v->ip, &last) <= 0);
	return MAYBE;
}

static enum tri equals_one(const struct value *v, const json_t *right)
{
	const json_t *o;

	if (json_is_string(right))
		return equals_string(v, json_string_value(right));
	if (json_is_integer(right))
		return equals_number(v, json_integer_value(right));
	if ((o = json_object_get(right, "prefix")))
		return in_prefix(v, o);
	if ((o = json_object_get(right, "range")))
		return in_range(v, o);
	return MAYBE;
}

/* A list, or a set; elements may carry a counter or a comment around them. */
static enum tri equals_any(struct walk *w, const struct value *v, const json_t *list)
{
	enum tri found = NO;
	const json_t *e;
	size_t i;

	json_array_foreach(list, i, e)
	{
		const json_t *elem = json_object_get(e, "elem");
		enum tri t =
			step(w) ? equals_one(v, elem ? json_object_get(elem, "val") : e) : MAYBE;

		if (t == YES)
			return YES;
		if (t == MAYBE)
			found = MAYBE;
	}
	return found;
}

static enum tri equals(struct walk *w, const struct value *v, const json_t *right)
{
	const json_t *set = json_object_get(right, "set");

	if (v->kind == ABSENT)
		return NO;
	if (v->kind == UNKNOWN)
		return MAYBE;
	if (json_is_array(set))
		return equals_any(w, v, set);
	if (json_is_array(right))
		return equals_any(w, v, right);
	return equals_one(v, right);
}

static enum tri match(struct walk *w, const json_t *o)
{
	struct value v = value_of(w->p, json_object_get(o, "left"));
	enum tri t = equals(w, &v, json_object_get(o, "right"));

	if (is(o, "op", "==") || is(o, "op", "in"))
		return t;
	if (is(o, "op", "!=") && v.kind != ABSENT)
		return t == YES ? NO : t == NO ? YES : MAYBE;
	return v.kind == ABSENT ? NO : MAYBE;
}

/* ---- rules and chains -------------------------------------------------------------------- */

static enum verdict walk_chain(struct walk *w, const char *chain);

static enum verdict walk_jump(struct walk *w, const json_t *target, bool and_back)
{
	enum verdict v;

	if (w->depth >= DEPTH_MAX) {
		w->maybe_accepted = true;
		return CONTINUE;
	}
	w->depth++;
	v = walk_chain(w, str(target, "target"));
	w->depth--;
	if (v == ACCEPT || v == DROP)
		return v;
	return and_back ? CONTINUE : RETURN;
}

/* What a statement decides, if it is a verdict. */
static bool is_verdict(struct walk *w, const json_t *e, enum verdict *ret)
{
	const json_t *o;

	if (json_object_get(e, "accept") || json_object_get(e, "queue"))
		*ret = ACCEPT;
	else if (json_object_get(e, "drop") || json_object_get(e, "reject"))
		*ret = DROP;
	else if (json_object_get(e, "return"))
		*ret = RETURN;
	else if ((o = json_object_get(e, "jump")))
		*ret = walk_jump(w, o, true);
	else if ((o = json_object_get(e, "goto")))
		*ret = walk_jump(w, o, false);
	else
		return false;
	return true;
}

/* Statements that let a packet go on to the next expression whatever it is. */
static bool is_neutral(const json_t *e)
{
	static const char *const names[] = { "counter",    "log",        "mangle", "notrack",
					     "comment",    "masquerade", "snat",   "dnat",
					     "redirect",   "set",        "flow",   "ct helper",
					     "ct timeout", "dup" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (json_object_get(e, names[i]))
			return true;
	return false;
}

/* A verdict that might be reached changes only what it might have saved. */
static enum verdict reach(struct walk *w, enum tri reached, enum verdict v)
{
	if (reached == YES)
		return v;
	if (v == ACCEPT || v == RETURN)
		w->maybe_accepted = true;
	return CONTINUE;
}

static enum verdict walk_vmap(struct walk *w, const json_t *o, enum tri reached)
{
	struct value v = value_of(w->p, json_object_get(o, "key"));
	const json_t *set = json_object_get(json_object_get(o, "data"), "set"), *pair;
	enum verdict verdict;
	size_t i;

	if (!json_is_array(set)) {
		w->maybe_accepted = true; /* a named map */
		return CONTINUE;
	}
	json_array_foreach(set, i, pair)
	{
		enum tri t = step(w) ? equals(w, &v, json_array_get(pair, 0)) : MAYBE;

		if (t == NO || !is_verdict(w, json_array_get(pair, 1), &verdict))
			continue;
		verdict = reach(w, t == YES ? reached : MAYBE, verdict);
		if (verdict != CONTINUE)
			return verdict;
	}
	return CONTINUE;
}

static enum verdict walk_rule(struct walk *w, const json_t *rule)
{
	enum tri reached = YES;
	const json_t *e, *o;
	enum verdict v;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, e)
	{
		if (!step(w))
			return CONTINUE;
		if ((o = json_object_get(e, "match"))) {
			enum tri t = match(w, o);

			if (t == NO)
				return CONTINUE;
			if (t == MAYBE)
				reached = MAYBE;
		} else if ((o = json_object_get(e, "vmap"))) {
			v = walk_vmap(w, o, reached);
			if (v != CONTINUE)
				return v;
		} else if (is_verdict(w, e, &v)) {
			return reach(w, reached, v);
		} else if (!is_neutral(e)) {
			reached = MAYBE; /* limits, extensions of iptables, what is yet to come */
		}
	}
	return CONTINUE;
}

static enum verdict walk_chain(struct walk *w, const char *chain)
{
	const json_t *item;
	size_t i;

	json_array_foreach(w->items, i, item)
	{
		const json_t *rule = json_object_get(item, "rule");
		enum verdict v;

		if (!step(w))
			return CONTINUE;
		if (!rule || !is(rule, "chain", chain) || !is(rule, "table", w->table) ||
		    !is(rule, "family", w->family))
			continue;
		v = walk_rule(w, rule);
		if (v != CONTINUE)
			return v;
	}
	return CONTINUE;
}

/* ---- all base chains --------------------------------------------------------------------- */

static bool concerns(const json_t *chain, const char *skip, const struct ruleset_packet *p)
{
	const char *family = str(chain, "family");

	if (!is(chain, "hook", p->hook) || is(chain, "table", skip))
		return false;
	return strcmp(family, "inet") == 0 || strcmp(family, p->family == 4 ? "ip" : "ip6") == 0;
}

static enum ruleset_fate base_chain(const json_t *items, const json_t *chain,
				    const struct ruleset_packet *p, struct ruleset_where *where)
{
	struct walk w = {
		.items = items, .p = p, .family = str(chain, "family"), .table = str(chain, "table")
	};
	enum verdict v = walk_chain(&w, str(chain, "name"));

	*where = (struct ruleset_where){ w.family, w.table, str(chain, "name"), v != DROP };
	if (v == ACCEPT || (v != DROP && !is(chain, "policy", "drop")))
		return RULESET_PASSES;
	return w.maybe_accepted ? RULESET_MAYBE : RULESET_DROPPED;
}

enum ruleset_fate ruleset_fate(const json_t *ruleset, const char *skip,
			       const struct ruleset_packet *p, struct ruleset_where *ret_where)
{
	const json_t *items = json_object_get(ruleset, "nftables"), *item;
	enum ruleset_fate worst = RULESET_PASSES;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");
		struct ruleset_where where;
		enum ruleset_fate fate;

		if (!chain || !concerns(chain, skip, p))
			continue;
		fate = base_chain(items, chain, p, &where);
		if (fate > worst) {
			worst = fate;
			*ret_where = where;
		}
	}
	return worst;
}

bool ruleset_has_chain(const json_t *ruleset, const char *family, const char *table,
		       const char *chain)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(ruleset, "nftables"), i, item)
	{
		const json_t *c = json_object_get(item, "chain");

		if (c && is(c, "family", family) && is(c, "table", table) && is(c, "name", chain))
			return true;
	}
	return false;
}
