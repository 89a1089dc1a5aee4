"""Configuration errors: all of a file at once as file:line:col, and nothing is started."""

import json
import os
import re

import pytest

from lib.lab import run
from lib.warren import binary, render

GOOD = render({"local_id": "a.example", "interface": "warren7"}, {"b": {
    "address": "192.0.2.2", "remote_id": "b.example", "psk": "secret of some length",
    "local_ts": ["10.1.0.0/16"], "remote_ts": ["10.2.0.0/16"]}})

# Every wrong line is marked with what the error must contain.
BAD = """\
local_id = "a.example"
colour = "blue"                     # ? colour
interface = "warren7"
interface = "warren8"               # ? interface
port = 70000                        # ? 65535
mtu = "big"                         # ? number
log = chatty                        # ? error, warning, info, debug
listen = { "192.0.2.300" }          # ? 192.0.2.300
retransmit_timeout = 2 parsecs      # ? parsecs
keylog = yes                        # ? keylog
peer "b" {
	address = "192.0.2.2"
	remote_id = "b.example"
	psk = "one secret"
	local_ts = { "10.1.0.0/33" }    # ? 10.1.0.0/33
	remote_ts = { "10.2.0.0/16[tcp/70000]" }    # ? 70000
	proposals = { "aes128gcm16-prfsha256-x25519", "rot13-md5" }    # ? rot13
	esp_proposals = { "aes512gcm16" }    # ? aes512gcm16
	start = sometimes               # ? up, traffic, listen
	dpd_delay = -3s                 # ? dpd_delay
}
peer "c" {                          # ? remote_id
	address = "192.0.2.3"
	psk = "x" ; local_ts = { "10.1.0.0/16" } ; remote_ts = { "10.3.0.0/16" }
}
peer "b" {                          # ? b
	remote_id = "other.example"
	psk = "another secret"
	psk_file = "/nonexistent/file"  # ? psk_file
	local_ts = { "10.1.0.0/16" } ; remote_ts = { "10.4.0.0/16" }
}
"""


def _check(tmp_path, text, *options, mode="w"):
    path = tmp_path / "warren.conf"
    with open(path, mode) as file:
        file.write(text)
    return run(binary("warren"), "check", str(path), *options, check=False), path


def _errors(done, path):
    """{line: text} of what `check` printed."""
    found = {}
    for line in (done.stdout + done.stderr).splitlines():
        match = re.match(re.escape(str(path)) + r":(\d+):(\d+): (.+)", line)
        assert match, f"not file:line:col: {line!r}"
        found.setdefault(int(match.group(1)), []).append(match.group(3))
    return found


def test_good_file(tmp_path):
    done, _ = _check(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_error_is_named_at_once(tmp_path):
    done, path = _check(tmp_path, BAD)
    assert done.returncode != 0
    found = _errors(done, path)
    wanted = {number: line.split("# ? ")[1].strip().split(", ")
              for number, line in enumerate(BAD.splitlines(), 1) if "# ? " in line}
    for number, words in wanted.items():
        texts = found.get(number, [])
        assert any(all(word in text for word in words) for text in texts), (
            f"line {number}: expected {words}, got {texts}")
    assert set(found) == set(wanted), "no error where nothing is wrong"


def test_errors_as_json(tmp_path):
    done, path = _check(tmp_path, BAD, "--json")
    assert done.returncode != 0
    errors = json.loads(done.stdout)["errors"]
    assert {error["line"] for error in errors} >= {2, 4, 5, 7}
    assert all(error["file"] == str(path) and error["column"] > 0 and error["text"]
               for error in errors)


@pytest.mark.parametrize("text", [
    'peer "b" {\n\taddress = "192.0.2.2"\n',
    'local_id = "a.example',
    'listen = { "0.0.0.0", ',
    'local_id = "a\\qb"\n',
    'local_id "a"\n',
    '= 3\n',
    'peer {\n}\n',
    '}\n',
    'port = = 3\n',
], ids=["section-cut", "string-cut", "list-cut", "escape", "no-equals", "no-key", "no-title",
        "stray-brace", "two-equals"])
def test_broken_syntax(tmp_path, text):
    done, path = _check(tmp_path, text)
    assert done.returncode != 0 and _errors(done, path)


@pytest.mark.parametrize("data", [b"\0", b"\xff\xfe\x80", b'local_id = "\xc3"\n', b"\x1b[2J"])
def test_bad_bytes(tmp_path, data):
    done, path = _check(tmp_path, data, mode="wb")
    assert done.returncode != 0 and _errors(done, path)


def test_no_such_file(tmp_path):
    done = run(binary("warren"), "check", str(tmp_path / "absent"), check=False)
    assert done.returncode != 0 and "absent" in done.stdout + done.stderr


def test_missing_certificate_is_named(tmp_path):
    """A file that a key points to is part of the check."""
    done, path = _check(tmp_path, GOOD.replace(
        'psk = "secret of some length"',
        'certificate = "/nonexistent/chain.pem"\n\tkey = "/nonexistent/key.pem"\n'
        '\ttrust = { "/nonexistent/ca.pem" }'))
    assert done.returncode != 0
    text = " ".join(sum(_errors(done, path).values(), []))
    assert all(name in text for name in ("chain.pem", "key.pem", "ca.pem"))


def test_no_secret_in_an_error(tmp_path):
    """S4: a psk that is wrong is not printed."""
    done, _ = _check(tmp_path, GOOD.replace("secret of some length", "0xSECRETnothex"))
    assert done.returncode != 0 and "SECRETnothex" not in done.stdout + done.stderr


def test_daemon_with_bad_file_starts_nothing(lab, tmp_path):
    """warrend says exactly what check says, ends, and has made no device, socket or file."""
    ns = lab.netns("gw")
    done, path = _check(tmp_path, BAD)
    proc = ns.popen("warrend", binary("warrend"), "-c", str(path))
    assert proc.wait() not in (0, -6, -11)
    assert _errors(done, path) == _errors_in(proc.output(), path)
    assert ns.links() == set()
    assert os.listdir(tmp_path) == ["warren.conf"]


def _errors_in(text, path):
    found = {}
    for match in re.finditer(re.escape(str(path)) + r":(\d+):(\d+): (.+)", text):
        found.setdefault(int(match.group(1)), []).append(match.group(3))
    return found
