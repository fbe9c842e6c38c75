"""A module that starts a thread when it is imported."""

from __future__ import annotations

import threading

from sojourn import Flow, Routine

threading.Thread(target=threading.Event().wait, daemon=True).start()


class Plain(Routine):
    def process(self) -> None:
        self.set_result(attempt=self.attempt)


flow = Flow("threaded")
flow.add_routine(Plain(), "plain")
