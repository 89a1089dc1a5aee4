/*
 * view_hub.c - what a hub has to show, for status.
 */
#include "mesh/hub.h"

static dur_t left(const struct pair *p, struct now now)
{
	if (p->state != PAIR_FAILED)
		return (dur_t){ -1 };
	return mono_before(p->until, now.mono) ? (dur_t){ 0 } : mono_since(p->until, now.mono);
}

static struct mesh_pair_info pair_info(const struct pair *p, struct now now)
{
	const struct entry *a = p->side[0].entry, *b = p->side[1].entry;

	return (struct mesh_pair_info){
		.network = p->net->conf,
		.a = a->ident,
		.b = b->ident,
		.state = pair_state_name(p->state),
		.topology = p->topology,
		.rule = p->rule,
		.traffic = mono_before(now.mono, mono_add(p->traffic, dur_s(1))),
		.reason = (enum wire_mesh_reason)p->reason,
		.by = p->by ? p->side[p->by - 1].entry->ident : (struct policy_ident){ 0 },
		.text = p->text ? p->text : "",
		.retry_in = left(p, now),
		.age = mono_since(now.mono, p->since),
		.suggestions = p->suggestions,
		.relayed = !entry_here(a) || !entry_here(b),
	};
}

static bool pairs_of(const struct hub *h, struct now now, mesh_pair_fn *fn, void *ctx)
{
	for (struct map_node *n = map_next(&h->pairs, NULL); n; n = map_next(&h->pairs, n)) {
		struct mesh_pair_info info =
			pair_info(CONTAINER_OF(n, struct pair, by_members), now);

		if (!fn(ctx, &info))
			return false;
	}
	return true;
}

void mesh_each_pair(const struct mesh *m, struct now now, mesh_pair_fn *fn, void *ctx)
{
	list_for_each(n, &m->networks) {
		const struct hub *h = CONTAINER_OF(n, const struct network, node)->hub;

		if (h && !pairs_of(h, now, fn, ctx))
			return;
	}
}

void mesh_count_pairs(const struct mesh *m, mesh_pairs_fn *fn, void *ctx)
{
	for (enum pair_state s = 0; s < PAIR_STATES; s++) {
		size_t sum = 0;

		list_for_each(n, &m->networks) {
			const struct hub *h = CONTAINER_OF(n, const struct network, node)->hub;

			sum += h ? h->in_state[s] : 0;
		}
		if (sum)
			fn(ctx, pair_state_name(s), sum);
	}
}

static bool members_of(const struct hub *h, mesh_member_fn *fn, void *ctx)
{
	for (uint32_t i = 0; i < h->n_slots; i++) {
		const struct entry *e = h->slots[i];
		struct mesh_member_info info;

		if (!e || !entry_present(e))
			continue;
		info = (struct mesh_member_info){
			.network = h->net->conf,
			.identity = e->ident,
			.peer = e->peer,
			.at = e->at,
			.capabilities = e->capabilities,
			.epoch = e->epoch,
		};
		memcpy(info.ts, e->ts, sizeof(info.ts));
		info.n_candidates = entry_candidates(e, info.candidates);
		if (!fn(ctx, &info))
			return false;
	}
	return true;
}

void mesh_each_member(const struct mesh *m, mesh_member_fn *fn, void *ctx)
{
	list_for_each(n, &m->networks) {
		const struct hub *h = CONTAINER_OF(n, const struct network, node)->hub;

		if (h && !members_of(h, fn, ctx))
			return;
	}
}
