"""Jobs of one flow, huge and small: as many messages as they say, through two more routines."""

from __future__ import annotations

from sojourn import Flow, Routine

BATCH = 20_000
"""Messages between two checkpoints."""


class Emit(Routine):
    def process(self, n: int) -> None:
        for i in range(n):
            self.emit("output", i=i)
            if i % BATCH == BATCH - 1:
                self.checkpoint()


class Pass(Routine):
    def process(self, i: int) -> None:
        self.emit("output", i=i)


class End(Routine):
    def process(self, i: int) -> None: ...


flow = Flow("fair")
flow.add_routine(Emit(), "emit")
flow.add_routine(Pass(), "pass", grace=0.1)
flow.add_routine(End(), "end", grace=0.1)
flow.connect("emit", "output", "pass", "input")
flow.connect("pass", "output", "end", "input")
