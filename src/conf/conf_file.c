/*
 * conf_file.c - the part of conf that touches the file system.
 */
#include "conf/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
	FIRST_READ = 4096,
	PSK_FILE_MAX = 4 * CONF_PSK_MAX,
};

/* A block that may hold secrets: wiped when it moves and when it goes. */
struct file_bytes {
	uint8_t *p;
	size_t n;
	size_t cap;
};

static void file_done(const struct alloc *mem, struct file_bytes *f)
{
	mem_free_secret(mem, f->p, f->cap);
	*f = (struct file_bytes){ 0 };
}

static enum status grow(const struct alloc *mem, struct file_bytes *f)
{
	size_t cap = f->cap ? 2 * f->cap : FIRST_READ;
	uint8_t *p = mem_new(mem, cap);

	if (!p)
		return ST_NOMEM;
	if (f->n)
		memcpy(p, f->p, f->n);
	mem_free_secret(mem, f->p, f->cap);
	f->p = p;
	f->cap = cap;
	return ST_OK;
}

/* Until the end, or one byte more than `max`: enough to see that it is too long. */
static enum status read_fd(const struct alloc *mem, int fd, size_t max, struct file_bytes *f)
{
	while (f->n <= max) {
		ssize_t got;

		if (f->n == f->cap && grow(mem, f))
			return ST_NOMEM;
		got = read(fd, f->p + f->n, f->cap - f->n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ST_IO;
		if (got == 0)
			break;
		f->n += (size_t)got;
	}
	return ST_OK;
}

/* ST_IO leaves the reason in errno. */
static enum status read_file(const struct alloc *mem, const char *path, size_t max,
			     struct file_bytes *ret)
{
	struct file_bytes f = { 0 };
	int why, fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status st;

	if (fd < 0)
		return ST_IO;
	st = read_fd(mem, fd, max, &f);
	why = errno;
	close(fd);
	errno = why;
	if (st == ST_OK)
		*ret = f;
	else
		file_done(mem, &f);
	return st;
}

/* Editors end a file with a newline, which is not meant to be part of the key. */
static struct bytes without_newline(struct bytes b)
{
	if (b.n > 0 && b.p[b.n - 1] == '\n')
		b.n--;
	if (b.n > 0 && b.p[b.n - 1] == '\r')
		b.n--;
	return b;
}

static enum status load_psk(struct conf *c, struct conf_peer *p, struct conf_errors *errs)
{
	struct file_bytes f = { 0 };
	const char *why = "is too long";
	enum status st = read_file(c->mem, p->psk_file.s, PSK_FILE_MAX, &f);

	if (st == ST_IO) {
		conf_error_add(errs, p->psk_file.at, "psk_file %s: %s", p->psk_file.s,
			       strerror(errno));
		return ST_OK;
	}
	if (st == ST_OK && f.n <= PSK_FILE_MAX)
		st = value_psk(&c->ar, without_newline(bytes_of(f.p, f.n)), &p->psk.b, &why);
	else if (st == ST_OK)
		st = ST_INVAL;
	file_done(c->mem, &f);
	if (st == ST_INVAL)
		conf_error_add(errs, p->psk_file.at, "psk_file %s: its key %s", p->psk_file.s, why);
	return st == ST_NOMEM ? ST_NOMEM : ST_OK;
}

static enum status load_psks(struct conf *c, struct conf_errors *errs)
{
	for (struct conf_peer *p = c->peers; p; p = p->next) {
		enum status st = p->psk_file.s && !p->psk.at.line ? load_psk(c, p, errs) : ST_OK;

		if (st != ST_OK)
			return st;
	}
	return ST_OK;
}

enum status conf_read_file(const struct alloc *mem, const char *path, struct conf_errors *errs,
			   struct conf **ret_conf)
{
	struct file_bytes f = { 0 };
	struct conf *c;
	enum status st = errors_name(errs, path);

	if (st == ST_OK)
		st = read_file(mem, path, CONF_FILE_MAX, &f);
	if (st == ST_IO)
		conf_error_add(errs, (struct conf_pos){ 0 }, "%s", strerror(errno));
	if (st != ST_OK)
		return st;
	st = conf_read(mem, path, bytes_of(f.p, f.n), errs, &c);
	file_done(mem, &f);
	if (st != ST_OK)
		return st;
	st = load_psks(c, errs);
	if (st == ST_OK)
		*ret_conf = c;
	else
		conf_unref(c);
	return st;
}

enum status conf_load(const struct alloc *mem, const char *path, struct conf_errors *errs,
		      struct conf **ret_conf)
{
	struct conf *c;
	enum status st = conf_read_file(mem, path, errs, &c);

	if (st != ST_OK)
		return st;
	if (errs->total == 0) {
		*ret_conf = c;
		return ST_OK;
	}
	conf_unref(c);
	return ST_INVAL;
}
