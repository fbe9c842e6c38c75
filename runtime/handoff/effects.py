"""What the hand-off machines ask of the supervisor, and what it tells them.

Effects are carried out in order; every durable one (``Persist``, ``Erase``, ``ReleaseJob``, ``MarkGone``,
``OwnJob``, ``ReclaimJob``, ``GiveUpJob``, ``StagePart``, ``KeepPiece``, ``Discard``) is on disk before any
``Send`` behind it leaves (G1), and those that stand beside each other are one commit.
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.handoff.parts import Part
from sojourn.runtime.handoff.stream import Piece
from sojourn.runtime.job import HandoffFigures, HandoffRow
from sojourn.runtime.wire.handoff import HandoffMessage


class Send(msgspec.Struct, frozen=True):
    """Send a message to the host on the other side."""

    message: HandoffMessage


class Persist(msgspec.Struct, frozen=True):
    """Write this side's record."""

    row: HandoffRow


class Erase(msgspec.Struct, frozen=True):
    """Delete this side's record; ``why`` names the moment for crash points."""

    role: str
    m: str
    why: str = "dropped"


class ReclaimJob(msgspec.Struct, frozen=True):
    """The job is this host's again at ``epoch``; in the same commit as the record before it."""

    epoch: int


class GiveUpJob(msgspec.Struct, frozen=True):
    """The job is the source's again at ``epoch``: it isn't run here."""

    epoch: int


class Confirmed(msgspec.Struct, frozen=True):
    """The source knows that this host owns the job: nobody else can come to own it by this hand-off."""


class StartFreeze(msgspec.Struct, frozen=True):
    """Hand nothing out, recall, wait up to the grace (seconds; None: the routines' own), then kill."""

    grace: float | None


class Thaw(msgspec.Struct, frozen=True):
    """The job goes on here."""


class StartCopy(msgspec.Struct, frozen=True):
    """Begin to note what changes of the job; ``there`` is what the target holds: (blob, bytes)."""

    there: list[tuple[str, int]]


class NeedParts(msgspec.Struct, frozen=True):
    """Read what is to be copied next, up to about ``room`` bytes; the answer is ``PartsReady``.

    ``final``: the job is frozen, so that the copy ends with the part that says so.
    """

    room: int
    final: bool


class NeedFile(msgspec.Struct, frozen=True):
    """Write the frozen job into its file."""


class ReleaseJob(msgspec.Struct, frozen=True):
    """The job is no longer this host's to run; in the same commit as the record before it."""


class MarkGone(msgspec.Struct, frozen=True):
    """The new owner has it; in the same commit as the record before it."""


class KeepPiece(msgspec.Struct, frozen=True):
    """Add to a blob's file; the last piece is followed by a check of its digest, and made durable."""

    piece: Piece


class StagePart(msgspec.Struct, frozen=True):
    """Write rows of the job that is arriving."""

    part: Part


class RequireBlobs(msgspec.Struct, frozen=True):
    """See that every blob that the staged rows refer to is here."""


class Discard(msgspec.Struct, frozen=True):
    """Delete what was staged; in the same commit as the ``Erase`` beside it."""


class Reserve(msgspec.Struct, frozen=True):
    """Keep room on the disk for rows of so many bytes, no more and no less than that from now on."""

    size: int


class Inspect(msgspec.Struct, frozen=True):
    """Can this host run the flow? Load it, fork its processes, answer with ``InspectionDone``."""

    flow: bytes
    code: str
    files: list[tuple[str, str]]
    allow_code_drift: bool


class OwnJob(msgspec.Struct, frozen=True):
    """Own the staged job at ``epoch``; in the same commit as the record beside it.

    Where it isn't ``certain`` that the source still means it, the job is not run before ``Confirmed``.
    """

    final: bytes
    epoch: int
    size: int
    certain: bool = True


class Activate(msgspec.Struct, frozen=True):
    """See that its actors come up; the answer is ``Activated``."""


class RecordFigures(msgspec.Struct, frozen=True):
    """Add the source's figures to the job's ``handoffs``."""

    epoch: int
    phases_ms: dict[str, float]
    downtime_ms: float


class PhaseReached(msgspec.Struct, frozen=True):
    """News for who watches."""

    phase: str
    bytes: int = 0
    total_bytes: int = 0


class Finished(msgspec.Struct, frozen=True):
    """The job is moved."""

    figures: HandoffFigures


class Failed(msgspec.Struct, frozen=True):
    """It isn't, or nobody knows yet: class name and sentence of the error for who asked."""

    kind: str
    message: str


class Conflict(msgspec.Struct, frozen=True):
    """Two stores hold the job at the same epoch: it is blocked with this reason."""

    reason: str


class Ended(msgspec.Struct, frozen=True):
    """This machine has nothing to do any more."""


Effect = (
    Send | Persist | Erase | StartCopy | NeedParts | NeedFile | StartFreeze | Thaw | ReleaseJob | MarkGone
    | KeepPiece | StagePart | RequireBlobs | Discard | Reserve | Inspect | OwnJob | Activate | RecordFigures
    | ReclaimJob | GiveUpJob | Confirmed | PhaseReached | Finished | Failed | Conflict | Ended
)


class Quiet(msgspec.Struct, frozen=True):
    """The frozen job has nothing in flight, all of it is on disk.

    Attributes:
        last_ended: monotonic seconds at which the last attempt in flight ended; 0.0 if none was.
        version: of the final checkpoint.
    """

    last_ended: float
    version: int


class JobEnded(msgspec.Struct, frozen=True):
    """The job ended before it could be handed over."""

    status: str


class PartsReady(msgspec.Struct, frozen=True):
    """Answer to ``NeedParts``.

    Attributes:
        pieces: what is to travel next, in order.
        left: about how many bytes more there are to copy by now.
        final: whether the part that ends the copy is among them.
    """

    pieces: list[Piece]
    left: int
    final: bool = False


class Cancelled(msgspec.Struct, frozen=True):
    """Someone wants the hand-off to end."""

    reason: str


class InspectionDone(msgspec.Struct, frozen=True):
    """Answer to ``Inspect``; ``kind`` is empty where the flow can run here.

    ``blobs`` is what this host holds of the job's blobs already: (digest, bytes).
    """

    kind: str
    message: str
    blobs: list[tuple[str, int]] = []


class Activated(msgspec.Struct, frozen=True):
    """Answer to ``Activate``: how long it took, in milliseconds."""

    milliseconds: float


class Resolved(msgspec.Struct, frozen=True):
    """An operator says that the other side is gone for good: the job is this side's, at e+2."""


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


class LinkBack(msgspec.Struct, frozen=True):
    """The other side can be reached again: repeat what may have been lost."""


Happening = (
    Quiet | JobEnded | PartsReady | Cancelled | InspectionDone | Activated | Resolved | Tick
    | LinkBack
    | HandoffMessage
)
