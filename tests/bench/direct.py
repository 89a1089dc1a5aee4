"""From the first packet of a flow to the direct path that carries it (P8), with a daemon at each
end and a hub, and cables that take some milliseconds each way (tests/system/lib/delay.py).

Four sites, six pairs, one flow each: a packet every millisecond. What is measured is when the first
one of it leaves a site for the other, rather than for the hub; how long the ways are is measured,
too, by pings outside of all tunnels.
"""

import os
import re
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

from lib.lab import Lab  # noqa: E402  pylint: disable=wrong-import-position
from lib.star import HUB_OUTER, Authority, Star  # noqa: E402  pylint: disable=wrong-import-position
from lib.wait import until  # noqa: E402  pylint: disable=wrong-import-position

SITES = 4
SIZE = 600                              # of a packet: nothing else that goes directly is as large
AFTER = 200                             # packets that have to arrive once it goes directly
_DELAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system/lib/delay.py")


class SlowStar(Star):
    """Each cable to the underlay takes so many milliseconds each way."""

    def __init__(self, lab, delay):
        self.delay = delay
        super().__init__(lab)

    def plug(self, ns, outer4, outer6, port):
        super().plug(ns, outer4, outer6, port)
        if not self.delay:
            return
        self.u.ip("link", "set", port, "nomaster")
        near, far = f"{port}-n", f"{port}-f"
        self.lab.veth(self.u, near, self.u, far)
        self.u.ip("link", "set", far, "master", "br0")
        proc = self.u.popen(f"delay-{port}", "/usr/bin/python3", _DELAY, port, near,
                            str(self.delay))
        until(lambda: "ready" in proc.output(), f"the cable of {port}")


class Watch(threading.Thread):
    """When the first packet of that size leaves a namespace's wan for a site."""

    def __init__(self, ns, site):
        super().__init__()
        # Ethernet type, and where its IP header has the destination.
        self._to = ((b"\x08\x00", 30, socket.inet_aton(site.outer4)),
                    (b"\x86\xdd", 38, socket.inet_pton(socket.AF_INET6, site.outer6)))
        with ns.enter():
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self._sock.bind(("wan", 0x0003))
        self._sock.settimeout(0.2)
        self._done = threading.Event()
        self.seen = None
        self.start()

    def run(self):
        while not self._done.is_set() and self.seen is None:
            try:
                frame = self._sock.recv(65536)
            except TimeoutError:
                continue
            if len(frame) > SIZE and any(frame[12:14] == kind and frame[at:at + len(to)] == to
                                         for kind, at, to in self._to):
                self.seen = time.monotonic()
        self._sock.close()

    def end(self):
        self._done.set()
        self.join()


class Flow:
    """A packet every millisecond, one way, and what of it arrives."""

    def __init__(self, one, other):
        self._socks = []
        for site in (one, other):
            with site.host.enter():
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((site.host4, 0))
            self._socks.append(sock)
        self._socks[1].settimeout(2)
        self._stop = threading.Event()
        self.begun, self.sent, self.arrived = None, 0, 0
        self._threads = [threading.Thread(target=run) for run in (self._hear, self._send)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        while not self._stop.wait(0.001):
            self.begun = self.begun or time.monotonic()
            self._socks[0].sendto(bytes(SIZE), self._socks[1].getsockname())
            self.sent += 1

    def _hear(self):
        while not self._stop.is_set() or self.arrived < self.sent:
            try:
                self._socks[1].recv(SIZE)
            except TimeoutError:
                return
            self.arrived += 1

    def end(self):
        """How many were lost."""
        self._stop.set()
        for thread in reversed(self._threads):
            thread.join()
        for sock in self._socks:
            sock.close()
        return self.sent - self.arrived


def _rtt(ns, address):
    """Seconds there and back: the least of some."""
    text = ns.run("ping", "-n", "-c", "5", "-i", "0.05", address).stdout
    return float(re.search(r"= ([\d.]+)/", text).group(1)) / 1000


def _one(one, other):
    """(seconds, seconds allowed, packets lost)"""
    direct = _rtt(one.gw, other.outer4)
    by_hub = _rtt(one.gw, HUB_OUTER) + _rtt(other.gw, HUB_OUTER)
    watch = Watch(one.gw, other)
    flow = Flow(one, other)
    try:
        until(lambda: watch.seen, "a packet to go directly")
        least = flow.arrived + AFTER
        until(lambda: flow.arrived >= least, "packets to arrive directly")
    finally:
        watch.end()
        lost = flow.end()
    return watch.seen - flow.begun, by_hub + 3 * direct + 0.05, lost


def measure(delay):
    """[(seconds, seconds allowed, packets lost)] of each pair."""
    with Lab() as lab:
        star = SlowStar(lab, delay)
        corp = Authority(lab)
        corp.hub()
        star.start_hub(corp, top={"log": "warning"})
        sites = [star.join(corp, number, top={"log": "warning"})
                 for number in range(1, SITES + 1)]
        return [_one(one, other) for i, one in enumerate(sites) for other in sites[i + 1:]]


def medians(results):
    """(seconds, seconds allowed), and the packets lost in all."""
    took, allowed, lost = zip(*results)
    return statistics.median(took), statistics.median(allowed), sum(lost)


if __name__ == "__main__":
    for ms in (0, 5, 20):
        found = measure(ms)
        print(ms, medians(found), [f"{1000 * took:.1f}" for took, _, _ in found])
