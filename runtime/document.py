"""The job state as a document: what ``show`` prints, ``export`` writes and ``JobState`` wraps.

Always made from the rows of a store (a ``JobImage``), by bytes alone: no user's class is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from sojourn.runtime.errors import DocumentRefused, ValueMalformed
from sojourn.runtime.flow import FlowSpec, encode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import (
    AttributeRow,
    HandoffFigures,
    HistoryRow,
    JobError,
    JobHead,
    JobImage,
    JobStatus,
    MessageRow,
    Origin,
    Outcome,
    Ownership,
    QuestionRow,
    RoutineCounts,
    SharedRow,
)
from sojourn.runtime.values_json import fields_from_json, fields_to_json, from_json, to_json
from sojourn.runtime.wire.actor import TurnError

FORMAT = 1
Document = dict[str, Any]
"""JSON: what is in it is known by the format, not by Python's types."""

_ERROR = msgspec.msgpack.Decoder(TurnError)


class Presentation(msgspec.Struct):
    """What a document says that isn't in the job's rows.

    Attributes:
        host: who says it.
        now: wall clock in seconds, for what is due.
        history_total: entries of the whole history.
        moving: whether the job is being handed over.
        running: whether an attempt executes right now.
        pending_total: pending messages in all.
    """

    host: str
    now: float
    history_total: int
    moving: bool = False
    running: bool = False
    pending_total: int | None = None


def rfc3339(seconds: float | None) -> str | None:
    """Write a wall-clock time: UTC, microseconds, ``Z``."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_rfc3339(text: str) -> float:
    """Read a time as ``rfc3339`` writes it.

    Raises:
        ValueError: if it is none.
    """
    return datetime.fromisoformat(text).timestamp()


def shown_status(head: JobHead, *, moving: bool = False, running: bool = False) -> str:
    """Give the status that people are told."""
    if head.ownership is Ownership.GONE or (
        head.ownership is Ownership.FORGOTTEN and head.moved_to is not None
    ):
        return JobStatus.MOVED.value
    if moving or head.ownership is Ownership.RELEASED:
        return JobStatus.MOVING.value
    if running and head.status is JobStatus.QUEUED:
        return JobStatus.RUNNING.value
    return head.status.value


def job_document(image: JobImage, flow: FlowSpec, shown: Presentation) -> Document:
    """Make a job's document.

    Args:
        image: its rows.
        flow: its flow.
        shown: what isn't in them.

    Returns:
        A JSON-able dict (section 6 of the design).
    """
    head = image.head
    return {
        "format": FORMAT,
        "job_id": head.job_id,
        "instance": head.instance,
        "flow_id": head.flow_id,
        "flow_digest": head.flow_digest,
        "host": shown.host,
        "epoch": head.epoch,
        "moved_to": head.moved_to,
        "status": shown_status(head, moving=shown.moving, running=shown.running),
        "reason": head.reason,
        "input": fields_to_json(head.input),
        "result": {} if head.result is None else fields_to_json(head.result),
        "shared": {row.key: to_json(row.value) for row in image.shared},
        "created_at": rfc3339(head.created_at),
        "finished_at": rfc3339(head.finished_at),
        "error": None if head.error is None else msgspec.to_builtins(head.error),
        "routines": {
            routine.id: _routine(image, routine.id) for routine in flow.routines
        },
        "pending": [_pending(row, shown.now) for row in image.messages],
        "pending_total": (
            len(image.messages) if shown.pending_total is None else shown.pending_total
        ),
        "waiting": [_waiting(row, shown.now) for row in image.questions],
        "history": [_history(row, image.origins) for row in image.history],
        "history_total": shown.history_total,
        "handoffs": [_handoff(figures) for figures in head.handoffs],
    }


def _routine(image: JobImage, routine: str) -> Document:
    counts = image.counts.get(routine, RoutineCounts(0, 0, 0, 0))
    pending = [row.retry_count for row in image.messages if row.routine == routine]
    return {
        "retry_count": max(pending) if pending else counts.last_retry_count,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "state": {
            row.name: to_json(row.value) for row in image.attributes if row.routine == routine
        },
    }


def _due_in(due: float | None, now: float) -> float | None:
    return None if due is None else max(0.0, due - now)


def _pending(row: MessageRow, now: float) -> Document:
    return {
        "message": row.message,
        "routine": row.routine,
        "slot": row.slot,
        "data": fields_to_json(row.data),
        "attempts": row.attempts,
        "retry_count": row.retry_count,
        "due_in": _due_in(row.due, now),
        "progress": {} if row.progress is None else fields_to_json(row.progress),
    }


def _waiting(row: QuestionRow, now: float) -> Document:
    return {
        "question": row.question,
        "routine": row.routine,
        "slot": row.slot,
        "prompt": row.prompt,
        "since": rfc3339(row.since),
        "due_in": _due_in(row.due, now),
    }


def _history(row: HistoryRow, origins: dict[int, Origin]) -> Document:
    origin = origins[row.origin]
    error = None if row.error is None else _ERROR.decode(row.error)
    return {
        "seq": row.sequence,
        "message": row.message,
        "routine": row.routine,
        "slot": row.slot,
        "attempt": row.attempt,
        "outcome": Outcome(row.outcome).word,
        "error": None if error is None else {"type": error.type, "message": error.message},
        "host": origin.host,
        "epoch": origin.epoch,
        "code": origin.code,
        "started_at": rfc3339(row.started),
        "ended_at": rfc3339(row.ended),
    }


def _handoff(figures: HandoffFigures) -> Document:
    return {
        "from": figures.source,
        "to": figures.target,
        "epoch": figures.epoch,
        "bytes": figures.bytes,
        "phases_ms": figures.phases_ms,
        "downtime_ms": figures.downtime_ms,
    }


# --- reading a document back ----------------------------------------------------------------


class _Error(msgspec.Struct):
    type: str
    message: str
    traceback: str = ""
    routine: str = ""


class _Routine(msgspec.Struct):
    retry_count: int
    succeeded: int
    failed: int
    skipped: int
    state: dict[str, Any]


class _Pending(msgspec.Struct):
    message: int
    routine: str
    slot: str
    data: dict[str, Any]
    attempts: int
    retry_count: int
    due_in: float | None
    progress: dict[str, Any]


class _Waiting(msgspec.Struct):
    question: str
    routine: str
    slot: str
    prompt: str
    since: str
    due_in: float | None


class _History(msgspec.Struct):
    seq: int
    message: int
    routine: str
    slot: str
    attempt: int
    outcome: str
    error: _Error | None
    host: str
    epoch: int
    code: str
    started_at: str
    ended_at: str


class _Handoff(msgspec.Struct, rename={"source": "from", "target": "to"}):
    source: str
    target: str
    epoch: int
    bytes: int
    phases_ms: dict[str, float] | None = None
    downtime_ms: float | None = None


class _Job(msgspec.Struct):
    """The shape of format 1."""

    job_id: str
    instance: str
    flow_id: str
    flow_digest: str
    host: str
    epoch: int
    moved_to: str | None
    status: str
    reason: str | None
    input: dict[str, Any]
    result: dict[str, Any]
    shared: dict[str, Any]
    created_at: str
    finished_at: str | None
    error: _Error | None
    routines: dict[str, _Routine]
    pending: list[_Pending]
    waiting: list[_Waiting]
    history: list[_History]
    history_total: int
    handoffs: list[_Handoff]


def check_document(document: object) -> _Job:
    """Check that something is a job's document of this format.

    Raises:
        DocumentRefused: if it isn't, with what is wrong.
    """
    if not isinstance(document, dict):
        raise DocumentRefused("a job state must be a JSON object")
    version = cast(Document, document).get("format")
    if version != FORMAT:
        raise DocumentRefused(
            f"the job state has format {version!r}, this sojourn reads {FORMAT}: use the version that "
            "wrote it"
        )
    try:
        return msgspec.convert(document, _Job)
    except msgspec.ValidationError as error:
        raise DocumentRefused(f"the document is no job state: {error}") from None


class JobState:
    """A job's state at one moment, as its supervisor told it.

    Args:
        document: as ``serialize`` gives it.

    Raises:
        DocumentRefused: if it is no job state.
    """

    def __init__(self, document: Document) -> None:
        self._job = check_document(document)
        self._document = document

    def serialize(self) -> Document:
        """Give the document: a JSON-able dict."""
        return self._document

    @classmethod
    def deserialize(cls, document: object) -> JobState:
        """Read a document.

        Raises:
            DocumentRefused: if it is no job state of a version that is known.
        """
        check_document(document)
        return cls(cast(Document, document))

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def status(self) -> str:
        """One of queued, running, paused, completed, failed, cancelled, moving, moved, blocked."""
        return self._job.status

    @property
    def reason(self) -> str | None:
        """Why it is paused or blocked."""
        return self._job.reason

    @property
    def host(self) -> str:
        """The host that told it."""
        return self._job.host

    @property
    def epoch(self) -> int:
        """How often the job has changed hands, from 1."""
        return self._job.epoch

    @property
    def result(self) -> dict[str, Any]:
        """The fields that routines set as result, in their JSON form."""
        return self._job.result

    @property
    def shared(self) -> dict[str, Any]:
        """The shared map, in JSON form."""
        return self._job.shared

    @property
    def error(self) -> Document | None:
        """Why it failed: type, message, traceback, routine."""
        return cast("Document | None", self._document["error"])

    @property
    def pending(self) -> list[Document]:
        """Pending messages."""
        return cast("list[Document]", self._document["pending"])

    @property
    def waiting(self) -> list[Document]:
        """Open questions."""
        return cast("list[Document]", self._document["waiting"])

    @property
    def history(self) -> list[Document]:
        """Attempts that ended."""
        return cast("list[Document]", self._document["history"])

    @property
    def handoffs(self) -> list[Document]:
        """The job's journeys."""
        return cast("list[Document]", self._document["handoffs"])

    def retry_count(self, routine: str) -> int:
        """Give the retries granted so far: the highest of the routine's pending messages, else of its last.

        Raises:
            KeyError: if the flow has no such routine.
        """
        return self._job.routines[routine].retry_count

    def state(self, routine: str) -> dict[str, Any]:
        """Give a routine's committed attributes, in their JSON form.

        Raises:
            KeyError: if the flow has no such routine.
        """
        return self._job.routines[routine].state

    def __repr__(self) -> str:
        return f"<JobState {self.job_id} {self.status} on {self.host} epoch {self.epoch}>"


def image_from_document(document: object, flow: FlowSpec) -> JobImage:
    """Make a job's rows from its document; dues become seconds from now.

    Args:
        document: a complete document (all pending messages).
        flow: the flow that it belongs to.

    Raises:
        DocumentRefused: if it isn't whole or doesn't belong to the flow.
    """
    job = check_document(document)
    digest = flow_digest(flow)
    if job.flow_digest != digest:
        raise DocumentRefused(
            f"job {job.job_id} belongs to flow {job.flow_digest}, not to the given {digest}"
        )
    total = cast(Document, document).get("pending_total", len(job.pending))
    if total != len(job.pending):
        raise DocumentRefused(
            f"the state of job {job.job_id} holds {len(job.pending)} of {total} pending messages: "
            "use `sojourn export`, which is complete"
        )
    try:
        return _image(job, flow)
    except (ValueMalformed, ValueError, KeyError) as error:
        raise DocumentRefused(f"the state of job {job.job_id} is damaged: {error}") from None


_STATUS_UNDER = {
    JobStatus.MOVING.value: JobStatus.RUNNING,
    JobStatus.MOVED.value: JobStatus.RUNNING,
}


def _image(job: _Job, flow: FlowSpec) -> JobImage:
    origins: dict[tuple[str, int, str], int] = {}
    counts: dict[str, RoutineCounts] = {
        name: RoutineCounts(entry.succeeded, entry.failed, entry.skipped, entry.retry_count)
        for name, entry in job.routines.items()
    }
    status = _STATUS_UNDER.get(job.status) or JobStatus(job.status)
    head = JobHead(
        job_id=job.job_id, instance=job.instance, flow_id=job.flow_id,
        flow_digest=job.flow_digest, epoch=job.epoch, status=status,
        created_at=read_rfc3339(job.created_at),
        input=fields_from_json(job.input, where="input"),
        reason=job.reason,
        held=status is JobStatus.PAUSED and not job.waiting,
        result=fields_from_json(job.result, where="result") if job.result else None,
        error=None if job.error is None else JobError(
            job.error.type, job.error.message, job.error.traceback, job.error.routine
        ),
        finished_at=None if job.finished_at is None else read_rfc3339(job.finished_at),
        handoffs=[
            HandoffFigures(h.source, h.target, h.epoch, h.bytes, h.phases_ms, h.downtime_ms)
            for h in job.handoffs
        ],
    )
    return JobImage(
        flow=encode_flow(flow),
        head=head,
        messages=[_message(entry) for entry in job.pending],
        history=[_entry(entry, origins) for entry in job.history],
        attributes=[
            AttributeRow(0, routine, "", name, from_json(value, where=f"state of {routine}.{name}"))
            for routine, entry in job.routines.items() for name, value in entry.state.items()
        ],
        shared=[
            SharedRow(0, key, from_json(value, where=f"shared[{key!r}]"))
            for key, value in job.shared.items()
        ],
        questions=[
            QuestionRow(
                0, entry.question, 0, entry.routine, entry.slot, entry.prompt,
                read_rfc3339(entry.since), entry.due_in,
            )
            for entry in job.waiting
        ],
        logs=[],
        blobs=[],
        origins={number: Origin(*key) for key, number in origins.items()},
        counts=counts,
    )


def _message(entry: _Pending) -> MessageRow:
    return MessageRow(
        0, entry.message, entry.routine, entry.slot,
        fields_from_json(entry.data, where=f"message {entry.message}"),
        entry.attempts, entry.retry_count, entry.due_in,
        fields_from_json(entry.progress, where="progress") if entry.progress else None,
    )


def _entry(entry: _History, origins: dict[tuple[str, int, str], int]) -> HistoryRow:
    origin = origins.setdefault((entry.host, entry.epoch, entry.code), len(origins) + 1)
    outcome = Outcome[entry.outcome.upper()]
    error = None
    if entry.error is not None:
        error = msgspec.msgpack.encode(TurnError(entry.error.type, entry.error.message))
    return HistoryRow(
        0, entry.seq, entry.message, entry.routine, entry.slot, entry.attempt, int(outcome),
        int(outcome in (Outcome.SUCCEEDED, Outcome.SKIPPED)), 0, origin,
        read_rfc3339(entry.started_at), read_rfc3339(entry.ended_at), error,
    )
