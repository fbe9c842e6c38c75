"""Doubts about who owns a job: what is open, which command is safe, and how an operator ends one by force.

Force is for a host that is gone for good. Every reachable paired host is asked first; nothing is written
where one of them has the job at a later epoch, or where the other side of the hand-off can still answer.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from sojourn.hosts.supervisor.claims import Contests
from sojourn.hosts.supervisor.core import Asker, Core
from sojourn.runtime.errors import Refused, SojournError, UsageError
from sojourn.runtime.handoff.claims import against_resolving
from sojourn.runtime.handoff.table import SourceState, TargetState
from sojourn.runtime.job import HandoffRow, JobHead
from sojourn.runtime.wire.claims import Claim
from sojourn.runtime.wire.client import Resolve

ACCEPT, RECLAIM = "accept", "reclaim"


class OpenHandoff(msgspec.Struct):
    """A hand-off that has a machine here.

    Attributes:
        m: its id.
        job_id: the job.
        role: ``source`` or ``target``.
        state: of this side's machine.
        peer: the other side.
        epoch: epoch that the source holds.
        instance: of the job.
        peer_store: store of the other side that the record names; empty where it names none.
        row: the job's row; 0 where it has none yet.
    """

    m: str
    job_id: str
    role: str
    state: str
    peer: str
    epoch: int
    instance: str
    peer_store: str
    row: int

    @property
    def in_doubt(self) -> bool:
        """Whether only the other side can say how it ends."""
        return self.state in (SourceState.RELEASED, TargetState.PREPARED) or self.unconfirmed

    @property
    def unconfirmed(self) -> bool:
        """Whether the job is owned here, and the source may not know it."""
        return self.role == "target" and self.state == TargetState.OWNED


class Moves(Protocol):
    """What is needed of the hand-offs."""

    def open_handoffs(self) -> list[OpenHandoff]: ...  # noqa: D102
    def resolve(self, open_: OpenHandoff) -> None: ...  # noqa: D102


class Links(Protocol):
    """What is needed of the connections."""

    def connected(self, peer: str) -> bool: ...  # noqa: D102
    def store_of(self, peer: str) -> str | None: ...  # noqa: D102
    def names(self) -> set[str]: ...  # noqa: D102


class Answers(Protocol):
    """What is needed of the desk."""

    def reply(self, asker: Asker, body: dict[str, Any]) -> None: ...  # noqa: D102
    def fail(self, asker: Asker, error: SojournError) -> None: ...  # noqa: D102


class Resolving:
    """Lists what is open and ends doubts.

    Args:
        core: shared state.
        moves: the hand-offs.
        contests: asks peers.
        links: connections to them.
        answers: tells those who asked.
    """

    def __init__(
        self, core: Core, moves: Moves, contests: Contests, links: Links, answers: Answers
    ) -> None:
        self._core = core
        self._moves = moves
        self._contests = contests
        self._links = links
        self._answers = answers

    # --- looking ----------------------------------------------------------------------------------

    def listed(self, job: str | None) -> dict[str, Any]:
        """Describe what is open or contested; of one job, what has ended, too.

        Args:
            job: id or prefix; None for all.

        Raises:
            NotFound: if there is no such job.
        """
        wanted = None if job is None else self._name(job)
        found = [
            self._described(entry) for entry in self._moves.open_handoffs()
            if wanted in (None, entry.job_id) and not self._settled(entry)
        ]
        found.extend(self._contested(wanted))
        if wanted is not None:
            known = {entry["m"] for entry in found}
            found.extend(
                self._ended(row) for row in self._core.store.handoffs()
                if row.job_id == wanted and row.m not in known
            )
        return {"handoffs": found}

    def _name(self, job: str) -> str:
        for entry in self._moves.open_handoffs():
            if job in (entry.job_id, entry.m):
                return entry.job_id
        return self._core.find(job)[1].job_id

    def _settled(self, entry: OpenHandoff) -> bool:
        """A job that is owned here and runs is no one's doubt, though its source hasn't answered yet."""
        return entry.unconfirmed and entry.row not in self._core.withheld

    def _described(self, entry: OpenHandoff) -> dict[str, Any]:
        why, command = self._advice(entry)
        return {
            "m": entry.m, "job_id": entry.job_id, "role": entry.role, "state": entry.state,
            "peer": entry.peer, "epoch": entry.epoch, "connected": self._links.connected(entry.peer),
            "in_doubt": entry.in_doubt, "owner": self._owner(entry), "why": why, "command": command,
        }

    def _owner(self, entry: OpenHandoff) -> str | None:
        """Name the owner as far as this host can know it."""
        if entry.unconfirmed:
            return self._core.host
        if entry.in_doubt:
            return None
        return self._core.host if entry.role == "source" else entry.peer

    def _advice(self, entry: OpenHandoff) -> tuple[str, str]:
        """Give what holds the hand-off up, and the command that is safe."""
        peer = entry.peer
        if not entry.in_doubt:
            return "under way", f"sojourn wait {entry.job_id}"
        gone = f"if it is gone for good: sojourn handoff resolve {entry.job_id} --force "
        if entry.role == "source":
            if self._replaced(entry):
                return (
                    f"host {peer!r} was given the job, but has another store now, which doesn't know it",
                    f"sojourn handoff resolve {entry.job_id} --force {RECLAIM}",
                )
            return (
                f"host {peer!r} was given the job and hasn't acknowledged it; it is told again and again",
                f"start host {peer!r}; {gone}{RECLAIM}",
            )
        if entry.unconfirmed:
            return (
                f"host {peer!r} gave the job and hasn't confirmed it yet",
                f"start host {peer!r}; {gone}{ACCEPT}",
            )
        return (
            f"host {peer!r} decides whether the job is here or stayed there; it is asked again and again",
            f"start host {peer!r}; {gone}{ACCEPT}",
        )

    def _replaced(self, entry: OpenHandoff) -> bool:
        """Whether the other side answers, but with another store than the one that took part."""
        store = self._links.store_of(entry.peer) if self._links.connected(entry.peer) else None
        return bool(entry.peer_store) and store is not None and store != entry.peer_store

    def _contested(self, wanted: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for job in self._core.engine.book.jobs.values():
            head = job.head
            if head.contested_by is None or wanted not in (None, head.job_id):
                continue
            found.append({
                "m": None, "job_id": head.job_id, "role": "owner", "state": "two owners",
                "peer": head.contested_by, "epoch": head.epoch,
                "connected": self._links.connected(head.contested_by), "in_doubt": True, "owner": None,
                "why": f"host {head.contested_by!r} holds it at the same epoch",
                "command": (
                    f"on the host that shall keep it: sojourn handoff resolve {head.job_id} "
                    f"--force {RECLAIM}"
                ),
            })
        return found

    def _ended(self, row: HandoffRow) -> dict[str, Any]:
        return {
            "m": row.m, "job_id": row.job_id, "role": row.role, "state": row.state, "peer": row.peer,
            "epoch": row.epoch, "connected": self._links.connected(row.peer), "in_doubt": False,
            "owner": row.peer if row.state == SourceState.GONE else self._core.host, "why": "ended",
            "command": f"sojourn show {row.job_id}",
        }

    # --- ending a doubt ---------------------------------------------------------------------------

    def resolve(self, asker: Asker, command: Resolve) -> None:
        """End a doubt by force; answered once every reachable host has been asked.

        Raises:
            Refused: if nothing is in doubt here, or the other side can answer.
            UsageError: if the doubt can't be ended in that way.
        """
        core = self._core
        job_id = self._name(command.job)
        entry = next(
            (e for e in self._moves.open_handoffs() if e.job_id == job_id and e.in_doubt
             and not self._settled(e)), None,
        )
        known = core.head(job_id)
        head = known[1] if known is not None else None
        contested = head is not None and head.contested_by is not None
        if entry is None and not contested:
            raise Refused(
                f"nothing about job {job_id} is in doubt on host {core.host!r}: "
                f"`sojourn handoff show {job_id}` tells what is known"
            )
        needed = RECLAIM if contested or entry is None or entry.role == "source" else ACCEPT
        if command.how != needed:
            raise UsageError(
                f"host {core.host!r} can only {needed} job {job_id}: "
                f"`sojourn handoff resolve {job_id} --force {needed}`"
            )
        if entry is not None:
            self._refuse_answerable(entry)
        self._contests.ask_all(
            job_id, self._links.names(),
            lambda claims, silent: self._decide(asker, job_id, entry, claims, silent),
        )

    def _refuse_answerable(self, entry: OpenHandoff) -> None:
        if self._links.connected(entry.peer) and not self._replaced(entry):
            raise Refused(
                f"job {entry.job_id} needs no force: host {entry.peer!r} can be reached from host "
                f"{self._core.host!r} and ends the doubt itself; `sojourn handoff show {entry.job_id}`"
            )

    def _decide(
        self, asker: Asker, job_id: str, entry: OpenHandoff | None, claims: list[tuple[str, Claim]],
        silent: set[str],
    ) -> None:
        core = self._core
        try:
            epoch = self._decided(job_id, entry, claims)
        except SojournError as error:
            self._answers.fail(asker, error)
            return
        unreachable = {peer for peer in self._links.names() if not self._links.connected(peer)}
        core.log.warning("doubt ended by force", job=job_id, epoch=epoch)
        self._answers.reply(
            asker,
            {
                "job_id": job_id, "epoch": epoch, "host": core.host,
                "asked": sorted({peer for peer, _ in claims}),
                "unreachable": sorted(unreachable | silent),
            },
        )

    def _decided(
        self, job_id: str, entry: OpenHandoff | None, claims: list[tuple[str, Claim]]
    ) -> int:
        core = self._core
        known = core.head(job_id)
        if entry is None:
            assert known is not None
            return self._keep(known[0], known[1], claims)
        problem = against_resolving(entry.instance, entry.epoch, claims)
        if problem is not None:
            raise Refused(problem)
        if entry.unconfirmed:
            self._confirm(entry)
        else:
            self._moves.resolve(entry)
        return entry.epoch + 2

    def _confirm(self, entry: OpenHandoff) -> None:
        """The job is owned here at e+1; one epoch more outlasts a source that took it back meanwhile."""
        job = self._core.engine.job(entry.row)
        if job is not None:
            job.head.epoch = entry.epoch + 2
            job.head.by_force = True
            self._core.engine.book.save(job, self._core.round)
        self._moves.resolve(entry)

    def _keep(self, row: int, head: JobHead, claims: list[tuple[str, Claim]]) -> int:
        """Of two owners this one keeps the job: the other gives way to its epoch."""
        problem = against_resolving(head.instance, head.epoch, claims)
        if problem is not None:
            raise Refused(problem)
        job = self._core.engine.job(row)
        assert job is not None
        job.head.epoch += 2
        job.head.by_force = True
        job.head.contested_by = None
        self._core.engine.book.save(job, self._core.round)
        self._contests.settle(row)
        return job.head.epoch
