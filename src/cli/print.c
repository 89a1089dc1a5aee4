#include <stdio.h>

#include "cli/cli.h"
#include "obs/obs.h"

const char *cli_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

json_int_t cli_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool cli_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

void cli_add(struct text *t, const char *s)
{
	obs_clean(t, bytes_str(s));
}

void cli_add_list(struct text *t, const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *s = json_string_value(json_array_get(array, i));

		if (i > 0)
			text_add(t, ", ");
		cli_add(t, s ? s : "?");
	}
}

/* The two largest units. */
void cli_add_duration(struct text *t, json_int_t seconds)
{
	long long s = seconds;

	if (s < 60)
		text_fmt(t, "%llds", s);
	else if (s < 3600)
		text_fmt(t, "%lldm %llds", s / 60, s % 60);
	else if (s < 86400)
		text_fmt(t, "%lldh %lldm", s / 3600, s / 60 % 60);
	else
		text_fmt(t, "%lldd %lldh", s / 86400, s / 3600 % 24);
}

void cli_add_rtt(struct text *t, json_int_t us)
{
	text_fmt(t, us < 10000 ? "%.2f ms" : "%.0f ms", (double)us / 1000);
}

void cli_add_bytes(struct text *t, json_int_t n)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		text_fmt(t, "%lld B", (long long)n);
		return;
	}
	/* What would be rounded to 1024.0 belongs to the next unit. */
	for (; v >= 1023.95 && i + 1 < ARRAY_LEN(unit); i++)
		v /= 1024;
	text_fmt(t, "%.1f %s", v, unit[i]);
}

/* Characters, not bytes. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((uint8_t)*s & 0xc0) != 0x80;
	return n;
}

void cli_table_fit(struct cli_table *t, const struct cli_row *row)
{
	for (size_t i = 0; i < t->columns; i++)
		if (width_of(row->cell[i]) > t->width[i])
			t->width[i] = width_of(row->cell[i]);
}

void cli_table_print(const struct cli_table *t, const struct cli_row *row)
{
	for (size_t i = 0; i < t->columns; i++) {
		size_t pad = i + 1 < t->columns ? t->width[i] - width_of(row->cell[i]) + 2 : 0;

		printf("%s%*s", row->cell[i], (int)pad, "");
	}
	printf("\n");
}

void cli_print_json(json_t *o, bool one_line)
{
	json_dumpf(o, stdout, one_line ? JSON_COMPACT : JSON_INDENT(2));
	printf("\n");
	fflush(stdout);
}
