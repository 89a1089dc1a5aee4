/*
 * Files, read whole and written whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/internal.h"

static enum status io_error(const char *path, struct text *why)
{
	text_fmt(why, "%s: %s", path, strerror(errno));
	return ST_IO;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* A pipe or a file of /proc does not know its size: up to one byte more than is accepted. */
static enum status read_all(int fd, const char *path, struct pki_blob *b, struct text *why)
{
	size_t done = 0, max = b->n - 1;

	while (done < b->n) {
		ssize_t n = read(fd, b->p + done, b->n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return io_error(path, why);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done > max)
		return pki_refuse(why, "%s: larger than %zu KiB", path, max >> 10);
	b->n = done;
	return ST_OK;
}

static enum status size_of(int fd, const char *path, size_t max, struct text *why, size_t *ret_n)
{
	struct stat sb;

	if (fstat(fd, &sb) < 0)
		return io_error(path, why);
	if (!S_ISREG(sb.st_mode) && !S_ISFIFO(sb.st_mode))
		return pki_refuse(why, "%s: not a regular file", path);
	if (S_ISREG(sb.st_mode) && (uint64_t)sb.st_size > max)
		return pki_refuse(why, "%s: larger than %zu KiB", path, max >> 10);
	*ret_n = S_ISREG(sb.st_mode) ? (size_t)sb.st_size : max;
	return ST_OK;
}

static enum status read_fd(int fd, const char *path, size_t max, struct text *why,
			   struct pki_blob *ret_blob)
{
	struct pki_blob b = { 0 };
	size_t size = 0, room;
	enum status st = size_of(fd, path, max, why, &size);

	if (st != ST_OK)
		return st;
	room = size + 1;
	b = (struct pki_blob){ mem_new(&mem_libc, room), room };
	if (!b.p)
		return ST_NOMEM;
	st = read_all(fd, path, &b, why);
	if (st == ST_OK) {
		*ret_blob = b;
		return ST_OK;
	}
	b.n = room;
	pki_blob_done(&b);
	return st;
}

enum status pki_file_read(const char *path, size_t max, struct text *why, struct pki_blob *ret_blob)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status st;

	if (fd < 0)
		return io_error(path, why);
	st = read_fd(fd, path, max, why, ret_blob);
	close(fd);
	return st;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Under a name that nobody has, beside the file that it will replace. */
static int open_beside(struct pki_out *out)
{
	int fd;

	snprintf(out->tmp, sizeof(out->tmp), "%s.XXXXXX", out->path);
	fd = mkostemp(out->tmp, O_CLOEXEC);
	if (fd >= 0)
		(void)!fchmod(fd, 0644);
	return fd;
}

static int open_new(struct pki_out *out, mode_t mode)
{
	snprintf(out->tmp, sizeof(out->tmp), "%s", out->path);
	return open(out->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
}

enum status pki_out_open(const char *path, enum pki_out_how how, struct text *why,
			 struct pki_out *ret_out)
{
	struct pki_out out = { .replace = how == PKI_OUT_REPLACE };

	if ((size_t)snprintf(out.path, sizeof(out.path), "%s", path) >= sizeof(out.path))
		return pki_refuse(why, "the path of a file is longer than %zu characters",
				  sizeof(out.path) - 1);
	out.fd = out.replace ? open_beside(&out)
			     : open_new(&out, how == PKI_OUT_SECRET ? 0600 : 0644);
	if (out.fd < 0 && errno == EEXIST)
		return pki_refuse(why, "%s exists already and is not overwritten", path);
	if (out.fd < 0)
		return io_error(path, why);
	*ret_out = out;
	return ST_OK;
}

static bool write_all(int fd, struct bytes data)
{
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data = bytes_of(data.p + n, data.n - (size_t)n);
	}
	return fsync(fd) == 0;
}

enum status pki_out_commit(struct pki_out *out, struct bytes data, struct text *why)
{
	enum status st;

	if (write_all(out->fd, data) && (!out->replace || rename(out->tmp, out->path) == 0)) {
		close(out->fd);
		out->fd = -1;
		return ST_OK;
	}
	st = io_error(out->path, why);
	pki_out_abort(out);
	return st;
}

void pki_out_abort(struct pki_out *out)
{
	if (out->fd < 0)
		return;
	unlink(out->tmp);
	close(out->fd);
	out->fd = -1;
}
