"""Several hubs of a network, with real daemons: members of two have direct tunnels, which outlive
both; hubs are learnt, and one that is left suffices (R01, R02, R09, R16).

    site-1.example  ==  hub.example 192.0.2.1  ==  hub2.example 192.0.2.2  ==  site-2.example
"""

import hashlib
import os

from lib.stream import Stream
from lib.wait import until

from test_shortcuts import pair, shortcuts, wait_direct

PLACES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
NAMES = ("hub.example", "hub2.example", "hub3.example")


def start(star, corp, index, others, **keys):
    if index:
        corp.hub(NAMES[index])
    return star.start_hub(corp, ns=star.another_hub(index + 1) if index else None,
                          identity=NAMES[index], announce=[PLACES[index]],
                          **({"hubs": others} if others else {}), **keys)


def at(site):
    """Where the site's hub is."""
    for sa in site.daemon.peers()["corp"]["ike_sas"]:
        if sa["state"] == "established" and sa["child_sas"]:
            return sa["remote"].rsplit(":", 1)[0].strip("[]")
    return None


def hash_of(site):
    with open(site.daemon.conf, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def kept(site):
    """What the site has in its state directory of hubs."""
    path = os.path.join(site.daemon.state_dir, "corp.hubs")
    return open(path, "rb").read() if os.path.exists(path) else b""


def test_members_of_two_hubs(star, corp):
    """R01, R02, R09, R16: a direct tunnel between members of two hubs; one hub dies and no packet
    is lost; who was there goes to the other one, of which no file of his knows, and so it is with a
    third, which is added while all run and is all that is left in the end."""
    hub = [start(star, corp, 0, [PLACES[1]]), start(star, corp, 1, [])]
    one = star.join(corp, 1, hubs=[PLACES[0]])
    two = star.join(corp, 2, hubs=[PLACES[1]])
    files = [hash_of(site) for site in (one, two)]
    until(lambda: NAMES[1].encode() in kept(one) and NAMES[0].encode() in kept(two),
          "the sites to know both hubs")
    one.host.ping(two.host4)
    wait_direct(one, two)
    until(lambda: all(pair(h, one, two)["state"] == "up" for h in hub), "both hubs to know")
    with Stream(one.host, one.host4, two.host, two.host4) as stream:
        hub[0].kill()
        until(lambda: at(one) == PLACES[1], "the first site to go to the second hub", deadline=240)
        stream.passed(400)
    hub.append(start(star, corp, 2, [PLACES[1]]))
    until(lambda: all(NAMES[2].encode() in kept(site) for site in (one, two)),
          "the sites to know the third hub")
    told = {item["identity"]: item for item in one.daemon.status()["hubs"]}
    assert set(told) == set(NAMES) and told[NAMES[2]]["at"] == [PLACES[2]], told
    assert [name for name in NAMES if told[name]["connected"]] == [NAMES[1]], told
    hub[1].kill()
    for site in (one, two):
        until(lambda: at(site) == PLACES[2], f"{site.identity} to go to the third hub", deadline=240)
    wait_direct(one, two)
    until(lambda: pair(hub[2], one, two)["state"] == "up", "the third hub to know of the tunnel")
    one.host.ping(two.host4)
    assert one.daemon.counters()["mesh.direct"] == 1
    assert files == [hash_of(site) for site in (one, two)]


def test_what_was_learnt_survives(star, corp):
    """R16: a site starts, and the only hub that its file names is gone."""
    hub = [start(star, corp, 0, [PLACES[1]]), start(star, corp, 1, [])]
    one = star.join(corp, 1, hubs=[PLACES[0]])
    until(lambda: NAMES[1].encode() in kept(one), "the site to know both hubs")
    one.daemon.stop()
    hub[0].kill()
    one.daemon.start()
    until(lambda: at(one) == PLACES[1], "the site to go to the second hub", deadline=240)


def know(hubs, sites, at):
    """All hubs know at which hub each of the sites is."""
    for index, hub in enumerate(hubs):
        members = {item["identity"]: item["here"] or item["at"]
                   for item in shortcuts(hub, "--members")["members"]}
        want = {site.identity: at[i] == index or NAMES[at[i]] for i, site in enumerate(sites)}
        assert members == want, f"{NAMES[index]}: {members}, not {want}"


def reach_each_other(sites):
    for near in sites:
        for far in sites:
            if near is not far:
                assert near.host.ping(far.host4) == 3
                assert near.host.ping(far.host6) == 3


def refused_at(hubs, index, site, address):
    """By that hub, with the answer of a firewall; no other one sees anything of it."""
    before = [hub.counters() for hub in hubs]
    out = site.host.run("ping", "-n", "-c", "1", "-W", "5", address, check=False).stdout
    assert "1 errors" in out, out
    for i, hub in enumerate(hubs):
        now = hub.counters()
        assert now["tx.discard"] - before[i]["tx.discard"] == (i == index)
        assert now["tx.reflected"] == before[i]["tx.reflected"]


def test_three_hubs(star, corp):
    """R09, R16: three hubs that all know each other, and a site at each: every pair reaches each
    other; a site goes to another hub, and the others find it there; what nobody has is refused by
    the first hub."""
    hub = [start(star, corp, i, [place for place in PLACES if place != PLACES[i]], topology="star")
           for i in range(3)]
    for index, daemon in enumerate(hub):
        until(lambda: {item["identity"] for item in daemon.status()["hubs"] if item["connected"]
                       } == set(NAMES) - {NAMES[index]}, f"{NAMES[index]} to know the others")
    site = [star.join(corp, i + 1, hubs=[PLACES[i]]) for i in range(3)]
    until(lambda: know(hub, site, (0, 1, 2)) is None, "the hubs to know all sites")
    reach_each_other(site)
    for i in range(3):
        refused_at(hub, i, site[i], "10.99.0.1")
    site[0].daemon.stop()
    site[0].daemon = star.start_site(site[0], corp.path(site[0].identity), hubs=[PLACES[2]])
    site[0].daemon.wait_up("corp")
    until(lambda: know(hub, site, (2, 1, 2)) is None, "the hubs to know that a site has moved")
    reach_each_other(site)
    assert not any(hub[i].counters()["tx.reflected"] for i in range(3))
