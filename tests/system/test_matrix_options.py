"""What warrend and strongSwan may agree on beside algorithms: fragments, cookies, another key
exchange than the first guess, an IKE SA without a child, a post-quantum key.
"""

import itertools
import struct

import pytest

from lib import ike, matrix, topo
from lib.lab import Lab
from lib.versus import INITIATORS, Authorities, Tunnel, World
from lib.wait import until

SKF, COOKIE, INVALID_KE = 53, 16390, 17


def messages(capture):
    """(sender, IKE message) of everything that a capture has."""
    return [(packet.src, packet.payload[4:] if packet.payload[:4] == bytes(4) else packet.payload)
            for packet in capture.packets() if packet.kind == "ike"]


# ---- fragments (RFC 7383)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    return Authorities(tmp_path_factory.mktemp("chains"), ["chain-4", "chain-6"])


@pytest.fixture(scope="module", params=[1280, 300])
def narrow(request, chains):
    """A path of 1280 bytes; strongSwan makes fragments of at most so many."""
    with Lab() as lab:
        world = World(lab, [Tunnel(f"chain-{family}", family, Authorities.CHAIN,
                                   theirs="fragmentation = force") for family in (4, 6)],
                      chains, net=topo.Narrow, extra=f"fragment_size = {request.param}")
        world.fragment_size = request.param
        yield world


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("family", [4, 6])
def test_fragments(narrow, family, initiator, record_property):
    """Two certificates in either direction: IKE is cut, never IP, and no datagram is
    larger than the path."""
    tunnel = narrow.tunnels[f"chain-{family}"]
    matrix.cell(record_property, "RSA-4096 and an intermediate over 1280 bytes, in fragments",
                f"strongSwan's are of {narrow.fragment_size}, {initiator} initiates",
                f"IPv{family}")
    with narrow.contained(tunnel):
        with narrow.net.capture("ub") as capture:
            narrow.up(tunnel, initiator)
        packets = capture.packets()
        assert not [packet for packet in packets if packet.fragment]
        assert max(len(packet.data) for packet in packets) <= 1280
        cut = [src for src, message in messages(capture) if message[16] == SKF]
        ends = narrow.net.a.outer(family), narrow.net.b.outer(family)
        assert min(cut.count(src) for src in ends) >= 2, cut
        assert max(len(message) for src, message in messages(capture)
                   if src == ends[1] and message[18] != ike.INIT) < narrow.fragment_size
        narrow.exchange(tunnel)
        narrow.down(tunnel, initiator)


# ---- cookies (RFC 7296 section 2.6), and with them another group (sections 1.3, 2.6.1)

BAIT = "203.0.113.1"
GROUPS = {"right": "x25519", "wrong": "x25519-ecp384"}     # of who initiates; the other's: the last


@pytest.fixture(scope="module", params=GROUPS)
def guarded(request):
    """Both ends demand cookies; strongSwan as soon as somebody is half-way in. Ours initiates over
    IPv4, strongSwan over IPv6: before IKE_AUTH a proposal is anybody's who has that address."""
    first, last = (f"aes128gcm16-prfsha256-{words}" for words in (
        GROUPS[request.param], GROUPS[request.param].split("-")[-1]))
    with Lab() as lab:
        world = World(lab, [Tunnel("warren", 4, ike=last, ours={"proposals": [first]}),
                            Tunnel("strongSwan", 6, ike=first, ours={"proposals": [last]})],
                      top={"half_open_cookie": 0}, extra="cookie_threshold = 1")
        world.charon.connection("bait", world.net.b.outer4, BAIT, "bait.2.example",
                                "bait.1.example", "10.2.99.0/24", "10.1.99.0/24")
        world.charon.load()
        world.wrong = request.param == "wrong"
        yield world


@pytest.mark.parametrize("initiator", INITIATORS)
def test_cookie(guarded, initiator, record_property):
    tunnel = guarded.tunnels[initiator]
    matrix.cell(record_property, "a cookie is demanded, the guess of the group is",
                f"{initiator} initiates", "wrong" if guarded.wrong else "right")
    net = guarded.net
    asked = (net.b if initiator == "warren" else net.a).outer(tunnel.family)
    with guarded.contained(tunnel), ike.Spoofer(net.u) as spoofer:
        spoofer.send(BAIT, net.b.outer4, 500, 500, ike.init())
        until(lambda: " 0 half-open" not in guarded.charon.swanctl("--stats").stdout,
              "charon to have a half-open SA")
        with net.capture() as capture:
            ours, theirs = guarded.up(tunnel, initiator)
        kinds = [notified(message) for src, message in messages(capture) if src == asked]
        assert COOKIE in kinds and (INVALID_KE in kinds) is guarded.wrong, kinds
        assert ours["proposal"] == matrix.ike_suite(theirs)
        guarded.down(tunnel, initiator)


def notified(message):
    """What the first payload of an IKE_SA_INIT response notifies of, if it does."""
    if message[16] != ike.NOTIFY or message[18] != ike.INIT:
        return None
    return struct.unpack("!H", message[34:36])[0]


# ---- signatures that not both ends know

# Name -> kind of key, address family, and why there is no tunnel: what warren says when it
# initiates, and when strongSwan does. (Which cannot sign at all with Ed25519.)
OLD = {
    "ECDSA P-256": ("p256", 4),
    "ECDSA P-384": ("p384", 6),
    "ECDSA P-521": ("p521", 4),
    "RSA": ("rsa2048", 6, "method 1, RSA with SHA-1, which is not used",
            "auth method 1 is not accepted"),
    "Ed25519": ("ed25519", 4, "Ed25519, which needs digital signatures (RFC 7427)", None),
}
NO_METHOD = "no: RSA of before RFC 7427 is with SHA-1, Ed25519 was not there"
PSS_GOOD = "with RSA_EMSA_PSS_SHA2_256_SALT_32 successful"
NO_PKCS1 = "no: what warren makes with RSA is RSASSA-PSS (RFC 8247 section 3.2)"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A strongSwan without RFC 7427."""
    tunnels = [Tunnel(kind, family, kind) for kind, family, *_ in OLD.values()]
    authorities = Authorities(tmp_path_factory.mktemp("old"), [tunnel.name for tunnel in tunnels])
    with Lab() as lab:
        yield World(lab, tunnels, authorities, extra="signature_authentication = no")


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("title", OLD)
def test_without_rfc7427(old, title, initiator, record_property):
    kind, _, *refusals = OLD[title]
    tunnel = old.tunnels[kind]
    matrix.cell(record_property, "strongSwan without RFC 7427 (digital signatures)",
                f"{initiator} initiates", title, NO_METHOD if refusals else "ok")
    if refusals:
        refused(old, tunnel, initiator, refusals[INITIATORS.index(initiator)])
        return
    with old.contained(tunnel):
        ours, _ = old.up(tunnel, initiator)
        assert ours["auth_local"] == ours["auth_remote"] and ours["auth_local"].startswith("ecdsa")
        old.down(tunnel, initiator)


@pytest.fixture(scope="module")
def pkcs1(tmp_path_factory):
    tunnel = Tunnel("pkcs1", 4, "rsa2048", auth="ike:rsa-sha256")
    with Lab() as lab:
        yield World(lab, [tunnel], Authorities(tmp_path_factory.mktemp("pkcs1"), [tunnel.name]))


@pytest.mark.parametrize("initiator", INITIATORS)
def test_pkcs1_only(pkcs1, initiator, record_property):
    matrix.cell(record_property, "strongSwan takes nothing but RSA PKCS#1",
                f"{initiator} initiates", "RSA", NO_PKCS1)
    before = pkcs1.charon.log().count(PSS_GOOD)
    refused(pkcs1, pkcs1.tunnels["pkcs1"], initiator, "authentication" if initiator == "strongSwan"
            else "AUTHENTICATION_FAILED")
    assert pkcs1.charon.log().count(PSS_GOOD) > before


def refused(world, tunnel, initiator, *words):
    """No tunnel comes of it; warren says why."""
    with world.contained(tunnel):
        if initiator == "warren":
            world.warrend.cli("up", tunnel.name)
        else:
            assert world.charon.initiate(tunnel.name, check=False).returncode != 0
        if any(words):
            world.warrend.wait_error(tunnel.name, *words)
        world.warrend.cli("down", tunnel.name)
        world.wait_gone(tunnel)


# ---- post-quantum keys (RFC 8784)

PPK = ("none", "optional", "required")
PPK_KEY = "a post-quantum key of more than thirty-two bytes"


def _ppk(ours, theirs):
    tunnel = Tunnel(f"ppk-{ours}-{theirs}", 6)
    if ours != "none":
        tunnel.ours = {"ppk_id": tunnel.name, "ppk": PPK_KEY, "ppk_required": ours == "required"}
    if theirs != "none":
        required = "yes" if theirs == "required" else "no"
        tunnel.theirs = f'ppk_id = "{tunnel.name}"\n        ppk_required = {required}'
        tunnel.secrets = (f'    ppk-{tunnel.name} {{\n        id = "{tunnel.name}"\n'
                          f'        secret = "{PPK_KEY}"\n    }}\n')
    return tunnel


@pytest.fixture(scope="module")
def keyed():
    with Lab() as lab:
        yield World(lab, [_ppk(*pair) for pair in itertools.product(PPK, PPK)])


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("theirs", PPK)
@pytest.mark.parametrize("ours", PPK)
def test_ppk(keyed, ours, theirs, initiator, record_property):
    tunnel = keyed.tunnels[f"ppk-{ours}-{theirs}"]
    used = "none" not in (ours, theirs)
    good = used or "required" not in (ours, theirs)
    matrix.cell(record_property, "post-quantum key: warren's by row, strongSwan's by column",
                f"{ours}, {initiator} initiates", theirs,
                "used" if used else "not used" if good else "refused")
    if not good:
        refused(keyed, tunnel, initiator)
        return
    with keyed.contained(tunnel):
        sas = keyed.up(tunnel, initiator)
        assert (sas[1].get("ppk") == "yes") is used
        keyed.exchange(tunnel)
        keyed.down(tunnel, initiator)


# ---- childless IKE SAs (RFC 6023)

CHILDLESS = ("allow", "force", "never")


def _childless(ours, theirs):
    return Tunnel(f"childless-{ours}-{theirs}", 4, ours={"childless": ours},
                  theirs=f"childless = {theirs}")


@pytest.fixture(scope="module")
def bare():
    with Lab() as lab:
        yield World(lab, [_childless(*pair) for pair in itertools.product(CHILDLESS, CHILDLESS)])


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("theirs", CHILDLESS)
@pytest.mark.parametrize("ours", CHILDLESS)
def test_childless(bare, ours, theirs, initiator, record_property):
    """IKE_AUTH without a child has to be allowed, one with a child is not what `force` waits for:
    ours then leaves the IKE SA to those who ask again, in an exchange of its own; strongSwan
    none."""
    tunnel = bare.tunnels[f"childless-{ours}-{theirs}"]
    first, second = (ours, theirs) if initiator == "warren" else (theirs, ours)
    good = second != "never" if first == "force" else second != "force"
    again = not good and initiator == "strongSwan" and ours == "force"
    matrix.cell(record_property, "childless: warren's by row, strongSwan's by column",
                f"{ours}, {initiator} initiates", theirs,
                "ok" if good else "when asked again" if again else "refused")
    if again:
        with bare.contained(tunnel):
            assert bare.charon.initiate(tunnel.name, check=False).returncode != 0
            bare.up(tunnel, initiator)
            bare.exchange(tunnel)
            bare.down(tunnel, initiator)
    elif not good:
        refused(bare, tunnel, initiator, "INVALID_SYNTAX" if initiator == "warren" else "childless")
    else:
        with bare.contained(tunnel):
            bare.up(tunnel, initiator)
            bare.exchange(tunnel)
            bare.down(tunnel, initiator)
