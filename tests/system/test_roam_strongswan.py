"""A gateway that travels, where one of both ends is strongSwan with MOBIKE (R06): the one that
moves, or the one that is called. The one that moves is site a."""

import pytest

from lib.pulse import Pulse
from lib.roads import assert_nothing_in_clear, host_of, report
from lib import transfer
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend, psk_peer

pytestmark = pytest.mark.alone

MOVES = {
    "plain-plain": ("wifi", "lte", (4,)),
    "plain-plain-6": ("wifi", "lte", (6,)),
    "plain-nat": ("wifi", "home", (4,)),
    "nat-nat": ("home", "cafe", (4,)),
    "nat-plain": ("home", "lte", (4,)),
    "v4-v6": ("wifi", "six", (4, 6)),
    "v6-v4": ("six", "lte", (6, 4)),
}
A, B = "site-a.example", "site-b.example"


def _charon(net, here, there, remote, ids, **more):
    charon = Charon(net.lab, here.gw)
    charon.connection("peer", "%any", remote, *ids, f"{here.lan4},{here.lan6}",
                      f"{there.lan4},{there.lan6}", mobike="yes", **more)
    charon.psk("peer", PSK, *ids)
    charon.load()
    return charon


def _warrend(net, here, there, ids, **more):
    section = {**psk_peer(here, there, *ids, 4), "dpd_delay": "0s",
               "esp_proposals": ["aes128gcm16-noesn"], **more}
    if section["start"] == "listen":
        del section["address"]          # wherever it calls from
    return Warrend(net.lab, here.gw, {}, {"peer": section})


@pytest.mark.parametrize("move", MOVES)
def test_we_move(roads, record_property, move):
    """warren travels, strongSwan is called."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families[:1])
    charon = _charon(net, net.b, net.a, "%any", (B, A))
    ours = _warrend(net, net.a, net.b, (A, B), start="up",
                    address=net.b.outer(families[0]))
    before = ours.wait_up("peer")
    assert before["mobike"] and before["decides"]
    with net.watched(old, new) as captures:
        with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
              Pulse(net.b.host, net.b.host6, net.a.host, net.a.host6) as pulse):
            with report(record_property, f"to strongSwan, {move}", pulse) as moment:
                moment.usable = net.move(old, new, families[-1:])
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after = ours.wait_up("peer")
    assert (after["spi_i"], after["spi_r"]) == (before["spi_i"], before["spi_r"])
    assert host_of(after["local"]) == net.roads[new].address(families[-1])
    sa, = charon.list_sas("peer")
    assert sa["remote-host"] == net.roads[new].seen(families[-1])


@pytest.mark.parametrize("move", MOVES)
def test_it_moves(roads, record_property, move):
    """strongSwan travels, warren is called."""
    old, new, families = MOVES[move]
    net = roads
    net.join(old, families[:1])
    ours = _warrend(net, net.b, net.a, (B, A), start="listen")
    charon = _charon(net, net.a, net.b, net.b.outer(families[0]), (A, B))
    charon.initiate("peer")
    before = ours.wait_up("peer")
    assert before["mobike"] and not before["decides"]
    with net.watched(old, new) as captures:
        with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
              Pulse(net.b.host, net.b.host6, net.a.host, net.a.host6) as pulse):
            with report(record_property, f"from strongSwan, {move}", pulse) as moment:
                moment.usable = net.move(old, new, families[-1:])
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after = ours.wait_up("peer")
    assert (after["spi_i"], after["spi_r"]) == (before["spi_i"], before["spi_r"])
    assert host_of(after["remote"]) == net.roads[new].seen(families[-1])
    until(lambda: charon.established("peer") == 1, "strongSwan to have one")


def test_it_is_called_elsewhere(roads, record_property):
    """strongSwan has a second uplink, and told us; the first one breaks. It leaves the decision to
    us, as the one who was called, so we find the way (RFC 4555 section 3.10)."""
    net = roads
    net.join("wifi", (4,))
    net.second_uplink()
    charon = _charon(net, net.b, net.a, "%any", (B, A))
    ours = _warrend(net, net.a, net.b, (A, B), start="up", address=net.b.outer4)
    before = ours.wait_up("peer")
    with net.watched("wifi", second=True) as captures:
        with (transfer.Ongoing(net.a.host, net.b.host, net.b.host4) as copy,
              Pulse(net.a.host, net.a.host6, net.b.host, net.b.host6) as pulse):
            with report(record_property, "strongSwan loses an uplink", pulse) as moment:
                moment.usable = net.lose_first_uplink()
                pulse.beats()
                copy.passed()
    assert_nothing_in_clear(captures)
    after = ours.wait_up("peer")
    assert (after["spi_i"], after["spi_r"]) == (before["spi_i"], before["spi_r"])
    assert host_of(after["remote"]) == "198.51.101.1"
    assert charon.established("peer") == 1
