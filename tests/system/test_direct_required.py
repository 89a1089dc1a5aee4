"""direct = required, with real daemons: not one packet between two members goes by their hub, before
their tunnel, with it, and when one of both is gone; who cannot be reached says why (S2, R01, R05)."""

import json

from lib.wait import until
from test_shortcuts import net, pair, wait_direct


def join(star, corp, number, **keys):
    return star.join(corp, number, direct="required", **keys)


def relayed(hub):
    """Packets that members had the hub decrypt, since it started."""
    return hub.counters()["esp.rx.ok"]


def wanted(daemon):
    return {(item["address"], item["direction"]): item
            for item in json.loads(daemon.cli("shortcuts", "--json").stdout)["wanted"]}


def reload(hub, old, new):
    with open(hub.conf) as file:
        text = file.read()
    assert old in text
    with open(hub.conf, "w") as file:
        file.write(text.replace(old, new))
    hub.cli("reload")


def test_never_by_the_hub(star, corp):
    """The first packet waits for the tunnel that it is the reason for; what comes after it goes
    there; without it, the other end being gone, everything stops; and begins again with it."""
    hub = star.start_hub(corp)
    one, other = join(star, corp, 1), join(star, corp, 2)
    with star.capture() as capture:
        assert one.host.ping(other.host4, count=1) == 1
        wait_direct(one, other)
        assert one.host.ping(other.host6, count=20) == 20
        assert other.host.ping(one.host4, count=20) == 20
        assert relayed(hub) == 0
        assert one.daemon.counters()["tx.not_direct"] >= 1
        assert one.daemon.counters()["tx.no_sa"] == 0
        assert one.daemon.counters()["mesh.tx.asks"] >= 1
        assert hub.counters()["mesh.rx.asks"] >= 1
        before = one.daemon.counters()["tx.not_direct"]

        other.daemon.kill()

        def refused():
            one.host.ping(other.host4, count=5, wait=1, check=False)
            assert one.daemon.counters()["tx.not_direct"] > before + 5
            return True
        until(refused, "packets to one that is gone to be refused")
        assert relayed(hub) == 0

        other.daemon.start()
        other.daemon.wait_up(corp.name)
        until(lambda: one.host.ping(other.host4, count=1, wait=1, check=False) == 1,
              "another tunnel")
        assert relayed(hub) == 0
    assert capture.clear() == []


def test_a_star_says_so(star, corp):
    """A hub that suggests nothing: the sender hears "prohibited", the operator why; with another
    topology it gets its tunnel."""
    hub = star.start_hub(corp, topology="star")
    one, other = join(star, corp, 1), join(star, corp, 2)

    def told():
        done = one.host.run("ping", "-n", "-c", "6", "-i", "0.05", "-W", "1", other.host4,
                            check=False)
        assert "filtered" in done.stdout, done.stdout
        return True
    until(told, "the sender to hear of it")
    item = wanted(one.daemon)[other.host4, "out"]
    assert item["state"] == "no tunnel" and item["reason"] == "policy", item
    assert "star" in item["text"] and item["hub"] == "hub.example", item
    assert other.host4 in one.daemon.cli("shortcuts").stdout
    why = one.daemon.cli("why", corp.name).stdout
    assert other.host4 in why and "star" in why, why
    assert relayed(hub) == 0
    assert pair(hub, one, other)["state"] == "not allowed"
    reload(hub, "topology = star", "topology = dynamic")
    until(lambda: one.host.ping(other.host4, count=1, wait=1, check=False) == 1, "a tunnel")
    wait_direct(one, other)
    assert relayed(hub) == 0


def test_what_is_relayed(star, corp):
    """A member that takes no suggestions is reached by the hub where the file says so, and only
    there; nobody that nobody has; what a member that may be relayed sends by the hub is dropped."""
    hub = star.start_hub(corp)
    third = star.join(corp, 3, shortcuts="no")
    one = join(star, corp, 1, relayed=list(third.prefixes()))
    strict = join(star, corp, 2)
    assert one.host.ping(third.host4, count=3) == 3
    assert third.host.ping(one.host6, count=3) == 3
    assert strict.host.ping(third.host4, count=1, wait=1, check=False) == 0
    item = until(lambda: wanted(strict.daemon)[third.host4, "out"], "to be asked for")
    until(lambda: wanted(strict.daemon)[third.host4, "out"]["reason"] == "partner_refused",
          "a refusal")
    before = relayed(hub)
    assert third.host.ping(strict.host4, count=2, wait=1, check=False) == 0
    assert relayed(hub) == before + 2
    assert strict.daemon.counters()["esp.rx.not_direct"] == 2
    assert wanted(strict.daemon)[third.host4, "in"]["state"] == "refused"
    assert item["network"] == corp.name
    strict.host.ping("10.77.0.1", count=1, wait=1, check=False)
    until(lambda: wanted(strict.daemon)["10.77.0.1", "out"]["reason"] == "unknown", "a refusal")


def test_only_one_end(star, corp):
    """The other end prefers and does not require: its packets may be seen by the hub, and get no
    further; those of this one are not."""
    one, = net(star, corp, 1)
    other = join(star, corp, 2)
    hub = star.hub
    # An answer may leave before that end knows that packets get through.
    other.host.ping(one.host4, count=3, check=False)
    wait_direct(one, other)
    before = relayed(hub)
    assert before == other.daemon.counters()["esp.rx.not_direct"]
    assert other.host.ping(one.host4, count=20) == 20
    assert one.host.ping(other.host6, count=20) == 20
    assert relayed(hub) == before
