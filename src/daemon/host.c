#include "daemon/host.h"

#include <time.h>

#include "daemon/confine.h"
#include "daemon/hostnet.h"
#include "daemon/inner.h"
#include "daemon/learn.h"
#include "daemon/leases.h"
#include "daemon/tokens.h"
#include "daemon/translate.h"

obs_time host_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (obs_time){ ts.tv_sec * 1000 + ts.tv_nsec / 1000000 };
}

void host_log(struct host *h, enum obs_level level, const char *peer, const char *message)
{
	obs_log(&h->log, level, host_time(), peer, message, NULL);
}

enum status host_init(struct host *h)
{
	h->started = plat_mono();
	obs_log_init(&h->log, OBS_INFO);
	return uv_loop_init(&h->loop) == 0 ? ST_OK : ST_NOMEM;
}

/* ---- checking ---------------------------------------------------------------------------- */

/* What the signer read, without the secrets, read again by ourselves. */
static enum status open_snapshot(struct host *h, struct signer_snapshot *snap, const char *file,
				 struct conf_errors *errs, struct conf_creds **ret_creds)
{
	struct conf_source source = signer_source(snap);
	enum status st = crypto_store_new(&h->store);

	if (st != ST_OK)
		return st;
	crypto_store_public(h->store);
	return conf_open(&mem_libc, &source, file, h->store, errs, &h->conf, ret_creds);
}

enum status host_check(struct host *h, const char *file, struct conf_errors *errs, struct text *why)
{
	struct signer_snapshot *snap = NULL;
	enum status st = signer_load(h->signer, file, errs, why, &snap);

	if (st == ST_OK)
		st = open_snapshot(h, snap, file, errs, &h->creds);
	signer_snapshot_free(snap);
	if (*signer_warning(h->signer))
		host_log(h, OBS_WARNING, NULL, signer_warning(h->signer));
	if (st == ST_OK)
		st = signer_commit(h->signer, why);
	if (st == ST_OK) {
		h->log.level = (enum obs_level)h->conf->log.v;
		h->conf_started = conf_ref(h->conf);
		st = translate(h->conf, h->creds, NULL, &h->ike_conf);
	}
	return st == ST_OK ? confine_user(h, errs) : st;
}

/* ---- starting ---------------------------------------------------------------------------- */

static enum status start_device(struct host *h, struct text *why)
{
	const struct plat_tun_conf c = { .ns = PLAT_NS_HERE,
					 .name = h->conf->interface.s,
					 .queues = 1 };
	char ignored[8], path[64];
	struct text ignore = TEXT_OF(ignored), sysctl = TEXT_OF(path);
	enum status st;

	h->mtu = hostnet_mtu(h->nl, h->conf, h->creds, 0, 0);
	st = plat_tun_open(&c, why, &h->tun);
	if (st != ST_OK)
		return st;
	st = plat_link_set_mtu(h->nl, h->tun.ifindex, h->mtu, why);
	if (st != ST_OK)
		return st;
	/* Both may be impossible (no IPv6, /proc/sys read-only) and are no reason to give up.  What
	 * comes out of the tunnel was authenticated and held against selectors: a strict reverse
	 * path check on top would drop what enters here and leaves elsewhere. */
	(void)!plat_link_no_link_local(h->nl, h->tun.ifindex, &ignore);
	text_fmt(&sysctl, "ipv4/conf/%s/rp_filter", h->tun.name);
	(void)!plat_sysctl_set(PLAT_NS_HERE, path, 2, &ignore);
	return plat_link_up(h->nl, h->tun.ifindex, why);
}

static enum status start_network(struct host *h, struct conf_errors *errs, struct text *why)
{
	enum status st = plat_nl_new(PLAT_NS_HERE, why, &h->nl);

	if (st == ST_OK)
		st = guarding_start(h, why);
	if (st == ST_OK)
		st = underlay_open(h->conf, errs, &h->underlay);
	if (st == ST_OK)
		st = uplinks_new(h->nl, &h->uplinks);
	if (st == ST_OK)
		st = start_device(h, why);
	if (st == ST_OK)
		st = inner_start(h);
	if (st == ST_OK)
		st = ctl_server_new(&h->loop, h->conf->control.s, commands_handle, h, why, &h->ctl);
	if (st == ST_OK)
		signer_note_socket(h->signer);
	if (st == ST_OK)
		st = guarding_attach(h, why);
	return st;
}

static enum status start_keylog(struct host *h, struct text *why)
{
	if (!h->conf->keylog.s)
		return ST_OK;
	host_log(h, OBS_WARNING, NULL,
		 "keylog is set: whoever reads that directory reads all traffic");
	return obs_keylog_new(h->conf->keylog.s, why, &h->keylog);
}

/* None of them is to be given to anybody else. */
enum status host_reserve(struct host *h, struct ike_conf *conf, struct text *why)
{
	struct own_addrs own = { 0 };
	enum status st = hostnet_addrs(h->nl, why, &own);

	if (st == ST_OK)
		st = translate_own(conf, own.v, own.n);
	hostnet_addrs_done(&own);
	return st;
}

static enum status start_engine(struct host *h, struct text *why)
{
	struct crypto ops;
	uint64_t key[2];
	enum status st = crypto_openssl_new(&h->crypto);

	if (st == ST_OK)
		st = jobs_new(&h->loop, h->store, h->signer, wiring_job_done, h, &h->jobs);
	if (st == ST_OK)
		st = lookups_new(&h->loop, h->nl, h->underlay, wiring_resolved, h, &h->lookups);
	if (st == ST_OK)
		st = host_reserve(h, h->ike_conf, why);
	if (st != ST_OK)
		return st;
	h->ike_conf->force_encap = !dataplane_can(h->dp, DP_CAP_RAW_ESP);
	plat_random(key, sizeof(key));
	st = journal_new(&mem_libc, key, &h->journal);
	if (st != ST_OK)
		return st;
	plat_random(key, sizeof(key));
	ops = crypto_openssl_ops(h->crypto);
	st = ike_new(&mem_libc, &ops, key, h->ike_conf, plat_now(), &h->ike);
	if (st != ST_OK)
		return st;
	plat_random(key, sizeof(key));
	return mesh_new(&mem_libc, &ops, key, h->ike, translate_mesh_of(h->ike_conf), plat_now(),
			&h->mesh);
}

static void log_started(struct host *h)
{
	char buf[256];
	struct text t = TEXT_OF(buf);

	text_add(&t, "warrend " WARREN_VERSION " started: ");
	for (size_t i = 0; i < h->conf->n_networks; i++)
		text_fmt(&t, "%s of network %s, ",
			 conf_role_name((int)conf_creds_network(h->creds, i)->role),
			 h->conf->networks[i].name);
	if (h->conf->n_peers)
		text_fmt(&t, "%zu peer%s, ", h->conf->n_peers, h->conf->n_peers == 1 ? "" : "s");
	text_fmt(&t, "device %s, mtu %u", h->tun.name, h->mtu);
	host_log(h, OBS_INFO, NULL, buf);
}

enum status host_start(struct host *h, struct conf_errors *errs, struct text *why)
{
	enum status st;

	confine_state(h);
	tokens_open(h);
	st = start_network(h, errs, why);
	if (st == ST_OK)
		st = start_keylog(h, why);
	if (st == ST_OK)
		st = confine(h, why);
	/* Threads from here on: each begins with what is left. */
	if (st == ST_OK)
		st = dataplane_new(h->underlay, h->uplinks, &h->tun, h->mtu, why, &h->dp);
	if (st == ST_OK)
		st = start_engine(h, why);
	if (st == ST_OK)
		learn_begin(h);
	if (st == ST_OK)
		st = wiring_start(h, why);
	if (st == ST_OK)
		st = leases_start(h, why);
	if (st == ST_OK)
		st = guarding_watch(h, why);
	if (st == ST_OK)
		st = roam_start(h, why);
	if (st != ST_OK)
		return st;
	log_started(h);
	wiring_drain(h);
	return ST_OK;
}

/* ---- ending ------------------------------------------------------------------------------ */

void host_shutdown(struct host *h, const char *reason)
{
	const struct ike_cmd cmd = { .kind = IKE_CMD_SHUTDOWN };
	char buf[96];
	struct text t = TEXT_OF(buf);

	text_fmt(&t, "%s: %s", reason,
		 h->stopping ? "ending without waiting for the peers" : "deleting all SAs");
	host_log(h, OBS_INFO, NULL, buf);
	if (h->stopping || ike_command(h->ike, plat_now(), &cmd) != ST_OK) {
		uv_stop(&h->loop);
		return;
	}
	h->stopping = true;
	wiring_drain(h);
}

static void stop_watching(struct host *h)
{
	inner_stop(h);
	for (size_t i = 0; i < HOST_SIGNALS; i++)
		plat_signal_free(h->signals[i]);
	plat_timer_free(h->deadline);
	plat_timer_free(h->trim_timer);
	plat_poll_free(h->signer_poll);
	plat_poll_free(h->resolved_poll);
	roam_stop(h);
	guarding_stop(h);
	underlay_stop(h->underlay);
	dataplane_stop(h->dp);
	ctl_server_stop(h->ctl);
}

static void free_engine(struct host *h)
{
	leases_stop(h);
	jobs_free(h->jobs);
	lookups_free(h->lookups);
	mesh_free(h->mesh);
	ike_free(h->ike);
	journal_free(h->journal);
	crypto_openssl_free(h->crypto);
	obs_keylog_free(h->keylog);
}

static void free_network(struct host *h)
{
	roam_free(h);
	guarding_free(h);
	dataplane_free(h->dp);
	plat_tun_close(&h->tun);
	inner_free(h);
	underlay_free(h->underlay);
	uplinks_free(h->uplinks);
	plat_nl_free(h->nl);
}

void host_free(struct host *h)
{
	bool was_up = h->ike != NULL;

	stop_watching(h);
	free_engine(h);
	free_network(h);
	if (was_up)
		host_log(h, OBS_INFO, NULL, "ended");
	if (h->ike_conf)
		ike_conf_unref(h->ike_conf);
	conf_creds_free(h->creds);
	conf_unref(h->conf);
	conf_unref(h->conf_started);
	crypto_store_free(h->store);
	resolved_free(h->resolved);
	signer_free(h->signer);
	if (plat_loop_close(&h->loop) != ST_OK)
		host_log(h, OBS_ERROR, NULL, "the event loop still has something in it");
}
