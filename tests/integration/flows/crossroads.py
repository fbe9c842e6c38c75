"""A job with an open question and, where a gate is named, a turn that stays in flight until it opens."""

from __future__ import annotations

import time
from pathlib import Path

from effects import note

from sojourn import Flow, Routine, slot


class Start(Routine):
    def process(self, gate: str = "") -> None:
        self.emit("output", gate=gate)


class Asking(Routine):
    def process(self, gate: str) -> None:
        self.ask("go on?", slot="answer")

    @slot
    def answer(self, approved: bool) -> None:
        note(self, "answer")
        self.set_result(approved=approved)


class Busy(Routine):
    def process(self, gate: str) -> None:
        note(self, "busy")
        while gate and not Path(gate).exists():
            time.sleep(0.01)
        note(self, "done")


flow = Flow("crossroads")
flow.add_routine(Start(), "start")
flow.add_routine(Asking(), "asking")
flow.add_routine(Busy(), "busy")
flow.connect("start", "output", "asking", "input")
flow.connect("start", "output", "busy", "input")
