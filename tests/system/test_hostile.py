"""S2: malformed, truncated, replayed, forged and flooded IKE and ESP raise a named counter and
change nothing else. The attacker sits on the underlay router and can send from any address;
test_misbehave.py has what is wrong in a message, case by case.

One pair of daemons serves the whole module; after every attack the SA is the same one and carries
packets.
"""

import os
import random
import struct

import pytest

from lib import ike, topo, tshark
from lib.capture import Capture, read_pcap
from lib.ike import Spoofer
from lib.wait import until
from lib.warren import Warrend, psk_pair

QUICK = {"retransmit_timeout": "300ms", "retransmit_tries": 6}


class World:
    """A running pair, what the attacker has recorded of it, and (from the key log) its keys."""

    def __init__(self, lab):
        self.lab, self.net = lab, topo.TwoSites(lab)
        self.tables = lab.subdir("keylog")
        with Capture(lab, self.net.u, "ua") as capture:
            self.left, self.right = psk_pair(
                self.net, top=({**QUICK, "keylog": self.tables}, QUICK))
            self.sa = self.left.wait_up("b")
            self.right.wait_up("a")
            self.net.a.host.ping(self.net.b.host4, count=20, interval=0.01)
        self.recorded = read_pcap(capture.file)
        self.a, self.b = self.net.a.outer4, self.net.b.outer4
        self.attacker = Spoofer(self.net.u)

    def from_a(self, kind):
        """Recorded datagrams that site a sent."""
        return [p for p in self.recorded if p.kind == kind and p.src == self.a]

    def port(self):
        """The port that site a uses: the attacker can fake it."""
        return int(self.sa["local"].rsplit(":", 1)[1]), int(self.sa["remote"].rsplit(":", 1)[1])

    def spis(self):
        return bytes.fromhex(self.sa["spi_i"]), bytes.fromhex(self.sa["spi_r"])

    def esp(self, payload, source=None):
        self.attacker.send(source or self.a, self.b, 4500, 4500, payload)

    def ike(self, payload, source=None, port=500):
        marker = bytes(4) if port == 4500 else b""
        self.attacker.send(source or self.a, self.b, port, port, marker + payload)

    def replay(self, packet):
        self.attacker.send(packet.src, packet.dst, packet.sport, packet.dport, packet.payload)

    def check_unharmed(self):
        """The same SA, the same child, and packets go through in both directions."""
        now = self.left.wait_up("b")
        other = self.right.wait_up("a")
        for sa in (now, other):
            assert (sa["spi_i"], sa["spi_r"]) == (self.sa["spi_i"], self.sa["spi_r"])
        assert now["child_sas"][0]["spi_in"] == self.sa["child_sas"][0]["spi_in"]
        assert other["remote"] == self.sa["local"], "nobody moved the tunnel"
        self.net.a.host.ping(self.net.b.host4)
        self.net.b.host.ping(self.net.a.host6)


@pytest.fixture(scope="module")
def world(modlab):
    new = World(modlab)
    yield new
    new.attacker.close()


@pytest.fixture(autouse=True)
def unharmed(world):
    """Every test of this module begins and ends with the tunnel as it was."""
    world.check_unharmed()
    yield
    world.check_unharmed()


def _dropped(counters, prefix):
    """Sum of what was dropped for a reason: all counters of that prefix but those of mere
    arrival."""
    return sum(value for name, value in counters.items()
               if name.startswith(prefix) and name.rsplit(".", 1)[1] not in _ARRIVAL)


_ARRIVAL = {"datagrams", "packets", "bytes", "ok", "keepalives", "keepalive"}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_ike(world, seed):
    """S2: recorded messages of the SA with random bytes changed, seeded."""
    dice = random.Random(seed)
    before = _dropped(world.right.counters(), "ike.rx.")
    messages = [p for p in world.from_a("ike")]
    for _ in range(200):
        packet = dice.choice(messages)
        damaged = bytearray(packet.payload)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        world.attacker.send("192.0.2.77", world.b, packet.sport, packet.dport, bytes(damaged))
    until(lambda: _dropped(world.right.counters(), "ike.rx.") > before, "damage to be counted")


def test_replayed_ike(world):
    """S2: old requests and responses of the SA itself, from the right address."""
    before = [_dropped(d.counters(), "ike.rx.") for d in (world.left, world.right)]
    recorded = [p for p in world.recorded if p.kind == "ike"]
    for _ in range(20):
        for packet in recorded:
            world.replay(packet)
    until(lambda: all(_dropped(d.counters(), "ike.rx.") > b for d, b in
                      zip((world.left, world.right), before)), "replays to be counted")


def test_forged_requests_inside_the_sa(world):
    """S2: right SPIs and message ids, wrong ICV: no answer, no retransmission state, no delete."""
    spi_i, spi_r = world.spis()
    before = _dropped(world.right.counters(), "ike.rx.")
    for msgid in range(64):
        body = os.urandom(8 + 24 + 16)
        world.ike(ike.message([(ike.SK, body)], spi_i, spi_r, ike.INFORMATIONAL, ike.INITIATOR,
                              msgid), port=world.port()[1])
    until(lambda: _dropped(world.right.counters(), "ike.rx.") >= before + 64,
          "64 forgeries to be counted")


def test_unprotected_notifies_are_ignored(world):
    """RFC 7296 section 2.4 and 1.5: nothing in clear ends an SA."""
    spi_i, spi_r = world.spis()
    before = _dropped(world.right.counters(), "ike.rx.")
    for kind in (4, 11, 24, 7):     # INVALID_IKE_SPI, INVALID_SPI, AUTHENTICATION_FAILED, SYNTAX
        for flags in (ike.INITIATOR, ike.INITIATOR | ike.RESPONSE):
            world.ike(ike.message([(ike.NOTIFY, ike.notify(kind))], spi_i, spi_r,
                                  ike.INFORMATIONAL, flags, 0), port=world.port()[1])
    delete = struct.pack("!BBH", 1, 0, 0)
    world.ike(ike.message([(ike.DELETE, delete)], spi_i, spi_r, ike.INFORMATIONAL, ike.INITIATOR,
                          2), port=world.port()[1])
    until(lambda: _dropped(world.right.counters(), "ike.rx.") >= before + 9, "nine to be counted")


# ---- ESP


def test_replayed_esp(world):
    """S2: every recorded ESP packet again, three times: counted as replays, delivered never."""
    recorded = world.from_a("esp")
    assert len(recorded) == 20
    counters = world.right.counters()
    before = counters["esp.rx.replay"] + counters["esp.rx.old"]
    delivered = world.right.wait_up("a")["child_sas"][0]["packets_in"]
    for _ in range(3):
        for packet in recorded:
            world.replay(packet)

    def counted():
        now = world.right.counters()
        return now["esp.rx.replay"] + now["esp.rx.old"] >= before + 60
    until(counted, "60 replays to be counted")
    assert world.right.wait_up("a")["child_sas"][0]["packets_in"] == delivered


def test_tampered_esp(world):
    """S2: a bit changed anywhere in a packet with a fresh sequence number fails the ICV."""
    packet = world.from_a("esp")[-1].payload
    fresh = packet[:4] + struct.pack("!I", 5000) + packet[8:]
    before = world.right.counters()["esp.rx.auth"]
    for at in range(8, len(fresh)):
        damaged = bytearray(fresh)
        damaged[at] ^= 1 << at % 8
        world.esp(bytes(damaged))
    world.right.wait_counter("esp.rx.auth", before + len(fresh) - 9)


def test_forged_sequence_numbers(world):
    """RFC 4303 section 3.4.3: an unauthenticated number never moves the window, so a forged far
    one does not make the real next packet old."""
    packet = world.from_a("esp")[-1].payload
    before = world.right.counters()["esp.rx.auth"]
    numbers = [10_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]
    for number in numbers:
        world.esp(packet[:4] + struct.pack("!I", number) + packet[8:])
    world.right.wait_counter("esp.rx.auth", before)
    world.net.a.host.ping(world.net.b.host4)


ESP_CASES = {
    "seq-zero": ("esp.rx.seq_zero", lambda p: p[:4] + bytes(4) + p[8:]),
    "cut": ("esp.rx.short", lambda p: p[:16]),
    "unknown-spi": ("rx.unknown_spi", lambda p: os.urandom(4).replace(b"\0", b"\1") + p[4:]),
}


@pytest.mark.parametrize("name", ESP_CASES)
def test_malformed_esp(world, name):
    counter, change = ESP_CASES[name]
    before = world.right.counters().get(counter, 0)
    world.esp(change(world.from_a("esp")[-1].payload))
    world.right.wait_counter(counter, before)


def test_insider_outside_its_selectors(world):
    """S1, S2: a peer with the right keys may not source what it was not given (RFC 4301 section
    5.2):
    forged with the SA's own key from the key log, correct in every other way."""
    spi = int(world.sa["child_sas"][0]["spi_out"], 16)
    key = tshark.esp_keys(world.tables)[spi]
    esn = "noesn" not in world.sa["child_sas"][0]["proposal"]
    before = world.right.counters()["esp.rx.selector"]
    with Capture(world.lab, world.net.b.host, "lan") as capture:
        for number, (src, dst) in enumerate([("10.9.9.9", world.net.b.host4),
                                             (world.net.a.host4, "10.3.0.1"),
                                             (world.net.b.host4, world.net.b.host4)]):
            # Far enough ahead of the real sender to be new, close enough not to outrun it.
            world.esp(ike.esp(key, spi, 3000 + number, ike.ipv4_udp(src, dst, 9, 9, b"forged"),
                              esn))
        world.right.wait_counter("esp.rx.selector", before + 2)
    assert not [p for p in capture.packets() if b"forged" in p.data]


# ---- floods


def _rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_flood_of_garbage(world):
    """S2: 20,000 datagrams of noise to both ports: the tunnel goes on meanwhile, memory stays."""
    dice = random.Random(1)
    noise = [dice.randbytes(dice.randint(1, 1400)) for _ in range(200)]
    before, counters = _rss_kib(world.right.pid), world.right.counters()
    for turn in range(20):
        for count in range(1000):
            data = noise[(turn * 1000 + count) % len(noise)]
            source = f"192.0.2.{dice.randint(2, 250)}"
            world.attacker.send(source, world.b, dice.randint(1024, 65535),
                                500 if count % 2 else 4500, data)
        world.net.a.host.ping(world.net.b.host4, count=1)
    now = world.right.counters()
    assert _dropped(now, "ike.rx.") > _dropped(counters, "ike.rx.")
    assert now["rx.unknown_spi"] > counters["rx.unknown_spi"]
    assert _rss_kib(world.right.pid) < before + 8192


def test_flood_of_inits_needs_cookies(lab):
    """P6, S2: 5,000 good IKE_SA_INIT requests from forged addresses: past half_open_cookie = 32
    they are only asked for a cookie (RFC 7296 section 2.6), and a real peer still gets in.

    With a pair of its own: half-open SAs live for half a minute (tests/exchange sees them end).
    """
    world = World(lab)
    before = _rss_kib(world.right.pid)
    with Capture(lab, world.net.u, "ub") as capture, world.attacker:
        for count in range(5000):
            source = f"198.18.{count // 250}.{count % 250 + 1}"
            world.ike(ike.init(), source=source)
            if count % 500 == 499:
                world.net.a.host.ping(world.net.b.host4, count=1)
        assert 32 <= world.right.status()["half_open"] <= 64
    cookies = [p for p in capture.packets() if p.kind == "ike" and p.src == world.b
               and p.dst.startswith("198.18.") and _is_cookie_request(p.payload)]
    assert len(cookies) > 1000
    assert _rss_kib(world.right.pid) < before + 8192
    _real_peer_gets_in(world)


def _is_cookie_request(message):
    return message[16] == ike.NOTIFY and message[34:36] == struct.pack("!H", 16390)


def _real_peer_gets_in(world):
    """While half-open SAs are still held, site a starts afresh and has to send the cookie back."""
    world.left.stop()
    world.right.wait_no_sa("a")
    with Capture(world.lab, world.net.u, "ub") as capture:
        world.left.start()
        world.left.wait_up("b")
        assert world.right.status()["half_open"] >= 32
    assert any(_is_cookie_request(p.payload) for p in capture.packets()
               if p.kind == "ike" and p.src == world.b and p.dst == world.a)
    world.net.a.host.ping(world.net.b.host4)


def test_unanswered_attacker_learns_nothing(lab):
    """A peer that is not configured gets no more than RFC 7296 demands: garbage is never
    answered."""
    net = topo.TwoSites(lab)
    daemon = Warrend(lab, net.b.gw, {}, {"a": {
        "address": net.a.outer4, "local_id": "b", "remote_id": "a", "psk": "x" * 20,
        "local_ts": [net.b.lan4], "remote_ts": [net.a.lan4], "start": "listen"}})
    with net.capture("ub") as capture, Spoofer(net.u) as attacker:
        for _ in range(50):
            attacker.send("192.0.2.77", net.b.outer4, 500, 500, os.urandom(60))
            attacker.send("192.0.2.77", net.b.outer4, 4500, 4500, b"\1" * 60)
        before = _dropped(daemon.counters(), "ike.rx.")
        assert before > 0
    assert not [p for p in capture.packets() if p.src == net.b.outer4 and p.kind in ("ike", "esp")]
