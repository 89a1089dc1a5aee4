/* The configuration reader: every error with its position, none with a secret. */
#include "unit/conf_util.h"

/* ---- errors: where and what ---- */

/* Bytes, tokens and grammar. */
static void syntax_errors(void **state)
{
	static const struct row row[] = {
		{ "", { { 1, 1, "no peer in the file" } } },
		{ "# only a comment", { { 1, 1, "no peer in the file" } } },
		{ "\x01" PEER, { { 1, 1, "bad byte 0x01, accepted: text in UTF-8" } } },
		{ "# \x7f in a comment\n" PEER, { { 1, 3, "bad byte 0x7f" } } },
		{ "# \xc3( \n" PEER, { { 1, 3, "bad byte 0xc3" } } },
		{ "# \xe0\x80\x80\n" PEER,
		  { { 1, 3, "0xe0" }, { 1, 4, "0x80" }, { 1, 5, "0x80" } } },
		{ "# \xed\xa0\x80\n" PEER,
		  { { 1, 3, "0xed" }, { 1, 4, "0xa0" }, { 1, 5, "0x80" } } },
		{ "# \xf4\x90\x80\x80\n" PEER,
		  { { 1, 3, "0xf4" }, { 1, 4, "0x90" }, { 1, 5, "0x80" }, { 1, 6, "0x80" } } },
		{ "# \xf0\x9f\x98\n" PEER,
		  { { 1, 3, "0xf0" }, { 1, 4, "0x9f" }, { 1, 5, "0x98" } } },
		{ "interface = \"a\x02\"\n" PEER, { { 1, 15, "bad byte 0x02" } } },
		{ "interface\r= \"a\"\n" PEER, { { 1, 10, "bad byte 0x0d" } } },
		{ "\xc3\xa4 = 1\n" PEER, /* columns are characters */
		  { { 1, 1, "not ASCII outside a string" },
		    { 1, 3, "\"=\" where a key or a section was expected" } } },
		{ "# \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\ncolour = \"\xc3\xa4\" x\n" PEER,
		  { { 2, 1, "unknown key" }, { 2, 14, "a word after the value" } } },
		{ "interface = \"abc\n" PEER, { { 1, 13, "does not close" } } },
		{ "interface = \"abc\\\n" PEER,
		  { { 1, 13, "does not close" }, { 1, 17, "unknown escape" } } },
		{ "interface = \"a\\qc\"\n" PEER,
		  { { 1, 15, "unknown escape in a string, accepted: \\\" \\\\ \\n \\t" } } },
		{ "interface = \"${HOME}\"\n" PEER "interface = \"x\"",
		  { { 3, 1, "interface is given a second time, the first is in line 1" } } },
		{ "port\n" PEER, { { 1, 1, "expected \"=\" after the key" } } },
		{ "port 500\n" PEER, { { 1, 1, "expected \"=\" after the key" } } },
		{ "port \"500\"\n" PEER, { { 1, 1, "port is a key, expected \"=\" after it" } } },
		{ "port {\n x = { }\n}\n" PEER,
		  { { 1, 1, "port is a key, expected \"=\" after it" } } },
		{ "port =\n" PEER, { { 1, 7, "the end of the line where the value of port" } } },
		{ "port = ;" PEER, { { 1, 8, "\";\" where the value of port" } } },
		{ "port = = 3\n" PEER, { { 1, 8, "\"=\" where the value of port" } } },
		{ "port = 3 4\n" PEER, { { 1, 10, "\"4\" after the value of port" } } },
		{ "port = 3 }\n" PEER, { { 1, 10, "a \"}\" that closes nothing" } } },
		{ "= 3\n" PEER, { { 1, 1, "\"=\" where a key or a section was expected" } } },
		{ "\"x\" = 3\n" PEER,
		  { { 1, 1, "a string where a key or a section was expected" } } },
		{ ", , ,\n" PEER, { { 1, 1, "\",\" where a key or a section was expected" } } },
		{ "{ }\n" PEER,
		  { { 1, 1, "\"{\" where a key or a section" }, { 1, 3, "closes nothing" } } },
		{ "}\n" PEER, { { 1, 1, "a \"}\" that closes nothing" } } },
		{ "listen = { \"::\"", { { 1, 16, "the file ends inside the list of line 1" } } },
		{ "listen = {\n\n\"::\",\n",
		  { { 4, 1, "the file ends inside the list of line 1" } } },
		{ "listen = { \"::\" \"0.0.0.0\" }\n" PEER,
		  { { 1, 17, "a string in the list of line 1, expected \",\" or \"}\"" },
		    { 1, 27, "closes nothing" } } },
		{ "listen = { , }\n" PEER,
		  { { 1, 12, "\",\" in the list of line 1, expected an element" },
		    { 1, 14, "closes nothing" } } },
		{ "listen = { \"::\"\nport = 500\n" PEER,
		  { { 2, 1, "a word in the list of line 1, expected \",\" or \"}\"" } } },
		{ "listen = { { \"::\" } }\n" PEER,
		  { { 1, 12, "\"{\" in the list of line 1" }, { 1, 21, "closes nothing" } } },
		{ "group \"x\" {\n a = { \"}\" }\n peer \"y\" { }\n}\n" PEER,
		  { { 1, 1,
		      "unknown section \"group\", known: peer \"name\" { ... }, network "
		      "\"name\"" } } },
		{ "group \"x\" { { {\n",
		  { { 1, 1, "unknown section" },
		    { 2, 1, "the file ends inside the section of line 1" } } },
		{ "group { }\n" PEER, { { 1, 1, "unknown section \"group\"" } } },
		{ PEER "peer \"c\" x {\n}", { { 2, 10, "a word where the \"{\" of a peer" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* The top level's keys. */
static void top_level_errors(void **state)
{
	static const struct row row[] = {
		{ "colour = \"blue\"\n" PEER,
		  { { 1, 1,
		      "unknown key \"colour\", known here: local_id, certificate, key, "
		      "trust, identity, crl, state, user, control, interface, mtu, listen, port, "
		      "nat_port, log, keylog, "
		      "retransmit_timeout, retransmit_tries, half_open_cookie, "
		      "half_open_puzzle, half_open_max, half_open_prefix, init_rate_cookie, "
		      "puzzle_max, puzzle_solve, and sections" } } },
		{ "remote_id = \"x\"\n" PEER, { { 1, 1, "unknown key \"remote_id\"" } } },
		{ "port = 1\nport = 2\nport = 3\n" PEER,
		  { { 2, 1, "port is given a second time, the first is in line 1" },
		    { 3, 1, "port is given a second time, the first is in line 1" } } },
		{ "local_id = a.example\n" PEER,
		  { { 1, 12,
		      "local_id wants a string in double quotes, accepted: an identity" } } },
		{ "local_id = { \"a.example\" }\n" PEER,
		  { { 1, 12, "local_id takes one value, not a list" } } },
		{ "local_id = \"*.example\"\n" PEER, { { 1, 12, "local_id: " } } },
		{ "local_id = \"@#0\"\n" PEER, { { 1, 12, "local_id: " } } },
		{ "certificate = \"cert.pem\"\nkey = \"/k\"\n" PEER,
		  { { 1, 15,
		      "certificate \"cert.pem\" is no absolute path, accepted: an "
		      "absolute path" } } },
		{ "trust = { \"/a\", \"b\", \"/a\", \"\" }\n" PEER,
		  { { 1, 17, "trust \"b\" is none, accepted: one or more absolute paths" },
		    { 1, 22, "trust \"/a\" stands twice in the list" },
		    { 1, 28, "trust \"\" is none" } } },
		{ "trust = { }\n" PEER, { { 1, 9, "trust is an empty list, accepted: " } } },
		{ "control = \"/1234567890123456789012345678901234567890123456789012345678901234"
		  "5678901234567890123456789012345678901234567\"\n" PEER,
		  { { 1, 11, "is too long" } } },
		{ "interface = \"1234567890123456\"\n" PEER,
		  { { 1, 13, "is no name of a device" } } },
		{ "interface = \"\"\n" PEER,
		  { { 1, 13, "interface \"\" is no name of a device" } } },
		{ "interface = \"a/b\"\n" PEER, { { 1, 13, "is no name of a device" } } },
		{ "interface = \"a b\"\n" PEER, { { 1, 13, "is no name of a device" } } },
		{ "interface = \"w%d\"\n" PEER, { { 1, 13, "is no name of a device" } } },
		{ "interface = \"..\"\n" PEER, { { 1, 13, "is no name of a device" } } },
		{ "mtu = \"big\"\n" PEER,
		  { { 1, 7,
		      "mtu wants a word without quotes, accepted: a number from 576 to 65535" } } },
		{ "mtu = 575\n" PEER,
		  { { 1, 7, "mtu \"575\" is out of range, accepted: a number" } } },
		{ "mtu = 65536\n" PEER, { { 1, 7, "out of range" } } },
		{ "mtu = 1400x\n" PEER, { { 1, 7, "mtu \"1400x\" is no number" } } },
		{ "mtu = -1\n" PEER, { { 1, 7, "mtu \"-1\" is no number" } } },
		{ "mtu = 99999999999999999999\n" PEER, { { 1, 7, "is no number" } } },
		{ "listen = \"localhost\"\n" PEER,
		  { { 1, 10,
		      "listen \"localhost\" is none, accepted: one or more IP addresses" } } },
		{ "listen = { \"10.0.0.1\", 10.0.0.2 }\n" PEER,
		  { { 1, 24, "listen wants a string in double quotes" } } },
		{ "listen = { \"10.0.0.0/8\", \"10.0.0.1\" }\n" PEER, { { 1, 12, "is none" } } },
		{ "port = 0\n" PEER, { { 1, 8, "from 1 to 65535" } } },
		{ "port = 4500\n" PEER, { { 1, 8, "port and nat_port are both 4500" } } },
		{ "nat_port = 500\n" PEER, { { 1, 12, "port and nat_port are both 500" } } },
		{ "log = chatty\n" PEER,
		  { { 1, 7,
		      "log \"chatty\" is unknown, accepted: error, warning, info or debug" } } },
		{ "log = \"info\"\n" PEER, { { 1, 7, "log wants a word without quotes" } } },
		{ "log = Info\n" PEER, { { 1, 7, "log \"Info\" is unknown" } } },
		{ "retransmit_timeout = 2\n" PEER,
		  { { 1, 22,
		      "retransmit_timeout \"2\" lacks a unit, accepted: a duration from "
		      "100ms to 1m (units ms, s, m, h)" } } },
		{ "retransmit_timeout = 2d\n" PEER, { { 1, 22, "\"2d\" has an unknown unit" } } },
		{ "retransmit_timeout = s\n" PEER, { { 1, 22, "\"s\" is no duration" } } },
		{ "retransmit_timeout = 99ms\n" PEER, { { 1, 22, "out of range" } } },
		{ "retransmit_timeout = 0s\n" PEER, { { 1, 22, "out of range" } } },
		{ "retransmit_timeout = 61s\n" PEER, { { 1, 22, "out of range" } } },
		{ "retransmit_timeout = 9223372036854775807h\n" PEER,
		  { { 1, 22, "out of range" } } },
		{ "retransmit_timeout = 2 parsecs\n" PEER,
		  { { 1, 22, "lacks a unit" }, { 1, 24, "\"parsecs\" after the value of" } } },
		{ "retransmit_tries = 21\n" PEER, { { 1, 20, "from 1 to 20" } } },
		{ "half_open_cookie = 1000001\n" PEER, { { 1, 20, "from 0 to 1000000" } } },
		{ "certificate = \"/c\"\n" PEER, { { 1, 15, "certificate without its key" } } },
		{ "key = \"/k\"\n" PEER, { { 1, 7, "key without its certificate" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

static void peer_errors(void **state)
{
	static const struct row row[] = {
		{ "peer \"b\" {\n}\n",
		  { { 1, 6, "peer \"b\" lacks remote_id" },
		    { 1, 6, "peer \"b\" has no way to authenticate, accepted: psk, psk_file, or" },
		    { 1, 6, "peer \"b\" lacks local_id" },
		    { 1, 6, "peer \"b\" lacks local_ts" },
		    { 1, 6, "peer \"b\" lacks remote_ts" } } },
		{ "peer {\n" TS "\nlocal_id = \"a\"\nremote_id = \"b\"\npsk = \"x\"\n}\n",
		  { { 1, 1, "a peer lacks its name, expected peer \"name\" { ... }" } } },
		{ "local_id = \"a\"\npeer \"\" {\n" TS "\nremote_id = \"b\"\npsk = \"x\"\n}\n",
		  { { 2, 6, "a peer's name has 1 to 63 bytes" } } },
		{ "local_id = \"a\"\npeer \"x\\ny\" {\n" TS "\nremote_id = \"b\"\npsk = \"x\"\n}\n",
		  { { 2, 6, "no control characters" } } },
		{ PEER "\n"
		       "peer \"b\" { local_id = \"a\" ; remote_id = \"c\" ; psk = \"x\"\n" TS "}\n",
		  { { 3, 6, "peer \"b\" is defined a second time, the first is in line 1" } } },
		{ PEER "peer \"c\" { local_id = \"A.example\"\nremote_id = \"B.EXAMPLE\" ; psk = "
		       "\"x\"\n" TS "}\n",
		  { { 3, 13,
		      "peer \"c\" has the local_id and remote_id of peer \"b\" (line 1)" } } },
		{ WITH("peer \"c\" {\nremote_id = \"c.example\" ; psk = \"k\""),
		  { { 2, 6, "lacks local_ts" },
		    { 2, 6, "lacks remote_ts" },
		    { 3, 1,
		      "a peer inside peer \"b\" of line 2: a \"}\" is missing before it" } } },
		{ WITH("") "peer \"c\" {\n" TS "\nremote_id = \"x\"\npsk = \"y\"\n",
		  { { 9, 1,
		      "the file ends inside peer \"c\" of line 5, whose \"}\" is missing" } } },
		{ WITH("interface = \"w\""),
		  { { 3, 1,
		      "unknown key \"interface\", known here: address, port, local_id, "
		      "remote_id, psk, psk_file, certificate, key, trust, crl, local_ts, "
		      "remote_ts, proposals, esp_proposals, start, dpd_delay, keepalive, "
		      "silence, qcd, fragmentation, mobike, return_routability, nat, pool, "
		      "lease_keep, leases_max, dns, "
		      "dns_domains, virtual_ip, redirect, redirect_to, "
		      "redirect_above, redirect_wait, mtu_probes, "
		      "ike_rekey, "
		      "ike_lifetime, reauth, rekey, lifetime, rekey_bytes, lifetime_bytes, "
		      "rekey_packets, lifetime_packets, expired, childless, ppk_id, ppk, ppk_file, "
		      "ppk_required" } } },
		{ WITH("address = \"gw_1.example.net.\"\naddress = \"x\""),
		  { { 4, 1, "address is given a second time, the first is in line 3" } } },
		{ WITH("address = { \"gw1\", \"-gw\", \"a..b\", \"192.0.2.300\", \"%any\", \"\" }"),
		  { { 3, 20,
		      "address \"-gw\" is none, accepted: one or more IP addresses or host" },
		    { 3, 27, "address \"a..b\" is none" },
		    { 3, 35, "address \"192.0.2.300\" is none" },
		    { 3, 50, "address \"%any\" is none" },
		    { 3, 58, "address \"\" is none" } } },
		{ WITH("address = \"0.0.0.0\""),
		  { { 3, 11, "address \"0.0.0.0\" is nobody's, accepted for any: no address" } } },
		{ "listen = \"0.0.0.0\"\n" WITH("address = { \"192.0.2.1\", \"2001:db8::1\" }"),
		  { { 4, 26,
		      "address \"2001:db8::1\" cannot be reached: listen (line 1) has no "
		      "IPv6 address" } } },
		{ WITH("start = sometimes"),
		  { { 3, 9, "start \"sometimes\" is unknown, accepted: traffic, up or listen" } } },
		{ WITH("start = up"), { { 3, 9, "wants an address to connect to" } } },
		{ WITH("start = traffic"), { { 3, 9, "wants an address to connect to" } } },
		{ WITH("dpd_delay = -3s"), { { 3, 13, "or 0s for never" } } },
		{ WITH("dpd_delay = 999ms"), { { 3, 13, "from 1s to 24h" } } },
		{ WITH("keepalive = 2h"), { { 3, 13, "from 1s to 1h" } } },
		{ WITH("rekey = 9s"), { { 3, 9, "a duration from 10s to 720h" } } },
		{ WITH("rekey = 1h ; lifetime = 1h"),
		  { { 3, 25, "lifetime is not above rekey (line 3), which is 1h" } } },
		{ WITH("ike_rekey = 90m ; ike_lifetime = 30m"),
		  { { 3, 34, "ike_lifetime is not above ike_rekey (line 3), which is 90m" } } },
		{ WITH("lifetime = 0s"), { { 3, 12, "a duration from 10s to 720h" } } },
		{ WITH("rekey_bytes = 2G\nlifetime_bytes = 2048M"),
		  { { 4, 18, "lifetime_bytes is not above rekey_bytes (line 3), which is 2G" } } },
		{ WITH("rekey_packets = 5000\nlifetime_packets = 4K"),
		  { { 4, 20, "is not above rekey_packets (line 3), which is 5000" } } },
		{ WITH("rekey_bytes = 1000K"),
		  { { 3, 15, "\"1000K\" is out of range, accepted: a number from 1M to" } } },
		{ WITH("rekey_bytes = 16777216T"), { { 3, 15, "is out of range" } } },
		{ WITH("rekey_bytes = 5MB"), { { 3, 15, "\"5MB\" is no number" } } },
		{ WITH("rekey_packets = many"), { { 3, 17, "\"many\" is no number" } } },
		{ WITH("expired = never"), { { 3, 11, "accepted: end or keep" } } },
		{ WITH("fragmentation = force"), { { 3, 17, "accepted: no or yes" } } },
		{ WITH("childless = prefer"), { { 3, 13, "accepted: allow, force or never" } } },
		{ WITH("ppk_id = \"x\""), { { 3, 10, "has ppk_id but no key" } } },
		{ WITH("ppk_id = \"\xc3\xa4\"\nppk = \"0123456789abcdef0123456789abcdef\""),
		  { { 3, 10, "not printable, accepted: 1 to 64 printable characters" } } },
		{ WITH("ppk = \"0123456789abcdef0123456789abcdef\""),
		  { { 3, 7, "lacks ppk_id" } } },
		{ WITH("ppk_file = \"/p\""), { { 3, 12, "lacks ppk_id" } } },
		{ WITH("ppk_id = \"x\"\nppk = \"0123456789abcdef0123456789abcde\""),
		  { { 4, 7, "key of 31 bytes is none: RFC 8784 section 6" } } },
		{ WITH("ppk_id = \"x\"\nppk_file = \"/p\"\n"
		       "ppk = \"0123456789abcdef0123456789abcdef\""),
		  { { 4, 12, "has ppk (line 5) and ppk_file, accepted: one of them" } } },
		{ WITH("ppk_required = yes"), { { 3, 16, "requires a post-quantum" } } },
		{ WITH("psk = \"again\""), { { 3, 1, "psk is given a second time" } } },
		{ WITH("psk_file = \"/p\""), { { 3, 12, "has psk (line 2) and psk_file" } } },
		{ WITH("certificate = \"/c\"\nkey = \"/k\"\ntrust = \"/t\""),
		  { { 3, 15, "peer \"b\" has a pre-shared key and certificate" },
		    { 4, 7, "peer \"b\" has a pre-shared key and key" },
		    { 5, 9, "peer \"b\" has a pre-shared key and trust" } } },
		{ BARE(TS), { { 2, 6, "has no way to authenticate" } } },
		{ BARE(TS "\ncertificate = \"/c\""),
		  { { 2, 6, "has a certificate but no trust" },
		    { 4, 15, "certificate without its key" } } },
		{ BARE(TS "\nkey = \"/k\" ; trust = \"/t\""),
		  { { 4, 7, "key without its certificate" } } },
		{ "key = \"/k\" ; certificate = \"/c\"\n" BARE(TS),
		  { { 3, 6, "has a certificate but no trust" } } },
		{ "key = \"/k\" ; certificate = \"/c\" ; trust = \"/t\"\n" BARE(
			  TS "\ncertificate = \"/d\""),
		  { { 5, 15, "certificate without its key" } } },
		{ BARE("psk = \"k\" ; local_ts = \"10.0.0.0/8\" ; remote_ts = \"2001:db8::/32\""),
		  { { 3, 51, "is IPv6, its local_ts is IPv4: nothing can pass" } } },
		{ BARE("psk = \"k\"\nlocal_ts = \"10.1.0.0/16\"\nremote_ts = { "
		       "\"10.2.0.1-10.2.0.4\", "
		       "\"fd00::2-fd00:0:0:1:7fff:fff:ffff:fffe\" }"),
		  { { 5, 36,
		      "fd00::2-fd00:0:0:1:7fff:fff:ffff:fffe takes more than 64 routes" } } },
		{ BARE("psk = \"k\"\nlocal_ts = { \"10.1.0.0/16\", \"10.1.0.0/33\", "
		       "\"10.1.0.0/16\" }\n"
		       "remote_ts = \"10.2.0.0/16[tcp/70000]\""),
		  { { 4, 29, "local_ts: " },
		    { 4, 44, "local_ts \"10.1.0.0/16\" stands twice" },
		    { 5, 13, "remote_ts: " } } },
		{ WITH("proposals = { \"aes128gcm16-prfsha256-x25519\", \"rot13-md5\" }"),
		  { { 3, 47, "proposals: unknown algorithm \"rot13\"" } } },
		{ WITH("esp_proposals = \"aes512gcm16\""),
		  { { 3, 17, "esp_proposals: unknown algorithm \"aes512gcm16\"" } } },
		{ WITH("remote_id = \"c\""),
		  { { 3, 1, "remote_id is given a second time, the first is in line 2" } } },
		{ BARE("psk = k ; " TS), { { 3, 7, "psk wants a string in double quotes" } } },
		{ BARE("psk = \"\" ; " TS),
		  { { 3, 7, "psk is empty, accepted: \"text\", \"0x..." } } },
		{ BARE("psk = \"0x\" ; " TS), { { 3, 7, "psk is empty" } } },
		{ BARE("psk = \"0x123\" ; " TS), { { 3, 7, "psk begins with 0x, but" } } },
		{ BARE("psk = \"0xzz\" ; " TS), { { 3, 7, "psk begins with 0x, but" } } },
		{ BARE("psk = \"0sAAA\" ; " TS), { { 3, 7, "psk begins with 0s, but" } } },
		{ BARE("psk = \"0sA===\" ; " TS), { { 3, 7, "psk begins with 0s, but" } } },
		{ BARE("psk = \"0sAB==\" ; " TS), { { 3, 7, "psk begins with 0s, but" } } },
		{ BARE("psk = \"0sA=AA\" ; " TS), { { 3, 7, "psk begins with 0s, but" } } },
		{ BARE("psk = { \"a\", \"b\" } ; " TS), { { 3, 7, "psk takes one value" } } },
	};

	(void)state;
	check_rows(row, ARRAY_LEN(row));
}

/* More elements and more errors than are kept: bounded, and said so. */
static void too_many(void **state)
{
	static char text[1 << 16];
	struct text t = TEXT_OF(text);
	struct conf_errors errs;
	struct conf *c = NULL;
	unsigned last = 0;

	(void)state;
	text_add(&t, "listen = {");
	for (int i = 0; i < CONF_LIST_MAX + 5; i++)
		text_fmt(&t, " \"10.0.0.%d\",", i + 1);
	text_add(&t, "}\n");
	for (int i = 0; i < 300; i++)
		text_fmt(&t, "bad%d = 1\n", i);
	assert_int_equal(parse(text, &errs, &c), ST_INVAL);
	assert_int_equal(errs.total, 301);
	assert_int_equal(errs.kept, CONF_ERRORS_MAX);
	assert_non_null(strstr(errs.head->text, "a list has at most 64 elements"));
	for (const struct conf_error *e = errs.head; e; e = e->next) {
		assert_true(e->at.line >= last);
		last = e->at.line;
	}
	conf_errors_done(&errs);
}

static void too_large(void **state)
{
	static uint8_t big[CONF_FILE_MAX + 1];
	struct conf_errors errs;
	struct conf *c = NULL;
	char buf[128];
	struct text t = TEXT_OF(buf);

	(void)state;
	memset(big, '\n', sizeof(big));
	conf_errors_init(&errs, &mem_libc);
	assert_int_equal(conf_parse(&mem_libc, "big", BYTES_OF(big), &errs, &c), ST_INVAL);
	conf_error_text(&errs, errs.head, &t);
	assert_string_equal(buf, "big: larger than 4 MiB");
	conf_errors_done(&errs);
}

/* Others add errors too; the list stays in the order of positions. */
static void errors_are_sorted(void **state)
{
	static const struct conf_pos at[] = { { 3, 1 }, { 1, 9 }, { 0, 0 }, { 3, 1 }, { 1, 2 } };
	static const char *const order[] = { "n2", "n4", "n1", "n0", "n3" };
	struct conf_errors errs;
	size_t i = 0;

	(void)state;
	conf_errors_init(&errs, &mem_libc);
	for (; i < ARRAY_LEN(at); i++)
		conf_error_add(&errs, at[i], "n%zu", i);
	i = 0;
	for (const struct conf_error *e = errs.head; e; e = e->next)
		assert_string_equal(e->text, order[i++]);
	assert_int_equal(i, ARRAY_LEN(order));
	conf_errors_done(&errs);
}

/* ---- secrets (S4) ---- */

static void no_secret_in_errors(void **state)
{
	static const char *const text[] = {
		BARE("psk = HUSHHUSH ; " TS),
		BARE("psk = \"0xHUSHHUSH\" ; " TS),
		BARE("psk = \"0sHUSHHUSH=\" ; " TS),
		BARE("psk = \"HUSH\" HUSHHUSH\n" TS),
		BARE("psk = pass HUSHHUSH phrase\n" TS),
		BARE("psk =\nHUSHHUSH\n" TS),
		BARE("psk = { \"HUSHHUSH\", \"HUSH\" }\n" TS),
		BARE("psk = \"HUSHHUSH\n" TS),
		BARE("psk = \"HUSH\\HUSH\"\n" TS),
		BARE("pks = \"HUSHHUSH\" HUSH\n" TS),
		BARE("psk \"HUSHHUSH\"\n" TS),
		BARE("psk = = \"HUSHHUSH\"\n" TS),
		BARE("psk = \"HUSHHUSH\" ; psk = \"HUSH\" ; psk_file = \"x\" ;" TS),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		struct conf_errors errs;
		struct conf *c = NULL;

		assert_int_equal(parse(text[i], &errs, &c), ST_INVAL);
		for (const struct conf_error *e = errs.head; e; e = e->next)
			if (strstr(e->text, "HUSH"))
				fail_msg("%s shows %s", text[i], e->text);
		conf_errors_done(&errs);
	}
}

struct watchful {
	struct {
		void *p;
		size_t n;
	} block[256];
	size_t blocks;
	size_t dirty;
};

static void *watchful_alloc(void *ctx, size_t n)
{
	struct watchful *w = ctx;

	assert_true(w->blocks < ARRAY_LEN(w->block));
	w->block[w->blocks].p = mem_libc.alloc(NULL, n);
	w->block[w->blocks].n = n;
	return w->block[w->blocks++].p;
}

static void watchful_free(void *ctx, void *p)
{
	struct watchful *w = ctx;

	for (size_t i = 0; p && i < w->blocks; i++)
		if (w->block[i].p == p && memmem(p, w->block[i].n, "HUSHHUSH", 8))
			w->dirty++;
	mem_libc.free(NULL, p);
}

/* A configuration leaves no key in freed memory, whether it was good or not. */
static void secrets_are_wiped(void **state)
{
	static const char *const text[] = {
		WITH("# \n") "peer \"c\" { remote_id = \"c\" ; psk = \"HUSHHUSH\"\n" TS " }",
		WITH("port = 0") "peer \"c\" { remote_id = \"c\" ; psk = \"HUSHHUSH\"\n" TS " }",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		struct watchful w = { 0 };
		const struct alloc mem = { watchful_alloc, watchful_free, &w };
		struct conf_errors errs;
		struct conf *c = NULL;

		conf_errors_init(&errs, &mem);
		assert_int_equal(conf_parse(&mem, "x", bytes_str(text[i]), &errs, &c),
				 i == 0 ? ST_OK : ST_INVAL);
		conf_unref(c);
		conf_errors_done(&errs);
		assert_int_equal(w.dirty, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syntax_errors),       cmocka_unit_test(top_level_errors),
		cmocka_unit_test(peer_errors),         cmocka_unit_test(too_many),
		cmocka_unit_test(too_large),           cmocka_unit_test(errors_are_sorted),
		cmocka_unit_test(no_secret_in_errors), cmocka_unit_test(secrets_are_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
