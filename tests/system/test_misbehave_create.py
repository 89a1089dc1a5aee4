"""S2: CREATE_CHILD_SA with a peer that does not keep to RFC 7296; first with one that does.
test_misbehave.py says how a case is written.
"""

import pytest

from lib import ike, ikepeer_cases as cases, ikepeer_wire as wire
from lib.ikepeer_cases import (UNKNOWN, Accepted, Case, Refused, add, body, fields, omit,
                               patched, repeat)
from lib.ikepeer_crypto import CBC, ECP_256, GCM
from lib.ikepeer_world import module_world  # noqa: F401 (the fixture world)


# ---- the good peer


@pytest.mark.parametrize("suite", [GCM, CBC])
def test_good_rekeys(world, suite):
    """Children replaced with and without a key exchange of their own, then the IKE SA, then
    children in the new one; packets both ways after each."""
    before = world.settled()
    sa = world.case(suite=suite).establish()
    for pfs in (False, True):
        sa.rekey_child(sa.children[0], pfs)
        world.carries(sa)
    sa = sa.rekey()
    sa.probe()
    world.carries(sa)
    sa.rekey_child(sa.children[0])
    world.carries(sa)
    sa = sa.rekey()
    sa.close()
    after = world.settled()
    assert not after.risen(before) and after.child_sas == before.child_sas
    assert not world.alive(sa)


# ---- requests: all of it is authentic, so every error is answered (2.21.3)

SYNTAX = Refused(wire.INVALID_SYNTAX, ends=True)
LIVES = Refused(wire.UNSUPPORTED_CRITICAL_PAYLOAD, False, bytes([UNKNOWN]))
NO_PROPOSAL = Refused(wire.NO_PROPOSAL_CHOSEN)
UNACCEPTABLE = Refused(wire.TS_UNACCEPTABLE)
CHILD, PFS = cases.NewChild("child"), cases.NewChild("child-pfs", pfs=True)
REPLACED, REKEY = cases.NewChild("replaced", rekeys=True), cases.Rekey()
PAYLOADS = {CHILD: [ike.SA, ike.NONCE, ike.TSI, wire.TSR],
            PFS: [ike.SA, ike.NONCE, ike.KE, ike.TSI, wire.TSR],
            REPLACED: [ike.NOTIFY, ike.SA, ike.NONCE, ike.TSI, wire.TSR],
            REKEY: [ike.SA, ike.NONCE, ike.KE]}


@pytest.mark.parametrize("step,case", [
    pytest.param(step, case, id=f"{step.name}-{case.name}")
    for step, payloads in PAYLOADS.items()
    # What does not depend on what the request asks for: with one of each kind.
    for case in (cases.general(step.name, payloads) + (
        cases.versions() + cases.lengths() + cases.protected(True, LIVES)
        if step in (REPLACED, REKEY) else []))])
def test_create_request(world, step, case):
    cases.run(world, step, case)


GCM_ESP = [(1, 20, 128), (5, 0)]
GCM_IKE = [(1, 20, 128), (2, 5), (4, 31)]
SPI, IKE_SPI = b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\xc3\xd4" * 2
INVALID_KE = Refused(wire.INVALID_KE_PAYLOAD, data=b"\0\x1f")


def offer(*proposals):
    return body(ike.SA, wire.sa(*proposals))


def rekeys(proto, spi):
    """What the REKEY_SA notify names."""
    def change(draft, _sa):
        draft.notify(wire.REKEY_SA).body = ike.notify(wire.REKEY_SA, b"", proto, spi)
    return change


def found_nothing(spi):
    """CHILD_SA_NOT_FOUND quotes the SPI of the request (section 2.25)."""
    return Refused(wire.CHILD_SA_NOT_FOUND, spi=spi)


CHILD_CASES = [
    Case("sa-omitted", "1.3.1", omit(ike.SA), SYNTAX, "ike.rx.payloads"),
    Case("nonce-omitted", "1.3.1", omit(ike.NONCE), SYNTAX, "ike.rx.payloads"),
    Case("tsi-omitted", "1.3.1", omit(ike.TSI), SYNTAX, "ike.rx.payloads"),
    Case("tsr-omitted", "1.3.1", omit(wire.TSR), SYNTAX, "ike.rx.payloads"),
    Case("all-omitted", "1.3", fields(inner=[]), SYNTAX, "ike.rx.payloads"),
    *(Case(f"{kind}-repeated", "1.3.1", repeat(kind), SYNTAX, "ike.rx.repeated")
      for kind in (ike.SA, ike.NONCE, ike.TSI, wire.TSR)),
    Case("nonce-15", "3.9", body(ike.NONCE, b"n" * 15), SYNTAX, "ike.rx.nonce"),
    Case("nonce-257", "3.9", body(ike.NONCE, b"n" * 257), SYNTAX, "ike.rx.nonce"),
    Case("esp-nothing-known", "2.7", offer((3, SPI, [(1, 3), (3, 2), (5, 0)])), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("esp-without-esn", "3.3.3", offer((3, SPI, GCM_ESP[:1])), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("esp-spi-zero", "4303: 2.1", offer((3, bytes(4), GCM_ESP)), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("esp-spi-of-8", "3.3.1", offer((3, bytes(8), GCM_ESP)), SYNTAX, "ike.rx.sa"),
    Case("protocol-ah", "3.3.3", offer((2, SPI, [(3, 12), (5, 0)])), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("tsi-of-others", "2.9", body(ike.TSI, wire.selectors(wire.selector("10.77.0.0/16"))),
         UNACCEPTABLE, "ike.refused.selectors"),
    Case("tsi-count-0", "3.13", body(ike.TSI, wire.selectors()), SYNTAX, "ike.rx.ts"),
    Case("tsi-inverted", "3.13.1", body(ike.TSI, wire.selectors(wire.selector(
        "10.128.0.9", "10.128.0.1"))), SYNTAX, "ike.rx.ts"),
    Case("delete-in-it", "1.3.1", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Accepted()),
]
PFS_CASES = [
    Case("ke-omitted", "1.3", omit(ike.KE), INVALID_KE, "ike.refused.key_exchange"),
    Case("ke-repeated", "1.3", repeat(ike.KE), SYNTAX, "ike.rx.repeated"),
    Case("ke-group-of-another", "1.3", body(ike.KE, ike.ke(ECP_256, b"\1" * 64)), INVALID_KE,
         "ike.refused.key_exchange"),
]
REPLACED_CASES = [
    Case("rekey-of-nobody", "2.25", rekeys(3, SPI), found_nothing(SPI),
         "ike.refused.child_not_found"),
    Case("rekey-spi-of-8", "1.3.3", rekeys(3, bytes(8)), SYNTAX, "ike.rx.notify"),
    Case("rekey-without-spi", "1.3.3", rekeys(3, b""), SYNTAX, "ike.rx.notify"),
]
REKEY_CASES = [
    Case("spi-zero", "3.1, 3.3.1", offer((1, bytes(8), GCM_IKE)), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("spi-omitted", "3.3.1", offer((1, b"", GCM_IKE)), NO_PROPOSAL, "ike.refused.proposal"),
    Case("spi-of-4", "3.3.1", offer((1, SPI, GCM_IKE)), SYNTAX, "ike.rx.sa"),
    Case("nothing-known", "2.7", offer((1, IKE_SPI, [(1, 3), (2, 2), (3, 2), (4, 2)])),
         NO_PROPOSAL, "ike.refused.proposal"),
    Case("key-exchange-none", "2.18", offer((1, IKE_SPI, GCM_IKE[:2] + [(4, 0)])), NO_PROPOSAL,
         "ike.refused.proposal"),
    Case("ke-group-of-another", "1.3", body(ike.KE, ike.ke(ECP_256, b"\1" * 64)), INVALID_KE,
         "ike.refused.key_exchange"),
    Case("nonce-omitted", "1.3.2", omit(ike.NONCE), SYNTAX, "ike.rx.payloads"),
    Case("nonce-reserved-critical", "3.2", cases.payload_fields(ike.NONCE, flags=0xFF),
         Accepted()),
    Case("ke-reserved", "3.4", body(ike.KE, patched(2, b"\xff\xff")), Accepted()),
]


@pytest.mark.parametrize("step,case", [
    pytest.param(step, case, id=f"{step.name}-{case.name}")
    for step, rows in ((CHILD, CHILD_CASES), (PFS, PFS_CASES), (REPLACED, REPLACED_CASES),
                       (REKEY, REKEY_CASES)) for case in rows])
def test_create_contents(world, step, case):
    cases.run(world, step, case)
