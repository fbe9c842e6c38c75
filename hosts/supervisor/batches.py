"""Moves of several jobs for one asker: side by side, and one that doesn't move stops no other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

import msgspec

from sojourn.hosts.supervisor.core import Asker, Core, ToAsker
from sojourn.hosts.supervisor.errands import Errands
from sojourn.runtime.errors import HandoffInDoubt, SojournError, UsageError
from sojourn.runtime.handoff.drain import AT_ONCE
from sojourn.runtime.job import JobHead, Ownership, PeerRow
from sojourn.runtime.moved import Json, Outcome, moved_entry, other_entry
from sojourn.runtime.wire.client import Answer, Failure, Migrate, Progress
from sojourn.runtime.wire.whole_hosts import MigrateMany


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None: ...  # noqa: D102


class Peers(Protocol):
    """What is needed of the border."""

    def require(self, name: str) -> PeerRow:
        """Give a paired host, or raise."""
        ...


class Batch(msgspec.Struct, eq=False):
    """One request.

    Attributes:
        asker: who waits.
        command: what was asked for.
        names: the jobs, in the order of the answer.
        begun: how many of them were asked to move.
        entries: name → what came of it.
    """

    asker: Asker
    command: MigrateMany
    names: list[str]
    begun: int = 0
    entries: dict[str, Json] = {}


class Batches:
    """All of them.

    Args:
        core: shared state.
        answers: tells those who asked.
        peers: the paired hosts.
        errands: moves single jobs.
    """

    def __init__(self, core: Core, answers: Answers, peers: Peers, errands: Errands) -> None:
        self._core = core
        self._answers = answers
        self._peers = peers
        self._errands = errands

    def begin(self, asker: Asker, command: MigrateMany) -> None:
        """Begin to move several jobs.

        Raises:
            UsageError: if they are to go where they are.
            NotFound: if there is no such host.
        """
        core = self._core
        if command.to == core.host:
            raise UsageError(f"the jobs are asked for on host {core.host!r}: name another one with --to")
        if command.to is not None:
            self._peers.require(command.to)
        names = unfinished(core) if command.jobs is None else self._distinct(command.jobs)
        batch = Batch(asker, command, names)
        self._go_on(batch)

    def _distinct(self, names: Iterable[str]) -> list[str]:
        """Name each job once, whatever it was called; what can't be found is said when its turn comes."""
        found: dict[str, None] = {}
        for name in names:
            try:
                found[self._core.find(name)[1].job_id] = None
            except SojournError:
                found[name] = None
        return list(found)

    def _go_on(self, batch: Batch) -> None:
        """Begin as many as may be under way; answer when all have come to their end."""
        command = batch.command
        while batch.begun < len(batch.names) and batch.begun - len(batch.entries) < AT_ONCE:
            name = batch.names[batch.begun]
            batch.begun += 1
            there = self._there(name, command.to)
            if there is not None:
                batch.entries[name] = there
                continue
            move = Migrate(
                name, command.to, command.grace, command.allow_code_drift, command.max_downtime_ms
            )
            self._errands.ask(move, partial(self._answered, batch, name))
        if len(batch.entries) == len(batch.names):
            found = [batch.entries[name] for name in batch.names]
            self._answers.reply(batch.asker, {"jobs": found})

    def _answered(self, batch: Batch, name: str, answer: Answer) -> None:
        if isinstance(answer, Progress):
            news = {"job_id": name, **json.loads(answer.body)}
            asker = batch.asker
            self._core.send(ToAsker(asker, Progress(asker.request, json.dumps(news).encode())))
            return
        if isinstance(answer, Failure):
            batch.entries[name] = self._failed(name, answer, batch.command.to)
        else:
            batch.entries[name] = moved_entry(json.loads(answer.body))
        self._go_on(batch)

    def _failed(self, name: str, failure: Failure, to: str | None) -> Json:
        head = self._head(name)
        host = None
        if head is not None:
            host = self._core.host if head.ownership is Ownership.OWNED else head.moved_to
        in_doubt = failure.kind == HandoffInDoubt.__name__
        return other_entry(
            name if head is None else head.job_id, Outcome.IN_DOUBT if in_doubt else Outcome.STAYS,
            host=None if in_doubt else host, source=self._core.host, target=to, error=failure.kind,
            reason=failure.message,
        )

    def _there(self, name: str, to: str | None) -> Json | None:
        """Describe a job that is at its target already: this was asked for before, or by somebody else."""
        head = self._head(name)
        if head is None or to is None or head.ownership is not Ownership.GONE or head.moved_to != to:
            return None
        return moved_entry(arrived(head, self._core.host))

    def _head(self, name: str) -> JobHead | None:
        try:
            return self._core.find(name)[1]
        except SojournError:
            return None


def unfinished(core: Core) -> list[str]:
    """Name every unfinished job that this host owns, oldest first."""
    jobs = core.engine.book.jobs.values()
    own = [
        job for job in jobs if job.head.ownership is Ownership.OWNED and not job.head.status.finished
    ]
    return [job.head.job_id for job in sorted(own, key=lambda job: job.row)]


def arrived(head: JobHead, host: str) -> Json:
    """Describe the move that took a job away from a host, as far as is known of it there."""
    last = head.handoffs[-1] if head.handoffs else None
    known = last if last is not None and last.epoch == head.epoch + 1 else None
    return {
        "job_id": head.job_id, "from": host, "to": head.given_to or head.moved_to, "host": head.moved_to,
        "epoch": head.epoch + 1,
        "bytes": 0 if known is None else known.bytes,
        "phases_ms": None if known is None else known.phases_ms,
        "downtime_ms": None if known is None else known.downtime_ms,
    }
