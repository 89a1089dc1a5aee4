"""Tests that run side by side (pytest -n), and those that want the machine for themselves.

Every test holds a lock while it runs: most of them together with others, those marked `alone` as the
only one. Who wants to be alone holds the door, too, so that nobody begins while it waits for the
others to end.
"""

import contextlib
import fcntl
import os

# Two files that every process of a run finds; nothing is ever written to them.
_DOOR = os.path.abspath(__file__)
_ROOM = os.path.join(os.path.dirname(_DOOR), "lab.py")


@contextlib.contextmanager
def turn(alone):
    """Waits for its turn, and holds it."""
    with (_locked(_DOOR, fcntl.LOCK_EX) as door,
          _locked(_ROOM, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)):
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _locked(path, how):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        os.close(fd)
