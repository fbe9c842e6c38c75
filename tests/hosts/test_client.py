"""The Python client: what its verbs ask for, what they give back and what they raise."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sojourn import Client, Flow, Handoff, Routine
from sojourn.hosts import client as module
from sojourn.runtime.document import JobState
from sojourn.runtime.errors import (
    HandoffAborted,
    HandoffInDoubt,
    HostUnable,
    InvalidInput,
    JobFailed,
    NoSupervisor,
    ProtocolViolation,
    Refused,
    UsageError,
    ValueNotEncodable,
    WaitTimedOut,
)
from sojourn.runtime.flow import decode_flow
from sojourn.runtime.moved import Outcome, moved_entry, other_entry
from sojourn.runtime.wire.client import (
    Cancel,
    Command,
    Export,
    Forget,
    Import,
    Jobs,
    Migrate,
    Pause,
    Resume,
    Retry,
    Show,
    Submit,
    Wait,
)
from sojourn.runtime.wire.whole_hosts import Cordon, Drain, MigrateMany
from tests.hosts.job_documents import completed, failed, handoff, job_document, pending
from tests.hosts.recorded_supervisor import Json, News, RecordedSupervisor, Said

NOTHING_SENT = "what is refused here must not reach the supervisor"


class Load(Routine):
    def process(self, url: str) -> None: ...


def make_flow() -> Flow:
    flow = Flow("pipeline")
    flow.add_routine(Load(), "load")
    return flow


@contextmanager
def client_of(root: Path, *said: Said) -> Generator[tuple[Client, list[Command]]]:
    """Give a client and what it asks for; every command is answered alike."""
    with RecordedSupervisor(root, lambda _: said) as supervisor, Client(root) as client:
        yield client, supervisor.commands


def fields(data: bytes | None) -> dict[str, Any]:
    assert data is not None
    found: dict[str, Any] = msgspec.msgpack.decode(data)
    return found


# --- finding a supervisor -----------------------------------------------------------------------


def test_no_supervisor_is_said_when_the_client_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoSupervisor, match=f"sojourn up --home {tmp_path}"):
        Client(tmp_path)


def test_home_and_host_come_from_the_environment_like_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_HOME", str(tmp_path))
    monkeypatch.setenv("SOJOURN_HOST", "b")
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": []}]) as supervisor:
        with Client() as client:
            client.jobs()
        with Client(host="c") as client:
            client.jobs()
        assert [request.host for request in supervisor.requests] == ["b", "c"]


def test_a_client_refuses_another_thread(tmp_path: Path) -> None:
    with client_of(tmp_path, {"jobs": []}) as (client, commands), ThreadPoolExecutor(1) as other:
        with pytest.raises(UsageError, match="a Client belongs to the thread that made it"):
            other.submit(client.jobs).result()
        assert client.jobs() == []
        assert commands == [Jobs()]


# --- submitting ---------------------------------------------------------------------------------


def test_submit_merges_a_mapping_with_fields_by_name_which_win(tmp_path: Path) -> None:
    with client_of(tmp_path, {"job_ids": ["job-1"]}) as (client, commands):
        assert client.submit("pipeline:flow", {"n": 1, "job_id": 7}, n=2, job_id="job-1") == "job-1"
    [command] = commands
    assert isinstance(command, Submit)
    assert (command.locator, command.flow, command.job_ids) == ("pipeline:flow", None, ["job-1"])
    assert fields(command.inputs[0]) == {"n": 2, "job_id": 7}


def test_a_flow_is_frozen_and_sent_whole(tmp_path: Path) -> None:
    flow = make_flow()
    with client_of(tmp_path, {"job_ids": ["job-1"]}) as (client, commands):
        client.submit(flow, url="x")
    [command] = commands
    assert isinstance(command, Submit)
    assert command.locator is None
    assert command.flow is not None
    assert decode_flow(command.flow) == flow.freeze()


def test_submit_many_is_one_request(tmp_path: Path) -> None:
    with client_of(tmp_path, {"job_ids": ["a", "b", "c"]}) as (client, commands):
        assert client.submit_many("pipeline:flow", ({"n": n} for n in range(3))) == ["a", "b", "c"]
    [command] = commands
    assert isinstance(command, Submit)
    assert [fields(data)["n"] for data in command.inputs] == [0, 1, 2]
    assert command.job_ids == [None, None, None]


def test_submit_many_cuts_what_is_too_large_for_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 250)

    def script(command: Command) -> list[Said]:
        assert isinstance(command, Submit)
        return [{"job_ids": list(command.job_ids)}]

    ids = [f"job-{n}" for n in range(6)]
    inputs = [{"n": n, "blob": "x" * (1000 if n == 3 else 100)} for n in range(6)]
    with RecordedSupervisor(tmp_path, script) as supervisor, Client(tmp_path) as client:
        assert client.submit_many("pipeline:flow", inputs, job_ids=ids) == ids
    sent = [command.job_ids for command in supervisor.commands if isinstance(command, Submit)]
    assert sent == [ids[0:2], ids[2:3], ids[3:4], ids[4:6]]


def test_submit_many_cuts_what_is_too_many_for_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_JOBS", 3)

    def script(command: Command) -> list[Said]:
        assert isinstance(command, Submit)
        return [{"job_ids": list(command.job_ids)}]

    ids = [f"job-{n}" for n in range(7)]
    with RecordedSupervisor(tmp_path, script) as supervisor, Client(tmp_path) as client:
        assert client.submit_many("pipeline:flow", [{"n": 1}] * 7, job_ids=ids, priority=2) == ids
    sent = [command for command in supervisor.commands if isinstance(command, Submit)]
    assert [command.job_ids for command in sent] == [ids[0:3], ids[3:6], ids[6:7]]
    assert {command.priority for command in sent} == {2}


@pytest.mark.parametrize("priority", [-4, 4, "high"])
def test_a_priority_out_of_range_isnt_sent(tmp_path: Path, priority: Any) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(UsageError, match="priority"):
            client.submit("pipeline:flow", priority=priority)
        assert not commands, NOTHING_SENT


def test_submit_many_of_nothing_starts_nothing(tmp_path: Path) -> None:
    with client_of(tmp_path) as (client, commands):
        assert client.submit_many("pipeline:flow", []) == []
        assert not commands


def test_ids_and_inputs_must_be_as_many(tmp_path: Path) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(UsageError, match="1 job ids for 2 inputs"):
            client.submit_many("pipeline:flow", [{}, {}], job_ids=["one"])
        assert not commands, NOTHING_SENT


@pytest.mark.parametrize("data", ["text", [1], 7])
def test_fields_that_are_no_mapping_are_refused_with_a_sentence(tmp_path: Path, data: Any) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(InvalidInput, match=f"not {type(data).__name__}: write"):
            client.submit("pipeline:flow", data)
        with pytest.raises(InvalidInput, match="mapping from names to values"):
            client.resume("job-1", data)
        assert not commands, NOTHING_SENT


def test_a_value_that_can_not_be_stored_is_named(tmp_path: Path) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(ValueNotEncodable, match=r"input\['lock'\]"):
            client.submit("pipeline:flow", lock=object())
        with pytest.raises(ValueNotEncodable, match=r"the answer.*lock"):
            client.resume("job-1", lock=object())
        assert not commands, NOTHING_SENT


def test_something_else_than_a_flow_is_refused(tmp_path: Path) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(UsageError, match=r"a flow is a sojourn\.Flow or text MODULE:ATTR, not int"):
            client.submit(7)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        assert not commands, NOTHING_SENT


# --- looking ------------------------------------------------------------------------------------


def test_show_gives_the_document_as_a_job_state(tmp_path: Path) -> None:
    document = job_document(epoch=3)
    with client_of(tmp_path, document) as (client, commands):
        state = client.show("job", history=5, after=2)
    assert commands == [Show("job", 5, 2)]
    assert isinstance(state, JobState)
    assert (state.epoch, state.retry_count("failing")) == (3, 2)
    assert state.serialize() == document


def test_wait_gives_a_failed_job_and_raises_nothing(tmp_path: Path) -> None:
    with client_of(tmp_path, {"jobs": [failed()], "held": True}) as (client, commands):
        assert client.wait("job-1", until="failing.failed > 0", timeout=5).status == "failed"
    assert commands == [Wait(["job-1"], "failing.failed > 0", 5)]


def test_a_wait_that_takes_too_long_is_a_timeout_error(tmp_path: Path) -> None:
    with (
        client_of(tmp_path, WaitTimedOut("job job-1 on host 'a' goes on")) as (client, _),
        pytest.raises(TimeoutError, match="job-1 on host 'a' goes on"),
    ):
        client.wait("job-1", timeout=0)


def test_wait_all_is_one_request(tmp_path: Path) -> None:
    with client_of(tmp_path, {"jobs": [completed(), failed()], "held": True}) as (client, commands):
        assert [state.status for state in client.wait_all(["one", "two"])] == ["completed", "failed"]
        assert client.wait_all([]) == []
    assert commands == [Wait(["one", "two"])]


def test_documents_that_come_in_parts_are_one_answer(tmp_path: Path) -> None:
    names = [f"job-{number}" for number in range(5)]
    documents = [job_document(job_id=name) for name in names]
    said: list[Said] = [
        News({"jobs": documents[:2], "held": True, "at": 0}),
        News({"jobs": documents[2:4], "held": True, "at": 2}),
        # it had to begin anew: its supervisor was another one meanwhile
        News({"jobs": documents[:3], "held": True, "at": 0}),
        {"jobs": documents[3:], "held": True, "at": 3},
    ]
    with client_of(tmp_path, *said) as (client, _):
        assert [state.job_id for state in client.wait_all(names)] == names


@pytest.mark.parametrize("body", [{"jobs": [job_document()], "held": True, "at": 1}, {"jobs": 3}, {}])
def test_an_answer_that_lacks_documents_is_refused(tmp_path: Path, body: Json) -> None:
    with (
        client_of(tmp_path, body) as (client, _),
        pytest.raises(ProtocolViolation, match="answer to a wait"),
    ):
        client.wait_all(["one", "two"])


def test_result_gives_what_the_job_set(tmp_path: Path) -> None:
    with client_of(tmp_path, {"jobs": [completed(rows=3)], "held": True}) as (client, _):
        assert client.result("job-1") == {"rows": 3}


def test_result_of_a_failed_job_raises_and_tells_why_and_where(tmp_path: Path) -> None:
    with (
        client_of(tmp_path, {"jobs": [failed()], "held": True}) as (client, _),
        pytest.raises(JobFailed, match="job-1 failed on host 'a': ValueError: no such page"),
    ):
        client.result("job-1")


def test_result_of_a_cancelled_job_raises(tmp_path: Path) -> None:
    cancelled = job_document(status="cancelled")
    with (
        client_of(tmp_path, {"jobs": [cancelled], "held": True}) as (client, _),
        pytest.raises(JobFailed, match="job-1 cancelled on host 'a'; `sojourn show job-1`"),
    ):
        client.result("job-1")


# --- acting -------------------------------------------------------------------------------------


def test_acting_verbs_ask_for_what_they_say(tmp_path: Path) -> None:
    with client_of(tmp_path, {"job_id": "job-1", "status": "running"}) as (client, commands):
        client.pause("job-1")
        client.resume("job-1")
        client.cancel("job-1")
        client.retry("job-1")
        client.forget("job-1")
    assert commands == [
        Pause("job-1"), Resume("job-1"), Cancel("job-1"), Retry("job-1"), Forget("job-1")
    ]


def test_resume_with_fields_answers_a_question_also_with_none_in_it(tmp_path: Path) -> None:
    with client_of(tmp_path, {}) as (client, commands):
        client.resume("job-1", {"yes": True}, question="q1", why="because")
        client.resume("job-1", {})
    first, second = commands
    assert isinstance(first, Resume)
    assert isinstance(second, Resume)
    assert (first.question, fields(first.data)) == ("q1", {"yes": True, "why": "because"})
    assert fields(second.data) == {}


# --- moving -------------------------------------------------------------------------------------


def test_migrate_of_one_job_gives_what_was_measured(tmp_path: Path) -> None:
    with client_of(tmp_path, {"job_id": "job-1", **handoff()}) as (client, commands):
        moved = client.migrate(["one"], "b", grace=1.5, allow_code_drift=True)
        assert client.migrate("three", "b") == moved
        assert client.migrate_back("four", max_downtime_ms=5.0) == moved
        assert client.migrate([], "b") == []
    phases = {"precopy": 1.0, "freeze": 0.4, "delta": 0.5, "commit": 0.6, "activate": 1.1}
    assert moved == [Handoff("job-1", "a", "b", 2, 12_345, phases, 3.4)]
    assert commands == [
        Migrate("one", "b", 1.5, True), Migrate("three", "b"), Migrate("four", None, max_downtime_ms=5.0)
    ]


def test_a_move_of_one_job_that_is_aborted_is_raised(tmp_path: Path) -> None:
    with client_of(tmp_path, HandoffAborted("job one stays on host 'a'")) as (client, commands):
        with pytest.raises(HandoffAborted, match="job one stays"):
            client.migrate(["one"], "b")
        assert commands == [Migrate("one", "b")]


def test_moves_that_were_done_are_not_lost_with_one_that_failed(tmp_path: Path) -> None:
    stays = other_entry(
        "two", Outcome.STAYS, host="a", source="a", error="Refused", reason="job two is paused by law"
    )
    done = moved_entry({"job_id": "one", **handoff()})
    with client_of(tmp_path, {"jobs": [done, stays]}) as (client, commands):
        with pytest.raises(HandoffAborted, match="1 of 2 jobs did not move: job two is paused") as raised:
            client.migrate(["one", "two"], "b", grace=1.0)
        with pytest.raises(HandoffAborted):
            client.migrate_back(["one", "two"])
        with pytest.raises(HandoffAborted):
            client.migrate_all("b")
        with pytest.raises(HandoffAborted):
            client.drain("b", deadline=60.0)
    assert [moved.job_id for moved in raised.value.handoffs] == ["one"]
    assert {job: type(error) for job, error in raised.value.errors.items()} == {"two": Refused}
    assert commands == [
        MigrateMany(["one", "two"], "b", 1.0), MigrateMany(["one", "two"], None), MigrateMany(None, "b"),
        Drain("b", 60.0),
    ]


def test_a_job_in_doubt_outweighs_one_that_stays(tmp_path: Path) -> None:
    entries = [
        other_entry("one", Outcome.STAYS, host="a", source="a", error="NotFound", reason="no job 'one'"),
        other_entry("two", Outcome.IN_DOUBT, host=None, source="a", target="b", reason="released"),
        other_entry("three", Outcome.ENDED, host="a", source="a", reason="completed"),
    ]
    with (
        client_of(tmp_path, {"jobs": entries}) as (client, _),
        pytest.raises(HandoffInDoubt, match="2 of 3 jobs did not move") as raised,
    ):
        client.drain()
    assert set(raised.value.errors) == {"one", "two"}
    assert raised.value.handoffs == []


def test_cordon_and_uncordon_are_one_command(tmp_path: Path) -> None:
    with client_of(tmp_path, {"host": "a", "cordoned": True}) as (client, commands):
        client.cordon()
        client.uncordon()
    assert commands == [Cordon(True), Cordon(False)]


# --- files --------------------------------------------------------------------------------------


def test_export_replaces_the_file_whole(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text("an earlier one, much longer than what replaces it: " + "x" * 1000)
    with client_of(tmp_path / "home", {"document": {"format": 1}}) as (client, commands):
        client.export("job-1", file)
    assert json.loads(file.read_text()) == {"format": 1}
    assert commands == [Export("job-1")]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["job.json"]


def test_a_released_export_is_written_by_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with client_of(tmp_path / "home", {"job_id": "job-1"}) as (client, commands):
        client.export("job-1", "job.json", release=True, to="b")
    assert commands == [Export("job-1", str(tmp_path / "job.json"), "b")]


@pytest.mark.parametrize(("release", "to"), [(True, None), (False, "b")])
def test_release_and_host_belong_together(tmp_path: Path, release: bool, to: str | None) -> None:
    with client_of(tmp_path) as (client, commands):
        with pytest.raises(UsageError, match="an export with release needs the host"):
            client.export("job-1", tmp_path / "job.json", release=release, to=to)
        assert not commands, NOTHING_SENT


def test_an_export_that_can_not_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("kept")
    folder = tmp_path / "folder"
    folder.mkdir()
    with client_of(tmp_path / "home", {"document": {}}) as (client, _):
        for place in (tmp_path / "missing" / "job.json", blocker / "job.json", folder):
            with pytest.raises(HostUnable, match=r"can't be written.*choose another file"):
                client.export("job-1", place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "home"]
    assert blocker.read_text() == "kept"


def test_import_sends_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(b"not even JSON")
    with client_of(tmp_path / "home", {"job_id": "job-1", "epoch": 1}) as (client, commands):
        assert client.import_file(file) == "job-1"
        with pytest.raises(UsageError, match=r"missing.json can't be read"):
            client.import_file(tmp_path / "missing.json")
    assert commands == [Import(b"not even JSON")]


def test_a_flow_and_a_job_state_go_on_as_a_new_job(tmp_path: Path) -> None:
    flow = make_flow()
    document = job_document(
        flow_digest=flow.digest, routines={}, pending=[pending(2, routine="load")], pending_total=1
    )
    with client_of(tmp_path, {"job_id": "job-2", "epoch": 1}) as (client, commands):
        assert client.resume_document(flow, JobState(document)) == "job-2"
        assert client.resume_document(flow.freeze(), document) == "job-2"
    first, second = commands
    assert first == second
    assert isinstance(first, Import)
    file = json.loads(first.document)
    assert file["handoff"] is None
    assert file["job"]["pending"] == document["pending"]
