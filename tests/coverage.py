#!/usr/bin/python3
"""How much of the pure modules the tests took: branches, counted by gcov.

coverage.py BUILD [--least PERCENT]   reads what the programs of BUILD (-Db_coverage=true,
                                      -Doptimization=0) left beside its object files; prints
                                      a record (tests/tally.py) with a case for each module on
                                      stdout, and the table on standard error
coverage.py BUILD --untaken PREFIX    the branches below PREFIX (src/wire/ike/parse.c, src/esp)
                                      that nothing took, with their lines

A branch is a way out of a condition as the compiler has it without optimisation: each operand of
&& and || has two, each case of a switch one, and a switch that is left without a match one more.
None is left out of the count, by no list: what cannot be taken (the end of a switch over all
values of an enumeration, a broken invariant that ends in an IKE_EV_BUG) is what the distance
between the bound and 100 % is for.  Inline functions of a module's headers are compiled many
times and count once: taken anywhere is taken.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = ("wire", "ike", "mesh", "policy", "esp")
LEAST_COVERED = 5  # files named below the table


def notes(build):
    """Every .gcno of the libraries: the branches that there are, taken or not."""
    for root, _, names in os.walk(os.path.join(build, "src")):
        yield from (os.path.join(root, n) for n in names if n.endswith(".gcno"))


def gcov(build, note):
    out = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", note],
                         cwd=build, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines() if line.strip()]


def source(build, name):
    """A name as gcov has it, relative to the tree; None when it is none of its files."""
    path = os.path.relpath(os.path.realpath(os.path.join(build, name)), TOP)
    return None if path.startswith("..") else path


def module(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "src" and parts[1] in MODULES else None


def branches(build):
    """{path: {(line, function, index): times taken}}"""
    taken = collections.defaultdict(collections.Counter)
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for reports in pool.map(lambda note: gcov(build, note), sorted(notes(build))):
            for file in (f for report in reports for f in report["files"]):
                path = source(build, file["file"])
                if path and module(path):
                    add(taken[path], file["lines"])
    return taken


def add(counter, lines):
    for line in lines:
        for i, branch in enumerate(line["branches"]):
            counter[line["line_number"], line.get("function_name"), i] += branch["count"]


def missing(taken):
    """Sources that no library was built from: their branches would not count at all."""
    for name in MODULES:
        for root, _, names in os.walk(os.path.join(TOP, "src", name)):
            for n in sorted(names):
                path = os.path.relpath(os.path.join(root, n), TOP)
                if n.endswith(".c") and path not in taken:
                    yield path


def share(counts):
    """(taken, all) of an iterable of counters."""
    every = [n for c in counts for n in c.values()]
    return sum(1 for n in every if n), len(every)


def percent(pair):
    return 100 * pair[0] / pair[1] if pair[1] else 100.0


def row(name, pair, mark=""):
    print(f"    {percent(pair):6.2f} %  {pair[0]:5d} of {pair[1]:5d}  {name}{mark}", file=sys.stderr)


def report(taken, least):
    """The table; the record for the tally."""
    passed, failures = 0, []
    for name in MODULES:
        pair = share(c for path, c in taken.items() if module(path) == name)
        good = pair[1] > 0 and percent(pair) >= least
        passed += good
        if not good:
            failures.append(f"src/{name}: {percent(pair):.2f} % of its branches, below {least} %")
        row(f"src/{name}", pair, "" if good else f"  below {least} %")
    row("together", share(taken.values()))
    print("  least covered:", file=sys.stderr)
    files = [(path, share([c])) for path, c in taken.items()]
    for path, pair in sorted(files, key=lambda f: percent(f[1]))[:LEAST_COVERED]:
        row(path, pair)
    for path in missing(taken):
        failures.append(f"{path}: nothing was built from it")
        print(f"    {failures[-1]}", file=sys.stderr)
    print(passed, len(failures), 0)
    for failure in failures:
        print("-", failure)


def untaken(taken, prefix):
    for path in sorted(p for p in taken if p.startswith(prefix)):
        with open(os.path.join(TOP, path), encoding="utf-8") as f:
            text = f.read().splitlines()
        lines = collections.defaultdict(list)
        for (line, _, i), n in sorted(taken[path].items(), key=lambda b: b[0][::2]):
            lines[line].append("+" if n else "-")
        for line, ways in lines.items():
            if "-" in ways:
                print(f"{path}:{line}: {''.join(ways):8s} {text[line - 1].strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--least", type=float, default=90)
    parser.add_argument("--untaken", metavar="PREFIX")
    options = parser.parse_args()
    taken = branches(os.path.abspath(options.build))
    if options.untaken:
        untaken(taken, options.untaken)
    else:
        report(taken, options.least)
    return 0


sys.exit(main())
