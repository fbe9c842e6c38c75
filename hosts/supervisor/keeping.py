"""What arriving jobs need of the disk: room that is reserved for them, and room that is left for the rest.

A host that said PREPARED must be able to own the job. Knows files; decides nothing about hand-offs.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from sojourn.runtime.errors import HostUnable
from sojourn.runtime.handoff.target import COPIES, LEFT_FREE


def leave_room(folder: Path, size: int) -> None:
    """See that a piece of a job can be kept without taking a host's own jobs their room.

    Args:
        folder: on the disk.
        size: of the piece, in bytes.

    Raises:
        HostUnable: if it can't.
    """
    free = shutil.disk_usage(folder).free
    if free < LEFT_FREE + COPIES * size:
        raise HostUnable(
            f"the disk of {folder} has no room for the job: {free} bytes are free, of which {LEFT_FREE} "
            "are left to the host's own jobs; make room there"
        )


class Reservations:
    """Room that is kept free, one file per hand-off towards this host.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def reserve(self, m: str, size: int) -> None:
        """Keep room for rows of so many bytes, as often as they are written; give back what is kept beyond.

        Raises:
            HostUnable: if there is none; then nothing is kept.
        """
        room = max(1, COPIES * size)
        try:
            with self._path(m).open("ab") as file:
                more = room - os.fstat(file.fileno()).st_size
                if more > 0 and shutil.disk_usage(self._folder).free - more < LEFT_FREE:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.posix_fallocate(file.fileno(), 0, room)
                file.truncate(room)
        except OSError as error:
            self.release(m)
            raise HostUnable(
                f"the disk of {self._folder} has no room for {room} bytes more of a job "
                f"({error.strerror}): make room there"
            ) from error

    def release(self, m: str) -> None:
        """Give the room back: the job is written now, or never."""
        self._path(m).unlink(missing_ok=True)

    def keep_only(self, known: Collection[str]) -> None:
        """Give back what an earlier run kept for hand-offs that are no more."""
        kept = {self._path(m) for m in known}
        for path in self._folder.iterdir():
            if path not in kept:
                path.unlink()

    def _path(self, m: str) -> Path:
        # A peer names the hand-off: what it says is no name of a file.
        return self._folder / sha256(m.encode()).hexdigest()
