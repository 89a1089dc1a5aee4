"""warrend with a real strongSwan: it initiates or responds, PSK or ECDSA, IPv4 or IPv6 outside.

One charon per address family has all four connections loaded, and so has one warrend; they differ
in identities and in the inner networks, number N = 1..4:

    host-a 10.1.N.2, fd00:1:0:N::2      host-b 10.2.N.2, fd00:2:0:N::2
    gw-a   10.1.N.1, fd00:1:0:N::1      gw-b   10.2.N.1, fd00:2:0:N::1

(The gateways' own addresses are there for charon: kernel-libipsec installs no route without one
inside the local selectors, and calls that TS_UNACCEPTABLE.)
"""

import pytest

from lib import topo, transfer
from lib.capture import Capture
from lib.lab import Lab
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend

CELLS = {"init-psk": 1, "init-ecdsa": 2, "resp-psk": 3, "resp-ecdsa": 4}
QUICK = {"retransmit_timeout": "300ms", "retransmit_tries": 4}


class World:
    """Both daemons with all connections, and the hosts' addresses."""

    def __init__(self, lab, pki, family):
        self.family, self.lab = family, lab
        self.net = topo.TwoSites(lab)
        for number in CELLS.values():
            for site, side in ((self.net.a, 1), (self.net.b, 2)):
                for ns, last in ((site.gw, 1), (site.host, 2)):
                    topo.addresses(ns, "lan", f"10.{side}.{number}.{last}/24",
                                   f"fd00:{side}:0:{number}::{last}/64")
        self.charon = Charon(lab, self.net.b.gw)
        self.leafs = [pki.leaf(f"cells-{side}", ", ".join(
            f"DNS:{name}.{side}.example" for name in CELLS)) for side in "ab"]
        self.charon.trust(pki)
        self.charon.own(self.leafs[1])
        for name, number in CELLS.items():
            self._connection(name, number)
        self.charon.load()
        top = {"certificate": self.leafs[0].chain, "key": self.leafs[0].key,
               "trust": [pki.cert], **QUICK}
        self.warrend = Warrend(lab, self.net.a.gw, top, {
            name: self._peer(name, number) for name, number in CELLS.items()})

    def _connection(self, name, number):
        outer = self.net.b.outer(self.family), self.net.a.outer(self.family)
        theirs, ours = self._ids(name)
        self.charon.connection(
            name, *outer, theirs, ours, ",".join(self.selectors(2, number)),
            ",".join(self.selectors(1, number)), cert=self.leafs[1] if "ecdsa" in name else None)
        if "psk" in name:
            self.charon.psk(name, PSK, theirs, ours)

    def _peer(self, name, number):
        theirs, ours = self._ids(name)
        auth = {} if "ecdsa" in name else {"psk": PSK}
        return {"address": self.net.b.outer(self.family), "local_id": ours, "remote_id": theirs,
                "local_ts": self.selectors(1, number), "remote_ts": self.selectors(2, number),
                "start": "listen", "dpd_delay": "0s", "esp_proposals": ["aes128gcm16-noesn"],
                **auth}

    @staticmethod
    def _ids(name):
        """(strongSwan's, ours). One certificate a side has the names of all its ECDSA cells."""
        at = "." if "ecdsa" in name else "@"
        return f"{name}{at}b.example", f"{name}{at}a.example"

    @staticmethod
    def selectors(side, number):
        return [f"10.{side}.{number}.0/24", f"fd00:{side}:0:{number}::/64"]

    def inner(self, side, number):
        return f"10.{side}.{number}.2", f"fd00:{side}:0:{number}::2"

    def bring_up(self, name):
        if name.startswith("init"):
            self.warrend.cli("up", name)
        else:
            self.charon.initiate(name)
        sa = self.warrend.wait_up(name)
        until(lambda: self.charon.established(name) == 1, f"charon to have {name}")
        return sa


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def world(request, pki):
    with Lab() as lab:
        yield World(lab, pki, request.param)


@pytest.mark.parametrize("name", CELLS)
def test_tunnel(world, name):
    """Ping both families, copy both ways, nothing in clear; then delete from our side, and again
    from strongSwan's."""
    net, number = world.net, CELLS[name]
    with Capture(world.lab, net.u, "ua") as capture:
        sa = world.bring_up(name)
        assert sa["initiator"] is name.startswith("init")
        assert ("ecdsa" if "ecdsa" in name else "psk") in sa["auth_remote"]
        assert sa["child_sas"][0]["remote_ts"] == world.selectors(2, number)
        for ours, theirs in zip(world.inner(1, number), world.inner(2, number)):
            net.a.host.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-I", ours, theirs)
            transfer.copy(net.a.host, net.b.host, theirs, 1 << 20, source=ours)
        transfer.copy(net.b.host, net.a.host, world.inner(1, number)[0], 1 << 20,
                      source=world.inner(2, number)[0])
        world.warrend.cli("down", name)
        until(lambda: "ESTABLISHED" not in world.charon.sas(name), "charon to see our delete")
        world.bring_up(name)
        world.charon.terminate(name)
        world.warrend.wait_no_sa(name)
    assert capture.kinds()["clear"] == 0, capture.clear()[:5]


def test_dead_peer_detection(lab):
    """Two SAs, each probed by one side only: strongSwan's probes are answered by us, ours by it;
    then ours find strongSwan gone."""
    net = topo.TwoSites(lab)
    charon = Charon(lab, net.b.gw)
    peers = {}
    for name, lan, theirs, ours in (("ours", "lan4", "0s", "1s"), ("theirs", "lan6", "1s", "0s")):
        us, them = f"a@{name}", f"b@{name}"
        near, far = getattr(net.a, lan), getattr(net.b, lan)
        charon.psk(name, PSK, us, them)
        charon.connection(name, net.b.outer4, net.a.outer4, them, us, far, near, dpd=theirs)
        peers[name] = {"address": net.b.outer4, "local_id": us, "remote_id": them, "psk": PSK,
                       "local_ts": [near], "remote_ts": [far], "start": "listen",
                       "dpd_delay": ours, "esp_proposals": ["aes128gcm16-noesn"]}
    charon.load()
    daemon = Warrend(lab, net.a.gw, {"retransmit_timeout": "200ms", "retransmit_tries": 4}, peers)
    for name in peers:
        daemon.cli("up", name)
    spis = {name: daemon.wait_up(name)["spi_i"] for name in peers}
    with net.capture() as capture:
        def both_probed():
            probes = [p for p in capture.packets() if p.kind == "ike" and _is_probe(p.payload)]
            answers = [p for p in capture.packets() if p.kind == "ike" and _is_answer(p.payload)]
            return all(sum(p.src == side.outer4 for p in kind) >= 2
                       for kind in (probes, answers) for side in (net.a, net.b))
        until(both_probed, "two probes from either side, each with an answer")
    assert {name: daemon.wait_up(name)["spi_i"] for name in peers} == spis
    assert all(charon.established(name) == 1 for name in peers)
    net.a.host.ping(net.b.host4)
    net.a.host.ping(net.b.host6)
    watch = daemon.watch()
    charon.proc.kill()
    watch.wait("dpd_dead", peer="ours")
    daemon.wait_no_sa("ours")


def _informational(payload, response):
    message = payload[4:] if payload[:4] == bytes(4) else payload
    return message[18] == 37 and bool(message[19] & 0x20) == response


def _is_probe(payload):
    return _informational(payload, False)


def _is_answer(payload):
    return _informational(payload, True)


def test_refused_by_strongswan(lab):
    """AUTHENTICATION_FAILED and NO_PROPOSAL_CHOSEN from strongSwan are reported as what they
    are."""
    net = topo.TwoSites(lab)
    charon = Charon(lab, net.b.gw)
    charon.psk("p", "something else entirely", "a@x", "b@x")
    charon.connection("c", net.b.outer4, net.a.outer4, "b@x", "a@x", net.b.lan4, net.a.lan4)
    charon.load()
    peer = {"address": net.b.outer4, "local_id": "a@x", "remote_id": "b@x", "psk": PSK,
            "local_ts": [net.a.lan4], "remote_ts": [net.b.lan4], "start": "listen"}
    ours = Warrend(lab, net.a.gw, QUICK, {
        "key": peer,
        "suite": {**peer, "local_id": "a2@x", "proposals": ["aes256gcm16-prfsha384-ecp384"]}})
    ours.cli("up", "key", check=False)
    ours.wait_error("key", "AUTHENTICATION_FAILED")
    ours.cli("up", "suite", check=False)
    ours.wait_error("suite", "NO_PROPOSAL_CHOSEN")
    assert ours.status()["child_sas"] == 0
