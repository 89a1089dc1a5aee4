"""Sites that are attached to several hubs at once (attach = all), with real daemons: the preferred
hub has the traffic, another one takes over when it dies, and shortcuts come from whichever is left
(R01, R02, R09, R16, T4).

    site-1.example ==+== hub.example  192.0.2.1 ==+== site-2.example
    site-3.example ==`== hub2.example 192.0.2.2 =='
"""

import re

from lib.stream import Stream
from lib.wait import until

from test_several_hubs import NAMES, PLACES
from test_shortcuts import pair, shortcut, wait_direct

SECOND = f"corp/{PLACES[1]}"


def hubs(star, corp, **keys):
    """Both, the first calls the second."""
    corp.hub(NAMES[1])
    first = star.start_hub(corp, identity=NAMES[0], announce=[PLACES[0]], hubs=[PLACES[1]], **keys)
    second = star.start_hub(corp, ns=star.another_hub(2), identity=NAMES[1],
                            announce=[PLACES[1]], **keys)
    return [first, second]


def leads(site, section):
    """That hub is up, and has the site's traffic."""
    peer = site.daemon.peers()[section]
    return peer["state"] == "up" and peer["leads"]


def join(star, corp, number, **keys):
    site = star.join(corp, number, hubs=list(PLACES[:2]), attach="all", **keys)
    site.daemon.wait_up(SECOND)
    until(lambda: leads(site, "corp"), f"{site.identity} to use the preferred hub")
    return site


def say(site, attach):
    """Its file says so from now on."""
    with open(site.daemon.conf) as file:
        text = re.sub(r"(?m)^attach = .*$", f"attach = {attach}", file.read())
    with open(site.daemon.conf, "w") as file:
        file.write(text)


def carried(daemon):
    """Packets that came in on tunnels of members."""
    return sum(child["packets_in"] for peer in daemon.peers().values() if peer["kind"] == "member"
               for sa in peer["ike_sas"] for child in sa["child_sas"])


def test_another_hub_takes_over(star, corp):
    """R01, R02: what two say to each other goes by the preferred hub; it is killed, and what is lost
    is lost until it is suspected, in one burst; it comes back, and takes the traffic without any
    loss."""
    hub = hubs(star, corp, topology="star")
    one, two, three = (join(star, corp, number) for number in (1, 2, 3))
    until(lambda: all(site.identity in daemon.peers() for daemon in hub
                      for site in (one, two, three)), "all at both hubs")
    before = carried(hub[1])
    one.host.ping(two.host4, count=10)
    assert carried(hub[1]) == before
    # Of a stream with a burst at a time, whoever sends and whoever answers has to find out.
    with Stream(one.host, one.host4, two.host, two.host4, bursts=2) as stream:
        hub[0].kill()
        for site in (one, two):
            until(lambda: leads(site, SECOND), f"{site.identity} to use the second hub")
        stream.passed(400)
    assert len(stream.lost) >= 1
    with Stream(one.host, one.host4, two.host, two.host4) as stream:
        hub[0].start()
        for site in (one, two, three):
            until(lambda: leads(site, "corp"), f"{site.identity} to go back", deadline=240)
        stream.passed(400)
    assert not leads(one, SECOND) and one.daemon.peers()[SECOND]["state"] == "up"


def test_shortcuts_of_both(star, corp):
    """R02, R09, U2: a direct tunnel outlives the hub that suggested it, of which the other hub knows
    and suggests nothing; the next tunnel is that one's; and the hub that returns knows of both."""
    hub = hubs(star, corp)
    one, two, three = (join(star, corp, number) for number in (1, 2, 3))
    one.host.ping(two.host4)
    wait_direct(one, two)
    until(lambda: all(pair(daemon, one, two)["state"] == "up" for daemon in hub),
          "both hubs to know")
    assert hub[0].counters()["mesh.suggested"] == 1
    assert hub[1].counters()["mesh.suggested"] == 0
    with Stream(one.host, one.host4, two.host, two.host4) as stream:
        hub[0].kill()
        one.host.run("ping", "-c", "20", "-i", "0.2", "-w", "20", three.host4)
        wait_direct(one, three)
        stream.passed(400)
    assert hub[1].counters()["mesh.suggested"] == 1
    hub[0].start()
    for site in (one, two, three):
        until(lambda: leads(site, "corp"), f"{site.identity} to go back", deadline=240)
    until(lambda: pair(hub[0], one, two)["state"] == "up"
          and pair(hub[0], one, three)["state"] == "up", "the first hub to know both tunnels")
    assert hub[0].counters()["mesh.suggested"] == 0
    assert shortcut(one.daemon, two.identity)["up"]
    assert one.daemon.counters()["mesh.direct"] == 2


def test_one_and_all(star, corp):
    """T4: a reload from one hub at a time to all and back loses no packet; `down` and `up` are about
    the network, or about one of its hubs."""
    hub = hubs(star, corp, topology="star")
    one = star.join(corp, 1, hubs=list(PLACES[:2]), attach="one")
    two = join(star, corp, 2)
    assert SECOND not in one.daemon.peers()
    with Stream(one.host, one.host4, two.host, two.host4) as stream:
        for attach, there in (("all", True), ("one", False), ("all", True)):
            say(one, attach)
            one.daemon.cli("reload")
            until(lambda: (SECOND in one.daemon.peers()) == there, f"attach = {attach}")
            if there:
                one.daemon.wait_up(SECOND)
            until(lambda: one.daemon.peers()["corp"]["state"] == "up", "the preferred hub")
            stream.passed(200)
        until(lambda: leads(one, "corp"), "the preferred hub to have the traffic")
    # What is under way on a tunnel that an operator takes down is lost, and nothing after it.
    with Stream(one.host, one.host4, two.host, two.host4, bursts=1) as stream:
        one.daemon.cli("down", f"corp/{PLACES[0]}")
        until(lambda: leads(one, SECOND), "the second hub to have the traffic")
        stream.passed(400)
    assert not one.daemon.peers()["corp"]["ike_sas"]
    one.daemon.cli("down", "corp")
    one.daemon.wait_no_sa(SECOND)
    one.daemon.cli("up", "corp")
    one.daemon.wait_up("corp")
    one.daemon.wait_up(SECOND)
    one.host.ping(two.host4)
    assert "standby" in one.daemon.cli("peers").stdout
    assert hub[0].counters()["ike.attached"] == 0
