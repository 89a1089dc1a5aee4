"""What tests may have left behind. Looked for behind every module (conftest.py), which is the time
when a process that runs tests owns nothing; other processes may be testing meanwhile."""

import os
import re

from . import lab as labs
from .lab import run


def left():
    """A line for each thing."""
    return [*children(), *namespaces_and_directories(), *default_directories(), *host_network()]


def children():
    """Those that ended were waited for; none lives on."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                name, rest = re.match(r"\d+ \((.*)\) (.*)", stat.read(), re.S).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == os.getpid():
            found.append(f"process {pid} ({name})")
    return found


def namespaces_and_directories():
    return [f"{kind} {name}" for kind, name in labs.leftovers(os.getpid())]


def default_directories():
    """Every daemon of a test has its own state and control directory."""
    return [f"{path}: {'gone' if before else 'there'}" for path, before in labs.HOST_PATHS.items()
            if os.path.exists(path) != before]


def host_network():
    """No device, rule or table of ours outside the namespaces."""
    links = run("ip", "-o", "link", "show").stdout
    rules = run("ip", "rule").stdout + run("ip", "-6", "rule").stdout
    return [line for line in links.splitlines()
            if "warren" in line or re.search(r"\b(wan|lan|ua|ub)[@:]", line)] + \
           [line for line in rules.splitlines()
            if re.search(r"lookup (?!local|main|default)", line)]
