/*
 * doctor.h - `warren doctor`: what on this host gets in the way of a tunnel.
 *
 * A check looks at one thing and adds one finding, or one for each place where that thing is wrong:
 * what was found, why it matters, and the command that mends it.  A *problem* keeps packets from
 * flowing or will do so at the next start; a *warning* may.  Nothing is changed.  Everything that
 * is read (tables of the kernel, rulesets, files) may be in any shape: what is not understood is
 * not judged.
 *
 * The configuration need not be good, nor the daemon run: what is known is looked at.
 */
#pragma once

#include "cli/conf.h"
#include "plat/netlink.h"

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARNING,
	DOCTOR_PROBLEM,
};

struct finding {
	const char *check;
	enum doctor_level level;
	char what[512], why[512], mend[512];
	struct text t, w, m; /* writing the above */
};

enum { DOCTOR_PREFIXES_MAX = 256 };

struct doctor_prefixes {
	size_t n;
	struct prefix v[DOCTOR_PREFIXES_MAX];
};

struct doctor {
	const char *file;
	struct cli_conf c; /* c.conf may be NULL */
	struct plat_nl *nl; /* may be NULL */
	bool running; /* the daemon of this configuration answers */
	int pid; /* then */
	json_t *status; /* what it says; NULL */
	const char *device;
	uint16_t port, nat_port;
	bool hub; /* called by others */
	struct doctor_prefixes domain; /* what goes into the tunnel */
	struct doctor_prefixes local; /* what is ours */
	json_t *findings;
	unsigned problems;
};

/* A finding with empty texts. */
void doctor_begin(struct finding *f, const char *check, enum doctor_level level);
void doctor_end(struct doctor *d, const struct finding *f);
/* A finding that is good. */
__attribute__((format(printf, 3, 4))) void doctor_ok(struct doctor *d, const char *check,
						     const char *fmt, ...);

/* Whether any prefix of the list has the address. */
bool doctor_has(const struct doctor_prefixes *l, const struct ip *ip);

/* The first line of a file without its newline, at most n - 1 bytes; false when there is none. */
bool doctor_read_line(const char *path, char *buf, size_t n);

/* doctor_files.c */
void doctor_config(struct doctor *d);
void doctor_permissions(struct doctor *d);
void doctor_certificates(struct doctor *d);
void doctor_crls(struct doctor *d);

/* doctor_host.c */
void doctor_daemon(struct doctor *d);
void doctor_clock(struct doctor *d);
void doctor_ports(struct doctor *d);
void doctor_tun(struct doctor *d);
void doctor_units(struct doctor *d);
void doctor_resolver(struct doctor *d);

/* doctor_net.c */
void doctor_forwarding(struct doctor *d);
void doctor_rp_filter(struct doctor *d);
void doctor_networks(struct doctor *d);
void doctor_mtu(struct doctor *d);
void doctor_rules(struct doctor *d);

/* doctor_inner.c */
void doctor_names(struct doctor *d);
void doctor_store(struct doctor *d);

/* doctor_firewall.c */
void doctor_firewall(struct doctor *d);
