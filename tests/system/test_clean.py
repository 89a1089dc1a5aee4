"""Runs last (see conftest.py): the suite has left nothing behind, and touched nothing outside its
namespaces."""

import os
import re

from lib import lab as labs
from lib.lab import run


def test_no_child_process_is_left():
    """Children that ended were waited for; none lives on (those of module-wide labs are gone by
    now)."""
    children = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                name, rest = re.match(r"\d+ \((.*)\) (.*)", stat.read(), re.S).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == os.getpid():
            children.append((pid, name))
    assert children == []


def test_no_namespace_or_directory_is_left():
    assert labs.leftovers(os.getpid()) == []
    assert labs.leftovers() == [], "nor of an earlier run"


def test_default_directories_untouched():
    """Every daemon of a test has its own state and control directory."""
    for path, before in labs.HOST_PATHS.items():
        assert os.path.exists(path) == before, path


def test_host_network_untouched():
    """No device, rule or table of ours outside the namespaces."""
    links = run("ip", "-o", "link", "show").stdout
    assert "warren" not in links and not re.search(r"\b(wan|lan|ua|ub)[@:]", links)
    tables = run("ip", "rule").stdout + run("ip", "-6", "rule").stdout
    assert not re.search(r"lookup (?!local|main|default)", tables)
