"""What a peer may send: sizes, and how often it may be refused before it isn't listened to."""

from __future__ import annotations

from collections import deque

LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes of a frame: far above a hand-off's chunk, since relayed commands and answers travel whole."""

FRAMES_PER_ROUND = 256
REFUSALS = 20
WINDOW = 10.0
SILENCE = 30.0

REPEAT_AFTER = 60.0
"""Seconds until the same refusal of a stranger is told again."""

STRANGERS_TOLD = 50
"""Lines of the log that all strangers together get in ``REPEAT_AFTER`` seconds."""

STRANGERS = 1000
"""How many strangers are told apart; anyone can make up keys."""


class Refusals:
    """Counts refused messages per peer.

    After ``REFUSALS`` within ``WINDOW`` seconds a peer isn't listened to for ``SILENCE`` seconds.
    """

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._silenced: dict[str, float] = {}
        self.total = 0

    def refused(self, peer: str, now: float) -> bool:
        """Count one; tell whether the peer falls silent by it. ``now`` is monotonic seconds."""
        self.total += 1
        times = self._times.setdefault(peer, deque(maxlen=REFUSALS))
        times.append(now)
        if len(times) < REFUSALS or now - times[0] > WINDOW:
            return False
        self._silenced[peer] = now + SILENCE
        times.clear()
        return True

    def silenced(self, peer: str, now: float) -> bool:
        """Tell whether a peer isn't listened to now."""
        return self._silenced.get(peer, 0.0) > now


class Strangers:
    """Keeps a log readable while a stranger knocks several times a second."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._since = float("-inf")
        self._lines = 0

    def knocked(self, who: str, now: float) -> str | None:
        """Give what to log of a refused stranger; None while it was told a short time ago."""
        if now - self._told.get(who, float("-inf")) < REPEAT_AFTER:
            self._untold[who] = self._untold.get(who, 0) + 1
            return None
        if now - self._since >= REPEAT_AFTER:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > STRANGERS_TOLD:
            return None
        more = " (others aren't logged for a while)" if self._lines == STRANGERS_TOLD else ""
        if who not in self._told and len(self._told) >= STRANGERS:
            oldest = next(iter(self._told))
            del self._told[oldest]
            self._untold.pop(oldest, None)
        self._told.pop(who, None)
        self._told[who] = now
        untold = self._untold.pop(who, 0)
        again = f" ({untold} more times since the last line)" if untold else ""
        return f"{who}{again}{more}"
