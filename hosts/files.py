"""Files that people name: read whole, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from sojourn.hosts.store.incarnation import sync_folder
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
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise HostUnable(f"{path} can't be written ({error.strerror}): choose another file") from error


def read_file(path: Path) -> bytes:
    """Read a file.

    Raises:
        UsageError: if it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror})") from error
