"""How long each actor of a job would have to be waited for, from what is measured of its turns.

Looks only: at the processes' progress pages, the job's history and the checkpoints that were committed.
"""

from __future__ import annotations

import msgspec

from sojourn.hosts.supervisor.core import Core
from sojourn.hosts.supervisor.fleet import Fleet
from sojourn.runtime.engine.inputs import Round
from sojourn.runtime.engine.model import Job
from sojourn.runtime.handoff.dry_run import Actor, middle
from sojourn.runtime.job import Outcome

TURNS_LOOKED_AT = 200
"""Attempts of a job's history by which its turns' time is judged."""


class _Checkpoints(msgspec.Struct):
    """The checkpoints of one attempt: last (monotonic), and how far the last two are apart."""

    last: float
    apart: float | None = None


class SafePoints:
    """What is known of the turns in flight.

    Args:
        core: shared state.
        fleet: knows what its processes execute.
    """

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet
        self._checkpoints: dict[int, _Checkpoints] = {}
        """Dispatch id → checkpoints of the attempt."""

    def note(self, committed: Round) -> None:
        """Remember the checkpoints of a committed round."""
        if not committed.checkpoints:
            return
        now = self._core.now.monotonic
        out = self._core.engine.book.outstanding
        for checkpoint in committed.checkpoints:
            known = self._checkpoints.get(checkpoint.dispatch)
            self._checkpoints[checkpoint.dispatch] = _Checkpoints(
                now, None if known is None else now - known.last
            )
        if len(self._checkpoints) > 2 * len(out) + len(committed.checkpoints):
            self._checkpoints = {key: known for key, known in self._checkpoints.items() if key in out}

    def actors(self, row: int, grace: float | None) -> list[Actor]:
        """Describe the actors of a job: one entry per turn in flight, and one per actor without any.

        Args:
            row: the job's row.
            grace: seconds that its turns would get; None for their routines' own.
        """
        core = self._core
        job = core.engine.job(row)
        if job is None:
            return []
        typical = self._typical(job)
        found = [
            actor for worker in core.dispatcher.holders(row)
            if (actor := self._in_flight(job, worker.name, typical, grace)) is not None
        ]
        busy = {actor.routine for actor in found}
        found.extend(
            Actor(
                routine.id, typical=typical.get(routine.id), grace=self._grace(job, routine.id, grace)
            )
            for routine in job.plan.spec.routines if routine.id not in busy
        )
        return sorted(found, key=lambda actor: (actor.routine, actor.message or 0))

    def _in_flight(
        self, job: Job, process: str, typical: dict[str, float], grace: float | None
    ) -> Actor | None:
        running = self._fleet.glance(process)
        if running is None or not running.in_flight or running.job != job.row:
            return None
        message = job.messages.get(running.message)
        if message is None:
            return None
        now = self._core.now
        routine = message.actor.routine
        checkpoints = self._checkpoints.get(running.begun)
        return Actor(
            routine, running.message, running.attempt, running.wall_start,
            max(0.0, now.monotonic - running.monotonic_start), typical.get(routine),
            None if checkpoints is None else now.monotonic - checkpoints.last,
            None if checkpoints is None else checkpoints.apart,
            self._grace(job, routine, grace),
        )

    def _grace(self, job: Job, routine: str, grace: float | None) -> float:
        if grace is not None:
            return grace
        own = job.plan.routines[routine].grace
        return self._core.options.grace if own is None else own

    def _typical(self, job: Job) -> dict[str, float]:
        """Give the usual seconds of a turn per routine, by attempts that came to their end."""
        took: dict[str, list[float]] = {}
        after = max(0, job.next_sequence - 1 - TURNS_LOOKED_AT)
        for entry in self._core.store.history_after(job.row, after, TURNS_LOOKED_AT):
            if entry.outcome != Outcome.INTERRUPTED:
                took.setdefault(entry.routine, []).append(max(0.0, entry.ended - entry.started))
        return {
            routine: seconds for routine, times in took.items() if (seconds := middle(times)) is not None
        }
