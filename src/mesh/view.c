/*
 * view.c - counters, and what a site has to show, for status.
 */
#include "mesh/site.h"

/* As wire_mesh_reason_name() has them. */
#define REASONS(X)                                                                                 \
	X(UNKNOWN_ATTRIBUTE, "unknown_attribute")                                                  \
	X(MALFORMED, "malformed")                                                                  \
	X(NOT_A_HUB, "not_a_hub")                                                                  \
	X(CONTEXT, "context")                                                                      \
	X(IDENTITY, "identity")                                                                    \
	X(SELECTORS, "selectors")                                                                  \
	X(AUTHORITY, "authority")                                                                  \
	X(POLICY, "policy")                                                                        \
	X(LIMIT, "limit")                                                                          \
	X(DUPLICATE, "duplicate")                                                                  \
	X(OLDER, "older")                                                                          \
	X(NO_CANDIDATES, "no_candidates")                                                          \
	X(NO_PATH, "no_path")                                                                      \
	X(NO_ANSWER, "no_answer")                                                                  \
	X(AUTHENTICATION, "authentication")                                                        \
	X(CERTIFICATE, "certificate")                                                              \
	X(PROPOSAL, "proposal")                                                                    \
	X(TS, "ts")                                                                                \
	X(PARTNER_REFUSED, "partner_refused")                                                      \
	X(PARTNER_ENDED, "partner_ended")                                                          \
	X(CONFLICT, "conflict")                                                                    \
	X(IDLE, "idle")                                                                            \
	X(LOST, "lost")                                                                            \
	X(WITHDRAWN, "withdrawn")                                                                  \
	X(EXPIRED, "expired")                                                                      \
	X(SHUTDOWN, "shutdown")                                                                    \
	X(INTERNAL, "internal")                                                                    \
	X(UNKNOWN, "unknown")

static const char *const refused_names[WIRE_MRS] = {
#define X(id, name) [WIRE_MR_##id] = ("mesh.refused." name),
	REASONS(X)
#undef X
};

static const char *const failed_names[WIRE_MRS] = {
#define X(id, name) [WIRE_MR_##id] = ("mesh.failed." name),
	REASONS(X)
#undef X
};

static const char *const fault_names[WIRE_MESH_FAULTS] = {
	[WIRE_MF_SHORT] = "mesh.rx.short",
	[WIRE_MF_LENGTH] = "mesh.rx.length",
	[WIRE_MF_CRITICAL] = "mesh.rx.critical",
	[WIRE_MF_REPEATED] = "mesh.rx.repeated",
	[WIRE_MF_LIMIT] = "mesh.rx.limit",
	[WIRE_MF_IDENT] = "mesh.rx.ident",
	[WIRE_MF_TS] = "mesh.rx.ts",
	[WIRE_MF_CANDIDATE] = "mesh.rx.candidate",
	[WIRE_MF_RANGE] = "mesh.rx.range",
	[WIRE_MF_TEXT] = "mesh.rx.text",
	[WIRE_MF_HUB] = "mesh.rx.hub",
	[WIRE_MF_MEMBER] = "mesh.rx.member",
	[WIRE_MF_MISSING] = "mesh.rx.missing",
	[WIRE_MF_MISPLACED] = "mesh.rx.misplaced",
	[WIRE_MF_NOMEM] = "mesh.rx.nomem",
};

static const char *const names[MESH_COUNTERS] = {
#define X(id, name) [id] = (name),
	MESH_COUNTER_TABLE(X)
#undef X
};

bool mesh_counter(const struct mesh *m, size_t index, const char **ret_name, uint64_t *ret_value)
{
	const struct {
		const char *const *names;
		const uint64_t *values;
		size_t first, n;
	} tables[] = {
		{ names, m->counters, 0, MESH_COUNTERS },
		{ fault_names, m->faults, 1, WIRE_MESH_FAULTS },
		{ refused_names, m->refused, 1, WIRE_MRS },
		{ failed_names, m->failed, 1, WIRE_MRS },
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		size_t n = tables[i].n - tables[i].first;

		if (index < n) {
			*ret_name = tables[i].names[tables[i].first + index];
			*ret_value = tables[i].values[tables[i].first + index];
			return true;
		}
		index -= n;
	}
	return false;
}

/* ---- a site ---------------------------------------------------------------------------------- */

static const char *const stages[STAGES] = {
	[STAGE_PROBING] = "probing", [STAGE_CONNECTING] = "connecting",
	[STAGE_WAITING] = "waiting", [STAGE_PROVING] = "proving",
	[STAGE_UP] = "up",           [STAGE_FAILED] = "failed",
	[STAGE_ENDED] = "ended",
};

static bool show(const struct shortcut *c, struct now now, mesh_shortcut_fn *fn, void *ctx)
{
	struct mesh_shortcut_info info = { .number = c->number,
					   .network = c->net->conf,
					   .partner = c->partner,
					   .peer = c->peer,
					   .hub = c->hub,
					   .state = stages[c->stage],
					   .up = c->stage == STAGE_UP,
					   .initiator = c->initiator,
					   .age = mono_since(now.mono, c->since),
					   .retry_in = { -1 },
					   .reason = c->reason,
					   .text = c->text,
					   .ts_local = c->ts_local,
					   .ts_remote = c->ts_remote,
					   .local = c->local,
					   .remote = c->remote,
					   .rtt = c->rtt,
					   .tries = c->tries,
					   .n_tries = c->n_tries,
					   .post_quantum = c->pq };

	memcpy(info.id, c->id, sizeof(info.id));
	return fn(ctx, &info);
}

static bool show_all(const struct list *l, struct now now, mesh_shortcut_fn *fn, void *ctx)
{
	list_for_each(n, l)
		if (!show(CONTAINER_OF(n, const struct shortcut, node), now, fn, ctx))
			return false;
	return true;
}

void mesh_each_shortcut(const struct mesh *m, struct now now, mesh_shortcut_fn *fn, void *ctx)
{
	list_for_each(n, &m->networks) {
		const struct site *s = CONTAINER_OF(n, const struct network, node)->site;

		if (s && (!show_all(&s->live, now, fn, ctx) || !show_all(&s->past, now, fn, ctx)))
			return;
	}
}
