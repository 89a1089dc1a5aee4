/*
 * bus.c - org.freedesktop.resolve1.Manager, by sd-bus.
 *
 * libsystemd is not linked but loaded, and only here: the process that handles packets never has it
 * in its memory, and a host without it runs warrend as well.
 */
#include "resolved/internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#define LIBRARY "libsystemd.so.0"
#define RESOLVE "org.freedesktop.resolve1"
#define CALL_US 3000000

/* What we use of it. */
#define FUNCTIONS(X)                                                                               \
	X(sd_bus_open_system)                                                                      \
	X(sd_bus_flush_close_unref)                                                                \
	X(sd_bus_set_method_call_timeout)                                                          \
	X(sd_bus_add_match)                                                                        \
	X(sd_bus_get_fd)                                                                           \
	X(sd_bus_get_events)                                                                       \
	X(sd_bus_get_timeout)                                                                      \
	X(sd_bus_process)                                                                          \
	X(sd_bus_call)                                                                             \
	X(sd_bus_error_free)                                                                       \
	X(sd_bus_message_new_method_call)                                                          \
	X(sd_bus_message_append)                                                                   \
	X(sd_bus_message_append_array)                                                             \
	X(sd_bus_message_open_container)                                                           \
	X(sd_bus_message_close_container)                                                          \
	X(sd_bus_message_read)                                                                     \
	X(sd_bus_message_unref)

#define MEMBER(name) __typeof__(name) *name;
#define SLOT(name) { #name, offsetof(struct api, name) },

struct api {
	FUNCTIONS(MEMBER)
};

static const struct {
	const char *name;
	size_t offset;
} slots[] = { FUNCTIONS(SLOT) };

struct bus {
	void *library; /* NULL: there is none, or one of another kind */
	struct api api;
	sd_bus *conn; /* NULL: not connected */
	bool dirty; /* the device has something of ours */
	bool news;
};

/* ---- the library --------------------------------------------------------------------------- */

static bool load(struct bus *b)
{
	b->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; b->library && i < ARRAY_LEN(slots); i++) {
		void *f = dlsym(b->library, slots[i].name);

		if (!f)
			return false;
		memcpy((char *)&b->api + slots[i].offset, &f, sizeof(f));
	}
	return b->library;
}

enum status bus_new(struct bus **ret_bus)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b)
		return ST_NOMEM;
	if (!load(b))
		b->library = NULL;
	*ret_bus = b;
	return ST_OK;
}

static void hang_up(struct bus *b)
{
	if (b->conn)
		b->api.sd_bus_flush_close_unref(b->conn);
	b->conn = NULL;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	hang_up(b);
	free(b);
}

/* ---- the connection ------------------------------------------------------------------------ */

/* systemd-resolved has come, or has gone: then the new owner is "". */
static int on_owner(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	struct bus *b = ctx;

	(void)m;
	(void)error;
	b->news = true;
	return 0;
}

/* 0, or a negative errno. */
static int connect_bus(struct bus *b)
{
	int err;

	if (b->conn)
		return 0;
	err = b->api.sd_bus_open_system(&b->conn);
	if (err >= 0)
		err = b->api.sd_bus_set_method_call_timeout(b->conn, CALL_US);
	if (err >= 0)
		err = b->api.sd_bus_add_match(b->conn, NULL,
					      "type='signal',sender='org.freedesktop.DBus',"
					      "interface='org.freedesktop.DBus',"
					      "member='NameOwnerChanged',arg0='" RESOLVE "'",
					      on_owner, b);
	if (err < 0)
		hang_up(b);
	return err < 0 ? err : 0;
}

int bus_fd(const struct bus *b, short *ret_events, int *ret_ms)
{
	uint64_t us = UINT64_MAX;
	int events;

	*ret_ms = -1;
	*ret_events = 0;
	if (!b->conn)
		return -1;
	events = b->api.sd_bus_get_events(b->conn);
	*ret_events = (short)(events > 0 ? events : 0);
	/* A point in time; what is due is done by the pump that comes first. */
	if (b->api.sd_bus_get_timeout(b->conn, &us) >= 0 && us != UINT64_MAX)
		*ret_ms = us == 0 ? 0 : 1000;
	return b->api.sd_bus_get_fd(b->conn);
}

bool bus_pump(struct bus *b)
{
	bool news;
	int more = 1;

	while (b->conn && more > 0)
		more = b->api.sd_bus_process(b->conn, NULL);
	if (more < 0) {
		hang_up(b);
		b->news = true;
	}
	news = b->news;
	b->news = false;
	return news;
}

/* ---- calls --------------------------------------------------------------------------------- */

struct call {
	struct bus *b;
	sd_bus_message *m;
	int err; /* sticky: 0, or a negative errno */
};

static struct call begin(struct bus *b, const char *method, int ifindex)
{
	struct call c = { .b = b };

	c.err = b->api.sd_bus_message_new_method_call(
		b->conn, &c.m, RESOLVE, "/org/freedesktop/resolve1", RESOLVE ".Manager", method);
	if (c.err >= 0)
		c.err = b->api.sd_bus_message_append(c.m, "i", ifindex);
	return c;
}

static void open_list(struct call *c, const char *contents)
{
	if (c->err >= 0)
		c->err = c->b->api.sd_bus_message_open_container(c->m, 'a', contents);
}

static void close_list(struct call *c)
{
	if (c->err >= 0)
		c->err = c->b->api.sd_bus_message_close_container(c->m);
}

static void add_server(struct call *c, const struct ip *ip)
{
	const struct api *api = &c->b->api;
	int family = ip->family == 6 ? AF_INET6 : AF_INET;

	if (c->err >= 0)
		c->err = api->sd_bus_message_open_container(c->m, 'r', "iay");
	if (c->err >= 0)
		c->err = api->sd_bus_message_append(c->m, "i", family);
	if (c->err >= 0)
		c->err = api->sd_bus_message_append_array(c->m, 'y', ip->b, ip_len(ip));
	close_list(c);
}

/* "~name": what is below it goes there, and it is not tried as an ending of short names. */
static void add_domain(struct call *c, const char *name)
{
	if (c->err >= 0)
		c->err = c->b->api.sd_bus_message_append(c->m, "(sb)", name, 1);
}

static bool is_absent(const char *name)
{
	static const char *const names[] = {
		"org.freedesktop.DBus.Error.ServiceUnknown",
		"org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.systemd1.NoSuchUnit",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "org.freedesktop.DBus.Error.Spawn.", 33) == 0;
}

static void say(struct resolved_reply *ret, enum resolved_state state, const char *what,
		const char *reason)
{
	ret->state = state;
	snprintf(ret->text, sizeof(ret->text), "%s: %s", what, reason);
}

/* False, and `ret` says why. */
static bool finish(struct call *c, const char *method, struct resolved_reply *ret)
{
	const struct api *api = &c->b->api;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char buf[128];

	if (c->err >= 0)
		c->err = api->sd_bus_call(c->b->conn, c->m, 0, &error, NULL);
	if (c->m)
		api->sd_bus_message_unref(c->m);
	if (c->err >= 0)
		return true;
	if (error.name)
		say(ret, is_absent(error.name) ? RESOLVED_ABSENT : RESOLVED_REFUSED, method,
		    error.message ? error.message : error.name);
	else
		say(ret, RESOLVED_REFUSED, method, strerror_r(-c->err, buf, sizeof(buf)));
	api->sd_bus_error_free(&error);
	return false;
}

static bool set_domains(struct bus *b, int ifindex, const struct resolved_request *w,
			struct resolved_reply *ret)
{
	struct call c = begin(b, "SetLinkDomains", ifindex);

	open_list(&c, "(sb)");
	for (size_t i = 0; i < w->n_domains; i++)
		add_domain(&c, w->domains[i]);
	if (w->n_domains == 0)
		add_domain(&c, ".");
	close_list(&c);
	return finish(&c, "SetLinkDomains", ret);
}

static bool set_servers(struct bus *b, int ifindex, const struct resolved_request *w,
			struct resolved_reply *ret)
{
	struct call c = begin(b, "SetLinkDNS", ifindex);

	open_list(&c, "(iay)");
	for (size_t i = 0; i < w->n_dns; i++)
		add_server(&c, &w->dns[i]);
	close_list(&c);
	return finish(&c, "SetLinkDNS", ret);
}

static bool set_default(struct bus *b, int ifindex, bool yes, struct resolved_reply *ret)
{
	struct call c = begin(b, "SetLinkDefaultRoute", ifindex);

	if (c.err >= 0)
		c.err = b->api.sd_bus_message_append(c.m, "b", (int)yes);
	return finish(&c, "SetLinkDefaultRoute", ret);
}

/* Names that are asked for on the link itself have nobody to answer there. */
static bool set_no(struct bus *b, int ifindex, const char *method, struct resolved_reply *ret)
{
	struct call c = begin(b, method, ifindex);

	if (c.err >= 0)
		c.err = b->api.sd_bus_message_append(c.m, "s", "no");
	return finish(&c, method, ret);
}

static void revert(struct bus *b, int ifindex)
{
	struct resolved_reply ignored;
	struct call c = begin(b, "RevertLink", ifindex);

	(void)finish(&c, "RevertLink", &ignored);
	b->dirty = false;
}

/* ---- what the agent asks ------------------------------------------------------------------- */

static bool reach(struct bus *b, struct resolved_reply *ret)
{
	char buf[128];
	int err;

	if (!b->library) {
		say(ret, RESOLVED_ABSENT, LIBRARY, "cannot be loaded");
		return false;
	}
	err = connect_bus(b);
	if (err < 0)
		say(ret, RESOLVED_ABSENT, "no system bus", strerror_r(-err, buf, sizeof(buf)));
	return err >= 0;
}

/* The servers last: nothing is asked of them before it is known what for. */
void bus_apply(struct bus *b, int ifindex, const struct resolved_request *wish,
	       struct resolved_reply *ret)
{
	*ret = (struct resolved_reply){ .state = RESOLVED_SET };
	if (!reach(b, ret))
		return;
	b->dirty = true;
	if (!set_default(b, ifindex, wish->n_domains == 0, ret) ||
	    !set_domains(b, ifindex, wish, ret) || !set_no(b, ifindex, "SetLinkLLMNR", ret) ||
	    !set_no(b, ifindex, "SetLinkMulticastDNS", ret) || !set_servers(b, ifindex, wish, ret))
		revert(b, ifindex);
}

void bus_revert(struct bus *b, int ifindex)
{
	struct resolved_reply ignored;

	if (b->dirty && reach(b, &ignored))
		revert(b, ifindex);
}
