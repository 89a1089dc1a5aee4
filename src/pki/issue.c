/*
 * What an authority signs and revokes.
 */
#include "pki/internal.h"

/* One certificate on its way. */
struct issue {
	struct pki_ca *ca;
	const struct pki_grant *grant;
	wall_t now;
	struct text *why;
	struct pki_request_info request;
	EVP_PKEY *key; /* the site's, public */
	struct pki_id id;
	struct pki_blocks blocks;
	struct prefix prefixes[PKI_BLOCKS_MAX];
	size_t n_prefixes;
	struct pki_manifest manifest;
	X509 *cert;
};

/* ---- may it be ----------------------------------------------------------------------------- */

static enum status check_clock(const struct pki_ca *ca, wall_t now, struct text *why)
{
	const struct pki_cert_info *c = &ca->info.cert;

	if (now.s >= c->not_before.s && now.s < c->not_after.s)
		return ST_OK;
	text_add(why, "the authority's certificate is valid from ");
	pki_time_text(why, c->not_before);
	text_add(why, " until ");
	pki_time_text(why, c->not_after);
	text_add(why, ", and this machine's clock says ");
	pki_time_text(why, now);
	return ST_INVAL;
}

static enum status choose_id(struct issue *s)
{
	const struct pki_id *wanted = s->grant->id;

	if (!wanted && !s->request.has_id)
		return pki_refuse(s->why, "the request names no identity in subjectAltName; say "
					  "which with --id");
	if (wanted && s->request.has_id && !pki_id_eq(wanted, &s->request.id))
		return pki_refuse(s->why, "the request is for %s, not for %s", s->request.id.text,
				  wanted->text);
	s->id = wanted ? *wanted : s->request.id;
	/* 3: a mail address, which nothing can be reached under */
	if (s->grant->role == PKI_HUB && s->id.type == 3)
		return pki_refuse(s->why,
				  "%s cannot be a hub: sites find a hub by a name or address",
				  s->id.text);
	return ST_OK;
}

static enum status not_granted(struct issue *s)
{
	if (s->request.blocks.n == 0)
		return pki_refuse(s->why, "no prefixes: say with --prefix what %s may announce",
				  s->id.text);
	text_fmt(s->why, "%s asks for ", s->id.text);
	pki_blocks_text(s->why, &s->request.blocks);
	text_add(s->why, "; grant that with --as-requested, or say with --prefix what it gets");
	return ST_INVAL;
}

static enum status choose_blocks(struct issue *s)
{
	const struct pki_blocks *all = &s->ca->info.cert.blocks;

	if (s->grant->role == PKI_ENDPOINT && (s->grant->blocks.n || s->grant->as_requested))
		return pki_refuse(s->why,
				  "an endpoint has no prefixes: its hub gives it an address");
	if (s->grant->role == PKI_ENDPOINT)
		return ST_OK;
	if (s->grant->blocks.n > 0)
		s->blocks = s->grant->blocks;
	else if (s->grant->as_requested && s->request.blocks.n > 0)
		s->blocks = s->request.blocks;
	else if (s->grant->role == PKI_HUB && !s->grant->as_requested)
		s->blocks = *all;
	else
		return not_granted(s);
	if (!pki_blocks_have(all, &s->blocks)) {
		pki_blocks_text(s->why, &s->blocks);
		text_add(s->why, " is not inside the network's domain, ");
		pki_blocks_text(s->why, all);
		return ST_INVAL;
	}
	s->n_prefixes = pki_blocks_prefixes(&s->blocks, s->prefixes, ARRAY_LEN(s->prefixes));
	if (s->n_prefixes == 0)
		return pki_refuse(s->why, "the address blocks take more than %d prefixes",
				  PKI_BLOCKS_MAX);
	return ST_OK;
}

static void add_row(struct text *t, const struct pki_issued *row)
{
	struct pki_blocks b;
	enum status st = pki_blocks_of_prefixes(row->prefixes, row->n_prefixes, &b);

	text_fmt(t, "%s (", row->id.text);
	if (st == ST_OK)
		pki_blocks_text(t, &b);
	text_fmt(t, ", serial number %s, until ", row->serial);
	pki_time_text(t, row->not_after);
	text_add(t, ")");
}

static enum status check_overlap(struct issue *s)
{
	const struct pki_issued *other =
		s->grant->role == PKI_HUB || s->grant->overlap
			? NULL
			: index_overlap(&s->ca->index, &s->id, &s->blocks, s->now);

	if (!other)
		return ST_OK;
	pki_blocks_text(s->why, &s->blocks);
	text_add(s->why, " overlaps what was issued to ");
	add_row(s->why, other);
	text_add(s->why, "; revoke that first, or insist with --force");
	return ST_INVAL;
}

static enum status check_own_key(struct issue *s)
{
	if (EVP_PKEY_eq(s->key, X509_get0_pubkey(s->ca->cert)) == 1)
		return pki_refuse(s->why, "the request is for the authority's own key");
	return ST_OK;
}

/* Somebody's request may name somebody else: an identity gets a second key only by intent. */
static enum status check_key(struct issue *s)
{
	const struct pki_issued *other =
		s->grant->renew
			? NULL
			: index_other_key(&s->ca->index, &s->id, s->request.key_hash, s->now);

	if (!other)
		return ST_OK;
	text_add(s->why, "another key has a certificate for ");
	add_row(s->why, other);
	text_add(s->why, "; revoke that first, or allow a further one with --renew");
	return ST_INVAL;
}

static enum status choose_dates(struct issue *s)
{
	const struct pki_cert_info *ca = &s->ca->info.cert;
	unsigned days = s->grant->days ? s->grant->days : PKI_SITE_DAYS;
	wall_t from = { s->now.s - CERT_SKEW }, until = { s->now.s + (int64_t)days * CERT_DAY };

	if (s->grant->days > PKI_DAYS_MAX)
		return pki_refuse(s->why, "more than %d days", PKI_DAYS_MAX);
	if (s->grant->days && until.s > ca->not_after.s) {
		text_fmt(s->why, "%u days go beyond the end of the authority's certificate, ",
			 s->grant->days);
		pki_time_text(s->why, ca->not_after);
		return ST_INVAL;
	}
	s->manifest.not_before = from.s > ca->not_before.s ? from : ca->not_before;
	s->manifest.not_after = until.s < ca->not_after.s ? until : ca->not_after;
	return ST_OK;
}

static bool is_hub_for(const struct issue *s, const struct pki_issued *row)
{
	return row->role == PKI_HUB && issued_counts(row, s->now) && !pki_id_eq(&row->id, &s->id);
}

static enum status choose_hubs(struct issue *s)
{
	const struct index *x = &s->ca->index;
	enum status st = ST_OK;

	if (s->grant->hubs) {
		s->manifest.hubs = *s->grant->hubs;
		return ST_OK;
	}
	for (size_t i = 0; st == ST_OK && i < x->n; i++)
		if (is_hub_for(s, &x->row[i]))
			st = pki_hubs_add(&s->manifest.hubs, x->row[i].id.text, s->why);
	if (st != ST_OK)
		text_add(s->why, " in the index; say with --hubs which ones");
	return st;
}

static enum status decide(struct issue *s)
{
	enum status (*const step[])(struct issue *) = {
		check_own_key, choose_id,    choose_blocks, check_overlap,
		check_key,     choose_dates, choose_hubs,
	};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < ARRAY_LEN(step); i++)
		st = step[i](s);
	return st;
}

/* ---- making it ----------------------------------------------------------------------------- */

static enum status choose_serial(struct issue *s, char text[static 2 * PKI_SERIAL_MAX + 1])
{
	struct pki_manifest *m = &s->manifest;

	do {
		enum status st = cert_serial(m->serial, s->why);

		if (st != ST_OK)
			return st;
		m->serial_len = CERT_SERIAL;
		hex_text(bytes_of(m->serial, CERT_SERIAL), text);
	} while (index_has_serial(&s->ca->index, text));
	return ST_OK;
}

static enum status make_cert(struct issue *s)
{
	struct cert_plan p = {
		.organisation = s->ca->info.network,
		.common_name = s->id.text,
		.id = &s->id,
		.blocks = &s->blocks,
		.serial = bytes_of(s->manifest.serial, s->manifest.serial_len),
		.not_before = s->manifest.not_before,
		.not_after = s->manifest.not_after,
		.key = s->key,
		.issuer = s->ca->cert,
		.issuer_key = s->ca->key->pkey,
	};

	return cert_make(&p, s->why, &s->cert);
}

static void fill_manifest(struct issue *s)
{
	struct pki_manifest *m = &s->manifest;

	memcpy(m->network, s->ca->info.network, sizeof(m->network));
	m->role = s->grant->role;
	m->id = s->id;
	m->n_domain =
		pki_blocks_prefixes(&s->ca->info.cert.blocks, m->domain, ARRAY_LEN(m->domain));
}

/* A bundle that its reader would refuse must not leave, whoever's fault it is. */
static enum status check_bundle(struct issue *s, struct bytes text)
{
	struct now now = { .wall = s->now, .wall_ok = true };
	struct pki_bundle *b = NULL;
	enum status st = pki_bundle_read(text, &now, s->why, &b);

	pki_bundle_free(b);
	return st;
}

static enum status make_all(struct issue *s, struct pki_delivery *d)
{
	enum status st = choose_serial(s, d->issued.serial);

	fill_manifest(s);
	if (st == ST_OK)
		st = make_cert(s);
	if (st == ST_OK)
		st = cert_pem(s->cert, s->why, &d->cert);
	if (st == ST_OK)
		st = bundle_make(&s->manifest, s->cert, s->ca->cert, s->ca->key->pkey, s->why,
				 &d->bundle);
	return st == ST_OK ? check_bundle(s, pki_blob_bytes(&d->bundle)) : st;
}

/* In the index before it can be in anybody's hands. */
static enum status record(struct issue *s, struct pki_delivery *d)
{
	struct bytes copy;
	enum status st = mem_dup(
		&mem_libc, bytes_of(s->prefixes, s->n_prefixes * sizeof(s->prefixes[0])), &copy);

	if (st != ST_OK)
		return st;
	d->hubs = s->manifest.hubs;
	d->issued.role = s->grant->role;
	d->issued.id = s->id;
	d->issued.not_before = s->manifest.not_before;
	d->issued.not_after = s->manifest.not_after;
	memcpy(d->issued.key_hash, s->request.key_hash, PKI_HASH);
	d->issued.prefixes = (struct prefix *)(uintptr_t)copy.p;
	d->issued.n_prefixes = s->n_prefixes;
	st = index_add(&s->ca->index, &d->issued);
	return st == ST_OK ? ca_save_index(s->ca, s->why) : st;
}

void pki_delivery_done(struct pki_delivery *d)
{
	pki_blob_done(&d->bundle);
	pki_blob_done(&d->cert);
	mem_free(&mem_libc, d->issued.prefixes);
	d->issued.prefixes = NULL;
}

static enum status run(struct issue *s, struct bytes request, struct pki_delivery *d)
{
	enum status st = check_clock(s->ca, s->now, s->why);

	if (st == ST_OK)
		st = request_parse(request, s->why, &s->request, &s->key);
	if (st == ST_OK)
		st = decide(s);
	if (st == ST_OK)
		st = make_all(s, d);
	return st == ST_OK ? record(s, d) : st;
}

enum status pki_ca_sign(struct pki_ca *ca, struct bytes request, const struct pki_grant *grant,
			wall_t now, struct text *why, struct pki_delivery *ret_delivery)
{
	struct issue s = { .ca = ca, .grant = grant, .now = now, .why = why };
	struct pki_delivery d = { 0 };
	enum status st = ca->key ? run(&s, request, &d) : ST_BUG;

	X509_free(s.cert);
	EVP_PKEY_free(s.key);
	if (st == ST_OK)
		*ret_delivery = d;
	else
		pki_delivery_done(&d);
	return st;
}

/* ---- revocation ---------------------------------------------------------------------------- */

/* As other programs print it: in capitals, with colons between bytes. */
static void plain_serial(const char *s, char ret[static 2 * PKI_SERIAL_MAX + 1])
{
	size_t n = 0;

	for (; *s && n < 2 * PKI_SERIAL_MAX; s++)
		if (*s != ':')
			ret[n++] = *s >= 'A' && *s <= 'F' ? (char)(*s - 'A' + 'a') : *s;
	ret[n] = '\0';
}

struct named {
	bool has_id;
	struct pki_id id;
	char serial[2 * PKI_SERIAL_MAX + 1];
};

static bool is_named(const struct named *who, const struct pki_issued *row)
{
	return (who->has_id && pki_id_eq(&who->id, &row->id)) ||
	       strcmp(who->serial, row->serial) == 0;
}

static struct named name_of(const char *s)
{
	struct named who = { 0 };
	char unused[160];
	struct text none = TEXT_OF(unused);

	who.has_id = pki_id_parse(s, &none, &who.id) == ST_OK;
	plain_serial(s, who.serial);
	return who;
}

static enum status nothing_to_revoke(const char *s, bool known, struct text *why)
{
	text_add(why, "\"");
	text_quote(why, bytes_str(s));
	text_add(why, known ? "\" is revoked already"
			    : "\" is neither an identity nor a serial number that was issued; see "
			      "\"warren pki list\"");
	return ST_INVAL;
}

enum status pki_ca_revoke(struct pki_ca *ca, const char *id_or_serial, unsigned days, wall_t now,
			  struct text *why, size_t *ret_n)
{
	struct named who = name_of(id_or_serial);
	bool known = false;
	size_t n = 0;
	enum status st;

	for (size_t i = 0; i < ca->index.n; i++) {
		struct pki_issued *row = &ca->index.row[i];

		if (!is_named(&who, row))
			continue;
		known = true;
		if (row->revoked.s != 0)
			continue;
		row->revoked = now;
		n++;
	}
	if (n == 0)
		return nothing_to_revoke(id_or_serial, known, why);
	st = pki_ca_write_crl(ca, days, now, why);
	if (st == ST_OK)
		*ret_n = n;
	return st;
}

/* The index first: if the list cannot be written, the next one has what this one should have had.
 */
enum status pki_ca_write_crl(struct pki_ca *ca, unsigned days, wall_t now, struct text *why)
{
	wall_t next = { now.s + (int64_t)(days ? days : PKI_CRL_DAYS) * CERT_DAY };
	struct pki_blob pem = { 0 };
	enum status st;

	if (days > PKI_DAYS_MAX)
		return pki_refuse(why, "more than %d days", PKI_DAYS_MAX);
	st = check_clock(ca, now, why);
	if (st != ST_OK)
		return st;
	ca->index.crl_number++;
	st = ca_save_index(ca, why);
	if (st == ST_OK)
		st = crl_make(&ca->index, ca->cert, ca->key->pkey, now, next, why, &pem);
	if (st == ST_OK)
		st = ca_save(ca, "crl.pem", pki_blob_bytes(&pem), why);
	pki_blob_done(&pem);
	return st;
}
