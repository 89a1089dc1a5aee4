/*
 * Any bytes as what the signer sends, and as a file that it read: replies are written back to the
 * same bytes, snapshots keep within their bounds, and what is made public of a file has no private
 * key in it, comes from it, and is the same the second time.
 */
#include <stdlib.h>

#include "signer/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void keep_file(struct signer_snapshot *s, const struct signer_reply *r)
{
	char path[SIGNER_PATH_MAX + 1];

	require(r->path.n > 0 && r->path.n <= SIGNER_PATH_MAX);
	memcpy(path, r->path.p, r->path.n);
	path[r->path.n] = '\0';
	(void)!snapshot_add(s, path, r->data);
	require(snapshot_find(s, path) != NULL);
}

static void check_reply(struct signer_snapshot *s, struct bytes frame)
{
	struct signer_reply r;
	struct bytes again;

	if (signer_parse_reply(frame, &r) != ST_OK)
		return;
	require(signer_make_reply(&r, &again) == ST_OK);
	require(bytes_eq(bytes_of(again.p + 4, again.n - 4), frame));
	free((void *)(uintptr_t)again.p);
	if (r.type == SIGNER_FILE)
		keep_file(s, &r);
	if (r.type == SIGNER_RESULT)
		require((r.status == ST_OK) == (r.data.n > 0));
}

static void check_public(struct bytes file)
{
	static const char begin[] = "-----BEGIN PRIVATE KEY-----";
	struct bytes out, again;

	require(public_form(file, &out) == ST_OK);
	require(out.n <= file.n);
	require(!memmem(out.p, out.n, begin, sizeof(begin) - 1));
	require(public_form(out, &again) == ST_OK);
	require(bytes_eq(out, again));
	free((void *)(uintptr_t)out.p);
	free((void *)(uintptr_t)again.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes stream = { data, size }, frame;
	struct signer_snapshot *s;
	size_t used;

	check_public(stream);
	require(snapshot_new(&s) == ST_OK);
	while (signer_frame(stream, SIGNER_REPLY_MAX, &frame, &used) == ST_OK) {
		require(used == frame.n + 4 && used <= stream.n);
		check_reply(s, frame);
		stream = bytes_of(stream.p + used, stream.n - used);
	}
	signer_snapshot_free(s);
	return 0;
}
