"""A packet every few milliseconds, there and back, whatever happens to the others: what is lost
while a gateway moves, and how long nothing comes back."""

import socket
import threading
import time

from .wait import until

_PACE = 0.005
_SIZE = 64


class Pulse:
    """From src on one host to dst on another and back, as a context manager."""

    def __init__(self, src_host, src, dst_host, dst):
        family = socket.AF_INET6 if ":" in src else socket.AF_INET
        self._near = _bound(src_host, family, src)
        self._far = _bound(dst_host, family, dst)
        self._end = threading.Event()
        self._threads = [threading.Thread(target=run)
                         for run in (self._send, self._hear, self._echo)]
        self.sent, self.heard = {}, {}  # number -> when

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        try:
            self.beats()
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def __exit__(self, kind, *exc):
        self._end.set()
        for thread in self._threads:
            thread.join()
        self._near.close()
        self._far.close()

    def beats(self, count=20, deadline=30):
        """Until so many that are sent from now on have come back."""
        first = len(self.sent)

        def back():
            return sum(number >= first for number in list(self.heard)) >= count
        until(back, f"{count} answers", deadline)

    # ---- what became of them

    def round_trip(self):
        """The median, in seconds."""
        times = sorted(when - self.sent[number] for number, when in list(self.heard.items()))
        return times[len(times) // 2]

    def flowing(self, since):
        """Seconds from that moment until the first answer to something sent after it."""
        after = [when for number, when in list(self.heard.items()) if self.sent[number] >= since]
        return min(after) - since

    def lost(self, since, until_):
        """How many of those sent in between never came back. (To be asked when all that is under
        way has arrived: after beats().)"""
        return sum(since <= when < until_ and number not in self.heard
                   for number, when in list(self.sent.items()))

    def _send(self):
        number = 0
        while not self._end.wait(_PACE):
            self.sent[number] = time.monotonic()
            try:
                self._near.sendto(number.to_bytes(_SIZE, "big"), self._far.getsockname())
            except OSError:
                pass                    # no route to it for now: it is lost
            number += 1

    def _hear(self):
        for data, _ in self._packets(self._near):
            self.heard.setdefault(int.from_bytes(data, "big"), time.monotonic())

    def _echo(self):
        for data, source in self._packets(self._far):
            try:
                self._far.sendto(data, source)
            except OSError:
                pass

    def _packets(self, sock):
        while not self._end.is_set():
            try:
                yield sock.recvfrom(_SIZE)
            except TimeoutError:
                pass
            except OSError:
                pass                    # "unreachable" about one of the lost ones


def _bound(host, family, address):
    with host.enter():
        sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(0.1)
    sock.bind((address, 0))
    return sock
