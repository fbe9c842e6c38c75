"""Files of large values, as the supervisor sees them: read, kept, and looked through by their digest.

A file's name says what must be in it, so damage is always found where it is read, and a blob that comes
again replaces a damaged file. Decides nothing about jobs.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from hashlib import sha256
from pathlib import Path

from sojourn.hosts.store.durable import sync_folder
from sojourn.runtime.errors import HostUnable

HASH_BYTES = 1024 * 1024


class BlobUnreadable(Exception):
    """A blob's file is missing or damaged; its text says which, why, and what is to be done."""


def read_blob(folder: Path, digest: str) -> bytes:
    """Read a blob.

    Raises:
        BlobUnreadable: if its file is missing or damaged.
    """
    try:
        data = (folder / digest).read_bytes()
    except OSError as error:
        raise lacks(folder, digest, f"can't be read ({error.strerror})") from error
    if sha256(data).hexdigest() != digest:
        raise lacks(folder, digest, DAMAGED)
    return data


DAMAGED = "is damaged: its bytes have another digest"


def lacks(folder: Path, digest: str, what: str) -> BlobUnreadable:
    """Say what is wrong with a blob's file, and what to do."""
    return BlobUnreadable(
        f"blob {digest} {what}; put the file {folder / digest} back from a copy, or from a host that the "
        "job was on"
    )


def is_whole(path: Path, digest: str, size: int | None = None) -> bool:
    """Whether a blob's file is there and holds what its digest says; a known ``size`` saves reading."""
    sha = sha256()
    try:
        if size is not None and path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            while piece := file.read(HASH_BYTES):
                sha.update(piece)
    except OSError:
        return False
    return sha.hexdigest() == digest


def keep_blob(folder: Path, digest: str, data: bytes) -> None:
    """Write a blob's file durably, unless it is there and whole.

    Raises:
        HostUnable: if it can't be written.
    """
    path = folder / digest
    fresh: str | None = None
    try:
        if is_whole(path, digest, len(data)):
            os.utime(path)
            return
        descriptor, fresh = tempfile.mkstemp(prefix=".new-", dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).replace(path)
        sync_folder(folder)
    except OSError as error:
        if fresh is not None:
            with contextlib.suppress(OSError):
                Path(fresh).unlink()
        raise HostUnable(
            f"blob {digest} can't be written into {folder} ({error.strerror}): make room there"
        ) from error
