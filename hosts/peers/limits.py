"""What a peer may send: sizes, and how often it may be refused before it isn't listened to."""

from __future__ import annotations

from collections import deque

LARGEST_FRAME = 16 * 1024 * 1024
FRAMES_PER_ROUND = 256
REFUSALS = 20
WINDOW = 10.0
SILENCE = 30.0


class Refusals:
    """Counts refused messages per peer.

    After ``REFUSALS`` within ``WINDOW`` seconds a peer isn't listened to for ``SILENCE`` seconds.
    """

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._silenced: dict[str, float] = {}
        self.total = 0

    def refused(self, peer: str, now: float) -> None:
        """Count one."""
        self.total += 1
        times = self._times.setdefault(peer, deque(maxlen=REFUSALS))
        times.append(now)
        if len(times) == REFUSALS and now - times[0] <= WINDOW:
            self._silenced[peer] = now + SILENCE
            times.clear()

    def silenced(self, peer: str, now: float) -> bool:
        """Tell whether a peer isn't listened to now."""
        return self._silenced.get(peer, 0.0) > now
