"""Rows made from a job's document."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from sojourn.runtime.document import Presentation, job_document
from sojourn.runtime.document_image import image_from_document
from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.flow import Connection, FlowSpec, IdleHook
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import JobImage, JobStatus, MessageRow, Outcome, RoutineCounts
from tests.runtime.job_images import BLOB_DIGEST, FLOW, entry, fields, make_image

AGAIN = IdleHook("approve", "idle")


def document_of(image: JobImage, flow: FlowSpec = FLOW) -> dict[str, Any]:
    return job_document(image, flow, Presentation("b", 0.0, len(image.history)))


def changed(*path: str | int, value: object) -> dict[str, Any]:
    document = copy.deepcopy(document_of(make_image()))
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    return document


def test_rows_come_back_as_they_were() -> None:
    given = make_image()

    found = image_from_document(document_of(given), FLOW)

    assert found.flow == given.flow
    assert found.messages == given.messages
    assert found.attributes == given.attributes
    assert found.shared == given.shared
    assert found.origins == given.origins
    assert found.questions == [row._replace(message=0) for row in given.questions]
    assert [row._replace(retry_count=0) for row in found.history] == [
        row._replace(retry_count=0) for row in given.history
    ]
    assert [row.digest for row in found.blobs] == [BLOB_DIGEST]


def test_the_head_comes_back_but_for_what_a_document_does_not_say() -> None:
    given = make_image().head

    found = image_from_document(document_of(make_image()), FLOW).head

    assert found == msgspec.structs.replace(
        given, held=False, submission="", next_message=9, next_sequence=11
    )


def test_the_retries_granted_are_counted_from_the_failures_before() -> None:
    image = make_image()
    image.messages = []
    image.history = [
        entry(1, 1, "failing", Outcome.FAILED, final=False, retry_count=1),
        entry(2, 1, "failing", Outcome.INTERRUPTED, attempt=2, final=False, retry_count=1),
        entry(3, 1, "failing", Outcome.FAILED, attempt=2, final=False, retry_count=2),
        entry(4, 1, "failing", Outcome.SKIPPED, attempt=3, retry_count=2),
        entry(5, 2, "failing", Outcome.SUCCEEDED),
    ]
    image.origins = {1: image.origins[1]}

    found = image_from_document(document_of(image), FLOW)

    assert found.history == image.history
    assert found.counts == {"failing": RoutineCounts(1, 0, 1, 0)}


def test_a_job_that_is_paused_without_a_question_is_held() -> None:
    image = make_image()
    image.questions = []

    assert image_from_document(document_of(image), FLOW).head.held


@pytest.mark.parametrize("status", ["moving", "moved"])
def test_a_job_whose_document_says_only_where_it_went_is_taken_for_running(status: str) -> None:
    found = image_from_document(changed("status", value=status), FLOW)

    assert found.head.status is JobStatus.RUNNING


# --- when_idle ------------------------------------------------------------------------------


def idle_job(*, hooks: int, connected: bool = False) -> tuple[FlowSpec, JobImage]:
    """Make a job that got one message for its ``when_idle`` slot."""
    flow = msgspec.structs.replace(
        FLOW, when_idle=(AGAIN,) * hooks,
        connections=(
            *FLOW.connections,
            *((Connection("failing", "failed", "approve", "idle"),) if connected else ()),
        ),
    )
    image = make_image()
    image.head.flow_digest = flow_digest(flow)
    image.messages = [MessageRow(0, 20, "approve", "idle", fields(), 0, 0, 0.0, None)]
    image.history = [entry(1, 1, "fetch", Outcome.SUCCEEDED)]
    return flow, image


@pytest.mark.parametrize("hooks", [1, 2])
def test_a_when_idle_that_was_delivered_is_not_delivered_again(hooks: int) -> None:
    flow, image = idle_job(hooks=hooks)

    assert image_from_document(document_of(image, flow), flow).head.hooks_delivered == 1


def test_a_when_idle_whose_message_ended_was_delivered() -> None:
    flow, image = idle_job(hooks=1)
    image.messages = []
    image.history = [
        entry(1, 20, "approve", Outcome.FAILED, final=False, slot="idle"),
        entry(2, 20, "approve", Outcome.SUCCEEDED, attempt=2, slot="idle"),
    ]

    assert image_from_document(document_of(image, flow), flow).head.hooks_delivered == 1


def test_a_message_that_a_connection_may_have_brought_is_no_sign_of_when_idle() -> None:
    flow, image = idle_job(hooks=1, connected=True)

    assert image_from_document(document_of(image, flow), flow).head.hooks_delivered == 0


def test_a_completed_job_had_every_when_idle() -> None:
    flow, image = idle_job(hooks=2)
    image.messages = []
    image.head.status = JobStatus.COMPLETED

    assert image_from_document(document_of(image, flow), flow).head.hooks_delivered == 2


# --- refused --------------------------------------------------------------------------------


def test_a_document_of_another_flow_is_refused_with_both_digests() -> None:
    other = msgspec.structs.replace(FLOW, id="other")

    with pytest.raises(DocumentRefused) as refused:
        image_from_document(document_of(make_image()), other)

    assert flow_digest(FLOW) in refused.value.message
    assert flow_digest(other) in refused.value.message


HISTORY = document_of(make_image())["history"]
PENDING = document_of(make_image())["pending"]
WAITING = document_of(make_image())["waiting"]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (changed("history_total", value=10), r"holds 9 of 10 history entries: use `sojourn export demo-1"),
        (changed("pending_total", value=4), r"holds 3 of 4 pending messages: use `sojourn export demo-1"),
        (changed("history", value=HISTORY[::-1]), "a history entry is out of order"),
        (changed("pending", value=[PENDING[0], PENDING[0], PENDING[2]]), "or there twice"),
        (changed("waiting", value=[WAITING[0], WAITING[0]]), "a question is there twice"),
        (changed("pending", 0, "routine", value="other"), "no slot 'input' of a routine 'other'"),
        (changed("pending", 0, "slot", value="other"), "no slot 'other' of a routine 'failing'"),
        (changed("waiting", 0, "slot", value="other"), "no slot 'other' of a routine 'approve'"),
        (changed("history", 0, "routine", value="other"), "no routine 'other'"),
        (changed("routines", "other", value=document_of(make_image())["routines"]["fetch"]), "'other'"),
        (changed("history", 0, "outcome", value="interrupted"), "message 1 neither ended nor"),
        (changed("input", value={"x": {"$sojourn": "pickle", "value": ""}}), "'pickle' is no type"),
        (changed("shared", "k", value={"$sojourn": "date", "value": "tomorrow"}), r"shared\['k'\]"),
        (changed("created_at", value="2023-13-01T00:00:00.000000Z"), r"RFC3339 .*created_at"),
        (changed("reason", value="\ud800"), "surrogates not allowed"),
        (changed("format", value=9), "has format 9"),
    ],
)
def test_a_document_that_cannot_be_gone_on_from_is_refused(
    document: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DocumentRefused, match=sentence):
        image_from_document(document, FLOW)
