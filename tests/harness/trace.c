#include "harness/trace.h"

#include "harness/decode.h"
#include "harness/internal.h"

enum {
	LINE = 1024,
};

void world_trace(struct world *w, struct text_buf *t)
{
	w->trace = t;
}

void world_note(struct world *w, const char *text)
{
	if (w->trace)
		text_buf_fmt(w->trace, "\n== %s\n", text);
}

static void stamp(struct world *w, const char *who)
{
	int64_t ms = dur_to_ms(mono_since(w->now.mono, (mono_t){ 1000000000000 }));

	text_buf_fmt(w->trace, "%lld.%03lld %s ", (long long)(ms / 1000), (long long)(ms % 1000),
		     who);
}

void trace_packet(struct world *w, const struct packet *p)
{
	char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];

	if (!w->trace)
		return;
	text_buf_add(w->trace, "\n");
	stamp(w, "datagram");
	text_buf_fmt(w->trace, "%u %s > %s, %zu bytes\n", p->id, endpoint_text(&p->src, src),
		     endpoint_text(&p->dst, dst), p->n);
	text_buf_hex(w->trace, "  | ", bytes_of(p->data, p->n));
	decode_packet(w, p, w->trace);
}

static void put_ts(struct text_buf *t, const char *name, const struct wire_ts_list *l)
{
	char line[LINE];
	struct text text = TEXT_OF(line);

	policy_ts_list_text(&text, l);
	text_buf_fmt(t, "  %s %s\n", name, line);
}

static void put_key(struct text_buf *t, const char *name, const struct secret *s)
{
	char line[LINE];
	struct text text = TEXT_OF(line);

	text_hex(&text, secret_bytes(s));
	text_buf_fmt(t, "  %s %s\n", name, line);
}

static void put_child(struct text_buf *t, const struct dp_child *c)
{
	char local[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	if (!c->spi_in) {
		text_buf_fmt(t, "send on child %llu\n", (unsigned long long)c->id);
		return;
	}
	text_buf_fmt(t, "install child %llu, in %08x out %08x, %s > %s%s%s%s\n",
		     (unsigned long long)c->id, c->spi_in, c->spi_out,
		     endpoint_text(&c->local, local), endpoint_text(&c->remote, remote),
		     c->esn ? ", esn" : "", c->encap ? ", in UDP" : "",
		     c->outbound ? "" : ", receives only");
	put_ts(t, "local", &c->ts_local);
	put_ts(t, "remote", &c->ts_remote);
	put_key(t, "key in ", &c->in.encr);
	put_key(t, "key out", &c->out.encr);
}

static void put_op(struct text_buf *t, const struct dp_op *op)
{
	switch (op->kind) {
	case DP_CHILD_ADD: put_child(t, &op->u.child); break;
	case DP_CHILD_QUIET:
		text_buf_fmt(t, "send no more on child %llu\n", (unsigned long long)op->u.id);
		break;
	case DP_CHILD_DEL:
		text_buf_fmt(t, "remove child %llu\n", (unsigned long long)op->u.id);
		break;
	case DP_CHILD_ADDRESS:
		text_buf_fmt(t, "move child %llu\n", (unsigned long long)op->u.address.id);
		break;
	case DP_CHILD_QUERY:
		text_buf_fmt(t, "ask about child %llu\n", (unsigned long long)op->u.id);
		break;
	case DP_CHILD_DUMMY:
		text_buf_fmt(t, "dummy packet on child %llu\n", (unsigned long long)op->u.id);
		break;
	case DP_CHILD_PAUSE:
		text_buf_fmt(t, "send nothing on child %llu for now\n",
			     (unsigned long long)op->u.id);
		break;
	case DP_TRAP_ADD:
		text_buf_fmt(t, "trap for peer %llu\n", (unsigned long long)op->u.trap.peer);
		put_ts(t, "local", &op->u.trap.ts_local);
		put_ts(t, "remote", &op->u.trap.ts_remote);
		break;
	case DP_TRAP_DEL:
		text_buf_fmt(t, "no trap for peer %llu\n", (unsigned long long)op->u.peer);
		break;
	case DP_PATH_MTU: {
		char buf[IP_TEXT_MAX];

		text_buf_fmt(t, "path MTU of %u to %s\n", op->u.path_mtu.mtu,
			     ip_text(&op->u.path_mtu.remote, buf));
		break;
	}
	case DP_PEER_PREFIX: {
		static const char *const when[] = { "not any more", "first", "last" };
		char buf[PREFIX_TEXT_MAX];

		text_buf_fmt(t, "%s for peer %llu: %s\n", prefix_text(&op->u.given.prefix, buf),
			     (unsigned long long)op->u.given.peer, when[op->u.given.given]);
		break;
	}
	case DP_PEER_GIVEN_ONLY:
		text_buf_fmt(t, "peer %llu has %s\n", (unsigned long long)op->u.given_only.peer,
			     op->u.given_only.on ? "what it was given, and nothing else"
						 : "what its selectors say");
		break;
	}
}

void trace_output(struct node *n, const struct ike_out *o)
{
	struct world *w = n->w;

	if (!w->trace || (o->kind != IKE_OUT_DP && o->kind != IKE_OUT_EVENT))
		return;
	text_buf_add(w->trace, "\n");
	stamp(w, n->name);
	if (o->kind == IKE_OUT_DP)
		put_op(w->trace, o->u.dp);
	else
		text_buf_fmt(w->trace, "%s: %s\n", ike_event_name(o->u.event->kind),
			     o->u.event->text);
}
