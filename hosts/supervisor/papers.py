"""Documents of jobs, made from the store: for ``show``, ``jobs``, ``wait`` and ``export``."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from sojourn.hosts.store.blobs import BlobUnreadable, read_blob
from sojourn.hosts.store.schema import unreadable
from sojourn.hosts.store.shown import ShownJob
from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.document import Presentation, job_document, shown_status
from sojourn.runtime.document_format import rfc3339
from sojourn.runtime.engine.view import retries_of
from sojourn.runtime.errors import JobUnreadable, NotFound, StoreFailed, ValueMalformed
from sojourn.runtime.export import ReleaseTicket, export_document
from sojourn.runtime.job import JobHead, JobImage, JobStatus

SENSELESS = (
    msgspec.MsgspecError, ValueMalformed, ValueError, TypeError, OverflowError, KeyError,
)
"""What making a document of rows that make no sense may raise."""

SHOWN = 100
"""History entries and pending messages that a document holds unless told otherwise."""


def shown_now(core: Core, row: int, head: JobHead) -> str:
    """Give the status that people are told of a job now."""
    return shown_status(
        head, moving=row in core.moving, running=core.is_running(row),
        in_doubt=core.held_back(row) is not None,
    )


def document(
    core: Core, row: int, *, history: int = SHOWN, after: int | None = None, pending: int = SHOWN
) -> dict[str, Any]:
    """Make a job's document from what is committed of it."""
    image = core.store.read_image(
        row, history=history, after=after, pending=pending, logs=False
    )
    job = core.engine.job(row)
    # Of many messages the store isn't asked: it would have to go through them all.
    long = job if job is not None and job.stored else None
    shown = Presentation(
        host=core.host,
        now=core.now.wall,
        history_total=core.store.history_total(row),
        moving=row in core.moving,
        running=core.is_running(row),
        pending_total=core.store.pending_total(row) if long is None else long.pending(),
        pending_retries=core.store.pending_retries(row) if long is None else retries_of(long),
        in_doubt=core.held_back(row),
    )
    with _readable(core, image):
        return job_document(image, core.plan(image.head.flow_digest).spec, shown)


def documents(core: Core, rows: Sequence[int]) -> dict[int, bytes | JobUnreadable]:
    """Make many jobs' documents, as JSON text, from what is committed of them.

    Returns:
        Row → document, or what is wrong with the job.
    """
    found: dict[int, bytes | JobUnreadable] = dict.fromkeys(
        rows, JobUnreadable(f"the store {core.home.store} holds a job no more that was waited for")
    )
    for row, read in core.store.read_shown(rows, history=SHOWN, pending=SHOWN).items():
        if isinstance(read, JobUnreadable):
            found[row] = read
            continue
        try:
            found[row] = _text(core, row, read)
        except (NotFound, *SENSELESS) as error:
            found[row] = _senseless(core, read.image, error)
    return found


def _text(core: Core, row: int, read: ShownJob) -> bytes:
    head = read.image.head
    shown = Presentation(
        host=core.host,
        now=core.now.wall,
        history_total=read.history_total,
        moving=row in core.moving,
        running=head.status is JobStatus.QUEUED and core.is_running(row),
        pending_total=read.pending_total,
        pending_retries=read.pending_retries,
        in_doubt=core.held_back(row),
    )
    return msgspec.json.encode(job_document(read.image, core.plan(head.flow_digest).spec, shown))


def summary(core: Core, row: int, head: JobHead) -> dict[str, Any]:
    """Make a job's line in a list."""
    return {
        "job_id": head.job_id,
        "flow_id": head.flow_id,
        "status": shown_now(core, row, head),
        "reason": core.held_back(row) or head.reason,
        "priority": head.priority,
        "epoch": head.epoch,
        "host": core.host,
        "moved_to": head.moved_to,
        "created_at": rfc3339(head.created_at),
        "finished_at": rfc3339(head.finished_at),
    }


def exported(core: Core, image: JobImage, handoff: ReleaseTicket | None = None) -> dict[str, Any]:
    """Make a job's export, which is complete.

    Args:
        core: shared state.
        image: all of the job.
        handoff: what makes it a release.

    Raises:
        StoreFailed: if a blob is missing or damaged, or the rest makes no sense.
    """
    with _readable(core, image):
        return export_document(
            image, core.plan(image.head.flow_digest).spec, host=core.host, now=core.now.wall,
            blobs=_read_blobs(core, image), handoff=handoff,
        )


def _read_blobs(core: Core, image: JobImage) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for blob in image.blobs:
        try:
            found[blob.digest] = read_blob(core.home.blobs, blob.digest)
        except BlobUnreadable as error:
            raise StoreFailed(
                f"job {image.head.job_id} can't be exported from host {core.host!r}: {error}"
            ) from None
    return found


@contextmanager
def _readable(core: Core, image: JobImage) -> Generator[None]:
    """Turn what rows that make no sense lead to into a sentence about their job."""
    try:
        yield
    except SENSELESS as error:
        raise _senseless(core, image, error) from error


def _senseless(core: Core, image: JobImage, error: Exception) -> JobUnreadable:
    return unreadable(
        core.home.store, image.head.job_id, f"holds rows of it that can't be read ({error})"
    )
