"""Learning that the wall clock was set, without looking at it again and again: timerfd_create(2).

Tells that it was set, and nothing of what follows from that.
"""

from __future__ import annotations

import ctypes
import os
import sys

CLOCK_REALTIME = 0
ABSOLUTE = 1
CANCEL_ON_SET = 2
NEVER = (1 << 62) // 1_000_000_000
"""Seconds since the epoch at which the timer would end by itself."""


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class ClockWatch:
    """A descriptor that becomes readable when the wall clock is set.

    Attributes:
        descriptor: it; -1 where this system has no such thing.
    """

    def __init__(self) -> None:
        self.descriptor = _open() if sys.platform == "linux" else -1

    def close(self) -> None:
        """Let it go."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _open() -> int:
    """Open a timer that ends when the clock is set; -1 where the kernel doesn't offer that."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    descriptor: int = libc.timerfd_create(CLOCK_REALTIME, flags)
    if descriptor < 0:
        return -1
    timer = _Timer(_Time(0, 0), _Time(NEVER, 0))
    if libc.timerfd_settime(descriptor, ABSOLUTE | CANCEL_ON_SET, ctypes.byref(timer), None) < 0:
        os.close(descriptor)
        return -1
    return descriptor
