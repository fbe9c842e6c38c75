"""A whole job as a file: flow, job state, blobs and, where it was released, its hand-off.

Everything that the document of section 6 doesn't show but an exact resumption needs is in
``job["engine"]``. The digest covers all of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

import msgspec

from sojourn.runtime.document import Presentation, job_document
from sojourn.runtime.document_format import Count
from sojourn.runtime.document_image import count_endings, image_from_document
from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.flow import FlowSpec
from sojourn.runtime.flow_document import canonical, flow_from_document, flow_to_document
from sojourn.runtime.job import BlobRow, JobImage, JobStatus, LogRow
from sojourn.runtime.values import digest_of

FORMAT = 1
EMPTY_FIELDS = b"\x80"


class ReleaseTicket(msgspec.Struct, frozen=True):
    """The hand-off that a released file is: who may take it, at which epoch."""

    m: str
    epoch: Count
    from_store: str
    to_store: str


class Export(msgspec.Struct):
    """A file, read.

    Attributes:
        flow: the flow.
        image: the job; dues are seconds from now.
        blobs: digest → bytes.
        handoff: the ticket of a released job.
        digest: of the file.
        host: that wrote it.
    """

    flow: FlowSpec
    image: JobImage
    blobs: dict[str, bytes]
    handoff: ReleaseTicket | None
    digest: str
    host: str


class _LogPart(msgspec.Struct, array_like=True):
    sequence: Count
    routine: str
    message: Count
    attempt: Count
    at: float
    stream: str
    text: str


class _Engine(msgspec.Struct):
    """What an exact resumption needs beyond the document.

    Attributes:
        status: the engine's, under what people are told.
        result_set: whether a routine set a result, though perhaps an empty one.
        retries: history sequence → retries granted by then, where there were any.
        question_messages: question → message whose turn asked it.
    """

    status: JobStatus
    held: bool
    cancelling: bool
    reason: str | None
    result_set: bool
    hooks_delivered: Count
    submission: str
    next_message: Count
    next_sequence: Count
    retries: dict[str, Count]
    question_messages: dict[str, Count]
    logs: list[_LogPart]


def export_document(
    image: JobImage,
    flow: FlowSpec,
    *,
    host: str,
    now: float,
    blobs: Mapping[str, bytes],
    handoff: ReleaseTicket | None = None,
) -> dict[str, Any]:
    """Make the file's document.

    Args:
        image: the whole job.
        flow: its flow.
        host: who exports.
        now: wall clock in seconds.
        blobs: digest → bytes of every blob that the job refers to.
        handoff: the ticket, where the job is released with the file.
    """
    job = job_document(image, flow, Presentation(host, now, len(image.history)))
    job["engine"] = msgspec.to_builtins(_engine(image))
    document: dict[str, Any] = {
        "format": FORMAT,
        "flow": flow_to_document(flow),
        "job": job,
        "blobs": {digest: base64.b64encode(data).decode() for digest, data in blobs.items()},
        "handoff": None if handoff is None else msgspec.to_builtins(handoff),
    }
    document["digest"] = _digest(document)
    return document


def _engine(image: JobImage) -> _Engine:
    head = image.head
    return _Engine(
        status=head.status,
        held=head.held,
        cancelling=head.cancelling,
        reason=head.reason,
        result_set=head.result is not None,
        hooks_delivered=head.hooks_delivered,
        submission=head.submission,
        next_message=head.next_message,
        next_sequence=head.next_sequence,
        retries={str(row.sequence): row.retry_count for row in image.history if row.retry_count},
        question_messages={row.question: row.message for row in image.questions},
        logs=[_LogPart(*row[1:]) for row in image.logs],
    )


def read_export(data: bytes) -> Export:
    """Read a file's content.

    Args:
        data: JSON bytes.

    Raises:
        DocumentRefused: if it is truncated, edited, of another format or no export.
    """
    document = _parse(data)
    claimed = document.pop("digest")
    if _digest(document) != claimed:
        raise DocumentRefused(
            "the file was changed after it was written: its digest doesn't match; export the job again"
        )
    flow = flow_from_document(document["flow"])
    job = document["job"]
    image = image_from_document(job, flow)
    blobs = _read_blobs(document["blobs"], image)
    try:
        if "engine" in job:
            _complete(image, msgspec.convert(job["engine"], _Engine))
        handoff = msgspec.convert(document["handoff"], ReleaseTicket | None)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise DocumentRefused(f"the file is no export: {error}") from None
    if handoff is not None and handoff.epoch != image.head.epoch:
        raise DocumentRefused(
            f"the file is no export: it hands over epoch {handoff.epoch} of job {image.head.job_id}, but "
            f"holds epoch {image.head.epoch}"
        )
    return Export(flow, image, blobs, handoff, claimed, job["host"])


def _parse(data: bytes) -> dict[str, Any]:
    """Read JSON as far as the format, so that a newer one is told from a damaged one."""
    try:
        parsed: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DocumentRefused(
            f"the file is no JSON ({error}): it is truncated or no export; export the job again"
        ) from None
    if not isinstance(parsed, dict):
        raise DocumentRefused("the file is no export: it must hold a JSON object")
    document = cast("dict[str, Any]", parsed)
    version = document.get("format")
    if version is None:
        raise DocumentRefused("the file is no export: it has no 'format'")
    if version != FORMAT:
        raise DocumentRefused(
            f"the file has format {version!r}, this sojourn reads {FORMAT}: import it with the version "
            "that wrote it"
        )
    for name in ("flow", "job", "blobs", "handoff", "digest"):
        if name not in document:
            raise DocumentRefused(f"the file is no export: it has no {name!r}")
    return document


def _read_blobs(part: object, image: JobImage) -> dict[str, bytes]:
    """Decode the blobs, see that none is damaged or missing, and note them in the image."""
    try:
        texts = msgspec.convert(part, dict[str, str])
        blobs = {name: base64.b64decode(text, validate=True) for name, text in texts.items()}
    except (msgspec.ValidationError, binascii.Error, ValueError) as error:
        raise DocumentRefused(f"the blobs of the file can't be read: {error}") from None
    for name, data in blobs.items():
        if digest_of(data) != name:
            raise DocumentRefused(f"blob {name} of the file doesn't match its digest")
    for row in image.blobs:
        if row.digest not in blobs:
            raise DocumentRefused(
                f"blob {row.digest} of job {image.head.job_id} isn't with its state: use "
                f"`sojourn export {image.head.job_id} FILE`, which is complete"
            )
    image.blobs = [BlobRow(0, name, len(blobs[name])) for name in sorted(blobs)]
    return blobs


def _complete(image: JobImage, engine: _Engine) -> None:
    head = image.head
    head.status = engine.status
    head.held = engine.held
    head.cancelling = engine.cancelling
    head.reason = engine.reason
    head.hooks_delivered = engine.hooks_delivered
    head.submission = engine.submission
    head.next_message = engine.next_message
    head.next_sequence = engine.next_sequence
    if engine.result_set and head.result is None:
        head.result = EMPTY_FIELDS
    image.history = [
        row._replace(retry_count=engine.retries.get(str(row.sequence), 0)) for row in image.history
    ]
    image.counts = count_endings(image.history)
    image.questions = [
        row._replace(message=engine.question_messages.get(row.question, 0))
        for row in image.questions
    ]
    image.logs = [LogRow(0, *msgspec.structs.astuple(line)) for line in engine.logs]


def _digest(document: dict[str, Any]) -> str:
    return "sha256:" + sha256(canonical(document)).hexdigest()
