"""Keys of IKEv2, as RFC 7296 sections 2.13 to 2.18, RFC 5282 and RFC 7427 have them.

PRF is HMAC-SHA-256, key exchange X25519 or ECP-256; the Encrypted payload AES-GCM-128 with an ICV
of 16 octets, ChaCha20-Poly1305 (RFC 7634), AES-CBC-128 with HMAC-SHA-256-128, or AES-CBC-256 with
HMAC-SHA-512-256.
"""

import dataclasses
import hashlib
import hmac
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

GCM, CBC, CHACHA, CBC_512 = "aes128gcm16", "aes128-sha256", "chacha20poly1305", "aes256-sha512"
X25519, ECP_256 = 31, 19
PRF_LEN = 32


def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def prf_plus(key, seed, size):
    """Section 2.13."""
    out, block, number = b"", b"", 1
    while len(out) < size:
        block = prf(key, block + seed + bytes([number]))
        out, number = out + block, number + 1
    return out[:size]


class Gcm:
    """RFC 5282: key and salt, the IV in the payload is the other part of the nonce."""

    overhead = 8 + 16
    key_len, integ_len = 16 + 4, 0

    def __init__(self, key, _integ):
        self._aead, self._salt = AESGCM(key[:16]), key[16:]

    @staticmethod
    def padding(_size):
        return b""

    def seal(self, head, plain):
        iv = os.urandom(8)
        return iv + self._aead.encrypt(self._salt + iv, plain, head)

    def open(self, head, body):
        return self._aead.decrypt(self._salt + body[:8], body[8:], head)


class Chacha(Gcm):
    """RFC 7634 section 2: the same construction."""

    key_len = 32 + 4

    def __init__(self, key, integ):
        super().__init__(key, integ)
        self._aead, self._salt = ChaCha20Poly1305(key[:32]), key[32:]


class Cbc:
    """Section 3.14: encrypt, then the checksum over the message from its first octet."""

    key_len, integ_len, digest = 16, 32, hashlib.sha256
    overhead = 16 + 16

    def __init__(self, key, integ):
        self._key, self._integ = key, integ

    @staticmethod
    def padding(size):
        return bytes(-(size + 1) % 16)

    def seal(self, head, plain):
        iv = os.urandom(16)
        encryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).encryptor()
        # What does not fill a block cannot be encrypted: a message that is to be wrong in that.
        whole = len(plain) - len(plain) % 16
        body = iv + encryptor.update(plain[:whole]) + encryptor.finalize() + plain[whole:]
        return body + self._checksum(head + body)

    def _checksum(self, data):
        """Half of the digest (RFC 4868 section 2.1)."""
        return hmac.digest(self._integ, data, self.digest)[:self.integ_len // 2]

    def open(self, head, body):
        size = self.integ_len // 2
        iv, data, icv = body[:16], body[16:-size], body[-size:]
        assert hmac.compare_digest(icv, self._checksum(head + body[:-size])), "ICV"
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).decryptor()
        return decryptor.update(data) + decryptor.finalize()


class Cbc512(Cbc):
    key_len, integ_len, digest = 32, 64, hashlib.sha512
    overhead = 16 + 32


CIPHERS = {GCM: Gcm, CBC: Cbc, CHACHA: Chacha, CBC_512: Cbc512}
# The transforms of each: (type, id, bits); ESN transforms say no (section 3.3.2).
IKE_TRANSFORMS = {GCM: [(1, 20, 128), (2, 5)], CBC: [(1, 12, 128), (2, 5), (3, 12)],
                  CHACHA: [(1, 28), (2, 5)], CBC_512: [(1, 12, 256), (2, 5), (3, 14)]}
ESP_TRANSFORMS = {GCM: [(1, 20, 128), (5, 0)], CBC: [(1, 12, 128), (3, 12), (5, 0)],
                  CHACHA: [(1, 28), (5, 0)], CBC_512: [(1, 12, 256), (3, 14), (5, 0)]}


def suite_of(transforms):
    """The suite that an answer chose, and its key exchange method or 0; it must be one of ours."""
    plain = [(kind, number, *([bits] if bits else [])) for kind, number, bits in transforms]
    method = next((number for kind, number, _ in transforms if kind == 4), 0)
    wanted = sorted(t for t in plain if t[0] != 4)
    for table in (IKE_TRANSFORMS, ESP_TRANSFORMS):
        for name, items in table.items():
            if sorted(items) == wanted:
                return name, method
    raise AssertionError(f"chosen was {plain}, which nobody offered")


class KeyPair:
    def __init__(self, method=X25519):
        self.method = method
        if method == X25519:
            self._key = x25519.X25519PrivateKey.generate()
            self.public = self._key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self.public = self._key.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]

    def shared(self, public):
        if self.method == X25519:
            return self._key.exchange(x25519.X25519PublicKey.from_public_bytes(public))
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + public)
        return self._key.exchange(ec.ECDH(), point)


@dataclasses.dataclass
class Keys:
    """Of one IKE SA, as its original initiator and responder use them."""

    d: bytes
    from_i: object
    from_r: object
    pi: bytes
    pr: bytes


def ike_keys(suite, skeyseed, ni, nr, spi_i, spi_r):
    """Section 2.14."""
    cipher = CIPHERS[suite]
    sizes = [PRF_LEN, cipher.integ_len, cipher.integ_len, cipher.key_len, cipher.key_len, PRF_LEN,
             PRF_LEN]
    stream = prf_plus(skeyseed, ni + nr + spi_i + spi_r, sum(sizes))
    parts = []
    for size in sizes:
        parts.append(stream[:size])
        stream = stream[size:]
    d, ai, ar, ei, er, pi, pr = parts
    return Keys(d, cipher(ei, ai), cipher(er, ar), pi, pr)


def first_keys(suite, shared, ni, nr, spi_i, spi_r):
    return ike_keys(suite, prf(ni + nr, shared), ni, nr, spi_i, spi_r)


def rekeyed_keys(suite, old_d, shared, ni, nr, spi_i, spi_r):
    """Section 2.18."""
    return ike_keys(suite, prf(old_d, shared + ni + nr), ni, nr, spi_i, spi_r)


def child_keys(suite, d, ni, nr, shared=b""):
    """Section 2.17: ((encryption, integrity) from the initiator, likewise from the responder)."""
    cipher = CIPHERS[suite]
    size = cipher.key_len + cipher.integ_len
    stream = prf_plus(d, shared + ni + nr, 2 * size)
    return tuple((stream[at:at + cipher.key_len], stream[at + cipher.key_len:at + size])
                 for at in (0, size))


def psk_auth(psk, octets):
    """Section 2.15."""
    return prf(prf(psk.encode(), b"Key Pad for IKEv2"), octets)


# ---- certificates (RFC 7427 section 3: ASN.1 length, AlgorithmIdentifier, signature)

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def load_key(path):
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def load_cert(path):
    """DER of the first certificate in the file."""
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read()).public_bytes(serialization.Encoding.DER)


def sign(key, octets):
    signature = key.sign(octets, ec.ECDSA(hashes.SHA256()))
    return bytes([len(ECDSA_SHA256)]) + ECDSA_SHA256 + signature


def verify(cert, data, octets):
    """The key in the certificate made that AUTH; raises if not."""
    size = data[0]
    assert data[1:1 + size] == ECDSA_SHA256
    x509.load_der_x509_certificate(cert).public_key().verify(data[1 + size:], octets,
                                                             ec.ECDSA(hashes.SHA256()))
