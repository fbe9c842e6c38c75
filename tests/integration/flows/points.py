"""Commit points: what failures take back, what checkpoints keep; questions."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, slot

retry = ErrorHandler(strategy=ErrorStrategy.RETRY, max_retries=5, retry_delay=0.1, retry_backoff=1.0)


class Messy(Routine):
    """Changes everything, then fails; succeeds at the second attempt without touching a thing."""

    def __init__(self) -> None:
        self.kept = ["begin"]

    def process(self) -> None:
        if self.attempt == 1:
            self.kept.append("dirty")
            self.extra = "dirty"
            self.shared["dirty"] = True
            self.shared.add("count", 5)
            self.emit("output", i=-1)
            self.set_result(dirty=True, leaked=True)
            self.ask("should never be asked", slot="answer")
            self.progress["attempts"] = 1
            raise ValueError("after all that")
        self.set_result(
            kept=self.kept, extra=hasattr(self, "extra"), dirty="dirty" in self.shared,
            count=self.shared.get("count", 0), progress=dict(self.progress),
        )

    @slot
    def answer(self, **data: object) -> None:
        raise AssertionError("the question went back with the attempt that asked it")


class MessyLater(Routine):
    """The same after a checkpoint, to which everything goes back."""

    def __init__(self) -> None:
        self.kept = ["begin"]

    def process(self, way: str) -> None:
        if self.attempt == 1:
            self._change("kept", 1)
            self.checkpoint()
            self._change("dirty", 2)
            if way == "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("after all that")
        self.set_result(kept=self.kept, progress=dict(self.progress))

    def _change(self, what: str, i: int) -> None:
        self.kept.append(what)
        self.shared[what] = True
        self.shared.add("count", 1)
        self.emit("output", i=i)
        self.progress[what] = True


class Keeping(Routine):
    keep_state_on_failure = True

    def __init__(self) -> None:
        self.tries = 0

    def process(self) -> None:
        self.tries += 1
        if self.attempt < 3:
            raise ValueError("again")
        self.set_result(tries=self.tries)


class Batches(Routine):
    """Emits in batches with a checkpoint after each; dies in between, once per way of dying."""

    def process(self, n: int, way: str, marker: str) -> None:
        note(self, "batches")
        start = self.progress.get("next", 0)
        for i in range(start, n):
            self.emit("output", i=i)
            self.progress["next"] = i + 1
            self.checkpoint()
            if i == n // 2 and not Path(marker).exists():
                Path(marker).write_text("died")
                if way == "fail":
                    raise ValueError("half-way")
                if way == "crash":
                    os.kill(os.getpid(), signal.SIGKILL)


class Sink(Routine):
    def __init__(self) -> None:
        self.got: list[int] = []

    def process(self, i: int) -> None:
        note(self, f"sink {i}")
        self.got.append(i)

    @slot
    def idle(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(got=self.got)


class Stepper(Routine):
    """A long turn that can go on elsewhere at any of its checkpoints."""

    def process(self, n: int, seconds: float = 0.05) -> None:
        note(self, "stepper")
        for i in range(self.progress.get("next", 0), n):
            time.sleep(seconds)
            self.emit("output", i=i)
            self.progress["next"] = i + 1
            self.checkpoint()


class Asking(Routine):
    def process(self, timeout: float | None = None) -> None:
        note(self, "asking")
        self.ask("go on?", slot="answer", timeout=timeout)

    @slot
    def answer(self, approved: bool = False, timed_out: bool = False) -> None:
        note(self, "answer")
        self.set_result(approved=approved, timed_out=timed_out)


class Talking(Routine):
    """Prints, logs, lets a child process print; fails first."""

    def process(self) -> None:
        print(f"attempt {self.attempt}")
        self.log.warning("logged", attempt=self.attempt)
        subprocess.run(["echo", "from a child"], check=True)
        if self.attempt == 1:
            raise ValueError("first")


talking = Flow("talking")
talking.add_routine(Talking(), "talking", error_handler=retry)

talking_slowly = Flow("talking_slowly")
talking_slowly.add_routine(Talking(), "talking", error_handler=ErrorHandler(
    strategy=ErrorStrategy.RETRY, retry_delay=1.5
))

messy = Flow("messy")
messy.add_routine(Messy(), "messy", error_handler=retry)
messy.add_routine(Sink(), "sink")
messy.connect("messy", "output", "sink", "input")

messy_later = Flow("messy_later")
messy_later.add_routine(MessyLater(), "messy", error_handler=retry)
messy_later.add_routine(Sink(), "sink")
messy_later.connect("messy", "output", "sink", "input")

keeping = Flow("keeping_state")
keeping.add_routine(Keeping(), "keeping", error_handler=retry)


def into_sink(flow_id: str, routine: Routine) -> Flow:
    """One routine and where its emissions go."""
    flow = Flow(flow_id)
    flow.add_routine(routine, "source", error_handler=retry)
    flow.add_routine(Sink(), "sink")
    flow.connect("source", "output", "sink", "input")
    flow.when_idle("sink", "idle")
    return flow


batches = into_sink("batches", Batches())
stepper = into_sink("stepper", Stepper())

asking = Flow("asking")
asking.add_routine(Asking(), "asking")
