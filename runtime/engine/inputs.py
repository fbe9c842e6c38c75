"""What can happen to jobs, and what a round of it comes to.

A closed set: every input is handled by exactly one function of ``engine.py``.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from sojourn.runtime.engine.model import FlowPlan
from sojourn.runtime.job import JobImage, JobStatus, MessageRow, StoredMessages, Writes
from sojourn.runtime.wire.actor import Result


class Now(NamedTuple):
    """One reading of both clocks, in seconds: wall time since the epoch, and monotonic."""

    wall: float
    monotonic: float


class Create(msgspec.Struct):
    """A job was submitted; ``input`` are encoded fields for the entry."""

    row: int
    job_id: str
    instance: str
    plan: FlowPlan
    input: bytes
    submission: str
    priority: int = 0


class Whence(Enum):
    """Where a job is taken up from."""

    STORE = "store"
    """Its rows are in this store as they are; its dues are wall clock."""
    STAGED = "staged"
    """Its rows arrived in this store; its dues are seconds from now, so that they are written anew."""
    ELSEWHERE = "elsewhere"
    """None of its rows is in this store: all are written. Its dues are seconds from now."""


class Adopt(msgspec.Struct):
    """A job is taken up from its image.

    Attributes:
        row: its row in this store.
        image: the job.
        plan: its flow.
        numbers: highest message number and history sequence in use.
        whence: where its rows are, and what its dues mean.
        stored: messages, newer than those of the image and never tried, that were left in the store.
    """

    row: int
    image: JobImage
    plan: FlowPlan
    numbers: tuple[int, int]
    whence: Whence
    stored: list[StoredMessages] = []


class Refill(msgspec.Struct):
    """Messages of an actor that were on disk alone, in order and as they are committed.

    Attributes:
        row: the job.
        routine: the actor.
        messages: they; all that there are from ``Actor.stored_from`` on, up to some number.
    """

    row: int
    routine: str
    messages: list[MessageRow]


class Fetch(msgspec.Struct):
    """One message that may be on disk alone, as it is committed: it is needed out of turn."""

    message: MessageRow


class Settle(msgspec.Struct, gc=False):
    """Attempts came back (or reached a checkpoint); ``code`` is the fingerprint they ran under."""

    results: list[Result]
    code: str


class Interrupt(msgspec.Struct):
    """An attempt began, and its process ended without an outcome, not by its own doing."""

    dispatch: int
    started: float
    code: str


class Recover(msgspec.Struct):
    """A page left by an earlier run of this supervisor shows an attempt that began."""

    row: int
    epoch: int
    message: int
    attempt: int
    started: float
    code: str


class Unsend(msgspec.Struct):
    """Messages that were handed to a process come back; they never began."""

    dispatches: list[int]


class Hold(msgspec.Struct):
    """Pause."""

    row: int


class Lift(msgspec.Struct):
    """End a pause."""

    row: int


class AnswerQuestion(msgspec.Struct):
    """Close an open question; ``data`` are encoded fields for its slot."""

    row: int
    question: str
    data: bytes


class CancelJob(msgspec.Struct):
    """Cancel: as soon as nothing is in flight."""

    row: int


class RetryJob(msgspec.Struct):
    """Give failed messages a fresh budget, or lift a block."""

    row: int


class Block(msgspec.Struct):
    """This host can't run the job, for ``reason``."""

    row: int
    reason: str


class Freeze(msgspec.Struct):
    """Hand nothing out any more and recall, for a hand-off."""

    row: int


class Thaw(msgspec.Struct):
    """A hand-off was aborted: go on."""

    row: int


class Drop(msgspec.Struct):
    """The job is no longer this host's: forget it in memory, write nothing."""

    row: int


Input = (
    Create | Adopt | Settle | Interrupt | Recover | Unsend | Hold | Lift | AnswerQuestion
    | CancelJob | RetryJob | Block | Freeze | Thaw | Drop | Refill | Fetch
)


class StatusChange(NamedTuple):
    """A job's status changed in this round."""

    row: int
    job_id: str
    reason: str | None
    before: JobStatus
    after: JobStatus


class Checkpointed(NamedTuple):
    """A checkpoint is part of this round: its process is told once the round is on disk."""

    dispatch: int
    yield_now: bool


class Round:
    """What one step came to.

    Attributes:
        writes: what must be on disk before anything below is acted upon.
        changes: statuses that changed.
        touched: rows of jobs in which anything happened.
        recalls: rows of jobs whose messages must be called back from their processes.
        quiet: rows of jobs that were asked to fall quiet and of which nothing is out any more.
        checkpoints: checkpoints to confirm.
        ended: rows of jobs that are no longer in memory.
    """

    __slots__ = ("changes", "checkpoints", "ended", "quiet", "recalls", "touched", "writes")

    def __init__(self) -> None:
        self.writes = Writes()
        self.changes: list[StatusChange] = []
        self.touched: set[int] = set()
        self.recalls: set[int] = set()
        self.quiet: set[int] = set()
        self.checkpoints: list[Checkpointed] = []
        self.ended: list[int] = []
