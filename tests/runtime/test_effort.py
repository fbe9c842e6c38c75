"""What a round costs follows what happens in it, not how much waits: counted in calls, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Create, Now, Round
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.engine.view import LiveView
from sojourn.runtime.flow import EventSpec, FlowSpec, RoutineSpec, SlotSpec
from sojourn.runtime.pool import LARGEST_WINDOW, Worker
from sojourn.runtime.values import encode_fields

NOW = Now(1000.0, 1000.0)
DATA = encode_fields({"n": 1}, where="x")
STEP = RoutineSpec("step", "m:Step", b"", (SlotSpec("input", open=True),), (EventSpec("output"),))
PLAN = FlowPlan("digest", FlowSpec("flow", "step", (STEP,)))


def calls_of(act: Callable[[], object]) -> int:
    """Count the calls, those into C included, that doing something takes."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted


def new_engine() -> Engine:
    return Engine(Origins("a", {}), lambda: 0.5)


def create(engine: Engine, row: int, round_: Round | None = None) -> Round:
    return engine.step([Create(row, f"j{row}", f"i{row}", PLAN, DATA, "")], NOW, round_)


def one_job(messages: int) -> Engine:
    """Give an engine with one job that has messages in its mailbox."""
    engine = new_engine()
    done = create(engine, 1)
    for _ in range(messages - 1):
        engine.book.deliver(engine.book.jobs[1], done, "step", "input", DATA)
    return engine


def test_a_step_doesnt_go_again_through_the_jobs_that_earlier_steps_of_its_round_touched() -> None:
    engine = new_engine()
    round_ = create(engine, 1)
    second = calls_of(lambda: create(engine, 2, round_))
    for row in range(3, 500):
        create(engine, row, round_)
    assert calls_of(lambda: create(engine, 500, round_)) == second
    assert round_.touched == set(range(1, 501))


def test_a_full_process_is_offered_nothing_however_many_jobs_wait() -> None:
    def cost(jobs: int) -> int:
        engine = new_engine()
        dispatcher = Dispatcher(engine.book)
        for row in range(1, jobs + 1):
            create(engine, row)
        dispatcher.enqueue()
        dispatcher.add_worker(Worker("w", ("digest", "step"), "code"))
        assert len(dispatcher.assign(NOW.monotonic)) == 1  # its window is one message at first
        return calls_of(lambda: dispatcher.assign(NOW.monotonic))

    assert cost(1000) == cost(10)


def test_a_condition_doesnt_go_through_the_mailbox() -> None:
    def cost(messages: int) -> int:
        job = one_job(messages).book.jobs[1]
        figures = LiveView(job, "running").routine("step")
        assert figures is not None
        assert figures.pending == messages
        return calls_of(lambda: LiveView(job, "running").routine("step"))

    assert cost(1000) == cost(10)


def test_handing_out_costs_what_is_handed_out_however_long_the_queue_is() -> None:
    def cost(messages: int) -> int:
        engine = one_job(messages)
        dispatcher = Dispatcher(engine.book)
        dispatcher.enqueue()
        worker = Worker("w", ("digest", "step"), "code")
        worker.window = LARGEST_WINDOW
        dispatcher.add_worker(worker)
        return calls_of(lambda: dispatcher.assign(NOW.monotonic))

    assert cost(4 * LARGEST_WINDOW) == cost(2 * LARGEST_WINDOW)


def test_how_many_processes_are_wanted_is_known_without_counting_all_that_wait() -> None:
    def cost(jobs: int) -> int:
        engine = new_engine()
        dispatcher = Dispatcher(engine.book)
        for row in range(1, jobs + 1):
            create(engine, row)
        dispatcher.enqueue()
        (pool,) = dispatcher.pools.values()
        pool.processes = 4
        assert pool.wanted() == pool.processes
        return calls_of(pool.wanted)

    assert cost(1000) == cost(10)
