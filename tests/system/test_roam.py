"""A gateway that travels: out of one network, into another, with and without NATs, while a copy and
a stream of packets go on (R06, U1). What is lost and how long it takes is printed, not asserted:
the machine that runs the tests is shared."""

import time

import pytest

from lib import transfer
from lib.pulse import Pulse
from lib.roads import assert_nothing_in_clear
from lib.warren import Warrend, psk_peer

# From where to where, and which families there are in both.
MOVES = {
    "plain-plain": ("wifi", "lte", (4,)),
    "plain-plain-6": ("wifi", "lte", (6,)),
    "plain-nat": ("wifi", "home", (4,)),
    "nat-nat": ("home", "cafe", (4,)),
    "nat-same-address": ("home", "inn", (4,)),
    "nat-plain": ("home", "lte", (4,)),
}


def _pair(net, a=None, b=None):
    """b has no idea where a is; a knows both addresses of b."""
    site_b = psk_peer(net.b, net.a, "site-b.example", "site-a.example", 4, start="listen",
                      **(b or {}))
    del site_b["address"]
    right = Warrend(net.lab, net.b.gw, {}, {"a": site_b})
    site_a = psk_peer(net.a, net.b, "site-a.example", "site-b.example", 4, start="up",
                      **(a or {}))
    site_a["address"] = [net.b.outer4, net.b.outer6]
    left = Warrend(net.lab, net.a.gw, {}, {"b": site_a})
    return left, right


def _report(record_property, name, pulse, began, usable):
    """Prints and keeps what a move cost."""
    line = (f"{name}: traffic flowed {pulse.flowing(usable) * 1000:.1f} ms after the new address "
            f"was usable, round trip {pulse.round_trip() * 1000:.1f} ms; "
            f"{pulse.lost(began, time.monotonic())} of {len(pulse.sent)} packets lost, "
            f"{(usable - began) * 1000:.0f} ms without a network")
    record_property("move", line)
    print(line)


class Travel:
    """A copy and a pulse between the sites, watched by captures in the networks named."""

    def __init__(self, net, left, right, record_property):
        self.net, self.left, self.right = net, left, right
        self._record = record_property

    def go(self, name, change, *networks):
        """change() makes the move and returns the moment from which on the new network was
        usable."""
        net = self.net
        with net.watched(*networks) as captures:
            with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
                  Pulse(net.b.host, net.b.host6, net.a.host, net.a.host6) as pulse):
                began = time.monotonic()
                usable = change()
                pulse.beats()
                copy.passed()
                _report(self._record, name, pulse, began, usable)
        assert_nothing_in_clear(captures)


def _ends(left, right):
    """The SPIs of the one IKE SA, and where each end believes to be."""
    ours, theirs = left.wait_up("b"), right.wait_up("a")
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    return (ours["spi_i"], ours["spi_r"]), ours, theirs


def _host(endpoint):
    return endpoint.rsplit(":", 1)[0].strip("[]")


@pytest.mark.parametrize("move", MOVES)
def test_moves(roads, record_property, move):
    """From one network into another, without any in between: the IKE SA stays, the copy goes on."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families)
    left, right = _pair(net)
    spis, ours, _ = _ends(left, right)
    assert _host(ours["local"]) == net.roads[old].address(families[0])
    Travel(net, left, right, record_property).go(
        move, lambda: net.move(old, new, families), old, new)
    after, ours, theirs = _ends(left, right)
    assert after == spis, "the same IKE SA"
    assert _host(ours["local"]) == net.roads[new].address(families[0])
    assert _host(theirs["remote"]) == (net.roads[new].public if families == (4,) else
                                       net.roads[new].address(6))
    assert ours["nat_local"] == bool(net.roads[new].nat) == theirs["nat_remote"]
