/*
 * doctor_host.c - the daemon, its clock, ports, device and units.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "plat/clock.h"

void doctor_daemon(struct doctor *d)
{
	struct finding f;

	if (d->running) {
		doctor_ok(d, "daemon", "runs as process %d", d->pid);
		return;
	}
	doctor_begin(&f, "daemon", DOCTOR_WARNING);
	text_add(&f.t, "no daemon answers on the control socket");
	text_add(&f.w, "without it there is no tunnel");
	if (access("/run/systemd/system", F_OK) == 0)
		text_add(&f.m, "systemctl start warrend");
	else
		text_fmt(&f.m, "warrend -c %s", d->file);
	doctor_end(d, &f);
}

/* ---- clock ------------------------------------------------------------------------------- */

void doctor_clock(struct doctor *d)
{
	struct finding f;

	if (plat_clock_synced()) {
		doctor_ok(d, "clock", "synchronised");
		return;
	}
	doctor_begin(&f, "clock", plat_now().wall_ok ? DOCTOR_WARNING : DOCTOR_PROBLEM);
	text_add(&f.t, plat_now().wall_ok ? "nothing keeps it right, as far as the kernel knows"
					  : "it was never set");
	text_add(&f.w,
		 "certificates and revocation lists have dates: a clock that is wrong refuses "
		 "good ones and accepts old ones");
	text_add(&f.m, "timedatectl set-ntp true");
	doctor_end(d, &f);
}

/* ---- who holds a UDP port ---------------------------------------------------------------- */

enum {
	INODES_MAX = 64,
	COMM_MAX = 64,
};

struct holders {
	unsigned long inode[INODES_MAX];
	size_t n;
};

/* Sockets of a table of /proc/net that are bound to the port. */
static void find_inodes(const char *path, uint16_t port, struct holders *h)
{
	char line[512];
	FILE *file = fopen(path, "re");

	while (file && h->n < INODES_MAX && fgets(line, sizeof(line), file)) {
		unsigned long inode;
		unsigned local;

		/* sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %*s %*s %*s %*s %*s %*s %lu", &local,
			   &inode) == 2 &&
		    local == port)
			h->inode[h->n++] = inode;
	}
	if (file)
		fclose(file);
}

static bool holds(const char *link, const struct holders *h)
{
	char target[64];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	unsigned long inode;

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (sscanf(target, "socket:[%lu]", &inode) != 1)
		return false;
	for (size_t i = 0; i < h->n; i++)
		if (h->inode[i] == inode)
			return true;
	return false;
}

static bool process_holds(const char *pid, const struct holders *h)
{
	char path[300], link[600];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		snprintf(link, sizeof(link), "%s/%s", path, e->d_name);
		found = holds(link, h);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* What stops the service that such a process belongs to. */
static void how_to_stop(struct text *t, const char *comm, int pid)
{
	static const char *const known[][2] = {
		{ "charon-systemd", "systemctl disable --now strongswan" },
		{ "charon", "systemctl disable --now strongswan-starter" },
		{ "pluto", "systemctl disable --now ipsec" },
		{ "iked", "systemctl disable --now iked" },
		{ "racoon", "systemctl disable --now racoon" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(comm, known[i][0]) == 0) {
			text_add(t, known[i][1]);
			return;
		}
	text_fmt(t, "kill %d", pid);
}

static void report_holder(struct doctor *d, uint16_t port, const char *pid)
{
	char path[300], comm[COMM_MAX] = "?";
	struct finding f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	(void)doctor_read_line(path, comm, sizeof(comm));
	doctor_begin(&f, "ports", DOCTOR_PROBLEM);
	text_fmt(&f.t, "UDP port %u is held by %s (process %s)", port, comm, pid);
	text_add(&f.w,
		 "two IKE daemons cannot share it: warrend does not start (`port` and `nat_port` "
		 "in the configuration choose others)");
	how_to_stop(&f.m, comm, atoi(pid));
	doctor_end(d, &f);
}

/* The first process that is not our daemon; true when one was named. */
static bool name_holder(struct doctor *d, uint16_t port, const struct holders *h, bool *ours)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool named = false;

	while (proc && !named && (e = readdir(proc))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !process_holds(e->d_name, h))
			continue;
		if (d->running && atoi(e->d_name) == d->pid) {
			*ours = true;
			continue;
		}
		report_holder(d, port, e->d_name);
		named = true;
	}
	if (proc)
		closedir(proc);
	return named;
}

static void check_port(struct doctor *d, uint16_t port)
{
	struct holders h = { .n = 0 };
	bool ours = false;
	struct finding f;

	find_inodes("/proc/self/net/udp", port, &h);
	find_inodes("/proc/self/net/udp6", port, &h);
	if (h.n == 0) {
		doctor_ok(d, "ports", "UDP port %u is free", port);
	} else if (!name_holder(d, port, &h, &ours)) {
		if (ours) {
			doctor_ok(d, "ports", "UDP port %u is warrend's", port);
			return;
		}
		doctor_begin(&f, "ports", DOCTOR_PROBLEM);
		text_fmt(&f.t, "UDP port %u is held by a process that cannot be seen from here",
			 port);
		text_add(&f.w, "two IKE daemons cannot share it; it may be the kernel's, or a "
			       "container's that uses this network");
		text_fmt(&f.m, "ss -ulpn sport = %u", port);
		doctor_end(d, &f);
	}
}

void doctor_ports(struct doctor *d)
{
	check_port(d, d->port);
	check_port(d, d->nat_port);
}

/* ---- the device -------------------------------------------------------------------------- */

void doctor_tun(struct doctor *d)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = errno;
	struct finding f;

	if (fd >= 0) {
		close(fd);
		doctor_ok(d, "tun", "/dev/net/tun can be opened");
		return;
	}
	doctor_begin(&f, "tun", DOCTOR_PROBLEM);
	text_fmt(&f.t, "/dev/net/tun: %s", strerror(err));
	text_add(&f.w,
		 "packets enter and leave the tunnel through it; a container has to be given it "
		 "(--device /dev/net/tun)");
	text_add(&f.m, err == ENOENT   ? "mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200"
		       : err == EACCES ? "run as root"
				       : "modprobe tun");
	doctor_end(d, &f);
}

/* ---- units ------------------------------------------------------------------------------- */

static bool enabled(const char *unit)
{
	char pattern[128];
	glob_t g;
	bool found;

	snprintf(pattern, sizeof(pattern), "/etc/systemd/system/*.wants/%s", unit);
	found = glob(pattern, 0, NULL, &g) == 0;
	globfree(&g);
	return found;
}

void doctor_units(struct doctor *d)
{
	static const char *const unit[] = { "warren-block.service", "warrend.service" };
	struct finding f;

	if (access("/run/systemd/system", F_OK))
		return;
	if (enabled(unit[0]) && enabled(unit[1])) {
		doctor_ok(d, "boot", "%s and %s are enabled", unit[0], unit[1]);
		return;
	}
	doctor_begin(&f, "boot", DOCTOR_WARNING);
	text_fmt(&f.t, "%s is not enabled", enabled(unit[0]) ? unit[1] : unit[0]);
	text_add(&f.w, enabled(unit[0])
			       ? "after a boot there is no tunnel"
			       : "after a boot packets leave in clear until the daemon runs");
	text_add(&f.m, "systemctl enable warren-block warrend");
	doctor_end(d, &f);
}

/* ---- the resolver ------------------------------------------------------------------------ */

static bool needs_names(const struct conf *conf)
{
	struct ip ip;

	for (const struct conf_peer *p = conf->peers; p; p = p->next)
		for (size_t i = 0; i < p->address.n; i++)
			if (ip_parse(p->address.v[i].s, &ip) != ST_OK)
				return true;
	return false;
}

static bool networks_need_names(const struct doctor *d)
{
	struct ip ip;
	size_t k = 0;

	for (const struct conf_network *n = d->c.conf->networks; n; n = n->next) {
		const struct conf_network_creds *c = conf_creds_network(d->c.creds, k++);

		for (size_t i = 0; i < c->n_hubs; i++)
			if (ip_parse(c->hubs[i], &ip) != ST_OK)
				return true;
	}
	return false;
}

/* A forwarder on this host asks on from its own, unmarked sockets: 127.0.0.53 is systemd-resolved,
 * 127.0.0.1 dnsmasq, unbound and others. */
static bool local_forwarder(char *ret, size_t n)
{
	FILE *file = fopen("/etc/resolv.conf", "re");
	char line[512], addr[64];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, " nameserver %63s", addr) == 1 &&
			(strncmp(addr, "127.", 4) == 0 || strcmp(addr, "::1") == 0);
	if (file)
		fclose(file);
	if (found)
		snprintf(ret, n, "%s", addr);
	return found;
}

void doctor_resolver(struct doctor *d)
{
	const struct ip any4 = { .family = 4, .b = { 9, 9, 9, 9 } }; /* stands for all others */
	struct finding f;
	char addr[64];

	if (!d->c.conf || (!needs_names(d->c.conf) && !networks_need_names(d)))
		return;
	if (!doctor_has(&d->domain, &any4) || !local_forwarder(addr, sizeof(addr))) {
		doctor_ok(d, "resolver", "does not depend on the tunnel");
		return;
	}
	doctor_begin(&f, "resolver", DOCTOR_WARNING);
	text_fmt(&f.t, "/etc/resolv.conf names %s, a forwarder on this host%s", addr,
		 strcmp(addr, "127.0.0.53") == 0 ? " (systemd-resolved)" : "");
	text_add(&f.w,
		 "the whole Internet is in the domain, so what the forwarder asks goes into the "
		 "tunnel, and the tunnel needs the name of its hub first");
	text_add(&f.m, "addresses instead of names in `hubs`, or their names in /etc/hosts");
	doctor_end(d, &f);
}
