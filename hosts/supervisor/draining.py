"""Draining this host: tells the pure drain what there is, begins the moves that it asks for, and answers.

One drain at a time, for all who asked for it and for a SIGTERM. It goes on when nobody watches, and is no
more than a list of moves: after a crash the host is cordoned still, and the drain is asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import zmq

from sojourn.hosts.supervisor.batches import arrived
from sojourn.hosts.supervisor.codebases import LoadAnswer
from sojourn.hosts.supervisor.core import Asker, Core, ToAsker, ToPeer
from sojourn.hosts.supervisor.errands import Errands
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.errors import UsageError
from sojourn.runtime.handoff.drain import Begin, Drain, Peer, Place, Seen
from sojourn.runtime.job import JobHead, Ownership, PeerRow
from sojourn.runtime.moved import Json
from sojourn.runtime.wire.client import Answer, Failure, Migrate, Progress
from sojourn.runtime.wire.whole_hosts import Drain as DrainCommand

NEWS_EVERY = 0.1
"""Seconds between two lines of news."""


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None: ...  # noqa: D102


class Peers(Protocol):
    """What is needed of the border."""

    def require(self, name: str) -> PeerRow:
        """Give a paired host, or raise."""
        ...

    def standing(self) -> list[Peer]:
        """Give the paired hosts, and which of them take jobs now."""
        ...


class Moves(Protocol):
    """What is needed of the hand-offs."""

    def rows_under_way(self) -> set[int]: ...  # noqa: D102
    def abort_for(self, row: int, reason: str) -> bool: ...  # noqa: D102

    def unacknowledged(self) -> list[str]:
        """Name the jobs that were released over a link and not acknowledged."""
        ...


class Draining:
    """The drain of this host, if one is under way.

    Args:
        core: shared state.
        answers: tells those who asked.
        moves: the hand-offs.
        peers: the paired hosts.
        errands: moves single jobs.
    """

    def __init__(
        self, core: Core, answers: Answers, moves: Moves, peers: Peers, errands: Errands
    ) -> None:
        self._core = core
        self._answers = answers
        self._moves = moves
        self._peers = peers
        self._errands = errands
        self._drain: Drain | None = None
        self._last: Drain | None = None
        """The one that ended last under this cordon: asked for again, it tells of all that it moved."""
        self._grace: float | None = None
        self._askers: list[Asker] = []
        self._told: Json = {}
        self._tell_from = 0.0
        self.entries: list[Json] = []
        """What the last drain came to."""

    @property
    def over(self) -> bool:
        """Whether none is under way."""
        return self._drain is None

    def status(self) -> str:
        """Say in a line how far it is; empty where none is under way."""
        if self._drain is None:
            return ""
        news = self._drain.news()
        left = news["waiting"] + len(news["under_way"]) + len(news["in_doubt"])
        return f"draining: {news['moved']} jobs moved, {left} to go, {len(news['stays'])} can't move"

    def check(self, command: DrainCommand) -> None:
        """See that a drain can be meant.

        Raises:
            UsageError: if it goes to this host itself.
            NotFound: if it goes to a host that isn't paired.
        """
        if command.to == self._core.host:
            raise UsageError(f"host {self._core.host!r} can't be drained to itself: name another with --to")
        if command.to is not None:
            self._peers.require(command.to)

    def begin(self, asker: Asker | None, command: DrainCommand) -> None:
        """Begin, or go on with the options of this command; nobody waits for it where ``asker`` is None."""
        now = self._core.read_clocks().monotonic
        deadline = None if command.deadline is None else now + command.deadline
        drain = self._drain or self._last
        if drain is None:
            drain = Drain(self._core.host, command.to, deadline)
        else:
            drain.go_on(command.to, deadline)
        self._drain, self._last = drain, None
        self._grace = command.grace
        if asker is not None and asker not in self._askers:
            self._askers.append(asker)
        self._told = {}
        self._core.log.info("drain", to=command.to, deadline=command.deadline)

    def end(self) -> None:
        """The cordon is lifted: see ``Drain.end``."""
        self._last = None
        if self._drain is not None:
            self._drain.end()

    def gone(self, asker: Asker) -> None:
        """Someone who watched went away; the drain goes on."""
        self._askers = [one for one in self._askers if one != asker]

    # --- the reactor's interface --------------------------------------------------------------------

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """See ``Part``."""
        return []

    def receive(self) -> None:
        """See ``Part``."""

    def loaded(self, answer: LoadAnswer) -> None:
        """See ``Part``."""

    def before_commit(self, round_: Round) -> None:
        """See ``Part``."""

    def after_commit(self, committed: Round) -> None:  # noqa: ARG002 - whatever was in it
        """See ``Part``."""
        self._work()

    def deliver(self, peer: str, messages: Sequence[ToPeer]) -> None:
        """See ``Part``; the border sends."""

    def deliver_relayed(self, asker: Asker, answer: Any) -> None:
        """See ``Part``; the border sends."""

    def tick(self) -> float | None:
        """See ``Part``."""
        self._work()
        return None if self._drain is None else self._drain.wake_at(self._core.read_clocks().monotonic)

    def close(self) -> None:
        """See ``Part``."""

    # --- the drain ------------------------------------------------------------------------------------

    def _work(self) -> None:
        drain = self._drain
        if drain is None or self._core.stopping:
            return
        now = self._core.read_clocks().monotonic
        if drain.look_is_due(now):
            self._look(drain, now)
        for job_id in drain.to_abort(now):
            known = self._core.head(job_id)
            if known is not None:
                self._moves.abort_for(known[0], "the drain's deadline passed")
        begun = drain.next(now)
        for begin in begun:
            move = Migrate(begin.job_id, begin.host, self._grace)
            self._errands.ask(move, partial(self._answered, drain, begin))
        self._tell(drain, now)
        if not begun and drain.over(now):
            self._look(drain, now)
            if drain.over(now):
                self._finish(drain, now)

    def _look(self, drain: Drain, now: float) -> None:
        core = self._core
        given = set(self._moves.unacknowledged())
        busy = self._moves.rows_under_way()
        names = dict.fromkeys((*drain.unsettled(), *given))
        names.update(
            (job.head.job_id, None)
            for job in sorted(core.engine.book.jobs.values(), key=lambda job: job.row)
            if job.head.ownership is Ownership.OWNED and not job.head.status.finished
        )
        seen: dict[str, Seen] = {}
        for job_id in names:
            known = core.head(job_id)
            if known is not None:
                row, head = known
                seen[job_id] = self._seen(row, head, given=job_id in given, busy=row in busy)
        drain.see(seen, self._peers.standing(), now)

    def _seen(self, row: int, head: JobHead, *, given: bool, busy: bool) -> Seen:
        core = self._core
        flow = head.flow_digest
        if given:
            return Seen(flow, Place.GIVEN, head.moved_to or "")
        if head.ownership is not Ownership.OWNED:
            figures = arrived(head, core.host)
            file = "it is in a file, for that host alone" if head.ownership is Ownership.RELEASED else ""
            return Seen(
                flow, Place.GONE, figures["host"] or "", file, figures["epoch"], figures["bytes"],
                figures["to"] or "",
            )
        if head.status.finished:
            return Seen(flow, Place.ENDED, head.status.value)
        if row in core.withheld:
            return Seen(flow, Place.HELD, why=core.withheld[row])
        if busy or head.cancelling:
            return Seen(flow, Place.BUSY)
        return Seen(flow, Place.HERE)

    def _answered(self, drain: Drain, begin: Begin, answer: Answer) -> None:
        if drain is not self._drain or isinstance(answer, Progress):
            return  # of an earlier drain: this one looks for itself
        if isinstance(answer, Failure):
            now = self._core.read_clocks().monotonic
            drain.failed(begin.job_id, begin.host, answer.kind, answer.message, now)
        else:
            drain.moved(json.loads(answer.body))

    def _tell(self, drain: Drain, now: float) -> None:
        if not self._askers or now < self._tell_from:
            return
        news = drain.news()
        if news != self._told:
            self._told = news
            self._tell_from = now + NEWS_EVERY
            body = json.dumps(news).encode()
            for asker in self._askers:
                self._core.send(ToAsker(asker, Progress(asker.request, body)))

    def _finish(self, drain: Drain, now: float) -> None:
        self._drain = None
        self._last = drain if self._core.cordoned else None
        self.entries = drain.entries(now)
        askers, self._askers = self._askers, []
        self._core.log.info(
            "drained", **{
                str(outcome): sum(entry["outcome"] == outcome for entry in self.entries)
                for outcome in sorted({entry["outcome"] for entry in self.entries})
            },
        )
        for asker in askers:
            self._answers.reply(asker, {"host": self._core.host, "jobs": self.entries})
