/*
 * wiring.c - inputs to the engine, its outputs to the world (the core contract of ike.h).
 */
#include "daemon/host.h"
#include "daemon/inner.h"
#include "daemon/learn.h"
#include "daemon/leases.h"
#include "daemon/reload.h"

/* ---- outputs ----------------------------------------------------------------------------- */

static void send_out(struct host *h, const struct ike_out *o)
{
	const struct endpoint *local = &o->u.send.local, *remote = &o->u.send.remote;
	struct underlay_send m = {
		*local,           *remote,
		o->u.send.marker, o->u.send.keepalive,
		o->u.send.df,     o->u.send.probe,
		o->u.send.data,   uplinks_device(h->uplinks, &local->ip, &remote->ip)
	};
	char buf[256];
	struct text why = TEXT_OF(buf);
	enum status st = underlay_send(h->underlay, &m, &why);

	if (st == ST_AGAIN) {
		h->counters[HOST_TX_FULL]++;
	} else if (st == ST_DROP) {
		/* Larger than the way out; the error queue says by how much. */
		h->counters[HOST_TX_TOO_BIG]++;
	} else if (st != ST_OK) {
		h->counters[HOST_TX_FAILED]++;
		host_log(h, OBS_DEBUG, NULL, buf);
		journal_unsent(h->journal, host_time(), &m.remote.ip, buf);
	}
}

static void log_keys(struct host *h, enum status st)
{
	if (st == ST_OK)
		return;
	if (h->counters[HOST_KEYLOG_FAILED]++ == 0)
		host_log(h, OBS_WARNING, NULL,
			 "the key log cannot be written: its tables have gaps");
}

static void dp_out(struct host *h, const struct dp_op *op)
{
	if (h->keylog && op->kind == DP_CHILD_ADD)
		log_keys(h, obs_keylog_child(h->keylog, &op->u.child));
	dataplane_submit(h->dp, op);
}

static void event_out(struct host *h, const struct ike_event *ev)
{
	obs_time t = host_time();
	json_t *json;

	obs_log_event(&h->log, t, ev);
	learn_event(h, ev);
	journal_event(h->journal, t, ev);
	if (!ctl_server_watched(h->ctl))
		return;
	json = obs_event_json(t, ev);
	if (json)
		ctl_server_event(h->ctl, json);
	json_decref(json);
}

static void carry_out(struct host *h, const struct ike_out *o)
{
	switch (o->kind) {
	case IKE_OUT_SEND: send_out(h, o); break;
	case IKE_OUT_DP: dp_out(h, o->u.dp); break;
	case IKE_OUT_JOB: jobs_start(h->jobs, o->u.job.id, o->u.job.job); break;
	case IKE_OUT_CANCEL: jobs_cancel(h->jobs, o->u.cancel); break;
	case IKE_OUT_RESOLVE: lookups_start(h->lookups, o->u.resolve.id, o->u.resolve.name); break;
	case IKE_OUT_STORE: leases_store(h, o->u.store.id, &o->u.store.op); break;
	case IKE_OUT_INNER: inner_out(h, o->u.inner); break;
	case IKE_OUT_EVENT: event_out(h, o->u.event); break;
	case IKE_OUT_TRACE: obs_log_trace(&h->log, host_time(), &o->u.trace); break;
	case IKE_OUT_KEYS:
		if (h->keylog)
			log_keys(h, obs_keylog_ike(h->keylog, o));
		break;
	case IKE_OUT_ASKED:
	case IKE_OUT_ANSWERED:
	case IKE_OUT_NONE: break;
	}
}

/* Who left takes their memory along (trim.h). */
static void note_departures(struct host *h)
{
	if (trim_note(&h->trim, plat_mono(), ike_totals(h->ike).sas))
		plat_timer_at(h->trim_timer, h->trim.due);
}

static void on_trim(void *host)
{
	struct host *h = host;

	if (trim_is_due(&h->trim, plat_mono(), ike_totals(h->ike).sas))
		trim_memory();
	note_departures(h);
}

void wiring_drain(struct host *h)
{
	struct ike_out out;

	/* An output that failed at once came back as an input: the loop above sees to the rest. */
	if (h->draining)
		return;
	h->draining = true;
	for (mesh_next(h->mesh, plat_now(), &out); out.kind != IKE_OUT_NONE;
	     mesh_next(h->mesh, plat_now(), &out))
		carry_out(h, &out);
	h->draining = false;
	plat_timer_at(h->deadline, mesh_deadline(h->mesh));
	note_departures(h);
	if (h->stopping && ike_idle(h->ike))
		uv_stop(&h->loop);
}

/* ---- inputs ------------------------------------------------------------------------------ */

static void on_datagram(void *host, const struct ike_datagram *d)
{
	struct host *h = host;

	mesh_input(h->mesh, plat_now(), d);
	wiring_drain(h);
}

static void on_icmp(void *host, const struct plat_icmp *icmp)
{
	struct host *h = host;

	if (!icmp->mtu) {
		journal_icmp(h->journal, host_time(), &icmp->remote.ip, &icmp->from, icmp->text);
		mesh_dp(h->mesh, plat_now(),
			&(struct dp_report){ .kind = DP_REPORT_UNREACHABLE,
					     .u.unreachable = { .remote = icmp->remote } });
		wiring_drain(h);
		return;
	}
	/* No obstacle: the engine cuts smaller. */
	mesh_dp(h->mesh, plat_now(),
		&(struct dp_report){ .kind = DP_REPORT_PMTU,
				     .u.pmtu = { .remote = icmp->remote,
						 .mtu = icmp->mtu,
						 .ours = !icmp->text } });
	wiring_drain(h);
}

static void on_report(void *host, const struct dp_report *r)
{
	struct host *h = host;

	mesh_dp(h->mesh, plat_now(), r);
	wiring_drain(h);
}

static void on_deadline(void *host)
{
	struct host *h = host;

	mesh_timer(h->mesh, plat_now());
	wiring_drain(h);
}

void wiring_job_done(void *host, uint64_t id, const struct crypto_result *r)
{
	struct host *h = host;

	ike_job_done(h->ike, plat_now(), id, r);
	wiring_drain(h);
}

void wiring_resolved(void *host, uint64_t id, const char *name, const struct ike_address *addrs,
		     size_t n, const char *why)
{
	struct host *h = host;

	if (n == 0) {
		char buf[640];
		struct text text = TEXT_OF(buf);
		struct ip ip;

		text_fmt(&text, "cannot reach %s: %s", name, why);
		/* While we move from one network to another no address can be reached. */
		host_log(h, ip_parse(name, &ip) == ST_OK ? OBS_DEBUG : OBS_WARNING, NULL, buf);
		h->counters[HOST_LOOKUP_FAILED]++;
	}
	journal_lookup(h->journal, host_time(), name, addrs, n, why);
	ike_resolved(h->ike, plat_now(), id, addrs, n);
	wiring_drain(h);
}

/* Without it nobody can be authenticated any more.  The block stays, and who started us will start
 * us again. */
static void on_signer(void *host)
{
	struct host *h = host;
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (signer_pump(h->signer, &why) == ST_OK)
		return;
	host_log(h, OBS_ERROR, NULL, buf);
	plat_poll_free(h->signer_poll);
	h->signer_poll = NULL;
	h->failed = true;
	host_shutdown(h, "no signer");
}

static void on_resolved(void *host)
{
	struct host *h = host;
	char buf[256];
	struct text why = TEXT_OF(buf);

	if (resolved_pump(h->resolved, &why) == ST_OK)
		return;
	host_log(h, OBS_ERROR, NULL, buf);
	plat_poll_free(h->resolved_poll);
	h->resolved_poll = NULL;
	resolved_free(h->resolved);
	h->resolved = NULL;
}

static void on_signal(void *host, int signo)
{
	struct host *h = host;

	switch (signo) {
	case SIGHUP: reload_logged(h); break;
	case SIGPIPE: break;
	default: host_shutdown(h, signo == SIGTERM ? "SIGTERM" : "SIGINT"); break;
	}
}

enum status wiring_start(struct host *h, struct text *why)
{
	static const int signals[HOST_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
	const struct dataplane_fns fns = { on_report, on_datagram, h };
	enum status st = plat_timer_new(&h->loop, on_deadline, h, &h->deadline);

	h->trim = trim_init();
	if (st == ST_OK)
		st = plat_timer_new(&h->loop, on_trim, h, &h->trim_timer);
	for (size_t i = 0; i < HOST_SIGNALS && st == ST_OK; i++)
		st = plat_signal_new(&h->loop, signals[i], on_signal, h, &h->signals[i]);
	if (st == ST_OK)
		st = plat_poll_new(&h->loop, signer_fd(h->signer), on_signer, h, &h->signer_poll);
	if (st == ST_OK && h->resolved)
		st = plat_poll_new(&h->loop, resolved_fd(h->resolved), on_resolved, h,
				   &h->resolved_poll);
	if (st == ST_OK)
		st = dataplane_start(h->dp, &h->loop, &fns);
	underlay_on_icmp(h->underlay, on_icmp, h);
	if (st == ST_OK)
		st = underlay_start(h->underlay, &h->loop, on_datagram, h);
	if (st != ST_OK)
		text_add(why, "the event loop refuses");
	return st;
}
