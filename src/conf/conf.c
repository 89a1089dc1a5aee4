#include "conf/internal.h"

/* What the largest file can grow to; only a bound for hostile files. */
#define ARENA_MAX ((size_t)64 * CONF_FILE_MAX)

/* What is not written, in the configuration and in a peer and a network to begin with. */
static enum status read_defaults(struct reader *r, struct conf *c)
{
	struct conf_peer *p = arena_new(&c->ar, sizeof(*p));
	struct conf_network *n = arena_new(&c->ar, sizeof(*n));
	enum status st = p && n ? ST_OK : ST_NOMEM;

	if (st == ST_OK)
		st = value_defaults(&c->ar, r->errs, CONF_TOP, &r->value, c);
	if (st == ST_OK)
		st = value_defaults(&c->ar, r->errs, CONF_PEER, &r->value, p);
	if (st == ST_OK)
		st = value_defaults(&c->ar, r->errs, CONF_NETWORK, &r->value, n);
	if (st == ST_OK)
		st = value_default_proposals(&c->ar, WIRE_PROTO_IKE, &p->proposals);
	if (st == ST_OK)
		st = value_default_proposals(&c->ar, WIRE_PROTO_ESP, &p->esp_proposals);
	if (st != ST_OK)
		return st;
	n->proposals = p->proposals;
	n->esp_proposals = p->esp_proposals;
	r->peer_defaults = p;
	r->network_defaults = n;
	return ST_OK;
}

static enum status read_all(struct conf *c, struct bytes text, struct conf_errors *errs)
{
	static const uint64_t key[2] = { 1, 2 }; /* names of the operator's own choice */
	struct reader r = {
		.conf = c, .errs = errs, .peers_tail = &c->peers, .networks_tail = &c->networks
	};
	enum status st = read_defaults(&r, c);

	if (st != ST_OK)
		return st;
	map_init(&r.names, c->mem, key);
	lex_init(&r.lx, text, &c->ar, errs);
	st = reader_run(&r);
	map_done(&r.names);
	wipe(&r, sizeof(r));
	return st == ST_OK ? check_conf(c, errs) : st;
}

static enum status copy_name(struct conf *c, const char *file)
{
	struct bytes copy;
	enum status st = arena_dup(&c->ar, bytes_of(file, strlen(file) + 1), &copy);

	if (st == ST_OK)
		c->file = (const char *)copy.p;
	return st;
}

static enum status conf_new(const struct alloc *mem, const char *file, struct conf **ret_conf)
{
	struct conf *c = mem_new(mem, sizeof(*c));
	enum status st;

	if (!c)
		return ST_NOMEM;
	c->refs = 1;
	c->mem = mem;
	arena_init(&c->ar, mem, ARENA_MAX);
	st = copy_name(c, file);
	if (st == ST_OK)
		*ret_conf = c;
	else
		conf_unref(c);
	return st;
}

enum status conf_read(const struct alloc *mem, const char *file, struct bytes text,
		      struct conf_errors *errs, struct conf **ret_conf)
{
	struct conf *c;
	enum status st = errors_name(errs, file);

	if (st == ST_OK)
		st = conf_new(mem, file, &c);
	if (st != ST_OK)
		return st;
	if (text.n > CONF_FILE_MAX)
		conf_error_add(errs, (struct conf_pos){ 0 }, "larger than %d MiB",
			       CONF_FILE_MAX >> 20);
	else
		st = read_all(c, text, errs);
	if (st == ST_OK)
		*ret_conf = c;
	else
		conf_unref(c);
	return st;
}

enum status conf_faultless(struct conf *c, const struct conf_errors *errs, struct conf **ret_conf)
{
	if (errs->total > 0) {
		conf_unref(c);
		return ST_INVAL;
	}
	*ret_conf = c;
	return ST_OK;
}

enum status conf_parse(const struct alloc *mem, const char *file, struct bytes text,
		       struct conf_errors *errs, struct conf **ret_conf)
{
	struct conf *c;
	enum status st = conf_read(mem, file, text, errs, &c);

	return st == ST_OK ? conf_faultless(c, errs, ret_conf) : st;
}

struct conf *conf_ref(struct conf *c)
{
	c->refs++;
	return c;
}

void conf_unref(struct conf *c)
{
	if (!c || --c->refs > 0)
		return;
	arena_done(&c->ar);
	mem_free_secret(c->mem, c, sizeof(*c));
}

const struct conf_peer *conf_find_peer(const struct conf *c, const char *name)
{
	for (const struct conf_peer *p = c->peers; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}
