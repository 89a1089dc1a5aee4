#include "ike/internal.h"

#include <stdarg.h>
#include <stdio.h>

const char *ike_event_name(enum ike_event_kind kind)
{
	static const char *const names[IKE_EVENTS] = {
		[IKE_EV_CONNECTING] = "connecting",
		[IKE_EV_SA_UP] = "ike_up",
		[IKE_EV_SA_DOWN] = "ike_down",
		[IKE_EV_CHILD_UP] = "child_up",
		[IKE_EV_CHILD_DOWN] = "child_down",
		[IKE_EV_SA_REKEYED] = "ike_rekeyed",
		[IKE_EV_CHILD_REKEYED] = "child_rekeyed",
		[IKE_EV_MOVED] = "moved",
		[IKE_EV_CONFLICT] = "conflict",
		[IKE_EV_REFUSED] = "refused",
		[IKE_EV_RETRANSMIT] = "retransmit",
		[IKE_EV_UNREACHABLE] = "unreachable",
		[IKE_EV_SUSPECT] = "suspect",
		[IKE_EV_ALIVE] = "alive",
		[IKE_EV_HINT] = "hint",
		[IKE_EV_DEAD] = "dpd_dead",
		[IKE_EV_DATAPLANE] = "dataplane",
		[IKE_EV_BUG] = "bug",
		[IKE_EV_LOAD] = "load",
		[IKE_EV_LEASE] = "lease",
		[IKE_EV_REDIRECTED] = "redirected",
		[IKE_EV_MTU] = "path_mtu",
		[IKE_EV_CARRIES] = "carries",
		[IKE_EV_PARTNER_OVER] = "partner_over",
		[IKE_EV_SUGGESTED] = "suggested",
		[IKE_EV_SHORTCUT] = "shortcut",
		[IKE_EV_SHORTCUT_FAILED] = "shortcut_failed",
		[IKE_EV_SHORTCUT_ENDED] = "shortcut_ended",
		[IKE_EV_NOT_DIRECT] = "not_direct",
		[IKE_EV_HUBS] = "hubs",
		[IKE_EV_ATTACHED] = "attached",
	};

	return kind < IKE_EVENTS ? names[kind] : "unknown";
}

const char *ike_reason_name(enum ike_reason reason)
{
	static const char *const names[IKE_REASONS] = {
		[IKE_R_NONE] = "",
		[IKE_R_NO_ANSWER] = "no_answer",
		[IKE_R_PROPOSAL] = "proposal",
		[IKE_R_KEY_EXCHANGE] = "key_exchange",
		[IKE_R_IDENTITY] = "identity",
		[IKE_R_CERTIFICATE] = "certificate",
		[IKE_R_REVOKED] = "revoked",
		[IKE_R_KEY] = "key",
		[IKE_R_CLOCK] = "clock",
		[IKE_R_AUTHORISATION] = "authorisation",
		[IKE_R_CONFLICT] = "conflict",
		[IKE_R_SELECTORS] = "selectors",
		[IKE_R_ESP_PROPOSAL] = "esp_proposal",
		[IKE_R_OVERLOAD] = "overload",
		[IKE_R_ADDRESS] = "address",
		[IKE_R_STORE] = "store",
		[IKE_R_PATH] = "path",
		[IKE_R_REDIRECT] = "redirect",
		[IKE_R_IDLE] = "idle",
		[IKE_R_POLICY] = "policy",
		[IKE_R_PEER_SAID] = "peer_said",
		[IKE_R_MALFORMED] = "malformed",
		[IKE_R_INTERNAL] = "internal",
	};

	return reason < IKE_REASONS ? names[reason] : "";
}

void event_claimed(struct ike_sa *sa, const struct wire_id *id)
{
	struct policy_ident ident = { id->type, id->data };
	struct text t = TEXT_OF(sa->hs->claimed);

	policy_ident_text(&t, &ident);
}

static void fill_identity(struct ike_event *e, const struct ike_sa *sa)
{
	struct text t = TEXT_OF(e->identity);

	if (sa->remote_id.type)
		policy_ident_text(&t, &sa->remote_id);
	else if (sa->hs)
		text_add(&t, sa->hs->claimed);
}

static void fill_about(struct ike_event *e, const struct event_about *a)
{
	const struct peer *p = a->peer;

	e->peer_name = "";
	if (a->sa) {
		e->sa = a->sa->id;
		e->spi_i = a->sa->spi_i;
		e->spi_r = a->sa->spi_r;
		e->local = a->sa->path.local;
		e->remote = a->sa->path.remote;
		p = a->sa->peer ? a->sa->peer : p;
		fill_identity(e, a->sa);
	}
	if (p) {
		e->peer = p->id;
		e->peer_name = p->name;
	}
	if (a->child) {
		e->child = a->child->id;
		e->spi_in = a->child->spi_in;
		e->spi_out = a->child->spi_out;
	}
	if (a->local)
		e->local = *a->local;
	if (a->remote)
		e->remote = *a->remote;
}

bool event_emit(struct ike *ike, enum ike_event_kind kind, struct event_about about,
		const char *fmt, ...)
{
	struct outbox ob;
	struct out_item *it;
	struct ike_event *e;
	struct bytes name;
	va_list ap;

	/* Events are best effort: losing one to memory must not stop the reaction. */
	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_EVENT);
	e = it ? arena_new(&it->mem, sizeof(*e)) : NULL;
	if (!e) {
		count(ike, C_NO_MEMORY);
		outbox_drop(&ob);
		return false;
	}
	e->kind = kind;
	e->reason = about.reason;
	fill_about(e, &about);
	/* The configuration may be gone when the host reads this. */
	if (arena_dup(&it->mem, bytes_of(e->peer_name, strlen(e->peer_name) + 1), &name) == ST_OK)
		e->peer_name = (const char *)name.p;
	else
		e->peer_name = "";
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	it->out.u.event = e;
	outbox_commit(ike, &ob);
	return true;
}

const struct ike_trace_point ike_trace_points[] = {
	[T_STATE] = { "ike.state", { "from", "to" } },
	[T_RX] = { "ike.rx", { "exchange", "msgid", "length", "response" } },
	[T_TX] = { "ike.tx", { "exchange", "msgid", "length", "response" } },
	[T_RETRANSMIT] = { "ike.retransmit", { "exchange", "msgid", "try" } },
	[T_JOB] = { "ike.job", { "job", "kind" } },
	[T_JOB_DONE] = { "ike.job_done", { "job", "kind", "status" } },
	[T_DROP] = { "ike.drop", { "counter", "exchange", "msgid", "response" } },
};
const size_t ike_n_trace_points = ARRAY_LEN(ike_trace_points);

void trace_emit(struct ike *ike, enum trace_id point, ike_sa_id sa, uint64_t a, uint64_t b,
		uint64_t c, uint64_t d)
{
	struct outbox ob;
	struct out_item *it;

	if (!ike->conf->trace)
		return;
	outbox_init(&ob, ike->mem);
	it = outbox_add(&ob, IKE_OUT_TRACE);
	if (it)
		it->out.u.trace = (struct ike_trace){ point, sa, { a, b, c, d } };
	outbox_commit(ike, &ob);
}
