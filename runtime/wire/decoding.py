"""Decoders whose only error is ``msgspec.DecodeError``, whatever a frame holds."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class FrameDecoder(Generic[T]):
    """Decodes frames that come from elsewhere.

    Args:
        decoder: for the messages that may come.
    """

    def __init__(self, decoder: msgspec.msgpack.Decoder[T] | msgspec.json.Decoder[T]) -> None:
        self._decode = decoder.decode

    def decode(self, frame: bytes | memoryview) -> T:
        """Decode a frame.

        Raises:
            msgspec.DecodeError: if it is none of the messages, isn't UTF-8 where it should be, or nests
                too deep.
        """
        try:
            return self._decode(frame)
        except (UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise msgspec.DecodeError(str(error)) from None
