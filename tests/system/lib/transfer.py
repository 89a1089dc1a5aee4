"""A file copy over TCP between two namespaces, checked by size and SHA-256.

Both ends are ordinary sockets living in the hosts' namespaces, driven by threads of the test. The
receiver hashes what arrives; the digest goes back over the same connection, so a success also
proves the reverse direction.
"""

import hashlib
import os
import socket
import threading
import time

from .wait import until

_BLOCK = 1 << 16
_TIME_WAIT = "06"                       # as in /proc/net/tcp


def copy(src_host, dst_host, address, size=4 << 20, deadline=60, source=None):
    """Send `size` random bytes from src_host to `address` on dst_host; returns seconds taken.

    source: address to bind the sender to.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with dst_host.enter():
        listener = socket.socket(family, socket.SOCK_STREAM)
    with src_host.enter():
        sender = socket.socket(family, socket.SOCK_STREAM)
    with listener, sender:
        listener.settimeout(deadline)
        sender.settimeout(deadline)
        listener.bind((address, 0))
        listener.listen(1)
        if source:
            sender.bind((source, 0))
        result = {}
        receiver = threading.Thread(target=_receive, args=(listener, deadline, result))
        receiver.start()
        started = time.monotonic()
        try:
            sender.connect(listener.getsockname()[:2])
            _send(sender, size)
        except OSError as error:
            raise AssertionError(f"copy {src_host.short} -> {address}: {error}; receiver:"
                                 f" {result.get('error', 'still waiting')}") from error
        finally:
            sender.close()
            receiver.join(deadline)
        assert result.get("size") == size, f"{address}: {size} bytes sent, received: {result}"
        seconds = time.monotonic() - started
    # A tunnel that is taken down next must not catch the last acknowledgement.
    until(lambda: _ended(src_host, dst_host), "both ends of the connection to be closed")
    return seconds


def _ended(*hosts):
    """Whether the last packet of every TCP connection has arrived: only TIME_WAIT is left."""
    states = set()
    for host in hosts:
        for table in ("tcp", "tcp6"):
            with host.enter(), open(f"/proc/thread-self/net/{table}") as sockets:
                states |= {line.split()[3] for line in list(sockets)[1:]}
    return states <= {_TIME_WAIT}


def _send(sender, size):
    block, digest, left = os.urandom(_BLOCK), hashlib.sha256(), size
    while left:
        part = block[:left] if left < _BLOCK else block
        digest.update(part)
        sender.sendall(part)
        left -= len(part)
        # Every block differs from the one before, so a lost or doubled block changes the digest.
        block = hashlib.sha256(block).digest() + block[32:]
    sender.shutdown(socket.SHUT_WR)
    answer = b""
    while len(answer) < 32:
        part = sender.recv(32 - len(answer))
        if not part:
            break
        answer += part
    assert answer == digest.digest(), "the receiver's SHA-256 differs from the sender's"


def _receive(listener, deadline, result):
    try:
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(deadline)
            digest, total = hashlib.sha256(), 0
            while part := conn.recv(_BLOCK):
                digest.update(part)
                total += len(part)
            conn.sendall(digest.digest())
            result["size"] = total
    except OSError as error:
        result["error"] = str(error)


class Ongoing:
    """A copy that goes on until it is told to end, as a context manager: one connection, a block
    every few milliseconds. At the end both sides' digests are held against each other."""

    _PACE = 0.01
    _SMALL = 1 << 13

    def __init__(self, src_host, dst_host, address, deadline=60):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with dst_host.enter():
            self._listener = socket.socket(family, socket.SOCK_STREAM)
        with src_host.enter():
            self._sender = socket.socket(family, socket.SOCK_STREAM)
        for sock in (self._listener, self._sender):
            sock.settimeout(deadline)
        self._listener.bind((address, 0))
        self._listener.listen(1)
        self._end = threading.Event()
        self._deadline = deadline
        self._hosts = src_host, dst_host
        self.sent, self.arrived, self.errors = 0, 0, []
        self._threads = [threading.Thread(target=self._run, args=(part,))
                         for part in (self._send, self._receive)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.passed()
        return self

    def __exit__(self, kind, *exc):
        self._end.set()
        for thread in self._threads:
            thread.join(2 * self._deadline)
        self._sender.close()
        self._listener.close()
        if kind is None:
            assert not self.errors, self.errors
            assert self.arrived == self.sent
            until(lambda: _ended(*self._hosts), "both ends of the connection to be closed")

    def passed(self, size=1 << 16):
        """Until so much more has arrived."""
        target = self.arrived + size

        def arrived():
            return self.errors or self.arrived >= target
        until(arrived, f"{size} bytes more of the copy to arrive", 2 * self._deadline)
        assert not self.errors, self.errors

    def _run(self, part):
        try:
            part()
        except (OSError, AssertionError) as error:
            self.errors.append(f"{part.__name__} after {self.sent}/{self.arrived} bytes: {error}")

    def _send(self):
        block, digest = os.urandom(self._SMALL), hashlib.sha256()
        self._sender.connect(self._listener.getsockname()[:2])
        while not self._end.wait(self._PACE):
            block = hashlib.sha256(block).digest() + block[32:]
            digest.update(block)
            self._sender.sendall(block)
            self.sent += len(block)
        self._sender.shutdown(socket.SHUT_WR)
        assert self._sender.recv(32) == digest.digest(), "the receiver's SHA-256 differs"

    def _receive(self):
        conn, _ = self._listener.accept()
        with conn:
            conn.settimeout(self._deadline)
            digest = hashlib.sha256()
            while part := conn.recv(_BLOCK):
                digest.update(part)
                self.arrived += len(part)
            conn.sendall(digest.digest())
