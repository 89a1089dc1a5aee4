#include "signer/internal.h"

#include <stdlib.h>

enum status snapshot_new(struct signer_snapshot **ret_snap)
{
	static const uint64_t key[2] = { 1, 2 }; /* file names of the operator's own choice */
	struct signer_snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	map_init(&s->by_path, &mem_libc, key);
	s->tail = &s->first;
	*ret_snap = s;
	return ST_OK;
}

static void file_free(struct signer_file *f)
{
	mem_free_secret(&mem_libc, f->p, f->n);
	free(f->path);
	free(f);
}

void signer_snapshot_free(struct signer_snapshot *s)
{
	if (!s)
		return;
	while (s->first) {
		struct signer_file *f = s->first;

		s->first = f->next;
		file_free(f);
	}
	map_done(&s->by_path);
	free(s);
}

static bool has_path(const struct map_node *n, const void *key)
{
	return strcmp(CONTAINER_OF(n, const struct signer_file, node)->path, key) == 0;
}

static uint64_t hash_path(const struct signer_snapshot *s, const char *path)
{
	return map_hash(&s->by_path, bytes_str(path));
}

struct signer_file *snapshot_find(const struct signer_snapshot *s, const char *path)
{
	struct map_node *n = map_find(&s->by_path, hash_path(s, path), has_path, path);

	return n ? CONTAINER_OF(n, struct signer_file, node) : NULL;
}

static enum status file_new(const char *path, struct bytes data, struct signer_file **ret_file)
{
	struct signer_file *f = calloc(1, sizeof(*f));
	struct bytes copy;

	if (!f)
		return ST_NOMEM;
	f->path = strdup(path);
	if (!f->path || mem_dup(&mem_libc, data, &copy) != ST_OK) {
		file_free(f);
		return ST_NOMEM;
	}
	f->p = (uint8_t *)(uintptr_t)copy.p;
	f->n = copy.n;
	*ret_file = f;
	return ST_OK;
}

enum status snapshot_add(struct signer_snapshot *s, const char *path, struct bytes data)
{
	struct signer_file *f;
	enum status st;

	if (s->count == SIGNER_FILES_MAX || data.n > SIGNER_BYTES_MAX - s->bytes)
		return ST_NOMEM;
	if (snapshot_find(s, path))
		return ST_INVAL;
	st = file_new(path, data, &f);
	if (st != ST_OK)
		return st;
	*s->tail = f;
	s->tail = &f->next;
	s->count++;
	s->bytes += data.n;
	map_insert(&s->by_path, &f->node, hash_path(s, path));
	return ST_OK;
}

/* ---- as a source --------------------------------------------------------------------------- */

static enum status give(const struct signer_file *f, size_t max, const struct alloc *mem,
			struct text *why, uint8_t **ret_p, size_t *ret_n)
{
	struct bytes copy;

	if (f->n > max) {
		text_fmt(why, "longer than %zu bytes", max);
		return ST_INVAL;
	}
	if (mem_dup(mem, bytes_of(f->p, f->n), &copy) != ST_OK)
		return ST_NOMEM;
	*ret_p = (uint8_t *)(uintptr_t)copy.p;
	*ret_n = f->n;
	return ST_OK;
}

static enum status read_snapshot(void *ctx, const char *path, size_t max, const struct alloc *mem,
				 struct text *why, uint8_t **ret_p, size_t *ret_n)
{
	const struct signer_file *f = snapshot_find(ctx, path);

	if (f)
		return give(f, max, mem, why, ret_p, ret_n);
	text_add(why, "the signer did not read it");
	return ST_IO;
}

struct conf_source signer_source(struct signer_snapshot *snap)
{
	return (struct conf_source){ read_snapshot, snap };
}

static enum status read_and_keep(void *ctx, const char *path, size_t max, const struct alloc *mem,
				 struct text *why, uint8_t **ret_p, size_t *ret_n)
{
	const struct signer_file *f = snapshot_find(ctx, path);
	enum status st;

	if (f)
		return give(f, max, mem, why, ret_p, ret_n);
	st = conf_source_files.read(conf_source_files.ctx, path, max, mem, why, ret_p, ret_n);
	if (st != ST_OK)
		return st;
	st = snapshot_add(ctx, path, bytes_of(*ret_p, *ret_n));
	if (st != ST_OK)
		mem_free_secret(mem, *ret_p, *ret_n);
	return st;
}

struct conf_source snapshot_recorder(struct signer_snapshot *s)
{
	return (struct conf_source){ read_and_keep, s };
}
