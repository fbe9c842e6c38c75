"""The reactor: drain every socket, let the engine decide, commit once, then send.

The only place that polls, commits and sends. Nothing leaves before the round that justifies it is on
disk (G1); one round is one transaction, whatever came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import zmq

from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import (
    Asker,
    Core,
    Outgoing,
    ToAsker,
    ToPeer,
    ToProcess,
)
from sojourn.hosts.supervisor.desk import PART, Desk
from sojourn.hosts.supervisor.doors import Doors
from sojourn.hosts.supervisor.errands import ERRAND
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.hosts.supervisor.journal import Statuses
from sojourn.hosts.supervisor.leftovers import Leftovers
from sojourn.hosts.supervisor.processes import Processes
from sojourn.hosts.supervisor.refilling import refill
from sojourn.hosts.supervisor.submissions import SubmitTicket
from sojourn.hosts.supervisor.thresholds import Refusal, Threshold
from sojourn.runtime.engine.inputs import Adopt, Freeze, Round
from sojourn.runtime.errors import ProtocolViolation
from sojourn.runtime.wire import actor as actor_wire
from sojourn.runtime.wire import client as client_wire
from sojourn.runtime.wire.actor import Committed

LONGEST_POLL = 60.0
"""Seconds after which a round is made even if nothing happened: for what is done now and then."""


class Part(Protocol):
    """A part of the supervisor that has sockets or times of its own (peers, hand-offs)."""

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Sockets to poll."""
        ...

    def receive(self) -> None:
        """Take in what came."""
        ...

    def loaded(self, answer: LoadAnswer) -> None:
        """A question about code was answered."""
        ...

    def before_commit(self, round_: Round) -> None:
        """A round is about to be committed."""
        ...

    def after_commit(self, committed: Round) -> None:
        """A round is on disk."""
        ...

    def deliver(self, peer: str, messages: Sequence[ToPeer]) -> None:
        """Send to a peer what a round has for it."""
        ...

    def deliver_relayed(self, asker: Asker, answer: client_wire.Answer) -> None:
        """Send an answer back to the peer that relayed the request."""
        ...

    def tick(self) -> float | None:
        """Do what is due; give when to be called again (monotonic)."""
        ...

    def close(self) -> None:
        """Close everything."""
        ...


class Reactor:
    """One supervisor's loop.

    Args:
        core: shared state.
        doors: where actor processes and clients come in.
        processes: makes zygotes and takes hold of what they fork.
    """

    def __init__(self, core: Core, doors: Doors, processes: Processes) -> None:
        self._core = core
        self._doors = doors
        self.fleet = Fleet(core, self._drain_actors, processes)
        core.is_running = self.fleet.is_running
        self.desk = Desk(core, self.fleet)
        self.parts: list[Part] = []
        self.taken_up_at_once = 500
        """Jobs that a start takes up before it looks what their processes do."""
        self._due: float | None = None
        self._statuses = Statuses(core.log)
        self._actors = Threshold(actor_wire.decode_from_actor, named=True)
        self._clients = Threshold(client_wire.decode_request)

    def run_round(self) -> None:
        """Wait for something to happen and do everything that follows from it."""
        due = self.next_due()
        if due is not None:
            self._wait(due)
        self.react()

    def react(self) -> None:
        """Do everything that follows from what has happened, without waiting."""
        core = self._core
        core.now = core.read_clocks()
        self._take_in()
        core.apply_all(())
        self.fleet.serve()
        self.commit()

    def _take_in(self) -> None:
        self._drain_actors()
        self.fleet.receive()
        self._drain_clients()
        for part in self.parts:
            part.receive()
        self._handle_loaded()
        self.desk.watching.expire()

    def _handle_loaded(self) -> None:
        answers, self.fleet.code.answers = self.fleet.code.answers, []
        for answer in answers:
            if isinstance(answer.ticket, SubmitTicket):
                self.desk.submissions.loaded(answer.ticket, answer)
            else:
                for part in self.parts:
                    part.loaded(answer)

    def commit(self) -> None:
        """Put the round on disk, then send what waited for it."""
        core = self._core
        for part in self.parts:
            part.before_commit(core.round)
        self.desk.before_commit(core.round)
        committed = core.fresh_round()
        if committed.writes:
            core.store.commit(committed.writes)
        self._send_queued()
        self._act(committed)
        if not core.round.writes:
            # What came of it waits for no commit (G1), so that it needs no round of its own.
            self._send_queued()

    def _send_queued(self) -> None:
        outbox, self._core.outbox = self._core.outbox, []
        self._deliver_all(outbox)

    def _act(self, committed: Round) -> None:
        """Do what a committed round asks for."""
        core = self._core
        for checkpoint in committed.checkpoints:
            self._confirm(checkpoint.dispatch, checkpoint.yield_now or core.stopping)
        for row in committed.recalls:
            self.fleet.recalls.recall(row)
        refill(core)
        if not (core.stopping or core.gate_closed):
            # Before anything below begins the next round: what is handed out now is on disk (G1).
            for assignment in core.dispatcher.assign(core.now.monotonic):
                self._send_process(assignment.worker.name, assignment.dispatch)
        self._statuses.tell(committed.changes, core.now.monotonic)
        for part in self.parts:
            part.after_commit(committed)
        self.desk.after_commit(committed)
        if committed.ended:  # after the answers of those who wait for the end
            self.fleet.forget(committed.ended)
        if not core.stopping:
            self.fleet.recalls.rebalance()
        self._due = self.fleet.tend()

    def _confirm(self, dispatch: int, yield_now: bool) -> None:
        worker = self._core.dispatcher.holder(dispatch)
        if worker is not None:
            self._send_process(worker.name, Committed(dispatch, yield_now))

    # --- waiting --------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """Do what is due; give the monotonic time at which something is again, None for at once."""
        core = self._core
        if core.round.writes or core.outbox or self.fleet.code.answers or self.desk.unfinished:
            return None
        due = [
            time for time in (
                self._due, self._statuses.due, core.engine.next_due(),
                self.desk.watching.next_deadline(), self.desk.submissions.next_deadline(),
                *(part.tick() for part in self.parts),
            ) if time is not None
        ]
        if core.round.writes or core.outbox:
            return None
        return min(due, default=core.read_clocks().monotonic + LONGEST_POLL)

    def _wait(self, due: float) -> None:
        seconds = min(LONGEST_POLL, max(0.0, due - self._core.read_clocks().monotonic))
        sockets = [socket for part in self.parts for socket in part.sockets()]
        self._doors.wait(seconds, sockets, self.fleet.filenos())

    # --- receiving ------------------------------------------------------------------------------

    def _drain_actors(self) -> None:
        for came in self._doors.from_actors():
            message = self._actors.read(came, self._core.now.monotonic)
            if not isinstance(message, Refusal):
                self.fleet.from_actor(came.route.decode(), message)
            elif message.deaf:
                self.fleet.distrust(came.route.decode(errors="replace"))

    def _drain_clients(self) -> None:
        for came in self._doors.from_clients():
            request = self._clients.read(came, self._core.now.monotonic)
            if not isinstance(request, Refusal):
                self.desk.handle(Asker(came.route, "", 0, request.request), request)
                continue
            failure = client_wire.Failure(
                0, ProtocolViolation.__name__,
                f"the request is malformed ({request.why}): is this sojourn of the supervisor's version?",
            )
            self._core.send(ToAsker(Asker(came.route, "", 0, 0), failure))

    # --- sending --------------------------------------------------------------------------------

    def _deliver_all(self, outbox: Iterable[Outgoing]) -> None:
        """Send what a round has to say: to peers together, so that it is answered in one round there."""
        to_peers: dict[str, list[ToPeer]] = {}
        others: list[Outgoing] = []
        for message in outbox:
            if isinstance(message, ToPeer):
                to_peers.setdefault(message.peer, []).append(message)
            else:
                others.append(message)
        for peer, messages in to_peers.items():
            for part in self.parts:
                part.deliver(peer, messages)
        for message in others:
            self._deliver(message)

    def _deliver(self, message: Outgoing) -> None:
        match message:
            case ToProcess():
                self._send_process(message.worker, message.message)
            case ToAsker():
                self._answer(message)
            case ToPeer():
                for part in self.parts:
                    part.deliver(message.peer, [message])

    def _answer(self, message: ToAsker) -> None:
        asker = message.asker
        if asker.peer == PART:
            self.desk.part_answered(asker.relay, message.answer)
        elif asker.peer == ERRAND:
            self.desk.errands.answered(asker.relay, message.answer)
        elif asker.peer:
            for part in self.parts:
                part.deliver_relayed(asker, message.answer)
        else:
            if not self._doors.to_client(asker.client, client_wire.encode(message.answer)):
                self.desk.gone(asker)

    def _send_process(self, name: str, message: actor_wire.ToActor) -> None:
        error = self._doors.to_actor(name, actor_wire.encode(message))
        if error is not None:
            # It died; its exit settles what it had out.
            self._core.log.info("process unreachable", process=name, error=error)

    # --- start and stop -------------------------------------------------------------------------

    def load_jobs(self) -> None:
        """Take up every unfinished job of the store, and record what was left in flight.

        Some at a time: those that are taken up run their turns while others are still read. Clients and
        peers are listened to only once all are here, so that nobody meets a job that isn't.
        """
        live = self._core.store.live_jobs()
        left = Leftovers(self._core)
        self._take_up([row for row in live if row in left.rows])
        left.record()  # before any of their messages is handed out again
        self.commit()
        left.forget()
        rows = [row for row in live if row not in left.rows]
        for start in range(0, len(rows), self.taken_up_at_once):
            self._take_up(rows[start : start + self.taken_up_at_once])
            self._drain_actors()
            self.fleet.receive()
            self.fleet.serve()
            self.commit()

    def _take_up(self, rows: list[int]) -> None:
        core = self._core
        core.now = core.read_clocks()
        core.apply_all(self._adoptions(rows))
        for row in core.withheld.keys() & set(rows):
            core.apply(Freeze(row))

    def _adoptions(self, rows: list[int]) -> Iterator[Adopt]:
        """Read jobs; their code is imported meanwhile, by processes of its own."""
        for adoption in self._core.adoptions(rows):
            self.fleet.warm_up(adoption.plan.digest)
            yield adoption

    def stop(self, grace: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Let turns in flight end, make everything durable and kill the rest.

        Args:
            grace: seconds that turns in flight get.
            hurried: whether they are to get no more of them.
        """
        core = self._core
        core.stopping = True
        self.fleet.recalls.recall_all()
        self.fleet.recalls.hurry_all(grace)
        self.commit()
        while self.fleet.busy():
            if grace and hurried():
                grace = 0.0
                self.fleet.recalls.hurry_all(grace)
            self.run_round()
        self.commit()
        self._statuses.tell_counted()
        while self.desk.unfinished:
            self.commit()
        self.fleet.close(settled=True)
        for part in self.parts:
            part.close()
        self._doors.close()
