#include "harness/decode.h"

#include "harness/internal.h"

enum {
	DECODE_ARENA = 1 << 20,
	MESSAGE_MAX = 65536,
};

/* ---- opening ------------------------------------------------------------------------------- */

static bool try_key(const struct world_keys *k, const struct wire_ike_msg *m, uint8_t *plain,
		    size_t *ret_n)
{
	const struct crypto *c = &k->node->crypto;
	const struct crypto_key *key = m->hdr.flags & WIRE_FLAG_INITIATOR ? &k->ei : &k->er;
	struct crypto_cipher_info info;
	size_t n;

	if (crypto_cipher_info(key->cipher, &info) != ST_OK ||
	    m->sk.body.n < info.iv_len + info.icv_len)
		return false;
	n = m->sk.body.n - info.iv_len - info.icv_len;
	memcpy(plain, m->sk.body.p + info.iv_len, n);
	*ret_n = n;
	return c->ops->open(c->ctx, key, m->sk.body.p, m->sk.aad, plain, n,
			    m->sk.body.p + info.iv_len + n) == ST_OK;
}

static void open_sk(struct world *w, struct opened *o)
{
	size_t have = w->n_keys < WORLD_KEYS ? w->n_keys : WORLD_KEYS;
	uint8_t *plain = arena_new(&o->mem, o->msg.sk.body.n + 1);
	enum wire_fault fault = WIRE_OK;
	size_t n;

	if (!plain)
		harness_fail("decoder: out of memory");
	for (size_t i = 0; i < have && !o->open; i++) {
		const struct world_keys *k = &w->keys[i];

		if (k->spi_i != o->msg.hdr.spi_i || k->spi_r != o->msg.hdr.spi_r ||
		    !try_key(k, &o->msg, plain, &n))
			continue;
		o->keys = k;
		o->open = wire_ike_unpad(bytes_of(plain, n), &o->plain) == ST_OK;
	}
	o->first = o->msg.sk.inner_next;
	if (o->open && o->msg.sk.fragments < 2 &&
	    wire_ike_parse_inner(&o->mem, o->first, o->plain, &o->inner, &fault) != ST_OK)
		o->inner = (struct wire_payloads){ 0 };
}

bool packet_open(struct world *w, const struct packet *p, struct opened *ret)
{
	enum wire_fault fault = WIRE_OK;

	*ret = (struct opened){ 0 };
	arena_init(&ret->mem, &mem_libc, DECODE_ARENA);
	if (wire_ike_parse(&ret->mem, packet_ike(p), &ret->msg, &fault) != ST_OK)
		return false;
	ret->sealed = ret->msg.encrypted;
	if (ret->sealed)
		open_sk(w, ret);
	return true;
}

void opened_done(struct opened *o)
{
	arena_done(&o->mem);
}

const struct wire_payloads *opened_payloads(const struct opened *o)
{
	return o->sealed ? &o->inner : &o->msg.clear;
}

/* ---- payload chains ------------------------------------------------------------------------ */

/* A place in a payload chain. */
struct chain_at {
	uint8_t type;
	size_t at;
	size_t len; /* with header */
	size_t next_at; /* where the type of this payload stands; SIZE_MAX: in `first` */
};

static bool chain_next(const uint8_t *chain, size_t n, struct chain_at *c)
{
	if (c->type == WIRE_P_NONE || n - c->at < WIRE_PAYLOAD_HDR_LEN)
		return false;
	c->len = load_be16(chain + c->at + 2);
	if (c->len < WIRE_PAYLOAD_HDR_LEN || c->len > n - c->at)
		harness_fail("a payload chain does not hold together");
	return true;
}

static void chain_step(const uint8_t *chain, struct chain_at *c)
{
	c->type = chain[c->at];
	c->next_at = c->at;
	c->at += c->len;
}

size_t chain_find(uint8_t first, const uint8_t *chain, size_t n, uint8_t type)
{
	struct chain_at c = { .type = first, .next_at = SIZE_MAX };

	for (; chain_next(chain, n, &c); chain_step(chain, &c))
		if (c.type == type)
			return c.at;
	return SIZE_MAX;
}

void chain_remove(uint8_t *first, uint8_t *chain, size_t *n, uint8_t type)
{
	struct chain_at c = { .type = *first, .next_at = SIZE_MAX };

	for (; chain_next(chain, *n, &c); chain_step(chain, &c)) {
		if (c.type != type)
			continue;
		*(c.next_at == SIZE_MAX ? first : &chain[c.next_at]) = chain[c.at];
		memmove(chain + c.at, chain + c.at + c.len, *n - c.at - c.len);
		*n -= c.len;
		return;
	}
	harness_fail("there is no payload of type %u to remove", type);
}

void chain_append(uint8_t *first, uint8_t *chain, size_t *n, size_t cap, uint8_t type,
		  bool critical, struct bytes body)
{
	struct chain_at c = { .type = *first, .next_at = SIZE_MAX };

	while (chain_next(chain, *n, &c))
		chain_step(chain, &c);
	if (cap - *n < WIRE_PAYLOAD_HDR_LEN + body.n)
		harness_fail("no room for another payload");
	*(c.next_at == SIZE_MAX ? first : &chain[c.next_at]) = type;
	chain[*n] = WIRE_P_NONE;
	chain[*n + 1] = critical ? 0x80 : 0;
	store_be16(chain + *n + 2, (uint16_t)(WIRE_PAYLOAD_HDR_LEN + body.n));
	if (body.n)
		memcpy(chain + *n + WIRE_PAYLOAD_HDR_LEN, body.p, body.n);
	*n += WIRE_PAYLOAD_HDR_LEN + body.n;
}

/* ---- writing again ------------------------------------------------------------------------- */

static struct packet *enqueue_after(struct world *w, const struct packet *p, struct bytes msg)
{
	uint8_t buf[MESSAGE_MAX];
	size_t head = (size_t)(packet_ike(p).p - p->data);
	struct packet *q;

	if (msg.n > sizeof(buf) - head)
		harness_fail("a message of %zu bytes", msg.n);
	memcpy(buf, p->data, head);
	memcpy(buf + head, msg.p, msg.n);
	q = world_inject(w, p->src, p->dst, bytes_of(buf, head + msg.n));
	if (list_empty(&p->link))
		return q; /* a kept one */
	list_del(&q->link);
	/* Behind `p`: list_add_tail() puts a node in front of its first argument. */
	list_add_tail(p->link.next, &q->link);
	return q;
}

struct packet *packet_rewrite(struct world *w, const struct packet *p, packet_edit_fn *edit,
			      void *ctx)
{
	uint8_t buf[MESSAGE_MAX];
	struct bytes b = packet_ike(p);
	size_t n = b.n - WIRE_IKE_HDR_LEN;

	memcpy(buf, b.p, b.n);
	edit(ctx, &buf[16], buf + WIRE_IKE_HDR_LEN, &n, sizeof(buf) - WIRE_IKE_HDR_LEN);
	store_be32(buf + 24, (uint32_t)(WIRE_IKE_HDR_LEN + n));
	return enqueue_after(w, p, bytes_of(buf, WIRE_IKE_HDR_LEN + n));
}

static const struct world_keys *keys_of(const struct world *w, const struct wire_hdr *h)
{
	size_t have = w->n_keys < WORLD_KEYS ? w->n_keys : WORLD_KEYS;

	for (size_t i = have; i-- > 0;)
		if (w->keys[i].spi_i == h->spi_i && w->keys[i].spi_r == h->spi_r)
			return &w->keys[i];
	return NULL;
}

static size_t chain_offset(const struct crypto_cipher_info *info)
{
	return WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN + info->iv_len;
}

/* Header, SK header, IV, chain, pad length, ICV; the header and the chain are in place.  An IV is
 * counted from the top, where no engine gets. */
static size_t seal(const struct world_keys *k, const struct crypto_cipher_info *info, uint8_t first,
		   size_t n, uint8_t *buf)
{
	static uint64_t counter = UINT64_MAX;
	const struct crypto *c = &k->node->crypto;
	const struct crypto_key *key = buf[19] & WIRE_FLAG_INITIATOR ? &k->ei : &k->er;
	size_t aad = WIRE_IKE_HDR_LEN + WIRE_PAYLOAD_HDR_LEN;
	uint8_t *iv = buf + aad, *plain = iv + info->iv_len;
	size_t pad = (info->block - (n + 1) % info->block) % info->block;
	size_t len = n + pad + 1;

	plain[len - 1] = (uint8_t)pad;
	buf[16] = WIRE_P_SK;
	store_be32(buf + 24, (uint32_t)(aad + info->iv_len + len + info->icv_len));
	buf[WIRE_IKE_HDR_LEN] = first;
	buf[WIRE_IKE_HDR_LEN + 1] = 0;
	store_be16(buf + WIRE_IKE_HDR_LEN + 2,
		   (uint16_t)(WIRE_PAYLOAD_HDR_LEN + info->iv_len + len + info->icv_len));
	memset(iv, 0, info->iv_len);
	store_be64(iv + info->iv_len - 8, counter--);
	if (c->ops->seal(c->ctx, key, iv, bytes_of(buf, aad), plain, len, plain + len) != ST_OK)
		harness_fail("cannot seal");
	return aad + info->iv_len + len + info->icv_len;
}

struct packet *packet_reseal(struct world *w, const struct packet *p, packet_edit_fn *edit,
			     void *ctx)
{
	uint8_t buf[MESSAGE_MAX] = { 0 };
	struct crypto_cipher_info info;
	struct packet *q;
	struct opened o;
	size_t n;

	if (!packet_open(w, p, &o) || !o.open ||
	    crypto_cipher_info(o.keys->ei.cipher, &info) != ST_OK)
		harness_fail("cannot open what is to be sealed again");
	n = o.plain.n;
	memcpy(buf, o.msg.raw.p, WIRE_IKE_HDR_LEN);
	memcpy(buf + chain_offset(&info), o.plain.p, n);
	edit(ctx, &o.first, buf + chain_offset(&info), &n, MESSAGE_MAX - 256);
	n = seal(o.keys, &info, o.first, n, buf);
	q = enqueue_after(w, p, bytes_of(buf, n));
	opened_done(&o);
	return q;
}

struct packet *packet_like(struct world *w, const struct packet *like, uint8_t exchange,
			   bool response, uint32_t msgid, uint8_t first, struct bytes chain)
{
	uint8_t buf[4096] = { 0 };
	size_t n = WIRE_IKE_HDR_LEN + chain.n;
	const struct world_keys *k;
	struct crypto_cipher_info info;
	enum wire_fault fault;
	struct wire_hdr h;

	if (wire_ike_parse_hdr(packet_ike(like), &h, &fault) != ST_OK || chain.n > 2048)
		harness_fail("cannot be like that");
	k = exchange == WIRE_IKE_SA_INIT ? NULL : keys_of(w, &h);
	memcpy(buf, packet_ike(like).p, WIRE_IKE_HDR_LEN);
	buf[16] = first;
	buf[18] = exchange;
	buf[19] = (uint8_t)((h.flags & WIRE_FLAG_INITIATOR) | (response ? WIRE_FLAG_RESPONSE : 0));
	store_be32(buf + 20, msgid);
	store_be32(buf + 24, (uint32_t)n);
	if (k && crypto_cipher_info(k->ei.cipher, &info) != ST_OK)
		harness_fail("keys without a cipher");
	if (chain.n)
		memcpy(buf + (k ? chain_offset(&info) : WIRE_IKE_HDR_LEN), chain.p, chain.n);
	if (k)
		n = seal(k, &info, first, chain.n, buf);
	return enqueue_after(w, like, bytes_of(buf, n));
}
