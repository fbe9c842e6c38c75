"""How one write changes a key of a job's shared map, on encoded bytes.

The same function runs in actor processes (for a turn's own view) and in the engine (in commit order),
so that both come to the same value. Plain MessagePack is looked into, no class is.
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.wire.actor import SharedKind
from sojourn.runtime.wire.decoding import FrameDecoder

_NUMBER = FrameDecoder(msgspec.msgpack.Decoder(int | float))
_LIST = FrameDecoder(msgspec.msgpack.Decoder(list[msgspec.Raw]))


def merge(current: bytes | None, kind: SharedKind, operand: bytes) -> bytes | None:
    """Give what a key holds after a write.

    Args:
        current: what it held, encoded; None for nothing.
        kind: which write.
        operand: its encoded operand (ignored by DELETE).

    Returns:
        The new encoded value; None where the key is gone.

    Raises:
        ValueMalformed: if ``add`` meets something that is no number, or ``append`` no list.
    """
    if kind is SharedKind.SET:
        return operand
    if kind is SharedKind.DELETE:
        return None
    try:
        if kind is SharedKind.ADD:
            added = _NUMBER.decode(operand)
            return msgspec.msgpack.encode(
                added if current is None else _NUMBER.decode(current) + added
            )
        items = [] if current is None else _LIST.decode(current)
        return msgspec.msgpack.encode([*items, msgspec.Raw(operand)])
    except (msgspec.DecodeError, OverflowError) as error:
        verb = "add" if kind is SharedKind.ADD else "append"
        raise ValueMalformed(f"`{verb}` doesn't fit what the key holds: {error}") from None
