"""One job that has something of everything, as a store would give it, and its flow.

Times end on half seconds and microseconds, which floats and documents both hold exactly.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    IdleHook,
    RoutineSpec,
    SlotSpec,
    encode_flow,
)
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HandoffFigures,
    HistoryRow,
    JobError,
    JobHead,
    JobImage,
    JobStatus,
    LogRow,
    MessageRow,
    Origin,
    Outcome,
    QuestionRow,
    RoutineCounts,
    SharedRow,
)
from sojourn.runtime.values import digest_of, encode, encode_fields
from sojourn.runtime.values_json import from_json
from sojourn.runtime.wire.actor import TurnError

NOW = 1_700_000_000.0
BLOB = encode("as if it were large")
BLOB_DIGEST = digest_of(BLOB)
BLOB_REFERENCE = from_json(
    {"$sojourn": "blob", "digest": BLOB_DIGEST, "size": len(BLOB)}, where="blob"
)

_EVENTS = (EventSpec("output"), EventSpec("failed"))
FLOW = FlowSpec(
    id="retry_demo",
    entry="fetch",
    routines=(
        RoutineSpec(
            "fetch", "demo:Fetch", encode({"args": [], "kwargs": {}}),
            (SlotSpec("input", open=True),), _EVENTS,
        ),
        RoutineSpec(
            "failing", "demo:Failing", encode({"args": [0.5], "kwargs": {}}),
            (SlotSpec("input", open=True),), _EVENTS,
            handler=HandlerSpec(strategy=ErrorStrategy.RETRY, max_retries=4, retry_delay=0.3),
        ),
        RoutineSpec(
            "approve", "demo:Approve", encode({"args": [], "kwargs": {}}),
            (SlotSpec("input", open=True), SlotSpec("answer", ("yes",)), SlotSpec("idle", open=True)),
            _EVENTS,
        ),
    ),
    connections=(
        Connection("fetch", "output", "failing", "input"),
        Connection("failing", "output", "approve", "input"),
    ),
    when_idle=(IdleHook("approve", "idle"),),
)


def entry(
    sequence: int, message: int, routine: str, outcome: Outcome, *, attempt: int = 1, final: bool = True,
    retry_count: int = 0, origin: int = 1, slot: str = "input",
) -> HistoryRow:
    """Make an entry; one that failed or was skipped has a ``ValueError``."""
    bad = outcome in (Outcome.FAILED, Outcome.SKIPPED)
    error = msgspec.msgpack.encode(TurnError("ValueError", f"attempt {attempt}")) if bad else None
    return HistoryRow(
        0, sequence, message, routine, slot, attempt, int(outcome), int(final), retry_count, origin,
        NOW + sequence, NOW + sequence + 0.5, error,
    )


def fields(**named: object) -> bytes:
    """Encode named values."""
    return encode_fields(named, where="fields")


def make_head() -> JobHead:
    """Make the head of a job that is paused by someone while a question is open."""
    return JobHead(
        job_id="demo-1", instance="018bcfe5-6800-7000-8000-000000000000", flow_id=FLOW.id,
        flow_digest=flow_digest(FLOW), epoch=2, status=JobStatus.PAUSED, created_at=NOW + 0.000001,
        input=fields(url="http://x", tags={"a"}), reason="held by hand", held=True,
        result=fields(total=Decimal("1.50")),
        handoffs=[
            HandoffFigures(
                "a", "b", 2, 1234,
                {"precopy": 1.0, "freeze": 0.4, "delta": 0.5, "commit": 0.6, "activate": 1.1}, 2.6,
            )
        ],
        hooks_delivered=0, submission="sha256:submission", next_message=9, next_sequence=12, priority=2,
    )


def make_image() -> JobImage:
    """Make the job: due times count from the export, as in an image that travels."""
    failed, succeeded = Outcome.FAILED, Outcome.SUCCEEDED
    history = [
        entry(1, 1, "fetch", succeeded),
        entry(2, 2, "failing", failed, attempt=1, final=False, retry_count=1),
        entry(3, 3, "failing", failed, attempt=1, final=False, retry_count=1),
        entry(5, 3, "failing", Outcome.INTERRUPTED, attempt=2, final=False, retry_count=1),
        entry(6, 3, "failing", succeeded, attempt=2, retry_count=1, origin=2),
        entry(7, 2, "failing", failed, attempt=2, final=False, retry_count=2, origin=2),
        entry(8, 4, "approve", succeeded, origin=2),
        entry(9, 5, "approve", Outcome.SKIPPED, retry_count=3, origin=2),
        entry(10, 6, "approve", failed, retry_count=0, origin=2),
    ]
    return JobImage(
        flow=encode_flow(FLOW),
        head=make_head(),
        messages=[
            MessageRow(
                0, 2, "failing", "input", fields(body=(1, 2)), 2, 2, 0.3125, fields(page=7)
            ),
            MessageRow(0, 7, "failing", "input", fields(), 0, 0, 0.0, None),
            MessageRow(0, 8, "approve", "input", fields(), 1, 0, None, None),
        ],
        history=history,
        attributes=[
            AttributeRow(0, "failing", "", "attempt_count", encode(2)),
            AttributeRow(0, "failing", "", "delay", encode(0.5)),
            AttributeRow(0, "fetch", "", "page", BLOB_REFERENCE),
        ],
        shared=[
            SharedRow(0, "seen", encode({1, 2})),
            SharedRow(0, "when", encode(datetime(2024, 1, 2, tzinfo=UTC))),
        ],
        questions=[
            QuestionRow(0, "q-1", 4, "approve", "answer", "Go on?", NOW + 8, None),
            QuestionRow(0, "q-2", 6, "approve", "answer", "Sure?", NOW + 9, 59.5),
        ],
        logs=[
            LogRow(0, 1, "fetch", 1, 1, NOW + 1.125, "stdout", "fetching"),
            LogRow(0, 2, "failing", 2, 1, NOW + 2.7182818, "log", "ä\n"),
        ],
        blobs=[BlobRow(0, BLOB_DIGEST, len(BLOB))],
        origins={1: Origin("a", 1, "sha256:one"), 2: Origin("b", 2, "sha256:two")},
        counts={
            "fetch": RoutineCounts(1, 0, 0, 0),
            "failing": RoutineCounts(1, 0, 0, 1),
            "approve": RoutineCounts(1, 1, 1, 0),
        },
    )


def make_failed_head() -> JobHead:
    """Make the head of a job that failed and was finished."""
    return msgspec.structs.replace(
        make_head(), status=JobStatus.FAILED, held=False, reason=None, finished_at=NOW + 10.5,
        error=JobError("ValueError", "no", "Traceback …", "failing"), result=None,
    )
