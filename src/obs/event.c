/*
 * event.c - events and trace points of the engine, as lines and as JSON.
 */
#include "obs/obs.h"

enum obs_level obs_event_level(const struct ike_event *ev)
{
	static const enum obs_level level[IKE_EVENTS] = {
		[IKE_EV_CONNECTING] = OBS_INFO,
		[IKE_EV_SA_UP] = OBS_INFO,
		[IKE_EV_SA_DOWN] = OBS_INFO,
		[IKE_EV_CHILD_UP] = OBS_INFO,
		[IKE_EV_CHILD_DOWN] = OBS_INFO,
		[IKE_EV_SA_REKEYED] = OBS_INFO,
		[IKE_EV_CHILD_REKEYED] = OBS_INFO,
		[IKE_EV_CONFLICT] = OBS_WARNING,
		[IKE_EV_REFUSED] = OBS_WARNING,
		[IKE_EV_RETRANSMIT] = OBS_INFO,
		[IKE_EV_UNREACHABLE] = OBS_WARNING,
		[IKE_EV_DEAD] = OBS_WARNING,
		[IKE_EV_DATAPLANE] = OBS_ERROR,
		[IKE_EV_BUG] = OBS_ERROR,
		[IKE_EV_LOAD] = OBS_WARNING,
		[IKE_EV_LEASE] = OBS_INFO,
		[IKE_EV_MOVED] = OBS_INFO,
		[IKE_EV_SUSPECT] = OBS_WARNING,
		[IKE_EV_ALIVE] = OBS_INFO,
		[IKE_EV_HINT] = OBS_WARNING,
		[IKE_EV_REDIRECTED] = OBS_INFO,
		[IKE_EV_MTU] = OBS_INFO,
		[IKE_EV_CARRIES] = OBS_DEBUG,
		[IKE_EV_PARTNER_OVER] = OBS_DEBUG,
		[IKE_EV_SUGGESTED] = OBS_INFO,
		[IKE_EV_SHORTCUT] = OBS_INFO,
		[IKE_EV_SHORTCUT_FAILED] = OBS_WARNING,
		[IKE_EV_SHORTCUT_ENDED] = OBS_INFO,
		[IKE_EV_NOT_DIRECT] = OBS_WARNING,
		[IKE_EV_HUBS] = OBS_INFO,
		[IKE_EV_ATTACHED] = OBS_INFO,
	};

	return ev->kind < IKE_EVENTS ? level[ev->kind] : OBS_ERROR;
}

/* ---- what of an event is set, in the order of the log line ---- */

enum {
	EVENT_FIELDS = 8,
};

struct event_fields {
	struct obs_field f[EVENT_FIELDS + 1];
	size_t n;
	char spi[4][17];
	char addr[2][ENDPOINT_TEXT_MAX];
};

static void add(struct event_fields *ef, const char *key, const char *value)
{
	ef->f[ef->n++] = (struct obs_field){ key, value };
}

static void add_spi(struct event_fields *ef, size_t i, const char *key, uint64_t spi, int digits)
{
	struct text t = TEXT_OF(ef->spi[i]);

	if (!spi)
		return;
	text_fmt(&t, "%0*llx", digits, (unsigned long long)spi);
	add(ef, key, ef->spi[i]);
}

static void add_endpoint(struct event_fields *ef, size_t i, const char *key,
			 const struct endpoint *e)
{
	if (e->ip.family)
		add(ef, key, endpoint_text(e, ef->addr[i]));
}

static void event_fields(const struct ike_event *ev, struct event_fields *ret)
{
	memset(ret, 0, sizeof(*ret));
	add_spi(ret, 0, "spi_i", ev->spi_i, 16);
	add_spi(ret, 1, "spi_r", ev->spi_r, 16);
	add_spi(ret, 2, "spi_in", ev->spi_in, 8);
	add_spi(ret, 3, "spi_out", ev->spi_out, 8);
	add_endpoint(ret, 0, "local", &ev->local);
	add_endpoint(ret, 1, "remote", &ev->remote);
	if (ev->identity[0])
		add(ret, "identity", ev->identity);
	if (ev->reason)
		add(ret, "reason", ike_reason_name(ev->reason));
}

void obs_log_event(struct obs_log *log, obs_time t, const struct ike_event *ev)
{
	char buf[IKE_EVENT_TEXT_MAX + 64];
	struct text message = TEXT_OF(buf);
	struct event_fields ef;

	event_fields(ev, &ef);
	text_fmt(&message, "%s%s%s", ike_event_name(ev->kind), ev->text[0] ? ": " : "", ev->text);
	obs_log(log, obs_event_level(ev), t, ev->peer_name, buf, ef.f);
}

/* ---- JSON ---- */

/* False when out of memory. */
static bool put(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) == 0;
}

/* Bytes that are no UTF-8 may be in what a peer sent. */
static bool put_clean(json_t *o, const char *key, const char *value)
{
	char buf[OBS_LINE_MAX];
	struct text t = TEXT_OF(buf);

	obs_clean(&t, bytes_str(value));
	return put(o, key, json_string(buf));
}

static bool put_time(json_t *o, obs_time t)
{
	char when[OBS_TIME_TEXT_MAX];

	return put(o, "time", json_string(obs_time_text(t, when)));
}

static bool fill_event(json_t *o, obs_time t, const struct ike_event *ev)
{
	struct event_fields ef;

	event_fields(ev, &ef);
	if (!put_time(o, t) || !put(o, "event", json_string(ike_event_name(ev->kind))) ||
	    !put_clean(o, "peer", ev->peer_name ? ev->peer_name : ""))
		return false;
	for (size_t i = 0; i < ef.n; i++)
		if (!put_clean(o, ef.f[i].key, ef.f[i].value))
			return false;
	return put_clean(o, "text", ev->text);
}

json_t *obs_event_json(obs_time t, const struct ike_event *ev)
{
	json_t *o = json_object();

	if (o && fill_event(o, t, ev))
		return o;
	json_decref(o);
	return NULL;
}

/* ---- trace points ---- */

enum {
	TRACE_ARGS = 4,
	TRACE_LINE_MAX = 256,
};

static const struct ike_trace_point *point_of(const struct ike_trace *tr)
{
	static const struct ike_trace_point unknown = { "unknown",
							{ "arg0", "arg1", "arg2", "arg3" } };

	return tr->point < ike_n_trace_points ? &ike_trace_points[tr->point] : &unknown;
}

static bool is_hex(const char *field)
{
	return field[0] == '#';
}

void obs_trace_text(struct text *out, const struct ike_trace *tr)
{
	const struct ike_trace_point *pt = point_of(tr);

	text_fmt(out, "%s sa=%llu", pt->name, (unsigned long long)tr->sa);
	for (size_t i = 0; i < TRACE_ARGS && pt->fields[i]; i++)
		text_fmt(out, is_hex(pt->fields[i]) ? " %s=%llx" : " %s=%llu",
			 pt->fields[i] + is_hex(pt->fields[i]), (unsigned long long)tr->args[i]);
}

void obs_log_trace(struct obs_log *log, obs_time t, const struct ike_trace *tr)
{
	char buf[TRACE_LINE_MAX];
	struct text line = TEXT_OF(buf);

	if (log->level < OBS_DEBUG)
		return;
	obs_trace_text(&line, tr);
	obs_log(log, OBS_DEBUG, t, NULL, buf, NULL);
}

/* JSON has no 64-bit unsigned integers: a value above 2^63 - 1 stays there. */
static json_t *json_u64(uint64_t v)
{
	return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static bool put_arg(json_t *o, const char *field, uint64_t v)
{
	char hex[17];
	struct text t = TEXT_OF(hex);

	if (!is_hex(field))
		return put(o, field, json_u64(v));
	text_fmt(&t, "%llx", (unsigned long long)v);
	return put(o, field + 1, json_string(hex));
}

json_t *obs_trace_json(obs_time t, const struct ike_trace *tr)
{
	const struct ike_trace_point *pt = point_of(tr);
	json_t *o = json_object();
	bool ok = o && put_time(o, t) && put(o, "trace", json_string(pt->name)) &&
		  put(o, "sa", json_u64(tr->sa));

	for (size_t i = 0; ok && i < TRACE_ARGS && pt->fields[i]; i++)
		ok = put_arg(o, pt->fields[i], tr->args[i]);
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

/* ---- counters ---- */

enum status obs_counters_add(json_t *object, obs_counter_fn *fn, const void *src)
{
	const char *name;
	uint64_t value;

	for (size_t i = 0; fn(src, i, &name, &value); i++) {
		json_int_t before = json_integer_value(json_object_get(object, name));

		if (!put(object, name, json_u64((uint64_t)before + value)))
			return ST_NOMEM;
	}
	return ST_OK;
}
