"""A hub and its sites: what joins, what may be announced, who is believed (R01, R09, R11, T1, S1,
part of R05)."""

import json
import os
import re
import socket

import pytest

from lib import ike, transfer, tshark
from lib.capture import Capture
from lib.lab import run
from lib.star import HUB, HUB_OUTER, Authority
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import Warrend


def _why(daemon, peer):
    return daemon.cli("why", peer, check=False).stdout


def _member(hub, identity, deadline=30):
    """The hub's listing of a member that is up."""
    return hub.wait_up(identity, deadline)


def _remote_ts(sa):
    return sa["child_sas"][0]["remote_ts"]


def test_sites_meet_through_the_hub(star, corp):
    """R01, S3: three sites, then a fourth; nobody's file changes; nothing in clear."""
    hub = star.start_hub(corp)
    before = star.hub_hash()
    with star.capture() as capture:
        sites = [star.join(corp, number) for number in (1, 2, 3)]
        for here in sites:
            for there in sites:
                if here is not there:
                    here.host.ping(there.host4)
                    here.host.ping(there.host6)
        transfer.copy(sites[0].host, sites[1].host, sites[1].host4, 1 << 20)
        transfer.copy(sites[2].host, sites[0].host, sites[0].host6, 1 << 20)
        files = {site.number: open(site.daemon.conf, "rb").read() for site in sites}
        fourth = star.join(corp, 4)
        for there in sites:
            fourth.host.ping(there.host4)
            there.host.ping(fourth.host6)
    assert star.hub_hash() == before
    assert all(open(site.daemon.conf, "rb").read() == files[site.number] for site in sites)
    assert capture.clear() == [] and capture.kinds()["esp"] > 1000
    peers = hub.peers()
    for site in sites + [fourth]:
        sa = _member(hub, site.identity)
        assert sa["remote_id"] == site.identity and set(_remote_ts(sa)) == set(site.prefixes())
        assert set(sa["child_sas"][0]["local_ts"]) == {"10.0.0.0/8", "fd00::/16"}
    # R09: one member is removed by command, comes back by itself; the others notice nothing.
    watch = hub.watch()
    kept = {peer: peers[peer]["ike_sas"] and peers[peer]["ike_sas"][0]["spi_r"] for peer in peers}
    hub.cli("down", sites[1].identity)
    watch.wait("ike_down", peer=sites[1].identity)
    watch.wait("child_up", peer=sites[1].identity)
    sites[1].host.ping(sites[2].host4)
    after = hub.peers()
    assert after[sites[2].identity]["ike_sas"][0]["spi_r"] == kept[sites[2].identity]


def test_fifty_sites_join(star, corp):
    """R01: fifty sites join one after the other; the hub's file is the same, all reach all."""
    hub = star.start_hub(corp)
    before = star.hub_hash()
    sites = [star.join(corp, number, host=False, top={"log": "info"}) for number in range(1, 51)]
    assert star.hub_hash() == before
    up = [name for name, peer in hub.peers().items() if peer["state"] == "up"]
    assert {site.identity for site in sites} <= set(up)
    for here, there in zip(sites, sites[1:] + sites[:1]):
        here.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", here.gwlan4, there.gwlan4)


def test_strongswan_member(star, corp):
    """A strongSwan site joins with a certificate of the same authority, and nothing else; rekeyed
    by either end it has what it had."""
    hub = star.start_hub(corp)
    site = star.join(corp, 1)
    foreign = star.site(2)
    corp.site(foreign.identity, foreign.prefixes())
    charon = Charon(star.lab, foreign.gw)
    charon.trust_file("corp", corp.ca)
    charon.own_files(foreign.identity, corp.path(foreign.identity, ".pem"),
                     corp.path(foreign.identity, ".key"))
    charon.connection("hub", foreign.outer4, HUB_OUTER, foreign.identity, HUB, foreign.lan4,
                      "0.0.0.0/0", cert=type("Leaf", (), {"name": foreign.identity}))
    charon.load()
    charon.initiate("hub")
    # Its route to the domain is found before those of its own networks (with kernel ESP: plugin
    # bypass-lan).
    foreign.gw.ip("rule", "add", "to", foreign.lan4, "lookup", "main", "priority", "200")
    sa = _member(hub, foreign.identity)
    assert _remote_ts(sa) == [foreign.lan4]
    foreign.host.ping(site.host4)
    site.host.ping(foreign.host4)
    transfer.copy(site.host, foreign.host, foreign.host4, 1 << 20)
    for done, rekeyed in enumerate(("ike.child.rekeyed", "ike.sa.rekeyed") * 2):
        whole = rekeyed == "ike.sa.rekeyed"
        if done < 2:
            charon.swanctl("--rekey", "--ike" if whole else "--child", "hub")
        else:
            hub.cli("rekey", *(["--ike"] if whole else []), foreign.identity)
        hub.wait_counter(rekeyed, above=done // 2)
        assert _remote_ts(_member(hub, foreign.identity)) == [foreign.lan4]
        foreign.host.ping(site.host4)
        site.host.ping(foreign.host4)


# ---- star


def test_star_is_enforced_at_both_ends(star, corp):
    """T1, R11: a site that calls another one directly hears nothing, and both say why."""
    star.start_hub(corp, topology="star")
    site, caller = star.join(corp, 1), star.site(2)
    corp.site(caller.identity, caller.prefixes())
    with star.capture() as capture:
        fast = {"retransmit_timeout": "300ms", "retransmit_tries": 3}
        forced = Warrend(star.lab, caller.gw, fast, {"direct": {
            "address": site.outer4, "local_id": caller.identity, "remote_id": site.identity,
            "certificate": corp.path(caller.identity, ".pem"),
            "key": corp.path(caller.identity, ".key"), "trust": [corp.ca],
            "local_ts": [caller.lan4], "remote_ts": [site.lan4], "start": "up",
            }})
        count = site.daemon.wait_counter("ike.rx.silent")
        assert count > 0
        forced.wait_error("direct", "no answer", deadline=120)
    answers = [packet for packet in capture.packets()
               if packet.src == site.outer4 and packet.dst == caller.outer4 and packet.kind != "nd"]
    assert answers == []
    assert "no answer" in _why(forced, "direct")
    assert caller.outer4 in _why(site.daemon, caller.outer4)
    forced.stop()


def test_a_site_does_not_listen_for_the_hubs_peers(star, corp):
    """T1: also a hub's certificate gets no answer from a site that it calls by itself."""
    star.start_hub(corp)
    site = star.join(corp, 1)
    before = site.daemon.counters()["ike.rx.silent"]
    with star.hub_ns.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        header = bytes(8 * [7]) + bytes(8) + bytes([33, 0x20, 34, 0x08]) + bytes(4)
        sock.sendto(header + (28).to_bytes(4, "big"), (site.outer4, 500))
        site.daemon.wait_counter("ike.rx.silent", before)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(100)


# ---- authority


def _claimant(star, corp, number, bundle_prefixes, claimed, hub=HUB_OUTER, **keys):
    """A site whose certificate says `bundle_prefixes` and that asks for `claimed`, which its own
    daemon would refuse in a network: so it has a `peer` section."""
    site = star.site(number)
    if bundle_prefixes:
        corp.site(site.identity, bundle_prefixes)
    site.daemon = Warrend(star.lab, site.gw, {}, {"hub": {
        "address": hub, "local_id": site.identity, "remote_id": HUB,
        "certificate": corp.path(site.identity, ".pem"), "key": corp.path(site.identity, ".key"),
        "trust": [corp.ca], "local_ts": claimed, "remote_ts": ["0.0.0.0/0"], "start": "up",
        **keys}})
    return site


def test_claims_are_narrowed_to_the_certificate(star, corp):
    """S1 (Gw-Mallory): a site that announces what is not its own gets only what is."""
    hub = star.start_hub(corp)
    victim = star.join(corp, 1)
    mallory = _claimant(star, corp, 2, ["10.2.0.0/16"], ["10.0.0.0/8"])
    assert _remote_ts(_member(hub, mallory.identity)) == ["10.2.0.0/16"]
    mallory.daemon.wait_up("hub")
    other = star.join(corp, 3)
    other.host.ping(victim.host4)


def test_a_claim_of_others_only_is_refused(star, corp):
    """S1: nothing of what it asks for is its own: no child, and both ends say why."""
    hub = star.start_hub(corp)
    victim = star.join(corp, 1)
    mallory = _claimant(star, corp, 2, ["10.2.0.0/16"], ["10.1.0.0/16"])
    mallory.daemon.wait_error("hub", "TS_UNACCEPTABLE")
    why = until(lambda: _why(hub, mallory.identity), "the hub to know")
    assert "10.1.0.0/16" in why and "10.2.0.0/16" in why
    star.join(corp, 3).host.ping(victim.host4)


def test_sources_are_checked(star, corp):
    """S1: a member that has the keys of its own SA cannot send in another's name, nor can anybody
    but the hub send a site what comes from the domain."""
    hub = star.start_hub(corp)
    tables = star.lab.subdir("keylog")
    victim = star.join(corp, 1)
    liar = star.join(corp, 2, top={"keylog": tables})
    liar.host.ping(victim.host4)
    sa = liar.daemon.wait_up("corp")
    child = sa["child_sas"][0]
    spi = int(child["spi_out"], 16)
    key = tshark.esp_keys(tables)[spi]
    before = hub.counters()["esp.rx.selector"]
    with Capture(star.lab, victim.host, "lan") as capture, ike.Spoofer(liar.gw) as raw:
        for number, src in enumerate(["10.3.0.9", "10.1.0.9", "192.0.2.1"]):
            forged = ike.ipv4_udp(src, victim.host4, 9, 9, b"forged")
            raw.send(liar.outer4, HUB_OUTER, 4500, 4500,
                     ike.esp(key, spi, 3000 + number, forged, "noesn" not in child["proposal"]))
        hub.wait_counter("esp.rx.selector", before + 2)
    assert not [packet for packet in capture.packets() if b"forged" in packet.data]
    liar.host.ping(victim.host4)


def test_no_blocks_and_no_rule(star, lab):
    """A certificate without address blocks joins only by a rule in the hub's own file."""
    corp = Authority(lab)
    corp.hub()
    hub = star.start_hub(corp, members={"site-3.example": {"prefixes": ["10.3.0.0/16"]}})
    for number in (2, 3):
        identity = f"site-{number}.example"
        plain_certificate(corp, identity)
    refused = _claimant(star, corp, 2, None, ["10.2.0.0/16"])
    allowed = _claimant(star, corp, 3, None, ["10.3.0.0/16"])
    assert _remote_ts(_member(hub, allowed.identity)) == ["10.3.0.0/16"]
    refused.daemon.wait_error("hub", "TS_UNACCEPTABLE")
    why = _why(hub, refused.identity)
    assert "address blocks" in why and "member" in why


def plain_certificate(corp, identity):
    """What an authority that knows nothing of RFC 3779 would issue, by openssl."""
    key, cert = corp.path(identity, ".key"), corp.path(identity, ".pem")
    conf = corp.path(identity, ".ext")
    with open(conf, "w") as ext:
        ext.write(f"subjectAltName = DNS:{identity}\nkeyUsage = critical,digitalSignature\n"
                  "basicConstraints = critical,CA:false\n")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", key, "-subj", f"/CN={identity}", "-out", cert + ".csr")
    run("openssl", "x509", "-req", "-in", cert + ".csr", "-CA", corp.ca, "-CAkey",
        os.path.join(corp.dir, "ca.key"), "-CAcreateserial", "-CAserial", cert + ".srl", "-days",
        "10", "-extfile", conf, "-out", cert)


def test_first_holds(star, corp):
    """Two identities with the same prefix: who has it up keeps it, the other is told; when the
    first leaves, the other gets it."""
    hub = star.start_hub(corp)
    watch = hub.watch()
    first = star.join(corp, 1)
    second = star.site(2)
    corp.site(second.identity, [first.lan4], "--force")
    second.daemon = star.start_site(second, corp.path(second.identity), protect=[first.lan4])
    event = watch.wait("conflict")
    assert first.lan4 in event["text"]
    assert first.identity in event["text"] and second.identity in event["text"]
    assert first.identity in _why(hub, second.identity)
    assert first.daemon.state("corp") == "up"
    first.daemon.stop()
    second.daemon.wait_up("corp", deadline=90)
    assert _remote_ts(_member(hub, second.identity)) == [first.lan4]


def test_longer_prefix_wins(star, corp):
    """A prefix inside another's is no conflict: packets go to the longer one."""
    star.start_hub(corp)
    wide, asker = star.join(corp, 1), star.join(corp, 3)
    narrow = star.site(2)
    corp.site(narrow.identity, ["10.1.200.0/24"], "--force")
    narrow.gw.ip("addr", "add", "10.1.200.1/32", "dev", "lo")
    narrow.daemon = star.start_site(narrow, corp.path(narrow.identity), protect=["10.1.200.0/24"])
    narrow.daemon.wait_up("corp")
    asker.host.ping("10.1.200.1")
    asker.host.ping(wide.host4)


def test_a_site_cannot_pose_as_the_hub(star, corp):
    """R05: a member's certificate at the hub's address is no hub, and both ends say so."""
    impostor = star.site(9)
    corp.site(impostor.identity, impostor.prefixes())
    fake = Warrend(star.lab, star.hub_ns, {}, {"anybody": {
        "local_id": impostor.identity, "remote_id": "%any",
        "certificate": corp.path(impostor.identity, ".pem"),
        "key": corp.path(impostor.identity, ".key"), "trust": [corp.ca],
        "local_ts": ["10.0.0.0/8"], "remote_ts": ["10.0.0.0/8"]}})
    site = star.site(1)
    corp.site(site.identity, site.prefixes())
    site.daemon = star.start_site(site, corp.path(site.identity))
    text = site.daemon.wait_error("corp", impostor.identity)
    assert "hub" in text
    assert site.daemon.status()["child_sas"] == 0
    why = _why(site.daemon, "corp")
    assert impostor.identity in why
    fake.stop()


def test_another_authoritys_certificate(star, corp, lab):
    """A bundle of another authority, of the same network's name, is refused with a reason."""
    hub = star.start_hub(corp)
    other = Authority(lab, "corp")
    other.hub()
    stranger = star.site(2)
    other.site(stranger.identity, stranger.prefixes())
    stranger.daemon = star.start_site(stranger, other.path(stranger.identity))
    stranger.daemon.wait_error("corp", "AUTHENTICATION_FAILED")
    why = until(lambda: _why(hub, stranger.identity), "the hub to know")
    assert re.search("trust|authority|issuer", why)


# ---- reload


def _reload(daemon, *argv):
    return json.loads(daemon.cli("reload", "--json", *argv).stdout)


def _edit(daemon, old, new):
    with open(daemon.conf) as file:
        text = file.read()
    assert old in text
    with open(daemon.conf, "w") as file:
        file.write(text.replace(old, new))


def _spis(daemon):
    return {name: [(sa["spi_i"], sa["spi_r"]) + tuple(child["spi_in"] for child in sa["child_sas"])
                   for sa in peer["ike_sas"]] for name, peer in daemon.peers().items()}


def test_reload_leaves_alone_what_did_not_change(star, corp):
    """R09: an empty change, a hot one, and a member rule: no SA is touched."""
    hub = star.start_hub(corp)
    site = star.join(corp, 1)
    other = star.join(corp, 2)
    until(lambda: all(len(sas) == 1 for sas in _spis(hub).values() if sas), "the hub to settle")
    before = _spis(hub), _spis(site.daemon)
    assert _reload(hub)["changes"] == []
    _edit(hub, "role = hub", "role = hub\n\tdpd_delay = 17s")
    dry = _reload(hub, "--dry-run")
    assert not dry["applied"] and [c["change"] for c in dry["changes"]] == ["hot"]
    assert "17s" in dry["changes"][0]["text"] and "17s" not in hub.log()
    assert _reload(hub)["applied"]
    assert "-> 17s (hot)" in hub.log()
    _edit(hub, "dpd_delay = 17s", 'member "nobody.example" { prefixes = { "10.200.0.0/16" } }')
    assert _reload(hub)["applied"]
    assert (_spis(hub), _spis(site.daemon)) == before
    other.host.ping(site.host4)


def test_reload_with_errors_changes_nothing(star, corp):
    hub = star.start_hub(corp)
    site = star.join(corp, 1)
    before = _spis(hub)
    _edit(hub, "role = hub", "role = hub\n\tnonsense = 1")
    done = hub.cli("reload", check=False)
    assert done.returncode != 0 and "nonsense" in done.stdout + done.stderr
    assert _spis(hub) == before and site.daemon.state("corp") == "up"


def test_renewed_certificate(star, corp):
    """A site's new bundle and key: the tunnel is replaced without losing a packet."""
    hub = star.start_hub(corp)
    site, other = star.join(corp, 1), star.join(corp, 2)
    old = _spis(site.daemon)["corp"]
    ping = other.host.popen("ping", "ping", "-n", "-i", "0.02", "-W", "5", site.host4)
    until(lambda: "icmp_seq=20" in ping.output(), "a stream of echoes")
    _renew(corp, site)
    assert [c["change"] for c in _reload(site.daemon)["changes"]] == ["reauth"]
    until(lambda: site.daemon.peers()["corp"]["state"] == "up" and
          len(_spis(site.daemon)["corp"]) == 1 and _spis(site.daemon)["corp"] != old, "a new SA")
    seen = len(ping.output().splitlines())
    until(lambda: len(ping.output().splitlines()) > seen + 20, "echoes after it")
    ping.stop(2)
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                        ping.output()).groups())
    assert sent - received <= 1, ping.output()[-400:]       # one may be on its way at the end
    _member(hub, site.identity)


def _renew(corp, site):
    """A new key and a new bundle in place of the old ones."""
    os.unlink(corp.path(site.identity, ".key"))
    os.unlink(corp.path(site.identity, ".req"))
    corp.site(site.identity, site.prefixes(), "--renew")


def test_revoked_member_goes_on_reload(star, corp):
    """A member whose certificate is on the CRL loses its SA with the reload, the others do not."""
    hub = star.start_hub(corp, top={"crl": _empty_crl(corp)})
    bad, good = star.join(corp, 1), star.join(corp, 2)
    keep = _spis(hub)[good.identity]
    corp.revoke(bad.identity)
    watch = hub.watch()
    assert _reload(hub)["applied"]
    watch.wait("ike_down", peer=bad.identity)
    bad.daemon.wait_error("corp", "AUTHENTICATION_FAILED")
    assert "revoked" in until(lambda: _why(hub, bad.identity), "the hub to know")
    assert _spis(hub)[good.identity] == keep
    # Its hosts cannot reach the others any more.
    assert bad.host.ping(good.host4, count=2, wait=1, check=False) == 0


def _empty_crl(corp):
    corp.pki("crl", "--dir", corp.dir)
    return corp.crl


def test_removed_rule_takes_its_member_away(star, corp):
    plain_certificate(corp, "site-3.example")
    hub = star.start_hub(corp, members={"site-3.example": {"prefixes": ["10.3.0.0/16"]}})
    site = _claimant(star, corp, 3, None, ["10.3.0.0/16"])
    good = star.join(corp, 2)
    keep = _spis(hub)[good.identity]
    _member(hub, site.identity)
    _edit(hub, 'member "site-3.example"', 'member "site-4.example"')
    assert _reload(hub)["applied"]
    site.daemon.wait_error("hub", "TS_UNACCEPTABLE")
    assert _spis(hub)[good.identity] == keep


# ---- a network without bundles


def test_a_domain_that_only_the_hub_knows(star, lab, pki):
    """S3: certificates of an authority without address blocks, no `domain` on the site: what the
    hub grants is guarded from then on, also before the next start; less of it opens nothing."""
    hub_leaf = pki.leaf("by-address", san=f"IP:{HUB_OUTER}")
    leaf = pki.leaf("site-1.example")
    own = {"certificate": hub_leaf.chain, "key": hub_leaf.key, "trust": [pki.cert]}
    hub = Warrend(lab, star.hub_ns, own, {}, networks={"corp": (
        {"role": "hub", "domain": ["10.0.0.0/8"], "local_id": HUB_OUTER},
        {"site-1.example": {"prefixes": ["10.1.0.0/16"]}})})
    member = star.site(1)
    site = star.start_site(
        member, None, protect=["10.1.0.0/16"],
        top={"certificate": leaf.chain, "key": leaf.key, "trust": [pki.cert]})
    site.wait_up("corp")
    until(lambda: site.status()["block"]["domain"] == ["10.0.0.0/8"], "the domain to be learnt")
    hub.stop()
    site.kill()
    assert "unreachable 10.0.0.0/8" in member.gw.ip("route", "show", "table", "21051").stdout
    hub.configure(own, {}, {"corp": (
        {"role": "hub", "domain": ["10.0.0.0/9"], "local_id": HUB_OUTER},
        {"site-1.example": {"prefixes": ["10.1.0.0/16"]}})})
    site.start()
    assert site.status()["block"]["domain"] == ["10.0.0.0/8"], "before the hub said anything"
    hub.start()
    sa = site.wait_up("corp")
    assert _remote_ts(sa) == ["10.0.0.0/9"]
    assert "10.0.0.0/8" in site.status()["block"]["domain"]
    star.u.ip("addr", "add", "192.0.2.254/24", "dev", "br0")
    with star.capture() as capture:
        member.host.ping("10.200.0.1", count=2, wait=1, check=False)
    assert capture.clear() == []


# ---- the hub goes and comes


def test_hub_restarts(star, corp):
    """S3: the hub is killed and started again; the sites come back by themselves; nothing in
    clear meanwhile, and hosts are told that the other site is unreachable."""
    hub = star.start_hub(corp)
    fast = {"retransmit_timeout": "300ms", "retransmit_tries": 3}
    one, two = star.join(corp, 1, top=fast, dpd_delay="1s"), star.join(corp, 2, top=fast,
                                                                      dpd_delay="1s")
    with star.capture() as capture:
        hub.kill()
        one.host.ping(two.host4, count=3, wait=1, check=False)
        hub.start()
        until(lambda: one.host.ping(two.host4, count=1, wait=1, check=False) == 1,
              "the sites to be back", deadline=90)
    assert capture.clear() == []
