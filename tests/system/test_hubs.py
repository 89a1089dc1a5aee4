"""Two hubs of a network that know each other: whoever is at one of them reaches who is at the other
(R09).

    site-1.example  ==  hub.example 192.0.2.1  ==  hub2.example 192.0.2.2  ==  site-2.example
"""

import pytest

from lib.star import DOMAIN
from lib.wait import until

HUBS = ("192.0.2.1", "192.0.2.2")
IDENTITIES = ("hub.example", "hub2.example")


class TwoHubs:
    """A site at each; `own`: keys of each hub's section."""

    def __init__(self, star, corp, own):
        self.corp = corp
        ns = (None, star.another_hub(2))
        corp.hub(IDENTITIES[1])
        self.hub = [star.start_hub(corp, ns=ns[i], identity=IDENTITIES[i], **own[i])
                    for i in range(2)]
        self.site = [star.join(corp, i + 1, host=False, hubs=[HUBS[i]]) for i in range(2)]
        for site in self.site:
            until(lambda: site.daemon.peers()["corp"]["state"] == "up", f"{site.identity} to be up")

    def calls(self, index):
        """The hub's own tunnel to the other one."""
        return self.hub[index].peers().get("corp/" + HUBS[1 - index])

    def is_called(self, index):
        return self.hub[index].peers().get(IDENTITIES[1 - index], {"ike_sas": []})["ike_sas"]

    def reconfigure(self, index, **keys):
        network = {"role": "hub", "domain": list(DOMAIN), **keys}
        self.hub[index].configure({"identity": self.corp.path(IDENTITIES[index])}, {},
                                  {"corp": (network, {})})
        return self.hub[index].cli("reload").stdout

    def reach(self):
        for near, far in (self.site, self.site[::-1]):
            near.gw.run("ping", "-n", "-c", "3", "-W", "5", "-I", near.gwlan4, far.gwlan4)
            near.gw.run("ping", "-n", "-c", "3", "-W", "5", "-I", near.gwlan6, far.gwlan6)


def _up(peer):
    return peer is not None and [sa for sa in peer["ike_sas"] if sa["state"] == "established"
                                 and sa["child_sas"]]


@pytest.mark.parametrize("both", [False, True], ids=["one calls", "both call"])
def test_members_of_two_hubs(star, corp, both):
    """R09: it is enough that one of them knows the other, and does no harm when both do, or when a
    hub finds itself in the list."""
    hubs = TwoHubs(star, corp, ({"hubs": [HUBS[1], IDENTITIES[0]]},
                                {"hubs": [HUBS[0], IDENTITIES[1]]} if both else {}))
    until(lambda: _up(hubs.calls(0)), "the first hub to be connected to the second")
    if both:
        until(lambda: _up(hubs.calls(1)), "the second hub to be connected to the first")
    assert f"corp/{IDENTITIES[0]}" not in hubs.hub[0].peers()
    hubs.reach()


def test_hub_is_added_and_removed(star, corp):
    """R09, T3: another hub in a hub's file is a reload there, and nothing to who is connected."""
    hubs = TwoHubs(star, corp, ({}, {}))
    sas = [site.daemon.peers()["corp"]["ike_sas"][0]["spi_i"] for site in hubs.site]
    text = hubs.reconfigure(0, hubs=[HUBS[1]], topology="mesh")
    assert f'hubs: not given -> {{ "{HUBS[1]}" }}' in text and "topology: dynamic -> mesh" in text
    until(lambda: _up(hubs.calls(0)), "the first hub to be connected to the second")
    hubs.reach()
    assert "removed" not in hubs.reconfigure(0)
    assert hubs.calls(0) is None
    until(lambda: not hubs.is_called(1), "the second hub to see the first one leave")
    assert sas == [site.daemon.peers()["corp"]["ike_sas"][0]["spi_i"] for site in hubs.site]
