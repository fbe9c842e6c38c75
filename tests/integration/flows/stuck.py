"""Turns that keep the interpreter's lock, and hurried ones."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

retry = ErrorHandler(strategy=ErrorStrategy.RETRY, max_retries=3, retry_delay=0.05, retry_backoff=1.0)


class Holding(Routine):
    """Sleeps in C with the lock held, like a regular expression that backtracks; once per host."""

    def process(self, seconds: int, host: str) -> None:
        note(self, "holding")
        if os.environ["SOJOURN_TEST_HOST"] == host and "been" not in self.shared:
            ctypes.PyDLL(None).sleep(seconds)
        self.set_result(attempt=self.attempt)


class Hurrying(Routine):
    """Keeps whether it was in a hurry at the end of each turn."""

    def __init__(self) -> None:
        self.hurried: list[bool] = []

    def process(self, turns: int, seconds: float) -> None:
        note(self, "hurrying")
        time.sleep(seconds)
        self.hurried.append(self.should_yield)
        if len(self.hurried) < turns:
            self.emit("output", turns=turns, seconds=seconds)
        self.set_result(hurried=self.hurried)


hurrying = Flow("hurrying", entry="hurrying")
hurrying.add_routine(Hurrying(), "hurrying")
hurrying.connect("hurrying", "output", "hurrying", "input")

class Stopping(Routine):
    """One message fails under STOP, another reaches checkpoints until it is told to end."""

    def process(self, i: int, marker: str) -> None:
        note(self, f"stopping {i}")
        if i == 1:
            raise ValueError("stop")
        while not Path(marker).exists():
            time.sleep(0.02)
            self.checkpoint()


class Two(Routine):
    def process(self, marker: str) -> None:
        for i in range(2):
            self.emit("output", i=i, marker=marker)


stopping = Flow("stopping")
stopping.add_routine(Two(), "two")
stopping.add_routine(Stopping(), "stopping", processes=2, parallel=True)
stopping.connect("two", "output", "stopping", "input")

class Timed(Routine):
    """Ends within its timeout, but only just; then a while passes without another message."""

    def process(self) -> None:
        note(self, "timed")
        time.sleep(0.8)
        note(self, "timed out")


timed = Flow("timed")
timed.add_routine(Timed(), "timed", timeout=1.0, error_handler=retry)

holding = Flow("holding")
holding.add_routine(Holding(), "holding", error_handler=retry)
