"""Whether the rows of a job make sense: SQLite has no checksums, so a flipped bit reaches whoever reads it.

Reads nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.handoff.parts import Part, problem_of
from sojourn.runtime.job import AttributeRow, BlobRow, JobImage, MessageRow, QuestionRow, SharedRow
from sojourn.runtime.values import blob_references, may_hold_blobs


def problem_of_image(image: JobImage, routines: Collection[str]) -> str | None:
    """Tell what is wrong with a job as it was read from a store, its history aside; None if nothing is.

    Args:
        image: the job.
        routines: ids of its flow's routines.
    """
    try:
        part = Part(
            messages=msgspec.convert(image.messages, list[MessageRow]),
            attributes=msgspec.convert(image.attributes, list[AttributeRow]),
            shared=msgspec.convert(image.shared, list[SharedRow]),
            questions=msgspec.convert(image.questions, list[QuestionRow]),
            blobs=msgspec.convert(image.blobs, list[BlobRow]),
        )
        for value in _values(image):
            if may_hold_blobs(value):
                blob_references(value)
    except (msgspec.ValidationError, ValueMalformed) as error:
        return f"holds rows of it that can't be ({error})"
    found = problem_of(part, routines, ())
    return None if found is None else f"holds rows of it that can't be ({found})"


def _values(image: JobImage) -> Iterable[bytes]:
    yield image.head.input
    yield from (row.value for row in image.attributes)
    yield from (row.value for row in image.shared)
    yield from (row.data for row in image.messages)
    yield from (row.progress for row in image.messages if row.progress is not None)
