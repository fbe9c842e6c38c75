"""What one fsync costs on the disk that is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

PAGE = bytes(4096)


def fsync_seconds(folder: Path, count: int) -> list[float]:
    """Append pages to a file, each with an fsync; give the seconds of each."""
    path = folder / "fsync"
    taken: list[float] = []
    with path.open("ab", buffering=0) as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(PAGE)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    return taken
