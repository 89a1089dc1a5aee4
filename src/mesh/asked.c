/*
 * asked.c - a member asks for a tunnel to an address, since it must not send anything there by us
 * (docs/protocol/shortcut.md section 5.3): it counts as a packet of its own that went there.
 */
#include "mesh/hub.h"

#include <stdio.h>

/* The address that it is about; false: it is about something else. */
static bool address_of(const struct wire_mesh *msg, struct ip *ret)
{
	const struct wire_ts_list *l = &msg->ts_remote[0].ts;

	if (msg->n_ts_remote != 1 || l->n != 1 || !ip_eq(&l->ts[0].start, &l->ts[0].end))
		return false;
	*ret = l->ts[0].start;
	return true;
}

static void barred(struct word *w, const struct pair *p)
{
	char buf[WIRE_MESH_TEXT_MAX + 1];

	if (p->rule)
		snprintf(buf, sizeof(buf), "the topology is a star for both, by the rule \"%s\"",
			 p->rule);
	else
		snprintf(buf, sizeof(buf), "the topology is a star for both");
	word_refuse(w, WIRE_MR_POLICY, buf);
}

static void failed(struct word *w, const struct pair *p)
{
	char buf[WIRE_MESH_TEXT_MAX + 1];

	snprintf(buf, sizeof(buf), "it has failed, and is tried again in %lld s%s%s",
		 (long long)(dur_to_ms(mono_since(p->until, w->m->now.mono)) / 1000),
		 p->text ? ": " : "", p->text ? p->text : "");
	word_refuse(w,
		    p->reason && p->reason < WIRE_MRS ? (enum wire_mesh_reason)p->reason
						      : WIRE_MR_NO_ANSWER,
		    buf);
}

static void about_pair(struct hub *h, struct pair *p, const struct ip *to, struct word *w)
{
	char why[64 + IP_TEXT_MAX], text[IP_TEXT_MAX];

	snprintf(why, sizeof(why), "one of both asks for a way to %s", ip_text(to, text));
	pair_traffic(h, p, why);
	switch (p->state) {
	case PAIR_BARRED: barred(w, p); break;
	case PAIR_FAILED: failed(w, p); break;
	case PAIR_IDLE:
	case PAIR_WANTED:
	case PAIR_SUGGESTED:
	case PAIR_ACCEPTED:
	case PAIR_UP:
	case PAIR_STATES: word_accept(w, NULL); break;
	}
}

void asked_word(struct hub *h, struct entry *e, struct word *w)
{
	struct mesh *m = h->net->m;
	struct entry *to;
	struct pair *p;
	struct ip a;

	count(m, M_ASKED);
	if (!bytes_eq(w->msg.context, bytes_str(h->net->conf->name))) {
		word_refuse(w, WIRE_MR_CONTEXT, "another network");
		return;
	}
	if (!address_of(&w->msg, &a)) {
		word_refuse(w, WIRE_MR_MALFORMED, "not one address");
		return;
	}
	to = entry_by_address(h, &a);
	if (!to || to == e || !entry_present(to)) {
		count(m, M_FLOWS_UNKNOWN);
		word_refuse(w, WIRE_MR_UNKNOWN,
			    to == e ? "it is your own" : "nobody is up that has that address");
	} else if (!entry_takes(to)) {
		word_refuse(w, WIRE_MR_PARTNER_REFUSED, "who has it takes no suggestions");
	} else if (!entry_here(e) && !entry_here(to)) {
		word_refuse(w, WIRE_MR_OLDER, "you are up at another hub since");
	} else if (!(p = pair_get(h, e, to))) {
		word_refuse(w, WIRE_MR_LIMIT, "too many pairs");
	} else {
		about_pair(h, p, &a, w);
	}
}
