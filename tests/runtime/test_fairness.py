"""Fairness and priorities between jobs, counted in messages handed out and never in seconds."""

from __future__ import annotations

import pytest

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Create, Drop
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.pool import LARGEST_WINDOW, PARTS, PASSES, SHARED_FOR, Worker
from tests.runtime.played_host import DATA, PlayedHost, emits, flow
from tests.runtime.test_effort import NOW, calls_of

CHAIN = flow(["one", "two", "three"], [("one", "two"), ("two", "three")])
STEP = flow(["step"], [])


def test_a_job_of_three_messages_passes_one_of_a_hundred_thousand() -> None:
    host = PlayedHost(CHAIN, Bounds(), window=LARGEST_WINDOW)
    huge = host.submit()
    host.fill(huge, 100_000, "one")
    host.run(emits(1), 3 * LARGEST_WINDOW)
    small = host.submit()
    begun = len(host.handled)
    while host.engine.job(small) is not None:
        host.run(emits(1), 3)
    # At each of the three processes it waits for what was sent ahead when it came: a window where it was
    # not known that there are two, a part of it later.
    assert len(host.handled) - begun < 3 * 3 * LARGEST_WINDOW
    begun = len(host.handled)
    small = host.submit()
    while host.engine.job(small) is not None:
        host.run(emits(1), 3)
    assert len(host.handled) - begun < 3 * 3 * (LARGEST_WINDOW // PARTS + 3)


def test_no_job_fills_a_process_that_others_want_too() -> None:
    host = PlayedHost(STEP, Bounds(), window=100)
    rows = [host.submit() for _ in range(4)]
    for row in rows:
        host.fill(row, 200, "step")
    host.run(emits(0), 300)
    assert {row: host.job(row).out for row in rows} == dict.fromkeys(rows, 25)


def test_a_job_that_is_alone_again_gets_the_whole_window() -> None:
    host = PlayedHost(STEP, Bounds(), window=100)
    rows = [host.submit() for _ in range(2)]
    host.fill(rows[0], 5000, "step")
    host.run(emits(0), 300)
    assert host.job(rows[0]).out <= 100 // PARTS + 1
    host.time += 2 * SHARED_FOR
    host.run(emits(0), 100)
    assert host.job(rows[0]).out == 100


def test_the_share_of_a_job_leaves_no_process_idle() -> None:
    plan = flow(["step"], [], parallel=True, processes=4)
    host = PlayedHost(plan, Bounds(), window=1)
    huge, small = host.submit(), host.submit()
    host.fill(huge, 100, "step")
    host.run(emits(0), 8)
    assert host.engine.job(small) is None
    assert host.job(huge).out == 4


def test_a_higher_priority_that_comes_later_is_next() -> None:
    host = PlayedHost(STEP, Bounds(), window=1)
    ordinary = [host.submit() for _ in range(20)]
    urgent = host.submit(priority=3)
    host.run(emits(0))
    order = [row for row, _, _ in host.handled]
    assert order.index(urgent) == 1  # behind the one that was out already
    assert [row for row in order if row != urgent] == ordinary


@pytest.mark.parametrize("window", [1, 64])
def test_seven_of_eight_messages_go_to_the_higher_priority_and_one_to_the_lower(window: int) -> None:
    host = PlayedHost(STEP, Bounds(), window=window)
    high, low = host.submit(priority=1), host.submit(priority=-3)
    for row in (high, low):
        host.fill(row, 4000, "step")
    host.handled.clear()
    host.run(emits(0), 1600)
    lower = [row for row, _, _ in host.handled].count(low)
    assert lower == pytest.approx(1600 / (PASSES + 1), abs=window + 5)


def test_nobody_waits_for_ever_however_many_of_higher_priority_come() -> None:
    host = PlayedHost(STEP, Bounds(), window=1)
    for _ in range(10):
        host.submit(priority=3)
    lowest = [host.submit(priority=-3) for _ in range(5)]
    for _ in range(200):
        host.submit(priority=3)  # for each that ends another comes
        host.run(emits(0), 1)
    order = [row for row, _, _ in host.handled]
    assert set(lowest) <= set(order)
    assert order.index(lowest[-1]) <= (PASSES + 1) * (len(lowest) + 10)


def test_a_priority_stays_over_a_restart() -> None:
    host = PlayedHost(STEP, Bounds(), window=1)
    rows = [host.submit() for _ in range(3)]
    urgent = host.submit(priority=2)
    host.start()
    assert host.job(urgent).head.priority == 2
    host.run(emits(0))
    assert [row for row, _, _ in host.handled] == [urgent, *rows]


def test_a_round_costs_what_happens_in_it_however_many_flows_processes_and_jobs_there_are() -> None:
    def cost(flows: int) -> list[int]:
        host = PlayedHost(STEP, Bounds(), window=4)
        dispatcher = host.dispatcher
        for number in range(flows):
            plan = FlowPlan(f"d{number}", STEP.spec)
            create = Create(10 + number, f"x{number}", f"i{number}", plan, DATA, "")
            host.engine.step([create], host.now)
            dispatcher.enqueue()
            dispatcher.add_worker(Worker(f"w{number}", (plan.digest, "step"), "code"))
        dispatcher.assign(host.time)
        row = host.submit()
        found = [calls_of(lambda: dispatcher.holders(row)), calls_of(lambda: dispatcher.forget(row))]
        host.fill(row, 10, "step")
        found.append(calls_of(lambda: dispatcher.assign(host.time)))
        found.append(calls_of(dispatcher.understaffed))
        return found

    assert cost(100) == cost(3)


def test_processes_with_nothing_to_do_cost_nothing_when_others_are_looked_for() -> None:
    def cost(flows: int) -> int:
        engine = Engine(Origins("a", {}), lambda: 0.5)
        dispatcher = Dispatcher(engine.book)
        for number in range(flows):
            plan = FlowPlan(f"d{number}", STEP.spec)
            engine.step([Create(number, f"x{number}", "i", plan, DATA, "")], NOW)
            dispatcher.enqueue()
            engine.step([Drop(number)], NOW)
            for name in "ab":
                dispatcher.add_worker(Worker(f"{name}{number}", (plan.digest, "step"), "code"))
        dispatcher.assign(NOW.monotonic)
        return calls_of(lambda: dispatcher.starved(NOW.monotonic + 1.0))

    assert cost(50) == cost(2)
