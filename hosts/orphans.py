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
"""Seconds that leftovers get to be gone."""

GUARD_PATIENCE = 1.0
"""Seconds of these in which the guards do it by themselves: they know the groups of the dead."""

ASKING = 0.2
"""Seconds for which a lock may be held by someone who only asks who runs (``supervisor_pid``)."""

PAUSE = 0.005


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
    descriptor = _open_lock(home, home.supervisor_lock)
    try:
        if not _lock(descriptor, ASKING):
            pid = _written_pid(descriptor) or "unknown"
            raise AlreadyRunning(
                f"a supervisor already runs on {home.root} (pid {pid}): stop it with "
                f"`sojourn down --home {home.root}`, or choose another --home"
            )
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise home.unwritable(error) from error
        _end_leftovers(home)
    except BaseException:
        os.close(descriptor)
        raise
    return HomeLock(descriptor)


def supervisor_pid(home: Home) -> int | None:
    """Give the pid of the supervisor that runs on a home, or None if none does.

    Returns:
        0 where one runs that hasn't written its pid yet.
    """
    try:
        descriptor = os.open(home.supervisor_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _open_lock(home: Home, path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise home.unwritable(error) from error


def _lock(descriptor: int, patience: float) -> bool:
    """Take a lock alone, within so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
        else:
            return True


def _written_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdecimal() else 0


def _end_leftovers(home: Home) -> None:
    """Wait until nobody holds the home's alive lock; kill those who hold on to it."""
    lock = _open_lock(home, home.alive_lock)
    try:
        if _lock(lock, GUARD_PATIENCE):
            return
        deadline = time.monotonic() + PATIENCE - GUARD_PATIENCE
        while not _lock(lock, PAUSE):
            holders = _holders(home.alive_lock)
            if time.monotonic() > deadline:
                raise HostUnable(
                    f"processes of an earlier supervisor of {home.root} can't be killed "
                    f"(pids {', '.join(map(str, holders)) or 'unknown'}): kill them, then start again"
                )
            for pid in holders:
                _kill(pid, home.alive_lock)
    finally:
        os.close(lock)


def _holders(path: Path) -> list[int]:
    """Find the processes that have a file open, this one aside."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if pid != os.getpid() and _holds(pid, path)]


def _holds(pid: int, path: Path) -> bool:
    wanted = path.stat()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                seen = link.stat()
            except OSError:
                continue  # closed meanwhile
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:
        return False  # it ended meanwhile, or belongs to somebody else
    return False


def _kill(pid: int, path: Path) -> None:
    """Kill a process that has a file open, with its group if it leads one."""
    if pid <= 1:
        return
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The number may have been given to another process since: only now is it pinned.
        if _holds(pid, path):
            leads = os.getpgid(pid) == pid
            signal.pidfd_send_signal(process, signal.SIGKILL)
            if leads:
                os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        os.close(process)
