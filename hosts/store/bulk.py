"""Reading many jobs at once: what an engine needs of them, in as many queries for a thousand as for one.

Where very many messages are pending, those of each job are asked for by themselves.

Each table is read in the order of its key and cut into jobs. What can't be read of one job concerns that
one alone: it is given as unreadable, and the others go on. Decides nothing about jobs and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from sojourn.hosts.store.heads import UnreadableHead, read_heads
from sojourn.hosts.store.mailboxes import read_mailboxes
from sojourn.hosts.store.protocol import StoredJob, UnreadableJob
from sojourn.hosts.store.rows import AnyRow, problem_of_input, problems_of_rows
from sojourn.hosts.store.schema import unreadable
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HistoryRow,
    JobHead,
    JobImage,
    MessageRow,
    Origin,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    StoredMessages,
)

AT_ONCE = 1_000
"""Jobs whose rows are in memory together."""

MANY = 8
"""Mailboxes' worth of messages that are read together; where there are more, each job is asked for."""

Row = TypeVar("Row", bound=AnyRow)
T = TypeVar("T")
Plain = tuple[object, ...]

_THESE = "(SELECT value FROM json_each(?))"
_HEADS = (
    "SELECT row, head, job_id, instance, status, ownership, created_at FROM jobs"
    f" WHERE row IN {_THESE} ORDER BY row"
)
_LAST = f"""
SELECT highest.message, history.* FROM (
    SELECT job, max(message) AS message, max(sequence) AS sequence FROM history
    WHERE job IN {_THESE} GROUP BY job
) AS highest JOIN history USING (job, sequence) ORDER BY job
"""
# A bare column beside a single max() is of the row that has it.
_COUNTS = f"""
SELECT job, routine, sum(outcome = 0), sum(outcome = 1), sum(outcome = 2), retry_count, max(sequence)
FROM history WHERE final AND job IN {_THESE} GROUP BY job, routine ORDER BY job
"""

_job = itemgetter(0)


class BulkReader:
    """Reads jobs for an engine.

    Args:
        path: the store's file, for sentences.
        query: runs a query with its arguments and gives all rows.
        flow: gives an encoded flow by its digest.
        origins: gives every origin that history rows point to.
    """

    def __init__(
        self, path: Path, query: Callable[..., list[Plain]], flow: Callable[[str], bytes | None],
        origins: Callable[[], dict[int, Origin]],
    ) -> None:
        self._path = path
        self._query = query
        self._flow = flow
        self._origins = origins

    def read(
        self, rows: Sequence[int], pending: int | None = None
    ) -> Iterator[StoredJob | UnreadableJob]:
        """Read jobs, in the order of their rows; see ``Store.read_jobs``."""
        flows: dict[str, bytes | None] = {}

        def flow(digest: str) -> bytes | None:
            if digest not in flows:
                flows[digest] = self._flow(digest)
            return flows[digest]

        for start in range(0, len(rows), AT_ONCE):
            piece = _Piece(self._query, rows[start : start + AT_ONCE], pending)
            yield from piece.jobs(self._path, flow, self._origins() if piece.last else {})


class _Piece:
    """Some jobs: their rows, by job.

    Args:
        query: runs a query with its arguments and gives all rows.
        rows: which.
        pending: how many messages of each, as of ``mailboxes``; None for all.

    Attributes:
        last: job → the last entry of its history, in a list; jobs without one aren't there.
    """

    def __init__(
        self, query: Callable[..., list[Plain]], rows: Sequence[int], pending: int | None
    ) -> None:
        self._query = query
        self._rows = msgspec.json.encode(list(rows)).decode()
        self._problems: dict[int, str] = {}
        """Job → why its rows can't be."""
        self.stored: dict[int, list[StoredMessages]] = {}
        self._newest: dict[int, int] = {}
        """Job → number of its newest message, where not all of them were read."""
        self._messages = self._made(self._read_messages(rows, pending), MessageRow)
        self._attributes = self._of(AttributeRow, "attributes", "routine, key, name")
        self._shared = self._of(SharedRow, "shared", "key")
        self._questions = self._of(QuestionRow, "questions", "since, question")
        self._blobs = self._of(BlobRow, "blob_refs", "digest")
        last = query(_LAST, self._rows)
        self._highest = {_int(row[1]): _int(row[0]) for row in last}
        self.last = self._made([row[1:] for row in last], HistoryRow)
        self._counts = {
            _int(job): {str(row[1]): RoutineCounts(*map(_int, row[2:6])) for row in found}
            for job, found in groupby(query(_COUNTS, self._rows), _job)
        }

    def _read_messages(self, rows: Sequence[int], pending: int | None) -> list[Plain]:
        """Read the messages of all, and of jobs that have many those in memory: whoever else is read."""
        most = -1 if pending is None else MANY * pending
        found = self._query(
            f"SELECT * FROM messages WHERE job IN {_THESE} ORDER BY job, message LIMIT ?", self._rows, most
        )
        if pending is None:
            return found
        kept: dict[int, list[Plain]] = {}
        long: list[int] = sorted(rows)
        if len(found) < most:
            kept = _by_job(found)
            long = [row for row, some in kept.items() if len(some) > pending]  # fewer than MANY
        for row in long:
            kept[row], stored = read_mailboxes(self._query, row, pending)
            if stored:
                self.stored[row] = stored
                ((newest,),) = self._query("SELECT max(message) FROM messages WHERE job = ?", row)
                self._newest[row] = _int(newest)
        return list(chain.from_iterable(kept.values()))

    def jobs(
        self, path: Path, flow: Callable[[str], bytes | None], origins: dict[int, Origin]
    ) -> Iterator[StoredJob | UnreadableJob]:
        """Put the jobs together."""
        found = self._query(_HEADS, self._rows)
        for (place, *_), head in zip(found, read_heads(path, [row[1:] for row in found]), strict=True):
            row = _int(place)
            if isinstance(head, UnreadableHead):
                yield UnreadableJob(row, head.job_id, head.reason)
                continue
            encoded = flow(head.flow_digest)
            last = self.last.get(row, [])
            problem = self._problems.get(row)
            if encoded is None:
                problem = f"lacks its flow {head.flow_digest}"
            elif last and last[0].origin not in origins:
                problem = f"lacks origin {last[0].origin} of its history"
            elif problem is None:
                problem = problem_of_input(head.input)
            if encoded is None or problem is not None:
                reason = unreadable(path, head.job_id, problem or "").message
                yield UnreadableJob(row, head.job_id, reason)
                continue
            yield self._stored(row, head, encoded, last, origins)

    def _stored(
        self, row: int, head: JobHead, flow: bytes, last: list[HistoryRow], origins: dict[int, Origin]
    ) -> StoredJob:
        messages = self._messages.get(row, [])
        questions = self._questions.get(row, [])
        highest = self._newest.get(row, messages[-1].message if messages else 0)
        if last:
            highest = max(highest, self._highest[row])
        if questions:
            highest = max(highest, *(question.message for question in questions))
        image = JobImage(
            flow, head, messages, last, self._attributes.get(row, []), self._shared.get(row, []), questions,
            [], self._blobs.get(row, []), {last[0].origin: origins[last[0].origin]} if last else {},
            self._counts.get(row, {}),
        )
        numbers = (highest, last[0].sequence if last else 0)
        return StoredJob(row, image, numbers, self.stored.get(row, []))

    def _of(self, kind: type[Row], table: str, order: str) -> dict[int, list[Row]]:
        found = self._query(
            f"SELECT * FROM {table} WHERE job IN {_THESE} ORDER BY job, {order}", self._rows
        )
        return self._made(found, kind)

    def _made(self, rows: list[Plain], kind: type[Row]) -> dict[int, list[Row]]:
        """Make rows of their class, job by job, and see that each column holds what it should."""
        if not rows:
            return {}
        kinds: type[list[Row]] = list[kind]  # type: ignore[valid-type]
        made: list[Row]
        try:
            made = msgspec.convert(rows, kinds)
        except msgspec.ValidationError:
            made = []
            for job, some in _by_job(rows).items():
                try:
                    made += msgspec.convert(some, kinds)
                except msgspec.ValidationError as error:
                    self._problems[job] = f"holds rows of it that can't be ({error})"
        self._problems.update(problems_of_rows(made))
        return _by_job(made)


def _by_job(rows: Sequence[T]) -> dict[int, list[T]]:
    """Cut rows that are in the order of their jobs."""
    key = cast("Callable[[T], int]", _job)
    return {job: list(some) for job, some in groupby(rows, key)}


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
