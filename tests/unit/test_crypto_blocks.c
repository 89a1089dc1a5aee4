/* Address blocks of a verified certificate (RFC 3779): what a path gives out, and what is refused
 * (R05: nobody announces what no authority gave him). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pki/pki.h"
#include "unit/test_crypto_world.h"

/* A path root -> middle -> leaf with these extensions; NULL: none. */
struct path {
	const char *root, *middle, *leaf;
	IPAddrBlocks *raw; /* the leaf's instead */
};

static struct crypto_result verify_path(const struct path *p)
{
	X509 *root = pki_cert(&(struct pki_spec){
		.name = "R", .basic = "critical,CA:TRUE", .blocks = p->root, .key = w.root_key });
	X509 *middle = pki_cert(&(struct pki_spec){ .name = "M",
						    .basic = "critical,CA:TRUE",
						    .blocks = p->middle,
						    .key = w.inter_key,
						    .issuer = root,
						    .issuer_key = w.root_key });
	X509 *leaf = pki_cert(&(struct pki_spec){ .name = "L",
						  .san = "DNS:site-b.example",
						  .blocks = p->leaf,
						  .raw_blocks = p->raw,
						  .key = w.leaf_key,
						  .issuer = middle,
						  .issuer_key = w.inter_key });
	struct crypto_result r =
		verify_certs(add_trust(root), w.leaf_key, (X509 *[]){ leaf, middle }, 2);

	X509_free(root);
	X509_free(middle);
	X509_free(leaf);
	return r;
}

static const char *blocks_text(const struct crypto_cert_facts *f)
{
	static char buf[400];
	struct text t = TEXT_OF(buf);
	struct pki_blocks b = { .n = f->n_blocks };

	memcpy(b.range, f->blocks, sizeof(b.range));
	pki_blocks_text(&t, &b);
	return buf;
}

#define V4 "IPv4:10.0.0.0/8"
#define V46 V4 ",IPv6:fd00::/16"

static void accepted(void **state)
{
	static const struct {
		struct path path;
		const char *blocks; /* NULL: none at all */
	} rows[] = {
		{ { NULL, NULL, NULL, NULL }, NULL },
		/* A CA with blocks makes certificates without: they say nothing about addresses. */
		{ { V4, V4, NULL, NULL }, NULL },
		{ { V4, NULL, NULL, NULL }, NULL },
		{ { V4, V4, V4, NULL }, "10.0.0.0/8" },
		{ { V4, V4, "IPv4:10.2.0.0/16", NULL }, "10.2.0.0/16" },
		{ { V46, V46, "IPv4:10.2.0.0/16,IPv6:fd00:2::/32", NULL },
		  "10.2.0.0/16, fd00:2::/32" },
		{ { V46, V46, "IPv6:fd00:2::/32", NULL }, "fd00:2::/32" },
		{ { V4, V4, "IPv4:10.1.0.1-10.1.0.9,IPv4:10.1.0.128/25", NULL },
		  "10.1.0.1-10.1.0.9, 10.1.0.128/25" },
		/* Neighbours become one: canonical form. */
		{ { V4, V4, "IPv4:10.3.0.0/16,IPv4:10.2.0.0/16", NULL }, "10.2.0.0/15" },
		{ { "IPv4:0.0.0.0/0", "IPv4:0.0.0.0/0", "IPv4:0.0.0.0/0", NULL }, "0.0.0.0/0" },
		{ { V4, V4, "IPv4:10.255.255.255/32", NULL }, "10.255.255.255/32" },
		/* Inherited, wherever along the path. */
		{ { V4, V4, "IPv4:inherit", NULL }, "10.0.0.0/8" },
		{ { V4, "IPv4:inherit", "IPv4:10.2.0.0/16", NULL }, "10.2.0.0/16" },
		{ { V46, "IPv4:inherit,IPv6:fd00:7::/32", "IPv4:inherit,IPv6:inherit", NULL },
		  "10.0.0.0/8, fd00:7::/32" },
		{ { V46, V46, "IPv4:10.2.0.0/16,IPv6:inherit", NULL }, "10.2.0.0/16, fd00::/16" },
		/* The second family is not inherited just because the first is. */
		{ { V46, V46, "IPv4:inherit", NULL }, "10.0.0.0/8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result r = verify_path(&rows[i].path);

		if (r.status != ST_OK)
			fail_msg("row %zu: %s", i, r.reason);
		assert_int_equal(r.cert.has_blocks, rows[i].blocks != NULL);
		if (rows[i].blocks)
			assert_string_equal(blocks_text(&r.cert), rows[i].blocks);
		else
			assert_int_equal(r.cert.n_blocks, 0);
	}
}

static void refused(void **state)
{
	static const struct {
		struct path path;
		const char *reason;
	} rows[] = {
		/* Outside, across the edge, wider. */
		{ { V4, V4, "IPv4:192.0.2.0/24", NULL },
		  "address blocks of certificate \"O=warren, CN=L\" (192.0.2.0/24) are not all in "
		  "those of certificate \"O=warren, CN=M\" (10.0.0.0/8)" },
		{ { V4, V4, "IPv4:10.0.0.0/7", NULL }, "are not all in those of" },
		{ { V4, V4, "IPv4:9.255.255.255-10.0.0.1", NULL }, "are not all in those of" },
		{ { V4, V4, "IPv4:10.2.0.0/16,IPv4:11.0.0.0/16", NULL },
		  "(10.2.0.0/16, 11.0.0.0/16) are not all" },
		{ { V4, V4, "IPv6:fd00::/32", NULL }, "(fd00::/32) are not all" },
		/* The middle has less than the anchor, or more. */
		{ { V4, "IPv4:10.1.0.0/16", "IPv4:10.2.0.0/16", NULL },
		  "\"O=warren, CN=M\" (10.1.0.0/16)" },
		{ { "IPv4:10.1.0.0/16", V4, "IPv4:10.1.0.0/16", NULL },
		  "\"O=warren, CN=R\" (10.1.0.0/16)" },
		/* A CA without the extension has none to give out (DESIGN 1.9). */
		{ { NULL, NULL, V4, NULL }, "address blocks of certificate \"O=warren, CN=L\"" },
		{ { V4, NULL, V4, NULL }, "address blocks of certificate \"O=warren, CN=L\"" },
		/* What libcrypto lets pass. */
		{ { NULL, NULL, "IPv4:inherit", NULL },
		  "certificate \"O=warren, CN=L\": address blocks are inherited from an issuer "
		  "that has none" },
		{ { V4, NULL, "IPv4:inherit", NULL }, "from an issuer that has none" },
		{ { V4, V4, "IPv6:inherit", NULL }, "from an issuer that has none" },
		{ { V4, "IPv4:inherit", "IPv6:inherit", NULL }, "from an issuer that has none" },
		{ { "IPv4:inherit", "IPv4:inherit", "IPv4:inherit", NULL }, "certificate" },
		{ { "IPv4-SAFI:1:10.0.0.0/8", "IPv4-SAFI:1:10.0.0.0/8", "IPv4-SAFI:1:10.2.0.0/16",
		    NULL },
		  "certificate \"O=warren, CN=L\": address blocks that are limited to a SAFI" },
		{ { "IPv4-SAFI:1:10.0.0.0/8", "IPv4-SAFI:1:inherit", "IPv4-SAFI:1:inherit", NULL },
		  "limited to a SAFI" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct crypto_result r = verify_path(&rows[i].path);

		if (r.status != ST_REFUSE)
			print_error("row %zu\n", i);
		assert_refused(&r, rows[i].reason);
	}
}

/* Two authorities between anchor and end entity: every level lies in the one above (RFC 3779
 * section 2.3), and what is inherited comes from the next that says it. */
static void longer_paths(void **state)
{
	static const struct {
		const char *root, *upper, *lower, *leaf;
		const char *blocks; /* NULL: refused */
		const char *reason;
	} rows[] = {
		{ V46, V4, "IPv4:10.2.0.0/15", "IPv4:10.3.0.0/16", "10.3.0.0/16", NULL },
		{ V46, "IPv4:inherit,IPv6:inherit", "IPv4:inherit", "IPv4:inherit", "10.0.0.0/8",
		  NULL },
		{ V46, "IPv4:10.2.0.0/16", "IPv4:inherit", "IPv4:inherit", "10.2.0.0/16", NULL },
		{ V4, "IPv4:inherit", "IPv4:10.2.0.0/16", "IPv4:inherit", "10.2.0.0/16", NULL },
		/* Wider than what is above it, though inside the anchor's. */
		{ V4, "IPv4:10.2.0.0/16", V4, "IPv4:10.2.0.0/16", NULL,
		  "\"O=warren, CN=Lower\" (10.0.0.0/8) are not all in those of certificate "
		  "\"O=warren, CN=Upper\" (10.2.0.0/16)" },
		{ V4, "IPv4:10.2.0.0/16", "IPv4:inherit", "IPv4:10.3.0.0/16", NULL,
		  "\"O=warren, CN=L\" (10.3.0.0/16) are not all" },
		/* A family lost on the way does not come back. */
		{ V46, V46, V4, "IPv6:fd00::/32", NULL, "\"O=warren, CN=L\" (fd00::/32)" },
		{ V46, V4, "IPv6:fd00::/32", "IPv6:fd00::/32", NULL, "\"O=warren, CN=Lower\"" },
		/* Nor what a level between does not say at all. */
		{ V4, V4, NULL, "IPv4:10.2.0.0/16", NULL, "\"O=warren, CN=L\"" },
		{ V4, NULL, V4, "IPv4:10.2.0.0/16", NULL, "\"O=warren, CN=Lower\"" },
		{ NULL, V4, V4, "IPv4:10.2.0.0/16", NULL, "\"O=warren, CN=Upper\"" },
		{ V4, NULL, "IPv4:inherit", "IPv4:inherit", NULL, "from an issuer that has none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *names[] = { "R", "Upper", "Lower", "L" };
		const char *blocks[] = { rows[i].root, rows[i].upper, rows[i].lower, rows[i].leaf };
		EVP_PKEY *keys[] = { w.root_key, w.inter_key, w.other_key, w.leaf_key };
		X509 *path[4];
		struct crypto_result r;

		for (size_t k = 0; k < 4; k++)
			path[k] = pki_cert(
				&(struct pki_spec){ .name = names[k],
						    .san = k == 3 ? "DNS:site-b.example" : NULL,
						    .basic = k == 3 ? NULL : "critical,CA:TRUE",
						    .blocks = blocks[k],
						    .key = keys[k],
						    .issuer = k ? path[k - 1] : NULL,
						    .issuer_key = k ? keys[k - 1] : NULL });
		r = verify_certs(add_trust(path[0]), w.leaf_key,
				 (X509 *[]){ path[3], path[2], path[1] }, 3);
		if (rows[i].blocks ? r.status != ST_OK : !strstr(r.reason, rows[i].reason))
			print_error("row %zu: %s\n", i, r.reason);
		if (rows[i].blocks) {
			assert_accepted(&r);
			assert_string_equal(blocks_text(&r.cert), rows[i].blocks);
		} else {
			assert_refused(&r, rows[i].reason);
		}
		for (size_t k = 0; k < 4; k++)
			X509_free(path[k]);
	}
}

/* As many as fit, and one more. */
static void many(void **state)
{
	(void)state;
	for (unsigned n = CRYPTO_BLOCKS_MAX; n <= CRYPTO_BLOCKS_MAX + 1; n++) {
		char list[2048];
		struct text t = TEXT_OF(list);
		struct path p = { V4, V4, list, NULL };
		struct crypto_result r;

		for (unsigned i = 0; i < n; i++)
			text_fmt(&t, "%sIPv4:10.%u.0.0/24", i ? "," : "", i);
		r = verify_path(&p);
		if (n > CRYPTO_BLOCKS_MAX) {
			assert_refused(&r, "more than 64 address blocks");
			continue;
		}
		assert_accepted(&r);
		assert_int_equal(r.cert.n_blocks, n);
		assert_int_equal(r.cert.blocks[63].last.b[1], 63);
	}
}

/* Not sorted, not merged, or of a family that is not IP. */
static void not_canonical(void **state)
{
	static const uint8_t a[4] = { 10, 3 }, b[4] = { 10, 2 }, end_a[4] = { 10, 3, 0, 9 },
			     end_b[4] = { 10, 2, 0, 9 };
	IPAddrBlocks *raw = sk_IPAddressFamily_new_null();
	struct path p = { V4, V4, NULL, raw };
	struct crypto_result r;

	(void)state;
	assert_int_equal(X509v3_addr_add_range(raw, IANA_AFI_IPV4, NULL, (uint8_t *)(uintptr_t)a,
					       (uint8_t *)(uintptr_t)end_a),
			 1);
	assert_int_equal(X509v3_addr_add_range(raw, IANA_AFI_IPV4, NULL, (uint8_t *)(uintptr_t)b,
					       (uint8_t *)(uintptr_t)end_b),
			 1);
	r = verify_path(&p);
	assert_refused(&r, "certificate \"O=warren, CN=L\"");
	sk_IPAddressFamily_pop_free(raw, IPAddressFamily_free);
	raw = sk_IPAddressFamily_new_null();
	assert_int_equal(X509v3_addr_add_inherit(raw, 25, NULL), 1);
	p = (struct path){ V4, V4, NULL, raw };
	r = verify_path(&p);
	assert_refused(&r,
		       "certificate \"O=warren, CN=L\": address blocks of the unknown family 25");
	sk_IPAddressFamily_pop_free(raw, IPAddressFamily_free);
}

/* Somebody's own certificate as the anchor: who trusts it trusts what it says. */
static void pinned(void **state)
{
	X509 *leaf = pki_cert(&(struct pki_spec){ .name = "pinned",
						  .san = "DNS:site-b.example",
						  .blocks = "IPv4:10.2.0.0/16",
						  .key = w.leaf_key });
	struct crypto_result r = verify_certs(add_trust(leaf), w.leaf_key, &leaf, 1);

	(void)state;
	assert_accepted(&r);
	assert_true(r.cert.has_blocks);
	assert_string_equal(blocks_text(&r.cert), "10.2.0.0/16");
	X509_free(leaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),      cmocka_unit_test(refused),
		cmocka_unit_test(longer_paths),  cmocka_unit_test(many),
		cmocka_unit_test(not_canonical), cmocka_unit_test(pinned),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
