"""``sojourn up``: from options, or their twins, to one plain value; and what it refuses to start with."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from sojourn.hosts.options import UpOptions
from sojourn.hosts.supervisor import main as supervisor
from tests.hosts.cli.conftest import Done, Sojourn


class Up:
    """``sojourn up`` as far as its options."""

    def __init__(self, sojourn: Sojourn, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sojourn = sojourn
        self._home = home
        self._given: list[UpOptions] = []
        monkeypatch.setattr(supervisor, "run_supervisor", self._take)

    def _take(self, options: UpOptions) -> int:
        self._given.append(options)
        return 0

    def options(self, *arguments: object) -> UpOptions:
        done = self._sojourn("up", "--home", self._home, *arguments)
        assert done.code == 0, done.err
        return self._given.pop()

    def refused(self, *arguments: object) -> Done:
        done = self._sojourn("up", "--home", self._home, *arguments)
        assert not self._given, "it would have started"
        assert done.err.startswith("error: ")
        assert len(done.err.splitlines()) == 1
        return done


@pytest.fixture
def up(sojourn: Sojourn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Up:
    monkeypatch.chdir(tmp_path)
    return Up(sojourn, tmp_path / "home", monkeypatch)


def test_defaults(up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "build-7.example.org")
    assert up.options() == UpOptions(
        home=str(tmp_path / "home"), name="build-7", paths=(str(tmp_path),), python=sys.executable
    )


def test_everything_named(up: Up, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two words").mkdir()
    assert up.options(
        "--name", "a", "--listen", "tcp://127.0.0.1:0", "--path", "one", "--path", tmp_path / "two words",
        "--allow", "pipelines", "--allow", "models", "--python", sys.executable, "--retain", "2h,50",
        "--grace", "0.5", "--import-timeout", "3", "--strict-code", "--memory-limit", "512M",
        "--drain-to", "b",
    ) == UpOptions(
        home=str(tmp_path / "home"), name="a", listen="tcp://127.0.0.1:0",
        paths=(str(tmp_path / "one"), str(tmp_path / "two words")), allow=("pipelines", "models"),
        python=sys.executable, retain_seconds=7200.0, retain_jobs=50, strict_code=True,
        memory_limit=512_000_000, grace=0.5, import_timeout=3.0, drain_to="b",
    )


def test_the_environment_names_the_same(up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two words"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("SOJOURN_UP_NAME", "a")
    monkeypatch.setenv("SOJOURN_UP_PATH", os.pathsep.join(["one", "two words"]))
    monkeypatch.setenv("SOJOURN_UP_ALLOW", "pipelines models")
    monkeypatch.setenv("SOJOURN_UP_STRICT_CODE", "1")
    monkeypatch.setenv("SOJOURN_UP_MEMORY_LIMIT", "1G")
    found = up.options()
    assert found.name == "a"
    assert found.paths == (str(tmp_path / "one"), str(tmp_path / "two words"))
    assert found.allow == ("pipelines", "models")
    assert found.strict_code
    assert found.memory_limit == 1_000_000_000
    assert up.options("--name", "b").name == "b"
    monkeypatch.setenv("SOJOURN_UP_DRAIN_TO", "c")
    assert up.options().drain_to == "c"


@pytest.mark.parametrize(
    ("text", "seconds", "count"),
    [
        ("30d", 30 * 86400.0, 100_000), ("12h", 43200.0, 100_000), ("90m", 5400.0, 100_000),
        ("1.5d", 129_600.0, 100_000), ("5000", 30 * 86400.0, 5000), ("10s, 7", 10.0, 7), ("7,10s", 10.0, 7),
        ("0", 30 * 86400.0, 0),
    ],
)
def test_retention(up: Up, text: str, seconds: float, count: int) -> None:
    found = up.options("--retain", text)
    assert (found.retain_seconds, found.retain_jobs) == (seconds, count)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512_000_000), ("512mb", 512_000_000), ("1.5g", 1_500_000_000), ("64000000", 64_000_000)],
)
def test_sizes(up: Up, text: str, size: int) -> None:
    assert up.options("--memory-limit", text).memory_limit == size


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--retain", "soon"), ("--retain", "-1d"), ("--retain", ""), ("--retain", "1.5"),
        ("--retain", "9" * 400), ("--memory-limit", "much"), ("--memory-limit", "0"),
        ("--memory-limit", "512"), ("--memory-limit", "9" * 400), ("--memory-limit", "-5M"),
        ("--listen", "7000"), ("--listen", "127.0.0.1:7000"), ("--listen", "tcp://127.0.0.1"),
        ("--listen", "tcp://127.0.0.1:65536"), ("--listen", "ipc:///tmp/x"), ("--listen", "tcp://a b:1"),
        ("--name", ""), ("--name", "a b"), ("--name", "-a"), ("--name", "a/b"), ("--name", "a" * 64),
        ("--grace", "-1"), ("--grace", "nan"), ("--import-timeout", "inf"),
    ],
)
def test_what_can_not_be_meant_exits_with_2(up: Up, option: str, value: str) -> None:
    assert up.refused(f"{option}={value}").code == 2


@pytest.mark.parametrize(
    "address", ["tcp://*:7000", "tcp://0.0.0.0:0", "tcp://node-1.example.org:65535", "tcp://[::1]:7000"]
)
def test_addresses(up: Up, address: str) -> None:
    assert up.options("--listen", address).listen == address


@pytest.mark.parametrize("option", ["--path", "--python"])
def test_what_is_not_there_exits_with_3(up: Up, option: str) -> None:
    done = up.refused(option, "/nonexistent/thing")
    assert done.code == 3
    assert f"{option} /nonexistent/thing: there is no such" in done.err


@pytest.mark.parametrize("what", ["exit 0", 'echo "no such module" >&2; exit 1'])
def test_an_interpreter_that_can_not_run_routines_is_refused_at_the_start(
    sojourn: Sojourn, tmp_path: Path, what: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{what}\n")
    python.chmod(0o755)
    done = sojourn("up", "--home", tmp_path / "home", "--python", python)
    assert done.code == 6
    assert f"--python {python} can't run routines" in done.err
    assert not (tmp_path / "home").exists()


def test_a_supervisor_is_started_on_its_own_host_only(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    done = up.refused("--host", "b")
    assert done.code == 2
    assert "type it on host 'b'" in done.err
    monkeypatch.setenv("SOJOURN_HOST", "b")
    assert up.options().name


def test_an_interpreter_is_found_on_the_path_and_its_links_are_kept(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A virtual environment is a link to another interpreter: resolved, it would lose its packages.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mypython").symlink_to(sys.executable)
    assert up.options("--python", "bin/mypython").python == str(tmp_path / "bin" / "mypython")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert up.options("--python", "mypython").python == str(tmp_path / "bin" / "mypython")


def test_a_home_that_can_not_be_made_exits_with_6(sojourn: Sojourn, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("kept")
    done = sojourn("up", "--home", blocker / "home", "--path", tmp_path)
    assert done.code == 6
    assert f"the home {blocker}/home can't be written" in done.err
    assert "--home" in done.err
    assert blocker.read_text() == "kept"


def test_a_home_too_deep_for_a_socket_exits_with_6(sojourn: Sojourn, tmp_path: Path) -> None:
    done = sojourn("up", "--home", tmp_path / ("d" * 120), "--path", tmp_path)
    assert done.code == 6
    assert "too deep for a unix socket" in done.err
