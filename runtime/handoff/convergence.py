"""When a running job is copied enough to be frozen: the rule of the pre-copy, from measured figures.

Each pass sends what changed during the one before, so what is left shrinks as long as the link is faster
than the job (Clark et al., "Live Migration of Virtual Machines", NSDI 2005, section 3). Pure.
"""

from __future__ import annotations

from enum import Enum

import msgspec

SMALL = 64 * 1024
"""Bytes of change that are frozen for without further ado, where no bound was asked for."""

PASSES = 12
"""Passes after which an unbounded pre-copy stops trying to get smaller."""

BOUNDED_PASSES = 40
STALLED_PASSES = 5
"""Passes in a row that may fail to shrink what is left, before it is taken not to converge."""

SHRINKS = 0.9
OVERHEAD_S = 0.003
"""Seconds of a freeze beside the copy: three commits and the hand-over of processes."""


class Verdict(Enum):
    """What to do after a pass."""

    AGAIN = "again"
    FREEZE = "freeze"
    GIVE_UP = "give up"


class Convergence:
    """The passes of one pre-copy.

    Args:
        max_downtime: seconds that the job may be frozen for; None for no bound.
    """

    def __init__(self, max_downtime: float | None) -> None:
        self._bound = max_downtime
        self._passes = 0
        self._stalled = 0
        self._least: int | None = None
        self.estimate = 0.0
        """Seconds of downtime that the last pass promised."""

    def passed(self, left: int, rate: float, round_trip: float) -> Verdict:
        """Judge after a pass.

        Args:
            left: bytes that changed meanwhile.
            rate: bytes per second that went over so far.
            round_trip: seconds from a chunk to its acknowledgement.
        """
        self._passes += 1
        shrank = self._least is None or left < SHRINKS * self._least
        self._stalled = 0 if shrank else self._stalled + 1
        self._least = left if self._least is None else min(left, self._least)
        self.estimate = OVERHEAD_S + 2 * round_trip + left / max(rate, 1.0)
        if self._bound is not None:
            if self.estimate <= self._bound:
                return Verdict.FREEZE
            hopeless = self._stalled >= STALLED_PASSES or self._passes >= BOUNDED_PASSES
            return Verdict.GIVE_UP if hopeless else Verdict.AGAIN
        done = left <= SMALL or self._passes >= PASSES or self._stalled >= 2
        return Verdict.FREEZE if done else Verdict.AGAIN


class CopyFigures(msgspec.Struct):
    """What a pre-copy measures of its link.

    Attributes:
        started: monotonic seconds at which the first chunk went.
        round_trip: least seconds from a chunk to its acknowledgement; 0.0 before the first.
    """

    started: float | None = None
    round_trip: float = 0.0
    _asked: float | None = None

    def sent(self, now: float) -> None:
        """Chunks go out."""
        if self.started is None:
            self.started = now
        if self._asked is None:
            self._asked = now

    def acked(self, now: float) -> None:
        """Some are acknowledged."""
        if self._asked is not None:
            took = now - self._asked
            self.round_trip = took if self.round_trip == 0.0 else min(self.round_trip, took)
            self._asked = None

    def rate(self, acked: int, now: float) -> float:
        """Give bytes per second so far; a link that carried next to nothing is taken to be fast."""
        if self.started is None or acked < SMALL:
            return 100e6
        return acked / max(now - self.started, 1e-6)
