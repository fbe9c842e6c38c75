"""A step that always fails, one that heals, and what comes after them."""

from __future__ import annotations

import time

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine


class Start(Routine):
    def process(self, **data: object) -> None:
        note(self, "start")
        self.emit("output", **data)


class Failing(Routine):
    """Fails until an attempt number, 0 for always."""

    keep_state_on_failure = True

    def __init__(self, heals_at: int = 0, takes: float = 0.0) -> None:
        self.heals_at = heals_at
        self.takes = takes
        self.tried = 0

    def process(self, **data: object) -> None:
        note(self, "failing")
        self.tried += 1
        time.sleep(self.takes)
        if self.attempt != self.heals_at:
            raise ValueError(f"attempt {self.attempt}")
        self.emit("output", **data)


class After(Routine):
    def __init__(self, name: str = "after") -> None:
        self.name = name

    def process(self, **data: object) -> None:
        note(self, self.name)
        self.set_result(reached=True)


def build(
    flow_id: str, delay: float, heals_at: int = 0, takes: float = 0.0, backoff: float = 1.5
) -> Flow:
    """Start, fail with four retries, go on."""
    flow = Flow(flow_id)
    flow.add_routine(Start(), "start")
    flow.add_routine(
        Failing(heals_at, takes), "failing",
        error_handler=ErrorHandler(
            strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=delay, retry_backoff=backoff,
            max_delay=3600.0, retryable_exceptions=(ValueError,),
        ),
    )
    flow.add_routine(After(), "after")
    flow.connect("start", "output", "failing", "input")
    flow.connect("failing", "output", "after", "input")
    return flow


quick = build("quick", 0.3)
healing = build("healing", 0.3, heals_at=4)
healing_later = build("healing_later", 4.0, heals_at=2)
crossing = build("crossing", 0.1, heals_at=4, backoff=4.5)
"""Fails three times at once and then waits for two seconds: time enough for a move to begin."""
slow_backoff = build("slow_backoff", 3.0)
long_backoff = build("long_backoff", 6.0)
"""Time enough for a supervisor to die and to be started on a busy machine."""
healing_late = build("healing_late", 6.0, heals_at=2)
endless = build("endless", 3600.0)
"""Never gets to its second attempt."""
unhurried = build("unhurried", 0.8, backoff=1.2)
"""Like quick, with time to move it after the second attempt."""

lookalikes = Flow("lookalikes")
"""Two paths, each through a failing step, in which every slot is ``input`` and every event ``output``."""
lookalikes.add_routine(Start(), "start")
for path in ("left", "right"):
    lookalikes.add_routine(
        Failing(heals_at=4), path,
        error_handler=ErrorHandler(
            strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=0.5, retry_backoff=1.2
        ),
    )
    lookalikes.add_routine(After(f"after {path}"), f"after_{path}")
    lookalikes.connect("start", "output", path, "input")
    lookalikes.connect(path, "output", f"after_{path}", "input")
long_turns = build("long_turns", 0.1, heals_at=3, takes=1.5)
