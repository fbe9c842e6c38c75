"""Which process gets which message, and how many ahead: pure bookkeeping over the engine's actors.

A process is sent as much ahead as it works off in ``HORIZON`` seconds, measured: hundreds of turns of
microseconds, one of a long turn. A non-parallel actor stays with one process while messages of it are
out there. Starts no process and sends nothing: it says what to send and how many processes are wanted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sojourn.runtime.engine.book import Book
from sojourn.runtime.engine.model import Actor, Message
from sojourn.runtime.progress_page import RING
from sojourn.runtime.wire.actor import Dispatch, Ending, JobContext, Result, Turn

HORIZON = 0.02
"""Seconds of work that a process is sent ahead."""

LARGEST_WINDOW = min(512, RING // 2)
SMOOTHING = 0.3
"""Weight of the newest batch in the average turn time."""

PoolKey = tuple[str, str]
"""(flow digest, routine)."""


class Worker:
    """One actor process, as far as handing out goes.

    Args:
        name: its name.
        pool: whose routine it runs.
        code: code fingerprint that it runs.
    """

    __slots__ = (
        "acknowledged", "average", "busy_since", "code", "name", "outstanding", "pool",
        "recalling", "seen", "stopping", "window",
    )

    def __init__(self, name: str, pool: PoolKey, code: str) -> None:
        self.name = name
        self.pool = pool
        self.code = code
        self.window = 1
        self.average = HORIZON
        self.outstanding: dict[int, Message] = {}
        self.seen: dict[int, int] = {}
        """job row → version of its shared map that the process has."""
        self.acknowledged = 0
        self.busy_since = 0.0
        self.recalling = 0
        """Recalls that it hasn't answered."""
        self.stopping = False

    def room(self, now: float) -> int:
        """How many more messages it may be sent (``now``: monotonic seconds)."""
        if self.stopping or self.recalling:
            return 0
        window = self.window
        if self.outstanding and now - self.busy_since > HORIZON:
            window = 1
        return window - len(self.outstanding)

    def learn(self, results: Iterable[Result], now: float) -> None:
        """Adapt the window to a batch of results."""
        spent = 0.0
        turns = 0
        checkpoint = Ending.CHECKPOINT  # which takes long to look up
        for result in results:
            if result.ending is checkpoint:
                continue
            spent += max(0.0, result.ended - result.started)
            turns += 1
        self.busy_since = now
        if turns == 0:
            return
        self.average += SMOOTHING * (spent / turns - self.average)
        fits = int(HORIZON / max(self.average, 1e-9))
        self.window = max(1, min(fits, self.window * 2, LARGEST_WINDOW))


class Pool:
    """The processes of one routine of one flow, and the actors that have work for them."""

    __slots__ = ("key", "parallel", "processes", "queue", "workers")

    def __init__(self, key: PoolKey, processes: int, parallel: bool) -> None:
        self.key = key
        self.processes = processes
        self.parallel = parallel
        self.workers: dict[str, Worker] = {}
        self.queue: deque[Actor] = deque()

    def wanted(self) -> int:
        """How many processes it could use now."""
        if not self.queue or len(self.workers) >= self.processes:
            return len(self.workers)
        busy = sum(1 for worker in self.workers.values() if worker.outstanding)
        waiting = 0
        for actor in self.queue:
            if busy + waiting >= self.processes:
                break  # a hundred thousand that wait want no more than this
            if self.parallel:
                waiting += len(actor.ready) if actor.has_work() else 0
            else:
                waiting += actor.messages_out == 0 and actor.has_work()
        return min(self.processes, max(busy + waiting, len(self.workers)))

    def prune(self) -> None:
        """Take out actors that have nothing to run, so that no process is wanted for them."""
        for _ in range(len(self.queue)):
            actor = self.queue.popleft()
            if actor.has_work():
                self.queue.append(actor)
            else:
                actor.listed = False


class Assignment:
    """What one process is to be sent."""

    __slots__ = ("dispatch", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.dispatch = Dispatch(worker.acknowledged, [], [])


class Dispatcher:
    """Hands messages to processes.

    Args:
        book: the engine's memory.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.pools: dict[PoolKey, Pool] = {}
        self.workers: dict[str, Worker] = {}
        self._next = 1

    def add_worker(self, worker: Worker) -> None:
        """Take a process that can run turns."""
        self.workers[worker.name] = worker
        self.pools[worker.pool].workers[worker.name] = worker

    def remove_worker(self, name: str) -> Worker | None:
        """Take a process out; what it had out is the caller's to settle."""
        worker = self.workers.pop(name, None)
        if worker is not None:
            self.pools[worker.pool].workers.pop(name, None)
        return worker

    def pool(self, actor: Actor) -> Pool:
        """Give the pool of an actor, made at first use."""
        key = actor.pool
        pool = self.pools.get(key)
        if pool is None:
            pool = Pool(key, actor.spec.processes, actor.spec.parallel)
            self.pools[key] = pool
        return pool

    def returned(self, worker: Worker, results: list[Result], now: float) -> list[Result]:
        """Book results in: they are no longer out, and the window learns from them.

        Returns:
            The results of messages that were really out at this process.
        """
        outstanding = worker.outstanding
        known = [result for result in results if result.dispatch in outstanding]
        checkpoint = Ending.CHECKPOINT  # which takes long to look up
        for result in known:
            if result.ending is not checkpoint:
                outstanding.pop(result.dispatch, None)
        worker.acknowledged += len(results)
        worker.learn(known, now)
        return known

    def forget(self, row: int) -> list[Worker]:
        """A job is gone: give the processes that know it."""
        knowing = [worker for worker in self.workers.values() if row in worker.seen]
        for worker in knowing:
            del worker.seen[row]
        return knowing

    def holders(self, row: int) -> list[Worker]:
        """Give the processes that have messages of a job."""
        return [
            worker for worker in self.workers.values()
            if any(message.actor.job.row == row for message in worker.outstanding.values())
        ]

    def assign(self, now: float) -> list[Assignment]:
        """Hand out what can be handed out.

        Args:
            now: monotonic seconds.

        Returns:
            One dispatch per process that gets something.
        """
        self.enqueue()
        sending: dict[str, Assignment] = {}
        for pool in self.pools.values():
            if pool.queue and pool.workers:
                self._serve(pool, sending, now)
        return list(sending.values())

    def starved(self, now: float) -> list[Worker]:
        """Give processes whose messages sent ahead should be called back, since another is idle."""
        found: list[Worker] = []
        for pool in self.pools.values():
            if len(pool.workers) < 2 or not any(
                not worker.outstanding and worker.room(now) > 0 for worker in pool.workers.values()
            ):
                continue
            found.extend(
                worker for worker in pool.workers.values()
                if len(worker.outstanding) > 1 and not worker.recalling
                and now - worker.busy_since > HORIZON and _movable(pool, worker)
            )
        return found

    def enqueue(self) -> None:
        """Put the actors that got work since last time into the queues of their pools."""
        woken = self._book.woken
        if not woken:
            return
        for actor in woken:
            self.pool(actor).queue.append(actor)
        woken.clear()

    def _serve(self, pool: Pool, sending: dict[str, Assignment], now: float) -> None:
        """Serve a pool's actors in turn: one that got something goes behind those that didn't.

        Ends where no process has room, so that its cost follows what is handed out and not how many wait.
        """
        unserved: list[Actor] = []
        served: list[Actor] = []
        queue = pool.queue
        workers = pool.workers.values()
        while queue and any(worker.room(now) > 0 for worker in workers):
            actor = queue.popleft()
            got = False
            while actor.has_work():
                worker = self._choose(pool, actor, now)
                if worker is None:
                    break
                got = True
                assignment = sending.get(worker.name)
                if assignment is None:
                    assignment = sending[worker.name] = Assignment(worker)
                share = worker.room(now)
                if pool.parallel:
                    share = min(share, -(-len(actor.ready) // len(pool.workers)))
                self._hand_out(actor, worker, share, assignment.dispatch, now)
            if not actor.has_work():
                actor.listed = False
            else:
                (served if got else unserved).append(actor)
        queue.extendleft(reversed(unserved))
        queue.extend(served)

    def _choose(self, pool: Pool, actor: Actor, now: float) -> Worker | None:
        home = pool.workers.get(actor.home) if actor.home is not None else None
        if not pool.parallel and actor.messages_out:
            return home if home is not None and home.room(now) > 0 else None
        if home is not None and not pool.parallel and not home.outstanding and home.room(now) > 0:
            return home
        best: Worker | None = None
        for worker in pool.workers.values():
            if worker.room(now) > 0 and (
                best is None or len(worker.outstanding) < len(best.outstanding)
            ):
                best = worker
        return best

    def _hand_out(
        self, actor: Actor, worker: Worker, share: int, dispatch: Dispatch, now: float
    ) -> None:
        job = actor.job
        row = job.row
        if actor.spec.parallel:
            fresh = row not in worker.seen
        else:
            fresh = actor.home != worker.name
            actor.home = worker.name
        context: JobContext | None = job.context(actor, worker.seen.get(row), attributes=fresh)
        if context is not None:
            dispatch.contexts.append(context)
            worker.seen[row] = job.shared_version
        if not worker.outstanding:
            worker.busy_since = now
        taken = 0
        while taken < share and actor.has_work():
            message = actor.take()
            number = self._next
            self._next = number + 1
            message.dispatch = number
            self._book.outstanding[number] = message
            worker.outstanding[number] = message
            dispatch.turns.append(
                Turn(number, row, message.number, message.slot, message.attempts + 1,
                     message.data, message.progress)
            )
            taken += 1
        actor.messages_out += taken
        job.out += taken


def _movable(pool: Pool, worker: Worker) -> bool:
    """Whether something sent ahead to a process could run in another one."""
    if pool.parallel:
        return True
    first = next(iter(worker.outstanding.values())).actor
    return any(message.actor is not first for message in worker.outstanding.values())
