"""Holds a lock of a home until it is killed: ``python -m tests.hosts.lock_holder HOME READY WHICH``.

WHICH is ``supervisor`` (it claims the home), ``alive`` (it holds the lock that everything below a
supervisor holds) or ``alive-with-program`` (and has started a program, in its own group).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from sojourn.hosts.home import Home
from sojourn.hosts.orphans import claim_home


def main(home: Home, ready: Path, which: str) -> None:
    """Take it, say so, and wait."""
    home.create()
    pids = [os.getpid()]
    if which == "supervisor":
        claim_home(home)
    else:
        descriptor = os.open(home.alive_lock, os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    if which == "alive-with-program":
        pids.append(subprocess.Popen(["sleep", "600"]).pid)
    fresh = ready.with_suffix(".new")
    fresh.write_text(" ".join(map(str, pids)))
    fresh.rename(ready)
    signal.pause()


if __name__ == "__main__":
    main(Home(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
