/* A site whose mesh does not keep a rule; linked around it, as in broken_hub.c. */
#include "check.h"

void __real_ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why);
void __wrap_ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why);

/* What is over for its mesh, is not for its engine. */
void __wrap_ike_partner_drop(struct ike *ike, struct now now, ike_peer_id peer, const char *why)
{
	if (!sim_is_broken(SABOTAGE_TWINS))
		__real_ike_partner_drop(ike, now, peer, why);
}
