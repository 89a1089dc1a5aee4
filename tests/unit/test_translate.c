/*
 * test_translate.c - what the engine gets of a network (R01: a hub's is one template for all its
 * members), and that peers keep their ids across reloads.
 */
#include "unit/test_pki_util.h"

#include "daemon/translate.h"

static char dir[] = "/tmp/warren-translate-XXXXXX";

static const char *path_of(const char *name)
{
	return in(dir, name);
}

static void write_blob(const char *name, struct pki_blob *b)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
	assert_int_equal(fclose(f), 0);
}

static void issue(struct pki_ca *ca, const char *bundle, const char *key_file, const char *id,
		  struct pki_grant grant)
{
	struct pki_key *key = new_key();
	struct pki_blob req = request(key, id, ""), pem;
	struct pki_delivery d;

	if (pki_ca_sign(ca, bytes_from(&req), &grant, (wall_t){ T0 }, why(), &d) != ST_OK)
		fail_msg("%s", reason);
	assert_int_equal(pki_key_pem(key, &pem), ST_OK);
	write_blob(bundle, &d.bundle);
	write_blob(key_file, &pem);
	pki_blob_done(&pem);
	pki_blob_done(&req);
	pki_delivery_done(&d);
	pki_key_free(key);
}

static int make_world(void **state)
{
	char *ca_dir;
	struct pki_ca *ca;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	ca_dir = new_ca("10.0.0.0/8,fd00::/8");
	ca = open_ca(ca_dir);
	issue(ca, "hub.warren", "hub.key", "hub1.example", (struct pki_grant){ .role = PKI_HUB });
	issue(ca, "site.warren", "site.key", "site.example",
	      (struct pki_grant){ .role = PKI_SITE, .blocks = blocks("10.2.0.0/16,fd00:2::/32") });
	issue(ca, "laptop.warren", "laptop.key", "laptop.example",
	      (struct pki_grant){ .role = PKI_ENDPOINT });
	pki_ca_close(ca);
	drop_dir(ca_dir);
	return 0;
}

static int remove_world(void **state)
{
	static const char *const name[] = { "hub.warren", "hub.key",       "site.warren",
					    "site.key",   "laptop.warren", "laptop.key" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		unlink(path_of(name[i]));
	return rmdir(dir);
}

/* ---- a daemon that is reloaded ---- */

struct running {
	struct crypto_store *store;
	struct ike_conf *ike;
};

static struct conf *parse(const char *text, struct conf_errors *errs)
{
	static char buf[1 << 20];
	struct text t = TEXT_OF(buf);
	struct conf *c;

	for (; *text; text++)
		if (*text == '@')
			text_add(&t, dir);
		else
			text_fmt(&t, "%c", *text);
	conf_errors_init(errs, &mem_libc);
	if (conf_parse(&mem_libc, "t.conf", bytes_str(buf), errs, &c) == ST_OK)
		return c;
	for (const struct conf_error *e = errs->head; e; e = e->next)
		print_error("%u:%u: %s\n", e->at.line, e->at.col, e->text);
	fail();
	return NULL;
}

/* What a reload does: everything of the old configuration but the snapshot's own goes. */
static void load(struct running *r, const char *text)
{
	struct running old = *r;
	struct conf_errors errs;
	struct conf_creds *creds;
	struct conf *c = parse(text, &errs);

	assert_int_equal(crypto_store_new(&r->store), ST_OK);
	assert_int_equal(conf_creds_load(&mem_libc, c, &conf_source_files, r->store, &errs, &creds),
			 ST_OK);
	assert_int_equal(translate(c, creds, old.ike, &r->ike), ST_OK);
	conf_creds_free(creds);
	conf_unref(c);
	conf_errors_done(&errs);
	ike_conf_unref(old.ike);
	crypto_store_free(old.store);
}

static void stop(struct running *r)
{
	ike_conf_unref(r->ike);
	crypto_store_free(r->store);
	*r = (struct running){ 0 };
}

static const struct ike_peer_conf *peer(const struct running *r, const char *name)
{
	for (size_t i = 0; i < r->ike->n_peers; i++)
		if (strcmp(r->ike->peers[i].name, name) == 0)
			return &r->ike->peers[i];
	fail_msg("no peer %s", name);
	return NULL;
}

static void assert_ts(const struct wire_ts_list *l, const char *want)
{
	char buf[256];
	struct text t = TEXT_OF(buf);

	for (size_t i = 0; i < l->n; i++) {
		text_add(&t, i ? " " : "");
		policy_ts_text(&t, &l->ts[i]);
	}
	assert_string_equal(buf, want);
}

static void assert_id(const struct policy_ident *id, const char *want)
{
	char buf[128];
	struct text t = TEXT_OF(buf);

	policy_ident_text(&t, id);
	assert_string_equal(buf, want);
}

static void assert_authenticates(const struct ike_peer_conf *p)
{
	static const uint8_t none[32];

	assert_int_equal(p->auth, IKE_AUTH_CERT);
	assert_true(p->key && p->trust && !p->psk);
	assert_int_equal(p->n_certs, 1);
	assert_int_equal(p->trust_hashes.n, 20);
	assert_memory_not_equal(p->own_digest, none, 32);
	assert_memory_not_equal(p->peer_digest, none, 32);
	assert_memory_not_equal(p->own_digest, p->peer_digest, 32);
}

/* ---- networks ---- */

#define SITE "network \"corp\" { identity = \"@/site.warren\" ; port = 501 ; dpd_delay = 7s }\n"
#define HUB                                                                                        \
	"network \"corp\" { identity = \"@/hub.warren\" ; role = hub\n"                            \
	"domain = { \"10.0.0.0/8\", \"fd00::/16\" } ; keepalive = 9s\n"                            \
	"member \"old.example\" { prefixes = { \"10.7.0.0/16\", \"10.9.0.0/16\" } }\n"             \
	"member \"*.branch\" { prefixes = \"10.8.0.0/16\" } }\n"
#define P(name)                                                                                    \
	"peer \"" name "\" { local_id = \"me\" ; remote_id = \"" name                              \
	"\" ; psk = \"k\"\nlocal_ts = \"10.1.0.0/16\" ; remote_ts = \"192.0.2.0/24\" }\n"

static void site(void **state)
{
	struct running r = { 0 };
	const struct ike_peer_conf *p;

	(void)state;
	load(&r, SITE P("x"));
	assert_int_equal(r.ike->n_peers, 2);
	p = peer(&r, "corp");
	assert_int_equal(p->role, IKE_ROLE_HUB);
	assert_int_equal(p->start, IKE_START_UP);
	assert_int_equal(p->n_addresses, 1);
	assert_string_equal(p->addresses[0], "hub1.example");
	assert_int_equal(p->n_hub_ids, 1);
	assert_id(&p->hub_ids[0], "hub1.example");
	assert_id(&p->local_id, "site.example");
	assert_int_equal(p->remote_id.type, 0);
	assert_int_equal(p->port, 501);
	assert_true(p->dpd_delay.ns == dur_s(7).ns);
	assert_ts(&p->ts_local, "10.2.0.0/16 fd00:2::/32");
	assert_ts(&p->ts_remote, "0.0.0.0/0 ::/0");
	assert_ts(&p->domain, "10.0.0.0/8 fd00::/8");
	assert_true(p->ike.n > 0 && p->esp.n > 0);
	assert_int_equal(p->n_rules, 0);
	assert_authenticates(p);
	assert_int_equal(peer(&r, "x")->role, IKE_ROLE_FIXED);
	stop(&r);
}

/* Which families it asks for is the domain's to say; of one that nobody knows, perhaps both. */
static void endpoint(void **state)
{
	static const struct {
		const char *more;
		bool v4, v6;
	} row[] = {
		{ "", true, true },
		{ "domain = \"10.0.0.0/8\"", true, false },
		{ "domain = \"fd00::/16\"", false, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct running r = { 0 };
		const struct ike_peer_conf *p;
		char buf[256];

		snprintf(buf, sizeof(buf),
			 "network \"corp\" { identity = \"@/laptop.warren\" ; role = endpoint\n%s "
			 "}\n",
			 row[i].more);
		load(&r, buf);
		p = peer(&r, "corp");
		assert_int_equal(p->role, IKE_ROLE_HUB);
		assert_int_equal(p->start, IKE_START_UP);
		assert_int_equal(p->ts_local.n, 0);
		assert_ts(&p->ts_remote, "0.0.0.0/0 ::/0");
		assert_int_equal(p->ask_v4, row[i].v4);
		assert_int_equal(p->ask_v6, row[i].v6);
		assert_int_equal(p->ask[0].family, 0);
		stop(&r);
	}
}

static void hub(void **state)
{
	struct running r = { 0 };
	const struct ike_peer_conf *p;

	(void)state;
	load(&r, HUB);
	p = peer(&r, "corp");
	assert_int_equal(p->role, IKE_ROLE_MEMBERS);
	assert_int_equal(p->start, IKE_START_LISTEN);
	assert_int_equal(p->n_addresses, 0);
	assert_id(&p->local_id, "hub1.example");
	assert_int_equal(p->remote_id.type, 0);
	assert_ts(&p->ts_local, "10.0.0.0/8 fd00::/16");
	assert_ts(&p->domain, "10.0.0.0/8 fd00::/16");
	assert_ts(&p->ts_remote, "0.0.0.0/0 ::/0");
	assert_int_equal(p->n_rules, 2);
	assert_id(&p->rules[0].id, "old.example");
	assert_ts(&p->rules[0].prefixes, "10.7.0.0/16 10.9.0.0/16");
	assert_id(&p->rules[1].id, "*.branch");
	assert_true(p->keepalive.ns == dur_s(9).ns);
	assert_true(p->fragmentation);
	assert_authenticates(p);
	stop(&r);
}

/* ---- topologies: what the mesh gets ---- */

static const struct mesh_network *network(const struct running *r)
{
	const struct mesh_conf *m = translate_mesh_of(r->ike);

	assert_ptr_equal(m->ike, r->ike);
	assert_int_equal(m->n_networks, 1);
	return m->networks;
}

/* U2: a site takes suggestions unless its file says otherwise. */
static void site_takes(void **state)
{
	static const struct {
		const char *more;
		uint8_t can;
		uint32_t max;
		bool trust;
		size_t n_candidates;
		size_t n_relayed; /* direct = required */
	} row[] = {
		{ "", IKE_CAN_PARTNER, 256, false, 0, 0 },
		{ "shortcuts = no", 0, 256, false, 0, 0 },
		{ "direct = required ; relayed = { \"10.8.0.0/16\", \"10.9.0.0/16\" }",
		  IKE_CAN_PARTNER, 256, false, 0, 2 },
		{ "shortcuts_max = 3 ; trust_hub = yes\n"
		  "candidates = { \"203.0.113.7\", \"2001:db8::7\" }",
		  IKE_CAN_PARTNER, 3, true, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		static const char *const bundle[] = { "site", "laptop" };

		for (size_t k = 0; k < ARRAY_LEN(bundle); k++) {
			struct running r = { 0 };
			const struct mesh_network *n;
			char buf[256];

			snprintf(buf, sizeof(buf),
				 "network \"corp\" { identity = \"@/%s.warren\"\n%s }\n" P("x"),
				 bundle[k], row[i].more);
			load(&r, buf);
			n = network(&r);
			assert_string_equal(n->name, "corp");
			assert_int_equal(n->peer, peer(&r, "corp")->id);
			assert_int_equal(peer(&r, "corp")->capabilities, row[i].can);
			assert_false(peer(&r, "corp")->flows);
			assert_int_equal(peer(&r, "corp")->direct, row[i].n_relayed != 0);
			assert_int_equal(peer(&r, "corp")->relayed.n, row[i].n_relayed);
			assert_int_equal(peer(&r, "x")->capabilities, 0);
			assert_int_equal(n->takes, row[i].can != 0);
			assert_int_equal(n->max, row[i].max);
			assert_int_equal(n->trust_hub, row[i].trust);
			assert_int_equal(n->n_candidates, row[i].n_candidates);
			if (n->n_candidates) {
				assert_int_equal(n->candidates[0].b[0], 203);
				assert_int_equal(n->candidates[1].family, 6);
			}
			assert_int_equal(n->n_rules + n->n_hubs + n->n_announce, 0);
			stop(&r);
		}
	}
}

/* R16: a site that is attached to all of its hubs has a section for each, in the order of the file;
 * the first is the one that it had before. */
static void site_attached(void **state)
{
	struct running r = { 0 };
	const struct ike_peer_conf *p;
	const struct mesh_network *n;
	ike_peer_id before;

	(void)state;
#define THREE "hubs = { \"a.example\", \"b.example\", \"192.0.2.3\" }\n"
	load(&r, "network \"corp\" { identity = \"@/site.warren\"\n" THREE "}\n" P("x"));
	p = peer(&r, "corp");
	before = p->id;
	assert_int_equal(p->n_addresses, 3);
	assert_null(p->network);
	assert_true(p->follow);
	assert_int_equal(network(&r)->n_hubs, 0);
	load(&r,
	     "network \"corp\" { identity = \"@/site.warren\" ; attach = all\n" THREE "}\n" P("x"));
	n = network(&r);
	assert_int_equal(n->peer, before);
	assert_int_equal(n->n_hubs, 2);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "corp", "corp/b.example", "corp/192.0.2.3" };
		static const char *const at[] = { "a.example", "b.example", "192.0.2.3" };

		p = peer(&r, names[i]);
		assert_int_equal(p->id, i ? n->hubs[i - 1] : before);
		assert_int_equal(p->role, IKE_ROLE_HUB);
		assert_int_equal(p->start, IKE_START_UP);
		assert_string_equal(p->network, "corp");
		assert_int_equal(p->rank, i);
		assert_int_equal(p->n_addresses, 1);
		assert_string_equal(p->addresses[0], at[i]);
		assert_int_equal(p->n_hub_ids, 1);
		assert_int_equal(p->hub_ids[0].type, i == 2 ? WIRE_ID_IPV4 : WIRE_ID_FQDN);
		assert_int_equal(p->capabilities, IKE_CAN_PARTNER | IKE_AT_SEVERAL);
		assert_int_equal(p->ts_local.n, peer(&r, "corp")->ts_local.n);
		assert_false(p->follow);
	}
	load(&r, "network \"corp\" { identity = \"@/site.warren\" ; attach = all\n"
		 "hubs = \"b.example\" }\n" P("x"));
	p = peer(&r, "corp");
	assert_int_equal(p->id, before);
	assert_null(p->network);
	assert_int_equal(p->capabilities, IKE_CAN_PARTNER);
	assert_int_equal(network(&r)->n_hubs, 0);
#undef THREE
	stop(&r);
}

#define HUB_WITH(more)                                                                             \
	"network \"corp\" { identity = \"@/hub.warren\" ; role = hub ; domain = \"10.0.0.0/8\"\n"  \
	"pool = \"10.9.0.0/16\" ; redirect_to = \"hub7.example\"\n" more " }\n"

/* T1, T2, T3, T4: a hub by the words of its file. */
static void hub_topologies(void **state)
{
	struct running r = { 0 };
	const struct mesh_network *n;
	const struct mesh_rule *rule;

	(void)state;
	load(&r, "port = 501\n" P("x") HUB_WITH(
			 "topology = mesh ; announce = { \"hub1.example.net\", \"192.0.2.1\" }\n"
			 "shortcut_after = 2s ; shortcut_idle = 5m ; shortcut_retry = 3s ; "
			 "shortcut_retry_max = 4m\n"
			 "rule \"1\" { between = { \"dc\", \"*\" } ; topology = dynamic }\n"
			 "peers \"b\" { identities = { \"*.b\", \"c\" } }\n"
			 "peers \"dc\" { networks = { \"10.7.0.0/16\", \"10.0.0.1\" } }\n"
			 "rule \"2\" { between = \"b\" ; topology = star }\n"));
	n = network(&r);
	assert_int_equal(n->peer, peer(&r, "corp")->id);
	assert_int_equal(peer(&r, "corp")->capabilities, IKE_CAN_HUB | IKE_CAN_RELAY | IKE_CAN_ASK);
	assert_int_equal(n->topology, MESH_FULL);
	assert_int_equal(n->port, 501);
	assert_int_equal(n->n_announce, 2);
	assert_string_equal(n->announce[0], "hub1.example.net");
	assert_int_equal(n->after.ns, dur_s(2).ns);
	assert_int_equal(n->idle.ns, dur_s(300).ns);
	assert_int_equal(n->retry.ns, dur_s(3).ns);
	assert_int_equal(n->retry_max.ns, dur_s(240).ns);
	assert_int_equal(n->n_hubs, 0);
	assert_int_equal(n->n_rules, 2);
	rule = &n->rules[0];
	assert_string_equal(rule->name, "1");
	assert_int_equal(rule->topology, MESH_DYNAMIC);
	assert_null(rule->b);
	assert_string_equal(rule->a->name, "dc");
	assert_int_equal(rule->a->n_identities, 0);
	assert_int_equal(rule->a->n_networks, 2);
	assert_int_equal(rule->a->networks[0].len, 16);
	assert_int_equal(rule->a->networks[0].ip.b[1], 7);
	assert_int_equal(rule->a->networks[1].len, 32);
	rule = &n->rules[1];
	assert_int_equal(rule->topology, MESH_STAR);
	assert_string_equal(rule->a->name, "b");
	assert_ptr_equal(rule->a, rule->b);
	assert_int_equal(rule->a->n_identities, 2);
	assert_id(&rule->a->identities[0], "*.b");
	stop(&r);
}

/* T4: a hub is told who talks to whom in a star as well, which a reload may end. */
static void hub_flows(void **state)
{
	static const char *const more[] = { "", "topology = star", "topology = mesh",
					    "topology = star ; hubs = \"192.0.2.9\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		struct running r = { 0 };
		char buf[512];

		snprintf(buf, sizeof(buf), HUB_WITH("%s"), more[i]);
		load(&r, buf);
		assert_true(peer(&r, "corp")->flows);
		stop(&r);
	}
}

/* R09: each other hub is a counterpart; all hubs may have the same list. */
static void other_hubs(void **state)
{
	struct running r = { 0 };
	const struct ike_peer_conf *p;
	const struct mesh_network *n;
	ike_peer_id corp, hub2, hub3;

	(void)state;
	load(&r, P("x") HUB_WITH("hubs = { \"hub2.example\", \"HUB1.example\", \"2001:db8::3\" } ; "
				 "port = 501"));
	assert_int_equal(r.ike->n_peers, 4);
	corp = peer(&r, "corp")->id;
	hub2 = peer(&r, "corp/hub2.example")->id;
	hub3 = peer(&r, "corp/2001:db8::3")->id;
	n = network(&r);
	assert_int_equal(n->peer, corp);
	assert_int_equal(n->n_hubs, 2);
	assert_int_equal(n->hubs[0], hub2);
	assert_int_equal(n->hubs[1], hub3);
	p = peer(&r, "corp");
	assert_int_equal(p->role, IKE_ROLE_MEMBERS);
	assert_int_equal(p->n_pool, 1);
	assert_int_equal(p->n_redirect_to, 1);
	p = peer(&r, "corp/hub2.example");
	assert_int_equal(p->role, IKE_ROLE_HUB);
	assert_int_equal(p->start, IKE_START_UP);
	assert_int_equal(p->n_addresses, 1);
	assert_string_equal(p->addresses[0], "hub2.example");
	assert_int_equal(p->port, 501);
	assert_int_equal(p->n_hub_ids, 1);
	assert_id(&p->hub_ids[0], "hub2.example");
	assert_id(&p->local_id, "hub1.example");
	assert_ts(&p->ts_local, "10.0.0.0/8");
	assert_ts(&p->ts_remote, "0.0.0.0/0 ::/0");
	assert_ts(&p->domain, "10.0.0.0/8");
	assert_int_equal(p->capabilities, IKE_CAN_HUB | IKE_CAN_RELAY | IKE_CAN_ASK);
	assert_true(p->flows);
	assert_true(p->mtu_probes);
	assert_false(p->follow);
	assert_int_equal(p->n_pool + p->n_redirect_to + p->n_rules, 0);
	assert_authenticates(p);
	assert_id(&peer(&r, "corp/2001:db8::3")->hub_ids[0], "2001:db8::3");
	/* One goes, one comes: the others stay who they are. */
	load(&r, HUB_WITH("hubs = { \"hub4.example\", \"2001:db8::3\" }") P("x"));
	assert_int_equal(peer(&r, "corp")->id, corp);
	assert_int_equal(peer(&r, "corp/2001:db8::3")->id, hub3);
	assert_int_equal(network(&r)->hubs[1], hub3);
	assert_true(peer(&r, "corp/hub4.example")->id > hub3);
	load(&r, HUB_WITH("") P("x"));
	assert_int_equal(r.ike->n_peers, 2);
	stop(&r);
}

/* ---- ids ---- */

static void ids(void **state)
{
	struct running r = { 0 };
	ike_peer_id d, corp;

	(void)state;
	load(&r, P("a") P("b") P("c"));
	assert_int_equal(peer(&r, "a")->id, 1);
	assert_int_equal(peer(&r, "b")->id, 2);
	assert_int_equal(peer(&r, "c")->id, 3);
	/* Another order, and the last one gone. */
	load(&r, P("b") P("a"));
	assert_int_equal(peer(&r, "a")->id, 1);
	assert_int_equal(peer(&r, "b")->id, 2);
	/* Its id was somebody's and stays his, also when he comes back. */
	load(&r, P("d") P("b") P("a"));
	d = peer(&r, "d")->id;
	assert_int_equal(d, 4);
	load(&r, P("c") P("d") P("b") P("a"));
	assert_int_equal(peer(&r, "c")->id, 5);
	assert_int_equal(peer(&r, "d")->id, d);
	/* A network that takes a name is somebody else; so is a hub that was a site. */
	load(&r, P("d") SITE);
	corp = peer(&r, "corp")->id;
	assert_int_equal(corp, 6);
	load(&r, SITE P("d"));
	assert_int_equal(peer(&r, "corp")->id, corp);
	load(&r, HUB P("d"));
	assert_int_equal(peer(&r, "corp")->id, 7);
	assert_int_equal(peer(&r, "d")->id, d);
	load(&r, P("corp"));
	assert_int_equal(peer(&r, "corp")->id, 8);
	assert_true(peer(&r, "corp")->id < IKE_PEER_DYNAMIC);
	stop(&r);
}

/* A snapshot that is not taken after all leaves no trace. */
static void not_taken(void **state)
{
	struct running r = { 0 }, other;

	(void)state;
	load(&r, P("a"));
	ike_conf_ref(r.ike);
	other = (struct running){ .ike = r.ike };
	load(&other, P("a") P("b"));
	assert_int_equal(peer(&other, "b")->id, 2);
	stop(&other);
	load(&r, P("c") P("a"));
	assert_int_equal(peer(&r, "c")->id, 2);
	stop(&r);
}

/* Thousands are found by name without a walk for each. */
static void many(void **state)
{
	static char text[2 << 20];
	struct running r = { 0 };
	struct text t = TEXT_OF(text);

	(void)state;
	for (int i = 0; i < 5000; i++)
		text_fmt(&t,
			 "peer \"p%d\" { local_id = \"me\" ; remote_id = \"r%d\" ; psk = \"k\" ; "
			 "local_ts = \"10.1.0.0/16\" ; remote_ts = \"10.2.0.0/16\" }\n",
			 i, i);
	assert_true(t.n + 4 < sizeof(text));
	load(&r, text);
	load(&r, text);
	for (size_t i = 0; i < r.ike->n_peers; i++)
		assert_int_equal(r.ike->peers[i].id, i + 1);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(site),          cmocka_unit_test(endpoint),
		cmocka_unit_test(hub),           cmocka_unit_test(site_takes),
		cmocka_unit_test(site_attached), cmocka_unit_test(hub_topologies),
		cmocka_unit_test(hub_flows),     cmocka_unit_test(other_hubs),
		cmocka_unit_test(ids),           cmocka_unit_test(not_taken),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, make_world, remove_world);
}
