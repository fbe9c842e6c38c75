"""The supervisor's side of progress pages: making, reading and finding them after a crash."""

from __future__ import annotations

import mmap
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
    """Make an empty page for a process."""
    path = folder / name
    with path.open("wb") as file:
        file.truncate(PAGE_BYTES)
    return path


class PageReader:
    """A page, mapped. Readable after its process is gone.

    Args:
        path: its file.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, PAGE_BYTES, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)

    def read(self) -> Running:
        """Read it."""
        return read_page(self._map[:])

    def glance(self) -> Running:
        """Read what runs now, without the ring."""
        return read_header(self._map[:RING_OFFSET])

    def close(self) -> None:
        """Unmap it."""
        self._map.close()


def leftover_pages(folder: Path) -> list[tuple[Path, Running | None]]:
    """Read the pages that an earlier run left; None for one that is cut off."""
    found: list[tuple[Path, Running | None]] = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        found.append((path, read_page(data) if len(data) >= PAGE_BYTES else None))
    return found
