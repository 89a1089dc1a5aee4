"""IKEv2 messages as values that can be made wrong, for ikepeer.py (RFC 7296 section 3).

A Draft is a message about to be sent: every field of the header, of each payload and of the
Encrypted payload is a knob. parse() is the reverse, and strict: it asserts all that the RFC says
of a sender, so whatever a daemon sends is checked by a reading of the RFC that is not its own.
"""

import dataclasses
import ipaddress
import os
import struct
import typing

from . import ike

IDR, CERT, CERTREQ, AUTH, TSR, CP, EAP, SKF = 36, 37, 38, 39, 45, 47, 48, 53
VERSION_FLAG = 0x10
DEFINED = {*range(33, 49), SKF}

# Section 3.10.1.
UNSUPPORTED_CRITICAL_PAYLOAD, INVALID_IKE_SPI, INVALID_MAJOR_VERSION, INVALID_SYNTAX = 1, 4, 5, 7
INVALID_MESSAGE_ID, INVALID_SPI, NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD = 9, 11, 14, 17
AUTHENTICATION_FAILED, NO_ADDITIONAL_SAS, TS_UNACCEPTABLE = 24, 35, 38
TEMPORARY_FAILURE, CHILD_SA_NOT_FOUND = 43, 44
INITIAL_CONTACT, NAT_SOURCE, NAT_DESTINATION, COOKIE = 16384, 16388, 16389, 16390
USE_TRANSPORT_MODE, REKEY_SA, CHILDLESS_SUPPORTED, QCD_TOKEN = 16391, 16393, 16418, 16419
SIGNATURE_HASH_ALGORITHMS, FRAGMENTATION_SUPPORTED = 16431, 16430

ENCR, PRF, INTEG, KE_METHOD, ESN = 1, 2, 3, 4, 5
NO_PAD_LENGTH = -1
IKE_PROTO, AH_PROTO, ESP_PROTO = 1, 2, 3


@dataclasses.dataclass
class Payload:
    """`next` and `length` are what the message says where it should not tell the truth."""

    type: int
    body: bytes = b""
    flags: int = 0                      # the octet with the critical bit: 0x80
    length: typing.Optional[int] = None
    next: typing.Optional[int] = None

    def encode(self, following):
        return struct.pack("!BBH", following if self.next is None else self.next, self.flags,
                           4 + len(self.body) if self.length is None else self.length) + self.body


def chain(payloads):
    """(type of the first, bytes)."""
    types = [p.type for p in payloads] + [0]
    return types[0], b"".join(p.encode(types[i + 1]) for i, p in enumerate(payloads))


@dataclasses.dataclass
class Draft:
    """A message to be sent. `inner` is None for one without an Encrypted payload."""

    spi_i: bytes
    spi_r: bytes
    exchange: int
    flags: int
    msgid: int
    clear: list = dataclasses.field(default_factory=list)
    inner: typing.Optional[list] = None
    cipher: object = None               # seals the Encrypted payload: ikepeer_crypto.Direction
    version: int = 0x20
    next: typing.Optional[int] = None
    length: typing.Optional[int] = None
    sk_type: int = ike.SK
    sk_flags: int = 0
    sk_next: typing.Optional[int] = None
    fragment: typing.Optional[tuple] = None     # (number, total): the payload is an SKF
    plain: typing.Optional[bytes] = None    # instead of the chain of `inner`
    padding: typing.Optional[bytes] = None
    pad_length: typing.Optional[int] = None     # what it says, or NO_PAD_LENGTH
    after: bytes = b""                  # behind the last payload, inside the length
    damage: typing.Callable = staticmethod(lambda data: data)   # of the finished datagram

    def find(self, kind, nth=0):
        """A payload of that type, inside first."""
        return [p for p in (self.inner or []) + self.clear if p.type == kind][nth]

    def where(self):
        """The list where this message keeps what it has to say."""
        return self.clear if self.inner is None else self.inner

    def notify(self, kind):
        return next(p for p in self.where() if p.type == ike.NOTIFY
                    and struct.unpack("!H", p.body[2:4])[0] == kind)

    def encode(self):
        first, body = chain(self.clear)
        if self.inner is None:
            return self.damage(self._header(first, len(body) + len(self.after)) + body + self.after)
        if self.clear:
            body = chain([*self.clear, Payload(self.sk_type)])[1][:-4]
        else:
            first = self.sk_type
        return self.damage(self._sealed(first, body))

    def _header(self, first, size):
        return self.spi_i + self.spi_r + struct.pack(
            "!BBBBII", first if self.next is None else self.next, self.version, self.exchange,
            self.flags, self.msgid, 28 + size if self.length is None else self.length)

    def _sealed(self, first, clear):
        inside, plain = chain(self.inner)
        plain = plain if self.plain is None else self.plain
        pad = self.cipher.padding(len(plain)) if self.padding is None else self.padding
        plain += pad
        if self.pad_length != NO_PAD_LENGTH:
            plain += bytes([len(pad) if self.pad_length is None else self.pad_length])
        numbers = struct.pack("!HH", *self.fragment) if self.fragment else b""
        size = 4 + len(numbers) + self.cipher.overhead + len(plain)
        head = struct.pack("!BBH", inside if self.sk_next is None else self.sk_next, self.sk_flags,
                           size) + numbers
        whole = self._header(first, len(clear) + size + len(self.after)) + clear + head
        return whole + self.cipher.seal(whole, plain) + self.after


class Fragments:
    """A draft cut into `total` pieces (RFC 7383 section 2.5), each a draft of its own in `parts`;
    for all else it is the whole one."""

    def __init__(self, whole, total):
        self.whole = whole
        first, plain = chain(whole.inner)
        size = -(-len(plain) // total)
        self.parts = [self.part(number, total, plain[(number - 1) * size:number * size],
                                first if number == 1 else 0) for number in range(1, total + 1)]

    def part(self, number, total, plain=b"", following=0):
        return dataclasses.replace(self.whole, sk_type=SKF, sk_next=following,
                                   fragment=(number, total), plain=plain, inner=[])

    def __getattr__(self, name):
        return getattr(self.whole, name)


def merge(parts):
    """One message of its fragments, in their order."""
    numbers = [part.fragment for part in parts]
    assert numbers == [(at + 1, len(parts)) for at in range(len(parts))], numbers
    first, *others = [part.payloads[0] for part in parts]
    assert all(piece.type == 0 for piece in others), "Next Payload (RFC 7383 section 2.5)"
    whole = dataclasses.replace(parts[0], fragment=None)
    whole.payloads = split(first.type, b"".join(p.payloads[0].body for p in parts))[0]
    return whole


# ---- bodies of payloads


def ident(name):
    """ID_FQDN of that name (section 3.5)."""
    return struct.pack("!BBH", 2, 0, 0) + name.encode()


def auth(method, data):
    return struct.pack("!BBH", method, 0, 0) + data


def selector(first, last=None, proto=0, ports=(0, 65535)):
    """One traffic selector: a prefix, or a range (section 3.13.1)."""
    if last is None:
        net = ipaddress.ip_network(first)
        first, last = net[0], net[-1]
    first, last = ipaddress.ip_address(first), ipaddress.ip_address(last)
    size = 8 + 2 * len(first.packed)
    return struct.pack("!BBHHH", 7 if first.version == 4 else 8, proto, size,
                       *ports) + first.packed + last.packed


def selectors(*items, count=None):
    return struct.pack("!B3x", len(items) if count is None else count) + b"".join(items)


def delete(proto, spis=(), size=None, count=None):
    """size and count: of what the payload says (section 3.11)."""
    size = (4 if proto != IKE_PROTO else 0) if size is None else size
    return struct.pack("!BBH", proto, size, len(spis) if count is None else count) + b"".join(spis)


def transforms(*items):
    """(type, id[, bits]) each, the last one marked as such."""
    return [ike.transform(*item, last=i + 1 == len(items)) for i, item in enumerate(items)]


def sa(*proposals):
    """Body of an SA payload; each proposal is (protocol, spi, transforms) and may have a number
    as fourth (section 3.3.1)."""
    out = []
    for index, (proto, spi, items, *number) in enumerate(proposals):
        body = ike.proposal(transforms(*items), *(number or [index + 1]), proto, spi)
        more = 0 if index + 1 == len(proposals) else 2
        out.append(bytes([more]) + body[1:])
    return b"".join(out)


# ---- parsing


@dataclasses.dataclass
class Message:
    """What was received; `payloads` are those that count: inside, or in clear where nothing is
    encrypted."""

    raw: bytes
    spi_i: bytes
    spi_r: bytes
    exchange: int
    flags: int
    msgid: int
    encrypted: bool
    payloads: list
    source: tuple = None
    fragment: tuple = None

    @property
    def response(self):
        return bool(self.flags & ike.RESPONSE)

    def types(self):
        return [p.type for p in self.payloads]

    def body(self, kind):
        found = [p.body for p in self.payloads if p.type == kind]
        assert len(found) == 1, f"payload {kind} in {self.types()}"
        return found[0]

    def notifies(self):
        """{type: Notify}"""
        return {n.type: n for n in map(parse_notify, (p.body for p in self.payloads
                                                     if p.type == ike.NOTIFY))}

    def errors(self):
        """Types of error notifies."""
        return sorted(kind for kind in self.notifies() if kind < 16384)


@dataclasses.dataclass
class Notify:
    type: int
    proto: int
    spi: bytes
    data: bytes


def parse_notify(body):
    proto, size, kind = struct.unpack("!BBH", body[:4])
    assert len(body) >= 4 + size
    # RFC 6023 section 4 and RFC 6290 section 4.1 want another one.
    assert size or proto == (1 if kind in (CHILDLESS_SUPPORTED, QCD_TOKEN) else 0), (
        "protocol must be sent as zero without an SPI (section 3.10)")
    return Notify(kind, proto, body[4:4 + size], body[4 + size:])


def header(data):
    """(spi_i, spi_r, next, version, exchange, flags, msgid, length)"""
    return (data[:8], data[8:16], *struct.unpack("!BBBBII", data[16:28]))


def split(first, data):
    """The payloads of a chain, and the type that the Encrypted payload at its end names."""
    out = []
    while first:
        following, flags, length = struct.unpack("!BBH", data[:4])
        assert flags == 0, "critical and reserved bits must be sent as zero (section 3.2)"
        assert 4 <= length <= len(data), "payload length"
        assert first in DEFINED, f"payload {first} is not defined"
        out.append(Payload(first, data[4:length]))
        data = data[length:]
        if first in (ike.SK, SKF):
            assert not data, "the Encrypted payload must be the last one (section 3.14)"
            return out, following
        first = following
    assert not data, "bytes behind the last payload"
    return out, 0


def parse(data, cipher=None):
    """Parse a message, open it with `cipher`; without one an encrypted message stays closed."""
    spi_i, spi_r, first, version, exchange, flags, msgid, length = header(data)
    assert version == 0x20 and length == len(data), "version and length (section 3.1)"
    assert flags & ~(ike.INITIATOR | ike.RESPONSE) == 0, "flags (section 3.1)"
    payloads, inside = split(first, data[28:])
    message = Message(data, spi_i, spi_r, exchange, flags, msgid,
                      bool(payloads) and payloads[-1].type in (ike.SK, SKF), payloads)
    if message.encrypted and payloads[-1].type == SKF:
        message.fragment = struct.unpack("!HH", payloads[-1].body[:4])
    if message.encrypted and cipher:
        assert len(payloads) == 1, "nothing in clear beside the Encrypted payload"
        body = payloads[-1].body[4 if message.fragment else 0:]
        plain = cipher.open(data[:len(data) - len(body)], body)
        pad = plain[-1]
        assert pad < len(plain), "pad length"
        plain = plain[:len(plain) - 1 - pad]
        message.payloads = ([Payload(inside, plain)] if message.fragment
                            else split(inside, plain)[0])
    return message


def parse_sa(body):
    """[(number, protocol, spi, [(type, id, bits)])]"""
    out, more = [], 2
    while more:
        more, reserved, length, number, proto, size, count = struct.unpack("!BBHBBBB", body[:8])
        assert more in (0, 2) and reserved == 0 and length <= len(body)
        out.append((number, proto, body[8:8 + size], _transforms(body[8 + size:length], count)))
        body = body[length:]
    assert not body
    return out


def _transforms(data, count):
    out = []
    for index in range(count):
        more, zero, length, kind, zero2, number = struct.unpack("!BBHBBH", data[:8])
        assert more == (0 if index + 1 == count else 3) and zero == zero2 == 0
        bits = 0
        if length > 8:
            attribute, bits = struct.unpack("!HH", data[8:length])
            assert attribute == 0x800E, "Key Length in its short form (section 3.3.5)"
        out.append((kind, number, bits))
        data = data[length:]
    assert not data
    return out


def parse_ts(body):
    """[(protocol, first port, last port, first address, last address)]"""
    count, out, data = body[0], [], body[4:]
    assert body[1:4] == bytes(3)
    while data:
        kind, proto, length, low, high = struct.unpack("!BBHHH", data[:8])
        size = {7: 4, 8: 16}[kind]
        assert length == 8 + 2 * size
        out.append((proto, low, high, ipaddress.ip_address(data[8:8 + size]),
                    ipaddress.ip_address(data[8 + size:length])))
        data = data[length:]
    assert len(out) == count
    return out


def random_spi(size=8):
    """Never zero, nor one of the first 256, which are reserved (RFC 4303 section 2.1)."""
    return bytes([os.urandom(1)[0] | 1]) + os.urandom(size - 1)
