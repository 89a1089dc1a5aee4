"""Sent on to another gateway (RFC 5685), by the daemon as it is: two hubs, sites with traffic, orders
and configuration, hubs that point at each other, strongSwan at either end (R07, F10).

    hub.example   192.0.2.1 ==\\\\
                               site-N.example 192.0.2.(10+N)
    hub2.example  192.0.2.2 ==//

Behind both hubs is 10.250.0.1: whoever is connected to one of them gets answers from there.
"""

import re
import signal

import pytest

from lib import dns, topo
from lib.star import DOMAIN
from lib.strongswan import Charon
from lib.wait import until
from lib.warren import PSK, Warrend, psk_keys

HUB1, HUB2 = "192.0.2.1", "192.0.2.2"
NETWORK, BEHIND = "10.250.0.0/16", "10.250.0.1"


class Hubs:
    """Two hubs of a network, on their own namespaces; `own`: keys of each one's section."""

    def __init__(self, star, corp, own=({}, {}), top=None):
        self.star, self.corp = star, corp
        self.ns = (star.hub_ns, star.another_hub(2))
        corp.hub("hub2.example")
        for ns in self.ns:
            topo.addresses(ns, "lo", BEHIND + "/32")
        self.top, self.hub = top or {}, []
        for index, identity in enumerate(("hub.example", "hub2.example")):
            self.hub.append(star.start_hub(corp, ns=self.ns[index] if index else None,
                                           identity=identity, top=self.top, protect=[NETWORK],
                                           **own[index]))

    def reconfigure(self, index, **keys):
        identity = ("hub.example", "hub2.example")[index]
        network = {"role": "hub", "domain": list(DOMAIN), "protect": [NETWORK], **keys}
        self.hub[index].configure({"identity": self.corp.path(identity), **self.top}, {},
                                  {"corp": (network, {})})
        return self.hub[index].cli("reload").stdout

    def join(self, *numbers, **keys):
        return [self.star.join(self.corp, number, host=False, **keys) for number in numbers]

    def serves(self, index, site):
        """Until the site is connected to that hub, and to no other, and gets answers."""
        def there():
            sa, = site.daemon.peers()["corp"]["ike_sas"]
            assert sa["state"] == "established" and len(sa["child_sas"]) == 1
            assert sa["remote"].startswith((HUB1, HUB2)[index] + ":"), sa["remote"]
            other = self.hub[1 - index].peers().get(site.identity, {"ike_sas": []})
            assert not other["ike_sas"]
            return True
        until(there, f"{site.identity} to be at hub {index + 1} alone", 60)
        site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)


@pytest.fixture
def hubs(star, corp):
    return Hubs(star, corp)


class Ping:
    """One every 10 ms from a site to what is behind the hubs; at the end none was lost."""

    def __init__(self, site):
        self.proc = site.gw.popen("ping", "stdbuf", "-oL", "ping", "-n", "-i", "0.01", "-I",
                                  site.gwlan4, BEHIND)

    def __enter__(self):
        self.passed()
        return self

    def _heard(self):
        return {int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", self.proc.output())}

    def passed(self, count=50):
        """Until so many more have come back."""
        target = len(self._heard()) + count
        until(lambda: len(self._heard()) >= target, f"{count} answers")

    def __exit__(self, kind, *exc):
        if kind is None:
            self.passed()
        self.proc.stop(signal.SIGINT)
        if kind is None:
            heard = self._heard()
            missing = set(range(1, max(heard) + 1)) - heard
            assert not missing, f"{len(missing)} of {max(heard)} were lost: {sorted(missing)[:20]}"


# ---- orders


def test_order_for_one(star, hubs):
    """`warren redirect PEER GATEWAY` under traffic: nothing is lost, the other site stays, and both
    ends say what happened."""
    first, second = hubs.join(1, 2)
    watch, seen = first.daemon.watch(), hubs.hub[0].watch()
    with star.capture() as capture, Ping(first) as ping:
        hubs.hub[0].cli("redirect", first.identity, HUB2)
        hubs.serves(1, first)
        ping.passed()
    hubs.serves(0, second)
    assert not capture.clear()
    assert "from 192.0.2.1 to 192.0.2.2, in the session" in watch.wait("redirected")["text"]
    assert "sent on to 192.0.2.2" in seen.wait("redirected", peer=first.identity)["text"]
    seen.wait("ike_down", peer=first.identity)
    assert hubs.hub[0].counters()["ike.redirect.sent"] == 1
    assert first.daemon.counters()["ike.redirect.followed"] == 1
    told = first.daemon.peers()["corp"]["redirect"]
    assert told["gateway"] == HUB2 and told["by"] == HUB1 and told["times"] == 1
    why = " ".join(first.daemon.cli("why", "corp").stdout.split())
    assert re.search(r"redirect ok 192.0.2.1 sent us on, 1 times .* to 192.0.2.2, which", why), why
    # An order for a member is over with that.
    assert hubs.hub[0].status()["redirects"] == []


def test_order_for_all_and_no_more(hubs):
    """--all by name, for those who are there and for newcomers; --off; and back, all of them."""
    for site in range(1, 6):
        dns.files(hubs.star.site(site, host=False).gw, hosts=f"{HUB2} hub2.example.net\n")
    sites = [_start(hubs, number) for number in range(1, 5)]
    with Ping(sites[0]):
        hubs.hub[0].cli("redirect", "--all", "hub2.example.net")
        for site in sites:
            hubs.serves(1, site)
    assert hubs.hub[0].status()["redirects"] == [{"peer": "", "gateway": "hub2.example.net"}]
    sites.append(_start(hubs, 5))
    hubs.serves(1, sites[-1])
    hubs.hub[0].cli("redirect", "--off")
    assert hubs.hub[0].status()["redirects"] == []
    with Ping(sites[0]):
        hubs.hub[1].cli("redirect", "--all", HUB1)
        for site in sites:
            hubs.serves(0, site)
    sixth, = hubs.join(6)
    hubs.serves(0, sixth)


def _start(hubs, number):
    member = hubs.star.sites[number]
    bundle = hubs.corp.site(member.identity, member.prefixes())
    member.daemon = hubs.star.start_site(member, bundle)
    member.daemon.wait_up("corp")
    return member


def test_orders_that_cannot_be(hubs):
    """What is no gateway, nobody there, somebody who goes nowhere: said, and nothing happens."""
    stays, = hubs.join(1, redirect="no")
    hub = hubs.hub[0]
    for argv, words in ((("--all", "127.0.0.1"), '"127.0.0.1": nobody can be sent there'),
                        (("--all", "no name"), '"no name": nobody can be sent there'),
                        (("nobody", HUB2), "nobody"),
                        ((stays.identity, HUB2), "did not say that it can be sent on"),
                        (("--off",), "nobody is being sent on"),
                        ((), "accepted: redirect PEER GATEWAY, ")):
        done = hub.cli("redirect", *argv, check=False)
        assert done.returncode and words in done.stderr, (argv, done)
    hubs.serves(0, stays)
    assert hub.counters()["ike.redirect.sent"] == 0


def test_gateway_that_is_not_there(hubs):
    """Sent to nobody: the tunnel stays until the hub has enough, then the site is back at once; why
    says what was wrong."""
    site, = hubs.join(1)
    hubs.reconfigure(0, redirect_wait="20s")
    watch = site.daemon.watch()
    hubs.hub[0].cli("redirect", site.identity, "192.0.2.99")
    assert "the tunnel that there is stays" in watch.wait("refused", deadline=60)["text"]
    site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)
    why = " ".join(site.daemon.cli("why", "corp", check=False).stdout.split())
    assert re.search(r"redirect failed 192.0.2.1 sent us on, 1 times .* led nowhere", why), why
    hubs.hub[0].wait_counter("ike.redirect.not_left", deadline=60)
    hubs.serves(0, site)


# ---- configuration


@pytest.mark.parametrize("cookies", [False, True], ids=["ike_auth", "ike_sa_init"])
def test_configured(star, corp, cookies):
    """redirect_to by reload: who is there stays, newcomers go, when it is known who they are or,
    where they return a cookie, before; without it they stay again."""
    hubs = Hubs(star, corp, top={"half_open_cookie": "0"} if cookies else {})
    old, = hubs.join(1)
    assert "redirect_to" in hubs.reconfigure(0, redirect_to=[HUB2])
    before = hubs.hub[0].counters()
    new, = hubs.join(2)
    hubs.serves(1, new)
    hubs.serves(0, old)
    after = hubs.hub[0].counters()
    assert after["ike.redirect.sent"] == before["ike.redirect.sent"] + 1
    assert after["ike.sa.established"] == before["ike.sa.established"] + (not cookies)
    assert ("in IKE_SA_INIT, which nothing vouches for" in new.daemon.log()) == cookies
    hubs.reconfigure(0)
    third, = hubs.join(3)
    hubs.serves(0, third)
    hubs.serves(1, new)


def test_above_a_threshold(star, corp):
    """From two SAs on."""
    hubs = Hubs(star, corp, own=({"redirect_to": [HUB2], "redirect_above": 2}, {}))
    sites = hubs.join(1, 2, 3)
    for index, site in zip((0, 0, 1), sites):
        hubs.serves(index, site)


@pytest.mark.parametrize("names", [False, True], ids=["addresses", "names"])
def test_hubs_that_point_at_each_other(star, corp, names):
    """By address the second one sees where the site comes from, and keeps it. By name nobody can
    see that it is a circle: the site does after five times, and is served by who is asked then."""
    to = ("hub.example.net", "hub2.example.net") if names else (HUB1, HUB2)
    hubs = Hubs(star, corp, own=({"redirect_to": [to[1]]}, {"redirect_to": [to[0]]}))
    dns.files(star.site(1, host=False).gw, hosts=f"{HUB1} {to[0]}\n{HUB2} {to[1]}\n")
    site = _start(hubs, 1)
    if not names:
        hubs.serves(1, site)
        assert hubs.hub[1].counters()["ike.redirect.ping_pong"] == 1
        return
    hubs.serves(0, site)
    counters = site.daemon.counters()
    assert counters["ike.redirect.followed"] == 5 and counters["ike.redirect.loop"] == 1
    assert "more than 5 times in 300 s" in site.daemon.log()
    why = site.daemon.cli("why", "corp", check=False).stdout
    why = " ".join(why.split())
    assert re.search(r"redirect failed 192.0.2.1 sent us on, 5 times .* in circles: for \d+ s we go",
                     why), why


# ---- strongSwan


GATEWAY, CLIENT = "gw.example", "site-1.example"
CLIENT_TS = "10.1.0.0/16"


def _gateway(star, ns, cookies=False, **keys):
    """A warrend with a peer section for the client; all gateways have the same name and key."""
    topo.addresses(ns, "lo", BEHIND + "/32")
    section = psk_keys(GATEWAY, CLIENT, NETWORK, CLIENT_TS, start="listen", **keys)
    return Warrend(star.lab, ns, {"half_open_cookie": "0"} if cookies else {}, {"client": section})


def _charon(star, ns, local, remote, local_ts, remote_ts, **keys):
    charon = Charon(star.lab, ns)
    charon.psk("warren", PSK, *keys.values())
    charon.connection("net", local, remote, keys["me"], keys["other"], local_ts, remote_ts)
    charon.load()
    return charon


def _remote(charon):
    """Of its only IKE SA."""
    sa, = charon.list_sas("net")
    assert sa["state"] == "ESTABLISHED" and len(sa["child-sas"]) == 1
    return sa["remote-host"]


def test_strongswan_is_sent_on_in_a_session(star):
    """By order: it leaves for the other gateway."""
    site, hub2 = star.site(1, host=False), star.another_hub(2)
    gateways = [_gateway(star, ns) for ns in (star.hub_ns, hub2)]
    charon = _charon(star, site.gw, site.outer4, HUB1, CLIENT_TS, NETWORK, me=CLIENT, other=GATEWAY)
    charon.initiate("net")
    site.gw.ping(BEHIND)
    gateways[0].cli("redirect", "client", HUB2)
    until(lambda: _remote(charon) == HUB2, "charon at the other gateway")
    gateways[1].wait_up("client")
    gateways[0].wait_no_sa("client")
    assert gateways[0].counters()["ike.redirect.not_left"] == 0
    site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)


@pytest.mark.parametrize("cookies", [True, False], ids=["ike_sa_init", "ike_auth"])
def test_strongswan_is_sent_on_before(star, cookies):
    """While it connects, where it comes back with a cookie; else it is served, and sent on at once
    after, since charon 5.9.8 ends with a double free when it is sent on in IKE_AUTH."""
    site, hub2 = star.site(1, host=False), star.another_hub(2)
    first = _gateway(star, star.hub_ns, cookies=cookies, redirect_to=[HUB2])
    second = _gateway(star, hub2)
    charon = _charon(star, site.gw, site.outer4, HUB1, CLIENT_TS, NETWORK, me=CLIENT, other=GATEWAY)
    charon.initiate("net", check=False)
    until(lambda: _remote(charon) == HUB2, "charon at the other gateway")
    second.wait_up("client")
    first.wait_no_sa("client")
    assert first.counters()["ike.sa.established"] == (not cookies)
    assert first.counters()["ike.redirect.sent"] and charon.proc.running()
    site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)


def test_strongswan_sends_on(star):
    """`swanctl --redirect`, all that strongSwan can do as a gateway without a plugin of somebody's
    own: we go, if we may."""
    site, hub2 = star.site(1, host=False), star.another_hub(2)
    charons = []
    for ns, address in ((star.hub_ns, HUB1), (hub2, HUB2)):
        topo.addresses(ns, "lo", BEHIND + "/32")
        charons.append(_charon(star, ns, address, site.outer4, NETWORK, CLIENT_TS, me=GATEWAY,
                               other=CLIENT))
    keys = {"address": HUB1, "start": "up", "redirect": "follow"}
    section = psk_keys(CLIENT, GATEWAY, CLIENT_TS, NETWORK, **keys)
    warren = Warrend(star.lab, site.gw, {}, {"net": section})
    warren.wait_up("net")
    site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)
    charons[0].swanctl("--redirect", "--ike", "net", "--gateway", HUB2)
    until(lambda: warren.wait_up("net")["remote"].startswith(HUB2), "us at the other gateway")
    until(lambda: not charons[0].list_sas("net"), "the first one to be rid of us")
    site.gw.run("ping", "-n", "-c", "1", "-W", "5", "-I", site.gwlan4, BEHIND)
    assert warren.counters()["ike.redirect.followed"] == 1


def test_strongswan_cannot_send_on_who_stays(star):
    """The default of a peer: we do not say that we can be sent on, and strongSwan knows it."""
    site = star.site(1, host=False)
    topo.addresses(star.hub_ns, "lo", BEHIND + "/32")
    charon = _charon(star, star.hub_ns, HUB1, site.outer4, NETWORK, CLIENT_TS, me=GATEWAY,
                     other=CLIENT)
    section = psk_keys(CLIENT, GATEWAY, CLIENT_TS, NETWORK, address=HUB1, start="up")
    warren = Warrend(star.lab, site.gw, {}, {"net": section})
    warren.wait_up("net")
    charon.swanctl("--redirect", "--ike", "net", "--gateway", HUB2, check=False)
    until(lambda: "client does not support IKE redirection" in charon.log(), "charon to see that")
    assert warren.counters()["ike.redirect.unasked"] == 0
