"""A routine that is stuck in its first turn, so that everything behind it stays queued."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from sojourn import Flow, Routine

BEGUN = "SOJOURN_BENCH_BEGUN"
"""Environment variable that names the file to which each begun turn appends its time."""

BATCH = 20_000


class Fill(Routine):
    """Fills the mailbox of the routine behind it."""

    def process(self, n: int, size: int) -> None:
        for i in range(n):
            self.emit("output", data=bytes(size))
            if i % BATCH == BATCH - 1:
                self.checkpoint()


class Hold(Routine):
    def process(self, data: bytes = b"") -> None:
        with Path(os.environ[BEGUN]).open("a") as file:
            file.write(f"{time.time()}\n")
        while True:
            signal.pause()


flow = Flow("held")
flow.add_routine(Hold(), "hold", grace=0.1)

filled = Flow("filled")
filled.add_routine(Fill(), "fill")
filled.add_routine(Hold(), "hold", grace=0.1)
filled.connect("fill", "output", "hold", "input")
