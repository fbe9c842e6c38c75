"""A job of four attempts, each of which leaves a trace: two that fail and two that don't."""

from __future__ import annotations

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine


class First(Routine):
    def process(self, n: int) -> None:
        note(self, "first")
        if self.attempt < 3:
            raise ValueError("not yet")
        self.emit("output", n=n)


class Last(Routine):
    def process(self, n: int) -> None:
        note(self, "last")
        self.set_result(n=n)


flow = Flow("pieces")
again = ErrorHandler(ErrorStrategy.RETRY, max_retries=5, retry_delay=0.02)
flow.add_routine(First(), "first", error_handler=again)
flow.add_routine(Last(), "last")
flow.connect("first", "output", "last", "input")
