/*
 * plan_text.c - plans and domains as lines of text.
 *
 *	warren-guard 1			warren-domain 1
 *	device warren0			10.0.0.0/8
 *	ports 500 4500			fd00::/16
 *	domain 10.0.0.0/8
 *	local 10.1.0.0/16
 *
 * The number is the version.  Lines end with LF, the last one too: a file that was cut off is
 * refused, so that nobody takes half a domain for the whole.  Whoever can write here can lift the
 * block, or spread it over other people's addresses, so it is checked like everything from outside.
 */
#include "guard/guard.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAN_HEAD "warren-guard 1"
#define DOMAIN_HEAD "warren-domain 1"

enum { LINE_MAX_LEN = 80 };

/* ---- writing ----------------------------------------------------------------------------- */

struct out {
	char *p;
	size_t n;
	size_t room;
};

static enum status out_new(size_t lines, struct out *ret)
{
	*ret = (struct out){ .room = (lines + 1) * LINE_MAX_LEN };
	ret->p = malloc(ret->room);
	return ret->p ? ST_OK : ST_NOMEM;
}

__attribute__((format(printf, 2, 3))) static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->p + o->n, o->room - o->n, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < o->room - o->n)
		o->n += (size_t)n;
}

static void put_prefixes(struct out *o, const char *word, const struct prefix *v, size_t n)
{
	char buf[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		put(o, "%s%s\n", word, prefix_text(&v[i], buf));
}

enum status guard_plan_text(const struct guard_plan *p, struct text *why, char **ret_text,
			    size_t *ret_n)
{
	struct out o;
	enum status st;

	if (!guard_device_ok(p->device)) {
		text_add(why, "a plan needs the name of a device");
		return ST_INVAL;
	}
	st = out_new(p->domain.n + p->local.n + 3, &o);
	if (st != ST_OK)
		return st;
	put(&o, PLAN_HEAD "\ndevice %s\nports %u %u\n", p->device, p->ports[0], p->ports[1]);
	put_prefixes(&o, "domain ", p->domain.v, p->domain.n);
	put_prefixes(&o, "local ", p->local.v, p->local.n);
	*ret_text = o.p;
	*ret_n = o.n;
	return ST_OK;
}

enum status guard_learnt_text(const struct prefix *v, size_t n, char **ret_text, size_t *ret_n)
{
	struct out o;
	enum status st = out_new(n + 1, &o);

	if (st != ST_OK)
		return st;
	put(&o, DOMAIN_HEAD "\n");
	put_prefixes(&o, "", v, n);
	*ret_text = o.p;
	*ret_n = o.n;
	return ST_OK;
}

/* ---- reading ----------------------------------------------------------------------------- */

struct in {
	struct bytes rest;
	size_t number; /* of the line, from 1 */
	char line[LINE_MAX_LEN];
};

static enum status wrong(const struct in *in, const char *what, struct text *why)
{
	text_fmt(why, "line %zu: %s", in->number, what);
	return ST_INVAL;
}

/* ST_AGAIN: no more. */
static enum status next_line(struct in *in, struct text *why)
{
	const uint8_t *end;
	size_t n;

	if (in->rest.n == 0)
		return ST_AGAIN;
	in->number++;
	end = memchr(in->rest.p, '\n', in->rest.n);
	if (!end)
		return wrong(in, "does not end with a newline", why);
	n = (size_t)(end - in->rest.p);
	if (n >= sizeof(in->line) || memchr(in->rest.p, '\0', n))
		return wrong(in, "too long, or not text", why);
	memcpy(in->line, in->rest.p, n);
	in->line[n] = '\0';
	in->rest = bytes_of(end + 1, in->rest.n - n - 1);
	return ST_OK;
}

static enum status head(struct in *in, const char *want, struct text *why)
{
	enum status st = next_line(in, why);

	if (st == ST_AGAIN) {
		text_add(why, "empty");
		return ST_INVAL;
	}
	if (st == ST_OK && strcmp(in->line, want) != 0)
		return wrong(in, "not of a kind and version that we know", why);
	return st;
}

static enum status take_prefix(struct in *in, const char *s, struct guard_prefixes *l,
			       struct text *why)
{
	struct prefix p;

	if (!strchr(s, '/') || prefix_parse(s, &p) != ST_OK)
		return wrong(in, "not a prefix", why);
	return guard_prefixes_add(l, &p);
}

/* A decimal number below 65536 and above 0; moves `*s` behind it. */
static bool take_port(const char **s, uint16_t *ret_port)
{
	unsigned v = 0;
	const char *p = *s;

	while (*p >= '0' && *p <= '9' && v <= UINT16_MAX)
		v = v * 10 + (unsigned)(*p++ - '0');
	if (p == *s || v == 0 || v > UINT16_MAX)
		return false;
	*s = p;
	*ret_port = (uint16_t)v;
	return true;
}

static enum status take_ports(struct in *in, const char *s, struct guard_plan *p, struct text *why)
{
	uint16_t ports[2];

	if (!take_port(&s, &ports[0]) || *s++ != ' ' || !take_port(&s, &ports[1]) || *s)
		return wrong(in, "not two port numbers", why);
	memcpy(p->ports, ports, sizeof(ports));
	return ST_OK;
}

static enum status take_device(struct in *in, const char *s, struct guard_plan *p, struct text *why)
{
	if (!guard_device_ok(s))
		return wrong(in, "not the name of a device", why);
	memcpy(p->device, s, strlen(s) + 1);
	return ST_OK;
}

/* What follows a word and a space; NULL when it is another word. */
static const char *after(const char *line, const char *word)
{
	size_t n = strlen(word);

	return strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

static enum status plan_line(struct in *in, struct guard_plan *p, struct text *why)
{
	const char *s;

	if ((s = after(in->line, "domain")))
		return take_prefix(in, s, &p->domain, why);
	if ((s = after(in->line, "local")))
		return take_prefix(in, s, &p->local, why);
	if ((s = after(in->line, "device")))
		return take_device(in, s, p, why);
	if ((s = after(in->line, "ports")))
		return take_ports(in, s, p, why);
	return wrong(in, "begins with a word that we do not know", why);
}

enum status guard_plan_parse(struct bytes text, struct text *why, struct guard_plan *ret_plan)
{
	struct guard_plan p = { 0 };
	struct in in = { .rest = text };
	enum status st = head(&in, PLAN_HEAD, why);

	while (st == ST_OK && (st = next_line(&in, why)) == ST_OK)
		st = plan_line(&in, &p, why);
	if (st == ST_AGAIN)
		st = p.device[0] && p.ports[0] ? ST_OK : wrong(&in, "device or ports missing", why);
	if (st != ST_OK) {
		guard_plan_done(&p);
		return st;
	}
	guard_plan_normalise(&p);
	*ret_plan = p;
	return ST_OK;
}

enum status guard_learnt_parse(struct bytes text, struct text *why,
			       struct guard_prefixes *ret_domain)
{
	struct guard_prefixes l = { 0 };
	struct in in = { .rest = text };
	enum status st = head(&in, DOMAIN_HEAD, why);

	while (st == ST_OK && (st = next_line(&in, why)) == ST_OK)
		st = take_prefix(&in, in.line, &l, why);
	if (st != ST_AGAIN) {
		guard_prefixes_done(&l);
		return st;
	}
	guard_prefixes_sort(&l);
	*ret_domain = l;
	return ST_OK;
}
