"""Calling back what was sent ahead, and ending what is in flight: for freezes, pauses, cancels and stops.

Says which processes are overdue; killing them is the fleet's.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.hosts.supervisor.core import Core, ToProcess
from sojourn.runtime.pool import Worker
from sojourn.runtime.wire.actor import Recall, Unyield, Yield

STUCK_SECONDS = 0.25
"""How long an answer to a recall is waited for beyond the grace, and between two looks after that."""


class Recalls:
    """Recalls and graces under way.

    Args:
        core: shared state.
        running: gives the row of the job whose turn a process executes now, 0 for none.
    """

    def __init__(self, core: Core, running: Callable[[str], int]) -> None:
        self._core = core
        self._running = running
        self._next_recall = 1
        self._deadlines: dict[tuple[int, str], float] = {}
        """(job row, process) → when its turn is killed."""
        self._looks: dict[tuple[int, str], float] = {}
        """The same → when to look again, where a recall wasn't answered by then."""
        self._hurried: dict[int, dict[str, None]] = {}
        """Job row → processes that were told to end its turns."""

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
            self._hurried.setdefault(row, {})[worker.name] = None

    def calm(self, row: int) -> None:
        """Call that off."""
        for key in [key for key in self._deadlines if key[0] == row]:
            self._drop(key)
        for name in self._hurried.pop(row, {}):
            self._core.send(ToProcess(name, Unyield(row)))

    def forget(self, row: int) -> None:
        """A job is gone, and its processes are told to forget it: nothing is left to call off."""
        self._hurried.pop(row, None)

    def overdue(self) -> list[str]:
        """Give the processes whose turns' grace is over: they are to be killed.

        A process that still owes the answer to a recall may be running another job's turn, which is not to
        suffer. It may also be unable to answer, since its turn lets no other thread run: then it is killed
        if its page shows that it runs the job's own turn, or none.
        """
        found: list[str] = []
        now = self._core.now.monotonic
        for key, deadline in list(self._deadlines.items()):
            row, name = key
            worker = self._core.dispatcher.workers.get(name)
            if worker is None or not worker.holds(row):
                self._drop(key)
            elif deadline > now:
                continue
            elif not worker.recalling or self._stuck(key, deadline, now):
                self._drop(key)
                found.append(name)
        return found

    def _stuck(self, key: tuple[int, str], deadline: float, now: float) -> bool:
        look = self._looks.setdefault(key, deadline + STUCK_SECONDS)
        if look > now:
            return False
        self._looks[key] = now + STUCK_SECONDS
        return self._running(key[1]) in (key[0], 0)

    def _drop(self, key: tuple[int, str]) -> None:
        del self._deadlines[key]
        self._looks.pop(key, None)

    def hurry_all(self, grace: float) -> None:
        """Ask every turn in flight to end, and kill after the grace (seconds)."""
        for worker in self._core.dispatcher.workers.values():
            for row in {message.actor.job.row for message in worker.outstanding.values()}:
                self._core.send(ToProcess(worker.name, Yield(row, grace)))
                self._deadlines[(row, worker.name)] = self._core.now.monotonic + grace

    def next_deadline(self) -> float | None:
        """Give the monotonic time at which the next grace is over."""
        return min(
            (self._looks.get(key, deadline) for key, deadline in self._deadlines.items()),
            default=None,
        )
