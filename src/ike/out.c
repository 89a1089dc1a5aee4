#include "ike/internal.h"

/* One item must be able to carry the largest message plus the bookkeeping of its arena. */
enum { OUT_ITEM_ARENA = IKE_MAX_MESSAGE + 64 * 1024 };

void outbox_init(struct outbox *ob, const struct alloc *mem)
{
	ob->mem = mem;
	list_init(&ob->items);
	ob->failed = false;
}

static void item_free(const struct alloc *mem, struct out_item *it)
{
	if (!it)
		return;
	/* A job that nobody took is still ours. */
	if (it->out.kind == IKE_OUT_JOB)
		crypto_job_free(it->out.u.job.job);
	arena_done(&it->mem);
	mem_free(mem, it);
}

void outbox_drop(struct outbox *ob)
{
	list_for_each_safe(n, &ob->items) {
		list_del(n);
		item_free(ob->mem, CONTAINER_OF(n, struct out_item, node));
	}
	ob->failed = false;
}

void outbox_commit(struct ike *ike, struct outbox *ob)
{
	list_for_each_safe(n, &ob->items) {
		const struct ike_out *o = &CONTAINER_OF(n, struct out_item, node)->out;

		if (o->kind == IKE_OUT_SEND && !o->u.send.keepalive)
			count(ike, C_TX_DATAGRAMS);
		list_del(n);
		list_add_tail(&ike->out.items, n);
	}
}

struct out_item *outbox_add(struct outbox *ob, enum ike_out_kind kind)
{
	struct out_item *it = mem_new(ob->mem, sizeof(*it));

	if (!it) {
		ob->failed = true;
		return NULL;
	}
	it->out.kind = kind;
	arena_init(&it->mem, ob->mem, OUT_ITEM_ARENA);
	list_add_tail(&ob->items, &it->node);
	return it;
}

void ike_next(struct ike *ike, struct ike_out *ret_out)
{
	struct out_item *it;

	item_free(ike->mem, ike->current);
	ike->current = NULL;
	if (ike->stateless.full) {
		ike->stateless.full = false;
		*ret_out = ike->stateless.out;
		return;
	}
	if (list_empty(&ike->out.items)) {
		*ret_out = (struct ike_out){ .kind = IKE_OUT_NONE };
		return;
	}
	it = CONTAINER_OF(ike->out.items.next, struct out_item, node);
	list_del(&it->node);
	*ret_out = it->out;
	/* The job is the host's from here on. */
	if (it->out.kind == IKE_OUT_JOB)
		it->out.kind = IKE_OUT_NONE;
	ike->current = it;
}
