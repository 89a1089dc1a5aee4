/*
 * join.h - how `warren join` is divided: join.c decides and writes, join_files.c puts files in
 * place and takes them back, join_start.c starts the daemon.
 *
 *	stage     everything is written into a directory of its own beside its place
 *	check     what the daemon would say about it
 *	install   file by file into place; what was there stays as a copy with the time in its name
 *	start     until the daemon answers
 *
 * Whatever fails, everything is as it was before.
 */
#pragma once

#include "cli/conf.h"
#include "pki/pki.h"

enum {
	JOIN_PATH = 1024, /* of a path, with its end */
	JOIN_FILES = 3, /* key, bundle, configuration: in the order in which they are installed */
};

enum join_file {
	JOIN_KEY,
	JOIN_BUNDLE,
	JOIN_CONF,
};

struct join_place {
	char staged[JOIN_PATH];
	char final[JOIN_PATH];
	char backup[JOIN_PATH]; /* "" when nothing was there */
	bool same; /* what is there already is the same */
	bool installed;
};

struct join {
	const struct cli *cli;
	const char *dir;
	char key[JOIN_PATH]; /* where it comes from */
	char stage[JOIN_PATH]; /* "" when there is none */
	bool made_dir;
	struct pki_bundle *bundle;
	struct join_place place[JOIN_FILES];
};

/* The directories, and what the files will be called. */
MUST enum status join_stage(struct join *j, struct text *why);
MUST enum status join_stage_file(struct join *j, enum join_file which, struct bytes data,
				 struct text *why);

/* ST_REFUSE: other files are there, and --force was not given. */
MUST enum status join_compare(struct join *j, struct text *why);
MUST enum status join_install(struct join *j, struct text *why);
void join_roll_back(struct join *j);
/* What is only for the time of joining. */
void join_clean(struct join *j);

/* Starts the daemon, or makes the one that runs read its configuration again. */
MUST enum status join_start(struct join *j, const char *socket, struct text *why);
