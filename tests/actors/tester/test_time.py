"""Virtual time as handlers see it, and nobody else."""

from __future__ import annotations

import threading
import time

import pytest

from sojourn import Flow, JobFailed
from sojourn.actors.tester.clock import VirtualClock, handler_time
from sojourn.testing import FlowTester
from tests.actors.tester import flows

START = 1_700_000_000.0
READINGS = ("sleep", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


def submitted(flow: Flow, /, **input: object) -> FlowTester:
    tester = FlowTester(flow, start=START)
    tester.submit(input)
    return tester


def test_a_sleep_passes_on_every_clock_and_takes_no_time() -> None:
    began = time.perf_counter()
    tester = submitted(flows.one(flows.Sleeper()), seconds=10_000.0)
    result = tester.result()
    assert time.perf_counter() - began < 1_000
    assert result["began"] == pytest.approx(START, abs=60)
    assert result["spent"] == pytest.approx([10_000.0] * 3, abs=60)
    assert result["spent_ns"] == pytest.approx([10_000_000_000_000] * 2, abs=60_000_000_000)
    assert tester.elapsed == 10_000.0
    assert tester.turns[0].seconds == 10_000.0


def test_time_goes_on_from_turn_to_turn() -> None:
    tester = submitted(flows.one(flows.Sleeper(), timeout=1e6), seconds=500.0)
    tester.step("interrupt")
    assert tester.result()["began"] == pytest.approx(START + 500.0, abs=60)


def test_a_program_that_keeps_to_a_deadline_ends() -> None:
    tester = submitted(flows.one(flows.Waiter()), seconds=3600.0)
    assert tester.result() == {"waited": True}
    assert tester.elapsed <= 2 * 3600.0


def test_a_sleep_of_less_than_nothing_is_an_error_as_ever() -> None:
    with pytest.raises(JobFailed, match="ValueError: sleep length must be non-negative"):
        submitted(flows.one(flows.Sleeper()), seconds=-1.0).result()


def test_python_s_clocks_are_put_back_whatever_happens() -> None:
    before = [getattr(time, name) for name in READINGS]
    submitted(flows.one(flows.Sleeper()), seconds=1.0).run()
    with pytest.raises(KeyboardInterrupt):
        submitted(flows.one(flows.Raises()), what="interrupt").run()
    assert [getattr(time, name) for name in READINGS] == before


def test_other_threads_keep_their_time() -> None:
    clock = VirtualClock(START)
    seen: list[float] = []

    def look() -> None:
        seen.extend((time.time(), time.time_ns() / 1e9))
        time.sleep(0.0)

    real = time.time()
    with handler_time(clock, clock.advance):
        time.sleep(5000.0)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        here = time.time()
    assert seen == pytest.approx([real, real], abs=60)
    assert here == pytest.approx(START + 5000.0, abs=60)
    assert clock.elapsed == 5000.0
