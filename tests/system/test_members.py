"""Many members of one hub at once: a crowd of sites in one process, over real sockets, with a
certificate and an address block each (R01, S1)."""

import ipaddress

import pytest

from lib.crowd import HUB_INNER, Crowd
from lib.wait import until

MEMBERS = 200
MANY = 3000                             # worth giving memory back for (src/daemon/trim.h)
# A lost hub is noticed in about 8 seconds.
IMPATIENT = ("--dpd", "3000", "--retransmit", "500", "--tries", "3")


@pytest.fixture
def crowd(lab):
    return Crowd(lab, MEMBERS, options=IMPATIENT)


def _members(hub):
    """Name -> listing of those that the hub knows; the network's own entry is none of them."""
    return {name: peer for name, peer in hub.peers().items() if name.endswith(".load.example")}


def _totals(hub):
    status = hub.status()
    return status["ike_sas"], status["child_sas"], status["half_open"]


def test_join_talk_leave(crowd):
    """R01, S1: all join, each with its own block and no other; everyone reaches the next one
    through the hub; all leave, and nothing of them stays."""
    hub = crowd.hub
    answer = crowd.do("join", 48, 60)
    assert answer["up"] == MEMBERS and "refused" not in answer["events"], answer
    assert _totals(hub) == (MEMBERS, MEMBERS, 0)
    listed = _members(hub)
    assert set(listed) == {crowd.identity(member) for member in range(MEMBERS)}
    for member in range(MEMBERS):
        peer = listed[crowd.identity(member)]
        [sa] = peer["ike_sas"]
        [child] = sa["child_sas"]
        block = ipaddress.ip_network(crowd.inner(member) + "/28", strict=False)
        assert peer["state"] == "up" and sa["remote_id"] == crowd.identity(member), peer
        assert child["remote_ts"] == [str(block)] and child["local_ts"] == ["10.0.0.0/8"], child
    crowd.do("ping", MEMBERS - 1, HUB_INNER, 10)
    crowd.hub_ns.ping(crowd.inner(0))
    sweep = crowd.do("sweep", 48, 30)
    assert sweep["pongs"] == MEMBERS and sweep["esp_refused"] == 0, sweep
    crowd.do("leave", 48, 30)
    until(lambda: _totals(hub) == (0, 0, 0), "no SA to be left at the hub")
    until(lambda: _members(hub) == {}, "the hub to forget who left")
    crowd.do("join", 48, 60)
    assert _totals(hub) == (MEMBERS, MEMBERS, 0)
    crowd.do("sweep", 48, 30)
    hub.stop()
    crowd.do("gone", 10)
    crowd.quit()


def _heap(pid):
    """Bytes of the C library's heap that are in memory: not what libraries and the data plane's
    buffers take once they are first used."""
    with open(f"/proc/{pid}/smaps") as smaps:
        lines = iter(smaps)
        next(line for line in lines if line.endswith("[heap]\n"))
        rss = next(line for line in lines if line.startswith("Rss:"))
    return int(rss.split()[1]) * 1024


def test_memory_comes_back(lab):
    """P5: what thousands of members took goes back to the system a moment after they have left."""
    crowd = Crowd(lab, MANY, options=IMPATIENT)
    before = _heap(crowd.hub.pid)
    crowd.do("join", 48, 120)
    full = _heap(crowd.hub.pid) - before
    assert full > MANY * 3000, full
    crowd.do("leave", 48, 60)
    until(lambda: _totals(crowd.hub) == (0, 0, 0), "no SA to be left at the hub")

    def is_back():
        held = _heap(crowd.hub.pid) - before
        assert held < 4 << 20, f"{held} of {full} bytes are still held"
        return True
    until(is_back, "the memory to be given back")
    crowd.hub.stop()
    crowd.quit()


def test_all_come_back(crowd):
    """A hub that is killed gets all of them back by itself, and so does one that says goodbye;
    nobody is left with two SAs."""
    hub = crowd.hub
    crowd.do("join", 48, 60)
    hub.kill()
    crowd.do("window", 1 << 30)
    crowd.do("gone", 60)
    hub.start()
    crowd.do("await", MEMBERS, 60)
    until(lambda: _totals(hub) == (MEMBERS, MEMBERS, 0), "one SA for each")
    crowd.do("sweep", 48, 30)
    hub.stop()
    crowd.do("gone", 10)
    hub.start()
    crowd.do("await", MEMBERS, 60)
    until(lambda: _totals(hub) == (MEMBERS, MEMBERS, 0), "one SA for each")
    crowd.do("sweep", 48, 30)
    hub.kill()                          # nobody would answer its goodbyes
    crowd.quit()
