"""What commands ask of a supervisor, print for people and for machines, and exit with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sojourn.hosts.home import Home
from sojourn.hosts.orphans import supervisor_pid
from sojourn.runtime.errors import WaitTimedOut
from sojourn.runtime.roles import Role
from sojourn.runtime.wire.client import (
    Cancel,
    Command,
    Export,
    Forget,
    Import,
    Invite,
    Join,
    Logs,
    Migrate,
    Pause,
    Resume,
    Retry,
    Revoke,
    SetRole,
    Show,
    Submit,
    Wait,
)
from tests.hosts.cli.conftest import Sojourn
from tests.hosts.job_documents import completed, failed, handoff, job_document
from tests.hosts.recorded_supervisor import FIRST_PID, News, RecordedSupervisor, Said

READING = [["submit", "m:f"], ["run", "m:f"], ["resume", "job-1"]]


def fields(data: bytes | None) -> dict[str, Any]:
    assert data is not None
    found: dict[str, Any] = msgspec.msgpack.decode(data)
    return found


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,}', "line 1 column"),
        ("{'a': 1}", "line 1 column 2 (char 1)"),
        ("", "line 1 column 1"),
        ("[1]", "must be a JSON object"),
        ("7", "must be a JSON object"),
        ("[" * 100_000, "--input"),
        ('{"a": ' * 200 + "1" + "}" * 200, "nested"),
        ('{"a": {"$sojourn": "nosuch", "value": 1}}', "--input['a']"),
        ('{"a": ' + "9" * 5_000 + "}", "--input"),
    ],
)
def test_input_that_is_no_object_of_values_is_refused_before_anything_starts(
    sojourn: Sojourn, tmp_path: Path, command: list[str], text: str, complaint: str
) -> None:
    done = sojourn(*command, "--input", text, "--home", tmp_path / "home")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert complaint in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_input_may_hold_marked_values(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"job_ids": ["job-1"]}]) as supervisor:
        text = '{"when": {"$sojourn": "date", "value": "2026-01-02"}, "n": 1, "\\u00e9": "\\u00e9"}'
        assert sojourn("submit", "m:f", "--input", text, "--home", tmp_path).code == 0
    [command] = supervisor.commands
    assert isinstance(command, Submit)
    found = fields(command.inputs[0])
    assert isinstance(found.pop("when"), msgspec.msgpack.Ext)
    assert found == {"n": 1, "é": "é"}


# --- starting -------------------------------------------------------------------------------------


def test_submit_prints_the_id_alone(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"job_ids": ["job-1"]}]) as supervisor:
        done = sojourn("submit", "m:f", "--input", '{"n": 1}', "--job-id", "job-1", "--home", tmp_path)
        assert (done.code, done.out, done.err) == (0, "job-1\n", "")
        for_machines = sojourn("submit", "m:f", "--home", tmp_path, "-o", "json")
    assert json.loads(for_machines.out) == {"job_id": "job-1"}
    first, second = supervisor.commands
    assert isinstance(first, Submit)
    assert isinstance(second, Submit)
    assert (first.locator, first.flow, first.job_ids) == ("m:f", None, ["job-1"])
    assert fields(first.inputs[0]) == {"n": 1}
    assert (second.job_ids, fields(second.inputs[0])) == ([None], {})


@pytest.mark.parametrize("command", ["submit", "run"])
def test_a_priority_is_submitted_and_who_has_to_wait_is_told_once(
    sojourn: Sojourn, tmp_path: Path, command: str
) -> None:
    news = News({"waiting": "3 jobs of flow 'f' wait"})

    def script(asked: Command) -> list[Said]:
        if isinstance(asked, Submit):
            return [news, news, {"job_ids": ["job-1"]}]
        return [{"jobs": [completed()], "held": True}]

    with RecordedSupervisor(tmp_path, script) as supervisor:
        done = sojourn(command, "m:f", "--priority", "-3", "--home", tmp_path)
    assert done.code == 0
    assert done.err.splitlines()[:1] == ["3 jobs of flow 'f' wait"]
    assert done.err.count("wait") == 1
    submit = supervisor.commands[0]
    assert isinstance(submit, Submit)
    assert submit.priority == -3


@pytest.mark.parametrize("command", ["submit", "run"])
@pytest.mark.parametrize("priority", ["4", "-4", "high"])
def test_a_priority_that_is_none_is_refused(sojourn: Sojourn, command: str, priority: str) -> None:
    done = sojourn(command, "m:f", "--priority", priority)
    assert done.code == 2
    assert "priority" in done.err


def run_script(document: dict[str, Any]) -> Any:
    event = {"routine": "failing", "message": 2, "attempt": 1}
    news = {"job_id": "job-1", "status": "running", "host": "a"}

    def script(command: Command) -> list[Said]:
        if isinstance(command, Submit):
            return [{"job_ids": ["job-1"]}]
        return [
            News({**news, "event": None}),
            News({**news, "event": {**event, "outcome": "succeeded"}}),
            News({**news, "event": {**event, "outcome": "failed"}}),
            News({**news, "status": "paused", "event": None}),
            {"jobs": [document], "held": True},
        ]

    return script


def test_run_follows_on_stderr_and_prints_the_result_alone(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, run_script(completed(rows=3))) as supervisor:
        done = sojourn("run", "m:f", "--home", tmp_path)
    assert (done.code, json.loads(done.out)) == (0, {"rows": 3})
    assert done.err.splitlines() == [
        "job job-1", "  running on a", "  failing #2: attempt 1 failed",
        "  paused on a: `sojourn show job-1` tells why",
    ]
    assert supervisor.commands[1:] == [Wait(["job-1"], follow=True)]


def test_run_of_a_job_that_fails_prints_no_result_and_exits_with_1(
    sojourn: Sojourn, tmp_path: Path
) -> None:
    with RecordedSupervisor(tmp_path, run_script(failed())):
        done = sojourn("run", "m:f", "--home", tmp_path)
        for_machines = sojourn("run", "m:f", "--home", tmp_path, "-o", "json")
    assert (done.code, done.out) == (1, "")
    assert "error: job job-1 failed on host 'a': ValueError: no such page; `sojourn show job-1`" in done.err
    assert for_machines.code == 1
    assert json.loads(for_machines.out) == failed()


# --- looking --------------------------------------------------------------------------------------


def test_jobs_are_a_table_or_a_list(sojourn: Sojourn, tmp_path: Path) -> None:
    jobs = [job_document(), job_document(job_id="job-2", status="moved", moved_to="b")]
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": jobs}]):
        table = sojourn("jobs", "--home", tmp_path).out.splitlines()
        assert json.loads(sojourn("jobs", "--home", tmp_path, "-o", "json").out) == jobs
    assert table[0].split() == ["JOB", "FLOW", "STATUS", "EPOCH", "CREATED", "NOTE"]
    assert table[1].split() == ["job-1", "pipeline", "running", "1", "2026-01-02T03:04:05"]
    assert table[2].split() == ["job-2", "pipeline", "moved", "1", "2026-01-02T03:04:05", "on", "b"]


def test_show_prints_the_document_itself_for_machines(sojourn: Sojourn, tmp_path: Path) -> None:
    document = job_document(shared={"ratio": 0.1, "text": "é\n", "big": 2**63, "none": None})
    with RecordedSupervisor(tmp_path, lambda _: [document]) as supervisor:
        assert json.loads(sojourn("show", "job-1", "--home", tmp_path, "-o", "json").out) == document
        sojourn("show", "job-1", "--history", 7, "--after", 3, "--home", tmp_path)
        sojourn("show", "job-1", "--home", tmp_path)
    assert supervisor.commands == [Show("job-1", 100), Show("job-1", 7, 3), Show("job-1", 10)]


@pytest.mark.parametrize(
    ("status", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1)]
)
def test_wait_exits_with_how_the_job_ended(
    sojourn: Sojourn, tmp_path: Path, status: str, code: int
) -> None:
    body = {"jobs": [job_document(status=status)], "held": True}
    with RecordedSupervisor(tmp_path, lambda _: [body]) as supervisor:
        done = sojourn("wait", "job", "--timeout", "2.5", "--home", tmp_path)
    assert (done.code, done.out) == (code, f"job-1 {status}\n")
    assert supervisor.commands == [Wait(["job"], None, 2.5)]
    assert (f"job job-1 {status} on host 'a'" in done.err) is (code == 1)


def test_how_a_job_ended_is_told_to_machines_as_json(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": [failed()], "held": True}]):
        done = sojourn("wait", "job", "-o", "json", "--home", tmp_path)
    assert done.code == 1
    assert json.loads(done.out)["status"] == "failed"
    assert json.loads(done.err)["error"]["type"] == "WorkFailed"


def test_wait_until_exits_with_whether_it_held(sojourn: Sojourn, tmp_path: Path) -> None:
    condition = "failing.retry_count >= 2"
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": [failed()], "held": True}]) as supervisor:
        assert sojourn("wait", "job-1", "--until", condition, "--home", tmp_path).code == 0
    assert supervisor.commands == [Wait(["job-1"], condition)]
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": [completed()], "held": False}]):
        done = sojourn("wait", "job-1", "--until", condition, "--home", tmp_path)
    assert done.code == 1
    assert f"job job-1 completed on host 'a' before '{condition}' held" in done.err


def test_a_wait_that_takes_too_long_exits_with_124(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [WaitTimedOut("job job-1 on host 'a' goes on")]):
        done = sojourn("wait", "job-1", "--timeout", 0, "--home", tmp_path)
    assert (done.code, done.out, done.err) == (124, "", "error: job job-1 on host 'a' goes on\n")


def test_logs_are_lines_with_their_turn(sojourn: Sojourn, tmp_path: Path) -> None:
    line = {
        "seq": 1, "routine": "failing", "message": 2, "attempt": 3, "at": 1767323045.25, "stream": "stdout",
        "text": "hello",
    }
    said: list[Said] = [News({"lines": [line]}), News({"lines": [{**line, "seq": 2, "text": "bye"}]}), {}]
    with RecordedSupervisor(tmp_path, lambda _: said) as supervisor:
        done = sojourn("logs", "job-1", "-f", "--home", tmp_path)
        for_machines = sojourn("logs", "job-1", "--home", tmp_path, "-o", "json")
    assert done.out.splitlines() == [
        "03:04:05.250 failing #2/3 stdout: hello", "03:04:05.250 failing #2/3 stdout: bye",
    ]
    assert json.loads(for_machines.out.splitlines()[0]) == line
    assert supervisor.commands == [Logs("job-1", follow=True), Logs("job-1")]


# --- acting ---------------------------------------------------------------------------------------


def test_acting_commands_print_the_job_and_its_status(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"job_id": "job-1", "status": "paused"}]) as supervisor:
        for verb in ("pause", "resume", "cancel", "retry", "forget"):
            assert sojourn(verb, "job", "--home", tmp_path).out == "job-1 paused\n"
    assert supervisor.commands == [
        Pause("job"), Resume("job"), Cancel("job"), Retry("job"), Forget("job")
    ]


def test_resume_with_input_answers_a_question(sojourn: Sojourn, tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"job_id": "job-1", "status": "running"}]) as supervisor:
        sojourn("resume", "job-1", "--input", '{"yes": true}', "--question", "q1", "--home", tmp_path)
        sojourn("resume", "job-1", "--input", "{}", "--home", tmp_path)
    first, second = supervisor.commands
    assert isinstance(first, Resume)
    assert isinstance(second, Resume)
    assert (first.question, fields(first.data)) == ("q1", {"yes": True})
    assert (second.question, fields(second.data)) == (None, {})


# --- moving ---------------------------------------------------------------------------------------


def test_migrate_shows_each_phase_once_and_ends_with_the_downtime(sojourn: Sojourn, tmp_path: Path) -> None:
    def news(phase: str, sent: int) -> News:
        return News({"phase": phase, "bytes": sent, "total_bytes": 12_345 if sent else 0})

    said: list[Said] = [
        news("precopy", 0), news("delta", 4_000), news("delta", 12_345), news("commit", 12_345),
        {"job_id": "job-1", **handoff()},
    ]
    with RecordedSupervisor(tmp_path, lambda _: said) as supervisor:
        done = sojourn(
            "migrate", "job", "--to", "b", "--grace", 2, "--allow-code-drift", "--home", tmp_path
        )
    assert (done.code, done.out) == (0, "moved job-1 from a to b: downtime 3.4 ms, 12.3 kB\n")
    assert done.err.splitlines() == [
        "job: precopy", "job: delta, 12.3 kB to send", "job: commit, 12.3 kB to send"
    ]
    assert supervisor.commands == [Migrate("job", "b", 2.0, True)]


def test_export_writes_the_file_and_prints_its_name(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {"format": 1, "job": {"job_id": "job-1"}}
    with RecordedSupervisor(tmp_path / "home", lambda _: [{"document": document}]) as supervisor:
        done = sojourn("export", "job", "job.json", "--home", "home")
        unwritable = sojourn("export", "job", "missing/job.json", "--home", "home")
    assert (done.code, done.out) == (0, "job.json\n")
    assert json.loads((tmp_path / "job.json").read_text()) == document
    assert unwritable.code == 6
    assert "missing/job.json can't be written" in unwritable.err
    assert supervisor.commands[0] == Export("job")


def test_a_released_export_names_the_next_command(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body = {"job_id": "job-1", "to": "b", "path": "/there/job.json", "epoch": 1, "host": "a"}
    with RecordedSupervisor(tmp_path / "home", lambda _: [body]) as supervisor:
        done = sojourn("export", "job", "job.json", "--release", "--to", "b", "--home", "home")
    assert done.out == (
        "job-1 released to b with /there/job.json on host a: bring the file there, then `sojourn import`\n"
    )
    assert supervisor.commands == [Export("job", str(tmp_path / "job.json"), "b")]


def test_import_prints_the_id_alone(sojourn: Sojourn, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(b"{}")
    with RecordedSupervisor(tmp_path / "home", lambda _: [{"job_id": "job-1", "epoch": 1}]) as supervisor:
        assert sojourn("import", file, "--home", tmp_path / "home").out == "job-1\n"
    assert supervisor.commands == [Import(b"{}")]


# --- hosts ----------------------------------------------------------------------------------------


def test_invite_prints_the_token_alone_and_join_names_the_other_host(
    sojourn: Sojourn, tmp_path: Path
) -> None:
    body = {"token": "sojourn1.abc", "expires_at": "2026-01-02T03:04:05Z", "name": "b", "address": None}
    with RecordedSupervisor(tmp_path, lambda _: [body]) as supervisor:
        assert sojourn("invite", "--valid", 60, "--home", tmp_path).out == "sojourn1.abc\n"
        assert sojourn("join", " sojourn1.abc\n", "--home", tmp_path).out == "paired with b\n"
    assert supervisor.commands == [Invite(60.0), Join("sojourn1.abc")]


def test_invite_and_join_say_what_the_other_host_may_do_here(sojourn: Sojourn, tmp_path: Path) -> None:
    body = {"token": "sojourn1.abc", "name": "b"}
    with RecordedSupervisor(tmp_path, lambda _: [body]) as supervisor:
        assert sojourn("invite", "--role", "viewer", "--home", tmp_path).code == 0
        assert sojourn("join", "sojourn1.abc", "--role", "peer", "--home", tmp_path).code == 0
    assert supervisor.commands == [Invite(3600.0, Role.VIEWER), Join("sojourn1.abc", Role.PEER)]


def test_peers_are_a_table_or_a_list(sojourn: Sojourn, tmp_path: Path) -> None:
    peers: list[dict[str, object]] = [
        {
            "name": "b", "address": None, "state": "connected", "connected": True, "role": "peer",
            "granted": "invite", "role_there": "operator", "why": None, "refused": 0, "store_id": "s",
        },
        {
            "name": "c", "address": "tcp://c:1", "state": "refused", "connected": False, "role": "viewer",
            "granted": "join", "role_there": None, "why": "host 'c' revoked this pairing", "refused": 3,
            "store_id": "s",
        },
    ]
    with RecordedSupervisor(tmp_path, lambda _: [{"peers": peers}]):
        table = sojourn("peers", "--home", tmp_path).out.splitlines()
        assert json.loads(sojourn("peers", "--home", tmp_path, "-o", "json").out) == peers
    assert [line.split() for line in table[1:3]] == [
        ["b", "connected", "(dials", "us)", "peer", "invite", "operator"],
        ["c", "refused", "tcp://c:1", "viewer", "join", "-"],
    ]
    assert table[3] == "c: host 'c' revoked this pairing"
    with RecordedSupervisor(tmp_path, lambda _: [{"peers": [{**peers[0], "cordoned": True}]}]):
        assert "connected, cordoned" in sojourn("peers", "--home", tmp_path).out
    with RecordedSupervisor(tmp_path, lambda _: [{"peers": []}]):
        assert "sojourn invite" in sojourn("peers", "--home", tmp_path).out


def test_a_role_is_changed_and_a_pairing_ended(sojourn: Sojourn, tmp_path: Path) -> None:
    body = {
        "name": "b", "role": "viewer", "jobs": [f"job-{n}" for n in range(12)], "in_doubt": ["lost"],
        "invitations": 2,
    }
    with RecordedSupervisor(tmp_path, lambda _: [body]) as supervisor:
        assert sojourn("peers", "role", "b", "viewer", "--home", tmp_path).out == "b is viewer here\n"
        said = sojourn("peers", "revoke", "b", "--force", "--home", tmp_path).out.splitlines()
    assert supervisor.commands == [SetRole("b", Role.VIEWER), Revoke("b", True)]
    assert said[0] == "b is revoked: its key is refused from now on"
    assert said[1].endswith("job-8, job-9 and 2 more")
    assert "sojourn handoff show lost" in said[2]
    assert said[3].endswith(": 2")


def test_down_waits_until_the_supervisor_has_ended(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int | None] = []

    def look(home: Home) -> int | None:
        looks.append(supervisor_pid(home))
        if len(looks) == 3:
            supervisor.free_lock()
        return looks[-1]

    monkeypatch.setattr("sojourn.hosts.cli.down.supervisor_pid", look)
    with RecordedSupervisor(tmp_path, lambda _: [{}]) as supervisor:
        done = sojourn("down", "--home", tmp_path)
    assert (done.code, done.out) == (0, "")
    assert looks == [FIRST_PID, FIRST_PID, FIRST_PID, None]
