/*
 * What `warren pki` prints.
 */
#include <stdio.h>
#include <time.h>

#include "cli/pki_cli.h"

enum { VALUE_MAX = 8192 };

/* ---- values as JSON ------------------------------------------------------------------------ */

static void add_range(json_t *list, const struct ip_range *r)
{
	struct pki_blocks one = { 1, { *r } };
	char buf[2 * IP_TEXT_MAX];
	struct text t = TEXT_OF(buf);

	pki_blocks_text(&t, &one);
	json_array_append_new(list, json_string(buf));
}

json_t *pki_json_blocks(const struct pki_blocks *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->n; i++)
		add_range(list, &b->range[i]);
	return list;
}

json_t *pki_json_hubs(const struct pki_hubs *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->n; i++)
		json_array_append_new(list, json_string(h->name[i]));
	return list;
}

json_t *pki_json_time(wall_t at)
{
	time_t s = (time_t)at.s;
	char buf[40];
	struct tm tm;

	if (!gmtime_r(&s, &tm) || strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(buf);
}

json_t *pki_json_hash(const uint8_t hash[static PKI_HASH])
{
	char buf[2 * PKI_HASH + 1];
	struct text t = TEXT_OF(buf);

	text_hex(&t, bytes_of(hash, PKI_HASH));
	return json_string(buf);
}

struct pki_blocks pki_blocks_of_row(const struct pki_issued *row)
{
	struct pki_blocks b = { 0 };

	/* The index was read with the same limit. */
	if (pki_blocks_of_prefixes(row->prefixes, row->n_prefixes, &b) != ST_OK)
		b.n = 0;
	return b;
}

/* ---- lines --------------------------------------------------------------------------------- */

void pki_line(const char *name, const char *value)
{
	char buf[VALUE_MAX];
	struct text t = TEXT_OF(buf);

	cli_add(&t, value);
	printf("  %-13s %s\n", name, buf);
}

void pki_line_blocks(const char *name, const struct pki_blocks *b)
{
	char buf[VALUE_MAX];
	struct text t = TEXT_OF(buf);

	pki_blocks_text(&t, b);
	pki_line(name, buf);
}

void pki_line_hubs(const struct pki_hubs *h)
{
	char buf[VALUE_MAX];
	struct text t = TEXT_OF(buf);

	for (size_t i = 0; i < h->n; i++)
		text_fmt(&t, "%s%s", i ? ", " : "", h->name[i]);
	pki_line("hubs", h->n ? buf : "none");
}

void pki_line_dates(wall_t from, wall_t until)
{
	char buf[128];
	struct text t = TEXT_OF(buf);

	pki_time_text(&t, from);
	text_add(&t, " to ");
	pki_time_text(&t, until);
	pki_line("valid", buf);
}

void pki_line_hash(const char *name, const uint8_t hash[static PKI_HASH])
{
	char buf[2 * PKI_HASH + 1];
	struct text t = TEXT_OF(buf);

	text_hex(&t, bytes_of(hash, PKI_HASH));
	pki_line(name, buf);
}

/* ---- certificates and requests ------------------------------------------------------------- */

static json_t *cert_json(const struct pki_cert_info *c)
{
	return json_pack("{s:s, s:b, s:s, s:s, s:s?, s:s, s:o, s:o, s:s, s:o, s:o}", "kind",
			 "certificate", "ca", c->ca, "subject", c->subject, "issuer", c->issuer,
			 "id", c->has_id ? c->id.text : NULL, "serial", c->serial, "not_before",
			 pki_json_time(c->not_before), "not_after", pki_json_time(c->not_after),
			 "key", c->key, "prefixes", pki_json_blocks(&c->blocks), "sha256",
			 pki_json_hash(c->hash));
}

static void print_json(json_t *o)
{
	if (o)
		cli_print_json(o, false);
	json_decref(o);
}

static void cert_lines(const struct pki_cert_info *c)
{
	if (c->has_id)
		pki_line("identity", c->id.text);
	pki_line("subject", c->subject);
	pki_line("issuer", c->issuer);
	pki_line("serial", c->serial);
	pki_line_dates(c->not_before, c->not_after);
	pki_line("key", c->key);
	pki_line_blocks(c->ca ? "domain" : "prefixes", &c->blocks);
	pki_line_hash("sha256", c->hash);
}

void pki_print_cert(const struct cli *cli, const struct pki_cert_info *info)
{
	if (cli->json) {
		print_json(cert_json(info));
		return;
	}
	printf("certificate%s\n", info->ca ? " of an authority" : "");
	cert_lines(info);
}

void pki_print_request(const struct cli *cli, const struct pki_request_info *r)
{
	if (cli->json) {
		print_json(json_pack("{s:s, s:s?, s:s, s:o, s:o}", "kind", "request", "id",
				     r->has_id ? r->id.text : NULL, "key", r->key, "prefixes",
				     pki_json_blocks(&r->blocks), "key_sha256",
				     pki_json_hash(r->key_hash)));
		return;
	}
	printf("certificate request, signed by its own key\n");
	pki_line("identity", r->has_id ? r->id.text : "none");
	pki_line("key", r->key);
	pki_line_blocks("asks for", &r->blocks);
	pki_line_hash("key sha256", r->key_hash);
}

/* ---- bundles ------------------------------------------------------------------------------- */

static struct pki_blocks domain_of(const struct pki_manifest *m)
{
	struct pki_blocks b = { 0 };

	if (pki_blocks_of_prefixes(m->domain, m->n_domain, &b) != ST_OK)
		b.n = 0;
	return b;
}

static void serial_text(const struct pki_manifest *m, char buf[static 2 * PKI_SERIAL_MAX + 1])
{
	struct text t = { buf, 0, 2 * PKI_SERIAL_MAX + 1 };

	buf[0] = '\0';
	text_hex(&t, bytes_of(m->serial, m->serial_len));
}

static json_t *bundle_json(const struct pki_bundle *b, const char *reason)
{
	const struct pki_manifest *m = &b->manifest;
	char serial[2 * PKI_SERIAL_MAX + 1];
	struct pki_blocks domain = domain_of(m);

	serial_text(m, serial);
	return json_pack("{s:s, s:b, s:s?, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "kind", "bundle", "valid", reason == NULL, "reason", reason, "network",
			 m->network, "id", m->id.text, "role", pki_role_name(m->role), "serial",
			 serial, "prefixes", pki_json_blocks(&b->blocks), "domain",
			 pki_json_blocks(&domain), "hubs", pki_json_hubs(&m->hubs), "not_before",
			 pki_json_time(b->not_before), "not_after", pki_json_time(b->not_after),
			 "certificate_sha256", pki_json_hash(m->cert_hash), "anchor_sha256",
			 pki_json_hash(m->anchor_hash));
}

void pki_print_bundle(const struct cli *cli, const struct pki_bundle *b, const char *reason)
{
	const struct pki_manifest *m = &b->manifest;
	char serial[2 * PKI_SERIAL_MAX + 1];
	struct pki_blocks domain = domain_of(m);

	if (cli->json) {
		print_json(bundle_json(b, reason));
		return;
	}
	serial_text(m, serial);
	printf("bundle of %s %s of the network %s\n", m->role == PKI_ENDPOINT ? "an" : "a",
	       pki_role_name(m->role), m->network);
	pki_line("identity", m->id.text);
	pki_line_blocks("prefixes", &b->blocks);
	pki_line_blocks("domain", &domain);
	pki_line_hubs(&m->hubs);
	pki_line("serial", serial);
	pki_line_dates(b->not_before, b->not_after);
	pki_line_hash("sha256", m->cert_hash);
	pki_line_hash("anchor sha256", m->anchor_hash);
}

/* ---- the list ------------------------------------------------------------------------------ */

static const char *state_of(const struct pki_issued *row, wall_t now)
{
	return row->revoked.s ? "revoked" : row->not_after.s < now.s ? "expired" : "valid";
}

static json_t *row_json(const struct pki_issued *row, wall_t now)
{
	struct pki_blocks b = pki_blocks_of_row(row);

	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "serial", row->serial,
			 "role", pki_role_name(row->role), "id", row->id.text, "state",
			 state_of(row, now), "prefixes", pki_json_blocks(&b), "not_before",
			 pki_json_time(row->not_before), "not_after", pki_json_time(row->not_after),
			 "revoked", row->revoked.s ? pki_json_time(row->revoked) : json_null(),
			 "key_sha256", pki_json_hash(row->key_hash));
}

static void list_json(const struct pki_ca *ca, wall_t now)
{
	const struct pki_ca_info *info = pki_ca_about(ca);
	json_t *list = json_array();
	size_t n;
	const struct pki_issued *row = pki_ca_issued(ca, &n);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, row_json(&row[i], now));
	print_json(json_pack("{s:s, s:o, s:o, s:o, s:o}", "network", info->network, "domain",
			     pki_json_blocks(&info->cert.blocks), "not_after",
			     pki_json_time(info->cert.not_after), "sha256",
			     pki_json_hash(info->cert.hash), "issued", list));
}

static void add_cell(struct cli_row *row, size_t column, const char *s)
{
	struct text t = TEXT_OF(row->cell[column]);

	cli_add(&t, s);
}

static void fill_row(struct cli_row *cells, const struct pki_issued *row, wall_t now)
{
	struct pki_blocks b = pki_blocks_of_row(row);
	struct text until = TEXT_OF(cells->cell[4]), prefixes = TEXT_OF(cells->cell[5]);

	add_cell(cells, 0, row->id.text);
	add_cell(cells, 1, pki_role_name(row->role));
	add_cell(cells, 2, row->serial);
	add_cell(cells, 3, state_of(row, now));
	pki_time_text(&until, row->revoked.s ? row->revoked : row->not_after);
	pki_blocks_text(&prefixes, &b);
}

static void list_table(const struct pki_issued *row, size_t n, wall_t now)
{
	static const char *const head[] = { "IDENTITY", "ROLE",        "SERIAL",
					    "STATE",    "UNTIL/SINCE", "PREFIXES" };
	struct cli_table t = { .columns = ARRAY_LEN(head) };
	struct cli_row cells;

	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		add_cell(&cells, i, head[i]);
	cli_table_fit(&t, &cells);
	for (size_t i = 0; i < n; i++) {
		fill_row(&cells, &row[i], now);
		cli_table_fit(&t, &cells);
	}
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		add_cell(&cells, i, head[i]);
	cli_table_print(&t, &cells);
	for (size_t i = 0; i < n; i++) {
		fill_row(&cells, &row[i], now);
		cli_table_print(&t, &cells);
	}
}

void pki_print_list(const struct cli *cli, const struct pki_ca *ca, wall_t now)
{
	size_t n;
	const struct pki_issued *row = pki_ca_issued(ca, &n);

	if (cli->json) {
		list_json(ca, now);
		return;
	}
	if (n == 0)
		printf("nothing issued yet\n");
	else
		list_table(row, n, now);
}
