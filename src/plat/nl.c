#include "plat/nl.h"

#include <errno.h>
#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>

#include "plat/process.h"

static void set_option(struct mnl_socket *s, int option)
{
	int on = 1;

	/* Older kernels lack some: then messages say less. */
	(void)mnl_socket_setsockopt(s, option, &on, sizeof(on));
}

enum status plat_nl_new(int ns, struct text *why, struct plat_nl **ret_nl)
{
	struct plat_nl *nl = calloc(1, sizeof(*nl));
	struct plat_ns in;

	if (!nl)
		return ST_NOMEM;
	if (plat_ns_enter(ns, why, &in) != ST_OK) {
		free(nl);
		return ST_IO;
	}
	nl->ns = ns;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	plat_ns_leave(&in);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		text_add(why, "cannot open a netlink socket");
		plat_errno(why, errno);
		plat_nl_free(nl);
		return ST_IO;
	}
	set_option(nl->sock, NETLINK_EXT_ACK);
	set_option(nl->sock, NETLINK_CAP_ACK);
	set_option(nl->sock, NETLINK_GET_STRICT_CHK);
	*ret_nl = nl;
	return ST_OK;
}

void plat_nl_free(struct plat_nl *nl)
{
	if (!nl)
		return;
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl);
}

int plat_nl_errno(const struct plat_nl *nl)
{
	return nl->err;
}

struct nlmsghdr *nl_begin(struct plat_nl *nl, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++nl->seq;
	return nlh;
}

/* The text of NLMSGERR_ATTR_MSG, if there is one; the attributes follow the request's header,
 * which NETLINK_CAP_ACK leaves alone. */
static void read_ext_ack(struct plat_nl *nl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t skip = sizeof(*e);

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	for (const struct nlattr *a = mnl_nlmsg_get_payload_offset(nlh, skip);
	     nl_attr_ok(a, mnl_nlmsg_get_payload_tail(nlh)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(nl->ext_ack, sizeof(nl->ext_ack), "%.*s",
				 (int)mnl_attr_get_payload_len(a), mnl_attr_get_str(a));
}

static int answered(const struct nlmsghdr *nlh, void *ctx)
{
	struct plat_nl *nl = ctx;
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*e))) {
		nl->err = EBADMSG;
		return MNL_CB_STOP;
	}
	nl->err = -e->error;
	if (nl->err)
		read_ext_ack(nl, nlh);
	return MNL_CB_STOP;
}

struct visit {
	struct plat_nl *nl;
	mnl_cb_t cb;
	void *ctx;
	bool stopped;
};

static int visited(const struct nlmsghdr *nlh, void *ctx)
{
	struct visit *v = ctx;

	/* A dump that somebody tires of is still read to its end: the socket is used again. */
	if (v->cb && !v->stopped && v->cb(nlh, v->ctx) != MNL_CB_OK)
		v->stopped = true;
	return MNL_CB_OK;
}

/* libmnl hands the context of data callbacks to control callbacks, too. */
static int control_error(const struct nlmsghdr *nlh, void *ctx)
{
	return answered(nlh, ((struct visit *)ctx)->nl);
}

static int control_done(const struct nlmsghdr *nlh, void *ctx)
{
	struct visit *v = ctx;

	if (nlh->nlmsg_len >= mnl_nlmsg_size(sizeof(int)))
		v->nl->err = -*(const int *)mnl_nlmsg_get_payload(nlh);
	return MNL_CB_STOP;
}

/* One buffer of answers; true while more are to come. */
static bool take_answers(struct plat_nl *nl, uint32_t seq, struct visit *v)
{
	static mnl_cb_t control[] = { [NLMSG_ERROR] = control_error, [NLMSG_DONE] = control_done };
	ssize_t n = mnl_socket_recvfrom(nl->sock, nl->buf, sizeof(nl->buf));
	int r;

	if (n < 0) {
		nl->err = errno == EINTR ? 0 : errno;
		return errno == EINTR;
	}
	r = mnl_cb_run2(nl->buf, (size_t)n, seq, mnl_socket_get_portid(nl->sock), visited, v,
			control, ARRAY_LEN(control));
	if (r >= 0)
		return r > MNL_CB_STOP;
	/* Answers to a dump that broke off earlier: not ours. */
	if (errno == ESRCH || errno == EPROTO)
		return true;
	if (nl->err == 0)
		nl->err = errno;
	return false;
}

enum status nl_talk(struct plat_nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	struct visit v = { nl, cb, ctx, false };
	const uint32_t seq = nlh->nlmsg_seq;

	/* The answers would get mixed up, and both callers wait for ever. */
	if (nl->busy) {
		nl->err = EBUSY;
		return ST_BUG;
	}
	/* Everything ends with an acknowledgement: a dump with its DONE. */
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	nl->err = 0;
	nl->ext_ack[0] = '\0';
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0) {
		nl->err = errno;
		return ST_IO;
	}
	nl->busy = true;
	while (take_answers(nl, seq, &v))
		;
	nl->busy = false;
	return nl->err ? ST_IO : ST_OK;
}

void nl_why(const struct plat_nl *nl, struct text *why)
{
	plat_errno(why, nl->err);
	if (nl->ext_ack[0])
		text_fmt(why, " (%s)", nl->ext_ack);
}

bool nl_attr_ok(const struct nlattr *a, const void *end)
{
	return mnl_attr_ok(a, (int)((const char *)end - (const char *)a));
}

void nl_attrs(const struct nlmsghdr *nlh, size_t header, const struct nlattr **ret, size_t max)
{
	memset(ret, 0, (max + 1) * sizeof(*ret));
	for (const struct nlattr *a = mnl_nlmsg_get_payload_offset(nlh, header);
	     nl_attr_ok(a, mnl_nlmsg_get_payload_tail(nlh)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) <= max)
			ret[mnl_attr_get_type(a)] = a;
}

uint32_t nl_u32(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

struct ip nl_ip(const struct nlattr *a)
{
	if (!a)
		return (struct ip){ 0 };
	return ip_from_raw(bytes_of(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)));
}

void nl_put_ip(struct nlmsghdr *nlh, uint16_t type, const struct ip *ip)
{
	if (ip->family)
		mnl_attr_put(nlh, type, ip_len(ip), ip->b);
}

uint8_t nl_af(uint8_t family)
{
	return family == 6 ? AF_INET6 : AF_INET;
}
