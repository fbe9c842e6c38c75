"""The examples as users would test them: in virtual time, with moves and crashes at every turn."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import agent, corpus, long_computation, seed
from sojourn.testing import FlowTester

# Any: options as a caller would write them.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "moved": {"move_every_turn": True},
    "crashed": {"crash_every_turn": True},
    "moved and crashed": {"move_every_turn": True, "crash_every_turn": True, "seed": 5},
    "actors kept": {"restart_every_turn": False},
}
EVERY_WAY = pytest.mark.parametrize("options", list(WAYS.values()), ids=list(WAYS))
FILES = 10
QUESTION = "How do tides work?"
SOURCE_FILES = functools.cache(corpus.source_files)
COUNT_TOKENS = functools.cache(corpus.count_tokens)


def charged(tester: FlowTester, routine: str) -> list[tuple[int, str]]:
    """Give the attempts that count."""
    return [
        (entry["attempt"], entry["outcome"])
        for entry in tester.history if entry["routine"] == routine and entry["outcome"] != "interrupted"
    ]


@EVERY_WAY
def test_the_seed_fails_at_its_fifth_attempt_and_never_earlier(options: dict[str, Any]) -> None:
    tester = FlowTester(seed.flow, **options)
    tester.submit()
    state = tester.run(until="failing.retry_count >= 2")
    assert state.retry_count("failing") == 2
    tester.move("b", seconds=3600.0)
    assert tester.job.pending[0]["due_in"] == pytest.approx(0.45, abs=1e-3)

    state = tester.run()
    assert state.status == "failed"
    assert state.retry_count("failing") == 4
    assert state.error is not None
    assert state.error["message"] == "Simulated failure on attempt 5"
    assert charged(tester, "failing") == [(n, "failed") for n in range(1, 6)]
    assert charged(tester, "success") == []
    assert tester.attributes("failing") == {"delay": 0.5, "attempt_count": 5}
    if not options:
        # 1 s of work, five attempts of 0.5 s, backoffs of 0.3 * 1.5**n, and an hour on the road
        assert tester.elapsed == pytest.approx(3600.0 + 1.0 + 2.5 + 0.3 + 0.45 + 0.675 + 1.0125)
        assert [entry["host"] for entry in tester.history] == ["host-1"] * 3 + ["b"] * 3


@EVERY_WAY
def test_the_agent_waits_for_its_approval_and_publishes(options: dict[str, Any]) -> None:
    tester = FlowTester(agent.flow, **options)
    tester.submit(question=QUESTION)
    state = tester.run()
    assert state.status == "paused"
    draft = "\n".join(agent.think(f"the {aspect} of {QUESTION!r}") for aspect in agent.ASPECTS)
    assert state.waiting[0]["prompt"] == f"Publish this draft?\n{draft}"
    assert (2, "succeeded") in charged(tester, "research"), "one sub-question needed a second attempt"

    tester.advance(7 * 24 * 3600.0)
    tester.move()
    tester.answer(approved=True)
    assert tester.result() == {"question": QUESTION, "published": True, "text": draft}


def test_the_agent_keeps_to_itself_what_was_not_approved() -> None:
    tester = FlowTester(agent.flow)
    tester.submit(question=QUESTION)
    tester.run()
    tester.answer(approved=False)
    assert tester.result()["text"] == ""


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Look for the library's files once, and count their tokens in one process."""
    monkeypatch.setattr(corpus, "source_files", SOURCE_FILES)
    monkeypatch.setattr(corpus, "count_tokens", COUNT_TOKENS)
    return corpus.reference(FILES)


@EVERY_WAY
def test_the_corpus_comes_to_what_one_process_counts(
    options: dict[str, Any], few_files: dict[str, int], tmp_path: Path
) -> None:
    tester = FlowTester(corpus.flow, **options)
    database = tmp_path / "corpus.db"
    tester.submit(database=str(database), limit=FILES)
    assert tester.result() == {
        "files": FILES, "tokens": sum(few_files.values()), "messages": 2 * FILES + 1,
    }
    with closing(sqlite3.connect(database)) as connection:
        assert dict(connection.execute("SELECT kind, tokens FROM totals")) == few_files
    assert charged(tester, "tokenize").count((1, "failed")) == 2, "every seventh file"


@EVERY_WAY
@pytest.mark.parametrize("every", [0.0, 1e9], ids=["a checkpoint a step", "no checkpoint but for moves"])
def test_the_long_computation_comes_to_what_one_loop_finds(
    options: dict[str, Any], every: float, tmp_path: Path
) -> None:
    steps = 5
    below = steps * long_computation.STEP
    ledger = tmp_path / "ledger"
    tester = FlowTester(long_computation.flow, **options)
    tester.submit(below=below, every=every, ledger=str(ledger))
    result = tester.result()
    length, number = long_computation.reference(below)
    assert (result["length"], result["number"], result["steps"]) == (length, number, steps)
    # A move finds it at a checkpoint; a crash at the end of a turn without one costs the whole turn.
    lost = steps if options.get("crash_every_turn") and every else 0
    assert result["done_again"] == lost
    assert {entry["attempt"] for entry in tester.history} == {1}


@settings(max_examples=25)
@given(number=st.integers(0, 2**32), move=st.booleans(), crash=st.booleans(), restart=st.booleans())
def test_in_whatever_order_the_agent_works_the_draft_is_the_same(
    number: int, move: bool, crash: bool, restart: bool
) -> None:
    tester = FlowTester(
        agent.flow, seed=number, move_every_turn=move, crash_every_turn=crash, restart_every_turn=restart
    )
    tester.submit(question=QUESTION)
    tester.run()
    tester.answer(approved=True)
    plain = FlowTester(agent.flow)
    plain.submit(question=QUESTION)
    plain.run()
    plain.answer(approved=True)
    assert tester.result() == plain.result()
