#include "plat/resolve.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plat/process.h"
#include "plat/udp.h"

/* A server that does not answer holds up a tunnel: 3 s, then 6 s, for each of them. */
#define TIMEOUT_MS 3000
#define TRIES 2

/* Where systemd-resolved listens, and where it says whom it asks. */
#define RESOLVED_STUB "127.0.0.53"
#define RESOLVED_CONF "/run/systemd/resolve/resolv.conf"

/* A socket of c-ares in the loop. */
struct watched {
	struct list node;
	struct plat_resolve *owner;
	uv_poll_t poll;
	ares_socket_t fd;
};

struct plat_resolve {
	uv_timer_t timer; /* the next time-out, or the answer */
	struct list watched;
	ares_channel channel; /* NULL: none was needed */
	plat_resolve_fn *fn;
	void *ctx;
	int ns;
	bool answered;
	struct plat_resolved result;
	char name[];
};

/* ---- the end ----------------------------------------------------------------------------- */

static void timer_closed(uv_handle_t *h)
{
	free(CONTAINER_OF((uv_timer_t *)h, struct plat_resolve, timer));
}

/* c-ares closes its sockets and lets go of them one by one, by on_state(). */
static void end(struct plat_resolve *r)
{
	r->fn = NULL;
	if (r->channel)
		ares_destroy(r->channel);
	r->channel = NULL;
	ares_library_cleanup();
	uv_close((uv_handle_t *)&r->timer, timer_closed);
}

void plat_resolve_cancel(struct plat_resolve *r)
{
	if (r)
		end(r);
}

/* ---- the answer -------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t);

static void answer(struct plat_resolve *r)
{
	r->answered = true;
	uv_timer_start(&r->timer, on_timer, 0, 0);
}

static void refuse(struct plat_resolve *r, const char *error)
{
	r->result.status = ST_IO;
	snprintf(r->result.error, sizeof(r->result.error), "%s", error);
	answer(r);
}

static void add(struct plat_resolved *res, const struct ip *ip)
{
	for (size_t i = 0; i < res->n; i++)
		if (ip_eq(&res->ip[i], ip))
			return;
	if (res->n < PLAT_RESOLVE_MAX)
		res->ip[res->n++] = *ip;
}

static void on_addrinfo(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct plat_resolve *r = ctx;

	(void)timeouts;
	for (const struct ares_addrinfo_node *a = info ? info->nodes : NULL; a; a = a->ai_next) {
		struct endpoint e = plat_endpoint(a->ai_addr);

		if (e.ip.family)
			add(&r->result, &e.ip);
	}
	if (info)
		ares_freeaddrinfo(info);
	if (!r->fn) /* cancelled, or the end */
		return;
	if (r->result.n == 0)
		refuse(r, status == ARES_SUCCESS ? "no address of a family that we know"
						 : ares_strerror(status));
	else
		answer(r);
}

/* ---- sockets ----------------------------------------------------------------------------- */

static ares_socket_t open_socket(int family, int type, int protocol, void *ctx)
{
	const struct plat_resolve *r = ctx;
	const uint32_t mark = PLAT_MARK;
	char ignored[8];
	struct text why = TEXT_OF(ignored);
	struct plat_ns in;
	int fd;

	if (plat_ns_enter(r->ns, &why, &in) != ST_OK)
		return -1;
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	plat_ns_leave(&in);
	/* Without CAP_NET_ADMIN names are looked up like anybody's. */
	if (fd >= 0)
		(void)!setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	return fd;
}

static int close_socket(ares_socket_t fd, void *ctx)
{
	(void)ctx;
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t n, void *ctx)
{
	(void)ctx;
	return connect(fd, to, n);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t n, int flags, struct sockaddr *from,
			    ares_socklen_t *from_n, void *ctx)
{
	(void)ctx;
	return recvfrom(fd, buf, n, flags, from, from_n);
}

static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *v, int n, void *ctx)
{
	(void)ctx;
	return writev(fd, v, n);
}

static const struct ares_socket_functions socket_functions = {
	open_socket, close_socket, connect_socket, receive, transmit,
};

/* ---- in the loop ------------------------------------------------------------------------- */

/* After everything c-ares did: when it wants to be called at the latest. */
static void arm(struct plat_resolve *r)
{
	struct timeval tv, *next = r->answered ? NULL : ares_timeout(r->channel, NULL, &tv);

	if (next)
		uv_timer_start(&r->timer, on_timer,
			       (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1,
			       0);
}

static void process(struct plat_resolve *r, ares_socket_t readable, ares_socket_t writable)
{
	ares_process_fd(r->channel, readable, writable);
	arm(r);
}

static void on_timer(uv_timer_t *t)
{
	struct plat_resolve *r = CONTAINER_OF(t, struct plat_resolve, timer);

	if (!r->answered) {
		process(r, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		return;
	}
	r->fn(r->ctx, &r->result);
	end(r);
}

/* An error condition is for c-ares to find. */
static void on_ready(uv_poll_t *h, int status, int events)
{
	struct watched *w = CONTAINER_OF(h, struct watched, poll);

	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;
	process(w->owner, events & UV_READABLE ? w->fd : ARES_SOCKET_BAD,
		events & UV_WRITABLE ? w->fd : ARES_SOCKET_BAD);
}

static void watched_closed(uv_handle_t *h)
{
	free(CONTAINER_OF((uv_poll_t *)h, struct watched, poll));
}

static struct watched *find(struct plat_resolve *r, ares_socket_t fd)
{
	list_for_each_safe(n, &r->watched) {
		struct watched *w = CONTAINER_OF(n, struct watched, node);

		if (w->fd == fd)
			return w;
	}
	return NULL;
}

/* NULL: the loop refuses; the time-out will see to the rest. */
static struct watched *watch(struct plat_resolve *r, ares_socket_t fd)
{
	struct watched *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->owner = r;
	w->fd = fd;
	if (uv_poll_init(r->timer.loop, &w->poll, fd) != 0) {
		free(w);
		return NULL;
	}
	list_add_tail(&r->watched, &w->node);
	return w;
}

/* What c-ares waits for on a socket; neither: it is about to be closed. */
static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct plat_resolve *r = ctx;
	struct watched *w = find(r, fd);

	if (!readable && !writable) {
		if (w) {
			list_del(&w->node);
			uv_close((uv_handle_t *)&w->poll, watched_closed);
		}
		return;
	}
	if (!w)
		w = watch(r, fd);
	if (w)
		uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
			      on_ready);
}

/* ---- asking ------------------------------------------------------------------------------ */

static int open_channel(struct plat_resolve *r, const char *resolvconf)
{
	struct ares_options o = { .timeout = TIMEOUT_MS,
				  .tries = TRIES,
				  .sock_state_cb = on_state,
				  .sock_state_cb_data = r,
				  .resolvconf_path = (char *)(uintptr_t)resolvconf };
	int what = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
		   (resolvconf ? ARES_OPT_RESOLVCONF : 0);
	int status = ares_init_options(&r->channel, &o, what);

	if (status == ARES_SUCCESS)
		ares_set_socket_functions(r->channel, &socket_functions, r);
	else
		r->channel = NULL;
	return status;
}

static bool asks_resolved(const struct plat_resolve *r)
{
	struct ares_addr_port_node *list = NULL;
	const struct ares_addr_port_node *s;
	struct ip stub;
	bool found = false;

	if (ip_parse(RESOLVED_STUB, &stub) != ST_OK ||
	    ares_get_servers_ports(r->channel, &list) != ARES_SUCCESS)
		return false;
	for (s = list; s; s = s->next)
		found |= s->family == AF_INET && memcmp(&s->addr.addr4, stub.b, 4) == 0;
	ares_free_data(list);
	return found;
}

static void look_up(struct plat_resolve *r)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
						   .ai_socktype = SOCK_DGRAM };
	int status = open_channel(r, NULL);

	if (status == ARES_SUCCESS && asks_resolved(r) && access(RESOLVED_CONF, R_OK) == 0) {
		ares_destroy(r->channel);
		status = open_channel(r, RESOLVED_CONF);
	}
	if (status != ARES_SUCCESS) {
		refuse(r, ares_strerror(status));
		return;
	}
	ares_getaddrinfo(r->channel, r->name, NULL, &hints, on_addrinfo, r);
	arm(r);
}

enum status plat_resolve_start(uv_loop_t *loop, int ns, const char *name, plat_resolve_fn *fn,
			       void *ctx, struct plat_resolve **ret_resolve)
{
	size_t n = strlen(name) + 1;
	struct plat_resolve *r = calloc(1, sizeof(*r) + n);

	if (!r)
		return ST_NOMEM;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    uv_timer_init(loop, &r->timer)) {
		free(r);
		return ST_NOMEM;
	}
	list_init(&r->watched);
	r->fn = fn;
	r->ctx = ctx;
	r->ns = ns;
	memcpy(r->name, name, n);
	if (ip_parse(name, &r->result.ip[0]) == ST_OK) {
		r->result.n = 1;
		answer(r);
	} else {
		look_up(r);
	}
	*ret_resolve = r;
	return ST_OK;
}
