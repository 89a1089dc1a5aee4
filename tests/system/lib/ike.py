"""Hand-made IKEv2 and ESP bytes: just enough of RFC 7296 section 3 to say wrong things
precisely."""

import os
import socket
import struct

INIT, AUTH, CREATE_CHILD, INFORMATIONAL = 34, 35, 36, 37
SA, KE, IDI, NONCE, NOTIFY, DELETE, VENDOR, TSI, SK = 33, 34, 35, 40, 41, 42, 43, 44, 46
INITIATOR, RESPONSE = 0x08, 0x20
X25519 = 31


def message(payloads, spi_i=None, spi_r=bytes(8), exchange=INIT, flags=INITIATOR, msgid=0,
            version=0x20, length=None):
    """A message of (type, body) payloads; every header field can be made wrong."""
    body = b"".join(
        struct.pack("!BBH", payloads[i + 1][0] if i + 1 < len(payloads) else 0, 0, 4 + len(data))
        + data for i, (_, data) in enumerate(payloads))
    return (spi_i or os.urandom(8)) + spi_r + struct.pack(
        "!BBBBII", payloads[0][0] if payloads else 0, version, exchange, flags, msgid,
        28 + len(body) if length is None else length) + body


def transform(kind, number, bits=None, last=False):
    attribute = struct.pack("!HH", 0x800E, bits) if bits else b""
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attribute), kind, 0,
                       number) + attribute


def proposal(transforms=None, number=1, protocol=1, spi=b"", length=None, count=None):
    """Body of an SA payload with one proposal; default AES-GCM-128, PRF SHA-256, X25519."""
    if transforms is None:
        transforms = [transform(1, 20, 128), transform(2, 5), transform(4, X25519, last=True)]
    body = spi + b"".join(transforms)
    return struct.pack("!BBHBBBB", 0, 0, 8 + len(body) if length is None else length, number,
                       protocol, len(spi), len(transforms) if count is None else count) + body


def ke(group=X25519, data=None):
    return struct.pack("!HH", group, 0) + (os.urandom(32) if data is None else data)


def notify(kind, data=b"", protocol=0, spi=b""):
    return struct.pack("!BBH", protocol, len(spi), kind) + spi + data


def init(**kwargs):
    """A good IKE_SA_INIT request."""
    return message([(SA, proposal()), (KE, ke()), (NONCE, os.urandom(32))], **kwargs)


def ipv4_udp(src, dst, sport, dport, payload):
    """A whole IPv4 packet for a raw socket; the kernel fills in checksum and id of the IP header,
    a UDP checksum of zero means none."""
    total = 28 + len(payload)
    return (struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 17, 0, socket.inet_aton(src),
                        socket.inet_aton(dst))
            + struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def esp(key, spi, seq, inner, esn):
    """What the holder of an SA's AES-GCM key and salt could send: `inner` is an IPv4 packet."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    inner = inner[:10] + _checksum(inner[:20]) + inner[12:]
    pad = -(len(inner) + 2) % 4
    plain = inner + bytes(range(1, pad + 1)) + bytes([pad, 4])
    head = struct.pack("!II", spi, seq)
    aad = head[:4] + (bytes(4) if esn else b"") + head[4:]
    iv = struct.pack("!Q", seq)
    return head + iv + AESGCM(key[:-4]).encrypt(key[-4:] + iv, plain, aad)


def _checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)


class Spoofer:
    """Sends UDP datagrams from any IPv4 address, out of the underlay router."""

    def __init__(self, ns):
        with ns.enter():
            self._sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, src, dst, sport, dport, payload):
        self._sock.sendto(ipv4_udp(src, dst, sport, dport, payload), (dst, 0))

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
