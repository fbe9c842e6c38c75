"""Whether files on disk still hold what was loaded from them.

It is asked at every submit, so files are read again only where their times say that they changed. Knows
nothing of code.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SETTLED = 2_000_000_000
"""Nanoseconds after which a further change of a file shows in its times, on any file system."""

Stamp = tuple[int, int, int, int, int]
"""What changes with a file's content: times of change, size, and which file it is."""


class CurrentFiles:
    """Files under some folders.

    Args:
        folders: where files are looked for, in order.
        clock: nanoseconds, by the clock that stamps files.
    """

    def __init__(self, folders: Sequence[str], clock: Callable[[], int] = time.time_ns) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._clock = clock
        self._known: dict[Path, tuple[Stamp, str]] = {}
        """What files held when they were read, of those that had not been changed just before."""

    def hold(self, files: Sequence[tuple[str, str]]) -> bool:
        """Tell whether files still have the content that was loaded.

        Args:
            files: (path relative to its folder, sha256 hex).
        """
        return all(
            any(self._digest(folder / name) == digest for folder in self._folders)
            for name, digest in files
        )

    def _digest(self, path: Path) -> str | None:
        try:
            # Before it is read: what changes meanwhile is seen the next time.
            found = os.stat(path)
            stamp = (
                found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
            )
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            self._known.pop(path, None)
            return None
        self._known.pop(path, None)
        if self._clock() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED:
            self._known[path] = (stamp, digest)
        return digest
