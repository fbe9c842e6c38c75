"""Values and exception classes over a move."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

from effects import note

from sojourn import ErrorHandler, ErrorStrategy, Flow, Routine, slot


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    labels: tuple[str, ...]


class Passing(ConnectionError):
    """Retryable through its base class."""


class Hopeless(ConnectionError):
    """Not retryable, though its base class is."""


class Worse(Hopeless):
    """Not retryable through its base class."""


def sample() -> dict[str, object]:
    """One of everything."""
    return {
        "a_tuple": (1, ("two", 3.0)),
        "a_set": {1, 2, 3},
        "a_frozenset": frozenset({"x"}),
        "a_datetime": datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC),
        "a_delta": timedelta(days=-1, microseconds=5),
        "a_decimal": Decimal("1.10"),
        "a_uuid": UUID(int=7),
        "a_path": Path("/tmp/x"),
        "a_colour": Colour.RED,
        "a_point": Point(1, ("p", "q")),
        "a_complex": 1 + 2j,
        "big": 2**90,
        "large": "x" * 200_000,
    }


class Keeper(Routine):
    """Keeps one of everything as attributes, progress, shared data; checks it after the move."""

    def process(self) -> None:
        note(self, "keeper")
        if self.attempt == 1:
            for name, value in sample().items():
                setattr(self, name, value)
                self.shared[name] = value
            self.progress.update(sample())
            self.checkpoint()
            raise Passing("after the checkpoint")
        self._check(vars(self))
        self._check(dict(self.shared.items()))
        self._check(self.progress)
        if self.attempt == 3:
            self.set_result(equal=True)
            return
        raise Passing("again")

    def _check(self, found: dict[str, object]) -> None:
        for name, value in sample().items():
            if found[name] != value or type(found[name]) is not type(value):
                raise RuntimeError(f"{name}: {found[name]!r} instead of {value!r}")


class Picky(Routine):
    """Raises what its input says."""

    def process(self, kind: str) -> None:
        note(self, kind)
        raise {"passing": Passing, "hopeless": Hopeless, "worse": Worse}[kind](kind)


class DeadLetters(Routine):
    def __init__(self) -> None:
        self.letters: list[tuple[str, str, str]] = []

    @slot
    def letter(self, slot: str, data: dict[str, str], error: dict[str, str]) -> None:
        note(self, "letter")
        self.letters.append((slot, data["kind"], error["type"]))


class Fan(Routine):
    def process(self, kinds: list[str]) -> None:
        for kind in kinds:
            self.emit("output", kind=kind)


keeping = Flow("keeping")
keeping.add_routine(Keeper(), "keeper", error_handler=ErrorHandler(
    strategy=ErrorStrategy.RETRY, retry_delay=4.0, retry_backoff=1.0,
    retryable_exceptions=(ConnectionError,),
))

picky = Flow("picky")
picky.add_routine(Fan(), "fan")
picky.add_routine(Picky(), "picky", error_handler=ErrorHandler(
    strategy=ErrorStrategy.RETRY, max_retries=2, retry_delay=4.0, retry_backoff=1.0,
    retryable_exceptions=(ConnectionError,), non_retryable_exceptions=(Hopeless,),
    on_exhausted=ErrorStrategy.SKIP,
))
picky.add_routine(DeadLetters(), "dead")
picky.connect("fan", "output", "picky", "input")
picky.connect("picky", "failed", "dead", "letter")
