"""The README says what is so: its recording, its flow, its commands and the files that it names."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sojourn.hosts.cli.main import COMMANDS, cli
from tests.integration.conftest import MakeHost
from tests.integration.hosting import SOJOURN, pair_hosts

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
AUTHORING = (ROOT / "docs" / "authoring.md").read_text()
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text()


def block(language: str, place: int = 0, page: str = README) -> str:
    """Give one of a page's blocks of code."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return found[place]


def without_figures(text: str) -> list[str]:
    return [re.sub(r"\d+(\.\d+)?", "N", line) for line in text.strip().splitlines()]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        yield Path(folder)


def test_the_demonstration_prints_what_the_readme_shows_and_all_of_it_is_true(short_folder: Path) -> None:
    done = subprocess.run(
        [*SOJOURN, "demo"], capture_output=True, text=True, check=False, timeout=100, cwd=short_folder,
        env={
            **os.environ, "TMPDIR": str(short_folder), "SOJOURN_HOME": str(short_folder / "not-this-one"),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("every claim is true")
    assert "✘" not in done.stdout
    printed, recorded = without_figures(done.stdout), without_figures(block("text"))
    assert recorded == printed[printed.index(recorded[0]):][: len(recorded)]
    assert list(short_folder.iterdir()) == [], "it leaves nothing behind"


def test_the_flow_of_the_readme_is_retried_moved_and_completed_as_told(
    make_host: MakeHost, tmp_path: Path
) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "pages.py").write_text(block("python"))
    a, b = (make_host(name, paths=[flows]).up() for name in "ab")
    pair_hosts(a, b)
    with http.server.HTTPServer(("127.0.0.1", 0), Answering, bind_and_activate=False) as server:
        server.server_bind()  # the port is ours, and nobody answers yet
        url = f"http://127.0.0.1:{server.server_port}"
        fields = json.dumps({"url": url})
        assert a.do("submit", "pages:flow", "--job-id", "pages", "--input", fields) == "pages"
        a.do("wait", "pages", "--until", "fetch.retry_count >= 1")
        assert a.do("migrate", "pages", "--to", "b").startswith("moved pages from a to b: downtime ")
        server.server_activate()
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert a.do("wait", "pages") == "pages completed"
        thread.join()
    state = b.show("pages")
    assert [entry["host"] for entry in state["history"]] == ["a", "b", "b"]
    assert state["routines"]["count"]["state"] == {"bytes": len(Answering.body)}


def test_the_flow_of_the_authoring_page_runs_as_told_and_so_does_its_test(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text(block("python", 0, AUTHORING))
    (tmp_path / "check.py").write_text("from words import Words\n" + block("python", 1, AUTHORING))
    (tmp_path / "text").write_text("two words\nand three more\n")
    run = (*SOJOURN, "run", "words:flow", "--home", tmp_path / "home", "--input", '{"path": "text"}')
    for command, printed in ((run, '{\n  "words": 5\n}\n'), ((sys.executable, "check.py"), "")):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, printed), done.stderr


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers with a page."""

    body = b"a page"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def commands_of(text: str) -> list[list[str]]:
    """Give the sojourn command lines of a block."""
    lines = (re.sub(r"^[a-z]?\$ ", "", line).rstrip("& ") for line in text.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("sojourn ")]


@pytest.mark.parametrize("place", [0, 2])
def test_every_command_of_the_readme_is_one(place: int) -> None:
    found = commands_of(block("sh", place))
    assert len(found) >= 4
    for name, *arguments in found:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        command.make_context(name, arguments)


def test_every_file_that_the_pages_name_is_there() -> None:
    named = re.findall(r"`((?:tests|docs|examples|benchmarks)/[\w/.-]+)`", README)
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(named) > 10
    assert [path for path in {*named, *linked} if not (ROOT / path).exists()] == []


def test_every_command_and_option_is_on_the_page_of_commands() -> None:
    missing = [
        f"{name} {option}"
        for name in COMMANDS
        if (command := cli.get_command(click.Context(cli), name)) is not None
        for parameter in command.params if isinstance(parameter, click.Option)
        for option in parameter.opts if f"`{option}" not in COMMANDS_PAGE
    ]
    assert missing == []
    assert [name for name in COMMANDS if f"`{name}" not in COMMANDS_PAGE] == []
