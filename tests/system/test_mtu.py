"""Path MTU: a 1280-byte underlay path with DF that the gateway can only learn of by ICMP."""

import re
import socket

import pytest

from lib import transfer
from lib.wait import until
from lib.warren import psk_pair

OVERHEAD_MAX = 48 + 8 + 8 + 8 + 3 + 2 + 16  # outer IPv6, UDP, ESP, IV, padding, trailer, ICV


@pytest.fixture(params=[4, 6], ids=["outer4", "outer6"])
def tunnel(request, narrow):
    left, right = psk_pair(narrow, request.param)
    left.wait_up("b")
    right.wait_up("a")
    return narrow


def _learn(net):
    """Ping with DF until the gateway knows the path, as `fits`: sizes that it has answered with.
    The first is that of its device, the last that of the path behind it: as large as we may."""
    fits = [1500]

    def told():
        out = net.a.host.run("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s",
                             str(fits[-1] - 28), net.b.host4, check=False)
        said = re.search(r"mtu ?= ?(\d+)", (out.stdout + out.stderr).lower())
        if said and int(said.group(1)) != fits[-1]:
            fits.append(int(said.group(1)))
        return 1280 - OVERHEAD_MAX <= fits[-1] < 1280
    until(told, "ICMP fragmentation needed with the tunnel's MTU")
    return fits


def test_copy_over_narrow_path(tunnel):
    """A TCP copy of both families in both directions, without a fragment on the underlay once the
    path is known: what was sealed before goes in fragments (src/dp/user/pmtu.c)."""
    net = tunnel
    _learn(net)
    with net.capture("ub") as capture:
        for family in (4, 6):
            transfer.copy(net.a.host, net.b.host, net.b.inner(family), 1 << 20)
            transfer.copy(net.b.host, net.a.host, net.a.inner(family), 1 << 20)
    packets = capture.packets()
    assert not [p for p in packets if p.fragment] and not [p for p in packets if p.kind == "clear"]
    assert max(len(p.data) for p in packets) <= 1280
    assert sum(p.kind == "esp" for p in packets) > 4 * (1 << 20) // 1280


def test_large_ping_with_df(tunnel):
    """A DF ping that does not fit is answered with the MTU of the tunnel, and one of that size
    fits."""
    net = tunnel
    fits = _learn(net)
    assert fits == sorted(fits, reverse=True)
    net.a.host.ping(net.b.host4, count=3, size=fits[-1] - 28, df=True)
    assert net.a.host.ping(net.b.host4, count=1, size=fits[-1] - 27, df=True, wait=1,
                           check=False) == 0


def test_large_ping_without_df(tunnel):
    """A packet without DF is fragmented before encapsulation (RFC 4301 section 8.2), so no ESP
    packet is; after the path is known every one arrives."""
    net = tunnel
    until(lambda: net.a.host.ping(net.b.host4, count=1, size=3000, wait=1, check=False), "the path")
    with net.capture("ub") as capture:
        net.a.host.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-M", "dont", "-s", "3000",
                       net.b.host4)
        net.b.host.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-M", "dont", "-s", "3000",
                       net.a.host4)
    assert not [p for p in capture.packets() if p.fragment]
    assert capture.kinds()["esp"] >= 36


def test_ipv6_minimum_mtu(tunnel):
    """RFC 8200 section 5: an inner IPv6 packet of 1280 bytes must get through even so."""
    net = tunnel
    until(lambda: net.a.host.ping(net.b.host6, count=1, size=1232, wait=1, check=False),
          "a 1280-byte IPv6 packet to come back")
    net.a.host.ping(net.b.host6, count=3, size=1232)
    net.b.host.ping(net.a.host6, count=3, size=1232)


def test_full_size_path(two_sites):
    """On a 1500-byte path the tunnel's own MTU wastes nothing: the largest ESP packet nearly fills
    it."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    with net.capture() as capture:
        transfer.copy(net.a.host, net.b.host, net.b.host4, 1 << 20)
    assert 1480 <= max(len(p.data) for p in capture.packets() if p.kind == "esp") <= 1500


def test_device_becomes_narrow(two_sites):
    """Packets that are sealed when our own stack says that they are too large are delivered whole,
    in fragments, and counted; from then on they are cut or answered before, and ESP has DF."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    net.a.gw.ip("link", "set", "wan", "mtu", "1280")
    # Our own device follows, unless somebody knows better.
    until(lambda: "mtu 1280" in net.a.gw.ip("link", "show", left.device).stdout, "its MTU")
    net.a.gw.ip("link", "set", left.device, "mtu", "1400")
    with net.a.host.enter():
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net.b.host.enter():
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with near, far:
        far.settimeout(30)
        far.bind((net.b.host4, 0))
        near.connect(far.getsockname())

        def passes(size, df):
            near.setsockopt(socket.IPPROTO_IP, 10, 2 if df else 0)    # IP_MTU_DISCOVER: DO, DONT
            near.send(bytes(size))
            assert len(far.recv(2000)) == size

        with net.capture("ua") as capture:
            passes(1300, df=True)
        packets = capture.packets()
        assert [p.df for p in packets if p.fragment] == [False, False]
        assert not [p for p in packets if p.kind == "clear" and not p.fragment]
        counters = left.counters()
        assert counters["pmtu.learnt"] == counters["tx.too_big"] == 1
        assert counters["tx.error"] == 0
        with net.capture("ua") as capture:
            passes(1300, df=False)
            passes(1000, df=True)
        packets = [p for p in capture.packets() if p.kind == "esp"]
        assert len(packets) == 3 and all(p.df and not p.fragment for p in packets)
        assert left.counters()["pmtu.learnt"] == left.counters()["tx.too_big"] == 1
