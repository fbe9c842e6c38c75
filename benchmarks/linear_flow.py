"""The flow of ``turns.py``: a source, then three routines in a line that do next to nothing."""

from __future__ import annotations

from sojourn import Flow, Routine


class Source(Routine):
    def process(self, n: int) -> None:
        for i in range(n):
            self.emit("output", i=i)


class Step(Routine):
    def process(self, i: int) -> None:
        self.emit("output", i=i + 1)


flow = Flow("linear")
flow.add_routine(Source(), "source")
for name in ("one", "two", "three"):
    flow.add_routine(Step(), name)
flow.connect("source", "output", "one", "input")
flow.connect("one", "output", "two", "input")
flow.connect("two", "output", "three", "input")
