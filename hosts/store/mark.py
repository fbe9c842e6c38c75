"""How many commits a store has made, in a file beside it: it tells a store that lost its last commits.

The store counts its commits in itself, and this file follows behind each one. So it is never ahead of the
disk, and a store that is behind it has lost what was on disk: its write-ahead log was cut or taken away, or
a copy of a moment ago was put back. It is written through only where a job was given away; otherwise the
system's page cache does, which outlives this process: a power cut may leave an older number, which says
less and nothing wrong.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from sojourn.hosts.store.durable import write_whole
from sojourn.runtime.errors import StoreFailed

DIGITS = 20
LARGEST = 2**63


class CommitMark:
    """The number of a store's last commit, in a file of its own. Made by ``create``.

    Args:
        path: the file; it exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unwritable(path, error) from error

    @classmethod
    def create(cls, path: Path, number: int) -> CommitMark:
        """Write the file anew, whole and durably.

        Raises:
            StoreFailed: if it can't be written.
        """
        try:
            write_whole(path, _line(number))
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path)

    def set(self, number: int, *, through: bool) -> None:
        """Note a commit that is on disk.

        Args:
            number: of the commit.
            through: whether the number must be on disk, too, before this returns.

        Raises:
            StoreFailed: if it can't be written.
        """
        try:
            os.pwrite(self._descriptor, _line(number), 0)
            if through:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read_mark(path: Path) -> int:
    """Read the number; 0 where there is no file yet.

    Raises:
        StoreFailed: if the file is damaged or can't be read.
    """
    try:
        data = path.read_bytes()
        number = int(data[:DIGITS])
        if data != _line(number) or not 0 <= number < LARGEST:
            raise ValueError("it is damaged")
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise StoreFailed(
            f"the file {path} can't be read ({error}): remove it, if the store beside it was never put "
            "back from a copy and is whole"
        ) from error
    return number


def _line(number: int) -> bytes:
    digits = f"{number:0{DIGITS}d}".encode()
    return digits + b" %08x\n" % zlib.crc32(digits)


def _unwritable(path: Path, error: OSError) -> StoreFailed:
    return StoreFailed(
        f"{path} can't be written ({error.strerror}): make room there, and see that you may write; what "
        "was acknowledged is safe"
    )
