"""Work that goes on for a while: queues with retries, in order, in parallel, and long turns."""

from __future__ import annotations

import os
import time
from pathlib import Path

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, slot

RETRIES = 1000
"""More than any run needs: processes that are killed cost attempts, too."""


def retry(delay: float) -> ErrorHandler:
    """Retry after a delay that stays the same but for its jitter."""
    return ErrorHandler(
        strategy=ErrorStrategy.RETRY, max_retries=RETRIES, retry_delay=delay, retry_backoff=1.0,
        jitter=0.2,
    )


class Fan(Routine):
    """Begins all the work; a job that is gated doesn't end before it is told to."""

    def process(self, n: int, gated: bool = False) -> None:
        note(self, "fan")
        for i in range(n):
            self.emit("output", i=i)
        if gated:
            self.ask("end now?", slot="gate")

    @slot
    def gate(self, end: bool) -> None:
        note(self, "gate")


class Flaky(Routine):
    """Every third message fails at its first two attempts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.handled = 0

    def process(self, i: int) -> None:
        note(self, f"work {i}")
        time.sleep(self.seconds)
        self.handled += 1
        self.shared.add("tried", 1)
        if i % 3 == 0 and self.attempt <= 2:
            raise ValueError(f"message {i}, attempt {self.attempt}")
        self.emit("output", i=i)


class Parallel(Routine):
    """Every fifth message fails once; several run at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def process(self, i: int) -> None:
        note(self, f"work {i}")
        time.sleep(self.seconds)
        self.shared.add("done", 1)
        if i % 5 == 0 and self.attempt == 1:
            raise ValueError(f"message {i}")
        self.emit("output", i=i)


class Steps(Routine):
    """Long turns that can go on elsewhere at each of their checkpoints."""

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps = steps
        self.seconds = seconds

    def process(self, i: int) -> None:
        note(self, f"work {i}")
        for step in range(self.progress.get("next", 0), self.steps):
            time.sleep(self.seconds)
            self.shared.add("steps", 1)
            self.progress["next"] = step + 1
            self.checkpoint()
        self.emit("output", i=i)


class Collect(Routine):
    def __init__(self) -> None:
        self.got: list[int] = []

    def process(self, i: int) -> None:
        note(self, f"collect {i}")
        self.got.append(i)

    @slot
    def idle(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(got=self.got, shared=dict(self.shared.items()))


class Heavy(Routine):
    """Holds so much that a move takes a while, until it is told to end."""

    def __init__(self) -> None:
        self.load = ""

    def process(self, size: int) -> None:
        note(self, "heavy")
        self.load = os.urandom(size // 2).hex()
        self.ask("end now?", slot="gate")

    @slot
    def gate(self, end: bool) -> None:
        note(self, "gate")
        self.set_result(size=len(self.load))


class Held(Routine):
    """A turn that lasts until a file is there."""

    def process(self, flag: str) -> None:
        note(self, "held")
        while not Path(flag).exists():
            time.sleep(0.01)


def loaded(
    flow_id: str, worker: Routine, delay: float, *, processes: int = 1, parallel: bool = False,
    ordered: bool = False,
) -> Flow:
    """Fan out, work, collect."""
    flow = Flow(flow_id)
    flow.add_routine(Fan(), "fan", error_handler=retry(delay))
    flow.add_routine(
        worker, "work", error_handler=retry(delay), processes=processes, parallel=parallel,
        ordered=ordered,
    )
    flow.add_routine(Collect(), "collect", error_handler=retry(delay))
    flow.connect("fan", "output", "work", "input")
    flow.connect("work", "output", "collect", "input")
    flow.when_idle("collect", "idle")
    return flow


flaky = loaded("flaky", Flaky(0.04), 0.15)
in_order = loaded("in_order", Flaky(0.04), 0.1, ordered=True)
side_by_side = loaded("side_by_side", Parallel(0.07), 0.1, processes=2, parallel=True)
long_turns = loaded("long_turns", Steps(8, 0.06), 0.1)

heavy = Flow("heavy")
heavy.add_routine(Heavy(), "heavy", error_handler=retry(1.0))

held = Flow("held")
held.add_routine(Held(), "held", error_handler=retry(0.1))
