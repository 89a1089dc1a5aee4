"""A hub and eleven sites that all have a tunnel with each other (RFC 7018, topology = mesh), with
real daemons; and what becomes of it when the hub's file says otherwise."""

import contextlib
import itertools
import socket

from lib.stream import Stream
from lib.wait import until
from test_shortcuts import by_hub, shortcuts

SITES = 11
PAIRS = SITES * (SITES - 1) // 2


def _start(star, corp, **keys):
    """All at once: whoever comes finds others half there."""
    star.start_hub(corp, **keys)
    sites = []
    for number in range(1, SITES + 1):
        # Streams need a host; for the others the gateway itself will do.
        site = star.site(number, host=number <= 2)
        bundle = corp.site(site.identity, site.prefixes())
        site.daemon = star.start_site(site, bundle, corp.name)
        sites.append(site)
    for site in sites:
        site.daemon.wait_up(corp.name)
    return sites


def _up(daemon):
    """Partner -> number of the tunnel that is up."""
    listed = shortcuts(daemon)["shortcuts"]
    return {item["partner"]: item["number"] for item in listed if item["up"]}


def _pairs(hub, state):
    return sum(item["state"] == state for item in shortcuts(hub)["pairs"])


def _wait_full(hub, sites):
    """Until everybody has one with everybody else, and the hub knows; returns their numbers."""
    everybody = {site.identity for site in sites}

    def has_all(site):
        up = _up(site.daemon)
        assert set(up) == everybody - {site.identity}, f"{site.identity}: {sorted(up)}"
        return up
    numbers = {site.identity: until(lambda site=site: has_all(site), f"all of {site.identity}")
               for site in sites}
    until(lambda: _pairs(hub, "up") == PAIRS, "the hub to know of all")
    return numbers


def _everybody_talks(sites):
    """A datagram from each to each: none is lost."""
    with contextlib.ExitStack() as stack:
        socks = []
        for site in sites:
            with site.host.enter():
                socks.append(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            socks[-1].bind((site.host4, 0))
            socks[-1].settimeout(10)
        for one, other in itertools.permutations(socks, 2):
            one.sendto(b"for you", other.getsockname())
        for sock in socks:
            heard = {sock.recvfrom(16)[1] for _ in range(SITES - 1)}
            assert heard == {other.getsockname() for other in socks if other is not sock}


def _reload(hub, as_mesh, topology):
    with open(hub.conf, "w") as file:
        file.write(as_mesh.replace("topology = mesh", f"topology = {topology}"))
    assert "topology" in hub.cli("reload").stdout


def test_everybody_with_everybody(star, corp):
    """T1, T2, T4, R11: each of eleven sites gets a tunnel with each other, without a packet, and
    the hub carries nothing for them. In a network that becomes dynamic what is up stays up; in one
    that becomes a star all is withdrawn, and traffic goes by the hub without losing a packet."""
    sites = _start(star, corp, topology="mesh")
    hub = star.hub
    with open(hub.conf) as file:
        as_mesh = file.read()
    numbers = _wait_full(hub, sites)
    before = by_hub(hub)
    _everybody_talks(sites)
    assert by_hub(hub) == before
    assert hub.status()["ike_sas"] == SITES
    for site in sites:
        # Two calls for a pair would leave one too many at one end.
        assert site.daemon.status()["ike_sas"] == SITES, site.identity

    one, other = sites[:2]
    with Stream(one.host, one.host4, other.host, other.host4) as stream:
        _reload(hub, as_mesh, "dynamic")
        stream.passed(200)
        _everybody_talks(sites)
        assert by_hub(hub) == before
        assert {site.identity: _up(site.daemon) for site in sites} == numbers

        _reload(hub, as_mesh, "star")
        until(lambda: all(not _up(site.daemon) for site in sites), "all to be withdrawn")
        until(lambda: all(site.daemon.status()["ike_sas"] == 1 for site in sites),
              "their SAs to end")
        reasons = {(site.identity, item["partner"]): item["reason"] for site in sites
                   for item in shortcuts(site.daemon)["shortcuts"]}
        for one_id, other_id in itertools.combinations([site.identity for site in sites], 2):
            # Whom the partner's Delete reaches first says just that.
            both = {reasons[one_id, other_id], reasons[other_id, one_id]}
            assert "policy" in both and both <= {"policy", "partner_ended"}, (one_id, other_id)
        assert _pairs(hub, "up") == 0
        stream.passed(200)
        before = by_hub(hub)
        _everybody_talks(sites)
        assert by_hub(hub) >= before + SITES * (SITES - 1)
