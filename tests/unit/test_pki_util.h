/*
 * test_pki_util.h - an authority in a temporary directory, at a fixed moment, and a site's key and
 * request.
 */
#pragma once

#include "unit/test_util.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pki/internal.h"

#define T0 ((int64_t)1750000000) /* 2025-06-15 15:06:40 UTC */
#define DAY ((int64_t)86400)

static char reason[1024]; /* of the last failure */

/* An empty text for the next failure. */
static inline struct text *why(void)
{
	static struct text t;

	t = TEXT_OF(reason);
	return &t;
}

static inline void assert_reason(const char *part)
{
	if (!strstr(reason, part))
		fail_msg("\"%s\" does not say \"%s\"", reason, part);
}

static inline struct pki_blocks blocks(const char *list)
{
	struct prefix p[PKI_BLOCKS_MAX];
	struct pki_blocks b;
	char copy[4096], *at = copy, *word;
	size_t n = 0;

	assert_true(strlen(list) < sizeof(copy));
	memcpy(copy, list, strlen(list) + 1);
	while ((word = strsep(&at, ",")) != NULL)
		if (*word)
			assert_int_equal(prefix_parse(word, &p[n++]), ST_OK);
	assert_int_equal(pki_blocks_of_prefixes(p, n, &b), ST_OK);
	return b;
}

static inline const char *blocks_str(const struct pki_blocks *b)
{
	static char buf[8192];
	struct text t = TEXT_OF(buf);

	pki_blocks_text(&t, b);
	return buf;
}

static inline struct pki_id ident(const char *s)
{
	struct pki_id id;

	assert_int_equal(pki_id_parse(s, why(), &id), ST_OK);
	return id;
}

static inline struct bytes bytes_from(const struct pki_blob *b)
{
	return bytes_of(b->p, b->n);
}

static inline struct pki_key *new_key(void)
{
	struct pki_key *key;

	assert_int_equal(pki_key_new("ecdsa-p256", why(), &key), ST_OK);
	return key;
}

/* A request of `id` for `wish` ("" for nothing). */
static inline struct pki_blob request(const struct pki_key *key, const char *id, const char *wish)
{
	struct pki_id who = ident(id);
	struct pki_blocks b = blocks(wish);
	struct pki_blob pem;

	assert_int_equal(pki_request_make(key, &who, &b, why(), &pem), ST_OK);
	return pem;
}

/* ---- directories ---- */

static inline char *new_dir(void)
{
	char *dir = strdup("/tmp/test_pki.XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline const char *in(const char *dir, const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static inline void drop_dir(char *dir)
{
	static const char *const names[] = { "ca.key", "ca.pem", "index", "crl.pem", "file" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in(dir, names[i]));
	assert_int_equal(rmdir(dir), 0);
	free(dir);
}

/* An authority "corp" for `domain`; its directory, to be dropped with drop_dir(). */
static inline char *new_ca(const char *domain)
{
	char *dir = new_dir();
	struct pki_ca_plan plan = { .network = "corp",
				    .domain = blocks(domain),
				    .key_type = "ecdsa-p256" };

	assert_int_equal(pki_ca_create(dir, &plan, (wall_t){ T0 }, why()), ST_OK);
	return dir;
}

static inline struct pki_ca *open_ca(const char *dir)
{
	struct pki_ca *ca = NULL;

	if (pki_ca_open(dir, true, why(), &ca) != ST_OK)
		fail_msg("%s", reason);
	return ca;
}

/* Signs a request with a fresh key. */
static inline enum status sign(struct pki_ca *ca, const char *id, const struct pki_grant *grant,
			       int64_t at, struct pki_delivery *ret)
{
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, id, "");
	enum status st = pki_ca_sign(ca, bytes_from(&req), grant, (wall_t){ at }, why(), ret);

	pki_blob_done(&req);
	pki_key_free(key);
	return st;
}

/* The same where nothing but whether it works counts. */
static inline enum status sign_only(struct pki_ca *ca, const char *id, struct pki_grant grant,
				    int64_t at)
{
	struct pki_delivery d;
	enum status st = sign(ca, id, &grant, at, &d);

	if (st == ST_OK)
		pki_delivery_done(&d);
	return st;
}

/* The bundle of a site. */
static inline struct pki_blob site_bundle(struct pki_ca *ca, const char *id, const char *prefixes)
{
	struct pki_grant grant = { .role = PKI_SITE, .blocks = blocks(prefixes) };
	struct pki_delivery d;
	struct pki_blob text;

	if (sign(ca, id, &grant, T0, &d) != ST_OK)
		fail_msg("%s", reason);
	text = d.bundle;
	d.bundle = (struct pki_blob){ 0 };
	pki_delivery_done(&d);
	return text;
}
