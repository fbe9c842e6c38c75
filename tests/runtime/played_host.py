"""A host, played, for tests of load: the shipped engine and dispatcher; store and processes are played."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Adopt, Create, Input, Now, Refill, Settle, Whence
from sojourn.runtime.engine.model import FlowPlan, Job, Origins
from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    IdleHook,
    RoutineSpec,
    SlotSpec,
    encode_flow,
)
from sojourn.runtime.pool import Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Result, Turn, TurnError
from tests.simulation.hosts.memory_store import Disk, MemoryStore

DATA = encode_fields({"n": 1}, where="x")
RETRY = HandlerSpec(
    ErrorStrategy.RETRY, max_retries=3, retry_delay=1.0, on_exhausted=ErrorStrategy.SKIP
)

Handle = Callable[[str, Turn], int]
"""(routine, turn) → how many messages it emits; below 0 for a failure."""


def emits(count: int) -> Handle:
    """Give a handler of which every turn emits so many messages."""

    def handle(_routine: str, _turn: Turn) -> int:
        return count

    return handle


def flow(
    names: Iterable[str], edges: Iterable[tuple[str, str]], when_idle: tuple[IdleHook, ...] = (),
    **options: object,
) -> FlowPlan:
    """Make a flow: its first routine is the entry, every edge is from `output` to `input`."""
    routines = tuple(
        RoutineSpec(
            name, f"m:{name}", b"", (SlotSpec("input", open=True),), (EventSpec("output"),), RETRY,
            **options,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        )
        for name in names
    )
    links = tuple(Connection(source, "output", target, "input") for source, target in edges)
    return FlowPlan("digest", FlowSpec("flow", routines[0].id, routines, links, when_idle))


class PlayedHost:
    """One host.

    Args:
        plan: the flow of every job.
        bounds: how much is kept in memory.
        window: messages that every process is sent ahead.
    """

    def __init__(self, plan: FlowPlan, bounds: Bounds, window: int = 2) -> None:
        self.plan = plan
        self.bounds = bounds
        self.window = window
        self.disk = Disk()
        self.time = 1000.0
        self.rows = 0
        self.handled: list[tuple[int, str, int]] = []
        """(job row, routine, message) of every turn that ended well, in order."""
        self.started: list[tuple[int, str, int]] = []
        """The same of first attempts, as they were handed out."""
        self.start()

    def start(self) -> None:
        """Begin, or begin again, with what is on disk."""
        self.store = MemoryStore(self.disk, self.time, "store")
        self.engine = Engine(Origins("a", self.store.origins()), lambda: 0.5, self.bounds)
        self.dispatcher = Dispatcher(self.engine.book)
        self.turns: dict[str, list[Turn]] = {}
        self.apply(*(self.adoption(row) for row in self.store.live_jobs()))

    def adoption(self, row: int) -> Adopt:
        image = self.store.read_image(row)
        image.messages, stored = self.store.mailboxes(row, self.bounds.mailbox)
        numbers = self.store.last_numbers(row)
        return Adopt(row, image, self.plan, (numbers[0], numbers[1]), Whence.STORE, stored)

    @property
    def now(self) -> Now:
        return Now(self.time, self.time)

    def job(self, row: int = 1) -> Job:
        return self.engine.book.jobs[row]

    def submit(self, priority: int = 0) -> int:
        self.rows += 1
        name = f"j{self.rows}"
        self.apply(Create(self.rows, name, f"i{self.rows}", self.plan, DATA, "", priority))
        return self.rows

    def fill(self, row: int, messages: int, routine: str) -> None:
        """Put messages into a mailbox of a job, as if a turn had emitted them."""
        done = self.engine.step((), self.now)
        for _ in range(messages):
            self.engine.book.deliver(self.job(row), done, routine, "input", DATA)
        self.store.commit(done.writes)
        self.apply()

    def apply(self, *inputs: Input) -> None:
        """One round: step, commit, read back, hand out."""
        done = self.engine.step(inputs, self.now)
        done.writes.flows_put[self.plan.digest] = encode_flow(self.plan.spec)
        self.store.commit(done.writes)
        self._refill()
        self.dispatcher.enqueue()
        for pool in self.dispatcher.understaffed():
            while len(pool.workers) < pool.processes:
                name = f"{pool.key[1]}-{len(self.dispatcher.workers)}"
                worker = Worker(name, pool.key, "code")
                worker.window = self.window
                self.dispatcher.add_worker(worker)
                self.turns[name] = []
        for assignment in self.dispatcher.assign(self.time):
            name = assignment.worker.name
            for turn in assignment.dispatch.turns:
                self.turns[name].append(turn)
                if turn.attempt == 1:
                    self.started.append((turn.job, assignment.worker.pool[1], turn.message))

    def _refill(self) -> None:
        book = self.engine.book.mailboxes
        while book.hungry:
            (row, routine), actor = book.hungry.popitem()
            rows = self.store.waiting_messages(row, routine, actor.stored_from, book.missing(actor))
            assert rows, "messages are said to be on disk that aren't"
            self.engine.step([Refill(row, routine, rows)], self.now)

    def busy(self) -> list[str]:
        """Name the processes that have turns."""
        return [name for name, turns in self.turns.items() if turns]

    def finish(self, name: str, handle: Handle) -> None:
        """Let a process end its oldest turn."""
        worker = self.dispatcher.workers[name]
        turn = self.turns[name].pop(0)
        routine = worker.pool[1]
        emitted = handle(routine, turn)
        if emitted < 0:
            result = Result(
                turn.dispatch, Ending.FAILED, self.time, self.time, error=TurnError("ValueError", "no")
            )
        else:
            result = Result(
                turn.dispatch, Ending.SUCCEEDED, self.time, self.time, [("output", DATA)] * emitted
            )
            self.handled.append((turn.job, routine, turn.message))
        known = self.dispatcher.returned(worker, [result], self.time)
        worker.window = self.window
        self.apply(Settle(known, "code"))

    def run(self, handle: Handle, turns: int = 1_000_000) -> None:
        """Let every process work in turn, until nothing is left to do or so many turns have ended."""
        while turns:
            busy = self.busy()
            if not busy:
                if self.engine.next_due() is None:
                    return
                self.time += 1.0
                self.apply()
            for name in busy[:turns]:
                self.finish(name, handle)
            turns -= min(turns, len(busy))

    def in_memory(self, row: int, routine: str) -> int:
        """Count the message objects of an actor."""
        return sum(message.actor.routine == routine for message in self.job(row).messages.values())
