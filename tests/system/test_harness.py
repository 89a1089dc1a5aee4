"""The harness proves itself on strongSwan alone, before it judges anything of ours."""

import os
import socket

import pytest

from lib import lab as labs, topo, transfer, tshark
from lib.pki import Pki
from lib.strongswan import Charon
from lib.wait import until


def _pair(net, pki, family):
    """Two charons with a PSK and an ECDSA connection each, both address families inside."""
    a, b = net.a, net.b
    charons = []
    for here, there, leaf in ((a, b, pki.a), (b, a, pki.b)):
        charon = Charon(net.lab, here.gw, log_keys=True)
        charon.trust(pki)
        charon.own(leaf)
        charon.psk("p", "a rather long secret", "a.psk", "b.psk")
        mine, other = ("a", "b") if here is a else ("b", "a")
        selectors = (f"{here.lan4},{here.lan6}", f"{there.lan4},{there.lan6}")
        charon.connection("psk", here.outer(family), there.outer(family), f"{mine}.psk",
                          f"{other}.psk", *selectors)
        charon.connection("ecdsa", here.outer(family), there.outer(family), f"site-{mine}.example",
                          f"site-{other}.example", *selectors, cert=leaf)
        charon.load()
        charons.append(charon)
    return charons


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("auth", ["psk", "ecdsa"])
def test_strongswan_with_itself(two_sites, pki, family, auth):
    net = two_sites
    left, right = _pair(net, pki, family)
    with net.capture() as capture:
        left.initiate(auth)
        assert right.established(auth) == 1
        net.a.host.ping(net.b.host4)
        net.a.host.ping(net.b.host6)
        transfer.copy(net.a.host, net.b.host, net.b.inner(family), 1 << 20)
        left.terminate(auth)
        assert "ESTABLISHED" not in right.sas(auth)
    kinds = capture.kinds()
    assert kinds["clear"] == 0, capture.clear()[:5]
    assert kinds["ike"] >= 6 and kinds["esp"] >= 12 + (1 << 20) // 1500
    assert left.stop() == 0 and right.stop() == 0


def test_clear_packets_are_seen(two_sites):
    """The count that proves "nothing in clear" does count: without a tunnel, a ping is clear."""
    net = two_sites
    with net.capture() as capture:
        assert net.a.host.ping(net.b.host4, count=2, wait=1, check=False) == 0
        assert net.a.host.ping(net.b.host6, count=2, wait=1, check=False) == 0
    assert len(capture.clear()) >= 4


def test_narrow_path_sends_icmp(narrow):
    """The 1280-byte path really refuses larger packets with DF, in both families."""
    net = narrow
    for outer in (net.b.outer4, net.b.outer6):
        overhead = 48 if ":" in outer else 28
        net.a.gw.ping(outer, count=1, size=1280 - overhead, df=True)
        assert net.a.gw.ping(outer, count=1, size=1400, df=True, wait=1, check=False) == 0
        route = net.a.gw.ip("route", "get", outer).stdout
        assert "mtu 1280" in route, route


def test_nat_rewrites(natted):
    """The far side sees the router's address and a port from its range."""
    net = natted
    with net.capture() as capture:
        with net.a.gw.enter():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.bind(("0.0.0.0", 4500))
            sock.sendto(b"\xff", (net.b.outer4, 4500))
    seen = [packet for packet in capture.packets() if packet.kind == "keepalive"]
    assert [packet.src for packet in seen] == [net.public_a]
    assert 20000 <= seen[0].sport <= 20999


def test_pki_shapes(tmp_path):
    """openssl itself judges the certificates: good, expired, not yet valid, foreign, P-384."""
    root, foreign = Pki(str(tmp_path)), Pki(str(tmp_path), "foreign", "p384")
    middle = root.intermediate("middle")

    def verdict(leaf, authority=root):
        return labs.run("openssl", "verify", "-CAfile", authority.cert, "-untrusted", leaf.chain,
                        leaf.cert, check=False)

    assert verdict(middle.leaf("good")).returncode == 0
    assert verdict(foreign.leaf("p384"), foreign).returncode == 0
    assert "expired" in verdict(root.expired("old")).stderr
    assert "not yet valid" in verdict(root.not_yet_valid("new")).stderr
    assert verdict(foreign.leaf("stranger")).returncode != 0


def test_nothing_is_left(lab):
    """A closed lab leaves no namespace, no process and no directory."""
    inner = labs.Lab()
    net = topo.TwoSites(inner)
    proc = net.a.gw.popen("sleeper", "sleep", "1000")
    names = [ns.name for ns in inner.namespaces.values()]
    inner.close()
    listed = labs.run("ip", "netns", "list").stdout
    assert not [name for name in names if f"{name}\n" in listed]
    assert not os.path.exists(inner.dir) and not proc.running()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("ike,esp", [("aes128gcm16-prfsha256-x25519", "aes128gcm16-noesn"),
                                     ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-noesn")])
def test_tshark_decrypts(two_sites, family, ike, esp):
    """The key table formats of lib/tshark.py, and that a wrong ICV or a missing key is noticed."""
    net = two_sites
    charons = []
    for here, there, ids in ((net.a, net.b, "ab"), (net.b, net.a, "ba")):
        charon = Charon(net.lab, here.gw, log_keys=True)
        charon.psk("p", "a rather long secret", "a.psk", "b.psk")
        charon.connection("psk", here.outer(family), there.outer(family), f"{ids[0]}.psk",
                          f"{ids[1]}.psk", f"{here.lan4},{here.lan6}", f"{there.lan4},{there.lan6}",
                          ike=ike, esp=esp)
        charon.load()
        charons.append(charon)
    with net.capture() as underlay, topo.Capture(net.lab, net.a.host, "lan") as inside:
        charons[0].initiate("psk")
        net.a.host.ping(net.b.host4)
        net.a.host.ping(net.b.host6, size=1000)
        charons[0].terminate("psk")
    tables = net.lab.subdir("tables")
    tshark.tables_from_charon(charons[0], tables, underlay.file)

    seen = tshark.decrypt(underlay.file, tables)
    assert seen.bad_icvs() == [] and len(seen.esp) == 12
    assert [message.exchange for message in seen.ike if message.encrypted][:2] == [35, 35]
    assert 39 in seen.ike[2].payloads, "AUTH is visible in IKE_AUTH"
    sent = [packet.data for packet in inside.packets() if packet.kind == "clear"]
    assert sorted(map(_hopless, sent)) == sorted(_hopless(packet.inner) for packet in seen.esp)
    assert tshark.check_icvs(underlay.file, tables, esn=False) == seen.esp
    assert not any(p.icv_good for p in tshark.check_icvs(underlay.file, tables, esn=True))

    frames = [seen.ike[-1].frame, seen.esp[3].frame]
    _damage(underlay.file, frames)
    assert sorted(tshark.decrypt(underlay.file, tables).bad_icvs()) == sorted(frames)
    _empty_tables(tables)
    unkeyed = tshark.decrypt(underlay.file, tables)
    assert len(unkeyed.bad_icvs()) == len(unkeyed.esp) + sum(m.encrypted for m in unkeyed.ike)


def _hopless(packet):
    """A packet without what a forwarding gateway changes: TTL and header checksum, hop limit."""
    if packet[0] >> 4 == 4:
        return packet[:8] + b"\0" + packet[9:10] + b"\0\0" + packet[12:]
    return packet[:7] + b"\0" + packet[8:]


def _damage(pcap, frames):
    """Flip the last bit of these frames."""
    with open(pcap, "r+b") as file:
        data, at, frame = bytearray(file.read()), 24, 0
        while at < len(data):
            at += 16 + int.from_bytes(data[at + 8:at + 12], "little")
            frame += 1
            if frame in frames:
                data[at - 1] ^= 1
        file.seek(0)
        file.write(data)


def _empty_tables(directory):
    for name in (tshark.IKE_TABLE, tshark.ESP_TABLE):
        open(f"{directory}/{name}", "w").close()


def test_nat_forgets_and_renumbers(natted):
    """What the NAT tests rely on: a quiet mapping expires, and a router that lost its mappings
    hands out ports of the new range."""
    net = natted

    def port_after(change):
        change()
        with net.capture() as capture:
            with net.a.gw.enter():
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("0.0.0.0", 4500))
                sock.sendto(b"\xff", (net.b.outer4, 4500))
        return next(p.sport for p in capture.packets() if p.kind == "keepalive")

    first = port_after(lambda: None)
    assert port_after(lambda: None) == first, "a live mapping is kept"
    assert 21000 <= port_after(lambda: net.forget(ports="21000-21999")) <= 21999
    net.masquerade(ports="22000-22999", udp_timeout=1)
    # Every look refreshes a mapping that is still there: they are further apart than its life.
    until(lambda: 22000 <= port_after(lambda: None), "the mapping to expire", pause=1.5)
