"""Which process gets which message, and how many ahead: pure bookkeeping over the engine's actors.

A process is sent as much ahead as it works off in ``HORIZON`` seconds, measured: hundreds of turns of
microseconds, one of a long turn. A non-parallel actor stays with one process while messages of it are
out there. Who comes next is the pool's to say. Starts no process and sends nothing: it says what to send
and how many processes are wanted. What a round costs follows what changed in it, not how much there is.
"""

from __future__ import annotations

from collections.abc import Iterable

from sojourn.runtime.engine.book import Book
from sojourn.runtime.engine.model import Actor
from sojourn.runtime.pool import HORIZON, Pool, PoolKey, Worker
from sojourn.runtime.wire.actor import Dispatch, Ending, JobContext, Result, Turn


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
        self.busy: dict[str, Worker] = {}
        """The processes that have messages."""
        self._stirred: dict[PoolKey, Pool] = {}
        """Pools that got work or room since the last handing out."""
        self._short: dict[PoolKey, Pool] = {}
        """Pools that may have work for more processes than they have."""
        self._knowing: dict[int, list[Worker]] = {}
        """Job row → processes that were told of the job."""
        self._next = 1

    def add_worker(self, worker: Worker) -> None:
        """Take a process that can run turns."""
        self.workers[worker.name] = worker
        pool = self.pools[worker.pool]
        pool.workers[worker.name] = worker
        self._stirred[worker.pool] = pool

    def remove_worker(self, name: str) -> Worker | None:
        """Take a process out; what it had out is the caller's to settle."""
        worker = self.workers.pop(name, None)
        if worker is not None:
            pool = self.pools[worker.pool]
            pool.workers.pop(name, None)
            self.busy.pop(name, None)
            # Its actors are free to go elsewhere, and another process may be wanted.
            self._stirred[worker.pool] = self._short[worker.pool] = pool
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
        self._came_back(worker)
        return known

    def unsent(self, worker: Worker, dispatches: Iterable[int], *, answer: bool = False) -> list[int]:
        """Book messages in that a process gives back without having begun them.

        Args:
            worker: the process.
            dispatches: what it gives back.
            answer: whether it thereby answers a recall.

        Returns:
            Those that were really out at this process.
        """
        if answer:
            worker.recalling = max(0, worker.recalling - 1)
        back = [number for number in dispatches if worker.outstanding.pop(number, None) is not None]
        self._came_back(worker)
        return back

    def _came_back(self, worker: Worker) -> None:
        if not worker.outstanding:
            self.busy.pop(worker.name, None)
        pool = self.pools.get(worker.pool)
        if pool is not None:
            self._stirred[worker.pool] = pool

    def forget(self, row: int) -> list[Worker]:
        """A job is gone: give the processes that know it."""
        knowing = [
            worker for worker in self._knowing.pop(row, ()) if self.workers.get(worker.name) is worker
        ]
        for worker in knowing:
            worker.seen.pop(row, None)
        return knowing

    def _note_knowing(self, row: int, worker: Worker) -> None:
        known = self._knowing.get(row)
        if known is None:
            self._knowing[row] = [worker]
        else:
            known.append(worker)

    def holders(self, row: int) -> list[Worker]:
        """Give the processes that have messages of a job."""
        job = self._book.jobs.get(row)
        if job is None:  # what it has out is stale, and only the processes know of it
            return [worker for worker in self.busy.values() if worker.holds(row)]
        found: dict[str, Worker] = {}
        for actor in job.actors.values():
            if not actor.messages_out:
                continue
            if actor.home is not None and not actor.spec.parallel:  # all of them are there
                workers = [self.workers[actor.home]] if actor.home in self.workers else []
            else:
                workers = [worker for worker in self.pool(actor).workers.values() if worker.holds(row)]
            found.update((worker.name, worker) for worker in workers)
        return list(found.values())

    def holder(self, dispatch: int) -> Worker | None:
        """Give the process that has a message."""
        message = self._book.outstanding.get(dispatch)
        workers = self.busy if message is None else self.pool(message.actor).workers
        return next((worker for worker in workers.values() if dispatch in worker.outstanding), None)

    def assign(self, now: float) -> list[Assignment]:
        """Hand out what can be handed out.

        Args:
            now: monotonic seconds.

        Returns:
            One dispatch per process that gets something.
        """
        self.enqueue()
        sending: dict[str, Assignment] = {}
        # In the others neither work nor room has come since all that was possible was handed out.
        stirred, self._stirred = self._stirred, {}
        for pool in stirred.values():
            if pool.length and pool.workers:
                self._serve(pool, sending, now)
        return list(sending.values())

    def starved(self, now: float) -> list[Worker]:
        """Give processes whose messages sent ahead should be called back, since another is idle."""
        return [
            worker for worker in self.busy.values()
            if len(worker.outstanding) > 1 and not worker.recalling
            and now - worker.busy_since > HORIZON
            and self.pools[worker.pool].has_idle(now) and _movable(self.pools[worker.pool], worker)
        ]

    def understaffed(self) -> list[Pool]:
        """Give the pools that have work and fewer processes than they may have."""
        found: list[Pool] = []
        for key, pool in list(self._short.items()):
            if pool.length and len(pool.workers) < pool.processes:
                found.append(pool)
            else:
                del self._short[key]  # it comes again with work, or without a process
        return found

    def enqueue(self) -> None:
        """Put the actors that got work since last time into the queues of their pools."""
        woken = self._book.woken
        if not woken:
            return
        for actor in woken:
            pool = self.pool(actor)
            pool.add(actor)
            self._stirred[pool.key] = pool
            if len(pool.workers) < pool.processes:
                self._short[pool.key] = pool
        woken.clear()

    def _serve(self, pool: Pool, sending: dict[str, Assignment], now: float) -> None:
        """Serve a pool's actors in turn, each with its share, as long as a process has room.

        Its cost follows what is handed out and not how many wait.
        """
        free: dict[Worker, int] = {}
        for worker in pool.workers.values():
            room = worker.room(now)
            if room > 0:
                free[worker] = room
        # What those who got less left over is for those who want more, where a process would be idle.
        while free and self._serve_each(pool, free, sending, now) and not all(w.outstanding for w in free):
            pass

    def _serve_each(
        self, pool: Pool, free: dict[Worker, int], sending: dict[str, Assignment], now: float
    ) -> int:
        """Give each actor its share, and how many messages were handed out.

        Args:
            pool: whose actors.
            free: the processes that have room, and how much.
            sending: process → what it is to be sent.
            now: monotonic seconds.
        """
        pool.begin(now)
        unserved: list[Actor] = []
        served: list[Actor] = []
        handed = 0
        while free and pool.length:
            actor = pool.next()
            if not actor.has_work():
                actor.listed = False
                continue
            worker = self._choose(pool, actor, free)
            share = 0 if worker is None else pool.share(actor, worker, free[worker])
            if worker is None or share <= 0:
                unserved.append(actor)
                continue
            assignment = sending.get(worker.name)
            if assignment is None:
                assignment = sending[worker.name] = Assignment(worker)
            taken = self._hand_out(actor, worker, share, assignment.dispatch, now)
            pool.served(actor, taken, now)
            handed += taken
            free[worker] -= taken
            if free[worker] <= 0:
                del free[worker]
            if not actor.has_work():
                actor.listed = False
            elif pool.left(actor, worker) > 0:
                pool.add(actor)
            else:
                served.append(actor)
        pool.put_back(unserved)
        for actor in served:
            pool.add(actor)
        return handed

    def _choose(self, pool: Pool, actor: Actor, free: dict[Worker, int]) -> Worker | None:
        if not pool.parallel and (actor.home is not None or actor.messages_out):
            home = None if actor.home is None else pool.workers.get(actor.home)
            if actor.messages_out:
                return home if home in free else None
            if home in free and not home.outstanding:
                return home
        return next(iter(free)) if len(free) == 1 else min(free, key=_messages_at)

    def _hand_out(
        self, actor: Actor, worker: Worker, share: int, dispatch: Dispatch, now: float
    ) -> int:
        job = actor.job
        row = job.row
        if actor.spec.parallel:
            fresh = row not in worker.seen
        else:
            fresh = actor.home != worker.name
            actor.home = worker.name
        seen = worker.seen.get(row)
        context: JobContext | None = job.context(actor, seen, attributes=fresh)
        if context is not None:
            dispatch.contexts.append(context)
            worker.seen[row] = job.shared_version
            if seen is None:
                self._note_knowing(row, worker)
        if not worker.outstanding:
            worker.busy_since = now
            self.busy[worker.name] = worker
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
        if actor.stored:
            self._book.mailboxes.ask_for_more(actor)
        return taken


def _messages_at(worker: Worker) -> int:
    return len(worker.outstanding)


def _movable(pool: Pool, worker: Worker) -> bool:
    """Whether something sent ahead to a process could run in another one."""
    if pool.parallel:
        return True
    first = next(iter(worker.outstanding.values())).actor
    return any(message.actor is not first for message in worker.outstanding.values())
