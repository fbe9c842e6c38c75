"""Routines that the tests of authoring and of turns share: in a module, since flows name them by path."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, event, slot


class Broken(Exception):
    """An author's own exception."""


class BrokenFurther(Broken):
    """A subclass of it."""


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int
    y: int


class FailingRoutine(Routine):
    # The seed's own, as printed.
    def __init__(self, delay: float = 0.5):
        self.delay = delay
        self.attempt_count = 0

    def process(self, data=None, **kwargs):  # type: ignore[no-untyped-def] # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
        self.attempt_count += 1
        time.sleep(self.delay)  # Delay before failure
        raise ValueError(f"Simulated failure on attempt {self.attempt_count}")


class Fetch(Routine):
    def process(self, url: str) -> None:
        self.emit("output", body=f"<{url}>")


class Load(Routine):
    transient = ("connection",)

    def __init__(self, dsn: str) -> None:
        self.dsn, self.rows = dsn, 0

    def activate(self) -> None:
        self.connection = object()

    @event
    def loaded(self, row: int) -> None: ...

    @slot
    def page(self, body: str) -> None:
        self.rows += 1
        self.loaded(row=self.rows)

    @slot
    def twice(self, body: str, times: int = 2) -> None:
        for _ in range(times):
            self.page(body)


class Sink(Routine):
    def process(self, **fields: object) -> None:
        """Take anything."""

    @slot
    def row(self, row: int) -> None:
        """Take what ``Load.loaded`` gives."""

    @slot
    def measured(self, count: int, unit: str = "") -> None:
        """Take what ``Acting.counted`` gives."""

    @slot
    def dead(self, slot: str, data: dict[str, object], error: dict[str, str]) -> None:
        """Take what ``failed`` gives."""

    @slot
    def idle(self, succeeded: int, skipped: int, failed: int) -> None:
        """Take what ``when_idle`` gives."""


class Holder(Routine):
    """Holds what it was made with."""

    def __init__(self, *items: object, named: object = None) -> None:
        self.items = list(items)
        self.named = named

    def process(self) -> None:
        """Do nothing."""


class Untyped(Routine):
    """Takes anything by position."""

    def __init__(self, handle: object) -> None:
        """Keep nothing."""

    def process(self) -> None:
        """Do nothing."""


class Listing(Routine):
    """Changes its own constructor's argument."""

    def __init__(self, names: list[str]) -> None:
        names.append("added by __init__")
        self.names = names

    def process(self, name: str) -> None:
        self.names.append(name)


# Any: a test's own function gets the routine and does what it likes with it.
Act = Callable[[Any], object]


class Acting(Routine):
    """Does what the test at hand says: its handler calls the function that ``Stage.run`` puts in."""

    transient = ("made_anew",)
    _act: Act

    def __init__(self) -> None:
        self.count = 0
        self.items: list[object] = [1]

    @event
    def counted(self, count: int, unit: str = "pieces") -> None: ...

    def process(self, **fields: object) -> object:
        return self._act(self)

    @slot
    def exact(self, row: int, note: str = "") -> None:
        self.count += row

    @slot
    def answer(self, text: str = "", timed_out: bool = False) -> None:
        """Take an answer."""


class KeepingActing(Acting):
    keep_state_on_failure = True


def two_steps() -> Flow:
    """Give the flow of the design's own example, not yet used."""
    flow = Flow("load")
    flow.add_routine(
        Fetch(), "fetch", processes=4, parallel=True,
        error_handler=ErrorHandler(
            strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=0.3, retry_backoff=1.5, max_delay=60.0,
            jitter=0.1, retryable_exceptions=(ConnectionError,), on_exhausted=ErrorStrategy.SKIP,
        ),
    )
    flow.add_routine(Load("data.db"), "load")
    flow.connect("fetch", "output", "load", "page")
    return flow
