"""What figures depend on beside the code: the machine, its disk, its load, the versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sojourn.hosts.store.schema import SETTINGS

QUIET = 0.25
"""Load per core up to which a machine counts as quiet."""


def describe(folder: Path) -> dict[str, str]:
    """Describe the machine, now.

    Args:
        folder: on the disk that is measured.
    """
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": platform.platform(),
        "processor": processor_model(),
        "cores": str(cores),
        "file system": file_system(folder),
        "load before": f"{load:.2f}" + ("" if load <= QUIET * cores else BUSY),
        "commit": _commit(),
    }


BUSY = " (a busy machine: its speeds say little)"


def versions() -> dict[str, str]:
    """Give the versions that figures depend on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("sojourn", "pyzmq", "msgspec", "msgpack")},
    }


def durability() -> dict[str, str]:
    """Give the settings under which both sides commit."""
    return {"journal_mode": "WAL", **SETTINGS}


def processor_model() -> str:
    """Name the processor, where the system tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"


def file_system(folder: Path) -> str:
    """Name the kind of file system that a folder is on: a sync of tmpfs costs nothing."""
    path = str(folder.resolve())
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [
        (len(mount[1]), mount[2]) for mount in mounts
        if path == mount[1] or path.startswith(mount[1].rstrip("/") + "/")
    ]
    return max(holding)[1] if holding else "unknown"


def _commit() -> str:
    """Name the checkout's commit, and whether it was changed."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
