"""The hand-offs towards this host: images assembled, jobs owned, actors brought up; files imported."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

import msgspec

from sojourn.hosts.peers.limits import LARGEST_FRAME
from sojourn.hosts.store.blobs import keep_blob
from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Core, ToPeer
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.held import HeldBlobs, seen_blobs
from sojourn.hosts.supervisor.journal import RoundLines
from sojourn.hosts.supervisor.keeping import Reservations
from sojourn.hosts.supervisor.resolving import OpenHandoff
from sojourn.hosts.supervisor.staging import Staging
from sojourn.runtime.engine.inputs import Adopt, Block, Whence
from sojourn.runtime.errors import (
    CodeNotLoadable,
    HandoffAborted,
    HostUnable,
    JobUnreadable,
    Refused,
    SojournError,
    to_wire,
)
from sojourn.runtime.export import Export, ReleaseTicket
from sojourn.runtime.flow import encode_flow
from sojourn.runtime.flow_document import flow_digest, read_flow
from sojourn.runtime.handoff import crowding, routing, strays
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff.claims import outdone
from sojourn.runtime.handoff.parts import decode_final
from sojourn.runtime.handoff.routing import Reception, ToTarget, arriving, facts_about
from sojourn.runtime.handoff.source import TWO_OWNERS, Patience
from sojourn.runtime.handoff.survey import code_drift
from sojourn.runtime.handoff.table import TargetState
from sojourn.runtime.handoff.target import ROLE, TargetFacts, TargetHandoff, decode_record
from sojourn.runtime.job import (
    HandoffFigures,
    HandoffRow,
    JobHead,
    JobImage,
    Ownership,
    PeerRow,
)
from sojourn.runtime.wire.handoff import (
    Abort,
    Ack,
    Chunk,
    Commit,
    Credit,
    HandoffRefused,
    Offer,
    Preflight,
    Waiting,
)
from sojourn.runtime.wire.survey import Code

START_PATIENCE = 15.0
"""Seconds that processes get to start before a hand-off is refused, or STARTED is sent without them."""

LOOK_EVERY = 16
"""Chunks after which it is seen whether there is room for more."""

KEPT = 60.0
"""Seconds that a finished hand-off waits for MEASURED."""


class Arrival(msgspec.Struct, eq=False):
    """A hand-off towards this host.

    Attributes:
        machine: its state.
        digest: of the job's flow.
        looking: what is here of its blobs is being looked for.
        preparing: monotonic deadline for its processes, before READY.
        activating: monotonic time at which the job was owned, until its actors are up.
        owned_at: the same, kept.
        staging: what came of it so far.
        unlooked: chunks since it was seen whether there is room.
        credit: an answer to what came in this round, given once.
    """

    machine: TargetHandoff
    staging: Staging
    unlooked: int = LOOK_EVERY
    digest: str = ""
    credit: Credit | None = None
    looking: HeldBlobs | None = None
    preparing: float | None = None
    activating: float | None = None
    owned_at: float | None = None


class Arrivals:
    """All hand-offs towards a host.

    Args:
        core: shared state.
        fleet: looks at code and starts processes.
        patience: how long is waited.
        contests: withholds what isn't certain.
        lines: tells of jobs in the log.
    """

    def __init__(
        self, core: Core, fleet: Fleet, patience: Patience, contests: Contests, lines: RoundLines
    ) -> None:
        self._core = core
        self._lines = lines
        self._contests = contests
        self._fleet = fleet
        self._patience = patience
        self._arrivals: dict[str, Arrival] = {}
        self._room = Reservations(core.home.reserved)
        self.erased: dict[str, str] = {}
        """Hand-offs whose record goes with the round under way, and why."""
        self.imported_now = False
        """Whether a released file's job is owned with it."""

    def forget_room(self, records: Iterable[HandoffRow]) -> None:
        """Give back the room of hand-offs that an earlier run left and of which there is no record."""
        self._room.keep_only({row.m for row in records if row.state == TargetState.PREPARED})

    def recover(self, row: HandoffRow) -> None:
        """Take up a record of an earlier run: PREPARED is in doubt, anything less is dropped."""
        core = self._core
        staged = decode_record(row).row
        core.reserve_row(staged)
        machine = routing.recover(row, core.store.store_id, self._patience)
        if not isinstance(machine, TargetHandoff):
            core.round.writes.handoffs_deleted.append((ROLE, row.m))
            core.round.writes.drop_rows(staged)
            return
        self._arrivals[row.m] = Arrival(machine, Staging(core, staged))
        if routing.waits_for_word(row, core.store.head(staged)):
            self._withhold(machine, {row.peer})

    def _withhold(self, machine: TargetHandoff, peers: set[str]) -> None:
        """The source may have taken the job back by force; the word of ``peers`` does as well as CLOSED."""
        self._contests.withhold(
            machine.record.row, machine.m, peers,
            f"host {machine.peer!r} hasn't confirmed yet that it gave the job to host "
            f"{self._core.host!r}: it goes on as soon as that host answers; if it never will, "
            f"`sojourn handoff resolve {machine.job_id} --force accept` ends the wait",
        )

    # --- messages -----------------------------------------------------------------------------------

    def received(self, peer: str, message: ToTarget) -> None:
        """Take in a message of a source."""
        arrival = self._arrivals.get(message.m)
        match routing.reception(message, peer, None if arrival is None else arrival.machine):
            case Reception.STEP:
                assert arrival is not None
                self._step(arrival, message)
                if isinstance(message, Chunk):
                    self._bound(arrival)
            case Reception.BEGIN:
                assert isinstance(message, Preflight)
                self._begin(peer, message)
            case Reception.STRAY:
                assert isinstance(message, (Commit, Offer, Chunk, Waiting))
                self._stray(peer, message)
            case Reception.NOTHING:
                pass

    def _bound(self, arrival: Arrival) -> None:
        """See that what arrives fits; what doesn't is refused."""
        machine = arrival.machine
        arrival.unlooked += 1
        if arrival.unlooked < LOOK_EVERY and not machine.held_bytes > LARGEST_FRAME:
            return
        arrival.unlooked = 0
        free = shutil.disk_usage(self._core.home.root).free
        problem = crowding.against_more(machine, self._machines(), self._core.host, free)
        if problem is not None and machine.state is TargetState.STAGING:
            self._core.log.error("hand-off refused", job=machine.job_id, reason=problem)
            arrival.staging.give_room_back()
            self._do(arrival, machine.cannot_keep(HostUnable(problem)))

    def _begin(self, peer: str, asked: Preflight) -> None:
        core = self._core
        crowded = crowding.against_another(peer, core.host, self._machines())
        if crowded is not None:
            core.send(ToPeer(peer, HandoffRefused(asked.m, Refused.__name__, crowded), f"{ROLE}.refused"))
            return
        try:
            facts = self.facts(asked)
        except JobUnreadable as error:
            refused = HandoffRefused(asked.m, *to_wire(error))
            core.send(ToPeer(peer, refused, f"{ROLE}.refused"))
            return
        row = core.staging_row()
        machine = TargetHandoff(asked, peer, core.store.store_id, self._patience, row)
        arrival = self._arrivals[asked.m] = Arrival(machine, Staging(core, row))
        self._lines.add("hand-off offered", job=asked.job_id, source=peer, m=asked.m)
        effects = machine.begin(facts, self._core.read_clocks().monotonic)
        for effect in effects:
            if isinstance(effect, fx.Send) and isinstance(effect.message, HandoffRefused):
                core.log.warning(
                    "hand-off refused", job=asked.job_id, source=peer, reason=effect.message.message
                )
                if effect.message.kind == TWO_OWNERS:
                    known = core.head(asked.job_id)
                    if known is not None and self._contests.concerns(peer, *known):
                        core.apply(Block(known[0], effect.message.message))
        self._do(arrival, effects)

    def facts(self, asked: Preflight) -> TargetFacts:
        """Gather what this host knows of a job that it is asked to take."""
        core = self._core
        known = core.head(asked.job_id)
        return facts_about(
            asked, None if known is None else known[1], self._machines(), core.host,
            stopping=core.stopping, cordoned=core.cordoned,
            free_bytes=shutil.disk_usage(core.home.root).free,
            held_bytes=sum(have for _, have in seen_blobs(core.home.blobs, asked.blobs)),
        )

    def _machines(self) -> list[TargetHandoff]:
        return [arrival.machine for arrival in self._arrivals.values()]

    def _stray(self, peer: str, message: Commit | Offer | Chunk | Waiting) -> None:
        core = self._core
        known = core.head(message.job_id) if isinstance(message, Commit) else None
        answer = strays.answer_at_target(
            message, None if known is None else known[1], core.store.store_id
        )
        core.send(ToPeer(peer, answer, f"{ROLE}.{answer.__struct_config__.tag}"))

    def link_back(self, peer: str) -> None:
        """The source can be reached again."""
        for arrival in list(self._arrivals.values()):
            if arrival.machine.peer == peer:
                self._step(arrival, fx.LinkBack())

    def tick(self, now: float) -> float | None:
        """Do what is due; give when to be called again (monotonic)."""
        times: list[float] = []
        for m, arrival in list(self._arrivals.items()):
            machine = arrival.machine
            if machine.wake_at is not None and machine.wake_at <= now:
                self._step(arrival, fx.Tick())
            settled = machine.wake_at is None
            if settled and arrival.owned_at is not None and now - arrival.owned_at > KEPT:
                del self._arrivals[m]
            elif machine.wake_at is not None and m in self._arrivals:
                times.append(machine.wake_at)
            if arrival.preparing is not None or arrival.activating is not None:
                times.append(now + 0.05)
            if arrival.looking is not None:
                times.append(now + 0.01)
        return min(times, default=None)

    def open_handoffs(self) -> list[OpenHandoff]:
        """Give the hand-offs that have a machine here."""
        return [
            OpenHandoff(
                m, a.machine.job_id, ROLE, a.machine.state.value, a.machine.peer, a.machine.epoch,
                a.machine.instance, a.machine.record.source_store, a.machine.record.row,
            )
            for m, a in self._arrivals.items()
            if a.machine.state in (TargetState.STAGING, TargetState.PREPARED)
            or (a.machine.state is TargetState.OWNED and a.machine.wake_at is not None)
        ]

    def resolve(self, m: str) -> None:
        """End a doubt by force."""
        arrival = self._arrivals.get(m)
        if arrival is not None:
            self._step(arrival, fx.Resolved())

    def part_with(self, peer: str, why: str) -> None:
        """Drop what a host has begun to hand over; what is in doubt stays."""
        for arrival in list(self._arrivals.values()):
            if arrival.machine.peer == peer and arrival.machine.state is TargetState.STAGING:
                self._step(arrival, Abort(arrival.machine.m, why))

    def refuse_undecided(self, why: str) -> None:
        """Refuse every hand-off that was promised nothing yet; what is PREPARED may come."""
        for arrival in list(self._arrivals.values()):
            if arrival.machine.state is TargetState.STAGING:
                self._do(arrival, arrival.machine.cannot_keep(Refused(why)))

    def describe(self) -> list[dict[str, Any]]:
        """List the hand-offs under way."""
        return [
            {
                "m": m, "role": ROLE, "job_id": a.machine.job_id, "state": a.machine.state.value,
                "peer": a.machine.peer,
            }
            for m, a in self._arrivals.items()
            if a.machine.state in (TargetState.STAGING, TargetState.PREPARED)
        ]

    # --- the supervisor's news --------------------------------------------------------------------------

    def loaded(self, answer: LoadAnswer) -> None:
        """The flow of an arriving job was looked at."""
        arrival = self._arrivals.get(str(answer.ticket))
        if arrival is None:
            return
        asked = arrival.machine.asked
        if answer.failed is not None:
            self._inspected(arrival, answer.failed.kind, answer.failed.message)
            return
        assert answer.inspected is not None
        if not asked.allow_code_drift:
            here = Code(answer.inspected.code, answer.inspected.files, answer.inspected.routines)
            drift = code_drift(Code(asked.code, asked.files), here, self._core.host)
            if drift is not None:
                self._inspected(arrival, CodeNotLoadable.__name__, drift)
                return
        if self._fleet.spares(crowding.MOST_SPARE):
            self._inspected(
                arrival, CodeNotLoadable.__name__,
                f"{crowding.MOST_SPARE} processes of host {self._core.host!r} wait for jobs that were to "
                "come already: move the job in a minute",
            )
            return
        self._fleet.prepare(arrival.digest)
        arrival.preparing = self._core.read_clocks().monotonic + START_PATIENCE
        self._look_at(arrival)  # its processes may be up already

    def _inspected(self, arrival: Arrival, kind: str, message: str) -> None:
        if kind:
            self._core.log.warning(
                "hand-off refused", job=arrival.machine.job_id, source=arrival.machine.peer,
                reason=message,
            )
            self._step(arrival, fx.InspectionDone(kind, message, []))
            return
        arrival.looking = HeldBlobs(
            self._core.home.blobs, arrival.machine.asked.blobs, self._core.beside
        )
        self._held(arrival)

    def _held(self, arrival: Arrival) -> None:
        """See whether it is known what is here of the job's blobs."""
        held = None if arrival.looking is None else arrival.looking.result()
        if held is not None:
            arrival.looking = None
            arrival.staging.told(held)
            self._step(arrival, fx.InspectionDone("", "", held))

    def look(self) -> None:
        """See whether what hand-offs wait for is there: what is held of their blobs, their processes."""
        for arrival in list(self._arrivals.values()):
            self._held(arrival)
            self._look_at(arrival)

    def _look_at(self, arrival: Arrival) -> None:
        """See whether the processes that a hand-off waits for are up."""
        now = self._core.read_clocks().monotonic
        if arrival.preparing is not None:
            if self._fleet.prepared(arrival.digest):
                arrival.preparing = None
                self._inspected(arrival, "", "")
            elif now > arrival.preparing:
                arrival.preparing = None
                self._inspected(
                    arrival, CodeNotLoadable.__name__,
                    f"the processes of its routines don't start on host {self._core.host!r}: see "
                    f"{self._core.home.log_file} there",
                )
            else:
                self._fleet.prepare(arrival.digest)
        if arrival.activating is None:
            return
        if self._fleet.prepared(arrival.digest) or now > arrival.activating + START_PATIENCE:
            since, arrival.activating = arrival.activating, None
            self._step(arrival, fx.Activated((now - since) * 1000))
        else:
            # those that were forked before COMMIT may have died, or this supervisor since PREPARED
            self._fleet.prepare(arrival.digest)

    # --- carrying out -----------------------------------------------------------------------------------

    def _step(self, arrival: Arrival, happening: fx.Happening) -> None:
        self._do(arrival, arrival.machine.step(happening, self._core.read_clocks().monotonic))

    def _do(self, arrival: Arrival, effects: Iterable[fx.Effect]) -> None:
        for effect in effects:
            try:
                self._do_one(arrival, effect)
            except (HostUnable, HandoffAborted) as error:
                self._unkept(arrival, error)
                return

    def _unkept(self, arrival: Arrival, error: HostUnable | HandoffAborted) -> None:
        """What a job needs can't be kept here: refuse it."""
        if isinstance(error, HostUnable):
            arrival.staging.give_room_back()
        self._core.log.error("hand-off refused", job=arrival.machine.job_id, reason=error.message)
        self._do(arrival, arrival.machine.cannot_keep(error))

    def _do_one(self, arrival: Arrival, effect: fx.Effect) -> None:
        core = self._core
        machine = arrival.machine
        writes = core.round.writes
        match effect:
            case fx.Send(message=Credit() as credit):
                arrival.credit = credit
            case fx.Send():
                name = str(effect.message.__struct_config__.tag)
                core.send(ToPeer(machine.peer, effect.message, f"{ROLE}.{name}"))
            case fx.Persist():
                writes.handoffs_put[f"{ROLE}:{machine.m}"] = effect.row
            case fx.Erase():
                writes.handoffs_put.pop(f"{ROLE}:{machine.m}", None)
                writes.handoffs_deleted.append((effect.role, effect.m))
                self.erased[effect.m] = effect.why
                self._room.release(effect.m)
            case fx.Inspect():
                self._inspect(arrival, effect)
            case fx.Reserve():
                self._room.reserve(machine.m, effect.size)
            case fx.KeepPiece():
                arrival.staging.keep(effect.piece)
            case fx.StagePart():
                arrival.staging.put(effect.part)
            case fx.RequireBlobs():
                arrival.staging.require_blobs()
            case fx.Discard():
                arrival.staging.discard()
            case fx.OwnJob():
                self._room.release(machine.m)
                self._own(arrival, effect)
            case fx.Activate():
                arrival.activating = arrival.owned_at = self._core.read_clocks().monotonic
                self._look_at(arrival)
            case fx.Confirmed():
                self._contests.settled(arrival.staging.row, machine.m)
            case fx.GiveUpJob():
                self._give_up(machine, effect.epoch)
            case fx.RecordFigures():
                self._record(arrival, effect)
            case fx.Ended():
                self._arrivals.pop(machine.m, None)
            case _:
                raise AssertionError(f"{type(effect).__name__} is no effect of a target")

    def _inspect(self, arrival: Arrival, effect: fx.Inspect) -> None:
        """Have the flow of an arriving job looked at."""
        try:
            _, arrival.digest = read_flow(effect.flow)
            self._core.plan(arrival.digest, effect.flow)
        except (msgspec.DecodeError, SojournError, KeyError) as error:
            self._inspected(
                arrival, CodeNotLoadable.__name__, f"the flow of the job is malformed: {error}"
            )
            return
        self._core.round.writes.flows_put[arrival.digest] = effect.flow
        self._fleet.code.detail(arrival.digest, effect.flow, arrival.machine.m, running=False)

    def before_commit(self) -> None:
        """Answer once to all that came in the round under way; its write finds the room kept for it."""
        for arrival in list(self._arrivals.values()):
            if arrival.staging.has_whole:
                self._make_durable(arrival)
        self._room.give_back()
        for arrival in self._arrivals.values():
            credit, arrival.credit = arrival.credit, None
            if credit is not None:
                self._core.send(ToPeer(arrival.machine.peer, credit, f"{ROLE}.credit"))

    def _make_durable(self, arrival: Arrival) -> None:
        try:
            arrival.staging.make_durable()
        except HostUnable as error:
            self._unkept(arrival, error)

    def _own(self, arrival: Arrival, effect: fx.OwnJob) -> None:
        """Take a job up whose rows are on disk: head, dues and the end of its record are one commit."""
        core = self._core
        machine = arrival.machine
        final = decode_final(effect.final)
        head = final.head
        figures = HandoffFigures(machine.peer, core.host, effect.epoch, effect.size)
        _give(head, effect.epoch, figures)
        if effect.epoch > machine.epoch + 1:
            head.by_force = True
        flow = core.store.flow(head.flow_digest)
        assert flow is not None, "the flow was written with the first record of the hand-off"
        image, stored = arrival.staging.image(final, flow)
        row = arrival.staging.row
        before = core.settle_at(head.job_id, row)
        if before is not None:
            core.round.writes.jobs_cleared.append(before)
            core.round.writes.jobs_removed.append(before)
        core.renumber_logs(row, final.last_log)
        numbers = (head.next_message - 1, head.next_sequence - 1)
        core.apply(
            Adopt(row, image, core.plan(head.flow_digest, flow), numbers, Whence.STAGED, stored)
        )
        if not effect.certain:
            self._withhold(machine, set())
        arrival.digest = head.flow_digest
        self._lines.add(
            "job owned", job=machine.job_id, source=machine.peer, epoch=effect.epoch
        )

    def _give_up(self, machine: TargetHandoff, epoch: int) -> None:
        known = self._core.head(machine.job_id)
        if known is None or not outdone(known[1], epoch):
            return
        self._core.log.warning(
            "gives way", job=machine.job_id, owner=machine.peer, owners_epoch=epoch
        )
        self._contests.give_way(known[0], machine.peer)

    def _adopt(self, image: JobImage, epoch: int, figures: HandoffFigures | None) -> int:
        """Take a job up that comes with a file."""
        core = self._core
        head = image.head
        _give(head, epoch, figures)
        row = core.new_row(head.job_id)
        plan = core.plan(head.flow_digest, image.flow)
        message = max(
            (entry.message for rows in (image.messages, image.history, image.questions) for entry in rows),
            default=0,
        )
        sequence = max((entry.sequence for entry in image.history), default=0)
        core.renumber_logs(row, max((line.sequence for line in image.logs), default=0))
        core.apply(Adopt(row, image, plan, (message, sequence), Whence.ELSEWHERE))
        return row

    def _record(self, arrival: Arrival, figures: fx.RecordFigures) -> None:
        core = self._core
        row = arrival.staging.row
        job = core.engine.job(row)
        pending = core.round.writes.heads.get(row)
        head: JobHead | None = job.head if job is not None else pending
        if head is None:
            head = core.store.head(row)
        if head is None:
            return
        head.handoffs = [
            msgspec.structs.replace(
                entry, phases_ms=figures.phases_ms, downtime_ms=figures.downtime_ms
            ) if entry.epoch == figures.epoch else entry
            for entry in head.handoffs
        ]
        if job is not None:
            core.engine.book.save(job, core.round)
        else:
            core.round.writes.heads[row] = head

    # --- files ------------------------------------------------------------------------------------------

    def take_file(self, found: Export, size: int, peers: Iterable[PeerRow]) -> dict[str, Any]:
        """Take a job from a file, whose ticket was checked if it has one.

        Args:
            found: the file's content.
            size: of the file, in bytes.
            peers: the source is told, if it is among them.

        Returns:
            The answer's body.
        """
        core = self._core
        digest = flow_digest(found.flow)
        core.round.writes.flows_put[digest] = encode_flow(found.flow)
        for name, content in found.blobs.items():
            keep_blob(core.home.blobs, name, content)
        head = found.image.head
        figures = None
        epoch = 1
        if found.handoff is None:
            head.job_id = self._core.new_id()
            head.instance = self._core.new_id()
        else:
            epoch = found.handoff.epoch + 1
            figures = HandoffFigures(found.host, core.host, epoch, size)
        self._adopt(found.image, epoch, figures)
        if found.handoff is not None:
            self.imported_now = True
            for peer in peers:
                if peer.store_id == found.handoff.from_store:
                    ack = Ack(found.handoff.m, epoch, found.handoff.from_store)
                    core.send(ToPeer(peer.name, ack, f"{ROLE}.ack"))
        return {"job_id": head.job_id, "epoch": epoch, "status": head.status.value}

    def check_ticket(self, found: Export, ticket: ReleaseTicket) -> None:
        """Check that a released job may be taken from its file here and now.

        Raises:
            Refused: if it isn't for this host, was taken already, or is arriving over a link.
        """
        core = self._core
        job = found.image.head.job_id
        if ticket.to_store != core.store.store_id:
            raise Refused(
                f"the file of job {job} was released for another host than {core.host!r}: import it "
                "there"
            )
        if arriving(job, self._machines()) is not None:
            raise Refused(
                f"job {job} is being handed over to host {core.host!r}: `sojourn jobs` there shows when "
                "it has arrived; import the file if it never does"
            )
        known = core.head(job)
        if known is None:
            return
        head = known[1]
        if head.instance != found.image.head.instance:
            raise Refused(f"host {core.host!r} has another job under the id {job}")
        if head.epoch >= ticket.epoch + 1:
            raise Refused(
                f"host {core.host!r} knows job {job} at epoch {head.epoch}: the file was imported "
                "already"
            )


def _give(head: JobHead, epoch: int, figures: HandoffFigures | None) -> None:
    """Make a job that comes from elsewhere this host's own."""
    head.epoch = epoch
    head.ownership = Ownership.OWNED
    head.moved_to = head.given_to = None
    if figures is not None:
        head.handoffs = [*head.handoffs, figures]
