#include "ike/internal.h"

static enum window_class classify_request(const struct window *w, uint32_t id, uint64_t hash)
{
	if (id == w->next_recv) {
		if (!w->in_progress)
			return WIN_NEW_REQUEST;
		return hash == w->request_hash ? WIN_REPEATED : WIN_FORGED;
	}
	if (id > w->next_recv)
		return WIN_FUTURE;
	/* Retransmissions are bitwise identical (RFC 7296 section 2.1), so anything else under a
	 * used message id is not the peer's, and must not make us send. */
	if (id + 1 == w->next_recv && w->response.n)
		return hash == w->request_hash ? WIN_REPEATED : WIN_FORGED;
	return WIN_OLD;
}

enum window_class window_classify(const struct window *w, const struct wire_hdr *h, uint64_t hash)
{
	if (!(h->flags & WIRE_FLAG_RESPONSE))
		return classify_request(w, h->msgid, hash);
	if (w->request.n && h->msgid + 1 == w->next_send && h->exchange == w->request_exchange)
		return WIN_RESPONSE;
	return WIN_STRAY;
}

void window_done(struct window *w, const struct alloc *mem)
{
	mem_free(mem, (void *)(uintptr_t)w->request.p);
	mem_free(mem, (void *)(uintptr_t)w->response.p);
	*w = (struct window){ 0 };
}
