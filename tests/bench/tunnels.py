"""Three ways to join two sites, each measured on the same picture (Cable in
tests/system/lib/topo.py):

    host-a --- gw-a --- gw-b --- host-b

warren (two warrend), strongSwan with its userspace ESP (kernel-libipsec), and nebula. All three
carry AES-128-GCM over UDP between gw-a and gw-b; iperf3 runs between the hosts. What costs CPU in
the hosts and in the forwarding kernel is the same for all; counted are the two daemons.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

from lib import topo, warren  # noqa: E402  pylint: disable=wrong-import-position
from lib.lab import Lab, run  # noqa: E402  pylint: disable=wrong-import-position
from lib.strongswan import Charon  # noqa: E402  pylint: disable=wrong-import-position
from lib.wait import until  # noqa: E402  pylint: disable=wrong-import-position

_SECRET = "a secret for benchmarks"


class Tunnel:
    """Two sites joined; `daemons` are the processes whose CPU counts."""

    name = "?"

    def __init__(self, offload=True):
        self.lab = Lab()
        try:
            self.net = topo.Cable(self.lab, offload=offload)
            self.daemons = self._join()
            host = self.net.a.host
            until(lambda: host.ping(self.net.b.host4, count=1, wait=1, check=False),
                  f"{self.name} to carry a packet", 60)
            self._server = self.net.b.host.popen("iperf3", "iperf3", "-s", "--forceflush")
            until(lambda: "Server listening" in self._server.output(), "iperf3 to listen")
        except BaseException:
            self.lab.close()
            raise

    def _join(self):
        raise NotImplementedError

    def close(self):
        self.lab.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _cpu(self):
        return sum(proc.cpu() for proc in self.daemons)

    def _iperf(self, *argv):
        """Run one client; returns iperf3's end summary and the daemons' CPU seconds."""
        before = self._cpu()
        done = self.net.a.host.run("iperf3", "-c", self.net.b.host4, "-J", *argv)
        used = self._cpu() - before
        return json.loads(done.stdout)["end"], used

    def tcp(self, seconds):
        """One TCP flow: (Gbit/s, CPU seconds per GB of payload)."""
        end, used = self._iperf("-t", str(seconds))
        got = end["sum_received"]
        return got["bits_per_second"] / 1e9, used / (got["bytes"] / 1e9)

    def small_packets(self, seconds, rate=None):
        """64-byte IP packets (36 bytes of UDP payload): (packets/s delivered, CPU microseconds for
        each). rate: packets a second, or None for as many as the sender can."""
        bits = str(rate * 36 * 8) if rate else "0"
        pacing = ["--pacing-timer", "500"] if rate else []
        end, used = self._iperf("-u", "-l", "36", "-t", str(seconds), "-b", bits, *pacing)
        got = end["sum"]["packets"] - end["sum"]["lost_packets"]
        return got / seconds, used / got * 1e6


class Warren(Tunnel):
    name = "warren"

    def _join(self):
        daemons = warren.psk_pair(self.net, top=({"log": "warning"}, {"log": "warning"}))
        daemons[0].wait_up("b", 60)
        return [daemon.proc for daemon in daemons]


class StrongSwan(Tunnel):
    name = "strongSwan kernel-libipsec"

    def _join(self):
        charons = []
        for here, there, mine, other in ((self.net.a, self.net.b, "a", "b"),
                                         (self.net.b, self.net.a, "b", "a")):
            charon = Charon(self.lab, here.gw)
            charon.psk("p", _SECRET, "a.example", "b.example")
            charon.connection("c", here.outer4, there.outer4, f"{mine}.example",
                              f"{other}.example", here.lan4, there.lan4)
            charon.load()
            charons.append(charon)
        charons[0].initiate("c")
        return [charon.proc for charon in charons]


class Nebula(Tunnel):
    name = "nebula"

    _CONFIG = """
pki: {{ ca: {dir}/ca.crt, cert: {dir}/{me}.crt, key: {dir}/{me}.key }}
static_host_map: {{ "10.99.0.{other}": ["{outer}:4242"] }}
lighthouse: {{ am_lighthouse: {lighthouse}, hosts: {hosts} }}
listen: {{ host: 0.0.0.0, port: 4242 }}
punchy: {{ punch: true }}
cipher: aes
tun:
  dev: nebula1
  mtu: 1400
  unsafe_routes: [ {{ route: {lan}, via: 10.99.0.{other} }} ]
logging: {{ level: warning, format: text }}
firewall:
  outbound: [ {{ port: any, proto: any, host: any }} ]
  inbound: [ {{ port: any, proto: any, host: any }} ]
"""

    def _join(self):
        directory = self.lab.subdir("nebula")
        run("nebula-cert", "ca", "-name", "bench", "-out-crt", f"{directory}/ca.crt", "-out-key",
            f"{directory}/ca.key")
        procs = []
        for me, here, there in ((1, self.net.a, self.net.b), (2, self.net.b, self.net.a)):
            run("nebula-cert", "sign", "-ca-crt", f"{directory}/ca.crt", "-ca-key",
                f"{directory}/ca.key", "-name", f"n{me}", "-ip", f"10.99.0.{me}/24", "-subnets",
                here.lan4, "-out-crt", f"{directory}/{me}.crt", "-out-key", f"{directory}/{me}.key")
            config = f"{directory}/{me}.yml"
            with open(config, "w") as file:
                file.write(self._CONFIG.format(
                    dir=directory, me=me, other=3 - me, outer=there.outer4, lan=there.lan4,
                    lighthouse=str(me == 1).lower(), hosts="[]" if me == 1 else '["10.99.0.1"]'))
            procs.append(here.gw.popen("nebula", "nebula", "-config", config))
        return procs
