"""warrend with strongSwan: who initiates x authentication x suite x address family outside.

One pair of daemons per family has all connections loaded. They differ in identities and in the
inner networks, number N = 1...:

    host-a 10.1.N.2, fd00:1:0:N::2      host-b 10.2.N.2, fd00:2:0:N::2
    gw-a   10.1.N.1, fd00:1:0:N::1      gw-b   10.2.N.1, fd00:2:0:N::1

(The gateways' own addresses are there for charon: kernel-libipsec installs no route without one inside the
local selectors, and calls that TS_UNACCEPTABLE.)

Over IPv4 charon's algorithms are OpenSSL's, like ours; over IPv6 its own, where it has its own.
"""

import contextlib
import dataclasses

import pytest

from lib import matrix, topo, transfer
from lib.lab import Lab
from lib.pki import Pki
from lib.strongswan import PLUGINS, Charon
from lib.wait import until
from lib.warren import PSK, Warrend

OWN_CRYPTO = "aes sha2 hmac gcm chapoly curve25519 gmp mgf1"
QUICK = {"retransmit_timeout": "300ms", "retransmit_tries": 5}
INITIATORS = ("warren", "strongSwan")


@dataclasses.dataclass(frozen=True)
class Auth:
    """How both ends authenticate: kinds of key over IPv4 and over IPv6, and what strongSwan calls
    the method where the key alone does not decide it."""

    title: str
    kinds: dict
    method: str
    charon: str = None


@dataclasses.dataclass(frozen=True)
class Suite:
    """The cipher of IKE and ESP, over IPv4 and over IPv6, and the PRF with it."""

    title: str
    ciphers: dict
    prf: str


AUTHS = {
    "psk": Auth("PSK", None, "psk"),
    "ecdsa": Auth("ECDSA", {4: "p256", 6: "p384"}, "ecdsa"),
}
SUITES = {
    "gcm": Suite("AES-GCM", {4: "aes128gcm16", 6: "aes256gcm16"}, "prfsha256"),
}
KES = ("x25519", "ecp256", "ecp384")


@pytest.fixture(scope="module")
def leafs(tmp_path_factory):
    """Kind of key -> authority, leaf of a, leaf of b; each leaf has the names of all
    connections."""
    made = {}
    for name, auth in AUTHS.items():
        for kind in (auth.kinds or {}).values():
            root = made.get(kind, [None])[0] or Pki(str(tmp_path_factory.mktemp(kind)), f"root-{kind}",
                                                    kind)
            made[kind] = (root, *(root.leaf(f"{kind}-{side}", ", ".join(
                f"DNS:{name}-{suite}.{side}.example" for suite in SUITES for name in AUTHS))
                for side in "ab"))
    return made


class Cell:
    """One connection, configured at both ends."""

    def __init__(self, world, number, auth, suite):
        self.world, self.number, self.auth = world, number, AUTHS[auth]
        self.name = f"{auth}-{suite}"
        self.ids = {side: f"{self.name}.{side}.example" for side in "ab"}
        family, suite = world.family, SUITES[suite]
        self.cipher = suite.ciphers[family]
        self.ke = KES[(number + (2 if family == 6 else 0)) % len(KES)]
        self.ike = f"{self.cipher}-{suite.prf}-{self.ke}"
        self.esp = f"{self.cipher}-noesn"
        self.inner = {side: (f"10.{side}.{number}.2", f"fd00:{side}:0:{number}::2")
                      for side in (1, 2)}
        self.ts = {side: [f"10.{side}.{number}.0/24", f"fd00:{side}:0:{number}::/64"]
                   for side in (1, 2)}
        self.leafs = world.leafs[self.auth.kinds[family]] if self.auth.kinds else (None,) * 3

    def addresses(self, net):
        for site, side in ((net.a, 1), (net.b, 2)):
            for ns, last in ((site.gw, 1), (site.host, 2)):
                topo.addresses(ns, "lan", f"10.{side}.{self.number}.{last}/24",
                               f"fd00:{side}:0:{self.number}::{last}/64")

    def connection(self, charon, net):
        family = self.world.family
        if not self.auth.kinds:
            charon.psk(self.name, PSK, self.ids["a"], self.ids["b"])
        charon.connection(self.name, net.b.outer(family), net.a.outer(family), self.ids["b"],
                          self.ids["a"], ",".join(self.ts[2]), ",".join(self.ts[1]),
                          cert=self.leafs[2], ike=self.ike, esp=self.esp, auth=self.auth.charon)

    def peer(self, net):
        root, leaf, _ = self.leafs
        auth = ({"certificate": leaf.chain, "key": leaf.key, "trust": [root.cert]} if leaf else
                {"psk": PSK})
        return {"address": net.b.outer(self.world.family), "local_id": self.ids["a"],
                "remote_id": self.ids["b"], "local_ts": self.ts[1], "remote_ts": self.ts[2],
                "start": "listen", "dpd_delay": "0s", "proposals": [self.ike],
                "esp_proposals": [self.esp], **auth}


class World:
    """Both daemons with all connections of one address family."""

    def __init__(self, lab, leafs, family):
        self.lab, self.leafs, self.family = lab, leafs, family
        self.net = topo.TwoSites(lab)
        pairs = [(auth, suite) for auth in AUTHS for suite in SUITES]
        self.cells = {pair: Cell(self, number, *pair) for number, pair in enumerate(pairs, 1)}
        for cell in self.cells.values():
            cell.addresses(self.net)
        self.charon = Charon(lab, self.net.b.gw, plugins=(
            PLUGINS if family == 4 else f"{OWN_CRYPTO} {PLUGINS}"))
        for root, _, leaf in leafs.values():
            self.charon.trust(root)
            self.charon.own(leaf)
        for cell in self.cells.values():
            cell.connection(self.charon, self.net)
        self.charon.load()
        self.warrend = Warrend(lab, self.net.a.gw, QUICK, {
            cell.name: cell.peer(self.net) for cell in self.cells.values()})
        self.clear = ClearPackets(self.net.u)


class ClearPackets:
    """Counts what crosses the underlay and is neither IKE nor ESP in UDP, nor about neighbours."""

    def __init__(self, ns):
        self.ns = ns
        ns.nft("""
            table inet watch {
                counter clear { }
                chain underlay {
                    type filter hook prerouting priority -300; policy accept;
                    udp dport { 500, 4500 } accept
                    icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } accept
                    counter name clear
                }
            }""")

    def count(self):
        listed = self.ns.run("nft", "list", "counter", "inet", "watch", "clear").stdout
        return int(listed.split("packets ")[1].split()[0])


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def world(request, leafs):
    with Lab() as lab:
        yield World(lab, leafs, request.param)


def bring_up(world, name, initiator):
    """Returns what either end says of the new IKE SA."""
    if initiator == "warren":
        world.warrend.cli("up", name)
    else:
        world.charon.initiate(name)
    ours = world.warrend.wait_up(name)
    theirs, = until(lambda: settled(world.charon, name), f"charon to have {name}")
    return ours, theirs


@contextlib.contextmanager
def contained(world, name):
    """Of a test that failed nothing is left for the next one to stumble over."""
    try:
        yield
    except BaseException:
        world.warrend.cli("down", name, check=False)
        world.charon.swanctl("--terminate", "--ike", name, "--force", check=False)
        raise


def settled(charon, name):
    """The IKE SAs of a connection, once none is coming or going."""
    sas = charon.list_sas(name)
    assert all(sa["state"] == "ESTABLISHED" for sa in sas), sas
    assert all(child["state"] == "INSTALLED" for sa in sas for child in sa["child-sas"]), sas
    return sas


def take_down(world, name, by):
    if by == "warren":
        world.warrend.cli("down", name)
        until(lambda: not world.charon.list_sas(name), f"charon to see our delete of {name}")
    else:
        world.charon.terminate(name)
        world.warrend.wait_no_sa(name)


def exchange(net, inner):
    """Pings and checked copies, both ways, in both inner families."""
    for ours, theirs in zip(inner[1], inner[2]):
        net.a.host.run("ping", "-n", "-c", "2", "-i", "0.01", "-W", "5", "-I", ours, theirs)
        net.b.host.run("ping", "-n", "-c", "2", "-i", "0.01", "-W", "5", "-I", theirs, ours)
    transfer.copy(net.a.host, net.b.host, inner[2][0], 1 << 18, source=inner[1][0])
    transfer.copy(net.b.host, net.a.host, inner[1][1], 1 << 18, source=inner[2][1])


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("auth", AUTHS)
def test_suite(world, auth, suite, initiator, record_property):
    """Up with exactly that suite, as both say; traffic both ways, every packet counted at both
    ends, none in clear; down, and nothing left."""
    cell = world.cells[auth, suite]
    matrix.cell(record_property, "warren and strongSwan: suites of IKE and ESP, both the same",
                f"{cell.auth.title}, IPv{world.family}, {initiator} initiates",
                SUITES[suite].title, f"ok {cell.ke}")
    with contained(world, cell.name):
        ours, theirs = bring_up(world, cell.name, initiator)
        assert ours["initiator"] is (initiator == "warren")
        assert ours["proposal"] == matrix.ike_suite(theirs) == cell.ike
        assert cell.auth.method in ours["auth_remote"] and cell.auth.method in ours["auth_local"]
        (ours,), (theirs,) = ours["child_sas"], theirs["child-sas"]
        assert ours["proposal"] == matrix.esp_suite(theirs) == cell.cipher
        assert ours["remote_ts"] == theirs["local-ts"] == cell.ts[2]
        exchange(world.net, cell.inner)
        until(lambda: same_packets(world, cell.name), "both ends to have counted the same packets")
        take_down(world, cell.name, initiator)
    assert world.clear.count() == 0


def same_packets(world, name):
    (ours,), = (sa["child_sas"] for sa in world.warrend.peers()[name]["ike_sas"])
    (theirs,), = (sa["child-sas"] for sa in world.charon.list_sas(name))
    assert ours["packets_out"] == int(theirs["packets-in"]) > 100, (ours, theirs)
    assert ours["packets_in"] == int(theirs["packets-out"]) > 100, (ours, theirs)
    return ours["dropped_in"] == 0
