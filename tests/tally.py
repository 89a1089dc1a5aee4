#!/usr/bin/python3
"""Runs test programs and counts results.

tally.py tap PROGRAM [ARG...]     -> runs it (the wrapper of `meson test`) with its TAP put right
tally.py meson testlog.json CODE  -> one line "passed failed skipped" (cases, not programs);
                                     CODE is the exit status of what wrote the file
tally.py junit results.xml CODE   -> the same
tally.py lines FILE CODE          -> the same, of TAP; without any case the whole of it is one
tally.py total FILE               -> adds the lines up, prints "N passed, N failed, N skipped",
                                     exits 1 when anything failed or nothing ran

Why cases were skipped goes to standard error, a line for each reason.
"""
import collections
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

CASE = re.compile(r"^(not )?ok \d+(.*?# *SKIP)?", re.I)


def tap(argv):
    """cmocka before 1.1.6 writes a skipped case as "not ok N # SKIP", which is a failed one."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as program:
        for line in program.stdout:
            sys.stdout.buffer.write(re.sub(rb"^not (ok \d+ # SKIP)", rb"\1", line))
            sys.stdout.buffer.flush()
    # Death by a signal is shown as shells do, so that meson takes it for the failure it is.
    return program.returncode if program.returncode >= 0 else 128 - program.returncode


def tap_cases(text, reasons):
    """(passed, failed, skipped) of one program's output."""
    good = bad = skip = 0
    why = "no reason given"
    for line in text.splitlines():
        if line.startswith("# skipped: "):
            why = line[len("# skipped: "):]
        case = CASE.match(line)
        if not case:
            continue
        reason, why = why, "no reason given"
        if case[2]:
            skip += 1
            reasons[reason] += 1
        elif case[1]:
            bad += 1
        else:
            good += 1
    return good, bad, skip


def meson(path, reasons):
    passed = failed = skipped = 0
    for line in open(path, encoding="utf-8"):
        t = json.loads(line)
        good, bad, skip = tap_cases(t.get("stdout") or "", reasons)
        if t["result"] in ("OK", "EXPECTEDFAIL"):
            passed += good or (0 if skip else 1)
        elif t["result"] == "SKIP":
            skip = skip or 1
        else:
            # A program that died has failed even if every case it reached was fine.
            passed += good
            failed += bad or 1
        skipped += skip
    return passed, failed, skipped


def junit(path, reasons):
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skipped += 1
            reasons[skip.get("message") or "no reason given"] += 1
        else:
            passed += 1
    return passed, failed, skipped


def lines(path, reasons):
    passed, failed, skipped = tap_cases(open(path, encoding="utf-8").read(), reasons)
    return (passed, failed, skipped) if passed + failed + skipped else (1, 0, 0)


def count(how, path, code):
    reasons = collections.Counter()
    try:
        passed, failed, skipped = how(path, reasons)
        if code != 0 and not failed:
            print(f"tally: {path}: nothing failed in it, but what wrote it did ({code})",
                  file=sys.stderr)
            failed = 1
    except (OSError, ET.ParseError, ValueError, KeyError) as e:
        print(f"tally: {path}: {e}", file=sys.stderr)
        passed, failed, skipped = 0, 1, 0  # no readable result is a failure, never a success
    for why, n in sorted(reasons.items()):
        print(f"{n} skipped: {why}", file=sys.stderr)
    print(passed, failed, skipped)
    return 0


def total(path):
    sums = [0, 0, 0]
    for line in open(path, encoding="utf-8"):
        sums = [a + int(b) for a, b in zip(sums, line.split(), strict=True)]
    print("\n%d passed, %d failed, %d skipped" % tuple(sums))
    return 0 if sums[0] and not sums[1] else 1


def main():
    what, path = sys.argv[1:3]
    if what == "tap":
        return tap(sys.argv[2:])
    if what == "total":
        return total(path)
    return count({"meson": meson, "junit": junit, "lines": lines}[what], path, int(sys.argv[3]))


sys.exit(main())
