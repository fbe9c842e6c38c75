"""LongRunning → Failing → Success: a step fails, is retried, moves to another host, fails on there.

Every routine appends what it does to a side-effect file, so that what happened can be checked against
what the job documents say.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from sojourn.actors.errors_handling import ErrorHandler, ErrorStrategy
from sojourn.actors.flow import Flow
from sojourn.actors.routine import Routine

EFFECTS = "SOJOURN_DEMO_EFFECTS"
"""Environment variable that names the side-effect file."""

HOST = "SOJOURN_DEMO_HOST"
"""Environment variable that names the host for it."""


def note(routine: Routine, what: str) -> None:
    """Append a line to the side-effect file, if there is one."""
    path = os.environ.get(EFFECTS)
    if path is not None:
        line = f"{os.environ.get(HOST, '?')} {what} {routine.turn_id} {routine.attempt}\n"
        with Path(path).open("a") as file:
            file.write(line)


class LongRunning(Routine):
    """Takes its time, then passes its data on."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def process(self, data: str = "some data") -> None:
        """Work, then emit."""
        note(self, "long_running")
        time.sleep(self.seconds)
        self.emit("output", data=data)


class Failing(Routine):
    """Fails after a delay, until the attempt that heals it (0: never)."""

    keep_state_on_failure = True

    def __init__(self, delay: float = 0.1, heals_at: int = 0) -> None:
        self.delay = delay
        self.heals_at = heals_at
        self.attempt_count = 0

    def process(self, data: str) -> None:
        """Count, wait, fail."""
        note(self, "failing")
        self.attempt_count += 1
        time.sleep(self.delay)
        if self.attempt != self.heals_at:
            raise ValueError(f"Simulated failure on attempt {self.attempt_count}")
        self.emit("output", data=data)


class Success(Routine):
    """Reached only if the failing step ever succeeds."""

    def process(self, data: str) -> None:
        """Say so."""
        note(self, "success")
        self.set_result(reached=True, data=data)


def build(flow_id: str, heals_at: int) -> Flow:
    """Put the three together.

    Args:
        flow_id: the flow's name.
        heals_at: attempt at which the failing step succeeds; 0 for never.
    """
    flow = Flow(flow_id)
    flow.add_routine(LongRunning(), "long_running")
    flow.add_routine(
        Failing(heals_at=heals_at),
        "failing",
        error_handler=ErrorHandler(
            strategy=ErrorStrategy.RETRY,
            max_retries=4,
            retry_delay=0.3,
            retry_backoff=1.5,
            retryable_exceptions=(ValueError,),
        ),
    )
    flow.add_routine(Success(), "success")
    flow.connect("long_running", "output", "failing", "input")
    flow.connect("failing", "output", "success", "input")
    return flow


hello = Flow("hello")
hello.add_routine(Success(), "success")

failing = build("retry_demo", heals_at=0)
healing = build("retry_demo_healing", heals_at=4)
