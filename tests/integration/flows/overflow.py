"""A routine that emits more than the next one's mailbox holds; that one waits for a file, then counts."""

from __future__ import annotations

import time
from pathlib import Path

from sojourn import Flow, GiveUp, Routine


class Emit(Routine):
    def process(self, n: int, flag: str) -> None:
        for i in range(n):
            self.emit("output", i=i, flag=flag if i == 0 else "")


class Count(Routine):
    """Takes numbers in order and nothing else."""

    def __init__(self) -> None:
        self.seen = 0

    def process(self, i: int, flag: str) -> None:
        while flag and not Path(flag).exists():
            time.sleep(0.01)
        if i != self.seen:
            raise GiveUp(f"{i} came where {self.seen} was to come")
        self.seen += 1
        self.set_result(seen=self.seen)


flow = Flow("overflow")
flow.add_routine(Emit(), "emit")
flow.add_routine(Count(), "count", grace=0.1)
flow.connect("emit", "output", "count", "input")
