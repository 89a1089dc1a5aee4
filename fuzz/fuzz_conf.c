/* Any bytes as a configuration: it is good or it has errors, never both, and these lie inside the
 * file, in order, as clean text. */
#include <stdlib.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_errors(const struct conf_errors *errs, size_t size)
{
	struct conf_pos last = { 0, 0 };

	for (const struct conf_error *e = errs->head; e; e = e->next) {
		require(e->at.line <= size + 1 && e->at.col <= size + 1);
		require(e->at.line > last.line ||
			(e->at.line == last.line && e->at.col >= last.col));
		last = e->at;
		for (const char *p = e->text; *p; p++)
			require(*p != '\n');
	}
	require(errs->kept <= CONF_ERRORS_MAX && errs->kept <= errs->total);
}

static void check_peer(const struct conf_peer *p)
{
	require(p->name && p->local_id.text.s && p->remote_id.text.s);
	require(p->local_ts.ts.n > 0 && p->local_ts.ts.n == p->local_ts.list.n);
	require(p->remote_ts.ts.n > 0 && p->remote_ts.ts.n == p->remote_ts.list.n);
	require(p->proposals.sa.n > 0 && p->esp_proposals.sa.n > 0);
	require(p->start.v >= 0 && (p->address.n > 0 || p->start.v == CONF_START_LISTEN));
	if (p->auth == CONF_AUTH_CERT)
		require(p->certificate.s && p->key.s && p->trust.n > 0);
	else
		require(p->psk.b.n > 0 || p->psk_file.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_errors errs;
	struct conf *c = NULL;
	enum status st;

	conf_errors_init(&errs, &mem_libc);
	st = conf_parse(&mem_libc, "fuzz", bytes_of(data, size), &errs, &c);
	require(st == ST_OK || st == ST_INVAL || st == ST_NOMEM);
	require((st == ST_OK) == (c != NULL));
	require((st == ST_INVAL) == (errs.total > 0) || st == ST_NOMEM);
	check_errors(&errs, size);
	for (const struct conf_peer *p = c ? c->peers : NULL; p; p = p->next)
		check_peer(p);
	conf_unref(c);
	conf_errors_done(&errs);
	return 0;
}
