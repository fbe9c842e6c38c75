"""The life of a job as a table: which event takes it from which status to which.

Every rule about statuses is here. ``moving`` and ``moved`` are not in it: they are what a host *says*
of a job while and after it gives it away (see ``sojourn.runtime.handoff.table``).
"""

from __future__ import annotations

from enum import StrEnum

from sojourn.runtime.job import JobStatus
from sojourn.runtime.transitions import Transition


class JobEvent(StrEnum):
    """What can happen to a job's status."""

    BEGAN = "began"
    """The first attempt of the job ended or was interrupted: it certainly began."""
    HELD = "held"
    """Paused by someone, and no turn is in flight any more."""
    ASKED = "asked"
    """Only open questions are left."""
    LIFTED = "lifted"
    """A pause was lifted, or a question answered, after some attempt began."""
    LIFTED_UNBEGUN = "lifted_unbegun"
    """A pause was lifted, or a block removed, before any attempt began."""
    BLOCKED = "blocked"
    """This host can't run one of its routines."""
    IDLE = "idle"
    """Nothing is pending, in flight or asked, and every ``when_idle`` was delivered."""
    STOPPED = "stopped"
    """A message ended under STOP."""
    CANCELLED = "cancelled"
    """Cancelled by someone, and no turn is in flight any more."""
    RETRIED = "retried"
    """Someone gave its failed messages a fresh budget."""


_ROWS: tuple[tuple[JobStatus, JobEvent, JobStatus, str], ...] = (
    (JobStatus.QUEUED, JobEvent.BEGAN, JobStatus.RUNNING, "first attempt"),
    (JobStatus.QUEUED, JobEvent.HELD, JobStatus.PAUSED, "pause"),
    (JobStatus.QUEUED, JobEvent.BLOCKED, JobStatus.BLOCKED, "code not loadable"),
    (JobStatus.QUEUED, JobEvent.CANCELLED, JobStatus.CANCELLED, "cancel"),
    (JobStatus.RUNNING, JobEvent.HELD, JobStatus.PAUSED, "pause, none in flight"),
    (JobStatus.RUNNING, JobEvent.ASKED, JobStatus.PAUSED, "only questions are open"),
    (JobStatus.RUNNING, JobEvent.BLOCKED, JobStatus.BLOCKED, "no process, or no disk for a turn"),
    (JobStatus.RUNNING, JobEvent.IDLE, JobStatus.COMPLETED, "nothing left"),
    (JobStatus.RUNNING, JobEvent.STOPPED, JobStatus.FAILED, "a message ended under STOP"),
    (JobStatus.RUNNING, JobEvent.CANCELLED, JobStatus.CANCELLED, "cancel"),
    (JobStatus.PAUSED, JobEvent.LIFTED, JobStatus.RUNNING, "resume or answer"),
    (JobStatus.PAUSED, JobEvent.LIFTED_UNBEGUN, JobStatus.QUEUED, "resume"),
    (JobStatus.PAUSED, JobEvent.HELD, JobStatus.PAUSED, "pause beside a question"),
    (JobStatus.PAUSED, JobEvent.ASKED, JobStatus.PAUSED, "a question is left after resume"),
    (JobStatus.PAUSED, JobEvent.CANCELLED, JobStatus.CANCELLED, "cancel"),
    (JobStatus.BLOCKED, JobEvent.LIFTED, JobStatus.RUNNING, "retry, or the code loads now"),
    (JobStatus.BLOCKED, JobEvent.LIFTED_UNBEGUN, JobStatus.QUEUED, "the same, unbegun"),
    (JobStatus.BLOCKED, JobEvent.BLOCKED, JobStatus.BLOCKED, "another reason"),
    (JobStatus.BLOCKED, JobEvent.HELD, JobStatus.PAUSED, "pause"),
    (JobStatus.BLOCKED, JobEvent.STOPPED, JobStatus.FAILED, "a turn in flight failed under STOP"),
    (JobStatus.BLOCKED, JobEvent.IDLE, JobStatus.COMPLETED, "the last turn in flight ended"),
    (JobStatus.BLOCKED, JobEvent.CANCELLED, JobStatus.CANCELLED, "cancel"),
    (JobStatus.FAILED, JobEvent.RETRIED, JobStatus.RUNNING, "retry"),
)

TRANSITIONS: tuple[Transition, ...] = tuple(
    Transition(source=source.value, event=event.value, target=target.value, note=note)
    for source, event, target, note in _ROWS
)

_NEXT = {(source, event): target for source, event, target, _ in _ROWS}


def next_status(status: JobStatus, event: JobEvent) -> JobStatus | None:
    """Look a transition up.

    Args:
        status: where the job is.
        event: what happened.

    Returns:
        Where it goes, or None where the table has no such transition.
    """
    return _NEXT.get((status, event))
