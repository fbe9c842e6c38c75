"""Queues: many messages, parallel turns, budgets per message, jobs side by side."""

from __future__ import annotations

import time

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, slot


class Fan(Routine):
    def process(self, n: int = 0, **data: object) -> None:
        for i in range(n):
            self.emit("output", i=i, **data)


class Slow(Routine):
    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.seen: list[int] = []

    def process(self, i: int) -> None:
        note(self, f"slow {i}")
        time.sleep(self.seconds)
        self.seen.append(i)
        self.emit("output", i=i)


class Parallel(Routine):
    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds

    def process(self, i: int) -> None:
        note(self, f"parallel {i}")
        time.sleep(self.seconds)
        self.shared.add("done", 1)
        self.emit("output", i=i)


class Collect(Routine):
    def __init__(self) -> None:
        self.got: list[int] = []

    def process(self, i: int) -> None:
        self.got.append(i)

    @slot
    def idle(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(got=self.got, succeeded=succeeded, skipped=skipped, failed=failed)


def queue(flow_id: str, worker: Routine, **options: object) -> Flow:
    """Fan out, work, collect."""
    flow = Flow(flow_id)
    flow.add_routine(Fan(), "fan")
    flow.add_routine(worker, "work", **options)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    flow.add_routine(Collect(), "collect")
    flow.connect("fan", "output", "work", "input")
    flow.connect("work", "output", "collect", "input")
    flow.when_idle("collect", "idle")
    return flow


class Needy(Routine):
    """Every message needs two retries; what succeeds is counted per job."""

    def __init__(self) -> None:
        self.tries = 0

    def process(self, i: int, job: str = "job") -> None:
        note(self, f"needy {i}")
        self.tries += 1
        if self.attempt <= 2:
            raise ValueError(f"message {i}, attempt {self.attempt}")
        self.shared.add(job, 1)
        self.emit("output", i=i)


class Moody(Routine):
    """Fails for good where told to; else works."""

    def process(self, i: int, fatal: int = -1, seconds: float = 0.02) -> None:
        note(self, f"moody {i}")
        time.sleep(seconds)
        if i == fatal:
            raise RuntimeError("told to")
        self.emit("output", i=i)


slow = queue("slow", Slow())
parallel = queue("parallel", Parallel(0.05), processes=4, parallel=True)
parallel_single = queue("parallel_single", Parallel(0.05), processes=1, parallel=True)
needy = queue("needy", Needy(), error_handler=ErrorHandler(
    strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=0.05, retry_backoff=1.0
))
moody = queue("moody", Moody())
