"""Routines whose state or emissions can't be stored."""

from __future__ import annotations

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

retry = ErrorHandler(strategy=ErrorStrategy.RETRY, retry_delay=0.05)


class Attribute(Routine):
    def process(self) -> None:
        self.thing = object()


class Emission(Routine):
    def process(self) -> None:
        self.emit("output", thing=object())


attribute = Flow("attribute")
attribute.add_routine(Attribute(), "step", error_handler=retry)

emission = Flow("emission")
emission.add_routine(Emission(), "step", error_handler=retry)
