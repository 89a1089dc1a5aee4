"""R06: what a hub promised it keeps, whatever happens to it and to its disk. While nothing can be
stored nobody is given an address, whoever has one goes on, and once the disk is well so is the
daemon."""

import functools
import json
import os
import sqlite3

import pytest

from lib.disk import Disk
from lib.lab import run
from lib.star import DOMAIN, HUB
from lib.wait import until
from lib.warren import Warrend

POOL = ["10.99.0.0/24", "fd00:99::/64"]
QUICK = {"retransmit_timeout": "200ms", "retransmit_tries": 3}


def leases(hub):
    listed = json.loads(hub.cli("leases", "--json").stdout)["leases"]
    return {lease["identity"]: [lease["v4"], lease["v6"]] for lease in listed}


def make_hub(star, corp):
    star.hub = Warrend(star.lab, star.hub_ns, {"identity": corp.path(HUB), **QUICK}, {},
                       networks={"corp": ({"role": "hub", "domain": list(DOMAIN), "pool": POOL},
                                          {})}, start=False)
    return star.hub


def start_road(star, corp, number):
    road = star.endpoint(number)
    star.start_endpoint(road, corp.endpoint(road.identity), top=QUICK, dpd_delay="1s")
    return road


def road_up(star, corp, number):
    road = start_road(star, corp, number)
    road.daemon.wait_up("corp")
    return road


def refused_for_the_store(hub, road, words):
    """It is refused, and everybody says why."""
    hub.wait_counter("ike.refused.not_stored")
    road.daemon.wait_error("corp", "INTERNAL_ADDRESS_FAILURE")
    until(lambda: road.daemon.state("corp") != "up", "no tunnel")
    store = hub.status()["store"]
    assert not store["well"]
    assert f"{hub.state_dir}/store.db" in store["trouble"]
    assert all(word in store["trouble"] for word in words), store
    assert json.loads(hub.cli("leases", "--json").stdout)["trouble"] == store["trouble"]
    assert store["trouble"] in hub.cli("leases").stdout
    why = json.loads(hub.cli("why", "corp", "--json").stdout)
    check, = [check for subject in why["subjects"] for check in subject["checks"]
              if check["check"] == "store"]
    assert check["result"] == "failed" and check["text"] == store["trouble"], check
    assert f"nobody can be given an inner address: {store['trouble']}" in hub.log()
    assert (f"store       FAILS: {store['trouble']}; nobody gets an inner address that is new, who "
            "has one keeps it") in hub.cli("status").stdout
    for daemon, subject, says in ((hub, road.identity, "its lease cannot be stored"),
                                  (road.daemon, "corp", "INTERNAL_ADDRESS_FAILURE")):
        until(functools.partial(_address_failed, daemon, subject, says),
              f"{subject}: why there is no address")


def _address_failed(daemon, subject, says):
    """Not while another attempt is under way, of which nobody knows yet."""
    why, = json.loads(daemon.cli("why", subject, "--json").stdout)["subjects"]
    check = next(check for check in why["checks"] if check["check"] == "address")
    assert check["result"] == "failed" and says in check["text"] and check["change"], check
    return True


def well_again(hub, road):
    """By itself; who was refused waits for a while before he asks again, unless told to."""
    until(lambda: hub.status()["store"]["well"], "the store to be well")
    assert "the store is well again" in hub.log()
    road.daemon.cli("up", "corp")
    road.daemon.wait_up("corp", deadline=60)
    assert leases(hub)[road.identity] == road.inner()


# ---- the disk


def test_disk_full(star, corp):
    """It fills up while the hub runs."""
    hub = make_hub(star, corp)
    disk = Disk(hub)
    hub.start()
    site = star.join(corp, 1)
    first = road_up(star, corp, 1)
    disk.fill()
    second = start_road(star, corp, 2)
    refused_for_the_store(hub, second, ["full"])
    # Who is there stays, also with another IKE SA: what he has is stored.
    first.gw.ping(site.host4)
    first.daemon.cli("rekey", "corp", "--ike")
    first.gw.ping(site.host6)
    disk.free()
    well_again(hub, second)
    before = leases(hub)
    hub.kill()
    hub.start()
    for road in (first, second):
        road.daemon.wait_up("corp", deadline=60)
        assert road.inner() == before[road.identity]


def test_disk_full_at_the_start(star, corp):
    """There is not even room for a store without anything in it."""
    hub = make_hub(star, corp)
    disk = Disk(hub)
    hub.start()
    hub.stop()
    disk.run("rm", f"{hub.state_dir}/store.db")
    disk.fill()
    hub.start()
    road = start_road(star, corp, 1)
    refused_for_the_store(hub, road, ["full"])
    disk.free()
    well_again(hub, road)


def test_disk_read_only(star, corp):
    """From the start; a hub that cannot write does not know what it promised, and promises nothing
    until it can. Then everybody has what he had."""
    hub = make_hub(star, corp)
    disk = Disk(hub)
    hub.start()
    roads = [road_up(star, corp, number) for number in (1, 2)]
    before = leases(hub)
    hub.kill()
    disk.remount("ro")
    hub.start()
    refused_for_the_store(hub, roads[0], ["read-only"])
    disk.remount("rw")
    for road in roads:
        well_again(hub, road)
    assert leases(hub) == before


# ---- the file


def garbage(path):
    with open(path, "wb") as file:
        file.write(b"x" * 8192)


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def newer(path):
    with sqlite3.connect(path) as store:
        store.execute("PRAGMA user_version = 99")
    store.close()


def foreign(path):
    os.unlink(path)
    with sqlite3.connect(path) as store:
        store.execute("CREATE TABLE songs (title TEXT)")
    store.close()


@pytest.mark.parametrize("spoil, words", [
    (garbage, ["not a database"]), (cut, ["malformed"]), (newer, ["version is 99"]),
    (foreign, ["not a store of warrend"])])
def test_bad_file(star, corp, spoil, words):
    """The hub runs, gives nothing away, and leaves the file alone; when the right one is put back
    it has all leases again."""
    hub = make_hub(star, corp)
    hub.start()
    site = star.join(corp, 1)
    road = road_up(star, corp, 1)
    inner = road.inner()
    hub.stop()
    store = f"{hub.state_dir}/store.db"
    assert sorted(name for name in os.listdir(hub.state_dir) if "store" in name) == ["store.db"]
    owner = os.stat(store)
    assert owner.st_mode & 0o777 == 0o600 and owner.st_uid != 0
    run("cp", "-p", store, store + ".saved")
    spoil(store)
    os.chown(store, owner.st_uid, owner.st_gid)
    with open(store, "rb") as file:
        bad = file.read()
    hub.start()
    refused_for_the_store(hub, road, words)
    site.daemon.wait_up("corp", deadline=60)
    with open(store, "rb") as file:
        assert file.read() == bad
    os.rename(store + ".saved", store)
    well_again(hub, road)
    assert road.inner() == inner


def test_file_removed(star, corp):
    """While it is in use: what is known is written anew, and survives."""
    hub = make_hub(star, corp)
    hub.start()
    roads = [road_up(star, corp, 1)]
    for name in ("store.db", "store.db-wal"):
        os.unlink(f"{hub.state_dir}/{name}")
    roads.append(road_up(star, corp, 2))
    before = leases(hub)
    hub.kill()
    hub.start()
    for road in roads:
        road.daemon.wait_up("corp", deadline=60)
        assert road.inner() == before[road.identity]


def test_privileges(star, corp):
    """Nobody else can read it, and it is not root who parses it."""
    hub = make_hub(star, corp)
    hub.start()
    road_up(star, corp, 1)
    with open(f"/proc/{hub.pid}/status") as file:
        uid = next(line.split()[1] for line in file if line.startswith("Uid:"))
    for name in ("store.db", "store.db-wal"):
        info = os.stat(f"{hub.state_dir}/{name}")
        assert (info.st_mode & 0o777, str(info.st_uid)) == (0o600, uid)


# ---- reloads


def with_pool(hub, corp, *pool):
    keys = {"role": "hub", "domain": list(DOMAIN)}
    if pool:
        keys["pool"] = list(pool)
    hub.configure({"identity": corp.path(HUB), **QUICK}, {}, networks={"corp": (keys, {})})
    hub.cli("reload")


def test_pool_comes_back(star, corp):
    """A pool that is gone for a while, also over a restart, so that the store is opened by the
    reload that brings it back: nobody gets what belongs to somebody who was away."""
    hub = make_hub(star, corp)
    hub.start()
    away, later = [star.endpoint(number) for number in (1, 2)]
    star.start_endpoint(away, corp.endpoint(away.identity), top=QUICK)
    away.daemon.wait_up("corp")
    had = away.inner()
    away.daemon.stop()
    until(lambda: json.loads(hub.cli("leases", "--json").stdout)["leases"][0]["state"] == "ended",
          "its lease to be ended")
    with_pool(hub, corp)
    with_pool(hub, corp, *POOL)
    assert leases(hub) == {away.identity: had}
    with_pool(hub, corp)
    hub.kill()
    hub.start()
    assert "store" not in hub.status()
    with_pool(hub, corp, *POOL)
    star.start_endpoint(later, corp.endpoint(later.identity), top=QUICK)
    later.daemon.wait_up("corp")
    assert not set(later.inner()) & set(had)
    away.daemon.start()
    away.daemon.wait_up("corp", deadline=60)
    assert away.inner() == had
    assert hub.status()["store"]["unfit"] == 0


# ---- kill -9


def test_killed_while_joining(star, corp):
    """Each time in the middle of something: no address is ever somebody else's, and who was told
    that he has one has it still."""
    hub = make_hub(star, corp)
    hub.start()
    watch, told = hub.watch(), {}
    roads = [star.endpoint(number) for number in range(1, 4)]
    for turn in range(8):
        # Somebody new each time, at all places at once.
        for road in roads:
            if road.daemon:
                road.daemon.kill()
            road.identity = f"road-{turn}-{road.number}.example"
            star.start_endpoint(road, corp.endpoint(road.identity), top=QUICK, wait=False,
                                dpd_delay="1s")
        # The first of them has just got his, the others are about to.
        until(lambda count=turn % 3 + 1: sum(
            event["event"] == "lease" and f"road-{turn}-" in event["text"]
            for event in watch.events()) >= count, "leases", pause=0.001)
        hub.kill()
        hub.start()
        watch = hub.watch()
        for road in roads:
            until(lambda road=road: road.daemon.status() and True, "the endpoint to answer")
            road.daemon.wait_up("corp", deadline=60)
            inner = road.inner()
            for address in inner:
                assert told.setdefault(address, road.identity) == road.identity
            assert leases(hub)[road.identity] == inner
    hub.kill()
    hub.start()
    kept = leases(hub)
    assert {address: identity for identity, pair in kept.items() for address in pair} == told
