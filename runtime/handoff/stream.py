"""What travels in a hand-off as a stream of numbered chunks under byte credit, seen from both ends.

Pieces of blobs and of parts (see ``parts``) are numbered in one sequence. The receiver says up to which
number it has everything on disk and how many bytes beyond that it takes; the sender holds exactly those
bytes until they are acknowledged, and repeats them from there (go-back-N). So neither side ever holds more
than a window, however slow the other one is. Sends nothing itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import zstandard

from sojourn.runtime.wire.handoff import CHUNK_BYTES, WINDOW_BYTES, Chunk, Credit

WORTH = 0.9
"""A chunk travels packed where that makes it smaller than this share of it."""

SMALLEST_PACKED = 4096
"""Bytes below which packing isn't tried."""

MOST_UNPACKED = 64
"""Chunks of which one is tried at least, where packing wasn't worth it before."""

LEVEL = 1
"""zstd's fastest ordinary level: on a fast link more would cost time, not save it."""


class Piece(NamedTuple):
    """Bytes on their way: of a blob, or of a part where ``blob`` is None; ``last`` ends either."""

    data: bytes
    blob: str | None
    last: bool


def cut(data: bytes, blob: str | None = None) -> list[Piece]:
    """Cut a whole part or blob into pieces that fit into chunks."""
    starts = range(0, max(1, len(data)), CHUNK_BYTES)
    return [
        Piece(data[start : start + CHUNK_BYTES], blob, start + CHUNK_BYTES >= len(data))
        for start in starts
    ]


class OutgoingStream:
    """The sender's end.

    Args:
        m: the hand-off.

    Attributes:
        count: chunks so far.
        bytes_sent: bytes of pieces that were put in, before packing.
        bytes_acked: the same, of what was acknowledged.
    """

    def __init__(self, m: str) -> None:
        self._m = m
        self._held: deque[tuple[Chunk, int]] = deque()
        self._window = WINDOW_BYTES
        self._held_bytes = 0
        self._digest = sha256()
        self._packer: zstandard.ZstdCompressor | None = None
        self._vain = 0
        """Tries to pack in a row that weren't worth it."""
        self._unpacked = 0
        """Chunks that go as they are before packing is tried again."""
        self.count = 0
        self.bytes_sent = 0
        self.bytes_acked = 0

    @property
    def room(self) -> int:
        """How many bytes may be put in now."""
        return max(0, self._window - self._held_bytes)

    @property
    def empty(self) -> bool:
        """Whether everything that was sent is acknowledged."""
        return not self._held

    def add(self, pieces: Iterable[Piece]) -> list[Chunk]:
        """Number pieces and hold them until they are acknowledged.

        Returns:
            What is to be sent.
        """
        fresh: list[Chunk] = []
        for piece in pieces:
            if piece.blob is None:
                self._digest.update(piece.data)
            small = self._pack(piece.data)
            data, packed = (piece.data, False) if small is None else (small, True)
            chunk = Chunk(self._m, self.count, data, piece.blob, piece.last, packed)
            self.count += 1
            self.bytes_sent += len(piece.data)
            self._held.append((chunk, len(piece.data)))
            self._held_bytes += len(piece.data)
            fresh.append(chunk)
        return fresh

    def _pack(self, data: bytes) -> bytes | None:
        """Give a piece packed; None where that isn't worth it, which random data never is."""
        if len(data) < SMALLEST_PACKED:
            return None
        if self._unpacked:
            self._unpacked -= 1
            return None
        if self._packer is None:
            self._packer = zstandard.ZstdCompressor(level=LEVEL)
        small = self._packer.compress(data)
        if len(small) < WORTH * len(data):
            self._vain = 0
            return small
        self._vain += 1
        self._unpacked = min(2**self._vain, MOST_UNPACKED) - 1
        return None

    def credited(self, credit: Credit) -> bool:
        """Take in what the receiver says; tell whether it has more than it had."""
        progress = False
        while self._held and self._held[0][0].n < credit.next_chunk:
            _, size = self._held.popleft()
            self._held_bytes -= size
            self.bytes_acked += size
            progress = True
        self._window = max(0, min(credit.size, WINDOW_BYTES))
        return progress

    def repeat(self) -> list[Chunk]:
        """Give what isn't acknowledged, to be sent again."""
        return [chunk for chunk, _ in self._held]

    def digest(self) -> str:
        """Give the digest over every part so far (sha256, hex)."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let go of what is held: nothing will be repeated any more."""
        self._held.clear()
        self._held_bytes = 0


class IncomingStream:
    """The receiver's end.

    Attributes:
        next: number of the chunk that is expected.
        size: bytes so far, unpacked.
        part_bytes: those of them that are no blobs'.
    """

    def __init__(self) -> None:
        self._unpacker: zstandard.ZstdDecompressor | None = None
        self._digest = sha256()
        self.next = 0
        self.size = 0
        self.part_bytes = 0

    def take(self, chunk: Chunk) -> Piece | None:
        """Take the next chunk in.

        Returns:
            Its piece; None for one that isn't the next.

        Raises:
            ValueError: if it is larger than a chunk may be, or packed in a way that can't be undone.
        """
        if chunk.n != self.next:
            return None
        data = chunk.data
        if chunk.packed:
            try:
                # The size that a frame claims is allocated, whatever the most is said to be.
                if zstandard.frame_content_size(data) > CHUNK_BYTES:
                    raise ValueError(f"chunk {chunk.n} unpacks to more than {CHUNK_BYTES} bytes")
                if self._unpacker is None:
                    self._unpacker = zstandard.ZstdDecompressor()
                data = self._unpacker.decompress(data, max_output_size=CHUNK_BYTES)
            except zstandard.ZstdError as error:
                raise ValueError(f"chunk {chunk.n} can't be unpacked: {error}") from None
        if len(data) > CHUNK_BYTES:
            raise ValueError(f"chunk {chunk.n} holds {len(data)} bytes, more than {CHUNK_BYTES}")
        self.next += 1
        self.size += len(data)
        if chunk.blob is None:
            self.part_bytes += len(data)
            self._digest.update(data)
        return Piece(data, chunk.blob, chunk.last)

    def digest(self) -> str:
        """Give the digest over every part so far (sha256, hex)."""
        return self._digest.hexdigest()
