"""Processor time and memory of processes, as the kernel counts them."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

_WHOLE_PROCESS = 2
"""Low bits of a clock id: scheduler time of all threads (``CPUCLOCK_SCHED`` in the kernel)."""

MIB = 1024 * 1024


def seconds(pids: Iterable[int]) -> float:
    """Sum up what processes have used so far, to the nanosecond; one that has ended counts nothing."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | _WHOLE_PROCESS)
        except OSError:
            pass  # it has ended
    return total


def family(root: int) -> set[int]:
    """Give a process and all that descend from it."""
    return {root, *(process.pid for process in psutil.Process(root).children(recursive=True))}


def resident(pid: int) -> float:
    """Give the MiB of a process that are in memory, shared ones included."""
    size: int = psutil.Process(pid).memory_info().rss
    return size / MIB


def unshared(pid: int) -> float:
    """Give the MiB that a process has to itself (USS): what one more of its kind costs."""
    size: int = psutil.Process(pid).memory_full_info().uss
    return size / MIB


def wakeups(pid: int) -> int:
    """Count how often a process went to sleep so far, all threads: how often it was woken."""
    return psutil.Process(pid).num_ctx_switches().voluntary
