"""The root of the command line: commands, options, errors as sentences, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sojourn.hosts.cli.main import COMMANDS, cli
from sojourn.runtime import errors
from sojourn.runtime.errors import SojournError
from tests.hosts.cli.conftest import Sojourn
from tests.hosts.job_documents import handoff, job_document
from tests.hosts.recorded_supervisor import News, RecordedSupervisor, Said

ASKING = [
    ["down"], ["submit", "m:f"], ["jobs"], ["show", "j"], ["wait", "j"], ["logs", "j"], ["pause", "j"],
    ["resume", "j"], ["cancel", "j"], ["retry", "j"], ["forget", "j"], ["migrate", "j", "--to", "b"],
    ["export", "j", "FILE"], ["import", __file__], ["invite"], ["join", "token"], ["peers"],
    ["run", "m:f", "--host", "b"], ["handoff", "list"], ["handoff", "show", "j"],
    ["handoff", "resolve", "j", "--force", "accept"], ["peers", "role", "b", "viewer"],
    ["peers", "revoke", "b"], ["cordon"], ["uncordon"], ["drain"],
]
PROGRAM = (sys.executable, "-m", "sojourn.hosts.cli")


def every_error() -> list[type[SojournError]]:
    found = [getattr(errors, name) for name in dir(errors)]
    return [error for error in found if isinstance(error, type) and issubclass(error, SojournError)]


def commands() -> dict[str, click.Command]:
    """Give every command that can be run; those of a group under its name and their own."""
    return dict(runnable(cli, ""))


def runnable(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from runnable(command, f"{before}{name} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield before + name, command


def asked_by(arguments: list[str]) -> str:
    """Give the command that arguments run."""
    pair = " ".join(arguments[:2])
    return pair if pair in commands() else arguments[0]


# --- what there is --------------------------------------------------------------------------------


def test_every_command_exists_under_its_name_and_is_in_the_help(sojourn: Sojourn) -> None:
    shown = sojourn("--help")
    assert shown.code == 0
    listed = {line.split()[0] for line in shown.out.splitlines() if line.startswith("  ") and line.split()}
    assert set(COMMANDS) <= listed
    assert {name.split()[0] for name in commands()} == set(COMMANDS)
    assert {name: command.name for name, command in commands().items()} == {
        name: name.split()[-1] for name in commands()
    }
    assert sojourn().out == shown.out


def test_every_command_takes_home_host_and_output() -> None:
    for name, command in commands().items():
        options = {flag for option in command.params for flag in option.opts}
        assert {"--home", "--host", "-o", "--output"} <= options, name
        assert command.help, name


def test_every_option_has_a_twin_of_its_own_in_the_environment() -> None:
    for name, command in commands().items():
        options = [option for option in command.params if isinstance(option, click.Option)]
        twins = [option.envvar for option in options]
        assert all(isinstance(twin, str) and twin.startswith("SOJOURN_") for twin in twins), name
        assert len(set(twins)) == len(twins), name
    found = {option.envvar for option in commands()["up"].params}
    assert {"SOJOURN_HOME", "SOJOURN_HOST", "SOJOURN_OUTPUT", "SOJOURN_UP_MEMORY_LIMIT"} <= found
    assert "SOJOURN_SUBMIT_INPUT" in {option.envvar for option in commands()["submit"].params}


def test_the_help_imports_neither_sockets_nor_stores() -> None:
    code = (
        "import sys; from sojourn.hosts.cli.main import run; run(['--help']);"
        "print({'zmq', 'sqlite3', 'rich', 'msgpack'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_the_version_is_the_installed_one(sojourn: Sojourn) -> None:
    import sojourn as face

    assert face.__version__ in sojourn("--version").out


# --- errors ---------------------------------------------------------------------------------------


def test_an_unknown_command_gets_a_hint(sojourn: Sojourn) -> None:
    done = sojourn("shw")
    assert (done.code, done.out) == (2, "")
    assert "there is no command 'shw': did you mean `sojourn show`?" in done.err
    assert sojourn("zzzzzz").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"], ["show", "j", "--nosuch"], ["show", "j", "-o", "yaml"], ["migrate", "j"],
        ["migrate", "--to", "b"], ["wait", "j", "--timeout", "soon"], ["wait", "j", "--timeout", "-1"],
        ["wait", "j", "--timeout", "nan"], ["migrate", "j", "--to", "b", "--grace", "inf"],
        ["resume", "j", "--question", "q"], ["export", "j", "f", "--release"],
        ["export", "j", "f", "--to", "b"], ["import", "/nonexistent/job.json"], ["up", "--grace", "-1"],
        ["completion", "powershell"], ["migrate", "--all", "j", "--to", "b"], ["migrate", "--all"],
        ["migrate", "j", "--to", "b", "--back"], ["migrate", "--all", "--back"],
        ["drain", "--deadline", "-1"], ["up", "--name", "a", "--drain-to", "a"],
        ["peers", "role", "b", "king"], ["invite", "--role", "king"],
        ["peers", "--home", "elsewhere", "revoke", "b"],
    ],
)
def test_wrong_usage_exits_with_2_and_one_sentence(
    sojourn: Sojourn, tmp_path: Path, arguments: list[str]
) -> None:
    done = sojourn(*arguments, "--home", tmp_path / "home")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("arguments", ASKING, ids=asked_by)
def test_without_a_supervisor_every_command_exits_with_5_and_says_how_to_start_one(
    sojourn: Sojourn, tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sojourn(*arguments, "--home", tmp_path / "home")
    assert (done.code, done.out) == (5, "")
    assert done.err == (
        f"error: no supervisor runs on {tmp_path}/home: "
        f"start one with `sojourn up --home {tmp_path}/home`\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_commands_that_ask_a_supervisor_are_all_tested_here() -> None:
    assert set(map(asked_by, ASKING)) == set(commands()) - {"up", "demo", "completion"}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_a_supervisor_is_a_sentence_and_its_exit_code(
    sojourn: Sojourn, tmp_path: Path, kind: type[SojournError]
) -> None:
    sentence = "job 'j' on host 'a' can't: do something else"
    with RecordedSupervisor(tmp_path, lambda _: [kind(sentence)]):
        for_people = sojourn("cancel", "j", "--home", tmp_path)
        for_machines = sojourn("cancel", "j", "--home", tmp_path, "-o", "json")
    assert for_people.code == for_machines.code == kind.exit_code != 0
    assert for_people.out == for_machines.out == ""
    assert for_people.err == f"error: {sentence}\n"
    assert json.loads(for_machines.err) == {"error": {"type": kind.__name__, "message": sentence}}


@pytest.mark.parametrize(
    "way", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]], ids=" ".join
)
def test_errors_of_usage_are_json_for_machines_too(sojourn: Sojourn, way: list[str]) -> None:
    done = sojourn("show", *way)
    assert done.code == 2
    assert json.loads(done.err)["error"]["type"] == "UsageError"


def test_what_the_system_refuses_is_a_sentence(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = sojourn("up", "--home", tmp_path / "home")
    assert done.code == 6
    assert done.err.startswith("error: this host can't do that: ")


# --- settings -------------------------------------------------------------------------------------


def test_home_host_and_output_come_from_the_environment(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_HOME", str(tmp_path))
    monkeypatch.setenv("SOJOURN_HOST", "b")
    monkeypatch.setenv("SOJOURN_OUTPUT", "json")
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": []}]) as supervisor:
        assert sojourn("jobs").out == "[]\n"
        assert sojourn("jobs", "--host", "c", "-o", "table").out.startswith("no jobs")
        assert [request.host for request in supervisor.requests] == ["b", "c"]


def test_options_come_from_their_twins(
    sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_SHOW_HISTORY", "many")
    done = sojourn("show", "j", "--home", tmp_path)
    assert done.code == 2
    assert "'many' is not a valid integer" in done.err


# --- endings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "goes_on", "next_command"),
    [
        ("wait", "job job-1 goes on", "`sojourn wait job-1` follows it again"),
        ("pause", "what was asked of job job-1 goes on", "`sojourn show job-1` shows what came of it"),
    ],
)
def test_ctrl_c_ends_the_watching_only_and_says_where_the_work_goes_on(
    tmp_path: Path, verb: str, goes_on: str, next_command: str
) -> None:
    def script(_: object) -> list[Said]:
        os.kill(process.pid, signal.SIGINT)
        return []

    with RecordedSupervisor(tmp_path, script):
        process = subprocess.Popen(
            [*PROGRAM, verb, "job-1", "--home", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert f"interrupted: {goes_on} at the supervisor of {tmp_path}" in err
    assert next_command in err
    assert "Traceback" not in err


def on_terminal(home: Path, *arguments: str, until: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run a command whose stderr is a terminal; Ctrl-C once that shows something.

    Returns:
        Exit code, stdout, and what the terminal got.
    """
    terminal, its_end = os.openpty()
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [*PROGRAM, *arguments, "--home", str(home)],
            stdout=subprocess.PIPE, stderr=its_end, env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        os.close(its_end)
        try:
            while chunk := screen.read(4096):
                shown += chunk
                if until and until in shown:
                    process.send_signal(signal.SIGINT)
                    until = b""
        except OSError:  # that is how a terminal ends
            pass
        out, _ = process.communicate(timeout=20)
    return process.returncode, out, shown


def test_on_a_terminal_a_long_wait_is_told_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    with RecordedSupervisor(tmp_path, lambda _: []):
        code, out, shown = on_terminal(tmp_path, "wait", "job-1", until=b"wait job-1: waiting for")
    assert (code, out) == (130, b"")
    assert b"interrupted: job job-1 goes on" in shown
    assert b"Traceback" not in shown


def test_on_a_terminal_a_move_is_a_bar_on_stderr_and_stdout_stays_clean(tmp_path: Path) -> None:
    news = [News({"phase": phase, "bytes": 500, "total_bytes": 1000}) for phase in ("delta", "commit")]
    said: list[Said] = [*news, {"job_id": "job-1", **handoff()}]
    with RecordedSupervisor(tmp_path, lambda _: said):
        code, out, shown = on_terminal(tmp_path, "migrate", "job-1", "--to", "b")
    assert (code, out) == (0, b"moved job-1 from a to b: downtime 3.4 ms, 12.3 kB\n")
    assert b"job-1: commit" in shown
    assert b"Traceback" not in shown


def test_a_reader_that_has_read_enough_ends_a_command_quietly(tmp_path: Path) -> None:
    def script(_: object) -> list[Said]:
        assert process.stdout is not None
        process.stdout.close()
        return [{"jobs": [job_document()]}]

    with RecordedSupervisor(tmp_path, script):
        process = subprocess.Popen(
            [*PROGRAM, "jobs", "--home", str(tmp_path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=20), err) == (0, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_nobody(tmp_path: Path, closed: str) -> None:
    with RecordedSupervisor(tmp_path, lambda _: [{"jobs": [job_document()]}]):
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$@" {closed}', "sh", *PROGRAM, "jobs", "--home", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_a_sentence(tmp_path: Path) -> None:
    said: list[Said] = [{"jobs": [job_document()]}]
    with RecordedSupervisor(tmp_path, lambda _: said), Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "jobs", "--home", str(tmp_path)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )
    assert done.returncode == 6
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


# --- completion -----------------------------------------------------------------------------------


def complete(home: Path, *words: str) -> str:
    environment = {
        **os.environ, "_SOJOURN_COMPLETE": "bash_complete", "SOJOURN_HOME": str(home),
        "COMP_WORDS": " ".join(["sojourn", *words]), "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


def test_completes_job_ids_and_hosts_where_a_supervisor_answers(tmp_path: Path) -> None:
    body = {"jobs": [{"job_id": "abc"}, {"job_id": "abd"}, {"job_id": "x"}], "peers": [{"name": "b"}]}
    with RecordedSupervisor(tmp_path, lambda _: [body]):
        assert complete(tmp_path, "show", "ab").split() == ["plain,abc", "plain,abd"]
        assert complete(tmp_path, "migrate", "abc", "--to", "").split() == ["plain,b"]
        assert complete(tmp_path, "drain", "--to", "").split() == ["plain,b"]


def test_completes_nothing_and_says_nothing_where_none_does(tmp_path: Path) -> None:
    assert complete(tmp_path / "home", "show", "").strip() == ""


def test_completes_commands(tmp_path: Path) -> None:
    assert complete(tmp_path, "mig").split() == ["plain,migrate"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_a_completion_script(sojourn: Sojourn, shell: str) -> None:
    done = sojourn("completion", shell)
    assert done.code == 0
    assert "_SOJOURN_COMPLETE" in done.out
