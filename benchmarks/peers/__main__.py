"""``python -m benchmarks.peers`` (``make bench-peers``): other engines at the same work in the same run.

The work is a job of three trivial steps: many queued at once, and one by itself. A peer that isn't
installed, or doesn't start, is named as absent with the reason, and no figure stands in for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.__main__ import draw, keep_beside
from benchmarks.suite.alone import add_common
from benchmarks.suite.figure import Figure, Line, Measured, Run
from benchmarks.suite.hosts import check, one_host, take_jobs
from benchmarks.suite.page import FOLDER
from benchmarks.suite.record import run_figure
from benchmarks.suite.table import about, text
from sojourn import Client

ROOT = Path(__file__).parents[2]
PEERS = {"dbos": "DBOS on SQLite", "ray": "Ray actors", "celery": "Celery on Redis"}
INTERPRETER = ROOT / ".venv-peers" / "bin" / "python"
"""Where ``setup.sh`` puts them."""

STEPS = 3


class Sizes(msgspec.Struct, frozen=True):
    queued: int = 500
    single: int = 50


class Worker:
    """A peer's process.

    Args:
        name: which peer.
        python: interpreter that may have it.
        folder: for its files.
    """

    def __init__(self, name: str, python: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.peers.{name}_worker", str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(folder / "errors").open("w"), text=True,
            cwd=ROOT,
        )
        self.said = self._line() or f"absent it ended with exit code {self._process.wait()}"

    def _line(self) -> str:
        """Read a line that is meant for us: some peers greet on stdout, too."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("ready ", "absent ", "[")):
                return line.strip()
        return ""

    def ask(self, kind: str, count: int) -> list[float]:
        """Have work done; give the seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {count}\n")
        self._process.stdin.flush()
        taken: list[float] = json.loads(self._line())
        return taken

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def figure(python: str) -> Figure[Sizes]:
    """Give the figure, measured with the peers of an interpreter."""
    return Figure(
        "peers", "Other engines at the same work", Sizes(), Sizes(queued=4, single=2),
        lambda run: measure(run, python),
    )


def measure(run: Run[Sizes], python: str) -> Measured:
    lines: list[Line] = []
    absent: dict[str, str] = {}
    notes: dict[str, str] = {}
    with one_host(run.folder) as host, host.client() as client:
        one_job(client)
        for name, called in PEERS.items():
            with ExitStack() as stack:
                worker = Worker(name, python, run.new_folder(name))
                stack.callback(worker.close)
                kind, _, words = worker.said.partition(" ")
                run.say(f"{called}: {worker.said}")
                if kind == "ready":
                    notes[name] = words
                    lines += compare(run, client, worker, name, called)
                else:
                    absent[name] = f"{called} is absent: {words}"
    return Measured(lines, absent=absent, notes=notes)


def compare(run: Run[Sizes], client: Client, worker: Worker, name: str, called: str) -> list[Line]:
    """Measure one peer, and ours beside it."""
    queued, single = run.sizes.queued, run.sizes.single
    many = run.alternately(
        lambda _: queued / take_jobs(client, "linear:plain", [{"i": i} for i in range(queued)], STEPS),
        lambda _: queued / worker.ask("queued", queued)[0],
    )
    one = run.alternately(
        lambda _: statistics.median(one_job(client) for _ in range(single)) * 1000,
        lambda _: statistics.median(worker.ask("single", single)) * 1000,
    )
    return [
        Line(f"{name}_jobs", f"{queued:,} jobs of three steps, queued at once", "jobs/s", many[0],
             called, many[1]),
        Line(f"{name}_p50", "one job of three steps, median", "ms", one[0], called, one[1]),
    ]


def one_job(client: Client) -> float:
    """Give the seconds of one job."""
    begun = time.perf_counter()
    final = client.wait(client.submit("linear:plain", i=0))
    took = time.perf_counter() - begun
    check(final, STEPS)
    return took


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add_common(parser)
    parser.add_argument(
        "--python", default=str(INTERPRETER) if INTERPRETER.exists() else sys.executable, metavar="EXE",
        help=f"interpreter that has the peers (default: that of {INTERPRETER.parts[-3]}, else this one)",
    )
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="DIR", help="where the figures go")
    options = parser.parse_args(arguments)
    chosen = figure(options.python)
    record = run_figure(chosen, chosen.tiny if options.tiny else chosen.sizes, options.runs, options.disk)
    keep_beside(options.into, [record])
    draw(options.into)
    print(text([record]), *about(record), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
