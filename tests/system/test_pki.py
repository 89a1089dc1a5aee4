"""`warren pki` as a user meets it. openssl(1), and strongSwan's pki where it is installed, judge what
it makes; no daemon takes part."""

import concurrent.futures
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

from lib.lab import run
from lib.warren import binary

SITE = "site-b.example"


class Desk:
    """A directory to work in."""

    def __init__(self, path):
        self.path = path

    def pki(self, *words, check=True, **kwargs):
        done = run(binary("warren"), "pki", *words, check=False, cwd=self.path, **kwargs)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def json(self, *words, check=True):
        return json.loads(self.pki(*words, "--json", check=check).stdout)

    def refused(self, *words, code=1):
        """A refusal: one line on standard error, nothing on standard output."""
        done = self.pki(*words, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stdout == "" and done.stderr.count("\n") == 1, done.stdout + done.stderr
        as_json = self.pki(*words, "--json", check=False)
        assert as_json.returncode == code and json.loads(as_json.stdout)["error"]
        return done.stderr

    def openssl(self, *words, check=True):
        return run("openssl", *words, check=check, cwd=self.path)

    def file(self, name):
        return self.path / name

    def mode(self, name):
        return stat.S_IMODE(os.stat(self.file(name)).st_mode)

    def names(self):
        return sorted(os.listdir(self.path))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def corp(desk):
    """A desk with the authority of 10.0.0.0/8 and fd00::/8 in the usual place."""
    desk.pki("init", "--name", "corp", "--domain", "10.0.0.0/8,fd00::/8")
    return desk


def _joined(corp):
    """A hub and a site, each by request and signature."""
    corp.pki("request", "--id", "hub1.example.net")
    corp.pki("sign", "hub1.example.net.req", "--hub")
    corp.pki("request", "--id", SITE, "--prefix", "10.2.0.0/16", "--prefix", "fd00:2::/32")
    corp.pki("sign", f"{SITE}.req", "--as-requested", "--cert", f"{SITE}.pem")


def test_request_sign_show(corp):
    """R01: what a new site needs, and the same seen by openssl."""
    _joined(corp)
    shown = corp.json("show", f"{SITE}.warren")
    assert shown["valid"] and shown["network"] == "corp" and shown["role"] == "site"
    assert shown["id"] == SITE and shown["hubs"] == ["hub1.example.net"]
    assert shown["prefixes"] == ["10.2.0.0/16", "fd00:2::/32"]
    assert shown["domain"] == ["10.0.0.0/8", "fd00::/8"]
    hub = corp.json("show", "hub1.example.net.warren")
    assert hub["role"] == "hub" and hub["prefixes"] == shown["domain"] and hub["hubs"] == []
    assert corp.json("show", "warren-ca/ca.pem")["sha256"] == shown["anchor_sha256"]

    corp.openssl("verify", "-x509_strict", "-CAfile", "warren-ca/ca.pem", f"{SITE}.pem")
    corp.openssl("req", "-in", f"{SITE}.req", "-verify", "-noout")
    text = corp.openssl("x509", "-in", f"{SITE}.warren", "-noout", "-text").stdout
    assert f"DNS:{SITE}" in text and "10.2.0.0/16" in text and "fd00:2::/32" in text
    assert "sbgp-ipAddrBlock: critical" not in text and "CA:FALSE" in text
    serial = corp.openssl("x509", "-in", f"{SITE}.pem", "-noout", "-serial").stdout
    assert serial.strip().lower() == f"serial={shown['serial']}"
    # The key that stayed on the site is that of the certificate.
    key = corp.openssl("pkey", "-in", f"{SITE}.key", "-pubout").stdout
    assert key == corp.openssl("x509", "-in", f"{SITE}.pem", "-noout", "-pubkey").stdout


def test_strongswan_accepts_the_chain(corp):
    if not shutil.which("pki"):
        pytest.skip("strongSwan's pki is not installed (package strongswan-pki)")
    _joined(corp)
    done = run("pki", "--verify", "--in", f"{SITE}.pem", "--cacert", "warren-ca/ca.pem",
               cwd=corp.path)
    assert "certificate trusted" in done.stdout
    corp.pki("revoke", SITE)
    done = run("pki", "--verify", "--in", f"{SITE}.pem", "--cacert", "warren-ca/ca.pem", "--crl",
               "warren-ca/crl.pem", "--online", cwd=corp.path, check=False)
    assert done.returncode != 0 and "revoked" in done.stdout + done.stderr


def test_foreign_request(corp):
    """A request made by openssl(1), as for a gateway that is not ours."""
    corp.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes",
                 "-keyout", "f.key", "-out", "f.req", "-subj", "/CN=gw.partner.example", "-addext",
                 "subjectAltName=DNS:gw.partner.example")
    assert corp.json("sign", "f.req", "--prefix", "10.77.0.0/16")["id"] == "gw.partner.example"
    # Without a subjectAltName somebody has to say who it is; another name is refused.
    corp.openssl("req", "-new", "-key", "f.key", "-out", "bare.req", "-subj", "/CN=gw")
    assert "--id" in corp.refused("sign", "bare.req", "--prefix", "10.78.0.0/16")
    assert corp.json("sign", "bare.req", "--id", "gw2.example", "--prefix",
                     "10.78.0.0/16")["id"] == "gw2.example"
    assert "not for other.example" in corp.refused("sign", "f.req", "--id", "other.example",
                                                   "--prefix", "10.79.0.0/16")
    for bits in (1024, 2048):
        corp.openssl("req", "-new", "-newkey", f"rsa:{bits}", "-nodes", "-keyout", "r.key", "-out",
                     f"r{bits}.req", "-subj", "/CN=r.example", "-addext",
                     "subjectAltName=DNS:r.example")
    assert "RSA of 1024 bits" in corp.refused("sign", "r1024.req", "--prefix", "10.80.0.0/16")
    assert corp.json("sign", "r2048.req", "--prefix", "10.80.0.0/16")["id"] == "r.example"


def test_secrets_stay_where_they_are(corp):
    """S4: keys have mode 0600 whatever the umask; nothing of them is printed or in a bundle."""
    for name in ("warren-ca", "warren-ca/ca.key"):
        assert corp.mode(name) & 0o077 == 0
    old = os.umask(0)
    try:
        said = [corp.pki("request", "--id", SITE), corp.pki("site", "--id", "c.example", "--prefix",
                                                            "10.3.0.0/16", "--json")]
    finally:
        os.umask(old)
    assert corp.mode(f"{SITE}.key") == 0o600 and corp.mode("c.example.key") == 0o600
    said.append(corp.pki("show", f"{SITE}.key", check=False))
    assert said[-1].returncode == 1
    secret = "".join(corp.file("c.example.key").read_text().splitlines()[1:-1])[40:80]
    assert all("PRIVATE" not in s.stdout + s.stderr and secret not in s.stdout + s.stderr
               for s in said)
    bundle = corp.file("c.example.warren").read_text()
    assert "PRIVATE" not in bundle and secret not in bundle.replace("\n", "")


def test_nothing_is_overwritten(corp):
    corp.pki("site", "--id", SITE, "--prefix", "10.2.0.0/16")
    before = {name: corp.file(name).read_bytes() for name in corp.names() if name != "warren-ca"}
    index = corp.file("warren-ca/index").read_bytes()
    assert "not overwritten" in corp.refused("request", "--id", SITE)
    assert "not overwritten" in corp.refused("site", "--id", SITE, "--prefix", "10.2.0.0/16")
    assert "not empty" in corp.refused("init", "--name", "x", "--domain", "10.0.0.0/8")
    assert {name: corp.file(name).read_bytes() for name in before} == before
    assert corp.names() == sorted([*before, "warren-ca"]), "a failure leaves no file"
    assert corp.file("warren-ca/index").read_bytes() == index


def test_renewal_with_the_same_key(corp):
    """The site keeps its key, and nothing has to be forced."""
    _joined(corp)
    corp.pki("request", "--id", SITE, "--key", f"{SITE}.key", "--out", "again.req")
    assert "not overwritten" in corp.refused("sign", "again.req", "--prefix", "10.2.0.0/16")
    corp.pki("sign", "again.req", "--prefix", "10.2.0.0/16", "--out", "again.warren")
    assert "again.key" not in corp.names()
    # Another key for that identity is a matter of intent, and replaces the file.
    corp.pki("request", "--id", SITE, "--out", "other")
    assert "--renew" in corp.refused("sign", "other", "--prefix", "10.2.0.0/16", "--out", "o")
    corp.pki("sign", "other", "--prefix", "10.2.0.0/16", "--renew")
    issued = corp.json("list")["issued"]
    assert [row["id"] for row in issued].count(SITE) == 3
    assert corp.json("show", f"{SITE}.warren")["serial"] == issued[-1]["serial"]


def test_prefixes_outside_and_overlapping(corp):
    """S1: claims are settled where certificates are made."""
    corp.pki("site", "--id", SITE, "--prefix", "10.2.0.0/16")
    text = corp.refused("site", "--id", "c.example", "--prefix", "10.2.128.0/17")
    assert "10.2.128.0/17 overlaps" in text and SITE in text and "--force" in text
    text = corp.refused("site", "--id", "c.example", "--prefix", "192.168.0.0/16")
    assert "192.168.0.0/16 is not inside the network's domain, 10.0.0.0/8" in text
    assert not [name for name in corp.names() if name.startswith("c.example")]
    corp.pki("site", "--id", "c.example", "--prefix", "10.2.128.0/17", "--force")
    corp.pki("revoke", "c.example")
    corp.pki("revoke", SITE)
    corp.pki("site", "--id", "d.example", "--prefix", "10.2.0.0/16")


def test_revoke(corp):
    _joined(corp)
    verify = ("verify", "-crl_check", "-CRLfile", "warren-ca/crl.pem", "-CAfile",
              "warren-ca/ca.pem", f"{SITE}.pem")
    assert corp.json("crl")["revoked"] == 0
    corp.openssl(*verify)
    serial = corp.json("show", f"{SITE}.warren")["serial"]
    assert corp.json("revoke", serial.upper())["revoked"] == 1
    done = corp.openssl(*verify, check=False)
    assert done.returncode != 0 and "revoked" in done.stderr
    assert "already" in corp.refused("revoke", SITE)
    assert "neither" in corp.refused("revoke", "nobody.example")
    states = {row["id"]: row["state"] for row in corp.json("list")["issued"]}
    assert states == {"hub1.example.net": "valid", SITE: "revoked"}
    text = corp.openssl("crl", "-in", "warren-ca/crl.pem", "-noout", "-text").stdout
    assert re.search(r"CRL Number:\s+2\b", text) and serial.upper() in text
    assert "revoked" in corp.pki("list").stdout


def test_bad_bundles(corp, tmp_path_factory):
    """S2: cut, edited, mixed, foreign: refused, naming what is wrong."""
    rival = Desk(tmp_path_factory.mktemp("rival"))
    rival.pki("init", "--name", "rival", "--domain", "10.0.0.0/8")
    for at, site, prefix in ((corp, SITE, "10.2.0.0/16"), (corp, "c.example", "10.3.0.0/16"),
                             (rival, SITE, "10.2.0.0/16")):
        at.pki("site", "--id", site, "--prefix", prefix, "--hubs", "hub1.example.net")
    good = corp.file(f"{SITE}.warren").read_text()
    other = corp.file("c.example.warren").read_text()
    theirs = rival.file(f"{SITE}.warren").read_text()
    begin = "-----BEGIN "
    # Heads of the four parts: the first line, certificate, anchor, manifest.
    parts = [text.split(begin) for text in (good, other, theirs)]
    mine, c, r = parts
    cases = {
        "the text ends": good[:-1],
        "ends inside the manifest": good[:-200],
        "ends inside the certificate": good[:300],
        "bytes follow": good + "\n",
        "first line": good[1:],
        "version": good.replace("bundle 1", "bundle 7"),
        "parts of two bundles: the certificate is for c.example":
            begin.join([mine[0], c[1], mine[2], mine[3]]),
        "the manifest is edited": begin.join([mine[0], mine[1], mine[2], r[3]]),
        'signed neither the certificate "O=corp, CN=site-b.example" nor':
            begin.join([mine[0], mine[1], r[2], mine[3]]),
        'issued by "O=rival, CN=rival CA", not by the trust anchor "O=corp, CN=corp CA"':
            begin.join([mine[0], r[1], mine[2], mine[3]]),
        "should begin here": begin.join([mine[0], mine[1], mine[3]]),
        "not the base64": good.replace("\nMII", "\nM!I", 1),
        "neither a bundle": "\0\x1b[2J",
        "larger than 64 KiB": good * 60,
    }
    for reason, text in cases.items():
        corp.file("bad.warren").write_text(text)
        said = corp.refused("show", "bad.warren")
        assert "bad.warren: " in said and reason in said, said
    corp.file("dos.warren").write_text(good.replace("\n", "\r\n"), newline="")
    assert corp.json("show", "dos.warren")["valid"]


def test_bad_requests(corp):
    """S2: a request that was changed on its way is not signed."""
    corp.pki("request", "--id", SITE)
    lines = corp.file(f"{SITE}.req").read_text().splitlines()
    lines[-2] = lines[-2][:8] + ("A" if lines[-2][8] != "A" else "B") + lines[-2][9:]
    corp.file("bad.req").write_text("\n".join(lines) + "\n")
    assert "signature" in corp.refused("sign", "bad.req", "--prefix", "10.2.0.0/16")
    for text in ("", "hello\n", "\n".join(lines[:4]) + "\n"):
        corp.file("bad.req").write_text(text)
        assert "bad.req: no PEM certificate request" in corp.refused("sign", "bad.req", "--prefix",
                                                                     "10.2.0.0/16")
    assert corp.json("list")["issued"] == []
    assert f"{SITE}.warren" not in corp.names()


@pytest.mark.parametrize("words, part", [
    ([], "lacks its command"),
    (["frobnicate"], "unknown command"),
    (["init"], "--name is missing"),
    (["init", "--name", "a"], "--domain is missing"),
    (["init", "--name", "a", "--domain", "10.0.0.1/8"], "--domain: not a prefix: \"10.0.0.1/8\""),
    (["init", "--name", "a", "--domain", "10.0.0.0/8,"], "not a prefix: \"\""),
    (["init", "--name", "a", "--domain", "10.0.0.0/8", "--days", "0"], "--days: not a number"),
    (["init", "--name", "a", "--domain", "10.0.0.0/8", "--days", "-5"], "--days: not a number"),
    (["init", "--name", "a", "--domain", "10.0.0.0/8", "--days", "99999"], "1 to 36500"),
    (["init", "--name", "a", "--name", "b", "--domain", "10.0.0.0/8"], "--name is given twice"),
    (["init", "--name=", "--domain", "10.0.0.0/8"], "--name lacks its value"),
    (["init", "--name"], "--name lacks its value"),
    (["request", "--id", "a b"], "--id: not an identity: \"a b\""),
    (["request", "--id", "../x@y"], "--id: not an identity"),
    (["request", "--id", "a.example", "--hub"], "unknown option \"--hub\"; usage: warren pki req"),
    (["sign"], "REQUEST is missing"),
    (["sign", "a", "b"], "too many words: \"b\""),
    (["sign", "a", "--force=yes"], "--force takes no value"),
    (["sign", "a", "--hubs", "hub:1"], "--hubs: not the name or address of a hub: \"hub:1\""),
    (["show"], "FILE is missing"),
    (["list", "x"], "too many words"),
    (["revoke"], "ID|SERIAL is missing"),
])
def test_usage(desk, words, part):
    assert part in desk.refused(*words, code=2)
    assert desk.names() == []


@pytest.mark.parametrize("words, part", [
    (["list"], "warren-ca: No such file or directory"),
    (["sign", "absent.req", "--prefix", "10.2.0.0/16"], "absent.req: No such file"),
    (["show", "/"], "/: not a regular file"),
    (["init", "--name", "a b", "--domain", "10.0.0.0/8"], "not the name of a network: \"a b\""),
    (["init", "--name", "a", "--domain", "10.0.0.0/8", "--key-type", "p521"], "accepted: ecdsa-p256, ecdsa-p384"),
    (["init", "--name", "a", "--domain", "10.0.0.0/8", "--dir", "/nonexistent/x"], "/nonexistent"),
    (["request", "--id", "a.example", "--out", "no/such/dir"], "no/such/dir"),
])
def test_refusals(desk, words, part):
    assert part in desk.refused(*words)
    assert desk.names() == []


def test_whole_internet(desk):
    """S3: a domain that is everything."""
    desk.pki("init", "--name", "all", "--domain", "0.0.0.0/0", "--domain", "::/0", "--key-type",
             "ecdsa-p384")
    made = desk.json("site", "--id", "a.example", "--prefix", "192.0.2.0/24,2001:db8::/32")
    shown = desk.json("show", made["bundle"])
    assert shown["domain"] == ["0.0.0.0/0", "::/0"]
    desk.openssl("verify", "-CAfile", "warren-ca/ca.pem", made["certificate"])


def test_signers_at_once(corp):
    """Two shells sign at the same time: neither loses the other's line, and one of two claims to
    a prefix wins."""
    def site(i):
        return corp.pki("site", "--id", f"s{i}.example", "--prefix", f"10.{i // 2}.0.0/16",
                        check=False).returncode

    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        codes = list(pool.map(site, range(12)))
    issued = corp.json("list")["issued"]
    assert codes.count(0) == 6 and len(issued) == 6
    assert len({row["prefixes"][0] for row in issued}) == 6
    assert {row["id"] for row in issued} == {f"s{i}.example" for i in range(12) if codes[i] == 0}


def test_full_disk(corp):
    """An index that cannot be written: nothing is issued, nothing is lost."""
    before = corp.file("warren-ca/index").read_bytes()
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@"', "sh", binary("warren"), "pki", "site",
         "--id", SITE, "--prefix", "10.2.0.0/16"],
        cwd=corp.path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "File too large" in done.stderr, done.stderr
    assert corp.file("warren-ca/index").read_bytes() == before
    assert corp.names() == ["warren-ca"] and sorted(os.listdir(corp.file("warren-ca"))) == [
        "ca.key", "ca.pem", "index"]
    corp.pki("site", "--id", SITE, "--prefix", "10.2.0.0/16")


def test_help(desk):
    for words in ([], ["sign"]):
        assert "warren-pki(1)" in desk.pki(*words, "--help").stdout
