/* Log lines, events, traces, counters, and the key log as Wireshark reads it. */
#include "unit/test_util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "obs/obs.h"

/* ---- text ---- */

static void times(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} row[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400123, "2000-02-29T00:00:00.123Z" },
		{ 1769860800007, "2026-01-31T12:00:00.007Z" },
	};
	char buf[OBS_TIME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_string_equal(obs_time_text((obs_time){ row[i].ms }, buf), row[i].text);
}

static void clean_text(void **state)
{
	static const struct {
		const char *in, *out;
	} row[] = {
		{ "", "" },
		{ "plain \"text\" \\", "plain \"text\" \\" },
		{ "a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f" },
		{ "\x1b[2J", "\\x1b[2J" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xc2\x9b", "\\xc2\\x9b" }, /* U+009B, a terminal's CSI */
		{ "\xc3", "\\xc3" },
		{ "\xc3(", "\\xc3(" },
		{ "\xe0\x80\x80", "\\xe0\\x80\\x80" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xff\xfe", "\\xff\\xfe" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char buf[64];
		struct text t = TEXT_OF(buf);

		obs_clean(&t, bytes_str(row[i].in));
		assert_string_equal(buf, row[i].out);
	}
}

/* Any bytes become valid UTF-8, which jansson checks by itself, without controls. */
static void clean_anything(void **state)
{
	(void)state;
	rnd_state = 3;
	for (int i = 0; i < 20000; i++) {
		uint8_t in[8];
		char buf[64];
		struct text t = TEXT_OF(buf);
		json_t *j;

		for (size_t k = 0; k < sizeof(in); k++)
			in[k] = (uint8_t)(rnd(3) ? 0x80 + rnd(128) : rnd(256));
		obs_clean(&t, BYTES_OF(in));
		j = json_string(buf);
		assert_non_null(j);
		json_decref(j);
		for (size_t k = 0; k < t.n; k++)
			assert_true((uint8_t)buf[k] >= 0x20 && buf[k] != 0x7f);
	}
}

static void lines(void **state)
{
	static const struct obs_field fields[] = { { "plain", "192.0.2.1:500" },
						   { "empty", "" },
						   { "spaced", "a b" },
						   { "quoted", "a\"b\\c=d\n" },
						   { NULL, NULL } };
	char buf[512];
	struct text t = TEXT_OF(buf);
	const obs_time at = { 1769860800000 };

	(void)state;
	obs_line_text(&t, false, OBS_WARNING, at, "b\n", "two\nlines", fields);
	assert_string_equal(buf, "2026-01-31T12:00:00.000Z warning b\\x0a: two\\x0alines "
				 "plain=192.0.2.1:500 empty=\"\" spaced=\"a b\" "
				 "quoted=\"a\\\"b\\\\c=d\\x0a\"");
	t = TEXT_OF(buf);
	obs_line_text(&t, true, OBS_ERROR, at, NULL, "x", NULL);
	assert_string_equal(buf, "<3>x");
	t = TEXT_OF(buf);
	obs_line_text(&t, true, OBS_DEBUG, at, "", "x", NULL);
	assert_string_equal(buf, "<7>x");
	t = TEXT_OF(buf);
	obs_line_text(&t, false, OBS_INFO, at, NULL, "x", NULL);
	assert_string_equal(buf, "2026-01-31T12:00:00.000Z info    x");
}

static size_t take(int fd, char *buf, size_t n)
{
	ssize_t got = read(fd, buf, n - 1);

	assert_true(got >= 0);
	buf[got] = '\0';
	return (size_t)got;
}

/* One line a call, in one write; what is less important than the level is not written. */
static void log_writes(void **state)
{
	struct obs_log log = { .level = OBS_INFO, .journal = true };
	char buf[8192], big[OBS_LINE_MAX * 2];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	log.fd = fd[1];
	obs_log(&log, OBS_DEBUG, (obs_time){ 0 }, NULL, "no", NULL);
	obs_log(&log, OBS_INFO, (obs_time){ 0 }, NULL, "yes", NULL);
	take(fd[0], buf, sizeof(buf));
	assert_string_equal(buf, "<6>yes\n");

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	obs_log(&log, OBS_INFO, (obs_time){ 0 }, NULL, big, NULL);
	assert_int_equal(take(fd[0], buf, sizeof(buf)), OBS_LINE_MAX);
	assert_string_equal(buf + OBS_LINE_MAX - 4, "...\n");
	close(fd[0]);
	close(fd[1]);
}

static void log_knows_the_journal(void **state)
{
	struct obs_log log;
	struct stat sb;
	char stream[64];

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &sb), 0);
	unsetenv("JOURNAL_STREAM");
	obs_log_init(&log, OBS_INFO);
	assert_false(log.journal);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)sb.st_dev,
		 (unsigned long long)sb.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	obs_log_init(&log, OBS_INFO);
	assert_true(log.journal);
	assert_int_equal(log.fd, STDERR_FILENO);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)sb.st_dev,
		 (unsigned long long)sb.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	obs_log_init(&log, OBS_INFO);
	assert_false(log.journal);
	setenv("JOURNAL_STREAM", "garbage", 1);
	obs_log_init(&log, OBS_INFO);
	assert_false(log.journal);
	unsetenv("JOURNAL_STREAM");
}

/* ---- events and traces ---- */

static struct ike_event child_up(void)
{
	struct ike_event ev = { .kind = IKE_EV_CHILD_UP,
				.peer = 1,
				.peer_name = "b",
				.spi_i = 0x0123456789abcdef,
				.spi_r = 0x1,
				.spi_in = 0xc0ffee01,
				.spi_out = 0x2,
				.identity = "b\n",
				.text = "child is \"up\"\n\xff" };

	assert_int_equal(ip_parse("192.0.2.1", &ev.local.ip), ST_OK);
	assert_int_equal(ip_parse("2001:db8::2", &ev.remote.ip), ST_OK);
	ev.local.port = ev.remote.port = 4500;
	return ev;
}

static void event_line(void **state)
{
	struct obs_log log = { .level = OBS_INFO, .journal = true };
	const struct ike_event ev = child_up();
	char buf[4096];
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	log.fd = fd[1];
	obs_log_event(&log, (obs_time){ 0 }, &ev);
	take(fd[0], buf, sizeof(buf));
	assert_string_equal(buf, "<6>b: child_up: child is \"up\"\\x0a\\xff spi_i=0123456789abcdef "
				 "spi_r=0000000000000001 spi_in=c0ffee01 spi_out=00000002 "
				 "local=192.0.2.1:4500 remote=[2001:db8::2]:4500 "
				 "identity=\"b\\x0a\"\n");
	close(fd[0]);
	close(fd[1]);
}

static void assert_json(json_t *o, const char *want)
{
	char *got;

	assert_non_null(o);
	got = json_dumps(o, JSON_COMPACT);
	assert_string_equal(got, want);
	free(got);
	json_decref(o);
}

static void event_json(void **state)
{
	const struct ike_event ev = child_up();
	struct ike_event bare = { .kind = IKE_EV_REFUSED, .peer_name = "" };

	(void)state;
	assert_json(obs_event_json((obs_time){ 1000 }, &ev),
		    "{\"time\":\"1970-01-01T00:00:01.000Z\",\"event\":\"child_up\",\"peer\":\"b\","
		    "\"spi_i\":\"0123456789abcdef\",\"spi_r\":\"0000000000000001\","
		    "\"spi_in\":\"c0ffee01\",\"spi_out\":\"00000002\","
		    "\"local\":\"192.0.2.1:4500\",\"remote\":\"[2001:db8::2]:4500\","
		    "\"identity\":\"b\\\\x0a\",\"text\":\"child is \\\"up\\\"\\\\x0a\\\\xff\"}");
	assert_json(obs_event_json((obs_time){ 0 }, &bare),
		    "{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"refused\",\"peer\":\"\","
		    "\"text\":\"\"}");
	bare.reason = IKE_R_NO_ANSWER;
	assert_json(obs_event_json((obs_time){ 0 }, &bare),
		    "{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"refused\",\"peer\":\"\","
		    "\"reason\":\"no_answer\",\"text\":\"\"}");
}

/* Every kind has a name of its own and a level; what peers can bring about is no error of ours, and
 * what only the mesh has to know, which says it in events of its own, is no line of its own. */
static void event_kinds(void **state)
{
	(void)state;
	for (unsigned a = 0; a < IKE_EVENTS; a++) {
		struct ike_event ev = { .kind = (enum ike_event_kind)a };

		assert_int_equal(obs_event_level(&ev) > OBS_INFO,
				 a == IKE_EV_CARRIES || a == IKE_EV_PARTNER_OVER);
		assert_int_equal(obs_event_level(&ev) == OBS_ERROR,
				 a == IKE_EV_DATAPLANE || a == IKE_EV_BUG);
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(ike_event_name((enum ike_event_kind)a),
						ike_event_name((enum ike_event_kind)b));
	}
	assert_string_equal(ike_reason_name(IKE_R_NONE), "");
	for (unsigned a = 0; a < IKE_REASONS; a++)
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(ike_reason_name((enum ike_reason)a),
						ike_reason_name((enum ike_reason)b));
}

/* Every trace point renders all its fields, and in JSON the same ones. */
static void traces(void **state)
{
	(void)state;
	assert_true(ike_n_trace_points > 0);
	for (unsigned i = 0; i <= ike_n_trace_points; i++) {
		struct ike_trace tr = { .point = i, .sa = 7, .args = { 10, 11, 12, UINT64_MAX } };
		char buf[256], want[256];
		struct text t = TEXT_OF(buf), w = TEXT_OF(want);
		json_t *o = obs_trace_json((obs_time){ 0 }, &tr);

		obs_trace_text(&t, &tr);
		assert_non_null(o);
		assert_int_equal(json_integer_value(json_object_get(o, "sa")), 7);
		text_fmt(&w, "%s sa=7",
			 i < ike_n_trace_points ? ike_trace_points[i].name : "unknown");
		assert_int_equal(strncmp(buf, want, w.n), 0);
		for (unsigned k = 0; i < ike_n_trace_points && k < 4; k++) {
			const char *field = ike_trace_points[i].fields[k];
			bool hex = field && field[0] == '#';

			if (!field)
				break;
			w = TEXT_OF(want);
			text_fmt(&w, hex ? " %s=%llx" : " %s=%llu", field + hex,
				 (unsigned long long)tr.args[k]);
			assert_non_null(strstr(buf, want));
			assert_non_null(json_object_get(o, field + hex));
		}
		json_decref(o);
	}
}

/* ---- counters ---- */

struct fake_counters {
	const char *const *names;
	const uint64_t *values;
	size_t n;
};

static bool fake_counter(const void *src, size_t index, const char **ret_name, uint64_t *ret_value)
{
	const struct fake_counters *f = src;

	if (index >= f->n)
		return false;
	*ret_name = f->names[index];
	*ret_value = f->values[index];
	return true;
}

static void counters(void **state)
{
	static const char *const names[] = { "a", "b", "c", "a" };
	static const uint64_t values[] = { 1, UINT64_MAX, 0, 5 };
	const struct fake_counters f = { names, values, 4 };
	json_t *o = json_object();

	(void)state;
	assert_int_equal(obs_counters_add(o, fake_counter, &f), ST_OK);
	assert_json(o, "{\"a\":6,\"b\":9223372036854775807,\"c\":0}");
}

/* ---- key log ---- */

static struct ike_out ike_keys(uint16_t bits)
{
	static const uint8_t ei[36] = { 0xe1, 0xe2 }, er[36] = { 0xf1 };
	struct ike_out out = { .kind = IKE_OUT_KEYS };
	size_t n = bits / 8 + 4;

	out.u.keys.spi_i = 0xe48055b2badccb86;
	out.u.keys.spi_r = 0x0f18ad8ff43d12b2;
	out.u.keys.cipher = (struct crypto_cipher){ CRYPTO_AES_GCM_16, bits, CRYPTO_INTEG_NONE };
	out.u.keys.sk_ei = bytes_of(ei, n);
	out.u.keys.sk_er = bytes_of(er, n);
	return out;
}

/* Formats of tshark 4.0, checked there against a capture by tests/system/test_keylog.py. */
static void keylog_lines(void **state)
{
	struct esp_keys esp = { .cipher = { CRYPTO_AES_GCM_16, 128, CRYPTO_INTEG_NONE } };
	struct ike_out ike = ike_keys(128);
	char buf[512];
	struct text t = TEXT_OF(buf);

	(void)state;
	assert_int_equal(obs_keylog_ike_line(&t, &ike), ST_OK);
	assert_string_equal(buf,
			    "e48055b2badccb86,0f18ad8ff43d12b2,"
			    "e1e2000000000000000000000000000000000000,"
			    "f100000000000000000000000000000000000000,"
			    "\"AES-GCM-128 with 16 octet ICV [RFC5282]\",,,\"NONE [RFC4306]\"\n");
	t = TEXT_OF(buf);
	ike = ike_keys(256);
	assert_int_equal(obs_keylog_ike_line(&t, &ike), ST_OK);
	assert_non_null(strstr(buf, ",\"AES-GCM-256 with 16 octet ICV [RFC5282]\","));
	assert_int_equal(strcspn(buf + 34, ","), 72);

	t = TEXT_OF(buf);
	assert_true(secret_set(&esp.encr, ike_keys(128).u.keys.sk_ei));
	assert_int_equal(obs_keylog_esp_line(&t, 6, 0x0588d20a, &esp), ST_OK);
	assert_string_equal(buf, "\"IPv6\",\"*\",\"*\",\"0x0588d20a\","
				 "\"AES-GCM with 16 octet ICV [RFC4106]\","
				 "\"0xe1e2000000000000000000000000000000000000\",\"NULL\",\"\"\n");
}

static void keylog_unknown_cipher(void **state)
{
	struct esp_keys esp = { .cipher = { CRYPTO_AES_CBC, 128, CRYPTO_HMAC_SHA2_256_128 } };
	struct ike_out ike = ike_keys(128);
	char buf[512];
	struct text t = TEXT_OF(buf);

	(void)state;
	ike.u.keys.cipher.encr = CRYPTO_AES_CBC;
	assert_int_equal(obs_keylog_ike_line(&t, &ike), ST_INVAL);
	assert_int_equal(obs_keylog_esp_line(&t, 4, 1, &esp), ST_INVAL);
	assert_int_equal(t.n, 0);
}

struct dir {
	char path[64];
	char ike[128];
	char esp[128];
};

static void dir_new(struct dir *d)
{
	strcpy(d->path, "/tmp/warren-obs-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	snprintf(d->ike, sizeof(d->ike), "%s/ikev2_decryption_table", d->path);
	snprintf(d->esp, sizeof(d->esp), "%s/esp_sa", d->path);
}

static void dir_free(struct dir *d)
{
	unlink(d->ike);
	unlink(d->esp);
	assert_int_equal(rmdir(d->path), 0);
}

static size_t count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void assert_mode(const char *path, mode_t mode)
{
	struct stat sb;

	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 07777, mode);
}

/* S4: what holds keys is for its owner only, also when the file was there with another mode. */
static void keylog_files(void **state)
{
	struct ike_out keys = ike_keys(128);
	struct dp_child child = { .spi_in = 1, .spi_out = 2, .remote = { .ip = { .family = 4 } } };
	struct obs_keylog *k;
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct dir d;
	int fd;

	(void)state;
	dir_new(&d);
	fd = open(d.esp, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0 && fchmod(fd, 0666) == 0);
	close(fd);
	child.in.cipher = child.out.cipher = keys.u.keys.cipher;
	for (size_t run = 1; run <= 2; run++) { /* appends */
		assert_int_equal(obs_keylog_new(d.path, &why, &k), ST_OK);
		assert_int_equal(obs_keylog_ike(k, &keys), ST_OK);
		assert_int_equal(obs_keylog_child(k, &child), ST_OK);
		obs_keylog_free(k);
		assert_int_equal(count_lines(d.ike), run);
		assert_int_equal(count_lines(d.esp), 2 * run);
	}
	assert_mode(d.ike, 0600);
	assert_mode(d.esp, 0600);
	dir_free(&d);
	obs_keylog_free(NULL);
}

/* A link prepared by somebody else is not followed. */
static void keylog_refuses(void **state)
{
	struct obs_keylog *k;
	char buf[256], target[128];
	struct text why = TEXT_OF(buf);
	struct dir d;

	(void)state;
	dir_new(&d);
	snprintf(target, sizeof(target), "%s/target", d.path);
	assert_int_equal(symlink(target, d.ike), 0);
	assert_int_equal(obs_keylog_new(d.path, &why, &k), ST_IO);
	assert_non_null(strstr(buf, "ikev2_decryption_table"));
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(unlink(d.ike), 0);
	assert_int_equal(mkfifo(d.esp, 0600), 0);
	assert_int_equal(obs_keylog_new(d.path, &why, &k), ST_IO);
	dir_free(&d);
	why = TEXT_OF(buf);
	assert_int_equal(obs_keylog_new(d.path, &why, &k), ST_IO);
	assert_non_null(strstr(buf, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(clean_text),
		cmocka_unit_test(clean_anything),
		cmocka_unit_test(lines),
		cmocka_unit_test(log_writes),
		cmocka_unit_test(log_knows_the_journal),
		cmocka_unit_test(event_line),
		cmocka_unit_test(event_json),
		cmocka_unit_test(event_kinds),
		cmocka_unit_test(traces),
		cmocka_unit_test(counters),
		cmocka_unit_test(keylog_lines),
		cmocka_unit_test(keylog_unknown_cipher),
		cmocka_unit_test(keylog_files),
		cmocka_unit_test(keylog_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
