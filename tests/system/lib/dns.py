"""Names: what a namespace's /etc/hosts and /etc/resolv.conf say, and a name server to ask.

`ip netns exec` puts the files of /etc/netns/NAME in the place of those of /etc.
"""

import os
import shutil
import signal

from .wait import until


def files(ns, resolv_conf=None, hosts=None):
    """The files that everything started in the namespace from now on sees."""
    directory = f"/etc/netns/{ns.name}"
    os.makedirs(directory, exist_ok=True)
    ns.lab.on_close(lambda: shutil.rmtree(directory, ignore_errors=True))
    for name, text in (("resolv.conf", resolv_conf), ("hosts", hosts)):
        if text is not None:
            with open(os.path.join(directory, name), "w") as file:
                file.write(text)


class Server:
    """dnsmasq on some addresses of a namespace; its records can be changed at any time."""

    def __init__(self, ns, *addresses):
        self.ns = ns
        self.hosts = os.path.join(ns.lab.subdir("dns"), "hosts")
        open(self.hosts, "w").close()
        os.chmod(ns.lab.dir, 0o711)
        os.chmod(os.path.dirname(self.hosts), 0o711)
        self.proc = ns.popen(
            "dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
            "--no-hosts", "--log-facility=-", "--log-queries", "--bind-interfaces", "--user=root",
            "--addn-hosts", self.hosts, "--pid-file=", "--local-ttl=0", "--no-negcache",
            "--address=/refused.example/", *(f"--listen-address={a}" for a in addresses))
        until(lambda: "started" in self.proc.output(), "the name server")

    def records(self, *pairs):
        """(name, address) pairs: all that there are from now on."""
        with open(self.hosts, "w") as file:
            file.writelines(f"{address} {name}\n" for name, address in pairs)
        before = self.proc.output().count("read ")
        self.proc.send(signal.SIGHUP)
        until(lambda: self.proc.output().count("read ") > before, "the new records to be read")

    def asked(self, name):
        return self.proc.output().count(f"query[A] {name}")
