"""The job state as a document: what ``show`` prints, ``export`` writes and ``job_state.JobState`` wraps.

Always made from the rows of a store (a ``JobImage``), by bytes alone: no user's class is needed.
"""

from __future__ import annotations

import math

import msgspec

from sojourn.runtime.document_format import FORMAT, Document, rfc3339, written_time
from sojourn.runtime.flow import FlowSpec
from sojourn.runtime.job import (
    HandoffFigures,
    HistoryRow,
    JobHead,
    JobImage,
    JobStatus,
    MessageRow,
    Origin,
    Outcome,
    Ownership,
    QuestionRow,
    RoutineCounts,
)
from sojourn.runtime.job_state import JobState as JobState
from sojourn.runtime.values_json import displayed, fields_displayed
from sojourn.runtime.wire.actor import TurnError
from sojourn.runtime.wire.decoding import FrameDecoder

_ERROR = FrameDecoder(msgspec.msgpack.Decoder(TurnError))
_OUTCOMES = {int(outcome): outcome.word for outcome in Outcome}


class Presentation(msgspec.Struct):
    """What a document says that isn't in the job's rows.

    Attributes:
        host: who says it.
        now: wall clock in seconds, for what is due.
        history_total: entries of the whole history.
        moving: whether the job is being handed over.
        running: whether an attempt executes right now.
        pending_total: pending messages in all; None where the image holds them all.
        pending_retries: highest retry count among them, per routine; None where the image holds them all.
        in_doubt: why nobody knows whose the job is, if that is so; shown as the reason.
    """

    host: str
    now: float
    history_total: int
    moving: bool = False
    running: bool = False
    pending_total: int | None = None
    pending_retries: dict[str, int] | None = None
    in_doubt: str | None = None


def shown_status(
    head: JobHead, *, moving: bool = False, running: bool = False, in_doubt: bool = False
) -> str:
    """Give the status that people are told."""
    if head.ownership is Ownership.GONE or (
        head.ownership is Ownership.FORGOTTEN and head.moved_to is not None
    ):
        return JobStatus.MOVED.value
    if moving or head.ownership is Ownership.RELEASED:
        return JobStatus.MOVING.value
    if in_doubt and not head.status.finished:
        return JobStatus.BLOCKED.value
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
        "status": shown_status(
            head, moving=shown.moving, running=shown.running, in_doubt=shown.in_doubt is not None
        ),
        "reason": head.reason if shown.in_doubt is None else shown.in_doubt,
        "priority": head.priority,
        "input": fields_displayed(head.input),
        "result": {} if head.result is None else fields_displayed(head.result),
        "shared": {row.key: displayed(row.value) for row in image.shared},
        "created_at": rfc3339(head.created_at),
        "finished_at": rfc3339(head.finished_at),
        "error": None if head.error is None else msgspec.to_builtins(head.error),
        "routines": _routines(image, flow, shown),
        "pending": [_pending(row, shown.now) for row in image.messages],
        "pending_total": (
            len(image.messages) if shown.pending_total is None else shown.pending_total
        ),
        "waiting": [_waiting(row, shown.now) for row in image.questions],
        "history": [_history(row, image.origins) for row in image.history],
        "history_total": shown.history_total,
        "handoffs": [_handoff(figures) for figures in head.handoffs],
    }


def _routines(image: JobImage, flow: FlowSpec, shown: Presentation) -> Document:
    retries: dict[str, int] = shown.pending_retries or {}
    if shown.pending_retries is None:
        for row in image.messages:
            retries[row.routine] = max(row.retry_count, retries.get(row.routine, 0))
    states: dict[str, Document] = {routine.id: {} for routine in flow.routines}
    for attribute in image.attributes:
        states.setdefault(attribute.routine, {})[attribute.name] = displayed(attribute.value)
    found: Document = {}
    for routine in flow.routines:
        counts = image.counts.get(routine.id, RoutineCounts(0, 0, 0, 0))
        found[routine.id] = {
            "retry_count": retries.get(routine.id, counts.last_retry_count),
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "state": states[routine.id],
        }
    return found


def _due_in(due: float | None, now: float) -> float | None:
    return None if due is None else max(0.0, due - now)


def _pending(row: MessageRow, now: float) -> Document:
    return {
        "message": row.message,
        "routine": row.routine,
        "slot": row.slot,
        "data": fields_displayed(row.data),
        "attempts": row.attempts,
        "retry_count": row.retry_count,
        "due_in": _due_in(row.due, now),
        "progress": {} if row.progress is None else fields_displayed(row.progress),
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
    (_, sequence, message, routine, slot, attempt, outcome, _, _, number, started, ended, encoded) = row
    origin = origins[number]
    error = None if encoded is None else read_error(encoded)
    return {
        "seq": sequence,
        "message": message,
        "routine": routine,
        "slot": slot,
        "attempt": attempt,
        "outcome": _OUTCOMES[outcome],
        "error": None if error is None else {"type": error.type, "message": error.message},
        "host": origin.host,
        "epoch": origin.epoch,
        "code": origin.code,
        "started_at": written_time(started),
        "ended_at": written_time(ended),
    }


def read_error(data: bytes) -> TurnError:
    """Read an attempt's error as a history entry holds it; one that can't be read is said to be so."""
    try:
        return _ERROR.decode(data)
    except msgspec.DecodeError as error:
        return TurnError("Malformed", f"what was recorded of the error can't be read: {error}")


def _handoff(figures: HandoffFigures) -> Document:
    phases, downtime = figures.phases_ms, figures.downtime_ms
    return {
        "from": figures.source,
        "to": figures.target,
        "epoch": figures.epoch,
        "bytes": figures.bytes,
        "phases_ms": phases if phases is None or all(map(math.isfinite, phases.values())) else None,
        "downtime_ms": downtime if downtime is None or math.isfinite(downtime) else None,
    }
