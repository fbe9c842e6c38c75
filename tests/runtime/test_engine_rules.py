"""Commands that meet turns in flight, freezes and restarts: one rule of a job's life per test."""

from __future__ import annotations

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import (
    Adopt,
    CancelJob,
    Create,
    Freeze,
    Hold,
    Input,
    Lift,
    Now,
    RetryJob,
    Round,
    Settle,
    Thaw,
    Whence,
)
from sojourn.runtime.engine.load import relative_image
from sojourn.runtime.engine.model import FlowPlan, Job, Origins
from sojourn.runtime.flow import ErrorStrategy, FlowSpec, HandlerSpec, RoutineSpec, SlotSpec
from sojourn.runtime.job import JobImage, JobStatus, MessageRow, Outcome
from sojourn.runtime.pool import Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Result, TurnError

NOW = Now(1000.0, 50.0)
DATA = encode_fields({}, where="x")
STEP = RoutineSpec(
    "step", "m:Step", b"", (SlotSpec("input", open=True),), (),
    HandlerSpec(ErrorStrategy.STOP), processes=2, parallel=True,
)
PLAN = FlowPlan("digest", FlowSpec("flow", "step", (STEP,)))


class Bench:
    """One job of an engine, and a played process."""

    def __init__(self, messages: int = 1) -> None:
        self.engine = Engine(Origins("a", {}), lambda: 0.5)
        self.dispatcher = Dispatcher(self.engine.book)
        self.worker = Worker("w", ("digest", "step"), "code")
        self.worker.window = 10
        done = self.step(Create(1, "job", "instance", PLAN, DATA, ""))
        for _ in range(messages - 1):
            self.engine.book.deliver(self.job, done, "step", "input", DATA)
        self.dispatcher.enqueue()
        self.dispatcher.add_worker(self.worker)

    @property
    def job(self) -> Job:
        job = self.engine.job(1)
        assert job is not None
        return job

    def step(self, *inputs: Input) -> Round:
        return self.engine.step(inputs, NOW)

    def send(self) -> list[int]:
        """Hand out what may run."""
        return [
            turn.dispatch
            for assignment in self.dispatcher.assign(NOW.monotonic)
            for turn in assignment.dispatch.turns
        ]

    def end(self, dispatch: int, ending: Ending = Ending.SUCCEEDED) -> Round:
        error = TurnError("ValueError", "no") if ending is Ending.FAILED else None
        return self.step(Settle([Result(dispatch, ending, 1.0, 2.0, error=error)], "code"))


def test_a_job_that_failed_while_it_was_being_cancelled_can_be_retried() -> None:
    bench = Bench()
    (dispatch,) = bench.send()
    bench.step(CancelJob(1))
    job = bench.job
    failed = bench.end(dispatch, Ending.FAILED)
    assert (job.head.status, failed.writes.heads[1].cancelling) == (JobStatus.FAILED, False)
    image = JobImage(b"", job.head, [], [], [], [], [], [], [], {}, {})
    bench.step(Adopt(1, image, PLAN, (1, 1), Whence.STORE), RetryJob(1))
    assert job.head.status is not JobStatus.CANCELLED


def test_a_pause_is_reached_in_a_frozen_job_too() -> None:
    bench = Bench()
    (dispatch,) = bench.send()
    bench.step(Hold(1), Freeze(1))
    assert bench.job.head.status is JobStatus.QUEUED
    done = bench.end(dispatch, Ending.YIELDED)
    assert (done.writes.heads[1].status, done.quiet) == (JobStatus.PAUSED, {1})


def test_a_cancel_is_reached_in_a_frozen_job_too() -> None:
    bench = Bench()
    (dispatch,) = bench.send()
    bench.step(CancelJob(1), Freeze(1))
    done = bench.end(dispatch, Ending.YIELDED)
    assert (done.writes.heads[1].status, done.quiet, done.ended) == (JobStatus.CANCELLED, {1}, [])
    assert bench.step(Thaw(1)).ended == [1]


def test_a_frozen_job_whose_last_message_ended_goes_on_where_it_is_thawed() -> None:
    bench = Bench()
    (dispatch,) = bench.send()
    bench.step(Freeze(1))
    assert bench.end(dispatch).writes.heads[1].status is JobStatus.RUNNING
    assert bench.step(Thaw(1)).writes.heads[1].status is JobStatus.COMPLETED


def test_a_job_that_was_paused_before_it_began_is_queued_again_after_a_restart() -> None:
    bench = Bench()
    bench.step(Hold(1))
    assert bench.job.head.status is JobStatus.PAUSED
    image = JobImage(b"", bench.job.head, [], [], [], [], [], [], [], {}, {})
    other = Bench()
    other.step(Adopt(2, image, PLAN, (1, 0), Whence.STORE))
    assert other.step(Lift(2)).writes.heads[2].status is JobStatus.QUEUED


def test_under_stop_the_other_turns_in_flight_finish_and_commit() -> None:
    bench = Bench(messages=3)
    first, second, third = bench.send()
    stopped = bench.end(first, Ending.FAILED)
    assert (stopped.writes.heads[1].status, stopped.recalls, stopped.ended) == (
        JobStatus.FAILED, {1}, []
    )
    committed = bench.end(second)
    assert len(committed.writes.history) == 1
    assert committed.ended == []
    assert bench.end(third, Ending.FAILED).ended == [1]


def test_the_remaining_backoff_travels_though_the_wall_clock_was_set_meanwhile() -> None:
    bench = Bench()
    message = bench.job.messages[1]
    message.due = NOW.monotonic + 3.0
    row = MessageRow(1, 1, "step", "input", DATA, 1, 1, NOW.wall + 3.0, None)
    image = JobImage(b"", bench.job.head, [row], [], [], [], [], [], [], {}, {})
    an_hour_later_it_says = Now(NOW.wall + 3600.0, NOW.monotonic + 1.0)
    travels = relative_image(image, an_hour_later_it_says, bench.job)
    assert travels.messages[0].due == 2.0


def test_a_turn_that_the_disk_failed_blocks_its_job_and_charges_nothing() -> None:
    bench = Bench()
    (dispatch,) = bench.send()
    error = TurnError("HostFails", "mend the disk")
    done = bench.step(Settle([Result(dispatch, Ending.HINDERED, 1.0, 2.0, error=error)], "code"))
    head = done.writes.heads[1]
    assert (head.status, head.reason) == (JobStatus.BLOCKED, "mend the disk")
    assert [(row.attempt, row.outcome, row.final) for row in done.writes.history] == [
        (1, int(Outcome.INTERRUPTED), 0)
    ]
    assert (done.recalls, bench.send()) == ({1}, [])
    bench.step(RetryJob(1))
    (again,) = bench.send()
    assert bench.end(again).writes.heads[1].status is JobStatus.COMPLETED
