"""The world's time and order: a queue of things to come, one source of chance, and the trace of what was.

The same seed gives the same order. Knows nothing of hosts.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

TRACED = 400
"""Events that are kept to be shown."""


class Died(BaseException):
    """A host dies here: no handler of the supervisor may catch it."""


class Violation(AssertionError):
    """Something that must never be was seen."""


class Schedule:
    """Virtual time.

    Args:
        seed: of all chance.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._trace: deque[tuple[float, str, str]] = deque(maxlen=TRACED)
        self._digest = hashlib.blake2b(digest_size=16)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self._count += 1
        heappush(self._queue, (self.now + seconds, self._count, action))

    def step(self) -> bool:
        """Let the next thing happen; False where nothing is to come."""
        if not self._queue:
            return False
        at, _, action = heappop(self._queue)
        self.now = max(self.now, at)
        self.steps += 1
        action()
        return True

    def next_at(self) -> float | None:
        """Give the time of the next thing."""
        return self._queue[0][0] if self._queue else None

    def note(self, who: str, what: str) -> None:
        """Write into the trace."""
        self._trace.append((self.now, who, what))
        self._digest.update(f"{self.now:.6f} {who} {what}\n".encode())

    def digest(self) -> str:
        """Give the digest of everything that was written into the trace."""
        return self._digest.hexdigest()

    def tail(self, lines: int = 60) -> str:
        """Give the end of the trace, for people."""
        last = list(self._trace)[-lines:]
        return "\n".join(f"{at:10.4f} {who:>8}  {what}" for at, who, what in last)

    def draw(self, low: float, high: float) -> float:
        """Draw a number."""
        return low + (high - low) * self.chance.random()

    def happens(self, probability: float) -> bool:
        """Draw whether something happens."""
        return probability > 0 and self.chance.random() < probability
