"""Black holes: a link in the middle of the way takes less than both ends think, and nobody says so,
since the routers at its ends keep ICMP to themselves (V10).

Between two warrens probes find out. With strongSwan at the other end there are none: what it sends
itself, and large packets that are not TCP, stay lost, as without probes; all else goes on.

What is not here, as it does not work: IPv6 inside over an IPv6 path below some 1360 bytes. Inside
there have to be 1280, the outer packet has to be cut by the gateway, and its kernel does that only
where ICMP told it to.
"""

import re

import pytest

from lib import transfer
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend, psk_pair, psk_peer

STEP = 16               # how near a result comes
LONG = 120              # seconds, for what TCP tries again and again
SMALL = 1 << 20
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["outer4", "outer6"])


def _pair(net, family, **more):
    left, right = psk_pair(net, family, a=more, b=more)
    return (left, left.wait_up("b")), (right, right.wait_up("a"))


def _found(daemon, peer, mtu):
    """Until probes have found the path's MTU; what they found."""
    def found():
        sa, = daemon.peers()[peer]["ike_sas"]
        assert sa["path_mtu_probed"] and mtu - STEP <= sa["path_mtu"] <= mtu, sa
        return sa["path_mtu"]
    return until(found, f"{daemon.ns.short}: a path MTU of about {mtu}", LONG)


def _why(daemon, peer):
    """What it says, without its line ends."""
    return " ".join(daemon.cli("why", peer).stdout.split())


def _same_sa(daemon, peer, before):
    after = daemon.wait_up(peer)
    assert (after["spi_i"], after["spi_r"]) == (before["spi_i"], before["spi_r"])
    assert not after["suspect"]
    return after


@FAMILIES
def test_copy(hole, family):
    """TCP in both directions over a path of 1400 bytes: each end finds it, and shows it."""
    net = hole
    net.narrow(1400)
    ends = _pair(net, family)
    for inner in (4, 6):
        transfer.copy(net.a.host, net.b.host, net.b.inner(inner), SMALL, LONG)
        transfer.copy(net.b.host, net.a.host, net.a.inner(inner), SMALL, LONG)
    for (daemon, before), peer in zip(ends, "ba"):
        mtu = _found(daemon, peer, 1400)
        assert _same_sa(daemon, peer, before)["warren"]
        assert f"the path MTU {mtu}, as probes found" in _why(daemon, peer)
        assert f"path MTU {mtu}" in daemon.cli("peers", peer).stdout
    # From then on nothing is too large, nor cut on the way.
    with net.capture("uv") as capture:
        transfer.copy(net.a.host, net.b.host, net.b.host4, SMALL, LONG)
    sizes = [len(p.data) for p in capture.packets() if p.kind == "esp"]
    assert max(sizes) in range(1400 - 2 * STEP, 1401)
    assert not [p for p in capture.packets() if p.fragment]


def test_copy_over_a_very_narrow_path(hole):
    """Less than nearly every path carries; IPv4 only, as IPv6 has no such links."""
    net = hole
    net.narrow(1000)
    (left, before), _ = _pair(net, 4)
    transfer.copy(net.a.host, net.b.host, net.b.host4, SMALL, LONG)
    transfer.copy(net.b.host, net.a.host, net.a.host4, SMALL, LONG)
    _found(left, "b", 1000)
    _same_sa(left, "b", before)


@FAMILIES
@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_becomes_narrow(hole, family, inner):
    """In the middle of a copy that goes on."""
    net = hole
    (left, before), _ = _pair(net, family)
    with transfer.Ongoing(net.a.host, net.b.host, net.b.inner(inner), LONG) as copy:
        until(lambda: left.peers()["b"]["ike_sas"][0].get("path_mtu", 0) > 1400, "1500 bytes")
        net.narrow(1400)
        copy.passed()
        _found(left, "b", 1400)
        copy.passed()
    _same_sa(left, "b", before)
    assert left.counters()["pmtu.stalled"] >= 1


def _answered(host, dest, size):
    """A ping that is not to be cut, of so many bytes with its headers: None when it came back, or
    what it said of the MTU."""
    payload = size - (48 if ":" in dest else 28)
    out = host.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", str(payload), dest,
                   check=False)
    said = re.search(r"mtu ?[=:] ?(\d+)", (out.stdout + out.stderr).lower())
    if said:
        return int(said.group(1))
    assert " 1 received" in out.stdout, out.stdout
    return None


@FAMILIES
@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_large_pings(hole, family, inner):
    """What is too large is answered inside with the size that fits, and that does fit; what may be
    cut gets through."""
    net = hole
    net.narrow(1400)
    (left, before), (right, _) = _pair(net, family)
    far = net.b.inner(inner)
    # Both ways are looked for by what is sent along them.
    until(lambda: net.a.host.ping(far, count=1, size=1420, wait=1, check=False), "an answer")
    _found(left, "b", 1400)
    _found(right, "a", 1400)
    net.a.host.ping(far, count=3, size=3000)
    net.b.host.ping(net.a.inner(inner), count=3, size=3000)
    fits = [1500]

    def narrowed():
        said = _answered(net.a.host, far, fits[-1])
        if said and said != fits[-1]:
            fits.append(said)
        return said is None
    until(narrowed, "a ping as large as was told", LONG)
    # What fits any path was named while nothing was known yet, or what was found.
    assert 1200 < fits[-1] < 1400 and fits == sorted(fits, reverse=True)
    assert _answered(net.a.host, far, fits[-1]) is None
    assert _answered(net.a.host, far, fits[-1] + 8) == fits[-1]
    _same_sa(left, "b", before)


def test_ipv6_minimum_mtu(hole):
    """RFC 8200 section 5: an inner IPv6 packet of 1280 bytes gets through where its outer one does
    not in one piece, although nobody says so: routers cut that of IPv4."""
    net = hole
    net.narrow(1300)
    (left, _), (right, _) = _pair(net, 4)
    until(lambda: net.a.host.ping(net.b.host6, count=1, size=1232, wait=1, check=False),
          "a 1280-byte IPv6 packet to come back", LONG)
    _found(left, "b", 1300)
    _found(right, "a", 1300)
    net.a.host.ping(net.b.host6, count=3, size=1232)
    net.b.host.ping(net.a.host6, count=3, size=1232)
    transfer.copy(net.a.host, net.b.host, net.b.host6, SMALL, LONG)
    transfer.copy(net.b.host, net.a.host, net.a.host6, SMALL, LONG)


def test_without_probes_it_is_one(hole):
    """The control: nobody looks, and nothing large arrives."""
    net = hole
    net.narrow(1400)
    (left, before), _ = _pair(net, 4, mtu_probes=False)
    assert net.a.host.ping(net.b.host4, count=3, size=1380, wait=1, check=False) == 0
    assert net.a.host.ping(net.b.host4, count=3) == 3
    with pytest.raises(AssertionError):
        transfer.copy(net.a.host, net.b.host, net.b.host4, SMALL, deadline=5)
    assert left.counters()["ike.mtu.probes"] == left.counters()["ike.mtu.fallback"] == 0
    _same_sa(left, "b", before)


# ---- strongSwan ---------------------------------------------------------------------------------

IDS = "site-a.example", "site-b.example"


def _strongswan(net, family, start):
    """Ours at a, with questions every second whether the other one is there; theirs at b."""
    charon = Charon(net.lab, net.b.gw)
    charon.connection("peer", net.b.outer(family), net.a.outer(family), IDS[1], IDS[0],
                      f"{net.b.lan4},{net.b.lan6}", f"{net.a.lan4},{net.a.lan6}", dpd="1s")
    charon.psk("peer", PSK, *IDS)
    charon.load()
    ours = Warrend(net.lab, net.a.gw, {}, {"peer": psk_peer(
        net.a, net.b, *IDS, family, start=start, dpd_delay="1s",
        esp_proposals=["aes128gcm16-noesn"])})
    if start == "listen":
        charon.initiate("peer")
    return ours, charon


@FAMILIES
@pytest.mark.parametrize("start", ["up", "listen"], ids=["we-call", "it-calls"])
def test_strongswan(hole, family, start):
    """The path becomes narrow in the middle of a copy to strongSwan: the IKE SA stays, nothing is
    probed; our segments get small enough when they get nowhere; pings larger than the path stay
    lost without a word, as they would without any of this."""
    net = hole
    ours, charon = _strongswan(net, family, start)
    before = ours.wait_up("peer")
    assert not before["warren"]
    with transfer.Ongoing(net.a.host, net.b.host, net.b.host4, LONG) as copy:
        net.narrow(1400)
        copy.passed()
        ours.wait_counter("ike.mtu.fallback", deadline=LONG)
        copy.passed()
    after = _same_sa(ours, "peer", before)
    assert after["path_mtu"] == 1280 and after["path_mtu_assumed"] and not after["path_mtu_probed"]
    assert "is assumed to be 1280" in _why(ours, "peer")
    net.a.host.ping(net.b.host4, count=10)
    net.b.host.ping(net.a.host6, count=10)
    asked = ours.counters()["ike.rx.datagrams"]
    ours.wait_counter("ike.rx.datagrams", asked + 2)     # the questions are answered
    _same_sa(ours, "peer", before)
    assert charon.established("peer") == 1
    counters = ours.counters()
    assert counters["ike.mtu.probes"] == counters["ike.mtu.searches"] == 0
    assert "unencrypted" not in charon.log()


@FAMILIES
def test_strongswan_on_a_narrow_path(hole, family):
    """Before anything was large: what is no TCP is lost, and says nothing, as without probes."""
    net = hole
    net.narrow(1400)
    ours, charon = _strongswan(net, family, "up")
    before = ours.wait_up("peer")
    assert net.a.host.ping(net.b.host4, count=3, size=1380, wait=1, check=False) == 0
    assert "it is not probed" in _why(ours, "peer")
    net.a.host.ping(net.b.host4, count=10)
    transfer.copy(net.a.host, net.b.host, net.b.host4, SMALL, LONG)
    _same_sa(ours, "peer", before)
    assert charon.established("peer") == 1
    assert ours.counters()["ike.mtu.probes"] == 0
