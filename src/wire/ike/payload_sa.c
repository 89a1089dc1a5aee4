/*
 * The Security Association payload (RFC 7296 section 3.3): proposals in it, transforms in those,
 * attributes in those.  Each level gets a child cursor of exactly its stated length and must use
 * it up, and the redundant "last substructure" marks and transform counts must agree with it.
 */
#include "wire/ike/chain.h"

enum {
	MORE_PROPOSALS = 2,
	MORE_TRANSFORMS = 3,
	ATTR_TV = 0x8000,
	ATTR_KEY_LENGTH = 14,
};

/*
 *	+-+-----------------------------+-------------------------------+
 *	|A|       Attribute Type        |    AF=0  Attribute Length     |
 *	|F|                             |    AF=1  Attribute Value      |
 *	+-+-----------------------------+-------------------------------+
 *	|                   AF=0  Attribute Value                       |
 *	+---------------------------------------------------------------+
 *
 * Key Length is the only attribute there is and MUST be in the short form (section 3.3.5).  Any
 * other makes the transform one not to choose (section 3.3.6); so does a key of no bits.
 */
static bool decode_attribute(struct cur *c, struct wire_transform *t)
{
	uint16_t type = cur_u16(c);
	uint16_t value = cur_u16(c);

	if (!(type & ATTR_TV))
		cur_take(c, value);
	if ((type & ~ATTR_TV) != ATTR_KEY_LENGTH) {
		t->unknown_attribute = true;
		return !c->err;
	}
	if (!(type & ATTR_TV) || t->key_bits)
		return false;
	if (value == 0)
		t->unknown_attribute = true;
	t->key_bits = value;
	return !c->err;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	| Last Substruc |   RESERVED    |        Transform Length       |
 *	+---------------+---------------+-------------------------------+
 *	|Transform Type |   RESERVED    |          Transform ID         |
 *	+---------------+---------------+-------------------------------+
 *	~                      Transform Attributes                     ~
 *	+---------------------------------------------------------------+
 */
static bool decode_transform(struct cur *c, bool last, struct wire_transform *t)
{
	uint8_t more = cur_u8(c);
	size_t len;
	struct cur sub;

	cur_u8(c);
	len = cur_u16(c);
	if (c->err || len < 8 || more != (last ? 0 : MORE_TRANSFORMS))
		return false;
	sub = cur_sub(c, len - 4);
	t->type = cur_u8(&sub);
	cur_u8(&sub);
	t->id = cur_u16(&sub);
	while (!sub.err && cur_left(&sub))
		if (!decode_attribute(&sub, t))
			return false;
	return !sub.err;
}

/* The SPI is as long as the protocol's SPIs are, or absent for the IKE SA of the message itself;
 * a protocol we do not know is for policy to refuse. */
static bool spi_len_ok(uint8_t proto, size_t n)
{
	switch (proto) {
	case WIRE_PROTO_IKE: return n == 0 || n == 8;
	case WIRE_PROTO_AH:
	case WIRE_PROTO_ESP: return n == 4;
	default: return n == 0 || n == 4 || n == 8;
	}
}

/* The fixed part and the SPI.  `c` is left at the first transform. */
static bool decode_proposal_head(struct cur *c, struct wire_proposal *p)
{
	size_t spi_len;

	p->number = cur_u8(c);
	p->proto = cur_u8(c);
	spi_len = cur_u8(c);
	p->n_transforms = cur_u8(c);
	p->spi = cur_take(c, spi_len);
	return !c->err && p->n_transforms > 0 && spi_len_ok(p->proto, spi_len);
}

static MUST enum status decode_transforms(struct chain *ch, struct cur *c, struct wire_proposal *p,
					  size_t *room)
{
	struct wire_transform *ts;

	if (p->n_transforms > *room)
		return chain_fail(ch, WIRE_F_LIMIT);
	*room -= p->n_transforms;
	ts = arena_new(ch->ar, p->n_transforms * sizeof(*ts));
	if (!ts)
		return chain_fail(ch, WIRE_F_NOMEM);
	for (size_t i = 0; i < p->n_transforms; i++)
		if (!decode_transform(c, i + 1 == p->n_transforms, &ts[i]))
			return chain_fail(ch, WIRE_F_SA);
	if (cur_left(c))
		return chain_fail(ch, WIRE_F_SA);
	p->transforms = ts;
	return ST_OK;
}

/* The structure every proposal begins with; a child cursor for the rest, in error if it is not
 * one. */
static struct cur next_proposal(struct cur *c, bool *ret_last)
{
	uint8_t more = cur_u8(c);
	size_t len;

	cur_u8(c);
	len = cur_u16(c);
	*ret_last = more == 0;
	if (len < 8 || (more != 0 && more != MORE_PROPOSALS))
		c->err = true;
	return cur_sub(c, c->err ? 0 : len - 4);
}

/* Steps over all proposals: their number, or 0 when lengths and marks do not agree. */
static size_t count_proposals(struct bytes body)
{
	struct cur c = cur_of(body);
	bool last = false;
	size_t n = 0;

	while (!last && !c.err) {
		next_proposal(&c, &last);
		n++;
	}
	return c.err || cur_left(&c) ? 0 : n;
}

/*
 *	+---------------+---------------+-------------------------------+
 *	| Last Substruc |   RESERVED    |         Proposal Length       |
 *	+---------------+---------------+-------------------------------+
 *	| Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
 *	+---------------+---------------+---------------+---------------+
 *	~                        SPI (variable)                         ~
 *	+---------------------------------------------------------------+
 *	~                        <Transforms>                           ~
 *	+---------------------------------------------------------------+
 *
 * The numbers must rise by one.  That they begin with one is true of offers only: an answer
 * carries the number of the proposal it accepts (section 3.3.1).
 */
enum status wire_decode_sa(struct chain *ch, uint8_t type, struct bytes body)
{
	size_t n = count_proposals(body);
	size_t room = WIRE_MAX_TRANSFORMS;
	struct cur c = cur_of(body);
	struct wire_proposal *ps;

	(void)type;
	if (n == 0)
		return chain_fail(ch, WIRE_F_SA);
	if (n > WIRE_MAX_PROPOSALS)
		return chain_fail(ch, WIRE_F_LIMIT);
	ps = arena_new(ch->ar, n * sizeof(*ps));
	if (!ps)
		return chain_fail(ch, WIRE_F_NOMEM);
	for (size_t i = 0; i < n; i++) {
		bool last;
		struct cur sub = next_proposal(&c, &last);

		if (!decode_proposal_head(&sub, &ps[i]))
			return chain_fail(ch, WIRE_F_SA);
		if (ps[i].number == 0 || (i > 0 && ps[i].number != ps[i - 1].number + 1))
			return chain_fail(ch, WIRE_F_SA);
		if (decode_transforms(ch, &sub, &ps[i], &room) != ST_OK)
			return ST_DROP;
	}
	ch->out.sa = (struct wire_sa){ ps, n };
	return ST_OK;
}
