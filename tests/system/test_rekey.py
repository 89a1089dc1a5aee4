"""R09: rekeying between two daemons while packets flow: none is lost, and only what was asked for is
new."""

import pytest

from lib.stream import Stream
from lib.wait import until
from lib.warren import psk_pair

ESP = {"none": "aes128gcm16", "x25519": "aes128gcm16-x25519"}


def _spis(sa):
    child, = sa["child_sas"]
    return {"IKE": {sa["spi_i"], sa["spi_r"]}, "child": {child["spi_in"], child["spi_out"]}}


def _settled(left, right, before, *new):
    """Until both ends have one and the same IKE SA and child again, of which those named are new."""
    def renewed():
        ours, theirs = _spis(left.wait_up("b")), _spis(right.wait_up("a"))
        assert ours == theirs
        assert left.status()["ike_sas"] == 1 and right.status()["ike_sas"] == 1
        for kind in ours:
            assert bool(ours[kind] & before[kind]) is (kind not in new), (before, ours)
        return ours
    return until(renewed, f"a new {' and '.join(new)} SA")


@pytest.mark.parametrize("pfs", sorted(ESP))
def test_rekey_under_traffic(two_sites, pfs):
    """RFC 7296 2.8: children and IKE SAs, from either side and from both at once."""
    net = two_sites
    keys = {"esp_proposals": [ESP[pfs]]}
    left, right = psk_pair(net, a=keys, b=keys)
    now = _spis(left.wait_up("b"))
    right.wait_up("a")
    with Stream(net.a.host, net.a.host4, net.b.host, net.b.host4) as stream:
        for asked in ([(left, "b")], [(right, "a")], [(left, "b"), (right, "a")]):
            for kind, option in (("child", []), ("IKE", ["--ike"])):
                for daemon, peer in asked:
                    daemon.cli("rekey", *option, peer)
                now = _settled(left, right, now, kind)
                stream.passed()
    for daemon in (left, right):
        counters = daemon.counters()
        assert counters["ike.child.rekeyed"] >= 3 and counters["ike.sa.rekeyed"] >= 3
        assert counters["ike.bug"] == 0
    left.stop()
    right.wait_no_sa("a")
    right.stop()


def test_rekey_of_nobody(two_sites):
    """What is not up cannot be rekeyed, and says so."""
    left, right = psk_pair(two_sites, start=("listen", "listen"))
    answer = left.cli("rekey", "b", check=False)
    assert answer.returncode == 1 and "nothing that is up" in answer.stderr
    answer = left.cli("rekey", "nobody", check=False)
    assert answer.returncode == 1 and "nobody" in answer.stderr
    left.stop()
    right.stop()
