"""Files that people name: read whole, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from sojourn.hosts.store.durable import sync_folder
from sojourn.runtime.errors import HostUnable, UsageError


def write_document(path: Path, document: object) -> None:
    """Write an exported document.

    Raises:
        HostUnable: if it can't be written.
    """
    write_file(path, json.dumps(document, indent=1).encode())


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, durably.

    Raises:
        HostUnable: if it can't be written.
    """
    write_beside(path, data)
    try:
        put_in_place(path)
    except HostUnable:
        with contextlib.suppress(OSError):
            beside(path).unlink()
        raise


def write_beside(path: Path, data: bytes) -> None:
    """Write a file durably under a hidden name beside its own, which it gets by ``put_in_place``.

    Raises:
        HostUnable: if it can't be written.
    """
    fresh = beside(path)
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise _unwritable(path, error) from error


def check_writable(path: Path) -> None:
    """See that a file could be written, so that nobody waits for that in vain.

    Raises:
        HostUnable: if it can't.
    """
    write_beside(path, b"")
    with contextlib.suppress(OSError):
        beside(path).unlink()


def put_in_place(path: Path) -> None:
    """Give a file that was written beside its name that name.

    Raises:
        HostUnable: if that can't be.
    """
    try:
        beside(path).replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def beside(path: Path) -> Path:
    """Name the file under which a file is written first."""
    return path.with_name(f".{path.name}.new")


def _unwritable(path: Path, error: OSError) -> HostUnable:
    return HostUnable(f"{path} can't be written ({error.strerror}): choose another file")


def read_file(path: Path) -> bytes:
    """Read a file.

    Raises:
        UsageError: if it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
