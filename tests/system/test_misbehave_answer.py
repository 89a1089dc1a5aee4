"""S2: the daemon rekeys, and the peer's answer to its CREATE_CHILD_SA request is wrong, comes at
the wrong time, or is none. test_misbehave.py says how a case is written.
"""

import os

import pytest

from lib import ike, ikepeer_cases as cases, ikepeer_crypto as crypto, ikepeer_wire as wire
from lib.ikepeer import Fresh
from lib.ikepeer_cases import (Case, Ends, Lost, NotMade, Taken, add, body, both, fields, omit,
                               patched, repeat)
from lib.ikepeer_crypto import CBC, ECP_256, GCM, X25519
from lib.ikepeer_wire import Payload
from lib.ikepeer_world import module_world  # noqa: F401 (the fixture world)


CHILD, PFS = cases.ChildAnswer("child"), cases.ChildAnswer("child-pfs", pfs=True)
REKEY = cases.RekeyAnswer()
PAYLOADS = {CHILD: [ike.SA, ike.NONCE, ike.TSI, wire.TSR],
            PFS: [ike.SA, ike.NONCE, ike.KE, ike.TSI, wire.TSR],
            REKEY: [ike.SA, ike.NONCE, ike.KE]}


# ---- the good peer


@pytest.mark.parametrize("suite", [GCM, CBC])
def test_good_answers(world, suite):
    """Children replaced with and without a key exchange of their own, then the IKE SA, then a
    child of the new one; packets both ways after each."""
    before = world.settled()
    sa = world.case(suite=suite).establish()
    for step in (CHILD, PFS, REKEY, CHILD):
        world.control.ask("rekey", peer=sa.own.name, ike=step is REKEY)
        sa.asked = sa.take_create()
        if step is not REKEY:
            sa.asked.number = sa.asked.pfs_number if step.pfs else sa.asked.plain_number
        step.took(sa, sa.send(step.good(sa)))
        step.finish(sa)
        if step is REKEY:
            sa.answer_token()
        world.carries(sa)
    sa.close()
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)


# ---- answers: what is authentic and makes no sense ends the SA (2.21)

ENDS = Ends()
PROPOSAL, KEY_EXCHANGE = "ike.refused.proposal", "ike.refused.key_exchange"


@pytest.mark.parametrize("step,case", [
    pytest.param(step, case, id=f"{step.name}-{case.name}")
    for step, rows in (
        (PFS, cases.general("child", PAYLOADS[PFS]) + cases.lengths()),
        (REKEY, cases.general("rekey", PAYLOADS[REKEY]) + cases.versions()))
    for case in (cases.as_response(rows) + (
        cases.protected_response(ENDS, True, ike.INFORMATIONAL) if step is PFS else []))])
def test_create_answer(world, step, case):
    cases.run(world, step, case)


GCM_ESP = [(1, 20, 128), (5, 0)]
GCM_IKE = [(1, 20, 128), (2, 5), (4, 31)]
SPI, IKE_SPI = b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\xc3\xd4" * 2
# The child is as if it had been made: the peer has to delete what it thinks it has.
UNFIT = NotMade("they chose", "we offered", deleted=True)
WIDE = NotMade("10.", "not within ours", deleted=True)
OTHER_KE = NotMade("key exchange method", deleted=True)


def offer(spi, transforms, number=None, proto=wire.ESP_PROTO):
    """Another choice; of the number that the daemon's offer has, unless told otherwise."""
    def change(draft, sa):
        draft.find(ike.SA).body = wire.sa((proto, spi, transforms,
                                           sa.asked.number if number is None else number))
    return change


def spi_of(spi):
    """The same choice with another SPI, which is ours from then on."""
    def change(draft, sa):
        sa.fresh.spi = spi(sa) if callable(spi) else spi
        draft.find(ike.SA).body = sa.create_response(sa.asked, sa.fresh).find(ike.SA).body
    return change


def nonce_of(nonce):
    def change(draft, sa):
        sa.fresh.nonce = draft.find(ike.NONCE).body = nonce(sa) if callable(nonce) else nonce
    return change


def only(*notifies):
    """Instead of the answer: notifies alone, each (type, data, protocol, SPI)."""
    def change(draft, sa):
        draft.inner = [Payload(ike.NOTIFY, ike.notify(*(
            item(sa) if callable(item) else item for item in notify))) for notify in notifies]
    return change


def ts(kind, *items):
    return body(kind, wire.selectors(*items))


SAME = [
    Case("sa-omitted", "1.3.1, 2.21", omit(ike.SA), ENDS, "ike.rx.payloads"),
    Case("nonce-omitted", "1.3.1, 2.21", omit(ike.NONCE), ENDS, "ike.rx.payloads"),
    Case("all-omitted", "1.3, 2.21", fields(inner=[]), ENDS, "ike.rx.payloads"),
    Case("only-status", "1.3, 2.21", only((49999,)), ENDS, "ike.rx.payloads"),
    Case("sa-repeated", "1.3.1, 2.21", repeat(ike.SA), ENDS, "ike.rx.repeated"),
    Case("nonce-repeated", "1.3.1, 2.21", repeat(ike.NONCE), ENDS, "ike.rx.repeated"),
    Case("nonce-15", "3.9", body(ike.NONCE, b"n" * 15), ENDS, "ike.rx.nonce"),
    Case("nonce-16", "3.9", nonce_of(os.urandom(16)), Taken()),
    Case("nonce-256", "3.9", nonce_of(os.urandom(256)), Taken()),
    Case("nonce-257", "3.9", body(ike.NONCE, b"n" * 257), ENDS, "ike.rx.nonce"),
    Case("nonce-empty", "3.9", body(ike.NONCE, b""), ENDS, "ike.rx.nonce"),
    Case("nonce-of-the-request", "2.10", nonce_of(lambda sa: sa.asked.nonce), Taken()),
    Case("sa-number-0", "3.3.1", offer(SPI, GCM_ESP, 0), ENDS, "ike.rx.sa"),
    Case("sa-empty", "3.3", body(ike.SA, b""), ENDS, "ike.rx.sa"),
    Case("delete-in-it", "1.3", add(ike.DELETE, wire.delete(wire.IKE_PROTO)), Taken()),
    Case("rekey-notify-in-it", "1.3.3", add(ike.NOTIFY, ike.notify(wire.REKEY_SA, b"", 3, SPI)),
         Taken()),
    Case("identity-in-it", "1.3", add(ike.IDI, wire.ident("somebody")), Taken()),
    *(Case(f"only-error-{kind}", "1.3, 2.21.3", only((kind,)), NotMade(word),
           "ike.refused.by_peer") for kind, word in
      ((wire.INVALID_MESSAGE_ID, "INVALID_MESSAGE_ID"),
       (wire.NO_PROPOSAL_CHOSEN, "we offered"),
       (34, "SINGLE_PAIR_REQUIRED"), (wire.NO_ADDITIONAL_SAS, "NO_ADDITIONAL_SAS"),
       (36, "INTERNAL_ADDRESS_FAILURE"), (37, "FAILED_CP_REQUIRED"), (39, "INVALID_SELECTORS"),
       (8191, "8191"), (16383, "16383"))),
    Case("unknown-critical-of-ours", "2.5", only((wire.UNSUPPORTED_CRITICAL_PAYLOAD, b"\x21")),
         NotMade("UNSUPPORTED_CRITICAL_PAYLOAD"), "ike.refused.by_peer"),
    Case("two-errors", "1.3", only((wire.NO_PROPOSAL_CHOSEN,), (8191,)),
         NotMade("NO_PROPOSAL_CHOSEN"), "ike.refused.by_peer"),
    Case("error-beside-a-good-answer", "3.10.1", add(ike.NOTIFY, ike.notify(8191)),
         NotMade("8191"), "ike.refused.by_peer"),
    Case("only-temporary-failure", "2.25", only((wire.TEMPORARY_FAILURE,)), NotMade(),
         "ike.refused.by_peer_temporary"),
    *(Case(f"only-{name}", "2.21.2, 2.21.3", only((kind,)), cases.Gone(), "ike.refused.by_peer")
      for name, kind in (("invalid-syntax", wire.INVALID_SYNTAX),
                         ("authentication-failed", wire.AUTHENTICATION_FAILED))),
    Case("invalid-ke-without-group", "1.3", only((wire.INVALID_KE_PAYLOAD,)), ENDS,
         "ike.rx.notify"),
    Case("invalid-ke-of-3-octets", "1.3", only((wire.INVALID_KE_PAYLOAD, b"\0\0\x13")), ENDS,
         "ike.rx.notify"),
    *(Case(f"invalid-ke-of-{group}", "1.3", only((wire.INVALID_KE_PAYLOAD, bytes([0, group]))),
           NotMade("INVALID_KE_PAYLOAD"), "ike.refused.by_peer") for group in (0, 2, 31, 63)),
]
CHILD_CASES = [
    Case("tsi-omitted", "1.3.1", omit(ike.TSI), NotMade("not within ours", deleted=True),
         "ike.refused.selectors"),
    Case("tsr-omitted", "1.3.1", omit(wire.TSR), NotMade("not within ours", deleted=True),
         "ike.refused.selectors"),
    Case("tsi-repeated", "1.3.1", repeat(ike.TSI), ENDS, "ike.rx.repeated"),
    Case("tsr-repeated", "1.3.1", repeat(wire.TSR), ENDS, "ike.rx.repeated"),
    Case("tsi-wider", "2.9", ts(ike.TSI, wire.selector("10.0.0.0/8")), WIDE,
         "ike.refused.selectors"),
    Case("tsr-wider", "2.9", ts(wire.TSR, wire.selector("10.0.0.0/8")), WIDE,
         "ike.refused.selectors"),
    Case("tsr-everything", "2.9", ts(wire.TSR, wire.selector("0.0.0.0/0")),
         NotMade("0.0.0.0/0", deleted=True), "ike.refused.selectors"),
    Case("tsr-of-others", "2.9", ts(wire.TSR, wire.selector("10.77.0.0/16")), WIDE,
         "ike.refused.selectors"),
    Case("tsr-one-more", "2.9", lambda draft, sa: _one_more(draft), WIDE,
         "ike.refused.selectors"),
    Case("tsr-other-family", "2.9", ts(wire.TSR, wire.selector("fd00::/16")),
         NotMade("fd00::/16", deleted=True), "ike.refused.selectors"),
    Case("tsr-type-unknown", "2.9", body(wire.TSR, patched(4, b"\x09")),
         NotMade("not within ours", deleted=True), "ike.refused.selectors"),
    Case("tsi-count-0", "3.13", ts(ike.TSI), ENDS, "ike.rx.ts"),
    Case("tsr-count-0", "3.13", ts(wire.TSR), ENDS, "ike.rx.ts"),
    Case("tsi-inverted", "3.13.1", ts(ike.TSI, wire.selector("10.2.0.9", "10.2.0.1")), ENDS,
         "ike.rx.ts"),
    Case("number-not-offered", "3.3.1", offer(SPI, GCM_ESP, 9), UNFIT, PROPOSAL),
    Case("transform-not-offered", "3.3.6", offer(SPI, [(1, 20, 192), (5, 0)]), UNFIT, PROPOSAL),
    Case("null-encryption", "3.3.6", offer(SPI, [(1, 11), (3, 12), (5, 0)]), UNFIT, PROPOSAL),
    Case("esn-not-offered", "3.3.6", offer(SPI, [(1, 20, 128), (5, 1)]), UNFIT, PROPOSAL),
    Case("esn-omitted", "3.3.6", offer(SPI, GCM_ESP[:1]), UNFIT, PROPOSAL),
    Case("key-length-omitted", "3.3.6", offer(SPI, [(1, 20), (5, 0)]), UNFIT, PROPOSAL),
    Case("two-of-a-type", "3.3.6", offer(SPI, [(1, 20, 128), *GCM_ESP]), UNFIT, PROPOSAL),
    Case("two-proposals", "3.3.6", body(ike.SA, wire.sa((3, SPI, GCM_ESP), (3, SPI, GCM_ESP))),
         UNFIT, PROPOSAL),
    Case("type-not-offered", "3.3.6", offer(SPI, GCM_ESP + [(77, 1)]), UNFIT, PROPOSAL),
    Case("protocol-ah", "3.3.6", offer(SPI, [(3, 12), (5, 0)], proto=2), UNFIT, PROPOSAL),
    Case("protocol-ike", "3.3.6", offer(IKE_SPI, GCM_IKE, proto=1), UNFIT, PROPOSAL),
    Case("spi-zero", "4303: 2.1", spi_of(bytes(4)), NotMade("SPI", deleted=True), PROPOSAL),
    Case("spi-reserved", "4303: 2.1", spi_of(b"\0\0\0\xff"), NotMade("SPI", deleted=True),
         PROPOSAL),
    Case("spi-of-the-old-one", "1.3.3", spi_of(lambda sa: sa.asked.rekeys.spi_in), Taken()),
    Case("spi-of-the-daemon", "1.3.3", spi_of(lambda sa: sa.asked.spi), Taken()),
    Case("spi-of-8", "3.3.1", offer(bytes(8), GCM_ESP), ENDS, "ike.rx.sa"),
    Case("spi-omitted", "3.3.1", offer(b"", GCM_ESP), ENDS, "ike.rx.sa"),
    Case("not-found", "2.25", only((wire.CHILD_SA_NOT_FOUND, b"", 3,
                                    lambda sa: sa.asked.rekeys.spi_out)), Lost(),
         "ike.refused.by_peer_child_not_found"),
    Case("not-found-of-another", "2.25", only((wire.CHILD_SA_NOT_FOUND, b"", 3, SPI)), Lost(),
         "ike.refused.by_peer_child_not_found"),
    Case("not-found-of-nothing", "2.25", only((wire.CHILD_SA_NOT_FOUND,)), ENDS,
         "ike.rx.notify"),
    Case("ts-unacceptable", "2.9", only((wire.TS_UNACCEPTABLE,)), NotMade("we asked for"),
         "ike.refused.by_peer"),
]
PFS_CASES = [
    Case("ke-omitted", "1.3.1", omit(ike.KE), OTHER_KE, KEY_EXCHANGE),
    Case("ke-repeated", "1.3.1", repeat(ike.KE), ENDS, "ike.rx.repeated"),
    Case("ke-of-another-group", "3.4", body(ike.KE, ike.ke(ECP_256, b"\1" * 64)), OTHER_KE,
         KEY_EXCHANGE),
    Case("ke-one-octet-short", "3.4", body(ike.KE, lambda old: old[:-1]), OTHER_KE, KEY_EXCHANGE),
    Case("ke-one-octet-long", "3.4", body(ike.KE, lambda old: old + b"\0"), OTHER_KE, KEY_EXCHANGE),
    Case("ke-7-KiB", "3.4", body(ike.KE, ike.ke(X25519, bytes(7000))), OTHER_KE, KEY_EXCHANGE),
    Case("ke-empty", "3.4", body(ike.KE, ike.ke(X25519, b"")), ENDS, "ike.rx.ke"),
    Case("ke-zero", "8031: 2.1", body(ike.KE, ike.ke(X25519, bytes(32))),
         NotMade("zero", deleted=True), KEY_EXCHANGE),
    Case("ke-reserved", "3.4", body(ike.KE, patched(2, b"\xff\xff")), Taken()),
    Case("choice-without-ke-transform", "1.3.1, 3.3.6", offer(SPI, GCM_ESP), UNFIT, PROPOSAL),
]
REKEY_CASES = [
    Case("ke-omitted", "1.3.2", omit(ike.KE), ENDS, KEY_EXCHANGE),
    Case("ke-repeated", "1.3.2", repeat(ike.KE), ENDS, "ike.rx.repeated"),
    Case("ke-of-another-group", "3.4", body(ike.KE, ike.ke(ECP_256, b"\1" * 64)), ENDS,
         KEY_EXCHANGE),
    Case("ke-one-octet-short", "3.4", body(ike.KE, lambda old: old[:-1]), ENDS, KEY_EXCHANGE),
    Case("ke-one-octet-long", "3.4", body(ike.KE, lambda old: old + b"\0"), ENDS, KEY_EXCHANGE),
    Case("ke-empty", "3.4", body(ike.KE, ike.ke(X25519, b"")), ENDS, "ike.rx.ke"),
    Case("ke-zero", "8031: 2.1", body(ike.KE, ike.ke(X25519, bytes(32))), ENDS,
         KEY_EXCHANGE),
    Case("spi-zero", "3.1, 3.3.1", spi_of(bytes(8)), ENDS, PROPOSAL),
    Case("spi-omitted", "3.3.1", offer(b"", GCM_IKE, proto=1), ENDS, PROPOSAL),
    Case("spi-of-4", "3.3.1", offer(SPI, GCM_IKE, proto=1), ENDS, "ike.rx.sa"),
    Case("spi-of-the-old-one", "1.3.2", spi_of(lambda sa: sa.spi_i), Taken()),
    Case("spi-of-the-daemon", "1.3.2", spi_of(lambda sa: sa.asked.spi), Taken()),
    Case("number-not-offered", "3.3.1", offer(IKE_SPI, GCM_IKE, 9, 1), ENDS, PROPOSAL),
    Case("transform-not-offered", "3.3.6", offer(IKE_SPI, [(1, 20, 192), *GCM_IKE[1:]], proto=1),
         ENDS, PROPOSAL),
    Case("without-prf", "3.3.6", offer(IKE_SPI, [GCM_IKE[0], GCM_IKE[2]], proto=1), ENDS,
         PROPOSAL),
    Case("without-key-exchange", "2.18", offer(IKE_SPI, GCM_IKE[:2], proto=1), ENDS, PROPOSAL),
    Case("key-exchange-none", "2.18", offer(IKE_SPI, GCM_IKE[:2] + [(4, 0)], proto=1), ENDS,
         PROPOSAL),
    Case("protocol-esp", "3.3.1", offer(SPI, GCM_ESP), ENDS, PROPOSAL),
    Case("not-found", "2.25", only((wire.CHILD_SA_NOT_FOUND, b"", 3, SPI)),
         NotMade("CHILD_SA_NOT_FOUND"), "ike.refused.by_peer"),
    Case("ts-unacceptable", "1.3.2", only((wire.TS_UNACCEPTABLE,)), NotMade("TS_UNACCEPTABLE"),
         "ike.refused.by_peer"),
    Case("selectors-in-it", "1.3.2", both(add(ike.TSI, wire.selectors(wire.selector("0.0.0.0/0"))),
                                          add(wire.TSR, wire.selectors(wire.selector(
                                              "0.0.0.0/0")))), Taken()),
]


def _one_more(draft):
    payload = draft.find(wire.TSR)
    payload.body = b"\2" + payload.body[1:] + wire.selector("10.77.0.0/16")


@pytest.mark.parametrize("step,case", [
    pytest.param(step, case, id=f"{step.name}-{case.name}")
    for step, rows in ((CHILD, SAME + CHILD_CASES), (PFS, PFS_CASES), (REKEY, SAME + REKEY_CASES))
    for case in rows])
def test_create_answer_contents(world, step, case):
    cases.run(world, step, case)


# ---- again and again


def rekeying(world, step):
    """An SA in which the daemon's request waits for our answer."""
    sa = step.reach(world)
    world.settled()
    world.peer.forget()
    return sa


@pytest.mark.parametrize("step", PAYLOADS, ids=lambda step: step.name)
def test_answer_twice(world, step):
    """Sections 2.1, 2.2: one answer counts; the same once more, or another one, does nothing."""
    sa = rekeying(world, step)
    before = world.settled()
    draft = step.good(sa)
    data = sa.send(draft)
    for again in (data, data, draft.encode()):
        sa.send(again)
    draft.inner = [Payload(ike.NOTIFY, ike.notify(wire.NO_PROPOSAL_CHOSEN))]
    sa.send(draft)
    step.took(sa, data)
    step.finish(sa)
    world.carries(sa)
    after = world.settled()
    risen = after.risen(before)
    assert sum(risen.values()) == 4 and set(risen) <= {"ike.rx.stray_response", "ike.rx.busy"}
    after.check_sas(before)
    sa.close()
    world.check_standing()


REFUSALS = [wire.TEMPORARY_FAILURE, wire.NO_PROPOSAL_CHOSEN, wire.NO_ADDITIONAL_SAS, 8191]


def test_refused_is_asked_again(world):
    """Section 2.25: not at once, but after a pause, by another request; then it is granted. All of
    them at the same time, since each waits for two seconds."""
    waiting = []
    for step in (CHILD, REKEY):
        for kind in REFUSALS:
            sa = rekeying(world, step)
            sa.reply(sa.protected(ike.CREATE_CHILD, [Payload(ike.NOTIFY, ike.notify(kind))],
                                  response=True))
            waiting.append((step, sa))
    before = world.settled()
    for step, sa in waiting:
        first, sa.asked = sa.asked, sa.take_create()
        assert sa.asked.nonce != first.nonce and sa.asked.rekeys is first.rekeys
        if step is CHILD:
            sa.asked.number = sa.asked.plain_number
        step.took(sa, sa.send(step.good(sa)))
        step.finish(sa)
        world.carries(sa)
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)
    for _, sa in waiting:
        sa.close()
    world.check_standing()


def invalid_ke(sa, group):
    sa.reply(sa.protected(ike.CREATE_CHILD, [Payload(ike.NOTIFY, ike.notify(
        wire.INVALID_KE_PAYLOAD, bytes([0, group])))], response=True))


def test_another_group_is_followed(world):
    """Section 1.3: to a group that was offered, with another nonce, since it is another request."""
    sa = rekeying(world, REKEY)
    before, first = world.settled(), sa.asked
    invalid_ke(sa, ECP_256)
    sa.asked = sa.take_create(ECP_256)
    assert sa.asked.ke_method == ECP_256 and sa.asked.nonce != first.nonce
    assert sa.asked.spi == first.spi and len(sa.asked.ke) == 64
    sa.pair = crypto.KeyPair(ECP_256)
    REKEY.took(sa, sa.send(REKEY.good(sa)))
    REKEY.finish(sa)
    world.carries(sa)
    assert world.settled().risen(before) == {"ike.other_group": 1}
    sa.close()
    world.check_standing()


def test_groups_without_end(world):
    """Section 1.3: to and fro between two groups is not followed."""
    sa = rekeying(world, REKEY)
    before = world.settled()
    invalid_ke(sa, ECP_256)
    sa.take_create(ECP_256)
    invalid_ke(sa, X25519)
    risen = world.settled().risen(before)
    assert risen == {"ike.other_group": 1, "ike.refused.by_peer": 1}
    world.peer.pump()
    assert not world.peer.ike, "a third request"
    cases.goes_on(world, sa)
    world.check_standing()


# ---- at the same time (2.8.1, 2.8.2, 2.25)


def colliding(world, step):
    """The daemon's request waits for our answer, which will be without a key exchange for a child.
    """
    sa = rekeying(world, step)
    if step is not REKEY:
        sa.asked.number = sa.asked.plain_number
    return sa


def own_rekey(sa, nonce=None):
    fresh = Fresh()
    fresh.nonce = nonce or fresh.nonce
    return sa.got_child_response(sa.ask(sa.child_request(fresh, sa.children[0])), fresh)


def own_ike_rekey(sa, nonce=None):
    fresh = Fresh(ike_sa=True)
    fresh.nonce = nonce or fresh.nonce
    return sa.got_rekey_response(sa.ask(sa.rekey_request(fresh)), fresh)


def answered(sa, nonce=None):
    fresh = Fresh(ike_sa=sa.asked.ike_sa)
    fresh.nonce = nonce or fresh.nonce
    sa.reply(sa.create_response(sa.asked, fresh))
    return sa.sent_create_response(sa.asked, fresh)


LOWEST = bytes(32)


@pytest.mark.parametrize("lowest", ["ours", "theirs"])
def test_own_rekey_of_the_child_before_the_answer(world, lowest):
    """Section 2.8.1: of two in the place of one, who made the one with the lowest nonce deletes
    it, and the other end the old one."""
    sa = colliding(world, CHILD)
    before, old = world.settled(), sa.children[0]
    ours = own_rekey(sa, LOWEST if lowest == "ours" else None)
    made = answered(sa, LOWEST if lowest == "theirs" else None)
    if lowest == "ours":
        sa.answer_child_delete(old)
        sa.delete_child(ours)
    else:
        sa.answer_child_delete(made)
        sa.delete_child(old)
    assert sa.children == [made if lowest == "ours" else ours]
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)
    cases.goes_on(world, sa)
    world.check_standing()


@pytest.mark.parametrize("lowest", ["ours", "theirs"])
def test_everything_is_deleted_after_a_collision(world, lowest):
    """Section 2.8.1 has one of them stay; when the peer deletes them all, another child can be
    made."""
    sa = colliding(world, CHILD)
    before = world.settled()
    own_rekey(sa, LOWEST if lowest == "ours" else None)
    answered(sa, LOWEST if lowest == "theirs" else None)
    request = sa.wait_request(ike.INFORMATIONAL)
    assert len(request.body(ike.DELETE)) == 8
    sa.reply(sa.protected(ike.INFORMATIONAL, [], response=True))
    sa.ask(sa.info(Payload(ike.DELETE, wire.delete(3, [child.spi_in for child in sa.children]))))
    assert world.settled().child_sas == before.child_sas - 1
    sa.children.clear()
    fresh = Fresh()
    sa.got_child_response(sa.ask(sa.child_request(fresh)), fresh)
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)
    cases.goes_on(world, sa)
    world.check_standing()


@pytest.mark.parametrize("lowest", ["ours", "theirs"])
def test_own_rekey_of_the_ike_sa_before_the_answer(world, lowest):
    """Section 2.8.2: as with children."""
    sa = colliding(world, REKEY)
    before = world.settled()
    ours = own_ike_rekey(sa, LOWEST if lowest == "ours" else None)
    children = ours.children
    made = answered(sa, LOWEST if lowest == "theirs" else None)
    if lowest == "ours":
        sa.answer_delete()
        ours.close()
        stays = made
    else:
        made.answer_delete()
        sa.close()
        stays = ours
    stays.children = children
    for child in children:
        child.sa = stays
    after = world.settled()
    assert not after.risen(before)
    assert after.child_sas == before.child_sas and not world.alive(sa)
    cases.goes_on(world, stays)
    world.check_standing()


@pytest.mark.parametrize("kind", [wire.TEMPORARY_FAILURE, wire.NO_ADDITIONAL_SAS,
                                  wire.CHILD_SA_NOT_FOUND])
def test_own_rekey_of_the_child_and_none_of_theirs(world, kind):
    """Section 2.25.1: what the daemon wanted is done, so it does not ask again."""
    sa = colliding(world, CHILD)
    before, old = world.settled(), sa.children[0]
    ours = own_rekey(sa)
    spi = (wire.ESP_PROTO, old.spi_out) if kind == wire.CHILD_SA_NOT_FOUND else ()
    sa.reply(sa.protected(ike.CREATE_CHILD, [Payload(ike.NOTIFY, ike.notify(kind, b"", *spi))],
                          response=True))
    sa.delete_child(old)
    assert sa.children == [ours]
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)
    cases.goes_on(world, sa)
    world.check_standing()


def test_own_rekey_of_the_ike_sa_and_none_of_theirs(world):
    """Section 2.25.2."""
    sa = colliding(world, REKEY)
    before = world.settled()
    ours = own_ike_rekey(sa)
    sa.reply(sa.protected(ike.CREATE_CHILD, [Payload(ike.NOTIFY, ike.notify(
        wire.TEMPORARY_FAILURE))], response=True))
    sa.close()
    after = world.settled()
    assert not after.risen(before)
    assert after.child_sas == before.child_sas and not world.alive(sa)
    cases.goes_on(world, ours)
    world.check_standing()


def refused_for_now(world, sa, request, step):
    """The daemon has TEMPORARY_FAILURE for that request, and finishes what it is doing."""
    before = world.settled()
    refused = sa.ask(request)
    assert refused.types() == [ike.NOTIFY] and refused.errors() == [wire.TEMPORARY_FAILURE]
    assert world.settled().risen(before) == {"ike.refused.temporary": 1}
    step.took(sa, sa.send(step.good(sa)))
    step.finish(sa)
    cases.goes_on(world, sa)
    world.check_standing()


def test_ike_rekey_while_it_rekeys_a_child(world):
    """Section 2.25.2: TEMPORARY_FAILURE; the daemon's own exchange goes on."""
    sa = rekeying(world, CHILD)
    refused_for_now(world, sa, sa.rekey_request(Fresh(ike_sa=True)), CHILD)


@pytest.mark.parametrize("rekeys", [True, False], ids=["replaced", "further"])
def test_child_while_it_rekeys_the_ike_sa(world, rekeys):
    """Section 2.25.2: TEMPORARY_FAILURE, and the new IKE SA has the child as it was."""
    sa = rekeying(world, REKEY)
    refused_for_now(world, sa, sa.child_request(Fresh(), sa.children[0] if rekeys else None), REKEY)


@pytest.mark.parametrize("made", [True, False], ids=["made", "not-found"])
def test_child_deleted_before_the_answer(world, made):
    """Section 2.25.1: the Delete is answered as usual; the answer to the rekey still counts."""
    sa = colliding(world, CHILD)
    before, old = world.settled(), sa.children[0]
    sa.delete_child(old)
    if made:
        answered(sa)
    else:
        sa.reply(sa.protected(ike.CREATE_CHILD, [Payload(ike.NOTIFY, ike.notify(
            wire.CHILD_SA_NOT_FOUND, b"", wire.ESP_PROTO, old.spi_out))], response=True))
        assert world.settled().child_sas == before.child_sas - 1
        fresh = Fresh()
        sa.got_child_response(sa.ask(sa.child_request(fresh)), fresh)
    world.carries(sa)
    after = world.settled()
    assert after.risen(before) == ({} if made else {"ike.refused.by_peer_child_not_found": 1})
    after.check_sas(before)
    cases.goes_on(world, sa)
    world.check_standing()


@pytest.mark.parametrize("step", PAYLOADS, ids=lambda step: step.name)
def test_sa_deleted_before_the_answer(world, step):
    """Sections 1.4.1, 2.25.2: the SA is gone, and the answer is nobody's."""
    sa = rekeying(world, step)
    before = world.settled()
    sa.close()
    sa.send(step.good(sa))
    after = world.settled()
    assert after.risen(before) == {"ike.rx.unknown_spi": 1} and not world.alive(sa)
    assert after.child_sas == before.child_sas - 1
    world.peer.pump()
    assert not world.peer.ike, "an answer to an answer (section 2.21.4)"
    world.check_standing()


DELETE_ANSWERS = {
    "empty": lambda sa: [],
    "spi-of-nobody": lambda sa: [Payload(ike.DELETE, wire.delete(3, [SPI]))],
    "spi-of-the-new-child": lambda sa: [Payload(ike.DELETE,
                                                wire.delete(3, [sa.children[-1].spi_in]))],
    "the-ike-sa": lambda sa: [Payload(ike.DELETE, wire.delete(wire.IKE_PROTO))],
    "error": lambda sa: [Payload(ike.NOTIFY, ike.notify(wire.CHILD_SA_NOT_FOUND, b"", 3, SPI))],
    "unknown-error": lambda sa: [Payload(ike.NOTIFY, ike.notify(8191))],
}


@pytest.mark.parametrize("name", DELETE_ANSWERS)
def test_delete_of_the_old_child_is_answered_wrongly(world, name):
    """Section 1.4.1: the old child is gone whatever the answer names, and nothing else is."""
    sa = rekeying(world, CHILD)
    before = world.settled()
    CHILD.took(sa, sa.send(CHILD.good(sa)))
    sa.wait_request(ike.INFORMATIONAL)
    sa.reply(sa.protected(ike.INFORMATIONAL, DELETE_ANSWERS[name](sa), response=True))
    sa.children.remove(sa.asked.rekeys)
    world.carries(sa)
    after = world.settled()
    assert not after.risen(before)
    after.check_sas(before)
    cases.goes_on(world, sa)
    world.check_standing()
