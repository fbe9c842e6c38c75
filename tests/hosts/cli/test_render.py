"""Documents as text for people."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.hosts.cli.render import handoff_text, job_text, jobs_text, line_text, size_text, table
from tests.hosts.job_documents import attempt, failed, handoff, job_document, pending


def lines_of(**changes: object) -> list[str]:
    return job_text(job_document(**changes)).splitlines()


def test_says_what_where_and_at_which_epoch() -> None:
    assert lines_of()[0] == "job job-1 of flow pipeline: running on a, epoch 1"


def test_shows_the_routines_with_their_counters_and_state() -> None:
    assert "ROUTINE  SUCCEEDED  FAILED  SKIPPED  RETRIES  STATE" in lines_of()
    assert "failing  0          0       0        2        tried=2" in lines_of()


def test_a_job_that_moved_tells_where_to_ask() -> None:
    lines = lines_of(status="moved", moved_to="b", pending=[pending(2)], pending_total=1)
    assert lines[:2] == [
        "job job-1 of flow pipeline: moved to b, epoch 1", "ask there: sojourn show job-1 --host b",
    ]
    [row] = [line for line in lines if "failing.input" in line]
    assert "there" in row


def test_a_job_that_was_released_is_not_yet_there() -> None:
    shown = job_text(job_document(status="moving", moved_to="b"))
    assert "ask there" not in shown
    assert "released to b, which has not said yet that it has it" in shown


def test_reason_error_and_result_are_told() -> None:
    assert "reason: no module 'm'" in lines_of(status="blocked", reason="no module 'm'")
    assert "error: ValueError: no such page (routine failing)" in job_text(failed()).splitlines()
    assert 'result: {"rows": 3}' in lines_of(status="completed", result={"rows": 3})


def test_pending_messages_tell_when_they_are_due() -> None:
    lines = lines_of(
        pending=[pending(2), pending(3, due_in=0.0), pending(4, due_in=None)], pending_total=12
    )
    due = {line.split()[0]: line for line in lines if "failing.input" in line}
    assert "in 0.3 s" in due["2"]
    assert "now" in due["3"]
    assert "after `sojourn retry`" in due["4"]
    assert "… and 9 more" in lines
    assert "never" in "\n".join(lines_of(status="cancelled", pending=[pending(2)], pending_total=1))


def test_an_open_question_comes_with_the_command_that_answers_it() -> None:
    question = {
        "question": "q1", "routine": "approve", "slot": "answer", "prompt": "Publish?", "since": "…Z",
        "due_in": None,
    }
    lines = lines_of(status="paused", waiting=[question])
    assert "question q1 of approve: Publish?" in lines
    assert "  answer: sojourn resume job-1 --question q1 --input '{…}'" in lines


def test_history_shows_every_attempt_that_was_asked_for_and_how_many_there_are() -> None:
    error = {"type": "ValueError", "message": "no\nsuch\x1b[2J page " + "x" * 200}
    entries = [attempt(seq) for seq in range(1, 30)] + [attempt(30, "failed", error=error)]
    lines = lines_of(history=entries, history_total=50)
    rows = [line for line in lines if "failing.input #2" in line]
    assert len(rows) == 30
    assert "30 of 50 attempts: --history N [--after SEQ] shows others" in lines
    assert "ValueError: no such\N{REPLACEMENT CHARACTER}[2J page" in rows[-1]
    assert rows[-1].endswith("…")
    assert not [line for line in lines_of(history=entries, history_total=30) if "attempts:" in line]


def test_hand_offs_tell_their_downtime_and_size() -> None:
    (line,) = [line for line in lines_of(handoffs=[handoff()]) if line.startswith("moved")]
    assert line.startswith("moved from a to b: downtime 3.4 ms, 12.3 kB, epoch 2 (ms per phase: precopy ")
    assert lines_of(handoffs=[handoff(phases_ms=None)])[-1].endswith("12.3 kB, epoch 2")
    assert handoff_text(handoff(downtime_ms=None)) == "a to b: downtime unknown, 12.3 kB"


def test_a_priority_is_shown_where_it_isnt_the_usual_one() -> None:
    assert lines_of(priority=2)[0].endswith("epoch 1, priority 2")
    assert "priority" not in "".join(lines_of(priority=0) + lines_of())
    for reason, note in ((None, "priority -1"), ("held", "priority -1, held")):
        listed = {**job_document(priority=-1, reason=reason), "moved_to": None}
        assert jobs_text([listed]).splitlines()[1].endswith(f"  {note}")


def test_no_jobs_come_with_the_command_that_starts_one() -> None:
    assert jobs_text([]) == "no jobs: start one with `sojourn submit MODULE:ATTR`"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12.3 kB"), (5_000_000, "5.0 MB"),
        (7_200_000_000, "7.2 GB"), (7_200_000_000_000, "7200.0 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@given(st.text(), st.one_of(st.none(), st.integers(1, 80)))
def test_anybodys_text_stays_on_one_line_and_can_not_steer_a_terminal(
    text: str, longest: int | None
) -> None:
    shown = line_text(text, longest)
    assert shown.isprintable()
    assert longest is None or len(shown) <= longest


CELLS = st.text(st.characters(codec="ascii", exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), st.booleans())
def test_columns_begin_at_one_place_in_every_line(rows: list[tuple[str, str]], coloured: bool) -> None:
    shown = table(
        ["ONE", "TWO"],
        [[click.style(one, fg="red") if coloured else one, two] for one, two in rows],
    )
    lines = [click.unstyle(line) for line in shown.splitlines()]
    second = lines[0].index("TWO")
    assert [line[:second].rstrip() for line in lines[1:]] == [one for one, _ in rows]
    assert [line[second:] for line in lines[1:]] == [two for _, two in rows]
