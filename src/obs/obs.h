/*
 * obs.h - what people and programs see of the daemon: log lines, events, traces, counters, keys.
 *
 * The modules that decide do not format anything: they emit typed events, trace points and
 * numbered counters.  Here these become text and JSON.
 *
 *	obs_log*      one event a line on a descriptor: level, peer, message, key=value pairs
 *	obs_event_*   an `ike_event` as text and as the JSON that `warren watch` streams
 *	obs_trace_*   an `ike_trace` likewise
 *	obs_counters  any counter iterator into one JSON object
 *	obs_keylog    Wireshark's key tables, only when the configuration asks for them
 *
 * Rendering is pure; only obs_now(), obs_log() and obs_keylog_*() ask or touch the system.  Text
 * from peers is escaped, so that nobody can forge a line or a terminal sequence.  Values of secrets
 * have no way in here except the key log.
 */
#pragma once

#include <jansson.h>

#include "base/base.h"
#include "ike/ike.h"

/* Same order as enum conf_log. */
enum obs_level {
	OBS_ERROR,
	OBS_WARNING,
	OBS_INFO,
	OBS_DEBUG,
};

/* Milliseconds since 1970 UTC; the host reads the clock. */
typedef struct {
	int64_t ms;
} obs_time;

obs_time obs_now(void);

/* "2026-01-31T12:00:00.123Z" */
#define OBS_TIME_TEXT_MAX 32
const char *obs_time_text(obs_time t, char buf[static OBS_TIME_TEXT_MAX]);

/* Appends bytes so that neither a terminal nor a line-oriented reader nor JSON takes harm: what is
 * no well-formed UTF-8 and all control characters become \xNN.  Quotes and backslashes stay. */
void obs_clean(struct text *t, struct bytes b);

/* ---- log --------------------------------------------------------------------------------- */

/* A pair; a NULL key ends a list.  Values are quoted when they need it. */
struct obs_field {
	const char *key;
	const char *value;
};

#define OBS_LINE_MAX 2048

struct obs_log {
	int fd;
	enum obs_level level; /* the least important that is written */
	bool journal; /* prefix <N> of sd-daemon(3) instead of time and level */
	uint64_t lost; /* lines that write(2) refused */
};

/* Stderr; `journal` if $JOURNAL_STREAM names it (device:inode, systemd.exec(5)). */
void obs_log_init(struct obs_log *log, enum obs_level level);

/* `peer` may be NULL.  `fields` may be NULL.
 *	2026-01-31T12:00:00.123Z info    b: child_up: text spi_in=c0ffee01 spi_out=c0ffee02
 *	<6>b: child_up: ... */
void obs_log(struct obs_log *log, enum obs_level level, obs_time t, const char *peer,
	     const char *message, const struct obs_field *fields);

/* The line without its newline; what obs_log() writes. */
void obs_line_text(struct text *out, bool journal, enum obs_level level, obs_time t,
		   const char *peer, const char *message, const struct obs_field *fields);

const char *obs_level_name(enum obs_level level);

/* ---- events and traces of the engine ----------------------------------------------------- */

enum obs_level obs_event_level(const struct ike_event *ev);

void obs_log_event(struct obs_log *log, obs_time t, const struct ike_event *ev);

/* What concerns the event and no more: SPIs as hex, endpoints, the text. {"time","event","peer",
 * "spi_i","spi_r","spi_in","spi_out","local","remote","identity","text"}.  A new reference, NULL
 * when out of memory. */
json_t *obs_event_json(obs_time t, const struct ike_event *ev);

/* "ike.init.sent sa=3 msgid=0 ..." */
void obs_trace_text(struct text *out, const struct ike_trace *tr);
void obs_log_trace(struct obs_log *log, obs_time t, const struct ike_trace *tr);
json_t *obs_trace_json(obs_time t, const struct ike_trace *tr);

/* ---- counters ---------------------------------------------------------------------------- */

/* The shape of ike_counter() and of dp_ops.counter, with the object as void. */
typedef bool obs_counter_fn(const void *src, size_t index, const char **ret_name,
			    uint64_t *ret_value);

/* Adds {"name": value} for every counter; equal names add up.  ST_NOMEM. */
MUST enum status obs_counters_add(json_t *object, obs_counter_fn *fn, const void *src);

/* ---- key log for Wireshark --------------------------------------------------------------- */

/*
 * Appends to `ikev2_decryption_table` and `esp_sa` in a directory, the user accessible tables of
 * Wireshark (its manual, "IKEv2 decryption table" and "ESP SAs"), files with mode 0600.  Whoever
 * can read them can read all traffic: opened only when `keylog` is configured, with a warning.
 */
struct obs_keylog;

MUST enum status obs_keylog_new(const char *dir, struct text *why, struct obs_keylog **ret_keylog);
void obs_keylog_free(struct obs_keylog *k);

/* ST_INVAL: Wireshark's table has no word for that cipher; ST_IO: the write failed. */
MUST enum status obs_keylog_ike(struct obs_keylog *k, const struct ike_out *keys);
/* Both directions of a child that is being installed. */
MUST enum status obs_keylog_child(struct obs_keylog *k, const struct dp_child *child);

/* The lines themselves, with newline. */
MUST enum status obs_keylog_ike_line(struct text *out, const struct ike_out *keys);
MUST enum status obs_keylog_esp_line(struct text *out, unsigned family, uint32_t spi,
				     const struct esp_keys *keys);
