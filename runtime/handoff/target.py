"""The target of a hand-off: casts every veto before PREPARED, and never runs a job before COMMIT."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec

from sojourn.runtime.errors import (
    AccessDenied,
    CodeNotLoadable,
    HandoffAborted,
    HostUnable,
    ProtocolViolation,
    Refused,
    ValueMalformed,
)
from sojourn.runtime.flow import decode_flow
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.handoff.effects import (
    Activate,
    Activated,
    Effect,
    Ended,
    Erase,
    Happening,
    Inspect,
    InspectionDone,
    KeepBlob,
    LinkBack,
    OwnJob,
    Persist,
    RecordFigures,
    Reserve,
    Send,
    Tick,
)
from sojourn.runtime.handoff.source import TWO_OWNERS, Patience
from sojourn.runtime.handoff.table import TargetState, TargetStep, next_target
from sojourn.runtime.job import HandoffRow, JobImage
from sojourn.runtime.wire.decoding import FrameDecoder
from sojourn.runtime.wire.handoff import (
    WINDOW_BYTES,
    Abort,
    Ack,
    ActorsStarted,
    Chunk,
    Commit,
    Credit,
    HandoffRefused,
    Measured,
    Offer,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
)

ROLE = "target"
LARGEST_IMAGE = 1 << 33
"""Bytes of an image with its blobs."""

LARGEST_RECORD = 900_000_000
"""Bytes of an image without its blobs: it must fit into one field of a store (SQLite: 10**9)."""

_IMAGE = FrameDecoder(msgspec.msgpack.Decoder(JobImage))
LARGEST_NUMBER = 1 << 53
"""Above any number that a job comes to; stores hold no more than 64 bits."""


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
        free_bytes: room on the disk of the home.
    """

    host: str
    known_instance: str | None = None
    known_epoch: int = 0
    owns: bool = False
    forgotten: bool = False
    arriving: str | None = None
    stopping: bool = False
    free_bytes: int = 1 << 62


class TargetRecord(msgspec.Struct):
    """What of this side is durable from STAGING on."""

    source_store: str
    digest: str = ""
    size: int = 0


def veto(asked: Preflight, facts: TargetFacts) -> tuple[str, str] | None:
    """Give (kind, sentence) of why this host won't take a job; None if nothing speaks against it."""
    host = facts.host
    job = asked.job_id
    if facts.stopping:
        return Refused.__name__, f"host {host!r} is going down"
    if facts.arriving is not None and facts.arriving != asked.m:
        return Refused.__name__, f"job {job} is arriving at host {host!r} by another hand-off already"
    if facts.known_instance is not None and facts.known_instance != asked.instance:
        return Refused.__name__, f"host {host!r} has another job under the id {job}"
    if facts.owns:
        if facts.known_epoch == asked.epoch:
            return TWO_OWNERS, (
                f"two owners: host {host!r} holds job {job} at the same epoch {asked.epoch}; "
                f"`sojourn handoff resolve {job}` on the host that shall give it up ends that"
            )
        return Refused.__name__, f"host {host!r} owns job {job} at epoch {facts.known_epoch}"
    if not 0 < asked.epoch < LARGEST_NUMBER or not 0 <= asked.size < LARGEST_IMAGE:
        return ProtocolViolation.__name__, f"the offer of job {job} holds numbers that can't be"
    if asked.epoch + 1 <= facts.known_epoch:
        return Refused.__name__, (
            f"host {host!r} knows job {job} at epoch {facts.known_epoch}, the offer's is {asked.epoch}"
        )
    if asked.size * 2 > facts.free_bytes:
        return HostUnable.__name__, f"the disk of host {host!r} has no room for job {job}"
    return None


class TargetHandoff:
    """One hand-off, seen from the host that takes the job.

    Args:
        asked: the source's PREFLIGHT.
        peer: the source.
        store_id: of this host.
        patience: how long is waited.
    """

    def __init__(self, asked: Preflight, peer: str, store_id: str, patience: Patience) -> None:
        self.m = asked.m
        self.job_id = asked.job_id
        self.instance = asked.instance
        self.epoch = asked.epoch
        self.peer = peer
        self.state = TargetState.UNKNOWN
        self.record = TargetRecord(asked.source_store)
        self.wake_at: float | None = None
        self.flow = asked.flow
        self.asked = asked
        self._store_id = store_id
        self._patience = patience
        self._pause = patience.resend
        self._ready = False
        self._next = 0
        self._held = 0
        self._image = bytearray()
        self._blobs: dict[str, bytearray] = {}
        self._prepared_image = b""
        self._deadline: float | None = None

    @classmethod
    def recover(cls, row: HandoffRow, store_id: str, patience: Patience) -> TargetHandoff:
        """Go on with a PREPARED hand-off after a restart: in doubt until the source answers.

        Args:
            row: its record, with the image.
            store_id: of this host.
            patience: how long is waited.
        """
        record = msgspec.msgpack.decode(row.record, type=TargetRecord)
        asked = Preflight(
            row.m, row.job_id, row.instance, row.epoch, record.source_store, b"", "", [], 0
        )
        machine = cls(asked, row.peer, store_id, patience)
        machine.state = TargetState.PREPARED
        machine.record = record
        machine._prepared_image = row.image or b""
        machine.wake_at = 0.0
        return machine

    def begin(self, facts: TargetFacts, now: float) -> list[Effect]:
        """Answer the PREFLIGHT: refuse it, or have the code looked at."""
        against = veto(self.asked, facts)
        if against is not None:
            return [Send(HandoffRefused(self.m, *against)), Ended()]
        self._go(TargetStep.PREFLIGHT)
        self._deadline = now + 2 * self._patience.preflight
        self.wake_at = self._deadline
        asked = self.asked
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
                return [Send(PreflightReady(self.m))] if self._ready else []
            case InspectionDone():
                return self._inspected(happening, now)
            case Chunk():
                return self._chunk(happening, now)
            case Offer():
                return self._offer(happening, now)
            case Commit():
                return self._commit(happening)
            case Abort():
                return self._drop()
            case Activated():
                return self._activated(happening)
            case Measured():
                return [
                    RecordFigures(self.epoch + 1, happening.phases_ms, happening.downtime_ms),
                    Ended(),
                ]
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

    def _row(self, image: bytes | None) -> HandoffRow:
        return HandoffRow(
            self.m, ROLE, self.state.value, self.job_id, self.instance, self.epoch, self.peer,
            msgspec.msgpack.encode(self.record), image,
        )

    def _refuse(self, kind: str, message: str) -> list[Effect]:
        return [Send(HandoffRefused(self.m, kind, message)), *self._drop()]

    def cannot_keep(self, message: str) -> list[Effect]:
        """This host's disk couldn't take what the job needs: refuse it, before PREPARED is sent."""
        return self._refuse(HostUnable.__name__, message)

    def _drop(self) -> list[Effect]:
        if not self._go(TargetStep.ABORTED):
            return []
        self.wake_at = None
        return [Erase(ROLE, self.m), Ended()]

    def _inspected(self, done: InspectionDone, now: float) -> list[Effect]:
        if self.state is not TargetState.STAGING:
            return []
        if done.kind:
            known = (AccessDenied.__name__, CodeNotLoadable.__name__)
            kind = done.kind if done.kind in known else CodeNotLoadable.__name__
            return self._refuse(kind, done.message)
        self._ready = True
        self._deadline = now + 2 * self._patience.offer
        self.wake_at = self._deadline
        return [Send(PreflightReady(self.m))]

    # --- the image --------------------------------------------------------------------------------

    def _chunk(self, chunk: Chunk, now: float) -> list[Effect]:
        if self.state is not TargetState.STAGING or not self._ready:
            return []
        if chunk.n == self._next:
            self._held += len(chunk.data)
            if self._held > LARGEST_IMAGE:
                return self._refuse(HostUnable.__name__, "the job is larger than any image may be")
            if chunk.blob is None:
                self._image += chunk.data
                if len(self._image) > LARGEST_RECORD:
                    return self._refuse(
                        HostUnable.__name__,
                        f"the state of the job has more than {LARGEST_RECORD} bytes beside its blobs",
                    )
            else:
                self._blobs.setdefault(chunk.blob, bytearray()).extend(chunk.data)
            self._next += 1
            self._deadline = now + 2 * self._patience.offer
            self.wake_at = self._deadline
        return [Send(Credit(self.m, self._next, WINDOW_BYTES))]

    def _offer(self, offer: Offer, now: float) -> list[Effect]:
        if self.state is TargetState.PREPARED and offer.digest == self.record.digest:
            return [Send(self._prepared())]
        if self.state is not TargetState.STAGING or offer.chunks != self._next:
            return [Send(Credit(self.m, self._next, WINDOW_BYTES))]
        image = bytes(self._image)
        if sha256(image).hexdigest() != offer.digest:
            return self._refuse(
                HandoffAborted.__name__, "the image arrived damaged: its digest doesn't match"
            )
        problem = check_image(image, offer)
        if problem is None:
            problem = next(
                (f"blob {name} arrived damaged" for name, data in self._blobs.items()
                 if sha256(data).hexdigest() != name),
                None,
            )
        if problem is not None:
            return self._refuse(ProtocolViolation.__name__, problem)
        self._go(TargetStep.OFFER)
        self.record.digest = offer.digest
        self.record.size = offer.size
        self._prepared_image = image
        self._image.clear()
        keeping = [KeepBlob(name, bytes(data)) for name, data in self._blobs.items()]
        self._blobs.clear()
        self.wake_at = now + self._patience.offer
        return [
            Reserve(len(image)), *keeping, Persist(self._row(image)), Send(self._prepared()),
        ]

    def _prepared(self) -> Prepared:
        return Prepared(self.m, self.record.digest, self._store_id, self.record.source_store)

    # --- the decision -----------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> list[Effect]:
        if self.state is TargetState.OWNED:
            return [Send(Ack(self.m, self.epoch + 1))]
        if commit.epoch != self.epoch or not self._go(TargetStep.COMMIT):
            return []
        self.wake_at = None
        image, self._prepared_image = self._prepared_image, b""
        return [
            Erase(ROLE, self.m),
            OwnJob(image, self.epoch + 1, self.record.size),
            Send(Ack(self.m, self.epoch + 1)),
            Activate(),
        ]

    def _activated(self, activated: Activated) -> list[Effect]:
        if self.state is not TargetState.OWNED:
            return []
        return [Send(ActorsStarted(self.m, activated.milliseconds))]

    def _tick(self, now: float, *, forced: bool) -> list[Effect]:
        if not forced and (self.wake_at is None or now < self.wake_at):
            return []
        if self.state is TargetState.STAGING:
            # a source that restarted, or whose ABORT got lost, would be refused until the deadline
            return [Send(self._query())] if forced else self._drop()
        if self.state is not TargetState.PREPARED:
            self.wake_at = None
            return []
        self._pause = min(self._pause * 2, self._patience.longest)
        self.wake_at = now + self._pause
        return [Send(self._query())]

    def _query(self) -> Query:
        return Query(self.m, self.job_id, self.instance, self.epoch, self.record.source_store)


def check_image(data: bytes, offer: Offer) -> str | None:
    """Tell what is wrong with an image; None if nothing is."""
    try:
        image = _IMAGE.decode(data)
    except msgspec.DecodeError as error:
        return f"the image is no job: {error}"
    head = image.head
    if (head.job_id, head.instance, head.epoch) != (offer.job_id, offer.instance, offer.epoch):
        return "the image holds another job than the offer"
    problem = _check_flow(image)
    if problem is not None:
        return problem
    if not all(0 <= number < LARGEST_NUMBER for number in _numbers(image)):
        return "the image holds numbers that no job comes to"
    missing = {row.origin for row in image.history} - image.origins.keys()
    if missing:
        return "the image's history points to hosts that it doesn't name"
    return None


def _check_flow(image: JobImage) -> str | None:
    try:
        flow = decode_flow(image.flow)
        digest = flow_digest(flow)
    except (msgspec.DecodeError, ValueMalformed) as error:
        return f"the image's flow doesn't decode: {error}"
    if digest != image.head.flow_digest:
        return "the image's flow is another one than its digest says"
    routines = {routine.id for routine in flow.routines}
    for rows in (image.messages, image.attributes, image.questions):
        for row in rows:
            if row.routine not in routines:
                return f"the image names a routine {row.routine!r} that its flow doesn't have"
    return None


def _numbers(image: JobImage) -> Iterator[int]:
    yield from (image.head.epoch, image.head.next_message, image.head.next_sequence)
    for message in image.messages:
        yield from (message.message, message.attempts, message.retry_count)
    for entry in image.history:
        yield from (entry.sequence, entry.message, entry.attempt, entry.retry_count, entry.origin)
    for line in image.logs:
        yield from (line.sequence, line.message, line.attempt)
    for question in image.questions:
        yield question.message
    for blob in image.blobs:
        yield blob.size
    for origin in image.origins.values():
        yield origin.epoch


def decode_image(data: bytes) -> JobImage:
    """Decode an image that was checked.

    Raises:
        msgspec.DecodeError: if it is none.
    """
    return _IMAGE.decode(data)
