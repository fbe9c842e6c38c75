"""What a supervisor needs of a store. Every implementation passes ``tests/hosts/store/conformance.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from sojourn.hosts.store.shown import ShownJob
from sojourn.runtime.errors import JobUnreadable
from sojourn.runtime.job import (
    HandoffRow,
    HistoryRow,
    InviteRow,
    JobHead,
    JobImage,
    LogRow,
    Mailboxes,
    MessageRow,
    Origin,
    PeerRow,
    RoutineCounts,
    StagedRows,
    StoredMessages,
    Writes,
)


class StoredJob(msgspec.Struct, frozen=True, gc=False):
    """What an engine needs of a job that it takes up.

    Attributes:
        row: its row.
        image: the job, with the last entry of its history alone and without its log.
        numbers: highest message number and history sequence that it used.
        stored: messages that aren't in the image, counted.
    """

    row: int
    image: JobImage
    numbers: tuple[int, int]
    stored: list[StoredMessages] = []


class UnreadableJob(msgspec.Struct, frozen=True, gc=False):
    """A job of which the store holds no sense; ``reason`` is a sentence for people."""

    row: int
    job_id: str
    reason: str


class Store(Protocol):
    """A host's durable memory. One supervisor uses it at a time, from one thread.

    Attributes:
        store_id: UUID made when the store was created.
        incarnation: how often it was opened for a supervisor, this time included.
        restored: whether it was put back from a copy, and nobody accepted that yet.
        lost: how many commits are missing from it that were on disk, as far as is known.
    """

    store_id: str
    incarnation: int
    restored: bool
    lost: int

    def commit(self, writes: Writes) -> None:
        """Put a round on disk, whole or not at all, in the order that ``Writes`` documents.

        A job's log keeps its newest 10,000 lines at most; a command's answer is kept for a day at least.

        Raises:
            StoreFailed: if it isn't on disk; then nothing of it is.
        """
        ...

    def live_jobs(self) -> list[int]:
        """Give the rows of jobs that are owned here and not finished, oldest first."""
        ...

    def heads(self) -> list[tuple[int, JobHead]]:
        """Give every job that wasn't forgotten, newest first."""
        ...

    def head(self, row: int) -> JobHead | None:
        """Give one head."""
        ...

    def find(self, name: str) -> list[tuple[int, JobHead]]:
        """Give the job of this id, forgotten or not, else at most ten whose ids begin so."""
        ...

    def by_job_id(self, job_id: str) -> tuple[int, JobHead] | None:
        """Give the job of this id, forgotten or not."""
        ...

    def ended(self, job_ids: Sequence[str]) -> dict[str, int]:
        """Give id → row of those among jobs that are owned here and finished."""
        ...

    def next_row(self) -> int:
        """Give a row number that no job ever had."""
        ...

    def flow(self, digest: str) -> bytes | None:
        """Give an encoded flow."""
        ...

    def read_image(
        self,
        row: int,
        *,
        history: int | None = None,
        after: int | None = None,
        pending: int | None = None,
        logs: bool = True,
    ) -> JobImage:
        """Read a job.

        Args:
            row: its row.
            history: how many entries: the last ones, or with ``after`` the first ones beyond it;
                None for all.
            after: sequence number.
            pending: how many pending messages, oldest first; None for all.
            logs: whether its log is read too.

        Raises:
            NotFound: if there is no such row.
        """
        ...

    def read_jobs(
        self, rows: Sequence[int], pending: int | None = None
    ) -> Iterator[StoredJob | UnreadableJob]:
        """Read what an engine needs of jobs, in a number of queries that doesn't grow
        with theirs while few messages are pending.

        One that can't be read hinders no other. Nothing may be committed while it is iterated over.

        Args:
            rows: their rows; one that isn't there is passed over.
            pending: how many pending messages of each, as of ``mailboxes``, whichever jobs are read
                together; None for all.
        """
        ...

    def read_shown(
        self, rows: Sequence[int], *, history: int, pending: int
    ) -> dict[int, ShownJob | JobUnreadable]:
        """Read many jobs as their documents show them, by few queries.

        Args:
            rows: of the jobs.
            history: how many entries of each history, the last ones; at least one.
            pending: how many pending messages of each, oldest first; at least one.

        Returns:
            Row → job, or what is wrong with it; rows that there aren't are left out.
        """
        ...

    def staged_rows(self, row: int, pending: int) -> StagedRows:
        """Read what a job that arrives under a row needs in memory; it has no head there yet.

        Args:
            row: the row.
            pending: how many pending messages, as of ``mailboxes``.
        """
        ...

    def mailboxes(self, row: int, pending: int) -> Mailboxes:
        """Read the oldest pending messages of a job and those that were tried, and count the others.

        The counts are in the order of the routines' names.
        """
        ...

    def waiting_messages(self, row: int, routine: str, first: int, limit: int) -> list[MessageRow]:
        """Give messages of one routine that were never tried, from a number on, oldest first."""
        ...

    def messages_from(self, row: int, first: int, limit: int) -> list[MessageRow]:
        """Give pending messages of a job from a number on, oldest first."""
        ...

    def message_numbers(self, row: int) -> list[int]:
        """Give the numbers of all pending messages of a job, oldest first."""
        ...

    def history_after(self, row: int, after: int, limit: int) -> list[HistoryRow]:
        """Give entries of a job's history after a sequence number, oldest first."""
        ...

    def history_total(self, row: int) -> int:
        """Count a job's history."""
        ...

    def pending_total(self, row: int) -> int:
        """Count a job's pending messages."""
        ...

    def pending_retries(self, row: int) -> dict[str, int]:
        """Give the highest retry count among a job's pending messages, per routine that has any."""
        ...

    def counts(self, row: int) -> dict[str, RoutineCounts]:
        """Count a job's ended messages per routine."""
        ...

    def last_numbers(self, row: int) -> tuple[int, int, int]:
        """Give the highest message number, history sequence and log sequence that a job used."""
        ...

    def logs(self, row: int, after: int, limit: int) -> list[LogRow]:
        """Give lines of a job's log after a sequence number, oldest first."""
        ...

    def origins(self) -> dict[int, Origin]:
        """Give every origin that history rows point to."""
        ...

    def handoffs(self) -> list[HandoffRow]:
        """Give the durable records of hand-offs."""
        ...

    def handoff(self, role: str, m: str) -> HandoffRow | None:
        """Give one of them."""
        ...

    def peers(self) -> list[PeerRow]:
        """Give the paired hosts."""
        ...

    def invites(self) -> list[InviteRow]:
        """Give the invitations, used ones included."""
        ...

    def starts(self) -> dict[str, tuple[int, float]]:
        """Give failed process starts: ``digest/routine`` → (times in a row, not before)."""
        ...

    def command_reply(self, command_id: str) -> bytes | None:
        """Give the answer that a command got, if it was done before."""
        ...

    def blob_references(self) -> dict[int, set[str]]:
        """Give the blobs that are kept for each job row that has any."""
        ...

    def job_blobs(self, row: int) -> list[tuple[str, int]]:
        """Give (digest, size) of the blobs of a job."""
        ...

    def expired(self, before: float, keep: int) -> list[int]:
        """Give the finished jobs and those that are gone, if they ended before a time or beyond the newest.

        Args:
            before: wall clock in seconds.
            keep: how many of the newest are kept.
        """
        ...

    def meta(self) -> dict[str, str]:
        """Give what is known of the store itself."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
