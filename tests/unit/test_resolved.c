/*
 * Name servers for systemd-resolved: the messages between the daemon and its agent, and an agent
 * that finds nobody to tell.  tests/system/test_resolved.py has those who are there.
 */
#include "unit/test_util.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/child.h"
#include "resolved/internal.h"

/* ---- messages ------------------------------------------------------------------------------ */

static struct ip ip(const char *s)
{
	struct ip a;

	assert_int_equal(ip_parse(s, &a), ST_OK);
	return a;
}

static void same_request(const struct resolved_request *a, const struct resolved_request *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->ifindex, b->ifindex);
	assert_int_equal(a->n_dns, b->n_dns);
	for (size_t i = 0; i < a->n_dns; i++)
		assert_true(ip_eq(&a->dns[i], &b->dns[i]));
	assert_int_equal(a->n_domains, b->n_domains);
	for (size_t i = 0; i < a->n_domains; i++)
		assert_string_equal(a->domains[i], b->domains[i]);
}

static void requests(void **state)
{
	static const uint8_t device[] = { 1, 0, 0, 1, 2 };
	static const uint8_t wish[] = { 2, 1, 4, 10, 1, 0, 53, 1, 4, 'c', '.', 'x', '1' };
	struct resolved_request full = { .type = RESOLVED_WISH }, r, again;
	uint8_t buf[RESOLVED_MESSAGE_MAX];
	size_t n;

	(void)state;
	assert_int_equal(resolved_parse_request(BYTES_OF(device), &r), ST_OK);
	assert_int_equal(r.ifindex, 258);
	n = resolved_make_request(&r, buf);
	assert_int_equal(n, sizeof(device));
	assert_memory_equal(buf, device, n);
	assert_int_equal(resolved_parse_request(BYTES_OF(wish), &r), ST_OK);
	assert_int_equal(r.n_dns, 1);
	assert_true(ip_eq(&r.dns[0], &(struct ip){ 4, { 10, 1, 0, 53 } }));
	assert_string_equal(r.domains[0], "c.x1");
	n = resolved_make_request(&r, buf);
	assert_int_equal(n, sizeof(wish));
	assert_memory_equal(buf, wish, n);
	/* As much as can be. */
	for (full.n_dns = 0; full.n_dns < RESOLVED_DNS_MAX; full.n_dns++)
		full.dns[full.n_dns] = ip("2001:db8::53");
	for (full.n_domains = 0; full.n_domains < RESOLVED_DOMAINS_MAX; full.n_domains++)
		for (size_t i = 0; i < RESOLVED_NAME_MAX; i++)
			full.domains[full.n_domains][i] = i % 64 == 63 ? '.' : 'a';
	n = resolved_make_request(&full, buf);
	assert_true(n > 0);
	assert_int_equal(resolved_parse_request(bytes_of(buf, n), &again), ST_OK);
	same_request(&full, &again);
	/* Each beginning of it is none. */
	for (size_t i = 0; i < n; i++)
		assert_int_equal(resolved_parse_request(bytes_of(buf, i), &again), ST_DROP);
}

static void bad_requests(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
		{ "\x00", 1 },
		{ "\x03\x00\x00", 3 },
		{ "\x01\x00\x00\x00\x00", 5 }, /* no device */
		{ "\x01\xff\xff\xff\xff", 5 },
		{ "\x01\x00\x00\x00\x05\x00", 6 }, /* something behind it */
		{ "\x02\x00\x00\x00", 4 },
		{ "\x02\x01\x05\x0a\x01\x00\x35\x00", 8 }, /* no such family */
		{ "\x02\x01\x04\x0a\x01\x00\x00", 7 },
		{ "\x02\x11", 2 }, /* too many */
		{ "\x02\x00\x21", 3 },
		{ "\x02\x00\x01\x00", 4 }, /* names that are none */
		{ "\x02\x00\x01\x01.", 5 },
		{ "\x02\x00\x01\x02"
		  "a.",
		  6 },
		{ "\x02\x00\x01\x02.a", 6 },
		{ "\x02\x00\x01\x04"
		  "a..b",
		  8 },
		{ "\x02\x00\x01\x01*", 5 },
		{ "\x02\x00\x01\x01 ", 5 },
		{ "\x02\x00\x01\x01\x00", 5 },
		{ "\x02\x00\x01\x01"
		  "A",
		  5 },
	};
	uint8_t label[4 + 64] = { 2, 0, 1, 64 };
	struct resolved_request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (resolved_parse_request(bytes_of(rows[i].bytes, rows[i].n), &r) != ST_DROP)
			fail_msg("row %zu", i);
	memset(label + 4, 'a', 64);
	assert_int_equal(resolved_parse_request(BYTES_OF(label), &r), ST_DROP);
	label[3] = 63;
	assert_int_equal(resolved_parse_request(bytes_of(label, 4 + 63), &r), ST_OK);
}

static void replies(void **state)
{
	static const uint8_t bad_state[] = { 4, 'x' }, nul[] = { 1, 'x', 0, 'y' };
	uint8_t buf[RESOLVED_MESSAGE_MAX + 1], huge[1 + RESOLVED_TEXT_MAX] = { 2 };
	struct resolved_reply r = { RESOLVED_ABSENT, "no system bus" }, again;
	size_t n = resolved_make_reply(&r, buf);

	(void)state;
	assert_int_equal(resolved_parse_reply(bytes_of(buf, n), &again), ST_OK);
	assert_int_equal(again.state, RESOLVED_ABSENT);
	assert_string_equal(again.text, "no system bus");
	assert_int_equal(resolved_parse_reply(bytes_of(buf, 0), &again), ST_DROP);
	assert_int_equal(resolved_parse_reply(BYTES_OF(bad_state), &again), ST_DROP);
	assert_int_equal(resolved_parse_reply(BYTES_OF(nul), &again), ST_DROP);
	memset(huge + 1, 'x', sizeof(huge) - 1);
	assert_int_equal(resolved_parse_reply(BYTES_OF(huge), &again), ST_DROP);
	assert_int_equal(resolved_parse_reply(bytes_of(huge, sizeof(huge) - 1), &again), ST_OK);
	assert_int_equal(strlen(again.text), RESOLVED_TEXT_MAX - 1);
}

/* ---- the agent ----------------------------------------------------------------------------- */

static struct {
	unsigned n;
	enum resolved_state state;
	char text[RESOLVED_TEXT_MAX];
} told;

static void on_change(void *ctx, enum resolved_state state, const char *text)
{
	(void)ctx;
	told.n++;
	told.state = state;
	snprintf(told.text, sizeof(told.text), "%s", text);
}

static struct resolved *start(void)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct resolved *r;

	memset(&told, 0, sizeof(told));
	assert_int_equal(resolved_fork(&why, &r), ST_OK);
	resolved_on_change(r, on_change, NULL);
	return r;
}

static enum status wait_told(struct resolved *r, unsigned n)
{
	struct pollfd p = { .fd = resolved_fd(r), .events = POLLIN };
	char buf[256];
	struct text why = TEXT_OF(buf);
	enum status st = ST_OK;

	while (st == ST_OK && told.n < n) {
		assert_true(poll(&p, 1, -1) > 0);
		st = resolved_pump(r, &why);
	}
	return st;
}

/* Nothing there to talk to: said, not fatal, and not asked for while there is nothing to tell. */
static void no_bus(void **state)
{
	const struct ip dns = ip("10.1.0.53");
	const char *const domains[] = { "corp.example", "" };
	const struct resolved_wish some = { &dns, 1, domains, 2 }, none = { 0 };
	struct resolved *r;
	char buf[256];
	struct text why = TEXT_OF(buf);

	(void)state;
	assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1), 0);
	r = start();
	assert_int_equal(resolved_device(r, 1, &why), ST_OK);
	assert_int_equal(resolved_state(r), RESOLVED_IDLE);
	resolved_set(r, &some);
	assert_int_equal(wait_told(r, 1), ST_OK);
	assert_int_equal(told.state, RESOLVED_ABSENT);
	assert_string_equal(told.text, "no system bus: No such file or directory");
	/* Of several in a row the last counts. */
	resolved_set(r, &none);
	resolved_set(r, &some);
	resolved_set(r, &none);
	assert_int_equal(wait_told(r, 3), ST_OK);
	assert_int_equal(told.state, RESOLVED_IDLE);
	assert_int_equal(resolved_state(r), RESOLVED_IDLE);
	resolved_free(r);
}

/* Who does not keep to the order ends the agent, and the daemon is told. */
static void second_device(void **state)
{
	struct resolved *r = start();
	char buf[256];
	struct text why = TEXT_OF(buf);

	(void)state;
	assert_int_equal(resolved_device(r, 1, &why), ST_OK);
	assert_int_equal(resolved_device(r, 2, &why), ST_OK);
	assert_int_equal(wait_told(r, 1), ST_IO);
	assert_int_equal(resolved_state(r), RESOLVED_ABSENT);
	resolved_set(r, &(struct resolved_wish){ 0 });
	resolved_free(r);
}

/* Without a device it does nothing. */
static void no_device(void **state)
{
	const struct ip dns = ip("10.1.0.53");
	struct resolved *r = start();

	(void)state;
	resolved_set(r, &(struct resolved_wish){ &dns, 1, NULL, 0 });
	assert_int_equal(wait_told(r, 1), ST_OK);
	assert_int_equal(told.state, RESOLVED_REFUSED);
	resolved_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),      cmocka_unit_test(bad_requests),
		cmocka_unit_test(replies),       cmocka_unit_test(no_bus),
		cmocka_unit_test(second_device), cmocka_unit_test(no_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
