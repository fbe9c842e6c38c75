"""A retry's backoff is by the monotonic clock; over a restart it survives a wall clock that is set."""

from __future__ import annotations

import pytest

from sojourn.runtime.dispatch import Dispatcher
from sojourn.runtime.engine.engine import Engine
from sojourn.runtime.engine.inputs import Adopt, Create, Input, Now, Round, Settle, Whence
from sojourn.runtime.engine.model import FlowPlan, Origins
from sojourn.runtime.flow import ErrorStrategy, FlowSpec, HandlerSpec, RoutineSpec, SlotSpec, encode_flow
from sojourn.runtime.job import JobImage
from sojourn.runtime.pool import Pool, Worker
from sojourn.runtime.values import encode_fields
from sojourn.runtime.wire.actor import Ending, Question, Result, TurnError
from tests.simulation.hosts.memory_store import Disk, MemoryStore

DELAY = 100.0
STEP = RoutineSpec(
    "step", "m:Step", b"", (SlotSpec("input", open=True),), (),
    HandlerSpec(ErrorStrategy.RETRY, retry_delay=DELAY, retry_backoff=1.0, max_delay=1000.0),
)
FLOW = FlowSpec("flow", "step", (STEP,))
PLAN = FlowPlan("digest", FLOW)
DATA = encode_fields({}, where="x")
HOUR = 3600.0


class ClockedHost:
    """An engine on a disk, with clocks that a test sets."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.disk.flows["digest"] = encode_flow(FLOW)
        self.wall, self.monotonic = 1_000_000.0, 50.0
        self.start()

    def start(self) -> None:
        self.store = MemoryStore(self.disk, self.wall, "store")
        self.engine = Engine(Origins("a", self.store.origins()), lambda: 0.5)
        self.dispatcher = Dispatcher(self.engine.book)
        self.worker = Worker("w", ("digest", "step"), "code")
        self.dispatcher.pools[self.worker.pool] = Pool(self.worker.pool, 1, False)
        self.dispatcher.add_worker(self.worker)

    def step(self, *inputs: Input) -> Round:
        done = self.engine.step(inputs, Now(self.wall, self.monotonic))
        self.store.commit(done.writes)
        return done

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def fail(self) -> None:
        """Let an attempt fail that asks something besides."""
        ((turn,),) = (sent.dispatch.turns for sent in self.dispatcher.assign(self.monotonic))
        result = Result(turn.dispatch, Ending.FAILED, self.wall, self.wall, error=TurnError("E", "no"))
        self.step(Settle(self.dispatcher.returned(self.worker, [result], self.monotonic), "code"))

    def restart(self) -> None:
        """Take the job up again, as a supervisor does after a crash."""
        self.start()
        image: JobImage = self.store.read_image(1, history=1, logs=False)
        message, sequence, _ = self.store.last_numbers(1)
        self.step(Adopt(1, image, PLAN, (message, sequence), Whence.STORE))

    def left(self) -> float:
        """Seconds until the retry."""
        due = self.engine.next_due()
        assert due is not None
        return due - self.monotonic


def waiting_host() -> ClockedHost:
    host = ClockedHost()
    host.step(Create(1, "job", "instance", PLAN, DATA, ""))
    host.fail()
    host.pass_time(30.0)
    return host


def test_a_restart_keeps_what_is_left_of_a_backoff() -> None:
    host = waiting_host()
    host.restart()
    assert host.left() == pytest.approx(DELAY - 30.0)


def test_a_clock_that_was_set_back_while_the_host_was_down_makes_no_retry_wait_as_much_longer() -> None:
    host = waiting_host()
    host.wall -= HOUR
    host.restart()
    assert host.left() == pytest.approx(DELAY)
    host.pass_time(40.0)
    host.restart()
    assert host.left() == pytest.approx(DELAY - 40.0), "from now on it counts by the clock as it is"


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_clock_that_is_set_while_the_host_runs_changes_no_backoff_over_a_restart(jump: float) -> None:
    host = waiting_host()
    host.wall += jump
    host.step()
    host.pass_time(10.0)
    host.restart()
    assert host.left() == pytest.approx(DELAY - 40.0)


def test_a_clock_that_runs_a_little_off_writes_nothing() -> None:
    host = waiting_host()
    host.wall += 0.5
    assert not host.step().writes


def test_a_retry_that_was_in_flight_when_the_clock_was_set_runs_again_at_once_after_a_crash() -> None:
    host = waiting_host()
    host.pass_time(DELAY)
    host.step()
    (sent,) = host.dispatcher.assign(host.monotonic)
    assert sent.dispatch.turns[0].attempt == 2
    host.wall -= HOUR
    host.step()
    host.restart()
    assert host.engine.next_due() is None
    (again,) = host.dispatcher.assign(host.monotonic)
    assert again.dispatch.turns[0].attempt == 2


def test_a_question_ends_when_it_was_said_to_though_the_clock_is_set() -> None:
    host = ClockedHost()
    host.step(Create(1, "job", "instance", PLAN, DATA, ""))
    ((turn,),) = (sent.dispatch.turns for sent in host.dispatcher.assign(host.monotonic))
    question = Question("q", "input", "?", DELAY)
    asked = Result(turn.dispatch, Ending.SUCCEEDED, host.wall, host.wall, questions=[question])
    host.step(Settle(host.dispatcher.returned(host.worker, [asked], host.monotonic), "code"))
    host.wall -= HOUR
    host.step()
    host.pass_time(10.0)
    host.restart()
    assert host.left() == pytest.approx(DELAY - 10.0)
