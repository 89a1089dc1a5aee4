"""S2: a peer that the daemon calls and that does not keep to RFC 7296, and responses that are
wrong. test_misbehave.py has the requests, and says how a case is written.
"""

import os

import pytest

from lib import ike, ikepeer_cases as cases, ikepeer_crypto as crypto, ikepeer_wire as wire
from lib.ikepeer_cases import (UNKNOWN, Case, Ends, Ignored, Taken, add, body, fields, ids, omit,
                               patched, repeat)
from lib.ikepeer_crypto import ECP_256
from lib.ikepeer_wire import Payload
from lib.ikepeer_world import module_world  # noqa: F401 (the fixture world)


INIT, AUTH, INFO = cases.InitResponse(), cases.AuthResponse(), cases.InfoResponse()
INIT_PAYLOADS = [ike.SA, ike.KE, ike.NONCE, ike.NOTIFY]
AUTH_PAYLOADS = [wire.IDR, wire.AUTH, ike.SA, ike.TSI, wire.TSR]
GCM_IKE = [(1, 20, 128), (2, 5), (4, 31)]


# ---- IKE_SA_INIT response: anybody could have sent it, so the daemon waits for another (2.21.1)


def offer(*proposals, then=lambda data: data):
    """Another SA payload; each proposal (protocol, spi, transforms[, number])."""
    return body(ike.SA, then(wire.sa(*proposals)))


def only(*notifies, **values):
    """Instead of the answer: notifies alone, from a responder that keeps no SA."""
    def change(draft, _sa):
        draft.where()[:] = [Payload(ike.NOTIFY, ike.notify(*item)) for item in notifies]
        for name, value in values.items():
            setattr(draft, name, value)
    return change


def _other_nonce(size):
    def change(draft, sa):
        sa.nonce_r = draft.find(ike.NONCE).body = os.urandom(size)
    return change


HINT = "ike.rx.unauthenticated_error"
PROPOSAL = "ike.refused.proposal"
INIT_CASES = [
    *(Case(f"{name}-omitted", "1.2", omit(kind), Ignored(), "ike.rx.payloads")
      for name, kind in (("sa", ike.SA), ("ke", ike.KE), ("nonce", ike.NONCE))),
    *(Case(f"{name}-repeated", "1.2", repeat(kind), Ignored(), "ike.rx.repeated")
      for name, kind in (("sa", ike.SA), ("ke", ike.KE), ("nonce", ike.NONCE))),
    Case("all-omitted", "1.2", fields(clear=[]), Ignored(), "ike.rx.payloads"),
    Case("nat-detection-omitted", "2.23", omit(ike.NOTIFY), Taken()),
    Case("nat-detection-repeated", "2.23", repeat(ike.NOTIFY), Taken()),
    Case("nat-detection-of-19", "2.23", body(ike.NOTIFY, lambda old: old[:-1]), Ignored(),
         "ike.rx.notify"),
    *(Case(f"only-error-{kind}", "2.21.1, 3.10.1", only((kind,)), Ignored(),
           f"{HINT} ike.refused.by_peer") for kind in
      (wire.NO_PROPOSAL_CHOSEN, wire.INVALID_SYNTAX, wire.AUTHENTICATION_FAILED,
       wire.INVALID_MAJOR_VERSION, wire.INVALID_IKE_SPI, wire.TEMPORARY_FAILURE, 8191)),
    Case("error-beside-a-good-answer", "2.21.1, 3.10.1", add(ike.NOTIFY, ike.notify(8191)),
         Ignored(), f"{HINT} ike.refused.by_peer"),
    Case("invalid-ke-of-the-same", "1.2, 2.21.1",
         only((wire.INVALID_KE_PAYLOAD, b"\0\x1f"), spi_r=bytes(8)), Ignored(), HINT),
    Case("invalid-ke-not-offered", "1.2, 2.21.1",
         only((wire.INVALID_KE_PAYLOAD, b"\0\x02"), spi_r=bytes(8)), Ignored(), HINT),
    Case("invalid-ke-of-63", "1.2, 2.21.1",
         only((wire.INVALID_KE_PAYLOAD, b"\0\x3f"), spi_r=bytes(8)), Ignored(), HINT),
    Case("invalid-ke-of-0", "1.2, 2.21.1",
         only((wire.INVALID_KE_PAYLOAD, b"\0\0"), spi_r=bytes(8)), Ignored(), HINT),
    Case("invalid-ke-without-group", "1.2", only((wire.INVALID_KE_PAYLOAD,), spi_r=bytes(8)),
         Ignored(), "ike.rx.notify"),
    Case("invalid-ke-of-3-octets", "1.2",
         only((wire.INVALID_KE_PAYLOAD, b"\0\0\x13"), spi_r=bytes(8)), Ignored(),
         "ike.rx.notify"),
    Case("cookie-empty", "2.6", only((wire.COOKIE,), spi_r=bytes(8)), Ignored(), "ike.rx.notify"),
    Case("cookie-65", "2.6", only((wire.COOKIE, b"c" * 65), spi_r=bytes(8)), Ignored(),
         "ike.rx.notify"),
    Case("spi-of-responder-zero", "3.1", fields(spi_r=bytes(8)), Ignored(), "ike.rx.bad_init"),
    Case("spi-of-initiator-wrong", "2.6", fields(spi_i=cases.flipped), Ignored(),
         "ike.rx.unknown_spi"),
    Case("flag-initiator-set", "3.1", fields(flags=ike.RESPONSE | ike.INITIATOR), Ignored(),
         "ike.rx.unknown_spi"),
    Case("flag-response-cleared", "3.1", fields(flags=0), Ignored(), "ike.rx.bad_init"),
    Case("message-id-1", "2.2", fields(msgid=1), Ignored(), "ike.rx.stray_response"),
    Case("exchange-auth", "2.2", fields(exchange=ike.AUTH), Ignored(), "ike.rx.stray_response"),
    Case("exchange-unknown", "2.2", fields(exchange=200), Ignored(), "ike.rx.stray_response"),
    Case("sk-in-it", "1.2", add(ike.SK, bytes(60)), Ignored(), "ike.rx.unexpected"),
    Case("unknown-critical", "2.5", add(UNKNOWN, b"?", 0x80), Ignored(),
         "ike.rx.unknown_critical"),
    Case("sa-number-not-offered", "3.3.1", offer((1, b"", GCM_IKE, 9)), Ignored(), PROPOSAL),
    Case("sa-number-0", "3.3.1", offer((1, b"", GCM_IKE, 0)), Ignored(), "ike.rx.sa"),
    Case("sa-number-of-another", "3.3.1", offer((1, b"", GCM_IKE, 2)), Ignored(), PROPOSAL),
    Case("sa-two-proposals", "3.3.6", offer((1, b"", GCM_IKE), (1, b"", GCM_IKE)), Ignored(),
         PROPOSAL),
    Case("sa-transform-not-offered", "3.3.6",
         offer((1, b"", [(1, 12, 256), (3, 14), *GCM_IKE[1:]])), Ignored(), PROPOSAL),
    Case("sa-weaker-than-offered", "3.3.6", offer((1, b"", [(1, 3), (2, 2), (3, 2), (4, 2)])),
         Ignored(), PROPOSAL),
    Case("sa-null-encryption", "3.3.6", offer((1, b"", [(1, 11), *GCM_IKE[1:]])), Ignored(),
         PROPOSAL),
    Case("sa-two-of-a-type", "3.3.6", offer((1, b"", [GCM_IKE[0], *GCM_IKE])), Ignored(),
         PROPOSAL),
    Case("sa-key-length-changed", "3.3.6", offer((1, b"", [(1, 20, 256), *GCM_IKE[1:]])),
         Ignored(), PROPOSAL),
    Case("sa-key-length-gone", "3.3.6", offer((1, b"", [(1, 20), *GCM_IKE[1:]])), Ignored(),
         PROPOSAL),
    Case("sa-without-prf", "3.3.6", offer((1, b"", [GCM_IKE[0], GCM_IKE[2]])), Ignored(),
         PROPOSAL),
    Case("sa-without-key-exchange", "3.3.6", offer((1, b"", GCM_IKE[:2])), Ignored(), PROPOSAL),
    Case("sa-type-not-offered", "3.3.6", offer((1, b"", GCM_IKE + [(77, 1)])), Ignored(),
         PROPOSAL),
    Case("sa-with-spi", "3.3.1", offer((1, b"\1" * 8, GCM_IKE)), Ignored(), PROPOSAL),
    Case("sa-protocol-esp", "3.3.1", offer((3, b"\1\1\1\1", GCM_IKE)), Ignored(), PROPOSAL),
    Case("ke-group-of-another", "3.4", body(ike.KE, ike.ke(ECP_256, bytes(64))), Ignored(),
         PROPOSAL),
    Case("ke-one-octet-short", "3.4", body(ike.KE, lambda old: old[:-1]), Ignored(), PROPOSAL),
    Case("ke-one-octet-long", "3.4", body(ike.KE, lambda old: old + b"\0"), Ignored(), PROPOSAL),
    Case("ke-empty", "3.4", body(ike.KE, ike.ke(31, b"")), Ignored(), "ike.rx.ke"),
    Case("ke-reserved", "3.4", body(ike.KE, patched(2, b"\xff\xff")), Taken()),
    Case("nonce-15", "3.9", body(ike.NONCE, b"n" * 15), Ignored(), "ike.rx.nonce"),
    Case("nonce-16", "3.9", _other_nonce(16), Taken()),
    Case("nonce-256", "3.9", _other_nonce(256), Taken()),
    Case("nonce-257", "3.9", body(ike.NONCE, b"n" * 257), Ignored(), "ike.rx.nonce"),
    Case("delete-in-it", "1.2", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Taken()),
]


@pytest.mark.parametrize("case", **ids(
    cases.as_response(cases.general("init", INIT_PAYLOADS) + cases.versions() + cases.lengths()
                + cases.chains(cases.Silent())) + INIT_CASES))
def test_init_response(world, case):
    cases.run(world, INIT, case)


def test_cookie_is_returned(world):
    """Section 2.6: the cookie first, everything else as before; then another one."""
    sa = world.call()
    first = sa.take_init_request()
    for cookie in (b"c", os.urandom(64)):
        sa.send(_stateless(sa, wire.COOKIE, cookie))
        again = sa.take_init_request()
        assert wire.parse_notify(again.payloads[0].body).data == cookie
        assert [p for p in again.payloads if p.type != ike.NOTIFY or _kind(p) != wire.COOKIE
                ] == first.payloads
    sa.sent_init_response(sa.send(sa.init_response()))
    INIT.finish(sa)
    world.carries(sa)
    sa.close()
    world.hang_up(sa)


def _kind(payload):
    return wire.parse_notify(payload.body).type


def _stateless(sa, kind, data):
    draft = sa.clear([Payload(ike.NOTIFY, ike.notify(kind, data))], response=True)
    draft.spi_r = bytes(8)
    return draft


def test_cookies_without_end(world):
    """Sections 2.6, 2.21.1: a responder that wants one more cookie for ever is not followed."""
    sa = world.call()
    sa.take_init_request()
    before = world.settled()
    for _ in range(20):
        sa.send(_stateless(sa, wire.COOKIE, os.urandom(20)))
    after = world.settled()
    assert after.risen(before)[HINT] >= 10
    world.peer.pump()
    assert len(world.peer.ike) <= 10, "one request for each cookie"
    after.check_sas(before)
    world.hang_up(sa)
    world.peer.forget()
    world.check_standing()


def test_another_group_is_followed(world):
    """Section 1.2: INVALID_KE_PAYLOAD with a group that was offered; SPI and nonce stay."""
    sa = world.call()
    first = sa.take_init_request()
    sa.send(_stateless(sa, wire.INVALID_KE_PAYLOAD, b"\0\x13"))
    sa.pair = crypto.KeyPair(ECP_256)
    again = sa.take_init_request()
    assert again.spi_i == first.spi_i and again.body(ike.SA) == first.body(ike.SA)
    sa.sent_init_response(sa.send(sa.init_response()))
    INIT.finish(sa)
    world.carries(sa)
    sa.close()
    world.hang_up(sa)


@pytest.mark.parametrize("point", ["zero", "small-order"])
def test_point_of_small_order(world, point):
    """RFC 8031 section 2.1: no secret comes of it; the good answer behind it still counts."""
    sa = world.call()
    sa.take_init_request()
    before = world.settled()
    draft = sa.init_response()
    draft.find(ike.KE).body = ike.ke(31, (b"\1" if point == "small-order" else b"\0") + bytes(31))
    sa.send(draft)
    sa.take_init_request()
    assert world.settled().risen(before) == {HINT: 1}
    sa.sent_init_response(sa.send(sa.init_response()))
    INIT.finish(sa)
    world.carries(sa)
    sa.close()
    world.hang_up(sa)


# ---- IKE_AUTH response: authentic as far as the keys go, so what makes no sense ends it (2.21)

FAILED = Ends(wire.AUTHENTICATION_FAILED)
GCM_ESP = [(1, 20, 128), (5, 0)]
SPI = b"\xa1\xb2\xc3\xd4"
NO_CHILD = cases.ChildRefused()


def signed(change_id):
    """Another IDr, with the AUTH that goes with it."""
    def change(draft, sa):
        payload = draft.find(wire.IDR)
        payload.body = change_id(payload.body)
        draft.find(wire.AUTH).body = sa.own.auth(sa._octets(False, payload.body))
    return change


def child(spi, transforms, *number, proto=3):
    """Another answer to the proposals of a child."""
    return offer((proto, spi, transforms, *number))


def ts(kind, *items, **kwargs):
    return body(kind, wire.selectors(*items, **kwargs))


AUTH_CASES = [
    Case("idr-omitted", "1.2", omit(wire.IDR), FAILED, "ike.rx.payloads"),
    Case("auth-omitted", "1.2, 2.16", omit(wire.AUTH), FAILED, "ike.rx.payloads"),
    Case("all-omitted", "1.2", fields(inner=[]), FAILED, "ike.rx.payloads"),
    *(Case(f"{name}-repeated", "1.2", repeat(kind), FAILED, "ike.rx.repeated") for name, kind in
      (("idr", wire.IDR), ("auth", wire.AUTH), ("sa", ike.SA), ("tsi", ike.TSI),
       ("tsr", wire.TSR))),
    Case("auth-one-bit-off", "2.15, 2.21.2", body(wire.AUTH, lambda old: old[:-1] + bytes(
        [old[-1] ^ 1])), FAILED, "ike.refused.authentication"),
    Case("auth-short", "2.15", body(wire.AUTH, lambda old: old[:-1]), FAILED,
         "ike.refused.authentication"),
    Case("auth-empty", "3.8", body(wire.AUTH, lambda old: old[:4]), FAILED, "ike.rx.auth"),
    Case("auth-reserved", "3.8", body(wire.AUTH, patched(1, b"\xff\xff\xff")), Taken()),
    *(Case(f"auth-method-{number}", "2.21.2", body(wire.AUTH, patched(0, bytes([number]))), FAILED,
           "ike.refused.identity") for number in (0, 1, 13, 14, 255)),
    Case("idr-of-another", "2.21.2", signed(lambda old: wire.ident("nobody.test")), FAILED,
         "ike.refused.identity"),
    Case("idr-type-unknown", "3.5", signed(patched(0, b"\x63")), FAILED, "ike.refused.identity"),
    Case("idr-reserved", "3.5", signed(patched(1, b"\xff\xff\xff")), Taken()),
    Case("idr-with-nul", "3.5", signed(lambda old: old + b"\0.evil"), FAILED, "ike.rx.id"),
    Case("idi-instead-of-idr", "1.2", cases.payload_fields(wire.IDR, type=ike.IDI), FAILED,
         "ike.rx.payloads"),
    Case("only-authentication-failed", "2.21.2", only((wire.AUTHENTICATION_FAILED,)), cases.Gone(),
         "ike.refused.by_peer"),
    Case("only-invalid-syntax", "2.21.2", only((wire.INVALID_SYNTAX,)), cases.Gone(),
         "ike.refused.by_peer"),
    Case("only-unknown-error", "3.10.1", only((8191,)), cases.Gone(), "ike.refused.by_peer"),
    Case("only-status", "1.2", only((49999,)), FAILED, "ike.rx.payloads"),
    Case("certificate-nobody-asked-for", "3.6", add(wire.CERT, b"\4" + os.urandom(500), at=1),
         Taken()),
    Case("configuration-reply", "2.19", add(wire.CP, b"\2\0\0\0"), Taken()),
    Case("eap", "2.16", add(wire.EAP, b"\3\1\0\4"), Taken()),
    Case("initial-contact", "2.4", add(ike.NOTIFY, ike.notify(wire.INITIAL_CONTACT)), Taken()),
    *(Case(f"child-refused-by-{kind}", "2.21.2", cases.both(
        omit(ike.SA), omit(ike.TSI), omit(wire.TSR), add(ike.NOTIFY, ike.notify(kind))),
        cases.ChildRefused(False), "ike.refused.by_peer") for kind in
      (wire.NO_PROPOSAL_CHOSEN, wire.TS_UNACCEPTABLE, wire.NO_ADDITIONAL_SAS, 8191)),
    Case("esp-number-not-offered", "3.3.1", child(SPI, GCM_ESP, 9), NO_CHILD),
    Case("esp-transform-not-offered", "3.3.6", child(SPI, [(1, 20, 192), (5, 0)]), NO_CHILD),
    Case("esp-null", "3.3.6", child(SPI, [(1, 11), (3, 12), (5, 0)]), NO_CHILD),
    Case("esp-esn-not-offered", "3.3.6", child(SPI, [(1, 20, 128), (5, 1)]), NO_CHILD),
    Case("esp-two-of-a-type", "3.3.6", child(SPI, [(1, 20, 128), *GCM_ESP]), NO_CHILD),
    Case("esp-spi-zero", "4303: 2.1", child(bytes(4), GCM_ESP), NO_CHILD),
    Case("esp-spi-reserved", "4303: 2.1", child(b"\0\0\0\xff", GCM_ESP), NO_CHILD),
    Case("esp-protocol-ah", "3.3.6", child(SPI, [(3, 12), (5, 0)], proto=2), NO_CHILD),
    Case("esp-spi-of-8", "3.3.1", child(bytes(8), GCM_ESP), FAILED, "ike.rx.sa"),
    Case("tsi-wider", "2.9", ts(ike.TSI, wire.selector("10.0.0.0/8")), NO_CHILD),
    Case("tsr-wider", "2.9", ts(wire.TSR, wire.selector("10.0.0.0/8")), NO_CHILD),
    Case("tsr-everything", "2.9", ts(wire.TSR, wire.selector("0.0.0.0/0")), NO_CHILD),
    Case("tsr-of-others", "2.9", ts(wire.TSR, wire.selector("10.77.0.0/16")), NO_CHILD),
    Case("tsr-other-family", "2.9", ts(wire.TSR, wire.selector("fd00::/16")), NO_CHILD),
    Case("tsr-type-unknown", "2.9", body(wire.TSR, patched(4, b"\x09")), NO_CHILD),
    Case("tsi-count-0", "3.13", ts(ike.TSI), FAILED, "ike.rx.ts"),
    Case("tsi-inverted-addresses", "3.13.1",
         ts(ike.TSI, wire.selector("10.2.0.9", "10.2.0.1")), FAILED, "ike.rx.ts"),
    Case("tsi-reserved", "3.13", body(ike.TSI, patched(1, b"\xff\xff\xff")), Taken()),
]


@pytest.mark.parametrize("case", **ids(
    cases.as_response(cases.general("auth", AUTH_PAYLOADS) + cases.versions() + cases.lengths())
    + cases.protected_response(FAILED, False) + AUTH_CASES))
def test_auth_response(world, case):
    cases.run(world, AUTH, case)


# ---- INFORMATIONAL response

DELETED = Ends()
INFO_CASES = [
    Case("all-omitted", "1.4", fields(inner=[]), Taken()),
    Case("delete-of-the-SA", "1.4.1", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Taken()),
    Case("delete-of-the-child", "1.4.1", lambda draft, sa: draft.inner.append(
        Payload(ike.DELETE, wire.delete(3, [sa.children[0].spi_in]))), Taken()),
    Case("fatal-notify", "2.21.2", add(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED)),
         cases.Gone(), "ike.refused.by_peer"),
    Case("invalid-syntax", "2.21.3", add(ike.NOTIFY, ike.notify(wire.INVALID_SYNTAX)),
         cases.Gone(), "ike.refused.by_peer"),
    Case("delete-cut", "3.11", add(ike.DELETE, b"\3\4\0"), DELETED, "ike.rx.delete"),
]


@pytest.mark.parametrize("case", **ids(
    cases.as_response(cases.general("info", [ike.NOTIFY, ike.VENDOR]) + cases.versions()
                + cases.lengths()) + cases.protected_response(DELETED, True) + INFO_CASES))
def test_info_response(world, case):
    cases.run(world, INFO, case)
