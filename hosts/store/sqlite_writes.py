"""The writes of a round as SQL: rows by table, one ``executemany`` each, inside the caller's transaction.

Never begins or ends a transaction, and decides nothing about jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, count, groupby
from operator import itemgetter

import msgspec

from sojourn.runtime.job import (
    HistoryRow,
    JobHead,
    JobStatus,
    LogRow,
    MessageRow,
    Ownership,
    Writes,
)

LOG_LINES = 10_000
"""Lines of log that are kept per job."""

LOG_TRIM = 1_000
"""A job's log is cut each time its numbering passes a multiple of this, so that no line pays for it."""

COMMANDS_KEPT = 24 * 3600.0
"""Seconds for which a command's answer is kept."""

PER_JOB = ("messages", "history", "attributes", "shared", "questions", "logs", "blob_refs")
"""Tables whose rows belong to one job and go when it is cleared."""


AT_ONCE = (64, 16, 4, 1)
"""Rows that one statement puts: the first number as often as it goes, then the next."""


class _Rows:
    """Puts rows of one table, several by one statement, and what they have in common once.

    Nearly all rows of a busy round are alike but for a few columns, and binding values is what a row
    costs most.

    Args:
        beginning: the statement up to its rows.
        columns: in their order, whether rows have each in common; several are, and several aren't.
        ending: the statement after its rows.
    """

    def __init__(self, beginning: str, columns: Sequence[bool], ending: str = "") -> None:
        self._common = itemgetter(*(n for n, common in enumerate(columns) if common))
        self._own = itemgetter(*(n for n, common in enumerate(columns) if not common))
        self._statements = [
            (rows, f"{beginning} VALUES {_numbered(columns, rows)} {ending}") for rows in AT_ONCE
        ]

    def put(self, db: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
        """Put rows, in any order within a run of those that have everything in common."""
        for common, alike in groupby(rows, self._common):
            self._put_alike(db, common, [self._own(row) for row in alike])

    def _put_alike(
        self, db: sqlite3.Connection, common: tuple[object, ...], rows: Sequence[tuple[object, ...]]
    ) -> None:
        start = 0
        for at_once, statement in self._statements:
            end = len(rows) - (len(rows) - start) % at_once
            if end > start:
                db.executemany(statement, [
                    (*common, *chain.from_iterable(rows[at : at + at_once]))
                    for at in range(start, end, at_once)
                ])
                start = end


def _numbered(columns: Sequence[bool], rows: int) -> str:
    """Write so many rows of numbered parameters: those in common first, then each row's own."""
    shared = sum(columns)
    common, own = count(1), count(shared + 1)
    places = {n: next(common) for n, is_common in enumerate(columns) if is_common}
    texts = (
        ",".join(f"?{places[n] if is_common else next(own)}" for n, is_common in enumerate(columns))
        for _ in range(rows)
    )
    return ",".join(f"({text})" for text in texts)


def _put(table: str, columns: int) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * columns)})"


def _alike(row: type[MessageRow] | type[HistoryRow], *own: str) -> list[bool]:
    return [field not in own for field in row._fields]


_MESSAGES = _Rows(
    "INSERT OR REPLACE INTO messages", _alike(MessageRow, "job", "message", "data")
)
_HISTORY = _Rows(
    "INSERT OR REPLACE INTO history",
    _alike(HistoryRow, "job", "sequence", "message", "started", "ended"),
)
_PUT_LOG = _put("logs", 8)
_CHANGE_MESSAGE = (
    "UPDATE messages SET attempts = ?, retry_count = ?, due = ?, progress = ?"
    " WHERE job = ? AND message = ?"
)
_DELETE_MESSAGES = "DELETE FROM messages WHERE job = ? AND message BETWEEN ? AND ?"
_HEADS = _Rows(
    "INSERT INTO jobs (status, ownership, row, job_id, instance, finished_at, created_at, head)",
    (True, True, *[False] * 6),
    "ON CONFLICT (row) DO UPDATE SET job_id = excluded.job_id, instance = excluded.instance,"
    " status = excluded.status, ownership = excluded.ownership, finished_at = excluded.finished_at,"
    " created_at = excluded.created_at, head = excluded.head",
)


def apply_writes(db: sqlite3.Connection, writes: Writes) -> None:
    """Apply a round, in the order that ``Writes`` documents.

    Raises:
        sqlite3.Error: if SQLite can't; the caller rolls back.
    """
    many = db.executemany
    for table in PER_JOB if writes.jobs_cleared else ():
        many(f"DELETE FROM {table} WHERE job = ?", [(row,) for row in writes.jobs_cleared])
    if writes.jobs_removed:
        many("DELETE FROM jobs WHERE row = ?", [(row,) for row in writes.jobs_removed])
    if writes.heads:
        _HEADS.put(db, sorted(_head_row(row, head) for row, head in writes.heads.items()))
    if writes.messages_put:
        _MESSAGES.put(db, writes.messages_put)
    if writes.messages_changed:
        many(_CHANGE_MESSAGE, writes.messages_changed)
    if writes.messages_deleted:
        many(_DELETE_MESSAGES, _runs(writes.messages_deleted))
    if writes.history:
        _HISTORY.put(db, writes.history)
    if writes.attributes:
        _put_values(db, "attributes", ("job", "routine", "key", "name"), writes.attributes.items())
    if writes.shared:
        _put_values(db, "shared", ("job", "key"), writes.shared.items())
    if writes.logs:
        _put_logs(db, writes.logs)
    _put_rare(db, writes)


def prune_commands(db: sqlite3.Connection, now: float) -> None:
    """Drop the answers of commands that nobody repeats any more.

    Args:
        db: the connection.
        now: wall clock in seconds.
    """
    db.execute("DELETE FROM commands WHERE at < ?", (now - COMMANDS_KEPT,))


def _runs(messages: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Give (job, first, last) of messages whose numbers follow each other: mostly many do."""
    runs: list[tuple[int, int, int]] = []
    job = first = last = -1
    for row, number in messages:
        if row == job and number == last + 1:
            last = number
            continue
        if job >= 0:
            runs.append((job, first, last))
        job, first, last = row, number, number
    runs.append((job, first, last))
    return runs


def _put_values(
    db: sqlite3.Connection, table: str, columns: tuple[str, ...],
    values: Collection[tuple[tuple[object, ...], bytes | None]],
) -> None:
    gone = [key for key, value in values if value is None]
    if gone:
        where = " AND ".join(f"{column} = ?" for column in columns)
        db.executemany(f"DELETE FROM {table} WHERE {where}", gone)
    db.executemany(
        _put(table, len(columns) + 1),
        [(*key, value) for key, value in values if value is not None],
    )


def _put_logs(db: sqlite3.Connection, logs: Sequence[LogRow]) -> None:
    db.executemany(_PUT_LOG, logs)
    passed = {row.job: row.sequence for row in logs if row.sequence % LOG_TRIM == 0}
    if passed:
        # Cut a step below the limit, since the next cut comes a step later.
        db.executemany(
            "DELETE FROM logs WHERE job = ? AND sequence <= ?",
            [(job, sequence - (LOG_LINES - LOG_TRIM)) for job, sequence in passed.items()],
        )


def _put_rare(db: sqlite3.Connection, writes: Writes) -> None:
    """Write what changes seldom."""
    encode = msgspec.msgpack.encode
    starts = writes.starts_put
    batches: tuple[tuple[str, Iterable[tuple[object, ...]]], ...] = (
        ("INSERT OR IGNORE INTO flows VALUES (?, ?)", writes.flows_put.items()),
        (_put("origins", 4), [(n, o.host, o.epoch, o.code) for n, o in writes.origins_put.items()]),
        (_put("questions", 8), writes.questions_put),
        ("DELETE FROM questions WHERE job = ? AND question = ?", writes.questions_deleted),
        (_put("blob_refs", 3), writes.blobs_put),
        ("DELETE FROM blob_refs WHERE job = ? AND digest = ?", writes.blobs_deleted),
        (_put("handoffs", 3), [(r.role, r.m, encode(r)) for r in writes.handoffs_put.values()]),
        ("DELETE FROM handoffs WHERE role = ? AND m = ?", writes.handoffs_deleted),
        (_put("peers", 2), [(peer.name, encode(peer)) for peer in writes.peers_put]),
        (_put("invites", 2), [(i.public_key, encode(i)) for i in writes.invites_put]),
        (_put("commands", 3), writes.commands_put),
        (_put("starts", 3), [(pool, *value) for pool, value in starts.items() if value[0]]),
        ("DELETE FROM starts WHERE pool = ?", [(p,) for p, value in starts.items() if not value[0]]),
        (_put("meta", 2), writes.meta_put.items()),
    )
    for statement, rows in batches:
        if rows:
            db.executemany(statement, rows)


_encode = msgspec.msgpack.Encoder().encode
_OWNED, _GONE = Ownership.OWNED, Ownership.GONE  # a member takes long to look up
_TEXTS: dict[str, str] = {member: member.value for member in (*JobStatus, *Ownership)}
"""Plain ones: SQLite's module asks around how to bind what is no text itself."""


def _head_row(row: int, head: JobHead) -> tuple[object, ...]:
    return (
        _TEXTS[head.status], _TEXTS[head.ownership], row, head.job_id, head.instance, _over_at(head),
        head.created_at, _encode(head),
    )


def _over_at(head: JobHead) -> float | None:
    """Since when the job is kept for its document alone; None while it is alive or in doubt."""
    over = head.ownership is _GONE or (head.ownership is _OWNED and head.status.finished)
    if not over:
        return None
    return head.created_at if head.finished_at is None else head.finished_at
