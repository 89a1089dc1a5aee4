"""SAs with lifetimes of seconds, under streams both ways: rekeyed and authenticated anew without a
lost packet (RFC 7296 section 2.8, RFC 4478), with a post-quantum key in them (RFC 8784)."""

from lib.stream import Stream
from lib.wait import until
from lib.warren import psk_pair

PPK = "no quantum computer finds this one, we hope"
SHORT = {"rekey": "10s", "ike_rekey": "13s"}


def _sas(daemon, peer):
    return daemon.peers()[peer]["ike_sas"]


def _established(daemon):
    return daemon.counters()["ike.sa.established"]


def test_short_lives(two_sites):
    """Every kind of end that an SA has, several times, and nobody notices."""
    net = two_sites
    ppk = {"ppk_id": "a and b", "ppk": PPK, "ppk_required": True}
    left, right = psk_pair(net, a={**SHORT, **ppk}, b={**SHORT, **ppk, "reauth": "20s"})
    left.wait_up("b")
    right.wait_up("a")
    for daemon, peer in ((left, "b"), (right, "a")):
        sa, = _sas(daemon, peer)
        assert sa["ppk"] is True
        assert 0 <= sa["rekey_in_s"] <= 13 and 0 < sa["end_in_s"] <= 32
        assert 0 <= sa["child_sas"][0]["rekey_in_s"] <= 10
    assert 0 <= _sas(left, "b")[0]["reauth_in_s"] <= 20, "it was told in AUTH_LIFETIME"
    assert "with a post-quantum key" in left.cli("peers", "b").stdout
    with Stream(net.a.host, net.a.host4, net.b.host, net.b.host4), \
            Stream(net.b.host, net.b.host6, net.a.host, net.a.host6):
        left.wait_counter("ike.child.rekeyed", 3, deadline=120)
        left.wait_counter("ike.sa.rekeyed", 1, deadline=120)
        until(lambda: _established(left) >= 3, "two reauthentications", 120)
    for daemon in (left, right):
        counters = daemon.counters()
        assert counters["ike.sa.expired"] == 0 and counters["ike.child.expired"] == 0
    assert _sas(left, "b")[0]["ppk"] is True


def test_required_and_another(two_sites):
    """Downgrade: who requires a post-quantum key talks to nobody without, and says why."""
    net = two_sites
    mine = {"ppk_id": "x", "ppk": PPK, "ppk_required": True}
    left, right = psk_pair(net, a=mine, b={"ppk_id": "x", "ppk": PPK + "!"})
    left.wait_error("b", "AUTHENTICATION_FAILED", "post-quantum")
    assert right.wait_counter("ike.refused.ppk")
    assert right.status()["child_sas"] == 0
