"""A host, played: the shipped engine and dispatcher, with memory for a store and this thread for processes.

Commits each round before it acts on it, as a supervisor does. Runs no handler and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from sojourn.actors.loading import LoadedRoutine
from sojourn.actors.tester.blobs import MemoryBlobs
from sojourn.actors.tester.clock import VirtualClock
from sojourn.actors.tester.process import PlayedProcess
from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Adopt, Freeze, Input, Refill, Round, Settle, Thaw, Unsend, Whence
from sojourn.runtime.engine.load import relative_image
from sojourn.runtime.engine.model import FlowPlan, Job, Origins
from sojourn.runtime.errors import ValueMalformed
from sojourn.runtime.flow import encode_flow
from sojourn.runtime.handoff.parts import decode_part, encode_part, image_of, part_of, problem_of
from sojourn.runtime.job import HandoffFigures, JobHead, JobImage, LogRow
from sojourn.runtime.ledger import Ledger
from sojourn.runtime.pool import Pool, Worker
from sojourn.runtime.wire.actor import Result

ROW = 1
"""The row of the only job."""

CODE = "in-process"
"""The code fingerprint that attempts of a test are recorded with."""


class Luggage(msgspec.Struct):
    """What a hand-off carries: the job as one encoded part, and the blobs that it refers to."""

    part: bytes
    blobs: MemoryBlobs


class PlayedHost:
    """One host with at most one job.

    Args:
        name: its name.
        clock: its clocks.
        plan: the flow.
        routines: the flow's routines, loaded.
        random: gives uniform numbers in [0, 1), for jitter.
        committed: called after every commit.
    """

    def __init__(
        self,
        name: str,
        clock: VirtualClock,
        plan: FlowPlan,
        routines: Mapping[str, LoadedRoutine],
        random: Callable[[], float],
        committed: Callable[[Round], None],
    ) -> None:
        self.name = name
        self.clock = clock
        self.plan = plan
        self.ledger = Ledger()
        self.blobs = MemoryBlobs()
        self._flow = encode_flow(plan.spec)
        self._routines = routines
        self._random = random
        self._committed = committed
        self._started = 0
        self._start()

    def _start(self) -> None:
        """Begin with nothing in memory."""
        self.engine = Engine(Origins(self.name, self.ledger.origins()), self._random)
        self._dispatcher = Dispatcher(self.engine.book)
        self._processes: dict[str, PlayedProcess] = {}
        for spec in self.plan.spec.routines:
            pool = Pool((self.plan.digest, spec.id), spec.processes, spec.parallel)
            self._dispatcher.pools[pool.key] = pool
            # One job has one actor per routine: only a parallel one keeps several processes busy.
            for _ in range(spec.processes if spec.parallel else 1):
                self._start_process(spec.id)

    def _start_process(self, routine: str) -> None:
        self._started += 1
        worker = Worker(f"{routine}-{self._started}", (self.plan.digest, routine), CODE)
        self._dispatcher.add_worker(worker)
        self._processes[worker.name] = PlayedProcess(worker, self._routines[routine], self.blobs)

    # --- the job -------------------------------------------------------------------------------------

    @property
    def job(self) -> Job | None:
        """The job in memory; None once it has ended."""
        return self.engine.job(ROW)

    @property
    def head(self) -> JobHead:
        """The job's head, the newest state of it."""
        job = self.job
        return self.ledger.head(ROW) if job is None else job.head

    @property
    def next_due(self) -> float | None:
        """Monotonic seconds of the next timer."""
        return self.engine.next_due()

    # --- rounds --------------------------------------------------------------------------------------

    def apply(self, *inputs: Input, logs: Iterable[LogRow] = ()) -> Round:
        """Let things happen: one step of the engine, one commit, then what follows from it."""
        done = self.engine.step(inputs, self.clock.now())
        done.writes.flows_put[self.plan.digest] = self._flow
        done.writes.logs.extend(logs)
        self.ledger.commit(done.writes)
        self._committed(done)
        if ROW in done.ended:
            self._dispatcher.forget(ROW)
        if ROW in done.recalls:
            self._recall()
        return done

    def _recall(self) -> None:
        """Take back everything that was sent and hasn't begun."""
        back: list[int] = []
        for process in self._processes.values():
            if process.turn is not None and not process.running:
                back.append(process.turn.dispatch)
                self._dispatcher.unsent(process.worker, [process.turn.dispatch])
                process.turn = None
        if back:
            self.apply(Unsend(back))

    def hand_out(self) -> list[PlayedProcess]:
        """Hand messages to processes that are free, and give those that have a turn, oldest first."""
        self._refill()
        for assignment in self._dispatcher.assign(self.clock.monotonic):
            self._processes[assignment.worker.name].take(assignment.dispatch)
        waiting = [(p.turn.dispatch, p) for p in self._processes.values() if p.turn is not None]
        return [process for _, process in sorted(waiting, key=lambda entry: entry[0])]

    def _refill(self) -> None:
        """Read messages that are in the ledger alone into mailboxes that run out."""
        boxes = self.engine.book.mailboxes
        while boxes.hungry:
            (row, routine), actor = boxes.hungry.popitem()
            rows = self.ledger.waiting_messages(row, routine, actor.stored_from, boxes.missing(actor))
            self.engine.step([Refill(row, routine, rows)], self.clock.now())

    def settle(
        self, process: PlayedProcess, result: Result, logs: Iterable[LogRow]
    ) -> Round:
        """Take in what came back of a process: a checkpoint or the end of an attempt."""
        known = self._dispatcher.returned(process.worker, [result], self.clock.monotonic)
        # Sent ahead is nothing: what one turn commits, the next one to be handed out can see.
        process.worker.window = 1
        return self.apply(Settle(known, CODE), logs=logs)

    def replace(self, process: PlayedProcess) -> None:
        """Let another process take the place of one that died or has nothing to do; if it is here."""
        if process.worker.name not in self._processes:
            return
        self._dispatcher.remove_worker(process.worker.name)
        del self._processes[process.worker.name]
        self._start_process(process.worker.pool[1])

    # --- restarts and hand-offs ----------------------------------------------------------------------

    def adoption(self) -> Adopt:
        """Read the job from what is committed, for taking it up."""
        image = self.ledger.image(ROW, history=False, logs=False)
        message, sequence, _ = self.ledger.last_numbers(ROW)
        return Adopt(ROW, image, self.plan, (message, sequence), Whence.STORE)

    def restart(self, *inputs: Input) -> Round:
        """Die, and begin again from what is committed.

        Args:
            *inputs: what is found besides, of attempts that were in flight.
        """
        finished = self.ledger.head(ROW).status.finished
        self._start()
        return self.apply() if finished else self.apply(self.adoption(), *inputs)

    def freeze(self) -> None:
        """Hand nothing out any more, for a hand-off."""
        self.apply(Freeze(ROW))

    def thaw(self) -> None:
        """Call that off."""
        self.apply(Thaw(ROW))

    def pack(self) -> Luggage:
        """Give the frozen job as a hand-off would send it."""
        image = relative_image(self.ledger.image(ROW), self.clock.now(), self.engine.job(ROW))
        part = part_of(image, self.ledger.last_numbers(ROW)[2])
        blobs = self.blobs.some(blob.digest for blob in image.blobs)
        return Luggage(encode_part(part), blobs)

    def unpack(self, luggage: Luggage, source: str) -> None:
        """Take up a job that comes from another host.

        Raises:
            ValueMalformed: if it isn't what a target would take.
        """
        try:
            part = decode_part(luggage.part)
        except msgspec.DecodeError as error:
            raise ValueMalformed(f"no host would take the job: {error}") from None
        problem = problem_of(part, self.plan.routines, ())
        if problem is not None or part.final is None:
            raise ValueMalformed(f"no host would take the job: {problem or 'its end is missing'}")
        image = image_of(part, part.final, encode_flow(self.plan.spec))
        head = image.head
        size = len(luggage.part) + sum(map(len, luggage.blobs.kept.values()))
        self.blobs.kept.update(luggage.blobs.kept)
        head.epoch += 1
        head.handoffs = [*head.handoffs, HandoffFigures(source, self.name, head.epoch, size)]
        self.apply(Adopt(ROW, image, self.plan, _numbers(image), Whence.ELSEWHERE))


def _numbers(image: JobImage) -> tuple[int, int]:
    """Give the highest message number and history sequence that an image uses."""
    spoken = (image.messages, image.history, image.questions)
    return (
        max((entry.message for rows in spoken for entry in rows), default=0),
        max((entry.sequence for entry in image.history), default=0),
    )
