/*
 * udp_echo - the cheapest program that answers a datagram: what P6 measures a cookie reply against.
 *
 *	udp_echo ADDRESS PORT
 *
 * One blocking socket, recvfrom, sendto.  Prints "ready" once bound.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int bound_socket(const char *address, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *found;

	if (getaddrinfo(address, port, &hints, &found) != 0)
		return -1;
	int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) != 0)
		fd = -1;
	freeaddrinfo(found);
	return fd;
}

int main(int argc, char **argv)
{
	static unsigned char buffer[65536];

	if (argc != 3) {
		fprintf(stderr, "usage: udp_echo ADDRESS PORT\n");
		return 2;
	}
	int fd = bound_socket(argv[1], argv[2]);
	if (fd < 0) {
		perror("udp_echo");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from,
				     &from_len);

		/* An error is that of an earlier reply (ICMP): the next datagram is unaffected. */
		if (n >= 0)
			(void)sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, from_len);
	}
}
