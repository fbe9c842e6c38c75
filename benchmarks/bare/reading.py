"""What a start must at least do: a new interpreter that reads every unfinished job and its message.

``python -m benchmarks.bare.reading DATABASE`` is that interpreter; it prints how many it found.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import zmq

NEEDED = (msgpack, zmq)
"""Imported as by anything that starts here."""


def seconds(path: Path) -> float:
    """Start one; give the seconds until it has all."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.bare.reading", str(path)], check=True, capture_output=True
    )
    return time.perf_counter() - begun


def read(path: str) -> int:
    """Read everything into memory."""
    database = sqlite3.connect(path)
    jobs = {row[0]: row for row in database.execute("SELECT * FROM jobs")}
    messages = {row[:2]: row for row in database.execute("SELECT * FROM messages")}
    database.close()
    return min(len(jobs), len(messages))


if __name__ == "__main__":
    print(read(sys.argv[1]))
