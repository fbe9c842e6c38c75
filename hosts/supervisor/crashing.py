"""Dying on purpose, where ``SOJOURN_CRASH_POINT`` says so: how tests put a host's death anywhere."""

from __future__ import annotations

import os
import signal
import time

from sojourn.runtime.handoff.crash_points import VARIABLE

FLUSH = 0.05
"""Seconds that a message gets to leave before the host dies after sending it."""


class CrashPoint:
    """The one moment at which this process shall die, if any."""

    def __init__(self) -> None:
        self._name = os.environ.get(VARIABLE)

    def reached(self, name: str) -> None:
        """Die here, if this is the moment."""
        if name == self._name:
            if ".after-send-" in name:
                time.sleep(FLUSH)
            os.kill(os.getpid(), signal.SIGKILL)
