"""The grammar of ``--until``: small, closed, evaluated at every commit of a job.

::

    condition  = both { "or" both }
    both       = inverted { "and" inverted }
    inverted   = "not" inverted | "(" condition ")" | comparison
    comparison = operand [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand ]
    operand    = number | quoted text | name
    name       = status | epoch | pending | history | waiting
               | ROUTINE "." ( retry_count | succeeded | failed | skipped | pending | attempts )
               | "shared" "." KEY
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from sojourn.runtime.errors import UsageError

EXAMPLE = "failing.retry_count >= 2"
JOB_NAMES = ("status", "epoch", "pending", "history", "waiting")
ROUTINE_NAMES = ("retry_count", "succeeded", "failed", "skipped", "pending", "attempts")

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)|(?P<symbol>==|!=|<=|>=|<|>|\(|\)))"
)
Value = object


class RoutineView(Protocol):
    """What a condition may ask of a routine."""

    @property
    def retry_count(self) -> int: ...  # noqa: D102 - the grammar's own words
    @property
    def succeeded(self) -> int: ...  # noqa: D102
    @property
    def failed(self) -> int: ...  # noqa: D102
    @property
    def skipped(self) -> int: ...  # noqa: D102
    @property
    def pending(self) -> int: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102


class ConditionView(Protocol):
    """What a condition may ask of a job."""

    @property
    def status(self) -> str: ...  # noqa: D102 - the grammar's own words
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def pending(self) -> int: ...  # noqa: D102
    @property
    def history(self) -> int: ...  # noqa: D102
    @property
    def waiting(self) -> int: ...  # noqa: D102

    def routine(self, name: str) -> RoutineView | None:
        """Give a routine by id."""
        ...

    def shared(self, key: str) -> object:
        """Give a value of the shared map in JSON form; None where there is none."""
        ...


class Condition(msgspec.Struct, frozen=True):
    """A parsed condition.

    Attributes:
        text: as it was written.
        routines: ids of routines that it names.
        evaluate: tells whether it holds for a view.
    """

    text: str
    routines: frozenset[str]
    evaluate: Callable[[ConditionView], object]

    def holds(self, view: ConditionView) -> bool:
        """Tell whether it holds."""
        return bool(self.evaluate(view))


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: with the position of what can't be read, and an example.
    """
    parser = _Parser(text)
    evaluate = parser.condition()
    parser.end()
    return Condition(text, frozenset(parser.routines), evaluate)


_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Evaluate = Callable[[ConditionView], object]


class _Parser:
    """Recursive descent, one method per rule."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.routines: set[str] = set()
        self._tokens: list[tuple[str, str, int]] = []
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise self._error(place + len(text[place:]) - len(text[place:].lstrip()))
            self._tokens.append((match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
            place = match.end()
        self._next = 0

    def _error(self, place: int) -> UsageError:
        return UsageError(
            f"the condition {self._text!r} can't be read at position {place + 1}: write something like "
            f"{EXAMPLE!r}, comparing {', '.join(JOB_NAMES)}, ROUTINE.{'|'.join(ROUTINE_NAMES)} or "
            "shared.KEY, joined by and, or, not"
        )

    def _peek(self) -> tuple[str, str, int]:
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return "end", "", len(self._text)

    def _accept(self, *words: str) -> str | None:
        kind, word, _ = self._peek()
        if kind in ("name", "symbol") and word in words:
            self._next += 1
            return word
        return None

    def end(self) -> None:
        """Check that nothing is left."""
        if self._peek()[0] != "end":
            raise self._error(self._peek()[2])

    def condition(self) -> Evaluate:
        """Read ``both { or both }``."""
        left = self._both()
        while self._accept("or"):
            left = _either(left, self._both())
        return left

    def _both(self) -> Evaluate:
        left = self._inverted()
        while self._accept("and"):
            left = _both(left, self._inverted())
        return left

    def _inverted(self) -> Evaluate:
        if self._accept("not"):
            inner = self._inverted()
            return lambda view: not inner(view)
        if self._accept("("):
            inner = self.condition()
            if not self._accept(")"):
                raise self._error(self._peek()[2])
            return inner
        return self._comparison()

    def _comparison(self) -> Evaluate:
        left = self._operand()
        sign = self._accept(*_COMPARISONS)
        if sign is None:
            return left
        return _compare(_COMPARISONS[sign], left, self._operand())

    def _operand(self) -> Evaluate:
        kind, word, place = self._peek()
        self._next += 1
        if kind == "number":
            number = float(word) if "." in word else int(word)
            return lambda _view: number
        if kind == "text":
            text = word[1:-1]
            return lambda _view: text
        if kind != "name" or word in ("and", "or", "not"):
            raise self._error(place)
        return self._name(word, place)

    def _name(self, word: str, place: int) -> Evaluate:
        if word in JOB_NAMES:
            return operator.attrgetter(word)
        owner, _, part = word.partition(".")
        if owner == "shared" and part:
            return lambda view: view.shared(part)
        if part not in ROUTINE_NAMES:
            raise self._error(place)
        self.routines.add(owner)
        return lambda view: getattr(view.routine(owner), part, 0)


def _either(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda view: left(view) or right(view)


def _both(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda view: left(view) and right(view)


def _compare(compare: Callable[[object, object], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(view: ConditionView) -> bool:
        try:
            return compare(left(view), right(view))
        except TypeError:
            return False

    return evaluate
