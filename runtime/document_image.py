"""A job's document taken apart again: the rows that a store keeps of it.

The document doesn't say everything: which entry ended its message, and the retries granted at each, are
worked out from the whole history; an export carries the rest (see ``export``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

import msgspec

from sojourn.runtime.document_format import (
    HistoryPart,
    JobPart,
    PendingPart,
    WaitingPart,
    check_document,
)
from sojourn.runtime.errors import DocumentRefused, ValueMalformed
from sojourn.runtime.flow import FlowSpec, encode_flow
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
    MessageRow,
    Origin,
    Outcome,
    QuestionRow,
    RoutineCounts,
    SharedRow,
)
from sojourn.runtime.values import blob_references
from sojourn.runtime.values_json import fields_from_json, from_json
from sojourn.runtime.wire.actor import TurnError

_COUNTED = {int(Outcome.SUCCEEDED): 0, int(Outcome.FAILED): 1, int(Outcome.SKIPPED): 2}
"""Outcomes that end messages, and where ``RoutineCounts`` counts them."""

_STATUS_UNDER = {JobStatus.MOVING: JobStatus.RUNNING, JobStatus.MOVED: JobStatus.RUNNING}
"""What a job is taken for whose document says only where it went."""


def image_from_document(document: object, flow: FlowSpec) -> JobImage:
    """Make a job's rows from its document; dues become seconds from now.

    Args:
        document: a complete document: all pending messages, the whole history.
        flow: the flow that it belongs to.

    Raises:
        DocumentRefused: if it isn't whole, is damaged or doesn't belong to the flow.
    """
    job = check_document(document)
    _check_whole(job)
    _check_flow(job, flow)
    try:
        # Half of a surrogate pair is legal in JSON, but neither the store nor the wire can hold it.
        json.dumps(document, ensure_ascii=False).encode()
        return _image(job, flow)
    except (ValueMalformed, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DocumentRefused(f"the state of job {job.job_id} is damaged: {error}") from None


def count_endings(history: Iterable[HistoryRow]) -> dict[str, RoutineCounts]:
    """Count ended messages per routine, from a whole history in its order."""
    found: dict[str, list[int]] = {}
    for row in history:
        if row.final:
            counts = found.get(row.routine)
            if counts is None:
                counts = found[row.routine] = [0, 0, 0, 0]
            counts[_COUNTED[row.outcome]] += 1
            counts[3] = row.retry_count
    return {routine: RoutineCounts._make(counts) for routine, counts in found.items()}


def _check_whole(job: JobPart) -> None:
    for what, held, total in (
        ("pending messages", len(job.pending), job.pending_total),
        ("history entries", len(job.history), job.history_total),
    ):
        if total is not None and held != total:
            raise DocumentRefused(
                f"the state of job {job.job_id} holds {held} of {total} {what}: use "
                f"`sojourn export {job.job_id} FILE`, which is complete"
            )
    for what, numbers in (
        ("message", [entry.message for entry in job.pending]),
        ("history entry", [entry.seq for entry in job.history]),
    ):
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise DocumentRefused(
                f"the state of job {job.job_id} is damaged: a {what} is out of order or there twice"
            )
    if len({entry.question for entry in job.waiting}) != len(job.waiting):
        raise DocumentRefused(f"the state of job {job.job_id} is damaged: a question is there twice")


def _check_flow(job: JobPart, flow: FlowSpec) -> None:
    digest = flow_digest(flow)
    if job.flow_digest != digest:
        raise DocumentRefused(
            f"job {job.job_id} belongs to flow {job.flow_digest}, not to the given {digest}"
        )
    slots = {routine.id: {slot.name for slot in routine.slots} for routine in flow.routines}
    places = [(entry.routine, entry.slot) for entry in job.pending]
    places += [(entry.routine, entry.slot) for entry in job.waiting]
    for routine, slot in places:
        if slot not in slots.get(routine, ()):
            raise DocumentRefused(
                f"the state of job {job.job_id} is damaged: flow {flow.id!r} has no slot {slot!r} of a "
                f"routine {routine!r}"
            )
    for name in (*job.routines, *(entry.routine for entry in job.history)):
        if name not in slots:
            raise DocumentRefused(
                f"the state of job {job.job_id} is damaged: flow {flow.id!r} has no routine {name!r}"
            )


def _image(job: JobPart, flow: FlowSpec) -> JobImage:
    origins: dict[tuple[str, int, str], int] = {}
    history = _history(job, origins)
    image = JobImage(
        flow=encode_flow(flow),
        head=_head(job, flow),
        messages=[_message(entry) for entry in job.pending],
        history=history,
        attributes=sorted(
            AttributeRow(0, routine, "", name, from_json(value, where=f"state of {routine}.{name}"))
            for routine, entry in job.routines.items() for name, value in entry.state.items()
        ),
        shared=sorted(
            SharedRow(0, key, from_json(value, where=f"shared[{key!r}]"))
            for key, value in job.shared.items()
        ),
        questions=[_question(entry) for entry in job.waiting],
        logs=[],
        blobs=[],
        origins={number: Origin(*key) for key, number in origins.items()},
        counts=count_endings(history),
    )
    image.blobs = _blobs(image)
    return image


def _head(job: JobPart, flow: FlowSpec) -> JobHead:
    status = _STATUS_UNDER.get(job.status, job.status)
    error = job.error
    return JobHead(
        job_id=job.job_id, instance=job.instance, flow_id=flow.id, flow_digest=job.flow_digest,
        epoch=job.epoch, status=status, created_at=job.created_at.timestamp(),
        input=fields_from_json(job.input, where="input"),
        reason=job.reason,
        held=status is JobStatus.PAUSED and not job.waiting,
        result=fields_from_json(job.result, where="result") if job.result else None,
        error=None if error is None else JobError(
            error.type, error.message, error.traceback, error.routine
        ),
        finished_at=None if job.finished_at is None else job.finished_at.timestamp(),
        hooks_delivered=_hooks_delivered(job, status, flow),
        handoffs=[
            HandoffFigures(h.source, h.target, h.epoch, h.bytes, h.phases_ms, h.downtime_ms)
            for h in job.handoffs
        ],
        next_message=1 + max(
            (entry.message for entries in (job.pending, job.history) for entry in entries), default=0
        ),
        next_sequence=1 + max((entry.seq for entry in job.history), default=0),
        priority=job.priority,
    )


def _hooks_delivered(job: JobPart, status: JobStatus, flow: FlowSpec) -> int:
    """Work out how many ``when_idle`` declarations were delivered: in order, one message each.

    Where a slot is fed by a connection too, its messages don't tell: the declaration counts as open.
    """
    if status is JobStatus.COMPLETED:
        return len(flow.when_idle)
    fed = {(connection.target, connection.slot) for connection in flow.connections}
    seen = {
        (entry.message, entry.routine, entry.slot)
        for entries in (job.pending, job.history) for entry in entries
    }
    places = [(routine, slot) for _, routine, slot in seen if (routine, slot) not in fed]
    delivered = 0
    for hook in flow.when_idle:
        if (hook.routine, hook.slot) not in places:
            break
        places.remove((hook.routine, hook.slot))
        delivered += 1
    return delivered


def _message(entry: PendingPart) -> MessageRow:
    return MessageRow(
        0, entry.message, entry.routine, entry.slot,
        fields_from_json(entry.data, where=f"message {entry.message}"),
        entry.attempts, entry.retry_count, entry.due_in,
        fields_from_json(entry.progress, where="progress") if entry.progress else None,
    )


def _question(entry: WaitingPart) -> QuestionRow:
    return QuestionRow(
        0, entry.question, 0, entry.routine, entry.slot, entry.prompt, entry.since.timestamp(),
        entry.due_in,
    )


def _history(job: JobPart, origins: dict[tuple[str, int, str], int]) -> list[HistoryRow]:
    """Make the entries; a message that isn't pending ended with its last one."""
    pending = {entry.message for entry in job.pending}
    last = {entry.message: entry.seq for entry in job.history if entry.message not in pending}
    retries: dict[int, int] = {}
    rows: list[HistoryRow] = []
    for entry in job.history:
        final = last.get(entry.message) == entry.seq
        if final and entry.outcome == "interrupted":
            raise ValueError(f"message {entry.message} neither ended nor is it pending")
        if entry.outcome == "failed" and not final:
            retries[entry.message] = retries.get(entry.message, 0) + 1
        rows.append(_entry(entry, final, retries.get(entry.message, 0), origins))
    return rows


def _entry(
    entry: HistoryPart, final: bool, retry_count: int, origins: dict[tuple[str, int, str], int]
) -> HistoryRow:
    origin = origins.setdefault((entry.host, entry.epoch, entry.code), len(origins) + 1)
    error = None
    if entry.error is not None:
        error = msgspec.msgpack.encode(TurnError(entry.error.type, entry.error.message))
    return HistoryRow(
        0, entry.seq, entry.message, entry.routine, entry.slot, entry.attempt,
        int(Outcome[entry.outcome.upper()]), int(final), retry_count, origin,
        entry.started_at.timestamp(), entry.ended_at.timestamp(), error,
    )


def _blobs(image: JobImage) -> list[BlobRow]:
    """Find every blob that the job's values refer to."""
    head = image.head
    values = [head.input, *(row.value for row in image.attributes), *(r.value for r in image.shared)]
    values += [row.data for row in image.messages]
    values += [row.progress for row in image.messages if row.progress is not None]
    if head.result is not None:
        values.append(head.result)
    found = {ref.digest: ref.size for value in values for ref in blob_references(value)}
    return [BlobRow(0, digest, size) for digest, size in sorted(found.items())]
