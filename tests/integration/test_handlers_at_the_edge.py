"""What handlers may do that breaks careless actor processes: each on a real host."""

from __future__ import annotations

import pytest

from tests.integration.hosting import Host, Json, attempts


def run(host: Host, act: str) -> Json:
    """Run the flow of an act to its end."""
    return host.wait(host.submit(f"edges:{act}", act), timeout=20.0)


def outcomes(document: Json) -> list[tuple[int, str]]:
    return [(attempt, outcome) for _, attempt, outcome, _ in attempts(document, "edge")]


def test_an_exception_that_only_the_flows_module_imports_is_retried(host: Host) -> None:
    document = run(host, "unlucky")
    assert outcomes(document) == [(1, "failed"), (2, "succeeded")]
    assert document["result"] == {"attempt": 2}


def test_a_retry_later_of_ones_own_needs_no_constructor_of_its_base(host: Host) -> None:
    document = run(host, "later")
    assert outcomes(document) == [(1, "failed"), (2, "succeeded")]
    assert document["history"][0]["error"]["type"] == "LaterWithoutInit"


def test_an_exception_without_a_text_is_recorded_by_its_name(host: Host) -> None:
    document = run(host, "mute")
    assert outcomes(document) == [(1, "failed"), (2, "failed")]
    assert document["error"]["type"] == "Mute"


def test_an_enum_of_the_standard_library_is_state_like_any_other(host: Host) -> None:
    document = run(host, "status")
    assert outcomes(document) == [(1, "failed"), (2, "succeeded")]
    assert document["result"] == {"status": "<HTTPStatus.NOT_FOUND: 404>"}


def test_a_class_that_no_restart_would_find_is_refused_where_its_value_is_made(host: Host) -> None:
    error = run(host, "imports")["error"]
    assert error["type"] == "ValueNotEncodable"
    assert "class edge_values:Size couldn't be found again after a restart" in error["message"]


def test_a_copy_of_the_process_that_returns_from_the_handler_hands_in_nothing(host: Host) -> None:
    document = run(host, "forks")
    assert document["result"] == {"status": 0}
    assert outcomes(document) == [(1, "succeeded")]


def test_what_a_signal_handler_prints_holds_nothing_up(host: Host) -> None:
    assert run(host, "signals")["result"] == {"signals": True}


@pytest.fixture
def lines(host: Host) -> list[str]:
    """What a job's log shows, without the times."""
    run(host, "logs")
    return [line.partition(" ")[2] for line in host.do("logs", "logs").splitlines()]


def test_prints_and_log_calls_are_kept_with_their_turn(lines: list[str]) -> None:
    assert lines[:2] == ["edge #1/1 stdout: to stdout", "edge #1/1 stderr: to stderr"]
    assert lines[2].startswith("edge #1/1 log: level='info' event='counted 3 of 4'")
    assert "unit='pages'" in lines[2]
    assert "level='error' event='caught'" in lines[3]
    assert "ValueError: what went wrong" in lines[3]


def test_a_host_says_when_threads_of_an_import_cost_it_its_forks(host: Host) -> None:
    for job in ("first", "second"):
        assert host.wait(host.submit("threaded:flow", job))["result"] == {"attempt": 1}
    said = [entry for entry in host.log() if "fresh interpreters" in entry["event"]]
    assert [entry["modules"] for entry in said] == [["threaded"]]
    assert "threads run after the import" in said[0]["reason"]
