"""Peers by name: several A and AAAA records, files and servers, records that change."""

import pytest

from lib import dns, topo
from lib.wait import until
from lib.warren import psk_pair

QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 2}


@pytest.fixture
def server(two_sites):
    net = two_sites
    net.server = dns.Server(net.u, "192.0.2.254", "2001:db8:1::fe")
    dns.files(net.a.gw, "nameserver 192.0.2.254\n", "127.0.0.1 localhost\n")
    return net


def _pair(net, family=4, name="hub.example", keys=None, **top):
    return psk_pair(net, family, top=({**QUICK, **top}, QUICK),
                    a={"address": name, "dpd_delay": "1s", **(keys or {})})


def _remote(daemon):
    return daemon.wait_up("b", deadline=60)["remote"].rsplit(":", 1)[0].strip("[]")


@pytest.mark.parametrize("family", [4, 6])
def test_a_and_aaaa(server, family):
    net = server
    net.server.records(("hub.example", net.b.outer(family)))
    left, _ = _pair(net)
    assert _remote(left) == net.b.outer(family)


def test_second_address_is_tried(server):
    """The first one that the name has answers nothing; the other one does."""
    net = server
    net.server.records(("hub.example", "192.0.2.66"), ("hub.example", net.b.outer4))
    left, _ = _pair(net)
    assert _remote(left) == net.b.outer4
    # Also with an address of the other family that leads nowhere.
    left.stop()
    net.server.records(("hub.example", "2001:db8:2::66"), ("hub.example", net.b.outer4))
    left.start()
    assert _remote(left) == net.b.outer4


def test_record_changes(server):
    """The peer moves to another address: when it does not answer any more, its name is asked for
    again. (With MOBIKE the peer has said where else it is: test_roam.py.)"""
    net = server
    net.server.records(("hub.example", net.b.outer4))
    left, right = _pair(net, keys={"mobike": False})
    assert _remote(left) == net.b.outer4
    asked = net.server.asked("hub.example")
    net.b.gw.ip("addr", "del", "198.51.100.1/24", "dev", "wan")
    topo.addresses(net.b.gw, "wan", "198.51.100.9/24")
    topo.default_route(net.b.gw, "wan", "198.51.100.254")
    net.server.records(("hub.example", "198.51.100.9"))
    until(lambda: left.peers()["b"]["ike_sas"] and _remote(left) == "198.51.100.9",
          "the new address", deadline=60)
    assert net.server.asked("hub.example") > asked
    right.wait_up("a")


def test_no_such_name(server):
    """What does not resolve is said, and tried again until it does."""
    net = server
    left, _ = _pair(net)
    until(lambda: "cannot reach hub.example" in left.log(), "the complaint")
    net.server.records(("hub.example", net.b.outer4))
    assert _remote(left) == net.b.outer4


def test_hosts_file_comes_first(server):
    net = server
    net.server.records(("hub.example", "192.0.2.66"))
    dns.files(net.a.gw, hosts=f"127.0.0.1 localhost\n{net.b.outer4} hub.example\n")
    left, _ = _pair(net)
    assert _remote(left) == net.b.outer4
    assert net.server.asked("hub.example") == 0


def test_second_server_is_asked(server):
    """The first name server is dead."""
    net = server
    dns.files(net.a.gw, "nameserver 192.0.2.77\nnameserver 192.0.2.254\n")
    net.server.records(("hub.example", net.b.outer4))
    left, _ = _pair(net)
    assert _remote(left) == net.b.outer4


def test_search_list(server):
    net = server
    dns.files(net.a.gw, "search example\nnameserver 2001:db8:1::fe\n")
    net.server.records(("hub.example", net.b.outer4))
    left, _ = _pair(net, name="hub")
    assert _remote(left) == net.b.outer4


def test_daemon_ends_while_it_asks(server):
    """A name server that says nothing does not keep the daemon from ending."""
    net = server
    dns.files(net.a.gw, "nameserver 192.0.2.77\n")
    left, _ = _pair(net)
    left.stop()
