"""The supervisor's side of progress pages: making, reading and finding them after a crash.

Pages are read, not mapped: a process that cuts its page off must not take the supervisor along
(SIGBUS), and a read sees what a process on the same machine has mapped and written.
"""

from __future__ import annotations

import os
from pathlib import Path

from sojourn.runtime.progress_page import (
    PAGE_BYTES,
    RING_OFFSET,
    Running,
    read_header,
    read_page,
)


def create_page(folder: Path, name: str) -> Path:
    """Make an empty page for a process.

    Args:
        folder: the home's folder of pages.
        name: name of the process.

    Raises:
        OSError: if it can't be written.
    """
    path = folder / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        # Not truncated to its size: a hole that finds no room when it is written to kills the process.
        os.posix_fallocate(descriptor, 0, PAGE_BYTES)
    finally:
        os.close(descriptor)
    return path


class PageReader:
    """A page that some process writes. Readable after its process is gone.

    Args:
        path: its file.

    Raises:
        OSError: if it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> Running:
        """Read it; what a cut-off page lacks reads as zeros."""
        return read_page(self._bytes(PAGE_BYTES))

    def glance(self) -> Running:
        """Read what runs now, without the ring."""
        return read_header(self._bytes(RING_OFFSET))

    def _bytes(self, size: int) -> bytes:
        return os.pread(self._descriptor, size, 0).ljust(size, b"\0")

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def leftover_pages(folder: Path) -> list[tuple[Path, Running | None]]:
    """Read the pages that an earlier run left; None for one that is cut off."""
    found: list[tuple[Path, Running | None]] = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found.append((path, read_page(data) if len(data) >= PAGE_BYTES else None))
    return found
