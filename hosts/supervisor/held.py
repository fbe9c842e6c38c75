"""What this host holds already of the blobs of a job that arrives: whole ones are looked through first.

A damaged file must not stand for a blob that the source has: the source forgets its own after the hand-off.
Large blobs take their time, so they are read beside the rounds, which changes nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from sojourn.hosts.store.blobs import is_whole
from sojourn.hosts.supervisor.nature import IsOver, Work
from sojourn.runtime.values import is_digest

PARTIAL = ".part-"
"""Begin of the name of a blob's file that isn't whole; it survives, so that a transfer goes on there."""


class HeldBlobs:
    """One look at blobs.

    Args:
        folder: of the blobs.
        asked: (digest, bytes) of the blobs that the job refers to.
        beside: begins work beside the rounds; see ``Nature``.
    """

    def __init__(
        self, folder: Path, asked: list[tuple[str, int]], beside: Callable[[Work], IsOver]
    ) -> None:
        self._folder = folder
        self._asked = [(digest, size) for digest, size in asked if is_digest(digest)]
        self._found: list[tuple[str, int]] = []
        self._is_over: IsOver | None = None
        if any((folder / digest).exists() for digest, _ in self._asked):
            self._is_over = beside(self._look)
        else:
            self._look()

    def result(self) -> list[tuple[str, int]] | None:
        """Give (digest, bytes that are here) of those of which anything is; None while it is looked for."""
        if self._is_over is not None and not self._is_over():
            return None
        return self._found

    def _look(self) -> None:
        self._found = held_blobs(self._folder, self._asked)


def seen_blobs(folder: Path, asked: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Give (digest, bytes that are here) by names and sizes alone, for estimates; nothing is read."""
    found: list[tuple[str, int]] = []
    for digest, size in asked:
        if not is_digest(digest):
            continue
        for path in (folder / digest, folder / f"{PARTIAL}{digest}"):
            try:
                have = path.stat().st_size
            except OSError:
                continue
            if 0 < have <= size:
                found.append((digest, have))
                break
    return found


def held_blobs(folder: Path, asked: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Give (digest, bytes that are here); whole blobs are marked as wanted again.

    Of one that isn't whole the last byte is never said to be here: with it come the check and the name.
    """
    found: list[tuple[str, int]] = []
    for digest, size in asked:
        if is_digest(digest):
            have = _whole(folder / digest, digest, size)
            if not have:
                have = min(_begun(folder / f"{PARTIAL}{digest}"), size - 1)
            if 0 < have <= size:
                found.append((digest, have))
    return found


def _whole(path: Path, digest: str, size: int) -> int:
    """Give the size of a blob that is here and not damaged, else 0."""
    try:
        os.utime(path)  # before it is read: it might be swept meanwhile
    except OSError:
        return 0
    return size if is_whole(path, digest, size) else 0


def _begun(partial: Path) -> int:
    """Tell how much is in a file that isn't whole; 0 where another hand-off is writing it."""
    try:
        with partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(file.fileno()).st_size
    except OSError:
        return 0
