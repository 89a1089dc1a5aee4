#include "obs/obs.h"

#include <time.h>

const char *obs_time_text(obs_time t, char buf[static OBS_TIME_TEXT_MAX])
{
	struct text out = { buf, 0, OBS_TIME_TEXT_MAX };
	int64_t ms = t.ms % 1000;
	time_t s;
	struct tm tm;

	if (ms < 0)
		ms += 1000;
	s = (time_t)((t.ms - ms) / 1000);
	buf[0] = '\0';
	if (gmtime_r(&s, &tm))
		text_fmt(&out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
			 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
	return buf;
}

const char *obs_level_name(enum obs_level level)
{
	static const char *const name[] = {
		[OBS_ERROR] = "error",
		[OBS_WARNING] = "warning",
		[OBS_INFO] = "info",
		[OBS_DEBUG] = "debug",
	};

	return name[level];
}

/* ---- escaping ---- */

static uint8_t byte_at(struct bytes b, size_t i)
{
	return i < b.n ? b.p[i] : 0;
}

/* Length of the printable UTF-8 character `b` begins with (Unicode table 3-7, without U+0080 to
 * U+009F, which are terminal controls); 0 if there is none. */
static size_t printable_len(struct bytes b)
{
	uint8_t first = byte_at(b, 0), second = byte_at(b, 1);
	uint8_t low = first == 0xc2 || first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	size_t n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first < 0x80)
		return first >= 0x20 && first != 0x7f;
	if (first < 0xc2 || first > 0xf4 || second < low || second > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((byte_at(b, i) & 0xc0) != 0x80)
			return 0;
	return n;
}

void obs_clean(struct text *t, struct bytes b)
{
	while (b.n > 0) {
		size_t n = printable_len(b);

		if (n)
			text_fmt(t, "%.*s", (int)n, (const char *)b.p);
		else
			text_fmt(t, "\\x%02x", b.p[0]);
		n = n ? n : 1;
		b = bytes_of(b.p + n, b.n - n);
	}
}

/* ---- lines ---- */

static bool is_plain(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("\"\\=", *p))
			return false;
	return *s != '\0';
}

static void add_field(struct text *out, const struct obs_field *f)
{
	text_fmt(out, " %s=", f->key);
	if (is_plain(f->value)) {
		text_add(out, f->value);
		return;
	}
	text_add(out, "\"");
	text_quote(out, bytes_str(f->value));
	text_add(out, "\"");
}

/* sd-daemon(3): the priorities of syslog(3). */
static int journal_priority(enum obs_level level)
{
	static const int priority[] = {
		[OBS_ERROR] = 3,
		[OBS_WARNING] = 4,
		[OBS_INFO] = 6,
		[OBS_DEBUG] = 7,
	};

	return priority[level];
}

void obs_line_text(struct text *out, bool journal, enum obs_level level, obs_time t,
		   const char *peer, const char *message, const struct obs_field *fields)
{
	char when[OBS_TIME_TEXT_MAX];

	if (journal)
		text_fmt(out, "<%d>", journal_priority(level));
	else
		text_fmt(out, "%s %-7s ", obs_time_text(t, when), obs_level_name(level));
	if (peer && *peer) {
		obs_clean(out, bytes_str(peer));
		text_add(out, ": ");
	}
	obs_clean(out, bytes_str(message));
	for (; fields && fields->key; fields++)
		add_field(out, fields);
}
