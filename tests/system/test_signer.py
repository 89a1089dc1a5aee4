"""S4: the process that handles packets has no long-term secret in its memory and is no longer root;
the signer has nothing but them."""

import base64
import hashlib
import hmac
import os
import re
import signal

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lib import topo
from lib.lab import run
from lib.pki import Pki
from lib.wait import until
from lib.warren import PSK, Warrend, binary, cert_peer, psk_pair, psk_peer

PSK = "p4ss phrase of the t0wn musicians"
PSK_FILE = "s3cret in a file, quite another one"
CHUNK = 1 << 20
SHADOW = 64 << 30                       # no mapping of ours is that large

# CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW; CAP_DAC_READ_SEARCH.
DAEMON_CAPS, SIGNER_CAPS = 0x3400, 0x4


# ---- looking into memory -------------------------------------------------------------------------

def maps(pid):
    """(start, end) of everything that can be read. The shadow of a sanitizer, terabytes that stand
    for the rest of the memory, has no data."""
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            where, mode = line.split()[:2]
            if mode.startswith("r") and "[vvar" not in line and "[vsyscall]" not in line:
                start, end = (int(number, 16) for number in where.split("-"))
                if end - start < SHADOW:
                    yield start, end


def search(pid, needles):
    """Names of the needles {name: bytes} that are in the memory of a process, and how much of it
    was read."""
    found, total = set(), 0
    overlap = max(len(needle) for needle in needles.values())
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for start, end in maps(pid):
            tail, at = b"", start
            while at < end:
                try:
                    mem.seek(at)
                    block = mem.read(min(CHUNK, end - at))
                except OSError:         # a page that is not there
                    tail, at = b"", at + 4096
                    continue
                if not block:
                    break
                at += len(block)
                total += len(block)
                text = tail + block
                found |= {name for name, needle in needles.items() if needle in text}
                tail = text[-overlap:]
    return found, total


def psk_needles(name, psk):
    """A pre-shared key and what RFC 7296 section 2.15 makes of it first."""
    pads = {f"{name} {kind}": hmac.digest(psk.encode(), b"Key Pad for IKEv2", kind)
            for kind in ("sha256", "sha384", "sha512")}
    return {name: psk.encode(), f"{name} hex": psk.encode().hex().encode(),
            f"{name} base64": base64.b64encode(psk.encode()), **pads}


def secret_numbers(key):
    """{name: bytes} of what makes a private key private, big-endian; for Ed25519 the seed and the
    scalar that RFC 8032 section 5.1.5 makes of it."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                 serialization.NoEncryption())
        scalar = bytearray(hashlib.sha512(seed).digest()[:32])
        scalar[0] &= 248
        scalar[31] = scalar[31] & 127 | 64
        return {"seed": seed, "scalar": bytes(reversed(scalar))}
    numbers = key.private_numbers()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"scalar": numbers.private_value.to_bytes((key.key_size + 7) // 8, "big")}
    half = key.key_size // 16
    return {"d": numbers.d.to_bytes(2 * half, "big"),
            **{part: getattr(numbers, part).to_bytes(half, "big")
               for part in ("p", "q", "dmp1", "dmq1", "iqmp")}}


def secret_lines(key, pem):
    """Those lines of PEM that anybody who has the public key cannot know: not the end of an EC key,
    nor the beginning of an RSA key."""
    lines = [line for line in pem.splitlines() if not line.startswith(b"-----")]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return lines
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return lines[:2 if key.key_size == 256 else 3]
    return lines[len(lines) // 3:]


def key_needles(name, path):
    """A private key: its numbers in both byte orders, its lines of PEM."""
    with open(path, "rb") as file:
        pem = file.read()
    key = serialization.load_pem_private_key(pem, None)
    numbers = secret_numbers(key)
    return {**{f"{name} {part} big-endian": number for part, number in numbers.items()},
            **{f"{name} {part} little-endian": bytes(reversed(number))
               for part, number in numbers.items()},
            **{f"{name} line {number}": line
               for number, line in enumerate(secret_lines(key, pem))}}


def children_of(daemon):
    """Name -> pid."""
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as file:
        return {status_of(pid)["Name"]: int(pid) for pid in file.read().split()}


def signer_of(daemon):
    return children_of(daemon)["warren-signer"]


def must_not_have(daemon, needles, wanted_in_signer):
    """Nothing in the daemon; in the signer what it works with: the search finds what is there."""
    found, total = search(daemon.pid, needles)
    assert not found, f"{sorted(found)} in the memory of the daemon"
    assert total > 4 << 20, total
    found, _ = search(signer_of(daemon), needles)
    assert wanted_in_signer <= found, f"the signer has {sorted(found)} only"
    found, _ = search(children_of(daemon)["warren-resolved"], needles)
    assert not found, f"{sorted(found)} in the memory of who talks to systemd-resolved"


def use_commands(daemon):
    """What makes the daemon look at its configuration again."""
    for command in (["peers"], ["status"], ["why"], ["reload", "--dry-run"], ["reload"]):
        daemon.cli(*command, check=False)


# ---- tests -----------------------------------------------------------------------------------------

def test_search_finds(lab):
    """The search finds what a process has, and nothing else."""
    secret, other = os.urandom(20).hex(), os.urandom(20).hex()
    other_proc = lab.popen("sleep", "sleep", "60", env={**os.environ, "SECRET": secret})
    needles = {"its": secret.encode(), "nobody's": other.encode()}
    until(lambda: search(other_proc.pid, needles)[0] == {"its"}, "the secret to be found")


def test_no_pre_shared_key_in_the_daemon(two_sites):
    """S4: in the file itself, and in a file of its own."""
    net = two_sites
    secret = net.lab.path("psk")
    with open(secret, "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(PSK_FILE + "\n")
    left, right = psk_pair(net, run_them=False)
    others = {"address": "192.0.2.77", "local_id": "site-a.example", "start": "listen",
              "local_ts": ["10.1.0.0/16"]}
    for daemon, here, there, mine, other in (
            (left, net.a, net.b, "site-a.example", "site-b.example"),
            (right, net.b, net.a, "site-b.example", "site-a.example")):
        name = "b" if here is net.a else "a"
        first = psk_peer(here, there, mine, other, 4, start="up" if here is net.a else "listen")
        del first["psk"]
        first["psk_file"] = secret
        more = {**others, "remote_id": "inline.example", "remote_ts": ["10.77.0.0/16"], "psk": PSK,
                "local_id": mine, "local_ts": [here.lan4]}
        coded = {**more, "address": "192.0.2.78", "remote_id": "hex.example",
                 "remote_ts": ["10.78.0.0/16"], "psk": "0x" + PSK.encode().hex()}
        daemon.configure({}, {name: first, "inline": more, "hex": coded})
    right.start()
    left.start()
    left.wait_up("b")
    right.wait_up("a")
    needles = {**psk_needles("inline", PSK), **psk_needles("psk_file", PSK_FILE)}
    for daemon in (left, right):
        use_commands(daemon)
        must_not_have(daemon, needles, {"inline", "psk_file"})
    net.a.host.ping(net.b.host4)


# What of a key the signer has in its memory for sure, as libcrypto keeps it.
KEPT = {"p256": "scalar little-endian", "p384": "scalar little-endian", "rsa2048": "p little-endian",
        "ed25519": "seed big-endian"}


@pytest.mark.parametrize("kinds", [("p256", "p384"), ("rsa2048", "ed25519")], ids="-".join)
def test_no_private_key_in_the_daemon(two_sites, tmp_path, kinds):
    """S4: one kind of key on one side, one on the other; the whole PKCS#8 file is searched for."""
    net = two_sites
    root = Pki(str(tmp_path))
    ours = root.leaf("site-a.example", kind=kinds[0])
    theirs = root.leaf("site-b.example", kind=kinds[1])
    right = Warrend(net.lab, net.b.gw, {}, {"a": cert_peer(
        net.b, net.a, theirs, ours.name, root, 4, start="listen")})
    left = Warrend(net.lab, net.a.gw, {}, {"b": cert_peer(
        net.a, net.b, ours, theirs.name, root, 4, start="up")})
    left.wait_up("b")
    right.wait_up("a")
    for daemon, leaf, kind in ((left, ours, kinds[0]), (right, theirs, kinds[1])):
        use_commands(daemon)
        must_not_have(daemon, key_needles("key", leaf.key), {f"key {KEPT[kind]}"})


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def threads(pid):
    """All but the one that the thread sanitizer starts before main(), past the C library."""
    tasks = sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    with open(f"/proc/{pid}/exe", "rb") as file:
        sanitized = b"__tsan_init" in file.read()
    return tasks[:1] + tasks[2:] if sanitized else tasks


def assert_confined(pid, uid, caps):
    """Every thread: ids, capabilities, filter."""
    tasks = threads(pid)
    for task in tasks:
        status = status_of(f"{pid}/task/{task}")
        assert set(status["Uid"].split()) == {str(uid)}, status["Uid"]
        assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == caps, status["CapEff"]
        for name in ("CapInh", "CapBnd", "CapAmb"):
            assert int(status[name], 16) == 0, (name, status[name])
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    return len(tasks)


def daemon_ids():
    """Whom a daemon becomes that was not told."""
    known = run("getent", "passwd", "warren", check=False).stdout
    return int(known.split(":")[2]) if known else 65534


def alone(pid, daemon):
    """No network, no terminal, nothing open but its end of a pair of sockets; what is besides."""
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink(f"/proc/{daemon}/ns/net")
    with open(f"/proc/{pid}/net/dev") as file:
        assert [line.split(":")[0].strip() for line in file.readlines()[2:]] == ["lo"]
    fds = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert fds.pop(0) == fds.pop(1) == "/dev/null"
    fds.pop(2)
    assert fds.pop(3).startswith("socket:[")
    assert os.getsid(pid) == pid
    return list(fds.values())


def test_confined(two_sites):
    """S4: all processes have what they need and no more, in every thread."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    assert assert_confined(left.pid, daemon_ids(), DAEMON_CAPS) >= 2
    status = status_of(left.pid)
    assert status["Groups"].strip() == ""
    signer = signer_of(left)
    assert assert_confined(signer, 0, SIGNER_CAPS) == 1
    # What it holds on to so that it can remove it.
    assert alone(signer, left.pid) in ([left.socket], [])
    resolved = children_of(left)["warren-resolved"]
    assert assert_confined(resolved, 0, 0) == 1
    assert alone(resolved, left.pid) == []
    net.a.host.ping(net.b.host4)


def test_other_user(lab):
    """`user` says whom; one that is not there is an error with its place; root stays root, without
    root's capabilities."""
    gw = lab.netns("gw")
    peer = {"local_id": "a.example", "remote_id": "b.example", "psk": PSK, "start": "listen",
            "local_ts": ["10.1.0.0/16"], "remote_ts": ["10.2.0.0/16"]}
    for name, uid in (("daemon", 1), ("root", 0)):
        daemon = Warrend(lab, gw, {"user": name}, {"b": peer})
        assert_confined(daemon.pid, uid, DAEMON_CAPS)
        daemon.stop()
    daemon = Warrend(lab, gw, {"user": "nobody-of-that-name"}, {"b": peer}, start=False)
    done = gw.run(binary("warrend"), "-c", daemon.conf, check=False)
    assert done.returncode == 1
    assert re.search(r"warren\.conf:\d+:8: user nobody-of-that-name: there is no such user",
                     done.stderr), done.stderr


def test_signer_dies(two_sites):
    """The daemon cannot go on without it: it says so, leaves the peer in order, and the block
    stays."""
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    right.wait_up("a")
    os.kill(signer_of(left), signal.SIGKILL)
    assert left.proc.wait() == 1
    assert "the signer process ended by signal 9" in left.log()
    right.wait_no_sa("a")
    done = net.a.host.run("ping", "-c", "1", "-W", "2", net.b.host4, check=False)
    assert done.returncode != 0 and "nreachable" in done.stdout + done.stderr, done.stdout


def test_daemon_dies(two_sites):
    """Its children do not outlive it, however it ends; the signer takes the control socket away.
    """
    net = two_sites
    left, right = psk_pair(net)
    left.wait_up("b")
    for daemon, end in ((left, left.kill), (right, right.stop)):
        children = children_of(daemon)
        assert sorted(children) == ["warren-resolved", "warren-signer"]
        end()
        for name, pid in children.items():
            until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"{name} to be gone")
        assert not os.path.exists(daemon.socket)
    left.start()
    assert left.state("b")


def test_digest_of_the_files_is_nowhere(two_sites):
    """Nor is a plain hash of a pre-shared key, which could be guessed at."""
    net = two_sites
    left, right = psk_pair(net, a={"psk": PSK}, b={"psk": PSK})
    left.wait_up("b")
    right.wait_up("a")
    needles = {kind: hashlib.new(kind, PSK.encode()).digest() for kind in ("sha1", "sha256",
                                                                           "sha512")}
    for daemon in (left, right):
        found, _ = search(daemon.pid, needles)
        assert not found


def test_state_of_another_user(lab):
    """A state directory that the daemon cannot write to is named with its owner, and what mends
    it; the daemon runs all the same."""
    ns = lab.netns("one")
    topo.addresses(ns, "lo", "192.0.2.1/32")
    daemon = Warrend(lab, ns, {}, {"b": {
        "local_id": "a.example", "remote_id": "b.example", "psk": PSK, "start": "listen",
        "local_ts": ["10.1.0.0/16"], "remote_ts": ["10.2.0.0/16"]}}, start=False)
    os.mkdir(daemon.state_dir, 0o755)
    os.chown(daemon.state_dir, 12345, 12345)
    daemon.start()
    assert "belongs to user 12345" in daemon.log() and "chown -R" in daemon.log()
    assert os.stat(daemon.state_dir).st_uid == 12345
    daemon.stop()
