/* Do two nodes carry each other's packets?  Asked of what their data planes were told. */
#include "harness/internal.h"

static bool same_keys(const struct esp_keys *a, const struct esp_keys *b)
{
	return a->cipher.encr == b->cipher.encr && a->cipher.key_bits == b->cipher.key_bits &&
	       ct_equal(secret_bytes(&a->encr), secret_bytes(&b->encr)) &&
	       ct_equal(secret_bytes(&a->integ), secret_bytes(&b->integ));
}

/* The newest child whose selectors admit the packet. */
static const struct dp_child *way_out(const struct node *n, const struct ip *src,
				      const struct ip *dst)
{
	const struct dp_child *best = NULL;

	for (size_t i = 0; i < n->n_children; i++) {
		const struct dp_child *c = &n->child[i].child;

		if (c->outbound && policy_ts_match(&c->ts_local, src, 1, 0x0800) &&
		    policy_ts_match(&c->ts_remote, dst, 1, 0x0800) && (!best || c->id > best->id))
			best = c;
	}
	return best;
}

static const struct dp_child *way_in(const struct node *n, uint32_t spi)
{
	for (size_t i = 0; i < n->n_children; i++)
		if (n->child[i].child.spi_in == spi)
			return &n->child[i].child;
	return NULL;
}

bool world_ping(struct world *w, struct node *from, const char *src, struct node *to,
		const char *dst)
{
	struct ip s = test_ip(src), d = test_ip(dst);
	const struct dp_child *out = way_out(from, &s, &d);
	const struct dp_child *in = out ? way_in(to, out->spi_out) : NULL;

	(void)w;
	return in && in->esn == out->esn && same_keys(&out->out, &in->in) &&
	       policy_ts_match(&in->ts_remote, &s, 1, 0x0800) &&
	       policy_ts_match(&in->ts_local, &d, 1, 0x0800);
}
