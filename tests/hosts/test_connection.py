"""A client's line to its supervisor: what it believes, whom it answers to, and when it gives up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sojourn.hosts import connection as module
from sojourn.hosts.connection import Body, Connection
from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.errors import (
    NoSupervisor,
    NotFound,
    ProtocolViolation,
    SojournError,
    UsageError,
    WaitTimedOut,
)
from sojourn.runtime.wire.client import (
    Command,
    Failure,
    Jobs,
    Logs,
    Pause,
    Reply,
    Request,
    Show,
    Wait,
    encode,
)
from tests.hosts.recorded_supervisor import News, RecordedSupervisor, Said, Script


def test_no_supervisor_is_found_out_before_anything_is_sent(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(NoSupervisor, match=f"runs on {home.root}: start one with `sojourn up --home"):
        Connection(home)
    assert not home.root.exists()


def test_a_home_whose_supervisor_ended_has_none(tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: []) as supervisor:
        supervisor.free_lock()
        with pytest.raises(NoSupervisor):
            Connection(supervisor.home)


def test_news_come_before_the_answer_and_in_order(tmp_path: Path) -> None:
    heard: list[Body] = []
    said: list[Said] = [News({"n": 1}), News({"n": 2}), {"done": True}]
    with RecordedSupervisor(tmp_path, lambda _: said) as supervisor:
        connection = Connection(supervisor.home)
        assert connection.request(Jobs(), on_progress=heard.append) == {"done": True}
        connection.close()
    assert heard == [{"n": 1}, {"n": 2}]


def test_a_failure_is_raised_as_the_class_that_it_names(tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [NotFound("no job 'x' on host 'a'")]) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(NotFound, match="no job 'x' on host 'a'"):
            connection.request(Jobs())
        connection.close()


def test_a_failure_that_a_newer_supervisor_names_is_an_error_still(tmp_path: Path) -> None:
    frame = encode(Failure(1, "FromTheFuture", "a sentence"))
    with RecordedSupervisor(tmp_path, lambda _: [frame]) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(SojournError, match="a sentence"):
            connection.request(Jobs())
        connection.close()


def test_a_request_carries_its_host_and_command_id(tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{}]) as supervisor:
        connection = Connection(supervisor.home, host="b")
        connection.request(Pause("job-1"), command_id="given")
        connection.request(Pause("job-1"))
        connection.request(Pause("job-1"))
        connection.close()
    assert {request.host for request in supervisor.requests} == {"b"}
    ids = [request.command_id for request in supervisor.requests]
    assert ids[0] == "given"
    assert len(set(ids)) == 3


def test_answers_to_an_earlier_request_are_passed_over(tmp_path: Path) -> None:
    def script(command: object) -> list[Said]:
        if isinstance(command, Pause):
            return []
        return [encode(Reply(1, b'{"late": true}')), {"mine": True}]

    with RecordedSupervisor(tmp_path, script) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(WaitTimedOut):
            connection.request(Pause("job-1"), timeout=0.01)
        assert connection.request(Jobs()) == {"mine": True}
        connection.close()


def test_a_supervisor_that_could_not_read_the_request_is_heard(tmp_path: Path) -> None:
    frame = encode(Failure(0, "ProtocolViolation", "the request is malformed"))
    with RecordedSupervisor(tmp_path, lambda _: [frame]) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(ProtocolViolation, match="the request is malformed"):
            connection.request(Jobs())
        connection.close()


def test_an_answer_that_is_none_is_refused(tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [b"\xc1nonsense"]) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(ProtocolViolation, match="answered something malformed"):
            connection.request(Jobs())
        connection.close()


def test_a_request_larger_than_a_supervisor_accepts_is_refused_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_REQUEST", 100)
    with RecordedSupervisor(tmp_path, lambda _: [{}]) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(UsageError, match="a supervisor accepts 100"):
            connection.request(Show("j" * 100))
        connection.close()
    assert not supervisor.requests


def test_a_supervisor_that_goes_away_ends_the_wait(tmp_path: Path) -> None:
    def script(_: object) -> list[Said]:
        supervisor.free_lock()
        return []

    with RecordedSupervisor(tmp_path, script) as supervisor:
        connection = Connection(supervisor.home)
        with pytest.raises(NoSupervisor, match="it went away; its jobs go on once it runs again: `sojo"):
            connection.request(Wait(["job-1"]))
        connection.close()


def test_what_a_supervisor_said_just_before_it_ended_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It answers and ends between the client's look at its socket and its look at the lock.
    look = supervisor_pid
    ending = threading.Event()

    def end_first(home: Home) -> int | None:
        ending.set()
        supervisor.stop_listening()
        supervisor.free_lock()
        return look(home)

    def script(_: object) -> list[Said]:
        assert ending.wait(10)
        return [{"last": "words"}]

    with RecordedSupervisor(tmp_path, script) as supervisor:
        connection = Connection(supervisor.home)
        monkeypatch.setattr(module, "supervisor_pid", end_first)
        assert connection.request(Jobs()) == {"last": "words"}
        connection.close()


def ask_two_supervisors(
    root: Path, command: Command, first: Script
) -> tuple[Body, list[Request], list[Body]]:
    """Ask one supervisor that gives no final answer and is replaced by another, which does."""
    heard: list[Body] = []

    def take_over() -> None:
        supervisor.await_requests()
        supervisor.be_replaced(lambda _: [{"done": True}])

    with RecordedSupervisor(root, first) as supervisor, ThreadPoolExecutor(1) as beside:
        connection = Connection(supervisor.home)
        taken = beside.submit(take_over)
        body = connection.request(command, on_progress=heard.append)
        taken.result()
        connection.close()
    return body, supervisor.requests, heard


def test_a_supervisor_that_took_over_is_asked_again_under_the_same_command_id(tmp_path: Path) -> None:
    body, requests, _ = ask_two_supervisors(tmp_path, Pause("job-1"), lambda _: [])
    assert body == {"done": True}
    assert len(requests) >= 2
    assert all(request == requests[0] for request in requests)


def test_a_log_goes_on_behind_the_last_line_that_came(tmp_path: Path) -> None:
    lines = [{"seq": 41, "text": "a"}, {"seq": 42, "text": "b"}]
    _, requests, heard = ask_two_supervisors(
        tmp_path, Logs("job-1", follow=True), lambda _: [News({"lines": lines})]
    )
    assert heard == [{"lines": lines}]
    assert requests[-1].command == Logs("job-1", follow=True, after=42)


def test_a_wait_goes_on_for_what_is_left_of_its_time(tmp_path: Path) -> None:
    _, requests, _ = ask_two_supervisors(tmp_path, Wait(["job-1"], timeout=60.0), lambda _: [])
    again = requests[-1].command
    assert isinstance(again, Wait)
    assert again.timeout is not None
    assert 0 < again.timeout < 60
