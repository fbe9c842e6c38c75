"""Records as the store holds them: one value, encoded. What damage does to them is one error."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from sojourn.runtime.wire.decoding import FrameDecoder

Record = TypeVar("Record")


def decode_record(kind: type[Record], data: object) -> Record:
    """Read a record.

    Raises:
        msgspec.DecodeError: if it is damaged.
    """
    found: Record = _decoder(cast("Hashable", kind)).decode(data if isinstance(data, bytes) else b"")
    return found


@cache
def _decoder(kind: Hashable) -> FrameDecoder[Any]:
    """Give the decoder of a kind: making one takes longer than reading a hundred records with it."""
    return FrameDecoder(msgspec.msgpack.Decoder(kind))
