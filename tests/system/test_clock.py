"""R06, V10: a wall clock that jumps: set ahead, set back, or before anybody knows the time. Whatever
waits does so on another clock, so nothing ends by a jump but what a certificate's dates end
(warren.conf(5))."""

import json
import time

import pytest

from lib.stream import Stream
from lib.wait import until
from lib.wall import DAY, HOUR, YEAR, Wall
from lib.warren import psk_pair


NEVER_SET = -int(time.time())           # 1970
QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 3}


def _leases(hub):
    """Identity -> what the hub says of its addresses."""
    listed = json.loads(hub.cli("leases", "--json").stdout)["leases"]
    return {lease["identity"]: lease for lease in listed}


def _joined(star, corp, number, *more, top=None, **keys):
    """A site with a clock of its own, and it."""
    member = star.site(number)
    bundle = corp.site(member.identity, member.prefixes(), *more)
    member.daemon = star.start_site(member, bundle, top=top, start=False, **keys)
    wall = Wall(member.daemon)
    member.daemon.start().wait_up("corp")
    return member, wall


def _star(star, corp, *more, **keys):
    """A hub and a site with clocks of their own, and another site, that talk by the hub: (sites,
    {who: clock})."""
    walls = {"hub": Wall(star.start_hub(corp, start=False, topology="star", **keys))}
    star.hub.start()
    near, walls["site"] = _joined(star, corp, 1, *more, **keys)
    return (near, star.join(corp, 2, **keys)), walls


def _spis(*daemons):
    """All SAs that there are."""
    return [sorted((sa["spi_i"], tuple(child["spi_in"] for child in sa["child_sas"]))
                   for peer in daemon.peers().values() for sa in peer["ike_sas"])
            for daemon in daemons]


def _verdict(daemon, line, words=""):
    """What `why` says in that line."""
    said = daemon.cli("why", "corp", check=False).stdout
    start = said.index(f"\n  {line} ")
    assert words in said, said
    return said[start:].split()[1]


def _back(near, far):
    """Now, and not when the next attempt is due."""
    near.daemon.cli("up", "corp")
    near.daemon.wait_up("corp")
    until(lambda: near.host.ping(far.host4, count=1, wait=1, check=False), "packets to flow")


# ---- nothing ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["site", "hub"])
def test_set(star, corp, who):
    """Ahead, back and to 1970 while packets flow: none is lost, and the SAs are the same, or rekeyed.
    Before the time is known nobody's certificate is believed, so a new IKE SA has to wait."""
    (near, far), walls = _star(star, corp)
    daemons = near.daemon, far.daemon, star.hub
    before = _spis(*daemons)
    with Stream(near.host, near.host4, far.host, far.host4) as four, \
            Stream(near.host, near.host6, far.host, far.host6) as six:
        for ahead in (HOUR, -HOUR / 2, YEAR, 0, NEVER_SET, 0):
            walls[who].set(int(ahead))
            four.passed()
            six.passed()
        assert _spis(*daemons) == before
        walls[who].set(NEVER_SET)
        near.daemon.cli("rekey", "--ike", "corp")
        near.daemon.wait_counter("ike.sa.rekeyed")
        four.passed()
    near.daemon.cli("down", "corp")
    near.daemon.wait_no_sa("corp")
    near.daemon.cli("up", "corp")
    if who == "site":
        near.daemon.wait_error("corp", "our clock is not trusted yet")
        assert _verdict(near.daemon, "clock", "never set") == "failed"
    else:
        near.daemon.wait_error("corp", "AUTHENTICATION_FAILED")
    walls[who].set(0)
    _back(near, far)
    for daemon in daemons:
        counters = daemon.counters()
        assert counters["ike.dead"] == counters["ike.sa.expired"] == 0


def test_set_without_certificates(two_sites):
    """Between gateways that share a key no date counts, at either end."""
    net = two_sites
    left, right = psk_pair(net, run_them=False)
    walls = [Wall(daemon) for daemon in (left, right)]
    right.start()
    left.start().wait_up("b")
    before = _spis(left, right)
    with Stream(net.a.host, net.a.host4, net.b.host, net.b.host4) as stream:
        for ahead in (10 * YEAR, -YEAR, NEVER_SET, 0):
            for wall in walls:
                wall.set(ahead)
            stream.passed()
    assert _spis(left, right) == before


# ---- certificates -------------------------------------------------------------------------------------


def test_certificate_is_over(star, corp):
    """A year ahead, by the clock of a site, its certificate is over: its SA ends in order and the
    reason is told, packets of the domain do not leave in clear, the other site's SA is what it was.
    By the right clock all is as before."""
    (near, far), walls = _star(star, corp, "--days", "30")
    other = _spis(far.daemon)
    watch, hub_watch = near.daemon.watch(), star.hub.watch()
    with star.capture() as capture:
        walls["site"].set(YEAR)
        down = watch.wait("child_down", peer="corp")
        assert "certificate" in down["text"], down
        # It said so: nobody waits for an answer of somebody who is gone.
        hub_watch.wait("ike_down", peer=near.identity)
        assert near.host.ping(far.host4, count=2, wait=1, check=False) == 0
        assert _verdict(near.daemon, "certificate", "past its end") == "failed"
        assert _spis(far.daemon) == other
        walls["site"].set(0)
        _back(near, far)
    assert capture.clear() == []
    assert star.hub.counters()["ike.dead"] == near.daemon.counters()["ike.dead"] == 0


def test_certificate_is_over_for_the_hub(star, corp):
    """By the hub's clock: it ends the SA of the site whose certificate is over, and no other."""
    (near, far), walls = _star(star, corp, "--days", "30")
    other = _spis(far.daemon)
    watch = star.hub.watch()
    walls["hub"].set(YEAR)
    down = watch.wait("child_down", peer=near.identity)
    assert "certificate" in down["text"], down
    near.daemon.wait_error("corp", "AUTHENTICATION_FAILED")
    assert _spis(far.daemon) == other
    walls["hub"].set(0)
    _back(near, far)


def test_certificate_may_be_over(star, corp):
    """`expired = keep`: the SAs live on."""
    (near, far), walls = _star(star, corp, "--days", "30", expired="keep")
    before = _spis(near.daemon, far.daemon, star.hub)
    with Stream(near.host, near.host4, far.host, far.host4) as stream:
        for who in ("site", "hub"):
            walls[who].set(YEAR)
            stream.passed()
    assert _spis(near.daemon, far.daemon, star.hub) == before


# ---- leases -------------------------------------------------------------------------------------------


def test_leases(star, corp):
    """An address is kept for who left, although the hub's clock says that his time is over; only time
    itself ends a lease."""
    wall = Wall(star.start_hub(corp, start=False, pool=["10.99.0.1/32"], lease_keep="1h"))
    star.hub.start()
    road, other = star.endpoint(1), star.endpoint(2)
    star.start_endpoint(road, corp.endpoint(road.identity), top=QUICK).wait_up("corp")
    inner = road.inner()
    for ahead in (NEVER_SET, YEAR):
        wall.set(ahead)
    assert _leases(star.hub)[road.identity]["state"] == "up"
    road.daemon.stop()
    star.hub.wait_no_sa(road.identity)
    for ahead in (YEAR + DAY, 0, -HOUR, 0):
        wall.set(ahead)
        refused = star.hub.counters()["ike.refused.pool_exhausted"]
        if other.daemon:
            other.daemon.cli("up", "corp")
        else:
            star.start_endpoint(other, corp.endpoint(other.identity), top=QUICK)
        star.hub.wait_counter("ike.refused.pool_exhausted", refused)
    other.daemon.stop()
    road.daemon.start().wait_up("corp")
    assert road.inner() == inner
    assert star.hub.counters()["ike.lease.expired"] == 0
