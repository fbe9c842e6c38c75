"""A job in parts: how its rows travel while it runs, and what ends the copy once it is frozen.

Parts are applied in order: rows that are put replace those of the same key, rows that are gone are
deleted. Dues count from the begin of the hand-off by the source's clock; ``Final.elapsed`` says how much
of them had passed at the freeze, so that a delay is never stretched or cut by the copy. Pure: reads and
writes no store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, TypeVar

import msgspec

from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HistoryRow,
    JobHead,
    JobImage,
    LogRow,
    MessageRow,
    Origin,
    Outcome,
    QuestionRow,
    RoutineCounts,
    SharedRow,
)
from sojourn.runtime.values import is_digest
from sojourn.runtime.wire.decoding import FrameDecoder
from sojourn.runtime.wire.handoff import MOST_BLOBS

T = TypeVar("T")

LARGEST_NUMBER = 1 << 53
"""Above any number that a job comes to; stores hold no more than 64 bits."""

LARGEST_PART = 256 * 1024 * 1024
"""Bytes of one part: a part is small unless a single row is large."""

_OUTCOMES = frozenset(Outcome)
ROW_BYTES = 120
"""What a row weighs beside its values, for estimates of what a job takes on a disk."""

TINY = 1e-6
"""Seconds of a due that has passed: a message that waited is due at once, yet was waiting."""


class Final(msgspec.Struct):
    """What only the frozen job tells.

    Attributes:
        head: the job, its numbers brought up to date.
        counts: ended messages per routine.
        elapsed: seconds from the begin of the hand-off to the freeze.
        last_log: highest number of its log.
    """

    head: JobHead
    counts: dict[str, RoutineCounts]
    elapsed: float
    last_log: int


MOST_ROWS = 1 << 16
"""Rows of a kind in one part, which holds some hundred KiB."""

Rows = Annotated[list[T], msgspec.Meta(max_length=MOST_ROWS)]


class Part(msgspec.Struct, omit_defaults=True):
    """Some rows of a job. ``job`` in every row is of no meaning; the receiver writes its own.

    Attributes:
        origins: what ``HistoryRow.origin`` points to, each told before or with its first use.
        final: ends the copy.
    """

    messages: Rows[MessageRow] = []
    messages_gone: Rows[int] = []
    history: Rows[HistoryRow] = []
    attributes: Rows[AttributeRow] = []
    attributes_gone: Rows[tuple[str, str, str]] = []
    shared: Rows[SharedRow] = []
    shared_gone: Rows[str] = []
    questions: Rows[QuestionRow] = []
    questions_gone: Rows[str] = []
    logs: Rows[LogRow] = []
    blobs: Annotated[list[BlobRow], msgspec.Meta(max_length=MOST_BLOBS)] = []
    origins: dict[int, Origin] = {}
    final: Final | None = None


def weight(part: Part, size: int) -> int:
    """Estimate the bytes that a part's rows take in a store; ``size`` is that of the encoded part."""
    rows = len(part.messages) + len(part.history) + len(part.attributes) + len(part.shared)
    rows += len(part.questions) + len(part.logs) + len(part.blobs)
    return size + rows * ROW_BYTES


_PART = FrameDecoder(msgspec.msgpack.Decoder(Part))
_FINAL = FrameDecoder(msgspec.msgpack.Decoder(Final))


def encode_part(part: Part) -> bytes:
    """Encode a part."""
    return msgspec.msgpack.encode(part)


def decode_part(data: bytes) -> Part:
    """Decode a part.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _PART.decode(data)


def encode_final(final: Final) -> bytes:
    """Encode what ends a copy, to be kept until the decision."""
    return msgspec.msgpack.encode(final)


def decode_final(data: bytes) -> Final:
    """Decode what ends a copy.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _FINAL.decode(data)


def part_of(image: JobImage, last_log: int) -> Part:
    """Give a whole frozen job as one part.

    Args:
        image: the job; its dues are seconds from now.
        last_log: highest number of its log.
    """
    return Part(
        messages=image.messages, history=image.history, attributes=image.attributes, shared=image.shared,
        questions=image.questions, logs=image.logs, blobs=image.blobs, origins=image.origins,
        final=Final(image.head, image.counts, 0.0, last_log),
    )


def image_of(part: Part, final: Final, flow: bytes) -> JobImage:
    """Give the job that came as one part; its dues are seconds from now."""
    return JobImage(
        flow=flow, head=final.head, messages=part.messages, history=part.history,
        attributes=part.attributes, shared=part.shared, questions=part.questions, logs=part.logs,
        blobs=part.blobs, origins=part.origins, counts=final.counts,
    )


def problem_of(part: Part, routines: Collection[str], origins: Collection[int]) -> str | None:
    """Tell what is wrong with a part; None if nothing is.

    Args:
        part: as it came.
        routines: ids of the flow's routines.
        origins: numbers of the origins that were told before.
    """
    for rows in (part.messages, part.attributes, part.questions, part.history):
        for row in rows:
            if row.routine not in routines:
                return f"the image names a routine {row.routine!r} that its flow doesn't have"
    if not all(0 <= number < LARGEST_NUMBER for number in _numbers(part)):
        return "the image holds numbers that no job comes to"
    if not all(is_digest(blob.digest) for blob in part.blobs):
        return "the image names a blob that can't be one"
    for row in part.history:
        if row.outcome not in _OUTCOMES:
            return "the image's history holds an outcome that there isn't"
        if row.origin not in part.origins and row.origin not in origins:
            return "the image's history points to hosts that it doesn't name"
    return None


def _numbers(part: Part) -> Iterator[int]:
    for message in part.messages:
        yield from (message.message, message.attempts, message.retry_count)
    yield from part.messages_gone
    for entry in part.history:
        yield from (
            entry.sequence, entry.message, entry.attempt, entry.retry_count, entry.origin, entry.outcome,
            entry.final,
        )
    for line in part.logs:
        yield from (line.sequence, line.message, line.attempt)
    for question in part.questions:
        yield question.message
    for blob in part.blobs:
        yield blob.size
    for number, origin in part.origins.items():
        yield from (number, origin.epoch)
    if part.final is not None:
        head = part.final.head
        yield from (head.epoch, head.next_message, head.next_sequence, head.hooks_delivered)
        yield part.final.last_log
        for counts in part.final.counts.values():
            yield from counts


def remaining(due: float, elapsed: float) -> float:
    """Give the seconds that are left of a due at the freeze, never so few that it looks like none."""
    return max(TINY, due - elapsed)
