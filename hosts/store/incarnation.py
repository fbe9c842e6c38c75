"""The incarnation number beside a store: it tells a store that was put back from a copy.

Each ``up`` counts one up in the store and in a file of its own, fsynced. A store that is behind its
file was restored.
"""

from __future__ import annotations

from pathlib import Path

from sojourn.hosts.store.durable import write_whole
from sojourn.runtime.errors import StoreFailed

LARGEST = 2**31
"""More often than this no host is started."""


def read_incarnation(path: Path) -> int:
    """Read the number; 0 where there is no file yet.

    Raises:
        StoreFailed: if the file is damaged or can't be read.
    """
    try:
        number = int(path.read_text())
        if not 0 <= number < LARGEST:
            raise ValueError("it holds a number that none comes to")
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise StoreFailed(
            f"the incarnation file {path} can't be read ({error}): remove it, if the store beside it was "
            "never put back from a copy"
        ) from error
    return number


def write_incarnation(path: Path, number: int) -> None:
    """Write the number durably.

    Raises:
        StoreFailed: if it can't be written.
    """
    try:
        write_whole(path, str(number).encode())
    except OSError as error:
        raise StoreFailed(
            f"{path} can't be written ({error.strerror}): make room there, and see that you may write"
        ) from error
