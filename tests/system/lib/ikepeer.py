"""An IKEv2 peer for tests, written from RFC 7296 (and 3948, 5282, 7383, 7427), not from warren's
code: whatever both agree on stands in the RFCs. It plays both roles over a real UDP socket.

Every message is built as a Draft (ikepeer_wire.py) first and sent afterwards, so that a test can
make it wrong in between; what comes is parsed strictly. The peer is passive: nothing happens but
what the test says, there are no timers and no threads. ESP and the packets inside are scapy's.

    peer = Peer(ns, "192.0.2.1", "198.51.100.1")
    sa = Sa(peer, identity, psk)
    sa.establish()                      # as initiator
    sa = Sa.accept(peer, identity, psk) # as responder, when the daemon calls
    sa.children[0].ping(net.b.host4)
"""

import collections
import hashlib
import ipaddress
import os
import select
import socket
import struct
import time

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

from . import ike
from . import ikepeer_crypto as crypto
from . import ikepeer_wire as wire
from .ikepeer_wire import Draft, Payload
from .wait import DEADLINE, Timeout

MARKER = bytes(4)                       # RFC 3948 section 2.2: what tells IKE from ESP on 4500
_ICMP = {4: (8, 0), 6: (128, 129)}


class Peer:
    """The sockets of one address, and what has arrived there and was not asked for yet."""

    def __init__(self, ns, address, remote, port=500, nat_port=4500):
        self.address, self.remote = address, remote
        self.ports = (port, nat_port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socks = {}
        with ns.enter():
            for own in self.ports:
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
                sock.bind((address, own))
                self._socks[own] = sock
        self.ike, self.esp = collections.deque(), collections.deque()

    def close(self):
        for sock in self._socks.values():
            sock.close()

    def send(self, data, port=4500, to=None):
        """IKE to the daemon's port of that number, from ours."""
        own = self.ports[0 if port == 500 else 1]
        self._socks[own].sendto((MARKER if port == 4500 else b"") + data,
                                (self.remote, to or port))

    def send_esp(self, packet):
        self._socks[self.ports[1]].sendto(packet, (self.remote, 4500))

    def pump(self, seconds=0.0):
        """Sort what has arrived into `ike`, as (port, bytes), and `esp`; waits for something."""
        ready = select.select(list(self._socks.values()), [], [], seconds)[0]
        for sock in ready:
            while True:
                try:
                    data = sock.recv(65535, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                self._sort(4500 if sock is self._socks[self.ports[1]] else 500, data)
        return bool(ready)

    def _sort(self, port, data):
        if port == 500:
            self.ike.append((500, data))
        elif data[:4] == MARKER:
            self.ike.append((4500, data[4:]))
        elif data != b"\xff":           # a NAT keepalive (RFC 3948 section 2.3)
            self.esp.append(data)

    def take(self, queue, wanted, what, deadline=DEADLINE):
        """The first thing in that queue for which wanted(it) is true; others stay there."""
        end = time.monotonic() + deadline
        while True:
            for item in queue:
                if wanted(item):
                    queue.remove(item)
                    return item
            left = end - time.monotonic()
            if left <= 0:
                raise Timeout(f"no {what} from {self.remote} within {deadline:g} s; there is "
                              f"{[entry[1][:28].hex() for entry in self.ike]}")
            self.pump(left)

    def wait_ike(self, wanted, what, deadline=DEADLINE):
        """(port, bytes) of the first IKE message whose header fits."""
        return self.take(self.ike, lambda item: len(item[1]) >= 28
                         and wanted(wire.header(item[1])), what, deadline)

    def forget(self):
        """Drop what has arrived and nobody waits for, retransmissions for example."""
        self.pump()
        self.ike.clear()
        self.esp.clear()


def is_answer(draft):
    """Whether a header is that of a response to the draft: in the same SA (section 3.1), whose
    responder has no SPI yet when it is asked for the first time."""
    def fits(head):
        return (head[0] == draft.spi_i and draft.spi_r in (bytes(8), head[1])
                and head[5] & ike.RESPONSE and head[6] == draft.msgid
                and head[4] == draft.exchange)
    return fits


class Credentials:
    """How one side authenticates: `name` is an FQDN; psk, or certificate and key files."""

    def __init__(self, name, psk=None, cert=None, key=None):
        self.name, self.psk = name, psk
        self.cert = crypto.load_cert(cert) if cert else None
        self.key = crypto.load_key(key) if key else None

    def auth(self, octets):
        """Body of the AUTH payload (section 3.8): shared key 2, digital signature 14."""
        if self.key:
            return wire.auth(14, crypto.sign(self.key, octets))
        return wire.auth(2, crypto.psk_auth(self.psk, octets))

    def check(self, body, octets, certs):
        assert body[1:4] == bytes(3)
        if self.key:
            assert body[0] == 14, f"AUTH method {body[0]}"
            crypto.verify(certs[0][1:], body[4:], octets)
        else:
            assert body[0] == 2 and body[4:] == crypto.psk_auth(self.psk, octets), "AUTH"


class Sa:
    """One IKE SA, from the first message on. `ours` and `theirs` are (first, last) of the
    selectors; `initiator` says who is the original initiator."""

    def __init__(self, peer, own, other, ours, theirs, suite=crypto.GCM, esp=crypto.GCM,
                 initiator=True, port=4500, fragments=False):
        self.peer, self.own, self.other = peer, own, other
        self.ours, self.theirs = ours, theirs
        self.suite, self.esp = suite, esp
        self.initiator, self.port = initiator, port
        self.spi_i = wire.random_spi() if initiator else bytes(8)
        self.spi_r = bytes(8) if initiator else wire.random_spi()
        self.pair = crypto.KeyPair()
        self.called_as = None           # the SPI of the call that is for us, if that is known
        self.chosen = 1                 # number of the proposal that the daemon has to choose
        self.fragments = fragments      # whether we say that we take them
        self.nonce_i = self.nonce_r = b""
        if initiator:
            self.nonce_i = os.urandom(32)
        else:
            self.nonce_r = os.urandom(32)
        self.message_1 = self.message_2 = b""
        self.keys = None
        self.next_send = self.next_recv = 0
        self.child_spi = wire.random_spi(4)
        self.children = []
        self.sent = []                  # every datagram of ours, in order, as (port, bytes)

    # ---- messages

    def _flags(self, response):
        return (ike.INITIATOR if self.initiator else 0) | (ike.RESPONSE if response else 0)

    @property
    def out(self):
        return self.keys.from_i if self.initiator else self.keys.from_r

    @property
    def into(self):
        return self.keys.from_r if self.initiator else self.keys.from_i

    def protected(self, exchange, payloads, response=False, msgid=None):
        """A draft of an encrypted message, of the message id that is due."""
        if msgid is None:
            msgid = self.next_recv if response else self.next_send
        return Draft(self.spi_i, self.spi_r, exchange, self._flags(response), msgid,
                     inner=payloads, cipher=self.out)

    def clear(self, payloads, response=False):
        return Draft(self.spi_i, self.spi_r, ike.INIT, self._flags(response), 0, payloads)

    def send(self, draft):
        """A draft, the fragments of one (then there is nothing to return), or a datagram."""
        if isinstance(draft, wire.Fragments):
            for part in draft.parts:
                self.send(part)
            return None
        data = draft.encode() if isinstance(draft, Draft) else draft
        self.sent.append((self.port, data))
        self.peer.send(data, self.port)
        return data

    def open(self, data):
        return wire.parse(data, self.into)

    def insist(self, draft, every=0.2):
        """Send it again and again, as section 2.1 has it, until there is a response."""
        data = draft if isinstance(draft, wire.Fragments) else draft.encode()
        for _ in range(int(DEADLINE / every)):
            self.send(data)
            try:
                return data, self.answer_to(draft, every)
            except Timeout:
                pass
        raise Timeout(f"no answer to exchange {draft.exchange}")

    def answer_to(self, draft, deadline=DEADLINE):
        """Wait for the response, parse it."""
        return self._whole(is_answer(draft), f"answer to exchange {draft.exchange}", deadline)

    def _whole(self, fits, what, deadline):
        """The first message that fits, put together where it comes in fragments (RFC 7383 section
        2.6); the daemon sends those of one size in their order."""
        parts = []
        while True:
            port, data = self.peer.wait_ike(fits, what, deadline)
            message = wire.parse(data, self.into if self.keys else None)
            if message.fragment:
                assert self.fragments, "nobody agreed to fragments"
                parts.append(message)
                if len(parts) < message.fragment[1]:
                    continue
                message = wire.merge(parts)
            message.source = port
            return message

    def ask(self, draft):
        """A request and its response; the message id moves on."""
        self.send(draft)
        answer = self.answer_to(draft)
        self.next_send += 1
        return answer

    def wait_request(self, exchange, deadline=DEADLINE):
        """The daemon's next request in this SA."""
        def fits(head):
            return (head[:2] == (self.spi_i, self.spi_r) and head[4] == exchange
                    and not head[5] & ike.RESPONSE and head[6] == self.next_recv)
        message = self._whole(fits, f"request of exchange {exchange}", deadline)
        assert bool(message.flags & ike.INITIATOR) != self.initiator, "I flag (section 3.1)"
        return message

    def reply(self, draft):
        data = self.send(draft)
        self.next_recv += 1
        return data

    # ---- IKE_SA_INIT (section 1.2)

    def nat_detection(self, source=None, destination=None):
        """Section 2.23; no NAT, unless told so."""
        peer = self.peer
        items = ((wire.NAT_SOURCE, source or (peer.address, self.port)),
                 (wire.NAT_DESTINATION, destination or (peer.remote, self.port)))
        return [Payload(ike.NOTIFY, ike.notify(kind, self._nat_hash(*where)))
                for kind, where in items]

    def _nat_hash(self, address, port):
        return hashlib.sha1(self.spi_i + self.spi_r + ipaddress.ip_address(address).packed
                            + struct.pack("!H", port)).digest()

    def _abilities(self):
        """SHA2-256 (RFC 7427 section 4), fragments (RFC 7383 section 2.3)."""
        out = []
        if self.fragments:
            out.append(ike.notify(wire.FRAGMENTATION_SUPPORTED))
        if self.own.key:
            out.append(ike.notify(wire.SIGNATURE_HASH_ALGORITHMS, b"\0\2"))
        return [Payload(ike.NOTIFY, body) for body in out]

    def ike_proposal(self, spi=b"", number=1, method=None):
        return (wire.IKE_PROTO, spi,
                crypto.IKE_TRANSFORMS[self.suite] + [(4, method or self.pair.method)], number)

    def init_request(self):
        return self.clear([Payload(ike.SA, wire.sa(self.ike_proposal())),
                           Payload(ike.KE, ike.ke(self.pair.method, self.pair.public)),
                           Payload(ike.NONCE, self.nonce_i), *self.nat_detection(),
                           *self._abilities()])

    def init_response(self):
        """To the daemon's request, which take_init_request() has read."""
        return self.clear([Payload(ike.SA, wire.sa(self.ike_proposal(number=self.number))),
                           Payload(ike.KE, ike.ke(self.pair.method, self.pair.public)),
                           Payload(ike.NONCE, self.nonce_r), *self.nat_detection(),
                           *self._abilities()], response=True)

    def take_init_request(self, deadline=DEADLINE):
        """Wait for the daemon's call, and read it."""
        port, data = self.peer.wait_ike(
            lambda h: h[4] == ike.INIT and not h[5] & ike.RESPONSE and h[1] == bytes(8)
            and h[0] == (self.called_as or h[0]), "IKE_SA_INIT request", deadline)
        message = wire.parse(data)
        self.port, self.message_1, self.spi_i = port, data, message.spi_i
        self.nonce_i = message.body(ike.NONCE)
        assert 16 <= len(self.nonce_i) <= 256
        for number, proto, spi, offered in wire.parse_sa(message.body(ike.SA)):
            wanted = crypto.IKE_TRANSFORMS[self.suite] + [(4, self.pair.method)]
            if (proto, spi) == (1, b"") and _within(wanted, offered):
                self.number = number
                break
        else:
            raise AssertionError("nothing of what we want is offered")
        ke = message.body(ike.KE)
        assert struct.unpack("!HH", ke[:4]) == (self.pair.method, 0)
        self._shared = self.pair.shared(ke[4:])
        return message

    def derive(self):
        """Both IKE_SA_INIT messages are there."""
        self.keys = crypto.first_keys(self.suite, self._shared, self.nonce_i, self.nonce_r,
                                      self.spi_i, self.spi_r)

    def sent_init_response(self, data):
        self.message_2 = data
        self.derive()
        self.next_recv = 1

    def got_init_response(self, message):
        """The answer has to follow from our request."""
        assert message.spi_i == self.spi_i and message.spi_r != bytes(8)
        assert not message.flags & ike.INITIATOR
        self.spi_r, self.message_2 = message.spi_r, message.raw
        (number, proto, spi, chosen), = wire.parse_sa(message.body(ike.SA))
        assert (number, proto, spi) == (self.chosen, 1, b"")
        assert crypto.suite_of(chosen) == (self.suite, self.pair.method)
        self.chosen = 1
        self.nonce_r = message.body(ike.NONCE)
        assert 16 <= len(self.nonce_r) <= 256
        ke = message.body(ike.KE)
        assert struct.unpack("!HH", ke[:4]) == (self.pair.method, 0)
        self._shared = self.pair.shared(ke[4:])
        self.derive()
        self.next_send = 1
        self._float(message)

    def _float(self, message):
        """Section 2.23: with a NAT in between the initiator moves to port 4500."""
        natted = {n.type for n in message.notifies().values()
                  if n.type == wire.NAT_SOURCE
                  and n.data != self._nat_hash(self.peer.remote, self.port)
                  or n.type == wire.NAT_DESTINATION
                  and n.data != self._nat_hash(self.peer.address, self.port)}
        if natted:
            self.port = 4500

    # ---- IKE_AUTH (sections 1.2 and 2.15)

    def _octets(self, of_initiator, id_body):
        if of_initiator:
            return self.message_1 + self.nonce_r + crypto.prf(self.keys.pi, id_body)
        return self.message_2 + self.nonce_i + crypto.prf(self.keys.pr, id_body)

    def _certs(self):
        return [Payload(wire.CERT, b"\4" + self.own.cert)] if self.own.cert else []

    def esp_proposal(self, spi=None, number=1, method=None):
        return (wire.ESP_PROTO, spi or self.child_spi,
                crypto.ESP_TRANSFORMS[self.esp] + ([(4, method)] if method else []), number)

    def auth_request(self):
        body = wire.ident(self.own.name)
        return self.protected(ike.AUTH, [
            Payload(ike.IDI, body), *self._certs(), Payload(wire.IDR, wire.ident(self.other)),
            Payload(wire.AUTH, self.own.auth(self._octets(True, body))),
            Payload(ike.SA, wire.sa(self.esp_proposal())),
            Payload(ike.TSI, wire.selectors(wire.selector(*self.ours))),
            Payload(wire.TSR, wire.selectors(wire.selector(*self.theirs)))])

    def auth_response(self):
        body = wire.ident(self.own.name)
        return self.protected(ike.AUTH, [
            Payload(wire.IDR, body), *self._certs(),
            Payload(wire.AUTH, self.own.auth(self._octets(False, body))),
            Payload(ike.SA, wire.sa(self.esp_proposal(number=self.child_number))),
            Payload(ike.TSI, wire.selectors(wire.selector(*self.theirs))),
            Payload(wire.TSR, wire.selectors(wire.selector(*self.ours)))], response=True)

    def _check_auth(self, message, kind):
        body = message.body(kind)
        assert body[1:4] == bytes(3) and body[4:] == self.other.encode()
        self.own.check(message.body(wire.AUTH), self._octets(not self.initiator, body),
                       [p.body for p in message.payloads if p.type == wire.CERT])

    def take_auth_request(self, deadline=DEADLINE):
        message = self.wait_request(ike.AUTH, deadline)
        self._check_auth(message, ike.IDI)
        self.port = message.source
        self.child_number, self._child_peer = self._choose(message.body(ike.SA))
        return message

    def _choose(self, body, method=None):
        """(number, SPI) of the proposal in the daemon's offer that is ours."""
        wanted = crypto.ESP_TRANSFORMS[self.esp] + ([(4, method)] if method else [])
        for number, proto, spi, offered in wire.parse_sa(body):
            assert proto == wire.ESP_PROTO and len(spi) == 4
            if _within(wanted, offered):
                return number, spi
        raise AssertionError("nothing of what we want is offered")

    def sent_auth_response(self):
        self.children.append(Child(self, self.child_spi, self._child_peer, self.nonce_i,
                                   self.nonce_r, self.initiator))

    def got_auth_response(self, message):
        self._check_auth(message, wire.IDR)
        self.got_child(message, self.child_spi, self.nonce_i, self.nonce_r)

    def got_child(self, message, spi, nonce_i, nonce_r, shared=b"", method=0):
        """The daemon's answer to a proposal of a child of ours."""
        (number, proto, other, chosen), = wire.parse_sa(message.body(ike.SA))
        assert (number, proto, len(other)) == (self.chosen, 3, 4)
        assert crypto.suite_of(chosen) == (self.esp, method)
        for kind, wanted in ((ike.TSI, self.ours), (wire.TSR, self.theirs)):
            (_, _, _, first, last), = wire.parse_ts(message.body(kind))
            low, high = ipaddress.ip_network(wanted[0])[0], ipaddress.ip_network(wanted[0])[-1]
            assert low <= first <= last <= high, "narrowed selectors (section 2.9)"
        child = Child(self, spi, other, nonce_i, nonce_r, True, shared)
        self.children.append(child)
        return child

    # ---- whole exchanges

    def start(self):
        """IKE_SA_INIT as initiator; a cookie is returned (section 2.6)."""
        draft = self.init_request()
        plain = draft.clear
        while True:
            self.message_1 = self.send(draft)
            answer = self.answer_to(draft)
            cookie = answer.notifies().get(wire.COOKIE)
            if not cookie:
                break
            assert answer.spi_r == bytes(8) and answer.types() == [ike.NOTIFY]
            assert 1 <= len(cookie.data) <= 64
            draft.clear = [Payload(ike.NOTIFY, ike.notify(wire.COOKIE, cookie.data)), *plain]
        self.got_init_response(answer)
        return self

    def establish(self):
        self.start()
        self.got_auth_response(self.ask(self.auth_request()))
        return self

    def answer_init(self):
        """IKE_SA_INIT as responder."""
        self.take_init_request()
        self.sent_init_response(self.send(self.init_response()))
        return self

    def accept(self):
        self.answer_init()
        self.take_auth_request()
        self.reply(self.auth_response())
        self.sent_auth_response()
        return self

    def info(self, *payloads):
        return self.protected(ike.INFORMATIONAL, list(payloads))

    def probe(self):
        """Whether it lives: an empty request and its empty answer (section 1.4)."""
        answer = self.ask(self.info())
        assert answer.payloads == [], answer
        return self

    def answer_probe(self, deadline=DEADLINE):
        """The daemon asks whether we live."""
        request = self.wait_request(ike.INFORMATIONAL, deadline)
        assert request.payloads == []
        self.reply(self.protected(ike.INFORMATIONAL, [], response=True))

    def answer_token(self, deadline=DEADLINE):
        """The daemon has other SPIs: what will prove that it lost them (RFC 6290 section 4.3)."""
        request = self.wait_request(ike.INFORMATIONAL, deadline)
        assert list(request.notifies()) == [wire.QCD_TOKEN]
        self.reply(self.protected(ike.INFORMATIONAL, [], response=True))

    def close(self):
        """Delete the SA, and wait for the empty answer (section 1.4.1)."""
        answer = self.ask(self.info(Payload(ike.DELETE, wire.delete(wire.IKE_PROTO))))
        assert answer.payloads == []

    # ---- CREATE_CHILD_SA (section 1.3)

    def child_request(self, fresh, rekeys=None):
        """A further child, or in place of the child `rekeys` (sections 1.3.1 and 1.3.3)."""
        notify = [Payload(ike.NOTIFY, ike.notify(wire.REKEY_SA, b"", wire.ESP_PROTO, rekeys.spi_in))
                  ] if rekeys else []
        ke = [Payload(ike.KE, ike.ke(fresh.pair.method, fresh.pair.public))] if fresh.pair else []
        return self.protected(ike.CREATE_CHILD, [
            *notify, Payload(ike.SA, wire.sa(self.esp_proposal(
                fresh.spi, method=fresh.pair and fresh.pair.method))),
            Payload(ike.NONCE, fresh.nonce), *ke,
            Payload(ike.TSI, wire.selectors(wire.selector(*self.ours))),
            Payload(wire.TSR, wire.selectors(wire.selector(*self.theirs)))])

    def got_child_response(self, message, fresh):
        nonce = message.body(ike.NONCE)
        shared, method = b"", 0
        if fresh.pair:
            method = fresh.pair.method
            shared = self._their_ke(message, fresh.pair)
        return self.got_child(message, fresh.spi, fresh.nonce, nonce, shared, method)

    @staticmethod
    def _their_ke(message, pair):
        ke = message.body(ike.KE)
        assert struct.unpack("!HH", ke[:4]) == (pair.method, 0)
        return pair.shared(ke[4:])

    def rekey_child(self, old, pfs=False):
        """The whole of it, the Delete of the old one included."""
        fresh = Fresh(pfs=pfs)
        new = self.got_child_response(self.ask(self.child_request(fresh, old)), fresh)
        self.delete_child(old)
        return new

    def delete_child(self, old):
        answer = self.ask(self.info(Payload(ike.DELETE, wire.delete(wire.ESP_PROTO,
                                                                    [old.spi_in]))))
        assert answer.body(ike.DELETE) == wire.delete(wire.ESP_PROTO, [old.spi_out])
        self.children.remove(old)

    def rekey_request(self, fresh):
        """A new IKE SA in place of this one (section 1.3.2)."""
        return self.protected(ike.CREATE_CHILD, [
            Payload(ike.SA, wire.sa((wire.IKE_PROTO, fresh.spi, crypto.IKE_TRANSFORMS[self.suite]
                                     + [(4, fresh.pair.method)]))),
            Payload(ike.NONCE, fresh.nonce),
            Payload(ike.KE, ike.ke(fresh.pair.method, fresh.pair.public))])

    def got_rekey_response(self, message, fresh):
        """The new SA; it has our children from now on."""
        (number, proto, spi, chosen), = wire.parse_sa(message.body(ike.SA))
        assert (number, proto, len(spi)) == (1, 1, 8) and spi != bytes(8)
        assert crypto.suite_of(chosen) == (self.suite, fresh.pair.method)
        return self.successor(True, fresh.spi, spi, fresh.nonce, message.body(ike.NONCE),
                              self._their_ke(message, fresh.pair))

    def successor(self, initiator, spi_i, spi_r, nonce_i, nonce_r, shared):
        new = Sa(self.peer, self.own, self.other, self.ours, self.theirs, self.suite, self.esp,
                 initiator, self.port, self.fragments)
        new.spi_i, new.spi_r = spi_i, spi_r
        new.keys = crypto.rekeyed_keys(self.suite, self.keys.d, shared, nonce_i, nonce_r, spi_i,
                                       spi_r)
        new.children, self.children = self.children, []
        for child in new.children:
            child.sa = new
        return new

    def take_create(self, method=crypto.X25519, deadline=DEADLINE):
        """The daemon's CREATE_CHILD_SA request; we would use that method where it wants one."""
        message = self.wait_request(ike.CREATE_CHILD, deadline)
        return Asked(self, message, method)

    def create_response(self, asked, fresh):
        if asked.ike_sa:
            proposal = self.ike_proposal(fresh.spi, asked.number, fresh.pair.method)
        else:
            proposal = self.esp_proposal(fresh.spi, asked.number, fresh.pair and fresh.pair.method)
        ke = [Payload(ike.KE, ike.ke(fresh.pair.method, fresh.pair.public))] if fresh.pair else []
        ts = [] if asked.ike_sa else [
            Payload(ike.TSI, wire.selectors(wire.selector(*self.theirs))),
            Payload(wire.TSR, wire.selectors(wire.selector(*self.ours)))]
        return self.protected(ike.CREATE_CHILD, [
            Payload(ike.SA, wire.sa(proposal)), Payload(ike.NONCE, fresh.nonce), *ke, *ts],
            response=True)

    def sent_create_response(self, asked, fresh):
        """The child, or the IKE SA, that our answer has made."""
        shared = fresh.pair.shared(asked.ke) if fresh.pair else b""
        if asked.ike_sa:
            return self.successor(False, asked.spi, fresh.spi, asked.nonce, fresh.nonce, shared)
        child = Child(self, fresh.spi, asked.spi, asked.nonce, fresh.nonce, False, shared)
        self.children.append(child)
        return child

    def answer_child_delete(self, old, deadline=DEADLINE):
        """The daemon deletes a child, as after a rekey (section 1.4.1)."""
        request = self.wait_request(ike.INFORMATIONAL, deadline)
        assert request.body(ike.DELETE) == wire.delete(wire.ESP_PROTO, [old.spi_out])
        self.reply(self.protected(ike.INFORMATIONAL, [
            Payload(ike.DELETE, wire.delete(wire.ESP_PROTO, [old.spi_in]))], response=True))
        self.children.remove(old)

    def answer_delete(self, deadline=DEADLINE):
        """The daemon deletes the IKE SA."""
        request = self.wait_request(ike.INFORMATIONAL, deadline)
        assert request.body(ike.DELETE) == wire.delete(wire.IKE_PROTO)
        self.reply(self.protected(ike.INFORMATIONAL, [], response=True))

    def rekey(self):
        """The whole of it, the Delete of the old one and the token of the new one included."""
        fresh = Fresh(ike_sa=True)
        new = self.got_rekey_response(self.ask(self.rekey_request(fresh)), fresh)
        self.close()
        new.answer_token()
        return new


class Fresh:
    """What one CREATE_CHILD_SA exchange needs of its initiator."""

    def __init__(self, ike_sa=False, pfs=False, method=crypto.X25519):
        self.spi = wire.random_spi(8 if ike_sa else 4)
        self.nonce = os.urandom(32)
        self.pair = crypto.KeyPair(method) if ike_sa or pfs else None


class Asked:
    """A CREATE_CHILD_SA request of the daemon, as its answer needs it (section 1.3). `rekeys` is
    the child that it is to replace."""

    def __init__(self, sa, message, method):
        self.nonce = message.body(ike.NONCE)
        assert 16 <= len(self.nonce) <= 256
        offer = wire.parse_sa(message.body(ike.SA))
        self.ike_sa = offer[0][1] == wire.IKE_PROTO
        self.offered = {number for _, _, _, items in offer for kind, number, _ in items
                        if kind == wire.KE_METHOD}
        self.ke_method, self.ke = 0, b""
        if ike.KE in message.types():
            body = message.body(ike.KE)
            self.ke_method, self.ke = int.from_bytes(body[:2], "big"), body[4:]
            assert self.ke_method in self.offered and body[2:4] == bytes(2)
        self.rekeys = None
        kinds = [ike.SA, ike.NONCE, *([ike.KE] if self.ke else [])]
        if self.ike_sa:
            (self.number, self.spi), = [(n, spi) for n, _, spi, items in offer if _within(
                crypto.IKE_TRANSFORMS[sa.suite] + [(4, method)], items)][:1]
            assert len(self.spi) == 8 and self.spi not in (bytes(8), sa.spi_i, sa.spi_r)
        else:
            kinds += [ike.TSI, wire.TSR]
            self._about_child(sa, message, kinds)
            self.pfs_number, self.spi = sa._choose(message.body(ike.SA), self.ke_method)
            self.plain_number = next(
                (number for number, _, _, items in offer
                 if _within(crypto.ESP_TRANSFORMS[sa.esp], items)
                 and not any(kind == wire.KE_METHOD for kind, _, _ in items)), None)
            self.number = self.pfs_number
        assert message.types() == kinds, message.types()

    def _about_child(self, sa, message, kinds):
        notify = message.notifies().get(wire.REKEY_SA)
        if notify:
            kinds.insert(0, ike.NOTIFY)
            assert notify.proto == wire.ESP_PROTO and notify.data == b""
            self.rekeys, = [child for child in sa.children if child.spi_out == notify.spi]
        for kind, wanted in ((ike.TSI, sa.theirs), (wire.TSR, sa.ours)) if self.rekeys else ():
            assert wire.parse_ts(message.body(kind)) == wire.parse_ts(
                wire.selectors(wire.selector(*wanted))), "selectors of a rekey (section 2.9.2)"


def _within(wanted, offered):
    return all((t[0], t[1], t[2] if len(t) > 2 else 0) in offered for t in wanted)


class Child:
    """A pair of ESP SAs in tunnel mode, in UDP 4500 (RFC 3948 section 2.1); ESP is scapy's."""

    def __init__(self, sa, spi_in, spi_out, nonce_i, nonce_r, initiator, shared=b""):
        self.sa, self.spi_in, self.spi_out = sa, spi_in, spi_out
        from_i, from_r = crypto.child_keys(sa.esp, sa.keys.d, nonce_i, nonce_r, shared)
        own, other = (from_i, from_r) if initiator else (from_r, from_i)
        self._out, self._in = (_esp(sa, spi, keys) for spi, keys in ((spi_out, own),
                                                                     (spi_in, other)))
        # RFC 4303 protects as the Encrypted payload does (RFC 5282 section 1), so that a second
        # reading of the same packet costs nothing.
        self._own_out, self._own_in = (crypto.CIPHERS[sa.esp](*keys) for keys in (own, other))
        self.begun = initiator          # by us: the exchange that made it
        self.inner = str(ipaddress.ip_network(sa.ours[0])[0])
        self.seq = 0

    def seal(self, packet):
        self.seq += 1
        return bytes(self._out.encrypt(packet, seq_num=self.seq))[20:]

    def forge(self, data, following=4, padding=None, pad_length=None):
        """An ESP packet, authentic, with a trailer that may be wrong (RFC 4303 section 2.4):
        `padding` instead of that which the algorithm asks for, and what Pad Length says."""
        self.seq += 1
        if padding is None:
            padding = bytes(range(1, 1 - (len(data) + 2) % -16))
        length = len(padding) if pad_length is None else pad_length
        head = self.spi_out + struct.pack("!I", self.seq)
        return head + self._own_out.seal(head, data + padding + bytes([length, following]))

    def send(self, packet):
        self.sa.peer.send_esp(self.seal(packet))

    def receive(self, what, deadline=DEADLINE):
        """The next packet that comes in this child, or in another one of the IKE SA: which of two
        with the same selectors the daemon uses is up to it (section 2.8)."""
        by_spi = {child.spi_in: child for child in self.sa.children}
        data = self.sa.peer.take(self.sa.peer.esp, lambda p: p[:4] in by_spi, what, deadline)
        return by_spi[data[:4]].unseal(data)

    def unseal(self, data):
        """The packet inside, as scapy has it; which does not check the trailer (RFC 4303 section
        2.4)."""
        plain = self._own_in.open(data[:8], data[8:])
        length, following = plain[-2:]
        assert length <= len(plain) - 2
        inner, padding = plain[:-2 - length], plain[len(plain) - 2 - length:-2]
        assert padding == bytes(range(1, length + 1)) and len(plain) % 4 == 0
        assert following == (4 if inner[0] >> 4 == 4 else 41)
        outer = IP(src=self.sa.peer.remote, dst=self.sa.peer.address, proto=50)
        packet = self._in.decrypt(IP(bytes(outer / Raw(data))))
        assert bytes(packet) == inner
        return packet

    def ping(self, host, size=0):
        """An echo request to a host behind the daemon, and its reply, of so many octets."""
        number, data = int.from_bytes(os.urandom(2), "big"), os.urandom(size)
        if ":" in host:
            self.send(IPv6(src=self.inner, dst=host) / ICMPv6EchoRequest(id=number, data=data))
            wanted = ICMPv6EchoReply
        else:
            self.send(IP(src=self.inner, dst=host) / ICMP(type=8, id=number) / Raw(data))
            wanted = ICMP
        while True:
            reply = self.receive("echo reply")
            if wanted in reply and reply[wanted].id == number:
                assert (reply.src, reply.dst) == (host, self.inner)
                assert bytes(reply[wanted])[8:] == data
                return

    def pinged(self, host_ns, host):
        """A host behind the daemon pings us: the request comes in ESP, and our reply arrives."""
        with host_ns.enter():
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with sock:
            sock.settimeout(DEADLINE)
            sock.bind((host, 0))
            number = int.from_bytes(os.urandom(2), "big")
            sock.sendto(bytes(ICMP(type=8, id=number)), (self.inner, 0))
            request = self.receive("echo request")
            assert (request.src, request.dst) == (host, self.inner), request.summary()
            assert request[ICMP].type == 8 and request[ICMP].id == number
            self.send(IP(src=self.inner, dst=host) / ICMP(type=0, id=number))
            while True:
                got = IP(sock.recv(2048))
                if got.src == self.inner and got[ICMP].type == 0 and got[ICMP].id == number:
                    return


def _esp(sa, spi, keys):
    algorithm = {crypto.GCM: {"crypt_algo": "AES-GCM", "crypt_key": keys[0]},
                 crypto.CHACHA: {"crypt_algo": "CHACHA20-POLY1305", "crypt_key": keys[0]},
                 crypto.CBC: {"crypt_algo": "AES-CBC", "crypt_key": keys[0],
                              "auth_algo": "SHA2-256-128", "auth_key": keys[1]},
                 crypto.CBC_512: {"crypt_algo": "AES-CBC", "crypt_key": keys[0],
                                  "auth_algo": "SHA2-512-256", "auth_key": keys[1]}}[sa.esp]
    return SecurityAssociation(ESP, spi=int.from_bytes(spi, "big"), **algorithm,
                               tunnel_header=IP(src=sa.peer.address, dst=sa.peer.remote))
