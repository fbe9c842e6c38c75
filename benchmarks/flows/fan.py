"""One message becomes many, handled side by side, and one again once all are."""

from __future__ import annotations

import os

from sojourn import Flow, Routine, slot


class Fan(Routine):
    def process(self, n: int) -> None:
        for i in range(n):
            self.emit("output", i=i)


class Work(Routine):
    def process(self, i: int) -> None: ...


class Gather(Routine):
    @slot
    def done(self, succeeded: int, skipped: int, failed: int) -> None:
        self.set_result(succeeded=succeeded)


flow = Flow("fan")
flow.add_routine(Fan(), "fan")
flow.add_routine(Work(), "work", parallel=True, processes=len(os.sched_getaffinity(0)))
flow.add_routine(Gather(), "gather")
flow.connect("fan", "output", "work", "input")
flow.when_idle("gather", "done")
