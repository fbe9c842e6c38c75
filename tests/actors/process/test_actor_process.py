"""An actor process as its supervisor sees it: real processes, real sockets."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest

from sojourn.actors.process.line import MALFORMED_EXIT
from sojourn.runtime.values import decode_fields, digest_of
from sojourn.runtime.wire.actor import (
    Committed,
    Dispatch,
    Ending,
    Forget,
    JobContext,
    Recall,
    Recalled,
    Result,
    ReturnedUnbegun,
    Stop,
    Unyield,
    Yield,
)
from tests.hosts.tiny_supervisor import ActorProcess, TinySupervisor
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Generator[TinySupervisor]:
    """One supervisor with its zygote for the whole file: only the actor processes are each test's own."""
    with TinySupervisor(tmp_path_factory.mktemp("host")) as supervisor:
        yield supervisor


def emitted(result: Result) -> list[dict[str, object]]:
    return [decode_fields(data) for _, data in result.emissions]


def begin_waiting(process: ActorProcess, gate: Path, job: int = 1) -> int:
    """Have a turn begin that waits for a file."""
    dispatch = process.hand_over("wait", job=job, gate=str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    return dispatch


def test_a_process_says_that_it_is_ready_with_its_pid_and_the_fingerprint_of_its_code(
    host: TinySupervisor,
) -> None:
    process = host.start()
    assert process.ready.pid == process.handle.pid
    assert process.ready.code == host.inspected().code


def test_turns_come_back_in_order_with_their_effects(host: TinySupervisor) -> None:
    process = host.start()
    dispatches = process.hand_over_all([("input", {"n": n}) for n in range(300)])
    results = [process.result(dispatch) for dispatch in dispatches]
    assert [result.ending for result in results] == [Ending.SUCCEEDED] * 300
    assert [emitted(result) for result in results] == [[{"n": n, "count": n + 1}] for n in range(300)]


def test_two_jobs_in_one_process_have_actors_of_their_own(host: TinySupervisor) -> None:
    process = host.start()
    for count in (1, 2):
        for job in (1, 2):
            result = process.result(process.hand_over(job=job, n=0))
            assert emitted(result) == [{"n": 0, "count": count}]


def test_a_context_applies_to_the_turns_behind_it_and_not_to_those_queued_before(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    begin_waiting(process, gate)
    before = process.hand_over(n=0)
    context = JobContext(1, "job-1", "instance-1", 7, {"count": b"\x32"}, {}, shared_whole=True)
    process.send(Dispatch(0, [context], []))
    behind = process.hand_over(n=0)
    gate.touch()
    assert emitted(process.result(before)) == [{"n": 0, "count": 1}]
    assert emitted(process.result(behind)) == [{"n": 0, "count": 51}]


def test_own_shared_writes_are_seen_until_the_supervisors_snapshot_holds_them(host: TinySupervisor) -> None:
    process = host.start()
    first = process.result(process.hand_over("share", key="k"))
    second = process.result(process.hand_over("share", key="k"))
    process.send(
        Dispatch(2, [JobContext(1, "job-1", "instance-1", 7, None, {"k": b"\x0a"}, shared_whole=False)], [])
    )
    third = process.result(process.hand_over("share", acknowledged=2, key="k"))
    seen = [emitted(result)[0]["seen"] for result in (first, second, third)]
    assert seen == [None, 1, 10]


def test_results_of_every_kind_count_for_which_own_writes_are_committed(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    process.result(process.hand_over("fail"))
    steps = process.hand_over("steps", gate=str(tmp_path / "after"))
    process.result(steps)
    process.send(Committed(steps, yield_now=True))
    assert process.result(steps).ending is Ending.YIELDED
    seen = [
        emitted(process.result(process.hand_over("share", key="k", acknowledged=acknowledged)))
        for acknowledged in (0, 3, 4, 5)
    ]
    assert seen == [[{"seen": None}], [{"seen": 1}], [{"seen": 1}], [{"seen": 1}]]


def test_a_recall_takes_back_the_unbegun_turns_of_a_job_while_another_turn_runs(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    running = begin_waiting(process, gate)
    others = process.hand_over_all([("input", {"n": n}) for n in range(3)], job=2)
    unbegun = process.hand_over_all([("input", {"n": n}) for n in range(100)])
    process.send(Recall(1, 1))
    answer = process.expect(Recalled)
    assert (answer.recall, answer.dispatches, answer.running) == (1, unbegun, running)
    gate.touch()
    assert process.result(running).ending is Ending.SUCCEEDED
    assert [process.result(other).ending for other in others] == [Ending.SUCCEEDED] * 3
    assert process.results == []


def test_a_recall_of_a_job_that_is_not_running_says_so(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    begin_waiting(process, gate)
    unbegun = process.hand_over(job=2, n=1)
    process.send(Recall(5, 2))
    answer = process.expect(Recalled)
    assert (answer.dispatches, answer.running) == ([unbegun], None)
    gate.touch()


def test_a_recall_of_all_jobs_takes_everything(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    running = begin_waiting(process, gate)
    unbegun = [process.hand_over(job=job, n=1) for job in (1, 2, 3)]
    process.send(Recall(6, None))
    answer = process.expect(Recalled)
    assert (answer.dispatches, answer.running) == (unbegun, running)
    gate.touch()


def test_the_answer_to_a_recall_follows_every_result_finished_before(host: TinySupervisor) -> None:
    process = host.start()
    dispatches = process.hand_over_all([("input", {"n": n}) for n in range(1000)])
    process.send(Recall(1, 1))
    answer = process.expect(Recalled)
    finished = {result.dispatch for result in process.results}
    if answer.running is not None:
        finished.add(answer.running)
    assert finished.isdisjoint(answer.dispatches)
    assert finished | set(answer.dispatches) == set(dispatches)


def test_what_was_recalled_can_be_handed_over_again(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    begin_waiting(process, gate)
    process.hand_over(n=1)
    process.send(Recall(1, None))
    process.expect(Recalled)
    again = process.hand_over(n=1)
    gate.touch()
    assert emitted(process.result(again)) == [{"n": 1, "count": 1}]


def test_a_checkpoint_returns_only_when_it_is_committed(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    after = tmp_path / "after"
    dispatch = process.hand_over("steps", gate=str(after))
    checkpoint = process.result(dispatch)
    assert (checkpoint.ending, emitted(checkpoint)) == (Ending.CHECKPOINT, [{"part": 1}])
    process.send(Committed(dispatch + 1, yield_now=False))
    process.send(Recall(1, None))  # answered after the stray commit was read
    assert process.expect(Recalled).running == dispatch
    assert not after.exists()
    process.send(Committed(dispatch, yield_now=False))
    ended = process.result(dispatch)
    assert (ended.ending, emitted(ended)) == (Ending.SUCCEEDED, [{"part": 2}])


def test_a_checkpoint_ends_the_turn_when_the_supervisor_says_so(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    after = tmp_path / "after"
    dispatch = process.hand_over("steps", gate=str(after))
    assert process.result(dispatch).ending is Ending.CHECKPOINT
    process.send(Committed(dispatch, yield_now=True))
    ended = process.result(dispatch)
    assert (ended.ending, ended.emissions) == (Ending.YIELDED, [])
    assert not after.exists()


def test_a_handler_sees_that_it_shall_yield_how_soon_and_that_it_was_called_off(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    dispatch = process.hand_over("wait_to_yield", gate=str(gate))
    wait_until(Path(f"{gate}.begun").exists)
    process.send(Yield(2, 1.0))  # another job: not for this turn
    process.send(Yield(1, 30.0))
    process.send(Unyield(2))
    wait_until(Path(f"{gate}.asked").exists)
    process.send(Unyield(1))
    told, called_off = emitted(process.result(dispatch))
    left = told["left"]
    assert isinstance(left, float)
    assert 20.0 < left <= 30.0
    assert called_off == {"left": None}


def test_a_failure_that_may_stop_the_job_gives_its_unbegun_turns_back(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start("stops")
    gate = tmp_path / "gate"
    begin_waiting(process, gate, job=2)
    failing, *behind = process.hand_over_all([("fail", {}), ("input", {"n": 1}), ("input", {"n": 2})])
    other = process.hand_over(job=2, n=3)
    gate.touch()
    assert process.expect(ReturnedUnbegun).dispatches == behind
    assert process.result(failing).ending is Ending.FAILED
    assert process.result(other).ending is Ending.SUCCEEDED
    assert not {result.dispatch for result in process.results} & set(behind)


def test_a_failure_in_an_ordered_routine_gives_the_turns_behind_it_back(host: TinySupervisor) -> None:
    process = host.start("ordered")
    failing, *behind = process.hand_over_all([("fail", {}), ("input", {"n": 1})])
    assert process.expect(ReturnedUnbegun).dispatches == behind
    assert process.result(failing).ending is Ending.FAILED


def test_a_failure_that_is_skipped_lets_the_others_pass(host: TinySupervisor) -> None:
    process = host.start("plain")
    failing, behind = process.hand_over_all([("fail", {}), ("input", {"n": 1})])
    failed = process.result(failing)
    assert failed.error is not None
    assert (failed.error.type, failed.error.message) == ("ValueError", "as asked")
    assert process.result(behind).ending is Ending.SUCCEEDED


def test_an_actor_that_cannot_be_made_is_a_failed_attempt(host: TinySupervisor) -> None:
    process = host.start("broken")
    for _ in range(2):
        result = process.result(process.hand_over())
        assert result.ending is Ending.FAILED
        assert result.error is not None
        assert (result.error.type, result.error.message) == ("RuntimeError", "no connection")


def test_forgotten_jobs_lose_their_turns_and_their_actors(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    process.result(process.hand_over(n=0))
    gate = tmp_path / "gate"
    begin_waiting(process, gate, job=2)
    dropped = process.hand_over(n=0)
    process.send(Forget([1]))
    process.send(Dispatch(0, [JobContext(1, "job-1", "instance-1", 9, None, {}, shared_whole=True)], []))
    process.send(Recall(1, 99))  # answered after all of that was read
    process.expect(Recalled)
    gate.touch()
    result = process.result(process.hand_over(n=0))
    assert emitted(result) == [{"n": 0, "count": 1}]
    assert process.handle.read_page().epoch == 9
    assert dropped not in {result.dispatch for result in process.results}


def test_stop_lets_the_current_turn_end_and_exits_with_status_0(
    host: TinySupervisor, tmp_path: Path
) -> None:
    process = host.start()
    gate = tmp_path / "gate"
    running = begin_waiting(process, gate)
    unbegun = process.hand_over(n=1)
    process.send(Stop())
    process.send(Recall(1, 2))  # answered after the stop was read
    process.expect(Recalled)
    gate.touch()
    assert process.result(running).ending is Ending.SUCCEEDED
    assert host.exited(process.name).status == 0
    assert host.received(process.name) == []
    assert unbegun not in {result.dispatch for result in process.results}


def test_a_malformed_message_ends_the_process_and_is_named(host: TinySupervisor) -> None:
    process = host.start()
    host.send_raw(process.name, b"\xc1 nonsense")
    assert host.exited(process.name).status == MALFORMED_EXIT
    assert b"a malformed message from the supervisor" in process.handle.drain_output()


def test_a_large_value_is_a_file_before_the_result_refers_to_it(host: TinySupervisor) -> None:
    process = host.start()
    result = process.result(process.hand_over("draw"))
    ((digest, size),) = result.blobs
    content = (host.home.blobs / digest).read_bytes()
    assert digest_of(content) == digest
    assert len(content) == size > 100_000
    assert len(result.emissions[0][1]) < 1000


# --- output -----------------------------------------------------------------------------------------


def lines(process: ActorProcess, stream: str) -> list[str]:
    return [line.text for line in process.logs if line.stream == stream]


def test_what_a_handler_prints_and_logs_is_kept_with_its_turn(host: TinySupervisor) -> None:
    process = host.start()
    dispatch = process.hand_over("talk", job=3)
    process.result(dispatch)
    assert lines(process, "stdout") == ["one", "two", "unfinished"]
    assert lines(process, "stderr") == ["to stderr"]
    (logged,) = lines(process, "log")
    assert "logged" in logged
    assert {(line.job, line.message, line.attempt) for line in process.logs} == {(3, 100 + dispatch, 1)}


def test_lines_are_bounded_in_length_and_number(host: TinySupervisor) -> None:
    process = host.start()
    process.result(process.hand_over("chatter", lines=1, length=100_000))
    (line,) = lines(process, "stdout")
    assert re.fullmatch("x{8192}…", line)
    process.logs.clear()
    process.result(process.hand_over("chatter", lines=5000, length=1))
    said = lines(process, "stdout")
    assert said[:1000] == ["x"] * 1000
    assert said[1000:] == ["… more than 1000 lines in one turn: the rest is dropped"]
    process.logs.clear()
    process.result(process.hand_over("chatter", lines=2, length=1))
    assert lines(process, "stdout") == ["x", "x"]


def test_what_goes_past_pythons_streams_comes_through_the_pipe(host: TinySupervisor) -> None:
    process = host.start()
    process.result(process.hand_over("print_below"))
    assert process.handle.drain_output().decode().splitlines() == [
        "from a descriptor", "from the buffer", "from a program", "from a fork",
    ]


# --- the progress page ------------------------------------------------------------------------------


def test_the_page_tells_what_runs_and_that_it_ended(host: TinySupervisor, tmp_path: Path) -> None:
    process = host.start()
    assert not process.handle.glance().in_flight
    gate = tmp_path / "gate"
    dispatch = begin_waiting(process, gate, job=4)
    page = process.handle.glance()
    assert page.in_flight
    assert (page.begun, page.job, page.epoch) == (dispatch, 4, 7)
    assert (page.message, page.attempt) == (100 + dispatch, 1)
    gate.touch()
    result = process.result(dispatch)
    page = process.handle.glance()
    assert page.finished == dispatch
    assert result.started == pytest.approx(page.wall_start, abs=0.5)


@pytest.mark.parametrize("ahead", [0, 100])
def test_the_page_of_a_killed_process_names_the_turn_among_all_that_were_sent_ahead(
    host: TinySupervisor, tmp_path: Path, ahead: int
) -> None:
    process = host.start()
    before = process.hand_over_all([("input", {"n": n}) for n in range(20)])
    gate = tmp_path / "gate"
    killed = process.hand_over("wait", gate=str(gate))
    unbegun = process.hand_over_all([("input", {"n": n}) for n in range(ahead)])
    wait_until(Path(f"{gate}.begun").exists)
    process.handle.kill()
    assert host.exited(process.name).status == -9
    page = process.handle.read_page()
    assert (page.begun, page.finished, page.in_flight) == (killed, before[-1], True)
    assert {entry.dispatch for entry in page.recent} == {*before, killed}
    assert not {entry.dispatch for entry in page.recent} & set(unbegun)
