#include "plat/resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "plat/loop.h"
#include "plat/process.h"
#include "plat/udp.h"

struct plat_resolve {
	struct plat_work *work;
	plat_resolve_fn *fn; /* NULL: cancelled */
	void *ctx;
	int ns;
	struct plat_resolved result;
	char name[];
};

static void add(struct plat_resolved *res, const struct ip *ip)
{
	for (size_t i = 0; i < res->n; i++)
		if (ip_eq(&res->ip[i], ip))
			return;
	if (res->n < PLAT_RESOLVE_MAX)
		res->ip[res->n++] = *ip;
}

static void look_up(const char *name, struct plat_resolved *res)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list = NULL;
	int err = getaddrinfo(name, NULL, &hints, &list);

	if (err == 0) {
		for (const struct addrinfo *a = list; a; a = a->ai_next) {
			struct endpoint e = plat_endpoint(a->ai_addr);

			if (e.ip.family)
				add(res, &e.ip);
		}
		freeaddrinfo(list);
	}
	res->status = res->n ? ST_OK : ST_IO;
	if (res->n == 0)
		snprintf(res->error, sizeof(res->error), "%s",
			 err ? gai_strerror(err) : "no address of a family that we know");
}

static void run(void *ctx)
{
	struct plat_resolve *r = ctx;
	struct text why = TEXT_OF(r->result.error);
	struct plat_ns in;

	if (ip_parse(r->name, &r->result.ip[0]) == ST_OK) {
		r->result.n = 1;
		r->result.status = ST_OK;
		return;
	}
	r->result.status = plat_ns_enter(r->ns, &why, &in);
	if (r->result.status != ST_OK)
		return;
	look_up(r->name, &r->result);
	plat_ns_leave(&in);
}

static void done(void *ctx, bool ran)
{
	struct plat_resolve *r = ctx;

	if (r->fn && ran)
		r->fn(r->ctx, &r->result);
	free(r);
}

enum status plat_resolve_start(uv_loop_t *loop, int ns, const char *name, plat_resolve_fn *fn,
			       void *ctx, struct plat_resolve **ret_resolve)
{
	static const struct plat_work_fns fns = { run, done };
	size_t n = strlen(name) + 1;
	struct plat_resolve *r = calloc(1, sizeof(*r) + n);
	enum status st;

	if (!r)
		return ST_NOMEM;
	r->fn = fn;
	r->ctx = ctx;
	r->ns = ns;
	memcpy(r->name, name, n);
	st = plat_work_start(loop, &fns, r, &r->work);
	if (st != ST_OK) {
		free(r);
		return st;
	}
	*ret_resolve = r;
	return ST_OK;
}

void plat_resolve_cancel(struct plat_resolve *r)
{
	if (!r)
		return;
	r->fn = NULL;
	plat_work_cancel(r->work);
}
