"""Where a job came from, and what the entries of several moves come to."""

from __future__ import annotations

import pytest

from sojourn.runtime.errors import HandoffAborted, HandoffInDoubt, NotFound, Refused
from sojourn.runtime.handoff.journeys import came_from
from sojourn.runtime.job import HandoffFigures, JobHead, JobStatus
from sojourn.runtime.moved import Json, Outcome, exit_code, failure_of, moved_entry, other_entry


def head(*journeys: tuple[str, str]) -> JobHead:
    found = JobHead("job", "instance", "flow", "digest", len(journeys) + 1, JobStatus.RUNNING, 0.0, b"")
    found.handoffs = [
        HandoffFigures(source, target, epoch, 1)
        for epoch, (source, target) in enumerate(journeys, 2)
    ]
    return found


def entry(job: str, outcome: Outcome, error: str | None = None) -> Json:
    if outcome is Outcome.MOVED:
        return moved_entry({"job_id": job, "from": "a", "to": "b", "epoch": 2, "bytes": 1})
    return other_entry(job, outcome, host="a", source="a", error=error, reason=f"{job} stays")


@pytest.mark.parametrize(
    ("journeys", "source"),
    [
        ([("a", "b")], "a"),
        ([("a", "c"), ("c", "b")], "c"),
        ([("a", "b"), ("b", "c"), ("c", "b")], "c"),
        ([("a", "b"), ("b", "c")], "a"),
    ],
    ids=["once", "over another host", "there and back", "taken back by force after it left"],
)
def test_a_job_came_from_whoever_gave_it_last(journeys: list[tuple[str, str]], source: str) -> None:
    assert came_from(head(*journeys), "b") == source


@pytest.mark.parametrize("journeys", [[], [("b", "c")]], ids=["never moved", "only ever left"])
def test_a_job_that_never_came_has_nowhere_to_go_back_to(journeys: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused, match=r"job job never moved to host 'b'.*sojourn migrate job --to HOST"):
        came_from(head(*journeys), "b")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0),
        ([Outcome.MOVED, Outcome.ENDED], 0),
        ([Outcome.MOVED, Outcome.STAYS], 7),
        ([Outcome.STAYS, Outcome.IN_DOUBT, Outcome.MOVED], 8),
    ],
)
def test_the_exit_code_is_that_of_the_worst(outcomes: list[Outcome], code: int) -> None:
    entries = [entry(str(number), outcome) for number, outcome in enumerate(outcomes)]
    assert exit_code(entries) == code
    failure = failure_of(entries)
    assert code == (0 if failure is None else failure.exit_code)


def test_the_error_keeps_what_was_done_and_names_a_few_of_those_that_were_not() -> None:
    entries = [entry("moved", Outcome.MOVED), entry("gone", Outcome.STAYS, "NotFound")]
    entries += [entry(f"job-{number}", Outcome.STAYS) for number in range(5)]
    failure = failure_of(entries)
    assert isinstance(failure, HandoffAborted)
    assert [moved.job_id for moved in failure.handoffs] == ["moved"]
    assert isinstance(failure.errors["gone"], NotFound)
    assert isinstance(failure.errors["job-4"], HandoffAborted)
    assert failure.message == (
        "6 of 7 jobs did not move: gone stays; job-0 stays; job-1 stays; and 3 more"
    )
    assert isinstance(failure_of([entry("one", Outcome.IN_DOUBT)]), HandoffInDoubt)
