"""tshark, which shares no code with us, decrypts our capture from our key log: every ICV right,
every inner packet the one that the host sent."""

import os
import socket
import stat

import pytest

from lib import transfer, tshark
from lib.capture import Capture
from lib.warren import psk_pair

SUITES = [("aes128gcm16-prfsha256-x25519", "aes128gcm16-noesn"),
          ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-noesn"),
          ("aes128gcm16-prfsha256-ecp256", "aes128gcm16-esn")]


def _comparable(packet):
    """A packet without what a forwarding gateway may change: TTL or hop limit, header checksum."""
    if packet[0] >> 4 == 4:
        return packet[:8] + b"\0" + packet[9:10] + b"\0\0" + packet[12:]
    return packet[:7] + b"\0" + packet[8:]


def _is_syn(packet):
    proto, head = (packet[9], (packet[0] & 15) * 4) if packet[0] >> 4 == 4 else (packet[6], 40)
    return proto == 6 and packet[head + 13] & 2


def _datagrams(net, family):
    """UDP of many sizes, both ways."""
    for here, there in ((net.a, net.b), (net.b, net.a)):
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        with there.host.enter():
            receiver = socket.socket(kind, socket.SOCK_DGRAM)
        with here.host.enter():
            sender = socket.socket(kind, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.settimeout(10)
            receiver.bind((there.inner(family), 0))
            for size in list(range(0, 40)) + [200, 576, 1200]:
                data = os.urandom(size)
                sender.sendto(data, receiver.getsockname()[:2])
                assert receiver.recv(2000) == data


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("ike,esp", SUITES)
def test_tshark_decrypts_ours(two_sites, family, ike, esp):
    net = two_sites
    tables = net.lab.subdir("keylog")
    keys = {"proposals": [ike], "esp_proposals": [esp]}
    with net.capture() as underlay, Capture(net.lab, net.a.host, "lan") as at_a, \
            Capture(net.lab, net.b.host, "lan") as at_b:
        left, right = psk_pair(net, family, top=({"keylog": tables}, {}), a=keys, b=keys)
        left.wait_up("b")
        right.wait_up("a")
        net.a.host.ping(net.b.host4, size=900)
        net.b.host.ping(net.a.host6)
        _datagrams(net, 4)
        _datagrams(net, 6)
        transfer.copy(net.a.host, net.b.host, net.b.host4, 200_000)
        left.stop()
    for name in (tshark.IKE_TABLE, tshark.ESP_TABLE):
        assert stat.S_IMODE(os.stat(os.path.join(tables, name)).st_mode) == 0o600

    seen = tshark.decrypt(underlay.file, tables)
    esn = esp.endswith("-esn")
    assert [m.frame for m in seen.ike if m.encrypted and not m.icv_good] == []
    assert {m.exchange for m in seen.ike if m.icv_good} == {35, 37}
    esp_packets = tshark.check_icvs(underlay.file, tables, esn)
    assert esp_packets and all(p.icv_good for p in esp_packets)
    if not esn:
        assert seen.esp == esp_packets, "tshark and libcrypto agree on every packet"
    _same_packets(esp_packets, at_a, at_b)


def _same_packets(esp_packets, at_a, at_b):
    """Every packet that host a sent crossed once; every packet that came out at b had crossed."""
    inner = [_comparable(p.inner) for p in esp_packets]
    assert len(inner) == len(set(inner)) or _doubles(inner) <= _doubles(_hosts(at_a, at_b))
    crossed = set(inner)
    sent = [p for p in at_a.packets() if p.kind == "clear" and p.src in ("10.1.0.2", "fd00:1::2")]
    missing = [p for p in sent if _comparable(p.data) not in crossed and not _is_syn(p.data)]
    assert len(sent) > 100 and missing == []
    sent = [p for p in at_b.packets() if p.kind == "clear" and p.src in ("10.2.0.2", "fd00:2::2")]
    assert not [p for p in sent if _comparable(p.data) not in crossed and not _is_syn(p.data)]


def _hosts(*captures):
    return [_comparable(p.data) for capture in captures for p in capture.packets()]


def _doubles(packets):
    return len(packets) - len(set(packets))


def test_no_keylog_unless_asked(two_sites):
    """S4: without the key there is no file, and no secret in the log at any level."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    assert sorted(os.listdir(left.dir)) == ["state", "warren.conf", "warren.sock"]
    assert "SK_" not in left.log().replace("SK_{", "") and "SK_" not in right.log()
