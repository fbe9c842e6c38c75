"""Jobs that are large, and go on changing while they are copied."""

from __future__ import annotations

import os
import time

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

MEGABYTE = 1024 * 1024


class Ticker(Routine):
    """Holds large values and ticks on: one message to itself after the other."""

    def __init__(self) -> None:
        self.ticks = 0

    def process(self, left: int, megabytes: int = 0, rewrite: bool = False, pause: float = 0.005) -> None:
        note(self, "tick")
        if megabytes:
            for number in range(megabytes):
                setattr(self, f"block_{number}", os.urandom(MEGABYTE))
        self.ticks += 1
        time.sleep(pause)
        if left:
            self.emit(
                "output", left=left - 1, megabytes=megabytes if rewrite else 0, rewrite=rewrite, pause=pause
            )


flow = Flow("ticking", entry="ticker", error_handler=ErrorHandler(ErrorStrategy.RETRY, max_retries=2))
flow.add_routine(Ticker(), "ticker")
flow.connect("ticker", "output", "ticker", "input")
