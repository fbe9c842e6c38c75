"""The public types, by what a type checker says of two files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
_ANNOUNCED = re.compile(r"# error: \[([a-z-]+)\]")
_REPORTED = re.compile(r"^tests/typing/refused\.py:(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)


def mypy(file: str) -> str:
    """Run mypy as ``make lint`` does, over one file."""
    command = [sys.executable, "-m", "mypy", "--no-pretty", "--no-error-summary", f"tests/typing/{file}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def errors_in(file: str, output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(f"tests/typing/{file}")]


def test_mypy_accepts_what_a_flows_author_writes_and_finds_its_types() -> None:
    assert errors_in("accepted.py", mypy("accepted.py")) == []


def test_mypy_refuses_exactly_what_is_wrong() -> None:
    lines = (HERE / "refused.py").read_text().splitlines()
    announced = [
        (number, code) for number, line in enumerate(lines, 1) for code in _ANNOUNCED.findall(line)
    ]
    output = mypy("refused.py")
    assert [(int(number), code) for number, code in _REPORTED.findall(output)] == announced, output
