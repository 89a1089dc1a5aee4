/*
 * nl.h - inside plat: one netlink request and its answer.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "plat/netlink.h"

#define NL_BUFFER 32768

struct plat_nl {
	struct mnl_socket *sock;
	uint32_t seq;
	int err; /* of the last call */
	bool busy; /* a visitor is being called */
	int ns;
	char ext_ack[160];
	_Alignas(struct nlmsghdr) char buf[NL_BUFFER];
};

/* Begins a request in `buf` (NL_REQUEST bytes); flags besides NLM_F_REQUEST and NLM_F_ACK. */
#define NL_REQUEST 1024
struct nlmsghdr *nl_begin(struct plat_nl *nl, void *buf, uint16_t type, uint16_t flags);

/* Sends it and hands every answer to `cb` (may be NULL) until the kernel is done.  On failure
 * `nl->err` is set and nothing is added to any text. */
enum status nl_talk(struct plat_nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx);

/* A dump during which the list changed fails with EINTR; that often before giving up. */
#define NL_DUMP_TRIES 8

/* The reason of a failed nl_talk(). */
void nl_why(const struct plat_nl *nl, struct text *why);

/* Attributes by number, up to `max`; those above are ignored. */
void nl_attrs(const struct nlmsghdr *nlh, size_t header, const struct nlattr **ret, size_t max);

/* For walking attributes; libmnl's own macros cast constness away. */
bool nl_attr_ok(const struct nlattr *a, const void *end);

/* The value of an attribute as a number or address; 0 or none when it is absent or too short. */
uint32_t nl_u32(const struct nlattr *a);
struct ip nl_ip(const struct nlattr *a);
void nl_put_ip(struct nlmsghdr *nlh, uint16_t type, const struct ip *ip);
uint8_t nl_af(uint8_t family); /* 4, 6 -> AF_INET, AF_INET6 */
