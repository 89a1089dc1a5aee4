/*
 * The list of what an authority issued, as text: a line for the format, one for the number of the
 * last CRL, one for every certificate, fields separated by tabs:
 *
 *	warren-index 1
 *	crl 3
 *	serial role identity not-before not-after revoked key-hash prefix,prefix,...
 *
 * Dates are seconds since 1970, "-" for not revoked; a line feed ends every line, the last too.  A
 * line that cannot be read makes the whole index unusable: what it says about prefixes and
 * revocations must not get lost in silence.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pki/internal.h"

#define HEADER "warren-index 1"

enum { LINE_MAX_BYTES = 8192, FIELDS = 8 };

void hex_text(struct bytes b, char *ret)
{
	for (size_t i = 0; i < b.n; i++)
		snprintf(ret + 2 * i, 3, "%02x", b.p[i]);
	ret[2 * b.n] = '\0';
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum status hex_bytes(const char *s, uint8_t *ret, size_t cap, size_t *ret_n)
{
	size_t n = strlen(s);

	if (n % 2 != 0 || n / 2 > cap)
		return ST_INVAL;
	for (size_t i = 0; i < n; i += 2) {
		int high = nibble(s[i]), low = nibble(s[i + 1]);

		if (high < 0 || low < 0)
			return ST_INVAL;
		ret[i / 2] = (uint8_t)(high << 4 | low);
	}
	*ret_n = n / 2;
	return ST_OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

void index_done(struct index *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->row[i].prefixes);
	free(x->row);
	*x = (struct index){ 0 };
}

static enum status grow(struct index *x)
{
	size_t cap = x->cap ? 2 * x->cap : 16;
	struct pki_issued *row;

	if (x->n < x->cap)
		return ST_OK;
	row = reallocarray(x->row, cap, sizeof(*row));
	if (!row)
		return ST_NOMEM;
	x->row = row;
	x->cap = cap;
	return ST_OK;
}

enum status index_add(struct index *x, const struct pki_issued *row)
{
	struct prefix *copy = reallocarray(NULL, row->n_prefixes + 1, sizeof(*copy));

	if (!copy || grow(x) != ST_OK) {
		free(copy);
		return ST_NOMEM;
	}
	if (row->n_prefixes)
		memcpy(copy, row->prefixes, row->n_prefixes * sizeof(*copy));
	x->row[x->n] = *row;
	x->row[x->n++].prefixes = copy;
	return ST_OK;
}

bool index_has_serial(const struct index *x, const char *serial)
{
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->row[i].serial, serial) == 0)
			return true;
	return false;
}

bool issued_counts(const struct pki_issued *row, wall_t now)
{
	return row->revoked.s == 0 && row->not_after.s >= now.s;
}

static bool row_overlaps(const struct pki_issued *row, const struct pki_blocks *blocks)
{
	struct pki_blocks own;

	return pki_blocks_of_prefixes(row->prefixes, row->n_prefixes, &own) == ST_OK &&
	       pki_blocks_overlap(&own, blocks);
}

const struct pki_issued *index_overlap(const struct index *x, const struct pki_id *id,
				       const struct pki_blocks *blocks, wall_t now)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct pki_issued *row = &x->row[i];

		if (row->role == PKI_SITE && issued_counts(row, now) && !pki_id_eq(&row->id, id) &&
		    row_overlaps(row, blocks))
			return row;
	}
	return NULL;
}

const struct pki_issued *index_other_key(const struct index *x, const struct pki_id *id,
					 const uint8_t key_hash[static PKI_HASH], wall_t now)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct pki_issued *row = &x->row[i];

		if (issued_counts(row, now) && pki_id_eq(&row->id, id) &&
		    memcmp(row->key_hash, key_hash, PKI_HASH) != 0)
			return row;
	}
	return NULL;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Decimal, without sign or leading zero. */
static bool take_number(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s == '\0' || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > (max - (uint64_t)(*s - '0')) / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*ret = v;
	return true;
}

static bool take_time(const char *s, wall_t *ret)
{
	uint64_t v;

	if (!take_number(s, INT64_MAX, &v))
		return false;
	ret->s = (int64_t)v;
	return true;
}

static bool take_revoked(const char *s, wall_t *ret)
{
	ret->s = 0;
	return strcmp(s, "-") == 0 || (take_time(s, ret) && ret->s > 0);
}

static bool take_serial(const char *s, char ret[static 2 * PKI_SERIAL_MAX + 1])
{
	uint8_t raw[PKI_SERIAL_MAX];
	size_t n;

	if (hex_bytes(s, raw, sizeof(raw), &n) != ST_OK || n == 0)
		return false;
	memcpy(ret, s, 2 * n + 1);
	return true;
}

static bool take_id(const char *s, struct pki_id *ret)
{
	char unused[160];
	struct text none = TEXT_OF(unused);

	return pki_id_parse(s, &none, ret) == ST_OK && strcmp(ret->text, s) == 0;
}

static bool take_hash(const char *s, uint8_t ret[static PKI_HASH])
{
	size_t n;

	return hex_bytes(s, ret, PKI_HASH, &n) == ST_OK && n == PKI_HASH;
}

static bool take_prefix(const char *s, struct prefix *ret)
{
	char text[PREFIX_TEXT_MAX];

	return prefix_parse(s, ret) == ST_OK && strcmp(prefix_text(ret, text), s) == 0;
}

/* `s` is cut up; at least one, unless it is an endpoint's. */
static bool take_prefixes(char *s, enum pki_role role, struct prefix ret[static PKI_BLOCKS_MAX],
			  size_t *ret_n)
{
	size_t n = 0;
	char *word;

	if (role == PKI_ENDPOINT) {
		*ret_n = 0;
		return *s == '\0';
	}
	while ((word = strsep(&s, ",")) != NULL)
		if (n == PKI_BLOCKS_MAX || !take_prefix(word, &ret[n++]))
			return false;
	*ret_n = n;
	return true;
}

/* The name of the field that is wrong, or NULL. */
static const char *take_row(char *line, struct pki_issued *row)
{
	char *field[FIELDS];

	for (size_t i = 0; i < FIELDS; i++)
		if (!(field[i] = strsep(&line, "\t")))
			return "number of fields";
	if (line)
		return "number of fields";
	return !take_serial(field[0], row->serial)             ? "serial number"
	       : pki_role_parse(field[1], &row->role) != ST_OK ? "role"
	       : !take_id(field[2], &row->id)                  ? "identity"
	       : !take_time(field[3], &row->not_before)        ? "first date"
	       : !take_time(field[4], &row->not_after)         ? "last date"
	       : !take_revoked(field[5], &row->revoked)        ? "date of revocation"
	       : !take_hash(field[6], row->key_hash)           ? "hash of the key"
	       : !take_prefixes(field[7], row->role, row->prefixes, &row->n_prefixes)
		       ? "list of prefixes"
		       : NULL;
}

/* The next line as a string; false at the end, or when it has no line feed or a NUL inside. */
static bool next_line(struct armour *a, char buf[static LINE_MAX_BYTES])
{
	struct bytes line;

	if (armour_line(a, &line) != ST_OK || line.n >= LINE_MAX_BYTES ||
	    (line.n && memchr(line.p, '\0', line.n)))
		return false;
	if (line.n)
		memcpy(buf, line.p, line.n);
	buf[line.n] = '\0';
	return true;
}

static enum status parse_head(struct armour *a, struct index *x, struct text *why)
{
	char line[LINE_MAX_BYTES];

	if (!next_line(a, line) || strcmp(line, HEADER) != 0)
		return pki_refuse(why, "not an index: its first line is not \"" HEADER "\"");
	if (!next_line(a, line) || strncmp(line, "crl ", 4) != 0 ||
	    !take_number(line + 4, INT64_MAX, &x->crl_number))
		return pki_refuse(why, "line 2: \"crl NUMBER\" should be here");
	return ST_OK;
}

static enum status parse_row(struct armour *a, struct index *x, struct text *why)
{
	struct prefix prefixes[PKI_BLOCKS_MAX];
	struct pki_issued row = { .prefixes = prefixes };
	char line[LINE_MAX_BYTES];
	unsigned number = a->line;
	const char *wrong = next_line(a, line) ? take_row(line, &row) : "end of the line";

	if (wrong)
		return pki_refuse(why,
				  "line %u: the %s cannot be read; restore the file from a "
				  "backup",
				  number, wrong);
	return index_add(x, &row);
}

enum status index_parse(struct bytes text, struct text *why, struct index *ret_index)
{
	struct armour a = { cur_of(text), 1 };
	struct index x = { 0 };
	enum status st = parse_head(&a, &x, why);

	while (st == ST_OK && cur_left(&a.in) > 0)
		st = parse_row(&a, &x, why);
	if (st == ST_OK)
		*ret_index = x;
	else
		index_done(&x);
	return st;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void print_row(FILE *f, const struct pki_issued *row)
{
	char hash[2 * PKI_HASH + 1], prefix[PREFIX_TEXT_MAX];

	hex_text(BYTES_OF(row->key_hash), hash);
	fprintf(f, "%s\t%s\t%s\t%lld\t%lld\t", row->serial, pki_role_name(row->role), row->id.text,
		(long long)row->not_before.s, (long long)row->not_after.s);
	if (row->revoked.s)
		fprintf(f, "%lld\t%s\t", (long long)row->revoked.s, hash);
	else
		fprintf(f, "-\t%s\t", hash);
	for (size_t i = 0; i < row->n_prefixes; i++)
		fprintf(f, "%s%s", i ? "," : "", prefix_text(&row->prefixes[i], prefix));
	fputc('\n', f);
}

enum status index_print(const struct index *x, struct pki_blob *ret_text)
{
	struct pki_blob text = { 0 };
	char *p = NULL;
	FILE *f = open_memstream(&p, &text.n);
	bool good;

	if (!f)
		return ST_NOMEM;
	fprintf(f, HEADER "\ncrl %llu\n", (unsigned long long)x->crl_number);
	for (size_t i = 0; i < x->n; i++)
		print_row(f, &x->row[i]);
	good = !ferror(f);
	good = fclose(f) == 0 && good;
	text.p = (uint8_t *)p;
	if (!good) {
		pki_blob_done(&text);
		return ST_NOMEM;
	}
	*ret_text = text;
	return ST_OK;
}
