"""S2: IKE messages in fragments (RFC 7383) that do not keep to it, in requests and in responses.
test_misbehave.py says how a case is written; sections without a number before them are RFC 7383's.
"""

import os

import pytest

from lib import ike, ikepeer_cases as cases, ikepeer_wire as wire
from lib.ikepeer_cases import (UNKNOWN, Accepted, Case, Ends, Ignored, Refused, Silent, Taken, ids)
from lib.ikepeer_wire import Payload
from lib.ikepeer_world import module_world  # noqa: F401 (the fixture world)


AUTH, INFO = cases.InFragments(cases.Auth()), cases.InFragments(cases.Info())
AUTH_RESPONSE = cases.InFragments(cases.AuthResponse())
CHILD_ANSWER = cases.InFragments(cases.ChildAnswer("child-answer"))


# ---- the good peer


@pytest.mark.parametrize("total", [1, 2, 7, 64])
@pytest.mark.parametrize("step", [AUTH, INFO, AUTH_RESPONSE, CHILD_ANSWER],
                         ids=lambda step: step.name)
def test_good_fragments(world, step, total):
    """Sections 2.3, 2.5: both have said that they take them; then any number up to 64 will do."""
    before = world.settled()
    sa = step.reach(world)
    draft = wire.Fragments(step.step.good(sa), total)
    sa.send(draft)
    if isinstance(step.step, cases.Response):
        step.took(sa, None)
    else:
        step.took(sa, None, sa.answer_to(draft))
    step.finish(sa)
    world.carries(sa)
    after = world.settled()
    assert not after.risen(before)
    assert after.counters["ike.rx.fragments"] == before.counters["ike.rx.fragments"] + total
    sa.close()
    if not sa.initiator:
        world.hang_up(sa)


# ---- changes


def extra(number, total, at=1, **values):
    """One more fragment with other content, before that of index `at`."""
    def change(draft, _sa):
        part = draft.part(number, total, os.urandom(50))
        for name, value in values.items():
            setattr(part, name, value)
        draft.parts.insert(at, part)
    return change


def only(number, total, size=20):
    """Nothing but one fragment."""
    def change(draft, _sa):
        draft.parts = [draft.part(number, total, os.urandom(size))]
    return change


def part(nth, **values):
    """Fields of one fragment; a callable gets what was there."""
    def change(draft, _sa):
        for name, value in values.items():
            old = getattr(draft.parts[nth], name)
            setattr(draft.parts[nth], name, value(old) if callable(value) and name != "damage"
                    else value)
    return change


def parts(function):
    """Another list of fragments: function(draft)."""
    def change(draft, _sa):
        draft.parts = function(draft)
    return change


def cut(draft, total):
    return wire.Fragments(draft.whole, total).parts


def large(size):
    """Two fragments of that many octets each."""
    return parts(lambda draft: [draft.part(number, 3, bytes(size), UNKNOWN) for number in (1, 2)])


def flip(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


NUMBER, REPEATED = "ike.rx.fragment_number", "ike.rx.fragment_repeated"
TOTAL, RESTARTED = "ike.rx.fragment_total", "ike.rx.fragment_restarted"
LIMIT = "ike.rx.fragment_limit ike.rx.limit"


def table(good, lost, bad, content):
    """`good`: the message counts all the same; `lost`: dropped, and the good one behind it counts;
    `bad`: of an authentic one that makes no sense; `content`: octets that are too many."""
    return [
        Case("number-0", "2.6", extra(0, 3), good, NUMBER),
        Case("total-0", "2.6", extra(1, 0), good, NUMBER),
        Case("both-0", "2.6", extra(0, 0), good, NUMBER),
        Case("number-above-total", "2.6", extra(4, 3), good, NUMBER),
        Case("number-65535", "2.6", extra(65535, 3), good, NUMBER),
        Case("total-65534-number-65535", "2.6", extra(65535, 65534), good, NUMBER),
        Case("number-0-first", "2.6", extra(0, 3, at=0), good, NUMBER),
        Case("total-less", "2.6", extra(2, 2), good, TOTAL),
        Case("total-1", "2.6", extra(1, 1), good, TOTAL),
        Case("set-of-less-in-between", "2.6", parts(lambda d: [
            *cut(d, 5)[:2], *cut(d, 3), *cut(d, 5)[2:]]), good, TOTAL),
        Case("set-of-more-behind", "2.6", parts(lambda d: [*cut(d, 3)[:2], *cut(d, 5)]), good,
             RESTARTED),
        Case("set-of-more-and-rest-of-less", "2.6", parts(lambda d: [
            *cut(d, 3)[:2], *cut(d, 5)[:2], *cut(d, 3), *cut(d, 5)[2:]]), good,
             f"{RESTARTED} {TOTAL}"),
        Case("growing-and-growing", "2.6", parts(lambda d: [
            piece for total in range(2, 9) for piece in cut(d, total)[:-1]] + cut(d, 9)), good,
             RESTARTED),
        Case("twice-the-same", "2.6", parts(lambda d: [d.parts[0], *d.parts]), good, REPEATED),
        Case("twice-with-other-content", "2.6", extra(1, 3), good, REPEATED),
        Case("all-but-the-last-ten-times", "2.6", parts(lambda d: d.parts[:2] * 10 + d.parts[2:]),
             good, REPEATED),
        Case("backwards", "2.6", parts(lambda d: d.parts[::-1]), good),
        Case("last-one-first", "2.6", parts(lambda d: d.parts[-1:] + d.parts[:-1]), good),
        Case("next-payload-in-others", "2.5", part(1, sk_next=ike.NOTIFY), good),
        Case("empty-one", "2.5", parts(lambda d: _with_empty(d)), good),
        Case("critical", "2.5", part(1, sk_flags=0x80), good),
        Case("reserved", "2.5", part(1, sk_flags=0x7F), good),
        Case("padding-200", "2.5", part(1, padding=os.urandom(200)), good),
        Case("clear-unknown", "2.5.3", part(0, clear=[Payload(UNKNOWN, b"?")]), good),
        Case("clear-delete-of-the-SA", "2.5.3",
             part(1, clear=[Payload(ike.DELETE, wire.delete(wire.IKE_PROTO))]), good),
        Case("whole-one-in-between", "2.6", parts(lambda d: [d.parts[0], d.whole]), good),
        *(Case(f"icv-flipped-in-{nth + 1}", "2.6", part(nth, damage=lambda data: flip(
            len(data) - 1)(data)), lost, "ike.rx.integrity") for nth in range(3)),
        Case("number-changed-behind-the-icv", "2.6", part(1, damage=flip(33)), lost,
             "ike.rx.integrity"),
        Case("total-changed-behind-the-icv", "2.6", part(0, damage=flip(34)), lost,
             "ike.rx.integrity"),
        Case("next-payload-changed-behind-the-icv", "2.6", part(0, damage=flip(28)), lost,
             "ike.rx.integrity"),
        Case("cut-in-the-numbers", "2.5", parts(lambda d: [
            _shortened(d.parts[0], 35)]), lost, "ike.rx.sk"),
        Case("cut-in-the-iv", "2.5", parts(lambda d: [_shortened(d.parts[0], 40)]), lost,
             "ike.rx.integrity"),
        Case("payload-behind", "2.5", part(1, after=Payload(ike.NONCE, bytes(32)).encode(0)), lost,
             "ike.rx.sk_last"),
        Case("two-in-a-message", "2.5", part(1, after=Payload(wire.SKF, bytes(60)).encode(0)),
             lost, "ike.rx.sk_last"),
        Case("unencrypted", "2.5", parts(lambda d: [_unencrypted(d)]), lost, "ike.rx.integrity"),
        Case("65-of-them", "5", only(1, 65), bad, LIMIT),
        Case("65535-of-them", "5", only(65535, 65535), bad, LIMIT),
        Case("too-long-together", "5", large(content), bad, LIMIT),
        Case("next-payload-0-in-the-first", "2.5", part(0, sk_next=0), bad, "ike.rx.chain"),
        Case("chain-does-not-hold", "2.6", parts(lambda d: [
            *d.parts[:-1], d.part(3, 3, b"\xff" * 60)]), bad, "ike.rx.chain"),
        Case("fragment-in-fragments", "2.5", parts(lambda d: [
            d.part(1, 2, Payload(wire.SKF, bytes(60)).encode(0), wire.SKF), d.part(2, 2)]), bad,
             "ike.rx.sk_last"),
    ]


def _with_empty(draft):
    whole = cut(draft, 2)
    one, other = whole[0].plain, whole[1].plain
    first = whole[0].sk_next
    return [draft.part(1, 3, one, first), draft.part(2, 3), draft.part(3, 3, other)]


def _shortened(piece, size):
    """The first octets, with the lengths made to fit."""
    data = piece.encode()[:size]
    return wire.Draft(piece.spi_i, piece.spi_r, piece.exchange, piece.flags, piece.msgid,
                      damage=lambda _: data[:24] + size.to_bytes(4, "big") + data[28:30]
                      + (size - 28).to_bytes(2, "big") + data[32:])


def _unencrypted(draft):
    """Numbers and plaintext as they are, where IV, ciphertext and ICV should be."""
    whole = draft.parts[0]
    return wire.Draft(whole.spi_i, whole.spi_r, whole.exchange, whole.flags, whole.msgid,
                      [Payload(wire.SKF, b"\0\1\0\3" + whole.plain)])


SYNTAX = Refused(wire.INVALID_SYNTAX, ends=True)


@pytest.mark.parametrize("step,case", [
    pytest.param(step, case, id=f"{step.name}-{case.name}") for step, rows in (
        (AUTH, table(Accepted(), Silent(), SYNTAX, 17000)),
        (INFO, table(Accepted(), Silent(), SYNTAX, 33000)),
        (AUTH_RESPONSE, table(Taken(), Ignored(), Ends(wire.AUTHENTICATION_FAILED), 33000)),
        (CHILD_ANSWER, table(Taken(), Ignored(), Ends(), 33000))) for case in rows])
def test_fragments(world, step, case):
    cases.run(world, step, case)


# ---- where nobody agreed to any


@pytest.mark.parametrize("step", [cases.Auth(), cases.Info()], ids=lambda step: step.name)
def test_fragments_nobody_agreed_to(world, step):
    """Section 2.3: without the notify in both IKE_SA_INIT messages they are not taken."""
    case = Case("one", "2.3", lambda draft, sa: None, Silent(), "ike.rx.fragment_unexpected")
    sa = step.reach(world)
    world.settled()
    draft = wire.Fragments(step.good(sa), 3)
    draft.parts = draft.parts[:1]
    case.outcome.run(world, step, sa, draft, case)
    world.check_standing()


INIT_CASES = [
    Case("beside-the-payloads", "2.4", cases.add(wire.SKF, b"\0\1\0\1" + bytes(60)), Silent(),
         "ike.rx.payloads"),
    Case("instead-of-them", "2.4", cases.fields(clear=[Payload(wire.SKF, b"\0\1\0\2" + bytes(60))]),
         Silent(), "ike.rx.payloads"),
    Case("number-0", "2.6", cases.fields(clear=[Payload(wire.SKF, b"\0\0\0\2" + bytes(60))]),
         Silent(), "ike.rx.fragment_number"),
]


@pytest.mark.parametrize("case", **ids(INIT_CASES))
def test_fragments_of_ike_sa_init(world, case):
    """Section 2.4: the first exchange is not encrypted and cannot come in them."""
    cases.run(world, cases.Init(), case)


# ---- one message and another


def test_answered_fragments_again(world):
    """Section 2.6.1: the first fragment is answered as the whole message was, octet by octet; the
    others are not."""
    sa = INFO.reach(world)
    draft = INFO.good(sa)
    data = [piece.encode() for piece in draft.parts]
    for piece in data:
        sa.send(piece)
    first = sa.answer_to(draft)
    before = world.settled()
    for piece in data:
        sa.send(piece)
    assert sa.answer_to(draft).raw == first.raw
    after = world.settled()
    assert after.risen(before) == {"ike.rx.repeated_request": 1, REPEATED: 2}
    world.peer.pump()
    assert not world.peer.ike, "a second answer"
    INFO.took(sa, None, first)
    cases.goes_on(world, sa)


def test_fragments_of_an_answered_message(world):
    """Section 2.6: what came whole is answered; fragments of the same id, old and new, are late."""
    sa = INFO.reach(world)
    draft = INFO.good(sa)
    sa.send(draft.parts[0])
    answer = sa.ask(draft.whole)
    assert answer.payloads == []
    before = world.settled()
    for piece in (draft.parts[1], draft.parts[2], draft.part(2, 9), draft.part(9, 9)):
        sa.send(piece)
    assert world.settled().risen(before) == {REPEATED: 4}
    cases.goes_on(world, sa)


def test_fragments_of_another_message_id(world):
    """Section 2.6, RFC 7296 section 2.3: only what the window takes is kept."""
    sa = INFO.reach(world)
    draft = INFO.good(sa)
    before = world.settled()
    for by in (1, 2, 1000):
        later = draft.part(1, 3, b"later")
        later.msgid += by
        sa.send(later)
    assert world.settled().risen(before) == {"ike.rx.future_request": 3}
    sa.send(draft)
    INFO.took(sa, None, sa.answer_to(draft))
    cases.goes_on(world, sa)


@pytest.mark.parametrize("nth", range(3))
def test_fragment_cut_at_every_length(world, nth):
    """Section 2.6, RFC 7296 section 3.1: dropped each time, with all lengths made to fit; the good
    one counts."""
    sa = INFO.reach(world)
    draft = INFO.good(sa)
    before = world.settled()
    sizes = range(32, len(draft.parts[nth].encode()))
    for size in sizes:
        sa.send(_shortened(draft.parts[nth], size))
        if size % 32 == 0:
            world.standing.probe()
    risen = world.settled().risen(before)
    assert sum(risen.values()) == len(sizes), risen
    assert set(risen) == {"ike.rx.sk", "ike.rx.integrity"}
    sa.send(draft)
    INFO.took(sa, None, sa.answer_to(draft))
    cases.goes_on(world, sa)


# ---- sets that nobody completes


def _rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_sets_that_stay_incomplete(world):
    """Section 5: callers who have proved nothing fill a budget that is theirs alone; the oldest
    make way, an honest caller gets in, and so does what an established peer sends."""
    before = world.settled()
    memory = _rss_kib(world.daemon.pid)
    established = INFO.reach(world)
    waiting = INFO.good(established)
    established.send(waiting.parts[0])
    # 2 MiB hold fewer than 80 of them.
    for number in range(120):
        sa = AUTH.reach(world)
        sa.send(AUTH.good(sa).part(1, 2, bytes(27000), UNKNOWN))
        if number % 8 == 7:
            world.standing.probe()
    after = world.settled()
    assert set(after.risen(before)) == {"ike.rx.fragment_evicted"}
    assert after.risen(before)["ike.rx.fragment_evicted"] >= 40
    assert _rss_kib(world.daemon.pid) < memory + 8192
    established.send(waiting.parts[1])
    established.send(waiting.parts[2])
    INFO.took(established, None, established.answer_to(waiting))
    cases.goes_on(world, established)
    case = Case("honest", "5", lambda draft, sa: None, Accepted())
    cases.run(world, AUTH, case)
