"""Which blobs a job refers to now: what a hand-off has to carry, and what a sweep must leave."""

from __future__ import annotations

from collections.abc import Iterator

from sojourn.runtime.engine.model import Job
from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.values import BlobReference, blob_references, may_hold_blobs


def referenced_blobs(job: Job) -> dict[str, int]:
    """Give digest → bytes of every blob that a job's values refer to.

    Costs one search through the bytes of each value; only those that hold a reference are parsed.
    """
    return {
        reference.digest: reference.size
        for value in _values(job)
        if may_hold_blobs(value)
        for reference in _references(value)
    }


def _references(value: bytes) -> list[BlobReference]:
    try:
        return blob_references(value)
    except ValueMalformed:
        return []  # no routine can read it either


def _values(job: Job) -> Iterator[bytes]:
    yield job.head.input
    if job.head.result is not None:
        yield job.head.result
    for actor in job.actors.values():
        yield from actor.attributes.values()
    yield from job.shared.values()
    for message in job.messages.values():
        yield message.data
        if message.progress is not None:
            yield message.progress
