"""A Lab owns every namespace, process and file that a test makes.

Namespaces are called w<pid>-<lab>-<name>, after the process that made them, so two runs never meet,
and the leftovers of a run that was killed with SIGKILL are recognised (its pid is gone) and swept
by the next one. Child processes get PR_SET_PDEATHSIG, so they do not outlive us even then.
Processes are ended by pid, and every one is waited for.
"""

import atexit
import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from .wait import until

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
TMP_PREFIX = "warren-test-"
# What a daemon uses whose configuration names nothing else, and whether it was there before us.
HOST_PATHS = {path: os.path.exists(path) for path in ("/run/warren", "/var/lib/warren",
                                                      "/etc/warren", "/var/log/warren.log")}


def run(*argv, check=True, **kwargs):
    """Run a command to its end and return the CompletedProcess; a failure shows its output."""
    kwargs.setdefault("timeout", 120)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Proc:
    """A running child; its output goes to a file that can be read at any time."""

    def __init__(self, name, argv, log, env=None, stdin=None):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self._popen = subprocess.Popen(
                argv, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=env, preexec_fn=_die_with_parent)
        self.pid = self._popen.pid

    @property
    def stdin(self):
        return self._popen.stdin

    def running(self):
        return self._popen.poll() is None

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def send(self, sig):
        if self.running():
            self._popen.send_signal(sig)

    def wait(self, deadline=30):
        """Return the exit code (negative: the signal that ended it)."""
        try:
            return self._popen.wait(timeout=deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) did not end within {deadline} s"
                                 f"\n{self.output()[-4000:]}") from None

    def stop(self, sig=signal.SIGTERM, deadline=30):
        self.send(sig)
        return self.wait(deadline)

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def reap(self):
        """End it whatever it takes: for cleanup only, tests use stop() and look at the code."""
        self.send(signal.SIGTERM)
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._popen.stdin:
            self._popen.stdin.close()

    def cpu(self):
        """CPU seconds of all its threads, ended ones included, to the nanosecond."""
        return time.clock_gettime(~self.pid << 3 | 2)   # clock_getcpuclockid(3): CPUCLOCK_SCHED


class Netns:
    """A network namespace. Loopback is up; IPv6 addresses are usable at once (no DAD)."""

    def __init__(self, lab, short):
        self.lab = lab
        self.short = short
        self.name = f"w{os.getpid()}-{lab.number}-{short}"
        run("ip", "netns", "add", self.name)
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv6.conf.all.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.router_solicitations", 0)
        self.ip("link", "set", "lo", "up")

    def argv(self, *argv):
        return ("ip", "netns", "exec", self.name) + argv

    def run(self, *argv, **kwargs):
        return run(*self.argv(*argv), **kwargs)

    def ip(self, *argv, **kwargs):
        return run("ip", "-n", self.name, *argv, **kwargs)

    def sysctl(self, key, value):
        with self.enter(), open("/proc/sys/" + key.replace(".", "/"), "w") as knob:
            knob.write(str(value))

    def nft(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def popen(self, name, *argv, **kwargs):
        return self.lab.popen(f"{self.short}-{name}", *self.argv(*argv), **kwargs)

    @contextlib.contextmanager
    def enter(self):
        """The calling thread acts in this namespace; sockets made meanwhile stay in it."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
            try:
                yield self
            finally:
                _setns(here)
        finally:
            os.close(there)
            os.close(here)

    def links(self):
        """Names of its devices, without loopback."""
        out = self.ip("-o", "link", "show").stdout
        names = {re.match(r"\d+: ([^:@]+)", line).group(1) for line in out.splitlines()}
        return names - {"lo"}

    def ping(self, dest, count=3, size=56, interval=0.05, wait=5, df=False, check=True):
        """Ping and return the number of replies."""
        argv = ["ping", "-n", "-c", str(count), "-i", str(interval), "-W", str(wait),
                "-s", str(size), "-6" if ":" in dest else "-4"]
        argv += ["-M", "do"] if df else []
        before = self._echo_replies()
        done = self.run(*argv, dest, check=False)
        found = re.search(r"(\d+) packets transmitted, (\d+) received(?:, \+(\d+) errors)?",
                          done.stdout)
        sent, received, errors = (int(n or 0) for n in found.groups()) if found else (0, 0, 0)
        if 0 < received < sent - errors:
            # ping waits for the last answer no longer than twice the slowest one before, which on
            # a busy machine is too short. The kernel has seen it all the same.
            with contextlib.suppress(AssertionError):
                until(lambda: self._echo_replies() - before >= sent - errors,
                      "answers that ping did not wait for", wait)
            received = min(self._echo_replies() - before, sent - errors)
        if check and received != count:
            raise AssertionError(f"{self.short}: ping {dest} size {size}: {received} of {count}"
                                 f" came back\n{done.stdout}{done.stderr}")
        return received

    def _echo_replies(self):
        """How many the namespace has received, of either family."""
        with self.enter():
            with open("/proc/thread-self/net/snmp") as file:
                names, values = [line.split() for line in file if line.startswith("Icmp:")]
            with open("/proc/thread-self/net/snmp6") as file:
                six = dict(line.split() for line in file)
        return int(dict(zip(names, values))["InEchoReps"]) + int(six["Icmp6InEchoReplies"])

    def pids(self):
        return [int(pid) for pid in run("ip", "netns", "pids", self.name).stdout.split()]


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Lab:
    """Owner of everything a test makes. Use as a context manager."""

    _numbers = itertools.count(1)

    def __init__(self):
        self.number = next(Lab._numbers)
        self.dir = tempfile.mkdtemp(prefix=f"{TMP_PREFIX}{os.getpid()}-")
        self.namespaces = {}
        self.procs = []
        self._undo = []
        self._serial = 0
        atexit.register(self.close)     # closing twice does no harm, not closing does

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def subdir(self, name):
        """A new private directory."""
        self._serial += 1
        path = self.path(f"{self._serial:02d}-{name}")
        os.makedirs(path, mode=0o700)
        return path

    def netns(self, short):
        ns = Netns(self, short)
        self.namespaces[short] = ns
        return ns

    def drop_netns(self, ns):
        del self.namespaces[ns.short]
        run("ip", "netns", "del", ns.name, check=False)

    def popen(self, name, *argv, env=None, stdin=None):
        self._serial += 1
        log = self.path(f"{self._serial:02d}-{name}.log")
        proc = Proc(name, argv, log, env, stdin)
        self.procs.append(proc)
        return proc

    def on_close(self, undo):
        self._undo.append(undo)

    def veth(self, ns_a, dev_a, ns_b, dev_b, mtu=1500, offload=False):
        """A cable. Without offload a capture shows packets as a wire would carry them."""
        run("ip", "link", "add", "name", dev_a, "netns", ns_a.name, "mtu", str(mtu), "type", "veth",
            "peer", "name", dev_b, "netns", ns_b.name, "mtu", str(mtu))
        for ns, dev in ((ns_a, dev_a), (ns_b, dev_b)):
            if not offload:
                ns.run("ethtool", "-K", dev, "tso", "off", "gso", "off", "gro", "off",
                       "tx-udp-segmentation", "off", "tx", "off", "rx", "off")
            ns.ip("link", "set", dev, "up")

    def logs(self, tail=6000):
        """What every process said, newest last, for the report of a failed test."""
        return [(proc.name, proc.output()[-tail:]) for proc in self.procs if
                os.path.exists(proc.log)]

    def close(self):
        for undo in reversed(self._undo):
            _quietly(undo)
        self._undo.clear()
        for proc in self.procs:
            proc.send(signal.SIGTERM)
        for proc in reversed(self.procs):
            _quietly(proc.reap)
        self.procs.clear()
        for ns in list(self.namespaces.values()):
            _quietly(lambda: _empty_netns(ns))
            self.drop_netns(ns)
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self.close)


def _quietly(action):
    try:
        action()
    except Exception as error:  # pylint: disable=broad-except; the rest must be cleaned up too
        print(f"cleanup: {error}")


def _empty_netns(ns):
    """A grandchild that escaped would keep a deleted namespace alive, invisibly."""
    for pid in ns.pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not ns.pids(), f"{ns.name} to be empty", 10)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def leftovers(pid=None):
    """Namespaces, directories and links of the given process (default: of dead ones)."""
    found = []
    for line in run("ip", "netns", "list").stdout.splitlines():
        found += [("netns", line.split()[0])] if _belongs(r"w(\d+)-", line, pid) else []
    for entry in os.listdir(tempfile.gettempdir()):
        found += [("dir", entry)] if _belongs(TMP_PREFIX + r"(\d+)-", entry, pid) else []
    return found


def _belongs(pattern, text, pid):
    match = re.match(pattern, text)
    if not match:
        return False
    owner = int(match.group(1))
    return owner == pid if pid else not _alive(owner)


def sweep():
    """Remove what killed runs left behind; returns what was found."""
    found = leftovers()
    for kind, name in found:
        if kind == "netns":
            for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", name, check=False)
        else:
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)
    return found
