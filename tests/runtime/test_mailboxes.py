"""Bounded mailboxes: what feeds a full one waits, the rest is on disk alone, nothing is lost or stuck."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.runtime.engine.bounds import Bounds
from sojourn.runtime.engine.inputs import CancelJob, Fetch, Hold, Lift, Recover
from sojourn.runtime.engine.view import LiveView
from sojourn.runtime.flow import IdleHook
from sojourn.runtime.job import JobStatus
from sojourn.runtime.wire.actor import Turn
from tests.runtime.played_host import PlayedHost, emits, flow

SMALL = Bounds(mailbox=8, few=2)
PAIR = flow(["make", "use"], [("make", "use"), ("make", "make")])
"""``make`` keeps its own queue going and feeds ``use``."""


def emit_three(routine: str, _turn: Turn) -> int:
    return 3 if routine == "make" else 0


def of(host: PlayedHost, routine: str) -> str:
    """Name the process of a routine."""
    return next(name for name, worker in host.dispatcher.workers.items() if worker.pool[1] == routine)


def test_a_producer_waits_while_the_mailbox_that_it_feeds_is_full() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), SMALL)
    row = host.submit()
    host.fill(row, 30, "make")
    while "make-0" in host.busy():
        host.finish("make-0", emit_three)
    use, make = host.job(row).actors["use"], host.job(row).actors["make"]
    assert use.full
    assert (make.held_by, make.has_work(), len(make.ready) > 0) == (1, False, True)
    # what is out at its process doesn't count at first, and what was sent ahead to ``make`` is handled
    most = SMALL.mailbox + host.window + 3 * host.window
    assert SMALL.mailbox <= use.queued() <= most
    while use.queued() > SMALL.mailbox // 2 + 1:
        host.finish(of(host, "use"), emit_three)
        assert "make-0" not in host.busy()
    host.finish(of(host, "use"), emit_three)
    assert not use.full
    assert "make-0" in host.busy()
    host.run(emit_three)
    assert len([entry for entry in host.handled if entry[1] == "use"]) == 31 * 3


def test_a_turn_that_emits_far_beyond_the_bound_is_committed_whole_and_stays_on_disk() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), SMALL)
    row = host.submit()
    host.finish("make-0", emits(10_000))
    job = host.job(row)
    assert host.store.pending_total(row) == job.pending() == 10_000
    assert len(job.messages) <= SMALL.mailbox + host.window
    view = LiveView(job, "running")
    figures = view.routine("use")
    assert figures is not None
    assert (view.pending, figures.pending) == (10_000, 10_000)
    most = 0
    while host.busy():
        host.finish(host.busy()[0], emits(0))
        most = max(most, len(job.messages))
    assert most <= SMALL.mailbox + 2 * host.window
    assert [number for _, name, number in host.handled if name == "use"] == list(range(2, 10_002))
    head = host.store.head(row)
    assert head is not None
    assert head.status is JobStatus.COMPLETED
    assert host.engine.book.mailboxes.load == 0


def test_within_a_cycle_nothing_is_held_and_what_enters_it_is() -> None:
    edges = [("enter", "one"), ("one", "two"), ("two", "one"), ("enter", "enter")]
    plan = flow(["enter", "one", "two"], edges)
    host = PlayedHost(plan, SMALL)
    row = host.submit()
    host.run(lambda routine, _turn: 2 if routine == "enter" else 1, 200)
    enter, one, two = (host.job(row).actors[name] for name in ("enter", "one", "two"))
    assert one.full
    assert enter.held_by == 1
    assert (one.held_by, two.held_by) == (0, 0)
    assert not [name for name in host.busy() if name.startswith("enter")]
    ends = iter(range(10_000))
    host.run(lambda routine, _turn: 0 if routine == "enter" else int(next(ends) % 3 == 0))
    assert host.store.live_jobs() == []


def test_the_fan_in_comes_once_all_that_is_on_disk_has_ended() -> None:
    plan = flow(["make", "use", "sum"], [("make", "use")], (IdleHook("sum", "input"),))
    host = PlayedHost(plan, SMALL)
    host.submit()
    host.run(lambda routine, _turn: 100 if routine == "make" else 0)
    assert host.handled[-1][1] == "sum"
    assert len(host.handled) == 102


def test_a_restart_leaves_on_disk_what_has_no_room() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), SMALL)
    row = host.submit()
    host.finish("make-0", emits(100))
    host.start()
    job = host.job(row)
    assert job.pending() == 100
    assert len(job.messages) <= SMALL.mailbox + host.window
    assert job.actors["use"].full
    host.run(emit_three)
    assert [number for _, _, number in host.handled[1:]] == list(range(2, 102))


def test_an_attempt_that_began_before_a_crash_is_recorded_though_its_message_stayed_on_disk() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), SMALL)
    row = host.submit()
    host.finish("make-0", emits(100))
    host.start()
    (kept,) = host.store.messages_from(row, 90, 1)
    assert 90 not in host.job(row).messages
    host.apply(Fetch(kept), Recover(row, 1, 90, 1, 5.0, "code"))
    assert [(entry.message, entry.outcome) for entry in host.store.read_image(row).history[1:]] == [(90, 3)]
    host.apply(Fetch(kept))  # once more changes nothing
    assert host.job(row).pending() == 100
    host.run(emit_three)
    assert [number for _, _, number in host.handled[1:]] == list(range(2, 102))


def test_a_pause_and_a_cancel_leave_what_is_on_disk_in_the_document() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), SMALL)
    row = host.submit()
    host.finish("make-0", emits(100))
    host.apply(Hold(row))
    host.run(emit_three)  # what is out already
    assert host.job(row).head.status is JobStatus.PAUSED
    left = host.store.pending_total(row)
    host.apply(Lift(row))
    host.run(emit_three, 20)
    assert host.store.pending_total(row) == left - 20
    host.apply(CancelJob(row))
    host.run(emit_three)
    head = host.store.head(row)
    assert head is not None
    assert head.status is JobStatus.CANCELLED
    assert host.store.pending_total(row) > 60
    assert host.engine.book.mailboxes.load == 0


def test_where_all_mailboxes_together_take_much_memory_each_keeps_few_messages() -> None:
    host = PlayedHost(flow(["make", "use"], [("make", "use")]), Bounds(mailbox=100, few=4, memory=20_000))
    rows = [host.submit() for _ in range(10)]
    while busy := [name for name in host.busy() if name.startswith("make")]:
        host.finish(busy[0], emits(99))
    assert all(host.job(row).pending() == 99 for row in rows)
    assert host.engine.book.mailboxes.load < 20_000 + 100 * 500  # the one that crossed the line had its 99
    assert sum(host.in_memory(row, "use") <= 4 + host.window for row in rows) >= 6
    host.run(emit_three)
    for row in rows:
        own = [number for job, name, number in host.handled if job == row and name == "use"]
        assert own == list(range(2, 101))


@pytest.mark.parametrize("parallel", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=10), st.integers(0, 2**32),
    st.integers(1, 6),
)
def test_whatever_the_graph_nothing_is_lost_or_twice_or_stuck_or_out_of_order(
    parallel: bool, edges: list[tuple[int, int]], seed: int, mailbox: int
) -> None:
    chance = random.Random(seed)
    names = [f"r{number}" for number in range(5)]
    plan = flow(
        names, dict.fromkeys((names[source], names[target]) for source, target in edges),
        parallel=parallel, processes=2,
    )
    bounds = Bounds(mailbox=mailbox, few=1, memory=chance.choice((1_000, 10**9)))
    host = PlayedHost(plan, bounds, window=chance.choice((1, 3)))
    rows = [host.submit(chance.randrange(-3, 4)) for _ in range(2)]
    budget = 300  # emissions, so that cycles come to an end

    def handle(_routine: str, _turn: Turn) -> int:
        nonlocal budget
        if chance.random() < 0.1:
            return -1
        emitted = min(budget, chance.choice((0, 0, 1, 1, 2, 3, 9)))
        budget -= emitted * 5
        return max(0, emitted)

    for _ in range(chance.randrange(60)):
        for row in [row for row in rows if host.engine.job(row) is not None]:
            for actor in host.job(row).actors.values():
                kept = host.in_memory(row, actor.routine) - actor.messages_out - len(actor.tried)
                assert kept <= mailbox + 2 * host.window
                feeders = [host.job(row).actors.get(name) for name in plan.feeders[actor.routine]]
                assert not actor.full or not any(one.has_work() for one in feeders if one is not None)
        if chance.random() < 0.05:
            host.start()
        elif busy := host.busy():
            host.finish(chance.choice(busy), handle)
        else:
            host.time += 1.0
            host.apply()
    host.run(handle)
    assert host.store.live_jobs() == [], "stuck"
    assert len(set(host.handled)) == len(host.handled), "a message was handled twice"
    for row in rows:
        image = host.store.read_image(row)
        assert image.messages == []
        ended = {entry.message for entry in image.history if entry.final}
        assert ended == set(range(1, image.head.next_message)), "a message was lost"
    assert host.engine.book.mailboxes.load == 0
    assert host.engine.book.queues.of("digest").jobs == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_first_attempts_of_an_actor_begin_oldest_first(seed: int, mailbox: int) -> None:
    chance = random.Random(seed)
    host = PlayedHost(PAIR, Bounds(mailbox=mailbox, few=1), window=2)
    host.submit()
    left = 60

    def handle(routine: str, _turn: Turn) -> int:
        nonlocal left
        left -= 1
        if chance.random() < 0.2:
            return -1
        return chance.choice((1, 2, 5)) if routine == "make" and left > 0 else 0

    host.run(handle)
    for routine in ("make", "use"):
        own = [number for _, name, number in host.started if name == routine]
        assert own == sorted(own)
