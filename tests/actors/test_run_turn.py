"""`sojourn.testing.run_turn`, as a user's own tests call it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from sojourn import InvalidFlow, Routine, ValueNotEncodable, event, slot
from sojourn.testing import TurnResult, run_turn
from tests.actors.steps import Acting, FailingRoutine, Fetch, Load


def test_a_turn_of_the_designs_example() -> None:
    load = Load("data.db")
    assert run_turn(load, "page", body="x") == TurnResult(
        emitted=[("loaded", {"row": 1})], state={"dsn": "data.db", "rows": 1}, error=None, progress={},
        result={}, questions=[],
    )
    assert run_turn(load, "page", body="y").emitted == [("loaded", {"row": 2})]
    assert run_turn(Fetch(), url="a").emitted == [("output", {"body": "<a>"})]


def test_the_seeds_failing_routine_as_printed() -> None:
    failing = FailingRoutine(delay=0)
    for _ in range(2):
        result = run_turn(failing)
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("ValueError", "Simulated failure on attempt 1")
        assert "FailingRoutine" in result.error.traceback or "process" in result.error.traceback
        assert result.state == {"delay": 0, "attempt_count": 0}


def test_a_local_class_will_do() -> None:
    class Local(Routine):
        def __init__(self) -> None:
            self.total = 0

        @event
        def summed(self, total: int) -> None: ...

        def process(self, n: int) -> None:
            self.total += n
            self.summed(self.total)

    local = Local()
    assert run_turn(local, n=3).emitted == [("summed", {"total": 3})]
    assert run_turn(local, n=4).state == {"total": 7}


def test_checkpoints_commit_in_memory() -> None:
    class Steps(Routine):
        def __init__(self) -> None:
            self.done: list[int] = []

        def process(self) -> None:
            for n in (1, 2):
                self.done.append(n)
                self.emit("output", n=n)
                self.progress["n"] = n
                self.set_result(n=n)
                self.checkpoint()
            self.done.append(3)
            self.emit("output", n=3)
            raise ValueError("after the second")

    result = run_turn(Steps())
    assert result.error is not None
    assert result.emitted == [("output", {"n": 1}), ("output", {"n": 2})]
    assert result.state == {"done": [1, 2]}
    assert result.progress == {"n": 2}
    assert result.result == {"n": 2}


def test_questions_results_and_calls_of_the_turn_work() -> None:
    class Asks(Routine):
        def process(self) -> None:
            self.ask(f"May {self.turn_id} go on?", slot="answer", timeout=1)
            self.set_result(attempt=self.attempt, waits=self.should_yield, left=self.time_left)
            self.shared.add("asked", 1)
            self.log.info("asked")

        @slot
        def answer(self, text: str = "", timed_out: bool = False) -> None:
            """Take the answer."""

    result = run_turn(Asks())
    assert result.questions == [("answer", "May test:1 go on?")]
    assert result.result == {"attempt": 1, "waits": False, "left": None}


@dataclass
class Page:
    body: str


def test_fields_go_through_the_codec_as_they_would_between_processes() -> None:
    class Takes(Routine):
        def process(self, page: Page, words: list[str]) -> None:
            words.append("changed")
            self.emit("output", page=page, same=page is given)

    given, words = Page("x"), ["a"]
    result = run_turn(Takes(), page=given, words=words)
    assert result.emitted == [("output", {"page": Page("x"), "same": False})]
    assert words == ["a"]


def test_what_cannot_run_is_refused_before_anything_runs() -> None:
    with pytest.raises(InvalidFlow, match=r"Load has no slot 'input' \(it has page, twice\)"):
        run_turn(Load("x"))
    with pytest.raises(ValueNotEncodable, match="'url'"):
        run_turn(Fetch(), url=threading.Lock())


def test_a_message_that_does_not_fit_is_a_failed_attempt_as_it_would_be_in_a_job() -> None:
    result = run_turn(Acting(), "exact", column=1)
    assert result.error is not None
    assert (result.error.type, result.error.retryable) == ("InvalidInput", False)
