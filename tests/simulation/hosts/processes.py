"""Simulated zygotes and actor processes: they answer, take batches of messages, run, yield, and die.

A process keeps to what the shipped one does (``actors/process``): results before the answer to a recall,
one turn at a time, a page that tells what began. It decides nothing about jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgpack
import msgspec

from sojourn.hosts.supervisor.processes import ProcessEnd, ZygoteEnd
from sojourn.hosts.zygotes import Reception
from sojourn.runtime.engine.inputs import Now
from sojourn.runtime.errors import CodeNotLoadable
from sojourn.runtime.flow import RoutineSpec, decode_flow
from sojourn.runtime.progress_page import (
    HEADER,
    PAGE_BYTES,
    RING,
    RING_ENTRY,
    RING_OFFSET,
    Begun,
    Running,
    pack_pair,
)
from sojourn.runtime.values import BlobReference, digest_of, encode
from sojourn.runtime.wire import actor as wire
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Ending,
    Forget,
    JobContext,
    Ready,
    Recall,
    Recalled,
    Result,
    Results,
    ReturnedUnbegun,
    SharedKind,
    Stop,
    Turn,
    TurnError,
    Unyield,
    Yield,
)
from sojourn.runtime.wire.zygote import (
    Check,
    Exited,
    Fork,
    Forked,
    FromZygote,
    Inspect,
    Inspected,
    LoadFailed,
    Shutdown,
    ToZygote,
)
from tests.simulation.hosts import flows
from tests.simulation.hosts.flows import Die, Effects, End, Fail, Reach, Step, View, Work, unpacked
from tests.simulation.hosts.schedule import Schedule

KILLED, SEGFAULT = -9, -11


class Place(Protocol):
    """What zygotes and processes need of their host."""

    @property
    def name(self) -> str: ...
    @property
    def blobs(self) -> Path: ...
    def clocks(self) -> Now: ...
    def wake(self) -> None: ...
    def from_process(self, name: str, frame: bytes) -> None: ...
    def loads(self, modules: tuple[str, ...]) -> bool: ...


class Audience(Protocol):
    """Who is told what processes do."""

    def turn_begins(
        self, host: str, process: str, context: JobContext, turn: Turn, spec: RoutineSpec
    ) -> None: ...
    def turn_ends(self, host: str, process: str, ending: Ending | None) -> None: ...


class SimPage:
    """A progress page."""

    def __init__(self) -> None:
        self._recent: list[Begun] = []
        self._count = 0
        self._head = Running(0, 0, 0, 0, 0, 0, 0.0, 0.0, ())

    def begin(self, turn: Turn, epoch: int, now: Now) -> None:
        entry = Begun(turn.dispatch, turn.job, epoch, turn.message, turn.attempt)
        if len(self._recent) < RING:
            self._recent.append(entry)
        else:
            self._recent[self._count % RING] = entry
        self._count += 1
        self._head = Running(
            turn.dispatch, self._head.finished, turn.job, epoch, turn.message, turn.attempt, now.wall,
            now.monotonic, (),
        )

    def finish(self, dispatch: int) -> None:
        self._head = msgspec.structs.replace(self._head, finished=dispatch)

    def glance(self) -> Running:
        return self._head

    def read(self) -> Running:
        return msgspec.structs.replace(self._head, recent=tuple(self._recent))

    def encoded(self) -> bytes:
        page = bytearray(PAGE_BYTES)
        head = self._head
        HEADER.pack_into(
            page, 0, head.begun, head.finished, self._count, head.job, head.epoch,
            pack_pair(head.message, head.attempt), head.wall_start, head.monotonic_start,
        )
        for place, entry in enumerate(self._recent):
            RING_ENTRY.pack_into(
                page, RING_OFFSET + RING_ENTRY.size * place, entry.dispatch,
                pack_pair(entry.job, entry.epoch), pack_pair(entry.message, entry.attempt),
            )
        return bytes(page)


class SimZygote:
    """One zygote. See ``ZygoteEnd`` for its methods."""

    def __init__(
        self, place: Place, schedule: Schedule, audience: Audience, modules: tuple[str, ...]
    ) -> None:
        self._place = place
        self._schedule = schedule
        self._audience = audience
        self._modules = modules
        self._said: deque[FromZygote] = deque()
        self._asked: list[int] = []
        self.children: list[SimProcess] = []
        self.dead = False
        self.deadline: float | None = None

    def fileno(self) -> int:
        return -1

    def send(self, message: ToZygote) -> None:
        if isinstance(message, Shutdown):
            return
        self._asked.append(message.request)
        if self.dead:
            self._fail(message.request)
            return
        self._schedule.after(self._schedule.draw(0.001, 0.02), lambda: self._answer(message))

    def _answer(self, message: Inspect | Check | Fork) -> None:
        if self.dead or message.request not in self._asked:
            return
        self._asked.remove(message.request)
        match message:
            case Inspect():
                self.say(LoadFailed(message.request, CodeNotLoadable.__name__, "no locators here"))
            case Check():
                if self._place.loads(self._modules):
                    self.say(Inspected(message.request, message.flow, "sha256:code", [], True))
                else:
                    self.say(LoadFailed(message.request, CodeNotLoadable.__name__, "not importable here"))
            case Fork():
                self._fork(message)

    def _fork(self, message: Fork) -> None:
        pid = 1000 + len(self.children)
        spec = decode_flow(message.flow).routine(message.routine)
        assert spec is not None
        child = SimProcess(self._place, self._schedule, self._audience, self, message.process, pid, spec)
        self.children.append(child)
        self.say(Forked(message.request, message.process, pid))
        self._schedule.after(self._schedule.draw(0.001, 0.01), child.ready)

    def child(self, name: str) -> SimProcess:
        return next(child for child in self.children if child.name == name)

    def say(self, message: FromZygote) -> None:
        if not self.dead:
            self._said.append(message)
            self._place.wake()

    def receive(self) -> list[Reception]:
        found = [Reception(message, [], died=self.dead) for message in self._said]
        self._said.clear()
        return found

    def expire(self, now: float) -> None:
        """It never hangs."""

    def code_is_current(self, files: Sequence[tuple[str, str]]) -> bool:
        return True

    def die(self) -> None:
        """It is killed, and with it all that it forked."""
        self.dead = True
        for child in self.children:
            child.fall()
        self._said.clear()
        for number in self._asked:
            self._fail(number)
        self._place.wake()

    def _fail(self, number: int) -> None:
        self._said.append(LoadFailed(number, CodeNotLoadable.__name__, "the zygote was killed"))

    def close(self) -> None:
        self.dead = True
        for child in self.children:
            child.fall()


class SimProcess:
    """One actor process. See ``ProcessEnd`` for what its supervisor does with it."""

    def __init__(
        self, place: Place, schedule: Schedule, audience: Audience, zygote: SimZygote, name: str, pid: int,
        spec: RoutineSpec,
    ) -> None:
        self._place = place
        self._schedule = schedule
        self._audience = audience
        self._zygote = zygote
        self.name = name
        self.pid = pid
        self.output_fd = -1
        self.page = SimPage()
        self._spec = spec
        self._alive = True
        self._stopping = False
        self._queue: deque[Turn | JobContext | Forget] = deque()
        self._contexts: dict[int, JobContext] = {}
        self._attributes: dict[int, dict[str, Any]] = {}
        self._turn: Turn | None = None
        self._steps: Iterator[Step] = iter(())
        self._began = 0.0
        self._granted: Callable[[Committed], None] | None = None
        self._last_arrival = 0.0
        self._last_delivery = 0.0
        self._yields: set[int | None] = set()
        self._handed_in = 0
        self._given_back: dict[int, int] = {}
        """As in the shipped mailbox."""
        self._gives_back = spec.ordered or spec.handler is None or spec.handler.stops_the_job()

    # --- its supervisor's end ---------------------------------------------------------------------

    def kill(self) -> None:
        if self._alive:
            self.fall()
            self._schedule.after(
                self._schedule.draw(0.0, 0.01),
                lambda: self._zygote.say(Exited(self.name, self.pid, KILLED)),
            )

    def wait(self) -> bool:
        return not self._alive

    def read_page(self) -> Running:
        return self.page.read()

    def glance(self) -> Running:
        return self.page.glance()

    def drain_output(self) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is held."""

    def fall(self) -> None:
        """End at once; what it was sent, and the turn it was at, are lost."""
        if self._alive:
            self._alive = False
            self._end_turn(None)

    def _exit(self, status: int) -> None:
        """End by itself."""
        self.fall()
        self._schedule.after(
            max(0.0, self._last_arrival - self._schedule.now) + 0.001,
            lambda: self._zygote.say(Exited(self.name, self.pid, status)),
        )

    # --- messages ---------------------------------------------------------------------------------

    def ready(self) -> None:
        self._say(Ready(self.pid, "sha256:code"))

    def _say(self, message: wire.FromActor) -> None:
        if not self._alive:
            return
        frame = wire.encode(message)
        at = max(self._last_arrival, self._schedule.now + self._schedule.draw(0.0001, 0.001))
        self._last_arrival = at
        # What is on its way is lost with its process at times: only what was read is sure.
        lossy = self._schedule.happens(0.5)
        self._schedule.after(
            at - self._schedule.now,
            lambda: self._place.from_process(self.name, frame) if self._alive or not lossy else None,
        )

    def send(self, frame: bytes) -> None:
        """Its supervisor sends something, which arrives in order."""
        now = self._schedule.now
        self._last_delivery = max(self._last_delivery, now + self._schedule.draw(0.0001, 0.0005))
        self._schedule.after(self._last_delivery - now, lambda: self._deliver(frame))

    def _deliver(self, frame: bytes) -> None:
        if not self._alive:
            return
        message = wire.decode_to_actor(frame)
        match message:
            case Dispatch():
                self._queue.extend(message.contexts)
                self._queue.extend(self._still_wanted(message))
                self._go_on()
            case Recall():
                back = self._take_back(message.job)
                turn = self._turn
                running = turn is not None and message.job in (None, turn.job)
                self._say(Recalled(message.recall, back, turn.dispatch if turn and running else None))
            case Yield():
                self._yields.add(message.job)
            case Unyield():
                self._yields.discard(message.job)
            case Committed():
                granted, self._granted = self._granted, None
                if granted is not None:
                    granted(message)
            case Forget():
                for job in message.jobs:
                    self._take_back(job)
                    self._given_back.pop(job, None)
                self._queue.append(message)
                self._go_on()
            case Stop():
                self._stopping = True
                self._go_on()

    def _still_wanted(self, batch: Dispatch) -> list[Turn]:
        self._given_back = {
            job: number for job, number in self._given_back.items() if number > batch.acknowledged
        }
        back = [turn.dispatch for turn in batch.turns if turn.job in self._given_back]
        if back:
            self._say(ReturnedUnbegun(back))
        return [turn for turn in batch.turns if turn.job not in self._given_back]

    def _take_back(self, job: int | None) -> list[int]:
        back = [e.dispatch for e in self._queue if isinstance(e, Turn) and job in (None, e.job)]
        self._queue = deque(
            e for e in self._queue if not (isinstance(e, Turn) and job in (None, e.job))
        )
        return back

    # --- turns ------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        while self._turn is None and self._alive:
            if self._stopping:
                self._exit(0)
                return
            if not self._queue:
                return
            entry = self._queue.popleft()
            match entry:
                case JobContext():
                    self._learn(entry)
                case Forget():
                    for job in entry.jobs:
                        self._contexts.pop(job, None)
                        self._attributes.pop(job, None)
                case Turn():
                    self._begin(entry)

    def _learn(self, context: JobContext) -> None:
        if context.attributes is not None or context.job not in self._contexts:
            self._contexts[context.job] = context
            self._attributes[context.job] = {
                name: unpacked(value)
                for name, value in (context.attributes or {}).items() if name != "large"
            }

    def _begin(self, turn: Turn) -> None:
        context = self._contexts[turn.job]
        now = self._place.clocks()
        self.page.begin(turn, context.epoch, now)
        self._turn = turn
        self._began = now.wall
        self._audience.turn_begins(self._place.name, self.name, context, turn, self._spec)
        progress: dict[str, Any] = {} if turn.progress is None else unpacked(turn.progress)
        view = View(
            unpacked(turn.data), turn.attempt, progress, dict(self._attributes[turn.job])
        )
        self._steps = flows.BEHAVIOUR[self._spec.id](view)
        self._advance(turn)

    def _advance(self, turn: Turn) -> None:
        """Take the next step of a turn, if it is still at it."""
        if not self._alive or self._turn is not turn:
            return
        step = next(self._steps)
        match step:
            case Work():
                self._schedule.after(step.seconds, lambda: self._advance(turn))
            case Reach():
                self._checkpoint(turn, step.effects)
            case End():
                self._finish(turn, self._result(turn, Ending.SUCCEEDED, step.effects))
            case Fail():
                failed = self._result(turn, Ending.FAILED, Effects())
                failed.error = TurnError("ValueError", "as planned")
                self._finish(turn, failed)
            case Die():
                self._exit(SEGFAULT)

    def _checkpoint(self, turn: Turn, effects: Effects) -> None:
        def granted(message: Committed) -> None:
            if message.dispatch != turn.dispatch or self._turn is not turn:
                return
            if message.yield_now:
                self._finish(turn, self._result(turn, Ending.YIELDED, Effects()))
            else:
                self._advance(turn)

        self._granted = granted
        self._say(Results([self._result(turn, Ending.CHECKPOINT, effects)]))

    def _finish(self, turn: Turn, result: Result) -> None:
        self.page.finish(turn.dispatch)
        self._end_turn(result.ending)
        self._say(Results([result]))
        if result.ending is not Ending.SUCCEEDED and self._gives_back:
            self._given_back[turn.job] = self._handed_in
            back = self._take_back(turn.job)
            if back:
                self._say(ReturnedUnbegun(back))
        self._go_on()

    def _end_turn(self, ending: Ending | None) -> None:
        if self._turn is not None:
            self._turn = None
            self._audience.turn_ends(self._place.name, self.name, ending)

    def _result(self, turn: Turn, ending: Ending, effects: Effects) -> Result:
        self._handed_in += 1
        attributes = {} if self._spec.parallel else dict(effects.attributes)
        self._attributes[turn.job].update(attributes)
        result = Result(
            turn.dispatch, ending, self._began, self._place.clocks().wall,
            [(event, msgpack.packb(fields)) for event, fields in effects.emissions],
            {name: msgpack.packb(value) for name, value in attributes.items()},
            [(key, SharedKind.ADD, msgpack.packb(number)) for key, number in effects.shared],
            None if effects.progress is None else msgpack.packb(effects.progress),
            None if effects.result is None else msgpack.packb(effects.result),
        )
        if effects.blob is not None and not self._spec.parallel:
            sink = _Files(self._place.blobs)
            result.attributes["large"] = encode(effects.blob, blobs=sink)
            result.blobs = sink.written
        return result


class _Files:
    """Writes large values as an actor process does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.written: list[tuple[str, int]] = []

    def put(self, data: bytes) -> BlobReference:
        reference = BlobReference(digest_of(data), len(data))
        (self._folder / reference.digest).write_bytes(data)
        self.written.append((reference.digest, reference.size))
        return reference


class SimProcesses:
    """Makes zygotes; see ``Processes``."""

    def __init__(self, place: Place, schedule: Schedule, audience: Audience) -> None:
        self._place = place
        self._schedule = schedule
        self._audience = audience
        self.zygotes: list[SimZygote] = []

    def start_zygote(
        self, *, python: str, paths: Sequence[str], allow: Sequence[str], modules: Sequence[str],
        alive_lock: Path, import_timeout: float,
    ) -> ZygoteEnd:
        made = SimZygote(self._place, self._schedule, self._audience, tuple(modules))
        self.zygotes.append(made)
        return made

    def hold(self, name: str, pid: int, fds: list[int], page: Path) -> ProcessEnd:
        found = self.find(name)
        assert found is not None
        return found

    def find(self, name: str) -> SimProcess | None:
        """Give a process by its name."""
        return next(
            (child for zygote in self.zygotes for child in zygote.children if child.name == name), None
        )

    def fall(self) -> dict[str, bytes]:
        """All die with their host; give the pages that are left."""
        pages = {
            child.name: child.page.encoded() for zygote in self.zygotes for child in zygote.children
        }
        for zygote in self.zygotes:
            zygote.close()
        return pages
