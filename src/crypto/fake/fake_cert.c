#include <inttypes.h>

#include "crypto/fake/internal.h"

/*
 * One line: fake-cert key=7 issuer=1 id=2:736974652d61 from=1700000000 until=1800000000
 * The identity is its IKEv2 type and its bytes in hexadecimal.  Address blocks stand behind it, as
 * in blocks=10.2.0.0-10.2.255.255,2001:db8::-2001:db8::ff; "blocks=" alone has none.
 */

static bool take_word(struct cur *c, const char *word)
{
	struct bytes want = bytes_str(word);

	if (!bytes_eq(cur_take(c, want.n), want))
		c->err = true;
	return !c->err;
}

/* A decimal number without superfluous zeros, so that there is one form. */
static int64_t take_number(struct cur *c, int64_t max)
{
	const uint8_t *start = c->p;
	int64_t v = 0;

	while (cur_left(c) > 0 && *c->p >= '0' && *c->p <= '9') {
		int64_t digit = cur_u8(c) - '0';

		if (v > (max - digit) / 10) {
			c->err = true;
			return 0;
		}
		v = v * 10 + digit;
	}
	if (c->p == start || (*start == '0' && c->p - start > 1))
		c->err = true;
	return v;
}

static wall_t take_wall(struct cur *c)
{
	bool negative = cur_left(c) > 0 && *c->p == '-';
	int64_t v;

	if (negative)
		(void)cur_u8(c);
	v = take_number(c, INT64_MAX);
	return (wall_t){ negative ? -v : v };
}

static int hex_value(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void take_id(struct cur *c, struct fake_cert *cert)
{
	while (cur_left(c) > 0 && hex_value(*c->p) >= 0 && cert->id_len < sizeof(cert->id)) {
		int high = hex_value(cur_u8(c));
		int low = hex_value(cur_u8(c));

		if (low < 0 || c->err) {
			c->err = true;
			return;
		}
		cert->id[cert->id_len++] = (uint8_t)(high << 4 | low);
	}
}

static struct ip take_address(struct cur *c, char end)
{
	char buf[IP_TEXT_MAX];
	struct ip ip = { 0 };
	size_t n = 0;

	while (cur_left(c) > 0 && *c->p != end && *c->p != '\n' && *c->p != ',' &&
	       n + 1 < sizeof(buf))
		buf[n++] = (char)cur_u8(c);
	buf[n] = 0;
	if (ip_parse(buf, &ip) != ST_OK)
		c->err = true;
	return ip;
}

static void take_blocks(struct cur *c, struct fake_cert *cert)
{
	cert->has_blocks = true;
	while (cur_left(c) > 0 && *c->p != '\n' && cert->n_blocks < CRYPTO_BLOCKS_MAX && !c->err) {
		struct ip_range *r = &cert->blocks[cert->n_blocks++];

		if (cert->n_blocks > 1)
			(void)take_word(c, ",");
		r->first = take_address(c, '-');
		(void)take_word(c, "-");
		r->last = take_address(c, '\n');
		if (r->first.family != r->last.family || ip_cmp(&r->first, &r->last) > 0)
			c->err = true;
	}
}

enum status fake_cert_parse(struct bytes in, struct fake_cert *ret_cert)
{
	struct fake_cert cert = { 0 };
	struct cur c = cur_of(in);

	if (take_word(&c, "fake-cert key="))
		cert.key = (crypto_ref)take_number(&c, UINT32_MAX);
	if (take_word(&c, " issuer="))
		cert.issuer = (uint32_t)take_number(&c, UINT32_MAX);
	if (take_word(&c, " id="))
		cert.id_type = (uint8_t)take_number(&c, UINT8_MAX);
	if (take_word(&c, ":"))
		take_id(&c, &cert);
	if (take_word(&c, " from="))
		cert.not_before = take_wall(&c);
	if (take_word(&c, " until="))
		cert.not_after = take_wall(&c);
	if (cur_left(&c) > 1 && take_word(&c, " blocks="))
		take_blocks(&c, &cert);
	if (!take_word(&c, "\n") || cur_left(&c) > 0)
		return ST_DROP;
	*ret_cert = cert;
	return ST_OK;
}

static void put_blocks(struct text *t, const struct ip_range *blocks, size_t n)
{
	char first[IP_TEXT_MAX], last[IP_TEXT_MAX];

	text_add(t, " blocks=");
	for (size_t i = 0; i < n; i++)
		text_fmt(t, "%s%s-%s", i ? "," : "", ip_text(&blocks[i].first, first),
			 ip_text(&blocks[i].last, last));
}

enum status crypto_fake_cert_blocks(crypto_ref key, uint32_t issuer, uint8_t id_type,
				    struct bytes id, wall_t not_before, wall_t not_after,
				    const struct ip_range *blocks, size_t n_blocks, uint8_t *buf,
				    size_t cap, struct bytes *ret_cert)
{
	char line[160 + 2 * sizeof(((struct fake_cert *)0)->id) +
		  CRYPTO_BLOCKS_MAX * 2 * IP_TEXT_MAX];
	struct text t = TEXT_OF(line);

	if (id.n > sizeof(((struct fake_cert *)0)->id) || n_blocks > CRYPTO_BLOCKS_MAX)
		return ST_INVAL;
	text_fmt(&t, "fake-cert key=%" PRIu32 " issuer=%" PRIu32 " id=%u:", key, issuer, id_type);
	text_hex(&t, id);
	text_fmt(&t, " from=%" PRId64 " until=%" PRId64, not_before.s, not_after.s);
	if (blocks)
		put_blocks(&t, blocks, n_blocks);
	text_add(&t, "\n");
	if (t.n > cap)
		return ST_INVAL;
	memcpy(buf, line, t.n);
	*ret_cert = bytes_of(buf, t.n);
	return ST_OK;
}

enum status crypto_fake_cert(crypto_ref key, uint32_t issuer, uint8_t id_type, struct bytes id,
			     wall_t not_before, wall_t not_after, uint8_t *buf, size_t cap,
			     struct bytes *ret_cert)
{
	return crypto_fake_cert_blocks(key, issuer, id_type, id, not_before, not_after, NULL, 0,
				       buf, cap, ret_cert);
}

void crypto_fake_revocation_id(crypto_ref key, uint32_t issuer,
			       uint8_t ret_id[CRYPTO_REVOCATION_ID])
{
	uint8_t serial[4];
	struct mix m;

	store_be32(serial, key);
	mix_init(&m, MIX_REVOCATION, issuer);
	mix_add(&m, BYTES_OF(serial));
	mix_out(&m, ret_id, CRYPTO_REVOCATION_ID);
}
