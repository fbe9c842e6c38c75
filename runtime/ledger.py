"""The committed rows of jobs, kept in memory: what a store holds of them, without a disk.

Takes the writes of rounds and gives images back, like a store. Keeps jobs and nothing else of a host:
no hand-offs, peers or commands. What it gives shares nothing with what it was given, as if it had been
on disk.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sojourn.runtime.document_image import count_endings
from sojourn.runtime.errors import NotFound
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HistoryRow,
    JobHead,
    JobImage,
    LogRow,
    MessageRow,
    Origin,
    QuestionRow,
    SharedRow,
    Writes,
)

K = TypeVar("K")
R = TypeVar("R")


class _Rows:
    """The rows of one job, those of its head aside."""

    def __init__(self) -> None:
        self.messages: dict[int, MessageRow] = {}
        self.history: dict[int, HistoryRow] = {}
        """By sequence, which only rises, as in ``logs``."""
        self.attributes: dict[tuple[str, str, str], bytes] = {}
        self.shared: dict[str, bytes] = {}
        self.questions: dict[str, QuestionRow] = {}
        self.logs: dict[int, LogRow] = {}
        self.blobs: dict[str, BlobRow] = {}
        self.last_message = 0
        """Highest number of a message that it had."""


class Ledger:
    """Jobs as of the last commit."""

    def __init__(self) -> None:
        self._flows: dict[str, bytes] = {}
        self._heads: dict[int, bytes] = {}
        self._origins: dict[int, Origin] = {}
        self._jobs: dict[int, _Rows] = {}

    def commit(self, writes: Writes) -> None:
        """Take a round in, in the order that ``Writes`` documents."""
        self._flows.update(writes.flows_put)
        for row in writes.jobs_cleared:
            self._jobs.pop(row, None)
        for row, head in writes.heads.items():
            self._heads[row] = msgspec.msgpack.encode(head)
        self._origins.update(writes.origins_put)
        self._commit_messages(writes)
        for entry in writes.history:
            rows = self._of(entry.job)
            rows.history[entry.sequence] = entry
            rows.last_message = max(rows.last_message, entry.message)
        for (row, routine, key, name), value in writes.attributes.items():
            _set(self._of(row).attributes, (routine, key, name), value)
        for (row, name), value in writes.shared.items():
            _set(self._of(row).shared, name, value)
        for asked in writes.questions_put:
            self._of(asked.job).questions[asked.question] = asked
        for row, question in writes.questions_deleted:
            self._of(row).questions.pop(question, None)
        for line in writes.logs:
            self._of(line.job).logs[line.sequence] = line
        for blob in writes.blobs_put:
            self._of(blob.job).blobs[blob.digest] = blob

    def _commit_messages(self, writes: Writes) -> None:
        for message in writes.messages_put:
            rows = self._of(message.job)
            rows.messages[message.message] = message
            rows.last_message = max(rows.last_message, message.message)
        for attempts, retry_count, due, progress, row, number in writes.messages_changed:
            messages = self._of(row).messages
            if number in messages:
                messages[number] = messages[number]._replace(
                    attempts=attempts, retry_count=retry_count, due=due, progress=progress
                )
        for row, number in writes.messages_deleted:
            self._of(row).messages.pop(number, None)

    def _of(self, row: int) -> _Rows:
        found = self._jobs.get(row)
        if found is None:
            found = self._jobs[row] = _Rows()
        return found

    def head(self, row: int) -> JobHead:
        """Give a job's head.

        Raises:
            NotFound: if there is no such row.
        """
        found = self._heads.get(row)
        if found is None:
            raise NotFound(f"there is no job in row {row}")
        return msgspec.msgpack.decode(found, type=JobHead)

    def image(self, row: int, *, history: bool = True, logs: bool = True) -> JobImage:
        """Give a job, its rows in the order of a store.

        Args:
            row: its row.
            history: whether its history is wanted.
            logs: whether its log is.

        Raises:
            NotFound: if there is no such row.
        """
        head = self.head(row)
        rows = self._of(row)
        entries = _in_order(rows.history)
        used = sorted({entry.origin for entry in entries}) if history else []
        return JobImage(
            flow=self._flows[head.flow_digest],
            head=head,
            messages=_in_order(rows.messages),
            history=entries if history else [],
            attributes=[AttributeRow(row, *key, value) for key, value in sorted(rows.attributes.items())],
            shared=[SharedRow(row, key, value) for key, value in sorted(rows.shared.items())],
            questions=sorted(rows.questions.values(), key=lambda asked: (asked.since, asked.question)),
            logs=_in_order(rows.logs) if logs else [],
            blobs=[blob for _, blob in sorted(rows.blobs.items())],
            origins={number: self._origins[number] for number in used},
            counts=count_endings(entries),
        )

    def waiting_messages(self, row: int, routine: str, first: int, limit: int) -> list[MessageRow]:
        """Give messages of one routine that were never tried, from a number on, oldest first."""
        found: list[MessageRow] = []
        for message in _in_order(self._of(row).messages):
            if len(found) == limit:
                break
            if message.message >= first and message.routine == routine and message.untried:
                found.append(message)
        return found

    def history_total(self, row: int) -> int:
        """Count a job's history."""
        return len(self._of(row).history)

    def last_numbers(self, row: int) -> tuple[int, int, int]:
        """Give the highest message number, history sequence and log sequence that a job used."""
        rows = self._of(row)
        return rows.last_message, next(reversed(rows.history), 0), next(reversed(rows.logs), 0)

    def origins(self) -> dict[int, Origin]:
        """Give every origin that history rows point to."""
        return dict(self._origins)


def _set(values: dict[K, bytes], key: K, value: bytes | None) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value


def _in_order(rows: dict[int, R]) -> list[R]:
    return [rows[number] for number in sorted(rows)]
