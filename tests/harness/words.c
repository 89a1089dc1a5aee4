/* Words of upper modules: what came, and that each that was said is told of once. */
#include "harness/internal.h"

#include "harness/digest.h"

uint64_t word_digest(struct bytes data)
{
	uint64_t h = 0;

	digest_bytes(&h, data);
	return h;
}

void record_ask(struct node *n, uint64_t id)
{
	if (n->n_open == NODE_WORDS)
		harness_fail("%s: too many words", n->name);
	n->open[n->n_open++] = id;
}

static bool was_open(struct node *n, uint64_t id)
{
	for (size_t i = 0; i < n->n_open; i++)
		if (n->open[i] == id) {
			n->open[i] = n->open[--n->n_open];
			return true;
		}
	return false;
}

static void record_word(struct node_word *to, const struct ike_word *word)
{
	to->notify = word->notify;
	to->n = word->data.n;
	to->digest = word_digest(word->data);
	if (to->n)
		memcpy(to->data, word->data.p, to->n < sizeof(to->data) ? to->n : sizeof(to->data));
}

void record_asked(struct node *n, const struct ike_out *o)
{
	struct node_word *to = &n->asked[n->n_asked++ % NODE_WORDS];

	*to = (struct node_word){ .id = o->u.asked.id,
				  .peer = o->u.asked.peer,
				  .sa = o->u.asked.sa };
	record_word(to, &o->u.asked.word);
}

void record_answered(struct node *n, const struct ike_out *o)
{
	const struct ike_word *word = &o->u.answered.word;
	bool empty = !word->notify && !word->data.n;
	struct node_word *to;

	if (!was_open(n, o->u.answered.id))
		harness_fail("%s: nobody waits for an answer to word %llu", n->name,
			     (unsigned long long)o->u.answered.id);
	if (empty != (o->u.answered.status != ST_OK))
		harness_fail("%s: an answer without a word, or a word without an answer", n->name);
	to = &n->answered[n->n_answered++ % NODE_WORDS];
	*to = (struct node_word){ .id = o->u.answered.id,
				  .peer = o->u.answered.peer,
				  .status = o->u.answered.status };
	record_word(to, word);
}

const struct node_word *node_asked(const struct node *n)
{
	return n->n_asked ? &n->asked[(n->n_asked - 1) % NODE_WORDS] : NULL;
}

const struct node_word *node_answered(const struct node *n)
{
	return n->n_answered ? &n->answered[(n->n_answered - 1) % NODE_WORDS] : NULL;
}
