#include "plat/nft.h"

#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/process.h"

#define BUFFER 32768
/* A transaction of ten thousand elements must fit; what does not is taken for a change. */
#define WATCH_BUFFER (8 << 20)
#define DUMP_TRIES 8

struct plat_nft {
	char table[PLAT_NFT_NAME_MAX];
	struct mnl_socket *ask;
	struct mnl_socket *watch;
	uint32_t seq;
	bool touched;
	bool lost; /* some news were */
	bool fresh; /* the table was made in the transaction that is being told of */
	_Alignas(struct nlmsghdr) char buf[BUFFER];
};

/* ---- requests ---------------------------------------------------------------------------- */

static struct nlmsghdr *begin(struct plat_nft *n, void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++n->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = NFPROTO_INET;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

/* Sends, and hands every answer to `cb`; 0 or an errno value. */
static int talk(struct plat_nft *n, const struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	const uint32_t seq = nlh->nlmsg_seq;
	int r = 1;

	if (mnl_socket_sendto(n->ask, nlh, nlh->nlmsg_len) < 0)
		return errno;
	while (r > 0) {
		ssize_t got = mnl_socket_recvfrom(n->ask, n->buf, sizeof(n->buf));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		r = mnl_cb_run(n->buf, (size_t)got, seq, mnl_socket_get_portid(n->ask), cb, ctx);
		/* Answers to a dump that broke off earlier. */
		if (r < 0 && errno != ESRCH && errno != EPROTO)
			return errno;
		if (r < 0)
			r = 1;
	}
	return 0;
}

/* ---- opening ----------------------------------------------------------------------------- */

static struct mnl_socket *open_socket(unsigned groups)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);

	if (s && mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(s);
		return NULL;
	}
	return s;
}

static bool open_sockets(struct plat_nft *n)
{
	const int size = WATCH_BUFFER;
	int fd;

	n->ask = open_socket(0);
	n->watch = n->ask ? open_socket(1u << (NFNLGRP_NFTABLES - 1)) : NULL;
	if (!n->watch)
		return false;
	fd = mnl_socket_get_fd(n->watch);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return true;
}

static int no_answer(const struct nlmsghdr *nlh, void *ctx)
{
	(void)nlh;
	(void)ctx;
	return MNL_CB_OK;
}

/* Its generation is the one thing that nf_tables tells without having a table. */
static int probe(struct plat_nft *n)
{
	char buf[256];

	return talk(n, begin(n, buf, NFT_MSG_GETGEN, NLM_F_ACK), no_answer, NULL);
}

static enum status refuse(struct plat_nft *n, int err, struct text *why)
{
	text_add(why, "nftables cannot be used");
	plat_errno(why, err);
	text_add(why, err == EPERM ? " (CAP_NET_ADMIN is needed)"
				   : " (the kernel needs CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET "
				     "and CONFIG_NFT_FIB_INET)");
	plat_nft_free(n);
	return ST_IO;
}

enum status plat_nft_new(int ns, const char *table, struct text *why, struct plat_nft **ret_nft)
{
	struct plat_nft *n = calloc(1, sizeof(*n));
	struct plat_ns in;
	bool opened;
	int err;

	if (!n)
		return ST_NOMEM;
	if (strlen(table) >= sizeof(n->table) || plat_ns_enter(ns, why, &in) != ST_OK) {
		free(n);
		return ST_IO;
	}
	memcpy(n->table, table, strlen(table));
	opened = open_sockets(n);
	err = errno;
	plat_ns_leave(&in);
	if (opened)
		err = probe(n);
	if (!opened || err)
		return refuse(n, err, why);
	*ret_nft = n;
	return ST_OK;
}

void plat_nft_free(struct plat_nft *n)
{
	if (!n)
		return;
	if (n->ask)
		mnl_socket_close(n->ask);
	if (n->watch)
		mnl_socket_close(n->watch);
	free(n);
}

/* ---- attributes -------------------------------------------------------------------------- */

struct attrs {
	const struct nlattr **a;
	uint16_t max;
};

static int on_attr(const struct nlattr *attr, void *ctx)
{
	const struct attrs *want = ctx;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= want->max)
		want->a[type] = attr;
	return MNL_CB_OK;
}

static void read_attrs(const struct nlmsghdr *nlh, const struct nlattr **ret, uint16_t max)
{
	struct attrs want = { ret, max };

	memset(ret, 0, (max + 1u) * sizeof(*ret));
	(void)mnl_attr_parse(nlh, sizeof(struct nfgenmsg), on_attr, &want);
}

static const char *str_of(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(a) : "";
}

static uint64_t u64_of(const struct nlattr *a)
{
	uint64_t v = 0;

	if (a && mnl_attr_get_payload_len(a) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return be64toh(v);
}

static uint32_t u32_of(const struct nlattr *a)
{
	uint32_t v = 0;

	if (a && mnl_attr_get_payload_len(a) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return be32toh(v);
}

/* ---- counters ---------------------------------------------------------------------------- */

struct counter_visit {
	plat_nft_counter_fn *fn;
	void *ctx;
	const char *table;
};

static int on_object(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *a[NFTA_OBJ_DATA + 1], *d[NFTA_COUNTER_PACKETS + 1] = { 0 };
	struct attrs data = { d, NFTA_COUNTER_PACKETS };
	struct counter_visit *v = ctx;
	struct plat_nft_counter c;

	read_attrs(nlh, a, NFTA_OBJ_DATA);
	if (strcmp(str_of(a[NFTA_OBJ_TABLE]), v->table) != 0 ||
	    u32_of(a[NFTA_OBJ_TYPE]) != NFT_OBJECT_COUNTER || !a[NFTA_OBJ_DATA])
		return MNL_CB_OK;
	(void)mnl_attr_parse_nested(a[NFTA_OBJ_DATA], on_attr, &data);
	c = (struct plat_nft_counter){ str_of(a[NFTA_OBJ_NAME]), u64_of(d[NFTA_COUNTER_PACKETS]),
				       u64_of(d[NFTA_COUNTER_BYTES]) };
	v->fn(v->ctx, &c);
	return MNL_CB_OK;
}

enum status plat_nft_counters(struct plat_nft *n, plat_nft_counter_fn *fn, void *ctx,
			      struct text *why)
{
	struct counter_visit v = { fn, ctx, n->table };
	int err = EINTR;

	/* A counter is only ever given again as it is then. */
	for (int i = 0; i < DUMP_TRIES && err == EINTR; i++) {
		char buf[256];
		struct nlmsghdr *nlh = begin(n, buf, NFT_MSG_GETOBJ, NLM_F_DUMP);

		mnl_attr_put_strz(nlh, NFTA_OBJ_TABLE, n->table);
		err = talk(n, nlh, on_object, &v);
	}
	if (err == 0 || err == ENOENT)
		return ST_OK;
	text_fmt(why, "cannot read the counters of table %s", n->table);
	plat_errno(why, err);
	return ST_IO;
}

/* ---- watching ---------------------------------------------------------------------------- */

int plat_nft_fd(const struct plat_nft *n)
{
	return mnl_socket_get_fd(n->watch);
}

/* The first attribute of every message but NEWGEN is the table's name (NFTA_*_TABLE, 1). */
static bool of_ours(const struct plat_nft *n, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a[NFTA_TABLE_FLAGS + 1];

	read_attrs(nlh, a, NFTA_TABLE_FLAGS);
	return nfg->nfgen_family == NFPROTO_INET &&
	       strcmp(str_of(a[NFTA_TABLE_NAME]), n->table) == 0;
}

static bool dormant(const struct nlmsghdr *nlh)
{
	const struct nlattr *a[NFTA_TABLE_FLAGS + 1];

	read_attrs(nlh, a, NFTA_TABLE_FLAGS);
	return u32_of(a[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_DORMANT;
}

/* Counters that somebody reads and resets are no change of what is dropped. */
static void take(struct plat_nft *n, const struct nlmsghdr *nlh)
{
	const unsigned type = nlh->nlmsg_type & 0xff;

	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    nlh->nlmsg_len < mnl_nlmsg_size(sizeof(struct nfgenmsg)))
		return;
	if (type == NFT_MSG_NEWGEN) {
		n->fresh = false;
		return;
	}
	if (type == NFT_MSG_NEWOBJ || !of_ours(n, nlh))
		return;
	if (type == NFT_MSG_NEWTABLE) {
		n->fresh = !dormant(nlh);
		n->touched = dormant(nlh);
	} else if (!n->fresh) {
		n->touched = true;
	}
}

/* False: nothing left. */
static bool take_some(struct plat_nft *n)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t got = recvfrom(mnl_socket_get_fd(n->watch), n->buf, sizeof(n->buf), MSG_DONTWAIT,
			       (struct sockaddr *)&from, &len);
	int left = (int)got;

	if (got < 0 && errno == ENOBUFS) {
		n->lost = true;
		return true;
	}
	if (got < 0)
		return errno == EINTR;
	if (from.nl_pid != 0) /* not the kernel */
		return true;
	for (const struct nlmsghdr *h = (const void *)n->buf; mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left))
		take(n, h);
	return true;
}

static bool take_all(struct plat_nft *n, bool *ret_lost)
{
	bool touched;

	while (take_some(n))
		;
	touched = n->touched;
	*ret_lost = n->lost;
	n->touched = n->lost = false;
	return touched;
}

bool plat_nft_touched(struct plat_nft *n)
{
	bool lost, touched = take_all(n, &lost);

	return touched || lost;
}

/* What a transaction of ours was too long for is no reason for another one. */
bool plat_nft_settle(struct plat_nft *n)
{
	bool lost, touched = take_all(n, &lost);

	n->fresh = false;
	return touched && !lost;
}
