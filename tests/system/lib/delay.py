#!/usr/bin/python3
"""A cable that takes its time: frames between two devices of this namespace, each so many
milliseconds later, in their order. (The kernel's own, netem, is not everywhere.)

    delay.py DEVICE DEVICE MILLISECONDS
"""

import collections
import select
import socket
import sys
import time

_ALL = 0x0003                           # ETH_P_ALL
_LARGEST = 65536


def _open(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    sock.bind((device, _ALL))
    sock.setblocking(False)
    return sock


def _read(sock, out, delay, waiting):
    """Everything that has come in; what we sent ourselves is not."""
    while True:
        try:
            frame, where = sock.recvfrom(_LARGEST)
        except BlockingIOError:
            return
        if where[2] != socket.PACKET_OUTGOING:
            waiting.append((time.monotonic() + delay, out, frame))


def main(one, other, delay):
    socks = [_open(one), _open(other)]
    waiting = collections.deque()       # the delay is the same for all, so the first is due first
    print("ready", flush=True)
    while True:
        left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select(socks, [], [], left)
        for sock in readable:
            _read(sock, socks[sock is socks[0]], delay, waiting)
        while waiting and waiting[0][0] <= time.monotonic():
            _, out, frame = waiting.popleft()
            try:
                out.send(frame)
            except OSError:
                pass                    # no room: as on any cable


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) / 1000)
