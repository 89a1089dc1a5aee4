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
	WHY_MAX = 256,
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

static enum status open_and_read(const struct alloc *mem, const char *path, size_t max,
				 struct file_bytes *f)
{
	int why, fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status st;

	if (fd < 0)
		return ST_IO;
	st = read_fd(mem, fd, max, f);
	why = errno;
	close(fd);
	errno = why;
	return st;
}

static enum status read_file(void *ctx, const char *path, size_t max, const struct alloc *mem,
			     struct text *why, uint8_t **ret_p, size_t *ret_n)
{
	struct file_bytes f = { 0 };
	enum status st = open_and_read(mem, path, max, &f);

	(void)ctx;
	if (st == ST_IO)
		text_add(why, strerror(errno));
	if (st == ST_OK && f.n > max) {
		text_fmt(why, "larger than %zu bytes", max);
		st = ST_INVAL;
	}
	if (st != ST_OK) {
		file_done(mem, &f);
		return st;
	}
	*ret_p = f.p;
	*ret_n = f.n;
	return ST_OK;
}

const struct conf_source conf_source_files = { .read = read_file };

/* A key that stands in a file of its own; `name` is what its path is called. */
static enum status load_secret(struct conf *c, const struct conf_source *source,
			       const struct conf_text *path, const char *name,
			       struct conf_errors *errs, struct bytes *ret)
{
	char buf[WHY_MAX];
	struct text reason = TEXT_OF(buf);
	const char *why = buf;
	uint8_t *data = NULL;
	size_t n = 0;
	enum status st =
		source->read(source->ctx, path->s, PSK_FILE_MAX, c->mem, &reason, &data, &n);

	if (st == ST_OK) {
		st = value_psk(&c->ar, value_psk_of_file(bytes_of(data, n)), ret, &why);
		mem_free_secret(c->mem, data, n);
		if (st == ST_INVAL)
			conf_error_add(errs, path->at, "%s %s: its key %s", name, path->s, why);
		return st == ST_NOMEM ? ST_NOMEM : ST_OK;
	}
	if (st != ST_NOMEM)
		conf_error_add(errs, path->at, "%s %s: %s", name, path->s, why);
	return st == ST_NOMEM ? ST_NOMEM : ST_OK;
}

static enum status load_secrets_of(struct conf *c, const struct conf_source *source,
				   struct conf_peer *p, struct conf_errors *errs)
{
	enum status st = ST_OK;

	if (p->psk_file.s && !p->psk.at.line)
		st = load_secret(c, source, &p->psk_file, "psk_file", errs, &p->psk.b);
	if (st == ST_OK && p->ppk_file.s && !p->ppk.at.line) {
		st = load_secret(c, source, &p->ppk_file, "ppk_file", errs, &p->ppk.b);
		check_ppk_length(&p->ppk, p->ppk_file.at, errs);
	}
	return st;
}

static enum status load_secrets(struct conf *c, const struct conf_source *source,
				struct conf_errors *errs)
{
	enum status st = ST_OK;

	for (struct conf_peer *p = c->peers; p && st == ST_OK; p = p->next)
		st = load_secrets_of(c, source, p, errs);
	return st;
}

enum status conf_read_file(const struct alloc *mem, const struct conf_source *source,
			   const char *path, struct conf_errors *errs, struct conf **ret_conf)
{
	char buf[WHY_MAX];
	struct text why = TEXT_OF(buf);
	uint8_t *data;
	size_t n;
	struct conf *c;
	enum status st = errors_name(errs, path);

	if (st == ST_OK)
		st = source->read(source->ctx, path, CONF_FILE_MAX, mem, &why, &data, &n);
	if (st != ST_OK) {
		if (st != ST_NOMEM)
			conf_error_add(errs, (struct conf_pos){ 0 }, "%s", buf);
		return st;
	}
	st = conf_read(mem, path, bytes_of(data, n), errs, &c);
	mem_free_secret(mem, data, n);
	if (st != ST_OK)
		return st;
	st = load_secrets(c, source, errs);
	if (st == ST_OK)
		*ret_conf = c;
	else
		conf_unref(c);
	return st;
}

enum status conf_load(const struct alloc *mem, const struct conf_source *source, const char *path,
		      struct conf_errors *errs, struct conf **ret_conf)
{
	struct conf *c;
	enum status st = conf_read_file(mem, source, path, errs, &c);

	return st == ST_OK ? conf_faultless(c, errs, ret_conf) : st;
}
