"""How long commands take, as a person waits for them, against an interpreter with two imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.suite.alone import main
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import one_host
from tests.integration.hosting import SOJOURN

SCRIPT = Path(sys.executable).with_name("sojourn")
IMPORTS = (sys.executable, "-c", "import zmq, msgpack")


class Sizes(msgspec.Struct, frozen=True):
    calls: int = 5
    """Of each command in a repetition."""


def measure(run: Run[Sizes]) -> Measured:
    command = (str(SCRIPT),) if SCRIPT.exists() else SOJOURN
    calls = run.sizes.calls
    with one_host(run.folder) as host, host.client() as client:
        job = client.submit("waiting:small", i=1)
        client.wait(job, until="wait.retry_count >= 1", timeout=30)
        commands = {
            "help": ("sojourn --help", (*command, "--help")),
            "show": ("sojourn show JOB", (*command, "show", job, "--home", str(host.home))),
        }
        lines: list[Line] = []
        for name, (called, arguments) in commands.items():
            run.say(called)
            ours, beside = pairs(run, arguments)
            lines.append(Line(name, called, "ms", ours, 'python -c "import zmq, msgpack"', beside))
    return Measured(lines, notes={
        "called": "the installed script" if SCRIPT.exists() else "python -m",
        "calls in a repetition": str(calls),
    })


def pairs(run: Run[Sizes], arguments: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Call a command, and what it is held against, in turn."""
    return run.alternately(
        lambda _: milliseconds(arguments, run.sizes.calls), lambda _: milliseconds(IMPORTS, run.sizes.calls)
    )


def milliseconds(arguments: tuple[str, ...], calls: int) -> float:
    """Give the median of some calls."""
    taken: list[float] = []
    for _ in range(calls):
        begun = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


FIGURE = Figure("command_line", "The command line", Sizes(), Sizes(calls=1), measure)

if __name__ == "__main__":
    main(FIGURE)
