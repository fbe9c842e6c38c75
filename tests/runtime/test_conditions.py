"""The grammar of ``--until``: what it takes, what it means, what it refuses."""

from __future__ import annotations

import operator
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.conditions import DEEPEST, JOB_NAMES, LONGEST, ROUTINE_NAMES, parse
from sojourn.runtime.errors import UsageError


class Figures(msgspec.Struct):
    retry_count: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    pending: int = 0
    attempts: int = 0


class View:
    """A job as a condition sees it, made up."""

    def __init__(
        self,
        *,
        status: str = "running",
        epoch: int = 1,
        pending: int = 0,
        history: int = 0,
        waiting: int = 0,
        routines: dict[str, Figures] | None = None,
        shared: dict[str, object] | None = None,
    ) -> None:
        self.status = status
        self.epoch = epoch
        self.pending = pending
        self.history = history
        self.waiting = waiting
        self._routines = routines or {}
        self._shared = shared or {}

    def routine(self, name: str) -> Figures | None:
        return self._routines.get(name)

    def shared(self, key: str) -> object:
        return self._shared.get(key)


VIEW = View(
    status="paused",
    epoch=3,
    pending=2,
    history=7,
    waiting=1,
    routines={
        "failing": Figures(retry_count=2, succeeded=10, failed=11, skipped=12, pending=13, attempts=14),
        "größe": Figures(failed=1),
    },
    shared={"total": 5, "name": "a b", "ratio": 0.5, "dead-letters": 1, "a.b": "dotted", "rows": [1, 2]},
)


@pytest.mark.parametrize(
    "text",
    [
        "failing.retry_count >= 2",
        "failing.retry_count == 2 and failing.succeeded == 10 and failing.failed == 11",
        "failing.skipped == 12 and failing.pending == 13 and failing.attempts == 14",
        "status == 'paused'",
        'status == "paused"',
        "'paused' == status",
        "status != 'running'",
        "epoch == 3 and pending == 2 and history == 7 and waiting == 1",
        "waiting",
        "not (status == 'running')",
        "not not waiting",
        "shared.total > 4.5",
        "shared.total > -1",
        "shared.name == 'a b'",
        "shared.ratio < 1 and shared.dead-letters == 1 and shared.a.b == 'dotted'",
        "shared.total == failing.retry_count or shared.total == 5",
        "shared.missing != 1",
        "not shared.missing",
        "größe.failed == 1",
        "(epoch<4)and(epoch>=3)",
    ],
)
def test_holds(text: str) -> None:
    assert parse(text).holds(VIEW) is True


@pytest.mark.parametrize(
    "text",
    [
        "failing.retry_count > 2",
        "status == 'running'",
        "shared.missing > 0",
        "shared.missing < 1",
        "shared.name > 1",
        "shared.rows < 3",
        "status >= 1",
        "not waiting",
        "epoch == 3 and epoch == 4",
        "epoch == 5 or epoch == 4",
        "other.failed > 0",
    ],
)
def test_does_not_hold(text: str) -> None:
    assert parse(text).holds(VIEW) is False


def test_and_binds_closer_than_or_and_not_closer_than_and() -> None:
    assert parse("epoch == 3 or epoch == 3 and epoch == 4").holds(VIEW)
    assert not parse("(epoch == 3 or epoch == 3) and epoch == 4").holds(VIEW)
    assert not parse("not epoch == 3 and epoch == 4").holds(VIEW)
    assert parse("not (epoch == 3 and epoch == 4)").holds(VIEW)


def test_names_the_routines_that_it_asks_about() -> None:
    found = parse("failing.failed > 0 and (load.pending == 0 or not größe.attempts) and shared.failed == 1")
    assert found.routines == {"failing", "load", "größe"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1),
        ("   ", 4),
        ("status ==", 10),
        ("status == == 1", 11),
        ("epoch = 1", 7),
        ("epoch == 1 ?", 12),
        ("epoch == 1 epoch", 12),
        ("(epoch == 1", 12),
        ("epoch == 1)", 11),
        ("epoch == 'a", 10),
        ("and epoch", 1),
        ("epoch == not", 10),
        ("size == 1", 1),
        ("failing.count == 1", 1),
        ("failing == 1", 1),
        ("shared == 1", 1),
        ("shared. == 1", 7),
        ("1 < epoch < 3", 11),
        ("__import__('os')", 1),
        ("epoch.__class__", 1),
    ],
)
def test_refuses_with_the_position_and_an_example(text: str, place: int) -> None:
    with pytest.raises(UsageError, match=f"at position {place}: .*failing.retry_count >= 2"):
        parse(text)


def test_refuses_what_would_exhaust_the_stack_of_a_supervisor() -> None:
    with pytest.raises(UsageError, match=f"more than {DEEPEST} levels"):
        parse("(" * (LONGEST - 1))
    with pytest.raises(UsageError, match=f"more than {DEEPEST} levels"):
        parse("not " * (LONGEST // 5) + "epoch")
    with pytest.raises(UsageError, match=f"at most {LONGEST}"):
        parse("9" * (LONGEST + 1))
    assert parse("(" * DEEPEST + "epoch" + ")" * DEEPEST).holds(VIEW)
    assert parse(" and ".join(["(not waiting == 0)"] * (DEEPEST * 2))).holds(VIEW)


def test_takes_as_many_alternatives_as_fit() -> None:
    alternatives = " or ".join(["epoch==0"] * (LONGEST // 12 - 1))
    assert not parse(alternatives).holds(VIEW)
    assert parse(f"{alternatives} or epoch==3").holds(VIEW)


NUMBERS = st.integers(-(10**6), 10**6)
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}


@given(NUMBERS, st.sampled_from(sorted(COMPARISONS)), NUMBERS)
def test_compares_numbers_as_python_does(left: int, sign: str, right: int) -> None:
    view = View(shared={"key": left})
    expected = COMPARISONS[sign](left, right)
    assert parse(f"shared.key {sign} {right}").holds(view) is expected
    assert parse(f"not shared.key{sign}{right}").holds(view) is not expected


BOOLEANS = st.recursive(
    st.sampled_from(["epoch == 1", "epoch == 2", "pending > 0", "pending == 0"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda text: f"not {text}"),
    ),
    max_leaves=8,
)


@given(BOOLEANS, st.integers(1, 2), st.integers(0, 1))
def test_joins_as_python_does(text: str, epoch: int, pending: int) -> None:
    names = {"epoch": epoch, "pending": pending}
    expected: bool = _python(text, names)
    assert parse(text).holds(View(epoch=epoch, pending=pending)) is expected


def _python(text: str, names: dict[str, int]) -> bool:
    """Let Python itself say what a generated text of its own grammar means."""
    code = compile(text, "<generated above>", "eval")
    return bool(eval(code, {"__builtins__": {}}, names))  # noqa: S307 - generated above


WORDS = st.sampled_from(
    [
        *JOB_NAMES, *(f"failing.{name}" for name in ROUTINE_NAMES), "shared.total", "and", "or", "not", "(",
        ")", "==", "<", "'text'", "7", "-2.5", ".", "=", "é", "\x00",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join)))
def test_whatever_is_written_is_evaluated_or_refused(text: str) -> None:
    try:
        condition = parse(text)
    except UsageError:
        return
    assert condition.holds(VIEW) in (True, False)
    assert condition.holds(View()) in (True, False)
