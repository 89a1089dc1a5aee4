"""A system bus of its own, and who is on it as org.freedesktop.resolve1: systemd-resolved itself in
a network namespace, or somebody who writes down what he was told, and may refuse it.
"""

import grp
import json
import os
import pwd
import subprocess

import pytest

from .lab import run
from .wait import until

USER = "systemd-resolve"

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

# Says each call on a line of its own; with an argument it refuses the calls of that name.
FAKE = """
import json, sys
import dbus, dbus.lowlevel, dbus.mainloop.glib
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
bus.request_name("org.freedesktop.resolve1", dbus.bus.NAME_FLAG_DO_NOT_QUEUE)

def plain(value):
    if isinstance(value, dbus.Boolean):
        return bool(value)
    if isinstance(value, dbus.Array) and value.signature == dbus.Signature("y"):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return int(value) if isinstance(value, int) else str(value)

def on_message(connection, message):
    if message.get_type() != 1 or message.get_interface() != "org.freedesktop.resolve1.Manager":
        return
    method = message.get_member()
    print(json.dumps([method, *plain(message.get_args_list())]), flush=True)
    if method in sys.argv[1:]:
        connection.send_message(dbus.lowlevel.ErrorMessage(
            message, "org.freedesktop.resolve1.LinkBusy", "Link warren0 is managed."))
    else:
        connection.send_message(dbus.lowlevel.MethodReturnMessage(message))

bus.add_message_filter(on_message)
GLib.MainLoop().run()
"""


class Bus:
    def __init__(self, lab):
        self.lab = lab
        self.dir = lab.subdir("bus")
        for directory in (lab.dir, self.dir):
            os.chmod(directory, 0o711)
        self.socket = os.path.join(self.dir, "socket")
        self.address = f"unix:path={self.socket}"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": self.address}
        self.conf = os.path.join(self.dir, "bus.conf")
        with open(self.conf, "w") as file:
            file.write(BUS.format(socket=self.socket))
        self.proc = None
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.proc = self.lab.popen("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile",
                                   f"--config-file={self.conf}")
        until(lambda: self.names() and True, "the bus to answer")

    def names(self):
        return [entry["name"] for entry in
                json.loads(run("busctl", f"--address={self.address}", "list", "--json=short")
                           .stdout)]

    def wait_owner(self):
        until(lambda: "org.freedesktop.resolve1" in self.names(), "org.freedesktop.resolve1")


class Fake:
    def __init__(self, bus, *refused):
        self.bus = bus
        self.proc = bus.lab.popen("resolve1", "/usr/bin/python3", "-c", FAKE, *refused,
                                  env={**os.environ, **bus.env})
        bus.wait_owner()

    def calls(self):
        """[method, argument...] each."""
        return [json.loads(line) for line in self.proc.output().splitlines() if line[:1] == "["]

    def wait_call(self, *call):
        """Until the last one is that."""
        def last():
            calls = self.calls()
            assert calls and tuple(calls[-1][:len(call)]) == call, calls[-1:]
            return True
        until(last, f"the call {call}")


def _binary():
    for path in ("/lib/systemd/systemd-resolved", "/usr/lib/systemd/systemd-resolved"):
        if os.path.exists(path):
            return path
    tool = os.path.join(os.path.dirname(__file__), "../../../tools/unpack.sh")
    done = subprocess.run([tool, "systemd-resolved"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"systemd-resolved is not here, and cannot be had: {done.stderr[-200:]}")
    return os.path.join(done.stdout.strip(), "lib/systemd/systemd-resolved")


class Resolved:
    """The real one, which asks `upstream` for whatever it is told nothing about."""

    SCRIPT = ('mount -t tmpfs tmpfs /run/systemd && install -d -o "$2" -g "$3" '
              '/run/systemd/resolve && for f in passwd group resolv.conf; do '
              'mount --bind "$0/$f" "/etc/$f" || exit; done && exec "$1"')

    def __init__(self, bus, ns, upstream):
        self.bus, self.ns = bus, ns
        self.dir = bus.lab.subdir("resolved")
        os.chmod(self.dir, 0o755)
        self.ids = self._users()
        with open(os.path.join(self.dir, "resolv.conf"), "w") as file:
            file.write(f"nameserver {upstream}\n")
        self.proc = None
        self.start()

    def _users(self):
        """Files that have its user, as those of the host do where it is installed; by the ids of
        nobody, since the bus wants to know whose they are."""
        ids = ["65534", "65534"]
        with open("/etc/passwd") as passwd, open("/etc/group") as group:
            texts = {"passwd": passwd.read(), "group": group.read()}
        try:
            ids = [str(pwd.getpwnam(USER).pw_uid), str(grp.getgrnam(USER).gr_gid)]
        except KeyError:
            texts["passwd"] += f"{USER}:x:{ids[0]}:{ids[1]}::/:/usr/sbin/nologin\n"
            texts["group"] += f"{USER}:x:{ids[1]}:\n"
        for name, text in texts.items():
            with open(os.path.join(self.dir, name), "w") as file:
                file.write(text)
        return ids

    def start(self):
        self.proc = self.ns.popen("resolved", "sh", "-c", self.SCRIPT, self.dir, _binary(),
                                  *self.ids, env={**os.environ, **self.bus.env})
        self.bus.wait_owner()

    def _property(self, name):
        done = run("busctl", f"--address={self.bus.address}", "--json=short", "get-property",
                   "org.freedesktop.resolve1", "/org/freedesktop/resolve1",
                   "org.freedesktop.resolve1.Manager", name)
        return json.loads(done.stdout)["data"]

    def servers(self):
        """Addresses, as bytes in hexadecimal, that are asked on some link."""
        return [bytes(address).hex() for link, _, address in self._property("DNS") if link]

    def domains(self):
        """(name, whether only for routing) of links."""
        return [(name, routing) for link, name, routing in self._property("Domains") if link]
