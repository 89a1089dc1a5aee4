"""A full mesh of many: a crowd of sites in one process and eight daemons, each with a tunnel with
each other, over real sockets (T1, T2, T4). WARREN_MESH says how many there are (30), and has the
figures shown."""

import os
import time

import pytest

from lib.crowd import HUB_INNER, OUTER, MeshCrowd
from lib.star import HUB_OUTER
from lib.wait import until

pytestmark = pytest.mark.alone

EVERYBODY = int(os.environ.get("WARREN_MESH", "30"))
SITES = 8
MEMBERS = EVERYBODY - SITES
PAIRS = EVERYBODY * (EVERYBODY - 1) // 2
WINDOW = 48
# So many of the crowd come at a time: all have the same processor, on which more than a few hundred
# set-ups at once would be late.
GROUP = 16
# So that a lost partner is noticed soon; with tens of thousands of tunnels, asking all of them must
# not be what everybody is busy with.
DPD, RETRANSMIT = (3000, 500) if EVERYBODY <= 50 else (90000, 2000)
IMPATIENT = {"retransmit_timeout": f"{RETRANSMIT}ms", "retransmit_tries": 3}
PATIENCE = 60 + EVERYBODY * 3           # seconds
REST = 5


class Run:
    """The crowd, and what there is to say about it."""

    def __init__(self, lab):
        options = ("--dpd", str(DPD), "--retransmit", str(RETRANSMIT), "--tries", "3")
        self.crowd = MeshCrowd(lab, MEMBERS, SITES, options, IMPATIENT,
                               {"dpd_delay": f"{DPD}ms"}, topology="mesh")
        self.hub = self.crowd.hub
        self.lines = []

    def say(self, text):
        self.lines.append(text)

    def all_up(self):
        """Everybody has one with everybody, and the hub knows. Returns the crowd's answer."""
        answer = self.crowd.do("direct", MEMBERS * (EVERYBODY - 1), PATIENCE)
        self.crowd.wait_sites(EVERYBODY - 1, PATIENCE)
        self.crowd.wait_pairs(PAIRS, PATIENCE)
        return answer

    def join(self):
        before, begun = self.crowd.usage(), time.monotonic()
        sent = probes = foreign = 0
        for count in [*range(GROUP, MEMBERS, GROUP), MEMBERS]:
            for answer in (self.crowd.do("join", WINDOW, count, PATIENCE),
                           self.crowd.do("direct", count * (count + SITES - 1), PATIENCE)):
                sent += answer["sent"]
                probes += answer["probes"]
                foreign += answer["foreign"]
        self.all_up()
        took = time.monotonic() - begun
        used = self.crowd.usage() - before
        words = self.hub.counters()
        messages = words["mesh.tx.words"] * 2 + words["mesh.rx.words"] * 2
        self.say(f"{EVERYBODY} members, {PAIRS} tunnels: all up after {took:.1f} s, "
                 f"{PAIRS / took:.0f} a second; from a suggestion to its tunnel, for the last "
                 f"{count % GROUP or GROUP}: {answer['direct_ms']} ms")
        self.say(f"the hub for each tunnel: {messages / PAIRS:.1f} messages in and out, "
                 f"{sum(used.cpu) / PAIRS * 1e6:.0f} us of CPU, "
                 f"{words['mesh.suggested'] / PAIRS:.2f} suggestions; memory "
                 f"{sum(used.pss) / PAIRS:.0f} bytes more")
        self.say(f"the crowd for each tunnel: {(sent + foreign) / PAIRS:.1f} datagrams, "
                 f"{probes / PAIRS:.1f} of them its own probes")

    def carry(self):
        """From each to each, and the hub has nothing to do."""
        steps = range(1, MEMBERS) if MEMBERS < 50 else (1, 2, MEMBERS // 2, MEMBERS - 1)
        for step in steps:
            sweep = self.crowd.do("sweep", WINDOW, step, 60)
            assert (sweep["pongs"], sweep["by_hub"], sweep["esp_refused"]) == (MEMBERS, 0, 0), sweep
        for site in self.crowd.sites:
            site.gw.ping(self.crowd.inner(MEMBERS - 1), count=1)
            ping = self.crowd.do("ping", 0, site.host4, 10)
            assert ping["by_hub"] == 0, ping

    def rest(self):
        before = self.crowd.usage()
        self.crowd.do("run", REST)
        used = sum((self.crowd.usage() - before).cpu)
        self.say(f"nothing to do: {used / REST * 100:.2f} % of a core at the hub")

    def cut(self, ns, *addresses):
        """Nothing of these is heard there."""
        ns.nft(f"""
            table inet cut {{
                chain in {{
                    type filter hook input priority -300; policy accept;
                    ip saddr {{ {", ".join(addresses)} }} drop
                }}
            }}""")

    def heal(self, *namespaces):
        for ns in namespaces:
            ns.run("nft", "delete", "table", "inet", "cut")

    def without_a_hub(self):
        """Whoever has lost the hub has not lost the others."""
        everybody = [self.crowd.ns] + [site.gw for site in self.crowd.sites]
        for ns in everybody:
            self.cut(ns, HUB_OUTER)
        self.crowd.do("gone", PATIENCE)
        answer = self.crowd.do("direct", MEMBERS * (EVERYBODY - 1), 1)
        assert "shortcut_ended" not in answer["events"], answer
        self.carry()
        self.heal(*everybody)
        begun = time.monotonic()
        self.crowd.do("await", MEMBERS, PATIENCE)
        self.all_up()
        self.say(f"the hub was away: all are back and known {time.monotonic() - begun:.1f} s after")

    def partition(self):
        """The crowd and the daemons cannot reach each other, but the hub both: by the hub it goes
        until they can."""
        self.cut(self.crowd.ns, *(site.outer4 for site in self.crowd.sites))
        for site in self.crowd.sites:
            self.cut(site.gw, OUTER)
        self.crowd.do("direct", MEMBERS * (MEMBERS - 1), PATIENCE)
        self.crowd.wait_sites(SITES - 1, PATIENCE)
        for site in self.crowd.sites:
            ping = self.crowd.do("ping", 1, site.host4, 10)
            assert ping["by_hub"] == 1, ping
        self.heal(self.crowd.ns, *(site.gw for site in self.crowd.sites))
        begun = time.monotonic()
        self.all_up()
        self.say(f"partition over: all tunnels are back {time.monotonic() - begun:.1f} s after")
        self.carry()

    def another_hub(self):
        """It is killed, and the next one learns from its members what there is."""
        self.hub.kill()
        self.hub.start()
        begun = time.monotonic()
        self.crowd.do("window", 1 << 30)
        # Who has not noticed yet is not away; so ask the hub.
        until(lambda: self.hub.status()["ike_sas"] == EVERYBODY, "all to be back", PATIENCE, 0.2)
        answer = self.all_up()
        assert "shortcut_ended" not in answer["events"], answer
        self.say(f"the hub was killed: all are back and known {time.monotonic() - begun:.1f} s "
                 f"after, {self.hub.counters()['mesh.suggested']} suggestions")
        self.carry()
        self.crowd.do("ping", 0, HUB_INNER, 10)

    def end(self):
        """Everybody goes; nothing of them stays."""
        self.crowd.do("stop", WINDOW, PATIENCE)
        self.crowd.wait_sites(SITES - 1, PATIENCE)
        for site in self.crowd.sites:
            site.daemon.stop()
        until(lambda: self.hub.status()["ike_sas"] == 0, "no SA to be left at the hub")
        assert self.hub.status()["child_sas"] == 0
        self.hub.stop()
        self.crowd.quit()


def test_everybody_with_everybody(lab, capsys):
    """T1, T2, T4, R16: a full mesh comes up, carries, outlives a hub that is away and one that is
    killed, and a partition; and leaves nothing behind."""
    run = Run(lab)
    for step in (run.join, run.carry, run.rest, run.without_a_hub, run.partition, run.another_hub,
                 run.end):
        step()
    if "WARREN_MESH" in os.environ:
        with capsys.disabled():
            print("", *run.lines, sep="\n    ")
