/*
 * store.c - the queue, the thread that empties it, and what is done about an ill store.
 *
 * What both threads touch is below `lock`: the queue, the results, the state, the counts.  The open
 * file belongs to the store's thread alone.
 */
#include "store/internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	PATH_MAX_LEN = 4096,
	RETRY_GROWTH = 8, /* times the first interval: the longest */
	/* What reads as damaged may be the disk's trouble all the same, so even a file that nobody
	 * has touched is judged again, but seldom: that reads all of it. */
	JUDGED_GROWTH = 64,
	/* Free bytes below which a disk that was full is still so. */
	ROOM_MIN = 256 * 1024,
};

/* An operation on its way in, a result or a record on its way out. */
struct item {
	struct list node;
	uint64_t id;
	bool record; /* found in the store */
	enum status status;
	struct list found; /* records, for READ */
	struct store_op op;
};

struct store {
	struct store_fns fns;
	const char *vfs;
	dur_t first_retry;
	char path[PATH_MAX_LEN];
	uv_thread_t thread;
	uv_async_t async;
	struct store_state told; /* the loop's */

	uv_mutex_t lock;
	uv_cond_t work; /* for the thread: there is something to do */
	uv_cond_t looked; /* for store_await(): it has been opened, or not */
	struct list queue;
	struct list results;
	struct store_state state;
	unsigned changes, changes_told; /* of the state */
	struct store_counts counts;
	bool first_look; /* is over */
	bool ending;

	/* The thread's. */
	struct db *db; /* NULL: not open */
	bool loaded;
	struct stat judged; /* the file that is wrong by its content; st_ino 0: none */
	uint64_t judged_until; /* of uv_hrtime() */
	dur_t retry;
	uint64_t next_try; /* of uv_hrtime() */
};

/* ---- items --------------------------------------------------------------------------------- */

/* With room for the texts behind it. */
static struct item *item_new(const struct store_op *op)
{
	size_t name = strlen(op->lease.network) + 1;
	struct item *i = calloc(1, sizeof(*i) + name + op->lease.id_data.n);
	char *p;

	if (!i)
		return NULL;
	i->op = *op;
	list_init(&i->found);
	p = (char *)(i + 1);
	memcpy(p, op->lease.network, name);
	i->op.lease.network = p;
	if (op->lease.id_data.n)
		memcpy(p + name, op->lease.id_data.p, op->lease.id_data.n);
	i->op.lease.id_data.p = (uint8_t *)p + name;
	return i;
}

static void free_items(struct list *l)
{
	list_for_each_safe(n, l) {
		struct item *i = CONTAINER_OF(n, struct item, node);

		list_for_each_safe(m, &i->found)
			free(CONTAINER_OF(m, struct item, node));
		free(i);
	}
	list_init(l);
}

/* All of `from`, behind what `to` has. */
static void move_all(struct list *to, struct list *from)
{
	list_for_each_safe(n, from) {
		list_del(n);
		list_add_tail(to, n);
	}
}

/* ---- the state ----------------------------------------------------------------------------- */

static void say(struct store *s, bool well, const char *why)
{
	uv_mutex_lock(&s->lock);
	if (s->state.well != well || strcmp(s->state.why, why) != 0) {
		s->state.well = well;
		snprintf(s->state.why, sizeof(s->state.why), "%s", why);
		s->changes++;
		(void)uv_async_send(&s->async);
	}
	uv_mutex_unlock(&s->lock);
}

static void say_well(struct store *s)
{
	s->judged.st_ino = 0;
	say(s, true, "");
}

/* Returns how operations fail meanwhile. */
static enum status say_ill(struct store *s, enum status st, const char *why)
{
	if (st != ST_INVAL || stat(s->path, &s->judged) < 0)
		s->judged.st_ino = 0;
	s->judged_until = uv_hrtime() + (uint64_t)s->first_retry.ns * JUDGED_GROWTH;
	s->next_try = uv_hrtime() + (uint64_t)s->retry.ns;
	if (s->retry.ns < s->first_retry.ns * RETRY_GROWTH)
		s->retry.ns *= 2;
	say(s, false, st == ST_NOMEM ? "out of memory" : why);
	return ST_IO;
}

static bool is_judged(const struct store *s)
{
	struct stat sb;

	return s->judged.st_ino && uv_hrtime() < s->judged_until && stat(s->path, &sb) == 0 &&
	       sb.st_ino == s->judged.st_ino && sb.st_dev == s->judged.st_dev &&
	       sb.st_size == s->judged.st_size && sb.st_mtim.tv_sec == s->judged.st_mtim.tv_sec &&
	       sb.st_mtim.tv_nsec == s->judged.st_mtim.tv_nsec;
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum status keep_record(void *ctx, const struct store_lease *l)
{
	const struct store_op op = { STORE_LEASE_PUT, *l };
	struct item *i = item_new(&op);

	if (!i)
		return ST_NOMEM;
	i->record = true;
	list_add_tail(ctx, &i->node);
	return ST_OK;
}

static enum status load(struct store *s, struct db *db, struct text *why)
{
	struct list found;
	enum status st;

	list_init(&found);
	st = schema_leases(db, NULL, keep_record, &found, why);
	if (st != ST_OK) {
		free_items(&found);
		return st;
	}
	uv_mutex_lock(&s->lock);
	move_all(&s->results, &found);
	uv_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->async);
	s->loaded = true;
	return ST_OK;
}

static enum status open_here(struct store *s, struct text *why)
{
	struct db *db;
	enum status st = db_open(s->path, s->vfs, why, &db);

	if (st == ST_AGAIN) {
		st = db_make(s->path, s->vfs, NULL, why);
		if (st == ST_OK)
			st = db_open(s->path, s->vfs, why, &db);
	}
	if (st == ST_OK && !s->loaded && (st = load(s, db, why)) != ST_OK)
		db_close(db);
	if (st == ST_OK)
		s->db = db;
	return st;
}

/* Our file has lost its name.  If nobody else has it now, a copy gets it. */
static enum status follow(struct store *s, struct text *why)
{
	struct db *db;
	struct stat sb;
	enum status st;

	if (lstat(s->path, &sb) == 0) {
		text_add(why, ": it was replaced while it was in use: remove it to keep what is "
			      "known now, or restart warrend to use it");
		return ST_INVAL;
	}
	st = db_make(s->path, s->vfs, s->db, why);
	if (st != ST_OK)
		return st;
	st = db_open(s->path, s->vfs, why, &db);
	if (st != ST_OK) {
		(void)unlink(s->path); /* or it would pass for somebody else's the next time */
		return st;
	}
	db_close(s->db);
	s->db = db;
	return ST_OK;
}

/* A disk that was full has room again for more than the one page of a trial. */
static bool has_room(const struct store *s)
{
	struct statvfs v;

	return statvfs(s->path, &v) < 0 || v.f_bavail * v.f_frsize >= ROOM_MIN;
}

static enum status look(struct store *s, struct text *why)
{
	enum status st;

	if (!s->db)
		return open_here(s, why);
	if (db_moved(s->db) && (st = follow(s, why)) != ST_OK)
		return st;
	if (db_log_lost(s->db) && (st = db_make_whole(s->path, s->vfs, &s->db, why)) != ST_OK)
		return st;
	if (!has_room(s)) {
		text_add(why, ": the disk is full");
		return ST_IO;
	}
	return schema_touch(s->db->sql, why);
}

/* Ill, and it is time: perhaps it is well again. */
static enum status try_again(struct store *s)
{
	char buf[STORE_WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st;

	if (is_judged(s)) {
		s->next_try = uv_hrtime() + (uint64_t)s->retry.ns;
		return ST_IO;
	}
	text_add(&why, s->path);
	st = look(s, &why);
	if (st != ST_OK)
		return say_ill(s, st, buf);
	say_well(s);
	return ST_OK;
}

/* ---- the thread ---------------------------------------------------------------------------- */

struct batch {
	struct list items;
	size_t n;
};

static enum status run_item(struct item *i, struct db *db, struct text *why)
{
	if (i->op.kind == STORE_LEASES_READ)
		return schema_leases(db, i->op.lease.network, keep_record, &i->found, why);
	return schema_apply(db, &i->op, why);
}

static enum status run_batch(void *ctx, struct db *db, struct text *why)
{
	struct batch *b = ctx;
	enum status st = ST_OK;

	list_for_each(n, &b->items)
		if (st == ST_OK)
			st = run_item(CONTAINER_OF(n, struct item, node), db, why);
	return st;
}

static enum status carry_out(struct store *s, struct batch *b)
{
	char buf[STORE_WHY_MAX];
	struct text why = TEXT_OF(buf);
	enum status st = ST_OK;

	if (!s->state.well)
		st = uv_hrtime() >= s->next_try ? try_again(s) : ST_IO;
	if (st != ST_OK)
		return st;
	text_add(&why, s->path);
	if (db_moved(s->db))
		st = follow(s, &why);
	if (st == ST_OK && db_log_lost(s->db)) {
		text_add(&why, "-wal: it was removed or replaced while it was in use");
		st = ST_IO;
	}
	if (st == ST_OK)
		st = db_transact(s->db, run_batch, b, &why);
	if (st != ST_OK)
		return say_ill(s, st, buf);
	s->retry = s->first_retry;
	return ST_OK;
}

/* The lock is held. */
static void take_batch(struct store *s, struct batch *b)
{
	*b = (struct batch){ 0 };
	list_init(&b->items);
	while (b->n < STORE_BATCH_MAX && !list_empty(&s->queue)) {
		struct list *n = s->queue.next;

		list_del(n);
		list_add_tail(&b->items, n);
		b->n++;
	}
}

/* The lock is held. */
static void deliver(struct store *s, struct batch *b, enum status st)
{
	list_for_each_safe(n, &b->items) {
		struct item *i = CONTAINER_OF(n, struct item, node);

		i->status = st;
		if (st == ST_OK)
			move_all(&s->results, &i->found);
		free_items(&i->found);
		list_del(n);
		list_add_tail(&s->results, n);
	}
	s->counts.waiting -= b->n;
	if (st == ST_OK) {
		s->counts.done += b->n;
		s->counts.transactions++;
		if (b->n > s->counts.largest)
			s->counts.largest = b->n;
	} else {
		s->counts.failed += b->n;
	}
	(void)uv_async_send(&s->async);
}

/* The lock is held; for something to do, or the time to look at an ill store. */
static void wait_for_work(struct store *s)
{
	uint64_t now = uv_hrtime();

	if (s->state.well)
		uv_cond_wait(&s->work, &s->lock);
	else if (now < s->next_try)
		(void)uv_cond_timedwait(&s->work, &s->lock, s->next_try - now);
}

/* The lock is held, but not while the disk is at work. */
static void work_once(struct store *s)
{
	struct batch b;
	enum status st;

	take_batch(s, &b);
	uv_mutex_unlock(&s->lock);
	st = b.n ? carry_out(s, &b) : try_again(s);
	uv_mutex_lock(&s->lock);
	if (b.n)
		deliver(s, &b, st);
}

static bool idle(const struct store *s)
{
	return list_empty(&s->queue) && (s->state.well || uv_hrtime() < s->next_try);
}

static void look_first(struct store *s)
{
	(void)!try_again(s);
	uv_mutex_lock(&s->lock);
	s->first_look = true;
	uv_cond_signal(&s->looked);
	uv_mutex_unlock(&s->lock);
}

static void run(void *ctx)
{
	struct store *s = ctx;

	look_first(s);
	uv_mutex_lock(&s->lock);
	while (!s->ending || !list_empty(&s->queue)) {
		if (idle(s))
			wait_for_work(s);
		else
			work_once(s);
	}
	uv_mutex_unlock(&s->lock);
	db_close(s->db);
}

/* ---- the loop's side ----------------------------------------------------------------------- */

static void tell_state(struct store *s)
{
	bool news;

	uv_mutex_lock(&s->lock);
	news = s->changes != s->changes_told;
	s->changes_told = s->changes;
	s->told = s->state;
	uv_mutex_unlock(&s->lock);
	if (news)
		s->fns.state(s->fns.ctx, &s->told);
}

static void tell(struct store *s, struct item *i)
{
	if (i->record)
		s->fns.lease(s->fns.ctx, &i->op.lease);
	else
		s->fns.done(s->fns.ctx, i->id, i->status);
	free(i);
}

/* True when there are more. */
static bool take_results(struct store *s, struct list *ret)
{
	bool more;

	uv_mutex_lock(&s->lock);
	for (size_t i = 0; i < STORE_TELL_MAX && !list_empty(&s->results); i++) {
		struct list *n = s->results.next;

		list_del(n);
		list_add_tail(ret, n);
	}
	more = !list_empty(&s->results);
	uv_mutex_unlock(&s->lock);
	return more;
}

/* The state first: who hears that something failed can say why.  True when there are more. */
static bool tell_some(struct store *s)
{
	struct list results;
	bool more;

	tell_state(s);
	list_init(&results);
	more = take_results(s, &results);
	list_for_each_safe(n, &results)
		tell(s, CONTAINER_OF(n, struct item, node));
	return more;
}

static void on_async(uv_async_t *a)
{
	if (tell_some(CONTAINER_OF(a, struct store, async)))
		(void)uv_async_send(a);
}

/* What the tables take: an operation that they refuse would fail all of its transaction. */
static bool within_bounds(const struct store_op *op)
{
	const struct store_lease *l = &op->lease;

	if (strlen(l->network) > STORE_NAME_MAX || l->id_data.n > STORE_IDENT_MAX ||
	    (!l->id_type && op->kind != STORE_LEASES_READ))
		return false;
	return op->kind != STORE_LEASE_PUT ||
	       ((l->v4.family || l->v6.family) && l->v4.family != 6 && l->v6.family != 4);
}

enum status store_submit(struct store *s, uint64_t id, const struct store_op *op)
{
	struct item *i;
	bool full;

	if (!within_bounds(op))
		return ST_INVAL;
	i = item_new(op);
	if (!i)
		return ST_NOMEM;
	i->id = id;
	uv_mutex_lock(&s->lock);
	full = s->counts.waiting >= STORE_QUEUE_MAX;
	if (full) {
		s->counts.refused++;
		s->counts.failed++;
	} else {
		s->counts.waiting++;
		list_add_tail(&s->queue, &i->node);
		uv_cond_signal(&s->work);
	}
	uv_mutex_unlock(&s->lock);
	if (!full)
		return ST_OK;
	free(i);
	return ST_NOMEM;
}

const struct store_state *store_state(const struct store *s)
{
	return &s->told;
}

struct store_counts store_counts(struct store *s)
{
	struct store_counts c;

	uv_mutex_lock(&s->lock);
	c = s->counts;
	uv_mutex_unlock(&s->lock);
	return c;
}

/* ---- coming and going ---------------------------------------------------------------------- */

static void closed(uv_handle_t *h)
{
	struct store *s = CONTAINER_OF((uv_async_t *)h, struct store, async);

	free_items(&s->queue);
	free_items(&s->results);
	uv_cond_destroy(&s->work);
	uv_cond_destroy(&s->looked);
	uv_mutex_destroy(&s->lock);
	free(s);
}

static enum status set_up(uv_loop_t *loop, struct store *s)
{
	if (uv_mutex_init(&s->lock) != 0)
		return ST_IO;
	if (uv_cond_init(&s->work) != 0) {
		uv_mutex_destroy(&s->lock);
		return ST_IO;
	}
	if (uv_cond_init(&s->looked) != 0) {
		uv_cond_destroy(&s->work);
		uv_mutex_destroy(&s->lock);
		return ST_IO;
	}
	if (uv_async_init(loop, &s->async, on_async) == 0)
		return ST_OK;
	uv_cond_destroy(&s->work);
	uv_cond_destroy(&s->looked);
	uv_mutex_destroy(&s->lock);
	return ST_IO;
}

/* Signals are the loop's. */
static enum status start(struct store *s)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = uv_thread_create(&s->thread, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err == 0 ? ST_OK : ST_IO;
}

enum status store_new(uv_loop_t *loop, const struct store_conf *conf, const struct store_fns *fns,
		      struct store **ret_store)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->fns = *fns;
	s->vfs = conf->vfs;
	s->retry = s->first_retry = conf->retry;
	list_init(&s->queue);
	list_init(&s->results);
	snprintf(s->path, sizeof(s->path), "%s/" STORE_FILE, conf->dir);
	if (set_up(loop, s) != ST_OK) {
		free(s);
		return ST_IO;
	}
	if (start(s) != ST_OK) {
		uv_close((uv_handle_t *)&s->async, closed);
		return ST_IO;
	}
	*ret_store = s;
	return ST_OK;
}

void store_await(struct store *s)
{
	uv_mutex_lock(&s->lock);
	while (!s->first_look)
		uv_cond_wait(&s->looked, &s->lock);
	uv_mutex_unlock(&s->lock);
	while (tell_some(s))
		;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	uv_mutex_lock(&s->lock);
	s->ending = true;
	uv_cond_signal(&s->work);
	uv_mutex_unlock(&s->lock);
	uv_thread_join(&s->thread);
	uv_close((uv_handle_t *)&s->async, closed);
}
