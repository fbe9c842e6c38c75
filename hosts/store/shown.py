"""Many jobs read at once, as their documents show them: a few queries for all instead of many for each.

Reads and counts rows, and knows nothing of documents. What a job may have many of is read up to a bound;
beyond it, the store is asked about that job alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from sojourn.hosts.store.heads import UnreadableHead, read_heads
from sojourn.hosts.store.schema import unreadable
from sojourn.runtime.document_image import count_endings
from sojourn.runtime.errors import JobUnreadable
from sojourn.runtime.job import (
    AttributeRow,
    HistoryRow,
    JobHead,
    JobImage,
    MessageRow,
    QuestionRow,
    RoutineCounts,
    SharedRow,
)

if TYPE_CHECKING:
    from sojourn.hosts.store.protocol import Store

Row = TypeVar("Row", AttributeRow, HistoryRow, QuestionRow, SharedRow)

Query = Callable[..., list[tuple[object, ...]]]
"""Runs a query with its arguments and gives all rows."""

_SEQUENCE = attrgetter("sequence")

_THESE = "IN (SELECT value FROM json_each(?))"
_HEADS = f"""
SELECT row, EXISTS (SELECT 1 FROM messages WHERE job = row),
    EXISTS (SELECT 1 FROM attributes WHERE job = row), EXISTS (SELECT 1 FROM shared WHERE job = row),
    EXISTS (SELECT 1 FROM questions WHERE job = row),
    head, job_id, instance, status, ownership, created_at
FROM jobs WHERE row {_THESE}
"""
"""With what else there is of each: most jobs have nothing in most tables."""
_LAST = """
SELECT history.* FROM json_each(?) AS these CROSS JOIN history
WHERE history.job = these.value AND history.sequence >
    (SELECT max(sequence) FROM history WHERE job = these.value) - ?
"""
"""The last entries of each: found from the end of its index, whatever lies before them."""
_ATTRIBUTES = f"SELECT * FROM attributes WHERE job {_THESE} ORDER BY job, routine, key, name"
_SHARED = f"SELECT * FROM shared WHERE job {_THESE} ORDER BY job, key"
_QUESTIONS = f"SELECT * FROM questions WHERE job {_THESE} ORDER BY job, since, question"
_OLDEST = "SELECT * FROM messages WHERE job = ? ORDER BY message LIMIT ?"
_ENDED = f"""
SELECT job_id, row FROM jobs WHERE job_id {_THESE} AND +ownership = 'owned'
    AND +status IN ('completed', 'failed', 'cancelled')
"""
"""The signs keep SQLite from going through all jobs that are over, by their index."""


class ShownJob(NamedTuple):
    """A job as its document shows it.

    Attributes:
        image: its rows as far as they are shown, without flow, log and blobs.
        history_total: entries of its whole history.
        pending_total: its pending messages in all.
        pending_retries: highest retry count among them, per routine that has any.
    """

    image: JobImage
    history_total: int
    pending_total: int
    pending_retries: dict[str, int]


class _Have(NamedTuple):
    """Rows of the jobs that have something in a table."""

    messages: list[int]
    attributes: list[int]
    shared: list[int]
    questions: list[int]


def read_shown(
    store: Store, query: Query, path: Path, rows: Sequence[int], *, history: int, pending: int
) -> dict[int, ShownJob | JobUnreadable]:
    """Read jobs as their documents show them (see ``Store.read_shown``).

    Args:
        store: asked about what is beyond the bounds.
        query: of its file.
        path: the file, for sentences.
        rows: of the jobs.
        history: how many entries of each: the last ones.
        pending: how many pending messages of each: the oldest.
    """
    found: dict[int, ShownJob | JobUnreadable] = {}
    heads: dict[int, JobHead] = {}
    have = _Have([], [], [], [])
    these = _listed(rows)
    jobs = query(_HEADS, these)
    for (number, *has), read in zip(
        (job[: 1 + len(have)] for job in jobs),
        read_heads(path, [job[1 + len(have) :] for job in jobs]), strict=True,
    ):
        row = _int(number)
        if isinstance(read, UnreadableHead):
            found[row] = JobUnreadable(read.reason)
            continue
        heads[row] = read
        for holders, there in zip(have, has, strict=True):
            if there:
                holders.append(row)
    entries = _of_all(query, these, _LAST, HistoryRow._make, history)
    attributes = _of_some(query, have.attributes, _ATTRIBUTES, AttributeRow._make)
    shared = _of_some(query, have.shared, _SHARED, SharedRow._make)
    questions = _of_some(query, have.questions, _QUESTIONS, QuestionRow._make)
    origins = store.origins()
    waiting = set(have.messages)
    for row, head in heads.items():
        messages: list[MessageRow] = []
        if row in waiting:
            messages = list(map(MessageRow._make, query(_OLDEST, row, pending)))
        kept = entries.get(row, [])
        kept.sort(key=_SEQUENCE)  # as they mostly are
        used = {entry.origin for entry in kept}
        lacking = used - origins.keys()
        if lacking:
            found[row] = unreadable(path, head.job_id, f"lacks origin {min(lacking)} of its history")
            continue
        total, counts = _endings(store, row, kept)
        image = JobImage(
            flow=b"", head=head, messages=messages, history=kept, attributes=attributes.get(row, []),
            shared=shared.get(row, []), questions=questions.get(row, []), logs=[], blobs=[],
            origins={number: origins[number] for number in sorted(used)}, counts=counts,
        )
        found[row] = ShownJob(image, total, *_waiting(store, row, messages, pending))
    return found


def read_ended(query: Query, job_ids: Sequence[str]) -> dict[str, int]:
    """Give the rows of those jobs that are over (see ``Store.ended``)."""
    return {str(job_id): _int(row) for job_id, row in query(_ENDED, _listed(job_ids))}


def _listed(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()


def _of_some(
    query: Query, rows: list[int], statement: str, make: Callable[[Iterable[Any]], Row]
) -> dict[int, list[Row]]:
    """Read the rows of those jobs that have any in a table."""
    return _of_all(query, _listed(rows), statement, make) if rows else {}


def _of_all(
    query: Query, these: str, statement: str, make: Callable[[Iterable[Any]], Row], *further: int
) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in map(make, query(statement, these, *further)):
        found.setdefault(row.job, []).append(row)
    return found


def _endings(
    store: Store, row: int, entries: list[HistoryRow]
) -> tuple[int, dict[str, RoutineCounts]]:
    """Count a job's history: here where it was read whole, which most are."""
    if not entries:
        return 0, {}
    if entries[0].sequence == 1 and entries[-1].sequence == len(entries):
        try:
            return len(entries), count_endings(entries)
        except KeyError:
            pass  # an outcome that can't be: the store counts what can
    return store.history_total(row), store.counts(row)


def _waiting(
    store: Store, row: int, messages: list[MessageRow], limit: int
) -> tuple[int, dict[str, int]]:
    """Count a job's pending messages: here where all were read."""
    if len(messages) >= limit:
        return store.pending_total(row), store.pending_retries(row)
    retries: dict[str, int] = {}
    for message in messages:
        retries[message.routine] = max(message.retry_count, retries.get(message.routine, 0))
    return len(messages), retries


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
