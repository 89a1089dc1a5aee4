#include "harness/script.h"

#include "crypto/fake/crypto_fake.h"
#include "harness/internal.h"

enum {
	SCRIPT_ARENA = 1 << 20,
};

/* Scripts at different addresses draw different randomness. */
static uint64_t seed_of(const struct world *w, const struct ip *self)
{
	uint64_t key[2] = { w->seed, 0x736372697074 };

	return siphash(key, ip_raw(self));
}

void script_init(struct script *s, struct world *w, const char *self, struct node *node,
		 bool initiator)
{
	memset(s, 0, sizeof(*s));
	s->w = w;
	s->node = node;
	s->self = test_endpoint(self, 500);
	for (size_t i = 0; i < node->n_addresses; i++)
		if (node->address[i].family == s->self.ip.family)
			s->other = (struct endpoint){ node->address[i], node->conf->conf.port };
	s->initiator = initiator;
	s->ike = "aes128gcm16-prfsha256-x25519";
	s->esp = "aes128gcm16-esn";
	s->id = "a.example";
	s->ts_i = "10.1.0.0/16";
	s->ts_r = "10.2.0.0/16";
	s->psk = 1;
	s->spi_esp = 0x11223344;
	s->nat_detection = true;
	arena_init(&s->mem, &mem_libc, SCRIPT_ARENA);
	arena_init(&s->rx, &mem_libc, SCRIPT_ARENA);
	if (crypto_fake_new(&mem_libc, seed_of(w, &s->self.ip), &s->fake) != ST_OK)
		harness_fail("script: no provider");
	s->crypto = crypto_fake_ops(s->fake);
}

void script_done(struct script *s)
{
	packet_free(s->packet);
	arena_done(&s->rx);
	arena_done(&s->mem);
	crypto_fake_free(s->fake);
	wipe(s, sizeof(*s));
}

static struct bytes keep(struct script *s, struct bytes b)
{
	struct bytes copy;

	if (arena_dup(&s->mem, b, &copy) != ST_OK)
		harness_fail("script: out of memory");
	return copy;
}

/* ---- keys (sections 2.13, 2.14) ------------------------------------------------------------ */

static void random_bytes(struct script *s, void *buf, size_t n)
{
	s->crypto.ops->random(s->crypto.ctx, buf, n);
}

static struct crypto_result run(struct script *s, struct crypto_job *job)
{
	struct crypto_result r;

	crypto_fake_run(s->fake, job, &r);
	crypto_job_free(job);
	if (r.status != ST_OK)
		harness_fail("script: %s", r.reason);
	return r;
}

static struct crypto_job *job_new(enum crypto_job_kind kind)
{
	struct crypto_job *job;

	if (crypto_job_new(&mem_libc, kind, &job) != ST_OK)
		harness_fail("script: out of memory");
	return job;
}

static struct bytes job_dup(struct crypto_job *job, struct bytes b)
{
	struct bytes copy;

	if (crypto_job_dup(job, b, &copy) != ST_OK)
		harness_fail("script: out of memory");
	return copy;
}

static uint16_t group(const struct script *s)
{
	return s->suite.ke;
}

/* The first proposal in the keywords as a suite. */
static struct policy_suite suite_of(struct script *s, uint8_t proto, const char *keywords)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct wire_proposal p;
	struct wire_sa sa = { &p, 1 };
	struct policy_suite suite;
	struct bytes spi;
	uint8_t number;

	if (policy_proposal_parse(&s->mem, proto, keywords, &why, &p) != ST_OK ||
	    policy_select(&sa, &sa, false, &why, &suite, &number, &spi) != ST_OK)
		harness_fail("script: %s: %s", keywords, buf);
	return suite;
}

void script_prepare(struct script *s)
{
	struct crypto_job *job = job_new(CRYPTO_JOB_KE_GENERATE);
	struct crypto_result r;
	uint8_t *nonce = s->initiator ? s->nonce_i : s->nonce_r;

	s->suite = suite_of(s, WIRE_PROTO_IKE, s->ike);
	job->in.ke_generate.group = group(s);
	r = run(s, job);
	memcpy(s->pub, r.ke.pub, r.ke.pub_len);
	s->n_pub = r.ke.pub_len;
	s->priv = r.ke.priv;
	crypto_result_done(&r);
	random_bytes(s, nonce, 32);
	*(s->initiator ? &s->n_nonce_i : &s->n_nonce_r) = 32;
	random_bytes(s, s->initiator ? &s->spi_i : &s->spi_r, 8);
}

static void prf(struct script *s, struct bytes key, const struct bytes *parts, size_t n,
		uint8_t out[static CRYPTO_PRF_MAX])
{
	if (s->crypto.ops->prf(s->crypto.ctx, s->suite.prf, key, parts, n, out) != ST_OK)
		harness_fail("script: prf");
}

static void cut(struct secret *to, const uint8_t **from, size_t n)
{
	if (!secret_set(to, bytes_of(*from, n)))
		harness_fail("script: key too long");
	*from += n;
}

/* {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr) */
static void split_keys(struct script *s, struct bytes seed)
{
	struct crypto_cipher cipher = policy_suite_cipher(&s->suite);
	struct crypto_key ki = { .cipher = cipher }, kr = { .cipher = cipher };
	size_t n = crypto_prf_len(s->suite.prf);
	struct crypto_cipher_info info;
	uint8_t out[7 * 80], spis[16];
	const uint8_t *p = out;
	struct bytes parts[3] = { { s->nonce_i, s->n_nonce_i },
				  { s->nonce_r, s->n_nonce_r },
				  { spis, sizeof(spis) } };

	store_be64(spis, s->spi_i);
	store_be64(spis + 8, s->spi_r);
	if (crypto_cipher_info(cipher, &info) != ST_OK ||
	    crypto_prf_plus(&s->crypto, s->suite.prf, seed, parts, 3, out, sizeof(out)) != ST_OK)
		harness_fail("script: key derivation");
	cut(&s->sk_d, &p, n);
	cut(&ki.integ, &p, info.integ_key_len);
	cut(&kr.integ, &p, info.integ_key_len);
	cut(&ki.encr, &p, info.key_len);
	cut(&kr.encr, &p, info.key_len);
	cut(&s->sk_pi, &p, n);
	cut(&s->sk_pr, &p, n);
	s->send = s->initiator ? ki : kr;
	s->recv = s->initiator ? kr : ki;
	s->keyed = true;
}

static void derive(struct script *s, struct bytes peer_public)
{
	struct crypto_job *job = job_new(CRYPTO_JOB_KE_DERIVE);
	uint8_t nonces[2 * WIRE_MAX_NONCE], seed[CRYPTO_PRF_MAX];
	struct crypto_result r;
	struct bytes shared;

	job->in.ke_derive.group = group(s);
	job->in.ke_derive.priv = s->priv;
	job->in.ke_derive.pub = job_dup(job, bytes_of(s->pub, s->n_pub));
	job->in.ke_derive.peer = job_dup(job, peer_public);
	r = run(s, job);
	shared = bytes_of(r.ke.shared, r.ke.shared_len);
	memcpy(nonces, s->nonce_i, s->n_nonce_i);
	memcpy(nonces + s->n_nonce_i, s->nonce_r, s->n_nonce_r);
	prf(s, bytes_of(nonces, s->n_nonce_i + s->n_nonce_r), &shared, 1, seed);
	split_keys(s, bytes_of(seed, crypto_prf_len(s->suite.prf)));
	crypto_result_done(&r);
	wipe(seed, sizeof(seed));
}

/* ---- receiving ----------------------------------------------------------------------------- */

static struct packet *packet_for(struct script *s)
{
	struct packet *p;

	for (size_t i = 0; (p = world_packet(s->w, i)) != NULL; i++)
		if (ip_eq(&p->dst.ip, &s->self.ip))
			return p;
	return NULL;
}

static void open_message(struct script *s)
{
	struct crypto_cipher_info info;
	struct bytes body = s->msg.sk.body, payloads;
	enum wire_fault fault = WIRE_OK;
	uint8_t *plain = arena_new(&s->rx, body.n + 1);
	size_t n;

	if (!s->keyed || crypto_cipher_info(s->recv.cipher, &info) != ST_OK ||
	    body.n < info.iv_len + info.icv_len)
		return;
	n = body.n - info.iv_len - info.icv_len;
	memcpy(plain, body.p + info.iv_len, n);
	if (s->crypto.ops->open(s->crypto.ctx, &s->recv, body.p, s->msg.sk.aad, plain, n,
				body.p + info.iv_len + n) != ST_OK)
		return;
	if (wire_ike_unpad(bytes_of(plain, n), &payloads) != ST_OK ||
	    (s->msg.sk.fragments < 2 &&
	     wire_ike_parse_inner(&s->rx, s->msg.sk.inner_next, payloads, &s->in, &fault) != ST_OK))
		harness_fail("script: the node sends what cannot be parsed: %s",
			     wire_fault_name(fault));
	s->opened = true;
}

/* The answer to our IKE_SA_INIT, when it is one that goes on. */
static void init_answered(struct script *s)
{
	if (!s->in.sa.n || !s->in.ke.data.n || !s->in.nonce.n)
		return;
	s->spi_r = s->msg.hdr.spi_r;
	s->init_r = keep(s, s->msg.raw);
	memcpy(s->nonce_r, s->in.nonce.p, s->in.nonce.n);
	s->n_nonce_r = s->in.nonce.n;
	derive(s, s->in.ke.data);
}

bool script_take(struct script *s)
{
	struct packet *p = packet_for(s);
	enum wire_fault fault = WIRE_OK;

	if (!p)
		return false;
	packet_free(s->packet);
	arena_done(&s->rx);
	arena_init(&s->rx, &mem_libc, SCRIPT_ARENA);
	list_del(&p->link);
	s->packet = p;
	s->in = (struct wire_payloads){ 0 };
	s->opened = false;
	if (wire_ike_parse(&s->rx, packet_ike(p), &s->msg, &fault) != ST_OK)
		harness_fail("script: the node sends what cannot be parsed: %s",
			     wire_fault_name(fault));
	if (s->msg.encrypted)
		open_message(s);
	else
		s->in = s->msg.clear;
	if (s->initiator && packet_exchange(p) == WIRE_IKE_SA_INIT && packet_is_response(p))
		init_answered(s);
	return true;
}

const struct wire_notify *script_notify(const struct script *s, uint16_t type)
{
	return wire_find_notify(&s->in, type);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void begin(struct script *s, uint8_t exchange, bool response, uint32_t msgid)
{
	struct wire_hdr h = {
		.spi_i = s->spi_i,
		.spi_r = s->spi_r,
		.version = WIRE_IKE_VERSION,
		.exchange = exchange,
		.flags = (uint8_t)((s->initiator ? WIRE_FLAG_INITIATOR : 0) |
				   (response ? WIRE_FLAG_RESPONSE : 0)),
		.msgid = msgid,
	};

	s->sealed = false;
	wire_ike_begin(&s->out, s->buf, sizeof(s->buf), &h);
}

void script_begin_clear(struct script *s, uint8_t exchange, bool response, uint32_t msgid)
{
	begin(s, exchange, response, msgid);
}

void script_begin_id(struct script *s, uint8_t exchange, bool response, uint32_t msgid)
{
	struct crypto_cipher_info info;

	begin(s, exchange, response, msgid);
	if (!s->keyed || exchange == WIRE_IKE_SA_INIT)
		return;
	if (crypto_cipher_info(s->send.cipher, &info) != ST_OK)
		harness_fail("script: cipher");
	wire_ike_sk_begin(&s->out, info.iv_len);
	s->sealed = true;
}

void script_begin_fragment(struct script *s, uint8_t exchange, bool response, uint32_t msgid,
			   const struct wire_fragment *f)
{
	struct crypto_cipher_info info;

	begin(s, exchange, response, msgid);
	if (!s->keyed || crypto_cipher_info(s->send.cipher, &info) != ST_OK)
		harness_fail("script: no keys for a fragment");
	wire_put_fragment(&s->out, info.iv_len, f);
	s->sealed = true;
}

void script_begin(struct script *s, uint8_t exchange, bool response)
{
	script_begin_id(s, exchange, response, response ? s->msg.hdr.msgid : s->next_send++);
}

static struct bytes seal_message(struct script *s)
{
	struct crypto_cipher_info info;
	struct wire_sk_spans sp;
	struct bytes msg;

	if (crypto_cipher_info(s->send.cipher, &info) != ST_OK ||
	    wire_ike_sk_end(&s->out, info.block, info.icv_len, &sp, &msg) != ST_OK)
		harness_fail("script: message too long");
	memset(sp.iv, 0, info.iv_len);
	store_be64(sp.iv + info.iv_len - 8, s->iv++);
	if (s->crypto.ops->seal(s->crypto.ctx, &s->send, sp.iv, sp.aad, sp.plain, sp.plain_len,
				sp.icv) != ST_OK)
		harness_fail("script: cannot seal");
	return msg;
}

struct packet *script_send(struct script *s)
{
	static const uint8_t marker[4];
	uint8_t buf[SCRIPT_MESSAGE + sizeof(marker)];
	size_t head = s->other.port == s->node->conf->conf.nat_port ? sizeof(marker) : 0;
	struct bytes msg;

	if (s->sealed)
		msg = seal_message(s);
	else if (wire_ike_end(&s->out, &msg) != ST_OK)
		harness_fail("script: message too long");
	if (load_be32(msg.p + 20) == 0 && msg.p[18] == WIRE_IKE_SA_INIT)
		*(s->initiator ? &s->init_i : &s->init_r) = keep(s, msg);
	memcpy(buf, marker, head);
	memcpy(buf + head, msg.p, msg.n);
	return world_inject(s->w, s->self, s->other, bytes_of(buf, head + msg.n));
}

/* ---- payloads ------------------------------------------------------------------------------ */

void script_put_sa(struct script *s, const char *esp, uint32_t spi)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	uint8_t raw[4];
	struct wire_proposal p;
	struct wire_sa sa = { &p, 1 };

	if (policy_proposal_parse(&s->mem, spi ? WIRE_PROTO_ESP : WIRE_PROTO_IKE, esp, &why, &p) !=
	    ST_OK)
		harness_fail("script: %s: %s", esp, buf);
	store_be32(raw, spi);
	p.spi = bytes_of(raw, spi ? sizeof(raw) : 0);
	wire_put_sa(&s->out, &sa);
}

static struct policy_ident ident(struct script *s)
{
	char buf[256];
	struct text why = TEXT_OF(buf);
	struct policy_ident id;

	if (policy_ident_parse(&s->mem, s->id, false, &why, &id) != ST_OK)
		harness_fail("script: %s: %s", s->id, buf);
	return id;
}

void script_put_id(struct script *s)
{
	struct policy_ident id = ident(s);

	wire_put_id(&s->out, s->initiator ? WIRE_P_IDI : WIRE_P_IDR, id.type, id.data);
}

/* Section 2.15: first message | the other's nonce | prf(SK_px, RestOfIDPayload). */
static struct bytes signed_octets(struct script *s, bool by_initiator, struct bytes id_body)
{
	uint8_t mac[CRYPTO_PRF_MAX];
	size_t n = crypto_prf_len(s->suite.prf);
	struct bytes first = by_initiator ? s->init_i : s->init_r;
	struct bytes nonce = by_initiator ? bytes_of(s->nonce_r, s->n_nonce_r)
					  : bytes_of(s->nonce_i, s->n_nonce_i);
	uint8_t *octets = arena_new(&s->mem, first.n + nonce.n + n);

	prf(s, secret_bytes(by_initiator ? &s->sk_pi : &s->sk_pr), &id_body, 1, mac);
	memcpy(octets, first.p, first.n);
	memcpy(octets + first.n, nonce.p, nonce.n);
	memcpy(octets + first.n + nonce.n, mac, n);
	return bytes_of(octets, first.n + nonce.n + n);
}

static struct crypto_result psk_auth(struct script *s, struct bytes octets)
{
	struct crypto_job *job = job_new(CRYPTO_JOB_PSK_AUTH);

	job->in.psk.psk = s->psk;
	job->in.psk.prf = s->suite.prf;
	job->in.psk.octets = job_dup(job, octets);
	return run(s, job);
}

static struct crypto_result own_auth(struct script *s)
{
	struct policy_ident id = ident(s);
	uint8_t body[4 + 256];

	wire_id_body(id.type, id.data, body);
	return psk_auth(s, signed_octets(s, s->initiator, bytes_of(body, 4 + id.data.n)));
}

void script_put_plain_auth(struct script *s)
{
	struct crypto_result r = own_auth(s);

	wire_put_notify(&s->out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_NO_PPK_AUTH,
			bytes_of(r.auth.data, r.auth.len));
	crypto_result_done(&r);
}

void script_put_auth(struct script *s)
{
	struct crypto_result r = own_auth(s);

	wire_put_auth(&s->out, WIRE_AUTH_PSK, bytes_of(r.auth.data, r.auth.len));
	crypto_result_done(&r);
}

bool script_check_auth(struct script *s)
{
	struct bytes body = s->initiator ? s->in.id_r.body : s->in.id_i.body;
	struct crypto_result r = psk_auth(s, signed_octets(s, !s->initiator, body));
	bool same = s->in.auth.method == WIRE_AUTH_PSK &&
		    bytes_eq(bytes_of(r.auth.data, r.auth.len), s->in.auth.data);

	crypto_result_done(&r);
	return same;
}

bool script_check_child(struct script *s)
{
	const struct dp_child *c = node_child(s->node);
	size_t n = c->in.encr.n;
	uint8_t out[2 * SECRET_MAX];
	struct bytes parts[2] = { { s->nonce_i, s->n_nonce_i }, { s->nonce_r, s->n_nonce_r } };
	const struct secret *i2r = s->initiator ? &c->in.encr : &c->out.encr;
	const struct secret *r2i = s->initiator ? &c->out.encr : &c->in.encr;

	if (crypto_prf_plus(&s->crypto, s->suite.prf, secret_bytes(&s->sk_d), parts, 2, out,
			    2 * n) != ST_OK)
		harness_fail("script: key derivation");
	return bytes_eq(secret_bytes(i2r), bytes_of(out, n)) &&
	       bytes_eq(secret_bytes(r2i), bytes_of(out + n, n));
}

static size_t parse_ts(const char *words, struct wire_ts *ts, size_t max)
{
	char word[80], buf[256];
	size_t n = 0, len;

	for (; *(words += strspn(words, " ")); words += len) {
		struct text why = TEXT_OF(buf);

		len = strcspn(words, " ");
		if (len >= sizeof(word) || n == max)
			harness_fail("script: selectors %s", words);
		memcpy(word, words, len);
		word[len] = '\0';
		if (policy_ts_parse(word, &why, &ts[n++]) != ST_OK)
			harness_fail("script: %s: %s", word, buf);
	}
	return n;
}

void script_put_ts(struct script *s, const char *ts_i, const char *ts_r)
{
	struct wire_ts ts[WIRE_MAX_TS];

	wire_put_ts(&s->out, WIRE_P_TSI, ts, parse_ts(ts_i, ts, ARRAY_LEN(ts)));
	wire_put_ts(&s->out, WIRE_P_TSR, ts, parse_ts(ts_r, ts, ARRAY_LEN(ts)));
}

void script_put_auth_request(struct script *s)
{
	script_put_id(s);
	script_put_auth(s);
	script_put_sa(s, s->esp, s->spi_esp);
	script_put_ts(s, s->ts_i, s->ts_r);
	if (s->mobike)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_MOBIKE_SUPPORTED,
				bytes_of(NULL, 0));
}

/* ---- IKE_SA_INIT --------------------------------------------------------------------------- */

/* SHA-1(SPIi | SPIr | address | port), section 2.23. */
static void put_nat_hash(struct script *s, uint16_t type, const struct endpoint *e)
{
	uint8_t spis[16], port[2], hash[CRYPTO_HASH_MAX];
	struct bytes parts[3] = { BYTES_OF(spis), ip_raw(&e->ip), BYTES_OF(port) };

	store_be64(spis, s->spi_i);
	store_be64(spis + 8, s->spi_r);
	store_be16(port, e->port);
	if (s->crypto.ops->hash(s->crypto.ctx, CRYPTO_SHA1, parts, 3, hash) != ST_OK)
		harness_fail("script: hash");
	wire_put_notify(&s->out, 0, bytes_of(NULL, 0), type,
			bytes_of(hash, crypto_hash_len(CRYPTO_SHA1)));
}

static void put_init(struct script *s)
{
	uint8_t *nonce = s->initiator ? s->nonce_i : s->nonce_r;

	script_put_sa(s, s->ike, 0);
	wire_put_ke(&s->out, group(s), bytes_of(s->pub, s->n_pub));
	wire_put_nonce(&s->out, bytes_of(nonce, s->initiator ? s->n_nonce_i : s->n_nonce_r));
	if (s->use_ppk)
		wire_put_notify(&s->out, WIRE_PROTO_NONE, bytes_of(NULL, 0), WIRE_N_USE_PPK,
				bytes_of(NULL, 0));
	if (s->fragmentation)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_IKEV2_FRAGMENTATION_SUPPORTED,
				bytes_of(NULL, 0));
	if (s->redirects)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_REDIRECT_SUPPORTED,
				bytes_of(NULL, 0));
	if (s->redirected_from.p)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_REDIRECTED_FROM,
				s->redirected_from);
	if (s->proof.p)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_SHORTCUT_PROOF, s->proof);
	if (s->vendor.p)
		wire_put_vendor(&s->out, s->vendor);
	if (!s->nat_detection)
		return;
	put_nat_hash(s, WIRE_N_NAT_DETECTION_SOURCE_IP, &s->self);
	put_nat_hash(s, WIRE_N_NAT_DETECTION_DESTINATION_IP, &s->other);
}

void script_sa_init(struct script *s)
{
	if (!s->n_pub)
		script_prepare(s);
	script_begin_clear(s, WIRE_IKE_SA_INIT, false, 0);
	if (s->cookie.n)
		wire_put_notify(&s->out, 0, bytes_of(NULL, 0), WIRE_N_COOKIE, s->cookie);
	if (s->solution.n)
		wire_put_solution(&s->out, s->solution);
	put_init(s);
	s->next_send = 1;
	script_send(s);
}

void script_answer_init(struct script *s)
{
	s->spi_i = s->msg.hdr.spi_i;
	s->other = s->packet->src;
	s->init_i = keep(s, s->msg.raw);
	memcpy(s->nonce_i, s->in.nonce.p, s->in.nonce.n);
	s->n_nonce_i = s->in.nonce.n;
	if (!s->n_pub)
		script_prepare(s);
	script_begin_clear(s, WIRE_IKE_SA_INIT, true, 0);
	put_init(s);
	script_send(s);
	derive(s, s->in.ke.data);
}

/* ---- conversations ------------------------------------------------------------------------- */

bool script_exchange(struct script *s)
{
	struct packet *p;

	while ((p = world_packet_to(s->w, s->node)) != NULL)
		world_deliver(s->w, p);
	return script_take(s);
}

void script_answer_auth(struct script *s)
{
	script_begin(s, WIRE_IKE_AUTH, true);
	script_put_auth_request(s);
	script_send(s);
}

void script_connect(struct script *s)
{
	script_sa_init(s);
	if (!script_exchange(s) || !s->keyed)
		harness_fail("script: IKE_SA_INIT is not answered");
	script_begin(s, WIRE_IKE_AUTH, false);
	script_put_auth_request(s);
	script_send(s);
	if (!script_exchange(s) || !s->opened || !s->in.auth.data.n || !s->in.sa.n)
		harness_fail("script: IKE_AUTH is refused");
}
