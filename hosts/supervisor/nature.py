"""The clocks and the chance of a host, and work beside its rounds: all that it gets without a message.

One value, so that a simulation gives it others: the same readings and numbers make the same run.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from sojourn.runtime.engine.inputs import Now

Work = Callable[[], object]
IsOver = Callable[[], bool]
"""Says whether work that was begun has ended."""

_VARIANT = {f"{digit:x}": "89ab"[digit % 4] for digit in range(16)}
"""What a random digit becomes where a UUID says of which kind it is: two of its bits stay random."""


def read_clocks() -> Now:
    """Read both clocks of this machine."""
    return Now(time.time(), time.monotonic())


def work_beside(work: Work) -> IsOver:
    """Let a thread of its own do something that takes its time and touches nothing of a round."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return lambda: not thread.is_alive()


class Nature:
    """Where times and random numbers come from, and what takes its time.

    Args:
        clocks: gives both clocks.
        chance: source of ids and jitter; None for the operating system's.
        beside: begins work beside the rounds.
    """

    def __init__(
        self, clocks: Callable[[], Now] = read_clocks, chance: random.Random | None = None,
        beside: Callable[[Work], IsOver] = work_beside,
    ) -> None:
        self.clocks = clocks
        self.beside = beside
        self.chance = chance or random.SystemRandom()

    def new_uuid(self) -> str:
        """Make a random UUID."""
        digits = self._digits(1)[0]
        return f"{digits[:8]}-{digits[8:12]}-4{_last(digits)}"

    def new_id(self) -> str:
        """Make a UUIDv7: time-ordered, so that ids sort by age (RFC 9562)."""
        return self.new_ids(1)[0]

    def new_ids(self, count: int) -> list[str]:
        """Make UUIDv7s of one moment, sorted: a store's index takes them in one place."""
        moment = f"{int(self.clocks().wall * 1000):012x}"
        begin = f"{moment[:8]}-{moment[8:12]}-7"
        return sorted(
            begin + _last(digits) for digits in self._digits(count)
        )

    def _digits(self, count: int) -> list[str]:
        """Give random numbers of 128 bits, in hexadecimal; asking for many at once is far quicker."""
        if not count:
            return []
        digits = f"{self.chance.getrandbits(128 * count):0{32 * count}x}"
        return [digits[start : start + 32] for start in range(0, 32 * count, 32)]


def _last(digits: str) -> str:
    """Write what follows the digit of a UUID that says which version it is of."""
    return f"{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
