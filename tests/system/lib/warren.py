"""warrend in a network namespace, driven by the warren command as a user would.

Configurations are written from Python values: a str becomes a quoted string, a list or tuple a
list, True and False yes and no, an int itself, and keys in _BARE take their words without quotes.
"""

import json
import os
import signal

from .lab import run
from .wait import until

_BARE = {"role", "topology", "attach", "start", "log", "dpd_delay", "keepalive", "retransmit_timeout", "mtu",
         "port", "nat_port", "retransmit_tries", "half_open_cookie", "ike_rekey", "ike_lifetime",
         "reauth", "rekey", "lifetime", "rekey_bytes", "lifetime_bytes", "rekey_packets",
         "lifetime_packets", "expired", "childless", "redirect", "redirect_wait",
         "lease_keep", "mtu_probes", "shortcuts", "shortcut_after", "shortcut_idle",
         "shortcut_retry", "shortcut_retry_max", "shortcuts_max", "trust_hub", "direct"}
PSK = "a rather long shared secret"


def build_dir():
    path = os.environ.get("WARREN_BUILD", "")
    assert os.path.exists(os.path.join(path, "src/daemon/warrend")), (
        f"WARREN_BUILD ({path!r}) names no build directory with src/daemon/warrend")
    return path


def binary(name):
    return os.path.join(build_dir(), {"warrend": "src/daemon/warrend", "warren": "src/cli/warren"}
                        [name])


def render(top, peers, networks=None):
    """Configuration text of top-level keys, {name: keys} of peers, and {name: (keys, {pattern:
    keys of the member})} of networks."""
    lines = _keys(top)
    for name, keys in peers.items():
        lines += [f'peer "{name}" {{', *_keys(keys), "}"]
    for name, (keys, members) in (networks or {}).items():
        lines += [f'network "{name}" {{', *_keys(keys)]
        for pattern, granted in members.items():
            lines += [f'member "{pattern}" {{', *_keys(granted), "}"]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _keys(keys):
    return [f"{key} = {_value(key, value)}" for key, value in keys.items()]


def _value(key, value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(_value("", item) for item in value) + " }"
    if isinstance(value, int) or key in _BARE:
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _environment():
    """Under the address sanitizer: freed memory is held back, but not without bound, or tests that
    watch the memory of a daemon would see that."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {**os.environ, "ASAN_OPTIONS": options + ":quarantine_size_mb=2"}


class Warrend:
    """A running daemon with its own configuration file and control socket."""

    def __init__(self, lab, ns, top, peers, wait=True, networks=None, start=True):
        self.lab, self.ns = lab, ns
        self.dir = lab.subdir(f"warrend-{ns.short}")
        # Whom the daemon becomes has to reach what is its own: its state, its socket.
        os.chmod(lab.dir, 0o711)
        os.chmod(self.dir, 0o711)
        self.conf = os.path.join(self.dir, "warren.conf")
        self.state_dir = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "warren.sock")
        self.wrap = ()      # what it is run by
        self.env = {}       # and what it finds in its environment, besides ours
        self.proc = None
        self.configure(top, peers, networks)
        if start:
            self.start(wait)

    def configure(self, top, peers, networks=None):
        self.device = top.get("interface", "warren0")
        with open(self.conf, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(render({"control": self.socket, "state": self.state_dir, "log": "debug",
                               **top}, peers, networks))

    def start(self, wait=True):
        self.proc = self.ns.popen("warrend", *self.wrap, binary("warrend"), "-c", self.conf,
                                  env={**_environment(), **self.env})
        if wait:
            until(self._ready, f"warrend in {self.ns.short} to answer")
        return self

    def block(self, check=True):
        """`warrend --block`, as at boot; returns what became of it."""
        return self.ns.run(binary("warrend"), "--block", "--state", self.state_dir, "-c", self.conf,
                           env=_environment(), check=check)

    def open(self, check=True):
        """`warren down --open` in the daemon's namespace, with or without the daemon."""
        return self.ns.run(binary("warren"), "--socket", self.socket, "down", "--open", "--state",
                           self.state_dir, env=_environment(), check=check)

    def _ready(self):
        if not self.proc.running():
            raise RuntimeError(f"warrend ended with {self.proc.wait()}\n{self.proc.output()}")
        return self.cli("status", check=False).returncode == 0

    @property
    def pid(self):
        return self.proc.pid

    def log(self):
        return self.proc.output()

    # ---- the command

    def cli(self, *argv, check=True):
        return run(binary("warren"), "--socket", self.socket, *argv, check=check, timeout=60)

    def status(self):
        return json.loads(self.cli("status", "--json").stdout)

    def peers(self):
        """Name -> what `peers --json` says of it."""
        listed = json.loads(self.cli("peers", "--json").stdout)["peers"]
        return {peer["name"]: peer for peer in listed}

    def counters(self):
        """All named counters, those of the data plane included."""
        status = self.status()
        return {**status["counters"], **status["dataplane"]["counters"]}

    def watch(self):
        return Watch(self)

    # ---- conditions

    def state(self, peer):
        return self.peers()[peer]["state"]

    def wait_up(self, peer, deadline=30):
        """Until the peer is up with exactly one IKE SA and at least one child; returns that SA."""
        def one_sa():
            entry = self.peers()[peer]
            assert entry["state"] == "up", f"{entry['state']}: {entry['last_error']}"
            established = [sa for sa in entry["ike_sas"] if sa["state"] == "established"]
            assert len(established) == 1 and established[0]["child_sas"], entry
            assert all(child.get("installed", True) for child in established[0]["child_sas"])
            return established[0]
        return until(one_sa, f"{self.ns.short}: peer {peer} to be up", deadline)

    def wait_no_sa(self, peer=None, deadline=30):
        """Until no IKE SA is left, of that peer or at all, but for what only waits whether it is
        asked again about its end."""
        def none():
            return not any(sa["state"] != "closed" for name, entry in self.peers().items()
                           if peer in (None, name) for sa in entry["ike_sas"])
        until(none, f"{self.ns.short}: no IKE SA of {peer or 'anybody'}", deadline)

    def wait_error(self, peer, *words, deadline=30):
        """Until last_error of a peer contains all words; returns it."""
        def error():
            text = self.peers()[peer]["last_error"]
            assert text and all(word in text for word in words), f"{text!r} lacks some of {words}"
            return text
        return until(error, f"{self.ns.short}: {peer}'s last_error to name {words}", deadline)

    def wait_counter(self, name, above=0, deadline=30):
        """Until a counter has passed `above`; returns its value."""
        def passed():
            value = self.counters()[name]
            assert value > above, f"{name} = {value}"
            return value
        return until(passed, f"{self.ns.short}: counter {name} above {above}", deadline)

    # ---- the end

    def stop(self, sig=signal.SIGTERM):
        """End it the polite way; asserts that it says 0 and takes its device away."""
        code = self.proc.stop(sig)
        assert code == 0, f"warrend ended with {code}\n{self.log()[-4000:]}"
        assert self.device not in self.ns.links()
        assert not os.path.exists(self.socket)

    def kill(self):
        self.proc.kill()


class Watch:
    """`warren watch --json` in the background, from now on; events() is what it has said so far."""

    def __init__(self, daemon):
        before = daemon.counters()["ctl.watchers"]
        self.proc = daemon.lab.popen(f"{daemon.ns.short}-watch", binary("warren"), "--socket",
                                     daemon.socket, "watch", "--json")
        daemon.wait_counter("ctl.watchers", before)

    def events(self):
        lines = self.proc.output().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait(self, event, deadline=30, **fields):
        """Until an event of that kind with those fields was seen; returns it."""
        def seen():
            assert self.proc.running(), self.proc.output()
            return next((item for item in self.events() if item["event"] == event and
                         all(item.get(key) == value for key, value in fields.items())), None)
        return until(seen, f"event {event} {fields}", deadline)


# ---- sections


def psk_keys(mine, other, local, remote, **more):
    """Keys of a peer section between two identities, each with one prefix."""
    return {"local_id": mine, "remote_id": other, "psk": PSK, "local_ts": [local],
            "remote_ts": [remote], **more}


def cert_keys(leaf, other, trust, local, remote, **more):
    return {"local_id": leaf.name, "remote_id": other, "certificate": leaf.chain, "key": leaf.key,
            "trust": [trust.cert], "local_ts": [local], "remote_ts": [remote], **more}


# ---- the pair that most tests want


def psk_peer(here, there, mine, other, family, **more):
    """A peer section: `mine` and `other` are the identities."""
    return {"address": there.outer(family), "local_id": mine, "remote_id": other, "psk": PSK,
            "local_ts": [here.lan4, here.lan6], "remote_ts": [there.lan4, there.lan6], **more}


def cert_peer(here, there, leaf, other, trust, family, **more):
    return {"address": there.outer(family), "local_id": leaf.name, "remote_id": other,
            "certificate": leaf.chain, "key": leaf.key, "trust": [trust.cert],
            "local_ts": [here.lan4, here.lan6], "remote_ts": [there.lan4, there.lan6], **more}


def psk_pair(net, family=4, start=("up", "listen"), top=({}, {}), a=None, b=None, run_them=True):
    """Two daemons joined by a PSK. Peer "b" on a, peer "a" on b; a, b: more keys of the
    sections. Without run_them they are only configured."""
    daemons = []
    for index, (here, there, mine, other, more) in enumerate((
            (net.a, net.b, "site-a.example", "site-b.example", a),
            (net.b, net.a, "site-b.example", "site-a.example", b))):
        section = psk_peer(here, there, mine, other, family, start=start[index], **(more or {}))
        daemons.append((here, {"b" if here is net.a else "a": section}, top[index]))
    # The side that waits comes first, so that the first message of the other finds it.
    right = Warrend(net.lab, daemons[1][0].gw, daemons[1][2], daemons[1][1], start=run_them)
    left = Warrend(net.lab, daemons[0][0].gw, daemons[0][2], daemons[0][1], start=run_them)
    return left, right
