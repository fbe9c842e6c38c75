"""Durable turns per second of a three-routine linear flow, and the bare loop in the same run for the ratio.

Run it with ``make bench``. The supervisor is a real one, started through the command line and used through
the public client, its history kept; the bare loop is ``bare_loop.py``. Both are measured alternately, and
each repetition's ratio is of the two measured next to each other, so that a machine that slows down
slows both. Figures are medians with their spread. Beside the speed stands the processor time of a turn,
summed over all processes of either: on a machine that has other work to do it tells more than the clock.

With one job (the default) the clock runs from the end of the source's turn, whose emissions are then
still to be committed, until the client has the finished job's document. With ``--jobs N`` the messages
come from N jobs in flight at once, and the clock runs from the submit until the client has every document.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmarks import processor
from benchmarks.bare_loop import STAGES, BareLoop
from sojourn import Client

FLOW = "linear_flow:flow"
WARM_UP = 5_000


class Supervisor:
    """A real supervisor, started through the command line.

    Args:
        folder: for its home.
    """

    def __init__(self, folder: Path) -> None:
        self._home = folder / "home"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "sojourn.hosts.cli", "up", "--home", str(self._home),
                "--name", "bench", "--path", str(Path(__file__).parent),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("SOJOURN_")},
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline().startswith("ready"):
            raise SystemExit("the supervisor didn't start")

    def pids(self) -> set[int]:
        """Give its processes: supervisor, zygotes, guards, actor processes."""
        return processor.family(self._process.pid)

    def run(self, job: str, count: int) -> float:
        """Take ``count`` messages of one job through the three routines; give turns per second."""
        with Client(self._home) as client:
            client.submit(FLOW, job_id=job, n=count)
            final = client.wait(job, timeout=600)
            ended = time.time()
            if final.status != "completed" or final.serialize()["history_total"] != count * STAGES + 1:
                raise SystemExit(f"job {job} is {final.status}: {final.error}")
            source = client.show(job, history=1, after=0).history[0]
        return count * STAGES / (ended - datetime.fromisoformat(source["ended_at"]).timestamp())

    def run_many(self, jobs: int, count: int) -> float:
        """The same with messages of ``jobs`` jobs; gives turns per second, the sources' included."""
        each = max(1, count // jobs)
        begun = time.perf_counter()
        with Client(self._home) as client:
            ids = client.submit_many(FLOW, [{"n": each}] * jobs)
            finals = client.wait_all(ids, timeout=600)
        took = time.perf_counter() - begun
        turns = sum(int(final.serialize()["history_total"]) for final in finals)
        if turns != jobs * (each * STAGES + 1) or any(final.status != "completed" for final in finals):
            raise SystemExit("a job didn't complete")
        return turns / took

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()


class Measured(NamedTuple):
    """Repetitions of one of the two: turns per second, and processor microseconds per turn."""

    speeds: list[float]
    processor: list[float]

    @contextmanager
    def processor_time(self, pids: set[int], turns: int) -> Generator[None]:
        """Note what processes use meanwhile."""
        before = processor.seconds(pids)
        yield
        self.processor.append((processor.seconds(pids) - before) / turns * 1e6)


class Report(NamedTuple):
    """What was measured, and what is needed to read it."""

    asked: dict[str, int]
    figures: dict[str, dict[str, float]]
    about: dict[str, dict[str, str]]

    def document(self) -> dict[str, object]:
        """Give everything for machines."""
        return {**self.asked, **self.figures, **self.about}


def measure(messages: int, runs: int, jobs: int) -> Report:
    """Measure both, alternately.

    Args:
        messages: how many go through the three routines in one repetition.
        runs: repetitions.
        jobs: how many jobs they come from.

    Returns:
        The figures, and all that is needed to read them.
    """
    bare = Measured([], [])
    real = Measured([], [])
    machine = {
        "system": platform.platform(),
        "processor": processor.model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
        folder = Path(name)
        loop = BareLoop(folder)
        supervisor = Supervisor(folder)
        try:
            loop.run(0, WARM_UP)
            supervisor.run("warm-up", WARM_UP)
            durability = loop.durability()
            for number in range(1, runs + 1):
                with bare.processor_time(loop.pids(), messages * STAGES):
                    bare.speeds.append(loop.run(number, messages))
                with real.processor_time(supervisor.pids(), messages * STAGES):
                    real.speeds.append(
                        supervisor.run(f"run-{number}", messages) if jobs == 1
                        else supervisor.run_many(jobs, messages)
                    )
        finally:
            supervisor.close()
            loop.close()
    return Report(
        {"messages": messages, "routines": STAGES, "jobs": jobs, "runs": runs},
        {
            "sojourn_turns_per_second": summary(real.speeds),
            "bare_turns_per_second": summary(bare.speeds),
            "ratio": summary(quotients(real.speeds, bare.speeds)),
            "sojourn_processor_us_per_turn": summary(real.processor),
            "bare_processor_us_per_turn": summary(bare.processor),
            "processor_ratio": summary(quotients(bare.processor, real.processor)),
        },
        {"durability": durability, "machine": machine, "versions": versions()},
    )


def versions() -> dict[str, str]:
    """Give the versions that figures depend on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("sojourn", "pyzmq", "msgspec", "msgpack")},
    }


def summary(values: list[float]) -> dict[str, float]:
    """Give median and spread."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def quotients(above: list[float], below: list[float]) -> list[float]:
    """Divide what was measured next to each other."""
    return [one / other for one, other in zip(above, below, strict=True)]


def table(found: Report) -> str:
    """Write the figures for people."""
    asked = found.asked
    lines = [
        "durable turns per second,",
        f"{asked['messages']} messages of {asked['jobs']} job(s) through {asked['routines']} routines,",
        f"median of {asked['runs']} runs (lowest to highest):",
    ]
    for name, key, form in (
        ("sojourn", "sojourn_turns_per_second", ",.0f"),
        ("bare loop", "bare_turns_per_second", ",.0f"),
        ("ratio", "ratio", ".2f"),
        ("sojourn, processor µs per turn", "sojourn_processor_us_per_turn", ".1f"),
        ("bare loop, processor µs per turn", "bare_processor_us_per_turn", ".1f"),
        ("ratio of processor time", "processor_ratio", ".2f"),
    ):
        values = found.figures[key]
        middle, low, high = (format(values[what], form) for what in ("median", "lowest", "highest"))
        lines.append(f"  {name:34} {middle:>8}   ({low} to {high})")
    for key, facts in found.about.items():
        lines.append(f"{key}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Durable turns per second, beside a bare loop.")
    parser.add_argument("--messages", type=int, default=20_000, help="per repetition")
    parser.add_argument("--runs", type=int, default=5, help="repetitions")
    parser.add_argument("--jobs", type=int, default=1, help="jobs that the messages come from")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    found = measure(options.messages, options.runs, options.jobs)
    print(json.dumps(found.document(), indent=2) if options.output == "json" else table(found))


if __name__ == "__main__":
    main()
