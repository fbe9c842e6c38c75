"""Files of large values, named by their digest: written and fsynced here, before they are referred to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sojourn.actors.turn_errors import HostFails
from sojourn.runtime.values import BlobReference, digest_of


class BlobFiles:
    """The blob folder of a home.

    Args:
        folder: it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def put(self, data: bytes) -> BlobReference:
        """Keep bytes durably; the same bytes are kept once, and a file of them that is damaged is replaced.

        Raises:
            HostFails: if they can't be written.
        """
        digest = digest_of(data)
        path = self._folder / digest
        try:
            if _holds(path, data):
                os.utime(path)  # it is wanted again: whoever sweeps old files sees that
            else:
                self._write(path, data)
        except OSError as error:
            raise HostFails(
                f"blob {digest} can't be written into {self._folder} ({error.strerror}): make room there, "
                "and see that it can be written"
            ) from error
        return BlobReference(digest, len(data))

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, fresh = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).replace(path)
        except OSError:
            Path(fresh).unlink(missing_ok=True)  # it takes room that others need
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest.

        Raises:
            HostFails: if the file is missing or damaged.
        """
        path = self._folder / digest
        try:
            data = path.read_bytes()
        except OSError as error:
            raise self._lacks(digest, f"can't be read ({error.strerror})") from error
        if digest_of(data) != digest:
            raise self._lacks(digest, "is damaged: its bytes have another digest")
        return data

    def _lacks(self, digest: str, what: str) -> HostFails:
        return HostFails(
            f"blob {digest}, which holds a value of the job, {what}: put the file {self._folder / digest} "
            "back from a copy, or from a host that the job was on"
        )


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file holds these bytes: one that a bit of was lost is no use to its digest."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False
