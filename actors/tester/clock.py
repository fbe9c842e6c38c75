"""Virtual time: the tester's clock, and Python's ``time`` module while a handler runs.

Only the module's functions are exchanged, only while a handler runs and only for its thread;
``datetime.now()`` and what was imported by name (``from time import sleep``) stay what they are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from sojourn.runtime.engine.inputs import Now

BOOTED = 1.0
"""What the monotonic clock of every host shows at its start, in seconds."""

_READINGS = ("monotonic", "perf_counter", "time")


class VirtualClock:
    """Both clocks of the host that has the job; nothing moves them but calls.

    Args:
        wall: seconds since the epoch at the begin.
    """

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.monotonic = BOOTED
        self.elapsed = 0.0
        """Seconds since the begin, over all hosts."""

    def now(self) -> Now:
        """Read both clocks."""
        return Now(self.wall, self.monotonic)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.monotonic += seconds
        self.elapsed += seconds

    def jump(self, due: float) -> None:
        """Go to a moment of the monotonic clock, unless it is over."""
        if due > self.monotonic:
            self.advance(due - self.monotonic)
            self.monotonic = due

    def until(self, due: float) -> float:
        """Give the moment of a monotonic time in seconds since the begin."""
        return self.elapsed + (due - self.monotonic)

    def another_host(self) -> None:
        """The job is on another host now: monotonic times of the last one mean nothing there."""
        self.monotonic = BOOTED


@contextmanager
def handler_time(clock: VirtualClock, spend: Callable[[float], None]) -> Generator[None]:
    """Let this thread's calls into the ``time`` module see virtual time, until the block ends.

    Readings begin at the virtual clock and go on with the real one; ``time.sleep`` takes no time.

    Args:
        clock: the virtual clock.
        spend: called with the seconds of each ``time.sleep``.
    """
    thread = threading.get_ident()
    real: dict[str, Callable[..., float]] = {name: getattr(time, name) for name in _READINGS}
    real |= {f"{name}_ns": getattr(time, f"{name}_ns") for name in _READINGS}
    real_sleep = time.sleep
    # Monotonic readings only ever gain what was skipped; the wall clock begins where the virtual one is.
    shifts = {"monotonic": 0.0, "perf_counter": 0.0, "time": clock.wall - clock.elapsed - time.time()}

    def seconds(name: str) -> Callable[[], float]:
        def read() -> float:
            if threading.get_ident() != thread:
                return real[name]()
            return real[name]() + shifts[name] + clock.elapsed

        return read

    def nanoseconds(name: str) -> Callable[[], int]:
        def read() -> int:
            if threading.get_ident() != thread:
                return int(real[f"{name}_ns"]())
            return int(real[f"{name}_ns"]()) + round((shifts[name] + clock.elapsed) * 1e9)

        return read

    def sleep(seconds: float, /) -> None:
        if threading.get_ident() != thread:
            real_sleep(seconds)
        elif seconds < 0:
            raise ValueError("sleep length must be non-negative")
        else:
            spend(seconds)

    for name in _READINGS:
        setattr(time, name, seconds(name))
        setattr(time, f"{name}_ns", nanoseconds(name))
    setattr(time, "sleep", sleep)  # noqa: B010 - to type checkers a function of a module is a constant
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(time, name, function)
        setattr(time, "sleep", real_sleep)  # noqa: B010
