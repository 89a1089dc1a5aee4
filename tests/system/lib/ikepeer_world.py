"""What a test of misbehaviour needs around the peer of ikepeer.py: a daemon that knows it under
many names, an SA that must not notice anything, and a look at what has changed.

The peer is at gw-a's address; the daemon is on gw-b, with host-b behind it:

    peer 192.0.2.1 ----- u ----- 198.51.100.1 warrend ----- 10.2.0.2 host-b

*.case.test calls the daemon; each name has an address in 10.128.0.0/9 and an SA of its own.
r0.call.test ... are called by it, one after the other, with 10.64.0.0/10: at port 4500, those
below CALLS_500 at 500. standing.case.test is up all the time.
"""

import itertools
import json
import socket

import pytest

from . import topo
from .ikepeer import Credentials, Peer, Sa
from .wait import DEADLINE, until
from .warren import PSK, Warrend

DAEMON = "b.test"
IKE_PROPOSALS = ["aes128gcm16-prfsha256-x25519", "aes128-sha256-prfsha256-x25519",
                 "aes128gcm16-prfsha256-ecp256"]
ESP_PROPOSALS = ["aes128gcm16-noesn", "aes128gcm16-x25519-noesn"]
CALLS_500, CALLS = 4, 20
# What goes up when nothing is wrong.
_NEUTRAL = {"ike.rx.datagrams", "ike.tx.datagrams", "ike.peers_compared", "ike.sa.established",
            "ike.child.established", "ike.child.rekeyed", "ike.sa.rekeyed", "ike.load.raised",
            "ike.load.lowered", "ike.cookie.sent", "ike.rx.fragments", "ike.rx.fragment_messages",
            "ike.tx.fragments"}


class Control:
    """The control socket, kept open (docs/control.md): a look costs no process."""

    def __init__(self, daemon):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(DEADLINE)
        self._sock.connect(daemon.socket)
        self._lines = self._sock.makefile()
        self._ids = itertools.count(1)

    def ask(self, cmd, **arguments):
        number = next(self._ids)
        self._sock.sendall(json.dumps({"id": number, "cmd": cmd, **arguments}).encode() + b"\n")
        answer = json.loads(self._lines.readline())
        assert answer["id"] == number and answer["ok"], answer
        return answer["result"]

    def close(self):
        self._lines.close()
        self._sock.close()


class Look:
    """The daemon's counters and numbers of SAs at one moment."""

    def __init__(self, status):
        self.counters = {name: value for name, value in status["counters"].items()
                         if name.startswith("ike.")}
        self.ike_sas, self.half_open = status["ike_sas"], status["half_open"]
        self.child_sas = status["child_sas"]

    def check_sas(self, before):
        """No SA has come or gone, but for what earlier tests left behind: half-open ones end after
        half a minute, failed ones after ten seconds."""
        assert self.child_sas == before.child_sas
        assert self.ike_sas <= before.ike_sas and self.half_open <= before.half_open

    def risen(self, before):
        """{name: by how much} of what says that something was wrong."""
        return {name: value - before.counters[name] for name, value in self.counters.items()
                if value > before.counters[name] and name not in _NEUTRAL}


class World:
    """See the head of this file."""

    def __init__(self, lab, top=None, section=None, leaf=None, calls=CALLS):
        """section: more keys of the peers; leaf(name) issues a certificate, instead of a PSK;
        calls: how many peers are there to be called."""
        self.lab, self.leaf = lab, leaf
        self.net = topo.TwoSites(lab)
        self.host, self.host4 = self.net.b.host, self.net.b.host4
        # The peer does what its case says and answers nothing else: no question whether it lives.
        cases = {"local_id": DAEMON, "remote_id": "*.case.test",
                 **({} if leaf else {"psk": PSK}), "local_ts": [self.net.b.lan4],
                 "remote_ts": ["10.128.0.0/9"], "start": "listen",
                 "proposals": IKE_PROPOSALS, "esp_proposals": ESP_PROPOSALS, "dpd_delay": "0s",
                 "silence": False, **(section or {})}
        peers = {"cases": cases}
        for number in range(calls):
            peers[f"r{number}"] = {**cases, "address": self.net.a.outer4,
                                   "port": 500 if number < CALLS_500 else 4500,
                                   "remote_id": f"r{number}.call.test",
                                   "remote_ts": [f"{self._address(64, number)}/32"]}
        # No case waits for a retransmission, and none is to be in the way of another.
        self.daemon = Warrend(lab, self.net.b.gw, {
            **{f"half_open_{what}": 100000 for what in ("cookie", "puzzle", "max")},
            "half_open_prefix": 0, "init_rate_cookie": 100000, "retransmit_timeout": "10s",
            **(top or {})}, peers)
        self.control = Control(self.daemon)
        self.peer = Peer(self.net.a.gw, self.net.a.outer4, self.net.b.outer4)
        self._numbers = itertools.count(1)
        self._calls = {500: itertools.cycle(range(CALLS_500)),
                       4500: itertools.cycle(range(CALLS_500, calls))}
        self.standing = self.case("standing").establish()

    @staticmethod
    def _address(second, number):
        return f"10.{second}.{number >> 8}.{number & 255}"

    def close(self):
        self.control.close()
        self.peer.close()

    def _credentials(self, name):
        if not self.leaf:
            return Credentials(name, PSK)
        leaf = self.leaf(name)
        return Credentials(name, cert=leaf.cert, key=leaf.key)

    def case(self, name=None, **kwargs):
        """An SA that will call the daemon, under a name of its own."""
        number = next(self._numbers)
        return Sa(self.peer, self._credentials(f"{name or f'c{number}'}.case.test"), DAEMON,
                  (f"{self._address(128, number)}/32",), (self.net.b.lan4,), **kwargs)

    def call(self, port=4500, **kwargs):
        """An SA that the daemon begins: it has been told so, its request is on the way."""
        number = next(self._calls[port])
        sa = Sa(self.peer, self._credentials(f"r{number}.call.test"), DAEMON,
                (f"{self._address(64, number)}/32",), (self.net.b.lan4,), initiator=False, **kwargs)
        sa.section = f"r{number}"
        self.control.ask("up", peer=sa.section)
        sa.called_as = bytes.fromhex(until(lambda: self._calling(sa.section),
                                           f"{sa.section} to be called"))
        return sa

    def _calling(self, section):
        return next((item["spi_i"] for item in self.ike_sas(section)
                     if item["state"] in ("starting", "init-sent")), None)

    def hang_up(self, sa):
        """The daemon gives up what it wanted of that section; nothing is left of it."""
        self.control.ask("down", peer=sa.section)

    def look(self):
        return Look(self.control.ask("status"))

    def settled(self):
        """Everything that was sent on port 4500 before has been dealt with: datagrams of one pair
        of ports keep their order, and this one is answered at once."""
        self.standing.probe()
        return self.look()

    def ike_sas(self, name):
        """IKE SAs of one of our names, as the daemon has them."""
        listed = self.control.ask("peers", peer=name)["peers"]
        return [sa for entry in listed for sa in entry["ike_sas"]]

    def last_error(self, sa):
        """Why the last attempt with that peer failed, as the operator sees it."""
        entry, = self.control.ask("peers", peer=sa.own.name)["peers"]
        return entry["last_error"]

    def check_standing(self):
        """Nobody else's misbehaviour has touched it."""
        self.standing.children[0].ping(self.host4)

    def state(self, sa):
        """The state of this very SA, None when there is none."""
        return next((item["state"] for item in self.ike_sas("*")
                     if (item["spi_i"], item["spi_r"]) == (sa.spi_i.hex(), sa.spi_r.hex())), None)

    def alive(self, sa):
        """Whether the daemon would do anything more in this SA than repeat what it said."""
        return self.state(sa) not in (None, "failed", "closed")

    def carries(self, sa):
        """Packets both ways through the newest child. The initiator of an SA can receive only when
        it has dealt with the answer (section 2.8): where that is the daemon, that is waited for."""
        child = sa.children[-1]
        if not child.begun:
            until(lambda: any(item["installed"] and item["spi_in"] == child.spi_out.hex()
                              for entry in self.ike_sas(getattr(sa, "section", sa.own.name))
                              for item in entry["child_sas"]), f"{sa.own.name}'s child to be there")
        child.ping(self.host4)
        child.pinged(self.host, self.host4)


@pytest.fixture(scope="module", name="world")
def module_world(modlab):
    """For modules that import it: a world for all of their cases."""
    new = World(modlab)
    yield new
    new.close()
