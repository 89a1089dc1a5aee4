/*
 * flood_init - sends IKE_SA_INIT requests from many addresses and ports and counts the answers.
 *
 *	flood_init TARGET PORT FIRST_SOURCE SOURCES COUNT
 *
 * SOURCES sockets are bound to FIRST_SOURCE, FIRST_SOURCE + 1, … (IPv4; the caller makes these
 * addresses local, e.g. `ip route add local 198.18.0.0/15 dev lo`).  flood.h has the request.
 *
 * The loop is closed: a burst of one request for each of up to BURST sockets, then all answers, so
 * nothing overflows a receive buffer and the other side's CPU time divides by what it really
 * answered.  An answer that does not come within the patience of one second is counted as lost.
 *
 * Prints one JSON line: {"sent", "answered", "cookies", "echoes", "other", "lost", "seconds"}.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "flood.h"

enum {
	BURST = 32,
	PATIENCE_MS = 1000,
	MAX_SOURCES = 4096,
	NOTIFY_PAYLOAD = 41,
	NOTIFY_COOKIE = 16390, /* RFC 7296 section 3.10.1 */
};

struct tally {
	uint64_t sent, answered, cookies, echoes, other, lost;
};

struct source {
	int fd;
	uint8_t sent[REQUEST_LEN];
	bool waiting;
};

static struct source sources[MAX_SOURCES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_sources(size_t n, uint32_t first, const struct sockaddr_in *target)
{
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_in from = { .sin_family = AF_INET,
					    .sin_port = htons((uint16_t)(20000 + i)),
					    .sin_addr.s_addr = htonl(first + (uint32_t)i) };
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
			die("bind");
		if (connect(fd, (const struct sockaddr *)target, sizeof(*target)) != 0)
			die("connect");
		sources[i].fd = fd;
		memcpy(sources[i].sent, request_template, REQUEST_LEN);
	}
}

static void send_one(struct source *s, uint64_t *state, struct tally *t)
{
	renew(s->sent, state);
	s->waiting = send(s->fd, s->sent, REQUEST_LEN, 0) == REQUEST_LEN;
	t->sent += s->waiting;
}

static bool is_cookie(const uint8_t *m, size_t n)
{
	return n >= 36 && m[16] == NOTIFY_PAYLOAD && (m[34] << 8 | m[35]) == NOTIFY_COOKIE;
}

static void count_answer(struct source *s, struct tally *t)
{
	uint8_t answer[2048];
	ssize_t n = recv(s->fd, answer, sizeof(answer), 0);

	/* An answer to an earlier, lost request of this socket has another SPI. */
	if (n < 8 || !s->waiting || memcmp(answer, s->sent, 8) != 0)
		return;
	s->waiting = false;
	t->answered++;
	if (n == REQUEST_LEN && memcmp(answer, s->sent, REQUEST_LEN) == 0)
		t->echoes++;
	else if (is_cookie(answer, (size_t)n))
		t->cookies++;
	else
		t->other++;
}

static size_t still_waiting(const struct source *burst, size_t n)
{
	size_t waiting = 0;

	for (size_t i = 0; i < n; i++)
		waiting += burst[i].waiting;
	return waiting;
}

static void collect(struct source *burst, size_t n, struct tally *t)
{
	struct pollfd fds[BURST];

	while (still_waiting(burst, n) > 0) {
		for (size_t i = 0; i < n; i++)
			fds[i] = (struct pollfd){ .fd = burst[i].waiting ? burst[i].fd : -1,
						  .events = POLLIN };
		if (poll(fds, (nfds_t)n, PATIENCE_MS) <= 0)
			break;
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents)
				count_answer(&burst[i], t);
	}
	t->lost += still_waiting(burst, n);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void flood(size_t n_sources, uint64_t count, struct tally *t)
{
	uint64_t state;
	size_t next = 0;

	if (getrandom(&state, sizeof(state), 0) != sizeof(state))
		die("getrandom");
	while (t->sent + t->lost < count) {
		size_t n = n_sources - next < BURST ? n_sources - next : BURST;

		for (size_t i = 0; i < n; i++)
			send_one(&sources[next + i], &state, t);
		collect(&sources[next], n, t);
		next = (next + n) % n_sources;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in target = { .sin_family = AF_INET };
	struct in_addr first;

	if (argc != 6 || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[3], &first) != 1) {
		fprintf(stderr, "usage: flood_init TARGET PORT FIRST_SOURCE SOURCES COUNT\n");
		return 2;
	}
	size_t n = strtoul(argv[4], NULL, 10);
	if (n == 0 || n > MAX_SOURCES) {
		fprintf(stderr, "flood_init: 1 to %d sources\n", MAX_SOURCES);
		return 2;
	}
	target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	open_sources(n, ntohl(first.s_addr), &target);

	struct tally t = { 0 };
	double start = seconds();
	flood(n, strtoull(argv[5], NULL, 10), &t);
	printf("{\"sent\":%llu,\"answered\":%llu,\"cookies\":%llu,\"echoes\":%llu,\"other\":%llu,"
	       "\"lost\":%llu,\"seconds\":%.6f}\n",
	       (unsigned long long)t.sent, (unsigned long long)t.answered,
	       (unsigned long long)t.cookies, (unsigned long long)t.echoes,
	       (unsigned long long)t.other, (unsigned long long)t.lost, seconds() - start);
	return 0;
}
