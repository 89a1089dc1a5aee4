/* What goes wrong, when, for whom and for how long. */
#include "check.h"

enum { FAREWELL_S = 5 }; /* as the daemon waits, before it goes all the same */

static void arm(struct planned *p)
{
	const struct fault *f = p->fault;
	const struct range around = { f->period.ns / 2, f->period.ns / 2 * 3 };

	heap_arm(&p->s->timers, &p->timer,
		 mono_add(p->s->now.mono, (dur_t){ dice_in(&p->dice, &around) }));
}

/* Hubs that are added while the others run. */
static void plan_arrivals(struct sim *s)
{
	for (unsigned i = 1; i < s->sc->hubs && s->sc->hub_arrival.hi; i++) {
		struct machine *m = &s->machine[i];

		heap_arm(&s->timers, &m->back,
			 mono_add(s->now.mono, (dur_t){ dice_in(&m->dice, &s->sc->hub_arrival) }));
	}
}

void fault_plan(struct sim *s)
{
	plan_arrivals(s);
	for (unsigned i = 0; i < s->sc->n_faults; i++) {
		struct planned *p = &s->planned[i];

		p->timer.kind = T_FAULT;
		p->s = s;
		p->fault = &s->sc->fault[i];
		p->dice = dice_of(s->seed, 3, i);
		if (p->fault->once)
			heap_arm(&s->timers, &p->timer, mono_add(s->now.mono, p->fault->period));
		else
			arm(p);
	}
}

/* ---- one trouble --------------------------------------------------------------------------- */

static void farewell(struct machine *m)
{
	if (!m->ike)
		return;
	m->leaving = 1;
	machine_command(m, IKE_CMD_SHUTDOWN);
	heap_arm(&m->s->timers, &m->back, mono_add(m->s->now.mono, dur_s(1)));
}

static void begin(struct trouble *t)
{
	struct machine *m = t->m;

	switch (t->fault->act) {
	case ACT_CUT:
		m->line.deaf++;
		m->line.mute++;
		break;
	case ACT_DEAFEN: m->line.deaf++; break;
	case ACT_MUTE: m->line.mute++; break;
	case ACT_LOSE: m->line.more_loss += t->by; break;
	case ACT_CRASH:
		m->down++;
		machine_stop(m);
		break;
	case ACT_RESTART:
		m->down++;
		farewell(m);
		break;
	case ACT_SLOW:
		m->slow++;
		m->jobs = (struct range){ t->by, t->by };
		break;
	case ACT_MOVE:
		m->app.moved.ns = 0;
		if (m->moving++ == 0)
			machine_move(m, false);
		break;
	case ACT_AHEAD: m->clock_off += t->by / 1000000000; break;
	case ACT_BEHIND: m->clock_off -= t->by / 1000000000; break;
	case ACT_SLOW_DISK:
		m->slow_disk++;
		m->disk = (struct range){ t->by, t->by };
		break;
	case ACT_FULL_DISK: m->full++; break;
	case ACT_FORGET:
		if (m->nat)
			nat_forget(m->nat);
		break;
	case ACT_FENCE: m->line.fenced++; break;
	case ACT_STAR:
		if (m->starred++ == 0)
			machine_reconfigure(m);
		break;
	case ACT_WITHDRAW: machine_withdraw(m); break;
	case ACT_SEVER: m->line.severed[(unsigned)(t->by - 1) % SEVERED]++; break;
	case ACT_STEER:
		if (m->steering++ == 0)
			machine_steer(m);
		break;
	case ACT_HOP: machine_hop(m); break;
	case ACT_CALM:
	case ACTS: break;
	}
	check_line(m);
}

static void end(struct trouble *t)
{
	struct machine *m = t->m;

	switch (t->fault->act) {
	case ACT_CUT:
		m->line.deaf--;
		m->line.mute--;
		break;
	case ACT_DEAFEN: m->line.deaf--; break;
	case ACT_MUTE: m->line.mute--; break;
	case ACT_LOSE: m->line.more_loss -= t->by; break;
	case ACT_CRASH:
	case ACT_RESTART:
		if (--m->down == 0 && !m->leaving && !sim_absent(m) &&
		    !is_time_for(m->s, SABOTAGE_GONE))
			machine_start(m);
		break;
	case ACT_SLOW:
		if (--m->slow == 0)
			m->jobs = m->s->sc->jobs;
		break;
	case ACT_MOVE:
		if (--m->moving == 0) {
			check_line(m);
			machine_move(m, true);
		}
		break;
	case ACT_AHEAD: m->clock_off -= t->by / 1000000000; break;
	case ACT_BEHIND: m->clock_off += t->by / 1000000000; break;
	case ACT_SLOW_DISK:
		if (--m->slow_disk == 0)
			m->disk = m->s->sc->disk;
		break;
	case ACT_FULL_DISK: m->full--; break;
	case ACT_FENCE: m->line.fenced--; break;
	case ACT_STAR:
		if (--m->starred == 0)
			machine_reconfigure(m);
		break;
	case ACT_SEVER: m->line.severed[(unsigned)(t->by - 1) % SEVERED]--; break;
	case ACT_STEER:
		if (--m->steering == 0)
			machine_steer(m);
		break;
	case ACT_FORGET:
	case ACT_WITHDRAW:
	case ACT_HOP:
	case ACT_CALM:
	case ACTS: break;
	}
	check_line(m);
}

/* After an orderly farewell: its SAs are gone, or it has waited long enough. */
void fault_back(struct machine *m)
{
	if (m->ike && m->leaving && !ike_idle(m->ike) && m->leaving++ < FAREWELL_S) {
		heap_arm(&m->s->timers, &m->back, mono_add(m->s->now.mono, dur_s(1)));
		return;
	}
	machine_stop(m);
	if (!m->down && !is_time_for(m->s, SABOTAGE_GONE))
		machine_start(m);
}

static void trouble_new(struct planned *p, struct machine *m)
{
	struct trouble *t = sim_alloc(sizeof(*t));
	dur_t span = { dice_in(&p->dice, &p->fault->span) };
	char buf[128];
	struct text text = TEXT_OF(buf);

	t->timer.kind = T_TROUBLE;
	t->fault = p->fault;
	t->m = m;
	t->by = dice_in(&p->dice, &p->fault->by);
	list_add_tail(&m->s->troubles, &t->link);
	heap_arm(&m->s->timers, &t->timer, mono_add(m->s->now.mono, span));
	m->s->counts.faults++;
	scenario_fault_text(p->fault, &text);
	log_text(m, "trouble", buf);
	begin(t);
}

void fault_end(struct trouble *t)
{
	heap_disarm(&t->m->s->timers, &t->timer);
	list_del(&t->link);
	log_add(t->m, "trouble ends", NULL, t->fault->act, 0);
	end(t);
	mem_libc.free(NULL, t);
}

void fault_end_all(struct sim *s)
{
	while (!list_empty(&s->troubles))
		fault_end(CONTAINER_OF(s->troubles.next, struct trouble, link));
}

/* ---- whom ---------------------------------------------------------------------------------- */

static void hit(struct planned *p, unsigned first, unsigned n, bool all)
{
	struct machine *m = p->s->machine;

	if (!all)
		trouble_new(p, &m[first + dice_below(&p->dice, n)]);
	for (unsigned i = 0; all && i < n; i++)
		trouble_new(p, &m[first + i]);
}

static void strike(struct planned *p)
{
	const struct scenario *sc = p->s->sc;

	switch (p->fault->whom) {
	case WHOM_SITE: hit(p, sc->hubs, sc->sites, false); break;
	case WHOM_SITES: hit(p, sc->hubs, sc->sites, true); break;
	case WHOM_HUB: hit(p, 0, sc->hubs, false); break;
	case WHOM_HUBS: hit(p, 0, sc->hubs, true); break;
	case WHOM_ANY: hit(p, 0, p->s->n, false); break;
	case WHOM_ALL: hit(p, 0, p->s->n, true); break;
	case WHOMS: break;
	}
}

void fault_begin(struct planned *p)
{
	if (!p->fault->once)
		arm(p);
	if (p->s->phase != PHASE_FAULTS)
		return; /* this time it is spared */
	if (p->fault->act == ACT_CALM)
		check_calm(p->s);
	else
		strike(p);
}
