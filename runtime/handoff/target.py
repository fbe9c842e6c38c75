"""The target of a hand-off: casts every veto before PREPARED, and never runs a job before COMMIT.

What arrives is staged row by row while the job still runs over there, so that only the last part, one
commit and the decision are left once it is frozen.
"""

from __future__ import annotations

import msgspec

from sojourn.runtime.commands import cordoned
from sojourn.runtime.errors import (
    AccessDenied,
    CodeNotLoadable,
    HandoffAborted,
    HostUnable,
    ProtocolViolation,
    Refused,
    SojournError,
    ValueMalformed,
    to_wire,
)
from sojourn.runtime.flow import FlowSpec
from sojourn.runtime.flow_document import read_flow
from sojourn.runtime.handoff.effects import (
    Activate,
    Activated,
    Confirmed,
    Discard,
    Effect,
    Ended,
    Erase,
    GiveUpJob,
    Happening,
    Inspect,
    InspectionDone,
    KeepPiece,
    LinkBack,
    OwnJob,
    Persist,
    RecordFigures,
    RequireBlobs,
    Reserve,
    Resolved,
    Send,
    StagePart,
    Tick,
)
from sojourn.runtime.handoff.parts import (
    LARGEST_NUMBER,
    LARGEST_PART,
    Final,
    decode_part,
    encode_final,
    problem_of,
    weight,
)
from sojourn.runtime.handoff.source import TWO_OWNERS, Patience
from sojourn.runtime.handoff.stream import IncomingStream
from sojourn.runtime.handoff.survey import joined
from sojourn.runtime.handoff.table import TargetState, TargetStep, next_target
from sojourn.runtime.job import HandoffRow
from sojourn.runtime.values import is_digest
from sojourn.runtime.wire.handoff import (
    WINDOW_BYTES,
    Abort,
    Ack,
    ActorsStarted,
    Chunk,
    Closed,
    Commit,
    Credit,
    HandoffRefused,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
    Superseded,
    Waiting,
)

ROLE = "target"
COPIES = 2
"""How often a row is on the disk when its job is owned: in the store's log, and in the store."""

ROOM_TO_SPARE = 256 * 1024
"""Bytes of rows for which room is kept beyond what is known to come: for what a freeze adds."""

LEAST_FREE = 32 * 1024 * 1024
"""Bytes of a disk that no arriving job may take: a supervisor that can't write ends, with all its jobs."""

LARGEST_IMAGE = 1 << 33
"""Bytes of all that may travel for one job."""


_ENTRY = 200
"""Bytes of memory, about, that an entry of a list takes beside its text."""


class TargetFacts(msgspec.Struct, frozen=True):
    """What this host knows of the job that it is asked to take.

    Attributes:
        host: this host.
        known_instance: instance of the job that it knows under this id; None for none.
        known_epoch: epoch under which it knows it; 0 for none.
        owns: whether it owns it.
        forgotten: whether it was forgotten here.
        arriving: the hand-off under which the job id is arriving already, if any.
        stopping: whether this host is going down.
        cordoned: whether it takes no new jobs.
        free_bytes: room on the disk of the home.
        held_bytes: of the job's blobs that are here already.
    """

    host: str
    known_instance: str | None = None
    known_epoch: int = 0
    owns: bool = False
    forgotten: bool = False
    arriving: str | None = None
    stopping: bool = False
    cordoned: bool = False
    free_bytes: int = 1 << 62
    held_bytes: int = 0


class TargetRecord(msgspec.Struct):
    """What of this side is durable from STAGING on.

    Attributes:
        source_store: store that may still own the job.
        row: row under which its rows are staged.
        digest: over its parts, from PREPARED on.
        size: bytes of what travelled.
    """

    source_store: str
    row: int = 0
    digest: str = ""
    size: int = 0


def decode_record(row: HandoffRow) -> TargetRecord:
    """Read the record of this side."""
    return msgspec.msgpack.decode(row.record, type=TargetRecord)


def _weight(asked: Preflight) -> int:
    names = sum(len(name) + len(digest) for name, digest in asked.files)
    return len(asked.flow) + names + _ENTRY * (len(asked.files) + len(asked.blobs))


def needed_bytes(asked: Preflight, held: int) -> int:
    """Tell how much room a job needs on the target's disk: its rows twice, and blobs that aren't there."""
    blobs = sum(size for _, size in asked.blobs)
    return max(0, blobs - held) + COPIES * max(0, asked.size - blobs)


def vetoes(asked: Preflight, facts: TargetFacts) -> list[tuple[str, str]]:
    """Give (kind, sentence) of everything that speaks against this host's taking a job."""
    host = facts.host
    job = asked.job_id
    refused = Refused.__name__
    found: list[tuple[str, str]] = []
    if facts.stopping:
        found.append((refused, f"host {host!r} is going down"))
    if facts.cordoned:
        found.append((refused, cordoned(host)))
    if facts.arriving is not None:
        found.append((refused, f"job {job} is arriving at host {host!r} by another hand-off already"))
    if facts.known_instance not in (None, asked.instance):
        found.append((refused, f"host {host!r} has another job under the id {job}"))
    elif facts.owns and facts.known_epoch == asked.epoch:
        found.append((TWO_OWNERS, (
            f"two owners: host {host!r} holds job {job} at the same epoch {asked.epoch}; "
            f"`sojourn handoff resolve {job}` on the host that shall give it up ends that"
        )))
    elif facts.owns:
        found.append((refused, f"host {host!r} owns job {job} at epoch {facts.known_epoch}"))
    elif asked.epoch + 1 <= facts.known_epoch:
        found.append((refused, (
            f"host {host!r} knows job {job} at epoch {facts.known_epoch}, the offer's is {asked.epoch}"
        )))
    if not 0 < asked.epoch < LARGEST_NUMBER or not 0 <= asked.size < LARGEST_IMAGE:
        found.append((ProtocolViolation.__name__, f"the offer of job {job} holds numbers that can't be"))
    needed = needed_bytes(asked, facts.held_bytes)
    if needed + LEAST_FREE > facts.free_bytes:
        found.append((HostUnable.__name__, (
            f"the disk of host {host!r} has no room for job {job}: it needs {needed} bytes, and of "
            f"{facts.free_bytes} that are free {LEAST_FREE} must stay so"
        )))
    return found


def decoded_flow(asked: Preflight) -> tuple[FlowSpec, str] | str:
    """Read the flow of a PREFLIGHT and name it by its digest; a sentence where it doesn't decode."""
    try:
        return read_flow(asked.flow)
    except (msgspec.DecodeError, ValueMalformed) as error:
        return f"the flow of the job doesn't decode: {error}"


class TargetHandoff:
    """One hand-off, seen from the host that takes the job.

    Args:
        asked: the source's PREFLIGHT.
        peer: the source.
        store_id: of this host.
        patience: how long is waited.
        row: row of this store that no job ever had, for what arrives.
    """

    def __init__(
        self, asked: Preflight, peer: str, store_id: str, patience: Patience, row: int = 0
    ) -> None:
        self.m = asked.m
        self.job_id = asked.job_id
        self.instance = asked.instance
        self.epoch = asked.epoch
        self.peer = peer
        self.state = TargetState.UNKNOWN
        self.record = TargetRecord(asked.source_store, row)
        self.wake_at: float | None = None
        self.flow = asked.flow
        self.asked = asked
        self._asked_bytes = _weight(asked)
        self._store_id = store_id
        self._patience = patience
        self._pause = patience.resend
        self._ready = False
        self._there: list[tuple[str, int]] = []
        self._stream = IncomingStream()
        self._routines: frozenset[str] = frozenset()
        self._flow_digest = ""
        self._rows = asked.size - sum(size for _, size in asked.blobs)
        self._staged = 0
        """About how many bytes the rows that came take in the store."""
        self._part = bytearray()
        self._origins: set[int] = set()
        self._last: Final | None = None
        self._final = b""
        self._recovered = False
        """Whether this host was down since PREPARED: an operator may have ended the doubt over there."""
        self._told = False
        """Whether nobody waits for STARTED (any more)."""
        self.credit = WINDOW_BYTES
        """Bytes that this host takes beyond what it has."""
        self._deadline: float | None = None

    @property
    def held_bytes(self) -> int:
        """About how much of what the source sent is in memory, and not on disk."""
        return self._asked_bytes + len(self._part)

    @classmethod
    def recover(cls, row: HandoffRow, store_id: str, patience: Patience) -> TargetHandoff:
        """Go on after a restart: PREPARED is in doubt until the source answers, OWNED until it knows.

        Args:
            row: its record, with what ended the copy.
            store_id: of this host.
            patience: how long is waited.
        """
        record = decode_record(row)
        asked = Preflight(
            row.m, row.job_id, row.instance, row.epoch, record.source_store, b"", "", [], 0
        )
        machine = cls(asked, row.peer, store_id, patience)
        machine.state = TargetState(row.state)
        machine.record = record
        machine._recovered = True
        machine._told = machine.state is TargetState.OWNED
        machine._final = row.final or b""
        machine.wake_at = 0.0
        return machine

    def begin(self, facts: TargetFacts, now: float) -> list[Effect]:
        """Answer the PREFLIGHT: refuse it, or have the code looked at."""
        asked = self.asked
        against = vetoes(asked, facts)
        read = decoded_flow(asked)
        if isinstance(read, str):
            against.append((ProtocolViolation.__name__, read))
        if against or isinstance(read, str):
            return [Send(HandoffRefused(self.m, *joined(against))), Ended()]
        flow, self._flow_digest = read
        self._routines = frozenset(routine.id for routine in flow.routines)
        self._go(TargetStep.PREFLIGHT)
        self._deadline = now + 2 * self._patience.preflight
        self.wake_at = self._deadline
        return [
            Persist(self._row(None)),
            Inspect(asked.flow, asked.code, asked.files, asked.allow_code_drift),
        ]

    def step(self, happening: Happening, now: float) -> list[Effect]:
        """Let something happen.

        Args:
            happening: a message of the source or news of the supervisor.
            now: monotonic seconds.

        Returns:
            What the supervisor is to do, in order.
        """
        match happening:
            case Preflight():
                return [Send(PreflightReady(self.m, self._there))] if self._ready else []
            case InspectionDone():
                return self._inspected(happening, now)
            case Chunk():
                return self._chunk(happening, now)
            case Waiting():
                return self._wait(now)
            case Offer():
                return self._offer(happening, now)
            case Commit():
                return self._commit(happening, now)
            case Resolved():
                return self._accept()
            case Abort():
                return self._drop()
            case Activated():
                return self._activated(happening)
            case Measured():
                figures = RecordFigures(self.epoch + 1, happening.phases_ms, happening.downtime_ms)
                return [figures, *self._confirm(), Ended()]
            case Closed():
                return [*self._confirm(), *([Ended()] if self._told else [])]
            case Superseded():
                return self._give_up(happening)
            case Tick() | LinkBack():
                return self._tick(now, forced=isinstance(happening, LinkBack))
            case _:
                return []

    def _go(self, step: TargetStep) -> bool:
        following = next_target(self.state, step)
        if following is None:
            return False
        self.state = following
        return True

    def _row(self, final: bytes | None) -> HandoffRow:
        return HandoffRow(
            self.m, ROLE, self.state.value, self.job_id, self.instance, self.epoch, self.peer,
            msgspec.msgpack.encode(self.record), final,
        )

    def _refuse(self, kind: str, message: str) -> list[Effect]:
        return [Send(HandoffRefused(self.m, kind, message)), *self._drop()]

    def cannot_keep(self, error: SojournError) -> list[Effect]:
        """This host couldn't take what the job needs: refuse it, before PREPARED is sent."""
        return self._refuse(*to_wire(error))

    def _drop(self) -> list[Effect]:
        if not self._go(TargetStep.ABORTED):
            return []
        self.wake_at = None
        return [Discard(), Erase(ROLE, self.m), Ended()]

    def _inspected(self, done: InspectionDone, now: float) -> list[Effect]:
        if self.state is not TargetState.STAGING:
            return []
        if done.kind:
            known = (AccessDenied.__name__, CodeNotLoadable.__name__)
            kind = done.kind if done.kind in known else CodeNotLoadable.__name__
            return self._refuse(kind, done.message)
        self._ready = True
        self._there = done.blobs
        # What it was asked with is looked at, and the store has the flow.
        self.flow = b""
        self.asked = msgspec.structs.replace(self.asked, flow=b"", files=[], blobs=[])
        self._asked_bytes = _weight(self.asked)
        self._deadline = now + 2 * self._patience.offer
        self.wake_at = self._deadline
        return [Reserve(self._to_come()), Send(PreflightReady(self.m, self._there))]

    def _to_come(self) -> int:
        """Tell for how many bytes of rows there must be room: none is asked for once the job is frozen."""
        return max(0, self._rows - self._staged) + ROOM_TO_SPARE

    # --- the copy ---------------------------------------------------------------------------------

    def _chunk(self, chunk: Chunk, now: float) -> list[Effect]:
        if self.state is not TargetState.STAGING or not self._ready:
            return []
        stream = self._stream
        try:
            piece = stream.take(chunk)
        except ValueError as error:
            return self._refuse(ProtocolViolation.__name__, str(error))
        if piece is None:
            return [Send(self._credit())]
        if stream.size > LARGEST_IMAGE:
            return self._refuse(HostUnable.__name__, "the job is larger than any may be")
        self._deadline = now + 2 * self._patience.offer
        self.wake_at = self._deadline
        if piece.blob is not None:
            if not is_digest(piece.blob):
                return self._refuse(ProtocolViolation.__name__, "it names a blob that can't be one")
            return [KeepPiece(piece), Send(self._credit())]
        self._part += piece.data
        if len(self._part) > LARGEST_PART:
            return self._refuse(HostUnable.__name__, "a part of the job is larger than any may be")
        if not piece.last:
            return [Send(self._credit())]
        data = bytes(self._part)
        self._part.clear()
        return self._stage(data)

    def _wait(self, now: float) -> list[Effect]:
        """The source is there, though it has nothing to send."""
        if self.state is not TargetState.STAGING or not self._ready:
            return []
        self._deadline = now + 2 * self._patience.offer
        self.wake_at = self._deadline
        return [Send(self._credit())]

    def _stage(self, data: bytes) -> list[Effect]:
        try:
            part = decode_part(data)
        except msgspec.DecodeError as error:
            return self._refuse(ProtocolViolation.__name__, f"what came is no part of a job: {error}")
        problem = problem_of(part, self._routines, self._origins)
        if problem is None and self._last is not None:
            problem = "more came behind the end of the copy"
        if problem is not None:
            return self._refuse(ProtocolViolation.__name__, problem)
        self._origins.update(part.origins)
        self._last = part.final
        size = weight(part, len(data))
        self._staged += size
        left = self._to_come()
        # What was kept for this part is given back just before it is written: the write finds its room.
        return [Reserve(left + size), Reserve(left), StagePart(part), Send(self._credit())]

    def _credit(self) -> Credit:
        return Credit(self.m, self._stream.next, self.credit)

    def _offer(self, offer: Offer, now: float) -> list[Effect]:
        if self.state is TargetState.PREPARED and offer.digest == self.record.digest:
            return [Send(self._prepared())]
        if self.state is not TargetState.STAGING or offer.chunks != self._stream.next:
            return [Send(self._credit())]
        if self._stream.digest() != offer.digest:
            return self._refuse(
                HandoffAborted.__name__, "the image arrived damaged: its digest doesn't match"
            )
        last = self._last
        if last is None or self._part:
            return self._refuse(ProtocolViolation.__name__, "the image was offered before it was whole")
        head = last.head
        if (head.job_id, head.instance, head.epoch) != (offer.job_id, offer.instance, offer.epoch) or (
            (self.job_id, self.instance, self.epoch) != (offer.job_id, offer.instance, offer.epoch)
        ):
            return self._refuse(
                ProtocolViolation.__name__, "the image holds another job than the offer"
            )
        if head.flow_digest != self._flow_digest:
            return self._refuse(
                ProtocolViolation.__name__, "the image's flow is another one than its digest says"
            )
        self._go(TargetStep.OFFER)
        self.record.digest = offer.digest
        self.record.size = offer.size
        self._final = encode_final(last)
        self.wake_at = now + self._patience.offer
        return [
            RequireBlobs(), Persist(self._row(self._final)), Send(self._prepared()),
        ]

    def _prepared(self) -> Prepared:
        return Prepared(self.m, self.record.digest, self._store_id, self.record.source_store)

    # --- the decision -----------------------------------------------------------------------------

    def _commit(self, commit: Commit, now: float) -> list[Effect]:
        if self.state is TargetState.OWNED:
            return [Send(self._ack())]
        if commit.epoch != self.epoch or not self._go(TargetStep.COMMIT):
            return []
        self._pause = self._patience.resend
        self.wake_at = now + self._pause
        final, self._final = self._final, b""
        return [
            Persist(self._row(None)),
            # A COMMIT that waited on the way is older than what an operator did while this host was down.
            OwnJob(final, self.epoch + 1, self.record.size, certain=not self._recovered),
            Send(self._ack()),
            Activate(),
        ]

    def _accept(self) -> list[Effect]:
        """By force of an operator, who says that the source is gone for good."""
        if self.state is TargetState.OWNED and self.wake_at is not None:
            return [*self._confirm(), Ended()]
        if not self._go(TargetStep.ACCEPT):
            return []
        self.wake_at = None
        self._told = True
        final, self._final = self._final, b""
        return [
            OwnJob(final, self.epoch + 2, self.record.size),
            Erase(ROLE, self.m, "confirmed"),
            Activate(),
        ]

    def _ack(self) -> Ack:
        return Ack(self.m, self.epoch + 1, self.record.source_store)

    def _confirm(self) -> list[Effect]:
        """The source knows: its record is closed, so that it can never take the job back."""
        if self.state is not TargetState.OWNED:
            return []
        self.wake_at = None
        return [Erase(ROLE, self.m, "confirmed"), Confirmed()]

    def _give_up(self, superseded: Superseded) -> list[Effect]:
        if not self._go(TargetStep.SUPERSEDED):
            return []
        self.wake_at = None
        return [GiveUpJob(superseded.epoch), Erase(ROLE, self.m), Ended()]

    def _activated(self, activated: Activated) -> list[Effect]:
        if self.state is not TargetState.OWNED or self._told:
            return []
        return [Send(ActorsStarted(self.m, activated.milliseconds))]

    def _tick(self, now: float, *, forced: bool) -> list[Effect]:
        if not forced and (self.wake_at is None or now < self.wake_at):
            return []
        if self.state is TargetState.STAGING:
            # a source that restarted, or whose ABORT got lost, would be refused until the deadline
            return [Send(self._query())] if forced else self._drop()
        if self.state not in (TargetState.PREPARED, TargetState.OWNED) or self.wake_at is None:
            self.wake_at = None
            return []
        self._pause = min(self._pause * 2, self._patience.longest)
        self.wake_at = now + self._pause
        if self.state is TargetState.OWNED:
            return [Send(self._ack())]
        return [Send(self._query())]

    def _query(self) -> Query:
        return Query(self.m, self.job_id, self.instance, self.epoch, self.record.source_store)
