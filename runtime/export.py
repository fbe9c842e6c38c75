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

from sojourn.runtime.document import Presentation, image_from_document, job_document
from sojourn.runtime.errors import DocumentRefused
from sojourn.runtime.flow import FlowSpec
from sojourn.runtime.flow_document import canonical, flow_from_document, flow_to_document
from sojourn.runtime.job import BlobRow, JobImage, RoutineCounts

FORMAT = 1


class ReleaseTicket(msgspec.Struct, frozen=True):
    """The hand-off that a released file is: who may take it, at which epoch."""

    m: str
    epoch: int
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


class _Engine(msgspec.Struct):
    """What an exact resumption needs beyond the document."""

    held: bool
    hooks_delivered: int
    submission: str
    next_message: int
    next_sequence: int
    finals: list[int]
    retries: dict[str, int]
    last_retry_counts: dict[str, int]
    question_messages: dict[str, int]
    status: str


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
    head = image.head
    job = job_document(image, flow, Presentation(host, now, len(image.history)))
    job["engine"] = msgspec.to_builtins(
        _Engine(
            held=head.held,
            hooks_delivered=head.hooks_delivered,
            submission=head.submission,
            next_message=head.next_message,
            next_sequence=head.next_sequence,
            finals=[row.sequence for row in image.history if row.final],
            retries={str(row.sequence): row.retry_count for row in image.history if row.retry_count},
            last_retry_counts={name: c.last_retry_count for name, c in image.counts.items()},
            question_messages={row.question: row.message for row in image.questions},
            status=head.status.value,
        )
    )
    document: dict[str, Any] = {
        "format": FORMAT,
        "flow": flow_to_document(flow),
        "job": job,
        "blobs": {digest: base64.b64encode(data).decode() for digest, data in blobs.items()},
        "handoff": None if handoff is None else msgspec.to_builtins(handoff),
    }
    document["digest"] = _digest(document)
    return document


def read_export(data: bytes) -> Export:
    """Read a file's content.

    Args:
        data: JSON bytes.

    Raises:
        DocumentRefused: if it is truncated, edited, of another format or no export.
    """
    try:
        parsed: object = json.loads(data)
    except ValueError as error:
        raise DocumentRefused(
            f"the file is no JSON ({error}): it is truncated or no export; export the job again"
        ) from None
    if not isinstance(parsed, dict):
        raise DocumentRefused("the file is no export: it must hold a JSON object")
    document = cast("dict[str, Any]", parsed)
    version = document.get("format")
    if version != FORMAT:
        raise DocumentRefused(
            f"the file has format {version!r}, this sojourn reads {FORMAT}: import it with the version "
            "that wrote it"
        )
    missing = [
        name for name in ("flow", "job", "blobs", "handoff", "digest") if name not in document
    ]
    if missing:
        raise DocumentRefused(f"the file is no export: it has no {missing[0]!r}")
    claimed = document.pop("digest")
    if _digest(document) != claimed:
        raise DocumentRefused(
            "the file was changed after it was written: its digest doesn't match; export the job again"
        )
    return _read_parts(document, str(claimed))


def _read_parts(document: dict[str, Any], digest: str) -> Export:
    flow = flow_from_document(document["flow"])
    job = document["job"]
    image = image_from_document(job, flow)
    try:
        if "engine" in job:
            _complete(image, msgspec.convert(job["engine"], _Engine))
        blobs = {
            name: base64.b64decode(text, validate=True)
            for name, text in document["blobs"].items()
        }
        handoff = document["handoff"]
        ticket = None if handoff is None else msgspec.convert(handoff, ReleaseTicket)
    except (msgspec.ValidationError, binascii.Error, AttributeError, TypeError, ValueError) as error:
        raise DocumentRefused(f"the file is no export: {error}") from None
    for name, data in blobs.items():
        if sha256(data).hexdigest() != name:
            raise DocumentRefused(f"blob {name} of the file doesn't match its digest")
    image.blobs = [BlobRow(0, name, len(data)) for name, data in blobs.items()]
    return Export(flow, image, blobs, ticket, digest, str(job.get("host", "")))


def _complete(image: JobImage, engine: _Engine) -> None:
    head = image.head
    head.held = engine.held
    head.hooks_delivered = engine.hooks_delivered
    head.submission = engine.submission
    head.next_message = engine.next_message
    head.next_sequence = engine.next_sequence
    head.status = type(head.status)(engine.status)
    finals = set(engine.finals)
    image.history = [
        row._replace(
            final=int(row.sequence in finals),
            retry_count=engine.retries.get(str(row.sequence), 0),
        )
        for row in image.history
    ]
    image.questions = [
        row._replace(message=engine.question_messages.get(row.question, 0))
        for row in image.questions
    ]
    image.counts = {
        name: RoutineCounts(c.succeeded, c.failed, c.skipped, engine.last_retry_counts.get(name, 0))
        for name, c in image.counts.items()
    }


def _digest(document: dict[str, Any]) -> str:
    return "sha256:" + sha256(canonical(document)).hexdigest()

