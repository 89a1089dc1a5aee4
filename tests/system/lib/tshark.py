"""tshark 4.0 as an independent judge: it decrypts a capture from key tables and checks every ICV.

The key tables are two of Wireshark's "user accessible tables": text files with fixed names in the
configuration directory (here a private WIRESHARK_CONFIG_DIR), one record a line, comma-separated,
text values in double quotes, no spaces around the commas, a trailing newline; lines that start with
a hash sign are comments. `keylog = "/dir"` in warren's configuration appends to files of exactly
these names there.

ikev2_decryption_table, one line for each IKE SA, eight fields:

    1 initiator's SPI    16 hex digits, no 0x, no quotes
    2 responder's SPI    likewise
    3 SK_ei              hex; for AES-GCM the key followed by its 4-byte salt, the way prf+ delivers
                         it (RFC 5282 section 7.1): 40 digits for AES-128, 72 for AES-256
    4 SK_er              likewise
    5 encryption         quoted, one of "AES-GCM-128 with 16 octet ICV [RFC5282]",
                         "AES-GCM-256 with 16 octet ICV [RFC5282]"
    6 SK_ai              hex; empty for an AEAD
    7 SK_ar              likewise
    8 integrity          quoted; "NONE [RFC4306]" for an AEAD

    e480…cb86,cf18…12b2,4c06…723c,e57f…3836,"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"

esp_sa, one line for each *direction* of a CHILD SA, eight fields, all quoted:

    1 outer protocol     "IPv4" or "IPv6"
    2 source             outer address, or "*" (any: right also behind a NAT and after a move)
    3 destination        likewise
    4 SPI                "0x" and 8 hex digits: the SPI in these packets, i.e. the receiver's
    5 encryption         "AES-GCM with 16 octet ICV [RFC4106]" for AES-128 and AES-256; the length
                         of the key tells them apart
    6 key                "0x" and hex: key and 4-byte salt (RFC 4106 section 8.1), 40 or 72 digits
    7 authentication     "NULL" for AES-GCM: anything else is an error
    8 key of that        "" for AES-GCM

    "IPv4","*","*","0x8588d20a","AES-GCM with 16 octet ICV [RFC4106]","0x54ed…be56","NULL",""

tshark 4.0 knows no extended sequence numbers: the AAD it computes is SPI and 32-bit sequence number
(RFC 4106 section 5), so an SA with ESN decrypts right but every ICV counts as bad. For those,
check_icvs() below does the check with the 64-bit number; tshark is used on SAs without ESN.
"""

import csv
import dataclasses
import functools
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree

from .capture import read_pcap
from .lab import run

IKE_TABLE, ESP_TABLE = "ikev2_decryption_table", "esp_sa"
GCM16_IKE = {128: "AES-GCM-128 with 16 octet ICV [RFC5282]",
             256: "AES-GCM-256 with 16 octet ICV [RFC5282]"}
_PROTOCOLS = {"frame", "eth", "ethertype", "ip", "ipv6", "udp", "udpencap", "esp", "isakmp",
              "data"}
GCM16_ESP = "AES-GCM with 16 octet ICV [RFC4106]"


@dataclasses.dataclass
class IkeMessage:
    frame: int
    exchange: int
    encrypted: bool
    icv_good: bool                      # False also if there was no key for it
    payloads: list                      # payload types after decryption, outermost first


@dataclasses.dataclass
class EspPacket:
    frame: int
    spi: int
    sequence: int
    icv_good: bool
    inner: bytes                        # the IP packet, b"" if there was no key


@dataclasses.dataclass
class Decrypted:
    ike: list
    esp: list

    def bad_icvs(self):
        """Frames whose ICV is wrong or could not be checked."""
        return ([m.frame for m in self.ike if m.encrypted and not m.icv_good]
                + [p.frame for p in self.esp if not p.icv_good])


def decrypt(pcap, tables):
    """Decrypt a capture with the tables in that directory."""
    for name in (IKE_TABLE, ESP_TABLE):
        assert os.path.exists(os.path.join(tables, name)), f"no {name} in {tables}"
    return Decrypted(_ike(pcap, tables), _esp(pcap, tables))


def _tshark(pcap, tables, *argv):
    with tempfile.TemporaryDirectory() as config:
        for name in (IKE_TABLE, ESP_TABLE):
            shutil.copy(os.path.join(tables, name), config)
        with open(os.path.join(config, "disabled_protos"), "w") as file:
            file.write("\n".join(_other_protocols()) + "\n")
        done = run("tshark", "-r", pcap, "-n", "-o", "esp.enable_encryption_decode:TRUE",
                   "-o", "esp.enable_authentication_check:TRUE", *argv, timeout=300,
                   env=dict(os.environ, WIRESHARK_CONFIG_DIR=config))
    # A table it cannot read is reported on stderr and otherwise ignored.
    complaints = [line for line in done.stderr.splitlines() if "could be dangerous" not in line]
    assert not complaints, f"tshark: {complaints}"
    return done.stdout


@functools.cache
def _other_protocols():
    """All protocols that have no business here.

    Random bytes inside ESP look like RTCP or the like now and then. When such a dissector fails
    over them, the whole packet is cut short, before the result of the ICV check is noted down: a
    good packet would seem bad.
    """
    listed = run("tshark", "-G", "protocols").stdout.splitlines()
    return [line.split("\t")[2] for line in listed if line.split("\t")[2] not in _PROTOCOLS]


def _ike(pcap, tables):
    """Whether an IKE ICV is right stands only in the text of PDML: "[correct]"."""
    root = xml.etree.ElementTree.fromstring(_tshark(pcap, tables, "-Y", "isakmp", "-T", "pdml"))
    return [_ike_message(packet) for packet in root.iter("packet")]


def _ike_message(packet):
    proto = next(p for p in packet.iter("proto") if p.get("name") == "isakmp")
    fields = {}
    for field in proto.iter("field"):
        fields.setdefault(field.get("name"), []).append(field)
    types = [int(field.get("show")) for field in fields.get("isakmp.typepayload", [])]
    frame = next(f for f in packet.iter("field") if f.get("name") == "frame.number")
    icds = [field.get("showname") or "" for field in fields.get("isakmp.enc.icd", [])]
    return IkeMessage(int(frame.get("show")), int(fields["isakmp.exchangetype"][0].get("show")),
                      46 in types or 53 in types,
                      bool(icds) and all("[correct]" in text for text in icds), types)


def _esp(pcap, tables):
    out = _tshark(pcap, tables, "-Y", "esp", "-T", "fields", "-E", "occurrence=f",
                  "-e", "frame.number", "-e", "esp.spi", "-e", "esp.sequence", "-e", "esp.icv_good",
                  "-e", "esp.contained_data")
    rows = [line.split("\t") for line in out.splitlines()]
    return [EspPacket(int(frame), int(spi, 16), int(seq), good == "1", bytes.fromhex(inner))
            for frame, spi, seq, good, inner in rows]


def check_icvs(pcap, tables, esn):
    """Decrypt and check ESP with libcrypto instead of tshark; the only way for ESN.

    Every sequence number is taken to be below 2^32. Returns EspPackets of all ESP in the capture.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    keys, found = esp_keys(tables), []
    for packet in read_pcap(pcap):
        if packet.kind != "esp":
            continue
        esp = packet.payload
        spi, seq = int.from_bytes(esp[:4], "big"), int.from_bytes(esp[4:8], "big")
        aad = esp[:4] + (b"\0\0\0\0" if esn else b"") + esp[4:8]
        plain = b""
        if spi in keys:
            try:
                plain = AESGCM(keys[spi][:-4]).decrypt(keys[spi][-4:] + esp[8:16], esp[16:], aad)
            except InvalidTag:
                pass
        inner = plain[:len(plain) - 2 - plain[-2]] if plain else b""
        found.append(EspPacket(packet.frame, spi, seq, bool(plain), inner))
    return found


def esp_keys(tables):
    """SPI -> key and salt, of an esp_sa table."""
    with open(os.path.join(tables, ESP_TABLE), newline="") as file:
        return {int(row[3], 16): bytes.fromhex(row[5][2:]) for row in csv.reader(file)
                if row and not row[0].startswith("#")}


# ---- the same tables from a strongSwan log, to prove all this without anything of ours


def tables_from_charon(charon, directory, pcap):
    """Write both tables from the level-4 log of a charon that initiated one SA, AES-GCM only."""
    log = charon.log()
    spi_i, spi_r = _ike_spis(pcap)
    sk_ei, sk_er = _dump(log, "Sk_ei secret"), _dump(log, "Sk_er secret")
    with open(os.path.join(directory, IKE_TABLE), "w") as file:
        name = GCM16_IKE[len(sk_ei) * 4 - 32]
        file.write(f'{spi_i},{spi_r},{sk_ei},{sk_er},"{name}",,,"NONE [RFC4306]"\n')
    # Our inbound SPI carries what the responder sends.
    into, out = re.search(r"established with SPIs ([0-9a-f]+)_i ([0-9a-f]+)_o", log).groups()
    keys = {into: _dump(log, "encryption responder key"),
            out: _dump(log, "encryption initiator key")}
    family = "IPv6" if ":" in next(p.src for p in read_pcap(pcap) if p.kind == "ike") else "IPv4"
    with open(os.path.join(directory, ESP_TABLE), "w") as file:
        for spi, key in keys.items():
            file.write(f'"{family}","*","*","0x{spi}","{GCM16_ESP}","0x{key}","NULL",""\n')


def _ike_spis(pcap):
    for packet in read_pcap(pcap):
        if packet.kind == "ike":
            message = packet.payload[4:] if packet.payload[:4] == b"\0" * 4 else packet.payload
            if message[8:16] != bytes(8):
                return message[:8].hex(), message[8:16].hex()
    raise AssertionError("no IKE response in the capture")


def _dump(log, label):
    """A hex dump of charon's log, as hex digits."""
    head = re.search(re.escape(label) + r" => (\d+) bytes.*\n((?:.*\]\s+\d+: .*\n)+)", log)
    digits = "".join(re.search(r"\]\s+\d+: ((?:[0-9A-F]{2} ?)+)", line).group(1).replace(" ", "")
                     for line in head.group(2).splitlines())
    assert len(digits) == 2 * int(head.group(1)), label
    return digits.lower()
