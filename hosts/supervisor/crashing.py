"""Dying or standing still on purpose, where the environment says so: how tests put a host's death, or that
of the host on the other side, at any moment of a hand-off.
"""

from __future__ import annotations

import os
import signal
import time

from sojourn.runtime.handoff.crash_points import STOP_VARIABLE, VARIABLE

FLUSH = 0.05
"""Seconds that a message gets to leave before the host dies, or stops, after sending it."""


class CrashPoint:
    """The moments at which this process shall die and at which it shall stop, if any.

    Each part that reaches moments has one of its own; no moment is reached by two of them.
    """

    def __init__(self) -> None:
        self._dies_at = os.environ.get(VARIABLE)
        self._stops_at = os.environ.get(STOP_VARIABLE)

    def is_at(self, name: str) -> bool:
        """Whether this is the moment to die or to stop."""
        return name in (self._dies_at, self._stops_at)

    def reached(self, name: str) -> None:
        """Die or stop here, if this is the moment; it stops once only."""
        if not self.is_at(name):
            return
        if ".after-send-" in name:
            time.sleep(FLUSH)
        if name == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._stops_at = None
        os.kill(os.getpid(), signal.SIGSTOP)
