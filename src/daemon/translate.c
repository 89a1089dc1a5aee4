#include "daemon/translate.h"

#include <stdlib.h>

/* Half-open SAs from which on nobody new is let in.  Reached only by peers that answered a cookie,
 * so it is sized for a mass reconnect and costs about a KiB each. */
#define HALF_OPEN_MAX 16384

struct snapshot {
	struct ike_conf ike;
	struct conf *conf;
	struct ike_peer_conf *peers;
	const char **addresses; /* of all peers, one after the other */
};

static void snapshot_free(struct ike_conf *ike)
{
	struct snapshot *s = CONTAINER_OF(ike, struct snapshot, ike);

	conf_unref(s->conf);
	free(s->addresses);
	free(s->peers);
	free(s);
}

static size_t count_addresses(const struct conf *c)
{
	size_t n = 0;

	for (const struct conf_peer *p = c->peers; p; p = p->next)
		n += p->address.n;
	return n;
}

static void put_auth(const struct conf_peer *from, const struct conf_peer_creds *creds,
		     struct ike_peer_conf *to)
{
	to->auth = from->auth == CONF_AUTH_PSK ? IKE_AUTH_PSK : IKE_AUTH_CERT;
	to->psk = creds->psk;
	to->key = creds->key;
	to->n_certs = creds->chain.n;
	memcpy(to->certs, creds->chain.certs, sizeof(to->certs));
	to->trust = creds->trust;
	to->trust_hashes = creds->trust_hashes;
}

static enum ike_start start_of(enum conf_start s)
{
	switch (s) {
	case CONF_START_UP: return IKE_START_UP;
	case CONF_START_LISTEN: return IKE_START_LISTEN;
	case CONF_START_TRAFFIC: break;
	}
	return IKE_START_TRAFFIC;
}

static void put_peer(const struct conf_peer *from, ike_peer_id id, const char **addresses,
		     struct ike_peer_conf *to)
{
	for (size_t i = 0; i < from->address.n; i++)
		addresses[i] = from->address.v[i].s;
	to->id = id;
	to->name = from->name;
	to->addresses = addresses;
	to->n_addresses = from->address.n;
	to->port = (uint16_t)from->port.v;
	to->local_id = from->local_id.id;
	to->remote_id = from->remote_id.id;
	to->ike = from->proposals.sa;
	to->esp = from->esp_proposals.sa;
	to->ts_local = from->local_ts.ts;
	to->ts_remote = from->remote_ts.ts;
	to->start = start_of((enum conf_start)from->start.v);
	to->dpd_delay = from->dpd_delay.v;
	to->keepalive = from->keepalive.v;
}

static void put_globals(const struct conf *c, struct ike_conf *to)
{
	to->port = (uint16_t)c->port.v;
	to->nat_port = (uint16_t)c->nat_port.v;
	to->retransmit_timeout = c->retransmit_timeout.v;
	to->retransmit_tries = c->retransmit_tries.v;
	to->half_open_cookie = c->half_open_cookie.v;
	to->half_open_max = HALF_OPEN_MAX;
	to->force_encap = true; /* until the data plane says that it can do without */
	to->keys = c->keylog.s != NULL;
	to->trace = c->log.v == CONF_LOG_DEBUG;
}

static void fill(struct snapshot *s, const struct conf_creds *creds)
{
	const char **addresses = s->addresses;
	size_t i = 0;

	for (const struct conf_peer *p = s->conf->peers; p; p = p->next, i++) {
		put_peer(p, translate_peer_id(i), addresses, &s->peers[i]);
		put_auth(p, conf_creds_peer(creds, i), &s->peers[i]);
		addresses += p->address.n;
	}
	s->ike.peers = s->peers;
	s->ike.n_peers = i;
}

/* calloc() of nothing may be NULL: always one more. */
static struct snapshot *snapshot_new(struct conf *conf)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->conf = conf_ref(conf);
	s->ike.refs = 1;
	s->ike.free = snapshot_free;
	s->peers = calloc(conf->n_peers + 1, sizeof(*s->peers));
	s->addresses = calloc(count_addresses(conf) + 1, sizeof(*s->addresses));
	if (!s->peers || !s->addresses) {
		snapshot_free(&s->ike);
		return NULL;
	}
	return s;
}

enum status translate(struct conf *conf, const struct conf_creds *creds, struct ike_conf **ret_conf)
{
	struct snapshot *s = snapshot_new(conf);

	if (!s)
		return ST_NOMEM;
	put_globals(conf, &s->ike);
	fill(s, creds);
	*ret_conf = &s->ike;
	return ST_OK;
}
