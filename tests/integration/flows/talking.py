"""A job that says where it is, line by line, until a file ends it."""

from __future__ import annotations

import time
from pathlib import Path

from effects import note

from sojourn import Flow, Routine


class Talker(Routine):
    """One line a turn, each turn a message to itself."""

    def process(self, end: str, number: int = 0) -> None:
        note(self, "talk")
        print(f"line {number}")
        time.sleep(0.02)
        if Path(end).exists():
            self.set_result(lines=number + 1)
        else:
            self.emit("output", end=end, number=number + 1)


flow = Flow("talking", entry="talker")
flow.add_routine(Talker(), "talker")
flow.connect("talker", "output", "talker", "input")
