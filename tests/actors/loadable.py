"""A module as an author writes it, for the tests of loading: good classes, bad ones, imported ones."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from decimal import InvalidOperation
from enum import Enum

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine

IMPORTED = (json.JSONDecodeError, zlib.error, InvalidOperation)


class Outer:
    class Inner(Enum):
        ONE = 1

    @dataclass
    class Pair:
        left: int
        right: int


class NotARoutine:
    """Must never be run."""


class Step(Routine):
    def __init__(self, pair: Outer.Pair, inner: Outer.Inner) -> None:
        self.pair, self.inner = pair, inner

    def process(self, n: int = 0) -> None:
        """Do nothing."""


def flow() -> Flow:
    """Give a flow of ``Step`` whose handler names exceptions of other modules."""
    made = Flow("loadable", error_handler=ErrorHandler(ErrorStrategy.SKIP))
    made.add_routine(
        Step(Outer.Pair(1, 2), Outer.Inner.ONE), "step",
        error_handler=ErrorHandler(ErrorStrategy.RETRY, retryable_exceptions=IMPORTED),
    )
    return made
