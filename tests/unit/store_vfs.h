/*
 * store_vfs.h - a file system for SQLite that fails on request: the n-th operation, all from the
 * n-th on, or by losing what was written and not synchronised, as a loss of power does.
 *
 * SQLite's own, wrapped.  Without shared memory, so it also shows that the store needs none.  One
 * thread (the store's) is inside at a time; the test looks while that one waits.
 */
#pragma once

#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define FAULTY "faulty"

/* What a write or a truncation took away. */
struct undo {
	struct undo *before;
	char path[256];
	sqlite3_int64 size, at; /* of the file; of what was there */
	size_t n;
	uint8_t was[];
};

static struct {
	sqlite3_vfs vfs, *real;
	atomic_long calls; /* that can fail */
	atomic_long fail_at; /* the number of the first that does; 0: none */
	atomic_bool once; /* and it alone */
	atomic_int with; /* SQLite's code */
	atomic_bool read_only;
	bool remember; /* for lose_power() */
	struct undo *undo;
	uv_sem_t *gate; /* each xSync takes one */
} faulty;

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real;
	char path[256];
};

static int fault(void)
{
	long n = atomic_fetch_add(&faulty.calls, 1) + 1, at = faulty.fail_at;

	return at && (faulty.once ? n == at : n >= at) ? faulty.with : SQLITE_OK;
}

/* From now on the n-th operation fails. */
static inline void fail_at(long n, bool once, int with)
{
	faulty.fail_at = 0;
	faulty.calls = 0;
	faulty.once = once;
	faulty.with = with;
	faulty.fail_at = n;
}

static struct faulty_file *file_of(sqlite3_file *f)
{
	return (struct faulty_file *)(void *)f;
}

/* ---- losing power -------------------------------------------------------------------------- */

static void remember(struct faulty_file *f, sqlite3_int64 at, size_t n)
{
	struct undo *u = calloc(1, sizeof(*u) + n);

	snprintf(u->path, sizeof(u->path), "%s", f->path);
	f->real->pMethods->xFileSize(f->real, &u->size);
	u->at = at;
	u->n = at >= u->size ? 0 : (sqlite3_int64)n > u->size - at ? (size_t)(u->size - at) : n;
	if (u->n)
		f->real->pMethods->xRead(f->real, u->was, (int)u->n, at);
	u->before = faulty.undo;
	faulty.undo = u;
}

static void forget(const char *path)
{
	struct undo **at = &faulty.undo;

	while (*at) {
		struct undo *u = *at;

		if (path && strcmp(u->path, path) != 0) {
			at = &u->before;
			continue;
		}
		*at = u->before;
		free(u);
	}
}

/* The files are closed. */
static inline void lose_power(void)
{
	for (struct undo *u = faulty.undo; u; u = u->before) {
		int fd = open(u->path, O_RDWR | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (u->n && pwrite(fd, u->was, u->n, u->at) != (ssize_t)u->n)
			abort();
		if (ftruncate(fd, u->size) < 0)
			abort();
		close(fd);
	}
	forget(NULL);
}

/* ---- files --------------------------------------------------------------------------------- */

static int faulty_close(sqlite3_file *f)
{
	return file_of(f)->real->pMethods->xClose(file_of(f)->real);
}

static int faulty_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	int err = fault();

	return err ? SQLITE_IOERR_READ
		   : file_of(f)->real->pMethods->xRead(file_of(f)->real, p, n, at);
}

static int faulty_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int err = fault();

	if (err)
		return err;
	if (faulty.remember)
		remember(file_of(f), at, (size_t)n);
	return file_of(f)->real->pMethods->xWrite(file_of(f)->real, p, n, at);
}

static int faulty_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int err = fault();

	if (err)
		return SQLITE_IOERR_TRUNCATE;
	if (faulty.remember) {
		sqlite3_int64 now = 0;

		file_of(f)->real->pMethods->xFileSize(file_of(f)->real, &now);
		if (now > size)
			remember(file_of(f), size, (size_t)(now - size));
	}
	return file_of(f)->real->pMethods->xTruncate(file_of(f)->real, size);
}

static int faulty_sync(sqlite3_file *f, int flags)
{
	int err = fault();

	if (faulty.gate)
		uv_sem_wait(faulty.gate);
	if (err)
		return SQLITE_IOERR_FSYNC;
	err = file_of(f)->real->pMethods->xSync(file_of(f)->real, flags);
	if (err == SQLITE_OK)
		forget(file_of(f)->path);
	return err;
}

static int faulty_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return file_of(f)->real->pMethods->xFileSize(file_of(f)->real, size);
}

static int faulty_lock(sqlite3_file *f, int how)
{
	int err = fault();

	return err ? SQLITE_IOERR_LOCK : file_of(f)->real->pMethods->xLock(file_of(f)->real, how);
}

static int faulty_unlock(sqlite3_file *f, int how)
{
	return file_of(f)->real->pMethods->xUnlock(file_of(f)->real, how);
}

static int faulty_reserved(sqlite3_file *f, int *out)
{
	return file_of(f)->real->pMethods->xCheckReservedLock(file_of(f)->real, out);
}

static int faulty_control(sqlite3_file *f, int op, void *arg)
{
	return file_of(f)->real->pMethods->xFileControl(file_of(f)->real, op, arg);
}

static int faulty_sector(sqlite3_file *f)
{
	return file_of(f)->real->pMethods->xSectorSize(file_of(f)->real);
}

/* A sector may be torn, an append may not: nothing that the store could lean on. */
static int faulty_device(sqlite3_file *f)
{
	(void)f;
	return 0;
}

static const sqlite3_io_methods faulty_methods = {
	.iVersion = 1,
	.xClose = faulty_close,
	.xRead = faulty_read,
	.xWrite = faulty_write,
	.xTruncate = faulty_truncate,
	.xSync = faulty_sync,
	.xFileSize = faulty_size,
	.xLock = faulty_lock,
	.xUnlock = faulty_unlock,
	.xCheckReservedLock = faulty_reserved,
	.xFileControl = faulty_control,
	.xSectorSize = faulty_sector,
	.xDeviceCharacteristics = faulty_device,
};

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct faulty_file *f = file_of(file);
	int err = fault();

	(void)vfs;
	f->base.pMethods = NULL;
	if (err)
		return SQLITE_CANTOPEN;
	if (faulty.read_only && (flags & SQLITE_OPEN_MAIN_DB))
		flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
			SQLITE_OPEN_READONLY;
	f->real = (sqlite3_file *)(void *)(f + 1);
	snprintf(f->path, sizeof(f->path), "%s", name ? name : "");
	err = faulty.real->xOpen(faulty.real, name, f->real, flags, out);
	if (err == SQLITE_OK)
		f->base.pMethods = &faulty_methods;
	return err;
}

static int faulty_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	int err = fault();

	(void)vfs;
	return err ? SQLITE_IOERR_DELETE : faulty.real->xDelete(faulty.real, name, sync);
}

static inline void faulty_register(void)
{
	faulty.real = sqlite3_vfs_find(NULL);
	faulty.vfs = *faulty.real;
	faulty.vfs.iVersion = 1;
	faulty.vfs.pNext = NULL;
	faulty.vfs.zName = FAULTY;
	faulty.vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty.real->szOsFile;
	faulty.vfs.xOpen = faulty_open;
	faulty.vfs.xDelete = faulty_delete;
	sqlite3_vfs_register(&faulty.vfs, 0);
}
