/*
 * Probes (docs/protocol/shortcut.md section 7): in the outline of an IKE header, so that whoever
 * looks at these ports takes them for IKE, and of a version that no IKE has.
 *
 *	+---------------------------------------------------------------+
 *	|            Magic (8), where the initiator's SPI is            |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	|     first half of the id (8), where the responder's SPI is    |
 *	|                                                               |
 *	+---------------+---------------+---------------+---------------+
 *	|       0       | Version 0xf1  |      243      |     Flags     |
 *	+---------------+---------------+---------------+---------------+
 *	|                        Transaction                            |
 *	+---------------------------------------------------------------+
 *	|                        Length (72)                            |
 *	+---------------------------------------------------------------+
 *	|                         Nonce (8)                             |
 *	|                                                               |
 *	+---------------------------------------------------------------+
 *	~                 Seen Address (16), or zeros                   ~
 *	+-------------------------------+-------------------------------+
 *	|    Seen Port, or zero         |              0                |
 *	+-------------------------------+-------------------------------+
 *	~                          MAC (16)                             ~
 *	+---------------------------------------------------------------+
 */
#include "wire/mesh/wire_mesh.h"

static const uint8_t magic[8] = { 0xa1, 0x5a, 0x72, 0x72, 0x65, 0x6e, 0x00, 0x01 };
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }; /* RFC 4291 section 2.5.5.2 */

enum {
	VERSION_AT = 17,
	VERSION = 0xf1,
	TYPE = 243,
	FLAGS = WIRE_PROBE_ANSWER,
};

bool wire_probe_is(struct bytes d)
{
	return d.n > VERSION_AT && memcmp(d.p, magic, sizeof(magic)) == 0 &&
	       d.p[VERSION_AT] == VERSION;
}

static struct ip address_of(struct bytes raw)
{
	bool v4 = memcmp(raw.p, mapped, sizeof(mapped)) == 0;

	return ip_from_raw(v4 ? bytes_of(raw.p + sizeof(mapped), 4) : raw);
}

/* An answer says where the question came from; a question has zeros there. */
static bool seen_of(struct cur *c, bool answer, struct endpoint *ret)
{
	struct ip ip = address_of(cur_take(c, 16));
	uint16_t port = cur_u16(c);
	bool any = ip_is_any(&ip);

	if (cur_u16(c) != 0)
		return false;
	if (answer)
		*ret = (struct endpoint){ ip, port };
	return answer ? !any && port != 0 : any && ip.family == 6 && port == 0;
}

static bool outline_ok(struct cur *c, struct wire_probe *ret)
{
	struct bytes id;
	bool ok;

	cur_take(c, sizeof(magic));
	id = cur_take(c, sizeof(ret->id));
	memcpy(ret->id, id.p, id.n);
	ok = cur_u8(c) == 0;
	cur_take(c, 1);
	ok = cur_u8(c) == TYPE && ok;
	ret->flags = cur_u8(c) & FLAGS;
	ret->txn = cur_u32(c);
	return cur_u32(c) == WIRE_PROBE_LEN && ok;
}

enum status wire_probe_parse(struct bytes datagram, struct wire_probe *ret,
			     struct bytes *ret_covered, const uint8_t **ret_mac)
{
	struct cur c = cur_of(datagram);
	struct wire_probe p = { 0 };
	struct bytes nonce;

	if (datagram.n != WIRE_PROBE_LEN || !wire_probe_is(datagram) || !outline_ok(&c, &p))
		return ST_DROP;
	nonce = cur_take(&c, sizeof(p.nonce));
	memcpy(p.nonce, nonce.p, nonce.n);
	if (!seen_of(&c, p.flags & WIRE_PROBE_ANSWER, &p.seen))
		return ST_DROP;
	*ret = p;
	*ret_covered = bytes_of(datagram.p, WIRE_PROBE_LEN - WIRE_PROBE_MAC);
	*ret_mac = c.p;
	return ST_OK;
}

static void put_seen(struct wr *w, const struct endpoint *seen)
{
	if (seen->ip.family == 4)
		wr_put(w, BYTES_OF(mapped));
	wr_put(w, ip_raw(&seen->ip));
	if (seen->ip.family == 0)
		wr_zero(w, 16);
	wr_u16(w, seen->port);
	wr_u16(w, 0);
}

void wire_probe_put(uint8_t ret[static WIRE_PROBE_LEN], const struct wire_probe *p)
{
	struct wr w = wr_of(ret, WIRE_PROBE_LEN);

	wr_put(&w, BYTES_OF(magic));
	wr_put(&w, BYTES_OF(p->id));
	wr_u8(&w, 0);
	wr_u8(&w, VERSION);
	wr_u8(&w, TYPE);
	wr_u8(&w, p->flags);
	wr_u32(&w, p->txn);
	wr_u32(&w, WIRE_PROBE_LEN);
	wr_put(&w, BYTES_OF(p->nonce));
	put_seen(&w, &p->seen);
	wr_zero(&w, WIRE_PROBE_MAC);
}
