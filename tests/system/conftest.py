"""Fixtures of the system tests. They need root; run them with Debian's /usr/bin/python3 -m pytest.

WARREN_BUILD names the build directory with src/daemon/warrend and src/cli/warren.
"""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import clean, lab as labs, matrix, star as stars, topo  # noqa: E402  pylint: disable=wrong-import-position
from lib.badcerts import World
from lib.pki import Pki  # noqa: E402  pylint: disable=wrong-import-position
from lib.roads import Roads  # noqa: E402  pylint: disable=wrong-import-position
from lib.turns import turn  # noqa: E402  pylint: disable=wrong-import-position


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests make network namespaces: run them as root")
    config.addinivalue_line("markers", "alone: measures, so nothing else runs meanwhile")
    # A terminated run cleans up like an interrupted one, also where a shell made us ignore SIGINT.
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signal.default_int_handler)
    swept = labs.sweep()
    if swept:
        print(f"removed what a killed run had left: {swept}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its processes said."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        found = [value if isinstance(value, labs.Lab) else getattr(value, "lab", None)
                 for value in values]
        for lab in {lab for lab in found if isinstance(lab, labs.Lab)}:
            report.sections += [(f"output of {name}", text) for name, text in lab.logs()]


def pytest_terminal_summary(terminalreporter):
    """The tables that cells of the interoperability tests fill."""
    for line in matrix.tables((outcome, report) for outcome in ("passed", "failed", "error")
                              for report in terminalreporter.stats.get(outcome, ())
                              if report.when == "call" or outcome != "passed"):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(items):
    """Whole files in the order of their names, but those with tests that run alone come last."""
    alone = {item.path for item in items if item.get_closest_marker("alone")}
    items.sort(key=lambda item: item.path in alone)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    with turn(alone=item.get_closest_marker("alone") is not None):
        yield


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Behind the last test of a module and its fixtures."""
    if nextitem is None or nextitem.path != item.path:
        assert clean.left() == []


@pytest.fixture
def lab():
    """An empty laboratory for one test."""
    with labs.Lab() as new:
        yield new


@pytest.fixture(scope="module")
def modlab():
    """A laboratory that lives for a whole module, where setting up costs more than it isolates."""
    with labs.Lab() as new:
        yield new


@pytest.fixture
def two_sites(lab):
    return topo.TwoSites(lab)


@pytest.fixture
def narrow(lab):
    return topo.Narrow(lab)


@pytest.fixture
def hole(lab):
    return topo.Hole(lab)


@pytest.fixture
def natted(lab):
    return topo.Natted(lab)


@pytest.fixture
def roads(lab):
    """A gateway that travels."""
    return Roads(lab)


@pytest.fixture
def star(lab):
    return stars.Star(lab)


@pytest.fixture
def corp(lab):
    """The authority of a network, with a hub."""
    authority = stars.Authority(lab)
    authority.hub()
    return authority


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """root -> intermediate, with leafs for site-a.example and site-b.example."""
    directory = tmp_path_factory.mktemp("pki")
    root = Pki(str(directory))
    root.middle = root.intermediate("middle")
    root.a = root.leaf("site-a.example")
    root.b = root.middle.leaf("site-b.example")
    return root


@pytest.fixture(scope="module")
def world(pki, tmp_path_factory):
    """Certificates that nobody accepts."""
    return World(pki, tmp_path_factory)
