"""Direct tunnels between members of a hub (RFC 7018), with real daemons: they come when two talk to
each other, carry all their packets, and go when nobody needs them or a topology does not want them."""

import json

from lib import topo
from lib.star import HUB, HUB_OUTER
from lib.stream import Stream
from lib.strongswan import Charon
from lib.wait import until

def shortcuts(daemon, *more):
    return json.loads(daemon.cli("shortcuts", "--json", *more).stdout)


def shortcut(daemon, partner):
    """What a site says of its tunnel with that partner; None: nothing."""
    found = [item for item in shortcuts(daemon)["shortcuts"] if item["partner"] == partner]
    return found[-1] if found else None


def pair(hub, one, other):
    """What a hub says of the two; there has to be something."""
    found = [item for item in shortcuts(hub)["pairs"]
             if {item["a"], item["b"]} == {one.identity, other.identity}]
    assert found, f"nothing about {one.identity} and {other.identity}"
    return found[-1]


def wait_direct(one, other):
    """Until both ends say so; returns what they say."""
    def is_up(here, there):
        said = shortcut(here.daemon, there.identity)
        assert said and said["up"] and said["state"] == "up", said
        return said
    return (until(lambda: is_up(one, other), f"a tunnel from {one.identity}"),
            until(lambda: is_up(other, one), f"a tunnel from {other.identity}"))


def wait_none(one, other):
    """Until neither end has one, nor the engine a partner."""
    def none():
        for here, there in ((one, other), (other, one)):
            said = shortcut(here.daemon, there.identity)
            assert not (said and said["up"]), said
            assert there.identity not in here.daemon.peers()
        return True
    until(none, f"no tunnel between {one.identity} and {other.identity}")


def by_hub(hub):
    """Packets that members had the hub forward: those that came in on their tunnels."""
    return sum(child["packets_in"] for peer in hub.peers().values() if peer["kind"] == "member"
               for sa in peer["ike_sas"] for child in sa["child_sas"])


def talk(one, other):
    one.host.ping(other.host4)


def net(star, corp, *numbers, **keys):
    star.start_hub(corp, **keys)
    return [star.join(corp, number) for number in numbers]


def test_two_who_talk(star, corp):
    """U2, R01, R02, R13, T3: the first packet goes by the hub; then the two have a tunnel of their
    own, both ends and the hub say so, and what follows goes by it; the third knows nothing of it."""
    one, other, third = net(star, corp, 1, 2, 3)
    with star.capture() as capture:
        one.host.ping(other.host4, count=1)
        near, far = wait_direct(one, other)
        assert near["initiator"] != far["initiator"]
        assert near["local"] == far["remote"] and near["remote"] == far["local"]
        assert near["remote"].startswith(other.outer4 + ":")
        assert near["hub"] == "hub.example"
        assert set(near["remote_ts"]) == set(other.prefixes()), near
        until(lambda: pair(star.hub, one, other)["state"] == "up", "the hub to know")
        before = by_hub(star.hub)
        one.host.ping(other.host4, count=20)
        other.host.ping(one.host6, count=20)
        assert by_hub(star.hub) == before
        said = shortcut(one.daemon, other.identity)
        assert said["packets_out"] >= 40 and said["packets_in"] >= 40, said
    assert capture.clear() == []
    assert shortcuts(third.daemon)["shortcuts"] == []
    peer = one.daemon.peers()[other.identity]
    assert peer["kind"] == "partner" and peer["section"] == "corp" and peer["state"] == "up", peer
    assert peer["ike_sas"][0]["ppk"]
    assert one.daemon.counters()["mesh.direct"] == 1
    members = {item["identity"]: item for item in
               shortcuts(star.hub, "--members")["members"]}
    assert set(members) == {one.identity, other.identity, third.identity}
    assert all(item["partner"] for item in members.values())
    assert "up" in one.daemon.cli("shortcuts", "-v").stdout
    assert one.identity in star.hub.cli("shortcuts", "-v").stdout


def test_no_packet_is_lost(star, corp):
    """U2, T3: from the hub's path to the direct one without losing a packet. Taken down by hand it
    costs no more than what is under way that moment, and the hub does not suggest it at once."""
    one, other = net(star, corp, 1, 2)
    with Stream(one.host, one.host4, other.host, other.host4) as stream:
        wait_direct(one, other)
        before = by_hub(star.hub)
        stream.passed(400)
        assert by_hub(star.hub) == before
    with Stream(one.host, one.host4, other.host, other.host4, bursts=1) as stream:
        one.daemon.cli("down", other.identity)
        wait_none(one, other)
        stream.passed(400)
        assert by_hub(star.hub) > before
        assert pair(star.hub, one, other)["retry_in_s"] > 0


def test_idle(star, corp):
    """R02: a tunnel that nobody uses goes, and comes again when somebody wants it."""
    one, other = net(star, corp, 1, 2, shortcut_idle="10s")
    talk(one, other)
    wait_direct(one, other)
    wait_none(one, other)
    assert "idle" in {shortcut(one.daemon, other.identity)["reason"],
                      shortcut(other.daemon, one.identity)["reason"]}
    one.host.ping(other.host4, count=1)
    wait_direct(one, other)


def test_topology(star, corp):
    """T1, T4, R04, R11: in a star nobody is suggested to anybody; a reload to dynamic lets them, back to
    star takes it away; no packet is lost, in either direction."""
    one, other = net(star, corp, 1, 2, topology="star")
    hub = star.hub
    with open(hub.conf) as file:
        as_star = file.read()

    def reload(topology):
        with open(hub.conf, "w") as file:
            file.write(as_star.replace("topology = star", f"topology = {topology}"))
        assert "topology" in hub.cli("reload").stdout

    with Stream(one.host, one.host4, other.host, other.host4) as stream:
        stream.passed(800)
        assert shortcuts(one.daemon)["shortcuts"] == [] == shortcuts(other.daemon)["shortcuts"]
        reload("dynamic")
        wait_direct(one, other)
        stream.passed(400)
        reload("star")
        wait_none(one, other)
        stream.passed(400)
        said = [shortcut(here.daemon, there.identity)
                for here, there in ((one, other), (other, one))]
        assert {item["state"] for item in said} == {"ended"}, said
        # Who hears the other one's goodbye before the hub's word has that to say.
        assert "policy" in {item["reason"] for item in said}, said


def test_hub_is_killed(star, corp):
    """R16: the tunnel outlives the hub that suggested it, without losing a packet; a hub that comes
    back knows of it, and leaves it alone."""
    one, other = net(star, corp, 1, 2)
    with Stream(one.host, one.host4, other.host, other.host4) as stream:
        wait_direct(one, other)
        stream.passed()
        star.hub.kill()
        stream.passed(2000)
        star.hub.start()
        for site in (one, other):
            site.daemon.wait_up("corp")
        until(lambda: pair(star.hub, one, other)["state"] == "up", "the hub to hear of it")
        stream.passed(400)


def test_another_address(star, corp):
    """R02: one of the two is killed, and starts again with another address: once it is back they
    have a tunnel again, to where it is now."""
    one, other = net(star, corp, 1, 2)
    talk(one, other)
    near, _ = wait_direct(one, other)
    other.daemon.kill()
    other.gw.ip("addr", "del", f"{other.outer4}/24", "dev", "wan")
    other.gw.ip("addr", "add", "192.0.2.77/24", "dev", "wan")
    other.gw.ip("route", "replace", "default", "via", "192.0.2.254", "dev", "wan")
    other.daemon.start()
    other.daemon.wait_up("corp")

    def is_there():
        one.host.ping(other.host4, count=1, wait=1, check=False)
        said = shortcut(one.daemon, other.identity)
        # Of addresses of its own the quickest is taken: its IPv6 one is where it was.
        assert said["up"] and said["remote"].startswith(("192.0.2.77:", "[")), said
        return said["number"] != near["number"]
    until(is_there, "a tunnel to the new address", 60)
    wait_direct(one, other)
    talk(one, other)


def test_full_mesh(star, corp):
    """T2, R04: in a mesh everybody has a tunnel with everybody, before anybody says anything."""
    sites = net(star, corp, 1, 2, 3, topology="mesh")
    for i, one in enumerate(sites):
        for other in sites[i + 1:]:
            wait_direct(one, other)
    before = by_hub(star.hub)
    for one in sites:
        for other in sites:
            if one is not other:
                one.host.ping(other.host4)
    assert by_hub(star.hub) == before


def test_one_who_does_not(star, corp):
    """R11: a site that takes no suggestions is reached by the hub, and `why` says so at the hub and
    at the other site."""
    star.start_hub(corp)
    one = star.join(corp, 1)
    other = star.join(corp, 2, shortcuts="no")
    talk(one, other)
    talk(other, one)
    assert shortcuts(one.daemon)["shortcuts"] == []
    members = {item["identity"]: item for item in shortcuts(star.hub, "--members")["members"]}
    assert members[one.identity]["partner"] and not members[other.identity]["partner"]
    assert "no partner" in star.hub.cli("why", other.identity).stdout
    assert "hub" in one.daemon.cli("why", other.identity).stdout


def test_foreign_member(star, corp):
    """R01, R11: a strongSwan, which knows nothing of suggestions, goes on behind the hub, while the
    two that do have a tunnel; the hub says why it has none."""
    one, other = net(star, corp, 1, 2)
    foreign = star.site(3)
    corp.site(foreign.identity, foreign.prefixes())
    charon = Charon(star.lab, foreign.gw)
    charon.trust_file("corp", corp.ca)
    charon.own_files(foreign.identity, corp.path(foreign.identity, ".pem"),
                     corp.path(foreign.identity, ".key"))
    charon.connection("hub", foreign.outer4, HUB_OUTER, foreign.identity, HUB, foreign.lan4,
                      "0.0.0.0/0", cert=type("Leaf", (), {"name": foreign.identity}))
    charon.load()
    charon.initiate("hub")
    foreign.gw.ip("rule", "add", "to", foreign.lan4, "lookup", "main", "priority", "200")
    star.hub.wait_up(foreign.identity)
    talk(one, other)
    wait_direct(one, other)
    before = by_hub(star.hub)
    foreign.host.ping(one.host4, count=5)
    one.host.ping(foreign.host4, count=5)
    assert by_hub(star.hub) >= before + 20
    assert shortcut(one.daemon, foreign.identity) is None
    assert "no partner" in star.hub.cli("why", foreign.identity).stdout


def test_why_not(star, corp):
    """R11, R13: the tunnel cannot come up, since nothing of one gets to the other but by the hub:
    `why` at both and at their hub says so; when the obstacle is gone, and the hub has waited, it
    comes."""
    one, other = net(star, corp, 1, 2, shortcut_retry="5s")
    other.gw.nft(f"""
        table inet wall {{
            chain in {{
                type filter hook input priority -10; policy accept;
                ip saddr {one.outer4} drop
                ip6 saddr {one.outer6} drop
            }}
        }}""")
    talk(one, other)

    def failed(here, there):
        said = shortcut(here.daemon, there.identity)
        assert said and said["state"] == "failed", said
        assert "no_path" in f"{said['reason']} {said['text']}", said
        return said
    said = until(lambda: failed(one, other), "no path to be found")
    assert {item["result"] for item in said["tries"]} == {"silent"}, said
    assert said["tries"][0]["remote"] == f"{other.outer4}:4500"
    [subject] = json.loads(one.daemon.cli("why", other.identity, "--json").stdout)["subjects"]
    assert subject["kind"] == "partner", subject
    results = {check["check"]: check["result"] for check in subject["checks"]}
    assert results["suggested"] == "ok" and results["path"] == "failed", subject
    assert any(note["event"] == "shortcut_failed" for note in subject["notes"]), subject
    waits = until(lambda: pair(star.hub, one, other), "the hub to know")
    assert waits["reason"] == "no_path" and waits["by"] and waits["retry_in_s"] >= 0, waits
    assert "no_path" in star.hub.cli("why", one.identity).stdout
    assert other.identity in one.daemon.cli("why", other.host4).stdout
    other.gw.run("nft", "delete", "table", "inet", "wall")

    def comes():
        talk(one, other)
        return shortcut(one.daemon, other.identity)["up"]
    until(comes, "the tunnel", 60)


def test_behind_a_nat(star, corp):
    """U1, the easy case: one of the two is behind a NAT, the other is not."""
    lab = star.lab
    star.start_hub(corp)
    one = star.join(corp, 1)
    box = lab.netns("nat")
    star.plug(box, "192.0.2.50", "2001:db8::50", "pnat")
    other = star.site(2)
    other.gw.ip("link", "del", "wan")
    lab.veth(other.gw, "wan", box, "in")
    topo.addresses(other.gw, "wan", "192.168.1.2/24")
    topo.addresses(box, "in", "192.168.1.1/24")
    topo.default_route(other.gw, "wan", "192.168.1.1")
    box.sysctl("net.ipv4.ip_forward", 1)
    box.nft("""
        table ip nat {
            chain post {
                type nat hook postrouting priority 100; policy accept;
                oifname "wan" meta l4proto udp masquerade to :20000-20999
                oifname "wan" masquerade
            }
        }""")
    bundle = corp.site(other.identity, other.prefixes())
    other.daemon = star.start_site(other, bundle)
    other.daemon.wait_up("corp")
    talk(one, other)
    near, far = wait_direct(one, other)
    assert near["remote"].startswith("192.0.2.50:"), near
    assert far["local"].startswith("192.168.1.2:"), far
    before = by_hub(star.hub)
    other.host.ping(one.host4, count=10)
    one.host.ping(other.host4, count=10)
    assert by_hub(star.hub) == before
