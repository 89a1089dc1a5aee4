"""The clock on a daemon's wall, set by the test; that of the machine stays as it is (wall.c)."""

import os
import struct

from .warren import build_dir

HOUR, DAY = 3600, 86400
YEAR = 365 * DAY


def write(path, ahead):
    """What a program sees that runs with environment(path): so many seconds ahead."""
    # One write of eight bytes, which it has mapped.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.pwrite(fd, struct.pack("=q", ahead), 0)
    os.close(fd)


def environment(path):
    return {"LD_PRELOAD": os.path.join(build_dir(), "tests/system/wall.so"), "WARREN_WALL": path}


class Wall:
    """To be given to a daemon before it starts."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.path = os.path.join(daemon.dir, "wall")
        write(self.path, 0)
        daemon.env = environment(self.path)

    def set(self, ahead):
        """So many seconds ahead of the right time; returns when the daemon has noticed."""
        before = self.daemon.counters()["host.clock.set"]
        write(self.path, ahead)
        self.daemon.wait_counter("host.clock.set", before)
