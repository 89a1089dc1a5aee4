"""R06, U1: inner addresses. A hub gives them, an endpoint has them on its device and nowhere else
uses them, and who had one has it again, whoever was restarted in between."""

import ipaddress
import json
import re

from lib.star import DOMAIN, HUB_OUTER
from lib.wait import until

POOL = ["10.99.0.0/24", "fd00:99::/64"]
QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 3}


def leases(hub):
    """Identity -> what the hub says of its addresses."""
    listed = json.loads(hub.cli("leases", "--json").stdout)["leases"]
    assert len({lease["identity"] for lease in listed}) == len(listed), listed
    return {lease["identity"]: lease for lease in listed}


def road_up(star, corp, number, **keys):
    """An endpoint from nothing to a tunnel."""
    road = star.endpoint(number)
    star.start_endpoint(road, corp.endpoint(road.identity), **keys)
    road.daemon.wait_up("corp")
    return road


def in_pool(addresses):
    assert [ipaddress.ip_address(address) in ipaddress.ip_network(net)
            for address, net in zip(addresses, POOL, strict=True)] == [True, True], addresses


def reaches(road, *hosts):
    for host in hosts:
        until(lambda host=host: road.gw.ping(host, count=1, wait=1, check=False),
              f"{road.identity} to reach {host}")


# ---- a hub's name and a bundle


def test_endpoint(star, corp):
    """It gets an address of each family, talks to hosts of sites and they to it, and the rest of
    the world by the underlay as before."""
    hub = star.start_hub(corp, pool=POOL)
    site = star.join(corp, 1)
    road = road_up(star, corp, 1)
    inner = road.inner()
    in_pool(inner)
    road.gw.ping(site.host4)
    road.gw.ping(site.host6)
    for address in inner:
        site.host.ping(address)
    for family, host, address in (("-4", site.host4, inner[0]), ("-6", site.host6, inner[1])):
        route, = json.loads(road.gw.ip("-j", family, "route", "get", host).stdout)
        assert (route["dev"], route["prefsrc"]) == ("warren0", address)
        # Also of a socket that has chosen its address.
        route, = json.loads(road.gw.ip("-j", family, "route", "get", host, "from",
                                       address).stdout)
        assert route["dev"] == "warren0"
    for family, host in (("-4", HUB_OUTER), ("-6", "2001:db8::1")):
        route, = json.loads(road.gw.ip("-j", family, "route", "get", host).stdout)
        assert route["dev"] == "wan"
    lease = leases(hub)[road.identity]
    assert [lease["v4"], lease["v6"]] == inner
    assert (lease["network"], lease["state"]) == ("corp", "up")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", lease["since"]) and "ended" not in lease
    # What it may send from is that and nothing else.
    member = hub.peers()[road.identity]
    assert member["authorised"] == [inner[0] + "/32", inner[1] + "/128"], member


def test_leases_for_people(star, corp):
    hub = star.start_hub(corp, pool=POOL)
    assert json.loads(hub.cli("leases", "--json").stdout) == {"leases": []}
    road = road_up(star, corp, 1)
    lines = hub.cli("leases").stdout.splitlines()
    assert lines[0].split() == ["NETWORK", "IDENTITY", "IPV4", "IPV6", "STATE", "SINCE"]
    assert lines[1].split()[:5] == ["corp", road.identity, *road.inner(), "up"]
    road.daemon.stop()
    until(lambda: leases(hub)[road.identity]["state"] == "ended", "the lease to end")
    assert re.search(rf"{road.identity} .* ended 20\d\d-", hub.cli("leases").stdout)


def test_status(star, corp):
    """Both ends say what they have."""
    hub = star.start_hub(corp, pool=POOL)
    road = road_up(star, corp, 1)
    given, = road.daemon.status()["inner"]
    assert given["addresses"] == road.inner()
    assert (given["peer"], given["up"]) == ("corp", True)
    assert sorted(given["subnets"]) == sorted(DOMAIN)
    store = hub.status()["store"]
    assert store["well"] and store["trouble"] == ""
    assert store["file"] == f"{hub.state_dir}/store.db"
    assert hub.counters()["store.done"] >= 1
    assert "store" not in road.daemon.status()


def pool_of(hub):
    (network,) = hub.status()["networks"]
    pool = network["pool"]
    return pool, [pool[family]["size"] - pool[family]["free"] for family in ("v4", "v6")]


def check_of(daemon, subject, name):
    (subject,) = json.loads(daemon.cli("why", subject, "--json").stdout)["subjects"]
    return next(check for check in subject["checks"] if check["check"] == name)


def test_shown(star, corp):
    """Addresses of a peer, at both ends; use of the pool: taken, connected, kept for who is away."""
    hub = star.start_hub(corp, pool=POOL)
    pool, taken = pool_of(hub)
    assert pool == {"ranges": POOL, "v4": {"size": 254, "free": 254}, "leases": 0, "connected": 0,
                    "v6": {"size": 2 ** 20 - 1, "free": 2 ** 20 - 1}}
    roads = [road_up(star, corp, number) for number in (1, 2)]
    inner = roads[0].inner()
    pool, taken = pool_of(hub)
    assert (taken, pool["leases"], pool["connected"]) == ([2, 2], 2, 2)
    assert hub.peers()["corp"]["pool"] == pool
    assert hub.peers()[roads[0].identity]["inner"] == inner
    assert roads[0].daemon.peers()["corp"]["inner"] == inner
    roads[1].daemon.stop()
    until(lambda: pool_of(hub)[0]["connected"] == 1, "the second to be gone")
    pool, taken = pool_of(hub)
    assert (taken, pool["leases"]) == ([2, 2], 2)
    # For people.
    screen = hub.cli("status").stdout
    assert ("pool 10.99.0.0/24, fd00:99::/64: IPv4 2 of 254 taken; IPv6 2 of 1048575 taken; "
            "2 leases, 1 absent") in screen
    assert f"store       {hub.state_dir}/store.db\n" in screen
    assert f"  inner: {', '.join(inner)}\n" in hub.cli("peers", roads[0].identity).stdout
    assert "2 leases, 1 absent" in hub.cli("peers", "corp").stdout
    assert f"inner       {', '.join(inner)} from corp\n" in roads[0].daemon.cli("status").stdout
    assert f"  inner: {', '.join(inner)}\n" in roads[0].daemon.cli("peers", "corp").stdout
    check = check_of(hub, "corp", "address")
    assert check["result"] == "ok"
    for words in ("our pool: 10.99.0.0/24, fd00:99::/64", "of 254 IPv4 addresses 252 are free",
                  "2 leases, of them 1 of who is not connected"):
        assert words in check["ours"], check
    for daemon, subject in ((hub, roads[0].identity), (roads[0].daemon, "corp")):
        check = check_of(daemon, subject, "address")
        assert (check["result"], check["text"]) == ("ok", ", ".join(inner)), check
    assert check["ours"] == "we ask for an IPv4 and an IPv6 address"


def test_shown_of_a_site(star, corp):
    """A member that asks for none, at a hub that has a pool; and an address by which one asks."""
    hub = star.start_hub(corp, pool=POOL)
    site, road = star.join(corp, 1), road_up(star, corp, 1)
    assert "inner" not in hub.peers()[site.identity] and "pool" not in hub.peers()[site.identity]
    assert check_of(hub, site.identity, "address")["text"] == "none: it asked for none"
    (subject,) = json.loads(hub.cli("why", road.inner()[0], "--json").stdout)["subjects"]
    assert subject["subject"] == road.identity


def test_one_family_left(star, corp):
    """Who asks for both gets the one that there is, and is told of the other; at the hub the pool is
    short of one, which the lease of who is absent may make good once it is over."""
    hub = star.start_hub(corp, pool=["10.99.0.10-10.99.0.10", POOL[1]])
    roads = [road_up(star, corp, number) for number in (1, 2)]
    assert [len(road.inner()) for road in roads] == [2, 1]
    check = check_of(roads[1].daemon, "corp", "address")
    assert (check["result"], check["text"]) == (
        "ok", f"{roads[1].inner()[0]}; no IPv4 address was given"), check
    check = check_of(hub, "corp", "address")
    assert check["result"] == "failed" and "no IPv4 address is free" in check["text"], check
    roads[0].daemon.stop()
    until(lambda: check_of(hub, "corp", "address")["result"] == "unknown", "the first to be absent")


# ---- the same again


def test_same_address_again(star, corp):
    """After a restart of the endpoint, of the hub, after kill -9 of either; another identity gets
    another one, also while the first is away."""
    hub = star.start_hub(corp, pool=POOL, top=QUICK)
    road = road_up(star, corp, 1, top=QUICK, dpd_delay="1s")
    inner = road.inner()

    def again():
        road.daemon.wait_up("corp")
        assert road.inner() == inner
        until(lambda: leases(hub)[road.identity]["state"] == "up", "the lease to be up")

    road.daemon.stop()
    other = road_up(star, corp, 2, top=QUICK, dpd_delay="1s")
    assert not set(other.inner()) & set(inner)
    road.daemon.start()
    again()
    road.daemon.kill()
    road.daemon.start()
    again()
    hub.stop()
    hub.start()
    again()
    hub.kill()
    hub.start()
    again()
    other.daemon.wait_up("corp")
    assert not set(other.inner()) & set(inner)


def test_lost_hub(star, corp):
    """The address stays on the device while there is no SA, so that connections go on when there
    is one again; nothing leaves in clear meanwhile."""
    hub = star.start_hub(corp, pool=POOL, top=QUICK)
    site = star.join(corp, 1)
    road = road_up(star, corp, 1, top=QUICK, dpd_delay="1s")
    inner = road.inner()
    with star.capture() as capture:
        hub.kill()
        road.daemon.wait_no_sa("corp")
        assert road.inner() == inner
        for host in (site.host4, site.host6):
            assert road.gw.ping(host, count=2, wait=1, check=False) == 0
    assert not [packet for packet in capture.packets()
                if {packet.src, packet.dst} & {*inner, site.host4, site.host6}]
    hub.start()
    site.daemon.wait_up("corp")
    road.daemon.wait_up("corp")
    assert road.inner() == inner
    reaches(road, site.host4, site.host6)


def test_taken_down(star, corp):
    """The operator takes the network down: the addresses go, before or after the SA is lost."""
    hub = star.start_hub(corp, pool=POOL, top=QUICK)
    road = road_up(star, corp, 1, top=QUICK, dpd_delay="1s")
    inner = road.inner()
    road.daemon.cli("down", "corp")
    until(lambda: road.inner() == [], "the addresses to go")
    assert road.daemon.status()["inner"] == []
    road.daemon.cli("up", "corp")
    road.daemon.wait_up("corp")
    assert road.inner() == inner
    hub.kill()
    road.daemon.wait_no_sa("corp")
    assert road.inner() == inner
    road.daemon.cli("down", "corp")
    until(lambda: road.inner() == [], "the addresses to go")


def test_section_removed(star, corp):
    """A reload without the network."""
    star.start_hub(corp, pool=POOL)
    road = road_up(star, corp, 1)
    bundle = corp.path(road.identity)
    road.daemon.configure({"identity": bundle}, {"x": {
        "local_id": "a.example", "remote_id": "b.example", "psk": "something", "start": "listen",
        "local_ts": ["172.16.1.0/24"], "remote_ts": ["172.16.2.0/24"]}})
    road.daemon.cli("reload")
    until(lambda: road.inner() == [], "the addresses to go")


# ---- who meddles


def test_put_back(star, corp):
    """Somebody takes an address away, or the device down for a moment."""
    star.start_hub(corp, pool=POOL)
    site = star.join(corp, 1)
    road = road_up(star, corp, 1)
    inner = road.inner()
    for address, bits in zip(inner, ("/32", "/128")):
        road.gw.ip("addr", "del", address + bits, "dev", "warren0")
    until(lambda: road.inner() == inner, "the addresses to be put back")
    reaches(road, site.host4, site.host6)
    road.gw.ip("link", "set", "warren0", "down")
    road.gw.ip("link", "set", "warren0", "up")
    until(lambda: road.inner() == inner, "the addresses to be put back")
    reaches(road, site.host4, site.host6)


def test_spoofed_to_inner(star, corp):
    """S3: an endpoint's neighbour on the underlay sends to its inner address in clear, with a
    source inside the domain: that is dropped and counted, as at any site."""
    star.start_hub(corp, pool=POOL)
    road = road_up(star, corp, 1)
    inner = road.inner()
    thief = star.endpoint(2)
    for address, via in zip(inner, (road.outer4, road.outer6)):
        thief.gw.ip("route", "add", address, "via", via, "dev", "wan")
    thief.gw.ip("addr", "add", "10.1.0.77/32", "dev", "lo")
    thief.gw.ip("addr", "add", "fd00:1::77/128", "dev", "lo", "nodad")
    for source, address in (("10.1.0.77", inner[0]), ("fd00:1::77", inner[1])):
        before = road.daemon.counters()["guard.in.clear"]
        thief.gw.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-I", source, address,
                     check=False)
        assert road.daemon.counters()["guard.in.clear"] >= before + 3


def test_inner_address_after_the_daemon(star, corp):
    """S3: once the daemon is gone its inner address is anybody's in the domain, and what is sent to
    it does not leave in clear."""
    star.start_hub(corp, pool=POOL)
    road = road_up(star, corp, 1)
    inner = road.inner()
    road.daemon.kill()
    until(lambda: "warren0" not in road.gw.links(), "the device to go")
    with star.capture() as capture:
        for address in inner:
            done = road.gw.run("ping", "-n", "-c", "2", "-i", "0.05", "-W", "1", address,
                               check=False)
            assert re.search(r"unreachable|No route to host", done.stdout + done.stderr), done
    assert not [packet for packet in capture.packets() if packet.dst in inner]


# ---- the pool


def test_exhausted(star, corp):
    """A pool of two with three who want one: the third is told, so is the operator, the others go
    on; with a larger pool it comes up by itself."""
    hub = star.start_hub(corp, pool=["10.99.0.10-10.99.0.11"])
    site = star.join(corp, 1)
    roads = [road_up(star, corp, number) for number in (1, 2)]
    third = star.endpoint(3)
    star.start_endpoint(third, corp.endpoint(third.identity), top=QUICK)
    hub.wait_counter("ike.refused.pool_exhausted")
    third.daemon.wait_error("corp", "INTERNAL_ADDRESS_FAILURE")
    # At the hub of its network, and of who was refused; at his own end.
    check = check_of(hub, "corp", "address")
    assert check["result"] == "failed" and "no IPv4 address is free" in check["text"], check
    assert "of 2 IPv4 addresses 0 are free" in check["ours"] and "`pool`" in check["change"], check
    check = check_of(hub, third.identity, "address")
    assert check["result"] == "failed", check
    assert 'the pool of "corp" has 2 and 2 identities have leases' in check["text"], check
    check = check_of(third.daemon, "corp", "address")
    assert check["result"] == "failed" and "INTERNAL_ADDRESS_FAILURE" in check["text"], check
    assert check_of(third.daemon, "corp", "selectors")["text"] == 'refused: "address" has why'
    assert "IPv4 2 of 2 taken, none free" in hub.cli("status").stdout
    # Who has his own does not care.
    assert check_of(hub, roads[0].identity, "address")["result"] == "ok"
    assert third.inner() == []
    for road in roads:
        road.gw.ping(site.host4)
        assert ipaddress.ip_address(road.inner()[0]) in (ipaddress.ip_address("10.99.0.10"),
                                                         ipaddress.ip_address("10.99.0.11"))
    hub.configure({"identity": corp.path("hub.example")}, {}, networks={
        "corp": ({"role": "hub", "domain": list(DOMAIN), "pool": POOL}, {})})
    hub.cli("reload")
    third.daemon.cli("up", "corp")
    third.daemon.wait_up("corp")
    reaches(third, site.host4)
    assert len({road.inner()[0] for road in (*roads, third)}) == 3
