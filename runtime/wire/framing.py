"""Frames on a byte stream: a length of four bytes, little-endian, then the message."""

from __future__ import annotations

LARGEST_FRAME = 64 * 1024 * 1024
_HEADER = 4


def frame(message: bytes) -> bytes:
    """Put a length before a message."""
    return len(message).to_bytes(_HEADER, "little") + message


class Deframer:
    """Takes a stream apart again."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in bytes and give the messages that are whole now.

        Raises:
            ValueError: if a length is beyond ``LARGEST_FRAME``: the stream is no use any more.
        """
        self._buffer += data
        messages: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _HEADER:
            length = int.from_bytes(self._buffer[start : start + _HEADER], "little")
            if length > LARGEST_FRAME:
                raise ValueError(f"a frame of {length} bytes is too large")
            end = start + _HEADER + length
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[start + _HEADER : end]))
            start = end
        del self._buffer[:start]
        return messages
