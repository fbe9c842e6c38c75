"""Records as the store holds them: one value, encoded. What damage does to them is one error."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sojourn.runtime.wire.decoding import FrameDecoder

Record = TypeVar("Record")


def decode_record(kind: type[Record], data: object) -> Record:
    """Read a record.

    Raises:
        msgspec.DecodeError: if it is damaged.
    """
    return FrameDecoder(msgspec.msgpack.Decoder(kind)).decode(data if isinstance(data, bytes) else b"")
