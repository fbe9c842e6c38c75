"""Large values in memory, named by their digest as their files would be."""

from __future__ import annotations

from collections.abc import Iterable

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values import BlobReference, digest_of


class MemoryBlobs:
    """The blob folder of a host without a disk."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> BlobReference:
        """Keep bytes."""
        digest = digest_of(data)
        self.kept[digest] = data
        return BlobReference(digest, len(data))

    def get(self, digest: str) -> bytes:
        """Give the bytes of a digest.

        Raises:
            ValueMalformed: if they aren't here.
        """
        found = self.kept.get(digest)
        if found is None:
            raise ValueMalformed(f"blob {digest} can't be read: it isn't on this host")
        return found

    def some(self, digests: Iterable[str]) -> MemoryBlobs:
        """Give a folder of another host that got these blobs and no others."""
        taken = MemoryBlobs()
        taken.kept = {digest: self.get(digest) for digest in digests}
        return taken
