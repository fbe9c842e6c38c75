"""Jobs that wait for a retry that is far away, with some state or much."""

from __future__ import annotations

import os

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

FAR = ErrorHandler(
    strategy=ErrorStrategy.RETRY, max_retries=9, retry_delay=86_400.0, max_delay=86_400.0, jitter=0.0
)


class Waiting(Routine):
    def __init__(self) -> None:
        self.seen = 0

    def process(self, i: int = 0) -> None:
        raise ConnectionError("not yet")


class Holder(Routine):
    """Keeps parts, each a large value of its own, as attributes."""

    def process(self, parts: int, size: int) -> None:
        for number in range(parts):
            setattr(self, f"part_{number}", os.urandom(size))
        self.emit("output", i=parts)


def alone(name: str) -> Flow:
    """Make a flow of one routine that waits."""
    made = Flow(name)
    made.add_routine(Waiting(), "wait", error_handler=FAR)
    return made


small = alone("waiting")

large = Flow("holding")
large.add_routine(Holder(), "holder")
large.add_routine(Waiting(), "wait", error_handler=FAR)
large.connect("holder", "output", "wait", "input")


def __getattr__(name: str) -> Flow:
    """Make ``small_NUMBER`` when it is asked for."""
    kind, _, number = name.partition("_")
    if kind != "small" or not number.isdigit():
        raise AttributeError(name)
    globals()[name] = made = alone(name)
    return made
