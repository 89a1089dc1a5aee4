/*
 * The signed part of a bundle.  Integers are in network order; docs/protocol/bundle.md has it in
 * full.
 *
 *                      1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+---------------+---------------+
 * |  Version (1)  |     Role      |    ID Type    |   ID Length   |
 * +---------------+---------------+---------------+---------------+
 * ~                      Identification Data                      ~
 * +---------------+-----------------------------------------------+
 * |  Name Length  |  Network Name                                 ~
 * +---------------+-----------------------------------------------+
 * | Serial Length |  Serial Number                                ~
 * +---------------+-----------------------------------------------+
 * |                    Not Before (64 bits)                       |
 * |                    Not After  (64 bits)                       |
 * +---------------------------------------------------------------+
 * |      SHA-256 of the certificate (32), of the anchor (32)      |
 * +---------------+-----------------------------------------------+
 * | Prefix Count  |  Prefixes: Family, Length, Address (4 or 16)  ~
 * +---------------+-----------------------------------------------+
 * |   Hub Count   |  Hubs: Length, Name                           ~
 * +---------------+---------------+-------------------------------+
 * |       Signature Length        |  Signature                    ~
 * +-------------------------------+-------------------------------+
 *
 * The signature is over CONTEXT, its final NUL included, and everything before Signature Length.
 * CONTEXT keeps it from being one over anything else that the authority signs.
 */
#include <openssl/err.h>

#include "pki/internal.h"

static const char CONTEXT[] = "warren bundle manifest";

enum { BLOCK_MAX = 8192, SIGNATURE_MAX = 1024 /* RSA of 8192 bits */ };

/* ---- writing ------------------------------------------------------------------------------- */

static void put_short(struct wr *w, struct bytes b)
{
	wr_u8(w, (uint8_t)b.n);
	wr_put(w, b);
}

static void put_id(struct wr *w, const struct pki_id *id)
{
	uint8_t buf[PKI_ID_MAX];

	wr_u8(w, id->type);
	put_short(w, id_data(id, buf));
}

static void put_prefixes(struct wr *w, const struct pki_manifest *m)
{
	wr_u8(w, (uint8_t)m->n_domain);
	for (size_t i = 0; i < m->n_domain; i++) {
		wr_u8(w, m->domain[i].ip.family);
		wr_u8(w, m->domain[i].len);
		wr_put(w, ip_raw(&m->domain[i].ip));
	}
}

static void put_hubs(struct wr *w, const struct pki_hubs *h)
{
	wr_u8(w, (uint8_t)h->n);
	for (size_t i = 0; i < h->n; i++)
		put_short(w, bytes_str(h->name[i]));
}

static void put_body(struct wr *w, const struct pki_manifest *m)
{
	wr_u8(w, MANIFEST_VERSION);
	wr_u8(w, (uint8_t)m->role);
	put_id(w, &m->id);
	put_short(w, bytes_str(m->network));
	put_short(w, bytes_of(m->serial, m->serial_len));
	wr_u64(w, (uint64_t)m->not_before.s);
	wr_u64(w, (uint64_t)m->not_after.s);
	wr_put(w, BYTES_OF(m->cert_hash));
	wr_put(w, BYTES_OF(m->anchor_hash));
	put_prefixes(w, m);
	put_hubs(w, &m->hubs);
}

/* What the signature is over, in one piece: EdDSA takes no other. */
static struct bytes signed_text(struct bytes body, uint8_t buf[static sizeof(CONTEXT) + BLOCK_MAX])
{
	memcpy(buf, CONTEXT, sizeof(CONTEXT));
	memcpy(buf + sizeof(CONTEXT), body.p, body.n);
	return bytes_of(buf, sizeof(CONTEXT) + body.n);
}

static bool sign(EVP_MD_CTX *ctx, EVP_PKEY *key, struct bytes body, uint8_t *sig, size_t *n)
{
	uint8_t buf[sizeof(CONTEXT) + BLOCK_MAX];
	struct bytes text = signed_text(body, buf);

	return EVP_DigestSignInit(ctx, NULL, key_digest(key), NULL, key) == 1 &&
	       EVP_DigestSign(ctx, sig, n, text.p, text.n) == 1;
}

static enum status put_signature(struct wr *w, EVP_PKEY *key, struct text *why)
{
	uint8_t sig[SIGNATURE_MAX];
	size_t n = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && sign(ctx, key, wr_bytes_of(w), sig, &n);

	EVP_MD_CTX_free(ctx);
	/* libcrypto 3.0 out of memory: success, and a length of -1. */
	if (!good || n > sizeof(sig))
		return pki_libcrypto("signing the manifest", why);
	wr_u16(w, (uint16_t)n);
	wr_put(w, bytes_of(sig, n));
	return ST_OK;
}

enum status manifest_make(const struct pki_manifest *m, EVP_PKEY *key, struct text *why,
			  struct pki_blob *ret_block)
{
	uint8_t buf[BLOCK_MAX];
	struct wr w = wr_of(buf, sizeof(buf));
	struct bytes copy;
	enum status st;

	put_body(&w, m);
	st = put_signature(&w, key, why);
	if (st != ST_OK)
		return st;
	if (w.err)
		return ST_BUG;
	st = mem_dup(&mem_libc, wr_bytes_of(&w), &copy);
	if (st == ST_OK)
		*ret_block = (struct pki_blob){ (uint8_t *)(uintptr_t)copy.p, copy.n };
	return st;
}

/* ---- reading ------------------------------------------------------------------------------- */

static struct bytes take_short(struct cur *c)
{
	return cur_take(c, cur_u8(c));
}

/* A string of at most `max` bytes, none of them NUL. */
static bool take_string(struct cur *c, char *ret, size_t max)
{
	struct bytes b = take_short(c);

	if (c->err || b.n > max || (b.n && memchr(b.p, '\0', b.n)))
		return false;
	if (b.n)
		memcpy(ret, b.p, b.n);
	ret[b.n] = '\0';
	return true;
}

static enum status broken(struct text *why, const char *what)
{
	return pki_refuse(why, "the manifest's %s cannot be read", what);
}

static enum status take_head(struct cur *c, struct pki_manifest *m, struct text *why)
{
	uint8_t version = cur_u8(c), role = cur_u8(c), id_type = cur_u8(c);
	struct bytes id = take_short(c);

	if (!c->err && version != MANIFEST_VERSION)
		return pki_refuse(why, "manifest of version %u; this warren reads version %d",
				  version, MANIFEST_VERSION);
	if (c->err || role < PKI_SITE || role > PKI_ENDPOINT)
		return broken(why, "role");
	m->role = role;
	return id_from_data(id_type, id, why, &m->id);
}

static void take_time(struct cur *c, wall_t *ret)
{
	*ret = (wall_t){ (int64_t)cur_u64(c) };
}

static void take_hash(struct cur *c, uint8_t ret[static PKI_HASH])
{
	struct bytes b = cur_take(c, PKI_HASH);

	if (b.p)
		memcpy(ret, b.p, PKI_HASH);
}

static enum status take_facts(struct cur *c, struct pki_manifest *m, struct text *why)
{
	struct bytes serial;

	if (!take_string(c, m->network, PKI_NAME_MAX) || !network_name_ok(m->network))
		return broken(why, "network name");
	serial = take_short(c);
	if (serial.n == 0 || serial.n > PKI_SERIAL_MAX || serial.p[0] == 0)
		return broken(why, "serial number");
	memcpy(m->serial, serial.p, serial.n);
	m->serial_len = (uint8_t)serial.n;
	take_time(c, &m->not_before);
	take_time(c, &m->not_after);
	take_hash(c, m->cert_hash);
	take_hash(c, m->anchor_hash);
	return c->err || m->not_before.s < 0 || m->not_after.s < 0 ? broken(why, "dates or hashes")
								   : ST_OK;
}

static bool take_prefix(struct cur *c, struct prefix *ret)
{
	uint8_t family = cur_u8(c), len = cur_u8(c);
	struct ip ip;

	if (family != 4 && family != 6)
		return false;
	ip = ip_from_raw(cur_take(c, family == 4 ? 4 : 16));
	if (ip.family != family || len > ip_bits(&ip))
		return false;
	*ret = prefix_of(&ip, len);
	return ip_eq(&ret->ip, &ip); /* host bits are zero */
}

static enum status take_domain(struct cur *c, struct pki_manifest *m, struct text *why)
{
	m->n_domain = cur_u8(c);
	if (m->n_domain == 0 || m->n_domain > PKI_BLOCKS_MAX)
		return broken(why, "number of prefixes");
	for (size_t i = 0; i < m->n_domain; i++)
		if (!take_prefix(c, &m->domain[i]))
			return broken(why, "domain");
	return ST_OK;
}

/* One spelling: a hub that host_parse() changes, or that is there twice, is refused. */
static enum status take_hubs(struct cur *c, struct pki_manifest *m, struct text *why)
{
	size_t n = cur_u8(c);
	char unused[128];
	struct text none = TEXT_OF(unused);

	if (n > PKI_HUBS_MAX)
		return broken(why, "number of hubs");
	for (size_t i = 0; i < n; i++) {
		char name[PKI_HOST_MAX + 1];

		if (!take_string(c, name, PKI_HOST_MAX) ||
		    pki_hubs_add(&m->hubs, name, &none) != ST_OK || m->hubs.n != i + 1 ||
		    strcmp(m->hubs.name[i], name) != 0)
			return broken(why, "hubs");
	}
	return c->err ? broken(why, "number of hubs") : ST_OK;
}

static enum status take_signature(struct cur *c, struct bytes *ret, struct text *why)
{
	*ret = cur_take(c, cur_u16(c));
	if (c->err || ret->n == 0 || ret->n > SIGNATURE_MAX)
		return broken(why, "signature");
	if (cur_left(c) > 0)
		return pki_refuse(why, "the manifest is followed by %zu other bytes", cur_left(c));
	return ST_OK;
}

/* Names compare without case elsewhere; here they have one spelling, that of a writer. */
static bool id_spelling_ok(struct bytes body, const struct pki_id *id)
{
	uint8_t buf[PKI_ID_MAX];
	struct bytes data = id_data(id, buf);

	return bytes_eq(bytes_of(body.p + 4, data.n), data);
}

enum status manifest_parse(struct bytes block, struct text *why, struct manifest_parts *ret_parts)
{
	struct cur c = cur_of(block);
	struct manifest_parts p = { 0 };
	enum status st = take_head(&c, &p.m, why);

	if (st != ST_OK)
		return st;
	if (!id_spelling_ok(block, &p.m.id))
		return broken(why, "identity");
	st = take_facts(&c, &p.m, why);
	if (st == ST_OK)
		st = take_domain(&c, &p.m, why);
	if (st == ST_OK)
		st = take_hubs(&c, &p.m, why);
	p.body = bytes_of(block.p, block.n - cur_left(&c));
	if (st == ST_OK)
		st = take_signature(&c, &p.signature, why);
	if (st == ST_OK)
		*ret_parts = p;
	return st;
}

enum status manifest_verify(const struct manifest_parts *p, EVP_PKEY *key, bool *ret_good)
{
	uint8_t buf[sizeof(CONTEXT) + BLOCK_MAX];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct bytes text;

	*ret_good = false;
	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, key_digest(key), NULL, key) != 1) {
		EVP_MD_CTX_free(ctx);
		return ST_NOMEM;
	}
	if (p->body.n <= BLOCK_MAX) {
		text = signed_text(p->body, buf);
		*ret_good =
			EVP_DigestVerify(ctx, p->signature.p, p->signature.n, text.p, text.n) == 1;
	}
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ST_OK;
}
