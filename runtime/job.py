"""The vocabulary of a job: its statuses, its rows as they lie in a store, and the writes of a round.

Bottom layer: values only. The engine decides with them, stores keep them, documents show them.
Times are wall-clock seconds since the epoch unless a name says otherwise; users' values are bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from functools import partial
from operator import attrgetter
from typing import Annotated, NamedTuple

import msgspec

from sojourn.runtime.roles import Role

Time = Annotated[float, msgspec.Meta(ge=0.0, le=253_000_000_000.0)]
"""Seconds. What comes from elsewhere is checked: no timer sorts what is no number, no calendar shows what
is beyond the year 9987."""


PRIORITIES = range(-3, 4)
"""Of a job, among those of the same routine: higher is handed out first; 0 unless said otherwise."""

Priority = Annotated[int, msgspec.Meta(ge=PRIORITIES.start, le=PRIORITIES.stop - 1)]


class JobStatus(StrEnum):
    """What a job is said to be."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MOVING = "moving"
    MOVED = "moved"
    BLOCKED = "blocked"

    @property
    def finished(self) -> bool:
        """Whether nothing happens to the job any more unless someone asks."""
        return self in FINISHED


# Looking a member up takes a fifth of a microsecond: what every message asks for is looked up once.
FINISHED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class Ownership(StrEnum):
    """Whose job it is, as far as this store knows."""

    OWNED = "owned"
    RELEASED = "released"
    """Given to another host, whose acknowledgement hasn't come yet: never runs here."""
    GONE = "gone"
    """Given to another host, acknowledged."""
    FORGOTTEN = "forgotten"
    """Deleted; the row is the tombstone that keeps id, instance and epoch."""


class Outcome(IntEnum):
    """How an attempt ended, in the history."""

    SUCCEEDED = 0
    FAILED = 1
    SKIPPED = 2
    INTERRUPTED = 3

    @property
    def word(self) -> str:
        """The word used in documents."""
        return self.name.lower()


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed."""

    type: str
    message: str
    traceback: str
    routine: str


class HandoffFigures(msgspec.Struct, frozen=True):
    """One entry of a job's ``handoffs``.

    Attributes:
        source: host that gave the job.
        target: host that took it.
        epoch: epoch under which the target owns it.
        bytes: size of the image.
        phases_ms: milliseconds per phase (precopy, freeze, delta, commit, activate); None if unknown.
        downtime_ms: milliseconds without a runner, by the source's clock; None if unknown.
    """

    source: str
    target: str
    epoch: int
    bytes: int
    phases_ms: dict[str, float] | None = None
    downtime_ms: float | None = None


class JobHead(msgspec.Struct, omit_defaults=True):
    """A job without its rows in other tables. Written at changes of status only, never per turn.

    Attributes:
        job_id: the caller's or a generated id.
        instance: UUID of this execution; with ``epoch`` and the owner's store id the fencing token.
        flow_id: id of its flow.
        flow_digest: digest of its flow.
        epoch: how often the job has changed hands, from 1.
        status: as the engine last committed it (never ``moving``, which is shown, not stored).
        created_at: when it was submitted first.
        input: encoded fields of its input.
        ownership: whose it is.
        moved_to: host that it was given to; where it went on from there, and that is known, the next one.
        given_to: host that it was given to from here; None where it wasn't.
        reason: why it is paused or blocked.
        held: whether someone paused it.
        cancelling: whether it was asked to cancel and turns are still in flight.
        result: encoded fields that routines set as its result.
        error: why it failed.
        finished_at: when it completed, failed or was cancelled.
        hooks_delivered: how many of the flow's ``when_idle`` declarations were delivered.
        handoffs: its journeys so far.
        submission: digest of flow and input, to tell a repeated submit from another one.
        next_message: number that its next message gets, as of this write (rows may be ahead of it).
        next_sequence: number that its next history entry gets, as of this write.
        contested_by: host that holds it at the same epoch; None if none is known to.
        priority: how much it is preferred to others, higher first (see ``PRIORITIES``).
        by_force: whether an operator has ended a doubt about it by force: then some host may have it, or
            have had it, that isn't among those of ``handoffs``.
        clock_mark: (wall time, ``next_sequence``) from which on its dues count by the owner's clock as it
            is: when the job was made or taken over, or when that clock was set.
    """

    job_id: str
    instance: str
    flow_id: str
    flow_digest: str
    epoch: int
    status: JobStatus
    created_at: Time
    input: bytes
    ownership: Ownership = Ownership.OWNED
    moved_to: str | None = None
    reason: str | None = None
    held: bool = False
    cancelling: bool = False
    result: bytes | None = None
    error: JobError | None = None
    finished_at: Time | None = None
    hooks_delivered: int = 0
    handoffs: list[HandoffFigures] = []
    submission: str = ""
    next_message: int = 1
    next_sequence: int = 1
    contested_by: str | None = None
    clock_mark: tuple[Time, int] | None = None
    by_force: bool = False
    given_to: str | None = None
    priority: Priority = 0


class MessageRow(NamedTuple):
    """A message of a job that is not consumed.

    ``due`` is None for a message that waits for ``retry`` (it ended under STOP) and 0.0 for one that
    is ready; in an image it counts from the freeze.
    """

    job: int
    message: int
    routine: str
    slot: str
    data: bytes
    attempts: int
    retry_count: int
    due: Time | None
    progress: bytes | None

    @property
    def untried(self) -> bool:
        """Whether nothing is known of it but its data: such a one may be left to the store alone."""
        return self.attempts == 0 and self.due == 0.0 and self.progress is None


class HistoryRow(NamedTuple):
    """One attempt, ended. ``final`` marks the one that ended its message; ``origin`` names an Origin."""

    job: int
    sequence: int
    message: int
    routine: str
    slot: str
    attempt: int
    outcome: int
    final: int
    retry_count: int
    origin: int
    started: Time
    ended: Time
    error: bytes | None


# What a class statement makes of a named tuple is called through Python, and takes twice as long: these
# are for rows of which thousands are made.
message_row: Callable[
    [tuple[int, int, str, str, bytes, int, int, Time | None, bytes | None]], MessageRow
] = partial(tuple.__new__, MessageRow)
history_row: Callable[
    [tuple[int, int, int, str, str, int, int, int, int, int, Time, Time, bytes | None]], HistoryRow
] = partial(tuple.__new__, HistoryRow)


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where attempts ran: host, epoch of the job there, fingerprint of the code."""

    host: str
    epoch: int
    code: str


class AttributeRow(NamedTuple):
    """One committed attribute of an actor; ``key`` is the actor's: "", reserved for keyed routines."""

    job: int
    routine: str
    key: str
    name: str
    value: bytes


class SharedRow(NamedTuple):
    """One key of a job's shared map."""

    job: int
    key: str
    value: bytes


class QuestionRow(NamedTuple):
    """An open question; ``due`` is when it times out, None for never."""

    job: int
    question: str
    message: int
    routine: str
    slot: str
    prompt: str
    since: Time
    due: Time | None


class LogRow(NamedTuple):
    """A line that a routine printed or logged."""

    job: int
    sequence: int
    routine: str
    message: int
    attempt: int
    at: Time
    stream: str
    text: str


class BlobRow(NamedTuple):
    """A blob that a job refers to."""

    job: int
    digest: str
    size: int


class RoutineCounts(NamedTuple):
    """Ended messages of a routine, and the retry count of the one that ended last."""

    succeeded: int
    failed: int
    skipped: int
    last_retry_count: int


class JobImage(msgspec.Struct):
    """A whole job: what a store reads back, a hand-off carries and an export holds.

    Attributes:
        flow: encoded FlowSpec.
        head: the job without its rows.
        origins: what ``HistoryRow.origin`` in this image points to, by id.
        counts: ended messages per routine.
    """

    flow: bytes
    head: JobHead
    messages: list[MessageRow]
    history: list[HistoryRow]
    attributes: list[AttributeRow]
    shared: list[SharedRow]
    questions: list[QuestionRow]
    logs: list[LogRow]
    blobs: list[BlobRow]
    origins: dict[int, Origin]
    counts: dict[str, RoutineCounts]


class StoredMessages(NamedTuple):
    """Messages of one routine that were never tried and are left in the store: how many, from which on."""

    routine: str
    first: int
    total: int
    bytes: int


class Mailboxes(NamedTuple):
    """The pending messages of a job: the oldest, and those that were tried, in order; others counted."""

    messages: list[MessageRow]
    stored: list[StoredMessages]


class StagedRows(NamedTuple):
    """The rows of a job that an engine holds in memory, and what is left in the store of its mailboxes."""

    messages: list[MessageRow]
    attributes: list[AttributeRow]
    shared: list[SharedRow]
    questions: list[QuestionRow]
    stored: list[StoredMessages]


class HandoffRow(msgspec.Struct):
    """The durable record of one hand-off on one side.

    Attributes:
        m: UUID of the hand-off.
        role: ``source`` or ``target``.
        state: state of that side's machine, by its name.
        job_id: the job.
        instance: its instance.
        epoch: epoch that the source holds.
        peer: host on the other side.
        record: the machine's own record, encoded.
        final: what ended the copy, encoded, from PREPARED on (target only).
    """

    m: str
    role: str
    state: str
    job_id: str
    instance: str
    epoch: int
    peer: str
    record: bytes
    final: bytes | None = None


class PeerRow(msgspec.Struct):
    """A paired host, or one that was. ``address`` is None where only the other side can dial.

    ``store_id``, ``incarnation`` and ``run`` are of the last run of it that was seen. ``role`` is what its
    key may do here, ``granted`` the command that said so; who was paired before there were roles could do
    everything. ``revoked_at`` is wall clock in seconds; the row stays, so that people are told.
    """

    name: str
    public_key: str
    address: str | None
    store_id: str
    paired_at: float
    incarnation: int = 0
    run: str = ""
    role: Role = Role.OPERATOR
    granted: str = ""
    revoked_at: float | None = None


class InviteRow(msgspec.Struct):
    """An invitation; kept after use, so that a second use is refused with a sentence.

    ``role`` is what the host that uses it may do here, if that was said; ``void`` says why it can't be used
    any more.
    """

    public_key: str
    expires_at: float
    used_by: str | None = None
    role: Role | None = None
    void: str = ""


class Writes:
    """Everything that one round puts on disk, in one transaction, batched per table.

    Lists hold rows in the order in which they must be applied; within one round a message that is put
    and deleted appears in neither. Applied in the order of the attributes below.
    """

    __slots__ = (
        "attributes", "blobs_deleted", "blobs_put", "commands_put", "flows_put", "handoffs_deleted",
        "handoffs_put", "heads", "history", "invites_put", "jobs_cleared", "jobs_removed", "logs",
        "messages_changed", "messages_deleted", "messages_put", "meta_put", "origins_put", "peers_put",
        "questions_deleted", "questions_put", "shared", "starts_put",
    )

    def __init__(self) -> None:
        self.flows_put: dict[str, bytes] = {}
        """digest → encoded FlowSpec."""
        self.jobs_cleared: list[int] = []
        """Rows of jobs whose rows in every table but ``jobs`` and ``handoffs`` go (before puts)."""
        self.jobs_removed: list[int] = []
        """Rows of jobs whose head goes too, since the job goes on under another row (before puts)."""
        self.heads: dict[int, JobHead] = {}
        """job row → head, inserted or replaced."""
        self.origins_put: dict[int, Origin] = {}
        self.messages_put: list[MessageRow] = []
        self.messages_changed: list[tuple[int, int, float | None, bytes | None, int, int]] = []
        """(attempts, retry_count, due, progress, job, message)."""
        self.messages_deleted: list[tuple[int, int]] = []
        self.history: list[HistoryRow] = []
        self.attributes: dict[tuple[int, str, str, str], bytes | None] = {}
        """(job, routine, key, name) → value; None deletes."""
        self.shared: dict[tuple[int, str], bytes | None] = {}
        """(job, key) → value; None deletes."""
        self.questions_put: list[QuestionRow] = []
        self.questions_deleted: list[tuple[int, str]] = []
        self.logs: list[LogRow] = []
        self.blobs_put: list[BlobRow] = []
        self.blobs_deleted: list[tuple[int, str]] = []
        """(job, digest) that the job refers to no more."""
        self.handoffs_put: dict[str, HandoffRow] = {}
        """"role:m" → record."""
        self.handoffs_deleted: list[tuple[str, str]] = []
        """(role, m)."""
        self.peers_put: list[PeerRow] = []
        self.invites_put: list[InviteRow] = []
        self.commands_put: list[tuple[str, bytes, float]] = []
        """(command id, encoded reply, when): a repeated command gets the same answer."""
        self.starts_put: dict[str, tuple[int, float]] = {}
        """"flow digest/routine" → (failed starts in a row, next start not before); (0, 0) clears."""
        self.meta_put: dict[str, str] = {}

    def __bool__(self) -> bool:
        return any(_all_writes(self))

    def concern(self, job: int) -> bool:
        """Tell whether anything of a job's row is among them."""
        rows = (self.messages_put, self.history, self.questions_put, self.logs, self.blobs_put)
        keys = (
            self.messages_deleted, self.attributes, self.shared, self.questions_deleted, self.blobs_deleted,
        )
        return (
            job in self.heads
            or any(row.job == job for some in rows for row in some)
            or any(changed[4] == job for changed in self.messages_changed)
            or any(key[0] == job for some in keys for key in some)
        )

    def drop_rows(self, job: int) -> None:
        """Take back what this round would put for a job's row, and clear what earlier rounds put."""
        self.messages_put = [row for row in self.messages_put if row.job != job]
        self.messages_changed = [row for row in self.messages_changed if row[4] != job]
        self.history = [row for row in self.history if row.job != job]
        self.questions_put = [row for row in self.questions_put if row.job != job]
        self.logs = [row for row in self.logs if row.job != job]
        self.blobs_put = [row for row in self.blobs_put if row.job != job]
        self.attributes = {key: value for key, value in self.attributes.items() if key[0] != job}
        self.shared = {key: value for key, value in self.shared.items() if key[0] != job}
        self.jobs_cleared.append(job)


_all_writes = attrgetter(*Writes.__slots__)
