"""Runs the command line in this process, in an environment without its variables."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import pytest

from sojourn.hosts.cli.main import run


class Done(msgspec.Struct):
    """What a command left behind."""

    code: int
    out: str
    err: str


Sojourn = Callable[..., Done]


@pytest.fixture
def sojourn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Sojourn:
    """Run a command; give its exit code and what it printed."""
    for name in [name for name in os.environ if name.startswith(("SOJOURN_", "_SOJOURN_"))]:
        monkeypatch.delenv(name)

    def run_command(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run_command
