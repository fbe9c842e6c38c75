"""The writes of a round as SQL: rows by table, one ``executemany`` each, inside the caller's transaction.

Never begins or ends a transaction, and decides nothing about jobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from operator import itemgetter

import msgspec

from sojourn.runtime.job import HistoryRow, JobHead, LogRow, MessageRow, Ownership, Writes

LOG_LINES = 10_000
"""Lines of log that are kept per job."""

LOG_TRIM = 1_000
"""A job's log is cut each time its numbering passes a multiple of this, so that no line pays for it."""

COMMANDS_KEPT = 24 * 3600.0
"""Seconds for which a command's answer is kept."""

PER_JOB = ("messages", "history", "attributes", "shared", "questions", "logs", "blob_refs")
"""Tables whose rows belong to one job and go when it is cleared."""


def _put(table: str, columns: int) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * columns)})"


_PUT_MESSAGE = _put("messages", 9)
_PUT_HISTORY = _put("history", 13)

# Nearly every row of a busy round looks like these: binding what varies alone, several rows a
# statement, takes 40 % less time than a statement for every row.
ROWS_AT_ONCE = 32
_FRESH = (0, 0, 0.0, None)
"""Attempts, retry count, due time and progress of a message that was just emitted."""
_PUT_FRESH = "INSERT OR REPLACE INTO messages VALUES (?,?,?,?,?,0,0,0.0,NULL)"
_FRESH_ROW = ",(?,?,?,?,?,0,0,0.0,NULL)"
_PLAIN = (1, 0, 1, 0, None)
"""Attempt, outcome, final, retry count and error of a turn that succeeded at its first attempt."""
_PUT_PLAIN = "INSERT OR REPLACE INTO history VALUES (?,?,?,?,?,1,0,1,0,?,?,?,NULL)"
_PLAIN_ROW = ",(?,?,?,?,?,1,0,1,0,?,?,?,NULL)"
_same_in_plain = itemgetter(5, 6, 7, 8, 12)
_other_in_plain = itemgetter(0, 1, 2, 3, 4, 9, 10, 11)
_PUT_LOG = _put("logs", 8)
_CHANGE_MESSAGE = (
    "UPDATE messages SET attempts = ?, retry_count = ?, due = ?, progress = ?"
    " WHERE job = ? AND message = ?"
)
_DELETE_MESSAGE = "DELETE FROM messages WHERE job = ? AND message = ?"
_PUT_HEAD = """
INSERT INTO jobs (row, job_id, instance, status, ownership, finished_at, created_at, head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (row) DO UPDATE SET job_id = excluded.job_id, instance = excluded.instance,
    status = excluded.status, ownership = excluded.ownership, finished_at = excluded.finished_at,
    created_at = excluded.created_at, head = excluded.head
"""


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
        many(_PUT_HEAD, [_head_row(row, head) for row, head in writes.heads.items()])
    if writes.messages_put:
        _put_messages(db, writes.messages_put)
    if writes.messages_changed:
        many(_CHANGE_MESSAGE, writes.messages_changed)
    if writes.messages_deleted:
        many(_DELETE_MESSAGE, writes.messages_deleted)
    if writes.history:
        _put_history(db, writes.history)
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


def _put_messages(db: sqlite3.Connection, rows: Sequence[MessageRow]) -> None:
    if all(row[5:] == _FRESH for row in rows):
        _put_many(db, _PUT_FRESH, _FRESH_ROW, [row[:5] for row in rows])
    else:
        db.executemany(_PUT_MESSAGE, rows)


def _put_history(db: sqlite3.Connection, rows: Sequence[HistoryRow]) -> None:
    plain = [_other_in_plain(row) for row in rows if _same_in_plain(row) == _PLAIN]
    _put_many(db, _PUT_PLAIN, _PLAIN_ROW, plain)
    if len(plain) < len(rows):  # no two rows have one key, so their order is free
        db.executemany(_PUT_HISTORY, [row for row in rows if _same_in_plain(row) != _PLAIN])


def _put_many(
    db: sqlite3.Connection, statement: str, further: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Put rows, ``ROWS_AT_ONCE`` by one statement and the rest one by one.

    Args:
        db: the connection.
        statement: puts one row.
        further: appended for each row beyond the first.
        rows: they.
    """
    together = len(rows) - len(rows) % ROWS_AT_ONCE
    if together:
        db.executemany(
            statement + further * (ROWS_AT_ONCE - 1),
            [
                tuple(chain.from_iterable(rows[start : start + ROWS_AT_ONCE]))
                for start in range(0, together, ROWS_AT_ONCE)
            ],
        )
    db.executemany(statement, rows[together:])


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


def _head_row(row: int, head: JobHead) -> tuple[object, ...]:
    return (
        row, head.job_id, head.instance, head.status.value, head.ownership.value, _over_at(head),
        head.created_at, msgspec.msgpack.encode(head),
    )


def _over_at(head: JobHead) -> float | None:
    """Since when the job is kept for its document alone; None while it is alive or in doubt."""
    over = head.ownership is Ownership.GONE or (
        head.ownership is Ownership.OWNED and head.status.finished
    )
    if not over:
        return None
    return head.created_at if head.finished_at is None else head.finished_at
