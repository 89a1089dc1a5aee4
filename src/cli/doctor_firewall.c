/*
 * doctor_firewall.c - rulesets that drop what we forward, receive or send.
 */
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/ruleset.h"
#include "plat/udp.h"

#define OUR_TABLE "warren"

/* ---- reading ----------------------------------------------------------------------------- */

/* NULL: nf_tables cannot be asked; `why` has its word. */
static json_t *read_ruleset(struct text *why)
{
	struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	json_t *o = NULL;

	if (!ctx)
		return NULL;
	nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_PRIO);
	if (nft_ctx_buffer_output(ctx) == 0 && nft_ctx_buffer_error(ctx) == 0) {
		if (nft_run_cmd_from_buffer(ctx, "list ruleset") == 0)
			o = json_loads(nft_ctx_get_output_buffer(ctx), 0, NULL);
		else
			text_add(why, nft_ctx_get_error_buffer(ctx));
	}
	nft_ctx_free(ctx);
	return o;
}

static void no_nf_tables(struct doctor *d, const char *why)
{
	struct finding f;

	doctor_begin(&f, "nf_tables", DOCTOR_PROBLEM);
	text_fmt(&f.t, "the kernel's nf_tables cannot be asked: %s",
		 why[0] ? why : "no reason given");
	text_add(&f.w,
		 "the daemon needs it to keep packets of the domain from entering and leaving in "
		 "clear, and does not start without");
	text_add(&f.m, geteuid() == 0 ? "modprobe nf_tables" : "run as root");
	doctor_end(d, &f);
}

/* ---- one question ------------------------------------------------------------------------ */

struct question {
	const char *what; /* "forwarded packets out of the tunnel" */
	const char *why;
	const char *rule; /* that accepts it, as nft writes it; one %s for the device */
	struct ruleset_packet packet;
};

/* Docker's chain for the operator's rules, where it is about forwarding; else the base chain. */
static const char *chain_for(const json_t *rules, const struct ruleset_where *w, const char *hook)
{
	static const char docker[] = "DOCKER-USER";

	if (strcmp(hook, "forward") == 0 && ruleset_has_chain(rules, w->family, w->table, docker))
		return docker;
	return w->chain;
}

static void ask(struct doctor *d, const json_t *rules, const struct question *q, bool *good)
{
	struct ruleset_where at;
	enum ruleset_fate fate = ruleset_fate(rules, OUR_TABLE, &q->packet, &at);
	const char *chain;
	struct finding f;

	if (fate == RULESET_PASSES)
		return;
	*good = false;
	chain = chain_for(rules, &at, q->packet.hook);
	doctor_begin(&f, "firewall", fate == RULESET_DROPPED ? DOCTOR_PROBLEM : DOCTOR_WARNING);
	text_fmt(&f.t, "%s %s dropped by %s of chain %s in table %s %s%s", q->what,
		 fate == RULESET_DROPPED ? "are" : "may be", at.policy ? "the policy" : "a rule",
		 at.chain, at.family, at.table, chain != at.chain ? ", as Docker installs it" : "");
	text_fmt(&f.w, "%s (the rule has to go where the firewall's rules are kept, too)", q->why);
	text_fmt(&f.m, "nft insert rule %s %s %s ", at.family, at.table, chain);
	text_add(&f.m, q->rule);
	doctor_end(d, &f);
}

/* ---- forwarding -------------------------------------------------------------------------- */

/* Some address of a family inside a list and, if that is given, outside another. */
static bool some_address(const struct doctor_prefixes *in, const struct doctor_prefixes *out,
			 uint8_t family, struct ip *ret)
{
	for (size_t i = 0; i < in->n; i++) {
		struct ip first = prefix_first(&in->v[i]), last = prefix_last(&in->v[i]);
		const struct ip candidate[] = { ip_next(&first), ip_prev(&last), first };

		for (size_t k = 0; in->v[i].ip.family == family && k < ARRAY_LEN(candidate); k++)
			if (prefix_has(&in->v[i], &candidate[k]) &&
			    !(out && doctor_has(out, &candidate[k]))) {
				*ret = candidate[k];
				return true;
			}
	}
	return false;
}

struct lan {
	const struct doctor *d;
	struct ip ip;
	int ifindex;
};

static bool on_addr(void *ctx, const struct plat_addr *a)
{
	struct lan *l = ctx;
	struct prefix net;

	if (!a)
		return true;
	net = prefix_of(&a->ip, a->len);
	if (net.ip.family == l->ip.family && doctor_has(&l->d->local, &a->ip) &&
	    a->len < ip_bits(&a->ip))
		l->ifindex = a->ifindex;
	return true;
}

/* The device behind which our own sites are; false when there is none here. */
static bool lan_device(const struct doctor *d, const struct ip *local, char ret[static 16])
{
	struct lan l = { .d = d, .ip = *local };
	char ignored[256];
	struct text why = TEXT_OF(ignored);
	struct plat_link link;

	if (!d->nl || plat_addr_each(d->nl, on_addr, &l, &why) != ST_OK || !l.ifindex ||
	    plat_link_get(d->nl, l.ifindex, &why, &link) != ST_OK)
		return false;
	snprintf(ret, 16, "%s", link.name);
	return true;
}

static void ask_site(struct doctor *d, const json_t *rules, uint8_t family, bool *good)
{
	char in[96], out[96], lan[16];
	struct question q = { .packet = { .hook = "forward", .family = family, .state = "new" } };
	struct ip here, there;

	if (!some_address(&d->local, NULL, family, &here) ||
	    !some_address(&d->domain, &d->local, family, &there) || !lan_device(d, &here, lan))
		return;
	snprintf(in, sizeof(in), "iifname '\"%s\"' accept", d->device);
	snprintf(out, sizeof(out), "oifname '\"%s\"' accept", d->device);
	q.what = "packets out of the tunnel to our hosts";
	q.why = "hosts behind this one get nothing from the other sites";
	q.rule = in;
	q.packet.iif = d->device;
	q.packet.oif = lan;
	q.packet.src = there;
	q.packet.dst = here;
	ask(d, rules, &q, good);
	q.what = "packets of our hosts into the tunnel";
	q.why = "hosts behind this one reach no other site";
	q.rule = out;
	q.packet.iif = lan;
	q.packet.oif = d->device;
	q.packet.src = here;
	q.packet.dst = there;
	ask(d, rules, &q, good);
}

static void ask_hub(struct doctor *d, const json_t *rules, uint8_t family, bool *good)
{
	char rule[96];
	struct question q = {
		.what = "packets from one site to another",
		.why = "sites reach each other through this hub",
		.rule = rule,
		.packet = { .hook = "forward",
			    .family = family,
			    .iif = d->device,
			    .oif = d->device,
			    .state = "new" },
	};

	snprintf(rule, sizeof(rule), "iifname '\"%s\"' oifname '\"%s\"' accept", d->device,
		 d->device);
	if (d->c.conf->networks && some_address(&d->domain, NULL, family, &q.packet.src)) {
		q.packet.dst = q.packet.src;
		ask(d, rules, &q, good);
	}
}

/* ---- the host's own IKE and ESP ---------------------------------------------------------- */

static void ask_own(struct doctor *d, const json_t *rules, uint16_t port, bool *good)
{
	char what[96], rule[96];
	struct question q = {
		.what = what,
		.rule = rule,
		.packet = { .family = 4, .dport = port, .iif = NULL, .oif = NULL },
	};

	snprintf(rule, sizeof(rule), "udp dport %u accept", port);
	snprintf(what, sizeof(what), "datagrams to this host's UDP port %u", port);
	q.why = "peers cannot call: IKE and ESP come there";
	q.packet.hook = "input";
	q.packet.oif = "";
	/* Who only calls others gets answers, which firewalls know as such. */
	q.packet.state = d->hub ? "new" : "established";
	ask(d, rules, &q, good);
	snprintf(what, sizeof(what), "datagrams from this host to UDP port %u", port);
	q.why = "no peer can be called: IKE and ESP go there";
	q.packet.hook = "output";
	q.packet.iif = "";
	q.packet.oif = NULL;
	q.packet.state = "new";
	q.packet.mark = PLAT_MARK;
	ask(d, rules, &q, good);
}

/* ---- iptables-legacy --------------------------------------------------------------------- */

/* Its rules are in tables of their own, which nft does not show. */
static void check_legacy(struct doctor *d, bool *good)
{
	static const char save[] = "/usr/sbin/iptables-legacy-save";
	char names[256] = "", line[512], accept[64];
	bool drops = false, accepts = false;
	struct finding f;
	FILE *p;

	if (!doctor_read_line("/proc/self/net/ip_tables_names", names, sizeof(names)) ||
	    access(save, X_OK))
		return;
	snprintf(accept, sizeof(accept), "-A FORWARD -i %s -j ACCEPT", d->device);
	p = popen("/usr/sbin/iptables-legacy-save -t filter 2>/dev/null", "re");
	while (p && fgets(line, sizeof(line), p)) {
		drops |= strncmp(line, ":FORWARD DROP", 13) == 0;
		accepts |= strncmp(line, accept, strlen(accept)) == 0;
	}
	if (p)
		pclose(p);
	if (!drops || accepts)
		return;
	*good = false;
	doctor_begin(&f, "firewall", DOCTOR_WARNING);
	text_add(&f.t, "iptables-legacy drops forwarded packets by policy");
	text_add(&f.w, "packets between the tunnel and our hosts may be among them");
	text_fmt(&f.m,
		 "iptables-legacy -I FORWARD -i %s -j ACCEPT; iptables-legacy -I FORWARD -o %s "
		 "-j ACCEPT",
		 d->device, d->device);
	doctor_end(d, &f);
}

/* ---- all --------------------------------------------------------------------------------- */

void doctor_firewall(struct doctor *d)
{
	char buf[512];
	struct text why = TEXT_OF(buf);
	json_t *rules = read_ruleset(&why);
	bool good = true;

	if (!rules) {
		no_nf_tables(d, buf);
		return;
	}
	doctor_ok(d, "nf_tables", "available");
	ask_own(d, rules, d->port, &good);
	ask_own(d, rules, d->nat_port, &good);
	for (uint8_t family = 4; d->c.conf && family <= 6; family += 2) {
		ask_site(d, rules, family, &good);
		if (d->hub)
			ask_hub(d, rules, family, &good);
	}
	check_legacy(d, &good);
	if (good)
		doctor_ok(d, "firewall", "no ruleset drops what we forward, receive or send");
	json_decref(rules);
}
