"""U1, R06: name servers that a hub gives an endpoint are asked, through systemd-resolved, for the
names that are theirs and for no others; where there is none nothing is touched."""

import json
import signal

import pytest

from lib import dns
from lib.resolve1 import Bus, Fake, Resolved
from lib.wait import until

POOL = ["10.99.0.0/24", "fd00:99::/64"]
SERVERS = ["10.1.0.2", "fd00:1::2"]
QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 3}
SERVERS_HEX = ["0a010002", "fd000001000000000000000000000002"]
AF_INET, AF_INET6 = 2, 10


def make_road(star, corp, number=1, **network):
    """An endpoint that is not started yet."""
    road = star.endpoint(number)
    star.start_endpoint(road, corp.endpoint(road.identity), top=QUICK, start=False,
                        dpd_delay="1s", **network)
    return road


def start(road, bus):
    road.daemon.env = bus.env
    road.daemon.start()
    road.daemon.wait_up("corp")


def names(road):
    return road.daemon.status()["names"]


def wait_names(road, state):
    def there():
        assert names(road)["state"] == state, names(road)
        return True
    until(there, f"names to be {state}")


# ---- with systemd-resolved


@pytest.fixture
def world(star, corp):
    """A site with a name server, another one on the underlay, an endpoint with systemd-resolved."""
    star.start_hub(corp, pool=POOL, top=QUICK, dns=SERVERS, dns_domains=["corp.example"])
    star.site1 = star.join(corp, 1)
    star.inside = dns.Server(star.site1.host, *SERVERS)
    star.inside.records(("www.corp.example", "10.1.0.80"), ("corp.example", "10.1.0.81"))
    star.u.ip("addr", "add", "192.0.2.254/24", "dev", "br0")
    star.outside = dns.Server(star.u, "192.0.2.254")
    star.outside.records(("www.other.example", "203.0.113.80"), ("mycorp.example", "203.0.113.81"),
                         ("hub.example", "192.0.2.1"))
    star.bus = Bus(star.lab)
    star.road = make_road(star, corp, hubs=["hub.example"])
    dns.files(star.road.gw, "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n")
    star.resolved = Resolved(star.bus, star.road.gw, "192.0.2.254")
    return star


def ask(road, name):
    """What an application on the host gets; None: no such name."""
    done = road.gw.run("getent", "ahostsv4", name, check=False)
    return done.stdout.split()[0] if done.stdout else None


def test_split(world):
    """Names in and below the domain go through the tunnel, others never do; the hub's own name is
    found before there is one."""
    road, resolved = world.road, world.resolved
    start(road, world.bus)
    wait_names(road, "set")
    assert sorted(resolved.servers()) == SERVERS_HEX
    assert resolved.domains() == [("corp.example", True)]
    assert ask(road, "www.corp.example") == "10.1.0.80"
    assert ask(road, "corp.example") == "10.1.0.81"
    assert ask(road, "www.other.example") == "203.0.113.80"
    assert ask(road, "mycorp.example") == "203.0.113.81"
    for name in ("www.corp.example", "corp.example"):
        assert world.inside.asked(name) and not world.outside.asked(name)
    for name in ("www.other.example", "mycorp.example"):
        assert world.outside.asked(name) and not world.inside.asked(name)
    given, = road.daemon.status()["inner"]
    assert sorted(given["dns"]) == sorted(SERVERS) and given["dns_domains"] == ["corp.example"]


def test_lost_and_found(world):
    """RFC 8598 section 5: with the last IKE SA they are forgotten, and set again with the next,
    which is found by name."""
    road, resolved = world.road, world.resolved
    start(road, world.bus)
    wait_names(road, "set")
    world.hub.kill()
    wait_names(road, "idle")
    assert resolved.servers() == [] and resolved.domains() == []
    assert ask(road, "www.other.example") == "203.0.113.80"
    world.hub.start()
    world.site1.daemon.wait_up("corp", deadline=60)
    road.daemon.wait_up("corp", deadline=60)
    wait_names(road, "set")
    until(lambda: ask(road, "www.corp.example") == "10.1.0.80", "the name to be found")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_daemon_ends(world, end):
    """However it ends."""
    road, resolved = world.road, world.resolved
    start(road, world.bus)
    wait_names(road, "set")
    getattr(road.daemon, end)()
    until(lambda: resolved.servers() == [] and resolved.domains() == [], "the servers to go")
    assert ask(road, "www.other.example") == "203.0.113.80"


def test_resolved_restarts(world):
    """It is told again."""
    road, resolved = world.road, world.resolved
    start(road, world.bus)
    wait_names(road, "set")
    resolved.proc.kill()
    resolved.start()
    until(lambda: sorted(resolved.servers()) == SERVERS_HEX, "the servers to be set again")
    assert ask(road, "www.corp.example") == "10.1.0.80"


# ---- with somebody who writes down what he hears


def quiet_hub(star, corp, **keys):
    return star.start_hub(corp, pool=POOL, top=QUICK, **keys)


def test_calls(star, corp):
    """What systemd-resolved is told, in which order: what the servers are for, then who they are."""
    quiet_hub(star, corp, dns=SERVERS, dns_domains=["corp.example", "intern"])
    bus = Bus(star.lab)
    fake = Fake(bus)
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "set")
    device = json.loads(road.gw.ip("-j", "link", "show", "warren0").stdout)[0]["ifindex"]
    assert fake.calls() == [
        ["SetLinkDefaultRoute", device, False],
        ["SetLinkDomains", device, [["corp.example", True], ["intern", True]]],
        ["SetLinkLLMNR", device, "no"],
        ["SetLinkMulticastDNS", device, "no"],
        ["SetLinkDNS", device, [[AF_INET, SERVERS_HEX[0]], [AF_INET6, SERVERS_HEX[1]]]]]
    assert "systemd-resolved asks 10.1.0.2, fd00:1::2 for corp.example, intern" in road.daemon.log()
    road.daemon.cli("down", "corp")
    fake.wait_call("RevertLink", device)
    wait_names(road, "idle")


def test_all_names(star, corp):
    """Servers without domains are asked for everything."""
    quiet_hub(star, corp, dns=SERVERS[:1])
    bus = Bus(star.lab)
    fake = Fake(bus)
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "set")
    calls = {call[0]: call[2:] for call in fake.calls()}
    assert calls["SetLinkDefaultRoute"] == [True]
    assert calls["SetLinkDomains"] == [[[".", True]]]
    assert calls["SetLinkDNS"] == [[[AF_INET, SERVERS_HEX[0]]]]


def test_hub_changes_its_mind(star, corp):
    """Other servers at the next IKE SA; none any more."""
    hub = quiet_hub(star, corp, dns=SERVERS[:1], dns_domains=["corp.example"])
    bus = Bus(star.lab)
    fake = Fake(bus)
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "set")
    for keys in ({"dns": SERVERS[1:]}, {}):
        hub.kill()
        wait_names(road, "idle")
        hub.configure({"identity": corp.path("hub.example"), **QUICK}, {}, networks={
            "corp": ({"role": "hub", "domain": ["10.0.0.0/8", "fd00::/16"], "pool": POOL, **keys},
                     {})})
        hub.start()
        road.daemon.wait_up("corp", deadline=60)
        if keys:
            wait_names(road, "set")
    assert names(road)["state"] == "idle"
    assert [call[2:] for call in fake.calls() if call[0] == "SetLinkDNS"] == [
        [[[AF_INET, SERVERS_HEX[0]]]], [[[AF_INET6, SERVERS_HEX[1]]]]]


@pytest.mark.parametrize("refused", ["SetLinkDefaultRoute", "SetLinkDNS"])
def test_refused(star, corp, refused):
    """Somebody else manages the device: said with his words, all of it is taken back, and the
    tunnel works."""
    quiet_hub(star, corp, dns=SERVERS)
    site = star.join(corp, 1)
    bus = Bus(star.lab)
    fake = Fake(bus, refused)
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "refused")
    assert names(road)["text"] == f"{refused}: Link warren0 is managed."
    assert "systemd-resolved does not take the network's name servers" in road.daemon.log()
    assert fake.calls()[-1][0] == "RevertLink" or refused == fake.calls()[-2][0]
    road.gw.ping(site.host4)


def test_nobody_there(star, corp):
    """One line, and the doctor's; nothing is overwritten. When somebody comes he is told."""
    quiet_hub(star, corp, dns=SERVERS)
    site = star.join(corp, 1)
    bus = Bus(star.lab)
    road = make_road(star, corp)
    dns.files(road.gw, "nameserver 192.0.2.254\n")
    start(road, bus)
    wait_names(road, "absent")
    line = "there is no systemd-resolved"
    assert road.daemon.log().count(line) == 1
    assert "10.1.0.2, fd00:1::2" in next(each for each in road.daemon.log().splitlines()
                                         if line in each)
    assert road.gw.run("cat", "/etc/resolv.conf").stdout == "nameserver 192.0.2.254\n"
    road.gw.ping(site.host4)
    doctor = road.gw.run(*doctor_argv(road), check=False)
    finding, = [item for item in json.loads(doctor.stdout)["findings"]
                if "systemd-resolved" in item["text"]]
    assert "10.1.0.2" in finding["text"], finding
    fake = Fake(bus)
    wait_names(road, "set")
    assert fake.calls()[-1][0] == "SetLinkDNS"
    fake.proc.kill()
    wait_names(road, "absent")


def doctor_argv(road):
    from lib.warren import binary           # pylint: disable=import-outside-toplevel
    return [binary("warren"), "--socket", road.daemon.socket, "--json", "doctor",
            road.daemon.conf]


def test_no_bus(star, corp):
    """Not even that; later there is one."""
    quiet_hub(star, corp, dns=SERVERS)
    bus = Bus(star.lab)
    bus.proc.stop()
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "absent")
    assert names(road)["text"].startswith("no system bus: ")
    bus.start()
    Fake(bus)
    wait_names(road, "set")
    bus.proc.kill()
    wait_names(road, "absent")


def test_agent_dies(star, corp):
    """The daemon goes on without it, and says so."""
    quiet_hub(star, corp, dns=SERVERS)
    site = star.join(corp, 1)
    bus = Bus(star.lab)
    Fake(bus)
    road = make_road(star, corp)
    start(road, bus)
    wait_names(road, "set")
    with open(f"/proc/{road.daemon.pid}/task/{road.daemon.pid}/children") as file:
        for pid in file.read().split():
            with open(f"/proc/{pid}/comm") as comm:
                if comm.read().strip() == "warren-resolved":
                    import os                # pylint: disable=import-outside-toplevel
                    os.kill(int(pid), signal.SIGKILL)
    wait_names(road, "absent")
    assert "the process that talks to systemd-resolved ended" in road.daemon.log()
    road.gw.ping(site.host4)


def test_nothing_to_say(star, corp):
    """Who gets no name servers never comes to the bus."""
    quiet_hub(star, corp)
    bus = Bus(star.lab)
    fake = Fake(bus)
    road = make_road(star, corp)
    start(road, bus)
    assert names(road) == {"state": "idle", "text": ""}
    assert len([name for name in bus.names() if name.startswith(":")]) <= 2     # fake's, busctl's
    assert fake.calls() == []
