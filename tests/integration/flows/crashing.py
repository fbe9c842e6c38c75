"""Routines whose processes die, hang, or don't start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

retry = ErrorHandler(strategy=ErrorStrategy.RETRY, max_retries=3, retry_delay=0.05, retry_backoff=1.0)


class Fan(Routine):
    def process(self, n: int = 0, **data: object) -> None:
        for i in range(n):
            self.emit("output", i=i, **data)


class Dying(Routine):
    """Kills its own process at one message's first attempt."""

    def __init__(self) -> None:
        self.done = 0

    def process(self, i: int, dies_at: int = -1) -> None:
        note(self, f"dying {i}")
        if i == dies_at and self.attempt == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        self.done += 1


class Waiting(Routine):
    """Turns of microseconds, but for a first attempt that meets the file ``hold``: it waits as long as that
    exists.
    """

    def __init__(self) -> None:
        self.done = 0

    def process(self, i: int, hold: str = "") -> None:
        if hold and self.attempt == 1 and Path(hold).exists():
            note(self, "waiting")
            while Path(hold).exists():
                time.sleep(0.01)
        self.done += 1


class Hanging(Routine):
    def process(self, hangs: int = 1) -> None:
        note(self, "hanging")
        if self.attempt <= hangs:
            time.sleep(60)
        self.set_result(attempt=self.attempt)


class Parent(Routine):
    """Starts a child process of its own and waits."""

    def process(self, pids: str) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(pids).write_text(f"{os.getpid()} {child.pid}")
        note(self, "parent")
        time.sleep(600)


class Sleeper(Routine):
    def process(self, seconds: float = 1.0) -> None:
        note(self, "sleeper")
        time.sleep(seconds)
        note(self, "slept")
        self.set_result(attempt=self.attempt)


class Hungry(Routine):
    def process(self, size: int) -> None:
        self.set_result(size=len(bytearray(size)))


hungry = Flow("hungry")
hungry.add_routine(Hungry(), "hungry")

dying = Flow("dying")
dying.add_routine(Fan(), "fan")
dying.add_routine(Dying(), "dying", error_handler=retry)
dying.connect("fan", "output", "dying", "input")

waiting = Flow("waiting")
waiting.add_routine(Fan(), "fan")
waiting.add_routine(Waiting(), "waiting", error_handler=retry)
waiting.connect("fan", "output", "waiting", "input")

hanging = Flow("hanging")
hanging.add_routine(Hanging(), "hanging", timeout=0.5, error_handler=retry)

parent = Flow("parent")
parent.add_routine(Parent(), "parent")

sleeper = Flow("sleeper")
sleeper.add_routine(Sleeper(), "sleeper", error_handler=retry)

short_grace = Flow("short_grace")
short_grace.add_routine(Sleeper(), "sleeper", error_handler=retry, grace=0.3)
