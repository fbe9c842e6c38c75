"""The rules around the machines of a host: which one a message is for, what it says beside that, when a
hand-off may begin, and which machines go on after a restart.

Nothing is sent, written or remembered here: a supervisor asks, and does what the answer says.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from sojourn.runtime.handoff.source import ROLE as SOURCE_ROLE
from sojourn.runtime.handoff.source import Patience, SourceHandoff
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.handoff.target import TargetFacts, TargetHandoff
from sojourn.runtime.job import HandoffRow, JobHead, Ownership
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    Chunk,
    Closed,
    Commit,
    HandoffMessage,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Superseded,
    Waiting,
)

ToTarget = Preflight | Chunk | Waiting | Offer | Commit | Abort | Measured | Closed | Superseded
FOR_TARGET = (Preflight, Chunk, Waiting, Offer, Commit, Abort, Measured, Closed, Superseded)
"""What a source sends; everything else is sent by a target."""


class Reception(Enum):
    """What a host does with a message of a hand-off."""

    STEP = "give it to the machine"
    BEGIN = "a hand-off towards this host begins"
    STRAY = "answer as one who has no such hand-off"
    NOTHING = "nothing"


def reception(
    message: HandoffMessage, peer: str, machine: SourceHandoff | TargetHandoff | None
) -> Reception:
    """Say what is to be done with a message.

    A hand-off is between two hosts: a third one that names it, replays of its messages included, changes
    nothing and learns nothing.

    Args:
        message: as it came.
        peer: who sent it.
        machine: this host's of that hand-off, on the side that the message is for; None for none.
    """
    if machine is not None:
        return Reception.STEP if machine.peer == peer else Reception.NOTHING
    match message:
        case Preflight():
            return Reception.BEGIN
        case Commit() | Offer() | Chunk() | Waiting() | Query() | Prepared() | Ack() | PreflightReady():
            return Reception.STRAY
        case _:
            return Reception.NOTHING


def implied_ack(machine: SourceHandoff, instance: str, epoch: int) -> Ack | None:
    """A job that is, or was, elsewhere at a later epoch was owned there: an ACK for who gave it away.

    Args:
        machine: a hand-off that gives a job away.
        instance: of a job that another host offers, or says that it holds.
        epoch: under which it does.
    """
    if machine.instance != instance or epoch < machine.epoch + 1:
        return None
    return Ack(machine.m, machine.epoch + 1)


def may_leave(head: JobHead, machines: Iterable[SourceHandoff]) -> bool:
    """Whether a hand-off of a job may begin.

    Args:
        head: the job as it is known now.
        machines: those that give this job away.
    """
    return (
        head.ownership is Ownership.OWNED
        and not head.status.finished
        and all(machine.state is SourceState.GONE for machine in machines)
    )


def arriving(job_id: str, machines: Iterable[TargetHandoff]) -> str | None:
    """Give the hand-off under which a job is arriving, if it is."""
    return next(
        (
            machine.m for machine in machines
            if machine.job_id == job_id and machine.state in (TargetState.STAGING, TargetState.PREPARED)
        ),
        None,
    )


def facts_about(
    asked: Preflight, head: JobHead | None, machines: Iterable[TargetHandoff], host: str, *,
    stopping: bool = False, cordoned: bool = False, free_bytes: int = 1 << 62, held_bytes: int = 0,
) -> TargetFacts:
    """Gather what a host knows of a job that it is asked to take.

    Args:
        asked: the source's question.
        head: what is known under the job's id, its tombstone included; None for nothing.
        machines: all hand-offs towards this host.
        host: its name.
        stopping: whether it is going down.
        cordoned: whether it takes no new jobs.
        free_bytes: room on the disk of its home.
        held_bytes: of the job's blobs that are there already.
    """
    return TargetFacts(
        host=host,
        known_instance=head.instance if head is not None else None,
        known_epoch=head.epoch if head is not None else 0,
        owns=head is not None and head.ownership is Ownership.OWNED,
        forgotten=head is not None and head.ownership is Ownership.FORGOTTEN,
        arriving=arriving(asked.job_id, machines),
        stopping=stopping,
        cordoned=cordoned,
        free_bytes=free_bytes,
        held_bytes=held_bytes,
    )


def recover(row: HandoffRow, own_store: str, patience: Patience) -> SourceHandoff | TargetHandoff | None:
    """Give the machine that goes on with a record after a restart.

    Args:
        row: as it was found.
        own_store: id of this store.
        patience: how long is waited.

    Returns:
        A source that is past its commit point and not acknowledged; a target in doubt, or one that owns the
        job while its source may not know. None where no machine goes on: what a target had staged is to be
        dropped, a source's record stays as it is.
    """
    if row.role == SOURCE_ROLE:
        return SourceHandoff.recover(row, patience) if row.state == SourceState.RELEASED else None
    if row.state in (TargetState.PREPARED, TargetState.OWNED):
        return TargetHandoff.recover(row, own_store, patience)
    return None


def waits_for_word(row: HandoffRow, head: JobHead | None) -> bool:
    """Whether a job isn't run after a restart before the other side has said what it holds.

    Where a hand-off was open when this host went down, an operator there may have ended it by force.

    Args:
        row: record of a hand-off.
        head: the job under the row that the record names; None where there is none any more.
    """
    if head is None or head.ownership is not Ownership.OWNED:
        return False
    if row.role == SOURCE_ROLE:
        return row.state == SourceState.PRECOPY
    return row.state == TargetState.OWNED
