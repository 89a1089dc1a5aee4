"""S2: the control socket takes garbage, floods, half requests and clients that hang; the daemon
answers others meanwhile and the tunnel goes on."""

import json
import os
import socket
import stat

import pytest

from lib import topo
from lib.wait import until
from lib.warren import psk_pair


@pytest.fixture(scope="module")
def pair(modlab):
    left, right = psk_pair(topo.TwoSites(modlab))
    left.wait_up("b")
    right.wait_up("a")
    return left


@pytest.fixture(autouse=True)
def still_answers(pair):
    """Whatever a test does to the socket, afterwards the daemon and its tunnel are well."""
    before = pair.wait_up("b")["spi_i"]
    yield
    assert pair.status()["pid"] == pair.pid
    assert pair.wait_up("b")["spi_i"] == before
    pair.lab.namespaces["host-a"].ping("10.2.0.2")


def _connect(daemon, timeout=10):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(daemon.socket)
    return sock


def _ask(daemon, line):
    with _connect(daemon) as sock:
        sock.sendall(line + b"\n")
        return json.loads(sock.makefile().readline())


def test_mode(pair):
    assert stat.S_IMODE(os.stat(pair.socket).st_mode) == 0o600


def test_good_request(pair):
    answer = _ask(pair, b'{"id": 7, "cmd": "status"}')
    assert answer["id"] == 7 and answer["ok"] is True and answer["result"]["pid"] == pair.pid


def test_many_requests_in_one_write(pair):
    with _connect(pair) as sock:
        sock.sendall(b"".join(b'{"id":%d,"cmd":"status"}\n' % i for i in range(100)))
        lines = sock.makefile()
        assert [json.loads(lines.readline())["id"] for _ in range(100)] == list(range(100))


def test_request_byte_by_byte(pair):
    with _connect(pair) as sock:
        for byte in b'{"id":1,"cmd":"status"}\n':
            sock.sendall(bytes([byte]))
        assert json.loads(sock.makefile().readline())["ok"] is True


@pytest.mark.parametrize("line", [
    b"", b"hello", b"{", b"[]", b"null", b"42", b'"status"', b"{}", b'{"id":1}',
    b'{"cmd":"status"}', b'{"id":"x","cmd":"status"}', b'{"id":1,"cmd":7}',
    b'{"id":1,"cmd":"nothing"}', b'{"id":1,"cmd":"up"}', b'{"id":1,"cmd":"up","peer":3}',
    b'{"id":1,"cmd":"up","peer":"nobody"}', b'{"id":1,"cmd":"status"} trailing',
    b'{"id":1,"id":2,"cmd":"status"}', b'{"id":1e400,"cmd":"status"}', b"\0\0\0", b"\xff\xfe\xfd",
    b'{"id":1,"cmd":"\xc3\x28"}', b"[" * 5000, b'{"a":' * 5000])
def test_bad_request_is_answered_or_ends_the_connection(pair, line):
    """A wrong line gets {"ok": false, "error": …} or the connection is closed; nothing else."""
    with _connect(pair) as sock:
        sock.sendall(line + b"\n" + b'{"id":2,"cmd":"nothing"}\n')
        text = sock.makefile(errors="replace").readline()
    if text:
        answer = json.loads(text)
        assert answer["ok"] is False and answer["error"]


def test_endless_line(pair):
    """A line that never ends is cut off long before it costs memory."""
    with _connect(pair) as sock, pytest.raises((BrokenPipeError, ConnectionResetError, EOFError)):
        for _ in range(64):
            sock.sendall(b"x" * (1 << 20))
            sock.setblocking(False)
            try:
                if sock.recv(4096) == b"":
                    raise EOFError
            except BlockingIOError:
                pass
            sock.settimeout(10)


def test_hanging_clients(pair):
    """300 clients that connect and say nothing, or half a request, keep nobody out."""
    clients = []
    try:
        for count in range(300):
            try:
                sock = _connect(pair, timeout=2)
                sock.sendall(b'{"id":1,"cm' if count % 2 else b"")
                clients.append(sock)
            except OSError:
                sock.close()    # put out to make room: allowed, as long as the next line works
        for sock in clients[:100]:
            sock.close()
        until(lambda: pair.cli("status", check=False).returncode == 0, "an answer")
    finally:
        for sock in clients:
            sock.close()


def test_watcher_that_never_reads(two_sites):
    """Events for a client that does not read are dropped or it is, never queued without bound."""
    left, right = psk_pair(two_sites)
    left.wait_up("b")
    right.wait_up("a")
    with _connect(left) as deaf:
        deaf.sendall(b'{"id":1,"cmd":"watch"}\n')
        assert json.loads(deaf.makefile().readline())["ok"] is True
        size, watch = _rss_kib(left.pid), left.watch()
        for count in range(1, 31):
            left.cli("down", "b")
            until(lambda: _seen(watch, "ike_down") >= count, f"ike_down number {count}")
            left.cli("up", "b")
            left.wait_up("b")
        until(lambda: _seen(watch, "ike_up") >= 30, "thirty ike_up events")
        assert _rss_kib(left.pid) < size + 8192


def _seen(watch, event):
    return sum(item["event"] == event for item in watch.events())


def _rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_client_that_leaves_at_once(pair):
    for _ in range(200):
        with _connect(pair) as sock:
            sock.sendall(b'{"id":1,"cmd":"peers"}\n')
