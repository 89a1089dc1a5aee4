#include "signer/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/process.h"

/* A loaded configuration, as far as the signer needs it. */
struct secrets {
	struct crypto_store *store;
	char *control; /* path of the control socket */
};

struct service {
	service_write_fn *write;
	void *ctx;
	uint64_t redact[2]; /* the same for all loads: equal secrets look equal */
	struct signer_rate rate;
	struct signer_rate qcd_rate;
	struct secret qcd; /* empty: none */
	int descriptor; /* that came last; -1: none */
	bool stated;
	char *path; /* of the configuration, as it was first told */
	struct secrets current, staged;
	/* SOCKET: what to remove at the end. */
	char *control;
	int held; /* that file, so that its number is nobody else's; -1: none */
};

static void secrets_done(struct secrets *x)
{
	crypto_store_free(x->store);
	free(x->control);
	*x = (struct secrets){ 0 };
}

enum status service_new(service_write_fn *write, void *ctx, struct service **ret_service)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->write = write;
	s->ctx = ctx;
	s->held = s->descriptor = -1;
	plat_random(s->redact, sizeof(s->redact));
	*ret_service = s;
	return ST_OK;
}

static enum status answer(struct service *s, const struct signer_reply *r)
{
	struct bytes frame;
	enum status st = signer_make_reply(r, &frame);

	if (st != ST_OK)
		return st;
	st = s->write(s->ctx, frame);
	mem_free_secret(&mem_libc, (void *)(uintptr_t)frame.p, frame.n);
	return st;
}

/* ---- loading ------------------------------------------------------------------------------- */

static struct bytes cut(const char *text, size_t max)
{
	return bytes_of(text, strnlen(text, max));
}

static enum status send_errors(struct service *s, const struct conf_errors *errs)
{
	enum status st = ST_OK;

	for (const struct conf_error *e = errs->head; st == ST_OK && e; e = e->next)
		st = answer(s, &(struct signer_reply){ .type = SIGNER_ERROR,
						       .at = e->at,
						       .text = cut(e->text, SIGNER_TEXT_MAX) });
	return st;
}

static enum status send_files(struct service *s, const struct signer_snapshot *snap)
{
	enum status st = ST_OK;

	for (const struct signer_file *f = snap->first; st == ST_OK && f; f = f->next)
		st = answer(s, &(struct signer_reply){ .type = SIGNER_FILE,
						       .path = bytes_str(f->path),
						       .data = bytes_of(f->p, f->n) });
	return st;
}

static enum status stage(struct service *s, struct crypto_store *store, const struct conf *conf)
{
	char *control = conf->control.s ? strdup(conf->control.s) : NULL;

	if (conf->control.s && !control)
		return ST_NOMEM;
	if (s->qcd.n && crypto_store_set_qcd(store, secret_bytes(&s->qcd)) != ST_OK) {
		free(control);
		return ST_BUG;
	}
	s->staged = (struct secrets){ crypto_store_ref(store), control };
	return ST_OK;
}

/* Everything that the file names is read, kept and made public. */
static enum status load_into(struct service *s, const char *path, struct crypto_store *store,
			     struct signer_snapshot *snap, struct conf_errors *errs)
{
	struct conf_source source = snapshot_recorder(snap);
	struct conf_creds *creds = NULL;
	struct conf *conf = NULL;
	enum status st = conf_open(&mem_libc, &source, path, store, errs, &conf, &creds);

	if (st == ST_OK)
		st = public_all(snap, path, conf, creds, store, s->redact);
	if (st == ST_OK)
		st = stage(s, store, conf);
	conf_creds_free(creds);
	conf_unref(conf);
	return st;
}

static enum status report_load(struct service *s, const struct signer_snapshot *snap,
			       const struct conf_errors *errs, enum status st)
{
	const char *text = st == ST_NOMEM ? "out of memory, or more files than there may be" : "";
	enum status sent = st == ST_OK ? send_files(s, snap) : send_errors(s, errs);

	if (sent != ST_OK)
		return sent;
	return answer(s, &(struct signer_reply){ .type = SIGNER_LOADED,
						 .status = st,
						 .total = (uint32_t)errs->total,
						 .text = bytes_str(text) });
}

static enum status load(struct service *s, const char *path)
{
	struct signer_snapshot *snap = NULL;
	struct crypto_store *store = NULL;
	struct conf_errors errs;
	enum status st = snapshot_new(&snap);

	conf_errors_init(&errs, &mem_libc);
	secrets_done(&s->staged);
	if (st == ST_OK)
		st = crypto_store_new(&store);
	if (st == ST_OK)
		st = load_into(s, path, store, snap, &errs);
	st = report_load(s, snap, &errs, st);
	conf_errors_done(&errs);
	crypto_store_free(store);
	signer_snapshot_free(snap);
	return st;
}

/* The first one comes before any packet did.  Who asks for another file has taken over the other
 * process, and wants to read, as root, what stands there, or in a file that one of his own names.
 */
static enum status load_request(struct service *s, const struct signer_request *r)
{
	if (!s->path) {
		s->path = strndup((const char *)r->path.p, r->path.n);
		if (!s->path)
			return ST_NOMEM;
	}
	if (!bytes_eq(r->path, bytes_str(s->path)))
		return ST_DROP;
	return load(s, s->path);
}

static enum status commit(struct service *s)
{
	bool there = s->staged.store != NULL;

	if (there) {
		secrets_done(&s->current);
		s->current = s->staged;
		s->staged = (struct secrets){ 0 };
	}
	return answer(
		s, &(struct signer_reply){ .type = SIGNER_COMMITTED,
					   .status = there ? ST_OK : ST_INVAL,
					   .text = bytes_str(there ? "" : "nothing was loaded") });
}

/* ---- what outlives us ----------------------------------------------------------------------- */

void service_descriptor(struct service *s, int fd)
{
	if (s->descriptor >= 0)
		close(s->descriptor);
	s->descriptor = fd;
}

/* Once, before packets come: who has taken over the other process later can give us no secret that
 * he knows. */
static enum status state(struct service *s)
{
	char buf[512];
	struct text why = TEXT_OF(buf);
	enum status st;

	if (s->stated || s->descriptor < 0 || !s->current.store)
		return ST_DROP;
	buf[0] = '\0';
	st = qcd_file(s->descriptor, &s->qcd, &why);
	service_descriptor(s, -1);
	if (st == ST_OK)
		st = crypto_store_set_qcd(s->current.store, secret_bytes(&s->qcd));
	s->stated = st == ST_OK;
	return answer(s, &(struct signer_reply){
				 .type = SIGNER_STATED, .status = st, .text = bytes_str(buf) });
}

/* ---- the control socket -------------------------------------------------------------------- */

static void forget_socket(struct service *s)
{
	if (s->held >= 0)
		close(s->held);
	free(s->control);
	s->held = -1;
	s->control = NULL;
}

/* The other process made it in a directory where it can remove nothing any more. */
static void note_socket(struct service *s)
{
	forget_socket(s);
	if (!s->current.control)
		return;
	s->control = strdup(s->current.control);
	s->held = open(s->current.control, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static void remove_socket(const struct service *s)
{
	struct stat there, ours;

	if (s->control && s->held >= 0 && lstat(s->control, &there) == 0 &&
	    fstat(s->held, &ours) == 0 && S_ISSOCK(there.st_mode) && there.st_dev == ours.st_dev &&
	    there.st_ino == ours.st_ino)
		unlink(s->control);
}

void service_free(struct service *s)
{
	if (!s)
		return;
	remove_socket(s);
	forget_socket(s);
	service_descriptor(s, -1);
	secrets_done(&s->current);
	secrets_done(&s->staged);
	free(s->path);
	wipe(s, sizeof(*s));
	free(s);
}

/* ---- AUTH ---------------------------------------------------------------------------------- */

static enum status refuse(struct service *s, uint64_t id, enum signer_refusal why, const char *text)
{
	return answer(s, &(struct signer_reply){ .type = SIGNER_RESULT,
						 .id = id,
						 .status = ST_IO,
						 .refusal = why,
						 .text = bytes_str(text) });
}

static struct bytes put_keys(const struct crypto_ppk_keys *k, uint8_t buf[3 * CRYPTO_PRF_MAX])
{
	struct wr w = wr_of(buf, 3 * CRYPTO_PRF_MAX);

	wr_put(&w, secret_bytes(&k->d));
	wr_put(&w, secret_bytes(&k->pi));
	wr_put(&w, secret_bytes(&k->pr));
	return wr_bytes_of(&w);
}

/* What comes of a job, in `keys` if it is in several places. */
static struct bytes output(const struct crypto_result *r, uint8_t keys[3 * CRYPTO_PRF_MAX])
{
	switch (r->kind) {
	case CRYPTO_JOB_PPK: return put_keys(&r->ppk, keys);
	case CRYPTO_JOB_QCD: return BYTES_OF(r->qcd);
	default: return bytes_of(r->auth.data, r->auth.len);
	}
}

static enum status compute(struct service *s, uint64_t id, const struct crypto_job *job)
{
	uint8_t keys[3 * CRYPTO_PRF_MAX];
	struct crypto_result r;
	enum status st;

	crypto_openssl_run(s->current.store, job, &r);
	if (r.status == ST_OK)
		st = answer(s,
			    &(struct signer_reply){ .type = SIGNER_RESULT,
						    .id = id,
						    .method = r.auth.method,
						    .how = cut(r.auth.how, sizeof(r.auth.how) - 1),
						    .data = output(&r, keys) });
	else
		st = answer(s, &(struct signer_reply){ .type = SIGNER_RESULT,
						       .id = id,
						       .status = r.status,
						       .refusal = SIGNER_FAILED,
						       .text = cut(r.reason, sizeof(r.reason)) });
	wipe(keys, sizeof(keys));
	crypto_result_done(&r);
	return st;
}

static crypto_ref find_key(const struct service *s, struct bytes name)
{
	char text[SIGNER_NAME_MAX + 1];

	if (!s->current.store)
		return 0;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return crypto_store_find(s->current.store, text);
}

static enum status no_key(struct service *s, uint64_t id)
{
	return refuse(s, id, SIGNER_UNKNOWN,
		      "the signer has no such key: it is not in the configuration any more");
}

static enum status too_many(struct service *s, uint64_t id)
{
	return refuse(s, id, SIGNER_RATE,
		      "the signer was asked for more signatures than it gives in a second");
}

/* In the order that tells most: who may ask at all, what for, how often. */
static enum status auth(struct service *s, const struct signer_request *r)
{
	bool psk = r->type == SIGNER_PSK;
	crypto_ref key = find_key(s, r->name);
	struct crypto_job job = { .kind = psk ? CRYPTO_JOB_PSK_AUTH : CRYPTO_JOB_SIGN };

	if (!key)
		return no_key(s, r->id);
	if (!signer_octets_ok(r->octets, psk ? r->prf : 0))
		return refuse(s, r->id, SIGNER_SHAPE,
			      "the signer authenticates IKE_SA_INIT messages and nothing else");
	if (!signer_rate_take(&s->rate, plat_mono()))
		return too_many(s, r->id);
	if (psk)
		job.in.psk = (struct crypto_psk_in){ key, r->prf, r->octets };
	else
		job.in.sign = (struct crypto_sign_in){ key, r->method, r->hashes, r->octets };
	return compute(s, r->id, &job);
}

/* What comes out tells nothing of the PPK, and nothing of an SA to who has not its keys already. */
static enum status mix(struct service *s, const struct signer_request *r)
{
	struct crypto_job job = { .kind = CRYPTO_JOB_PPK };
	struct cur c = cur_of(r->octets);
	size_t n = crypto_prf_len(r->prf);
	struct crypto_ppk_in *in = &job.in.ppk;
	enum status st;

	*in = (struct crypto_ppk_in){ .ppk = find_key(s, r->name), .prf = r->prf };
	if (!in->ppk)
		return no_key(s, r->id);
	if (!signer_keys_ok(r->octets, r->prf))
		return refuse(s, r->id, SIGNER_SHAPE,
			      "the signer mixes SK_d, SK_pi and SK_pr with a PPK and nothing else");
	if (!signer_rate_take(&s->rate, plat_mono()))
		return too_many(s, r->id);
	if (!secret_set(&in->keys.d, cur_take(&c, n)) ||
	    !secret_set(&in->keys.pi, cur_take(&c, n)) ||
	    !secret_set(&in->keys.pr, cur_take(&c, n)))
		return ST_BUG;
	st = compute(s, r->id, &job);
	wipe(&job, sizeof(job));
	return st;
}

/* What comes out tells nothing but to who has the SPIs, and of the secret nothing. */
static enum status token(struct service *s, const struct signer_request *r)
{
	const struct crypto_job job = { .kind = CRYPTO_JOB_QCD, .in.qcd = { r->spi_i, r->spi_r } };

	if (!s->qcd.n)
		return refuse(s, r->id, SIGNER_UNKNOWN, "the signer has no secret for QCD tokens");
	if (!signer_rate_take(&s->qcd_rate, plat_mono()))
		return too_many(s, r->id);
	return compute(s, r->id, &job);
}

enum status service_frame(struct service *s, struct bytes frame)
{
	struct signer_request r;
	enum status st = signer_parse_request(frame, &r);

	if (st != ST_OK)
		return st;
	switch (r.type) {
	case SIGNER_LOAD: return load_request(s, &r);
	case SIGNER_COMMIT: return commit(s);
	case SIGNER_SOCKET: note_socket(s); return ST_OK;
	case SIGNER_SIGN:
	case SIGNER_PSK: return auth(s, &r);
	case SIGNER_PPK: return mix(s, &r);
	case SIGNER_QCD: return token(s, &r);
	case SIGNER_STATE: return state(s);
	}
	return ST_DROP;
}
