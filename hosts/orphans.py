"""One supervisor per home, and nothing left of an earlier one: proof by locks, not by pids."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path

from sojourn.hosts.home import Home
from sojourn.runtime.errors import AlreadyRunning, HostUnable

PATIENCE = 5.0
"""Seconds that killed leftovers get to be gone."""


class HomeLock:
    """The right to run jobs of a home, held until ``release`` or the process's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the home free."""
        os.close(self._descriptor)


def claim_home(home: Home) -> HomeLock:
    """Become the supervisor of a home and kill what an earlier one left running.

    Args:
        home: a home whose folders exist.

    Raises:
        AlreadyRunning: if another supervisor runs on it; the sentence names its pid.
        HostUnable: if leftovers can't be killed or the home can't be written.
    """
    try:
        descriptor = os.open(home.supervisor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostUnable(
            f"the home {home.root} can't be written ({error.strerror}): choose another with --home"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise AlreadyRunning(
            f"a supervisor runs on {home.root} already (pid {pid}): stop it with "
            f"`sojourn down --home {home.root}`, or choose another --home"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    _kill_leftovers(home)
    return HomeLock(descriptor)


def supervisor_pid(home: Home) -> int | None:
    """Give the pid of the supervisor that runs on a home, or None if none does."""
    try:
        descriptor = os.open(home.supervisor_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def _kill_leftovers(home: Home) -> None:
    """Kill every process that holds the home's alive lock, until nobody does."""
    lock = os.open(home.alive_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holders = _holders(home.alive_lock)
                if time.monotonic() > deadline:
                    raise HostUnable(
                        f"processes of an earlier supervisor of {home.root} can't be killed "
                        f"(pids {', '.join(map(str, holders)) or 'unknown'}): kill them, then start again"
                    ) from None
                for pid in holders:
                    _kill(pid)
                time.sleep(0.005)
            else:
                return
    finally:
        os.close(lock)


def _holders(path: Path) -> list[int]:
    """Find the processes that have a file open."""
    wanted = os.stat(path)
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            for link in (entry / "fd").iterdir():
                seen = link.stat()
                if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(entry.name))
                    break
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
    return found


def _kill(pid: int) -> None:
    try:
        group = os.getpgid(pid)
        os.kill(pid, signal.SIGKILL)
        if group == pid:
            os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
