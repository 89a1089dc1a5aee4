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
