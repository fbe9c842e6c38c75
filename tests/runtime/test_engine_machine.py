"""The job engine under random results, losses, replays, freezes, cancels and deaths of processes and hosts.

A Hypothesis state machine drives the shipped engine, dispatcher and SQLite store; processes are played.
Invariants after every step: what is in memory is what is on disk (G2), every attempt number of a
message is charged once (G4), retries belong to a message (G7), one actor's messages begin one at a time
and oldest first (G8).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sojourn.hosts.store.sqlite import SqliteStore
from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import (
    Adopt,
    CancelJob,
    Create,
    Fetch,
    Freeze,
    Hold,
    Input,
    Interrupt,
    Lift,
    Now,
    Recover,
    Refill,
    RetryJob,
    Round,
    Settle,
    Thaw,
    Unsend,
    Whence,
)
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.engine.view import ImageView, LiveView
from sojourn.runtime.flow import (
    Connection,
    ErrorStrategy,
    EventSpec,
    FlowSpec,
    HandlerSpec,
    RoutineSpec,
    SlotSpec,
    encode_flow,
)
from sojourn.runtime.flow_document import flow_digest
from sojourn.runtime.job import JobStatus, Outcome
from sojourn.runtime.pool import Pool, Worker
from sojourn.runtime.values import encode, encode_fields
from sojourn.runtime.wire.actor import Ending, Result, SharedKind, Turn, TurnError

RETRIES = 2
BOUNDS = Bounds(mailbox=3, few=1)
FAILED_PROGRESS = encode_fields({"p": 1}, where="x")
CHECKPOINT_PROGRESS = encode_fields({"c": 1}, where="x")
NOTHING = encode_fields({"args": [], "kwargs": {}}, where="x")


PATIENT = HandlerSpec(
    ErrorStrategy.RETRY, max_retries=RETRIES, retry_delay=1.0, on_exhausted=ErrorStrategy.SKIP
)
STRICT = HandlerSpec(ErrorStrategy.STOP)


def routine(name: str, handler: HandlerSpec = PATIENT, **options: object) -> RoutineSpec:
    return RoutineSpec(
        name, f"m:{name}", NOTHING, (SlotSpec("input", open=True),), (EventSpec("output"),), handler,
        **options,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    )


FLOW = FlowSpec(
    "random", "plain",
    (routine("plain"), routine("ordered", ordered=True), routine("side", parallel=True, processes=2),
     routine("strict", STRICT)),
    (
        Connection("plain", "output", "ordered", "input"),
        Connection("plain", "output", "side", "input"),
        Connection("side", "output", "strict", "input"),
    ),
)
PLAN = FlowPlan(flow_digest(FLOW), FLOW)


class Played:
    """A process that is played: it runs what it was sent, oldest first."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.queue: list[Turn] = []
        self.running: Turn | None = None
        self.finished: list[Result] = []
        """Results that it has not sent yet."""


class EngineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sojourn-engine-"))
        self.time = 1000.0
        self.processes: dict[str, Played] = {}
        self.sent: list[Result] = []
        self.begun: dict[tuple[int, str], int] = {}
        self.rows = 0
        self.made = 0
        self.store = self.open_store()
        self.start_engine()

    # --- the played host ----------------------------------------------------------------------

    def open_store(self) -> SqliteStore:
        return SqliteStore.open(self.folder / "store.db", clock=lambda: self.time)

    def start_engine(self) -> None:
        self.engine = Engine(Origins("a", self.store.origins()), lambda: 0.5, BOUNDS)
        self.dispatcher = Dispatcher(self.engine.book)
        self.processes = {}
        for spec in FLOW.routines:
            pool = Pool((PLAN.digest, spec.id), spec.processes, spec.parallel)
            self.dispatcher.pools[pool.key] = pool
            for _ in range(spec.processes):
                self.start_process(spec.id)

    def start_process(self, name: str) -> None:
        self.made += 1
        worker = Worker(f"{name}-{self.made}", (PLAN.digest, name), "code")
        worker.window = 3
        self.dispatcher.add_worker(worker)
        self.processes[worker.name] = Played(worker)

    def apply(self, *inputs: Input) -> None:
        """One round: step, commit, send."""
        done = self.engine.step(inputs, Now(self.time, self.time))
        self.store.commit(done.writes)
        self.refill()
        for assignment in self.dispatcher.assign(self.time):
            self.processes[assignment.worker.name].queue.extend(assignment.dispatch.turns)
        for row in done.ended:
            self.dispatcher.forget(row)
        self.check_quiet(done)
        back = [dispatch for row in sorted(done.recalls) for dispatch in self.recall(row)]
        if back:
            self.apply(Unsend(back))

    def refill(self) -> None:
        """Read messages that are on disk alone into mailboxes that run out."""
        book = self.engine.book.mailboxes
        while book.hungry:
            (row, name), actor = book.hungry.popitem()
            rows = self.store.waiting_messages(row, name, actor.stored_from, book.missing(actor))
            assert rows, "messages are said to be on disk that aren't"
            self.engine.step([Refill(row, name, rows)], Now(self.time, self.time))

    def recall(self, row: int) -> list[int]:
        """Take back what was sent ahead of a job and hasn't begun."""
        found: list[int] = []
        for process in self.processes.values():
            back = [turn.dispatch for turn in process.queue if turn.job == row]
            process.queue = [turn for turn in process.queue if turn.job != row]
            self.dispatcher.unsent(process.worker, back)
            found.extend(back)
        return found

    def check_quiet(self, done: Round) -> None:
        """A job that is said to be quiet, or over, has nothing out there."""
        for row in done.quiet | set(done.ended):
            for process in self.processes.values():
                turns = [*process.queue, *([process.running] if process.running else [])]
                assert row not in {turn.job for turn in turns}

    def result(self, turn: Turn, ending: Ending, **effects: object) -> Result:
        return Result(turn.dispatch, ending, self.time, self.time, **effects)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    def deliver(self, process: Played, results: list[Result]) -> None:
        known = self.dispatcher.returned(process.worker, results, self.time)
        process.worker.window = 3
        self.sent.extend(known)
        self.apply(Settle(known, "code"))

    # --- rules --------------------------------------------------------------------------------

    @initialize()
    def flow_is_known(self) -> None:
        done = self.engine.step((), Now(self.time, self.time))
        done.writes.flows_put[PLAN.digest] = encode_flow(FLOW)
        self.store.commit(done.writes)

    @precondition(lambda self: self.rows < 3)
    @rule()
    def submit(self) -> None:
        self.rows += 1
        data = encode_fields({"x": self.rows}, where="x")
        self.apply(Create(self.rows, f"job-{self.rows}", f"i{self.rows}", PLAN, data, "s"))

    @rule(index=st.integers(0, 50))
    def a_turn_begins(self, index: int) -> None:
        ready = [p for p in self.processes.values() if p.running is None and p.queue]
        if not ready:
            return
        process = ready[index % len(ready)]
        turn = process.queue.pop(0)
        process.running = turn
        name = process.worker.pool[1]
        if name != "side":
            others = [
                p for p in self.processes.values()
                if p is not process and p.worker.pool[1] == name and p.running is not None
                and p.running.job == turn.job
            ]
            assert not others, "two turns of one actor at once"
            finished = {result.dispatch for result in process.finished}
            if turn.attempt == 1 and turn.progress is None:
                last = self.begun.get((turn.job, name), 0)
                pending = self.engine.book.jobs[turn.job].messages.get(turn.message)
                if pending is not None and turn.message > last:
                    older = [
                        m for m in self.engine.book.jobs[turn.job].messages.values()
                        if m.actor.routine == name and m.number < turn.message and m.attempts == 0
                        and m.due == 0.0 and m.dispatch not in finished
                    ]
                    actor = self.engine.book.jobs[turn.job].actors[name]
                    stored = actor.stored and actor.stored_from < turn.message
                    assert not older, "an older message was passed over"
                    assert not stored, "an older message was left on disk"
                self.begun[(turn.job, name)] = max(last, turn.message)

    @rule(index=st.integers(0, 50), emissions=st.integers(0, 2), how=st.sampled_from(list(Ending)))
    def a_turn_ends(self, index: int, emissions: int, how: Ending) -> None:
        busy = [p for p in self.processes.values() if p.running is not None]
        if not busy:
            return
        process = busy[index % len(busy)]
        turn = process.running
        assert turn is not None
        emitted = [("output", encode_fields({"n": n}, where="x")) for n in range(emissions)]
        attributes = {} if process.worker.pool[1] == "side" else {"seen": encode(turn.message)}
        if how is Ending.FAILED:
            error = TurnError("ValueError", "no")
            process.finished.append(self.result(turn, how, error=error, progress=FAILED_PROGRESS))
        elif how is Ending.CHECKPOINT:
            if self.many_messages():
                return
            point = self.result(
                turn, how, emissions=emitted, attributes=attributes, progress=CHECKPOINT_PROGRESS
            )
            self.deliver(process, [point])
            return
        elif how is Ending.YIELDED:
            process.finished.append(self.result(turn, how))
        else:
            process.finished.append(
                self.result(
                    turn, how, emissions=[] if self.many_messages() else emitted, attributes=attributes,
                    shared=[("done", SharedKind.ADD, encode(1))],
                )
            )
        process.running = None

    def many_messages(self) -> bool:
        return sum(len(job.messages) for job in self.engine.book.jobs.values()) > 15

    @rule(index=st.integers(0, 50))
    def results_arrive(self, index: int) -> None:
        full = [p for p in self.processes.values() if p.finished]
        if full:
            process = full[index % len(full)]
            results, process.finished = process.finished, []
            self.deliver(process, results)

    @rule(index=st.integers(0, 50))
    def a_result_arrives_again(self, index: int) -> None:
        if self.sent:
            stale = self.sent[index % len(self.sent)]
            if stale.dispatch not in self.engine.book.outstanding:
                before = self.everything()
                self.apply(Settle([stale], "code"))
                assert self.everything() == before, "a stale result changed something"

    @rule(index=st.integers(0, 50), own_fault=st.booleans())
    def a_process_dies(self, index: int, own_fault: bool) -> None:
        name = sorted(self.processes)[index % len(self.processes)]
        process = self.processes.pop(name)
        worker = self.dispatcher.remove_worker(name)
        assert worker is not None
        inputs: list[Input] = []
        lost = {result.dispatch for result in process.finished if result.ending is not Ending.CHECKPOINT}
        if process.running is not None:
            if own_fault:
                crash = self.result(process.running, Ending.FAILED, error=TurnError("ActorCrashed", "died"))
                inputs.append(Settle([crash], "code"))
            else:
                lost.add(process.running.dispatch)
        inputs.extend(Interrupt(dispatch, self.time, "code") for dispatch in sorted(lost))
        inputs.append(Unsend([turn.dispatch for turn in process.queue]))
        self.start_process(worker.pool[1])
        self.apply(*inputs)

    @rule()
    def the_supervisor_dies(self) -> None:
        pages: list[tuple[Turn, int]] = []
        for process in self.processes.values():
            ends = {result.dispatch for result in process.finished}
            begun = [turn for turn in self.all_turns if turn.dispatch in ends]
            if process.running is not None:
                begun.append(process.running)
            pages.extend((turn, self.engine.book.jobs[turn.job].head.epoch) for turn in begun)
        self.store.close()
        self.store = self.open_store()
        self.start_engine()
        self.sent = []
        inputs: list[Input] = [self.adoption(row) for row in self.store.live_jobs()]
        for turn, _ in pages:
            (kept,) = self.store.messages_from(turn.job, turn.message, 1)
            inputs.append(Fetch(kept))
        inputs.extend(
            Recover(turn.job, epoch, turn.message, turn.attempt, self.time, "code") for turn, epoch in pages
        )
        self.apply(*inputs)

    @property
    def all_turns(self) -> list[Turn]:
        """Turns whose results wait in a played process; their data is no longer needed."""
        return [
            Turn(
                dispatch, message.actor.job.row, message.number, message.slot, message.attempts + 1,
                message.data,
            )
            for dispatch, message in self.engine.book.outstanding.items()
        ]

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds
        self.apply()

    @rule(index=st.integers(0, 2), lift=st.booleans())
    def someone_pauses_or_resumes(self, index: int, lift: bool) -> None:
        job = self.engine.job(index + 1)
        if job is None or job.head.held is not lift:
            return
        self.apply(Lift(job.row) if lift else Hold(job.row))

    @rule(index=st.integers(0, 2), thaw=st.booleans())
    def someone_freezes_or_thaws(self, index: int, thaw: bool) -> None:
        job = self.engine.job(index + 1)
        if job is None or job.frozen is not thaw:
            return
        self.apply(Thaw(job.row) if thaw else Freeze(job.row))

    @rule(index=st.integers(0, 2), sure=st.integers(0, 4))
    def someone_cancels(self, index: int, sure: int) -> None:
        job = self.engine.job(index + 1)
        if job is not None and not job.frozen and not job.head.status.finished and sure == 0:
            self.apply(CancelJob(job.row))

    @rule(index=st.integers(0, 2))
    def someone_retries(self, index: int) -> None:
        if index < self.rows:
            self.retry(index + 1)

    def retry(self, row: int) -> None:
        head = self.store.head(row)
        if head is None or head.status is not JobStatus.FAILED:
            return
        if self.engine.job(row) is None:
            self.apply(self.adoption(row), RetryJob(row))
        else:
            self.apply(RetryJob(row))

    def adoption(self, row: int) -> Adopt:
        image = self.store.read_image(row, history=0)
        image.messages, stored = self.store.mailboxes(row, BOUNDS.mailbox)
        message, sequence, _ = self.store.last_numbers(row)
        return Adopt(row, image, PLAN, (message, sequence), Whence.STORE, stored)

    # --- invariants ---------------------------------------------------------------------------

    def everything(self) -> list[object]:
        rows = range(1, self.rows + 1)
        return [msgspec.msgpack.encode(self.store.read_image(row, logs=False)) for row in rows]

    @invariant()
    def memory_is_what_is_on_disk(self) -> None:
        for row, job in self.engine.book.jobs.items():
            image = self.store.read_image(row, logs=False)
            assert job.messages.keys() <= {m.message for m in image.messages}
            assert job.pending() == len(image.messages)
            for kept in image.messages:
                held = job.messages.get(kept.message)
                if held is None:
                    actor = job.actors[kept.routine]
                    assert kept.untried
                    assert actor.stored
                    assert kept.message >= actor.stored_from
                    continue
                assert (kept.attempts, kept.retry_count, kept.progress) == (
                    held.attempts, held.retry_count, held.progress
                )
            assert {s.key: s.value for s in image.shared} == job.shared
            for attribute in image.attributes:
                assert job.actors[attribute.routine].attributes[attribute.name] == attribute.value
            assert image.head.status is job.head.status
            for name in PLAN.routines:
                kept_figures = ImageView(image, "", 0).routine(name)
                assert LiveView(job, "").routine(name) == kept_figures
            counted = {name: list(count) for name, count in image.counts.items() if any(count)}
            assert {name: count for name, count in job.counts.items() if any(count)} == counted

    @invariant()
    def every_attempt_is_charged_once(self) -> None:
        for row in range(1, self.rows + 1):
            image = self.store.read_image(row, logs=False)
            pending = {m.message: m for m in image.messages}
            charged: dict[int, list[int]] = {}
            ended = set[int]()
            for entry in image.history:
                assert entry.message not in ended, "a message went on after its end"
                if entry.outcome != Outcome.INTERRUPTED:
                    charged.setdefault(entry.message, []).append(entry.attempt)
                if entry.final:
                    ended.add(entry.message)
            for message, numbers in charged.items():
                assert numbers == list(range(1, len(numbers) + 1))
                if message in pending:
                    assert pending[message].attempts == len(numbers)
                    if pending[message].routine != "strict":
                        assert pending[message].retry_count == len(numbers) <= RETRIES
                else:
                    assert message in ended
            assert not ended & pending.keys()

    @invariant()
    def what_is_out_is_counted(self) -> None:
        for job in self.engine.book.jobs.values():
            out = [m for m in job.messages.values() if m.dispatch]
            assert job.out == len(out)
            assert all(self.engine.book.outstanding[m.dispatch] is m for m in out)

    @invariant()
    def mailboxes_are_bounded_in_memory(self) -> None:
        """What was tried, out or fetched aside, an actor keeps as many messages as its bound says."""
        for job in self.engine.book.jobs.values():
            for actor in job.actors.values():
                out = sum(process.worker.window for process in self.processes.values())
                most = BOUNDS.mailbox + out + len(actor.tried)
                assert len([m for m in job.messages.values() if m.actor is actor]) <= most
                assert actor.held_by == sum(
                    actor.routine in PLAN.feeders[other.routine] and other.full
                    for other in job.actors.values()
                )

    def teardown(self) -> None:
        """Whatever happened: everything ends well once nothing goes wrong any more."""
        for job in list(self.engine.book.jobs.values()):
            if job.frozen:
                self.apply(Thaw(job.row))
            if job.head.held and not job.head.status.finished:
                self.apply(Lift(job.row))
        for _ in range(2000):
            for row in range(1, self.rows + 1):
                self.retry(row)
            if not self.engine.book.jobs:
                break
            self.time += 10.0
            self.apply()
            for process in list(self.processes.values()):
                if process.running is None and process.queue:
                    process.running = process.queue.pop(0)
                if process.running is not None:
                    process.finished.append(self.result(process.running, Ending.SUCCEEDED))
                    process.running = None
                results, process.finished = process.finished, []
                if results:
                    self.deliver(process, results)
        try:
            assert not self.engine.book.jobs, "a job never ended"
            for row in range(1, self.rows + 1):
                head = self.store.head(row)
                assert head is not None
                assert head.status in (JobStatus.COMPLETED, JobStatus.CANCELLED)
        finally:
            self.store.close()
            shutil.rmtree(self.folder)


EngineMachine.TestCase.settings = settings(
    settings.default, max_examples=60, stateful_step_count=60
)
TestEngine = EngineMachine.TestCase
