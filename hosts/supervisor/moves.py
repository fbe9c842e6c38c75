"""Carrying hand-offs out: gives the pure machines what happens, and does what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq

from sojourn.hosts.files import beside, check_writable, put_in_place, write_beside
from sojourn.hosts.supervisor.arrivals import Arrivals
from sojourn.hosts.supervisor.border import Border
from sojourn.hosts.supervisor.claims import PATIENCE as CLAIM_PATIENCE
from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.copying import Copying
from sojourn.hosts.supervisor.core import Asker, Core, ToAsker, ToPeer
from sojourn.hosts.supervisor.crashing import CrashPoint
from sojourn.hosts.supervisor.desk import Desk
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.journal import RoundLines
from sojourn.hosts.supervisor.papers import exported
from sojourn.hosts.supervisor.preflights import Preflights
from sojourn.hosts.supervisor.resolving import OpenHandoff
from sojourn.hosts.supervisor.surveying import Finding
from sojourn.runtime.engine.inputs import Block, Drop, Freeze, Now, Round, Thaw
from sojourn.runtime.errors import (
    HandoffAborted,
    HostUnable,
    Refused,
    SojournError,
    UsageError,
    from_wire,
    to_wire,
)
from sojourn.runtime.export import ReleaseTicket, read_export
from sojourn.runtime.handoff import effects as fx
from sojourn.runtime.handoff import routing, strays
from sojourn.runtime.handoff.crash_points import after_write, before_write
from sojourn.runtime.handoff.journeys import came_from
from sojourn.runtime.handoff.routing import FOR_TARGET, Reception
from sojourn.runtime.handoff.source import ROLE, TWO_OWNERS, Patience, SourceHandoff, SourceRecord
from sojourn.runtime.handoff.survey import refusal
from sojourn.runtime.handoff.table import SourceState
from sojourn.runtime.handoff.target import ROLE as TARGET
from sojourn.runtime.job import HandoffRow, JobHead, JobImage, Ownership
from sojourn.runtime.wire.claims import ClaimsMessage
from sojourn.runtime.wire.client import DryRun, Export, Import, Migrate, Progress
from sojourn.runtime.wire.handoff import (
    Ack,
    HandoffMessage,
    HandoffRefused,
    Preflight,
    PreflightReady,
    Prepared,
    Query,
)
from sojourn.runtime.wire.peer import Known
from sojourn.runtime.wire.survey import SurveyMessage


class Departure(msgspec.Struct, eq=False):
    """A hand-off of a job of this host.

    Attributes:
        machine: its state.
        row: the job's row.
        asker: who waits for it, if anybody does.
        begun: both clocks at its begin.
        path: file that it goes into, instead of over a link.
        copying: what of the job travels and what changed since.
        wanted: what the machine asked for and gets after the next commit.
    """

    machine: SourceHandoff
    row: int
    asker: Asker | None
    begun: Now
    path: Path | None = None
    copying: Copying | None = None
    wanted: fx.NeedParts | None = None


class Moves:
    """All hand-offs of a host.

    Args:
        core: shared state.
        desk: answers who asked, and holds commands meanwhile.
        fleet: recalls, kills, checks code.
        border: sends.
    """

    def __init__(self, core: Core, desk: Desk, fleet: Fleet, border: Border) -> None:
        self._core = core
        self._desk = desk
        self._fleet = fleet
        self.border = border
        self._patience = Patience()
        self._departures: dict[str, Departure] = {}
        self._settled: list[int] = []
        """Rows of jobs whose hand-off ended with the round under way."""
        self._written: list[Departure] = []
        """Hand-offs whose file gets its name once their release is on disk."""
        self._points: list[str] = []
        self._crash = CrashPoint()
        self._lines = RoundLines(core.log)
        self._erased: dict[str, str] = {}
        """Hand-offs whose record goes with the round under way, and why."""
        self.contests = Contests(core, border.links.connected, desk.arriving, self._acknowledged_by)
        self.arrivals = Arrivals(core, fleet, self._patience, self.contests, self._lines)
        border.pairing.ties = self
        self._preflights = Preflights(
            core, fleet, border.links, self._patience, self.arrivals.facts
        )
        self._recover()

    def _recover(self) -> None:
        core = self._core
        records = core.store.handoffs()
        self.arrivals.forget_room(records)
        for row in records:
            if row.role != ROLE:
                self.arrivals.recover(row)
                continue
            machine = routing.recover(row, core.store.store_id, self._patience)
            if isinstance(machine, SourceHandoff):
                self._departures[row.m] = Departure(machine, machine.record.job, None, core.now)
                core.moving.add(machine.record.job)
                if machine.record.file and beside(Path(machine.record.path)).exists():
                    self._written.append(self._departures[row.m])
            elif row.state == SourceState.PRECOPY:
                self._doubt_presumption(row)

    def _doubt_presumption(self, row: HandoffRow) -> None:
        """A hand-off was open when this host went down: its job stayed, unless it was taken by force."""
        record = msgspec.msgpack.decode(row.record, type=SourceRecord)
        if not routing.waits_for_word(row, self._core.store.head(record.job)):
            self._erase(row.m, "aborted")  # another hand-off gave the job away since
            return
        self.contests.withhold(
            record.job, row.m, {row.peer},
            f"a hand-off to host {row.peer!r} was open when host {self._core.host!r} went down: it is "
            "asked whether it has the job",
            patience=CLAIM_PATIENCE,
            then=lambda: self._erase(row.m, "aborted"),
        )

    def _erase(self, m: str, why: str) -> None:
        writes = self._core.round.writes
        writes.handoffs_put.pop(f"{ROLE}:{m}", None)
        writes.handoffs_deleted.append((ROLE, m))
        self._erased[m] = why

    # --- the reactor's interface ------------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """See ``Part``."""
        return []

    def receive(self) -> None:
        """See ``Part``."""
        self.arrivals.look()

    def loaded(self, answer: LoadAnswer) -> None:
        """See ``Part``."""
        if not self._preflights.loaded(answer):
            self.arrivals.loaded(answer)

    def before_commit(self, round_: Round) -> None:
        """See ``Part``."""
        self._lines.flush()
        self.arrivals.before_commit()
        writes = round_.writes
        points = [(row.role, row.state) for row in writes.handoffs_put.values()]
        for role, m in writes.handoffs_deleted:
            erased = self._erased if role == ROLE else self.arrivals.erased
            points.append((role, erased.pop(m, "dropped")))
        points.extend(
            (ROLE, "frozen")
            for departure in self._departures.values()
            if departure.machine.state is SourceState.FREEZING and departure.row in round_.quiet
        )
        if self.arrivals.imported_now:
            points.append((TARGET, "owned"))
        for role, state in points:
            self._crash.reached(before_write(role, state))
        self._points = [after_write(role, state) for role, state in points]

    def after_commit(self, committed: Round) -> None:
        """See ``Part``."""
        for point in self._points:
            self._crash.reached(point)
        self._points = []
        self.arrivals.imported_now = False
        self._preflights.note(committed)
        written, self._written = self._written, []
        for departure in written:
            self._finish_file(departure)
        for departure in list(self._departures.values()):
            if departure.copying is not None:
                departure.copying.note(committed.writes)
            if departure.row in committed.ended and departure.machine.state is SourceState.PRECOPY:
                self._step(departure, fx.JobEnded(self._head(departure.row).status.value))
            elif departure.row in committed.quiet:
                self._quiet(departure)
            self._give_parts(departure)
        settled, self._settled = self._settled, []
        for row in settled:
            self._desk.release_held(row)

    def deliver(self, peer: str, messages: Sequence[ToPeer]) -> None:
        """See ``Part``; the border sends."""

    def deliver_relayed(self, asker: Asker, answer: Any) -> None:
        """See ``Part``; the border sends."""

    def tick(self) -> float | None:
        """See ``Part``."""
        now = self._core.read_clocks().monotonic
        times: list[float] = []
        for departure in list(self._departures.values()):
            wake = departure.machine.wake_at
            if wake is not None and wake <= now:
                self._step(departure, fx.Tick())
                wake = departure.machine.wake_at
            if departure.machine.m in self._departures:
                times.extend(() if wake is None else (wake,))
                if departure.wanted is not None:
                    times.append(now)
        wakes = (self.arrivals.tick(now), self.contests.tick(now), self._preflights.tick(now))
        times.extend(time for time in wakes if time is not None)
        return min(times, default=None)

    def close(self) -> None:
        """See ``Part``."""

    # --- what peers say -----------------------------------------------------------------------------

    def received(self, peer: str, message: HandoffMessage) -> None:
        """Take in a message of a hand-off."""
        if isinstance(message, Preflight):
            # It comes back at a later epoch: it was owned over there, which is an ACK.
            self._acknowledged_by(message.instance, message.epoch)
        if isinstance(message, FOR_TARGET):
            self.arrivals.received(peer, message)
            return
        departure = self._departures.get(message.m)
        match routing.reception(message, peer, None if departure is None else departure.machine):
            case Reception.STEP:
                assert departure is not None
                if isinstance(message, HandoffRefused):
                    message = self._explained(departure, message)
                self._step(departure, message)
            case Reception.STRAY:
                self._answer_stray(peer, message)
            case Reception.BEGIN | Reception.NOTHING:
                pass

    def _explained(self, departure: Departure, refused: HandoffRefused) -> HandoffRefused:
        """A target that refuses what it got may have got it from a damaged file: that is to be said."""
        if departure.copying is None:
            return refused
        damaged = departure.copying.damaged(departure.machine.blobs_in_question())
        if damaged is None:
            return refused
        return HandoffRefused(refused.m, *to_wire(damaged))

    def _answer_stray(self, peer: str, message: HandoffMessage) -> None:
        """Answer for a hand-off that has no machine here."""
        store = self._core.store
        if not isinstance(message, (Query, Prepared, Ack, PreflightReady)) or (
            isinstance(message, PreflightReady) and store.restored
        ):
            return
        record = store.handoff(ROLE, message.m)
        if record is not None and record.peer != peer:
            return
        answer = strays.answer_at_source(message, record, store.store_id)
        if answer is not None:
            self._core.send(ToPeer(peer, answer, f"{ROLE}.{send_name(answer)}"))

    def _acknowledged_by(self, instance: str, epoch: int) -> bool:
        """Some host has, or had, a job at a later epoch than the one at which this host released it."""
        found = False
        for departure in list(self._departures.values()):
            ack = routing.implied_ack(departure.machine, instance, epoch)
            if ack is not None:
                found = found or departure.machine.state is SourceState.RELEASED
                self._step(departure, ack)
        return found

    def claimed(self, peer: str, message: ClaimsMessage) -> None:
        """Take in what a peer asks or says of jobs that it holds."""
        self.contests.received(peer, message)

    def surveyed(self, peer: str, message: SurveyMessage) -> None:
        """Answer what a peer wants to know before a move, or take in its answer."""
        self._preflights.received(peer, message)

    def heard_hello(self, peer: str, knows_you: Known | None) -> None:
        """A peer said HELLO, and which run of this host it knows of."""
        self.contests.heard_hello(peer, knows_you)

    def link_back(self, peer: str) -> None:
        """A peer can be reached again: repeat what may have been lost."""
        for departure in list(self._departures.values()):
            if departure.machine.peer == peer:
                self._step(departure, fx.LinkBack())
        self.arrivals.link_back(peer)
        self._preflights.link_back(peer)
        self.contests.link_up(peer)

    # --- what people ask ------------------------------------------------------------------------------

    def migrate(self, asker: Asker, row: int, command: Migrate | DryRun) -> None:
        """Look at what a move meets; unless that is all that was asked for, begin it where it can.

        Raises:
            UsageError: if the job is there already.
            NotFound: if the target isn't paired.
        """
        head = self._head(row)
        if command.to is None:
            command = msgspec.structs.replace(command, to=came_from(head, self._core.host))
            assert command.to is not None
        if command.to == self._core.host:
            raise UsageError(f"job {head.job_id} is on host {self._core.host!r} already")
        peer = self.border.require(command.to)
        self.border.permits.check_giving(peer.name, head.job_id)
        asked = command

        def found(finding: Finding) -> None:
            if isinstance(asked, DryRun):
                self._desk.reply(asker, self._preflights.document(row, peer, asked, finding))
            else:
                self._surveyed(asker, row, asked, finding)

        self._preflights.begin(row, head, peer.name, command, found)

    def _surveyed(self, asker: Asker, row: int, command: Migrate, finding: Finding) -> None:
        """Begin a move, or say everything that speaks against it."""
        core = self._core
        asked = finding.asked
        contested = any(kind == TWO_OWNERS for kind, _ in finding.reasons)
        try:
            head = self._head(row)
            leaving = [other.machine for other in self._departures.values() if other.row == row]
            if not routing.may_leave(head, leaving):
                raise HandoffAborted(f"job {head.job_id} is {head.status.value} meanwhile")
            assert command.to is not None
            self.border.require(command.to)
            if head.cancelling:
                raise HandoffAborted(f"job {head.job_id} is being cancelled meanwhile")
            if finding.reasons and not contested:  # both sides of a conflict are stopped by the hand-off
                raise refusal(head.job_id, core.host, finding.reasons)
        except SojournError as error:
            core.log.warning("hand-off", job=asked.job_id, failed=error.message)
            self._desk.fail(asker, error)
            return
        self._begin(asker, row, command, msgspec.structs.replace(asked, epoch=head.epoch))

    def _begin(self, asker: Asker, row: int, command: Migrate, preflight: Preflight) -> None:
        core = self._core
        record = SourceRecord(row, core.host, "", 0, "")
        assert command.to is not None, "migrate has resolved it"
        bound = command.max_downtime_ms
        machine = SourceHandoff(
            preflight, record, command.to, command.grace, self._patience,
            max_downtime=None if bound is None else bound / 1000,
        )
        departure = self._departures[preflight.m] = Departure(machine, row, asker, core.now)
        self._lines.add("hand-off begins", job=preflight.job_id, to=command.to, m=preflight.m)
        self._step(departure, None)

    def _head(self, row: int) -> JobHead:
        job = self._core.engine.job(row)
        head = job.head if job is not None else self._core.store.head(row)
        assert head is not None
        return head

    def release_to_file(self, asker: Asker, row: int, command: Export) -> None:
        """Begin to let a job go with a file."""
        core = self._core
        head = self._head(row)
        if head.status.finished:
            raise Refused(
                f"job {head.job_id} is {head.status.value} on host {core.host!r}: there is nothing to let "
                "go; export it without --release"
            )
        if self.under_way(row):
            raise Refused(f"job {head.job_id} is being handed over already by host {core.host!r}: see "
                          f"`sojourn show {head.job_id}`")
        assert command.release_to is not None
        assert command.path is not None
        peer = self.border.require(command.release_to)
        self.border.permits.check_giving(peer.name, head.job_id)
        check_writable(Path(command.path))
        m = self._core.new_id()
        preflight = Preflight(
            m, head.job_id, head.instance, head.epoch, core.store.store_id, b"", "", [], 0
        )
        record = SourceRecord(row, core.host, "", 0, peer.store_id, file=True)
        machine = SourceHandoff(preflight, record, peer.name, None, self._patience)
        departure = Departure(machine, row, asker, core.now, Path(command.path))
        self._departures[m] = departure
        self._do(departure, machine.begin_file(self._core.read_clocks().monotonic))

    def take_file(self, asker: Asker, command: Import) -> None:
        """Take a job from a file."""
        found = read_export(command.document)
        if found.handoff is not None:
            self.arrivals.check_ticket(found, found.handoff)
            self._acknowledged_by(found.image.head.instance, found.handoff.epoch)
        body = self.arrivals.take_file(
            found, len(command.document), self.border.links.peers()
        )
        self._desk.reply(asker, body)

    def abort_for(self, row: int, reason: str) -> bool:
        """Abort the hand-off of a job; False where it is past its commit point."""
        self._preflights.cancel(row, reason)
        for departure in list(self._departures.values()):
            if departure.row == row:
                self._step(departure, fx.Cancelled(reason))
                return departure.machine.state is SourceState.OWNED
        return True

    def in_doubt_with(self, peer: str) -> list[str]:
        """Name the jobs about which only a host can say where they are."""
        found = {o.job_id for o in self.open_handoffs() if o.peer == peer and o.in_doubt}
        return sorted(found.union(self.contests.waiting_for(peer)))

    def part_with(self, peer: str, why: str) -> None:
        """End the hand-offs with a host that can be ended by this one alone, and its commands."""
        for departure in list(self._departures.values()):
            if departure.machine.peer == peer:
                self._step(departure, fx.Cancelled(why))
        self._preflights.part_with(peer, why)
        self.arrivals.part_with(peer, why)
        self.border.part_with(peer, why)

    def under_way(self, row: int) -> bool:
        """Whether a hand-off of the job is under way, the pre-copy included."""
        return row in self._preflights.rows() or any(
            departure.row == row for departure in self._departures.values()
        )

    def rows_under_way(self) -> set[int]:
        """Give the rows of all jobs for which ``under_way`` holds."""
        return {
            *(departure.row for departure in self._departures.values()),
            *self._preflights.rows(),
        }

    def unacknowledged(self) -> list[str]:
        """Name the jobs that were released over a link and not acknowledged; a file needs no word."""
        return [
            departure.machine.job_id for departure in self._departures.values()
            if departure.machine.state is SourceState.RELEASED and not departure.machine.record.file
        ]

    def open_handoffs(self) -> list[OpenHandoff]:
        """Give the hand-offs that have a machine here."""
        found = [
            OpenHandoff(
                m, d.machine.job_id, ROLE, d.machine.state.value, d.machine.peer, d.machine.epoch,
                d.machine.instance, d.machine.record.target_store, d.row,
            )
            for m, d in self._departures.items()
            if d.machine.state is not SourceState.GONE
        ]
        return [*found, *self.arrivals.open_handoffs()]

    def resolve(self, open_: OpenHandoff) -> None:
        """End a doubt by force, for an operator who was asked to be sure."""
        departure = self._departures.get(open_.m)
        if departure is not None:
            self._step(departure, fx.Resolved())
        else:
            self.arrivals.resolve(open_.m)

    def describe(self) -> list[dict[str, Any]]:
        """List the hand-offs under way."""
        found = [
            {
                "m": m, "role": ROLE, "job_id": d.machine.job_id, "state": d.machine.state.value,
                "peer": d.machine.peer,
            }
            for m, d in self._departures.items()
        ]
        return [*found, *self.arrivals.describe()]

    # --- carrying out -----------------------------------------------------------------------------------

    def _quiet(self, departure: Departure) -> None:
        """The frozen job has nothing in flight, and all of it is on disk."""
        job = self._core.engine.job(departure.row)
        if job is None or not job.frozen:
            return
        if job.head.status.finished:
            self._step(departure, fx.JobEnded(job.head.status.value))
        else:
            self._step(departure, fx.Quiet(job.last_ended, job.next_sequence))

    def _step(self, departure: Departure, happening: fx.Happening | None) -> None:
        now = self._core.read_clocks().monotonic
        self._do(departure, departure.machine.step(happening, now))

    def _do(self, departure: Departure, effects: Iterable[fx.Effect]) -> None:
        for effect in effects:
            self._do_one(departure, effect)

    def _do_one(self, departure: Departure, effect: fx.Effect) -> None:
        core = self._core
        machine = departure.machine
        match effect:
            case fx.Send():
                name = send_name(effect.message)
                core.send(ToPeer(machine.peer, effect.message, f"{ROLE}.{name}"))
            case fx.Erase():
                self._erase(effect.m, effect.why)
            case fx.ReclaimJob():
                self._take_back(departure, effect.epoch)
            case fx.Persist():
                core.round.writes.handoffs_put[f"{ROLE}:{machine.m}"] = effect.row
            case fx.StartFreeze():
                if core.engine.job(departure.row) is None:
                    self._step(departure, fx.JobEnded(self._head(departure.row).status.value))
                    return
                self._lines.add("job freezes", job=machine.job_id, m=machine.m)
                core.moving.add(departure.row)
                core.apply(Freeze(departure.row))
                self._fleet.recalls.hurry(departure.row, effect.grace)
            case fx.Thaw():
                core.moving.discard(departure.row)
                self._fleet.recalls.calm(departure.row)
                core.apply(Thaw(departure.row))
                self._settled.append(departure.row)
            case fx.StartCopy():
                job = core.engine.job(departure.row)
                if job is not None:
                    departure.copying = Copying(core, job, effect.there, departure.begun)
            case fx.NeedParts():
                departure.wanted = effect
            case fx.NeedFile():
                self._give_file(departure)
            case fx.ReleaseJob():
                departure.copying = None
                self._release(departure)
            case fx.MarkGone():
                self._gone(departure)
            case fx.Conflict():
                core.apply(Block(departure.row, effect.reason))
            case fx.PhaseReached():
                self._tell(departure, effect)
            case fx.Finished():
                self._finished(departure, effect)
            case fx.Failed():
                core.log.warning("hand-off", job=machine.job_id, failed=effect.message)
                if departure.asker is not None:
                    asker, departure.asker = departure.asker, None
                    self._desk.fail(asker, from_wire(effect.kind, effect.message))
            case fx.Ended():
                self._departures.pop(machine.m, None)
            case _:
                raise AssertionError(f"{type(effect).__name__} is no effect of a source")

    def _give_parts(self, departure: Departure) -> None:
        """Read what the machine asked for; memory and disk agree just after a commit."""
        while departure.wanted is not None and departure.copying is not None:
            wanted, departure.wanted = departure.wanted, None
            try:
                pieces, final = departure.copying.take(wanted.room, final=wanted.final)
            except SojournError as error:
                self._step(departure, fx.Cancelled(error.message))
                return
            left = 0 if final else departure.copying.left()
            self._step(departure, fx.PartsReady(pieces, left, final))
            if departure.machine.state is SourceState.FREEZING and self._is_on_disk(departure.row):
                # What froze just now has nothing to wait for: what was read already is the whole of it.
                self._crash.reached(before_write(ROLE, "frozen"))
                self._crash.reached(after_write(ROLE, "frozen"))
                self._quiet(departure)

    def _is_on_disk(self, row: int) -> bool:
        """Whether a frozen job is quiet, and nothing of it is in the round under way."""
        round_ = self._core.round
        return row in round_.quiet and not round_.writes.concern(row)

    def _give_file(self, departure: Departure) -> None:
        image = self._core.store.read_image(departure.row)
        assert departure.path is not None
        try:
            self._write_release(departure, departure.path, image)
        except SojournError as error:
            self._step(departure, fx.Cancelled(error.message))

    def _write_release(self, departure: Departure, path: Path, image: JobImage) -> None:
        core = self._core
        machine = departure.machine
        ticket = ReleaseTicket(
            machine.m, machine.epoch, core.store.store_id, machine.record.target_store
        )
        document = exported(core, image, ticket)
        data = json.dumps(document, indent=1).encode()
        self._crash.reached(before_write(ROLE, "file"))
        write_beside(path, data)
        machine.record.digest = document["digest"]
        machine.record.size = len(data)
        machine.record.path = str(path)
        self._do(departure, machine.release_to_file(self._core.read_clocks().monotonic))
        self._written.append(departure)

    def _finish_file(self, departure: Departure) -> None:
        """The release is on disk: the file gets its name, under which the other host can import it."""
        machine = departure.machine
        path = Path(machine.record.path)
        asker, departure.asker = departure.asker, None
        try:
            put_in_place(path)
        except SojournError as error:
            self._core.log.error("released file", job=machine.job_id, error=error.message)
            where = f"; job {machine.job_id} is released, and its file is {beside(path)}"
            if asker is not None:
                self._desk.fail(asker, HostUnable(error.message + where))
            return
        self._crash.reached(after_write(ROLE, "file"))
        if asker is not None:
            self._desk.reply(
                asker,
                {
                    "job_id": machine.job_id, "to": machine.peer, "path": str(path),
                    "epoch": machine.epoch + 1, "host": self._core.host,
                },
            )

    def _release(self, departure: Departure) -> None:
        """The commit point: with this round the job is no longer ours to run."""
        core = self._core
        head = self._head(departure.row)
        head.ownership = Ownership.RELEASED
        head.moved_to = head.given_to = departure.machine.peer
        core.round.writes.heads[departure.row] = head
        core.apply(Drop(departure.row))
        self._lines.add("job released", job=head.job_id, to=head.moved_to, epoch=head.epoch)

    def _take_back(self, departure: Departure, epoch: int) -> None:
        """The job is run here again, by force of an operator."""
        core = self._core
        adoption = core.adoption(departure.row)
        head = adoption.image.head
        head.ownership = Ownership.OWNED
        head.moved_to = head.given_to = None
        head.epoch = epoch
        head.by_force = True
        core.moving.discard(departure.row)
        core.apply(adoption)
        core.round.writes.heads[departure.row] = head
        self._settled.append(departure.row)
        core.log.warning("job taken back by force", job=head.job_id, epoch=epoch)

    def _gone(self, departure: Departure) -> None:
        core = self._core
        head = core.round.writes.heads.get(departure.row) or core.store.head(departure.row)
        assert head is not None
        core.moving.discard(departure.row)
        self._settled.append(departure.row)
        if head.ownership is not Ownership.RELEASED or head.epoch != departure.machine.epoch:
            return  # it came back meanwhile, and belongs to a later epoch than this hand-off
        head.ownership = Ownership.GONE
        head.finished_at = head.finished_at or core.now.wall
        core.round.writes.heads[departure.row] = head
        core.round.writes.blobs_deleted.extend(
            (departure.row, digest) for digest, _ in core.store.job_blobs(departure.row)
        )
        self._lines.add("job gone", job=head.job_id, to=head.moved_to)
        self.contests.tell_old_hosts(head)

    def _tell(self, departure: Departure, news: fx.PhaseReached) -> None:
        if departure.asker is None:
            return
        body = {"phase": news.phase, "bytes": news.bytes, "total_bytes": news.total_bytes}
        progress = Progress(departure.asker.request, json.dumps(body).encode())
        self._core.send(ToAsker(departure.asker, progress))

    def _finished(self, departure: Departure, finished: fx.Finished) -> None:
        core = self._core
        figures = finished.figures
        head = core.round.writes.heads.get(departure.row) or core.store.head(departure.row)
        if head is not None and head.ownership is Ownership.GONE:
            head.handoffs = [*head.handoffs, figures]
            core.round.writes.heads[departure.row] = head
        self._lines.add(
            "job moved", job=departure.machine.job_id, to=figures.target,
            downtime_ms=figures.downtime_ms, bytes=figures.bytes, phases_ms=figures.phases_ms,
        )
        if departure.asker is not None:
            asker, departure.asker = departure.asker, None
            self._desk.reply(
                asker,
                {
                    "job_id": departure.machine.job_id, "from": figures.source,
                    "to": figures.target, "epoch": figures.epoch, "bytes": figures.bytes,
                    "phases_ms": figures.phases_ms, "downtime_ms": figures.downtime_ms,
                },
            )


def send_name(message: HandoffMessage) -> str:
    """Give a message's name, as crash points use it."""
    return str(message.__struct_config__.tag)


