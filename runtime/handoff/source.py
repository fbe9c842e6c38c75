"""The source of a hand-off, coordinator of the two-phase commit: alone until RELEASED is on disk.

While the job runs it is copied under the target's credit, pass after pass, until little is left; then it
is frozen, the rest follows, and the OFFER ends the copy.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from sojourn.runtime.errors import AccessDenied, HandoffAborted, HandoffInDoubt, Refused
from sojourn.runtime.handoff.convergence import Convergence, CopyFigures, Verdict
from sojourn.runtime.handoff.effects import (
    Cancelled,
    Conflict,
    Effect,
    Ended,
    Erase,
    Failed,
    Finished,
    Happening,
    JobEnded,
    LinkBack,
    MarkGone,
    NeedFile,
    NeedParts,
    PartsReady,
    Persist,
    PhaseReached,
    Quiet,
    ReclaimJob,
    ReleaseJob,
    Resolved,
    Send,
    StartCopy,
    StartFreeze,
    Thaw,
    Tick,
)
from sojourn.runtime.handoff.stream import OutgoingStream
from sojourn.runtime.handoff.table import SourceState, SourceStep, next_source
from sojourn.runtime.job import HandoffFigures, HandoffRow
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    ActorsStarted,
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
    Unknown,
    Waiting,
)

ROLE = "source"
TWO_OWNERS = "TwoOwners"


def is_refusal(kind: str) -> bool:
    """Whether what a target says against a hand-off is about a state, not about what that host can."""
    return kind in (Refused.__name__, AccessDenied.__name__)


class Patience(msgspec.Struct, frozen=True):
    """How long is waited, in seconds.

    Attributes:
        preflight: for READY; the target may have to import the code first.
        offer: for news of the target while it is sent something.
        commit: for ACK, before whoever asked is told that the hand-off is in doubt.
        started: for STARTED, before the downtime is given up as unknown.
        resend: until a message is repeated; doubles up to ``longest``.
        longest: between two repetitions.
    """

    preflight: float = 70.0
    offer: float = 30.0
    commit: float = 10.0
    started: float = 10.0
    resend: float = 0.25
    longest: float = 5.0


class SourceRecord(msgspec.Struct):
    """What of this side is durable, from RELEASED on.

    Attributes:
        job: row of the job.
        source_host: this host.
        digest: over the parts that were offered.
        size: bytes of what travelled.
        target_store: store that may own it.
        file: whether the image went into a file.
        path: that file; it has this name once the release is on disk.
    """

    job: int
    source_host: str
    digest: str
    size: int
    target_store: str
    file: bool = False
    path: str = ""


class SourceHandoff:
    """One hand-off, seen from the host that gives the job away.

    Args:
        preflight: what the target is asked; it names the hand-off.
        record: what will be durable.
        peer: the target.
        grace: seconds that turns in flight get; None for their routines' own.
        patience: how long is waited.
        max_downtime: seconds that the job may be frozen for; None for no bound.
    """

    def __init__(
        self, preflight: Preflight, record: SourceRecord, peer: str, grace: float | None,
        patience: Patience, *, max_downtime: float | None = None,
    ) -> None:
        self.m = preflight.m
        self.job_id = preflight.job_id
        self.instance = preflight.instance
        self.epoch = preflight.epoch
        self.peer = peer
        self.record = record
        self.state = SourceState.OWNED
        self.wake_at: float | None = None
        self._preflight = preflight
        self._grace = grace
        self._patience = patience
        self._stream = OutgoingStream(preflight.m)
        self._convergence = Convergence(max_downtime)
        self._figures_of_copy = CopyFigures()
        self._copying = False
        self._pass_begins = False
        """Whether the next pieces are all that changed since everything before them was acknowledged."""
        self._left = 0
        self._version = 0
        self._offer: Offer | None = None
        self._deadline = 0.0
        self._pause = patience.resend
        self._told = False
        self._begun = 0.0
        self._frozen_from = 0.0
        self._marks: dict[str, float] = {}

    @classmethod
    def recover(cls, row: HandoffRow, patience: Patience) -> SourceHandoff:
        """Go on with a hand-off that was past its commit point when the host went down.

        Args:
            row: its record, RELEASED.
            patience: how long is waited.
        """
        record = msgspec.msgpack.decode(row.record, type=SourceRecord)
        preflight = Preflight(row.m, row.job_id, row.instance, row.epoch, "", b"", "", [], 0)
        machine = cls(preflight, record, row.peer, None, patience)
        machine.state = SourceState.RELEASED
        machine._told = True
        machine.wake_at = 0.0
        return machine

    def step(self, happening: Happening | None, now: float) -> list[Effect]:
        """Let something happen.

        Args:
            happening: a message of the target or news of the supervisor; None to begin.
            now: monotonic seconds.

        Returns:
            What the supervisor is to do, in order.
        """
        match happening:
            case None:
                return self._begin(now)
            case PreflightReady():
                return self._ready(happening, now)
            case HandoffRefused():
                return self._refused(happening)
            case Quiet():
                return self._quiet(happening, now)
            case PartsReady():
                return self._parts(happening, now)
            case Credit():
                return self._credit(happening, now)
            case Prepared():
                return self._prepared(happening, now)
            case Ack():
                return self._acknowledged(now)
            case Resolved():
                return self._reclaim()
            case ActorsStarted():
                return self._started(happening, now)
            case Query():
                return [Send(self._commit())] if self._past_commit() else []
            case Unknown():
                return self._unknown(happening)
            case Cancelled():
                return self._abort(happening.reason, HandoffAborted.__name__)
            case JobEnded():
                return self._abort(f"the job is {happening.status}", HandoffAborted.__name__)
            case Tick():
                return self._tick(now)
            case LinkBack():
                return self._repeat(now)
            case _:
                return []

    def blobs_in_question(self) -> list[str]:
        """Give the blobs that were sent to their end, and that the target hasn't said it has."""
        return [chunk.blob for chunk in self._stream.repeat() if chunk.blob is not None and chunk.last]

    def begin_file(self, now: float) -> list[Effect]:
        """Begin a hand-off through a file: nobody is asked before the freeze."""
        self._begun = now
        self._go(SourceStep.ASKED)
        return self._freeze(now)

    def release_to_file(self, now: float) -> list[Effect]:
        """Pass the commit point with a file that is on disk, instead of a target's PREPARED."""
        if not self._go(SourceStep.WRITTEN):
            return []
        self._told = True
        self.wake_at = now + self._patience.longest
        return [Persist(self._row()), ReleaseJob()]

    def _go(self, step: SourceStep) -> bool:
        following = next_source(self.state, step)
        if following is None:
            return False
        self.state = following
        return True

    def _past_commit(self) -> bool:
        return self.state in (SourceState.RELEASED, SourceState.GONE)

    # --- up to the commit point -----------------------------------------------------------------

    def _begin(self, now: float) -> list[Effect]:
        self._go(SourceStep.ASKED)
        self._begun = now
        self._deadline = now + self._patience.preflight
        self._again(now)
        return [Persist(self._row()), Send(self._preflight), PhaseReached("precopy")]

    def _ready(self, ready: PreflightReady, now: float) -> list[Effect]:
        if self._copying or not self._go(SourceStep.READY):
            return []
        self._copying = True
        self._pass_begins = True
        self._pause = self._patience.resend
        self._deadline = now + self._patience.offer
        self._again(now)
        return [StartCopy(ready.blobs), NeedParts(self._stream.room, False)]

    def _parts(self, ready: PartsReady, now: float) -> list[Effect]:
        """Send what was read; at the begin of a pass, judge whether to freeze."""
        if not self._copying or self._past_commit() or self.state is SourceState.OWNED:
            return []
        stream = self._stream
        effects: list[Effect] = [Send(chunk) for chunk in stream.add(ready.pieces)]
        self._left = ready.left
        if effects:
            self._figures_of_copy.sent(now)
            self._again(now)
        if ready.final:
            effects.append(Send(self._make_offer()))
            self._again(now)
        elif self.state is SourceState.PRECOPY and self._pass_begins:
            self._pass_begins = False
            effects.extend(self._judge(ready, now))
        return effects

    def _judge(self, ready: PartsReady, now: float) -> list[Effect]:
        figures = self._figures_of_copy
        left = sum(len(piece.data) for piece in ready.pieces) + ready.left
        verdict = self._convergence.passed(
            left, figures.rate(self._stream.bytes_acked, now), figures.round_trip
        )
        match verdict:
            case Verdict.AGAIN:
                return [self._news()]
            case Verdict.FREEZE:
                return self._freeze(now)
            case Verdict.GIVE_UP:
                return self._abort(
                    "the pre-copy doesn't converge: the job changes faster than it is copied, and the "
                    f"freeze would take about {self._convergence.estimate * 1000:.0f} ms; move it without "
                    "--max-downtime, or with a larger one",
                    HandoffAborted.__name__,
                )
            case _:
                assert_never(verdict)

    def _credit(self, credit: Credit, now: float) -> list[Effect]:
        if not self._copying or self._past_commit():
            return []
        stream = self._stream
        if stream.credited(credit):
            self._figures_of_copy.acked(now)
            self._pause = self._patience.resend
            self._deadline = now + self._patience.offer
            if not stream.empty:
                self._again(now)
        if self._offer is not None or not stream.room:
            return []
        frozen = self.state is SourceState.FROZEN
        if self._left or frozen or (stream.empty and self.state is SourceState.PRECOPY):
            self._pass_begins = self._pass_begins or not self._left
            return [self._news(), NeedParts(stream.room, frozen)]
        return []

    def _news(self) -> PhaseReached:
        stream = self._stream
        phase = "precopy" if self.state is SourceState.PRECOPY else "delta"
        return PhaseReached(phase, stream.bytes_acked, stream.bytes_sent + self._left)

    def _freeze(self, now: float) -> list[Effect]:
        if not self._go(SourceStep.COPIED):
            return []
        self._marks["precopy"] = now - self._begun
        self._frozen_from = now
        self._again(now)
        return [PhaseReached("freeze"), StartFreeze(self._grace)]

    def _quiet(self, quiet: Quiet, now: float) -> list[Effect]:
        if not self._go(SourceStep.QUIET):
            return []
        entered = self._frozen_from
        self._frozen_from = max(entered, quiet.last_ended)
        self._marks["freeze"] = now - entered
        self._marks["frozen_at"] = now
        self._deadline = now + self._patience.offer
        self._again(now)
        self._version = quiet.version
        if self.record.file:
            return [NeedFile()]
        return [NeedParts(self._stream.room, True)] if self._stream.room else []

    def _make_offer(self) -> Offer:
        """The last part is in the stream: what is offered is whole."""
        stream = self._stream
        self.record.size = stream.bytes_sent
        self.record.digest = stream.digest()
        self._offer = Offer(
            self.m, self.job_id, self.instance, self.epoch, self._version, self.record.digest,
            self._preflight.source_store, stream.count, stream.bytes_sent,
        )
        return self._offer

    def _prepared(self, prepared: Prepared, now: float) -> list[Effect]:
        if self._past_commit():
            return [Send(self._commit())]
        if self._offer is None or prepared.digest != self.record.digest:
            return []
        if not self._go(SourceStep.PREPARED):
            return []
        self._marks["delta"] = now - self._marks["frozen_at"]
        self._marks["released_at"] = now
        self.record.target_store = prepared.target_store
        self._stream.close()
        self._deadline = now + self._patience.commit
        self._pause = self._patience.resend
        self._again(now)
        return [
            Persist(self._row()), ReleaseJob(), Send(self._commit()), PhaseReached("commit"),
        ]

    def _refused(self, refused: HandoffRefused) -> list[Effect]:
        kind = refused.kind if is_refusal(refused.kind) else HandoffAborted.__name__
        effects = self._abort(refused.message, kind)
        if effects and refused.kind == TWO_OWNERS:
            effects.append(Conflict(refused.message))
        return effects

    def _abort(self, reason: str, kind: str) -> list[Effect]:
        if not self._go(SourceStep.ABORTED):
            return []
        self.wake_at = None
        # Once it was offered, the target may be PREPARED and be told by force that it owns the job: the
        # record stays, so that this host asks before it runs the job after a crash.
        forget = [] if self._offer is not None else [Erase(ROLE, self.m, "aborted")]
        return [
            *forget,
            Send(Abort(self.m, reason)),
            Thaw(),
            Failed(
                kind,
                f"job {self.job_id} stays on host {self.record.source_host!r} and goes on there: "
                f"{reason}",
            ),
            Ended(),
        ]

    # --- past the commit point ------------------------------------------------------------------

    def _row(self) -> HandoffRow:
        return HandoffRow(
            self.m, ROLE, self.state.value, self.job_id, self.instance, self.epoch, self.peer,
            msgspec.msgpack.encode(self.record),
        )

    def _commit(self) -> Commit:
        return Commit(self.m, self.job_id, self.instance, self.epoch)

    def _acknowledged(self, now: float) -> list[Effect]:
        if self.state is SourceState.GONE:
            return [Send(Closed(self.m))]
        if not self._go(SourceStep.ACKNOWLEDGED):
            return []
        if "released_at" in self._marks:
            self._marks["commit"] = now - self._marks["released_at"]
            self._marks["acked_at"] = now
        effects: list[Effect] = [Persist(self._row()), MarkGone(), PhaseReached("activate")]
        if self._told:
            self.wake_at = None
            return [*effects, Send(Closed(self.m)), Ended()]
        self._deadline = now + self._patience.started
        self.wake_at = self._deadline
        return effects

    def _started(self, started: ActorsStarted, now: float) -> list[Effect]:
        if self.state is not SourceState.GONE or self._told:
            return []
        self._told = True
        self.wake_at = None
        names = ("precopy", "freeze", "delta", "commit")
        phases = {name: round(self._marks.get(name, 0.0) * 1000, 3) for name in names}
        phases["activate"] = round(started.activate_ms, 3)
        downtime = round((now - self._frozen_from) * 1000, 3)
        return [
            Send(Measured(self.m, phases, downtime)), Finished(self._figures(phases, downtime)),
            Ended(),
        ]

    def _figures(
        self, phases: dict[str, float] | None, downtime: float | None
    ) -> HandoffFigures:
        return HandoffFigures(
            self.record.source_host, self.peer, self.epoch + 1, self.record.size, phases, downtime
        )

    def _reclaim(self) -> list[Effect]:
        """By force of an operator, who says that the target is gone for good."""
        if not self._go(SourceStep.RECLAIM):
            return []
        self.wake_at = None
        return [Persist(self._row()), ReclaimJob(self.epoch + 2), Ended()]

    def _unknown(self, unknown: Unknown) -> list[Effect]:
        if self.state is not SourceState.RELEASED or self.record.file or self._told:
            return []
        return self._doubt(f"its store {unknown.target_store} doesn't know the hand-off")

    def _doubt(self, why: str) -> list[Effect]:
        self._told = True
        return [
            Failed(
                HandoffInDoubt.__name__,
                f"job {self.job_id} was released to host {self.peer!r} and {why}: it goes on there as "
                f"soon as that host is back; if it never is, `sojourn handoff resolve {self.job_id}` "
                f"on host {self.record.source_host!r} ends the doubt",
            )
        ]

    # --- time -------------------------------------------------------------------------------------

    def _again(self, now: float) -> None:
        self.wake_at = now + self._pause

    def _tick(self, now: float) -> list[Effect]:
        if self.wake_at is None or now < self.wake_at:
            return []
        if self.state is SourceState.GONE:
            self._told = True
            self.wake_at = None
            return [Finished(self._figures(None, None)), Ended()]
        if self.state in (SourceState.PRECOPY, SourceState.FROZEN) and now >= self._deadline:
            return self._abort(
                f"host {self.peer!r} didn't answer in time", HandoffAborted.__name__
            )
        effects: list[Effect] = []
        if self.state is SourceState.RELEASED and not self._told and now >= self._deadline:
            effects = self._doubt("hasn't acknowledged it")
        self._pause = min(self._pause * 2, self._patience.longest)
        return [*effects, *self._repeat(now)]

    def _repeat(self, now: float) -> list[Effect]:
        """Send again what may have been lost."""
        self._again(now)
        match self.state:
            case SourceState.PRECOPY if not self._copying:
                return [Send(self._preflight)]
            case SourceState.PRECOPY | SourceState.FREEZING | SourceState.FROZEN:
                effects: list[Effect] = [Send(chunk) for chunk in self._stream.repeat()]
                if self._offer is not None:
                    effects.append(Send(self._offer))
                return effects or [Send(Waiting(self.m))]
            case SourceState.RELEASED:
                return [Send(self._commit())]
            case SourceState.GONE:
                self.wake_at = self._deadline
            case SourceState.OWNED | SourceState.RECLAIMED:
                self.wake_at = None
        return []
