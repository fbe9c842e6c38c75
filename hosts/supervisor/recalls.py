"""Calling back what was sent ahead, and ending what is in flight: for freezes, pauses, cancels and stops.

Says which processes are overdue; killing them is the fleet's.
"""

from __future__ import annotations

from sojourn.hosts.supervisor.core import Core, ToProcess
from sojourn.runtime.dispatch import Worker
from sojourn.runtime.wire.actor import Recall, Unyield, Yield


class Recalls:
    """Recalls and graces under way.

    Args:
        core: shared state.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._next_recall = 1
        self._deadlines: dict[tuple[int, str], float] = {}
        """(job row, process) → when its turn is killed."""

    def recall(self, row: int) -> None:
        """Call back everything of a job that was sent ahead and hasn't begun."""
        for worker in self._core.dispatcher.holders(row):
            self.recall_from(worker, row)

    def rebalance(self) -> None:
        """Call back what waits behind a slow turn while another process is idle."""
        for worker in self._core.dispatcher.starved(self._core.now.monotonic):
            self.recall_from(worker, None)

    def recall_all(self) -> None:
        """Call back everything that hasn't begun."""
        for worker in self._core.dispatcher.workers.values():
            if worker.outstanding:
                self.recall_from(worker, None)

    def recall_from(self, worker: Worker, row: int | None) -> None:
        """Call back what a process has of a job (None: of all) and hasn't begun."""
        worker.recalling += 1
        self._core.send(ToProcess(worker.name, Recall(self._next_recall, row)))
        self._next_recall += 1

    def hurry(self, row: int, grace: float | None) -> None:
        """Ask a job's turns in flight to end, and kill them after their grace.

        Args:
            row: the job.
            grace: seconds; None for the routine's own, or the host's.
        """
        core = self._core
        for worker in core.dispatcher.holders(row):
            spec = core.plan(worker.pool[0]).routines[worker.pool[1]]
            own = spec.grace if spec.grace is not None else core.options.grace
            seconds = own if grace is None else grace
            core.send(ToProcess(worker.name, Yield(row, seconds)))
            self._deadlines[(row, worker.name)] = core.now.monotonic + seconds

    def calm(self, row: int) -> None:
        """Call that off."""
        for key in [key for key in self._deadlines if key[0] == row]:
            del self._deadlines[key]
            self._core.send(ToProcess(key[1], Unyield(row)))

    def overdue(self) -> list[str]:
        """Give the processes whose turns' grace is over: they are to be killed."""
        found: list[str] = []
        now = self._core.now.monotonic
        for (row, name), deadline in list(self._deadlines.items()):
            worker = self._core.dispatcher.workers.get(name)
            has = worker is not None and any(
                message.actor.job.row == row for message in worker.outstanding.values()
            )
            if not has:
                del self._deadlines[(row, name)]
            elif deadline <= now and worker is not None and not worker.recalling:
                del self._deadlines[(row, name)]
                found.append(name)
        return found

    def hurry_all(self, grace: float) -> None:
        """Ask every turn in flight to end, and kill after the grace (seconds)."""
        for worker in self._core.dispatcher.workers.values():
            for row in {message.actor.job.row for message in worker.outstanding.values()}:
                self._core.send(ToProcess(worker.name, Yield(row, grace)))
                self._deadlines[(row, worker.name)] = self._core.now.monotonic + grace

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which the next grace is over."""
        return min(self._deadlines.values(), default=None)
