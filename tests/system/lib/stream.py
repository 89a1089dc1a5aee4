"""Numbered datagrams that never stop, there and back: what is lost while keys change is counted.

A burst is sent, then every answer of it is waited for, so the path is never without packets and
nothing is under way when a stream ends: a missing answer is a lost packet, not a late one.
"""

import socket
import threading

from .wait import until

_BURST, _SIZE = 8, 200
_PATIENCE = 5.0                         # seconds until a packet counts as lost
_PAUSE = 0.002                          # between bursts: the daemons need the processor, too


class Stream:
    """From src on one host to dst on another and back, as a context manager. bursts: of how many
    the packets may be lost."""

    def __init__(self, src_host, src, dst_host, dst, bursts=0):
        self._bursts = bursts
        family = socket.AF_INET6 if ":" in src else socket.AF_INET
        self._near = _bound(src_host, family, src)
        self._far = _bound(dst_host, family, dst)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._send, self._echo)]
        self.sent, self.answered, self.lost = 0, 0, []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.passed()
        return self

    def __exit__(self, kind, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._near.close()
        self._far.close()
        if kind is None:
            assert self.answered + len(self.lost) == self.sent
            assert len({number // _BURST for number in self.lost}) <= self._bursts, (
                f"{len(self.lost)} of {self.sent} packets were lost: {self.lost[:20]}")

    def passed(self, count=10 * _BURST):
        """Until so many more have come back."""
        target = self.answered + count
        until(lambda: self.answered >= target, f"{count} packets to come back")

    def _send(self):
        while not self._stop.wait(_PAUSE):
            missing = set(range(self.sent, self.sent + _BURST))
            for number in sorted(missing):
                self._near.sendto(number.to_bytes(_SIZE, "big"), self._far.getsockname())
            self.sent += _BURST
            try:
                while missing:
                    missing.discard(int.from_bytes(self._near.recv(_SIZE), "big"))
            except TimeoutError:
                self.lost += sorted(missing)
            self.answered += _BURST - len(missing)

    def _echo(self):
        self._far.settimeout(0.05)
        while self._threads[0].is_alive():
            try:
                data, source = self._far.recvfrom(_SIZE)
            except TimeoutError:
                continue
            self._far.sendto(data, source)


def _bound(host, family, address):
    with host.enter():
        sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(_PATIENCE)
    sock.bind((address, 0))
    return sock
