"""A hub, and thousands of sites in one process (tests/bench/members.c).

    load --------------------- hub
      wan 192.0.2.2              wan 192.0.2.1      hub address inside: 10.255.255.1
      198.18.0.0/15, one each

The process is told what to do line by line, and says how it went in JSON.
"""

import dataclasses
import json
import os
import subprocess
import time

from . import topo
from .star import HUB, HUB_OUTER, Authority, Star
from .wait import until
from .warren import Warrend, build_dir

LOAD_OUTER = "192.0.2.2"
OUTER = "198.18.0.0/15"                  # of the members
HUB_INNER = "10.255.255.1"
DOMAIN = ["10.0.0.0/8"]


@dataclasses.dataclass
class Usage:
    """What the processes of a daemon have used, or use, by process: main first."""

    cpu: list                           # seconds
    kernel: list                        # seconds of them in the kernel
    pss: list                           # bytes

    def __sub__(self, other):
        return Usage(*([a - b for a, b in zip(mine, theirs)] for mine, theirs in
                       ((self.cpu, other.cpu), (self.kernel, other.kernel),
                        (self.pss, other.pss))))


def family(pid):
    """A process and its descendants."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            for child in children.read().split():
                found += family(int(child))
    return found


def usage(pid):
    result = Usage([], [], [])
    for each in family(pid):
        result.cpu.append(time.clock_gettime(~each << 3 | 2))   # as in lab.Proc.cpu()
        with open(f"/proc/{each}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        result.kernel.append(int(fields[12]) / os.sysconf("SC_CLK_TCK"))
        with open(f"/proc/{each}/smaps_rollup") as smaps:
            pss = next(line for line in smaps if line.startswith("Pss:"))
        result.pss.append(int(pss.split()[1]) * 1024)
    return result


class Crowd:
    """The hub's daemon and the crowd; nobody has joined yet."""

    def __init__(self, lab, members, hub_top=None, options=()):
        self.lab, self.members = lab, members
        self.hub_ns, self.ns = lab.netns("hub"), lab.netns("load")
        self._cable()
        self.authority = Authority(lab, "load", DOMAIN)
        self.authority.hub()
        top = {"identity": self.authority.path(HUB), "log": "warning", **(hub_top or {})}
        network = {"role": "hub", "domain": DOMAIN, "protect": [f"{HUB_INNER}/32"]}
        self.hub = Warrend(lab, self.hub_ns, top, {}, networks={"load": (network, {})})
        self._start(options)

    def _cable(self):
        self.lab.veth(self.hub_ns, "wan", self.ns, "wan", offload=True)
        topo.addresses(self.hub_ns, "wan", f"{HUB_OUTER}/24")
        topo.addresses(self.hub_ns, "lo", f"{HUB_INNER}/32")
        topo.addresses(self.ns, "wan", f"{LOAD_OUTER}/24")
        self.ns.ip("route", "add", "local", OUTER, "dev", "lo")
        self.hub_ns.ip("route", "add", OUTER, "via", LOAD_OUTER)
        topo._forwarding(self.hub_ns)

    def _start(self, options):
        self.proc = self.lab.popen(
            "crowd", *self.ns.argv(os.path.join(build_dir(), "tests/bench/members"), "--hub",
                                   HUB_OUTER, "--ca", self.authority.dir, "--hub-id", HUB,
                                   "--members", str(self.members), *options),
            stdin=subprocess.PIPE)
        self._answers = 0
        self.ready = self._answer(120)

    # ---- talking to it

    def _answer(self, deadline):
        """Its next line of JSON; what else it says is about members that were refused."""
        def line():
            found = [text for text in self.proc.output().split("\n")[:-1] if text[:1] == "{"]
            if len(found) <= self._answers:
                assert self.proc.running(), self.proc.output()
                return None
            return found[self._answers]
        text = until(line, f"the crowd's answer {self._answers}", deadline)
        self._answers += 1
        return json.loads(text)

    def tell(self, command, *words):
        """Give a command without waiting for its answer."""
        self.proc.stdin.write((" ".join(str(word) for word in (command, *words)) + "\n").encode())
        self.proc.stdin.flush()

    def ask(self, command, *words):
        """The answer to a command, whether it got there or not. Its own limit is the last word."""
        self.tell(command, *words)
        return self._answer(float(words[-1]) + 60)

    def do(self, command, *words):
        """The answer to a command that has to succeed."""
        answer = self.ask(command, *words)
        assert answer["ok"], f"{command} {words}: {answer}\n{self.proc.output()[-3000:]}"
        return answer

    def quit(self):
        """Ends it; asserts that it had nothing to complain about."""
        self.tell("quit")
        assert self.proc.wait() == 0, self.proc.output()[-3000:]

    # ---- the hub

    def usage(self):
        return usage(self.hub.pid)

    def inner(self, member):
        """The address of the host behind a member."""
        number = (10 << 24) + 16 * member + 1
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))

    def identity(self, member):
        return f"s{member:05d}.load.example"


class MeshCrowd(Crowd):
    """A hub, a crowd that takes shortcuts, and sites with a daemon each, all on one underlay
    (lib/star.py), to which the crowd is one more gateway. Nobody has joined yet but the sites."""

    def __init__(self, lab, members, sites, options=(), site_top=None, site_keys=None, **hub_keys):
        self.lab, self.members = lab, members
        self.star = Star(lab)
        self.hub_ns, self.ns = self.star.hub_ns, lab.netns("load")
        self.star.plug(self.ns, LOAD_OUTER, "2001:db8::2", "pload")
        self.ns.ip("route", "add", "local", OUTER, "dev", "lo")
        self._reach(self.hub_ns)
        topo.addresses(self.hub_ns, "lo", f"{HUB_INNER}/32")
        self.authority = Authority(lab, "load", DOMAIN)
        self.authority.hub()
        self.hub = self.star.start_hub(self.authority, DOMAIN, top={"log": "warning"},
                                       protect=[f"{HUB_INNER}/32"], **hub_keys)
        self._start(("--shortcuts", *options))
        self.sites = [self._site(number, {"log": "warning", **(site_top or {})}, site_keys or {})
                      for number in range(1, sites + 1)]

    def _reach(self, ns):
        ns.ip("route", "add", OUTER, "via", LOAD_OUTER)

    def _site(self, number, top, keys):
        site = self.star.site(number, host=False)
        self._reach(site.gw)
        bundle = self.authority.site(site.identity, [site.lan4])
        site.daemon = self.star.start_site(site, bundle, self.authority.name, top,
                                           **{"protect": [site.lan4], **keys})
        site.daemon.wait_up(self.authority.name)
        return site


    def wait_pairs(self, count, deadline=60):
        """Until the hub says that so many pairs are up."""
        def known():
            said = self.hub.status()["shortcuts"]
            assert said.get("up", 0) == count, said
            return True
        until(known, f"{count} pairs to be up at the hub", deadline, pause=0.2)

    def wait_sites(self, count, deadline=60):
        """Until every site has so many shortcuts."""
        def have():
            said = [site.daemon.status()["shortcuts"].get("up", 0) for site in self.sites]
            assert said == [count] * len(self.sites), said
            return True
        until(have, f"every site to have {count} shortcuts", deadline, pause=0.2)
