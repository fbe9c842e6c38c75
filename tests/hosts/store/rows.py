"""Rows to put into a store, with values that no two columns share, so that swapped columns show."""

from __future__ import annotations

from typing import Any

import msgspec

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
    Ownership,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    Writes,
)

NOW = 1_700_000_000.0
DAY = 24 * 3600.0
DIGEST = "sha256:flow"
FLOW = b"the flow"


def head(job_id: str = "job", **changes: Any) -> JobHead:
    """Make the head of a job that runs."""
    plain = JobHead(
        job_id=job_id, instance=f"instance of {job_id}", flow_id="flow", flow_digest=DIGEST, epoch=1,
        status=JobStatus.RUNNING, created_at=NOW, input=b"\x80", handoffs=[],
    )
    return msgspec.structs.replace(plain, **changes)


def message(job: int, number: int, **changes: Any) -> MessageRow:
    """Make a message that is ready."""
    return MessageRow(job, number, "load", "page", b"data", 0, 0, 0.0, None)._replace(**changes)


def entry(job: int, sequence: int, **changes: Any) -> HistoryRow:
    """Make the entry of a first attempt that succeeded."""
    return HistoryRow(
        job, sequence, sequence, "load", "page", 1, int(Outcome.SUCCEEDED), 1, 0, 7, NOW, NOW + 0.5,
        None,
    )._replace(**changes)


def line(job: int, sequence: int, **changes: Any) -> LogRow:
    """Make a line of a log."""
    plain = LogRow(job, sequence, "load", 3, 1, NOW, "stdout", f"line {sequence}")
    return plain._replace(**changes)


def started(row: int, job: JobHead | None = None) -> Writes:
    """Make the round that submits a job."""
    writes = Writes()
    writes.flows_put[DIGEST] = FLOW
    writes.heads[row] = job or head(f"job-{row}")
    return writes


def whole_image(row: int) -> JobImage:
    """Make a job that has something of everything, as a store reads it back."""
    failed = entry(
        row, 2, message=4, slot="input", attempt=3, outcome=int(Outcome.FAILED), final=0,
        retry_count=2, origin=8, error=b"why",
    )
    return JobImage(
        flow=FLOW,
        head=head(
            "whole", epoch=3, status=JobStatus.FAILED, ownership=Ownership.OWNED, moved_to="b",
            reason="waits", held=True, cancelling=True, result=b"\x81\xa1a\x01",
            error=JobError("ValueError", "no", "Traceback", "load"), finished_at=NOW + 9,
            hooks_delivered=1, handoffs=[HandoffFigures("a", "b", 2, 1234, {"freeze": 0.5}, 2.5)],
            submission="digest", next_message=10, next_sequence=20,
        ),
        messages=[
            message(row, 4, routine="parse", slot="input", data=b"four", attempts=3, retry_count=2,
                    due=NOW + 0.3, progress=b"\x80"),
            message(row, 5, due=None),
            message(row, 6),
        ],
        history=[entry(row, 1, retry_count=1), failed],
        attributes=[
            AttributeRow(row, "load", "", "a", b"1"),
            AttributeRow(row, "load", "key", "a", b"2"),
            AttributeRow(row, "parse", "", "b", b"3"),
        ],
        shared=[SharedRow(row, "k", b"4"), SharedRow(row, "l", b"5")],
        questions=[
            QuestionRow(row, "q1", 4, "parse", "answer", "Go on?", NOW, None),
            QuestionRow(row, "q2", 5, "load", "reply", "Sure?", NOW + 1, NOW + 60),
        ],
        logs=[line(row, 1), line(row, 2, stream="log", text="ä\n")],
        blobs=[BlobRow(row, "aa", 100_000), BlobRow(row, "bb", 70_000)],
        origins={7: Origin("a", 1, "sha256:one"), 8: Origin("b", 2, "sha256:two")},
        counts={"load": RoutineCounts(1, 0, 0, 1)},
    )


def writes_of(row: int, image: JobImage) -> Writes:
    """Make the round that puts a whole image on disk."""
    writes = Writes()
    writes.flows_put[image.head.flow_digest] = image.flow
    writes.heads[row] = image.head
    writes.origins_put = dict(image.origins)
    writes.messages_put = list(image.messages)
    writes.history = list(image.history)
    writes.attributes = {(a.job, a.routine, a.key, a.name): a.value for a in image.attributes}
    writes.shared = {(s.job, s.key): s.value for s in image.shared}
    writes.questions_put = list(image.questions)
    writes.logs = list(image.logs)
    writes.blobs_put = list(image.blobs)
    return writes
