"""Processor time of processes, from /proc: a figure that other work on the machine disturbs little."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM = 1, 11, 12
"""Fields of /proc/PID/stat, counted from the one behind the name in parentheses."""


def seconds(pids: set[int]) -> float:
    """Sum up what processes have used so far; one that has ended counts nothing."""
    return sum(
        (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICK
        for fields in map(_fields, pids) if fields is not None
    )


def family(root: int) -> set[int]:
    """Give a process and all that descend from it."""
    parents = {
        int(entry.name): int(fields[_PARENT])
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (fields := _fields(int(entry.name))) is not None
    }
    found = {root}
    while True:
        further = {pid for pid, parent in parents.items() if parent in found} - found
        if not further:
            return found
        found |= further


def model() -> str:
    """Name the processor, where the system tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def _fields(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
