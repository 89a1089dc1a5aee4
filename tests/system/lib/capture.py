"""Captures of the underlay, and what is in them.

A capture is complete when it is used: before the test goes on, a marker frame (an Ethernet type
reserved for experiments, which every stack ignores) must have come out of tcpdump into the file,
and at the end another one, so that everything sent in between is in it too.
"""

import collections
import dataclasses
import ipaddress
import os
import signal
import socket
import struct

from .wait import until

ETH_MARKER = 0x88B5                     # IEEE 802 local experimental
ETH_IPV4, ETH_IPV6, ETH_ARP = 0x0800, 0x86DD, 0x0806
UDP, TCP, ESP, ICMP4, ICMP6, IGMP = 17, 6, 50, 1, 58, 2
_ND_AND_MLD = {130, 131, 132, 133, 134, 135, 136, 137, 143}
_ERRORS4, _ERRORS6 = {3, 11, 12}, {1, 2, 3, 4}


@dataclasses.dataclass
class Packet:
    """One IP packet of a capture."""

    time: float
    frame: int                          # number in the file, from 1, as tshark counts
    data: bytes                         # from the IP header on
    src: str = ""
    dst: str = ""
    proto: int = -1
    sport: int = 0
    dport: int = 0
    payload: bytes = b""                # after the UDP header, or after the IP header
    fragment: bool = False              # any fragment, the first included
    later: bool = False                 # of one: not the first
    ident: int = 0
    df: bool = False
    kind: str = "clear"


class Capture:
    """tcpdump on one device of one namespace, as a context manager."""

    def __init__(self, lab, ns, dev):
        self.lab, self.ns, self.dev = lab, ns, dev
        self.file = os.path.join(lab.subdir("pcap"), f"{ns.short}-{dev}.pcap")
        self._proc = None

    def __enter__(self):
        self._proc = self.ns.popen(
            f"tcpdump-{self.dev}", "tcpdump", "-i", self.dev, "-n", "-U", "--immediate-mode",
            "-B", "32768", "-s", "0", "-Z", "root", "-w", self.file)
        self._mark("start")
        return self

    def __exit__(self, kind, *exc):
        if kind is None:
            self._mark("end")
        self._proc.stop(signal.SIGINT)
        if kind is None:
            assert "0 packets dropped by kernel" in self._proc.output(), self._proc.output()

    def _mark(self, what):
        marker = os.urandom(32)
        with self.ns.enter():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with sock:
            sock.bind((self.dev, 0))
            frame = b"\xff" * 6 + b"\x02" + b"\0" * 5 + struct.pack("!H", ETH_MARKER) + marker

            def seen():
                assert self._proc.running(), self._proc.output()
                if what == "start":
                    sock.send(frame)
                with open(self.file, "rb") as pcap:
                    return marker in _tail(pcap)

            if what == "end":
                sock.send(frame)
            until(seen, f"tcpdump on {self.ns.short}/{self.dev} to see the {what} marker")

    def packets(self):
        return read_pcap(self.file)

    def kinds(self):
        """How many packets of each kind (see classify)."""
        return collections.Counter(packet.kind for packet in self.packets())

    def clear(self):
        """Every packet that should not have been there."""
        return [packet for packet in self.packets() if packet.kind == "clear"]


def _tail(file, size=1 << 20):
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - size))
    return file.read()


def read_pcap(path):
    """The IP packets of an Ethernet capture, classified. A half-written last record is left out."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    nano = data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    assert struct.unpack(order + "I", data[20:24])[0] == 1, "not an Ethernet capture"
    packets, at, frame, first = [], 24, 0, {}
    while at + 16 <= len(data):
        sec, frac, size, _ = struct.unpack(order + "IIII", data[at:at + 16])
        raw = data[at + 16:at + 16 + size]
        at, frame = at + 16 + size, frame + 1
        kind = struct.unpack("!H", raw[12:14])[0] if len(raw) >= 14 else 0
        if kind in (ETH_IPV4, ETH_IPV6):
            when = sec + frac / (1e9 if nano else 1e6)
            packets.append(_one_of(first, classify(parse_ip(Packet(when, frame, raw[14:])))))
    return packets


def _one_of(first, packet):
    """A later fragment is what its first one was."""
    key = packet.src, packet.dst, packet.proto, packet.ident
    if packet.later:
        packet.kind = first.get(key, packet.kind)
    elif packet.fragment:
        first[key] = packet.kind
    return packet


def parse_ip(packet):
    """Fill in a Packet's fields from its data; trailing Ethernet padding is cut off."""
    data = packet.data
    if data[0] >> 4 == 4:
        total, packet.ident, flags = struct.unpack("!HHH", data[2:8])
        data = packet.data = data[:total]
        packet.proto = data[9]
        packet.df, packet.fragment = bool(flags & 0x4000), bool(flags & 0x3FFF)
        packet.src, packet.dst = _addr(data[12:16]), _addr(data[16:20])
        at, first = (data[0] & 15) * 4, not flags & 0x1FFF
    else:
        data = packet.data = data[:40 + struct.unpack("!H", data[4:6])[0]]
        packet.src, packet.dst = _addr(data[8:24]), _addr(data[24:40])
        at, first = _skip_extensions(packet, data)
        packet.df = True
    packet.later = not first
    packet.payload = data[at:]
    if packet.proto in (UDP, TCP) and first and len(data) >= at + 8:
        packet.sport, packet.dport = struct.unpack("!HH", data[at:at + 4])
        packet.payload = data[at + 8:] if packet.proto == UDP else data[at:]
    return packet


def _skip_extensions(packet, data):
    proto, at, first = data[6], 40, True
    while proto in (0, 43, 44, 60) and len(data) >= at + 8:
        if proto == 44:
            packet.fragment, size = True, 8
            packet.ident = struct.unpack("!I", data[at + 4:at + 8])[0]
            first = not struct.unpack("!H", data[at + 2:at + 4])[0] & 0xFFF8
        else:
            size = (data[at + 1] + 1) * 8
        proto, at = data[at], at + size
    packet.proto = proto
    return at, first


def _addr(raw):
    return str(ipaddress.ip_address(raw))


def classify(packet):
    """Name what a packet is: ike, esp, keepalive, nd, icmp-error, or clear.

    Only the outside of a tunnel is expected on the underlay. An ICMP error is expected if it
    quotes such a packet; one that quotes an inner packet would show that one in clear.
    """
    if packet.proto == UDP and packet.sport and 500 in (packet.sport, packet.dport):
        packet.kind = "ike" if len(packet.payload) >= 28 else "clear"
    elif packet.proto == UDP and 4500 in (packet.sport, packet.dport):
        packet.kind = _natt_kind(packet.payload)
    elif packet.proto == ESP:
        packet.kind = "esp"
    elif packet.proto == IGMP:
        packet.kind = "nd"              # what MLD is for IPv6
    elif packet.proto == ICMP6 and packet.payload[:1] and packet.payload[0] in _ND_AND_MLD:
        packet.kind = "nd"
    elif _is_error(packet) and _quotes_tunnel(packet.payload[8:]):
        packet.kind = "icmp-error"
    return packet


def _natt_kind(payload):
    """RFC 3948: a keepalive is one byte 0xff, IKE starts with four zero bytes, the rest is ESP."""
    if payload == b"\xff":
        return "keepalive"
    if payload[:4] == b"\0\0\0\0":
        return "ike" if len(payload) >= 32 else "clear"
    return "esp" if len(payload) >= 8 else "clear"


def _is_error(packet):
    return (packet.proto == ICMP4 and packet.payload[:1] and packet.payload[0] in _ERRORS4
            or packet.proto == ICMP6 and packet.payload[:1] and packet.payload[0] in _ERRORS6)


def _quotes_tunnel(quoted):
    if len(quoted) < 28:
        return False
    inner = parse_ip(Packet(0, 0, quoted))
    return inner.proto == ESP or inner.proto == UDP and bool(
        {500, 4500} & {inner.sport, inner.dport})
