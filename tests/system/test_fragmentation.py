"""IKE fragmentation (RFC 7383): certificates over a path of 1280 bytes where IP fragments are lost.

Both gateways drop every fragment of IP that comes in, as firewalls of many networks do.
"""

import pytest

from lib import tshark
from lib.capture import Capture
from lib.pki import Pki
from lib.topo import NO_ICMP
from lib.wait import until
from lib.warren import Warrend, cert_peer, psk_pair

NO_FRAGMENTS = """
    table inet nofrag {
        chain in {
            type filter hook prerouting priority -450; policy accept;
            ip frag-off & 0x3fff != 0 counter drop
            exthdr frag exists counter drop
        }
    }"""
QUICK = {"retransmit_timeout": "300ms", "retransmit_tries": 3}
CERT, AUTH, SKF = 37, 39, 53


@pytest.fixture(scope="module")
def rsa(tmp_path_factory):
    """root -> middle -> both sites, the latter three with RSA keys of 4096 bits."""
    root = Pki(str(tmp_path_factory.mktemp("rsa")))
    root.middle = root.intermediate("middle", "rsa4096")
    root.a, root.b = (root.middle.leaf(f"site-{x}.example") for x in "ab")
    return root


def filtered(net):
    for site in (net.a, net.b):
        site.gw.nft(NO_FRAGMENTS)
    return net


def pair(net, trust, family, top=({}, {}), run_b=True, **more):
    """`more` goes into a's section."""
    right = Warrend(net.lab, net.b.gw, {**QUICK, **top[1]}, {"a": cert_peer(
        net.b, net.a, trust.b, trust.a.name, trust, family, start="listen")}, start=run_b)
    left = Warrend(net.lab, net.a.gw, {**QUICK, **top[0]}, {"b": cert_peer(
        net.a, net.b, trust.a, trust.b.name, trust, family, start="up", **more)})
    return left, right


def ike(capture):
    """Datagrams of IKE, and fragments of IP, of which only the first shows what it is."""
    return [p for p in capture.packets() if p.kind == "ike" or p.fragment]


def newest_set(seen):
    """Size of the largest packet with a fragment of the most numerous set."""
    sizes = {}
    for packet in seen:
        message = packet.payload[4:]    # behind the non-ESP marker
        if packet.sport == 4500 and message[16] == SKF:
            sizes.setdefault(int.from_bytes(message[34:36], "big"), []).append(len(packet.data))
    return max(sizes[max(sizes)])


@pytest.mark.parametrize("family", [4, 6])
def test_certificates_over_a_narrow_path(narrow, rsa, family):
    net = filtered(narrow)
    with net.capture() as capture:
        left, right = pair(net, rsa, family)
        left.wait_up("b")
        right.wait_up("a")
        net.a.host.ping(net.b.host4)
    seen = ike(capture)
    assert seen and not [p for p in seen if p.fragment]
    assert max(len(p.data) for p in seen) in range(1280 - 16, 1281)
    for here in (left, right):
        counters = here.counters()
        assert counters["ike.tx.fragments"] >= 3 and counters["ike.rx.fragment_messages"] == 1
        assert counters["ike.tx.refragmented"] == 0


@pytest.mark.parametrize("family", [4, 6])
def test_without_it_there_is_no_way(narrow, rsa, family):
    """The control: `fragmentation = no` at one end, and the same certificates never arrive."""
    net = filtered(narrow)
    left, right = pair(net, rsa, family, fragmentation=False)
    left.wait_error("b", "no answer", "IKE_AUTH")
    assert right.counters()["ike.tx.fragments"] == left.counters()["ike.tx.fragments"] == 0
    assert not left.peers()["b"]["ike_sas"]


@pytest.mark.parametrize("icmp", [True, False], ids=["icmp", "blackhole"])
def test_narrower_than_expected(two_sites, rsa, icmp):
    """A path of 1000 bytes: with ICMP it is known at once, without it is found out by trying."""
    net = filtered(two_sites)
    net.u.ip("link", "set", "ub", "mtu", "1000")
    net.b.gw.ip("link", "set", "wan", "mtu", "1000")
    if not icmp:
        net.u.nft(NO_ICMP)
    with Capture(net.lab, net.u, "ub") as capture:
        left, right = pair(net, rsa, 4)
        left.wait_up("b")
        right.wait_up("a")
        net.a.host.ping(net.b.host4)
    seen = ike(capture)
    assert not [p for p in seen if p.fragment] and max(len(p.data) for p in seen) <= 1000
    assert newest_set(seen) in (range(976, 1001) if icmp else range(560, 577))
    assert left.counters()["ike.tx.refragmented"] == 1


def test_behind_a_nat(natted, rsa):
    """A NAT that, like many, passes no fragments of IP."""
    net = natted
    net.nat.nft(NO_FRAGMENTS)
    waiting = cert_peer(net.b, net.a, rsa.b, rsa.a.name, rsa, 4, start="listen")
    del waiting["address"]
    right = Warrend(net.lab, net.b.gw, QUICK, {"a": waiting})
    left = Warrend(net.lab, net.a.gw, QUICK, {"b": cert_peer(
        net.a, net.b, rsa.a, rsa.b.name, rsa, 4, start="up")})
    left.wait_up("b")
    right.wait_up("a")
    net.a.host.ping(net.b.host4)
    assert left.counters()["ike.rx.fragment_messages"] == 1


def test_reload_turns_it_off(two_sites, rsa):
    """The next IKE SA, which the change asks for, goes without."""
    net = two_sites
    left, right = pair(net, rsa, 4)
    before = left.wait_up("b")
    right.wait_up("a")
    sent = left.counters()["ike.tx.fragments"]
    assert sent >= 3
    left.configure(QUICK, {"b": cert_peer(net.a, net.b, rsa.a, rsa.b.name, rsa, 4, start="up",
                                          fragmentation=False)})
    left.cli("reload")

    def replaced():
        sas = left.peers()["b"]["ike_sas"]
        return len(sas) == 1 and sas[0]["spi_i"] != before["spi_i"] and sas[0]["child_sas"]
    until(replaced, "another IKE SA")
    assert left.counters()["ike.tx.fragments"] == sent


def test_tshark_reads_fragments(narrow, rsa):
    """tshark decrypts every fragment with our key log, every ICV is right, and what it puts
    together holds the certificates and the AUTH payload."""
    net = filtered(narrow)
    tables = net.lab.subdir("keylog")
    with net.capture() as capture:
        left, right = pair(net, rsa, 4, top=({"keylog": tables}, {}))
        left.wait_up("b")
        right.wait_up("a")
        net.a.host.ping(net.b.host4)
        left.stop()
    seen = tshark.decrypt(capture.file, tables)
    auth = [m for m in seen.ike if m.exchange == 35]
    assert len(auth) >= 6 and all(SKF in m.payloads and m.icv_good for m in auth)
    whole = [m for m in auth if AUTH in m.payloads]
    assert len(whole) == 2 and all(CERT in m.payloads for m in whole)


def test_small_messages_go_whole(two_sites):
    """Section 2.4: nothing is cut that need not be."""
    left, right = psk_pair(two_sites)
    left.wait_up("b")
    right.wait_up("a")
    assert left.counters()["ike.tx.fragments"] == right.counters()["ike.tx.fragments"] == 0
