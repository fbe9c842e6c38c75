"""Whole jobs by the tester: to their end, step by step, until a condition, in time that jumps."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from sojourn import (
    AmbiguousName,
    ErrorHandler,
    ErrorStrategy,
    Flow,
    InvalidInput,
    JobFailed,
    NotFound,
    Refused,
    UsageError,
    ValueNotEncodable,
    WaitTimedOut,
)
from sojourn.testing import FlowTester
from tests.actors.tester import flows

HOUR = 3600.0


def submitted(flow: Flow, /, **input: object) -> FlowTester:
    tester = FlowTester(flow)
    tester.submit(input)
    return tester


def test_hours_of_backoff_pass_at_once_and_are_there_in_the_record() -> None:
    began = time.perf_counter()
    tester = submitted(flows.flaky(2), name="a")
    assert tester.result() == {"name": "a", "attempts": 3, "handled": 1}
    assert time.perf_counter() - began < HOUR / 100
    assert tester.elapsed == pytest.approx(3 * HOUR)
    assert tester.outcomes() == tester.outcomes("flaky") == ["failed", "failed", "succeeded"]
    assert [turn.at for turn in tester.turns] == pytest.approx([0.0, HOUR, 3 * HOUR])
    first, _, last = tester.history
    assert (first["error"]["type"], first["host"], first["epoch"]) == ("ConnectionError", "host-1", 1)
    assert first["started_at"] < last["started_at"]


def test_the_document_is_the_one_that_show_prints() -> None:
    tester = FlowTester(flows.flaky(1), job_id="nightly", host="a", start=1_700_000_000.0)
    assert tester.submit(name="b") == "nightly"
    assert tester.job.status == "queued"
    report = tester.step()
    assert report is not None
    document = tester.job.serialize()
    assert document["status"] == "running"
    assert (document["job_id"], document["host"], document["epoch"]) == ("nightly", "a", 1)
    assert document["created_at"] == "2023-11-14T22:13:20.000000Z"
    assert document["pending"] == [
        {
            "message": 1, "routine": "flaky", "slot": "input", "data": {"name": "b"}, "attempts": 1,
            "retry_count": 1, "due_in": pytest.approx(HOUR), "progress": {},
        }
    ]
    assert document["routines"]["flaky"]["retry_count"] == 1
    assert tester.job.retry_count("flaky") == 1
    assert tester.status == "running"


def test_a_step_tells_what_the_turn_did() -> None:
    tester = submitted(flows.flaky(0), name="c")
    report = tester.step()
    assert report is not None
    assert (report.routine, report.slot, report.message, report.attempt) == ("flaky", "input", 1, 1)
    assert (report.outcome, report.error) == ("succeeded", None)
    assert report.emitted == [("output", {"name": "c"})]
    assert report.lines[0] == "attempt 1 at c"
    assert "event='tried'" in report.lines[1]
    assert tester.turns == [report]
    assert [(line.stream, line.attempt) for line in tester.logs] == [("stdout", 1), ("log", 1)]
    assert tester.step() is None


def test_what_is_printed_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    submitted(flows.flaky(0)).run()
    print("outside")
    assert capsys.readouterr().out == "attempt 1 at x\noutside\n"


def test_until_a_condition_is_looked_at_after_every_commit_checkpoints_included() -> None:
    tester = submitted(flows.flaky(3))
    assert tester.run(until="flaky.retry_count >= 2").retry_count("flaky") == 2
    assert tester.run(until="flaky.retry_count >= 2").retry_count("flaky") == 2
    assert tester.run(until="status == 'completed'").status == "completed"

    stepping = submitted(flows.steps(3))
    stepping.run(until="stepping.pending == 1 and gather.pending == 1")
    assert [turn.routine for turn in stepping.turns] == ["stepping"]
    with pytest.raises(UsageError, match="no routine 'nobody'"):
        stepping.run(until="nobody.failed > 0")
    with pytest.raises(UsageError, match="position"):
        stepping.run(until="gather.pending >>")


def test_a_condition_that_never_holds_lets_the_job_end() -> None:
    tester = submitted(flows.flaky(0))
    assert tester.run(until="flaky.failed > 7").status == "completed"


def test_time_can_be_let_pass_by_hand() -> None:
    tester = submitted(flows.flaky(2))
    assert tester.advance(0.0).retry_count("flaky") == 1
    assert tester.advance(HOUR / 2).pending[0]["due_in"] == pytest.approx(HOUR / 2)
    assert tester.outcomes() == ["failed"]
    assert tester.advance(HOUR / 2).retry_count("flaky") == 2
    assert tester.advance(10 * HOUR).status == "completed"
    assert tester.elapsed == pytest.approx(11 * HOUR)
    with pytest.raises(UsageError, match="doesn't go back"):
        tester.advance(-1.0)


def test_an_endless_flow_is_stopped_with_a_sentence() -> None:
    tester = submitted(flows.endless())
    with pytest.raises(WaitTimedOut, match="goes on after 50 turns"):
        tester.run(turns=50)
    assert len(tester.turns) == 50
    with pytest.raises(WaitTimedOut, match="goes on after 60 turns"):
        tester.advance(1.0, turns=10)


def test_exactly_as_many_turns_as_are_allowed_will_do() -> None:
    assert submitted(flows.flaky(2)).run(turns=3).status == "completed"


def test_a_failed_job_raises_from_what_its_handler_raised() -> None:
    tester = submitted(flows.one(flows.Raises()), what="assertion")
    with pytest.raises(JobFailed, match="AssertionError: raised assertion") as failed:
        tester.result()
    assert isinstance(failed.value.__cause__, AssertionError)
    assert tester.job.error is not None
    assert tester.turns[0].exception is failed.value.__cause__


def test_exceptions_that_end_programs_are_failed_attempts_and_end_the_test_too() -> None:
    for what, kind in (("interrupt", KeyboardInterrupt), ("outcome", BaseException)):
        tester = submitted(flows.one(flows.Raises()), what=what)
        with pytest.raises(kind, match=f"raised {what}"):
            tester.run()
        assert tester.outcomes() == ["failed"]
    leaving = submitted(flows.one(flows.Raises()), what="exit")
    assert leaving.run().error is not None
    assert leaving.outcomes() == ["failed"]


def test_an_actor_that_cannot_be_made_is_a_failed_attempt() -> None:
    tester = submitted(flows.one(flows.BadStart()))
    with pytest.raises(JobFailed, match="OSError: no connection") as failed:
        tester.result()
    assert isinstance(failed.value.__cause__, OSError)


def test_state_that_a_restart_would_lose_is_lost_after_every_turn() -> None:
    tester = submitted(flows.forgetful(), numbers=3)
    tester.run()
    assert tester.attributes("counting") == {"counted": 1}
    kept = FlowTester(flows.forgetful(), restart_every_turn=False)
    kept.submit(numbers=3)
    kept.run()
    assert kept.attributes("counting") == {"counted": 3}


def test_state_that_cannot_be_stored_fails_as_on_a_host() -> None:
    tester = submitted(flows.one(flows.Unstorable()))
    with pytest.raises(JobFailed, match=r"ValueNotEncodable: .*'made'"):
        tester.result()


def test_pause_resume_cancel_and_retry_do_what_the_commands_do() -> None:
    tester = submitted(flows.flaky(9))
    tester.step()
    tester.pause()
    assert tester.job.status == "paused"
    assert tester.step() is None
    assert tester.advance(10 * HOUR).pending[0]["due_in"] == 0.0
    assert tester.outcomes() == ["failed"]
    with pytest.raises(Refused, match="paused already"):
        tester.pause()
    with pytest.raises(Refused, match="no result yet"):
        tester.result()
    tester.resume()
    with pytest.raises(Refused, match="not paused"):
        tester.resume()
    assert tester.run().status == "failed"
    assert tester.outcomes() == ["failed"] * 4
    for act, verb in ((tester.cancel, "cancel"), (tester.pause, "pause"), (tester.resume, "resume")):
        with pytest.raises(Refused, match=f"nothing to {verb}"):
            act()
    tester.retry()
    assert tester.run().status == "failed"
    assert [entry["attempt"] for entry in tester.history] == list(range(1, 9))

    cancelled = submitted(flows.flaky(1))
    with pytest.raises(Refused, match="only a failed or blocked job"):
        cancelled.retry()
    cancelled.cancel()
    assert cancelled.run().status == "cancelled"
    with pytest.raises(JobFailed, match="cancelled"):
        cancelled.result()


def test_a_question_waits_for_its_answer_and_the_clock_stands_still() -> None:
    tester = submitted(flows.one(flows.Asker()), timeout=60.0)
    state = tester.run()
    assert (state.status, state.reason) == ("paused", "waits for an answer: Go on?")
    assert tester.elapsed == 0.0
    with pytest.raises(InvalidInput, match=r"the answer for only\.answered has a field 'wrong'"):
        tester.answer(wrong=1)
    tester.answer(text="yes")
    assert tester.result() == {"answers": ["yes"]}
    with pytest.raises(Refused, match="nothing to resume"):
        tester.answer(text="again")


def test_a_question_times_out_once_when_its_time_passes() -> None:
    tester = submitted(flows.one(flows.Asker()), timeout=60.0)
    tester.run()
    assert tester.advance(59.0).status == "paused"
    assert tester.advance(1.0).status == "completed"
    assert tester.result() == {"answers": ["nobody"]}
    tester.advance(1000.0)
    assert tester.outcomes() == ["succeeded", "succeeded"]


def test_one_of_several_questions_is_named() -> None:
    tester = submitted(flows.one(flows.Asker()), twice=True)
    state = tester.run()
    with pytest.raises(AmbiguousName, match="several open questions"):
        tester.answer(text="yes")
    with pytest.raises(NotFound, match="no open question 'q0'"):
        tester.answer(text="yes", question="q0")
    for asked in reversed(state.waiting):
        tester.answer(text=asked["prompt"], question=asked["question"])
    assert tester.result() == {"answers": ["Sure?", "Go on?"]}


def test_parallel_turns_see_what_was_committed_before_they_were_handed_out() -> None:
    tester = submitted(flows.fan(processes=3), numbers=6)
    result = tester.result()
    assert (sorted(result["order"]), result["sum"]) == ([0, 1, 2, 3, 4, 5], 15)
    assert result["counts"] == (13, 0, 0)
    saw = tester.shared["saw"]
    assert [number for number, _ in saw] == [0, 1, 2, 3, 4, 5]
    assert [before for _, before in saw] == [0, 0, 0, 1, 2, 3], "the first three were out together"


def test_an_actor_that_lives_on_sees_its_own_shared_writes_once() -> None:
    tester = FlowTester(flows.fan(processes=1), restart_every_turn=False)
    tester.submit(numbers=5)
    tester.run()
    assert [before for _, before in tester.shared["saw"]] == [0, 1, 2, 3, 4]


def test_a_seed_shuffles_what_has_no_order_and_repeats_itself() -> None:
    def run(seed: int | None) -> tuple[list[int], str]:
        tester = FlowTester(flows.fan(processes=3), seed=seed)
        tester.submit(numbers=6)
        return tester.result()["order"], tester.job.serialize()["instance"]

    orders = [run(seed) for seed in range(8)]
    assert orders == [run(seed) for seed in range(8)]
    assert len({tuple(order) for order, _ in orders}) > 1
    assert run(None)[0] == list(range(6))
    assert run(None)[1] != run(None)[1]


def test_skipped_messages_reach_the_dead_letter_path_and_ordered_ones_wait_for_each_other() -> None:
    skipping = submitted(flows.odd(ErrorHandler(ErrorStrategy.SKIP)), numbers=4)
    skipping.run()
    assert skipping.attributes("dead") == {
        "letters": ["item 1: ValueError: 1 is odd", "item 3: ValueError: 3 is odd"], "order": [0, 2],
    }
    assert skipping.outcomes("odd") == ["succeeded", "skipped", "succeeded", "skipped"]
    going_on = submitted(flows.odd(ErrorHandler(ErrorStrategy.CONTINUE)), numbers=2)
    going_on.run()
    assert going_on.outcomes("odd") == ["succeeded", "failed"]
    retry = ErrorHandler(ErrorStrategy.RETRY, retry_delay=HOUR)
    for ordered, expected in ((False, [0, 2, 1, 3]), (True, [0, 1, 2, 3])):
        tester = submitted(flows.odd(retry, ordered=ordered), numbers=4)
        tester.run()
        assert tester.attributes("dead")["order"] == expected


def test_what_does_not_fit_is_refused_as_by_a_host() -> None:
    tester = FlowTester(flows.flaky())
    with pytest.raises(Refused, match="submit"):
        tester.run()
    with pytest.raises(Refused, match="submit"):
        _ = tester.job
    with pytest.raises(InvalidInput, match="has a field 'wrong'"):
        tester.submit(wrong=1)
    with pytest.raises(ValueNotEncodable, match="name"):
        tester.submit(name=threading.Lock())
    with pytest.raises(InvalidInput, match="a mapping"):
        tester.submit(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert repr(tester) == "<FlowTester 'flaky', nothing submitted>"
    tester.submit(name="x")
    with pytest.raises(Refused, match="another FlowTester"):
        tester.submit(name="x")
    tester.run()
    assert repr(tester) == "<FlowTester 'flaky' completed on host-1 epoch 1 after 3 turns>"
    for ask in (tester.attributes, tester.outcomes):
        with pytest.raises(NotFound, match="no routine 'nobody'"):
            ask("nobody")


def test_a_routine_can_be_replaced_by_a_double() -> None:
    tester = FlowTester(flows.fan(), replace={"spread": flows.FakeSpread([7, 8])})
    tester.submit(numbers=0)
    assert tester.result()["sum"] == 15
    with pytest.raises(NotFound, match="no routine 'nobody' to replace"):
        FlowTester(flows.fan(), replace={"nobody": flows.FakeSpread([])})
    with pytest.raises(UsageError, match="has no slot 'item', which the flow feeds"):
        FlowTester(flows.fan(), replace={"work": flows.FakeSpread([])})
    with pytest.raises(ValueNotEncodable, match="numbers"):
        FlowTester(flows.fan(), replace={"spread": flows.FakeSpread(threading.Lock())})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_flow_that_was_read_from_its_document_runs_too() -> None:
    tester = FlowTester(Flow.deserialize(flows.flaky(1).serialize()))
    tester.submit(name="d")
    assert tester.result()["attempts"] == 2


def test_it_runs_inside_an_event_loop_and_handlers_may_run_one_of_their_own() -> None:
    async def cell() -> tuple[dict[str, object], bool]:
        found = submitted(flows.one(flows.RunsALoop())).result()
        return found, asyncio.get_running_loop().is_running()

    assert asyncio.run(cell()) == ({"answer": 42, "file": "flows.py"}, True)


def test_it_runs_in_any_thread() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(submitted(flows.flaky(1)).result()))
    thread.start()
    thread.join()
    assert found == [{"name": "x", "attempts": 2, "handled": 1}]
