"""Whether the rows of jobs make sense: SQLite has no checksums, so a flipped bit reaches whoever reads it.

That each column holds a value of its type was looked at when the rows were read. Reads nothing and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.handoff.parts import LARGEST_NUMBER
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HistoryRow,
    JobImage,
    MessageRow,
    QuestionRow,
    SharedRow,
)
from sojourn.runtime.values import blob_references, is_digest, may_hold_blobs

AnyRow = MessageRow | AttributeRow | SharedRow | QuestionRow | BlobRow | HistoryRow

_NUMBERS = "there are numbers that no job comes to"


def problem_of_image(image: JobImage, routines: Collection[str]) -> str | None:
    """Tell whether a job's rows fit its flow, the history aside; None if they do.

    Args:
        image: the job.
        routines: ids of its flow's routines.
    """
    for rows in (image.messages, image.attributes, image.questions):
        for row in rows:
            if row.routine not in routines:
                return _sentence(f"there is a routine {row.routine!r} that its flow doesn't have")
    return None


def problems_of_rows(rows: Sequence[AnyRow]) -> dict[int, str]:
    """Tell what is wrong with rows of one table, by job; of a job with which nothing is it tells nothing.

    Args:
        rows: of any number of jobs, and whatever flows.
    """
    check = _CHECKS[type(rows[0])] if rows else None
    if check is None:
        return {}
    found = {row.job: problem for row in rows if (problem := check(row)) is not None}
    return {job: _sentence(problem) for job, problem in found.items()}


def problem_of_messages(rows: Sequence[MessageRow]) -> str | None:
    """Tell what is wrong with messages of one job that are read later than the rest; None if nothing is."""
    try:
        made = msgspec.convert([tuple(row) for row in rows], list[MessageRow])
    except msgspec.ValidationError as error:
        return _sentence(str(error))
    return next(iter(problems_of_rows(made).values()), None)


def problem_of_input(data: bytes) -> str | None:
    """Tell what is wrong with the input of a job; None if nothing is."""
    found = _problem_of_value(data)
    return None if found is None else _sentence(found)


def _sentence(problem: str) -> str:
    return f"holds rows of it that can't be ({problem})"


def _problem_of_message(row: MessageRow) -> str | None:
    if not (
        0 <= row.message < LARGEST_NUMBER and 0 <= row.attempts < LARGEST_NUMBER
        and 0 <= row.retry_count < LARGEST_NUMBER
    ):
        return _NUMBERS
    found = _problem_of_value(row.data)
    return found if found is not None or row.progress is None else _problem_of_value(row.progress)


def _problem_of_kept(row: AttributeRow | SharedRow) -> str | None:
    return _problem_of_value(row.value)


def _problem_of_question(row: QuestionRow) -> str | None:
    return None if 0 <= row.message < LARGEST_NUMBER else _NUMBERS


def _problem_of_blob(row: BlobRow) -> str | None:
    if not is_digest(row.digest):
        return "there is a blob that can't be one"
    return None if 0 <= row.size < LARGEST_NUMBER else _NUMBERS


def _problem_of_value(data: bytes) -> str | None:
    """Tell whether a value refers to blobs in a way that nobody can read."""
    if not may_hold_blobs(data):
        return None
    try:
        blob_references(data)
    except ValueMalformed as error:
        return str(error)
    return None


_CHECKS: dict[type, Callable[[Any], str | None] | None] = {
    MessageRow: _problem_of_message, AttributeRow: _problem_of_kept, SharedRow: _problem_of_kept,
    QuestionRow: _problem_of_question, BlobRow: _problem_of_blob, HistoryRow: None,
}
