"""What the hand-off machines ask of the supervisor, and what it tells them.

Effects are carried out in order; every durable one (``Persist``, ``Erase``, ``ReleaseJob``, ``MarkGone``,
``OwnJob``, ``KeepBlob``) is on disk before any ``Send`` behind it leaves (G1).
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.job import HandoffFigures, HandoffRow
from sojourn.runtime.wire.handoff import HandoffMessage


class Send(msgspec.Struct, frozen=True):
    """Send a message to the host on the other side."""

    message: HandoffMessage


class Persist(msgspec.Struct, frozen=True):
    """Write this side's record."""

    row: HandoffRow


class Erase(msgspec.Struct, frozen=True):
    """Delete this side's record."""

    role: str
    m: str


class StartFreeze(msgspec.Struct, frozen=True):
    """Hand nothing out, recall, wait up to the grace (seconds; None: the routines' own), then kill."""

    grace: float | None


class Thaw(msgspec.Struct, frozen=True):
    """The job goes on here."""


class NeedImage(msgspec.Struct, frozen=True):
    """Read the frozen job; the answer is ``ImageReady``."""


class ReleaseJob(msgspec.Struct, frozen=True):
    """The job is no longer this host's to run; in the same commit as the record before it."""


class MarkGone(msgspec.Struct, frozen=True):
    """The new owner has it; in the same commit as the record before it."""


class KeepBlob(msgspec.Struct, frozen=True):
    """Write a blob's file, durably."""

    digest: str
    data: bytes


class Reserve(msgspec.Struct, frozen=True):
    """Keep room on the disk for owning a job whose image has so many bytes."""

    size: int


class Inspect(msgspec.Struct, frozen=True):
    """Can this host run the flow? Load it, fork its processes, answer with ``InspectionDone``."""

    flow: bytes
    code: str
    files: list[tuple[str, str]]
    allow_code_drift: bool


class OwnJob(msgspec.Struct, frozen=True):
    """Own the job of this image at ``epoch``; in the same commit as the ``Erase`` beside it."""

    image: bytes
    epoch: int
    size: int


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
    Send | Persist | Erase | StartFreeze | Thaw | NeedImage | ReleaseJob | MarkGone | KeepBlob
    | Reserve | Inspect | OwnJob | Activate | RecordFigures | PhaseReached | Finished | Failed | Conflict
    | Ended
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


class ImageReady(msgspec.Struct, frozen=True):
    """The frozen job as bytes, and its blobs (digest, bytes)."""

    image: bytes
    digest: str
    blobs: list[tuple[str, bytes]]


class Cancelled(msgspec.Struct, frozen=True):
    """Someone wants the hand-off to end."""

    reason: str


class InspectionDone(msgspec.Struct, frozen=True):
    """Answer to ``Inspect``; ``kind`` is empty where the flow can run here."""

    kind: str
    message: str


class Activated(msgspec.Struct, frozen=True):
    """Answer to ``Activate``: how long it took, in milliseconds."""

    milliseconds: float


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


class LinkBack(msgspec.Struct, frozen=True):
    """The other side can be reached again: repeat what may have been lost."""


Happening = (
    Quiet | JobEnded | ImageReady | Cancelled | InspectionDone | Activated | Tick | LinkBack
    | HandoffMessage
)
