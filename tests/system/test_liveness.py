"""Gateways that crash, are upgraded, or are cut off, under traffic: how soon who was connected to
them notices, and is back (P9, R16, V10; RFC 6290). Times are printed, in a table at the end, and not
asserted: the machine that runs the tests is shared."""

import os
import re
import time

import pytest

from lib import matrix, transfer
from lib.pulse import Pulse
from lib.star import DOMAIN, HUB, HUB_OUTER
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import Warrend, psk_keys, psk_pair, PSK

pytestmark = pytest.mark.alone

HUB2, HUB2_OUTER, HUB2_OUTER6 = "hub2.example", "192.0.2.2", "2001:db8::2"
TABLE = "from the loss of a gateway, in milliseconds"


class Loss:
    """What a loss cost; `record` puts it into the table."""

    def __init__(self, pulse):
        self.pulse, self.began, self.times = pulse, time.monotonic(), {}

    def mark(self, what):
        self.times[what] = time.monotonic()

    def wait(self, watch, event, what, **fields):
        """Until that event; its moment."""
        seen = watch.wait(event, **fields)
        self.times[what] = time.monotonic()
        return seen

    def over(self):
        """Until packets flow again; seconds from the loss to the first answer."""
        self.pulse.beats()
        return self.pulse.flowing(self.began)

    def record(self, record_property, row):
        flows = self.over()
        cells = {what: when - self.began for what, when in self.times.items()}
        cells["packets flow"] = flows
        for what, seconds in cells.items():
            matrix.cell(record_property, TABLE, row, what, f"{seconds * 1000:.0f}")
        lost = self.pulse.lost(self.began, self.began + flows)
        print(f"{row}: " + ", ".join(f"{what} after {seconds * 1000:.0f} ms"
                                     for what, seconds in cells.items()) + f", {lost} packets lost")


def _sites(star, corp, **keys):
    """Two sites that talk by the hub."""
    star.start_hub(corp, topology="star")
    return [star.join(corp, number, **keys) for number in (1, 2)]


def _start_second_hub(star, corp):
    bundle = corp.hub(HUB2, hubs=HUB2_OUTER)
    ns = star.lab.netns("hub2")
    star.plug(ns, HUB2_OUTER, HUB2_OUTER6, "phub2")
    ns.sysctl("net.ipv4.ip_forward", 1)
    ns.sysctl("net.ipv6.conf.all.forwarding", 1)
    return Warrend(star.lab, ns, {"identity": bundle}, {},
                   networks={"corp": ({"role": "hub", "domain": list(DOMAIN)}, {})})


def _spi(daemon, peer="corp"):
    return daemon.wait_up(peer)["spi_i"]


# ---- a hub that crashes, and comes back --------------------------------------------------------------


def test_hub_crashes(star, corp, record_property):
    """kill -9 and a start at once: both sites learn by the hub's token that it has lost them, and a
    copy goes on."""
    near, far = _sites(star, corp)
    watches = [site.daemon.watch() for site in (near, far)]
    with transfer.Ongoing(near.host, far.host, far.host4) as copy, \
            Pulse(near.host, near.host6, far.host, far.host6) as pulse:
        loss = Loss(pulse)
        star.hub.kill()
        star.hub.start()
        loss.mark("hub is back")
        for watch in watches:
            loss.wait(watch, "child_up", "sites are back")
        copy.passed()
        loss.record(record_property, "hub: kill -9 and start")
    for site, watch in zip((near, far), watches):
        down = watch.wait("ike_down", peer="corp")
        assert site.daemon.counters()["ike.qcd.accepted"] == 1, site.daemon.log()[-4000:]
        assert "QCD token" in down["text"]
        site.daemon.wait_up("corp")
    assert star.hub.counters()["ike.qcd.sent"] >= 2
    near.host.ping(far.host4)


def test_hub_is_upgraded(star, corp, record_property):
    """SIGTERM, which takes leave of everybody, and a start."""
    near, far = _sites(star, corp)
    watches = [site.daemon.watch() for site in (near, far)]
    with transfer.Ongoing(near.host, far.host, far.host4) as copy, \
            Pulse(near.host, near.host6, far.host, far.host6) as pulse:
        loss = Loss(pulse)
        star.hub.stop()
        loss.mark("hub has left")
        star.hub.start()
        loss.mark("hub is back")
        for watch in watches:
            loss.wait(watch, "child_up", "sites are back")
        copy.passed()
        loss.record(record_property, "hub: SIGTERM and start")
    for site in (near, far):
        assert site.daemon.counters()["ike.dead"] == 0
        site.daemon.wait_up("corp")


def test_hub_stays_away(star, corp, record_property):
    """P9, R16: the hub's cable is cut for good; whoever sends moves to the second hub at once, and
    traffic goes on by that one."""
    second = _start_second_hub(star, corp)
    near, far = _sites(star, corp, hubs=[HUB_OUTER, HUB2_OUTER])
    watches = [site.daemon.watch() for site in (near, far)]
    with transfer.Ongoing(near.host, far.host, far.host4) as copy, \
            Pulse(near.host, near.host6, far.host, far.host6) as pulse:
        star.u.ip("link", "set", "phub", "down")
        loss = Loss(pulse)
        for watch, who in zip(watches, ("who sends suspects", "who receives too")):
            loss.wait(watch, "suspect", who, peer="corp")
        for watch in watches:
            loss.wait(watch, "child_up", "both at the second hub")
        copy.passed()
        loss.record(record_property, "hub: cut off, a second one is there")
    for site in (near, far):
        assert site.daemon.wait_up("corp")["remote"].startswith(HUB2_OUTER)
        assert second.wait_up(site.identity)
        assert site.daemon.counters()["ike.dead"] == 0
    near.host.ping(far.host6)


def test_hub_is_cut_off_for_a_moment(star, corp, record_property):
    """Until both sites are suspicious, and then all is as before: the same SAs."""
    near, far = _sites(star, corp)
    before = [_spi(site.daemon) for site in (near, far)]
    watches = [site.daemon.watch() for site in (near, far)]
    with Pulse(near.host, near.host6, far.host, far.host6) as pulse:
        star.u.ip("link", "set", "phub", "down")
        loss = Loss(pulse)
        for watch, who in zip(watches, ("who sends suspects", "who receives too")):
            loss.wait(watch, "suspect", who, peer="corp")
        shown = near.daemon.cli("peers").stdout
        star.u.ip("link", "set", "phub", "up")
        loss.mark("cable is back")
        for watch in watches:
            loss.wait(watch, "alive", "both heard again", peer="corp")
        loss.record(record_property, "hub: cut off for a moment")
    assert "suspect" in shown
    assert [_spi(site.daemon) for site in (near, far)] == before
    assert all(site.daemon.counters()["ike.sa.established"] == 1 for site in (near, far))


def test_why_tells(star, corp):
    """Who does not answer is seen in peers, status and why, and what happened stays there."""
    near, _ = _sites(star, corp)
    watch = near.daemon.watch()
    with Pulse(near.host, near.host4, star.sites[2].host, star.sites[2].host4):
        star.u.ip("link", "set", "phub", "down")
        watch.wait("suspect", peer="corp")
        sa = near.daemon.peers()["corp"]["ike_sas"][0]
        assert sa["suspect"] and sa["state"] == "established"
        assert re.search(r"^corp\s+suspect", near.daemon.cli("peers").stdout, re.M)
        said = near.daemon.cli("why", "corp", check=False).stdout
        assert re.search(r"answers.*\n?.*does not answer", said) and "suspect" in said, said
        star.u.ip("link", "set", "phub", "up")
        watch.wait("alive", peer="corp")
        assert not near.daemon.peers()["corp"]["ike_sas"][0]["suspect"]


def test_qcd_can_be_left(star, corp, record_property):
    """qcd = no: without tokens the sites find out by asking."""
    star.start_hub(corp, qcd=False, topology="star")
    near, far = [star.join(corp, number, qcd=False) for number in (1, 2)]
    with Pulse(near.host, near.host6, far.host, far.host6) as pulse:
        loss = Loss(pulse)
        star.hub.kill()
        star.hub.start()
        loss.mark("hub is back")
        loss.record(record_property, "hub: kill -9 and start, qcd = no")
    assert star.hub.counters()["ike.qcd.sent"] == 0
    assert near.daemon.counters()["ike.qcd.accepted"] == 0


# ---- foreign peers -----------------------------------------------------------------------------------


def test_strongswan_restarts(two_sites, record_property):
    """A peer that gives no tokens: nothing of the old SA is given up for what it says, but it is
    called anew beside it."""
    net = two_sites
    charon = Charon(net.lab, net.b.gw)
    charon.psk("pair", PSK, "site-a.example", "site-b.example")
    charon.connection("pair", net.b.outer4, net.a.outer4, "site-b.example", "site-a.example",
                      net.b.lan4, net.a.lan4)
    charon.load()
    left = Warrend(net.lab, net.a.gw, {}, {
        "b": {"address": net.b.outer4, "start": "up",
              **psk_keys("site-a.example", "site-b.example", net.a.lan4, net.b.lan4)}})
    left.wait_up("b")
    net.b.gw.ip("rule", "add", "to", net.b.lan4, "lookup", "main", "priority", "200")
    watch = left.watch()
    with Pulse(net.a.host, net.a.host4, net.b.host, net.b.host4) as pulse:
        loss = Loss(pulse)
        charon.restart()
        loss.mark("it is back")
        loss.wait(watch, "child_up", "tunnel is back", peer="b")
        loss.record(record_property, "strongSwan: kill -9 and start")
    left.wait_up("b")
    assert left.counters()["ike.qcd.accepted"] == 0


def test_strongswan_calls_us(two_sites, record_property):
    """The other way round: warrend is killed, and strongSwan, which knows no tokens, asks at its own
    pace; nothing is worse for them."""
    net = two_sites
    right = Warrend(net.lab, net.b.gw, {}, {
        "a": {"start": "listen",
              **psk_keys("site-b.example", "site-a.example", net.b.lan4, net.a.lan4)}})
    charon = Charon(net.lab, net.a.gw)
    charon.psk("pair", PSK, "site-a.example", "site-b.example")
    charon.connection("pair", net.a.outer4, net.b.outer4, "site-a.example", "site-b.example",
                      net.a.lan4, net.b.lan4, start="trap", dpd="2s",
                      child_extra="dpd_action = restart\n")
    charon.load()
    charon.initiate("pair")
    net.a.gw.ip("rule", "add", "to", net.a.lan4, "lookup", "main", "priority", "200")
    right.wait_up("a")
    with Pulse(net.a.host, net.a.host4, net.b.host, net.b.host4) as pulse:
        loss = Loss(pulse)
        right.kill()
        right.start()
        loss.mark("warrend is back")
        pulse.beats(deadline=60)
        loss.record(record_property, "warrend: kill -9, strongSwan called")
    assert right.counters()["ike.qcd.sent"] >= 1


# ---- the secret ---------------------------------------------------------------------------------------


def test_both_ends_give_tokens(two_sites, record_property):
    """Between two gateways who called takes the token of who was called."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    with Pulse(net.a.host, net.a.host4, net.b.host, net.b.host4) as pulse:
        loss = Loss(pulse)
        right.kill()
        right.start()
        loss.mark("it is back")
        loss.record(record_property, "gateway: kill -9 and start")
    assert left.counters()["ike.qcd.accepted"] == 1
    secret = os.path.join(right.state_dir, "qcd.secret")
    found = os.stat(secret)
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)


def _damage(net, path, damage, before):
    if damage == "junk":
        with open(path, "r+b") as file:
            file.write(b"x")
    elif damage == "open":
        os.chmod(path, 0o644)
    else:
        os.unlink(path)
    if damage == "link":
        with open(os.path.join(net.lab.dir, "elsewhere"), "wb") as file:
            file.write(before)
        os.symlink(file.name, path)


@pytest.mark.parametrize("damage", ["junk", "open", "link", "gone"])
def test_damaged_secret(two_sites, damage):
    """A secret that is no secret any more is replaced, with a warning; who has a token of before
    finds out by asking."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    path = os.path.join(right.state_dir, "qcd.secret")
    with open(path, "rb") as file:
        before = file.read()
    with Pulse(net.a.host, net.a.host4, net.b.host, net.b.host4) as pulse:
        right.kill()
        _damage(net, path, damage, before)
        right.start()
        pulse.beats()
    warned = "qcd.secret" in right.log()
    assert warned == (damage != "gone"), right.log()
    with open(path, "rb") as file:
        assert file.read() != before
    assert not os.path.islink(path) and os.stat(path).st_mode & 0o777 == 0o600
    assert left.counters()["ike.qcd.accepted"] == 0
    until(lambda: left.wait_up("b"), "the pair to be up")


def test_no_place_for_a_secret(two_sites):
    """A state directory that cannot be written to, as on a full disk: no tokens, and a warning."""
    net = two_sites
    left, right = psk_pair(net, run_them=False)
    os.mkdir(right.state_dir, 0o755)
    os.mkdir(os.path.join(right.state_dir, "qcd.secret"))
    right.start()
    left.start()
    left.wait_up("b")
    assert "there are no QCD tokens" in right.log()
    assert right.counters()["ike.host.job_failed"] > 0
    net.a.host.ping(net.b.host4)
