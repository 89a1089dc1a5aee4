"""The life of SAs between warrend and strongSwan: rekeying and deleting from either side and from
both at once, reauthentication, restarts.
"""

import pytest

from lib import matrix
from lib.held import Held
from lib.lab import Lab
from lib.versus import INITIATORS, Authorities, Tunnel, World
from lib.wait import until

# Each suite, kind of key, key exchange and family at least once, with PFS and without.
TUNNELS = {tunnel.name: tunnel for tunnel in (
    Tunnel("gcm", 4, None, "aes128gcm16-prfsha256-x25519", "aes128gcm16"),
    Tunnel("gcm-ecp256", 6, "p256", "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp256"),
    Tunnel("chapoly-x25519", 4, "rsa2048", "chacha20poly1305-prfsha512-ecp256",
           "chacha20poly1305-x25519"),
    Tunnel("sha256", 6, "ed25519", "aes128-sha256-prfsha256-modp2048", "aes128-sha256"),
    Tunnel("sha384-ecp521", 4, "p521", "aes192-sha384-prfsha384-ecp521", "aes256-sha384-ecp521"),
    Tunnel("sha512-modp2048", 6, "p384", "aes256-sha512-prfsha512-modp2048",
           "aes256-sha512-modp2048"),
)}
VOLUME = {
    "warren": Tunnel("volume-warren", 4, ours={"rekey_bytes": "1M"}),
    "strongSwan": Tunnel("volume-strongswan", 6, child="rekey_bytes = 1000000"),
}
LIFE = "rekeying under traffic, no packet lost"
REAUTH = "reauthentication by strongSwan, make before break, at most one burst lost"
DELETE = "deleting, then connecting anew"
COLLISION = "both at once: warren's request by row, strongSwan's by column"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    return Authorities(tmp_path_factory.mktemp("life"), TUNNELS)


@pytest.fixture(scope="module")
def world(authorities):
    with Lab() as lab:
        yield World(lab, [*TUNNELS.values(), *VOLUME.values()], authorities,
                    extra="make_before_break = yes")


def ask(world, tunnel, by, what):
    """Make one end begin something, without waiting for its end."""
    if by == "warren":
        world.warrend.cli(*{"rekey child": ("rekey", tunnel.name),
                            "rekey IKE": ("rekey", tunnel.name, "--ike"),
                            "delete IKE": ("down", tunnel.name)}[what])
        return
    verb, kind = what.lower().split()
    verb = ("--terminate", "--timeout", "-1") if verb == "delete" else ("--rekey",)
    world.charon.swanctl(*verb, f"--{kind}", tunnel.name)


def spis(ours, theirs):
    """(of the IKE SA, of the child), as both ends have agreed."""
    child, = ours["child_sas"]
    assert child["spi_in"] == theirs["child-sas"][0]["spi-out"]
    return {"IKE": {ours["spi_i"], ours["spi_r"]}, "child": {child["spi_in"], child["spi_out"]}}


def wait_new(world, tunnel, before, *new):
    """Until both ends agree about SAs of which those named are new, and no others."""
    def renewed():
        sas = world.agreed(tunnel)
        after = spis(*sas)
        for kind, numbers in after.items():
            assert not numbers & before[kind] if kind in new else numbers == before[kind], (
                before, after)
        return sas
    return until(renewed, f"{tunnel.name} to have a new {' and '.join(new)} SA")


@pytest.mark.parametrize("by", INITIATORS)
@pytest.mark.parametrize("kind", ["child", "IKE"])
@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("name", TUNNELS)
def test_rekey(world, name, initiator, kind, by, record_property):
    """Only the SA that was asked for is new, with the suite it had; a child with its own key
    exchange if one is configured, and without if not."""
    tunnel = TUNNELS[name]
    matrix.cell(record_property, LIFE, f"{kind} by {by}, {initiator}'s SA", name)
    with world.contained(tunnel):
        before = spis(*world.up(tunnel, initiator))
        with world.stream(tunnel, tunnel.family) as stream:
            ask(world, tunnel, by, f"rekey {kind}")
            ours, theirs = wait_new(world, tunnel, before, kind)
            stream.passed()
        assert ours["proposal"] == matrix.ike_suite(theirs) == tunnel.ike
        (ours,), (theirs,) = ours["child_sas"], theirs["child-sas"]
        words = tunnel.esp.split("-")
        if kind == "IKE" and words[-1] in matrix.KE:
            words.pop()                 # the child is the one that IKE_AUTH has made
        assert ours["proposal"] == matrix.esp_suite(theirs) == "-".join(words)
        world.exchange(tunnel)
        world.down(tunnel, by)


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("name", TUNNELS)
def test_reauthentication(world, name, initiator, record_property):
    """A whole new IKE SA, and the old one goes. What is sent by the new child while strongSwan
    still looks at our answer is lost."""
    tunnel = TUNNELS[name]
    matrix.cell(record_property, REAUTH, f"{initiator}'s SA", name)
    with world.contained(tunnel):
        before = spis(*world.up(tunnel, initiator))
        with world.stream(tunnel, tunnel.family, bursts=1) as stream:
            world.charon.swanctl("--rekey", "--reauth", "--ike", tunnel.name)
            wait_new(world, tunnel, before, "IKE", "child")
            stream.passed()
        world.down(tunnel, "strongSwan")


@pytest.mark.parametrize("by", VOLUME)
def test_rekey_by_volume(world, by, record_property):
    """A limit in bytes makes its owner rekey by itself."""
    tunnel = VOLUME[by]
    matrix.cell(record_property, LIFE, f"child after 1 MB by {by}", "gcm")
    with world.contained(tunnel):
        before = spis(*world.up(tunnel, "warren"))
        with world.stream(tunnel) as stream:
            wait_new(world, tunnel, before, "child")
            stream.passed()
        world.down(tunnel, "warren")


# ---- the end of SAs


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("kind", ["child", "IKE"])
def test_delete(world, kind, initiator, record_property):
    """By strongSwan; a child then comes back in the same IKE SA, from strongSwan."""
    tunnel = TUNNELS["gcm"]
    matrix.cell(record_property, DELETE, f"{kind} deleted by strongSwan", f"{initiator} initiated")
    with world.contained(tunnel):
        before = spis(*world.up(tunnel, initiator))
        ask(world, tunnel, "strongSwan", f"delete {kind}")
        if kind == "IKE":
            world.wait_gone(tunnel)
            world.up(tunnel, "strongSwan")
        else:
            wait_childless(world, tunnel)
            world.charon.initiate(tunnel.name)
            wait_new(world, tunnel, before, "child")
        world.exchange(tunnel)
        world.down(tunnel, "warren")


def wait_childless(world, tunnel):
    """Until both ends have one and the same IKE SA, and no child in it."""
    def same():
        (ours,), (theirs,) = (world.warrend.peers()[tunnel.name]["ike_sas"],
                              world.charon.list_sas(tunnel.name))
        assert not ours["child_sas"] and not live(theirs), (ours, theirs)
        assert (ours["state"], theirs["state"]) == ("established", "ESTABLISHED")
        return ours["spi_i"] == theirs["initiator-spi"]
    until(same, f"{tunnel.name} to have no child")


def live(theirs):
    return [child for child in theirs["child-sas"] if child["state"] != "DELETED"]


@pytest.mark.parametrize("theirs", ["rekey child", "rekey IKE", "delete child", "delete IKE"])
@pytest.mark.parametrize("ours", ["rekey child", "rekey IKE", "delete IKE"])
@pytest.mark.parametrize("name", ["gcm", "sha384-ecp521"])
def test_collision(world, name, ours, theirs, record_property):
    """RFC 7296 sections 2.8.1, 2.8.2 and 2.25: whatever each began, both ends agree in the end, and
    nothing is lost where nothing was deleted."""
    tunnel = TUNNELS[name]
    matrix.cell(record_property, COLLISION, f"{ours}, {name}", theirs)
    with world.contained(tunnel):
        world.up(tunnel, "warren")
        if "delete IKE" in (ours, theirs):
            collide(world, tunnel, ours, theirs)
            world.wait_gone(tunnel)
            return
        if theirs == "delete child":
            collide(world, tunnel, ours, theirs)
            wait_childless(world, tunnel)
            world.charon.initiate(tunnel.name)
            world.agreed(tunnel)
            world.exchange(tunnel)
        else:
            with world.stream(tunnel, tunnel.family) as stream:
                collide(world, tunnel, ours, theirs)
                world.agreed(tunnel)
                stream.passed()
        world.down(tunnel, "strongSwan")


def collide(world, tunnel, ours, theirs):
    with Held(world.net.u) as held:
        ask(world, tunnel, "warren", ours)
        ask(world, tunnel, "strongSwan", theirs)
        until(held.stopped, "a request of either end to be under way")


# ---- restarts


RESTART = "after a restart without a word, the other end keeps one SA (INITIAL_CONTACT)"


@pytest.mark.parametrize("restarted", INITIATORS)
def test_restart(authorities, restarted, record_property):
    """RFC 7296 section 2.4: who has lost everything says so, and what the other end still has of
    it goes at once."""
    tunnel = Tunnel("restart", 4)
    matrix.cell(record_property, RESTART, f"{restarted} restarted", "IPv4")
    with Lab() as lab:
        world = World(lab, [tunnel])
        before = spis(*world.up(tunnel, "warren"))
        if restarted == "warren":
            world.warrend.kill()
            world.warrend.start()
        else:
            world.charon.restart()
        wait_new_after(world, tunnel, before, restarted)
        world.exchange(tunnel)


def wait_new_after(world, tunnel, before, initiator):
    after = spis(*world.up(tunnel, initiator))
    assert not before["IKE"] & after["IKE"] and not before["child"] & after["child"]
