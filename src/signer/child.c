#include "signer/internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/child.h"
#include "plat/process.h"
#include "plat/sandbox.h"

enum { FD = PLAT_CHILD_FD };

struct child {
	struct service *service;
	uint8_t *buf; /* the beginning of a frame */
	size_t n;
};

static enum status write_all(void *ctx, struct bytes frame)
{
	(void)ctx;
	while (frame.n) {
		ssize_t n = write(FD, frame.p, frame.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ST_IO;
		frame.p += n;
		frame.n -= (size_t)n;
	}
	return ST_OK;
}

/* ---- setting up ---------------------------------------------------------------------------- */

/* What libcrypto reads and sets up when it is first used has to happen outside the sandbox. */
static enum status warm_up(struct text *why)
{
	static const uint8_t octets[1];
	struct crypto_job job = { .kind = CRYPTO_JOB_PSK_AUTH };
	struct crypto_result r;
	struct crypto_store *store;
	enum status st = crypto_store_new(&store);

	if (st == ST_OK) {
		st = crypto_store_add_psk(store, "x", BYTES_OF(octets), &job.in.psk.psk);
		job.in.psk.prf = CRYPTO_PRF_HMAC_SHA2_256;
		job.in.psk.octets = BYTES_OF(octets);
		crypto_openssl_run(store, &job, &r);
		st = st == ST_OK ? r.status : st;
		crypto_store_free(store);
	}
	if (st != ST_OK)
		text_add(why, "libcrypto cannot be used");
	return st;
}

/*
 * What may fail without the signer being any less of one is not an error: a network namespace of
 * its own (containers forbid that; the filter knows no sockets), and root's right to read whatever
 * it wants, when we are not root.
 */
static enum status confine(struct text *why)
{
	const uint64_t caps = geteuid() == 0 ? PLAT_CAP_DAC_READ_SEARCH : 0;
	enum status st = plat_harden(why);

	(void)!unshare(CLONE_NEWNET);
	if (st == ST_OK)
		st = warm_up(why);
	if (st == ST_OK)
		st = plat_drop_caps(caps, why);
	/* A kernel without filters: said, and no reason to have no signer. */
	if (st == ST_OK)
		(void)!plat_seccomp(PLAT_SECCOMP_SIGNER, why);
	return st;
}

static enum status say_ready(enum status st, const char *why)
{
	const struct signer_reply r = { .type = SIGNER_READY,
					.status = st,
					.text = bytes_str(why) };
	struct bytes frame;
	enum status made = signer_make_reply(&r, &frame);

	if (made != ST_OK)
		return made;
	made = write_all(NULL, frame);
	free((void *)(uintptr_t)frame.p);
	return made;
}

/* ---- the loop ------------------------------------------------------------------------------ */

static enum status take_frames(struct child *c)
{
	enum status st = ST_OK;
	size_t done = 0;

	while (st == ST_OK) {
		struct bytes frame;
		size_t used;

		st = signer_frame(bytes_of(c->buf + done, c->n - done), SIGNER_REQUEST_MAX, &frame,
				  &used);
		if (st != ST_OK)
			break;
		st = service_frame(c->service, frame);
		done += used;
	}
	memmove(c->buf, c->buf + done, c->n - done);
	c->n -= done;
	wipe(c->buf + c->n, done); /* there were keys of SAs */
	return st == ST_AGAIN ? ST_OK : st;
}

/* With bytes may come a descriptor. */
static ssize_t receive(struct child *c)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { c->buf + c->n, SIGNER_FRAME_LEN + SIGNER_REQUEST_MAX - c->n };
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.buf,
			    .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(FD, &h, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *m = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;
	int fd;

	if (m && m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_RIGHTS &&
	    m->cmsg_len == CMSG_LEN(sizeof(fd))) {
		memcpy(&fd, CMSG_DATA(m), sizeof(fd));
		service_descriptor(c->service, fd);
	}
	return n;
}

/* Until the other end is gone: the only way to end in order. */
static enum status serve(struct child *c)
{
	for (;;) {
		ssize_t n = receive(c);
		enum status st;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ST_OK;
		c->n += (size_t)n;
		st = take_frames(c);
		if (st != ST_OK)
			return st;
	}
}

int signer_child(enum status st, struct text *why)
{
	struct child c = { .buf = malloc(SIGNER_FRAME_LEN + SIGNER_REQUEST_MAX) };

	if (st == ST_OK)
		st = confine(why);
	if (st == ST_OK)
		st = c.buf ? service_new(write_all, NULL, &c.service) : ST_NOMEM;
	if (say_ready(st, why->p) == ST_OK && st == ST_OK)
		st = serve(&c);
	service_free(c.service);
	free(c.buf);
	return st == ST_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
