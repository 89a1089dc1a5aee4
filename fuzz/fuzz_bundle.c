/*
 * Everything of module pki that reads bytes of others: bundles, manifests, requests, certificates,
 * and the authority's index.  Each reader gets every input.  What the strict ones accept they must
 * write the same.
 */
#include <stdlib.h>

#include "pki/internal.h"

#define MUST_HOLD(x)                                                                               \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char said[1024];

/* A refusal has a reason. */
static enum status judged(enum status st, const struct text *why)
{
	MUST_HOLD(st == ST_OK || (st == ST_INVAL && why->n > 0));
	return st;
}

static void bundle(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct pki_bundle *b;

	if (judged(pki_bundle_read(in, NULL, &why, &b), &why) != ST_OK)
		return;
	MUST_HOLD(b->cert.n > 0 && b->anchor.n > 0 && b->manifest.n_domain > 0 && b->blocks.n > 0);
	pki_bundle_free(b);
}

/* One key for all inputs; its signatures do not matter here. */
static struct pki_key *a_key(void)
{
	static struct pki_key *key;
	struct text why = TEXT_OF(said);

	MUST_HOLD(key || pki_key_new(NULL, &why, &key) == ST_OK);
	return key;
}

static void manifest(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct manifest_parts p, q;
	struct pki_blob again;

	if (judged(manifest_parse(in, &why, &p), &why) != ST_OK)
		return;
	MUST_HOLD(manifest_make(&p.m, a_key()->pkey, &why, &again) == ST_OK);
	MUST_HOLD(manifest_parse(pki_blob_bytes(&again), &why, &q) == ST_OK);
	MUST_HOLD(bytes_eq(p.body, q.body));
	pki_blob_done(&again);
}

static void request(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct pki_request_info info;

	(void)!judged(pki_request_read(in, &why, &info), &why);
}

static void canonical(const struct pki_blocks *b)
{
	struct prefix p[PKI_BLOCKS_MAX];
	size_t n = pki_blocks_prefixes(b, p, ARRAY_LEN(p));
	struct pki_blocks again;

	MUST_HOLD(pki_blocks_have(b, b) && pki_blocks_overlap(b, b) == (b->n > 0));
	if (n == 0)
		return;
	MUST_HOLD(pki_blocks_of_prefixes(p, n, &again) == ST_OK && again.n == b->n);
	MUST_HOLD(memcmp(again.range, b->range, b->n * sizeof(b->range[0])) == 0);
}

static void certificate(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct pki_cert_info info;
	struct pki_blocks b;

	if (judged(pki_blocks_of_cert(in, &why, &b), &why) == ST_OK)
		canonical(&b);
	why = TEXT_OF(said);
	(void)!judged(pki_cert_read_der(in, &why, &info), &why);
	why = TEXT_OF(said);
	(void)!judged(pki_cert_read_pem(in, &why, &info), &why);
}

/* CR LF is read and not written, and nothing else. */
static void list(struct bytes in)
{
	struct text why = TEXT_OF(said);
	struct pki_blob again;
	struct index x;

	if (judged(index_parse(in, &why, &x), &why) != ST_OK)
		return;
	MUST_HOLD(index_print(&x, &again) == ST_OK && again.n <= in.n);
	MUST_HOLD(again.n < in.n || bytes_eq(pki_blob_bytes(&again), in));
	pki_blob_done(&again);
	index_done(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes in = bytes_of(data, n);

	bundle(in);
	manifest(in);
	request(in);
	certificate(in);
	list(in);
	return 0;
}
