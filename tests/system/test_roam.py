"""A gateway that travels: out of one network, into another, with and without NATs, while a copy and
a stream of packets go on (R06, U1). What is lost and how long it takes is printed, not asserted:
the machine that runs the tests is shared."""

import signal
import time

import pytest

from lib import topo, transfer
from lib.pulse import Pulse
from lib.roads import assert_nothing_in_clear, host_of, report
from lib.wait import until
from lib.warren import Warrend, psk_peer

pytestmark = pytest.mark.alone

# From where to where, and which families there are in both.
MOVES = {
    "plain-plain": ("wifi", "lte", (4,)),
    "plain-plain-6": ("wifi", "lte", (6,)),
    "plain-nat": ("wifi", "home", (4,)),
    "nat-nat": ("home", "cafe", (4,)),
    "nat-same-address": ("home", "inn", (4,)),
    "nat-plain": ("home", "lte", (4,)),
}


def _pair(net, a=None, b=None, top=None):
    """b has no idea where a is; a knows both addresses of b."""
    site_b = psk_peer(net.b, net.a, "site-b.example", "site-a.example", 4, start="listen",
                      **(b or {}))
    del site_b["address"]
    right = Warrend(net.lab, net.b.gw, {}, {"a": site_b})
    site_a = psk_peer(net.a, net.b, "site-a.example", "site-b.example", 4, start="up")
    site_a["address"] = [net.b.outer4, net.b.outer6]
    site_a.update(a or {})
    left = Warrend(net.lab, net.a.gw, top or {}, {"b": site_a})
    return left, right


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
                with report(self._record, name, pulse) as moment:
                    moment.usable = change()
                    pulse.beats()
                    copy.passed()
        assert_nothing_in_clear(captures)


def _ends(left, right):
    """The SPIs of the one IKE SA, and where each end believes to be."""
    ours, theirs = left.wait_up("b"), right.wait_up("a")
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    return (ours["spi_i"], ours["spi_r"]), ours, theirs


@pytest.mark.parametrize("move", MOVES)
def test_moves(roads, record_property, move):
    """From one network into another, without any in between: the IKE SA stays, the copy goes on."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert host_of(ours["local"]) == net.roads[old].address(families[0])
    Travel(net, left, right, record_property).go(
        move, lambda: net.move(old, new, families), old, new)
    after, ours, theirs = _ends(left, right)
    assert after == spis, "the same IKE SA"
    assert host_of(ours["local"]) == net.roads[new].address(families[0])
    assert host_of(theirs["remote"]) == net.roads[new].seen(families[0])
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
    assert host_of(ours["local"]) == net.roads[new].address(family) == host_of(theirs["remote"])
    assert host_of(ours["remote"]) == net.b.outer(family)


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
    assert host_of(ours["local"]) == new.split("/")[0]


@pytest.mark.parametrize("family", [4, 6])
def test_default_route_moves(roads, record_property, family):
    """Wi-Fi and LTE are both there; which one is used the metric of the default route says. There
    and back, without a packet lost."""
    net = roads
    net.join("wifi", (family,), metric=100)
    net.join("lte", (family,), metric=200)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert host_of(ours["local"]) == net.roads["wifi"].address(family)
    travel = Travel(net, left, right, record_property)
    for dev, metric in (("lte", 50), ("lte", 300)):
        travel.go(f"metric {metric}", lambda dev=dev, metric=metric: net.prefer(dev, metric, family),
                  "wifi", "lte")
        want = "lte" if metric == 50 else "wifi"
        until(lambda: host_of(left.wait_up("b")["local"]) == net.roads[want].address(family),
              f"the tunnel to be in {want}")
    after, _, _ = _ends(left, right)
    assert after == spis


@pytest.mark.parametrize("mobike", [True, False], ids=["mobike", "plain"])
@pytest.mark.parametrize("talks", ["site", "peer"])
def test_nat_forgets(roads, record_property, mobike, talks):
    """The NAT box is restarted: its mappings are gone, the next ones have other ports. An authentic
    packet of the site shows the new one (RFC 7296 section 2.23, RFC 4555 section 3.8); where only
    the peer has something to say that is the site's question whether the peer is alive."""
    net = roads
    net.join("home", (4,))
    left, right = _pair(net, a={"keepalive": "2s", "dpd_delay": "1s"}, b={"mobike": mobike})
    spis, ours, theirs = _ends(left, right)
    before = theirs["remote"]
    assert ours["mobike"] == mobike == theirs["mobike"]
    src, dst = (net.a, net.b) if talks == "site" else (net.b, net.a)
    with net.watched("home") as captures:
        with Pulse(src.host, src.host4, dst.host, dst.host4) as pulse:
            with report(record_property, f"forgetful NAT, {talks} talks", pulse) as moment:
                net.roads["home"].nat.forget("21000-21999")
                moment.usable = time.monotonic()
                pulse.beats()
    assert_nothing_in_clear(captures)
    after, _, theirs = _ends(left, right)
    assert after == spis
    assert theirs["remote"] != before
    assert 21000 <= int(theirs["remote"].rsplit(":", 1)[1]) <= 21999


@pytest.mark.parametrize("family", [4, 6])
def test_hub_moves(roads, record_property, family):
    """The end that was called gets a second uplink, and says so; then the first one breaks. The
    other end finds the second by itself (RFC 4555 sections 3.6 and 3.10)."""
    net = roads
    net.join("wifi", (family,))
    left, right = _pair(net, a={"address": net.b.outer(family)})
    spis, _, _ = _ends(left, right)
    net.second_uplink()
    second = {4: "198.51.101.1", 6: "2001:db8:7::1"}[family]
    until(lambda: second in right.status()["addresses"], "b to know its new address")

    # Site b's first device is the one that is lost: its far end is watched until then.
    with net.watched("wifi", second=True) as captures:
        with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
              Pulse(net.a.host, net.a.host6, net.b.host, net.b.host6) as pulse):
            with report(record_property, f"the hub moves, IPv{family}", pulse) as moment:
                moment.usable = net.lose_first_uplink()
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after, ours, _ = _ends(left, right)
    assert after == spis
    assert host_of(ours["remote"]) == second


def test_tentative_address_is_not_used(roads):
    """An IPv6 address for which duplicates are still being looked for is none; neither is one that
    turned out to be somebody else's. One that is deprecated goes as soon as there is another."""
    net = roads
    net.join("wifi", (6,))
    left, right = _pair(net, a={"address": net.b.outer6})
    spis, _, _ = _ends(left, right)
    gw = net.a.gw
    gw.sysctl("net.ipv6.conf.all.accept_dad", 1)
    gw.sysctl("net.ipv6.conf.wifi.accept_dad", 1)
    gw.sysctl("net.ipv6.conf.wifi.dad_transmits", 3)
    ours = net.roads["wifi"].address(6)
    # The router has it: what we find is that it is taken.
    net.u.ip("addr", "add", "2001:db8:1::66/64", "dev", "uwifi", "nodad")
    gw.ip("addr", "add", "2001:db8:1::66/64", "dev", "wifi")
    until(lambda: "dadfailed" in gw.ip("addr", "show", "dev", "wifi").stdout, "the duplicate")
    assert left.status()["addresses"] == [ours]
    # This one is free, which takes three seconds to find out.
    gw.ip("addr", "add", "2001:db8:1::77/64", "dev", "wifi")
    assert "tentative" in gw.ip("addr", "show", "dev", "wifi").stdout
    assert "2001:db8:1::77" not in left.status()["addresses"]
    until(lambda: "2001:db8:1::77" in left.status()["addresses"], "the end of the search")
    assert "tentative" not in gw.ip("addr", "show", "dev", "wifi", "to", "2001:db8:1::77").stdout
    # A lifetime that is over but for using it up.
    gw.ip("addr", "change", f"{ours}/64", "dev", "wifi", "preferred_lft", "0", "valid_lft", "600")
    until(lambda: host_of(left.wait_up("b")["local"]) == "2001:db8:1::77", "the other address")
    assert left.status()["addresses"] == ["2001:db8:1::77"]
    assert _ends(left, right)[0] == spis
    # The only one there is: better than none.
    gw.ip("addr", "change", "2001:db8:1::77/64", "dev", "wifi", "preferred_lft", "0", "valid_lft",
          "600")
    until(lambda: left.status()["addresses"], "deprecated ones, since there are no others")
    net.a.host.ping(net.b.host4)


def test_inner_addresses_are_not_told(roads):
    """Neither those of the sites behind us, nor what is on the tunnel's device, nor of a device that
    is down; all of them where `listen` does not say less."""
    net = roads
    net.join("wifi")
    left, _ = _pair(net)
    left.wait_up("b")
    assert set(left.status()["addresses"]) == {net.roads["wifi"].address(4),
                                               net.roads["wifi"].address(6)}
    net.join("lte", metric=9)
    until(lambda: len(left.status()["addresses"]) == 4, "both networks' addresses")
    net.leave("lte")
    until(lambda: len(left.status()["addresses"]) == 2, "those of one network")
    net.a.gw.ip("addr", "add", "203.0.113.99/32", "dev", left.device)
    before = left.counters()["host.net.looks"]
    net.a.gw.ip("addr", "add", "203.0.113.98/32", "dev", "lo")
    left.wait_counter("host.net.looks", before)
    until(lambda: "203.0.113.98" in left.status()["addresses"], "an address of no uplink's")
    assert "203.0.113.99" not in left.status()["addresses"]


def test_while_stopped(roads):
    """What happened while the daemon could not look is found when it can: it sees a network as it
    is, not as it was told. (A machine that sleeps is the same with longer nights.)"""
    net = roads
    net.join("wifi")
    left, right = _pair(net)
    spis, _, _ = _ends(left, right)
    left.proc.send(signal.SIGSTOP)
    net.move("wifi", "home", (4,))
    for number in range(40):            # and more news than anybody has to say
        net.a.gw.ip("addr", "add", f"10.1.200.{number + 1}/32", "dev", "lan")
    net.move("home", "lte", (4,))
    left.proc.send(signal.SIGCONT)
    until(lambda: net.a.host.ping(net.b.host4, count=1, wait=1, check=False), "an answer")
    after, ours, _ = _ends(left, right)
    assert after == spis
    assert host_of(ours["local"]) == net.roads["lte"].address(4)


def test_many_news(roads):
    """A router on the same host changes its routes without end: looks are bounded, nothing is
    forgotten, and the daemon stays idle enough to answer."""
    net = roads
    net.join("wifi", (4,))
    left, right = _pair(net)
    _ends(left, right)
    before = left.counters()["host.net.looks"]
    began = time.monotonic()
    gw = net.a.gw
    batch = "".join(f"route add 172.20.{i}.0/24 dev wifi\nroute del 172.20.{i}.0/24 dev wifi\n"
                    for i in range(250))
    for _ in range(8):
        gw.run("ip", "-batch", "-", input=batch)
    net.move("wifi", "lte", (4,))
    until(lambda: host_of(left.wait_up("b")["local"]) == net.roads["lte"].address(4), "the move")
    looks = left.counters()["host.net.looks"] - before
    assert left.counters()["host.net.put_off"] > 0
    assert looks <= 16 + 8 * (time.monotonic() - began + 1), looks


@pytest.mark.parametrize("family", [4, 6])
def test_uplink_dies_silently(roads, record_property, family):
    """Wi-Fi and LTE are both there, the routes say Wi-Fi, and Wi-Fi leads nowhere any more without
    saying so. Traffic shows that the peer is silent; it is tried from the other address, by the
    other device, and the tunnel goes on there, though the routes still say Wi-Fi."""
    net = roads
    net.join("wifi", (family,), metric=100)
    net.join("lte", (family,), metric=200)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert host_of(ours["local"]) == net.roads["wifi"].address(family)
    with net.watched("wifi", "lte") as captures:
        with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
              Pulse(net.a.host, net.a.host6, net.b.host, net.b.host6) as pulse):
            with report(record_property, f"silent uplink, IPv{family}", pulse) as moment:
                net.u.nft("""
                    table netdev hole {
                        chain in { type filter hook ingress device "uwifi" priority 0;
                                   meta protocol { ip, ip6 } drop; }
                    }""")
                moment.usable = time.monotonic()
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after, ours, theirs = _ends(left, right)
    assert after == spis
    assert host_of(ours["local"]) == net.roads["lte"].address(family) == host_of(theirs["remote"])


def test_without_mobike(roads, record_property):
    """A peer that cannot move gets another tunnel at once: the copy goes on all the same."""
    net = roads
    net.join("wifi", (4,))
    left, right = _pair(net, a={"mobike": False})
    spis, ours, _ = _ends(left, right)
    assert not ours["mobike"]
    Travel(net, left, right, record_property).go(
        "without MOBIKE", lambda: net.move("wifi", "lte", (4,)), "wifi", "lte")
    until(lambda: host_of(left.wait_up("b")["local"]) == net.roads["lte"].address(4), "the new one")
    assert _ends(left, right)[0] != spis


def test_listen(roads):
    """`listen` names two addresses. One that goes is not used any more, one that comes back is;
    one that it does not name never is."""
    net = roads
    net.join("wifi", (4,), metric=100)
    net.join("lte", (4,), metric=200)
    wifi, lte = (net.roads[dev].address(4) for dev in ("wifi", "lte"))
    net.a.gw.ip("addr", "add", "192.0.2.99/32", "dev", "wifi")
    left, right = _pair(net, a={"address": net.b.outer4}, top={"listen": [wifi, lte]})
    spis, ours, _ = _ends(left, right)
    assert host_of(ours["local"]) == wifi
    assert set(left.status()["addresses"]) == {wifi, lte}
    net.a.gw.ip("addr", "del", f"{wifi}/24", "dev", "wifi")
    until(lambda: host_of(left.wait_up("b")["local"]) == lte, "the other one")
    assert left.status()["addresses"] == [lte]
    net.a.host.ping(net.b.host4)
    net.a.gw.ip("addr", "add", f"{wifi}/24", "dev", "wifi")
    net.a.gw.ip("addr", "del", "192.0.2.99/32", "dev", "wifi")
    net.a.gw.ip("route", "replace", "default", "via", "192.0.2.254", "dev", "wifi", "metric", "10")
    until(lambda: host_of(left.wait_up("b")["local"]) == wifi, "the first one, which is back")
    net.a.host.ping(net.b.host4)
    assert _ends(left, right)[0] == spis


def test_rules_by_source(roads):
    """The operator's routing rules are followed as routes are."""
    net = roads
    net.join("wifi", (4,), metric=100)
    net.join("lte", (4,), metric=200)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert host_of(ours["local"]) == net.roads["wifi"].address(4)
    gw = net.a.gw
    gw.ip("route", "add", "default", "via", "203.0.113.254", "dev", "lte", "table", "77")
    gw.ip("rule", "add", "to", net.b.outer4, "lookup", "77", "priority", "100")
    until(lambda: host_of(left.wait_up("b")["local"]) == net.roads["lte"].address(4), "the rule")
    gw.ip("rule", "del", "to", net.b.outer4, "lookup", "77", "priority", "100")
    until(lambda: host_of(left.wait_up("b")["local"]) == net.roads["wifi"].address(4), "no rule")
    assert _ends(left, right)[0] == spis
