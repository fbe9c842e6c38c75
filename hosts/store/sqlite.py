"""The embedded store: one SQLite file (WAL, synchronous=FULL), one transaction per round.

Knows tables and SQL; decides nothing about jobs.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

import msgspec

from sojourn.hosts.store.incarnation import read_incarnation, write_incarnation
from sojourn.runtime.errors import NotFound, StoreFailed, StoreTooNew
from sojourn.runtime.job import (
    AttributeRow,
    BlobRow,
    HandoffRow,
    HistoryRow,
    InviteRow,
    JobHead,
    JobImage,
    LogRow,
    MessageRow,
    Origin,
    PeerRow,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    Writes,
)

Row = TypeVar("Row")
Record = TypeVar("Record")

SCHEMA_VERSION = 1
LOG_LINES = 10_000
"""Lines of log that are kept per job."""

COMMANDS_KEPT = 24 * 3600.0
"""Seconds for which a command's answer is kept."""

PER_JOB = (
    "messages", "history", "attributes", "shared", "questions", "logs", "blob_refs",
)
_HEAD = msgspec.msgpack.Decoder(JobHead)


def _row(table: str, columns: int) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * columns)})"


_PUT_HEAD = """
INSERT INTO jobs (row, job_id, status, ownership, finished_at, created_at, head)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (row) DO UPDATE SET job_id = excluded.job_id, status = excluded.status,
    ownership = excluded.ownership, finished_at = excluded.finished_at,
    created_at = excluded.created_at, head = excluded.head
"""
_CHANGE_MESSAGE = (
    "UPDATE messages SET attempts = ?, retry_count = ?, due = ?, progress = ?"
    " WHERE job = ? AND message = ?"
)


class SqliteStore:
    """A ``Store`` in one SQLite file. Made by ``open``.

    Attributes:
        store_id: UUID made when the store was created.
        incarnation: how often it was opened for a supervisor.
        restored: whether it is behind its incarnation file: then it was put back from a copy.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, store_id: str, incarnation: int,
        restored: bool,
    ) -> None:
        self._db = connection
        self._path = path
        self.store_id = store_id
        self.incarnation = incarnation
        self.restored = restored

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float]) -> SqliteStore:
        """Open a store, made or brought to this version's schema where needed.

        Args:
            path: its file.
            clock: wall clock in seconds.

        Raises:
            StoreTooNew: if a newer version wrote it.
            StoreFailed: if it can't be read or written.
        """
        beside = path.with_name(path.name + ".incarnation")
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            try:
                _prepare(connection, path)
                _migrate(connection, path)
                meta = dict(connection.execute("SELECT name, value FROM meta"))
                stored = int(meta.get("incarnation", "0"))
                written = read_incarnation(beside)
                number = max(stored, written) + 1
                store_id = meta.get("store_id") or str(uuid.uuid4())
                write_incarnation(beside, number)
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    _row("meta", 2), [("store_id", store_id), ("incarnation", str(number))]
                )
                connection.execute("DELETE FROM commands WHERE at < ?", (clock() - COMMANDS_KEPT,))
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise _failed(path, error) from error
        return cls(connection, path, store_id, number, stored < written)

    # --- writing --------------------------------------------------------------------------

    def commit(self, writes: Writes) -> None:
        """Put a round on disk (see ``Store.commit``)."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._apply(writes)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error

    def _apply(self, writes: Writes) -> None:
        many = self._db.executemany
        if writes.jobs_cleared:
            for table in PER_JOB:
                many(f"DELETE FROM {table} WHERE job = ?", [(row,) for row in writes.jobs_cleared])
        if writes.messages_put:
            many(_row("messages", 9), writes.messages_put)
        if writes.messages_changed:
            many(_CHANGE_MESSAGE, writes.messages_changed)
        if writes.messages_deleted:
            many("DELETE FROM messages WHERE job = ? AND message = ?", writes.messages_deleted)
        if writes.history:
            many(_row("history", 13), writes.history)
        if writes.attributes:
            self._apply_values("attributes", ("job", "routine", "key", "name"), writes.attributes)
        if writes.shared:
            self._apply_values("shared", ("job", "key"), writes.shared)
        if writes.heads:
            many(_PUT_HEAD, [_head_row(row, head) for row, head in writes.heads.items()])
        if writes.logs:
            self._apply_logs(writes.logs)
        self._apply_rare(writes)

    def _apply_values(
        self, table: str, columns: tuple[str, ...],
        values: Mapping[tuple[object, ...], bytes | None],
    ) -> None:
        gone = [key for key, value in values.items() if value is None]
        if gone:
            where = " AND ".join(f"{column} = ?" for column in columns)
            self._db.executemany(f"DELETE FROM {table} WHERE {where}", gone)
        self._db.executemany(
            _row(table, len(columns) + 1),
            [(*key, value) for key, value in values.items() if value is not None],
        )

    def _apply_logs(self, logs: Sequence[LogRow]) -> None:
        self._db.executemany(_row("logs", 8), logs)
        trim = {row.job: row.sequence for row in logs if row.sequence % (LOG_LINES // 10) == 0}
        if trim:
            self._db.executemany(
                "DELETE FROM logs WHERE job = ? AND sequence <= ?",
                [(job, sequence - LOG_LINES) for job, sequence in trim.items()],
            )

    def _apply_rare(self, writes: Writes) -> None:
        """Write what changes seldom."""
        encode = msgspec.msgpack.encode
        batches: list[tuple[str, Iterable[tuple[object, ...]]]] = [
            ("INSERT OR IGNORE INTO flows VALUES (?, ?)", writes.flows_put.items()),
            (_row("origins", 4), [(n, o.host, o.epoch, o.code) for n, o in writes.origins_put.items()]),
            (_row("questions", 8), writes.questions_put),
            ("DELETE FROM questions WHERE job = ? AND question = ?", writes.questions_deleted),
            (_row("blob_refs", 3), writes.blobs_put),
            (_row("handoffs", 3), [(r.role, r.m, encode(r)) for r in writes.handoffs_put.values()]),
            ("DELETE FROM handoffs WHERE role = ? AND m = ?", writes.handoffs_deleted),
            (_row("peers", 2), [(peer.name, encode(peer)) for peer in writes.peers_put]),
            (_row("invites", 2), [(i.public_key, encode(i)) for i in writes.invites_put]),
            (_row("commands", 3), writes.commands_put),
            (_row("starts", 3), [(k, *v) for k, v in writes.starts_put.items() if v[0]]),
            ("DELETE FROM starts WHERE pool = ?", [(k,) for k, v in writes.starts_put.items() if not v[0]]),
            (_row("meta", 2), writes.meta_put.items()),
        ]
        for statement, rows in batches:
            if rows:
                self._db.executemany(statement, rows)

    # --- reading --------------------------------------------------------------------------

    def _all(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        try:
            return self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise _failed(self._path, error) from error

    def _number(self, query: str, *arguments: object) -> int:
        value = self._all(query, *arguments)[0][0]
        return value if isinstance(value, int) else 0

    def _heads(self, query: str, *arguments: object) -> list[tuple[int, JobHead]]:
        return [
            (_int(row), _HEAD.decode(_bytes(head))) for row, head in self._all(query, *arguments)
        ]

    def live_jobs(self) -> list[int]:
        """See ``Store.live_jobs``."""
        rows = self._all(
            "SELECT row FROM jobs WHERE ownership = 'owned'"
            " AND status NOT IN ('completed', 'failed', 'cancelled') ORDER BY row"
        )
        return [_int(row) for (row,) in rows]

    def heads(self) -> list[tuple[int, JobHead]]:
        """See ``Store.heads``."""
        return self._heads(
            "SELECT row, head FROM jobs WHERE ownership != 'forgotten' ORDER BY row DESC"
        )

    def head(self, row: int) -> JobHead | None:
        """See ``Store.head``."""
        found = self._heads("SELECT row, head FROM jobs WHERE row = ?", row)
        return found[0][1] if found else None

    def find(self, name: str) -> list[tuple[int, JobHead]]:
        """See ``Store.find``."""
        exact = self.by_job_id(name)
        if exact is not None:
            return [exact]
        return self._heads(
            "SELECT row, head FROM jobs WHERE substr(job_id, 1, ?) = ?"
            " AND ownership != 'forgotten' ORDER BY row DESC LIMIT 10",
            len(name), name,
        )

    def by_job_id(self, job_id: str) -> tuple[int, JobHead] | None:
        """See ``Store.by_job_id``."""
        found = self._heads("SELECT row, head FROM jobs WHERE job_id = ?", job_id)
        return found[0] if found else None

    def next_row(self) -> int:
        """See ``Store.next_row``."""
        kept = self._number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'jobs'")
        return 1 + max(kept, self._number("SELECT max(row) FROM jobs"))

    def flow(self, digest: str) -> bytes | None:
        """See ``Store.flow``."""
        rows = self._all("SELECT spec FROM flows WHERE digest = ?", digest)
        return _bytes(rows[0][0]) if rows else None

    def read_image(
        self, row: int, *, history: int | None = None, after: int | None = None,
        pending: int | None = None, logs: bool = True,
    ) -> JobImage:
        """See ``Store.read_image``."""
        head = self.head(row)
        if head is None:
            raise NotFound(f"the store {self._path} has no job in row {row}")
        flow = self.flow(head.flow_digest)
        if flow is None:
            raise StoreFailed(
                f"the store {self._path} lacks the flow of job {head.job_id}: it is damaged"
            )
        entries = self._history(row, history, after)
        origins = self.origins()
        limit = -1 if pending is None else pending
        return JobImage(
            flow=flow,
            head=head,
            messages=self._rows(
                MessageRow, "SELECT * FROM messages WHERE job = ? ORDER BY message LIMIT ?", row, limit
            ),
            history=entries,
            attributes=self._rows(
                AttributeRow,
                "SELECT * FROM attributes WHERE job = ? ORDER BY routine, key, name", row,
            ),
            shared=self._rows(SharedRow, "SELECT * FROM shared WHERE job = ? ORDER BY key", row),
            questions=self._rows(
                QuestionRow, "SELECT * FROM questions WHERE job = ? ORDER BY since, question", row
            ),
            logs=self.logs(row, 0, -1) if logs else [],
            blobs=self._rows(BlobRow, "SELECT * FROM blob_refs WHERE job = ? ORDER BY digest", row),
            origins={
                number: origins[number] for number in {entry.origin for entry in entries}
            },
            counts=self.counts(row),
        )

    def _history(self, row: int, count: int | None, after: int | None) -> list[HistoryRow]:
        if count == 0:
            return []
        if after is not None or count is None:
            return self._rows(
                HistoryRow,
                "SELECT * FROM history WHERE job = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                row, after or 0, -1 if count is None else count,
            )
        last = self._rows(
            HistoryRow, "SELECT * FROM history WHERE job = ? ORDER BY sequence DESC LIMIT ?",
            row, count,
        )
        return last[::-1]

    def _rows(
        self, kind: Callable[..., Row], query: str, *arguments: object
    ) -> list[Row]:
        return [kind(*row) for row in self._all(query, *arguments)]

    def history_total(self, row: int) -> int:
        """See ``Store.history_total``."""
        return self._number("SELECT count(*) FROM history WHERE job = ?", row)

    def pending_total(self, row: int) -> int:
        """See ``Store.pending_total``."""
        return self._number("SELECT count(*) FROM messages WHERE job = ?", row)

    def counts(self, row: int) -> dict[str, RoutineCounts]:
        """See ``Store.counts``."""
        totals = self._all(
            "SELECT routine, sum(outcome = 0), sum(outcome = 1), sum(outcome = 2), max(sequence)"
            " FROM history WHERE job = ? AND final = 1 GROUP BY routine", row,
        )
        found: dict[str, RoutineCounts] = {}
        for routine, succeeded, failed, skipped, last in totals:
            retries = self._number(
                "SELECT retry_count FROM history WHERE job = ? AND sequence = ?", row, last
            )
            found[str(routine)] = RoutineCounts(
                _int(succeeded), _int(failed), _int(skipped), retries
            )
        return found

    def last_numbers(self, row: int) -> tuple[int, int, int]:
        """See ``Store.last_numbers``."""
        message = max(
            self._number(f"SELECT max(message) FROM {table} WHERE job = ?", row)
            for table in ("messages", "history", "questions")
        )
        return (
            message,
            self._number("SELECT max(sequence) FROM history WHERE job = ?", row),
            self._number("SELECT max(sequence) FROM logs WHERE job = ?", row),
        )

    def logs(self, row: int, after: int, limit: int) -> list[LogRow]:
        """See ``Store.logs``."""
        return self._rows(
            LogRow,
            "SELECT * FROM logs WHERE job = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            row, after, limit,
        )

    def origins(self) -> dict[int, Origin]:
        """See ``Store.origins``."""
        return {
            _int(number): Origin(str(host), _int(epoch), str(code))
            for number, host, epoch, code in self._all("SELECT * FROM origins")
        }

    def _records(self, kind: type[Record], table: str) -> list[Record]:
        return [
            msgspec.msgpack.decode(_bytes(record), type=kind)
            for (record,) in self._all(f"SELECT record FROM {table}")
        ]

    def handoffs(self) -> list[HandoffRow]:
        """See ``Store.handoffs``."""
        return self._records(HandoffRow, "handoffs")

    def handoff(self, role: str, m: str) -> HandoffRow | None:
        """See ``Store.handoff``."""
        rows = self._all("SELECT record FROM handoffs WHERE role = ? AND m = ?", role, m)
        return msgspec.msgpack.decode(_bytes(rows[0][0]), type=HandoffRow) if rows else None

    def peers(self) -> list[PeerRow]:
        """See ``Store.peers``."""
        return self._records(PeerRow, "peers")

    def invites(self) -> list[InviteRow]:
        """See ``Store.invites``."""
        return self._records(InviteRow, "invites")

    def starts(self) -> dict[str, tuple[int, float]]:
        """See ``Store.starts``."""
        rows = self._all("SELECT pool, times, not_before FROM starts")
        return {str(pool): (_int(times), float(str(due))) for pool, times, due in rows}

    def command_reply(self, command_id: str) -> bytes | None:
        """See ``Store.command_reply``."""
        rows = self._all("SELECT reply FROM commands WHERE command = ?", command_id)
        return _bytes(rows[0][0]) if rows else None

    def blob_digests(self) -> set[str]:
        """See ``Store.blob_digests``."""
        return {str(digest) for (digest,) in self._all("SELECT DISTINCT digest FROM blob_refs")}

    def job_blobs(self, row: int) -> list[tuple[str, int]]:
        """See ``Store.job_blobs``."""
        rows = self._all("SELECT digest, size FROM blob_refs WHERE job = ? ORDER BY digest", row)
        return [(str(digest), _int(size)) for digest, size in rows]

    def expired(self, before: float, keep: int) -> list[int]:
        """See ``Store.expired``."""
        over = (
            "(status IN ('completed', 'failed', 'cancelled') AND ownership = 'owned'"
            " OR ownership = 'gone')"
        )
        rows = self._all(
            f"SELECT row FROM jobs WHERE {over} AND (coalesce(finished_at, created_at) < ?"
            f" OR row IN (SELECT row FROM jobs WHERE {over}"
            " ORDER BY coalesce(finished_at, created_at) DESC, row DESC LIMIT -1 OFFSET ?))",
            before, keep,
        )
        return [_int(row) for (row,) in rows]

    def meta(self) -> dict[str, str]:
        """See ``Store.meta``."""
        return {str(n): str(v) for n, v in self._all("SELECT name, value FROM meta")}

    def close(self) -> None:
        """See ``Store.close``."""
        self._db.close()


def _head_row(row: int, head: JobHead) -> tuple[object, ...]:
    return (
        row, head.job_id, head.status.value, head.ownership.value, head.finished_at,
        head.created_at, msgspec.msgpack.encode(head),
    )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreFailed(
            f"the file system of {path} can't hold a write-ahead log (journal mode {mode!r}): "
            "put the home on a local disk"
        )
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 4000")
    db.execute("PRAGMA cache_size = -65536")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the store {path} has schema version {version}, this sojourn knows up to "
            f"{SCHEMA_VERSION}: start the newer sojourn that wrote it"
        )
    folder = resources.files("sojourn.hosts.store") / "migrations"
    for number in range(version + 1, SCHEMA_VERSION + 1):
        script = (folder / f"{number:04}.sql").read_text()
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _failed(path: Path, error: sqlite3.Error) -> StoreFailed:
    text = str(error)
    if "full" in text:
        hint = "make room on its disk, then start again: what was acknowledged is safe"
    elif isinstance(error, sqlite3.DatabaseError) and (
        "malformed" in text or "not a database" in text
    ):
        hint = "it is damaged: put a copy back, or move it away to begin anew"
    else:
        hint = "see that its folder can be written and that no other program holds it"
    return StoreFailed(f"the store {path} failed ({text}): {hint}")


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
