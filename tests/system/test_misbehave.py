"""S2: a peer with the right keys that does not keep to RFC 7296, as the initiator of the SA; first
one that does, in either role, for comparison. test_misbehave_responder.py has the other role,
test_misbehave_create.py CREATE_CHILD_SA.

Every case is a row: the name, the sections of RFC 7296 that demand the outcome, what is changed in
the good message, the outcome, and the counter that rises (ikepeer_cases.py).
"""

import os
import struct

import pytest

from lib import ike, ikepeer_cases as cases, ikepeer_wire as wire
from lib.ikepeer_cases import (UNKNOWN, Accepted, Case, Clear, Refused, Silent, add, body, fields,
                               ids, omit, patched, repeat)
from lib.ikepeer_crypto import CBC, ECP_256, GCM
from lib.ikepeer_wire import Payload
from lib.ikepeer_world import module_world  # noqa: F401 (the fixture world)


# ---- the good peer


@pytest.mark.parametrize("port", [500, 4500])
@pytest.mark.parametrize("suite", [GCM, CBC])
def test_good_initiator(world, suite, port):
    """Both Encrypted payloads, with and without a move to port 4500: up, packets both ways, a
    probe, a delete; nothing is counted as wrong."""
    before = world.settled()
    sa = world.case(suite=suite, port=port).establish()
    world.carries(sa)
    sa.probe()
    sa.close()
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)


@pytest.mark.parametrize("port", [500, 4500])
@pytest.mark.parametrize("suite", [GCM, CBC])
def test_good_responder(world, suite, port):
    """The same when the daemon begins; here it deletes."""
    before = world.settled()
    sa = world.call(port, suite=suite).accept()
    world.carries(sa)
    sa.probe()
    world.hang_up(sa)
    request = sa.wait_request(ike.INFORMATIONAL)
    assert request.body(ike.DELETE) == wire.delete(wire.IKE_PROTO)
    sa.reply(sa.protected(ike.INFORMATIONAL, [], response=True))
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)


# ---- IKE_SA_INIT request: nothing vouches for it, so what makes no sense gets no answer (2.21.1)

INIT, AUTH, INFO = cases.Init(), cases.Auth(), cases.Info()
GCM_IKE = [(1, 20, 128), (2, 5), (4, 31)]
NO_PROPOSAL = Clear(wire.NO_PROPOSAL_CHOSEN)
SYNTAX = Refused(wire.INVALID_SYNTAX, ends=True)


def offer(*proposals, then=lambda data: data):
    """Another SA payload; each proposal (protocol, spi, transforms[, number])."""
    return body(ike.SA, then(wire.sa(*proposals)))


def ike_offer(*lists):
    """Proposals for an IKE SA from lists of transforms."""
    return offer(*((1, b"", items) for items in lists))


def choosing(number):
    """Accepted, with the proposal of that number."""
    return Accepted(number)


def _group_of_ecp(draft, sa):
    draft.find(ike.SA).body = wire.sa((1, b"", GCM_IKE + [(4, ECP_256)]))
    draft.find(ike.KE).body = ike.ke(ECP_256, b"\1" * 64)


INIT_SA = [
    Case("sa-empty", "3.3", body(ike.SA, b""), Silent(), "ike.rx.sa"),
    Case("sa-without-transforms", "3.3.1", offer((1, b"", [])), Silent(), "ike.rx.sa"),
    Case("sa-proposal-number-0", "3.3.1", offer((1, b"", GCM_IKE, 0)), Silent(), "ike.rx.sa"),
    Case("sa-proposal-number-jumps", "3.3.1", offer((1, b"", GCM_IKE, 1), (1, b"", GCM_IKE, 3)),
         Silent(), "ike.rx.sa"),
    Case("sa-proposal-number-twice", "3.3.1", offer((1, b"", GCM_IKE, 1), (1, b"", GCM_IKE, 1)),
         Silent(), "ike.rx.sa"),
    Case("sa-proposals-backwards", "3.3.1", offer((1, b"", GCM_IKE, 2), (1, b"", GCM_IKE, 1)),
         Silent(), "ike.rx.sa"),
    Case("sa-second-proposal-will-do", "3.3.6", ike_offer([(1, 3), (2, 2), (3, 2), (4, 2)],
                                                          GCM_IKE), choosing(2)),
    Case("sa-last-mark-on-the-first", "3.3.1",
         offer((1, b"", GCM_IKE), (1, b"", GCM_IKE), then=lambda d: b"\0" + d[1:]), Silent(),
         "ike.rx.sa"),
    Case("sa-more-mark-on-the-last", "3.3.1", body(ike.SA, patched(0, b"\2")), Silent(),
         "ike.rx.sa"),
    Case("sa-mark-of-nothing", "3.3.1", body(ike.SA, patched(0, b"\7")), Silent(), "ike.rx.sa"),
    Case("sa-proposal-length-0", "3.3.1", body(ike.SA, patched(2, b"\0\0")), Silent(),
         "ike.rx.sa"),
    Case("sa-proposal-length-65535", "3.3.1", body(ike.SA, patched(2, b"\xff\xff")), Silent(),
         "ike.rx.sa"),
    Case("sa-transform-count-less", "3.3.1", body(ike.SA, patched(7, b"\1")), Silent(),
         "ike.rx.sa"),
    Case("sa-transform-count-more", "3.3.1", body(ike.SA, patched(7, b"\xff")), Silent(),
         "ike.rx.limit"),
    Case("sa-transform-length-0", "3.3.2", body(ike.SA, patched(10, b"\0\0")), Silent(),
         "ike.rx.sa"),
    Case("sa-transform-length-7", "3.3.2", body(ike.SA, patched(10, b"\0\7")), Silent(),
         "ike.rx.sa"),
    Case("sa-transform-mark-on-the-last", "3.3.2", body(ike.SA, lambda old: patched(
        len(old) - 8, b"\3")(old)), Silent(), "ike.rx.sa"),
    Case("sa-spi-where-there-is-none", "3.3.1", offer((1, b"\1" * 8, GCM_IKE)), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-spi-size-3", "3.3.1", offer((1, b"\1" * 3, GCM_IKE)), Silent(), "ike.rx.sa"),
    Case("sa-spi-beyond-the-end", "3.3.1", body(ike.SA, patched(6, b"\xff")), Silent(),
         "ike.rx.sa"),
    Case("sa-protocol-esp", "3.3.1", offer((3, b"\1\1\1\1", [(1, 20, 128), (5, 0)])), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-protocol-unknown", "3.3.1", offer((77, b"", GCM_IKE)), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-protocol-unknown-then-good", "3.3.6", offer((77, b"", GCM_IKE), (1, b"", GCM_IKE)),
         choosing(2)),
    Case("sa-transform-type-unknown", "3.3.6", ike_offer(GCM_IKE + [(6, 1)]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-transform-type-unknown-then-good", "3.3.6",
         ike_offer(GCM_IKE + [(77, 1)], GCM_IKE), choosing(2)),
    Case("sa-transform-id-unknown", "3.3.6", ike_offer([(1, 1023, 128), *GCM_IKE]), Accepted()),
    Case("sa-only-transform-id-unknown", "3.3.6", ike_offer([(1, 1023, 128), *GCM_IKE[1:]]),
         NO_PROPOSAL, "ike.refused.proposal"),
    Case("sa-without-prf", "3.3.3", ike_offer([GCM_IKE[0], GCM_IKE[2]]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-without-encryption", "3.3.3", ike_offer(GCM_IKE[1:]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-without-key-exchange", "3.3.3", ike_offer(GCM_IKE[:2]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-key-exchange-none", "1.2, 2.18", ike_offer(GCM_IKE[:2] + [(4, 0)]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-cbc-without-integrity", "3.3.3", ike_offer([(1, 12, 128), *GCM_IKE[1:]]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-cbc-with-integrity-none", "3.3.3", ike_offer([(1, 12, 128), (3, 0), *GCM_IKE[1:]]),
         NO_PROPOSAL, "ike.refused.proposal"),
    Case("sa-gcm-with-integrity-none", "3.3.3; 5282: 8", ike_offer(GCM_IKE + [(3, 0)]), Accepted()),
    Case("sa-key-length-missing", "3.3.5", ike_offer([(1, 20), *GCM_IKE[1:]]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-key-length-129", "3.3.5", ike_offer([(1, 20, 129), *GCM_IKE[1:]]), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-key-length-of-a-prf", "3.3.5", ike_offer([GCM_IKE[0], (2, 5, 128), GCM_IKE[2]]),
         NO_PROPOSAL, "ike.refused.proposal"),
    Case("sa-attribute-unknown", "3.3.6", body(ike.SA, patched(16, b"\x80\x63")), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("sa-attribute-cut", "3.3.5", body(ike.SA, patched(16, b"\x00\x0e\xff\xff")), Silent(),
         "ike.rx.sa"),
    Case("sa-reserved", "3.3.1, 3.3.2", body(ike.SA, lambda old: patched(1, b"\xff")(
        patched(9, b"\xff")(patched(13, b"\xff")(old)))), Accepted()),
    Case("sa-300-octets-behind", "3.3", body(ike.SA, lambda old: old + bytes(300)), Silent(),
         "ike.rx.sa"),
    Case("sa-32-proposals", "3.3.1", ike_offer(*[[(1, 3), (2, 2), (4, 2)]] * 31, GCM_IKE),
         choosing(32)),
    Case("sa-200-proposals", "2.21.4", ike_offer(*[GCM_IKE] * 200), Silent(), "ike.rx.limit"),
    Case("sa-200-transforms", "2.21.4", ike_offer([(1, 20, 128)] * 200 + GCM_IKE), Silent(),
         "ike.rx.limit"),
]

INIT_REST = [
    Case("ke-one-octet-short", "3.4", body(ike.KE, lambda old: old[:-1]), Silent(), "ike.rx.ke"),
    Case("ke-one-octet-long", "3.4", body(ike.KE, lambda old: old + b"\0"), Silent(), "ike.rx.ke"),
    Case("ke-empty", "3.4", body(ike.KE, ike.ke(31, b"")), Silent(), "ike.rx.ke"),
    Case("ke-without-group", "3.4", body(ike.KE, b""), Silent(), "ike.rx.ke"),
    Case("ke-7-KiB", "3.4", body(ike.KE, ike.ke(31, bytes(7000))), Silent(), "ike.rx.ke"),
    Case("ke-reserved", "3.4", body(ike.KE, patched(2, b"\xff\xff")), Accepted()),
    Case("ke-group-not-offered", "1.2, 3.4", body(ike.KE, ike.ke(ECP_256, bytes(64))),
         Clear(wire.INVALID_KE_PAYLOAD, (b"\0\x1f",)), "ike.refused.key_exchange"),
    Case("ke-group-of-none", "1.2, 3.4", body(ike.KE, patched(0, b"\0\0")),
         Clear(wire.INVALID_KE_PAYLOAD, (b"\0\x1f",)), "ike.refused.key_exchange"),
    Case("nonce-15", "3.9", body(ike.NONCE, b"n" * 15), Silent(), "ike.rx.nonce"),
    Case("nonce-16", "3.9", lambda draft, sa: _other_nonce(draft, sa, 16), Accepted()),
    Case("nonce-256", "3.9", lambda draft, sa: _other_nonce(draft, sa, 256), Accepted()),
    Case("nonce-257", "3.9", body(ike.NONCE, b"n" * 257), Silent(), "ike.rx.nonce"),
    Case("nonce-empty", "3.9", body(ike.NONCE, b""), Silent(), "ike.rx.nonce"),
    Case("nat-detection-of-19", "2.23", body(ike.NOTIFY, lambda old: old[:-1]), Silent(),
         "ike.rx.notify"),
    Case("nat-detection-repeated", "2.23", repeat(ike.NOTIFY), Accepted()),
    Case("nat-detection-omitted", "2.23", omit(ike.NOTIFY), Accepted()),
    Case("cookie-nobody-asked-for", "2.6", add(ike.NOTIFY, ike.notify(wire.COOKIE, b"c" * 64),
                                              at=0), Accepted()),
    Case("cookie-empty", "2.6", add(ike.NOTIFY, ike.notify(wire.COOKIE), at=0), Silent(),
         "ike.rx.notify"),
    Case("cookie-65", "2.6", add(ike.NOTIFY, ike.notify(wire.COOKIE, b"c" * 65), at=0), Silent(),
         "ike.rx.notify"),
    Case("error-notify", "3.10.1", add(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED)),
         Accepted()),
    Case("delete-in-it", "1.2", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Accepted()),
    Case("identity-in-it", "1.2", add(ike.IDI, wire.ident("somebody")), Accepted()),
    Case("sa-omitted", "1.2", omit(ike.SA), Silent(), "ike.rx.payloads"),
    Case("ke-omitted", "1.2", omit(ike.KE), Silent(), "ike.rx.payloads"),
    Case("nonce-omitted", "1.2", omit(ike.NONCE), Silent(), "ike.rx.payloads"),
    Case("all-omitted", "1.2", fields(clear=[]), Silent(), "ike.rx.payloads"),
    Case("sa-repeated", "1.2", repeat(ike.SA), Silent(), "ike.rx.repeated"),
    Case("ke-repeated", "1.2", repeat(ike.KE), Silent(), "ike.rx.repeated"),
    Case("nonce-repeated", "1.2", repeat(ike.NONCE), Silent(), "ike.rx.repeated"),
    Case("unknown-critical", "2.5", add(UNKNOWN, b"?", 0x80),
         Clear(wire.UNSUPPORTED_CRITICAL_PAYLOAD, (bytes([UNKNOWN]),)), "ike.rx.unknown_critical"),
    Case("flag-response", "3.1", fields(flags=lambda f: f | ike.RESPONSE), Silent(),
         "ike.rx.unknown_spi"),
    Case("flag-initiator-cleared", "3.1", fields(flags=0), Silent(), "ike.rx.bad_init"),
    Case("spi-of-initiator-zero", "3.1", fields(spi_i=bytes(8)), Silent(), "ike.rx.bad_init"),
    Case("spi-of-responder-set", "3.1", fields(spi_r=b"\1" * 8), Silent(), "ike.rx.bad_init"),
    Case("message-id-1", "2.2", fields(msgid=1), Silent(), "ike.rx.bad_init"),
    Case("exchange-unknown", "2.21.4", fields(exchange=200), Clear(wire.INVALID_IKE_SPI),
         "ike.rx.unknown_spi"),
    Case("exchange-auth", "2.21.4", fields(exchange=ike.AUTH), Clear(wire.INVALID_IKE_SPI),
         "ike.rx.unknown_spi"),
    Case("exchange-informational", "1.4, 2.21.4", fields(exchange=ike.INFORMATIONAL),
         Clear(wire.INVALID_IKE_SPI), "ike.rx.unknown_spi"),
    Case("sk-in-it", "1.2", add(ike.SK, bytes(60)), Silent(), "ike.rx.payloads"),
    Case("only-sk", "1.2", fields(clear=[Payload(ike.SK, bytes(60))]), Silent(),
         "ike.rx.payloads"),
    Case("sk-in-the-middle", "3.14", add(ike.SK, bytes(60), at=1), Silent(), "ike.rx.sk_last"),
    Case("33-notifies", "2.21.4", lambda draft, sa: draft.clear.extend(
        Payload(ike.NOTIFY, ike.notify(49999)) for _ in range(33)), Silent(), "ike.rx.limit"),
    Case("70-payloads", "2.21.4", lambda draft, sa: draft.clear.extend(
        Payload(UNKNOWN) for _ in range(70)), Silent(), "ike.rx.limit"),
    Case("60-KiB", "2.21.4", add(ike.VENDOR, bytes(60000)), Silent(), "ike.rx.bad_init"),
    Case("notify-cut", "3.10", add(ike.NOTIFY, b"\0\0\x40"), Silent(), "ike.rx.notify"),
    Case("notify-spi-beyond-the-end", "3.10", add(ike.NOTIFY, b"\3\xff\x40\4"), Silent(),
         "ike.rx.notify"),
]


def _other_nonce(draft, sa, size):
    sa.nonce_i = draft.find(ike.NONCE).body = os.urandom(size)


@pytest.mark.parametrize("case", **ids(
    cases.general("init", [ike.SA, ike.KE, ike.NONCE, ike.NOTIFY]) + cases.versions()
    + cases.lengths() + cases.chains(Silent()) + INIT_SA + INIT_REST))
def test_init_request(world, case):
    cases.run(world, INIT, case)


@pytest.mark.parametrize("point", ["zero", "small-order", "all-ones-half"])
def test_init_with_a_point_of_small_order(world, point):
    """RFC 7748 section 6.1, RFC 8031 section 2.1: a shared secret of zero is refused; no SA."""
    value = {"zero": bytes(32), "small-order": b"\1" + bytes(31),
             "all-ones-half": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205"
                                            "165f49b800")}[point]
    before = world.settled()
    sa = world.case()
    draft = sa.init_request()
    draft.find(ike.KE).body = ike.ke(31, value)
    sa.send(draft)
    world.daemon.wait_counter("ike.refused.key_exchange",
                              before.counters["ike.refused.key_exchange"])
    after = world.settled()
    assert not after.counters["ike.bug"] and after.child_sas == before.child_sas
    world.peer.pump()
    assert not world.peer.ike, "an answer"
    world.check_standing()


def test_init_again(world):
    """Section 2.1: while nothing has come after it, it gets the answer it has had, and makes no
    second SA."""
    sa = world.case()
    draft = sa.init_request()
    sa.message_1 = sa.send(draft)
    first = sa.answer_to(draft)
    before = world.settled()
    for _ in range(3):
        sa.send(draft)
        assert sa.answer_to(draft).raw == first.raw
    after = world.settled()
    assert after.risen(before) == {"ike.rx.repeated_request": 3}
    after.check_sas(before)
    sa.got_init_response(first)
    cases.again(world, AUTH, sa)


# ---- every length. What comes after this makes the daemon wary: it wants cookies from then on


def _cut(data, size, header=True, inside=True):
    """The first octets, with the length of the header or of the Encrypted payload made to fit."""
    out = data[:size]
    if header and size >= 28:
        out = out[:24] + struct.pack("!I", size) + out[28:]
    if inside and size >= 32:
        out = out[:30] + struct.pack("!H", size - 28) + out[32:]
    return out


def send_all(world, sa, datagrams):
    """Send them, a few at a time, so that no buffer overflows; all of what has risen."""
    before = world.settled()
    for index, data in enumerate(datagrams):
        world.peer.send(data, sa.port)
        if index % 64 == 63:
            world.standing.probe()
    return before, world.settled()


@pytest.mark.parametrize("fits", ["nothing", "header", "both"])
@pytest.mark.parametrize("step", [INIT, AUTH, INFO], ids=lambda step: step.name)
def test_cut_at_every_length(world, step, fits):
    """Section 3.1: a message that ends anywhere is dropped, and counted, each time."""
    sa = step.reach(world)
    data = step.good(sa).encode()
    sizes = range(1, len(data))
    before, after = send_all(world, sa, [
        _cut(data, size, fits != "nothing", fits == "both" and step is not INIT)
        for size in sizes])
    world.peer.pump()
    assert not world.peer.ike, "an answer"
    risen = after.risen(before)
    assert sum(risen.values()) == len(sizes), risen
    after.check_sas(before)
    cases.again(world, step, sa)
    world.check_standing()


# ---- IKE_AUTH request

UNSUPPORTED = Refused(wire.UNSUPPORTED_CRITICAL_PAYLOAD, True, bytes([UNKNOWN]))
FAILED = Refused(wire.AUTHENTICATION_FAILED, ends=True)
GCM_ESP = [(1, 20, 128), (5, 0)]
SPI = b"\xa1\xb2\xc3\xd4"


def signed(change_id):
    """Another IDi, with the AUTH that goes with it."""
    def change(draft, sa):
        payload = draft.find(ike.IDI)
        payload.body = change_id(payload.body)
        draft.find(wire.AUTH).body = sa.own.auth(sa._octets(True, payload.body))
    return change


AUTH_CASES = [
    Case("idi-omitted", "1.2, 2.21.2", omit(ike.IDI), SYNTAX, "ike.rx.payloads"),
    Case("sa-omitted", "1.2, 2.21.2", omit(ike.SA), SYNTAX, "ike.rx.payloads"),
    Case("tsi-omitted", "1.2, 2.21.2", omit(ike.TSI), SYNTAX, "ike.rx.payloads"),
    Case("tsr-omitted", "1.2, 2.21.2", omit(wire.TSR), SYNTAX, "ike.rx.payloads"),
    Case("idr-omitted", "1.2", omit(wire.IDR), Accepted()),
    Case("auth-omitted", "2.16", omit(wire.AUTH), FAILED, "ike.refused.authentication"),
    Case("all-omitted", "1.2", fields(inner=[]), SYNTAX, "ike.rx.payloads"),
    *(Case(f"{name}-repeated", "1.2, 2.21.2", repeat(kind), SYNTAX, "ike.rx.repeated")
      for name, kind in (("idi", ike.IDI), ("idr", wire.IDR), ("auth", wire.AUTH), ("sa", ike.SA),
                         ("tsi", ike.TSI), ("tsr", wire.TSR))),
    Case("auth-one-bit-off", "2.15, 2.21.2", body(wire.AUTH, lambda old: old[:-1] + bytes(
        [old[-1] ^ 1])), FAILED, "ike.refused.authentication"),
    Case("auth-short", "2.15", body(wire.AUTH, lambda old: old[:-1]), FAILED,
         "ike.refused.authentication"),
    Case("auth-long", "2.15", body(wire.AUTH, lambda old: old + b"\0"), FAILED,
         "ike.refused.authentication"),
    Case("auth-empty", "3.8", body(wire.AUTH, lambda old: old[:4]), SYNTAX, "ike.rx.auth"),
    Case("auth-without-method", "3.8", body(wire.AUTH, b""), SYNTAX, "ike.rx.auth"),
    Case("auth-reserved", "3.8", body(wire.AUTH, patched(1, b"\xff\xff\xff")), Accepted()),
    *(Case(f"auth-method-{number}", "2.21.2", body(wire.AUTH, patched(0, bytes([number]))), FAILED,
           "ike.refused.identity") for number in (0, 1, 9, 13, 14, 255)),
    Case("idi-of-another", "2.21.2", signed(lambda old: wire.ident("nobody.test")), FAILED,
         "ike.refused.identity"),
    Case("idi-stolen", "2.15", body(ike.IDI, wire.ident("standing.case.test")), FAILED,
         "ike.refused.authentication"),
    Case("idi-type-unknown", "3.5", signed(patched(0, b"\x63")), FAILED, "ike.refused.identity"),
    Case("idi-type-0", "3.5", signed(patched(0, b"\0")), FAILED, "ike.refused.identity"),
    Case("idi-reserved", "3.5", signed(patched(1, b"\xff\xff\xff")), Accepted()),
    Case("idi-empty-name", "3.5", signed(lambda old: old[:4]), SYNTAX, "ike.rx.id"),
    Case("idi-cut", "3.5", body(ike.IDI, b"\2\0\0"), SYNTAX, "ike.rx.id"),
    Case("idi-with-nul", "3.5", signed(lambda old: old + b"\0.evil"), SYNTAX, "ike.rx.id"),
    Case("idi-with-newline", "3.5", signed(lambda old: old + b"\r\n"), SYNTAX, "ike.rx.id"),
    Case("idi-ipv4-of-3", "3.5", signed(lambda old: b"\1\0\0\0abc"), SYNTAX, "ike.rx.id"),
    Case("idi-ipv6-of-4", "3.5", signed(lambda old: b"\5\0\0\0abcd"), SYNTAX, "ike.rx.id"),
    Case("idi-60-KiB", "3.5", signed(lambda old: old + b"x" * 60000), FAILED,
         "ike.refused.identity"),
    Case("idr-of-another", "2.21.2", body(wire.IDR, wire.ident("c.test")), FAILED,
         "ike.refused.identity"),
    Case("certificate-nobody-asked-for", "3.6", add(wire.CERT, b"\4" + os.urandom(500), at=1),
         Accepted()),
    Case("certificate-encoding-unknown", "3.6", add(wire.CERT, b"\xc8???"), Accepted()),
    Case("certificate-hash-and-url", "3.6", add(wire.CERT, b"\x0c" + bytes(20) + b"http://x/"),
         Accepted()),
    Case("certificate-empty", "3.6", add(wire.CERT, b""), SYNTAX, "ike.rx.cert"),
    Case("nine-certificates", "2.21.2", lambda draft, sa: draft.inner.extend(
        Payload(wire.CERT, b"\4xx") for _ in range(9)), SYNTAX, "ike.rx.limit"),
    Case("certreq-of-19", "3.7", add(wire.CERTREQ, b"\4" + bytes(19)), SYNTAX, "ike.rx.certreq"),
    Case("certreq-of-nobody", "3.7", add(wire.CERTREQ, b"\4" + bytes(20)), Accepted()),
    Case("configuration-request", "2.19, 3.15", add(wire.CP, b"\1\0\0\0\0\1\0\0"), Accepted(),
         "ike.cp.ignored"),
    Case("configuration-cut", "3.15", add(wire.CP, b"\1\0\0\0\0\1\0\x20"), SYNTAX, "ike.rx.cp"),
    Case("eap-in-the-first", "2.16", add(wire.EAP, b"\3\1\0\4"), Accepted()),
    Case("eap-length-lies", "3.16", add(wire.EAP, b"\1\1\0\x20\1"), SYNTAX, "ike.rx.eap"),
    Case("key-exchange-in-it", "1.2", add(ike.KE, ike.ke()), Accepted()),
    Case("nonce-in-it", "1.2", add(ike.NONCE, bytes(32)), Accepted()),
    Case("delete-in-it", "1.4.1", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Accepted()),
    Case("rekey-notify-in-it", "1.3.3", add(ike.NOTIFY, ike.notify(wire.REKEY_SA, b"", 3, SPI)),
         Accepted()),
    Case("initial-contact", "2.4", add(ike.NOTIFY, ike.notify(wire.INITIAL_CONTACT)), Accepted()),
    Case("fatal-notify", "2.21.2", add(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED)),
         Accepted()),
    Case("exchange-informational", "1.4", fields(exchange=ike.INFORMATIONAL), Silent(),
         "ike.rx.unexpected"),
    Case("exchange-create-child-sa", "1.3", fields(exchange=ike.CREATE_CHILD), Silent(),
         "ike.rx.unexpected"),
    Case("exchange-unknown", "2.21", fields(exchange=200), Silent(), "ike.rx.unexpected"),
    Case("exchange-init", "1.2", fields(exchange=ike.INIT), Silent(), "ike.rx.bad_init"),
]


def esp_offer(*proposals, then=lambda data: data):
    """Proposals of a child: (spi, transforms[, number]), or with the protocol first."""
    return offer(*(p if isinstance(p[0], int) else (3, *p) for p in proposals), then=then)


class NoChild(cases.Outcome):
    """The IKE SA is up without a child; the response has everything else (section 2.21.2)."""

    def __init__(self, notify):
        self.notify = notify

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        answer = sa.answer_to(draft)
        sa.next_send += 1
        sa._check_auth(answer, wire.IDR)
        assert answer.types() == [wire.IDR, wire.AUTH, ike.NOTIFY, ike.NOTIFY]
        assert set(answer.notifies()) == {wire.QCD_TOKEN, self.notify}
        cases.check_risen(world.settled().risen(before), case, 1)
        sa.probe()
        sa.close()


NONE_CHOSEN, UNACCEPTABLE = NoChild(wire.NO_PROPOSAL_CHOSEN), NoChild(wire.TS_UNACCEPTABLE)


def ts(kind, *items, **kwargs):
    return body(kind, wire.selectors(*items, **kwargs))


MINE = "10.128.0.0/9"
AUTH_CHILD = [
    Case("esp-spi-size-0", "3.3.1", esp_offer((b"", GCM_ESP)), SYNTAX, "ike.rx.sa"),
    Case("esp-spi-size-8", "3.3.1", esp_offer((b"\1" * 8, GCM_ESP)), SYNTAX, "ike.rx.sa"),
    Case("esp-spi-zero", "4303: 2.1", esp_offer((bytes(4), GCM_ESP)), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-spi-reserved", "4303: 2.1", esp_offer((b"\0\0\0\xff", GCM_ESP)), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-nothing-known", "2.7", esp_offer((SPI, [(1, 3), (3, 2), (5, 0)])), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-without-esn", "3.3.3", esp_offer((SPI, GCM_ESP[:1])), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-protocol-ah", "3.3.3", esp_offer((2, SPI, [(3, 12), (5, 0)])), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-protocol-ike", "3.3.3", esp_offer((1, b"\1" * 8, GCM_IKE)), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-transform-type-unknown", "3.3.6", esp_offer((SPI, GCM_ESP + [(77, 0)])), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("esp-null-encryption", "3.3.2", esp_offer((SPI, [(1, 11), (3, 12), (5, 0)])), NONE_CHOSEN,
         "ike.refused.proposal"),
    Case("tsi-count-0", "3.13", ts(ike.TSI), SYNTAX, "ike.rx.ts"),
    Case("tsi-count-more", "3.13", ts(ike.TSI, wire.selector(MINE), count=2), SYNTAX, "ike.rx.ts"),
    Case("tsi-count-less", "3.13", ts(ike.TSI, wire.selector(MINE), wire.selector(MINE), count=1),
         SYNTAX, "ike.rx.ts"),
    Case("tsi-200-selectors", "2.21.3", ts(ike.TSI, *[wire.selector(MINE)] * 200), SYNTAX,
         "ike.rx.limit"),
    Case("tsi-inverted-addresses", "3.13.1", ts(ike.TSI, wire.selector("10.128.0.9",
                                                                       "10.128.0.1")), SYNTAX,
         "ike.rx.ts"),
    Case("tsi-inverted-ports", "3.13.1", ts(ike.TSI, wire.selector(MINE, proto=17,
                                                                   ports=(2000, 1000))), SYNTAX,
         "ike.rx.ts"),
    Case("tsi-selector-length-7", "3.13.1", body(ike.TSI, patched(6, b"\0\7")), SYNTAX,
         "ike.rx.ts"),
    Case("tsi-selector-length-65535", "3.13.1", body(ike.TSI, patched(6, b"\xff\xff")), SYNTAX,
         "ike.rx.ts"),
    Case("tsi-ipv6-of-4-octets", "3.13.1", body(ike.TSI, patched(4, b"\x08")), SYNTAX,
         "ike.rx.ts"),
    Case("tsi-type-unknown", "2.9", body(ike.TSI, patched(4, b"\x09")), UNACCEPTABLE,
         "ike.refused.selectors"),
    Case("tsi-reserved", "3.13", body(ike.TSI, patched(1, b"\xff\xff\xff")), Accepted()),
    Case("tsi-of-others", "2.9", ts(ike.TSI, wire.selector("10.77.0.0/16")), UNACCEPTABLE,
         "ike.refused.selectors"),
    Case("tsr-of-others", "2.9", ts(wire.TSR, wire.selector("10.77.0.0/16")), UNACCEPTABLE,
         "ike.refused.selectors"),
    Case("tsi-ipv6-only", "2.9", ts(ike.TSI, wire.selector("fd00:99::/64")), UNACCEPTABLE,
         "ike.refused.selectors"),
    Case("tsi-and-tsr-swapped", "2.9", lambda draft, sa: _swap(draft), UNACCEPTABLE,
         "ike.refused.selectors"),
    Case("tsr-type-unknown-beside-good", "2.9", lambda draft, sa: _more_ts(
        draft, wire.TSR, b"\x09\0\0\x10" + bytes(12)), Accepted()),
]


def _swap(draft):
    one, other = draft.find(ike.TSI), draft.find(wire.TSR)
    one.body, other.body = other.body, one.body


def _more_ts(draft, kind, item):
    payload = draft.find(kind)
    payload.body = bytes([payload.body[0] + 1]) + payload.body[1:] + item


AUTH_PAYLOADS = [ike.IDI, wire.IDR, wire.AUTH, ike.SA, ike.TSI, wire.TSR]


@pytest.mark.parametrize("case", **ids(
    cases.general("auth", AUTH_PAYLOADS) + cases.versions() + cases.lengths()
    + cases.protected(True, UNSUPPORTED) + AUTH_CASES + AUTH_CHILD))
def test_auth_request(world, case):
    cases.run(world, AUTH, case)


# ---- INFORMATIONAL request

LIVES = Refused(wire.UNSUPPORTED_CRITICAL_PAYLOAD, False, bytes([UNKNOWN]))


def deletes(*args, **kwargs):
    return body(ike.DELETE, wire.delete(*args, **kwargs))


INFO_CASES = [
    Case("all-omitted", "1.4", fields(inner=[]), Accepted()),
    Case("delete-omitted", "1.4", omit(ike.DELETE), Accepted()),
    Case("delete-repeated", "1.4.1, 3.11", repeat(ike.DELETE), Accepted()),
    Case("notify-repeated", "1.4", repeat(ike.NOTIFY), Accepted()),
    Case("vendor-repeated", "3.12", repeat(ike.VENDOR), Accepted()),
    Case("delete-unknown-spis", "1.4.1", deletes(3, [os.urandom(4) for _ in range(50)]),
         Accepted()),
    Case("delete-of-ah", "1.4.1", deletes(2, [SPI]), Accepted()),
    Case("delete-our-own-direction", "1.4.1", lambda draft, sa: setattr(
        draft.find(ike.DELETE), "body", wire.delete(3, [sa.children[0].spi_out])), Accepted()),
    Case("delete-protocol-0", "3.11", deletes(0, [SPI], 4), SYNTAX, "ike.rx.delete"),
    Case("delete-protocol-4", "3.11", deletes(4, [SPI], 4), SYNTAX, "ike.rx.delete"),
    Case("delete-ike-with-spi", "3.11", deletes(1, [bytes(8)], 8), SYNTAX, "ike.rx.delete"),
    Case("delete-ike-with-size", "3.11", deletes(1, [], 8), SYNTAX, "ike.rx.delete"),
    Case("delete-ike-with-count", "3.11", deletes(1, [], 0, 1), SYNTAX, "ike.rx.delete"),
    Case("delete-esp-spi-of-8", "3.11", deletes(3, [bytes(8)], 8), SYNTAX, "ike.rx.delete"),
    Case("delete-esp-spi-of-0", "3.11", deletes(3, [], 0, 1), SYNTAX, "ike.rx.delete"),
    Case("delete-count-more", "3.11", deletes(3, [SPI], count=2), SYNTAX, "ike.rx.delete"),
    Case("delete-count-less", "3.11", deletes(3, [SPI, SPI], count=1), SYNTAX, "ike.rx.delete"),
    Case("delete-count-65535", "3.11", deletes(3, [SPI], count=65535), SYNTAX, "ike.rx.delete"),
    Case("delete-10000-spis", "2.21.3", deletes(3, [SPI] * 10000), SYNTAX, "ike.rx.limit"),
    Case("delete-cut", "3.11", body(ike.DELETE, b"\3\4\0"), SYNTAX, "ike.rx.delete"),
    Case("nine-deletes", "2.21.3", lambda draft, sa: draft.inner.extend(
        Payload(ike.DELETE, wire.delete(3, [SPI])) for _ in range(8)), SYNTAX, "ike.rx.limit"),
    Case("unprotected-errors-quoted", "2.21.4", add(ike.NOTIFY, ike.notify(
        wire.INVALID_IKE_SPI)), Accepted()),
    Case("invalid-spi-notify", "1.5", add(ike.NOTIFY, ike.notify(wire.INVALID_SPI, SPI)),
         Accepted(), "ike.rx.invalid_spi"),
    Case("window-size-of-3", "2.3", add(ike.NOTIFY, ike.notify(16385, b"\0\0\1")), SYNTAX,
         "ike.rx.notify"),
    Case("window-size-64", "2.3", add(ike.NOTIFY, ike.notify(16385, b"\0\0\0\x40")), Accepted()),
    Case("rekey-notify-spi-of-8", "1.3.3", add(ike.NOTIFY, ike.notify(wire.REKEY_SA, b"", 3,
                                                                     bytes(8))), SYNTAX,
         "ike.rx.notify"),
    Case("configuration-in-it", "1.4", add(wire.CP, b"\1\0\0\0\0\1\0\0"), Accepted()),
    Case("sa-in-it", "1.4", add(ike.SA, wire.sa((3, SPI, GCM_ESP))), Accepted()),
    Case("identity-in-it", "1.4", add(ike.IDI, wire.ident("somebody")), Accepted()),
    Case("exchange-init", "1.2", fields(exchange=ike.INIT), Silent(), "ike.rx.bad_init"),
]


@pytest.mark.parametrize("case", **ids(
    cases.general("info", [ike.NOTIFY, ike.DELETE, ike.VENDOR]) + cases.versions()
    + cases.lengths() + cases.protected(True, LIVES) + INFO_CASES))
def test_info_request(world, case):
    cases.run(world, INFO, case)


# ---- at the wrong time


def _init_with_spi_of(draft, sa):
    """A request of IKE_SA_INIT, in clear, by the same initiator's SPI."""
    fresh = sa.init_request()
    fresh.spi_r = bytes(8)
    sa.nonce_i = fresh.find(ike.NONCE).body = os.urandom(32)
    draft.__dict__.update(fresh.__dict__)


def exchange(number, *payloads):
    """Instead of the good request one of another exchange, authentic and of the right id."""
    def change(draft, _sa):
        draft.exchange, draft.inner = number, list(payloads)
    return change


def _second_auth(draft, sa):
    again = sa.auth_request()
    draft.exchange, draft.inner = again.exchange, again.inner


ESTABLISHED = [
    Case("second-auth", "1.2, 2.21.3", _second_auth, SYNTAX, "ike.rx.unexpected"),
    Case("empty-auth", "1.2, 2.21.3", exchange(ike.AUTH), SYNTAX, "ike.rx.unexpected"),
    Case("exchange-of-nobody", "2.21.3", exchange(200), SYNTAX, "ike.rx.unexpected"),
    Case("exchange-0", "2.21.3", exchange(0), SYNTAX, "ike.rx.unexpected"),
    Case("init-inside", "1.2", exchange(ike.INIT), Silent(), "ike.rx.bad_init"),
]


@pytest.mark.parametrize("case", **ids(ESTABLISHED))
def test_wrong_exchange_when_established(world, case):
    cases.run(world, INFO, case)


def test_init_when_established(world):
    """Section 2.1: IKE_SA_INIT with the SPI of an SA that is up is a new one, and changes nothing
    about that."""
    sa = world.case().establish()
    before = world.settled()
    again = world.case()
    again.spi_i = sa.spi_i
    again.start()
    assert again.spi_r != sa.spi_r
    again.got_auth_response(again.ask(again.auth_request()))
    for each in (sa, again):
        each.probe()
        world.carries(each)
        each.close()
    assert not world.settled().risen(before)


@pytest.mark.parametrize("msgid", [0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("number", [ike.AUTH, ike.CREATE_CHILD, ike.INFORMATIONAL])
def test_response_nobody_asked_for(world, number, msgid):
    """Sections 2.2, 2.21.4: authentic or not, it is dropped; an SA that it could end goes on."""
    sa = world.case().establish()
    before = world.settled()
    sa.send(sa.protected(number, [Payload(ike.DELETE, wire.delete(wire.IKE_PROTO)),
                                  Payload(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED))],
                         response=True, msgid=msgid))
    assert world.settled().risen(before) == {"ike.rx.stray_response": 1}
    world.carries(sa)
    sa.close()


def test_unprotected_messages_in_an_established_sa(world):
    """Sections 1.4, 2.21.4: in clear nothing changes the state of an SA."""
    sa = world.case().establish()
    before = world.settled()
    sent = 0
    for number in (ike.INIT, ike.AUTH, ike.CREATE_CHILD, ike.INFORMATIONAL):
        for response in (False, True):
            for payload in (Payload(ike.DELETE, wire.delete(wire.IKE_PROTO)),
                            *(Payload(ike.NOTIFY, ike.notify(kind)) for kind in
                              (wire.INVALID_IKE_SPI, wire.INVALID_SYNTAX, wire.INVALID_SPI,
                               wire.AUTHENTICATION_FAILED, wire.INVALID_MAJOR_VERSION))):
                draft = sa.protected(number, None, response)
                draft.clear = [payload]
                sa.send(draft)
                sent += 1
    risen = world.settled().risen(before)
    assert sum(risen.values()) == sent, risen
    assert set(risen) == {"ike.rx.stray_response", "ike.rx.unprotected", "ike.rx.bad_init"}
    world.peer.pump()
    assert not world.peer.ike, "an answer"
    world.carries(sa)
    sa.close()


# ---- every bit, every datagram again


@pytest.mark.parametrize("step", [AUTH, INFO], ids=lambda step: step.name)
@pytest.mark.parametrize("suite", [GCM, CBC])
def test_every_bit(world, step, suite):
    """Section 3.14: a message with one bit changed, anywhere, is not authentic. What the header
    says without being so may be answered in clear (version, SPI), nothing else is."""
    sa = world.case(suite=suite)
    sa = sa.start() if step is AUTH else sa.establish()
    data = step.good(sa).encode()
    before, after = send_all(world, sa, [
        data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]
        for at in range(len(data)) for bit in range(8)])
    risen = after.risen(before)
    for name in ("ike.rx.stray_limited", "ike.qcd.sent", "ike.qcd.limited"):
        risen.pop(name, None)
    assert sum(risen.values()) == 8 * len(data), risen
    forged = risen["ike.rx.integrity"] + risen.get("ike.rx.junk_limited", 0)
    assert forged > 8 * (len(data) - 28 - 8), risen
    after.check_sas(before)
    world.peer.pump()
    for _, answer in world.peer.ike:
        message = wire.parse(answer)
        assert not message.encrypted and set(message.notifies()) <= {
            wire.INVALID_IKE_SPI, wire.QCD_TOKEN, wire.INVALID_MAJOR_VERSION}
    world.peer.forget()
    cases.again(world, step, sa)
    world.check_standing()


def test_every_datagram_again_at_every_later_step(world):
    """Sections 2.1, 2.2: what is older than the last request is dropped; the last one is answered
    once more, octet by octet the same; the daemon's own datagrams do nothing when they come back.
    """
    sa = world.case()
    sent, theirs = [], []

    def step(draft):
        data = sa.send(draft)
        answer = sa.answer_to(draft)
        sent.append(data)
        theirs.append(answer.raw)
        return data, answer

    sa.start()
    sent.append(sa.message_1)
    theirs.append(sa.message_2)
    _, answer = step(sa.auth_request())
    _all_again(world, sa, sent, theirs)
    sa.next_send += 1
    sa.got_auth_response(answer)
    for _ in range(3):
        step(sa.info())
        sa.next_send += 1
        _all_again(world, sa, sent, theirs)
    world.carries(sa)
    step(sa.info(Payload(ike.DELETE, wire.delete(wire.IKE_PROTO))))
    world.check_standing()


def _all_again(world, sa, sent, theirs):
    """All but the first: test_init_again() has that."""
    before = world.settled()
    world.peer.forget()
    for data in sent[1:] + theirs[1:]:
        sa.peer.send(data, sa.port)
    after = world.settled()
    world.peer.pump()
    answers = [data for _, data in world.peer.ike]
    assert answers == [theirs[-1]], "the last answer, once"
    after.check_sas(before)
    risen = after.risen(before)
    assert risen.pop("ike.rx.repeated_request") == 1
    assert sum(risen.values()) == len(sent) + len(theirs) - 3, risen
    world.peer.forget()
