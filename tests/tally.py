#!/usr/bin/python3
"""Runs test programs and counts results.

tally.py tap PROGRAM [ARG...]     -> runs it (the wrapper of `meson test`) with its TAP put right
tally.py meson testlog.json CODE [OUTPUT]
                                  -> a record; CODE is the exit status of what wrote the file, and
                                     OUTPUT what it said, which tells why when the file does not
tally.py junit results.xml CODE [OUTPUT]
                                  -> the same
tally.py lines FILE CODE [OUTPUT] -> the same, of TAP; without any case the whole of it is one
tally.py failed NAME [OUTPUT]     -> the record of something that failed without having cases
tally.py total FILE SECONDS       -> what failed and why, a table of the steps, and as the last line
                                     "N passed, N failed, N skipped"; exits 1 when anything failed
                                     or nothing ran

A record is a line "passed failed skipped" (cases, not programs) and, for each that failed, a line
"- name" and some that begin with two spaces and tell why.  Before the records of a step there is a
line "= SECOND step", the second in which it began; SECONDS is when the last one ended.

Why cases were skipped goes to standard error, a line for each reason.
"""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

CASE = re.compile(r"^(not )?ok \d+(?: - )?(.*?)(# *SKIP.*)?$", re.I)
REASON_LINES = 40  # of a failure
ALL_LINES = 400    # of all failures; the names of the rest are named all the same
NAMES = 100
REACHED_LINES = 10  # that a program which died wrote last
SIGNALS = {s.value: s.name for s in signal.Signals}


def tap(argv):
    """cmocka before 1.1.6 writes a skipped case as "not ok N # SKIP", which is a failed one."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as program:
        for line in program.stdout:
            sys.stdout.buffer.write(re.sub(rb"^not (ok \d+ # SKIP)", rb"\1", line))
            sys.stdout.buffer.flush()
    # Death by a signal is shown as shells do, so that meson takes it for the failure it is.
    return program.returncode if program.returncode >= 0 else 128 - program.returncode


# ---- records


class Record:
    """What came of one step, or a part of it."""

    def __init__(self):
        self.passed = self.skipped = 0
        self.failures = []  # (name, [line])
        self.reasons = collections.Counter()

    def fail(self, name, why=""):
        self.failures.append((" ".join(name.split()), some(why.splitlines())))

    def skip(self, reason, n=1):
        self.skipped += n
        self.reasons[reason] += n

    def write(self):
        for why, n in sorted(self.reasons.items()):
            print(f"{n} skipped: {why}", file=sys.stderr)
        print(self.passed, len(self.failures), self.skipped)
        for name, why in self.failures:
            print("-", name)
            for line in why:
                print(" ", printable(line))


def printable(line):
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)


def some(lines):
    """No more than REASON_LINES: the beginning, where sanitizers say what it was, and the end."""
    if len(lines) <= REASON_LINES:
        return lines
    head = REASON_LINES // 2
    tail = REASON_LINES - head - 1
    return lines[:head] + [f"[{len(lines) - head - tail} lines more]"] + lines[-tail:]


def tap_cases(text, record):
    """Adds the cases of one program's output; returns those that failed, (name, what is said)."""
    bad, last = [], None
    why = "no reason given"
    for line in text.splitlines():
        if line.startswith("# skipped: "):
            why = line[len("# skipped: "):]
        case = CASE.match(line)
        if not case:
            # cmocka tells why behind the case.
            if last is not None and line.startswith("# "):
                last.append(line)
            continue
        reason, why = why, "no reason given"
        last = None
        if case[3]:
            record.skip(reason)
        elif case[1]:
            last = []
            bad.append((case[2], last))
        else:
            record.passed += 1
    return bad


# ---- what wrote the results


def meson(path, record):
    with open(path, encoding="utf-8") as log:
        for line in log:
            program(json.loads(line), record)


def program(t, record):
    """One test program."""
    name = t["name"].rsplit(" / ", 1)[-1]
    before = record.passed + record.skipped
    stderr = t.get("stderr") or ""
    bad = tap_cases(t.get("stdout") or "", record)
    for case, why in bad:
        record.fail(f"{name}: {case}", "\n".join(why) + "\n" + stderr)
        stderr = ""  # of all its cases, and told once
    cases = bad or record.passed + record.skipped > before
    if t["result"] == "SKIP" and not record.passed + record.skipped > before:
        record.skip("no reason given")
    elif t["result"] in ("OK", "EXPECTEDFAIL", "SKIP"):
        record.passed += 0 if cases else 1
    elif not bad or killed(t) or t["result"] == "TIMEOUT":
        # A program that died has failed even if every case it reached was fine.
        ended = (f"{t['result']} after {t['duration']:.1f} s: " +
                 (killed(t) or f"exit {t.get('returncode')}"))
        reached = (t.get("stdout") or "").splitlines()[-REACHED_LINES:]
        record.fail(name, "\n".join([ended, *reached, stderr]))


def killed(t):
    """The name of the signal that ended a program, or None."""
    code = t.get("returncode") or 0
    return SIGNALS.get(-code if code < 0 else code - 128)


def junit(path, record):
    for case in ET.parse(path).getroot().iter("testcase"):
        skip = case.find("skipped")
        bad = [e for e in case if e.tag in ("failure", "error")]
        if bad:
            record.fail(": ".join(filter(None, (case.get("classname"), case.get("name")))),
                        "\n".join(e.text or e.get("message") or "" for e in bad))
        elif skip is not None:
            record.skip(skip.get("message") or "no reason given")
        else:
            record.passed += 1


def lines(path, record):
    with open(path, encoding="utf-8") as f:
        bad = tap_cases(f.read(), record)
    for case, why in bad:
        record.fail(case, "\n".join(why))
    record.passed += 0 if bad or record.passed or record.skipped else 1


def count(how, path, code, output):
    record, wrong = Record(), None
    try:
        how(path, record)
        if code != 0 and not record.failures:
            wrong = "nothing failed in it"
    except (OSError, ET.ParseError, ValueError, KeyError) as e:
        record = Record()  # no readable result is a failure, never a success
        wrong = f"{type(e).__name__}: {e}"
    if wrong:
        record.fail(os.path.relpath(path),
                    f"{wrong}, and what wrote it ended with {code}\n{told(output)}")
    if record.failures and not any(why for _, why in record.failures):
        record.failures[0][1][:] = some(told(output).splitlines())
    record.write()
    return 0


def told(output):
    """A file, if there is one."""
    if not output:
        return ""
    try:
        with open(output, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError as e:
        return str(e)


def failed(name, output):
    record = Record()
    record.fail(name, told(output))
    record.write()
    return 0


# ---- the end


class Step:
    def __init__(self, second, title):
        self.second, self.title = int(second), title
        self.sums = [0, 0, 0]


def read(path):
    """(steps, failures) of records; a failure is (step, name, [line])."""
    steps, failures = [], []
    with open(path, encoding="utf-8") as f:
        for line in map(str.rstrip, f):
            if line.startswith("= "):
                steps.append(Step(*line[2:].split(" ", 1)))
            elif line.startswith("- "):
                failures.append((steps[-1].title, line[2:], []))
            elif line.startswith("  ") or not line:
                failures[-1][2].append(line[2:])
            else:
                steps[-1].sums = [a + int(b) for a, b in
                                  zip(steps[-1].sums, line.split(), strict=True)]
    return steps, failures


def table(steps, seconds):
    print("\nseconds  passed  failed  skipped")
    ends = [step.second for step in steps[1:]] + [seconds]
    for step, end in zip(steps, ends):
        print("%7d  %6d  %6d  %7d  %s" % (end - step.second, *step.sums, step.title))


def explain(failures):
    room = ALL_LINES
    for step, name, why in failures:
        if room <= 0:
            break
        print(f"\n-- {step}: {name}")
        for line in why[:room]:
            print("  ", line)
        room -= len(why) + 2


def total(path, seconds):
    steps, failures = read(path)
    sums = [sum(column) for column in zip(*(step.sums for step in steps))]
    explain(failures)
    table(steps, seconds)
    if failures:
        print()
    for step, name, _ in failures[:NAMES]:
        print(f"failed: {step}: {name}")
    if len(failures) > NAMES:
        print(f"failed: {len(failures) - NAMES} more")
    print("\n%d passed, %d failed, %d skipped" % tuple(sums))
    return 0 if sums[0] and not sums[1] else 1


def main():
    what, *args = sys.argv[1:]
    if what == "tap":
        return tap(args)
    if what == "total":
        return total(args[0], int(args[1]))
    output = args[2] if len(args) > 2 else None
    if what == "failed":
        return failed(args[0], args[1] if len(args) > 1 else None)
    return count({"meson": meson, "junit": junit, "lines": lines}[what], args[0], int(args[1]),
                 output)


sys.exit(main())
