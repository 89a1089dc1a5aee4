"""Topologies. Every one is two sites with a host each, and a router in the middle as underlay.

    host-a ------- gw-a ------------- u ------------- gw-b ------- host-b
      10.1.0.2  .1      192.0.2.1  .254 198.51.100.254  .1     .1  10.2.0.2
    fd00:1::2  ::1   2001:db8:1::1  ::fe  2001:db8:2::fe  ::1  ::1  fd00:2::2
           lan    lan  wan        ua   ub           wan  lan    lan   (device names)

TwoSites       exactly that picture.
Narrow         the cable u - gw-b has an MTU of 1280 while gw-a's is 1500: u answers a larger
               packet that has DF set with ICMP "fragmentation needed" / "packet too big".
Hole           two routers, and between them what neither gateway sees: a link that can be made
               narrow, in both directions, of which nobody is told:

    gw-a ------------- u ------------- v ------------- gw-b
               .254 ua   uv .1     .2 vu   ub .254
                         203.0.113.0/24, 2001:db8:f::/64
Natted         gw-a sits behind a masquerading router:

    host-a --- gw-a ------------- nat -------------- u ------------- gw-b --- host-b
            wan 192.168.1.2  in .1   out 192.0.2.1  ua (as above)

Cable          for measuring: gw-a and gw-b are joined by one cable, wan to wan. What a router does
               with a packet is charged to the process that sent it, so there is none (u is idle).

The underlay routers know no route to the sites: whatever leaves a gateway in clear is seen by the
capture on u (device ua or ub) and dies there. Gateways route their site's inner packets; the way to
the other site is the tunnel's business.
"""

import dataclasses

from .capture import Capture
from .nat import Nat


@dataclasses.dataclass
class Site:
    """One side: its gateway and host namespaces, and the addresses in the drawing."""

    gw: object
    host: object
    outer4: str
    outer6: str
    lan4: str
    lan6: str
    host4: str
    host6: str
    gwlan4: str
    gwlan6: str

    def outer(self, family):
        return self.outer4 if family == 4 else self.outer6

    def inner(self, family):
        return self.host4 if family == 4 else self.host6

    def lan(self, family):
        return self.lan4 if family == 4 else self.lan6


INNER = ("10.0.0.0/8", "fd00::/16")


class TwoSites:
    """See the first drawing above."""

    mtu_b = 1500

    def __init__(self, lab, offload=False):
        self.lab = lab
        self.offload = offload
        self.u = lab.netns("u")
        self.a = self._site("a", 1, "192.0.2.1", "2001:db8:1::1")
        self.b = self._site("b", 2, "198.51.100.1", "2001:db8:2::1")
        self._underlay()
        _forwarding(self.u)

    def _site(self, short, number, outer4, outer6):
        gw, host = self.lab.netns(f"gw-{short}"), self.lab.netns(f"host-{short}")
        lan4, lan6 = f"10.{number}.0", f"fd00:{number}::"
        self.lab.veth(gw, "lan", host, "lan", offload=self.offload)
        addresses(gw, "lan", f"{lan4}.1/16", f"{lan6}1/64")
        addresses(host, "lan", f"{lan4}.2/16", f"{lan6}2/64")
        default_route(host, "lan", f"{lan4}.1", f"{lan6}1")
        _forwarding(gw)
        return Site(gw, host, outer4, outer6, f"{lan4}.0/16", f"{lan6}/64",
                    f"{lan4}.2", f"{lan6}2", f"{lan4}.1", f"{lan6}1")

    def _underlay(self):
        self._wan(self.a, "ua", 1500)
        self._wan(self.b, "ub", self.mtu_b)

    def _wan(self, site, dev, mtu, router=None):
        """The cable between a gateway and u, or another router. Only the router's end and the far
        gateway have the small MTU."""
        router = router or self.u
        self.lab.veth(site.gw, "wan", router, dev, mtu, offload=self.offload)
        net4, net6 = site.outer4.rsplit(".", 1)[0], site.outer6.rsplit("::", 1)[0]
        addresses(site.gw, "wan", f"{site.outer4}/24", f"{site.outer6}/64")
        addresses(router, dev, f"{net4}.254/24", f"{net6}::fe/64")
        default_route(site.gw, "wan", f"{net4}.254", f"{net6}::fe")

    def capture(self, dev="ua"):
        """Capture on the underlay router; a context manager."""
        return Capture(self.lab, self.u, dev)

    def cut(self, dev="ub"):
        self.u.ip("link", "set", dev, "down")

    def heal(self, dev="ub"):
        """Setting a device down takes its IPv6 addresses and routes away: put them back."""
        self.u.ip("link", "set", dev, "up")
        net6 = (self.a if dev == "ua" else self.b).outer6.rsplit("::", 1)[0]
        self.u.ip("addr", "replace", f"{net6}::fe/64", "dev", dev, "nodad")


class Narrow(TwoSites):
    """See above: a 1280-byte path that gw-a cannot see from its own device."""

    mtu_b = 1280


# Says nothing of packets that are too large.
NO_ICMP = """
    table inet noicmp {
        chain out {
            type filter hook output priority 0; policy accept;
            icmp type destination-unreachable drop
            icmpv6 type packet-too-big drop
        }
    }"""


class Hole(TwoSites):
    """See above."""

    def _underlay(self):
        self.v = self.lab.netns("v")
        self._wan(self.a, "ua", 1500)
        self._wan(self.b, "ub", 1500, self.v)
        self.lab.veth(self.u, "uv", self.v, "vu", offload=self.offload)
        addresses(self.u, "uv", "203.0.113.1/24", "2001:db8:f::1/64")
        addresses(self.v, "vu", "203.0.113.2/24", "2001:db8:f::2/64")
        default_route(self.u, "uv", "203.0.113.2", "2001:db8:f::2")
        default_route(self.v, "vu", "203.0.113.1", "2001:db8:f::1")
        for router in (self.u, self.v):
            router.nft(NO_ICMP)
        _forwarding(self.v)

    def narrow(self, mtu):
        """From now on it swallows what is larger."""
        self.u.ip("link", "set", "uv", "mtu", str(mtu))
        self.v.ip("link", "set", "vu", "mtu", str(mtu))


class Cable(TwoSites):
    """See above: nothing between the gateways."""

    def _underlay(self):
        self.lab.veth(self.a.gw, "wan", self.b.gw, "wan", offload=self.offload)
        for site, other in ((self.a, self.b), (self.b, self.a)):
            addresses(site.gw, "wan", f"{site.outer4}/32", f"{site.outer6}/128")
            for version, address in (("-4", other.outer4), ("-6", other.outer6)):
                site.gw.ip(version, "route", "add", address, "dev", "wan")
                site.gw.ip(version, "route", "add", "default", "dev", "wan")


class Natted(TwoSites):
    """See the last drawing: `site a` has a private outer address; gw-b sees nat's 192.0.2.1."""

    def _underlay(self):
        self.a.outer4, self.public_a = "192.168.1.2", "192.0.2.1"
        self.box = Nat(self.lab, "nat", self.u, "ua", "192.168.1", "192.0.2", "20000-20999",
                       offload=self.offload)
        self.nat = self.box.ns
        self.lab.veth(self.a.gw, "wan", self.nat, "in", offload=self.offload)
        addresses(self.a.gw, "wan", "192.168.1.2/24")
        self.box.plug()
        default_route(self.a.gw, "wan", "192.168.1.1")
        self._wan(self.b, "ub", self.mtu_b)

    def forget(self, ports):
        self.box.forget(ports)

    def masquerade(self, ports="20000-20999", udp_timeout=None):
        self.box.masquerade(ports, udp_timeout)


def addresses(ns, dev, *cidrs):
    for cidr in cidrs:
        nodad = ["nodad"] if ":" in cidr else []
        ns.ip("addr", "add", cidr, "dev", dev, *nodad)


def default_route(ns, dev, *gateways):
    for gateway in gateways:
        ns.ip("-6" if ":" in gateway else "-4", "route", "add", "default", "via", gateway,
              "dev", dev)


def _forwarding(ns):
    ns.sysctl("net.ipv4.ip_forward", 1)
    ns.sysctl("net.ipv6.conf.all.forwarding", 1)
