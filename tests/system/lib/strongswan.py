"""strongSwan in a network namespace: charon-systemd without systemd, driven by swanctl over vici.

charon gets a private /run (bind mount; `ip netns exec` has already given it a mount namespace of
its own), its own strongswan.conf, and only the plugins named here. `openssl` comes first, because
the order picks the crypto implementation. `kernel-libipsec` comes before `kernel-netlink` and does
ESP in userspace, always in UDP 4500: it pretends to be behind a NAT.
"""

import os
import re
import shutil

from .lab import run
from .wait import until

PLUGINS = ("openssl random nonce x509 constraints revocation pubkey pem pkcs1 pkcs8 kdf "
           "kernel-libipsec kernel-netlink socket-default vici updown")
ESP = "aes128gcm16-noesn"               # kernel-libipsec cannot do extended sequence numbers
IKE = "aes128gcm16-prfsha256-x25519"


class Charon:
    """One charon daemon. Connections are added as swanctl.conf text, then loaded together."""

    def __init__(self, lab, ns, extra="", log_keys=False, plugins=PLUGINS):
        self.lab, self.ns = lab, ns
        self.dir = lab.subdir(f"charon-{ns.short}")
        self.swanctl_dir = os.path.join(self.dir, "swanctl")
        for sub in ("x509", "x509ca", "ecdsa", "pkcs8", "private"):
            os.makedirs(os.path.join(self.swanctl_dir, sub))
        os.makedirs(os.path.join(self.dir, "run"))
        self.logfile = os.path.join(self.dir, "charon.log")
        self.uri = f"unix://{self.dir}/run/charon.vici"
        self._write_conf(extra, log_keys, plugins)
        self._connections, self._secrets, self._pools = [], [], []
        self._start()

    def _write_conf(self, extra, log_keys, plugins):
        level = "ike = 4\n chd = 4\n" if log_keys else ""
        with open(os.path.join(self.dir, "strongswan.conf"), "w") as conf:
            conf.write(f"""charon-systemd {{
    load = {plugins}
    install_virtual_ip = no
    retransmit_timeout = 1
    retransmit_tries = 4
    {extra}
    journal {{ default = -1 }}
    filelog {{ main {{
        path = {self.logfile}
        flush_line = yes
        default = 1
        {level}
    }} }}
    plugins {{
        vici {{ socket = {self.uri} }}
        kernel-libipsec {{ allow_peer_ts = yes }}
    }}
}}
""")

    def _start(self):
        # $0, $1: no quoting to get wrong.
        script = 'mount --bind "$0/run" /run && exec /usr/sbin/charon-systemd'
        env = dict(os.environ, STRONGSWAN_CONF=os.path.join(self.dir, "strongswan.conf"),
                   SWANCTL_DIR=self.swanctl_dir)
        self.proc = self.ns.popen("charon", "sh", "-c", script, self.dir, env=env)
        until(self._ready, f"charon in {self.ns.short} to answer")

    def _ready(self):
        assert self.proc.running(), self.proc.output()
        return self.swanctl("--stats", check=False).returncode == 0

    @property
    def pid(self):
        return self.proc.pid

    def swanctl(self, *argv, check=True, timeout=60):
        env = dict(os.environ, SWANCTL_DIR=self.swanctl_dir,
                   STRONGSWAN_CONF=os.path.join(self.dir, "strongswan.conf"))
        return run("swanctl", *argv, "--uri", self.uri, check=check, env=env, timeout=timeout)

    def log(self):
        try:
            with open(self.logfile, errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    # ---- configuration

    def trust(self, pki):
        shutil.copy(pki.cert, os.path.join(self.swanctl_dir, "x509ca", f"{pki.name}.crt"))

    def own(self, leaf):
        """Make a leaf and its intermediates available for our own use."""
        with open(leaf.chain) as chain:
            certs = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", chain.read(), re.S)
        for number, text in enumerate(certs):
            folder, name = "x509ca", f"{leaf.name}-{number}"
            if number == 0:
                folder, name = "x509", leaf.name
            with open(os.path.join(self.swanctl_dir, folder, f"{name}.crt"), "w") as out:
                out.write(text)
        shutil.copy(leaf.key, os.path.join(self.swanctl_dir, "pkcs8", f"{leaf.name}.key"))

    def own_files(self, name, cert, key):
        """The same from a certificate and a key in PEM."""
        shutil.copy(cert, os.path.join(self.swanctl_dir, "x509", f"{name}.crt"))
        shutil.copy(key, os.path.join(self.swanctl_dir, "pkcs8", f"{name}.key"))

    def trust_file(self, name, cert):
        shutil.copy(cert, os.path.join(self.swanctl_dir, "x509ca", f"{name}.crt"))

    def psk(self, name, secret, *ids):
        lines = "".join(f'        id-{i} = "{value}"\n' for i, value in enumerate(ids))
        self._secrets.append(f'    ike-{name} {{\n{lines}        secret = "{secret}"\n    }}\n')

    def secret(self, text):
        """Anything else of the section."""
        self._secrets.append(text)

    def pool(self, name, addresses, **attributes):
        """Inner addresses to give away, and attributes by swanctl's names or their numbers."""
        lines = "".join(f"        {key} = {value}\n" for key, value in attributes.items())
        self._pools.append(f"    {name} {{\n        addrs = {addresses}\n{lines}    }}\n")

    def connection(self, name, local, remote, local_id, remote_id, local_ts, remote_ts, cert=None,
                   ike=IKE, esp=ESP, start="none", dpd="0s", extra="", child_extra="", auth=None,
                   mobike="no"):
        """cert: a Leaf to sign with, or None for PSK. auth: how both sides sign, where more than
        the kind of key is to decide. The child has the connection's name."""
        auth = auth or ("pubkey" if cert else "psk")
        certs = f"certs = {cert.name}.crt" if cert else ""
        self._connections.append(f"""    {name} {{
        version = 2
        local_addrs = {local}
        remote_addrs = {remote}
        proposals = {ike}
        dpd_delay = {dpd}
        mobike = {mobike}
        rekey_time = 0s
        {extra}
        local {{
            auth = {auth}
            id = "{local_id}"
            {certs}
        }}
        remote {{
            auth = {auth}
            id = "{remote_id}"
        }}
        children {{
            {name} {{
                local_ts = {local_ts}
                remote_ts = {remote_ts}
                esp_proposals = {esp}
                start_action = {start}
                rekey_time = 0s
                dpd_action = clear
                {child_extra}
            }}
        }}
    }}
""")

    def load(self):
        with open(os.path.join(self.swanctl_dir, "swanctl.conf"), "w") as conf:
            conf.write("connections {\n" + "".join(self._connections) + "}\nsecrets {\n"
                       + "".join(self._secrets) + "}\npools {\n" + "".join(self._pools) + "}\n")
        return self.swanctl("--load-all", "--noprompt")

    # ---- life cycle

    def initiate(self, name, check=True, timeout=30):
        return self.swanctl("--initiate", "--child", name, "--timeout", str(timeout), check=check)

    def terminate(self, name, timeout=30):
        return self.swanctl("--terminate", "--ike", name, "--timeout", str(timeout))

    def sas(self, name=None):
        """The raw listing of IKE SAs with their children."""
        return self.swanctl("--list-sas", *(("--ike", name) if name else ())).stdout

    def list_sas(self, name=None):
        """The IKE SAs as dictionaries, as vici has them; their children in a list, child-sas."""
        listed = self.swanctl("--list-sas", "--pretty", *(("--ike", name) if name else ())).stdout
        found = []
        for event in re.findall(r"^list-sa event {\n(.*?)^}", listed, re.S | re.M):
            (name, sa), = _sections(map(str.strip, event.splitlines())).items()
            found.append({**sa, "name": name, "child-sas": list(sa["child-sas"].values())})
        return found

    def established(self, name):
        """Number of established IKE SAs of a connection that have an installed child."""
        text = self.sas(name)
        return min(len(re.findall(r"ESTABLISHED", text)), len(re.findall(r"INSTALLED", text)))

    def stop(self):
        return self.proc.stop()

    def restart(self):
        """Kill it, so that it tells nobody, and start it anew."""
        self.proc.kill()
        self._start()
        return self.load()


def _sections(lines):
    """One section of swanctl's --pretty, to its closing brace."""
    section = {}
    for line in lines:
        key, _, value = line.partition(" = ")
        if line == "}":
            break
        if line.endswith(" {"):
            section[line[:-2]] = _sections(lines)
        else:
            section[key] = list(iter(lines.__next__, "]")) if value == "[" else value
    return section
