"""What is left behind would be noticed (lib/clean.py, which conftest.py asks behind every module),
and touches nothing outside the namespaces."""

import subprocess

from lib import clean, lab as labs, topo


def test_child_processes():
    """Also one that has ended and was not waited for."""
    child = subprocess.Popen(["true"])
    try:
        assert [line for line in clean.children() if line.startswith(f"process {child.pid} ")]
    finally:
        child.wait()
    assert clean.children() == []


def test_namespaces_and_directories():
    lab = labs.Lab()
    topo.TwoSites(lab)
    there = clean.namespaces_and_directories()
    lab.close()
    assert f"dir {lab.dir.rsplit('/', 1)[1]}" in there
    assert [line for line in there if line.startswith("netns ")]
    assert clean.namespaces_and_directories() == []
    assert labs.leftovers() == [], "nor of an earlier run"


def test_default_directories(monkeypatch):
    assert clean.default_directories() == []
    monkeypatch.setitem(labs.HOST_PATHS, "/", False)
    assert clean.default_directories() == ["/: there"]


def test_host_network(lab):
    """In a namespace of its own it is found; outside there is nothing."""
    ns = lab.netns("host")
    ns.ip("tuntap", "add", "dev", "wan", "mode", "tun")
    ns.ip("rule", "add", "lookup", "77")
    assert clean.host_network() == []
    with ns.enter():
        found = clean.host_network()
    assert len(found) == 2 and "wan" in found[0] and "77" in found[1]
