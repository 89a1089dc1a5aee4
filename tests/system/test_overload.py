"""P6, S2: a responder whom many call at once (RFC 8019), with floods that are counted, not timed.

A flood of forged requests leaves half_open_cookie half-open SAs and then only cookies; puzzles come
when a responder is told to ask for them early. Whoever is honest gets in all the same: a peer that
solves puzzles, one that knows none (strongSwan 5.9), one behind the attacker's own NAT.
"""

import json
import os
import socket

import pytest

from lib import ike
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend, build_dir, psk_peer

pytestmark = pytest.mark.alone

MIB = 1024


def _bench(name):
    return os.path.join(build_dir(), "tests/bench", name)


def _rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class World:
    """b answers and knows no address of a peer; a calls; u forges, and drops what comes back."""

    def __init__(self, net, top=None):
        self.net = net
        net.u.ip("route", "add", "blackhole", "198.18.0.0/16")
        section = psk_peer(net.b, net.a, "site-b.example", "site-a.example", 4, start="listen",
                           dpd_delay="0s")
        del section["address"]
        self.hub = Warrend(net.lab, net.b.gw, top or {}, {"a": section})
        self.site = None

    def start_site(self):
        self.site = Warrend(self.net.lab, self.net.a.gw, {}, {"b": psk_peer(
            self.net.a, self.net.b, "site-a.example", "site-b.example", 4, start="up")})

    def forge(self, count, rate=5000):
        """Requests from as many addresses; the daemon has read them when this returns, but for
        those that the kernel could not keep for it."""
        out = self.net.u.run(_bench("flood_spoof"), self.net.b.outer4, "500", "198.18.0.0",
                             "65536", str(count), str(rate)).stdout
        assert json.loads(out)["sent"] == count
        until(lambda: self.load()["half_open"] > 0, "the first of the flood")

    def load(self):
        return self.hub.status()["load"]

    def connects(self):
        if self.site:
            self.site.start()
        else:
            self.start_site()
        self.site.wait_up("b")
        self.hub.wait_up("a")
        self.net.a.host.ping(self.net.b.host4)

    def site_leaves(self):
        self.site.stop()
        self.hub.wait_no_sa("a")

    def strongswan_connects(self):
        charon = Charon(self.net.lab, self.net.a.gw)
        charon.psk("p", PSK, "site-a.example", "site-b.example")
        charon.connection("c", self.net.a.outer4, self.net.b.outer4, "site-a.example",
                          "site-b.example", self.net.a.lan4, self.net.b.lan4,
                          extra="keyingtries = 0")
        charon.load()
        charon.initiate("c", check=False, timeout=5)
        until(lambda: charon.established("c") == 1, "strongSwan to get in", deadline=90)


def _event(daemon, words):
    return words in daemon.log()


def test_flood_of_forged_requests(two_sites):
    """P6: memory and half-open SAs are bounded, honest peers get in with a cookie, the level is
    reported and goes back."""
    world = World(two_sites)
    before = _rss_kib(world.hub.pid)
    world.forge(5000)
    load, counters = world.load(), world.hub.counters()
    assert load["level"] == "cookies"
    assert load["half_open"] == 32 and load["prefixes"] <= 32
    assert load["key_exchanges"] == 0 and load["puzzle_bits"] == 0
    assert counters["ike.cookie.sent"] > 1000
    assert counters["ike.load.raised"] == 1
    assert "load        cookies, 32 of 4096 half-open" in world.hub.cli("status").stdout
    assert _event(world.hub, "load was calm and is cookies now")
    world.connects()
    assert world.hub.counters()["ike.cookie.bad"] == 0
    world.site_leaves()
    world.strongswan_connects()
    assert _rss_kib(world.hub.pid) < before + 32 * MIB
    until(lambda: world.load()["level"] == "calm", "the load to fall", deadline=60)
    assert world.hub.counters()["ike.load.lowered"] == 1


def test_puzzles(two_sites):
    """Puzzles: one of ours solves one, strongSwan knows none and gets in by lot."""
    world = World(two_sites, {"half_open_cookie": 1000, "half_open_puzzle": 24})
    world.forge(500)
    load = world.load()
    assert load["level"] == "puzzles" and load["half_open"] == 24
    assert load["puzzle_bits"] >= 9
    assert world.hub.counters()["ike.puzzle.sent"] > 100
    world.connects()
    assert world.hub.counters()["ike.puzzle.solved"] == 1
    # It is known by now, and asked for a cookie only.
    asked = world.hub.counters()["ike.puzzle.sent"]
    world.site_leaves()
    world.connects()
    assert world.hub.counters()["ike.puzzle.sent"] == asked
    world.site_leaves()


def test_who_knows_no_puzzles(two_sites):
    """RFC 8019 section 7.1: a legacy initiator has a chance, with every retransmission a new
    one."""
    world = World(two_sites, {"half_open_cookie": 1000, "half_open_puzzle": 24})
    world.forge(500)
    assert world.load()["level"] == "puzzles"
    world.strongswan_connects()
    counters = world.hub.counters()
    assert counters["ike.puzzle.solved"] == 0 and counters["ike.puzzle.bad"] == 0


def test_attacker_behind_the_same_nat(natted):
    """Section 4.2: an address over its soft limit pays, and nobody behind it is locked out."""
    world = World(natted)
    gate = natted.a.gw
    gate.ip("route", "add", "local", "192.168.1.64/26", "dev", "lo")
    out = gate.run(_bench("flood_init"), natted.b.outer4, "500", "192.168.1.64", "16",
                   "400").stdout
    flood, load = json.loads(out), world.load()
    assert flood["cookies"] > 300
    assert load["level"] == "calm"
    assert load["worst_prefix"] == f"{natted.public_a}/32"
    assert load["worst_half_open"] == load["half_open"] == 8
    assert world.hub.counters()["ike.admit.prefix"] > 300
    world.connects()
    # Everybody else is asked for nothing.
    sent = world.hub.counters()["ike.cookie.sent"]
    world.forge(10)
    assert world.hub.counters()["ike.cookie.sent"] == sent


def test_junk_ike_auth(two_sites):
    """Messages that fail the integrity check cost a bounded number of checks and no job, and the
    SA is still there for who made it."""
    world = World(two_sites)
    with two_sites.u.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(20)
    request = ike.init()
    sock.sendto(request, (two_sites.b.outer4, 500))
    answer = sock.recv(4096)
    assert answer[:8] == request[:8] and answer[8:16] != bytes(8)
    signed = world.hub.status()["signer"]["done"]
    for _ in range(400):
        sock.sendto(ike.message([(ike.SK, os.urandom(200))], spi_i=answer[:8], spi_r=answer[8:16],
                                exchange=ike.AUTH, msgid=1), (two_sites.b.outer4, 500))
    sock.close()
    until(lambda: world.hub.counters()["ike.rx.datagrams"] >= 401, "the junk to be read")
    counters = world.hub.counters()
    assert counters["ike.rx.integrity"] + counters["ike.rx.junk_limited"] == 400
    assert 16 <= counters["ike.rx.integrity"] < 100
    assert world.load()["half_open"] == 1 and world.load()["level"] == "cookies"
    assert world.hub.status()["signer"]["done"] == signed
    world.connects()
