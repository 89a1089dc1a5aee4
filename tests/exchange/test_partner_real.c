/* Partners with libcrypto in place of the fake provider: keys, certificates with address blocks,
 * signatures and the key in common are those of the real world (T3, U2, S1, R05,
 * docs/protocol/shortcut.md section 8). */
#include "exchange/exchange.h"

#include "exchange/partner.h"
#include "exchange/real.h"

static const struct real *real;
static struct ca ca, foreign;

/* Of one of the two, or of both. */
enum { OF_B = 1, OF_C = 2 };

/* What is not as it should be; 0, NULL: nothing. */
struct fault {
	unsigned who; /* whose certificate */
	const char *san;
	const char *blocks;
	bool foreign; /* an authority that nobody trusts */
	bool expired;
	bool ppk, proof; /* what the hub told c */
	unsigned by; /* who refuses, */
	enum ike_reason why;
};

static const struct fault *fault;

static void certified_hub(struct star *s)
{
	EVP_PKEY *key = pki_ec("P-256");

	s->provider = &real->provider;
	certify_key(real, s->ch, s->ph, &ca, &ca, key, "DNS:hub.example", "IPv4:10.0.0.0/8", 0);
	EVP_PKEY_free(key);
}

static void certified_site(struct star_site *site)
{
	bool it = fault->who & (1u << (site->number - 1));
	bool bad_ca = it && fault->foreign, late = it && fault->expired;
	EVP_PKEY *key = pki_ec(site->number == 1 ? "P-256" : "P-384");
	char san[40], blocks[40];

	snprintf(san, sizeof(san), "DNS:site-%u.example", site->number);
	snprintf(blocks, sizeof(blocks), "IPv4:10.%u.0.0/16", site->number);
	certify_key(real, site->c, site->p, bad_ca ? &foreign : &ca, &ca, key,
		    it && fault->san ? fault->san : san,
		    it && fault->blocks ? fault->blocks : blocks, late ? BEGIN - 60 : 0);
	EVP_PKEY_free(key);
}

static void begin(struct duo *d, const struct fault *f)
{
	fault = f;
	duo_begin_as(d, 900, certified_hub, certified_site);
	d->say_c.ppk[7] ^= f->ppk;
	d->say_c.proof_key[7] ^= f->proof;
	duo_add(d);
	duo_call(d);
}

/* Up, and it carries; new keys for both; and down. */
static void from_beginning_to_end(void **state)
{
	static const struct fault none = { 0 };
	struct duo d;

	(void)state;
	begin(&d, &none);
	world_run(d.w);
	assert_true(duo_carries(&d));
	assert_true(duo_direct(&d));
	assert_true(duo_sas(d.b, d.at_b).last.ppk && duo_sas(d.c, d.at_c).last.ppk);
	assert_string_equal(duo_sas(d.b, d.at_b).last.auth_remote, "ecdsa-p384-sha384");
	assert_string_equal(duo_sas(d.c, d.at_c).last.auth_remote, "ecdsa-p256-sha256");
	assert_int_equal(node_command(d.c, IKE_CMD_REKEY_SA, d.at_c), ST_OK);
	assert_int_equal(node_command(d.b, IKE_CMD_REKEY_CHILD, d.at_b), ST_OK);
	world_live(d.w, dur_s(10));
	assert_true(duo_direct(&d));
	assert_int_equal(node_counter(d.b, "ike.sa.rekeyed"), 1);
	assert_int_equal(node_counter(d.b, "ike.child.rekeyed"), 1);
	assert_int_equal(node_command(d.b, IKE_CMD_DOWN, d.at_b), ST_OK);
	world_run(d.w);
	duo_over(d.c, IKE_R_PEER_SAID);
	duo_is_over(&d);
	duo_done(&d);
}

static void refused(void **state)
{
	static const struct fault rows[] = {
		{ OF_B, .foreign = true, .by = OF_C, .why = IKE_R_CERTIFICATE },
		{ OF_C, .foreign = true, .by = OF_B, .why = IKE_R_CERTIFICATE },
		{ OF_B, .expired = true, .by = OF_C, .why = IKE_R_CLOCK },
		{ OF_C, .expired = true, .by = OF_B, .why = IKE_R_CLOCK },
		{ OF_B, .san = "DNS:site-3.example", .by = OF_C, .why = IKE_R_IDENTITY },
		{ OF_C, .san = "DNS:site-3.example", .by = OF_B, .why = IKE_R_IDENTITY },
		{ OF_B, .blocks = "IPv4:10.9.0.0/16", .by = OF_C, .why = IKE_R_AUTHORISATION },
		{ OF_C, .blocks = "IPv4:10.9.0.0/16", .by = OF_B, .why = IKE_R_AUTHORISATION },
		/* A hub's. */
		{ OF_B, .blocks = "IPv4:10.0.0.0/8", .by = OF_C, .why = IKE_R_AUTHORISATION },
		{ OF_C, .blocks = "IPv4:10.0.0.0/8", .by = OF_B, .why = IKE_R_AUTHORISATION },
		{ .ppk = true, .by = OF_C, .why = IKE_R_KEY },
		/* c does not say a word. */
		{ .proof = true, .by = OF_B, .why = IKE_R_NO_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct duo d;

		begin(&d, &rows[i]);
		duo_live(&d, 20000, 0);
		duo_over(rows[i].by == OF_B ? d.b : d.c, rows[i].why);
		assert_int_equal(node_events(d.b, IKE_EV_PARTNER_OVER), 1);
		assert_int_equal(node_events(d.c, IKE_EV_PARTNER_OVER), !rows[i].proof);
		assert_int_equal(node_events(d.b, IKE_EV_CARRIES), 0);
		assert_int_equal(node_events(d.c, IKE_EV_CARRIES), 0);
		assert_null(duo_child(d.b, d.at_b));
		assert_null(duo_child(d.c, d.at_c));
		duo_done(&d);
	}
}

static int setup(void **state)
{
	if (setup_real(state))
		return -1;
	real = *state;
	ca = make_ca(real, "ca");
	foreign = make_ca(real, "foreign");
	return 0;
}

static int teardown(void **state)
{
	free_ca(&ca);
	free_ca(&foreign);
	return teardown_real(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_beginning_to_end),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
