"""The clocks and the chance of a host: all that a supervisor gets from outside without a message.

One value, so that a simulation gives it others: the same readings and numbers make the same run.
"""

from __future__ import annotations

import random
import time
import uuid
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
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def new_id(self) -> str:
        """Make a UUIDv7: time-ordered, so that ids sort by age (RFC 9562)."""
        milliseconds = int(self.clocks().wall * 1000)
        tail = self.chance.getrandbits(74)
        value = milliseconds << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
        return str(uuid.UUID(int=value))
