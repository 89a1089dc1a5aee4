"""R13, `warren doctor`: every condition is made, seen and named, mended by the command it gives where
that is one, and gone."""

import datetime
import json
import os
import socket
import subprocess

import pytest

from lib.lab import run
from lib.star import HUB_OUTER, Authority
from lib.wait import until
from lib.warren import PSK, Warrend, binary, render


def doctor(ns, conf, *argv):
    """(exit code, [(level, check, text, why, mend)])"""
    done = ns.run(binary("warren"), "doctor", conf, "--json", *argv, check=False)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    problems = sum(f["level"] == "problem" for f in answer["findings"])
    assert answer["problems"] == problems and done.returncode == (1 if problems else 0)
    return answer["findings"]


def bad(findings, check):
    return [f for f in findings if f["check"] == check and f["level"] != "ok"]


def good(findings, check):
    return [f for f in findings if f["check"] == check and f["level"] == "ok"]


def named(ns, conf, check, level, *words):
    """Exactly one finding of that check, with reason and remedy; returns it."""
    findings = bad(doctor(ns, conf), check)
    assert len(findings) == 1, findings
    found = findings[0]
    assert found["level"] == level and found["why"] and found["mend"], found
    for word in words:
        assert word in found["text"], found
    # For people as well; a day that was left may be over between two looks.
    screen = ns.run(binary("warren"), "doctor", conf, check=False).stdout
    assert any(f["text"] in screen and f["mend"] in screen
               for f in (found, *bad(doctor(ns, conf), check))), (found, screen)
    return found


def mend(ns, found):
    """What it says, by the shell."""
    subprocess.run(ns.argv("sh", "-ec", found["mend"]), check=True, capture_output=True, timeout=30)


@pytest.fixture
def site(star, lab):
    """A site that would work: its gateway, and the path of its configuration."""
    corp = Authority(lab)
    corp.hub()
    member = star.site(1)
    bundle = corp.site(member.identity, member.prefixes())
    member.corp = corp
    member.conf = _write(lab, "site", {"identity": bundle}, {}, {"corp": ({
        "hubs": [HUB_OUTER], "protect": list(member.prefixes())}, {})})
    return member


@pytest.fixture
def hub(star, lab):
    corp = Authority(lab, "corp")
    star.hub_conf = _write(lab, "hub", {"identity": corp.hub()}, {}, {"corp": ({
        "role": "hub", "domain": ["10.0.0.0/8", "fd00::/16"]}, {})})
    return star


def _write(lab, name, top, peers, networks=None):
    directory = lab.subdir(name)
    path = os.path.join(directory, "warren.conf")
    with open(path, "w") as file:
        file.write(render({"control": os.path.join(directory, "sock"), **top}, peers, networks))
    os.chmod(path, 0o600)
    return path


def test_a_good_site(site):
    findings = doctor(site.gw, site.conf)
    assert [f for f in findings if f["level"] == "problem"] == []
    for check in ("configuration", "permissions", "certificate", "ports", "tun", "nf_tables",
                  "forwarding", "rp_filter", "firewall", "networks", "rules", "mtu"):
        assert good(findings, check), (check, findings)


def test_a_good_hub(hub):
    findings = doctor(hub.hub_ns, hub.hub_conf)
    assert [f for f in findings if f["level"] == "problem"] == [], findings


def test_configuration(site):
    with open(site.conf, "a") as file:
        file.write("nonsense = 1\n")
    found = named(site.gw, site.conf, "configuration", "problem", "nonsense")
    assert site.conf in found["mend"]
    named(site.gw, site.conf + ".none", "configuration", "problem", "No such file")


@pytest.mark.parametrize("family,key", [(4, "net.ipv4.ip_forward"),
                                        (6, "net.ipv6.conf.all.forwarding")])
def test_forwarding(site, hub, family, key):
    for ns, conf in ((site.gw, site.conf), (hub.hub_ns, hub.hub_conf)):
        ns.sysctl(key, 0)
        mend(ns, named(ns, conf, "forwarding", "problem", f"IPv{family}"))
        assert not bad(doctor(ns, conf), "forwarding")


def test_no_forwarding_needed(star, lab):
    """An endpoint that protects only its own address forwards nothing."""
    ns = lab.netns("alone")
    star.plug(ns, "192.0.2.77", "2001:db8::77", "palone")
    ns.ip("addr", "add", "10.7.0.1/32", "dev", "lo")
    conf = _write(lab, "alone", {}, {"b": {
        "address": "192.0.2.1", "local_id": "a.example", "remote_id": "b.example", "psk": PSK,
        "local_ts": ["10.7.0.1"], "remote_ts": ["10.8.0.0/16"]}})
    ns.sysctl("net.ipv4.ip_forward", 0)
    assert not bad(doctor(ns, conf), "forwarding")


def test_rp_filter(site, lab):
    """Strict filtering is in the way where the domain has the hub's own address."""
    conf = _write(lab, "all", {}, {"b": {
        "address": HUB_OUTER, "local_id": "a.example", "remote_id": "b.example", "psk": PSK,
        "local_ts": [site.lan4], "remote_ts": ["0.0.0.0/0"]}})
    site.gw.sysctl("net.ipv4.conf.all.rp_filter", 1)
    assert not bad(doctor(site.gw, site.conf), "rp_filter"), "harmless for a smaller domain"
    mend(site.gw, named(site.gw, conf, "rp_filter", "problem", "wan"))
    assert not bad(doctor(site.gw, conf), "rp_filter")


DOCKER = """
    table ip filter {
        chain DOCKER { }
        chain DOCKER-USER { counter return
        }
        chain FORWARD {
            type filter hook forward priority 0; policy drop;
            counter jump DOCKER-USER
            oifname "docker0" ct state related,established counter accept
            oifname "docker0" counter jump DOCKER
            iifname "docker0" oifname != "docker0" counter accept
        }
    }
"""


def test_docker(site):
    """The way Docker leaves FORWARD."""
    site.gw.nft(DOCKER)
    findings = bad(doctor(site.gw, site.conf), "firewall")
    assert len(findings) == 2, "into the tunnel, and out of it"
    for found in findings:
        assert found["level"] == "problem" and "Docker" in found["text"]
        assert "DOCKER-USER" in found["mend"]
        mend(site.gw, found)
    assert not bad(doctor(site.gw, site.conf), "firewall")


def test_docker_on_a_hub(hub):
    hub.hub_ns.nft(DOCKER)
    found = named(hub.hub_ns, hub.hub_conf, "firewall", "problem", "from one site to another")
    mend(hub.hub_ns, found)
    assert not bad(doctor(hub.hub_ns, hub.hub_conf), "firewall")


def test_firewall_that_knows_us(site):
    """A strict firewall with the rules that are needed is no finding."""
    site.gw.nft("""
        table inet fw {
            chain inbound { type filter hook input priority 0; policy drop;
                ct state established,related accept
                iifname "lo" accept
            }
            chain forw { type filter hook forward priority 0; policy drop;
                iifname "warren0" oifname "lan" accept
                iifname "lan" accept
            }
            chain outbound { type filter hook output priority 0; policy drop;
                udp dport { 500, 4500 } accept
            }
        }""")
    assert not bad(doctor(site.gw, site.conf), "firewall")


@pytest.mark.parametrize("hook,word", [("input", "to this host"), ("output", "from this host")])
def test_firewall_against_ike(hub, hook, word):
    hub.hub_ns.nft(f"""
        table inet fw {{
            chain c {{ type filter hook {hook} priority 0; policy drop;
                ct state established,related accept
                tcp dport 22 accept
                udp dport 500 accept
            }}
        }}""")
    found = named(hub.hub_ns, hub.hub_conf, "firewall", "problem", word, "4500")
    mend(hub.hub_ns, found)
    assert not bad(doctor(hub.hub_ns, hub.hub_conf), "firewall")


def test_firewall_that_is_not_understood(hub):
    """What might let it pass is no problem, and what might drop it no word worth."""
    hub.hub_ns.nft("""
        table inet fw {
            set friends { type ipv4_addr; }
            set enemies { type ipv4_addr; }
            chain inbound { type filter hook input priority 0; policy drop;
                ip saddr @friends accept
            }
            chain forw { type filter hook forward priority 0; policy accept;
                ip saddr @enemies drop
            }
        }""")
    findings = bad(doctor(hub.hub_ns, hub.hub_conf), "firewall")
    assert {f["level"] for f in findings} == {"warning"} and len(findings) == 2
    assert all("may be" in f["text"] for f in findings)


def test_ports(site):
    """Somebody else has the port: named by process."""
    with site.gw.enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.bind(("0.0.0.0", 4500))
        found = named(site.gw, site.conf, "ports", "problem", "4500", f"process {os.getpid()}")
        assert str(os.getpid()) in found["mend"]
    assert not bad(doctor(site.gw, site.conf), "ports")


def test_port_held_by_charon(site, tmp_path):
    """Another IKE daemon is known by name, and how to stop it."""
    fake = tmp_path / "charon-systemd"
    source = tmp_path / "c.c"
    source.write_text("#include <netinet/in.h>\n#include <unistd.h>\nint main(void){"
                      "struct sockaddr_in6 a={.sin6_family=AF_INET6,.sin6_port=htons(500)};"
                      "int s=socket(AF_INET6,SOCK_DGRAM,0);"
                      "if(bind(s,(void*)&a,sizeof a))return 1;write(1,\"ok\\n\",3);pause();}")
    run("cc", "-o", str(fake), str(source))
    proc = site.gw.popen("charon", str(fake))
    until(lambda: "ok" in proc.output(), "the port to be taken")
    found = named(site.gw, site.conf, "ports", "problem", "500", "charon-systemd")
    assert "strongswan" in found["mend"]
    proc.kill()
    assert not bad(doctor(site.gw, site.conf), "ports")


def test_our_own_daemon(star, lab):
    """While it runs its ports are its own; its socket tells."""
    corp = Authority(lab)
    corp.hub()
    hub = star.start_hub(corp)
    findings = doctor(star.hub_ns, hub.conf)
    assert not bad(findings, "ports") and good(findings, "daemon"), findings
    assert "warrend" in good(findings, "ports")[0]["text"]
    hub.stop()
    findings = doctor(star.hub_ns, hub.conf)
    assert bad(findings, "daemon")[0]["level"] == "warning"


@pytest.mark.parametrize("kind", ["expired", "future", "soon"])
def test_certificate(site, pki, kind, tmp_path):
    ca = type(pki)(str(tmp_path), "dates")
    leaf = {"expired": ca.expired, "future": ca.not_yet_valid, "soon": ca.leaf}[kind](
        "a.example", **({"end": _soon()} if kind == "soon" else {}))
    os.chmod(leaf.key, 0o600)
    conf = _write(site.star.lab, "dated", {}, {"b": {
        "address": HUB_OUTER, "local_id": leaf.name, "remote_id": "b.example",
        "certificate": leaf.chain, "key": leaf.key, "trust": [ca.cert],
        "local_ts": [site.lan4], "remote_ts": ["10.9.0.0/16"]}})
    level = "warning" if kind == "soon" else "problem"
    named(site.gw, conf, "certificate", level,
          {"expired": "2021", "future": "not valid before", "soon": "until"}[kind])


def _soon():
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=5)
    return at.strftime("%Y%m%d%H%M%SZ")


def test_crl(hub, lab):
    corp = Authority(lab, "crl")
    conf = _write(lab, "crlhub", {"identity": corp.hub(), "crl": corp.crl}, {}, {"crl": ({
        "role": "hub", "domain": ["10.0.0.0/8"]}, {})})
    corp.pki("crl", "--dir", corp.dir, "--days", "3")
    named(hub.hub_ns, conf, "crl", "warning", corp.crl, "days")
    corp.pki("crl", "--dir", corp.dir)
    assert good(doctor(hub.hub_ns, conf), "crl")
    # Of several the one that ends first.
    below = Authority(lab, "below")
    below.pki("crl", "--dir", below.dir, "--days", "4")
    with open(corp.crl, "a") as both, open(below.crl) as more:
        both.write(more.read())
    named(hub.hub_ns, conf, "crl", "warning", corp.crl, "has to be replaced in", "days")


def test_permissions(site):
    key = site.corp.path(site.identity, ".key")
    os.chmod(key, 0o644)
    mend(site.gw, named(site.gw, site.conf, "permissions", "problem", key, "0644"))
    assert good(doctor(site.gw, site.conf), "permissions")


def test_psk_in_a_readable_file(site, lab):
    conf = _write(lab, "psk", {}, {"b": {
        "address": HUB_OUTER, "local_id": "a.example", "remote_id": "b.example", "psk": PSK,
        "local_ts": [site.lan4], "remote_ts": ["10.9.0.0/16"]}})
    os.chmod(conf, 0o644)
    mend(site.gw, named(site.gw, conf, "permissions", "problem", conf))
    assert good(doctor(site.gw, conf), "permissions")


def test_mtu(site):
    site.gw.ip("link", "set", "wan", "mtu", "1300")
    found = named(site.gw, site.conf, "mtu", "problem", "wan", "1300")
    mend(site.gw, found)
    assert good(doctor(site.gw, site.conf), "mtu")


def test_networks(site, lab):
    """A connected network inside the domain that nobody protects."""
    lab.veth(site.gw, "dmz", lab.netns("dmz"), "lan")
    site.gw.ip("addr", "add", "10.66.0.1/24", "dev", "dmz")
    found = named(site.gw, site.conf, "networks", "warning", "10.66.0.0/24", "dmz")
    assert "protect" in found["mend"]
    site.gw.ip("addr", "del", "10.66.0.1/24", "dev", "dmz")
    assert good(doctor(site.gw, site.conf), "networks")


def test_rules(site):
    """Another VPN's rule before ours."""
    site.gw.ip("rule", "add", "priority", "5210", "table", "5210")
    found = named(site.gw, site.conf, "rules", "warning", "5210")
    mend(site.gw, found)
    assert good(doctor(site.gw, site.conf), "rules")


def test_tun(site):
    """In a mount namespace without the device: as in a container."""
    command = (f"mount -t tmpfs none /dev/net && {binary('warren')} doctor {site.conf} --json || "
               "test $? = 1")
    done = site.gw.run("unshare", "-m", "sh", "-ec", command)
    found = bad(json.loads(done.stdout)["findings"], "tun")
    assert len(found) == 1 and "/dev/net/tun" in found[0]["text"] and "mknod" in found[0]["mend"]


def test_resolver(site, lab):
    """A forwarder on this host, and a domain that has the whole Internet."""
    conf = _write(lab, "dns", {}, {"b": {
        "address": "hub.example.net", "local_id": "a.example", "remote_id": "b.example", "psk": PSK,
        "local_ts": [site.lan4], "remote_ts": ["0.0.0.0/0"]}})
    resolv = os.path.join(lab.subdir("etc"), "resolv.conf")

    def findings(server, path):
        with open(resolv, "w") as file:
            file.write(f"# a comment\nnameserver {server}\n")
        command = (f"mount --bind {resolv} /etc/resolv.conf && "
                   f"{{ {binary('warren')} doctor {path} --json || test $? = 1; }}")
        return json.loads(site.gw.run("unshare", "-m", "sh", "-ec", command).stdout)["findings"]
    found = bad(findings("127.0.0.53", conf), "resolver")
    assert len(found) == 1 and "systemd-resolved" in found[0]["text"] and found[0]["mend"]
    assert good(findings("192.0.2.254", conf), "resolver")
    assert not bad(findings("127.0.0.53", site.conf), "resolver"), "a smaller domain, no names"


def test_boot_units(site, lab):
    """Where systemd runs the host; here its directories are laid out."""
    etc, sysd = lab.subdir("sd"), lab.subdir("run")
    os.makedirs(os.path.join(sysd, "systemd/system"))
    wants = os.path.join(etc, "multi-user.target.wants")
    os.makedirs(wants)
    command = (f"mkdir -p /run/systemd /etc/systemd/system && mount --bind {sysd} /run && "
               f"mount --bind {etc} /etc/systemd/system && "
               f"{{ {binary('warren')} doctor {site.conf} --json || test $? = 1; }}")

    def findings():
        return json.loads(site.gw.run("unshare", "-m", "sh", "-ec", command).stdout)["findings"]
    found = bad(findings(), "boot")
    assert len(found) == 1 and "warren-block" in found[0]["text"]
    assert "systemctl enable" in found[0]["mend"]
    for unit in ("warren-block.service", "warrend.service"):
        os.symlink("/dev/null", os.path.join(wants, unit))
    assert good(findings(), "boot")
