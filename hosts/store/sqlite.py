"""The embedded store: one SQLite file (WAL, synchronous=FULL), one transaction per round.

Knows tables and SQL; decides nothing about jobs. How rounds are written is in ``sqlite_writes``, how
the file is opened and fails in ``schema``.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from sojourn.hosts.store.bulk import BulkReader
from sojourn.hosts.store.heads import UnreadableHead, read_heads
from sojourn.hosts.store.incarnation import read_incarnation, write_incarnation
from sojourn.hosts.store.mailboxes import UNTRIED, read_mailboxes
from sojourn.hosts.store.mark import CommitMark, read_mark
from sojourn.hosts.store.protocol import StoredJob, UnreadableJob
from sojourn.hosts.store.records import decode_record
from sojourn.hosts.store.schema import connect, damaged, failure, unreadable
from sojourn.hosts.store.shown import ShownJob, read_ended, read_shown
from sojourn.hosts.store.soundness import Look
from sojourn.hosts.store.sqlite_writes import apply_writes, prune_commands
from sojourn.hosts.store.tally import Tallies
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
    Ownership,
    PeerRow,
    QuestionRow,
    RoutineCounts,
    SharedRow,
    StagedRows,
    Writes,
)

Row = TypeVar("Row")
Record = TypeVar("Record")

COMMANDS_BETWEEN_PRUNES = 10_000

COUNT = "UPDATE meta SET value = ? WHERE name = 'commits'"


class Seen(NamedTuple):
    """What the files beside a store say of it; 0 where there is none.

    Attributes:
        incarnation: how often it was opened.
        commits: how many it made.
    """

    incarnation: int
    commits: int


class SqliteStore:
    """A ``Store`` in one SQLite file. Made by ``open``.

    Attributes:
        store_id: UUID made when the store was created.
        incarnation: how often it was opened for a supervisor, this time included.
        restored: whether the store was put back from a copy: it was once behind its incarnation file, and
            nobody accepted that yet by writing ``meta["restored"] = "0"``.
        lost: how many commits are missing from it that were on disk, as far as is known.
    """

    def __init__(
        self, db: sqlite3.Connection, path: Path, meta: dict[str, str], mark: CommitMark, lost: int
    ) -> None:
        self._db = db
        self._path = path
        self._mark = mark
        self._made = int(meta["commits"])
        self.lost = lost
        self._tallies = Tallies(self._all)
        self._bulk = BulkReader(path, self._all, self.flow, self.origins)
        self._commands = 0
        self.store_id = meta["store_id"]
        self.incarnation = int(meta["incarnation"])
        self.restored = meta["restored"] == "1"

    @classmethod
    def open(
        cls, path: Path, *, clock: Callable[[], float], look: Look | None = None
    ) -> SqliteStore:
        """Open a store, made or brought to this version's schema where needed.

        Args:
            path: its file; the incarnation file lies beside it.
            clock: wall clock in seconds.
            look: through the file, if one was begun; it is waited for.

        Raises:
            StoreTooNew: if a newer version wrote it.
            StoreFailed: if it can't be read or written.
        """
        beside = path.with_name(path.name + ".incarnation")
        marked = path.with_name(path.name + ".commits")
        try:
            seen = Seen(read_incarnation(beside), read_mark(marked))
            db = connect(path, look or Look(path))
            try:
                meta, lost = _begin_incarnation(db, path, seen, clock())
                # After the store, never before it: a crash in between leaves the files behind, which
                # means nothing; the other way round would look like a store put back from a copy.
                write_incarnation(beside, int(meta["incarnation"]))
                mark = CommitMark.create(marked, int(meta["commits"]))
            except BaseException:  # a Ctrl-C too: nobody else holds the connection to close it
                db.close()
                raise
        except sqlite3.Error as error:
            raise failure(path, error) from error
        return cls(db, path, meta, mark, lost)

    # --- writing --------------------------------------------------------------------------

    def commit(self, writes: Writes) -> None:
        """Put a round on disk (see ``Store.commit``)."""
        db = self._db
        number = self._made + 1
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                apply_writes(db, writes)
                if writes.commands_put:
                    self._prune_at_times(writes)
                db.execute(COUNT, (str(number),))
                db.execute("COMMIT")
            except BaseException:
                # A Ctrl-C too: half a round must not stay open. SQLite may have rolled back by itself.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise failure(self._path, error) from error
        self._made = number
        self._mark.set(number, through=_gives_away(writes))
        for row in writes.jobs_cleared:
            self._tallies.forget(row)

    def _prune_at_times(self, writes: Writes) -> None:
        self._commands += len(writes.commands_put)
        if self._commands >= COMMANDS_BETWEEN_PRUNES:
            self._commands = 0
            prune_commands(self._db, writes.commands_put[-1][2])

    # --- jobs -----------------------------------------------------------------------------

    def live_jobs(self) -> list[int]:
        """See ``Store.live_jobs``."""
        rows = self._all(
            "SELECT row FROM jobs WHERE ownership = 'owned'"
            " AND status NOT IN ('completed', 'failed', 'cancelled') ORDER BY row"
        )
        return [_int(row) for (row,) in rows]

    def heads(self) -> list[tuple[int, JobHead]]:
        """See ``Store.heads``."""
        return [
            (row, head if isinstance(head, JobHead) else head.stand_in())
            for row, head in self._read_heads("ownership != 'forgotten' ORDER BY row DESC")
        ]

    def head(self, row: int) -> JobHead | None:
        """See ``Store.head``."""
        found = self._heads("row = ?", row)
        return found[0][1] if found else None

    def find(self, name: str) -> list[tuple[int, JobHead]]:
        """See ``Store.find``."""
        exact = self.by_job_id(name)
        if exact is not None:
            return [exact]
        # A range, so that the index on the ids serves it.
        return self._heads(
            "job_id >= ? AND job_id < ? || char(0x10FFFF) AND ownership != 'forgotten'"
            " ORDER BY row DESC LIMIT 10",
            name, name,
        )

    def by_job_id(self, job_id: str) -> tuple[int, JobHead] | None:
        """See ``Store.by_job_id``."""
        found = self._heads("job_id = ?", job_id)
        return found[0] if found else None

    def ended(self, job_ids: Sequence[str]) -> dict[str, int]:
        """See ``Store.ended``."""
        return read_ended(self._all, job_ids)

    def next_row(self) -> int:
        """See ``Store.next_row``."""
        kept = self._number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'jobs'")
        return 1 + max(kept, self._number("SELECT max(row) FROM jobs"))

    def flow(self, digest: str) -> bytes | None:
        """See ``Store.flow``."""
        return self._blob("SELECT spec FROM flows WHERE digest = ?", digest)

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
            raise unreadable(self._path, head.job_id, f"lacks its flow {head.flow_digest}")
        entries = self._history(row, history, after)
        limit = -1 if pending is None else pending
        return JobImage(
            flow=flow,
            head=head,
            messages=self._rows(
                MessageRow._make, "messages WHERE job = ? ORDER BY message LIMIT ?", row, limit
            ),
            history=entries,
            attributes=self._rows(
                AttributeRow._make, "attributes WHERE job = ? ORDER BY routine, key, name", row
            ),
            shared=self._rows(SharedRow._make, "shared WHERE job = ? ORDER BY key", row),
            questions=self._rows(
                QuestionRow._make, "questions WHERE job = ? ORDER BY since, question", row
            ),
            logs=self.logs(row, 0, -1) if logs else [],
            blobs=self._rows(BlobRow._make, "blob_refs WHERE job = ? ORDER BY digest", row),
            origins=self._origins_of(head, entries),
            counts=self.counts(row),
        )

    def read_jobs(
        self, rows: Sequence[int], pending: int | None = None
    ) -> Iterator[StoredJob | UnreadableJob]:
        """See ``Store.read_jobs``."""
        return self._bulk.read(rows, pending)

    def read_shown(
        self, rows: Sequence[int], *, history: int, pending: int
    ) -> dict[int, ShownJob | JobUnreadable]:
        """See ``Store.read_shown``."""
        return read_shown(self, self._all, self._path, rows, history=history, pending=pending)

    def staged_rows(self, row: int, pending: int) -> StagedRows:
        """See ``Store.staged_rows``."""
        messages, stored = self.mailboxes(row, pending)
        return StagedRows(
            messages,
            self._rows(AttributeRow._make, "attributes WHERE job = ?", row),
            self._rows(SharedRow._make, "shared WHERE job = ?", row),
            self._rows(QuestionRow._make, "questions WHERE job = ? ORDER BY since, question", row),
            stored,
        )

    def mailboxes(self, row: int, pending: int) -> Mailboxes:
        """See ``Store.mailboxes``."""
        found, stored = read_mailboxes(self._all, row, pending)
        return Mailboxes([MessageRow._make(message) for message in found], stored)

    def waiting_messages(self, row: int, routine: str, first: int, limit: int) -> list[MessageRow]:
        """See ``Store.waiting_messages``."""
        return self._rows(
            MessageRow._make,
            f"messages WHERE job = ? AND message >= ? AND routine = ? AND {UNTRIED}"
            " ORDER BY message LIMIT ?",
            row, first, routine, limit,
        )

    def messages_from(self, row: int, first: int, limit: int) -> list[MessageRow]:
        """See ``Store.messages_from``."""
        return self._rows(
            MessageRow._make, "messages WHERE job = ? AND message >= ? ORDER BY message LIMIT ?",
            row, first, limit,
        )

    def message_numbers(self, row: int) -> list[int]:
        """See ``Store.message_numbers``."""
        found = self._all("SELECT message FROM messages WHERE job = ? ORDER BY message", row)
        return [_int(number) for (number,) in found]

    def history_after(self, row: int, after: int, limit: int) -> list[HistoryRow]:
        """See ``Store.history_after``."""
        return self._history(row, limit, after)

    def _history(self, row: int, count: int | None, after: int | None) -> list[HistoryRow]:
        if count == 0:
            return []
        if after is not None or count is None:
            return self._rows(
                HistoryRow._make, "history WHERE job = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                row, after or 0, -1 if count is None else count,
            )
        last = self._rows(
            HistoryRow._make, "history WHERE job = ? ORDER BY sequence DESC LIMIT ?", row, count
        )
        return last[::-1]

    def _origins_of(self, head: JobHead, entries: list[HistoryRow]) -> dict[int, Origin]:
        used = {entry.origin for entry in entries}
        known = self.origins() if used else {}
        try:
            return {number: known[number] for number in sorted(used)}
        except KeyError as missing:
            raise unreadable(self._path, head.job_id, f"lacks origin {missing} of its history") from None

    def history_total(self, row: int) -> int:
        """See ``Store.history_total``."""
        return self._tallies.of(row).entries

    def counts(self, row: int) -> dict[str, RoutineCounts]:
        """See ``Store.counts``."""
        return dict(self._tallies.of(row).counts)

    def pending_total(self, row: int) -> int:
        """See ``Store.pending_total``."""
        return self._number("SELECT count(*) FROM messages WHERE job = ?", row)

    def pending_retries(self, row: int) -> dict[str, int]:
        """See ``Store.pending_retries``."""
        rows = self._all(
            "SELECT routine, max(retry_count) FROM messages WHERE job = ? GROUP BY routine", row
        )
        return {str(routine): _int(count) for routine, count in rows}

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
            LogRow._make, "logs WHERE job = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            row, after, limit,
        )

    def blob_references(self) -> dict[int, set[str]]:
        """See ``Store.blob_references``."""
        found: dict[int, set[str]] = {}
        for row, digest in self._all("SELECT job, digest FROM blob_refs"):
            found.setdefault(_int(row), set()).add(str(digest))
        return found

    def job_blobs(self, row: int) -> list[tuple[str, int]]:
        """See ``Store.job_blobs``."""
        rows = self._all("SELECT digest, size FROM blob_refs WHERE job = ? ORDER BY digest", row)
        return [(str(digest), _int(size)) for digest, size in rows]

    def expired(self, before: float, keep: int) -> list[int]:
        """See ``Store.expired``."""
        rows = self._all(
            "SELECT row FROM jobs WHERE finished_at < ? UNION SELECT row FROM ("
            " SELECT row FROM jobs WHERE finished_at IS NOT NULL"
            " ORDER BY finished_at DESC, row DESC LIMIT -1 OFFSET ?) ORDER BY row",
            before, keep,
        )
        return [_int(row) for (row,) in rows]

    # --- the host -------------------------------------------------------------------------

    def origins(self) -> dict[int, Origin]:
        """See ``Store.origins``."""
        return {
            _int(number): Origin(str(host), _int(epoch), str(code))
            for number, host, epoch, code in self._all("SELECT * FROM origins")
        }

    def handoffs(self) -> list[HandoffRow]:
        """See ``Store.handoffs``."""
        return self._records(HandoffRow, "handoffs ORDER BY role, m")

    def handoff(self, role: str, m: str) -> HandoffRow | None:
        """See ``Store.handoff``."""
        found = self._records(HandoffRow, "handoffs WHERE role = ? AND m = ?", role, m)
        return found[0] if found else None

    def peers(self) -> list[PeerRow]:
        """See ``Store.peers``."""
        return self._records(PeerRow, "peers ORDER BY name")

    def invites(self) -> list[InviteRow]:
        """See ``Store.invites``."""
        return self._records(InviteRow, "invites ORDER BY public_key")

    def starts(self) -> dict[str, tuple[int, float]]:
        """See ``Store.starts``."""
        rows = self._all("SELECT pool, times, not_before FROM starts")
        return {str(pool): (_int(times), float(str(due))) for pool, times, due in rows}

    def command_reply(self, command_id: str) -> bytes | None:
        """See ``Store.command_reply``."""
        return self._blob("SELECT reply FROM commands WHERE command = ?", command_id)

    def meta(self) -> dict[str, str]:
        """See ``Store.meta``."""
        return {str(name): str(value) for name, value in self._all("SELECT name, value FROM meta")}

    def close(self) -> None:
        """See ``Store.close``."""
        self._db.close()
        self._mark.close()

    # --- reading --------------------------------------------------------------------------

    def _all(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        try:
            try:
                return self._db.execute(query, arguments).fetchall()
            except sqlite3.OperationalError as error:
                if "UTF-8" not in str(error):
                    raise
                return self._all_leniently(query, arguments)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def _all_leniently(self, query: str, arguments: tuple[object, ...]) -> list[tuple[object, ...]]:
        """Read rows of which one holds text that can't be: whoever looks at that one sees what is wrong."""
        self._db.text_factory = _read_text
        try:
            return self._db.execute(query, arguments).fetchall()
        finally:
            self._db.text_factory = str

    def _number(self, query: str, *arguments: object) -> int:
        return _int(self._all(query, *arguments)[0][0])

    def _blob(self, query: str, *arguments: object) -> bytes | None:
        rows = self._all(query, *arguments)
        value = rows[0][0] if rows else None
        return value if isinstance(value, bytes) else None

    def _rows(
        self, make: Callable[[Iterable[object]], Row], where: str, *arguments: object
    ) -> list[Row]:
        return [make(row) for row in self._all(f"SELECT * FROM {where}", *arguments)]

    def _heads(self, where: str, *arguments: object) -> list[tuple[int, JobHead]]:
        found: list[tuple[int, JobHead]] = []
        for row, head in self._read_heads(where, *arguments):
            if isinstance(head, UnreadableHead):
                raise JobUnreadable(head.reason)
            found.append((row, head))
        return found

    def _read_heads(
        self, where: str, *arguments: object
    ) -> list[tuple[int, JobHead | UnreadableHead]]:
        rows = self._all(
            f"SELECT row, head, job_id, instance, status, ownership, created_at FROM jobs WHERE {where}",
            *arguments,
        )
        heads = read_heads(self._path, [row[1:] for row in rows])
        return [(_int(row[0]), head) for row, head in zip(rows, heads, strict=True)]

    def _records(self, kind: type[Record], where: str, *arguments: object) -> list[Record]:
        return [
            self._decode(record, kind)
            for (record,) in self._all(f"SELECT record FROM {where}", *arguments)
        ]

    def _decode(self, data: object, kind: type[Record]) -> Record:
        try:
            return decode_record(kind, data)
        except msgspec.DecodeError as error:
            raise damaged(self._path, f"holds a {kind.__name__} that can't be read ({error})") from None


def _begin_incarnation(
    db: sqlite3.Connection, path: Path, seen: Seen, now: float
) -> tuple[dict[str, str], int]:
    """Count one up and prune what is old, in one transaction.

    Args:
        db: the connection.
        path: the store's file.
        seen: what the files beside it say.
        now: wall clock in seconds.

    Returns:
        The store's meta, as written, and how many commits are missing from it.
    """
    meta: dict[str, str] = dict(db.execute("SELECT name, value FROM meta"))
    try:
        incarnation = int(meta.get("incarnation", "0"))
        commits = int(meta.get("commits", "0"))
    except ValueError:
        raise damaged(path, "holds an incarnation or a number of commits that is none") from None
    lost = max(0, seen.commits - commits)
    behind = incarnation < seen.incarnation or lost > 0
    fresh = {
        # One that was put back from a copy is another store: what the first one promised isn't its word.
        "store_id": str(uuid.uuid4()) if behind else meta.get("store_id") or str(uuid.uuid4()),
        "incarnation": str(max(incarnation, seen.incarnation) + 1),
        "commits": str(max(commits, seen.commits) + 1),
        "restored": "1" if behind else meta.get("restored", "0"),
    }
    writes = Writes()
    writes.meta_put = fresh
    db.execute("BEGIN IMMEDIATE")
    apply_writes(db, writes)
    prune_commands(db, now)
    db.execute("COMMIT")
    return meta | fresh, lost


def _gives_away(writes: Writes) -> bool:
    """Whether a round lets a job of this host's go: were it forgotten, the job would run on two hosts."""
    return any(
        head.ownership in (Ownership.RELEASED, Ownership.GONE) for head in writes.heads.values()
    )


def _read_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
