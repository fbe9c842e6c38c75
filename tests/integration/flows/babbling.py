"""A routine that gets hold of its process's socket and sends the supervisor what can't be read, once."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from effects import note

from sojourn import Flow, Routine
from sojourn.actors.process.line import Line


class Babbling(Routine):
    def process(self, done: str, times: int) -> None:
        note(self, "babbling")
        if not Path(done).exists():
            Path(done).touch()
            line = next(found for found in gc.get_objects() if isinstance(found, Line))
            for _ in range(times):
                vars(line)["_socket"].send(b"\xc1")  # what no routine should do
            time.sleep(60)
        self.set_result(attempt=self.attempt)


babbling = Flow("babbling")
babbling.add_routine(Babbling(), "babbling")
