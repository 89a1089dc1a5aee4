/*
 * signer.c - the end of the process that handles packets.
 *
 * Requests are queued and written as the socket takes them.  Replies are parsed as they come; those
 * that arrive while somebody waits for a load or a commit are held back and delivered by the next
 * signer_pump(), so that nobody is called in the middle of something else.
 *
 * The descriptor that the host watches is an epoll of two: the socket (for writing too, while
 * something is queued), and an eventfd that says that results are held back.
 */
#include "signer/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plat/child.h"
#include "plat/clock.h"
#include "plat/process.h"

enum {
	READ_MAX = 65536,
	KEEP_MAX = 1 << 20, /* a buffer that grew for a snapshot is given back above that */
	WAIT_MS = 60000, /* for a load: certificates may be on a slow disk */
	END_MS = 2000,
};

/* A frame on its way out. */
struct frame {
	struct list node;
	struct bytes b;
	size_t done;
	int fd; /* goes along; -1: none */
};

struct job {
	struct map_node node;
	uint64_t id;
	enum crypto_job_kind kind;
	uint16_t prf; /* PPK */
};

struct held {
	struct list node;
	uint64_t id;
	struct crypto_result result;
};

/* What a LOAD or COMMIT has brought so far. */
struct waiting {
	enum signer_reply_type type; /* that ends it; 0: nobody waits */
	bool done;
	enum status status;
	uint32_t total;
	struct text *why;
	struct conf_errors *errs;
	struct signer_snapshot *snap;
};

struct signer {
	int fd, epoll, event;
	int pid;
	bool gone;
	bool writing; /* EPOLLOUT is asked for */
	bool ready;
	char warning[256];
	signer_done_fn *done;
	void *ctx;
	struct map jobs; /* by id */
	struct list out;
	struct list held;
	struct waiting waiting;
	struct signer_counts counts;
	uint8_t *buf;
	size_t n, cap;
};

/* ---- the process --------------------------------------------------------------------------- */

static enum status failed(struct text *why, const char *what)
{
	text_fmt(why, "the signer: %s", what);
	plat_errno(why, errno);
	return ST_IO;
}

static enum status watch(struct signer *s, struct text *why)
{
	struct epoll_event in = { .events = EPOLLIN };

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->event < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fd, &in) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->event, &in) < 0)
		return failed(why, "cannot watch its socket");
	return ST_OK;
}

enum status signer_fork(struct text *why, struct signer **ret_signer)
{
	struct signer *s = calloc(1, sizeof(*s));
	uint64_t key[2];
	enum status st;

	if (!s)
		return ST_NOMEM;
	s->fd = s->epoll = s->event = s->pid = -1;
	list_init(&s->out);
	list_init(&s->held);
	plat_random(key, sizeof(key));
	map_init(&s->jobs, &mem_libc, key);
	st = plat_child_fork("warren-signer", SOCK_STREAM, signer_child, why, &s->fd, &s->pid);
	if (st == ST_OK)
		st = watch(s, why);
	if (st == ST_OK)
		*ret_signer = s;
	else
		signer_free(s);
	return st;
}

/* It ends by itself when the socket closes; its pid stays ours until it was waited for. */
static void reap(struct signer *s)
{
	plat_child_await(s->pid, END_MS);
	if (s->pid > 0)
		(void)waitpid(s->pid, NULL, WNOHANG);
}

static void close_all(struct signer *s)
{
	const int fds[] = { s->fd, s->epoll, s->event };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void frame_free(struct frame *f)
{
	list_del(&f->node);
	mem_free_secret(&mem_libc, (void *)(uintptr_t)f->b.p, f->b.n);
	free(f);
}

static void held_free(struct held *h)
{
	list_del(&h->node);
	crypto_result_done(&h->result);
	free(h);
}

static void job_free(struct signer *s, struct job *j)
{
	map_remove(&s->jobs, &j->node);
	free(j);
}

void signer_free(struct signer *s)
{
	struct map_node *n;

	if (!s)
		return;
	close_all(s);
	reap(s);
	while ((n = map_any(&s->jobs)))
		job_free(s, CONTAINER_OF(n, struct job, node));
	map_done(&s->jobs);
	list_for_each_safe(f, &s->out)
		frame_free(CONTAINER_OF(f, struct frame, node));
	list_for_each_safe(h, &s->held)
		held_free(CONTAINER_OF(h, struct held, node));
	free(s->buf);
	free(s);
}

int signer_fd(const struct signer *s)
{
	return s->epoll;
}

int signer_pid(const struct signer *s)
{
	return s->pid;
}

struct signer_counts signer_counts(const struct signer *s)
{
	return s->counts;
}

const char *signer_warning(const struct signer *s)
{
	return s->warning;
}

void signer_on_done(struct signer *s, signer_done_fn *done, void *ctx)
{
	s->done = done;
	s->ctx = ctx;
}

/* How it ended, once: afterwards the pid may be anybody's. */
static enum status gone(struct signer *s, struct text *why)
{
	siginfo_t info = { 0 };

	s->gone = true;
	text_add(why, "the signer process ended");
	plat_child_await(s->pid, END_MS);
	if (s->pid > 0 && waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == s->pid) {
		s->pid = -1;
		text_fmt(why, info.si_code == CLD_EXITED ? " with exit code %d" : " by signal %d",
			 info.si_status);
	}
	return ST_IO;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void want_write(struct signer *s, bool yes)
{
	struct epoll_event ev = { .events = yes ? EPOLLIN | EPOLLOUT : EPOLLIN };

	if (yes != s->writing && epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->fd, &ev) == 0)
		s->writing = yes;
}

static ssize_t send_frame(const struct signer *s, const struct frame *f)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)(f->b.p + f->done), f->b.n - f->done };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (f->fd >= 0 && f->done == 0) {
		h.msg_control = control.buf;
		h.msg_controllen = sizeof(control.buf);
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.align), &f->fd, sizeof(f->fd));
	}
	return sendmsg(s->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* As much as the socket takes. */
static enum status flush(struct signer *s, struct text *why)
{
	while (!list_empty(&s->out)) {
		struct frame *f = CONTAINER_OF(s->out.next, struct frame, node);
		ssize_t n = send_frame(s, f);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return gone(s, why);
		f->done += (size_t)n;
		if (f->done == f->b.n)
			frame_free(f);
	}
	want_write(s, !list_empty(&s->out));
	return ST_OK;
}

/* Queues it; what fails is seen by the next pump.  `fd` stays the caller's, and open until it was
 * sent. */
static enum status request_with(struct signer *s, const struct signer_request *r, int fd)
{
	struct frame *f = calloc(1, sizeof(*f));
	enum status st = f ? signer_make_request(r, &f->b) : ST_NOMEM;

	if (st != ST_OK) {
		free(f);
		return st;
	}
	f->fd = fd;
	list_add_tail(&s->out, &f->node);
	want_write(s, true);
	return ST_OK;
}

static enum status request(struct signer *s, const struct signer_request *r)
{
	return request_with(s, r, -1);
}

/* ---- replies ------------------------------------------------------------------------------- */

static uint64_t hash_id(const struct signer *s, uint64_t id)
{
	return map_hash(&s->jobs, bytes_of(&id, sizeof(id)));
}

static bool has_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct job, node)->id == *(const uint64_t *)key;
}

static struct job *find_job(const struct signer *s, uint64_t id)
{
	struct map_node *n = map_find(&s->jobs, hash_id(s, id), has_id, &id);

	return n ? CONTAINER_OF(n, struct job, node) : NULL;
}

static void copy_text(char *to, size_t cap, struct bytes from)
{
	size_t n = from.n < cap ? from.n : cap - 1;

	if (n)
		memcpy(to, from.p, n);
	to[n] = '\0';
}

static enum status to_keys(struct bytes data, uint16_t prf, struct crypto_ppk_keys *ret)
{
	struct cur c = cur_of(data);
	size_t n = crypto_prf_len(prf);

	if (!signer_keys_ok(data, prf) || !secret_set(&ret->d, cur_take(&c, n)) ||
	    !secret_set(&ret->pi, cur_take(&c, n)) || !secret_set(&ret->pr, cur_take(&c, n)))
		return ST_DROP;
	return ST_OK;
}

static enum status to_token(struct bytes data, uint8_t ret[CRYPTO_QCD_LEN])
{
	if (data.n != CRYPTO_QCD_LEN)
		return ST_DROP;
	memcpy(ret, data.p, CRYPTO_QCD_LEN);
	return ST_OK;
}

static enum status to_result(const struct signer_reply *r, const struct job *j,
			     struct crypto_result *ret)
{
	*ret = (struct crypto_result){ .kind = j->kind, .status = r->status };
	copy_text(ret->reason, sizeof(ret->reason), r->text);
	if (r->status != ST_OK)
		return ST_OK;
	if (j->kind == CRYPTO_JOB_PPK)
		return to_keys(r->data, j->prf, &ret->ppk);
	if (j->kind == CRYPTO_JOB_QCD)
		return to_token(r->data, ret->qcd);
	copy_text(ret->auth.how, sizeof(ret->auth.how), r->how);
	ret->auth.method = r->method;
	ret->auth.len = (uint16_t)r->data.n;
	memcpy(ret->auth.data, r->data.p, r->data.n);
	return ST_OK;
}

/* Kept for the next pump, whose descriptor becomes readable; false without memory. */
static bool hold(struct signer *s, uint64_t id, const struct crypto_result *result)
{
	const uint64_t one = 1;
	struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return false;
	h->id = id;
	h->result = *result;
	list_add_tail(&s->held, &h->node);
	return write(s->event, &one, sizeof(one)) == sizeof(one);
}

static void count(struct signer *s, enum signer_refusal refusal)
{
	switch (refusal) {
	case SIGNER_GRANTED: s->counts.done++; break;
	case SIGNER_UNKNOWN: s->counts.unknown++; break;
	case SIGNER_SHAPE: s->counts.shape++; break;
	case SIGNER_RATE: s->counts.rate++; break;
	case SIGNER_FAILED: s->counts.failed++; break;
	}
}

static enum status on_result(struct signer *s, const struct signer_reply *r)
{
	struct job *j = find_job(s, r->id);
	struct crypto_result result;
	enum status st;

	count(s, r->refusal);
	if (!j)
		return ST_OK; /* cancelled meanwhile */
	st = to_result(r, j, &result);
	if (st != ST_OK)
		return st;
	job_free(s, j);
	if (s->waiting.type) {
		(void)!hold(s, r->id, &result);
	} else if (s->done) {
		s->done(s->ctx, r->id, &result);
	}
	crypto_result_done(&result);
	return ST_OK;
}

static enum status on_file(struct waiting *w, const struct signer_reply *r)
{
	char path[SIGNER_PATH_MAX + 1];

	if (!w->snap)
		return ST_DROP;
	copy_text(path, sizeof(path), r->path);
	return snapshot_add(w->snap, path, r->data);
}

static enum status on_error(struct waiting *w, const struct signer_reply *r)
{
	if (!w->errs)
		return ST_DROP;
	conf_error_add(w->errs, r->at, "%.*s", (int)r->text.n, (const char *)r->text.p);
	return ST_OK;
}

static enum status on_end(struct waiting *w, const struct signer_reply *r)
{
	if (w->type != r->type || w->done)
		return ST_DROP;
	w->done = true;
	w->status = r->status;
	w->total = r->total;
	if (r->text.n)
		text_fmt(w->why, "%.*s", (int)r->text.n, (const char *)r->text.p);
	return ST_OK;
}

/* Once, before anything else: whether its sandbox stands. */
static enum status on_ready(struct signer *s, const struct signer_reply *r, struct text *why)
{
	if (s->ready)
		return ST_DROP;
	s->ready = true;
	copy_text(s->warning, sizeof(s->warning), r->text);
	if (r->status == ST_OK)
		return ST_OK;
	text_fmt(why, "the signer process could not start: %.*s", (int)r->text.n,
		 (const char *)r->text.p);
	return ST_IO;
}

static enum status dispatch(struct signer *s, const struct signer_reply *r, struct text *why)
{
	switch (r->type) {
	case SIGNER_READY: return on_ready(s, r, why);
	case SIGNER_FILE: return on_file(&s->waiting, r);
	case SIGNER_ERROR: return on_error(&s->waiting, r);
	case SIGNER_LOADED:
	case SIGNER_STATED:
	case SIGNER_COMMITTED: return on_end(&s->waiting, r);
	case SIGNER_RESULT: return on_result(s, r);
	}
	return ST_DROP;
}

/* One that cannot be trusted to speak cannot be trusted to sign. */
static enum status distrust(struct signer *s, enum status st, struct text *why)
{
	s->gone = true;
	if (st == ST_NOMEM)
		text_add(why, "out of memory while the signer answered");
	else if (st != ST_IO)
		text_add(why, "the signer process sent what it should not");
	return ST_IO;
}

static enum status take_frames(struct signer *s, struct text *why)
{
	enum status st = ST_OK;
	size_t done = 0;

	while (st == ST_OK) {
		struct signer_reply r;
		struct bytes frame;
		size_t used;

		st = signer_frame(bytes_of(s->buf + done, s->n - done), SIGNER_REPLY_MAX, &frame,
				  &used);
		if (st != ST_OK)
			break;
		done += used;
		st = signer_parse_reply(frame, &r);
		if (st == ST_OK)
			st = dispatch(s, &r, why);
	}
	memmove(s->buf, s->buf + done, s->n - done);
	s->n -= done;
	wipe(s->buf + s->n, done); /* there were keys of SAs */
	return st == ST_AGAIN ? ST_OK : distrust(s, st, why);
}

static enum status make_room(struct signer *s)
{
	size_t cap = s->cap;
	uint8_t *p;

	/* A snapshot is over: its buffer, too. */
	if (s->n == 0 && cap > KEEP_MAX && !s->waiting.type)
		cap = 0;
	while (cap - s->n < READ_MAX)
		cap = cap ? 2 * cap : READ_MAX;
	if (cap == s->cap)
		return ST_OK;
	p = realloc(s->buf, cap);
	if (!p)
		return ST_NOMEM;
	s->buf = p;
	s->cap = cap;
	return ST_OK;
}

/* Until the socket is empty. */
static enum status receive(struct signer *s, struct text *why)
{
	for (;;) {
		enum status st = make_room(s);
		ssize_t n;

		if (st != ST_OK)
			return distrust(s, st, why);
		n = recv(s->fd, s->buf + s->n, s->cap - s->n, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return ST_OK;
		if (n <= 0)
			return gone(s, why);
		s->n += (size_t)n;
		st = take_frames(s, why);
		if (st != ST_OK)
			return st;
	}
}

static void deliver_held(struct signer *s)
{
	uint64_t ignored;

	(void)!read(s->event, &ignored, sizeof(ignored));
	while (!list_empty(&s->held)) {
		struct held *h = CONTAINER_OF(s->held.next, struct held, node);

		list_del(&h->node);
		if (s->done)
			s->done(s->ctx, h->id, &h->result);
		held_free(h);
	}
}

enum status signer_pump(struct signer *s, struct text *why)
{
	enum status st;

	if (s->gone) {
		text_add(why, "the signer process is gone");
		return ST_IO;
	}
	deliver_held(s);
	st = flush(s, why);
	return st == ST_OK ? receive(s, why) : st;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

/* Nothing was sent; the result comes all the same. */
static void fail_job(struct signer *s, uint64_t id, enum crypto_job_kind kind, enum status st,
		     const char *reason)
{
	struct crypto_result r = { .kind = kind, .status = st };

	snprintf(r.reason, sizeof(r.reason), "%s", reason);
	if (!hold(s, id, &r) && s->done)
		s->done(s->ctx, id, &r);
}

static enum status send_keys(struct signer *s, uint64_t id, const char *name,
			     const struct crypto_ppk_in *in)
{
	struct signer_request r = {
		.type = SIGNER_PPK, .id = id, .name = bytes_str(name), .prf = in->prf
	};
	uint8_t keys[3 * SECRET_MAX];
	struct wr w = wr_of(keys, sizeof(keys));
	enum status st;

	wr_put(&w, secret_bytes(&in->keys.d));
	wr_put(&w, secret_bytes(&in->keys.pi));
	wr_put(&w, secret_bytes(&in->keys.pr));
	r.octets = wr_bytes_of(&w);
	st = request(s, &r);
	wipe(keys, sizeof(keys));
	return st;
}

static enum status send_job(struct signer *s, uint64_t id, const char *name,
			    const struct crypto_job *job)
{
	struct signer_request r = { .type = SIGNER_PSK, .id = id, .name = bytes_str(name) };

	if (job->kind == CRYPTO_JOB_PPK)
		return send_keys(s, id, name, &job->in.ppk);
	if (job->kind == CRYPTO_JOB_QCD)
		return request(s, &(struct signer_request){ .type = SIGNER_QCD,
							    .id = id,
							    .spi_i = job->in.qcd.spi_i,
							    .spi_r = job->in.qcd.spi_r });
	if (job->kind == CRYPTO_JOB_PSK_AUTH) {
		r.prf = job->in.psk.prf;
		r.octets = job->in.psk.octets;
	} else {
		r.type = SIGNER_SIGN;
		r.method = job->in.sign.method;
		r.hashes = job->in.sign.peer_hashes;
		r.octets = job->in.sign.octets;
	}
	return request(s, &r);
}

static enum status add_job(struct signer *s, uint64_t id, const struct crypto_job *job,
			   const char *name)
{
	struct job *j = calloc(1, sizeof(*j));
	enum status st;

	if (!j)
		return ST_NOMEM;
	st = send_job(s, id, name, job);
	if (st != ST_OK) {
		free(j);
		return st;
	}
	j->id = id;
	j->kind = job->kind;
	j->prf = job->kind == CRYPTO_JOB_PPK ? job->in.ppk.prf : 0;
	map_insert(&s->jobs, &j->node, hash_id(s, id));
	return ST_OK;
}

/* 0: no kind of job that is done here. */
static crypto_ref ref_of(const struct crypto_job *job)
{
	switch (job->kind) {
	case CRYPTO_JOB_SIGN: return job->in.sign.key;
	case CRYPTO_JOB_PSK_AUTH: return job->in.psk.psk;
	case CRYPTO_JOB_PPK: return job->in.ppk.ppk;
	default: return 0;
	}
}

void signer_job(struct signer *s, uint64_t id, const struct crypto_store *store,
		struct crypto_job *job)
{
	crypto_ref ref = ref_of(job);
	const char *name = store && ref ? crypto_store_name(store, ref) : NULL;
	enum crypto_job_kind kind = job->kind;
	enum status st = ST_BUG;

	if (name || kind == CRYPTO_JOB_QCD)
		st = add_job(s, id, job, name ? name : "");
	crypto_job_free(job);
	if (st == ST_BUG)
		fail_job(s, id, kind, ST_BUG, "no key of that reference, or octets too long");
	else if (st != ST_OK)
		fail_job(s, id, kind, st, "out of memory");
}

void signer_cancel(struct signer *s, uint64_t id)
{
	struct job *j = find_job(s, id);

	if (j)
		job_free(s, j);
	list_for_each_safe(n, &s->held) {
		struct held *h = CONTAINER_OF(n, struct held, node);

		if (h->id == id)
			held_free(h);
	}
}

void signer_note_socket(struct signer *s)
{
	(void)!request(s, &(struct signer_request){ .type = SIGNER_SOCKET });
}

/* ---- waiting ------------------------------------------------------------------------------- */

static enum status wait_once(struct signer *s, mono_t until, struct text *why)
{
	struct pollfd p = { .fd = s->fd,
			    .events = (short)(POLLIN | (list_empty(&s->out) ? 0 : POLLOUT)) };
	int64_t ms = dur_to_ms(mono_since(until, plat_mono()));
	enum status st;

	if (ms <= 0) {
		text_add(why, "the signer process does not answer");
		return ST_IO;
	}
	if (poll(&p, 1, (int)ms) < 0 && errno != EINTR)
		return failed(why, "cannot wait for it");
	st = flush(s, why);
	return st == ST_OK ? receive(s, why) : st;
}

/* `s->waiting` says for what; it is over afterwards. */
static enum status wait_for(struct signer *s, const struct signer_request *r, struct text *why)
{
	mono_t until = mono_add(plat_mono(), dur_ms(WAIT_MS));
	enum status st = request(s, r);

	s->waiting.why = why;
	while (st == ST_OK && !s->waiting.done)
		st = wait_once(s, until, why);
	return st;
}

enum status signer_state(struct signer *s, int fd, struct text *why)
{
	mono_t until = mono_add(plat_mono(), dur_ms(WAIT_MS));
	enum status st = request_with(s, &(struct signer_request){ .type = SIGNER_STATE }, fd);

	s->waiting = (struct waiting){ .type = SIGNER_STATED, .why = why };
	while (st == ST_OK && !s->waiting.done)
		st = wait_once(s, until, why);
	if (st == ST_OK)
		st = s->waiting.status;
	s->waiting = (struct waiting){ 0 };
	return st;
}

static enum status name_errors(struct conf_errors *errs, const char *path)
{
	struct bytes copy;

	if (arena_dup(&errs->ar, bytes_of(path, strlen(path) + 1), &copy) != ST_OK)
		return ST_NOMEM;
	errs->file = (const char *)copy.p;
	return ST_OK;
}

static enum status load(struct signer *s, const char *path, struct text *why)
{
	const struct signer_request r = { .type = SIGNER_LOAD, .path = bytes_str(path) };
	enum status st = wait_for(s, &r, why);
	struct conf_errors *errs = s->waiting.errs;

	if (st != ST_OK)
		return st;
	/* Those that were too many to be sent count. */
	if (s->waiting.total > errs->total)
		errs->total = s->waiting.total;
	return s->waiting.status;
}

enum status signer_load(struct signer *s, const char *path, struct conf_errors *errs,
			struct text *why, struct signer_snapshot **ret_snap)
{
	struct signer_snapshot *snap;
	enum status st = *path && strlen(path) <= SIGNER_PATH_MAX ? ST_OK : ST_INVAL;

	if (st != ST_OK) {
		text_add(why, "the path of the configuration is empty or too long");
		return st;
	}
	st = name_errors(errs, path);
	if (st == ST_OK)
		st = snapshot_new(&snap);
	if (st != ST_OK)
		return st;
	s->waiting = (struct waiting){ .type = SIGNER_LOADED, .errs = errs, .snap = snap };
	st = load(s, path, why);
	s->waiting = (struct waiting){ 0 };
	if (st == ST_OK)
		*ret_snap = snap;
	else
		signer_snapshot_free(snap);
	return st;
}

enum status signer_commit(struct signer *s, struct text *why)
{
	const struct signer_request r = { .type = SIGNER_COMMIT };
	enum status st;

	s->waiting = (struct waiting){ .type = SIGNER_COMMITTED };
	st = wait_for(s, &r, why);
	if (st == ST_OK)
		st = s->waiting.status;
	s->waiting = (struct waiting){ 0 };
	return st;
}
