#!/usr/bin/env python3
"""The boundaries of ARCHITECTURE.md, checked (run by `meson test purity`).

  symbols   the pure libraries call nothing but each other, in the order of their dependencies, and
            a short list of functions of the C library that have no effect outside their arguments:
            no clock, socket, file, thread, environment, allocation; and they have no variable data
  includes  every #include points from a module to one it may know; pure modules include only
            headers of the C language
  alone     every header compiles by itself
  cycles    headers do not include each other in a circle

usage: purity.py --source ROOT --cc "CC" --lib NAME=ARCHIVE ...
"""

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys

# What pure code may take from outside: functions of their arguments and nothing else.
PURE_LIBC = set("""
    memcpy memmove memset memcmp bcmp memchr strlen strcmp strncmp strchr strspn strcspn strnlen
    snprintf vsnprintf inet_pton inet_ntop
    __memcpy_chk __memmove_chk __memset_chk __snprintf_chk __vsnprintf_chk
""".split())

# Compilers and sanitizers add calls of their own.
COMPILER = re.compile(r"^(__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer|sancov|gcov)_.*"
                      r"|__odr_asan.*|__unnamed_.*|__tls_get_addr|__gcov.*|__llvm.*)$")

# A pure library: the pure libraries below it, and symbols it may also use, with the reason.
PURE = {
    "base": ([], {"calloc", "free"}),  # alloc.c: mem_libc, the host's allocator
    "crypto": (["base"], set()),
    "crypto_fake": (["base", "crypto"], set()),
    "wire_ike": (["base"], set()),
    "wire_mesh": (["base", "wire_ike"], set()),
    "wire_esp": (["base"], set()),
    "wire_ip": (["base"], set()),
    "policy": (["base", "crypto", "wire_ike"], set()),
    "ike": (["base", "crypto", "wire_ike", "policy"], set()),
    "mesh": (["base", "crypto", "wire_ike", "wire_mesh", "policy", "ike"], set()),
    # Batches of AEAD work go to whatever provider of bulk.h is linked; it needs keys set up.
    "esp": (["base", "crypto", "wire_ike", "wire_ip", "policy"],
            {"bulk_key_new", "bulk_key_free"}),
    "conf": (["base", "crypto", "wire_ike", "policy"], set()),
}

# A directory below src/ and the directories whose headers its files may include; its own always.
# A trailing * takes a whole tree.
MODULES = {
    "base": [],
    "crypto": ["base"],
    "crypto/fake": ["base", "crypto"],
    "crypto/bulk": ["base", "crypto"],
    "crypto/openssl": ["base", "crypto", "pki"],
    "wire/ike": ["base"],
    "wire/mesh": ["base", "wire/ike"],
    "wire/esp": ["base"],
    "wire/ip": ["base"],
    "policy": ["base", "crypto", "wire/ike"],
    "esp": ["base", "crypto", "crypto/bulk", "wire/ike", "wire/ip", "policy"],
    "dp": ["base", "crypto", "crypto/bulk", "policy", "esp", "wire/ike"],
    "dp/fake": ["base", "dp", "esp", "crypto/bulk", "policy", "wire/esp", "wire/ike", "wire/ip"],
    "dp/user": ["base", "dp", "esp", "crypto/bulk", "policy", "wire/esp", "wire/ike", "wire/ip"],
    "ike": ["base", "crypto", "wire/ike", "wire/mesh", "policy", "dp"],
    "mesh": ["base", "crypto", "wire/ike", "wire/mesh", "policy", "ike", "dp"],
    "conf": ["base", "crypto", "crypto/bulk", "crypto/openssl", "pki", "wire/ike", "policy"],
    "obs": ["base", "ike", "dp"],
    "pki": ["base"],
    "plat": ["base"],
    "guard": ["base", "plat"],
    "signer": ["base", "conf", "crypto", "crypto/openssl", "plat", "wire/ike"],
    "store": ["base"],
    "resolved": ["base", "plat"],
    "ctl": ["base"],
    "cli": ["base", "conf", "ctl", "guard", "obs", "pki", "plat", "policy"],
    "daemon": ["*"],
}

# Files that may know more than their module, with the reason.
MORE = {
    "conf/conf_creds.c": ["crypto/openssl"],  # loads the keys that a configuration names
    "conf/conf_creds.h": ["crypto/openssl"],
    "conf/conf_network.c": ["pki"],  # reads bundles
    "conf/conf_algorithms.c": ["crypto/bulk"],  # asks the providers what they have
}
ONLY_MORE = {"conf": ["crypto/openssl", "crypto/bulk", "pki"]}  # the rest of the module may not

PURE_DIRS = {"base", "crypto", "crypto/fake", "wire/ike", "wire/mesh", "wire/esp", "wire/ip",
             "policy", "esp", "dp", "dp/fake", "ike", "mesh", "conf"}
# Files of those that are there to touch the system.
IMPURE_FILES = {"base/alloc.c", "conf/conf_file.c", "conf/conf_creds.c", "conf/conf_creds.h"}
PURE_HEADERS = set("""
    stdarg.h stdatomic.h stdbool.h stddef.h stdint.h inttypes.h limits.h stdio.h string.h
    arpa/inet.h
""".split())

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


# ---- symbols ------------------------------------------------------------------------------------

def symbols(archive):
    """(defined, undefined, variables) of an archive; variables are what a program could change."""
    defined, undefined, variables = set(), set(), set()
    for line in run("nm", "--format=sysv", archive).splitlines():
        field = [f.strip() for f in line.split("|")]
        if len(field) < 7 or field[0] == "Name":
            continue
        name, kind, section = field[0], field[2], field[6]
        if COMPILER.match(name) or name.startswith(".L"):
            continue
        if kind == "U":
            undefined.add(name)
        elif kind.isupper():
            defined.add(name)
        if re.match(r"^\.(data|bss|tdata|tbss)", section) and not section.startswith(".data.rel.ro"):
            variables.add(name)
    return defined, undefined, variables


def check_symbols(libs):
    table = {name: symbols(path) for name, path in libs.items()}
    for name, (below, extra) in PURE.items():
        if name not in table:
            yield f"library {name}: not given"
            continue
        defined, undefined, variables = table[name]
        known = set(defined) | extra | PURE_LIBC
        for lib in below:
            known |= table[lib][0]
        for s in sorted(undefined - known):
            owner = [n for n, t in table.items() if s in t[0]]
            yield f"library {name}: calls {s}" + (f", which belongs to {owner[0]}" if owner else "")
        for s in sorted(variables):
            yield f"library {name}: {s} is variable data"


# ---- includes -----------------------------------------------------------------------------------

def sources(src):
    for root, _, names in os.walk(src):
        for n in sorted(names):
            if n.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(root, n), src)


def includes(src, path):
    with open(os.path.join(src, path), encoding="utf-8") as f:
        return INCLUDE.findall(f.read())


def may_include(module, path, target):
    allowed = MODULES[module]
    if target == module or "*" in allowed:
        return True
    if target in ONLY_MORE.get(module, []):
        return target in MORE.get(path, [])
    return target in allowed


def check_includes(src):
    for path in sources(src):
        module = os.path.dirname(path)
        if module not in MODULES:
            yield f"src/{path}: module {module} is not in the list of tests/lint/purity.py"
            continue
        for bracket, target in includes(src, path):
            if bracket == '"':
                if not os.path.exists(os.path.join(src, target)):
                    yield f"src/{path}: includes \"{target}\", which is not below src/"
                elif not may_include(module, path, os.path.dirname(target)):
                    yield f"src/{path}: {module} may not know {target}"
                elif "internal" in os.path.basename(target) and os.path.dirname(target) != module:
                    yield f"src/{path}: {target} is internal to its module"
            elif module in PURE_DIRS and path not in IMPURE_FILES and target not in PURE_HEADERS:
                yield f"src/{path}: pure, but includes <{target}>"


def check_first(src):
    """A file includes its own header first, directly or through the module's internal.h."""
    for path in sources(src):
        own = path[:-2] + ".h"
        if path.endswith(".c") and os.path.exists(os.path.join(src, own)):
            found = includes(src, path)
            through = os.path.join(os.path.dirname(path), "internal.h")
            if not found or found[0][1] not in (own, through):
                yield f"src/{path}: does not include {own} first"


def check_cycles(src):
    graph = {p: [t for b, t in includes(src, p) if b == '"'] for p in sources(src) if p.endswith(".h")}
    done = set()

    def visit(p, trail):
        if p in trail:
            yield "headers in a circle: " + " -> ".join(trail[trail.index(p):] + [p])
            return
        if p in done:
            return
        for q in graph.get(p, []):
            yield from visit(q, trail + [p])
        done.add(p)

    for p in sorted(graph):
        yield from visit(p, [])


# ---- headers alone ------------------------------------------------------------------------------

def compile_alone(cc, src, header):
    argv = cc + ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I",
                 src, "-include", os.path.join(src, header), "-x", "c", os.devnull]
    r = subprocess.run(argv, capture_output=True, text=True)
    if r.returncode:
        return f"src/{header}: does not compile alone\n    " + "\n    ".join(r.stderr.splitlines()[:5])
    return None


def check_alone(cc, src):
    headers = [p for p in sources(src) if p.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        yield from filter(None, pool.map(lambda h: compile_alone(cc, src, h), headers))


# ---- the check can fail -------------------------------------------------------------------------

def check_itself():
    """The rules refuse what they are there to refuse."""
    cases = [
        (may_include("base", "base/map.c", "ike"), False),
        (may_include("wire/ike", "wire/ike/parse.c", "policy"), False),
        (may_include("ike", "ike/sa.c", "daemon"), False),
        (may_include("ike", "ike/sa.c", "crypto/openssl"), False),
        (may_include("conf", "conf/read.c", "crypto/openssl"), False),
        (may_include("conf", "conf/conf_creds.c", "crypto/openssl"), True),
        ("time" in PURE_LIBC or "malloc" in PURE_LIBC or "getenv" in PURE_LIBC, False),
        (bool(COMPILER.match("socket")), False),
    ]
    for i, (have, want) in enumerate(cases):
        if have != want:
            yield f"self-test {i} of purity.py"
    for name, (below, _) in PURE.items():
        for lib in below:
            if name in PURE[lib][0]:
                yield f"{name} and {lib} depend on each other"


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--source", required=True)
    ap.add_argument("--cc", default="cc")
    ap.add_argument("--lib", action="append", default=[])
    args = ap.parse_args()
    src = os.path.join(args.source, "src")
    libs = dict(l.split("=", 1) for l in args.lib)
    faults = [*check_itself(), *check_symbols(libs), *check_includes(src), *check_first(src),
              *check_cycles(src), *check_alone(shlex.split(args.cc), src)]
    for f in faults:
        print(f)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
