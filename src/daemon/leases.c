#include "daemon/leases.h"

#include <stdlib.h>

#include "store/store.h"

struct leases {
	struct store *store;
	bool was_ill;
	uint64_t loaded, unfit; /* records: taken, refused by the engine */
};

/* ---- the store speaks ---------------------------------------------------------------------- */

static void on_done(void *host, uint64_t id, enum status st)
{
	struct host *h = host;

	ike_stored(h->ike, plat_now(), id, st);
	wiring_drain(h);
}

static void on_state(void *host, const struct store_state *state)
{
	struct host *h = host;
	char buf[STORE_WHY_MAX + 128];
	struct text t = TEXT_OF(buf);

	if (!state->well) {
		text_fmt(&t, "nobody can be given an inner address: %s", state->why);
		host_log(h, OBS_ERROR, NULL, buf);
	} else if (h->leases->was_ill) {
		host_log(h, OBS_INFO, NULL, "the store is well again");
	}
	h->leases->was_ill = !state->well;
}

/* The engine says by an event what does not fit. */
static void on_lease(void *host, const struct store_lease *l)
{
	struct host *h = host;
	const struct ike_lease lease = { .peer = l->network,
					 .identity = { l->id_type, l->id_data },
					 .v4 = l->v4,
					 .v6 = l->v6,
					 .since = l->since,
					 .ended = l->ended };

	if (ike_lease_load(h->ike, &lease) == ST_OK)
		h->leases->loaded++;
	else
		h->leases->unfit++;
	wiring_drain(h);
}

/* ---- coming and going ---------------------------------------------------------------------- */

static bool wanted(const struct host *h)
{
	for (size_t i = 0; i < h->ike_conf->n_peers; i++)
		if (h->ike_conf->peers[i].n_pool)
			return true;
	return false;
}

static enum status begin(struct host *h)
{
	const struct store_conf conf = { h->conf_started->state.s, NULL, STORE_RETRY };
	const struct store_fns fns = { on_done, on_state, on_lease, h };
	struct leases *l = calloc(1, sizeof(*l));
	enum status st = l ? store_new(&h->loop, &conf, &fns, &l->store) : ST_NOMEM;

	if (st != ST_OK) {
		free(l);
		return st;
	}
	h->leases = l;
	return ST_OK;
}

enum status leases_start(struct host *h, struct text *why)
{
	enum status st;

	if (!wanted(h))
		return ST_OK;
	st = begin(h);
	if (st == ST_OK)
		store_await(h->leases->store);
	else
		text_add(why, "cannot start the store's thread");
	return st;
}

void leases_follow(struct host *h)
{
	if (h->leases || !wanted(h))
		return;
	if (begin(h) != ST_OK)
		host_log(h, OBS_ERROR, NULL,
			 "cannot start the store's thread: nobody can be given an inner address");
}

void leases_stop(struct host *h)
{
	if (!h->leases)
		return;
	store_free(h->leases->store);
	free(h->leases);
	h->leases = NULL;
}

/* ---- storing ------------------------------------------------------------------------------- */

void leases_store(struct host *h, uint64_t id, const struct ike_store_op *op)
{
	static const enum store_op_kind kinds[] = { [IKE_STORE_LEASE_PUT] = STORE_LEASE_PUT,
						    [IKE_STORE_LEASE_DROP] = STORE_LEASE_DROP,
						    [IKE_STORE_LEASES_READ] = STORE_LEASES_READ };
	const struct ike_lease *l = &op->lease;
	const struct store_op store = {
		.kind = kinds[op->kind],
		.lease = { .network = l->peer,
			   .id_type = l->identity.type,
			   .id_data = l->identity.data,
			   .v4 = l->v4,
			   .v6 = l->v6,
			   .since = l->since,
			   .ended = l->ended },
	};

	if (!h->leases || store_submit(h->leases->store, id, &store) != ST_OK)
		ike_stored(h->ike, plat_now(), id, ST_IO);
}

/* ---- looking ------------------------------------------------------------------------------- */

const char *leases_trouble(const struct host *h)
{
	const struct store_state *s = h->leases ? store_state(h->leases->store) : NULL;

	return s && !s->well ? s->why : NULL;
}

json_t *leases_status_json(const struct host *h)
{
	const char *trouble = leases_trouble(h);

	if (!h->leases)
		return NULL;
	return json_pack("{s:s+, s:b, s:s, s:I, s:I}", "file", h->conf_started->state.s,
			 "/" STORE_FILE, "well", !trouble, "trouble", trouble ? trouble : "",
			 "loaded", (json_int_t)h->leases->loaded, "unfit",
			 (json_int_t)h->leases->unfit);
}

bool leases_counter(const void *host, size_t index, const char **ret_name, uint64_t *ret_value)
{
	static const char *const names[] = { "store.done", "store.failed", "store.refused",
					     "store.transactions" };
	const struct host *h = host;
	struct store_counts c = { 0 };

	if (index >= ARRAY_LEN(names))
		return false;
	if (h->leases)
		c = store_counts(h->leases->store);
	*ret_name = names[index];
	*ret_value = ((const uint64_t[]){ c.done, c.failed, c.refused, c.transactions })[index];
	return true;
}

struct visit {
	const struct leases_page *page;
	json_t *list;
	uint64_t last;
	bool more;
};

static void put_ip(json_t *o, const char *key, const struct ip *ip)
{
	char buf[IP_TEXT_MAX];

	if (ip->family)
		json_object_set_new(o, key, json_string(ip_text(ip, buf)));
}

static void put_time(json_t *o, const char *key, wall_t at)
{
	char buf[OBS_TIME_TEXT_MAX];

	json_object_set_new(o, key, json_string(obs_time_text((obs_time){ at.s * 1000 }, buf)));
}

static json_t *lease_json(const struct ike_lease *l)
{
	char id[IKE_IDENTITY_TEXT * 2];
	struct text t = TEXT_OF(id);
	json_t *o = json_object();

	policy_ident_text(&t, &l->identity);
	json_object_set_new(o, "network", json_string(l->peer));
	json_object_set_new(o, "identity", json_string(id));
	put_ip(o, "v4", &l->v4);
	put_ip(o, "v6", &l->v6);
	json_object_set_new(o, "state", json_string(l->ended.s ? "ended" : "up"));
	put_time(o, "since", l->since);
	if (l->ended.s)
		put_time(o, "ended", l->ended);
	return o;
}

static bool on_visit(void *ctx, uint64_t number, const struct ike_lease *l)
{
	struct visit *v = ctx;

	v->more = json_array_size(v->list) == v->page->limit;
	if (v->more)
		return false;
	json_array_append_new(v->list, lease_json(l));
	v->last = number;
	return true;
}

json_t *leases_json(const struct host *h, const struct leases_page *page)
{
	struct visit v = { .page = page, .list = json_array() };
	const char *trouble = leases_trouble(h);
	json_t *o = json_object();

	ike_each_lease(h->ike, page->after, on_visit, &v);
	json_object_set_new(o, "leases", v.list);
	if (v.more)
		json_object_set_new(o, "next", json_integer((json_int_t)v.last));
	if (trouble)
		json_object_set_new(o, "trouble", json_string(trouble));
	return o;
}
