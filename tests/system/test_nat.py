"""The initiator behind a masquerading router that always changes its ports."""

import pytest

from lib import transfer
from lib.wait import until
from lib.warren import Warrend, psk_peer


def _pair(net, keepalive="1s"):
    """b does not know where a will come from; quick keepalives from a."""
    site_b = psk_peer(net.b, net.a, "site-b.example", "site-a.example", 4, start="listen",
                      dpd_delay="0s")
    del site_b["address"]
    right = Warrend(net.lab, net.b.gw, {}, {"a": site_b})
    left = Warrend(net.lab, net.a.gw, {}, {"b": psk_peer(
        net.a, net.b, "site-a.example", "site-b.example", 4, start="up", keepalive=keepalive,
        dpd_delay="0s")})
    return left, right


def _port(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def test_nat_is_found_and_passed(natted):
    """NAT detection at both ends, the move to 4500, a tunnel in both directions, nothing in
    clear."""
    net = natted
    with net.capture() as capture:
        left, right = _pair(net)
        ours, theirs = left.wait_up("b"), right.wait_up("a")
        assert ours["nat_local"] and not ours["nat_remote"]
        assert theirs["nat_remote"] and not theirs["nat_local"]
        assert _port(ours["local"]) == 4500 == _port(ours["remote"])
        assert theirs["remote"].startswith(net.public_a + ":")
        assert 20000 <= _port(theirs["remote"]) <= 20999
        net.b.host.ping(net.a.host4)
        net.a.host.ping(net.b.host6)
        transfer.copy(net.a.host, net.b.host, net.b.host4, 1 << 20)
        transfer.copy(net.b.host, net.a.host, net.a.host4, 1 << 20)
    assert capture.kinds()["clear"] == 0, capture.clear()[:5]


def test_keepalives_hold_the_mapping(natted):
    """The router forgets a quiet mapping after 3 s; our keepalives (RFC 3948 section 4) come more
    often, so after a quiet time the far side still reaches us, through the same port."""
    net = natted
    net.masquerade(udp_timeout=3)
    left, right = _pair(net)
    left.wait_up("b")
    before = right.wait_up("a")["remote"]
    with net.capture() as capture:
        until(lambda: capture.kinds()["keepalive"] >= 5, "five keepalives, in four seconds")
    alive = [p for p in capture.packets() if p.kind == "keepalive"]
    assert all(p.src == net.public_a and p.dport == 4500 for p in alive)
    net.b.host.ping(net.a.host4)
    assert right.wait_up("a")["remote"] == before


@pytest.mark.parametrize("mover", ["host", "keepalive"])
def test_mapping_changes(natted, mover):
    """The router loses its mappings and hands out other ports: the far side follows an
    authenticated packet to the new one (RFC 7296 section 2.23), never an unauthenticated
    keepalive."""
    net = natted
    left, right = _pair(net)
    left.wait_up("b")
    old = right.wait_up("a")["remote"]
    net.forget(ports="21000-21999")
    if mover == "keepalive":
        with net.capture() as capture:
            until(lambda: [p for p in capture.packets() if p.sport >= 21000], "a moved keepalive")
        assert right.wait_up("a")["remote"] == old
    # The answer to the first one may leave before the engine has followed.
    assert net.a.host.ping(net.b.host4, count=3, wait=1, check=False) >= 2
    assert _port(right.wait_up("a")["remote"]) >= 21000
    net.b.host.ping(net.a.host4, count=3)
