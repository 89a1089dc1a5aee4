#include "harness/pair.h"

void pair_init(struct pair *p, uint64_t seed)
{
	*p = (struct pair){ .w = world_new(seed) };
	p->ca = test_conf_new();
	p->cb = test_conf_new();
	p->pa = test_conf_peer(p->ca, PAIR_PEER, "b", "192.0.2.2", "a.example", "b.example", 1);
	p->pb = test_conf_peer(p->cb, PAIR_PEER, "a", "192.0.2.1", "b.example", "a.example", 1);
	p->pa->ts_local = test_conf_ts(p->ca, "10.1.0.0/16");
	p->pa->ts_remote = test_conf_ts(p->ca, "10.2.0.0/16");
	p->pb->ts_local = test_conf_ts(p->cb, "10.2.0.0/16");
	p->pb->ts_remote = test_conf_ts(p->cb, "10.1.0.0/16");
}

void pair_certs(struct pair *p)
{
	test_conf_cert(p->ca, p->pa, 11, 100, 100);
	test_conf_cert(p->cb, p->pb, 12, 100, 100);
}

void pair_network(struct pair *p)
{
	struct policy_ident hub = test_conf_ident(p->ca, "b.example");

	test_conf_cert_blocks(p->ca, p->pa, 11, 100, 100, "10.1.0.0/16");
	test_conf_cert_blocks(p->cb, p->pb, 12, 100, 100, "10.0.0.0/8");
	p->pa->role = IKE_ROLE_HUB;
	p->pa->remote_id = (struct policy_ident){ 0 };
	p->pa->hub_ids = (const void *)test_conf_dup(p->ca, bytes_of(&hub, sizeof(hub))).p;
	p->pa->n_hub_ids = 1;
	p->pa->ts_remote = test_conf_ts(p->ca, "0.0.0.0/0 ::/0");
	p->pa->domain = test_conf_ts(p->ca, "10.0.0.0/8");
	p->pb->role = IKE_ROLE_MEMBERS;
	p->pb->remote_id = (struct policy_ident){ 0 };
	p->pb->start = IKE_START_LISTEN;
	test_conf_addresses(p->cb, p->pb, "");
	p->pb->ts_local = p->pb->domain = test_conf_ts(p->cb, "10.0.0.0/8");
	p->pb->ts_remote = test_conf_ts(p->cb, "0.0.0.0/0 ::/0");
}

void pair_ipv6(struct pair *p)
{
	test_conf_addresses(p->ca, p->pa, "2001:db8::2");
	test_conf_addresses(p->cb, p->pb, "2001:db8::1");
}

void pair_start_a(struct pair *p)
{
	static const char *const at[] = { "192.0.2.1", "2001:db8::1", NULL };

	p->a = world_node(p->w, "a", at, p->ca);
}

void pair_start_b(struct pair *p)
{
	static const char *const at[] = { "192.0.2.2", "2001:db8::2", NULL };

	p->b = world_node(p->w, "b", at, p->cb);
}

void pair_start(struct pair *p)
{
	pair_start_a(p);
	pair_start_b(p);
}

void pair_up(struct pair *p)
{
	pair_start(p);
	if (node_command(p->a, IKE_CMD_UP, PAIR_PEER) != ST_OK)
		harness_fail("a refuses to connect");
	world_run(p->w);
	if (!pair_is_up(p))
		harness_fail("a and b did not connect");
}

void pair_done(struct pair *p)
{
	if (!p->a)
		ike_conf_unref(&p->ca->conf);
	if (!p->b)
		ike_conf_unref(&p->cb->conf);
	world_free(p->w);
	*p = (struct pair){ 0 };
}

static size_t established(const struct node *n, struct node_sa *ret)
{
	struct node_sa sa[8];
	size_t count = node_sas(n, sa, ARRAY_LEN(sa)), up = 0;

	for (size_t i = 0; i < count && i < ARRAY_LEN(sa); i++)
		if (sa[i].info.established) {
			*ret = sa[i];
			up++;
		}
	return up;
}

bool pair_is_up(struct pair *p)
{
	struct node_sa a, b;

	return established(p->a, &a) == 1 && established(p->b, &b) == 1 &&
	       a.info.spi_i == b.info.spi_i && a.info.spi_r == b.info.spi_r &&
	       a.info.initiator != b.info.initiator && a.info.n_children == 1 &&
	       b.info.n_children == 1 && p->a->n_children == 1 && p->b->n_children == 1 &&
	       world_ping(p->w, p->a, "10.1.0.1", p->b, "10.2.0.1") &&
	       world_ping(p->w, p->b, "10.2.0.1", p->a, "10.1.0.1");
}

bool node_is_down(const struct node *n)
{
	struct ike_totals t = ike_totals(n->ike);

	return ike_idle(n->ike) && !t.sas && !t.half_open && !t.children && !n->n_children;
}

bool pair_is_down(struct pair *p)
{
	return node_is_down(p->a) && node_is_down(p->b);
}
