"""A small disk of its own for the state of a daemon: a tmpfs that only the daemon sees.

It lives in a mount namespace that outlives the daemon, so that a daemon that was killed finds what
it left.
"""

import os

from .lab import run
from .wait import until


class Disk:
    def __init__(self, daemon, size="2m"):
        """For a daemon that does not run yet."""
        self.dir = daemon.state_dir
        os.makedirs(self.dir, exist_ok=True)
        self.holder = daemon.ns.popen("disk", "sh", "-c", 'mount -t tmpfs -o size="$1",mode=755 '
                                      'tmpfs "$0" && exec sleep infinity', self.dir, size)
        until(lambda: " tmpfs " in run("findmnt", "-N", str(self.holder.pid), "-n", "-t", "tmpfs",
                                       self.dir, check=False).stdout, "the disk to be mounted")
        daemon.wrap = self._argv()

    def _argv(self, *argv):
        return ("nsenter", "-t", str(self.holder.pid), "-m", "-n", "--", *argv)

    def run(self, *argv, check=True):
        return run(*self._argv(*argv), check=check)

    def fill(self):
        """Until nothing fits any more."""
        self.run("dd", "if=/dev/zero", f"of={self.dir}/filler", "bs=4k", check=False)

    def free(self):
        self.run("rm", f"{self.dir}/filler")

    def remount(self, how):
        self.run("mount", "-o", f"remount,{how}", self.dir)
