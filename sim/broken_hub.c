/* A hub whose mesh does not keep a rule; linked around it (-Wl,--wrap).  And what can be seen of
 * these rules from in there only. */
#include "check.h"
#include "mesh/hub.h"

enum mesh_topology __real_topology_of(const struct mesh_network *conf, const struct entry *a,
				      const struct entry *b, const char **ret_rule);
enum mesh_topology __wrap_topology_of(const struct mesh_network *conf, const struct entry *a,
				      const struct entry *b, const char **ret_rule);
void __real_relay_word(struct other *o, struct word *w);
void __wrap_relay_word(struct other *o, struct word *w);
void __real_directory_word(struct other *o, struct word *w);
void __wrap_directory_word(struct other *o, struct word *w);

/* It knows no rules about groups. */
enum mesh_topology __wrap_topology_of(const struct mesh_network *conf, const struct entry *a,
				      const struct entry *b, const char **ret_rule)
{
	enum mesh_topology t = __real_topology_of(conf, a, b, ret_rule);

	return sim_is_broken(SABOTAGE_RULE) && *ret_rule ? conf->topology : t;
}

static struct pair *pair_of(const struct other *o, const struct word *w)
{
	struct policy_ident own = ident_of(&w->msg.own), partner = ident_of(&w->msg.partner);
	struct entry *e = entry_by_ident(o->hub, &own), *b = entry_by_ident(o->hub, &partner);

	return e && b ? pair_find(o->hub, e, b) : NULL;
}

/* Of two suggestions for one pair that lives which has the lower id.  It forgets that what is under
 * way has one. */
void __wrap_relay_word(struct other *o, struct word *w)
{
	struct pair *p = pair_of(o, w);
	uint8_t before[WIRE_MESH_ID];
	bool pending = p && pair_pending(p);

	if (pending)
		memcpy(before, p->id, sizeof(before));
	if (pending && sim_is_broken(SABOTAGE_RELAY))
		memset(p->id, 0xff, sizeof(p->id));
	__real_relay_word(o, w);
	if (pending && memcmp(before, w->msg.id, sizeof(before)) <= 0 && pair_of(o, w) == p &&
	    memcmp(p->id, w->msg.id, sizeof(p->id)) == 0)
		sim_broken("a hub gave up a suggestion for one whose id is not lower");
}

/* It takes nothing of what another hub says. */
void __wrap_directory_word(struct other *o, struct word *w)
{
	if (sim_is_broken(SABOTAGE_DIRECTORY))
		word_accept(w, NULL);
	else
		__real_directory_word(o, w);
}
