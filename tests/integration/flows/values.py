"""Values and exception classes over a move."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta, timezone
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
    price: Decimal = Decimal("0.10")


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
        "a_local_time": datetime(2026, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-3))),
        "a_date": date(2026, 2, 3),
        "a_delta": timedelta(days=-1, microseconds=5),
        "a_decimal": Decimal("1.10"),
        "a_uuid": UUID(int=7),
        "a_path": Path("/tmp/x"),
        "a_colour": Colour.RED,
        "a_point": Point(1, ("p", "q")),
        "a_complex": 1 + 2j,
        "nested": [{"in a list": (Decimal(2), {UUID(int=8)}, Point(2, ()))}],
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
        check(vars(self))
        check(dict(self.shared.items()))
        check(self.progress)
        if self.attempt == 3:
            self.set_result(equal=True)
            return
        raise Passing("again")


class Receiver(Routine):
    """Is sent one of everything, and looks at it after the move."""

    def process(self, **data: object) -> None:
        check(data)
        if self.attempt == 1:
            raise Passing("before the move")
        self.set_result(equal=True)


class Sender(Routine):
    def process(self) -> None:
        self.emit("output", **sample())


def check(found: dict[str, object]) -> None:
    """See that everything is there, of the same value and type; in what is nested, ``repr`` shows types."""
    for name, value in sample().items():
        it = found[name]
        if it != value or type(it) is not type(value) or repr(it) != repr(value):
            raise RuntimeError(f"{name}: {it!r} instead of {value!r}")


class Picky(Routine):
    """Raises at each attempt what its input says for it."""

    def process(self, name: str, raises: list[str]) -> None:
        note(self, name)
        kinds: dict[str, type[Exception]] = {
            "passing": Passing, "hopeless": Hopeless, "worse": Worse, "stranger": LookupError,
        }
        raise kinds[raises[self.attempt - 1]](name)


class DeadLetters(Routine):
    def __init__(self) -> None:
        self.letters: list[tuple[str, str, str]] = []

    @slot
    def letter(self, slot: str, data: dict[str, object], error: dict[str, str]) -> None:
        note(self, "letter")
        self.letters.append((slot, str(data["name"]), error["type"]))


class Fan(Routine):
    def process(self, cases: dict[str, list[str]]) -> None:
        for name, raises in cases.items():
            self.emit("output", name=name, raises=raises)


patient = ErrorHandler(
    strategy=ErrorStrategy.RETRY, retry_delay=3.0, retry_backoff=1.0,
    retryable_exceptions=(ConnectionError,),
)

keeping = Flow("keeping")
keeping.add_routine(Keeper(), "keeper", error_handler=patient)

sending = Flow("sending")
sending.add_routine(Sender(), "sender")
sending.add_routine(Receiver(), "receiver", error_handler=patient)
sending.connect("sender", "output", "receiver", "input")

picky = Flow("picky")
picky.add_routine(Fan(), "fan")
picky.add_routine(Picky(), "picky", error_handler=ErrorHandler(
    strategy=ErrorStrategy.RETRY, max_retries=2, retry_delay=3.0, retry_backoff=1.0,
    retryable_exceptions=(ConnectionError,), non_retryable_exceptions=(Hopeless,),
    on_exhausted=ErrorStrategy.SKIP,
))
picky.add_routine(DeadLetters(), "dead")
picky.connect("fan", "output", "picky", "input")
picky.connect("picky", "failed", "dead", "letter")
