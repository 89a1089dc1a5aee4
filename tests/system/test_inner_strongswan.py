"""R06, S2: inner addresses between warren and strongSwan, in both roles: its road warrior (virtual
IP, certificate, MOBIKE) in our network, and we as a road warrior at its gateway."""

import json

from lib.resolve1 import Bus, Fake
from lib.star import DOMAIN, HUB, HUB_OUTER
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend

POOL = ["10.99.0.0/24", "fd00:99::/64"]
QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 3}


def leases(hub):
    listed = json.loads(hub.cli("leases", "--json").stdout)["leases"]
    return {lease["identity"]: lease for lease in listed}


def warrior(star, corp, number, vips="0.0.0.0,::"):
    """strongSwan with nothing but a certificate and the hub's address."""
    road = star.endpoint(number)
    corp.endpoint(road.identity)
    charon = Charon(star.lab, road.gw, extra="install_virtual_ip = yes")
    charon.trust_file("corp", corp.ca)
    charon.own_files(road.identity, corp.path(road.identity, ".pem"),
                     corp.path(road.identity, ".key"))
    charon.connection("hub", "%any", HUB_OUTER, road.identity, HUB, "dynamic", ",".join(DOMAIN),
                      cert=type("Leaf", (), {"name": road.identity}), mobike="yes",
                      extra=f"vips = {vips}" if vips else "")
    charon.load()
    road.charon = charon
    return road


def connect(road, hub):
    road.charon.initiate("hub")
    sa = hub.wait_up(road.identity)
    lease = leases(hub)[road.identity]
    inner = [lease[key] for key in ("v4", "v6") if key in lease]
    assert sorted(sa["child_sas"][0]["remote_ts"]) == sorted(
        address + ("/128" if ":" in address else "/32") for address in inner)
    assert sorted(road.charon.list_sas("hub")[0]["local-vips"]) == sorted(inner)
    return inner


def reach_both_ways(road, site, inner):
    for host, address in zip((site.host4, site.host6), inner):
        road.gw.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "-I", address, host)
        site.host.ping(address)


# ---- it comes to us


def test_road_warrior(star, corp):
    """It is a first-class member: addresses of both families, hosts of sites in both directions;
    the same addresses after it was killed, and after the hub was."""
    hub = star.start_hub(corp, pool=POOL, top=QUICK)
    site = star.join(corp, 1)
    road = warrior(star, corp, 1)
    inner = connect(road, hub)
    assert len(inner) == 2
    reach_both_ways(road, site, inner)
    other = star.endpoint(2)
    star.start_endpoint(other, corp.endpoint(other.identity))
    other.daemon.wait_up("corp")
    assert not set(other.inner()) & set(inner)
    other.gw.ping(inner[0])
    road.charon.restart()
    assert connect(road, hub) == inner
    hub.kill()
    hub.start()
    road.charon.restart()
    hub.wait_up(site.identity, deadline=60)  # the site still believes in what is gone
    assert connect(road, hub) == inner
    reach_both_ways(road, site, inner)


def test_road_warrior_asks_for_what_it_had(star, corp):
    """One family; an address of its choice, if that is free; one that is not is not given."""
    hub = star.start_hub(corp, pool=POOL)
    first = warrior(star, corp, 1, vips="10.99.0.77")
    assert connect(first, hub) == ["10.99.0.77"]
    second = warrior(star, corp, 2, vips="10.99.0.77")
    inner = connect(second, hub)
    assert inner != ["10.99.0.77"] and len(inner) == 1


def test_road_warrior_moves(star, corp):
    """MOBIKE: another address on the underlay, the same inside."""
    hub = star.start_hub(corp, pool=POOL)
    site = star.join(corp, 1)
    road = warrior(star, corp, 1)
    inner = connect(road, hub)
    before, = hub.peers()[road.identity]["ike_sas"]
    assert before["mobike"]
    road.gw.sysctl("net.ipv4.conf.wan.promote_secondaries", 1)
    road.gw.ip("addr", "add", "192.0.2.199/24", "dev", "wan")
    road.gw.ip("addr", "del", f"{road.outer4}/24", "dev", "wan")
    road.gw.ip("route", "replace", "default", "via", "192.0.2.254", "dev", "wan")
    # Where to is charon's choice: the new address, or the IPv6 one that it had all the time.
    until(lambda: not hub.peers()[road.identity]["ike_sas"][0]["remote"].startswith(road.outer4),
          "the hub to hear of it")
    after, = hub.peers()[road.identity]["ike_sas"]
    assert (before["spi_i"], before["spi_r"]) == (after["spi_i"], after["spi_r"])
    reach_both_ways(road, site, inner)


def test_road_warrior_without_virtual_ip(star, corp):
    """Who does not ask has nothing to send from: FAILED_CP_REQUIRED (RFC 7296 section 3.10.1), and
    both ends say so."""
    hub = star.start_hub(corp, pool=POOL)
    road = warrior(star, corp, 1, vips="")
    assert road.charon.initiate("hub", check=False).returncode != 0
    hub.wait_counter("ike.refused.cp_required")
    assert "FAILED_CP_REQUIRED" in road.charon.log()
    assert "virtual_ip" in hub.log()
    assert leases(hub) == {}


def test_pool_of_two(star, corp):
    """The third is told INTERNAL_ADDRESS_FAILURE; when the first has gone for long enough, or the
    pool has grown, there is room."""
    hub = star.start_hub(corp, pool=["10.99.0.10-10.99.0.11"])
    site = star.join(corp, 1)
    roads = [warrior(star, corp, number, vips="0.0.0.0") for number in (1, 2, 3)]
    inner = [connect(road, hub) for road in roads[:2]]
    assert roads[2].charon.initiate("hub", check=False).returncode != 0
    assert "INTERNAL_ADDRESS_FAILURE" in roads[2].charon.log()
    assert hub.counters()["ike.refused.pool_exhausted"] == 1
    for road, addresses in zip(roads, inner):
        reach_both_ways(road, site, addresses)


# ---- we come to it


def gateway(star, pools=("rw4", "rw6"), **names):
    """strongSwan as a gateway with pools, behind it 10.1.0.1 and fd00:1::1."""
    site = star.site(1, host=False)
    charon = Charon(star.lab, site.gw)
    charon.pool("rw4", "10.9.0.0/24", **names)
    charon.pool("rw6", "fd00:9::/112")
    charon.connection("rw", site.outer4, "%any", "gw.example", "road.example",
                      f"{site.lan4},{site.lan6}", "dynamic",
                      extra=f"pools = {','.join(pools)}" if pools else "")
    charon.psk("rw", PSK, "gw.example", "road.example")
    charon.load()
    site.charon = charon
    return site


def call(star, site, env=None, road=None, **more):
    road = road or star.endpoint(1)
    section = {"address": site.outer4, "local_id": "road.example", "remote_id": "gw.example",
               "psk": PSK, "virtual_ip": ["ask"], "remote_ts": [site.lan4, site.lan6],
               "esp_proposals": ["aes128gcm16-noesn"], "start": "up", "dpd_delay": "1s", **more}
    road.daemon = Warrend(star.lab, road.gw, QUICK, {"gw": section}, start=False)
    road.daemon.env = env or {}
    road.daemon.start()
    return road


def test_at_a_gateway(star):
    """Addresses of both families, in use towards what is behind it; DNS and split DNS applied; all
    of it gone when it is taken down, the same when it is back."""
    site = gateway(star, dns="10.1.0.2,fd00:1::2", **{"25": "corp.example"})
    bus = Bus(star.lab)
    fake = Fake(bus)
    road = call(star, site, bus.env)
    road.daemon.wait_up("gw")
    inner = road.inner()
    assert inner == ["10.9.0.1", "fd00:9::1"]
    road.gw.ping(site.gwlan4)
    road.gw.ping(site.gwlan6)
    site.gw.ping(inner[0])
    fake.wait_call("SetLinkDNS")
    calls = {name: rest[1:] for name, *rest in fake.calls()}
    assert calls["SetLinkDomains"] == [[["corp.example", True]]]
    assert [bytes.fromhex(server)[-1] for _, server in calls["SetLinkDNS"][0]] == [2, 2]
    road.daemon.cli("rekey", "gw", "--ike")
    road.gw.ping(site.gwlan4)
    road.daemon.cli("down", "gw")
    until(lambda: road.inner() == [], "the addresses to go")
    fake.wait_call("RevertLink")
    road.daemon.cli("up", "gw")
    road.daemon.wait_up("gw")
    assert road.inner() == inner
    site.charon.restart()
    until(lambda: road.gw.ping(site.gwlan4, count=1, wait=1, check=False), "traffic", 60)
    assert road.inner() == inner


def test_refused_address(star):
    """A gateway gives an address that this host has already: no tunnel, and both what it was and
    why are told."""
    site = gateway(star, pools=("rw4",))
    road = star.endpoint(1)
    road.gw.ip("addr", "add", "10.9.0.1/32", "dev", "lo")
    call(star, site, road=road)
    road.daemon.wait_counter("ike.refused.inner_address")
    error = road.daemon.wait_error("gw", "10.9.0.1", "which this host has already")
    why, = json.loads(road.daemon.cli("why", "gw", "--json").stdout)["subjects"]
    check = next(check for check in why["checks"] if check["check"] == "address")
    assert (check["result"], check["text"]) == ("failed", error) and check["change"], check
    # That the SA then went has no reason.
    assert next(filter(None, (note.get("reason") for note in why["notes"]))) == "address"
    assert road.inner() == []


def test_gateway_has_no_pool(star):
    """It answers INTERNAL_ADDRESS_FAILURE, or without a word: no tunnel, and why."""
    site = gateway(star, pools=())
    road = call(star, site)
    road.daemon.wait_counter("ike.refused.by_peer")
    assert road.daemon.peers()["gw"]["last_error"]
    assert road.inner() == []
