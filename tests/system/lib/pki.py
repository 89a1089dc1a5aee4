"""Certificates for the tests, made with the openssl command, never with the code under test.

    root --- [intermediate] --- leaf

each with a key of one of KINDS, by default that of its issuer, and hashed as the issuer's key asks.

Files of a leaf: <name>.key (PKCS#8), <name>.crt (alone), <name>.chain (leaf first, then the
intermediates, not the root): what `certificate =` of a warren configuration wants.
"""

import os

from .lab import run

# kind of key -> (arguments of `openssl genpkey`, digest it signs with; Ed25519 takes none)
KINDS = {
    "p256": (("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "sha256"),
    "p384": (("EC", "-pkeyopt", "ec_paramgen_curve:P-384"), "sha384"),
    "p521": (("EC", "-pkeyopt", "ec_paramgen_curve:P-521"), "sha512"),
    "rsa2048": (("RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "sha256"),
    "rsa4096": (("RSA", "-pkeyopt", "rsa_keygen_bits:4096"), "sha512"),
    "ed25519": (("ED25519",), "sha512"),
}


class Pki:
    """One certificate authority in a directory of its own."""

    def __init__(self, directory, name="root", kind="p256", parent=None, usage="keyCertSign, cRLSign"):
        self.dir, self.name, self.kind, self.parent = directory, name, kind, parent
        self.cert, self.key = self._file("crt"), self._file("key")
        self._new_key(name, kind)
        extensions = (f"basicConstraints = critical, CA:TRUE\nkeyUsage = critical, {usage}\n"
                      "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n")
        subject = f"/O=Warren Test/CN={name}"
        if parent is None:
            self._self_signed(subject, extensions)
        else:
            parent.sign(name, subject, extensions, directory)

    def _file(self, suffix, name=None):
        return os.path.join(self.dir, f"{name or self.name}.{suffix}")

    def _new_key(self, name, kind):
        run("openssl", "genpkey", "-algorithm", *KINDS[kind][0], "-out", self._file("key", name))

    def _digest(self):
        return KINDS[self.kind][1]

    def _self_signed(self, subject, extensions):
        conf = self._file("cnf")
        with open(conf, "w") as file:
            file.write("[req]\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n[ext]\n"
                       + extensions.replace("authorityKeyIdentifier = keyid\n", ""))
        run("openssl", "req", "-x509", "-new", "-key", self.key, "-subj", subject, "-days", "3650",
            f"-{self._digest()}", "-config", conf, "-out", self.cert)

    def sign(self, name, subject, extensions, directory, start=None, end=None):
        """Issue a certificate for <directory>/<name>.key. start, end: YYYYMMDDHHMMSSZ."""
        base = os.path.join(directory, name)
        conf = base + ".cnf"
        with open(conf, "w") as file:
            file.write(f"[req]\ndistinguished_name = dn\n[dn]\n[ca]\ndefault_ca = this\n[this]\n"
                       f"database = {base}.db\nserial = {base}.serial\n"
                       f"new_certs_dir = {directory}\npolicy = any\nunique_subject = no\n[any]\n"
                       f"commonName = optional\norganizationName = optional\n[ext]\n{extensions}")
        open(base + ".db", "w").close()
        with open(base + ".serial", "w") as file:
            file.write("01" + os.urandom(8).hex() + "\n")
        run("openssl", "req", "-new", "-key", base + ".key", "-subj", subject, "-config", conf,
            "-out", base + ".csr")
        dates = ["-days", "730"]
        if start or end:
            dates = ["-startdate", start or "20200101000000Z", "-enddate", end or "20400101000000Z"]
        run("openssl", "ca", "-batch", "-notext", "-config", conf, "-extensions", "ext", "-md",
            self._digest(), "-cert", self.cert, "-keyfile", self.key, "-in", base + ".csr",
            "-out", base + ".crt", "-preserveDN", *dates)

    def intermediate(self, name, kind=None):
        return Pki(self.dir, name, kind or self.kind, parent=self)

    def leaf(self, name, san=None, kind=None, start=None, end=None, subject=None):
        """Issue an end-entity certificate; san as openssl writes it (default DNS:<name>)."""
        self._new_key(name, kind or self.kind)
        extensions = ("basicConstraints = CA:FALSE\nkeyUsage = digitalSignature\n"
                      "extendedKeyUsage = serverAuth, clientAuth\n"
                      "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
                      f"subjectAltName = {san or 'DNS:' + name}\n")
        self.sign(name, subject or f"/O=Warren Test/CN={name}", extensions, self.dir, start, end)
        leaf = Leaf(name, self._file("crt", name), self._file("chain", name),
                    self._file("key", name), subject or f"O=Warren Test, CN={name}")
        self._write_chain(leaf)
        return leaf

    def _write_chain(self, leaf):
        parts, authority = [leaf.cert], self
        while authority.parent is not None:
            parts.append(authority.cert)
            authority = authority.parent
        with open(leaf.chain, "w") as chain:
            for part in parts:
                with open(part) as cert:
                    chain.write(cert.read())

    def expired(self, name, **kwargs):
        return self.leaf(name, start="20200101000000Z", end="20210101000000Z", **kwargs)

    def not_yet_valid(self, name, **kwargs):
        return self.leaf(name, start="20390101000000Z", **kwargs)


class Leaf:
    """Paths of an end-entity certificate."""

    def __init__(self, name, cert, chain, key, subject):
        self.name, self.cert, self.chain, self.key, self.subject = name, cert, chain, key, subject
