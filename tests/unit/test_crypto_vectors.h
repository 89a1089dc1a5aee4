/*
 * test_crypto_vectors.h - published test vectors, in hexadecimal, with their sources.
 */
#pragma once

#include "crypto/crypto.h"

/* RFC 4231 sections 4.2 to 4.5, 4.7, 4.8; the last also in RFC 4868 section 2.7.1. */
struct hmac_vector {
	const char *key;
	const char *data;
	const char *sha256;
	const char *sha384;
	const char *sha512;
};

static const struct hmac_vector hmac_vectors[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
	  "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
	  "faea9ea9076ede7f4af152e8b2fa9cb6",
	  "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
	  "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
	{ "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	  "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
	  "8e2240ca5e69e2c78b3239ecfab21649",
	  "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	  "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	  "dddddddddddddddddddddddddddddddddddd",
	  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
	  "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b"
	  "2a5ab39dc13814b94e3ab6e101a34f27",
	  "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
	  "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb" },
	{ "0102030405060708090a0b0c0d0e0f10111213141516171819",
	  "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
	  "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
	  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
	  "3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e"
	  "6801dd23c4a7d679ccf8a386c674cffb",
	  "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
	  "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaa",
	  "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
	  "65204b6579202d2048617368204b6579204669727374",
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
	  "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
	  "0c2ef6ab4030fe8296248df163f44952",
	  "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
	  "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaa",
	  "5468697320697320612074657374207573696e672061206c6172676572207468"
	  "616e20626c6f636b2d73697a65206b657920616e642061206c61726765722074"
	  "68616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565"
	  "647320746f20626520686173686564206265666f7265206265696e6720757365"
	  "642062792074686520484d414320616c676f726974686d2e",
	  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
	  "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
	  "a678cc31e799176d3860e6110c46523e",
	  "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
	  "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58" },
};

/*
 * AES-GCM: test cases 1, 2, 4, 10, 16 of McGrew and Viega, "The Galois/Counter Mode of Operation";
 * the 96-bit IVs split into the salt and IV of RFC 4106.  ChaCha20-Poly1305: the IKEv2 message of
 * RFC 7634 appendix B.
 */
struct aead_vector {
	struct crypto_cipher cipher;
	const char *key; /* with salt */
	const char *iv;
	const char *aad;
	const char *plain;
	const char *sealed;
	const char *icv;
};

static const struct aead_vector aead_vectors[] = {
	{ { CRYPTO_AES_GCM_16, 128, 0 },
	  "0000000000000000000000000000000000000000",
	  "0000000000000000",
	  "",
	  "",
	  "",
	  "58e2fccefa7e3061367f1d57a4e7455a" },
	{ { CRYPTO_AES_GCM_16, 128, 0 },
	  "0000000000000000000000000000000000000000",
	  "0000000000000000",
	  "",
	  "00000000000000000000000000000000",
	  "0388dace60b6a392f328c2b971b2fe78",
	  "ab6e47d42cec13bdf53a67b21257bddf" },
	{ { CRYPTO_AES_GCM_16, 128, 0 },
	  "feffe9928665731c6d6a8f9467308308cafebabe",
	  "facedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	  "5bc94fbc3221a5db94fae95ae7121a47" },
	{ { CRYPTO_AES_GCM_16, 192, 0 },
	  "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe",
	  "facedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
	  "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
	  "2519498e80f1478f37ba55bd6d27618c" },
	{ { CRYPTO_AES_GCM_16, 256, 0 },
	  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
	  "cafebabe",
	  "facedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
	{ { CRYPTO_CHACHA20_POLY1305, 0, 0 },
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
	  "a0a1a2a3",
	  "1011121314151617",
	  "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029",
	  "0000000c000040010000000a00",
	  "610394701f8d017f7c12924889",
	  "6b71bfe25236efd7cdc67066906315b2" },
};

/* RFC 3602 section 4, cases 1, 2 and 4. */
struct cbc_vector {
	const char *key;
	const char *iv;
	const char *plain;
	const char *sealed;
};

static const struct cbc_vector cbc_vectors[] = {
	{ "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
	  "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a" },
	{ "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
	  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	  "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1" },
	{ "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
	  "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
	  "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
	  "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
	  "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55" },
};

/* X25519: RFC 7748 section 6.1.  ECP: RFC 5903 sections 8.1 and 8.2. */
struct ke_vector {
	uint16_t group;
	const char *priv_i;
	const char *pub_i;
	const char *priv_r;
	const char *pub_r;
	const char *shared;
};

static const struct ke_vector ke_vectors[] = {
	{ CRYPTO_X25519, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
	  "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
	  "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
	  "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	  "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742" },
	{ CRYPTO_ECP_256, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
	  "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
	  "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
	  "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
	  "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
	  "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
	  "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de" },
	{ CRYPTO_ECP_384,
	  "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655"
	  "e35b538041e649ee3faef896783ab194",
	  "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6"
	  "de3ac808acb4bdb4c88732aee95f41aa9482ed1fc0eeb9cafc4984625ccfc23f"
	  "65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
	  "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942"
	  "e0308312916b8ed2960e4bd55a7448fc",
	  "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d"
	  "0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e838430367f"
	  "66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
	  "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4"
	  "d603135569b9e9d09cf5d4a270f59746" },
};

/* RFC 4754 sections 8.1 and 8.2: the message is "abc". */
struct ecdsa_vector {
	uint16_t group; /* names the curve */
	uint8_t method;
	const char *priv;
	const char *pub; /* x | y */
	const char *signature; /* r | s */
};

static const struct ecdsa_vector ecdsa_vectors[] = {
	{ CRYPTO_ECP_256, 9, "dc51d3866a15bacde33d96f992fca99da7e6ef0934e7097559c27f1614c88a7f",
	  "2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e970"
	  "6fc98bd7e50211a4a27102fa3549df79ebcb4bf246b80945cddfe7d509bbfd7d",
	  "cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c"
	  "86fa3bb4e26cad5bf90b7f81899256ce7594bb1ea0c89212748bff3b3d5b0315" },
	{ CRYPTO_ECP_384, 10,
	  "0beb646634ba87735d77ae4809a0ebea865535de4c1e1dcb692e84708e81a5af"
	  "62e528c38b2a81b35309668d73524d9f",
	  "96281bf8dd5e0525ca049c048d345d3082968d10fedf5c5aca0c64e6465a97ea"
	  "5ce10c9dfec21797415710721f437922447688ba94708eb6e2e4d59f6ab6d7ed"
	  "ff9301d249fe49c33096655f5d502fad3d383b91c5e7edaa2b714cc99d5743ca",
	  "fb017b914e29149432d8bac29a514640b46f53ddab2c69948084e2930f1c8f7e"
	  "08e07c9c63f2d21a07dcb56a6af56eb3b263a1305e057f984d38726a1b468741"
	  "09f417bca112674c528262a40a629af1cbb9f516ce0fa7d2ff630863a00e8b9f" },
};

/*
 * IKEv2 key derivation, RFC 7296 sections 2.14, 2.17 and 2.18, with HMAC-SHA2-256: from NIST's
 * ACVP-Server (kdf-components-ikev2-1.0), as published in OpenSSL's evpkdf_ikev2.txt.  The values
 *with HMAC-SHA2-384 are from the same inputs by Python's hmac module: prf = lambda k, d:
 *hmac.new(k, d, sha384).digest() SKEYSEED = prf(Ni | Nr, g^ir); T = prf(SKEYSEED, T | Ni | Nr |
 *SPIi | SPIr | chr(i)), i = 1, 2, ...
 */
struct kdf_vector {
	uint16_t prf;
	const char *ni;
	const char *nr;
	const char *spi_i;
	const char *spi_r;
	const char *g_ir;
	const char *g_ir_new;
	const char *skeyseed;
	const char *ike_keys; /* SK_d first */
	const char *child_keys;
	const char *child_keys_ke; /* with a key exchange */
	const char *skeyseed_rekey;
};

static const struct kdf_vector kdf_vectors[] = {
	{ CRYPTO_PRF_HMAC_SHA2_256, "3651fef5c9c35e93", "c09a8b90a3f04d59", "8e5c3ae507221684",
	  "b1f201bb155c3acd",
	  "d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273"
	  "d79509f37e3ca3eb4fa2fe2a28254e289cd3f34dad4eb4df1a07685a4b8a94fa"
	  "61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033f3cedb026a6873a3"
	  "6455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c",
	  "52f00ab174c25d5b7139ae5ff4e8e9eddee5992d2e36adf8a559ffd90dab1442"
	  "e4fbe429d320c0f33552a17d1557fa41ea70e8fb916c4fa27ed52b5f8ebd8461"
	  "afa78f1159159a64055ac5f6319e29c28eae58cbc6847770f32c3fed1d047504"
	  "84f854790f95e9ec01bc5bc461f24966462e359511329305038e94deb6dd42c2",
	  "efaa7ab0eaa85a3d0be2100cd4b6fe00ff5025a9eafddb3ef518e9f0d3fe60e6",
	  "462b9dd525d4fd71169174272779e704baf62c6231779ae9efe8c58b21916b42"
	  "010164af2111ebd762f6916ca9a6f0ee05c8b320e4ee27705521de2589adea18"
	  "78f1a551738af7c88dc4f0bb0c096a3f7d1f1a670fc79f49f678d60d665bb371"
	  "0c8657f03ba9f62b9a818d7a228968c506e237ae9502aa6db395c61ea6a3e795"
	  "04f86b7368bfb5423df79e48809bbccd49fd826d024f63d7c2a5566400a12e73"
	  "6aa034510428f5ea008fe2fc16886fa388274ea6c2b4fcfc6141bf04f8207ef8"
	  "afc224ea1059cb220dc0b23ac0e4ccda495a4e131b1d56e223aba5a48e8ed1f5",
	  "23647677e7d403fa1e3006f19840aee18ad9fecc4215814c4131bdeba98433d8"
	  "b0e31bfbbddf822abcce5e06486aa388022b75e27e1e68aa5983028b65282c73"
	  "0c5d49ef7606770376cfdec41f7cc435d816029989bc353d3b67b9fd1168ddcb"
	  "8978850da9b752aee6a30d0086d2c4d74ec0e03648a0dad334faf5fe88084e67"
	  "b0f3e8fee8b5e1bd3850db540f1fb8cffe23c9e92cda209373f354880c246c75"
	  "3e2a0eca9cb73b9910a8531c4010e6768fa29f909e60af777fed6e739c3cfda0"
	  "3467e915d6f03fce9c41f5f9d578f8912d66a75457e79ee1d5bcc2be5c2f9bae",
	  "6a919387a5fa2835fe8a8237e4a14845bd2b9930db87eff7adf268f621860049"
	  "02dba9aa942d0259a0edc4120b932a503865b57ba8fb88117ef5df7b26799cd8"
	  "ba37aa5438108cb1a4fe117907c9d0597b708c3f11151fefd624d2317202b7c8"
	  "1430600e6fcbb6e1a8df2b4861ef2363d53de1be69057b0cf6634a7e7bfa97b3"
	  "c2810623e2bd6757738777177036e9c3a39794456954bd41fc444a12507ab9ca"
	  "c69a0540d13c29db8510f566a691691baa2d9569dacc990d56a454bb444bcbbe"
	  "8751b0550a5278812fc5ab4f28990dd6d608538d7ddde24dc81bdaaca7751fde",
	  "90722c42bd849e9b72d240fc254174270fa8295de6f0338dafc303a9ec104f12" },
	{ CRYPTO_PRF_HMAC_SHA2_384, "3651fef5c9c35e93", "c09a8b90a3f04d59", "8e5c3ae507221684",
	  "b1f201bb155c3acd",
	  "d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273"
	  "d79509f37e3ca3eb4fa2fe2a28254e289cd3f34dad4eb4df1a07685a4b8a94fa"
	  "61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033f3cedb026a6873a3"
	  "6455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c",
	  "52f00ab174c25d5b7139ae5ff4e8e9eddee5992d2e36adf8a559ffd90dab1442"
	  "e4fbe429d320c0f33552a17d1557fa41ea70e8fb916c4fa27ed52b5f8ebd8461"
	  "afa78f1159159a64055ac5f6319e29c28eae58cbc6847770f32c3fed1d047504"
	  "84f854790f95e9ec01bc5bc461f24966462e359511329305038e94deb6dd42c2",
	  "89e56d9baa98fe975408eccdf70e3428a7198e4143e0707a4812aef766008c94"
	  "8b8d8aa8c37d1a9c1b6ed2c7e2149d6a",
	  "32a3d9fe53a6a604eacb8443ce12873d1243115fb5957d3de89a12b9d5b3797f"
	  "3c29209a83c2cd68db5dc22bcc9aa5ab2b8a0473993bc0e74949e813bcda1e08"
	  "8bdab5e5b78023ff4ddc0addbcd8936d59323180c59dc478586c8abe434a7eb1"
	  "383e279e1ac3036adc15a45ef605393694ff5b25fe99a56ab976b2d3d4a7b858"
	  "b38eeedf5588545143336d82db8b47659563092d73921d10292d605ea1798075"
	  "72edc66516774e37e74299bcf6677bbcf3d05a73e6e77d647e30a448dbcfb87c"
	  "999b74a60893fdce",
	  "be009dbe9c69f02115d7f935204547eea50249f6d918546687d77f1a0afd72cc"
	  "804b315fa461e85dff77209be8f9b2c33f0ee0692193d64f1087f2e008c54221"
	  "e732f42c992e13e8b48360e2223d10645d7a7a5d0ba16419923c97ba9597bf5e"
	  "40cc0e91",
	  "a4566b029de759c729f4112343b5fa89d2d51e6c41d6c1492559c5ba2adeb15e"
	  "8ff2c4721d8668e55e9cc11703d6955b39421e8972a9aa19d62e237af59b3835"
	  "d1a12de165f31b6e248fc7e54e068ce95cdbf3628e2e0345b18e23be522b9b9a"
	  "2b397c01",
	  "fd993f3c96d101c78f38cc133861aeaebc1ca616890c2fb927410e57883044cc"
	  "63aaa5cc6e5f7115bb492316a74a3ee8" },
};
