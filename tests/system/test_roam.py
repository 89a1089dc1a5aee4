"""A gateway that travels: out of one network, into another, with and without NATs, while a copy and
a stream of packets go on (R06, U1). What is lost and how long it takes is printed, not asserted:
the machine that runs the tests is shared."""

import time

import pytest

from lib import topo, transfer
from lib.pulse import Pulse
from lib.roads import assert_nothing_in_clear
from lib.wait import until
from lib.warren import Warrend, psk_peer

# From where to where, and which families there are in both.
MOVES = {
    "plain-plain": ("wifi", "lte", (4,)),
    "plain-plain-6": ("wifi", "lte", (6,)),
    "plain-nat": ("wifi", "home", (4,)),
    "nat-nat": ("home", "cafe", (4,)),
    "nat-same-address": ("home", "inn", (4,)),
    "nat-plain": ("home", "lte", (4,)),
}


def _pair(net, a=None, b=None):
    """b has no idea where a is; a knows both addresses of b."""
    site_b = psk_peer(net.b, net.a, "site-b.example", "site-a.example", 4, start="listen",
                      **(b or {}))
    del site_b["address"]
    right = Warrend(net.lab, net.b.gw, {}, {"a": site_b})
    site_a = psk_peer(net.a, net.b, "site-a.example", "site-b.example", 4, start="up")
    site_a["address"] = [net.b.outer4, net.b.outer6]
    site_a.update(a or {})
    left = Warrend(net.lab, net.a.gw, {}, {"b": site_a})
    return left, right


def _report(record_property, name, pulse, began, usable):
    """Prints and keeps what a move cost."""
    line = (f"{name}: traffic flowed {pulse.flowing(usable) * 1000:.1f} ms after the new address "
            f"was usable, round trip {pulse.round_trip() * 1000:.1f} ms; "
            f"{pulse.lost(began, time.monotonic())} of {len(pulse.sent)} packets lost, "
            f"{(usable - began) * 1000:.0f} ms without a network")
    record_property("move", line)
    print(line)


class Travel:
    """A copy and a pulse between the sites, watched by captures in the networks named."""

    def __init__(self, net, left, right, record_property):
        self.net, self.left, self.right = net, left, right
        self._record = record_property

    def go(self, name, change, *networks):
        """change() makes the move and returns the moment from which on the new network was
        usable."""
        net = self.net
        with net.watched(*networks) as captures:
            with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
                  Pulse(net.b.host, net.b.host6, net.a.host, net.a.host6) as pulse):
                began = time.monotonic()
                usable = change()
                pulse.beats()
                copy.passed()
                _report(self._record, name, pulse, began, usable)
        assert_nothing_in_clear(captures)


def _ends(left, right):
    """The SPIs of the one IKE SA, and where each end believes to be."""
    ours, theirs = left.wait_up("b"), right.wait_up("a")
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    return (ours["spi_i"], ours["spi_r"]), ours, theirs


def _host(endpoint):
    return endpoint.rsplit(":", 1)[0].strip("[]")


@pytest.mark.parametrize("move", MOVES)
def test_moves(roads, record_property, move):
    """From one network into another, without any in between: the IKE SA stays, the copy goes on."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert _host(ours["local"]) == net.roads[old].address(families[0])
    Travel(net, left, right, record_property).go(
        move, lambda: net.move(old, new, families), old, new)
    after, ours, theirs = _ends(left, right)
    assert after == spis, "the same IKE SA"
    assert _host(ours["local"]) == net.roads[new].address(families[0])
    assert _host(theirs["remote"]) == (net.roads[new].public if families == (4,) else
                                       net.roads[new].address(6))
    assert ours["nat_local"] == bool(net.roads[new].nat) == theirs["nat_remote"]


@pytest.mark.parametrize("told", ["configured", "by-the-hub"])
@pytest.mark.parametrize("old,new,family", [("wifi", "six", 6), ("six", "lte", 4)],
                         ids=["v4-v6", "v6-v4"])
def test_other_family(roads, record_property, old, new, family, told):
    """The new network has none of the addresses of the old one's family: the other end is reached
    at its other address, which is in the configuration, or was told in the IKE SA."""
    net = roads
    net.join(old, (10 - family,))
    peer = net.b.outer(10 - family) if told == "by-the-hub" else [net.b.outer4, net.b.outer6]
    left, right = _pair(net, a={"address": peer})
    spis, _, _ = _ends(left, right)
    Travel(net, left, right, record_property).go(
        f"{old}-{new}", lambda: net.move(old, new, (family,)), old, new)
    after, ours, theirs = _ends(left, right)
    assert after == spis
    assert _host(ours["local"]) == net.roads[new].address(family) == _host(theirs["remote"])
    assert _host(ours["remote"]) == net.b.outer(family)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("gap", [True, False], ids=["gap", "overlap"])
def test_address_replaced(roads, record_property, family, gap):
    """On one device, as DHCP or a router's announcement does it: another address, and another
    route; the old address goes before, or after."""
    net = roads
    old, new, far = {4: ("192.0.2.1/24", "203.0.113.1/24", "203.0.113.254"),
                     6: ("2001:db8:1::1/64", "2001:db8:3::1/64", "2001:db8:3::fe")}[family]
    net.join("wifi", (family,))
    net.u.ip("addr", "flush", "dev", "ulte", "scope", "global")
    topo.addresses(net.u, "uwifi", f"{far}/{new.split('/')[1]}")
    left, right = _pair(net)
    spis, _, _ = _ends(left, right)
    gw = net.a.gw

    def change():
        if gap:
            gw.ip("addr", "del", old, "dev", "wifi")
        topo.addresses(gw, "wifi", new)
        gw.ip(f"-{family}", "route", "replace", "default", "via", far, "dev", "wifi")
        usable = time.monotonic()
        if not gap:
            gw.ip("addr", "del", old, "dev", "wifi")
        return usable

    Travel(net, left, right, record_property).go(
        f"replaced {family} {'gap' if gap else 'overlap'}", change, "wifi")
    after, ours, _ = _ends(left, right)
    assert after == spis
    assert _host(ours["local"]) == new.split("/")[0]


@pytest.mark.parametrize("family", [4, 6])
def test_default_route_moves(roads, record_property, family):
    """Wi-Fi and LTE are both there; which one is used the metric of the default route says. There
    and back, without a packet lost."""
    net = roads
    net.join("wifi", (family,), metric=100)
    net.join("lte", (family,), metric=200)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert _host(ours["local"]) == net.roads["wifi"].address(family)
    travel = Travel(net, left, right, record_property)
    for dev, metric in (("lte", 50), ("lte", 300)):
        travel.go(f"metric {metric}", lambda dev=dev, metric=metric: net.prefer(dev, metric, family),
                  "wifi", "lte")
        want = "lte" if metric == 50 else "wifi"
        until(lambda: _host(left.wait_up("b")["local"]) == net.roads[want].address(family),
              f"the tunnel to be in {want}")
    after, _, _ = _ends(left, right)
    assert after == spis
