"""Moves, crashes and timeouts in whole jobs: on demand, at every turn, between turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn import ErrorHandler, ErrorStrategy, Flow, Refused, UsageError
from sojourn.runtime.values import BLOB_THRESHOLD
from sojourn.testing import Fault, FlowTester
from tests.actors.tester import flows

HOUR = 3600.0


def submitted(flow: Flow, /, **input: object) -> FlowTester:
    tester = FlowTester(flow)
    tester.submit(input)
    return tester


def test_an_interrupted_attempt_is_lost_and_its_number_runs_again() -> None:
    tester = submitted(flows.flaky(1))
    report = tester.step("interrupt")
    assert report is not None
    assert (report.outcome, report.emitted, report.error) == ("interrupted", [], None)
    assert tester.job.retry_count("flaky") == 0
    assert tester.logs == []
    assert tester.result()["attempts"] == 2
    assert [(entry["attempt"], entry["outcome"]) for entry in tester.history] == [
        (1, "interrupted"), (1, "failed"), (2, "succeeded"),
    ]


def test_a_crashed_process_is_a_failed_attempt_and_is_retried() -> None:
    tester = submitted(flows.flaky(0))
    report = tester.step("crash")
    assert report is not None
    assert report.error is not None
    assert (report.outcome, report.error.type) == ("failed", "ActorCrashed")
    assert tester.job.retry_count("flaky") == 1
    assert tester.result() == {"name": "x", "attempts": 2, "handled": 1}
    assert tester.elapsed == pytest.approx(HOUR)


def test_a_fault_after_a_checkpoint_keeps_what_the_checkpoint_committed() -> None:
    faults: list[Fault] = ["interrupt", "crash", "timeout", "move"]
    for fault in faults:
        tester = submitted(flows.steps(3, timeout=100.0))
        report = tester.step(fault, after=2)
        assert report is not None
        assert report.emitted == [("done", {"step": 0}), ("done", {"step": 1})], fault
        assert report.lines == ["step 0", "step 1"], fault
        assert tester.job.pending[0]["progress"] == {"next": 2}, fault
        assert tester.attributes("stepping")["total"] == 1, fault
        assert tester.result() == {"total": 3}, fault
        assert tester.shared["done"] == [0, 1, 2], fault
        assert tester.attributes("gather")["seen"] == [0, 1, 2], fault
        charged = 0 if fault in ("interrupt", "move") else 1
        assert tester.history[0]["outcome"] == ("failed" if charged else "interrupted"), fault
        assert tester.history[-1]["attempt"] == 1
        assert max(entry["attempt"] for entry in tester.history) == 1 + charged, fault


def test_a_handler_that_holds_its_death_up_commits_and_logs_nothing_more() -> None:
    faults: list[Fault] = ["interrupt", "crash"]
    for fault in faults:
        tester = submitted(flows.one(flows.Stubborn()))
        report = tester.step(fault, after=2)
        assert report is not None
        assert report.lines == ["step 0", "step 1"]
        assert tester.shared == {"steps": [0, 1]}
        assert [line.text for line in tester.logs] == ["step 0", "step 1"]


def test_a_fault_that_comes_too_late_strikes_at_the_end() -> None:
    tester = submitted(flows.steps(2))
    report = tester.step("interrupt", after=5)
    assert report is not None
    assert report.outcome == "interrupted"
    assert tester.result() == {"total": 1}


def test_a_turn_that_a_hand_off_waits_for_ends_at_its_checkpoint_and_goes_on_elsewhere() -> None:
    tester = submitted(flows.steps(3))
    tester.step("move")
    assert tester.job.host == "host-2"
    assert tester.job.pending[0]["progress"] == {"next": 1}
    assert tester.result() == {"total": 3}
    assert [(e["host"], e["outcome"]) for e in tester.history if e["routine"] == "stepping"] == [
        ("host-1", "interrupted"), ("host-2", "succeeded"),
    ]


def test_a_turn_learns_that_a_hand_off_waits_and_how_long_it_has() -> None:
    tester = submitted(flows.one(flows.Patient(), grace=30.0))
    report = tester.step("move")
    assert report is not None
    assert report.outcome == "succeeded"
    assert report.seconds == pytest.approx(29.0)
    assert tester.result() == {"left": 30.0}
    assert tester.job.host == "host-2"


def test_a_turn_that_outstays_the_grace_is_interrupted_and_runs_again_elsewhere() -> None:
    tester = submitted(flows.one(flows.Sleeper()), seconds=100.0)
    report = tester.step("move")
    assert report is not None
    assert (report.outcome, report.seconds) == ("interrupted", 10.0)
    tester.result()
    assert [(entry["host"], entry["attempt"]) for entry in tester.history] == [("host-1", 1), ("host-2", 1)]


def test_a_job_that_fails_under_a_waiting_hand_off_stays() -> None:
    tester = submitted(flows.one(flows.Raises()), what="give up")
    tester.step("move")
    assert (tester.job.status, tester.job.host, tester.job.epoch) == ("failed", "host-1", 1)
    tester.retry()
    assert tester.run().status == "failed"
    assert tester.outcomes() == ["failed", "failed"]


def test_a_job_that_has_nothing_left_under_a_waiting_hand_off_completes_at_its_target() -> None:
    tester = submitted(flows.flaky(0))
    tester.step("move")
    assert (tester.job.status, tester.job.host, tester.job.epoch) == ("completed", "host-2", 2)


def test_a_turn_over_its_timeout_is_killed_where_it_sleeps() -> None:
    handler = ErrorHandler(ErrorStrategy.RETRY, max_retries=1, retry_delay=1.0)
    for swallow in (False, True):
        tester = submitted(
            flows.one(flows.Sleeper(), timeout=30.0, error_handler=handler), seconds=100.0, swallow=swallow
        )
        state = tester.run()
        assert state.status == "failed"
        assert state.error is not None
        assert (state.error["type"], state.error["message"]) == (
            "TurnTimeout", "the attempt took longer than its timeout of 30.0 s"
        )
        assert tester.shared == {}
        assert tester.elapsed == pytest.approx(61.0)
        assert [turn.seconds for turn in tester.turns] == [30.0, 30.0]


def test_a_turn_below_its_timeout_is_let_be() -> None:
    tester = submitted(flows.one(flows.Sleeper(), timeout=30.0), seconds=29.9)
    assert tester.run().status == "completed"


def test_timeouts_and_crashes_are_not_retried_where_they_are_excluded() -> None:
    from sojourn import ActorCrashed, TurnTimeout

    handler = ErrorHandler(ErrorStrategy.RETRY, non_retryable_exceptions=(ActorCrashed, TurnTimeout))
    faults: list[Fault] = ["crash", "timeout"]
    for fault in faults:
        tester = submitted(flows.one(flows.Sleeper(), timeout=30.0, error_handler=handler))
        tester.step(fault)
        assert tester.job.status == "failed"


def test_a_fault_that_does_not_exist_or_fit_is_refused_and_nothing_runs() -> None:
    tester = submitted(flows.flaky())
    with pytest.raises(UsageError, match="no fault 'explode': use one of 'interrupt'"):
        tester.step("explode")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="name the fault"):
        tester.step(after=1)
    with pytest.raises(UsageError, match="counts checkpoints from 1"):
        tester.step("crash", after=0)
    with pytest.raises(UsageError, match="has no timeout"):
        tester.step("timeout")
    assert tester.turns == []
    assert tester.run().status == "completed"


def test_a_retrys_remaining_delay_travels_with_the_job() -> None:
    tester = submitted(flows.flaky(1))
    tester.step()
    tester.advance(HOUR / 4)
    tester.move("elsewhere", seconds=7 * HOUR)
    assert tester.job.pending[0]["due_in"] == pytest.approx(0.75 * HOUR)
    assert (tester.job.host, tester.job.epoch, tester.job.retry_count("flaky")) == ("elsewhere", 2, 1)
    (journey,) = tester.job.handoffs
    assert (journey["from"], journey["to"], journey["epoch"]) == ("host-1", "elsewhere", 2)
    assert journey["bytes"] > 0
    assert tester.result()["attempts"] == 2
    assert tester.elapsed == pytest.approx(8 * HOUR)
    assert [entry["host"] for entry in tester.history] == ["host-1", "elsewhere"]


def test_what_is_due_while_a_supervisor_is_away_is_due_at_its_return() -> None:
    tester = submitted(flows.flaky(1))
    tester.step()
    tester.crash(seconds=7 * HOUR)
    assert (tester.job.pending[0]["due_in"], tester.job.epoch) == (0.0, 1)
    assert tester.result()["attempts"] == 2
    assert tester.elapsed == pytest.approx(7 * HOUR)
    tester.crash()
    assert tester.job.status == "completed"


def test_a_question_keeps_its_remaining_time_over_a_move_and_its_end_over_a_crash() -> None:
    for go, left in (("move", 45.0), ("crash", 5.0)):
        tester = submitted(flows.one(flows.Asker()), timeout=60.0)
        tester.run()
        tester.advance(15.0)
        if go == "move":
            tester.move(seconds=40.0)
        else:
            tester.crash(seconds=40.0)
        assert tester.job.waiting[0]["due_in"] == pytest.approx(left)
        assert tester.advance(left - 1.0).status == "paused"
        assert tester.advance(1.0).status == "completed"
        assert tester.result() == {"answers": ["nobody"]}


def test_a_paused_job_arrives_paused_and_a_finished_one_stays() -> None:
    tester = submitted(flows.flaky(0))
    tester.pause()
    tester.move()
    assert (tester.job.status, tester.job.host) == ("paused", "host-2")
    tester.crash()
    assert tester.job.status == "paused"
    with pytest.raises(Refused, match="already"):
        tester.move("host-2")
    tester.resume()
    tester.run()
    with pytest.raises(Refused, match="nothing to move"):
        tester.move()


def test_logs_and_large_values_travel() -> None:
    body = b"x" * (3 * BLOB_THRESHOLD)
    tester = FlowTester(flows.large(), move_every_turn=True, crash_every_turn=True)
    tester.submit(body=body)
    assert tester.result() == {"same": True, "size": len(body)}
    assert tester.attributes("large") == {"body": body}
    assert tester.shared == {"body": body}
    state = tester.job.state("large")["body"]
    assert (state["$sojourn"], state["size"] > BLOB_THRESHOLD) == ("blob", True)

    talking = submitted(flows.flaky(1))
    talking.step()
    talking.move()
    talking.run()
    assert [line.text for line in talking.logs if line.stream == "stdout"] == [
        "attempt 1 at x", "attempt 2 at x",
    ]


def test_every_attempt_is_interrupted_and_every_turn_is_moved() -> None:
    tester = FlowTester(flows.flaky(1), move_every_turn=True, crash_every_turn=True)
    tester.submit()
    assert tester.result()["attempts"] == 2
    assert [(entry["attempt"], entry["outcome"], entry["host"]) for entry in tester.history] == [
        (1, "interrupted", "host-1"), (1, "failed", "host-2"),
        (2, "interrupted", "host-3"), (2, "succeeded", "host-4"),
    ]
    assert tester.job.epoch == len(tester.job.handoffs) + 1


def test_a_handler_without_progress_ends_though_it_is_interrupted_and_moved_at_checkpoints() -> None:
    tester = FlowTester(flows.one(flows.Repeating()), move_every_turn=True, crash_every_turn=True)
    tester.submit(steps=10)
    assert tester.result() == {"steps": 10}
    # interrupted after checkpoint 1, 2, 4, 8 and at its end, and then waited for alike
    assert len(tester.turns) == 10


def test_a_handler_cannot_run_the_job_that_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    tester = submitted(flows.one(flows.Flaky(0)))
    refused: list[str] = []

    def meddle(_self: flows.Flaky, name: str = "x") -> None:
        for act in (tester.run, tester.step, tester.move, tester.crash, lambda: tester.advance(1.0)):
            with pytest.raises(Refused, match="a turn of job test is running") as found:
                act()
            refused.append(found.value.message)
        tester.pause()

    monkeypatch.setattr(flows.Flaky, "process", meddle)
    tester.run()
    assert len(refused) == 5
    assert (tester.job.status, tester.outcomes()) == ("completed", ["succeeded"])


MOVES = st.sampled_from(["move", "crash", "advance", "step", "interrupt", "killed", "waited for"])


@given(acts=st.lists(MOVES, max_size=25), seed=st.integers(0, 2**16))
def test_whatever_happens_on_the_way_the_result_is_the_same(acts: list[str], seed: int) -> None:
    tester = FlowTester(flows.steps(4), seed=seed)
    tester.submit()
    for act in acts:
        if tester.job.status in ("completed", "failed"):
            break
        if act == "move":
            tester.move()
        elif act == "crash":
            tester.crash(seconds=0.5)
        elif act == "advance":
            tester.advance(0.25)
        elif act == "step":
            tester.step()
        elif act == "interrupt":
            tester.step("interrupt", after=1)
        elif act == "killed":
            tester.step("interrupt")
        else:
            tester.step("move", after=2)
    assert tester.result() == {"total": 6}
    assert tester.shared["done"] == [0, 1, 2, 3]
    assert tester.attributes("gather")["seen"] == [0, 1, 2, 3]
    charged: dict[int, list[int]] = {}
    for entry in tester.history:
        if entry["outcome"] != "interrupted":
            charged.setdefault(entry["message"], []).append(entry["attempt"])
    assert all(numbers == [1] for numbers in charged.values())
