"""Handing out: windows that adapt, fairness between jobs, actors that stay with their process."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sojourn.runtime.dispatch import Assignment, Dispatcher
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Create, Now, Settle, Unsend
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.flow import EventSpec, FlowSpec, RoutineSpec, SlotSpec
from sojourn.runtime.pool import HORIZON, LARGEST_WINDOW, SHARED_FOR, Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Result

NOW = Now(1000.0, 1000.0)
DATA = encode_fields({"n": 1}, where="x")


def plan(**options: object) -> FlowPlan:
    step = RoutineSpec(
        "step", "m:Step", b"", (SlotSpec("input", open=True),), (EventSpec("output"),),
        **options,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    )
    return FlowPlan("digest", FlowSpec("flow", "step", (step,)))


class Bench:
    """An engine with played workers."""

    def __init__(self, workers: int, **options: object) -> None:
        self.plan = plan(**options)
        self.engine = Engine(Origins("a", {}), lambda: 0.5, Bounds(mailbox=1_000_000))
        self.dispatcher = Dispatcher(self.engine.book)
        self.jobs = 0
        self.time = NOW.monotonic
        self.submit(0)
        self.workers = [Worker(f"w{n}", ("digest", "step"), "code") for n in range(workers)]
        for worker in self.workers:
            self.dispatcher.add_worker(worker)

    def submit(self, messages: int) -> int:
        """Make a job with messages in its one mailbox."""
        self.jobs += 1
        row = self.jobs
        if messages or row == 1:
            done = self.engine.step([Create(row, f"j{row}", f"i{row}", self.plan, DATA, "")], NOW)
            job = self.engine.book.jobs[row]
            for _ in range(messages - 1):
                self.engine.book.deliver(job, done, "step", "input", DATA)
        self.dispatcher.enqueue()
        return row

    def assign(self) -> dict[str, Assignment]:
        return {a.worker.name: a for a in self.dispatcher.assign(self.time)}

    def finish(self, assignment: Assignment, seconds: float) -> None:
        results = [
            Result(turn.dispatch, Ending.SUCCEEDED, 0.0, seconds) for turn in assignment.dispatch.turns
        ]
        known = self.dispatcher.returned(assignment.worker, results, self.time)
        self.engine.step([Settle(known, "code")], NOW)


def test_a_new_process_gets_one_message_and_twice_as_many_each_time() -> None:
    bench = Bench(1)
    bench.submit(20_000)
    sizes: list[int] = []
    for _ in range(40):
        assignment = bench.assign()["w0"]
        sizes.append(len(assignment.dispatch.turns))
        bench.finish(assignment, 1e-6)
        bench.time += 2 * SHARED_FOR  # nobody remembers the first job, which was there for one turn
    assert sizes[0] == 1
    assert all(later <= 2 * max(1, earlier) for earlier, later in pairwise(sizes))
    assert max(sizes) == LARGEST_WINDOW


def test_long_turns_are_sent_one_at_a_time() -> None:
    bench = Bench(1)
    bench.submit(50)
    for _ in range(10):
        assignment = bench.assign()["w0"]
        assert len(assignment.dispatch.turns) == 1
        bench.finish(assignment, 10 * HORIZON)


def test_an_actor_stays_with_its_process_while_it_has_messages_out() -> None:
    bench = Bench(2)
    bench.submit(50)
    for worker in bench.workers:
        worker.window = 4
    first = bench.assign()
    homes = {
        name for name, assignment in first.items()
        if any(turn.job == 2 for turn in assignment.dispatch.turns)
    }
    assert len(homes) == 1
    assert not [
        a for name, a in bench.assign().items()
        if name not in homes and any(t.job == 2 for t in a.dispatch.turns)
    ]


def test_parallel_turns_spread_over_all_processes() -> None:
    bench = Bench(4, parallel=True, processes=4)
    bench.submit(40)
    for worker in bench.workers:
        worker.window = 100
    shares = [len(assignment.dispatch.turns) for assignment in bench.assign().values()]
    assert len(shares) == 4
    assert sum(shares) == 41
    assert min(shares) >= 1


def test_two_jobs_of_one_process_take_turns() -> None:
    bench = Bench(1)
    bench.submit(100)
    bench.submit(100)
    served: list[int] = []
    for _ in range(20):
        assignment = bench.assign()["w0"]
        served.extend(turn.job for turn in assignment.dispatch.turns)
        bench.finish(assignment, HORIZON)
    later = served[4:]
    assert later.count(2) == pytest.approx(later.count(3), abs=2)


def test_what_waits_behind_a_slow_turn_is_called_back_for_an_idle_process() -> None:
    bench = Bench(2, parallel=True, processes=2)
    bench.submit(1)
    slow, idle = bench.workers
    slow.window = 10
    idle.stopping = True
    bench.submit(9)
    first = bench.assign()
    assert set(first) == {"w0"}
    idle.stopping = False
    assert bench.dispatcher.starved(NOW.monotonic) == []
    late = NOW.monotonic + 10 * HORIZON
    assert bench.dispatcher.starved(late) == [slow]
    unbegun = [turn.dispatch for turn in first["w0"].dispatch.turns[1:]]
    bench.dispatcher.unsent(slow, unbegun)
    bench.engine.step([Unsend(unbegun)], NOW)
    again = {a.worker.name: a for a in bench.dispatcher.assign(late)}
    assert set(again) == {"w1"}


def test_contexts_are_sent_once_and_only_what_changed_after() -> None:
    bench = Bench(1)
    row = bench.submit(10)
    seen = bench.assign()["w0"]
    assert {context.job: context.shared_whole for context in seen.dispatch.contexts} == {1: True}
    bench.finish(seen, HORIZON)
    first = bench.assign()["w0"]
    assert [(c.job, c.shared_whole) for c in first.dispatch.contexts] == [(row, True)]
    bench.finish(first, HORIZON)
    second = bench.assign()["w0"]
    assert second.dispatch.contexts == []
    bench.finish(second, HORIZON)
    bench.engine.book.jobs[row].note_shared("key", DATA)
    third = bench.assign()["w0"]
    (context,) = third.dispatch.contexts
    assert (context.shared, context.shared_whole, context.attributes) == ({"key": DATA}, False, None)
    assert third.dispatch.acknowledged == 3
