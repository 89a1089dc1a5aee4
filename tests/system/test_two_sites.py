"""Two sites joined by two daemons: what a user sees when it simply works, and when one end goes
away."""

import datetime
import re
import signal

import pytest

from lib import transfer
from lib.pki import Pki
from lib.wait import until
from lib.warren import Warrend, cert_peer, psk_pair


def _check_status(status, kind="user"):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", status["version"])
    assert status["pid"] > 0 and status["uptime_s"] >= 0
    assert status["ike_sas"] == 1 and status["child_sas"] == 1 and status["half_open"] == 0
    assert status["dataplane"]["kind"] == kind
    assert status["dataplane"]["interface"] == "warren0"
    assert 1200 <= status["dataplane"]["mtu"] <= 1500


def _check_sa(sa, here, there, family, initiator):
    """One IKE SA with one child, as the peers listing describes it."""
    assert re.fullmatch(r"[0-9a-f]{16}", sa["spi_i"]) and int(sa["spi_i"], 16)
    assert re.fullmatch(r"[0-9a-f]{16}", sa["spi_r"]) and int(sa["spi_r"], 16)
    assert sa["initiator"] is initiator and sa["age_s"] >= 0
    assert _host(sa["local"]) == here.outer(family) and _host(sa["remote"]) == there.outer(family)
    assert not sa["nat_local"] and not sa["nat_remote"]
    child, = sa["child_sas"]
    assert re.fullmatch(r"[0-9a-f]{8}", child["spi_in"]) and int(child["spi_in"], 16) > 255
    assert child["local_ts"] == [here.lan4, here.lan6]
    assert child["remote_ts"] == [there.lan4, there.lan6]
    return child


def _host(endpoint):
    """The address of "192.0.2.1:500" or "[2001:db8::1]:500"."""
    return endpoint.rsplit(":", 1)[0].strip("[]")


@pytest.mark.parametrize("family", [4, 6])
def test_ping_copy_and_nothing_in_clear(two_sites, family):
    """S3: with IPv4 or IPv6 outside, both inside; the underlay sees ESP and nothing in clear."""
    net = two_sites
    with net.capture() as capture:
        left, right = psk_pair(net, family)
        left.wait_up("b")
        right.wait_up("a")
        for dest in (net.b.host4, net.b.host6):
            net.a.host.ping(dest, count=5)
            # Each IPv6 host learns the path MTU from its first one, which is lost (RFC 8201).
            assert net.a.host.ping(dest, count=6, size=4000, check=False) >= 4
        for address in (net.b.host4, net.b.host6):
            transfer.copy(net.a.host, net.b.host, address, 2 << 20)
        transfer.copy(net.b.host, net.a.host, net.a.inner(family), 2 << 20)
        left.stop()
        right.wait_no_sa("a")
        right.stop()
    kinds = capture.kinds()
    assert kinds["clear"] == 0, capture.clear()[:5]
    assert kinds["esp"] > 3 * (2 << 20) // 1500
    assert kinds["ike"] >= 6, "INIT, AUTH and the delete, each with an answer"


@pytest.mark.parametrize("family", [4, 6])
def test_listings(two_sites, family):
    """status, peers and watch, as JSON and as text, on both sides of one SA."""
    net = two_sites
    left, right = psk_pair(net, family, start=("listen", "listen"))
    watch = left.watch()
    assert left.state("b") in ("down", "waiting")
    left.cli("up", "b")
    ours, theirs = left.wait_up("b"), right.wait_up("a")
    _check_status(left.status())
    _check_status(right.status())
    mine = _check_sa(ours, net.a, net.b, family, True)
    other = _check_sa(theirs, net.b, net.a, family, False)
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    assert (mine["spi_in"], mine["spi_out"]) == (other["spi_out"], other["spi_in"])
    assert ours["proposal"] == theirs["proposal"] and mine["proposal"] == other["proposal"]
    assert ours["auth_local"] == "psk" == ours["auth_remote"]

    net.a.host.ping(net.b.host4, count=4, size=100)

    def counted():
        child = left.wait_up("b")["child_sas"][0]
        assert (child["packets_out"], child["packets_in"]) == (4, 4), child
        return child
    child = until(counted, "four packets each way to be counted")
    assert child["bytes_out"] == child["bytes_in"] == 4 * 128

    for event in ("ike_up", "child_up"):
        seen = watch.wait(event, peer="b")
        assert datetime.datetime.fromisoformat(seen["time"].replace("Z", "+00:00"))
        assert seen["text"]
    left.cli("down", "b")
    watch.wait("child_down", peer="b")
    watch.wait("ike_down", peer="b")
    right.wait_no_sa("a")
    assert "b" in left.cli("peers").stdout and "warren0" in left.cli("status").stdout
    assert left.cli("up", "nobody", check=False).returncode != 0


def test_traffic_starts_the_tunnel(two_sites):
    """start = traffic: the first packet brings it up, and that packet is not lost."""
    net = two_sites
    left, right = psk_pair(net, start=("traffic", "listen"))
    assert not left.peers()["b"]["ike_sas"]
    net.a.host.ping(net.b.host4, count=1, wait=10)
    left.wait_up("b")
    right.wait_up("a")


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_certificates(two_sites, tmp_path, kind):
    """ECDSA P-256 and P-384, one leaf under the root and one under an intermediate."""
    net = two_sites
    authority = Pki(str(tmp_path), kind=kind)
    leaf_a = authority.leaf("site-a.example")
    leaf_b = authority.intermediate("middle").leaf("site-b.example")
    right = Warrend(net.lab, net.b.gw, {}, {"a": cert_peer(
        net.b, net.a, leaf_b, "site-a.example", authority, 4, start="listen")})
    left = Warrend(net.lab, net.a.gw, {}, {"b": cert_peer(
        net.a, net.b, leaf_a, "*.example", authority, 4, start="up")})
    sa = left.wait_up("b")
    assert "ecdsa" in sa["auth_local"] and "ecdsa" in sa["auth_remote"]
    assert left.peers()["b"]["remote_id"] in ("*.example", "site-b.example")
    net.b.host.ping(net.a.host6)
    assert right.wait_up("a")["auth_remote"] == sa["auth_local"]


@pytest.mark.parametrize("ike,esp", [
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16-esn"),
    ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-esn"),
    ("aes256gcm16-prfsha256-ecp256", "aes128gcm16-noesn")])
def test_proposals(two_sites, ike, esp):
    """Every algorithm that a configuration can name carries a tunnel, and is what gets listed."""
    net = two_sites
    keys = {"proposals": [ike], "esp_proposals": [esp]}
    left, right = psk_pair(net, a=keys, b=keys)
    sa = left.wait_up("b")
    assert sa["proposal"] == ike and sa["child_sas"][0]["proposal"].startswith(esp.split("-")[0])
    assert ("noesn" in esp) == ("-esn" not in sa["child_sas"][0]["proposal"])
    right.wait_up("a")
    net.a.host.ping(net.b.host4)
    transfer.copy(net.a.host, net.b.host, net.b.host6, 1 << 20)


def test_wrong_key_exchange_is_corrected(two_sites):
    """INVALID_KE_PAYLOAD (RFC 7296 section 1.2): the initiator's first guess is not what b
    takes."""
    net = two_sites
    left, right = psk_pair(
        net, a={"proposals": ["aes128gcm16-prfsha256-x25519", "aes128gcm16-prfsha256-ecp256"]},
        b={"proposals": ["aes128gcm16-prfsha256-ecp256"]})
    assert left.wait_up("b")["proposal"] == "aes128gcm16-prfsha256-ecp256"
    right.wait_up("a")
    net.a.host.ping(net.b.host4)


def test_both_start(two_sites):
    """start = up on both sides: it settles to a working tunnel, whoever came first."""
    net = two_sites
    left, right = psk_pair(net, start=("up", "up"))
    for daemon, peer in ((left, "b"), (right, "a")):
        until(lambda d=daemon, p=peer: d.state(p) == "up", "both ends up")
    net.a.host.ping(net.b.host4, count=10)
    net.b.host.ping(net.a.host6, count=10)


def test_narrowing(two_sites):
    """A responder narrows what it is offered to what it allows, per family and prefix."""
    net = two_sites
    left, right = psk_pair(net, a={"remote_ts": ["10.0.0.0/8", "fd00::/16"]},
                           b={"local_ts": ["10.2.0.0/24", net.b.lan6]})
    child = left.wait_up("b")["child_sas"][0]
    assert child["remote_ts"] == ["10.2.0.0/24", net.b.lan6]
    right.wait_up("a")
    net.a.host.ping(net.b.host4)
    net.b.host.ip("addr", "add", "10.2.9.9/32", "dev", "lo")
    assert net.a.host.ping("10.2.9.9", count=2, wait=1, check=False) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_nothing_but_the_block(two_sites, sig):
    """A signal deletes the SA at both ends, the device and the socket, and the exit code is 0; the
    block stays (S3) until it is lifted."""
    net = two_sites
    before = _network(net.a.gw)
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    left.stop(sig)
    right.wait_no_sa("a")
    assert net.a.gw.links() == before[0]
    assert net.a.host.ping(net.b.host4, count=1, wait=1, check=False) == 0
    assert right.status()["ike_sas"] == 0 and right.status()["child_sas"] == 0
    left.open()
    assert _network(net.a.gw) == before


def test_down_ends_the_daemon(two_sites):
    """`warren down` without a peer deletes everything and ends the daemon."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    left.cli("down")
    assert left.proc.wait() == 0
    right.wait_no_sa("a")


def _network(ns):
    """Links, rules, routes and nftables, to see that all is as it was."""
    return (ns.links(), [ns.ip(*what).stdout for what in (
        ("-4", "rule"), ("-6", "rule"), ("-4", "route", "show", "table", "all"),
        ("-6", "route", "show", "table", "all"))], ns.run("nft", "list", "ruleset").stdout)


def test_killed_peer_is_found_dead(two_sites):
    """kill -9 of one end: the other notices by itself, and takes the restarted one back."""
    net = two_sites
    quick = {"retransmit_timeout": "200ms", "retransmit_tries": 3}
    left, right = psk_pair(net, start=("up", "listen"), top=(quick, quick),
                           b={"dpd_delay": "1s"})
    left.wait_up("b")
    right.wait_up("a")
    watch = right.watch()
    left.kill()
    watch.wait("dpd_dead", peer="a")
    right.wait_no_sa("a")
    left.start()
    left.wait_up("b")
    right.wait_up("a")
    net.a.host.ping(net.b.host4)


def test_restart_within_dpd(two_sites):
    """A peer that comes back before it was missed replaces its old SA (INITIAL_CONTACT)."""
    net = two_sites
    left, right = psk_pair(net)
    old = left.wait_up("b")
    right.wait_up("a")
    left.kill()
    left.start()
    assert left.wait_up("b")["spi_i"] != old["spi_i"]
    assert right.wait_up("a")["spi_i"] != old["spi_i"], "exactly one SA: the new one"
    net.b.host.ping(net.a.host4)


def test_retransmission(two_sites):
    """With the first messages lost, the SA comes up by retransmission, and events say so."""
    net = two_sites
    net.u.nft("table inet lossy { chain f { type filter hook forward priority 0;"
              " udp dport { 500, 4500 } drop; }; }")
    left, right = psk_pair(net, top=({"retransmit_timeout": "200ms", "retransmit_tries": 8}, {}))
    watch = left.watch()
    watch.wait("retransmit", peer="b")
    net.u.nft("delete table inet lossy")
    left.wait_up("b")
    right.wait_up("a")
    net.a.host.ping(net.b.host4)
