#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/join.h"

static enum status failed(struct text *why, const char *path)
{
	text_fmt(why, "%s: %s", path, strerror(errno));
	return ST_IO;
}

/* ---- staging ----------------------------------------------------------------------------- */

/* "dir/name" and what follows; false when it is too long. */
static bool path_of(char ret[static JOIN_PATH], const char *dir, const char *name,
		    const char *suffix)
{
	int n = snprintf(ret, JOIN_PATH, "%s/%s%s", dir, name, suffix);

	return n > 0 && n < JOIN_PATH;
}

static enum status name_files(struct join *j, struct text *why)
{
	static const char *const suffix[JOIN_FILES] = { ".key", ".warren", ".conf" };
	const char *id = j->bundle->manifest.id.text;

	/* An identity is a name, a mail address or an IP address, and so no path. */
	if (strchr(id, '/') || id[0] == '.') {
		text_add(why, "the identity in the bundle makes no file name");
		return ST_INVAL;
	}
	for (size_t i = 0; i < JOIN_FILES; i++) {
		const char *name = i == JOIN_CONF ? "warren" : id;

		if (!path_of(j->place[i].staged, j->stage, name, suffix[i]) ||
		    !path_of(j->place[i].final, j->dir, name, suffix[i])) {
			text_add(why, "the path is too long");
			return ST_INVAL;
		}
	}
	return ST_OK;
}

enum status join_stage(struct join *j, struct text *why)
{
	char stage[JOIN_PATH];

	if (mkdir(j->dir, 0755) == 0)
		j->made_dir = true;
	else if (errno != EEXIST)
		return failed(why, j->dir);
	if (!path_of(stage, j->dir, ".join-XXXXXX", "")) {
		text_add(why, "the path is too long");
		return ST_INVAL;
	}
	if (!mkdtemp(stage))
		return failed(why, j->dir);
	memcpy(j->stage, stage, sizeof(stage));
	return name_files(j, why);
}

enum status join_stage_file(struct join *j, enum join_file which, struct bytes data,
			    struct text *why)
{
	struct pki_out out = PKI_OUT_NONE;
	enum status st = pki_out_open(j->place[which].staged,
				      which == JOIN_KEY ? PKI_OUT_SECRET : PKI_OUT_NEW, why, &out);

	return st == ST_OK ? pki_out_commit(&out, data, why) : st;
}

/* ---- what is there already --------------------------------------------------------------- */

static bool same_content(const char *a, const char *b)
{
	struct pki_blob x = { 0 }, y = { 0 };
	char ignored[256];
	struct text why = TEXT_OF(ignored);
	bool same = pki_file_read(a, PKI_FILE_MAX, &why, &x) == ST_OK &&
		    pki_file_read(b, PKI_FILE_MAX, &why, &y) == ST_OK &&
		    bytes_eq(pki_blob_bytes(&x), pki_blob_bytes(&y));

	pki_blob_done(&x);
	pki_blob_done(&y);
	return same;
}

enum status join_compare(struct join *j, struct text *why)
{
	for (size_t i = 0; i < JOIN_FILES; i++) {
		struct join_place *p = &j->place[i];
		struct stat sb;

		if (lstat(p->final, &sb))
			continue;
		p->same = same_content(p->staged, p->final);
		if (p->same || j->cli->force)
			continue;
		text_fmt(why, "%s%s", why->n ? ", " : "", p->final);
	}
	if (why->n == 0)
		return ST_OK;
	text_add(why, ": exists and is another; --force replaces it and keeps a copy");
	return ST_REFUSE;
}

/* ---- into place, and back ---------------------------------------------------------------- */

/* A second name for what is there; rename() then takes only the first. */
static enum status keep_copy(struct join_place *p, struct text *why)
{
	char stamp[64], backup[JOIN_PATH];
	time_t now = time(NULL);
	struct stat sb;
	struct tm tm;

	if (lstat(p->final, &sb))
		return errno == ENOENT ? ST_OK : failed(why, p->final);
	if (!gmtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), ".%Y%m%d-%H%M%S", &tm) ||
	    snprintf(backup, JOIN_PATH, "%s%s", p->final, stamp) >= JOIN_PATH) {
		text_add(why, "the path is too long");
		return ST_INVAL;
	}
	if (link(p->final, backup) && errno != EEXIST)
		return failed(why, backup);
	memcpy(p->backup, backup, sizeof(backup));
	return ST_OK;
}

enum status join_install(struct join *j, struct text *why)
{
	for (size_t i = 0; i < JOIN_FILES; i++) {
		struct join_place *p = &j->place[i];
		enum status st;

		if (p->same)
			continue;
		st = keep_copy(p, why);
		if (st == ST_OK && rename(p->staged, p->final))
			st = failed(why, p->final);
		if (st != ST_OK)
			return st;
		p->installed = true;
	}
	return ST_OK;
}

void join_roll_back(struct join *j)
{
	for (size_t i = JOIN_FILES; i-- > 0;) {
		struct join_place *p = &j->place[i];

		if (p->installed && p->backup[0])
			(void)!rename(p->backup, p->final);
		else if (p->installed)
			unlink(p->final);
		else if (p->backup[0])
			unlink(p->backup);
		p->installed = false;
	}
	if (j->made_dir)
		rmdir(j->dir);
}

void join_clean(struct join *j)
{
	if (!j->stage[0])
		return;
	for (size_t i = 0; i < JOIN_FILES; i++)
		unlink(j->place[i].staged);
	rmdir(j->stage);
	j->stage[0] = '\0';
}
