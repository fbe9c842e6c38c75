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

Values that have no order between them (text and a number, a key that isn't there) make ``<`` and its
kin false. A supervisor reads conditions from its clients: length and nesting are bounded.
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
LONGEST = 2_000
"""Characters that a condition may have."""

DEEPEST = 20
"""Levels of ``(`` and ``not``: reading and evaluating recurse no deeper."""

# A routine's name is a Python identifier, of any script.
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*)|(?P<symbol>==|!=|<=|>=|<|>|\(|\)))"
)


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


Evaluate = Callable[[ConditionView], object]


class Condition(msgspec.Struct, frozen=True):
    """A parsed condition.

    Attributes:
        text: as it was written.
        routines: ids of routines that it names.
        evaluate: tells whether it holds for a view.
    """

    text: str
    routines: frozenset[str]
    evaluate: Evaluate

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


_COMPARISONS: dict[str, Callable[..., object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Token(msgspec.Struct, frozen=True):
    """A word of a condition and where it begins, from 0."""

    kind: str
    word: str
    place: int


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def _unreadable(text: str, place: int) -> UsageError:
    return UsageError(
        f"the condition {_shortened(text)!r} can't be read at position {place + 1}: write something like "
        f"{EXAMPLE!r}, comparing {', '.join(JOB_NAMES)}, ROUTINE.{'|'.join(ROUTINE_NAMES)} or "
        "shared.KEY, joined by and, or, not"
    )


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _unreadable(text, end - len(text[place:end].lstrip()))
        kind = match.lastgroup
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        place = match.end()
    found.append(_Token("end", "", len(text)))
    return found


class _Parser:
    """Recursive descent, one method per rule."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise UsageError(
                f"the condition {_shortened(text)!r} has {len(text)} characters, and at most {LONGEST} are "
                "read: wait for something shorter"
            )
        self.routines: set[str] = set()
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def _accept(self, *words: str) -> str | None:
        token = self._tokens[self._next]
        if token.kind in ("name", "symbol") and token.word in words:
            self._next += 1
            return token.word
        return None

    def _refusal(self) -> UsageError:
        return _unreadable(self._text, self._tokens[self._next].place)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._tokens[self._next].kind != "end":
            raise self._refusal()

    def condition(self) -> Evaluate:
        """Read ``both { or both }``."""
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda view: any(part(view) for part in parts)

    def _both(self) -> Evaluate:
        parts = [self._inverted()]
        while self._accept("and"):
            parts.append(self._inverted())
        return parts[0] if len(parts) == 1 else lambda view: all(part(view) for part in parts)

    def _inverted(self) -> Evaluate:
        opening = self._accept("not", "(")
        if opening is None:
            return self._comparison()
        self._deepen()
        inner = self._inverted() if opening == "not" else self.condition()
        self._depth -= 1
        if opening == "not":
            return lambda view: not inner(view)
        if not self._accept(")"):
            raise self._refusal()
        return inner

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UsageError(
                f"the condition {_shortened(self._text)!r} is nested more than {DEEPEST} levels deep: "
                "wait for something simpler"
            )

    def _comparison(self) -> Evaluate:
        left = self._operand()
        sign = self._accept(*_COMPARISONS)
        if sign is None:
            return left
        return _compare(_COMPARISONS[sign], left, self._operand())

    def _operand(self) -> Evaluate:
        token = self._tokens[self._next]
        if token.kind == "number":
            evaluate = _constant(float(token.word) if "." in token.word else int(token.word))
        elif token.kind == "text":
            evaluate = _constant(token.word[1:-1])
        elif token.kind == "name" and token.word not in ("and", "or", "not"):
            evaluate = self._name(token.word)
        else:
            raise self._refusal()
        self._next += 1
        return evaluate

    def _name(self, word: str) -> Evaluate:
        if word in JOB_NAMES:
            return operator.attrgetter(word)
        owner, _, part = word.partition(".")
        if owner == "shared" and part:
            return lambda view: view.shared(part)
        if part not in ROUTINE_NAMES:
            raise self._refusal()
        self.routines.add(owner)
        return lambda view: getattr(view.routine(owner), part, 0)


def _constant(value: object) -> Evaluate:
    return lambda _view: value


def _compare(compare: Callable[..., object], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(view: ConditionView) -> bool:
        try:
            return bool(compare(left(view), right(view)))
        except TypeError:
            return False

    return evaluate
