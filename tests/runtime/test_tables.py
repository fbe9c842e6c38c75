"""The tables of the machines: complete, free of contradictions, and what docs/ shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sojourn.runtime.handoff.table import (
    SOURCE_TRANSITIONS,
    TARGET_TRANSITIONS,
    SourceState,
    SourceStep,
    TargetState,
    TargetStep,
)
from sojourn.runtime.job import JobStatus
from sojourn.runtime.job_table import TRANSITIONS, JobEvent, next_status
from sojourn.runtime.transitions import Transition

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)
ARROW = re.compile(r"^    (\S+) --> (\S+): (.+)$", re.MULTILINE)


def test_the_page_in_docs_is_what_the_tables_give() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        cwd=DOCS.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_arrow_and_row_of_the_page_is_a_transition() -> None:
    text = (DOCS / "state-machines.md").read_text()
    known = {
        (row.source, row.event, row.target)
        for row in (*TRANSITIONS, *SOURCE_TRANSITIONS, *TARGET_TRANSITIONS)
    }
    arrows = {(source, event, target) for source, target, event in ARROW.findall(text)}
    assert arrows == known
    assert set(ROW.findall(text)) - {("from", "event", "to")} == known


@pytest.mark.parametrize("table", [TRANSITIONS, SOURCE_TRANSITIONS, TARGET_TRANSITIONS])
def test_no_state_goes_two_ways_on_one_event(table: tuple[Transition, ...]) -> None:
    keys = [(row.source, row.event) for row in table]
    assert len(keys) == len(set(keys))


def test_a_finished_job_moves_only_by_retry() -> None:
    for status in JobStatus:
        for event in JobEvent:
            if status.finished and next_status(status, event) is not None:
                assert (status, event) == (JobStatus.FAILED, JobEvent.RETRIED)


def test_every_unfinished_job_can_be_cancelled() -> None:
    stored = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.BLOCKED)
    for status in stored:
        assert next_status(status, JobEvent.CANCELLED) is JobStatus.CANCELLED


def test_nothing_but_force_leads_back_from_the_commit_point() -> None:
    beyond = {SourceState.RELEASED.value, SourceState.GONE.value}
    for row in SOURCE_TRANSITIONS:
        if row.source in beyond:
            assert row.target in beyond or row.event == SourceStep.RECLAIM.value
    for row in TARGET_TRANSITIONS:
        assert row.source != TargetState.DROPPED.value
        if row.source == TargetState.OWNED.value:
            assert row.event == TargetStep.SUPERSEDED.value
