"""R13: what is refused, and that both sides say why, with both sides' values.

Every pair of daemons has a second peer section, "good", which works and must not notice anything:
the refused one would carry IPv4, the good one carries IPv6.
"""

import dataclasses
import typing

import pytest

from lib.wait import until
from lib.warren import PSK, Warrend, cert_keys, psk_keys


@dataclasses.dataclass
class Case:
    """a initiates to b. `refuser` is the side that says no; its `refused` event names `words`, the
    other side's last_error names `told`."""

    name: str
    a: typing.Callable
    b: typing.Callable
    refuser: str
    words: list
    told: list


NET_A, NET_B = "10.1.0.0/16", "10.2.0.0/16"


def a_psk(**more):
    return lambda world: psk_keys("site-a.example", "site-b.example", NET_A, NET_B, **more)


def b_psk(**more):
    return lambda world: psk_keys("site-b.example", "site-a.example", NET_B, NET_A, **more)


def a_cert(leaf, trust=lambda w: w.pki, **more):
    return lambda world: cert_keys(leaf(world), "site-b.example", trust(world), NET_A, NET_B,
                                   **more)


def b_cert(**more):
    return lambda world: cert_keys(world.pki.b, "site-a.example", world.pki, NET_B, NET_A, **more)


IKE_A, IKE_B = "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384"
IKE_C = "aes256gcm16-prfsha256-ecp256"

CASES = [
    Case("psk", a_psk(psk="another secret"), b_psk(), "b",
         ["site-a.example", "pre-shared keys differ", '"bad"'], ["AUTHENTICATION_FAILED"]),
    Case("initiator-identity", a_psk(local_id="intruder.example"), b_psk(), "b",
         ["intruder.example", "site-a.example"], ["AUTHENTICATION_FAILED"]),
    Case("responder-identity", a_psk(remote_id="elsewhere.example"), b_psk(), "b",
         ["elsewhere.example", "site-b.example"], ["AUTHENTICATION_FAILED"]),
    Case("expired", a_cert(lambda w: w.expired), b_cert(), "b",
         ["site-a.example", "expired 2021", "now 20"], ["AUTHENTICATION_FAILED"]),
    Case("not-yet-valid", a_cert(lambda w: w.future), b_cert(), "b",
         ["site-a.example", "not valid before 2039", "now 20"], ["AUTHENTICATION_FAILED"]),
    Case("foreign", a_cert(lambda w: w.stranger), b_cert(), "b",
         ["site-a.example", "CN=foreign", "CN=root"], ["AUTHENTICATION_FAILED"]),
    Case("identity-not-in-certificate", a_cert(lambda w: w.pki.a, local_id="site-x.example"),
         b_cert(remote_id="site-x.example"), "b",
         ["site-x.example", "site-a.example"], ["AUTHENTICATION_FAILED"]),
    Case("responder-foreign", a_cert(lambda w: w.pki.a, trust=lambda w: w.foreign), b_cert(), "a",
         ["site-b.example", "CN=foreign"], []),
    Case("psk-for-certificate", a_psk(), b_cert(), "b",
         ["site-a.example", "authenticates with a pre-shared key", "with a certificate"],
         ["AUTHENTICATION_FAILED"]),
    # No peer at all takes it.
    Case("ike-proposal", a_psk(proposals=[IKE_C]), b_psk(proposals=[IKE_B]), "b",
         ["offers " + IKE_C, f'"bad" accepts {IKE_B}'], ["NO_PROPOSAL_CHOSEN", IKE_C]),
    # The good peer would, and who it is shows only in IKE_AUTH.
    Case("ike-proposal-of-another", a_psk(proposals=[IKE_A]), b_psk(proposals=[IKE_B]), "b",
         ["site-a.example", "negotiated " + IKE_A, '"bad"', "negotiate " + IKE_B],
         ["AUTHENTICATION_FAILED"]),
    Case("esp-proposal", a_psk(esp_proposals=["aes128gcm16-noesn"]),
         b_psk(esp_proposals=["aes256gcm16-esn"]), "b",
         ["aes128gcm16", "aes256gcm16"], ["NO_PROPOSAL_CHOSEN", "aes128gcm16"]),
    Case("selectors", a_psk(remote_ts=["10.9.0.0/16"]), b_psk(), "b",
         ["10.9.0.0/16", NET_B], ["TS_UNACCEPTABLE", "10.9.0.0/16"]),
]


def _daemons(net, case, world):
    good = {"a": psk_keys("good-a.example", "good-b.example", net.a.lan6, net.b.lan6,
                          start="up", proposals=[IKE_A]),
            "b": psk_keys("good-b.example", "good-a.example", net.b.lan6, net.a.lan6,
                          start="listen", proposals=[IKE_A])}
    daemons = {}
    for side, here, there, bad in (("b", net.b, net.a, case.b), ("a", net.a, net.b, case.a)):
        daemons[side] = Warrend(net.lab, here.gw, {}, {
            "good": {"address": there.outer4, **good[side]},
            "bad": {"address": there.outer4, "start": "listen", **bad(world)}})
    return daemons


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(two_sites, world, case):
    """Refused for the reason given, no traffic passes, and the neighbouring peer notices
    nothing."""
    net = two_sites
    daemons = _daemons(net, case, world)
    good = daemons["a"].wait_up("good")
    watches = {side: daemon.watch() for side, daemon in daemons.items()}
    daemons["a"].cli("up", "bad", check=False)

    def explained():
        texts = [event["text"] for event in watches[case.refuser].events()
                 if event["event"] == "refused"]
        hits = [text for text in texts if all(word in text for word in case.words)]
        assert hits, f"no refusal naming {case.words} among {texts}"
        return hits[0]
    text = until(explained, f"{case.refuser} to say why it refuses")
    assert text in daemons[case.refuser].log(), "the log has the same line"
    if case.refuser == "b" and case.told:
        daemons["a"].wait_error("bad", *case.told)
    if case.refuser == "a":
        daemons["a"].wait_error("bad", *case.words)
    assert PSK not in daemons["a"].log() + daemons["b"].log(), "no secret in a log"

    for daemon in daemons.values():
        assert not [child for sa in daemon.peers()["bad"]["ike_sas"] for child in sa["child_sas"]]
    assert net.a.host.ping(net.b.host4, count=2, wait=1, check=False) == 0
    net.a.host.ping(net.b.host6)
    assert daemons["a"].wait_up("good")["spi_i"] == good["spi_i"]


def test_selector_outside_at_run_time(two_sites):
    """What lies outside the negotiated selectors does not enter the tunnel: default discard."""
    net = two_sites
    peers = {"a": psk_keys("a.example", "b.example", "10.1.0.0/24", "10.2.0.0/24"),
             "b": psk_keys("b.example", "a.example", "10.2.0.0/24", "10.1.0.0/24")}
    right = Warrend(net.lab, net.b.gw, {}, {"a": {
        "address": net.a.outer4, "start": "listen", **peers["b"]}})
    left = Warrend(net.lab, net.a.gw, {}, {"b": {
        "address": net.b.outer4, "start": "up", **peers["a"]}})
    left.wait_up("b")
    right.wait_up("a")
    net.a.host.ping(net.b.host4)
    net.a.host.ip("addr", "add", "10.1.7.7/32", "dev", "lo")
    ping = net.a.host.run("ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", "-I", "10.1.7.7",
                          net.b.host4, check=False)
    assert ping.returncode != 0
    assert right.wait_up("a")["child_sas"][0]["packets_in"] == 3
