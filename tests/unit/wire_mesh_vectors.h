/*
 * wire_mesh_vectors.h - the test vectors of docs/protocol/shortcut.md, which has the same bytes.
 */
#pragma once

static const char vector_suggest[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* SECRET */
	"00010020 00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b "
	"1c1d1e1f "
	/* PARTNER_ID c.example */
	"0002000a 02632e65 78616d70 6c65 "
	/* OWN_ID b.example */
	"0003000a 02622e65 78616d70 6c65 "
	/* TS_REMOTE, certificate: 10.3.0.0/16, 2001:db8:3::/48 */
	"00040039 00070000 100000ff ff0a0300 000a03ff ff080000 280000ff ff20010d "
	"b8000300 00000000 00000000 0020010d b80003ff ffffffff ffffffff ff "
	/* TS_REMOTE, pool: 10.255.0.9/32 */
	"00040011 01070000 100000ff ff0aff00 090aff00 09 "
	/* TS_LOCAL, certificate: 10.2.0.0/16 */
	"00050011 00070000 100000ff ff0a0200 000a02ff ff "
	/* CANDIDATE host 192.0.2.30 port 4500 */
	"0006000c 01001194 02000000 c000021e "
	/* CANDIDATE host 2001:db8:0:30::1 port 4500 */
	"00060018 01001194 02000000 20010db8 00000030 00000000 00000001 "
	/* CANDIDATE seen 198.51.100.7 port 61234, behind a NAT */
	"0006000c 0201ef32 01000000 c6336407 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* LIFETIME 60 s */
	"00080004 0000003c "
	/* IDLE 300 s */
	"00090004 0000012c "
	/* FLAGS PQ */
	"000a0004 00000001 "
	/* BOOT */
	"00120008 8897a6b5 c4d3e2f1 ";

static const char vector_accept[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* CANDIDATE host 203.0.113.20 port 4500 */
	"0006000c 01001194 02000000 cb007114 ";

static const char vector_refused[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* REASON POLICY */
	"000d0002 0008 "
	/* TEXT */
	"000e000e 73686f72 74637574 73203d20 6e6f ";

static const char vector_report[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* PARTNER_ID c.example */
	"0002000a 02632e65 78616d70 6c65 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* OUTCOME up */
	"000c0001 01 "
	/* PATH 203.0.113.20 port 4500, 198.51.100.7 port 61234, 12.5 ms */
	"000f0010 000030d4 1194ef32 cb007114 c6336407 ";

static const char vector_report_failed[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* PARTNER_ID c.example */
	"0002000a 02632e65 78616d70 6c65 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* OUTCOME failed */
	"000c0001 02 "
	/* REASON NO_PATH */
	"000d0002 000d "
	/* TEXT */
	"000e0017 33206361 6e646964 61746573 2c206e6f 20616e73 776572 ";

static const char vector_withdraw[] =
	/* id: none */
	"00000000 00000000 00000000 00000000 "
	/* PARTNER_ID c.example */
	"0002000a 02632e65 78616d70 6c65 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* REASON POLICY */
	"000d0002 0008 "
	/* TEXT */
	"000e000f 746f706f 6c6f6779 203d2073 746172 ";

static const char vector_candidates[] =
	/* id: none */
	"00000000 00000000 00000000 00000000 "
	/* CANDIDATE host 203.0.113.20 port 4500 */
	"0006000c 01001194 02000000 cb007114 "
	/* SEQUENCE 7 */
	"000b0008 00000000 00000007 "
	/* BOOT */
	"00120008 1f2e3d4c 5b6a7988 ";

static const char vector_hubs[] =
	/* id: none */
	"00000000 00000000 00000000 00000000 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* SEQUENCE 1 */
	"000b0008 00000000 00000001 "
	/* HUB gw1.example: 192.0.2.1, 2001:db8::1, port 500 */
	"0010002a 020b6777 312e6578 616d706c 650201f4 0104c000 020101f4 02102001 "
	"0db80000 00000000 00000000 0001 "
	/* HUB gw2.example: gw2.example, port 500 */
	"0010001d 020b6777 322e6578 616d706c 650101f4 030b6777 322e6578 616d706c "
	"65 ";

static const char vector_directory[] =
	/* id: none */
	"00000000 00000000 00000000 00000000 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* SEQUENCE 42 */
	"000b0008 00000000 0000002a "
	/* MEMBER forget all of mine */
	"00110001 03 "
	/* MEMBER c.example is up */
	"001100a3 01000001 a1faf93b 008897a6 b5c4d3e2 f1000000 01020963 2e657861 "
	"6d706c65 02003900 07000010 0000ffff 0a030000 0a03ffff 08000028 0000ffff "
	"20010db8 00030000 00000000 00000000 20010db8 0003ffff ffffffff ffffffff "
	"00110107 00001000 00ffff0a ff00090a ff000903 0c010011 94020000 00c00002 "
	"1e180100 11940200 00002001 0db80000 00300000 00000000 00010c02 01ef3201 "
	"000000c6 336407 "
	/* MEMBER d.example is gone */
	"00110022 02000001 a1faf93c f4112233 44556677 88000000 01020964 2e657861 "
	"6d706c65 0000 ";

static const char vector_ask[] =
	/* id: none */
	"00000000 00000000 00000000 00000000 "
	/* TS_REMOTE 10.3.0.1 */
	"00040011 00070000 100000ff ff0a0300 010a0300 01"
	/* CONTEXT example */
	"00070007 6578616d 706c65 ";

static const char vector_relay[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	/* SECRET */
	"00010020 00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b "
	"1c1d1e1f "
	/* PARTNER_ID b.example */
	"0002000a 02622e65 78616d70 6c65 "
	/* OWN_ID c.example */
	"0003000a 02632e65 78616d70 6c65 "
	/* TS_REMOTE, certificate: 10.2.0.0/16 */
	"00040011 00070000 100000ff ff0a0200 000a02ff ff "
	/* TS_LOCAL, certificate: 10.3.0.0/16, 2001:db8:3::/48 */
	"00050039 00070000 100000ff ff0a0300 000a03ff ff080000 280000ff ff20010d "
	"b8000300 00000000 00000000 0020010d b80003ff ffffffff ffffffff ff "
	/* TS_LOCAL, pool: 10.255.0.9/32 */
	"00050011 01070000 100000ff ff0aff00 090aff00 09 "
	/* CANDIDATE host 203.0.113.20 port 4500 */
	"0006000c 01001194 02000000 cb007114 "
	/* CONTEXT example */
	"00070007 6578616d 706c65 "
	/* LIFETIME 60 s */
	"00080004 0000003c "
	/* BOOT */
	"00120008 1f2e3d4c 5b6a7988 ";

static const char vector_probe[] =
	/* magic */
	"a15a7272 656e0001 "
	/* half of the id */
	"c0c1c2c3 c4c5c6c7 "
	/* flags, transaction, length */
	"00f1f300 00000003 00000048 "
	/* nonce */
	"d0d1d2d3 d4d5d6d7 "
	/* address, port */
	"00000000 00000000 00000000 00000000 00000000 "
	/* MAC */
	"db8676ec 0e3b3be0 f51bd763 69d44ad3 ";

static const char vector_probe_answer[] =
	/* magic */
	"a15a7272 656e0001 "
	/* half of the id */
	"c0c1c2c3 c4c5c6c7 "
	/* flags, transaction, length */
	"00f1f301 00000003 00000048 "
	/* nonce */
	"d0d1d2d3 d4d5d6d7 "
	/* address, port */
	"00000000 00000000 0000ffff c6336407 ef320000 "
	/* MAC */
	"f43377d4 fb279b34 50f9d330 dd90c990 ";

static const char vector_k_probe[] =
	"de0f5a4d 9e721966 f36f1299 37ccb626 130bdab1 322deb55 5b7f5543 d251835e ";

static const char vector_k_proof[] =
	"503d5761 406fbdcb fa55bfd1 b7f10607 53875376 7d1b58fd da4c6b9b 82e1a4e9 ";

static const char vector_ppk[] =
	"dd6e3c73 e65066f9 77d8d5ea 962da728 fb409e14 29969018 7a853180 a85c5637 ";

static const char vector_proof[] =
	/* id */
	"c0c1c2c3 c4c5c6c7 c8c9cacb cccdcecf "
	"9fdea329 d9aa5585 9f4fe442 7444af14 dce028c2 a4a139ec 47b85f8f 2fbfe208 ";

static const char vector_capabilities[] = "01000000 01 ";
