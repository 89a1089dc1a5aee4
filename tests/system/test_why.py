"""R13, `warren why`: for every way in which a tunnel does not come up, one screen at either end, with
both ends' values and what to change."""

import dataclasses
import json
import socket
import struct
import typing

import pytest

from lib.star import HUB, HUB_OUTER
from lib.wait import until
from lib.warren import PSK, Warrend, cert_keys, psk_keys

FAST = {"retransmit_timeout": "200ms", "retransmit_tries": 2}
NET_A, NET_B = "10.1.0.0/16", "10.2.0.0/16"
IKE_A, IKE_B = "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384"
ESP_A, ESP_B = "aes128gcm16-noesn", "aes256gcm16-esn"


def why(daemon, subject=None):
    """What the screen says, and the same as JSON."""
    argv = ["why"] + ([subject] if subject else [])
    return daemon.cli(*argv).stdout, json.loads(daemon.cli(*argv, "--json").stdout)


def words_of(screen):
    """A screen breaks lines where it likes."""
    return " ".join(screen.split())


def check_of(answer, name):
    """The one subject's check of that name."""
    (subject,) = answer["subjects"]
    return next(check for check in subject["checks"] if check["check"] == name)


# What the way there is like is told besides.
ASIDE = {"icmp", "send"}


def failed_checks(answer):
    (subject,) = answer["subjects"]
    failed = [check for check in subject["checks"] if check["result"] == "failed"]
    assert all(check["change"] for check in failed), failed
    return {check["check"] for check in failed}


def wait_why(daemon, subject, words, failed, reason):
    """Until the screen has all words, exactly those checks have failed and what failed last did for that
    reason; returns the JSON."""
    def says():
        screen, answer = why(daemon, subject)
        text = words_of(screen)
        missing = [word for word in words if word not in text]
        assert not missing, f"{missing} not in:\n{screen}"
        found, wanted = failed_checks(answer), set(failed.split())
        assert found - ASIDE == wanted - ASIDE and wanted <= found, f"{found}, not {wanted}"
        reasons = [note.get("reason") for note in answer["subjects"][0]["notes"]]
        # That an SA then went has none.
        assert next(filter(None, reasons), None) == reason, reasons
        return answer
    return until(says, f"{daemon.ns.short}: why {subject}")


# ---- peers


@dataclasses.dataclass
class Case:
    """a calls b, in vain. At a `why b` says `a_says`, exactly the checks `a_failed` have failed,
    and the reason is `a_reason`; the same of `why <b_about>` at b."""

    name: str
    a: typing.Callable
    b: typing.Callable
    a_says: list
    a_failed: str
    a_reason: str
    b_about: str
    b_says: list
    b_failed: str
    b_reason: str


def a_psk(**more):
    return lambda world: psk_keys("site-a.example", "site-b.example", NET_A, NET_B, **more)


def b_psk(**more):
    return lambda world: psk_keys("site-b.example", "site-a.example", NET_B, NET_A, **more)


def a_cert(leaf, trust=lambda w: w.pki):
    return lambda world: cert_keys(leaf(world), "site-b.example", trust(world), NET_A, NET_B)


def b_cert(**more):
    return lambda world: cert_keys(world.pki.b, "site-a.example", world.pki, NET_B, NET_A, **more)


A_OUTER = "192.0.2.1"

CASES = [
    Case("proposal", a_psk(proposals=[IKE_A]), b_psk(proposals=[IKE_B]),
         ["NO_PROPOSAL_CHOSEN", IKE_A], "init", "peer_said",
         A_OUTER, [IKE_A, IKE_B, '"a" accepts', "proposals"], "init", "proposal"),
    Case("identity", a_psk(local_id="intruder.example"), b_psk(),
         ["AUTHENTICATION_FAILED", "we are intruder.example", "site-b.example", "local_id"], "auth",
         "peer_said",
         "intruder.example", ["intruder.example", "site-a.example", "remote_id"],
         "auth identity", "identity"),
    Case("key", a_psk(psk="another secret"), b_psk(),
         ["AUTHENTICATION_FAILED", "the pre-shared key at ", "both ends need the same"], "auth",
         "peer_said",
         "a", ["pre-shared keys differ", "warren.conf:", "both ends need the same"],
         "auth key", "key"),
    Case("clock-expired", a_cert(lambda w: w.expired), b_cert(),
         ["AUTHENTICATION_FAILED", "until 2021", "past its end"], "auth certificate", "peer_said",
         "site-a.example", ["expired 2021", "now 20", "clock"], "auth clock", "clock"),
    Case("clock-not-yet", a_cert(lambda w: w.future), b_cert(),
         ["AUTHENTICATION_FAILED", "from 2039", "not valid yet"], "auth certificate", "peer_said",
         "site-a.example", ["not valid before 2039", "now 20", "clock"], "auth clock",
         "clock"),
    Case("certificate", a_cert(lambda w: w.stranger), b_cert(),
         ["AUTHENTICATION_FAILED", "issued by O=Warren Test, CN=foreign", "trust"], "auth",
         "peer_said",
         "site-a.example", ["CN=foreign", "CN=root", "trust"], "auth certificate", "certificate"),
    Case("certificate-of-the-responder", a_cert(lambda w: w.pki.a, trust=lambda w: w.foreign),
         b_cert(), ["site-b.example", "CN=foreign", "trust"], "auth certificate", "certificate",
         "a", ["does not accept our authentication", "issued by O=Warren Test, CN=middle"], "auth",
         "peer_said"),
    Case("esp-proposal", a_psk(esp_proposals=[ESP_A]), b_psk(esp_proposals=[ESP_B]),
         ["NO_PROPOSAL_CHOSEN", ESP_A.split("-", maxsplit=1)[0], "esp_proposals"], "selectors",
         "peer_said",
         "a", ["aes128gcm16", "aes256gcm16", "esp_proposals"], "selectors", "esp_proposal"),
    Case("selectors", a_psk(remote_ts=["10.9.0.0/16"]), b_psk(),
         ["TS_UNACCEPTABLE", "10.9.0.0/16", "local_ts"], "selectors", "peer_said",
         "a", ["10.9.0.0/16", NET_B, "local_ts"], "selectors", "selectors"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(two_sites, world, case):
    net = two_sites
    right = Warrend(net.lab, net.b.gw, FAST, {"a": {
        "address": net.a.outer4, "start": "listen", **case.b(world)}})
    left = Warrend(net.lab, net.a.gw, FAST, {"b": {
        "address": net.b.outer4, "start": "up", **case.a(world)}})
    answer = wait_why(left, "b", case.a_says, case.a_failed, case.a_reason)
    about = wait_why(right, case.b_about, case.b_says, case.b_failed,
                     case.b_reason)
    # What works is said to work: the way there.
    assert check_of(answer, "lookup")["result"] == "ok"
    assert net.b.outer4 in check_of(answer, "route")["text"]
    # Without a name it is about whoever is not up.
    assert why(left)[1]["subjects"][0]["subject"] == "b"
    assert PSK not in json.dumps([answer, about])


def test_no_answer(two_sites):
    """Nobody is there; then a firewall of our own; then a name that does not exist."""
    net = two_sites
    peers = {"b": {"address": net.b.outer4, "start": "up",
                   **psk_keys("site-a.example", "site-b.example", NET_A, NET_B)},
             "gone": {"address": "198.51.100.77", "start": "up",
                      **psk_keys("site-a.example", "site-g.example", NET_A, "10.4.0.0/16")},
             "named": {"address": "nobody.invalid", "start": "up",
                       **psk_keys("site-a.example", "site-n.example", NET_A, "10.3.0.0/16")}}
    left = Warrend(net.lab, net.a.gw, FAST, peers)
    answer = wait_why(left, "b", ["no answer from 198.51.100.1", "UDP 500 and 4500"], "init",
                      "no_answer")
    assert check_of(answer, "route")["result"] == "ok"
    assert "192.0.2.1" in check_of(answer, "route")["text"]
    # The host there says that nobody listens; then a router, that there is no such host.
    assert "port unreachable" in check_of(answer, "icmp")["text"]
    wait_why(left, "gone", ["host unreachable", "198.51.100.77", "192.0.2.254 says"],
             "init icmp", "no_answer")
    wait_why(left, "named", ["nobody.invalid", "resolv.conf"], "lookup", "no_answer")
    net.a.gw.nft("table inet t { chain o { type filter hook output priority 0;"
                 " udp dport 500 drop; }\n}")
    left.cli("up", "b", check=False)
    wait_why(left, "b", ["not permitted", "warren doctor"], "init send", "no_answer")


def test_no_answer_to_ike_auth(two_sites):
    """IKE_SA_INIT passes, what is larger does not: it is told apart."""
    net = two_sites
    right = Warrend(net.lab, net.b.gw, FAST, {"a": {
        "address": net.a.outer4, "start": "listen",
        **psk_keys("site-b.example", "site-a.example", NET_B, NET_A)}})
    # Exchange type 35 in the IKE header; requests stay on port 500, where there is no NAT.
    net.b.gw.nft("table inet t { chain i { type filter hook input priority 0;"
                 " udp dport 500 @th,208,8 35 drop; udp dport 4500 @th,240,8 35 drop; }\n}")
    left = Warrend(net.lab, net.a.gw, FAST, {"b": {
        "address": net.b.outer4, "start": "up",
        **psk_keys("site-a.example", "site-b.example", NET_A, NET_B)}})
    answer = wait_why(left, "b", ["no answer", "IKE_SA_INIT was answered", "UDP 4500"], "auth",
                      "no_answer")
    assert check_of(answer, "init")["result"] == "ok"
    right.stop()


def test_no_daemon(two_sites):
    """Nobody to ask is an answer too."""
    net = two_sites
    left = Warrend(net.lab, net.a.gw, {}, {"b": {
        "address": net.b.outer4, "start": "listen",
        **psk_keys("site-a.example", "site-b.example", NET_A, NET_B)}})
    left.stop()
    done = left.cli("why", check=False)
    assert done.returncode == 3 and "no daemon, no tunnel" in done.stderr
    assert "warren doctor" in done.stdout and "problem" in done.stdout
    done = left.cli("why", "--json", check=False)
    answer = json.loads(done.stdout)
    assert done.returncode == 3 and answer["error"] and answer["doctor"]["findings"]


def test_up(two_sites):
    """Of a tunnel that is up every check is ok, and the packets are counted; nobody else is
    known."""
    net = two_sites
    right = Warrend(net.lab, net.b.gw, {}, {"a": {
        "address": net.a.outer4, "start": "listen",
        **psk_keys("site-b.example", "site-a.example", NET_B, NET_A)}})
    left = Warrend(net.lab, net.a.gw, {}, {"b": {
        "address": net.b.outer4, "start": "up",
        **psk_keys("site-a.example", "site-b.example", NET_A, NET_B)}})
    left.wait_up("b")
    right.wait_up("a")
    net.a.host.ping(net.b.host4, count=4)
    screen, answer = why(left, "b")
    results = {check["check"]: check["result"] for check in answer["subjects"][0]["checks"]}
    assert set(results.values()) == {"ok"}, screen
    assert check_of(answer, "packets")["text"].startswith("4 in, 4 out")
    assert why(left)[1]["subjects"] == [] and "every peer is up" in why(left)[0]
    unknown = left.cli("why", "who.example", check=False)
    assert unknown.returncode == 1 and "who.example" in unknown.stderr
    right.stop()
    # An hour later it still knows how it ended.
    until(lambda: "deleted by the peer" in why(left, "b")[0], "the end to be remembered")


# ---- networks


def test_authorisation(star, corp):
    """S1: another site has the prefix up, and the second one's claims lie outside its blocks."""
    hub = star.start_hub(corp)
    first = star.join(corp, 1)
    second = star.site(2)
    corp.site(second.identity, [first.lan4], "--force")
    second.daemon = star.start_site(second, corp.path(second.identity), protect=[first.lan4])
    wait_why(second.daemon, "corp", ["TS_UNACCEPTABLE", first.lan4, "the hub gives",
                                     "address blocks of our certificate"], "selectors",
             "peer_said")
    wait_why(hub, second.identity, [first.identity, second.identity, first.lan4,
                                    "keeps it until its SA ends"], "authorisation", "conflict")
    # The same, asked by address.
    wait_why(hub, second.outer4, [first.identity, second.identity], "authorisation",
             "conflict")
    assert why(hub, first.identity)[1]["subjects"][0]["kind"] == "member"
    # Who has an IKE SA and nothing else is not up.
    until(lambda: second.identity in why(hub)[0], "the hub to name who got nothing")
    second.daemon.stop()


def test_addresses(star, corp):
    """Asked by where somebody is, and by what is behind him; what is agreed is shown."""
    hub = star.start_hub(corp)
    site = star.join(corp, 1)
    hub.wait_up(site.identity)
    for address in (site.outer4, site.host4, site.host6):
        screen, answer = why(hub, address)
        assert [s["subject"] for s in answer["subjects"]] == [site.identity], screen
        assert site.lan4 in check_of(answer, "selectors")["text"]
    for address in (HUB_OUTER, "10.77.0.1"):
        assert why(site.daemon, address)[1]["subjects"][0]["subject"] == "corp"
    # Our own, nobody's of the network, and nobody's at all.
    assert site.daemon.cli("why", site.host4, check=False).returncode == 1
    assert hub.cli("why", "10.77.0.1", check=False).returncode == 1
    assert hub.cli("why", "198.51.100.1", check=False).returncode == 1
    hub.stop()
    assert why(site.daemon, "10.77.0.1")[1]["subjects"][0]["subject"] == "corp"


def test_outside_the_blocks(star, corp):
    """S1: what it asks for is not in its certificate, nor in a rule."""
    hub = star.start_hub(corp)
    site = star.site(2)
    corp.site(site.identity, ["10.2.0.0/16"])
    site.daemon = Warrend(star.lab, site.gw, {}, {"hub": {
        "address": HUB_OUTER, "local_id": site.identity, "remote_id": HUB,
        "certificate": corp.path(site.identity, ".pem"), "key": corp.path(site.identity, ".key"),
        "trust": [corp.ca], "local_ts": ["10.1.0.0/16"], "remote_ts": ["0.0.0.0/0"],
        "start": "up"}})
    wait_why(hub, site.identity, ["10.1.0.0/16", "10.2.0.0/16", "certificate", "member"],
             "authorisation", "authorisation")
    wait_why(site.daemon, "hub", ["TS_UNACCEPTABLE", "10.1.0.0/16", "10.2.0.0/16"], "selectors",
             "peer_said")


def test_revoked(star, corp):
    corp.pki("crl", "--dir", corp.dir)
    site = star.site(1)
    corp.site(site.identity, site.prefixes())
    corp.revoke(site.identity)
    hub = star.start_hub(corp, top={"crl": corp.crl})
    site.daemon = star.start_site(site, corp.path(site.identity))
    wait_why(hub, site.identity, ["revoked", "CRL lists 1"], "auth certificate", "revoked")
    screen, answer = why(hub)
    assert "revoked" in answer["refused"][0]["text"] and "corp: last refused: " in screen
    wait_why(site.daemon, "corp", ["AUTHENTICATION_FAILED", "revoked"], "auth", "peer_said")


def test_impostor(star, corp):
    """R05: whoever answers at the hub's address is no hub."""
    fake = star.site(9)
    corp.site(fake.identity, fake.prefixes())
    Warrend(star.lab, star.hub_ns, {}, {"anybody": {
        "local_id": fake.identity, "remote_id": "%any",
        "certificate": corp.path(fake.identity, ".pem"), "key": corp.path(fake.identity, ".key"),
        "trust": [corp.ca], "local_ts": ["10.0.0.0/8"], "remote_ts": ["10.0.0.0/8"]}})
    site = star.site(1)
    corp.site(site.identity, site.prefixes())
    site.daemon = star.start_site(site, corp.path(site.identity))
    wait_why(site.daemon, "corp", [fake.identity, HUB_OUTER, "`hubs`"], "auth identity",
             "identity")


def test_junk_displaces_no_member(star, corp):
    """S2: strangers from many addresses and with many names; what is known of a member stays."""
    hub = star.start_hub(corp)
    site = star.join(corp, 1)
    site.daemon.stop()
    until(lambda: "deleted by the peer" in why(hub, site.identity)[0], "the end to be noted")
    before = _rss_kib(hub.pid)
    _strangers(star, 3000)
    assert "deleted by the peer" in why(hub, site.identity)[0]
    assert _rss_kib(hub.pid) < before + 16384


def _rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def _strangers(star, count):
    """IKE_SA_INIT with a proposal that nobody takes, from `count` addresses."""
    stranger = star.lab.netns("stranger")
    star.plug(stranger, "192.0.2.200", "2001:db8::200", "pstr")
    stranger.ip("route", "add", "local", "10.99.0.0/16", "dev", "lo")
    stranger.sysctl("net.ipv4.ip_nonlocal_bind", 1)
    proposal = struct.pack(">BBHBBBB", 0, 0, 16, 1, 1, 0, 1) + struct.pack(">BBHBBH", 0, 0, 8, 1, 0,
                                                                           3)
    chain = struct.pack(">BBH", 40, 0, 4 + len(proposal)) + proposal
    nonce = struct.pack(">BBH", 0, 0, 36) + bytes(32)
    body = chain + nonce
    header = bytes(8 * [9]) + bytes(8) + bytes([33, 0x20, 34, 0x08]) + bytes(4)
    message = header + struct.pack(">I", 28 + len(body)) + body
    with stranger.enter():
        for number in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((f"10.99.{number >> 8}.{number & 255}", 500))
                sock.sendto(message, (HUB_OUTER, 500))
