"""The few calls to the kernel that Python has no names for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None, use_errno=True)
"""Opened before any fork: a process that opens it anew copies seventy pages for that."""


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent dies, also if it died just now (Linux).

    The kernel ties the signal to the parent's *thread* that made this process, so it may only be
    relied on where that thread lives as long as the parent.

    Args:
        parent: pid that the parent is expected to have.
    """
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def kill_group(group: int) -> None:
    """Kill a process group, if there still is one of that number.

    Args:
        group: its id. 1 and below are let be: to the kernel they mean every process that there is,
            or the caller's own group.
    """
    if group <= 1:
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it went with its leader


def may_fork() -> bool:
    """Tell whether a fork of this process is sound: one thread, and a kernel that can tell.

    Threads are counted by the kernel, since those of C libraries are unknown to Python.
    """
    if sys.platform != "linux":
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False
