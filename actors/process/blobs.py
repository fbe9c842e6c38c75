"""Files of large values, named by their digest: written and fsynced here, before they are referred to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values import BlobReference, digest_of


class BlobFiles:
    """The blob folder of a home.

    Args:
        folder: it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def put(self, data: bytes) -> BlobReference:
        """Keep bytes durably; the same bytes are kept once."""
        digest = digest_of(data)
        path = self._folder / digest
        try:
            os.utime(path)  # it is wanted again: whoever sweeps old files sees that
        except FileNotFoundError:
            self._write(path, data)
        return BlobReference(digest, len(data))

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, fresh = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest.

        Raises:
            ValueMalformed: if the file is missing or damaged.
        """
        try:
            data = (self._folder / digest).read_bytes()
        except OSError as error:
            raise ValueMalformed(f"blob {digest} can't be read: {error.strerror}") from error
        if digest_of(data) != digest:
            raise ValueMalformed(f"blob {digest} is damaged: its bytes have another digest")
        return data
