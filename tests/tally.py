#!/usr/bin/python3
"""Counts test results.

tally.py meson testlog.json   -> one line "passed failed skipped" (cases, not programs)
tally.py junit results.xml    -> the same
tally.py total FILE           -> adds the lines up, prints "N passed, N failed, N skipped",
                                 exits 1 when anything failed or nothing ran
"""
import json
import re
import sys
import xml.etree.ElementTree as ET


def meson(path):
    passed = failed = skipped = 0
    for line in open(path, encoding="utf-8"):
        t = json.loads(line)
        out = t.get("stdout") or ""
        cases = re.findall(r"^(not )?ok \d+(?:.*?#\s*(SKIP))?", out, re.M | re.I)
        bad = sum(1 for n, s in cases if n and not s)
        skip = sum(1 for n, s in cases if s)
        good = len(cases) - bad - skip
        if t["result"] in ("OK", "EXPECTEDFAIL"):
            passed += good or (0 if cases else 1)
            skipped += skip
        elif t["result"] == "SKIP":
            skipped += max(len(cases), 1)
        else:
            # A program that died has failed even if every case it reached was fine.
            passed += good
            skipped += skip
            failed += bad or 1
    return passed, failed, skipped


def junit(path):
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def total(path):
    sums = [0, 0, 0]
    for line in open(path, encoding="utf-8"):
        sums = [a + int(b) for a, b in zip(sums, line.split())]
    print("\n%d passed, %d failed, %d skipped" % tuple(sums))
    sys.exit(0 if sums[0] and not sums[1] else 1)


def main():
    what, path = sys.argv[1:3]
    if what == "total":
        total(path)
    try:
        print(*{"meson": meson, "junit": junit}[what](path))
    except (OSError, ET.ParseError, json.JSONDecodeError) as e:
        print("0 1 0")  # no readable result is a failure, never a success
        print(f"tally: {path}: {e}", file=sys.stderr)


main()
