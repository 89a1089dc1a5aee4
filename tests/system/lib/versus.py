"""warrend on gw-a with strongSwan, or another warrend, on gw-b: both daemons with many tunnels
configured, so that a test brings up one, does something to it and takes it down, and no daemon
starts in between.

Tunnels differ in identities and in the inner networks, number N = 1...:

    host-a 10.1.N.2, fd00:1:0:N::2      host-b 10.2.N.2, fd00:2:0:N::2
    gw-a   10.1.N.1, fd00:1:0:N::1      gw-b   10.2.N.1, fd00:2:0:N::1

(The gateways' own addresses are there for charon: kernel-libipsec installs no route without one
inside the local selectors, and calls that TS_UNACCEPTABLE.)
"""

import contextlib
import dataclasses

from . import topo, transfer
from .pki import Pki
from .strongswan import PLUGINS, Charon
from .stream import Stream
from .wait import until
from .warren import PSK, Warrend

INITIATORS = ("warren", "strongSwan")
QUICK = {"retransmit_timeout": "300ms", "retransmit_tries": 5}
IKE = "aes128gcm16-prfsha256-x25519"
ESP = "aes128gcm16"


@dataclasses.dataclass
class Tunnel:
    """A connection of both ends. ours and theirs, child: more keys of warren's peer section, of
    strongSwan's connection, and of its child."""

    name: str
    family: int = 4
    kind: str = None                    # of the certificates' keys; None: a pre-shared key
    ike: str = IKE
    esp: str = ESP
    auth: str = None                    # strongSwan's constraint on the signature, if any
    ours: dict = dataclasses.field(default_factory=dict)
    theirs: str = ""
    child: str = ""
    secrets: str = ""                   # more of strongSwan's secrets section
    number: int = 0

    def identity(self, side):
        return f"{self.name}.{side}.example"

    def host(self, side):
        """Both addresses of the host on side 1 (gw-a's) or 2."""
        return f"10.{side}.{self.number}.2", f"fd00:{side}:0:{self.number}::2"

    def selectors(self, side):
        return [f"10.{side}.{self.number}.0/24", f"fd00:{side}:0:{self.number}::/64"]


class Authorities:
    """Kind of key -> authority, leaf of a, leaf of b, made when asked for. A leaf has the names of
    all tunnels. CHAIN is a kind, too: large leafs, each under an intermediate of its own."""

    CHAIN = "chain"

    def __init__(self, directory, names):
        self._dir, self._names, self._made = directory, names, {}

    def __getitem__(self, kind):
        if kind not in self._made:
            root = Pki(str(self._dir), f"root-{kind}", "p256" if kind == self.CHAIN else kind)
            self._made[kind] = (root, *(self._leaf(root, kind, side) for side in (1, 2)))
        return self._made[kind]

    def _leaf(self, root, kind, side):
        names = ", ".join(f"DNS:{name}.{side}.example" for name in self._names)
        if kind != self.CHAIN:
            return root.leaf(f"{kind}-{side}", names)
        return root.intermediate(f"middle-{side}", "rsa2048").leaf(
            f"{kind}-{side}", names, "rsa4096")


class Sites:
    """The two sites with the inner networks of all tunnels, and traffic between them."""

    def __init__(self, lab, tunnels, net=topo.TwoSites, offload=False):
        self.lab, self.net = lab, net(lab, offload)
        self.tunnels = {tunnel.name: tunnel for tunnel in tunnels}
        for number, tunnel in enumerate(tunnels, 1):
            tunnel.number = number
            for site, side in ((self.net.a, 1), (self.net.b, 2)):
                for ns, last in ((site.gw, 1), (site.host, 2)):
                    topo.addresses(ns, "lan", f"10.{side}.{number}.{last}/24",
                                   f"fd00:{side}:0:{number}::{last}/64")
        self.clear = ClearPackets(self.net.u)

    def peer(self, tunnel, here, there):
        """A section of warren's configuration: sides are 1 and 2."""
        return {"address": self.site(there).outer(tunnel.family),
                "local_id": tunnel.identity(here), "remote_id": tunnel.identity(there),
                "local_ts": tunnel.selectors(here), "remote_ts": tunnel.selectors(there),
                "start": "listen", "dpd_delay": "0s", "proposals": [tunnel.ike],
                "esp_proposals": [tunnel.esp]}

    def site(self, side):
        return self.net.a if side == 1 else self.net.b

    def exchange(self, tunnel):
        """Pings and checked copies, both ways, in both inner families."""
        a, b = self.net.a.host, self.net.b.host
        for ours, theirs in zip(tunnel.host(1), tunnel.host(2)):
            for here, source, dest in ((a, ours, theirs), (b, theirs, ours)):
                here.run("ping", "-n", "-c", "2", "-i", "0.01", "-W", "5", "-I", source, dest)
        ours, theirs = tunnel.host(1), tunnel.host(2)
        transfer.copy(a, b, theirs[0], 1 << 18, source=ours[0])
        transfer.copy(b, a, ours[1], 1 << 18, source=theirs[1])

    def count_from_here(self):
        self._overflows = [self._overflow(2), self._overflow(1)]

    def _overflow(self, side):
        """Datagrams that a gateway's kernel has dropped because the daemon was slow to read."""
        with self.site(side).gw.enter():
            with open("/proc/thread-self/net/snmp") as file:
                names, values = [line.split() for line in file if line.startswith("Udp:")]
            with open("/proc/thread-self/net/snmp6") as file:
                six = dict(line.split() for line in file)
        return int(dict(zip(names, values))["RcvbufErrors"]) + int(six["Udp6RcvbufErrors"])

    def wait_same_packets(self, tunnel):
        """Until what either end has sent in the tunnel's child was received by the other, but for
        what its kernel owns up to."""
        def same():
            for i, (sent, received) in enumerate(self.packets(tunnel)):
                dropped = self._overflow(2 - i) - self._overflows[i]
                assert sent == received + dropped > 0, (i, sent, received, dropped)
            return True
        until(same, "both ends to have counted the same packets")

    def stream(self, tunnel, family=4, bursts=0):
        inner = 0 if family == 4 else 1
        return Stream(self.net.a.host, tunnel.host(1)[inner], self.net.b.host,
                      tunnel.host(2)[inner], bursts)


class Pair(Sites):
    """Two of ours, with pre-shared keys."""

    def __init__(self, lab, tunnels):
        super().__init__(lab, tunnels)
        self.left, self.right = (Warrend(lab, self.site(here).gw, QUICK, {
            tunnel.name: {**self.peer(tunnel, here, there), "psk": PSK} for tunnel in tunnels})
            for here, there in ((1, 2), (2, 1)))

    def up(self, tunnel):
        """Returns what either end says of the new child SA."""
        self.left.cli("up", tunnel.name)
        self.count_from_here()
        return self._children(tunnel)

    def _children(self, tunnel):
        return [daemon.wait_up(tunnel.name)["child_sas"][0] for daemon in (self.left, self.right)]

    def down(self, tunnel):
        self.right.cli("down", tunnel.name)
        for daemon in (self.left, self.right):
            daemon.wait_no_sa(tunnel.name)

    def packets(self, tunnel):
        (left, right) = self._children(tunnel)
        assert left["dropped_in"] == right["dropped_in"] == 0, (left, right)
        return [(left["packets_out"], right["packets_in"]),
                (right["packets_out"], left["packets_in"])]


class World(Sites):
    """warrend and strongSwan."""

    def __init__(self, lab, tunnels, authorities=None, plugins=PLUGINS, extra="", top=None,
                 net=topo.TwoSites, offload=False):
        super().__init__(lab, tunnels, net, offload)
        self.authorities = authorities
        self.charon = Charon(lab, self.net.b.gw, plugins=plugins, extra=extra)
        for kind in {tunnel.kind for tunnel in tunnels if tunnel.kind}:
            root, _, leaf = authorities[kind]
            self.charon.trust(root)
            self.charon.own(leaf)
        for tunnel in tunnels:
            self._connection(tunnel)
        self.charon.load()
        self.warrend = Warrend(lab, self.net.a.gw, {**QUICK, **(top or {})}, {
            tunnel.name: self._peer(tunnel) for tunnel in tunnels})

    def _connection(self, tunnel):
        theirs, ours = tunnel.identity(2), tunnel.identity(1)
        if not tunnel.kind:
            self.charon.psk(tunnel.name, PSK, theirs, ours)
        self.charon.secret(tunnel.secrets)
        self.charon.connection(
            tunnel.name, self.net.b.outer(tunnel.family), self.net.a.outer(tunnel.family), theirs,
            ours, ",".join(tunnel.selectors(2)), ",".join(tunnel.selectors(1)), ike=tunnel.ike,
            cert=tunnel.kind and self.authorities[tunnel.kind][2], esp=tunnel.esp,
            auth=tunnel.auth, extra=tunnel.theirs, child_extra=tunnel.child)

    def _peer(self, tunnel):
        auth = {"psk": PSK}
        if tunnel.kind:
            root, leaf, _ = self.authorities[tunnel.kind]
            auth = {"certificate": leaf.chain, "key": leaf.key, "trust": [root.cert]}
        return {**self.peer(tunnel, 1, 2), **auth, **tunnel.ours}

    # ---- one tunnel's life

    def up(self, tunnel, initiator):
        """Returns what either end says of the new IKE SA: warren's, strongSwan's."""
        if initiator == "warren":
            self.warrend.cli("up", tunnel.name)
        else:
            self.charon.initiate(tunnel.name)
        self.count_from_here()
        return self.agreed(tunnel)

    def agreed(self, tunnel):
        """Once both ends have exactly one IKE SA with one child, the same ones, and nothing coming
        or going; returns what either says of it. (strongSwan lists a child that a rekeying has
        deleted for five seconds more, for packets that are late.)"""
        def same():
            ours = self.warrend.wait_up(tunnel.name)
            (child,), (theirs,) = ours["child_sas"], self.charon.list_sas(tunnel.name)
            assert theirs["state"] == "ESTABLISHED", theirs
            theirs["child-sas"] = [other for other in theirs["child-sas"]
                                   if other["state"] != "DELETED"]
            other, = theirs["child-sas"]
            assert other["state"] == "INSTALLED", theirs
            assert ours["spi_i"] == theirs["initiator-spi"], (ours, theirs)
            assert child["spi_in"] == other["spi-out"], (child, other)
            assert child["spi_out"] == other["spi-in"], (child, other)
            return ours, theirs
        return until(same, f"both ends to agree about {tunnel.name}")

    def down(self, tunnel, by):
        if by == "warren":
            self.warrend.cli("down", tunnel.name)
        else:
            self.charon.terminate(tunnel.name)
        self.wait_gone(tunnel)

    def wait_gone(self, tunnel):
        self.warrend.wait_no_sa(tunnel.name)
        until(lambda: not self.charon.list_sas(tunnel.name), f"charon to have no {tunnel.name}")

    @contextlib.contextmanager
    def contained(self, tunnel):
        """Of a test that failed nothing is left for the next one to stumble over."""
        try:
            yield tunnel
        except BaseException:
            self.warrend.cli("down", tunnel.name, check=False)
            self.charon.swanctl("--terminate", "--ike", tunnel.name, "--force", check=False)
            raise

    def packets(self, tunnel):
        (ours,), = (sa["child_sas"] for sa in self.warrend.peers()[tunnel.name]["ike_sas"])
        (theirs,), = (sa["child-sas"] for sa in self.charon.list_sas(tunnel.name))
        assert ours["dropped_in"] == 0, ours
        return [(ours["packets_out"], int(theirs["packets-in"])),
                (int(theirs["packets-out"]), ours["packets_in"])]


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
