"""Network namespaces for tests: made, entered, and removed, also those of a run that was killed.

The names of a run's namespaces hold the process id of its pytest, which holds a lock on a file of that
number. So whoever comes next knows, without trusting process ids, whose namespaces are left over.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

PREFIX = "sojourn-test"
LOCKS = Path("/run/lock") / PREFIX
_TUN = Path("/dev/net/tun")
_TUN_DEVICE = os.makedev(10, 200)
_NAME = re.compile(rf"{PREFIX}-(\d+)-\w+")


def unavailable() -> str | None:
    """Say why this machine gives no namespaces and TUN devices to tests; None if it does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need `ip`: install the package iproute2"
    if not _TUN.exists():
        try:
            _TUN.parent.mkdir(exist_ok=True)
            os.mknod(_TUN, 0o600 | stat.S_IFCHR, _TUN_DEVICE)
        except OSError as error:
            return f"{_TUN} is missing and can't be made ({error.strerror})"
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        return f"{_TUN} can't be opened ({error.strerror}): the kernel has no TUN devices"
    return None


def ip(*arguments: str, namespace: str | None = None) -> str:
    """Run ``ip``, in a namespace if one is named, and give what it printed.

    Raises:
        AssertionError: if it failed.
    """
    command = ["ip", *(("-n", namespace) if namespace is not None else ()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


class Namespaces:
    """The namespaces of one test run, one per host.

    Args:
        hosts: names of the hosts.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        sweep()
        LOCKS.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(LOCKS / str(os.getpid()), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._names = {host: f"{PREFIX}-{os.getpid()}-{host}" for host in hosts}
        for name in self._names.values():
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", namespace=name)

    def name(self, host: str) -> str:
        """Give the name of a host's namespace."""
        return self._names[host]

    def inside(self, host: str) -> tuple[str, ...]:
        """Give what is put before a command to run it there."""
        return ("ip", "netns", "exec", self._names[host])

    def close(self) -> None:
        """End what still runs in them, and remove them."""
        for name in self._names.values():
            remove(name)
        (LOCKS / str(os.getpid())).unlink()
        os.close(self._lock)


def existing() -> list[str]:
    """Name the namespaces of this and of other runs."""
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line.startswith(PREFIX)]


def sweep() -> list[str]:
    """Remove what runs that are over left behind; give the names."""
    swept: list[str] = []
    for name in existing():
        found = _NAME.fullmatch(name)
        if found is not None and not _alive(found.group(1)):
            remove(name)
            swept.append(name)
    return swept


def _alive(run: str) -> bool:
    path = LOCKS / run
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
    return False


def remove(name: str) -> None:
    """Kill what runs in a namespace, and remove it."""
    for pid in ip("netns", "pids", name).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it ended meanwhile
    ip("netns", "delete", name)
