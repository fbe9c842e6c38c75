"""Long turns at the moment of a move: that end by themselves, at a checkpoint, or not at all."""

from __future__ import annotations

import time
from pathlib import Path

from effects import note

from sojourn import Flow, Routine, slot


class Holding(Routine):
    """Saves some steps at once, then is held by a file: it looks at no hand-off meanwhile."""

    def process(self, hold: str, saves: int = 2) -> None:
        note(self, "begin")
        try:
            for step in range(self.progress.get("saved", 0), saves):
                self.progress["saved"] = step + 1
                self.emit("output", step=step)
                self.checkpoint()
            note(self, "held")
            while Path(hold).exists():
                time.sleep(0.01)
            self.emit("output", step=saves)
        finally:
            note(self, "finally")


class Saving(Holding):
    """Checkpoints as long as the file is there."""

    def process(self, hold: str, saves: int = 2) -> None:
        note(self, "begin")
        try:
            while Path(hold).exists():
                self.progress["rounds"] = self.progress.get("rounds", 0) + 1
                self.checkpoint()
                time.sleep(0.01)
            self.emit("output", step=0)
        finally:
            note(self, "finally")


class Gather(Routine):
    def __init__(self) -> None:
        self.got: list[int] = []

    def process(self, step: int) -> None:
        self.got.append(step)

    @slot
    def idle(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(got=self.got)


def made(flow_id: str, routine: Routine, grace: float | None = None) -> Flow:
    """A long turn and what gathers its steps."""
    flow = Flow(flow_id)
    flow.add_routine(routine, "long", grace=grace)
    flow.add_routine(Gather(), "gather")
    flow.connect("long", "output", "gather", "input")
    flow.when_idle("gather", "idle")
    return flow


holding = made("holding", Holding())
impatient = made("impatient", Holding(), grace=0.5)
saving = made("saving", Saving())
