/*
 * value_secret.c - pre-shared keys as they are written: as text, in hexadecimal, in base64.
 */
#include "conf/internal.h"

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool put_hex(struct wr *w, struct bytes s)
{
	if (s.n % 2)
		return false;
	for (size_t i = 0; i < s.n; i += 2) {
		int high = hex_digit(s.p[i]), low = hex_digit(s.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		wr_u8(w, (uint8_t)(high << 4 | low));
	}
	return true;
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 section 4, with its padding, and with zero bits where a digit is not used up. */
static bool put_base64(struct wr *w, struct bytes s)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t pad = 0;

	if (s.n % 4)
		return false;
	while (pad < 2 && s.n > 0 && s.p[s.n - 1] == '=') {
		s.n--;
		pad++;
	}
	for (size_t i = 0; i < s.n; i++) {
		int d = base64_digit(s.p[i]);

		if (d < 0)
			return false;
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			wr_u8(w, (uint8_t)(acc >> bits));
		}
	}
	return (acc & ((1u << bits) - 1)) == 0;
}

/* Editors end a file with a newline, which is not meant to be part of the key. */
struct bytes value_psk_of_file(struct bytes b)
{
	if (b.n > 0 && b.p[b.n - 1] == '\n')
		b.n--;
	if (b.n > 0 && b.p[b.n - 1] == '\r')
		b.n--;
	return b;
}

static bool has_head(struct bytes s, const char *head)
{
	return s.n >= 2 && memcmp(s.p, head, 2) == 0;
}

enum status value_psk(struct arena *ar, struct bytes s, struct bytes *ret_psk, const char **ret_why)
{
	bool hex = has_head(s, "0x"), base64 = has_head(s, "0s");
	struct bytes body = hex || base64 ? bytes_of(s.p + 2, s.n - 2) : s;
	uint8_t *buf = arena_new(ar, s.n + 1);
	struct wr w = wr_of(buf, s.n + 1);

	if (!buf)
		return ST_NOMEM;
	*ret_why = hex ? "begins with 0x, but whole bytes in hexadecimal do not follow"
		       : "begins with 0s, but padded base64 does not follow";
	if ((hex && !put_hex(&w, body)) || (base64 && !put_base64(&w, body)))
		return ST_INVAL;
	if (!hex && !base64)
		wr_put(&w, body);
	*ret_why = wr_len(&w) ? "is too long" : "is empty";
	if (wr_len(&w) == 0 || wr_len(&w) > CONF_PSK_MAX)
		return ST_INVAL;
	*ret_psk = wr_bytes_of(&w);
	return ST_OK;
}
