#include "daemon/underlay.h"

#include <stdlib.h>
#include <unistd.h>

#include "plat/loop.h"
#include "plat/process.h"
#include "plat/udp.h"

/* Ten thousand sites that call at the same moment must fit; the default of 200 KiB drops the 200th.
 * The kernel doubles the value, and an IKE_SA_INIT of 300 bytes takes 1280 of it. */
#define BUFFER (8 << 20)

/* Datagrams taken from one socket before the others get their turn. */
#define BURST 64

/* Every path carries these (RFC 791: 576; RFC 8200: 1280) less IP and UDP headers; bigger messages
 * may need IP's help, since they have to arrive whole.  Not so those that the engine can cut
 * smaller (RFC 7383): fragments of IP are what RFC 7383 is there to avoid, and with DF the network
 * says at once what is too big. */
#define SAFE_4 (576 - 28)
#define SAFE_6 (1280 - 48)

struct socket {
	struct underlay *u;
	int fd;
	struct endpoint local;
	bool nat;
	struct plat_poll *poll;
};

struct underlay {
	underlay_fn *fn;
	void *ctx;
	underlay_icmp_fn *icmp_fn; /* NULL: nobody asks */
	void *icmp_ctx;
	struct plat_datagram in;
	size_t n;
	struct socket sockets[];
};

/* ---- opening ----------------------------------------------------------------------------- */

/* `listen` was not written: take the families that there are. */
static bool optional(const struct conf *conf, const struct ip *ip)
{
	return conf->listen.at.line == 0 && ip_is_any(ip);
}

static bool family_exists(const struct ip *ip)
{
	long off;

	if (ip->family != 6)
		return true;
	return plat_sysctl_get(PLAT_NS_HERE, "ipv6/conf/all/disable_ipv6", &off) == ST_OK && !off;
}

static enum status open_one(struct underlay *u, const struct conf *conf, size_t at, bool nat,
			    struct conf_errors *errs)
{
	struct plat_udp_conf c = { .ns = PLAT_NS_HERE,
				   .local = { conf->listen_ip[at],
					      (uint16_t)(nat ? conf->nat_port.v : conf->port.v) },
				   .mark = PLAT_MARK,
				   .fixed_mtu = true,
				   .buffer = BUFFER };
	struct socket *s = &u->sockets[u->n];
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (plat_udp_open(&c, &why, &s->fd, &s->local) != ST_OK) {
		struct conf_pos pos =
			conf->listen.at.line ? conf->listen.v[at].at : (struct conf_pos){ 0 };

		conf_error_add(errs, pos, "%s", buf);
		return ST_IO;
	}
	s->u = u;
	s->nat = nat;
	u->n++;
	return ST_OK;
}

enum status underlay_open(const struct conf *conf, struct conf_errors *errs,
			  struct underlay **ret_underlay)
{
	size_t max = 2 * conf->listen.n;
	struct underlay *u = calloc(1, sizeof(*u) + max * sizeof(u->sockets[0]));
	enum status st = ST_OK;

	if (!u)
		return ST_NOMEM;
	for (size_t i = 0; i < conf->listen.n; i++) {
		if (optional(conf, &conf->listen_ip[i]) && !family_exists(&conf->listen_ip[i]))
			continue;
		if (open_one(u, conf, i, false, errs) != ST_OK ||
		    open_one(u, conf, i, true, errs) != ST_OK)
			st = ST_IO;
	}
	if (st != ST_OK) {
		underlay_free(u);
		return st;
	}
	*ret_underlay = u;
	return ST_OK;
}

void underlay_free(struct underlay *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->n; i++)
		close(u->sockets[i].fd);
	free(u);
}

bool underlay_nat_socket(const struct underlay *u, size_t i, int *ret_fd,
			 struct endpoint *ret_local)
{
	for (size_t k = 0; k < u->n; k++)
		if (u->sockets[k].nat && i-- == 0) {
			*ret_fd = u->sockets[k].fd;
			*ret_local = u->sockets[k].local;
			return true;
		}
	return false;
}

/* ---- receiving --------------------------------------------------------------------------- */

static void readable(void *ctx)
{
	struct socket *s = ctx;
	struct underlay *u = s->u;
	struct plat_icmp icmp;

	for (int i = 0; u->icmp_fn && i < BURST && plat_udp_icmp(s->fd, &icmp); i++)
		u->icmp_fn(u->icmp_ctx, &icmp);
	for (int i = 0; i < BURST && plat_udp_recv(s->fd, s->local.port, &u->in) == ST_OK; i++)
		u->fn(u->ctx, &(struct ike_datagram){ u->in.local, u->in.remote,
						      bytes_of(u->in.data, u->in.n) });
}

void underlay_on_icmp(struct underlay *u, underlay_icmp_fn *fn, void *ctx)
{
	u->icmp_fn = fn;
	u->icmp_ctx = ctx;
}

enum status underlay_start(struct underlay *u, uv_loop_t *loop, underlay_fn *fn, void *ctx)
{
	u->fn = fn;
	u->ctx = ctx;
	for (size_t i = 0; i < u->n; i++) {
		struct socket *s = &u->sockets[i];
		enum status st = s->nat ? ST_OK : plat_poll_new(loop, s->fd, readable, s, &s->poll);

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

void underlay_stop(struct underlay *u)
{
	for (size_t i = 0; u && i < u->n; i++) {
		plat_poll_free(u->sockets[i].poll);
		u->sockets[i].poll = NULL;
	}
}

/* ---- sending ----------------------------------------------------------------------------- */

static bool can_send_from(const struct socket *s, const struct ip *ip)
{
	return s->local.ip.family == ip->family &&
	       (ip_is_any(&s->local.ip) || ip_eq(&s->local.ip, ip));
}

bool underlay_can_send(const struct underlay *u, const struct ip *from)
{
	for (size_t i = 0; i < u->n; i++)
		if (can_send_from(&u->sockets[i], from))
			return true;
	return false;
}

bool underlay_address(const struct underlay *u, size_t i, struct ip *ret)
{
	for (size_t k = 0; k < u->n; k++)
		if (!u->sockets[k].nat && i-- == 0) {
			*ret = u->sockets[k].local.ip;
			return true;
		}
	return false;
}

static struct socket *socket_for(struct underlay *u, const struct endpoint *local)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->sockets[i].local.port == local->port &&
		    can_send_from(&u->sockets[i], &local->ip))
			return &u->sockets[i];
	return NULL;
}

enum status underlay_send(struct underlay *u, const struct underlay_send *m, struct text *why)
{
	/* RFC 3948 sections 2.2 (the non-ESP marker) and 2.3. */
	static const uint8_t marker[4] = { 0 }, keepalive[1] = { 0xff };
	struct plat_udp_out out = { .from = m->local.ip,
				    .ifindex = m->device,
				    .to = m->remote,
				    .data = m->data,
				    .whole = m->probe };
	size_t safe = m->remote.ip.family == 6 ? SAFE_6 : SAFE_4;
	struct socket *s = socket_for(u, &m->local);
	char buf[ENDPOINT_TEXT_MAX];

	if (!s) {
		text_fmt(why, "no socket for %s", endpoint_text(&m->local, buf));
		return ST_IO;
	}
	if (m->keepalive)
		out.data = BYTES_OF(keepalive);
	else if (m->marker)
		out.head = BYTES_OF(marker);
	return plat_udp_send(s->fd, &out, !m->df && out.head.n + out.data.n > safe, why);
}
