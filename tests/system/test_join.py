"""`warren join`: from a bundle and a key to a running site, or to nothing at all (R01)."""

import json
import os
import signal
import socket
import stat
import time

import pytest

from lib import topo, wall
from lib.lab import run
from lib.star import HUB, Authority
from lib.wait import until
from lib.warren import binary


class Joiner:
    """A gateway with a directory of its own that joins."""

    def __init__(self, star, number):
        self.site = star.site(number)
        base = star.lab.subdir(f"join-{number}")
        self.dir = os.path.join(base, "etc")
        self.socket = os.path.join(base, "sock")
        self.log = os.path.join(base, "log")
        self.lib = os.path.join(base, "lib")
        os.mkdir(self.lib)

    def join(self, bundle, *argv, check=True, ns=None):
        daemon = os.path.dirname(binary("warrend"))
        # What it writes names no state directory: the default one is ours, in a mount namespace
        # that `ip netns exec` has made.
        return (ns or self.site.gw).run(
            "sh", "-c", 'mount --bind "$0" /var/lib && exec "$@"', self.lib,
            binary("warren"), "--socket", self.socket, "join", bundle, "--dir", self.dir, "--log",
            self.log, *argv, check=check,
            env={**os.environ, "PATH": daemon + ":" + os.environ["PATH"]})

    def conf(self):
        with open(os.path.join(self.dir, "warren.conf")) as file:
            return file.read()

    def cli(self, *argv, check=True):
        return run(binary("warren"), "--socket", self.socket, *argv, check=check)

    def pid(self):
        return json.loads(self.cli("status", "--json").stdout)["pid"]

    def state(self, name="corp"):
        peers = json.loads(self.cli("peers", "--json").stdout)["peers"]
        return next(peer["state"] for peer in peers if peer["name"] == name)

    def end(self):
        """The daemon is nobody's child: it has to be ended by its number."""
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to end")


def tree(path):
    """Everything below a directory: name -> (mode, content)."""
    found = {}
    for root, _, names in os.walk(path):
        for name in names:
            file = os.path.join(root, name)
            with open(file, "rb") as data:
                found[os.path.relpath(file, path)] = (os.stat(file).st_mode, data.read())
    return found


def test_site(star, corp):
    """The key beside the bundle; everything else from the bundle; it runs and is connected."""
    hub = star.start_hub(corp)
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    done = joiner.join(bundle)
    try:
        assert "warrend" in done.stdout and "running for" in done.stdout
        until(lambda: joiner.state() == "up", "the site to be connected")
        hub.wait_up(joiner.site.identity)
        files = tree(joiner.dir)
        assert set(files) == {"warren.conf", "site-1.example.warren", "site-1.example.key"}
        assert stat.S_IMODE(files["site-1.example.key"][0]) == 0o600
        # The five lines of the manual, and where this test has its socket.
        lines = [line for line in joiner.conf().splitlines() if not line.startswith("control")]
        assert len(lines) == 5 and lines[0].startswith("identity = ")
        assert '"10.1.0.0/16"' in joiner.conf() and '"192.0.2.1"' in joiner.conf()
        # Once more is no change, and the daemon goes on.
        pid = joiner.pid()
        again = joiner.join(bundle)
        assert again.stdout.count("unchanged") == 3 and joiner.pid() == pid
        assert tree(joiner.dir) == files
        joiner.site.host.ping("10.1.0.1")
    finally:
        joiner.end()


def test_endpoint(star, corp):
    """The bundle of a laptop: a hub's name is all that its file has besides, and the laptop has
    addresses of the network."""
    star.start_hub(corp, pool=["10.99.0.0/24", "fd00:99::/64"], protect=["10.200.0.0/24"])
    topo.addresses(star.hub_ns, "lo", "10.200.0.1/32")
    joiner = Joiner(star, 1)
    joiner.join(corp.endpoint("laptop.example"))
    try:
        until(lambda: joiner.state() == "up", "the laptop to be connected")
        lines = [line for line in joiner.conf().splitlines() if not line.startswith("control")]
        assert len(lines) == 4 and 'hubs    = { "192.0.2.1" }' in lines[2]
        network, = json.loads(joiner.cli("status", "--json").stdout)["networks"]
        assert network["role"] == "endpoint"
        assert "endpoint" in joiner.cli("status").stdout
        until(lambda: joiner.site.gw.ping("10.200.0.1", count=1, check=False), "the hub to answer")
    finally:
        joiner.end()


def test_hub(star, corp, lab):
    """A hub's bundle makes the four lines."""
    joiner = Joiner(star, 9)
    joiner.join(corp.path(HUB), "--topology", "star", "--domain", "10.0.0.0/8", ns=star.hub_ns)
    try:
        text = joiner.conf()
        assert 'role = hub  domain = { "10.0.0.0/8" }  topology = star' in text
        assert len([line for line in text.splitlines() if not line.startswith("control")]) == 4
        site = star.join(corp, 1)
        site.daemon.wait_up("corp")
    finally:
        joiner.end()


def test_no_start(star, corp):
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    answer = json.loads(joiner.join(bundle, "--no-start", "--json", "--protect", "10.1.0.0/16",
                                    "--hub", "hub-1.example", "--hub", "hub-2.example").stdout)
    assert answer["network"] == "corp" and answer["started"] is False
    assert 'hubs    = { "hub-1.example", "hub-2.example" }' in joiner.conf()
    assert 'protect = { "10.1.0.0/16" }' in joiner.conf()
    assert run(binary("warren"), "check", answer["configuration"]).returncode == 0
    assert not os.path.exists(joiner.socket)


def test_another_configuration_stays(star, corp):
    """What is there is not replaced without --force, and then kept."""
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    os.makedirs(joiner.dir)
    old = os.path.join(joiner.dir, "warren.conf")
    with open(old, "w") as file:
        file.write("# mine\n")
    before = tree(joiner.dir)
    done = joiner.join(bundle, "--no-start", check=False)
    assert done.returncode == 1 and old in done.stderr and "--force" in done.stderr
    assert tree(joiner.dir) == before
    joiner.join(bundle, "--no-start", "--force")
    files = tree(joiner.dir)
    (copy,) = [name for name in files if name.startswith("warren.conf.2")]
    assert files[copy][1] == b"# mine\n" and b"network" in files["warren.conf"][1]


def test_renewal(star, corp):
    """A new bundle with a new key under a running daemon: reloaded, not restarted."""
    star.start_hub(corp)
    joiner = Joiner(star, 1)
    identity = joiner.site.identity
    bundle = corp.site(identity, joiner.site.prefixes())
    joiner.join(bundle)
    try:
        until(lambda: joiner.state() == "up", "the site to be connected")
        pid = joiner.pid()
        os.unlink(corp.path(identity, ".key"))
        os.unlink(corp.path(identity, ".req"))
        corp.site(identity, joiner.site.prefixes(), "--renew")
        assert joiner.join(bundle, check=False).returncode == 1
        joiner.join(bundle, "--force")
        assert joiner.pid() == pid
        until(lambda: joiner.state() == "up", "the site to be connected with its new key")
    finally:
        joiner.end()


# ---- what leaves everything as it was


def _cut(text):
    return text[:len(text) // 2]


def _edited(text):
    """One character of the certificate is another."""
    at = text.index("MII") + 40
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]


@pytest.mark.parametrize("spoil", [_cut, _edited, lambda text: "", lambda text: text + text,
                                   lambda text: text.replace("warren-bundle 1", "warren-bundle 2")],
                         ids=["cut", "edited", "empty", "doubled", "version"])
def test_bad_bundle(star, corp, spoil):
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    with open(bundle) as file:
        text = file.read()
    with open(bundle, "w") as file:
        file.write(spoil(text))
    done = joiner.join(bundle, check=False)
    assert done.returncode == 1 and bundle in done.stderr, done.stderr
    assert not os.path.exists(joiner.dir) and not os.path.exists(joiner.socket)


def _refused(joiner, *words, argv=(), bundle=None):
    done = joiner.join(bundle, *argv, check=False)
    assert done.returncode == 1, done.stdout
    for word in words:
        assert word in done.stderr, done.stderr
    assert not os.path.exists(joiner.dir) and not os.path.exists(joiner.socket)


def test_key_of_another(star, corp):
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    corp.site("other.example", ["10.2.0.0/16"])
    # It is the given file that is wrong, not one that would have been its copy.
    key = corp.path("other.example", ".key")
    _refused(joiner, key + ": private key", bundle=bundle, argv=("--key", key))
    _refused(joiner, "No such file", bundle=bundle, argv=("--key", "/nonexistent"))
    _refused(joiner, "key", bundle=bundle, argv=("--key", bundle))


def test_another_authoritys_parts(star, corp, lab):
    """A bundle put together from two authorities' parts."""
    joiner = Joiner(star, 1)
    identity = joiner.site.identity
    other = Authority(lab, "corp2")
    with open(corp.site(identity, joiner.site.prefixes())) as file:
        mine = file.read()
    with open(other.site(identity, joiner.site.prefixes())) as file:
        theirs = file.read()
    mixed = mine.split("-----BEGIN WARREN")[0] + "-----BEGIN WARREN" + \
        theirs.split("-----BEGIN WARREN")[1]
    bundle = corp.path(identity)
    with open(bundle, "w") as file:
        file.write(mixed)
    _refused(joiner, bundle, bundle=bundle)


def test_dates(star, corp):
    """Over, and not begun, by the clock of this host."""
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes(), "--days", "1")
    two_days = 2 * 86400
    clock = os.path.join(star.lab.subdir("clock"), "wall")
    env = {**os.environ, **wall.environment(clock)}
    for ahead, word in ((two_days, "expired"), (-two_days, "not valid yet")):
        wall.write(clock, ahead)
        done = joiner.site.gw.run(
            binary("warren"), "--socket", joiner.socket, "join", bundle, "--dir", joiner.dir,
            "--no-start", check=False, env=env)
        assert done.returncode == 1 and word in done.stderr, done.stderr
        assert not os.path.exists(joiner.dir)


def test_protect_outside_the_blocks(star, corp):
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    _refused(joiner, "10.77.0.0/16", bundle=bundle, argv=("--protect", "10.77.0.0/16"))
    _refused(joiner, "a site's", bundle=bundle, argv=("--topology", "star"))
    _refused(joiner, "a hub's", bundle=corp.path(HUB), argv=("--protect", "10.1.0.0/16"))


def test_daemon_that_does_not_start(star, corp):
    """The port is taken: files go away again, and the daemon's own words are shown."""
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    with joiner.site.gw.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.bind(("0.0.0.0", 500))
        begun = time.monotonic()
        _refused(joiner, "ended", "500", bundle=bundle)
        assert time.monotonic() - begun < 30
        # Nor is the block left behind that the daemon puts up before anything else.
        assert "warren" not in joiner.site.gw.run("nft", "list", "tables").stdout
        assert "21051" not in joiner.site.gw.ip("rule").stdout


def test_unwritable(star, corp):
    joiner = Joiner(star, 1)
    bundle = corp.site(joiner.site.identity, joiner.site.prefixes())
    done = joiner.site.gw.run(binary("warren"), "join", bundle, "--dir", "/proc/nothing",
                              "--no-start", check=False)
    assert done.returncode == 1 and "/proc/nothing" in done.stderr
