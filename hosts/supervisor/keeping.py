"""What arriving jobs need of the disk: room, which is reserved for them.

A host that said PREPARED must be able to own the job. Knows one file, which holds what is kept for all
hand-offs towards this host; decides nothing about them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from sojourn.runtime.errors import HostUnable
from sojourn.runtime.handoff.target import COPIES, LEAST_FREE

STEP = 8 * 1024 * 1024
"""Bytes by which the file grows, and shrinks, on a disk that has plenty: small jobs come by the hundred."""

PLENTY = LEAST_FREE + 4 * STEP
"""Free bytes of a disk from which on nobody's write lacks what the file holds beyond its due."""


class Reservations:
    """Room that is kept free.

    Args:
        folder: where the file is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "room"
        self._kept: dict[str, int] = {}
        self._due = 0
        """Bytes that are kept for all together."""
        self._size = 0
        """Bytes that the file holds, as many or more."""

    def reserve(self, m: str, size: int) -> None:
        """Keep room for rows of so many bytes, as often as they are written.

        What was kept for it beyond that is given back by the next ``give_back``.

        Raises:
            HostUnable: if there is none; then nothing is kept.
        """
        room = max(1, COPIES * size)
        self._due += room - self._kept.get(m, 0)
        self._kept[m] = room
        if self._due <= self._size:
            return
        try:
            self._grow()
        except OSError as error:
            self.release(m)
            raise HostUnable(
                f"the disk of {self._folder} has no room for {room} bytes more of a job "
                f"({error.strerror}): make room there"
            ) from error

    def _grow(self) -> None:
        free = shutil.disk_usage(self._folder).free
        more = self._due - self._size
        if free - more < LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if free - more >= PLENTY:
            more += STEP
        with self._path.open("ab") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, self._size + more)
            except OSError:
                file.truncate(self._size)
                raise
        self._size += more

    def release(self, m: str) -> None:
        """Give the room back with the next ``give_back``: the job is written now, or never."""
        self._due -= self._kept.pop(m, 0)

    def give_back(self) -> None:
        """Let the disk have what isn't kept any more, just before it is written to."""
        beyond = self._size - self._due
        if not beyond:
            return
        with contextlib.suppress(OSError):  # a disk that can't be written says so where that matters
            if not self._kept:
                self._path.unlink(missing_ok=True)
            elif beyond > 2 * STEP or shutil.disk_usage(self._folder).free < PLENTY:
                os.truncate(self._path, self._due)
            else:
                return
            self._size = self._due

    def keep_only(self, known: Collection[str]) -> None:
        """Go on with what an earlier run kept, for those of its hand-offs that are still open.

        How much of it was for which of them isn't known any more: each gives an equal share back.
        """
        for path in self._folder.iterdir():
            if path != self._path:
                path.unlink()
        if not self._path.exists():
            return
        self._size = self._path.stat().st_size
        if known:
            share = self._size // len(known)
            self._kept = dict.fromkeys(known, share)
            self._due = share * len(known)
        self.give_back()
