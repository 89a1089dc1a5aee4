"""S2: certificates and digital signatures (RFC 7296 section 3.6, RFC 7427) from a peer that does
not keep to them, in either role; first from one that does. test_misbehave.py says how a case is
written.
"""

import copy
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (decode_dss_signature,
                                                             encode_dss_signature)

from lib import ike, ikepeer_cases as cases, ikepeer_crypto as crypto, ikepeer_wire as wire
from lib.ikepeer import Credentials
from lib.ikepeer_cases import Accepted, Case, Ends, Refused, Taken, add, body, ids, omit
from lib.ikepeer_wire import Payload
from lib.ikepeer_world import DAEMON, World
from lib.pki import Pki

class Leaves:
    """Certificates by name, issued when first asked for; whoever calls the daemon is one and the
    same."""

    def __init__(self, root):
        self.root, self.issued = root, {}

    def __call__(self, name):
        if name not in self.issued:
            self.issued[name] = self.root.leaf(name)
        return self.issued[name]


class Certified(World):
    """Whose cases all have the same name; with certificates that will not do."""

    stranger = outdated = None

    def case(self, name="caller", **kwargs):
        return super().case(name, **kwargs)


@pytest.fixture(scope="module")
def world(modlab, tmp_path_factory):
    root = Pki(str(tmp_path_factory.mktemp("pki")))
    other = Pki(str(tmp_path_factory.mktemp("other")))
    Certified.stranger, Certified.outdated = other.leaf("caller.case.test"), root.expired("old")
    leaves = Leaves(root)
    daemon = root.leaf(DAEMON)
    new = Certified(modlab, leaf=leaves, calls=5, section={
        "certificate": daemon.chain, "key": daemon.key, "trust": [root.cert]})
    yield new
    new.close()


AUTH, RESPONSE = cases.Auth(), cases.AuthResponse()


# ---- the good peer


@pytest.mark.parametrize("fragments", [False, True], ids=["whole", "fragments"])
def test_good_initiator(world, fragments):
    """RFC 7427 section 3, RFC 7383: AUTH and certificate both ways; in fragments both ways."""
    before = world.settled()
    sa = world.case(fragments=fragments).start()
    draft = sa.auth_request()
    if fragments:
        draft = wire.Fragments(draft, 4)
    answer = sa.ask(draft)
    assert wire.CERT in answer.types()
    sa.got_auth_response(answer)
    after = world.settled()
    assert not after.risen(before)
    assert fragments == (after.counters["ike.tx.fragments"] > before.counters["ike.tx.fragments"])
    world.carries(sa)
    sa.rekey_child(sa.children[0])
    sa.close()


@pytest.mark.parametrize("fragments", [False, True], ids=["whole", "fragments"])
def test_good_responder(world, fragments):
    before = world.settled()
    sa = world.call(fragments=fragments).answer_init()
    sa.take_auth_request()
    draft = sa.auth_response()
    sa.reply(wire.Fragments(draft, 4) if fragments else draft)
    sa.sent_auth_response()
    world.carries(sa)
    assert not world.settled().risen(before)
    sa.close()
    world.hang_up(sa)


# ---- changes


def signature(function):
    """Other octets behind the AUTH method: of what was (length, AlgorithmIdentifier, signature)."""
    def change(draft, _sa):
        payload = draft.find(wire.AUTH)
        data = payload.body[4:]
        size = data[0]
        payload.body = payload.body[:4] + function(data[1:1 + size], data[1 + size:])
    return change


def rebuilt(algorithm, value):
    return bytes([len(algorithm)]) + algorithm + value


def dss(function):
    """Other r and s; of the same encoding."""
    return signature(lambda algorithm, value: rebuilt(algorithm, encode_dss_signature(
        *function(*decode_dss_signature(value)))))


def by(credentials, name=None):
    """Signed by somebody else, with that certificate, as `name` or still as we are."""
    def change(draft, sa):
        own, sa.own = sa.own, credentials(sa)
        sa.own.name = name or own.name
        again = sa.auth_request() if sa.initiator else sa.auth_response()
        draft.inner = again.inner
        sa.own = own
    return change


def algorithm(oid_hex, digest):
    """ECDSA with another hash, said so (RFC 7427 appendix A.3)."""
    def change(draft, sa):
        kind = ike.IDI if sa.initiator else wire.IDR
        octets = sa._octets(sa.initiator, draft.find(kind).body)
        value = sa.own.key.sign(octets, ec.ECDSA(digest()))
        identifier = bytes.fromhex("300a0608") + bytes.fromhex(oid_hex)
        draft.find(wire.AUTH).body = wire.auth(14, rebuilt(identifier, value))
    return change


def certificate(function):
    """Another body of CERT, encoding first."""
    return body(wire.CERT, lambda old: function(old[1:]))


def _stranger(_sa):
    leaf = Certified.stranger
    return Credentials(leaf.name, cert=leaf.cert, key=leaf.key)


def _outdated(_sa):
    leaf = Certified.outdated
    return Credentials(leaf.name, cert=leaf.cert, key=leaf.key)


def _self_signed(sa):
    """The name that is right, and nobody who vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, sa.own.name)])
    old = x509.load_der_x509_certificate(sa.own.cert)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
            .not_valid_before(old.not_valid_before).not_valid_after(old.not_valid_after)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(sa.own.name)]), False)
            .public_key(key.public_key()).sign(key, hashes.SHA256()))
    fake = copy.copy(sa.own)
    fake.key, fake.cert = key, made.public_bytes(serialization.Encoding.DER)
    return fake


def _other_key(sa):
    """The certificate is ours, the key is not its."""
    fake = copy.copy(sa.own)
    fake.key = ec.generate_private_key(ec.SECP256R1())
    return fake


def psk(draft, sa):
    """A shared key of nothing at all."""
    kind = ike.IDI if sa.initiator else wire.IDR
    octets = sa._octets(sa.initiator, draft.find(kind).body)
    draft.find(wire.AUTH).body = wire.auth(2, crypto.psk_auth("", octets))


# Of whoever should prove itself by a certificate; the event's reason tells signature from chain.
CERTIFICATE, IDENTITY = "ike.refused.certificate", "ike.refused.identity"


def table(good, failed, syntax):
    return [
        Case("certificate-omitted", "3.6", omit(wire.CERT), failed, CERTIFICATE),
        Case("certificate-behind-auth", "2.5", lambda draft, sa: draft.inner.append(
            draft.inner.pop(1)), good),
        Case("certificate-twice", "3.6", cases.repeat(wire.CERT), good),
        Case("certificate-cut", "3.6", certificate(lambda der: b"\4" + der[:-1]), failed,
             CERTIFICATE),
        Case("certificate-with-more-behind", "3.6", certificate(lambda der: b"\4" + der + b"\0"),
             failed, CERTIFICATE),
        Case("certificate-of-noise", "3.6", certificate(lambda der: b"\4" + os.urandom(len(der))),
             failed, CERTIFICATE),
        Case("certificate-flipped", "3.6", certificate(
            lambda der: b"\4" + der[:-1] + bytes([der[-1] ^ 1])), failed, CERTIFICATE),
        Case("certificate-60-KiB", "3.6", certificate(lambda der: b"\4" + bytes(60000)), failed,
             CERTIFICATE),
        Case("certificate-of-an-unknown-encoding", "3.6", certificate(lambda der: b"\xc8" + der),
             failed, CERTIFICATE),
        Case("certificate-as-a-revocation-list", "3.6", certificate(lambda der: b"\7" + der),
             failed, CERTIFICATE),
        Case("certificate-by-hash-and-url", "3.6", certificate(
            lambda der: b"\x0c" + bytes(20) + b"http://192.0.2.1/"), failed,
             f"{CERTIFICATE} ike.rx.hash_and_url"),
        Case("certificate-empty", "3.6", certificate(lambda der: b""), syntax, "ike.rx.cert"),
        Case("nine-more", "2.21.2", lambda draft, sa: draft.inner.extend(
            Payload(wire.CERT, b"\4xx") for _ in range(8)), syntax, "ike.rx.limit"),
        Case("seven-of-noise-behind", "3.6", lambda draft, sa: draft.inner.extend(
            Payload(wire.CERT, b"\4" + os.urandom(400)) for _ in range(7)), failed, CERTIFICATE),
        Case("self-signed", "4945: 5.1", by(_self_signed), failed, CERTIFICATE),
        Case("of-another-authority", "4945: 5.1", by(_stranger), failed, CERTIFICATE),
        Case("outdated", "4945: 5.1.3.8", by(_outdated), failed, CERTIFICATE),
        Case("another-key", "2.15", by(_other_key), failed, CERTIFICATE),
        Case("signature-flipped", "2.15", body(wire.AUTH, lambda old: old[:-1] + bytes(
            [old[-1] ^ 1])), failed, CERTIFICATE),
        Case("signature-r-0", "7427: 3", dss(lambda r, s: (0, s)), failed, CERTIFICATE),
        Case("signature-s-0", "7427: 3", dss(lambda r, s: (r, 0)), failed, CERTIFICATE),
        Case("signature-r-and-s-1", "7427: 3", dss(lambda r, s: (1, 1)), failed, CERTIFICATE),
        Case("signature-negative", "7427: 3", signature(lambda algorithm, value: rebuilt(
            algorithm, value[:4] + bytes([value[4] | 0x80]) + value[5:])), failed, CERTIFICATE),
        Case("signature-with-more-behind", "7427: 3", signature(
            lambda algorithm, value: rebuilt(algorithm, value + b"\0")), failed, CERTIFICATE),
        Case("signature-cut", "7427: 3", signature(
            lambda algorithm, value: rebuilt(algorithm, value[:-1])), failed, CERTIFICATE),
        Case("signature-empty", "7427: 3", signature(
            lambda algorithm, value: rebuilt(algorithm, b"")), failed, CERTIFICATE),
        Case("signature-raw", "7427: 3", signature(lambda algorithm, value: rebuilt(
            algorithm, b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(value)))),
             failed, CERTIFICATE),
        Case("algorithm-omitted", "7427: 3", signature(lambda algorithm, value: value), failed,
             CERTIFICATE),
        Case("algorithm-empty", "7427: 3", signature(lambda algorithm, value: b"\0" + value),
             failed, CERTIFICATE),
        Case("algorithm-beyond-the-end", "7427: 3", signature(
            lambda algorithm, value: b"\xff" + algorithm + value), failed, CERTIFICATE),
        Case("algorithm-of-noise", "7427: 3", signature(
            lambda algorithm, value: rebuilt(os.urandom(12), value)), failed, CERTIFICATE),
        Case("algorithm-with-null", "7427: A.3", signature(lambda algorithm, value: rebuilt(
            b"\x30\x0c" + algorithm[2:] + b"\5\0", value)), failed, CERTIFICATE),
        Case("algorithm-of-rsa", "7427: A.1", signature(lambda algorithm, value: rebuilt(
            bytes.fromhex("300d06092a864886f70d01010b0500"), value)), failed, CERTIFICATE),
        Case("hash-that-was-not-used", "7427: 3", signature(lambda algorithm, value: rebuilt(
            bytes.fromhex("300a06082a8648ce3d040303"), value)), failed, CERTIFICATE),
        Case("sha-384", "7427: A.3.3", algorithm("2a8648ce3d040303", hashes.SHA384), good),
        Case("sha-512", "7427: A.3.4", algorithm("2a8648ce3d040304", hashes.SHA512), good),
        Case("sha-1", "8247: 3", algorithm("2a8648ce3d0401", hashes.SHA1), failed,
             CERTIFICATE),
        Case("method-psk", "2.15", psk, failed, IDENTITY),
        Case("method-rsa", "3.8", body(wire.AUTH, lambda old: b"\1" + old[1:]), failed,
             CERTIFICATE),
        Case("method-null", "7619: 2", body(wire.AUTH, lambda old: b"\x0d" + old[1:]), failed,
             CERTIFICATE),
        Case("hash-algorithms-again", "7427: 4", add(ike.NOTIFY, ike.notify(
            wire.SIGNATURE_HASH_ALGORITHMS, b"\0\1")), good),
    ]


@pytest.mark.parametrize("case", **ids(table(
    Accepted(), Refused(wire.AUTHENTICATION_FAILED, ends=True),
    Refused(wire.INVALID_SYNTAX, ends=True))))
def test_auth_request(world, case):
    cases.run(world, AUTH, case)


@pytest.mark.parametrize("case", **ids(table(
    Taken(), Ends(wire.AUTHENTICATION_FAILED), Ends(wire.AUTHENTICATION_FAILED))))
def test_auth_response(world, case):
    cases.run(world, RESPONSE, case)
