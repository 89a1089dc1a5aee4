"""A gateway that travels. Site b stays where it is (as in topo.TwoSites); site a has a device for
each network that it may be in, none of which it is in at first:

    dev    addresses of gw-a                      behind it
    wifi   192.0.2.1     2001:db8:1::1            u, device uwifi
    lte    203.0.113.1   2001:db8:3::1            u, device ulte
    six                  2001:db8:6::1            u, device usix
    home   192.168.1.2                            nat-home, 198.18.1.1 outside, then u, device uhome
    cafe   192.168.2.2                            nat-cafe, 198.18.2.1 outside, then u, device ucafe
    inn    192.168.1.2, as at home                nat-inn,  198.18.3.1 outside, then u, device uinn

Site b has a second uplink that is down at first: wan2, 198.51.101.1 and 2001:db8:7::1, on u's ub2.

A network is left as a radio loses it: the device is down and has no address any more. Captures are
taken at the far end of the device, which stays up.
"""

import contextlib
import dataclasses
import time
import types

from .capture import Capture
from .nat import Nat
from .topo import TwoSites, addresses


@dataclasses.dataclass
class Road:
    """One network that site a may be in."""

    dev: str
    ours: tuple                         # with prefix length
    gateways: tuple
    far: object                         # namespace at the other end of the device
    far_dev: str
    public: str                         # where site b sees us come from, IPv4 if there is
    nat: object = None
    metric: int = 0

    def address(self, family):
        """Ours, of that family."""
        return next(a.split("/")[0] for a in self.ours if (":" in a) == (family == 6))

    def seen(self, family):
        """Where others see us come from."""
        return self.public if family == 4 else self.address(6)


_PLAIN = {
    "wifi": (("192.0.2.1/24", "2001:db8:1::1/64"), ("192.0.2.254", "2001:db8:1::fe")),
    "lte": (("203.0.113.1/24", "2001:db8:3::1/64"), ("203.0.113.254", "2001:db8:3::fe")),
    "six": (("2001:db8:6::1/64",), ("2001:db8:6::fe",)),
}
_NATTED = {
    "home": ("192.168.1", "198.18.1", "20000-20999"),
    "cafe": ("192.168.2", "198.18.2", "22000-22999"),
    "inn": ("192.168.1", "198.18.3", "24000-24999"),
}


class Roads(TwoSites):
    """See above."""

    def _underlay(self):
        self._wan(self.b, "ub", self.mtu_b)
        self.roads = {dev: self._plain(dev, *row) for dev, row in _PLAIN.items()}
        self.roads.update((dev, self._natted(dev, *row)) for dev, row in _NATTED.items())
        self._second_uplink()
        self.joined = set()

    def _device(self, dev, far, far_dev):
        self.lab.veth(self.a.gw, dev, far, far_dev, offload=self.offload)
        self.a.gw.ip("link", "set", dev, "down")

    def _plain(self, dev, ours, gateways):
        self._device(dev, self.u, f"u{dev}")
        lengths = [a.split("/")[1] for a in ours]
        addresses(self.u, f"u{dev}", *(f"{g}/{n}" for g, n in zip(gateways, lengths)))
        return Road(dev, ours, gateways, self.u, f"u{dev}", ours[0].split("/")[0])

    def _natted(self, dev, inside, outside, ports):
        nat = Nat(self.lab, f"nat-{dev}", self.u, f"u{dev}", inside, outside, ports)
        self._device(dev, nat.ns, "in")
        nat.plug()
        return Road(dev, (f"{inside}.2/24",), (f"{inside}.1",), nat.ns, "in", f"{outside}.1", nat)

    def _second_uplink(self):
        self.lab.veth(self.b.gw, "wan2", self.u, "ub2", offload=self.offload)
        addresses(self.u, "ub2", "198.51.101.254/24", "2001:db8:7::fe/64")
        self.b.gw.ip("link", "set", "wan2", "down")

    # ---- site a

    def join(self, dev, families=(4, 6), metric=0):
        """Be in that network as well; the way out is by the route with the lowest metric. Returns
        the moment from which on it could be used."""
        road, gw = self.roads[dev], self.a.gw
        road.metric = metric
        self.joined.add(dev)
        gw.ip("link", "set", dev, "up")
        for address, gateway in zip(road.ours, road.gateways):
            if (6 if ":" in address else 4) in families:
                addresses(gw, dev, address)
                self._route("add", dev, gateway, metric)
        return time.monotonic()

    def _route(self, what, dev, gateway, metric):
        version = "-6" if ":" in gateway else "-4"
        self.a.gw.ip(version, "route", what, "default", "via", gateway, "dev", dev,
                     *(("metric", str(metric)) if metric else ()))

    def leave(self, dev):
        self.joined.discard(dev)
        self.a.gw.ip("link", "set", dev, "down")
        self.a.gw.ip("addr", "flush", "dev", dev)

    def move(self, old, new, families=(4, 6)):
        """First there is no network at all."""
        self.leave(old)
        return self.join(new, families)

    def prefer(self, dev, metric, family):
        """Another metric for the route of a network that we are in."""
        road = self.roads[dev]
        for gateway in (g for g in road.gateways if (":" in g) == (family == 6)):
            self._route("add", dev, gateway, metric)
            self._route("del", dev, gateway, road.metric)
        road.metric = metric
        return time.monotonic()

    # ---- site b

    def second_uplink(self):
        """Site b gets its other uplink, besides the one it has."""
        self.b.gw.ip("link", "set", "wan2", "up")
        addresses(self.b.gw, "wan2", "198.51.101.1/24", "2001:db8:7::1/64")
        for gateway in ("198.51.101.254", "2001:db8:7::fe"):
            self.b.gw.ip("-6" if ":" in gateway else "-4", "route", "add", "default", "via",
                         gateway, "dev", "wan2", "metric", "2000")

    def lose_first_uplink(self):
        self.b.gw.ip("link", "set", "wan", "down")
        self.b.gw.ip("addr", "flush", "dev", "wan")
        return time.monotonic()

    # ---- what the underlay saw

    @contextlib.contextmanager
    def watched(self, *devs, second=False):
        """Captures at the far ends of the networks named, and at site b; a list of them. second: at
        its second uplink instead of the first."""
        with contextlib.ExitStack() as stack:
            places = [(road.far, road.far_dev) for road in map(self.roads.get, devs)]
            # Without a carrier nothing can be captured, neither a beginning nor an end.
            self._carrier(devs, "up")
            captures = [stack.enter_context(Capture(self.lab, *place))
                        for place in places + [(self.u, "ub2" if second else "ub")]]
            self._carrier(set(devs) - self.joined, "down")
            yield captures
            self._carrier(devs, "up")

    def _carrier(self, devs, state):
        for dev in devs:
            self.a.gw.ip("link", "set", dev, state)


@contextlib.contextmanager
def report(record_property, name, pulse):
    """Prints and keeps what a move cost, which is made in between: whoever makes it says in the
    value given when the new network was usable."""
    began, moment = time.monotonic(), types.SimpleNamespace(usable=None)
    yield moment
    line = (f"{name}: traffic flowed {pulse.flowing(moment.usable) * 1000:.1f} ms after the new "
            f"address was usable, round trip {pulse.round_trip() * 1000:.1f} ms; "
            f"{pulse.lost(began, time.monotonic())} of {len(pulse.sent)} packets lost, "
            f"{(moment.usable - began) * 1000:.0f} ms until it was usable")
    record_property("move", line)
    print(line)


def host_of(endpoint):
    """The address of "192.0.2.1:4500", "[2001:db8::1]:4500"."""
    return endpoint.rsplit(":", 1)[0].strip("[]")


def assert_nothing_in_clear(captures):
    """And not nothing at all."""
    assert any(capture.kinds()["esp"] for capture in captures)
    for capture in captures:
        assert capture.kinds()["clear"] == 0, (capture.ns.short, capture.dev, capture.clear()[:5])
