#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "plat/process.h"

#define DEFAULT_FILE "/etc/warren/warren.conf"

/* ---- findings ---------------------------------------------------------------------------- */

static const char *const level_name[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_PROBLEM] = "problem",
};

void doctor_begin(struct finding *f, const char *check, enum doctor_level level)
{
	f->check = check;
	f->level = level;
	f->t = TEXT_OF(f->what);
	f->w = TEXT_OF(f->why);
	f->m = TEXT_OF(f->mend);
}

static void put(json_t *o, const char *key, const char *s)
{
	char buf[4 * sizeof(((struct finding *)0)->what)];
	struct text t = TEXT_OF(buf);

	cli_add(&t, s);
	if (buf[0])
		json_object_set_new(o, key, json_string(buf));
}

void doctor_end(struct doctor *d, const struct finding *f)
{
	json_t *o = json_object();

	put(o, "check", f->check);
	put(o, "level", level_name[f->level]);
	put(o, "text", f->what);
	if (f->level != DOCTOR_OK) {
		put(o, "why", f->why);
		put(o, "mend", f->mend);
	}
	d->problems += f->level == DOCTOR_PROBLEM;
	json_array_append_new(d->findings, o);
}

void doctor_ok(struct doctor *d, const char *check, const char *fmt, ...)
{
	struct finding f;
	va_list ap;

	doctor_begin(&f, check, DOCTOR_OK);
	va_start(ap, fmt);
	vsnprintf(f.what, sizeof(f.what), fmt, ap);
	va_end(ap);
	doctor_end(d, &f);
}

bool doctor_has(const struct doctor_prefixes *l, const struct ip *ip)
{
	for (size_t i = 0; i < l->n; i++)
		if (prefix_has(&l->v[i], ip))
			return true;
	return false;
}

bool doctor_read_line(const char *path, char *buf, size_t n)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(buf, (int)n, f) != NULL;
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* ---- what the configuration means for this host ------------------------------------------ */

static void add_ts(struct doctor_prefixes *l, const struct wire_ts_list *ts)
{
	for (size_t i = 0; i < ts->n; i++) {
		size_t room = DOCTOR_PREFIXES_MAX - l->n;

		l->n += policy_ts_prefixes(&ts->ts[i], &l->v[l->n], room);
	}
}

static void learn_peers(struct doctor *d)
{
	for (const struct conf_peer *p = d->c.conf->peers; p; p = p->next) {
		add_ts(&d->domain, &p->remote_ts.ts);
		add_ts(&d->local, &p->local_ts.ts);
		d->hub |= p->start.v == CONF_START_LISTEN;
	}
}

static void learn_networks(struct doctor *d)
{
	size_t i = 0;

	for (const struct conf_network *n = d->c.conf->networks; n; n = n->next) {
		const struct conf_network_creds *c = conf_creds_network(d->c.creds, i++);

		add_ts(&d->domain, &c->domain);
		add_ts(&d->local, &c->protect);
		d->hub |= n->role.v == CONF_ROLE_HUB;
	}
}

static void learn(struct doctor *d)
{
	d->device = "warren0";
	d->port = 500;
	d->nat_port = 4500;
	if (!d->c.conf)
		return;
	d->device = d->c.conf->interface.s;
	d->port = (uint16_t)d->c.conf->port.v;
	d->nat_port = (uint16_t)d->c.conf->nat_port.v;
	learn_peers(d);
	learn_networks(d);
}

/* Whether the daemon that the configuration is for answers; it may be another's command socket. */
static void find_daemon(struct doctor *d, const struct cli *cli)
{
	const char *path = cli->socket;
	struct ctl_client *client;
	char buf[CTL_ERROR_MAX];
	struct text why = TEXT_OF(buf);
	json_t *status;

	if (d->c.conf && strcmp(path, CTL_DEFAULT_PATH) == 0)
		path = d->c.conf->control.s;
	if (ctl_client_new(path, &why, &client) != ST_OK)
		return;
	if (ctl_client_call(client, "status", NULL, &why, &status) == ST_OK) {
		d->running = true;
		d->pid = (int)cli_int(status, "pid");
		d->status = status;
	}
	ctl_client_free(client);
}

/* ---- all --------------------------------------------------------------------------------- */

static void (*const checks[])(struct doctor *d) = {
	doctor_config,    doctor_permissions, doctor_certificates, doctor_crls,  doctor_clock,
	doctor_daemon,    doctor_ports,       doctor_tun,          doctor_units, doctor_forwarding,
	doctor_rp_filter, doctor_firewall,    doctor_networks,     doctor_rules, doctor_resolver,
	doctor_mtu,       doctor_names,       doctor_store,
};

static void print_finding(const json_t *f)
{
	static const char *const rows[][2] = { { "why", "why: " }, { "mend", "mend: " } };
	char buf[4096];
	struct text t = TEXT_OF(buf);

	cli_add(&t, cli_str(f, "check"));
	printf("%-8s %s: ", cli_str(f, "level"), buf);
	t = TEXT_OF(buf);
	cli_add(&t, cli_str(f, "text"));
	printf("%s\n", buf);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		t = TEXT_OF(buf);
		cli_add(&t, cli_str(f, rows[i][0]));
		if (buf[0])
			printf("         %s%s\n", rows[i][1], buf);
	}
}

static void print(const struct doctor *d, bool all)
{
	unsigned warnings = 0;
	json_t *f;
	size_t i;

	json_array_foreach(d->findings, i, f)
	{
		warnings += strcmp(cli_str(f, "level"), "warning") == 0;
		if (all || strcmp(cli_str(f, "level"), "ok") != 0)
			print_finding(f);
	}
	if (d->problems)
		printf("%u problem%s\n", d->problems, d->problems == 1 ? "" : "s");
	else if (warnings)
		printf("no problem, %u warning%s\n", warnings, warnings == 1 ? "" : "s");
	else
		printf("nothing gets in the way\n");
}

/* ---- one examination --------------------------------------------------------------------- */

static struct doctor *examine(const struct cli *cli)
{
	struct doctor *d = calloc(1, sizeof(*d));
	char ignored[256];
	struct text why = TEXT_OF(ignored);

	if (!d)
		return NULL;
	d->file = cli->arg ? cli->arg : DEFAULT_FILE;
	d->findings = json_array();
	/* What is wrong with it is in its errors. */
	(void)!cli_conf_open(d->file, &d->c);
	if (plat_nl_new(PLAT_NS_HERE, &why, &d->nl) != ST_OK)
		d->nl = NULL;
	learn(d);
	find_daemon(d, cli);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		checks[i](d);
	return d;
}

static void doctor_free(struct doctor *d)
{
	json_decref(d->findings);
	json_decref(d->status);
	plat_nl_free(d->nl);
	cli_conf_close(&d->c);
	free(d);
}

static json_t *to_json(const struct doctor *d)
{
	return json_pack("{s:s, s:i, s:O}", "file", d->file, "problems", (int)d->problems,
			 "findings", d->findings);
}

enum cli_exit cli_doctor(const struct cli *cli)
{
	struct doctor *d = examine(cli);
	enum cli_exit code;
	json_t *o;

	if (!d)
		return cli_complain(cli, CLI_FAILED, "out of memory");
	code = d->problems ? CLI_FAILED : CLI_OK;
	if (cli->json) {
		o = to_json(d);
		if (o)
			cli_print_json(o, false);
		json_decref(o);
	} else {
		print(d, true);
	}
	doctor_free(d);
	return code;
}

json_t *cli_doctor_instead(const struct cli *cli)
{
	const struct cli about = { .socket = cli->socket };
	struct doctor *d = examine(&about);
	json_t *o = NULL;

	if (!d)
		return NULL;
	if (cli->json) {
		o = to_json(d);
	} else {
		printf("what stands in the way, as far as \"warren doctor\" sees with %s:\n",
		       d->file);
		print(d, false);
	}
	doctor_free(d);
	return o;
}
