"""Jobs that are large: in one value, or in many messages."""

from __future__ import annotations

import random

from sojourn import Flow, Routine, slot


class Large(Routine):
    """Keeps random bytes, then waits for an answer."""

    def __init__(self) -> None:
        self.data = b""

    def process(self, size: int) -> None:
        self.data = random.Random(size).randbytes(size)
        self.ask("go on?", slot="answer")

    @slot
    def answer(self, size: int) -> None:
        self.set_result(same=self.data == random.Random(size).randbytes(size))


class Crowd(Routine):
    """Fills the next routine's mailbox."""

    def process(self, n: int) -> None:
        for i in range(n):
            self.emit("output", i=i)


class Bulk(Routine):
    """Emits large pieces, with or without a checkpoint half-way."""

    def process(self, pieces: int, size: int, halfway: bool) -> None:
        for i in range(pieces):
            self.emit("output", data=bytes(size), i=i)
            if halfway and i == pieces // 2:
                self.checkpoint()


class Counting(Routine):
    def __init__(self) -> None:
        self.seen = 0

    def process(self, i: int, data: bytes = b"") -> None:
        self.seen += i
        self.set_result(seen=self.seen)


large = Flow("large")
large.add_routine(Large(), "large")

crowd = Flow("crowd")
crowd.add_routine(Crowd(), "crowd")
crowd.add_routine(Counting(), "counting")
crowd.connect("crowd", "output", "counting", "input")

bulk = Flow("bulk")
bulk.add_routine(Bulk(), "bulk")
bulk.add_routine(Counting(), "counting")
bulk.connect("bulk", "output", "counting", "input")
