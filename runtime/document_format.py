"""Format 1 of a job's document (section 6 of the design): its shape, its version and its times.

Only what a document looks like; ``document`` makes one, ``document_image`` takes one apart.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from math import floor
from typing import Annotated, Any, Literal, cast

import msgspec

from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.job import JobStatus, Priority

FORMAT = 1
Document = dict[str, Any]
"""JSON: what is in it is known by the format, not by Python's types."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What fits a store's integers."""
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=253_000_000_000.0)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
JobId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
OutcomeWord = Literal["succeeded", "failed", "skipped", "interrupted"]


def rfc3339(seconds: float | None) -> str | None:
    """Write a wall-clock time: UTC, microseconds, ``Z``."""
    return None if seconds is None else written_time(seconds)


def written_time(seconds: float) -> str:
    """Write a wall-clock time; a document holds many, most of them within few seconds."""
    whole = floor(seconds)
    microseconds = round((seconds - whole) * 1e6)
    if microseconds == 1_000_000:
        return f"{_written_second(whole + 1)}.000000Z"
    return f"{_written_second(whole)}.{microseconds:06d}Z"


@lru_cache(maxsize=256)
def _written_second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).replace(tzinfo=None).isoformat()


class ErrorPart(msgspec.Struct):
    """Why the job failed."""

    type: str
    message: str
    traceback: str
    routine: str


class RoutinePart(msgspec.Struct):
    """One of ``routines``."""

    retry_count: Count
    succeeded: Count
    failed: Count
    skipped: Count
    state: dict[str, Any]


class PendingPart(msgspec.Struct):
    """One of ``pending``; ``due_in`` in seconds, None while the message waits for ``retry``."""

    message: Count
    routine: str
    slot: str
    data: dict[str, Any]
    attempts: Count
    retry_count: Count
    due_in: Seconds | None
    progress: dict[str, Any]


class WaitingPart(msgspec.Struct):
    """One of ``waiting``; ``due_in`` in seconds until the question times out."""

    question: str
    routine: str
    slot: str
    prompt: str
    since: Time
    due_in: Seconds | None


class AttemptErrorPart(msgspec.Struct):
    """Why an attempt failed."""

    type: str
    message: str


class HistoryPart(msgspec.Struct):
    """One of ``history``."""

    seq: Count
    message: Count
    routine: str
    slot: str
    attempt: Count
    outcome: OutcomeWord
    error: AttemptErrorPart | None
    host: str
    epoch: Count
    code: str
    started_at: Time
    ended_at: Time


class HandoffPart(msgspec.Struct, rename={"source": "from", "target": "to"}):
    """One of ``handoffs``."""

    source: str
    target: str
    epoch: Count
    bytes: Count
    phases_ms: dict[str, float] | None
    downtime_ms: float | None


class JobPart(msgspec.Struct):
    """The whole document.

    Without ``pending_total``, ``pending`` is taken for complete. Older documents know no priority.
    """

    format: int
    job_id: JobId
    instance: str
    flow_id: str
    flow_digest: str
    host: str
    epoch: Count
    moved_to: str | None
    status: JobStatus
    reason: str | None
    input: dict[str, Any]
    result: dict[str, Any]
    shared: dict[str, Any]
    created_at: Time
    finished_at: Time | None
    error: ErrorPart | None
    routines: dict[str, RoutinePart]
    pending: list[PendingPart]
    waiting: list[WaitingPart]
    history: list[HistoryPart]
    history_total: Count
    handoffs: list[HandoffPart]
    pending_total: Count | None = None
    priority: Priority = 0


def check_document(document: object) -> JobPart:
    """Check that something is a job's document of this format.

    Raises:
        DocumentRefused: if it isn't, with what is wrong.
    """
    if not isinstance(document, dict):
        raise DocumentRefused("a job state must be a JSON object")
    body = cast(Document, document)
    if "format" not in body:
        raise DocumentRefused("the document is no job state: it has no 'format'")
    version = body["format"]
    if version != FORMAT:
        raise DocumentRefused(
            f"the job state has format {version!r}, this sojourn reads {FORMAT}: use the version that "
            "wrote it"
        )
    try:
        return msgspec.convert(body, JobPart)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise DocumentRefused(f"the document is no job state: {error}") from None
