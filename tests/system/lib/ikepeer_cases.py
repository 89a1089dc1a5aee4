"""Cases of misbehaviour: what is made wrong, in which message, and what RFC 7296 has to follow.

A Step is one message of ours in the life of an SA: how to get there, what the good message is, and
how things go on after it. A Case changes the good message; its outcome says what the daemon does
then, and the case which counter says so. After every case the SA carries packets if the RFC lets
it live, the standing SA of the world does in any event, and no other counter has risen.
"""

import copy
import dataclasses
import os
import typing

from . import ike
from . import ikepeer_wire as wire
from .ikepeer import Fresh
from .ikepeer_wire import Payload
from .wait import until

UNKNOWN = 200                           # a payload type that nobody has defined


@dataclasses.dataclass
class Case:
    name: str
    rfc: str                            # the section that demands the outcome
    change: typing.Callable             # (draft, sa)
    outcome: object
    counter: str = ""                   # what rises, "" nothing


def ids(cases):
    """For pytest.mark.parametrize."""
    return {"argvalues": cases, "ids": [case.name for case in cases]}


# ---- what a step is


class Step:
    """A request of ours. The methods that differ are in the classes below."""

    name = ""
    options = {}                        # of the SA

    def reach(self, world):
        raise NotImplementedError

    def good(self, sa):
        raise NotImplementedError

    def took(self, sa, data, answer):
        """The daemon accepted `data` and answered so."""
        raise NotImplementedError

    def finish(self, sa):
        """From there to an SA with a child."""


class Init(Step):
    name = "init"

    def reach(self, world):
        return world.case(**self.options)

    def good(self, sa):
        return sa.init_request()

    def took(self, sa, data, answer):
        sa.message_1 = data
        sa.got_init_response(answer)

    def finish(self, sa):
        sa.got_auth_response(sa.ask(sa.auth_request()))


class Auth(Step):
    name = "auth"

    def reach(self, world):
        return world.case(**self.options).start()

    def good(self, sa):
        return sa.auth_request()

    def took(self, sa, data, answer):
        sa.next_send += 1
        sa.got_auth_response(answer)


class Info(Step):
    """A request that says much and wants nothing: unknown notifies, SPIs of nobody."""

    name = "info"

    def reach(self, world):
        return world.case(**self.options).establish()

    def good(self, sa):
        return sa.info(Payload(ike.NOTIFY, ike.notify(50000)),
                       Payload(ike.DELETE, wire.delete(wire.ESP_PROTO, [wire.random_spi(4)])),
                       Payload(ike.VENDOR, b"nobody's"), Payload(ike.NOTIFY, ike.notify(9999)))

    def took(self, sa, data, answer):
        sa.next_send += 1
        # What we ask of its configuration is answered by nothing (section 3.15.4).
        assert answer.encrypted and all(
            (p.type, p.body) == (wire.CP, b"\2\0\0\0") for p in answer.payloads), answer


class NewChild(Step):
    """CREATE_CHILD_SA: a further child (section 1.3.1), or another in place of the first (1.3.3),
    with a key exchange of its own or without."""

    def __init__(self, name, rekeys=False, pfs=False):
        self.name, self.rekeys, self.pfs = name, rekeys, pfs

    def reach(self, world):
        return world.case(**self.options).establish()

    def good(self, sa):
        sa.fresh = Fresh(pfs=self.pfs)
        return sa.child_request(sa.fresh, sa.children[0] if self.rekeys else None)

    def took(self, sa, data, answer):
        sa.next_send += 1
        sa.got_child_response(answer, sa.fresh)

    def finish(self, sa):
        if self.rekeys:
            sa.delete_child(sa.children[0])


class Rekey(Step):
    """CREATE_CHILD_SA: a new IKE SA (section 1.3.2)."""

    name = "rekey"

    def reach(self, world):
        return world.case(**self.options).establish()

    def good(self, sa):
        sa.fresh = Fresh(ike_sa=True)
        return sa.rekey_request(sa.fresh)

    def took(self, sa, data, answer):
        sa.next_send += 1
        sa.new = sa.got_rekey_response(answer, sa.fresh)

    def finish(self, sa):
        """Everything goes on in the new SA, under the same name for whoever looks at it."""
        sa.close()
        sa.__dict__.update(sa.new.__dict__)


class InFragments(Step):
    """Another step whose message comes in `total` fragments (RFC 7383); what is changed is a
    wire.Fragments. The whole is the same whenever it is sent."""

    def __init__(self, step, total=3):
        self.step, self.total, self.name = step, total, step.name
        step.options = {"fragments": True}

    def reach(self, world):
        return self.step.reach(world)

    def good(self, sa):
        if not hasattr(sa, "whole"):
            sa.whole = self.step.good(sa)
        return wire.Fragments(sa.whole, self.total)

    def took(self, sa, data, answer=None):
        self.step.took(sa, data, answer)

    def finish(self, sa):
        self.step.finish(sa)


# ---- outcomes


class Outcome:
    def run(self, world, step, sa, draft, case):
        raise NotImplementedError


def _up(world, step, sa):
    step.finish(sa)
    world.carries(sa)
    sa.close()


def check_risen(risen, case, times=None):
    """Only what the case names has risen, and that has."""
    wanted = set(case.counter.split())
    assert set(risen) == wanted, f"rose: {risen}, wanted: {wanted}"
    assert times is None or all(risen[name] == times for name in wanted), risen


def _had_its_effect(world, step, sa, before, case):
    """The exchange goes on to its end."""
    _up(world, step, sa)
    check_risen(world.settled().risen(before), case)


def _said_nothing(world, before, case):
    """The daemon is done with the message and has sent none; returns a look at it."""
    after = world.settled()
    world.peer.pump()
    assert not world.peer.ike, f"a message: {world.peer.ike[0][1].hex()}"
    check_risen(after.risen(before), case, 1)
    return after


@dataclasses.dataclass
class Accepted(Outcome):
    """The exchange goes on as if the message were the good one; `number` is that of the proposal
    which the answer has to choose."""

    number: int = 1

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.chosen = self.number
        data = sa.send(draft)
        step.took(sa, data, sa.answer_to(draft))
        _had_its_effect(world, step, sa, before, case)


class Silent(Outcome):
    """No answer, no change: the good message has its full effect afterwards."""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        after = _said_nothing(world, before, case)
        after.check_sas(before)
        again(world, step, sa)


def again(world, step, sa):
    """The good message, and all that follows. After much that was not authentic the daemon reads
    no more of an SA for a moment: it may take a retransmission."""
    step.took(sa, *sa.insist(step.good(sa)))
    _up(world, step, sa)


@dataclasses.dataclass
class Clear(Outcome):
    """An unprotected error notify that changes nothing, as sparingly as section 2.21.4 wants it:
    where the daemon has said enough in this second, it is asked again."""

    notify: int
    data: tuple = (b"",)                # what the notification may hold

    def run(self, world, step, sa, draft, case):
        before = world.look()
        data = draft.encode()
        answer = wire.parse(until(lambda: self._asked(world, sa, data), "the unprotected answer"))
        assert not answer.encrypted and set(answer.types()) == {ike.NOTIFY}
        notifies = answer.notifies()
        if self.notify == wire.INVALID_IKE_SPI:  # with the proof that the SA is lost (RFC 6290)
            notifies.pop(wire.QCD_TOKEN, None)
        notify, = notifies.values()
        assert notify.type == self.notify and notify.data in self.data
        assert answer.raw[:16] == data[:8] + (bytes(8) if step.name == "init" and
                                              self.notify != wire.INVALID_IKE_SPI
                                              else data[8:16])
        assert (answer.exchange, answer.msgid) == (data[18], draft.msgid)
        assert answer.response and bool(answer.flags & ike.INITIATOR) != bool(
            draft.flags & ike.INITIATOR)
        after = world.settled()
        risen = after.risen(before)
        for name in ("ike.rx.stray_limited", "ike.qcd.sent", "ike.qcd.limited"):
            risen.pop(name, None)
        check_risen(risen, case)
        after.check_sas(before)
        again(world, step, sa)

    @staticmethod
    def _asked(world, sa, data):
        """The answer, None where there will be none. One with a token comes when the signer has
        made that, which settled() does not wait for; asked again, the daemon would say it twice."""
        limited = world.look().counters["ike.rx.stray_limited"]
        sa.send(data)
        if world.settled().counters["ike.rx.stray_limited"] > limited:
            return None
        return world.peer.wait_ike(lambda head: True, "unprotected answer")[1]


@dataclasses.dataclass
class Refused(Outcome):
    """A protected error notify, alone, and no other effect; the SA ends or lives on."""

    notify: int
    ends: bool = False
    data: bytes = b""
    spi: bytes = b""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        answer = sa.answer_to(draft)
        sa.next_send += 1
        assert answer.encrypted and answer.types() == [ike.NOTIFY], answer
        notify, = answer.notifies().values()
        assert (notify.type, notify.data, notify.spi) == (self.notify, self.data, self.spi)
        after = world.settled()
        check_risen(after.risen(before), case, 1)
        if self.ends:
            assert not world.alive(sa)
            assert after.child_sas == before.child_sas - len(sa.children)
        else:
            after.check_sas(before)
            again(world, step, sa)


def run(world, step, case):
    """One case at one step."""
    sa = step.reach(world)
    world.settled()
    world.peer.forget()
    draft = step.good(sa)
    case.change(draft, sa)
    try:
        case.outcome.run(world, step, sa, draft, case)
    finally:
        if hasattr(sa, "section"):
            world.hang_up(sa)
    world.check_standing()


# ---- responses of ours: nothing is to be answered, so the daemon goes on, or gives up


class Response(Step):
    """A response of ours; reach() leaves the daemon's request behind it."""

    def took(self, sa, data, answer=None):
        raise NotImplementedError


class InitResponse(Response):
    name = "init-response"

    def reach(self, world):
        sa = world.call()
        sa.take_init_request()
        return sa

    def good(self, sa):
        return sa.init_response()

    def took(self, sa, data, answer=None):
        sa.sent_init_response(data)

    def finish(self, sa):
        sa.take_auth_request()
        sa.reply(sa.auth_response())
        sa.sent_auth_response()


class AuthResponse(Response):
    name = "auth-response"

    def reach(self, world):
        sa = world.call(**self.options).answer_init()
        sa.take_auth_request()
        return sa

    def good(self, sa):
        return sa.auth_response()

    def took(self, sa, data, answer=None):
        sa.next_recv += 1
        sa.sent_auth_response()


class InfoResponse(Response):
    """The daemon asks whether an SA still lives when another one of the same identity comes up."""

    name = "info-response"

    def reach(self, world):
        sa = world.case(**self.options).establish()
        other = world.case(sa.own.name.split(".")[0])
        other.ours = sa.ours
        other.establish()
        sa.wait_request(ike.INFORMATIONAL)
        sa.other_sa = other
        return sa

    def good(self, sa):
        return sa.protected(ike.INFORMATIONAL, [Payload(ike.NOTIFY, ike.notify(50000)),
                                                Payload(ike.VENDOR, b"nobody's")], response=True)

    def took(self, sa, data, answer=None):
        sa.next_recv += 1

    def finish(self, sa):
        sa.other_sa.close()


class ChildAnswer(Response):
    """The daemon was told to replace a child; our answer with a key exchange or without."""

    def __init__(self, name, pfs=False):
        self.name, self.pfs = name, pfs

    def reach(self, world):
        sa = world.case(**self.options).establish()
        world.control.ask("rekey", peer=sa.own.name)
        sa.asked = sa.take_create()
        assert sa.asked.rekeys is sa.children[0]
        sa.asked.number = sa.asked.pfs_number if self.pfs else sa.asked.plain_number
        return sa

    def good(self, sa):
        sa.fresh = Fresh(pfs=self.pfs)
        return sa.create_response(sa.asked, sa.fresh)

    def took(self, sa, data, answer=None):
        sa.next_recv += 1
        sa.sent_create_response(sa.asked, sa.fresh)

    def finish(self, sa):
        sa.answer_child_delete(sa.asked.rekeys)


class RekeyAnswer(Response):
    """The daemon was told to replace an IKE SA."""

    name = "rekey"

    def reach(self, world):
        sa = world.case(**self.options).establish()
        world.control.ask("rekey", peer=sa.own.name, ike=True)
        sa.asked = sa.take_create()
        assert sa.asked.ike_sa
        return sa

    def good(self, sa):
        sa.fresh = Fresh(ike_sa=True, method=sa.asked.ke_method)
        return sa.create_response(sa.asked, sa.fresh)

    def took(self, sa, data, answer=None):
        sa.next_recv += 1
        sa.new = sa.sent_create_response(sa.asked, sa.fresh)

    def finish(self, sa):
        """Everything goes on in the new SA, under the same name for whoever looks at it."""
        sa.answer_delete()
        sa.__dict__.update(sa.new.__dict__)


class Taken(Outcome):
    """The daemon goes on as after the good response."""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        step.took(sa, sa.send(draft))
        _had_its_effect(world, step, sa, before, case)


class Ignored(Outcome):
    """Dropped: the daemon waits for the good response, which has its full effect."""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        after = _said_nothing(world, before, case)
        after.check_sas(before)
        step.took(sa, sa.send(step.good(sa)))
        _up(world, step, sa)


@dataclasses.dataclass
class Ends(Outcome):
    """The daemon gives the SA up and says so in a request of its own (sections 2.21, 2.21.2): a
    Delete of the SA, or a fatal notify."""

    notify: int = 0                     # what it says beside or instead of a Delete

    def run(self, world, step, sa, draft, case):
        before = world.look()
        children = len(sa.children)
        sa.send(draft)
        sa.next_recv += 1
        request = sa.wait_request(ike.INFORMATIONAL)
        assert set(request.types()) <= {ike.NOTIFY, ike.DELETE} and request.payloads
        assert list(request.notifies()) == ([self.notify] if self.notify else [])
        assert self.notify or request.body(ike.DELETE) == wire.delete(wire.IKE_PROTO)
        sa.reply(sa.protected(ike.INFORMATIONAL, [], response=True))
        after = world.settled()
        check_risen(after.risen(before), case, 1)
        assert not world.alive(sa)
        assert after.child_sas == before.child_sas - children


class Gone(Outcome):
    """The daemon forgets the SA without a word: the peer has said that it has."""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        after = _said_nothing(world, before, case)
        assert not world.alive(sa)
        assert after.child_sas == before.child_sas - len(sa.children)


class ChildRefused(Outcome):
    """The IKE SA is up; the daemon deletes the child that the response would have made, or none
    was made (`made`)."""

    def __init__(self, made=True):
        self.made = made

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        sa.next_recv += 1
        if self.made:
            request = sa.wait_request(ike.INFORMATIONAL)
            assert request.body(ike.DELETE) == wire.delete(wire.ESP_PROTO, [sa._child_peer])
            sa.reply(sa.protected(ike.INFORMATIONAL, [], response=True))
        until(lambda: world.state(sa) == "established", "the answer to have been judged")
        sa.probe()
        after = world.settled()
        check_risen(after.risen(before), case, 1)
        assert after.child_sas == before.child_sas and world.alive(sa)
        sa.close()


def goes_on(world, sa):
    """An SA that lives has a child that carries, and another one when we ask."""
    world.carries(sa)
    sa.rekey_child(sa.children[0])
    world.carries(sa)
    sa.close()


class NotMade(Outcome):
    """What the daemon asked for in CREATE_CHILD_SA it does not get, and says why, with `words`;
    all that there was lives on. `deleted`: it tells the peer to delete the child that the answer
    has made there."""

    def __init__(self, *words, deleted=False):
        self.words, self.deleted = words, deleted

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        sa.next_recv += 1
        if self.deleted:
            request = sa.wait_request(ike.INFORMATIONAL)
            assert request.body(ike.DELETE) == wire.delete(wire.ESP_PROTO, [sa.asked.spi])
            sa.reply(sa.protected(ike.INFORMATIONAL, [], response=True))
        after = _said_nothing(world, before, case)
        after.check_sas(before)
        text = world.last_error(sa)
        assert all(word in text for word in self.words), f"{text!r} lacks some of {self.words}"
        goes_on(world, sa)


class Lost(Outcome):
    """The daemon forgets the child without a word and asks for one from scratch (section 2.25)."""

    def run(self, world, step, sa, draft, case):
        before = world.look()
        sa.send(draft)
        sa.next_recv += 1
        asked = sa.take_create()
        assert asked.rekeys is None and not asked.ike_sa
        sa.children.clear()
        fresh = Fresh()
        asked.number = asked.plain_number
        sa.reply(sa.create_response(asked, fresh))
        sa.sent_create_response(asked, fresh)
        world.carries(sa)
        after = world.settled()
        check_risen(after.risen(before), case, 1)
        after.check_sas(before)
        goes_on(world, sa)


# ---- changes


def both(*parts):
    """One change after the other."""
    def change(draft, sa):
        for part in parts:
            part(draft, sa)
    return change


def fields(**values):
    """Fields of the draft; a callable gets what was there."""
    def change(draft, _sa):
        for name, value in values.items():
            setattr(draft, name, value(getattr(draft, name)) if callable(value) else value)
    return change


def damaged(function):
    """The finished datagram."""
    def change(draft, _sa):
        draft.damage = function
    return change


def flipped(data):
    """Another SPI."""
    return data[:-1] + bytes([data[-1] ^ 1])


def omit(kind, nth=0):
    def change(draft, _sa):
        draft.where().remove(draft.find(kind, nth))
    return change


def repeat(kind, nth=0):
    """Once more, at the end."""
    def change(draft, _sa):
        draft.where().append(copy.copy(draft.find(kind, nth)))
    return change


def add(kind, body=b"", flags=0, at=None, clear=False, **fields_):
    """One more payload: at the end, at a place, or beside the Encrypted payload."""
    def change(draft, _sa):
        where = draft.clear if clear else draft.where()
        where.insert(len(where) if at is None else at, Payload(kind, body, flags, **fields_))
    return change


def body(kind, function, nth=0):
    """Another body of one payload: a value, or a function of the old one (and of the SA)."""
    def change(draft, sa):
        payload = draft.find(kind, nth)
        if not callable(function):
            payload.body = function
        elif function.__code__.co_argcount == 2:
            payload.body = function(payload.body, sa)
        else:
            payload.body = function(payload.body)
    return change


def payload_fields(kind, nth=0, **values):
    def change(draft, _sa):
        for name, value in values.items():
            setattr(draft.find(kind, nth), name, value)
    return change


def all_payloads(**values):
    def change(draft, _sa):
        for payload in draft.where():
            for name, value in values.items():
                setattr(payload, name, value)
    return change


def reverse(draft, _sa):
    draft.where().reverse()


def rotate(draft, _sa):
    where = draft.where()
    where.append(where.pop(0))


def patched(at, data):
    """Other octets at a place of a body."""
    return lambda old: old[:at] + data + old[at + len(data):]


# ---- what can be done to any message


def general(step, defined):
    """Changes that every message must bear, whatever it says. `defined` are the types of payloads
    that the good message has."""
    cases = [
        Case("minor-version-9", "2.5, 3.1", fields(version=0x29), Accepted()),
        Case("flags-reserved", "3.1", fields(flags=lambda f: f | 0xC7), Accepted()),
        Case("flag-version", "3.1", fields(flags=lambda f: f | wire.VERSION_FLAG), Accepted()),
        Case("order-reversed", "2.5", reverse, Accepted()),
        Case("order-rotated", "2.5", rotate, Accepted()),
        Case("reserved-in-every-payload", "2.5, 3.2", all_payloads(flags=0x7F), Accepted()),
        Case("critical-on-every-known-payload", "2.5, 3.2", all_payloads(flags=0x80), Accepted()),
        Case("unknown-payload-first", "2.5", add(UNKNOWN, b"?", at=0), Accepted()),
        Case("unknown-payload-last", "2.5", add(UNKNOWN, b"?"), Accepted()),
        Case("unknown-payload-empty", "2.5", add(UNKNOWN), Accepted()),
        Case("unknown-payload-of-ikev1", "3.2", add(8, b"?"), Accepted()),
        Case("unknown-status-notify", "3.10.1", add(ike.NOTIFY, ike.notify(49999, b"?")),
             Accepted()),
        Case("unknown-error-notify", "3.10.1", add(ike.NOTIFY, ike.notify(8191, b"?")),
             Accepted()),
        Case("notify-protocol-without-spi", "3.10",
             add(ike.NOTIFY, ike.notify(49999, b"?", protocol=77)), Accepted()),
        Case("vendor-60-KiB", "3.12", add(ike.VENDOR, os.urandom(60000)), Accepted())
        if step != "init" else
        Case("vendor-7-KiB", "3.12", add(ike.VENDOR, os.urandom(7000)), Accepted()),
    ]
    return [*cases, *(Case(f"critical-on-{kind}", "3.2", payload_fields(kind, flags=0x80),
                           Accepted()) for kind in dict.fromkeys(defined))]


def versions():
    return [
        Case("major-version-1", "2.5", fields(version=0x10), Silent(), "ike.rx.version"),
        Case("major-version-0", "2.5", fields(version=0x00), Silent(), "ike.rx.version"),
        Case("major-version-3", "1.5, 2.5", fields(version=0x30),
             Clear(wire.INVALID_MAJOR_VERSION, (b"", b"\x02")), "ike.rx.version"),
        Case("major-version-15", "1.5, 2.5", fields(version=0xF0),
             Clear(wire.INVALID_MAJOR_VERSION, (b"", b"\x02")), "ike.rx.version"),
    ]


def lengths():
    """The length in the header (section 3.1)."""
    def off(by):
        def change(draft, _sa):
            draft.length = len(copy.copy(draft).encode()) + by
        return change
    return [
        Case("length-one-less", "3.1", off(-1), Silent(), "ike.rx.length"),
        Case("length-one-more", "3.1", off(1), Silent(), "ike.rx.length"),
        Case("length-zero", "3.1", fields(length=0), Silent(), "ike.rx.length"),
        Case("length-27", "3.1", fields(length=27), Silent(), "ike.rx.length"),
        Case("length-of-the-header", "3.1", fields(length=28), Silent(), "ike.rx.length"),
        Case("length-4-GiB", "3.1", fields(length=0xFFFFFFFF), Silent(), "ike.rx.length"),
        Case("garbage-behind-the-length", "3.1", damaged(lambda d: d + b"garbage"), Silent(),
             "ike.rx.length"),
    ]


def protected(dies, refuse_unknown):
    """Changes of a request with an Encrypted payload. `dies`: what an authentic message that makes
    no sense leads to; `refuse_unknown`: what an unknown critical payload does."""
    def sk_in_sk(draft, _sa):
        draft.inner.append(Payload(ike.SK, os.urandom(40)))

    def pad_lies(draft, _sa):
        draft.plain = wire.chain(draft.inner)[1]
        draft.pad_length = len(draft.plain) + 1
    syntax = Refused(wire.INVALID_SYNTAX, dies)
    stray = Clear(wire.INVALID_IKE_SPI)
    return [
        Case("flag-response", "3.1", fields(flags=lambda f: f | ike.RESPONSE), Silent(),
             "ike.rx.stray_response"),
        Case("flag-initiator-changed", "2.21.4, 3.1", fields(flags=lambda f: f ^ ike.INITIATOR),
             stray, "ike.rx.unknown_spi"),
        Case("spi-of-initiator-wrong", "2.6, 3.1", fields(spi_i=flipped), Silent(),
             "ike.rx.wrong_spi"),
        Case("spi-of-responder-wrong", "2.21.4", fields(spi_r=flipped), stray,
             "ike.rx.unknown_spi"),
        Case("spi-of-initiator-zero", "3.1", fields(spi_i=bytes(8)), Silent(), "ike.rx.wrong_spi"),
        Case("spi-of-responder-zero", "2.21.4", fields(spi_r=bytes(8)), stray,
             "ike.rx.unknown_spi"),
        Case("message-id-too-low", "2.2, 2.3", fields(msgid=lambda m: m - 1), Silent(),
             "ike.rx.forged_repeat"),
        Case("message-id-too-high", "2.3", fields(msgid=lambda m: m + 1), Silent(),
             "ike.rx.future_request"),
        Case("message-id-maximal", "2.3", fields(msgid=0xFFFFFFFF), Silent(),
             "ike.rx.future_request"),
        Case("unencrypted", "1.4, 2.1", _unencrypted, Silent(), "ike.rx.unprotected"),
        Case("sk-critical", "3.2", fields(sk_flags=0x80), Accepted()),
        Case("sk-reserved", "3.2", fields(sk_flags=0x7F), Accepted()),
        Case("icv-flipped", "3.14", damaged(lambda d: d[:-1] + bytes([d[-1] ^ 1])), Silent(),
             "ike.rx.integrity"),
        Case("iv-flipped", "3.14", damaged(_flip(32)), Silent(), "ike.rx.integrity"),
        Case("payload-behind-sk", "3.14", fields(after=Payload(ike.NONCE, bytes(32)).encode(0)),
             Silent(), "ike.rx.sk_last"),
        Case("two-sk", "3.14", fields(after=Payload(ike.SK, bytes(60)).encode(0)), Silent(),
             "ike.rx.sk_last"),
        Case("sk-in-sk", "3.14", sk_in_sk, syntax, "ike.rx.sk_last"),
        Case("sk-empty", "3.14", damaged(_emptied), Silent(), "ike.rx.sk"),
        Case("sk-one-octet", "3.14", damaged(lambda d: _emptied(d, 1)), Silent(),
             "ike.rx.integrity"),
        Case("padding-1", "3.14", fields(padding=b"\x55"), Accepted()),
        Case("padding-255", "3.14", fields(padding=os.urandom(255)), Accepted()),
        Case("pad-length-beyond-the-payloads", "3.14", pad_lies, syntax, "ike.rx.sk"),
        Case("no-plaintext-at-all", "3.14", fields(plain=b"", padding=b"", sk_next=0,
                                                   pad_length=wire.NO_PAD_LENGTH), Silent(),
             "ike.rx.integrity"),
        Case("clear-unknown-payload", "2.5", add(UNKNOWN, b"?", clear=True), Accepted()),
        Case("clear-unknown-critical", "2.5", add(UNKNOWN, b"?", 0x80, clear=True),
             refuse_unknown, "ike.rx.unknown_critical"),
        Case("clear-delete-of-the-SA", "1.4, 2.1",
             add(ike.DELETE, wire.delete(wire.IKE_PROTO), clear=True), Accepted()),
        Case("clear-fatal-notify", "1.5, 2.21.4",
             add(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED), clear=True), Accepted()),
        Case("unknown-critical-first", "2.5", add(UNKNOWN, b"?", 0x80, at=0), refuse_unknown,
             "ike.rx.unknown_critical"),
        Case("unknown-critical-last", "2.5", add(UNKNOWN, b"?", 0x80), refuse_unknown,
             "ike.rx.unknown_critical"),
        *chains(syntax),
        Case("33-notifies", "2.21.3", lambda draft, sa: draft.inner.extend(
            Payload(ike.NOTIFY, ike.notify(49999)) for _ in range(33)), syntax, "ike.rx.limit"),
        Case("21-vendor-ids", "2.21.3", lambda draft, sa: draft.inner.extend(
            Payload(ike.VENDOR, b"v") for _ in range(21)), syntax, "ike.rx.limit"),
        Case("70-unknown-payloads", "2.21.3", lambda draft, sa: draft.inner.extend(
            Payload(UNKNOWN) for _ in range(70)), syntax, "ike.rx.limit"),
        Case("16000-empty-payloads", "2.21.3", lambda draft, sa: draft.inner.extend(
            Payload(UNKNOWN) for _ in range(16000)), syntax, "ike.rx.limit"),
        Case("notify-spi-beyond-the-end", "3.10", add(ike.NOTIFY, b"\x03\xff\xc3\x4f\0\0"), syntax,
             "ike.rx.notify"),
        Case("notify-ike-spi", "3.10", add(ike.NOTIFY, ike.notify(49999, b"", 1, bytes(8))),
             syntax, "ike.rx.notify"),
        Case("notify-esp-spi-of-8", "3.10", add(ike.NOTIFY, ike.notify(49999, b"", 3, bytes(8))),
             syntax, "ike.rx.notify"),
        Case("notify-cut", "3.10", add(ike.NOTIFY, b"\0\0\x40"), syntax, "ike.rx.notify"),
    ]


def as_response(rows):
    """General cases, whose outcomes are those of requests, at a step that is a response. An error
    that is beside a good answer is another case there."""
    outcome = {Accepted: Taken(), Silent: Ignored(), Clear: Ignored()}
    return [Case(row.name, row.rfc, row.change, outcome[type(row.outcome)], row.counter)
            for row in rows if row.name != "unknown-error-notify"]


def protected_response(ends, original_initiator, another=ike.CREATE_CHILD):
    """Changes of a response with an Encrypted payload. `ends`: what an authentic one that makes no
    sense leads to; `original_initiator`: whether we are; `another`: the number of an exchange that
    it does not belong to."""
    def sk_in_sk(draft, _sa):
        draft.inner.append(Payload(ike.SK, os.urandom(40)))

    def pad_lies(draft, _sa):
        draft.plain = wire.chain(draft.inner)[1]
        draft.pad_length = len(draft.plain) + 1
    ours, theirs = (("spi_i", "spi_r") if original_initiator else ("spi_r", "spi_i"))
    return [
        Case("spi-of-ours-wrong", "2.21.4", fields(**{ours: flipped}), Ignored(),
             "ike.rx.wrong_spi"),
        Case("spi-of-theirs-wrong", "2.21.4", fields(**{theirs: flipped}), Ignored(),
             "ike.rx.unknown_spi"),
        Case("flag-initiator-changed", "3.1", fields(flags=lambda f: f ^ ike.INITIATOR), Ignored(),
             "ike.rx.unknown_spi"),
        Case("flag-response-cleared", "3.1", fields(flags=lambda f: f & ~ike.RESPONSE), Ignored(),
             "ike.rx.old_request" if original_initiator else "ike.rx.future_request"),
        Case("message-id-too-low", "2.2", fields(msgid=lambda m: (m - 1) & 0xFFFFFFFF), Ignored(),
             "ike.rx.stray_response"),
        Case("message-id-too-high", "2.2", fields(msgid=lambda m: m + 1), Ignored(),
             "ike.rx.stray_response"),
        Case("exchange-of-another", "2.2", fields(exchange=another), Ignored(),
             "ike.rx.stray_response"),
        Case("exchange-unknown", "2.2", fields(exchange=200), Ignored(), "ike.rx.stray_response"),
        Case("unencrypted", "1.4, 2.1", _unencrypted, Ignored(), "ike.rx.unprotected"),
        Case("sk-critical", "3.2", fields(sk_flags=0x80), Taken()),
        Case("sk-reserved", "3.2", fields(sk_flags=0x7F), Taken()),
        Case("icv-flipped", "3.14", damaged(lambda d: d[:-1] + bytes([d[-1] ^ 1])), Ignored(),
             "ike.rx.integrity"),
        Case("iv-flipped", "3.14", damaged(_flip(32)), Ignored(), "ike.rx.integrity"),
        Case("payload-behind-sk", "3.14", fields(after=Payload(ike.NONCE, bytes(32)).encode(0)),
             Ignored(), "ike.rx.sk_last"),
        Case("two-sk", "3.14", fields(after=Payload(ike.SK, bytes(60)).encode(0)), Ignored(),
             "ike.rx.sk_last"),
        Case("sk-empty", "3.14", damaged(_emptied), Ignored(), "ike.rx.sk"),
        Case("padding-255", "3.14", fields(padding=os.urandom(255)), Taken()),
        Case("clear-unknown-payload", "2.5", add(UNKNOWN, b"?", clear=True), Taken()),
        Case("clear-fatal-notify", "1.5, 2.21.4",
             add(ike.NOTIFY, ike.notify(wire.AUTHENTICATION_FAILED), clear=True), Taken()),
        Case("clear-delete-of-the-SA", "1.4, 2.1",
             add(ike.DELETE, wire.delete(wire.IKE_PROTO), clear=True), Taken()),
        Case("sk-in-sk", "2.21, 3.14", sk_in_sk, ends, "ike.rx.sk_last"),
        Case("pad-length-beyond-the-payloads", "2.21, 3.14", pad_lies, ends, "ike.rx.sk"),
        Case("clear-unknown-critical", "2.5, 2.21", add(UNKNOWN, b"?", 0x80, clear=True), ends,
             "ike.rx.unknown_critical"),
        Case("unknown-critical", "2.5, 2.21", add(UNKNOWN, b"?", 0x80), ends,
             "ike.rx.unknown_critical"),
        *chains(ends),
        Case("33-notifies", "2.21", lambda draft, sa: draft.inner.extend(
            Payload(ike.NOTIFY, ike.notify(49999)) for _ in range(33)), ends, "ike.rx.limit"),
        Case("70-unknown-payloads", "2.21", lambda draft, sa: draft.inner.extend(
            Payload(UNKNOWN) for _ in range(70)), ends, "ike.rx.limit"),
        Case("notify-spi-beyond-the-end", "2.21, 3.10", add(ike.NOTIFY, b"\x03\xff\xc3\x4f\0\0"),
             ends, "ike.rx.notify"),
    ]


def chains(outcome, counter="ike.rx.chain"):
    """A chain of payloads that does not hold together (section 3.2)."""
    def last(**values):
        def change(draft, _sa):
            for name, value in values.items():
                setattr(draft.where()[-1], name, value)
        return change

    def grown(by):
        def change(draft, _sa):
            payload = draft.where()[-1]
            payload.length = 4 + len(payload.body) + by
        return change
    return [
        Case("payload-length-0", "3.2", last(length=0), outcome, counter),
        Case("payload-length-3", "3.2", last(length=3), outcome, counter),
        Case("payload-length-65535", "3.2", last(length=65535), outcome, counter),
        Case("payload-length-one-more", "3.2", grown(1), outcome, counter),
        Case("chain-without-end", "3.2", last(next=UNKNOWN), outcome, counter),
        Case("chain-ends-early", "3.2", lambda draft, sa: setattr(draft.where()[0], "next", 0),
             outcome, counter),
    ]


def _unencrypted(draft, _sa):
    draft.clear, draft.inner = draft.inner, None


def _flip(at):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def _emptied(data, octets=0):
    """The Encrypted payload, first in the message, without content."""
    size = 32 + octets
    return data[:24] + size.to_bytes(4, "big") + data[28:30] + (4 + octets).to_bytes(
        2, "big") + bytes(octets)
