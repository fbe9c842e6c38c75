"""A ``Store`` in memory, which passes the suite for stores: fast enough for ten thousand whole runs.

``Disk`` is what survives a supervisor, ``MemoryStore`` one opening of it. What can be changed in place
(heads, records) is kept encoded, so that nobody changes what is on disk without a commit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from sojourn.hosts.store.protocol import StoredJob, UnreadableJob
from sojourn.hosts.store.shown import ShownJob
from sojourn.hosts.store.sqlite_writes import COMMANDS_KEPT, LOG_LINES, LOG_TRIM
from sojourn.runtime.errors import JobUnreadable, NotFound
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HandoffRow,
    HistoryRow,
    InviteRow,
    JobHead,
    JobImage,
    LogRow,
    Mailboxes,
    MessageRow,
    Origin,
    Outcome,
    Ownership,
    PeerRow,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    StagedRows,
    StoredMessages,
    Writes,
)

_encode = msgspec.msgpack.encode
_HEAD = msgspec.msgpack.Decoder(JobHead)
_HANDOFF = msgspec.msgpack.Decoder(HandoffRow)
_PEER = msgspec.msgpack.Decoder(PeerRow)
_INVITE = msgspec.msgpack.Decoder(InviteRow)

Record = TypeVar("Record")


class JobRows:
    """The rows of one job in every table but ``jobs`` and ``handoffs``."""

    __slots__ = ("attributes", "blobs", "history", "logs", "messages", "questions", "shared")

    def __init__(self) -> None:
        self.messages: dict[int, MessageRow] = {}
        self.history: dict[int, HistoryRow] = {}
        self.attributes: dict[tuple[str, str, str], bytes] = {}
        self.shared: dict[str, bytes] = {}
        self.questions: dict[str, QuestionRow] = {}
        self.logs: dict[int, LogRow] = {}
        self.blobs: dict[str, int] = {}


class Disk:
    """All that is durable of one host's store."""

    def __init__(self) -> None:
        self.flows: dict[str, bytes] = {}
        self.heads: dict[int, bytes] = {}
        self.ids: dict[str, int] = {}
        """Job id → row of the head that has it: no two have one."""
        self.rows: dict[int, JobRows] = {}
        self.highest_row = 0
        self.origins: dict[int, Origin] = {}
        self.handoffs: dict[tuple[str, str], bytes] = {}
        self.peers: dict[str, bytes] = {}
        self.invites: dict[str, bytes] = {}
        self.commands: dict[str, tuple[bytes, float]] = {}
        self.starts: dict[str, tuple[int, float]] = {}
        self.meta: dict[str, str] = {}

    def of(self, row: int) -> JobRows:
        """Give a job's rows, made at first use."""
        found = self.rows.get(row)
        if found is None:
            found = self.rows[row] = JobRows()
        return found

    def apply(self, writes: Writes) -> None:
        """Apply a round, in the order that ``Writes`` documents."""
        self.flows = {**writes.flows_put, **self.flows} if writes.flows_put else self.flows
        for row in writes.jobs_cleared:
            self.rows.pop(row, None)
        for row in writes.jobs_removed:
            self.heads.pop(row, None)
            self.ids = {name: kept for name, kept in self.ids.items() if kept != row}
        for row, head in writes.heads.items():
            assert self.ids.setdefault(head.job_id, row) == row, f"two rows have the id {head.job_id}"
            self.heads[row] = _encode(head)
            self.highest_row = max(self.highest_row, row)
        self.origins.update(writes.origins_put)
        self._apply_rows(writes)
        self._apply_rare(writes)

    def _apply_rows(self, writes: Writes) -> None:
        for message in writes.messages_put:
            self.of(message.job).messages[message.message] = message
        for attempts, retries, due, progress, row, number in writes.messages_changed:
            found = self.of(row).messages.get(number)
            if found is not None:
                self.of(row).messages[number] = MessageRow(
                    *found[:5], attempts, retries, due, progress
                )
        for row, number in writes.messages_deleted:
            self.of(row).messages.pop(number, None)
        for entry in writes.history:
            self.of(entry.job).history[entry.sequence] = entry
        for (row, *name), value in writes.attributes.items():
            _change(self.of(row).attributes, (name[0], name[1], name[2]), value)
        for (row, key), value in writes.shared.items():
            _change(self.of(row).shared, key, value)
        for line in writes.logs:
            logs = self.of(line.job).logs
            logs[line.sequence] = line
            if line.sequence % LOG_TRIM == 0:
                for number in [n for n in logs if n <= line.sequence - (LOG_LINES - LOG_TRIM)]:
                    del logs[number]
        for question in writes.questions_put:
            self.of(question.job).questions[question.question] = question
        for row, asked in writes.questions_deleted:
            self.of(row).questions.pop(asked, None)
        for blob in writes.blobs_put:
            self.of(blob.job).blobs[blob.digest] = blob.size
        for row, digest in writes.blobs_deleted:
            self.of(row).blobs.pop(digest, None)

    def _apply_rare(self, writes: Writes) -> None:
        for record in writes.handoffs_put.values():
            self.handoffs[record.role, record.m] = _encode(record)
        for key in writes.handoffs_deleted:
            self.handoffs.pop(key, None)
        for peer in writes.peers_put:
            self.peers[peer.name] = _encode(peer)
        for invite in writes.invites_put:
            self.invites[invite.public_key] = _encode(invite)
        for command, reply, at in writes.commands_put:
            self.commands[command] = (reply, at)
        for pool, start in writes.starts_put.items():
            if start[0]:
                self.starts[pool] = start
            else:
                self.starts.pop(pool, None)
        self.meta.update(writes.meta_put)

    def head(self, row: int) -> JobHead | None:
        """Give one head."""
        encoded = self.heads.get(row)
        return None if encoded is None else _HEAD.decode(encoded)


class MemoryStore:
    """One opening of a disk.

    Args:
        disk: it.
        now: wall clock in seconds.
        fresh_id: the store's id, if it has none yet.
    """

    def __init__(self, disk: Disk, now: float, fresh_id: str) -> None:
        self._disk = disk
        disk.meta.setdefault("store_id", fresh_id)
        disk.meta["incarnation"] = str(int(disk.meta.get("incarnation", "0")) + 1)
        disk.commands = {
            name: kept for name, kept in disk.commands.items() if kept[1] >= now - COMMANDS_KEPT
        }
        self.store_id = disk.meta["store_id"]
        self.incarnation = int(disk.meta["incarnation"])
        self.restored = disk.meta.get("restored", "0") == "1"
        self.lost = 0

    def commit(self, writes: Writes) -> None:
        """See ``Store.commit``."""
        self._disk.apply(writes)

    # --- jobs -------------------------------------------------------------------------------------

    def live_jobs(self) -> list[int]:
        """See ``Store.live_jobs``."""
        return [
            row for row, head in sorted(self._all_heads())
            if head.ownership is Ownership.OWNED and not head.status.finished
        ]

    def _all_heads(self) -> list[tuple[int, JobHead]]:
        return [(row, _HEAD.decode(head)) for row, head in self._disk.heads.items()]

    def heads(self) -> list[tuple[int, JobHead]]:
        """See ``Store.heads``."""
        found = [
            entry for entry in self._all_heads() if entry[1].ownership is not Ownership.FORGOTTEN
        ]
        return sorted(found, key=lambda entry: -entry[0])

    def head(self, row: int) -> JobHead | None:
        """See ``Store.head``."""
        return self._disk.head(row)

    def find(self, name: str) -> list[tuple[int, JobHead]]:
        """See ``Store.find``."""
        exact = self.by_job_id(name)
        if exact is not None:
            return [exact]
        return [entry for entry in self.heads() if entry[1].job_id.startswith(name)][:10]

    def by_job_id(self, job_id: str) -> tuple[int, JobHead] | None:
        """See ``Store.by_job_id``."""
        row = self._disk.ids.get(job_id)
        head = None if row is None else self._disk.head(row)
        return None if row is None or head is None else (row, head)

    def ended(self, job_ids: Sequence[str]) -> dict[str, int]:
        """See ``Store.ended``."""
        known = [found for found in map(self.by_job_id, job_ids) if found is not None]
        return {
            head.job_id: row for row, head in known
            if head.ownership is Ownership.OWNED and head.status.finished
        }

    def next_row(self) -> int:
        """See ``Store.next_row``."""
        return self._disk.highest_row + 1

    def flow(self, digest: str) -> bytes | None:
        """See ``Store.flow``."""
        return self._disk.flows.get(digest)

    def read_image(
        self, row: int, *, history: int | None = None, after: int | None = None,
        pending: int | None = None, logs: bool = True,
    ) -> JobImage:
        """See ``Store.read_image``."""
        head = self.head(row)
        if head is None:
            raise NotFound(f"no job in row {row}")
        rows = self._rows(row)
        entries = self._history(row, history, after)
        return JobImage(
            flow=self._disk.flows[head.flow_digest],
            head=head,
            messages=_first([rows.messages[number] for number in sorted(rows.messages)], pending),
            history=entries,
            attributes=[
                AttributeRow(row, *name, rows.attributes[name]) for name in sorted(rows.attributes)
            ],
            shared=[SharedRow(row, key, rows.shared[key]) for key in sorted(rows.shared)],
            questions=self._questions(rows),
            logs=self.logs(row, 0, -1) if logs else [],
            blobs=[BlobRow(row, digest, rows.blobs[digest]) for digest in sorted(rows.blobs)],
            origins={
                number: self._disk.origins[number]
                for number in sorted({entry.origin for entry in entries})
            },
            counts=self.counts(row),
        )

    def read_jobs(
        self, rows: Sequence[int], pending: int | None = None
    ) -> Iterator[StoredJob | UnreadableJob]:
        """See ``Store.read_jobs``."""
        for row in rows:
            if row in self._disk.heads:
                image = self.read_image(row, history=1, logs=False)
                stored: list[StoredMessages] = []
                if pending is not None:
                    image.messages, stored = self.mailboxes(row, pending)
                yield StoredJob(row, image, self.last_numbers(row)[:2], stored)

    def read_shown(
        self, rows: Sequence[int], *, history: int, pending: int
    ) -> dict[int, ShownJob | JobUnreadable]:
        """See ``Store.read_shown``."""
        found: dict[int, ShownJob | JobUnreadable] = {}
        for row in rows:
            if self.head(row) is not None:
                image = self.read_image(row, history=history, pending=pending, logs=False)
                image.flow, image.blobs = b"", []
                found[row] = ShownJob(
                    image, self.history_total(row), self.pending_total(row), self.pending_retries(row)
                )
        return found

    def _rows(self, row: int) -> JobRows:
        return self._disk.rows.get(row) or JobRows()

    def _questions(self, rows: JobRows) -> list[QuestionRow]:
        return sorted(rows.questions.values(), key=lambda asked: (asked.since, asked.question))

    def staged_rows(self, row: int, pending: int) -> StagedRows:
        """See ``Store.staged_rows``."""
        rows = self._rows(row)
        messages, stored = self.mailboxes(row, pending)
        return StagedRows(
            messages,
            [AttributeRow(row, *name, rows.attributes[name]) for name in sorted(rows.attributes)],
            [SharedRow(row, key, rows.shared[key]) for key in sorted(rows.shared)],
            self._questions(rows),
            stored,
        )

    def mailboxes(self, row: int, pending: int) -> Mailboxes:
        """See ``Store.mailboxes``."""
        kept = self.messages_from(row, 0, -1)
        left = [message for message in kept[pending:] if message.untried]
        stored = [
            StoredMessages(routine, own[0].message, len(own), sum(len(message.data) for message in own))
            for routine in sorted({message.routine for message in left})
            if (own := [message for message in left if message.routine == routine])
        ]
        return Mailboxes([m for m in kept if m not in left], stored)

    def waiting_messages(self, row: int, routine: str, first: int, limit: int) -> list[MessageRow]:
        """See ``Store.waiting_messages``."""
        return [m for m in self.messages_from(row, first, -1) if m.routine == routine and m.untried][:limit]

    def messages_from(self, row: int, first: int, limit: int) -> list[MessageRow]:
        """See ``Store.messages_from``."""
        kept = self._rows(row).messages
        later = [kept[number] for number in sorted(kept) if number >= first]
        return _first(later, None if limit < 0 else limit)

    def message_numbers(self, row: int) -> list[int]:
        """See ``Store.message_numbers``."""
        return sorted(self._rows(row).messages)

    def history_after(self, row: int, after: int, limit: int) -> list[HistoryRow]:
        """See ``Store.history_after``."""
        return self._history(row, limit, after)

    def _history(self, row: int, count: int | None, after: int | None) -> list[HistoryRow]:
        if count == 0:
            return []
        kept = self._rows(row).history
        numbers = sorted(kept)
        if after is not None or count is None:
            later = numbers[bisect_right(numbers, after or 0):]
            return [kept[number] for number in _first(later, count)]
        return [kept[number] for number in numbers[-count:]]

    def history_total(self, row: int) -> int:
        """See ``Store.history_total``."""
        return len(self._rows(row).history)

    def counts(self, row: int) -> dict[str, RoutineCounts]:
        """See ``Store.counts``."""
        found: dict[str, RoutineCounts] = {}
        kept = self._rows(row).history
        for number in sorted(kept):
            entry = kept[number]
            if entry.final:
                ended = list(found.get(entry.routine, (0, 0, 0, 0)))
                if entry.outcome in (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.SKIPPED):
                    ended[entry.outcome] += 1
                ended[3] = entry.retry_count
                found[entry.routine] = RoutineCounts(*ended)
        return found

    def pending_total(self, row: int) -> int:
        """See ``Store.pending_total``."""
        return len(self._rows(row).messages)

    def pending_retries(self, row: int) -> dict[str, int]:
        """See ``Store.pending_retries``."""
        found: dict[str, int] = {}
        for message in self._rows(row).messages.values():
            found[message.routine] = max(message.retry_count, found.get(message.routine, 0))
        return found

    def last_numbers(self, row: int) -> tuple[int, int, int]:
        """See ``Store.last_numbers``."""
        rows = self._rows(row)
        message = max(
            *rows.messages, *(entry.message for entry in rows.history.values()),
            *(asked.message for asked in rows.questions.values()), 0, 0,
        )
        return message, max(rows.history, default=0), max(rows.logs, default=0)

    def logs(self, row: int, after: int, limit: int) -> list[LogRow]:
        """See ``Store.logs``."""
        kept = self._rows(row).logs
        later = [kept[number] for number in sorted(kept) if number > after]
        return _first(later, None if limit < 0 else limit)

    def blob_references(self) -> dict[int, set[str]]:
        """See ``Store.blob_references``."""
        return {row: set(rows.blobs) for row, rows in self._disk.rows.items() if rows.blobs}

    def job_blobs(self, row: int) -> list[tuple[str, int]]:
        """See ``Store.job_blobs``."""
        return sorted(self._rows(row).blobs.items())

    def expired(self, before: float, keep: int) -> list[int]:
        """See ``Store.expired``."""
        over = [(at, row) for row, head in self._all_heads() if (at := _over_at(head)) is not None]
        beyond = sorted(over, reverse=True)[keep:]
        return sorted({row for at, row in over if at < before} | {row for _, row in beyond})

    # --- the host ---------------------------------------------------------------------------------

    def origins(self) -> dict[int, Origin]:
        """See ``Store.origins``."""
        return dict(self._disk.origins)

    def handoffs(self) -> list[HandoffRow]:
        """See ``Store.handoffs``."""
        return [_HANDOFF.decode(self._disk.handoffs[key]) for key in sorted(self._disk.handoffs)]

    def handoff(self, role: str, m: str) -> HandoffRow | None:
        """See ``Store.handoff``."""
        encoded = self._disk.handoffs.get((role, m))
        return None if encoded is None else _HANDOFF.decode(encoded)

    def peers(self) -> list[PeerRow]:
        """See ``Store.peers``."""
        return [_PEER.decode(self._disk.peers[name]) for name in sorted(self._disk.peers)]

    def invites(self) -> list[InviteRow]:
        """See ``Store.invites``."""
        return [_INVITE.decode(self._disk.invites[key]) for key in sorted(self._disk.invites)]

    def starts(self) -> dict[str, tuple[int, float]]:
        """See ``Store.starts``."""
        return dict(self._disk.starts)

    def command_reply(self, command_id: str) -> bytes | None:
        """See ``Store.command_reply``."""
        kept = self._disk.commands.get(command_id)
        return None if kept is None else kept[0]

    def meta(self) -> dict[str, str]:
        """See ``Store.meta``."""
        return dict(self._disk.meta)

    def close(self) -> None:
        """See ``Store.close``."""


Key = TypeVar("Key")


def _change(table: dict[Key, bytes], key: Key, value: bytes | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _first(rows: Iterable[Record], count: int | None) -> list[Record]:
    found = list(rows)
    return found if count is None else found[:count]


def _over_at(head: JobHead) -> float | None:
    """Since when a job is kept for its document alone; None while it is alive or in doubt."""
    if head.ownership is Ownership.GONE or (
        head.ownership is Ownership.OWNED and head.status.finished
    ):
        return head.created_at if head.finished_at is None else head.finished_at
    return None
