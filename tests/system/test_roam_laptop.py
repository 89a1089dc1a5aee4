"""A laptop: an endpoint of a network, with a bundle and the name of a hub and nothing else (U1). It
gets its inner addresses from the hub, and keeps them and its connections wherever it goes (R06)."""

import pytest

from lib import transfer
from lib.pulse import Pulse
from lib.roads import assert_nothing_in_clear, host_of, report
from lib.star import HUB, Authority
from lib.warren import Warrend

pytestmark = pytest.mark.alone

POOL = ["10.99.0.0/24", "fd00:99::/64"]
MOVES = {
    "plain-nat": ("wifi", "home", (4,)),
    "nat-plain": ("cafe", "lte", (4,)),
    "v4-v6": ("wifi", "six", (4, 6)),
}


class Corp:
    """The network: a hub at site b; site a's gateway is the laptop, without a site."""

    def __init__(self, net, **keys):
        self.net = net
        net.a.gw.ip("link", "del", "lan")
        hubs = f"{net.b.outer4},{net.b.outer6}"
        self.authority = Authority(net.lab)
        self.authority.hub(hubs=hubs)
        self.hub = Warrend(net.lab, net.b.gw, {"identity": self.authority.path(HUB)}, {}, networks={
            "corp": ({"role": "hub", "domain": ["10.0.0.0/8", "fd00::/16"], "pool": POOL,
                      "protect": [net.b.lan4, net.b.lan6], **keys}, {})})
        self.authority.endpoint("laptop.example", hubs=hubs)

    def laptop(self, **keys):
        """The whole of its file; the hubs are in the bundle."""
        return Warrend(self.net.lab, self.net.a.gw,
                       {"identity": self.authority.path("laptop.example")}, {},
                       networks={"corp": (keys, {})})


def _inner(laptop):
    """Its addresses on the tunnel's device: IPv4, IPv6."""
    child, = laptop.wait_up("corp")["child_sas"]
    four, six = (ts.split("/")[0] for ts in child["local_ts"])
    return four, six


@pytest.mark.parametrize("move", MOVES)
def test_laptop_travels(roads, record_property, move):
    """Its addresses stay its own, its connections go on; both ends may begin one."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families[:1])
    corp = Corp(net)
    laptop = corp.laptop()
    four, six = _inner(laptop)
    assert four.startswith("10.99.0.") and six.startswith("fd00:99::")
    net_status, = laptop.status()["networks"]
    assert net_status["role"] == "endpoint"
    gw = net.a.gw
    assert f"inet {four}/32" in gw.ip("addr", "show", "dev", laptop.device).stdout
    before = laptop.wait_up("corp")
    with net.watched(old, new) as captures:
        with (transfer.Ongoing(gw, net.b.host, net.b.host4) as copy,
              Pulse(net.b.host, net.b.host6, gw, six) as pulse):
            with report(record_property, f"laptop, {move}", pulse) as moment:
                moment.usable = net.move(old, new, families[-1:])
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after = laptop.wait_up("corp")
    assert (after["spi_i"], after["spi_r"]) == (before["spi_i"], before["spi_r"])
    assert host_of(after["local"]) == net.roads[new].address(families[-1])
    assert _inner(laptop) == (four, six)
    assert corp.hub.peers()["laptop.example"]["ike_sas"][0]["remote"].startswith(
        "[" + net.roads[new].address(6) if families[-1] == 6 else net.roads[new].public)


def test_laptop_sleeps_somewhere_else(roads):
    """The tunnel is lost altogether, and the hub has forgotten it: in the next network the same
    addresses are its own again, and what was begun before goes on."""
    net = roads
    net.join("home", (4,))
    corp = Corp(net, dpd_delay="1s")
    laptop = corp.laptop()
    four, six = _inner(laptop)
    with transfer.Ongoing(net.a.gw, net.b.host, net.b.host4, deadline=120) as copy:
        net.leave("home")
        corp.hub.cli("down", "laptop.example")
        corp.hub.wait_no_sa("laptop.example")
        net.join("lte", (4,))
        copy.passed()
    assert _inner(laptop) == (four, six)


def test_laptop_is_no_leak(roads):
    """Before the tunnel is up, and when it is lost, nothing of the domain leaves in clear, also not
    from the inner address; what is outside of the domain goes out as ever (S3)."""
    net = roads
    net.join("wifi", (4,))
    corp = Corp(net)
    laptop = corp.laptop()
    four, _ = _inner(laptop)
    gw = net.a.gw
    with net.watched("wifi") as captures:
        assert gw.ping(net.b.host4)
        corp.hub.kill()
        assert gw.ping(net.b.host4, count=5, wait=1, check=False) == 0
        assert gw.run("ping", "-n", "-c", "2", "-W", "1", "-I", four, net.b.host4,
                      check=False).returncode != 0
        laptop.kill()
        assert gw.ping(net.b.host4, count=3, wait=1, check=False) == 0
        gw.ping(net.b.outer4, count=1)
    clear = [packet for capture in captures for packet in capture.clear()]
    assert {packet.dst for packet in clear} <= {net.b.outer4, net.roads["wifi"].address(4)}
