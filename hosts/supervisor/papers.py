"""Documents of jobs, made from the store: for ``show``, ``jobs``, ``wait`` and ``export``."""

from __future__ import annotations

from typing import Any

from sojourn.hosts.supervisor.core import Core
from sojourn.runtime.document import Presentation, job_document, shown_status
from sojourn.runtime.document_format import rfc3339
from sojourn.runtime.errors import StoreFailed
from sojourn.runtime.flow import decode_flow
from sojourn.runtime.job import JobHead, JobImage

SHOWN = 100
"""History entries and pending messages that a document holds unless told otherwise."""


def shown_now(core: Core, row: int, head: JobHead) -> str:
    """Give the status that people are told of a job now."""
    return shown_status(
        head, moving=row in core.moving, running=core.is_running(row), in_doubt=row in core.withheld
    )


def document(
    core: Core, row: int, *, history: int = SHOWN, after: int | None = None, pending: int = SHOWN
) -> dict[str, Any]:
    """Make a job's document from what is committed of it."""
    image = core.store.read_image(
        row, history=history, after=after, pending=pending, logs=False
    )
    shown = Presentation(
        host=core.host,
        now=core.now.wall,
        history_total=core.store.history_total(row),
        moving=row in core.moving,
        running=core.is_running(row),
        pending_total=core.store.pending_total(row),
        pending_retries=core.store.pending_retries(row),
        in_doubt=core.withheld.get(row),
    )
    return job_document(image, decode_flow(image.flow), shown)


def summary(core: Core, row: int, head: JobHead) -> dict[str, Any]:
    """Make a job's line in a list."""
    return {
        "job_id": head.job_id,
        "flow_id": head.flow_id,
        "status": shown_now(core, row, head),
        "reason": core.withheld.get(row, head.reason),
        "epoch": head.epoch,
        "host": core.host,
        "moved_to": head.moved_to,
        "created_at": rfc3339(head.created_at),
        "finished_at": rfc3339(head.finished_at),
    }


def read_blobs(core: Core, image: JobImage) -> dict[str, bytes]:
    """Read the files of a job's blobs.

    Raises:
        StoreFailed: if one is missing.
    """
    found: dict[str, bytes] = {}
    for blob in image.blobs:
        try:
            found[blob.digest] = (core.home.blobs / blob.digest).read_bytes()
        except OSError as error:
            raise StoreFailed(
                f"blob {blob.digest} of job {image.head.job_id} can't be read on host {core.host!r} "
                f"({error.strerror})"
            ) from error
    return found
