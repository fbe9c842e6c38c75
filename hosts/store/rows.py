"""Whether the rows of a job make sense: SQLite has no checksums, so a flipped bit reaches whoever reads it.

What each column holds was looked at when the rows were read. Reads nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.handoff.parts import LARGEST_NUMBER
from sojourn.runtime.job import JobImage
from sojourn.runtime.values import blob_references, is_digest, may_hold_blobs


def problem_of_image(image: JobImage, routines: Collection[str]) -> str | None:
    """Tell what is wrong with a job as it was read from a store, its history aside; None if nothing is.

    Args:
        image: the job.
        routines: ids of its flow's routines.
    """
    found = _problem_of_rows(image, routines) or _problem_of_values(image)
    return None if found is None else f"holds rows of it that can't be ({found})"


def _problem_of_rows(image: JobImage, routines: Collection[str]) -> str | None:
    for rows in (image.messages, image.attributes, image.questions):
        for row in rows:
            if row.routine not in routines:
                return f"they name a routine {row.routine!r} that its flow doesn't have"
    for message in image.messages:
        if not (
            0 <= message.message < LARGEST_NUMBER and 0 <= message.attempts < LARGEST_NUMBER
            and 0 <= message.retry_count < LARGEST_NUMBER
        ):
            return "they hold numbers that no job comes to"
    if not all(0 <= question.message < LARGEST_NUMBER for question in image.questions):
        return "they hold numbers that no job comes to"
    if not all(is_digest(blob.digest) and 0 <= blob.size < LARGEST_NUMBER for blob in image.blobs):
        return "they name a blob that can't be one"
    return None


def _problem_of_values(image: JobImage) -> str | None:
    try:
        for value in _values(image):
            if may_hold_blobs(value):
                blob_references(value)
    except ValueMalformed as error:
        return str(error)
    return None


def _values(image: JobImage) -> Iterator[bytes]:
    yield image.head.input
    for message in image.messages:
        yield message.data
        if message.progress is not None:
            yield message.progress
    for attribute in image.attributes:
        yield attribute.value
    for shared in image.shared:
        yield shared.value
