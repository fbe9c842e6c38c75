"""Messages that go round as often as they say, so that as many are always queued as were put in."""

from __future__ import annotations

from sojourn import Flow, Routine

BATCH = 20_000
"""Messages between two checkpoints: what one commit point may hold is bounded."""


FOR_EVER = 1 << 50


class Seed(Routine):
    def process(self, n: int) -> None:
        for i in range(n):
            self.emit("output", i=FOR_EVER)
            if i % BATCH == BATCH - 1:
                self.checkpoint()


class Spin(Routine):
    def process(self, i: int) -> None:
        if i:
            self.emit("output", i=i - 1)


def ring(name: str) -> Flow:
    """Make a flow of one routine that feeds itself."""
    made = Flow(name, entry="spin")
    made.add_routine(Spin(), "spin", grace=0.1)
    made.connect("spin", "output", "spin", "input")
    return made


seeded = Flow("seeded")
seeded.add_routine(Seed(), "seed", grace=0.1)
seeded.add_routine(Spin(), "spin", grace=0.1)
seeded.connect("seed", "output", "spin", "input")
seeded.connect("spin", "output", "spin", "input")


def __getattr__(name: str) -> Flow:
    """Make ``ring_NUMBER`` when it is asked for."""
    kind, _, number = name.partition("_")
    if kind != "ring" or not number.isdigit():
        raise AttributeError(name)
    globals()[name] = made = ring(name)
    return made
