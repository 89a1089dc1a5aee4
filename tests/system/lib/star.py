"""A network: one hub, any number of sites, all on one underlay.

    u (bridge br0, sees everything) --- hub    wan 192.0.2.1, 2001:db8::1
                                    --- gw-N   wan 192.0.2.(10+N) --- host-N  10.N.0.2, fd00:N::2
                                        lan 10.N.0.1, fd00:N::1

Sites are numbered from 1. A site without a host has its inner address on loopback, which is
cheaper when there are many.
"""

import hashlib
import json
import os

from . import topo
from .capture import Capture
from .lab import run
from .warren import Warrend, binary

DOMAIN = ("10.0.0.0/8", "fd00::/16")
HUB = "hub.example"
HUB_OUTER = "192.0.2.1"


class Authority:
    """A certificate authority made by `warren pki`."""

    def __init__(self, lab, name="corp", domain=DOMAIN):
        self.name = name
        self.dir = lab.subdir(f"ca-{name}")
        self.out = lab.subdir(f"bundles-{name}")
        self.ca = os.path.join(self.dir, "ca.pem")
        self.crl = os.path.join(self.dir, "crl.pem")
        self.pki("init", "--name", name, "--domain", ",".join(domain), "--dir", self.dir)

    def pki(self, *argv, check=True):
        return run(binary("warren"), "pki", *argv, check=check)

    def path(self, identity, suffix=".warren"):
        return os.path.join(self.out, identity + suffix)

    def hub(self, identity=HUB, hubs=HUB_OUTER):
        """A hub's bundle; its key lies beside it."""
        self.pki("site", "--id", identity, "--hub", "--hubs", hubs, "--dir", self.dir,
                 "--out", self.out)
        return self.path(identity)

    def site(self, identity, prefixes, *more, hubs=HUB_OUTER):
        """The whole way: key and request made by the site, signed, delivered as a bundle."""
        request = self.path(identity, ".req")
        self.pki("request", "--id", identity, "--out", request)
        self.pki("sign", request, "--prefix", ",".join(prefixes), "--hubs", hubs, "--dir",
                 self.dir, "--out", self.path(identity), "--cert", self.path(identity, ".pem"),
                 *more)
        return self.path(identity)

    def endpoint(self, identity, hubs=HUB_OUTER):
        """The same for somebody with nothing behind him."""
        request = self.path(identity, ".req")
        self.pki("request", "--id", identity, "--out", request)
        self.pki("sign", request, "--endpoint", "--hubs", hubs, "--dir", self.dir, "--out",
                 self.path(identity), "--cert", self.path(identity, ".pem"))
        return self.path(identity)

    def revoke(self, identity):
        self.pki("revoke", identity, "--dir", self.dir)
        return self.crl


class Member:
    """The namespaces and addresses of one site."""

    def __init__(self, star, number, host=True, prefix_len=16):
        self.star, self.number = star, number
        lab = star.lab
        self.identity = f"site-{number}.example"
        self.gw = lab.netns(f"gw-{number}")
        self.host = lab.netns(f"host-{number}") if host else self.gw
        self.outer4, self.outer6 = f"192.0.2.{10 + number}", f"2001:db8::{10 + number:x}"
        self.lan4, self.lan6 = f"10.{number}.0.0/{prefix_len}", f"fd00:{number:x}::/64"
        self.gwlan4, self.gwlan6 = f"10.{number}.0.1", f"fd00:{number:x}::1"
        self.host4 = f"10.{number}.0.2" if host else self.gwlan4
        self.host6 = f"fd00:{number:x}::2" if host else self.gwlan6
        star.plug(self.gw, self.outer4, self.outer6, f"p{number}")
        if host:
            lab.veth(self.gw, "lan", self.host, "lan")
            topo.addresses(self.gw, "lan", f"{self.gwlan4}/16", f"{self.gwlan6}/64")
            topo.addresses(self.host, "lan", f"{self.host4}/16", f"{self.host6}/64")
            topo.default_route(self.host, "lan", self.gwlan4, self.gwlan6)
            topo._forwarding(self.gw)
        else:
            topo.addresses(self.gw, "lo", f"{self.gwlan4}/32", f"{self.gwlan6}/128")

    def prefixes(self):
        return (self.lan4, self.lan6)


class Endpoint:
    """A host on the underlay with nothing behind it, and no address of the network."""

    def __init__(self, star, number, identity=None):
        self.identity = identity or f"road-{number}.example"
        self.number = number
        self.gw = star.lab.netns(f"road-{number}")
        self.outer4, self.outer6 = f"192.0.2.{110 + number}", f"2001:db8::1:{number:x}"
        star.plug(self.gw, self.outer4, self.outer6, f"e{number}")
        self.daemon = None

    def inner(self, device="warren0"):
        """Its addresses on the device, as the kernel has them: [IPv4..., IPv6...]."""
        listed = json.loads(self.gw.ip("-j", "addr", "show", "dev", device).stdout)[0]["addr_info"]
        found = [item for item in listed if item["scope"] == "global"]
        assert all(item["prefixlen"] == {"inet": 32, "inet6": 128}[item["family"]]
                   for item in found), found
        return [item["local"] for item in sorted(found, key=lambda item: item["family"])]


class Star:
    def __init__(self, lab):
        self.lab = lab
        self.u = lab.netns("u")
        self.u.ip("link", "add", "name", "br0", "type", "bridge")
        self.u.ip("link", "set", "br0", "up")
        self.hub_ns = lab.netns("hub")
        self.plug(self.hub_ns, HUB_OUTER, "2001:db8::1", "phub")
        topo._forwarding(self.hub_ns)
        self.sites = {}
        self.hub = None

    def plug(self, ns, outer4, outer6, port):
        """Connect a namespace's `wan` to the underlay."""
        self.lab.veth(ns, "wan", self.u, port)
        self.u.ip("link", "set", port, "master", "br0")
        topo.addresses(ns, "wan", f"{outer4}/24", f"{outer6}/64")
        topo.default_route(ns, "wan", "192.0.2.254", "2001:db8::fe")

    def site(self, number, **kwargs):
        self.sites[number] = Member(self, number, **kwargs)
        return self.sites[number]

    def another_hub(self, number):
        """The namespace of one more; its wan has 192.0.2.NUMBER."""
        ns = self.lab.netns(f"hub-{number}")
        self.plug(ns, f"192.0.2.{number}", f"2001:db8::{number:x}", f"phub{number}")
        topo._forwarding(ns)
        return ns

    def capture(self):
        return Capture(self.lab, self.u, "br0")

    # ---- daemons

    def start_hub(self, authority, domain=DOMAIN, members=None, top=None, wait=True, ns=None,
                  identity=HUB, start=True, **keys):
        """The four-line file of a hub; with `ns`, of another one."""
        network = {"role": "hub", "domain": list(domain), **keys}
        top = {"identity": authority.path(identity), **(top or {})}
        hub = Warrend(self.lab, ns or self.hub_ns, top, {}, wait,
                      networks={authority.name: (network, members or {})}, start=start)
        if not ns:
            self.hub = hub
        return hub

    def start_site(self, member, bundle, name="corp", top=None, wait=True, start=True, **keys):
        """The five-line file of a site."""
        network = {"hubs": [HUB_OUTER], "protect": list(member.prefixes()), **keys}
        identity = {"identity": bundle} if bundle else {}
        return Warrend(self.lab, member.gw, {**identity, **(top or {})}, {}, wait,
                       networks={name: (network, {})}, start=start)

    def join(self, authority, number, host=True, **keys):
        """A new site, from nothing to a running daemon that is connected."""
        member = self.site(number, host=host)
        bundle = authority.site(member.identity, member.prefixes())
        member.daemon = self.start_site(member, bundle, authority.name, **keys)
        member.daemon.wait_up(authority.name)
        return member

    def endpoint(self, number, **kwargs):
        return Endpoint(self, number, **kwargs)

    def start_endpoint(self, road, bundle, name="corp", top=None, wait=True, start=True,
                       **keys):
        """The three-line file of an endpoint."""
        network = {"hubs": [HUB_OUTER], **keys}
        road.daemon = Warrend(self.lab, road.gw, {"identity": bundle, **(top or {})}, {}, wait,
                              networks={name: (network, {})}, start=start)
        return road.daemon

    def hub_hash(self):
        with open(self.hub.conf, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
