"""The clocks and the chance of a host: all that a supervisor gets from outside without a message.

One value, so that a simulation gives it others: the same readings and numbers make the same run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from sojourn.runtime.engine.inputs import Now


def read_clocks() -> Now:
    """Read both clocks of this machine."""
    return Now(time.time(), time.monotonic())


class Nature:
    """Where times and random numbers come from.

    Args:
        clocks: gives both clocks.
        chance: source of ids and jitter; None for the operating system's.
    """

    def __init__(
        self, clocks: Callable[[], Now] = read_clocks, chance: random.Random | None = None
    ) -> None:
        self.clocks = clocks
        self.chance = chance or random.SystemRandom()

    def new_uuid(self) -> str:
        """Make a random UUID."""
        value = self.chance.getrandbits(128)
        return _text(value & ~(0xF000 << 64 | 0b11 << 62) | 0x4000 << 64 | 0b10 << 62)

    def new_id(self) -> str:
        """Make a UUIDv7: time-ordered, so that ids sort by age (RFC 9562)."""
        milliseconds = int(self.clocks().wall * 1000)
        tail = self.chance.getrandbits(74)
        value = milliseconds << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
        return _text(value)


def _text(value: int) -> str:
    """Write 128 bits as a UUID is written; several times quicker than by way of ``uuid.UUID``."""
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
