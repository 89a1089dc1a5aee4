"""ESP of every kind of algorithm against scapy's, which is not ours: packets of all sizes, rekeys
by either end; and S2: authentic packets that make no sense (RFC 4303). test_misbehave.py says what
the peer is.
"""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw

from lib import ikepeer_cases as cases
from lib.ikepeer_crypto import CBC, CBC_512, CHACHA, GCM
from lib.ikepeer_world import World

SUITES = [GCM, CBC, CHACHA, CBC_512]


@pytest.fixture(scope="module")
def world(modlab):
    new = World(modlab, section={
        "proposals": [f"{GCM}-prfsha256-x25519", f"{CBC}-prfsha256-x25519",
                      f"{CHACHA}-prfsha256-x25519", "aes256-sha512-prfsha256-x25519"],
        "esp_proposals": [f"{suite}-noesn" for suite in SUITES]})
    yield new
    new.close()


@pytest.mark.parametrize("suite", SUITES)
def test_every_size(world, suite):
    """RFC 4303 sections 2.4, 3.3.2.1: whatever the padding has to be; echoed octet by octet."""
    sa = world.case(esp=suite, suite=suite).establish()
    for size in (*range(0, 35), 300, 1200, 1272):
        sa.children[0].ping(world.host4, size)
    sa.close()


@pytest.mark.parametrize("suite", SUITES)
def test_rekeys(world, suite):
    """RFC 7296 sections 2.17, 2.18: keys of children and of the new IKE SA; by either end."""
    before = world.settled()
    sa = world.case(esp=suite, suite=suite).establish()
    sa.rekey_child(sa.children[0])
    world.carries(sa)
    sa = sa.rekey()
    sa.rekey_child(sa.children[0])
    world.carries(sa)
    for step in (cases.ChildAnswer("child"), cases.RekeyAnswer()):
        world.control.ask("rekey", peer=sa.own.name, ike=not isinstance(step, cases.ChildAnswer))
        sa.asked = sa.take_create()
        step.took(sa, sa.send(step.good(sa)))
        step.finish(sa)
        world.carries(sa)
    sa.close()
    assert not world.settled().risen(before)


def _dropped(world):
    return {name: value for name, value in
            world.control.ask("status")["dataplane"]["counters"].items()
            if name.startswith("esp.rx.") and name != "esp.rx.ok"}


def _risen(world, before):
    """What has been dropped since then; a good packet behind the wrong ones has arrived."""
    return {name: value - before[name] for name, value in _dropped(world).items()
            if value > before[name]}


@pytest.mark.parametrize("suite", SUITES)
def test_every_octet_changed(world, suite):
    """RFC 4303 section 3.4.4: nothing of it is delivered; the packet itself still is."""
    sa = world.case(esp=suite).establish()
    child, before = sa.children[0], _dropped(world)
    packet = child.seal(IP(src=child.inner, dst=world.host4) / ICMP(type=8, id=1) / Raw(b"x" * 20))
    for at in range(8, len(packet)):
        sa.peer.send_esp(packet[:at] + bytes([packet[at] ^ 1 << at % 8]) + packet[at + 1:])
    child.ping(world.host4)
    assert _risen(world, before) == {"esp.rx.auth": len(packet) - 8}
    sa.peer.send_esp(packet)
    assert child.receive("echo reply")[ICMP].id == 1
    sa.close()


@pytest.mark.parametrize("suite", SUITES)
def test_every_packet_again(world, suite):
    """RFC 4303 section 3.4.3."""
    sa = world.case(esp=suite).establish()
    child = sa.children[0]
    echo = IP(src=child.inner, dst=world.host4) / ICMP(type=8)
    packets = [child.seal(echo) for _ in range(10)]
    before = _dropped(world)
    for packet in packets[::-1] + packets * 2:
        sa.peer.send_esp(packet)
    child.ping(world.host4)
    assert _risen(world, before) == {"esp.rx.replay": 20}
    sa.close()


# name -> (counter, what differs of child.forge(); a callable gets the inner packet)
TRAILERS = {
    "pad-length-beyond-the-packet": ("esp.rx.padding", {"pad_length": 255}),
    "padding-of-zeros": ("esp.rx.padding", {"padding": lambda n: bytes(n)}),
    "padding-backwards": ("esp.rx.padding", {"padding": lambda n: bytes(range(n, 0, -1))}),
    "next-header-udp": ("esp.rx.next_header", {"following": 17}),
    "next-header-0": ("esp.rx.next_header", {"following": 0}),
    "next-header-esp": ("esp.rx.next_header", {"following": 50}),
    "dummy": ("esp.rx.dummy", {"following": 59}),
    "family-of-another": ("esp.rx.inner", {"following": 41}),
    "empty": ("esp.rx.inner", {"data": lambda data: b""}),
    "inner-cut": ("esp.rx.inner", {"data": lambda data: data[:12]}),
    "inner-length-too-large": ("esp.rx.inner",
                               {"data": lambda data: data[:2] + b"\xff\xff" + data[4:]}),
    "inner-version-5": ("esp.rx.inner", {"data": lambda data: b"\x55" + data[1:]}),
    "source-of-another": ("esp.rx.selector",
                          {"data": lambda data: data[:12] + bytes([10, 77, 0, 1]) + data[16:]}),
    "destination-of-another": ("esp.rx.selector",
                               {"data": lambda data: data[:16] + bytes([10, 77, 0, 1])
                                + data[20:]}),
}


@pytest.mark.parametrize("suite", SUITES)
def test_authentic_and_senseless(world, suite):
    """RFC 4303 sections 2.4 to 2.7, 3.4.4, RFC 4301 section 5.2: each has its counter, and the SA
    goes on; padding for confidentiality of traffic behind the inner packet is cut off."""
    sa = world.case(esp=suite).establish()
    child = sa.children[0]
    echo = bytes(IP(src=child.inner, dst=world.host4) / ICMP(type=8, id=7) / Raw(b"e" * 16))
    for name, (counter, how) in TRAILERS.items():
        how = dict(how)
        data = how.pop("data", lambda data: data)(echo)
        if "padding" in how:
            whole = -(len(data) + 2) % 16 + 16
            how["padding"] = how["padding"](whole)
        before = _dropped(world)
        sa.peer.send_esp(child.forge(data, **how))
        child.ping(world.host4)
        assert _risen(world, before) == {counter: 1}, name
    sa.peer.send_esp(child.forge(echo + bytes(100)))
    assert child.receive("echo reply")[ICMP].id == 7
    sa.close()
    world.check_standing()
