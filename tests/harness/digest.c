#include "harness/digest.h"

void digest_bytes(uint64_t *h, struct bytes b)
{
	uint64_t key[2] = { *h, b.n };

	*h = siphash(key, b);
}

static void mix_u64(uint64_t *h, uint64_t v)
{
	uint8_t b[8];

	store_be64(b, v);
	digest_bytes(h, BYTES_OF(b));
}

static void mix_str(uint64_t *h, const char *s)
{
	digest_bytes(h, bytes_str(s));
}

static void mix_endpoint(uint64_t *h, const struct endpoint *e)
{
	mix_u64(h, (uint64_t)e->ip.family << 16 | e->port);
	digest_bytes(h, ip_raw(&e->ip));
}

static void mix_ts(uint64_t *h, const struct wire_ts_list *l)
{
	mix_u64(h, l->n);
	for (size_t i = 0; i < l->n; i++) {
		mix_u64(h, l->ts[i].proto);
		mix_u64(h, (uint64_t)l->ts[i].port_start << 16 | l->ts[i].port_end);
		digest_bytes(h, ip_raw(&l->ts[i].start));
		digest_bytes(h, ip_raw(&l->ts[i].end));
	}
}

static void mix_child(uint64_t *h, const struct dp_child *c)
{
	mix_u64(h, c->id);
	mix_u64(h, c->peer);
	mix_u64(h, (uint64_t)c->spi_in << 32 | c->spi_out);
	mix_u64(h, (uint64_t)c->esn << 2 | (uint64_t)c->encap << 1 | c->outbound);
	mix_endpoint(h, &c->local);
	mix_endpoint(h, &c->remote);
	digest_bytes(h, secret_bytes(&c->in.encr));
	digest_bytes(h, secret_bytes(&c->out.encr));
	mix_ts(h, &c->ts_local);
	mix_ts(h, &c->ts_remote);
}

static void mix_ip(uint64_t *h, const struct ip *ip)
{
	mix_u64(h, ip->family);
	digest_bytes(h, ip_raw(ip));
}

static void mix_dp(uint64_t *h, const struct dp_op *op)
{
	mix_u64(h, op->op);
	mix_u64(h, op->kind);
	switch (op->kind) {
	case DP_CHILD_ADD: mix_child(h, &op->u.child); break;
	case DP_CHILD_ADDRESS:
		mix_u64(h, op->u.address.id);
		mix_endpoint(h, &op->u.address.local);
		mix_endpoint(h, &op->u.address.remote);
		break;
	case DP_TRAP_ADD:
		mix_u64(h, op->u.trap.peer);
		mix_ts(h, &op->u.trap.ts_local);
		mix_ts(h, &op->u.trap.ts_remote);
		break;
	case DP_CHILD_QUIET:
	case DP_CHILD_DEL:
	case DP_CHILD_DUMMY:
	case DP_CHILD_PAUSE:
	case DP_CHILD_QUERY: mix_u64(h, op->u.id); break;
	case DP_TRAP_DEL: mix_u64(h, op->u.peer); break;
	case DP_PATH_MTU:
		mix_ip(h, &op->u.path_mtu.remote);
		mix_u64(h, op->u.path_mtu.mtu);
		break;
	case DP_PEER_PREFIX:
		mix_u64(h, op->u.given.peer);
		mix_ip(h, &op->u.given.prefix.ip);
		mix_u64(h, op->u.given.prefix.len);
		mix_u64(h, op->u.given.given);
		break;
	case DP_PEER_GIVEN_ONLY:
		mix_u64(h, op->u.given_only.peer);
		mix_u64(h, op->u.given_only.on);
		break;
	}
}

static void mix_trace(uint64_t *h, const struct ike_trace *t)
{
	mix_u64(h, t->point);
	mix_u64(h, t->sa);
	for (size_t i = 0; i < ARRAY_LEN(t->args); i++)
		mix_u64(h, t->args[i]);
}

static void mix_store(uint64_t *h, uint64_t id, const struct ike_store_op *op)
{
	mix_u64(h, id);
	mix_u64(h, op->kind);
	mix_str(h, op->lease.peer);
	mix_u64(h, op->lease.identity.type);
	digest_bytes(h, op->lease.identity.data);
	mix_ip(h, &op->lease.v4);
	mix_ip(h, &op->lease.v6);
	mix_u64(h, (uint64_t)op->lease.ended.s);
}

static void mix_inner(uint64_t *h, const struct ike_inner *in)
{
	mix_u64(h, in->peer);
	mix_str(h, in->peer_name);
	mix_u64(h, in->up);
	for (size_t i = 0; i < in->n_addresses; i++) {
		mix_ip(h, &in->addresses[i].ip);
		mix_u64(h, in->addresses[i].len);
	}
	for (size_t i = 0; i < in->n_dns; i++)
		mix_ip(h, &in->dns[i]);
	for (size_t i = 0; i < in->n_domains; i++)
		mix_str(h, in->domains[i]);
	for (size_t i = 0; i < in->n_subnets; i++) {
		mix_ip(h, &in->subnets[i].ip);
		mix_u64(h, in->subnets[i].len);
	}
}

void digest_output(uint64_t *h, const char *who, const struct ike_out *o)
{
	mix_str(h, who);
	mix_u64(h, o->kind);
	switch (o->kind) {
	case IKE_OUT_SEND:
		mix_endpoint(h, &o->u.send.local);
		mix_endpoint(h, &o->u.send.remote);
		mix_u64(h, (uint64_t)o->u.send.df << 2 | (uint64_t)o->u.send.marker << 1 |
				   o->u.send.keepalive);
		digest_bytes(h, o->u.send.data);
		break;
	case IKE_OUT_DP: mix_dp(h, o->u.dp); break;
	case IKE_OUT_JOB:
		mix_u64(h, o->u.job.id);
		mix_u64(h, o->u.job.job->kind);
		break;
	case IKE_OUT_CANCEL: mix_u64(h, o->u.cancel); break;
	case IKE_OUT_RESOLVE:
		mix_u64(h, o->u.resolve.id);
		mix_str(h, o->u.resolve.name);
		break;
	case IKE_OUT_STORE: mix_store(h, o->u.store.id, &o->u.store.op); break;
	case IKE_OUT_INNER: mix_inner(h, o->u.inner); break;
	case IKE_OUT_EVENT:
		mix_u64(h, o->u.event->kind);
		mix_str(h, o->u.event->text);
		break;
	case IKE_OUT_TRACE: mix_trace(h, &o->u.trace); break;
	case IKE_OUT_KEYS:
		digest_bytes(h, o->u.keys.sk_ei);
		digest_bytes(h, o->u.keys.sk_er);
		break;
	case IKE_OUT_ASKED:
		mix_u64(h, o->u.asked.word.notify);
		digest_bytes(h, o->u.asked.word.data);
		break;
	case IKE_OUT_ANSWERED:
		mix_u64(h, o->u.answered.status);
		mix_u64(h, o->u.answered.word.notify);
		digest_bytes(h, o->u.answered.word.data);
		break;
	case IKE_OUT_NONE: break;
	}
}
