/*
 * members_mesh.c - what becomes of the crowd's shortcuts: how many there are, how long they took.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/members.h"
#include "plat/clock.h"

enum { COMPLAINTS = 8 }; /* failures that are shown */

static struct suggestion *find(struct member *m, const char *partner)
{
	for (size_t i = 0; i < m->n_suggested; i++)
		if (!strcmp(m->suggested[i].partner, partner))
			return &m->suggested[i];
	return NULL;
}

static void taken(struct member *m, const char *partner)
{
	struct suggestion *s = find(m, partner);

	if (!m->suggested)
		m->suggested = calloc(MEMBER_SUGGESTIONS, sizeof(*s));
	CROWD_NEED(m->suggested && (s || m->n_suggested < MEMBER_SUGGESTIONS));
	if (!s) {
		s = &m->suggested[m->n_suggested++];
		snprintf(s->partner, sizeof(s->partner), "%s", partner);
	}
	s->taken = plat_mono();
}

static void keep_time(struct crowd *c, dur_t took)
{
	if (c->n_took == c->cap_took) {
		c->cap_took = c->cap_took ? 2 * c->cap_took : 256;
		c->took = realloc(c->took, c->cap_took * sizeof(*c->took));
		CROWD_NEED(c->took);
	}
	c->took[c->n_took++] = (double)took.ns / 1e6;
}

static void came_to_an_end(struct crowd *c, struct member *m, const char *partner, bool up)
{
	struct suggestion *s = find(m, partner);

	m->stirred = true;
	if (!s)
		return;
	if (up)
		keep_time(c, mono_since(plat_mono(), s->taken));
	*s = m->suggested[--m->n_suggested];
}

void shortcut_event(struct crowd *c, struct member *m, const struct ike_event *e)
{
	switch (e->kind) {
	case IKE_EV_SUGGESTED: taken(m, e->identity); break;
	case IKE_EV_SHORTCUT: came_to_an_end(c, m, e->identity, true); break;
	case IKE_EV_SHORTCUT_FAILED:
		if (c->tally.events[e->kind] <= COMPLAINTS)
			fprintf(stderr, "%s: shortcut with %s: %s\n", m->name, e->identity,
				e->text);
		came_to_an_end(c, m, e->identity, false);
		break;
	case IKE_EV_SHORTCUT_ENDED: came_to_an_end(c, m, e->identity, false); break;
	default: break;
	}
}

static bool is_up(void *ctx, const struct mesh_shortcut_info *i)
{
	*(size_t *)ctx += i->up;
	return true;
}

void shortcuts_count(struct crowd *c, struct member *m)
{
	size_t n = 0;

	if (!m->stirred)
		return;
	m->stirred = false;
	mesh_each_shortcut(m->mesh, plat_now(), is_up, &n);
	c->n_direct += n - m->direct;
	m->direct = n;
}

void shortcuts_done(struct crowd *c)
{
	for (size_t i = 0; i < c->opt.members; i++)
		free(c->members[i].suggested);
	free(c->took);
}
