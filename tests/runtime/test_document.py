"""A job's document, and ``JobState`` around it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.runtime.document import JobState, Presentation, job_document, shown_status
from sojourn.runtime.document_format import Time, rfc3339
from sojourn.runtime.errors import DocumentRefused, NotFound
from sojourn.runtime.job import HandoffFigures, JobStatus, MessageRow, Ownership
from tests.runtime.job_images import FLOW, NOW, fields, make_failed_head, make_head, make_image

GOLDEN = Path(__file__).parent / "golden" / "job_document.json"
TOTAL = 9
OPTIONAL = ("format", "pending_total", "priority")
"""Fields that older documents lack, or that a sentence of its own is about."""


def shown(**changes: Any) -> Presentation:
    return msgspec.structs.replace(Presentation("b", 0.0, TOTAL), **changes)


def document(**changes: Any) -> dict[str, Any]:
    return job_document(make_image(), FLOW, shown(**changes))


# --- the document ---------------------------------------------------------------------------


def test_a_document_is_exactly_the_stored_one() -> None:
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"

    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_finished_job_shows_its_error_and_when_it_ended() -> None:
    image = make_image()
    image.head = make_failed_head()

    found = job_document(image, FLOW, shown())

    assert found["status"] == "failed"
    assert found["finished_at"] == "2023-11-14T22:13:30.500000Z"
    assert found["result"] == {}
    assert found["error"] == {
        "type": "ValueError", "message": "no", "traceback": "Traceback …", "routine": "failing",
    }


@pytest.mark.parametrize(
    ("status", "ownership", "moved_to", "moving", "running", "expected"),
    [
        (JobStatus.QUEUED, Ownership.OWNED, None, False, False, "queued"),
        (JobStatus.QUEUED, Ownership.OWNED, None, False, True, "running"),
        (JobStatus.PAUSED, Ownership.OWNED, None, False, True, "paused"),
        (JobStatus.PAUSED, Ownership.OWNED, None, True, False, "moving"),
        (JobStatus.RUNNING, Ownership.RELEASED, "b", False, False, "moving"),
        (JobStatus.RUNNING, Ownership.GONE, "b", True, False, "moved"),
        (JobStatus.COMPLETED, Ownership.OWNED, None, False, False, "completed"),
        (JobStatus.RUNNING, Ownership.FORGOTTEN, "b", False, False, "moved"),
        (JobStatus.FAILED, Ownership.FORGOTTEN, None, False, False, "failed"),
    ],
)
def test_the_status_that_is_shown_says_whose_the_job_is(
    status: JobStatus, ownership: Ownership, moved_to: str | None, moving: bool, running: bool,
    expected: str,
) -> None:
    head = msgspec.structs.replace(make_head(), status=status, ownership=ownership, moved_to=moved_to)

    assert shown_status(head, moving=moving, running=running) == expected


def test_a_job_in_doubt_says_so_as_its_reason() -> None:
    assert document(in_doubt="host c doesn't answer")["reason"] == "host c doesn't answer"
    assert document()["reason"] == "held by hand"


def test_a_routine_shows_the_highest_retry_count_of_its_pending_messages() -> None:
    image = make_image()
    image.messages.append(MessageRow(0, 9, "failing", "input", fields(), 4, 3, 1.0, None))
    image.messages.append(MessageRow(0, 10, "failing", "input", fields(), 1, 1, 1.0, None))

    assert job_document(image, FLOW, shown())["routines"]["failing"]["retry_count"] == 3


def test_a_page_of_pending_messages_does_not_hide_the_highest_retry_count() -> None:
    image = make_image()
    image.messages = image.messages[:1]

    found = job_document(
        image, FLOW, shown(pending_total=200, pending_retries={"failing": 4, "approve": 1})
    )

    assert found["pending_total"] == 200
    assert found["routines"]["failing"]["retry_count"] == 4
    assert found["routines"]["approve"]["retry_count"] == 1


def test_a_routine_without_pending_messages_shows_the_retry_count_of_the_last_that_ended() -> None:
    image = make_image()
    image.messages = []

    assert job_document(image, FLOW, shown())["routines"]["failing"]["retry_count"] == 1


def test_a_routine_that_never_ran_is_shown_with_zeros() -> None:
    image = make_image()
    image.messages, image.attributes, image.counts = [], [], {}

    found = job_document(image, FLOW, shown())["routines"]

    nothing: dict[str, Any] = {"retry_count": 0, "succeeded": 0, "failed": 0, "skipped": 0, "state": {}}
    assert found == {"fetch": nothing, "failing": nothing, "approve": nothing}


@pytest.mark.parametrize(
    ("due", "expected"), [(NOW + 2.5, 2.5), (NOW - 1.0, 0.0), (0.0, 0.0), (None, None)]
)
def test_a_due_time_is_told_in_seconds_from_now_and_never_below_zero(
    due: float | None, expected: float | None
) -> None:
    image = make_image()
    image.messages = [image.messages[0]._replace(due=due)]
    image.questions = [image.questions[0]._replace(due=due)]

    found = job_document(image, FLOW, shown(now=NOW))

    assert found["pending"][0]["due_in"] == expected
    assert found["waiting"][0]["due_in"] == expected


@given(st.floats(min_value=0.0, max_value=4e9))
def test_a_time_is_written_as_the_calendar_writes_it(seconds: float) -> None:
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    assert rfc3339(seconds) == moment.isoformat(timespec="microseconds") + "Z"


@pytest.mark.parametrize("seconds", [1.9999996, 0.9999995, 1.0000005, 59.9999999, 2.5e-6])
def test_a_time_is_rounded_like_the_calendar_rounds(seconds: float) -> None:
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    assert rfc3339(seconds) == moment.isoformat(timespec="microseconds") + "Z"


def test_figures_that_are_no_numbers_are_unknown() -> None:
    image = make_image()
    image.head.handoffs = [HandoffFigures("a", "b", 2, 1, {"freeze": math.nan}, math.inf)]

    (found,) = job_document(image, FLOW, shown())["handoffs"]

    assert (found["phases_ms"], found["downtime_ms"]) == (None, None)


def test_a_time_is_utc_with_six_digits_of_microseconds() -> None:
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339(1_700_000_000.25) == "2023-11-14T22:13:20.250000Z"
    assert rfc3339(None) is None


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000))
def test_a_time_of_whole_microseconds_comes_back(microseconds: int) -> None:
    text = rfc3339(microseconds / 1e6)

    assert text is not None
    assert msgspec.convert(text, Time).timestamp() == microseconds / 1e6


# --- JobState -------------------------------------------------------------------------------


def test_a_job_state_round_trips_as_json() -> None:
    state = JobState.deserialize(json.loads(json.dumps(document())))

    assert state.serialize() == document()


def test_a_job_state_is_read_from_text_like_from_a_document() -> None:
    text = msgspec.json.encode(document())
    state = JobState(text)

    assert state.status == "paused"
    assert state.serialize() == document()
    assert state.serialize() is state.serialize()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "is no JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "has no 'format'"),
        (b'{"format": 2}', "has format 2, this sojourn reads 1"),
        (msgspec.json.encode(document() | {"format": 2}), "has format 2"),
        (msgspec.json.encode(document() | {"epoch": "2"}), "epoch"),
        (json.dumps(document() | {"epoch": float("nan")}).encode(), "epoch"),
    ],
)
def test_text_that_is_no_job_state_is_refused_with_a_sentence(text: bytes, sentence: str) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        JobState(text)


def test_what_json_can_say_beside_plain_numbers_is_read_from_text_too() -> None:
    odd = document() | {"shared": {"ratio": float("inf"), "half": "\ud800"}}

    assert JobState(json.dumps(odd).encode()).shared == odd["shared"]


@pytest.mark.parametrize("source", [document, lambda: msgspec.json.encode(document())])
def test_a_job_state_tells_what_the_document_says(source: Callable[[], Any]) -> None:
    state = JobState(source())

    assert (state.job_id, state.status, state.epoch, state.host) == ("demo-1", "paused", 2, "b")
    assert state.reason == "held by hand"
    assert state.error is None
    assert state.result == {"total": {"$sojourn": "decimal", "value": "1.50"}}
    assert state.retry_count("failing") == 2
    assert state.state("failing") == {"attempt_count": 2, "delay": 0.5}
    assert [entry["message"] for entry in state.pending] == [2, 7, 8]
    assert [entry["question"] for entry in state.waiting] == ["q-1", "q-2"]
    assert [entry["seq"] for entry in state.history] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert sorted(state.shared) == ["seen", "when"]
    assert state.handoffs[0]["downtime_ms"] == 2.6


def test_a_routine_that_the_flow_lacks_is_named_with_those_it_has() -> None:
    state = JobState.deserialize(document())

    with pytest.raises(NotFound, match="no routine 'other': it has fetch, failing, approve"):
        state.retry_count("other")
    with pytest.raises(NotFound, match="no routine 'other'"):
        state.state("other")


def _changed(*path: str | int, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(document())
    part: Any = changed
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return changed


@pytest.mark.parametrize("field", [name for name in document() if name not in OPTIONAL])
def test_a_document_without_one_of_its_fields_is_refused_by_name(field: str) -> None:
    damaged = document()
    del damaged[field]

    with pytest.raises(DocumentRefused, match=f"no job state: .*`{field}`"):
        JobState.deserialize(damaged)


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        (None, "must be a JSON object"),
        ([document()], "must be a JSON object"),
        ({}, "has no 'format'"),
        (_changed("format", value=2), "has format 2, this sojourn reads 1"),
        (_changed("format", value="1"), "has format '1'"),
        (_changed("status", value="dancing"), "Invalid enum value 'dancing'"),
        (_changed("job_id", value="a/b"), "job_id"),
        (_changed("job_id", value="a\n"), "job_id"),
        (_changed("epoch", value="2"), "epoch"),
        (_changed("epoch", value=2**63), "epoch"),
        (_changed("created_at", value="yesterday"), "created_at"),
        (_changed("created_at", value="2023-13-14T22:13:20.250000Z"), "created_at"),
        (_changed("created_at", value="2023-11-14T22:13:20.250000"), "created_at"),
        (_changed("pending", 0, "due_in", value=-0.1), "due_in"),
        (_changed("pending", 0, "due_in", value=float("nan")), "due_in"),
        (_changed("pending", 0, "attempts", value=None), "attempts"),
        (_changed("history", 0, "outcome", value="lost"), "outcome"),
        (_changed("history", 0, "error", value="text"), "error"),
        (_changed("routines", "failing", value={}), "routines"),
        (_changed("handoffs", 0, "from", value=None), "from"),
    ],
)
def test_what_is_no_job_state_is_refused_with_a_sentence(damaged: object, sentence: str) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        JobState.deserialize(damaged)
