"""warrend with strongSwan: who initiates x authentication x suite x address family outside.

Over IPv4 charon's algorithms are OpenSSL's, like ours; over IPv6 its own, where it has its own, and
the cables segment: what our TUN device gets is larger than a packet.
"""

import dataclasses

import pytest

from lib import matrix
from lib.lab import Lab
from lib.strongswan import PLUGINS
from lib.versus import INITIATORS, Authorities, Pair, Tunnel, World

OWN_CRYPTO = "aes sha2 hmac gcm chapoly curve25519 gmp mgf1"


@dataclasses.dataclass(frozen=True)
class Auth:
    """How both ends authenticate: over IPv4 and over IPv6, the kind of key and what warren calls
    our signature and strongSwan's; what strongSwan is told if the key alone does not decide."""

    title: str
    how: dict
    charon: str = None


@dataclasses.dataclass(frozen=True)
class Suite:
    """The cipher of IKE and ESP, over IPv4 and over IPv6, and the PRF with it."""

    title: str
    ciphers: dict
    prf: str


# Ours with RSA is PSS always: who knows RFC 7427 knows that (RFC 8247 section 3.2).
PSS, PKCS1 = "rsa-2048-pss-sha256", "rsa-2048-sha256"
AUTHS = {
    "psk": Auth("PSK", {4: (None, "psk", "psk"), 6: (None, "psk", "psk")}),
    "ecdsa": Auth("ECDSA", {4: ("p256", "ecdsa-p256-sha256", "ecdsa-p256-sha256"),
                            6: ("p384", "ecdsa-p384-sha384", "ecdsa-p384-sha384")}),
    "rsa": Auth("RSA, its PKCS#1", {4: ("rsa2048", PSS, PKCS1), 6: ("rsa2048", PSS, PKCS1)}),
    "pss": Auth("RSA, both PSS", {4: ("rsa2048", PSS, PSS), 6: ("rsa2048", PSS, PSS)},
                "ike:rsa/pss-sha256"),
    "ed25519": Auth("Ed25519", {4: ("ed25519", "ed25519", "ed25519"),
                                6: ("ed25519", "ed25519", "ed25519")}),
}
SUITES = {
    "gcm": Suite("AES-GCM", {4: "aes128gcm16", 6: "aes256gcm16"}, "prfsha256"),
    "chapoly": Suite("ChaCha20", {4: "chacha20poly1305", 6: "chacha20poly1305"}, "prfsha256"),
    "sha256": Suite("AES-CBC SHA-256", {4: "aes128-sha256", 6: "aes256-sha256"}, "prfsha256"),
    "sha384": Suite("AES-CBC SHA-384", {4: "aes192-sha384", 6: "aes256-sha384"}, "prfsha384"),
    "sha512": Suite("AES-CBC SHA-512", {4: "aes256-sha512", 6: "aes128-sha512"}, "prfsha512"),
}
KES = ("x25519", "ecp256", "ecp384", "ecp521", "modp2048")
CELLS = [f"{auth}-{suite}" for auth in AUTHS for suite in SUITES]
TABLE = "warren and strongSwan: the suite of IKE and ESP by authentication, family, initiator"
ESN = "extended sequence numbers of ESP, warren with"
NO_ESN = "IPsec SA: ESN not supported"


def _tunnels(family):
    """Key exchange methods change from cell to cell, in another order over IPv6."""
    found = []
    for number, name in enumerate(CELLS):
        auth, suite = (table[key] for table, key in zip((AUTHS, SUITES), name.split("-")))
        cipher = suite.ciphers[family]
        method = KES[(number + number // len(SUITES) + (family == 6) * 2) % len(KES)]
        found.append(Tunnel(name, family, auth.how[family][0], f"{cipher}-{suite.prf}-{method}",
                            cipher, auth.charon))
    return found


def _esn_tunnels(family):
    return [Tunnel(f"esn-{name}", family, esp=f"{suite.ciphers[family]}-esn")
            for name, suite in SUITES.items()]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    return Authorities(tmp_path_factory.mktemp("matrix"), CELLS)


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def world(request, authorities):
    family = request.param
    with Lab() as lab:
        yield World(lab, _tunnels(family) + _esn_tunnels(family), authorities, offload=family == 6,
                    plugins=PLUGINS if family == 4 else f"{OWN_CRYPTO} {PLUGINS}")


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("auth", AUTHS)
def test_suite(world, auth, suite, initiator, record_property):
    """Up with exactly that suite, as both say; traffic both ways, every packet counted at both
    ends, none in clear; down, and nothing left."""
    tunnel = world.tunnels[f"{auth}-{suite}"]
    matrix.cell(record_property, TABLE, f"{AUTHS[auth].title}, IPv{tunnel.family}, by {initiator}",
                SUITES[suite].title, f"ok {tunnel.ike.split('-')[-1]}")
    with world.contained(tunnel):
        ours, theirs = world.up(tunnel, initiator)
        assert ours["initiator"] is (initiator == "warren")
        assert ours["proposal"] == matrix.ike_suite(theirs) == tunnel.ike
        assert (ours["auth_local"], ours["auth_remote"]) == AUTHS[auth].how[tunnel.family][1:]
        (ours,), (theirs,) = ours["child_sas"], theirs["child-sas"]
        assert ours["proposal"] == matrix.esp_suite(theirs) == tunnel.esp
        assert ours["remote_ts"] == theirs["local-ts"] == tunnel.selectors(2)
        world.exchange(tunnel)
        world.wait_same_packets(tunnel)
        world.down(tunnel, initiator)
    assert world.clear.count() == 0


# ---- extended sequence numbers (RFC 4303 section 2.2.1)


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("suite", SUITES)
def test_esn_with_strongswan(world, suite, initiator, record_property):
    """strongSwan's userspace ESP has none. It says so itself, and we learn that there is no
    child."""
    tunnel = world.tunnels[f"esn-{suite}"]
    matrix.cell(record_property, ESN, f"strongSwan, IPv{tunnel.family}, by {initiator}",
                SUITES[suite].title, f"strongSwan's kernel-libipsec: \"{NO_ESN}\"")
    before = world.charon.log().count(NO_ESN)
    with world.contained(tunnel):
        if initiator == "warren":
            world.warrend.cli("up", tunnel.name)
            world.warrend.wait_error(tunnel.name, "NO_PROPOSAL_CHOSEN")
        else:
            assert world.charon.initiate(tunnel.name, check=False).returncode != 0
        assert world.charon.log().count(NO_ESN) > before
        world.down(tunnel, "warren")


@pytest.fixture(scope="module")
def pair():
    with Lab() as lab:
        yield Pair(lab, [dataclasses.replace(tunnel, name=f"{tunnel.name}-{family}")
                         for family in (4, 6) for tunnel in _esn_tunnels(family)])


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("suite", SUITES)
def test_esn_with_warren(pair, suite, family, record_property):
    """Negotiated and used, with every suite."""
    matrix.cell(record_property, ESN, f"warren, IPv{family}", SUITES[suite].title)
    tunnel = pair.tunnels[f"esn-{suite}-{family}"]
    assert [child["proposal"] for child in pair.up(tunnel)] == [tunnel.esp] * 2
    pair.exchange(tunnel)
    pair.wait_same_packets(tunnel)
    pair.down(tunnel)
    assert pair.clear.count() == 0
