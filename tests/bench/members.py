"""Thousands of sites against one hub: what joining costs, what a member costs, how a hub that was
lost gets them back.

The hub is warrend with its four-line file; the sites are a crowd (tests/bench/members.c). Both
share the cores, so a rate is that of both together; CPU is counted for the hub alone.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

from lib.crowd import Crowd, HUB_INNER  # noqa: E402  pylint: disable=wrong-import-position
from lib.lab import Lab  # noqa: E402  pylint: disable=wrong-import-position
from lib.warren import build_dir  # noqa: E402  pylint: disable=wrong-import-position

# Less than half_open_cookie, so that a join is one without a cookie.
WINDOW = 48
EVERYBODY = 1 << 30

# Shorter than the defaults (30 s, 2 s, 5), so that a lost hub is noticed in about 15 seconds
# instead of 75; how members come back does not depend on it.
IMPATIENT = ("--dpd", "5000", "--retransmit", "1000", "--tries", "3")
MOURNING = 10                           # seconds without a hub after everybody knows


def udp(ns):
    """The UDP counters of a namespace."""
    lines = [line.split() for line in ns.run("cat", "/proc/net/snmp").stdout.splitlines()
             if line.startswith("Udp:")]
    return dict(zip(lines[0][1:], map(int, lines[1][1:])))


class Bench:
    """One hub and one crowd through all that is measured."""

    def __init__(self, lab, members, say, options=()):
        self.members, self.say = members, say
        self.crowd = Crowd(lab, members, options=(*IMPATIENT, *options))
        self.hub = self.crowd.hub
        self.empty = self.crowd.usage()
        self.cost = []                  # of a join, by round: microseconds of the hub's CPU
        self.kernel = []                # of them
        self.held = []                  # bytes more than empty with everybody there, by round

    def _microseconds(self, seconds):
        return seconds * 1e6 / self.members

    def _mib(self, usage):
        return sum((usage - self.empty).pss) / (1 << 20)

    def join(self):
        """All of them, WINDOW at a time."""
        before = self.crowd.usage()
        answer = self.crowd.do("join", WINDOW, 240)
        after = self.crowd.usage()
        used = after - before
        self.cost.append(self._microseconds(sum(used.cpu)))
        self.kernel.append(self._microseconds(sum(used.kernel)))
        self.held.append(sum((after - self.empty).pss))
        took = answer["took_ms"]
        self.say(f"join: {self.members / answer['seconds']:.0f} a second with the crowd on the "
                 f"same cores; {took['50']:.0f} ms each, at most {took['100']:.0f}")
        split = " + ".join(f"{self._microseconds(cpu):.0f}" for cpu in used.cpu)
        self.say(f"  CPU for each: hub {self.cost[-1]:.0f} us (by process {split}), "
                 f"{self.kernel[-1]:.0f} of them in the kernel; crowd "
                 f"{self._microseconds(answer['cpu_s']):.0f} us")
        self.say(f"  hub's memory: {self._mib(after):.1f} MiB more than empty")

    def look(self):
        """Questions that an operator asks, with everybody there."""
        for words in (("status",), ("status", "--json"), ("peers",), ("peers", "--json")):
            before, begun = self.crowd.usage(), time.monotonic()
            out = self.hub.cli(*words).stdout
            wall = time.monotonic() - begun
            cpu = sum((self.crowd.usage() - before).cpu)
            self.say(f"  warren {' '.join(words):14s} {wall * 1e3:6.0f} ms, {cpu * 1e3:4.0f} ms of "
                     f"the hub's CPU, {len(out) / 1e6:.2f} MB")
        listed = self.hub.peers()
        up = sum(listed[self.crowd.identity(i)]["state"] == "up" for i in range(self.members))
        if up != self.members:
            raise SystemExit(f"members: peers says that {up} of {self.members} are up")

    def carry(self):
        """A ping through the last one, and from everybody to the next one through the hub."""
        self.crowd.hub_ns.ping(self.crowd.inner(self.members - 1), count=3)
        self.crowd.do("ping", 0, HUB_INNER, 10)
        sweep = self.crowd.do("sweep", WINDOW, 60)
        self.say(f"every member pings the next one through the hub: {sweep['pongs']} answers, "
                 f"{sweep['took_ms']['50']:.1f} ms, at most {sweep['took_ms']['100']:.1f}")

    def rest(self, seconds=10):
        before = self.crowd.usage()
        answer = self.crowd.do("run", seconds)
        used = sum((self.crowd.usage() - before).cpu)
        self.say(f"nothing to do, liveness every 5 s: {used / seconds * 100:.1f}% of a core "
                 f"({answer['received'] / seconds:.0f} IKE datagrams a second from the hub)")

    def leave(self):
        before = self.crowd.usage()
        answer = self.crowd.do("leave", WINDOW, 120)
        status = self.hub.status()
        if status["ike_sas"] or status["child_sas"]:
            raise SystemExit(f"members: {status['ike_sas']} IKE SAs left after all said goodbye")
        after = self.crowd.usage()
        cpu = self._microseconds(sum((after - before).cpu))
        self.say(f"all leave: {self.members / answer['seconds']:.0f} a second, {cpu:.0f} us of the "
                 f"hub's CPU for each; its memory {self._mib(after):.1f} MiB more than empty")

    def _return(self, what):
        """From the moment the hub answers again until everybody is back."""
        lost, ours = udp(self.crowd.hub_ns), udp(self.crowd.ns)
        before = self.crowd.usage()
        answer = self.crowd.ask("await", self.members, 150)
        cpu = self._microseconds(sum((self.crowd.usage() - before).cpu))
        counters = self.hub.counters()
        overflows = [udp(ns)["RcvbufErrors"] - was["RcvbufErrors"]
                     for ns, was in ((self.crowd.hub_ns, lost), (self.crowd.ns, ours))]
        if not answer["ok"]:
            raise SystemExit(f"members: only {answer['up']} came back after {what}: {answer}")
        at = answer["at_s"]
        self.say(f"{what}: half are back {at['50']:.1f} s after the hub, 99% after {at['99']:.1f}, "
                 f"all after {at['100']:.1f}")
        self.say(f"  hub's CPU for each: {cpu:.0f} us; {counters['ike.cookie.sent']} cookies, "
                 f"{answer['events'].get('retransmit', 0)} retransmissions, datagrams lost in "
                 f"receive buffers: hub {overflows[0]}, crowd {overflows[1]}")
        return at["100"]

    def kill(self):
        """kill -9 and a new start when everybody knows and goes on trying."""
        self.hub.kill()
        self.crowd.do("window", EVERYBODY)
        gone = self.crowd.do("gone", 120)
        self.crowd.do("run", MOURNING)
        self.say(f"hub killed: all have noticed after {gone['seconds']:.1f} s, new one after "
                 f"{MOURNING} more")
        self.hub.start()
        return self._return("killed hub")

    def restart(self):
        """SIGTERM: everybody is told at once, and calls at once."""
        begun = time.monotonic()
        self.hub.proc.stop()
        self.say(f"hub stopped: goodbye to all took {time.monotonic() - begun:.1f} s")
        self.hub.start()
        return self._return("restarted hub")


def partners(number, say):
    """All join, and could have shortcuts; returns how many bytes the hub has more than before."""
    with Lab() as lab:
        bench = Bench(lab, number, say, ("--shortcuts",))
        bench.join()
        words = bench.hub.counters()["mesh.rx.words"]
        if words < number:
            raise SystemExit(f"members: {words} of {number} said where they are")
        bench.crowd.do("stop", WINDOW, 120)
        bench.crowd.quit()
        return bench.held[0]


def members(number, say):
    """Everything once; returns the Bench with its figures."""
    if not os.path.exists(os.path.join(build_dir(), "tests/bench/members")):
        raise SystemExit("members: tests/bench/members is not built")
    with Lab() as lab:
        bench = Bench(lab, number, say)
        say(f"the crowd's {number} certificates took {bench.crowd.ready['seconds']:.0f} s")
        bench.join()
        bench.look()
        bench.carry()
        bench.rest()
        bench.leave()
        bench.join()
        bench.kill()
        bench.restart()
        bench.leave()
        bench.crowd.quit()
        return bench
