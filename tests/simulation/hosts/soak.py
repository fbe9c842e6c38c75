"""Runs seeds of the simulation for as long as told, in a process per processor; or one seed, to look at it.

    python -m tests.simulation.hosts.soak --minutes 30
    python -m tests.simulation.hosts.soak --seed 4711

Exits with 1 if anything that must never be was seen.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context

from tests.simulation.hosts.world import Report, run_seed

BATCH = 50
"""Seeds that a process runs before it reports."""

TOLD_EVERY = 15.0
"""Seconds between two lines of progress."""

SHOWN = (
    "moves", "deaths", "commits", "lost", "torn", "untold", "refused", "doubtful", "frames",
    "lost frames", "breaks",
)
"""Figures of a summary: deaths of hosts, fates of commits, and what befell frames and connections."""


def run_batch(first: int, seeds: int = BATCH) -> tuple[dict[str, int], list[Report]]:
    """Run seeds in a row.

    Returns:
        What they came to together, and the reports of those that violated something.
    """
    totals = {"seeds": 0, "steps": 0, "virtual seconds": 0}
    bad: list[Report] = []
    gc.disable()
    try:
        for seed in range(first, first + seeds):
            report = run_seed(seed)
            totals["seeds"] += 1
            totals["steps"] += report.steps
            totals["virtual seconds"] += int(report.virtual_seconds)
            add(totals, report.counts)
            if report.violation:
                bad.append(report)
    finally:
        gc.enable()
        gc.collect()
    return totals, bad


def add(totals: dict[str, int], more: dict[str, int]) -> None:
    """Add counts up."""
    for name, number in more.items():
        totals[name] = totals.get(name, 0) + number


def summary(totals: dict[str, int], violations: int) -> str:
    """Say in one line what was run."""
    figures = ", ".join(f"{totals.get(name, 0):,} {name}" for name in ("seeds", "steps", "turns", *SHOWN))
    return f"{figures}, {totals.get('virtual seconds', 0):,} virtual seconds; {violations} violations"


def soak(minutes: float, first: int, processes: int) -> int:
    """Run batches until the time is over; print progress and every violation as it is found.

    Returns:
        The exit code.
    """
    end = time.monotonic() + minutes * 60
    told = time.monotonic() + TOLD_EVERY
    totals: dict[str, int] = {}
    violations: list[int] = []
    batches: Iterator[int] = count(first, BATCH)
    print(f"seeds from {first} on, in {processes} processes, for {minutes:g} minutes", flush=True)
    # spawned: a fork of a process that has threads may stand still
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        running: set[Future[tuple[dict[str, int], list[Report]]]] = set()
        try:
            while running or time.monotonic() < end:
                while len(running) < processes and time.monotonic() < end:
                    running.add(pool.submit(run_batch, next(batches)))
                done, running = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for batch in done:
                    counts, bad = batch.result()
                    add(totals, counts)
                    violations.extend(report.seed for report in bad)
                    for report in bad:
                        print(report.told(), flush=True)
                if time.monotonic() >= told:
                    told = time.monotonic() + TOLD_EVERY
                    print(summary(totals, len(violations)), flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
    print(summary(totals, len(violations)))
    if violations:
        print(f"seeds to look at: {' '.join(map(str, violations))}")
    return 1 if violations else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long")
    parser.add_argument("--seed", type=int, help="run this one alone, and show what happened")
    parser.add_argument("--first", type=int, help="seed to begin with; random if none is given")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sqlite", action="store_true", help="with the shipped stores (for --seed)")
    given = parser.parse_args(arguments)
    if given.seed is None:
        first = random.SystemRandom().randrange(10**9, 10**10) if given.first is None else given.first
        return soak(given.minutes, first, given.processes)
    report = run_seed(given.seed, sqlite=given.sqlite)
    print(report.told() if report.violation else f"seed {given.seed}: nothing was violated")
    print(f"digest {report.digest}")
    figures = {"seeds": 1, "steps": report.steps, "virtual seconds": int(report.virtual_seconds)}
    print(summary(figures | report.counts, int(bool(report.violation))))
    return 1 if report.violation else 0


if __name__ == "__main__":
    sys.exit(main())
