/*
 * path.c - NAT detection (RFC 7296 section 2.23), the RFC 7427 hash list, and whether fragments are
 * taken (RFC 7383): the notifies both sides put into IKE_SA_INIT.
 */
#include "ike/internal.h"

/* SHA-1(SPIi | SPIr | address | port). */
static enum status natd_hash(struct ike *ike, uint64_t spi_i, uint64_t spi_r,
			     const struct endpoint *e, uint8_t ret[NATD_LEN])
{
	uint8_t head[16], port[2];
	struct bytes parts[3] = { { head, 16 }, ip_raw(&e->ip), { port, 2 } };

	store_be64(head, spi_i);
	store_be64(head + 8, spi_r);
	store_be16(port, e->port);
	return ike->crypto.ops->hash(ike->crypto.ctx, CRYPTO_SHA1, parts, 3, ret);
}

/* A message without would say that there is no NAT traversal: rather none at all. */
static void natd_put_one(struct ike *ike, const struct ike_sa *sa, uint16_t type,
			 const struct endpoint *e, struct wire_out *o)
{
	uint8_t hash[NATD_LEN];

	if (natd_hash(ike, sa->spi_i, sa->spi_r, e, hash))
		o->w.err = true;
	else
		wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), type, BYTES_OF(hash));
}

void natd_put(struct ike *ike, const struct ike_sa *sa, const struct path *path, struct wire_out *o)
{
	struct endpoint source = path->local;

	/* Port 0 is nobody's: the peer concludes that a NAT is in between and encapsulates, which
	 * is what a data plane without raw ESP needs (section 2.23 allows it at any time). A peer
	 * that knows this habit sees that there is none. */
	if (ike->conf->force_encap)
		source.port = 0;
	natd_put_one(ike, sa, WIRE_N_NAT_DETECTION_SOURCE_IP, &source, o);
	natd_put_one(ike, sa, WIRE_N_NAT_DETECTION_DESTINATION_IP, &path->remote, o);
}

/* Where translation is forbidden nothing is done about it (RFC 4555 section 3.9), but for a data
 * plane that needs UDP all the same. */
bool natd_wanted(const struct ike *ike, const struct ike_peer_conf *conf)
{
	return !conf->mobike || conf->nats_allowed || ike->conf->force_encap;
}

bool natd_present(const struct wire_payloads *p)
{
	return wire_find_notify(p, WIRE_N_NAT_DETECTION_SOURCE_IP) &&
	       wire_find_notify(p, WIRE_N_NAT_DETECTION_DESTINATION_IP);
}

bool natd_seen(const struct wire_payloads *p, uint8_t ret[static NATD_LEN])
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_NAT_DETECTION_DESTINATION_IP);

	if (!n || n->data.n != NATD_LEN)
		return false;
	memcpy(ret, n->data.p, NATD_LEN);
	return true;
}

static bool any_match(const struct wire_payloads *p, uint16_t type, const uint8_t *hash)
{
	for (size_t i = 0; i < p->n_notifies; i++)
		if (p->notifies[i].type == type &&
		    ct_equal(p->notifies[i].data, bytes_of(hash, NATD_LEN)))
			return true;
	return false;
}

enum status natd_check(struct ike *ike, const struct wire_payloads *p, uint64_t spi_i,
		       uint64_t spi_r, const struct endpoint *local, const struct endpoint *remote,
		       struct path *path)
{
	struct endpoint pretended = { remote->ip, 0 };
	uint8_t here[NATD_LEN], there[NATD_LEN], forced[NATD_LEN];
	enum status st;

	if (!natd_present(p))
		return ST_OK;
	st = natd_hash(ike, spi_i, spi_r, local, here);
	if (!st)
		st = natd_hash(ike, spi_i, spi_r, remote, there);
	if (!st)
		st = natd_hash(ike, spi_i, spi_r, &pretended, forced);
	if (st)
		return st;
	path->natt = true;
	path->forced = any_match(p, WIRE_N_NAT_DETECTION_SOURCE_IP, forced);
	path->nat_remote = !path->forced && !any_match(p, WIRE_N_NAT_DETECTION_SOURCE_IP, there);
	path->nat_local = !any_match(p, WIRE_N_NAT_DETECTION_DESTINATION_IP, here);
	return ST_OK;
}

uint16_t sighash_read(const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_SIGNATURE_HASH_ALGORITHMS);
	uint16_t set = 0;

	if (!n)
		return 0;
	for (struct cur c = cur_of(n->data); cur_left(&c) >= 2;) {
		uint16_t hash = cur_u16(&c);

		/* SHA-1 is never used for signatures, whatever the peer can do. */
		if (hash >= CRYPTO_SHA2_256 && hash <= CRYPTO_IDENTITY)
			set |= (uint16_t)(1u << hash);
	}
	return set;
}

void sighash_put(struct wire_out *o)
{
	static const uint8_t ours[] = { 0, CRYPTO_SHA2_256, 0, CRYPTO_SHA2_384,
					0, CRYPTO_SHA2_512, 0, CRYPTO_IDENTITY };

	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_SIGNATURE_HASH_ALGORITHMS,
			BYTES_OF(ours));
}

bool fragmentation_agreed(const struct wire_payloads *p)
{
	const struct wire_notify *n = wire_find_notify(p, WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED);

	return n && n->proto == WIRE_PROTO_NONE;
}

void fragmentation_put(struct wire_out *o)
{
	wire_put_notify(o, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED,
			bytes_of(NULL, 0));
}

/*
 * Where the initiator is when IKE_AUTH comes (section 2.23): NAT traversal moved it to the other
 * port, perhaps to another mapping.  Nothing authenticates where a datagram comes from, so without
 * a NAT on its side it is where it was in IKE_SA_INIT, which the NAT detection payloads vouch for;
 * only the port may be its other one.  One that is not the usual is taken for a translation, which
 * ends with the next authentic packet from elsewhere (sa_moved()).
 */
void path_after_init(const struct ike *ike, struct path *path, const struct ike_datagram *d)
{
	bool floats = d->local.port == ike->conf->nat_port && !path->floated;

	path->local = d->local;
	path->floated = d->local.port == ike->conf->nat_port;
	if (path->nat_remote) {
		path->remote = d->remote;
	} else if (floats) {
		path->remote.port = d->remote.port;
		path->nat_remote = d->remote.port != 4500;
	}
	path->encap = path_encap(ike, path);
}

struct path path_of(const struct ike *ike, const struct endpoint *local,
		    const struct endpoint *remote)
{
	bool floated = local->port == ike->conf->nat_port;

	return (struct path){ .local = *local, .remote = *remote, .floated = floated };
}

bool path_encap(const struct ike *ike, const struct path *path)
{
	return path->floated && (path->always || path->forced || path->nat_local ||
				 path->nat_remote || ike->conf->force_encap);
}
